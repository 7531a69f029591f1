//! A face template: what the embedding model makes of an aligned face, and the only thing about a face that is kept.

use std::fmt;

use half::f16;

use super::search::dot;

/// Length of a template. It is the output width of the embedding model; every template space in use has this length.
pub const TEMPLATE_DIMENSIONS: usize = 192;

/// How far the length of a template that comes from elsewhere may be from 1: rounding to f16 moves it by half of that at most.
pub const UNIT_TOLERANCE: f64 = 0.001;

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
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
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
    /// The vector was said to be of length 1.
    #[error("the vector has the length {norm:.4}, a template's is 1: divide each number by it")]
    NotUnit {
        /// Its length.
        norm: f64,
    },
}

impl Template {
    /// Normalises `vector` to length 1 and rounds it to f16.
    ///
    /// # Errors
    /// [`TemplateError`] if the vector has the wrong length, a number that is not finite, or only zeros.
    pub fn new(vector: &[f32]) -> Result<Template, TemplateError> {
        let (vector, norm) = measured(vector)?;
        // By way of f32: not every processor rounds f64 to f16 in one step.
        let row = vector.map(|x| f16::from_f32((f64::from(x) / norm) as f32).to_f32());
        Ok(Template(Box::new(row)))
    }

    /// A template that was given away as numbers and comes back: those of [`Template::as_slice`] give the same template, to the bit.
    ///
    /// # Errors
    /// [`TemplateError`] as for [`Template::new`], and if the length is not within [`UNIT_TOLERANCE`] of 1.
    pub fn from_unit(vector: &[f32]) -> Result<Template, TemplateError> {
        let (vector, norm) = measured(vector)?;
        if (norm - 1.0).abs() > UNIT_TOLERANCE {
            return Err(TemplateError::NotUnit { norm });
        }
        Ok(Template(Box::new(
            vector.map(|x| f16::from_f32(x).to_f32()),
        )))
    }

    /// The numbers, each exactly representable as f16.
    pub fn as_slice(&self) -> &[f32] {
        &self.0[..]
    }

    /// Cosine of the angle to `other`, -1 to 1, higher is more alike. The same bits on every processor.
    pub fn cosine(&self, other: &Template) -> f32 {
        dot(&self.0, &other.0)
    }

    /// A row that the storage brings back, which is one that [`Template::new`] made.
    pub(super) fn stored(row: Row) -> Template {
        Template(Box::new(row))
    }

    pub(super) fn row(&self) -> &Row {
        &self.0
    }

    pub(super) fn to_bits(&self) -> RowBits {
        row_to_bits(&self.0)
    }
}

/// The vector and its length, which is not 0.
fn measured(vector: &[f32]) -> Result<(&Row, f64), TemplateError> {
    let vector: &Row = vector.try_into().map_err(|_| TemplateError::WrongLength {
        found: vector.len(),
    })?;
    if !vector.iter().all(|x| x.is_finite()) {
        return Err(TemplateError::NotFinite);
    }
    // f64 holds the square of every f32 without overflow or underflow.
    let squares = vector.iter().map(|&x| f64::from(x) * f64::from(x));
    let norm = squares.sum::<f64>().sqrt();
    match norm == 0.0 {
        true => Err(TemplateError::ZeroNorm),
        false => Ok((vector, norm)),
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
    fn numbers_that_come_back_give_the_same_template() {
        for seed in 0..100 {
            let vector: Vec<f32> = (0..192)
                .map(|i| ((i + seed * 7) as f32 * 0.37).sin())
                .collect();
            let template = Template::new(&vector).unwrap();
            assert_eq!(Template::from_unit(template.as_slice()).unwrap(), template);
        }
        let mut unit = [0.0; 192];
        for (length, good) in [
            (1.0, true),
            (0.9995, true),
            (1.0009, true),
            (0.99, false),
            (1.2, false),
        ] {
            unit[5] = length;
            assert_eq!(Template::from_unit(&unit).is_ok(), good, "{length}");
        }
        assert_eq!(
            Template::from_unit(&[0.0; 192]),
            Err(TemplateError::ZeroNorm)
        );
        unit[5] = f32::NAN;
        assert_eq!(Template::from_unit(&unit), Err(TemplateError::NotFinite));
    }

    #[test]
    fn numbers_stay_out_of_the_log() {
        let template = Template::new(&[1.0; 192]).unwrap();
        assert_eq!(format!("{template:?}"), "Template(192 x f16)");
    }
}
