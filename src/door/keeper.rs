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

/// How often inputs are looked at.
const TICK: Duration = Duration::from_millis(20);
/// How old a sign of life may be.
const LIFELESS: Duration = Duration::from_secs(1);
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How often the same fault is told.
const FAULT_EVERY: Duration = Duration::from_secs(600);

/// What the keeper is asked for.
pub enum Command {
    /// Open for this face. The answer is whether it did, or `false` in the cool-down.
    Face {
        opened: Opened,
        cooldown: Denied,
        answer: oneshot::Sender<bool>,
    },
    Deny(Denied),
    Stop,
}

/// What keeper, guard and everybody else share.
pub struct Shared {
    start: Instant,
    /// Milliseconds from `start` to the last round of the loop.
    alive: AtomicU64,
    /// Whether the loop is meant to go round. While it is not, it has released the relay itself.
    tending: AtomicBool,
    stopped: AtomicBool,
    outputs: Mutex<Option<Box<dyn Outputs>>>,
}

impl Shared {
    pub fn new(outputs: Box<dyn Outputs>) -> Arc<Shared> {
        Arc::new(Shared {
            start: Instant::now(),
            alive: AtomicU64::new(0),
            tending: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            outputs: Mutex::new(Some(outputs)),
        })
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Whether the loop goes round.
    pub fn is_alive(&self) -> bool {
        self.tending.load(Ordering::Relaxed) && !self.stands_still()
    }

    fn stands_still(&self) -> bool {
        let alive = Duration::from_millis(self.alive.load(Ordering::Relaxed));
        self.tending.load(Ordering::Relaxed) && self.now() >= alive + LIFELESS
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
}

impl Keeper {
    /// Keeps the door until it is told to stop. A fault or a panic releases the relay; a second later the pins are taken anew, so
    /// that the exit button works again.
    pub fn run(self, inputs: Box<dyn gpio::Inputs>) {
        let mut inputs = Some(inputs);
        let mut last: Option<(String, Instant)> = None;
        let mut tell = true;
        loop {
            let taken = match inputs.take() {
                Some(inputs) => Ok(inputs),
                None => self.take_again(),
            };
            let ended = taken.and_then(|inputs| {
                self.shared.went_round();
                self.shared.tending.store(true, Ordering::Relaxed);
                catch_unwind(AssertUnwindSafe(|| self.tend(inputs, tell)))
                    .unwrap_or_else(|_| Err(GpioError::driver("keeper", "it panicked")))
            });
            let released = self.shared.release();
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
            match self
                .commands
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                // Dropping its sender answers it.
                Ok(Command::Face { .. } | Command::Deny(_)) => {}
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
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
                // The guard has released the relay. An opening that it ended does not come back.
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
                    cooldown,
                    answer,
                }) => {
                    let open = controller.open_by_face(self.shared.now());
                    if open {
                        self.switch(&controller)?;
                    }
                    self.journal.tell(match open {
                        true => Event::Opened(opened),
                        false => Event::Denied(cooldown),
                    });
                    // The client may be gone.
                    let _ = answer.send(open);
                }
            }
        }
    }

    /// Every output in every round: what disturbed a pin, the guard included, is put right.
    fn switch(&self, controller: &Controller) -> Result<(), GpioError> {
        let on = controller.outputs(self.shared.now());
        let written = self.shared.with_outputs(|outputs| {
            outputs.write(Output::Relay, on.relay)?;
            outputs.write(Output::Green, on.green)?;
            outputs.write(Output::Red, on.red)?;
            outputs.write(Output::Buzzer, on.buzzer)
        });
        written.unwrap_or(Ok(()))
    }
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
