//! `recocomp bench detection`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde::Deserialize;
use serde_json::json;
use walkdir::WalkDir;

use super::{Common, Failure, Setup, fill, parallel};
use crate::cli::while_doing;
use crate::recognition::{Detector, Face, Landmarks, Pass, Picture, Rect};

/// Recall by face size, false detections and time; faces that fill the frame
#[derive(Args)]
pub struct Arguments {
    /// CSV with the columns path,x,y,w,h and optionally invalid; paths are relative to its folder
    #[arg(long, value_name = "FILE", required_unless_present = "fill")]
    boxes: Option<PathBuf>,
    /// Folder of pictures without faces, read recursively
    #[arg(long, value_name = "DIR", required_unless_present = "fill")]
    negatives: Option<PathBuf>,
    /// Far looks, too, and how many of the faces are clear enough to be recognised
    #[arg(long)]
    far: bool,
    /// Instead: cut each picture of this folder down to its face's box and look again
    #[arg(long, value_name = "DIR", conflicts_with_all = ["boxes", "negatives", "far"])]
    fill: Option<PathBuf>,
    /// Pictures of --fill, the first by name
    #[arg(long, value_name = "N", default_value_t = 100, requires = "fill")]
    pictures: usize,
    #[command(flatten)]
    common: Common,
}

#[derive(Deserialize)]
struct Row {
    path: String,
    x: f32,
    y: f32,
    w: f32,
    h: f32,
    #[serde(default)]
    invalid: u8,
}

/// Bands of face size, the shorter side of the box as a share of the picture's longer side.
const BANDS: [(&str, f32); 4] = [
    ("< 4 %", 0.04),
    ("4-8 %", 0.08),
    ("8-15 %", 0.15),
    ("> 15 %", f32::INFINITY),
];
/// Pixels; smaller faces are not asked for.
const MIN_FACE: f32 = 20.0;

/// A way of looking at pictures.
pub struct Mode {
    pub name: &'static str,
    /// Each is tried where those before it found nothing.
    pub passes: &'static [Pass],
    /// Whether only faces count whose landmarks can be found, without which none is recognised.
    pub landmarks: bool,
}

pub const ONE_PASS: Mode = Mode {
    name: "one_pass",
    passes: &[Pass::FullFrame],
    landmarks: false,
};
pub const PADDED: Mode = Mode {
    name: "with_padded_pass",
    passes: Pass::PLAIN,
    landmarks: false,
};
const FAR: Mode = Mode {
    name: "far",
    passes: &[Pass::Far],
    landmarks: false,
};
/// What requests do without `far`.
pub const PLAIN: Mode = Mode {
    name: "plain_recognisable",
    passes: Pass::PLAIN,
    landmarks: true,
};
/// And with it.
pub const FAR_RECOGNISABLE: Mode = Mode {
    name: "far_recognisable",
    passes: &[Pass::Far],
    landmarks: true,
};

/// The ways that `--far` adds are the last three.
const MODES: [Mode; 5] = [ONE_PASS, PADDED, FAR, PLAIN, FAR_RECOGNISABLE];

/// The networks that look.
pub struct Eyes {
    detector: Detector,
    landmarks: Landmarks,
}

impl Eyes {
    pub fn new(setup: &Setup) -> Result<Eyes, Failure> {
        let (models, options) = (&setup.models, setup.options);
        Ok(Eyes {
            detector: Detector::new(
                &models.detector,
                options.min_detection_score,
                options.threads,
            )?,
            landmarks: Landmarks::new(&models.landmarks, models.points.clone(), options.threads)?,
        })
    }

    /// The faces of a picture, largest first.
    pub fn look(&mut self, picture: &Picture, mode: &Mode) -> Result<Vec<Face>, Failure> {
        for &pass in mode.passes {
            let mut seen = Vec::new();
            for face in self.detector.detect(picture, pass)? {
                if !mode.landmarks || self.landmarks.find(picture, &face, false)?.is_some() {
                    seen.push(face);
                }
            }
            if !seen.is_empty() {
                return Ok(seen);
            }
        }
        Ok(Vec::new())
    }
}

