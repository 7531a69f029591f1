//! `recocomp bench commits`

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use super::Failure;
use super::search::positive;
use super::synthetic::{Crowd, Scratch, target};
use crate::gallery::storage::{Disk, Slow, StorageCounts};
use crate::gallery::{Gallery, GalleryError, Options, Template};

/// Features of one insert call with many.
const BATCH: usize = 500;

/// Durable enrolments a second, of one client and of several at once
#[derive(Args)]
pub struct Arguments {
    /// Clients that enrol at the same time
    #[arg(long, default_value_t = 8, value_parser = positive)]
    clients: usize,
    /// Enrolments of each client
    #[arg(long, default_value_t = 200, value_parser = positive)]
    commits: usize,
    /// How long every sync takes at least, in milliseconds: an SD card takes 5 to 50
    #[arg(long, default_value_t = 5.0, value_parser = milliseconds)]
    sync_ms: f64,
    /// Where the gallery is written; it is removed again [default: /var/tmp]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
}

fn milliseconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (0.0..=60_000.0).contains(&number) => Ok(number),
        Ok(_) => Err("0 to 60000".to_owned()),
        Err(e) => Err(format!("{e}")),
    }
}

/// What happened between two looks at the counters.
struct Stage {
    commits: u64,
    /// Syncs of files, those of the journal.
    syncs: u64,
    directory_syncs: u64,
    bytes: u64,
    seconds: f64,
}

impl Stage {
    fn rate(&self) -> f64 {
        self.commits as f64 / self.seconds
    }
}

struct Bench {
    storage: Arc<Slow>,
    gallery: Gallery,
}

impl Bench {
    /// Runs `work` and says what it cost.
    fn stage(
        &self,
        work: impl FnOnce(&Gallery) -> Result<(), GalleryError>,
    ) -> Result<Stage, GalleryError> {
        let commits = self.gallery.metrics().commits;
        let before: StorageCounts = self.storage.counts();
        let start = Instant::now();
        work(&self.gallery)?;
        let seconds = start.elapsed().as_secs_f64();
        let after = self.storage.counts();
        Ok(Stage {
            commits: self.gallery.metrics().commits - commits,
            syncs: after.file_syncs - before.file_syncs,
            directory_syncs: after.directory_syncs - before.directory_syncs,
            bytes: after.bytes_written - before.bytes_written,
            seconds,
        })
    }
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let scratch = Scratch::new(arguments.dir.as_deref())?;
    let wait = Duration::from_secs_f64(arguments.sync_ms / 1e3);
    let storage = Arc::new(Slow::new(Arc::new(Disk), wait));
    let slow = Arc::clone(&storage);
    let bench = Bench {
        gallery: Gallery::open_on(slow, scratch.path(), Options::default())?,
        storage,
    };
    for name in ["one", "many", "batch"] {
        bench.gallery.create(name)?;
    }
    // Ready before the clock runs: what is measured is storing them.
    let crowd = Crowd {
        people: BATCH,
        features: 1,
        seed: 1,
    };
    let ready: Vec<Template> = (0..BATCH)
        .flat_map(|person| crowd.features_of(person))
        .map(|feature| Template::new(&feature))
        .collect::<Result<_, _>>()?;
    let enrol = |gallery: &Gallery, name: &str, client: usize| {
        (0..arguments.commits).try_for_each(|commit| {
            let number = client * arguments.commits + commit;
            let item = (target(number), ready[number % BATCH].clone());
            gallery.insert(name, vec![item]).map(|_| ())
        })
    };
    let one = bench.stage(|gallery| enrol(gallery, "one", 0))?;
    let many = bench.stage(|gallery| {
        thread::scope(|scope| {
            let clients: Vec<_> = (0..arguments.clients)
                .map(|client| scope.spawn(move || enrol(gallery, "many", client)))
                .collect();
            (clients.into_iter()).try_for_each(|client| match client.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })
    })?;
    let items = (ready.iter().enumerate())
        .map(|(person, template)| (target(person), template.clone()))
        .collect();
    let batch = bench.stage(|gallery| gallery.insert("batch", items).map(|_| ()))?;
    if arguments.json {
        let report = json!({
            "clients": arguments.clients,
            "sync_ms": arguments.sync_ms,
            "one_client_per_s": one.rate(),
            "one_client_commits": one.commits,
            "one_client_syncs": one.syncs,
            "clients_per_s": many.rate(),
            "ratio": many.rate() / one.rate(),
            "commits": many.commits,
            "syncs": many.syncs,
            "directory_syncs": many.directory_syncs,
            "bytes_per_commit": many.bytes as f64 / many.commits.max(1) as f64,
            "batch": BATCH,
            "batch_syncs": batch.syncs,
            "batch_directory_syncs": batch.directory_syncs,
            "batch_bytes": batch.bytes,
            "batch_ms": batch.seconds * 1e3,
        });
        println!("{report}");
        return Ok(());
    }
    println!("every sync takes {} ms or more", arguments.sync_ms);
    println!(
        "{:<14} {:>8} {:>8} {:>10} {:>12}",
        "", "commits", "syncs", "commits/s", "ms/commit"
    );
    let row = |what: String, stage: &Stage| {
        let each = stage.seconds * 1e3 / stage.commits.max(1) as f64;
        println!(
            "{what:<14} {:>8} {:>8} {:>10.1} {each:>12.2}",
            stage.commits,
            stage.syncs,
            stage.rate()
        );
    };
    row("one client".to_owned(), &one);
    row(format!("{} clients", arguments.clients), &many);
    row(format!("batch of {BATCH}"), &batch);
    println!(
        "{} clients store {:.2} times as much as one",
        arguments.clients,
        many.rate() / one.rate()
    );
    Ok(())
}
