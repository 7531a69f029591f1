//! The model files: which there are (`models/models.toml`), which are embedded in the binary, and
//! which the configuration puts in their place.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use tflitec::model::Model;

use super::InferenceError;
use super::memory::release_pages;
use crate::regular_file;
use crate::text_file::{self, SETTINGS_BYTES};

/// The table of every model that this version knows, with the constants that belong to each file.
const TABLE: &str = include_str!("../../models/models.toml");

/// TensorFlow Lite reads tensors in place; flatbuffers align them to 16 bytes from the start.
#[repr(C, align(64))]
struct Aligned<B: ?Sized>(B);

macro_rules! embedded {
    ($name:ident, $file:literal) => {
        static $name: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!("../../models/", $file)));
    };
}
embedded!(DETECTOR, "detector.tflite");
embedded!(LANDMARKS, "landmarks.tflite");
embedded!(EMBEDDER, "mobilefacenet-int8.tflite");
embedded!(LIVENESS, "liveness.tflite");

/// What a network is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Detector,
    Landmarks,
    Embedder,
    Liveness,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Detector => "detector",
            Role::Landmarks => "landmarks",
            Role::Embedder => "embedder",
            Role::Liveness => "liveness",
        })
    }
}

/// How a picture becomes the input tensor `[1, height, width, 3]`: RGB, `(pixel - mean) / scale`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    pub mean: f32,
    pub scale: f32,
    pub dtype: InputType,
}

/// Type of the input tensor; `int8` is quantized with the tensor's own scale and zero point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputType {
    Float32,
    Int8,
}

/// Mesh points whose mean is one alignment point, in the order of the template.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointIndices {
    pub right_eye: Vec<usize>,
    pub left_eye: Vec<usize>,
    pub nose: Vec<usize>,
    pub mouth_right: Vec<usize>,
    pub mouth_left: Vec<usize>,
}

impl PointIndices {
    /// The five lists in the order of [`Alignment::points`].
    pub fn in_order(&self) -> [&[usize]; 5] {
        [
            &self.right_eye,
            &self.left_eye,
            &self.nose,
            &self.mouth_right,
            &self.mouth_left,
        ]
    }
}

/// Where the five points lie in the embedder's input, in pixels.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alignment {
    pub points: [[f32; 2]; 5],
}

/// `score = 1 / (1 + exp(-(slope * cosine + offset)))`, fitted for one embedding model.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreCurve {
    pub slope: f64,
    pub offset: f64,
}

impl ScoreCurve {
    /// Confidence (0..1) that two faces are one person, from the cosine (-1..1) of their templates.
    pub fn score(&self, cosine: f32) -> f64 {
        1.0 / (1.0 + (-(self.slope * f64::from(cosine) + self.offset)).exp())
    }
}

/// `quality = 100 / (1 + exp((half - length) / width))`, from the length of an embedding before it is normalised:
/// the surer the network, the longer (Meng et al., MagFace, CVPR 2021).
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MagnitudeCurve {
    /// Length of quality 50.
    pub half: f32,
    pub width: f32,
}

impl MagnitudeCurve {
    /// Quality (0..100) of the face that an embedding of this length is of.
    pub fn quality(&self, length: f32) -> f32 {
        let quality = 100.0 / (1.0 + ((self.half - length) / self.width).exp());
        if quality.is_finite() { quality } else { 0.0 }
    }
}

/// How a liveness model is used.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LivenessConstants {
    /// Index of the logit of a live face.
    pub live_class: usize,
    /// Sides of the crop as a multiple of the box.
    pub crop: f32,
    /// Share of its height by which the detector's box is raised first.
    pub forehead: f32,
    /// Score (0..1, softmax) from which a face is live.
    pub threshold: f32,
}

