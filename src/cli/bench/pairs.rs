//! Lists of pairs of pictures, and the templates of what is in them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Deserialize;

use super::{Failure, Setup, parallel};
use crate::cli::while_doing;
use crate::gallery::Template;
use crate::recognition::{Checks, FaceChoice, Purpose, Refusal};

/// Which pairs, and how their pictures are taken.
#[derive(Args)]
pub struct PairList {
    /// CSV with the columns path1,path2,same (0 or 1); paths are relative to its folder
    #[arg(long, value_name = "FILE")]
    pub pairs: PathBuf,
    /// Which face of several a picture stands for. Lists such as LFW mean the central one; the API takes the largest
    #[arg(long, value_enum, default_value = "central")]
    face: Choice,
    /// How the second picture of a pair is taken: as /face/compare does it, or for speed, as the probe of a search
    #[arg(long, value_enum, default_value = "compare")]
    like: Like,
}

#[derive(Clone, Copy, ValueEnum)]
enum Choice {
    Central,
    Largest,
}

#[derive(Clone, Copy, ValueEnum)]
enum Like {
    Compare,
    Search,
}

/// One row of the list.
#[derive(Deserialize)]
pub struct Pair {
    pub path1: String,
    pub path2: String,
    /// 1: of one person.
    pub same: u8,
}

/// Templates of the pictures of a list, by path as the list spells it.
pub struct Templates {
    found: HashMap<(String, Purpose), Template>,
    second: Purpose,
    /// Pictures without a template, and why.
    pub missed: BTreeMap<String, String>,
}

impl PairList {
    /// # Errors
    /// The file cannot be read, or a row is not a pair.
    pub fn read(&self) -> Result<Vec<Pair>, Failure> {
        read_pairs(&self.pairs)
    }

    /// Takes a template of every picture; with `of_all`, as first and as second of a pair. Quality gates and liveness have no say.
    ///
    /// # Errors
    /// A picture cannot be read, or a network fails.
    pub fn templates(
        &self,
        setup: &mut Setup,
        pairs: &[Pair],
        of_all: bool,
    ) -> Result<Templates, Failure> {
        setup.options.face = match self.face {
            Choice::Central => FaceChoice::Central,
            Choice::Largest => FaceChoice::Largest,
        };
        let second = match self.like {
            Like::Compare => Purpose::Enrolment,
            Like::Search => Purpose::Probe,
        };
        let folder = self.pairs.parent().unwrap_or(Path::new("."));
        let mut pictures: BTreeSet<(String, Purpose)> = BTreeSet::new();
        for pair in pairs {
            pictures.insert((pair.path1.clone(), Purpose::Enrolment));
            pictures.insert((pair.path2.clone(), second));
            if of_all {
                pictures.insert((pair.path1.clone(), second));
                pictures.insert((pair.path2.clone(), Purpose::Enrolment));
            }
        }
        let pictures: Vec<(String, Purpose)> = pictures.into_iter().collect();
        let setup = &*setup;
        let templates = parallel::map(
            "pictures",
            &pictures,
            || setup.recognizer(),
            |recognizer, (name, purpose)| {
                let path = folder.join(name);
                let bytes = std::fs::read(&path).map_err(while_doing(path.display()))?;
                match recognizer.recognize(&bytes, *purpose, Checks::default()) {
                    Ok(recognition) => Ok(Ok(recognition.template)),
                    Err(refusal @ (Refusal::NoFace { .. } | Refusal::InvalidImage(_))) => {
                        Ok(Err(refusal.to_string()))
                    }
                    Err(e) => Err(while_doing(path.display())(e)),
                }
            },
        )?;
        let mut all = Templates {
            found: HashMap::new(),
            second,
            missed: BTreeMap::new(),
        };
        for (picture, template) in pictures.into_iter().zip(templates) {
            match template {
                Ok(template) => {
                    all.found.insert(picture, template);
                }
                Err(reason) => {
                    all.missed.insert(picture.0, reason);
                }
            }
        }
        Ok(all)
    }
}

impl Templates {
    /// Cosine of each template with that of `other` for the same picture and purpose.
    pub fn cosines_with(&self, other: &Templates) -> Vec<f64> {
        (self.found.iter())
            .filter_map(|(picture, template)| {
                Some(f64::from(template.cosine(other.found.get(picture)?)))
            })
            .collect()
    }

    /// Cosine of a pair; `None` if one of the two has no face.
    pub fn cosine(&self, pair: &Pair) -> Option<f32> {
        let first = self.first(&pair.path1)?;
        Some(first.cosine(self.second(&pair.path2)?))
    }

    /// The template of a picture as the first of a pair: as it is enrolled.
    pub fn first(&self, path: &str) -> Option<&Template> {
        self.found.get(&(path.to_owned(), Purpose::Enrolment))
    }

    /// The template of a picture as the second of a pair.
    pub fn second(&self, path: &str) -> Option<&Template> {
        self.found.get(&(path.to_owned(), self.second))
    }
}

/// The pairs of a list, at least one.
///
/// # Errors
/// The file cannot be read, or a row is not a pair.
pub fn read_pairs(path: &Path) -> Result<Vec<Pair>, Failure> {
    let mut reader = csv::Reader::from_path(path).map_err(while_doing(path.display()))?;
    let mut pairs = Vec::new();
    for row in reader.deserialize() {
        let pair: Pair = row.map_err(while_doing(path.display()))?;
        if pair.same > 1 {
            let line = pairs.len() + 2;
            return Err(format!("{}: line {line}: same must be 0 or 1", path.display()).into());
        }
        pairs.push(pair);
    }
    match pairs.is_empty() {
        true => Err(format!("{}: the list has no pairs", path.display()).into()),
        false => Ok(pairs),
    }
}
