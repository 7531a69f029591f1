//! The log of a door of version 1.0.0: `door/events.jsonl` and up to four older files beside it. It is read where it lies; EVENTS goes on
//! from its last number.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::record::{MAX_SEQ, Record};
use super::{files, lines};

/// Its files, oldest first; the newest has no number.
const AGES: [&str; 5] = [
    "events.4.jsonl",
    "events.3.jsonl",
    "events.2.jsonl",
    "events.1.jsonl",
    "events.jsonl",
];

/// Those of its files that are there, oldest first.
pub fn files(data: &Path) -> Vec<PathBuf> {
    let all = AGES.iter().map(|name| data.join("door").join(name));
    all.filter(|path| path.exists()).collect()
}

/// Numbers that are left out where a file cannot be read at all: more than the log ever held.
const UNREAD: u64 = 1 << 20;

/// What could be read of it.
pub struct Earlier {
    /// Oldest first, with rising numbers.
    pub records: Vec<Record>,
    /// Lines that cannot be read; of a file that cannot be, one.
    pub damaged: u64,
    /// The last number that it may have given.
    pub last: Option<u64>,
}

/// Everything in it.
///
/// # Errors
/// This user may not read the files.
pub fn read(data: &Path) -> io::Result<Earlier> {
    let mut records = Vec::new();
    let mut damaged = 0;
    let mut unread = 0;
    for path in files(data) {
        let found = files::read(&path).and_then(|file| match file {
            None => Ok(0),
            Some(file) => lines::each(file, |line| {
                let record = serde_json::from_slice(line).ok().and_then(record);
                record.map(|record| records.push(record)).is_some()
            }),
        });
        match lines::unless_forbidden(found)? {
            Ok(lines) => damaged += lines,
            Err(files) => unread += files,
        }
    }
    let (records, dropped) = lines::rising(records, |record| record.seq);
    let last = records.last().map(|record| record.seq);
    Ok(Earlier {
        records,
        damaged: damaged + dropped + unread,
        last: match unread {
            0 => last,
            _ => Some(last.unwrap_or(0).saturating_add(UNREAD).min(MAX_SEQ)),
        },
    })
}

/// A line of it, in the form of today: `event` became the type, what stood beside it the data.
fn record(mut line: Map<String, Value>) -> Option<Record> {
    let event = line.remove("event")?;
    let kind = match event.as_str()? {
        "lost" => "log.lost".to_owned(),
        event => format!("door.{event}"),
    };
    Some(Record {
        seq: line.remove("seq")?.as_u64()?,
        time: line.remove("time")?.as_str()?.to_owned(),
        uptime: line.remove("uptime")?.as_f64()?,
        kind,
        data: line,
    })
}
