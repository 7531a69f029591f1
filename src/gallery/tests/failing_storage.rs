//! A storage that refuses: nothing acknowledged is lost, nothing refused is kept, searching goes on.

use std::env;
use std::fs::OpenOptions;
use std::process::Command;

use super::*;
use crate::gallery::GalleryError;
use crate::gallery::replay::replay;

const CHILD_DIRECTORY: &str = "RECOCOMP_TEST_GALLERY";

/// A file that cannot grow takes a part of the record and refuses the rest, as a full disk does. The limit counts for a whole
/// process, so the work is done by a child: [`enrol_until_the_file_is_full`].
#[test]
fn an_append_that_does_not_fit_is_undone_and_the_next_one_goes_through() {
    let directory = scratch();
    // The name of the child's test, without the crate's, as the test runner wants it.
    let (_, module) = module_path!().split_once("::").unwrap();
    let output = Command::new("sh")
        // 64 blocks of 512 or 1024 bytes, depending on the shell. The signal that comes with the limit would kill.
        .args(["-c", r#"trap '' XFSZ; ulimit -f 64; exec "$0" "$@""#])
        .arg(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture"])
        .arg(format!("{module}::enrol_until_the_file_is_full"))
        .env(CHILD_DIRECTORY, directory.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{errors}");
    assert!(text.contains("1 passed"), "{text}{errors}");

    let gallery = open(directory.path());
    assert_eq!(gallery.warnings(), []);
    let expected: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("holds "))
        .map(str::to_owned)
        .collect();
    assert!(expected.len() > 10);
    let found: Vec<String> = contents(&gallery, "c").into_keys().collect();
    assert_eq!(found, expected);
}

#[test]
#[ignore = "run by another test, in a process with a limited file size"]
fn enrol_until_the_file_is_full() {
    let directory = PathBuf::from(env::var_os(CHILD_DIRECTORY).unwrap());
    let gallery = open(&directory);
    gallery.create("c").unwrap();
    let mut enrolled = 0_u32;
    let error = loop {
        let batch = vec![(format!("p{enrolled:05}"), template(enrolled))];
        match gallery.insert("c", batch) {
            Ok(_) => enrolled += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, GalleryError::Storage { .. }), "{error}");
    assert_eq!(gallery.status("c").unwrap().person_num, enrolled as usize);
    assert_eq!(gallery.status("c").unwrap().warning, None);
    let length = fs::metadata(journal_path(&directory)).unwrap().len();
    // The part of the record that went in was taken out again.
    let (_, replayed) = replay(&journal_path(&directory)).unwrap();
    assert_eq!(
        (replayed.good_length, replayed.file_length),
        (length, length)
    );
    let found = gallery.search("c", &template(3), 1).unwrap();
    assert_eq!(found[0].target, "p00003");
    // Refused again, and again without a trace.
    assert!(gallery.insert("c", items(&[("late", 70_000)])).is_err());
    assert_eq!(
        fs::metadata(journal_path(&directory)).unwrap().len(),
        length
    );
    // Removing people makes room, and then enrolment goes on.
    gallery.remove_target("c", "p00000").unwrap();
    gallery.remove_target("c", "p00001").unwrap();
    gallery.insert("c", items(&[("p99999", 80_000)])).unwrap();
    println!();
    for target in contents(&gallery, "c").keys() {
        println!("holds {target}");
    }
}

/// `/dev/null` takes every write but cannot be synced.
#[test]
fn after_a_failed_sync_the_collection_is_read_only_until_reopened() {
    let directory = scratch();
    let gallery = open(directory.path());
    gallery.create("c").unwrap();
    gallery.insert("c", items(&[("anna", 1)])).unwrap();
    let before = fs::read(journal_path(directory.path())).unwrap();
    read_only_through("/dev/null", &gallery);
    assert_eq!(fs::read(journal_path(directory.path())).unwrap(), before);

    drop(gallery);
    let gallery = open(directory.path());
    assert_eq!(gallery.warnings(), []);
    gallery.insert("c", items(&[("ben", 2)])).unwrap();
}

/// `/dev/full` refuses every write and cannot be cut either.
#[test]
fn an_append_that_cannot_be_undone_makes_the_collection_read_only() {
    let directory = scratch();
    let gallery = open(directory.path());
    gallery.create("c").unwrap();
    gallery.insert("c", items(&[("anna", 1)])).unwrap();
    read_only_through("/dev/full", &gallery);
}

/// Makes one change fail, then checks that all others are refused and reading goes on.
fn read_only_through(device: &str, gallery: &Gallery) {
    let device = OpenOptions::new().write(true).open(device).unwrap();
    gallery
        .collection("c")
        .replace_journal_file(device)
        .unwrap();
    let error = gallery.insert("c", items(&[("ben", 2)])).unwrap_err();
    assert!(matches!(error, GalleryError::Storage { .. }), "{error}");
    let refusals = [
        gallery.insert("c", items(&[("ben", 2)])).err(),
        gallery.update("c", items(&[("anna", 2)])).err(),
        gallery.remove_target("c", "anna").err(),
        gallery.clear("c").err(),
    ];
    for refusal in refusals {
        let refusal = refusal.unwrap();
        assert!(
            matches!(refusal, GalleryError::ReadOnly { .. }),
            "{refusal}"
        );
    }
    let found = gallery.search("c", &template(1), 5).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].target, "anna");
    assert!(gallery.status("c").unwrap().warning.is_some());
    assert_eq!(gallery.warnings().len(), 1);
    assert_eq!(gallery.erase_removed().unwrap(), 0);
}

/// A rewrite that cannot be written leaves the removal done and the old journal in use.
#[test]
fn a_removal_counts_even_if_the_rewrite_fails() {
    let directory = scratch();
    let gallery = open(directory.path());
    gallery.create("c").unwrap();
    gallery
        .insert("c", items(&[("anna", 1), ("ben", 2)]))
        .unwrap();
    let in_the_way = collection_directory(directory.path()).join(".tmp-journal-2");
    fs::create_dir(&in_the_way).unwrap();
    gallery.remove_target("c", "anna").unwrap();
    assert!(!gallery.contains_target("c", "anna").unwrap());
    assert!(gallery.erase_removed().is_err());
    gallery.insert("c", items(&[("carl", 3)])).unwrap();
    fs::remove_dir(&in_the_way).unwrap();
    assert_eq!(gallery.erase_removed().unwrap(), 1);
    let expected = contents(&gallery, "c");
    assert_eq!(expected.len(), 2);
    drop(gallery);
    assert_eq!(contents(&open(directory.path()), "c"), expected);
}

/// Damage that cannot be put right is served for reading; nothing is thrown away.
#[test]
fn damage_on_a_storage_that_refuses_copies_is_served_read_only() {
    let directory = scratch();
    let gallery = open(directory.path());
    gallery.create("c").unwrap();
    gallery.insert("c", items(&[("anna", 1)])).unwrap();
    gallery.insert("c", items(&[("ben", 2)])).unwrap();
    drop(gallery);
    let journal = journal_path(directory.path());
    let mut bytes = fs::read(&journal).unwrap();
    let last = bytes.len() - 100;
    bytes[last] ^= 1;
    fs::write(&journal, &bytes).unwrap();
    let quarantine = collection_directory(directory.path()).join("quarantine");
    fs::write(&quarantine, b"a file where the directory should be").unwrap();
    let gallery = open(directory.path());
    assert_eq!(
        gallery.search("c", &template(1), 5).unwrap()[0].target,
        "anna"
    );
    assert!(matches!(
        gallery.insert("c", items(&[("carl", 3)])),
        Err(GalleryError::ReadOnly { .. })
    ));
    assert_eq!(fs::read(&journal).unwrap(), bytes);
    assert_eq!(gallery.warnings().len(), 2);
}
