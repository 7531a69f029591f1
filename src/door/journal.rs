//! Writes what happens to the event log and the log of the daemon, on a thread of its own: neither a slow card nor a full pipe may
//! hold up whoever has the relay.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::events::{Denied, Event, Opened};
use super::health::LogHealth;
use super::lock::PinLock;
use super::restraint::{Due, Restraint};
use super::ticket::Ticket;
use crate::logs::events::Log;
use crate::logs::{Medium, Moment};

/// Events that may wait for the disk.
const WAITING: usize = 1024;
/// How often what was held back is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often an event log that cannot be written is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(10);
/// The same for an opening: where its record is required nobody comes in before.
const OPENING_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How often it is said that it cannot be written.
const FAULT_EVERY: Duration = Duration::from_secs(600);

enum Message {
    Event(Event, Moment),
    /// Somebody waits for it.
    Opening(Opened, Moment, Ticket),
    /// The opening of this ticket did not come about.
    Instead(Denied, Moment, Ticket),
}

/// Where events are handed in. Never waits.
#[derive(Clone)]
pub struct Journal {
    to: SyncSender<Message>,
    /// Since the last event that says so.
    lost: Arc<AtomicU64>,
    health: Arc<LogHealth>,
}

impl Journal {
    /// Starts the thread that opens the event log and writes to it; it ends when the last [`Journal`] does. `lock` is kept as long.
    ///
    /// A log that cannot be written ends nothing: events then go to the log of the daemon alone and are counted, and it is tried again.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(
        data: &Path,
        medium: Medium,
        simulated: bool,
        lock: Option<Arc<PinLock>>,
    ) -> io::Result<(Journal, JoinHandle<()>)> {
        let (to, from) = sync_channel(WAITING);
        let journal = Journal {
            to,
            lost: Arc::default(),
            health: Arc::default(),
        };
        let mut writer = Writer {
            data: data.into(),
            medium,
            log: None,
            failed_at: None,
            lost: journal.lost.clone(),
            health: journal.health.clone(),
            told_at: None,
            simulated,
            restraint: Restraint::default(),
            _lock: lock,
        };
        let thread = std::thread::Builder::new()
            .name("door-events".into())
            .spawn(move || writer.run(&from))?;
        Ok((journal, thread))
    }

    /// To be kept by whoever lets the thread end.
    pub fn health(&self) -> Arc<LogHealth> {
        self.health.clone()
    }

    pub fn tell(&self, event: Event) {
        self.send(Message::Event(event, Moment::now()));
    }

    /// Asks for the record of an opening. The ticket says when it is on the medium.
    pub fn record(&self, opened: Opened) -> Ticket {
        let ticket = Ticket::default();
        if !self.send(Message::Opening(opened, Moment::now(), ticket.clone())) {
            ticket.refuse();
        }
        ticket
    }

    /// The opening of this ticket did not come about. If it is not written yet it is not going to be; otherwise the record of `denied`
    /// retracts it.
    pub fn instead(&self, ticket: Ticket, denied: Denied) {
        ticket.withdraw();
        self.send(Message::Instead(denied, Moment::now(), ticket));
    }

    /// Counts an opening whose record was not on the medium when the relay moved.
    pub fn opened_unrecorded(&self) {
        self.health.unrecorded.fetch_add(1, Ordering::Relaxed);
    }

    fn send(&self, message: Message) -> bool {
        match self.to.try_send(message) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                self.health.lost.fetch_add(1, Ordering::Relaxed);
                false
            }
        }
    }
}

struct Writer {
    data: PathBuf,
    medium: Medium,
    /// `None` until it could be opened.
    log: Option<Log>,
    /// When it could not be written, since it last could.
    failed_at: Option<Instant>,
    lost: Arc<AtomicU64>,
    health: Arc<LogHealth>,
    /// When the fault was last told.
    told_at: Option<Instant>,
    simulated: bool,
    restraint: Restraint,
    _lock: Option<Arc<PinLock>>,
}

