//! License time: what counts as now when a license is judged. The rules and their reasons are in `docs/design/license.md`.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::clock::{BUILD_TIME, Clock};
use super::date::{DAY, LATEST, Seconds, is_usable};
use super::device::DeviceIdentity;
use super::file::Terms;
use super::mark::Mark;

/// By how much clocks of honest people differ: time zones set wrong, a server without time.
const TOLERANCE: Seconds = DAY;

/// How much running time a power cut may take from the mark. Each write wears the card.
const STORE_EVERY: Seconds = 15 * 60;

/// What the time says about a license.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    Valid,
    /// Expired, but for so many seconds it goes on working.
    Grace(Seconds),
    Expired,
    /// Issued after now.
    NotYet {
        now: Seconds,
    },
    /// The clock was set back from about then.
    Rollback {
        mark: Seconds,
    },
}

/// Keeps the high-water mark.
pub struct Timekeeper {
    clock: Arc<dyn Clock>,
    device: DeviceIdentity,
    /// `None` keeps nothing on disk.
    path: Option<PathBuf>,
    mark: Mark,
    stored: Option<Mark>,
    advanced_at: Duration,
    newest_commit: Seconds,
    /// Whether a reset was obeyed since the start: the commits that are told of afterwards are of the time that it declared void.
    reset_now: bool,
    complained: bool,
}

impl Timekeeper {
    /// Starts from the mark in `path`; only with `store` it is written again.
    pub fn start(
        clock: Arc<dyn Clock>,
        device: DeviceIdentity,
        path: PathBuf,
        store: bool,
    ) -> Timekeeper {
        let stored = Mark::load(&path, &device).unwrap_or_else(|e| {
            tracing::warn!(
                "license: {}: {e}; the time is taken from what else there is",
                path.display()
            );
            None
        });
        let mut mark = stored.unwrap_or_default();
        mark.time = mark.time.max(BUILD_TIME);
        Timekeeper {
            advanced_at: clock.uptime(),
            clock,
            device,
            path: store.then_some(path),
            mark,
            stored,
            newest_commit: 0,
            reset_now: false,
            complained: false,
        }
    }

    /// Lets the mark follow the time that passed while the program ran, and the clock where that is ahead. A board whose clock
    /// starts in 1970 after every power cut so gets older all the same.
    fn advance(&mut self) {
        let uptime = self.clock.uptime();
        let passed = uptime.saturating_sub(self.advanced_at).as_secs();
        self.advanced_at += Duration::from_secs(passed);
        self.mark.time = self.mark.time.saturating_add(passed);
        let now = self.clock.now();
        if is_usable(now) {
            self.mark.time = self.mark.time.max(now);
        }
    }

    /// The gallery holds a change of this time, so it was as late as that.
    pub fn saw_commit(&mut self, time: Seconds) {
        self.newest_commit = self.newest_commit.max(time);
        if self.reset_now {
            self.mark.void = self.mark.void.max(time);
        } else if is_usable(time) && time > self.mark.void {
            self.mark.time = self.mark.time.max(time);
        }
    }

    /// Judges signed terms of this device, and learns from them.
    pub fn judge(&mut self, terms: &Terms) -> Timing {
        self.advance();
        let clock = self.clock.now();
        // A clock that shows a time before the program was built has not been set since power came, and one that shows 2200 has
        // lost its senses. It says nothing then, and the vendor's signature is the best evidence of the time.
        let unset = || clock >= LATEST || (clock < BUILD_TIME && !self.clock.is_synchronised());
        if terms.issued > self.mark.time.saturating_add(TOLERANCE) && !unset() {
            return Timing::NotYet {
                now: self.mark.time,
            };
        }
        self.accept(terms, clock);
        let mark = self.mark.time;
        let Some(expires) = terms.expires else {
            return Timing::Valid;
        };
        if clock.saturating_add(TOLERANCE) < mark && self.clock.is_synchronised() {
            return Timing::Rollback { mark };
        }
        let until = terms.works_until().unwrap_or(expires);
        if mark < expires {
            Timing::Valid
        } else if mark < until {
            Timing::Grace(until - mark)
        } else {
            Timing::Expired
        }
    }

    fn accept(&mut self, terms: &Terms, clock: Seconds) {
        if terms.clock_reset && terms.issued > self.mark.reset {
            // Once for each such license. The time starts again from what the vendor signed.
            let void = self.mark.time.max(self.newest_commit);
            self.reset_now = true;
            self.mark = Mark {
                time: BUILD_TIME,
                reset: terms.issued,
                void,
            };
            if is_usable(clock) {
                self.mark.time = self.mark.time.max(clock);
            }
        }
        self.mark.time = self.mark.time.max(terms.issued);
    }

    /// Writes the mark if enough changed; at the end of the program, if anything did. A failure is logged and is no obstacle: the
    /// door opens also where the disk is full.
    pub fn store(&mut self, at_end: bool) {
        let Some(path) = &self.path else {
            return;
        };
        let due = match self.stored {
            None => true,
            Some(stored) if at_end => stored != self.mark,
            Some(stored) => {
                stored.reset != self.mark.reset || self.mark.time >= stored.time + STORE_EVERY
            }
        };
        if !due {
            return;
        }
        match self.mark.store(path, &self.device) {
            Ok(()) => {
                self.stored = Some(self.mark);
                self.complained = false;
            }
            Err(e) => self.complain(&e),
        }
    }

    fn complain(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.complained, true)
            && let Some(path) = &self.path
        {
            tracing::warn!(
                "license: the time cannot be kept in {}: {error}",
                path.display()
            );
        }
    }

    /// For what happens between judgements.
    pub fn tick(&mut self) {
        self.advance();
        self.store(false);
    }

    pub fn now(&self) -> Seconds {
        self.mark.time
    }
}
