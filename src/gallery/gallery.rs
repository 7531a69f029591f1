//! The set of collections: opening, the lock, and finding a collection by its name.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use uuid::Uuid;

use super::batch::{InsertReport, UpdateReport};
use super::collection::{Collection, CollectionStatus};
use super::commit::{Change, Outcome};
use super::error::{GalleryError, Warning, WhileDoing};
use super::files::{self, Home};
use super::fusion::Fusion;
use super::lock::Lock;
use super::metrics::Metrics;
use super::people::Hit;
use super::place::{Place, anything_sealed, place_of};
use super::seal::Sealer;
use super::storage::{Guarded, Storage};
use super::template::Template;
use crate::license::device::DeviceIdentity;

/// Most collections that a gallery holds unless the options say otherwise.
pub const MAX_COLLECTIONS: usize = 30;

/// Most features that a person has in one collection unless the options say otherwise.
pub const MAX_FEATURES_PER_TARGET: usize = 5;

/// A class 10 card writes 10 MB a second at least; half of that leaves room for enrolments.
const COMPACTION_BYTES_PER_SECOND: u64 = 5 << 20;

const LOCK_NAME: &str = "LOCK";

/// Limits, and the embedding model in use.
#[derive(Clone, Debug)]
pub struct Options {
    /// Names the embedding model: only templates of the same space are compared.
    pub template_space: String,
    /// Most collections. More that are on disk already are served all the same.
    pub max_collections: usize,
    /// Most features of one target in one collection. More that are stored already are kept.
    pub max_features_per_target: usize,
    /// The device to whose identity new journals are sealed; `None` writes them in plain.
    pub sealed_to: Option<DeviceIdentity>,
    /// Most threads that one search of a large collection uses.
    pub search_threads: usize,
    /// What of a person's features [`Gallery::search`] compares a probe with.
    pub fusion: Fusion,
    /// How many bytes a second compaction in the background writes: an SD card serves one master at a time.
    pub compaction_bytes_per_second: u64,
    /// Within which time a removal from files that are not large leaves them: removals that come together share one new
    /// generation. Zero erases each before its call returns.
    pub erased_within: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            template_space: String::new(),
            max_collections: MAX_COLLECTIONS,
            max_features_per_target: MAX_FEATURES_PER_TARGET,
            sealed_to: None,
            search_threads: 1,
            fusion: Fusion::Off,
            compaction_bytes_per_second: COMPACTION_BYTES_PER_SECOND,
            erased_within: Duration::ZERO,
        }
    }
}

/// Whose people [`Gallery::import`] takes in.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The name that the collection gets.
    pub name: String,
    /// Names the embedding model of the templates.
    pub template_space: String,
    /// Milliseconds since 1970 UTC.
    pub created: u64,
    /// Milliseconds since 1970 UTC.
    pub updated: u64,
}

/// The face collections of one data directory.
///
/// Share it behind an [`Arc`]. Changes of one collection wait for each other; changes of different collections do not. A search
/// never waits for the storage. Every change is on the storage when its method returns `Ok`, and after an `Err` memory is as it
/// was before, unless the method says otherwise. Names and target ids are not judged here: whoever calls does that. A target id
/// that is stored in another Unicode form is found, and new ones are stored in the composed form, see [`normalized`](super::normalized).
pub struct Gallery {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) directory: PathBuf,
    pub(super) options: Options,
    sealer: Option<Sealer>,
    pub(super) metrics: Arc<Metrics>,
    /// Held while a collection is created or deleted. Taken before any other lock.
    pub(super) admin: Mutex<()>,
    /// Never held through a file operation.
    collections: RwLock<HashMap<String, Arc<Collection>>>,
    /// Directories of collections whose creation failed, and which could not be removed.
    pub(super) unwanted: Mutex<Vec<PathBuf>>,
    /// Found at opening or at deleting, and about no collection that is served.
    warnings: Mutex<Vec<Warning>>,
    /// Held as long as the gallery is open.
    pub(super) lock: Option<Arc<Lock>>,
}

impl Gallery {
    /// Opens the gallery in `directory`, which is created if need be, and replays every collection. Collections that cannot be
    /// served are left as they are and show in [`Gallery::warnings`].
    ///
    /// # Errors
    /// [`GalleryError::Locked`] while another [`Gallery`] has it open, in this process or another;
    /// [`GalleryError::Storage`] if the directory cannot be created or read.
    pub fn open(directory: &Path, options: Options) -> Result<Gallery, GalleryError> {
        files::create_private_directories(directory)?;
        let lock = Arc::new(Lock::take(&directory.join(LOCK_NAME))?);
        let storage = Arc::new(Guarded::new(Arc::clone(&lock)));
        Gallery::open_locked(storage, directory, options, Some(lock))
    }

