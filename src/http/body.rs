//! Reading request bodies within limits of size, memory and time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::error::ApiError;
use super::router::AppState;
use crate::engine::{Code, Error};

/// Limits of uploads.
#[derive(Clone, Debug)]
pub struct BodyLimits {
    /// Bytes of one body.
    pub max_bytes: usize,
    /// How long a client may send nothing.
    pub idle: Duration,
    /// Memory for the bodies of all requests together.
    pub budget: Arc<Semaphore>,
    /// Held while a body takes from the budget or gives its share back because it got no more: of
    /// several that ask at once the first to be refused makes room for the next.
    turn: Arc<Mutex<()>>,
}

/// The budget is counted in blocks of this many bytes.
const BLOCK: usize = 4096;
/// A body slower than this on average, after a start of [`BodyLimits::idle`], is given up.
const MIN_BYTES_PER_SECOND: u64 = 64 << 10;
/// Bytes of each body outside the budget, so that large uploads never keep a small request out; the
/// number of connections bounds them.
const FREE: usize = 512 << 10;
/// An oversized body is read on (and thrown away) for so long, so that the client is still there
/// to hear why it was refused: most read the answer only after they have sent everything.
const DRAIN: Duration = Duration::from_secs(10);

impl BodyLimits {
    /// `max_memory` is the room for all bodies together; it holds at least one of the largest.
    pub fn new(max_bytes: usize, max_memory: usize, idle: Duration) -> BodyLimits {
        let blocks = (max_memory.max(max_bytes) / BLOCK + 2).min(Semaphore::MAX_PERMITS);
        BodyLimits {
            max_bytes,
            idle,
            budget: Arc::new(Semaphore::new(blocks)),
            turn: Arc::default(),
        }
    }

    /// Makes what is `held` enough for `needed` bytes. Memory is reserved as bytes come, not as they
    /// are announced: an announcement costs a client nothing. A body that is refused holds nothing
    /// any more.
    fn reserve(&self, held: &mut Reserved, needed: usize) -> Result<(), ApiError> {
        if needed <= held.bytes.max(FREE) {
            return Ok(());
        }
        // The buffer doubles when it grows.
        let goal = (needed.next_power_of_two()).min(self.max_bytes.max(needed));
        let blocks = (goal - held.bytes.max(FREE)).div_ceil(BLOCK);
        let blocks = u32::try_from(blocks).unwrap_or(u32::MAX);
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(permit) = self.budget.clone().try_acquire_many_owned(blocks) else {
            *held = Reserved::default();
            let detail = "the uploads in progress take all memory that is set aside for them";
            return Err(Error::new(Code::Busy).with(detail).into());
        };
        held.bytes = goal;
        match &mut held.permit {
            Some(all) => all.merge(permit),
            none => *none = Some(permit),
        }
        Ok(())
    }

    /// Reads a whole body.
    pub(super) async fn read(&self, request: Request) -> Result<Held, ApiError> {
        let length = (request.headers().get(header::CONTENT_LENGTH))
            .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        let waits_for_go = request.headers().contains_key(header::EXPECT);
        let mut body = request.into_body();
        let too_large = || {
            ApiError::http(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body has more than {} bytes", self.max_bytes),
            )
        };
        if length.is_some_and(|length| length > self.max_bytes as u64) {
            if !waits_for_go {
                drain(body).await;
            }
            return Err(too_large());
        }
        let mut held = Reserved::default();
        let mut bytes = BytesMut::new();
        let start = Instant::now();
        loop {
            let pace = Duration::from_secs(bytes.len() as u64 / MIN_BYTES_PER_SECOND);
            let limit = (Instant::now() + self.idle).min(start + self.idle * 2 + pace);
            let chunk = match timeout_at(limit, body.frame()).await {
                Ok(None) => break,
                // Trailers carry nothing for us.
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                Ok(Some(Err(e))) => {
                    let detail = format!("the body ended early or is malformed: {e}");
                    return Err(ApiError::parameter(detail));
                }
                Err(_) => {
                    return Err(ApiError::http(
                        StatusCode::REQUEST_TIMEOUT,
                        format!("the body came too slowly: {} bytes so far", bytes.len()),
                    ));
                }
            };
            let needed = bytes.len() + chunk.len();
            let refusal = match needed > self.max_bytes {
                true => Err(too_large()),
                false => self.reserve(&mut held, needed),
            };
            if let Err(refusal) = refusal {
                drop((bytes, held));
                drain(body).await;
                return Err(refusal);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Held {
            bytes: bytes.freeze(),
            _memory: held,
        })
    }
}

/// What a body holds of the budget.
#[derive(Default)]
pub(super) struct Reserved {
    bytes: usize,
    permit: Option<OwnedSemaphorePermit>,
}

/// A whole body, and its share of the memory for bodies until it is dropped.
pub(super) struct Held {
    pub(super) bytes: Bytes,
    pub(super) _memory: Reserved,
}

/// Reads a body away, for as long as a client may take that is to hear why it was refused.
pub(super) async fn drain(mut body: Body) {
    let _ = timeout(DRAIN, async {
        while let Some(Ok(_)) = body.frame().await {}
    })
    .await;
}

/// Requests without fields: the body is read away and not looked at.
pub struct NoFields;

impl FromRequest<AppState> for NoFields {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<NoFields, ApiError> {
        state.body.read(request).await?;
        Ok(NoFields)
    }
}
