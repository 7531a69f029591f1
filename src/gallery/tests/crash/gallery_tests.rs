//! The gallery survives.

use std::ops::Range;

use super::clients::assert_survives_clients;
use super::errors::{
    assert_history_withstands_errors, assert_withstands_a_full_disk, assert_withstands_errors,
};
use super::operation::Operation;
use super::power::{Settings, assert_survives, survives};
use crate::gallery::Gallery;

/// Long enough for several compactions.
const LENGTH: usize = 24;

/// In parts, so that they run side by side.
fn power_cuts(seeds: Range<u64>) {
    let counts = assert_survives::<Gallery>(seeds, LENGTH, Settings::USUAL);
    assert!(counts.images > 30_000, "{counts:?}");
}

#[test]
fn power_cuts_0() {
    power_cuts(0..20);
}

#[test]
fn power_cuts_1() {
    power_cuts(20..40);
}

#[test]
fn power_cuts_2() {
    power_cuts(40..60);
}

#[test]
fn power_cuts_3() {
    power_cuts(60..80);
}

#[test]
fn power_cuts_among_concurrent_clients() {
    for seed in 0..6 {
        assert_survives_clients::<Gallery>(seed, 4, 8, Settings::USUAL);
    }
}

#[test]
fn errors_at_every_call() {
    for seed in 0..4 {
        assert_withstands_errors::<Gallery>(seed, 14);
    }
}

#[test]
fn a_full_disk_at_every_call() {
    for seed in 0..8 {
        assert_withstands_a_full_disk::<Gallery>(seed, 14);
    }
}

/// As many seeds as `RECOCOMP_TEST_SEEDS` says: for a night.
#[test]
#[ignore = "takes as long as it is told to"]
fn a_long_search() {
    let seeds = std::env::var("RECOCOMP_TEST_SEEDS").map_or(100, |text| text.parse().unwrap());
    assert_survives::<Gallery>(1000..1000 + seeds, LENGTH, Settings::USUAL);
    for seed in 1000..1000 + seeds / 10 {
        assert_survives_clients::<Gallery>(seed, 4, 12, Settings::USUAL);
        assert_withstands_errors::<Gallery>(seed, 20);
        assert_withstands_a_full_disk::<Gallery>(seed, 20);
    }
}

fn insert(name: &str, target: &str, number: u32) -> Operation {
    Operation::Insert(name.into(), vec![(target.into(), number)])
}

/// What the next process finds may not be durable yet. Whether it builds on that or takes away what it replaces, it has to make it
/// durable first.
fn killed_everywhere(operations: &[Operation]) {
    let settings = Settings {
        kill_every: 1,
        ..Settings::USUAL
    };
    survives::<Gallery>(operations, 0, settings).unwrap_or_else(|e| panic!("{operations:?}\n{e}"));
}

#[test]
fn killed_while_creating() {
    killed_everywhere(&[Operation::Create("a".into()), insert("a", "p1", 1)]);
}

#[test]
fn killed_while_compacting() {
    let (create, compact) = (
        Operation::Create("a".into()),
        Operation::Compact("a".into()),
    );
    killed_everywhere(&[create, insert("a", "p1", 1), compact, insert("a", "p2", 2)]);
}

#[test]
fn killed_while_clearing() {
    let (create, clear) = (Operation::Create("a".into()), Operation::Clear("a".into()));
    killed_everywhere(&[create, insert("a", "p1", 1), clear, insert("a", "p2", 2)]);
}

#[test]
fn killed_while_deleting() {
    let create = || Operation::Create("a".into());
    let compact = Operation::Compact("a".into());
    let delete = Operation::Delete("a".into());
    let enrolled = [insert("a", "p1", 1), compact, insert("a", "p2", 2)];
    let operations = [&[create()], &enrolled[..], &[delete, create()]].concat();
    killed_everywhere(&operations);
}

/// What is left of a creation that failed must not hide the one that succeeded later.
#[test]
fn errors_while_creating() {
    let create = || Operation::Create("a".into());
    let insert = insert("a", "p1", 1);
    let again = [create(), create(), create(), create(), create(), insert];
    assert_history_withstands_errors::<Gallery>(&again, 0);
}
