//! The audit log of the door: `door/events.jsonl` in the data folder, a JSON object a line, appended and synced.
//!
//! It names who entered, never what they look like: no pictures, no templates.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bytes from which a file is put aside.
const FILE_BYTES: u64 = 4 << 20;
/// Files kept beside the present one; with them the log has at most 20 MiB, some 100,000 events.
const OLD_FILES: usize = 4;

/// What happened, with what is known about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The program took the pins.
    Started {
        board: String,
        door_open: bool,
    },
    /// The program gave the pins back.
    Stopped,
    /// The lock was opened.
    Opened(Opened),
    /// The lock is locked again.
    Relocked,
    /// A search that asked to open was refused.
    Denied(Denied),
    DoorOpened,
    DoorClosed,
    /// The door was opened while locked.
    Forced,
    /// The door has been open for too long.
    HeldOpen,
    Tamper,
    TamperEnded,
    /// The pins cannot be used.
    Fault {
        what: String,
    },
    /// Events that could not be kept.
    Lost {
        count: u64,
    },
}

/// Who or what opened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// `face`, `button` or `test`.
    pub by: String,
    /// The `target_id` of the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cosine: Option<f32>,
    /// The cosine that was needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// Its false match rate is rarer than what the embedding model was measured for: models.toml.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub extrapolated: bool,
    #[serde(flatten)]
    pub request: Origin,
}

/// Why a search did not open. Whom a stranger resembles most is not written down.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Denied {
    pub reason: String,
    /// The person who matched and may not enter now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    #[serde(flatten)]
    pub request: Origin,
    /// How many more of them there were since the last that was written.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
}

/// Where a request came from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The request's id, as in the log of the daemon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Counts every event, over restarts, too: a gap shows that something is missing.
    pub seq: u64,
    /// UTC, RFC 3339. The clock of the device may have been wrong.
    pub time: String,
    /// Seconds since boot, from a clock that nobody sets.
    pub uptime: f64,
    /// On a simulated board no door moved.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub simulated: bool,
    #[serde(flatten)]
    pub event: Event,
}

/// The log, open for appending.
pub struct Log {
    folder: PathBuf,
    file: File,
    bytes: u64,
    next: u64,
    simulated: bool,
}

fn path(folder: &Path, age: usize) -> PathBuf {
    folder.join(match age {
        0 => "events.jsonl".to_owned(),
        age => format!("events.{age}.jsonl"),
    })
}

/// Folder of the door's files.
pub fn folder(data: &Path) -> PathBuf {
    data.join("door")
}

impl Log {
    /// Opens the log in the data folder and goes on after its last event. A torn last line stays, on a line of its own.
    ///
    /// Who writes holds [`super::lock::PinLock`]: the log has one writer.
    ///
    /// # Errors
    /// The files cannot be read or written.
    pub fn open(data: &Path, simulated: bool) -> io::Result<Log> {
        let folder = folder(data);
        std::fs::create_dir_all(&folder)?;
        let last = (0..=OLD_FILES)
            .find_map(|age| lines(&path(&folder, age)).ok()?.1.last().map(|r| r.seq));
        let mut file = append(&path(&folder, 0))?;
        let text = std::fs::read(path(&folder, 0))?;
        if text.last().is_some_and(|last| *last != b'\n') {
            file.write_all(b"\n")?;
        }
        Ok(Log {
            bytes: file.metadata()?.len(),
            file,
            folder,
            next: last.map_or(1, |seq| seq + 1),
            simulated,
        })
    }

    /// Appends an event; it is on the disk when this returns.
    ///
    /// # Errors
    /// The disk refuses. Open the log anew before the next event: this one may stand there in part, or whole.
    pub fn append(&mut self, event: &Event, happened: &Moment) -> io::Result<()> {
        if self.bytes >= FILE_BYTES
            && let Err(e) = self.rotate()
            && self.bytes >= 2 * FILE_BYTES
        {
            // Better a file that is too long than an event that is lost, but not without end.
            return Err(e);
        }
        let record = Record {
            seq: self.next,
            time: happened.time.clone(),
            uptime: happened.uptime,
            simulated: self.simulated,
            event: event.clone(),
        };
        let line = serde_json::to_string(&record)? + "\n";
        if let Err(e) = self.file.write_all(line.as_bytes()) {
            // Nothing half-written before the next one.
            let _ = self.file.set_len(self.bytes);
            return Err(e);
        }
        self.bytes += line.len() as u64;
        self.next += 1;
        self.file.sync_data()
    }

    /// Puts the present file aside. The new one is made first, and files move up only as far as there is a gap: a disk without room
    /// for another file, or a power cut in between, costs no event however often it happens.
    fn rotate(&mut self) -> io::Result<()> {
        let new = self.folder.join("events.new.jsonl");
        let file = append(&new)?;
        let gap = (1..OLD_FILES).find(|age| !path(&self.folder, *age).exists());
        for age in (0..gap.unwrap_or(OLD_FILES)).rev() {
            std::fs::rename(path(&self.folder, age), path(&self.folder, age + 1))?;
        }
        std::fs::rename(&new, path(&self.folder, 0))?;
        self.file = file;
        self.bytes = 0;
        File::open(&self.folder)?.sync_all()
    }
}

