//! Writing a sealed file, and going on with one after an interruption.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::error::{PortableError, WhileDoing};
use super::frame::{Bytes, ContainerId, Fault, HEADER_BYTES, Header, Kind};
use super::frame::{MAX_PAYLOAD_BYTES, context};
use super::key::{KeyFault, KeyFrame, Lock};
use super::payload::{
    CollectionEnd, Counted, End, PersonFault, Tag, encode_head, person_bytes, put_person, tag,
};
use super::place::{open_partial, partial_path, refuse_existing, sync_directory_of};
use super::scan::{Scan, Stop, scan};
use super::{CollectionHead, Person, Summary};
use crate::gallery::seal::{OVERHEAD, Sealer, fill_random};

/// A part is sealed and written when it has grown to this: small in memory, and a frame's 72 bytes are nothing beside it.
/// The tests have many parts in small files.
const PART_BYTES: usize = if cfg!(test) { 2048 } else { 1 << 20 };

/// How far a collection has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// People written.
    pub people: u64,
    /// Features written.
    pub features: u64,
    /// Bytes in the whole file so far.
    pub bytes: u64,
}

/// Writes `FILE.partial`, which becomes `FILE` when it is finished. Dropped before, it leaves the unfinished file, and the next
/// [`create_or_resume`](Writer::create_or_resume) goes on with it.
#[derive(Debug)]
pub struct Writer {
    file: File,
    path: PathBuf,
    partial: PathBuf,
    replace: bool,
    container: ContainerId,
    key: Sealer,
    /// Where the next frame goes, in bytes, and its position.
    at: (u64, u64),
    /// Whole collections that an earlier run left.
    kept: Vec<(Tag, Counted)>,
    /// What END will list.
    counted: Vec<(Uuid, Counted)>,
    summary: Vec<CollectionHead>,
    broken: bool,
}

impl Writer {
    /// Begins `path`, or goes on with what an interrupted run left in `<path>.partial`: collections that are whole in it are
    /// kept, the rest is cut off. `path` is not touched before [`finish`](Writer::finish). `replace` allows an existing file
    /// to be replaced then.
    ///
    /// # Errors
    /// [`PortableError::Exists`], [`Busy`](PortableError::Busy), [`OtherLock`](PortableError::OtherLock) if the unfinished file
    /// has whole collections and another lock, [`NotOurs`](PortableError::NotOurs) and
    /// [`NewerFormat`](PortableError::NewerFormat) about the unfinished file, [`Io`](PortableError::Io),
    /// [`Seal`](PortableError::Seal), [`RecipientCount`](PortableError::RecipientCount).
    pub fn create_or_resume(
        path: &Path,
        lock: &Lock,
        replace: bool,
    ) -> Result<Writer, PortableError> {
        refuse_existing(path, replace)?;
        let partial = partial_path(path);
        let bytes = Bytes::new(open_partial(&partial)?, &partial)?;
        let scan = scan(&bytes, true)?;
        if let Stop::Bad(at, fault) = scan.stop
            && (at == 0 && fault == Fault::NotOurs || matches!(fault, Fault::Newer(_)))
        {
            // Not a torn file of ours, so not ours to cut.
            return Err(bytes.fault(at, fault));
        }
        let (container, resumed) = match scan.collections.is_empty() {
            true => (new_container()?, None),
            false => resume(&bytes, &scan, lock)?,
        };
        // What comes out of a run without the key to go on begins with a KEY frame of its own.
        let (length, position) = scan.whole;
        let (key, key_frame) = match resumed {
            Some(key) => (key, None),
            None => {
                let (key, payload) = lock.new_key(&container, position)?;
                (key, Some(payload))
            }
        };
        (bytes.file.set_len(length)).while_doing("cutting off an unfinished part", &partial)?;
        let kept = (scan.collections.iter())
            .filter_map(|span| {
                let (tag, digest) = span.contents?;
                Some((tag, (span.head.header.position, digest)))
            })
            .collect();
        let mut writer = Writer {
            file: bytes.file,
            path: path.to_owned(),
            partial,
            replace,
            container,
            key,
            at: (length, position),
            kept,
            counted: Vec::new(),
            summary: Vec::new(),
            broken: false,
        };
        if let Some(payload) = key_frame {
            writer.put(Kind::Key, &payload)?;
        }
        (writer.file.sync_all()).while_doing("waiting until a file is durable", &writer.partial)?;
        sync_directory_of(&writer.partial)?;
        Ok(writer)
    }

