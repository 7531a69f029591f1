//! How `recognition.fusion` is written. The gallery itself reads no configuration.

use serde::{Deserialize, Serialize};

use crate::gallery::Fusion;

#[derive(Serialize, Deserialize)]
#[serde(remote = "Fusion", rename_all = "lowercase")]
pub(super) enum FusionKey {
    Off,
    Mean,
}
