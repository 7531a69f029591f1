//! `recocomp completions`

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Failure, print};

/// Print the completions of a shell
///
/// For bash, into a file of /usr/share/bash-completion/completions; the package has done so.
#[derive(Args)]
pub struct Arguments {
    /// The shell to complete in
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut Cli::command(),
        "recocomp",
        &mut script,
    );
    print(&String::from_utf8(script)?)
}
