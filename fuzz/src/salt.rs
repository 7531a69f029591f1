//! An arbitrary salt file beside a sealed collection: 64 bytes, more or fewer, with a checksum that fits or as they are.

use std::path::Path;
use std::sync::OnceLock;

use crate::files::{open, put};
use crate::gallery::Options;
use crate::license::device::DeviceIdentity;
use crate::memory::Memory;
use crate::recipe::{RAW, Recipe};
use crate::session::{self, GALLERY, Trust, items};

/// No collection is there.
const ALONE: u8 = 4;

struct Sealed {
    options: Options,
    files: Vec<(std::path::PathBuf, Vec<u8>)>,
}

fn sealed() -> &'static Sealed {
    static SEALED: OnceLock<Sealed> = OnceLock::new();
    SEALED.get_or_init(|| {
        let memory = Memory::default();
        memory.put(&Path::new(GALLERY).join("LOCK"), Vec::new());
        let options = Options {
            sealed_to: Some(DeviceIdentity::read()),
            ..session::options()
        };
        let gallery = open(&memory, options.clone());
        gallery.create("door").expect("in memory");
        gallery
            .insert("door", items(&[("amy", 1)]))
            .expect("in memory");
        Sealed {
            options,
            files: memory.files(),
        }
    })
}

pub fn run(input: &[u8]) {
    let mut recipe = Recipe(input);
    let flags = recipe.byte();
    let mut salt = recipe.0.to_vec();
    if flags & RAW == 0 && salt.len() >= 64 {
        put(&mut salt, 0, b"recosalt");
        let checksum = crc32c::crc32c(&salt[..60]);
        put(&mut salt, 60, &checksum.to_le_bytes());
    }
    let memory = Memory::default();
    memory.put(&Path::new(GALLERY).join("LOCK"), Vec::new());
    if flags & ALONE == 0 {
        for (path, bytes) in &sealed().files {
            memory.put(path, bytes.clone());
        }
    }
    memory.put(&Path::new(GALLERY).join("SALT"), salt);
    session::run(&memory, &sealed().options, Trust::Rows);
}

pub fn seeds() -> Vec<Vec<u8>> {
    let files = sealed().files.iter();
    let salts = files.filter(|(path, _)| path.ends_with("SALT"));
    salts
        .flat_map(|(_, salt)| {
            [RAW, 0, ALONE, ALONE | RAW].map(|flags| [&[flags], &salt[..]].concat())
        })
        .chain([vec![RAW], vec![RAW, 1]])
        .collect()
}
