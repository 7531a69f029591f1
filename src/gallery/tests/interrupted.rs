//! Directories as an interrupted compaction, a damaged directory of people or a hand leaves them.

use std::thread;

use super::storage::{Recorded, Recording};
use super::*;
use crate::gallery::commit::Change;
use crate::gallery::format::FileHeader;
use crate::gallery::storage::Storage;
use crate::gallery::{GalleryError, survey};
use crate::license::device::DeviceIdentity;

type Tree = BTreeMap<PathBuf, Vec<u8>>;

/// A collection `c` before and after a compaction, each with the same people, and then with one more in the new journal.
struct Sample {
    /// `journal-1`
    before: Tree,
    /// `gen-2.rkyv`, `journal-2`
    after: Tree,
    /// The same with a change in the journal.
    changed: Tree,
    expected: Contents,
    expected_changed: Contents,
}

fn closed(gallery: Gallery, directory: &Path) -> Tree {
    drop(gallery);
    fs::remove_file(directory.join("LOCK")).unwrap();
    tree_of(directory)
}

fn sample() -> Sample {
    let directory = scratch();
    let directory = directory.path();
    let gallery = open(directory);
    gallery.create("c").unwrap();
    let batch = [("anna", 1), ("ben", 2), ("anna", 3), ("carl", 4)];
    gallery.insert("c", items(&batch)).unwrap();
    gallery.update("c", items(&[("ben", 5)])).unwrap();
    // By its record alone: the gallery's own renaming would compact.
    let renaming = Change::Rename {
        at: None,
        from: "carl".to_owned(),
        to: "carla".to_owned(),
        merge: false,
        limit: 5,
    };
    gallery.collection("c").change(renaming).unwrap();
    let expected = contents(&gallery, "c");
    let before = closed(gallery, directory);
    let gallery = open(directory);
    gallery.compact("c").unwrap();
    let after = closed(gallery, directory);
    let gallery = open(directory);
    gallery
        .insert("c", items(&[("anna", 6), ("dora", 7)]))
        .unwrap();
    let expected_changed = contents(&gallery, "c");
    Sample {
        before,
        after,
        changed: closed(gallery, directory),
        expected,
        expected_changed,
    }
}

impl Sample {
    /// The path of a file of the collection.
    fn path(&self, name: &str) -> PathBuf {
        self.after.keys().next().unwrap().with_file_name(name)
    }

    fn generation(&self) -> PathBuf {
        self.path("gen-2.rkyv")
    }

    /// Both generations' files, the change included, with `bytes` as the newer one.
    fn both_with(&self, bytes: Vec<u8>) -> Tree {
        let mut tree = self.before.clone();
        tree.extend(self.changed.clone());
        tree.insert(self.generation(), bytes);
        tree
    }

    fn only_with(&self, bytes: Vec<u8>) -> Tree {
        let mut tree = self.changed.clone();
        tree.insert(self.generation(), bytes);
        tree
    }
}

fn on_disk(tree: &Tree) -> tempfile::TempDir {
    let directory = scratch();
    write_tree(tree, directory.path());
    directory
}

/// Opens without a word and holds the right people, also after a change and a second open.
fn opens_silently(tree: &Tree, expected: &Contents) {
    let directory = on_disk(tree);
    let gallery = open(directory.path());
    assert_eq!(gallery.warnings(), [], "{:?}", tree.keys());
    works_on(gallery, directory.path(), expected);
}

fn works_on(gallery: Gallery, directory: &Path, expected: &Contents) {
    assert_eq!(&contents(&gallery, "c"), expected);
    let found = gallery.search("c", &template(5), 1).unwrap();
    assert_eq!(found[0].target, "ben");
    gallery.insert("c", items(&[("emil", 8)])).unwrap();
    let mut expected = expected.clone();
    expected.insert("emil".to_owned(), vec![template(8).to_bits()]);
    drop(gallery);
    let gallery = open(directory);
    assert_eq!(contents(&gallery, "c"), expected);
    gallery.compact("c").unwrap();
    drop(gallery);
    assert_eq!(contents(&open(directory), "c"), expected);
    assert_eq!(names_in(&collection_directory(directory)).len(), 2);
}

/// Is not served, says why, and leaves every byte as it is.
fn is_refused(tree: &Tree, why: &str) {
    let directory = on_disk(tree);
    let gallery = open(directory.path());
    assert_eq!(gallery.list(), []);
    let warnings = gallery.warnings();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].what.contains("not served"), "{warnings:?}");
    assert!(warnings[0].what.contains(why), "{warnings:?}");
    assert!(matches!(
        gallery.search("c", &template(1), 1),
        Err(GalleryError::UnknownCollection { .. })
    ));
    assert_eq!(&closed(gallery, directory.path()), tree);
}

