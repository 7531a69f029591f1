//! A row of a gallery as the scan reads it: int8 with one scale a row.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::gallery::template::Row;

/// Bytes of a quantised row: three cache lines.
pub const ROW_BYTES: usize = super::super::template::TEMPLATE_DIMENSIONS;

/// A row of int8 numbers at an address that divides by 64, so that no vector load crosses a cache line.
///
/// [`quantize`] writes -127..=127. A damaged file may hold -128; every kernel computes with it correctly.
/// `zerocopy` casts a mapped file to a slice of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
pub struct QuantizedRow(pub [i8; ROW_BYTES]);

/// The nearest int8 row, and the scale, a factor: `row[i] ~= quantized[i] * scale`.
///
/// The cosine of two rows is about `dot * scale * scale`. The same bits on every processor. Numbers that are not finite, which no
/// template holds, give an arbitrary row.
pub fn quantize(row: &Row) -> (QuantizedRow, f32) {
    let largest = row.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    let scale = largest / 127.0;
    if scale == 0.0 {
        return (QuantizedRow([0; ROW_BYTES]), 0.0);
    }
    // The conversion to i8 saturates at 127, the clamp keeps -128 out.
    let quantized = row.map(|x| (x / scale).round().clamp(-127.0, 127.0) as i8);
    (QuantizedRow(quantized), scale)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gallery::Template;

    #[test]
    fn every_number_is_within_half_a_step() {
        for seed in 0..200 {
            let vector: Vec<f32> = (0..192)
                .map(|i| ((i * 7 + seed * 131) as f32 * 0.61).sin())
                .collect();
            let template = Template::new(&vector).unwrap();
            let (quantized, scale) = quantize(template.row());
            assert_eq!(
                quantized.0.iter().map(|q| q.unsigned_abs()).max(),
                Some(127)
            );
            for (&x, q) in template.as_slice().iter().zip(quantized.0) {
                assert!((x - f32::from(q) * scale).abs() <= 0.5001 * scale);
            }
        }
    }

    #[test]
    fn rows_without_a_direction_or_out_of_range_stay_in_range() {
        assert_eq!(quantize(&[0.0; 192]), (QuantizedRow([0; 192]), 0.0));
        for odd in [
            f32::MIN_POSITIVE / 64.0,
            f32::MAX,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
        ] {
            let mut row = [0.5; 192];
            (row[3], row[4]) = (odd, -odd);
            assert!(quantize(&row).0.0.iter().all(|&q| q != i8::MIN));
        }
    }

    #[test]
    fn aligned_bytes_cast_to_rows() {
        let rows = [QuantizedRow([3; 192]), QuantizedRow([-5; 192])];
        let bytes = zerocopy::IntoBytes::as_bytes(&rows[..]);
        assert_eq!(bytes.len(), 384);
        assert_eq!(<[QuantizedRow]>::ref_from_bytes(bytes).unwrap(), &rows);
        assert!(<[QuantizedRow]>::ref_from_bytes(&bytes[..100]).is_err());
    }
}
