//! How fit a face picture is for recognition: the components of ISO/IEC 29794-5 that a board can compute
//! from the pixels and the mesh, each 0 (useless) to 100 (ideal); one is the embedding network's.
//!
//! Names are those of the standard and of its reference implementation OFIQ. Where a component has
//! the same raw measure as there, it is mapped with OFIQ's constants; docs/design/quality.md tells
//! which do and which do not.

mod advice;
mod exposure;
mod gates;
mod geometry;
mod region;
mod sharpness;

pub use gates::{Gate, GateLimits, Gates};

use std::fmt;

use serde::{Deserialize, Serialize};

use super::geometry::Similarity;
use super::landmarks::Mesh;
use super::picture::Picture;
use super::rounding;
use region::Region;

/// Names the components once: a struct with a field for each, generic so that values, limits and the
/// configuration's optional limits have one shape.
macro_rules! components {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A `T` for every quality component.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default, bound(deserialize = "T: Deserialize<'de> + Default"))]
        pub struct Components<T> {
            $($(#[$doc])* pub $name: T,)*
        }

        /// Names of the components, in the order of [`Components::values`].
        pub const COMPONENTS: [&str; [$(stringify!($name)),*].len()] = [$(stringify!($name)),*];

        impl<T: Copy> Components<T> {
            /// The same `T` for every component.
            pub fn all(value: T) -> Components<T> {
                Components { $($name: value,)* }
            }

            /// In the order of [`COMPONENTS`].
            pub fn values(&self) -> [T; COMPONENTS.len()] {
                [$(self.$name),*]
            }

            /// Component by component.
            pub fn zip_with<U: Copy, R>(
                &self,
                other: &Components<U>,
                mut join: impl FnMut(T, U) -> R,
            ) -> Components<R> {
                Components { $($name: join(self.$name, other.$name),)* }
            }
        }
    };
}

components! {
    /// All of it in one number: how sure the embedding network is.
    unified_quality_score,
    /// Fine detail at the size that is recognised.
    sharpness,
    /// Neither dark nor washed out.
    luminance_mean,
    /// Contrast of the skin.
    luminance_variance,
    /// Few pixels near black.
    under_exposure_prevention,
    /// Few pixels near white.
    over_exposure_prevention,
    /// Entropy of the brightness.
    dynamic_range,
    /// Left and right half alike.
    illumination_uniformity,
    /// The less open eye.
    eyes_open,
    mouth_closed,
    /// Pixels between the eyes, corrected for the turn of the head.
    inter_eye_distance,
    /// Height of the face in the frame, ideal for a passport.
    head_size,
    /// Room to the left of the face (in the picture), to its right, above and below.
    leftward_crop,
    rightward_crop,
    margin_above,
    margin_below,
    /// Head turned to the side.
    head_pose_yaw,
    /// Head up or down.
    head_pose_pitch,
    /// Head tilted to a shoulder.
    head_pose_roll,
}

/// Quality of one face, 0..100 each.
pub type Quality = Components<f32>;

/// A component below its limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shortfall {
    pub component: &'static str,
    pub value: f32,
    pub limit: f32,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, limit) = (rounding::down(self.value, 1), rounding::up(self.limit, 1));
        write!(
            f,
            "{} is {value:.1}, at least {limit:.1} is needed ({})",
            self.component,
            advice::advice(self.component)
        )
    }
}

impl Quality {
    /// Every component below its limit in `limits`.
    pub fn shortfalls(&self, limits: &Quality) -> Vec<Shortfall> {
        (COMPONENTS
            .into_iter()
            .zip(self.values())
            .zip(limits.values()))
        .filter(|((_, value), limit)| value < limit)
        .map(|((component, value), limit)| Shortfall {
            component,
            value,
            limit,
        })
        .collect()
    }
}

/// Measures the face of `mesh`. `aligned` is the face as the embedding network gets it, `side` pixels
/// square RGB, to which `alignment` brings the picture. The unified score is left at 0: the embedding
/// network gives it.
pub fn measure(
    picture: &Picture,
    mesh: &Mesh,
    aligned: &[u8],
    side: usize,
    alignment: &Similarity,
) -> Quality {
    let region = Region::of(picture, mesh, aligned, side, alignment);
    let quality = Quality {
        sharpness: sharpness::sharpness(&region),
        luminance_mean: exposure::luminance_mean(&region),
        luminance_variance: exposure::luminance_variance(&region),
        under_exposure_prevention: exposure::under_exposure_prevention(&region),
        over_exposure_prevention: exposure::over_exposure_prevention(&region),
        dynamic_range: exposure::dynamic_range(&region),
        illumination_uniformity: exposure::illumination_uniformity(&region),
        ..geometry::measure(picture, mesh)
    };
    // No arithmetic on strangers' pictures is trusted to give numbers.
    quality.zip_with(&quality, |value, _| match value.is_finite() {
        true => value.clamp(0.0, 100.0),
        false => 0.0,
    })
}

/// 0..1, a half at `middle`, steeper for a smaller `width`.
fn sigmoid(x: f32, middle: f32, width: f32) -> f32 {
    1.0 / (1.0 + ((middle - x) / width).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_its_limit_is_named_with_value_and_limit() {
        let quality = Quality {
            sharpness: 12.34,
            ..Quality::all(80.0)
        };
        let limits = Quality {
            sharpness: 20.0,
            eyes_open: 80.0,
            ..Quality::all(0.0)
        };
        let found = quality.shortfalls(&limits);
        assert_eq!(found.len(), 1, "a value at its limit passes");
        assert_eq!(
            found[0].to_string(),
            "sharpness is 12.3, at least 20.0 is needed (hold still, come nearer, or clean the lens)"
        );
        let nearly = Shortfall {
            value: 20.01,
            limit: 20.04,
            ..found[0]
        };
        let said = nearly.to_string();
        assert!(
            said.starts_with("sharpness is 20.0, at least 20.1"),
            "{said}"
        );
    }

    #[test]
    fn the_sigmoid_is_a_half_in_its_middle() {
        assert_eq!(sigmoid(70.0, 70.0, 20.0), 0.5);
        assert!(sigmoid(200.0, 70.0, 20.0) > 0.99 && sigmoid(0.0, 70.0, 20.0) < 0.05);
    }
}
