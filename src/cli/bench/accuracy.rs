//! `recocomp bench accuracy`

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Deserialize;
use serde_json::json;

use super::metrics::{Trial, equal_error_rate, tar_at_fmr, ten_fold_accuracy};
use super::{Common, Failure, Setup, parallel};
use crate::cli::while_doing;
use crate::gallery::Template;
use crate::recognition::{Checks, FaceChoice, Purpose, Refusal};

/// Verification accuracy on a list of pairs
#[derive(Args)]
pub struct Arguments {
    /// CSV with the columns path1,path2,same (0 or 1); paths are relative to its folder
    #[arg(long, value_name = "FILE")]
    pairs: PathBuf,
    /// Which face of several a picture stands for. Lists such as LFW mean the central one; the API takes the largest
    #[arg(long, value_enum, default_value = "central")]
    face: Choice,
    /// How the second picture of a pair is taken: as /face/compare does it, or for speed, as the probe of a search
    #[arg(long, value_enum, default_value = "compare")]
    like: Like,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, ValueEnum)]
enum Choice {
    Central,
    Largest,
}

#[derive(Clone, Copy, ValueEnum)]
enum Like {
    Compare,
    Search,
}

/// A row of the list.
#[derive(Deserialize)]
pub struct Pair {
    pub path1: String,
    pub path2: String,
    /// 1 if both show one person, 0 if not.
    pub same: u8,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut setup = Setup::load(arguments.common.config.as_deref())?;
    setup.options.face = match arguments.face {
        Choice::Central => FaceChoice::Central,
        Choice::Largest => FaceChoice::Largest,
    };
    let pairs = read_pairs(&arguments.pairs)?;
    let folder = arguments.pairs.parent().unwrap_or(Path::new("."));
    let second = match arguments.like {
        Like::Compare => Purpose::Enrolment,
        Like::Search => Purpose::Probe,
    };
    let sides = |pair: &'_ Pair| {
        [
            (pair.path1.clone(), Purpose::Enrolment),
            (pair.path2.clone(), second),
        ]
    };
    let pictures: Vec<(String, Purpose)> = (pairs.iter().flat_map(sides))
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let templates = parallel::map(
        "pictures",
        &pictures,
        || setup.recognizer(),
        |recognizer, (name, purpose)| {
            let path = folder.join(name);
            let bytes = std::fs::read(&path).map_err(while_doing(path.display()))?;
            match recognizer.recognize(&bytes, *purpose, Checks::default()) {
                Ok(recognition) => Ok(Ok(recognition.template)),
                Err(refusal @ (Refusal::NoFace { .. } | Refusal::InvalidImage(_))) => {
                    Ok(Err(refusal.to_string()))
                }
                Err(e) => Err(while_doing(path.display())(e)),
            }
        },
    )?;
    let mut missed = BTreeMap::new();
    let mut found: HashMap<(String, Purpose), Template> = HashMap::new();
    for (picture, template) in pictures.into_iter().zip(templates) {
        match template {
            Ok(template) => {
                found.insert(picture, template);
            }
            Err(reason) => {
                missed.insert(picture.0, reason);
            }
        }
    }
    let trials: Vec<Trial> = (pairs.iter())
        .map(|pair| {
            let [first, second] = sides(pair).map(|side| found.get(&side));
            Trial {
                similarity: first.zip(second).map(|(a, b)| a.cosine(b)),
                same: pair.same == 1,
            }
        })
        .collect();
    let accuracy = ten_fold_accuracy(&trials);
    let at_2 = tar_at_fmr(&trials, 1e-2);
    let at_3 = tar_at_fmr(&trials, 1e-3);
    let eer = equal_error_rate(&trials);
    if arguments.common.json {
        let report = json!({
            "pairs": trials.len(),
            "missed_faces": missed.len(),
            "accuracy": accuracy,
            "tar_at_fmr_1e-2": at_2.map(|(_, tar)| tar),
            "tar_at_fmr_1e-3": at_3.map(|(_, tar)| tar),
            "eer": eer,
            "threshold_fmr_1e-3": at_3.map(|(threshold, _)| threshold),
            "embedder": setup.models.embedder.entry.id,
        });
        println!("{report}");
        return Ok(());
    }
    for (name, reason) in &missed {
        println!("missed: {name}: {reason}");
    }
    let percent = |rate: Option<f64>| match rate {
        Some(rate) => format!("{:.2} %", rate * 100.0),
        None => "needs genuine and impostor pairs".into(),
    };
    println!("embedder            {}", setup.models.embedder.entry.id);
    println!("pairs               {}", trials.len());
    println!("missed faces        {}", missed.len());
    println!("accuracy, 10 folds  {}", percent(Some(accuracy)));
    println!("TAR at FMR 1e-2     {}", percent(at_2.map(|(_, tar)| tar)));
    println!("TAR at FMR 1e-3     {}", percent(at_3.map(|(_, tar)| tar)));
    println!("EER                 {}", percent(Some(eer)));
    if let Some((threshold, _)) = at_3 {
        println!("cosine at FMR 1e-3  {threshold:.4}");
    }
    Ok(())
}

/// The pairs of a list, at least one.
pub fn read_pairs(path: &Path) -> Result<Vec<Pair>, Failure> {
    let mut reader = csv::Reader::from_path(path).map_err(while_doing(path.display()))?;
    let mut pairs = Vec::new();
    for row in reader.deserialize() {
        let pair: Pair = row.map_err(while_doing(path.display()))?;
        if pair.same > 1 {
            let line = pairs.len() + 2;
            return Err(format!("{}: line {line}: same must be 0 or 1", path.display()).into());
        }
        pairs.push(pair);
    }
    match pairs.is_empty() {
        true => Err(format!("{}: the list has no pairs", path.display()).into()),
        false => Ok(pairs),
    }
}
