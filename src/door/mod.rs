//! The lock of a door: boards, pins, and when they switch.

pub mod board;
pub mod gpio;
mod raspberry;
pub mod schedule;
pub mod settings;
pub mod simulated;
