//! `/face/search` and `/face/compare`.

use axum::extract::State;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::caller::CalledBy;
use super::detect::tenths;
use super::error::ApiError;
use super::fields::{Fields, Upload};
use super::router::AppState;
use crate::engine::{FaceMatches, Identification, Match, Opening};
use crate::recognition::{Liveness, LivenessDemand};

pub async fn search(
    State(state): State<AppState>,
    caller: CalledBy,
    Upload(fields): Upload,
) -> Result<Answer, ApiError> {
    let collection = fields.string("collection_name")?;
    let picture = fields.picture("face_image")?;
    let top_k = fields.positive_integer("top_k")?;
    let demand = liveness_demand(&fields)?;
    let open = fields.flag("open")?;
    if fields.flag("all")? {
        if open {
            return Err(ApiError::parameter(
                "all: false is expected with open: the door opens to the largest face, searched for alone",
            ));
        }
        let found = (state.engine)
            .identify_each(collection, picture, top_k, demand)
            .await?;
        let rows: Vec<Value> = found
            .into_iter()
            .map(|face| face_row(face, demand))
            .collect();
        return Ok(Answer::new("status", rows));
    }
    if !open {
        let found = (state.engine)
            .identify(collection, picture, top_k, demand)
            .await?;
        return Ok(rows(found, demand));
    }
    if picture.far {
        return Err(ApiError::parameter(
            "far: a face that opens stands at the door; false is expected with \"open\": true",
        ));
    }
    caller.may_open(&state)?;
    let (found, opening) = (state.engine)
        .identify_and_open(collection, picture, top_k, demand, &caller.0)
        .await;
    let door = of_door(&opening);
    match found {
        Ok(found) => Ok(rows(found, demand).with("door", door)),
        Err(e) => Err(ApiError::from(e).with_fields(Map::from_iter([("door".into(), door)]))),
    }
}

fn rows(found: Identification, demand: LivenessDemand) -> Answer {
    let mut answer =
        Answer::new("status", match_rows(found.matches)).detail(several("face_image", found.faces));
    if demand != LivenessDemand::Off {
        answer = answer.with("liveness", json!(found.liveness));
    }
    answer
}

/// One of all faces: who it is, or the error that a search for it alone would be.
fn face_row(found: FaceMatches, demand: LivenessDemand) -> Value {
    let b = found.bounds;
    let mut row = json!({
        "box": [tenths(b.x), tenths(b.y), tenths(b.width), tenths(b.height)],
    });
    match found.matches {
        Ok(matches) => row["matches"] = match_rows(matches).into(),
        Err(error) => {
            row["matches"] = json!([]);
            row["err_code"] = json!(error.code.number());
            row["detail"] = json!(error.detail.as_deref().unwrap_or(error.code.message()));
        }
    }
    if demand != LivenessDemand::Off {
        row["liveness"] = json!(found.liveness);
    }
    row
}

pub(super) fn match_rows(found: Vec<Match>) -> Vec<Value> {
    (found.into_iter())
        .map(|row| json!({"result": row.target, "score": row.score}))
        .collect()
}

/// What became of the opening.
fn of_door(opening: &Opening) -> Value {
    let mut door = json!({"opened": opening.opened(), "reason": opening.reason.name()});
    if let Some(detail) = &opening.detail {
        door["detail"] = json!(detail);
    }
    if opening.simulated {
        door["simulated"] = json!(true);
    }
    door
}

pub async fn compare(
    State(state): State<AppState>,
    Upload(fields): Upload,
) -> Result<Answer, ApiError> {
    let first = fields.picture("face_image1")?;
    let second = fields.picture("face_image2")?;
    let demand = liveness_demand(&fields)?;
    let verified = state.engine.verify(first, second, demand).await?;
    let remarks: Vec<String> = ["face_image1", "face_image2"]
        .into_iter()
        .zip(verified.faces)
        .filter_map(|(field, faces)| several(field, faces))
        .collect();
    let detail = (!remarks.is_empty()).then(|| remarks.join("; "));
    let mut answer = Answer::new("score", verified.score).detail(detail);
    if demand != LivenessDemand::Off {
        answer = answer.with("liveness", of_both(verified.liveness));
    }
    Ok(answer)
}

/// What the optional field `liveness` asks for.
pub(super) fn liveness_demand(fields: &Fields) -> Result<LivenessDemand, ApiError> {
    Ok(match fields.flag("liveness")? {
        true => LivenessDemand::Score,
        false => LivenessDemand::Off,
    })
}

/// The worse of two judgements, and each beside it under its field's name.
fn of_both([first, second]: [Option<Liveness>; 2]) -> Value {
    let worse = first.zip(second).map(|(a, b)| Liveness {
        score: a.score.min(b.score),
        live: a.live && b.live,
    });
    match worse {
        Some(worse) => json!({
            "score": worse.score,
            "live": worse.live,
            "face_image1": first,
            "face_image2": second,
        }),
        None => Value::Null,
    }
}

pub(super) fn several(field: &str, faces: usize) -> Option<String> {
    (faces > 1).then(|| format!("{field}: {faces} faces were seen, the largest was used"))
}
