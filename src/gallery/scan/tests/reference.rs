//! The plainest search: every template as f32, one after the other. What the scan is compared with.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::gallery::search::dot;
use crate::gallery::template::Row;

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
pub fn best_people<'a>(
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
