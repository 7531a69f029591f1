//! The curve that makes a score of a cosine: fitting it, and how true it is.

use crate::inference::ScoreCurve;

/// A comparison: its cosine, and whether both are one person.
pub type Seen = (f32, bool);

/// Iterations end when no parameter moves by more.
const CLOSE: f64 = 1e-9;
const MOST_ITERATIONS: usize = 100;

/// Fits the curve by Platt's method, both classes weighing the same.
///
/// The classes hardly overlap, so plain maximum likelihood would make the slope as steep as the one worst pair allows. The
/// targets (n+1)/(n+2) and 1/(n+2) regularise: no more certainty than n pairs can show. Source: J. Platt, "Probabilistic
/// outputs for support vector machines", 1999. `None` without pairs of both kinds.
pub fn fit(seen: &[Seen]) -> Option<ScoreCurve> {
    let genuine = seen.iter().filter(|(_, same)| *same).count() as f64;
    let impostor = seen.len() as f64 - genuine;
    if genuine == 0.0 || impostor == 0.0 {
        return None;
    }
    let rows: Vec<(f64, f64, f64)> = (seen.iter())
        .map(|&(cosine, same)| match same {
            true => (
                f64::from(cosine),
                (genuine + 1.0) / (genuine + 2.0),
                0.5 / genuine,
            ),
            false => (f64::from(cosine), 1.0 / (impostor + 2.0), 0.5 / impostor),
        })
        .collect();
    let loss = |slope: f64, offset: f64| -> f64 {
        let one = |&(x, target, weight): &(f64, f64, f64)| {
            let logit = slope * x + offset;
            weight * (logit.max(0.0) + (-logit.abs()).exp().ln_1p() - target * logit)
        };
        rows.iter().map(one).sum()
    };
    let (mut slope, mut offset) = (0.0, 0.0);
    for _ in 0..MOST_ITERATIONS {
        // Gradient and curvature of the loss: Newton's method.
        let (mut g, mut h) = ([0.0; 2], [0.0; 3]);
        for &(x, target, weight) in &rows {
            let p = 1.0 / (1.0 + (-(slope * x + offset)).exp());
            let (first, second) = (weight * (p - target), weight * p * (1.0 - p));
            g[0] += first * x;
            g[1] += first;
            h[0] += second * x * x;
            h[1] += second * x;
            h[2] += second;
        }
        let determinant = h[0] * h[2] - h[1] * h[1];
        if determinant <= f64::MIN_POSITIVE {
            break;
        }
        let mut step = [
            (h[2] * g[0] - h[1] * g[1]) / determinant,
            (h[0] * g[1] - h[1] * g[0]) / determinant,
        ];
        let before = loss(slope, offset);
        while loss(slope - step[0], offset - step[1]) > before && step[0].abs() > CLOSE {
            step = step.map(|s| s / 2.0);
        }
        slope -= step[0];
        offset -= step[1];
        if step.iter().all(|s| s.abs() < CLOSE) {
            break;
        }
    }
    Some(ScoreCurve { slope, offset })
}

/// A tenth of the scale of scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    pub pairs: usize,
    /// Mean score of its pairs.
    pub score: f64,
    /// Which share of them is of one person, each class weighing the same over all bins.
    pub genuine: f64,
}

/// Scores against the truth, in tenths. As in [`fit`] the classes weigh the same, whatever their numbers.
pub fn reliability(curve: &ScoreCurve, seen: &[Seen]) -> Vec<Option<Bin>> {
    let genuine = seen.iter().filter(|(_, same)| *same).count().max(1) as f64;
    let impostor = seen.iter().filter(|(_, same)| !same).count().max(1) as f64;
    let mut bins = [(0, 0.0, 0.0, 0.0); 10];
    for &(cosine, same) in seen {
        let score = curve.score(cosine);
        let weight = 1.0 / if same { genuine } else { impostor };
        let bin = &mut bins[((score * 10.0) as usize).min(9)];
        bin.0 += 1;
        bin.1 += weight * score;
        bin.2 += weight;
        bin.3 += if same { weight } else { 0.0 };
    }
    (bins.iter())
        .map(|&(pairs, scores, weight, same)| {
            (pairs > 0).then(|| Bin {
                pairs,
                score: scores / weight,
                genuine: same / weight,
            })
        })
        .collect()
}

/// Expected calibration error: how far score and truth lie apart on average, 0..1. Source: M. Naeini et al., 2015.
pub fn calibration_error(curve: &ScoreCurve, seen: &[Seen]) -> f64 {
    let genuine = seen.iter().filter(|(_, same)| *same).count().max(1) as f64;
    let impostor = seen.iter().filter(|(_, same)| !same).count().max(1) as f64;
    let mut bins = [(0.0, 0.0); 10];
    for &(cosine, same) in seen {
        let score = curve.score(cosine);
        let weight = 0.5 / if same { genuine } else { impostor };
        let bin = &mut bins[((score * 10.0) as usize).min(9)];
        bin.0 += weight * score;
        bin.1 += if same { weight } else { 0.0 };
    }
    bins.iter().map(|(score, same)| (score - same).abs()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs whose truth follows a known curve, in equal numbers at every cosine.
    fn of(curve: &ScoreCurve) -> Vec<Seen> {
        let mut seen = Vec::new();
        for step in 0..=200 {
            let cosine = -0.2 + step as f32 * 0.006;
            let genuine = (curve.score(cosine) * 400.0).round() as usize;
            seen.extend((0..400).map(|i| (cosine, i < genuine)));
        }
        seen
    }

    #[test]
    fn a_known_curve_is_found_again_and_is_true() {
        let known = ScoreCurve {
            slope: 12.0,
            offset: -4.8,
        };
        let seen = of(&known);
        let found = fit(&seen).unwrap();
        assert!((found.slope - known.slope).abs() < 0.5, "{found:?}");
        assert!((found.offset - known.offset).abs() < 0.3, "{found:?}");
        assert!(calibration_error(&found, &seen) < 0.02);
        let bins = reliability(&found, &seen);
        for bin in bins.iter().flatten() {
            assert!((bin.score - bin.genuine).abs() < 0.05, "{bin:?}");
        }
        let pairs: usize = bins.iter().flatten().map(|bin| bin.pairs).sum();
        assert_eq!(pairs, seen.len());
    }

    #[test]
    fn a_curve_that_is_too_sure_of_itself_shows() {
        let seen = of(&ScoreCurve {
            slope: 6.0,
            offset: -2.4,
        });
        let steep = ScoreCurve {
            slope: 40.0,
            offset: -16.0,
        };
        assert!(calibration_error(&steep, &seen) > 0.05);
    }

    #[test]
    fn one_kind_of_pairs_gives_no_curve() {
        assert!(fit(&[(0.5, true), (0.7, true)]).is_none());
        assert!(fit(&[]).is_none());
    }

    #[test]
    fn separated_pairs_give_a_finite_curve() {
        let seen: Vec<Seen> = (0..100)
            .flat_map(|i| [(0.6 + i as f32 * 0.002, true), (0.1, false)])
            .collect();
        let curve = fit(&seen).unwrap();
        assert!(curve.slope.is_finite() && curve.slope > 5.0 && curve.slope < 200.0);
        assert!(curve.score(0.8) > 0.9 && curve.score(0.1) < 0.1);
    }
}
