//! `recocomp bench detection --fill`: faces that fill the frame.

use std::path::Path;

use serde_json::json;

use super::detection::{
    Eyes, FAR_RECOGNISABLE, Mode, ONE_PASS, PADDED, PLAIN, is_hit, pictures_below,
};
use super::{Failure, Setup, parallel};
use crate::cli::while_doing;
use crate::recognition::{Face, Picture, Rect};

/// The ways of looking at a picture that is all face. The two last are what requests do without and
/// with `far`.
const MODES: [Mode; 4] = [ONE_PASS, PADDED, PLAIN, FAR_RECOGNISABLE];

/// Cuts the first `count` pictures of `folder` down to the box of the face nearest to the middle, and
/// prints in how many of these a face of about the picture's own size is found.
pub fn run(setup: &Setup, folder: &Path, count: usize, as_json: bool) -> Result<(), Failure> {
    let mut pictures = pictures_below(folder)?;
    pictures.truncate(count);
    let make = || Eyes::new(setup);
    let seen = parallel::map("filled", &pictures, make, |eyes, path| {
        let bytes = std::fs::read(path).map_err(while_doing(path.display()))?;
        let picture =
            Picture::decode(&bytes, &setup.options.limits).map_err(while_doing(path.display()))?;
        let faces = eyes.look(&picture, &PLAIN)?;
        let Some(filled) = central(&faces, &picture).and_then(|face| cut(&picture, face)) else {
            return Ok(None);
        };
        let frame = Rect {
            x: 0.0,
            y: 0.0,
            width: filled.width as f32,
            height: filled.height as f32,
        };
        let mut found = [false; MODES.len()];
        for (found, mode) in found.iter_mut().zip(&MODES) {
            let faces = eyes.look(&filled, mode)?;
            *found = faces.iter().any(|face| is_hit(&face.bounds, &frame));
        }
        Ok(Some(found))
    })?;
    let filled: Vec<_> = seen.iter().flatten().collect();
    let found = |mode: usize| filled.iter().filter(|found| found[mode]).count();
    if as_json {
        let mut report = serde_json::Map::new();
        report.insert("pictures".into(), json!(pictures.len()));
        report.insert("filled".into(), json!(filled.len()));
        for (index, mode) in MODES.iter().enumerate() {
            report.insert(mode.name.into(), json!(found(index)));
        }
        println!("{}", serde_json::Value::Object(report));
        return Ok(());
    }
    println!(
        "{} pictures, {} with a face, cut down to its box",
        pictures.len(),
        filled.len()
    );
    for (index, mode) in MODES.iter().enumerate() {
        println!("{:<20}{:>6}", mode.name.replace('_', " "), found(index));
    }
    for (path, found) in pictures.iter().zip(&seen) {
        // One pass is not expected to find them.
        let missed: Vec<String> = match found {
            Some(found) => (MODES.iter().zip(found).skip(1))
                .filter(|(_, found)| !**found)
                .map(|(mode, _)| mode.name.replace('_', " "))
                .collect(),
            None => vec!["the whole picture".to_owned()],
        };
        if !missed.is_empty() {
            println!("missed: {} ({})", path.display(), missed.join(", "));
        }
    }
    Ok(())
}

/// The face nearest to the middle: whom the picture is of.
fn central<'a>(faces: &'a [Face], picture: &Picture) -> Option<&'a Face> {
    let (x, y) = (picture.width as f32 / 2.0, picture.height as f32 / 2.0);
    let offset = |face: &Face| {
        let centre = face.bounds.centre();
        (centre.x - x).hypot(centre.y - y)
    };
    faces.iter().min_by(|a, b| offset(a).total_cmp(&offset(b)))
}

/// What of the picture lies in the face's box.
fn cut(picture: &Picture, face: &Face) -> Option<Picture> {
    let ends = |start: f32, length: f32, limit: u32| {
        let from = start.round().clamp(0.0, limit as f32) as usize;
        let to = (start + length).round().clamp(0.0, limit as f32) as usize;
        (to > from).then_some((from, to))
    };
    let b = face.bounds;
    let (left, right) = ends(b.x, b.width, picture.width)?;
    let (top, bottom) = ends(b.y, b.height, picture.height)?;
    let row = picture.width as usize * 3;
    let rgb = (picture.rgb.chunks_exact(row).take(bottom).skip(top))
        .flat_map(|line| &line[left * 3..right * 3])
        .copied()
        .collect();
    Some(Picture {
        width: u32::try_from(right - left).ok()?,
        height: u32::try_from(bottom - top).ok()?,
        rgb,
    })
}
