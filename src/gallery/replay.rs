//! Reading a journal: every record that verifies is applied, what does not verify is located. Nothing is changed on disk here.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rkyv::util::AlignedVec;

use super::error::{GalleryError, WhileDoing};
use super::files::Home;
use super::format::{
    FILE_HEADER_BYTES, FORMAT_VERSION, FileHeader, HeaderFault, RECORD_ALIGNMENT,
    RECORD_HEADER_BYTES, RecordHeader,
};
use super::journal::{BEGINNINGS, journal_name, seal_context};
use super::operation::{Identity, Operation};
use super::people::People;
use super::seal::Sealer;
use super::storage::{Access, StorageFile};

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
    let file = home
        .storage
        .open(&path, access)
        .while_doing("opening a journal", &path)?;
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
                    if next == self.file_length && reader.lacks_a_sector(at)? {
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

/// What stands at a place in the file.
enum Found {
    /// Nothing, or a record whose writing was interrupted.
    End,
    Record {
        sequence: u32,
        operation: Operation,
        end: u64,
    },
    /// The header verifies, so the length is right, but the payload is not what was written.
    BadPayload {
        end: u64,
    },
    BadHeader,
}

struct Reader<'a> {
    file: &'a dyn StorageFile,
    header: &'a FileHeader,
    sealer: Option<&'a Sealer>,
    seed: u32,
    file_length: u64,
    /// Kept between records, so that reading allocates once.
    payload: AlignedVec,
}

impl<'a> Reader<'a> {
    fn new(
        file: &'a dyn StorageFile,
        file_length: u64,
        header: &'a FileHeader,
        sealer: Option<&'a Sealer>,
    ) -> Reader<'a> {
        Reader {
            file,
            header,
            sealer: sealer.filter(|_| header.sealed),
            seed: header.seed(),
            file_length,
            payload: AlignedVec::new(),
        }
    }

    fn record_at(&mut self, at: u64) -> io::Result<Found> {
        if self.file_length.saturating_sub(at) < RECORD_HEADER_BYTES as u64 {
            return Ok(Found::End);
        }
        let mut header = [0; RECORD_HEADER_BYTES];
        self.file.read_exact_at(&mut header, at)?;
        let Some(header) = RecordHeader::decode(&header, self.seed) else {
            return Ok(if self.only_zeros_from(at)? {
                Found::End
            } else {
                Found::BadHeader
            });
        };
        let end = at + header.record_bytes();
        if end > self.file_length {
            return Ok(Found::End);
        }
        Ok(match self.payload_at(at, &header)? {
            Some(operation) => Found::Record {
                sequence: header.sequence,
                operation,
                end,
            },
            None => Found::BadPayload { end },
        })
    }

    fn payload_at(&mut self, at: u64, header: &RecordHeader) -> io::Result<Option<Operation>> {
        // The header verified: the length is within MAX_PAYLOAD_BYTES and the file.
        self.payload.resize(header.payload_bytes as usize, 0);
        self.file
            .read_exact_at(&mut self.payload, at + RECORD_HEADER_BYTES as u64)?;
        if crc32c::crc32c(&self.payload) != header.payload_checksum {
            return Ok(None);
        }
        Ok(match self.sealer {
            Some(sealer) => sealer
                .open(&seal_context(self.header, header.sequence), &self.payload)
                .and_then(|plain| Operation::decode(&plain)),
            None if self.header.sealed => None,
            None => Operation::decode(&self.payload),
        })
    }

    /// The next place behind `at` where a whole record verifies, header and payload; the end of the file if there is none.
    fn next_record_after(&mut self, at: u64) -> io::Result<u64> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut chunk_at = at + RECORD_ALIGNMENT;
        while chunk_at < self.file_length {
            let length = self.read_chunk(&mut chunk, chunk_at)?;
            let (headers, _) = chunk[..length].as_chunks::<RECORD_HEADER_BYTES>();
            for (header, place) in headers
                .iter()
                .zip((chunk_at..).step_by(RECORD_ALIGNMENT as usize))
            {
                if let Some(header) = RecordHeader::decode(header, self.seed)
                    && place + header.record_bytes() <= self.file_length
                    && self.payload_at(place, &header)?.is_some()
                {
                    return Ok(place);
                }
            }
            chunk_at += length as u64;
        }
        Ok(self.file_length)
    }

    /// Whether of the bytes from `at` on those in one sector are all zero: the file was lengthened, and the power went before all
    /// was written. Records have no such zeros: templates are of length 1, and padding is shorter than [`ZEROS`].
    fn lacks_a_sector(&self, at: u64) -> io::Result<bool> {
        let mut sector = [0; SECTOR_BYTES as usize];
        let mut at = at;
        while at < self.file_length {
            let end = (at + 1)
                .next_multiple_of(SECTOR_BYTES)
                .min(self.file_length);
            let piece = &mut sector[..(end - at) as usize];
            self.file.read_exact_at(piece, at)?;
            if piece.len() >= ZEROS && piece.iter().all(|&byte| byte == 0) {
                return Ok(true);
            }
            at = end;
        }
        Ok(false)
    }

    fn only_zeros_from(&self, at: u64) -> io::Result<bool> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut at = at;
        while at < self.file_length {
            let length = self.read_chunk(&mut chunk, at)?;
            if chunk[..length].iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
            at += length as u64;
        }
        Ok(true)
    }

    fn read_chunk(&self, chunk: &mut [u8], at: u64) -> io::Result<usize> {
        let left = self.file_length.saturating_sub(at);
        let length = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.file.read_exact_at(&mut chunk[..length], at)?;
        Ok(length)
    }
}

/// What a medium writes whole or not at all.
const SECTOR_BYTES: u64 = 512;

/// More zeros in a row than a record has between and behind its parts.
const ZEROS: usize = 64;

/// A multiple of the record alignment.
const CHUNK_BYTES: usize = 64 << 10;
