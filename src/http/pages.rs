//! Which web pages may use the API.
//!
//! A page that somebody opens anywhere can make their browser send requests to this device. Only browsers send `Origin`, and they
//! send it with every POST; so a request without it is a machine's, or changes nothing: a browser's GET has no body, and without a
//! body no endpoint changes anything. With it, the page must be of this device or configured. A page can also have its own name lead
//! to this device's address (DNS rebinding) and is of the same origin then, so the name that was asked must be this device's, too.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header, request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tower_http::cors::{AllowHeaders, AllowOrigin, Cors};
use tower_service::Service;

use super::answer::ERASED_WITHIN;
use super::body::drain;
use super::error::ApiError;
use super::head::asked_authority;
use super::origin::{Authority, Host, Origin, plain_name};
use super::request_log::REQUEST_ID;
use super::router::AppState;

/// Pages and names that somebody configured.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    /// Pages of other sites that may use the API.
    pub origins: Vec<Origin>,
    /// Names of this device beside its own, as [`plain_name`] makes them.
    pub names: Vec<String>,
}

/// How long a browser need not ask again whether it may.
const PREFLIGHT_HOLDS: Duration = Duration::from_secs(600);

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whose request it is.
#[derive(Debug, PartialEq, Eq)]
enum Asker {
    Machine,
    /// A page that came from this device itself.
    OwnPage,
    ConfiguredPage,
}

/// Refuses pages of strangers, before anything of the body is read, and lets configured ones read their answers (CORS).
pub async fn admit(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let asker = state.pages.asker(&parts, &own_names);
    let origin = parts.headers.get(header::ORIGIN).cloned();
    let mut response = match (asker, origin) {
        (Err(why), _) => {
            // Its bytes are thrown away, so that the answer is read.
            drain(body).await;
            ApiError::forbidden(why).into_response()
        }
        (Ok(Asker::ConfiguredPage), Some(origin)) => {
            return cross_origin(origin, Request::from_parts(parts, body), next).await;
        }
        (Ok(_), _) => next.run(Request::from_parts(parts, body)).await,
    };
    if !state.pages.origins.is_empty() {
        let vary = HeaderValue::from_static("origin");
        response.headers_mut().append(header::VARY, vary);
    }
    response
}

/// Serves a page of another site, and answers its browser's question before (the preflight).
async fn cross_origin(origin: HeaderValue, request: Request, next: Next) -> Response {
    let mut cors = Cors::new(next)
        .allow_origin(AllowOrigin::exact(origin))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .allow_private_network(true)
        .expose_headers([
            REQUEST_ID,
            ERASED_WITHIN,
            header::RETRY_AFTER,
            header::WWW_AUTHENTICATE,
        ])
        .max_age(PREFLIGHT_HOLDS);
    match cors.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

impl Pages {
    /// Whose request this is, or why it is refused. `own_names` tells the names that the device gives itself.
    fn asker(
        &self,
        request: &request::Parts,
        own_names: &dyn Fn() -> Vec<String>,
    ) -> Result<Asker, String> {
        let mut origins = request.headers.get_all(header::ORIGIN).iter();
        let from_elsewhere = (request.headers.get_all(FETCH_SITE).iter())
            .any(|site| site.as_bytes().eq_ignore_ascii_case(b"cross-site"));
        let Some(origin) = origins.next() else {
            return match from_elsewhere {
                true => Err(
                    "a web page of another site asks (Sec-Fetch-Site: cross-site): name it under origins in [server] of the \
                     configuration, and let it ask with fetch()"
                        .into(),
                ),
                false => Ok(Asker::Machine),
            };
        };
        let origin = match (origin.to_str(), origins.next()) {
            (_, Some(_)) => return Err("there are several Origin headers: one is expected".into()),
            (Ok("null"), None) => {
                return Err(
                    "a web page without an address asks (Origin: null), that is a file or a closed frame: serve it from an \
                     address, and name that under origins in [server] of the configuration"
                        .into(),
                );
            }
            (text, None) => text.ok().and_then(Origin::parse).ok_or(
                "the Origin header names no page: SCHEME://HOST or SCHEME://HOST:PORT is expected",
            )?,
        };
        let asked = asked_authority(request);
        let is_configured = self.origins.contains(&origin);
        let is_own =
            !from_elsewhere && asked.clone().map(Origin::of_plain_http) == Some(origin.clone());
        let mut lines = Vec::new();
        if !is_configured && !is_own {
            lines.push(format!("origins = [\"{origin}\"]"));
        }
        if let Some(name) = asked
            .as_ref()
            .and_then(|asked| self.unknown(asked, own_names))
        {
            lines.push(format!("names = [\"{name}\"]"));
        }
        match (asked.is_some(), lines.is_empty()) {
            (false, _) => {
                Err("a web page asks without saying whom: a Host header is expected".into())
            }
            (true, true) if is_configured => Ok(Asker::ConfiguredPage),
            (true, true) => Ok(Asker::OwnPage),
            (true, false) => Err(format!(
                "the web page {origin} may not use this device{}: to let it, the configuration needs in [server]: {}",
                match is_own {
                    true => " under the name that it asks for",
                    false => "",
                },
                lines.join(" and ")
            )),
        }
    }

    /// The name that was asked, if it is not this device's.
    fn unknown<'a>(
        &self,
        asked: &'a Authority,
        own_names: &dyn Fn() -> Vec<String>,
    ) -> Option<&'a str> {
        match &asked.host {
            Host::Name(name)
                if name != "localhost"
                    && !self.names.contains(name)
                    && !own_names().contains(name) =>
            {
                Some(name)
            }
            _ => None,
        }
    }
}

