//! As much of the license room as the gallery knows.

#[path = "../../src/license/device.rs"]
pub mod device;

/// As in the license room.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
