//! What an installer sends to the vendor: a few lines of text.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::device::{DeviceIdentity, IdentitySource};
use super::{from_hex, hex};

const FIRST_LINE: &str = "recocomp license request 1";

/// Stands before the fingerprint in a QR code.
pub const CODE_PREFIX: &str = "RECOCOMP:";

/// A request, as far as the vendor's tool needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub device: [u8; 32],
    pub customer: Option<String>,
}

/// The lines for this device. `customer` is one line.
///
/// # Errors
/// A sentence, if the device has nothing that a license could be bound to.
pub fn request(device: &DeviceIdentity, customer: Option<&str>) -> Result<String, String> {
    if device.source() == IdentitySource::Nothing {
        return Err(
            "this device has neither a board serial number nor a machine-id, so no license can be for it; \
             `systemd-machine-id-setup` makes a machine-id"
                .into(),
        );
    }
    let mut text = format!(
        "{FIRST_LINE}\ndevice: {}\nidentity: {}\nversion: {}\n",
        device.hex(),
        device.source(),
        crate::VERSION
    );
    if let Some(customer) = customer {
        let _ = writeln!(text, "customer: {customer}");
    }
    let _ = writeln!(text, "check: {}", check(&device.fingerprint()));
    Ok(text)
}

/// Reads a request, after whatever a mail program did to it; unknown lines do not matter.
///
/// # Errors
/// A sentence.
pub fn parse(text: &str) -> Result<Request, String> {
    let lines = || text.lines().map(str::trim);
    if !lines().any(|line| line == FIRST_LINE) {
        return Err(format!(
            "this is no license request: the line \"{FIRST_LINE}\" is missing"
        ));
    }
    let field = |name: &str| {
        lines()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(key, value)| (key == name).then_some(value.trim()))
    };
    let device: [u8; 32] = field("device")
        .and_then(from_hex)
        .ok_or("the line \"device: \" with 64 digits is missing")?;
    if field("check") != Some(&check(&device)) {
        return Err("the line \"check: \" does not fit the device: something was mistyped".into());
    }
    Ok(Request {
        device,
        customer: field("customer").map(str::to_owned),
    })
}

/// A fingerprint as a person or a QR code gives it: 64 digits, white space between them allowed, `RECOCOMP:` before them too.
pub fn parse_device(text: &str) -> Option<[u8; 32]> {
    let digits: String = text.split_whitespace().collect();
    let digits = digits.strip_prefix(CODE_PREFIX).unwrap_or(&digits);
    from_hex(&digits.to_ascii_lowercase())
}

/// Finds a mistyped digit.
fn check(device: &[u8; 32]) -> String {
    hex(&Sha256::digest(device)[..4])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_survives_the_mail() {
        let device = DeviceIdentity::of_serial("1");
        let text = request(&device, Some("Müller & Söhne")).unwrap();
        let read = parse(&format!("Hello,\r\n\r\n {}", text.replace('\n', "  \r\n"))).unwrap();
        assert_eq!(read.device, device.fingerprint());
        assert_eq!(read.customer.as_deref(), Some("Müller & Söhne"));
        assert!(parse(&text.replacen(&device.hex()[..2], "zz", 1)).is_err());
        let digit = |from: &str| match from {
            "0" => "1",
            _ => "0",
        };
        let mistyped = format!("{}{}", digit(&device.hex()[..1]), &device.hex()[1..]);
        assert!(parse(&text.replace(&device.hex(), &mistyped)).is_err());
        assert!(parse("").is_err());
    }

    #[test]
    fn a_device_is_read_from_a_code_and_from_groups() {
        let device = DeviceIdentity::of_serial("1");
        let code = format!("{CODE_PREFIX}{}", device.hex().to_uppercase());
        assert_eq!(parse_device(&code), Some(device.fingerprint()));
        let groups = device.hex().replace('a', "a ");
        assert_eq!(parse_device(&groups), Some(device.fingerprint()));
        assert_eq!(parse_device(&device.hex()[1..]), None);
    }
}
