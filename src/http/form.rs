//! Fields that come as multipart/form-data, or in the query beside a raw picture.
//!
//! The values share the memory of the body. That is why the parts are looked for here: the libraries that read multipart read a stream
//! and copy it, twice in the end, and the memory for uploads is counted once.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use memchr::memmem::Finder;

use super::arrived::picture_kind;
use super::error::ApiError;
use super::fields::NAMES;
use crate::recognition::EncodedFile;

/// Bytes of the headers of a part.
const MAX_PART_HEAD: usize = 8 << 10;
const MAX_PART_HEADERS: usize = 16;
/// Longest boundary that the format allows.
const MAX_BOUNDARY: usize = 70;

/// A field's value as it came.
#[derive(Clone, Debug)]
pub(super) struct Value {
    /// One of [`NAMES`].
    pub name: &'static str,
    pub bytes: Bytes,
    /// What the part says of itself: `Content-Transfer-Encoding: base64`.
    pub is_base64: bool,
}

impl Value {
    /// A body that is a picture.
    pub(super) fn picture(bytes: Bytes) -> Value {
        Value {
            name: "face_image",
            bytes,
            is_base64: false,
        }
    }

    pub(super) fn text(&self) -> Result<&str, ApiError> {
        std::str::from_utf8(&self.bytes)
            .map_err(|_| ApiError::parameter(format!("{}: text in UTF-8 is expected", self.name)))
    }

    /// The picture that it is: a file, or base64 as in a JSON object.
    pub(super) fn file(&self) -> EncodedFile {
        let start = self.bytes.trim_ascii_start();
        let start = &start[..start.len().min(64)];
        let is_text = start.starts_with(b"data:")
            || (start.iter())
                .all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_ \r\n".contains(byte));
        match self.is_base64 || (is_text && picture_kind(&self.bytes).is_none()) {
            true => EncodedFile::Base64(self.bytes.clone()),
            false => EncodedFile::Plain(self.bytes.clone()),
        }
    }
}

/// The parts of `body` that have one of [`NAMES`], in order.
///
/// # Errors
/// What is wrong, in a sentence; also for more than `max_parts`.
pub(super) fn multipart(
    body: &Bytes,
    content_type: &str,
    max_parts: usize,
) -> Result<Vec<Value>, String> {
    let boundary = (parameter(content_type, "boundary"))
        .filter(|boundary| (1..=MAX_BOUNDARY).contains(&boundary.len()))
        .ok_or(
            "multipart/form-data without a boundary: let the client's library set Content-Type",
        )?;
    let delimiter = format!("\r\n--{boundary}");
    let finder = Finder::new(&delimiter);
    let start = match body.starts_with(b"\r\n") {
        true => 0,
        false => 2,
    };
    if !body.starts_with(&delimiter.as_bytes()[start..]) {
        return Err(format!(
            "multipart/form-data that does not begin with its boundary: --{boundary} is expected first"
        ));
    }
    let mut values = Vec::new();
    let mut parts = 0;
    let mut at = delimiter.len() - start;
    loop {
        at = match after_delimiter(&body[at..]) {
            After::End => return Ok(values),
            After::Part(skip) => at + skip,
            After::Text => return Err("multipart/form-data with a broken boundary line".into()),
        };
        parts += 1;
        if parts > max_parts {
            return Err(format!(
                "multipart/form-data of more than {max_parts} parts"
            ));
        }
        let (name, is_base64, head) = part_head(&body[at..])?;
        at += head;
        let content = content(body, at, &finder)
            .ok_or("multipart/form-data that was cut off: its last boundary is missing")?;
        at = content.end + delimiter.len();
        if let Some(name) = name {
            let bytes = body.slice(content);
            values.push(Value {
                name,
                bytes,
                is_base64,
            });
        }
    }
}

/// What follows a boundary.
enum After {
    End,
    /// A part, behind so many bytes.
    Part(usize),
    /// Only a text that begins like the boundary.
    Text,
}

fn after_delimiter(rest: &[u8]) -> After {
    if rest.starts_with(b"--") {
        return After::End;
    }
    let blanks = (rest.iter())
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    match rest[blanks..].starts_with(b"\r\n") {
        true => After::Part(blanks + 2),
        false => After::Text,
    }
}

