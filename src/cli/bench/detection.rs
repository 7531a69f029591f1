//! `recocomp bench detection`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;
use serde_json::json;
use walkdir::WalkDir;

use super::{Common, Failure, Setup, parallel};
use crate::cli::while_doing;
use crate::recognition::{Detector, Face, Pass, Picture, Rect};

/// Recall by face size, and false detections
#[derive(Args)]
pub struct Arguments {
    /// CSV with the columns path,x,y,w,h and optionally invalid; paths are relative to its folder
    #[arg(long, value_name = "FILE")]
    boxes: PathBuf,
    /// Folder of pictures without faces, read recursively
    #[arg(long, value_name = "DIR")]
    negatives: PathBuf,
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

/// How a picture is looked at.
const MODES: [(&str, &[Pass]); 2] = [
    ("one_pass", &[Pass::FullFrame]),
    ("with_padded_pass", &[Pass::FullFrame, Pass::Padded]),
];

/// What one way of looking found.
#[derive(Clone, Default)]
struct Found {
    hits: [usize; BANDS.len()],
    false_detections: usize,
    pictures_with_false_detections: usize,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let setup = Setup::load(arguments.common.config.as_deref())?;
    let positives = read_boxes(&arguments.boxes)?;
    let folder = arguments.boxes.parent().unwrap_or(Path::new("."));
    let negatives = pictures_below(&arguments.negatives)?;
    let make = || {
        let options = setup.options;
        let detector = &setup.models.detector;
        Ok(Detector::new(
            detector,
            options.min_detection_score,
            options.threads,
        )?)
    };
    let look =
        |detector: &mut Detector, path: &Path| -> Result<(Picture, Vec<Vec<Face>>), Failure> {
            let bytes = std::fs::read(path).map_err(while_doing(path.display()))?;
            let picture = Picture::decode(&bytes, &setup.options.limits)
                .map_err(while_doing(path.display()))?;
            let mut found = Vec::new();
            for (_, passes) in MODES {
                let mut faces = Vec::new();
                for &pass in passes {
                    if faces.is_empty() {
                        faces = detector.detect(&picture, pass)?;
                    }
                }
                found.push(faces);
            }
            Ok((picture, found))
        };

    let mut found = vec![Found::default(); MODES.len()];
    let mut asked = [0usize; BANDS.len()];
    let positives: Vec<(&String, &Vec<Rect>)> = positives.iter().collect();
    let seen = parallel::map("faces", &positives, make, |detector, (name, _)| {
        let (picture, faces) = look(detector, &folder.join(name))?;
        Ok((picture.width.max(picture.height) as f32, faces))
    })?;
    for ((_, boxes), (longer, faces)) in positives.iter().zip(&seen) {
        for face in *boxes {
            let share = face.width.min(face.height) / longer;
            let Some(band) = BANDS.iter().position(|(_, below)| share < *below) else {
                continue;
            };
            asked[band] += 1;
            for (mode, faces) in faces.iter().enumerate() {
                found[mode].hits[band] +=
                    usize::from(faces.iter().any(|f| is_hit(&f.bounds, face)));
            }
        }
    }
    let empty = parallel::map("no faces", &negatives, make, |detector, path| {
        Ok(look(detector, path)?.1)
    })?;
    for faces in &empty {
        for (mode, faces) in faces.iter().enumerate() {
            found[mode].false_detections += faces.len();
            found[mode].pictures_with_false_detections += usize::from(!faces.is_empty());
        }
    }

    let rate = |hits: usize, of: usize| (of > 0).then(|| hits as f64 / of as f64);
    if arguments.common.json {
        let mut report = serde_json::Map::new();
        report.insert("pictures".into(), json!(positives.len()));
        report.insert("negatives".into(), json!(negatives.len()));
        report.insert("min_score".into(), json!(setup.options.min_detection_score));
        for ((mode, _), found) in MODES.iter().zip(&found) {
            let bands: serde_json::Map<_, _> = (BANDS.iter().enumerate())
                .map(|(i, (band, _))| {
                    let (hits, of) = (found.hits[i], asked[i]);
                    (
                        (*band).to_owned(),
                        json!({"faces": of, "found": hits, "recall": rate(hits, of)}),
                    )
                })
                .collect();
            report.insert(
                (*mode).into(),
                json!({
                    "recall": bands,
                    "false_detections": found.false_detections,
                    "false_detections_per_picture": rate(found.false_detections, negatives.len()),
                    "pictures_with_false_detections": found.pictures_with_false_detections,
                }),
            );
        }
        println!("{}", serde_json::Value::Object(report));
        return Ok(());
    }
    println!(
        "{} pictures with faces, {} without, score from {}",
        positives.len(),
        negatives.len(),
        setup.options.min_detection_score
    );
    print!("{:<18}", "recall by size");
    for ((band, _), of) in BANDS.iter().zip(asked) {
        print!("{:>16}", format!("{band} ({of})"));
    }
    println!("{:>18}", "false a picture");
    for ((mode, _), found) in MODES.iter().zip(&found) {
        print!("{:<18}", mode.replace('_', " "));
        for (hits, of) in found.hits.iter().zip(asked) {
            let percent = rate(*hits, of).map_or("-".into(), |r| format!("{:.1} %", r * 100.0));
            print!("{percent:>16}");
        }
        let false_rate = rate(found.false_detections, negatives.len()).unwrap_or(0.0);
        println!("{false_rate:>18.3}");
    }
    Ok(())
}

/// Centre within 0.4 of the box's width and height, and half to twice as wide.
fn is_hit(found: &Rect, face: &Rect) -> bool {
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
