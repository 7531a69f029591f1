//! What the gallery counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the gallery was opened.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    commits: AtomicU64,
    syncs: AtomicU64,
    compactions: AtomicU64,
    damage: AtomicU64,
}

/// Counters of a gallery since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GalleryMetrics {
    /// Changes made durable.
    pub commits: u64,
    /// Waits for the storage that they took; fewer than commits where they came together.
    pub commit_syncs: u64,
    /// Generations written.
    pub compactions: u64,
    /// Reports of damage: what opening, searching and scrubbing found.
    pub damage: u64,
}

impl Metrics {
    /// One sync made so many changes durable.
    pub fn committed(&self, changes: usize) {
        self.commits.fetch_add(changes as u64, Ordering::Relaxed);
        self.syncs.fetch_add(1, Ordering::Relaxed);
    }

    pub fn compacted(&self) {
        self.compactions.fetch_add(1, Ordering::Relaxed);
    }

    pub fn damage_found(&self, reports: usize) {
        self.damage.fetch_add(reports as u64, Ordering::Relaxed);
    }

    pub fn snapshot(&self) -> GalleryMetrics {
        GalleryMetrics {
            commits: self.commits.load(Ordering::Relaxed),
            commit_syncs: self.syncs.load(Ordering::Relaxed),
            compactions: self.compactions.load(Ordering::Relaxed),
            damage: self.damage.load(Ordering::Relaxed),
        }
    }
}
