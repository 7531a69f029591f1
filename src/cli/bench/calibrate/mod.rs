//! `recocomp bench calibrate`

mod diagram;
mod enough;
mod fusion;
mod impostors;
mod logistic;
mod slices;

use std::collections::{BTreeSet, HashMap};
use std::fs::OpenOptions;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use self::enough::shortage;
use self::impostors::{Impostors, Threshold, identity};
use self::logistic::{Bin, Seen, calibration_error, fit, reliability};
use self::slices::{Groups, Slices};
use super::pairs::{Pair, PairList, Templates};
use super::{Common, Failure, Setup};
use crate::cli::while_doing;
use crate::gallery::Template;
use crate::inference::ScoreCurve;

/// False match rates whose thresholds are measured.
const RATES: [f64; 4] = [1e-2, 1e-3, 1e-4, 1e-5];

/// The one that only a straight line gives.
const BEYOND: f64 = 1e-6;

/// The threshold at which groups are compared.
const SLICED_AT: f64 = 1e-3;

/// Constants of models.toml for an embedding model: score curve and thresholds
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    list: PairList,
    /// Fit the score on so many rows from the top and report on the others, both with pairs of one person and of two [default: a third]
    #[arg(long, value_name = "N")]
    fit_rows: Option<usize>,
    /// Thresholds from every pair of pictures of two people (who: the file name before _NNNN, or the folder)
    #[arg(long)]
    all_impostors: bool,
    /// The same for people with several features, fused or not
    #[arg(long, requires = "all_impostors")]
    fused: bool,
    /// Samples of the people for the intervals of the thresholds
    #[arg(long, value_name = "N", default_value_t = 1000)]
    samples: usize,
    /// Show so many of the most similar pairs of two people: mislabelled ones are among them
    #[arg(long, value_name = "N", default_value_t = 0)]
    most_similar: usize,
    /// CSV with the columns path,group: errors within each group at one threshold
    #[arg(long, value_name = "FILE", requires = "all_impostors")]
    slices: Option<PathBuf>,
    /// Write the reliability diagram of the score here
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// The pictures with a face, and whose they are.
struct Pictures<'a> {
    paths: Vec<&'a str>,
    people: Vec<u32>,
    first: Vec<&'a Template>,
    second: Vec<&'a Template>,
}

impl<'a> Pictures<'a> {
    fn of(pairs: &'a [Pair], templates: &'a Templates) -> Pictures<'a> {
        let paths: BTreeSet<&str> = (pairs.iter())
            .flat_map(|pair| [pair.path1.as_str(), pair.path2.as_str()])
            .collect();
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        let mut all = Pictures {
            paths: Vec::new(),
            people: Vec::new(),
            first: Vec::new(),
            second: Vec::new(),
        };
        for path in paths {
            if let (Some(first), Some(second)) = (templates.first(path), templates.second(path)) {
                let next = numbers.len() as u32;
                all.paths.push(path);
                all.people
                    .push(*numbers.entry(identity(path)).or_insert(next));
                all.first.push(first);
                all.second.push(second);
            }
        }
        all
    }

    fn cosine(&self, i: usize, j: usize) -> f32 {
        self.first[i].cosine(self.second[j])
    }

    fn count_people(&self) -> usize {
        self.people
            .iter()
            .max()
            .map_or(0, |&most| most as usize + 1)
    }
}

