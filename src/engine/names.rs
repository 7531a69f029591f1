//! What may be called what.

use unicode_normalization::char::canonical_combining_class;

use super::{Code, Error};
use crate::gallery::normalized;

/// Checks a collection name: `[A-Za-z_][A-Za-z0-9_]{0,254}`.
///
/// # Errors
/// [`Code::InvalidCollectionName`].
pub fn check_collection_name(name: &str) -> Result<(), Error> {
    let mut bytes = name.bytes();
    let first = bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if first && name.len() <= 255 && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Ok(());
    }
    Err(Error::new(Code::InvalidCollectionName)
        .with("collection_name: a letter or _, then up to 254 letters, digits or _, is expected"))
}

/// Checks the `target_id` of somebody who may be there already: 1 to 255 bytes of UTF-8 without control characters. Earlier releases
/// stored names that [`new_target_id`] refuses; who has one is found by it.
///
/// # Errors
/// [`Code::InvalidParameter`], naming `field`.
pub fn check_target_id(field: &str, target_id: &str) -> Result<(), Error> {
    let problem = match normalized_length(target_id) {
        0 => "it is empty",
        1..=MAX_BYTES if target_id.chars().any(char::is_control) => "it has control characters",
        1..=MAX_BYTES => return Ok(()),
        _ => "it has more than 255 bytes",
    };
    Err(Error::new(Code::InvalidParameter).with(format!(
        "{field}: {problem}; 1 to 255 bytes of text are expected"
    )))
}

/// A `target_id` for somebody new, in the composed Unicode form (NFC), 1 to 255 bytes: what looks the same is the same. No invisible
/// characters, no blanks at the edges, and of blanks inside only the space and the ideographic one.
///
/// # Errors
/// [`Code::InvalidParameter`], naming `field`, the character and its place.
pub fn new_target_id(field: &str, target_id: &str) -> Result<String, Error> {
    check_target_id(field, target_id)?;
    match fault(target_id) {
        None => Ok(normalized(target_id).into_owned()),
        Some(fault) => Err(Error::new(Code::InvalidParameter).with(format!(
            "{field}: {fault}; a name that looks the same must be the same: send it without"
        ))),
    }
}

/// Most bytes of a name.
const MAX_BYTES: usize = 255;

/// Bytes in the composed form. No text of several times the length becomes short enough.
fn normalized_length(name: &str) -> usize {
    match name.len() {
        length if length > 8 * MAX_BYTES => length,
        _ => normalized(name).len(),
    }
}

/// What of a name a reader cannot see.
fn fault(name: &str) -> Option<String> {
    let code = |c: char| format!("U+{:04X}", u32::from(c));
    let (first, last) = (name.chars().next()?, name.chars().next_back()?);
    if is_blank(first) {
        return Some(format!("it begins with a blank ({})", code(first)));
    }
    if is_blank(last) {
        return Some(format!("it ends with a blank ({})", code(last)));
    }
    let chars: Vec<char> = name.chars().collect();
    for (at, &c) in chars.iter().enumerate() {
        let place = format!("{}, character {}", code(c), at + 1);
        if is_invisible(c) && !joins(&chars, at) {
            return Some(format!("it has an invisible character ({place})"));
        }
        if is_blank(c) && !matches!(c, ' ' | IDEOGRAPHIC_SPACE) {
            return Some(format!("it has a blank that is no space ({place})"));
        }
    }
    None
}

/// As wide as a letter of the scripts that it is used in, so it is seen.
const IDEOGRAPHIC_SPACE: char = '\u{3000}';
const ZERO_WIDTH_NON_JOINER: char = '\u{200c}';
const ZERO_WIDTH_JOINER: char = '\u{200d}';

/// White space, and the two letters that look like it.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{2800}' | '\u{1680}')
}

/// Characters that a reader does not see: Unicode's default-ignorable ones, and format characters beside them.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether the character at `at` is a joiner or non-joiner where it changes how the word is written, as RFC 5892 (appendix A.1, A.2)
/// allows it: behind a virama, and a non-joiner between two letters of the Arabic script that would join. Persian, Urdu and Sinhala
/// names need them.
fn joins(chars: &[char], at: usize) -> bool {
    const VIRAMA: u8 = 9;
    let before = at.checked_sub(1).map(|before| chars[before]);
    let after = chars.get(at + 1).copied();
    let (Some(before), Some(after)) = (before, after) else {
        return false;
    };
    match chars[at] {
        ZERO_WIDTH_JOINER | ZERO_WIDTH_NON_JOINER
            if canonical_combining_class(before) == VIRAMA =>
        {
            true
        }
        ZERO_WIDTH_NON_JOINER => joins_to_the_next(before) && is_arabic_letter(after),
        _ => false,
    }
}