/// One entry of `models.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    pub role: Role,
    pub id: String,
    pub file: Option<String>,
    pub sha256: String,
    /// Whether this is the file embedded in the binary.
    #[serde(default)]
    pub default: bool,
    pub card: Option<String>,
    /// Embedders only: files of one space give templates that may be compared with each other.
    pub template_space: Option<String>,
    /// Embedders only: `[false match rate, cosine]` of a search among people who are not the one searched for, rates falling.
    /// Without it there is no opening a door.
    #[serde(default)]
    pub impostor_cosine: Vec<[f64; 2]>,
    /// More of them, which were not measured.
    #[serde(default)]
    pub impostor_cosine_extrapolated: Vec<[f64; 2]>,
    /// As [`ModelEntry::impostor_cosine`], of means of five features of a person. Without it there is no opening a door by
    /// such means.
    #[serde(default)]
    pub impostor_cosine_fused: Vec<[f64; 2]>,
    /// More of them, which were not measured.
    #[serde(default)]
    pub impostor_cosine_fused_extrapolated: Vec<[f64; 2]>,
    pub input: InputSpec,
    /// Output tensors by name; told apart by their shape.
    pub output: std::collections::BTreeMap<String, Vec<usize>>,
    pub points: Option<PointIndices>,
    pub alignment: Option<Alignment>,
    pub score: Option<ScoreCurve>,
    pub magnitude: Option<MagnitudeCurve>,
    pub liveness: Option<LivenessConstants>,
}

/// Model files that replace embedded ones.
#[derive(Clone, Debug, Default)]
pub struct ModelPaths {
    /// A `models.toml` that replaces the embedded table, for models this version does not know.
    pub table: Option<PathBuf>,
    pub detector: Option<PathBuf>,
    pub landmarks: Option<PathBuf>,
    pub embedder: Option<PathBuf>,
    pub liveness: Option<PathBuf>,
}

/// A checked model, ready for any number of interpreters. Lives as long as the process.
#[derive(Clone, Debug)]
pub struct LoadedModel {
    pub entry: ModelEntry,
    pub(super) model: &'static Model<'static>,
    /// The file, if it is part of the program.
    embedded: Option<&'static [u8]>,
}

/// The four models of the pipeline.
#[derive(Clone, Debug)]
pub struct ModelSet {
    pub detector: LoadedModel,
    pub landmarks: LoadedModel,
    pub embedder: LoadedModel,
    pub liveness: LoadedModel,
    /// Constants that must be there for the roles above, checked at load.
    pub points: PointIndices,
    pub alignment: Alignment,
    pub score: ScoreCurve,
    pub magnitude: MagnitudeCurve,
    pub liveness_constants: LivenessConstants,
    pub template_space: String,
}

impl ModelSet {
    /// The embedded models, or the files named in `paths` in their place.
    ///
    /// # Errors
    /// A file that cannot be read, whose SHA-256 the table does not list, or that does not parse.
    pub fn load(paths: &ModelPaths) -> Result<ModelSet, InferenceError> {
        let table = match &paths.table {
            None => parse_table(TABLE)?,
            Some(path) => {
                let text = text_file::read(path, SETTINGS_BYTES)
                    .map_err(|e| InferenceError::Table(format!("{}: {e}", path.display())))?;
                parse_table(&text)?
            }
        };
        let embedder = load(&table, Role::Embedder, paths.embedder.as_deref())?;
        let landmarks = load(&table, Role::Landmarks, paths.landmarks.as_deref())?;
        let liveness = load(&table, Role::Liveness, paths.liveness.as_deref())?;
        let missing = |key: &str, id: &str| {
            InferenceError::Table(format!("the entry \"{id}\" has no [model.{key}]"))
        };
        Ok(ModelSet {
            detector: load(&table, Role::Detector, paths.detector.as_deref())?,
            points: (landmarks.entry.points.clone())
                .ok_or_else(|| missing("points", &landmarks.entry.id))?,
            alignment: (embedder.entry.alignment)
                .ok_or_else(|| missing("alignment", &embedder.entry.id))?,
            score: (embedder.entry.score).ok_or_else(|| missing("score", &embedder.entry.id))?,
            magnitude: (embedder.entry.magnitude)
                .ok_or_else(|| missing("magnitude", &embedder.entry.id))?,
            liveness_constants: (liveness.entry.liveness)
                .ok_or_else(|| missing("liveness", &liveness.entry.id))?,
            template_space: (embedder.entry.template_space.clone()).ok_or_else(|| {
                InferenceError::Table(format!("\"{}\" has no template_space", embedder.entry.id))
            })?,
            landmarks,
            embedder,
            liveness,
        })
    }