#[test]
fn every_step_of_a_compaction_leaves_the_same_people() {
    let sample = sample();
    let storage = Recorded::new();
    for (path, bytes) in &sample.before {
        let path = Path::new("/").join(path);
        storage.create_directory(path.parent().unwrap()).unwrap();
        let file = storage.create(&path).unwrap();
        file.write_all_at(bytes, 0).unwrap();
    }
    let open_in = |storage: &Recorded| {
        Gallery::open_on(Arc::new(storage.clone()), Path::new("/"), options()).unwrap()
    };
    let gallery = open_in(&storage);
    let first = storage.event_count();
    gallery.compact("c").unwrap();
    let recording = storage.recording();
    let last = recording.events.len();
    assert!(last - first > 15);
    for steps in first..=last {
        let storage = Recorded::replayed(Recording {
            base: recording.base.clone(),
            events: recording.events[..steps].to_vec(),
        });
        let gallery = open_in(&storage);
        let tail = recording.tail(steps, 5);
        assert_eq!(contents(&gallery, "c"), sample.expected, "{tail}");
        assert_eq!(gallery.warnings(), [], "{tail}");
        gallery.insert("c", items(&[("emil", 8)])).unwrap();
        gallery.compact("c").unwrap();
        gallery.remove_target("c", "emil").unwrap();
        drop(gallery);
        assert_eq!(contents(&open_in(&storage), "c"), sample.expected, "{tail}");
    }
}

#[test]
fn the_stages_of_a_compaction_on_disk() {
    let sample = sample();
    let journal = sample.path("journal-2");
    let mut rotated = sample.before.clone();
    rotated.insert(journal.clone(), sample.after[&journal].clone());
    opens_silently(&rotated, &sample.expected);
    let mut rotated_and_changed = sample.before.clone();
    rotated_and_changed.insert(journal.clone(), sample.changed[&journal].clone());
    opens_silently(&rotated_and_changed, &sample.expected_changed);

    let generation = sample.after[&sample.generation()].clone();
    let mut staged = rotated.clone();
    for length in [0, 1, 500, generation.len()] {
        staged.insert(
            sample.path(".tmp-gen-2.rkyv"),
            generation[..length].to_vec(),
        );
        opens_silently(&staged, &sample.expected);
    }
    staged.insert(sample.path(".tmp-journal-3"), b"recojrnl".to_vec());
    opens_silently(&staged, &sample.expected);

    opens_silently(&sample.both_with(generation), &sample.expected_changed);
    let mut half_removed = sample.after.clone();
    half_removed.insert(sample.path(".tmp-gen-3.rkyv"), vec![0; 700]);
    opens_silently(&half_removed, &sample.expected);
}

/// Two parts of it are damaged, so that the parity does not help.
#[test]
fn a_lost_directory_of_people_falls_back_to_the_journals_before() {
    let sample = sample();
    let mut bytes = sample.after[&sample.generation()].clone();
    bytes[200] ^= 1;
    let parity = bytes.len() - 128 - 64 - 100;
    bytes[parity] ^= 1;
    let directory = on_disk(&sample.both_with(bytes.clone()));
    let gallery = open(directory.path());
    let warnings = gallery.warnings();
    let copy = warnings.iter().find_map(|w| w.quarantined.clone()).unwrap();
    assert_eq!(fs::read(copy).unwrap(), bytes);
    works_on(gallery, directory.path(), &sample.expected_changed);

    is_refused(
        &sample.only_with(bytes),
        "directory of its people is damaged",
    );
}

#[test]
fn a_lost_generation_falls_back_to_the_generation_before() {
    let directory = scratch();
    let directory = directory.path();
    write_tree(&sample().changed, directory);
    let gallery = open(directory);
    let expected = contents(&gallery, "c");
    let mut tree = closed(gallery, directory);
    let gallery = open(directory);
    gallery.compact("c").unwrap();
    tree.extend(closed(gallery, directory));
    let newer = tree
        .keys()
        .find(|path| path.ends_with("gen-3.rkyv"))
        .unwrap()
        .clone();
    tree.get_mut(&newer).unwrap().truncate(1000);
    assert_eq!(tree.len(), 4);
    write_tree(&tree, directory);
    let gallery = open(directory);
    assert!(gallery.warnings()[0].what.contains("gen-3.rkyv is damaged"));
    works_on(gallery, directory, &expected);
}

#[test]
fn a_truncated_generation_is_not_believed() {
    let sample = sample();
    let whole = sample.after[&sample.generation()].clone();
    let lengths = (0..whole.len())
        .step_by(97)
        .chain([1, 127, 128, 255, 256, 257, whole.len() - 1]);
    for length in lengths {
        let cut = whole[..length].to_vec();
        is_refused(&sample.only_with(cut.clone()), "gen-2.rkyv is damaged");
        let directory = on_disk(&sample.both_with(cut.clone()));
        let gallery = open(directory.path());
        assert_eq!(contents(&gallery, "c"), sample.expected_changed, "{length}");
        let warnings = gallery.warnings();
        assert!(
            warnings[0].what.contains("the generation before"),
            "{warnings:?}"
        );
        assert_eq!(
            fs::read(warnings[0].quarantined.as_ref().unwrap()).unwrap(),
            cut
        );
    }
    let mut longer = whole.clone();
    longer.extend([0; 64]);
    is_refused(&sample.only_with(longer), "gen-2.rkyv is damaged");
}

