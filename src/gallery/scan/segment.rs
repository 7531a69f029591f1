//! What the scan needs to know of the files of a gallery.

use std::ops::Range;
use std::sync::Arc;

use super::row::QuantizedRow;
use crate::gallery::template::RowBits;

/// Bytes of a segment are not the ones that were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a part of the gallery is damaged")]
pub struct Damaged;

/// People and their rows that do not change, in memory or in a mapped file.
///
/// Person `p`, counted from 0, owns the rows `first_rows()[p]..first_rows()[p + 1]`, and is in no other segment of the gallery.
/// The slices stay the same from call to call.
pub trait Segment: Send + Sync {
    /// The rows of everyone, person by person.
    fn rows(&self) -> &[QuantizedRow];

    /// For each row the factor that brings it back from int8; see [`quantize`](super::quantize).
    fn scales(&self) -> &[f32];

    /// For each row what it was before it became int8: the bits of IEEE 754 binary16.
    fn originals(&self) -> &[RowBits];

    /// Ascending, from 0 to the number of rows; one entry more than there are people.
    fn first_rows(&self) -> &[u32];

    /// The target id of a person below the number of people.
    fn target(&self, person: u32) -> &str;

    /// Checks, where that was not done before, the checksums behind these rows: int8 and scales. Called before they are read, for
    /// ranges of about a hundred rows, from several threads.
    ///
    /// # Errors
    /// [`Damaged`], then and at every later call.
    fn verify(&self, rows: Range<usize>) -> Result<(), Damaged>;

    /// The same for the originals of these rows; the ranges are those of single people.
    ///
    /// # Errors
    /// [`Damaged`], then and at every later call.
    fn verify_originals(&self, rows: Range<usize>) -> Result<(), Damaged>;
}

/// A segment and who of it was removed since.
#[derive(Clone)]
pub struct Part {
    /// The people.
    pub segment: Arc<dyn Segment>,
    /// Those of them that no search finds any more.
    pub dead: Arc<Bits>,
}

/// A set of small numbers, one bit each. It grows as needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits {
    words: Vec<u64>,
    count: usize,
}

impl Bits {
    /// Adds `number`; `false` if it was there before.
    pub fn insert(&mut self, number: u32) -> bool {
        let (word, bit) = place(number);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.count += usize::from(new);
        new
    }

    /// Whether `number` was added.
    pub fn contains(&self, number: u32) -> bool {
        let (word, bit) = place(number);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no number.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

fn place(number: u32) -> (usize, u64) {
    (number as usize / 64, 1 << (number % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_hold_what_was_inserted() {
        let mut bits = Bits::default();
        assert!(bits.is_empty() && !bits.contains(0) && !bits.contains(u32::MAX));
        for number in [0, 63, 64, 1000] {
            assert!(bits.insert(number));
            assert!(!bits.insert(number));
        }
        let held: Vec<u32> = (0..2000).filter(|&number| bits.contains(number)).collect();
        assert_eq!(held, [0, 63, 64, 1000]);
        assert_eq!(bits.len(), 4);
    }
}
