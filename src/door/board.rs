//! Board files: which line of which chip is wired to what.

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::license::write_durably;
use crate::text_file::{self, SETTINGS_BYTES, TextFileError};

macro_rules! known {
    ($($name:literal),*) => {
        [$(($name, include_str!(concat!("../../board/", $name, ".toml")))),*]
    };
}
/// Boards inside the binary: name and text.
const KNOWN: [(&str, &str); 6] = known!("rpi3", "rpi4", "rpi5", "zero2w", "generic", "simulated");

/// How the pins are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// The kernel's GPIO character device: any board.
    Cdev,
    /// The registers of a Raspberry Pi, by the crate rppal.
    Rppal,
    /// Files in the data folder.
    Simulated,
}

/// The voltage that stands for "on" or "asserted".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    High,
    Low,
}

/// The resistor inside the chip.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pull {
    Up,
    Down,
    #[default]
    None,
}

/// What the lock is while the relay's coil is without current. No other state could be kept through a loss of power, so it is
/// the safe one by definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Safe {
    /// Fail-secure: current opens.
    Locked,
    /// Fail-safe: current locks.
    Unlocked,
}

/// The relay of the lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// Offset of the line in the chip; on a Raspberry Pi the GPIO number.
    pub line: u32,
    /// The level that gives the coil current.
    pub active: Level,
    pub safe: Safe,
    /// How long an opening lasts, in milliseconds.
    pub pulse_ms: u64,
}

impl Relay {
    pub fn pin(&self) -> OutputPin {
        OutputPin {
            line: self.line,
            active: self.active,
        }
    }
}

/// An LED or the buzzer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputPin {
    pub line: u32,
    pub active: Level,
}

/// A button or a contact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputPin {
    pub line: u32,
    /// The level that means pressed, door open or tampered with.
    pub active: Level,
    #[serde(default)]
    pub pull: Pull,
}

/// A board file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Board {
    pub name: String,
    pub title: String,
    pub driver: Driver,
    /// Label of the gpiochip. Numbers of chips change between kernels, labels do not.
    pub chip: Option<String>,
    pub relay: Relay,
    pub green: Option<OutputPin>,
    pub red: Option<OutputPin>,
    pub buzzer: Option<OutputPin>,
    /// Exit button.
    pub button: Option<InputPin>,
    /// Door contact, asserted while the door is open.
    pub contact: Option<InputPin>,
    pub tamper: Option<InputPin>,
}

/// Why a board cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    #[error("there is no board \"{name}\"; there are {known}, or a path to a board file", known = names().join(", "))]
    Unknown { name: String },
    #[error("cannot read the board file {path}: {source}", path = path.display())]
    Read {
        path: PathBuf,
        source: TextFileError,
    },
    #[error("the board {board} is wrong: {reason}")]
    Wrong { board: String, reason: String },
}

/// Names of the boards inside the binary.
pub fn names() -> Vec<&'static str> {
    KNOWN.iter().map(|(name, _)| *name).collect()
}

impl Board {
    /// A board inside the binary by its name, or a file by its path (what has a `/` or ends in `.toml`).
    ///
    /// # Errors
    /// [`BoardError`] names the file, the key and what was expected.
    pub fn load(name: &str) -> Result<Board, BoardError> {
        let wrong = |reason| BoardError::Wrong {
            board: name.into(),
            reason,
        };
        if name.contains('/') || name.ends_with(".toml") {
            let path = Path::new(name);
            let text =
                text_file::read(path, SETTINGS_BYTES).map_err(|source| BoardError::Read {
                    path: path.into(),
                    source,
                })?;
            return Board::parse(&text).map_err(wrong);
        }
        let (_, text) = (KNOWN.iter().find(|(known, _)| *known == name))
            .ok_or_else(|| BoardError::Unknown { name: name.into() })?;
        Board::parse(text).map_err(wrong)
    }

