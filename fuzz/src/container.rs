//! An arbitrary file of a backup or an export.
//!
//! After the flags and the damage: the file as it is, or frames. A frame is a byte with its kind and what is odd about it, a length
//! of two bytes, and what is inside. It gets its place, its checksum and its seal: anyone who has somebody's public key can write a
//! file whose seals are right, so what is behind them is to be judged as well.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::PathBuf;
use std::sync::OnceLock;

use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use x25519_dalek::{PublicKey, StaticSecret};

use crate::files::put;
use crate::gallery::portable::{Identity, Key, PortableError, Reader};
use crate::recipe::{DAMAGED, RAW, Recipe, apply};

/// The key frame is not put before the others.
const NO_KEY: u8 = 4;

const KIND: u8 = 7;
const KEY: u8 = 1;
const COLLECTION: u8 = 2;
const PEOPLE: u8 = 3;
const COLLECTION_END: u8 = 4;
const END: u8 = 5;
/// Of a frame: it is not sealed, its tag and digests are those of the input, its checksum is wrong.
const PLAIN: u8 = 8;
const UNFIT: u8 = 16;
const BAD: u8 = 32;

const CONTAINER: [u8; 16] = [0xc0; 16];
const DATA_KEY: [u8; 32] = [7; 32];
const SHARE: [u8; 32] = [9; 32];

fn identity() -> &'static (Identity, StaticSecret) {
    static IDENTITY: OnceLock<(Identity, StaticSecret)> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        // The bytes 11, 11, ...
        let secret = StaticSecret::from([11; 32]);
        let prefix = bech32::Hrp::parse("age-secret-key-").expect("a prefix");
        let text = bech32::encode_upper::<bech32::Bech32>(prefix, secret.as_bytes());
        let text = text.expect("32 bytes fit");
        (text.parse().expect("a secret key"), secret)
    })
}

fn seal(key: &[u8; 32], context: &[u8], plain: &[u8]) -> Vec<u8> {
    // Nobody's secret: the same nonce each time makes the same file of the same input.
    let nonce = [5; 24];
    let mut sealed = plain.to_vec();
    let cipher = XChaCha20Poly1305::new(key.into());
    let tag = cipher.encrypt_in_place_detached(XNonce::from_slice(&nonce), context, &mut sealed);
    [&nonce[..], &sealed, &tag.expect("a short text")].concat()
}

fn context(kind: u8, position: u64) -> Vec<u8> {
    [
        b"recocomp backup 1\0",
        &CONTAINER[..],
        &[kind],
        &position.to_le_bytes(),
    ]
    .concat()
}

/// The data key for the one recipient, at position 0.
fn key_frame() -> Vec<u8> {
    let recipient = PublicKey::from(&identity().1);
    let ephemeral = StaticSecret::from(SHARE);
    let share = PublicKey::from(&ephemeral);
    let shared = ephemeral.diffie_hellman(&recipient);
    let salt = [share.as_bytes().as_slice(), recipient.as_bytes()].concat();
    let mut wrapping = [0; 32];
    Hkdf::<Sha256>::new(Some(&salt), shared.as_bytes())
        .expand(b"recocomp backup 1: recipient\0", &mut wrapping)
        .expect("32 bytes");
    let mut set = Sha256::new();
    set.update(b"recocomp backup 1: recipients\0");
    set.update(CONTAINER);
    set.update(recipient.as_bytes());
    let context = context(KEY, 0);
    let mut payload = [
        &CONTAINER[..],
        &[2, 1, 0, 0],
        &set.finalize(),
        share.as_bytes(),
    ]
    .concat();
    payload.extend_from_slice(&seal(&wrapping, &context, &DATA_KEY));
    let proof = seal(&DATA_KEY, &[&context[..], &payload].concat(), &[]);
    payload.extend_from_slice(&proof);
    payload
}

/// Frames after each other, and what the digests need.
#[derive(Default)]
struct Maker {
    file: Vec<u8>,
    position: u64,
    digest: Sha256,
    collection_at: u64,
    /// Positions and digests of the whole collections.
    whole: Vec<(u64, [u8; 32])>,
}

