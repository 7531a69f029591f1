//! EVENTS: what happened, in `logs/events/` of the data folder, for whoever runs the device and for programs that listen.
//!
//! | file | holds |
//! |---|---|
//! | `00000000000000000001.jsonl` | records from that number on, a line each, appended and synced |
//! | `numbers` | the highest number that may have been given |
//! | `lock` | held by the one program that writes |
//!
//! A reader remembers the number of the last record that it has seen and asks for those after it.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::numbers::{self, BLOCK, Found, Numbers};
use super::record::{MAX_SEQ, Moment, Record};
use super::series::{listed, name};
use super::{Medium, earlier, files, lines};
use crate::regular_file;

/// Bytes from which a new file is begun.
const FILE_BYTES: u64 = 1 << 20;
/// Bytes of all files together, some 100,000 records. The oldest file goes first.
const LOG_BYTES: u64 = 20 << 20;

/// Folder of the log.
pub fn folder(data: &Path) -> PathBuf {
    super::folder(data).join("events")
}

/// Records that were read.
#[derive(Debug, Default)]
pub struct Page {
    /// With rising numbers.
    pub records: Vec<Record>,
    /// How many lines of the files that were looked at cannot be read, or have a number that cannot be.
    pub damaged: u64,
}

/// The log, open for appending. One program at a time.
pub struct Log {
    data: PathBuf,
    folder: PathBuf,
    medium: Medium,
    numbers: Numbers,
    /// The newest file. `None` until something is written, and after that failed.
    newest: Option<Newest>,
    /// A file that is damaged gets no more lines.
    aside: bool,
    _lock: File,
}

struct Newest {
    file: File,
    bytes: u64,
}

/// The records of one file, `first` to `until`.
fn read_file(path: &Path, first: u64, until: u64) -> io::Result<Page> {
    let mut page = Page::default();
    let found = files::read(path).and_then(|file| match file {
        // The oldest one may go at any time.
        None => Ok(0),
        Some(file) => lines::each(file, |line| match serde_json::from_slice::<Record>(line) {
            Ok(record) if (first..=until).contains(&record.seq) => {
                page.records.push(record);
                true
            }
            _ => false,
        }),
    });
    let damaged = lines::unless_forbidden(found)?.unwrap_or_else(|files| files);
    let (records, dropped) = lines::rising(page.records, |record| record.seq);
    Ok(Page {
        records,
        damaged: damaged + dropped,
    })
}

/// The first `limit` records after the number `after`, those of a door of version 1.0.0 before the others.
///
/// # Errors
/// The files cannot be read.
pub fn read(data: &Path, after: u64, limit: usize) -> io::Result<Page> {
    let folder = folder(data);
    let files = listed(&folder)?;
    let began = files.first().map_or(MAX_SEQ, |(first, _)| *first);
    let mut page = Page::default();
    let mut take = |records: Vec<Record>, damaged: u64| {
        page.damaged += damaged;
        let wanted = records.into_iter().filter(|record| record.seq > after);
        page.records.extend(wanted.take(limit - page.records.len()));
        page.records.len() >= limit
    };
    if after.saturating_add(1) < began {
        let earlier::Earlier {
            mut records,
            damaged,
            ..
        } = earlier::read(data)?;
        // What an earlier version wrote after this one had begun has numbers that were given anew.
        let all = records.len();
        records.retain(|record| record.seq < began);
        let beyond = (all - records.len()) as u64;
        if take(records, damaged + beyond) {
            return Ok(page);
        }
    }
    for (at, (first, path)) in files.iter().enumerate() {
        let until = (files.get(at + 1)).map_or(MAX_SEQ, |(next, _)| next - 1);
        if until <= after {
            continue;
        }
        let found = read_file(path, *first, until)?;
        if take(found.records, found.damaged) {
            break;
        }
    }
    Ok(page)
}

/// Whether the user of this program may write what is there. Changes nothing, and makes nothing where there is nothing yet.
///
/// # Errors
/// Why not.
pub fn can_be_written(data: &Path) -> io::Result<()> {
    let folder = folder(data);
    let newest = listed(&folder)?.pop().map(|(_, path)| path);
    for path in newest.into_iter().chain([numbers::path(&folder)]) {
        let mut options = std::fs::OpenOptions::new();
        match regular_file::open(options.append(true), &path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                let what = format!("{}: {e}", path.display());
                return Err(io::Error::new(e.kind(), what));
            }
            _ => {}
        }
    }
    Ok(())
}