/// A threshold with the share of genuine pairs above it.
struct Point {
    threshold: Threshold,
    tar: f64,
    impostors_above: u64,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut setup = Setup::load(arguments.common.config.as_deref())?;
    let pairs = arguments.list.read()?;
    let all = arguments.all_impostors;
    let groups = (arguments.slices.as_deref())
        .map(|file| Groups::read(file, &pairs, &arguments.list.pairs))
        .transpose()?;
    let fit_rows = arguments.fit_rows.unwrap_or(pairs.len() / 3);
    let (fitted_on, reported_on) = pairs.split_at(fit_rows.min(pairs.len()));
    for (rows, what) in [(fitted_on, "first"), (reported_on, "other")] {
        need_both_kinds(rows, what)?;
    }
    // Told before the pictures are looked at, which takes minutes.
    if let Some(path) = &arguments.svg {
        (OpenOptions::new().append(true).create(true).open(path))
            .map_err(while_doing(path.display()))?;
    }
    let templates = arguments.list.templates(&mut setup, &pairs, all)?;
    let seen = |pairs: &[Pair]| -> Vec<Seen> {
        (pairs.iter())
            .filter_map(|pair| Some((templates.cosine(pair)?, pair.same == 1)))
            .collect()
    };
    let curve = fit(&seen(fitted_on)).ok_or_else(|| {
        format!(
            "no face is seen in the pairs of one kind in the first {fit_rows} rows; see --fit-rows"
        )
    })?;
    let shipped = setup.models.score;
    let held_out = seen(reported_on);
    let bins = reliability(&curve, &held_out);
    if let Some(path) = &arguments.svg {
        let title = format!("{}: score and truth", setup.models.embedder.entry.id);
        std::fs::write(path, diagram::svg(&bins, &title)).map_err(while_doing(path.display()))?;
    }
    let pictures = Pictures::of(&pairs, &templates);
    let impostors = all.then(|| Impostors::of(&pictures.people, |i, j| pictures.cosine(i, j)));
    let genuine: Vec<Option<f32>> = (pairs.iter())
        .filter(|pair| pair.same == 1)
        .map(|pair| templates.cosine(pair))
        .collect();
    let points = (impostors.as_ref())
        .map(|impostors| points(impostors, &genuine, arguments.samples))
        .unwrap_or_default();
    let fused = match arguments.fused {
        true => {
            let entry = &setup.models.embedder.entry;
            fusion::measure(&pictures, &shipped, entry, arguments.samples)?
        }
        false => Vec::new(),
    };
    let slices = match (&groups, &impostors) {
        (Some(groups), Some(impostors)) => {
            let threshold = (impostors.threshold(SLICED_AT)).ok_or_else(|| {
                let short = shortage(SLICED_AT, impostors.pairs).unwrap_or_default();
                format!("--slices compares groups at FMR {short}")
            })?;
            let named: Vec<(&str, u32)> = (pictures.paths.iter().copied())
                .zip(pictures.people.iter().copied())
                .collect();
            let genuine: Vec<(&str, &str, Option<f32>)> = (pairs.iter())
                .filter(|pair| pair.same == 1)
                .map(|pair| {
                    (
                        pair.path1.as_str(),
                        pair.path2.as_str(),
                        templates.cosine(pair),
                    )
                })
                .collect();
            let cosine = |i, j| pictures.cosine(i, j);
            Some(groups.slices((SLICED_AT, threshold), &named, cosine, &genuine))
        }
        _ => None,
    };
    let report = Report {
        embedder: &setup.models.embedder.entry.id,
        pairs: pairs.len(),
        missed: templates.missed.len(),
        fit_rows,
        curve,
        shipped,
        error: calibration_error(&curve, &held_out),
        shipped_error: calibration_error(&shipped, &held_out),
        bins,
        impostor_pairs: impostors.as_ref().map(|all| all.pairs),
        people: pictures.count_people(),
        points,
        fused,
        slices,
        most_similar: most_similar(&pictures, arguments.most_similar),
    };
    match arguments.common.json {
        true => println!("{}", report.json()),
        false => report.print(),
    }
    Ok(())
}

/// The score is fitted on the first rows and judged on the others: both take pairs of one person and of two.
fn need_both_kinds(rows: &[Pair], what: &str) -> Result<(), Failure> {
    let genuine = rows.iter().filter(|pair| pair.same == 1).count();
    match genuine {
        some if some > 0 && some < rows.len() => Ok(()),
        _ => Err(format!(
            "the {what} {} rows need pairs of one person and of two, {genuine} are of one: mix the rows, or see --fit-rows",
            rows.len()
        )
        .into()),
    }
}

/// `genuine`: `None` where no face was found.
fn points(impostors: &Impostors, genuine: &[Option<f32>], samples: usize) -> Vec<Point> {
    let thresholds = impostors.thresholds_and_beyond(&RATES, &[BEYOND], samples);
    (thresholds.into_iter())
        .map(|threshold| Point {
            threshold,
            tar: (genuine.iter())
                .filter(|cosine| cosine.is_some_and(|cosine| cosine > threshold.cosine))
                .count() as f64
                / genuine.len().max(1) as f64,
            impostors_above: impostors.above(threshold.cosine),
        })
        .collect()
}

fn most_similar(pictures: &Pictures, count: usize) -> Vec<(f32, String, String)> {
    if count == 0 {
        return Vec::new();
    }
    let mut all = Vec::new();
    for i in 0..pictures.paths.len() {
        for j in i + 1..pictures.paths.len() {
            if pictures.people[i] != pictures.people[j] {
                all.push((pictures.cosine(i, j), i, j));
            }
        }
    }
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    (all.into_iter().take(count))
        .map(|(cosine, i, j)| {
            (
                cosine,
                pictures.paths[i].to_owned(),
                pictures.paths[j].to_owned(),
            )
        })
        .collect()
}

struct Report<'a> {
    embedder: &'a str,
    pairs: usize,
    missed: usize,
    fit_rows: usize,
    curve: ScoreCurve,
    shipped: ScoreCurve,
    error: f64,
    shipped_error: f64,
    bins: Vec<Option<Bin>>,
    impostor_pairs: Option<u64>,
    people: usize,
    points: Vec<Point>,
    fused: Vec<fusion::Measured>,
    slices: Option<Slices>,
    most_similar: Vec<(f32, String, String)>,
}

