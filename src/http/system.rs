//! `/version`, `/license` and `/metrics`.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::answer::Answer;
use super::body::NoFields;
use super::router::AppState;

pub async fn version(_: NoFields) -> Answer {
    Answer::new("version", crate::VERSION)
}

pub async fn license(State(state): State<AppState>, _: NoFields) -> Answer {
    let license = state.engine.license().verdict();
    Answer::new("status", license.state.to_string()).with("detail", license.detail.as_str())
}

/// Counters in the text format of Prometheus 0.0.4: numbers only, nothing about anybody.
pub async fn metrics(State(state): State<AppState>) -> Response {
    const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
    (
        [(header::CONTENT_TYPE, TEXT)],
        state.engine.metrics().to_string(),
    )
        .into_response()
}
