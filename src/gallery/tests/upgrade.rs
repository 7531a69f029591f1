//! Galleries that earlier releases wrote, frozen in `tests/data`: what was enrolled stays enrolled.

use super::*;
use crate::gallery::commit::Change;
use crate::gallery::format::{FORMAT_VERSION, FileHeader};
use crate::license::device::DeviceIdentity;

/// The people of `tests/data/gallery-v1`, by collection, with the seeds of their templates.
const FIRST: [(&str, &[(&str, u32)]); 3] = [
    ("empty", &[]),
    (
        "staff",
        &[
            ("anna", 1),
            ("anna", 3),
            ("ben", 6),
            ("ben", 7),
            ("ben", 8),
            ("carla", 4),
            ("Zoë", 5),
        ],
    ),
    ("visitors", &[("guest-1", 9), ("guest-3", 11)]),
];

/// The same of `tests/data/gallery-v2`, and of `gallery-v3`, where Dora was renamed.
const SECOND: [(&str, &[(&str, u32)]); 3] = [
    ("empty", &[]),
    (
        "staff",
        &[
            ("anna", 1),
            ("anna", 3),
            ("anna", 12),
            ("ben", 13),
            ("dora", 14),
            ("Zoë", 5),
        ],
    ),
    ("visitors", &[("guest-1", 9), ("guest-3", 11)]),
];

const THIRD: [(&str, &[(&str, u32)]); 3] = [
    ("empty", &[]),
    (
        "staff",
        &[
            ("anna", 1),
            ("anna", 3),
            ("anna", 12),
            ("ben", 13),
            ("theodora", 14),
            ("Zoë", 5),
        ],
    ),
    ("visitors", &[("guest-1", 9), ("guest-3", 11)]),
];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// A copy of a frozen gallery, which the tests may change.
fn sample(name: &str) -> tempfile::TempDir {
    let directory = scratch();
    copy_directory(&data(name), directory.path());
    directory
}

fn expected(collections: &[(&str, &[(&str, u32)])]) -> BTreeMap<String, Contents> {
    let collection = |&(name, people): &(&str, &[(&str, u32)])| {
        let mut contents = Contents::new();
        for &(target, seed) in people {
            let features = contents.entry(target.to_owned()).or_default();
            features.push(template(seed).to_bits());
        }
        (name.to_owned(), contents)
    };
    collections.iter().map(collection).collect()
}

fn everything(gallery: &Gallery) -> BTreeMap<String, Contents> {
    let list = gallery.list();
    list.into_iter()
        .map(|status| (status.name.clone(), contents(gallery, &status.name)))
        .collect()
}

/// The files of every collection, without the directories.
fn file_names(gallery: &Path) -> Vec<Vec<String>> {
    let mut all: Vec<Vec<String>> = (fs::read_dir(gallery).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| names_in(&path))
        .collect();
    all.sort();
    all
}

#[test]
fn the_first_format_opens_with_everyone() {
    let directory = sample("gallery-v1");
    let gallery = open(directory.path());
    assert_eq!(everything(&gallery), expected(&FIRST));
    assert_eq!(gallery.warnings(), []);
    for (target, seed) in FIRST[1].1 {
        let found = gallery.search("staff", &template(*seed), 1).unwrap();
        assert_eq!(found[0].target, *target);
        assert!(found[0].cosine > 0.999);
    }
}

#[test]
fn the_first_format_is_appended_to_until_it_is_compacted() {
    let directory = sample("gallery-v1");
    let gallery = open(directory.path());
    gallery.insert("staff", items(&[("dora", 20)])).unwrap();
    gallery
        .update("visitors", items(&[("guest-1", 21)]))
        .unwrap();
    let everyone = everything(&gallery);
    assert_eq!(everyone["staff"].len(), 5);
    assert_eq!(everyone["visitors"]["guest-1"], [template(21).to_bits()]);
    drop(gallery);
    let before = file_names(directory.path());
    let gallery = open(directory.path());
    assert_eq!(everything(&gallery), everyone);
    assert_eq!(gallery.warnings(), []);
    assert_eq!(file_names(directory.path()), before);
}

