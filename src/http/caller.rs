//! Who asks, where it matters: what opens the door, and what changes who may enter.

use std::convert::Infallible;
use std::time::Instant;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;

use super::error::ApiError;
use super::request_log::RequestId;
use super::router::AppState;
use super::server::Peer;
use crate::engine::{Caller, Code, Error, Forbidden};

/// The client of a request: its address, and the token of `Authorization: Bearer`.
pub struct CalledBy(pub Caller);

impl FromRequestParts<AppState> for CalledBy {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<CalledBy, Infallible> {
        let credentials = (parts.headers.get(header::AUTHORIZATION))
            .and_then(|value| value.to_str().ok()?.split_once(' '));
        Ok(CalledBy(Caller {
            address: (parts.extensions.get::<Peer>()).map(|peer| peer.0.ip().to_canonical()),
            token: (credentials.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")))
                .map(|(_, token)| token.trim().to_owned()),
            request_id: (parts.extensions.get::<RequestId>()).map(|id| id.0.clone()),
            // Before the body is read.
            asked: Instant::now(),
        }))
    }
}

impl CalledBy {
    /// Whether this client may open the door, if there is one.
    ///
    /// # Errors
    /// 1015: 401 without the token, 403 from another address.
    pub fn may_open(&self, state: &AppState) -> Result<(), ApiError> {
        let Some(access) = state.engine.access() else {
            return Ok(());
        };
        access.permits(&self.0).map_err(|forbidden| {
            tracing::warn!(client = ?self.0.address, ?forbidden, "door: refused");
            match forbidden {
                Forbidden::Token => Error::new(Code::AuthenticationRequired)
                    .with("the door's token is expected: Authorization: Bearer TOKEN (door.token_file)")
                    .into(),
                Forbidden::Address => ApiError::forbidden(
                    "this address may not open the door nor read or change who may enter (door.clients)",
                ),
            }
        })
    }

    /// Whether this client may change a collection. Anyone may, except the one that opens the door.
    ///
    /// # Errors
    /// As [`CalledBy::may_open`].
    pub fn may_change(&self, state: &AppState, collection: &str) -> Result<(), ApiError> {
        match state.engine.access() {
            Some(access) if access.collection() == collection => self.may_open(state),
            _ => Ok(()),
        }
    }

    /// Whether this client may read who is in a collection, and probe it with templates of its own, from whose scores the enrolled
    /// ones can be computed. Anyone may, except of the collection that opens the door: whoever may change it anyway.
    ///
    /// # Errors
    /// As [`CalledBy::may_open`].
    pub fn may_read(&self, state: &AppState, collection: &str) -> Result<(), ApiError> {
        self.may_change(state, collection)
    }
}