/// The names that this device gives itself, also as mDNS announces them.
pub fn own_names() -> Vec<String> {
    let system = rustix::system::uname();
    names_of(&system.nodename().to_string_lossy())
}

fn names_of(node: &str) -> Vec<String> {
    let Some(full) = plain_name(node) else {
        return Vec::new();
    };
    let short = full.split('.').next().unwrap_or_default().to_owned();
    vec![format!("{short}.local"), short, full]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(pages: &Pages, headers: &[(&str, &str)]) -> Result<Asker, String> {
        let mut request = Request::post("/api");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        pages.asker(&parts, &|| names_of("Door7"))
    }

    fn configured() -> Pages {
        Pages {
            origins: vec![Origin::parse("https://kiosk.example").unwrap()],
            names: vec!["door.lan".into()],
        }
    }

    #[test]
    fn without_an_origin_it_is_a_machine_under_any_name() {
        for host in ["10.0.0.7", "rebound.example", "door7", ""] {
            let asker = asker(&Pages::default(), &[("host", host)]);
            assert_eq!(asker, Ok(Asker::Machine), "{host}");
        }
    }

    #[test]
    fn a_page_of_the_device_itself_is_served_under_the_devices_names() {
        for host in [
            "10.0.0.7",
            "10.0.0.7:8080",
            "[fe80::1]:8080",
            "localhost:8080",
            "LOCALHOST",
            "door7:8080",
            "Door7.local",
            "door.lan:80",
        ] {
            let origin = format!("http://{host}");
            let asker = asker(&configured(), &[("host", host), ("origin", &origin)]);
            assert_eq!(asker, Ok(Asker::OwnPage), "{host}");
        }
    }

    #[test]
    fn a_name_that_leads_here_by_somebody_elses_doing_is_refused_with_the_line_to_add() {
        for host in [
            "rebound.example",
            "door7.example",
            "xdoor7",
            "local",
            "door7.local.example",
        ] {
            let origin = format!("http://{host}:8080");
            let port = format!("{host}:8080");
            let refused =
                asker(&configured(), &[("host", &port), ("origin", &origin)]).unwrap_err();
            assert!(
                refused.contains(&format!("names = [\"{host}\"]")),
                "{refused}"
            );
            assert!(!refused.contains("origins"), "{refused}");
        }
    }

    #[test]
    fn a_page_of_another_site_is_refused_with_the_line_to_add_unless_it_is_configured() {
        let host = ("host", "10.0.0.7:8080");
        for other in [
            "http://kiosk.example",
            "https://kiosk.example:8443",
            "https://www.kiosk.example",
            "http://10.0.0.7",
            "http://10.0.0.8:8080",
            "https://10.0.0.7:8080",
        ] {
            let refused = asker(&configured(), &[host, ("origin", other)]).unwrap_err();
            assert!(
                refused.contains(&format!("origins = [\"{other}\"]")),
                "{refused}"
            );
        }
        let kiosk = ("origin", "https://kiosk.example");
        assert_eq!(
            asker(&configured(), &[host, kiosk]),
            Ok(Asker::ConfiguredPage)
        );
        let from_elsewhere = ("sec-fetch-site", "cross-site");
        assert_eq!(
            asker(&configured(), &[host, kiosk, from_elsewhere]),
            Ok(Asker::ConfiguredPage)
        );
        let refused = asker(&configured(), &[("host", "rebound.example"), kiosk]).unwrap_err();
        assert!(
            refused.contains("names = [\"rebound.example\"]"),
            "{refused}"
        );
    }

    #[test]
    fn what_a_browser_marks_as_of_another_site_is_refused() {
        let host = ("host", "10.0.0.7");
        let from_elsewhere = ("sec-fetch-site", "cross-site");
        let own = ("origin", "http://10.0.0.7");
        assert!(asker(&configured(), &[host, from_elsewhere]).is_err());
        assert!(asker(&configured(), &[host, own, from_elsewhere]).is_err());
        for site in ["same-origin", "same-site", "none"] {
            let headers = [host, ("sec-fetch-site", site)];
            assert_eq!(asker(&configured(), &headers), Ok(Asker::Machine), "{site}");
        }
    }

    #[test]
    fn an_origin_that_names_no_page_is_refused() {
        let host = ("host", "10.0.0.7");
        for origin in [
            "null",
            "",
            "*",
            "10.0.0.7",
            "http://10.0.0.7/",
            "http://10.0.0.7, http://10.0.0.7",
        ] {
            assert!(
                asker(&configured(), &[host, ("origin", origin)]).is_err(),
                "{origin}"
            );
        }
        let own = ("origin", "http://10.0.0.7");
        assert!(asker(&configured(), &[host, own, own]).is_err());
        assert!(asker(&configured(), &[own]).is_err());
    }

    #[test]
    fn the_device_has_its_node_name_with_and_without_domain_and_local() {
        assert_eq!(
            names_of("Door7.site.example"),
            ["door7.local", "door7", "door7.site.example"]
        );
        assert_eq!(names_of(""), Vec::<String>::new());
    }
}
