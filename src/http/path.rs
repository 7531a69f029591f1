//! One spelling for every path.

use std::borrow::Cow;

use axum::http::Uri;
use axum::http::uri::PathAndQuery;

/// The same URI with its path as routes are written: without a slash at its end, without empty parts, and without %XX for characters
/// that need none.
pub(super) fn tidied(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let tidy = tidy(path);
    if tidy == path {
        return None;
    }
    let whole = match uri.query() {
        Some(query) => format!("{tidy}?{query}"),
        None => tidy.into_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(whole).ok()?);
    Uri::from_parts(parts).ok()
}

fn tidy(path: &str) -> Cow<'_, str> {
    if !path.starts_with('/') {
        return path.into();
    }
    let path = match path.contains('%') {
        true => Cow::from(without_needless_escapes(path)),
        false => path.into(),
    };
    let is_tidy = !path.contains("//") && (path.len() == 1 || !path.ends_with('/'));
    if is_tidy {
        return path;
    }
    let parts = path.split('/').filter(|part| !part.is_empty());
    let tidy: String = parts.flat_map(|part| ["/", part]).collect();
    match tidy.is_empty() {
        true => "/".into(),
        false => tidy.into(),
    }
}

/// `%XX` of letters, digits and `-._~` means the character itself; every other one is left.
fn without_needless_escapes(path: &str) -> String {
    let mut pieces = path.split('%');
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let character = (piece.get(..2))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            .map(char::from)
            .filter(|c| c.is_ascii_alphanumeric() || "-._~".contains(*c));
        match character {
            Some(character) => {
                plain.push(character);
                plain.push_str(&piece[2..]);
            }
            None => {
                plain.push('%');
                plain.push_str(piece);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_path_become_one() {
        for (path, same) in [
            ("/", "/"),
            ("//", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b"),
            ("//a///b//", "/a/b"),
            ("/%61/b%2d", "/a/b-"),
            ("/a%2Fb", "/a%2Fb"),
            ("/a%2", "/a%2"),
            ("/a%+1", "/a%+1"),
            ("/a%zz%\u{e9}", "/a%zz%\u{e9}"),
            ("/A/../b", "/A/../b"),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(tidy(path), same, "{path}");
        }
    }

    #[test]
    fn host_and_query_stay() {
        let uri: Uri = "http://door:8080//a/?x=//y/".parse().unwrap();
        assert_eq!(tidied(&uri).unwrap(), "http://door:8080/a?x=//y/");
        assert_eq!(tidied(&"/a?b/".parse().unwrap()), None);
    }
}