    /// Takes the model files that are part of the program out of memory. To be called once the networks are made: these have copies
    /// of the weights, in the order that the processor wants them, and hardly look at the files again.
    pub fn release_files(&self) {
        for model in [
            &self.detector,
            &self.landmarks,
            &self.embedder,
            &self.liveness,
        ] {
            if let Some(bytes) = model.embedded {
                release_pages(bytes);
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    model: Vec<ModelEntry>,
}

fn parse_table(text: &str) -> Result<Vec<ModelEntry>, InferenceError> {
    let table: Table = toml::from_str(text).map_err(|e| InferenceError::Table(e.to_string()))?;
    Ok(table.model)
}

fn load(
    table: &[ModelEntry],
    role: Role,
    path: Option<&Path>,
) -> Result<LoadedModel, InferenceError> {
    let mut inside = None;
    let (bytes, shown): (&'static [u8], PathBuf) = match path {
        None => {
            let embedded: &'static [u8] = match role {
                Role::Detector => &DETECTOR.0,
                Role::Landmarks => &LANDMARKS.0,
                Role::Embedder => &EMBEDDER.0,
                Role::Liveness => &LIVENESS.0,
            };
            inside = Some(embedded);
            (embedded, PathBuf::from("inside the binary"))
        }
        Some(path) => {
            let bytes = regular_file::read(path).map_err(|source| InferenceError::Read {
                role,
                path: path.into(),
                source,
            })?;
            // Interpreters on every worker refer to it until the process ends.
            (Vec::leak(bytes), path.into())
        }
    };
    let found = hex(&Sha256::digest(bytes));
    let known = || table.iter().filter(|entry| entry.role == role);
    let Some(entry) = known().find(|entry| entry.sha256 == found) else {
        let expected: Vec<String> = known()
            .map(|entry| format!("{} ({})", entry.sha256, entry.id))
            .collect();
        return Err(InferenceError::UnknownModel {
            role,
            path: shown,
            found,
            expected: match expected.len() {
                0 => format!("an entry with role = \"{role}\""),
                _ => expected.join(" or "),
            },
        });
    };
    let model = Model::from_bytes(bytes).map_err(|e| InferenceError::Unloadable {
        role,
        id: entry.id.clone(),
        reason: e.to_string(),
    })?;
    Ok(LoadedModel {
        entry: entry.clone(),
        model: Box::leak(Box::new(model)),
        embedded: inside,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_models_are_the_default_entries_of_the_table() {
        let set = ModelSet::load(&ModelPaths::default()).unwrap();
        for model in [&set.detector, &set.landmarks, &set.embedder, &set.liveness] {
            assert!(model.entry.default, "{}", model.entry.id);
        }
    }

    #[test]
    fn an_unknown_file_is_refused_and_the_known_hashes_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("other.tflite");
        std::fs::write(&path, b"not a model").unwrap();
        let paths = ModelPaths {
            embedder: Some(path),
            ..ModelPaths::default()
        };
        let said = ModelSet::load(&paths).unwrap_err().to_string();
        let known = ModelSet::load(&ModelPaths::default()).unwrap().embedder;
        assert!(said.contains("other.tflite"), "{said}");
        assert!(said.contains(&known.entry.sha256), "{said}");
    }

    #[test]
    fn a_longer_embedding_is_of_better_quality() {
        let curve = MagnitudeCurve {
            half: 50.0,
            width: 10.0,
        };
        let qualities = [0.0, 30.0, 50.0, 70.0, 1e9].map(|length| curve.quality(length));
        assert!(qualities.is_sorted() && qualities[0] < 1.0 && qualities[4] == 100.0);
        assert_eq!(qualities[2], 50.0);
        assert_eq!(curve.quality(f32::NAN), 0.0);
    }

    #[test]
    fn the_score_rises_with_the_cosine_and_reaches_the_promised_ends() {
        let curve = ModelSet::load(&ModelPaths::default()).unwrap().score;
        let scores: Vec<f64> = (-10..=10).map(|i| curve.score(i as f32 / 10.0)).collect();
        assert!(scores.windows(2).all(|w| w[0] < w[1]), "{scores:?}");
        assert!(curve.score(1.0) >= 0.999);
        assert!(curve.score(0.0) < 0.05);
    }
}
