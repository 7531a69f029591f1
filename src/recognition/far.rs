//! Looking for small faces in tiles of the picture, and once more at each that was found.
//!
//! The constants are of `bench detection --far` on the development pictures; `models/detector.md`
//! has the figures.

use serde::{Deserialize, Serialize};

use super::detect::{Detector, Face, PADDED, PADDED_MORE, Region, SAME_FACE_IOU};
use super::{Picture, Refusal};

/// When a picture is looked at in tiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FarLooks {
    /// Never: who asks for it is refused.
    Off,
    /// Where a request asks for it.
    #[default]
    Asked,
    /// Also where nothing else finds a face.
    Always,
}

/// Shares of the network's input that the whole picture fills, one a run. Padded to half, 6 of 600
/// faces that fill the frame are missed; to a third more as well, none (`bench detection --fill`).
const SHARES: [f32; 3] = [1.0, PADDED, PADDED_MORE];
/// Into how many tiles the longer side is divided, one number a layer. With 3 in place of 4 a look
/// costs a third less and no longer finds faces of 2.5 % of the longer side.
const LAYERS: [u32; 2] = [2, 4];
/// Side of a tile as a multiple of its share of the longer side. Neighbours have at least 0.3 / 1.3
/// of a tile in common: a smaller face is whole in one of them, a larger one in the layer above.
const TILE_OF_SHARE: f64 = 1.3;
/// Most tiles of a picture: 4 and 16 of a square one, fewer of others.
const MAX_TILES: usize = 20;
/// Detections of one run of the network that are kept, the best.
const MAX_OF_A_LOOK: usize = 64;
/// Detections that are looked at once more, the best. The network runs `SHARES.len() + MAX_TILES +
/// MAX_FACES * WINDOWS.len()` times at most, 87.
const MAX_FACES: usize = 32;
/// A box of which more than this lies within a larger one of a better score is the same face: a tile
/// saw a part of it.
const SAME_FACE_NESTING: f32 = 0.7;
/// Sides of the windows of the last look, as multiples of the box's longer side. The second is for
/// faces that the first does not show again.
const WINDOWS: [f32; 2] = [3.5, 5.0];
/// Score of the last look, as a share of the least score of a detection. Of 12 false detections of
/// an early version with scores up to 0.67, 10 were not seen again at all.
const SEEN_AGAIN: f32 = 0.5;

/// Everything that the whole picture, in three sizes, and its tiles show, each face once, if it is
/// seen again in a window of its own.
pub(super) fn look(detector: &mut Detector, picture: &Picture) -> Result<Vec<Face>, Refusal> {
    let min_score = detector.min_score();
    let whole = Region::all_of(picture);
    let mut found = Vec::new();
    for share in SHARES {
        let faces = detector.look_from(picture, whole, share, min_score)?;
        found.extend(faces.into_iter().take(MAX_OF_A_LOOK));
    }
    for tile in tiles(picture.width, picture.height) {
        let faces = detector.look_from(picture, tile, 1.0, min_score)?;
        let uncut = |face: &Face| is_uncut(face, tile, picture);
        found.extend(faces.into_iter().filter(uncut).take(MAX_OF_A_LOOK));
    }
    let mut faces = Vec::new();
    for face in suppress(found).into_iter().take(MAX_FACES) {
        faces.extend(look_again(detector, picture, &face)?);
    }
    // Two parts of one face may have become the same box.
    Ok(suppress(faces))
}

/// The face as its own window shows it, with the better of both scores, or `None` where no window
/// does.
fn look_again(
    detector: &mut Detector,
    picture: &Picture,
    face: &Face,
) -> Result<Option<Face>, Refusal> {
    let min_score = detector.min_score() * SEEN_AGAIN;
    for window in WINDOWS {
        let side = face.bounds.width.max(face.bounds.height) * window;
        let Some(region) = around(face, side, picture) else {
            return Ok(None);
        };
        // At the picture's borders the window has less to show, but not larger.
        let share = (region.width.max(region.height) as f32 / side).min(1.0);
        let again = detector.look_from(picture, region, share, min_score)?;
        let best = (again.into_iter())
            .filter(|other| other.bounds.iou(&face.bounds) > SAME_FACE_IOU)
            .max_by(|a, b| a.score.total_cmp(&b.score));
        if let Some(again) = best {
            return Ok(Some(Face {
                score: again.score.max(face.score),
                ..again
            }));
        }
    }
    Ok(None)
}

