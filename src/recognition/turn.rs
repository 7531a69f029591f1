//! Pictures that lie on their side or upside down without saying so.

use super::Picture;
use super::Refusal;
use super::detect::{Detector, Face};
use super::geometry::{Point, Rect};

/// Score (0..1) below which a face may be one that the detector made up out of a turned one. Of 60 pictures of LFW it gave 48 upright
/// faces more; of the same pictures at their three other turns, 2 of 180.
const SURE: f32 = 0.75;

/// How far a picture must be turned clockwise for its faces to stand upright.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Turn {
    #[default]
    None,
    Quarter,
    Half,
    ThreeQuarters,
}

impl Turn {
    /// Those that turn something.
    pub const REAL: [Turn; 3] = [Turn::Quarter, Turn::Half, Turn::ThreeQuarters];

    /// Where a point of the turned square was before; the square's sides are 1.
    fn point_back(self, p: Point) -> Point {
        match self {
            Turn::None => p,
            Turn::Quarter => Point::new(p.y, 1.0 - p.x),
            Turn::Half => Point::new(1.0 - p.x, 1.0 - p.y),
            Turn::ThreeQuarters => Point::new(1.0 - p.y, p.x),
        }
    }

    /// A face of the turned square, in coordinates of the square before.
    pub(super) fn face_back(self, face: &Face) -> Face {
        let b = face.bounds;
        let near = self.point_back(Point::new(b.x, b.y));
        let far = self.point_back(Point::new(b.x + b.width, b.y + b.height));
        Face {
            score: face.score,
            bounds: Rect {
                x: near.x.min(far.x),
                y: near.y.min(far.y),
                width: (near.x - far.x).abs(),
                height: (near.y - far.y).abs(),
            },
            keypoints: face.keypoints.map(|p| self.point_back(p)),
        }
    }

    /// Turns pixels of three bytes; the longer of both sides may become the other one.
    pub(super) fn pixels(self, width: usize, height: usize, rgb: &[u8]) -> Vec<u8> {
        let (across, down) = match self {
            Turn::None | Turn::Half => (width, height),
            Turn::Quarter | Turn::ThreeQuarters => (height, width),
        };
        let mut turned = Vec::with_capacity(rgb.len());
        for y in 0..down {
            for x in 0..across {
                let (from_x, from_y) = match self {
                    Turn::None => (x, y),
                    Turn::Quarter => (y, height - 1 - x),
                    Turn::Half => (width - 1 - x, height - 1 - y),
                    Turn::ThreeQuarters => (width - 1 - y, x),
                };
                let at = 3 * (from_y * width + from_x);
                turned.extend_from_slice(&rgb[at..at + 3]);
            }
        }
        turned
    }

    /// The picture turned, and where `face` is in it.
    pub(super) fn picture(self, picture: &Picture, face: &Face) -> (Picture, Face) {
        let (width, height) = (picture.width as usize, picture.height as usize);
        let rgb = self.pixels(width, height, &picture.rgb);
        let (w, h) = (picture.width as f32, picture.height as f32);
        let forward = |p: Point| match self {
            Turn::None => p,
            Turn::Quarter => Point::new(h - p.y, p.x),
            Turn::Half => Point::new(w - p.x, h - p.y),
            Turn::ThreeQuarters => Point::new(p.y, w - p.x),
        };
        let b = face.bounds;
        let (near, far) = (
            forward(Point::new(b.x, b.y)),
            forward(Point::new(b.x + b.width, b.y + b.height)),
        );
        let (width, height) = match self {
            Turn::None | Turn::Half => (picture.width, picture.height),
            Turn::Quarter | Turn::ThreeQuarters => (picture.height, picture.width),
        };
        let face = Face {
            score: face.score,
            bounds: Rect {
                x: near.x.min(far.x),
                y: near.y.min(far.y),
                width: (near.x - far.x).abs(),
                height: (near.y - far.y).abs(),
            },
            keypoints: face.keypoints.map(forward),
        };
        (Picture { width, height, rgb }, face)
    }
}

/// Whether the line between the eyes is within 45 degrees of level, the person's left eye on the right.
pub(super) fn is_upright(face: &Face) -> bool {
    let [right_eye, left_eye, ..] = face.keypoints;
    let (dx, dy) = (left_eye.x - right_eye.x, left_eye.y - right_eye.y);
    dx > 0.0 && dy.abs() <= dx
}

