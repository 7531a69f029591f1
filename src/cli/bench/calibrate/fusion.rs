//! What the mean of a person's features is worth beside one of them, and beside the most similar one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::impostors::Impostors;
use super::logistic::{Seen, calibration_error};
use super::{Pictures, Point, points};
use crate::gallery::{Fusion, MAX_FEATURES_PER_TARGET, Template};
use crate::inference::ScoreCurve;

/// One way to compare a picture with somebody who has several features, measured.
pub struct Measured {
    pub name: &'static str,
    pub fusion: Fusion,
    pub genuine: usize,
    pub impostors: u64,
    /// Templates, and the people among whom strangers are looked for.
    pub people: [usize; 2],
    pub points: Vec<Point>,
    /// How far the score of models.toml is from the truth.
    pub error: f64,
}

/// Everyone with two pictures or more is enrolled with the first five of them, and each picture of others is a stranger's. Each picture
/// of somebody with three or more is also compared with the next five of the person's others: so it is seen by two features or
/// more that it is none of. All ways are measured on the same comparisons.
pub fn measure(pictures: &Pictures, shipped: &ScoreCurve, samples: usize) -> Vec<Measured> {
    let mut by_person: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (picture, &person) in pictures.people.iter().enumerate() {
        by_person.entry(person).or_default().push(picture);
    }
    by_person.retain(|_, all| all.len() >= 2);
    let features = |of: &[usize]| -> Vec<&Template> {
        let first = of.iter().take(MAX_FEATURES_PER_TARGET);
        first.map(|&picture| pictures.first[picture]).collect()
    };
    let enrolled: Vec<u32> = by_person.keys().copied().collect();
    let templates: Vec<Vec<&Template>> = by_person.values().map(|all| features(all)).collect();
    let mut own = Vec::new();
    for all in by_person.values().filter(|all| all.len() >= 3) {
        for place in 0..all.len() {
            let others: Vec<usize> = (1..all.len())
                .map(|step| all[(place + step) % all.len()])
                .collect();
            own.push((features(&others), pictures.second[all[place]]));
        }
    }
    let ways = [
        ("the first feature", 1, Fusion::Off),
        (
            "the most similar feature",
            MAX_FEATURES_PER_TARGET,
            Fusion::Off,
        ),
        (
            "the mean of the features",
            MAX_FEATURES_PER_TARGET,
            Fusion::Mean,
        ),
    ];
    (ways.into_iter())
        .map(|(name, most, fusion)| {
            let cosine = |features: &[&Template], seen: &Template| {
                let used = &features[..features.len().min(most)];
                fusion.cosine(used.iter().copied(), seen)
            };
            let genuine: Vec<f32> = own.iter().map(|(f, seen)| cosine(f, seen)).collect();
            let mut seen: Vec<Seen> = genuine.iter().map(|&cosine| (cosine, true)).collect();
            for (features, &person) in templates.iter().zip(&enrolled) {
                let others = (pictures.people.iter()).zip(&pictures.second);
                let others = others.filter(|(other, _)| **other != person);
                seen.extend(others.map(|(_, picture)| (cosine(features, picture), false)));
            }
            let impostors = Impostors::between(&enrolled, &pictures.people, |i, j| {
                cosine(&templates[i], pictures.second[j])
            });
            let genuine: Vec<Option<f32>> = genuine.into_iter().map(Some).collect();
            Measured {
                name,
                fusion,
                genuine: genuine.len(),
                impostors: impostors.pairs,
                people: [enrolled.len(), pictures.count_people()],
                points: points(&impostors, &genuine, samples),
                error: calibration_error(shipped, &seen),
            }
        })
        .collect()
}

impl Measured {
    pub fn json(&self, point: impl Fn(&Point) -> Value) -> Value {
        json!({
            "compared_with": self.name,
            "genuine_comparisons": self.genuine,
            "impostor_comparisons": self.impostors,
            "enrolled_people": self.people[0],
            "people": self.people[1],
            "thresholds": self.points.iter().map(point).collect::<Vec<_>>(),
            "calibration_error": self.error,
        })
    }
}
