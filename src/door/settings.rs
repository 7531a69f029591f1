//! `[door]` of the configuration.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::board::{self, PULSE_MS};
use super::schedule::Schedule;
use crate::recognition::{Nearness, rounding};

/// Whether an opening needs a living face.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LivenessRule {
    /// Without a passed liveness check the door stays shut.
    Enforce,
    /// A photo of an enrolled person opens.
    Off,
}

/// Whether an opening by a face needs its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogRule {
    /// A medium that does not answer in time, or refuses, keeps nobody out; it is told.
    BestEffort,
    /// Without the record on the medium the door stays shut.
    Required,
}

/// `[door]`: the lock, and who opens it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Whether there is a door.
    pub enabled: bool,
    /// Name of a known board, or path of a board file. There is no default: a wrong guess moves the wrong pins, or none.
    pub board: String,
    /// The collection whose people may enter.
    pub collection: String,
    /// Share of strangers, 0 to 1, for whom the door may open by mistake.
    pub target_fpir: f64,
    pub liveness: LivenessRule,
    /// Whether an opening by a face needs its record in the event log.
    pub log: LogRule,
    /// Pixels between the eyes of a face that opens, at least.
    pub min_eye_distance: f64,
    /// Width of a face that opens, as a share (0..1) of the longer side of its picture, at least.
    pub min_face_share: f64,
    /// Addresses or networks (`10.0.0.0/24`) whose searches may open; empty: any with the token.
    pub clients: Vec<String>,
    /// File with the token that a search must bear to open; absent: any of `clients`.
    pub token_file: Option<PathBuf>,
    /// Times at which faces open, like `Mon-Fri 07:00-19:00`; empty: always.
    pub schedule: Vec<String>,
    /// Milliseconds of an opening, in place of the board's.
    pub pulse_ms: Option<u64>,
    /// Milliseconds from the end of an opening by a face in which no face opens again; 0: the next one opens at once.
    pub cooldown_ms: u64,
    /// Seconds that an opened door may stay open before the alarm.
    pub held_open_s: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            enabled: false,
            board: String::new(),
            collection: String::new(),
            target_fpir: 0.001,
            liveness: LivenessRule::Enforce,
            log: LogRule::BestEffort,
            min_eye_distance: 24.0,
            min_face_share: 0.1,
            clients: Vec::new(),
            token_file: None,
            schedule: Vec::new(),
            pulse_ms: None,
            cooldown_ms: 3000,
            held_open_s: 30,
        }
    }
}

impl Settings {
    /// Settings in which every key has a value: an absent option has no key in TOML.
    pub fn with_every_key() -> Settings {
        Settings {
            token_file: Some(PathBuf::from("x")),
            pulse_ms: Some(1000),
            ..Settings::default()
        }
    }

    /// # Errors
    /// A sentence with the key and what was expected.
    pub fn check(&self) -> Result<(), String> {
        if !(1e-6..=0.1).contains(&self.target_fpir) {
            return Err("`door.target_fpir` must be 0.000001 to 0.1".into());
        }
        if let Some(pulse) = self.pulse_ms
            && !PULSE_MS.contains(&pulse)
        {
            return Err(format!(
                "`door.pulse_ms` must be {} to {}",
                PULSE_MS.start(),
                PULSE_MS.end()
            ));
        }
        if !(0.0..=1000.0).contains(&self.min_eye_distance) {
            return Err("`door.min_eye_distance` must be 0 to 1000 pixels".into());
        }
        if !(0.0..=0.9).contains(&self.min_face_share) {
            return Err("`door.min_face_share` must be 0 to 0.9".into());
        }
        if self.cooldown_ms > 3_600_000 {
            return Err("`door.cooldown_ms` must be at most 3600000".into());
        }
        if !(1..=86_400).contains(&self.held_open_s) {
            return Err("`door.held_open_s` must be 1 to 86400 seconds".into());
        }
        Schedule::parse(&self.schedule).map_err(|e| format!("`door.schedule`: {e}"))?;
        for client in &self.clients {
            client
                .parse::<Network>()
                .map_err(|e| format!("`door.clients`: {e}"))?;
        }
        if !self.enabled {
            return Ok(());
        }
        if self.collection.is_empty() {
            return Err(
                "`door.collection` is missing: the collection whose people may enter".into(),
            );
        }
        if self.clients.is_empty() && self.token_file.is_none() {
            return Err(
                "`door.token_file` or `door.clients` is missing: who may open the door".into(),
            );
        }
        let name = &self.board;
        if !board::names().contains(&name.as_str())
            && !name.contains('/')
            && !name.ends_with(".toml")
        {
            return Err(format!(
                "`door.board` is \"{name}\": expected one of {}, or a path to a board file",
                board::names().join(", ")
            ));
        }
        Ok(())
    }
}

/// What a door that opens by single pictures does not hold, for those who answer for it. The figures are of models/liveness.md.
#[derive(Clone, Copy, Debug)]
pub struct Exposure {
    /// For a line of status.
    pub short: &'static str,
    pub found: &'static str,
    /// What to do.
    pub advice: &'static str,
}

