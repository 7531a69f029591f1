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
    door: Option<DoorWorks>,
}

/// What works at the door.
#[derive(Clone, Copy, Debug)]
struct DoorWorks {
    pins: bool,
    event_log: bool,
    events_lost: u64,
    openings_unrecorded: u64,
    decides: bool,
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
            door: self.door_health().map(|door| DoorWorks {
                pins: door.tending,
                event_log: door.log_fault.is_none(),
                events_lost: door.events_lost,
                openings_unrecorded: door.openings_unrecorded,
                decides: door.undecidable.is_none(),
            }),
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
        let door = self.door.map(|door| {
            [
                (
                    "door_works",
                    "gauge",
                    "Whether the door's pins can be used.",
                    u64::from(door.pins),
                ),
                (
                    "door_audit_log",
                    "gauge",
                    "Whether the log of the door's events can be written.",
                    u64::from(door.event_log),
                ),
                (
                    "door_events_lost_total",
                    "counter",
                    "Events of the door that never got into the log.",
                    door.events_lost,
                ),
                (
                    "door_openings_unrecorded_total",
                    "counter",
                    "Openings by faces whose record was not on the medium when the relay moved.",
                    door.openings_unrecorded,
                ),
                (
                    "door_decides",
                    "gauge",
                    "Whether the door can decide with the faces that are enrolled.",
                    u64::from(door.decides),
                ),
            ]
        });
        for (name, kind, help, value) in rows.into_iter().chain(door.into_iter().flatten()) {
            writeln!(f, "# HELP recocomp_{name} {help}")?;
            writeln!(f, "# TYPE recocomp_{name} {kind}")?;
            writeln!(f, "recocomp_{name} {value}")?;
        }
        Ok(())
    }
}
