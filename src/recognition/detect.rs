//! Finding faces: the BlazeFace full-range network and the decoding of its answer.

use super::geometry::{Point, Rect, settle};
use super::scale::{FilterType, ResizeAlg, Scaler};
use super::turn::{self, Turn};
use super::{Picture, Refusal, far};
use crate::inference::{InferenceError, LoadedModel, Network};

/// Grey around the picture: black makes BlazeFace's activations explode.
const PADDING: u8 = 127;
/// Anchors are the centres of a 48x48 grid, one a cell; boxes and keypoints are relative to them.
const GRID: usize = 48;
/// Numbers an anchor: centre, size, six keypoints.
const VALUES: usize = 16;
/// Boxes that overlap more than this are one face.
pub(super) const SAME_FACE_IOU: f32 = 0.3;
/// Share of the input that the picture fills in [`Pass::Padded`].
pub(super) const PADDED: f32 = 0.5;
/// And in [`Pass::PaddedMore`].
pub(super) const PADDED_MORE: f32 = 0.35;
/// A face from this share of the picture's longer side may be too large for the full frame to show.
const NEAR: f32 = 1.0 / 3.0;
/// The full frame still hints at such a face with this score: at 97 of 100 that fill it, where 0.5 finds 15
/// (`bench detection --fill`, `recognition.min_detection_score` set to either).
const HINT: f32 = 0.1;
/// So many times the area of every face that is seen. Less is mostly a face that the picture's border cuts, as in nine
/// of LFW's development pictures, all of them below 1.6.
const NEARER: f32 = 2.0;

/// A face in a picture, in the picture's pixels.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Face {
    /// Confidence of the detector, 0..1.
    pub score: f32,
    pub bounds: Rect,
    /// Right eye, left eye (the person's own), nose, mouth, right ear, left ear.
    pub keypoints: [Point; 6],
}

impl Face {
    /// Whether this is another face than `other` and at least as large.
    pub(super) fn is_before(&self, other: &Face) -> bool {
        self.bounds.area() >= other.bounds.area() && self.bounds.iou(&other.bounds) <= SAME_FACE_IOU
    }
}

/// From this share of the picture's longer side a smaller look measures a face well enough to tell it from the one around it.
const LARGE: f32 = 0.2;

/// How the network looks at a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// The picture fills the network's input.
    FullFrame,
    /// The same; where it hints at a larger face than those it shows, also the near ones of
    /// [`Pass::Padded`] or [`Pass::PaddedMore`]: a bystander does not stand in for somebody who fills
    /// the frame.
    WithNear,
    /// It fills the middle half: faces that fill the frame come down to a size the network was
    /// trained on.
    Padded,
    /// It fills the middle third, for those that still look too large.
    PaddedMore,
    /// All of these, and tiles of the picture: small faces come up to such a size. The
    /// network runs some 20 times, 87 at most.
    Far,
}

impl Pass {
    /// What a picture gets that is not looked at in tiles: each where those before it showed no face.
    pub const PLAIN: &[Pass] = &[Pass::WithNear, Pass::Padded, Pass::PaddedMore];

    /// Share of the network's input that the picture's longer side fills; `None` for tiles.
    pub(super) fn share(self) -> Option<f32> {
        match self {
            Pass::FullFrame | Pass::WithNear => Some(1.0),
            Pass::Padded => Some(PADDED),
            Pass::PaddedMore => Some(PADDED_MORE),
            Pass::Far => None,
        }
    }
}

/// The part of a picture that one run of the network sees, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub left: u32,
    pub top: u32,
    pub width: u32,
    pub height: u32,
}

impl Region {
    pub fn all_of(picture: &Picture) -> Region {
        Region {
            left: 0,
            top: 0,
            width: picture.width,
            height: picture.height,
        }
    }
}

/// The detector network with its buffers.
pub struct Detector {
    network: Network,
    min_score: f32,
    scaler: Scaler,
    canvas: Vec<u8>,
    scratch: Vec<f32>,
    boxes: Vec<f32>,
    scores: Vec<f32>,
}

impl Detector {
    /// `min_score` (0..1) is the confidence below which a detection is no face.
    ///
    /// # Errors
    /// The model cannot be loaded.
    pub fn new(
        model: &LoadedModel,
        min_score: f32,
        threads: usize,
    ) -> Result<Detector, InferenceError> {
        Ok(Detector {
            network: Network::new(model, threads)?,
            min_score,
            scaler: Scaler::default(),
            canvas: Vec::new(),
            scratch: Vec::new(),
            boxes: Vec::new(),
            scores: Vec::new(),
        })
    }

