//! Whose signatures count. Compiled in: nothing that can be edited on a device adds a key.

/// Public keys of the vendor, 64 hexadecimal digits each, two at most with a comma between them, so that a new one can be
/// introduced before the old one is given up. Given to the build of a release in this variable of its environment.
const VENDOR_KEYS: Option<&str> = option_env!("RECOCOMP_VENDOR_KEYS");

/// Its secret half lies in the repository (`tests/data/development-license.key`), so everyone can make licenses with it.
pub const DEVELOPMENT_KEY: [u8; 32] = key_at(
    b"976bfed7162094ea53d4b834046b2e5a45b65bf092eef9399d84cf3b5a139416",
    0,
);

const VENDOR: [Option<[u8; 32]>; 2] = parse(VENDOR_KEYS);

// A release that trusted the development key would be free for everyone: that does not compile.
const _: () = assert!(
    !is(VENDOR[0], &DEVELOPMENT_KEY) && !is(VENDOR[1], &DEVELOPMENT_KEY),
    "RECOCOMP_VENDOR_KEYS holds the development key"
);

/// A key whose signatures are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    pub name: &'static str,
    pub bytes: [u8; 32],
}

/// The keys of this build: the vendor's, and in a development build the development key.
pub fn trusted_keys() -> Vec<TrustedKey> {
    let named =
        |(name, key): (&'static str, Option<[u8; 32]>)| key.map(|bytes| TrustedKey { name, bytes });
    let development = cfg!(feature = "development-key").then_some(DEVELOPMENT_KEY);
    [
        ("vendor key 1", VENDOR[0]),
        ("vendor key 2", VENDOR[1]),
        ("development key", development),
    ]
    .into_iter()
    .filter_map(named)
    .collect()
}

/// Runs while compiling: a misspelt key ends the build, not a customer's day.
const fn parse(list: Option<&str>) -> [Option<[u8; 32]>; 2] {
    let Some(list) = list else {
        return [None, None];
    };
    let text = list.as_bytes();
    match text.len() {
        0 => [None, None],
        64 => [Some(key_at(text, 0)), None],
        129 if text[64] == b',' => [Some(key_at(text, 0)), Some(key_at(text, 65))],
        _ => panic!("RECOCOMP_VENDOR_KEYS is one key of 64 digits, or two with a comma"),
    }
}

const fn key_at(text: &[u8], from: usize) -> [u8; 32] {
    let mut key = [0; 32];
    let mut i = 0;
    while i < 32 {
        key[i] = digit(text[from + 2 * i]) << 4 | digit(text[from + 2 * i + 1]);
        i += 1;
    }
    key
}

const fn digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => panic!("a key has digits 0 to 9 and a to f only"),
    }
}

const fn is(key: Option<[u8; 32]>, other: &[u8; 32]) -> bool {
    let Some(key) = key else {
        return false;
    };
    let mut i = 0;
    while i < 32 {
        if key[i] != other[i] {
            return false;
        }
        i += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_or_two_keys_are_read() {
        let (one, two) = ("ab".repeat(32), "0f".repeat(32));
        assert_eq!(parse(None), [None, None]);
        assert_eq!(parse(Some("")), [None, None]);
        assert_eq!(parse(Some(&one)), [Some([0xab; 32]), None]);
        let both = format!("{one},{two}");
        assert_eq!(parse(Some(&both)), [Some([0xab; 32]), Some([0x0f; 32])]);
    }

    #[test]
    fn only_a_development_build_trusts_the_development_key() {
        let trusted = trusted_keys();
        let development = trusted.iter().any(|key| key.bytes == DEVELOPMENT_KEY);
        assert_eq!(development, cfg!(feature = "development-key"));
    }
}