    /// As [`Gallery::open`], on a storage of the caller's, in a directory that is there and nobody else uses.
    ///
    /// # Errors
    /// [`GalleryError::Storage`] if the directory cannot be read, [`GalleryError::Seal`].
    pub fn open_on(
        storage: Arc<dyn Storage>,
        directory: &Path,
        options: Options,
    ) -> Result<Gallery, GalleryError> {
        Gallery::open_locked(storage, directory, options, None)
    }

    fn open_locked(
        storage: Arc<dyn Storage>,
        directory: &Path,
        options: Options,
        lock: Option<Arc<Lock>>,
    ) -> Result<Gallery, GalleryError> {
        let sealer = match &options.sealed_to {
            Some(identity) => {
                let sealed = anything_sealed(&*storage, directory);
                Some(Sealer::open_or_create(
                    &*storage, directory, identity, sealed,
                )?)
            }
            None => None,
        };
        let mut gallery = Gallery {
            storage,
            directory: directory.to_owned(),
            options,
            sealer,
            metrics: Arc::default(),
            admin: Mutex::new(()),
            collections: RwLock::new(HashMap::new()),
            unwanted: Mutex::default(),
            warnings: Mutex::new(Vec::new()),
            lock,
        };
        gallery.read_directory()?;
        Ok(gallery)
    }

    /// Every served collection, in the order of creation, then of name.
    pub fn list(&self) -> Vec<CollectionStatus> {
        let mut list: Vec<CollectionStatus> = self.all().iter().map(|c| c.status()).collect();
        list.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        list
    }

    /// Whether the folder of the gallery can be read.
    ///
    /// # Errors
    /// [`GalleryError::Storage`].
    pub fn probe(&self) -> Result<(), GalleryError> {
        self.storage
            .entries(&self.directory)
            .while_doing("reading the gallery's directory", &self.directory)
            .map(drop)
    }

    /// One collection.
    ///
    /// # Errors
    /// [`GalleryError::UnknownCollection`].
    pub fn status(&self, name: &str) -> Result<CollectionStatus, GalleryError> {
        Ok(self.get(name)?.status())
    }

    /// Whether the collection holds a person with this target id, in whatever template space.
    ///
    /// # Errors
    /// [`GalleryError::UnknownCollection`].
    pub fn contains_target(&self, name: &str, target: &str) -> Result<bool, GalleryError> {
        Ok(self.get(name)?.contains_target(target))
    }

    /// Adds features, in the order of `items`, as one atomic change. Items that would take a target over the limit are not stored.
    ///
    /// # Errors
    /// [`GalleryError::UnknownCollection`], [`GalleryError::OtherTemplateSpace`], [`GalleryError::BatchTooLarge`],
    /// [`GalleryError::ReadOnly`], [`GalleryError::Storage`]. Nothing was stored then.
    pub fn insert(
        &self,
        name: &str,
        items: Vec<(String, Template)>,
    ) -> Result<InsertReport, GalleryError> {
        self.insert_items(name, items, false)
    }

    /// As [`Gallery::insert`], and features that their target has already are not stored again, but reported.
    ///
    /// # Errors
    /// As [`Gallery::insert`].
    pub fn insert_new(
        &self,
        name: &str,
        items: Vec<(String, Template)>,
    ) -> Result<InsertReport, GalleryError> {
        self.insert_items(name, items, true)
    }

    fn insert_items(
        &self,
        name: &str,
        items: Vec<(String, Template)>,
        skip_identical: bool,
    ) -> Result<InsertReport, GalleryError> {
        let limit = self.options.max_features_per_target;
        let change = Change::Insert {
            items,
            limit,
            skip_identical,
        };
        match self.get(name)?.change(change)? {
            Outcome::Inserted(report) => Ok(report),
            _ => Ok(InsertReport::default()),
        }
    }

    /// Gives each target of `items` that the collection holds the features of `items` in place of all its old ones, as one atomic
    /// change. A target with more items than the limit keeps its old ones.
    ///
    /// # Errors
    /// As [`Gallery::insert`].
    pub fn update(
        &self,
        name: &str,
        items: Vec<(String, Template)>,
    ) -> Result<UpdateReport, GalleryError> {
        let limit = self.options.max_features_per_target;
        match self.get(name)?.change(Change::Update { items, limit })? {
            Outcome::Updated(report) => Ok(report),
            _ => Ok(UpdateReport::default()),
        }
    }

    /// Takes a person out of a collection, in whatever template space. The person is not found any more from then on; when the
    /// bytes leave the disk is the erasure bound of `docs/design/gallery.md`, see also [`Gallery::erase_removed`].
    ///
    /// # Errors
    /// [`GalleryError::UnknownCollection`], [`GalleryError::UnknownTarget`], [`GalleryError::ReadOnly`],
    /// [`GalleryError::Storage`].
    pub fn remove_target(&self, name: &str, target: &str) -> Result<(), GalleryError> {
        self.get(name)?.remove_target(target)
    }

