//! Damage of a generation: what can be rebuilt is, what cannot costs as few as possible, nothing wrong is ever answered.

use std::os::unix::fs::FileExt;
use std::thread;

use super::storage::Recorded;
use super::*;
use crate::gallery::storage::{Access, Storage};
use crate::gallery::{GalleryError, survey};
use crate::license::device::DeviceIdentity;

const HEADER_BYTES: usize = 128;
const BLOCK_BYTES: usize = 1 << 20;

/// Where things lie in a generation, as `docs/design/gallery.md` draws it; told from the header of the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    rows: usize,
    pub(super) codes_at: usize,
    scales_at: usize,
    originals_at: usize,
    covered_to: usize,
    table_bytes: usize,
    parity_at: usize,
    table_copy_at: usize,
}

impl Places {
    fn of(bytes: &[u8]) -> Places {
        let long = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
        let (rows, people, archive) = (long(40), long(48), long(56));
        let aligned = |place: usize| place.next_multiple_of(64);
        let codes_at = aligned(aligned(HEADER_BYTES + archive) + (people + 1) * 4);
        let scales_at = aligned(codes_at + rows * 192);
        let originals_at = aligned(scales_at + rows * 4);
        let covered_to = aligned(originals_at + rows * 384);
        let covered = covered_to - HEADER_BYTES;
        let table_bytes = covered.div_ceil(BLOCK_BYTES) * 4;
        let parity_at = covered_to + aligned(table_bytes);
        let table_copy_at = parity_at + aligned(covered.min(BLOCK_BYTES));
        assert_eq!(
            table_copy_at + aligned(table_bytes) + HEADER_BYTES,
            bytes.len()
        );
        Places {
            rows,
            codes_at,
            scales_at,
            originals_at,
            covered_to,
            table_bytes,
            parity_at,
            table_copy_at,
        }
    }

    /// Bytes that only fill up to a multiple of 64 and that no checksum covers.
    fn is_padding(&self, place: usize) -> bool {
        [self.covered_to, self.table_copy_at].iter().any(|at| {
            let end = at + self.table_bytes;
            (end..end.next_multiple_of(64)).contains(&place)
        })
    }

    /// The bytes that are set aside when this one is damaged; none for what is there twice.
    fn quarantined(&self, place: usize) -> Option<std::ops::Range<usize>> {
        if (HEADER_BYTES..self.covered_to).contains(&place) {
            return Some(self.block((place - HEADER_BYTES) / BLOCK_BYTES));
        }
        let parity = self.parity_at..self.table_copy_at;
        parity.contains(&place).then_some(parity)
    }

    fn block(&self, number: usize) -> std::ops::Range<usize> {
        let from = HEADER_BYTES + number * BLOCK_BYTES;
        from..self.covered_to.min(from + BLOCK_BYTES)
    }

    pub(super) fn original(&self, row: usize) -> std::ops::Range<usize> {
        let from = self.originals_at + row * 384;
        from..from + 384
    }
}

/// A gallery with one collection `c` in a generation, as files.
pub(super) struct Sample {
    tree: BTreeMap<PathBuf, Vec<u8>>,
    /// Path of the generation in the gallery.
    pub(super) name: PathBuf,
    pub(super) bytes: Vec<u8>,
    pub(super) places: Places,
    pub(super) expected: Contents,
}

pub(super) fn sample(batch: Vec<(String, Template)>, after: &[(&str, u32)]) -> Sample {
    let directory = scratch();
    let gallery = open(directory.path());
    gallery.create("c").unwrap();
    gallery.insert("c", batch).unwrap();
    gallery.compact("c").unwrap();
    if !after.is_empty() {
        gallery.insert("c", items(after)).unwrap();
    }
    let expected = contents(&gallery, "c");
    drop(gallery);
    fs::remove_file(directory.path().join("LOCK")).unwrap();
    let tree = tree_of(directory.path());
    let name = tree
        .keys()
        .find(|path| path.ends_with("gen-2.rkyv"))
        .unwrap();
    let (name, bytes) = (name.clone(), tree[name].clone());
    Sample {
        places: Places::of(&bytes),
        name,
        bytes,
        tree,
        expected,
    }
}

