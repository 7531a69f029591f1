//! By what a picture is known again.

use sha2::{Digest, Sha256};

use super::detect::Face;
use super::geometry::Rect;
use super::scale::{FilterType, ResizeAlg, Scaler};
use super::{Picture, Refusal};

/// Longer side of a [`View`].
const SIDE: u32 = 160;
/// One less the correlation of two views' faces, from which they are two pictures. Of 149 pairs of neighbouring frames of one person none
/// is below (the least 0.00053), and no copy of a picture of 640 pixels above (the most 0.00046): docs/guide/door.md.
const OTHER: f64 = 0.0005;
/// Grey values that a brighter or darker copy cuts off say nothing.
const UNCUT: std::ops::RangeInclusive<u8> = 13..=224;
/// Share of the face that must be uncut in both views.
const MIN_UNCUT: f64 = 0.5;

/// What is left of a picture by which the same one is known again.
#[derive(Clone, Debug)]
pub struct Trace {
    /// SHA-256 of the file.
    pub file: [u8; 32],
    /// SHA-256 of the aligned face's pixels: the same in a file with other metadata or another lossless compression.
    pub face: [u8; 32],
    /// Shows what the face looks like, so it is never written down.
    view: View,
}

/// A picture, small and grey, and where the face is in it.
#[derive(Clone, Debug)]
struct View {
    width: usize,
    grey: Vec<u8>,
    face: Rect,
}

impl Trace {
    /// `file` as it was before base64; `aligned` as the embedder gets it.
    ///
    /// # Errors
    /// None that a picture could cause.
    pub fn of(
        file: &[u8],
        picture: &Picture,
        face: &Face,
        aligned: &[u8],
        scaler: &mut Scaler,
    ) -> Result<Trace, Refusal> {
        Ok(Trace {
            file: Sha256::digest(file).into(),
            face: Sha256::digest(aligned).into(),
            view: View::of(picture, face, scaler).map_err(Refusal::InvalidImage)?,
        })
    }

    /// 0 for what differs in nothing but brightness and contrast, some 1e-4 for another encoding or size of one picture, 1e-3 for the
    /// next frame of a living person; `None` for pictures of different shapes.
    pub fn distance(&self, other: &Trace) -> Option<f64> {
        self.view.distance(&other.view)
    }

    /// Whether both are of one picture, encoded anew, made smaller, brighter or noisy. A crop is another picture.
    pub fn is_like(&self, other: &Trace) -> bool {
        self.distance(other)
            .is_some_and(|distance| distance < OTHER)
    }

    /// One that is like no other.
    #[cfg(test)]
    pub(crate) fn of_hashes(file: [u8; 32], face: [u8; 32]) -> Trace {
        let view = View {
            width: 0,
            grey: Vec::new(),
            face: Rect {
                x: 0.0,
                y: 0.0,
                width: 0.0,
                height: 0.0,
            },
        };
        Trace { file, face, view }
    }
}

impl View {
    fn of(picture: &Picture, face: &Face, scaler: &mut Scaler) -> Result<View, String> {
        let scale = SIDE as f32 / picture.width.max(picture.height) as f32;
        let fit = |side: u32| ((side as f32 * scale).round() as u32).max(1);
        let size = (fit(picture.width), fit(picture.height));
        let whole = Rect {
            x: 0.0,
            y: 0.0,
            width: picture.width as f32,
            height: picture.height as f32,
        };
        // Of the filters of this library the one whose answer hangs least on the size that the picture came in.
        let small = scaler.scale(
            picture,
            &whole,
            size,
            ResizeAlg::Convolution(FilterType::Bilinear),
        )?;
        // BT.601, as in JPEG.
        let grey = (small.chunks_exact(3)).map(|p| {
            (f32::from(p[0]) * 0.299 + f32::from(p[1]) * 0.587 + f32::from(p[2]) * 0.114 + 0.5)
                as u8
        });
        Ok(View {
            width: size.0 as usize,
            grey: grey.collect(),
            face: Rect {
                x: face.bounds.x * scale,
                y: face.bounds.y * scale,
                width: face.bounds.width * scale,
                height: face.bounds.height * scale,
            },
        })
    }

