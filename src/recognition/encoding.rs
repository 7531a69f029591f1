//! Base64 as clients send it.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

use super::Refusal;

/// The bytes of a picture file as a client sends them.
#[derive(Clone, Debug)]
pub enum EncodedFile {
    /// As text: base64 in any of the forms that clients send.
    Base64(Bytes),
    /// As they are.
    Plain(Bytes),
}

/// Padding is removed before, and the bits that a careless encoder leaves in the last character
/// carry no data.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// Decodes `text` into `out`: standard or URL-safe alphabet, with or without padding, white space,
/// or a `data:image/...;base64,` prefix.
///
/// # Errors
/// [`Refusal::InvalidImage`] for anything else, and for more than `max_bytes` decoded bytes (told
/// from the length, before decoding).
pub fn decode_base64(text: &[u8], max_bytes: usize, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let invalid = |reason: String| Refusal::InvalidImage(reason);
    let text = without_data_url(text.trim_ascii()).map_err(invalid)?;
    if text.is_empty() {
        return Err(invalid("the picture is empty".into()));
    }
    if lost_a_plus(text) {
        return Err(invalid(
            "the picture has blanks where a + of its base64 seems to have been: decoding a form makes blanks of them; send JSON as it is, \
             or %2B for each + in a form"
                .into(),
        ));
    }
    let symbols = text.iter().filter(|c| !c.is_ascii_whitespace()).count();
    if symbols / 4 > max_bytes / 3 + 1 {
        return Err(invalid(format!(
            "the picture is larger than {max_bytes} bytes"
        )));
    }
    let mut clean = Vec::with_capacity(symbols);
    clean.extend(plain(text));
    while clean.last() == Some(&b'=') {
        clean.pop();
    }
    out.clear();
    LENIENT.decode_vec(&clean, out).map_err(|e| {
        let why = what_it_is(text).map_or_else(|| e.to_string(), str::to_owned);
        invalid(format!("the picture is not base64: {why}"))
    })?;
    if is_hexadecimal(text) {
        return Err(invalid(
            "the picture is not base64: it is hexadecimal, encode the bytes of the file".into(),
        ));
    }
    if out.len() > max_bytes {
        return Err(invalid(format!(
            "the picture has {} bytes, at most {max_bytes} are allowed",
            out.len()
        )));
    }
    Ok(())
}

impl EncodedFile {
    /// Bytes as they were sent.
    pub fn length(&self) -> usize {
        match self {
            EncodedFile::Base64(bytes) | EncodedFile::Plain(bytes) => bytes.len(),
        }
    }

    /// The first bytes of the file, so many or all that there are, and whether there are more; `None` if that is no base64.
    pub(super) fn beginning(&self, length: usize, out: &mut Vec<u8>) -> Option<bool> {
        out.clear();
        match self {
            EncodedFile::Base64(text) => decode_beginning(text, length, out),
            EncodedFile::Plain(bytes) => {
                out.extend_from_slice(&bytes[..length.min(bytes.len())]);
                Some(length < bytes.len())
            }
        }
    }
}

fn decode_beginning(text: &[u8], length: usize, out: &mut Vec<u8>) -> Option<bool> {
    let mut symbols = plain(without_data_url(text.trim_ascii()).ok()?);
    let mut clean: Vec<u8> = symbols.by_ref().take(length.div_ceil(3) * 4).collect();
    while clean.last() == Some(&b'=') {
        clean.pop();
    }
    LENIENT.decode_vec(&clean, out).ok()?;
    Some(symbols.next().is_some())
}

/// The symbols of `text` in the standard alphabet, without white space.
fn plain(text: &[u8]) -> impl Iterator<Item = u8> {
    (text.iter())
        .filter(|c| !c.is_ascii_whitespace())
        .map(|&c| match c {
            b'-' => b'+',
            b'_' => b'/',
            c => c,
        })
}

/// What follows a `data:image/...;base64,` prefix, if there is one.
fn without_data_url(text: &[u8]) -> Result<&[u8], String> {
    if !text
        .get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"data:"))
    {
        return Ok(text);
    }
    let comma = text.iter().take(256).position(|&c| c == b',');
    match comma.map(|comma| (text[..comma].to_ascii_lowercase(), &text[comma + 1..])) {
        Some((prefix, data)) if prefix.ends_with(b";base64") => Ok(data.trim_ascii_start()),
        _ => Err("a data: URL must be ;base64, data".into()),
    }
}

/// Whether blanks stand where a `+` was: there is no other one left, and no line is put together of
/// pieces of one length, as wrapped text is. The URL-safe alphabet has none.
fn lost_a_plus(text: &[u8]) -> bool {
    let is_wrapped = |line: &[u8]| {
        let mut pieces = line.split(|&c| c == b' ').rev();
        let last = pieces.next().unwrap_or_default().len();
        let length = pieces.clone().next().map_or(0, <[u8]>::len);
        length % 4 == 0 && last <= length && pieces.all(|piece| piece.len() == length && length > 0)
    };
    text.contains(&b' ')
        && !text.iter().any(|c| b"+-_".contains(c))
        && (text.split(|c| b"\r\n".contains(c)).map(<[u8]>::trim_ascii))
            .any(|line| line.contains(&b' ') && !is_wrapped(line))
}

