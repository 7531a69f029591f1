//! `/create/collection`, `/clear/collection`, `/delete/collection` and `/collection/status`.

use std::time::SystemTime;

use axum::extract::State;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::answer::Answer;
use super::caller::CalledBy;
use super::error::ApiError;
use super::fields::Fields;
use super::router::AppState;

pub async fn create(
    State(state): State<AppState>,
    caller: CalledBy,
    fields: Fields,
) -> Result<Answer, ApiError> {
    let name = fields.string("collection_name")?;
    caller.may_change(&state, &name)?;
    state.engine.create_collection(name).await?;
    Ok(Answer::new("status", "Create collection successfully!"))
}

pub async fn clear(
    State(state): State<AppState>,
    caller: CalledBy,
    fields: Fields,
) -> Result<Answer, ApiError> {
    let name = fields.string("collection_name")?;
    caller.may_change(&state, &name)?;
    state.engine.clear_collection(name).await?;
    Ok(Answer::new("status", "Clear collection successfully!"))
}

pub async fn delete(
    State(state): State<AppState>,
    caller: CalledBy,
    fields: Fields,
) -> Result<Answer, ApiError> {
    let name = fields.string("collection_name")?;
    caller.may_change(&state, &name)?;
    state.engine.delete_collection(name).await?;
    Ok(Answer::new("status", "Delete collection successfully!"))
}

pub async fn status(State(state): State<AppState>, fields: Fields) -> Result<Answer, ApiError> {
    let names = fields.string_or_strings("collection_name")?;
    let collections = state.engine.collection_status(&names)?;
    let mut remarks: Vec<String> = (collections.iter())
        .filter_map(|c| Some(format!("{}: {}", c.name, c.warning.as_ref()?)))
        .collect();
    if names.is_empty() {
        remarks.extend(state.engine.gallery_warnings());
    }
    let rows: Vec<Value> = (collections.iter())
        .map(|collection| {
            json!({
                "collection_name": collection.name,
                "create_time": local_time(collection.created),
                "feature_num": collection.feature_num,
                "update_time": local_time(collection.updated),
            })
        })
        .collect();
    let detail = (!remarks.is_empty()).then(|| remarks.join("; "));
    Ok(Answer::new("status", rows).detail(detail))
}

/// `Tue Jun 22 15:55:43 2021` in the device's time zone, as C's `asctime` writes it.
fn local_time(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    let local = time.to_zoned(TimeZone::system());
    local.strftime("%a %b %e %H:%M:%S %Y").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_read_as_asctime_writes_them() {
        let text = local_time(SystemTime::UNIX_EPOCH + Duration::from_secs(1_622_548_543));
        // Whatever the time zone of the machine, it is within a day of the first of June 2021.
        assert!(text.ends_with(" 2021") && text.len() == 24, "{text}");
        assert!(
            ["Mon May 31 ", "Tue Jun  1 ", "Wed Jun  2 "].contains(&&text[..11]),
            "{text}"
        );
    }
}
