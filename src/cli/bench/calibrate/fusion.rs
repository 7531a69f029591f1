//! What several features of a person are worth: one of them, the most similar one, and the mean of all.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Pictures;
use super::impostors::{Impostors, Threshold};
use super::logistic::{Seen, calibration_error};
use crate::cli::Failure;
use crate::engine::{Decision, Enrolled};
use crate::gallery::{Fusion, MAX_FEATURES_PER_TARGET, Template};
use crate::inference::{ModelEntry, ScoreCurve};

/// False match rates whose thresholds are measured; the last is the lowest that some 190,000 comparisons show.
const RATES: [f64; 4] = [1e-2, 1e-3, 1e-4, 3e-5];

/// Those that only a straight line gives.
const BEYOND: [f64; 2] = [1e-5, 1e-6];

/// How often features are drawn from the pictures of each person.
const DRAWS: usize = 20;

/// The door that ways are compared at.
const TARGET_FPIR: f64 = 1e-3;
const DOORS: [usize; 4] = [1, 10, 100, 1000];

/// What a picture is compared with.
#[derive(Clone, Copy)]
struct Way {
    name: &'static str,
    features: usize,
    fusion: Fusion,
}

const WAYS: [Way; 4] = [
    Way {
        name: "one feature",
        features: 1,
        fusion: Fusion::Off,
    },
    Way {
        name: "the most similar feature",
        features: MAX_FEATURES_PER_TARGET,
        fusion: Fusion::Off,
    },
    Way {
        name: "the mean of two features",
        features: 2,
        fusion: Fusion::Mean,
    },
    Way {
        name: "the mean of the features",
        features: MAX_FEATURES_PER_TARGET,
        fusion: Fusion::Mean,
    },
];

impl Way {
    fn cosine(&self, features: &[&Template], seen: &Template) -> f32 {
        let used = &features[..features.len().min(self.features)];
        self.fusion.cosine(used.iter().copied(), seen)
    }
}

/// Who is compared with whom; the same for every way.
struct Trials<'a> {
    /// Five features of somebody, drawn, and whose they are.
    enrolled: Vec<(u32, Vec<&'a Template>)>,
    people: usize,
    /// The person's own picture and two to five of the others.
    genuine: Vec<(&'a Template, Vec<&'a Template>)>,
}