    /// Whether an earlier run has written the collection in this very state (UUID, version, counts). If so, it counts
    /// as written now.
    pub fn has(&mut self, head: &CollectionHead) -> bool {
        let wanted = tag(&self.container, head);
        let found = (self.kept.iter().rev()).find(|(tag, _)| *tag == wanted);
        let Some(&(_, counted)) = found else {
            return false;
        };
        self.count(head, counted);
        true
    }

    /// Writes one collection and waits until the storage has it. One of the same UUID that was written before no longer counts.
    /// After an error the file is as it was before the call.
    ///
    /// # Errors
    /// [`PortableError::Source`] with an error of `people`, [`Changed`](PortableError::Changed) if they are more or fewer than
    /// `head` says, [`TooLarge`](PortableError::TooLarge), [`NotFinite`](PortableError::NotFinite), [`Io`](PortableError::Io),
    /// [`Seal`](PortableError::Seal), [`Broken`](PortableError::Broken) after an error that could not be undone.
    pub fn collection<E>(
        &mut self,
        head: &CollectionHead,
        people: impl Iterator<Item = Result<Person, E>>,
        progress: impl FnMut(Progress),
    ) -> Result<(), PortableError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if self.broken {
            let path = self.partial.clone();
            return Err(PortableError::Broken { path });
        }
        let before = self.at;
        match self.write_collection(head, people, progress) {
            Ok(counted) => {
                self.count(head, counted);
                Ok(())
            }
            Err(error) => {
                // The next scan would cut it off as well; frames that follow must not come after a torn one.
                self.broken = self.file.set_len(before.0).is_err();
                self.at = before;
                Err(error)
            }
        }
    }

    /// Writes the end, waits until the storage has everything, and gives the file its name.
    ///
    /// # Errors
    /// [`PortableError::Exists`] if a file of that name came up meanwhile, [`Io`](PortableError::Io),
    /// [`Seal`](PortableError::Seal), [`Broken`](PortableError::Broken). The unfinished file stays in each case, and another run
    /// goes on with it.
    pub fn finish(mut self) -> Result<Summary, PortableError> {
        if self.broken {
            return Err(PortableError::Broken { path: self.partial });
        }
        let mut summary = Summary::default();
        self.summary.iter().for_each(|head| summary.add(head));
        let end = End {
            people: summary.people,
            features: summary.features,
            collections: self.counted.iter().map(|(_, counted)| *counted).collect(),
        };
        self.put_sealed(Kind::End, &[], &end.encode())?;
        (self.file.sync_all()).while_doing("waiting until a file is durable", &self.partial)?;
        refuse_existing(&self.path, self.replace)?;
        (fs::rename(&self.partial, &self.path))
            .while_doing("renaming to its final name", &self.partial)?;
        sync_directory_of(&self.path)?;
        summary.bytes = self.at.0;
        Ok(summary)
    }

    fn count(&mut self, head: &CollectionHead, counted: Counted) {
        self.counted.retain(|(uuid, _)| *uuid != head.uuid);
        self.counted.push((head.uuid, counted));
        self.summary.retain(|earlier| earlier.uuid != head.uuid);
        self.summary.push(head.clone());
    }

    fn write_collection<E>(
        &mut self,
        head: &CollectionHead,
        people: impl Iterator<Item = Result<Person, E>>,
        mut progress: impl FnMut(Progress),
    ) -> Result<Counted, PortableError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let too_large = |what| PortableError::TooLarge {
            name: head.name.clone(),
            what,
        };
        let position = self.at.1;
        let plain = encode_head(head).ok_or_else(|| too_large("the name"))?;
        let mut digest = Sha256::new();
        let tag = tag(&self.container, head);
        self.put_hashed(Kind::Collection, &tag, &plain, &mut digest)?;
        let mut part = Vec::with_capacity(PART_BYTES);
        let mut done = Progress {
            people: 0,
            features: 0,
            bytes: self.at.0,
        };
        for person in people {
            let person = person.map_err(|error| PortableError::Source(error.into()))?;
            let bytes = person_bytes(&person);
            if bytes > MAX_PAYLOAD_BYTES - OVERHEAD {
                return Err(too_large("one person's features"));
            }
            if !part.is_empty() && part.len() + bytes > PART_BYTES {
                self.put_hashed(Kind::People, &[], &part, &mut digest)?;
                part.clear();
                done.bytes = self.at.0;
                progress(done);
            }
            put_person(&mut part, &person).map_err(|fault| match fault {
                PersonFault::TargetTooLong => too_large("a target id"),
                PersonFault::NotFinite => PortableError::NotFinite {
                    name: head.name.clone(),
                },
            })?;
            done.people += 1;
            done.features += person.1.len() as u64;
        }
        if !part.is_empty() {
            self.put_hashed(Kind::People, &[], &part, &mut digest)?;
        }
        if (done.people, done.features) != (head.people, head.features) {
            let name = head.name.clone();
            return Err(PortableError::Changed { name });
        }
        let digest = digest.finalize().into();
        let end = CollectionEnd {
            people: done.people,
            features: done.features,
            digest,
        };
        self.put_sealed(Kind::CollectionEnd, &[], &end.encode())?;
        (self.file.sync_data()).while_doing("waiting until a file is durable", &self.partial)?;
        done.bytes = self.at.0;
        progress(done);
        Ok((position, digest))
    }

    fn put_hashed(
        &mut self,
        kind: Kind,
        clear: &[u8],
        plain: &[u8],
        digest: &mut Sha256,
    ) -> Result<(), PortableError> {
        let (header, payload) = self.put_sealed(kind, clear, plain)?;
        digest.update(header);
        digest.update(payload);
        Ok(())
    }

    /// Appends a frame of `clear` and the sealed `plain`, and returns its bytes.
    fn put_sealed(
        &mut self,
        kind: Kind,
        clear: &[u8],
        plain: &[u8],
    ) -> Result<([u8; HEADER_BYTES], Vec<u8>), PortableError> {
        let context = context(&self.container, kind, self.at.1);
        let sealed = self.key.seal(&context, plain)?;
        let payload = match clear.is_empty() {
            true => sealed,
            false => [clear, &sealed].concat(),
        };
        let header = self.put(kind, &payload)?;
        Ok((header, payload))
    }

    fn put(&mut self, kind: Kind, payload: &[u8]) -> Result<[u8; HEADER_BYTES], PortableError> {
        let (offset, position) = self.at;
        debug_assert!(payload.len() <= MAX_PAYLOAD_BYTES);
        let header = Header {
            kind,
            length: payload.len() as u32,
            position,
            payload_checksum: crc32c::crc32c(payload),
        };
        let bytes = header.encode();
        (self.file.write_all_at(&bytes, offset))
            .and_then(|()| (self.file).write_all_at(payload, offset + HEADER_BYTES as u64))
            .while_doing("writing a backup file", &self.partial)?;
        self.at = (offset + header.frame_bytes(), position + 1);
        Ok(bytes)
    }
}

