//! `recocomp bench`: figures about this build on this machine.

mod accuracy;
mod calibrate;
mod commits;
mod compaction;
mod decode;
mod degrade;
mod detection;
mod discard;
mod fill;
mod liveness;
mod metrics;
mod opening;
mod pairs;
mod parallel;
mod pipeline;
mod quality;
mod recall;
mod reference;
mod replay;
mod search;
mod start;
mod synthetic;
mod templates;

pub use parallel::progress_bar;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::Failure;
use crate::config::Config;
use crate::inference::ModelSet;
use crate::recognition::{Recognizer, RecognizerOptions};

/// Measure accuracy, detection, liveness, quality and speed; searches, enrolments and compaction of galleries
#[derive(Subcommand)]
pub enum Verb {
    Accuracy(accuracy::Arguments),
    Calibrate(calibrate::Arguments),
    Decode(decode::Arguments),
    Detection(detection::Arguments),
    Liveness(liveness::Arguments),
    Opening(opening::Arguments),
    Pipeline(pipeline::Arguments),
    Quality(quality::Arguments),
    Replay(replay::Arguments),
    Search(search::Arguments),
    Commits(commits::Arguments),
    Compaction(compaction::Arguments),
    Start(start::Arguments),
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
        Verb::Calibrate(arguments) => calibrate::run(&arguments),
        Verb::Decode(arguments) => decode::run(&arguments),
        Verb::Detection(arguments) => detection::run(&arguments),
        Verb::Liveness(arguments) => liveness::run(&arguments),
        Verb::Opening(arguments) => opening::run(&arguments),
        Verb::Pipeline(arguments) => pipeline::run(&arguments),
        Verb::Quality(arguments) => quality::run(&arguments),
        Verb::Replay(arguments) => replay::run(&arguments),
        Verb::Search(arguments) => search::run(&arguments),
        Verb::Commits(arguments) => commits::run(&arguments),
        Verb::Compaction(arguments) => compaction::run(&arguments),
        Verb::Start(arguments) => start::run(&arguments),
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
        Setup::with_embedder(config, None)
    }

    /// The same with another embedder than the configuration's.
    fn with_embedder(config: Option<&Path>, embedder: Option<&Path>) -> Result<Setup, Failure> {
        let config = Config::load(config)?;
        let mut paths = config.model_paths();
        if let Some(file) = embedder {
            paths.embedder = Some(file.to_owned());
        }
        Ok(Setup {
            models: ModelSet::load(&paths)?,
            options: config.recognizer_options(),
        })
    }

    fn recognizer(&self) -> Result<Recognizer, Failure> {
        Ok(Recognizer::new(&self.models, self.options)?)
    }
}
