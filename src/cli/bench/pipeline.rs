//! `recocomp bench pipeline`

use std::path::PathBuf;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::Args;
use serde_json::json;

use super::metrics::quantile;
use super::reference::reference;
use super::{Common, Failure, Setup, parallel};
use crate::cli::while_doing;
use crate::recognition::{Checks, EncodedFile, LivenessDemand, Purpose, STAGES};

/// The stage that a reference differs in.
const EMBED: usize = STAGES.len() - 1;

/// Time of each stage from a picture in base64 to its template, quality and liveness included
#[derive(Args)]
pub struct Arguments {
    /// Picture with a face
    #[arg(long, value_name = "FILE")]
    image: PathBuf,
    /// Measured runs, after a tenth as many that are not
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    runs: u32,
    /// Embedder to time beside the configured one, run by run, a file that models.toml knows
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let setup = Setup::load(arguments.common.config.as_deref())?;
    let mut reference = match arguments.reference.as_deref() {
        Some(file) => {
            let other = reference(file, arguments.common.config.as_deref(), &setup)?;
            Some((other.recognizer()?, other.models.embedder.entry.id))
        }
        None => None,
    };
    let path = arguments.image.display();
    let bytes = std::fs::read(&arguments.image).map_err(while_doing(path))?;
    let file = EncodedFile::Base64(Bytes::from(STANDARD.encode(bytes)));
    let mut recognizer = setup.recognizer()?;
    let checks = Checks {
        liveness: LivenessDemand::Score,
        quality: true,
        ..Checks::default()
    };
    let warm_up = arguments.runs / 10 + 1;
    let bar = parallel::progress_bar("runs", (warm_up + arguments.runs) as usize);
    let mut stages: [Vec<f64>; STAGES.len()] = Default::default();
    let (mut totals, mut reference_embed) = (Vec::new(), Vec::new());
    for run in 0..warm_up + arguments.runs {
        let start = Instant::now();
        let recognition = recognizer
            .recognize_file(&file, Purpose::Probe, checks)
            .map_err(while_doing(arguments.image.display()))?;
        let total = start.elapsed();
        if let Some((reference, _)) = &mut reference {
            let recognition = reference
                .recognize_file(&file, Purpose::Probe, checks)
                .map_err(while_doing(arguments.image.display()))?;
            if run >= warm_up {
                reference_embed.push(recognition.timings.0[EMBED].as_secs_f64() * 1e3);
            }
        }
        bar.inc(1);
        if run >= warm_up {
            totals.push(total.as_secs_f64() * 1e3);
            for (times, spent) in stages.iter_mut().zip(recognition.timings.0) {
                times.push(spent.as_secs_f64() * 1e3);
            }
        }
    }
    bar.finish_and_clear();
    let total = [quantile(&mut totals, 0.5), quantile(&mut totals, 0.99)];
    let rows: Vec<(&str, [f64; 2])> = (STAGES.iter().zip(&mut stages))
        .map(|(name, times)| (*name, [quantile(times, 0.5), quantile(times, 0.99)]))
        .collect();
    // Name, median of its embedding stage in ms, the configured embedder's as a share of that.
    let reference = reference.map(|(_, name)| {
        let median = quantile(&mut reference_embed, 0.5);
        (name, median, rows[EMBED].1[0] / median)
    });
    if arguments.common.json {
        let row = |[median, p99]: [f64; 2]| json!({"median_ms": median, "p99_ms": p99});
        let stages: serde_json::Map<_, _> = (rows.iter())
            .map(|(name, times)| ((*name).to_owned(), row(*times)))
            .collect();
        let mut report = json!({
            "stages": stages,
            "total": row(total),
            "runs": arguments.runs,
            "threads": setup.options.threads,
        });
        if let Some((name, median, ratio)) = reference {
            report["reference"] =
                json!({"embedder": name, "embed_median_ms": median, "embed_ratio": ratio});
        }
        println!("{report}");
        return Ok(());
    }
    println!(
        "{} runs, {} thread(s)",
        arguments.runs, setup.options.threads
    );
    println!(
        "{:<10} {:>10} {:>10} {:>7}",
        "stage", "median ms", "p99 ms", "share"
    );
    for (name, [median, p99]) in &rows {
        let share = median / total[0] * 100.0;
        println!("{name:<10} {median:>10.3} {p99:>10.3} {share:>5.1} %");
    }
    println!("{:<10} {:>10.3} {:>10.3}", "total", total[0], total[1]);
    if let Some((name, median, ratio)) = reference {
        println!("embed takes {ratio:.2} of the time of {name} ({median:.3} ms)");
    }
    Ok(())
}
