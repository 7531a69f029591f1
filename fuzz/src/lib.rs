//! Arbitrary files for the gallery, and arbitrary JPEGs. Each target has one module: it makes files of an input, and lets the gallery open them.
//!
//! Checksums would keep a blind fuzzer out. So an input is a recipe: its first byte says whether the rest is a file as it is, or
//! its contents, whose checksums, lengths and seals are computed here, after `docs/design/gallery.md` and `backup.md` and with no
//! code of the gallery. Both may then be damaged at some bytes, so that repair and quarantine run as well.

#[path = "../../src/gallery/mod.rs"]
pub mod gallery;
#[path = "../../src/recognition/jpeg/mod.rs"]
pub mod jpeg;
#[path = "../../src/recognition/jpeg_pixels.rs"]
pub mod jpeg_pixels;
#[path = "../../src/regular_file.rs"]
pub mod regular_file;
pub mod license;

pub mod container;
pub mod generation;
pub mod journal;
pub mod pictures;
pub mod salt;

mod files;
mod memory;
mod recipe;
mod session;
