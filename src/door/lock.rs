//! `door/lock` in the data folder, held by the one program that has the pins.
//!
//! The kernel hands the lines of its character device to one program alone, the registers that the driver rppal writes to anybody.
//! With the lock `recocomp door safe` keeps its hands off a door that a daemon looks after, whatever the driver.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use super::events::folder;
use crate::regular_file;

/// The lock, until it is dropped.
#[derive(Debug)]
pub struct PinLock(#[expect(dead_code, reason = "what is held, not read")] File);

/// Why the lock is not had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("the pins are in use: another recocomp looks after this door")]
    Held,
    /// The storage's; it says nothing about another program.
    #[error("the door's lock in the data folder: {0}")]
    Storage(#[from] io::Error),
}

impl PinLock {
    /// Takes the lock, making its file if there is none.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn take(data: &Path) -> Result<PinLock, LockError> {
        let path = folder(data).join("lock");
        let made = fs::create_dir_all(folder(data)).and_then(|()| {
            let mut options = OpenOptions::new();
            regular_file::open_own(options.create(true).truncate(false).write(true), &path)
        });
        // On a disk that can only be read, the one of an earlier day will do.
        let file = made
            .or_else(|e| regular_file::open(OpenOptions::new().read(true), &path).map_err(|_| e))?;
        PinLock::of(file)
    }

    /// Takes the lock and makes nothing; `None` where there never was a door.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn take_existing(data: &Path) -> Result<Option<PinLock>, LockError> {
        let path = folder(data).join("lock");
        match regular_file::open(OpenOptions::new().read(true), &path) {
            Ok(file) => PinLock::of(file).map(Some),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    fn of(file: File) -> Result<PinLock, LockError> {
        match file.try_lock() {
            Ok(()) => Ok(PinLock(file)),
            Err(TryLockError::WouldBlock) => Err(LockError::Held),
            Err(TryLockError::Error(e)) => Err(e.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_program_has_the_lock_and_nobody_makes_one_in_passing() {
        let data = tempfile::tempdir().unwrap();
        assert!(PinLock::take_existing(data.path()).unwrap().is_none());
        assert!(!folder(data.path()).exists());
        let held = PinLock::take(data.path()).unwrap();
        let refused = PinLock::take(data.path()).unwrap_err();
        assert!(matches!(refused, LockError::Held));
        let refused = PinLock::take_existing(data.path()).unwrap_err();
        assert!(refused.to_string().contains("in use"));
        drop(held);
        assert!(PinLock::take_existing(data.path()).unwrap().is_some());
    }
}
