//! Opening a collection's directory: replay, then put right what a power cut or a failing medium left behind.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::error::{GalleryError, Warning, WhileDoing};
use super::files;
use super::journal::{Journal, StagedJournal, is_staged_name, journal_name, journal_number};
use super::operation::Identity;
use super::replay::{Damage, Replay, replay};

const QUARANTINE: &str = "quarantine";

/// A collection that can be served.
pub(super) struct Recovered {
    pub replay: Replay,
    /// Where to append, or why the collection is read-only until the gallery is opened again.
    pub journal: Result<Journal, String>,
    pub warnings: Vec<Warning>,
}

/// Opens the collection in `directory`.
///
/// # Errors
/// The directory holds nothing that can be served. It was left untouched.
pub(super) fn recover(directory: &Path, collection: Uuid) -> Result<Recovered, GalleryError> {
    let number = *journal_numbers(directory)?
        .last()
        .ok_or_else(|| GalleryError::Damaged {
            path: directory.to_owned(),
            what: "it holds no journal".to_owned(),
        })?;
    let path = directory.join(journal_name(number));
    let (file, replay) = replay(&path)?;
    if replay.header.collection != collection
        || replay.header.number != number
        || replay.identity.collection != collection.into_bytes()
    {
        return Err(GalleryError::Damaged {
            path,
            what: "it belongs to another collection or place than its name says; was it copied by hand?"
                .to_owned(),
        });
    }
    let mut recovery = Recovery {
        directory,
        name: replay.identity.name.clone(),
        warnings: Vec::new(),
    };
    recovery.mention_earlier_quarantine();
    let journal = recovery.settle(file, path, &replay);
    if let Err(reason) = &journal {
        tracing::error!(
            collection = recovery.name,
            reason,
            "collection is read-only"
        );
    }
    recovery.remove_leftovers(journal.as_ref().map_or(number, Journal::number));
    Ok(Recovered {
        replay,
        journal,
        warnings: recovery.warnings,
    })
}

struct Recovery<'a> {
    directory: &'a Path,
    name: String,
    warnings: Vec<Warning>,
}

impl Recovery<'_> {
    /// Cuts off a torn end; where there is damage, saves the bytes and writes the journal anew without them.
    fn settle(&mut self, file: File, path: PathBuf, replay: &Replay) -> Result<Journal, String> {
        if replay.damage.is_empty() {
            if replay.good_length < replay.file_length {
                tracing::debug!(
                    path = %path.display(),
                    bytes = replay.file_length - replay.good_length,
                    "cutting off a record whose writing was interrupted"
                );
                file.set_len(replay.good_length)
                    .and_then(|()| file.sync_all())
                    .while_doing("cutting off an interrupted record", &path)
                    .map_err(|error| error.to_string())?;
            }
            return Ok(Journal::resume(
                file,
                path,
                &replay.header,
                replay.good_length,
                replay.next_sequence,
                replay.rows,
            ));
        }
        // The copy comes first: once the journal is rewritten, the unreadable bytes are nowhere else.
        let copied = replay
            .damage
            .iter()
            .map(|damage| {
                let copy = quarantine(self.directory, &file, replay.header.number, damage);
                self.report(damage, copy.as_ref().ok().and_then(Option::as_ref));
                copy
            })
            .collect::<Result<Vec<_>, _>>();
        copied
            .and_then(|_| {
                let identity = Identity {
                    updated: replay.updated,
                    ..replay.identity.clone()
                };
                next_journal(
                    self.directory,
                    replay.header.number,
                    identity,
                    replay.people.features(),
                )?
                .publish()
            })
            .map_err(|error| format!("damage could not be put right: {error}"))
    }

    fn report(&mut self, damage: &Damage, copy: Option<&PathBuf>) {
        let bytes = damage.to - damage.from;
        let mut what = match bytes {
            0 => "a journal lacks records".to_owned(),
            _ => format!(
                "{bytes} bytes at {} of a journal could not be read",
                damage.from
            ),
        };
        if damage.lost_records > 0 {
            what += &format!("; {} stored changes are lost", damage.lost_records);
        }
        if let Some(copy) = copy {
            what += &format!("; the bytes were copied to {}", copy.display());
        }
        tracing::error!(
            collection = self.name,
            directory = %self.directory.display(),
            offset = damage.from,
            bytes,
            lost_records = damage.lost_records,
            "a journal is damaged"
        );
        self.warn(what, copy.cloned());
    }

    fn mention_earlier_quarantine(&mut self) {
        let quarantine = self.directory.join(QUARANTINE);
        let files = fs::read_dir(&quarantine).map_or(0, |entries| entries.count());
        if files > 0 {
            let what = format!("{files} unreadable parts from earlier damage lie in quarantine");
            tracing::warn!(collection = self.name, files, "quarantine is not empty");
            self.warn(what, Some(quarantine));
        }
    }

    /// Removes what an interrupted rewrite left: unfinished journals and those before `current`.
    fn remove_leftovers(&mut self, current: u64) {
        let removed = remove_staged_journals(self.directory)
            .and_then(|()| remove_older_journals(self.directory, current));
        if let Err(error) = removed {
            tracing::error!(collection = self.name, %error, "an old journal could not be erased");
            self.warn(format!("an old journal could not be erased: {error}"), None);
        }
    }

    fn warn(&mut self, what: String, quarantined: Option<PathBuf>) {
        self.warnings.push(Warning {
            directory: self.directory.to_owned(),
            collection: Some(self.name.clone()),
            what,
            quarantined,
        });
    }
}

