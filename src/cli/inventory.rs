//! What lies in a gallery, one entry a collection, as `check` and `collection` show it.

use std::collections::HashSet;
use std::path::Path;

use indicatif::HumanBytes;
use jiff::Timestamp;
use serde::Serialize;
use walkdir::WalkDir;

use super::Failure;
use super::data::{RESTORING, surveyed};
use crate::config::Config;
use crate::gallery::{GalleryError, Snapshot, Surveyed};
use crate::shown::Shown;

/// A collection on disk.
#[derive(Serialize)]
pub(super) struct Entry {
    /// `None` if nothing of the collection can be read.
    pub name: Option<String>,
    /// The name of its folder.
    pub uuid: String,
    /// RFC 3339, UTC.
    pub created: Option<String>,
    /// RFC 3339, UTC.
    pub updated: Option<String>,
    pub people: Option<usize>,
    pub features: Option<usize>,
    /// The embedding model of its templates.
    pub model: Option<String>,
    /// Of all its files.
    pub bytes: u64,
    /// What is wrong, a sentence each.
    pub findings: Vec<String>,
    /// The storage or the seal kept it from being looked at: whether it is sound is not known.
    #[serde(skip)]
    pub unchecked: bool,
    #[serde(skip)]
    pub snapshot: Option<Snapshot>,
}

impl Entry {
    fn new(surveyed: Surveyed) -> Entry {
        let uuid = surveyed.directory.file_name().unwrap_or_default();
        let bytes = bytes_below(&surveyed.directory);
        let uuid = uuid.to_string_lossy().into_owned();
        let mut entry = Entry {
            name: None,
            uuid,
            created: None,
            updated: None,
            people: None,
            features: None,
            model: None,
            bytes,
            findings: surveyed.findings.iter().map(|f| f.shown()).collect(),
            unchecked: false,
            snapshot: None,
        };
        match surveyed.contents {
            Ok(snapshot) => {
                entry.name = Some(snapshot.name().to_owned());
                entry.created = Some(rfc3339(snapshot.created()));
                entry.updated = Some(rfc3339(snapshot.updated()));
                entry.people = Some(snapshot.person_num());
                entry.features = Some(snapshot.feature_num());
                entry.model = Some(snapshot.template_space().to_owned());
                entry.snapshot = Some(snapshot);
            }
            Err(error) => {
                entry.unchecked =
                    matches!(error, GalleryError::Storage { .. } | GalleryError::Seal(_));
            }
        }
        entry
    }

    /// Name, or the folder's if there is none to be had.
    pub fn title(&self) -> String {
        self.name.as_deref().unwrap_or(&self.uuid).shown()
    }

    /// `4 people, 7 features, 12 KiB, model ...`
    pub fn contents(&self) -> String {
        let size = HumanBytes(self.bytes);
        match (self.people, self.features, &self.model) {
            (Some(people), Some(features), Some(model)) => {
                let model = model.shown();
                format!("{people} people, {features} features, {size}, model {model}")
            }
            _ => format!("unreadable, {size}"),
        }
    }

    /// Whether anything is wrong with it.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

/// Every collection in the order of creation, and what makes the daemon pass one over.
pub(super) fn inventory(config: &Config, thorough: bool) -> Result<Vec<Entry>, Failure> {
    let mut entries: Vec<Entry> = (surveyed(config, thorough)?.into_iter())
        .map(Entry::new)
        .collect();
    let mut names = HashSet::new();
    for entry in &mut entries {
        let Some(name) = entry.name.clone() else {
            continue;
        };
        if name.ends_with(RESTORING) {
            (entry.findings).push("a restore was interrupted; run it again".to_owned());
        }
        if !names.insert(name) {
            let what = "an older collection has the same name, and only that one is served";
            entry.findings.push(what.to_owned());
        }
    }
    Ok(entries)
}

/// Milliseconds since 1970 UTC as RFC 3339.
pub(super) fn rfc3339(milliseconds: u64) -> String {
    (i64::try_from(milliseconds).ok())
        .and_then(|time| Timestamp::from_millisecond(time).ok())
        .map_or_else(
            || "unknown".to_owned(),
            |time| time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
        )
}

/// Size of all files; what vanishes meanwhile does not count.
fn bytes_below(directory: &Path) -> u64 {
    WalkDir::new(directory)
        .into_iter()
        .filter_map(|entry| entry.ok()?.metadata().ok())
        .filter(|metadata| metadata.is_file())
        .map(|metadata| metadata.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_and_nonsense_is_no_panic() {
        assert_eq!(rfc3339(1_622_548_543_021), "2021-06-01T11:55:43.021Z");
        assert_eq!(rfc3339(u64::MAX), "unknown");
    }
}
