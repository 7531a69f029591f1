//! `recocomp check`

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::data::{DataArguments, template_space};
use super::inventory::{Entry, inventory};
use super::{Failure, print_json};
use crate::shown::{self, Shown};

/// Read every stored face and say what is damaged
///
/// Changes nothing, and may run while the daemon serves. Every byte is read from the medium and compared with its checksum.
///
/// Exit code: 0 if everything is sound, 1 if something is damaged or cannot be served, 2 if it could not be checked: there is no
/// such folder, rights are missing, or the storage belongs to another device.
#[derive(Args)]
pub struct Arguments {
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataArguments,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    match check(arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("recocomp: {}", shown::lines(&error.to_string()));
            ExitCode::from(2)
        }
    }
}

fn check(arguments: &Arguments) -> Result<u8, Failure> {
    let config = arguments.data.load()?;
    let mut collections = inventory(&config, true)?;
    match template_space(&config) {
        Ok(space) => note_other_models(&mut collections, &space),
        Err(error) => {
            let error = error.to_string().shown();
            eprintln!("warning: which model the daemon runs is not known: {error}");
        }
    }
    let damaged = (collections.iter()).any(|c| !c.is_sound() && !c.unchecked);
    let unchecked = collections.iter().any(|c| c.unchecked);
    match arguments.json {
        true => {
            let sound = !damaged && !unchecked;
            print_json(&json!({"sound": sound, "collections": collections}))?;
        }
        false => print(&collections),
    }
    Ok(match (damaged, unchecked) {
        (true, _) => 1,
        (false, true) => 2,
        (false, false) => 0,
    })
}

/// Templates of another model are kept but not searched.
fn note_other_models(collections: &mut [Entry], space: &str) {
    for collection in collections {
        if let Some(model) = collection.model.as_ref().filter(|model| *model != space) {
            collection.findings.push(format!(
                "enrolled with the face model {model}, while the daemon runs {space}: it is not searched; clear it and enrol \
                 again, or install the matching model"
            ));
        }
    }
}

fn print(collections: &[Entry]) {
    for collection in collections {
        let state = match collection.is_sound() {
            true => "sound",
            false => "NOT SOUND",
        };
        println!("{}: {}: {state}", collection.title(), collection.contents());
        for finding in &collection.findings {
            println!("  - {finding}");
        }
    }
    let bad = collections.iter().filter(|c| !c.is_sound()).count();
    match bad {
        0 => println!("{} collections, all sound", collections.len()),
        _ => println!("{bad} of {} collections are not sound", collections.len()),
    }
}
