//! Licenses that the vendor did not make for this device.

use super::*;
use crate::license::file::FileError;

#[test]
fn a_license_of_another_device_is_a_mismatch() {
    let mut device = Device::new();
    device.install(&perpetual());
    device.serial = "2";
    assert_eq!(device.state(), State::DeviceMismatch);
    assert!(!device.mark().exists());
}

#[test]
fn no_byte_of_a_license_can_be_changed_added_or_taken_away() {
    let device = Device::new();
    let keys = device.circumstances().keys;
    let whole = issue(&terms(), &VENDOR).unwrap().into_bytes();
    assert!(file::verify(&whole, &keys).is_ok());
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut edited = whole.clone();
            edited[at] ^= 1 << bit;
            assert!(file::verify(&edited, &keys).is_err(), "byte {at} bit {bit}");
        }
        let mut without = whole.clone();
        without.remove(at);
        assert!(file::verify(&without, &keys).is_err(), "without byte {at}");
        assert!(file::verify(&whole[..at], &keys).is_err(), "cut at {at}");
        for more in [b' ', b'\n', b'\r', b'0', 0] {
            let mut with = whole.clone();
            with.insert(at, more);
            assert!(file::verify(&with, &keys).is_err(), "{more} at {at}");
        }
    }
    let long = [whole, vec![b'\n'; file::MAX_BYTES]].concat();
    assert_eq!(file::verify(&long, &keys), Err(file::FileError::TooLong));
}

#[test]
fn what_mail_does_to_a_file_is_mended_by_installing_it() {
    let whole = issue(&terms(), &VENDOR).unwrap();
    let mailed = format!("\u{feff}{}\r\n\r\n", whole.replace('\n', " \r\n"));
    assert_eq!(file::tidy(mailed.as_bytes()), whole.as_bytes());
    assert_eq!(file::tidy(whole.as_bytes()), whole.as_bytes());
}

#[test]
fn what_an_editor_did_to_a_file_is_said() {
    let whole = issue(&terms(), &VENDOR).unwrap();
    let device = Device::new();
    let keys = device.circumstances().keys;
    let utf16 =
        |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    for (changed, expected) in [
        (whole.replace('\n', "\r\n").into_bytes(), FileError::Mangled),
        (format!("\u{feff}{whole}").into_bytes(), FileError::Mangled),
        (utf16(&format!("\u{feff}{whole}")), FileError::Utf16),
        (utf16(&whole), FileError::Utf16),
        (b"\x7fELF\0\0\0".to_vec(), FileError::NotALicense),
        (
            whole.replace("L-1", "L-2").into_bytes(),
            FileError::WrongSignature,
        ),
    ] {
        assert_eq!(file::verify_or_explain(&changed, &keys), Err(expected));
    }
    assert!(file::verify_or_explain(whole.as_bytes(), &keys).is_ok());
}

/// What only somebody with the vendor's key could make, a newer vendor's tool for example.
#[test]
fn signed_text_that_is_not_exactly_ours_is_refused() {
    let device = Device::new();
    let text = terms().render();
    let field = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap();
    let wrong = [
        text.replace("clock-reset: no\n", "clock-reset: no\nseats: 5\n"),
        text.replace("people: ", "people: 5\npeople: "),
        text.replace("people: unlimited\n", ""),
        text.replace("people: unlimited", "people: +5"),
        text.replace("people: unlimited", "people: 05"),
        text.replace("people: unlimited", "people: 18446744073709551616"),
        text.replace("grace-days: 14", "grace-days: 100000"),
        text.replace("liveness", "liveness,none"),
        text.replace("liveness", ""),
        text.replace("L-1", "L 1"),
        text.replace("Z\n", "+00:00\n"),
        text.replace(field("expires"), "expires: 1999-01-01T00:00:00Z"),
        text.replace(field("expires"), "expires: 9999-12-31T00:00:00Z"),
        text.replace(field("device"), &field("device").to_uppercase()),
        text.replace('\n', "\r\n"),
        format!("{text}\n"),
        text.lines().rev().collect::<Vec<_>>().join("\n") + "\n",
        "recocomp license 1\n".to_owned(),
    ];
    for text in wrong {
        fs::write(device.file(), sign(text.clone(), &VENDOR)).unwrap();
        assert_eq!(device.state(), State::Invalid, "{text}");
    }
    let next = text.replace("license 1\n", "license 2\n");
    fs::write(device.file(), sign(next, &VENDOR)).unwrap();
    let license = device.start();
    assert_eq!(license.state(), State::Invalid);
    assert!(license.detail().contains("another version"));
}

#[test]
fn only_the_vendors_signatures_count() {
    let device = Device::new();
    let own = issue(&terms(), &VENDOR).unwrap();
    let richer = Terms {
        limits: Limits::default(),
        ..terms()
    };
    let signature = |file: &str| file.lines().last().unwrap().to_owned();
    let swapped = format!("{}{}\n", richer.render(), signature(&own));
    for forged in [
        issue(&terms(), &STRANGER).unwrap(),
        swapped,
        format!("{}signature: {}\n", terms().render(), "0".repeat(128)),
        terms().render(),
        String::new(),
        "\n".into(),
    ] {
        fs::write(device.file(), &forged).unwrap();
        assert_eq!(device.state(), State::Invalid, "{forged}");
    }
    fs::write(device.file(), [0xff; 300]).unwrap();
    assert_eq!(device.state(), State::Invalid);
}

/// Compiled with and without the feature, this is the proof that a release is not licensed by the key that is in the repository.
#[test]
fn the_development_key_licenses_development_builds_only() {
    let secret = include_str!("../../../tests/data/development-license.key");
    let secret = secret
        .lines()
        .find_map(|line| line.strip_prefix("secret: "));
    let key = SigningKey::from_bytes(&from_hex(secret.unwrap()).unwrap());
    assert_eq!(key.verifying_key().to_bytes(), DEVELOPMENT_KEY);
    let device = Device::new();
    fs::write(device.file(), issue(&perpetual(), &key).unwrap()).unwrap();
    let license = License::watch_with(Circumstances {
        keys: trusted_keys(),
        ..device.circumstances()
    });
    let refused = match trusted_keys().is_empty() {
        // A release that was built without vendor keys says so.
        true => State::Unauthorized,
        false => State::Invalid,
    };
    match cfg!(feature = "development-key") {
        true => assert_eq!(license.state(), State::Authorized),
        false => assert_eq!(license.state(), refused, "{}", license.detail()),
    }
}

#[test]
fn without_keys_nothing_is_authorised() {
    let device = Device::new();
    device.install(&terms());
    let license = License::watch_with(Circumstances {
        keys: Vec::new(),
        ..device.circumstances()
    });
    assert_eq!(license.state(), State::Unauthorized);
    assert!(license.detail().contains("without the vendor's keys"));
}
