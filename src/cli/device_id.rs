//! `recocomp device-id`

use std::io::IsTerminal;

use clap::Args;
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use serde_json::json;

use super::Failure;
use crate::license::device::IdentitySource;
use crate::license::request::CODE_PREFIX;
use crate::license::this_device;

/// Show the fingerprint that a license for this device is bound to
///
/// On a terminal a QR code of it is drawn too, for a telephone. The fingerprint is not secret. Exit code: 0, or 1 if the device
/// has nothing that a license could be bound to.
#[derive(Args)]
pub struct Arguments {
    /// Print one JSON object and nothing else
    #[arg(long, conflicts_with = "qr")]
    json: bool,
    /// Draw the QR code even if the output is no terminal
    #[arg(long)]
    qr: bool,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let device = this_device();
    if device.source() == IdentitySource::Nothing {
        return Err(
            "this device has neither a board serial number nor a machine-id; `systemd-machine-id-setup` makes a machine-id".into(),
        );
    }
    if arguments.json {
        let source = device.source().to_string();
        println!("{}", json!({"device": device.hex(), "source": source}));
        return Ok(());
    }
    println!("{}", device.hex());
    let terminal = std::io::stdout().is_terminal();
    if terminal || arguments.qr {
        println!("made of: {}", device.source());
        print!("{}", code(&device.hex(), terminal)?);
    }
    Ok(())
}

/// 37 columns and 19 lines. Capital letters take half the room of small ones in a QR code.
fn code(fingerprint: &str, colours: bool) -> Result<String, Failure> {
    let text = format!("{CODE_PREFIX}{}", fingerprint.to_uppercase());
    let code = QrCode::with_error_correction_level(text, EcLevel::L)?;
    let drawn = code.render::<Dense1x2>().build();
    // Black on white, whatever the colours of the terminal are: a code with light and dark swapped is not read by every telephone.
    let (on, off) = match colours {
        true => ("\x1b[38;5;16;48;5;231m", "\x1b[0m"),
        false => ("", ""),
    };
    Ok(drawn
        .lines()
        .map(|line| format!("{on}{line}{off}\n"))
        .collect())
}
