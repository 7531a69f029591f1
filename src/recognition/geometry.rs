//! Points, boxes and similarity transforms in pixels; the centre of the top left pixel is (0, 0).

use serde::Serialize;

/// A network's coordinate, in pixels of its input, rounded to a sixteenth.
///
/// Processors round floating-point sums differently, so that what networks answer differs in its last bits. Of a place rounded like
/// this all of them cut the same pixels out of the picture, but for the few values that lie between two steps; and the same pixels
/// matter, because an int8 network makes a visible difference of an invisible one.
pub fn settle(coordinate: f32) -> f32 {
    const STEPS: f32 = 16.0;
    (coordinate * STEPS).round() / STEPS
}

/// Pixels, x to the right and y down.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    pub x: f32,
    pub y: f32,
}

impl Point {
    pub const fn new(x: f32, y: f32) -> Point {
        Point { x, y }
    }
}

/// A box in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rect {
    pub x: f32,
    pub y: f32,
    pub width: f32,
    pub height: f32,
}

impl Rect {
    pub fn centre(&self) -> Point {
        Point::new(self.x + self.width / 2.0, self.y + self.height / 2.0)
    }

    /// Square pixels.
    pub fn area(&self) -> f32 {
        self.width * self.height
    }

    /// Intersection over union, 0..1.
    pub fn iou(&self, other: &Rect) -> f32 {
        let shared = self.shared(other);
        shared / (self.area() + other.area() - shared).max(f32::EPSILON)
    }

    /// How much of the smaller of the two lies within the other, 0..1.
    pub fn nesting(&self, other: &Rect) -> f32 {
        self.shared(other) / self.area().min(other.area()).max(f32::EPSILON)
    }

    /// Square pixels that both have.
    fn shared(&self, other: &Rect) -> f32 {
        let width = (self.x + self.width).min(other.x + other.width) - self.x.max(other.x);
        let height = (self.y + self.height).min(other.y + other.height) - self.y.max(other.y);
        width.max(0.0) * height.max(0.0)
    }
}

/// Rotation, uniform scale and shift: `x' = a x - b y + tx`, `y' = b x + a y + ty`.
#[derive(Clone, Copy, Debug)]
pub struct Similarity {
    pub a: f32,
    pub b: f32,
    pub tx: f32,
    pub ty: f32,
}

impl Similarity {
    /// The transform that brings `from` closest to `to` in the sense of least squares, reflections
    /// excluded: Umeyama, "Least-squares estimation of transformation parameters between two point
    /// patterns" (1991), in two dimensions, where it has this closed form.
    ///
    /// `None` when all points of `from` coincide.
    pub fn fit(from: &[Point; 5], to: &[Point; 5]) -> Option<Similarity> {
        let (from_mean, to_mean) = (mean(from), mean(to));
        let (mut dot, mut cross, mut square) = (0.0f32, 0.0f32, 0.0f32);
        for (p, q) in from.iter().zip(to) {
            let (px, py) = (p.x - from_mean.x, p.y - from_mean.y);
            let (qx, qy) = (q.x - to_mean.x, q.y - to_mean.y);
            dot += px * qx + py * qy;
            cross += px * qy - py * qx;
            square += px * px + py * py;
        }
        if !square.is_finite() || square <= f32::EPSILON {
            return None;
        }
        let (a, b) = (dot / square, cross / square);
        Some(Similarity {
            a,
            b,
            tx: to_mean.x - a * from_mean.x + b * from_mean.y,
            ty: to_mean.y - b * from_mean.x - a * from_mean.y,
        })
    }

    /// Brings a square of `side` pixels around `centre`, whose x axis points along (`cos`, `sin`),
    /// to `size` pixels, upright.
    pub fn upright_crop(centre: Point, side: f32, cos: f32, sin: f32, size: f32) -> Similarity {
        let scale = size / side;
        let (a, b) = (scale * cos, -scale * sin);
        Similarity {
            a,
            b,
            tx: size / 2.0 - a * centre.x + b * centre.y,
            ty: size / 2.0 - b * centre.x - a * centre.y,
        }
    }

    pub fn apply(&self, p: Point) -> Point {
        Point::new(
            self.a * p.x - self.b * p.y + self.tx,
            self.b * p.x + self.a * p.y + self.ty,
        )
    }

    /// The way back, or `None` if the transform squeezes everything to a point.
    pub fn inverse(&self) -> Option<Similarity> {
        let square = self.a * self.a + self.b * self.b;
        if !square.is_normal() {
            return None;
        }
        let (a, b) = (self.a / square, -self.b / square);
        Some(Similarity {
            a,
            b,
            tx: -(a * self.tx - b * self.ty),
            ty: -(b * self.tx + a * self.ty),
        })
    }

    /// Pixels of the result for one pixel of the source.
    pub fn scale(&self) -> f32 {
        self.a.hypot(self.b)
    }
}

fn mean(points: &[Point; 5]) -> Point {
    let sum = (points.iter()).fold((0.0, 0.0), |(x, y), p| (x + p.x, y + p.y));
    Point::new(sum.0 / 5.0, sum.1 / 5.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINTS: [Point; 5] = [
        Point::new(10.0, 12.0),
        Point::new(40.0, 11.0),
        Point::new(25.0, 30.0),
        Point::new(14.0, 44.0),
        Point::new(37.0, 45.0),
    ];

    #[test]
    fn fit_recovers_a_known_transform_and_inverse_undoes_it() {
        let known = Similarity {
            a: 0.8,
            b: -0.6,
            tx: 7.0,
            ty: -3.0,
        };
        let fitted = Similarity::fit(&POINTS, &POINTS.map(|p| known.apply(p))).unwrap();
        let back = fitted.inverse().unwrap();
        assert!((fitted.scale() - 1.0).abs() < 1e-5);
        for p in POINTS {
            let there = known.apply(p);
            let seen = fitted.apply(p);
            let home = back.apply(seen);
            assert!((seen.x - there.x).abs() < 1e-3 && (seen.y - there.y).abs() < 1e-3);
            assert!((home.x - p.x).abs() < 1e-3 && (home.y - p.y).abs() < 1e-3);
        }
    }

    #[test]
    fn a_crop_puts_the_centre_in_the_middle_and_turns_the_face_upright() {
        let (sin, cos) = 0.3f32.sin_cos();
        let crop = Similarity::upright_crop(Point::new(50.0, 60.0), 20.0, cos, sin, 192.0);
        let middle = crop.apply(Point::new(50.0, 60.0));
        assert!((middle.x - 96.0).abs() < 1e-3 && (middle.y - 96.0).abs() < 1e-3);
        let along = crop.apply(Point::new(50.0 + cos, 60.0 + sin));
        assert!((along.y - 96.0).abs() < 1e-3 && along.x > 96.0);
    }

    #[test]
    fn points_in_one_place_have_no_transform() {
        assert!(Similarity::fit(&[Point::new(3.0, 3.0); 5], &POINTS).is_none());
    }

    #[test]
    fn iou_and_nesting_of_known_boxes() {
        let rect = |x, y, width, height| Rect {
            x,
            y,
            width,
            height,
        };
        let unit = rect(0.0, 0.0, 10.0, 10.0);
        assert!((unit.iou(&unit) - 1.0).abs() < 1e-6);
        assert!((unit.iou(&rect(5.0, 0.0, 10.0, 10.0)) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(unit.iou(&rect(20.0, 20.0, 5.0, 5.0)), 0.0);
        // A quarter of the small box lies within the large one.
        assert!((unit.nesting(&rect(8.0, 8.0, 4.0, 4.0)) - 0.25).abs() < 1e-6);
    }
}
