//! An aligned face to its template.

use super::geometry::{Point, Similarity};
use super::warp::warp;
use super::{Picture, Refusal};
use crate::gallery::Template;
use crate::inference::{Alignment, InferenceError, LoadedModel, MagnitudeCurve, Network};

/// Outside the picture, as in the pictures the network was trained on.
const BLACK: [u8; 3] = [0; 3];

/// What the network makes of an aligned face.
#[derive(Clone, Debug)]
pub struct Embedding {
    pub template: Template,
    /// `unified_quality_score` (0..100) of the face, not of its mirror image.
    pub quality: f32,
}

/// The embedding network with its buffers.
pub struct Embedder {
    network: Network,
    target: [Point; 5],
    magnitude: MagnitudeCurve,
    face: Vec<u8>,
    alignment: Option<Similarity>,
    scratch: Vec<f32>,
    embedding: Vec<f32>,
}

impl Embedder {
    /// # Errors
    /// The model cannot be loaded.
    pub fn new(
        model: &LoadedModel,
        alignment: Alignment,
        magnitude: MagnitudeCurve,
        threads: usize,
    ) -> Result<Embedder, InferenceError> {
        Ok(Embedder {
            network: Network::new(model, threads)?,
            target: alignment.points.map(|[x, y]| Point::new(x, y)),
            magnitude,
            face: Vec::new(),
            alignment: None,
            scratch: Vec::new(),
            embedding: Vec::new(),
        })
    }

    /// Brings the five points onto the network's template.
    ///
    /// # Errors
    /// [`Refusal::NoFace`] if the points lie in one place.
    pub fn align(&mut self, picture: &Picture, points: &[Point; 5]) -> Result<(), Refusal> {
        let transform = Similarity::fit(points, &self.target).ok_or(Refusal::NoFace {
            width: picture.width,
            height: picture.height,
        })?;
        let size = self.network.input().width;
        warp(picture, &transform, size, BLACK, &mut self.face);
        self.alignment = Some(transform);
        Ok(())
    }

    /// The aligned face, its side in pixels, and what brought the picture there; `None` before the first.
    pub fn aligned(&self) -> Option<(&[u8], usize, &Similarity)> {
        let alignment = self.alignment.as_ref()?;
        Some((&self.face, self.network.input().width, alignment))
    }

    /// The template of the aligned face; with `mirror`, of the face and its mirror image together,
    /// which halves the chance of a side's light or pose (and takes twice the time).
    ///
    /// # Errors
    /// The network failed or gave numbers that are no template.
    pub fn embed(&mut self, mirror: bool) -> Result<Embedding, Refusal> {
        self.network.run(&self.face, &mut self.scratch)?;
        self.network.output("embedding", &mut self.embedding)?;
        let length = self.embedding.iter().map(|v| v * v).sum::<f32>().sqrt();
        if mirror {
            let upright = std::mem::take(&mut self.embedding);
            let row = self.network.input().width * 3;
            for line in self.face.chunks_exact_mut(row) {
                reverse_pixels(line);
            }
            self.network.run(&self.face, &mut self.scratch)?;
            self.network.output("embedding", &mut self.embedding)?;
            for (sum, value) in self.embedding.iter_mut().zip(&upright) {
                *sum += value;
            }
        }
        Ok(Embedding {
            template: Template::new(&self.embedding)?,
            quality: self.magnitude.quality(length),
        })
    }
}

fn reverse_pixels(line: &mut [u8]) {
    line.reverse();
    for pixel in line.chunks_exact_mut(3) {
        pixel.reverse();
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_mirrored_line_keeps_its_colours() {
        let mut line = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        super::reverse_pixels(&mut line);
        assert_eq!(line, [7, 8, 9, 4, 5, 6, 1, 2, 3]);
    }
}
