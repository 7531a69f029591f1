//! The pixels that belong to the face.

use crate::recognition::geometry::{Point, Similarity};
use crate::recognition::landmarks::Mesh;
use crate::recognition::picture::Picture;

/// The mesh points around the face, in order (MediaPipe's face oval).
const OVAL: [usize; 36] = [
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152,
    148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
];

/// Brightness of the aligned face and which of its pixels show the face.
pub struct Region {
    pub side: usize,
    /// Luma (BT.601) of each pixel, 0..255.
    pub luma: Vec<u8>,
    /// Pixels inside the oval and inside the picture.
    pub inside: Vec<bool>,
}

impl Region {
    pub fn of(
        picture: &Picture,
        mesh: &Mesh,
        aligned: &[u8],
        side: usize,
        alignment: &Similarity,
    ) -> Region {
        let oval = OVAL.map(|index| {
            let [x, y, _] = mesh.point(index);
            alignment.apply(Point::new(x, y))
        });
        let back = alignment.inverse();
        let luma = (aligned.chunks_exact(3))
            .map(|p| {
                let sum = 77 * u32::from(p[0]) + 150 * u32::from(p[1]) + 29 * u32::from(p[2]);
                (sum >> 8) as u8
            })
            .collect();
        let mut inside = vec![false; side * side];
        for (row, line) in inside.chunks_exact_mut(side).enumerate() {
            let y = row as f32;
            for (left, right) in crossings(&oval, y) {
                let from = left.ceil().clamp(0.0, side as f32) as usize;
                let to = (right.floor() + 1.0).clamp(0.0, side as f32) as usize;
                for (column, pixel) in line.iter_mut().enumerate().take(to).skip(from) {
                    // Black around the picture is no dark face.
                    *pixel = back.is_some_and(|back| {
                        let p = back.apply(Point::new(column as f32, y));
                        let (width, height) = (picture.width as f32, picture.height as f32);
                        p.x >= 0.0 && p.y >= 0.0 && p.x <= width - 1.0 && p.y <= height - 1.0
                    });
                }
            }
        }
        Region { side, luma, inside }
    }

    /// Luma of every pixel of the face.
    pub fn face(&self) -> impl Iterator<Item = u8> {
        (self.luma.iter().zip(&self.inside)).filter_map(|(luma, inside)| inside.then_some(*luma))
    }
}

/// Spans of the row at `y` inside the polygon, from left to right.
fn crossings(polygon: &[Point], y: f32) -> Vec<(f32, f32)> {
    let next = polygon.iter().cycle().skip(1);
    let mut xs: Vec<f32> = (polygon.iter().zip(next))
        .filter(|(a, b)| (a.y <= y) != (b.y <= y))
        .map(|(a, b)| a.x + (y - a.y) / (b.y - a.y) * (b.x - a.x))
        .collect();
    xs.sort_by(f32::total_cmp);
    xs.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A region that is all face.
    pub fn plain(side: usize, luma: impl Fn(usize, usize) -> u8) -> Region {
        let pixel = |i: usize| luma(i % side, i / side);
        Region {
            side,
            luma: (0..side * side).map(pixel).collect(),
            inside: vec![true; side * side],
        }
    }

    #[test]
    fn a_row_crosses_a_square_once_and_a_fork_twice() {
        let p = Point::new;
        let square = [p(10.0, 10.0), p(20.0, 10.0), p(20.0, 20.0), p(10.0, 20.0)];
        assert_eq!(crossings(&square, 15.0), [(10.0, 20.0)]);
        assert_eq!(crossings(&square, 25.0), []);
        let fork = [
            p(0.0, 0.0),
            p(10.0, 0.0),
            p(10.0, 10.0),
            p(5.0, 1.0),
            p(0.0, 10.0),
        ];
        assert_eq!(crossings(&fork, 9.0).len(), 2);
        assert_eq!(crossings(&[p(f32::NAN, f32::NAN); 3], 1.0), []);
    }
}