fn append(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    (OpenOptions::new().create(true).append(true).mode(0o600)).open(path)
}

/// When something happened.
#[derive(Clone, Debug)]
pub struct Moment {
    time: String,
    uptime: f64,
}

impl Moment {
    pub fn now() -> Moment {
        Moment {
            time: format!("{:.3}", jiff::Timestamp::now()),
            uptime: uptime().as_secs_f64(),
        }
    }
}

/// Time since boot, which goes on whatever the clock is set to.
pub fn uptime() -> Duration {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds: Option<f64> = text.split(' ').next().and_then(|s| s.parse().ok());
    Duration::try_from_secs_f64(seconds.unwrap_or_default()).unwrap_or_default()
}

/// Everything in the log, oldest first, and how many lines of it cannot be read.
///
/// # Errors
/// The files cannot be read.
pub fn read(data: &Path) -> io::Result<(u64, Vec<Record>)> {
    let folder = folder(data);
    let mut all = BTreeMap::new();
    let mut unreadable = 0;
    // From the newest, because files only grow older: one that is put aside meanwhile is read twice rather than not at all.
    for age in 0..=OLD_FILES {
        let (bad, records) = lines(&path(&folder, age))?;
        unreadable += bad;
        all.extend(records.into_iter().map(|record| (record.seq, record)));
    }
    Ok((unreadable, all.into_values().collect()))
}

fn lines(path: &Path) -> io::Result<(u64, Vec<Record>)> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((0, Vec::new())),
        Err(e) => return Err(e),
    };
    let mut records = Vec::new();
    let mut unreadable = 0;
    for line in BufReader::new(file).split(b'\n') {
        let line = line?;
        match serde_json::from_slice(&line) {
            Ok(record) => records.push(record),
            Err(_) if line.is_empty() => {}
            Err(_) => unreadable += 1,
        }
    }
    Ok((unreadable, records))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forced(log: &mut Log) {
        log.append(&Event::Forced, &Moment::now()).unwrap();
    }

    #[test]
    fn numbers_go_on_after_a_restart_and_a_torn_line() {
        let data = tempfile::tempdir().unwrap();
        let mut log = Log::open(data.path(), false).unwrap();
        forced(&mut log);
        forced(&mut log);
        drop(log);
        let mut file = append(&path(&folder(data.path()), 0)).unwrap();
        file.write_all(b"{\"seq\": 3, \"ev").unwrap();
        let mut log = Log::open(data.path(), true).unwrap();
        let opened = Event::Opened(Opened {
            by: "face".into(),
            person: Some("ada\n\"".into()),
            cosine: Some(0.75),
            ..Opened::default()
        });
        log.append(&opened, &Moment::now()).unwrap();
        let (unreadable, records) = read(data.path()).unwrap();
        assert_eq!(unreadable, 1);
        assert_eq!(records.iter().map(|r| r.seq).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(records[2].event, opened);
        assert!(records[2].simulated && !records[1].simulated);
        assert!(records[2].time.ends_with('Z'), "{}", records[2].time);
    }

    #[test]
    fn the_log_is_bounded_and_its_newest_events_stay() {
        let data = tempfile::tempdir().unwrap();
        let mut log = Log::open(data.path(), false).unwrap();
        for _ in 0..OLD_FILES + 3 {
            forced(&mut log);
            // As if the file were full.
            log.bytes = FILE_BYTES;
        }
        drop(log);
        let mut log = Log::open(data.path(), false).unwrap();
        forced(&mut log);
        let (_, records) = read(data.path()).unwrap();
        let numbers: Vec<u64> = records.iter().map(|r| r.seq).collect();
        assert_eq!(numbers, [3, 4, 5, 6, 7, 8]);
        let files = std::fs::read_dir(folder(data.path())).unwrap().count();
        assert_eq!(files, OLD_FILES + 1);
    }

    #[test]
    fn a_file_that_cannot_be_put_aside_costs_no_event() {
        let data = tempfile::tempdir().unwrap();
        let mut log = Log::open(data.path(), false).unwrap();
        for _ in 0..3 {
            forced(&mut log);
            log.bytes = FILE_BYTES;
        }
        // As on a disk without room for another file.
        let in_the_way = folder(data.path()).join("events.new.jsonl");
        std::fs::create_dir(&in_the_way).unwrap();
        log.bytes = 2 * FILE_BYTES;
        for _ in 0..2 * OLD_FILES {
            assert!(log.append(&Event::Forced, &Moment::now()).is_err());
        }
        log.bytes = FILE_BYTES;
        forced(&mut log);
        let numbers = || -> Vec<u64> {
            let (_, records) = read(data.path()).unwrap();
            records.iter().map(|r| r.seq).collect()
        };
        assert_eq!(numbers(), [1, 2, 3, 4]);
        std::fs::remove_dir(&in_the_way).unwrap();
        // As a power cut between two of the renames leaves it.
        let files = folder(data.path());
        std::fs::rename(path(&files, 2), path(&files, 3)).unwrap();
        forced(&mut log);
        assert_eq!(numbers(), [1, 2, 3, 4, 5]);
    }
}
