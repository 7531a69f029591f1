//! `recocomp doctor`: one function a check, in the order of what a device needs first.

mod device;
mod door;
mod people;
mod product;
mod storage;

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use console::style;
use serde::Serialize;
use serde_json::json;

use super::data::DataArguments;
use super::{Failure, print};
use crate::config::Config;
use crate::shown::{self, Shown};

/// Look whether this device is fit for work, and say what to do if not
///
/// Changes nothing and may run while the daemon serves. Best as the daemon's user: sudo -u recocomp recocomp doctor
///
/// Exit code: 0 if all is well, 1 with warnings, 2 with problems that keep the daemon from working or lose data.
#[derive(Args)]
pub struct Arguments {
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataArguments,
}

/// How bad it is. The exit code is the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Warning,
    Problem,
}

/// What one check found.
#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    level: Level,
    found: String,
    /// What to do.
    advice: Option<String>,
}

/// Findings under the name of their check.
struct Report {
    check: &'static str,
    findings: Vec<Finding>,
}

impl Report {
    fn ok(&mut self, found: impl Into<String>) {
        self.add(Level::Ok, found.into(), None);
    }

    fn warning(&mut self, found: impl Into<String>, advice: impl Into<String>) {
        self.add(Level::Warning, found.into(), Some(advice.into()));
    }

    fn problem(&mut self, found: impl Into<String>, advice: impl Into<String>) {
        self.add(Level::Problem, found.into(), Some(advice.into()));
    }

    fn add(&mut self, level: Level, found: String, advice: Option<String>) {
        self.findings.push(Finding {
            check: self.check,
            level,
            found: shown::lines(&found),
            advice: advice.map(|advice| advice.shown()),
        });
    }
}

/// What the checks look at.
struct Patient<'a> {
    /// `/`, or what stands for it in a test.
    root: &'a Path,
    config: Config,
}

type Check = fn(&Patient, &mut Report);

const CHECKS: [(&str, Check); 15] = [
    ("clock", product::clock),
    ("power", device::power),
    ("processor", device::processor),
    ("memory", device::memory),
    ("watchdog", device::watchdog),
    ("gpio", device::gpio),
    ("door", door::door),
    ("data", storage::data_folder),
    ("people", people::names),
    ("disk", storage::disk),
    ("medium", storage::medium),
    ("license", product::license),
    ("models", product::models),
    ("port", product::port),
    ("service", device::service),
];

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let mut report = Report {
        check: "configuration",
        findings: Vec::new(),
    };
    let config = match arguments.data.load() {
        Ok(config) => {
            report.ok("can be used");
            config
        }
        Err(e) => {
            report.problem(
                e.to_string(),
                "put it right; what follows is about the defaults",
            );
            Config::default()
        }
    };
    let patient = Patient {
        root: Path::new("/"),
        config,
    };
    for (name, check) in CHECKS {
        report.check = name;
        check(&patient, &mut report);
    }
    let findings = report.findings;
    let worst = (findings.iter().map(|finding| finding.level)).max();
    let worst = worst.unwrap_or(Level::Ok);
    print(&match arguments.json {
        true => format!(
            "{}\n",
            shown::json(&json!({"verdict": worst, "findings": findings}).to_string())
        ),
        false => as_text(&findings),
    })?;
    Ok(ExitCode::from(worst as u8))
}

fn as_text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let level = match finding.level {
            Level::Ok => style("ok     ").green(),
            Level::Warning => style("WARNING").yellow(),
            Level::Problem => style("PROBLEM").red(),
        };
        text += &format!("{level} {:<13} {}\n", finding.check, finding.found);
        if let Some(advice) = &finding.advice {
            text += &format!("{:>24}-> {advice}\n", "");
        }
    }
    text
}

/// The text of a file below `root`, without white space and NULs around it.
fn read(root: &Path, path: &str) -> Option<String> {
    let bytes = std::fs::read(root.join(path)).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

/// The entries of a folder below `root` whose names start with `prefix`, sorted.
fn entries(root: &Path, folder: &str, prefix: &str) -> Vec<String> {
    let found = std::fs::read_dir(root.join(folder)).into_iter().flatten();
    let mut names: Vec<String> = found
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs one check on a device that consists of these files.
    pub(super) fn examine(check: Check, files: &[(&str, &str)]) -> Vec<(Level, String)> {
        let root = tempfile::tempdir().unwrap();
        for (name, contents) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, contents).unwrap();
        }
        let mut report = Report {
            check: "",
            findings: Vec::new(),
        };
        let patient = Patient {
            root: root.path(),
            config: Config::default(),
        };
        check(&patient, &mut report);
        (report.findings.into_iter())
            .map(|finding| (finding.level, finding.found))
            .collect()
    }
}
