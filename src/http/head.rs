//! What HTTP/1.1 asks of the head of a request and the HTTP library leaves to its user.

use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, Version, header, request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::ApiError;
use super::origin::Authority;
use super::router::method_not_allowed;
use super::wire::check_length;

/// Refuses heads that leave open whom they are for, how their body is to be read, or what they wait for.
pub async fn check(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let refused = check_length(&parts)
        .and_then(|()| one_host(&parts))
        .and_then(|()| plain_chunks(&parts))
        .and_then(|()| known_expectation(&parts));
    if let Err(error) = refused {
        let mut response = error.into_response();
        // Where the body ends is not to be known, or it will not come.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
        return response;
    }
    // About the server and not about one of its paths.
    let is_general =
        parts.uri.path() == "*" || [Method::CONNECT, Method::TRACE].contains(&parts.method);
    let request = Request::from_parts(parts, body);
    match is_general {
        true => method_not_allowed(request).await,
        false => next.run(request).await,
    }
}

/// Whom the request is for: the authority of its target, which goes before the `Host` header.
pub(super) fn asked_authority(request: &request::Parts) -> Option<Authority> {
    match request.uri.authority() {
        Some(authority) => Authority::parse(authority.as_str()),
        None => Authority::parse(request.headers.get(header::HOST)?.to_str().ok()?),
    }
}

fn one_host(request: &request::Parts) -> Result<(), ApiError> {
    let wrong = |detail: &str| Err(ApiError::http(StatusCode::BAD_REQUEST, detail));
    let mut hosts = request.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (_, Some(_)) => wrong("there are several Host headers: one is expected"),
        (None, None) if request.version >= Version::HTTP_11 => wrong(
            "the Host header is missing: HTTP/1.1 asks for one, as in Host: 192.168.1.20:8080",
        ),
        // Machines call the device what they like; this is no name in any language.
        (Some(host), None) if (host.as_bytes().iter()).any(|byte| b" \t,@/\\?#".contains(byte)) => {
            wrong("the Host header is wrong: HOST or HOST:PORT is expected")
        }
        _ if (request.uri.authority()).is_some_and(|a| Authority::parse(a.as_str()).is_none()) => {
            wrong("the target names no host: HOST or HOST:PORT is expected, or the path alone")
        }
        _ => Ok(()),
    }
}

/// The library takes any encodings before the chunks and leaves them in the body.
fn plain_chunks(request: &request::Parts) -> Result<(), ApiError> {
    let codings = tokens(request, &header::TRANSFER_ENCODING);
    match codings.iter().find(|coding| *coding != "chunked") {
        Some(_) => Err(ApiError::http(
            StatusCode::NOT_IMPLEMENTED,
            "Transfer-Encoding: chunked alone is understood: send the body as it is",
        )),
        None if codings.len() > 1 => Err(ApiError::http(
            StatusCode::BAD_REQUEST,
            "Transfer-Encoding names chunked twice: once is expected",
        )),
        None => Ok(()),
    }
}

fn known_expectation(request: &request::Parts) -> Result<(), ApiError> {
    match (tokens(request, &header::EXPECT).iter()).all(|wanted| wanted == "100-continue") {
        true => Ok(()),
        false => Err(ApiError::http(
            StatusCode::EXPECTATION_FAILED,
            "Expect: 100-continue alone is understood: leave the header out",
        )),
    }
}

/// The entries of a list in all headers of a name, in lower case.
pub(super) fn tokens(request: &request::Parts, name: &header::HeaderName) -> Vec<String> {
    (request.headers.get_all(name).iter())
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(|token| String::from_utf8_lossy(token.trim_ascii()).to_ascii_lowercase())
        .filter(|token| !token.is_empty())
        .collect()
}