impl Settings {
    /// `None` without a door: nothing but a face in a single picture opens one.
    pub fn exposure(&self) -> Option<Exposure> {
        const ADVICE: &str = "take a second factor (a card, a PIN) where it matters, let door.schedule admit faces only while somebody is \
                              within sight, leave no such door unattended: docs/guide/door.md";
        self.enabled.then_some(match self.liveness {
            LivenessRule::Enforce => Exposure {
                short: "relies on still pictures, a telephone held up can open it",
                found: "it relies on still pictures: a telephone that shows an enrolled person and fills the frame passed the liveness \
                        check in 100 of 100 trials, a tablet in 83 %, a print in 18 %",
                advice: ADVICE,
            },
            LivenessRule::Off => Exposure {
                short: "asks for no living face, any photo of an enrolled person opens it",
                found: "door.liveness is \"off\": any photo of an enrolled person opens it",
                advice: ADVICE,
            },
        })
    }
}

impl Settings {
    /// Why a face stands too far away to open, if it does.
    pub fn too_far(&self, nearness: &Nearness) -> Option<String> {
        let (eyes, least_eyes) = (nearness.eye_distance, self.min_eye_distance as f32);
        let (share, least_share) = (nearness.share, self.min_face_share as f32);
        if share >= least_share && eyes >= least_eyes {
            return None;
        }
        let what = match share < least_share {
            true => format!(
                "the face is {:.3} of the picture wide, at least {:.3} is needed (door.min_face_share)",
                rounding::down(share, 3),
                rounding::up(least_share, 3)
            ),
            false => format!(
                "the eyes are {:.1} pixels apart, at least {:.1} are needed (door.min_eye_distance)",
                rounding::down(eyes, 1),
                rounding::up(least_eyes, 1)
            ),
        };
        Some(format!("come nearer: {what}"))
    }
}

/// An address, or all addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: u128,
    v4: bool,
    /// Bits of `address` that count, from the top of the address's own width.
    bits: u32,
}

fn number(address: IpAddr) -> (u128, bool) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), true),
        IpAddr::V6(v6) => (v6.to_bits(), false),
    }
}

impl Network {
    pub fn contains(&self, address: IpAddr) -> bool {
        let (address, v4) = number(address);
        let width = if v4 { 32 } else { 128 };
        let apart = address ^ self.address;
        v4 == self.v4 && (self.bits == 0 || apart >> (width - self.bits) == 0)
    }
}

impl std::str::FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let wrong =
            || format!("\"{text}\" is no address like 10.0.0.7 and no network like 10.0.0.0/24");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u32>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let (address, v4) = number(address.parse().map_err(|_| wrong())?);
        let width = if v4 { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        match bits <= width {
            true => Ok(Network { address, v4, bits }),
            false => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_face_that_is_just_large_enough_is_near_enough() {
        let door = Settings::default();
        let said = |eye_distance, share| {
            door.too_far(&Nearness {
                eye_distance,
                share,
            })
        };
        assert_eq!(said(24.0, 0.1), None);
        let small = said(24.0, 0.09996).unwrap();
        assert!(
            small.contains("is 0.099 of the picture") && small.contains("least 0.100"),
            "{small}"
        );
        let close = said(23.99, 0.5).unwrap();
        assert!(
            close.contains("are 23.9 pixels") && close.contains("least 24.0"),
            "{close}"
        );
        assert!(said(f32::NAN, 0.5).is_some() && said(50.0, f32::NAN).is_some());
    }

    #[test]
    fn networks_contain_their_addresses() {
        for (network, inside, outside) in [
            ("10.0.0.7", "10.0.0.7", "10.0.0.8"),
            ("10.0.0.0/24", "10.0.0.255", "10.0.1.0"),
            ("0.0.0.0/0", "203.0.113.1", "::1"),
            ("fd00::/8", "fdff::1", "fe80::1"),
            ("192.168.1.5", "::ffff:192.168.1.5", "::1"),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{network:?}");
            assert!(!network.contains(outside.parse().unwrap()), "{network:?}");
        }
        for wrong in ["", "10.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/x", "door"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_enabled_door_says_what_it_misses() {
        let door = Settings {
            enabled: true,
            ..Settings::default()
        };
        assert!(door.check().unwrap_err().contains("door.collection"));
        let door = Settings {
            collection: "staff".into(),
            ..door
        };
        assert!(door.check().unwrap_err().contains("door.token_file"));
        let door = Settings {
            clients: vec!["10.0.0.7".into()],
            ..door
        };
        assert!(door.check().unwrap_err().contains("door.board"));
        let door = Settings {
            board: "simulated".into(),
            ..door
        };
        door.check().unwrap();
        for (door, key) in [
            (
                Settings {
                    board: "rpi9".into(),
                    ..door.clone()
                },
                "door.board",
            ),
            (
                Settings {
                    target_fpir: 0.0,
                    ..door.clone()
                },
                "door.target_fpir",
            ),
            (
                Settings {
                    schedule: vec!["Mo 7-9".into()],
                    ..door.clone()
                },
                "door.schedule",
            ),
            (
                Settings {
                    pulse_ms: Some(0),
                    ..door.clone()
                },
                "door.pulse_ms",
            ),
            (
                Settings {
                    min_eye_distance: f64::NAN,
                    ..door.clone()
                },
                "door.min_eye_distance",
            ),
            (
                Settings {
                    min_face_share: 1.0,
                    ..door.clone()
                },
                "door.min_face_share",
            ),
        ] {
            let said = door.check().unwrap_err();
            assert!(said.contains(key), "{said}");
        }
    }
}
