//! File operations that are still true after a power cut.
//!
//! A name is durable once its *directory* was synced, contents once the *file* was. Every helper here does both in the order that
//! leaves either the old state or the new one.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::error::{GalleryError, WhileDoing};

/// Faces are biometric data: nobody but the daemon's own user reads them.
const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Creates `path` and what is missing above it, and takes everyone else's rights on `path` away.
pub(super) fn create_private_directories(path: &Path) -> Result<(), GalleryError> {
    let missing: Vec<&Path> = (path.ancestors())
        .take_while(|above| !above.as_os_str().is_empty() && !above.exists())
        .collect();
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(path)
        .while_doing("creating the gallery's directory", path)?;
    let permissions = fs::metadata(path)
        .while_doing("reading the rights of the gallery's directory", path)?
        .permissions();
    if permissions.mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(DIRECTORY_MODE))
            .while_doing("closing the gallery's directory to other users", path)?;
    }
    // Every new level is a name in the one above it; the last of them may be the working directory.
    missing.into_iter().try_for_each(|new| {
        let above = new.parent().unwrap_or(Path::new("."));
        match above.as_os_str().is_empty() {
            true => sync_directory(Path::new(".")),
            false => sync_directory(above),
        }
    })
}

/// Creates one directory, which must not exist. Not durable before its parent is synced.
pub(super) fn create_private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(DIRECTORY_MODE).create(path)
}

/// Creates an empty file for reading and writing; one that is there already is emptied.
pub(super) fn create_private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(path)
}

/// Makes the names in `path` durable.
pub(super) fn sync_directory(path: &Path) -> Result<(), GalleryError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .while_doing("making a directory durable", path)
}

/// Renames within one directory, durably.
pub(super) fn rename_durably(directory: &Path, from: &Path, to: &Path) -> Result<(), GalleryError> {
    fs::rename(from, to).while_doing("renaming to its final name", from)?;
    sync_directory(directory)
}

/// A file that is gone already counts as removed.
pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_file(path))
}

/// A directory that is gone already counts as removed. Symbolic links are removed, not followed.
pub(super) fn remove_directory(path: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_dir_all(path))
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
