//! Talking with the service manager: ready, stopping, and the watchdog. Without one, nothing of it does anything.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// A probe that failed is tried again after this, as long as the service manager has patience.
const SECOND_TRY: Duration = Duration::from_millis(200);

/// Tells what is being done before it serves.
pub fn starting(status: &str) {
    notify(&[NotifyState::Status(status)]);
}

/// Tells that everything works.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Tells that it stops, which may take as long as `limit`.
pub fn stopping(limit: Duration) {
    let limit = u32::try_from(limit.as_micros()).unwrap_or(u32::MAX);
    notify(&[
        NotifyState::Stopping,
        NotifyState::Status("stopping: running requests may end"),
        NotifyState::ExtendTimeoutUsec(limit),
    ]);
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(state) {
        tracing::warn!("the service manager cannot be told: {e}");
    }
}

/// Feeds the service manager's watchdog until it is dropped, as long as probes find everything in order.
pub struct Watchdog {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// Starts feeding, each half of the time that the service manager waits; does nothing where it waits for nothing.
    ///
    /// `probe` is given the time that it may take, and says how things are: for `systemctl status` if in order, for the log if not.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(
        probe: impl Fn(Duration) -> Result<String, String> + Send + 'static,
    ) -> io::Result<Watchdog> {
        let Some(patience) = sd_notify::watchdog_enabled() else {
            return Ok(Watchdog {
                stop: None,
                thread: None,
            });
        };
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(move || feed(patience, &stopped, probe))?;
        Ok(Watchdog {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn feed(
    patience: Duration,
    stopped: &mpsc::Receiver<()>,
    probe: impl Fn(Duration) -> Result<String, String>,
) {
    let half = patience / 2;
    let mut next = Instant::now() + half;
    let mut said = String::new();
    let mut ill = false;
    loop {
        let wait = next.saturating_duration_since(Instant::now());
        if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        // Two tries fit into what is left of the service manager's patience.
        match probe(patience / 5) {
            Ok(status) => {
                notify(&[NotifyState::Watchdog]);
                if ill {
                    tracing::info!("in order again");
                }
                if ill || status != said {
                    notify(&[NotifyState::Status(&status)]);
                }
                (said, ill) = (status, false);
                next = (next + half).max(Instant::now());
            }
            Err(ailment) => {
                tracing::error!("the watchdog is not fed: {ailment}");
                notify(&[NotifyState::Status(&format!("not working: {ailment}"))]);
                ill = true;
                next = Instant::now() + SECOND_TRY.max(patience / 20);
            }
        }
    }
}
