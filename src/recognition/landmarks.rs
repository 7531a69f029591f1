//! Five points precise enough to align by, from the 468-point face mesh.

use super::detect::Face;
use super::geometry::{Point, Similarity};
use super::warp::warp;
use super::{Picture, Refusal};
use crate::inference::{InferenceError, LoadedModel, Network, PointIndices};

/// Side of the crop as a multiple of the box's longer side: what the mesh was trained on.
const CROP: f32 = 1.5;
const GREY: [u8; 3] = [127; 3];

/// The landmark network with its buffers.
pub struct Landmarks {
    network: Network,
    points: PointIndices,
    crop: Vec<u8>,
    scratch: Vec<f32>,
    mesh: Vec<f32>,
}

impl Landmarks {
    /// # Errors
    /// The model cannot be loaded, or `points` names mesh points that it does not have.
    pub fn new(
        model: &LoadedModel,
        points: PointIndices,
        threads: usize,
    ) -> Result<Landmarks, InferenceError> {
        let values: usize =
            (model.entry.output.get("mesh")).map_or(0, |shape| shape.iter().product());
        let known = values / 3;
        let usable = |list: &[usize]| !list.is_empty() && list.iter().all(|&i| i < known);
        if !points.in_order().into_iter().all(usable) {
            return Err(InferenceError::Table(format!(
                "[model.points] of \"{}\" must name mesh points below {known}",
                model.entry.id
            )));
        }
        Ok(Landmarks {
            network: Network::new(model, threads)?,
            points,
            crop: Vec::new(),
            scratch: Vec::new(),
            mesh: Vec::new(),
        })
    }

    /// Cuts the upright crop around `face` that [`Landmarks::find`] works on.
    ///
    /// Returns the transform from picture to crop.
    pub fn cut(&mut self, picture: &Picture, face: &Face) -> Similarity {
        let size = self.network.input().width;
        let [right_eye, left_eye, ..] = face.keypoints;
        let (dx, dy) = (left_eye.x - right_eye.x, left_eye.y - right_eye.y);
        let distance = dx.hypot(dy);
        // Eyes in one place have no direction: then the picture's own upright.
        let (cos, sin) = match distance > f32::EPSILON {
            true => (dx / distance, dy / distance),
            false => (1.0, 0.0),
        };
        let side = face.bounds.width.max(face.bounds.height) * CROP;
        let crop = Similarity::upright_crop(face.bounds.centre(), side, cos, sin, size as f32);
        warp(picture, &crop, size, GREY, &mut self.crop);
        crop
    }

    /// The five alignment points in the picture's pixels: right eye, left eye, nose, right and left
    /// corner of the mouth.
    ///
    /// # Errors
    /// The network failed, or the crop is degenerate ([`Refusal::NoFace`]).
    pub fn find(&mut self, picture: &Picture, crop: &Similarity) -> Result<[Point; 5], Refusal> {
        let nothing = || Refusal::NoFace {
            width: picture.width,
            height: picture.height,
        };
        self.network.run(&self.crop, &mut self.scratch)?;
        self.network.output("mesh", &mut self.mesh)?;
        let back = crop.inverse().ok_or_else(nothing)?;
        let points = self.points.in_order().map(|list| {
            let sum = list.iter().fold((0.0, 0.0), |(x, y), &i| {
                (x + self.mesh[i * 3], y + self.mesh[i * 3 + 1])
            });
            let n = list.len() as f32;
            back.apply(Point::new(sum.0 / n, sum.1 / n))
        });
        match points.iter().all(|p| p.x.is_finite() && p.y.is_finite()) {
            true => Ok(points),
            false => Err(nothing()),
        }
    }
}
