//! `recocomp bench search`

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::Failure;
use super::metrics::quantile;
use super::recall::{Recall, TIE, TOP_K, recall};
use super::synthetic::{Crowd, Scratch, Vector, person};
use crate::cli::while_doing;
use crate::gallery::scan::{kernel, read_all};
use crate::gallery::{Fusion, Gallery, Options, Template};
use crate::inference::bound_allocator;

/// Speed of a search against reading the same bytes, its answers against exact ones, time and memory of opening
#[derive(Args)]
pub struct Arguments {
    /// People in a collection
    #[arg(long, default_value_t = 100_000, value_parser = positive)]
    people: usize,
    /// Features of each
    #[arg(long, default_value_t = 5, value_parser = positive)]
    features: usize,
    /// Measure collections with about so many features in all, one after the other, in place of --people
    #[arg(long, value_name = "N,...", value_delimiter = ',', value_parser = positive)]
    sizes: Vec<usize>,
    /// Collections of this size that are open; the first is searched
    #[arg(long, default_value_t = 1, value_parser = positive)]
    collections: usize,
    /// What of a person's features is compared: the most similar one, or the mean of all
    #[arg(long, value_enum, default_value = "off")]
    fusion: Fused,
    /// Threads that a search may use
    #[arg(long, default_value_t = 1, value_parser = positive)]
    threads: usize,
    /// Searches that are timed, each for another face
    #[arg(long, default_value_t = 300, value_parser = positive)]
    probes: usize,
    /// Probes whose answers are compared with exact ones
    #[arg(long, default_value_t = 100, value_name = "N")]
    recall_probes: usize,
    /// Other people
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the gallery is written; it is removed again [default: /var/tmp]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Write the features and the probes there as raw f32, and search all probes once for each line on stdin: for
    /// comparisons with other programs, in turns
    #[arg(long, value_name = "DIR", conflicts_with = "sizes")]
    in_turns: Option<PathBuf>,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Fused {
    Off,
    Mean,
}

impl From<Fused> for Fusion {
    fn from(fused: Fused) -> Fusion {
        match fused {
            Fused::Off => Fusion::Off,
            Fused::Mean => Fusion::Mean,
        }
    }
}

/// At least one.
pub fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(e) => Err(format!("{e}")),
    }
}

struct Report {
    crowd: Crowd,
    collections: usize,
    threads: usize,
    probes: usize,
    open_ms: f64,
    rss_open_mb: f64,
    rss_open_file_mb: f64,
    rss_searched_mb: f64,
    rss_searched_file_mb: f64,
    search_ms: f64,
    search_p99_ms: f64,
    search_best_ms: f64,
    read_ms: f64,
    read_median_ms: f64,
    recall: Option<Recall>,
}

impl Report {
    fn gb_per_s(&self) -> f64 {
        self.crowd.rows() as f64 * 192e-6 / self.read_ms
    }

    fn json(&self) -> Value {
        let recall = self.recall.as_ref();
        json!({
            "people": self.crowd.people,
            "features": self.crowd.rows(),
            "collections": self.collections,
            "threads": self.threads,
            "probes": self.probes,
            "seed": self.crowd.seed,
            "kernel": kernel().name(),
            "search_ms": self.search_ms,
            "search_p99_ms": self.search_p99_ms,
            "search_best_ms": self.search_best_ms,
            "read_ms": self.read_ms,
            "read_median_ms": self.read_median_ms,
            "gb_per_s": self.gb_per_s(),
            "ratio": self.search_ms / self.read_ms,
            "ratio_of_medians": self.search_ms / self.read_median_ms,
            "ratio_of_best": self.search_best_ms / self.read_ms,
            "recall_probes": recall.map(|r| r.probes),
            "recall_at_1": recall.map(|r| r.at_1),
            "recall_at_10": recall.map(|r| r.at_10),
            "recall_at_10_without_ties": recall.map(|r| r.at_10_without_ties),
            "open_ms": self.open_ms,
            "rss_open_mb": self.rss_open_mb,
            "rss_open_file_mb": self.rss_open_file_mb,
            "rss_searched_mb": self.rss_searched_mb,
            "rss_searched_file_mb": self.rss_searched_file_mb,
        })
    }

