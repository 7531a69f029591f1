//! How near somebody stands, as far as one picture tells.

use super::Picture;
use super::detect::Face;
use super::geometry::Point;

/// How large a face is, in pixels and in its picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nearness {
    /// Pixels between the centres of the eyes.
    pub eye_distance: f32,
    /// Width of the face's box as a share (0..1) of the picture's longer side; a box that reaches over the border may have more.
    pub share: f32,
}

impl Nearness {
    /// `points` begin with the eyes.
    pub(super) fn of(picture: &Picture, face: &Face, points: &[Point; 5]) -> Nearness {
        let [right_eye, left_eye, ..] = points;
        Nearness {
            eye_distance: (right_eye.x - left_eye.x).hypot(right_eye.y - left_eye.y),
            share: face.bounds.width / picture.width.max(picture.height).max(1) as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recognition::Rect;

    #[test]
    fn eyes_are_measured_in_pixels_and_the_box_by_the_longer_side() {
        let picture = Picture {
            width: 200,
            height: 400,
            rgb: vec![0; 200 * 400 * 3],
        };
        let face = Face {
            score: 1.0,
            bounds: Rect {
                x: 10.0,
                y: 10.0,
                width: 60.0,
                height: 80.0,
            },
            keypoints: [Point::new(0.0, 0.0); 6],
        };
        let mut points = [Point::new(30.0, 40.0); 5];
        points[1] = Point::new(33.0, 44.0);
        let expected = Nearness {
            eye_distance: 5.0,
            share: 0.15,
        };
        assert_eq!(Nearness::of(&picture, &face, &points), expected);
    }
}
