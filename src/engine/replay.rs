//! Pictures that opened: none of them opens again.
//!
//! Of each there are two hashes, for a day and over restarts, in `door/shown` of the data folder; and in memory, for a minute, what its
//! re-encodings are known by. A power cut in the second of an opening may cost its line.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::door::events;
use crate::logs::uptime;
use crate::recognition::Trace;
use crate::regular_file;

/// How long the same picture does not open again.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// Pictures that are remembered, the newest: one every six seconds, all day.
const MOST: usize = 14_400;
/// Of so many are the re-encodings known, the newest.
const MOST_ALIKE: usize = 64;
/// Lines of the file from which it is written anew.
const MOST_LINES: usize = 2 * MOST;
/// How long an opening waits for its line.
const PATIENCE: Duration = Duration::from_millis(200);

type Hash = [u8; 32];

/// The pictures that opened, and those that are about to.
pub(super) struct Replays {
    memory: Mutex<Memory>,
    file: Arc<Mutex<Store>>,
    /// How long a picture much like one that opened does not.
    alike_for: Duration,
}

#[derive(Default)]
struct Memory {
    /// Oldest first, each with when it is forgotten.
    opened: VecDeque<(Instant, [Hash; 2])>,
    /// The same of those whose re-encodings are known.
    recent: VecDeque<(Instant, Arc<Trace>)>,
    /// Of requests that are being decided.
    pending: Vec<Arc<Trace>>,
}

/// A picture that is being decided about; nobody else opens with it meanwhile.
pub(super) struct Claim<'a> {
    replays: &'a Replays,
    trace: Arc<Trace>,
    /// The door was asked, and has not said no.
    may_have_opened: bool,
}

/// How a picture is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It opened within a day.
    Same,
    /// One much like it opened just now.
    Alike,
}

impl Replays {
    /// What the data folder remembers. What of it cannot be read is told and forgotten: a door must not stay shut for it.
    pub fn open(data: &Path, alike_for: Duration) -> Replays {
        let path = events::folder(data).join("shown");
        let text = regular_file::read(&path).unwrap_or_else(|e| {
            if e.kind() != io::ErrorKind::NotFound {
                let path = path.display();
                tracing::error!("door: {path}: {e}; what opened before this start may open again");
            }
            Vec::new()
        });
        let clocks = Clocks::read();
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        let mut kept: Vec<Line> = (lines.iter())
            .filter_map(|line| Line::parse(std::str::from_utf8(line).ok()?))
            .filter(|line| line.age(&clocks) < KEPT)
            .collect();
        kept.drain(..kept.len().saturating_sub(MOST));
        // From here on by a clock that nobody sets.
        let now = Instant::now();
        let opened = (kept.iter()).map(|line| (now + (KEPT - line.age(&clocks)), line.hashes));
        let memory = Memory {
            opened: opened.collect(),
            ..Memory::default()
        };
        let mut store = Store {
            path,
            file: None,
            lines: lines.len(),
        };
        if lines.len() > kept.len() + 1 {
            store.rewrite(&kept).unwrap_or_else(|e| store.tell(&e));
        }
        Replays {
            memory: Mutex::new(memory),
            file: Arc::new(Mutex::new(store)),
            alike_for,
        }
    }

    /// Takes a picture, for as long as it is decided about.
    ///
    /// # Errors
    /// How it is [known](Known): it does not open.
    pub fn claim(&self, trace: Trace) -> Result<Claim<'_>, Known> {
        let now = Instant::now();
        let mut memory = self.memory();
        while memory
            .opened
            .front()
            .is_some_and(|(until, _)| *until <= now)
        {
            memory.opened.pop_front();
        }
        memory.recent.retain(|(until, _)| *until > now);
        let [file, face] = hashes(&trace);
        let same =
            |[other_file, other_face]: &[Hash; 2]| *other_file == file || *other_face == face;
        let opened = memory.opened.iter().map(|(_, hashes)| hashes);
        let pending = memory.pending.iter().map(|other| hashes(other));
        if opened.clone().any(same) || pending.clone().any(|other| same(&other)) {
            return Err(Known::Same);
        }
        let recent = memory.recent.iter().map(|(_, other)| other);
        if recent
            .chain(&memory.pending)
            .any(|other| other.is_like(&trace))
        {
            return Err(Known::Alike);
        }
        let trace = Arc::new(trace);
        memory.pending.push(trace.clone());
        Ok(Claim {
            replays: self,
            trace,
            may_have_opened: false,
        })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim<'_> {
    /// The door is asked: whoever drops the claim from now on, a client that leaves say, does not know whether it opened.
    pub fn asks_the_door(&mut self) {
        self.may_have_opened = true;
    }

    /// The door stayed shut.
    pub fn refused(mut self) {
        self.may_have_opened = false;
    }

    /// It opened: remembered from now on, and written down. A medium that takes longer than a moment is not waited for.
    pub async fn opened(mut self) {
        self.may_have_opened = false;
        let written = self.remember();
        if tokio::time::timeout(PATIENCE, written).await.is_err() {
            tracing::warn!(
                "door: the medium is slow; a power cut now may forget a picture that opened"
            );
        }
    }

