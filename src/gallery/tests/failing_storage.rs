//! A storage that refuses: nothing acknowledged is lost, nothing refused is kept, searching goes on. And what syncs are spent on.

use std::thread;
use std::time::Duration;

use super::storage::{Failing, Fault, Kind, Recorded};
use super::*;
use crate::gallery::GalleryError;
use crate::gallery::storage::{Slow, Storage};

fn open_on(storage: &Arc<dyn Storage>) -> Gallery {
    Gallery::open_on(Arc::clone(storage), Path::new("/"), options()).unwrap()
}

/// A gallery with `anna` and `ben` in `c`, on a storage that fails on demand and is otherwise that of the second.
fn enrolled() -> (Failing, Recorded, Gallery) {
    let recorded = Recorded::new();
    let failing = Failing::new(Arc::new(recorded.clone()));
    let storage: Arc<dyn Storage> = Arc::new(failing.clone());
    let gallery = open_on(&storage);
    gallery.create("c").unwrap();
    gallery.insert("c", items(&[("anna", 1)])).unwrap();
    gallery.insert("c", items(&[("ben", 2)])).unwrap();
    (failing, recorded, gallery)
}

/// The next call of this kind fails.
fn fail_next(failing: &Failing, kind: Kind, fault: Fault) {
    let _ = failing
        .clone()
        .fail(Some(kind), failing.count(Some(kind)), fault);
}

/// What a process that comes after this one finds.
fn reopened(recorded: &Recorded) -> Contents {
    let storage: Arc<dyn Storage> = Arc::new(Recorded::replayed(recorded.recording()));
    let gallery = open_on(&storage);
    assert_eq!(gallery.warnings(), []);
    contents(&gallery, "c")
}

fn is_storage(error: &GalleryError) -> bool {
    matches!(error, GalleryError::Storage { .. })
}

fn searches_go_on(gallery: &Gallery) {
    let found = gallery.search("c", &template(2), 1).unwrap();
    assert_eq!(found[0].target, "ben");
}

#[test]
fn an_append_that_fails_is_undone_and_the_next_one_goes_through() {
    let (failing, recorded, gallery) = enrolled();
    // Thrice: nothing, half and all of the record went into the file all the same.
    for round in 0..3 {
        let before = contents(&gallery, "c");
        fail_next(&failing, Kind::Write, Fault::Once(libc::EIO));
        let refused = format!("refused-{round}");
        let error = gallery.insert("c", items(&[(&refused, 3)])).unwrap_err();
        assert!(is_storage(&error), "{error}");
        assert_eq!(contents(&gallery, "c"), before);
        assert_eq!(reopened(&recorded), before);
        assert_eq!(gallery.warnings(), []);
        let next = format!("next-{round}");
        gallery.insert("c", items(&[(&next, 4)])).unwrap();
        assert_eq!(contents(&gallery, "c").len(), before.len() + 1);
        assert_eq!(reopened(&recorded), contents(&gallery, "c"));
    }
    assert_eq!(failing.failed(), 3);
    assert_eq!(gallery.metrics().compactions, 0);
}

#[test]
fn after_a_failed_sync_a_new_generation_takes_over_at_the_next_change() {
    let (failing, recorded, gallery) = enrolled();
    let before = contents(&gallery, "c");
    fail_next(&failing, Kind::Sync, Fault::Once(libc::EIO));
    let error = gallery.insert("c", items(&[("refused", 3)])).unwrap_err();
    assert!(is_storage(&error), "{error}");
    assert_eq!(contents(&gallery, "c"), before);
    assert!(gallery.status("c").unwrap().warning.is_some());
    searches_go_on(&gallery);
    gallery.insert("c", items(&[("next", 4)])).unwrap();
    assert_eq!(gallery.metrics().compactions, 1);
    assert_eq!(gallery.status("c").unwrap().warning, None);
    let after = contents(&gallery, "c");
    assert!(after.contains_key("next") && !after.contains_key("refused"));
    assert_eq!(after.len(), 3);
    assert_eq!(reopened(&recorded), after);
}