/// The version in the header of every journal, in the order of their paths.
fn versions(gallery: &Path) -> Vec<u32> {
    let mut journals: Vec<PathBuf> = files_below(gallery);
    journals.retain(|path| path.to_string_lossy().contains("/journal-"));
    journals.sort();
    let version = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap();
        FileHeader::decode(bytes.first_chunk().unwrap())
            .unwrap()
            .version
    };
    journals.iter().map(version).collect()
}

fn rename(from: &str, to: &str) -> Change {
    Change::Rename {
        at: None,
        from: from.to_owned(),
        to: to.to_owned(),
        merge: false,
        limit: 5,
    }
}

/// Its own release would take such a record for damage.
#[test]
fn a_journal_of_an_earlier_format_is_never_given_an_operation_that_it_does_not_have() {
    for earlier in ["gallery-v1", "gallery-v2"] {
        let directory = sample(earlier);
        let gallery = open(directory.path());
        let before = tree_of(directory.path());
        let mut expected = everything(&gallery);
        // By its record alone: the gallery's own renaming would compact.
        let staff = gallery.collection("staff");
        staff.change(rename("anna", "joanna")).unwrap();
        gallery.insert("staff", items(&[("dora", 20)])).unwrap();
        let people = expected.get_mut("staff").unwrap();
        let anna = people.remove("anna").unwrap();
        people.insert("joanna".to_owned(), anna);
        (people.entry("dora".to_owned()).or_default()).push(template(20).to_bits());
        assert_eq!(everything(&gallery), expected);
        // The lock is held as long as anything can write.
        drop((gallery, staff));
        let mut after = tree_of(directory.path());
        after.retain(|path, _| before.contains_key(path));
        assert_eq!(after, before, "what was there is as it was");
        let mut versions = versions(directory.path());
        versions.sort_unstable();
        assert_eq!(versions.pop(), Some(FORMAT_VERSION));
        assert!(versions.iter().all(|version| *version < FORMAT_VERSION));
        let gallery = open(directory.path());
        assert_eq!(everything(&gallery), expected);
        assert_eq!(gallery.warnings(), []);
        assert_eq!(gallery.tend(), 3);
        assert_eq!(everything(&gallery), expected);
        assert_eq!(gallery.tend(), 0);
        drop(gallery);
        assert_eq!(self::versions(directory.path()), [FORMAT_VERSION; 3]);
        assert_eq!(everything(&open(directory.path())), expected);
    }
}

fn upgraded_with(options: &Options, by_hand: bool) {
    for (earlier, people) in [("gallery-v1", &FIRST), ("gallery-v2", &SECOND)] {
        upgraded(earlier, people, options, by_hand);
    }
}

fn upgraded(earlier: &str, people: &[(&str, &[(&str, u32)])], options: &Options, by_hand: bool) {
    let directory = sample(earlier);
    let gallery = Gallery::open(directory.path(), options.clone()).unwrap();
    let status = gallery.list();
    assert_eq!(gallery.outdated().unwrap().len(), 3);
    let before = file_names(directory.path());
    match by_hand {
        true => (people.iter()).for_each(|(name, _)| gallery.compact(name).unwrap()),
        false => assert_eq!(gallery.tend(), 3),
    }
    assert_eq!(gallery.tend(), 0);
    assert_eq!(gallery.outdated().unwrap(), Vec::<String>::new());
    let check = |gallery: &Gallery| {
        assert_eq!(everything(gallery), expected(people));
        assert_eq!(gallery.warnings(), []);
        assert_eq!(gallery.list(), status);
    };
    check(&gallery);
    drop(gallery);
    // One generation and one journal, one number above the highest before.
    let highest = |names: &[String]| -> u32 {
        let numbers = names.iter().filter_map(|n| n.strip_prefix("journal-"));
        numbers.map(|n| n.parse().unwrap()).max().unwrap()
    };
    let mut expected_names: Vec<Vec<String>> = (before.iter())
        .map(|names| highest(names) + 1)
        .map(|n| vec![format!("gen-{n}.rkyv"), format!("journal-{n}")])
        .collect();
    expected_names.sort();
    assert_eq!(file_names(directory.path()), expected_names);
    assert_eq!(versions(directory.path()), [FORMAT_VERSION; 3]);
    let gallery = Gallery::open(directory.path(), options.clone()).unwrap();
    check(&gallery);
    gallery.insert("empty", items(&[("erna", 30)])).unwrap();
    drop(gallery);
    let gallery = Gallery::open(directory.path(), options.clone()).unwrap();
    assert_eq!(contents(&gallery, "empty").len(), 1);
}

