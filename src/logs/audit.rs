//! AUDIT: who did what, in `logs/audit/` of the data folder: files like those of EVENTS, a month each, kept by time.
//!
//! Each record holds the hash of the one before, so that none can be changed, moved or taken out without a trace at its place. What was
//! cut off at the end is found only against a head that is kept elsewhere. Who is root on the device can write all of it anew.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::record::{MAX_SEQ, Moment};
use super::{files, lines, series};

/// The hash before the first record.
pub const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// So many faults are told of one by one.
const TOLD: usize = 100;

/// Folder of the log.
pub fn folder(data: &Path) -> PathBuf {
    super::folder(data).join("audit")
}

/// A line of AUDIT.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// One more than that of the record before.
    pub seq: u64,
    /// UTC, RFC 3339. The clock of the device may have been wrong.
    pub time: String,
    /// Seconds since boot, from a clock that nobody sets.
    pub uptime: f64,
    /// Like `door.configured`. Readers pass over those that they do not know.
    #[serde(rename = "type")]
    pub kind: String,
    /// Who: `by`, and what more is known.
    pub actor: Map<String, Value>,
    /// The number of the record of EVENTS about the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<u64>,
    /// What, by its type.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
    /// SHA-256, in hexadecimal digits, of the line of the record before, without its end.
    pub prev: String,
}

/// What is to be written.
#[derive(Clone, Debug)]
pub struct Act<'a> {
    pub kind: &'a str,
    pub actor: Value,
    pub event: Option<u64>,
    pub data: Value,
}

/// The last record of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// 0 of a chain without records.
    pub seq: u64,
    /// Hash of its line.
    pub hash: String,
}

/// What is wrong at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub file: String,
    /// From 1.
    pub line: u64,
    /// The number of the record there, if it can be read.
    pub seq: Option<u64>,
    pub what: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}, line {}: ", self.file, self.line)?;
        }
        if let Some(seq) = self.seq {
            write!(f, "record {seq}: ")?;
        }
        f.write_str(&self.what)
    }
}

/// What a check of the whole chain came to.
#[derive(Debug)]
pub struct Verified {
    pub records: u64,
    /// The number of the oldest record.
    pub first: Option<u64>,
    pub head: Head,
    /// The first hundred.
    pub faults: Vec<Fault>,
    pub more_faults: u64,
}

fn hash(line: &[u8]) -> String {
    (Sha256::digest(line).iter())
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// Every line of the log, oldest first, with its file and place.
fn each_line(data: &Path, mut take: impl FnMut(&Path, u64, &[u8])) -> io::Result<()> {
    for (_, path) in series::listed(&folder(data))? {
        let Some(file) = files::read(&path)? else {
            continue;
        };
        let mut number = 0;
        let unread = lines::each(file, |line| {
            number += 1;
            take(&path, number, line);
            true
        })?;
        if unread > 0 {
            take(&path, number + 1, b"");
        }
    }
    Ok(())
}

/// The records after the number `after`, as far as their lines can be read.
///
/// # Errors
/// The files cannot be read.
pub fn read(data: &Path, after: u64) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    each_line(data, |_, _, line| {
        if let Ok(entry) = serde_json::from_slice::<Entry>(line)
            && entry.seq > after
        {
            entries.push(entry);
        }
    })?;
    Ok(entries)
}

