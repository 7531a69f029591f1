//! Face collections on disk: templates with the target id of the person they belong to, kept through power cuts, searched exactly.
//!
//! A [`Gallery`] is a directory with one directory a collection, and in it one *journal*, to which every change is appended as one
//! checksummed record and synced before it is acknowledged. All people are also in memory, where they are searched.
//! `docs/design/gallery.md` draws the files and gives the rules of recovery and erasure.
//!
//! ```text
//! gallery     the set: open, lock, create, delete, find by name
//! collection  one collection: storage first, memory second
//! batch       what of a batch is stored (quotas)
//! people      the people in memory          search    comparing and ranking
//! recovery    opening after a power cut or damage
//! replay      reading a journal             journal   writing one
//! operation   what a record says            format    its bytes
//! template    a face template               files     durable names
//! listing     everyone, page by page        lookup    one person, many searches at once
//! forms       one name in two Unicode forms  renaming  one person's features and name
//! waste       when a journal is rewritten   lock, clock
//! erasure     removals that share one new generation
//! ```

mod aside;
mod batch;
mod care;
mod chunk;
mod clock;
mod collection;
mod commit;
mod creation;
mod erasure;
mod error;
mod files;
mod format;
mod forms;
mod fusion;
#[allow(clippy::module_inception)] // The room is named after the one type that it is about.
mod gallery;
mod generation;
mod healing;
mod hurry;
mod journal;
mod keeper;
mod listing;
mod lock;
mod lookup;
mod metrics;
mod operation;
mod people;
mod place;
pub mod portable;
mod reading;
mod records;
mod recovery;
mod renaming;
mod replay;
pub mod scan;
mod seal;
mod search;
pub mod storage;
mod survey;
mod template;
mod tending;
#[cfg(test)]
mod tests;
mod waste;
mod writing;

pub use batch::{IDENTICAL_COSINE, InsertReport, UpdateReport};
pub use collection::CollectionStatus;
pub use error::{GalleryError, Warning};
pub use forms::normalized;
pub use fusion::Fusion;
pub use gallery::{Gallery, Imported, MAX_COLLECTIONS, MAX_FEATURES_PER_TARGET, Options};
pub use keeper::{Keeper, step_back};
pub use listing::{Page, Person};
pub use metrics::GalleryMetrics;
pub use people::Hit;
pub use renaming::Renamed;
pub use seal::SealError;
pub use survey::{Snapshot, Surveyed, survey};
pub use template::{RowBits, TEMPLATE_DIMENSIONS, Template, TemplateError, UNIT_TOLERANCE};
