use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::*;

fn finished(lock: &Lock) -> Vec<u8> {
    let place = Place::new();
    write(&place.file(), lock, &samples());
    fs::read(place.file()).unwrap()
}

/// Few bytes, since each is changed: an empty collection and one of two parts.
fn small() -> [Sample; 2] {
    [sample(1, 1, 0), sample(2, 1, 3)]
}

fn small_file(lock: &Lock) -> Vec<u8> {
    let place = Place::new();
    write(&place.file(), lock, &small());
    fs::read(place.file()).unwrap()
}

/// A file of two runs, whose first part is superseded.
fn of_two_runs(lock: &Lock) -> Vec<u8> {
    let place = Place::new();
    let mut writer = Writer::create_or_resume(&place.file(), lock, false).unwrap();
    add(&mut writer, &sample(2, 9, 1));
    add(&mut writer, &small()[0]);
    drop(writer);
    assert_eq!(write(&place.file(), lock, &small()), 1);
    fs::read(place.file()).unwrap()
}

fn refused(place: &Place, bytes: &[u8], key: &Key) -> PortableError {
    store(&place.file(), bytes);
    read(&place.file(), key).unwrap_err()
}

#[test]
fn every_changed_byte_is_noticed() {
    for (lock, key) in [passphrase(), recipients()] {
        let place = Place::new();
        for bytes in [small_file(&lock), of_two_runs(&lock)] {
            store(&place.file(), &bytes);
            let file = fs::OpenOptions::new()
                .write(true)
                .open(place.file())
                .unwrap();
            for at in 0..bytes.len() {
                file.write_all_at(&[bytes[at] ^ 1 << (at % 8)], at as u64)
                    .unwrap();
                assert!(read(&place.file(), &key).is_err(), "byte {at}");
                file.write_all_at(&bytes[at..=at], at as u64).unwrap();
            }
            assert_eq!(read(&place.file(), &key).unwrap(), small());
        }
    }
}

#[test]
fn a_changed_byte_under_a_right_checksum_is_noticed() {
    for (lock, key) in [passphrase(), recipients()] {
        let place = Place::new();
        let frames = frames(&small_file(&lock));
        for frame in 0..frames.len() {
            for at in HEADER_BYTES..frames[frame].len() {
                let mut forged = frames.clone();
                forged[frame][at] ^= 1 << (at % 8);
                refused(&place, &forge(&forged), &key);
            }
        }
    }
}

/// Also by one who asks for the heads only and reads no people.
#[test]
fn a_changed_tag_is_noticed_at_once() {
    let (lock, key) = passphrase();
    let place = Place::new();
    let mut frames = frames(&small_file(&lock));
    frames[1][HEADER_BYTES] ^= 1;
    store(&place.file(), &forge(&frames));
    assert!(Reader::open(&place.file(), &key).is_err());
}

#[test]
fn frames_that_are_dropped_swapped_repeated_or_foreign_are_noticed() {
    for (lock, key) in [passphrase(), recipients()] {
        let place = Place::new();
        let good = frames(&small_file(&lock));
        let foreign = frames(&small_file(&lock));
        store(&place.file(), &forge(&good));
        assert!(read(&place.file(), &key).is_ok());
        for i in 0..good.len() {
            let mut dropped = good.clone();
            dropped.remove(i);
            refused(&place, &forge(&dropped), &key);
            let mut repeated = good.clone();
            repeated.insert(i, good[i].clone());
            refused(&place, &forge(&repeated), &key);
            let mut replaced = good.clone();
            replaced[i] = foreign[i].clone();
            refused(&place, &forge(&replaced), &key);
            for j in 0..i {
                let mut swapped = good.clone();
                swapped.swap(i, j);
                refused(&place, &forge(&swapped), &key);
            }
        }
    }
}

/// The same key, file and places: only the digests tell that the frames are of an attempt that was given up.
#[test]
fn a_collection_of_an_earlier_attempt_at_the_same_place_is_noticed() {
    let (lock, key) = passphrase();
    let place = Place::new();
    let mut writer = Writer::create_or_resume(&place.file(), &lock, false).unwrap();
    add(&mut writer, &sample(1, 1, 2));
    let kept = fs::metadata(place.partial()).unwrap().len();
    add(&mut writer, &sample(2, 1, 2));
    drop(writer);
    let earlier = fs::read(place.partial()).unwrap();
    fs::OpenOptions::new()
        .write(true)
        .open(place.partial())
        .unwrap()
        .set_len(kept)
        .unwrap();
    let (mut head, people) = sample(2, 1, 2);
    head.updated += 1;
    write(&place.file(), &lock, &[sample(1, 1, 2), (head, people)]);
    let mut mixed = fs::read(place.file()).unwrap();
    assert!(read(&place.file(), &key).is_ok());
    mixed[kept as usize..earlier.len()].copy_from_slice(&earlier[kept as usize..]);
    let error = refused(&place, &mixed, &key);
    assert!(error.to_string().contains("add up"), "{error}");
}