/// Syncs keep failing for a while, so that the record cannot be cut off either and the first attempts to heal fail as well.
#[test]
fn while_every_sync_fails_changes_are_refused_and_then_go_on() {
    let (failing, recorded, gallery) = enrolled();
    let before = contents(&gallery, "c");
    fail_next(&failing, Kind::Sync, Fault::From(libc::EIO));
    let refused = |result: Result<(), GalleryError>| {
        let error = result.unwrap_err();
        assert!(
            is_storage(&error) || matches!(error, GalleryError::ReadOnly { .. }),
            "{error}"
        );
        assert_eq!(contents(&gallery, "c"), before);
        searches_go_on(&gallery);
    };
    refused(gallery.insert("c", items(&[("refused", 3)])).map(drop));
    refused(gallery.insert("c", items(&[("refused", 3)])).map(drop));
    refused(gallery.update("c", items(&[("anna", 3)])).map(drop));
    refused(gallery.remove_target("c", "anna"));
    assert!(gallery.compact("c").is_err());
    refused(Err(gallery
        .insert("c", items(&[("refused", 3)]))
        .unwrap_err()));
    failing.heal();
    // A compaction that is asked for does not wait for the time to try again.
    gallery.compact("c").unwrap();
    gallery.insert("c", items(&[("next", 4)])).unwrap();
    let after = contents(&gallery, "c");
    assert_eq!(after.len(), 3);
    assert_eq!(reopened(&recorded), after);
    assert_eq!(gallery.status("c").unwrap().warning, None);
}

/// In the tests nobody waits for the time to try again; here several attempts fail first.
#[test]
fn a_collection_heals_by_itself_with_the_next_change_once_the_storage_works() {
    let (failing, recorded, gallery) = enrolled();
    fail_next(&failing, Kind::Sync, Fault::From(libc::EIO));
    for _ in 0..4 {
        gallery.insert("c", items(&[("refused", 3)])).unwrap_err();
    }
    failing.heal();
    gallery.insert("c", items(&[("next", 4)])).unwrap();
    let after = contents(&gallery, "c");
    assert_eq!(after.len(), 3);
    assert!(!after.contains_key("refused"));
    assert_eq!(gallery.status("c").unwrap().warning, None);
    assert_eq!(reopened(&recorded), after);
}

/// A failed sync, then a new generation that has its name but cannot be relied on: clearing takes it along.
/// Everyone is in the new generation already: only the old files have to go.
#[test]
fn old_files_that_could_not_be_erased_go_later_without_another_generation() {
    let (failing, recorded, gallery) = enrolled();
    gallery.update("c", items(&[("anna", 5)])).unwrap();
    let left = || -> usize {
        let directory = Path::new("/").join(gallery.collection("c").uuid().to_string());
        recorded.entries(&directory).unwrap().len()
    };
    for by_day in [true, false] {
        fail_next(&failing, Kind::Remove, Fault::Once(libc::EIO));
        assert!(is_storage(&gallery.compact("c").unwrap_err()));
        assert_eq!(left(), if by_day { 3 } else { 4 });
        let compactions = gallery.metrics().compactions;
        match by_day {
            true => assert_eq!(gallery.erase_removed().unwrap(), 0),
            false => assert_eq!(gallery.tend(), 0),
        }
        assert_eq!(left(), 2);
        assert_eq!(gallery.metrics().compactions, compactions);
    }
    assert_eq!(reopened(&recorded), contents(&gallery, "c"));
}

#[test]
fn clearing_after_failed_attempts_leaves_no_generation_behind() {
    let steps = 40;
    for step in 0..steps {
        let (failing, recorded, gallery) = enrolled();
        fail_next(&failing, Kind::Sync, Fault::Once(libc::EIO));
        gallery.insert("c", items(&[("refused", 3)])).unwrap_err();
        let _ = failing
            .clone()
            .fail(None, failing.count(None) + step, Fault::From(libc::EIO));
        let _ = gallery.compact("c");
        failing.heal();
        gallery.clear("c").unwrap();
        assert_eq!(
            files_of(&recorded).len(),
            1,
            "{step}: {:?}",
            files_of(&recorded)
        );
        gallery.insert("c", items(&[("next", 4)])).unwrap();
        assert_eq!(reopened(&recorded).len(), 1);
    }
}