/// Where the content of a part is that begins at `start`.
fn content(body: &[u8], start: usize, finder: &Finder) -> Option<Range<usize>> {
    let mut from = start;
    loop {
        let end = from + finder.find(&body[from..])?;
        let behind = end + finder.needle().len();
        match after_delimiter(&body[behind..]) {
            After::Text => from = end + 1,
            After::End | After::Part(_) => return Some(start..end),
        }
    }
}

/// The name of a part that is known, whether it is base64, and the length of its head.
fn part_head(part: &[u8]) -> Result<(Option<&'static str>, bool, usize), String> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_PART_HEADERS];
    let part = &part[..part.len().min(MAX_PART_HEAD)];
    let (length, headers) = match httparse::parse_headers(part, &mut headers) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => {
            return Err("multipart/form-data with a part whose headers do not end".into());
        }
        Err(e) => return Err(format!("multipart/form-data with a broken part: {e}")),
    };
    let header = |name: &str| {
        let found = headers.iter().find(|h| h.name.eq_ignore_ascii_case(name));
        found.map(|header| String::from_utf8_lossy(header.value))
    };
    let disposition = header("content-disposition").unwrap_or_default();
    let name = parameter(&disposition, "name")
        .ok_or("multipart/form-data with a part that has no name in its Content-Disposition")?;
    let encoding = header("content-transfer-encoding").unwrap_or_default();
    let is_base64 = encoding.trim().eq_ignore_ascii_case("base64");
    if encoding.trim().eq_ignore_ascii_case("quoted-printable") {
        return Err(format!(
            "multipart/form-data whose part {name} is quoted-printable: send it as it is"
        ));
    }
    Ok((known(&name), is_base64, length))
}

/// The field of that name. Some libraries write `[]` behind the name of a list.
fn known(name: &str) -> Option<&'static str> {
    let name = name.strip_suffix("[]").unwrap_or(name);
    NAMES.into_iter().find(|known| *known == name)
}

/// The value of a header's parameter, `; name=value` or `; name="value"`.
fn parameter<'a>(header: &'a str, wanted: &str) -> Option<Cow<'a, str>> {
    let (_, mut rest) = header.split_once(';')?;
    loop {
        let (name, behind) = rest.split_once('=')?;
        let name = name.trim_matches([' ', '\t', ';']);
        let behind = behind.trim_start();
        let value = match behind.strip_prefix('"') {
            Some(quoted) => {
                let end = closing_quote(quoted)?;
                rest = &quoted[end + 1..];
                Cow::from(&quoted[..end])
            }
            None => {
                let (value, more) = behind.split_once(';').unwrap_or((behind, ""));
                rest = more;
                Cow::from(value.trim_end())
            }
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(match value.contains('\\') {
                true => Cow::from(value.replace("\\\"", "\"")),
                false => value,
            });
        }
    }
}

/// The first quote that has no backslash before it.
fn closing_quote(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    (0..bytes.len()).find(|&at| bytes[at] == b'"' && (at == 0 || bytes[at - 1] != b'\\'))
}

