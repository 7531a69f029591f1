//! Reading a sealed file: which collections it holds, their people, and whether all of it is sound.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;

use rkyv::util::AlignedVec;
use sha2::{Digest, Sha256};

use super::error::PortableError;
use super::frame::{Bytes, ContainerId, Fault, Found, Frame, Kind, context};
use super::key::{Key, KeyFault, KeyFrame};
use super::payload::{
    CollectionDigest, CollectionEnd, Cursor, End, Tag, decode_head, tag, take_person,
};
use super::scan::{Scan, Span, Stop, scan};
use super::{CollectionHead, Person, Summary};
use crate::gallery::seal::Sealer;

const ALTERED: &str = "its seal does not open it here";

/// An open file. Nothing of the collections is in memory but their heads.
#[derive(Debug)]
pub struct Reader {
    bytes: Bytes,
    container: ContainerId,
    keys: Vec<Sealer>,
    heads: Vec<CollectionHead>,
    /// Beside `heads`: where the collection lies, and its digest as END has it.
    places: Vec<(Span, Option<CollectionDigest>)>,
    complete: bool,
}

impl Reader {
    /// Opens a finished file: checks its frames' order, the key, the end, and the head of each collection.
    ///
    /// # Errors
    /// Every [`PortableError`] that speaks of a file that is read; [`Incomplete`](PortableError::Incomplete) for one that was
    /// cut off.
    pub fn open(path: &Path, key: &Key) -> Result<Reader, PortableError> {
        Reader::open_either(path, key, false)
    }

    /// Opens a file that may be cut off or unreadable from some place on, with the collections that are whole before it. It cannot be known whether they are all
    /// that there were, nor whether they are the newest of their names: a person has to decide that.
    ///
    /// # Errors
    /// As [`open`](Reader::open), but [`Incomplete`](PortableError::Incomplete) only if nothing is whole.
    pub fn open_incomplete(path: &Path, key: &Key) -> Result<Reader, PortableError> {
        Reader::open_either(path, key, true)
    }

    fn open_either(path: &Path, key: &Key, cut_off: bool) -> Result<Reader, PortableError> {
        let file = File::open(path).map_err(|source| PortableError::Io {
            path: path.to_owned(),
            source,
            while_doing: "opening a backup file",
        })?;
        let bytes = Bytes::new(file, path)?;
        let scan = scan(&bytes, false)?;
        let end = match scan.stop {
            Stop::End(frame) => Some(frame),
            Stop::CutOff | Stop::Bad(_, Fault::Damaged(_) | Fault::NotOurs)
                if cut_off && !scan.collections.is_empty() =>
            {
                None
            }
            Stop::CutOff => {
                return Err(PortableError::Incomplete {
                    path: bytes.path,
                    collections: scan.collections.len() as u64,
                    bytes: bytes.length,
                });
            }
            Stop::Bad(at, fault) => return Err(bytes.fault(at, fault)),
        };
        let (container, keys) = unlock(&bytes, &scan, key)?;
        let mut reader = Reader {
            bytes,
            container,
            keys,
            heads: Vec::new(),
            places: Vec::new(),
            complete: end.is_some(),
        };
        match end {
            Some(end) => reader.read_end(&end, &scan)?,
            None => reader.take_whole(scan)?,
        }
        Ok(reader)
    }

    /// Checks the order and the sums of a finished file without opening a seal: what someone can do who has no key to it.
    /// It finds accidents, not tampering.
    ///
    /// # Errors
    /// As [`open`](Reader::open), but nothing about the key.
    pub fn check_sums(path: &Path) -> Result<(), PortableError> {
        let file = File::open(path).map_err(|source| PortableError::Io {
            path: path.to_owned(),
            source,
            while_doing: "opening a backup file",
        })?;
        let bytes = Bytes::new(file, path)?;
        let scan = scan(&bytes, true)?;
        match scan.stop {
            Stop::End(_) => Ok(()),
            Stop::CutOff => Err(PortableError::Incomplete {
                path: bytes.path,
                collections: scan.collections.len() as u64,
                bytes: bytes.length,
            }),
            Stop::Bad(at, fault) => Err(bytes.fault(at, fault)),
        }
    }

    /// The collections, in the order in which they were written.
    pub fn heads(&self) -> &[CollectionHead] {
        &self.heads
    }

    /// Whether the file has its end, so that it is known to hold all that was written.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Each collection with its people.
    pub fn collections(&self) -> impl Iterator<Item = (&CollectionHead, People<'_>)> {
        self.heads
            .iter()
            .zip(&self.places)
            .map(|(head, (span, digest))| (head, People::new(self, head, span, *digest)))
    }

