//! `recocomp license`: getting, installing and looking at the license of this device.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

use super::data::DataArguments;
use super::owner::become_owner;
use super::{Failure, while_doing};
use crate::license::file::{MAX_BYTES, tidy, verify};
use crate::license::keys::trusted_keys;
use crate::license::{
    self, State, Terms, Verdict, date, license_file, read_file, this_device, write_durably,
};
use crate::shown::{self, Shown};
use crate::text_file::{self, TextFileError};

/// Request, install and show the license of this device
#[derive(Subcommand)]
pub enum Verb {
    Request(RequestArguments),
    Install(InstallArguments),
    Show(ShowArguments),
}

/// Print what the vendor needs to make a license for this device
///
/// A few lines of text, nothing of them secret. Exit code: 0, or 1 if the device has nothing that a license could be bound to.
#[derive(Args)]
pub struct RequestArguments {
    /// Who the license is for, a line
    #[arg(long, value_name = "NAME")]
    customer: Option<String>,
    /// File to be made in place of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Check a license file and put it in place
///
/// A running daemon takes it within seconds; nothing need be restarted. A file that would not license this device is refused and
/// the old one stays. Run this as the user that the daemon runs as, or as root. Exit code: 0 if it was installed, 1 if not.
#[derive(Args)]
pub struct InstallArguments {
    /// License file from the vendor; - for standard input
    file: PathBuf,
    #[command(flatten)]
    data: DataArguments,
}

/// Show the license and its state
///
/// Exit code: 0 if the device is authorised, 1 if not.
#[derive(Args)]
pub struct ShowArguments {
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataArguments,
}

pub fn run(verb: &Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Request(arguments) => request(arguments).map(|()| ExitCode::SUCCESS),
        Verb::Install(arguments) => install(arguments).map(|()| ExitCode::SUCCESS),
        Verb::Show(arguments) => show(arguments),
    }
}

fn request(arguments: &RequestArguments) -> Result<(), Failure> {
    let customer = arguments.customer.as_deref();
    if customer.is_some_and(|name| name.chars().any(char::is_control)) {
        return Err("--customer is one line".into());
    }
    let text = license::request::request(&this_device(), customer)?;
    match &arguments.output {
        None => print!("{text}"),
        Some(path) => fs::write(path, text).map_err(while_doing(path.shown()))?,
    }
    Ok(())
}

fn install(arguments: &InstallArguments) -> Result<(), Failure> {
    let config = arguments.data.load()?;
    become_owner(&config, false)?;
    let data = config.storage.data;
    let place = license_file(&data);
    let bytes = read(&arguments.file)?;
    if let Err(e @ TextFileError::Utf16) = text_file::decode(&bytes) {
        return Err(while_doing(arguments.file.shown())(e));
    }
    let bytes = tidy(&bytes);
    // Judged where it will be, by the rules and the record of the time of the daemon, before it gets its name.
    let candidate = data.join("recocomp.license.candidate");
    write_durably(&candidate, &bytes, 0o644).map_err(while_doing(data.shown()))?;
    let verdict = license::assess(&data, &candidate);
    let installed = match verdict.state {
        State::Authorized | State::ClockRollback => fs::rename(&candidate, &place)
            .and_then(|()| fs::File::open(&data)?.sync_all())
            .map_err(while_doing(place.shown())),
        state => Err(format!("not installed, {state}: {}", verdict.detail).into()),
    };
    if installed.is_err() {
        let _ = fs::remove_file(&candidate);
    }
    installed?;
    println!("{}: {}", verdict.state, verdict.detail.shown());
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    // Room for what `tidy` takes away.
    let most = 2 * MAX_BYTES as u64;
    let mut bytes = Vec::new();
    let input: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(std::io::stdin()),
        false => Box::new(fs::File::open(path).map_err(while_doing(path.shown()))?),
    };
    (input.take(most + 1).read_to_end(&mut bytes)).map_err(while_doing(path.shown()))?;
    match bytes.len() as u64 > most {
        true => Err(format!("{} is too long for a license", path.shown()).into()),
        false => Ok(bytes),
    }
}

fn show(arguments: &ShowArguments) -> Result<ExitCode, Failure> {
    let data = arguments.data.load()?.storage.data;
    let place = license_file(&data);
    let verdict = license::assess(&data, &place);
    let keys = trusted_keys();
    let terms = (read_file(&place).ok())
        .and_then(|bytes| verify(&bytes, &keys).ok())
        .map(|(terms, key)| (terms, key.name));
    let text = match arguments.json {
        true => as_json(&verdict, terms.as_ref()),
        false => as_text(&verdict, terms.as_ref()),
    };
    // Nobody may be reading.
    let _ = std::io::stdout().write_all(text.as_bytes());
    Ok(match verdict.state {
        State::Authorized => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn as_json(verdict: &Verdict, signed: Option<&(Terms, &str)>) -> String {
    let mut object = json!({
        "state": verdict.state.to_string(),
        "detail": verdict.detail,
        "device": this_device().hex(),
    });
    if let Some((terms, key)) = signed {
        object["license"] = json!({
            "id": terms.id,
            "device": license::hex(&terms.device),
            "customer": terms.customer,
            "issued": date::show(terms.issued),
            "expires": terms.expires.map(date::show),
            "grace_days": terms.grace_days,
            "collections": terms.limits.collections,
            "people": terms.limits.people,
            "features": terms.features,
            "clock_reset": terms.clock_reset,
            "key": key,
        });
    }
    format!("{}\n", shown::json(&object.to_string()))
}

fn as_text(verdict: &Verdict, signed: Option<&(Terms, &str)>) -> String {
    let Verdict { state, detail, .. } = verdict;
    let mut text = format!("{state}: {}\n", detail.shown());
    match signed {
        // The first line is that of the file.
        Some((terms, key)) => {
            for line in terms.render().lines().skip(1) {
                text += &format!("  {}\n", line.shown());
            }
            text += &format!("  signed by: {key}\n");
        }
        None => text += &format!("  this device: {}\n", this_device().hex()),
    }
    text
}