impl Writer {
    fn run(&mut self, from: &Receiver<Message>) {
        loop {
            match from.recv_timeout(LOOK) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            for due in self.restraint.overdue() {
                self.write(&due);
            }
            self.write_lost();
            if self.failed_at.is_none()
                && let Some(log) = &mut self.log
                && let Err(e) = log.prepare()
            {
                self.failed(&e);
            }
        }
        self.failed_at = None;
        for due in self.restraint.rest() {
            self.write(&due);
        }
        self.write_lost();
        // At least their numbers are missing.
        if let Some(log) = &mut self.log {
            log.skip(self.lost.load(Ordering::Relaxed));
        }
    }

    fn take(&mut self, message: Message) {
        let (event, moment) = match message {
            Message::Event(event, moment) => (event, moment),
            Message::Opening(opened, moment, ticket) => {
                if ticket.begin() {
                    let number = self.write(&Due {
                        event: Event::Opened(opened),
                        moment,
                        more: 0,
                    });
                    ticket.end(number);
                }
                return;
            }
            Message::Instead(denied, moment, ticket) => {
                let retracts = ticket.number();
                (Event::Denied(Denied { retracts, ..denied }), moment)
            }
        };
        if let Some(due) = self.restraint.admit(event, moment) {
            self.write(&due);
        }
    }

