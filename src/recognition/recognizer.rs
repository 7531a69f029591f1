//! The stages in their order, on one worker.

mod each;

pub use each::EachFace;

use std::time::{Duration, Instant};

use super::Refusal;
use super::detect::{Detector, Face, Pass};
use super::embed::Embedder;
use super::encoding::{EncodedFile, decode_base64};
use super::far::FarLooks;
use super::geometry::Point;
use super::landmarks::Landmarks;
use super::liveness::{Liveness, LivenessCheck, LivenessDemand};
use super::nearness::Nearness;
use super::options::{Checks, Purpose, RecognizerOptions};
use super::picture::Picture;
use super::quality::{self, Gate, Quality};
use super::scale::Scaler;
use super::trace::Trace;
use super::turn::{self, Turn};
use crate::gallery::Template;
use crate::inference::{InferenceError, LivenessConstants, ModelSet};

/// Detections whose landmarks are looked for, so that a picture full of false ones costs no more.
const MAX_CANDIDATES: usize = 4;

/// The same of a far look, which shows more people at once, and no false ones to speak of.
const MAX_FAR_CANDIDATES: usize = 16;

/// Faces that are looked at closely where all of them are asked for.
const MAX_SEEN: usize = 32;

/// Names of the stages, in the order of [`Timings`].
pub const STAGES: [&str; 8] = [
    "base64",
    "decode",
    "detect",
    "landmarks",
    "align",
    "quality",
    "liveness",
    "embed",
];

/// Time each stage took, in the order of [`STAGES`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Timings(pub [Duration; STAGES.len()]);

/// What was seen in a picture.
#[derive(Clone, Debug)]
pub struct Recognition {
    pub template: Template,
    /// The face that the template is of.
    pub face: Face,
    /// Faces seen, that one included.
    pub faces: usize,
    pub nearness: Nearness,
    /// By which the picture is known again, if it is to open a door.
    pub trace: Option<Trace>,
    /// If it was asked for or a gate needed it.
    pub quality: Option<Quality>,
    /// The judgement, if it was asked for and could be made.
    pub liveness: Option<Liveness>,
    pub timings: Timings,
}

/// A face of a picture, judged but not recognised.
#[derive(Clone, Debug)]
pub struct SeenFace {
    pub face: Face,
    /// `None` where a far look showed a face whose landmarks cannot be found: it cannot be recognised.
    pub quality: Option<Quality>,
    /// The judgement, if it was asked for and could be made.
    pub liveness: Option<Liveness>,
}

/// Everything one worker needs to turn pictures into templates.
pub struct Recognizer {
    options: RecognizerOptions,
    detector: Detector,
    landmarks: Landmarks,
    liveness: LivenessCheck,
    embedder: Embedder,
    scaler: Scaler,
    encoded: Vec<u8>,
}

impl Recognizer {
    /// # Errors
    /// A model that cannot be loaded.
    pub fn new(
        models: &ModelSet,
        options: RecognizerOptions,
    ) -> Result<Recognizer, InferenceError> {
        let threads = options.threads;
        let constants = models.liveness_constants;
        let constants = LivenessConstants {
            threshold: options.liveness_threshold.unwrap_or(constants.threshold),
            ..constants
        };
        Ok(Recognizer {
            detector: Detector::new(&models.detector, options.min_detection_score, threads)?,
            landmarks: Landmarks::new(&models.landmarks, models.points.clone(), threads)?,
            liveness: LivenessCheck::new(&models.liveness, constants, threads)?,
            embedder: Embedder::new(
                &models.embedder,
                models.alignment,
                models.magnitude,
                threads,
            )?,
            options,
            scaler: Scaler::default(),
            encoded: Vec::new(),
        })
    }

