//! Files with names like ours that are not ours: by hand, by a copy that went wrong, by whoever means harm.

use std::os::unix::net::UnixListener;

use proptest::prelude::*;

use super::*;
use crate::gallery::survey::survey;
use crate::license::device::DeviceIdentity;

/// Two collections: "c" with a generation and a journal, and "other".
fn two_collections() -> (tempfile::TempDir, PathBuf) {
    let directory = scratch();
    let gallery = open(directory.path());
    gallery.create("c").unwrap();
    gallery.insert("c", items(&[("anna", 1)])).unwrap();
    gallery.compact("c").unwrap();
    gallery.insert("c", items(&[("ben", 2)])).unwrap();
    let home = gallery.collection("c").directory().to_owned();
    gallery.create("other").unwrap();
    gallery.insert("other", items(&[("carla", 3)])).unwrap();
    (directory, home)
}

fn assert_everyone(gallery: &Gallery) {
    let [c, other] = ["c", "other"].map(|name| contents(gallery, name));
    assert_eq!(c, by_target(features(&[("anna", 1), ("ben", 2)])));
    assert_eq!(other, by_target(features(&[("carla", 3)])));
}

fn features(list: &[(&str, u32)]) -> Vec<Feature> {
    let feature = |&(target, seed): &(&str, u32)| Feature::new(target.to_owned(), &template(seed));
    list.iter().map(feature).collect()
}

#[test]
fn a_number_far_away_is_told_in_one_sentence_and_costs_nothing() {
    for name in [
        "journal-20261127",
        "journal-1000000000000",
        "journal-18446744073709551615",
        "gen-20261127.rkyv",
        "gen-18446744073709551615.rkyv",
    ] {
        for contents in [None, Some("journal-2"), Some("gen-2.rkyv")] {
            let (directory, home) = two_collections();
            match contents {
                None => fs::write(home.join(name), b"").unwrap(),
                Some(like) => drop(fs::copy(home.join(like), home.join(name)).unwrap()),
            }
            let surveyed = survey(directory.path(), &DeviceIdentity::of_serial("1"), true).unwrap();
            let findings: Vec<&String> = surveyed.iter().flat_map(|one| &one.findings).collect();
            assert!(
                findings.len() == 1 && findings[0].contains(name),
                "{findings:?}"
            );
            for _ in 0..2 {
                let gallery = open(directory.path());
                assert_everyone(&gallery);
                let warnings = gallery.warnings();
                assert_eq!(warnings.len(), 1, "{warnings:?}");
                assert_eq!(warnings[0].collection.as_deref(), Some("c"));
                assert!(
                    warnings[0].what.contains(name) && warnings[0].what.contains("move that away")
                );
                assert_eq!(gallery.outdated().unwrap(), Vec::<String>::new());
                gallery.compact("c").unwrap();
            }
            assert!(home.join(name).exists(), "somebody else's file");
        }
    }
}

#[test]
fn journals_that_are_missing_in_a_row_are_one_sentence() {
    let (directory, home) = two_collections();
    fs::write(home.join("journal-9"), b"").unwrap();
    let gallery = open(directory.path());
    assert_everyone(&gallery);
    let warnings = gallery.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0]
            .what
            .starts_with("journal-3 to journal-9 are missing or cannot be read")
    );
    assert!(home.join("quarantine/journal-9").exists());
    drop(gallery);
    assert!(home.join("journal-10").exists(), "written anew behind it");
    assert_everyone(&open(directory.path()));
}

/// Both files are what their names say: then something is lost between them, and only this collection pays.
#[test]
fn a_wide_gap_between_two_whole_journals_is_damage_of_that_collection_alone() {
    let (directory, home) = two_collections();
    let mut journal = fs::read(home.join("journal-2")).unwrap();
    let far = 1_000_000_000_000_u64;
    journal[32..40].copy_from_slice(&far.to_le_bytes());
    let checksum = crc32c::crc32c(&journal[..60]);
    journal[60..64].copy_from_slice(&checksum.to_le_bytes());
    fs::write(home.join(format!("journal-{far}")), &journal).unwrap();
    let before = tree_of(&home);
    let gallery = open(directory.path());
    let served: Vec<String> = gallery.list().into_iter().map(|c| c.name).collect();
    assert_eq!(served, ["other"]);
    let warnings = gallery.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let gap = format!("journal-3 to journal-{} are missing", far - 1);
    assert!(warnings[0].what.contains(&gap), "{}", warnings[0].what);
    assert_eq!(tree_of(&home), before);
}

#[derive(Clone, Copy, Debug)]
enum Thing {
    Empty,
    CopyOfJournal,
    CopyOfGeneration,
    Directory,
    Pipe,
    Socket,
    LinkToNothing,
}

/// Puts `thing` at `path`, where nothing of the collection's is.
fn put(thing: Thing, path: &Path, home: &Path) {
    match thing {
        Thing::Empty => fs::write(path, b"").unwrap(),
        Thing::CopyOfJournal => drop(fs::copy(home.join("journal-2"), path).unwrap()),
        Thing::CopyOfGeneration => drop(fs::copy(home.join("gen-2.rkyv"), path).unwrap()),
        Thing::Directory => fs::create_dir(path).unwrap(),
        Thing::Pipe => {
            let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
            // SAFETY: the path is a C string that outlives the call.
            assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
        }
        // A path to it may be longer than a socket's name can be.
        Thing::Socket => {
            let short = scratch();
            drop(UnixListener::bind(short.path().join("s")).unwrap());
            fs::rename(short.path().join("s"), path).unwrap();
        }
        Thing::LinkToNothing => std::os::unix::fs::symlink("nowhere", path).unwrap(),
    }
}

