//! `recocomp bench quality`

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};

use super::degrade::{DEGRADATIONS, degraded};
use super::discard::{Curve, DISCARDED, Genuine, curve};
use super::metrics::{Trial, quantile, tar_at_fmr};
use super::pairs::{Pair, read_pairs};
use super::{Common, Failure, Setup, parallel};
use crate::cli::while_doing;
use crate::gallery::Template;
use crate::recognition::{
    COMPONENTS, Checks, FaceChoice, Picture, Purpose, Quality, Recognizer, Refusal,
};

/// Whether quality foresees errors, and how many faces the gates refuse
#[derive(Args)]
pub struct Arguments {
    /// CSV with the columns path1,path2,same (0 or 1); paths are relative to its folder
    #[arg(long, value_name = "FILE")]
    pairs: PathBuf,
    /// How hard the degraded copies are
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = strength)]
    strength: f32,
    #[command(flatten)]
    common: Common,
}

fn strength(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(strength) if (0.1..=10.0).contains(&strength) => Ok(strength),
        _ => Err("a number from 0.1 to 10 is expected".into()),
    }
}

/// Random discards that quality is compared with.
const PERMUTATIONS: usize = 1000;
/// Share of impostor pairs that the threshold of the curves accepts.
const FMR: f64 = 1e-3;

/// What a picture gives: nothing without a face.
type Seen = Option<(Template, Quality)>;

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut setup = Setup::load(arguments.common.config.as_deref())?;
    setup.options.face = FaceChoice::Central;
    let pairs = read_pairs(&arguments.pairs)?;
    let folder = arguments.pairs.parent().unwrap_or(Path::new("."));
    let names: BTreeSet<&str> = (pairs.iter())
        .flat_map(|pair| [pair.path1.as_str(), pair.path2.as_str()])
        .collect();
    // The second picture of each pair of one person is seen through a bad camera, too.
    let seconds: BTreeSet<&str> = (pairs.iter().filter(|pair| pair.same == 1))
        .map(|pair| pair.path2.as_str())
        .collect();
    let names: Vec<&str> = names.into_iter().collect();
    let seen = parallel::map(
        "pictures",
        &names,
        || setup.recognizer(),
        |recognizer, name| {
            let path = folder.join(name);
            let bytes = std::fs::read(&path).map_err(while_doing(path.display()))?;
            let picture = match Picture::decode(&bytes, &setup.options.limits) {
                Err(Refusal::InvalidImage(_)) => return Ok((None, Default::default())),
                decoded => decoded.map_err(while_doing(path.display()))?,
            };
            let original = look(recognizer, &picture)?;
            let mut copies: [Seen; DEGRADATIONS.len()] = Default::default();
            if seconds.contains(name) {
                for (copy, how) in copies.iter_mut().zip(DEGRADATIONS) {
                    *copy = look(recognizer, &degraded(&picture, how, arguments.strength))?;
                }
            }
            Ok((original, copies))
        },
    )?;
    let all: All<'_> = names.iter().copied().zip(&seen).collect();
    let originals: Vec<Quality> = (seen.iter())
        .filter_map(|(original, _)| Some(original.as_ref()?.1))
        .collect();
    let trials: Vec<Trial> = (pairs.iter())
        .map(|pair| {
            let [first, second] =
                [&pair.path1, &pair.path2].map(|path| all[path.as_str()].0.as_ref());
            Trial {
                similarity: (first.zip(second)).map(|((a, _), (b, _))| a.cosine(b)),
                same: pair.same == 1,
            }
        })
        .collect();
    let Some((threshold, _)) = tar_at_fmr(&trials, FMR) else {
        return Err("pairs of one person and of two are needed".into());
    };
    let mut sets = vec![(
        "pictures".to_owned(),
        genuine(&pairs, &all, threshold, |pair, _| {
            &all[pair.path2.as_str()].0
        }),
    )];
    for (kind, how) in DEGRADATIONS.into_iter().enumerate() {
        let copies = genuine(&pairs, &all, threshold, |pair, _| {
            &all[pair.path2.as_str()].1[kind]
        });
        sets.push((format!("second picture: {how}"), copies));
    }
    // As a day at a door: some pictures good, some bad in one way or another.
    let mixed = genuine(&pairs, &all, threshold, |pair, index| {
        let of = all[pair.path2.as_str()];
        match index % (DEGRADATIONS.len() + 1) {
            0 => &of.0,
            kind => &of.1[kind - 1],
        }
    });
    sets.push(("mixed".into(), mixed));
    let report = Report {
        pictures: names.len(),
        originals,
        enrolment: setup.options.gates.enrolment,
        search: setup.options.gates.search,
        threshold,
        curves: (sets.into_iter())
            .map(|(name, pairs)| (name, pairs.len(), curve(&pairs, PERMUTATIONS)))
            .collect(),
    };
    match arguments.common.json {
        true => println!("{}", report.json()),
        false => report.print(),
    }
    Ok(())
}

/// What is seen in each picture and in its degraded copies.
type All<'a> = HashMap<&'a str, &'a (Seen, [Seen; DEGRADATIONS.len()])>;

/// The pairs of one person, the second picture as `second` picks it; those without a face are left out.
fn genuine<'a>(
    pairs: &[Pair],
    all: &All<'a>,
    threshold: f32,
    second: impl Fn(&Pair, usize) -> &'a Seen,
) -> Vec<Genuine> {
    (pairs.iter().filter(|pair| pair.same == 1).enumerate())
        .filter_map(|(index, pair)| {
            let (a, first) = all[pair.path1.as_str()].0.as_ref()?;
            let (b, second) = second(pair, index).as_ref()?;
            Some(Genuine {
                quality: (first.unified_quality_score).min(second.unified_quality_score),
                rejected: a.cosine(b) <= threshold,
            })
        })
        .collect()
}

