//! Opening a collection's directory: reading it, then putting right what a power cut or a failing medium left behind.

use super::aside::{quarantine_faults, set_aside, strays, warn};
use super::error::{GalleryError, Warning, WhileDoing};
use super::files::Home;
use super::generation::{Health, OpenFault, examine, generation_name, generation_number, repair};
use super::journal::{Journal, journal_name, journal_number, staged_for, staged_name};
use super::operation::Identity;
use super::people::People;
use super::reading::{read, read_with};
use super::storage::Access;
use super::waste::Leftovers;
use crate::regular_file;

/// A collection that can be served.
pub(super) struct Recovered {
    pub people: People,
    pub identity: Identity,
    pub updated: u64,
    /// Feature rows in all files.
    pub rows: u64,
    /// Where to append; `None` if a new journal has to be begun first, after this number.
    pub journal: Option<Journal>,
    /// Highest number in use.
    pub highest: u64,
    /// Everything must be written anew before anything is added: what is on disk is damaged.
    pub rewrite: bool,
    /// There is more than one journal: a compaction was interrupted.
    pub unfinished: bool,
    /// Old files that could not be erased.
    pub leftovers: Option<Leftovers>,
    /// Why nothing may be written: the unreadable bytes could not be copied aside, and writing anew would lose them.
    pub read_only: Option<String>,
    pub warnings: Vec<Warning>,
}

/// Opens the collection for serving: repairs what can be repaired, sets aside what cannot.
///
/// `warnings` are those that are known already; what is found comes behind them.
///
/// # Errors
/// The directory holds nothing that can be served. It was left untouched.
pub(super) fn recover(home: &Home, mut warnings: Vec<Warning>) -> Result<Recovered, GalleryError> {
    // What is seen may be names that no medium holds yet: a daemon that was killed leaves them so. Nothing may be built on them, or
    // removed because of them, before they are durable.
    home.sync()?;
    let reading = match read(home, Access::ReadWrite) {
        Ok(reading) if reading.unreadable.is_empty() => reading,
        first => {
            // A generation cannot be opened. With its parity it often can be made whole, and then nothing is lost.
            let mended = mend_generations(home, &mut warnings).unwrap_or_else(|error| {
                tracing::error!(%error, "a damaged generation could not be rebuilt");
                false
            });
            match mended {
                true => read(home, Access::ReadWrite)?,
                // A journal may build on rows that are lost; the others need not be lost with them.
                false => match first {
                    Err(error @ GalleryError::Damaged { .. }) => {
                        read_with(home, Access::ReadWrite, true).map_err(|_| error)?
                    }
                    other => other?,
                },
            }
        }
    };
    if home.quarantined() > 0 && warnings.is_empty() {
        let files = home.quarantined();
        let what = format!("{files} unreadable parts from earlier damage lie in quarantine");
        warn(home, &mut warnings, what, Some(home.quarantine_path()));
    }
    if let Some(what) = strays(&reading.strays) {
        tracing::error!(directory = %home.directory.display(), what, "files that are not the collection's");
        warn(home, &mut warnings, what, None);
    }
    let rewrite = reading.is_damaged();
    let read_only = set_aside(home, &reading, &mut warnings)
        // Damaged records may be of people whose removal is told by a later, whole one.
        .and_then(|()| match reading.journals.iter().any(|j| j.takes_away) {
            true if rewrite => home.mark_quarantine(),
            _ => Ok(()),
        })
        .err()
        .map(|error| format!("damage could not be put right: {error}"));
    let mut leftovers = None;
    if !rewrite && let Err(error) = remove_older(home, reading.restart) {
        leftovers = Some(Leftovers {
            restart: reading.restart,
            quarantine: false,
        });
        tracing::error!(directory = %home.directory.display(), %error, "an old file could not be erased");
        let what = format!("an old file could not be erased: {error}");
        warn(home, &mut warnings, what, None);
    }
    let mut journals = reading.journals;
    let unfinished = journals.len() > 1;
    let last = journals.pop();
    let journal = match last {
        Some(last) if !rewrite => {
            let path = home.path(&journal_name(last.header.number));
            if last.good_length < last.file_length {
                tracing::debug!(
                    path = %path.display(),
                    bytes = last.file_length - last.good_length,
                    "cutting off a record whose writing was interrupted"
                );
                last.file
                    .set_length(last.good_length)
                    .while_doing("cutting off an interrupted record", &path)?;
            }
            // A change that is seen from now on stays, acknowledged or not.
            last.file
                .sync_all()
                .while_doing("making a journal durable", &path)?;
            Some(Journal::resume(
                home,
                last.file,
                last.header,
                last.good_length,
                last.next_sequence,
            ))
        }
        _ => None,
    };
    Ok(Recovered {
        people: reading.people,
        identity: reading.identity,
        updated: reading.updated,
        rows: reading.rows,
        journal,
        highest: reading.highest,
        rewrite,
        unfinished,
        leftovers,
        read_only,
        warnings,
    })
}

