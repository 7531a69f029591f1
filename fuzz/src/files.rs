//! The bytes of a generation and of a journal, after `docs/design/gallery.md`.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::gallery::scan::quantize;
use crate::gallery::{Gallery, Options};
use crate::memory::Memory;
use crate::recipe::replace;
use crate::session::{GALLERY, items, options};

pub const HEADER_BYTES: usize = 128;
const BLOCK_BYTES: usize = 1 << 20;

/// The collection of every input.
const COLLECTION: &str = "0f0e0d0c-0b0a-4908-8706-050403020100";
pub const COLLECTION_BYTES: [u8; 16] = [15, 14, 13, 12, 11, 10, 0x49, 8, 0x87, 6, 5, 4, 3, 2, 1, 0];

/// The number of the generation, and of the journal that goes on from it.
pub const NUMBER: u64 = 2;

pub fn generation_path() -> PathBuf {
    Path::new(GALLERY)
        .join(COLLECTION)
        .join(format!("gen-{NUMBER}.rkyv"))
}

pub fn journal_path(number: u64) -> PathBuf {
    Path::new(GALLERY)
        .join(COLLECTION)
        .join(format!("journal-{number}"))
}

/// Places in a generation.
pub struct Layout {
    pub first_rows_at: usize,
    pub codes_at: usize,
    pub scales_at: usize,
    pub originals_at: usize,
    pub covered_to: usize,
}

impl Layout {
    /// `None` if the counts make a file of more than 8 MiB.
    pub fn new(rows: u64, people: u64, archive: u64) -> Option<Layout> {
        let small = rows <= 8192 && people <= 8192 && archive <= 1 << 20;
        if !small {
            return None;
        }
        let aligned = |place: u64| place.next_multiple_of(64);
        let first_rows_at = aligned(HEADER_BYTES as u64 + archive);
        let codes_at = aligned(first_rows_at + (people + 1) * 4);
        let scales_at = aligned(codes_at + rows * 192);
        let originals_at = aligned(scales_at + rows * 4);
        Some(Layout {
            first_rows_at: first_rows_at as usize,
            codes_at: codes_at as usize,
            scales_at: scales_at as usize,
            originals_at: originals_at as usize,
            covered_to: aligned(originals_at + rows * 384) as usize,
        })
    }
}

pub fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// A header with the counts that it has, and covered bytes that are as many as they say: cut off or filled up. Table, parity and
/// checksums are made to fit, and with `codes` the codes and scales.
pub fn finish_generation(
    header: &mut [u8; HEADER_BYTES],
    covered: &[u8],
    codes: bool,
) -> Option<Vec<u8>> {
    let layout = Layout::new(u64_at(header, 40), u64_at(header, 48), u64_at(header, 56))?;
    let mut file = header.to_vec();
    file.extend_from_slice(&covered[..covered.len().min(layout.covered_to - HEADER_BYTES)]);
    // As binary16 a small number, as a scale a very small one.
    file.resize(layout.covered_to, 0x2c);
    if codes {
        put_codes(&mut file, &layout, u64_at(header, 40) as usize);
    }
    let covered = &file[HEADER_BYTES..];
    let mut parity = vec![0; covered.len().min(BLOCK_BYTES)];
    let mut table = Vec::new();
    for block in covered.chunks(BLOCK_BYTES) {
        table.extend_from_slice(&crc32c::crc32c(block).to_le_bytes());
        parity
            .iter_mut()
            .zip(block)
            .for_each(|(sum, byte)| *sum ^= byte);
    }
    put(header, 64, &crc32c::crc32c(&table).to_le_bytes());
    put(header, 68, &crc32c::crc32c(&parity).to_le_bytes());
    let checksum = crc32c::crc32c(&header[..HEADER_BYTES - 4]);
    put(header, HEADER_BYTES - 4, &checksum.to_le_bytes());
    table.resize(table.len().next_multiple_of(64), 0);
    parity.resize(parity.len().next_multiple_of(64), 0);
    put(&mut file, 0, &header[..]);
    for part in [&table[..], &parity, &table, &header[..]] {
        file.extend_from_slice(part);
    }
    Some(file)
}

/// What a search reads, from the originals.
fn put_codes(file: &mut [u8], layout: &Layout, rows: usize) {
    for row in 0..rows {
        let at = layout.originals_at + row * 384;
        let numbers: [f32; 192] = std::array::from_fn(|i| {
            let two = [file[at + 2 * i], file[at + 2 * i + 1]];
            half::f16::from_le_bytes(two).to_f32()
        });
        let (codes, scale) = quantize(&numbers);
        put(
            file,
            layout.codes_at + row * 192,
            zerocopy::IntoBytes::as_bytes(&codes),
        );
        put(file, layout.scales_at + row * 4, &scale.to_le_bytes());
    }
}

/// The header of a journal.
pub fn journal_header(number: u64, version: u32, flags: u32) -> [u8; 64] {
    let mut header = [0; 64];
    put(&mut header, 0, b"recojrnl");
    put(&mut header, 8, &version.to_le_bytes());
    put(&mut header, 12, &flags.to_le_bytes());
    put(&mut header, 16, &COLLECTION_BYTES);
    put(&mut header, 32, &number.to_le_bytes());
    let checksum = crc32c::crc32c(&header[..60]);
    put(&mut header, 60, &checksum.to_le_bytes());
    header
}

