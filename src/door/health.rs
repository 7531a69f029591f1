//! How the event log fares, for whoever watches over the appliance.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// After so long a medium that does not answer counts as one that cannot be written.
const SILENT: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct LogHealth {
    fault: Mutex<Option<String>>,
    /// Since when the medium is being waited for.
    since: Mutex<Option<Instant>>,
    pub(super) lost: AtomicU64,
    pub(super) unrecorded: AtomicU64,
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LogHealth {
    /// Why the log cannot be written at present, if so.
    pub fn fault(&self) -> Option<String> {
        let waited = lock(&self.since).map(|since| since.elapsed());
        if let Some(waited) = waited.filter(|waited| *waited >= SILENT) {
            return Some(format!(
                "the medium has not answered for {} s",
                waited.as_secs()
            ));
        }
        lock(&self.fault).clone()
    }

    /// Events that never got there since the start.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Openings by faces since the start whose record was not on the medium when the relay moved.
    pub fn unrecorded(&self) -> u64 {
        self.unrecorded.load(Ordering::Relaxed)
    }

    /// Returns the one before.
    pub(super) fn set_fault(&self, fault: Option<String>) -> Option<String> {
        std::mem::replace(&mut *lock(&self.fault), fault)
    }

    pub(super) fn waits(&self, waits: bool) {
        *lock(&self.since) = waits.then(Instant::now);
    }
}
