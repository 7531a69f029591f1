//! What the gallery asks of a file system: few operations, each of which says what a power cut may leave of it.
//!
//! [`Disk`] is the real one. The tests put others in its place, which record, fail and lose power.
//!
//! The contract, which is what POSIX and the usual journalling file systems give and no more:
//! - Bytes written are durable once [`StorageFile::sync_data`] or `sync_all` of that file returned `Ok`; before, any part of
//!   them may or may not be.
//! - A name (created, renamed, removed) is durable once [`Storage::sync_directory`] of its directory returned `Ok`.
//! - A rename replaces in one step: whoever looks finds the old file or the new one.
//! - After a failed sync nothing is known of what was written since the last good one, and a second sync proves nothing.

mod disk;
mod guarded;
mod slow;

use std::fmt::Debug;
use std::io;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use rkyv::util::AlignedVec;

pub(super) use disk::DIRECTORY_MODE;
pub use disk::Disk;
pub(super) use guarded::Guarded;
pub use slow::{Slow, StorageCounts};

/// Alignment of what [`StorageFile::map`] returns, in bytes: a cache line, so that a vector load never crosses one.
pub const MAP_ALIGNMENT: usize = 64;

/// A file system, or what stands for one.
pub trait Storage: Debug + Send + Sync + 'static {
    /// What lies in a directory, in no particular order. Names that are not UTF-8 are left out: the gallery writes none.
    fn entries(&self, directory: &Path) -> io::Result<Vec<Entry>>;

    /// Creates one directory that only the owner may enter; an error of kind `AlreadyExists` if there is something.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// Creates an empty file that only the owner may read; one that is there already is emptied.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>>;

    /// Opens a file that is there.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn StorageFile>>;

    /// Gives a file or directory another name on the same file system, replacing a file of that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name; files that are open or mapped stay readable.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory and everything in it. Symbolic links are removed, not followed.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;

    /// Waits until the names in a directory are durable.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
}

/// An open file. All places are in bytes from the beginning.
pub trait StorageFile: Debug + Send + Sync {
    /// Length in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Fills `bytes` from place `at`; `UnexpectedEof` if the file ends before.
    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()>;

    /// Writes all of `bytes` at place `at`, growing the file as needed. After an error any part may have been written.
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Cuts the file off, or lengthens it with zeros.
    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Waits until contents and length are durable.
    fn sync_data(&self) -> io::Result<()>;

    /// Waits until contents, length and attributes are durable.
    fn sync_all(&self) -> io::Result<()>;

    /// Asks that the next reads come from the medium, not from memory. Only a wish.
    fn forget_cached(&self) {}

    /// The whole file in memory, read as it is touched. The file must not be changed any more, which is why only generations,
    /// which are never written again once they have their name, are mapped.
    fn map(&self) -> io::Result<Map>;
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and writing.
    ReadWrite,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Without the directory.
    pub name: String,
    /// A directory, and not a link to one.
    pub is_directory: bool,
}

/// The bytes of a file, aligned to [`MAP_ALIGNMENT`].
pub struct Map(Bytes);

enum Bytes {
    Mapped(memmap2::Mmap),
    Owned(AlignedVec<MAP_ALIGNMENT>),
}

impl Map {
    /// Bytes in memory, for a storage that maps nothing.
    pub fn owned(bytes: &[u8]) -> Map {
        let mut owned = AlignedVec::with_capacity(bytes.len());
        owned.extend_from_slice(bytes);
        Map(Bytes::Owned(owned))
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Mapped(map) => map,
            Bytes::Owned(bytes) => bytes,
        }
    }
}

/// The contents are biometric data and stay out of logs.
impl Debug for Map {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Map({} bytes)", self.len())
    }
}