    fn distance(&self, other: &View) -> Option<f64> {
        if self.width == 0 || self.width != other.width || self.grey.len() != other.grey.len() {
            return None;
        }
        let rows = self.grey.len() / self.width;
        let span = |from: f32, length: f32, most: usize| {
            let end = (from + length).clamp(0.0, most as f32) as usize;
            (from.clamp(0.0, most as f32) as usize)..end
        };
        let columns = span(self.face.x, self.face.width, self.width);
        let (mut all, mut pairs) = (0usize, Vec::new());
        for row in span(self.face.y, self.face.height, rows) {
            for at in columns.clone().map(|column| row * self.width + column) {
                let (a, b) = (*self.grey.get(at)?, *other.grey.get(at)?);
                all += 1;
                if UNCUT.contains(&a) && UNCUT.contains(&b) {
                    pairs.push((f64::from(a), f64::from(b)));
                }
            }
        }
        if (pairs.len() as f64) < all as f64 * MIN_UNCUT || pairs.is_empty() {
            return None;
        }
        let n = pairs.len() as f64;
        let (sum_a, sum_b) = (pairs.iter()).fold((0.0, 0.0), |(a, b), p| (a + p.0, b + p.1));
        let (mean_a, mean_b) = (sum_a / n, sum_b / n);
        let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
        for (a, b) in pairs {
            let (a, b) = (a - mean_a, b - mean_b);
            ab += a * b;
            aa += a * a;
            bb += b * b;
        }
        let length = (aa * bb).sqrt();
        (length > 0.0).then(|| 1.0 - ab / length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recognition::Point;

    /// Waves, the same at every size, seen through a lens that is `shift` of the picture further right.
    fn waves(width: u32, height: u32, shift: f32, light: f32) -> Picture {
        let mut rgb = Vec::new();
        for y in 0..height {
            for x in 0..width {
                // Of the middle of the pixel, wherever that lies at this size.
                let u = (x as f32 + 0.5) / width as f32 + shift;
                let v = (y as f32 + 0.5) / width as f32;
                let value = 120.0
                    + 40.0 * (u * 40.0).sin() * (v * 31.0).cos()
                    + 30.0 * (u * 17.0 + v * 9.0).sin();
                rgb.extend([(value * light) as u8; 3]);
            }
        }
        Picture { width, height, rgb }
    }

    fn trace(picture: &Picture) -> Trace {
        let (width, height) = (picture.width as f32, picture.height as f32);
        let face = Face {
            score: 1.0,
            bounds: Rect {
                x: width * 0.3,
                y: height * 0.2,
                width: width * 0.4,
                height: height * 0.6,
            },
            keypoints: [Point::new(0.0, 0.0); 6],
        };
        Trace::of(b"file", picture, &face, b"face", &mut Scaler::default()).unwrap()
    }

    #[test]
    fn a_picture_is_known_in_another_size_and_another_light() {
        let shown = trace(&waves(640, 480, 0.0, 1.0));
        for again in [
            waves(640, 480, 0.0, 0.9),
            waves(320, 240, 0.0, 1.0),
            waves(576, 432, 0.0, 1.1),
        ] {
            let again = trace(&again);
            assert!(shown.is_like(&again), "{:?}", shown.distance(&again));
        }
    }

    #[test]
    fn what_moved_is_another_picture_and_so_is_another_shape() {
        let shown = trace(&waves(640, 480, 0.0, 1.0));
        let moved = trace(&waves(640, 480, 0.005, 1.0));
        assert!(!shown.is_like(&moved), "{:?}", shown.distance(&moved));
        assert_eq!(shown.distance(&trace(&waves(640, 360, 0.0, 1.0))), None);
    }

    #[test]
    fn a_picture_of_one_colour_is_like_none() {
        let grey = Picture {
            width: 64,
            height: 64,
            rgb: vec![128; 64 * 64 * 3],
        };
        assert!(!trace(&grey).is_like(&trace(&grey)));
    }
}
