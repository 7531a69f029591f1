//! What the files of a collection say: which of them count, and everyone who is in them. Nothing is changed on disk here.
//!
//! A *restart point* is a generation, or a journal that begins with nobody. What a collection holds is the highest restart point
//! that can be read, and every journal from its number on, in order.

use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::aside::ranges_of;
use super::error::{GalleryError, WhileDoing};
use super::files::Home;
use super::format::{FILE_HEADER_BYTES, FileHeader};
use super::generation::{
    Fault, GENERATION_VERSION, Generation, Health, OpenFault, examine, generation_name,
    generation_number,
};
use super::journal::{journal_name, journal_number};
use super::operation::Identity;
use super::people::People;
use super::replay::{NOT_REGULAR, Opened, Replay, open_journal, replay};
use super::storage::{Access, Storage};
use crate::regular_file;

/// What the files of a collection say.
pub(super) struct Reading {
    pub people: People,
    /// Of the newest file that could be read.
    pub identity: Identity,
    /// Time of the last change, milliseconds since 1970 UTC.
    pub updated: u64,
    /// From the restart point on, in order; the last one is appended to.
    pub journals: Vec<Replay>,
    /// Generations that could not be read though they are newer than the restart point.
    pub unreadable: Vec<Unreadable>,
    /// Rows of the generation that are gone for good, if they had to be counted out.
    pub lost: Option<Lost>,
    /// The journals that should be there and are not, or of which nothing could be read.
    pub missing: Vec<Gap>,
    /// Files with a number far above those of the collection's own, of which nothing could be read: left out.
    pub strays: Vec<String>,
    /// Feature rows in all files.
    pub rows: u64,
    /// Number of the restart point.
    pub restart: u64,
    /// Highest number that a file of the collection has.
    pub highest: u64,
}

/// A generation that could not be opened.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub number: u64,
    pub what: &'static str,
}

/// People of a generation who could not be read, whose places in the file are known.
pub(super) struct Lost {
    pub number: u64,
    pub faults: Vec<Fault>,
    pub people: usize,
}

/// How many journals in a row a failing medium can be thought to have lost. What lies further off was put there by somebody.
pub(super) const MAX_GAP: u64 = 16;

/// Journals that are missing in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub from: u64,
    pub to: u64,
    /// Those that are there and cannot be read.
    pub unreadable: Vec<u64>,
}

impl Gap {
    /// As a sentence.
    pub fn describe(&self) -> String {
        let (from, to) = (journal_name(self.from), journal_name(self.to));
        match self.from == self.to {
            true => format!("{from} is missing or cannot be read"),
            false => format!("{from} to {to} are missing or cannot be read"),
        }
    }
}

/// What of `number..=highest` is not in `found`, which is sorted.
fn gaps(number: u64, highest: u64, found: &[u64], unreadable: &[u64]) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let mut next = Some(number);
    let ends = found.iter().map(|&number| (number, number.checked_add(1)));
    for (end, after) in ends.chain([(highest.saturating_add(1), None)]) {
        if let Some(from) = next.filter(|from| *from < end) {
            let to = end - 1;
            let within = |number: &&u64| (from..=to).contains(*number);
            gaps.push(Gap {
                from,
                to,
                unreadable: unreadable.iter().filter(within).copied().collect(),
            });
        }
        next = after;
    }
    gaps
}

/// A place to start from.
enum Start {
    Nobody,
    Generation(Arc<Generation>),
}

impl Reading {
    /// Damage that makes the files worth writing anew.
    pub fn is_damaged(&self) -> bool {
        !self.unreadable.is_empty()
            || self.lost.is_some()
            || !self.missing.is_empty()
            || self
                .journals
                .iter()
                .any(|journal| !journal.damage.is_empty())
    }
}

/// Reads a collection and changes nothing.
///
/// # Errors
/// The directory holds nothing that can be served, or a newer release wrote it, or the medium refuses to be read.
pub(super) fn read(home: &Home, access: Access) -> Result<Reading, GalleryError> {
    read_with(home, access, false)
}

