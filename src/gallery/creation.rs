//! Creating, filling, emptying and deleting collections.

use std::sync::{Arc, PoisonError};

use uuid::Uuid;

use super::clock::now;
use super::collection::Collection;
use super::error::{GalleryError, WhileDoing};
use super::files::{self, Home};
use super::gallery::{Gallery, Imported};
use super::operation::Identity;
use super::place::{DELETED_PREFIX, UNFINISHED_PREFIX};
use super::template::RowBits;

impl Gallery {
    /// Creates an empty collection.
    ///
    /// # Errors
    /// [`GalleryError::CollectionExists`], [`GalleryError::CollectionQuota`], [`GalleryError::Storage`].
    pub fn create(&self, name: &str) -> Result<(), GalleryError> {
        let _admin = self.admin.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_free(name)?;
        let uuid = Uuid::new_v4();
        let unfinished = self.home(format!("{UNFINISHED_PREFIX}{uuid}"), uuid);
        let home = self.home(uuid.to_string(), uuid);
        let now = now();
        let identity = Identity {
            collection: uuid.into_bytes(),
            name: name.to_owned(),
            template_space: self.options.template_space.clone(),
            created: now,
            updated: now,
        };
        self.establish(&unfinished, home, name, |home| {
            Collection::write_new(home, &identity)
        })
    }

    /// Creates a collection that holds everyone of another one, as a backup or an export brings them.
    ///
    /// `people` are in byte order of their target ids, each once, with features of 192 finite binary16 numbers of length 1.
    ///
    /// # Errors
    /// [`GalleryError::CollectionExists`], [`GalleryError::CollectionQuota`], [`GalleryError::OtherTemplateSpace`],
    /// [`GalleryError::Storage`].
    pub fn import(
        &self,
        imported: &Imported,
        people: &[(&str, &[RowBits])],
    ) -> Result<(), GalleryError> {
        let _admin = self.admin.lock().unwrap_or_else(PoisonError::into_inner);
        self.check_free(&imported.name)?;
        if imported.template_space != self.options.template_space {
            return Err(GalleryError::OtherTemplateSpace {
                collection: imported.name.clone(),
                found: imported.template_space.clone(),
                expected: self.options.template_space.clone(),
            });
        }
        let uuid = Uuid::new_v4();
        let unfinished = self.home(format!("{UNFINISHED_PREFIX}{uuid}"), uuid);
        let home = self.home(uuid.to_string(), uuid);
        let identity = Identity {
            collection: uuid.into_bytes(),
            name: imported.name.clone(),
            template_space: imported.template_space.clone(),
            created: imported.created,
            updated: imported.updated,
        };
        self.establish(&unfinished, home, &imported.name, |home| {
            Collection::write_with(home, &identity, people)
        })
    }

    /// Lets `write` fill a directory that becomes a collection's in one step.
    fn establish(
        &self,
        unfinished: &Home,
        home: Home,
        name: &str,
        write: impl FnOnce(&Home) -> Result<(), GalleryError>,
    ) -> Result<(), GalleryError> {
        let directory = home.directory.clone();
        (self.storage.create_directory(&unfinished.directory))
            .while_doing("creating a collection's directory", &unfinished.directory)
            .and_then(|()| write(unfinished))
            .and_then(|()| {
                let (from, to) = (&unfinished.directory, &home.directory);
                files::rename_durably(&*self.storage, &self.directory, from, to)
            })
            .and_then(|()| self.open_collection(home))
            .map(|collection| {
                self.write().insert(name.to_owned(), Arc::new(collection));
            })
            .inspect_err(|_| {
                let mut unwanted = self.unwanted.lock().unwrap_or_else(PoisonError::into_inner);
                unwanted.extend([unfinished.directory.clone(), directory]);
                drop(unwanted);
                let _ = self.remove_unwanted();
            })
    }

    /// Removes what is left of collections whose creation failed, durably. They were never acknowledged, and one of them must
    /// not be there beside another of the same name: at the next open it would be the older one, and hide it.
    fn remove_unwanted(&self) -> Result<(), GalleryError> {
        let mut unwanted = self.unwanted.lock().unwrap_or_else(PoisonError::into_inner);
        if unwanted.is_empty() {
            return Ok(());
        }
        for path in unwanted.iter() {
            files::absent_is_fine(self.storage.remove_directory(path))
                .while_doing("removing a collection that could not be created", path)?;
        }
        files::sync_directory(&*self.storage, &self.directory)?;
        unwanted.clear();
        Ok(())
    }

    /// Whether a collection may be created under this name.
    fn check_free(&self, name: &str) -> Result<(), GalleryError> {
        self.remove_unwanted()?;
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
        Ok(())
    }

    /// Takes everyone out of a collection and erases their templates. The collection keeps its name and time of creation, and
    /// belongs to the template space of the options from now on.
    ///
    /// # Errors
    /// [`GalleryError::UnknownCollection`], [`GalleryError::ReadOnly`], [`GalleryError::Storage`]. If the storage refuses to erase
    /// the old file, the collection is empty all the same, and clearing it again tries again.
    pub fn clear(&self, name: &str) -> Result<(), GalleryError> {
        self.get(name)?.clear()
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
            (self.storage.rename(collection.directory(), &deleted))
                .while_doing("deleting a collection", collection.directory())?;
            // From here on it is gone by name, whether or not the storage says so in time.
            durable = files::sync_directory(&*self.storage, &self.directory);
            Ok(())
        })?;
        self.write().remove(name);
        self.erase_directory(&deleted, Some(name));
        durable
    }
}