/// Rebuilds every generation that can be rebuilt; true if there was one.
fn mend_generations(home: &Home, warnings: &mut Vec<Warning>) -> Result<bool, GalleryError> {
    let mut mended = false;
    for name in home.names()? {
        if let Some(number) = generation_number(&name)
            && mend_generation(home, number, warnings)?
        {
            mended = true;
        }
    }
    Ok(mended)
}

/// Rebuilds a generation in which one block, or some of what is there twice, is damaged. False if there is nothing to mend, or
/// too much.
pub(super) fn mend_generation(
    home: &Home,
    number: u64,
    warnings: &mut Vec<Warning>,
) -> Result<bool, GalleryError> {
    const DOING: &str = "rebuilding a damaged generation";
    let name = generation_name(number);
    let path = home.path(&name);
    let damaged = match home.storage.open(&path, Access::Read) {
        Err(error) if regular_file::is_not_regular(&error) => return Ok(false),
        result => result.while_doing(DOING, &path)?,
    };
    let faults = match examine(&*damaged) {
        Ok(Health::Repairable(faults)) => faults,
        Ok(_) | Err(OpenFault::Damaged(_) | OpenFault::NewerFormat(_)) => return Ok(false),
        Err(OpenFault::Io(error)) => return Err(error).while_doing(DOING, &path),
    };
    let copy = quarantine_faults(home, &name, &*damaged, &faults)?;
    let staged = staged_name(&name);
    let whole = home.create(&staged)?;
    match repair(&*damaged, &whole) {
        Ok(()) => {}
        Err(OpenFault::Io(error)) => return Err(error).while_doing(DOING, &path),
        Err(OpenFault::Damaged(_) | OpenFault::NewerFormat(_)) => return Ok(false),
    }
    home.publish(&staged, &name)?;
    let parts: Vec<&str> = faults.iter().map(|fault| fault.what.as_str()).collect();
    let mut what = format!(
        "a generation was damaged and is whole again, nothing is lost; could not be read: {}",
        parts.join(", ")
    );
    if let Some(copy) = &copy {
        what += &format!("; the bytes were copied to {}", copy.display());
    }
    tracing::error!(path = %path.display(), "a generation was damaged and has been rebuilt");
    warn(home, warnings, what, copy);
    Ok(true)
}

/// Erases every file with a lower number than `current` and every unfinished one, durably.
pub(super) fn remove_older(home: &Home, current: u64) -> Result<(), GalleryError> {
    let mut removed = false;
    let number_of = |name: &str| generation_number(name).or_else(|| journal_number(name));
    let mut names = home.names()?;
    // The oldest first, a generation before its journal: what a failure leaves is not taken for a whole chain.
    names.sort_by_key(|name| (number_of(name), journal_number(name).is_some()));
    for name in names {
        let number = number_of(&name);
        let unfinished = staged_for(&name)
            .is_some_and(|name| generation_number(name).or(journal_number(name)).is_some());
        if unfinished || number.is_some_and(|number| number < current) {
            home.remove(&name)?;
            removed = true;
        }
    }
    match removed {
        true => home.sync(),
        false => Ok(()),
    }
}
