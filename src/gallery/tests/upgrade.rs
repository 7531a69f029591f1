//! Galleries that earlier releases wrote, frozen in `tests/data`: what was enrolled stays enrolled.

use super::*;
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

/// The same of `tests/data/gallery-v2`.
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

fn upgraded_with(options: &Options, by_hand: bool) {
    let directory = sample("gallery-v1");
    let gallery = Gallery::open(directory.path(), options.clone()).unwrap();
    let status = gallery.list();
    match by_hand {
        true => FIRST
            .iter()
            .for_each(|(name, _)| gallery.compact(name).unwrap()),
        false => assert_eq!(gallery.tend(), 3),
    }
    assert_eq!(gallery.tend(), 0);
    let check = |gallery: &Gallery| {
        assert_eq!(everything(gallery), expected(&FIRST));
        assert_eq!(gallery.warnings(), []);
        assert_eq!(gallery.list(), status);
    };
    check(&gallery);
    drop(gallery);
    // The journals of the first format had the numbers 1, 1 and 2.
    let pair = |n: u32| vec![format!("gen-{n}.rkyv"), format!("journal-{n}")];
    assert_eq!(file_names(directory.path()), [pair(2), pair(2), pair(3)]);
    let gallery = Gallery::open(directory.path(), options.clone()).unwrap();
    check(&gallery);
    gallery.insert("empty", items(&[("erna", 30)])).unwrap();
    drop(gallery);
    let gallery = Gallery::open(directory.path(), options.clone()).unwrap();
    assert_eq!(contents(&gallery, "empty").len(), 1);
}

#[test]
fn the_first_format_becomes_generations_in_the_background() {
    upgraded_with(&options(), false);
}

#[test]
fn the_first_format_becomes_generations_on_demand() {
    upgraded_with(&options(), true);
}

#[test]
fn the_first_format_becomes_sealed() {
    let sealed = Options {
        sealed_to: Some(DeviceIdentity::of_serial("10000000c0ffee01")),
        ..options()
    };
    upgraded_with(&sealed, false);
}

#[test]
fn the_present_format_opens_with_everyone() {
    let directory = sample("gallery-v2");
    let before = tree_of(directory.path());
    let gallery = open(directory.path());
    assert_eq!(everything(&gallery), expected(&SECOND));
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
    assert_eq!(everything(&open(directory.path())), expected(&SECOND));
}

/// Wrote `tests/data/gallery-v2`, once. A later format gets a sample of its own; this one stays as it is.
/// `cargo test freeze_the_present_format -- --ignored`
#[test]
#[ignore = "writes the frozen sample, which must never be written again"]
fn freeze_the_present_format() {
    let directory = data("gallery-v2");
    assert!(!directory.exists(), "it is frozen");
    let gallery = open(&directory);
    for (name, _) in SECOND {
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
    // By its record alone: the gallery's own removal would compact, and the journal were empty.
    let carla = "carla".to_owned();
    let removal = crate::gallery::commit::Change::Remove { target: carla };
    gallery.collection("staff").change(removal).unwrap();
    let guests = [("guest-1", 9), ("guest-3", 11)];
    gallery.insert("visitors", items(&guests)).unwrap();
    drop(gallery);
    fs::remove_file(directory.join("LOCK")).unwrap();
}
