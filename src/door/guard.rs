//! What the keeper shares, and the guard over its loop.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use super::events::Event;
use super::gpio::{self, GpioError, Outputs};
use super::journal::Journal;

/// How old the loop's sign of life may be before the guard takes the relay's current.
pub const LIFELESS: Duration = Duration::from_secs(1);
/// How old the thread's sign of life may be before only a restart of the daemon helps. Taking pins may wait for a driver.
const DEAD: Duration = Duration::from_secs(5);

/// What keeper, guard and everybody else share.
pub struct Shared {
    start: Instant,
    /// Milliseconds from `start` to the thread's last sign of life.
    alive: AtomicU64,
    /// Whether the loop is meant to go round. While it is not, it has released the relay itself.
    pub tending: AtomicBool,
    pub stopped: AtomicBool,
    /// Whether the guard has released the relay since the loop began. Written and read with `outputs` locked.
    pub guarded: AtomicBool,
    pub outputs: Mutex<Option<Box<dyn Outputs>>>,
}

impl Shared {
    pub fn new(outputs: Box<dyn Outputs>) -> Arc<Shared> {
        Arc::new(Shared {
            start: Instant::now(),
            alive: AtomicU64::new(0),
            tending: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            guarded: AtomicBool::new(false),
            outputs: Mutex::new(Some(outputs)),
        })
    }

    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Whether the thread lives, be it only to take the pins again.
    pub fn is_alive(&self) -> bool {
        self.silent_for() < DEAD
    }

    /// Whether the loop goes round: buttons are looked at and faces open.
    pub fn is_tending(&self) -> bool {
        self.tending.load(Ordering::Relaxed) && !self.stands_still()
    }

    fn stands_still(&self) -> bool {
        self.tending.load(Ordering::Relaxed) && self.silent_for() >= LIFELESS
    }

    fn silent_for(&self) -> Duration {
        let alive = Duration::from_millis(self.alive.load(Ordering::Relaxed));
        self.now().saturating_sub(alive)
    }

    /// The loop begins, with pins that were just taken.
    pub fn begin(&self) {
        let outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        self.guarded.store(false, Ordering::Relaxed);
        self.went_round();
        self.tending.store(true, Ordering::Relaxed);
        drop(outputs);
    }

    pub fn went_round(&self) {
        let alive = u64::try_from(self.now().as_millis()).unwrap_or(u64::MAX);
        self.alive.store(alive, Ordering::Relaxed);
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// A panic elsewhere leaves the outputs as usable as they were.
    pub fn with_outputs<R>(&self, work: impl FnOnce(&mut dyn Outputs) -> R) -> Option<R> {
        let mut outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        outputs.as_mut().map(|outputs| work(outputs.as_mut()))
    }

    pub fn release(&self) -> Result<(), GpioError> {
        self.with_outputs(gpio::release).unwrap_or(Ok(()))
    }
}

/// Takes the relay's current when the keeper's loop stands still, until it has ended.
pub fn watch(shared: &Shared, journal: &Journal) {
    let mut told = false;
    while !shared.stopped.load(Ordering::Relaxed) {
        std::thread::sleep(LIFELESS / 4);
        if !shared.stands_still() {
            told = false;
            continue;
        }
        // Who holds the outputs at this moment is switching them.
        let mut outputs = match shared.outputs.try_lock() {
            Ok(outputs) => outputs,
            // A panic that was caught: they are as usable as they were.
            Err(TryLockError::Poisoned(outputs)) => outputs.into_inner(),
            Err(TryLockError::WouldBlock) => continue,
        };
        shared.guarded.store(true, Ordering::Relaxed);
        let released = outputs
            .as_mut()
            .map(|outputs| gpio::release(outputs.as_mut()));
        drop(outputs);
        if !std::mem::replace(&mut told, true) {
            let what = match released {
                Some(Err(e)) => {
                    format!("the door stands still and its relay could not be released: {e}")
                }
                _ => "the door stands still, its relay was released".into(),
            };
            journal.tell(Event::Fault { what });
        }
    }
}
