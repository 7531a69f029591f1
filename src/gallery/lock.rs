//! One daemon a gallery.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::{GalleryError, WhileDoing};
use crate::regular_file;

/// The lock of a gallery. The kernel lets go of it when this is dropped, also after a crash.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
    /// Somebody took the file away. It never comes back: what was written meanwhile by others is not known.
    lost: AtomicBool,
}

impl Lock {
    /// Takes the lock without waiting and writes our process id into it, for the message that the next one shows.
    ///
    /// # Errors
    /// [`GalleryError::Locked`], [`GalleryError::Storage`].
    pub fn take(path: &Path) -> Result<Lock, GalleryError> {
        const DOING: &str = "locking the gallery";
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file =
            regular_file::open_own(options.mode(0o600), path).while_doing(DOING, path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(GalleryError::Locked {
                    path: path.to_owned(),
                    holder: read_holder(&mut file),
                });
            }
            Err(TryLockError::Error(error)) => return Err(error).while_doing(DOING, path),
        }
        // Only a courtesy: a full disk must not keep the gallery closed.
        if let Err(error) = write_holder(&mut file) {
            tracing::debug!(%error, "no process id in the lock file");
        }
        Ok(Lock {
            file,
            path: path.to_owned(),
            lost: AtomicBool::new(false),
        })
    }

    /// Whether the file that we hold is still the one that others will try to lock.
    ///
    /// # Errors
    /// The lock is lost, for as long as this lives.
    pub fn check(&self) -> io::Result<()> {
        if !self.lost.load(Ordering::Acquire) && self.is_in_place() {
            return Ok(());
        }
        let sentence = format!(
            "the lock file {} was removed or replaced, so another process may be writing here; \
             nothing is written any more: see that one recocomp alone uses this folder, and restart it",
            self.path.display()
        );
        if !self.lost.swap(true, Ordering::AcqRel) {
            tracing::error!("{sentence}");
        }
        Err(io::Error::other(sentence))
    }

    fn is_in_place(&self) -> bool {
        let Ok(held) = self.file.metadata() else {
            return true;
        };
        match fs::symlink_metadata(&self.path) {
            Ok(there) => (there.dev(), there.ino()) == (held.dev(), held.ino()),
            // A medium that refuses to answer says nothing about the lock; it will refuse to write, too.
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }
}

fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

fn read_holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