impl Report<'_> {
    fn json(&self) -> serde_json::Value {
        let curve = |curve: &ScoreCurve, error: f64| json!({"slope": curve.slope, "offset": curve.offset, "calibration_error": error});
        let bin = |bin: &Option<Bin>| {
            bin.map(|b| json!({"pairs": b.pairs, "score": b.score, "genuine": b.genuine}))
        };
        let point = |point: &Point| {
            let t = &point.threshold;
            json!({
                "fmr": t.fmr,
                "cosine": t.cosine,
                "cosine_95": t.interval.map(|(low, high)| [low, high]),
                "score": self.curve.score(t.cosine),
                "tar": point.tar,
                "impostors_above": point.impostors_above,
                "extrapolated": t.extrapolated,
            })
        };
        json!({
            "embedder": self.embedder,
            "pairs": self.pairs,
            "missed_faces": self.missed,
            "fit_rows": self.fit_rows,
            "score": curve(&self.curve, self.error),
            "shipped_score": curve(&self.shipped, self.shipped_error),
            "reliability": self.bins.iter().map(bin).collect::<Vec<_>>(),
            "people": self.people,
            "impostor_pairs": self.impostor_pairs,
            "thresholds": self.points.iter().map(point).collect::<Vec<_>>(),
            "several_features": self.fused.iter().map(fusion::Measured::json).collect::<Vec<_>>(),
            "slices": self.slices.as_ref().map(Slices::json),
            "most_similar": self.most_similar,
        })
    }

    fn print(&self) {
        println!("embedder            {}", self.embedder);
        println!(
            "pairs               {} ({} pictures missed)",
            self.pairs, self.missed
        );
        println!(
            "score fitted on     the first {} rows, judged on the others",
            self.fit_rows
        );
        for (name, curve, error) in [
            ("fitted", &self.curve, self.error),
            ("models.toml", &self.shipped, self.shipped_error),
        ] {
            println!(
                "  {name:<12}      slope = {:.4}, offset = {:.4}; score and truth {error:.4} apart",
                curve.slope, curve.offset
            );
        }
        println!("score   pairs  mean score  of one person");
        for (tenth, bin) in self.bins.iter().enumerate() {
            if let Some(bin) = bin {
                let from = tenth as f64 / 10.0;
                println!(
                    "{from:.1}    {:>6}  {:>10.3}  {:>13.3}",
                    bin.pairs, bin.score, bin.genuine
                );
            }
        }
        if let Some(pairs) = self.impostor_pairs {
            println!("impostor pairs      {pairs}, of {} people", self.people);
            self.print_points(&self.points);
            for short in RATES.iter().filter_map(|&fmr| shortage(fmr, pairs)) {
                println!("{short}");
            }
        }
        self.fused.iter().for_each(fusion::Measured::print);
        if let Some(slices) = &self.slices {
            slices.print();
        }
        for (cosine, first, second) in &self.most_similar {
            println!("similar: {cosine:.4} {first} {second}");
        }
        // A door's pictures are taken like a search's, the score is that of a comparison as well.
        println!(
            "\n# models.toml: the score as printed without --like, the tables as printed with --like search"
        );
        println!(
            "slope = {:.4}\noffset = {:.4}",
            self.curve.slope, self.curve.offset
        );
        let of_points: Vec<Threshold> = self.points.iter().map(|p| p.threshold).collect();
        let mean = self.fused.iter().find(|measured| measured.is_mean());
        let of_means = mean.map(|measured| measured.thresholds.as_slice());
        for (key, thresholds) in [
            ("impostor_cosine", of_points.as_slice()),
            ("impostor_cosine_fused", of_means.unwrap_or_default()),
        ] {
            for (suffix, extrapolated) in [("", false), ("_extrapolated", true)] {
                let rows: Vec<String> = (thresholds.iter())
                    .filter(|t| t.extrapolated == extrapolated)
                    .map(|t| format!("[{:e}, {:.4}]", t.fmr, t.cosine))
                    .collect();
                if !rows.is_empty() {
                    println!("{key}{suffix} = [{}]", rows.join(", "));
                }
            }
        }
    }

    fn print_points(&self, points: &[Point]) {
        println!("FMR     cosine  95 % interval      score    TAR       impostors above");
        for point in points {
            let t = &point.threshold;
            println!(
                "{:<6.0e}  {:.4}  {:<16}   {:.4}   {:>6.2} %  {:>6}",
                t.fmr,
                t.cosine,
                interval(t),
                self.curve.score(t.cosine),
                point.tar * 100.0,
                point.impostors_above
            );
        }
    }
}

/// The interval of a threshold as tables print it, 16 characters at most.
fn interval(threshold: &Threshold) -> String {
    match threshold.interval {
        _ if threshold.extrapolated => "extrapolated".to_owned(),
        Some((low, high)) => format!("{low:.4} to {high:.4}"),
        None => "-".to_owned(),
    }
}