    /// The faces of `picture`, largest first.
    ///
    /// # Errors
    /// The network failed.
    pub fn detect(&mut self, picture: &Picture, pass: Pass) -> Result<Vec<Face>, Refusal> {
        let whole = Region::all_of(picture);
        let mut faces = match pass {
            Pass::FullFrame => self.look(picture, whole, 1.0)?,
            Pass::WithNear => self.look_with_near(picture)?,
            Pass::Padded => self.look(picture, whole, PADDED)?,
            Pass::PaddedMore => self.look(picture, whole, PADDED_MORE)?,
            Pass::Far => far::look(self, picture)?,
        };
        largest_first(&mut faces);
        Ok(faces)
    }

    /// Whether something nearer than `face` may be a face, be it of a score that makes none of it: somebody who covers theirs, or turns
    /// it away. Of 1,374 pictures of people who hide nothing none had such a hint, before those below a fifth of the frame were left out.
    ///
    /// # Errors
    /// The network failed.
    pub fn hints_at_nearer(&mut self, picture: &Picture, face: &Face) -> Result<bool, Refusal> {
        let whole = Region::all_of(picture);
        let nearer = |hint: &Face| {
            hint.bounds.area() > face.bounds.area() * NEARER
                && hint.bounds.iou(&face.bounds) <= SAME_FACE_IOU
        };
        let large = picture.width.max(picture.height) as f32 * LARGE;
        for share in [1.0, PADDED, PADDED_MORE] {
            let hints = self.look_from(picture, whole, share, HINT.min(self.min_score))?;
            let counts = |hint: &Face| {
                let side = hint.bounds.width.max(hint.bounds.height);
                (share == 1.0 || side >= large) && nearer(hint)
            };
            if hints.iter().any(counts) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn look_with_near(&mut self, picture: &Picture) -> Result<Vec<Face>, Refusal> {
        let whole = Region::all_of(picture);
        let frame = self.run(picture, whole, 1.0, Turn::None)?;
        let mut faces = self.read(&frame, self.min_score);
        if faces.is_empty() {
            return Ok(faces);
        }
        let near = picture.width.max(picture.height) as f32 * NEAR;
        let largest = (faces.iter().map(|f| f.bounds.area())).fold(0.0, f32::max);
        let stands_nearer = |face: &Face| {
            let bounds = face.bounds;
            let seen = |other: &Face| bounds.iou(&other.bounds) > SAME_FACE_IOU;
            bounds.width.max(bounds.height) >= near
                && bounds.area() > largest * NEARER
                && !faces.iter().any(seen)
        };
        let hints = self.read(&frame, HINT.min(self.min_score));
        if !hints.iter().any(stands_nearer) {
            return Ok(faces);
        }
        for share in [PADDED, PADDED_MORE] {
            let found = self.look(picture, whole, share)?;
            let nearer: Vec<Face> = found.into_iter().filter(stands_nearer).collect();
            if !nearer.is_empty() {
                faces.extend(nearer);
                break;
            }
        }
        Ok(faces)
    }

    fn look(
        &mut self,
        picture: &Picture,
        region: Region,
        share: f32,
    ) -> Result<Vec<Face>, Refusal> {
        self.look_from(picture, region, share, self.min_score)
    }

    pub(super) fn min_score(&self) -> f32 {
        self.min_score
    }

    /// The faces from `min_score` that one run of the network finds in a part of the picture, best
    /// first. The part's longer side fills `share` (0..1) of the network's input.
    pub(super) fn look_from(
        &mut self,
        picture: &Picture,
        region: Region,
        share: f32,
        min_score: f32,
    ) -> Result<Vec<Face>, Refusal> {
        let frame = self.run(picture, region, share, Turn::None)?;
        Ok(self.read(&frame, min_score))
    }

    /// The faces that stand upright when the picture is turned, largest first, in pixels of the picture as it is.
    ///
    /// # Errors
    /// The network failed.
    pub(super) fn look_turned(
        &mut self,
        picture: &Picture,
        share: f32,
        turn: Turn,
    ) -> Result<Vec<Face>, Refusal> {
        let frame = self.run(picture, Region::all_of(picture), share, turn)?;
        let mut faces = self.read(&frame, self.min_score);
        largest_first(&mut faces);
        Ok(faces)
    }

    /// Runs the network on a part of the picture; what it shows is to be [read](Detector::read).
    fn run(
        &mut self,
        picture: &Picture,
        region: Region,
        share: f32,
        turn: Turn,
    ) -> Result<Frame, Refusal> {
        let frame = self.letterbox(picture, region, share, turn);
        self.network.run(&self.canvas, &mut self.scratch)?;
        self.network.output("boxes", &mut self.boxes)?;
        self.network.output("scores", &mut self.scores)?;
        Ok(frame)
    }

    /// The faces from `min_score` of the last run, best first.
    fn read(&self, frame: &Frame, min_score: f32) -> Vec<Face> {
        let mut faces = merge(decode(&self.boxes, &self.scores, min_score));
        if frame.turn != Turn::None {
            faces.retain(turn::is_upright);
            faces = faces
                .iter()
                .map(|face| frame.turn.face_back(face))
                .collect();
        }
        for face in &mut faces {
            frame.to_picture(face, self.network.input().width as f32);
        }
        faces
    }

    /// Draws `region`, its proportions kept, into the middle of the grey input, and turns it there.
    fn letterbox(&mut self, picture: &Picture, region: Region, share: f32, turn: Turn) -> Frame {
        let size = self.network.input().width;
        let longer = region.width.max(region.height) as f32;
        let scale = size as f32 / longer * share;
        let fit = |side: u32| ((side as f32 * scale).round() as usize).clamp(1, size);
        let (width, height) = (fit(region.width), fit(region.height));
        let (left, top) = ((size - width) / 2, (size - height) / 2);

        let small = self.resize(picture, region, width as u32, height as u32);
        self.canvas.clear();
        self.canvas.resize(size * size * 3, PADDING);
        for (row, line) in small.chunks_exact(width * 3).enumerate() {
            let start = ((top + row) * size + left) * 3;
            self.canvas[start..start + width * 3].copy_from_slice(line);
        }
        if turn != Turn::None {
            self.canvas = turn.pixels(size, size, &self.canvas);
        }
        Frame {
            turn,
            left: left as f32,
            top: top as f32,
            scale_x: width as f32 / region.width as f32,
            scale_y: height as f32 / region.height as f32,
            origin: Point::new(region.left as f32, region.top as f32),
        }
    }

    fn resize(&mut self, picture: &Picture, region: Region, width: u32, height: u32) -> Vec<u8> {
        // The mean of the area a pixel covers: of the filters of this library it found most faces
        // (`bench detection`). To enlarge, it would repeat pixels.
        let filter = ResizeAlg::Convolution(match width > region.width {
            true => FilterType::Bilinear,
            false => FilterType::Box,
        });
        let part = Rect {
            x: region.left as f32,
            y: region.top as f32,
            width: region.width as f32,
            height: region.height as f32,
        };
        let small = (self.scaler).scale(picture, &part, (width, height), filter);
        // A Picture holds width * height * 3 bytes, both have pixels, and the region lies within:
        // there is nothing to refuse.
        debug_assert!(small.is_ok(), "{}x{}", picture.width, picture.height);
        small.unwrap_or_else(|_| vec![0; 3 * width as usize * height as usize])
    }
}

fn largest_first(faces: &mut [Face]) {
    faces.sort_by(|a, b| b.bounds.area().total_cmp(&a.bounds.area()));
}

/// Where the region lies in the input, and in the picture.
struct Frame {
    turn: Turn,
    left: f32,
    top: f32,
    scale_x: f32,
    scale_y: f32,
    origin: Point,
}

impl Frame {
    /// `face` comes in shares (0..1) of the input's side, `size` pixels.
    fn to_picture(&self, face: &mut Face, size: f32) {
        let x = |x: f32| (settle(x * size) - self.left) / self.scale_x + self.origin.x;
        let y = |y: f32| (settle(y * size) - self.top) / self.scale_y + self.origin.y;
        let b = face.bounds;
        face.bounds = Rect {
            x: x(b.x),
            y: y(b.y),
            width: settle(b.width * size) / self.scale_x,
            height: settle(b.height * size) / self.scale_y,
        };
        for point in &mut face.keypoints {
            *point = Point::new(x(point.x), y(point.y));
        }
    }
}

/// Every anchor whose score reaches `min_score`, in shares of the input's side.
fn decode(boxes: &[f32], scores: &[f32], min_score: f32) -> Vec<Face> {
    // The regressors are in pixels of the 192-pixel input the network was trained with.
    const TRAINED_SIZE: f32 = 192.0;
    (boxes.chunks_exact(VALUES).zip(scores).enumerate())
        .filter_map(|(index, (values, logit))| {
            let score = 1.0 / (1.0 + (-logit.clamp(-80.0, 80.0)).exp());
            if score.is_nan() || score < min_score || values.iter().any(|v| !v.is_finite()) {
                return None;
            }
            let anchor = Point::new(
                ((index % GRID) as f32 + 0.5) / GRID as f32,
                ((index / GRID) as f32 + 0.5) / GRID as f32,
            );
            let at = |i: usize| {
                Point::new(
                    values[i] / TRAINED_SIZE + anchor.x,
                    values[i + 1] / TRAINED_SIZE + anchor.y,
                )
            };
            let centre = at(0);
            let (width, height) = (values[2] / TRAINED_SIZE, values[3] / TRAINED_SIZE);
            if width <= 0.0 || height <= 0.0 {
                return None;
            }
            Some(Face {
                score,
                bounds: Rect {
                    x: centre.x - width / 2.0,
                    y: centre.y - height / 2.0,
                    width,
                    height,
                },
                keypoints: std::array::from_fn(|k| at(4 + 2 * k)),
            })
        })
        .collect()
}

/// Detections of one face become one, their mean weighted by score (as BlazeFace's authors do:
/// Bazarevsky et al., "BlazeFace" (2019), section 4.2).
fn merge(mut found: Vec<Face>) -> Vec<Face> {
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut faces = Vec::new();
    while let Some(best) = found.first().copied() {
        let (same, other): (Vec<Face>, Vec<Face>) =
            (found.iter()).partition(|face| face.bounds.iou(&best.bounds) > SAME_FACE_IOU);
        found = other;
        let weight: f32 = same.iter().map(|face| face.score).sum();
        let mean = |value: &dyn Fn(&Face) -> f32| {
            same.iter()
                .map(|face| face.score * value(face))
                .sum::<f32>()
                / weight
        };
        faces.push(Face {
            score: best.score,
            bounds: Rect {
                x: mean(&|f| f.bounds.x),
                y: mean(&|f| f.bounds.y),
                width: mean(&|f| f.bounds.width),
                height: mean(&|f| f.bounds.height),
            },
            keypoints: std::array::from_fn(|k| {
                Point::new(mean(&|f| f.keypoints[k].x), mean(&|f| f.keypoints[k].y))
            }),
        });
        // A box always overlaps itself; this guards the loop against a box of zero area.
        found.retain(|face| face.bounds != best.bounds);
    }
    faces
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One anchor's numbers: a box of 20x30 pixels centred 2 pixels right of the anchor.
    fn answer(cells: &[(usize, f32, f32)]) -> (Vec<f32>, Vec<f32>) {
        let mut boxes = vec![0.0; GRID * GRID * VALUES];
        let mut scores = vec![-20.0; GRID * GRID];
        for &(cell, logit, shift) in cells {
            scores[cell] = logit;
            let values = &mut boxes[cell * VALUES..(cell + 1) * VALUES];
            values[..4].copy_from_slice(&[2.0 + shift, 0.0, 20.0, 30.0]);
        }
        (boxes, scores)
    }

    #[test]
    fn an_anchor_is_decoded_relative_to_its_cell() {
        let (boxes, scores) = answer(&[(48 * 10 + 20, 3.0, 0.0)]);
        let faces = decode(&boxes, &scores, 0.5);
        assert_eq!(faces.len(), 1);
        let centre = faces[0].bounds.centre();
        assert!((centre.x * 192.0 - (20.5 * 4.0 + 2.0)).abs() < 1e-3);
        assert!((centre.y * 192.0 - 10.5 * 4.0).abs() < 1e-3);
        assert!((faces[0].bounds.width * 192.0 - 20.0).abs() < 1e-3);
    }

    #[test]
    fn neighbours_merge_and_strangers_do_not() {
        let (boxes, scores) = answer(&[(500, 3.0, 0.0), (501, 1.0, -4.0), (1500, 2.0, 0.0)]);
        let faces = merge(decode(&boxes, &scores, 0.5));
        assert_eq!(faces.len(), 2);
        assert!(faces[0].score > faces[1].score);
    }

    #[test]
    fn numbers_that_are_none_are_no_face() {
        let (mut boxes, mut scores) = answer(&[(500, 3.0, 0.0), (700, f32::NAN, 0.0)]);
        boxes[500 * VALUES + 7] = f32::INFINITY;
        scores[701] = f32::INFINITY;
        assert!(decode(&boxes, &scores, 0.5).is_empty());
    }
}
