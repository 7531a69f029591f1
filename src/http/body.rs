//! Reading request bodies within limits of size, memory and time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout, timeout_at};

use super::connections::Admitted;
use super::error::ApiError;
use super::router::AppState;
use crate::engine::{Code, Error};
use crate::fairness::{self, Share, Shares};

/// Limits of uploads.
#[derive(Clone, Debug)]
pub struct BodyLimits {
    /// Bytes of one body.
    max_bytes: usize,
    /// How long a client may send nothing.
    idle: Duration,
    /// Memory for the first [`SMALL`] bytes of every body.
    small: Shares,
    /// Memory for what bodies have beyond that.
    large: Shares,
}

/// A body slower than this on average, after a start of twice [`BodyLimits::idle`], is given up. What came faster before does not
/// count for long: see [`Pace`].
const MIN_BYTES_PER_SECOND: u32 = 64 << 10;
/// Bytes of each body that are not counted one by one: the number of connections bounds them.
const FREE: usize = 64 << 10;
/// Bytes of each body that have memory of their own, so that large uploads never keep a small request out.
const SMALL: usize = 512 << 10;
/// An oversized body is read on (and thrown away) for so long, so that the client is still there
/// to hear why it was refused: most read the answer only after they have sent everything.
const DRAIN: Duration = Duration::from_secs(10);

/// By when a body must have more bytes.
struct Pace {
    idle: Duration,
    /// When its time is over, at [`MIN_BYTES_PER_SECOND`].
    end: Instant,
}

impl Pace {
    fn begin(idle: Duration, now: Instant) -> Pace {
        let end = now + 2 * idle;
        Pace { idle, end }
    }

    /// The next bytes must come before this.
    fn limit(&self, now: Instant) -> Instant {
        self.end.min(now + self.idle)
    }

    /// Time for these bytes; no more is saved up than there was at first.
    fn came(&mut self, bytes: usize, now: Instant) {
        let worth = Duration::from_secs(bytes as u64) / MIN_BYTES_PER_SECOND;
        self.end = (self.end + worth).min(now + 2 * self.idle);
    }
}

impl BodyLimits {
    /// `small` and `large` are the memory for the first [`SMALL`] bytes of all bodies together, and for what they have beyond.
    pub fn new(max_bytes: usize, small: usize, large: usize, idle: Duration) -> BodyLimits {
        let for_one = large / 4 * 3;
        let (max_bytes, least) = match max_bytes {
            _ if max_bytes <= for_one => (max_bytes, 0),
            // One of the largest fits, though not beside another.
            _ if max_bytes <= large => (max_bytes, max_bytes),
            _ => (for_one + SMALL, 0),
        };
        BodyLimits {
            max_bytes,
            idle,
            small: Shares::new(small, 0),
            large: Shares::new(large, least),
        }
    }

    /// Nothing yet, for a body of whoever asks.
    fn hold(&self) -> Reserved {
        let client = fairness::asking().client;
        Reserved {
            small: self.small.share(client),
            large: self.large.share(client),
            bytes: FREE,
        }
    }

    /// Makes what is `held` enough for `needed` bytes of a body that announced `announced`. Memory is reserved as bytes come, not as
    /// they are announced: an announcement costs a client nothing.
    fn reserve(
        &self,
        held: &mut Reserved,
        needed: usize,
        announced: usize,
    ) -> Result<(), ApiError> {
        if needed <= held.bytes {
            return Ok(());
        }
        // The buffer doubles when it grows.
        let goal = (needed.next_power_of_two()).min(announced.max(needed));
        if held.small.grow(goal.min(SMALL)) && held.large.grow(goal.saturating_sub(SMALL)) {
            held.bytes = goal;
            return Ok(());
        }
        let detail = "the uploads in progress take all memory that is set aside for them, or this client's share of it";
        Err(Error::new(Code::Busy).with(detail).into())
    }

    /// Reads a whole body.
    pub(super) async fn read(&self, request: Request) -> Result<Held, ApiError> {
        match request.extensions().get::<Arc<Admitted>>().cloned() {
            Some(connection) => connection.upload(self.read_body(request)).await,
            None => self.read_body(request).await,
        }
    }

    async fn read_body(&self, request: Request) -> Result<Held, ApiError> {
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
        let announced = (length.and_then(|length| usize::try_from(length).ok()))
            .map_or(self.max_bytes, |length| length.min(self.max_bytes));
        let mut held = self.hold();
        let mut bytes = BytesMut::new();
        let mut pace = Pace::begin(self.idle, Instant::now());
        loop {
            let chunk = match timeout_at(pace.limit(Instant::now()), body.frame()).await {
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
                false => self.reserve(&mut held, needed, announced),
            };
            pace.came(chunk.len(), Instant::now());
            if let Err(refusal) = refusal {
                drop((bytes, held));
                drain(body).await;
                return Err(refusal);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Held {
            bytes: bytes.freeze(),
            _memory: Some(held),
        })
    }
}

/// What a body holds of the memory.
pub(super) struct Reserved {
    small: Share,
    large: Share,
    bytes: usize,
}

/// A whole body, and its share of the memory for bodies until it is dropped.
pub(super) struct Held {
    pub(super) bytes: Bytes,
    pub(super) _memory: Option<Reserved>,
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

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(15);

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_came_fast_does_not_excuse_what_drips() {
        let began = Instant::now();
        let mut pace = Pace::begin(IDLE, began);
        pace.came(126 << 20, began);
        let mut now = began;
        // A byte a second: no pause is too long, and still it ends.
        while pace.limit(now) > now {
            now += SECOND;
            pace.came(1, now);
        }
        assert_eq!((now - began).as_secs(), 2 * IDLE.as_secs() + 1);
    }

    #[test]
    fn a_steady_upload_has_all_the_time_it_takes() {
        let mut now = Instant::now();
        let mut pace = Pace::begin(IDLE, now);
        for _ in 0..3600 {
            now += SECOND;
            pace.came(MIN_BYTES_PER_SECOND as usize, now);
            assert!(pace.limit(now) > now);
        }
    }

    #[tokio::test]
    async fn large_bodies_of_one_client_leave_room_for_another() {
        const MIB: usize = 1 << 20;
        let limits = BodyLimits::new(128 * MIB, 8 * MIB, 256 * MIB, IDLE);
        let client = |n: u8| fairness::Client::of([192, 0, 2, n].into());
        let body = |n| {
            let limits = &limits;
            fairness::asks(client(n), async move {
                let mut held = limits.hold();
                let fits = limits.reserve(&mut held, 100 * MIB, 100 * MIB).is_ok();
                (held, fits)
            })
        };
        let (_first, fits) = body(1).await;
        assert!(fits);
        let (_second, fits) = body(1).await;
        assert!(!fits);
        let (_third, fits) = body(2).await;
        assert!(fits);
    }
}