impl Maker {
    fn add(&mut self, kind: u8, payload: &[u8], bad: bool) {
        let mut header = [0; 32];
        put(&mut header, 0, b"recoback");
        header[8] = 1;
        header[9] = kind;
        put(&mut header, 12, &(payload.len() as u32).to_le_bytes());
        put(&mut header, 16, &self.position.to_le_bytes());
        let checksum = crc32c::crc32c(payload) ^ u32::from(bad);
        put(&mut header, 24, &checksum.to_le_bytes());
        let checksum = crc32c::crc32c(&header[..28]);
        put(&mut header, 28, &checksum.to_le_bytes());
        if kind == COLLECTION {
            self.digest = Sha256::new();
            self.collection_at = self.position;
        }
        self.digest.update(header);
        self.digest.update(payload);
        self.file.extend_from_slice(&header);
        self.file.extend_from_slice(payload);
        self.position += 1;
    }

    fn frame(&mut self, odd: u8, inside: &[u8]) {
        let kind = odd & KIND;
        let mut inside = inside.to_vec();
        let mut clear = Vec::new();
        if odd & UNFIT == 0 {
            match kind {
                COLLECTION => clear = tag(&inside),
                COLLECTION_END if inside.len() >= 48 => {
                    let digest: [u8; 32] = self.digest.clone().finalize().into();
                    put(&mut inside, 16, &digest);
                    self.whole.push((self.collection_at, digest));
                }
                END if inside.len() >= 20 => {
                    for (listed, (position, digest)) in
                        inside[20..].chunks_exact_mut(40).zip(&self.whole)
                    {
                        put(listed, 0, &position.to_le_bytes());
                        put(listed, 8, digest);
                    }
                }
                _ => {}
            }
        }
        let payload = match odd & PLAIN {
            0 => seal(&DATA_KEY, &context(kind, self.position), &inside),
            _ => inside,
        };
        self.add(kind, &[clear, payload].concat(), odd & BAD != 0);
    }
}

/// Of a collection's head: the UUID, the version, two times, people and features.
fn tag(head: &[u8]) -> Vec<u8> {
    let mut tag = Sha256::new();
    tag.update(b"recocomp backup 1: collection\0");
    tag.update(CONTAINER);
    tag.update(head.get(..48).unwrap_or_default());
    tag.update(head.get(64..80).unwrap_or_default());
    tag.finalize().to_vec()
}

fn build(recipe: &mut Recipe, flags: u8) -> Vec<u8> {
    let mut maker = Maker::default();
    if flags & NO_KEY == 0 {
        static KEY_FRAME: OnceLock<Vec<u8>> = OnceLock::new();
        maker.add(KEY, KEY_FRAME.get_or_init(key_frame), false);
    }
    while !recipe.is_empty() {
        let odd = recipe.byte();
        let length = recipe.u16();
        let inside = recipe.bytes(length.into());
        maker.frame(odd, inside);
    }
    maker.file
}

