//! `recocomp bench start`

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Value, json};

use super::Failure;
use super::metrics::quantile;
use super::search::positive;
use super::synthetic::{Crowd, Scratch};
use crate::cli::while_doing;
use crate::gallery::{Gallery, Options};
use crate::http::PREFIX;
use crate::inference::{ModelPaths, ModelSet};
use crate::license::license_file;

/// Longer than any start takes.
const PATIENCE: Duration = Duration::from_secs(120);

const SOCKET: &str = "notify";

const COLLECTION: &str = "bench";

/// Time from starting the daemon until it is ready, its first search, and its memory after some
///
/// Starts this program with `serve` as systemd does, on a gallery of made-up people, and asks it over HTTP.
#[derive(Args)]
pub struct Arguments {
    /// Picture with a face, for the searches
    #[arg(long, value_name = "FILE")]
    image: PathBuf,
    /// License file, in a release; a development build licenses itself
    #[arg(long, value_name = "FILE")]
    license: Option<PathBuf>,
    /// People in the collection
    #[arg(long, default_value_t = 10_000, value_parser = positive)]
    people: usize,
    /// Features of each
    #[arg(long, default_value_t = 1, value_parser = positive)]
    features: usize,
    /// Starts
    #[arg(long, default_value_t = 5, value_parser = positive)]
    rounds: usize,
    /// Searches after each start
    #[arg(long, default_value_t = 100, value_parser = positive)]
    searches: usize,
    /// Where the gallery is written; it is removed again [default: /var/tmp]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
}

/// One start.
struct Round {
    ready_ms: f64,
    first_search_ms: f64,
    /// Resident memory, and the part of it that is no file's, in KiB.
    resident: u64,
    anonymous: u64,
    stop_ms: f64,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let scratch = Scratch::new(arguments.dir.as_deref())?;
    let picture = fs::read(&arguments.image).map_err(while_doing(arguments.image.display()))?;
    let data = scratch.path().canonicalize()?.join("data");
    if let Some(license) = &arguments.license {
        fs::create_dir_all(&data)?;
        fs::copy(license, license_file(&data)).map_err(while_doing(license.display()))?;
    }
    fill(arguments, &data)?;
    let search =
        json!({"collection_name": COLLECTION, "top_k": 1, "face_image": STANDARD.encode(picture)});
    let rounds = (0..arguments.rounds)
        .map(|_| round(arguments, scratch.path(), &data, &search))
        .collect::<Result<Vec<Round>, Failure>>()?;
    let sorted = |of: fn(&Round) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let most =
        |of: fn(&Round) -> u64| rounds.iter().map(of).max().unwrap_or(0) as f64 / 1e3 * 1.024;
    let (ready, first) = (sorted(|r| r.ready_ms), sorted(|r| r.first_search_ms));
    let stop = sorted(|r| r.stop_ms);
    let (resident, anonymous) = (most(|r| r.resident), most(|r| r.anonymous));
    let median = |values: &[f64]| quantile(&mut values.to_vec(), 0.5);
    if arguments.json {
        let report = json!({
            "people": arguments.people,
            "features": arguments.features,
            "rounds": arguments.rounds,
            "searches": arguments.searches,
            "ready_ms": {"best": ready[0], "median": median(&ready), "all": rounds.iter().map(|r| r.ready_ms).collect::<Vec<_>>()},
            "first_search_ms": {"best": first[0], "median": median(&first)},
            "stop_ms": {"best": stop[0], "median": median(&stop)},
            "resident_mb": resident,
            "anonymous_mb": anonymous,
        });
        println!("{report}");
        return Ok(());
    }
    println!(
        "{} people, {} features each, {} starts",
        arguments.people, arguments.features, arguments.rounds
    );
    println!("{:<28} {:>8} {:>8}", "ms", "best", "median");
    for (what, values) in [
        ("start to READY=1", &ready),
        ("first search", &first),
        ("SIGTERM to the end", &stop),
    ] {
        println!("{what:<28} {:>8.1} {:>8.1}", values[0], median(values));
    }
    println!(
        "memory after {} searches, the most: {resident:.1} MB resident, {anonymous:.1} MB of it anonymous",
        arguments.searches
    );
    Ok(())
}

/// Makes the gallery.
fn fill(arguments: &Arguments, data: &Path) -> Result<(), Failure> {
    let template_space = ModelSet::load(&ModelPaths::default())?.template_space;
    let gallery = Gallery::open(
        &data.join("gallery"),
        Options {
            template_space: template_space.clone(),
            ..Options::default()
        },
    )?;
    let crowd = Crowd {
        people: arguments.people,
        features: arguments.features,
        seed: 1,
    };
    crowd.import(&gallery, COLLECTION, &template_space)
}

fn round(
    arguments: &Arguments,
    folder: &Path,
    data: &Path,
    search: &Value,
) -> Result<Round, Failure> {
    let _ = fs::remove_file(folder.join(SOCKET));
    // The path of a socket is short: here it goes by the folder's descriptor, in the daemon by its working folder.
    let opened = File::open(folder)?;
    let manager = UnixDatagram::bind(format!("/proc/self/fd/{}/{SOCKET}", opened.as_raw_fd()))?;
    manager.set_read_timeout(Some(PATIENCE))?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(data)
        .current_dir(folder)
        .env("NOTIFY_SOCKET", SOCKET)
        .env("RECOCOMP_LOG", "warn")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    if cfg!(feature = "development-key") && arguments.license.is_none() {
        command.arg("--development");
    }
    let start = Instant::now();
    let mut daemon = Daemon(command.spawn()?);
    let mut message = [0; 4096];
    while let Ok(length) = manager.recv(&mut message) {
        if message[..length].starts_with(b"READY=1") {
            break;
        }
    }
    let ready_ms = milliseconds(start);
    let address = daemon.address()?;
    let body = search.to_string();
    let begun = Instant::now();
    ask(&address, &body)?;
    let first_search_ms = milliseconds(begun);
    for _ in 1..arguments.searches {
        ask(&address, &body)?;
    }
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.0.id()))?;
    let kib = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    let (resident, anonymous) = (kib("VmRSS:"), kib("RssAnon:"));
    let begun = Instant::now();
    daemon.stop()?;
    Ok(Round {
        ready_ms,
        first_search_ms,
        resident,
        anonymous,
        stop_ms: milliseconds(begun),
    })
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// A daemon that does not outlive the bench.
struct Daemon(Child);

impl Daemon {
    /// From its first line: `listening on http://127.0.0.1:PORT`.
    fn address(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        let output = self.0.stdout.take().ok_or("no output")?;
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on http://");
        Ok(address.ok_or("the daemon did not start")?.to_owned())
    }

    fn stop(&mut self) -> Result<(), Failure> {
        let pid = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        match self.0.wait()?.success() {
            true => Ok(()),
            false => Err("the daemon did not end in order".into()),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One search, on a connection of its own.
fn ask(address: &str, body: &str) -> Result<(), Failure> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "POST {PREFIX}/face/search HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let json = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
    let answer: Value = serde_json::from_str(json)?;
    match answer["err_code"].as_i64() {
        Some(0) => Ok(()),
        _ => Err(format!("a search was refused: {answer}").into()),
    }
}
