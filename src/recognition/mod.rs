//! Picture to template: base64, decode, detect, landmarks, align, quality, liveness,
//! embed. [`Recognizer`] runs them in order.

mod choice;
mod chunks;
mod detect;
mod embed;
mod encoding;
mod far;
mod format;
mod geometry;
mod header;
mod jpeg;
mod jpeg_pixels;
mod landmarks;
mod liveness;
mod nearness;
mod options;
mod orientation;
mod picture;
mod pixels;
mod quality;
mod recognizer;
pub mod rounding;
mod scale;
mod trace;
mod turn;
mod warp;
mod webp;

pub use choice::FaceChoice;
pub use detect::{Detector, Face, Pass};
pub use encoding::EncodedFile;
pub use far::FarLooks;
pub use geometry::{Point, Rect, Similarity};
pub use header::{Header, Outlook, outlook};
pub use landmarks::Landmarks;
pub use liveness::{Liveness, LivenessCheck, LivenessDemand};
pub use nearness::Nearness;
pub use options::{Checks, Purpose, RecognizerOptions};
pub use picture::{Picture, PictureLimits};
pub use quality::{COMPONENTS, Components, Gate, GateLimits, Gates, Quality, Shortfall};
pub use recognizer::{EachFace, Recognition, Recognizer, STAGES, SeenFace, Timings};

pub use trace::Trace;
pub use warp::warp;

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
    /// The face is below limits of its gate.
    #[error("the face is not good enough: {}", sentence(.0))]
    LowQuality(Vec<Shortfall>),
    /// The face is not live enough, and liveness was enforced.
    #[error(
        "the face looks like a print or a screen: liveness is {:.3}, at least {:.3} is needed",
        rounding::down(*.score, 3), rounding::up(*.threshold, 3)
    )]
    PresentationAttack { score: f32, threshold: f32 },
    /// Somebody stands before the face that could be read, with one that cannot.
    #[error(
        "the nearest face cannot be read: it is covered, turned away or cut off; nobody behind it is looked at, show it whole"
    )]
    Unreadable,
    /// The face is not live enough, and the picture ends too close around it to say that it is an attack.
    #[error(
        "the face is too near to be judged: step back so that the whole head and some room around it is in the picture \
         (liveness is {:.3}, at least {:.3} is needed)",
        rounding::down(*.score, 3), rounding::up(*.threshold, 3)
    )]
    TooNear { score: f32, threshold: f32 },
    /// Liveness was enforced and could not be judged.
    #[error("liveness could not be judged: {0}")]
    LivenessUnknown(#[source] InferenceError),
    /// Not the picture's fault.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// The network gave numbers that are no template.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

fn sentence(shortfalls: &[Shortfall]) -> String {
    let all: Vec<String> = shortfalls.iter().map(Shortfall::to_string).collect();
    all.join("; ")
}
