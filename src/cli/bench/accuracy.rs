//! `recocomp bench accuracy`

use clap::Args;
use serde_json::json;

use super::metrics::{Trial, equal_error_rate, tar_at_fmr, ten_fold_accuracy};
use super::pairs::PairList;
use super::{Common, Failure, Setup};

/// Verification accuracy on a list of pairs
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    list: PairList,
    #[command(flatten)]
    common: Common,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut setup = Setup::load(arguments.common.config.as_deref())?;
    let pairs = arguments.list.read()?;
    let templates = arguments.list.templates(&mut setup, &pairs, false)?;
    let missed = &templates.missed;
    let trials: Vec<Trial> = (pairs.iter())
        .map(|pair| Trial {
            similarity: templates.cosine(pair),
            same: pair.same == 1,
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
    for (name, reason) in missed {
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
