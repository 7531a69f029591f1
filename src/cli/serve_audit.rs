//! What a start of the daemon leaves in the audit log.

use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::config::Config;
use crate::engine::clock_is_right;
use crate::license::clock_of_device;
use crate::logs::audit::{self, Act, Audit};

/// The type of the record that holds the configuration of the door.
const DOOR: &str = "door.configured";

/// Writes that the daemon starts, and how its door is configured if that has changed, on a thread of its own: nothing waits for it.
pub fn start(config: &Config) {
    let (data, door) = (config.storage.data.clone(), json!(config.door));
    let work = move || {
        if let Err(e) = write(&data, door) {
            tracing::error!("audit: the start cannot be written: {e}");
        }
    };
    if let Err(e) = std::thread::Builder::new().name("audit".into()).spawn(work) {
        tracing::error!("audit: the start cannot be written: {e}");
    }
}

fn write(data: &Path, door: Value) -> io::Result<()> {
    let before = audit::read(data, 0)?;
    let last = before.into_iter().rfind(|entry| entry.kind == DOOR);
    let mut audit = Audit::open(data)?;
    let mut told = |kind, data| {
        audit.append(&Act {
            kind,
            actor: json!({"by": "system"}),
            event: None,
            data,
        })
    };
    told("system.started", json!({"version": crate::VERSION}))?;
    if last.map(|entry| Value::Object(entry.data)) != Some(door.clone()) {
        told(DOOR, door)?;
    }
    Ok(())
}

/// Lets records go that are older than `[audit] keep_days`, by a clock that something confirms.
pub fn trim(config: &Config) {
    let clock = clock_of_device();
    let now = i64::try_from(clock.now()).map(Timestamp::from_second);
    let Ok(Ok(now)) = now else { return };
    if !clock_is_right(clock.as_ref()) {
        return;
    }
    let keep = Duration::from_secs(config.audit.keep_days * 86_400);
    let trimmed = Audit::open(&config.storage.data).and_then(|mut audit| audit.trim(now, keep));
    match trimmed {
        Ok(0) => {}
        Ok(files) => tracing::info!(
            "audit: {files} files were older than {} days",
            config.audit.keep_days
        ),
        Err(e) => tracing::error!(
            "audit: what is older than {} days cannot go: {e}",
            config.audit.keep_days
        ),
    }
}