impl<'a> Trials<'a> {
    /// Strangers meet people with as many features as a person may have: more features are more chances, so that the thresholds hold
    /// for fewer, too. Each picture of somebody with three or more meets the next ones of the person's others.
    fn of(pictures: &Pictures<'a>) -> Trials<'a> {
        const FULL: usize = MAX_FEATURES_PER_TARGET;
        let mut by_person: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (picture, &person) in pictures.people.iter().enumerate() {
            by_person.entry(person).or_default().push(picture);
        }
        let first = |picture: &usize| pictures.first[*picture];
        let mut random = fastrand::Rng::with_seed(1);
        let (mut enrolled, mut genuine) = (Vec::new(), Vec::new());
        for (&person, all) in by_person.iter().filter(|(_, all)| all.len() >= FULL) {
            for _ in 0..DRAWS {
                let drawn = random.choose_multiple(all.iter(), FULL);
                enrolled.push((person, drawn.into_iter().map(first).collect()));
            }
        }
        for all in by_person.values().filter(|all| all.len() >= 3) {
            for (place, &own) in all.iter().enumerate() {
                let others = all[place + 1..].iter().chain(&all[..place]);
                let features = others.take(FULL).map(first).collect();
                genuine.push((pictures.second[own], features));
            }
        }
        Trials {
            people: enrolled.len() / DRAWS,
            enrolled,
            genuine,
        }
    }
}

/// One way, measured.
pub struct Measured {
    way: Way,
    people: usize,
    /// Comparisons of each draw with all pictures of others.
    impostors: u64,
    /// Cosines of people with themselves.
    genuine: Vec<f32>,
    pub thresholds: Vec<Threshold>,
    /// How far the score of models.toml is from the truth.
    error: f64,
    /// At a door with so many people of five faces each: the cosine that it asks for, if it opens at all. Empty where models.toml
    /// has no table yet.
    doors: Vec<(usize, Option<f32>)>,
}

/// # Errors
/// The list has too few people with several pictures.
pub fn measure(
    pictures: &Pictures,
    shipped: &ScoreCurve,
    model: &ModelEntry,
    samples: usize,
) -> Result<Vec<Measured>, Failure> {
    let trials = Trials::of(pictures);
    if trials.people < 2 {
        return Err(format!(
            "--fused needs two people or more with {MAX_FEATURES_PER_TARGET} pictures each, the list has {}",
            trials.people
        )
        .into());
    }
    let measured = WAYS.map(|way| way_measured(way, &trials, pictures, shipped, model, samples));
    Ok(measured.into())
}

fn way_measured(
    way: Way,
    trials: &Trials,
    pictures: &Pictures,
    shipped: &ScoreCurve,
    model: &ModelEntry,
    samples: usize,
) -> Measured {
    let genuine: Vec<f32> = (trials.genuine.iter())
        .map(|(own, features)| way.cosine(features, own))
        .collect();
    let strangers = |(person, features): &(u32, Vec<&Template>)| -> Vec<(f32, u32, u32)> {
        (pictures.people.iter().zip(&pictures.second))
            .filter(|(other, _)| *other != person)
            .map(|(&other, seen)| (way.cosine(features, seen), *person, other))
            .collect()
    };
    let all: Vec<(f32, u32, u32)> = trials.enrolled.iter().flat_map(strangers).collect();
    let mut seen: Vec<Seen> = genuine.iter().map(|&cosine| (cosine, true)).collect();
    seen.extend(all.iter().map(|&(cosine, ..)| (cosine, false)));
    let enrolled: Vec<u32> = trials.enrolled.iter().map(|(person, _)| *person).collect();
    let impostors = Impostors::repeated(all, &enrolled, &pictures.people, DRAWS);
    let thresholds = impostors.thresholds_and_beyond(&RATES, &BEYOND, samples);
    let doors = Decision::of(model, way.fusion).map(|decision| {
        let door = |people| {
            let faces = people * way.features;
            let threshold = decision.threshold(TARGET_FPIR, Enrolled { people, faces });
            (people, threshold.ok().map(|threshold| threshold.cosine))
        };
        DOORS.map(door).to_vec()
    });
    Measured {
        way,
        people: trials.people,
        impostors: impostors.pairs / DRAWS as u64,
        genuine,
        thresholds,
        error: calibration_error(shipped, &seen),
        doors: doors.unwrap_or_default(),
    }
}

impl Measured {
    /// Whether it is what `impostor_cosine_fused` is about.
    pub fn is_mean(&self) -> bool {
        self.way.fusion == Fusion::Mean && self.way.features == MAX_FEATURES_PER_TARGET
    }

    /// How many of the people's own comparisons are at or below this cosine.
    fn refused(&self, cosine: f32) -> usize {
        self.genuine.iter().filter(|&&own| own <= cosine).count()
    }

    fn tar(&self, cosine: f32) -> f64 {
        1.0 - self.refused(cosine) as f64 / self.genuine.len().max(1) as f64
    }

    pub fn json(&self) -> Value {
        let threshold = |t: &Threshold| {
            json!({
                "fmr": t.fmr,
                "cosine": t.cosine,
                "cosine_95": t.interval.map(|(low, high)| [low, high]),
                "tar": self.tar(t.cosine),
                "extrapolated": t.extrapolated,
            })
        };
        let door = |&(people, cosine): &(usize, Option<f32>)| json!({"people": people, "cosine": cosine, "tar": cosine.map(|c| self.tar(c))});
        json!({
            "compared_with": self.way.name,
            "people_with_all_features": self.people,
            "impostor_comparisons_of_a_draw": self.impostors,
            "draws": DRAWS,
            "genuine_comparisons": self.genuine.len(),
            "thresholds": self.thresholds.iter().map(threshold).collect::<Vec<_>>(),
            "calibration_error": self.error,
            "doors": self.doors.iter().map(door).collect::<Vec<_>>(),
        })
    }

