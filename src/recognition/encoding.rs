//! Base64 as clients send it.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::Refusal;

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
    let mut text = text.trim_ascii();
    if text.len() >= 5 && text[..5].eq_ignore_ascii_case(b"data:") {
        let comma = text.iter().take(256).position(|&c| c == b',');
        text = match comma {
            Some(comma) if text[..comma].to_ascii_lowercase().ends_with(b";base64") => {
                &text[comma + 1..]
            }
            _ => return Err(invalid("a data: URL must be ;base64, data".into())),
        };
    }
    if text.is_empty() {
        return Err(invalid("the picture is empty".into()));
    }
    let symbols = text.iter().filter(|c| !c.is_ascii_whitespace()).count();
    if symbols / 4 > max_bytes / 3 + 1 {
        return Err(invalid(format!(
            "the picture is larger than {max_bytes} bytes"
        )));
    }
    let mut clean = Vec::with_capacity(symbols);
    clean.extend(
        text.iter()
            .filter(|c| !c.is_ascii_whitespace())
            .map(|&c| match c {
                b'-' => b'+',
                b'_' => b'/',
                c => c,
            }),
    );
    while clean.last() == Some(&b'=') {
        clean.pop();
    }
    out.clear();
    LENIENT
        .decode_vec(&clean, out)
        .map_err(|e| invalid(format!("the picture is not base64: {e}")))?;
    if out.len() > max_bytes {
        return Err(invalid(format!(
            "the picture has {} bytes, at most {max_bytes} are allowed",
            out.len()
        )));
    }
    Ok(())
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
            ("\u{e9}\u{e9}\u{e9}\u{e9}", "not base64"),
        ] {
            let said = decoded(text).unwrap_err();
            assert!(said.contains(reason), "{text}: {said}");
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
