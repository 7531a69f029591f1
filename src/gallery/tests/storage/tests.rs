//! The machinery itself.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::gallery::storage::{Access, Slow, Storage, StorageFile};

const A: &str = "/d/a";
const B: &str = "/d/b";

/// A directory `/d`, durable.
fn storage() -> Recorded {
    let storage = Recorded::new();
    storage.create_directory(Path::new("/d")).unwrap();
    storage.sync_directory(Path::new("/")).unwrap();
    storage
}

/// What each image has under a path, each state once.
fn states(storage: &Recorded, path: &str) -> Vec<Option<Vec<u8>>> {
    let recording = storage.recording();
    let images = recording.images(recording.events.len(), 7, 200);
    let mut states: Vec<_> = images.map(|i| read(&i.storage(), path)).collect();
    states.sort();
    states.dedup();
    states
}

fn read(storage: &Recorded, path: &str) -> Option<Vec<u8>> {
    let file = storage.open(Path::new(path), Access::Read).ok()?;
    let mut bytes = vec![0; file.length().unwrap() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(*file.map().unwrap(), *bytes);
    Some(bytes)
}

fn written(storage: &Recorded, path: &str, bytes: &[u8]) -> Arc<dyn StorageFile> {
    let file = storage.create(Path::new(path)).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

#[test]
fn what_was_not_synced_may_be_lost_and_what_was_is_not() {
    let storage = storage();
    let some = |bytes: &[u8]| Some(bytes.to_vec());
    let file = written(&storage, A, b"old");
    let in_file = [some(b""), some(b"\0\0\0"), some(b"old")];
    assert_eq!(states(&storage, A)[0], None);
    assert_eq!(states(&storage, A)[1..], in_file);
    storage.sync_directory(Path::new("/d")).unwrap();
    assert_eq!(states(&storage, A), in_file);
    file.sync_data().unwrap();
    assert_eq!(states(&storage, A), [some(b"old")]);
    file.write_all_at(b"new", 1).unwrap();
    let in_file = [some(b"old"), some(b"old\0"), some(b"onew")];
    assert_eq!(states(&storage, A), in_file);
    file.sync_all().unwrap();
    assert_eq!(states(&storage, A), [some(b"onew")]);
    file.set_length(1).unwrap();
    assert_eq!(states(&storage, A), [some(b"o"), some(b"onew")]);
}

#[test]
fn of_a_torn_write_any_sectors_are_there_and_the_length_may_be_ahead() {
    let storage = storage();
    let file = written(&storage, A, &[]);
    file.sync_data().unwrap();
    storage.sync_directory(Path::new("/d")).unwrap();
    file.write_all_at(&[1; 1124], 400).unwrap();
    let states = states(&storage, A);
    for state in states.iter().flatten() {
        for piece in [400..512, 512..1024, 1024..1524] {
            let there = &state[piece.start.min(state.len())..piece.end.min(state.len())];
            assert!(
                there.windows(2).all(|w| w[0] == w[1]),
                "torn inside a sector"
            );
        }
    }
    let mut found: Vec<(usize, [u8; 3])> = (states.iter().flatten())
        .map(|s| {
            (
                s.len(),
                [400, 512, 1024].map(|at| s.get(at).copied().unwrap_or(9)),
            )
        })
        .collect();
    found.sort_unstable();
    let expected = [
        (0, [9, 9, 9]),
        (512, [1, 9, 9]),
        (1024, [0, 1, 9]),
        (1024, [1, 1, 9]),
        (1524, [0, 0, 0]),
        (1524, [0, 0, 1]),
        (1524, [0, 1, 0]),
        (1524, [0, 1, 1]),
        (1524, [1, 0, 0]),
        (1524, [1, 0, 1]),
        (1524, [1, 1, 0]),
        (1524, [1, 1, 1]),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_rename_is_lost_or_done_until_its_directory_is_synced() {
    let storage = storage();
    written(&storage, A, b"new").sync_data().unwrap();
    written(&storage, B, b"old").sync_data().unwrap();
    storage.sync_directory(Path::new("/d")).unwrap();
    storage.rename(Path::new(A), Path::new(B)).unwrap();
    let recording = storage.recording();
    for image in recording.images(recording.events.len(), 1, 50) {
        let both = (read(&image.storage(), A), read(&image.storage(), B));
        let new = Some(b"new".to_vec());
        assert!(
            both == (None, new.clone()) || both == (new, Some(b"old".to_vec())),
            "{both:?}"
        );
    }
    assert_eq!(states(&storage, A), [None, Some(b"new".to_vec())]);
    storage.sync_directory(Path::new("/d")).unwrap();
    assert_eq!(states(&storage, A), [None]);
    assert_eq!(states(&storage, B), [Some(b"new".to_vec())]);
}

#[test]
fn a_file_renamed_into_place_unsynced_may_be_there_and_empty() {
    let storage = storage();
    written(&storage, A, b"new");
    storage.rename(Path::new(A), Path::new(B)).unwrap();
    assert_eq!(
        states(&storage, B),
        [None, Some(vec![]), Some(vec![0; 3]), Some(b"new".to_vec())]
    );
    storage.sync_directory(Path::new("/d")).unwrap();
    assert_eq!(
        states(&storage, B),
        [Some(vec![]), Some(vec![0; 3]), Some(b"new".to_vec())]
    );
}

#[test]
fn a_file_has_never_two_names_and_never_none() {
    let storage = storage();
    written(&storage, A, b"x").sync_data().unwrap();
    storage.sync_directory(Path::new("/d")).unwrap();
    storage.rename(Path::new(A), Path::new(B)).unwrap();
    storage.rename(Path::new(B), Path::new("/c")).unwrap();
    storage.rename(Path::new("/c"), Path::new("/e")).unwrap();
    let recording = storage.recording();
    let mut seen = [false; 4];
    for image in recording.images(recording.events.len(), 3, 100) {
        let storage = image.storage();
        let found = [A, B, "/c", "/e"].map(|path| read(&storage, path).is_some());
        assert_eq!(found.iter().filter(|found| **found).count(), 1, "{found:?}");
        for i in 0..4 {
            seen[i] |= found[i];
        }
    }
    assert_eq!(seen, [true; 4]);
    // Out of one directory into another: both must be synced.
    storage.sync_directory(Path::new("/")).unwrap();
    storage.sync_directory(Path::new("/d")).unwrap();
    storage.rename(Path::new("/e"), Path::new(A)).unwrap();
    storage.sync_directory(Path::new("/d")).unwrap();
    assert_eq!(states(&storage, A), [None, Some(b"x".to_vec())]);
    storage.sync_directory(Path::new("/")).unwrap();
    assert_eq!(states(&storage, A), [Some(b"x".to_vec())]);
}

#[test]
fn removed_files_may_come_back_and_open_ones_stay_readable() {
    let storage = storage();
    let file = written(&storage, A, b"x");
    file.sync_data().unwrap();
    storage.sync_directory(Path::new("/d")).unwrap();
    storage.remove_file(Path::new(A)).unwrap();
    assert_eq!(file.length().unwrap(), 1);
    assert!(storage.open(Path::new(A), Access::Read).is_err());
    assert_eq!(states(&storage, A), [None, Some(b"x".to_vec())]);
    storage.sync_directory(Path::new("/d")).unwrap();
    assert_eq!(states(&storage, A), [None]);
}

#[test]
fn a_directory_goes_name_by_name() {
    let storage = storage();
    for path in [A, B] {
        written(&storage, path, b"x").sync_data().unwrap();
    }
    storage.sync_directory(Path::new("/d")).unwrap();
    storage.remove_directory(Path::new("/d")).unwrap();
    assert!(storage.entries(Path::new("/d")).is_err());
    let recording = storage.recording();
    let mut left: Vec<Option<usize>> = recording
        .images(recording.events.len(), 3, 100)
        .map(|image| {
            image
                .storage()
                .entries(Path::new("/d"))
                .ok()
                .map(|e| e.len())
        })
        .collect();
    left.sort_unstable();
    left.dedup();
    assert_eq!(left, [None, Some(0), Some(1), Some(2)]);
}

#[test]
fn a_second_sync_proves_nothing_of_what_the_first_one_refused() {
    let storage = storage();
    let file = written(&storage, A, b"a");
    file.sync_data().unwrap();
    storage.sync_directory(Path::new("/d")).unwrap();
    file.write_all_at(b"b", 1).unwrap();
    Recorded::with_failing_syncs(|| file.sync_data()).unwrap_err();
    file.sync_data().unwrap();
    let maybe = [
        Some(b"a".to_vec()),
        Some(b"a\0".to_vec()),
        Some(b"ab".to_vec()),
    ];
    assert_eq!(states(&storage, A), maybe);
    assert_eq!(read(&storage, A), maybe[2]);
    file.write_all_at(b"c", 2).unwrap();
    file.sync_data().unwrap();
    assert_eq!(
        states(&storage, A),
        [Some(b"a\0c".to_vec()), Some(b"abc".to_vec())]
    );
    file.set_length(1).unwrap();
    file.sync_data().unwrap();
    assert_eq!(states(&storage, A), [Some(b"a".to_vec())]);
}

#[test]
fn after_a_failed_sync_the_unsynced_bytes_can_be_gone_for_readers_too() {
    let storage = storage().after_failed_sync_drop();
    let file = written(&storage, A, b"a");
    file.sync_data().unwrap();
    storage.sync_directory(Path::new("/d")).unwrap();
    file.write_all_at(b"bb", 1).unwrap();
    Recorded::with_failing_syncs(|| file.sync_data()).unwrap_err();
    assert_eq!(read(&storage, A), Some(b"a\0\0".to_vec()));
    assert_eq!(
        states(&storage, A),
        [Some(b"a".to_vec()), Some(b"a\0\0".to_vec())]
    );
}

#[test]
fn a_killed_process_leaves_all_to_read_and_nothing_durable() {
    let storage = storage();
    written(&storage, A, b"x");
    let killed = Recorded::replayed(storage.recording());
    assert_eq!(read(&killed, A), Some(b"x".to_vec()));
    assert!(states(&killed, A).contains(&None));
    killed
        .open(Path::new(A), Access::Read)
        .unwrap()
        .sync_data()
        .unwrap();
    killed.sync_directory(Path::new("/d")).unwrap();
    assert_eq!(states(&killed, A), [Some(b"x".to_vec())]);
}

#[test]
fn the_chosen_call_fails_and_no_other() {
    let all = |failing: &Failing| {
        let file = failing.create(Path::new(A))?;
        file.write_all_at(b"1234", 0)?;
        file.sync_data()?;
        file.write_all_at(b"5678", 4)?;
        file.set_length(6)?;
        failing.rename(Path::new(A), Path::new(B))?;
        failing.sync_directory(Path::new("/d"))?;
        failing.remove_file(Path::new(B))
    };
    let counted = Failing::new(Arc::new(storage()));
    all(&counted).unwrap();
    assert_eq!(counted.count(None), 8);
    let kinds = Kind::ALL.map(|kind| counted.count(Some(kind)));
    assert_eq!(kinds, [0, 2, 1, 1, 1, 1, 2]);
    for (kind, calls) in Kind::ALL
        .map(Some)
        .into_iter()
        .zip(kinds)
        .chain([(None, 8)])
    {
        for at in 0..calls {
            let failing = Failing::new(Arc::new(storage())).fail(kind, at, Fault::Once(libc::EIO));
            let error = all(&failing).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EIO));
            assert_eq!((failing.count(kind), failing.failed()), (at + 1, 1));
            all(&failing).unwrap();
        }
        let failing = Failing::new(Arc::new(storage())).fail(kind, calls, Fault::From(libc::EIO));
        all(&failing).unwrap();
        if calls > 0 {
            all(&failing).unwrap_err();
            all(&failing).unwrap_err();
            failing.heal();
            all(&failing).unwrap();
        }
    }
}

#[test]
fn a_full_disk_takes_a_part_and_frees_and_heals() {
    let storage = storage();
    let full = Failing::new(Arc::new(storage.clone())).fail(Some(Kind::Write), 1, Fault::Full);
    let file = full.create(Path::new(A)).unwrap();
    file.write_all_at(b"1234", 0).unwrap();
    let error = file.write_all_at(b"5678", 4).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(read(&storage, A), Some(b"123456".to_vec()));
    file.set_length(4).unwrap();
    file.sync_data().unwrap();
    full.heal();
    file.write_all_at(b"5678", 4).unwrap();
    assert_eq!(full.failed(), 1);
    let full = full.fail(None, 0, Fault::Full);
    assert!(full.create(Path::new(B)).is_err());
    assert!(full.create_directory(Path::new("/e")).is_err());
    assert!(file.set_length(9).is_err());
    full.rename(Path::new(A), Path::new(B)).unwrap();
    full.sync_directory(Path::new("/d")).unwrap();
    full.remove_file(Path::new(B)).unwrap();
}

#[test]
fn slow_syncs_wait_and_are_counted() {
    let wait = Duration::from_millis(20);
    let slow = Slow::new(Arc::new(storage()), wait);
    let begin = Instant::now();
    let file = slow.create(Path::new(A)).unwrap();
    file.write_all_at(b"1234", 0).unwrap();
    let counts = slow.counts();
    assert_eq!((counts.file_syncs, counts.directory_syncs), (0, 0));
    file.sync_data().unwrap();
    file.sync_all().unwrap();
    slow.sync_directory(Path::new("/d")).unwrap();
    assert!(begin.elapsed() >= wait * 3);
    let counts = slow.counts();
    assert_eq!((counts.file_syncs, counts.directory_syncs), (2, 1));
    assert_eq!((counts.writes, counts.bytes_written), (1, 4));
}
