//! Reading a gallery without changing it, and while a daemon may be serving it: for checks, backups and exports.
//!
//! Generations never change and journals only grow, so what is open stays readable, and every prefix of a journal is a state that
//! the collection was in. Files that vanish between listing and opening mean that a compaction finished meanwhile: the directory
//! is read again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use uuid::Uuid;

use super::aside::{describe, strays};
use super::error::{GalleryError, WhileDoing};
use super::files::Home;
use super::generation::{Health, OpenFault, examine, generation_name, generation_number};
use super::journal::journal_name;
use super::people::People;
use super::place::{anything_sealed, collection_of};
use super::reading::{Gap, Reading, read};
use super::seal::{SALT_FILE, Sealer};
use super::storage::{Access, Disk, Storage};
use super::template::RowBits;
use crate::license::device::DeviceIdentity;

/// How often a directory that changes under the reader's eyes is read again, and after how long.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// One collection's directory and what was found in it.
pub struct Surveyed {
    /// The collection's directory.
    pub directory: PathBuf,
    /// What it holds, or why nothing can be had of it.
    pub contents: Result<Snapshot, GalleryError>,
    /// What is wrong, one sentence each; empty if nothing is.
    pub findings: Vec<String>,
}

/// Everyone in a collection at one moment.
pub struct Snapshot {
    uuid: Uuid,
    reading: Reading,
}

impl Snapshot {
    /// Name given at creation.
    pub fn name(&self) -> &str {
        &self.reading.identity.name
    }

    /// The collection's own number, which it keeps for life.
    pub fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// Names the embedding model of its templates.
    pub fn template_space(&self) -> &str {
        &self.reading.identity.template_space
    }

    /// Milliseconds since 1970 UTC.
    pub fn created(&self) -> u64 {
        self.reading.identity.created
    }

    /// Time of the last change, milliseconds since 1970 UTC.
    pub fn updated(&self) -> u64 {
        self.reading.updated
    }

    /// People with at least one feature.
    pub fn person_num(&self) -> usize {
        self.people().person_num()
    }

    /// Stored features.
    pub fn feature_num(&self) -> usize {
        self.people().feature_num()
    }

    /// Changes with every change of the collection: two snapshots with the same version hold the same.
    pub fn version(&self) -> String {
        let last = self.reading.journals.last();
        let sequence = last.map_or(0, |journal| journal.next_sequence);
        format!(
            "{}.{sequence}.{}",
            self.reading.highest, self.reading.updated
        )
    }

    /// Everyone in byte order of their target ids, with the features, 192 numbers of binary16 each, in the order of enrolment.
    ///
    /// # Errors
    /// [`GalleryError::Damaged`] if their rows in the generation cannot be read.
    pub fn in_order(&self) -> Result<Vec<(&str, &[RowBits])>, GalleryError> {
        self.people().check_all().map_err(|_| GalleryError::Damaged {
            path: PathBuf::from(generation_name(self.reading.restart)),
            what: "some of its rows cannot be read; start the daemon, which repairs what can be repaired".to_owned(),
        })?;
        Ok(self.people().in_order())
    }

    /// People whose names are Unicode forms of one name, by name; the composed form first.
    pub fn same_names(&self) -> Vec<Vec<String>> {
        self.people().same_names()
    }

    fn people(&self) -> &People {
        &self.reading.people
    }
}

/// Reads every collection in `directory`, in the order of creation. Nothing is locked, changed or repaired.
///
/// `identity` opens journals that are sealed to this device. With `thorough`, every byte of the generations is read and compared
/// with its checksum.
///
/// # Errors
/// [`GalleryError::Storage`] if the directory cannot be read, [`GalleryError::Seal`].
pub fn survey(
    directory: &Path,
    identity: &DeviceIdentity,
    thorough: bool,
) -> Result<Vec<Surveyed>, GalleryError> {
    let storage: Arc<dyn Storage> = Arc::new(Disk);
    let entries = storage
        .entries(directory)
        .while_doing("reading the gallery's directory", directory)?;
    let sealer = match storage.open(&directory.join(SALT_FILE), Access::Read) {
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                && !anything_sealed(&*storage, directory) =>
        {
            None
        }
        // Whatever is there is not made anew.
        _ => Some(Sealer::open_or_create(
            &*storage, directory, identity, true,
        )?),
    };
    let mut surveyed: Vec<Surveyed> = entries
        .into_iter()
        .filter_map(|entry| {
            let home = Home {
                storage: Arc::clone(&storage),
                directory: directory.join(&entry.name),
                collection: collection_of(&entry.name)?,
                sealer: sealer.clone(),
            };
            Some(survey_one(&home, thorough))
        })
        .collect();
    surveyed.sort_by_key(|one| {
        let created = one.contents.as_ref().map_or(0, Snapshot::created);
        (created, one.directory.clone())
    });
    Ok(surveyed)
}

