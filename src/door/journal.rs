//! Writes what happens to the audit log and the log of the daemon, on a thread of its own: neither a slow card nor a full pipe may
//! hold up whoever has the relay.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::events::{Denied, Event, Log, Moment};

/// Events that may wait for the disk.
const WAITING: usize = 1024;
/// Refusals for one reason are written at most this often, with a count of the rest: a crowd, or somebody who tries, must not push
/// older events out of the log.
const DENIED_EVERY: Duration = Duration::from_secs(10);

/// Where events are handed in. Never waits.
#[derive(Clone)]
pub struct Journal {
    to: SyncSender<(Event, Moment)>,
    lost: Arc<AtomicU64>,
}

impl Journal {
    /// Opens the audit log and starts the thread, which ends when the last [`Journal`] does.
    ///
    /// # Errors
    /// The log cannot be opened.
    pub fn start(data: &Path, simulated: bool) -> io::Result<(Journal, JoinHandle<()>)> {
        let log = Log::open(data, simulated)?;
        let (to, from) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let mut writer = Writer {
            log,
            lost: lost.clone(),
            simulated,
            last_denied: None,
            more: None,
        };
        let thread = std::thread::Builder::new()
            .name("door-events".into())
            .spawn(move || writer.run(&from))?;
        Ok((Journal { to, lost }, thread))
    }

    pub fn tell(&self, event: Event) {
        match self.to.try_send((event, Moment::now())) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

struct Writer {
    log: Log,
    lost: Arc<AtomicU64>,
    simulated: bool,
    last_denied: Option<(Instant, String)>,
    /// The newest refusal that was not written, with how many there are.
    more: Option<(Denied, Moment)>,
}

impl Writer {
    fn run(&mut self, from: &Receiver<(Event, Moment)>) {
        loop {
            match from.recv_timeout(DENIED_EVERY) {
                Ok((Event::Denied(denied), moment)) => self.denied(denied, moment),
                Ok((event, moment)) => self.write(&event, &moment),
                Err(RecvTimeoutError::Timeout) => self.write_rest(),
                Err(RecvTimeoutError::Disconnected) => break self.write_rest(),
            }
            match self.lost.swap(0, Ordering::Relaxed) {
                0 => {}
                count => self.write(&Event::Lost { count }, &Moment::now()),
            }
        }
    }

    fn denied(&mut self, denied: Denied, moment: Moment) {
        let repeated = (self.last_denied.as_ref())
            .is_some_and(|(at, reason)| *reason == denied.reason && at.elapsed() < DENIED_EVERY);
        if repeated {
            let before = self.more.as_ref().map_or(0, |(denied, _)| denied.more + 1);
            let more = before;
            self.more = Some((Denied { more, ..denied }, moment));
            return;
        }
        self.write_rest();
        self.last_denied = Some((Instant::now(), denied.reason.clone()));
        self.write(&Event::Denied(denied), &moment);
    }

    fn write_rest(&mut self) {
        if let Some((denied, moment)) = self.more.take() {
            self.write(&Event::Denied(denied), &moment);
        }
    }

    fn write(&mut self, event: &Event, moment: &Moment) {
        let text = serde_json::to_string(event).unwrap_or_default();
        let simulated = if self.simulated { " (simulated)" } else { "" };
        match event {
            Event::Forced
            | Event::HeldOpen
            | Event::Tamper
            | Event::Fault { .. }
            | Event::Lost { .. } => tracing::warn!("door{simulated}: {text}"),
            _ => tracing::info!("door{simulated}: {text}"),
        }
        if let Err(e) = self.log.append(event, moment) {
            tracing::error!("door: the audit log cannot be written: {e}");
        }
    }
}
