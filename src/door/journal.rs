//! Writes what happens to the audit log and the log of the daemon, on a thread of its own: neither a slow card nor a full pipe may
//! hold up whoever has the relay.

use std::collections::BTreeMap;
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
            denied: BTreeMap::new(),
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
    /// By reason.
    denied: BTreeMap<String, Refusals>,
}

/// Refusals for one reason.
struct Refusals {
    written: Instant,
    /// The newest that was not written, with how many there are beside it.
    more: Option<(Denied, Moment)>,
}

impl Writer {
    fn run(&mut self, from: &Receiver<(Event, Moment)>) {
        loop {
            match from.recv_timeout(DENIED_EVERY) {
                Ok((Event::Denied(denied), moment)) => self.denied(denied, moment),
                Ok((event, moment)) => self.write(&event, &moment),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break self.write_rest(Duration::ZERO),
            }
            self.write_rest(DENIED_EVERY);
            match self.lost.swap(0, Ordering::Relaxed) {
                0 => {}
                count => self.write(&Event::Lost { count }, &Moment::now()),
            }
        }
    }

    fn denied(&mut self, denied: Denied, moment: Moment) {
        self.write_rest(DENIED_EVERY);
        if let Some(refusals) = self.denied.get_mut(&denied.reason) {
            let more = refusals.more.as_ref().map_or(0, |(last, _)| last.more + 1);
            refusals.more = Some((Denied { more, ..denied }, moment));
            return;
        }
        let refusals = Refusals {
            written: Instant::now(),
            more: None,
        };
        self.denied.insert(denied.reason.clone(), refusals);
        self.write(&Event::Denied(denied), &moment);
    }

    /// Writes what was held back for so long, and forgets reasons that have been quiet.
    fn write_rest(&mut self, age: Duration) {
        let due: Vec<String> = (self.denied.iter())
            .filter(|(_, refusals)| refusals.written.elapsed() >= age)
            .map(|(reason, _)| reason.clone())
            .collect();
        for reason in due {
            let held = self
                .denied
                .remove(&reason)
                .and_then(|refusals| refusals.more);
            if let Some((denied, moment)) = held {
                self.write(&Event::Denied(denied), &moment);
                let refusals = Refusals {
                    written: Instant::now(),
                    more: None,
                };
                self.denied.insert(reason, refusals);
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::events;

    #[test]
    fn who_knocks_fills_no_log_and_nothing_is_lost_count_of() {
        let data = tempfile::tempdir().unwrap();
        let (journal, thread) = Journal::start(data.path(), true).unwrap();
        for _ in 0..100 {
            for reason in ["no_match", "liveness"] {
                journal.tell(Event::Denied(Denied {
                    reason: reason.into(),
                    ..Denied::default()
                }));
            }
        }
        journal.tell(Event::Forced);
        drop(journal);
        thread.join().unwrap();
        let (_, records) = events::read(data.path()).unwrap();
        // The first of each reason, the rest of each at the end.
        assert_eq!(records.len(), 5, "{records:?}");
        let counted: u64 = (records.iter())
            .map(|record| match &record.event {
                Event::Denied(denied) => denied.more + 1,
                _ => 0,
            })
            .sum();
        assert_eq!(counted, 200);
        assert!(records.iter().any(|record| record.event == Event::Forced));
    }
}
