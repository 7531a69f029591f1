//! What every test of the portable file needs.

mod damage;
mod resume;
mod round_trip;

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use uuid::Uuid;

use super::frame::{HEADER_BYTES, Header};
use super::*;

/// A collection and its people.
type Sample = (CollectionHead, Vec<Person>);

/// Collection `number` in state `version`, with `people` of one to three features each.
fn sample(number: u128, version: u8, people: usize) -> Sample {
    let people: Vec<Person> = (0..people)
        .map(|i| {
            let features = (0..=i % 3)
                .map(|f| {
                    std::array::from_fn(|d| {
                        0x3800 | (number as usize * 7 + i * 31 + f * 5 + d) as u16 & 0x3ff
                    })
                })
                .collect();
            (format!("person {number}-{version}-{i} ü"), features)
        })
        .collect();
    let head = CollectionHead {
        uuid: Uuid::from_u128(number),
        name: format!("door {number}"),
        template_space: "space 1".to_owned(),
        created: 1_700_000_000_000,
        updated: 1_700_000_000_000 + u64::from(version),
        version: [version; 32],
        people: people.len() as u64,
        features: people
            .iter()
            .map(|(_, features)| features.len() as u64)
            .sum(),
    };
    (head, people)
}

/// An empty one, one of a single part, and one of several.
fn samples() -> Vec<Sample> {
    vec![sample(1, 1, 0), sample(2, 1, 2), sample(3, 1, 8)]
}

fn passphrase() -> (Lock, Key) {
    let passphrase = Passphrase::weak("correct horse");
    (
        Lock::Passphrase(passphrase.clone()),
        Key::Passphrase(passphrase),
    )
}

/// Two recipients, and the key of the second.
fn recipients() -> (Lock, Key) {
    let [first, second] = [0; 2].map(|_| Identity::generate().unwrap());
    let lock = Lock::Recipients(vec![first.recipient(), second.recipient()]);
    (lock, Key::Identity(second))
}

struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Place {
        let directory = tempfile::tempdir().unwrap();
        Place { directory }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("backup")
    }

    fn partial(&self) -> PathBuf {
        self.directory.path().join("backup.partial")
    }
}

fn add(writer: &mut Writer, sample: &Sample) {
    let people = sample.1.iter().cloned().map(Ok::<_, Infallible>);
    writer.collection(&sample.0, people, |_| {}).unwrap();
}

/// Writes what is not there yet; returns how many collections were.
fn write(path: &Path, lock: &Lock, samples: &[Sample]) -> usize {
    let mut writer = Writer::create_or_resume(path, lock, true).unwrap();
    let mut kept = 0;
    for sample in samples {
        match writer.has(&sample.0) {
            true => kept += 1,
            false => add(&mut writer, sample),
        }
    }
    writer.finish().unwrap();
    kept
}

/// Everything in the file, or the first error.
fn read(path: &Path, key: &Key) -> Result<Vec<Sample>, PortableError> {
    let reader = Reader::open(path, key)?;
    reader.verify(|_| {})?;
    contents(&reader)
}

fn contents(reader: &Reader) -> Result<Vec<Sample>, PortableError> {
    reader
        .collections()
        .map(|(head, people)| Ok((head.clone(), people.collect::<Result<_, _>>()?)))
        .collect()
}

/// The bytes of each frame.
fn frames(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut rest = bytes;
    while let Some(header) = rest.first_chunk() {
        let (frame, after) = rest.split_at(Header::decode(header).unwrap().frame_bytes() as usize);
        frames.push(frame.to_vec());
        rest = after;
    }
    frames
}

/// Puts frames together with new positions and checksums, as someone does who alters a file on purpose.
fn forge(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (position, frame) in frames.iter().enumerate() {
        let mut header = Header::decode(frame.first_chunk().unwrap()).unwrap();
        header.position = position as u64;
        header.payload_checksum = crc32c::crc32c(&frame[HEADER_BYTES..]);
        bytes.extend_from_slice(&header.encode());
        bytes.extend_from_slice(&frame[HEADER_BYTES..]);
    }
    bytes
}

fn store(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
}
