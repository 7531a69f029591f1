//! Reading a journal: every record that verifies is applied, what does not verify is located. Nothing is changed on disk here.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rkyv::util::AlignedVec;

use super::error::{GalleryError, WhileDoing};
use super::format::{
    FILE_HEADER_BYTES, FORMAT_VERSION, FileHeader, HeaderFault, RECORD_ALIGNMENT,
    RECORD_HEADER_BYTES, RecordHeader,
};
use super::operation::{Identity, Operation};
use super::people::People;

/// What a journal holds.
pub(super) struct Replay {
    pub header: FileHeader,
    pub identity: Identity,
    pub people: People,
    /// Time of the last change, milliseconds since 1970 UTC.
    pub updated: u64,
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

/// Reads the journal at `path`. The file comes back open for reading and writing.
///
/// # Errors
/// [`GalleryError::Damaged`] if the file header or the first record does not verify, [`GalleryError::NewerFormat`], and
/// [`GalleryError::Storage`] if the file cannot be read. A part that the medium refuses to read is such an error, not damage:
/// it may come back, and rewriting the journal without it would make the loss final.
pub(super) fn replay(path: &Path) -> Result<(File, Replay), GalleryError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .while_doing("opening a journal", path)?;
    let file_length = file
        .metadata()
        .while_doing("reading the size of a journal", path)?
        .len();
    let damaged = |what: &str| GalleryError::Damaged {
        path: path.to_owned(),
        what: what.to_owned(),
    };
    if file_length < FILE_HEADER_BYTES as u64 {
        return Err(damaged("it is shorter than its header"));
    }
    let mut header = [0; FILE_HEADER_BYTES];
    file.read_exact_at(&mut header, 0)
        .while_doing("reading a journal", path)?;
    let header = FileHeader::decode(&header).map_err(|fault| match fault {
        HeaderFault::NotAJournal => damaged("it does not begin like a journal"),
        HeaderFault::BadChecksum => damaged("the checksum of its header is wrong"),
        HeaderFault::NewerFormat(found) => GalleryError::NewerFormat {
            path: path.to_owned(),
            found,
            supported: FORMAT_VERSION,
        },
    })?;
    let mut reader = Reader {
        file: &file,
        seed: header.seed(),
        file_length,
        payload: AlignedVec::new(),
    };
    let first = reader
        .record_at(FILE_HEADER_BYTES as u64)
        .while_doing("reading a journal", path)?;
    let (identity, good_length) = match first {
        Found::Record {
            sequence: 0,
            operation: Operation::Begin(identity),
            end,
        } => (identity, end),
        _ => return Err(damaged("its first record cannot be read")),
    };
    let mut replay = Replay {
        people: People::default(),
        updated: identity.updated,
        rows: 0,
        next_sequence: 1,
        good_length,
        file_length,
        damage: Vec::new(),
        header,
        identity,
    };
    replay
        .read_records(&mut reader)
        .while_doing("reading a journal", path)?;
    Ok((file, replay))
}

impl Replay {
    fn read_records(&mut self, reader: &mut Reader) -> io::Result<()> {
        let mut at = self.good_length;
        loop {
            at = match reader.record_at(at)? {
                Found::End => return Ok(()),
                Found::Record {
                    sequence,
                    operation,
                    end,
                } if sequence >= self.next_sequence
                    && sequence < u32::MAX
                    && !matches!(operation, Operation::Begin(_)) =>
                {
                    self.accept(at, end, sequence, &operation);
                    end
                }
                // A record that verifies but cannot stand here: a later copy of an earlier one, or one that says nothing.
                Found::Record { end, .. } | Found::BadPayload { end } => {
                    self.unreadable(at, end);
                    end
                }
                Found::BadHeader => {
                    let end = reader.next_record_after(at)?;
                    self.unreadable(at, end);
                    end
                }
            };
        }
    }

    fn accept(&mut self, at: u64, end: u64, sequence: u32, operation: &Operation) {
        let lost_records = sequence - self.next_sequence;
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
        self.people.apply(operation);
        self.updated = operation.at();
        self.rows += operation.rows();
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
    file: &'a File,
    seed: u32,
    file_length: u64,
    /// Kept between records, so that reading allocates once.
    payload: AlignedVec,
}

impl Reader<'_> {
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
        Ok(
            if crc32c::crc32c(&self.payload) == header.payload_checksum {
                Operation::decode(&self.payload)
            } else {
                None
            },
        )
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

/// A multiple of the record alignment.
const CHUNK_BYTES: usize = 64 << 10;
