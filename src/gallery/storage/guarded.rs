//! A disk that is written to only while nobody has taken the lock file away.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::super::lock::Lock;
use super::{Access, Disk, Entry, Map, Storage, StorageFile};

/// [`Disk`], which refuses every change once the lock is lost: whoever made another lock file may be at work on the same files.
#[derive(Debug)]
pub(in super::super) struct Guarded {
    disk: Disk,
    lock: Arc<Lock>,
}

#[derive(Debug)]
struct GuardedFile {
    file: Arc<dyn StorageFile>,
    lock: Arc<Lock>,
}

impl Guarded {
    pub fn new(lock: Arc<Lock>) -> Guarded {
        Guarded { disk: Disk, lock }
    }

    fn guard(&self, file: Arc<dyn StorageFile>) -> Arc<dyn StorageFile> {
        let lock = Arc::clone(&self.lock);
        Arc::new(GuardedFile { file, lock })
    }
}

impl Storage for Guarded {
    fn entries(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        self.disk.entries(directory)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.lock.check()?;
        self.disk.create_directory(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        self.lock.check()?;
        self.disk.create(path).map(|file| self.guard(file))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn StorageFile>> {
        self.disk.open(path, access).map(|file| self.guard(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.lock.check()?;
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.lock.check()?;
        self.disk.remove_file(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.lock.check()?;
        self.disk.remove_directory(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_directory(path)
    }
}

impl StorageFile for GuardedFile {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, at)
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.lock.check()?;
        self.file.write_all_at(bytes, at)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.lock.check()?;
        self.file.set_length(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn forget_cached(&self) {
        self.file.forget_cached();
    }

    fn map(&self) -> io::Result<Map> {
        self.file.map()
    }
}
