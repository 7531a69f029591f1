//! Watches the license file and the time.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::clock::Clock;
use super::date::{self, DAY, Seconds};
use super::device::{DeviceIdentity, IdentitySource};
use super::file::{self, MAX_BYTES, Terms};
use super::keys::TrustedKey;
use super::time::{Timekeeper, Timing};
use super::{State, Verdict};
use crate::regular_file;

/// Everything that a judgement depends on.
pub struct Circumstances {
    /// The license file.
    pub file: PathBuf,
    /// The record of the time.
    pub mark: PathBuf,
    pub device: DeviceIdentity,
    pub keys: Vec<TrustedKey>,
    pub clock: Arc<dyn Clock>,
    pub pace: Pace,
}

/// How often is looked.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Whether the file was replaced.
    pub poll: Duration,
    /// Everything.
    pub recheck: Duration,
    /// Everything, while the license is refused: a clock that is set right opens the door again.
    pub recheck_refused: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            poll: Duration::from_secs(5),
            recheck: Duration::from_secs(3600),
            recheck_refused: Duration::from_secs(60),
        }
    }
}

/// Days before the end from which the detail says when it is.
const ANNOUNCED_DAYS: Seconds = 30;

/// Tells one state of the file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp(i64, i64, u64, u64);

impl Stamp {
    fn of(path: &Path) -> Option<Stamp> {
        let of = std::fs::metadata(path).ok()?;
        Some(Stamp(of.mtime(), of.mtime_nsec(), of.size(), of.ino()))
    }
}

/// Judges; owned by the thread that watches.
pub(super) struct Judge {
    file: PathBuf,
    device: DeviceIdentity,
    keys: Vec<TrustedKey>,
    clock: Arc<dyn Clock>,
    pace: Pace,
    time: Timekeeper,
    /// The last bytes that could be read.
    last: Option<Vec<u8>>,
    /// Whether this device's license was seen, so that the time is worth keeping.
    licensed: bool,
    stamp: Option<Stamp>,
    judged_at: Duration,
    current: Arc<RwLock<Arc<Verdict>>>,
}

impl Judge {
    /// `store`: whether the time is kept on disk, which is the daemon's part.
    pub fn new(with: Circumstances, store: bool) -> Judge {
        let time = Timekeeper::start(with.clock.clone(), with.device.clone(), with.mark, store);
        let mut judge = Judge {
            file: with.file,
            device: with.device,
            keys: with.keys,
            judged_at: with.clock.uptime(),
            clock: with.clock,
            pace: with.pace,
            time,
            last: None,
            licensed: false,
            stamp: None,
            current: Arc::new(RwLock::new(Arc::new(Verdict::none()))),
        };
        judge.judge();
        judge
    }

    pub fn current(&self) -> Arc<RwLock<Arc<Verdict>>> {
        self.current.clone()
    }

    fn verdict(&self) -> Arc<Verdict> {
        (self.current.read())
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn judge(&mut self) {
        self.judged_at = self.clock.uptime();
        self.stamp = Stamp::of(&self.file);
        let verdict = self.read_and_judge();
        let before = self.verdict();
        if *before == verdict {
            return;
        }
        match verdict.state {
            State::Authorized => tracing::info!("license: {}", verdict.detail),
            state => tracing::warn!("license: {state}: {}", verdict.detail),
        }
        *(self.current.write()).unwrap_or_else(PoisonError::into_inner) = Arc::new(verdict);
    }

    fn read_and_judge(&mut self) -> Verdict {
        self.licensed = false;
        if self.keys.is_empty() {
            return Verdict::refused(
                State::Unauthorized,
                "this release was built without the vendor's keys: it can be licensed by nobody",
            );
        }
        match read(&self.file) {
            Ok(bytes) => self.last = Some(bytes),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                self.last = None;
                return Verdict::none();
            }
            // A card that begins to fail does not lock people out before the next start.
            Err(e) if self.last.is_some() => {
                tracing::warn!("license: {} cannot be read: {e}", self.file.display());
            }
            Err(e) => {
                let detail = format!("the license file cannot be read: {e}");
                return Verdict::refused(State::Unauthorized, detail);
            }
        }
        let bytes = self.last.as_deref().unwrap_or_default();
        let terms = match file::verify_or_explain(bytes, &self.keys) {
            Ok((terms, _)) => terms,
            Err(e) => return Verdict::refused(State::Invalid, e.to_string()),
        };
        if let Some(detail) = mismatch(&terms, &self.device) {
            return Verdict::refused(State::DeviceMismatch, detail);
        }
        let timing = self.time.judge(&terms);
        self.licensed = !matches!(timing, Timing::NotYet { .. });
        if self.licensed {
            self.time.store(false);
        }
        conclude(&terms, timing, self.time.now())
    }

