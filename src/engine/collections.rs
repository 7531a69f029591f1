//! Making, emptying, deleting and listing collections.

use std::collections::HashSet;
use std::time::Duration;

use super::{Code, Engine, Error, check_collection_name};
use crate::gallery::{CollectionStatus, Gallery, GalleryError};

/// How long erasing may take at the end, before the rest is left to the next start.
const ERASURES_FINISH: Duration = Duration::from_secs(20);

/// For the operations whose code for a missing collection is 1005.
fn by_name(e: GalleryError) -> Error {
    match e {
        GalleryError::UnknownCollection { .. } => {
            Error::new(Code::CheckCollectionName).with(e.to_string())
        }
        e => e.into(),
    }
}

impl Engine {
    /// Makes an empty collection.
    ///
    /// # Errors
    /// 1003, 1004, 1002, 1012, 1001.
    pub async fn create_collection(&self, name: String) -> Result<(), Error> {
        check_collection_name(&name)?;
        let promise = self.promise_collection(&name)?;
        self.with_gallery(move |gallery| {
            let _promise = promise;
            gallery.create(&name)
        })
        .await
        .map_err(by_name)
    }

    /// Removes every face of a collection.
    ///
    /// # Errors
    /// 1003, 1005, 1001.
    pub async fn clear_collection(&self, name: String) -> Result<(), Error> {
        check_collection_name(&name)?;
        self.with_gallery(move |gallery| gallery.clear(&name))
            .await
            .map_err(by_name)
    }

    /// Removes a collection with every face.
    ///
    /// # Errors
    /// 1003, 1005, 1001.
    pub async fn delete_collection(&self, name: String) -> Result<(), Error> {
        check_collection_name(&name)?;
        self.with_gallery(move |gallery| gallery.delete(&name))
            .await
            .map_err(by_name)
    }

    /// The collections of these names, each once, in that order; all of them for no names.
    ///
    /// # Errors
    /// 1003, 1005.
    pub fn collection_status(&self, names: &[String]) -> Result<Vec<CollectionStatus>, Error> {
        if names.is_empty() {
            return Ok(self.gallery.list());
        }
        let mut seen = HashSet::new();
        (names.iter())
            .filter(|name| seen.insert(name.as_str()))
            .map(|name| {
                check_collection_name(name)?;
                self.gallery.status(name).map_err(by_name)
            })
            .collect()
    }

    /// What was found damaged in folders whose collection could not be told, a sentence each; the
    /// other damage is in its collection's status.
    pub fn gallery_warnings(&self) -> Vec<String> {
        (self.gallery.warnings().into_iter())
            .filter(|warning| warning.collection.is_none())
            .map(|warning| format!("{}: {}", warning.directory.display(), warning.what))
            .collect()
    }

    /// Rewrites the files that still hold bytes of removed faces. To be called at start and once a
    /// day: that interval is the bound within which removed faces are gone from the disk.
    pub async fn erase_removed(&self) {
        match self.with_gallery(Gallery::erase_removed).await {
            Ok(0) => {}
            Ok(files) => tracing::info!("erased removed faces from {files} files"),
            Err(e) => tracing::error!("removed faces could not be erased: {e}"),
        }
    }

    /// Erases what removals left for later. To be called before the end.
    pub async fn finish_erasures(&self) {
        let done = self.with_gallery(|gallery| {
            gallery.finish_erasures(ERASURES_FINISH);
            Ok(())
        });
        // Only a failure of the thread, which is told; the next start erases.
        let _ = done.await;
    }

    /// Within which time the faces of somebody who was removed just now leave the files on the disk; zero if the collection went
    /// meanwhile.
    pub fn erased_within(&self, collection: &str) -> Duration {
        self.gallery.erased_within(collection).unwrap_or_default()
    }
}
