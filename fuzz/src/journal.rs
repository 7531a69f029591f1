//! An arbitrary journal of version 1 to 3, alone or going on from a generation.
//!
//! After the flags and the damage: the file as it is, or version, flags and records. A record is a byte that says what is odd about
//! it, a length of two bytes and the payload.

use crate::files::{
    NUMBER, generation_path, journal_header, journal_path, payloads, put_record, real,
};
use crate::memory::Memory;
use crate::recipe::{DAMAGED, RAW, Recipe, apply};
use crate::session::{self, Trust};

/// The generation that it goes on from is there.
const GENERATION: u8 = 4;
/// A second journal, one number higher, goes on from this one.
const NEXT: u8 = 8;

/// Of a record: its number is not the next one, its payload or its header does not verify, or zeros stand in its place.
const STRAY: u8 = 1;
const BAD_PAYLOAD: u8 = 2;
const BAD_HEADER: u8 = 4;
const ZEROS: u8 = 8;

pub fn run(input: &[u8]) {
    let mut recipe = Recipe(input);
    let flags = recipe.byte();
    let damage = recipe.damage();
    let mut file = match flags & RAW {
        0 => records(&mut recipe),
        _ => recipe.0.to_vec(),
    };
    if flags & DAMAGED != 0 {
        apply(&damage, &mut file);
    }
    let memory = Memory::default();
    memory.put(&journal_path(NUMBER), file);
    if flags & GENERATION != 0 {
        memory.put(&generation_path(), real().finished_generation.clone());
    }
    if flags & NEXT != 0 {
        let next = crate::files::journal(NUMBER + 1, 3, 2, &real().continuing);
        memory.put(&journal_path(NUMBER + 1), next);
    }
    session::run(&memory, &session::options(), Trust::Rows);
}

fn records(recipe: &mut Recipe) -> Vec<u8> {
    let [version, flags] = recipe.array();
    let mut file = journal_header(NUMBER, version.into(), flags.into()).to_vec();
    let mut sequence = 0_u32;
    while !recipe.is_empty() {
        let odd = recipe.byte();
        if odd & STRAY != 0 {
            sequence = sequence.wrapping_add_signed(i32::from(recipe.byte() as i8));
        }
        let length = recipe.u16();
        let payload = recipe.bytes(length.into());
        if odd & ZEROS != 0 {
            file.resize(file.len() + payload.len().next_multiple_of(16), 0);
            continue;
        }
        let broken = |flag| u32::from(odd & flag != 0);
        put_record(
            &mut file,
            payload,
            sequence,
            (broken(BAD_HEADER), broken(BAD_PAYLOAD)),
        );
        sequence = sequence.wrapping_add(1);
    }
    file
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let real = real();
    let recipe = |flags: u8,
                  version: u8,
                  journal_flags: u8,
                  payloads: &[Vec<u8>],
                  odd: Option<(usize, u8)>| {
        let mut seed = vec![flags, 0, version, journal_flags];
        for (number, payload) in payloads.iter().enumerate() {
            match odd {
                Some((at, odd)) if at == number => {
                    seed.push(odd);
                    if odd & STRAY != 0 {
                        seed.push(2);
                    }
                }
                _ => seed.push(0),
            }
            seed.extend_from_slice(&(payload.len() as u16).to_le_bytes());
            seed.extend_from_slice(payload);
        }
        seed
    };
    for odd in [
        None,
        Some((2, STRAY)),
        Some((3, BAD_PAYLOAD)),
        Some((3, BAD_HEADER)),
        Some((4, ZEROS)),
        Some((0, BAD_PAYLOAD)),
    ] {
        seeds.push(recipe(0, 3, 0, &real.alone, odd));
        seeds.push(recipe(0, 2, 0, &real.alone, odd));
        seeds.push(recipe(NEXT, 2, 0, &real.alone, odd));
        seeds.push(recipe(GENERATION, 2, 2, &real.continuing, odd));
        seeds.push(recipe(0, 1, 0, &real.alone[1..], odd));
    }
    let whole = crate::files::journal(NUMBER, 3, 0, &real.alone);
    debug_assert_eq!(payloads(&whole), real.alone);
    seeds.push([&[RAW, 0][..], &whole].concat());
    seeds.push([&[RAW | DAMAGED, 1, 30, 0, 0, 1], &whole[..]].concat());
    seeds
}