/// `despite_losses`: a generation that is damaged beyond repair is read without the people whose rows are lost. Otherwise it is an
/// error if a journal builds on them, and nobody notices before a search if none does.
pub(super) fn read_with(
    home: &Home,
    access: Access,
    despite_losses: bool,
) -> Result<Reading, GalleryError> {
    let names = home.names()?;
    let mut generations: Vec<u64> = names.iter().filter_map(|n| generation_number(n)).collect();
    let mut journals: Vec<u64> = names.iter().filter_map(|n| journal_number(n)).collect();
    generations.sort_unstable();
    journals.sort_unstable();
    if generations.is_empty() && journals.is_empty() {
        return Err(GalleryError::Damaged {
            path: home.directory.clone(),
            what: "it holds neither generation nor journal".to_owned(),
        });
    }

    let mut first_error = None;
    let mut opened: Vec<Opened> = Vec::new();
    let mut unreadable_journals = Vec::new();
    for &number in &journals {
        match open_journal(home, number, access) {
            Ok(journal) => opened.push(journal),
            Err(error @ GalleryError::Damaged { .. }) => {
                unreadable_journals.push(number);
                first_error.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    let mut starts: Vec<(u64, bool)> = generations.iter().map(|&g| (g, true)).collect();
    starts.extend(
        (opened.iter())
            .filter(|journal| !journal.header.continues)
            .map(|journal| (journal.header.number, false)),
    );
    // The highest first; of one number the journal, which begins with nobody whatever came before.
    starts.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));

    let mut unreadable = Vec::new();
    for (number, is_generation) in starts {
        let start = match is_generation {
            false => Start::Nobody,
            true => match open_generation(home, number)? {
                Ok(generation) => Start::Generation(Arc::new(generation)),
                Err(what) => {
                    first_error.get_or_insert_with(|| GalleryError::Damaged {
                        path: home.path(&generation_name(number)),
                        what: what.to_owned(),
                    });
                    unreadable.push(Unreadable { number, what });
                    continue;
                }
            },
        };
        let sound = opened
            .last()
            .map_or(number, |j| number.max(j.header.number));
        let strays = take_strays(sound, &mut unreadable_journals, &mut unreadable);
        let found = Found {
            restart: number,
            highest: (unreadable_journals.iter().copied())
                .chain(unreadable.iter().map(|bad| bad.number))
                .fold(sound, u64::max),
            unreadable_journals,
            unreadable,
            strays,
        };
        let chain: Vec<Opened> = opened
            .into_iter()
            .filter(|journal| journal.header.number >= number)
            .collect();
        let lost = match &start {
            Start::Generation(_) if despite_losses => lost_rows(home, number)?,
            _ => Vec::new(),
        };
        return follow(home, start, found, chain, lost);
    }
    Err(first_error.unwrap_or_else(|| GalleryError::Damaged {
        path: home.directory.clone(),
        what: "the generation that its journals go on from is missing".to_owned(),
    }))
}

/// Takes out what has a number far above `sound`, the highest of a file that could be read: a failing medium does not make names.
fn take_strays(
    sound: u64,
    journals: &mut Vec<u64>,
    generations: &mut Vec<Unreadable>,
) -> Vec<String> {
    let is_far = |number: u64| number > sound.saturating_add(MAX_GAP);
    let far_journals = journals.extract_if(.., |number| is_far(*number));
    let mut strays: Vec<String> = far_journals.map(journal_name).collect();
    let far_generations = generations.extract_if(.., |bad| is_far(bad.number));
    strays.extend(far_generations.map(|bad| generation_name(bad.number)));
    strays
}

/// Which files there are.
struct Found {
    restart: u64,
    highest: u64,
    unreadable_journals: Vec<u64>,
    unreadable: Vec<Unreadable>,
    strays: Vec<String>,
}

/// Applies the journals of a restart point.
fn follow(
    home: &Home,
    start: Start,
    found: Found,
    chain: Vec<Opened>,
    faults: Vec<Fault>,
) -> Result<Reading, GalleryError> {
    let number = found.restart;
    let (mut people, mut identity, mut rows) = match start {
        Start::Nobody => (People::default(), None, 0),
        Start::Generation(generation) => {
            let identity = generation.identity().clone();
            let rows = generation.row_num() as u64;
            (People::of(generation), Some(identity), rows)
        }
    };
    let lost = (!faults.is_empty()).then(|| Lost {
        number,
        people: people.drop_damaged(&ranges_of(&faults)),
        faults,
    });
    let numbers: Vec<u64> = chain.iter().map(|journal| journal.header.number).collect();
    let missing = gaps(number, found.highest, &numbers, &found.unreadable_journals);
    if let Some(gap) = missing.iter().find(|gap| gap.to - gap.from >= MAX_GAP) {
        return Err(GalleryError::Damaged {
            path: home.directory.clone(),
            what: gap.describe(),
        });
    }
    let mut updated = identity
        .as_ref()
        .map(|identity: &Identity| identity.updated);
    let mut journals = Vec::with_capacity(chain.len());
    for journal in chain {
        let replay = replay(home, journal, &mut people)?;
        updated = replay.updated.or(updated);
        rows += replay.rows;
        if let Some(newer) = &replay.identity {
            updated = updated.max(Some(newer.updated));
            identity = Some(newer.clone());
        }
        journals.push(replay);
    }
    let identity = identity.ok_or_else(|| GalleryError::Damaged {
        path: home.path(&journal_name(number)),
        what: "its first record cannot be read".to_owned(),
    })?;
    if identity.collection != home.collection.into_bytes() {
        return Err(GalleryError::Damaged {
            path: home.directory.clone(),
            what: "it belongs to another collection than its name says; was it copied by hand?"
                .to_owned(),
        });
    }
    Ok(Reading {
        people,
        updated: updated.unwrap_or(identity.updated),
        identity,
        journals,
        unreadable: found.unreadable,
        lost,
        missing,
        strays: found.strays,
        rows,
        restart: number,
        highest: found.highest,
    })
}

/// What of a generation cannot be rebuilt.
fn lost_rows(home: &Home, number: u64) -> Result<Vec<Fault>, GalleryError> {
    const DOING: &str = "reading a generation";
    let path = home.path(&generation_name(number));
    let file = (home.storage.open(&path, Access::Read)).while_doing(DOING, &path)?;
    match examine(&*file) {
        Ok(Health::Lost(faults)) => Ok(faults),
        Ok(_) | Err(OpenFault::Damaged(_) | OpenFault::NewerFormat(_)) => Ok(Vec::new()),
        Err(OpenFault::Io(error)) => Err(error).while_doing(DOING, &path),
    }
}

/// The inner error is damage, and says what.
pub(super) fn open_generation(
    home: &Home,
    number: u64,
) -> Result<Result<Generation, &'static str>, GalleryError> {
    let path = home.path(&generation_name(number));
    let file = match home.storage.open(&path, Access::Read) {
        Err(error) if regular_file::is_not_regular(&error) => return Ok(Err(NOT_REGULAR)),
        result => result.while_doing("opening a generation", &path)?,
    };
    match Generation::open(&file) {
        Ok(generation)
            if generation.number() != number
                || generation.identity().collection != home.collection.into_bytes() =>
        {
            Ok(Err(
                "it belongs to another collection or place than its name says",
            ))
        }
        Ok(generation) => Ok(Ok(generation)),
        Err(OpenFault::Damaged(what)) => Ok(Err(what)),
        Err(OpenFault::NewerFormat(found)) => Err(GalleryError::NewerFormat {
            path,
            found,
            supported: GENERATION_VERSION,
        }),
        Err(OpenFault::Io(error)) => Err(error).while_doing("reading a generation", &path),
    }
}

/// Whether one of the journals in a collection's directory says that it is sealed.
pub(super) fn holds_sealed_journal(
    storage: &dyn Storage,
    directory: &Path,
    collection: Uuid,
) -> bool {
    let Ok(entries) = storage.entries(directory) else {
        return true;
    };
    entries
        .iter()
        .filter_map(|entry| journal_number(&entry.name).map(|_| directory.join(&entry.name)))
        .any(|path| {
            let mut bytes = [0; FILE_HEADER_BYTES];
            let header = (storage.open(&path, Access::Read))
                .and_then(|file| file.read_exact_at(&mut bytes, 0))
                .map(|()| FileHeader::decode(&bytes));
            match header {
                Ok(Ok(header)) => header.sealed && header.collection == collection,
                Ok(Err(_)) => FileHeader::looks_sealed(&bytes),
                Err(_) => false,
            }
        })
}
