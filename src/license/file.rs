//! The license file: a few lines of text and a signature. `docs/design/license.md` has the format byte by byte.
//!
//! There is exactly one way to write given terms, and nothing else is read: whoever looks at a file sees what the program sees.

use std::fmt::Write;

use ed25519_dalek::{Signature, VerifyingKey};

use super::date::{self, Seconds};
use super::keys::TrustedKey;
use super::{from_hex, hex};
use crate::text_file::{self, TextFileError};

/// A longer file is no license.
pub const MAX_BYTES: usize = 4096;

/// Days that a license may go on working after it expired.
pub const MAX_GRACE_DAYS: u64 = 366;

const FIRST_LINE: &str = "recocomp license ";
const VERSION: &str = "1";
const SIGNATURE: &str = "signature: ";

/// How much of the product is licensed; `None`: as much as it can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Collections on the device.
    pub collections: Option<u64>,
    /// People in all collections together.
    pub people: Option<u64>,
}

/// What a vendor's signature stands under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The license's own number: 1 to 64 letters, digits and `-`.
    pub id: String,
    /// Fingerprint of the one device.
    pub device: [u8; 32],
    /// 1 to 200 bytes without control characters. Not shown to the network.
    pub customer: String,
    pub issued: Seconds,
    /// `None` is for ever.
    pub expires: Option<Seconds>,
    pub grace_days: u64,
    pub limits: Limits,
    /// Names of optional parts: 1 to 32 lower-case letters, digits and `-` each. One that this program does not know has no effect.
    pub features: Vec<String>,
    /// The vendor declares the device's record of the time void, see `mark.rs`.
    pub clock_reset: bool,
}

/// Why a file is no license.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    #[error("the license file is longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("this is no license file: it does not begin with \"{FIRST_LINE}{VERSION}\"")]
    NotALicense,
    #[error(
        "the license file has a format of another version than {VERSION}, which is what this program reads"
    )]
    OtherVersion,
    #[error(
        "the license file is cut off or was added to: its last line is not a signature of 128 digits"
    )]
    NoSignature,
    #[error(
        "the signature is wrong: the license file was edited, or is not by the vendor of this program"
    )]
    WrongSignature,
    #[error("the license is signed, but has other lines than this program would write")]
    NotOurWriting,
    #[error("the field \"{0}\" of the license is missing or wrong")]
    Field(&'static str),
    #[error(
        "the license file was saved as UTF-16, which Notepad calls Unicode: install the file as the vendor sent it, or save it as UTF-8"
    )]
    Utf16,
    #[error(
        "an editor or a mail program changed the line ends of the license file or put a byte order mark before it: recocomp license install \
         takes the file and puts it right"
    )]
    Mangled,
}

impl Terms {
    /// The signed lines.
    pub fn render(&self) -> String {
        let limit =
            |limit: Option<u64>| limit.map_or_else(|| "unlimited".to_owned(), |n| n.to_string());
        let features = match self.features.is_empty() {
            true => "none".to_owned(),
            false => self.features.join(","),
        };
        let rows = [
            ("license", self.id.clone()),
            ("device", hex(&self.device)),
            ("customer", self.customer.clone()),
            ("issued", date::show(self.issued)),
            (
                "expires",
                self.expires.map_or_else(|| "never".to_owned(), date::show),
            ),
            ("grace-days", self.grace_days.to_string()),
            ("collections", limit(self.limits.collections)),
            ("people", limit(self.limits.people)),
            ("features", features),
            ("clock-reset", yes_or_no(self.clock_reset).to_owned()),
        ];
        let mut text = format!("{FIRST_LINE}{VERSION}\n");
        for (name, value) in rows {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}: {value}");
        }
        text
    }

    /// Reads signed lines: these fields, in this order, each once, and nothing else.
    fn parse(text: &str) -> Result<Terms, FileError> {
        let mut lines = text.lines().skip(1);
        let mut field = |name: &'static str| {
            let rest = lines.next().and_then(|line| line.strip_prefix(name));
            rest.and_then(|rest| rest.strip_prefix(": "))
                .ok_or(FileError::Field(name))
        };
        let terms = Terms {
            id: field("license")?.to_owned(),
            device: from_hex(field("device")?).ok_or(FileError::Field("device"))?,
            customer: field("customer")?.to_owned(),
            issued: date::read(field("issued")?).ok_or(FileError::Field("issued"))?,
            expires: match field("expires")? {
                "never" => None,
                date => Some(date::read(date).ok_or(FileError::Field("expires"))?),
            },
            grace_days: number(field("grace-days")?).ok_or(FileError::Field("grace-days"))?,
            limits: Limits {
                collections: limit(field("collections")?).ok_or(FileError::Field("collections"))?,
                people: limit(field("people")?).ok_or(FileError::Field("people"))?,
            },
            features: match field("features")? {
                "none" => Vec::new(),
                names => names.split(',').map(str::to_owned).collect(),
            },
            clock_reset: match field("clock-reset")? {
                "yes" => true,
                "no" => false,
                _ => return Err(FileError::Field("clock-reset")),
            },
        };
        terms.check()?;
        match terms.render() == text {
            true => Ok(terms),
            // Some field was written in another way than ours, or there is one more.
            false => Err(FileError::NotOurWriting),
        }
    }

    /// Whether the terms can be written and read back.
    ///
    /// # Errors
    /// [`FileError::Field`].
    pub fn check(&self) -> Result<(), FileError> {
        let named = |name: &str, most: usize, allowed: fn(char) -> bool| {
            (1..=most).contains(&name.len()) && name.chars().all(allowed)
        };
        let feature = |name: &String| {
            let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            named(name, 32, allowed) && name != "none"
        };
        let checks = [
            (
                "license",
                named(&self.id, 64, |c| c.is_ascii_alphanumeric() || c == '-'),
            ),
            (
                "customer",
                named(&self.customer, 200, |c| !c.is_control())
                    && self.customer.trim() == self.customer,
            ),
            ("issued", date::is_usable(self.issued)),
            (
                "expires",
                (self.expires)
                    .is_none_or(|expires| date::is_usable(expires) && expires > self.issued),
            ),
            ("grace-days", self.grace_days <= MAX_GRACE_DAYS),
            (
                "features",
                self.features.len() <= 32 && self.features.iter().all(feature),
            ),
        ];
        match checks.into_iter().find(|(_, right)| !right) {
            Some((name, _)) => Err(FileError::Field(name)),
            None => Ok(()),
        }
    }

    /// The end of the grace period; `None` is never.
    pub fn works_until(&self) -> Option<Seconds> {
        self.expires
            .map(|expires| expires.saturating_add(self.grace_days * date::DAY))
    }
}