    fn parse(text: &str) -> Result<Board, String> {
        let parsed = toml::Deserializer::parse(text).map_err(|e| e.to_string())?;
        let mut unknown = Vec::new();
        let board: Board =
            serde_ignored::deserialize(parsed, |path| unknown.push(path.to_string()))
                .map_err(|e| e.to_string())?;
        if let Some(key) = unknown.first() {
            // serde_ignored writes `?` for the inside of an option.
            let key = key.replace(".?", "");
            return Err(match crate::config::nearest(&key, known_keys()) {
                Some(known) => format!("there is no key `{key}`, did you mean `{known}`?"),
                None => format!("there is no key `{key}`"),
            });
        }
        board.check()?;
        Ok(board)
    }

    fn check(&self) -> Result<(), String> {
        if self.driver == Driver::Cdev && self.chip.as_deref().unwrap_or_default().is_empty() {
            return Err(
                "`chip` is missing: the label of the gpiochip, as gpiodetect prints it".into(),
            );
        }
        if !(PULSE_MS.contains(&self.relay.pulse_ms)) {
            return Err(format!(
                "`relay.pulse_ms` must be {} to {}",
                PULSE_MS.start(),
                PULSE_MS.end()
            ));
        }
        let mut users: BTreeMap<u32, &str> = BTreeMap::new();
        for (name, line) in self.lines() {
            if let Some(other) = users.insert(line, name) {
                return Err(format!(
                    "`{name}.line` and `{other}.line` are both {line}: each pin has one use"
                ));
            }
        }
        Ok(())
    }

    /// What is wired, with its line.
    pub fn lines(&self) -> Vec<(&'static str, u32)> {
        let outputs = [
            ("green", &self.green),
            ("red", &self.red),
            ("buzzer", &self.buzzer),
        ];
        let inputs = [
            ("button", &self.button),
            ("contact", &self.contact),
            ("tamper", &self.tamper),
        ];
        let outputs = outputs.map(|(name, pin)| (name, pin.as_ref().map(|pin| pin.line)));
        let inputs = inputs.map(|(name, pin)| (name, pin.as_ref().map(|pin| pin.line)));
        (std::iter::once(("relay", Some(self.relay.line))))
            .chain(outputs)
            .chain(inputs)
            .filter_map(|(name, line)| Some((name, line?)))
            .collect()
    }

    pub fn is_simulated(&self) -> bool {
        self.driver == Driver::Simulated
    }

    /// How long an opening lasts unless the configuration says otherwise.
    pub fn pulse(&self) -> Duration {
        Duration::from_millis(self.relay.pulse_ms)
    }
}

impl Board {
    /// Keeps the board in the data folder, for [`Board::in_use`]. Writes only what has changed: the card is worth it.
    ///
    /// # Errors
    /// The storage's.
    pub fn keep(&self, data: &Path) -> std::io::Result<()> {
        if matches!(Board::in_use(data), Ok(Some(kept)) if kept == *self) {
            return Ok(());
        }
        let text = toml::to_string(self).map_err(std::io::Error::other)?;
        let text =
            format!("# The board that the daemon drives; `recocomp door safe` reads it.\n{text}");
        std::fs::create_dir_all(super::events::folder(data))?;
        write_durably(&in_use(data), text.as_bytes(), 0o600)
    }

    /// The board whose pins the last daemon on this data took, whatever the configuration says by now.
    ///
    /// # Errors
    /// [`BoardError`]: the file cannot be read or used.
    pub fn in_use(data: &Path) -> Result<Option<Board>, BoardError> {
        let path = in_use(data);
        match Board::load(&path.to_string_lossy()) {
            Err(BoardError::Read { source, .. }) if source.is_not_found() => Ok(None),
            loaded => loaded.map(Some),
        }
    }

