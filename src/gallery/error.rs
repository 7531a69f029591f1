//! What can go wrong in the gallery, each as a sentence that an installer understands.

use std::io;
use std::path::{Path, PathBuf};

use super::seal::SealError;

/// Why the gallery refused. No message names a person: a target id appears in the fields only, so that a log line of the
/// message holds no personal data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GalleryError {
    /// The gallery is full.
    #[error(
        "the gallery already holds its {limit} collections; delete one before creating another"
    )]
    CollectionQuota {
        /// Most collections that this gallery holds.
        limit: usize,
    },
    /// A collection of this name is there already.
    #[error("a collection named \"{name}\" already exists")]
    CollectionExists {
        /// The name asked for.
        name: String,
    },
    /// No collection has this name.
    #[error("there is no collection named \"{name}\"")]
    UnknownCollection {
        /// The name asked for.
        name: String,
    },
    /// The collection is there, the person is not.
    #[error("collection \"{collection}\" does not hold this target id")]
    UnknownTarget {
        /// The collection that was asked.
        collection: String,
        /// The target id asked for. Not part of the message.
        target: String,
    },
    /// The person has fewer features.
    #[error("there is no feature {index}: this person has {features}, counted from 0")]
    NoSuchFeature {
        /// The place asked for, from 0.
        index: usize,
        /// Features that the person has.
        features: usize,
    },
    /// A person is to be renamed, and the new name is somebody's.
    #[error("this name is somebody's already, who has {features} features")]
    TargetExists {
        /// Features that the person of the new name has.
        features: usize,
    },
    /// Two people are to become one who would have more features than allowed.
    #[error(
        "together they would have {} features ({from} and {to}), at most {limit} are allowed",
        from + to
    )]
    TooManyFeatures {
        /// Features of the person who is renamed.
        from: usize,
        /// Features of the person of the new name.
        to: usize,
        /// Most features of a person.
        limit: usize,
    },
    /// The templates were made by another embedding model and cannot be compared with today's.
    #[error(
        "collection \"{collection}\" was enrolled with the face model \"{found}\", this device runs \"{expected}\"; \
         clear it and enrol again, or install the matching model"
    )]
    OtherTemplateSpace {
        /// The collection that was asked.
        collection: String,
        /// The template space that its templates belong to.
        found: String,
        /// The template space of the running model.
        expected: String,
    },
    /// Another process serves this gallery.
    #[error("the gallery is in use by another recocomp process{}: {} is locked", holder_words(.holder), path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Process id that the holder wrote into the lock file, where it could be read.
        holder: Option<u32>,
    },
    /// One batch is larger than a journal record may be.
    #[error(
        "the batch needs a journal record of {bytes} bytes, at most {limit} are allowed; send it in smaller parts"
    )]
    BatchTooLarge {
        /// Size of the record that was asked for, in bytes.
        bytes: usize,
        /// Largest size, in bytes.
        limit: usize,
    },
    /// The collection can be searched but accepts no changes until the gallery is opened again.
    #[error(
        "collection \"{collection}\" accepts no changes until restart, searching goes on: {reason}"
    )]
    ReadOnly {
        /// The collection that was asked.
        collection: String,
        /// What happened, as a sentence without its full stop.
        reason: String,
    },
    /// The operating system refused a file operation: a full disk, a failing card, missing rights.
    #[error("the storage refused while {while_doing} ({}): {source}", path.display())]
    Storage {
        /// The file or directory concerned.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
        /// What the gallery was doing, to be read after "while".
        while_doing: &'static str,
    },
    /// A file is there but is not what was written.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file or directory concerned.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The journals are sealed and cannot be opened with this device's key.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A later release wrote this file.
    #[error(
        "{} was written in format {found} by a newer release, this one reads up to format {supported}; \
         install the newer release again",
        path.display()
    )]
    NewerFormat {
        /// The journal.
        path: PathBuf,
        /// Format version found.
        found: u32,
        /// Highest format version that this release reads.
        supported: u32,
    },
}

impl GalleryError {
    /// Whether it says something about who is in the collection.
    pub(super) fn is_about_people(&self) -> bool {
        matches!(
            self,
            GalleryError::UnknownTarget { .. }
                | GalleryError::NoSuchFeature { .. }
                | GalleryError::TargetExists { .. }
                | GalleryError::TooManyFeatures { .. }
        )
    }

    /// Whether work in the background was put off because somebody waits: no fault, and nothing that an operator need know.
    pub(super) fn is_put_off(&self) -> bool {
        // What the operating system interrupts has a number.
        matches!(self, GalleryError::Storage { source, .. }
            if source.kind() == io::ErrorKind::Interrupted && source.raw_os_error().is_none())
    }
}

fn holder_words(holder: &Option<u32>) -> String {
    holder.map_or_else(String::new, |pid| format!(" (process {pid})"))
}

/// Damage, or files that could not be erased: what the operator should know about a collection on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// The collection's directory.
    pub directory: PathBuf,
    /// The collection's name, where it could be read.
    pub collection: Option<String>,
    /// One sentence: what was found and what became of it.
    pub what: String,
    /// Where the copy of the unreadable bytes lies, where one was made.
    pub quarantined: Option<PathBuf>,
}

/// Turns an [`io::Error`] into [`GalleryError::Storage`] at the place that knows what was going on.
pub(super) trait WhileDoing<T> {
    fn while_doing(self, doing: &'static str, path: &Path) -> Result<T, GalleryError>;
}

impl<T> WhileDoing<T> for io::Result<T> {
    fn while_doing(self, while_doing: &'static str, path: &Path) -> Result<T, GalleryError> {
        self.map_err(|source| GalleryError::Storage {
            path: path.to_owned(),
            source,
            while_doing,
        })
    }
}
