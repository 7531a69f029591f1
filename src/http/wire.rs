//! Answers to what is no request: the HTTP library refuses it with an empty body or hangs up; here
//! such clients get the API's JSON object, too.

use std::fmt::Write as _;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::{StatusCode, request};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1::{Builder, Connection};
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::PREFIX;
use super::answer::ErrCode;
use super::error::ApiError;
use super::request_log;

const MAX_HEADERS: usize = 100;

/// Bytes of a request's head; of what is read at a time as well.
const MAX_HEAD: usize = 16 << 10;

/// After a refusal the client may send on for so long and so much, all thrown away: closing with
/// bytes unread resets the connection, and with it what the client has not yet read.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 1 << 20;

/// HTTP/1 within the limits that every connection has.
pub(super) fn http1(header_timeout: Duration) -> Builder {
    let mut http1 = Builder::new();
    http1
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .max_header_size(MAX_HEAD);
    http1
}

/// Whether the head is as short as heads must be. The HTTP library says so only of those that come in several pieces.
///
/// # Errors
/// 414, 431.
pub(super) fn check_length(head: &request::Parts) -> Result<(), ApiError> {
    let path = head
        .uri
        .path_and_query()
        .map_or(0, |path| path.as_str().len());
    let line = "GET  HTTP/1.1\r\n".len() + path;
    let fields = head.headers.iter();
    let fields: usize = fields
        .map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len())
        .sum();
    match line + fields {
        _ if line > MAX_HEAD => Err(too_long_a_path()),
        length if length > MAX_HEAD => Err(too_long_a_head()),
        _ => Ok(()),
    }
}

fn too_long_a_path() -> ApiError {
    let detail = format!("all endpoints are below {PREFIX}: send the fields in the body");
    ApiError::http(StatusCode::URI_TOO_LONG, detail)
}

fn too_long_a_head() -> ApiError {
    let detail = format!(
        "the head has more than {MAX_HEADERS} headers or {MAX_HEAD} bytes, or announces a body of an impossible length: send the fields \
         in the body"
    );
    ApiError::http(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, detail)
}

/// A stream that holds back the library's own refusals, for [`serve`] to answer in its place.
pub(super) struct Wire<S> {
    stream: S,
    refused: Option<StatusCode>,
}

impl<S> Wire<S> {
    /// Nothing is held back yet.
    pub(super) fn new(stream: S) -> Wire<S> {
        let refused = None;
        Wire { stream, refused }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

/// Not vectored, so that an answer comes in one piece.
impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some((start, status)) = refusal(buf) {
            if start == 0 {
                this.refused = Some(status);
                return Poll::Ready(Ok(buf.len()));
            }
            // Answers to earlier requests go first.
            buf = &buf[..start];
        }
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.refused {
            // The answer is still to come.
            Some(_) => Pin::new(&mut this.stream).poll_flush(cx),
            None => Pin::new(&mut this.stream).poll_shutdown(cx),
        }
    }
}

/// Where in `written` the library refuses what it read, and with which status. It is the last it
/// writes, and the only answer without a body: ours are JSON, in which line ends are escaped.
fn refusal(written: &[u8]) -> Option<(usize, StatusCode)> {
    const VERSION: usize = b"HTTP/1.1 ".len();
    if !written.ends_with(b"\r\n\r\n") {
        return None;
    }
    let start = (written.windows(7)).rposition(|bytes| bytes == b"HTTP/1.")?;
    let head = &written[start..];
    let status = StatusCode::from_bytes(head.get(VERSION..VERSION + 3)?).ok()?;
    let empty = b"\r\ncontent-length: 0\r\n";
    let is_empty = (head.windows(empty.len())).any(|bytes| bytes.eq_ignore_ascii_case(empty));
    (is_empty && status.is_client_error()).then_some((start, status))
}

/// A connection that the library let go.
pub(super) struct Ended<S> {
    stream: S,
    /// What the library says.
    pub(super) result: hyper::Result<()>,
    refusal: Option<ApiError>,
}

/// Serves requests until the connection ends; after `stop` no more than the one in progress.
pub(super) async fn serve<S, V>(
    mut connection: Connection<TokioIo<Wire<S>>, V>,
    stop: impl Future<Output = ()>,
) -> Ended<S>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    V: Service<hyper::Request<Incoming>, Response = Response>,
    V::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut stop = pin!(stop);
    let result = tokio::select! {
        result = &mut connection => result,
        () = &mut stop => {
            Pin::new(&mut connection).graceful_shutdown();
            (&mut connection).await
        }
    };
    let parts = connection.into_parts();
    let Wire { stream, refused } = parts.io.into_inner();
    let refusal = match &result {
        Err(e) => explain(e, refused, &parts.read_buf),
        Ok(()) => None,
    };
    Ended {
        stream,
        result,
        refusal,
    }
}

