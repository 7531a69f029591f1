//! Writes what happens to the audit log and the log of the daemon, on a thread of its own: neither a slow card nor a full pipe may
//! hold up whoever has the relay.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::events::{Denied, Event, Log, Moment};
use super::lock::PinLock;

/// Events that may wait for the disk.
const WAITING: usize = 1024;
/// Refusals for one reason are written at most this often, with a count of the rest: a crowd, or somebody who tries, must not push
/// older events out of the log.
const DENIED_EVERY: Duration = Duration::from_secs(10);

/// How often an audit log that cannot be written is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// How often it is said that it cannot be written.
const FAULT_EVERY: Duration = Duration::from_secs(600);

/// Where events are handed in. Never waits.
#[derive(Clone)]
pub struct Journal {
    to: SyncSender<(Event, Moment)>,
    lost: Arc<AtomicU64>,
    fault: LogFault,
}

/// Why the audit log cannot be written at present, if so.
#[derive(Clone, Default)]
pub struct LogFault(Arc<Mutex<Option<String>>>);

impl LogFault {
    pub fn get(&self) -> Option<String> {
        self.lock().clone()
    }

    /// Returns the one before.
    fn set(&self, fault: Option<String>) -> Option<String> {
        std::mem::replace(&mut *self.lock(), fault)
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal {
    /// Starts the thread that opens the audit log and writes to it; it ends when the last [`Journal`] does. `lock` is kept as long.
    ///
    /// A log that cannot be written keeps no door shut: events then go to the log of the daemon alone and are counted, and it is
    /// tried again.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(
        data: &Path,
        simulated: bool,
        lock: Option<Arc<PinLock>>,
    ) -> io::Result<(Journal, JoinHandle<()>)> {
        let (to, from) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let fault = LogFault::default();
        let mut writer = Writer {
            data: data.into(),
            log: None,
            again_at: None,
            lost: lost.clone(),
            fault: fault.clone(),
            told_at: None,
            simulated,
            denied: BTreeMap::new(),
            _lock: lock,
        };
        let thread = std::thread::Builder::new()
            .name("door-events".into())
            .spawn(move || writer.run(&from))?;
        Ok((Journal { to, lost, fault }, thread))
    }

    /// To be kept by whoever lets the thread end.
    pub fn fault(&self) -> LogFault {
        self.fault.clone()
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
    data: PathBuf,
    /// `None` until it could be opened, and after it could not be written.
    log: Option<Log>,
    /// When to try to open it again.
    again_at: Option<Instant>,
    lost: Arc<AtomicU64>,
    fault: LogFault,
    /// When the fault was last told.
    told_at: Option<Instant>,
    simulated: bool,
    _lock: Option<Arc<PinLock>>,
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
            match from.recv_timeout(DENIED_EVERY.min(AGAIN_AFTER)) {
                Ok((Event::Denied(denied), moment)) => self.denied(denied, moment),
                Ok((event, moment)) => self.write(&event, &moment),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.write_rest(DENIED_EVERY);
            self.write_lost();
        }
        self.again_at = None;
        self.write_rest(Duration::ZERO);
        self.write_lost();
    }

    /// Writes how many events are missing; with it a log that could not be written is tried again.
    fn write_lost(&mut self) {
        let count = self.lost.swap(0, Ordering::Relaxed);
        if count == 0 {
            return;
        }
        let lost = Event::Lost { count };
        match self.append(&lost, &Moment::now()) {
            true => self.trace(&lost),
            false => {
                self.lost.fetch_add(count, Ordering::Relaxed);
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
        self.trace(event);
        if !self.append(event, moment) {
            let count = match event {
                Event::Denied(denied) => 1 + denied.more,
                _ => 1,
            };
            self.lost.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Whether the event is on the disk.
    fn append(&mut self, event: &Event, moment: &Moment) -> bool {
        if self.again_at.is_some_and(|at| Instant::now() < at) {
            return false;
        }
        self.again_at = None;
        let opened = match self.log.take() {
            Some(log) => Ok(log),
            None => Log::open(&self.data, self.simulated),
        };
        match opened.and_then(|mut log| log.append(event, moment).map(|()| log)) {
            Ok(log) => {
                self.log = Some(log);
                if self.fault.set(None).is_some() {
                    tracing::info!("door: the audit log can be written again");
                    self.told_at = None;
                }
                true
            }
            Err(e) => {
                self.again_at = Some(Instant::now() + AGAIN_AFTER);
                self.fault.set(Some(e.to_string()));
                if (self.told_at).is_none_or(|at| at.elapsed() >= FAULT_EVERY) {
                    self.told_at = Some(Instant::now());
                    tracing::error!(
                        "door: the audit log cannot be written: {e}; the door goes on, its events go to this log alone"
                    );
                }
                false
            }
        }
    }

    fn trace(&self, event: &Event) {
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::events;

    #[test]
    fn who_knocks_fills_no_log_and_nothing_is_lost_count_of() {
        let data = tempfile::tempdir().unwrap();
        let (journal, thread) = Journal::start(data.path(), true, None).unwrap();
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

    #[test]
    fn a_log_that_cannot_be_opened_is_tried_again_and_what_is_missing_counted() {
        let data = tempfile::tempdir().unwrap();
        // A folder where the file should be.
        let in_the_way = events::folder(data.path()).join("events.jsonl");
        std::fs::create_dir_all(&in_the_way).unwrap();
        let (journal, thread) = Journal::start(data.path(), true, None).unwrap();
        journal.tell(Event::Forced);
        journal.tell(Event::Tamper);
        let fault = journal.fault();
        while fault.get().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::fs::remove_dir(&in_the_way).unwrap();
        drop(journal);
        thread.join().unwrap();
        let (_, records) = events::read(data.path()).unwrap();
        assert!(matches!(records[0].event, Event::Lost { count: 1.. }));
        let counted: u64 = (records.iter())
            .map(|record| match &record.event {
                Event::Lost { count } => *count,
                _ => 1,
            })
            .sum();
        assert_eq!(counted, 2, "{records:?}");
        assert_eq!(fault.get(), None);
    }
}
