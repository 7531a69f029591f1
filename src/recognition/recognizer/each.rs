//! Every face of a picture, each with its template.

use super::{MAX_SEEN, Recognizer, may_be_turned};
use crate::gallery::Template;
use crate::recognition::turn::Turn;
use crate::recognition::{Checks, EncodedFile, Face, Gate, Liveness, Picture, Point, Refusal};

/// One of all faces of a picture.
#[derive(Debug)]
pub struct EachFace {
    pub face: Face,
    /// What a search would look for, or why it would not.
    pub template: Result<Template, Refusal>,
    /// The judgement, if it was asked for and could be made.
    pub liveness: Option<Liveness>,
}

impl Recognizer {
    /// Recognises every face of a picture as a client sends it, largest first, each as [`Recognizer::recognize`] would the only one of
    /// a picture.
    ///
    /// # Errors
    /// [`Refusal::InvalidImage`], [`Refusal::NoFace`], [`Refusal::Inference`]. What is wrong with a single face is in its place.
    pub fn recognize_each_file(
        &mut self,
        file: &EncodedFile,
        checks: Checks,
    ) -> Result<Vec<EachFace>, Refusal> {
        self.with_decoded(file, |recognizer, encoded| {
            recognizer.check_length(encoded)?;
            let picture = Picture::decode(encoded, &recognizer.options.limits)?;
            recognizer.recognize_each(&picture, checks)
        })
        .map(|(faces, _)| faces)
    }

    fn recognize_each(
        &mut self,
        picture: &Picture,
        checks: Checks,
    ) -> Result<Vec<EachFace>, Refusal> {
        let mut found = Vec::new();
        let turns = may_be_turned(&checks);
        for look in self.looks(&checks, turns, false) {
            let (turn, faces) = self.look(picture, look, turns, false)?;
            for face in faces.into_iter().take(MAX_SEEN) {
                // The landmark network has the last word on what is a face.
                let Some(points) = self.landmarks.find(picture, &face, false)? else {
                    continue;
                };
                let mut liveness = None;
                let template =
                    self.recognize_one(picture, &face, &points, turn, checks, &mut liveness);
                if let Err(error @ Refusal::Inference(_)) = template {
                    return Err(error);
                }
                found.push(EachFace {
                    face,
                    template,
                    liveness,
                });
            }
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Err(Refusal::NoFace {
            width: picture.width,
            height: picture.height,
        })
    }

    /// The template of one face, by the same checks in the same order as that of a picture's only one.
    fn recognize_one(
        &mut self,
        picture: &Picture,
        face: &Face,
        points: &[Point; 5],
        turn: Turn,
        checks: Checks,
        liveness: &mut Option<Liveness>,
    ) -> Result<Template, Refusal> {
        self.embedder.align(picture, points)?;
        let mut quality = (checks.gate != Gate::Open).then(|| self.measure(picture));
        self.pass(checks.gate, quality.as_ref(), false)?;
        *liveness = self.judge(picture, face, turn, checks.liveness)?;
        let embedding = self.embedder.embed(false)?;
        if let Some(quality) = &mut quality {
            quality.unified_quality_score = embedding.quality;
        }
        self.pass(checks.gate, quality.as_ref(), true)?;
        Ok(embedding.template)
    }
}
