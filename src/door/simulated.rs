//! A board of files: `door/simulated/` in the data folder.
//!
//! | file | holds |
//! |---|---|
//! | `pins.jsonl` | every change of an output, a line each: `{"ms": 12.3, "pin": "relay", "on": true}`; `ms` since boot |
//! | `inputs` | names of the asserted inputs (`button`, `open`, `tamper`), read anew all the time |
//! | `lock` | held by who has the pins |
//!
//! Like real pins, outputs keep their state when a program is killed.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::gpio::{GpioError, Inputs, Output, Pins};

/// Size from which the timeline starts anew when the pins are taken.
const MAX_TIMELINE: u64 = 1 << 20;

/// The simulated pins, held exclusively.
pub struct Simulated {
    timeline: File,
    inputs: PathBuf,
    _lock: File,
    on: [bool; Output::ALL.len()],
}

/// Folder of the simulated board's files.
pub fn folder(data: &Path) -> PathBuf {
    data.join("door").join("simulated")
}

impl Simulated {
    /// # Errors
    /// The files cannot be written, or another process has the pins.
    pub fn open(data: &Path) -> Result<Simulated, GpioError> {
        let folder = folder(data);
        let failed = |e: std::io::Error| {
            GpioError::driver(format!("(simulated) in {}", folder.display()), e)
        };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let lock = (OpenOptions::new().create(true).truncate(false).write(true))
            .open(folder.join("lock"))
            .map_err(failed)?;
        lock.try_lock().map_err(|e| match e {
            TryLockError::WouldBlock => GpioError::Busy("the simulated board's".into()),
            TryLockError::Error(e) => failed(e),
        })?;
        let timeline = (OpenOptions::new().create(true).append(true))
            .open(folder.join("pins.jsonl"))
            .map_err(failed)?;
        if timeline.metadata().map_err(failed)?.len() > MAX_TIMELINE {
            timeline.set_len(0).map_err(failed)?;
        }
        let mut pins = Simulated {
            timeline,
            inputs: folder.join("inputs"),
            _lock: lock,
            // Nothing is known of what the last program left.
            on: [true; Output::ALL.len()],
        };
        super::gpio::release(&mut pins)?;
        Ok(pins)
    }
}

impl Pins for Simulated {
    fn write(&mut self, output: Output, on: bool) -> Result<(), GpioError> {
        if self.on[output as usize] == on {
            return Ok(());
        }
        let line = format!(
            "{{\"ms\": {:.1}, \"pin\": \"{}\", \"on\": {on}}}\n",
            since_boot_ms(),
            output.name()
        );
        (self.timeline.write_all(line.as_bytes()))
            .map_err(|e| GpioError::driver(format!("{} (simulated)", output.name()), e))?;
        self.on[output as usize] = on;
        Ok(())
    }

    fn read(&mut self) -> Result<Inputs, GpioError> {
        let text = match std::fs::read_to_string(&self.inputs) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(GpioError::driver("inputs (simulated)", e)),
        };
        let asserted = |name: &str| text.split_whitespace().any(|word| word == name);
        Ok(Inputs {
            button: asserted("button"),
            door_open: asserted("open"),
            tamper: asserted("tamper"),
        })
    }
}

/// Milliseconds since boot: the same clock in every process.
fn since_boot_ms() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds: Option<f64> = text.split(' ').next().and_then(|s| s.parse().ok());
    seconds.unwrap_or_default() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_written_down_and_inputs_read() {
        let data = tempfile::tempdir().unwrap();
        let mut pins = Simulated::open(data.path()).unwrap();
        pins.write(Output::Relay, true).unwrap();
        pins.write(Output::Relay, true).unwrap();
        assert_eq!(pins.read().unwrap(), Inputs::default());
        std::fs::write(folder(data.path()).join("inputs"), "open tamper\n").unwrap();
        let seen = pins.read().unwrap();
        assert!(seen.door_open && seen.tamper && !seen.button);
        assert!(matches!(
            Simulated::open(data.path()),
            Err(GpioError::Busy(_))
        ));
        drop(pins);
        // As after a crash: who takes the pins next turns them off.
        drop(Simulated::open(data.path()).unwrap());
        let timeline = std::fs::read_to_string(folder(data.path()).join("pins.jsonl")).unwrap();
        let relay: Vec<bool> = (timeline.lines())
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .filter(|change| change["pin"] == "relay")
            .map(|change| change["on"].as_bool().unwrap())
            .collect();
        assert_eq!(relay, [false, true, false]);
    }
}