impl Log {
    /// Opens the log in the data folder and goes on after its last record.
    ///
    /// After an end without notice the numbers go on behind those that were reserved then, and a record `log.gap` says which are missing:
    /// with them, so many records at most. A torn last line stays, on a line of its own; a file that is damaged otherwise stays as it is.
    ///
    /// # Errors
    /// The files cannot be read or written, or another program writes.
    pub fn open(data: &Path, medium: Medium) -> io::Result<Log> {
        let folder = folder(data);
        files::make_folder(&folder)?;
        let lock = files::append(&folder.join("lock"))?;
        lock.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => io::Error::other("another recocomp writes this log"),
            TryLockError::Error(e) => e,
        })?;
        let files = listed(&folder)?;
        let found = numbers::found(&folder)?;
        let mut last = None;
        let mut aside = false;
        for (at, (first, path)) in files.iter().enumerate().rev() {
            let until = (files.get(at + 1)).map_or(MAX_SEQ, |(next, _)| next - 1);
            let page = read_file(path, *first, until)?;
            if at + 1 == files.len() {
                aside = page.damaged > u64::from(is_torn(path).unwrap_or(false));
            }
            last = page.records.last().map(|record| record.seq);
            if last.is_some() {
                break;
            }
        }
        let last = match last {
            Some(last) => Some(last),
            None => earlier::read(data)?.last,
        };
        let begins = files.is_empty();
        let given = match found {
            Found::Reserved(reserved) => reserved.max(last.unwrap_or(0)),
            Found::Nothing if begins => last.unwrap_or(0),
            // Nobody knows any more what was reserved.
            Found::Nothing | Found::Damaged => (last.unwrap_or(0) + BLOCK).min(MAX_SEQ),
        };
        let mut log = Log {
            data: data.into(),
            numbers: Numbers::after(&folder, given),
            folder,
            medium,
            newest: None,
            aside,
            _lock: lock,
        };
        let expected = last.map_or(1, |last| last + 1);
        if given >= expected {
            log.tell_gap(expected, given)?;
        }
        Ok(log)
    }

    fn tell_gap(&mut self, from: u64, to: u64) -> io::Result<()> {
        tracing::warn!(
            "events: the last program could not close the log; of the numbers {from} to {to} there may have been records, which are lost"
        );
        let data = json!({"from": from, "to": to});
        let data = data.as_object().cloned().unwrap_or_default();
        self.append("log.gap", &data, &Moment::now()).map(|_| ())
    }

    /// Appends a record; it is on the medium when this returns. Its number.
    ///
    /// # Errors
    /// The medium refuses. The record may stand there in part, or whole: its number is not given again.
    pub fn append(
        &mut self,
        kind: &str,
        data: &Map<String, Value>,
        moment: &Moment,
    ) -> io::Result<u64> {
        let mut newest = match self.newest.take() {
            Some(newest) => newest,
            None => self.open_newest()?,
        };
        if newest.bytes >= 2 * FILE_BYTES {
            // It could not be put aside: not without end.
            newest = self.begin_file()?;
        }
        let record = Record {
            seq: self.numbers.take()?,
            time: moment.time.clone(),
            uptime: moment.uptime,
            kind: kind.into(),
            data: data.clone(),
        };
        let line = serde_json::to_string(&record)? + "\n";
        if let Err(e) = newest.file.write_all(line.as_bytes()) {
            // Nothing half-written before the next one.
            let _ = newest.file.set_len(newest.bytes);
            return Err(e);
        }
        std::thread::sleep(self.medium.wait);
        newest.file.sync_data()?;
        newest.bytes += line.len() as u64;
        self.newest = Some(newest);
        Ok(record.seq)
    }

    /// Does ahead what the next [`Log::append`] would otherwise wait for: a new file, more numbers.
    ///
    /// # Errors
    /// The medium refuses. What was written stays, and the next record tries again.
    pub fn prepare(&mut self) -> io::Result<()> {
        if (self.newest.as_ref()).is_some_and(|newest| newest.bytes >= FILE_BYTES) {
            self.newest = Some(self.begin_file()?);
            self.make_room()?;
        }
        self.numbers.reserve_ahead()
    }

    /// Leaves numbers out, for records that were lost before they got one.
    pub fn skip(&mut self, count: u64) {
        self.numbers.skip(count);
    }

    fn open_newest(&mut self) -> io::Result<Newest> {
        let Some((_, path)) = listed(&self.folder)?.pop().filter(|_| !self.aside) else {
            return self.begin_file();
        };
        let mut file = files::append(&path)?;
        if is_torn(&path)? {
            file.write_all(b"\n")?;
        }
        let bytes = file.metadata()?.len();
        match bytes >= FILE_BYTES {
            true => self.begin_file(),
            false => Ok(Newest { file, bytes }),
        }
    }

    fn begin_file(&mut self) -> io::Result<Newest> {
        // Reserved first: where there is a file there are numbers.
        self.numbers.reserve_ahead()?;
        let path = self.folder.join(name(self.numbers.next()));
        let file = files::append(&path)?;
        files::sync_folder_of(&path)?;
        self.aside = false;
        let bytes = file.metadata()?.len();
        Ok(Newest { file, bytes })
    }

    /// Removes the oldest files, those of an earlier version first, until the log is as small as it has to be.
    fn make_room(&self) -> io::Result<()> {
        let own = listed(&self.folder)?.into_iter().map(|(_, path)| path);
        let all: Vec<PathBuf> = (earlier::files(&self.data).into_iter())
            .chain(own)
            .collect();
        let sizes: io::Result<Vec<u64>> =
            all.iter().map(|path| Ok(path.metadata()?.len())).collect();
        let sizes = sizes?;
        let mut total: u64 = sizes.iter().sum();
        for (path, size) in all.iter().zip(sizes) {
            if total <= LOG_BYTES {
                break;
            }
            std::fs::remove_file(path)?;
            total -= size;
        }
        Ok(())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Err(e) = self.numbers.close() {
            tracing::warn!(
                "events: the numbers cannot be closed ({e}); the next start leaves some out"
            );
        }
    }
}

/// Whether the last line of a file has no end.
fn is_torn(path: &Path) -> io::Result<bool> {
    let Some(mut file) = files::read(path)? else {
        return Ok(false);
    };
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
