//! Verification metrics in the terms of ISO/IEC 19795-1: FMR, FNMR, TAR (1 - FNMR), EER.

/// A comparison: the similarity of a pair and whether both are one person. A pair with a missed
/// face has no similarity: nothing accepts it, and it counts as decided wrong.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    pub similarity: Option<f32>,
    pub same: bool,
}

const FOLDS: usize = 10;

/// Mean accuracy (0..1) over ten folds, each decided as [`ten_fold_decisions`] tells.
pub fn ten_fold_accuracy(trials: &[Trial]) -> f64 {
    let (folds, right) = (folds(trials), ten_fold_decisions(trials));
    let accuracies: Vec<f64> = (0..FOLDS)
        .filter_map(|fold| {
            let of_fold = || (folds.iter().zip(&right)).filter(move |(f, _)| **f == fold);
            let right = of_fold().filter(|(_, right)| **right).count();
            (of_fold().count() > 0).then(|| right as f64 / of_fold().count() as f64)
        })
        .collect();
    accuracies.iter().sum::<f64>() / accuracies.len().max(1) as f64
}

/// Whether each trial is decided right with the threshold that is best on the nine folds it is not in.
pub fn ten_fold_decisions(trials: &[Trial]) -> Vec<bool> {
    let folds = folds(trials);
    let thresholds: Vec<f32> = (0..FOLDS)
        .map(|fold| {
            let others: Vec<Trial> = (trials.iter().zip(&folds))
                .filter(|(_, f)| **f != fold)
                .map(|(trial, _)| *trial)
                .collect();
            best_threshold(&others)
        })
        .collect();
    (trials.iter().zip(&folds))
        .map(|(trial, fold)| {
            (trial.similarity).is_some_and(|s| (s >= thresholds[*fold]) == trial.same)
        })
        .collect()
}

/// The k-th genuine and the k-th impostor pair are in fold k mod 10.
fn folds(trials: &[Trial]) -> Vec<usize> {
    let (mut genuine, mut impostor) = (0, 0);
    (trials.iter())
        .map(|trial| {
            let count = if trial.same {
                &mut genuine
            } else {
                &mut impostor
            };
            *count += 1;
            (*count - 1) % FOLDS
        })
        .collect()
}

/// The threshold with most right decisions; the middle one where several are equal.
fn best_threshold(trials: &[Trial]) -> f32 {
    let mut seen: Vec<(f32, bool)> = (trials.iter())
        .filter_map(|t| Some((t.similarity?, t.same)))
        .collect();
    seen.sort_by(|a, b| b.0.total_cmp(&a.0));
    let impostors = seen.iter().filter(|(_, same)| !same).count() as i64;
    // From the strictest threshold down: each genuine pair taken in is won, each impostor lost.
    let (mut right, mut best, mut at) = (impostors, impostors, vec![f32::INFINITY]);
    for (i, (similarity, same)) in seen.iter().enumerate() {
        right += if *same { 1 } else { -1 };
        if seen.get(i + 1).is_some_and(|next| next.0 == *similarity) {
            continue;
        }
        if right > best {
            (best, at) = (right, Vec::new());
        }
        if right == best {
            // Between this pair and the next, as far from both as can be.
            let next = seen.get(i + 1).map_or(*similarity, |next| next.0);
            at.push((similarity + next) / 2.0);
        }
    }
    at[at.len() / 2]
}

/// The threshold above which at most the share `fmr` of impostors lies, and the share of genuine
/// pairs above it (TAR). `None` without impostors or genuine pairs.
pub fn tar_at_fmr(trials: &[Trial], fmr: f64) -> Option<(f32, f64)> {
    let side = |same: bool| -> Vec<f32> {
        (trials.iter())
            .filter(|t| t.same == same)
            .map(|t| t.similarity.unwrap_or(f32::NEG_INFINITY))
            .collect()
    };
    let (genuine, mut impostor) = (side(true), side(false));
    impostor.sort_by(|a, b| b.total_cmp(a));
    let threshold = *impostor.get((fmr * impostor.len() as f64) as usize)?;
    let accepted = genuine.iter().filter(|&&s| s > threshold).count();
    (!genuine.is_empty()).then(|| (threshold, accepted as f64 / genuine.len() as f64))
}

/// Equal error rate: the smallest over all thresholds of the larger of FMR and FNMR.
pub fn equal_error_rate(trials: &[Trial]) -> f64 {
    let mut all: Vec<(f32, bool)> = (trials.iter())
        .map(|t| (t.similarity.unwrap_or(f32::NEG_INFINITY), t.same))
        .collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    let genuine = all.iter().filter(|(_, same)| *same).count().max(1) as f64;
    let impostor = all.iter().filter(|(_, same)| !same).count().max(1) as f64;
    let (mut accepted_genuine, mut accepted_impostor, mut best) = (0.0, 0.0, 1.0f64);
    for (i, (similarity, same)) in all.iter().enumerate() {
        if *similarity == f32::NEG_INFINITY {
            break;
        }
        *(if *same {
            &mut accepted_genuine
        } else {
            &mut accepted_impostor
        }) += 1.0;
        if all.get(i + 1).is_none_or(|next| next.0 != *similarity) {
            let (fmr, fnmr) = (
                accepted_impostor / impostor,
                1.0 - accepted_genuine / genuine,
            );
            best = best.min(fmr.max(fnmr));
        }
    }
    best
}

