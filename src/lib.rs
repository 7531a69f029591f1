//! recocomp: a face recognition appliance in one binary.
//!
//! The rooms, in the order a request walks through them. A room knows only the rooms after it:
//!
//! | room | what it does |
//! |---|---|
//! | [`cli`] | one file a verb of the command line |
//! | [`config`] | `recocomp.toml` to [`config::Config`] |
//! | [`http`] | the HTTP API: one file an endpoint group |
//! | [`engine`] | what the product does, free of HTTP |
//! | [`fairness`] | who asks, and whose turn it is |
//! | [`recognition`] | picture to template |
//! | [`inference`] | TensorFlow Lite behind one small type; the workers |
//! | [`gallery`] | face collections on disk |
//! | [`license`] | whether this device may work |
//! | [`door`] | the lock of a door: boards, pins, events |
//! | [`logs`] | what happened and who did it: the two logs |
//! | [`telemetry`] | logs, the service manager |
//! | [`regular_file`] | opening what may be a pipe or a device |
//! | [`text_file`] | files that people write: settings, secrets |
//! | [`shown`] | what comes from outside, as people may be shown it |

pub mod cli;
pub mod config;
pub mod door;
pub mod engine;
pub mod fairness;
pub mod gallery;
pub mod http;
pub mod inference;
pub mod license;
pub mod logs;
pub mod recognition;
pub mod regular_file;
pub mod shown;
pub mod telemetry;
pub mod text_file;

/// Version of the product as the API spells it, `V` and the version of the crate.
pub const VERSION: &str = concat!("V", env!("CARGO_PKG_VERSION"));
