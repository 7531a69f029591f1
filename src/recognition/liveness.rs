//! Presentation attack detection: is a living face in front of the camera, or a print or a screen?

use serde::Serialize;

use super::Picture;
use super::detect::Face;
use super::geometry::Rect;
use super::scale::{FilterType, ResizeAlg, Scaler};
use crate::inference::{InferenceError, LivenessConstants, LoadedModel, Network};

/// So many times the raised box must fit into the picture, or a living face may be refused for want of surroundings:
/// models/liveness.md has the figures.
const ROOM: f32 = 1.4;

/// What a caller wants to know about liveness. Ordered: a stricter demand contains the weaker ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LivenessDemand {
    /// Nothing: the network does not run.
    #[default]
    Off,
    /// The score; nobody is refused for it, and a network that fails gives none.
    Score,
    /// A face that is not live is refused, and so is one that could not be judged.
    Enforce,
}

/// The judgement of one face.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Liveness {
    /// Confidence that the face is live, 0..1.
    pub score: f32,
    /// Whether the score reaches the threshold.
    pub live: bool,
}

/// The liveness network with its buffers.
pub struct LivenessCheck {
    network: Network,
    constants: LivenessConstants,
    scaler: Scaler,
    scratch: Vec<f32>,
    logits: Vec<f32>,
}

impl LivenessCheck {
    /// `constants.threshold` is the score from which a face is live.
    ///
    /// # Errors
    /// The model cannot be loaded.
    pub fn new(
        model: &LoadedModel,
        constants: LivenessConstants,
        threads: usize,
    ) -> Result<LivenessCheck, InferenceError> {
        Ok(LivenessCheck {
            network: Network::new(model, threads)?,
            constants,
            scaler: Scaler::default(),
            scratch: Vec::new(),
            logits: Vec::new(),
        })
    }

    /// Score from which a face is live.
    pub fn threshold(&self) -> f32 {
        self.constants.threshold
    }

    /// Whether the picture shows enough around `face` for a low score to mean an attack.
    pub fn has_room(&self, picture: &Picture, face: &Face) -> bool {
        enlargement(picture, &face.bounds, &self.constants).is_none_or(|scale| scale >= ROOM)
    }

    /// Judges `face` by its surroundings, too: the edge of a print or a screen is half of the
    /// evidence.
    ///
    /// # Errors
    /// The network failed or gave no number.
    pub fn judge(&mut self, picture: &Picture, face: &Face) -> Result<Liveness, InferenceError> {
        let Some(region) = region(picture, &face.bounds, &self.constants) else {
            // Nothing to look at is not a live face.
            return Ok(self.judgement(0.0));
        };
        let input = *self.network.input();
        let size = (input.width as u32, input.height as u32);
        // Four neighbours and no mean of the area, as in the network's training: fine texture of
        // print and screen must not be smoothed away.
        let neighbours = ResizeAlg::Interpolation(FilterType::Bilinear);
        let crop = (self.scaler.scale(picture, &region, size, neighbours))
            .map_err(|reason| self.network.fault(reason))?;
        let score = self.score(&crop)?;
        Ok(self.judgement(score))
    }

    /// Runs the network on a grey picture.
    ///
    /// # Errors
    /// As [`LivenessCheck::judge`].
    pub fn rehearse(&mut self) -> Result<(), InferenceError> {
        let input = *self.network.input();
        let grey = vec![128; 3 * input.width * input.height];
        self.score(&grey).map(drop)
    }

    fn score(&mut self, crop: &[u8]) -> Result<f32, InferenceError> {
        self.network.run(crop, &mut self.scratch)?;
        self.network.output("logits", &mut self.logits)?;
        softmax(&self.logits, self.constants.live_class)
            .ok_or_else(|| self.network.fault("its answer is not a number".into()))
    }

    fn judgement(&self, score: f32) -> Liveness {
        Liveness {
            score,
            live: score >= self.constants.threshold,
        }
    }
}

/// The part of the picture that the network sees, in whole pixels: the box raised by the forehead,
/// then enlarged as far as the frame allows and moved inside it. Its sides are scaled to the input's
/// independently. This is what the published model was used with.
fn region(picture: &Picture, bounds: &Rect, constants: &LivenessConstants) -> Option<Rect> {
    let scale = enlargement(picture, bounds, constants)?;
    let (right, bottom) = (picture.width as f32 - 1.0, picture.height as f32 - 1.0);
    let (rise, box_width, box_height) = raised(bounds, constants);
    let (width, height) = (box_width * scale, box_height * scale);
    let centre_x = bounds.x + box_width / 2.0;
    let centre_y = bounds.y - rise + box_height / 2.0;
    // `scale` keeps both sides within the picture, rounding aside.
    let left = (centre_x - width / 2.0).min(right - width).max(0.0);
    let top = (centre_y - height / 2.0).min(bottom - height).max(0.0);
    let (x, y) = (left.floor(), top.floor());
    Some(Rect {
        x,
        y,
        width: ((left + width).floor() + 1.0 - x).clamp(1.0, right + 1.0 - x),
        height: ((top + height).floor() + 1.0 - y).clamp(1.0, bottom + 1.0 - y),
    })
}

