//! File operations that are still true after a power cut.
//!
//! A name is durable once its *directory* was synced, contents once the *file* was. Every helper here does both in the order that
//! leaves either the old state or the new one.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::clock::now;
use super::error::{GalleryError, WhileDoing};
use super::generation::generation_number;
use super::journal::journal_number;
use super::seal::Sealer;
use super::storage::{Access, DIRECTORY_MODE, Storage, StorageFile};

/// Where unreadable bytes are set aside, in a collection's directory.
const QUARANTINE: &str = "quarantine";

/// Stands in the quarantine if some of it may be of people who left. It holds the time at which it was put there.
const ERASE_MARK: &str = "ERASE";
/// The mark while it is written.
const STAGED_MARK: &str = ".tmp-ERASE";

/// For so long an operator finds what is marked. The keeper looks every hour, so all is erased within 24 hours.
const MARKED_STAYS: Duration = Duration::from_secs(22 * 3600);

/// A mark that is further in the future was made by a clock that has been set back since: its age cannot be known.
const CLOCK_STEPS: Duration = Duration::from_secs(3600);

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
        let above = match above.as_os_str().is_empty() {
            true => Path::new("."),
            false => above,
        };
        fs::File::open(above)
            .and_then(|directory| directory.sync_all())
            .while_doing("making a directory durable", above)
    })
}

/// Renames within one directory, durably.
pub(super) fn rename_durably(
    storage: &dyn Storage,
    directory: &Path,
    from: &Path,
    to: &Path,
) -> Result<(), GalleryError> {
    storage
        .rename(from, to)
        .while_doing("renaming to its final name", from)?;
    sync_directory(storage, directory)
}

/// Makes the names in `path` durable.
pub(super) fn sync_directory(storage: &dyn Storage, path: &Path) -> Result<(), GalleryError> {
    storage
        .sync_directory(path)
        .while_doing("making a directory durable", path)
}

/// A name that is gone already counts as removed.
pub(super) fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn is_numbered(name: &str) -> bool {
    journal_number(name).is_some() || generation_number(name).is_some()
}

/// Whether an entry of the quarantine only says when to erase it.
fn is_mark(name: &str) -> bool {
    name == ERASE_MARK || name == STAGED_MARK
}

/// One collection's directory: everything that its files have in common.
#[derive(Clone)]
pub(super) struct Home {
    pub storage: Arc<dyn Storage>,
    pub directory: PathBuf,
    pub collection: Uuid,
    /// What new journals are sealed with; `None` writes them in plain.
    pub sealer: Option<Sealer>,
}

impl Home {
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Names of files, and of directories that stand where a file of ours should.
    pub fn names(&self) -> Result<Vec<String>, GalleryError> {
        let entries = self
            .storage
            .entries(&self.directory)
            .while_doing("reading a collection's directory", &self.directory)?;
        Ok(entries
            .into_iter()
            .filter(|entry| !entry.is_directory || is_numbered(&entry.name))
            .map(|entry| entry.name)
            .collect())
    }

    /// An empty file under a name that does not count yet.
    pub fn create(&self, name: &str) -> Result<Arc<dyn StorageFile>, GalleryError> {
        let path = self.path(name);
        self.storage
            .create(&path)
            .while_doing("creating a file", &path)
    }

    /// Gives a complete, synced file its final name, in place of what had it.
    pub fn publish(&self, staged: &str, name: &str) -> Result<(), GalleryError> {
        rename_durably(
            &*self.storage,
            &self.directory,
            &self.path(staged),
            &self.path(name),
        )
    }

    /// Not durable before [`Home::sync`].
    pub fn remove(&self, name: &str) -> Result<(), GalleryError> {
        let path = self.path(name);
        absent_is_fine(self.storage.remove_file(&path)).while_doing("erasing an old file", &path)
    }

    pub fn sync(&self) -> Result<(), GalleryError> {
        sync_directory(&*self.storage, &self.directory)
    }

    /// Files in the quarantine.
    pub fn quarantined(&self) -> usize {
        self.storage
            .entries(&self.path(QUARANTINE))
            .map_or(0, |entries| {
                entries.iter().filter(|e| !is_mark(&e.name)).count()
            })
    }

