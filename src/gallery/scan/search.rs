//! Exact answers: an int8 pass finds the people that matter, their f16 originals decide.

use half::f16;
use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};

use super::kernel::{Kernel, kernel};
use super::pass::{Probe, pass};
use super::row::quantize;
use super::segment::{Damaged, Part};
use super::select::Candidate;
use crate::gallery::fusion::Fusion;
use crate::gallery::template::{Row, RowBits};

/// People compared again with their originals, at least, and for each one asked for. Rounding to int8 moves a cosine by some
/// thousandths; somebody would have to fall behind this many others for an answer to change.
const COMPARED_AGAIN: usize = 256;
const COMPARED_AGAIN_PER_ANSWER: usize = 2;

/// The same with [`Fusion::Mean`]. The pass keeps people by their most similar feature, and of those whose mean is no match the order
/// is another one: `recocomp bench search --fusion mean` measures what is missed.
const FUSED_AGAIN: usize = 1024;
const FUSED_AGAIN_PER_ANSWER: usize = 32;

/// Whom to look for.
#[derive(Clone, Copy)]
pub struct Query<'a> {
    /// L2-normalised.
    pub template: &'a Row,
    /// How many people to answer with, at most.
    pub top_k: usize,
    pub fusion: Fusion,
}

impl Query<'_> {
    /// How many people are compared again, of so many.
    fn compared_again(&self, people: usize) -> usize {
        let (least, per_answer) = match self.fusion {
            Fusion::Off => (COMPARED_AGAIN, COMPARED_AGAIN_PER_ANSWER),
            Fusion::Mean => (FUSED_AGAIN, FUSED_AGAIN_PER_ANSWER),
        };
        match self.top_k {
            0 => 0,
            k => k.saturating_mul(per_answer).max(least).min(people),
        }
    }
}

/// A person of an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Index into the parts that were searched.
    pub part: usize,
    /// Number of the person in the part's segment.
    pub person: u32,
    /// Cosine between the probe and what the query's fusion makes of the person, -1 to 1. The same bits on every processor.
    pub cosine: f32,
}

/// A part of those searched is damaged, so that there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("part {part} of the gallery is damaged")]
pub struct DamagedPart {
    /// Index into the parts that were searched.
    pub part: usize,
}

/// For each probe its `top_k` most similar people, best first, equal cosines in the order of their target ids (byte-wise).
///
/// Reads the rows once for all probes, with up to `threads` threads where the rows are worth it. The answers depend neither on the
/// number of threads nor on the processor.
///
/// # Errors
/// [`DamagedPart`] if a checksum or the shape of a part that had to be read is wrong.
pub fn search(
    parts: &[Part],
    probes: &[Query],
    threads: usize,
) -> Result<Vec<Vec<Found>>, DamagedPart> {
    search_with(kernel(), parts, probes, threads)
}

pub(super) fn search_with(
    kernel: Kernel,
    parts: &[Part],
    probes: &[Query],
    threads: usize,
) -> Result<Vec<Vec<Found>>, DamagedPart> {
    let people: usize = parts
        .iter()
        .map(|part| part.segment.first_rows().len().saturating_sub(1))
        .sum();
    let quantized: Vec<Probe> = probes
        .iter()
        .map(|probe| Probe {
            row: quantize(probe.template).0,
            limit: probe.compared_again(people),
        })
        .collect();
    let selections = pass(kernel, parts, &quantized, threads)?;
    let each = probes.iter().zip(selections);
    each.map(|(probe, selection)| rank(parts, selection.into_kept(), probe))
        .collect()
}

/// Compares the originals of `candidates`, who come in the order in which their rows lie in the files.
fn rank(
    parts: &[Part],
    candidates: Vec<Candidate>,
    probe: &Query,
) -> Result<Vec<Found>, DamagedPart> {
    let mut ranked = Vec::with_capacity(candidates.len());
    for Candidate { part, person, .. } in candidates {
        let part = part as usize;
        let cosine =
            compare(&parts[part], person, probe).map_err(|Damaged| DamagedPart { part })?;
        ranked.push(Found {
            part,
            person,
            cosine,
        });
    }
    let target = |found: &Found| parts[found.part].segment.target(found.person);
    let order = |a: &Found, b: &Found| {
        let by_cosine = b.cosine.total_cmp(&a.cosine);
        by_cosine.then_with(|| target(a).cmp(target(b)))
    };
    if ranked.len() > probe.top_k {
        ranked.select_nth_unstable_by(probe.top_k, order);
        ranked.truncate(probe.top_k);
    }
    ranked.sort_unstable_by(order);
    Ok(ranked)
}

/// Cosine of the person, from the originals of all features.
fn compare(part: &Part, person: u32, probe: &Query) -> Result<f32, Damaged> {
    let person = person as usize;
    let first_rows = part.segment.first_rows();
    let (Some(&start), Some(&end)) = (first_rows.get(person), first_rows.get(person + 1)) else {
        return Err(Damaged);
    };
    let rows = start as usize..end as usize;
    let originals = part.segment.originals().get(rows.clone()).ok_or(Damaged)?;
    part.segment.verify_originals(rows)?;
    let rows = originals.iter().map(row_of);
    Ok(probe.fusion.cosine_of_rows(rows, probe.template))
}

fn row_of(bits: &RowBits) -> Row {
    let mut row = [0.0; _];
    // With the processor's instructions for it, where there are some; the conversion is exact either way.
    let halves: &[f16] = bits.reinterpret_cast();
    halves.convert_to_f32_slice(&mut row);
    row
}
