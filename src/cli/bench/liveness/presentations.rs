//! Which pictures show a living person, and which show what attack.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use crate::cli::bench::Failure;
use crate::cli::bench::detection::pictures_below;
use crate::cli::while_doing;

/// Labels of living people; every other one is a kind of attack.
const LIVE: [&str; 4] = ["real", "live", "bonafide", "bona fide"];

/// Folders or a list.
#[derive(Args)]
pub struct Source {
    /// Folder of pictures of living people (bona fide presentations), read recursively
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present = "list",
        requires = "attack"
    )]
    real: Option<PathBuf>,
    /// Folder of pictures of one kind of attack, read recursively; one option for each kind
    #[arg(
        long,
        value_name = "DIR",
        required_unless_present = "list",
        requires = "real"
    )]
    attack: Vec<PathBuf>,
    /// Instead: CSV with the columns path,label; paths are relative to its folder, the label is "real", "live" or "bonafide", any other a
    /// kind of attack
    #[arg(long, value_name = "FILE", conflicts_with_all = ["real", "attack"])]
    list: Option<PathBuf>,
}

/// Pictures of living people, or of one kind of attack.
#[derive(Debug, PartialEq)]
pub struct Kind {
    /// The folder or the label.
    pub name: String,
    pub pictures: Vec<PathBuf>,
}

/// What the check is to be tried with.
#[derive(Debug, PartialEq)]
pub struct Presentations {
    pub real: Kind,
    /// One or more, no name twice.
    pub attacks: Vec<Kind>,
}

#[derive(Deserialize)]
struct Row {
    path: String,
    label: String,
}

impl Source {
    /// # Errors
    /// A folder or the list cannot be read or has no pictures of one side, or a picture stands for two kinds.
    pub fn read(&self) -> Result<Presentations, Failure> {
        match (&self.list, &self.real) {
            (Some(list), _) => of_list(list),
            (None, Some(real)) => of_folders(real, &self.attack),
            (None, None) => Err("--real and --attack, or --list, are needed".into()),
        }
    }
}

fn of_folders(real: &Path, attacks: &[PathBuf]) -> Result<Presentations, Failure> {
    let mut folders: Vec<(&Path, PathBuf)> = Vec::new();
    for folder in [real]
        .into_iter()
        .chain(attacks.iter().map(PathBuf::as_path))
    {
        let place = folder
            .canonicalize()
            .map_err(while_doing(folder.display()))?;
        for (other, its) in &folders {
            if place.starts_with(its) || its.starts_with(&place) {
                return Err(format!(
                    "{} and {} have the same pictures: each kind needs a folder of its own, which is not within another's",
                    other.display(),
                    folder.display()
                )
                .into());
            }
        }
        folders.push((folder, place));
    }
    let kind = |folder: &Path| -> Result<Kind, Failure> {
        Ok(Kind {
            name: folder.display().to_string(),
            pictures: pictures_below(folder)?,
        })
    };
    Ok(Presentations {
        real: kind(real)?,
        attacks: (attacks.iter())
            .map(|folder| kind(folder))
            .collect::<Result<_, _>>()?,
    })
}

fn of_list(list: &Path) -> Result<Presentations, Failure> {
    let file = list.display();
    let folder = list.parent().unwrap_or(Path::new("."));
    let mut reader = csv::Reader::from_path(list).map_err(while_doing(&file))?;
    let mut seen = HashSet::new();
    let mut real = Vec::new();
    let mut attacks: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for row in reader.deserialize() {
        let Row { path, label } = row.map_err(while_doing(&file))?;
        // However it is spelled; one that is not there is told when it is read.
        let place = folder.join(&path);
        if !seen.insert(place.canonicalize().unwrap_or(place)) {
            return Err(format!("{file}: {path} is listed twice").into());
        }
        match label.trim() {
            "" => return Err(format!("{file}: {path} has no label").into()),
            label if LIVE.contains(&label.to_lowercase().as_str()) => real.push(folder.join(path)),
            label => (attacks.entry(label.to_owned()).or_default()).push(folder.join(path)),
        }
    }
    if real.is_empty() {
        return Err(format!(
            "{file}: no picture of a living person: its label is one of {}",
            LIVE.join(", ")
        )
        .into());
    }
    if attacks.is_empty() {
        return Err(format!("{file}: no attack: every label is that of a living person").into());
    }
    Ok(Presentations {
        real: Kind {
            name: "real".to_owned(),
            pictures: real,
        },
        attacks: (attacks.into_iter())
            .map(|(name, pictures)| Kind { name, pictures })
            .collect(),
    })
}
