//! Error versus discard: whether throwing away the pairs of lowest quality takes the errors with it
//! (ISO/IEC 29794-1).

use super::degrade::Random;

/// A pair of pictures of one person.
#[derive(Clone, Copy, Debug)]
pub struct Genuine {
    /// The lower of both pictures' qualities.
    pub quality: f32,
    /// Whether their similarity is below the threshold.
    pub rejected: bool,
}

/// Shares of the pairs that are thrown away.
pub const DISCARDED: [f64; 7] = [0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3];

/// Error rates after discards, and how they compare with chance.
pub struct Curve {
    /// False non-match rate for each of [`DISCARDED`].
    pub fnmr: [f64; DISCARDED.len()],
    /// Mean of those rates, and its median over random discards.
    pub mean: f64,
    pub random_median: f64,
    /// How often a random discard is as good or better (permutation test); small means that quality
    /// tells something.
    pub p: f64,
}

/// The curve of `pairs`, and the test against `permutations` random orders. `None` without a rejected pair:
/// nothing is left to predict.
pub fn curve(pairs: &[Genuine], permutations: usize) -> Option<Curve> {
    if !pairs.iter().any(|pair| pair.rejected) {
        return None;
    }
    let mut ordered = pairs.to_vec();
    ordered.sort_by(|a, b| a.quality.total_cmp(&b.quality));
    let mut rejected: Vec<bool> = ordered.iter().map(|pair| pair.rejected).collect();
    let fnmr = rates(&rejected);
    let mean_of = |rates: [f64; DISCARDED.len()]| rates.iter().sum::<f64>() / rates.len() as f64;
    let mean = mean_of(fnmr);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut means: Vec<f64> = (0..permutations)
        .map(|_| {
            random.shuffle(&mut rejected);
            mean_of(rates(&rejected))
        })
        .collect();
    let as_good = means.iter().filter(|&&m| m <= mean + 1e-12).count();
    Some(Curve {
        fnmr,
        mean,
        random_median: super::metrics::quantile(&mut means, 0.5),
        p: (as_good + 1) as f64 / (permutations + 1) as f64,
    })
}

/// Share of rejected pairs among those that are kept when the first ones are thrown away.
fn rates(rejected: &[bool]) -> [f64; DISCARDED.len()] {
    DISCARDED.map(|share| {
        let kept = &rejected[(share * rejected.len() as f64).round() as usize..];
        kept.iter().filter(|rejected| **rejected).count() as f64 / kept.len().max(1) as f64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(quality_of_rejected: impl Fn(usize) -> f32) -> Vec<Genuine> {
        (0..200)
            .map(|i| {
                let rejected = i % 10 == 0;
                Genuine {
                    quality: if rejected {
                        quality_of_rejected(i)
                    } else {
                        50.0 + i as f32 / 10.0
                    },
                    rejected,
                }
            })
            .collect()
    }

    #[test]
    fn quality_that_foresees_errors_beats_chance() {
        let curve = curve(&pairs(|i| i as f32 / 100.0), 1000).unwrap();
        assert_eq!(curve.fnmr[0], 0.1);
        assert_eq!(
            curve.fnmr[3], 0.0,
            "a tenth is rejected and a tenth thrown away"
        );
        assert!(
            curve.p < 0.002 && curve.mean < curve.random_median,
            "{}",
            curve.p
        );
    }

    #[test]
    fn quality_that_tells_nothing_does_not() {
        let curve = curve(&pairs(|i| 50.0 + i as f32 / 10.0), 1000).unwrap();
        assert!(curve.p > 0.05, "{}", curve.p);
    }

    #[test]
    fn quality_that_is_wrong_is_worse_than_chance() {
        assert!(curve(&pairs(|_| 100.0), 1000).unwrap().p > 0.99);
    }

    #[test]
    fn without_errors_there_is_nothing_to_foresee() {
        let fine = Genuine {
            quality: 1.0,
            rejected: false,
        };
        assert!(curve(&[fine; 10], 10).is_none());
    }
}
