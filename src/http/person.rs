//! `/person/list`, `/person/get` and `/person/rename`.

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
    let found = (state.engine)
        .people(collection, after, limit.unwrap_or(DEFAULT_PAGE))
        .await?;
    let page = found.page;
    let next = (page.people.last())
        .filter(|_| page.more)
        .map(|person| person.target.clone());
    let rows: Vec<Value> = (page.people.into_iter())
        .map(|person| {
            let others = found.other_forms.get(&person.target);
            let mut row = json!({"target_id": person.target, "feature_num": person.feature_num});
            if let Some(others) = others {
                row["other_forms"] = json!(others);
            }
            row
        })
        .collect();
    let remark = (!found.other_forms.is_empty()).then(|| {
        format!(
            "{} people have names that are Unicode forms of one another (other_forms): /person/rename gives one another name, or \
             makes them one person with \"merge\": true",
            found.other_forms.len()
        )
    });
    Ok(Answer::new("status", rows)
        .with("total", page.total)
        .with("next", json!(next))
        .detail(remark))
}

pub async fn rename(
    State(state): State<AppState>,
    caller: CalledBy,
    fields: Fields,
) -> Result<Answer, ApiError> {
    let collection = fields.string("collection_name")?;
    let target = fields.string("target_id")?;
    let new_target = fields.string("new_target_id")?;
    let merge = fields.flag("merge")?;
    caller.may_change(&state, &collection)?;
    let renamed = (state.engine)
        .rename(collection.clone(), target, new_target, merge)
        .await?;
    Ok(Answer::new("status", "Rename target_id successfully!")
        .with("target_id", renamed.target)
        .with("feature_num", renamed.features)
        .with("merged", renamed.merged)
        .erased_within(state.engine.erased_within(&collection)))
}

pub async fn get(
    State(state): State<AppState>,
    caller: CalledBy,
    fields: Fields,
) -> Result<Answer, ApiError> {
    let collection = fields.string("collection_name")?;
    let target = fields.string("target_id")?;
    caller.may_read(&state, &collection)?;
    let person = state.engine.person(collection, target).await?;
    let features: Vec<Value> = (person.agreement.iter().enumerate())
        .map(|(index, agreement)| json!({"index": index, "agreement": agreement}))
        .collect();
    let status = json!({
        "target_id": person.target,
        "feature_num": features.len(),
        "features": features,
    });
    Ok(Answer::new("status", status))
}