    fn row(&self) -> String {
        let recall = |pick: fn(&Recall) -> f64| match &self.recall {
            Some(recall) => format!("{:.3}", pick(recall)),
            None => "-".to_owned(),
        };
        format!(
            "{:>9} {:>9.3} {:>9.3} {:>9.3} {:>6.1} {:>6.2} {:>8.2} {:>6.2} {:>6} {:>6} {:>8.1} {:>7.1} {:>8.1}",
            self.crowd.rows(),
            self.search_ms,
            self.search_p99_ms,
            self.read_ms,
            self.gb_per_s(),
            self.search_ms / self.read_ms,
            self.search_ms / self.read_median_ms,
            self.search_best_ms / self.read_ms,
            recall(|r| r.at_1),
            recall(|r| r.at_10),
            self.open_ms,
            self.rss_open_mb,
            self.rss_searched_file_mb,
        )
    }
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    // As the daemon does: memory that is freed goes back, so that what opening takes shows.
    bound_allocator();
    let crowd = |people| Crowd {
        people,
        features: arguments.features,
        seed: arguments.seed,
    };
    if let Some(folder) = &arguments.in_turns {
        return in_turns(arguments, crowd(arguments.people), folder);
    }
    let crowds: Vec<Crowd> = match arguments.sizes.as_slice() {
        [] => vec![crowd(arguments.people)],
        sizes => (sizes.iter())
            .map(|size| crowd((size / arguments.features).max(1)))
            .collect(),
    };
    if !arguments.json {
        println!(
            "kernel {}, {} thread(s), {} collection(s) of {} features a person",
            kernel().name(),
            arguments.threads,
            arguments.collections,
            arguments.features
        );
        println!(
            "{:>9} {:>9} {:>9} {:>9} {:>6} {:>6} {:>8} {:>6} {:>6} {:>6} {:>8} {:>7} {:>8}",
            "features",
            "search ms",
            "p99 ms",
            "read ms",
            "GB/s",
            "ratio",
            "medians",
            "bests",
            "rec@1",
            "rec@10",
            "open ms",
            "anon MB",
            "file MB"
        );
    }
    let mut reports = Vec::new();
    for crowd in crowds {
        let report = measure(arguments, crowd)?;
        match arguments.json {
            true => reports.push(report.json()),
            false => println!("{}", report.row()),
        }
    }
    if arguments.json {
        match (arguments.sizes.is_empty(), reports.pop()) {
            (true, Some(report)) => println!("{report}"),
            (_, last) => {
                reports.extend(last);
                println!("{}", json!({"sizes": reports}));
            }
        }
        return Ok(());
    }
    println!(
        "search ms: median of {} searches, top {TOP_K}. read ms: the best of as many passes over the same int8 rows, one\n\
         thread, in turns with the searches; GB/s of that. ratio: median search / best read; medians, bests: of the same kind,\n\
         which differ less when the machine has other work.\n\
         rec@1, rec@10: answers as good as those by exact f32, cosines within {TIE} being equal, {} probes.\n\
         open ms: until the first search is answered. anon MB: own memory that opening took; file MB: pages of the\n\
         files mapped after all searches, which the system may take back.",
        arguments.probes,
        arguments.recall_probes.min(arguments.probes)
    );
    Ok(())
}

fn options(arguments: &Arguments, collections: usize) -> Options {
    Options {
        search_threads: arguments.threads,
        fusion: arguments.fusion.into(),
        max_collections: collections,
        ..Options::default()
    }
}

fn name(collection: usize) -> String {
    format!("bench{collection}")
}

/// Writes the collections; each has other people.
fn prepare(folder: &Path, options: &Options, crowd: Crowd) -> Result<(), Failure> {
    let gallery = Gallery::open(folder, options.clone())?;
    for collection in 0..options.max_collections {
        let seed = crowd.seed + collection as u64;
        Crowd { seed, ..crowd }.import(&gallery, &name(collection), "")?;
    }
    Ok(())
}

fn templates(probes: &[Vector]) -> Result<Vec<Template>, Failure> {
    Ok((probes.iter())
        .map(|probe| Template::new(probe))
        .collect::<Result<_, _>>()?)
}

