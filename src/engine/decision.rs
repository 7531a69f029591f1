//! From a target false-positive identification rate to a cosine.
//!
//! A search of one stranger among `N` enrolled faces is `N` chances of a false match: FPIR = 1 - (1 - FMR)^N. So the false match rate
//! that a single comparison may have falls with the size of the collection, and the cosine that is asked for rises. Where a
//! person's features are fused, `N` is the number of people.

use crate::gallery::Fusion;
use crate::inference::ModelEntry;

/// Who is enrolled where it is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enrolled {
    pub people: usize,
    pub faces: usize,
}

/// How a search decides, by the tables of one embedding model.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    single: Impostors,
    /// Of means of several features; where they are what is searched.
    fused: Option<Impostors>,
}

/// What models.toml lacks for a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmeasured {
    #[error(
        "the embedding model has no impostor_cosine that can be used in models.toml: `recocomp bench calibrate --all-impostors --like search` \
         measures it"
    )]
    Faces,
    #[error(
        "the embedding model has no impostor_cosine_fused that can be used in models.toml: `recocomp bench calibrate --all-impostors --fused \
         --like search` measures it; or set `recognition.fusion` to \"off\""
    )]
    Means,
}

impl Decision {
    /// Of searches with this fusion.
    ///
    /// # Errors
    /// A table is missing or cannot be used. Stay shut.
    pub fn of(model: &ModelEntry, fusion: Fusion) -> Result<Decision, Unmeasured> {
        let fused = match fusion {
            Fusion::Off => None,
            Fusion::Mean => Some(Impostors::of_means(model).ok_or(Unmeasured::Means)?),
        };
        Ok(Decision {
            single: Impostors::of(model).ok_or(Unmeasured::Faces)?,
            fused,
        })
    }

    /// The cosine that the best match of a search needs, so that a stranger is taken for somebody who is enrolled with a probability
    /// of at most `target` (0 to 1).
    ///
    /// # Errors
    /// As [`Impostors::threshold`].
    pub fn threshold(&self, target: f64, enrolled: Enrolled) -> Result<Threshold, Undecidable> {
        let Some(fused) = &self.fused else {
            return self.single.threshold(target, enrolled.faces);
        };
        // Every person is one chance. Whoever has a single face is not in the table of means: the stricter one is for both.
        let of_people = |table: &Impostors| {
            (table.threshold(target, enrolled.people)).map_err(Undecidable::of_people)
        };
        let (fused, single) = (of_people(fused)?, of_people(&self.single)?);
        Ok(match single.cosine > fused.cosine {
            true => single,
            false => fused,
        })
    }
}

/// False match rates of one embedding model by cosine.
#[derive(Clone, Debug, PartialEq)]
pub struct Impostors {
    /// `(log10 of the rate, cosine)`, rates falling, cosines rising.
    points: Vec<(f64, f64)>,
    /// Rates below this were not measured.
    measured_to: f64,
}

/// The cosine that opens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    pub cosine: f32,
    /// False match rate of a single comparison.
    pub rate: f64,
    /// The rate lies below what was measured.
    pub extrapolated: bool,
}

/// Why nobody can be let in.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Undecidable {
    #[error("nobody is enrolled")]
    Nobody,
    #[error(
        "with {count} {of} enrolled a target_fpir of {target} needs a false match rate of {rate:.1e}, and the table of the \
         embedding model ends at {limit:.0e}: at most {most} {of}, or a target_fpir of at least {least:.1e}"
    )]
    BeyondTable {
        count: usize,
        /// Faces or people.
        of: &'static str,
        target: f64,
        rate: f64,
        limit: f64,
        most: usize,
        least: f64,
    },
}

impl Undecidable {
    /// The same about people.
    fn of_people(mut self) -> Undecidable {
        if let Undecidable::BeyondTable { of, .. } = &mut self {
            *of = "people";
        }
        self
    }
}

impl Impostors {
    /// The table of an embedding model; `None` if it has none that can be used: fewer than two points, or points out of order.
    pub fn of(model: &ModelEntry) -> Option<Impostors> {
        Impostors::new(&model.impostor_cosine, &model.impostor_cosine_extrapolated)
    }

    /// The same of the means of several features of a person.
    fn of_means(model: &ModelEntry) -> Option<Impostors> {
        Impostors::new(
            &model.impostor_cosine_fused,
            &model.impostor_cosine_fused_extrapolated,
        )
    }