    /// Writes how many events are missing; with it a log that could not be written is tried again.
    fn write_lost(&mut self) {
        let count = self.lost.swap(0, Ordering::Relaxed);
        if count == 0 {
            return;
        }
        let lost = Due {
            event: Event::Lost { count },
            moment: Moment::now(),
            more: 0,
        };
        let skip = |log: &mut Log| log.skip(count);
        match self.append(&lost, skip) {
            Some(_) => self.trace(&lost),
            None => {
                self.lost.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    /// The number of the event, if it is on the medium.
    fn write(&mut self, due: &Due) -> Option<u64> {
        self.trace(due);
        let written = self.append(due, |_| ());
        if written.is_none() {
            self.lost.fetch_add(1 + due.more, Ordering::Relaxed);
            (self.health.lost).fetch_add(1 + due.more, Ordering::Relaxed);
        }
        written
    }

    fn append(&mut self, due: &Due, before: impl FnOnce(&mut Log)) -> Option<u64> {
        let pause = match &due.event {
            Event::Opened(opened) if opened.by == "face" => OPENING_AGAIN_AFTER,
            _ => AGAIN_AFTER,
        };
        if self.failed_at.is_some_and(|at| at.elapsed() < pause) {
            return None;
        }
        self.failed_at = None;
        self.health.waits(true);
        let written = self.append_now(due, before);
        self.health.waits(false);
        match written {
            Ok(number) => {
                if self.health.set_fault(None).is_some() {
                    tracing::info!("door: the event log can be written again");
                    self.told_at = None;
                }
                Some(number)
            }
            Err(e) => {
                self.failed(&e);
                None
            }
        }
    }

    fn append_now(&mut self, due: &Due, before: impl FnOnce(&mut Log)) -> io::Result<u64> {
        let log = match &mut self.log {
            Some(log) => log,
            none => none.insert(Log::open(&self.data, self.medium)?),
        };
        before(log);
        let (kind, mut data) = due.event.record();
        if due.more > 0 {
            data.insert("more".into(), due.more.into());
        }
        if self.simulated {
            // No door moved.
            data.insert("simulated".into(), Value::Bool(true));
        }
        log.append(&kind, &data, &due.moment)
    }

    fn failed(&mut self, e: &io::Error) {
        self.failed_at = Some(Instant::now());
        self.health.set_fault(Some(e.to_string()));
        if (self.told_at).is_none_or(|at| at.elapsed() >= FAULT_EVERY) {
            self.told_at = Some(Instant::now());
            tracing::error!(
                "door: the event log cannot be written: {e}; events go to this log alone"
            );
        }
    }

    fn trace(&self, due: &Due) {
        let text = serde_json::to_string(&due.event).unwrap_or_default();
        let simulated = if self.simulated { " (simulated)" } else { "" };
        let more = match due.more {
            0 => String::new(),
            more => format!(", and {more} more of the kind"),
        };
        match due.event {
            Event::Forced
            | Event::HeldOpen
            | Event::Tamper
            | Event::Fault { .. }
            | Event::Lost { .. } => tracing::warn!("door{simulated}: {text}{more}"),
            _ => tracing::info!("door{simulated}: {text}{more}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::{Record, events};

    fn started(data: &Path) -> (Journal, JoinHandle<()>) {
        Journal::start(data, Medium::default(), true, None).unwrap()
    }

    fn written(data: &Path) -> Vec<(Record, Event)> {
        let page = events::read(data, 0, usize::MAX).unwrap();
        assert_eq!(page.damaged, 0);
        let records = page.records.into_iter();
        let events = records.filter_map(|record| Event::of(&record).map(|event| (record, event)));
        events.collect()
    }

    fn opened(person: &str) -> Opened {
        Opened {
            by: "face".into(),
            person: Some(person.into()),
            ..Opened::default()
        }
    }

    #[test]
    fn who_knocks_fills_no_log_and_nothing_is_lost_count_of() {
        let data = tempfile::tempdir().unwrap();
        let (journal, thread) = started(data.path());
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
        let written = written(data.path());
        // The first of each reason, the rest of each at the end.
        assert_eq!(written.len(), 5, "{written:?}");
        let denied = (written.iter()).filter(|(_, event)| matches!(event, Event::Denied(_)));
        let more = |record: &Record| record.data.get("more").and_then(Value::as_u64).unwrap_or(0);
        let counted: u64 = denied.map(|(record, _)| 1 + more(record)).sum();
        assert_eq!(counted, 200);
        assert!(written.iter().any(|(_, event)| *event == Event::Forced));
    }

    #[test]
    fn a_log_that_cannot_be_opened_is_tried_again_and_what_is_missing_counted() {
        let data = tempfile::tempdir().unwrap();
        // A file where the folder should be.
        let in_the_way = data.path().join("logs");
        std::fs::write(&in_the_way, "").unwrap();
        let (journal, thread) = started(data.path());
        let ticket = journal.record(opened("ada"));
        journal.tell(Event::Tamper);
        let health = journal.health();
        while health.fault().is_none() || ticket.state() == super::super::ticket::State::Waiting {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(ticket.state(), super::super::ticket::State::Refused);
        std::fs::remove_file(&in_the_way).unwrap();
        drop(journal);
        thread.join().unwrap();
        let written = written(data.path());
        assert!(matches!(written[0].1, Event::Lost { count: 1.. }));
        let counted: u64 = (written.iter())
            .map(|(_, event)| match event {
                Event::Lost { count } => *count,
                _ => 1,
            })
            .sum();
        assert_eq!(counted, 2, "{written:?}");
        // A loss is a gap.
        assert!(written[0].0.seq > 1, "{written:?}");
        assert_eq!(health.fault(), None);
    }

    #[test]
    fn an_opening_that_did_not_come_about_is_retracted() {
        let data = tempfile::tempdir().unwrap();
        let (journal, thread) = started(data.path());
        let ticket = journal.record(opened("ada"));
        let number = loop {
            if let Some(number) = ticket.number() {
                break number;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let denied = |person: &str| Denied {
            reason: "log".into(),
            person: Some(person.into()),
            ..Denied::default()
        };
        journal.instead(ticket, denied("ada"));
        // One that nobody has begun to write is never written.
        let ticket = Ticket::default();
        assert!(ticket.withdraw() && !ticket.begin());
        journal.instead(ticket, denied("bob"));
        drop(journal);
        thread.join().unwrap();
        let events: Vec<Event> = written(data.path())
            .into_iter()
            .map(|(_, event)| event)
            .collect();
        let retracted = Event::Denied(Denied {
            retracts: Some(number),
            ..denied("ada")
        });
        let expected = [
            Event::Opened(opened("ada")),
            retracted,
            Event::Denied(denied("bob")),
        ];
        assert_eq!(events, expected);
    }
}
