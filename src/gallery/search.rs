//! The exact comparison of two rows.

use super::template::Row;

/// Partial sums that [`dot`] keeps side by side: one 512-bit register, or four of 128 bits.
const LANES: usize = 16;

/// Cosine of two normalised rows: their dot product, held to -1..1.
pub(super) fn dot(a: &Row, b: &Row) -> f32 {
    // Rounding to f16 can make the sum pass 1 by a hair.
    product(a, b).clamp(-1.0, 1.0)
}

/// Dot product of two rows.
///
/// The order of the additions is fixed and no multiply-add is fused, so that x86-64 and ARM give the same bits; the lanes are
/// independent, so that the compiler turns them into vector instructions.
pub(super) fn product(a: &Row, b: &Row) -> f32 {
    let mut lanes = [0.0_f32; LANES];
    let (a, _) = a.as_chunks::<LANES>();
    let (b, _) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
    }
    // Adding zero turns -0 into 0, which must tie with it.
    lanes[0] + 0.0
}

#[cfg(test)]
mod tests {
    use crate::gallery::Template;

    fn template(seed: u32) -> Template {
        let vector: Vec<f32> = (0..192)
            .map(|i| ((i * 7 + seed * 131) as f32 * 0.61).sin())
            .collect();
        Template::new(&vector).unwrap()
    }

    #[test]
    fn dot_agrees_with_the_sum_in_double_precision() {
        for seed in 0..50 {
            let (a, b) = (template(seed), template(seed + 3));
            let exact: f64 = a
                .as_slice()
                .iter()
                .zip(b.as_slice())
                .map(|(&x, &y)| f64::from(x) * f64::from(y))
                .sum();
            assert!((f64::from(a.cosine(&b)) - exact).abs() < 1e-6);
        }
    }
}
