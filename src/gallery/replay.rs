//! Reading a journal: every record that verifies is applied, what does not verify is located. Nothing is changed on disk here.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::error::{GalleryError, WhileDoing};
use super::files::Home;
use super::format::{FILE_HEADER_BYTES, FORMAT_VERSION, FileHeader, HeaderFault};
use super::journal::{BEGINNINGS, journal_name};
use super::operation::{Identity, Operation};
use super::people::People;
use super::records::{Found, Reader};
use super::storage::{Access, StorageFile};
use crate::regular_file;

/// What a journal holds beside the changes, which went into the people.
pub(super) struct Replay {
    pub file: Arc<dyn StorageFile>,
    pub header: FileHeader,
    /// What `Begin` says. `None` if no copy of it could be read.
    pub identity: Option<Identity>,
    /// Time of the last change, milliseconds since 1970 UTC.
    pub updated: Option<u64>,
    /// Feature rows in the file, the dead ones included.
    pub rows: u64,
    /// Somebody left, or features were replaced.
    pub takes_away: bool,
    pub next_sequence: u32,
    /// Where the last record ends, in bytes. What follows, up to [`Replay::file_length`], is torn: never acknowledged.
    pub good_length: u64,
    pub file_length: u64,
    pub damage: Vec<Damage>,
}

/// Bytes that are no record, or records that are not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    /// Bytes `from..to` of the file cannot be read; none if `from == to`.
    pub from: u64,
    pub to: u64,
    /// Acknowledged records that are known to be lost here: a lower bound at the end of the file.
    pub lost_records: u32,
}

/// A journal whose header is known, not yet read any further.
pub(super) struct Opened {
    file: Arc<dyn StorageFile>,
    file_length: u64,
    pub header: FileHeader,
    /// The header could not be read and was told from the records.
    header_damaged: bool,
}

/// Nothing can be stored in a pipe, a socket or a directory, whatever its name is.
pub(super) const NOT_REGULAR: &str = "it is not a regular file";

/// Opens journal `number`.
///
/// Everything in the header but its flags is known from the names of file and directory. So a damaged header is found again by
/// trying which one the first records verify under.
///
/// # Errors
/// [`GalleryError::Damaged`] if neither header nor records verify, [`GalleryError::NewerFormat`], and
/// [`GalleryError::Storage`] if the file cannot be read. A part that the medium refuses to read is such an error, not damage:
/// it may come back, and rewriting the journal without it would make the loss final.
pub(super) fn open_journal(
    home: &Home,
    number: u64,
    access: Access,
) -> Result<Opened, GalleryError> {
    const DOING: &str = "reading a journal";
    let path = home.path(&journal_name(number));
    let file = match home.storage.open(&path, access) {
        Err(error) if regular_file::is_not_regular(&error) => {
            return Err(damaged(&path, NOT_REGULAR));
        }
        result => result.while_doing("opening a journal", &path)?,
    };
    let file_length = file.length().while_doing(DOING, &path)?;
    let mut bytes = [0; FILE_HEADER_BYTES];
    let decoded = if file_length < FILE_HEADER_BYTES as u64 {
        Err(HeaderFault::NotAJournal)
    } else {
        file.read_exact_at(&mut bytes, 0)
            .while_doing(DOING, &path)?;
        FileHeader::decode(&bytes)
    };
    let (header, header_damaged) = match decoded {
        Ok(header) => (header, false),
        Err(HeaderFault::NewerFormat(found)) => {
            return Err(GalleryError::NewerFormat {
                path,
                found,
                supported: FORMAT_VERSION,
            });
        }
        Err(fault) => {
            let guessed =
                guess_header(home, number, &*file, file_length).while_doing(DOING, &path)?;
            let what = match fault {
                HeaderFault::BadChecksum => "the checksum of its header is wrong",
                _ => "it does not begin like a journal",
            };
            (guessed.ok_or_else(|| damaged(&path, what))?, true)
        }
    };
    if header.collection != home.collection || header.number != number {
        let what =
            "it belongs to another collection or place than its name says; was it copied by hand?";
        return Err(damaged(&path, what));
    }
    Ok(Opened {
        file,
        file_length,
        header,
        header_damaged,
    })
}

fn damaged(path: &Path, what: &str) -> GalleryError {
    GalleryError::Damaged {
        path: path.to_owned(),
        what: what.to_owned(),
    }
}

/// The header under which one of the first records verifies.
fn guess_header(
    home: &Home,
    number: u64,
    file: &dyn StorageFile,
    file_length: u64,
) -> io::Result<Option<FileHeader>> {
    for (version, sealed, continues) in [
        (FORMAT_VERSION, true, true),
        (FORMAT_VERSION, false, true),
        (FORMAT_VERSION, true, false),
        (FORMAT_VERSION, false, false),
        (2, true, true),
        (2, false, true),
        (2, true, false),
        (2, false, false),
        (1, false, false),
    ] {
        let header = FileHeader {
            collection: home.collection,
            number,
            version,
            sealed,
            continues,
        };
        let mut reader = Reader::new(file, file_length, &header, home.sealer.as_ref());
        let first = FILE_HEADER_BYTES as u64;
        // The first record shares its sector with the header, so it may be damaged, too.
        if matches!(reader.record_at(first)?, Found::Record { .. })
            || reader.next_record_after(first)? < file_length
        {
            return Ok(Some(header));
        }
    }
    Ok(None)
}

