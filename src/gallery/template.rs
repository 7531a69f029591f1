//! A face template: what the embedding model makes of an aligned face, and the only thing about a face that is kept.

use std::fmt;

use half::f16;

use super::search::dot;

/// Length of a template. It is the output width of the embedding model; every template space in use has this length.
pub const TEMPLATE_DIMENSIONS: usize = 192;

/// One row of numbers, as searched.
pub(super) type Row = [f32; TEMPLATE_DIMENSIONS];

/// The bits of a row as IEEE 754 binary16, as stored.
pub type RowBits = [u16; TEMPLATE_DIMENSIONS];

/// L2-normalised face template of [`TEMPLATE_DIMENSIONS`] numbers without a unit.
///
/// It is stored as f16, so [`Template::new`] rounds through f16: the value that is searched today equals the one read back
/// tomorrow. The rounding leaves the length within 0.0005 of 1.
#[derive(Clone, PartialEq)]
pub struct Template(Box<Row>);

/// Why a vector is no template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// Not [`TEMPLATE_DIMENSIONS`] numbers.
    #[error("a template has {TEMPLATE_DIMENSIONS} numbers, this vector has {found}")]
    WrongLength {
        /// How many there were.
        found: usize,
    },
    /// A NaN or an infinity among the numbers.
    #[error("the vector holds a number that is not finite")]
    NotFinite,
    /// All numbers are zero: there is no direction to keep.
    #[error("the vector has no length, so it has no direction")]
    ZeroNorm,
}

impl Template {
    /// Normalises `vector` to length 1 and rounds it to f16.
    ///
    /// # Errors
    /// [`TemplateError`] if the vector has the wrong length, a number that is not finite, or only zeros.
    pub fn new(vector: &[f32]) -> Result<Template, TemplateError> {
        let vector: &Row = vector.try_into().map_err(|_| TemplateError::WrongLength {
            found: vector.len(),
        })?;
        if !vector.iter().all(|x| x.is_finite()) {
            return Err(TemplateError::NotFinite);
        }
        // f64 holds the square of every f32 without overflow or underflow.
        let norm = vector
            .iter()
            .map(|&x| f64::from(x) * f64::from(x))
            .sum::<f64>()
            .sqrt();
        if norm == 0.0 {
            return Err(TemplateError::ZeroNorm);
        }
        // By way of f32: not every processor rounds f64 to f16 in one step.
        let row = vector.map(|x| f16::from_f32((f64::from(x) / norm) as f32).to_f32());
        Ok(Template(Box::new(row)))
    }

    /// The numbers, each exactly representable as f16.
    pub fn as_slice(&self) -> &[f32] {
        &self.0[..]
    }

    /// Cosine of the angle to `other`, -1 to 1, higher is more alike. The same bits on every processor.
    pub fn cosine(&self, other: &Template) -> f32 {
        dot(&self.0, &other.0)
    }

    pub(super) fn row(&self) -> &Row {
        &self.0
    }

    pub(super) fn to_bits(&self) -> RowBits {
        row_to_bits(&self.0)
    }
}

/// The template's numbers stay out of logs: they are biometric data.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({TEMPLATE_DIMENSIONS} x f16)")
    }
}

/// Exact for every row that came out of a [`Template`].
pub(super) fn row_to_bits(row: &Row) -> RowBits {
    row.map(|x| f16::from_f32(x).to_bits())
}

pub(super) fn row_from_bits(bits: &RowBits) -> Row {
    bits.map(|b| f16::from_bits(b).to_f32())
}

pub(super) fn bits_are_finite(bits: &RowBits) -> bool {
    bits.iter().all(|&b| f16::from_bits(b).is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_template_is_refused() {
        assert_eq!(
            Template::new(&[1.0; 191]),
            Err(TemplateError::WrongLength { found: 191 })
        );
        assert_eq!(
            Template::new(&[]),
            Err(TemplateError::WrongLength { found: 0 })
        );
        assert_eq!(Template::new(&[0.0; 192]), Err(TemplateError::ZeroNorm));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut vector = [1.0; 192];
            vector[100] = bad;
            assert_eq!(Template::new(&vector), Err(TemplateError::NotFinite));
        }
    }

    #[test]
    fn length_is_one_whatever_the_scale() {
        for scale in [f32::MIN_POSITIVE, 1e-20, 1.0, 1e20, f32::MAX / 192.0] {
            let vector: Vec<f32> = (0..192).map(|i| (i as f32 - 90.5) * scale).collect();
            let template = Template::new(&vector).unwrap();
            assert!((template.cosine(&template) - 1.0).abs() < 1e-3, "{scale}");
        }
    }

    #[test]
    fn bits_bring_back_the_same_numbers() {
        let vector: Vec<f32> = (0..192).map(|i| (i as f32 * 0.37).sin()).collect();
        let template = Template::new(&vector).unwrap();
        assert_eq!(&row_from_bits(&template.to_bits()), template.row());
    }

    #[test]
    fn numbers_stay_out_of_the_log() {
        let template = Template::new(&[1.0; 192]).unwrap();
        assert_eq!(format!("{template:?}"), "Template(192 x f16)");
    }
}