/// What to tell a client that the library refused or gave up; nothing if nobody waits for an answer.
fn explain(e: &hyper::Error, refused: Option<StatusCode>, unread: &[u8]) -> Option<ApiError> {
    // Blank lines before a request are no part of it.
    let mut head = unread.iter().skip_while(|b| b"\r\n".contains(b)).peekable();
    let head_began = head.peek().is_some();
    let (status, detail) = match refused {
        Some(StatusCode::URI_TOO_LONG) => return Some(too_long_a_path()),
        Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE) => {
            let in_first_line = unread.len() >= MAX_HEAD && head.all(|&b| b != b'\n');
            return Some(match in_first_line {
                true => too_long_a_path(),
                false => too_long_a_head(),
            });
        }
        Some(status) => {
            let what = e.to_string();
            let what = what.trim_end_matches(" parsed");
            let detail = format!(
                "this is no valid HTTP/1.1 ({what}): check the first line and the headers, and \
                 that the client speaks http, not https"
            );
            (status, detail)
        }
        None if e.is_parse_version_h2() => (
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            "this is HTTP/2: use HTTP/1.1".into(),
        ),
        None if head_began && e.is_timeout() => (
            StatusCode::REQUEST_TIMEOUT,
            "the head of the request came too slowly: send it again on a new connection".into(),
        ),
        None if head_began && e.is_incomplete_message() => (
            StatusCode::BAD_REQUEST,
            "the head of the request ended early: an empty line ends it".into(),
        ),
        None => return None,
    };
    Some(ApiError::http(status, detail))
}

impl<S: AsyncRead + AsyncWrite + Unpin> Ended<S> {
    /// Tells the client why it was refused, if it was: status, `err_code` and id of the answer.
    pub(super) async fn explain(&mut self) -> Option<(StatusCode, u16, String)> {
        let response = self.refusal.take()?.into_response();
        let status = response.status();
        let err_code = response
            .extensions()
            .get::<ErrCode>()
            .map_or(0, |code| code.0);
        let id = request_log::new_id();
        // A client that left needs no answer.
        let _ = self.say(response, &id).await;
        self.linger().await;
        Some((status, err_code, id))
    }

    async fn say(&mut self, response: Response<Body>, id: &str) -> io::Result<()> {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let mut head = format!("HTTP/1.1 {}\r\n", parts.status);
        for (name, value) in &parts.headers {
            let value = value.to_str().map_err(io::Error::other)?;
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let now = jiff::fmt::rfc2822::DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&jiff::Timestamp::now())
            .map_err(io::Error::other)?;
        let _ = write!(
            head,
            "{}: {id}\r\nconnection: close\r\ncontent-length: {}\r\ndate: {now}\r\n\r\n",
            request_log::REQUEST_ID,
            body.len()
        );
        self.stream
            .write_all(&[head.as_bytes(), &body].concat())
            .await?;
        self.stream.shutdown().await
    }

    /// Waits until the client has closed, so that it can read what it was sent.
    pub(super) async fn linger(&mut self) {
        let mut rest = (&mut self.stream).take(LINGER_BYTES);
        let _ =
            tokio::time::timeout(LINGER, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
    const REFUSED: &[u8] =
        b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n";

    #[tokio::test]
    async fn a_refusal_is_held_back_and_the_answers_before_it_are_not() {
        for before in [b"", ANSWER, &ANSWER.repeat(2)] {
            let (near, mut far) = tokio::io::duplex(1024);
            let mut wire = Wire::new(near);
            wire.write_all(&[before, REFUSED].concat()).await.unwrap();
            wire.shutdown().await.unwrap();
            assert_eq!(wire.refused, Some(StatusCode::BAD_REQUEST));
            // The stream is still open for what is to be said instead.
            wire.stream.write_all(b"instead").await.unwrap();
            drop(wire);
            let mut written = Vec::new();
            far.read_to_end(&mut written).await.unwrap();
            assert_eq!(written, [before, b"instead"].concat());
        }
    }

    #[test]
    fn answers_are_no_refusals() {
        for answer in [
            b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}".as_slice(),
            b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 90\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"\"HTTP/1.1 400 \\r\\ncontent-length: 0\\r\\n\\r\\n\"",
            b"\r\n\r\n",
            b"",
        ] {
            assert_eq!(refusal(answer), None);
        }
    }
}