/// Reads a journal to its end and applies every change to `people`.
///
/// # Errors
/// [`GalleryError::Storage`] if the file cannot be read; [`GalleryError::Damaged`] if the rows of the generation that a change
/// builds on are damaged, or the journal is sealed and there is no key.
pub(super) fn replay(
    home: &Home,
    opened: Opened,
    people: &mut People,
) -> Result<Replay, GalleryError> {
    const DOING: &str = "reading a journal";
    let path = home.path(&journal_name(opened.header.number));
    if opened.header.sealed && home.sealer.is_none() {
        return Err(damaged(&path, "it is sealed and no key was given"));
    }
    let mut reader = Reader::new(
        &*opened.file,
        opened.file_length,
        &opened.header,
        home.sealer.as_ref(),
    );
    let mut replay = Replay {
        file: Arc::clone(&opened.file),
        header: opened.header,
        identity: None,
        updated: None,
        rows: 0,
        takes_away: false,
        next_sequence: 0,
        good_length: FILE_HEADER_BYTES as u64,
        file_length: opened.file_length,
        damage: Vec::new(),
    };
    if opened.header_damaged {
        replay.damage.push(Damage {
            from: 0,
            to: FILE_HEADER_BYTES as u64,
            lost_records: 0,
        });
    }
    while let Some((operation, at, end, sequence)) =
        replay.next(&mut reader).while_doing(DOING, &path)?
    {
        if let Operation::Begin(identity) = &operation {
            replay.identity.get_or_insert_with(|| identity.clone());
        } else {
            people
                .check(&operation)
                .map_err(|_| damaged(&path, "the generation that it goes on from is damaged"))?;
            people.apply(&operation);
            replay.updated = Some(operation.at());
            replay.takes_away |= !matches!(operation, Operation::Insert { .. });
        }
        replay.accept(at, end, sequence, operation.rows());
    }
    if replay.next_sequence == 0 {
        // Not even one `Begin`: with version 1 there is only one, so the name of the collection may be lost.
        replay.unreadable(FILE_HEADER_BYTES as u64, replay.good_length);
    }
    Ok(replay)
}

impl Replay {
    /// The next record that can stand where it stands.
    fn next(&mut self, reader: &mut Reader) -> io::Result<Option<(Operation, u64, u64, u32)>> {
        loop {
            let at = self.good_length;
            match reader.record_at(at)? {
                Found::End => return Ok(None),
                Found::Record {
                    sequence,
                    operation,
                    end,
                } if sequence >= self.next_sequence
                    && sequence < u32::MAX
                    && (sequence < BEGINNINGS) >= matches!(operation, Operation::Begin(_)) =>
                {
                    return Ok(Some((operation, at, end, sequence)));
                }
                // A record that verifies but cannot stand here: a later copy of an earlier one, or one that says nothing.
                Found::Record { end, .. } => self.unreadable(at, end),
                bad @ (Found::BadPayload { .. } | Found::BadHeader) => {
                    let next = reader.next_record_after(at)?;
                    let interrupted = || match bad {
                        Found::BadPayload { end } => reader.lacks_a_sector(at, end),
                        _ => reader.lacks_its_header(at),
                    };
                    if next == self.file_length && interrupted()? {
                        return Ok(None);
                    }
                    self.unreadable(
                        at,
                        match bad {
                            Found::BadPayload { end } => end,
                            _ => next,
                        },
                    );
                }
            }
        }
    }

    fn accept(&mut self, at: u64, end: u64, sequence: u32, rows: u64) {
        // A lost `Begin` is no lost change: another copy or the generation says the same.
        let first_change = match self.header.version {
            1 => 1,
            _ => BEGINNINGS,
        };
        let lost_records = sequence.saturating_sub(self.next_sequence.max(first_change));
        if lost_records > 0 {
            match self.damage.last_mut() {
                Some(damage) if damage.to == at => damage.lost_records = lost_records,
                _ => self.damage.push(Damage {
                    from: at,
                    to: at,
                    lost_records,
                }),
            }
        }
        self.rows += rows;
        self.next_sequence = sequence + 1;
        self.good_length = end;
    }

    fn unreadable(&mut self, from: u64, to: u64) {
        match self.damage.last_mut() {
            Some(damage) if damage.to == from => damage.to = to,
            _ => self.damage.push(Damage {
                from,
                to,
                lost_records: 0,
            }),
        }
        self.good_length = to;
    }
}
