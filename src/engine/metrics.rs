//! What the appliance counts, for monitoring.

use std::fmt;

use super::Engine;
use crate::gallery::GalleryMetrics;

/// Counters and sizes at one moment. Its text is the exposition format of Prometheus.
#[derive(Clone, Copy, Debug)]
pub struct Metrics {
    gallery: GalleryMetrics,
    collections: usize,
    people: usize,
    features: usize,
    warnings: usize,
}

impl Engine {
    /// Counters since the start, and what the gallery holds now.
    pub fn metrics(&self) -> Metrics {
        let collections = self.gallery.list();
        Metrics {
            gallery: self.gallery.metrics(),
            collections: collections.len(),
            people: collections.iter().map(|c| c.person_num).sum(),
            features: collections.iter().map(|c| c.feature_num).sum(),
            warnings: self.gallery.warnings().len(),
        }
    }
}

impl Metrics {
    /// Collections that are served.
    pub fn collections(&self) -> usize {
        self.collections
    }

    /// People in all collections; who is in two counts twice.
    pub fn people(&self) -> usize {
        self.people
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gallery = &self.gallery;
        let rows = [
            (
                "collections",
                "gauge",
                "Collections that are served.",
                self.collections as u64,
            ),
            (
                "people",
                "gauge",
                "People in all collections.",
                self.people as u64,
            ),
            (
                "features",
                "gauge",
                "Stored features.",
                self.features as u64,
            ),
            (
                "gallery_warnings",
                "gauge",
                "What is wrong on disk now; the status of the collections says what.",
                self.warnings as u64,
            ),
            (
                "gallery_damage_total",
                "counter",
                "Reports of damaged files since the start.",
                gallery.damage,
            ),
            (
                "gallery_commits_total",
                "counter",
                "Changes made durable.",
                gallery.commits,
            ),
            (
                "gallery_commit_syncs_total",
                "counter",
                "Waits for the storage that these took.",
                gallery.commit_syncs,
            ),
            (
                "gallery_compactions_total",
                "counter",
                "Generations written.",
                gallery.compactions,
            ),
        ];
        for (name, kind, help, value) in rows {
            writeln!(f, "# HELP recocomp_{name} {help}")?;
            writeln!(f, "# TYPE recocomp_{name} {kind}")?;
            writeln!(f, "recocomp_{name} {value}")?;
        }
        Ok(())
    }
}