    /// In memory at once; the medium follows on a thread of its own.
    fn remember(&self) -> tokio::task::JoinHandle<()> {
        let now = Instant::now();
        let hashes = hashes(&self.trace);
        {
            let mut memory = self.replays.memory();
            memory.opened.push_back((now + KEPT, hashes));
            if memory.opened.len() > MOST {
                memory.opened.pop_front();
            }
            let until = now + self.replays.alike_for;
            memory.recent.push_back((until, self.trace.clone()));
            if memory.recent.len() > MOST_ALIKE {
                memory.recent.pop_front();
            }
        }
        let file = self.replays.file.clone();
        tokio::task::spawn_blocking(move || {
            let line = Line::now(hashes);
            let mut store = file.lock().unwrap_or_else(PoisonError::into_inner);
            store.append(&line).unwrap_or_else(|e| store.tell(&e));
        })
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if self.may_have_opened {
            drop(self.remember());
        }
        let mut memory = self.replays.memory();
        memory
            .pending
            .retain(|other| !Arc::ptr_eq(other, &self.trace));
    }
}

fn hashes(trace: &Trace) -> [Hash; 2] {
    [trace.file, trace.face]
}

/// The clocks by which the age of a line is told.
struct Clocks {
    /// Seconds since 1970, by a clock that may be set.
    wall: i64,
    /// Which boot this is; empty where the kernel does not say.
    boot: String,
    /// Seconds since boot.
    uptime: u64,
}

impl Clocks {
    fn read() -> Clocks {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Clocks {
            wall: Timestamp::now().as_second(),
            boot: boot.trim().to_owned(),
            uptime: uptime().as_secs(),
        }
    }
}

/// One opening as the file has it: `wall boot uptime file face`.
struct Line {
    clocks: Clocks,
    hashes: [Hash; 2],
}

impl Line {
    fn now(hashes: [Hash; 2]) -> Line {
        Line {
            clocks: Clocks::read(),
            hashes,
        }
    }

    fn parse(line: &str) -> Option<Line> {
        let mut fields = line.split(' ');
        let clocks = Clocks {
            wall: fields.next()?.parse().ok()?,
            boot: fields.next()?.to_owned(),
            uptime: fields.next()?.parse().ok()?,
        };
        let hashes = [unhex(fields.next()?)?, unhex(fields.next()?)?];
        Some(Line { clocks, hashes })
    }

    fn text(&self) -> String {
        let Clocks { wall, boot, uptime } = &self.clocks;
        let [file, face] = self.hashes.map(|hash| hex(&hash));
        format!("{wall} {boot} {uptime} {file} {face}\n")
    }

    /// Within one boot by the clock that nobody sets. Across boots by the other one; if that went back, as if it had opened just now.
    fn age(&self, now: &Clocks) -> Duration {
        let then = &self.clocks;
        let seconds = match !now.boot.is_empty() && now.boot == then.boot {
            true => now.uptime.saturating_sub(then.uptime),
            false => u64::try_from(now.wall.saturating_sub(then.wall)).unwrap_or(0),
        };
        Duration::from_secs(seconds)
    }
}

fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Hash> {
    let mut hash = [0; 32];
    if text.len() != 2 * hash.len() || !text.is_ascii() {
        return None;
    }
    for (byte, at) in hash.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(hash)
}

/// The file.
struct Store {
    path: PathBuf,
    file: Option<File>,
    /// In the file, those that are no longer needed included.
    lines: usize,
}

