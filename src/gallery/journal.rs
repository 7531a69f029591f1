//! Writing a journal: beginning a new one beside the old, and appending to it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::error::{GalleryError, WhileDoing};
use super::files::Home;
use super::format::{
    FILE_HEADER_BYTES, FORMAT_VERSION, FileHeader, MAX_PAYLOAD_BYTES, encode_record,
};
use super::operation::{Identity, Operation};
use super::seal::Sealer;
use super::storage::StorageFile;

const JOURNAL_PREFIX: &str = "journal-";
const STAGED_PREFIX: &str = ".tmp-";

/// A journal that can be appended to.
pub(super) struct Journal {
    file: Arc<dyn StorageFile>,
    path: PathBuf,
    header: FileHeader,
    sealer: Option<Sealer>,
    /// Everything before this was synced and verifies; the next record goes here. A multiple of 16.
    length: u64,
    next_sequence: u32,
}

/// Why records were not appended.
pub(super) enum AppendError {
    /// The file is as it was before; the next append may go through.
    Undone(GalleryError),
    /// What the storage holds now is not known: this file must not be appended to any more.
    Unsure(GalleryError),
}

/// Records that are appended, and synced, together.
pub(super) struct Records {
    bytes: Vec<u8>,
    count: u32,
}

impl Journal {
    /// `length` and `next_sequence` are what a replay of `file` found.
    pub fn resume(
        home: &Home,
        file: Arc<dyn StorageFile>,
        header: FileHeader,
        length: u64,
        next_sequence: u32,
    ) -> Journal {
        Journal {
            file,
            path: home.path(&journal_name(header.number)),
            sealer: home.sealer.clone().filter(|_| header.sealed),
            header,
            length,
            next_sequence,
        }
    }

    pub fn number(&self) -> u64 {
        self.header.number
    }

    /// No change was written since it was begun.
    pub fn is_empty(&self) -> bool {
        self.next_sequence <= BEGINNINGS
    }

    /// It goes on from where another one ended.
    pub fn continues(&self) -> bool {
        self.header.continues
    }

    /// Few sequence numbers are left: a new journal has to be begun first.
    pub fn is_full(&self) -> bool {
        self.next_sequence > u32::MAX / 2
    }

    /// Whether its readers know operations of this format version.
    pub fn holds_version(&self, version: u32) -> bool {
        self.header.version >= version
    }

    /// An earlier release wrote it, or it is in plain though there is a key.
    pub fn is_outdated(&self, sealer: Option<&Sealer>) -> bool {
        self.header.version < FORMAT_VERSION || self.header.sealed != sealer.is_some()
    }

    pub fn records(&self) -> Records {
        Records {
            bytes: Vec::new(),
            count: 0,
        }
    }

    /// Adds one operation to records that are to be appended here.
    pub fn encode(&self, records: &mut Records, operation: &Operation) -> Result<(), GalleryError> {
        if !self.holds_version(operation.since_version()) {
            let earlier = io::Error::other("its format does not have this operation");
            return Err(EncodeFault::Failed(earlier).at(&self.path));
        }
        let sequence = self.next_sequence + records.count;
        let record = encode(operation, &self.header, sequence, self.sealer.as_ref())
            .map_err(|fault| fault.at(&self.path))?;
        records.bytes.extend_from_slice(&record);
        records.count += 1;
        Ok(())
    }

    /// Writes records and waits until the storage has them: one sync, however many they are.
    pub fn append(&mut self, records: &Records) -> Result<(), AppendError> {
        if let Err(source) = self.file.write_all_at(&records.bytes, self.length) {
            let error = self.storage_error(source, "appending to a journal");
            // A part of the records may be in the file. Cut off it is as if nothing had been tried.
            return Err(match self.cut_to(self.length) {
                Ok(()) => AppendError::Undone(error),
                Err(_) => AppendError::Unsure(error),
            });
        }
        if let Err(source) = self.file.sync_data() {
            // After a failed sync the kernel marks the pages clean though they never reached the storage: a second sync would
            // succeed without writing them, and reading them back would show the cache, not the storage. So nothing may be
            // acknowledged on top of this file. Cutting the records off is worth a try, so that they do not come back
            // unacknowledged; whether that holds is not known either.
            let error = self.storage_error(source, "waiting until a journal is durable");
            let _ = self.cut_to(self.length);
            return Err(AppendError::Unsure(error));
        }
        self.length += records.bytes.len() as u64;
        self.next_sequence += records.count;
        Ok(())
    }

