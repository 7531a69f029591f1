//! A JPEG as its markers and every code of its scans say that it is: where it ends, what it is made of, and whether it is whole.
//!
//! Decoders fill what is missing or damaged with grey or with noise, which must not become somebody's template. So every file is
//! read here first, after ITU-T T.81, and whatever cannot have been written by an encoder is refused. No pixel is made here; what
//! was read is written anew for a decoder, with nothing in it that decoders disagree about (`rewrite`).

mod frame;
mod huffman;
mod rewrite;
mod scan;
mod segments;
mod standard;
#[cfg(test)]
mod tests;

pub use frame::Color;
pub use segments::{Survey, size, survey};

/// Why a JPEG is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the JPEG was cut off: its end is missing")]
    CutOff,
    /// What is wrong, in words that follow a colon.
    #[error("the JPEG is damaged: {0}")]
    Damaged(String),
    /// The kind of JPEG it is, with its article.
    #[error("the picture is {0}, which is not read; send a baseline or progressive JPEG")]
    Unsupported(&'static str),
}

fn damaged<T>(what: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Damaged(what.into()))
}
