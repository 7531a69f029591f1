//! `server.listen`.

use std::net::SocketAddr;

use serde::de::{Deserialize, Deserializer, Error};

use crate::http::listen_address;

/// An address, or a name of this device.
pub(super) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(from)?;
    listen_address(&text).map_err(|e| D::Error::custom(format!("`server.listen` is {e}")))
}
