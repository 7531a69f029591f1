//! The scan as a whole, on people in memory.

mod answers;
mod fusion;
mod recall;
mod reference;
mod sharing;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use half::f16;

use self::reference::best_people;
use super::*;
use crate::gallery::fusion::Fusion;
use crate::gallery::template::{Row, RowBits, row_from_bits};

/// People in memory. Notes what is verified, and can be damaged.
#[derive(Default)]
pub struct Memory {
    rows: Vec<QuantizedRow>,
    scales: Vec<f32>,
    originals: Vec<RowBits>,
    first_rows: Vec<u32>,
    targets: Vec<String>,
    pub verified: Mutex<HashSet<usize>>,
    pub originals_verified: AtomicUsize,
    pub damaged_row: Option<usize>,
    pub damaged_original: Option<usize>,
}

impl Memory {
    pub fn new(people: &[(String, Vec<Row>)]) -> Memory {
        let mut memory = Memory::default();
        memory.first_rows.push(0);
        for (target, rows) in people {
            for row in rows {
                let bits = row.map(|x| f16::from_f32(x).to_bits());
                let (quantized, scale) = quantize(&row_from_bits(&bits));
                memory.rows.push(quantized);
                memory.scales.push(scale);
                memory.originals.push(bits);
            }
            memory.first_rows.push(memory.rows.len() as u32);
            memory.targets.push(target.clone());
        }
        memory
    }

    pub fn part(self, dead: &[u32]) -> Part {
        let mut bits = Bits::default();
        for &person in dead {
            bits.insert(person);
        }
        Part {
            segment: Arc::new(self),
            dead: Arc::new(bits),
        }
    }
}

impl Segment for Memory {
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
    fn verify(&self, rows: Range<usize>) -> Result<(), Damaged> {
        self.verified.lock().unwrap().extend(rows.clone());
        match self.damaged_row {
            Some(row) if rows.contains(&row) => Err(Damaged),
            _ => Ok(()),
        }
    }
    fn verify_originals(&self, rows: Range<usize>) -> Result<(), Damaged> {
        self.originals_verified
            .fetch_add(rows.len(), Ordering::Relaxed);
        match self.damaged_original {
            Some(row) if rows.contains(&row) => Err(Damaged),
            _ => Ok(()),
        }
    }
}

/// Deterministic, about normal.
pub struct Random(pub u64);

impl Random {
    pub fn number(&mut self) -> f32 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let bytes = (self.0 ^ (self.0 >> 29)).to_le_bytes();
        let sum: i32 = bytes[1..].iter().map(|&byte| i32::from(byte)).sum();
        (sum - 892) as f32 / 195.0
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % end
    }

    pub fn row(&mut self) -> Row {
        unit(std::array::from_fn(|_| self.number()))
    }

    /// A row whose cosine with `center` is about `cosine`.
    pub fn near(&mut self, center: &Row, cosine: f32) -> Row {
        let noise = self.row();
        let away = (1.0 - cosine * cosine).sqrt();
        unit(std::array::from_fn(|i| {
            cosine * center[i] + away * noise[i]
        }))
    }

    /// People `name0`, `name1`, ... with `features` rows each, around a centre of their own.
    pub fn people(&mut self, name: &str, count: usize, features: usize) -> Vec<(String, Vec<Row>)> {
        (0..count)
            .map(|i| {
                let center = self.row();
                let rows = (0..features).map(|_| self.near(&center, 0.75)).collect();
                (format!("{name}{i}"), rows)
            })
            .collect()
    }
}

fn unit(row: Row) -> Row {
    let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
    row.map(|x| f16::from_f32(x / norm).to_f32())
}

/// Targets and cosines.
pub type Named = Vec<(String, f32)>;

pub fn named(parts: &[Part], found: &[Found]) -> Named {
    let name = |found: &Found| parts[found.part].segment.target(found.person).to_owned();
    found
        .iter()
        .map(|found| (name(found), found.cosine))
        .collect()
}

/// The search without int8: every f16 row of every living person compared as f32.
pub struct Exact<'a> {
    rows: Vec<Row>,
    owners: Vec<u32>,
    targets: Vec<&'a str>,
}

impl Exact<'_> {
    pub fn new(parts: &[Part]) -> Exact<'_> {
        let (mut rows, mut owners, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        for part in parts {
            for (person, range) in (0..).zip(part.segment.first_rows().windows(2)) {
                if !part.dead.contains(person) {
                    let range = range[0] as usize..range[1] as usize;
                    let originals = &part.segment.originals()[range];
                    rows.extend(originals.iter().map(row_from_bits));
                    owners.extend(originals.iter().map(|_| targets.len() as u32));
                    targets.push(part.segment.target(person));
                }
            }
        }
        Exact {
            rows,
            owners,
            targets,
        }
    }

    pub fn find(&self, probe: &Row, top_k: usize) -> Named {
        let targets = self.targets.iter().copied();
        best_people(&self.rows, &self.owners, targets, probe, top_k)
            .into_iter()
            .map(|(target, cosine)| (target.to_owned(), cosine))
            .collect()
    }
}
