//! `recocomp bench compaction`

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::Failure;
use super::metrics::quantile;
use super::search::positive;
use super::synthetic::{Crowd, Scratch, target};
use crate::gallery::{Gallery, Options, Template, step_back};
use crate::inference::bound_allocator;

const NAME: &str = "bench";

/// Features that enrol before each compaction: enough for the gallery to want one.
const TAIL: usize = 8_200;
const TAIL_SHARE: usize = 7;
const BATCH: usize = 500;

/// Searches that nobody times, and timed ones at least, before each compaction.
const WARM_UP: usize = 50;

/// Time of searches while the background writes a new generation of the same collection
#[derive(Args)]
pub struct Arguments {
    /// People in the collection
    #[arg(long, default_value_t = 20_000, value_parser = positive)]
    people: usize,
    /// Features of each
    #[arg(long, default_value_t = 5, value_parser = positive)]
    features: usize,
    /// Compactions, one after the other
    #[arg(long, default_value_t = 3, value_parser = positive)]
    rounds: usize,
    /// Kilobytes that the background writes a second [default: as the daemon]
    #[arg(long, value_name = "KB", value_parser = positive)]
    pace: Option<usize>,
    /// Threads that a search may use
    #[arg(long, default_value_t = 1, value_parser = positive)]
    threads: usize,
    /// Where the gallery is written; it is removed again [default: /var/tmp]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    bound_allocator();
    let scratch = Scratch::new(arguments.dir.as_deref())?;
    let mut options = Options {
        search_threads: arguments.threads,
        ..Options::default()
    };
    if let Some(kilobytes) = arguments.pace {
        options.compaction_bytes_per_second = kilobytes as u64 * 1000;
    }
    let pace = options.compaction_bytes_per_second;
    let gallery = Gallery::open(scratch.path(), options)?;
    let mut crowd = Crowd {
        people: arguments.people,
        features: arguments.features,
        seed: 1,
    };
    crowd.import(&gallery, NAME, "")?;
    let probes: Vec<Template> = (crowd.probes(500).iter())
        .map(|probe| Template::new(probe))
        .collect::<Result<_, _>>()?;
    let search = |number: usize| -> Result<f64, Failure> {
        let start = Instant::now();
        gallery.search(NAME, &probes[number % probes.len()], 10)?;
        Ok(start.elapsed().as_secs_f64() * 1e3)
    };
    let (mut quiet, mut during, mut first_after) = (Vec::new(), Vec::new(), Vec::new());
    let (mut seconds, mut bytes) = (Vec::new(), 0);
    for _ in 0..arguments.rounds {
        let more = (TAIL.max(crowd.rows() / TAIL_SHARE)).div_ceil(crowd.features);
        enrol_more(&gallery, &mut crowd, more)?;
        for number in 0..WARM_UP {
            search(number)?;
        }
        // Half of the quiet searches before the compaction and half after it, in the same number of people.
        let compactions = gallery.metrics().compactions;
        let busy = AtomicBool::new(true);
        let start = Instant::now();
        let mut times = Vec::new();
        for number in 0..WARM_UP.max(during.len() / seconds.len().max(1)) {
            quiet.push(search(number)?);
        }
        let quiet_seconds = start.elapsed().as_secs_f64();
        let spent = thread::scope(|scope| -> Result<f64, Failure> {
            let tending = scope.spawn(|| {
                let start = Instant::now();
                // As the daemon's own thread does.
                step_back();
                gallery.tend();
                busy.store(false, Ordering::SeqCst);
                start.elapsed().as_secs_f64()
            });
            let mut number = 0;
            while busy.load(Ordering::SeqCst) {
                times.push(search(number)?);
                number += 1;
            }
            match tending.join() {
                Ok(spent) => Ok(spent),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })?;
        if gallery.metrics().compactions == compactions {
            return Err("the gallery was not compacted".into());
        }
        // The pages of the new file come one by one the first time.
        first_after.push(search(0)?);
        let start = Instant::now();
        for number in 0..WARM_UP {
            search(number)?;
        }
        let mut number = 0;
        while start.elapsed().as_secs_f64() + quiet_seconds < spent {
            quiet.push(search(number)?);
            number += 1;
        }
        during.append(&mut times);
        seconds.push(spent);
        bytes += generation_bytes(scratch.path())?;
    }
    let slowest_switch = quantile(&mut first_after, 1.0);
    let of = |times: &mut Vec<f64>| [0.5, 0.99, 1.0].map(|share| quantile(times, share));
    let counts = (quiet.len(), during.len());
    let [quiet, during] = [of(&mut quiet), of(&mut during)];
    let seconds = seconds.iter().sum::<f64>() / seconds.len() as f64;
    let bytes = bytes / arguments.rounds as u64;
    if arguments.json {
        let report = json!({
            "people": crowd.people,
            "features": crowd.rows(),
            "compactions": arguments.rounds,
            "pace_bytes_per_s": pace,
            "quiet_searches": counts.0,
            "quiet_p50_ms": quiet[0],
            "quiet_p99_ms": quiet[1],
            "quiet_max_ms": quiet[2],
            "during_searches": counts.1,
            "during_p50_ms": during[0],
            "during_p99_ms": during[1],
            "during_max_ms": during[2],
            "ratio_p50": during[0] / quiet[0],
            "ratio_p99": during[1] / quiet[1],
            "first_after_ms": slowest_switch,
            "compaction_s": seconds,
            "bytes_written": bytes,
        });
        println!("{report}");
        return Ok(());
    }
    println!(
        "{} features at the end; {} compactions of {:.1} MB, {seconds:.1} s each, at most {:.1} MB/s",
        crowd.rows(),
        arguments.rounds,
        bytes as f64 / 1e6,
        pace as f64 / 1e6
    );
    println!(
        "{:<20} {:>9} {:>9} {:>9} {:>9}",
        "", "searches", "p50 ms", "p99 ms", "max ms"
    );
    let rows = [
        ("without", counts.0, quiet),
        ("during compaction", counts.1, during),
    ];
    for (what, count, [p50, p99, max]) in rows {
        println!("{what:<20} {count:>9} {p50:>9.3} {p99:>9.3} {max:>9.3}");
    }
    println!(
        "p50 x{:.2}, p99 x{:.2}; the first search of the new files takes up to {slowest_switch:.1} ms",
        during[0] / quiet[0],
        during[1] / quiet[1]
    );
    Ok(())
}

/// Enrols people one batch after the other, who stay in the journal until the next compaction.
fn enrol_more(gallery: &Gallery, crowd: &mut Crowd, more: usize) -> Result<(), Failure> {
    let mut batch = Vec::new();
    for number in crowd.people..crowd.people + more {
        for feature in crowd.features_of(number) {
            batch.push((target(number), Template::new(&feature)?));
        }
        if batch.len() >= BATCH {
            gallery.insert(NAME, std::mem::take(&mut batch))?;
        }
    }
    gallery.insert(NAME, batch)?;
    crowd.people += more;
    Ok(())
}

/// Length of the only collection's files: a generation, and a journal with next to nothing in it.
fn generation_bytes(folder: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => generation_bytes(&entry.path())?,
            false => entry.metadata()?.len(),
        };
    }
    Ok(bytes)
}