/// What lies in the collection's directory.
fn files_of(recorded: &Recorded) -> Vec<String> {
    let root = Path::new("/");
    let directory = root.join(&recorded.entries(root).unwrap()[0].name);
    let files = recorded.entries(&directory).unwrap();
    files.into_iter().map(|entry| entry.name).collect()
}

#[test]
fn a_full_disk_refuses_changes_and_takes_them_once_there_is_room() {
    let (failing, recorded, gallery) = enrolled();
    let before = contents(&gallery, "c");
    let _ = failing.clone().fail(None, failing.count(None), Fault::Full);
    for _ in 0..3 {
        let error = gallery.insert("c", items(&[("refused", 3)])).unwrap_err();
        assert!(is_storage(&error), "{error}");
        assert!(is_storage(
            &gallery.update("c", items(&[("anna", 3)])).unwrap_err()
        ));
        assert!(is_storage(&gallery.compact("c").unwrap_err()));
        assert!(is_storage(&gallery.create("d").unwrap_err()));
        assert!(is_storage(&gallery.clear("c").unwrap_err()));
        searches_go_on(&gallery);
        assert_eq!(contents(&gallery, "c"), before);
    }
    assert_eq!(reopened(&recorded), before);
    failing.heal();
    gallery.insert("c", items(&[("next", 4)])).unwrap();
    gallery.compact("c").unwrap();
    gallery.create("d").unwrap();
    assert_eq!(gallery.warnings(), []);
    let after = contents(&gallery, "c");
    assert_eq!(after.len(), 3);
    assert_eq!(reopened(&recorded), after);
}

/// Every call of a compaction in turn fails, once or for good: everyone is there at once, after it, and for the next process.
#[test]
fn a_failure_at_any_step_of_a_compaction_leaves_everything_usable() {
    let (counted, _, gallery) = enrolled();
    let first = counted.count(None);
    gallery.compact("c").unwrap();
    let last = counted.count(None);
    assert!(last - first > 20);
    for step in first..last {
        for fault in [Fault::Once(libc::EIO), Fault::From(libc::EIO), Fault::Full] {
            let (failing, recorded, gallery) = enrolled();
            let before = contents(&gallery, "c");
            assert_eq!(failing.count(None), first);
            let _ = failing.clone().fail(None, step, fault);
            let result = gallery.compact("c");
            let context = format!("{fault:?} at {}: {result:?}", step - first);
            assert_eq!(contents(&gallery, "c"), before, "{context}");
            searches_go_on(&gallery);
            // A change meanwhile is either stored or not.
            let mut expected = before.clone();
            if gallery.insert("c", items(&[("meanwhile", 5)])).is_ok() {
                expected.insert("meanwhile".to_owned(), vec![template(5).to_bits()]);
            }
            assert_eq!(contents(&gallery, "c"), expected, "{context}");
            failing.heal();
            // A process that is killed now may leave a refused change that could not be cut off again.
            let mut found = reopened(&recorded);
            if !expected.contains_key("meanwhile") {
                found.remove("meanwhile");
            }
            assert_eq!(found, expected, "{context}");
            gallery.compact("c").expect(&context);
            assert_eq!(contents(&gallery, "c"), expected, "{context}");
            gallery.insert("c", items(&[("next", 4)])).expect(&context);
            expected.insert("next".to_owned(), vec![template(4).to_bits()]);
            assert_eq!(contents(&gallery, "c"), expected, "{context}");
            assert_eq!(reopened(&recorded), expected, "{context}");
            assert_eq!(gallery.status("c").unwrap().warning, None, "{context}");
        }
    }
}

