//! Who waits for the background to let go of a collection's files.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Asks whoever writes slowly in the background to stop.
#[derive(Default)]
pub(super) struct Hurry {
    /// How many wait. A count, because one who is served must not take back what another asked for.
    waiting: AtomicUsize,
    /// The background is to stop until further notice.
    stopped: AtomicBool,
}

impl Hurry {
    /// Whether the background is to let go.
    pub fn is_on(&self) -> bool {
        self.stopped.load(Ordering::SeqCst) || self.waiting.load(Ordering::SeqCst) > 0
    }

    /// Takes a lock that the background may hold.
    pub fn wait_for<T>(&self, lock: impl FnOnce() -> T) -> T {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let locked = lock();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        locked
    }

    /// Whether the background is to end altogether.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    pub fn set_stopped(&self, stopped: bool) {
        self.stopped.store(stopped, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_who_is_served_does_not_take_back_what_another_asked_for() {
        let hurry = Hurry::default();
        assert!(!hurry.is_on());
        hurry.wait_for(|| {
            hurry.wait_for(|| assert!(hurry.is_on()));
            assert!(hurry.is_on());
        });
        assert!(!hurry.is_on());
    }

    #[test]
    fn stopped_lasts_until_it_is_taken_back() {
        let hurry = Hurry::default();
        hurry.set_stopped(true);
        hurry.wait_for(|| ());
        assert!(hurry.is_on());
        hurry.set_stopped(false);
        assert!(!hurry.is_on());
    }
}