    fn cut_to(&self, length: u64) -> io::Result<()> {
        self.file.set_length(length)?;
        self.file.sync_data()
    }

    fn storage_error(&self, source: io::Error, while_doing: &'static str) -> GalleryError {
        GalleryError::Storage {
            path: self.path.clone(),
            source,
            while_doing,
        }
    }
}

/// How often [`Operation::Begin`] stands at the beginning, so that a damaged one costs no collection its name.
pub(super) const BEGINNINGS: u32 = 2;

/// Writes an empty journal under a temporary name, complete and synced. [`publish_journal`] gives it its name.
pub(super) fn stage_journal(
    home: &Home,
    number: u64,
    identity: &Identity,
    continues: bool,
) -> Result<Journal, GalleryError> {
    let staged = staged_name(&journal_name(number));
    let file = home.create(&staged)?;
    let header = FileHeader {
        collection: home.collection,
        number,
        version: FORMAT_VERSION,
        sealed: home.sealer.is_some(),
        continues,
    };
    let path = home.path(&staged);
    let mut bytes = header.encode().to_vec();
    for sequence in 0..BEGINNINGS {
        let begin = Operation::Begin(identity.clone());
        let record = encode(&begin, &header, sequence, home.sealer.as_ref())
            .map_err(|fault| fault.at(&path))?;
        bytes.extend_from_slice(&record);
    }
    file.write_all_at(&bytes, 0)
        .and_then(|()| file.sync_all())
        .while_doing("writing a new journal", &path)?;
    let length = bytes.len() as u64;
    Ok(Journal::resume(home, file, header, length, BEGINNINGS))
}

/// Gives a staged journal its name. After an error it is not known whether the storage holds the new name: the journal before
/// must not be appended to any more, since this one may follow it at the next open.
pub(super) fn publish_journal(home: &Home, number: u64) -> Result<(), GalleryError> {
    let name = journal_name(number);
    home.publish(&staged_name(&name), &name)
}

pub(super) fn journal_name(number: u64) -> String {
    format!("{JOURNAL_PREFIX}{number}")
}

/// The `n` of `journal-<n>`, written the way this room writes it.
pub(super) fn journal_number(name: &str) -> Option<u64> {
    let number = name.strip_prefix(JOURNAL_PREFIX)?.parse().ok()?;
    (journal_name(number) == name).then_some(number)
}

/// What a file is called until it is complete.
pub(super) fn staged_name(name: &str) -> String {
    format!("{STAGED_PREFIX}{name}")
}

/// The final name of a file whose writing was interrupted.
pub(super) fn staged_for(name: &str) -> Option<&str> {
    name.strip_prefix(STAGED_PREFIX)
}

/// What a sealed payload is bound to: the place where it stands.
pub(super) fn seal_context(header: &FileHeader, sequence: u32) -> [u8; FILE_HEADER_BYTES + 4] {
    let mut context = [0; FILE_HEADER_BYTES + 4];
    context[..FILE_HEADER_BYTES].copy_from_slice(&header.encode());
    context[FILE_HEADER_BYTES..].copy_from_slice(&sequence.to_le_bytes());
    context
}

enum EncodeFault {
    TooLarge(usize),
    Failed(io::Error),
}

impl EncodeFault {
    fn at(self, path: &std::path::Path) -> GalleryError {
        match self {
            EncodeFault::TooLarge(bytes) => GalleryError::BatchTooLarge {
                bytes,
                limit: MAX_PAYLOAD_BYTES,
            },
            EncodeFault::Failed(source) => GalleryError::Storage {
                path: path.to_owned(),
                source,
                while_doing: "encoding a journal record",
            },
        }
    }
}

fn encode(
    operation: &Operation,
    header: &FileHeader,
    sequence: u32,
    sealer: Option<&Sealer>,
) -> Result<Vec<u8>, EncodeFault> {
    let failed = |e: io::Error| EncodeFault::Failed(e);
    let plain = operation
        .encode()
        .map_err(io::Error::other)
        .map_err(failed)?;
    let record = match sealer {
        Some(sealer) => {
            let sealed = sealer
                .seal(&seal_context(header, sequence), &plain)
                .map_err(io::Error::other)
                .map_err(failed)?;
            encode_record(&sealed, sequence, header.seed())
        }
        None => encode_record(&plain, sequence, header.seed()),
    };
    record.ok_or(EncodeFault::TooLarge(plain.len()))
}
