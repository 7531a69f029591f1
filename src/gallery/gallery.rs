//! The set of collections: opening, the lock, creating and deleting, and finding a collection by its name.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use uuid::Uuid;

use super::batch::{InsertReport, UpdateReport};
use super::collection::{Collection, CollectionStatus};
use super::error::{GalleryError, Warning, WhileDoing};
use super::files;
use super::lock::take_lock;
use super::people::Hit;
use super::template::Template;

/// Most collections that a gallery holds unless the options say otherwise.
pub const MAX_COLLECTIONS: usize = 30;

/// Most features that a person has in one collection unless the options say otherwise.
pub const MAX_FEATURES_PER_TARGET: usize = 5;

const LOCK_NAME: &str = "LOCK";
/// A collection that is being created: not there yet.
const UNFINISHED_PREFIX: &str = ".tmp-";
/// A collection that is being deleted: not there any more.
const DELETED_PREFIX: &str = ".deleted-";

/// Limits, and the embedding model in use.
#[derive(Clone, Debug)]
pub struct Options {
    /// Names the embedding model: only templates of the same space are compared.
    pub template_space: String,
    /// Most collections. More that are on disk already are served all the same.
    pub max_collections: usize,
    /// Most features of one target in one collection. More that are stored already are kept.
    pub max_features_per_target: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            template_space: String::new(),
            max_collections: MAX_COLLECTIONS,
            max_features_per_target: MAX_FEATURES_PER_TARGET,
        }
    }
}

