//! Files made of a whole one by hand. Many more kinds, beside libjpeg-turbo, are in tests/test_jpeg.py.

use super::huffman::{Spec, Table};
use super::*;

fn whole() -> Vec<u8> {
    std::fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/pictures/astronaut.jpg"
    ))
    .unwrap()
}

/// Where the codes of its only scan begin.
fn codes(file: &[u8]) -> usize {
    let start = file
        .windows(2)
        .position(|pair| pair == [0xff, 0xda])
        .unwrap();
    start + 2 + usize::from(u16::from_be_bytes([file[start + 2], file[start + 3]]))
}

fn fault(file: &[u8]) -> String {
    match survey(file) {
        Ok(_) => panic!("it is whole"),
        Err(fault) => fault.to_string(),
    }
}

/// The file with a segment behind its first marker.
fn with_segment(file: &[u8], marker: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u16 + 2).to_be_bytes();
    [&file[..2], &[0xff, marker], &length, body, &file[2..]].concat()
}

#[test]
fn what_lies_behind_the_end_does_not_count() {
    let file = whole();
    for trailer in [
        &[0xff, 0xda][..],
        &[0],
        b"\xff\xd8\xff\xe0 a second picture, cut",
        b"\0\0\0\x18ftypmp42",
    ] {
        let file = [&file, trailer].concat();
        let survey = survey(&file).unwrap();
        assert_eq!((survey.frame.width, survey.frame.height), (512, 512));
    }
}

#[test]
fn broken_metadata_do_not_count() {
    let file = whole();
    for (marker, body) in [
        (0xe1, &b"Exif\0\0MM\0*\xff\xff\xff\xff"[..]),
        (0xe1, b"Exif\0\0"),
        (0xe2, b"MPF\0II*\0\xff\xff\xff\xff"),
        (0xed, b"Photoshop 3.0\0"),
        (0xee, b"Adobe"),
        (0xfe, b"\xff\xd9\xff\xda"),
    ] {
        assert!(
            survey(&with_segment(&file, marker, body)).is_ok(),
            "{marker:x}"
        );
    }
}

#[test]
fn a_file_that_ends_early_was_cut_off() {
    let file = whole();
    let start = codes(&file);
    for end in [
        3,
        30,
        start - 1,
        start,
        start + 1,
        file.len() / 2,
        file.len() - 2,
        file.len() - 1,
    ] {
        assert!(fault(&file[..end]).contains("cut off"), "{end}");
    }
    let ended = [&file[..file.len() / 2], &[0xff, 0xd9]].concat();
    assert!(fault(&ended).contains("damaged: codes are missing about pixel row"));
}

#[test]
fn lost_bytes_are_damage() {
    let file = whole();
    let start = codes(&file);
    // Of fewer the codes may come out even by chance.
    for lost in [256, 1400] {
        for at in (start..file.len() - lost - 2).step_by(997) {
            let file = [&file[..at], &file[at + lost..]].concat();
            assert!(fault(&file).contains("damaged"), "{lost} at {at}");
        }
    }
}

#[test]
fn every_other_kind_of_jpeg_has_a_name() {
    let file = whole();
    let frame = file
        .windows(2)
        .position(|pair| pair == [0xff, 0xc0])
        .unwrap();
    for (place, byte, name) in [
        (frame + 1, 0xc3, "lossless"),
        (frame + 1, 0xc9, "arithmetic"),
        (frame + 1, 0xc5, "hierarchical"),
        (frame + 1, 0xf7, "JPEG-LS"),
        (frame + 4, 12, "12 bits"),
    ] {
        let mut file = file.clone();
        file[place] = byte;
        assert!(fault(&file).contains(name), "{}", fault(&file));
    }
}

#[test]
fn what_is_written_anew_says_the_same() {
    let file = whole();
    let first = survey(&file).unwrap();
    let anew = first.rewrite(&file);
    let second = survey(&anew).unwrap();
    assert_eq!(first.quantisation, second.quantisation);
    assert!(file[first.scans[0].codes.clone()] == anew[second.scans[0].codes.clone()]);
    assert!(anew == second.rewrite(&anew));
}

#[test]
fn nothing_panics_and_nothing_takes_long() {
    let file = whole();
    for seed in 0..2_000 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut file = file[..random.usize(2..file.len())].to_vec();
        for _ in 0..random.usize(1..20) {
            // Headers are where the most can go wrong.
            let most = if random.bool() { 700 } else { usize::MAX };
            let place = random.usize(2..most.min(file.len()).max(3));
            if let Some(byte) = file.get_mut(place) {
                *byte = random.u8(..);
            }
        }
        if let Ok((width, height)) = size(&file)
            && u64::from(width) * u64::from(height) < 1_000_000
        {
            let _ = survey(&file);
        }
    }
}

#[test]
fn a_table_with_more_codes_than_there_are_is_none() {
    let spec = |first: u8, second: u8| {
        let mut counts = [0; 16];
        (counts[0], counts[1]) = (first, second);
        Spec {
            counts,
            symbols: (0..first + second).collect(),
        }
    };
    assert!(Table::new(&spec(1, 2), 255).is_some());
    assert!(Table::new(&spec(3, 0), 255).is_none());
    assert!(Table::new(&spec(2, 1), 255).is_none());
    assert!(Table::new(&spec(1, 2), 1).is_none());
}
