//! What a [`Recognizer`](super::Recognizer) is told: once, and with each picture.

use super::choice::FaceChoice;
use super::far::FarLooks;
use super::liveness::LivenessDemand;
use super::picture::PictureLimits;
use super::quality::{Gate, Gates};

/// What a template is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// Kept, or compared once: landmarks are found twice, picture and mirror image are averaged.
    Enrolment,
    /// A person waits at the door: each network runs once.
    Probe,
}

/// Settings of a [`Recognizer`](super::Recognizer).
#[derive(Clone, Copy, Debug)]
pub struct RecognizerOptions {
    pub limits: PictureLimits,
    /// Confidence (0..1) below which a detection is no face.
    pub min_detection_score: f32,
    pub face: FaceChoice,
    /// Whether a picture in which the plain passes show no face is looked at in tiles.
    pub far: FarLooks,
    pub gates: Gates,
    /// Score (0..1) from which a face is live, in place of the model's.
    pub liveness_threshold: Option<f32>,
    /// Threads inside a network. Templates do not depend on it.
    pub threads: usize,
}

impl Default for RecognizerOptions {
    fn default() -> Self {
        RecognizerOptions {
            limits: PictureLimits::default(),
            min_detection_score: 0.5,
            face: FaceChoice::Largest,
            far: FarLooks::Asked,
            gates: Gates::default(),
            liveness_threshold: None,
            threads: 1,
        }
    }
}

/// What a face must stand before it becomes a template. The default asks nothing of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Checks {
    /// Whether faces are looked for in tiles from the start, see [`Pass::Far`](super::Pass::Far).
    pub far: bool,
    /// Whether the face opens a door: it must be the nearest, so a nearer one that cannot be read refuses the picture; what the picture
    /// shows is kept in mind; and tiles are never looked at.
    pub opening: bool,
    pub gate: Gate,
    pub liveness: LivenessDemand,
    /// Whether quality is measured also where no gate needs it.
    pub quality: bool,
}