fn small() -> Sample {
    sample(items(&[("anna", 1), ("ben", 2)]), &[("carl", 3)])
}

pub(super) fn person(row: usize) -> String {
    format!("p{row:05}")
}

/// 6000 people of one feature each, in four blocks.
pub(super) fn large() -> Sample {
    let batch = (0..6000).map(|row| (person(row), template(row as u32)));
    sample(batch.collect(), &[])
}

impl Sample {
    pub(super) fn with(&self, bytes: Vec<u8>) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut tree = self.tree.clone();
        tree.insert(self.name.clone(), bytes);
        tree
    }

    pub(super) fn flipped(&self, places: &[usize]) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        places.iter().for_each(|&place| bytes[place] ^= 0x10);
        bytes
    }

    pub(super) fn on_disk(&self, bytes: Vec<u8>) -> tempfile::TempDir {
        let directory = scratch();
        write_tree(&self.with(bytes), directory.path());
        directory
    }
}

fn in_memory(tree: &BTreeMap<PathBuf, Vec<u8>>) -> Recorded {
    let storage = Recorded::new();
    let root = Path::new("/");
    for (path, bytes) in tree {
        let _ = storage.create_directory(&root.join(path.parent().unwrap()));
        let file = storage.create(&root.join(path)).unwrap();
        file.write_all_at(bytes, 0).unwrap();
    }
    storage
}

fn open_in(storage: &Recorded) -> Gallery {
    Gallery::open_on(Arc::new(storage.clone()), Path::new("/"), options()).unwrap()
}

fn read_in(storage: &Recorded, path: &Path) -> Vec<u8> {
    let file = storage
        .open(&Path::new("/").join(path), Access::Read)
        .unwrap();
    let mut bytes = vec![0; file.length().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

#[test]
fn every_flipped_bit_is_mended_and_reported() {
    let sample = &small();
    let bits = sample.bytes.len() * 8;
    thread::scope(|scope| {
        for half in [0..bits / 2, bits / 2..bits] {
            scope.spawn(move || half.for_each(|bit| flip_is_mended(sample, bit)));
        }
    });
}

fn flip_is_mended(sample: &Sample, bit: usize) {
    let mut bytes = sample.bytes.clone();
    bytes[bit / 8] ^= 1 << (bit % 8);
    let storage = in_memory(&sample.with(bytes.clone()));
    let gallery = open_in(&storage);
    let found = gallery.search("c", &template(2), 1).unwrap();
    assert_eq!(found[0].target, "ben", "bit {bit}");
    if gallery.warnings().is_empty() {
        // What is there twice, and the parity, is not missed before somebody looks.
        let padding = sample.places.is_padding(bit / 8);
        assert_eq!(gallery.scrub(), usize::from(!padding), "bit {bit}");
        if padding {
            return;
        }
    }
    assert_eq!(contents(&gallery, "c"), sample.expected, "bit {bit}");
    let warnings = gallery.warnings();
    assert!(!warnings.is_empty(), "bit {bit}");
    assert!(gallery.status("c").unwrap().warning.is_some());
    assert_eq!(read_in(&storage, &sample.name), sample.bytes, "bit {bit}");
    if let Some(range) = sample.places.quarantined(bit / 8) {
        let copy = warnings.iter().find_map(|w| w.quarantined.clone());
        assert_eq!(read_in(&storage, &copy.unwrap()), bytes[range], "bit {bit}");
    }
    drop(gallery);
    assert_eq!(contents(&open_in(&storage), "c"), sample.expected);
}

/// Flips bytes of the generation behind the back of an open gallery.
pub(super) fn flip_on_disk(directory: &Path, sample: &Sample, places: &[usize]) {
    let path = directory.join(&sample.name);
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    for &place in places {
        file.write_all_at(&[sample.bytes[place] ^ 0x10], place as u64)
            .unwrap();
    }
}

#[test]
fn damage_that_a_search_finds_is_mended_and_the_answer_right() {
    let sample = large();
    let places = sample.places;
    let in_codes = places.codes_at + 700 * 192 + 5;
    let in_scales = places.scales_at + 4 * 5000;
    let in_an_original = places.original(4321).start + 100;
    for place in [in_codes, in_scales, in_an_original] {
        let directory = sample.on_disk(sample.bytes.clone());
        let gallery = open(directory.path());
        flip_on_disk(directory.path(), &sample, &[place]);
        assert_eq!(gallery.warnings(), []);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let found = gallery.search("c", &template(4321), 1).unwrap();
                    assert_eq!(found[0].target, person(4321));
                    assert!(found[0].cosine > 0.999);
                });
            }
        });
        let warnings = gallery.warnings();
        let copy = warnings.iter().find_map(|w| w.quarantined.clone()).unwrap();
        let block = places.quarantined(place).unwrap();
        assert_eq!(fs::read(copy).unwrap(), sample.flipped(&[place])[block]);
        assert!(gallery.metrics().damage > 0);
        assert_eq!(contents(&gallery, "c"), sample.expected);
        assert_eq!(
            fs::read(directory.path().join(&sample.name)).unwrap(),
            sample.bytes
        );
        gallery.insert("c", items(&[("late", 7000)])).unwrap();
        let expected = contents(&gallery, "c");
        drop(gallery);
        assert_eq!(contents(&open(directory.path()), "c"), expected);
    }
}