fn look(recognizer: &mut Recognizer, picture: &Picture) -> Result<Seen, Failure> {
    let checks = Checks {
        quality: true,
        ..Checks::default()
    };
    match recognizer.recognize_picture(picture, Purpose::Enrolment, checks) {
        Ok(recognition) => Ok(recognition
            .quality
            .map(|quality| (recognition.template, quality))),
        Err(Refusal::NoFace { .. }) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

struct Report {
    pictures: usize,
    /// Of every picture with a face.
    originals: Vec<Quality>,
    enrolment: Quality,
    search: Quality,
    threshold: f32,
    /// Name, pairs, and the curve if there are errors.
    curves: Vec<(String, usize, Option<Curve>)>,
}

impl Report {
    /// Share of the faces that `limits` refuse: of all, and for each component.
    fn refused(&self, limits: &Quality) -> (f64, Vec<f64>) {
        let faces = self.originals.len().max(1) as f64;
        let (mut any, mut each) = (0, vec![0usize; COMPONENTS.len()]);
        for quality in &self.originals {
            let shortfalls = quality.shortfalls(limits);
            any += usize::from(!shortfalls.is_empty());
            for (count, component) in each.iter_mut().zip(COMPONENTS) {
                *count += usize::from(shortfalls.iter().any(|s| s.component == component));
            }
        }
        let each = each.into_iter().map(|count| count as f64 / faces).collect();
        (any as f64 / faces, each)
    }

    /// The quantiles of a component that the table shows.
    fn quantiles(&self, index: usize) -> [f64; 4] {
        let values = self.originals.iter().map(|q| f64::from(q.values()[index]));
        let mut values: Vec<f64> = values.collect();
        [0.001, 0.005, 0.05, 0.5].map(|share| quantile(&mut values, share))
    }

    fn json(&self) -> Value {
        let gate = |limits: &Quality| {
            let (any, each) = self.refused(limits);
            let each: Map<_, _> = (COMPONENTS.into_iter().zip(each))
                .zip(limits.values())
                .filter(|(_, limit)| *limit > 0.0)
                .map(|((name, share), limit)| {
                    (name.to_owned(), json!({"limit": limit, "refused": share}))
                })
                .collect();
            json!({"refused": any, "components": each})
        };
        let quantiles: Map<_, _> = (COMPONENTS.iter().enumerate())
            .map(|(index, name)| ((*name).to_owned(), json!(self.quantiles(index))))
            .collect();
        let curves: Map<_, _> = (self.curves.iter())
            .map(|(name, pairs, curve)| {
                let curve = curve.as_ref().map(|curve| {
                    json!({
                        "fnmr": curve.fnmr,
                        "mean_fnmr": curve.mean,
                        "random_median": curve.random_median,
                        "p": curve.p,
                    })
                });
                (name.clone(), json!({"pairs": pairs, "curve": curve}))
            })
            .collect();
        json!({
            "pictures": self.pictures,
            "faces": self.originals.len(),
            "enrolment": gate(&self.enrolment),
            "search": gate(&self.search),
            "quantiles_0.1_0.5_5_50_percent": quantiles,
            "threshold_fmr_1e-3": self.threshold,
            "discarded": DISCARDED,
            "error_versus_discard": curves,
        })
    }

    fn print(&self) {
        println!(
            "{} pictures, {} with a face",
            self.pictures,
            self.originals.len()
        );
        let (kept, sought) = (self.refused(&self.enrolment), self.refused(&self.search));
        println!(
            "\n{:<26} {:>7} {:>7} {:>7} {:>7}   {:>16} {:>16}",
            "component", "0.1 %", "0.5 %", "5 %", "median", "enrolment", "search"
        );
        let gate = |limit: f32, share: f64| match limit > 0.0 {
            true => format!("{limit:>5.1}: {:>6.2} %", share * 100.0),
            false => "-".into(),
        };
        for (index, name) in COMPONENTS.iter().enumerate() {
            let [a, b, c, d] = self.quantiles(index);
            let enrolment = gate(self.enrolment.values()[index], kept.1[index]);
            let search = gate(self.search.values()[index], sought.1[index]);
            println!(
                "{name:<26} {a:>7.1} {b:>7.1} {c:>7.1} {d:>7.1}   {enrolment:>16} {search:>16}"
            );
        }
        println!(
            "{:<60}{:>16} {:>16}",
            "refused in all",
            format!("{:.2} %", kept.0 * 100.0),
            format!("{:.2} %", sought.0 * 100.0)
        );
        println!(
            "\nFNMR in % at cosine {:.4} (FMR 0.1 %) after discarding the lowest unified_quality_score",
            self.threshold
        );
        print!("{:<26} {:>6}", "pairs of one person", "pairs");
        for share in DISCARDED {
            print!("{:>7}", format!("{:.0} %", share * 100.0));
        }
        println!("{:>9} {:>9} {:>7}", "mean", "random", "p");
        for (name, pairs, curve) in &self.curves {
            print!("{name:<26} {pairs:>6}");
            match curve {
                Some(curve) => {
                    for rate in curve.fnmr {
                        print!("{:>7.2}", rate * 100.0);
                    }
                    let (mean, random) = (curve.mean * 100.0, curve.random_median * 100.0);
                    println!("{mean:>9.3} {random:>9.3} {:>7.4}", curve.p);
                }
                None => println!("   none is rejected"),
            }
        }
    }
}