/// Writes, but does not yet publish, the journal that follows journal `number`.
pub(super) fn next_journal(
    directory: &Path,
    number: u64,
    identity: Identity,
    features: impl Iterator<Item = super::operation::Feature>,
) -> Result<StagedJournal, GalleryError> {
    let number = number.checked_add(1).ok_or_else(|| GalleryError::Damaged {
        path: directory.to_owned(),
        what: "its journals have used up their numbers".to_owned(),
    })?;
    StagedJournal::write(directory, number, identity, features)
}

/// Erases every journal with a lower number than `current`, durably.
pub(super) fn remove_older_journals(directory: &Path, current: u64) -> Result<(), GalleryError> {
    let mut removed = false;
    for number in journal_numbers(directory)? {
        if number < current {
            let path = directory.join(journal_name(number));
            files::remove_file(&path).while_doing("erasing an old journal", &path)?;
            removed = true;
        }
    }
    match removed {
        true => files::sync_directory(directory),
        false => Ok(()),
    }
}

/// Erases what was set aside as unreadable, durably.
pub(super) fn remove_quarantine(directory: &Path) -> Result<(), GalleryError> {
    let path = directory.join(QUARANTINE);
    if !path.exists() {
        return Ok(());
    }
    files::remove_directory(&path).while_doing("erasing the quarantine", &path)?;
    files::sync_directory(directory)
}

fn remove_staged_journals(directory: &Path) -> Result<(), GalleryError> {
    for name in names(directory)? {
        if is_staged_name(&name) {
            let path = directory.join(name);
            files::remove_file(&path).while_doing("removing an unfinished journal", &path)?;
        }
    }
    Ok(())
}

/// In rising order.
fn journal_numbers(directory: &Path) -> Result<Vec<u64>, GalleryError> {
    let mut numbers: Vec<u64> = names(directory)?
        .iter()
        .filter_map(|name| journal_number(name))
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Names that are UTF-8; this room writes no others.
fn names(directory: &Path) -> Result<Vec<String>, GalleryError> {
    fs::read_dir(directory)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.file_name().into_string().ok()))
                .collect::<io::Result<Vec<_>>>()
        })
        .map(|names| names.into_iter().flatten().collect())
        .while_doing("reading a collection's directory", directory)
}

/// Copies the damaged bytes aside, durably. `None` if there are none.
fn quarantine(
    directory: &Path,
    journal: &File,
    number: u64,
    damage: &Damage,
) -> Result<Option<PathBuf>, GalleryError> {
    if damage.from == damage.to {
        return Ok(None);
    }
    const DOING: &str = "copying damaged bytes to quarantine";
    let quarantine = directory.join(QUARANTINE);
    match files::create_private_directory(&quarantine) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(error).while_doing(DOING, &quarantine);
        }
        _ => {}
    }
    let path = quarantine.join(format!(
        "{}-bytes-{}-to-{}",
        journal_name(number),
        damage.from,
        damage.to
    ));
    copy_range(journal, damage.from, damage.to, &path).while_doing(DOING, &path)?;
    files::sync_directory(&quarantine)?;
    files::sync_directory(directory)?;
    Ok(Some(path))
}

fn copy_range(journal: &File, from: u64, to: u64, path: &Path) -> io::Result<()> {
    let copy = files::create_private_file(path)?;
    let mut chunk = vec![0; 64 << 10];
    let mut at = from;
    while at < to {
        let left = usize::try_from(to - at).unwrap_or(usize::MAX);
        let chunk = &mut chunk[..left.min(64 << 10)];
        journal.read_exact_at(chunk, at)?;
        copy.write_all_at(chunk, at - from)?;
        at += chunk.len() as u64;
    }
    copy.sync_all()
}