/// The same for emptying a collection: afterwards it holds everyone or nobody, and after the next try nobody, in no file.
#[test]
fn a_failure_at_any_step_of_clearing_leaves_all_or_nobody() {
    let steps = {
        let (counted, _, gallery) = enrolled();
        let first = counted.count(None);
        gallery.clear("c").unwrap();
        first..counted.count(None)
    };
    for step in steps {
        let (failing, recorded, gallery) = enrolled();
        let before = contents(&gallery, "c");
        let _ = failing.clone().fail(None, step, Fault::Once(libc::EIO));
        let _ = gallery.clear("c");
        let now = contents(&gallery, "c");
        assert!(now.is_empty() || now == before, "{step}");
        gallery.clear("c").unwrap();
        assert_eq!(reopened(&recorded), Contents::new());
        assert_eq!(
            files_of(&recorded).len(),
            1,
            "{step}: {:?}",
            files_of(&recorded)
        );
        gallery.insert("c", items(&[("next", 4)])).unwrap();
        assert_eq!(reopened(&recorded).len(), 1);
    }
}

const SYNC: Duration = Duration::from_millis(5);

fn slow() -> (Arc<Slow>, Gallery) {
    let slow = Arc::new(Slow::new(Arc::new(Recorded::new()), SYNC));
    let storage: Arc<dyn Storage> = Arc::clone(&slow) as Arc<dyn Storage>;
    let gallery = open_on(&storage);
    gallery.create("c").unwrap();
    (slow, gallery)
}

#[test]
fn changes_that_come_together_share_syncs() {
    let (slow, gallery) = slow();
    let before = slow.counts().file_syncs;
    thread::scope(|scope| {
        for thread in 0..8_u32 {
            let gallery = &gallery;
            scope.spawn(move || {
                for i in 0..50 {
                    let target = format!("{thread}-{i}");
                    let report = gallery
                        .insert("c", items(&[(&target, thread * 50 + i)]))
                        .unwrap();
                    assert_eq!(report.stored, 1);
                    // Acknowledged is found.
                    assert!(gallery.contains_target("c", &target).unwrap());
                }
            });
        }
    });
    let syncs = slow.counts().file_syncs - before;
    let metrics = gallery.metrics();
    assert_eq!(metrics.commits, 400);
    assert_eq!(metrics.commit_syncs, syncs);
    // One thread needs one each. Eight that wait for each other share one at best.
    assert!(
        (50..=400 / 3).contains(&syncs),
        "{syncs} syncs for 400 changes"
    );
    assert_eq!(contents(&gallery, "c").len(), 400);
}

#[test]
fn one_thread_syncs_each_change_and_a_batch_once() {
    let (slow, gallery) = slow();
    let before = slow.counts();
    for i in 0..20 {
        gallery
            .insert("c", items(&[(&format!("p{i}"), i)]))
            .unwrap();
    }
    assert_eq!(slow.counts().file_syncs - before.file_syncs, 20);
    let batch = (0..500).map(|i| (format!("b{i}"), template(100 + i)));
    gallery.insert("c", batch.collect()).unwrap();
    assert_eq!(slow.counts().file_syncs - before.file_syncs, 21);
    assert_eq!(slow.counts().directory_syncs, before.directory_syncs);
    assert_eq!(slow.counts().writes - before.writes, 21);
    // What changes nothing costs nothing.
    gallery.update("c", items(&[("nobody", 1)])).unwrap();
    gallery.remove_target("c", "nobody").unwrap_err();
    assert_eq!(slow.counts().file_syncs - before.file_syncs, 21);
}

/// The record of one batch would be larger than 64 MiB; the others are written without it.
#[test]
fn a_batch_that_is_too_large_does_not_fail_the_others() {
    let (_, gallery) = slow();
    let giant = "g".repeat(1 << 20);
    thread::scope(|scope| {
        for thread in 0..4_u32 {
            let gallery = &gallery;
            let giant = &giant;
            scope.spawn(move || {
                for i in 0..5 {
                    if thread == 0 {
                        let items = (0..65).map(|n| (format!("{giant}{n}"), template(n)));
                        let error = gallery.insert("c", items.collect()).unwrap_err();
                        assert!(
                            matches!(error, GalleryError::BatchTooLarge { .. }),
                            "{error}"
                        );
                    } else {
                        let target = format!("{thread}-{i}");
                        assert_eq!(
                            gallery.insert("c", items(&[(&target, i)])).unwrap().stored,
                            1
                        );
                    }
                }
            });
        }
    });
    assert_eq!(contents(&gallery, "c").len(), 15);
    assert_eq!(gallery.metrics().commits, 15);
}