/// 95 % interval of a rate, 0..1, of which `hits` in `trials` independent ones were seen: the score interval, which also holds where none
/// or all were. `None` without trials. Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
pub fn wilson_interval(hits: u64, trials: u64) -> Option<(f64, f64)> {
    /// Quantile 0.975 of the standard normal distribution.
    const Z: f64 = 1.959_963_985;
    if trials == 0 {
        return None;
    }
    let n = trials as f64;
    let rate = hits as f64 / n;
    let shrunk = 1.0 + Z * Z / n;
    let centre = (rate + Z * Z / (2.0 * n)) / shrunk;
    let half = Z / shrunk * (rate * (1.0 - rate) / n + Z * Z / (4.0 * n * n)).sqrt();
    // Rounding must not leave none or all outside.
    let low = if hits == 0 { 0.0 } else { centre - half };
    let high = if hits == trials { 1.0 } else { centre + half };
    Some((low, high))
}

/// The `share` (0..1) quantile of `values`, which it sorts; 0 without values.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n => values[((n - 1) as f64 * share).round() as usize],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trials(genuine: &[f32], impostor: &[f32]) -> Vec<Trial> {
        let side = |values: &[f32], same| -> Vec<Trial> {
            (values.iter())
                .map(|&s| Trial {
                    similarity: s.is_finite().then_some(s),
                    same,
                })
                .collect()
        };
        [side(genuine, true), side(impostor, false)].concat()
    }

    #[test]
    fn separated_pairs_are_perfect() {
        let t = trials(&[0.9; 40], &[0.1; 40]);
        assert_eq!(ten_fold_accuracy(&t), 1.0);
        assert_eq!(tar_at_fmr(&t, 1e-3), Some((0.1, 1.0)));
        assert_eq!(equal_error_rate(&t), 0.0);
    }

    #[test]
    fn hopeless_pairs_are_half_right() {
        let t = trials(&[0.5; 40], &[0.5; 40]);
        assert_eq!(ten_fold_accuracy(&t), 0.5);
        assert_eq!(tar_at_fmr(&t, 1e-2).unwrap().1, 0.0);
        assert_eq!(equal_error_rate(&t), 1.0);
    }

    #[test]
    fn a_missed_face_is_a_failed_pair() {
        let mut genuine = [0.9; 40];
        genuine[3] = f32::NAN;
        let mut impostor = [0.1; 40];
        impostor[7] = f32::NAN;
        let t = trials(&genuine, &impostor);
        assert!((ten_fold_accuracy(&t) - 78.0 / 80.0).abs() < 1e-12);
        assert!((tar_at_fmr(&t, 1e-3).unwrap().1 - 39.0 / 40.0).abs() < 1e-12);
        assert!((equal_error_rate(&t) - 1.0 / 40.0).abs() < 1e-12);
    }

    #[test]
    fn one_impostor_in_a_hundred() {
        let mut impostor: Vec<f32> = (0..100).map(|i| i as f32 / 1000.0).collect();
        impostor[0] = 0.8;
        let t = trials(&[0.5, 0.5, 0.5, 0.9], &impostor);
        // At 1e-2 one impostor may pass, so the threshold is the second highest.
        assert_eq!(tar_at_fmr(&t, 1e-2).unwrap(), (0.099, 1.0));
        assert_eq!(tar_at_fmr(&t, 1e-3).unwrap(), (0.8, 0.25));
    }

    /// Examples of R. Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I, method 3.
    #[test]
    fn published_wilson_intervals() {
        for (hits, trials, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let (l, h) = wilson_interval(hits, trials).unwrap();
            assert!((l - low).abs() < 5e-5 && (h - high).abs() < 5e-5, "{l} {h}");
            // Misses instead of hits are its mirror image.
            let (a, b) = wilson_interval(trials - hits, trials).unwrap();
            assert!((1.0 - b - l).abs() < 1e-12 && (1.0 - a - h).abs() < 1e-12);
        }
        assert_eq!(wilson_interval(0, 0), None);
        assert_eq!(wilson_interval(7, 7).unwrap().1, 1.0);
    }

    #[test]
    fn quantiles() {
        let mut values: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!(quantile(&mut values, 0.5), 50.0);
        assert_eq!(quantile(&mut values, 0.99), 99.0);
        assert_eq!(quantile(&mut [], 0.5), 0.0);
    }
}
