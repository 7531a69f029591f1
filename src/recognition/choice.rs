//! Which face of several counts: docs/adr/0003.

use super::Picture;
use super::detect::Face;

/// Which face of several counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaceChoice {
    /// The one with the largest box: who stands in front of a terminal. What the API promises.
    Largest,
    /// The one nearest to the middle, by the width of its box: who a portrait collection means,
    /// even where a bystander is larger.
    Central,
}

impl FaceChoice {
    /// Brings `faces`, which the detector gives largest first, into the order of preference.
    pub(super) fn sort(self, faces: &mut [Face], picture: &Picture) {
        let (x, y) = (picture.width as f32 / 2.0, picture.height as f32 / 2.0);
        let offset = |face: &Face| {
            let centre = face.bounds.centre();
            (centre.x - x).hypot(centre.y - y) / face.bounds.width
        };
        match self {
            FaceChoice::Largest => {}
            FaceChoice::Central => faces.sort_by(|a, b| offset(a).total_cmp(&offset(b))),
        }
    }
}
