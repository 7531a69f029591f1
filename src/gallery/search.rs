//! Exact search: every row is compared, the best row of each person counts.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::template::Row;

/// Partial sums that [`dot`] keeps side by side: one 512-bit register, or four of 128 bits.
const LANES: usize = 16;

/// Dot product of two normalised rows, which is their cosine, held to -1..1.
///
/// The order of the additions is fixed and no multiply-add is fused, so that x86-64 and ARM give the same bits; the lanes are
/// independent, so that the compiler turns them into vector instructions.
pub(super) fn dot(a: &Row, b: &Row) -> f32 {
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
    // Adding zero turns -0 into 0, which must tie with it. Rounding to f16 can make the sum pass 1 by a hair.
    (lanes[0] + 0.0).clamp(-1.0, 1.0)
}

/// A person's place in the result. `Ord`: the greater one is the worse answer, so that the heap's top is the one to drop.
struct Candidate<'a> {
    cosine: f32,
    target: &'a str,
}

impl Ord for Candidate<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        other
            .cosine
            .total_cmp(&self.cosine)
            .then_with(|| self.target.cmp(other.target))
    }
}

impl PartialOrd for Candidate<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate<'_> {}

/// The `top_k` best people, best first, equal cosines in the order of their target ids (byte-wise).
///
/// `owners[i]` is the person of `rows[i]`, an index into `targets`.
pub(super) fn best_people<'a>(
    rows: &[Row],
    owners: &[u32],
    targets: impl ExactSizeIterator<Item = &'a str>,
    probe: &Row,
    top_k: usize,
) -> Vec<(&'a str, f32)> {
    if top_k == 0 {
        return Vec::new();
    }
    let mut best = vec![f32::NEG_INFINITY; targets.len()];
    for (row, &owner) in rows.iter().zip(owners) {
        let best = &mut best[owner as usize];
        *best = best.max(dot(row, probe));
    }
    let mut heap = BinaryHeap::with_capacity(top_k.min(best.len()));
    for (&cosine, target) in best.iter().zip(targets) {
        let candidate = Candidate { cosine, target };
        if heap.len() < top_k {
            heap.push(candidate);
        } else if let Some(mut worst) = heap.peek_mut()
            && candidate < *worst
        {
            *worst = candidate;
        }
    }
    heap.into_sorted_vec()
        .into_iter()
        .map(|candidate| (candidate.target, candidate.cosine))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
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

    #[test]
    fn one_row_a_person_best_first_ties_by_target() {
        let (same, other) = (template(1), template(40));
        let rows = [*other.row(), *same.row(), *same.row(), *same.row()];
        let owners = [0, 0, 1, 2];
        let targets = ["c", "b", "a"];
        for top_k in 1..6 {
            let found = best_people(&rows, &owners, targets.into_iter(), same.row(), top_k);
            let names: Vec<&str> = found.iter().map(|(target, _)| *target).collect();
            assert_eq!(names, ["a", "b", "c"][..top_k.min(3)]);
            assert!(
                found
                    .iter()
                    .all(|(_, cosine)| *cosine == same.cosine(&same))
            );
        }
        assert!(best_people(&rows, &owners, targets.into_iter(), same.row(), 0).is_empty());
    }

    #[test]
    fn the_heap_agrees_with_sorting_everything() {
        let rows: Vec<Row> = (0..300).map(|i| *template(i % 120).row()).collect();
        let owners: Vec<u32> = (0..300).map(|i| i % 100).collect();
        let targets: Vec<String> = (0..100).map(|i| format!("p{}", (i * 37) % 100)).collect();
        let probe = template(500);
        let find = |k| {
            best_people(
                &rows,
                &owners,
                targets.iter().map(String::as_str),
                probe.row(),
                k,
            )
        };
        let all = find(usize::MAX);
        assert_eq!(all.len(), 100);
        assert!(
            all.windows(2)
                .all(|w| w[0].1 > w[1].1 || (w[0].1 == w[1].1 && w[0].0 < w[1].0))
        );
        for k in [1, 2, 7, 50, 99, 100, 101] {
            assert_eq!(find(k), all[..k.min(100)]);
        }
    }
}
