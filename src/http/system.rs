//! `/version` and `/license`.

use axum::extract::State;

use super::answer::Answer;
use super::body::NoFields;
use super::router::AppState;

pub async fn version(_: NoFields) -> Answer {
    Answer::new("version", crate::VERSION)
}

pub async fn license(State(state): State<AppState>, _: NoFields) -> Answer {
    let license = state.engine.license();
    Answer::new("status", license.state().to_string()).with("detail", license.detail())
}
