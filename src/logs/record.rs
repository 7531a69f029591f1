//! What stands in a line.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The largest number that every reader of JSON keeps exactly.
pub const MAX_SEQ: u64 = (1 << 53) - 1;

/// A line of EVENTS, which is an event of CloudEvents but for its envelope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Rises from record to record, over restarts, too; a gap shows that something is missing.
    pub seq: u64,
    /// UTC, RFC 3339. The clock of the device may have been wrong.
    pub time: String,
    /// Seconds since boot, from a clock that nobody sets.
    pub uptime: f64,
    /// Like `door.opened`. Readers pass over those that they do not know.
    #[serde(rename = "type")]
    pub kind: String,
    /// What is known about it, by its type.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
}

/// When something happened.
#[derive(Clone, Debug)]
pub struct Moment {
    pub time: String,
    pub uptime: f64,
}

impl Moment {
    pub fn now() -> Moment {
        Moment {
            time: format!("{:.3}", jiff::Timestamp::now()),
            uptime: uptime().as_secs_f64(),
        }
    }
}

/// Time since boot, which goes on whatever the clock is set to.
pub fn uptime() -> Duration {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds: Option<f64> = text.split(' ').next().and_then(|s| s.parse().ok());
    Duration::try_from_secs_f64(seconds.unwrap_or_default()).unwrap_or_default()
}
