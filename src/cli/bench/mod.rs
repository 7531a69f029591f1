//! `recocomp bench`: figures about this build on this machine.

mod accuracy;
mod commits;
mod compaction;
mod detection;
mod metrics;
mod parallel;
mod pipeline;
mod search;
mod synthetic;
mod templates;

pub use parallel::progress_bar;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::Failure;
use crate::config::Config;
use crate::inference::ModelSet;
use crate::recognition::{Recognizer, RecognizerOptions};

/// Measure accuracy, detection and speed; searches, enrolments and compaction of galleries
#[derive(Subcommand)]
pub enum Verb {
    Accuracy(accuracy::Arguments),
    Detection(detection::Arguments),
    Pipeline(pipeline::Arguments),
    Search(search::Arguments),
    Commits(commits::Arguments),
    Compaction(compaction::Arguments),
    Templates(templates::Arguments),
}

/// What every bench of the recognition takes.
#[derive(Args)]
struct Common {
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
    /// Configuration file, for its [models] and [recognition] [default: /etc/recocomp/recocomp.toml if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Accuracy(arguments) => accuracy::run(&arguments),
        Verb::Detection(arguments) => detection::run(&arguments),
        Verb::Pipeline(arguments) => pipeline::run(&arguments),
        Verb::Search(arguments) => search::run(&arguments),
        Verb::Commits(arguments) => commits::run(&arguments),
        Verb::Compaction(arguments) => compaction::run(&arguments),
        Verb::Templates(arguments) => templates::run(&arguments),
    }
}

/// The models and settings that a daemon with this configuration would use.
struct Setup {
    models: ModelSet,
    options: RecognizerOptions,
}

impl Setup {
    fn load(config: Option<&Path>) -> Result<Setup, Failure> {
        let config = Config::load(config)?;
        Ok(Setup {
            models: ModelSet::load(&config.model_paths())?,
            options: config.recognizer_options(),
        })
    }

    fn recognizer(&self) -> Result<Recognizer, Failure> {
        Ok(Recognizer::new(&self.models, self.options)?)
    }
}
