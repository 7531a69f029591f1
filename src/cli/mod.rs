//! The command line: one file a verb.

mod audit;
mod backup;
mod backup_key;
mod bench;
mod check;
mod collection;
mod completions;
mod data;
mod device_id;
mod doctor;
mod door;
mod enroll;
mod inventory;
mod license;
mod man;
mod owner;
mod restore;
mod secret;
mod serve;
mod serve_audit;
mod upgrade;
mod version;

use std::fmt::Display;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use clap::{Parser, Subcommand};

use crate::shown::{self, Shown};

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
    Collection(collection::Verb),
    Check(check::Arguments),
    Doctor(doctor::Arguments),
    DeviceId(device_id::Arguments),
    #[command(subcommand)]
    Door(door::Verb),
    #[command(subcommand)]
    Audit(audit::Verb),
    #[command(subcommand)]
    License(license::Verb),
    Backup(backup::Arguments),
    BackupKey(backup_key::Arguments),
    Restore(restore::Arguments),
    Upgrade(upgrade::Arguments),
    #[command(subcommand)]
    Bench(bench::Verb),
    /// Print the version and the models inside
    Version,
    Completions(completions::Arguments),
    Man(man::Arguments),
}

/// Why a verb failed, for the person at the terminal.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs the verb of the command line.
pub fn run() -> ExitCode {
    let result = match Cli::parse().verb {
        Verb::Serve(arguments) => serve::run(arguments),
        Verb::Enroll(arguments) => enroll::run(arguments),
        Verb::Collection(verb) => collection::run(&verb),
        Verb::Check(arguments) => Ok(check::run(&arguments)),
        Verb::Doctor(arguments) => doctor::run(&arguments),
        Verb::DeviceId(arguments) => device_id::run(&arguments).map(|()| ExitCode::SUCCESS),
        Verb::Door(verb) => door::run(verb).map(|()| ExitCode::SUCCESS),
        Verb::Audit(verb) => audit::run(&verb).map(|()| ExitCode::SUCCESS),
        Verb::License(verb) => license::run(&verb),
        Verb::Backup(arguments) => backup::run(&arguments),
        Verb::BackupKey(arguments) => backup_key::run(&arguments).map(|()| ExitCode::SUCCESS),
        Verb::Restore(arguments) => restore::run(&arguments),
        Verb::Upgrade(arguments) => upgrade::run(&arguments),
        Verb::Bench(verb) => bench::run(verb).map(|()| ExitCode::SUCCESS),
        Verb::Version => version::run().map(|()| ExitCode::SUCCESS),
        Verb::Completions(arguments) => completions::run(&arguments).map(|()| ExitCode::SUCCESS),
        Verb::Man(arguments) => man::run(&arguments).map(|()| ExitCode::SUCCESS),
    };
    let ended = result.unwrap_or_else(|e| {
        eprintln!("recocomp: {}", shown::lines(&e.to_string()));
        ExitCode::FAILURE
    });
    for warning in WARNINGS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .drain(..)
    {
        eprintln!("warning: {}", warning.shown());
    }
    ended
}

static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps a warning for the end of the verb, where it does not scroll away.
fn warn_in_the_end(warning: String) {
    (WARNINGS.lock().unwrap_or_else(PoisonError::into_inner)).push(warning);
}

/// Prints a text of many lines. Whoever reads it may stop early, as `head` does.
fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        printed => Ok(printed?),
    }
}

/// Prints a JSON value in one line.
fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    print(&format!("{}\n", shown::json(&value.to_string())))
}

/// A failure with what was being done.
fn while_doing<E: Display>(what: impl Display) -> impl FnOnce(E) -> Failure {
    move |e| format!("{what}: {e}").into()
}