    /// Runs every network once on a grey picture and throws away what it says: whether they work, and for the first picture
    /// after the start not to be slower than the next.
    ///
    /// # Errors
    /// A network failed.
    pub fn rehearse(&mut self) -> Result<(), Refusal> {
        const GREY: u8 = 128;
        const SIDE: u32 = 160;
        let picture = Picture {
            width: SIDE,
            height: SIDE,
            rgb: vec![GREY; (3 * SIDE * SIDE) as usize],
        };
        // A face where anybody's would be: eyes, nose, corners of the mouth, in pixels.
        let points = [
            (57.0, 68.0),
            (103.0, 68.0),
            (80.0, 92.0),
            (62.0, 118.0),
            (98.0, 118.0),
        ]
        .map(|(x, y)| Point::new(x, y));
        self.detector.detect(&picture, Pass::FullFrame)?;
        self.landmarks.rehearse()?;
        self.liveness.rehearse()?;
        self.embedder.align(&picture, &points)?;
        // What the network makes of a grey picture may well be no template; that it answers counts.
        match self.embedder.embed(false) {
            Ok(_) | Err(Refusal::Template(_)) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// The pixels that the next picture may have: memory is set aside for so many.
    pub fn allow_pixels(&mut self, pixels: u64) {
        self.options.limits.announced_pixels = pixels;
    }

    /// [`Recognizer::recognize`] of a picture as a client sends it.
    ///
    /// # Errors
    /// [`Refusal`], which says why there is no template.
    pub fn recognize_file(
        &mut self,
        file: &EncodedFile,
        purpose: Purpose,
        checks: Checks,
    ) -> Result<Recognition, Refusal> {
        let (mut recognition, spent) = self.with_decoded(file, |recognizer, encoded| {
            recognizer.recognize(encoded, purpose, checks)
        })?;
        recognition.timings.0[0] = spent;
        Ok(recognition)
    }

    /// Gives the bytes that base64 stands for to `work`; also the time that decoding took.
    fn with_decoded<R>(
        &mut self,
        file: &EncodedFile,
        work: impl FnOnce(&mut Recognizer, &[u8]) -> Result<R, Refusal>,
    ) -> Result<(R, Duration), Refusal> {
        let text = match file {
            EncodedFile::Base64(text) => text,
            EncodedFile::Plain(bytes) => return Ok((work(self, bytes)?, Duration::ZERO)),
        };
        let start = Instant::now();
        let mut encoded = std::mem::take(&mut self.encoded);
        let decoded = decode_base64(text, self.options.limits.max_bytes, &mut encoded);
        let spent = start.elapsed();
        let result = decoded.and_then(|()| work(self, &encoded));
        // Kept for the next picture, unless this one was so large that it would only hold memory.
        if encoded.capacity() <= 1 << 20 {
            self.encoded = encoded;
        }
        result.map(|result| (result, spent))
    }

    /// Recognises an encoded picture (JPEG, PNG, BMP or WebP).
    ///
    /// # Errors
    /// [`Refusal`], which says why there is no template.
    pub fn recognize(
        &mut self,
        encoded: &[u8],
        purpose: Purpose,
        checks: Checks,
    ) -> Result<Recognition, Refusal> {
        self.check_length(encoded)?;
        let start = Instant::now();
        let picture = Picture::decode(encoded, &self.options.limits)?;
        let spent = start.elapsed();
        let mut recognition = self.recognize_picture(&picture, purpose, checks)?;
        if checks.opening {
            let aligned = self.embedder.aligned().map_or(&[][..], |(face, ..)| face);
            let face = &recognition.face;
            let trace = Trace::of(encoded, &picture, face, aligned, &mut self.scaler)?;
            recognition.trace = Some(trace);
        }
        recognition.timings.0[1] = spent;
        Ok(recognition)
    }

    /// Recognises a decoded picture.
    ///
    /// # Errors
    /// [`Refusal`], which says why there is no template.
    pub fn recognize_picture(
        &mut self,
        picture: &Picture,
        purpose: Purpose,
        checks: Checks,
    ) -> Result<Recognition, Refusal> {
        let thorough = purpose == Purpose::Enrolment;
        let mut timings = Timings::default();
        let mut clock = Instant::now();
        let mut lap = |stage: usize| {
            let now = Instant::now();
            timings.0[stage] += now - clock;
            clock = now;
        };
        let found = self.find_face(picture, thorough, &checks, &mut lap)?;
        let FoundFace {
            face,
            points,
            faces,
            turn,
        } = found;
        self.embedder.align(picture, &points)?;
        lap(4);
        let needed = checks.quality || checks.gate != Gate::Open;
        let mut quality = needed.then(|| self.measure(picture));
        self.pass(checks.gate, quality.as_ref(), false)?;
        lap(5);
        let liveness = self.judge(picture, &face, turn, checks.liveness)?;
        lap(6);
        let embedding = self.embedder.embed(thorough)?;
        lap(7);
        if let Some(quality) = &mut quality {
            quality.unified_quality_score = embedding.quality;
        }
        self.pass(checks.gate, quality.as_ref(), true)?;
        Ok(Recognition {
            template: embedding.template,
            face,
            faces,
            nearness: Nearness::of(picture, &face, &points),
            trace: None,
            quality,
            liveness,
            timings,
        })
    }

    /// [`Recognizer::inspect`] of a picture as a client sends it.
    ///
    /// # Errors
    /// The same.
    pub fn inspect_file(
        &mut self,
        file: &EncodedFile,
        liveness: LivenessDemand,
        far: bool,
    ) -> Result<Vec<SeenFace>, Refusal> {
        self.with_decoded(file, |recognizer, encoded| {
            recognizer.inspect(encoded, liveness, far)
        })
        .map(|(seen, _)| seen)
    }

    /// Every face of an encoded picture, the one that counts first; none is no error. With `far`,
    /// faces whose landmarks cannot be found as well.
    ///
    /// # Errors
    /// [`Refusal::InvalidImage`], [`Refusal::Inference`]; with [`LivenessDemand::Enforce`] those of
    /// liveness, too.
    pub fn inspect(
        &mut self,
        encoded: &[u8],
        liveness: LivenessDemand,
        far: bool,
    ) -> Result<Vec<SeenFace>, Refusal> {
        self.check_length(encoded)?;
        let picture = Picture::decode(encoded, &self.options.limits)?;
        let mut seen = Vec::new();
        let checks = Checks {
            far,
            liveness,
            ..Checks::default()
        };
        let turns = may_be_turned(&checks);
        for look in self.looks(&checks, turns, true) {
            let (turn, faces) = self.look(&picture, look, turns, true)?;
            for face in faces.into_iter().take(MAX_SEEN) {
                let quality = match self.landmarks.find(&picture, &face, false)? {
                    Some(points) => {
                        self.embedder.align(&picture, &points)?;
                        let unified_quality_score = match self.embedder.embed(false) {
                            Ok(embedding) => embedding.quality,
                            Err(Refusal::Template(_)) => 0.0,
                            Err(e) => return Err(e),
                        };
                        Some(Quality {
                            unified_quality_score,
                            ..self.measure(&picture)
                        })
                    }
                    None if far => None,
                    None => continue,
                };
                seen.push(SeenFace {
                    face,
                    quality,
                    liveness: self.judge(&picture, &face, turn, liveness)?,
                });
            }
            if !seen.is_empty() {
                break;
            }
        }
        Ok(seen)
    }

    /// Quality of the face whose landmarks were found and which was aligned last.
    fn measure(&self, picture: &Picture) -> Quality {
        match self.embedder.aligned() {
            Some((aligned, side, alignment)) => {
                let mesh = self.landmarks.mesh();
                quality::measure(picture, &mesh, aligned, side, alignment)
            }
            None => Quality::all(0.0),
        }
    }

    /// Refuses a face that is below a limit of `gate`; the unified score is known only when it is `embedded`.
    fn pass(&self, gate: Gate, quality: Option<&Quality>, embedded: bool) -> Result<(), Refusal> {
        let limits = match gate {
            Gate::Open => return Ok(()),
            Gate::Search => &self.options.gates.search,
            Gate::Enrolment => &self.options.gates.enrolment,
        };
        let limits = match embedded {
            true => *limits,
            false => Quality {
                unified_quality_score: 0.0,
                ..*limits
            },
        };
        let shortfalls = quality.unwrap_or(&Quality::all(0.0)).shortfalls(&limits);
        match shortfalls.is_empty() {
            true => Ok(()),
            false => Err(Refusal::LowQuality(shortfalls)),
        }
    }

    fn check_length(&self, encoded: &[u8]) -> Result<(), Refusal> {
        let max = self.options.limits.max_bytes;
        match encoded.len() > max {
            true => Err(Refusal::InvalidImage(format!(
                "the picture has {} bytes, at most {max} are allowed",
                encoded.len(),
            ))),
            false => Ok(()),
        }
    }

    /// Fails closed: with [`LivenessDemand::Enforce`] nothing but a live face passes.
    fn judge(
        &mut self,
        picture: &Picture,
        face: &Face,
        turn: Turn,
        demand: LivenessDemand,
    ) -> Result<Option<Liveness>, Refusal> {
        if demand == LivenessDemand::Off {
            return Ok(None);
        }
        let threshold = self.liveness.threshold();
        let judged = match turn {
            Turn::None => self.liveness.judge(picture, face),
            // The network knows faces that stand upright.
            turn => {
                let (picture, face) = turn.picture(picture, face);
                self.liveness.judge(&picture, &face)
            }
        };
        match (judged, demand) {
            (Ok(judged), LivenessDemand::Enforce) if !judged.live => {
                let score = judged.score;
                Err(match self.liveness.has_room(picture, face) {
                    true => Refusal::PresentationAttack { score, threshold },
                    false => Refusal::TooNear { score, threshold },
                })
            }
            (Ok(judged), _) => Ok(Some(judged)),
            (Err(e), LivenessDemand::Enforce) => Err(Refusal::LivenessUnknown(e)),
            (Err(e), _) => {
                tracing::error!("liveness: {e}");
                Ok(None)
            }
        }
    }

    /// How pictures are looked at: each way where those before it showed no face.
    fn passes(&self, far: bool) -> &'static [Pass] {
        match (far, self.options.far) {
            (true, _) => &[Pass::Far],
            (false, FarLooks::Always) => {
                &[Pass::WithNear, Pass::Padded, Pass::PaddedMore, Pass::Far]
            }
            (false, _) => Pass::PLAIN,
        }
    }

    /// The looks at a picture, each where those before it showed no face: the plain ones, then, if it may be turned, its other
    /// turns, for a picture that is kept or inspected (`thorough`) also smaller.
    fn looks(&self, checks: &Checks, turns: bool, thorough: bool) -> Vec<Look> {
        let passes = match checks.opening {
            true => Pass::PLAIN,
            false => self.passes(checks.far),
        };
        let mut looks: Vec<Look> = passes.iter().copied().map(Look::Pass).collect();
        if turns && !checks.far {
            looks.push(Look::Turned(Pass::FullFrame));
            if thorough {
                looks.push(Look::Turned(Pass::Padded));
            }
        }
        looks
    }

    /// What a look shows, the face that counts first, and how the picture must be turned for the faces to stand upright. Where
    /// the one that counts is doubtful and the picture may be turned (`turns`), the other turns are looked at as well. The picture stays
    /// as it is where the best score says so, which must be a good one if the picture is kept (`thorough`); otherwise the landmark
    /// network is asked: of an upright picture the detector may well be surer when it is turned.
    fn look(
        &mut self,
        picture: &Picture,
        look: Look,
        turns: bool,
        thorough: bool,
    ) -> Result<(Turn, Vec<Face>), Refusal> {
        let (pass, mut faces) = match look {
            Look::Pass(pass) => (pass, self.detector.detect(picture, pass)?),
            Look::Turned(pass) => (pass, Vec::new()),
        };
        self.options.face.sort(&mut faces, picture);
        let look_at_turns = matches!(look, Look::Turned(_)) || turns && turn::is_doubtful(&faces);
        let Some(share) = pass.share().filter(|_| look_at_turns) else {
            return Ok((Turn::None, faces));
        };
        let mut views = turn::all(&mut self.detector, picture, share, &faces)?;
        for (_, faces) in &mut views {
            self.options.face.sort(faces, picture);
        }
        let best = match views.first() {
            None => return Ok((Turn::None, faces)),
            Some((Turn::None, faces)) if turn::is_sure(faces) || !thorough => 0,
            Some(_) if views.len() == 1 => 0,
            Some(_) => self.most_present(picture, &views)?,
        };
        match views.swap_remove(best) {
            // With those that lie on their side: they count as seen.
            (Turn::None, _) => Ok((Turn::None, faces)),
            turned => Ok(turned),
        }
    }

    /// Which of the views shows what the landmark network is surest to be a face.
    fn most_present(
        &mut self,
        picture: &Picture,
        views: &[(Turn, Vec<Face>)],
    ) -> Result<usize, Refusal> {
        let mut best = (0, f32::NEG_INFINITY);
        for (index, (_, faces)) in views.iter().enumerate() {
            let presence = self.landmarks.presence(picture, &faces[0])?;
            if presence > best.1 {
                best = (index, presence);
            }
        }
        Ok(best.0)
    }

    /// The face that counts, its alignment points, and how many faces there are. Where the full
    /// frame shows none, or hints at a larger one, the picture is looked at smaller; where it shows a
    /// doubtful one or none at all, turned.
    ///
    /// The landmark network has the last word on what is a face: where it sees none, the next
    /// candidate is taken. Not so where a door opens: whom nobody can read stands before the others all the same.
    fn find_face(
        &mut self,
        picture: &Picture,
        thorough: bool,
        checks: &Checks,
        lap: &mut impl FnMut(usize),
    ) -> Result<FoundFace, Refusal> {
        let mut unreadable: Vec<Face> = Vec::new();
        let turns = may_be_turned(checks);
        for look in self.looks(checks, turns, thorough) {
            let (turn, faces) = self.look(picture, look, turns, thorough)?;
            lap(2);
            let candidates = match look {
                Look::Pass(Pass::Far) => MAX_FAR_CANDIDATES,
                _ => MAX_CANDIDATES,
            };
            for face in faces.iter().take(candidates) {
                let points = self.landmarks.find(picture, face, thorough)?;
                lap(3);
                let Some(points) = points else {
                    unreadable.push(*face);
                    continue;
                };
                let behind = |other: &Face| other.is_before(face);
                if checks.opening
                    && (unreadable.iter().any(behind)
                        || self.detector.hints_at_nearer(picture, face)?)
                {
                    return Err(Refusal::Unreadable);
                }
                lap(2);
                return Ok(FoundFace {
                    face: *face,
                    points,
                    faces: faces.len(),
                    turn,
                });
            }
        }
        Err(Refusal::NoFace {
            width: picture.width,
            height: picture.height,
        })
    }
}

/// One look at a picture.
#[derive(Clone, Copy)]
enum Look {
    Pass(Pass),
    /// At its three other turns, as large as in the pass.
    Turned(Pass),
}

/// The face that counts.
struct FoundFace {
    face: Face,
    /// Right eye, left eye, nose, corners of the mouth, in pixels of the picture.
    points: [Point; 5],
    /// Faces seen, that one included.
    faces: usize,
    /// How the picture must be turned for the face to stand upright.
    turn: Turn,
}

/// Where a door opens or only live faces count, a camera that hangs upright takes the pictures: what lies on its side there is no
/// face of somebody who stands before it.
fn may_be_turned(checks: &Checks) -> bool {
    !checks.opening && checks.liveness != LivenessDemand::Enforce
}
