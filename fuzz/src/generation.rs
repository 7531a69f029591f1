//! An arbitrary generation, alone or with the journal that goes on from it.
//!
//! After the flags and the damage: the file as it is, or its header and the bytes that checksums cover.

use crate::files::{
    COLLECTION_BYTES, HEADER_BYTES, NUMBER, finish_generation, generation_path, journal,
    journal_path, put, real,
};
use crate::memory::Memory;
use crate::recipe::{DAMAGED, RAW, Recipe, apply};
use crate::session::{self, Trust};

/// The journal is there.
const JOURNAL: u8 = 4;
/// Collection and number in the header are those of the input.
const STRAY: u8 = 8;
/// So is the format version.
const VERSION: u8 = 16;
/// The journal is one that begins with nobody, with a lower number: what is served if the generation cannot be.
const FALL_BACK: u8 = 32;
/// Codes and scales are those of the input, not those of the originals.
const ODD_CODES: u8 = 64;

pub fn run(input: &[u8]) {
    let mut recipe = Recipe(input);
    let flags = recipe.byte();
    let damage = recipe.damage();
    let file = match flags & RAW {
        0 => {
            let mut header: [u8; HEADER_BYTES] = recipe.array();
            put(&mut header, 0, b"recogenr");
            if flags & VERSION == 0 {
                put(&mut header, 8, &1_u32.to_le_bytes());
            }
            if flags & STRAY == 0 {
                put(&mut header, 16, &COLLECTION_BYTES);
                put(&mut header, 32, &NUMBER.to_le_bytes());
            }
            finish_generation(&mut header, recipe.0, flags & ODD_CODES == 0)
        }
        _ => Some(recipe.0.to_vec()),
    };
    let Some(mut file) = file else { return };
    if flags & DAMAGED != 0 {
        apply(&damage, &mut file);
    }
    let memory = Memory::default();
    memory.put(&generation_path(), file);
    if flags & JOURNAL != 0 {
        memory.put(
            &journal_path(NUMBER),
            journal(NUMBER, 3, 2, &real().continuing),
        );
    }
    if flags & FALL_BACK != 0 {
        memory.put(
            &journal_path(NUMBER - 1),
            journal(NUMBER - 1, 3, 0, &real().alone),
        );
    }
    let trust = match flags & (RAW | DAMAGED | ODD_CODES) {
        0 => Trust::Codes,
        _ => Trust::Nothing,
    };
    session::run(&memory, &session::options(), trust);
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for flags in [0, ODD_CODES, JOURNAL, JOURNAL | FALL_BACK, FALL_BACK] {
        let seed = |flags, damage: &[u8], body: &[u8]| [&[flags][..], damage, body].concat();
        seeds.push(seed(flags, &[0], &real().generation));
        seeds.push(seed(flags | RAW, &[0], &real().finished_generation));
        // One block, and a block and the parity.
        let one = [1, 0, 10, 0, 1];
        let two = [2, 0, 10, 0, 1, 200, 20, 0, 1];
        seeds.push(seed(flags | DAMAGED, &one, &real().generation));
        seeds.push(seed(flags | DAMAGED, &two, &real().generation));
    }
    // Two blocks and more: 2,500 rows of the last person, most of them filled up.
    let mut large = real().generation.clone();
    put(&mut large, 40, &2500_u64.to_le_bytes());
    let layout = crate::files::Layout::new(
        2500,
        crate::files::u64_at(&large, 48),
        crate::files::u64_at(&large, 56),
    );
    if let Some(layout) = layout {
        large.truncate(layout.codes_at);
        let people = crate::files::u64_at(&large, 48) as usize;
        put(
            &mut large,
            layout.first_rows_at + people * 4,
            &2500_u32.to_le_bytes(),
        );
        for damage in [&[0][..], &[1, 0, 0, 20, 1], &[2, 0, 10, 0, 1, 0, 0, 20, 1]] {
            seeds.push([&[DAMAGED | JOURNAL], damage, &large].concat());
        }
    }
    seeds
}
