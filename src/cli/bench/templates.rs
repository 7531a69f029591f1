//! `recocomp bench templates`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{Common, Failure, Setup, parallel};
use crate::cli::while_doing;
use crate::recognition::{Checks, Purpose, Recognizer, Refusal};

/// What this build sees in pictures, to compare two builds or two processors: face, box, template
///
/// A template is biometric data: anyone who has it can compare it with others.
#[derive(Args)]
pub struct Arguments {
    /// Pictures
    #[arg(required = true, value_name = "FILE")]
    images: Vec<PathBuf>,
    /// As for the gallery (picture and mirror image averaged) or as for a person at the door
    #[arg(long, value_enum, default_value_t = As::Probe)]
    r#as: As,
    #[command(flatten)]
    common: Common,
}

#[derive(Clone, Copy, ValueEnum)]
enum As {
    Enrolment,
    Probe,
}

impl From<As> for Purpose {
    fn from(purpose: As) -> Purpose {
        match purpose {
            As::Enrolment => Purpose::Enrolment,
            As::Probe => Purpose::Probe,
        }
    }
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let setup = Setup::load(arguments.common.config.as_deref())?;
    let seen = parallel::map(
        "pictures",
        &arguments.images,
        || setup.recognizer(),
        |recognizer: &mut Recognizer, path: &PathBuf| {
            let bytes = std::fs::read(path).map_err(while_doing(path.display()))?;
            let row = match recognizer.recognize(&bytes, arguments.r#as.into(), Checks::default()) {
                Ok(seen) => json!({
                    "image": path,
                    "faces": seen.faces,
                    "box": seen.face.bounds,
                    "template": seen.template.as_slice(),
                }),
                Err(Refusal::NoFace { .. }) => json!({"image": path, "faces": 0}),
                Err(e) => return Err(format!("{}: {e}", path.display()).into()),
            };
            Ok(row)
        },
    )?;
    if arguments.common.json {
        println!("{}", json!({"images": seen}));
        return Ok(());
    }
    for row in &seen {
        println!("{row}");
    }
    Ok(())
}
