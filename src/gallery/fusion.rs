//! What a person's features are to a search: each on its own, or all as one.

use super::search::{dot, product};
use super::template::{Row, Template};

/// What of a person's features a probe is compared with. The features are kept either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fusion {
    /// The most similar one.
    #[default]
    Off,
    /// The mean of them all.
    Mean,
}

impl Fusion {
    /// Cosine between `probe` and what stands for a person who has these features, -1 to 1; -1 without features. The same bits on
    /// every processor, and of a single feature the same ones with any fusion.
    pub fn cosine<'a>(
        self,
        features: impl IntoIterator<Item = &'a Template, IntoIter: ExactSizeIterator>,
        probe: &Template,
    ) -> f32 {
        let rows = features.into_iter().map(|feature| *feature.row());
        self.cosine_of_rows(rows, probe.row())
    }

    pub(super) fn cosine_of_rows(
        self,
        rows: impl ExactSizeIterator<Item = Row>,
        probe: &Row,
    ) -> f32 {
        match self {
            Fusion::Mean if rows.len() > 1 => cosine_of_mean(rows, probe),
            // No row of ours gives NaN, a made-up one may: it is like nobody.
            _ => rows.map(|row| dot(&row, probe)).fold(-1.0, f32::max),
        }
    }
}

fn cosine_of_mean(rows: impl Iterator<Item = Row>, probe: &Row) -> f32 {
    let mut sum: Row = [0.0; _];
    for row in rows {
        for (sum, x) in sum.iter_mut().zip(row) {
            *sum += x;
        }
    }
    let cosine = product(&sum, probe) / product(&sum, &sum).sqrt();
    match cosine.is_finite() {
        true => cosine.clamp(-1.0, 1.0),
        // They cancel out: no direction is like nobody.
        false => -1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(seed: u32) -> Template {
        let vector: Vec<f32> = (0..192)
            .map(|i| ((i * 7 + seed * 131) as f32 * 0.61).sin() + 0.5)
            .collect();
        Template::new(&vector).unwrap()
    }

    fn exact_mean(features: &[Template], probe: &Template) -> f64 {
        let sum: Vec<f64> = (0..192)
            .map(|i| features.iter().map(|f| f64::from(f.as_slice()[i])).sum())
            .collect();
        let norm = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
        let with = sum.iter().zip(probe.as_slice());
        with.map(|(x, &y)| x * f64::from(y)).sum::<f64>() / norm
    }

    #[test]
    fn the_mean_agrees_with_double_precision() {
        for seed in 0..40 {
            let features: Vec<Template> = (0..2 + seed % 5).map(|i| template(seed + i)).collect();
            let probe = template(seed + 100);
            let cosine = Fusion::Mean.cosine(&features, &probe);
            assert!((f64::from(cosine) - exact_mean(&features, &probe)).abs() < 1e-6);
            let best = (features.iter().map(|f| f.cosine(&probe))).fold(-1.0, f32::max);
            assert_eq!(Fusion::Off.cosine(&features, &probe), best);
        }
    }

    #[test]
    fn a_single_feature_is_the_same_with_any_fusion() {
        let (feature, probe) = (template(1), template(2));
        let cosine = feature.cosine(&probe);
        for fusion in [Fusion::Off, Fusion::Mean] {
            assert_eq!(fusion.cosine([&feature], &probe), cosine);
            assert_eq!(fusion.cosine([], &probe), -1.0);
        }
    }

    #[test]
    fn opposite_features_are_like_nobody() {
        let feature = template(3);
        let opposite: Vec<f32> = feature.as_slice().iter().map(|x| -x).collect();
        let opposite = Template::new(&opposite).unwrap();
        assert_eq!(Fusion::Mean.cosine([&feature, &opposite], &feature), -1.0);
        let same = Fusion::Mean.cosine([&feature, &feature, &feature], &feature);
        assert!(same <= 1.0 && same > 0.9999);
    }
}
