//! Successful answers.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

/// `err_code` of an answer, left on the response for the log.
#[derive(Clone, Copy)]
pub struct ErrCode(pub u16);

/// Seconds within which what was removed leaves the files on the disk, too. A header, since the order document fixes the body.
pub const ERASED_WITHIN: HeaderName = HeaderName::from_static("x-erased-within");

/// A success: its fields beside `"err_code": 0`.
pub struct Answer {
    fields: Map<String, Value>,
    erased_within: Option<Duration>,
}

impl Answer {
    /// An answer with one field.
    pub fn new(name: &str, value: impl Into<Value>) -> Answer {
        let nothing = Answer {
            fields: Map::new(),
            erased_within: None,
        };
        nothing.with(name, value)
    }

    /// The same with one more field.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Answer {
        self.fields.insert(name.into(), value.into());
        self
    }

    /// The same with [`ERASED_WITHIN`].
    pub fn erased_within(self, time: Duration) -> Answer {
        Answer {
            erased_within: Some(time),
            ..self
        }
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
        let mut body = self.fields;
        body.insert("err_code".into(), json!(0));
        let mut response = respond(StatusCode::OK, 0, body);
        if let Some(time) = self.erased_within {
            (response.headers_mut()).insert(ERASED_WITHIN, HeaderValue::from(time.as_secs()));
        }
        response
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
