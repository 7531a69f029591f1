//! An embedder beside another one that it shall be as good as.

use std::path::Path;

use serde_json::{Value, json};

use super::metrics::{Trial, quantile, ten_fold_accuracy, ten_fold_decisions};
use super::pairs::{Pair, PairList, Templates};
use super::{Failure, Setup};

/// How the embedder of a run compares with a reference, on the same pairs.
pub struct Comparison<'a> {
    reference: String,
    accuracy: f64,
    /// Templates of the same picture by both: median, first percentile and least cosine.
    cosines: [f64; 3],
    different: Vec<Different<'a>>,
}

/// A pair that both decide differently.
struct Different<'a> {
    /// Of the list, from 1, its heading not counted.
    row: usize,
    pair: &'a Pair,
    cosine: Option<f32>,
    reference: Option<f32>,
    /// Whether the reference is the one that is wrong.
    better: bool,
}

/// `setup` with the embedder in `file` in place of its own.
///
/// # Errors
/// `models.toml` knows no such embedder, or its templates are of another space.
pub fn reference(file: &Path, config: Option<&Path>, setup: &Setup) -> Result<Setup, Failure> {
    let other = Setup::with_embedder(config, Some(file))?;
    let [own, its] = [setup, &other].map(|setup| &setup.models.template_space);
    match own == its {
        true => Ok(other),
        false => Err(format!(
            "{}: its templates are of \"{its}\" and cannot be compared with those of \"{own}\"",
            file.display()
        )
        .into()),
    }
}

impl<'a> Comparison<'a> {
    /// Takes the templates of `pairs` once more, with the embedder of `other`.
    ///
    /// # Errors
    /// As [`PairList::templates`].
    pub fn new(
        mut other: Setup,
        list: &PairList,
        pairs: &'a [Pair],
        templates: &Templates,
    ) -> Result<Comparison<'a>, Failure> {
        let others = list.templates(&mut other, pairs, false)?;
        let (mine, theirs) = (trials(pairs, templates), trials(pairs, &others));
        let right = ten_fold_decisions(&mine).into_iter();
        let different = (right.zip(ten_fold_decisions(&theirs)).enumerate())
            .filter(|(_, (right, reference))| right != reference)
            .map(|(index, (right, _))| Different {
                row: index + 1,
                pair: &pairs[index],
                cosine: mine[index].similarity,
                reference: theirs[index].similarity,
                better: right,
            })
            .collect();
        let mut cosines = templates.cosines_with(&others);
        Ok(Comparison {
            reference: other.models.embedder.entry.id,
            accuracy: ten_fold_accuracy(&theirs),
            cosines: [0.5, 0.01, 0.0].map(|share| quantile(&mut cosines, share)),
            different,
        })
    }

    fn count(&self, better: bool) -> usize {
        (self.different.iter())
            .filter(|different| different.better == better)
            .count()
    }

    pub fn json(&self) -> Value {
        let [median, percentile, least] = self.cosines;
        let pairs: Vec<Value> = (self.different.iter())
            .map(|d| {
                json!({
                    "row": d.row,
                    "path1": d.pair.path1,
                    "path2": d.pair.path2,
                    "same": d.pair.same,
                    "cosine": d.cosine,
                    "cosine_reference": d.reference,
                    "better": d.better,
                })
            })
            .collect();
        json!({
            "embedder": self.reference,
            "accuracy": self.accuracy,
            "cosine": {"median": median, "p1": percentile, "least": least},
            "decided_worse": self.count(false),
            "decided_better": self.count(true),
            "pairs": pairs,
        })
    }

    pub fn print(&self) {
        let [median, percentile, least] = self.cosines;
        println!("\nbeside {}", self.reference);
        println!("its accuracy        {:.2} %", self.accuracy * 100.0);
        println!(
            "cosine with it      median {median:.4}, 1st percentile {percentile:.4}, least {least:.4}"
        );
        println!("decided worse       {}", self.count(false));
        println!("decided better      {}", self.count(true));
        for d in &self.different {
            let cosine = |cosine: Option<f32>| cosine.map_or("none".into(), |c| format!("{c:.4}"));
            println!(
                "  {}: row {}, {} and {}, {}: {}, reference {}",
                if d.better { "better" } else { "worse" },
                d.row,
                d.pair.path1,
                d.pair.path2,
                if d.pair.same == 1 {
                    "one person"
                } else {
                    "two people"
                },
                cosine(d.cosine),
                cosine(d.reference),
            );
        }
    }
}

/// The pairs as trials of a set of templates.
pub fn trials(pairs: &[Pair], templates: &Templates) -> Vec<Trial> {
    (pairs.iter())
        .map(|pair| Trial {
            similarity: templates.cosine(pair),
            same: pair.same == 1,
        })
        .collect()
}