    pub fn print(&self) {
        println!(
            "{}: {} people, features drawn {DRAWS} times, {} comparisons with others each time, {} with their own; score and truth {:.4} apart",
            self.way.name,
            self.people,
            self.impostors,
            self.genuine.len(),
            self.error
        );
        println!("FMR     cosine  95 % interval      TAR       refused");
        for t in &self.thresholds {
            println!(
                "{:<6.0e}  {:.4}  {:<16}   {:>6.2} %  {:>6}",
                t.fmr,
                t.cosine,
                super::interval(t),
                100.0 * self.tar(t.cosine),
                self.refused(t.cosine)
            );
        }
        if self.thresholds.is_empty() {
            println!("too few comparisons for a threshold");
        }
        for (people, cosine) in &self.doors {
            let asked = match cosine {
                Some(cosine) => format!(
                    "{cosine:.4}             {:>6.2} %",
                    100.0 * self.tar(*cosine)
                ),
                None => "stays shut".to_owned(),
            };
            println!("door, {people:>5} people   {asked}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::{ModelPaths, ModelSet};

    const PEOPLE: usize = 12;
    const EACH: usize = 6;

    /// Pictures around a direction of each person's, as enrolled and as seen.
    fn templates(random: &mut fastrand::Rng) -> [Vec<Template>; 2] {
        let mut direction = |spread: f32| -> Vec<f32> {
            (0..192)
                .map(|_| spread * (random.f32() + random.f32() - 1.0))
                .collect()
        };
        let mut all = [Vec::new(), Vec::new()];
        for _ in 0..PEOPLE {
            let center = direction(1.0);
            for _ in 0..EACH {
                for templates in &mut all {
                    let row: Vec<f32> = (center.iter().zip(direction(0.8)))
                        .map(|(x, noise)| x + noise)
                        .collect();
                    templates.push(Template::new(&row).unwrap());
                }
            }
        }
        all
    }

    fn pictures<'a>(enrolled: &'a [Template], seen: &'a [Template], each: usize) -> Pictures<'a> {
        Pictures {
            paths: vec!["x"; enrolled.len()],
            people: (0..enrolled.len() as u32)
                .map(|i| i / each as u32)
                .collect(),
            first: enrolled.iter().collect(),
            second: seen.iter().collect(),
        }
    }

    fn measured(pictures: &Pictures) -> Result<Vec<Measured>, Failure> {
        let models = ModelSet::load(&ModelPaths::default()).unwrap();
        measure(pictures, &models.score, &models.embedder.entry, 20)
    }

    #[test]
    fn the_ways_are_measured_on_the_same_comparisons() {
        let [enrolled, seen] = templates(&mut fastrand::Rng::with_seed(5));
        let ways = measured(&pictures(&enrolled, &seen, EACH)).unwrap();
        let [one, best, two, mean] = ways.as_slice() else {
            panic!("{} ways", ways.len());
        };
        for way in &ways {
            assert_eq!((way.people, way.genuine.len()), (PEOPLE, PEOPLE * EACH));
            assert_eq!(way.impostors, (PEOPLE * (PEOPLE - 1) * EACH) as u64);
            // 792 comparisons of a draw show one in a hundred, and no less.
            let rates: Vec<f64> = way.thresholds.iter().map(|t| t.fmr).collect();
            assert_eq!(rates, [1e-2]);
        }
        // The first picture is seen by the next of the same person, the last by the first again.
        let last = EACH - 1;
        for (picture, next) in [(0, 1), (last, 0)] {
            assert_eq!(one.genuine[picture], enrolled[next].cosine(&seen[picture]));
        }
        for (i, own) in seen.iter().enumerate() {
            let person = i / EACH * EACH;
            let others = (person..person + EACH).filter(|&other| other != i);
            let cosines = others.map(|other| enrolled[other].cosine(own));
            assert_eq!(best.genuine[i], cosines.fold(-1.0, f32::max));
        }
        // Around one direction more features are more like it.
        let sum = |way: &Measured| way.genuine.iter().sum::<f32>();
        assert!(sum(mean) > sum(two) && sum(two) > sum(one));
        assert!(best.thresholds[0].cosine > one.thresholds[0].cosine);
        assert!(mean.is_mean() && !two.is_mean() && !best.is_mean());
        assert_eq!(mean.refused(1.0), PEOPLE * EACH);
        assert_eq!(mean.tar(-1.0), 1.0);
        assert_eq!(best.doors[3], (1000, None), "5,000 faces are too many");
        assert!(mean.doors[3].1.unwrap() > mean.doors[2].1.unwrap());
    }

    #[test]
    fn nobody_is_a_stranger_to_oneself() {
        // Everybody looks the same: only the pairs of two people count.
        let same = vec![Template::new(&[1.0; 192]).unwrap(); 2 * EACH];
        let ways = measured(&pictures(&same, &same, EACH)).unwrap();
        assert!(ways.iter().all(|way| way.impostors == 2 * EACH as u64));
    }

    #[test]
    fn too_few_pictures_are_an_error() {
        let [enrolled, seen] = templates(&mut fastrand::Rng::with_seed(6));
        let said = measured(&pictures(&enrolled, &seen, 4))
            .err()
            .unwrap()
            .to_string();
        assert!(said.contains("5 pictures each, the list has 0"), "{said}");
    }
}
