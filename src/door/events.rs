//! What happens at a door, as records of EVENTS: their types begin with `door.`.
//!
//! They name who entered, never what they look like: no pictures, no templates.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::logs::Record;

/// What happened, with what is known about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The program took the pins.
    Started {
        board: String,
        door_open: bool,
    },
    /// The program gave the pins back.
    Stopped,
    /// The lock was opened.
    Opened(Opened),
    /// The lock is locked again.
    Relocked,
    /// A search that asked to open was refused.
    Denied(Denied),
    DoorOpened,
    DoorClosed,
    /// The door was opened while locked.
    Forced,
    /// The door has been open for too long.
    HeldOpen,
    Tamper,
    TamperEnded,
    /// The pins cannot be used.
    Fault {
        what: String,
    },
    /// Events that could not be kept.
    Lost {
        count: u64,
    },
    /// Numbers of events that were lost when the program ended without notice, if there were any.
    Gap {
        from: u64,
        to: u64,
    },
}

/// Who or what opened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// `face`, `button` or `test`.
    pub by: String,
    /// The `target_id` of the person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cosine: Option<f32>,
    /// The cosine that was needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// Its false match rate is rarer than what the embedding model was measured for: models.toml.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub extrapolated: bool,
    #[serde(flatten)]
    pub request: Origin,
}

/// Why a search did not open. Whom a stranger resembles most is not written down.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Denied {
    pub reason: String,
    /// The person who matched and may not enter now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// The number of an `opened` that was written and did not come about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retracts: Option<u64>,
    #[serde(flatten)]
    pub request: Origin,
}

/// Where a request came from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The request's id, as in the log of the daemon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// Folder of the door's files.
pub fn folder(data: &Path) -> PathBuf {
    data.join("door")
}

/// Those of the log itself among the names of events.
const OF_THE_LOG: [&str; 2] = ["lost", "gap"];

impl Event {
    /// Type and data of its record.
    pub fn record(&self) -> (String, Map<String, Value>) {
        let value = serde_json::to_value(self).unwrap_or_default();
        let mut data = match value {
            Value::Object(data) => data,
            _ => Map::new(),
        };
        let name = data.remove("event");
        let name = name.as_ref().and_then(Value::as_str).unwrap_or_default();
        let topic = match OF_THE_LOG.contains(&name) {
            true => "log",
            false => "door",
        };
        (format!("{topic}.{name}"), data)
    }

    /// The event that a record tells of, if it is the door's or the log's own.
    pub fn of(record: &Record) -> Option<Event> {
        serde_json::from_value(Value::Object(line(record)?)).ok()
    }
}

/// A record as version 1.0.0 wrote it and `recocomp door events --json` prints it: `event` in place of the type, the data beside it.
/// `None` for what is not the door's.
pub fn line(record: &Record) -> Option<Map<String, Value>> {
    let name = match record.kind.split_once('.')? {
        ("door", name) => name,
        ("log", name) if OF_THE_LOG.contains(&name) => name,
        _ => return None,
    };
    let mut line = record.data.clone();
    line.insert("event".into(), name.into());
    line.insert("seq".into(), record.seq.into());
    line.insert("time".into(), record.time.clone().into());
    line.insert("uptime".into(), record.uptime.into());
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(event: &Event) -> Record {
        let (kind, data) = event.record();
        Record {
            seq: 7,
            time: "2026-11-27T12:00:00.000Z".into(),
            uptime: 1.5,
            kind,
            data,
        }
    }

    #[test]
    fn an_event_and_its_record_say_the_same() {
        let opened = Event::Opened(Opened {
            by: "face".into(),
            person: Some("ada\n\"".into()),
            cosine: Some(0.75),
            ..Opened::default()
        });
        for (event, kind) in [
            (opened, "door.opened"),
            (Event::DoorOpened, "door.door_opened"),
            (Event::TamperEnded, "door.tamper_ended"),
            (Event::Lost { count: 3 }, "log.lost"),
            (Event::Gap { from: 8, to: 9 }, "log.gap"),
        ] {
            let record = record(&event);
            assert_eq!(record.kind, kind);
            assert_eq!(Event::of(&record), Some(event));
        }
    }

    #[test]
    fn what_is_not_the_doors_is_none_of_its_events() {
        for kind in ["enrolment.added", "log.other", "door", ""] {
            let record = Record {
                kind: kind.into(),
                ..record(&Event::Forced)
            };
            assert_eq!(line(&record), None, "{kind}");
        }
    }
}
