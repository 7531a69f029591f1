//! What a body is, told from its bytes and its content type together.

use bytes::Bytes;

/// How the fields of a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    /// Behind blanks and byte order marks: a JSON object, whatever its content type.
    Json,
    Multipart,
    /// The body is a picture; other fields are in the query.
    Picture,
}

/// Marks and blanks before the text, counted in bytes.
pub(super) fn before_text(body: &[u8]) -> usize {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    let mut at = 0;
    loop {
        match &body[at..] {
            [b' ' | b'\t' | b'\r' | b'\n', ..] => at += 1,
            rest if rest.starts_with(MARK) => at += MARK.len(),
            _ => return at,
        }
    }
}

/// Tells what came.
///
/// # Errors
/// In a sentence what came, and what to send in its place.
pub(super) fn tell(body: &Bytes, content_type: &str) -> Result<Arrived, String> {
    const JSON: &str = "a JSON object is expected";
    let text = &body[before_text(body)..];
    let said = |prefix: &str| {
        (content_type.get(..prefix.len())).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    if text.first() == Some(&b'{') && text.get(1) != Some(&0) {
        return Ok(Arrived::Json);
    }
    if text.is_empty() {
        return Err(format!("the body is empty, {JSON}"));
    }
    if said("multipart/") {
        return match said("multipart/form-data") {
            true if looks_multipart(body) => Ok(Arrived::Multipart),
            true => Err("the body is not the multipart/form-data that Content-Type says: its boundary is not where it begins".into()),
            false => Err(format!("of multipart bodies only multipart/form-data is read, or {JSON}")),
        };
    }
    let picture = picture_kind(body);
    if said("image/") && picture.is_some() {
        return Ok(Arrived::Picture);
    }
    let came = match picture {
        Some(kind) => format!(
            "the body is a {kind}: send it with Content-Type: image/{} and the other fields in the query, as multipart/form-data, or as \
             base64 in a JSON object",
            match kind {
                "JPEG" => "jpeg",
                "PNG" => "png",
                "WebP" => "webp",
                _ => "*",
            }
        ),
        None => of_no_picture(text, content_type, &said),
    };
    Err(match said("image/") {
        true => format!(
            "Content-Type is {}, but {came}",
            content_type.escape_debug()
        ),
        false => came,
    })
}

fn of_no_picture(text: &[u8], content_type: &str, said: &dyn Fn(&str) -> bool) -> String {
    const SEND: &str = "send a JSON object";
    if let Some(kind) = compressed(text) {
        return format!("the body is compressed ({kind}): {SEND} as it is");
    }
    if let Some(kind) = wide_text(text) {
        return format!("the body is {kind}: {SEND} in UTF-8");
    }
    if looks_multipart(text) {
        return "the body looks like multipart/form-data, which Content-Type must say, with its boundary: let the client's library set it"
            .into();
    }
    if said("application/x-www-form-urlencoded") && text.contains(&b'=') || looks_urlencoded(text) {
        return format!(
            "the body is form fields (application/x-www-form-urlencoded): {SEND}, or multipart/form-data with the pictures"
        );
    }
    let Ok(text) = std::str::from_utf8(text) else {
        return format!(
            "the body is {}, neither text in UTF-8 nor a picture: {SEND}",
            match said("application/") && content_type.len() < 100 {
                true => content_type.escape_debug().to_string(),
                false => "bytes".into(),
            }
        );
    };
    let kind = match text.as_bytes() {
        [b'[', ..] => "a JSON list",
        [b'"', ..] => "a JSON string",
        [b'0'..=b'9' | b'-', ..] if text.trim().parse::<f64>().is_ok() => "a number",
        [b'<', ..] => "XML or HTML",
        _ if text.starts_with("data:") => "a data: URL",
        _ if ["true", "false", "null"].contains(&text.trim()) => "a JSON literal",
        _ if is_base64(text) => "base64 without a name",
        _ => "text",
    };
    format!(
        "the body is {kind}, not a JSON object: {SEND}, as in {{\"collection_name\": \"staff\"}}"
    )
}

fn compressed(body: &[u8]) -> Option<&'static str> {
    match body {
        [0x1f, 0x8b, ..] => Some("gzip"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("zstd"),
        [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => Some("deflate"),
        [b'P', b'K', 3 | 5, 4 | 6, ..] => Some("ZIP"),
        [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', b'Y', ..] => Some("bzip2"),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some("xz"),
        _ => None,
    }
}

/// Text whose characters take two or four bytes, by its mark or by how the first of it is spelled.
fn wide_text(body: &[u8]) -> Option<&'static str> {
    match body {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        [0, 0, 0, 1..=0x7f, ..] | [1..=0x7f, 0, 0, 0, ..] => Some("UTF-32"),
        [0, 1..=0x7f, ..] | [1..=0x7f, 0, ..] => Some("UTF-16"),
        _ => None,
    }
}

fn looks_multipart(body: &[u8]) -> bool {
    let start = body.strip_prefix(b"\r\n").unwrap_or(body);
    start.starts_with(b"--")
}

/// `name=value`, where the name is one that browsers and libraries write as it is.
fn looks_urlencoded(text: &[u8]) -> bool {
    let name =
        (text.iter()).take_while(|byte| byte.is_ascii_alphanumeric() || b"_-.%[]".contains(byte));
    let length = name.count();
    length > 0
        && length < 64
        && text.get(length) == Some(&b'=')
        && text.get(length + 1) != Some(&b'=')
        && length + 1 < text.len()
}

fn is_base64(text: &str) -> bool {
    text.len() >= 64
        && (text.bytes().take(256))
            .all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_\r\n".contains(&byte))
}

/// The kind of picture whose signature `bytes` begin with, readable or not.
pub(super) fn picture_kind(bytes: &[u8]) -> Option<&'static str> {
    let brand = || {
        bytes
            .get(8..12)
            .filter(|_| bytes.get(4..8) == Some(b"ftyp"))
    };
    match bytes {
        [0xff, 0xd8, 0xff, ..] => Some("JPEG"),
        [0x89, b'P', b'N', b'G', ..] => Some("PNG"),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some("WebP"),
        // Reserved bytes, so that a text is none.
        [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => Some("BMP"),
        [b'G', b'I', b'F', b'8', ..] => Some("GIF"),
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Some("TIFF"),
        [0, 0, 0, 12, b'j' | b'J', b'P' | b'X', ..] | [0xff, 0x4f, 0xff, 0x51, ..] => {
            Some("JPEG 2000")
        }
        [0xff, 0x0a, ..] => Some("JPEG XL"),
        _ => match brand()? {
            b"avif" | b"avis" => Some("AVIF"),
            brand
                if [b"hei", b"hev", b"mif", b"msf"]
                    .iter()
                    .any(|start| brand.starts_with(*start)) =>
            {
                Some("HEIC")
            }
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(body: &[u8], content_type: &str) -> Result<Arrived, String> {
        tell(&Bytes::copy_from_slice(body), content_type)
    }

    #[test]
    fn what_begins_with_a_brace_is_json_whatever_its_type() {
        for content_type in [
            "",
            "image/jpeg",
            "multipart/form-data; boundary=x",
            "application/x-www-form-urlencoded",
        ] {
            for body in [
                "{}",
                " \r\n\t{}",
                "\u{feff}{}",
                " \u{feff} \u{feff}{\"a\": 1}",
                "{--x",
            ] {
                assert_eq!(
                    told(body.as_bytes(), content_type),
                    Ok(Arrived::Json),
                    "{body}"
                );
            }
        }
    }

    #[test]
    fn pictures_and_forms_are_known_by_bytes_and_type_together() {
        let jpeg = b"\xff\xd8\xff\xe0rest";
        assert_eq!(told(jpeg, "image/jpeg"), Ok(Arrived::Picture));
        assert_eq!(told(jpeg, "Image/PNG; x=y"), Ok(Arrived::Picture));
        assert_eq!(
            told(b"--x\r\n", "multipart/form-data; boundary=x"),
            Ok(Arrived::Multipart)
        );
        for content_type in ["", "application/octet-stream", "text/plain"] {
            let said = told(jpeg, content_type).unwrap_err();
            assert!(
                said.contains("JPEG") && said.contains("Content-Type: image/jpeg"),
                "{said}"
            );
            let said = told(b"--x\r\nContent-Disposition: form-data", content_type).unwrap_err();
            assert!(said.contains("multipart"), "{said}");
        }
        for content_type in [
            "image/jpeg",
            "multipart/form-data; boundary=x",
            "multipart/mixed; boundary=x",
        ] {
            assert!(
                told(b"hello", content_type)
                    .unwrap_err()
                    .contains(&content_type[..9])
            );
        }
    }

    #[test]
    fn everything_else_is_named() {
        for (body, name) in [
            (b"".as_slice(), "empty"),
            (b" \r\n", "empty"),
            (b"\xef\xbb\xbf", "empty"),
            (b"\x1f\x8b\x08\x00", "gzip"),
            (b"\x28\xb5\x2f\xfd\x00", "zstd"),
            (b"\x78\x9c\x00", "deflate"),
            (b"PK\x03\x04", "ZIP"),
            (b"\xff\xfe{\0}\0", "UTF-16"),
            (b"\xfe\xff\0{\0}", "UTF-16"),
            (b"{\0}\0", "UTF-16"),
            (b"\0{\0}", "UTF-16"),
            (b"{\0\0\0}\0\0\0", "UTF-32"),
            (b"\0\0\0{\0\0\0}", "UTF-32"),
            (b"collection_name=staff&top_k=1", "form fields"),
            (b"[{}]", "a JSON list"),
            (b"\"x\"", "a JSON string"),
            (b" 7", "a number"),
            (b"null", "a JSON literal"),
            (b"<html>", "XML or HTML"),
            (b"hello", "text"),
            (b"\xe9\xe8", "neither text in UTF-8"),
            (&[b'A'; 100], "base64"),
            (b"GIF89a", "a GIF"),
            (b"\0\0\0\x18ftypheic", "a HEIC"),
        ] {
            let said = told(body, "").unwrap_err();
            assert!(said.contains(name), "{body:?}: {said}");
            assert!(said.contains("JSON object"), "{said}");
        }
    }
}