    /// Lets what is in quarantine be erased when an operator has had the time to look at it. The first mark counts: what was set
    /// aside later goes with it.
    pub fn mark_quarantine(&self) -> Result<(), GalleryError> {
        let path = self.quarantine_path();
        match self.storage.entries(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error).while_doing("looking into the quarantine", &path),
            Ok(entries) if entries.iter().all(|entry| is_mark(&entry.name)) => Ok(()),
            Ok(_) => self.mark_quarantine_to_come(),
        }
    }

    /// The same for what will be set aside next.
    pub fn mark_quarantine_to_come(&self) -> Result<(), GalleryError> {
        if self.quarantine_mark().is_some() {
            return Ok(());
        }
        // In one piece: a mark without its time would count as an old one.
        let staged = self.quarantine(STAGED_MARK, &now().to_le_bytes())?;
        let path = self.quarantine_path();
        rename_durably(&*self.storage, &path, &staged, &path.join(ERASE_MARK))
    }

    /// Whether the time of a marked quarantine is over. A clock that was set back does not keep it.
    pub fn quarantine_is_due(&self) -> bool {
        self.quarantine_mark().is_some_and(|marked| {
            let [stays, steps] = [MARKED_STAYS, CLOCK_STEPS].map(|time| time.as_millis() as u64);
            let now = now();
            now >= marked.saturating_add(stays) || now.saturating_add(steps) < marked
        })
    }

    /// When the quarantine was marked, milliseconds since 1970 UTC. A mark without a time, of an earlier release, is as old as can
    /// be; one that the medium does not read is new, so that nothing goes unseen.
    fn quarantine_mark(&self) -> Option<u64> {
        let path = self.quarantine_path().join(ERASE_MARK);
        match self.storage.open(&path, Access::Read) {
            Ok(mark) => {
                let mut bytes = [0; size_of::<u64>()];
                match mark.read_exact_at(&mut bytes, 0) {
                    Ok(()) => Some(u64::from_le_bytes(bytes)),
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Some(0),
                    Err(_) => Some(now()),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(_) => Some(now()),
        }
    }

    pub fn quarantine_path(&self) -> PathBuf {
        self.path(QUARANTINE)
    }

    /// Writes bytes aside, durably, and returns where.
    pub fn quarantine(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, GalleryError> {
        const DOING: &str = "copying damaged bytes to quarantine";
        let path = self.open_quarantine()?.join(name);
        let copy = self.storage.create(&path).while_doing(DOING, &path)?;
        copy.write_all_at(bytes, 0)
            .and_then(|()| copy.sync_all())
            .while_doing(DOING, &path)?;
        sync_directory(&*self.storage, &self.quarantine_path())?;
        Ok(path)
    }

    /// Moves a whole file aside, durably, and returns where it is now.
    pub fn quarantine_file(&self, name: &str) -> Result<PathBuf, GalleryError> {
        let to = self.open_quarantine()?.join(name);
        let from = self.path(name);
        self.storage
            .rename(&from, &to)
            .while_doing("moving a damaged file to quarantine", &from)?;
        sync_directory(&*self.storage, &self.quarantine_path())?;
        self.sync()?;
        Ok(to)
    }

    /// Erases what was set aside as unreadable, durably, its mark last: what a failure leaves is still marked.
    pub fn remove_quarantine(&self) -> Result<(), GalleryError> {
        const DOING: &str = "erasing the quarantine";
        let path = self.quarantine_path();
        let entries = match self.storage.entries(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            result => result.while_doing(DOING, &path)?,
        };
        for entry in entries.iter().filter(|entry| entry.name != ERASE_MARK) {
            let path = path.join(&entry.name);
            let removed = match entry.is_directory {
                true => self.storage.remove_directory(&path),
                false => self.storage.remove_file(&path),
            };
            absent_is_fine(removed).while_doing(DOING, &path)?;
        }
        sync_directory(&*self.storage, &path)?;
        absent_is_fine(self.storage.remove_directory(&path)).while_doing(DOING, &path)?;
        self.sync()
    }

    fn open_quarantine(&self) -> Result<PathBuf, GalleryError> {
        let path = self.quarantine_path();
        match self.storage.create_directory(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(error).while_doing("creating the quarantine", &path)
            }
            _ => {
                self.sync()?;
                Ok(path)
            }
        }
    }
}
