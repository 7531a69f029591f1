//! Names of web pages and of this device: the parts of `Origin` and `Host`.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::uri;

/// Longer than any host name; what is longer is none.
const MAX_LENGTH: usize = 300;

/// A host as URLs name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    /// Lower case, without the dot that a full name may end with.
    Name(String),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::V4(ip) => write!(f, "{ip}"),
            Host::V6(ip) => write!(f, "[{ip}]"),
            Host::Name(name) => f.write_str(name),
        }
    }
}

/// A host and, if one is given, a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    pub host: Host,
    pub port: Option<u16>,
}

impl Authority {
    /// Reads `host`, `host:port` or `[v6]:port`; nothing else is one, nor is a name with a user before it.
    pub fn parse(text: &str) -> Option<Authority> {
        if text.len() > MAX_LENGTH || text.contains('@') {
            return None;
        }
        let parsed: uri::Authority = text.parse().ok()?;
        let host = parsed.host();
        let port = match text.strip_prefix(host)?.strip_prefix(':') {
            None | Some("") => None,
            Some(digits) => Some(digits.parse().ok()?),
        };
        let host = match host.strip_prefix('[') {
            Some(v6) => Host::V6(v6.strip_suffix(']')?.parse().ok()?),
            None => match host.parse() {
                Ok(v4) => Host::V4(v4),
                Err(_) => Host::Name(plain_name(host)?),
            },
        };
        Some(Authority { host, port })
    }
}

/// A host's name as it is compared.
pub fn plain_name(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    (!name.is_empty()).then(|| name.to_ascii_lowercase())
}

/// Where a web page comes from: scheme, host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    /// With the scheme's own port left out.
    authority: Authority,
}

impl Origin {
    /// Reads `scheme://host` or `scheme://host:port`, and nothing behind it.
    pub fn parse(text: &str) -> Option<Origin> {
        let (scheme, rest) = (text.split_once("://")).filter(|(scheme, _)| !scheme.is_empty())?;
        let scheme: uri::Scheme = scheme.parse().ok()?;
        let authority = Authority::parse(rest)?;
        Some(Origin::new(scheme.as_str(), authority))
    }

    fn new(scheme: &str, mut authority: Authority) -> Origin {
        let scheme = scheme.to_ascii_lowercase();
        let usual = match scheme.as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        authority.port = authority.port.filter(|port| Some(*port) != usual);
        Origin { scheme, authority }
    }

    /// The origin of a page that was fetched from `asked` without encryption, as this daemon speaks.
    pub fn of_plain_http(asked: Authority) -> Origin {
        Origin::new("http", asked)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority.host)?;
        match self.authority.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_compared_as_browsers_mean_them() {
        for (text, same) in [
            ("https://kiosk.example", "https://kiosk.example"),
            ("HTTPS://Kiosk.Example:443", "https://kiosk.example"),
            ("http://kiosk.example.:80", "http://kiosk.example"),
            ("http://10.0.0.7:8080", "http://10.0.0.7:8080"),
            ("http://[0:0::1]:8080", "http://[::1]:8080"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            assert_eq!(Origin::parse(text).unwrap().to_string(), same, "{text}");
        }
        for other in [
            "http://kiosk.example",
            "https://kiosk.example:8443",
            "https://a.kiosk.example",
        ] {
            let kiosk = Origin::parse("https://kiosk.example");
            assert_ne!(Origin::parse(other), kiosk, "{other}");
        }
    }

    #[test]
    fn what_is_no_origin_is_none() {
        for text in [
            "",
            "null",
            "*",
            "kiosk.example",
            "https://",
            "https://kiosk.example/",
            "https://kiosk.example/page",
            "https://ann@kiosk.example",
            "https://kiosk.example:99999",
            "https://kiosk.example:x",
            "https://two.example https://one.example",
            "https://[::1",
            "https://[kiosk]",
            "https://a:b:c",
            "https://.",
            "://kiosk.example",
        ] {
            assert_eq!(Origin::parse(text), None, "{text}");
        }
        let long = format!("https://{}.example", "a".repeat(MAX_LENGTH));
        assert_eq!(Origin::parse(&long), None);
    }

    #[test]
    fn hosts_are_addresses_or_names() {
        let host = |text: &str| Authority::parse(text).map(|authority| authority.host);
        assert_eq!(host("10.0.0.7:80"), Some(Host::V4([10, 0, 0, 7].into())));
        assert_eq!(host("[::1]"), Some(Host::V6(Ipv6Addr::LOCALHOST)));
        assert_eq!(host("Door.local."), Some(Host::Name("door.local".into())));
        // No address in its usual form, so it is a name, which nobody has.
        assert_eq!(host("0x7f.1"), Some(Host::Name("0x7f.1".into())));
        assert_eq!(host("a b"), None);
        assert_eq!(host("::1"), None);
    }
}
