//! What keeps a gallery's files small and whole: compaction, scrubbing, erasure.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::collection::Collection;
use super::error::GalleryError;
use super::gallery::Gallery;
use super::generation::Pace;
use super::metrics::GalleryMetrics;
use super::scan::Part;

impl Gallery {
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
                Err(error) => {
                    self.heal_if_damaged(&collection, &error);
                    result = result.and(Err(error));
                }
            }
        }
        result.map(|()| rewritten)
    }

    /// Erases what removals left for later, as far as `limit` goes: to be called before the end. What is left is erased by
    /// [`Gallery::erase_removed`] after the next start.
    pub fn finish_erasures(&self, limit: Duration) {
        let until = Instant::now() + limit;
        for collection in self.all() {
            if Instant::now() < until {
                collection.erase_pending();
            }
        }
    }

    /// Writes a new generation of one collection with everyone who is in it now, and erases the files before it.
    ///
    /// # Errors
    /// [`GalleryError::UnknownCollection`], [`GalleryError::ReadOnly`], [`GalleryError::Storage`], [`GalleryError::Damaged`].
    pub fn compact(&self, name: &str) -> Result<(), GalleryError> {
        self.get(name)?.compact_now()
    }

    /// Names of the collections with a journal that an earlier release wrote, or that is in plain though there is a key, in the
    /// order of creation. [`Gallery::compact`] writes one in the present form.
    ///
    /// # Errors
    /// The first [`GalleryError`] of reading a journal's header.
    pub fn outdated(&self) -> Result<Vec<String>, GalleryError> {
        let mut outdated = Vec::new();
        for collection in self.all() {
            if collection.is_outdated()? {
                outdated.push((collection.created, collection.name().to_owned()));
            }
        }
        outdated.sort();
        Ok(outdated.into_iter().map(|(_, name)| name).collect())
    }

    /// Compacts every collection whose journals have become long, one after the other, while commits and searches go on.
    /// Returns how many there were; failures are logged.
    pub fn tend(&self) -> usize {
        let pace = Pace::BytesPerSecond(self.options.compaction_bytes_per_second);
        // Also while nobody writes it is told that somebody else may.
        let _ = self.lock.as_ref().map(|lock| lock.check());
        let mut tended = 0;
        for collection in self.all() {
            collection.erase_leftovers_in_background();
            collection.erase_if_due(pace);
            if collection.wants_compaction() {
                tended += 1;
                if let Err(error) = collection.compact_in_background(pace) {
                    match error.is_put_off() {
                        true => {
                            tracing::debug!(collection = collection.name(), %error, "no new generation yet");
                        }
                        false => {
                            tracing::warn!(collection = collection.name(), %error, "no new generation yet");
                        }
                    }
                    self.heal_if_damaged(&collection, &error);
                }
            }
        }
        tended
    }

    /// Reads every generation from the medium, slowly, and repairs what is damaged. Returns how many were.
    pub fn scrub(&self) -> usize {
        let damaged = |collection: &Arc<Collection>| match collection.scrub() {
            Ok(damaged) => damaged,
            Err(error) => {
                tracing::error!(collection = collection.name(), %error, "scrubbing failed");
                false
            }
        };
        self.all().iter().filter(|c| damaged(c)).count()
    }

    /// What a search of one collection reads, for measuring.
    ///
    /// # Errors
    /// [`GalleryError::UnknownCollection`].
    pub fn parts(&self, name: &str) -> Result<Vec<Part>, GalleryError> {
        Ok(self.get(name)?.read().people.parts())
    }

    /// Erases what was set aside as unreadable, once an operator has had the time to look at it, where it may be of people who left.
    /// To be called every hour.
    pub fn erase_old_quarantines(&self) {
        for collection in self.all() {
            if let Err(error) = collection.erase_old_quarantine() {
                tracing::error!(collection = collection.name(), %error, "the quarantine is not erased yet");
            }
        }
    }

    /// Counters since the gallery was opened.
    pub fn metrics(&self) -> GalleryMetrics {
        self.metrics.snapshot()
    }

    /// Asks compactions in the background to stop soon; new ones stop at once until [`Gallery::resume_tending`].
    pub fn stop_tending(&self) {
        self.all().iter().for_each(|c| c.set_hurry(true));
    }

    /// Lets compactions in the background run again.
    pub fn resume_tending(&self) {
        self.all().iter().for_each(|c| c.set_hurry(false));
    }

    fn heal_if_damaged(&self, collection: &Collection, error: &GalleryError) {
        if matches!(error, GalleryError::Damaged { .. })
            && let Err(error) = collection.heal()
        {
            tracing::error!(collection = collection.name(), %error, "damage could not be put right");
        }
    }
}
