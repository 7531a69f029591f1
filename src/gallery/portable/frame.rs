//! A frame: a header of 32 bytes and a payload. `docs/design/backup.md` draws the bytes.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::error::{PortableError, WhileDoing};

/// First bytes of every frame, so also of every file.
pub(super) const MAGIC: [u8; 8] = *b"recoback";

/// Highest format version that this release reads, and the one it writes.
pub(super) const FORMAT_VERSION: u8 = 1;

/// Size of [`Header`] in the file. Magic, version and the header's checksum keep their place in every version, so that a newer
/// file is told from a damaged one.
pub(super) const HEADER_BYTES: usize = 32;

/// Largest payload. A part holds some 1 MiB and more only for a person whose features alone are more.
pub(super) const MAX_PAYLOAD_BYTES: usize = 64 << 20;

/// A random number of the file, in every KEY frame; all seals of the file are bound to it.
pub(super) type ContainerId = [u8; 16];

/// What a frame is. The numbers are those in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Key = 1,
    Collection = 2,
    People = 3,
    CollectionEnd = 4,
    End = 5,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Kind> {
        [
            Kind::Key,
            Kind::Collection,
            Kind::People,
            Kind::CollectionEnd,
            Kind::End,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub kind: Kind,
    /// Of the payload, in bytes.
    pub length: u32,
    /// 0 for the first frame of the file, then one more each.
    pub position: u64,
    /// CRC32C of the payload. It finds accidents quickly and without the key; the seal is what counts.
    pub payload_checksum: u32,
}

/// Why 32 bytes are no frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    NotOurs,
    Newer(u8),
    Damaged(&'static str),
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8] = FORMAT_VERSION;
        bytes[9] = self.kind as u8;
        bytes[12..16].copy_from_slice(&self.length.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.position.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.payload_checksum.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..28]);
        bytes[28..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Header, Fault> {
        if bytes[..8] != MAGIC {
            return Err(Fault::NotOurs);
        }
        if bytes[28..] != crc32c::crc32c(&bytes[..28]).to_le_bytes() {
            return Err(Fault::Damaged("the checksum of a frame header is wrong"));
        }
        if bytes[8] > FORMAT_VERSION {
            return Err(Fault::Newer(bytes[8]));
        }
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let mut position = [0; 8];
        position.copy_from_slice(&bytes[16..24]);
        let length = word(12);
        match Kind::from_byte(bytes[9]) {
            Some(kind)
                if bytes[8] == FORMAT_VERSION
                    && bytes[10..12] == [0; 2]
                    && length as usize <= MAX_PAYLOAD_BYTES =>
            {
                Ok(Header {
                    kind,
                    length,
                    position: u64::from_le_bytes(position),
                    payload_checksum: word(24),
                })
            }
            _ => Err(Fault::Damaged("a frame header makes no sense")),
        }
    }

    /// Bytes that the whole frame takes in the file.
    pub fn frame_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.length)
    }
}

/// What the seal of a frame is bound to: it opens in no other file, in no other place, and as no other kind, so that frames
/// cannot be dropped, swapped or repeated unnoticed.
pub(super) fn context(container: &ContainerId, kind: Kind, position: u64) -> Vec<u8> {
    let mut context = b"recocomp backup 1\0".to_vec();
    context.extend_from_slice(container);
    context.push(kind as u8);
    context.extend_from_slice(&position.to_le_bytes());
    context
}

/// Where a frame begins, and its header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub offset: u64,
    pub header: Header,
}

/// What is at a place of the file.
pub(super) enum Found {
    Frame(Frame),
    /// The file ends here, at the border of a frame.
    Border,
    /// The file ends within the frame.
    Torn,
    Bad(Fault),
}

/// A file that is read in any order.
#[derive(Debug)]
pub(super) struct Bytes {
    pub file: File,
    pub path: PathBuf,
    /// In bytes, when it was opened.
    pub length: u64,
}

impl Bytes {
    pub fn new(file: File, path: &Path) -> Result<Bytes, PortableError> {
        let metadata = file.metadata().while_doing("opening a backup file", path)?;
        Ok(Bytes {
            file,
            path: path.to_owned(),
            length: metadata.len(),
        })
    }

    /// The frame `position` at `offset`.
    pub fn frame_at(&self, offset: u64, position: u64) -> Result<Found, PortableError> {
        let left = self.length.saturating_sub(offset);
        if left == 0 {
            return Ok(Found::Border);
        }
        let mut bytes = [0; HEADER_BYTES];
        if left < HEADER_BYTES as u64 {
            let start = &mut bytes[..left.min(8) as usize];
            self.read(start, offset)?;
            return Ok(match MAGIC.starts_with(start) {
                true => Found::Torn,
                false => Found::Bad(Fault::NotOurs),
            });
        }
        self.read(&mut bytes, offset)?;
        Ok(match Header::decode(&bytes) {
            Err(fault) => Found::Bad(fault),
            Ok(header) if header.position != position => {
                Found::Bad(Fault::Damaged("a frame is missing or out of order"))
            }
            Ok(header) if header.frame_bytes() > left => Found::Torn,
            Ok(header) => Found::Frame(Frame { offset, header }),
        })
    }

    /// A frame's payload, checked against its checksum.
    pub fn payload(&self, frame: &Frame) -> Result<Vec<u8>, PortableError> {
        // The frame was found to lie within the file, so its length is bounded by what is really there.
        let mut payload = vec![0; frame.header.length as usize];
        self.read(&mut payload, frame.offset + HEADER_BYTES as u64)?;
        if crc32c::crc32c(&payload) != frame.header.payload_checksum {
            return Err(self.damaged(frame.offset, "the checksum of a frame is wrong"));
        }
        Ok(payload)
    }

    pub fn damaged(&self, at: u64, what: &'static str) -> PortableError {
        PortableError::Damaged {
            path: self.path.clone(),
            at,
            what,
        }
    }

    pub fn fault(&self, at: u64, fault: Fault) -> PortableError {
        let path = self.path.clone();
        match fault {
            Fault::NotOurs if at == 0 => PortableError::NotOurs { path },
            Fault::NotOurs => self.damaged(at, "no frame begins here"),
            Fault::Newer(found) => PortableError::NewerFormat {
                path,
                found,
                supported: FORMAT_VERSION,
            },
            Fault::Damaged(what) => self.damaged(at, what),
        }
    }

    fn read(&self, bytes: &mut [u8], at: u64) -> Result<(), PortableError> {
        (self.file.read_exact_at(bytes, at)).while_doing("reading a backup file", &self.path)
    }
}
