//! People who were enrolled since the last generation, in memory, in the shape in which a generation holds them.

use std::ops::Range;
use std::sync::Arc;

use super::scan::{Damaged, QuantizedRow, Segment, quantize};
use super::template::{RowBits, row_from_bits};

/// A chunk takes people as long as it has fewer rows: some 600 KiB. It is what a commit copies, at most, while a search reads.
const ROWS: usize = 1024;

/// A part of the tail. People are only ever added; who leaves is marked beside it.
#[derive(Clone)]
pub(super) struct Chunk {
    rows: Vec<QuantizedRow>,
    scales: Vec<f32>,
    originals: Vec<RowBits>,
    /// Person `p` owns the rows `first_rows[p]..first_rows[p + 1]`.
    first_rows: Vec<u32>,
    targets: Vec<Arc<str>>,
}

impl Chunk {
    pub fn new() -> Chunk {
        Chunk {
            rows: Vec::new(),
            scales: Vec::new(),
            originals: Vec::new(),
            first_rows: vec![0],
            targets: Vec::new(),
        }
    }

    pub fn is_full(&self) -> bool {
        self.rows.len() >= ROWS
    }

    pub fn person_num(&self) -> usize {
        self.targets.len()
    }

    pub fn rows_of(&self, person: usize) -> Range<usize> {
        self.first_rows[person] as usize..self.first_rows[person + 1] as usize
    }

    /// Adds a person with all of its features and returns its place.
    pub fn add(&mut self, target: Arc<str>, features: &[RowBits]) -> usize {
        for bits in features {
            let (row, scale) = quantize(&row_from_bits(bits));
            self.rows.push(row);
            self.scales.push(scale);
            self.originals.push(*bits);
        }
        self.targets.push(target);
        // One batch adds at most as many rows as fit a journal record, which is far from four billion.
        self.first_rows
            .push(u32::try_from(self.rows.len()).unwrap_or(u32::MAX));
        self.targets.len() - 1
    }
}

impl Segment for Chunk {
    fn rows(&self) -> &[QuantizedRow] {
        &self.rows
    }

    fn scales(&self) -> &[f32] {
        &self.scales
    }

    fn originals(&self) -> &[RowBits] {
        &self.originals
    }

    fn first_rows(&self) -> &[u32] {
        &self.first_rows
    }

    fn target(&self, person: u32) -> &str {
        &self.targets[person as usize]
    }

    fn verify(&self, _: Range<usize>) -> Result<(), Damaged> {
        Ok(())
    }

    fn verify_originals(&self, _: Range<usize>) -> Result<(), Damaged> {
        Ok(())
    }
}