fn survey_one(home: &Home, thorough: bool) -> Surveyed {
    let mut attempt = 1;
    loop {
        let surveyed = look(home, thorough);
        // A daemon at work may look like damage for a moment; damage stays.
        let sound = surveyed.contents.is_ok() && surveyed.findings.is_empty();
        if sound || attempt == ATTEMPTS || !home.directory.exists() {
            return surveyed;
        }
        attempt += 1;
        thread::sleep(PAUSE);
    }
}

fn look(home: &Home, thorough: bool) -> Surveyed {
    let mut findings = Vec::new();
    let contents = read(home, Access::Read).map(|reading| Snapshot {
        uuid: home.collection,
        reading,
    });
    match &contents {
        Ok(snapshot) => {
            findings.extend(damage(&snapshot.reading));
            if thorough && let Some(finding) = generation_damage(home, &snapshot.reading) {
                findings.push(finding);
            }
        }
        Err(error) => {
            findings.push(error.to_string());
            findings.extend(repairable(home));
        }
    }
    let quarantined = home.quarantined();
    if quarantined > 0 {
        findings.push(format!(
            "{quarantined} unreadable parts from earlier damage lie in {}",
            home.quarantine_path().display()
        ));
    }
    Surveyed {
        directory: home.directory.clone(),
        contents,
        findings,
    }
}

/// That a collection which cannot be read is only waiting for its daemon.
fn repairable(home: &Home) -> Option<String> {
    let names = home.names().ok()?;
    names.iter().find_map(|name| {
        generation_number(name)?;
        let file = home.storage.open(&home.path(name), Access::Read).ok()?;
        matches!(examine(&*file), Ok(Health::Repairable(_))).then(|| {
            format!("{name} can be repaired without loss: start the daemon once, it does that")
        })
    })
}

fn damage(reading: &Reading) -> Vec<String> {
    let journals = reading.journals.iter().flat_map(|journal| {
        let name = journal_name(journal.header.number);
        journal
            .damage
            .iter()
            .map(move |damage| describe(&name, damage))
    });
    let missing = (reading.missing.iter()).map(Gap::describe);
    let unreadable = (reading.unreadable.iter())
        .map(|bad| format!("{} is damaged: {}", generation_name(bad.number), bad.what));
    let stray = strays(&reading.strays);
    (journals.chain(missing).chain(unreadable).chain(stray)).collect()
}

fn generation_damage(home: &Home, reading: &Reading) -> Option<String> {
    let name = generation_name(reading.people.generation()?.number());
    let file = match home.storage.open(&home.path(&name), Access::Read) {
        Ok(file) => file,
        // Replaced meanwhile; the next attempt reads the new one.
        Err(error) => return Some(format!("{name} cannot be opened: {error}")),
    };
    file.forget_cached();
    let words = |faults: &[super::generation::Fault]| {
        let words: Vec<&str> = faults.iter().map(|fault| fault.what.as_str()).collect();
        words.join(", ")
    };
    match examine(&*file) {
        Ok(Health::Whole) => None,
        Ok(Health::Repairable(faults)) => Some(format!(
            "{name} is damaged ({}); the daemon repairs it without loss within a day",
            words(&faults)
        )),
        Ok(Health::Lost(faults)) => Some(format!(
            "{name} is damaged beyond repair ({}); restore a backup",
            words(&faults)
        )),
        Err(OpenFault::Damaged(what)) => Some(format!("{name} is damaged: {what}")),
        Err(OpenFault::NewerFormat(found)) => {
            Some(format!("{name} has format {found} of a newer release"))
        }
        Err(OpenFault::Io(error)) => Some(format!("{name} cannot be read: {error}")),
    }
}