impl Store {
    fn append(&mut self, line: &Line) -> io::Result<()> {
        if self.lines >= MOST_LINES {
            let text = fs::read_to_string(&self.path)?;
            let clocks = Clocks::read();
            let mut kept: Vec<Line> = (text.lines().filter_map(Line::parse))
                .filter(|line| line.age(&clocks) < KEPT)
                .collect();
            kept.drain(..kept.len().saturating_sub(MOST));
            self.rewrite(&kept)?;
        }
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.reopen()?,
        };
        file.write_all(line.text().as_bytes())?;
        self.lines += 1;
        file.sync_data()?;
        // Only kept where all went well: a torn line is then ended before the next.
        self.file = Some(file);
        Ok(())
    }

    /// Ends a line that a crash has torn.
    fn reopen(&self) -> io::Result<File> {
        let torn = fs::read(&self.path).is_ok_and(|text| text.last().is_some_and(|b| *b != b'\n'));
        let mut options = OpenOptions::new();
        let mut file = options
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&self.path)?;
        if torn {
            file.write_all(b"\n")?;
        }
        Ok(file)
    }

    /// Puts a new file in the place of the present one, which stays if that fails.
    fn rewrite(&mut self, lines: &[Line]) -> io::Result<()> {
        let new = self.path.with_extension("new");
        let mut options = OpenOptions::new();
        let mut file = (options.create(true).write(true).truncate(true))
            .mode(0o600)
            .open(&new)?;
        let text: String = lines.iter().map(Line::text).collect();
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        self.file = None;
        self.lines = lines.len();
        Ok(())
    }

    fn tell(&self, e: &io::Error) {
        let path = self.path.display();
        tracing::error!("door: {path}: {e}; after a restart a picture that opened may open again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(file: u8, face: u8) -> Trace {
        Trace::of_hashes([file; 32], [face; 32])
    }

    fn open(data: &Path) -> Replays {
        fs::create_dir_all(events::folder(data)).unwrap();
        Replays::open(data, Duration::from_secs(60))
    }

    /// Opens with a picture, if it is not known.
    fn show(replays: &Replays, trace: Trace) -> Result<(), Known> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        let claim = replays.claim(trace)?;
        runtime.block_on(claim.opened());
        // A slow medium is waited for here.
        drop(replays.file.lock());
        Ok(())
    }

    #[test]
    fn a_picture_opens_once_also_after_a_restart() {
        let data = tempfile::tempdir().unwrap();
        let replays = open(data.path());
        assert_eq!(show(&replays, trace(1, 1)), Ok(()));
        for replays in [replays, open(data.path())] {
            assert_eq!(show(&replays, trace(1, 2)), Err(Known::Same), "the file");
            assert_eq!(show(&replays, trace(2, 1)), Err(Known::Same), "the face");
        }
        assert_eq!(show(&open(data.path()), trace(2, 2)), Ok(()));
    }

    #[test]
    fn of_two_requests_with_one_picture_only_one_is_decided() {
        let data = tempfile::tempdir().unwrap();
        let replays = open(data.path());
        let first = replays.claim(trace(1, 1)).ok().unwrap();
        assert_eq!(replays.claim(trace(1, 1)).err(), Some(Known::Same));
        // It did not open: somebody else's cool-down, say.
        drop(first);
        assert!(replays.claim(trace(1, 1)).is_ok());
    }

    #[tokio::test]
    async fn a_client_that_leaves_before_the_door_answers_does_not_open_with_the_same_picture_again()
     {
        let data = tempfile::tempdir().unwrap();
        let replays = open(data.path());
        let mut left = replays.claim(trace(1, 1)).ok().unwrap();
        left.asks_the_door();
        drop(left);
        assert_eq!(replays.claim(trace(1, 1)).err(), Some(Known::Same));
        let mut told = replays.claim(trace(2, 2)).ok().unwrap();
        told.asks_the_door();
        told.refused();
        assert!(replays.claim(trace(2, 2)).is_ok());
    }

    #[test]
    fn ages_go_by_the_clock_that_nobody_sets_and_never_below_nothing() {
        let clocks = |wall, boot: &str, uptime| Clocks {
            wall,
            boot: boot.into(),
            uptime,
        };
        let line = Line {
            clocks: clocks(1_000_000, "a", 500),
            hashes: [[0; 32]; 2],
        };
        for (now, age) in [
            (clocks(9_000_000, "a", 560), 60),
            (clocks(1_000_100, "b", 5), 100),
            (clocks(4, "b", 5), 0),
            (clocks(1_000_007, "", 5), 7),
        ] {
            assert_eq!(line.age(&now), Duration::from_secs(age), "{}", now.wall);
        }
    }

    #[test]
    fn what_is_older_than_a_day_and_what_is_torn_is_forgotten() {
        let data = tempfile::tempdir().unwrap();
        let path = events::folder(data.path()).join("shown");
        drop(open(data.path()));
        let line = |days: i64, hash: u8| {
            let clocks = Clocks {
                wall: Timestamp::now().as_second() - days * 86_400,
                boot: "another".into(),
                uptime: 1,
            };
            let hashes = [[hash; 32]; 2];
            Line { clocks, hashes }.text()
        };
        let torn = &line(0, 3)[..90];
        fs::write(&path, line(2, 1) + &line(0, 2) + "\u{0}\u{fffd} x\n" + torn).unwrap();
        for _ in 0..2 {
            let replays = open(data.path());
            assert!(replays.claim(trace(1, 1)).is_ok());
            assert_eq!(replays.claim(trace(2, 2)).err(), Some(Known::Same));
            assert!(replays.claim(trace(3, 3)).is_ok());
        }
        fs::write(&path, line(0, 2) + torn).unwrap();
        assert_eq!(show(&open(data.path()), trace(4, 4)), Ok(()));
        let replays = open(data.path());
        for known in [2, 4] {
            assert_eq!(replays.claim(trace(known, known)).err(), Some(Known::Same));
        }
    }

    #[test]
    fn the_file_is_bounded() {
        let data = tempfile::tempdir().unwrap();
        let replays = open(data.path());
        let mut store = replays.file.lock().unwrap();
        let text: String = (0..=MOST_LINES)
            .map(|_| Line::now([[7; 32]; 2]).text())
            .collect();
        fs::write(&store.path, text).unwrap();
        store.lines = MOST_LINES;
        store.append(&Line::now([[8; 32]; 2])).unwrap();
        let lines = fs::read_to_string(&store.path).unwrap().lines().count();
        assert_eq!(lines, MOST + 1);
    }
}
