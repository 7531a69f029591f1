//! Folders and files that nobody but the daemon's own user reads.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::regular_file;

/// Makes a folder and those above it.
pub fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Opens a file for appending, making it if there is none.
pub fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    regular_file::open(options.create(true).append(true).mode(0o600), path)
}

/// Opens a file for reading; `None` where there is none.
pub fn read(path: &Path) -> io::Result<Option<File>> {
    match regular_file::open(OpenOptions::new().read(true), path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Puts `text` in place of what `path` holds, in one step that a power cut does not divide.
pub fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(true).mode(0o600);
    let mut file = regular_file::open_own(&mut options, &new)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    sync_folder_of(path)
}

/// Waits until the names beside `path` are durable.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}