/// Checks every record against the one before, and the chain against a head that was kept elsewhere.
///
/// # Errors
/// The files cannot be read.
pub fn verify(data: &Path, kept: Option<&Head>) -> io::Result<Verified> {
    let mut verified = Verified {
        records: 0,
        first: None,
        head: Head {
            seq: 0,
            hash: NOTHING.into(),
        },
        faults: Vec::new(),
        more_faults: 0,
    };
    let mut faults = Vec::new();
    let mut begins = None;
    let mut trimmed = Vec::new();
    let mut kept_is_there = kept.is_none_or(|kept| kept.seq == 0);
    each_line(data, |path, line, text| {
        let mut wrong = |seq, what: String| {
            faults.push(Fault {
                file: path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into(),
                line,
                seq,
                what,
            });
        };
        let entry = serde_json::from_slice::<Entry>(text);
        let entry = entry
            .ok()
            .filter(|entry| (1..=MAX_SEQ).contains(&entry.seq));
        let head = &mut verified.head;
        let this = hash(text);
        match entry {
            None => wrong(None, "this line is no record".into()),
            Some(entry) => {
                if verified.first.is_none() && head.seq == 0 {
                    begins = Some((entry.seq, entry.prev.clone(), line, path.to_owned()));
                } else if entry.seq > head.seq + 1 {
                    let (from, to) = (head.seq + 1, entry.seq - 1);
                    wrong(
                        Some(entry.seq),
                        format!("records {from} to {to} are missing before it"),
                    );
                } else if entry.seq <= head.seq {
                    let what = format!("it is out of order: it follows {}", head.seq);
                    wrong(Some(entry.seq), what);
                } else if entry.prev != head.hash {
                    let what = "the record before it was changed, or this one".into();
                    wrong(Some(entry.seq), what);
                }
                if entry.kind == "audit.trimmed" {
                    let before = entry.data.get("before").and_then(Value::as_u64);
                    let prev = entry.data.get("prev").and_then(Value::as_str);
                    trimmed.extend(before.zip(prev.map(str::to_owned)));
                }
                if let Some(kept) = kept.filter(|kept| kept.seq == entry.seq) {
                    kept_is_there = true;
                    if kept.hash != this {
                        wrong(
                            Some(entry.seq),
                            "it is not the record whose head was kept".into(),
                        );
                    }
                }
                verified.first.get_or_insert(entry.seq);
                verified.records += 1;
                head.seq = entry.seq;
            }
        }
        head.hash = this;
    })?;
    if let Some((seq, prev, line, path)) = begins {
        let is_first = seq == 1 && prev == NOTHING;
        if !is_first && !trimmed.contains(&(seq, prev)) {
            let what =
                "the chain begins here, and no later record says that older ones were let go"
                    .into();
            faults.insert(
                0,
                Fault {
                    file: path
                        .file_name()
                        .unwrap_or_default()
                        .to_string_lossy()
                        .into(),
                    line,
                    seq: Some(seq),
                    what,
                },
            );
        }
    }
    if let Some(kept) = kept.filter(|_| !kept_is_there) {
        faults.push(Fault {
            file: String::new(),
            line: 0,
            seq: Some(kept.seq),
            what: "the record whose head was kept is not there: the end was cut off".into(),
        });
    }
    verified.more_faults = faults.len().saturating_sub(TOLD) as u64;
    faults.truncate(TOLD);
    verified.faults = faults;
    Ok(verified)
}

/// The log, open for appending. One program at a time.
pub struct Audit {
    folder: PathBuf,
    head: Head,
    /// The newest file and the month of its first record.
    newest: Option<(File, String)>,
    _lock: File,
}

