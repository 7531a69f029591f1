//! `/face/detect`.

use axum::extract::State;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::error::ApiError;
use super::fields::Upload;
use super::router::AppState;
use crate::recognition::{COMPONENTS, Point, Quality, SeenFace, rounding};

/// In the order of the detector; right and left are the person's own.
const KEYPOINTS: [&str; 6] = [
    "right_eye",
    "left_eye",
    "nose",
    "mouth",
    "right_ear",
    "left_ear",
];

pub async fn detect(
    State(state): State<AppState>,
    Upload(fields): Upload,
) -> Result<Answer, ApiError> {
    let picture = fields.picture("face_image")?;
    let liveness = fields.flag("liveness")?;
    let seen = state.engine.detect(picture, liveness).await?;
    let rows: Vec<Value> = seen.iter().map(|face| row(face, liveness)).collect();
    Ok(Answer::new("status", rows))
}

fn row(seen: &SeenFace, liveness: bool) -> Value {
    let face = &seen.face;
    let b = face.bounds;
    let keypoints: Map<_, _> = (KEYPOINTS.iter().zip(face.keypoints))
        .map(|(name, Point { x, y })| ((*name).to_owned(), json!([tenths(x), tenths(y)])))
        .collect();
    let mut row = json!({
        "box": [tenths(b.x), tenths(b.y), tenths(b.width), tenths(b.height)],
        "score": face.score,
        "keypoints": keypoints,
        "quality": seen.quality.as_ref().map(quality),
    });
    if liveness {
        row["liveness"] = json!(seen.liveness);
    }
    row
}

fn quality(quality: &Quality) -> Map<String, Value> {
    (COMPONENTS.into_iter().zip(quality.values()))
        .map(|(name, value)| (name.to_owned(), json!(rounding::down(value, 1))))
        .collect()
}

/// To one digit after the point: more would be noise.
pub(super) fn tenths(value: f32) -> f64 {
    (f64::from(value) * 10.0).round() / 10.0
}
