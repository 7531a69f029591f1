//! The command line: one file a verb.

mod bench;
mod enroll;
mod serve;
mod version;

use std::fmt::Display;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Face recognition appliance: an HTTP API for access-control terminals.
#[derive(Parser)]
#[command(name = "recocomp", version = crate::VERSION, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Serve(serve::Arguments),
    Enroll(enroll::Arguments),
    #[command(subcommand)]
    Bench(bench::Verb),
    /// Print the version and the models inside
    Version,
}

/// Why a verb failed, for the person at the terminal.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs the verb of the command line.
pub fn run() -> ExitCode {
    let result = match Cli::parse().verb {
        Verb::Serve(arguments) => serve::run(arguments),
        Verb::Enroll(arguments) => enroll::run(arguments),
        Verb::Bench(verb) => bench::run(verb).map(|()| ExitCode::SUCCESS),
        Verb::Version => version::run().map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|e| {
        eprintln!("recocomp: {e}");
        ExitCode::FAILURE
    })
}

/// A failure with what was being done.
fn while_doing<E: Display>(what: impl Display) -> impl FnOnce(E) -> Failure {
    move |e| format!("{what}: {e}").into()
}
