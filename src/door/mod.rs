//! The lock of a door: boards, pins, and when they switch.
//!
//! | file | what it does |
//! |---|---|
//! | [`settings`] | `[door]` of the configuration |
//! | [`schedule`] | at which times faces open |
//! | [`board`] | board files |
//! | [`gpio`] | pins by what they mean; the character device |
//! | `raspberry`, [`simulated`] | other pins |
//! | `controller` | what the pins should be, as a function of time and inputs |
//! | `keeper` | the thread that has the pins |
//! | `guard` | what it shares, and the guard over it |
//! | [`events`] | what happens, as records of the event log |
//! | `journal`, `ticket`, [`health`] | who writes them, and how that fares |
//! | `restraint` | what happens too often to be written each time |
//! | `opening` | a face that is let in once that is written |
//! | [`lock`] | who has the pins |

pub mod board;
mod controller;
pub mod events;
pub mod gpio;
mod guard;
pub mod health;
mod journal;
mod keeper;
pub mod lock;
mod opening;
mod raspberry;
mod restraint;
pub mod schedule;
pub mod settings;
pub mod simulated;
mod ticket;

use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use board::{Board, BoardError};
use controller::Rules;
use events::{Denied, Opened};
use gpio::GpioError;
use guard::Shared;
use health::LogHealth;
use journal::Journal;
use keeper::{Command, Keeper};
use lock::{LockError, PinLock};
use opening::Face;
use settings::Settings;

use crate::logs::Medium;

/// Commands that may wait for the keeper, which looks every 20 ms.
const WAITING: usize = 64;
/// How long a search waits for the door: longer than a face may wait there, so that whoever opens is told so.
const ANSWER: Duration = Duration::from_secs(2);
const _: () = assert!(opening::STALE.as_millis() < ANSWER.as_millis());
/// How long the end of the program waits for the keeper.
const STOP: Duration = Duration::from_secs(3);

/// Why there is no door.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    #[error(transparent)]
    Board(#[from] BoardError),
    #[error(transparent)]
    Gpio(#[from] GpioError),
    #[error(transparent)]
    Lock(LockError),
    #[error("cannot start a thread of the door: {0}")]
    Thread(std::io::Error),
}

/// A door in operation. When it is dropped the relay is released and the pins given back.
pub struct Door {
    board: Board,
    commands: SyncSender<Command>,
    shared: Arc<Shared>,
    log: Arc<LogHealth>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What came of an order to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Opened,
    /// It was opened by a face just before.
    CoolDown,
    /// The face was shown too long ago, or its turn came too late.
    TooLate,
    /// `door.log` is "required", and the medium did not take the record in time.
    NotRecorded,
    /// The door does not work; its fault is in the events.
    Dead,
}

impl Door {
    /// Takes the pins and starts to look after the door. From now on the exit button works, whatever else does.
    ///
    /// # Errors
    /// [`DoorError`], in words for the person who starts the daemon.
    pub fn start(settings: &Settings, data: &Path) -> Result<Door, DoorError> {
        Door::start_on(settings, data, Medium::default())
    }

    /// The same with a log on another medium.
    ///
    /// # Errors
    /// [`DoorError`].
    pub fn start_on(settings: &Settings, data: &Path, medium: Medium) -> Result<Door, DoorError> {
        let board = Board::load(&settings.board)?;
        // First the lock: not every board's pins are taken by one program alone.
        let lock = match PinLock::take(data) {
            Ok(lock) => Some(Arc::new(lock)),
            Err(held @ LockError::Held) => return Err(DoorError::Lock(held)),
            Err(e) => {
                tracing::error!("door: {e}; it goes on without");
                None
            }
        };
        // Before the pins: whoever takes them must be found out by `recocomp door safe`.
        if let Err(e) = board.keep(data) {
            // An earlier one must not be taken for it.
            let _ = Board::forget(data);
            tracing::error!(
                "door: its board cannot be kept in the data folder ({e}); after a crash `recocomp door safe` needs a configuration that can be read"
            );
        }
        let (journal, writer) = Journal::start(data, medium, board.is_simulated(), lock.clone())
            .map_err(DoorError::Thread)?;
        let pins = gpio::open(&board, data)?;
        let (commands, receiver) = sync_channel(WAITING);
        let shared = Shared::new(pins.outputs);
        let keeper = Keeper {
            rules: Rules {
                safe: board.relay.safe,
                pulse: settings
                    .pulse_ms
                    .map_or(board.pulse(), Duration::from_millis),
                cooldown: Duration::from_millis(settings.cooldown_ms),
                held_open: Duration::from_secs(settings.held_open_s),
            },
            log: settings.log,
            board: board.clone(),
            data: data.into(),
            commands: receiver,
            journal: journal.clone(),
            shared: shared.clone(),
            _lock: lock,
        };
        let inputs = pins.inputs;
        let (guarded, log) = (shared.clone(), journal.health());
        let threads = vec![
            thread("door", move || keeper.run(inputs))?,
            thread("door-guard", move || guard::watch(&guarded, &journal))?,
            writer,
        ];
        Ok(Door {
            board,
            commands,
            shared,
            log,
            threads: Mutex::new(threads),
        })
    }

    /// There is no door any more: the pins of an earlier one are nobody's business, unless a daemon looks after them.
    pub fn forget(data: &Path) {
        if let Ok(Some(_lock)) = PinLock::take_existing(data)
            && let Err(e) = Board::forget(data)
        {
            tracing::warn!("the board of a door that is no more cannot be forgotten: {e}");
        }
    }

    /// Opens for a face that was shown at `shown`, at most 10 s ago.
    ///
    /// `refused` is written down if it does not, with the door's reason.
    pub async fn open(&self, opened: Opened, refused: Denied, shown: Instant) -> Answer {
        let (answer, answered) = oneshot::channel();
        let command = Command::Face(Face {
            opened,
            refused,
            shown,
            asked: Instant::now(),
            answer,
        });
        if self.commands.try_send(command).is_err() {
            return Answer::Dead;
        }
        match tokio::time::timeout(ANSWER, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Answer::Dead,
        }
    }

    /// Says no, with the red LED and the buzzer.
    pub fn deny(&self, denied: Denied) {
        if self.commands.try_send(Command::Deny(denied)).is_err() {
            tracing::warn!("door: it takes no more commands");
        }
    }

    /// Whether the thread that has the pins lives. If not, only a restart of the daemon helps.
    pub fn is_alive(&self) -> bool {
        self.shared.is_alive()
    }

    /// Whether the button is looked at and faces can open. Not so for a second after a fault, nor as long as the pins cannot be taken.
    pub fn is_tending(&self) -> bool {
        self.shared.is_tending()
    }

    /// How the event log fares.
    pub fn log(&self) -> &LogHealth {
        &self.log
    }

    /// Releases the relay, gives the pins back and waits until the events are written.
    pub fn stop(&self) {
        let until = Instant::now() + STOP;
        let _ = self.commands.try_send(Command::Stop);
        while !self.shared.is_stopped() {
            if Instant::now() >= until {
                tracing::error!(
                    "door: it hangs; the relay was released, its thread is left behind"
                );
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
            // Before there was no room for it, or it is one more that nobody reads.
            let _ = self.commands.try_send(Command::Stop);
        }
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            let _ = thread.join();
        }
    }

    pub fn board(&self) -> &Board {
        &self.board
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop();
    }
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, DoorError> {
    (std::thread::Builder::new().name(name.into()))
        .spawn(work)
        .map_err(DoorError::Thread)
}