fn measure(arguments: &Arguments, crowd: Crowd) -> Result<Report, Failure> {
    let scratch = Scratch::new(arguments.dir.as_deref())?;
    let options = options(arguments, arguments.collections);
    prepare(scratch.path(), &options, crowd)?;
    let vectors = crowd.probes(arguments.probes);
    let probes = templates(&vectors)?;
    let name = name(0);

    let before = Memory::now();
    let start = Instant::now();
    let gallery = Gallery::open(scratch.path(), options)?;
    let opened = start.elapsed();
    let at_open = Memory::now().since(before);
    let start = Instant::now();
    gallery.search(&name, &probes[0], TOP_K)?;
    let open_ms = (opened + start.elapsed()).as_secs_f64() * 1e3;

    let parts = gallery.parts(&name)?;
    let read = || {
        for part in &parts {
            black_box(read_all(black_box(part.segment.rows())));
        }
    };
    for probe in probes.iter().cycle().take(arguments.probes / 10 + 5) {
        read();
        gallery.search(&name, probe, TOP_K)?;
    }
    let (mut reads, mut searches) = (Vec::new(), Vec::new());
    let mut answers = Vec::new();
    // In turns, so that whatever else the machine does meets both alike.
    for probe in &probes {
        let start = Instant::now();
        read();
        reads.push(start.elapsed().as_secs_f64() * 1e3);
        let start = Instant::now();
        let hits = gallery.search(&name, probe, TOP_K)?;
        searches.push(start.elapsed().as_secs_f64() * 1e3);
        answers.push(hits);
    }
    let at_end = Memory::now().since(before);
    let sample = arguments.recall_probes.min(probes.len());
    let recall =
        (sample > 0).then(|| recall(crowd, &vectors[..sample], &answers, arguments.fusion.into()));
    Ok(Report {
        crowd,
        collections: arguments.collections,
        threads: arguments.threads,
        probes: arguments.probes,
        open_ms,
        rss_open_mb: at_open.anonymous,
        rss_open_file_mb: at_open.file,
        rss_searched_mb: at_end.anonymous,
        rss_searched_file_mb: at_end.file,
        search_ms: quantile(&mut searches, 0.5),
        search_p99_ms: quantile(&mut searches, 0.99),
        search_best_ms: quantile(&mut searches, 0.0),
        read_ms: quantile(&mut reads, 0.0),
        read_median_ms: quantile(&mut reads, 0.5),
        recall,
    })
}

/// Megabytes of this process in memory.
#[derive(Clone, Copy)]
struct Memory {
    anonymous: f64,
    file: f64,
}

impl Memory {
    /// Zero where the system does not say.
    fn now() -> Memory {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
            kib.unwrap_or(0.0) * 1024.0 / 1e6
        };
        Memory {
            anonymous: field("RssAnon:"),
            file: field("RssFile:"),
        }
    }

    fn since(self, before: Memory) -> Memory {
        Memory {
            anonymous: self.anonymous - before.anonymous,
            file: self.file - before.file,
        }
    }
}

/// Writes features and probes, and then answers each line on stdin with one of JSON: the times of searches for all probes.
fn in_turns(arguments: &Arguments, crowd: Crowd, folder: &Path) -> Result<(), Failure> {
    let vectors = crowd.probes(arguments.probes);
    let features = (0..crowd.people).flat_map(|person| crowd.features_of(person));
    write_raw(&folder.join("features.f32"), features)?;
    write_raw(&folder.join("probes.f32"), vectors.iter().copied())?;
    let scratch = Scratch::new(arguments.dir.as_deref())?;
    let options = options(arguments, 1);
    prepare(scratch.path(), &options, crowd)?;
    let gallery = Gallery::open(scratch.path(), options)?;
    let probes = templates(&vectors)?;
    println!("{}", json!({"kernel": kernel().name()}));
    for line in std::io::stdin().lines() {
        line?;
        let mut searches = Vec::new();
        let mut found = Vec::new();
        for probe in &probes {
            let start = Instant::now();
            let hits = gallery.search(&name(0), probe, TOP_K)?;
            searches.push(start.elapsed().as_secs_f64() * 1e3);
            found.push(hits.iter().filter_map(|hit| person(&hit.target)).collect());
        }
        let found: Vec<Vec<usize>> = found;
        println!("{}", json!({"ms": searches, "people": found}));
    }
    Ok(())
}

fn write_raw(path: &Path, vectors: impl Iterator<Item = Vector>) -> Result<(), Failure> {
    let file = File::create(path).map_err(while_doing(path.display()))?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    for vector in vectors {
        file.write_all(vector.map(f32::to_le_bytes).as_flattened())
            .map_err(while_doing(path.display()))?;
    }
    file.flush().map_err(while_doing(path.display()))
}