/// The face collections of one data directory.
///
/// Share it behind an [`Arc`]. Changes of one collection wait for each other; changes of different collections do not. A search
/// never waits for the storage. Every change is on the storage when its method returns `Ok`, and after an `Err` memory is as it
/// was before, unless the method says otherwise. Names and target ids are not judged here: whoever calls does that.
pub struct Gallery {
    directory: PathBuf,
    options: Options,
    /// Held while a collection is created or deleted. Taken before any other lock.
    admin: Mutex<()>,
    /// Never held through a file operation.
    collections: RwLock<HashMap<String, Arc<Collection>>>,
    /// Found at opening or at deleting, and about no collection that is served.
    warnings: Mutex<Vec<Warning>>,
    /// The kernel lets go of the lock when this is closed, also after a crash.
    _lock: File,
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
        let lock = take_lock(&directory.join(LOCK_NAME))?;
        let mut gallery = Gallery {
            directory: directory.to_owned(),
            options,
            admin: Mutex::new(()),
            collections: RwLock::new(HashMap::new()),
            warnings: Mutex::new(Vec::new()),
            _lock: lock,
        };
        gallery.read_directory()?;
        Ok(gallery)
    }

    /// Creates an empty collection.
    ///
    /// # Errors
    /// [`GalleryError::CollectionExists`], [`GalleryError::CollectionQuota`], [`GalleryError::Storage`].
    pub fn create(&self, name: &str) -> Result<(), GalleryError> {
        let _admin = self.admin.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let collections = self.read();
            if collections.contains_key(name) {
                return Err(GalleryError::CollectionExists {
                    name: name.to_owned(),
                });
            }
            if collections.len() >= self.options.max_collections {
                return Err(GalleryError::CollectionQuota {
                    limit: self.options.max_collections,
                });
            }
        }
        let uuid = Uuid::new_v4();
        let unfinished = self.directory.join(format!("{UNFINISHED_PREFIX}{uuid}"));
        let directory = self.directory.join(uuid.to_string());
        Collection::write_new(&unfinished, uuid, name, &self.options.template_space)
            .and_then(|()| files::rename_durably(&self.directory, &unfinished, &directory))
            .and_then(|()| Collection::open(&directory, uuid))
            .map(|collection| {
                self.write().insert(name.to_owned(), Arc::new(collection));
            })
            .inspect_err(|_| {
                // The collection was never acknowledged, so it must not turn up at the next open either.
                let _ = files::remove_directory(&unfinished);
                let _ = files::remove_directory(&directory);
            })
    }

    /// Takes everyone out of a collection and erases their templates. The collection keeps its name and time of creation, and
    /// belongs to the template space of the options from now on.
    ///
    /// # Errors
    /// [`GalleryError::UnknownCollection`], [`GalleryError::ReadOnly`], [`GalleryError::Storage`]. If the storage refuses to erase
    /// the old file, the collection is empty all the same, and clearing it again tries again.
    pub fn clear(&self, name: &str) -> Result<(), GalleryError> {
        self.get(name)?.clear(&self.options.template_space)
    }

    /// Deletes a collection and erases its files. Searches that are running finish, changes that are waiting are refused.
    ///
    /// # Errors
    /// [`GalleryError::UnknownCollection`], [`GalleryError::Storage`]. If the storage refuses to confirm the deletion, the
    /// collection is gone all the same, but may be back after a power cut. Files that cannot be erased are no error: they show in
    /// [`Gallery::warnings`] and are erased by the next open.
    pub fn delete(&self, name: &str) -> Result<(), GalleryError> {
        let _admin = self.admin.lock().unwrap_or_else(PoisonError::into_inner);
        let collection = self.get(name)?;
        let deleted = self
            .directory
            .join(format!("{DELETED_PREFIX}{}", collection.uuid()));
        let mut durable = Ok(());
        collection.retire(|| {
            fs::rename(collection.directory(), &deleted)
                .while_doing("deleting a collection", collection.directory())?;
            // From here on it is gone by name, whether or not the storage says so in time.
            durable = files::sync_directory(&self.directory);
            Ok(())
        })?;
        self.write().remove(name);
        self.erase_directory(&deleted, Some(name));
        durable
    }

    /// Every served collection, in the order of creation, then of name.
    pub fn list(&self) -> Vec<CollectionStatus> {
        let mut list: Vec<CollectionStatus> = self.all().iter().map(|c| c.status()).collect();
        list.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
        list
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
        let options = &self.options;
        self.get(name)?.insert(
            items,
            options.max_features_per_target,
            &options.template_space,
        )
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
        let options = &self.options;
        self.get(name)?.update(
            items,
            options.max_features_per_target,
            &options.template_space,
        )
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

    /// The `top_k` people most similar to `probe`: one row a person, its best feature, best first, equal cosines in the order of
    /// target ids.
    ///
    /// # Errors
    /// [`GalleryError::UnknownCollection`], [`GalleryError::OtherTemplateSpace`].
    pub fn search(
        &self,
        name: &str,
        probe: &Template,
        top_k: usize,
    ) -> Result<Vec<Hit>, GalleryError> {
        self.get(name)?
            .search(probe, top_k, &self.options.template_space)
    }

    /// Erases from the disk what removals and updates left in the journals, and returns how many collections were rewritten. To be
    /// called after opening and once a day: that interval is the erasure bound of long journals. May take as long as writing all
    /// journals anew; searches go on meanwhile.
    ///
    /// # Errors
    /// The first [`GalleryError::Storage`]; the other collections were tried all the same.
    pub fn erase_removed(&self) -> Result<usize, GalleryError> {
        let mut rewritten = 0;
        let mut result = Ok(());
        for collection in self.all() {
            match collection.erase_removed() {
                Ok(did) => rewritten += usize::from(did),
                Err(error) => result = result.and(Err(error)),
            }
        }
        result.map(|()| rewritten)
    }

    /// What is wrong on disk: damage, directories that are not served, files that could not be erased.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = self
            .warnings
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        warnings.extend(self.all().iter().flat_map(|c| c.warnings()));
        warnings.sort_by(|a, b| a.directory.cmp(&b.directory));
        warnings
    }

    fn read_directory(&mut self) -> Result<(), GalleryError> {
        const DOING: &str = "reading the gallery's directory";
        let mut opened = Vec::new();
        for entry in fs::read_dir(&self.directory).while_doing(DOING, &self.directory)? {
            let entry = entry.while_doing(DOING, &self.directory)?;
            let (name, path) = (entry.file_name(), entry.path());
            let Some(name) = name.to_str() else { continue };
            match place_of(name) {
                Place::Collection(uuid) => match Collection::open(&path, uuid) {
                    Ok(collection) => opened.push(collection),
                    Err(error) => self.not_served(&path, None, error.to_string()),
                },
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
    fn erase_directory(&self, path: &Path, name: Option<&str>) {
        let erased = files::remove_directory(path)
            .while_doing("erasing a deleted collection", path)
            .and_then(|()| files::sync_directory(&self.directory));
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

    fn get(&self, name: &str) -> Result<Arc<Collection>, GalleryError> {
        self.read()
            .get(name)
            .cloned()
            .ok_or_else(|| GalleryError::UnknownCollection {
                name: name.to_owned(),
            })
    }

    fn all(&self) -> Vec<Arc<Collection>> {
        self.read().values().cloned().collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<String, Arc<Collection>>> {
        self.collections
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<String, Arc<Collection>>> {
        self.collections
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn collection(&self, name: &str) -> Arc<Collection> {
        self.get(name).expect("a test asks for what it created")
    }
}

/// What an entry of the gallery's directory is.
enum Place {
    Collection(Uuid),
    /// A creation or deletion that was interrupted.
    Leftover,
    /// Nothing of ours: left alone.
    Foreign,
}

fn place_of(name: &str) -> Place {
    // Only the spelling that this room writes: braces or capitals would make two names of one UUID.
    let uuid = |text: &str| Uuid::parse_str(text).ok().filter(|u| u.to_string() == text);
    if let Some(uuid) = uuid(name) {
        return Place::Collection(uuid);
    }
    let ours = [UNFINISHED_PREFIX, DELETED_PREFIX]
        .iter()
        .any(|prefix| name.strip_prefix(prefix).and_then(uuid).is_some());
    match ours {
        true => Place::Leftover,
        false => Place::Foreign,
    }
}