#[test]
fn earlier_formats_become_generations_in_the_background() {
    upgraded_with(&options(), false);
}

#[test]
fn earlier_formats_become_generations_on_demand() {
    upgraded_with(&options(), true);
}

#[test]
fn earlier_formats_become_sealed() {
    let sealed = Options {
        sealed_to: Some(DeviceIdentity::of_serial("10000000c0ffee01")),
        ..options()
    };
    upgraded_with(&sealed, false);
}

#[test]
fn the_second_format_opens_with_everyone() {
    let directory = sample("gallery-v2");
    let before = tree_of(directory.path());
    let gallery = open(directory.path());
    assert_eq!(everything(&gallery), expected(&SECOND));
    assert_eq!(gallery.warnings(), []);
    drop(gallery);
    // Opening changes no byte of it.
    fs::remove_file(directory.path().join("LOCK")).unwrap();
    assert_eq!(tree_of(directory.path()), before);
}

#[test]
fn the_present_format_opens_with_everyone() {
    let directory = sample("gallery-v3");
    assert_eq!(versions(directory.path()), [3; 3]);
    let before = tree_of(directory.path());
    let gallery = open(directory.path());
    assert_eq!(everything(&gallery), expected(&THIRD));
    assert_eq!(gallery.warnings(), []);
    assert_eq!(gallery.tend(), 0);
    assert_eq!(gallery.scrub(), 0);
    drop(gallery);
    // Opening changes no byte of it.
    fs::remove_file(directory.path().join("LOCK")).unwrap();
    assert_eq!(tree_of(directory.path()), before);
    let gallery = open(directory.path());
    gallery.compact("staff").unwrap();
    drop(gallery);
    assert_eq!(everything(&open(directory.path())), expected(&THIRD));
}

/// Wrote `tests/data/gallery-v3`, once. A later format gets a sample of its own; this one stays as it is.
/// `cargo test freeze_the_present_format -- --ignored`
#[test]
#[ignore = "writes the frozen sample, which must never be written again"]
fn freeze_the_present_format() {
    let directory = data("gallery-v3");
    assert!(!directory.exists(), "it is frozen");
    let gallery = open(&directory);
    for (name, _) in THIRD {
        gallery.create(name).unwrap();
    }
    let batch = [
        ("anna", 1),
        ("ben", 2),
        ("anna", 3),
        ("carla", 4),
        ("Zoë", 5),
        ("ben", 6),
    ];
    gallery.insert("staff", items(&batch)).unwrap();
    gallery.compact("staff").unwrap();
    gallery
        .insert("staff", items(&[("anna", 12), ("dora", 14)]))
        .unwrap();
    gallery.update("staff", items(&[("ben", 13)])).unwrap();
    // By their records alone: the gallery's own removal and renaming would compact, and the journal were empty.
    let staff = gallery.collection("staff");
    let target = "carla".to_owned();
    staff.change(Change::Remove { target }).unwrap();
    staff.change(rename("dora", "theodora")).unwrap();
    drop(staff);
    let guests = [("guest-1", 9), ("guest-3", 11)];
    gallery.insert("visitors", items(&guests)).unwrap();
    drop(gallery);
    fs::remove_file(directory.join("LOCK")).unwrap();
}
