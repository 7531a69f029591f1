//! Sealed journals: nothing to read without the device, nothing lost on it.

use std::os::unix::fs::FileExt;

use super::*;
use crate::gallery::format::FileHeader;
use crate::gallery::people::People;
use crate::gallery::replay::{open_journal, replay};
use crate::gallery::seal::Sealer;
use crate::gallery::storage::Access;
use crate::gallery::{GalleryError, SealError};
use crate::license::device::DeviceIdentity;

const NAME: &str = "anna-lang-genug";

fn device() -> DeviceIdentity {
    DeviceIdentity::of_serial("10000000c0ffee01")
}

fn sealed_to(device: DeviceIdentity) -> Options {
    Options {
        sealed_to: Some(device),
        ..options()
    }
}

fn open_sealed(directory: &Path) -> Gallery {
    Gallery::open(directory, sealed_to(device())).unwrap()
}

/// A sealed journal of three changes, and what they come to.
fn enrolled() -> (tempfile::TempDir, Contents) {
    let directory = scratch();
    let gallery = open_sealed(directory.path());
    gallery.create("c-lang-genug").unwrap();
    let insert = |batch| gallery.insert("c-lang-genug", items(batch)).unwrap();
    insert(&[(NAME, 1), ("ben-lang-genug", 2)]);
    insert(&[("carl-lang-genug", 3)]);
    let update = items(&[("ben-lang-genug", 4)]);
    gallery.update("c-lang-genug", update).unwrap();
    let expected = contents(&gallery, "c-lang-genug");
    (directory, expected)
}

/// Journals of the gallery that show a name, or any eight numbers of a template in a row.
fn telling_journals(directory: &Path) -> Vec<PathBuf> {
    let mut needles = vec![b"lang-genug".to_vec()];
    for seed in 1..=4 {
        let bits = template(seed).to_bits();
        let parts = bits.chunks(8);
        needles.extend(parts.map(|part| part.iter().flat_map(|bits| bits.to_le_bytes()).collect()));
    }
    let journals = files_below(directory).into_iter().filter(|path| {
        let bytes = fs::read(path).unwrap();
        path.to_string_lossy().contains("journal-")
            && needles
                .iter()
                .any(|needle| bytes.windows(needle.len()).any(|window| window == needle))
    });
    journals.collect()
}

fn is_sealed(journal: &Path) -> bool {
    let bytes = fs::read(journal).unwrap();
    FileHeader::decode(&bytes[..64].try_into().unwrap())
        .unwrap()
        .sealed
}

