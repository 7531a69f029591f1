//! Five points precise enough to align by, from the 468-point face mesh.

use super::Picture;
use super::detect::Face;
use super::geometry::{Point, Similarity, settle};
use super::warp::warp;
use crate::inference::{InferenceError, LoadedModel, Network, PointIndices};

/// Side of the first crop as a multiple of the box's longer side: what the mesh was trained on.
const CROP_OF_BOX: f32 = 1.5;
/// Side of the second crop as a multiple of the mesh's longer side. On the development pairs
/// (`bench accuracy`) 1.3 to 1.4 are best and alike; from 1.25 down the face is cut too close.
const CROP_OF_MESH: f32 = 1.35;
/// Logit from which the network sees a face in its crop. On the development data every crop of LFW is
/// above 3.7 and every false detection in pictures without faces below -1.6.
const MIN_PRESENCE: f32 = 0.0;
const GREY: [u8; 3] = [127; 3];

/// The 468 points of a face: x and y in the picture's pixels, z in the same unit, smaller is nearer to
/// the camera.
#[derive(Clone, Debug)]
pub struct Mesh(pub Vec<[f32; 3]>);

impl Mesh {
    /// Point `index` of MediaPipe's face mesh; the origin where there is none.
    pub fn point(&self, index: usize) -> [f32; 3] {
        self.0.get(index).copied().unwrap_or_default()
    }
}

/// The landmark network with its buffers.
pub struct Landmarks {
    network: Network,
    points: PointIndices,
    crop: Vec<u8>,
    scratch: Vec<f32>,
    mesh: Vec<f32>,
    presence: Vec<f32>,
    /// From the pixels of the last crop to the picture's.
    back: Option<Similarity>,
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
            presence: Vec::new(),
            back: None,
        })
    }

    /// The five alignment points of `face` in the picture's pixels: right eye, left eye, nose, right
    /// and left corner of the mouth.
    ///
    /// With `twice`, the mesh is found in a crop around the detector's box and then once more in one
    /// around the mesh itself: where the points come to lie no longer hangs on the box.
    ///
    /// `None` where the network sees no face: the detector was wrong.
    ///
    /// # Errors
    /// The network failed.
    pub fn find(
        &mut self,
        picture: &Picture,
        face: &Face,
        twice: bool,
    ) -> Result<Option<[Point; 5]>, InferenceError> {
        let Some(mut back) = self.look_at(picture, face)? else {
            return Ok(None);
        };
        if twice {
            let [right_eye, left_eye, ..] = self.alignment_points(&back);
            let upright = direction(right_eye, left_eye);
            let (centre, side) = extent(self.mesh_points(&back), upright);
            if !(centre.x.is_finite() && centre.y.is_finite() && side > 1.0) {
                return Ok(None);
            }
            match self.look(picture, centre, side * CROP_OF_MESH, upright)? {
                Some(second) => back = second,
                None => return Ok(None),
            }
        }
        self.back = Some(back);
        let points = self.alignment_points(&back);
        let finite = points.iter().all(|p| p.x.is_finite() && p.y.is_finite());
        let apart = points
            .iter()
            .any(|p| (p.x - points[0].x).hypot(p.y - points[0].y) > 1e-3);
        Ok((finite && apart).then_some(points))
    }

    /// How sure the network is that `face` is one: a logit, from [`MIN_PRESENCE`] it is.
    ///
    /// # Errors
    /// The network failed.
    pub(super) fn presence(
        &mut self,
        picture: &Picture,
        face: &Face,
    ) -> Result<f32, InferenceError> {
        self.look_at(picture, face)?;
        Ok(self.presence.first().copied().unwrap_or(f32::NEG_INFINITY))
    }

    /// [`Landmarks::look`] around the detector's box.
    fn look_at(
        &mut self,
        picture: &Picture,
        face: &Face,
    ) -> Result<Option<Similarity>, InferenceError> {
        let [right_eye, left_eye, ..] = face.keypoints;
        let side = face.bounds.width.max(face.bounds.height) * CROP_OF_BOX;
        let upright = direction(right_eye, left_eye);
        self.look(picture, face.bounds.centre(), side, upright)
    }

    /// Runs the network on a grey square.
    ///
    /// # Errors
    /// The network failed.
    pub fn rehearse(&mut self) -> Result<(), InferenceError> {
        let size = self.network.input().width;
        self.crop.clear();
        self.crop.resize(size * size * 3, GREY[0]);
        self.network.run(&self.crop, &mut self.scratch)
    }

    /// The whole mesh of the last [`Landmarks::find`] that found a face.
    pub fn mesh(&self) -> Mesh {
        let points = self.back.iter().flat_map(|back| {
            (self.mesh.chunks_exact(3)).map(|p| {
                let place = back.apply(Point::new(p[0], p[1]));
                [place.x, place.y, p[2] * back.scale()]
            })
        });
        Mesh(points.collect())
    }

    /// Runs the network on a square of `side` pixels around `centre`, and gives the way back from
    /// its pixels to the picture's, or `None` where it sees no face.
    fn look(
        &mut self,
        picture: &Picture,
        centre: Point,
        side: f32,
        (cos, sin): (f32, f32),
    ) -> Result<Option<Similarity>, InferenceError> {
        let size = self.network.input().width;
        let crop = Similarity::upright_crop(centre, side, cos, sin, size as f32);
        let Some(back) = crop.inverse() else {
            return Ok(None);
        };
        warp(picture, &crop, size, GREY, &mut self.crop);
        self.network.run(&self.crop, &mut self.scratch)?;
        self.network.output("mesh", &mut self.mesh)?;
        for value in &mut self.mesh {
            *value = settle(*value);
        }
        self.network.output("presence", &mut self.presence)?;
        let presence = self.presence.first().copied().unwrap_or(f32::NEG_INFINITY);
        Ok((presence >= MIN_PRESENCE).then_some(back))
    }

    /// Every point of the last mesh, in the picture's pixels.
    fn mesh_points(&self, back: &Similarity) -> impl Iterator<Item = Point> {
        (self.mesh.chunks_exact(3)).map(|p| back.apply(Point::new(p[0], p[1])))
    }

    /// The alignment points of the last mesh, in the picture's pixels.
    fn alignment_points(&self, back: &Similarity) -> [Point; 5] {
        self.points.in_order().map(|list| {
            let sum = list.iter().fold((0.0, 0.0), |(x, y), &i| {
                (x + self.mesh[i * 3], y + self.mesh[i * 3 + 1])
            });
            let n = list.len() as f32;
            back.apply(Point::new(sum.0 / n, sum.1 / n))
        })
    }
}