/// The square of `side` pixels around a face, as far as the picture reaches.
fn around(face: &Face, side: f32, picture: &Picture) -> Option<Region> {
    let centre = face.bounds.centre();
    let cut = |centre: f32, limit: u32| {
        let from = (centre - side / 2.0).round().clamp(0.0, limit as f32) as u32;
        let to = (centre + side / 2.0).round().clamp(0.0, limit as f32) as u32;
        (to > from).then(|| (from, to - from))
    };
    let (left, width) = cut(centre.x, picture.width)?;
    let (top, height) = cut(centre.y, picture.height)?;
    Some(Region {
        left,
        top,
        width,
        height,
    })
}

/// The tiles of a picture: squares, or what is left of one where the picture is narrower, spread
/// evenly so that the outer ones end where the picture does.
fn tiles(width: u32, height: u32) -> Vec<Region> {
    let mut tiles = Vec::with_capacity(MAX_TILES);
    for layer in LAYERS {
        let longer = f64::from(width.max(height));
        let side = (longer * TILE_OF_SHARE / f64::from(layer)).ceil() as u32;
        let columns = starts(width, side);
        for top in starts(height, side) {
            tiles.extend(columns.iter().map(|&left| Region {
                left,
                top,
                width: side.min(width),
                height: side.min(height),
            }));
        }
    }
    tiles.truncate(MAX_TILES);
    tiles
}

/// Where tiles of `side` pixels start along `length` pixels.
fn starts(length: u32, side: u32) -> Vec<u32> {
    let room = length.saturating_sub(side);
    let step = f64::from(side) / TILE_OF_SHARE;
    let steps = (f64::from(room) / step).ceil() as u32;
    (0..=steps)
        .map(|i| (f64::from(room) * f64::from(i) / f64::from(steps.max(1))).round() as u32)
        .collect()
}

/// Whether a face of `tile` reaches over none of its borders, other than the picture's own. One that
/// does is cut: its box is a guess, and a neighbour or the layer above has it whole.
fn is_uncut(face: &Face, tile: Region, picture: &Picture) -> bool {
    let b = face.bounds;
    let within = |start: f32, length: f32, from: u32, to: u32, limit: u32| {
        (from == 0 || start >= from as f32) && (to >= limit || start + length <= to as f32)
    };
    let (right, bottom) = (tile.left + tile.width, tile.top + tile.height);
    within(b.x, b.width, tile.left, right, picture.width)
        && within(b.y, b.height, tile.top, bottom, picture.height)
}

