//! Writing a journal: beginning a new one beside the old, and appending to it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::error::{GalleryError, WhileDoing};
use super::files;
use super::format::{FILE_HEADER_BYTES, FileHeader, MAX_PAYLOAD_BYTES, encode_record};
use super::operation::{Feature, Identity, Operation};

/// Features in each record of a rewritten journal: some 200 KiB, small beside the memory that the people take.
const FEATURES_PER_RECORD: usize = 512;

const JOURNAL_PREFIX: &str = "journal-";
const STAGED_PREFIX: &str = ".tmp-journal-";

/// A journal that can be appended to.
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    number: u64,
    seed: u32,
    /// Everything before this was synced and verifies; the next record goes here. A multiple of 16.
    length: u64,
    next_sequence: u32,
    /// Feature rows in the file, the dead ones included.
    rows: u64,
}

/// Why a record was not appended.
pub(super) enum AppendError {
    /// The file is as it was before; the next append may go through.
    Undone(GalleryError),
    /// What the storage holds now is not known: this file must not be appended to any more.
    Unsure(GalleryError),
}

impl Journal {
    /// `length`, `next_sequence` and `rows` are what a replay of `file` found.
    pub fn resume(
        file: File,
        path: PathBuf,
        header: &FileHeader,
        length: u64,
        next_sequence: u32,
        rows: u64,
    ) -> Journal {
        Journal {
            file,
            path,
            number: header.number,
            seed: header.seed(),
            length,
            next_sequence,
            rows,
        }
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    /// Size in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Feature rows in the file, the dead ones included.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// No sequence number is left for another record: the journal has to be rewritten first.
    pub fn is_full(&self) -> bool {
        self.next_sequence == u32::MAX
    }

    /// Writes one record and waits until the storage has it.
    pub fn append(&mut self, operation: &Operation) -> Result<(), AppendError> {
        let record = encode(operation, self.next_sequence, self.seed, &self.path)
            .map_err(AppendError::Undone)?;
        if let Err(source) = self.file.write_all_at(&record, self.length) {
            let error = self.storage_error(source, "appending to a journal");
            // A part of the record may be in the file. Cut off it is as if nothing had been tried.
            return Err(match self.cut_to(self.length) {
                Ok(()) => AppendError::Undone(error),
                Err(_) => AppendError::Unsure(error),
            });
        }
        if let Err(source) = self.file.sync_data() {
            // After a failed sync the kernel marks the pages clean though they never reached the storage: a second sync would
            // succeed without writing them, and reading them back would show the cache, not the storage. So nothing may be
            // acknowledged on top of this file before it was read again by a new open. Cutting the record off is worth a try, so
            // that it does not come back unacknowledged; whether that holds is not known either.
            let error = self.storage_error(source, "waiting until a journal is durable");
            let _ = self.cut_to(self.length);
            return Err(AppendError::Unsure(error));
        }
        self.length += record.len() as u64;
        self.next_sequence += 1;
        self.rows += operation.rows();
        Ok(())
    }

    fn cut_to(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.file.sync_data()
    }

    fn storage_error(&self, source: io::Error, while_doing: &'static str) -> GalleryError {
        GalleryError::Storage {
            path: self.path.clone(),
            source,
            while_doing,
        }
    }

    /// Lets a test put a device in the file's place whose writes or syncs fail.
    #[cfg(test)]
    pub fn replace_file(&mut self, file: File) -> File {
        std::mem::replace(&mut self.file, file)
    }
}

/// A complete, synced journal under a temporary name. Dropped, it is removed again.
pub(super) struct StagedJournal {
    journal: Option<Journal>,
    directory: PathBuf,
    staged_path: PathBuf,
}

impl StagedJournal {
    /// Writes journal `number` of the collection in `directory`: `identity`, then all `features`.
    pub fn write(
        directory: &Path,
        number: u64,
        identity: Identity,
        features: impl Iterator<Item = Feature>,
    ) -> Result<StagedJournal, GalleryError> {
        let path = directory.join(format!("{STAGED_PREFIX}{number}"));
        let file = files::create_private_file(&path).while_doing("creating a journal", &path)?;
        let header = FileHeader {
            collection: Uuid::from_bytes(identity.collection),
            number,
        };
        let mut staged = StagedJournal {
            journal: Some(Journal::resume(
                file,
                path.clone(),
                &header,
                FILE_HEADER_BYTES as u64,
                0,
                0,
            )),
            directory: directory.to_owned(),
            staged_path: path,
        };
        staged.fill(&header, identity, features)?;
        Ok(staged)
    }

    fn fill(
        &mut self,
        header: &FileHeader,
        identity: Identity,
        mut features: impl Iterator<Item = Feature>,
    ) -> Result<(), GalleryError> {
        const DOING: &str = "writing a new journal";
        let Some(journal) = &mut self.journal else {
            return Ok(());
        };
        let mut out = BufWriter::new(&journal.file);
        out.write_all(&header.encode())
            .while_doing(DOING, &self.staged_path)?;
        let at = identity.updated;
        let mut next = Some(Operation::Begin(identity));
        while let Some(operation) = next {
            let record = encode(
                &operation,
                journal.next_sequence,
                journal.seed,
                &self.staged_path,
            )?;
            out.write_all(&record)
                .while_doing(DOING, &self.staged_path)?;
            journal.length += record.len() as u64;
            journal.next_sequence += 1;
            journal.rows += operation.rows();
            let chunk: Vec<Feature> = features.by_ref().take(FEATURES_PER_RECORD).collect();
            next = (!chunk.is_empty()).then_some(Operation::Insert {
                at,
                features: chunk,
            });
        }
        out.flush().while_doing(DOING, &self.staged_path)?;
        drop(out);
        journal
            .file
            .sync_all()
            .while_doing("making a new journal durable", &self.staged_path)
    }

    /// Gives the journal its final name. After an error it is not known whether the storage holds the new name: whoever used the
    /// journal before must not append to it any more, since the new one takes its place at the next open.
    pub fn publish(mut self) -> Result<Journal, GalleryError> {
        // Only this method, which consumes the value, and `drop` take the journal out.
        let mut journal = self
            .journal
            .take()
            .expect("a staged journal is published once");
        let path = self.directory.join(journal_name(journal.number));
        files::rename_durably(&self.directory, &self.staged_path, &path)?;
        journal.path = path;
        Ok(journal)
    }
}

impl Drop for StagedJournal {
    fn drop(&mut self) {
        if self.journal.take().is_some() {
            let _ = files::remove_file(&self.staged_path);
        }
    }
}

pub(super) fn journal_name(number: u64) -> String {
    format!("{JOURNAL_PREFIX}{number}")
}

/// The `n` of `journal-<n>`, written the way this room writes it.
pub(super) fn journal_number(name: &str) -> Option<u64> {
    let number = name.strip_prefix(JOURNAL_PREFIX)?.parse().ok()?;
    (journal_name(number) == name).then_some(number)
}

/// A journal whose writing was interrupted.
pub(super) fn is_staged_name(name: &str) -> bool {
    name.strip_prefix(STAGED_PREFIX)
        .is_some_and(|number| number.parse::<u64>().is_ok())
}

fn encode(
    operation: &Operation,
    sequence: u32,
    seed: u32,
    path: &Path,
) -> Result<Vec<u8>, GalleryError> {
    let payload = operation
        .encode()
        .map_err(io::Error::other)
        .while_doing("encoding a journal record", path)?;
    encode_record(&payload, sequence, seed).ok_or(GalleryError::BatchTooLarge {
        bytes: payload.len(),
        limit: MAX_PAYLOAD_BYTES,
    })
}
