//! Exact search over int8 rows at the speed of memory.
//!
//! [`search`] reads every int8 row once ([`kernel`] compares them), keeps the best people of each probe, and compares those again
//! with their f16 originals. [`SharedPass`] lets searches that arrive together share the reading. The files behind it are a
//! [`Segment`] each. `unsafe` is in the kernels and in [`read_all`] only.

mod kernel;
mod pass;
mod read;
mod row;
mod search;
mod segment;
mod select;
mod shared;
#[cfg(test)]
mod tests;

pub use kernel::{Kernel, kernel, kernels};
pub use read::read_all;
pub use row::{QuantizedRow, ROW_BYTES, quantize};
pub use search::{DamagedPart, Found, Query, search};
pub use segment::{Bits, Damaged, Part, Segment};
pub use shared::{Answer, SharedPass};