/// A file that has a path and lies in memory.
fn path_of(bytes: &[u8]) -> PathBuf {
    static FILE: OnceLock<File> = OnceLock::new();
    let mut file = FILE.get_or_init(|| {
        // SAFETY: the name ends with a zero, and the descriptor belongs to nobody else.
        unsafe {
            let descriptor = libc::memfd_create(c"container".as_ptr(), libc::MFD_CLOEXEC);
            assert!(descriptor >= 0, "no memory for a file");
            File::from_raw_fd(descriptor)
        }
    });
    file.set_len(0)
        .and_then(|()| file.seek(SeekFrom::Start(0)))
        .and_then(|_| file.write_all(bytes))
        .expect("in memory");
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

pub fn run(input: &[u8]) {
    let mut recipe = Recipe(input);
    let flags = recipe.byte();
    let damage = recipe.damage();
    let mut file = match flags & RAW {
        0 => build(&mut recipe, flags),
        _ => recipe.0.to_vec(),
    };
    if flags & DAMAGED != 0 {
        apply(&damage, &mut file);
    }
    let path = path_of(&file);
    let key = Key::Identity(identity().0.clone());
    let sums = Reader::check_sums(&path);
    if let Ok(reader) = Reader::open(&path, &key) {
        assert!(reader.is_complete());
        let (verified, read) = (reader.verify(|_| {}), people(&reader));
        if let Ok(summary) = verified {
            assert!(sums.is_ok(), "{sums:?}");
            let read = read.expect("it was verified");
            assert_eq!((summary.people, summary.features), read);
        }
    }
    if let Ok(reader) = Reader::open_incomplete(&path, &key) {
        let _ = reader.verify(|_| {});
        let _ = people(&reader);
    }
}

/// People and features.
fn people(reader: &Reader) -> Result<(u64, u64), PortableError> {
    let mut sum = (0, 0);
    for (_, people) in reader.collections() {
        for person in people {
            let (_, features) = person?;
            sum.0 += 1;
            sum.1 += features.len() as u64;
            let finite = |bits: &u16| half::f16::from_bits(*bits).is_finite();
            assert!(features.iter().flatten().all(finite));
        }
    }
    Ok(sum)
}

pub fn seeds() -> Vec<Vec<u8>> {
    let frame = |odd: u8, inside: &[u8]| {
        [&[odd][..], &(inside.len() as u16).to_le_bytes(), inside].concat()
    };
    let head = |number: u8, people: u64, features: u64| {
        let mut head = vec![number; 64];
        head.extend_from_slice(&people.to_le_bytes());
        head.extend_from_slice(&features.to_le_bytes());
        head.extend_from_slice(b"\x04\0door\x05\0space");
        head
    };
    let person = |target: &str, features: u32| {
        let mut person = (target.len() as u16).to_le_bytes().to_vec();
        person.extend_from_slice(target.as_bytes());
        person.extend_from_slice(&features.to_le_bytes());
        person.resize(person.len() + features as usize * 384, 0x2c);
        person
    };
    let counts =
        |people: u64, features: u64| [people.to_le_bytes(), features.to_le_bytes()].concat();
    let people = [person("amy", 1), person("ben", 2)].concat();
    let one = [
        frame(COLLECTION, &head(1, 2, 3)),
        frame(PEOPLE, &people),
        frame(COLLECTION_END, &[counts(2, 3), vec![0; 32]].concat()),
    ]
    .concat();
    let two = [
        frame(COLLECTION, &head(2, 1, 1)),
        frame(PEOPLE, &person("eve", 1)),
        frame(PEOPLE, &[]),
        frame(COLLECTION_END, &[counts(1, 1), vec![0; 32]].concat()),
    ]
    .concat();
    let end = |people, features, collections: u32| {
        let listed = vec![0; collections as usize * 40];
        frame(
            END,
            &[
                counts(people, features),
                collections.to_le_bytes().to_vec(),
                listed,
            ]
            .concat(),
        )
    };
    let bodies = [
        end(0, 0, 0),
        [&one[..], &end(2, 3, 1)].concat(),
        [&one[..], &two, &end(3, 4, 2)].concat(),
        [&one[..], &two].concat(),
        one.clone(),
    ];
    let mut seeds = Vec::new();
    for body in &bodies {
        seeds.push([&[0, 0][..], body].concat());
        seeds.push([&[DAMAGED, 1, 90, 1, 0, 1][..], body].concat());
        seeds.push([&[RAW, 0][..], &build(&mut Recipe(body), 0)].concat());
    }
    for format in ["passphrase", "recipient"] {
        let path = format!(
            "{}/../src/gallery/portable/tests/format-1-{format}.backup",
            env!("CARGO_MANIFEST_DIR")
        );
        if let Ok(bytes) = std::fs::read(path) {
            seeds.push([&[RAW, 0][..], &bytes].concat());
        }
    }
    seeds
}
