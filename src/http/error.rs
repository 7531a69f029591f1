//! Failures as the client sees them: a JSON object for every HTTP status.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::answer::respond;
use crate::engine::{Code, Error};
use crate::shown::Shown;

/// A failure with its HTTP status.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    err_code: u16,
    message: &'static str,
    detail: Option<String>,
    /// Fields that an endpoint's failed answers keep.
    fields: Map<String, Value>,
}

impl ApiError {
    /// A failure of HTTP itself: `err_code` repeats the status.
    pub fn http(status: StatusCode, detail: impl Into<String>) -> ApiError {
        ApiError {
            status,
            err_code: status.as_u16(),
            message: match status {
                StatusCode::INTERNAL_SERVER_ERROR => "Internal server error",
                status => status.canonical_reason().unwrap_or("Error"),
            },
            detail: Some(detail.into()),
            fields: Map::new(),
        }
    }

    /// A field of the body is missing or wrong (1011).
    pub fn parameter(detail: impl Into<String>) -> ApiError {
        Error::new(Code::InvalidParameter).with(detail).into()
    }

    /// The client is known and may not (1015).
    pub fn forbidden(detail: impl Into<String>) -> ApiError {
        ApiError {
            status: StatusCode::FORBIDDEN,
            ..Error::new(Code::AuthenticationRequired).with(detail).into()
        }
    }

    /// Adds fields to the answer.
    pub fn with_fields(self, fields: Map<String, Value>) -> ApiError {
        ApiError { fields, ..self }
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> ApiError {
        ApiError {
            status: match error.code {
                Code::InvalidParameter => StatusCode::BAD_REQUEST,
                Code::Busy => StatusCode::SERVICE_UNAVAILABLE,
                Code::AuthenticationRequired => StatusCode::UNAUTHORIZED,
                Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
                // Reference clients read only err_code.
                _ => StatusCode::OK,
            },
            err_code: error.code.number(),
            message: error.code.message(),
            detail: error.detail,
            fields: Map::new(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = self.fields;
        body.insert("err_code".into(), json!(self.err_code));
        body.insert("status".into(), json!(self.message));
        if let Some(detail) = self.detail {
            body.insert("detail".into(), json!(detail.shown()));
        }
        let mut response = respond(self.status, self.err_code, body);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let soon = HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, soon);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            (response.headers_mut()).insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}