    /// Takes back [`Board::keep`].
    ///
    /// # Errors
    /// The storage's.
    pub fn forget(data: &Path) -> std::io::Result<()> {
        match std::fs::remove_file(in_use(data)) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}

fn in_use(data: &Path) -> PathBuf {
    super::events::folder(data).join("board.toml")
}

/// Milliseconds that an opening may last.
pub const PULSE_MS: std::ops::RangeInclusive<u64> = 100..=60_000;

impl fmt::Display for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.driver {
            Driver::Simulated => write!(f, "{} (SIMULATED: no door moves)", self.name),
            _ => write!(f, "{} ({})", self.name, self.title),
        }
    }
}

/// Every key of a board file as `section.key`, and every section.
fn known_keys() -> Vec<String> {
    // The simulated board has every section, and every section has every key.
    let mut keys = vec!["chip".to_owned()];
    let everything: toml::Table = KNOWN
        .iter()
        .find(|(name, _)| *name == "simulated")
        .and_then(|(_, text)| text.parse().ok())
        .unwrap_or_default();
    for (name, value) in everything {
        let inside = value.as_table().into_iter().flat_map(toml::Table::keys);
        keys.extend(inside.map(|key| format!("{name}.{key}")));
        keys.push(name);
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_board_is_read_and_bears_its_name() {
        for name in names() {
            assert_eq!(Board::load(name).unwrap().name, name);
        }
    }

    #[test]
    fn raspberry_pis_are_found_by_the_labels_of_their_kernels() {
        for (name, label) in [
            ("rpi3", "pinctrl-bcm2835"),
            ("zero2w", "pinctrl-bcm2835"),
            ("rpi4", "pinctrl-bcm2711"),
            ("rpi5", "pinctrl-rp1"),
        ] {
            let board = Board::load(name).unwrap();
            assert_eq!(board.chip.as_deref(), Some(label), "{name}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest() {
        let (_, good) = KNOWN[5];
        for (from, to, meant) in [
            ("pulse_ms", "puls_ms", "relay.pulse_ms"),
            ("[buzzer]", "[buzer]", "buzzer"),
            ("pull = \"up\"", "pul = \"up\"", "pull"),
        ] {
            let said = Board::parse(&good.replace(from, to)).unwrap_err();
            let missing = said.contains("missing field `pulse_ms`");
            assert!(missing || said.contains("did you mean"), "{to}: {said}");
            assert!(said.contains(meant.rsplit('.').next().unwrap()), "{said}");
        }
    }

    #[test]
    fn wrong_boards_name_the_key() {
        let (_, good) = KNOWN[5];
        for (from, to, says) in [
            ("line = 27", "line = 17", "`green.line` and `relay.line`"),
            (
                "pulse_ms = 5000",
                "pulse_ms = 0",
                "`relay.pulse_ms` must be",
            ),
            ("safe = \"locked\"", "safe = \"shut\"", "shut"),
            ("driver = \"simulated\"", "driver = \"cdev\"", "`chip`"),
            ("line = 5", "line = -5", "line"),
        ] {
            let said = Board::parse(&good.replacen(from, to, 1)).unwrap_err();
            assert!(said.contains(says), "{to}: {said}");
        }
        let said = Board::load("rpi9").unwrap_err().to_string();
        assert!(said.contains("rpi5") && said.contains("path"), "{said}");
    }

    #[test]
    fn the_board_in_use_is_kept_as_it_is() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(Board::in_use(data.path()).unwrap(), None);
        for name in names() {
            let board = Board::load(name).unwrap();
            board.keep(data.path()).unwrap();
            assert_eq!(Board::in_use(data.path()).unwrap(), Some(board), "{name}");
        }
        std::fs::write(in_use(data.path()), "name = ").unwrap();
        assert!(Board::in_use(data.path()).is_err());
        Board::load("rpi4").unwrap().keep(data.path()).unwrap();
        assert_eq!(Board::in_use(data.path()).unwrap().unwrap().name, "rpi4");
        Board::forget(data.path()).unwrap();
        Board::forget(data.path()).unwrap();
        assert_eq!(Board::in_use(data.path()).unwrap(), None);
    }
}