/// What a text is that cannot be decoded, if it looks like something.
fn what_it_is(text: &[u8]) -> Option<&'static str> {
    let has = |c: u8| text.contains(&c);
    let starts = |with: &str| {
        (text.get(..with.len())).is_some_and(|start| start.eq_ignore_ascii_case(with.as_bytes()))
    };
    let symbols = text.iter().filter(|c| !c.is_ascii_whitespace());
    let data = symbols.clone().filter(|c| **c != b'=').count();
    Some(match () {
        () if text.starts_with("\u{ff}\u{d8}\u{ff}".as_bytes())
            || text.starts_with("\u{fffd}\u{fffd}\u{fffd}".as_bytes())
            || text.starts_with("\u{89}PNG".as_bytes())
            || text.starts_with("\u{fffd}PNG".as_bytes()) =>
        {
            "it is the file itself read as text, encode its bytes"
        }
        () if ["http:", "https:", "file:", "blob:"]
            .into_iter()
            .any(starts) =>
        {
            "it is an address, send the picture itself"
        }
        () if starts("b'") || starts("b\"") => {
            "it is bytes as Python prints them, decode() them to text"
        }
        () if starts("'") || starts("\"") => "it has quotes of its own",
        () if has(b'%') => "it is percent-encoded, as in a URL (%2B for +): decode that first",
        () if has(b'&') => "it has HTML entities (&...;): decode them first",
        () if has(b'\\') => "it has backslashes, as JSON that was escaped twice",
        () if has(b',')
            && text
                .to_ascii_lowercase()
                .windows(7)
                .any(|w| w == b"base64,") =>
        {
            "it has two prefixes, or one that does not begin with data:"
        }
        () if has(b',') || has(b'[') => "it is a list, one picture is expected here",
        () if symbols
            .clone()
            .skip_while(|c| **c != b'=')
            .any(|c| *c != b'=') =>
        {
            "a = stands within it, so these are several texts in one"
        }
        () if data % 4 == 1
            && symbols
                .clone()
                .all(|c| c.is_ascii_alphanumeric() || b"+/-_=".contains(c)) =>
        {
            "it was cut off, no base64 has this length"
        }
        () => return None,
    })
}

/// Whether the text is the hexadecimal form of a JPEG or PNG, all of whose digits are base64, too.
fn is_hexadecimal(text: &[u8]) -> bool {
    let starts =
        |with: &[u8]| (text.get(..with.len())).is_some_and(|s| s.eq_ignore_ascii_case(with));
    (starts(b"ffd8ff") || starts(b"89504e47"))
        && text
            .iter()
            .all(|c| c.is_ascii_hexdigit() || c.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        decode_base64(text.as_bytes(), 100, &mut out).map_err(|e| e.to_string())?;
        Ok(out)
    }

    #[test]
    fn every_common_spelling_is_read() {
        let bytes = vec![0xfb, 0xef, 0xff, 0x01];
        for text in [
            "++//AQ==",
            "++//AQ",
            "--__AQ==",
            "--__AQ",
            " ++/\n/A Q=\r\n= ",
            "data:image/jpeg;base64,++//AQ==",
            "DATA:image/png;charset=x;BASE64,--__AQ",
            "data:;base64, ++//AQ",
            "+ +// A Q",
            "-- __ AQ",
            "++//\r\n    AQ",
        ] {
            assert_eq!(decoded(text), Ok(bytes.clone()), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "empty"),
            ("   ", "empty"),
            ("data:image/png,abc", "base64"),
            ("a", "not base64"),
            ("ab=c", "not base64"),
            ("ab*c", "not base64"),
            ("AAAA BBBBB C", "a + of its base64"),
            ("AAAA  BBBB", "a + of its base64"),
            ("AAAABBBB\nAAA BBBB", "a + of its base64"),
            ("AA%2BA", "percent-encoded"),
            ("AAA%3D", "percent-encoded"),
            ("data%3Aimage/jpeg;base64,AAAA", "percent-encoded"),
            ("AA&#43;A", "HTML entities"),
            ("AA\\/A", "escaped twice"),
            ("b'AAAA'", "Python"),
            ("\"AAAA\"", "quotes"),
            ("image/jpeg;base64,AAAA", "does not begin with data:"),
            (
                "data:image/jpeg;base64,data:image/jpeg;base64,AAAA",
                "two prefixes",
            ),
            ("data:image/jpeg;base64", "base64"),
            ("AAAA,AAAA", "a list"),
            ("AAA=AAAA", "several texts"),
            ("AAAAA", "cut off"),
            ("https://pictures.example/1.jpg", "an address"),
            ("\u{ff}\u{d8}\u{ff}\u{e0}", "the file itself"),
            ("FFD8FFE0", "hexadecimal"),
            ("\u{e9}\u{e9}\u{e9}\u{e9}", "not base64"),
        ] {
            let said = decoded(text).unwrap_err();
            assert!(said.contains(reason), "{text}: {said}");
        }
    }

    #[test]
    fn text_that_was_wrapped_has_lost_nothing() {
        let text = "A".repeat(84);
        for (width, end) in [
            (64, "\n"),
            (76, "\r\n"),
            (76, " "),
            (4, " "),
            (20, "\n  "),
            (7, "\n"),
            (13, "\t"),
        ] {
            let lines: Vec<&str> = (0..84)
                .step_by(width)
                .map(|i| &text[i..84.min(i + width)])
                .collect();
            assert_eq!(
                decoded(&lines.join(end)),
                Ok(vec![0; 63]),
                "{width} {end:?}"
            );
        }
    }

    #[test]
    fn the_size_is_checked_before_decoding() {
        assert!(decoded(&"A".repeat(132)).is_ok());
        assert!(decoded(&"A".repeat(136)).unwrap_err().contains("102 bytes"));
        assert!(decoded(&"A".repeat(1000)).unwrap_err().contains("larger"));
        let spaced = format!("AAAA{}", " ".repeat(1000));
        assert_eq!(decoded(&spaced).unwrap().len(), 3);
    }
}
