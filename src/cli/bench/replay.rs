//! `recocomp bench replay`

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::metrics::quantile;
use super::{Common, Failure, Setup};
use crate::cli::while_doing;
use crate::recognition::{Checks, Purpose, Recognizer, Trace};

/// Which second pictures a door takes for one that opened just before
#[derive(Args)]
pub struct Arguments {
    /// CSV with the columns path1,path2,kind; paths are relative to its folder
    #[arg(long, value_name = "FILE")]
    pairs: PathBuf,
    #[command(flatten)]
    common: Common,
}

#[derive(Deserialize)]
struct Pair {
    path1: String,
    path2: String,
    /// What the second picture is to the first: `next frame`, `jpeg q75`.
    kind: String,
}

/// The pairs of one kind.
#[derive(Default)]
struct Found {
    same: usize,
    alike: usize,
    /// Of those that can be compared.
    distances: Vec<f64>,
    pairs: usize,
    /// Pairs with a picture in which nobody is seen.
    without_face: usize,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let setup = Setup::load(arguments.common.config.as_deref())?;
    let mut recognizer = setup.recognizer()?;
    let path = &arguments.pairs;
    let folder = path.parent().unwrap_or(path);
    let mut list = csv::Reader::from_path(path)
        .map_err(while_doing(format!("cannot read {}", path.display())))?;
    let mut kinds: BTreeMap<String, Found> = BTreeMap::new();
    for pair in list.deserialize() {
        let pair: Pair = pair?;
        let first = trace(&mut recognizer, &folder.join(&pair.path1))?;
        let second = trace(&mut recognizer, &folder.join(&pair.path2))?;
        let found = kinds.entry(pair.kind).or_default();
        found.pairs += 1;
        let (Some(first), Some(second)) = (first, second) else {
            found.without_face += 1;
            continue;
        };
        match first.file == second.file || first.face == second.face {
            true => found.same += 1,
            false if first.is_like(&second) => found.alike += 1,
            false => {}
        }
        found.distances.extend(first.distance(&second));
    }
    if arguments.common.json {
        let report: serde_json::Map<_, _> = (kinds.into_iter())
            .map(|(kind, mut found)| {
                let about = json!({
                    "pairs": found.pairs, "without_face": found.without_face, "same": found.same, "alike": found.alike,
                    "least": quantile(&mut found.distances, 0.0), "median": quantile(&mut found.distances, 0.5),
                    "most": quantile(&mut found.distances, 1.0),
                });
                (kind, about)
            })
            .collect();
        println!("{}", json!(report));
        return Ok(());
    }
    println!(
        "{:<20} {:>6} {:>8} {:>6} {:>6} {:>9} {:>9} {:>9}",
        "second picture", "pairs", "no face", "same", "alike", "least", "median", "most"
    );
    for (kind, mut found) in kinds {
        let [least, median, most] = [0.0, 0.5, 1.0].map(|q| match found.distances.is_empty() {
            true => "-".to_owned(),
            false => format!("{:.5}", quantile(&mut found.distances, q)),
        });
        println!(
            "{kind:<20} {:>6} {:>8} {:>6} {:>6} {least:>9} {median:>9} {most:>9}",
            found.pairs, found.without_face, found.same, found.alike
        );
    }
    Ok(())
}

/// `None` of a picture that shows nobody.
fn trace(recognizer: &mut Recognizer, path: &std::path::Path) -> Result<Option<Trace>, Failure> {
    let file =
        std::fs::read(path).map_err(while_doing(format!("cannot read {}", path.display())))?;
    let checks = Checks {
        opening: true,
        ..Checks::default()
    };
    let seen = recognizer.recognize(&file, Purpose::Probe, checks);
    Ok(seen.ok().and_then(|seen| seen.trace))
}
