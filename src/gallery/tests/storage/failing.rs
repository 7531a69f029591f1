//! Another storage, of which chosen calls fail.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::recorded::Recorded;
use crate::gallery::storage::{Access, Entry, Map, Storage, StorageFile};

/// Calls that are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `entries`, `open`, `length`, `read_exact_at`, `map`.
    Read,
    Write,
    SetLength,
    /// Files and directories.
    Create,
    Rename,
    /// Files and directories.
    Remove,
    /// Files and directories.
    Sync,
}

impl Kind {
    pub const ALL: [Kind; 7] = [
        Kind::Read,
        Kind::Write,
        Kind::SetLength,
        Kind::Create,
        Kind::Rename,
        Kind::Remove,
        Kind::Sync,
    ];
}

/// What happens at the chosen call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This call fails with this `errno`.
    Once(i32),
    /// This call and every later one that is counted with it fails.
    From(i32),
    /// From this call on nothing that takes room succeeds: creating, writing, lengthening.
    Full,
}

/// Passes calls on to another storage, except those that are to fail. A clone is the same storage.
#[derive(Clone, Debug)]
pub struct Failing {
    inner: Arc<dyn Storage>,
    control: Arc<Mutex<Control>>,
}

#[derive(Debug, Default)]
struct Control {
    plan: Option<Plan>,
    /// Counted by [`Kind`].
    counts: [usize; Kind::ALL.len()],
    failed: usize,
}

#[derive(Clone, Copy, Debug)]
struct Plan {
    /// `None` counts all calls.
    kind: Option<Kind>,
    at: usize,
    fault: Fault,
}

impl Failing {
    pub fn new(inner: Arc<dyn Storage>) -> Failing {
        Failing {
            inner,
            control: Arc::default(),
        }
    }

    /// Lets the call number `at` fail, of one kind or of all, the first one being 0 and those already made counted.
    pub fn fail(self, kind: Option<Kind>, at: usize, fault: Fault) -> Failing {
        self.lock().plan = Some(Plan { kind, at, fault });
        self
    }

    /// From now on every call is passed on.
    pub fn heal(&self) {
        self.lock().plan = None;
    }

    /// Calls so far, of one kind or of all, failed ones included.
    pub fn count(&self, kind: Option<Kind>) -> usize {
        self.lock().count(kind)
    }

    /// Calls that failed because they were to.
    pub fn failed(&self) -> usize {
        self.lock().failed
    }

    fn lock(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `grows`: the call needs room.
    fn call(&self, kind: Kind, grows: bool) -> Result<(), Refused> {
        self.lock().call(kind, grows)
    }

    fn file(&self, inner: Arc<dyn StorageFile>) -> Arc<dyn StorageFile> {
        Arc::new(FailingFile {
            inner,
            storage: self.clone(),
        })
    }
}

/// A call that is to fail.
struct Refused {
    errno: i32,
    /// Number of the call, from which it follows what part of a write is done all the same.
    number: usize,
}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> io::Error {
        io::Error::from_raw_os_error(refused.errno)
    }
}

impl Control {
    fn count(&self, kind: Option<Kind>) -> usize {
        match kind {
            Some(kind) => self.counts[kind as usize],
            None => self.counts.iter().sum(),
        }
    }

    fn call(&mut self, kind: Kind, grows: bool) -> Result<(), Refused> {
        let plan = self.plan.filter(|p| p.kind.is_none_or(|k| k == kind));
        let number = plan.map_or(0, |p| self.count(p.kind));
        self.counts[kind as usize] += 1;
        let Some(Plan { at, fault, .. }) = plan else {
            return Ok(());
        };
        let errno = match fault {
            Fault::Once(errno) if number == at => errno,
            Fault::From(errno) if number >= at => errno,
            Fault::Full if number >= at && grows => libc::ENOSPC,
            _ => return Ok(()),
        };
        self.failed += 1;
        Err(Refused { errno, number })
    }
}

impl Storage for Failing {
    fn entries(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        self.call(Kind::Read, false)?;
        self.inner.entries(directory)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.call(Kind::Create, true)?;
        self.inner.create_directory(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        self.call(Kind::Create, true)?;
        Ok(self.file(self.inner.create(path)?))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn StorageFile>> {
        self.call(Kind::Read, false)?;
        Ok(self.file(self.inner.open(path, access)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Kind::Rename, false)?;
        self.inner.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.call(Kind::Remove, false)?;
        self.inner.remove_file(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.call(Kind::Remove, false)?;
        self.inner.remove_directory(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.sync(|| self.inner.sync_directory(path))
    }
}

impl Failing {
    /// A recorded storage has to know of a sync that failed: it counts against what was written before.
    fn sync(&self, sync: impl Fn() -> io::Result<()>) -> io::Result<()> {
        match self.call(Kind::Sync, false) {
            Ok(()) => sync(),
            Err(refused) => {
                let _ = Recorded::with_failing_syncs(sync);
                Err(refused.into())
            }
        }
    }
}

#[derive(Debug)]
struct FailingFile {
    inner: Arc<dyn StorageFile>,
    storage: Failing,
}

impl StorageFile for FailingFile {
    fn length(&self) -> io::Result<u64> {
        self.storage.call(Kind::Read, false)?;
        self.inner.length()
    }

    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        self.storage.call(Kind::Read, false)?;
        self.inner.read_exact_at(bytes, at)
    }

    /// Nothing, half or all of the bytes are written by a call that fails.
    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let Err(refused) = self.storage.call(Kind::Write, true) else {
            return self.inner.write_all_at(bytes, at);
        };
        let written = bytes.len() * (refused.number % 3) / 2;
        if written > 0 {
            self.inner.write_all_at(&bytes[..written], at)?;
        }
        Err(refused.into())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let grows = length > self.inner.length()?;
        self.storage.call(Kind::SetLength, grows)?;
        self.inner.set_length(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.storage.sync(|| self.inner.sync_data())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.storage.sync(|| self.inner.sync_all())
    }

    fn map(&self) -> io::Result<Map> {
        self.storage.call(Kind::Read, false)?;
        self.inner.map()
    }
}
