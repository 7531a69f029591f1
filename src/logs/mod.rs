//! The two logs of the appliance, each written once: what happened (EVENTS) and who did it (AUDIT).
//!
//! | file | what it does |
//! |---|---|
//! | [`record`] | a record: number, moment, type, data |
//! | [`events`] | EVENTS: bounded by size, read from a number on |
//! | [`audit`] | AUDIT: chained, kept by time |
//! | [`earlier`] | what a door of version 1.0.0 wrote, which EVENTS goes on from |
//! | `numbers` | which numbers may be given, so that a loss is a gap |
//! | `series` | the files of a log |
//! | `lines` | lines of files that may be damaged |
//! | `files` | folders and files that the owner alone may read |
//!
//! Both are folders of JSON lines below `logs/` in the data folder. They name people by their `target_id`; pictures and templates never
//! get there. docs/adr/0013 fixes the bytes.

pub mod audit;
pub mod earlier;
pub mod events;
mod files;
mod lines;
mod numbers;
pub mod record;
mod series;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use record::{Moment, Record, uptime};

/// Folder of both logs.
fn folder(data: &Path) -> PathBuf {
    data.join("logs")
}

/// How the medium below a log behaves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Medium {
    /// Waited before every sync: a workstation's disk then stands for a card.
    pub wait: Duration,
}
