//! An immutable generation: everyone who is in a collection at one point in time, mapped instead of read.
//!
//! The directory of people, small and needed in whole, is read into memory and validated at opening. The rows stay in the file:
//! their blocks are checked against their checksums the first time that a search reads them.

mod archive;
mod layout;
mod repair;
mod write;

pub(super) use archive::{Generation, OpenFault};
pub(super) use layout::GENERATION_VERSION;
pub(super) use repair::{Fault, Health, copy_block, examine, examine_until, repair};
pub(super) use write::{Pace, write_generation};

const PREFIX: &str = "gen-";
const SUFFIX: &str = ".rkyv";

pub(super) fn generation_name(number: u64) -> String {
    format!("{PREFIX}{number}{SUFFIX}")
}

/// The `n` of `gen-<n>.rkyv`, written the way this room writes it.
pub(super) fn generation_number(name: &str) -> Option<u64> {
    let number = name
        .strip_prefix(PREFIX)?
        .strip_suffix(SUFFIX)?
        .parse()
        .ok()?;
    (generation_name(number) == name).then_some(number)
}
