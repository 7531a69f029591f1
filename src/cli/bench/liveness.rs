//! `recocomp bench liveness`

mod presentations;

use std::time::Duration;

use clap::Args;
use serde_json::json;

use self::presentations::{Kind, Source};
use super::metrics::quantile;
use super::{Common, Failure, Setup, parallel};
use crate::cli::while_doing;
use crate::recognition::{Checks, LivenessDemand, Purpose, Refusal, STAGES};

/// Error rates of the liveness check, in the terms of ISO/IEC 30107-3
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    common: Common,
}

/// The share of attacks (APCER) that the second operating point allows of each kind.
const ALLOWED_APCER: f64 = 0.01;

/// Scores of the faces that count, one a picture.
struct Scores {
    name: String,
    scores: Vec<f32>,
    /// What each of them took.
    spent: Vec<Duration>,
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
    let shown = arguments.source.read()?;
    let real = judge(&setup, shown.real)?;
    let attacks: Vec<Scores> = (shown.attacks.into_iter())
        .map(|kind| judge(&setup, kind))
        .collect::<Result<_, _>>()?;
    let mut spent: Vec<f64> = ([&real].into_iter().chain(&attacks))
        .flat_map(|kind| kind.spent.iter().map(|spent| spent.as_secs_f64() * 1e3))
        .collect();
    let median_ms = quantile(&mut spent, 0.5);
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
            "liveness_median_ms": median_ms,
        });
        println!("{report}");
        return Ok(());
    }
    println!("model {}", setup.models.liveness.entry.id);
    println!(
        "{:<24} {:>8} {:>12} {:>8}",
        "presentations", "judged", "no response", "AUC"
    );
    let row = |of: &Scores, auc: String| {
        let (name, judged) = (&of.name, of.scores.len());
        println!("{name:<24} {judged:>8} {:>12} {auc:>8}", of.no_response);
    };
    row(&real, "-".into());
    for kind in &attacks {
        row(kind, format!("{:.4}", auc(&real.scores, &kind.scores)));
    }
    println!(
        "liveness takes {median_ms:.2} ms (median of {} faces, pictures on every core at once)",
        spent.len()
    );
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

/// Each picture is taken as the probe of a search is, without the gates of quality.
fn judge(setup: &Setup, kind: Kind) -> Result<Scores, Failure> {
    let stage = STAGES.iter().position(|stage| *stage == "liveness");
    let checks = Checks {
        liveness: LivenessDemand::Score,
        ..Checks::default()
    };
    let judged = parallel::map(
        "pictures",
        &kind.pictures,
        || setup.recognizer(),
        |recognizer, path| {
            let bytes = std::fs::read(path).map_err(while_doing(path.display()))?;
            match recognizer.recognize(&bytes, Purpose::Probe, checks) {
                Ok(seen) => {
                    let spent = stage.map_or(Duration::ZERO, |stage| seen.timings.0[stage]);
                    // A face was found: without a score the network failed, which is no "no response".
                    let judged = (seen.liveness)
                        .ok_or_else(|| format!("{}: the network gave no score", path.display()))?;
                    Ok(Some((judged.score, spent)))
                }
                Err(Refusal::InvalidImage(_) | Refusal::NoFace { .. } | Refusal::Template(_)) => {
                    Ok(None)
                }
                Err(e) => Err(while_doing(path.display())(e)),
            }
        },
    )?;
    let (scores, spent): (Vec<f32>, Vec<Duration>) = judged.iter().flatten().copied().unzip();
    if scores.is_empty() {
        return Err(format!("{}: no face in any of its pictures", kind.name).into());
    }
    Ok(Scores {
        name: kind.name,
        no_response: judged.len() - scores.len(),
        scores,
        spent,
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
            spent: Vec::new(),
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