/// What one way of looking found.
#[derive(Clone, Default)]
struct Found {
    spent: Duration,
    hits: [usize; BANDS.len()],
    false_detections: usize,
    pictures_with_false_detections: usize,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let setup = Setup::load(arguments.common.config.as_deref())?;
    let (boxes, negatives) = match (&arguments.fill, &arguments.boxes, &arguments.negatives) {
        (Some(folder), ..) => {
            return fill::run(&setup, folder, arguments.pictures, arguments.common.json);
        }
        (None, Some(boxes), Some(negatives)) => (boxes, negatives),
        // clap asks for them.
        (None, ..) => return Err("--boxes and --negatives, or --fill, must be given".into()),
    };
    let modes = &MODES[..if arguments.far { MODES.len() } else { 2 }];
    let positives = read_boxes(boxes)?;
    let folder = boxes.parent().unwrap_or(Path::new("."));
    let negatives = pictures_below(negatives)?;
    let look = |eyes: &mut Eyes, path: &Path| -> Result<_, Failure> {
        let bytes = std::fs::read(path).map_err(while_doing(path.display()))?;
        let picture =
            Picture::decode(&bytes, &setup.options.limits).map_err(while_doing(path.display()))?;
        let mut seen = Vec::new();
        for mode in modes {
            let start = Instant::now();
            let faces = eyes.look(&picture, mode)?;
            seen.push((faces, start.elapsed()));
        }
        Ok((picture, seen))
    };

    let mut found = vec![Found::default(); modes.len()];
    let mut asked = [0usize; BANDS.len()];
    let positives: Vec<(&String, &Vec<Rect>)> = positives.iter().collect();
    let make = || Eyes::new(&setup);
    let seen = parallel::map("faces", &positives, make, |eyes, (name, _)| {
        let (picture, seen) = look(eyes, &folder.join(name))?;
        Ok((picture.width.max(picture.height) as f32, seen))
    })?;
    for ((_, boxes), (longer, seen)) in positives.iter().zip(&seen) {
        for (found, (_, spent)) in found.iter_mut().zip(seen) {
            found.spent += *spent;
        }
        for face in *boxes {
            let share = face.width.min(face.height) / longer;
            let Some(band) = BANDS.iter().position(|(_, below)| share < *below) else {
                continue;
            };
            asked[band] += 1;
            for (found, (faces, _)) in found.iter_mut().zip(seen) {
                found.hits[band] += usize::from(faces.iter().any(|f| is_hit(&f.bounds, face)));
            }
        }
    }
    let empty = parallel::map("no faces", &negatives, make, |eyes, path| {
        Ok(look(eyes, path)?.1)
    })?;
    for seen in &empty {
        for (found, (faces, spent)) in found.iter_mut().zip(seen) {
            found.spent += *spent;
            found.false_detections += faces.len();
            found.pictures_with_false_detections += usize::from(!faces.is_empty());
        }
    }
    let report = Report {
        min_score: setup.options.min_detection_score,
        positives: positives.len(),
        negatives: negatives.len(),
        asked,
        found: modes.iter().zip(found).collect(),
    };
    match arguments.common.json {
        true => println!("{}", report.json()),
        false => report.print(),
    }
    Ok(())
}

/// What there is to print.
struct Report<'a> {
    min_score: f32,
    positives: usize,
    negatives: usize,
    asked: [usize; BANDS.len()],
    found: Vec<(&'a Mode, Found)>,
}