/// Reads a license file; also which key signed it.
///
/// Nothing of the file is looked at before its signature was found to be of one of `keys`, except for the version.
///
/// # Errors
/// [`FileError`].
pub fn verify<'k>(
    file: &[u8],
    keys: &'k [TrustedKey],
) -> Result<(Terms, &'k TrustedKey), FileError> {
    if file.len() > MAX_BYTES {
        return Err(FileError::TooLong);
    }
    let text = str::from_utf8(file).map_err(|_| FileError::NotALicense)?;
    let version = text
        .strip_prefix(FIRST_LINE)
        .ok_or(FileError::NotALicense)?;
    match version.split('\n').next() {
        Some(VERSION) => {}
        Some(other) if !other.is_empty() && other.bytes().all(|b| b.is_ascii_digit()) => {
            return Err(FileError::OtherVersion);
        }
        _ => return Err(FileError::NotALicense),
    }
    // Signed is everything before the line of the signature, with the line break.
    let (signed, signature) = (text.strip_suffix('\n'))
        .and_then(|text| text.rfind('\n').map(|at| text.split_at(at + 1)))
        .ok_or(FileError::NoSignature)?;
    let signature: [u8; 64] = (signature.strip_prefix(SIGNATURE))
        .and_then(from_hex)
        .ok_or(FileError::NoSignature)?;
    let signature = Signature::from_bytes(&signature);
    let is_by = |key: &&TrustedKey| {
        // verify_strict also refuses signatures that were altered without the key, and keys of small order.
        VerifyingKey::from_bytes(&key.bytes)
            .is_ok_and(|key| key.verify_strict(signed.as_bytes(), &signature).is_ok())
    };
    let key = keys.iter().find(is_by).ok_or(FileError::WrongSignature)?;
    Ok((Terms::parse(signed)?, key))
}

/// [`verify`], which says of a file that an editor has changed what is to be done.
///
/// # Errors
/// [`FileError`].
pub fn verify_or_explain<'k>(
    file: &[u8],
    keys: &'k [TrustedKey],
) -> Result<(Terms, &'k TrustedKey), FileError> {
    verify(file, keys).map_err(|error| match text_file::decode(file) {
        Err(TextFileError::Utf16) => FileError::Utf16,
        Ok(_) if verify(&tidy(file), keys).is_ok() => FileError::Mangled,
        _ => error,
    })
}

/// The file as it was before a mail program or an editor changed its line breaks, put a mark in front or a blank line behind.
/// The daemon does not need this: what `recocomp license install` writes is exact.
pub fn tidy(file: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(file);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut tidy: Vec<&str> = text.lines().map(str::trim_end).collect();
    while tidy.last().is_some_and(|line| line.is_empty()) {
        tidy.pop();
    }
    let mut tidy = tidy.join("\n");
    tidy.push('\n');
    tidy.into_bytes()
}

/// A license file of these terms.
///
/// # Errors
/// [`FileError::Field`] names the term that cannot be written.
#[cfg(any(test, feature = "vendor-tool"))]
pub fn issue(terms: &Terms, key: &ed25519_dalek::SigningKey) -> Result<String, FileError> {
    terms.check()?;
    Ok(sign(terms.render(), key))
}

/// Puts the line of the signature under `text`, whatever it says.
#[cfg(any(test, feature = "vendor-tool"))]
pub(super) fn sign(mut text: String, key: &ed25519_dalek::SigningKey) -> String {
    use ed25519_dalek::Signer;
    let signature = key.sign(text.as_bytes()).to_bytes();
    let _ = writeln!(text, "{SIGNATURE}{}", hex(&signature));
    text
}

fn yes_or_no(yes: bool) -> &'static str {
    match yes {
        true => "yes",
        false => "no",
    }
}

/// Digits only: `parse` alone would take a `+`.
fn number(text: &str) -> Option<u64> {
    (text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

fn limit(text: &str) -> Option<Option<u64>> {
    match text {
        "unlimited" => Some(None),
        text => number(text).map(Some),
    }
}
