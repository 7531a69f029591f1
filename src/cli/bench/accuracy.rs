//! `recocomp bench accuracy`

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::metrics::{equal_error_rate, tar_at_fmr, ten_fold_accuracy};
use super::pairs::PairList;
use super::reference::{Comparison, reference, trials};
use super::{Common, Failure, Setup};

/// Verification accuracy on a list of pairs
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    list: PairList,
    /// Embedder that shall be as good, a file that models.toml knows: how alike the templates are, and every pair decided differently
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut setup = Setup::load(arguments.common.config.as_deref())?;
    let config = arguments.common.config.as_deref();
    let other = (arguments.reference.as_deref())
        .map(|file| reference(file, config, &setup))
        .transpose()?;
    let pairs = arguments.list.read()?;
    let templates = arguments.list.templates(&mut setup, &pairs, false)?;
    let missed = &templates.missed;
    let trials = trials(&pairs, &templates);
    let comparison = other
        .map(|other| Comparison::new(other, &arguments.list, &pairs, &templates))
        .transpose()?;
    let accuracy = ten_fold_accuracy(&trials);
    let at_2 = tar_at_fmr(&trials, 1e-2);
    let at_3 = tar_at_fmr(&trials, 1e-3);
    let eer = equal_error_rate(&trials);
    if arguments.common.json {
        let mut report = json!({
            "pairs": trials.len(),
            "missed_faces": missed.len(),
            "accuracy": accuracy,
            "tar_at_fmr_1e-2": at_2.map(|(_, tar)| tar),
            "tar_at_fmr_1e-3": at_3.map(|(_, tar)| tar),
            "eer": eer,
            "threshold_fmr_1e-3": at_3.map(|(threshold, _)| threshold),
            "embedder": setup.models.embedder.entry.id,
        });
        if let Some(comparison) = &comparison {
            report["reference"] = comparison.json();
        }
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
    if let Some(comparison) = &comparison {
        comparison.print();
    }
    Ok(())
}
