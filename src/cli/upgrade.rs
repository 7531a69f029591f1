//! `recocomp upgrade`

use std::process::ExitCode;

use clap::Args;

use super::Failure;
use super::data::{DataArguments, no_gallery, open_gallery, template_space};
use super::owner::become_owner;
use crate::gallery::MAX_COLLECTIONS;
use crate::shown;

/// Write files of earlier releases in the present form
///
/// The daemon must be stopped; run this as the user that it runs as. Collections whose files an earlier release wrote, or that are
/// not sealed though sealing is on, are written anew; the others are left alone, so it does no harm to run it twice. A daemon does
/// the same in the background after an update, so this is for those who want to know that it is done.
///
/// Exit code: 0 if everything has the present form, 1 if not.
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    data: DataArguments,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let config = arguments.data.load()?;
    let directory = config.gallery_directory();
    if !directory.is_dir() {
        return Err(no_gallery(&directory));
    }
    become_owner(&config, false)?;
    let gallery = open_gallery(&config, template_space(&config)?, MAX_COLLECTIONS)?;
    let (mut done, mut failed) = (0, 0);
    for name in gallery.outdated()? {
        match gallery.compact(&name) {
            Ok(()) => {
                done += 1;
                println!("{name}: written in the present form");
            }
            Err(error) => {
                failed += 1;
                let error = shown::lines(&error.to_string());
                eprintln!("recocomp: {name} keeps its earlier form: {error}");
            }
        }
    }
    match (done, failed) {
        (0, 0) => println!("everything has the present form already"),
        _ => println!("upgraded {done} collections"),
    }
    Ok(match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}
