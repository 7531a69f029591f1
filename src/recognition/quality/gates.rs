//! Which faces are too bad.

use serde::{Deserialize, Serialize};

use super::{COMPONENTS, Components, Quality};

/// Limits of quality, one set for each [`Gate`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gates {
    /// For faces that are kept: a bad one spoils every later search.
    pub enrolment: Quality,
    /// For faces that are looked for once: who is refused tries again.
    pub search: Quality,
}

impl Default for Gates {
    /// Limits that refuse fewer than one in 200 of the development pictures (`bench quality`).
    fn default() -> Self {
        let search = Quality {
            sharpness: 6.0,
            under_exposure_prevention: 20.0,
            over_exposure_prevention: 2.0,
            dynamic_range: 45.0,
            inter_eye_distance: 5.5,
            head_pose_yaw: 25.0,
            head_pose_pitch: 30.0,
            ..Quality::all(0.0)
        };
        Gates {
            enrolment: Quality {
                sharpness: 10.0,
                under_exposure_prevention: 40.0,
                over_exposure_prevention: 3.0,
                dynamic_range: 55.0,
                inter_eye_distance: 7.5,
                head_pose_yaw: 40.0,
                head_pose_pitch: 45.0,
                ..search
            },
            search,
        }
    }
}

/// Which limits a face must keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gate {
    /// None.
    #[default]
    Open,
    Search,
    Enrolment,
}

/// `[quality]` of the configuration: limits of 0 to 100; absent ones have a default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GateLimits {
    /// For faces that are kept.
    pub enrolment: Components<Option<f32>>,
    /// For faces that are searched for or compared.
    pub search: Components<Option<f32>>,
}

impl GateLimits {
    /// # Errors
    /// The key of a limit out of range, and what was expected.
    pub fn check(&self) -> Result<(), String> {
        for (gate, limits) in [("enrolment", &self.enrolment), ("search", &self.search)] {
            for (component, limit) in COMPONENTS.into_iter().zip(limits.values()) {
                if limit.is_some_and(|limit| !(0.0..=100.0).contains(&limit)) {
                    return Err(format!("`quality.{gate}.{component}` must be 0 to 100"));
                }
            }
        }
        Ok(())
    }

    /// The configured limits, and the defaults where none are.
    pub fn gates(&self) -> Gates {
        let default = Gates::default();
        let or = |limit: Option<f32>, default: f32| limit.unwrap_or(default);
        Gates {
            enrolment: self.enrolment.zip_with(&default.enrolment, or),
            search: self.search.zip_with(&default.search, or),
        }
    }

    /// With a limit for everything, so that every key shows.
    pub fn all(limit: f32) -> GateLimits {
        GateLimits {
            enrolment: Components::all(Some(limit)),
            search: Components::all(Some(limit)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_changes_no_other() {
        let mut limits = GateLimits::default();
        assert_eq!(limits.gates(), Gates::default());
        limits.enrolment.sharpness = Some(33.0);
        let (gates, default) = (limits.gates(), Gates::default());
        assert_eq!(gates.search, default.search);
        assert_eq!(gates.enrolment.sharpness, 33.0);
        let yaw = (
            gates.enrolment.head_pose_yaw,
            default.enrolment.head_pose_yaw,
        );
        assert_eq!(yaw.0, yaw.1);
    }

    #[test]
    fn nothing_is_easier_to_enrol_than_to_search() {
        let gates = Gates::default();
        let stricter = (gates.enrolment).zip_with(&gates.search, |kept, sought| kept >= sought);
        assert!(stricter.values().into_iter().all(|stricter| stricter));
    }
}