/// Appends a record. `broken` turns bits of the header's and of the payload's checksum.
pub fn put_record(file: &mut Vec<u8>, payload: &[u8], sequence: u32, broken: (u32, u32)) {
    let seed = u32::from_le_bytes(file[60..64].try_into().expect("four bytes"));
    let mut header = [0; 16];
    put(&mut header, 0, &(payload.len() as u32).to_le_bytes());
    put(
        &mut header,
        4,
        &(crc32c::crc32c(payload) ^ broken.1).to_le_bytes(),
    );
    put(&mut header, 8, &sequence.to_le_bytes());
    let checksum = crc32c::crc32c_append(seed, &header[..12]) ^ broken.0;
    put(&mut header, 12, &checksum.to_le_bytes());
    file.extend_from_slice(&header);
    file.extend_from_slice(payload);
    file.resize(file.len().next_multiple_of(16), 0);
}

/// The payloads of a whole journal.
pub fn payloads(journal: &[u8]) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    let mut at = 64;
    while at + 16 <= journal.len() {
        let length = u64_at(journal, at) as u32 as usize;
        payloads.push(journal[at + 16..at + 16 + length].to_vec());
        at += 16 + length.next_multiple_of(16);
    }
    payloads
}

/// Real files that the inputs begin with.
pub struct Real {
    /// Header and covered bytes.
    pub generation: Vec<u8>,
    /// The whole file, with other checksums than before since the UUID is another.
    pub finished_generation: Vec<u8>,
    /// What the journal that goes on from it says.
    pub continuing: Vec<Vec<u8>>,
    /// What a journal says that begins with nobody.
    pub alone: Vec<Vec<u8>>,
}

/// Written by the gallery itself, with the UUID of every input.
pub fn real() -> &'static Real {
    static REAL: OnceLock<Real> = OnceLock::new();
    REAL.get_or_init(|| {
        let memory = Memory::default();
        memory.put(&Path::new(GALLERY).join("LOCK"), Vec::new());
        // The writing anew that follows a renaming would take its record away: it waits.
        let options = Options {
            erased_within: Duration::from_secs(60),
            ..options()
        };
        let gallery = open(&memory, options);
        gallery.create("door").expect("in memory");
        gallery
            .insert(
                "door",
                items(&[("amy", 1), ("amy", 2), ("ben", 3), ("eve", 4)]),
            )
            .expect("in memory");
        gallery
            .update("door", items(&[("ben", 5), ("ben", 6)]))
            .expect("in memory");
        gallery
            .insert("door", items(&[("a longer target id, out of line", 7)]))
            .expect("in memory");
        gallery
            .rename("door", "ben", "bob", false)
            .expect("in memory");
        let alone = payloads(&file(&memory, "journal-1"));
        gallery.compact("door").expect("in memory");
        gallery
            .insert("door", items(&[("amy", 8), ("joe", 9)]))
            .expect("in memory");
        gallery
            .update("door", items(&[("eve", 10)]))
            .expect("in memory");
        let continuing = payloads(&file(&memory, "journal-2"));
        let mut generation = file(&memory, "gen-2.rkyv");
        replace_collection(&mut generation, &memory);
        let counts = [40, 48, 56].map(|at| u64_at(&generation, at));
        let layout = Layout::new(counts[0], counts[1], counts[2]).expect("small");
        generation.truncate(layout.covered_to);
        let mut header = *generation.first_chunk().expect("a header");
        let finished =
            finish_generation(&mut header, &generation[HEADER_BYTES..], true).expect("small");
        let of_input = |payloads: Vec<Vec<u8>>| {
            let replaced = payloads.into_iter().map(|mut payload| {
                replace_collection(&mut payload, &memory);
                payload
            });
            replaced.collect()
        };
        Real {
            generation,
            finished_generation: finished,
            continuing: of_input(continuing),
            alone: of_input(alone),
        }
    })
}

/// A journal of whole records.
pub fn journal(number: u64, version: u32, flags: u32, payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut file = journal_header(number, version, flags).to_vec();
    for (sequence, payload) in payloads.iter().enumerate() {
        put_record(&mut file, payload, sequence as u32, (0, 0));
    }
    file
}

pub fn open(memory: &Memory, options: Options) -> Gallery {
    let storage = Arc::new(memory.clone());
    Gallery::open_on(storage, Path::new(GALLERY), options).expect("an empty gallery opens")
}

/// The one file of this name.
fn file(memory: &Memory, name: &str) -> Vec<u8> {
    let mut files = memory.files().into_iter();
    let found = files.find(|(path, _)| path.ends_with(name));
    found.expect("the gallery wrote it").1
}

fn replace_collection(bytes: &mut [u8], memory: &Memory) {
    let files = memory.files();
    let directory = files.iter().find_map(|(path, _)| {
        let above = path.parent()?.file_name()?.to_str()?;
        uuid::Uuid::parse_str(above).ok()
    });
    let uuid = directory.expect("one collection").into_bytes();
    replace(bytes, &uuid, &COLLECTION_BYTES);
}
