//! X25519 keys in the text form of age, so that `age-keygen` or any tool of that family makes them and a key that someone has
//! already will do. Only the text is shared: the files are our own.

use std::fmt;
use std::str::FromStr;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::error::PortableError;
use crate::gallery::seal::fill_random;

const PUBLIC_PREFIX: &str = "age";
const SECRET_PREFIX: &str = "age-secret-key-";

/// Whom a file can be sealed for: a public key, `age1...`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Recipient([u8; 32]);

/// Who can open it: a secret key, `AGE-SECRET-KEY-1...`. Wiped from memory when dropped.
#[derive(Clone)]
pub struct Identity(StaticSecret);

impl Recipient {
    /// The 32 bytes of the key.
    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(super) fn public_key(&self) -> PublicKey {
        PublicKey::from(self.0)
    }
}

impl FromStr for Recipient {
    type Err = PortableError;

    fn from_str(text: &str) -> Result<Recipient, PortableError> {
        decode(PUBLIC_PREFIX, text)
            .map(|bytes| Recipient(*bytes))
            .ok_or(PortableError::BadRecipient)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = Hrp::parse(PUBLIC_PREFIX).map_err(|_| fmt::Error)?;
        let text = bech32::encode_lower::<Bech32>(prefix, &self.0).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Identity {
    /// A new secret key.
    ///
    /// # Errors
    /// [`PortableError::Seal`] if the operating system gives no random numbers.
    pub fn generate() -> Result<Identity, PortableError> {
        let mut bytes = Zeroizing::new([0; 32]);
        fill_random(bytes.as_mut_slice())?;
        Ok(Identity(StaticSecret::from(*bytes)))
    }

    /// The key in the contents of a key file: lines that are empty or begin with `#` are passed over.
    ///
    /// # Errors
    /// [`PortableError::BadIdentity`] if there is none, more than one, or it is not whole.
    pub fn from_key_file(text: &str) -> Result<Identity, PortableError> {
        let mut lines =
            (text.lines().map(str::trim)).filter(|line| !line.is_empty() && !line.starts_with('#'));
        match (lines.next(), lines.next()) {
            (Some(line), None) => line.parse(),
            _ => Err(PortableError::BadIdentity),
        }
    }

    /// The public key that belongs to it.
    pub fn recipient(&self) -> Recipient {
        Recipient(PublicKey::from(&self.0).to_bytes())
    }

    /// The secret key as text, to be written to a key file.
    pub fn secret_text(&self) -> Zeroizing<String> {
        let text = Hrp::parse(SECRET_PREFIX)
            .ok()
            .and_then(|prefix| bech32::encode_upper::<Bech32>(prefix, self.0.as_bytes()).ok());
        debug_assert!(text.is_some(), "32 bytes and this prefix fit into bech32");
        Zeroizing::new(text.unwrap_or_default())
    }

    pub(super) fn secret(&self) -> &StaticSecret {
        &self.0
    }
}

impl FromStr for Identity {
    type Err = PortableError;

    fn from_str(text: &str) -> Result<Identity, PortableError> {
        decode(SECRET_PREFIX, text)
            .map(|bytes| Identity(StaticSecret::from(*bytes)))
            .ok_or(PortableError::BadIdentity)
    }
}

/// Shows the public key only.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity of {}", self.recipient())
    }
}

fn decode(prefix: &str, text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let checked = CheckedHrpstring::new::<Bech32>(text.trim()).ok()?;
    if checked.hrp().to_lowercase() != prefix {
        return None;
    }
    let mut bytes = Zeroizing::new([0; 32]);
    let mut decoded = checked.byte_iter();
    for byte in bytes.iter_mut() {
        *byte = decoded.next()?;
    }
    decoded.next().is_none().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_and_written_as_age_writes_them() {
        let identity = Identity::generate().unwrap();
        let text = identity.secret_text();
        assert!(text.starts_with("AGE-SECRET-KEY-1"), "{}", text.len());
        assert_eq!(text.len(), 74);
        let file = format!("# created: today\n\n{}\n", *text);
        let read = Identity::from_key_file(&file).unwrap();
        assert_eq!(read.recipient(), identity.recipient());
        let public = identity.recipient().to_string();
        assert_eq!((public.len(), &public[..4]), (62, "age1"));
        assert_eq!(public.parse::<Recipient>().unwrap(), identity.recipient());
        // The example key in the documentation of rage.
        let known = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";
        assert_eq!(known.parse::<Recipient>().unwrap().to_string(), known);
    }

    #[test]
    fn anything_else_is_no_key() {
        let identity = Identity::generate().unwrap();
        let public = identity.recipient().to_string();
        assert!(public.parse::<Identity>().is_err());
        assert!(identity.secret_text().parse::<Recipient>().is_err());
        for length in 0..public.len() {
            assert!(public[..length].parse::<Recipient>().is_err());
        }
        assert!(
            public
                .replace(&public[20..21], "b")
                .parse::<Recipient>()
                .is_err()
        );
        assert!(Identity::from_key_file("# nothing\n").is_err());
        let shown = format!("{identity:?}");
        assert!(!shown.to_lowercase().contains("secret"));
    }
}
