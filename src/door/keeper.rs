//! The thread that has the pins.
//!
//! Nothing in its loop waits for a disk, a log, the network or another thread. Three things end an opening, each without the
//! others: the controller's time, the unwinding of a panic, and the guard, which takes the relay's current when the loop has not come
//! round for a second.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::board::Board;
use super::controller::{Controller, Happening, Rules};
use super::events::{Denied, Event, Opened};
use super::gpio::{self, GpioError, Output, Outputs, Pins};
use super::journal::Journal;
use super::lock::PinLock;

/// How often inputs are looked at.
const TICK: Duration = Duration::from_millis(20);
/// How old the loop's sign of life may be before the guard takes the relay's current.
const LIFELESS: Duration = Duration::from_secs(1);
/// How old the thread's sign of life may be before only a restart of the daemon helps. Taking pins may wait for a driver.
const DEAD: Duration = Duration::from_secs(5);
/// How long a face may have waited for the thread. Whoever stood there has been told, or is gone.
pub const STALE: Duration = Duration::from_secs(1);
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How often the same fault is told.
const FAULT_EVERY: Duration = Duration::from_secs(600);

/// What the keeper is asked for.
pub enum Command {
    /// Open for this face. The answer is whether it did, or `false` in the cool-down; none if it came to its turn too late.
    Face {
        opened: Opened,
        /// What is written down otherwise, but for the reason.
        refused: Denied,
        asked: Instant,
        answer: oneshot::Sender<bool>,
    },
    Deny(Denied),
    Stop,
}

/// What keeper, guard and everybody else share.
pub struct Shared {
    start: Instant,
    /// Milliseconds from `start` to the thread's last sign of life.
    alive: AtomicU64,
    /// Whether the loop is meant to go round. While it is not, it has released the relay itself.
    tending: AtomicBool,
    stopped: AtomicBool,
    /// Whether the guard has released the relay since the loop began. Written and read with `outputs` locked.
    guarded: AtomicBool,
    outputs: Mutex<Option<Box<dyn Outputs>>>,
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

