//! Reading request bodies within limits, and the fields in them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::error::ApiError;
use super::router::AppState;
use crate::engine::{Code, EncodedPicture, Error};

/// Limits of uploads.
#[derive(Clone, Debug)]
pub struct BodyLimits {
    /// Bytes of one body.
    pub max_bytes: usize,
    /// How long a client may send nothing.
    pub idle: Duration,
    /// Memory for the bodies of all requests together.
    pub budget: Arc<Semaphore>,
}

/// The budget is counted in blocks of this many bytes.
const BLOCK: usize = 4096;
/// A body slower than this on average, after a start of [`BodyLimits::idle`], is given up.
const MIN_BYTES_PER_SECOND: u64 = 16 << 10;
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
        }
    }

    fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, ApiError> {
        let blocks = u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(u32::MAX);
        let permit = self.budget.clone().try_acquire_many_owned(blocks);
        permit.map_err(|_| {
            let detail = "the uploads in progress take all memory that is set aside for them";
            Error::new(Code::Busy).with(detail).into()
        })
    }

    /// Reads a whole body.
    async fn read(&self, request: Request) -> Result<Held, ApiError> {
        let length = (request.headers().get(header::CONTENT_LENGTH))
            .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        let waits_for_go = request.headers().contains_key(header::EXPECT);
        let mut stream = request.into_body();
        let too_large = || {
            ApiError::http(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body has more than {} bytes", self.max_bytes),
            )
        };
        if length.is_some_and(|length| length > self.max_bytes as u64) {
            if !waits_for_go {
                drain(stream).await;
            }
            return Err(too_large());
        }
        let known = usize::try_from(length.unwrap_or(0)).unwrap_or(0);
        let mut held = match self.reserve(known) {
            Ok(held) => held,
            Err(busy) => {
                if !waits_for_go {
                    drain(stream).await;
                }
                return Err(busy);
            }
        };
        let mut reserved = known;
        let mut bytes = BytesMut::with_capacity(known);
        let start = Instant::now();
        loop {
            let pace = Duration::from_secs(bytes.len() as u64 / MIN_BYTES_PER_SECOND);
            let limit = (Instant::now() + self.idle).min(start + self.idle * 2 + pace);
            let chunk = match timeout_at(limit, stream.next_chunk()).await {
                Ok(None) => break,
                Ok(Some(Ok(chunk))) => chunk,
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
            if bytes.len() + chunk.len() > self.max_bytes {
                drop((bytes, held));
                drain(stream).await;
                return Err(too_large());
            }
            let needed = bytes.len() + chunk.len();
            if needed > reserved {
                // Chunked: the length comes out as it goes. Growing doubles, so the budget does.
                let more = needed.next_power_of_two().min(self.max_bytes) - reserved;
                match self.reserve(more.max(needed - reserved)) {
                    Ok(permit) => held.merge(permit),
                    Err(busy) => {
                        drop((bytes, held));
                        drain(stream).await;
                        return Err(busy);
                    }
                }
                reserved += more.max(needed - reserved);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Held {
            bytes: bytes.freeze(),
            _memory: held,
        })
    }
}

struct Held {
    bytes: Bytes,
    _memory: OwnedSemaphorePermit,
}

async fn drain(mut stream: Body) {
    let _ = timeout(DRAIN, async {
        while let Some(Ok(_)) = stream.next_chunk().await {}
    })
    .await;
}

trait NextChunk {
    async fn next_chunk(&mut self) -> Option<Result<Bytes, axum::Error>>;
}

impl NextChunk for Body {
    async fn next_chunk(&mut self) -> Option<Result<Bytes, axum::Error>> {
        // Trailers carry nothing for us.
        self.frame()
            .await
            .map(|frame| frame.map(|frame| frame.into_data().unwrap_or_default()))
    }
}

/// The JSON object of a request's body, read in GET and POST alike, whatever its content type.
pub struct Fields {
    held: Held,
}

impl FromRequest<AppState> for Fields {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Fields, ApiError> {
        let held = state.body.read(request).await?;
        let fields = Fields { held };
        fields.object()?;
        Ok(fields)
    }
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

impl Fields {
    fn object(&self) -> Result<HashMap<Cow<'_, str>, &RawValue>, ApiError> {
        let text = std::str::from_utf8(&self.held.bytes)
            .map_err(|e| ApiError::parameter(format!("the body is not UTF-8: {e}")))?;
        // Some clients on Windows send a byte order mark.
        let text = text.trim_start_matches('\u{feff}');
        if text.trim().is_empty() {
            return Err(ApiError::parameter(
                "the body is empty, a JSON object is expected",
            ));
        }
        let object: HashMap<Key<'_>, &RawValue> = serde_json::from_str(text).map_err(|e| {
            ApiError::parameter(format!("the body is not a JSON object: {}", short(&e)))
        })?;
        Ok(object
            .into_iter()
            .map(|(key, value)| (key.0, value))
            .collect())
    }

    fn get<'a, T: Deserialize<'a>>(&'a self, name: &str, expected: &str) -> Result<T, ApiError> {
        let object = self.object()?;
        let value = object.get(name).ok_or_else(|| {
            ApiError::parameter(format!("{name} is missing: {expected} is expected"))
        })?;
        serde_json::from_str(value.get()).map_err(|e| {
            ApiError::parameter(format!("{name}: {expected} is expected ({})", short(&e)))
        })
    }

    pub fn string(&self, name: &str) -> Result<String, ApiError> {
        self.get(name, "a string")
    }

    pub fn strings(&self, name: &str) -> Result<Vec<String>, ApiError> {
        self.get(name, "a list of strings")
    }

    /// A list of strings, or one string for a list of one.
    pub fn string_or_strings(&self, name: &str) -> Result<Vec<String>, ApiError> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum OneOrMany {
            One(String),
            Many(Vec<String>),
        }
        Ok(match self.get(name, "a list of strings ([] for all)")? {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        })
    }

    /// A whole number from 1; what does not fit in 64 bits is the largest that does.
    pub fn positive_integer(&self, name: &str) -> Result<u64, ApiError> {
        let expected = "a whole number from 1";
        let wrong = || ApiError::parameter(format!("{name}: {expected} is expected"));
        let object = self.object()?;
        let raw = object.get(name).ok_or_else(|| {
            ApiError::parameter(format!("{name} is missing: {expected} is expected"))
        })?;
        let digits = raw.get();
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        match digits.parse::<u64>() {
            Ok(0) => Err(wrong()),
            Ok(number) => Ok(number),
            Err(_) => Ok(u64::MAX),
        }
    }

    pub fn picture(&self, name: &str) -> Result<EncodedPicture, ApiError> {
        let text: Text<'_> = self.get(name, "a picture as a base64 string")?;
        Ok(self.encoded(text))
    }

    pub fn pictures(&self, name: &str) -> Result<Vec<EncodedPicture>, ApiError> {
        let texts: Vec<Text<'_>> = self.get(name, "a list of pictures as base64 strings")?;
        Ok(texts.into_iter().map(|text| self.encoded(text)).collect())
    }

    /// Shares the body's memory where the string has no escapes.
    fn encoded(&self, text: Text<'_>) -> EncodedPicture {
        EncodedPicture(match text.0 {
            Cow::Borrowed(text) => self.held.bytes.slice_ref(text.as_bytes()),
            Cow::Owned(text) => Bytes::from(text),
        })
    }
}

