//! The record of an opening on its way to the medium.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the keeper asks while it goes round, and the journal's thread answers.
#[derive(Clone, Default)]
pub struct Ticket(Arc<AtomicU64>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// In the queue, or with the medium.
    Waiting,
    /// On the medium, with its number.
    Written(u64),
    /// The log could not be written.
    Refused,
}

// What no number of a record is: they are 1 to 2^53 - 1.
const QUEUED: u64 = 0;
const BEGUN: u64 = u64::MAX;
const REFUSED: u64 = u64::MAX - 1;
const WITHDRAWN: u64 = u64::MAX - 2;

impl Ticket {
    pub fn state(&self) -> State {
        match self.0.load(Ordering::Acquire) {
            QUEUED | BEGUN => State::Waiting,
            REFUSED | WITHDRAWN => State::Refused,
            number => State::Written(number),
        }
    }

    /// The number under which it was written.
    pub fn number(&self) -> Option<u64> {
        match self.state() {
            State::Written(number) => Some(number),
            State::Waiting | State::Refused => None,
        }
    }

    /// Whether it is still to be written; from now on it cannot be withdrawn.
    pub fn begin(&self) -> bool {
        self.change(QUEUED, BEGUN)
    }

    /// It was written under this number, or could not be.
    pub fn end(&self, number: Option<u64>) {
        self.0.store(number.unwrap_or(REFUSED), Ordering::Release);
    }

    pub fn refuse(&self) {
        self.end(None);
    }

    /// Whether it was not begun, and is never going to be.
    pub fn withdraw(&self) -> bool {
        self.change(QUEUED, WITHDRAWN)
    }

    fn change(&self, from: u64, to: u64) -> bool {
        let changed = (self.0).compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
        changed.is_ok()
    }
}
