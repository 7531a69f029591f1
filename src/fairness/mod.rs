//! Who asks, and what of the appliance is whose: so that nobody's requests can keep out everybody else's.
//!
//! A client is an address. Whoever asks is known to everything that works for a request, as its log span is.

mod client;
mod shares;
mod turns;

pub use client::{Asking, Client, asking, asks, opens};
pub use shares::{Share, Shares};
pub use turns::Turns;
