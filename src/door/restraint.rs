//! What happens over and over is not written each time: a crowd, somebody who tries, or a loose contact must not push older events out of
//! the log.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::events::Event;
use crate::logs::Moment;

/// How often a few of a kind are written one by one, and how long the first of those that follow are held back.
const INTERVAL: Duration = Duration::from_secs(10);

/// How much of a kind is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Measure {
    /// So many in an interval are written one by one.
    free: u32,
    /// The longest interval. Each is twice the one before, as long as there is something to hold back.
    longest: Duration,
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The kind of an event and its measure; `None`: each is written.
fn kind(event: &Event) -> Option<(String, Measure)> {
    let measure = |free, longest| Measure { free, longest };
    let (kind, measure) = match event {
        Event::Denied(denied) if denied.retracts.is_some() => return None,
        Event::Denied(denied) => (
            format!("denied for {}", denied.reason),
            measure(1, INTERVAL),
        ),
        Event::Opened(opened) if opened.by == "button" => {
            ("button".to_owned(), measure(5, seconds(600)))
        }
        Event::Relocked => ("relocked".to_owned(), measure(5, seconds(600))),
        Event::DoorOpened => ("door opened".to_owned(), measure(5, seconds(600))),
        Event::DoorClosed => ("door closed".to_owned(), measure(5, seconds(600))),
        Event::TamperEnded => ("tamper ended".to_owned(), measure(5, seconds(600))),
        // Alarms are held back for a minute at most.
        Event::Forced => ("forced".to_owned(), measure(5, seconds(60))),
        Event::HeldOpen => ("held open".to_owned(), measure(5, seconds(60))),
        Event::Tamper => ("tamper".to_owned(), measure(5, seconds(60))),
        Event::Fault { what } => (format!("fault: {what}"), measure(5, seconds(600))),
        Event::Opened(_)
        | Event::Started { .. }
        | Event::Stopped
        | Event::Lost { .. }
        | Event::Gap { .. } => return None,
    };
    Some((kind, measure))
}

/// An event to be written.
#[derive(Clone, Debug)]
pub struct Due {
    pub event: Event,
    pub moment: Moment,
    /// How many more of its kind there were since the last that was written.
    pub more: u64,
}

#[derive(Default)]
pub struct Restraint(BTreeMap<String, Kind>);

struct Kind {
    measure: Measure,
    since: Instant,
    interval: Duration,
    written: u32,
    /// The newest that was not written, with how many there are beside it.
    held: Option<Due>,
}

impl Restraint {
    /// What is to be written of `event`: itself, or nothing for now.
    pub fn admit(&mut self, event: Event, moment: Moment) -> Option<Due> {
        let mut due = Due {
            event,
            moment,
            more: 0,
        };
        let Some((kind, measure)) = kind(&due.event) else {
            return Some(due);
        };
        let kind = self.0.entry(kind).or_insert_with(|| Kind {
            measure,
            since: Instant::now(),
            interval: INTERVAL,
            written: 0,
            held: None,
        });
        if kind.written < measure.free {
            kind.written += 1;
            return Some(due);
        }
        due.more = kind.held.as_ref().map_or(0, |held| held.more + 1);
        kind.held = Some(due);
        None
    }

    /// What was held back for long enough. Kinds that have been quiet are forgotten.
    pub fn overdue(&mut self) -> Vec<Due> {
        let mut due = Vec::new();
        self.0.retain(|_, kind| {
            if kind.since.elapsed() < kind.interval {
                return true;
            }
            kind.since = Instant::now();
            kind.interval = (kind.interval * 2).min(kind.measure.longest);
            let held = kind.held.take();
            let busy = held.is_some();
            due.extend(held);
            busy
        });
        due
    }

    /// Everything that is held back.
    pub fn rest(&mut self) -> Vec<Due> {
        let kinds = std::mem::take(&mut self.0);
        kinds.into_values().filter_map(|kind| kind.held).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::events::{Denied, Opened};

    /// As if so much time had passed.
    fn pass(restraint: &mut Restraint, time: Duration) {
        for kind in restraint.0.values_mut() {
            kind.since = kind.since.checked_sub(time).unwrap();
        }
    }

    fn tell(restraint: &mut Restraint, event: &Event, times: usize) -> usize {
        (0..times)
            .filter_map(|_| restraint.admit(event.clone(), Moment::now()))
            .count()
    }

    #[test]
    fn a_loose_contact_writes_a_handful_and_counts_the_rest() {
        let mut restraint = Restraint::default();
        let mut written = tell(&mut restraint, &Event::Forced, 100);
        assert_eq!(written, 5);
        let mut counted = written as u64;
        // An hour of it.
        for _ in 0..360 {
            pass(&mut restraint, Duration::from_secs(10));
            for due in restraint.overdue() {
                written += 1;
                counted += 1 + due.more;
            }
            assert_eq!(tell(&mut restraint, &Event::Forced, 100), 0);
        }
        assert!((60..=70).contains(&written), "{written}");
        counted += restraint.rest().iter().map(|due| 1 + due.more).sum::<u64>();
        assert_eq!(counted, 36_100);
    }

    #[test]
    fn what_has_been_quiet_is_written_one_by_one_again() {
        let mut restraint = Restraint::default();
        assert_eq!(tell(&mut restraint, &Event::DoorOpened, 7), 5);
        pass(&mut restraint, Duration::from_secs(10));
        assert_eq!(restraint.overdue().len(), 1);
        assert_eq!(tell(&mut restraint, &Event::DoorOpened, 1), 0);
        for _ in 0..2 {
            pass(&mut restraint, Duration::from_secs(600));
            restraint.overdue();
        }
        assert_eq!(tell(&mut restraint, &Event::DoorOpened, 7), 5);
    }

    #[test]
    fn openings_by_faces_and_their_retractions_are_all_written() {
        let mut restraint = Restraint::default();
        let opened = |by: &str| {
            Event::Opened(Opened {
                by: by.into(),
                ..Opened::default()
            })
        };
        assert_eq!(tell(&mut restraint, &opened("face"), 100), 100);
        assert_eq!(tell(&mut restraint, &opened("button"), 100), 5);
        let denied = |retracts| {
            Event::Denied(Denied {
                reason: "log".into(),
                retracts,
                ..Denied::default()
            })
        };
        assert_eq!(tell(&mut restraint, &denied(Some(3)), 100), 100);
        assert_eq!(tell(&mut restraint, &denied(None), 100), 1);
    }
}
