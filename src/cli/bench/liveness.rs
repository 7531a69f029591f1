//! `recocomp bench liveness`

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::detection::pictures_below;
use super::{Common, Failure, Setup, parallel};
use crate::cli::while_doing;
use crate::recognition::{LivenessDemand, Refusal};

/// Error rates of the liveness check, in the terms of ISO/IEC 30107-3
#[derive(Args)]
pub struct Arguments {
    /// Folder of pictures of living people (bona fide presentations), read recursively
    #[arg(long, value_name = "DIR")]
    real: PathBuf,
    /// Folder of pictures of one kind of attack, read recursively; one option for each kind
    #[arg(long, value_name = "DIR", required = true)]
    attack: Vec<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// The share of attacks (APCER) that the second operating point allows of each kind.
const ALLOWED_APCER: f64 = 0.01;

/// Scores of the largest faces of a folder's pictures.
struct Scores {
    name: String,
    scores: Vec<f32>,
    /// Pictures that were not judged: no face in them, or no picture.
    no_response: usize,
}

impl Scores {
    /// The share of faces that are live at `threshold`.
    fn live(&self, threshold: f32) -> f64 {
        let live = self.scores.iter().filter(|&&s| s >= threshold).count();
        live as f64 / self.scores.len() as f64
    }

    /// The lowest threshold at which no more than `share` of the faces are live.
    fn threshold_for(&self, share: f64) -> f32 {
        let mut falling = self.scores.clone();
        falling.sort_by(|a, b| b.total_cmp(a));
        let allowed = (share * falling.len() as f64) as usize;
        (falling.get(allowed)).map_or(0.0, |first_refused| first_refused.next_up())
    }
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let setup = Setup::load(arguments.common.config.as_deref())?;
    let shipped =
        (setup.options.liveness_threshold).unwrap_or(setup.models.liveness_constants.threshold);
    let real = judge(&setup, &arguments.real)?;
    let attacks: Vec<Scores> = (arguments.attack.iter())
        .map(|folder| judge(&setup, folder))
        .collect::<Result<_, _>>()?;
    let strict = (attacks.iter())
        .map(|kind| kind.threshold_for(ALLOWED_APCER))
        .fold(0.0, f32::max);
    let points = [("shipped", shipped), ("apcer_1_percent", strict)];
    if arguments.common.json {
        let points: serde_json::Map<_, _> = points
            .map(|(name, threshold)| {
                let apcer: serde_json::Map<_, _> = (attacks.iter())
                    .map(|kind| (kind.name.clone(), json!(kind.live(threshold))))
                    .collect();
                let point = json!({
                    "threshold": threshold,
                    "apcer": apcer,
                    "apcer_worst": worst(&attacks, threshold),
                    "bpcer": 1.0 - real.live(threshold),
                });
                (name.to_owned(), point)
            })
            .into_iter()
            .collect();
        let kinds: serde_json::Map<_, _> = (attacks.iter())
            .map(|kind| {
                let about = json!({
                    "judged": kind.scores.len(),
                    "no_response": kind.no_response,
                    "auc": auc(&real.scores, &kind.scores),
                });
                (kind.name.clone(), about)
            })
            .collect();
        let report = json!({
            "model": setup.models.liveness.entry.id,
            "real": {"judged": real.scores.len(), "no_response": real.no_response},
            "attacks": kinds,
            "operating_points": points,
        });
        println!("{report}");
        return Ok(());
    }
    println!("model {}", setup.models.liveness.entry.id);
    println!(
        "{:<24} {:>8} {:>12} {:>8}",
        "folder", "judged", "no response", "AUC"
    );
    let row = |of: &Scores, auc: String| {
        let (name, judged) = (&of.name, of.scores.len());
        println!("{name:<24} {judged:>8} {:>12} {auc:>8}", of.no_response);
    };
    row(&real, "-".into());
    for kind in &attacks {
        row(kind, format!("{:.4}", auc(&real.scores, &kind.scores)));
    }
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    for (name, threshold) in points {
        println!("\nthreshold {threshold:.4} ({})", name.replace('_', " "));
        for kind in &attacks {
            println!(
                "  APCER {:<20} {:>8}",
                kind.name,
                percent(kind.live(threshold))
            );
        }
        println!(
            "  APCER {:<20} {:>8}",
            "worst",
            percent(worst(&attacks, threshold))
        );
        println!(
            "  BPCER {:<20} {:>8}",
            "",
            percent(1.0 - real.live(threshold))
        );
    }
    Ok(())
}

/// The APCER of the kind that passes most often.
fn worst(attacks: &[Scores], threshold: f32) -> f64 {
    let passed = attacks.iter().map(|kind| kind.live(threshold));
    passed.fold(0.0, f64::max)
}

fn judge(setup: &Setup, folder: &Path) -> Result<Scores, Failure> {
    let pictures = pictures_below(folder)?;
    let scores = parallel::map(
        "pictures",
        &pictures,
        || setup.recognizer(),
        |recognizer, path| {
            let bytes = std::fs::read(path).map_err(while_doing(path.display()))?;
            match recognizer.inspect(&bytes, LivenessDemand::Score, false) {
                Ok(faces) => Ok(faces.first().and_then(|face| face.liveness)),
                Err(Refusal::InvalidImage(_)) => Ok(None),
                Err(e) => Err(while_doing(path.display())(e)),
            }
        },
    )?;
    let judged: Vec<f32> = scores.iter().flatten().map(|judged| judged.score).collect();
    if judged.is_empty() {
        return Err(format!("{}: no face in any of its pictures", folder.display()).into());
    }
    Ok(Scores {
        name: folder.display().to_string(),
        no_response: scores.len() - judged.len(),
        scores: judged,
    })
}

/// The chance that a living face scores higher than an attack; a tie is half a win.
fn auc(real: &[f32], attack: &[f32]) -> f64 {
    let mut attack = attack.to_vec();
    attack.sort_by(f32::total_cmp);
    let wins: f64 = (real.iter())
        .map(|score| {
            let below = attack.partition_point(|a| a < score);
            let equal = attack.partition_point(|a| a <= score) - below;
            below as f64 + equal as f64 / 2.0
        })
        .sum();
    wins / (real.len() * attack.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(scores: &[f32]) -> Scores {
        Scores {
            name: "kind".into(),
            scores: scores.to_vec(),
            no_response: 0,
        }
    }

    #[test]
    fn the_auc_counts_pairs() {
        assert_eq!(auc(&[0.9, 0.8], &[0.1, 0.2]), 1.0);
        assert_eq!(auc(&[0.1], &[0.9]), 0.0);
        assert_eq!(auc(&[0.5, 0.5], &[0.5]), 0.5);
        assert_eq!(auc(&[0.9, 0.3], &[0.1, 0.5]), 0.75);
    }

    #[test]
    fn the_threshold_lets_no_more_than_the_share_through() {
        let kind = scores(&(0..200).map(|i| i as f32 / 1000.0).collect::<Vec<_>>());
        for share in [0.0, 0.01, 0.5] {
            let threshold = kind.threshold_for(share);
            assert!(kind.live(threshold) <= share, "{share}");
            // And it is the lowest: a touch lower, and one more passes.
            assert!(kind.live(threshold.next_down()) > share, "{share}");
        }
        assert_eq!(kind.threshold_for(1.0), 0.0);
    }

    #[test]
    fn equal_scores_pass_or_fail_together() {
        let kind = scores(&[0.7; 10]);
        assert_eq!(kind.live(kind.threshold_for(0.5)), 0.0);
    }
}