fn is_arabic_letter(c: char) -> bool {
    let arabic = matches!(c, '\u{620}'..='\u{64a}' | '\u{66e}'..='\u{6d3}' | '\u{6d5}' | '\u{6ee}'..='\u{6ff}' | '\u{750}'..='\u{77f}');
    arabic && c.is_alphabetic() && canonical_combining_class(c) == 0
}

/// Not those that join only to the letter before them, or to none (Unicode's joining types R and U): behind them a non-joiner
/// changes nothing.
fn joins_to_the_next(c: char) -> bool {
    let ends = matches!(c,
        '\u{621}'..='\u{625}' | '\u{627}' | '\u{629}' | '\u{62f}'..='\u{632}' | '\u{648}' | '\u{671}'..='\u{677}'
        | '\u{688}'..='\u{699}' | '\u{6c0}' | '\u{6c3}'..='\u{6cb}' | '\u{6cd}' | '\u{6cf}' | '\u{6d2}'..='\u{6d5}'
        | '\u{6ee}'..='\u{6ef}' | '\u{759}'..='\u{75b}' | '\u{76b}'..='\u{76c}' | '\u{771}' | '\u{773}'..='\u{774}'
        | '\u{778}'..='\u{779}');
    is_arabic_letter(c) && !ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collection_names() {
        for good in ["a", "_", "face_col", "A9", &"x".repeat(255)] {
            assert!(check_collection_name(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "9a",
            "a-b",
            "a b",
            "../etc",
            "é",
            "a\0",
            &"x".repeat(256),
        ] {
            assert!(check_collection_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn target_ids() {
        for good in [
            "a",
            "张三",
            "a b/../c",
            &"x".repeat(255),
            "ada ",
            "\u{200b}ada",
        ] {
            assert!(check_target_id("target_id", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a\nb",
            "\u{7f}",
            "\u{85}",
            &"x".repeat(256),
            &"é".repeat(128),
            &"e\u{301}".repeat(128),
        ] {
            assert!(check_target_id("target_id", bad).is_err(), "{bad}");
        }
        // What counts is the form in which it is stored.
        let accents = "e\u{301}".repeat(127);
        assert_eq!(new_target_id("x", &accents).unwrap(), "é".repeat(127));
    }

    #[test]
    fn new_names_are_composed_and_what_readers_can_see_is_left_alone() {
        for (name, stored) in [
            ("Jose\u{301}", "Jos\u{e9}"),
            ("Jos\u{e9}", "Jos\u{e9}"),
            ("a b/../c", "a b/../c"),
            ("山田\u{3000}太郎", "山田\u{3000}太郎"),
            // Persian "Ali-Reza" and the Sinhala "Sri" are written with them.
            ("علی\u{200c}رضا", "علی\u{200c}رضا"),
            ("ශ\u{dca}\u{200d}රී", "ශ\u{dca}\u{200d}රී"),
            ("O'Brien-\u{1f600}", "O'Brien-\u{1f600}"),
        ] {
            assert_eq!(new_target_id("target_id", name).unwrap(), stored);
        }
    }

    #[test]
    fn invisible_characters_and_blanks_at_the_edges_are_refused_by_name() {
        for (name, said) in [
            ("ada ", "ends with a blank (U+0020)"),
            (" ada", "begins with a blank (U+0020)"),
            ("ada\u{a0}", "ends with a blank (U+00A0)"),
            ("\u{3000}ada", "begins with a blank (U+3000)"),
            ("\u{2800}", "begins with a blank (U+2800)"),
            (
                "ada\u{a0}lovelace",
                "a blank that is no space (U+00A0, character 4)",
            ),
            (
                "ada\u{2028}x",
                "a blank that is no space (U+2028, character 4)",
            ),
            ("\u{200b}ada", "invisible character (U+200B, character 1)"),
            ("\u{feff}ada", "invisible character (U+FEFF, character 1)"),
            ("a\u{202e}da", "invisible character (U+202E, character 2)"),
            ("a\u{2066}da", "invisible character (U+2066, character 2)"),
            ("a\u{ad}da", "invisible character (U+00AD, character 2)"),
            ("a\u{200d}da", "invisible character (U+200D, character 2)"),
            ("a\u{200c}da", "invisible character (U+200C, character 2)"),
            ("a\u{3164}da", "invisible character (U+3164, character 2)"),
            ("ada\u{fe0f}", "invisible character (U+FE0F, character 4)"),
            ("ada\u{e0061}", "invisible character (U+E0061, character 4)"),
            // Behind a letter that joins to none after it, and at the end of a word.
            (
                "رضا\u{200c}علی",
                "invisible character (U+200C, character 4)",
            ),
            ("علی\u{200c}", "invisible character (U+200C, character 4)"),
        ] {
            let error = new_target_id("target_id[3]", name).unwrap_err();
            assert_eq!(error.code, Code::InvalidParameter);
            let detail = error.detail.unwrap();
            assert!(detail.starts_with("target_id[3]: it "), "{detail}");
            assert!(detail.contains(said), "{detail}");
        }
    }
}