/// How many times the raised box the region is, in both directions. `None` of a box that is none.
fn enlargement(picture: &Picture, bounds: &Rect, constants: &LivenessConstants) -> Option<f32> {
    let (right, bottom) = (picture.width as f32 - 1.0, picture.height as f32 - 1.0);
    let (_, box_width, box_height) = raised(bounds, constants);
    let usable = box_width >= 1.0 && box_height >= 1.0 && right >= 1.0 && bottom >= 1.0;
    (usable && bounds.x.is_finite() && bounds.y.is_finite()).then(|| {
        (constants.crop)
            .min(right / box_width)
            .min(bottom / box_height)
    })
}

/// By how much the box is raised for the forehead, and its sides then, in pixels.
fn raised(bounds: &Rect, constants: &LivenessConstants) -> (f32, f32, f32) {
    let rise = bounds.height * constants.forehead;
    (rise, bounds.width, bounds.height + rise)
}

/// Share of class `index`, or `None` unless all logits are numbers.
fn softmax(logits: &[f32], index: usize) -> Option<f32> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.iter().map(|logit| (logit - highest).exp()).sum();
    let share = (logits.get(index)? - highest).exp() / sum;
    (share.is_finite() && logits.iter().all(|logit| logit.is_finite())).then_some(share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::{ModelPaths, ModelSet};
    use crate::recognition::Point;

    fn grey(width: u32, height: u32) -> Picture {
        Picture {
            width,
            height,
            rgb: vec![127; (width * height * 3) as usize],
        }
    }

    fn rect(x: f32, y: f32, width: f32, height: f32) -> Rect {
        Rect {
            x,
            y,
            width,
            height,
        }
    }

    const CONSTANTS: LivenessConstants = LivenessConstants {
        live_class: 0,
        crop: 2.7,
        forehead: 0.25,
        threshold: 0.5,
    };

    #[test]
    fn a_face_in_the_middle_of_a_large_picture_is_cropped_around_its_raised_box() {
        let region = region(
            &grey(1000, 1000),
            &rect(450.0, 450.0, 100.0, 80.0),
            &CONSTANTS,
        );
        // The raised box is 100x100 at (450, 430): 270 pixels around (500, 480).
        assert_eq!(region, Some(rect(365.0, 345.0, 271.0, 271.0)));
    }

    #[test]
    fn the_region_never_leaves_the_picture() {
        let picture = grey(320, 240);
        for x in [-50.0, 0.0, 100.0, 290.0, 400.0] {
            for y in [-50.0, 0.0, 120.0, 230.0, 400.0] {
                for side in [1.0, 10.0, 100.0, 239.0, 500.0] {
                    let r = region(&picture, &rect(x, y, side, side), &CONSTANTS).unwrap();
                    let inside = r.x >= 0.0
                        && r.y >= 0.0
                        && r.x + r.width <= 320.0
                        && r.y + r.height <= 240.0;
                    assert!(inside && r.width >= 1.0 && r.height >= 1.0, "{r:?}");
                }
            }
        }
    }

    #[test]
    fn boxes_that_are_none_have_no_region_and_are_not_live() {
        let set = ModelSet::load(&ModelPaths::default()).unwrap();
        let mut check = LivenessCheck::new(&set.liveness, set.liveness_constants, 1).unwrap();
        for bounds in [
            rect(0.0, 0.0, 0.0, 0.0),
            rect(f32::NAN, 0.0, 10.0, 10.0),
            rect(0.0, 0.0, f32::NAN, 10.0),
            rect(10.0, 10.0, -5.0, 20.0),
        ] {
            assert_eq!(region(&grey(100, 100), &bounds, &CONSTANTS), None);
            let face = Face {
                score: 1.0,
                bounds,
                keypoints: [Point::new(0.0, 0.0); 6],
            };
            let judged = check.judge(&grey(100, 100), &face).unwrap();
            assert_eq!((judged.score, judged.live), (0.0, false));
        }
    }

    #[test]
    fn the_softmax_is_a_share_or_nothing() {
        assert_eq!(softmax(&[0.0, 0.0], 1), Some(0.5));
        assert!(softmax(&[80.0, -80.0, 0.0], 0).unwrap() > 0.999);
        assert_eq!(softmax(&[f32::NAN, 0.0, 0.0], 1), None);
        assert_eq!(softmax(&[f32::INFINITY, 0.0, 0.0], 0), None);
        assert_eq!(softmax(&[0.0], 1), None);
        assert_eq!(softmax(&[], 0), None);
    }

    #[test]
    fn demands_are_ordered_by_strictness() {
        assert!(LivenessDemand::Off < LivenessDemand::Score);
        assert!(LivenessDemand::Score < LivenessDemand::Enforce);
    }
}