/// Of detections of one face the one with the best score stays, as it is: their mean would mix a
/// sharp look with coarse ones. A larger box around one of a better score stays as well: the smaller
/// may be a bystander before somebody who fills the frame. Best first.
fn suppress(mut found: Vec<Face>) -> Vec<Face> {
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut faces: Vec<Face> = Vec::new();
    for face in found {
        let same = |other: &Face| {
            let is_part = face.bounds.area() <= other.bounds.area()
                && other.bounds.nesting(&face.bounds) > SAME_FACE_NESTING;
            is_part || other.bounds.iou(&face.bounds) > SAME_FACE_IOU
        };
        if !faces.iter().any(same) {
            faces.push(face);
        }
    }
    faces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recognition::{Point, Rect};

    fn face(x: f32, y: f32, side: f32, score: f32) -> Face {
        Face {
            score,
            bounds: Rect {
                x,
                y,
                width: side,
                height: side,
            },
            keypoints: [Point::new(x, y); 6],
        }
    }

    fn picture(width: u32, height: u32) -> Picture {
        Picture {
            width,
            height,
            rgb: vec![127; (width * height * 3) as usize],
        }
    }

    #[test]
    fn tiles_cover_pictures_of_every_shape_within_their_bound() {
        let shapes = [
            (1000, 1000),
            (640, 480),
            (480, 640),
            (1920, 1080),
            (16, 16),
            (17, 40000),
            (40000, 17),
            (999, 331),
        ];
        for (width, height) in shapes {
            let tiles = tiles(width, height);
            assert!(tiles.len() <= MAX_TILES, "{width}x{height}");
            for &part in &tiles {
                assert!(part.width > 0 && part.left + part.width <= width);
                assert!(part.height > 0 && part.top + part.height <= height);
            }
            let corners = [(0, 0), (width, 0), (0, height), (width, height)];
            for (x, y) in corners {
                let touches = |t: &&Region| {
                    (t.left == x || t.left + t.width == x) && (t.top == y || t.top + t.height == y)
                };
                assert_eq!(tiles.iter().filter(touches).count(), LAYERS.len());
            }
        }
        assert_eq!(tiles(1000, 1000).len(), MAX_TILES);
    }

    #[test]
    fn every_face_up_to_the_overlap_is_whole_in_some_tile_of_each_layer() {
        let (width, height) = (1000u32, 750);
        let frame = picture(width, height);
        for layer in LAYERS {
            let tile_side = (1000.0 * TILE_OF_SHARE / f64::from(layer)).ceil() as u32;
            let side = (f64::from(tile_side) * 0.3 / 1.3).floor() as f32;
            let own: Vec<Region> = (tiles(width, height).into_iter())
                .filter(|t| t.width.max(t.height) == tile_side)
                .collect();
            for x in (0..=(width - side as u32)).step_by(7) {
                for y in (0..=(height - side as u32)).step_by(7) {
                    let one = face(x as f32, y as f32, side, 0.9);
                    let seen = |t: &&Region| {
                        is_uncut(&one, **t, &frame)
                            && x >= t.left
                            && y >= t.top
                            && x as f32 + side <= (t.left + t.width) as f32
                            && y as f32 + side <= (t.top + t.height) as f32
                    };
                    assert!(own.iter().any(|t| seen(&t)), "layer {layer}, {x} {y}");
                }
            }
        }
    }

    #[test]
    fn a_face_cut_by_a_tile_is_left_to_others_and_one_cut_by_the_picture_is_not() {
        let frame = picture(1000, 1000);
        let tile = Region {
            left: 0,
            top: 350,
            width: 650,
            height: 650,
        };
        assert!(is_uncut(&face(100.0, 400.0, 80.0, 0.9), tile, &frame));
        assert!(is_uncut(&face(-10.0, 950.0, 80.0, 0.9), tile, &frame));
        assert!(!is_uncut(&face(600.0, 400.0, 80.0, 0.9), tile, &frame));
        assert!(!is_uncut(&face(100.0, 340.0, 80.0, 0.9), tile, &frame));
    }

    #[test]
    fn parts_of_a_face_and_second_sights_go_and_neighbours_stay() {
        let best = face(100.0, 100.0, 100.0, 0.9);
        let shifted = face(120.0, 110.0, 100.0, 0.8);
        let part = face(150.0, 150.0, 45.0, 0.7);
        let neighbour = face(205.0, 100.0, 90.0, 0.6);
        let kept = suppress(vec![neighbour, part, shifted, best]);
        assert_eq!(kept.len(), 2);
        assert_eq!(kept[0].bounds, best.bounds);
        assert_eq!(kept[1].bounds, neighbour.bounds);
    }

    #[test]
    fn a_bystander_with_a_better_score_never_hides_the_face_around_it() {
        let near = face(0.0, 0.0, 500.0, 0.7);
        let bystander = face(400.0, 10.0, 60.0, 0.95);
        let kept = suppress(vec![near, bystander]);
        let sides: Vec<f32> = kept.iter().map(|f| f.bounds.width).collect();
        assert_eq!(sides, [60.0, 500.0]);
    }

    #[test]
    fn a_window_ends_where_the_picture_does() {
        let frame = picture(200, 100);
        let region = around(&face(150.0, 20.0, 40.0, 0.9), 140.0, &frame).unwrap();
        assert_eq!((region.left, region.width), (100, 100));
        assert_eq!((region.top, region.height), (0, 100));
        assert!(around(&face(400.0, 20.0, 40.0, 0.9), 140.0, &frame).is_none());
    }
}