#[test]
fn a_cut_file_is_incomplete_and_gives_its_whole_collections_only_when_asked() {
    for (lock, key) in [passphrase(), recipients()] {
        let place = Place::new();
        let bytes = small_file(&lock);
        let mut most = 0;
        for length in 0..bytes.len() {
            let error = refused(&place, &bytes[..length], &key);
            let PortableError::Incomplete { collections, .. } = error else {
                panic!("cut at {length}: {error}");
            };
            assert!(collections >= most);
            most = collections;
            match Reader::open_incomplete(&place.file(), &key) {
                Ok(reader) => {
                    assert!(!reader.is_complete());
                    let found = contents(&reader).unwrap();
                    assert_eq!(found, small()[..collections as usize]);
                    reader.verify(|_| {}).unwrap();
                }
                Err(error) => assert!(collections == 0, "{error}"),
            }
        }
        assert_eq!(most, 2);
    }
}

#[test]
fn what_is_whole_before_damage_is_given_when_asked() {
    let (lock, key) = recipients();
    let place = Place::new();
    let frames = frames(&small_file(&lock));
    let until = frames[..4].concat().len();
    let mut bytes = frames.concat();
    bytes[until] ^= 1;
    refused(&place, &bytes, &key);
    let reader = Reader::open_incomplete(&place.file(), &key).unwrap();
    reader.verify(|_| {}).unwrap();
    assert_eq!(contents(&reader).unwrap(), small()[..1]);
}

#[test]
fn more_behind_the_end_is_noticed() {
    let (lock, key) = passphrase();
    let longer = [&finished(&lock)[..], b"\0"].concat();
    let error = refused(&Place::new(), &longer, &key);
    assert!(error.to_string().contains("follows the end"), "{error}");
}

#[test]
fn each_reason_has_its_own_sentence() {
    let place = Place::new();
    let (lock, key) = passphrase();
    let error = refused(&place, b"PK\x03\x04 something else altogether", &key);
    assert!(matches!(error, PortableError::NotOurs { .. }), "{error}");
    let mut newer = finished(&lock);
    newer[8] = 2;
    let checksum = crc32c::crc32c(&newer[..28]);
    newer[28..32].copy_from_slice(&checksum.to_le_bytes());
    let error = refused(&place, &newer, &key);
    assert!(
        matches!(error, PortableError::NewerFormat { found: 2, .. }),
        "{error}"
    );
    // A file that would take 4 TiB to open.
    let mut frames = frames(&finished(&lock));
    frames[0][HEADER_BYTES + 20..HEADER_BYTES + 24].fill(0xff);
    let error = refused(&place, &forge(&frames), &key);
    assert!(matches!(error, PortableError::TooCostly { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn random_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300), begin: bool) {
        let place = Place::new();
        let bytes = match begin {
            true => [&b"recoback\x01\x01\0\0"[..], &bytes].concat(),
            false => bytes,
        };
        for (lock, key) in [passphrase(), recipients()] {
            refused(&place, &bytes, &key);
            store(&place.partial(), &bytes);
            // Neither refused nor begun anew, it may not panic.
            let _ = Writer::create_or_resume(&place.file(), &lock, true);
        }
    }

    #[test]
    fn random_payloads_are_refused(
        payloads in prop::collection::vec((1..=5_u8, prop::collection::vec(any::<u8>(), 0..200)), 1..8),
        after_key: bool,
    ) {
        let place = Place::new();
        let (lock, key) = passphrase();
        let mut bytes = Vec::new();
        if after_key {
            bytes = frames(&finished(&lock)).swap_remove(0);
        }
        let first = usize::from(after_key);
        for (i, (kind, payload)) in payloads.iter().enumerate() {
            let mut header = Header {
                kind: super::super::frame::Kind::Key,
                length: payload.len() as u32,
                position: (i + first) as u64,
                payload_checksum: crc32c::crc32c(payload),
            }
            .encode();
            header[9] = *kind;
            let checksum = crc32c::crc32c(&header[..28]);
            header[28..].copy_from_slice(&checksum.to_le_bytes());
            bytes.extend_from_slice(&header);
            bytes.extend_from_slice(payload);
        }
        refused(&place, &bytes, &key);
    }

    #[test]
    fn plain_payloads_of_any_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        use super::super::payload::*;
        let _ = decode_head(&bytes);
        let _ = End::decode(&bytes);
        let _ = CollectionEnd::decode(&bytes);
        let mut cursor = Cursor(&bytes);
        while take_person(&mut cursor).is_some() {}
    }
}

#[test]
fn a_number_that_is_not_finite_is_not_read() {
    use super::super::payload::{Cursor, put_person, take_person};
    let (_, people) = sample(1, 1, 1);
    let mut good = Vec::new();
    put_person(&mut good, &people[0]).unwrap();
    assert_eq!(take_person(&mut Cursor(&good)), Some(people[0].clone()));
    let end = good.len();
    good[end - 1] = 0x7e;
    assert_eq!(take_person(&mut Cursor(&good)), None);
}
