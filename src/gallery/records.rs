//! Finding the records of a journal: whole ones, damaged ones, and those whose writing was interrupted.

use std::io;

use rkyv::util::AlignedVec;

use super::format::{FileHeader, RECORD_ALIGNMENT, RECORD_HEADER_BYTES, RecordHeader};
use super::journal::seal_context;
use super::operation::Operation;
use super::seal::Sealer;
use super::storage::StorageFile;

/// What stands at a place in the file.
pub(super) enum Found {
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

/// Finds records in a journal whose header is known.
pub(super) struct Reader<'a> {
    file: &'a dyn StorageFile,
    header: &'a FileHeader,
    sealer: Option<&'a Sealer>,
    seed: u32,
    file_length: u64,
    /// Kept between records, so that reading allocates once.
    payload: AlignedVec,
}

impl<'a> Reader<'a> {
    pub fn new(
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

    pub fn record_at(&mut self, at: u64) -> io::Result<Found> {
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
    pub fn next_record_after(&mut self, at: u64) -> io::Result<u64> {
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

    /// Whether of the bytes `at..end` of a record those in one sector are all zero: the file was lengthened, and the power went
    /// before all was written. Records have no such zeros: templates are of length 1, and padding is shorter than [`ZEROS`].
    pub fn lacks_a_sector(&self, at: u64, end: u64) -> io::Result<bool> {
        let limit = end.next_multiple_of(SECTOR_BYTES).min(self.file_length);
        let mut sector = [0; SECTOR_BYTES as usize];
        let mut at = at;
        while at < limit {
            let end = (at + 1).next_multiple_of(SECTOR_BYTES).min(limit);
            let piece = &mut sector[..(end - at) as usize];
            self.file.read_exact_at(piece, at)?;
            if piece.len() >= ZEROS && piece.iter().all(|&byte| byte == 0) {
                return Ok(true);
            }
            at = end;
        }
        Ok(false)
    }

    /// Whether the sector that a record should begin in was not written: it is zero from the record's place on.
    pub fn lacks_its_header(&self, at: u64) -> io::Result<bool> {
        let end = (at + 1)
            .next_multiple_of(SECTOR_BYTES)
            .min(self.file_length);
        let mut rest = [0; SECTOR_BYTES as usize];
        let rest = &mut rest[..(end - at) as usize];
        self.file.read_exact_at(rest, at)?;
        Ok(rest.iter().all(|&byte| byte == 0))
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