    fn now(&self) -> Duration {
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
    fn begin(&self) {
        let outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        self.guarded.store(false, Ordering::Relaxed);
        self.went_round();
        self.tending.store(true, Ordering::Relaxed);
        drop(outputs);
    }

    fn went_round(&self) {
        let alive = u64::try_from(self.now().as_millis()).unwrap_or(u64::MAX);
        self.alive.store(alive, Ordering::Relaxed);
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// A panic elsewhere leaves the outputs as usable as they were.
    fn with_outputs<R>(&self, work: impl FnOnce(&mut dyn Outputs) -> R) -> Option<R> {
        let mut outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        outputs.as_mut().map(|outputs| work(outputs.as_mut()))
    }

    fn release(&self) -> Result<(), GpioError> {
        self.with_outputs(gpio::release).unwrap_or(Ok(()))
    }
}

/// The loop and what it needs to begin anew.
pub struct Keeper {
    pub board: Board,
    pub data: PathBuf,
    pub rules: Rules,
    pub commands: Receiver<Command>,
    pub journal: Journal,
    pub shared: Arc<Shared>,
    /// Held as long as the pins are.
    pub _lock: Option<Arc<PinLock>>,
}

impl Keeper {
    /// Keeps the door until it is told to stop. A fault or a panic releases the relay; a second later the pins are taken anew, so
    /// that the exit button works again.
    pub fn run(self, inputs: Box<dyn gpio::Inputs>) {
        let mut inputs = Some(inputs);
        let mut last: Option<(String, Instant)> = None;
        let mut tell = true;
        loop {
            self.shared.went_round();
            let ended = whole(|| {
                let inputs = match inputs.take() {
                    Some(inputs) => inputs,
                    None => self.take_again()?,
                };
                self.shared.begin();
                self.tend(inputs, tell)
            });
            let released = whole(|| self.shared.release());
            self.shared.tending.store(false, Ordering::Relaxed);
            let what = match (ended, released) {
                (Ok(()), Ok(())) => break,
                (Err(e), Ok(())) => e.to_string(),
                (Ok(()), Err(e)) => {
                    let what = format!("the relay could not be released: {e}");
                    self.journal.tell(Event::Fault { what });
                    break;
                }
                (Err(e), Err(release)) => {
                    format!("{e}; the relay could not be released: {release}")
                }
            };
            // A lasting fault must not push older events out of the log.
            tell = (last.as_ref())
                .is_none_or(|(said, at)| *said != what || at.elapsed() >= FAULT_EVERY);
            if tell {
                last = Some((what.clone(), Instant::now()));
                self.journal.tell(Event::Fault { what });
            }
            if self.wait_for_stop(AGAIN_AFTER) {
                break;
            }
        }
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Gives the lines back.
        *(self.shared.outputs.lock()).unwrap_or_else(PoisonError::into_inner) = None;
        self.journal.tell(Event::Stopped);
    }

    fn take_again(&self) -> Result<Box<dyn gpio::Inputs>, GpioError> {
        let mut outputs = (self.shared.outputs.lock()).unwrap_or_else(PoisonError::into_inner);
        // They are held exclusively: give them back first.
        *outputs = None;
        let pins: Pins = gpio::open(&self.board, &self.data)?;
        *outputs = Some(pins.outputs);
        Ok(pins.inputs)
    }

    /// Refuses what comes in meanwhile. Whether the keeper was told to stop.
    fn wait_for_stop(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        loop {
            self.shared.went_round();
            let left = until.saturating_duration_since(Instant::now());
            match self.commands.recv_timeout(left.min(LIFELESS / 4)) {
                // Dropping its sender answers it.
                Ok(Command::Face { .. } | Command::Deny(_)) => {}
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) if left.is_zero() => return false,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn tend(&self, mut inputs: Box<dyn gpio::Inputs>, tell: bool) -> Result<(), GpioError> {
        let first = inputs.read()?;
        let mut controller = Controller::new(self.rules, first, self.shared.now());
        if tell {
            self.journal.tell(Event::Started {
                board: self.board.to_string(),
                door_open: first.door_open,
            });
        }
        loop {
            let begun = Instant::now();
            let sensed = inputs.read()?;
            if begun.elapsed() >= LIFELESS {
                // The guard releases the relay then. An opening that it ended does not come back.
                return Err(GpioError::driver("inputs", "stood still"));
            }
            let now = self.shared.now();
            for happening in controller.step(now, sensed) {
                self.journal.tell(event(happening));
            }
            self.switch(&controller)?;
            self.shared.went_round();
            match self.commands.recv_timeout(TICK) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Ok(Command::Deny(denied)) => {
                    controller.deny(self.shared.now());
                    self.journal.tell(Event::Denied(denied));
                }
                Ok(Command::Face {
                    opened,
                    refused,
                    asked,
                    answer,
                }) => {
                    // Its search was told that the door does not answer: it must not open to nobody.
                    if answer.is_closed() || asked.elapsed() >= STALE {
                        self.journal.tell(refused_for("too_late", refused));
                        continue;
                    }
                    let open = controller.open_by_face(self.shared.now());
                    if open {
                        self.switch(&controller)?;
                    }
                    self.journal.tell(match open {
                        true => Event::Opened(opened),
                        false => refused_for("cool_down", refused),
                    });
                    // The client may be gone.
                    let _ = answer.send(open);
                }
            }
        }
    }

    /// Every output in every round: what disturbed a pin is put right; but what the guard released stays so.
    fn switch(&self, controller: &Controller) -> Result<(), GpioError> {
        let on = controller.outputs(self.shared.now());
        let written = self.shared.with_outputs(|outputs| {
            if self.shared.guarded.load(Ordering::Relaxed) {
                return Err(GpioError::driver("keeper", "stood still"));
            }
            outputs.write(Output::Relay, on.relay)?;
            outputs.write(Output::Green, on.green)?;
            outputs.write(Output::Red, on.red)?;
            outputs.write(Output::Buzzer, on.buzzer)
        });
        written.unwrap_or(Ok(()))
    }
}

/// What `work` comes to, be it by a panic of a driver.
fn whole<R>(work: impl FnOnce() -> Result<R, GpioError>) -> Result<R, GpioError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(GpioError::driver("keeper", "it panicked")))
}

fn refused_for(reason: &str, refused: Denied) -> Event {
    Event::Denied(Denied {
        reason: reason.into(),
        ..refused
    })
}

fn event(happening: Happening) -> Event {
    match happening {
        Happening::Button => Event::Opened(Opened {
            by: "button".into(),
            ..Opened::default()
        }),
        Happening::Relocked => Event::Relocked,
        Happening::DoorOpened => Event::DoorOpened,
        Happening::DoorClosed => Event::DoorClosed,
        Happening::Forced => Event::Forced,
        Happening::HeldOpen => Event::HeldOpen,
        Happening::Tamper => Event::Tamper,
        Happening::TamperEnded => Event::TamperEnded,
    }
}

/// Takes the relay's current when the keeper's loop stands still, until it has ended.
pub fn guard(shared: &Shared, journal: &Journal) {
    let mut told = false;
    while !shared.stopped.load(Ordering::Relaxed) {
        std::thread::sleep(LIFELESS / 4);
        if !shared.stands_still() {
            told = false;
            continue;
        }
        // Who holds the outputs at this moment is switching them.
        let Ok(mut outputs) = shared.outputs.try_lock() else {
            continue;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::board::Safe;
    use crate::door::events;

    /// Runs a keeper of the simulated board over `commands`, in order; its events.
    fn kept(commands: Vec<Command>) -> Vec<Event> {
        let data = tempfile::tempdir().unwrap();
        let board = Board::load("simulated").unwrap();
        let (journal, writer) = Journal::start(data.path(), true, None).unwrap();
        let pins = gpio::open(&board, data.path()).unwrap();
        let (to, receiver) = std::sync::mpsc::sync_channel(commands.len() + 1);
        for command in commands {
            to.send(command).ok().unwrap();
        }
        to.send(Command::Stop).ok().unwrap();
        let keeper = Keeper {
            board,
            data: data.path().into(),
            rules: Rules {
                safe: Safe::Locked,
                pulse: Duration::from_secs(60),
                cooldown: Duration::from_secs(1),
                held_open: Duration::from_secs(60),
            },
            commands: receiver,
            journal,
            shared: Shared::new(pins.outputs),
            _lock: None,
        };
        keeper.run(pins.inputs);
        writer.join().unwrap();
        let (_, records) = events::read(data.path()).unwrap();
        records.into_iter().map(|record| record.event).collect()
    }

    fn face(person: &str, asked: Instant) -> (Command, oneshot::Receiver<bool>) {
        let (answer, answered) = oneshot::channel();
        let command = Command::Face {
            opened: Opened {
                person: Some(person.into()),
                ..Opened::default()
            },
            refused: Denied {
                person: Some(person.into()),
                ..Denied::default()
            },
            asked,
            answer,
        };
        (command, answered)
    }

    #[test]
    fn a_face_that_nobody_waits_for_any_more_opens_nothing() {
        let now = Instant::now();
        let (gone, _) = face("gone", now);
        let (late, mut late_answer) = face("late", now.checked_sub(STALE).unwrap());
        // Not of the test's own waiting: it is asked for a minute from now.
        let (ada, mut answer) = face("ada", now + Duration::from_secs(60));
        let (bob, mut refusal) = face("bob", now + Duration::from_secs(60));
        let events = kept(vec![gone, late, ada, bob]);
        let told: Vec<(&str, &str)> = (events.iter())
            .filter_map(|event| match event {
                Event::Opened(opened) => Some(("opened", opened.person.as_deref()?)),
                Event::Denied(denied) => Some((denied.reason.as_str(), denied.person.as_deref()?)),
                _ => None,
            })
            .collect();
        // Refusals for one reason are written once, and then their newest.
        let expected = [
            ("too_late", "gone"),
            ("opened", "ada"),
            ("cool_down", "bob"),
            ("too_late", "late"),
        ];
        assert_eq!(told, expected, "{events:?}");
        assert_eq!(answer.try_recv(), Ok(true));
        assert_eq!(refusal.try_recv(), Ok(false));
        assert!(late_answer.try_recv().is_err());
    }
}