/// A string that borrows from the body where it can (serde copies a plain `Cow` inside a list).
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize, PartialEq, Eq, Hash)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// serde quotes the value it did not expect, which may be a whole picture.
fn short(e: &serde_json::Error) -> String {
    let text = e.to_string();
    match text.char_indices().nth(160) {
        None => text,
        Some((end, _)) => format!(
            "{}... at line {} column {}",
            &text[..end],
            e.line(),
            e.column()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields {
        let budget = Arc::new(Semaphore::new(1));
        Fields {
            held: Held {
                bytes: Bytes::copy_from_slice(text.as_bytes()),
                _memory: budget.try_acquire_owned().unwrap(),
            },
        }
    }

    #[test]
    fn pictures_share_the_memory_of_the_body() {
        let fields = fields(r#"{"face_image": ["AAAA", "B\/BB"]}"#);
        let pictures = fields.pictures("face_image").unwrap();
        assert_eq!(&pictures[0].0[..], b"AAAA");
        assert_eq!(&pictures[1].0[..], b"B/BB");
        let body = fields.held.bytes.as_ptr_range();
        assert!(body.contains(&pictures[0].0.as_ptr()));
        assert!(!body.contains(&pictures[1].0.as_ptr()));
    }

    #[test]
    fn whole_numbers_from_one_and_nothing_else() {
        for (text, expected) in [
            ("1", 1),
            ("100", 100),
            ("99999999999999999999999", u64::MAX),
        ] {
            let fields = fields(&format!(r#"{{"top_k": {text}}}"#));
            assert_eq!(fields.positive_integer("top_k").unwrap(), expected);
        }
        for text in [
            "0", "-1", "1.5", "1.0", "1e3", "true", "null", "\"1\"", "[1]",
        ] {
            let fields = fields(&format!(r#"{{"top_k": {text}}}"#));
            assert!(fields.positive_integer("top_k").is_err(), "{text}");
        }
    }

    #[test]
    fn the_last_of_two_equal_names_counts_and_unknown_ones_are_ignored() {
        let fields = fields(r#"{"a": "x", "b": [1, {"c": null}], "a": "y"}"#);
        assert_eq!(fields.string("a").unwrap(), "y");
    }

    #[test]
    fn a_body_that_is_no_object_is_refused() {
        for text in ["", "  ", "[]", "null", "{", "{\"a\":}", "\"x\"", "{} x"] {
            assert!(fields(text).object().is_err(), "{text}");
        }
        let deep = format!("{{\"a\": {}", "[".repeat(1_000_000));
        assert!(fields(&deep).object().is_err());
    }
}