    /// What the file holds by its own account.
    pub fn summary(&self) -> Summary {
        let mut summary = Summary {
            bytes: self.bytes.length,
            ..Summary::default()
        };
        self.heads.iter().for_each(|head| summary.add(head));
        summary
    }

    /// Reads everything, superseded parts too, and checks every seal and sum. `progress` is told the people read so far.
    ///
    /// # Errors
    /// [`PortableError::Damaged`], [`Io`](PortableError::Io).
    pub fn verify(&self, mut progress: impl FnMut(u64)) -> Result<Summary, PortableError> {
        if let Stop::Bad(at, fault) = scan(&self.bytes, true)?.stop
            && self.complete
        {
            return Err(self.bytes.fault(at, fault));
        }
        let mut people = 0;
        for (_, collection) in self.collections() {
            for person in collection {
                person?;
                people += 1;
                progress(people);
            }
        }
        Ok(self.summary())
    }

    /// Takes the collections that END lists.
    fn read_end(&mut self, end: &Frame, scan: &Scan) -> Result<(), PortableError> {
        let damaged = |what| self.bytes.damaged(end.offset, what);
        let (_, plain) = self.open_frame::<0>(end, scan.keys.len().saturating_sub(1))?;
        let end = End::decode(&plain).ok_or_else(|| damaged("the end makes no sense"))?;
        let mut places = Vec::new();
        for (position, digest) in end.collections {
            let index = scan
                .collections
                .binary_search_by_key(&position, |span| span.head.header.position)
                .map_err(|_| damaged("the end lists a collection that is not there"))?;
            places.push((scan.collections[index].clone(), Some(digest)));
        }
        let heads = (places.iter())
            .map(|(span, _)| self.read_head(span))
            .collect::<Result<Vec<_>, _>>()?;
        let mut sum = Summary::default();
        heads.iter().for_each(|head| sum.add(head));
        let mut uuids = HashSet::new();
        if (sum.people, sum.features) != (end.people, end.features)
            || !heads.iter().all(|head| uuids.insert(head.uuid))
        {
            return Err(damaged("the end does not add up"));
        }
        (self.heads, self.places) = (heads, places);
        Ok(())
    }

    /// Takes every whole collection, of those with one UUID the last.
    fn take_whole(&mut self, scan: Scan) -> Result<(), PortableError> {
        for span in scan.collections {
            let head = self.read_head(&span)?;
            if let Some(earlier) = self.heads.iter().position(|h| h.uuid == head.uuid) {
                self.heads.remove(earlier);
                self.places.remove(earlier);
            }
            self.heads.push(head);
            self.places.push((span, None));
        }
        Ok(())
    }

    fn read_head(&self, span: &Span) -> Result<CollectionHead, PortableError> {
        let damaged = |what| self.bytes.damaged(span.head.offset, what);
        let (payload, plain) = self.open_frame::<{ size_of::<Tag>() }>(&span.head, span.key)?;
        let head = decode_head(&plain).ok_or_else(|| damaged("a collection makes no sense"))?;
        match payload.starts_with(&tag(&self.container, &head)) {
            true => Ok(head),
            false => Err(damaged("the tag of a collection is wrong")),
        }
    }

    /// A frame's payload, and what is sealed in it behind the first `CLEAR` bytes.
    fn open_frame<const CLEAR: usize>(
        &self,
        frame: &Frame,
        key: usize,
    ) -> Result<(Vec<u8>, AlignedVec), PortableError> {
        let payload = self.bytes.payload(frame)?;
        let context = context(&self.container, frame.header.kind, frame.header.position);
        let plain = (payload.get(CLEAR..).zip(self.keys.get(key)))
            .and_then(|(sealed, key)| key.open(&context, sealed))
            .ok_or_else(|| self.bytes.damaged(frame.offset, ALTERED))?;
        Ok((payload, plain))
    }
}

