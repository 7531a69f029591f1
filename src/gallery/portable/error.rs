//! What can go wrong with a backup file, each as a sentence that an installer understands.

use std::io;
use std::path::{Path, PathBuf};

use crate::gallery::seal::SealError;

/// Why a backup file was not written or not read. No message names a person.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PortableError {
    /// There is a finished file of this name.
    #[error("{} exists already; choose another name or say that it is to be replaced", path.display())]
    Exists {
        /// The file asked for.
        path: PathBuf,
    },
    /// Another process writes this file now.
    #[error("another process is writing {}", path.display())]
    Busy {
        /// The unfinished file.
        path: PathBuf,
    },
    /// The unfinished file that is there was begun with another passphrase or for other recipients.
    #[error(
        "the unfinished file {} was begun with another passphrase or for other recipients; use the same again, or delete it to \
         begin anew",
        path.display()
    )]
    OtherLock {
        /// The unfinished file.
        path: PathBuf,
    },
    /// It does not begin as one of our files.
    #[error("{} is not a recocomp backup", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// A later release wrote it.
    #[error(
        "{} was written in format {found} by a newer release, this one reads up to format {supported}; install the newer release",
        path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Format version found.
        found: u8,
        /// Highest format version that this release reads.
        supported: u8,
    },
    /// The end is missing: writing was interrupted, or the copy was.
    #[error(
        "{} is incomplete: it ends after {bytes} bytes with {collections} whole collections; repeat the backup or the copy",
        path.display()
    )]
    Incomplete {
        /// The file.
        path: PathBuf,
        /// Collections that are whole in it.
        collections: u64,
        /// Its length in bytes.
        bytes: u64,
    },
    /// The bytes are not those that were written.
    #[error("{} is damaged or was altered at byte {at}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the frame concerned begins, in bytes.
        at: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Sealed with a passphrase, which is not the one given.
    #[error("the passphrase is not the one that {} was sealed with", path.display())]
    WrongPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// Sealed for recipients, none of whom is the one whose secret key was given.
    #[error("the secret key given is not one of those that {} was sealed for", path.display())]
    WrongIdentity {
        /// The file.
        path: PathBuf,
    },
    /// A secret key was given, a passphrase is needed.
    #[error("{} is sealed with a passphrase, not for a secret key", path.display())]
    NeedsPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// A passphrase was given, a secret key is needed.
    #[error("{} is sealed for a secret key, not with a passphrase", path.display())]
    NeedsIdentity {
        /// The file.
        path: PathBuf,
    },
    /// Deriving the key would take more memory or time than this release is willing to spend.
    #[error("the passphrase of {} takes more memory or time to check than is allowed", path.display())]
    TooCostly {
        /// The file.
        path: PathBuf,
    },
    /// The passphrase is empty, or so long that it is none.
    #[error("a passphrase has 1 to {limit} bytes")]
    PassphraseLength {
        /// Longest that is allowed, in bytes.
        limit: usize,
    },
    /// The text is no public key.
    #[error("this is not a recipient key: it must begin with \"age1\" and have been copied whole")]
    BadRecipient,
    /// The text is no secret key.
    #[error(
        "this is not a secret key: it must begin with \"AGE-SECRET-KEY-1\" and have been copied whole"
    )]
    BadIdentity,
    /// No recipient, or too many.
    #[error("a file is sealed for 1 to {limit} recipients, not for {found}")]
    RecipientCount {
        /// How many were given.
        found: usize,
        /// Most that are allowed.
        limit: usize,
    },
    /// The people that came were not those that the head of the collection announced.
    #[error("collection \"{name}\" changed while it was written; try again")]
    Changed {
        /// Its name.
        name: String,
    },
    /// A name, a target id or a person's features are larger than the file can hold.
    #[error("{what} of collection \"{name}\" is too large for a backup file")]
    TooLarge {
        /// The collection's name.
        name: String,
        /// What is too large, to be read before "of collection".
        what: &'static str,
    },
    /// A feature to be written has a number that is not finite.
    #[error("a feature of collection \"{name}\" holds a number that is not finite")]
    NotFinite {
        /// The collection's name.
        name: String,
    },
    /// The people could not be read where they come from.
    #[error("reading the collection failed: {0}")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An earlier error left the unfinished file in a state that is not known.
    #[error("{} cannot be written to any more after the earlier error; begin again", path.display())]
    Broken {
        /// The unfinished file.
        path: PathBuf,
    },
    /// Nothing can be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The operating system refused a file operation: a full disk, a failing card, missing rights.
    #[error("the storage refused while {while_doing} ({}): {source}", path.display())]
    Io {
        /// The file or directory concerned.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
        /// What was being done, to be read after "while".
        while_doing: &'static str,
    },
}

/// Turns an [`io::Error`] into [`PortableError::Io`] at the place that knows what was going on.
pub(super) trait WhileDoing<T> {
    fn while_doing(self, doing: &'static str, path: &Path) -> Result<T, PortableError>;
}

impl<T> WhileDoing<T> for io::Result<T> {
    fn while_doing(self, while_doing: &'static str, path: &Path) -> Result<T, PortableError> {
        self.map_err(|source| PortableError::Io {
            path: path.to_owned(),
            source,
            while_doing,
        })
    }
}