    fn new(measured: &[[f64; 2]], extrapolated: &[[f64; 2]]) -> Option<Impostors> {
        let points: Vec<(f64, f64)> = (measured.iter().chain(extrapolated))
            .map(|[rate, cosine]| (rate.log10(), *cosine))
            .collect();
        let ordered = points
            .windows(2)
            .all(|w| w[0].0 > w[1].0 && w[0].1 < w[1].1);
        let sensible = (points.iter())
            .all(|(rate, cosine)| *rate < 0.0 && rate.is_finite() && cosine.abs() <= 1.0);
        let measured_to = measured.last()?[0];
        (ordered && sensible && measured.len() >= 2).then_some(Impostors {
            points,
            measured_to,
        })
    }

    /// The last point of the table: what is asked for where no more can be.
    pub fn strictest(&self) -> Threshold {
        let (log_rate, cosine) = self.points.last().copied().unwrap_or((0.0, 1.0));
        let rate = 10_f64.powf(log_rate);
        Threshold {
            cosine: cosine as f32,
            rate,
            extrapolated: rate < self.measured_to * (1.0 - 1e-9),
        }
    }

    /// The cosine that the best match of a search needs, so that a stranger is taken for one of those enrolled, who are so many `chances`,
    /// with a probability of at most `target` (0 to 1). Each face is one, not each person, unless a person's are searched as one.
    ///
    /// # Errors
    /// [`Undecidable`], if the rate lies beyond the table. Stay shut.
    pub fn threshold(&self, target: f64, chances: usize) -> Result<Threshold, Undecidable> {
        if chances == 0 {
            return Err(Undecidable::Nobody);
        }
        let count = chances as f64;
        // 1 - (1 - target)^(1 / chances), exact for small numbers.
        let rate = -((-target).ln_1p() / count).exp_m1();
        let x = rate.log10();
        let (&(first, first_cosine), &(last, _)) = (self.points.first())
            .zip(self.points.last())
            .ok_or(Undecidable::Nobody)?;
        // A hair of tolerance, so that a rate that is the last point's is not lost to rounding.
        if x < last - 1e-9 || !x.is_finite() {
            let limit = 10_f64.powf(last);
            let most = (-target).ln_1p() / (-limit).ln_1p();
            return Err(Undecidable::BeyondTable {
                count: chances,
                of: "faces",
                target,
                rate,
                limit,
                most: most.max(0.0) as usize,
                least: -(count * (-limit).ln_1p()).exp_m1(),
            });
        }
        let between = self.points.windows(2).find(|w| x >= w[1].0 - 1e-9);
        let cosine = match between {
            _ if x >= first => first_cosine,
            Some(w) => {
                let part = (x - w[0].0) / (w[1].0 - w[0].0);
                w[0].1 + part * (w[1].1 - w[0].1)
            }
            None => return Err(Undecidable::Nobody),
        };
        Ok(Threshold {
            cosine: cosine as f32,
            rate,
            extrapolated: rate < self.measured_to * (1.0 - 1e-9),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::{ModelPaths, ModelSet};

    fn table() -> Impostors {
        Impostors::new(
            &[[1e-2, 0.3], [1e-3, 0.4], [1e-4, 0.5], [1e-5, 0.6]],
            &[[1e-6, 0.65]],
        )
        .unwrap()
    }

    fn near(a: f32, b: f32) -> bool {
        (a - b).abs() < 1e-4
    }

    #[test]
    fn the_embedded_model_has_a_table() {
        let models = ModelSet::load(&ModelPaths::default()).unwrap();
        let table = Impostors::of(&models.embedder.entry).unwrap();
        let one = table.threshold(0.001, 1).unwrap();
        let many = table.threshold(0.001, 900).unwrap();
        assert!(one.cosine < many.cosine && !one.extrapolated && many.extrapolated);
    }

    #[test]
    fn means_are_decided_by_people_and_by_the_stricter_table() {
        let models = ModelSet::load(&ModelPaths::default()).unwrap();
        let entry = &models.embedder.entry;
        let (of_faces, of_people) = (
            Decision::of(entry, Fusion::Off).unwrap(),
            Decision::of(entry, Fusion::Mean).unwrap(),
        );
        let (single, fused) = (
            Impostors::of(entry).unwrap(),
            Impostors::of_means(entry).unwrap(),
        );
        for people in [1, 7, 10, 50, 100, 400] {
            let enrolled = Enrolled {
                people,
                faces: people * 2,
            };
            let cosine = |table: &Impostors, n| table.threshold(1e-3, n).unwrap().cosine;
            assert_eq!(
                of_faces.threshold(1e-3, enrolled).unwrap().cosine,
                cosine(&single, people * 2)
            );
            assert_eq!(
                of_people.threshold(1e-3, enrolled).unwrap().cosine,
                cosine(&single, people).max(cosine(&fused, people))
            );
        }
        // Five times the faces, and no fewer people.
        let enrolled = Enrolled {
            people: 500,
            faces: 2500,
        };
        assert!(of_faces.threshold(1e-3, enrolled).is_err());
        assert!(of_people.threshold(1e-3, enrolled).is_ok());
        let crowd = Enrolled {
            people: 2000,
            faces: 2000,
        };
        let said = |decision: &Decision| decision.threshold(1e-3, crowd).unwrap_err().to_string();
        assert!(
            said(&of_people).contains("with 2000 people")
                && said(&of_people).contains("1000 people")
        );
        assert!(said(&of_faces).contains("with 2000 faces"));
    }

    #[test]
    fn a_model_without_a_table_decides_nothing() {
        let mut entry = ModelSet::load(&ModelPaths::default())
            .unwrap()
            .embedder
            .entry;
        entry.impostor_cosine_fused.clear();
        assert!(Decision::of(&entry, Fusion::Off).is_ok());
        let said = Decision::of(&entry, Fusion::Mean).unwrap_err().to_string();
        assert!(said.contains("no impostor_cosine_fused") && said.contains("recognition.fusion"));
        entry.impostor_cosine.clear();
        assert!(Decision::of(&entry, Fusion::Off).is_err());
    }

    #[test]
    fn the_rate_of_a_comparison_falls_with_the_faces() {
        let table = table();
        // One comparison: the target itself.
        assert!(near(table.threshold(1e-3, 1).unwrap().cosine, 0.4));
        // A hundred: a hundredth of it, nearly.
        let hundred = table.threshold(1e-3, 100).unwrap();
        assert!(near(hundred.cosine, 0.6), "{hundred:?}");
        assert!((1.0 - (1.0 - hundred.rate).powi(100) - 1e-3).abs() < 1e-9);
        assert!(near(table.threshold(1e-3, 10).unwrap().cosine, 0.5));
        // Half a decade is half the way.
        let half = table.threshold(10_f64.powf(-2.5), 1).unwrap();
        assert!(near(half.cosine, 0.35), "{half:?}");
    }

    #[test]
    fn it_never_asks_for_less_with_more_faces_or_a_lower_target() {
        let table = table();
        let cosine = |target, faces| table.threshold(target, faces).unwrap().cosine;
        for faces in 1..1000 {
            assert!(
                cosine(1e-3, faces) <= cosine(1e-3, faces + 1) + 1e-7,
                "{faces}"
            );
            assert!(cosine(1e-2, faces) <= cosine(1e-3, faces) + 1e-7, "{faces}");
        }
    }

    #[test]
    fn what_was_extrapolated_is_said_and_beyond_it_nothing_opens() {
        let table = table();
        assert!(!table.threshold(1e-3, 99).unwrap().extrapolated);
        assert!(table.threshold(1e-3, 200).unwrap().extrapolated);
        assert!(table.threshold(1e-3, 1000).is_ok());
        let said = table.threshold(1e-3, 1002).unwrap_err().to_string();
        assert!(said.contains("at most 1000 faces"), "{said}");
        assert!(said.contains("1.0e-3"), "{said}");
        assert_eq!(table.threshold(1e-3, 0), Err(Undecidable::Nobody));
        assert!(table.threshold(0.0, 10).is_err());
        assert!(table.threshold(f64::NAN, 10).is_err());
        let strictest = table.strictest();
        assert!(near(strictest.cosine, 0.65) && strictest.extrapolated);
        assert!((strictest.rate - 1e-6).abs() < 1e-12);
    }

    #[test]
    fn a_generous_target_still_asks_for_the_first_point() {
        assert!(near(table().threshold(0.5, 1).unwrap().cosine, 0.3));
    }

    #[test]
    fn tables_out_of_order_are_none() {
        for wrong in [
            vec![],
            vec![[1e-3, 0.4]],
            vec![[1e-3, 0.4], [1e-2, 0.5]],
            vec![[1e-2, 0.4], [1e-3, 0.3]],
            vec![[1e-2, 0.4], [0.0, 0.5]],
            vec![[1e-2, 0.4], [f64::NAN, 0.5]],
        ] {
            assert_eq!(Impostors::new(&wrong, &[]), None, "{wrong:?}");
        }
    }
}
