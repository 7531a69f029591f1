//! The machinery finds every bug of the toy, and none where there is none.

use super::clients::assert_survives_clients;
use super::errors::{assert_withstands_a_full_disk, assert_withstands_errors};
use super::operation::history;
use super::power::{Settings, assert_survives, survives};
use super::toy::{Bug, Toy};

const LENGTH: usize = 12;

#[test]
fn the_right_toy_survives_every_power_cut() {
    let counts = assert_survives::<Toy<{ Bug::None as u8 }>>(0..60, LENGTH, Settings::USUAL);
    assert!(counts.images > 10_000, "{counts:?}");
}

#[test]
fn the_right_toy_survives_with_concurrent_clients() {
    for seed in 0..3 {
        let counts =
            assert_survives_clients::<Toy<{ Bug::None as u8 }>>(seed, 4, 8, Settings::USUAL);
        assert!(counts.images > 500, "{counts:?}");
    }
}

#[test]
fn the_right_toy_withstands_errors_and_a_full_disk() {
    for seed in 0..4 {
        let counts = assert_withstands_errors::<Toy<{ Bug::None as u8 }>>(seed, LENGTH);
        assert!(counts.refused > 100, "{counts:?}");
        let counts = assert_withstands_a_full_disk::<Toy<{ Bug::None as u8 }>>(seed, LENGTH);
        assert!(counts.refused > 20, "{counts:?}");
    }
}

/// How many of ten histories show the bug.
fn seen<const BUG: u8>() -> usize {
    (0..10)
        .filter(|&seed| {
            survives::<Toy<BUG>>(&history(seed, LENGTH), seed, Settings::USUAL).is_err()
        })
        .count()
}

#[test]
fn an_append_without_a_sync_is_found() {
    assert_eq!(seen::<{ Bug::AppendSync as u8 }>(), 10);
}

#[test]
fn a_file_renamed_into_place_without_a_sync_is_found() {
    assert!(seen::<{ Bug::FileSync as u8 }>() > 5);
}

#[test]
fn a_directory_synced_before_the_file_is_found() {
    assert!(seen::<{ Bug::DirectoryFirst as u8 }>() > 5);
}

#[test]
fn a_rename_without_a_sync_of_the_directory_is_found() {
    assert!(seen::<{ Bug::DirectorySync as u8 }>() > 5);
}

#[test]
fn a_torn_record_that_is_believed_is_found() {
    assert!(seen::<{ Bug::Checksum as u8 }>() > 5);
}

#[test]
fn a_record_behind_a_torn_one_is_found() {
    assert!(seen::<{ Bug::CutTail as u8 }>() > 5);
}

#[test]
fn half_a_batch_is_found() {
    assert!(seen::<{ Bug::Atomicity as u8 }>() > 5);
}

#[test]
fn building_on_what_is_not_durable_yet_is_found() {
    assert!(seen::<{ Bug::RecoverySync as u8 }>() > 0);
}

#[test]
#[should_panic(expected = "seed 0")]
fn a_refused_record_that_stays_is_found() {
    assert_withstands_errors::<Toy<{ Bug::Undo as u8 }>>(0, LENGTH);
}

#[test]
#[should_panic(expected = "seed 0")]
fn a_second_sync_that_is_believed_is_found() {
    assert_withstands_errors::<Toy<{ Bug::SecondSync as u8 }>>(0, LENGTH);
}

/// What is shown is short.
#[test]
#[should_panic(
    expected = "seed 3, in the history\n  Create(\"a\")\n  Insert(\"a\", [(\"p2\", 1), (\"p1\", 2)])\nafter event 12"
)]
fn the_history_that_is_shown_is_the_shortest() {
    assert_survives::<Toy<{ Bug::Atomicity as u8 }>>(3..4, LENGTH, Settings::USUAL);
}
