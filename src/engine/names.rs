//! What may be called what.

use super::{Code, Error};

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

/// Checks a `target_id`: 1 to 255 bytes of UTF-8 without control characters.
///
/// # Errors
/// [`Code::InvalidParameter`], naming `field`.
pub fn check_target_id(field: &str, target_id: &str) -> Result<(), Error> {
    let problem = match target_id.len() {
        0 => "it is empty",
        256.. => "it has more than 255 bytes",
        _ if target_id.chars().any(char::is_control) => "it has control characters",
        _ => return Ok(()),
    };
    Err(Error::new(Code::InvalidParameter).with(format!(
        "{field}: {problem}; 1 to 255 bytes of text are expected"
    )))
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
        for good in ["a", "张三", "a b/../c", &"x".repeat(255)] {
            assert!(check_target_id("target_id", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a\nb",
            "\u{7f}",
            "\u{85}",
            &"x".repeat(256),
            &"é".repeat(128),
        ] {
            assert!(check_target_id("target_id", bad).is_err(), "{bad}");
        }
    }
}