    /// Within which time what is removed from a collection now leaves the disk; zero if in the same call.
    ///
    /// # Errors
    /// [`GalleryError::UnknownCollection`].
    pub fn erased_within(&self, name: &str) -> Result<Duration, GalleryError> {
        Ok(self.get(name)?.erased_within())
    }

    /// The `top_k` people most similar to `probe`: one row a person, by the features as [`Options::fusion`] says, best first, equal
    /// cosines in the order of target ids.
    ///
    /// # Errors
    /// [`GalleryError::UnknownCollection`], [`GalleryError::OtherTemplateSpace`].
    pub fn search(
        &self,
        name: &str,
        probe: &Template,
        top_k: usize,
    ) -> Result<Vec<Hit>, GalleryError> {
        self.get(name)?.search(probe, top_k)
    }

    pub(super) fn home(&self, name: String, collection: Uuid) -> Home {
        Home {
            storage: Arc::clone(&self.storage),
            directory: self.directory.join(name),
            collection,
            sealer: self.sealer.clone(),
        }
    }

    pub(super) fn open_collection(&self, home: Home) -> Result<Collection, GalleryError> {
        Collection::open(home, &self.options, Arc::clone(&self.metrics))
    }

    /// What is wrong on disk: damage, directories that are not served, files that could not be erased.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = self
            .warnings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        warnings.extend(self.all().iter().flat_map(|c| c.warnings()));
        let lost = self.lock.as_ref().and_then(|lock| lock.check().err());
        warnings.extend(lost.map(|error| Warning {
            directory: self.directory.clone(),
            collection: None,
            what: error.to_string(),
            quarantined: None,
        }));
        warnings.sort_by(|a, b| a.directory.cmp(&b.directory));
        warnings
    }

    fn read_directory(&mut self) -> Result<(), GalleryError> {
        const DOING: &str = "reading the gallery's directory";
        // As in each collection: nothing is built on a name, or removed because of one, that may not be durable.
        files::sync_directory(&*self.storage, &self.directory)?;
        let mut opened = Vec::new();
        for entry in self
            .storage
            .entries(&self.directory)
            .while_doing(DOING, &self.directory)?
        {
            let path = self.directory.join(&entry.name);
            match place_of(&entry.name) {
                Place::Collection(uuid) => {
                    match self.open_collection(self.home(entry.name.clone(), uuid)) {
                        Ok(collection) => opened.push(collection),
                        Err(error) => self.not_served(&path, None, error.to_string()),
                    }
                }
                Place::Leftover => self.erase_directory(&path, None),
                Place::Foreign => {}
            }
        }
        // One order on every start, whatever the file system's.
        opened.sort_by_key(|collection| (collection.status().created, collection.uuid()));
        for collection in opened {
            if self.read().contains_key(collection.name()) {
                let what = "another, older collection has the same name".to_owned();
                self.not_served(collection.directory(), Some(collection.name()), what);
                continue;
            }
            self.write()
                .insert(collection.name().to_owned(), Arc::new(collection));
        }
        Ok(())
    }

    fn not_served(&self, directory: &Path, name: Option<&str>, reason: String) {
        tracing::error!(directory = %directory.display(), reason, "a collection is not served");
        self.warn(Warning {
            directory: directory.to_owned(),
            collection: name.map(str::to_owned),
            what: format!("a collection is not served and was left as it is: {reason}"),
            quarantined: None,
        });
    }

    /// Erases a directory that is no collection's any more, durably.
    pub(super) fn erase_directory(&self, path: &Path, name: Option<&str>) {
        let erased = files::absent_is_fine(self.storage.remove_directory(path))
            .while_doing("erasing a deleted collection", path)
            .and_then(|()| files::sync_directory(&*self.storage, &self.directory));
        if let Err(error) = erased {
            tracing::error!(%error, "a deleted collection is not erased from the disk yet");
            self.warn(Warning {
                directory: path.to_owned(),
                collection: name.map(str::to_owned),
                what: format!(
                    "a deleted collection is not erased yet, the next start tries again: {error}"
                ),
                quarantined: None,
            });
        }
    }

    fn warn(&self, warning: Warning) {
        self.warnings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(warning);
    }

    pub(super) fn get(&self, name: &str) -> Result<Arc<Collection>, GalleryError> {
        self.read()
            .get(name)
            .cloned()
            .ok_or_else(|| GalleryError::UnknownCollection {
                name: name.to_owned(),
            })
    }

    pub(super) fn all(&self) -> Vec<Arc<Collection>> {
        self.read().values().cloned().collect()
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, HashMap<String, Arc<Collection>>> {
        self.collections
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, HashMap<String, Arc<Collection>>> {
        self.collections
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn collection(&self, name: &str) -> Arc<Collection> {
        self.get(name).expect("a test asks for what it created")
    }
}
