//! Damage that is found while the gallery is in use, when something else is wrong as well.

use std::os::unix::fs::FileExt;

use super::generations::{flip_on_disk, large, person};
use super::storage::{Failing, Fault, Kind};
use super::*;
use crate::gallery::storage::Storage;

/// The generation before is of no use without every journal since.
#[test]
fn an_older_generation_without_its_journals_is_not_fallen_back_to() {
    let sample = large();
    let directory = sample.on_disk(sample.bytes.clone());
    let gallery = open(directory.path());
    let home = directory.path().join(&sample.name);
    let old: Vec<(PathBuf, Vec<u8>)> = ["gen-2.rkyv", "journal-2"]
        .map(|name| home.with_file_name(name))
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .to_vec();
    gallery.insert("c", items(&[("zoe", 8000)])).unwrap();
    gallery.compact("c").unwrap();
    gallery.compact("c").unwrap();
    let newest = home.with_file_name("gen-4.rkyv");
    assert!(newest.exists());
    for (path, bytes) in old {
        fs::write(path, bytes).unwrap();
    }
    // Two blocks: more than the parity rebuilds.
    let bytes = fs::read(&newest).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&newest).unwrap();
    let (in_codes, in_an_original) = (5000, sample.places.original(700).start + 1000);
    for place in [sample.places.codes_at + in_codes, in_an_original] {
        file.write_all_at(&[bytes[place] ^ 0x10], place as u64)
            .unwrap();
    }
    assert_eq!(gallery.scrub(), 1);
    let left = contents(&gallery, "c");
    assert!(left.contains_key("zoe"));
    assert!(left.len() > 1000 && left.len() < 6000, "{}", left.len());
    drop(gallery);
    assert_eq!(contents(&open(directory.path()), "c"), left);
}

/// The damaged generation holds the rows of those who left: it must not stay in quarantine for good.
#[test]
fn a_generation_that_goes_to_quarantine_with_old_rows_is_marked() {
    for somebody_left in [false, true] {
        let sample = large();
        let directory = sample.on_disk(sample.bytes.clone());
        let gallery = open(directory.path());
        if somebody_left {
            let batch = items(&[(&person(5), 9000)]);
            gallery.update("c", batch).unwrap();
        }
        let second_header = sample.bytes.len() - 128;
        flip_on_disk(directory.path(), &sample, &[0, second_header]);
        assert_eq!(gallery.scrub(), 1);
        let quarantine = directory
            .path()
            .join(&sample.name)
            .with_file_name("quarantine");
        assert!(quarantine.join("gen-2.rkyv").exists());
        assert_eq!(quarantine.join("ERASE").exists(), somebody_left);
        gallery.erase_removed().unwrap();
        assert!(quarantine.join("gen-2.rkyv").exists());
        assert_eq!(contents(&gallery, "c").len(), 6000);
    }
}

/// Until the new generation is there, the damaged one is the only copy: a full disk must not cost it.
#[test]
fn a_generation_without_its_frame_stays_until_a_new_one_is_written() {
    let sample = large();
    let directory = sample.on_disk(sample.bytes.clone());
    let failing = Failing::new(Arc::new(Disk));
    let storage: Arc<dyn Storage> = Arc::new(failing.clone());
    let gallery = Gallery::open_on(storage, directory.path(), options()).unwrap();
    let both_headers = [0, sample.bytes.len() - 1];
    flip_on_disk(directory.path(), &sample, &both_headers);
    let header = sample.bytes.len() - 128;
    flip_on_disk(directory.path(), &sample, &[header + 8]);
    let damaged = fs::read(directory.path().join(&sample.name)).unwrap();

    let failing = failing.fail(Some(Kind::Write), 0, Fault::Full);
    gallery.scrub();
    let found = gallery.search("c", &template(4321), 1).unwrap();
    assert_eq!(found[0].target, person(4321));
    let kept = fs::read(directory.path().join(&sample.name)).unwrap();
    assert!(kept == damaged, "the damaged generation was touched");

    failing.heal();
    gallery.scrub();
    assert_eq!(contents(&gallery, "c"), sample.expected);
    assert!(!directory.path().join(&sample.name).exists());
    drop(gallery);
    let gallery = open(directory.path());
    assert_eq!(contents(&gallery, "c"), sample.expected);
    let copies = tree_of(
        &directory
            .path()
            .join(&sample.name)
            .with_file_name("quarantine"),
    );
    assert!(copies.values().any(|copy| *copy == damaged));
}