/// A person who gains a feature takes the old ones along: they are checked first.
#[test]
fn damage_that_an_insert_or_a_compaction_finds_is_mended() {
    let sample = large();
    let place = sample.places.original(4321).start + 100;
    for by_insert in [true, false] {
        let directory = sample.on_disk(sample.bytes.clone());
        let gallery = open(directory.path());
        flip_on_disk(directory.path(), &sample, &[place]);
        let mut expected = sample.expected.clone();
        if by_insert {
            gallery
                .insert("c", items(&[(&person(4321), 9000)]))
                .unwrap();
            let features = expected.get_mut(&person(4321)).unwrap();
            features.push(template(9000).to_bits());
        } else {
            let error = gallery.compact("c").unwrap_err();
            assert!(matches!(error, GalleryError::Damaged { .. }), "{error}");
            assert_eq!(
                gallery.search("c", &template(4321), 1).unwrap()[0].target,
                person(4321)
            );
            gallery.compact("c").unwrap();
        }
        assert_eq!(contents(&gallery, "c"), expected);
        drop(gallery);
        assert_eq!(contents(&open(directory.path()), "c"), expected);
    }
}

/// Only those whose originals are lost are lost: everything else of a row is computed from its original.
#[test]
fn two_damaged_blocks_cost_the_people_in_them_and_nobody_else() {
    let sample = large();
    let places = sample.places;
    let (second, third) = (places.block(1), places.block(2));
    assert!(second.contains(&places.scales_at) && second.contains(&places.originals_at));
    let flips = [
        places.codes_at + 6000 * 192 - 9,
        places.original(4321).start,
    ];
    assert!(second.contains(&flips[0]) && third.contains(&flips[1]));
    let lost = |row: usize| {
        let bytes = places.original(row);
        [&second, &third]
            .iter()
            .any(|block| bytes.start < block.end && block.start < bytes.end)
    };
    let mut expected = sample.expected.clone();
    expected.retain(|target, _| !lost(target[1..].parse().unwrap()));
    let lost_people = places.rows - expected.len();
    assert!(lost_people > 1000 && expected.len() > 1000);

    for open_first in [true, false] {
        let before = if open_first {
            sample.bytes.clone()
        } else {
            sample.flipped(&flips)
        };
        let directory = sample.on_disk(before);
        let gallery = open(directory.path());
        if open_first {
            flip_on_disk(directory.path(), &sample, &flips);
        }
        let found = gallery.search("c", &template(5999), 6000).unwrap();
        assert_eq!(found.len(), expected.len());
        assert_eq!(found[0].target, person(5999));
        assert!(found.iter().all(|hit| expected.contains_key(&hit.target)));
        assert_eq!(contents(&gallery, "c"), expected);
        let status = gallery.status("c").unwrap();
        let warning = status.warning.unwrap();
        assert!(
            warning.contains(&format!("{lost_people} people")),
            "{warning}"
        );
        let quarantine = directory
            .path()
            .join(&sample.name)
            .with_file_name("quarantine");
        let copies = tree_of(&quarantine);
        for block in [&second, &third] {
            let bytes = &sample.flipped(&flips)[block.clone()];
            assert!(
                copies.values().any(|copy| copy == bytes),
                "{:?}",
                copies.keys()
            );
        }
        drop(gallery);
        let gallery = open(directory.path());
        assert_eq!(contents(&gallery, "c"), expected);
        assert_eq!(gallery.scrub(), 0);
    }
}

