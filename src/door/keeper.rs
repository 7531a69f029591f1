//! The thread that has the pins.
//!
//! Nothing in its loop waits for a disk, a log, the network or another thread. Three things end an opening, each without the
//! others: the controller's time, the unwinding of a panic, and the guard, which takes the relay's current when the loop has not come
//! round for a second.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::Answer;
use super::board::Board;
use super::controller::{Controller, Happening, Rules};
use super::events::{Denied, Event, Opened};
use super::gpio::{self, GpioError, Output, Outputs, Pins};
use super::guard::{LIFELESS, Shared};
use super::journal::Journal;
use super::lock::PinLock;
use super::opening::{Face, Opening, Recorded};
use super::settings::LogRule;

/// How often inputs are looked at.
const TICK: Duration = Duration::from_millis(20);
/// The same while a face waits for its record.
const SHORT_TICK: Duration = Duration::from_millis(2);
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How often the same fault is told.
const FAULT_EVERY: Duration = Duration::from_secs(600);
/// After so long without it a fault that was not told each time is over.
const STEADY: Duration = Duration::from_secs(5);

/// Which faults are told: one that lasts, or comes and goes, must not push older events out of the log.
#[derive(Default)]
struct Faults {
    /// What was told last, and when.
    told: Option<(String, Instant)>,
    /// When it was told last that an untold one is over.
    ended: Option<Instant>,
    /// When a fault of each signal was told last.
    signals: [Option<Instant>; Output::ALL.len()],
    /// When it was told last that the log is slow.
    slow_log: Option<Instant>,
}

impl Faults {
    fn is_news(&mut self, what: &str) -> bool {
        let news = (self.told.as_ref()).is_none_or(|(said, at)| said != what || is_due(*at));
        if news {
            self.told = Some((what.to_owned(), Instant::now()));
        }
        news
    }

    /// If so, the next fault is news again.
    fn end_is_news(&mut self) -> bool {
        let news = self.ended.is_none_or(is_due);
        if news {
            self.ended = Some(Instant::now());
            self.told = None;
        }
        news
    }

    fn signal_is_news(&mut self, output: Output) -> bool {
        tell_again(&mut self.signals[output as usize])
    }

    fn slow_log_is_news(&mut self) -> bool {
        tell_again(&mut self.slow_log)
    }
}

fn tell_again(last: &mut Option<Instant>) -> bool {
    let news = last.is_none_or(is_due);
    if news {
        *last = Some(Instant::now());
    }
    news
}

/// Whether what was told then may be told again.
fn is_due(told: Instant) -> bool {
    told.elapsed() >= FAULT_EVERY
}

/// What the keeper is asked for.
pub enum Command {
    /// Open for this face.
    Face(Face),
    Deny(Denied),
    Stop,
}

