//! Random histories of operations, the power cut at every moment of them, and errors of the storage at every call: whatever is
//! left, what was acknowledged is there and nothing else.
//!
//! ```text
//! operation  what is done, and what a plain map makes of it    timeline  what may be there at each moment of a recording
//! power      the power cut at every event                      clients   the same with concurrent clients
//! errors     errors and a full disk at every call              toy       an append log, with bugs on request
//! toy_tests  the machinery finds each of them                 subject   the gallery
//! gallery_tests  the gallery survives
//! ```

mod clients;
mod errors;
mod gallery_tests;
mod operation;
mod power;
mod subject;
mod timeline;
mod toy;
mod toy_tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::gallery::storage::Storage;
use operation::{Contents, Operation};

/// What is tested: a store of collections, opened anew after every power cut.
trait Subject: Sized + Send + Sync {
    /// Opens the store in the directory `/store`, which is created if need be.
    fn open(storage: Arc<dyn Storage>) -> Result<Self, String>;

    /// `Err` if it was refused, whatever the reason.
    fn apply(&self, operation: &Operation) -> Result<(), String>;

    /// Everything that it holds.
    fn contents(&self) -> Contents;

    /// Whether everyone that it holds is found, as a sentence if not.
    fn search(&self) -> Result<(), String>;

    /// What it has to complain of: damage, files that could not be removed. A power cut is no reason to complain.
    fn warnings(&self) -> Vec<String>;

    /// The operation may be done in memory though it returned `Err`, as its documentation says.
    fn may_count_in_spite_of_an_error(_: &Operation) -> bool {
        false
    }
}

/// A panic of the subject as an error, so that what led to it is shown and made shorter.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}