/// Someone whose rows are lost gained a feature since: the new one is all that is left of them.
#[test]
fn two_damaged_blocks_under_a_journal_that_builds_on_them() {
    let batch = (0..6000).map(|row| (person(row), template(row as u32)));
    let sample = sample(batch.collect(), &[(&person(4321), 9000), ("late", 9001)]);
    let places = sample.places;
    let flips = [places.original(700).start, places.original(4321).start];
    let directory = sample.on_disk(sample.flipped(&flips));
    let gallery = open(directory.path());
    assert_eq!(gallery.list().len(), 1, "{:?}", gallery.warnings());
    let found = gallery.search("c", &template(9001), 1).unwrap();
    assert_eq!(found[0].target, "late");
    for (target, features) in contents(&gallery, "c") {
        let all = &sample.expected[&target];
        let whole = *all == features;
        assert!(
            whole || (target == person(4321) && features == all[1..]),
            "{target}"
        );
    }
}

#[test]
fn scrubbing_finds_what_no_search_reads() {
    let sample = large();
    let directory = sample.on_disk(sample.bytes.clone());
    let gallery = open(directory.path());
    assert_eq!(gallery.scrub(), 0);
    flip_on_disk(
        directory.path(),
        &sample,
        &[sample.places.parity_at + 77, 20],
    );
    assert_eq!(gallery.search("c", &template(1), 1).unwrap().len(), 1);
    assert_eq!(gallery.warnings(), []);
    assert_eq!(gallery.scrub(), 1);
    assert_eq!(
        fs::read(directory.path().join(&sample.name)).unwrap(),
        sample.bytes
    );
    assert_eq!(gallery.scrub(), 0);
    assert_eq!(contents(&gallery, "c"), sample.expected);
}

/// Whatever a survey says, it changes nothing. With what should stand in the findings.
fn surveyed(tree: &BTreeMap<PathBuf, Vec<u8>>, finding: &str) -> Option<usize> {
    let directory = scratch();
    write_tree(tree, directory.path());
    let device = DeviceIdentity::of_serial("1");
    let surveyed = survey(directory.path(), &device, true).unwrap();
    assert_eq!(&tree_of(directory.path()), tree);
    assert_eq!(surveyed.len(), 1);
    let findings = surveyed[0].findings.join("; ");
    assert!(findings.contains(finding), "{findings}");
    surveyed[0]
        .contents
        .as_ref()
        .ok()
        .map(|snapshot| snapshot.person_num())
}

#[test]
fn a_survey_reports_damage_and_changes_nothing() {
    let sample = &small();
    let places = sample.places;
    let one = places.original(0).start;
    let cases = [
        (vec![], "", Some(3)),
        (vec![one], "directory of its people is damaged", None),
        (
            vec![one, places.parity_at],
            "directory of its people is damaged",
            None,
        ),
        (vec![places.parity_at], "the parity block", Some(3)),
        (vec![20], "its header", Some(3)),
    ];
    thread::scope(|scope| {
        for (flips, finding, people) in cases {
            scope.spawn(move || {
                let tree = sample.with(sample.flipped(&flips));
                assert_eq!(surveyed(&tree, finding), people, "{finding}");
            });
        }
    });
}
