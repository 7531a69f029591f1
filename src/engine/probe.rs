//! Whether the appliance could answer a search now, for whoever watches over it.

use std::time::Duration;

use super::Engine;
use crate::gallery::GalleryError;
use crate::inference::Stall;
use crate::recognition::Refusal;

/// No picture within the limits takes a worker that long, on the slowest board, with the slowest card below the gallery.
const LONGEST_JOB: Duration = Duration::from_secs(120);

/// What keeps the appliance from answering.
#[derive(Debug, thiserror::Error)]
pub enum Ailment {
    #[error(transparent)]
    Workers(#[from] Stall),
    #[error("the networks fail: {0}")]
    Networks(Refusal),
    #[error("the gallery cannot be read: {0}")]
    Gallery(#[from] GalleryError),
}

impl Engine {
    /// Has a worker run every network and look at every collection, then reads the gallery's folder. What waits in the queue
    /// waits meanwhile; the queue being full is no ailment.
    ///
    /// Blocks this thread: for `limit` at most while workers are busy, for as long as it takes on a disk that does not answer.
    ///
    /// # Errors
    /// [`Ailment`], in words for the log.
    pub fn probe(&self, limit: Duration) -> Result<(), Ailment> {
        let gallery = self.gallery.clone();
        let rehearsed = self
            .recognizers
            .probe(limit, LONGEST_JOB, move |recognizer| {
                // As a search does: waits if somebody keeps the lock of a collection for ever.
                gallery.list();
                recognizer.rehearse()
            })?;
        rehearsed.map_err(Ailment::Networks)?;
        Ok(self.gallery.probe()?)
    }
}
