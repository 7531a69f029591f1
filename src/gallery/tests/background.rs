//! Compaction while the gallery is in use: nobody waits for long, nothing is lost, and who left stays away.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::*;
use crate::gallery::{GalleryError, Keeper};

/// A tail of so many rows is long, and a removal still erases at once.
const LONG: u32 = 8400;

/// So many rows are not written anew for every removal.
const LARGE: u32 = 14_100;

/// A compaction of a long tail takes 20 s at this pace.
const CRAWLING: u64 = 256 << 10;

/// Far above what anything here takes that does not wait for a compaction.
const SOON: Duration = Duration::from_secs(8);

fn person(seed: u32) -> String {
    format!("p{seed:05}")
}

fn enrolled(rows: u32, bytes_per_second: u64) -> (tempfile::TempDir, Gallery) {
    let directory = scratch();
    let options = Options {
        compaction_bytes_per_second: bytes_per_second,
        ..options()
    };
    let gallery = Gallery::open(directory.path(), options).unwrap();
    gallery.create("c").unwrap();
    let batch = (0..rows).map(|seed| (person(seed), template(seed)));
    gallery.insert("c", batch.collect()).unwrap();
    (directory, gallery)
}

fn wait_until(what: &str, happened: impl Fn() -> bool) {
    let begin = Instant::now();
    while !happened() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A compaction is writing its generation.
fn is_compacting(directory: &Path) -> bool {
    let names = names_in(&collection_directory(directory));
    names.iter().any(|name| name.starts_with(".tmp-gen-"))
}

fn reopened(gallery: Gallery, directory: &Path) -> Contents {
    drop(gallery);
    let gallery = open(directory);
    assert_eq!(gallery.warnings(), []);
    contents(&gallery, "c")
}

#[test]
fn a_long_tail_is_compacted_under_searches_and_inserts() {
    let (directory, gallery) = enrolled(LONG, 20 << 20);
    let compacted = AtomicBool::new(false);
    let inserted = thread::scope(|scope| {
        let searching = || {
            while !compacted.load(Ordering::SeqCst) {
                let found = gallery.search("c", &template(77), 100_000).unwrap();
                assert_eq!(found[0].target, person(77));
                assert_eq!(found.len() % 4, 0);
            }
        };
        let inserting = || {
            let mut round = 0;
            while !compacted.load(Ordering::SeqCst) {
                let batch = (0..4).map(|i| (format!("new-{round}-{i}"), template(100_000 + round)));
                gallery.insert("c", batch.collect()).unwrap();
                round += 1;
                thread::sleep(Duration::from_millis(2));
            }
            round as usize
        };
        scope.spawn(searching);
        let inserting = scope.spawn(inserting);
        assert_eq!(gallery.tend(), 1);
        compacted.store(true, Ordering::SeqCst);
        inserting.join().unwrap()
    });
    assert_eq!(gallery.metrics().compactions, 1);
    assert_eq!(gallery.tend(), 0);
    let status = gallery.status("c").unwrap();
    assert_eq!(status.person_num, LONG as usize + inserted * 4);
    let expected = contents(&gallery, "c");
    assert_eq!(expected.len(), status.person_num);
    assert_eq!(
        names_in(&collection_directory(directory.path())),
        ["gen-2.rkyv", "journal-2"]
    );
    assert_eq!(reopened(gallery, directory.path()), expected);
}

/// Does something while a compaction crawls, and returns when both are done.
fn while_compacting(gallery: &Gallery, directory: &Path, change: impl FnOnce()) {
    thread::scope(|scope| {
        let tending = scope.spawn(|| gallery.tend());
        wait_until("a compaction", || is_compacting(directory));
        let begin = Instant::now();
        change();
        assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
        assert_eq!(tending.join().unwrap(), 1);
        assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
    });
}

#[test]
fn clearing_does_not_wait_for_a_compaction() {
    let (directory, gallery) = enrolled(LONG, CRAWLING);
    while_compacting(&gallery, directory.path(), || gallery.clear("c").unwrap());
    assert_eq!(contents(&gallery, "c"), Contents::new());
    assert_eq!(gallery.metrics().compactions, 0);
    assert_eq!(names_in(&collection_directory(directory.path())).len(), 1);
    gallery.insert("c", items(&[("anna", 1)])).unwrap();
    assert_eq!(reopened(gallery, directory.path()).len(), 1);
}

#[test]
fn deleting_does_not_wait_for_a_compaction() {
    let (directory, gallery) = enrolled(LONG, CRAWLING);
    while_compacting(&gallery, directory.path(), || gallery.delete("c").unwrap());
    assert!(matches!(
        gallery.search("c", &template(1), 1),
        Err(GalleryError::UnknownCollection { .. })
    ));
    assert_eq!(
        files_below(directory.path()),
        [directory.path().join("LOCK")]
    );
}

#[test]
fn removing_does_not_wait_for_a_compaction_and_erases_at_once() {
    let (directory, gallery) = enrolled(LONG, CRAWLING);
    let mut expected = contents(&gallery, "c");
    while_compacting(&gallery, directory.path(), || {
        gallery.remove_target("c", &person(5)).unwrap();
    });
    expected.remove(&person(5)).unwrap();
    assert_eq!(contents(&gallery, "c"), expected);
    assert_eq!(gallery.metrics().compactions, 1);
    assert_eq!(traces(directory.path(), 5), Vec::<PathBuf>::new());
    assert_eq!(traces(directory.path(), 6).len(), 1);
    assert_eq!(reopened(gallery, directory.path()), expected);
}

/// Files that hold the template of this seed.
fn traces(directory: &Path, seed: u32) -> Vec<PathBuf> {
    let needle: Vec<u8> = (template(seed).to_bits().iter())
        .flat_map(|bits| bits.to_le_bytes())
        .collect();
    let files = files_below(directory).into_iter().filter(|path| {
        let bytes = fs::read(path).unwrap();
        bytes.windows(needle.len()).any(|window| window == needle)
    });
    files.collect()
}

#[test]
fn what_left_a_large_collection_is_erased_by_erase_removed() {
    let (directory, gallery) = enrolled(LARGE, 64 << 20);
    gallery.compact("c").unwrap();
    gallery.remove_target("c", &person(5)).unwrap();
    gallery.update("c", items(&[(&person(6), 50_000)])).unwrap();
    assert!(!gallery.contains_target("c", &person(5)).unwrap());
    assert_eq!(gallery.metrics().compactions, 1);
    assert_eq!(
        (
            traces(directory.path(), 5).len(),
            traces(directory.path(), 6).len()
        ),
        (1, 1)
    );
    assert_eq!(gallery.erase_removed().unwrap(), 1);
    for seed in [5, 6] {
        assert_eq!(traces(directory.path(), seed), Vec::<PathBuf>::new());
    }
    assert_eq!(traces(directory.path(), 50_000).len(), 1);
    assert_eq!(gallery.erase_removed().unwrap(), 0);
    let expected = contents(&gallery, "c");
    assert_eq!(expected.len(), LARGE as usize - 1);
    assert_eq!(reopened(gallery, directory.path()), expected);
}

#[test]
fn changes_during_a_compaction_stay() {
    let (directory, gallery) = enrolled(LARGE, 4 << 20);
    let mut expected = contents(&gallery, "c");
    while_compacting(&gallery, directory.path(), || {
        gallery.remove_target("c", &person(1)).unwrap();
        gallery.update("c", items(&[(&person(2), 50_000)])).unwrap();
        gallery
            .insert("c", items(&[(&person(3), 50_001), ("new", 50_002)]))
            .unwrap();
        gallery.remove_target("c", &person(4)).unwrap();
        gallery.insert("c", items(&[(&person(4), 50_003)])).unwrap();
        assert_eq!(gallery.metrics().compactions, 0, "too fast to be seen");
    });
    assert_eq!(gallery.metrics().compactions, 1);
    expected.remove(&person(1)).unwrap();
    expected.insert(person(2), vec![template(50_000).to_bits()]);
    expected
        .get_mut(&person(3))
        .unwrap()
        .push(template(50_001).to_bits());
    expected.insert("new".to_owned(), vec![template(50_002).to_bits()]);
    expected.insert(person(4), vec![template(50_003).to_bits()]);
    assert_eq!(contents(&gallery, "c"), expected);
    let found = gallery.search("c", &template(1), 1).unwrap();
    assert_ne!(found[0].target, person(1));
    assert_eq!(
        gallery.search("c", &template(50_001), 1).unwrap()[0].target,
        person(3)
    );
    let status = gallery.status("c").unwrap();
    assert_eq!(status.person_num, expected.len());
    assert_eq!(status.feature_num, expected.len() + 1);
    // Those who left meanwhile are still in the new generation, and known to be.
    assert_eq!(gallery.erase_removed().unwrap(), 1);
    for seed in [1, 2, 4] {
        assert_eq!(traces(directory.path(), seed), Vec::<PathBuf>::new());
    }
    assert_eq!(reopened(gallery, directory.path()), expected);
}

#[test]
fn a_keeper_compacts_stops_at_once_and_can_be_started_again() {
    let (directory, gallery) = enrolled(LONG, 2 << 20);
    let gallery = Arc::new(gallery);
    let expected = contents(&gallery, "c");
    let idle = Keeper::start(Arc::clone(&gallery)).unwrap();
    drop(idle);
    let keeper = Keeper::start(Arc::clone(&gallery)).unwrap();
    wait_until("a compaction", || is_compacting(directory.path()));
    drop(keeper);
    // It was stopped, not waited for, and nothing of it is left.
    assert_eq!(gallery.metrics().compactions, 0);
    assert!(!is_compacting(directory.path()));
    let keeper = Keeper::start(Arc::clone(&gallery)).unwrap();
    wait_until("the whole compaction", || {
        gallery.metrics().compactions == 1
    });
    drop(keeper);
    assert_eq!(contents(&gallery, "c"), expected);
    let gallery = Arc::into_inner(gallery).unwrap();
    assert_eq!(reopened(gallery, directory.path()), expected);
}
