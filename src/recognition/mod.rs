//! Picture to template: base64, decode, detect, landmarks, align, embed. [`Recognizer`] runs them in order.

mod detect;
mod embed;
mod encoding;
mod geometry;
mod landmarks;
mod picture;
mod recognizer;
mod warp;

pub use detect::{Detector, Face, Pass};
pub use geometry::{Point, Rect};
pub use picture::{Picture, PictureLimits};
pub use recognizer::{
    FaceChoice, Purpose, Recognition, Recognizer, RecognizerOptions, STAGES, Timings,
};

use crate::gallery::TemplateError;
use crate::inference::InferenceError;

/// Why a picture gave no template.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Not base64, not a picture, too large, damaged. One sentence for the client.
    #[error("{0}")]
    InvalidImage(String),
    /// A picture in which no face was found.
    #[error("no face was detected in the {width}x{height} picture")]
    NoFace { width: u32, height: u32 },
    /// Not the picture's fault.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// The network gave numbers that are no template.
    #[error(transparent)]
    Template(#[from] TemplateError),
}
