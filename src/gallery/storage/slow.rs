//! Another storage, with syncs as slow as those of a card, and counters.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::{Access, Entry, Map, Storage, StorageFile};

/// Passes everything on to another storage, waits in every sync, and counts.
///
/// A workstation's disk answers a sync from its cache, an SD card takes 5 to 50 ms. With this in between, the number of commits
/// a second and what grouping them is worth can be measured anywhere. Waits of different callers run side by side, as they do for
/// a card that writes several callers' bytes with one flush.
#[derive(Debug)]
pub struct Slow {
    inner: Arc<dyn Storage>,
    meter: Arc<Meter>,
}

/// What went through a [`Slow`] so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageCounts {
    /// `sync_data` and `sync_all` of files.
    pub file_syncs: u64,
    /// `sync_directory`.
    pub directory_syncs: u64,
    /// `write_all_at`.
    pub writes: u64,
    /// Bytes of these writes.
    pub bytes_written: u64,
}

#[derive(Debug)]
struct Meter {
    wait: Duration,
    file_syncs: AtomicU64,
    directory_syncs: AtomicU64,
    writes: AtomicU64,
    bytes_written: AtomicU64,
}

impl Slow {
    /// Every sync waits for `wait` before it is passed on.
    pub fn new(inner: Arc<dyn Storage>, wait: Duration) -> Slow {
        Slow {
            inner,
            meter: Arc::new(Meter {
                wait,
                file_syncs: AtomicU64::new(0),
                directory_syncs: AtomicU64::new(0),
                writes: AtomicU64::new(0),
                bytes_written: AtomicU64::new(0),
            }),
        }
    }

    /// What was counted since this storage was made, failed calls included.
    pub fn counts(&self) -> StorageCounts {
        let meter = &self.meter;
        StorageCounts {
            file_syncs: meter.file_syncs.load(Ordering::Relaxed),
            directory_syncs: meter.directory_syncs.load(Ordering::Relaxed),
            writes: meter.writes.load(Ordering::Relaxed),
            bytes_written: meter.bytes_written.load(Ordering::Relaxed),
        }
    }

    fn file(&self, inner: io::Result<Arc<dyn StorageFile>>) -> io::Result<Arc<dyn StorageFile>> {
        Ok(Arc::new(SlowFile {
            inner: inner?,
            meter: Arc::clone(&self.meter),
        }))
    }
}

impl Meter {
    fn sync(&self, counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
        if !self.wait.is_zero() {
            thread::sleep(self.wait);
        }
    }
}

impl Storage for Slow {
    fn entries(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        self.inner.entries(directory)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.inner.create_directory(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        self.file(self.inner.create(path))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn StorageFile>> {
        self.file(self.inner.open(path, access))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_file(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_directory(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.meter.sync(&self.meter.directory_syncs);
        self.inner.sync_directory(path)
    }
}

#[derive(Debug)]
struct SlowFile {
    inner: Arc<dyn StorageFile>,
    meter: Arc<Meter>,
}

impl StorageFile for SlowFile {
    fn length(&self) -> io::Result<u64> {
        self.inner.length()
    }

    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        self.inner.read_exact_at(bytes, at)
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.meter.writes.fetch_add(1, Ordering::Relaxed);
        let length = bytes.len() as u64;
        self.meter
            .bytes_written
            .fetch_add(length, Ordering::Relaxed);
        self.inner.write_all_at(bytes, at)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.inner.set_length(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.meter.sync(&self.meter.file_syncs);
        self.inner.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.meter.sync(&self.meter.file_syncs);
        self.inner.sync_all()
    }

    fn forget_cached(&self) {
        self.inner.forget_cached();
    }

    fn map(&self) -> io::Result<Map> {
        self.inner.map()
    }
}