/// The container id and the data key of each KEY frame.
fn unlock(
    bytes: &Bytes,
    scan: &Scan,
    key: &Key,
) -> Result<(ContainerId, Vec<Sealer>), PortableError> {
    let mut container = None;
    let mut keys = Vec::with_capacity(scan.keys.len());
    for frame in &scan.keys {
        let malformed = || bytes.damaged(frame.offset, "the key frame makes no sense");
        let key_frame = KeyFrame::decode(&bytes.payload(frame)?).ok_or_else(malformed)?;
        // With a passphrase there is one data key; with recipients one for each run, all of one file.
        if let Some(first) = container
            && (first != key_frame.container || key_frame.is_by_passphrase())
        {
            return Err(malformed());
        }
        container = Some(key_frame.container);
        let path = || bytes.path.clone();
        let data_key = key.data_key(&key_frame, frame.header.position);
        keys.push(data_key.map_err(|fault| match (fault, key) {
            (KeyFault::NeedsPassphrase, _) => PortableError::NeedsPassphrase { path: path() },
            (KeyFault::NeedsIdentity, _) => PortableError::NeedsIdentity { path: path() },
            (KeyFault::Altered, _) => bytes.damaged(frame.offset, "the key frame was altered"),
            (KeyFault::TooCostly, _) => PortableError::TooCostly { path: path() },
            (KeyFault::Wrong, Key::Passphrase(_)) => {
                PortableError::WrongPassphrase { path: path() }
            }
            (KeyFault::Wrong, Key::Identity(_)) => PortableError::WrongIdentity { path: path() },
        })?);
    }
    // A scan that reached the end or a collection passed a KEY frame.
    let container = container.ok_or_else(|| bytes.damaged(0, "the key frame is missing"))?;
    Ok((container, keys))
}

/// The people of one collection, read part by part. An error is the last item. Only after the iterator ended without one is it
/// certain that the collection is whole: what came before must not be made to count until then.
#[derive(Debug)]
pub struct People<'a> {
    reader: &'a Reader,
    head: &'a CollectionHead,
    key: usize,
    expected: Option<CollectionDigest>,
    digest: Sha256,
    /// Where the next frame is, in bytes, and its position.
    next: (u64, u64),
    /// The part that is being read, and how far.
    part: AlignedVec,
    at: usize,
    people: u64,
    features: u64,
    done: bool,
}

impl<'a> People<'a> {
    fn new(
        reader: &'a Reader,
        head: &'a CollectionHead,
        span: &Span,
        expected: Option<CollectionDigest>,
    ) -> People<'a> {
        People {
            reader,
            head,
            key: span.key,
            expected,
            digest: Sha256::new(),
            next: (span.head.offset, span.head.header.position),
            part: AlignedVec::new(),
            at: 0,
            people: 0,
            features: 0,
            done: false,
        }
    }

    fn step(&mut self) -> Result<Option<Person>, PortableError> {
        while self.at == self.part.len() {
            if !self.next_part()? {
                return Ok(None);
            }
        }
        let mut cursor = Cursor(self.part.get(self.at..).unwrap_or_default());
        let person = take_person(&mut cursor).ok_or_else(|| {
            (self.reader.bytes).damaged(
                self.next.0,
                "the part of a collection before makes no sense",
            )
        })?;
        self.at = self.part.len() - cursor.0.len();
        self.people += 1;
        self.features += person.1.len() as u64;
        Ok(Some(person))
    }

    /// Reads the next frame. False if it was the end of the collection, and everything was right.
    fn next_part(&mut self) -> Result<bool, PortableError> {
        let (offset, position) = self.next;
        let bytes = &self.reader.bytes;
        let frame = match bytes.frame_at(offset, position)? {
            Found::Frame(frame) => frame,
            Found::Bad(fault) => return Err(bytes.fault(offset, fault)),
            // It was there when the file was opened.
            Found::Border | Found::Torn => return Err(bytes.damaged(offset, "it was cut off")),
        };
        self.next = (offset + frame.header.frame_bytes(), position + 1);
        let (payload, plain) = match frame.header.kind {
            Kind::Collection => self
                .reader
                .open_frame::<{ size_of::<Tag>() }>(&frame, self.key)?,
            _ => self.reader.open_frame::<0>(&frame, self.key)?,
        };
        if frame.header.kind == Kind::CollectionEnd {
            return self.check_end(offset, &plain).map(|()| false);
        }
        self.digest.update(frame.header.encode());
        self.digest.update(&payload);
        if frame.header.kind == Kind::People {
            (self.part, self.at) = (plain, 0);
        }
        Ok(true)
    }

    fn check_end(&mut self, offset: u64, plain: &[u8]) -> Result<(), PortableError> {
        let digest: CollectionDigest = self.digest.finalize_reset().into();
        let counts = (self.people, self.features);
        match CollectionEnd::decode(plain) {
            Some(end)
                if end.digest == digest
                    && self.expected.is_none_or(|expected| expected == digest)
                    && (end.people, end.features) == counts
                    && (self.head.people, self.head.features) == counts =>
            {
                Ok(())
            }
            _ => Err((self.reader.bytes).damaged(offset, "a collection does not add up")),
        }
    }
}

impl Iterator for People<'_> {
    type Item = Result<Person, PortableError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.step().transpose();
        self.done = !matches!(item, Some(Ok(_)));
        item
    }
}