#[test]
fn a_generation_of_another_place_is_not_believed() {
    let ours = sample();
    let other = sample();
    let foreign = other.after[&other.generation()].clone();
    is_refused(&ours.only_with(foreign.clone()), "another collection");
    let directory = on_disk(&ours.both_with(foreign.clone()));
    let gallery = open(directory.path());
    assert!(gallery.warnings()[0].what.contains("another collection"));
    works_on(gallery, directory.path(), &ours.expected_changed);

    // The right collection under the wrong number.
    let mut renamed = ours.changed.clone();
    let generation = renamed.remove(&ours.generation()).unwrap();
    renamed.insert(ours.path("gen-3.rkyv"), generation.clone());
    is_refused(&renamed, "another collection or place");
    let mut doubled = ours.changed.clone();
    doubled.insert(ours.path("gen-1.rkyv"), generation);
    opens_silently(&doubled, &ours.expected_changed);
}

#[test]
fn a_newer_generation_is_refused_and_left_alone() {
    let sample = sample();
    let mut bytes = sample.after[&sample.generation()].clone();
    let copy_at = bytes.len() - 128;
    for at in [0, copy_at] {
        bytes[at + 8] = 2;
        let checksum = crc32c::crc32c(&bytes[at..at + 124]);
        bytes[at + 124..at + 128].copy_from_slice(&checksum.to_le_bytes());
        is_refused(&sample.only_with(bytes.clone()), "newer release");
        is_refused(&sample.both_with(bytes.clone()), "newer release");
    }
}

#[test]
fn a_generation_without_its_journal_keeps_its_people() {
    let sample = sample();
    for older in [false, true] {
        let mut tree = sample.changed.clone();
        tree.remove(&sample.path("journal-2")).unwrap();
        if older {
            tree.extend(sample.before.clone());
        }
        let directory = on_disk(&tree);
        let gallery = open(directory.path());
        let warnings = gallery.warnings();
        assert!(
            warnings[0].what.contains("journal-2 is missing"),
            "{warnings:?}"
        );
        works_on(gallery, directory.path(), &sample.expected);
    }
}

#[test]
fn a_journal_without_its_generation_is_refused() {
    let sample = sample();
    let mut tree = sample.changed.clone();
    tree.remove(&sample.generation()).unwrap();
    is_refused(&tree, "missing");
    let journal = &tree[&sample.path("journal-2")];
    assert!(
        FileHeader::decode(&journal[..64].try_into().unwrap())
            .unwrap()
            .continues
    );
}

#[test]
fn a_survey_of_any_of_these_changes_nothing() {
    let sample = sample();
    let generation = sample.after[&sample.generation()].clone();
    let journal = sample.path("journal-2");
    let mut rotated = sample.before.clone();
    rotated.insert(journal.clone(), sample.changed[&journal].clone());
    rotated.insert(sample.path(".tmp-gen-2.rkyv"), generation[..700].to_vec());
    let mut torn = sample.changed.clone();
    torn.get_mut(&journal).unwrap().extend([1; 7]);
    let mut without = sample.changed.clone();
    without.remove(&journal).unwrap();
    let mut damaged = sample.before.clone();
    let bytes = damaged.values_mut().next().unwrap();
    let place = bytes.len() - 100;
    bytes[place] ^= 1;
    let cut = generation[..900].to_vec();
    // Files, what the findings say, how many people there are, if any are readable.
    let cases = [
        (sample.before.clone(), "", Some(3)),
        (sample.after.clone(), "", Some(3)),
        (sample.both_with(generation), "", Some(4)),
        (rotated, "", Some(4)),
        (torn, "", Some(4)),
        (without, "journal-2 is missing", Some(3)),
        (damaged, "journal-1 could not be read", Some(3)),
        (
            sample.both_with(cut.clone()),
            "gen-2.rkyv is damaged",
            Some(4),
        ),
        (sample.only_with(cut), "gen-2.rkyv is damaged", None),
    ];
    let device = DeviceIdentity::of_serial("1");
    thread::scope(|scope| {
        for (tree, finding, people) in &cases {
            let device = &device;
            scope.spawn(move || {
                let directory = on_disk(tree);
                let mut surveyed = survey(directory.path(), device, true).unwrap();
                assert_eq!(&tree_of(directory.path()), tree);
                let one = surveyed.pop().unwrap();
                let findings = one.findings.join("; ");
                assert!(findings.contains(finding), "{findings}");
                assert_eq!(findings.is_empty(), finding.is_empty(), "{findings}");
                let contents = one.contents.as_ref().ok();
                assert_eq!(
                    contents.map(|snapshot| snapshot.person_num()),
                    *people,
                    "{finding}"
                );
            });
        }
    });
}
