//! Successful answers.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

/// `err_code` of an answer, left on the response for the log.
#[derive(Clone, Copy)]
pub struct ErrCode(pub u16);

/// A success: its fields beside `"err_code": 0`.
pub struct Answer(Map<String, Value>);

impl Answer {
    /// An answer with one field.
    pub fn new(name: &str, value: impl Into<Value>) -> Answer {
        Answer(Map::new()).with(name, value)
    }

    /// The same with one more field.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Answer {
        self.0.insert(name.into(), value.into());
        self
    }

    /// The same with a sentence, if there is one to say.
    pub fn detail(self, detail: Option<String>) -> Answer {
        match detail {
            Some(detail) => self.with("detail", detail),
            None => self,
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut body = self.0;
        body.insert("err_code".into(), json!(0));
        respond(StatusCode::OK, 0, body)
    }
}

/// A JSON response that remembers its `err_code`.
pub fn respond(status: StatusCode, err_code: u16, body: Map<String, Value>) -> Response {
    let mut response = Response::new(Body::from(Value::Object(body).to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    // Answers are about people at a door: nothing between client and daemon keeps them.
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    response.extensions_mut().insert(ErrCode(err_code));
    response
}
