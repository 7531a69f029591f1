//! What is inside the sealed frames. Little endian, without padding; every reader checks, since any bytes may come.

use uuid::Uuid;

use super::frame::ContainerId;
use super::{CollectionHead, FEATURE_DIMENSIONS, FeatureBits, Person, is_finite};

use sha2::{Digest, Sha256};

/// Longest name, template space or target id, in bytes.
pub(super) const MAX_TEXT_BYTES: usize = 4096;

/// Size of a feature in the file.
pub(super) const FEATURE_BYTES: usize = FEATURE_DIMENSIONS * 2;

/// SHA-256 over the frames of a collection: the COLLECTION frame and all PEOPLE frames, headers and payloads.
pub(super) type CollectionDigest = [u8; 32];

/// Stands before the sealed head in a COLLECTION frame, so that a writer without the secret key can tell which collections an
/// interrupted file holds and in which state. It tells others nothing: UUIDs are random and stand nowhere in the clear.
pub(super) type Tag = [u8; 32];

pub(super) fn tag(container: &ContainerId, head: &CollectionHead) -> Tag {
    let mut hash = Sha256::new();
    hash.update(b"recocomp backup 1: collection\0");
    hash.update(container);
    hash.update(head.uuid.as_bytes());
    hash.update(head.version);
    hash.update(head.people.to_le_bytes());
    hash.update(head.features.to_le_bytes());
    hash.finalize().into()
}

/// Reads what was written, in order; `None` as soon as the bytes do not suffice.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    pub fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*bytes)
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub fn text(&mut self) -> Option<&'a str> {
        let length = usize::from(self.u16()?);
        if length > MAX_TEXT_BYTES {
            return None;
        }
        std::str::from_utf8(self.bytes(length)?).ok()
    }

    /// All was read, and there was no more.
    pub fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// `None` if the text is longer than [`MAX_TEXT_BYTES`].
fn put_text(bytes: &mut Vec<u8>, text: &str) -> Option<()> {
    if text.len() > MAX_TEXT_BYTES {
        return None;
    }
    bytes.extend_from_slice(&u16::try_from(text.len()).ok()?.to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    Some(())
}

/// `None` if a text is too long.
pub(super) fn encode_head(head: &CollectionHead) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(head.uuid.as_bytes());
    bytes.extend_from_slice(&head.version);
    for number in [head.created, head.updated, head.people, head.features] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    put_text(&mut bytes, &head.name)?;
    put_text(&mut bytes, &head.template_space)?;
    Some(bytes)
}

pub(super) fn decode_head(bytes: &[u8]) -> Option<CollectionHead> {
    let mut cursor = Cursor(bytes);
    let head = CollectionHead {
        uuid: Uuid::from_bytes(cursor.array()?),
        version: cursor.array()?,
        created: cursor.u64()?,
        updated: cursor.u64()?,
        people: cursor.u64()?,
        features: cursor.u64()?,
        name: cursor.text()?.to_owned(),
        template_space: cursor.text()?.to_owned(),
    };
    cursor.end()?;
    Some(head)
}

/// Why a person cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PersonFault {
    TargetTooLong,
    NotFinite,
}

/// Appends one person to a part.
pub(super) fn put_person(bytes: &mut Vec<u8>, person: &Person) -> Result<(), PersonFault> {
    let (target, features) = person;
    put_text(bytes, target).ok_or(PersonFault::TargetTooLong)?;
    // More features than a u32 counts fill no frame; the frame's limit refuses them.
    let count = u32::try_from(features.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&count.to_le_bytes());
    for feature in features {
        if !feature.iter().all(|&bits| is_finite(bits)) {
            return Err(PersonFault::NotFinite);
        }
        let start = bytes.len();
        bytes.resize(start + FEATURE_BYTES, 0);
        for (two, bits) in bytes[start..].chunks_exact_mut(2).zip(feature) {
            two.copy_from_slice(&bits.to_le_bytes());
        }
    }
    Ok(())
}

/// Bytes that a person takes in a part.
pub(super) fn person_bytes(person: &Person) -> usize {
    let (target, features) = person;
    (features.len().saturating_mul(FEATURE_BYTES)).saturating_add(2 + target.len() + 4)
}

/// The next person of a part. `None` if the bytes are none, or a number in them is not finite.
pub(super) fn take_person(cursor: &mut Cursor<'_>) -> Option<Person> {
    let target = cursor.text()?.to_owned();
    let count = cursor.u32()? as usize;
    // Taken as bytes first, so that a false count allocates nothing.
    let bytes = cursor.bytes(count.checked_mul(FEATURE_BYTES)?)?;
    let mut features = Vec::with_capacity(count);
    for bytes in bytes.chunks_exact(FEATURE_BYTES) {
        let mut feature: FeatureBits = [0; FEATURE_DIMENSIONS];
        for (bits, two) in feature.iter_mut().zip(bytes.chunks_exact(2)) {
            *bits = u16::from_le_bytes([two[0], two[1]]);
        }
        if !feature.iter().all(|&bits| is_finite(bits)) {
            return None;
        }
        features.push(feature);
    }
    Some((target, features))
}

/// What COLLECTION_END says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CollectionEnd {
    pub people: u64,
    pub features: u64,
    pub digest: CollectionDigest,
}

impl CollectionEnd {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(48);
        bytes.extend_from_slice(&self.people.to_le_bytes());
        bytes.extend_from_slice(&self.features.to_le_bytes());
        bytes.extend_from_slice(&self.digest);
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Option<CollectionEnd> {
        let mut cursor = Cursor(bytes);
        let end = CollectionEnd {
            people: cursor.u64()?,
            features: cursor.u64()?,
            digest: cursor.array()?,
        };
        cursor.end()?;
        Some(end)
    }
}

/// A collection that counts: the position of its COLLECTION frame, and the digest of its frames.
pub(super) type Counted = (u64, CollectionDigest);

/// What END says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub people: u64,
    pub features: u64,
    pub collections: Vec<Counted>,
}

impl End {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(20 + self.collections.len() * 40);
        bytes.extend_from_slice(&self.people.to_le_bytes());
        bytes.extend_from_slice(&self.features.to_le_bytes());
        bytes.extend_from_slice(&(self.collections.len() as u32).to_le_bytes());
        for (position, digest) in &self.collections {
            bytes.extend_from_slice(&position.to_le_bytes());
            bytes.extend_from_slice(digest);
        }
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Option<End> {
        let mut cursor = Cursor(bytes);
        let (people, features) = (cursor.u64()?, cursor.u64()?);
        let count = cursor.u32()?;
        let mut collections = Vec::new();
        for _ in 0..count {
            collections.push((cursor.u64()?, cursor.array()?));
        }
        cursor.end()?;
        Some(End {
            people,
            features,
            collections,
        })
    }
}
