//! Where a file is written: under another name beside its own, locked, private, and durable at the end.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::{PortableError, WhileDoing};

/// Templates are biometric data, sealed or not.
const FILE_MODE: u32 = 0o600;

/// Opens or creates the unfinished file and locks it. A link in its place is not followed: whoever can write to the directory
/// could turn it to any file.
pub(super) fn open_partial(partial: &Path) -> Result<File, PortableError> {
    let doing = "opening the unfinished file";
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .custom_flags(libc::O_NOFOLLOW)
        .open(partial)
        .while_doing(doing, partial)?;
    let busy = || PortableError::Busy {
        path: partial.to_owned(),
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(busy()),
        // Some network file systems have no locks.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
        Err(TryLockError::Error(error)) => return Err(error).while_doing(doing, partial),
    }
    // The other process may have finished between the two: then this is its finished file.
    let ours = file.metadata().while_doing(doing, partial)?;
    match fs::symlink_metadata(partial) {
        Ok(named) if (named.dev(), named.ino()) == (ours.dev(), ours.ino()) => {}
        _ => return Err(busy()),
    }
    // A file system without owners, as on most USB sticks, refuses; what is written is sealed all the same.
    let _ = file.set_permissions(Permissions::from_mode(FILE_MODE));
    Ok(file)
}

pub(super) fn refuse_existing(path: &Path, replace: bool) -> Result<(), PortableError> {
    match fs::symlink_metadata(path) {
        Ok(_) if replace => Ok(()),
        Ok(_) => Err(PortableError::Exists {
            path: path.to_owned(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).while_doing("looking for an earlier file", path),
    }
}

/// `FILE.partial`, beside `FILE`, because a rename does not cross file systems.
pub(super) fn partial_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path.as_os_str());
    name.push(".partial");
    PathBuf::from(name)
}

/// Makes the name `path` durable.
pub(super) fn sync_directory_of(path: &Path) -> Result<(), PortableError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .while_doing("making a directory durable", directory)
}
