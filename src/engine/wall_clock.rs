//! The time of day for a door's schedule, from a clock that can be believed.
//!
//! License time may lag behind: it must only never go back. A schedule needs the hour. A board without a battery goes on after a power
//! cut from where it was, so that at night it would be day, and whoever can pull its plug could choose the hour.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::Reason;
use crate::door::schedule::Schedule;
use crate::license::clock::{BUILD_TIME, Clock};

/// How often a clock that could not be believed is looked at again. It may take a process.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// The clock of the device, and whether it was seen to be right.
pub struct WallClock {
    clock: Arc<dyn Clock>,
    /// It was right once since the start of the program, and runs.
    right: AtomicBool,
    /// When it was last looked at.
    asked: Mutex<Option<Instant>>,
}

impl WallClock {
    pub fn new(clock: Arc<dyn Clock>) -> WallClock {
        WallClock {
            clock,
            right: AtomicBool::new(false),
            asked: Mutex::new(None),
        }
    }

    /// Whether the clock follows time servers, or did since the program started, or a hardware clock shows the same.
    ///
    /// May wait for a process for two seconds, as long as it is not so.
    pub fn is_right(&self) -> bool {
        if self.right.load(Ordering::Relaxed) {
            return true;
        }
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if !asked.is_some_and(|at| at.elapsed() < AGAIN_AFTER) {
            let right = is_right(self.clock.as_ref());
            self.right.store(right, Ordering::Relaxed);
            *asked = Some(Instant::now());
        }
        self.right.load(Ordering::Relaxed)
    }

    /// Whether faces open now.
    ///
    /// # Errors
    /// [`Reason::ClockNotSet`] or [`Reason::Schedule`].
    pub fn allows(&self, schedule: &Schedule) -> Result<(), Reason> {
        if schedule.is_always() {
            return Ok(());
        }
        if !self.is_right() {
            return Err(Reason::ClockNotSet);
        }
        let now = i64::try_from(self.clock.now()).map(Timestamp::from_second);
        let Ok(Ok(now)) = now else {
            return Err(Reason::ClockNotSet);
        };
        let now: Zoned = now.to_zoned(TimeZone::system());
        schedule.allows(&now).then_some(()).ok_or(Reason::Schedule)
    }
}

/// Whether the time of day can be taken from this clock now.
pub fn is_right(clock: &dyn Clock) -> bool {
    // Before this program was made no clock was right.
    clock.now() >= BUILD_TIME && (clock.agrees_with_hardware() || clock.is_synchronised())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Shown {
        now: u64,
        synchronised: AtomicBool,
        hardware: bool,
    }

    impl Clock for Shown {
        fn now(&self) -> u64 {
            self.now
        }

        fn uptime(&self) -> Duration {
            Duration::ZERO
        }

        fn is_synchronised(&self) -> bool {
            self.synchronised.load(Ordering::Relaxed)
        }

        fn agrees_with_hardware(&self) -> bool {
            self.hardware
        }
    }

    fn shown(now: u64, synchronised: bool, hardware: bool) -> (Arc<Shown>, WallClock) {
        let clock = Arc::new(Shown {
            now,
            synchronised: AtomicBool::new(synchronised),
            hardware,
        });
        (clock.clone(), WallClock::new(clock))
    }

    fn schedule(entries: &[&str]) -> Schedule {
        Schedule::parse(&entries.iter().map(|e| (*e).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_clock_that_nothing_confirms_keeps_a_schedule_shut() {
        let always = schedule(&["daily 00:00-24:00"]);
        let later = BUILD_TIME + 1_000_000;
        for (now, synchronised, hardware, allowed) in [
            (later, false, false, Err(Reason::ClockNotSet)),
            (later, true, false, Ok(())),
            (later, false, true, Ok(())),
            (0, true, true, Err(Reason::ClockNotSet)),
        ] {
            let (_, clock) = shown(now, synchronised, hardware);
            assert_eq!(clock.allows(&always), allowed, "{now} {synchronised}");
            // Without a schedule the clock does not matter.
            assert_eq!(clock.allows(&schedule(&[])), Ok(()));
        }
        let (_, clock) = shown(later, true, false);
        let hour = |hour: u64| format!("daily {:02}:00-{:02}:00", hour % 24, (hour + 1) % 24);
        let now = Timestamp::from_second(later as i64).unwrap();
        let now = now.to_zoned(TimeZone::system()).hour() as u64;
        assert_eq!(clock.allows(&schedule(&[&hour(now)])), Ok(()));
        let other = schedule(&[&hour(now + 5)]);
        assert_eq!(clock.allows(&other), Err(Reason::Schedule));
    }

    #[test]
    fn a_clock_that_was_right_runs_on_without_its_server() {
        let (server, clock) = shown(BUILD_TIME, true, false);
        assert!(clock.is_right());
        server.synchronised.store(false, Ordering::Relaxed);
        assert!(clock.is_right());
    }
}
