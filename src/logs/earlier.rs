//! The log of a door of version 1.0.0: `door/events.jsonl` and up to four older files beside it. It is read where it lies; EVENTS goes on
//! from its last number.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::record::Record;
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

/// Everything in it, oldest first, and how many lines cannot be read.
///
/// # Errors
/// The files cannot be read.
pub fn read(data: &Path) -> io::Result<(Vec<Record>, u64)> {
    let mut records = Vec::new();
    let mut damaged = 0;
    for path in files(data) {
        if let Some(file) = files::read(&path)? {
            damaged += lines::each(file, |line| {
                let record = serde_json::from_slice(line).ok().and_then(record);
                record.map(|record| records.push(record)).is_some()
            })?;
        }
    }
    let (records, dropped) = lines::rising(records, |record| record.seq);
    Ok((records, damaged + dropped))
}

/// The last number that it gave.
///
/// # Errors
/// The files cannot be read.
pub fn last(data: &Path) -> io::Result<Option<u64>> {
    Ok(read(data)?.0.last().map(|record| record.seq))
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
