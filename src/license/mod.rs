//! Whether this device may work.
//!
//! Signed license files are not built yet. Until then there are two honest states: a development
//! build that was told to license itself, and everything else, which is not licensed.

use std::fmt;

/// State of the license, spelled as the API answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Authorized,
    Unauthorized,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Authorized => "Authorized",
            State::Unauthorized => "Unauthorized",
        })
    }
}

/// The license of this device.
#[derive(Clone, Copy, Debug)]
pub struct License {
    state: State,
    detail: &'static str,
}

impl License {
    /// No license: every endpoint but `/version` and `/license` is refused.
    pub fn none() -> License {
        License {
            state: State::Unauthorized,
            detail: "no license is installed on this device",
        }
    }

    /// The daemon licenses itself.
    #[cfg(feature = "development-key")]
    pub fn development() -> License {
        License {
            state: State::Authorized,
            detail: "development build with --development: no license file was checked",
        }
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// Why the state is what it is, in a sentence.
    pub fn detail(&self) -> &'static str {
        self.detail
    }
}
