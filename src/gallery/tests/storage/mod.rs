//! File systems for tests: one that remembers what it was asked and says what a power cut may leave, and one that refuses.
//!
//! ```text
//! recorded  a file system in memory that logs every operation     events  the log
//! tree      names and contents at one moment                      medium  what is durable of it, and what is not yet
//! images    what a power cut may leave                            failing errors and a full disk
//! rng       chance that is the same on every run
//! ```
//!
//! What the model of the medium takes for granted, all of it from the contract of `gallery::storage`:
//! - *Contents* and *names* are independent: a file that was renamed into place without having been synced may be there, empty.
//! - Contents: everything before the last good sync of the file, and any subset of the later writes and changes of length. A write
//!   may be torn into pieces at multiples of 512 bytes of the file, any of which may be missing; where a missing piece lies inside
//!   the length, old bytes or zeros show.
//! - Names: everything before the last good sync of the directory, and any subset of the later changes. A file system with a
//!   journal keeps their order; this one need not. A kept removal whose name holds another file in this image means nothing and is
//!   passed over. A rename moves its file from the old name to the new one in one step; where the creation under the old name was
//!   lost and the rename kept, the file is there under the new name only.
//! - A rename from one directory to another may be lost until *both* were synced. So may the removal of a directory until the one
//!   above it was; what was in it is removed name by name, and a power cut may come in between.
//! - After a failed sync of a file, the writes before it stay doubtful for good, whatever syncs succeed later; writes after it
//!   become durable with the next good sync. With `after_failed_sync_drop` their bytes are gone at once, also for reading, and
//!   only the length stays, as when the kernel marks the pages clean and then drops them. A failed sync of a directory proves
//!   nothing, and a later good one makes its names durable.

mod events;
mod failing;
mod images;
mod medium;
mod recorded;
mod rng;
#[cfg(test)]
mod tests;
mod tree;

pub use events::Recording;
pub use failing::{Failing, Fault, Kind};
pub use recorded::Recorded;
pub use rng::Rng;
