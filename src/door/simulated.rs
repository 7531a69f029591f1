//! A board of files: `door/simulated/` in the data folder.
//!
//! | file | holds |
//! |---|---|
//! | `pins.jsonl` | every change of an output, a line each: `{"ms": 123, "pin": "relay", "on": true}`; `ms` since boot |
//! | `inputs` | names of the asserted inputs (`button`, `open`, `tamper`), read anew all the time; `fail`, `hang` and `panic` make the reading do so, `panic-taking` the taking of the pins; `fail-relay`, `fail-green` and so on the switching of an output |
//! | `lock` | held by who has the pins |
//!
//! Like real pins, outputs keep their state when a program is killed.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::gpio::{GpioError, Inputs, Output, Outputs, Pins, Sensed};
use crate::regular_file;

/// Size from which the timeline starts anew when the pins are taken.
const MAX_TIMELINE: u64 = 1 << 20;
const HANG: Duration = Duration::from_secs(5);

/// Folder of the simulated board's files.
pub fn folder(data: &Path) -> PathBuf {
    data.join("door").join("simulated")
}

/// # Errors
/// The files cannot be written, or another process has the pins.
pub fn open(data: &Path) -> Result<Pins, GpioError> {
    let folder = folder(data);
    let failed =
        |e: std::io::Error| GpioError::driver(format!("(simulated) in {}", folder.display()), e);
    std::fs::create_dir_all(&folder).map_err(failed)?;
    let mut options = OpenOptions::new();
    let lock = regular_file::open_own(
        options.create(true).truncate(false).write(true),
        &folder.join("lock"),
    )
    .map_err(failed)?;
    lock.try_lock().map_err(|e| match e {
        TryLockError::WouldBlock => GpioError::Busy("the simulated board's".into()),
        TryLockError::Error(e) => failed(e),
    })?;
    let mut options = OpenOptions::new();
    let timeline = regular_file::open(
        options.create(true).append(true),
        &folder.join("pins.jsonl"),
    )
    .map_err(failed)?;
    if timeline.metadata().map_err(failed)?.len() > MAX_TIMELINE {
        timeline.set_len(0).map_err(failed)?;
    }
    let inputs = folder.join("inputs");
    let told = regular_file::read_to_string(&inputs).unwrap_or_default();
    assert!(
        !told.contains("panic-taking"),
        "the simulated board was told to panic"
    );
    let mut outputs = Timeline {
        timeline,
        inputs: inputs.clone(),
        _lock: lock,
        // Nothing is known of what the last program left.
        on: [true; Output::ALL.len()],
    };
    super::gpio::release(&mut outputs)?;
    Ok(Pins {
        outputs: Box::new(outputs),
        inputs: Box::new(InputFile(inputs)),
    })
}

struct Timeline {
    timeline: File,
    inputs: PathBuf,
    _lock: File,
    on: [bool; Output::ALL.len()],
}

impl Outputs for Timeline {
    fn write(&mut self, output: Output, on: bool) -> Result<(), GpioError> {
        if self.on[output as usize] == on {
            return Ok(());
        }
        let told = regular_file::read_to_string(&self.inputs).unwrap_or_default();
        let name = output.name();
        if (told.split_whitespace()).any(|word| word.strip_prefix("fail-") == Some(name)) {
            let what = format!("{name} (simulated)");
            return Err(GpioError::driver(what, "told to fail"));
        }
        let line = format!(
            "{{\"ms\": {}, \"pin\": \"{}\", \"on\": {on}}}\n",
            crate::logs::uptime().as_millis(),
            name
        );
        (self.timeline.write_all(line.as_bytes()))
            .map_err(|e| GpioError::driver(format!("{name} (simulated)"), e))?;
        self.on[output as usize] = on;
        Ok(())
    }
}

struct InputFile(PathBuf);

impl Inputs for InputFile {
    fn read(&mut self) -> Result<Sensed, GpioError> {
        let text = match regular_file::read_to_string(&self.0) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(GpioError::driver("inputs (simulated)", e)),
        };
        let asserted = |name: &str| text.split_whitespace().any(|word| word == name);
        if asserted("fail") {
            return Err(GpioError::driver("inputs (simulated)", "told to fail"));
        }
        if asserted("hang") {
            std::thread::sleep(HANG);
        }
        assert!(!asserted("panic"), "the simulated board was told to panic");
        Ok(Sensed {
            button: asserted("button"),
            door_open: asserted("open"),
            tamper: asserted("tamper"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_written_down_and_inputs_read() {
        let data = tempfile::tempdir().unwrap();
        let mut pins = open(data.path()).unwrap();
        pins.outputs.write(Output::Relay, true).unwrap();
        pins.outputs.write(Output::Relay, true).unwrap();
        assert_eq!(pins.inputs.read().unwrap(), Sensed::default());
        std::fs::write(folder(data.path()).join("inputs"), "open tamper\n").unwrap();
        let seen = pins.inputs.read().unwrap();
        assert!(seen.door_open && seen.tamper && !seen.button);
        assert!(matches!(open(data.path()), Err(GpioError::Busy(_))));
        drop(pins);
        // As after a crash: who takes the pins next turns them off.
        drop(open(data.path()).unwrap());
        let timeline = std::fs::read_to_string(folder(data.path()).join("pins.jsonl")).unwrap();
        let relay: Vec<bool> = (timeline.lines())
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .filter(|change| change["pin"] == "relay")
            .map(|change| change["on"].as_bool().unwrap())
            .collect();
        assert_eq!(relay, [false, true, false]);
    }
}
