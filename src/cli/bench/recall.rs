//! Which answers of searches are right: compared with exact arithmetic on what nothing has rounded.

use std::cmp::Ordering;
use std::collections::HashSet;

use super::synthetic::{Crowd, Vector, cosine, person};
use crate::gallery::{Fusion, Hit};

/// Answers a search is asked for.
pub const TOP_K: usize = 10;

/// Cosines that are so close together count as equally good.
pub const TIE: f32 = 1e-3;

/// Shares of the answers that are right.
pub struct Recall {
    pub probes: usize,
    pub at_1: f64,
    pub at_10: f64,
    pub at_10_without_ties: f64,
}

/// Compares answers with those of exact arithmetic on the features as they were before anything rounded them.
pub fn recall(crowd: Crowd, probes: &[Vector], answers: &[Vec<Hit>], fusion: Fusion) -> Recall {
    let mut best = vec![Vec::new(); probes.len()];
    for number in 0..crowd.people {
        let features: Vec<Vector> = crowd.features_of(number).collect();
        for (probe, best) in probes.iter().zip(&mut best) {
            keep_best(best, likeness(&features, probe, fusion));
        }
    }
    let mut right = [0; 3];
    for ((probe, hits), best) in probes.iter().zip(answers).zip(&best) {
        let mut seen = HashSet::new();
        let cosines: Vec<f32> = (hits.iter().take(TOP_K))
            .map(|hit| match person(&hit.target) {
                Some(number) if seen.insert(number) => {
                    let features: Vec<Vector> = crowd.features_of(number).collect();
                    likeness(&features, probe, fusion)
                }
                // Nobody, or somebody who was named before.
                _ => f32::NEG_INFINITY,
            })
            .collect();
        let at_least = |bound: f32, count: usize| {
            let first = cosines.iter().take(count);
            first.filter(|&&cosine| cosine >= bound).count()
        };
        let (first, last) = (best[0], best[best.len() - 1]);
        right[0] += at_least(first - TIE, 1);
        right[1] += at_least(last - TIE, best.len());
        right[2] += at_least(last, best.len());
    }
    let of_all = (probes.len() * crowd.people.min(TOP_K)) as f64;
    Recall {
        probes: probes.len(),
        at_1: right[0] as f64 / probes.len() as f64,
        at_10: right[1] as f64 / of_all,
        at_10_without_ties: right[2] as f64 / of_all,
    }
}

fn likeness(features: &[Vector], probe: &Vector, fusion: Fusion) -> f32 {
    match fusion {
        Fusion::Off => {
            let cosines = features.iter().map(|feature| cosine(feature, probe));
            cosines.fold(f32::NEG_INFINITY, f32::max)
        }
        Fusion::Mean => {
            let sum: Vector = std::array::from_fn(|i| features.iter().map(|f| f[i]).sum());
            cosine(&sum, probe) / cosine(&sum, &sum).sqrt()
        }
    }
}

/// `best` holds the greatest, in descending order.
fn keep_best(best: &mut Vec<f32>, cosine: f32) {
    if best.len() == TOP_K && best[TOP_K - 1] >= cosine {
        return;
    }
    let place = best.partition_point(|kept| kept.total_cmp(&cosine) != Ordering::Less);
    best.insert(place, cosine);
    best.truncate(TOP_K);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept_in_order() {
        let mut best = Vec::new();
        for i in 0..100 {
            keep_best(&mut best, ((i * 37) % 100) as f32);
        }
        let expected: Vec<f32> = (90..100).rev().map(|x| x as f32).collect();
        assert_eq!(best, expected);
    }

    #[test]
    fn wrong_answers_are_counted_as_wrong() {
        let crowd = Crowd {
            people: 50,
            features: 2,
            seed: 3,
        };
        let probes = crowd.probes(10);
        let answer = |people: &[usize]| -> Vec<Hit> {
            let hit = |&number: &usize| Hit {
                target: super::super::synthetic::target(number),
                cosine: 0.0,
            };
            people.iter().map(hit).collect()
        };
        // The person alone: the first is right, the others are missing.
        let alone: Vec<Vec<Hit>> = (0..10).map(|i| answer(&[i * 5])).collect();
        let right = recall(crowd, &probes, &alone, Fusion::Off);
        assert!((right.at_1 - 1.0).abs() < 1e-9 && (right.at_10 - 0.1).abs() < 1e-9);
        let wrong: Vec<Vec<Hit>> = (0..10).map(|i| answer(&[i * 5 + 1])).collect();
        assert_eq!(recall(crowd, &probes, &wrong, Fusion::Off).at_1, 0.0);
    }
}
