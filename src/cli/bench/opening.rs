//! `recocomp bench opening`

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::super::Failure;
use crate::door::events::{Denied, Opened};
use crate::door::settings::{LogRule, Settings};
use crate::door::{Answer, Door};
use crate::logs::Medium;

/// Measure how long an opening takes on media of different speeds
///
/// From the decision to let a face in until the relay of the simulated board has moved, its record on the medium before. The log lies in a
/// folder for temporary files; every sync waits as long as that of a card would.
#[derive(Args)]
pub struct Arguments {
    /// Milliseconds that a sync takes, beside the disk's own
    #[arg(long, value_name = "MS", value_delimiter = ',', default_values_t = [0, 5, 50, 500])]
    syncs: Vec<u64>,
    /// Openings of each kind, half a second apart, or as long as the syncs of one take
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    openings: u32,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
}

struct Measured {
    opened: usize,
    /// Of openings that did not wait for their record any longer.
    unrecorded: u64,
    /// Rising.
    milliseconds: Vec<f64>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut rows = Vec::new();
    if !arguments.json {
        println!("| sync | log | opened | without a record in time | median | slowest |");
        println!("|---|---|---|---|---|---|");
    }
    for sync in &arguments.syncs {
        for (rule, name) in [
            (LogRule::BestEffort, "best-effort"),
            (LogRule::Required, "required"),
        ] {
            let measured = measure(Duration::from_millis(*sync), rule, arguments.openings)?;
            let times = &measured.milliseconds;
            let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
            if !arguments.json {
                println!(
                    "| {sync} ms | {name} | {} of {} | {} | {median:.1} ms | {slowest:.1} ms |",
                    measured.opened, arguments.openings, measured.unrecorded
                );
            }
            rows.push(json!({
                "sync_ms": sync,
                "log": name,
                "openings": arguments.openings,
                "opened": measured.opened,
                "unrecorded": measured.unrecorded,
                "median_ms": median,
                "slowest_ms": slowest,
            }));
        }
    }
    if arguments.json {
        println!("{}", json!({"openings": Value::Array(rows)}));
    }
    Ok(())
}

fn measure(wait: Duration, log: LogRule, openings: u32) -> Result<Measured, Failure> {
    let folder =
        std::env::temp_dir().join(format!("recocomp-bench-opening-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let settings = Settings {
        enabled: true,
        board: "simulated".into(),
        collection: "bench".into(),
        log,
        pulse_ms: Some(100),
        cooldown_ms: 0,
        ..Settings::default()
    };
    let measured = measure_in(&folder, &settings, wait, openings);
    std::fs::remove_dir_all(&folder)?;
    measured
}

fn measure_in(
    folder: &std::path::Path,
    settings: &Settings,
    wait: Duration,
    openings: u32,
) -> Result<Measured, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let door = Door::start_on(settings, folder, Medium { wait })?;
    let mut measured = Measured {
        opened: 0,
        unrecorded: 0,
        milliseconds: Vec::new(),
    };
    for _ in 0..openings {
        // What was written of the one before: that it opened and that it is locked again.
        std::thread::sleep(Duration::from_millis(500).max(3 * wait));
        let opened = Opened {
            by: "face".into(),
            person: Some("somebody".into()),
            collection: Some("bench".into()),
            cosine: Some(0.75),
            threshold: Some(0.6),
            ..Opened::default()
        };
        let begun = Instant::now();
        let answer = runtime.block_on(door.open(opened, Denied::default(), begun));
        let milliseconds = begun.elapsed().as_secs_f64() * 1000.0;
        measured.milliseconds.push(milliseconds);
        match answer {
            Answer::Opened => measured.opened += 1,
            Answer::NotRecorded => {}
            other => return Err(format!("the door answered {other:?}").into()),
        }
    }
    measured.unrecorded = door.log().unrecorded();
    measured.milliseconds.sort_by(f64::total_cmp);
    Ok(measured)
}