/// Cosine and sine of the line between the eyes. Eyes in one place have none: then the picture's own
/// upright.
fn direction(right_eye: Point, left_eye: Point) -> (f32, f32) {
    let (dx, dy) = (left_eye.x - right_eye.x, left_eye.y - right_eye.y);
    let distance = dx.hypot(dy);
    match distance > f32::EPSILON {
        true => (dx / distance, dy / distance),
        false => (1.0, 0.0),
    }
}

/// Centre and longer side of the box around `points` whose x axis points along (`cos`, `sin`).
fn extent(points: impl Iterator<Item = Point>, (cos, sin): (f32, f32)) -> (Point, f32) {
    let (mut low, mut high) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
    for p in points {
        let turned = [p.x * cos + p.y * sin, p.y * cos - p.x * sin];
        for axis in 0..2 {
            low[axis] = low[axis].min(turned[axis]);
            high[axis] = high[axis].max(turned[axis]);
        }
    }
    let [u, v] = [(low[0] + high[0]) / 2.0, (low[1] + high[1]) / 2.0];
    let centre = Point::new(u * cos - v * sin, u * sin + v * cos);
    (centre, (high[0] - low[0]).max(high[1] - low[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extent_of_a_turned_box_is_the_box() {
        let (sin, cos) = 0.4f32.sin_cos();
        let corners = [(-30.0, -20.0), (30.0, -20.0), (-30.0, 20.0), (30.0, 20.0)]
            .map(|(u, v)| Point::new(100.0 + u * cos - v * sin, 50.0 + u * sin + v * cos));
        let (centre, side) = extent(corners.into_iter(), (cos, sin));
        assert!((centre.x - 100.0).abs() < 1e-3 && (centre.y - 50.0).abs() < 1e-3);
        assert!((side - 60.0).abs() < 1e-3);
    }

    #[test]
    fn eyes_in_one_place_leave_the_picture_upright() {
        let eye = Point::new(5.0, 5.0);
        assert_eq!(direction(eye, eye), (1.0, 0.0));
        assert_eq!(direction(eye, Point::new(5.0, 9.0)), (0.0, 1.0));
    }
}