#[test]
fn a_pipe_a_socket_or_a_directory_in_place_of_a_journal_is_refused_at_once() {
    for thing in [Thing::Pipe, Thing::Socket, Thing::Directory] {
        for name in ["journal-3", "gen-3.rkyv", "journal-77"] {
            let (directory, home) = two_collections();
            put(thing, &home.join(name), &home);
            let gallery = open(directory.path());
            assert_everyone(&gallery);
            let warnings = gallery.warnings();
            let told = warnings.iter().any(|warning| warning.what.contains(name));
            assert!(told, "{thing:?} {name}: {warnings:?}");
            gallery.insert("c", items(&[("dora", 4)])).unwrap();
            gallery.remove_target("c", "dora").unwrap();
            drop(gallery);
            assert_everyone(&open(directory.path()));
        }
    }
}

#[test]
fn a_pipe_in_place_of_the_only_journal_costs_that_collection_alone() {
    let (directory, home) = two_collections();
    fs::remove_file(home.join("gen-2.rkyv")).unwrap();
    fs::remove_file(home.join("journal-2")).unwrap();
    put(Thing::Pipe, &home.join("journal-2"), &home);
    let gallery = open(directory.path());
    assert_eq!(gallery.list().len(), 1);
    let what = &gallery.warnings()[0].what;
    assert!(
        what.contains("journal-2 is damaged: it is not a regular file"),
        "{what}"
    );
}

#[test]
fn a_pipe_in_place_of_the_lock_or_the_salt_is_refused() {
    for name in ["LOCK", "SALT"] {
        let directory = scratch();
        put(Thing::Pipe, &directory.path().join(name), directory.path());
        let options = Options {
            sealed_to: Some(DeviceIdentity::of_serial("1")),
            ..options()
        };
        let error = Gallery::open(directory.path(), options).err().unwrap();
        let text = error.to_string();
        assert!(
            text.contains(name) && text.contains("not a regular file"),
            "{text}"
        );
    }
}

fn name() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        (0..40_u64).prop_map(|n| n.to_string()),
        Just("1000000000000".to_owned()),
        (u64::MAX - 3..=u64::MAX).prop_map(|n| n.to_string()),
        Just("18446744073709551616".to_owned()),
        "[0-9]{1,40}",
        "[+-]?0{0,3}[0-9]{1,3}",
        "\\PC{0,12}",
    ];
    let place = prop_oneof![
        4 => Just(("journal-", "")),
        4 => Just(("gen-", ".rkyv")),
        1 => Just((".tmp-journal-", "")),
        1 => Just((".tmp-gen-", ".rkyv")),
        1 => Just(("quarantine", "")),
        1 => Just(("", "")),
    ];
    (place, number).prop_map(|((before, after), number)| {
        format!("{before}{number}{after}").replace(['/', '\0'], "_")
    })
}

fn thing() -> impl Strategy<Value = Thing> {
    prop_oneof![
        Just(Thing::Empty),
        Just(Thing::CopyOfJournal),
        Just(Thing::CopyOfGeneration),
        Just(Thing::Directory),
        Just(Thing::Pipe),
        Just(Thing::Socket),
        Just(Thing::LinkToNothing),
    ]
}

/// Everyone is served, few words are said, and the gallery goes on working.
fn assert_withstands(strays: &[(String, Thing)]) {
    let (directory, home) = two_collections();
    for (name, thing) in strays {
        let path = home.join(name);
        let taken =
            name.is_empty() || name == "." || name == ".." || path.symlink_metadata().is_ok();
        if !taken {
            put(*thing, &path, &home);
        }
    }
    let surveyed = survey(directory.path(), &DeviceIdentity::of_serial("1"), true).unwrap();
    assert_eq!(surveyed.len(), 2);
    for _ in 0..2 {
        let gallery = open(directory.path());
        assert_everyone(&gallery);
        assert!(
            gallery.warnings().len() <= 1 + strays.len(),
            "{:?}",
            gallery.warnings()
        );
        let _ = gallery.insert("c", items(&[("dora", 4)]));
        let _ = gallery.remove_target("c", "dora");
        let _ = gallery.outdated();
        gallery.tend();
        let _ = gallery.erase_removed();
    }
}

fn a_few() -> impl Strategy<Value = Vec<(String, Thing)>> {
    prop::collection::vec((name(), thing()), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_lies_beside_the_files_everyone_is_served(strays in a_few()) {
        assert_withstands(&strays);
    }
}

/// As many tries as `RECOCOMP_TEST_SEEDS` says, times 20: for a night.
#[test]
#[ignore = "takes as long as it is told to"]
fn a_long_search_among_names() {
    let seeds = std::env::var("RECOCOMP_TEST_SEEDS").map_or(100, |text| text.parse().unwrap());
    let config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(20 * seeds)
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let result = runner.run(&a_few(), |strays| {
        assert_withstands(&strays);
        Ok(())
    });
    result.unwrap();
}
