//! `/face/search` and `/face/compare`.

use axum::extract::State;
use serde_json::{Value, json};

use super::answer::Answer;
use super::error::ApiError;
use super::fields::Fields;
use super::router::AppState;

pub async fn search(State(state): State<AppState>, fields: Fields) -> Result<Answer, ApiError> {
    let collection = fields.string("collection_name")?;
    let picture = fields.picture("face_image")?;
    let top_k = fields.positive_integer("top_k")?;
    let found = state.engine.identify(collection, picture, top_k).await?;
    let rows: Vec<Value> = (found.matches.into_iter())
        .map(|row| json!({"result": row.target, "score": row.score}))
        .collect();
    Ok(Answer::new("status", rows).detail(several("face_image", found.faces)))
}

pub async fn compare(State(state): State<AppState>, fields: Fields) -> Result<Answer, ApiError> {
    let first = fields.picture("face_image1")?;
    let second = fields.picture("face_image2")?;
    let verified = state.engine.verify(first, second).await?;
    let remarks: Vec<String> = ["face_image1", "face_image2"]
        .into_iter()
        .zip(verified.faces)
        .filter_map(|(field, faces)| several(field, faces))
        .collect();
    let detail = (!remarks.is_empty()).then(|| remarks.join("; "));
    Ok(Answer::new("score", verified.score).detail(detail))
}

fn several(field: &str, faces: usize) -> Option<String> {
    (faces > 1).then(|| format!("{field}: {faces} faces were seen, the largest was used"))
}
