//! The HTTP API: one file an endpoint group.

mod answer;
mod arrived;
mod body;
mod caller;
mod collection;
mod connections;
mod detect;
mod error;
mod face;
mod feature;
mod fields;
mod form;
mod head;
mod json;
mod listen;
mod origin;
mod pages;
mod path;
mod person;
mod request_log;
mod router;
mod search;
mod server;
mod system;
mod wire;

pub use listen::listen_address;
pub use origin::{Origin, plain_name};
pub use pages::{Pages, own_names};
pub use server::{ServerOptions, run};

/// Every endpoint lives under this path.
pub const PREFIX: &str = "/api/v1/engine/recocomp";
