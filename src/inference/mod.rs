//! Running networks: the model files, one small type around TensorFlow Lite's interpreter, and the
//! pool of worker threads that own the interpreters.

mod memory;
mod models;
mod network;
mod places;
mod pool;
mod queue;

pub use memory::bound_allocator;
pub use models::{
    Alignment, InputSpec, LivenessConstants, LoadedModel, MagnitudeCurve, ModelEntry, ModelPaths,
    ModelSet, PointIndices, Role, ScoreCurve,
};
pub use network::Network;
pub use pool::{Cost, Place, Pool, PoolOptions, Size, Stall, WorkerFault};

use std::path::PathBuf;

/// Why a model cannot be used or a network failed.
#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    #[error("cannot read the {role} model {path}: {source}", path = path.display())]
    Read {
        role: Role,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("models.toml cannot be used: {0}")]
    Table(String),
    #[error(
        "the {role} model {path} has SHA-256 {found}, which models.toml does not list; expected {expected}",
        path = path.display()
    )]
    UnknownModel {
        role: Role,
        path: PathBuf,
        found: String,
        expected: String,
    },
    #[error("the {role} model {id} cannot be loaded: {reason}")]
    Unloadable {
        role: Role,
        id: String,
        reason: String,
    },
    #[error("the {role} model {id}: {what} has shape {found:?}, expected {expected:?}")]
    Shape {
        role: Role,
        id: String,
        what: String,
        found: Vec<usize>,
        expected: Vec<usize>,
    },
    #[error("the {role} network failed: {reason}")]
    Run { role: Role, reason: String },
}