    fn poll(&mut self) {
        let since = self.clock.uptime().saturating_sub(self.judged_at);
        let due = match self.verdict().state {
            State::Authorized => self.pace.recheck,
            _ => self.pace.recheck_refused,
        };
        if since >= due || Stamp::of(&self.file) != self.stamp {
            self.judge();
        } else if self.licensed {
            self.time.tick();
        }
    }

    /// See [`super::License::saw_commit`].
    pub fn saw_commit(&mut self, time: Seconds) {
        self.time.saw_commit(time);
        self.judge();
    }
}

/// The thread that watches. It ends with this value.
pub(super) struct Guard {
    judge: Arc<Mutex<Judge>>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Guard {
    pub fn start(judge: Judge) -> Guard {
        let poll = judge.pace.poll;
        let judge = Arc::new(Mutex::new(judge));
        let watched = judge.clone();
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("license".into())
            .spawn(move || {
                while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(poll) {
                    lock(&watched).poll();
                }
            });
        // What was found at the start stays true; to refuse to serve would be the worse fault.
        let thread = thread
            .inspect_err(|e| {
                tracing::error!("license: it is not watched, for want of a thread: {e}")
            })
            .ok();
        Guard {
            judge,
            stop: Some(stop),
            thread,
        }
    }

    pub fn judge(&self) -> MutexGuard<'_, Judge> {
        lock(&self.judge)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let mut judge = self.judge();
        if judge.licensed {
            judge.time.tick();
            judge.time.store(true);
        }
    }
}

fn lock(judge: &Mutex<Judge>) -> MutexGuard<'_, Judge> {
    judge.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads a file that may be anything: never waits for a pipe, never takes in more than is needed to know that it is too long.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = regular_file::open(OpenOptions::new().read(true), path)?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Why the license is not for this device; `None` if it is.
fn mismatch(terms: &Terms, device: &DeviceIdentity) -> Option<String> {
    if device.source() == IdentitySource::Nothing {
        return Some(
            "this device has neither a board serial number nor a machine-id, so no license can be for it".into(),
        );
    }
    (terms.device != device.fingerprint()).then(|| {
        format!(
            "the license is for device {}…, this is device {}…",
            &super::hex(&terms.device)[..8],
            &device.hex()[..8]
        )
    })
}

fn conclude(terms: &Terms, timing: Timing, now: Seconds) -> Verdict {
    let id = &terms.id;
    let expires = terms.expires.unwrap_or(Seconds::MAX);
    let (state, detail) = match timing {
        Timing::Valid if terms.expires.is_none() => {
            (State::Authorized, format!("license {id}, without an end"))
        }
        Timing::Valid => {
            let left = expires.saturating_sub(now);
            let soon = match left <= ANNOUNCED_DAYS * DAY {
                true => format!(", which is in {}", date::days(left)),
                false => String::new(),
            };
            let end = date::show(expires);
            (
                State::Authorized,
                format!("license {id}, valid until {end}{soon}"),
            )
        }
        Timing::Grace(left) => (
            State::Authorized,
            format!(
                "license {id} expired on {}; in {} the device stops working",
                date::show(expires),
                date::days(left)
            ),
        ),
        Timing::Expired => (
            State::Expired,
            format!("license {id} expired on {}", date::show(expires)),
        ),
        Timing::NotYet { now } => (
            State::Invalid,
            format!(
                "license {id} was issued on {}, which is in the future: here it is {}; set the clock",
                date::show(terms.issued),
                date::show(now)
            ),
        ),
        Timing::Rollback { mark } => (
            State::ClockRollback,
            format!(
                "the clock was set back: this device has seen {} before; set the clock, or ask the vendor for a license that \
                 resets it",
                date::show(mark)
            ),
        ),
    };
    let licensed = Verdict {
        state,
        detail,
        limits: terms.limits,
        features: terms.features.clone(),
    };
    match state {
        State::Authorized => licensed,
        state => Verdict::refused(state, licensed.detail),
    }
}
