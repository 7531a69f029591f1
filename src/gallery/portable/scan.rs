//! Walking over the frames of a file that may be cut off, damaged or made up.
//!
//! The order of frames is fixed: KEY, then any number of KEY or whole collections (COLLECTION, PEOPLE..., COLLECTION_END), then
//! END and nothing more. A writer that goes on after an interruption cuts off what was not whole first, so a finished file
//! never deviates from it.

use sha2::{Digest, Sha256};

use super::error::PortableError;
use super::frame::{Bytes, Fault, Found, Frame, Kind};
use super::payload::{CollectionDigest, Tag};

/// More interrupted runs or collections than any real file has; it bounds the memory that a made-up one can take.
const MAX_ENTRIES: usize = 65_536;

/// A whole collection.
#[derive(Clone, Debug)]
pub(super) struct Span {
    /// Its COLLECTION frame.
    pub head: Frame,
    /// Which of the KEY frames before it seals it.
    pub key: usize,
    /// From the payload; only if payloads were read.
    pub contents: Option<(Tag, CollectionDigest)>,
}

/// Why the walk ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stop {
    /// After END, with nothing behind it.
    End(Frame),
    /// The file ends before END.
    CutOff,
    /// What stands at this byte is not what has to come.
    Bad(u64, Fault),
}

/// What a file holds.
#[derive(Debug)]
pub(super) struct Scan {
    pub keys: Vec<Frame>,
    /// In the order of the file.
    pub collections: Vec<Span>,
    pub stop: Stop,
    /// Where the last whole collection ends, in bytes, and the position of the frame that comes next.
    pub whole: (u64, u64),
}

/// Walks over `bytes`. With `payloads` every payload is read and checked against its checksum as well; a payload that fails
/// ends the walk.
pub(super) fn scan(bytes: &Bytes, payloads: bool) -> Result<Scan, PortableError> {
    let mut scan = Scan {
        keys: Vec::new(),
        collections: Vec::new(),
        stop: Stop::CutOff,
        whole: (0, 0),
    };
    let mut open: Option<Open> = None;
    let (mut offset, mut position) = (0, 0);
    loop {
        let frame = match bytes.frame_at(offset, position)? {
            Found::Frame(frame) => frame,
            Found::Border | Found::Torn => return Ok(scan),
            Found::Bad(fault) => {
                scan.stop = Stop::Bad(offset, fault);
                return Ok(scan);
            }
        };
        let after = offset + frame.header.frame_bytes();
        let payload = match payloads.then(|| bytes.payload(&frame)).transpose() {
            Err(PortableError::Damaged { what, .. }) => {
                scan.stop = Stop::Bad(offset, Fault::Damaged(what));
                return Ok(scan);
            }
            other => other?,
        };
        let hashed = (frame.header.encode(), payload.as_deref());
        let in_order = match (frame.header.kind, open.as_mut()) {
            (Kind::Key, None) => {
                scan.keys.push(frame);
                true
            }
            (Kind::Collection, None) if !scan.keys.is_empty() => {
                let mut begun = Open::new(frame, payload.as_deref());
                begun.add(&hashed.0, hashed.1);
                open = Some(begun);
                true
            }
            (Kind::People, Some(open)) => {
                open.add(&hashed.0, hashed.1);
                true
            }
            (Kind::CollectionEnd, Some(_)) => {
                let key = scan.keys.len().saturating_sub(1);
                scan.whole = (after, position + 1);
                scan.collections
                    .extend(open.take().map(|open| open.close(key)));
                true
            }
            (Kind::End, None) if !scan.keys.is_empty() => {
                scan.stop = match after == bytes.length {
                    true => Stop::End(frame),
                    false => Stop::Bad(after, Fault::Damaged("something follows the end")),
                };
                return Ok(scan);
            }
            _ => false,
        };
        let few = scan.keys.len() <= MAX_ENTRIES && scan.collections.len() <= MAX_ENTRIES;
        if !in_order || !few {
            scan.stop = Stop::Bad(offset, Fault::Damaged("a frame is out of order"));
            return Ok(scan);
        }
        (offset, position) = (after, position + 1);
    }
}

/// A collection that has begun.
struct Open {
    head: Frame,
    tag: Option<Tag>,
    digest: Sha256,
}

impl Open {
    fn new(head: Frame, payload: Option<&[u8]>) -> Open {
        Open {
            head,
            tag: payload.and_then(|payload| payload.first_chunk().copied()),
            digest: Sha256::new(),
        }
    }

    fn add(&mut self, header: &[u8], payload: Option<&[u8]>) {
        if let Some(payload) = payload {
            self.digest.update(header);
            self.digest.update(payload);
        }
    }

    fn close(self, key: usize) -> Span {
        let digest = self.digest.finalize().into();
        Span {
            head: self.head,
            key,
            contents: self.tag.map(|tag| (tag, digest)),
        }
    }
}
