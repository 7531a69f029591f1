//! Whether this device may work: a file signed by the vendor, for this device, and for this time.
//!
//! `docs/design/license.md` has the format, the rules of the clock and what they hold against.

pub mod clock;
pub mod date;
pub mod device;
pub mod file;
mod guard;
pub mod keys;
mod mark;
#[cfg(feature = "development-key")]
mod rehearsal;
pub mod request;
#[cfg(test)]
mod tests;
mod time;

pub use file::{Limits, Terms};
pub use guard::{Circumstances, Pace, read as read_file};
pub use mark::write_durably;

use std::fmt::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use clock::{Clock, SystemClock};
use device::DeviceIdentity;
use guard::{Guard, Judge};

/// State of the license, spelled as the API answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Authorized,
    /// There is none.
    Unauthorized,
    Expired,
    /// Edited, damaged, not by the vendor, or issued in the future.
    Invalid,
    DeviceMismatch,
    ClockRollback,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Authorized => "Authorized",
            State::Unauthorized => "Unauthorized",
            State::Expired => "Expired",
            State::Invalid => "Invalid",
            State::DeviceMismatch => "DeviceMismatch",
            State::ClockRollback => "ClockRollback",
        })
    }
}

/// What was found about the license.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub state: State,
    /// Why the state is what it is, in a sentence. The API shows it to everyone on the network.
    pub detail: String,
    pub limits: Limits,
    pub features: Vec<String>,
}

impl Verdict {
    fn refused(state: State, detail: impl Into<String>) -> Verdict {
        Verdict {
            state,
            detail: detail.into(),
            limits: Limits::default(),
            features: Vec::new(),
        }
    }

    fn none() -> Verdict {
        Verdict::refused(
            State::Unauthorized,
            "no license is installed on this device",
        )
    }
}

/// The license of this device, as it is now. Clones are the same license.
#[derive(Clone)]
pub struct License {
    current: Arc<RwLock<Arc<Verdict>>>,
    guard: Option<Arc<Guard>>,
}

impl License {
    fn fixed(verdict: Verdict) -> License {
        License {
            current: Arc::new(RwLock::new(Arc::new(verdict))),
            guard: None,
        }
    }

    /// No license: every endpoint but `/version` and `/license` is refused.
    pub fn none() -> License {
        License::fixed(Verdict::none())
    }

    /// The daemon licenses itself.
    #[cfg(feature = "development-key")]
    pub fn development() -> License {
        License::fixed(Verdict {
            state: State::Authorized,
            ..Verdict::refused(
                State::Authorized,
                "development build with --development: no license file was checked",
            )
        })
    }

    /// Checks the license file of a data folder, and goes on watching it and the time on a thread of its own for as long as there
    /// is a clone of this.
    pub fn watch(data: &Path) -> License {
        License::watch_with(circumstances(data))
    }

    /// The same, of one's own choice.
    pub fn watch_with(circumstances: Circumstances) -> License {
        let judge = Judge::new(circumstances, true);
        License {
            current: judge.current(),
            guard: Some(Arc::new(Guard::start(judge))),
        }
    }

    /// The gallery's newest change is of this time, which is evidence of how late it has been.
    pub fn saw_commit(&self, time: SystemTime) {
        if let Some(guard) = &self.guard {
            let seconds = time
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs());
            guard.judge().saw_commit(seconds);
        }
    }

    /// State, detail and limits of one moment. Cheap: made for every request.
    pub fn verdict(&self) -> Arc<Verdict> {
        (self.current.read())
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub fn state(&self) -> State {
        self.verdict().state
    }

    /// Why the state is what it is, in a sentence.
    pub fn detail(&self) -> String {
        self.verdict().detail.clone()
    }

    /// None of them while there is no license; nothing is allowed then anyway.
    pub fn limits(&self) -> Limits {
        self.verdict().limits
    }

    /// Whether the license names this optional part of the product.
    pub fn has_feature(&self, name: &str) -> bool {
        self.verdict()
            .features
            .iter()
            .any(|feature| feature == name)
    }
}

impl fmt::Debug for License {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.verdict().fmt(f)
    }
}

/// What the daemon would say about these bytes as its license now. Nothing is kept on disk.
pub fn assess(data: &Path, file: &Path) -> Verdict {
    let judge = Judge::new(
        Circumstances {
            file: file.to_owned(),
            ..circumstances(data)
        },
        false,
    );
    let current = judge.current();
    License {
        current,
        guard: None,
    }
    .verdict()
    .as_ref()
    .clone()
}

/// The license for a command that adds people to the files of a data folder while no daemon does: the one that the daemon would go
/// by. A development build without a license file needs none. Nothing is kept on disk.
///
/// # Errors
/// With it no daemon would add anybody either; a sentence.
pub fn of_files(data: &Path) -> Result<License, String> {
    let file = license_file(data);
    #[cfg(feature = "development-key")]
    if !file.exists() {
        return Ok(License::development());
    }
    let verdict = assess(data, &file);
    match verdict.state {
        State::Authorized => Ok(License::fixed(verdict)),
        state => Err(format!(
            "this device adds nobody, its license is {state}: {}; `recocomp license install` comes first",
            verdict.detail
        )),
    }
}

/// Where a data folder has its license.
pub fn license_file(data: &Path) -> PathBuf {
    data.join("recocomp.license")
}

/// The device that licenses are for.
pub fn this_device() -> DeviceIdentity {
    #[cfg(feature = "development-key")]
    if let Some(device) = rehearsal::device() {
        return device;
    }
    DeviceIdentity::read()
}

fn circumstances(data: &Path) -> Circumstances {
    let (clock, pace): (Arc<dyn Clock>, Pace) = clock_of_this_build();
    Circumstances {
        file: license_file(data),
        mark: data.join("license.mark"),
        device: this_device(),
        keys: keys::trusted_keys(),
        clock,
        pace,
    }
}

/// The clock of this device.
pub fn clock_of_device() -> Arc<dyn Clock> {
    clock_of_this_build().0
}

fn clock_of_this_build() -> (Arc<dyn Clock>, Pace) {
    #[cfg(feature = "development-key")]
    if let Some(rehearsed) = rehearsal::clock() {
        return rehearsed;
    }
    (Arc::new(SystemClock::new()), Pace::default())
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What [`hex`] writes, and nothing else.
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}