/// The container id, and the data key if this lock can recover it.
fn resume(
    bytes: &Bytes,
    scan: &Scan,
    lock: &Lock,
) -> Result<(ContainerId, Option<Sealer>), PortableError> {
    let path = || bytes.path.clone();
    let mut resumed = None;
    for frame in &scan.keys {
        let damaged = || bytes.damaged(frame.offset, "the key frame makes no sense");
        let key_frame = KeyFrame::decode(&bytes.payload(frame)?).ok_or_else(damaged)?;
        if let Some((container, _)) = resumed
            && (key_frame.container != container || key_frame.is_by_passphrase())
        {
            return Err(damaged());
        }
        let key =
            (lock.resume(&key_frame, frame.header.position)).map_err(|fault| match fault {
                KeyFault::TooCostly => PortableError::TooCostly { path: path() },
                KeyFault::Altered => bytes.damaged(frame.offset, "the key frame was altered"),
                _ => PortableError::OtherLock { path: path() },
            })?;
        resumed = Some((key_frame.container, key));
    }
    // A scan that found a collection found a KEY frame before it.
    resumed.ok_or_else(|| bytes.damaged(0, "the key frame is missing"))
}

fn new_container() -> Result<ContainerId, PortableError> {
    let mut container = ContainerId::default();
    fill_random(&mut container)?;
    Ok(container)
}

const _: () = assert!(PART_BYTES + OVERHEAD <= MAX_PAYLOAD_BYTES);