impl Audit {
    /// Opens the log and goes on after its last record. A torn last line, which no call that wrote it ever returned for, goes; a record
    /// `audit.torn` says so.
    ///
    /// # Errors
    /// The files cannot be read or written.
    pub fn open(data: &Path) -> io::Result<Audit> {
        let folder = folder(data);
        files::make_folder(&folder)?;
        let lock = files::append(&folder.join("lock"))?;
        // Whoever writes is done in a moment.
        lock.lock()?;
        let mut torn = None;
        if let Some((_, path)) = series::listed(&folder)?.pop() {
            torn = cut_torn(&path)?;
        }
        let mut head = Head {
            seq: 0,
            hash: NOTHING.into(),
        };
        let mut month = String::new();
        let mut file = PathBuf::new();
        each_line(data, |path, _, line| {
            let entry = serde_json::from_slice::<Entry>(line).ok();
            if file != path {
                path.clone_into(&mut file);
                month = entry
                    .as_ref()
                    .map_or(String::new(), |entry| of_month(&entry.time));
            }
            // A line that is no record had a number, too.
            let given = entry.map_or(head.seq + 1, |entry| entry.seq);
            head.seq = given.clamp(head.seq, MAX_SEQ - 1);
            head.hash = hash(line);
        })?;
        let newest = match file.as_os_str().is_empty() {
            true => None,
            false => Some((files::append(&file)?, month)),
        };
        let mut audit = Audit {
            folder,
            head,
            newest,
            _lock: lock,
        };
        if let Some(bytes) = torn {
            let data = json!({"bytes": bytes.len(), "sha256": hash(&bytes)});
            audit.append(&Act {
                kind: "audit.torn",
                actor: json!({"by": "system"}),
                event: None,
                data,
            })?;
        }
        Ok(audit)
    }

    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Appends a record; it is on the medium when this returns. Its number.
    ///
    /// # Errors
    /// The medium refuses. Open the log anew: the record may stand there in part, or whole.
    pub fn append(&mut self, act: &Act) -> io::Result<u64> {
        let moment = Moment::now();
        let month = of_month(&moment.time);
        let entry = Entry {
            seq: self.head.seq + 1,
            time: moment.time,
            uptime: moment.uptime,
            kind: act.kind.into(),
            actor: object(act.actor.clone()),
            event: act.event,
            data: object(act.data.clone()),
            prev: self.head.hash.clone(),
        };
        let mut line = serde_json::to_string(&entry)?;
        let head = Head {
            seq: entry.seq,
            hash: hash(line.as_bytes()),
        };
        line.push('\n');
        let newest = match self.newest.take().filter(|(_, begun)| *begun == month) {
            Some(newest) => newest,
            None => {
                let path = self.folder.join(series::name(entry.seq));
                let file = files::append(&path)?;
                files::sync_folder_of(&path)?;
                (file, month)
            }
        };
        (&newest.0).write_all(line.as_bytes())?;
        newest.0.sync_data()?;
        self.newest = Some(newest);
        self.head = head;
        Ok(entry.seq)
    }

    /// Lets files go whose records are all older than `keep`, by a clock that can be believed; a record `audit.trimmed` says so first. How
    /// many files went.
    ///
    /// # Errors
    /// The files cannot be read or written.
    pub fn trim(&mut self, now: Timestamp, keep: Duration) -> io::Result<usize> {
        let keep = SignedDuration::try_from(keep).unwrap_or(SignedDuration::MAX);
        let Ok(oldest) = now.checked_sub(keep) else {
            return Ok(0);
        };
        let all = series::listed(&self.folder)?;
        let mut gone = 0;
        let mut begins = None;
        // The one after it has begun before that time: so all its own records are older.
        for (at, (seq, path)) in all.iter().enumerate().skip(1) {
            let Some(entry) = first_entry(path)? else {
                break;
            };
            let time: Option<Timestamp> = entry.time.parse().ok();
            if time.is_none_or(|time| time >= oldest) || entry.seq != *seq {
                break;
            }
            gone = at;
            begins = Some((entry.seq, entry.prev));
        }
        let Some((before, prev)) = begins else {
            return Ok(0);
        };
        self.append(&Act {
            kind: "audit.trimmed",
            actor: json!({"by": "system"}),
            event: None,
            data: json!({"before": before, "prev": prev}),
        })?;
        for (_, path) in &all[..gone] {
            std::fs::remove_file(path)?;
        }
        Ok(gone)
    }
}

fn of_month(time: &str) -> String {
    time.chars().take(7).collect()
}

fn first_entry(path: &Path) -> io::Result<Option<Entry>> {
    let Some(file) = files::read(path)? else {
        return Ok(None);
    };
    let mut first = None;
    let mut seen = false;
    lines::each(file, |line| {
        if !std::mem::replace(&mut seen, true) {
            first = serde_json::from_slice(line).ok();
        }
        true
    })?;
    Ok(first)
}

/// Cuts a last line without an end off, and returns it.
fn cut_torn(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let text = std::fs::read(path)?;
    let whole = text
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let torn = text[whole..].to_vec();
    if torn.is_empty() {
        return Ok(None);
    }
    let file = files::append(path)?;
    file.set_len(whole as u64)?;
    file.sync_all()?;
    Ok(Some(torn))
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