fn refusal(directory: &Path, device: DeviceIdentity) -> SealError {
    let before = tree_of(directory);
    let error = Gallery::open(directory, sealed_to(device)).err().unwrap();
    assert_eq!(tree_of(directory), before);
    match error {
        GalleryError::Seal(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn no_journal_shows_a_name_or_a_template() {
    let (directory, expected) = enrolled();
    assert!(is_sealed(&journal_path(directory.path())));
    assert_eq!(telling_journals(directory.path()), Vec::<PathBuf>::new());
    let gallery = open_sealed(directory.path());
    assert_eq!(contents(&gallery, "c-lang-genug"), expected);
    assert_eq!(gallery.warnings(), []);
    // After a compaction and a clearing as well, which begin journals of their own.
    gallery.compact("c-lang-genug").unwrap();
    gallery.insert("c-lang-genug", items(&[(NAME, 3)])).unwrap();
    assert_eq!(telling_journals(directory.path()), Vec::<PathBuf>::new());
    gallery.clear("c-lang-genug").unwrap();
    gallery.insert("c-lang-genug", items(&[(NAME, 3)])).unwrap();
    assert_eq!(telling_journals(directory.path()), Vec::<PathBuf>::new());

    // The search for traces finds them where there are some.
    let plain = scratch();
    let gallery = open(plain.path());
    gallery.create("c").unwrap();
    gallery.insert("c", items(&[("x", 1)])).unwrap();
    assert_eq!(telling_journals(plain.path()).len(), 1);
}

#[test]
fn another_device_is_refused_and_changes_nothing() {
    let (directory, expected) = enrolled();
    let error = refusal(
        directory.path(),
        DeviceIdentity::of_serial("10000000c0ffee02"),
    );
    assert!(matches!(error, SealError::OtherDevice { .. }), "{error}");
    let gallery = open_sealed(directory.path());
    assert_eq!(contents(&gallery, "c-lang-genug"), expected);
}

#[test]
fn a_missing_or_damaged_salt_is_refused_and_nothing_is_lost_when_it_is_back() {
    let (directory, expected) = enrolled();
    let path = directory.path().join("SALT");
    let salt = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let error = refusal(directory.path(), device());
    assert!(matches!(error, SealError::Missing { .. }), "{error}");
    assert!(!path.exists());
    for place in 0..salt.len() {
        let mut damaged = salt.clone();
        damaged[place] ^= 4;
        fs::write(&path, damaged).unwrap();
        let error = refusal(directory.path(), device());
        assert!(
            matches!(error, SealError::Damaged { .. }),
            "{place}: {error}"
        );
    }
    fs::write(&path, &salt[..40]).unwrap();
    assert!(matches!(
        refusal(directory.path(), device()),
        SealError::Damaged { .. }
    ));
    fs::write(&path, salt).unwrap();
    let gallery = open_sealed(directory.path());
    assert_eq!(contents(&gallery, "c-lang-genug"), expected);
    assert_eq!(gallery.warnings(), []);
}

#[test]
fn a_salt_without_its_journals_header_is_not_made_anew() {
    let (directory, expected) = enrolled();
    let path = directory.path().join("SALT");
    let salt = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let journal = journal_path(directory.path());
    let file = fs::OpenOptions::new().write(true).open(&journal).unwrap();
    file.write_all_at(&[0xff], 20).unwrap();
    let error = refusal(directory.path(), device());
    assert!(matches!(error, SealError::Missing { .. }), "{error}");
    fs::write(&path, salt).unwrap();
    assert_eq!(
        contents(&open_sealed(directory.path()), "c-lang-genug"),
        expected
    );
}

#[test]
fn a_plain_gallery_becomes_sealed_in_the_background() {
    let directory = scratch();
    let gallery = open(directory.path());
    gallery.create("c").unwrap();
    gallery
        .insert("c", items(&[(NAME, 1), ("ben-lang-genug", 2)]))
        .unwrap();
    let expected = contents(&gallery, "c");
    drop(gallery);
    let gallery = open_sealed(directory.path());
    assert_eq!(contents(&gallery, "c"), expected);
    assert!(!is_sealed(&journal_path(directory.path())));
    assert_eq!(gallery.tend(), 1);
    assert!(is_sealed(&journal_path(directory.path())));
    assert_eq!(gallery.tend(), 0);
    gallery.insert("c", items(&[(NAME, 3)])).unwrap();
    assert_eq!(telling_journals(directory.path()), Vec::<PathBuf>::new());
    let expected = contents(&gallery, "c");
    drop(gallery);
    assert_eq!(contents(&open_sealed(directory.path()), "c"), expected);
}

/// Turned off again, the gallery is not served rather than served without its sealed part, and nothing is written.
#[test]
fn without_the_key_a_sealed_collection_is_not_served() {
    let (directory, expected) = enrolled();
    let before = tree_of(directory.path());
    let gallery = open(directory.path());
    assert_eq!(gallery.list(), []);
    assert!(gallery.warnings()[0].what.contains("sealed"));
    drop(gallery);
    assert_eq!(tree_of(directory.path()), before);
    let gallery = open_sealed(directory.path());
    assert_eq!(contents(&gallery, "c-lang-genug"), expected);
}

#[test]
fn every_flipped_bit_of_a_sealed_journal_is_damage() {
    let (directory, expected) = enrolled();
    let mut home = home(directory.path());
    let sealer = Sealer::open_or_create(&Disk, directory.path(), &device(), true);
    home.sealer = Some(sealer.unwrap());
    let read = || {
        let mut people = People::default();
        let opened = open_journal(&home, 1, Access::Read).unwrap();
        let replay = replay(&home, opened, &mut people).unwrap();
        (people.feature_num(), replay.damage)
    };
    assert_eq!(read(), (3, vec![]));
    let journal = journal_path(directory.path());
    let bytes = fs::read(&journal).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&journal).unwrap();
    let mut undetected = 0;
    for bit in 0..bytes.len() * 8 {
        let (byte, flipped) = (bit / 8, bytes[bit / 8] ^ 1 << (bit % 8));
        file.write_all_at(&[flipped], byte as u64).unwrap();
        let (features, damage) = read();
        file.write_all_at(&bytes[byte..=byte], byte as u64).unwrap();
        assert!(damage.len() <= 1, "bit {bit}");
        match damage.is_empty() {
            // Padding: at most 15 bytes behind each of five records.
            true => {
                assert_eq!((features, bytes[byte]), (3, 0), "bit {bit}");
                undetected += 1;
            }
            false => assert!(features <= 3, "bit {bit}"),
        }
    }
    assert!(undetected <= 5 * 15 * 8, "{undetected}");
    assert_eq!(
        contents(&open_sealed(directory.path()), "c-lang-genug"),
        expected
    );
}

#[test]
fn a_damaged_sealed_record_is_reported_and_the_others_kept() {
    let (directory, expected) = enrolled();
    let journal = journal_path(directory.path());
    let mut bytes = fs::read(&journal).unwrap();
    let last = bytes.len() - 100;
    bytes[last] ^= 1;
    fs::write(&journal, bytes).unwrap();
    let gallery = open_sealed(directory.path());
    assert_eq!(gallery.warnings().len(), 1);
    let found = contents(&gallery, "c-lang-genug");
    assert_eq!(found[NAME], expected[NAME]);
    assert_eq!(found["ben-lang-genug"], [template(2).to_bits()]);
    drop(gallery);
    assert_eq!(
        contents(&open_sealed(directory.path()), "c-lang-genug"),
        found
    );
}
