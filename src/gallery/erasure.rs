//! When the bytes of those who were removed leave the files: removals that come together share one new generation.
//!
//! A removal is a record of some hundred bytes; erasing what it removed writes everyone else anew. So a client that deletes all
//! the time must not decide how often that is.

use std::time::{Duration, Instant};

/// Of the time within which removals are erased, the part that the first one after a pause waits for others.
const FIRST_WAITS: u32 = 12;

/// What is still to be erased from one collection's files.
#[derive(Debug, Default)]
pub(super) struct Erasure {
    /// When to write a new generation; `None` if nobody was removed since the last one.
    due: Option<Instant>,
    /// When the last one was begun.
    begun: Option<Instant>,
    /// It has to come about yet, or to be tried again.
    unfinished: bool,
}

impl Erasure {
    /// Somebody was removed `now`, and is to be erased before `within` is over.
    pub fn removed(&mut self, now: Instant, within: Duration) {
        let wait = within / FIRST_WAITS;
        let after_the_last = self.begun.map(|begun| begun + within - wait);
        let due = after_the_last.map_or(now + wait, |after| after.max(now + wait));
        self.due.get_or_insert(due);
    }

    /// Whether there is something to erase.
    pub fn is_pending(&self) -> bool {
        self.due.is_some() || self.unfinished
    }

    pub fn is_due(&self, now: Instant) -> bool {
        self.unfinished || self.due.is_some_and(|due| due <= now)
    }

    /// A generation without those who were removed until `now` is begun. Whoever is removed from here on waits for the next one.
    pub fn begin(&mut self, now: Instant) {
        self.unfinished |= self.due.take().is_some();
        self.begun = Some(now);
    }

    /// It came about.
    pub fn done(&mut self) {
        self.unfinished = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(60);

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_removal_waits_for_seconds_and_those_after_it_share_its_generation() {
        let start = Instant::now();
        let mut erasure = Erasure::default();
        assert!(!erasure.is_pending());
        for seconds in 0..5 {
            erasure.removed(after(start, seconds), WITHIN);
            assert!(erasure.is_pending() && !erasure.is_due(after(start, seconds)));
        }
        assert!(erasure.is_due(after(start, 5)));
    }

    /// However often somebody is removed, and always within the bound.
    #[test]
    fn a_long_series_writes_one_generation_a_minute() {
        let start = Instant::now();
        let (mut erasure, mut begun) = (Erasure::default(), Vec::new());
        let mut waiting_since = None;
        for second in 0..600 {
            let now = after(start, second);
            erasure.removed(now, WITHIN);
            waiting_since.get_or_insert(second);
            if erasure.is_due(now) {
                assert!(second - waiting_since.take().unwrap() <= WITHIN.as_secs());
                erasure.begin(now);
                erasure.done();
                begun.push(second);
            }
        }
        assert!(begun.len() <= 11, "{begun:?}");
    }

    #[test]
    fn what_was_begun_and_did_not_come_about_is_still_due() {
        let start = Instant::now();
        let mut erasure = Erasure::default();
        erasure.begin(start);
        assert!(!erasure.is_pending(), "nobody was removed");
        erasure.removed(start, WITHIN);
        erasure.begin(after(start, 60));
        erasure.removed(after(start, 61), WITHIN);
        assert!(erasure.is_due(after(start, 61)));
        erasure.done();
        assert!(
            erasure.is_pending() && !erasure.is_due(after(start, 61)),
            "the later removal waits"
        );
    }
}
