//! The files of a log, each named by the number from which it goes on.

use std::io;
use std::path::{Path, PathBuf};

use super::record::MAX_SEQ;

/// A file of the log, by the number from which it goes on.
pub fn name(first: u64) -> String {
    format!("{first:020}.jsonl")
}

/// The files of the log, oldest first. Whatever else lies there is none.
pub fn listed(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(e) => return Err(e),
    };
    for entry in entries {
        let entry = entry?;
        let first = (entry.file_name().to_str())
            .and_then(|name| name.strip_suffix(".jsonl")?.parse().ok())
            .filter(|first| (1..=MAX_SEQ).contains(first));
        if let Some(first) = first
            && entry.file_name().to_str() == Some(&name(first))
        {
            found.push((first, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}