/// The loop and what it needs to begin anew.
pub struct Keeper {
    pub board: Board,
    pub data: PathBuf,
    pub rules: Rules,
    pub log: LogRule,
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
        let mut faults = Faults::default();
        let mut tell = true;
        loop {
            self.shared.went_round();
            let ended = whole(|| {
                let inputs = match inputs.take() {
                    Some(inputs) => inputs,
                    None => self.take_again()?,
                };
                self.shared.begin();
                self.tend(inputs, tell, &mut faults)
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
            tell = faults.is_news(&what);
            if tell {
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
                Ok(Command::Face(_) | Command::Deny(_)) => {}
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) if left.is_zero() => return false,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn tend(
        &self,
        mut inputs: Box<dyn gpio::Inputs>,
        tell: bool,
        faults: &mut Faults,
    ) -> Result<(), GpioError> {
        let first = inputs.read()?;
        let mut controller = Controller::new(self.rules, first, self.shared.now());
        let since = Instant::now();
        let mut sensed = first;
        let mut started = false;
        let mut waiting: Option<Opening> = None;
        loop {
            // After a fault that was not told: once it is over.
            if !started && (tell || (since.elapsed() >= STEADY && faults.end_is_news())) {
                started = true;
                self.journal.tell(Event::Started {
                    board: self.board.to_string(),
                    door_open: sensed.door_open,
                });
            }
            let begun = Instant::now();
            sensed = inputs.read()?;
            if begun.elapsed() >= LIFELESS {
                // The guard releases the relay then. An opening that it ended does not come back.
                return Err(GpioError::driver("inputs", "stood still"));
            }
            let now = self.shared.now();
            for happening in controller.step(now, sensed) {
                self.journal.tell(event(happening));
            }
            self.switch_relay(&controller)?;
            self.signal(&controller, faults)?;
            self.shared.went_round();
            // What else is asked for waits as long.
            if let Some(opening) = waiting.take() {
                match opening.recorded() {
                    None => {
                        waiting = Some(opening);
                        std::thread::sleep(SHORT_TICK);
                    }
                    Some(recorded) => self.let_in(opening, recorded, &mut controller, faults)?,
                }
                continue;
            }
            match self.commands.recv_timeout(TICK) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Ok(Command::Deny(denied)) => {
                    controller.deny(self.shared.now());
                    self.journal.tell(Event::Denied(denied));
                }
                Ok(Command::Face(face)) if face.is_late() => {
                    face.refuse(&self.journal, "too_late", Answer::TooLate);
                }
                Ok(Command::Face(face)) if !controller.admits_face(self.shared.now()) => {
                    face.refuse(&self.journal, "cool_down", Answer::CoolDown);
                }
                Ok(Command::Face(face)) => waiting = Some(Opening::ask(face, &self.journal)),
            }
        }
    }

    /// Opens for a face whose record the log has taken, or cannot take.
    fn let_in(
        &self,
        opening: Opening,
        recorded: Recorded,
        controller: &mut Controller,
        faults: &mut Faults,
    ) -> Result<(), GpioError> {
        if opening.is_late() {
            opening.give_up("too_late", Answer::TooLate);
            return Ok(());
        }
        match recorded {
            Recorded::Yes => {}
            Recorded::Refused | Recorded::TooSlow if self.log == LogRule::Required => {
                opening.give_up("log", Answer::NotRecorded);
                controller.deny(self.shared.now());
                return Ok(());
            }
            Recorded::Refused => self.journal.opened_unrecorded(),
            Recorded::TooSlow => {
                self.journal.opened_unrecorded();
                if faults.slow_log_is_news() {
                    let what = "the medium of the event log takes longer than an opening waits for it; the door goes on without".into();
                    self.journal.tell(Event::Fault { what });
                }
            }
        }
        controller.open_by_face(self.shared.now());
        let switched = self.switch_relay(controller);
        match switched {
            Ok(()) => opening.done(),
            Err(_) => opening.give_up("fault", Answer::Dead),
        }
        switched
    }

    /// The relay and, with [`Keeper::signal`], every output in every round: what disturbed a pin is put right.
    fn switch_relay(&self, controller: &Controller) -> Result<(), GpioError> {
        let on = controller.outputs(self.shared.now());
        self.unless_guarded(|outputs| outputs.write(Output::Relay, on.relay))?
    }

    /// LEDs and buzzer. One that is broken is told, and keeps no door shut.
    fn signal(&self, controller: &Controller, faults: &mut Faults) -> Result<(), GpioError> {
        let on = controller.outputs(self.shared.now());
        let signals = [
            (Output::Green, on.green),
            (Output::Red, on.red),
            (Output::Buzzer, on.buzzer),
        ];
        let written = self.unless_guarded(|outputs| {
            signals.map(|(output, on)| (output, outputs.write(output, on)))
        })?;
        for (output, written) in written {
            if let Err(e) = written
                && faults.signal_is_news(output)
            {
                let what = format!("{e}; the door goes on without");
                self.journal.tell(Event::Fault { what });
            }
        }
        Ok(())
    }

    /// What the guard released stays so.
    fn unless_guarded<R>(&self, write: impl FnOnce(&mut dyn Outputs) -> R) -> Result<R, GpioError> {
        (self.shared)
            .with_outputs(|outputs| {
                (!self.shared.guarded.load(Ordering::Relaxed)).then(|| write(outputs))
            })
            .flatten()
            .ok_or_else(|| GpioError::driver("keeper", "stood still"))
    }
}

/// What `work` comes to, be it by a panic of a driver.
fn whole<R>(work: impl FnOnce() -> Result<R, GpioError>) -> Result<R, GpioError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(GpioError::driver("keeper", "it panicked")))
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

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::door::board::Safe;
    use crate::door::opening::{SHOWN, STALE};
    use crate::logs::{Medium, events};

    /// Runs a keeper of the simulated board over `commands`, in order; its events.
    fn kept(commands: Vec<Command>) -> Vec<Event> {
        let data = tempfile::tempdir().unwrap();
        let board = Board::load("simulated").unwrap();
        let (journal, writer) = Journal::start(data.path(), Medium::default(), true, None).unwrap();
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
            log: LogRule::BestEffort,
            commands: receiver,
            journal,
            shared: Shared::new(pins.outputs),
            _lock: None,
        };
        keeper.run(pins.inputs);
        writer.join().unwrap();
        let page = events::read(data.path(), 0, usize::MAX).unwrap();
        page.records.iter().filter_map(Event::of).collect()
    }

    fn face(person: &str, shown: Instant, asked: Instant) -> (Command, oneshot::Receiver<Answer>) {
        let (answer, answered) = oneshot::channel();
        let command = Command::Face(Face {
            opened: Opened {
                person: Some(person.into()),
                ..Opened::default()
            },
            refused: Denied {
                person: Some(person.into()),
                ..Denied::default()
            },
            shown,
            asked,
            answer,
        });
        (command, answered)
    }

    #[test]
    fn a_fault_that_comes_and_goes_is_told_a_few_times() {
        let mut faults = Faults::default();
        assert!(faults.is_news("a wire is loose") && !faults.is_news("a wire is loose"));
        assert!(faults.is_news("another"));
        assert!(faults.end_is_news() && faults.is_news("another"));
        assert!(!faults.end_is_news() && !faults.is_news("another"));
        assert!(faults.is_news("a wire is loose"));
    }

    #[test]
    fn a_face_that_nobody_waits_for_any_more_opens_nothing() {
        let now = Instant::now();
        // Not of the test's own waiting: it is asked for a minute from now.
        let soon = now + Duration::from_secs(60);
        let before = |time| now.checked_sub(time).unwrap();
        let (gone, _) = face("gone", soon, soon);
        let (late, mut late_answer) = face("late", soon, before(STALE));
        let (old, mut old_answer) = face("old", before(SHOWN), soon);
        let (ada, mut answer) = face("ada", soon, soon);
        let (bob, mut refusal) = face("bob", soon, soon);
        let events = kept(vec![gone, late, old, ada, bob]);
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
            ("too_late", "old"),
        ];
        assert_eq!(told, expected, "{events:?}");
        assert_eq!(answer.try_recv(), Ok(Answer::Opened));
        assert_eq!(refusal.try_recv(), Ok(Answer::CoolDown));
        assert_eq!(late_answer.try_recv(), Ok(Answer::TooLate));
        assert_eq!(old_answer.try_recv(), Ok(Answer::TooLate));
    }
}