/// Whether the face that counts, the first, may be one of a turned picture.
pub(super) fn is_doubtful(faces: &[Face]) -> bool {
    faces
        .first()
        .is_some_and(|face| face.score < SURE || !is_upright(face))
}

/// What stands upright as the picture is (`upright`) and at its other turns, the turn with the face of the best score first; turns
/// that show nobody are left out. The picture's longer side fills `share` (0..1) of the network's input.
///
/// # Errors
/// The network failed.
pub(super) fn all(
    detector: &mut Detector,
    picture: &Picture,
    share: f32,
    upright: &[Face],
) -> Result<Vec<(Turn, Vec<Face>)>, Refusal> {
    let standing = upright.iter().copied().filter(is_upright).collect();
    let mut views = vec![(Turn::None, standing)];
    for turn in Turn::REAL {
        views.push((turn, detector.look_turned(picture, share, turn)?));
    }
    views.retain(|(_, faces)| !faces.is_empty());
    views.sort_by(|(_, a), (_, b)| best_score(b).total_cmp(&best_score(a)));
    Ok(views)
}

/// Whether the detector is sure of a face.
pub(super) fn is_sure(faces: &[Face]) -> bool {
    best_score(faces) >= SURE
}

fn best_score(faces: &[Face]) -> f32 {
    faces.iter().map(|face| face.score).fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(x: f32, y: f32) -> Face {
        let right_eye = Point::new(x + 1.0, y + 1.0);
        let left_eye = Point::new(x + 3.0, y + 1.0);
        Face {
            score: 0.9,
            bounds: Rect {
                x,
                y,
                width: 4.0,
                height: 6.0,
            },
            keypoints: [
                right_eye, left_eye, right_eye, right_eye, right_eye, left_eye,
            ],
        }
    }

    #[test]
    fn pixels_turn_clockwise() {
        // 2x3 pixels, numbered in rows.
        let rgb: Vec<u8> = (0..6).flat_map(|n| [n; 3]).collect();
        let numbers = |turned: Vec<u8>| turned.chunks(3).map(|p| p[0]).collect::<Vec<_>>();
        assert_eq!(numbers(Turn::None.pixels(2, 3, &rgb)), [0, 1, 2, 3, 4, 5]);
        assert_eq!(
            numbers(Turn::Quarter.pixels(2, 3, &rgb)),
            [4, 2, 0, 5, 3, 1]
        );
        assert_eq!(numbers(Turn::Half.pixels(2, 3, &rgb)), [5, 4, 3, 2, 1, 0]);
        assert_eq!(
            numbers(Turn::ThreeQuarters.pixels(2, 3, &rgb)),
            [1, 3, 5, 0, 2, 4]
        );
    }

    #[test]
    fn a_face_found_in_a_turned_square_is_where_it_is_in_the_picture() {
        let picture = Picture {
            width: 16,
            height: 16,
            rgb: vec![0; 16 * 16 * 3],
        };
        for turn in Turn::REAL {
            let here = face(2.0, 5.0);
            let (_, there) = turn.picture(&picture, &here);
            let scaled = |face: &Face, by: f32| Face {
                score: face.score,
                bounds: Rect {
                    x: face.bounds.x * by,
                    y: face.bounds.y * by,
                    width: face.bounds.width * by,
                    height: face.bounds.height * by,
                },
                keypoints: face.keypoints.map(|p| Point::new(p.x * by, p.y * by)),
            };
            let back = scaled(&turn.face_back(&scaled(&there, 1.0 / 16.0)), 16.0);
            assert!(
                (back.bounds.x - 2.0).abs() < 1e-3 && (back.bounds.y - 5.0).abs() < 1e-3,
                "{turn:?}"
            );
            assert!(
                (back.bounds.width - 4.0).abs() < 1e-3 && (back.bounds.height - 6.0).abs() < 1e-3
            );
            assert!((back.keypoints[0].x - here.keypoints[0].x).abs() < 1e-3);
            assert!((back.keypoints[1].y - here.keypoints[1].y).abs() < 1e-3);
        }
    }

    #[test]
    fn upright_is_within_45_degrees() {
        let mut tilted = face(0.0, 0.0);
        assert!(is_upright(&tilted));
        tilted.keypoints[1] = Point::new(2.0, 3.5);
        assert!(!is_upright(&tilted));
        tilted.keypoints.swap(0, 1);
        assert!(!is_upright(&tilted));
    }
}
