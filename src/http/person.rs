//! `/person/list` and `/person/get`.

use axum::extract::State;
use serde_json::{Value, json};

use super::answer::Answer;
use super::caller::CalledBy;
use super::error::ApiError;
use super::fields::Fields;
use super::router::AppState;
use crate::engine::DEFAULT_PAGE;

pub async fn list(
    State(state): State<AppState>,
    caller: CalledBy,
    fields: Fields,
) -> Result<Answer, ApiError> {
    let collection = fields.string("collection_name")?;
    let after = fields.optional("after", Fields::string)?;
    let limit = fields.optional("limit", Fields::positive_integer)?;
    caller.may_read(&state, &collection)?;
    let page = (state.engine)
        .people(collection, after, limit.unwrap_or(DEFAULT_PAGE))
        .await?;
    let next = (page.people.last())
        .filter(|_| page.more)
        .map(|person| person.target.clone());
    let rows: Vec<Value> = (page.people.into_iter())
        .map(|person| json!({"target_id": person.target, "feature_num": person.feature_num}))
        .collect();
    Ok(Answer::new("status", rows)
        .with("total", page.total)
        .with("next", json!(next)))
}

pub async fn get(
    State(state): State<AppState>,
    caller: CalledBy,
    fields: Fields,
) -> Result<Answer, ApiError> {
    let collection = fields.string("collection_name")?;
    let target = fields.string("target_id")?;
    caller.may_read(&state, &collection)?;
    let person = state.engine.person(collection, target.clone()).await?;
    let features: Vec<Value> = (person.agreement.iter().enumerate())
        .map(|(index, agreement)| json!({"index": index, "agreement": agreement}))
        .collect();
    let status = json!({
        "target_id": target,
        "feature_num": features.len(),
        "features": features,
    });
    Ok(Answer::new("status", status))
}