impl Report<'_> {
    fn json(&self) -> serde_json::Value {
        let mut report = serde_json::Map::new();
        report.insert("pictures".into(), json!(self.positives));
        report.insert("negatives".into(), json!(self.negatives));
        report.insert("min_score".into(), json!(self.min_score));
        for (mode, found) in &self.found {
            let bands: serde_json::Map<_, _> = (BANDS.iter().enumerate())
                .map(|(i, (band, _))| {
                    let (hits, of) = (found.hits[i], self.asked[i]);
                    (
                        (*band).to_owned(),
                        json!({"faces": of, "found": hits, "recall": rate(hits, of)}),
                    )
                })
                .collect();
            report.insert(
                mode.name.into(),
                json!({
                    "recall": bands,
                    "false_detections": found.false_detections,
                    "false_detections_per_picture": rate(found.false_detections, self.negatives),
                    "pictures_with_false_detections": found.pictures_with_false_detections,
                    "ms_per_picture": self.milliseconds(found),
                }),
            );
        }
        serde_json::Value::Object(report)
    }

    fn print(&self) {
        println!(
            "{} pictures with faces, {} without, score from {}",
            self.positives, self.negatives, self.min_score
        );
        print!("{:<20}", "recall by size");
        for ((band, _), of) in BANDS.iter().zip(self.asked) {
            print!("{:>16}", format!("{band} ({of})"));
        }
        println!("{:>18}{:>14}", "false detections", "ms a picture");
        for (mode, found) in &self.found {
            print!("{:<20}", mode.name.replace('_', " "));
            for (hits, of) in found.hits.iter().zip(self.asked) {
                let percent = rate(*hits, of).map_or("-".into(), |r| format!("{:.1} %", r * 100.0));
                print!("{:>16}", format!("{hits} = {percent}"));
            }
            println!(
                "{:>18}{:>14.1}",
                found.false_detections,
                self.milliseconds(found)
            );
        }
    }

    /// Looking alone, not decoding; of a worker that shares the machine with others.
    fn milliseconds(&self, found: &Found) -> f64 {
        let pictures = (self.positives + self.negatives).max(1);
        found.spent.as_secs_f64() * 1e3 / pictures as f64
    }
}

fn rate(hits: usize, of: usize) -> Option<f64> {
    (of > 0).then(|| hits as f64 / of as f64)
}

/// Centre within 0.4 of the box's width and height, and half to twice as wide.
pub fn is_hit(found: &Rect, face: &Rect) -> bool {
    let (a, b) = (found.centre(), face.centre());
    let ratio = found.width / face.width;
    (a.x - b.x).abs() <= 0.4 * face.width
        && (a.y - b.y).abs() <= 0.4 * face.height
        && (0.5..=2.0).contains(&ratio)
}

/// Valid boxes by picture; pictures all of whose boxes are too small stay in the list without any.
fn read_boxes(path: &Path) -> Result<BTreeMap<String, Vec<Rect>>, Failure> {
    let mut reader = csv::Reader::from_path(path).map_err(while_doing(path.display()))?;
    let mut pictures: BTreeMap<String, Vec<Rect>> = BTreeMap::new();
    for row in reader.deserialize() {
        let row: Row = row.map_err(while_doing(path.display()))?;
        let boxes = pictures.entry(row.path).or_default();
        if row.invalid == 0 && row.w.min(row.h) >= MIN_FACE {
            boxes.push(Rect {
                x: row.x,
                y: row.y,
                width: row.w,
                height: row.h,
            });
        }
    }
    Ok(pictures)
}

/// The pictures below a folder, by their names' endings, sorted.
pub fn pictures_below(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry?;
        let extension = entry
            .path()
            .extension()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let is_picture = ["jpg", "jpeg", "png", "bmp", "webp"]
            .iter()
            .any(|e| extension == *e);
        if entry.file_type().is_file() && is_picture {
            files.push(entry.into_path());
        }
    }
    match files.is_empty() {
        true => Err(format!("{}: no pictures in this folder", folder.display()).into()),
        false => Ok(files),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_as_a_hit() {
        let rect = |x, y, width, height| Rect {
            x,
            y,
            width,
            height,
        };
        let face = rect(100.0, 100.0, 50.0, 60.0);
        assert!(is_hit(&face, &face));
        assert!(is_hit(&rect(119.0, 100.0, 50.0, 60.0), &face));
        assert!(!is_hit(&rect(121.0, 100.0, 50.0, 60.0), &face));
        assert!(!is_hit(&rect(100.0, 125.0, 50.0, 60.0), &face));
        assert!(!is_hit(&rect(113.0, 100.0, 24.0, 60.0), &face));
    }
}
