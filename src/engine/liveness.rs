//! How much is asked about liveness: the installer's mode and the caller's demand together.

use serde::{Deserialize, Serialize};

use super::{Code, Engine, Error};
use crate::recognition::LivenessDemand;

/// What searches and comparisons ask of themselves, whoever calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LivenessMode {
    /// Nothing, and a client that asks for a score is told that there is none.
    Off,
    /// A score for those who ask; nobody is refused for it.
    #[default]
    Score,
    /// Every face must be live.
    Enforce,
}

impl Engine {
    /// The demand that counts: the stricter one of the caller's and the mode's.
    ///
    /// A caller that enforces is always obeyed, whatever the mode: what depends on it fails closed.
    ///
    /// # Errors
    /// 1011 for a score where the mode is off.
    pub(super) fn liveness_demand(&self, asked: LivenessDemand) -> Result<LivenessDemand, Error> {
        demand(self.liveness, asked)
    }
}

fn demand(mode: LivenessMode, asked: LivenessDemand) -> Result<LivenessDemand, Error> {
    match (mode, asked) {
        (LivenessMode::Off, LivenessDemand::Score) => Err(Error::new(Code::InvalidParameter)
            .with("liveness: the check is switched off (mode in [liveness])")),
        (LivenessMode::Enforce, _) => Ok(LivenessDemand::Enforce),
        (LivenessMode::Off | LivenessMode::Score, asked) => Ok(asked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stricter_of_mode_and_caller_counts() {
        use LivenessDemand::{Enforce, Off, Score};
        for (mode, asked, counts) in [
            (LivenessMode::Off, Off, Some(Off)),
            (LivenessMode::Off, Score, None),
            (LivenessMode::Off, Enforce, Some(Enforce)),
            (LivenessMode::Score, Off, Some(Off)),
            (LivenessMode::Score, Score, Some(Score)),
            (LivenessMode::Score, Enforce, Some(Enforce)),
            (LivenessMode::Enforce, Off, Some(Enforce)),
            (LivenessMode::Enforce, Score, Some(Enforce)),
            (LivenessMode::Enforce, Enforce, Some(Enforce)),
        ] {
            assert_eq!(demand(mode, asked).ok(), counts, "{mode:?} {asked:?}");
        }
    }
}