/// The fields of a request's query, `a=b&c=d`, but pictures.
///
/// # Errors
/// What is wrong, in a sentence.
pub(super) fn query(query: &str, max_fields: usize) -> Result<Vec<Value>, String> {
    (percent_encoding::percent_decode_str(query).decode_utf8())
        .map_err(|_| "the query is not UTF-8: encode the text as UTF-8 before %XX")?;
    let values: Vec<Value> = form_urlencoded::parse(query.as_bytes())
        .take(max_fields.saturating_add(1))
        .filter_map(|(name, value)| {
            // The picture is the body.
            let name = known(&name).filter(|name| !name.starts_with("face_image"))?;
            Some(Value {
                name,
                bytes: Bytes::from(value.into_owned()),
                is_base64: false,
            })
        })
        .collect();
    match values.len() > max_fields {
        true => Err(format!("the query has more than {max_fields} fields")),
        false => Ok(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=XX";

    fn read(body: &str) -> Result<Vec<(&'static str, String)>, String> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let values = multipart(&body, TYPE, 4)?;
        let within = body.as_ptr_range();
        Ok((values.into_iter())
            .map(|value| {
                assert!(value.bytes.is_empty() || within.contains(&value.bytes.as_ptr()));
                (value.name, String::from_utf8(value.bytes.to_vec()).unwrap())
            })
            .collect())
    }

    fn part(name: &str, content: &str) -> String {
        format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{content}\r\n")
    }

    #[test]
    fn parts_are_read_in_order_and_share_the_memory_of_the_body() {
        let body = [
            part("target_id", "ann"),
            part("unknown", "--XX"),
            part("target_id[]", "bob\r\n--XXY\r\n--X\r\n"),
            part("collection_name", ""),
        ];
        let values = read(&format!("{}--XX--\r\nepilogue", body.concat())).unwrap();
        assert_eq!(
            values,
            [
                ("target_id", "ann".into()),
                ("target_id", "bob\r\n--XXY\r\n--X\r\n".into()),
                ("collection_name", String::new()),
            ]
        );
    }

    #[test]
    fn common_spellings_of_a_part_are_read() {
        for head in [
            "Content-Disposition: form-data; name=\"top_k\"",
            "content-disposition:form-data;name=top_k",
            "Content-Type: text/plain\r\nContent-Disposition: form-data; filename=\"a\\\"; name=\\\"b.jpg\"; name=\"top_k\"",
            "Content-Disposition: form-data; name=\"top_k\"; filename=\"C:\\a;b.jpg\"\r\nContent-Length: 1",
        ] {
            let body = format!("\r\n--XX \t\r\n{head}\r\n\r\n7\r\n--XX--");
            assert_eq!(read(&body), Ok(vec![("top_k", "7".into())]), "{head}");
        }
        assert_eq!(read("--XX--\r\n"), Ok(vec![]));
    }

    #[test]
    fn a_part_says_that_it_is_base64() {
        let body = "--XX\r\nContent-Disposition: form-data; name=\"face_image\"\r\nContent-Transfer-Encoding: BASE64\r\n\r\nAAAA\r\n--XX--";
        assert!(multipart(&Bytes::from_static(body.as_bytes()), TYPE, 4).unwrap()[0].is_base64);
    }

    #[test]
    fn what_is_broken_is_told() {
        let whole = format!("{}--XX--\r\n", part("top_k", "1"));
        for end in 0..whole.len() - 4 {
            assert!(read(&whole[..end]).is_err(), "{end}");
        }
        for (body, reason) in [
            ("preamble\r\n--XX--".to_owned(), "begin with its boundary"),
            (format!("{}--YY--", part("top_k", "1")), "cut off"),
            ("--XX\nA: b\n\n1\n--XX--".into(), "broken boundary"),
            ("--XX\r\nA: b\r\n\r\n1\r\n--XX--".into(), "no name"),
            (
                format!("--XX\r\nA: {}\r\n\r\n", "b".repeat(MAX_PART_HEAD)),
                "do not end",
            ),
            (
                format!("--XX\r\n{}\r\n1\r\n--XX--", "A: b\r\n".repeat(20)),
                "broken part",
            ),
            (
                format!("{}--XX--", part("x", "1").repeat(5)),
                "more than 4 parts",
            ),
        ] {
            let said = read(&body).unwrap_err();
            assert!(said.contains(reason), "{body}: {said}");
        }
        for wrong in ["multipart/form-data", "multipart/form-data; boundary=\"\""] {
            assert!(multipart(&Bytes::new(), wrong, 4).is_err(), "{wrong}");
        }
        let long = format!("multipart/form-data; boundary={}", "x".repeat(71));
        assert!(multipart(&Bytes::new(), &long, 4).is_err());
    }

    #[test]
    fn a_boundary_may_be_quoted() {
        let body = Bytes::from_static(
            b"--a=b/c\r\nContent-Disposition: form-data; name=far\r\n\r\n1\r\n--a=b/c--",
        );
        for boundary in ["a=b/c", "\"a=b/c\""] {
            let content_type = format!("Multipart/Form-Data; charset=utf-8; Boundary={boundary}");
            assert_eq!(multipart(&body, &content_type, 4).unwrap().len(), 1);
        }
    }

    #[test]
    fn a_query_is_decoded() {
        let values = query("target_id=Jos%C3%A9+B&x=1&top_k=5&far", 4).unwrap();
        let read: Vec<_> = (values.iter()).map(|v| (v.name, &v.bytes[..])).collect();
        assert_eq!(
            read,
            [
                ("target_id", "Jos\u{e9} B".as_bytes()),
                ("top_k", b"5"),
                ("far", b"")
            ]
        );
        assert!(query("target_id=Jos%E9", 4).unwrap_err().contains("UTF-8"));
        assert!(query(&"far=1&".repeat(5), 4).is_err());
    }
}
