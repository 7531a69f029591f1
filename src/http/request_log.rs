//! One log line a request, under an id that the client gets, too.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

use super::answer::ErrCode;
use super::server::Peer;
use crate::shown;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The request's id, on every request.
#[derive(Clone)]
pub(super) struct RequestId(pub String);

/// Characters of a path that are logged: no endpoint's is longer.
const MAX_PATH: usize = 200;

/// The same of a method, which a client may make up.
const MAX_METHOD: usize = 32;

/// Runs what it holds when it is dropped.
struct Gone<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for Gone<F> {
    fn drop(&mut self) {
        if let Some(tell) = self.0.take() {
            tell();
        }
    }
}

/// Runs the request in a span with its id, the client's own or a new one, and answers with the id.
pub async fn log(mut request: Request, next: Next) -> Response {
    let id = (request.headers().get(REQUEST_ID))
        .and_then(|id| id.to_str().ok())
        .filter(|id| is_plain(id))
        .map_or_else(new_id, str::to_owned);
    let peer = (request.extensions().get::<Peer>()).map(|peer| peer.0.to_string());
    request.extensions_mut().insert(RequestId(id.clone()));
    let span = tracing::info_span!("request", id);
    let method = shown::line(request.method().as_str(), MAX_METHOD);
    let path = shown::line(request.uri().path(), MAX_PATH);
    let start = Instant::now();

    // If the client leaves, this future is dropped where it waits, and with it the line below.
    let mut gone = Gone(Some(|| {
        let _entered = span.enter();
        let ms = start.elapsed().as_secs_f32() * 1e3;
        tracing::info!(peer, %method, path, ms, "the client left before its answer");
    }));
    let mut response = next.run(request).instrument(span.clone()).await;
    gone.0 = None;
    drop(gone);

    let _entered = span.enter();
    let err_code = response.extensions().get::<ErrCode>().map(|code| code.0);
    tracing::info!(
        peer,
        %method,
        path,
        status = response.status().as_u16(),
        err_code,
        ms = start.elapsed().as_secs_f32() * 1e3,
    );
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Ids go to the log as they are: short and without anything that could forge a line.
fn is_plain(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// Unique in this process and, by its random start, most likely beyond.
pub(super) fn new_id() -> String {
    static START: std::sync::LazyLock<u64> =
        std::sync::LazyLock::new(|| uuid::Uuid::new_v4().as_u64_pair().0);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{:08x}-{count}", *START as u32)
}
