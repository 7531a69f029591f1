//! One daemon a gallery.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::error::{GalleryError, WhileDoing};

/// Takes the lock without waiting and writes our process id into it, for the message that the next one shows.
pub(super) fn take_lock(path: &Path) -> Result<File, GalleryError> {
    const DOING: &str = "locking the gallery";
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .while_doing(DOING, path)?;
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
    Ok(file)
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
