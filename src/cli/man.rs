//! `recocomp man`

use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;

use super::{Cli, Failure, print, while_doing};
use crate::shown::Shown;

/// Write the manual pages, one a verb, into a folder, or print the first
///
/// The package has done so: `man recocomp`, `man recocomp-serve`.
#[derive(Args)]
pub struct Arguments {
    /// Folder for the pages, made if missing
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let Some(directory) = &arguments.directory else {
        return print(&page(&command, "recocomp")?);
    };
    std::fs::create_dir_all(directory)
        .map_err(while_doing(format!("cannot make {}", directory.shown())))?;
    write_pages(&command, "recocomp", directory)
}

/// The page of `command`, and one of each verb below it.
fn write_pages(command: &Command, name: &str, directory: &Path) -> Result<(), Failure> {
    let path = directory.join(format!("{name}.1"));
    std::fs::write(&path, page(command, name)?)
        .map_err(while_doing(format!("cannot write {}", path.shown())))?;
    (command.get_subcommands())
        .filter(|verb| !verb.is_hide_set())
        .try_for_each(|verb| write_pages(verb, &format!("{name}-{}", verb.get_name()), directory))
}

fn page(command: &Command, name: &str) -> Result<String, Failure> {
    let mut page = Vec::new();
    Man::new(command.clone().display_name(name))
        .title(name.to_uppercase())
        // No date and no number of the build: a package that is built twice is the same twice.
        .date("")
        .source(concat!("recocomp ", env!("CARGO_PKG_VERSION")))
        .render(&mut page)?;
    Ok(String::from_utf8(page)?)
}
