//! What is erased is in no file any more.

use std::time::Duration;

use super::*;

fn stored_bytes(seed: u32) -> Vec<u8> {
    template(seed)
        .to_bits()
        .iter()
        .flat_map(|bits| bits.to_le_bytes())
        .collect()
}

/// Files below `directory` that hold `needle`.
fn traces(directory: &Path, needle: &[u8]) -> Vec<PathBuf> {
    files_below(directory)
        .into_iter()
        .filter(|path| {
            let bytes = fs::read(path).unwrap();
            bytes.windows(needle.len()).any(|window| window == needle)
        })
        .collect()
}

fn enrolled() -> (tempfile::TempDir, Gallery) {
    let directory = scratch();
    let gallery = open(directory.path());
    gallery.create("c").unwrap();
    let batch = [
        ("anna-lang-genug", 1),
        ("ben-lang-genug", 2),
        ("anna-lang-genug", 3),
    ];
    gallery.insert("c", items(&batch)).unwrap();
    for seed in 1..=3 {
        assert_eq!(traces(directory.path(), &stored_bytes(seed)).len(), 1);
    }
    (directory, gallery)
}

#[test]
fn clear_erases_every_vector_and_every_name() {
    let (directory, gallery) = enrolled();
    gallery.clear("c").unwrap();
    for seed in 1..=3 {
        assert_eq!(traces(directory.path(), &stored_bytes(seed)).len(), 0);
    }
    assert!(traces(directory.path(), b"lang-genug").is_empty());
}

#[test]
fn removal_erases_the_persons_vectors_and_name_and_nobody_elses() {
    let (directory, gallery) = enrolled();
    gallery.remove_target("c", "anna-lang-genug").unwrap();
    assert!(traces(directory.path(), &stored_bytes(1)).is_empty());
    assert!(traces(directory.path(), &stored_bytes(3)).is_empty());
    assert!(traces(directory.path(), b"anna-lang").is_empty());
    assert_eq!(traces(directory.path(), &stored_bytes(2)).len(), 1);
    assert_eq!(gallery.erase_removed().unwrap(), 0);
}

#[test]
fn a_removed_feature_is_erased_and_the_persons_others_are_not() {
    let (directory, gallery) = enrolled();
    assert_eq!(
        gallery.remove_feature("c", "anna-lang-genug", 0).unwrap(),
        1
    );
    assert!(traces(directory.path(), &stored_bytes(1)).is_empty());
    assert_eq!(traces(directory.path(), &stored_bytes(3)).len(), 1);
    assert_eq!(
        gallery.remove_feature("c", "anna-lang-genug", 0).unwrap(),
        0
    );
    assert!(traces(directory.path(), b"anna-lang").is_empty());
    assert!(traces(directory.path(), &stored_bytes(3)).is_empty());
    assert_eq!(gallery.erase_removed().unwrap(), 0);
}

#[test]
fn the_old_name_of_somebody_renamed_is_erased() {
    let (directory, gallery) = enrolled();
    gallery
        .rename("c", "anna-lang-genug", "hanna-kurz", false)
        .unwrap();
    assert!(traces(directory.path(), b"anna-lang").is_empty());
    assert_eq!(traces(directory.path(), b"hanna-kurz").len(), 1);
    assert_eq!(traces(directory.path(), &stored_bytes(1)).len(), 1);
    assert_eq!(gallery.erase_removed().unwrap(), 0);
}

#[test]
fn delete_erases_every_vector() {
    let (directory, gallery) = enrolled();
    gallery.delete("c").unwrap();
    assert!(traces(directory.path(), &stored_bytes(1)).is_empty());
}

#[test]
fn what_an_update_replaced_goes_with_the_next_erasure() {
    let (directory, gallery) = enrolled();
    gallery
        .update("c", items(&[("anna-lang-genug", 4)]))
        .unwrap();
    assert_eq!(traces(directory.path(), &stored_bytes(1)).len(), 1);
    drop(gallery);
    let gallery = open(directory.path());
    assert_eq!(gallery.erase_removed().unwrap(), 1);
    assert!(traces(directory.path(), &stored_bytes(1)).is_empty());
    assert!(traces(directory.path(), &stored_bytes(3)).is_empty());
    assert_eq!(traces(directory.path(), &stored_bytes(4)).len(), 1);
    assert_eq!(gallery.erase_removed().unwrap(), 0);
}

#[test]
fn updates_alone_do_not_let_the_files_grow() {
    let (directory, gallery) = enrolled();
    for seed in 0..1000 {
        gallery
            .update("c", items(&[("ben-lang-genug", 100 + seed)]))
            .unwrap();
        gallery.tend();
    }
    let total: u64 = (files_below(directory.path()).iter())
        .map(|path| fs::metadata(path).unwrap().len())
        .sum();
    assert!(total < 140_000, "{total}");
}

/// Nobody can tell whose bytes are in the quarantine.
#[test]
fn an_erasure_empties_the_quarantine_too() {
    let (directory, gallery) = enrolled();
    drop(gallery);
    flip_in_journal(directory.path());
    let gallery = open(directory.path());
    gallery.insert("c", items(&[("carl", 7)])).unwrap();
    assert_eq!(traces(directory.path(), &stored_bytes(1)).len(), 1);
    gallery.remove_target("c", "carl").unwrap();
    assert!(traces(directory.path(), &stored_bytes(1)).is_empty());
}

/// Damages the last record.
fn flip_in_journal(gallery: &Path) {
    let journal = journal_path(gallery);
    let mut bytes = fs::read(&journal).unwrap();
    let last = bytes.len() - 100;
    bytes[last] ^= 1;
    fs::write(&journal, bytes).unwrap();
}

/// The erasure that follows every start must not take away what that start has found.
#[test]
fn what_is_set_aside_at_a_start_is_there_for_a_day() {
    let (directory, gallery) = enrolled();
    gallery
        .update("c", items(&[("anna-lang-genug", 4)]))
        .unwrap();
    gallery.insert("c", items(&[("carl", 7)])).unwrap();
    drop(gallery);
    flip_in_journal(directory.path());
    let gallery = open(directory.path());
    let copy = gallery.warnings()[0].quarantined.clone().unwrap();
    assert_eq!(gallery.erase_removed().unwrap(), 0);
    gallery.erase_old_quarantines();
    assert!(copy.exists());
    assert!(traces(directory.path(), &stored_bytes(1)).is_empty());

    let mark = copy.with_file_name("ERASE");
    let hours = |n: u64| (crate::gallery::clock::now() - n * 3_600_000).to_le_bytes();
    fs::write(&mark, hours(20)).unwrap();
    gallery.erase_old_quarantines();
    assert!(copy.exists());
    fs::write(&mark, hours(23)).unwrap();
    gallery.erase_old_quarantines();
    assert!(!copy.exists() && !mark.exists());
    assert_eq!(contents(&gallery, "c").len(), 2);
}

/// The damaged record was of somebody who left since: a later record says so.
#[test]
fn damaged_records_of_who_left_are_marked() {
    for somebody_left in [false, true] {
        let (directory, gallery) = enrolled();
        if somebody_left {
            let batch = items(&[("anna-lang-genug", 4)]);
            gallery.update("c", batch).unwrap();
        }
        drop(gallery);
        let journal = journal_path(directory.path());
        let mut bytes = fs::read(&journal).unwrap();
        let needle = stored_bytes(2);
        let place = bytes.windows(needle.len()).position(|w| w == needle);
        bytes[place.unwrap() + 7] ^= 1;
        fs::write(&journal, bytes).unwrap();
        let gallery = open(directory.path());
        let copy = gallery.warnings()[0].quarantined.clone().unwrap();
        assert_eq!(copy.with_file_name("ERASE").exists(), somebody_left);
        assert!(!copy.with_file_name(".tmp-ERASE").exists());
    }
}

/// Of an earlier release: it knew no time.
#[test]
fn a_mark_without_a_time_is_an_old_one() {
    let (directory, gallery) = enrolled();
    let quarantine = collection_directory(directory.path()).join("quarantine");
    fs::create_dir(&quarantine).unwrap();
    fs::write(quarantine.join("journal-1-bytes-1-to-2"), "x").unwrap();
    gallery.erase_old_quarantines();
    assert!(quarantine.exists());
    fs::write(quarantine.join("ERASE"), "").unwrap();
    gallery.erase_old_quarantines();
    assert!(!quarantine.exists());
}

#[test]
fn clear_empties_the_quarantine_too() {
    let (directory, gallery) = enrolled();
    drop(gallery);
    flip_in_journal(directory.path());
    let gallery = open(directory.path());
    let in_quarantine = traces(directory.path(), &stored_bytes(1));
    assert_eq!(in_quarantine.len(), 1);
    assert!(in_quarantine[0].to_string_lossy().contains("quarantine"));
    gallery.clear("c").unwrap();
    assert!(traces(directory.path(), &stored_bytes(1)).is_empty());
    assert_eq!(gallery.warnings(), []);
    assert_eq!(gallery.status("c").unwrap().warning, None);
}

/// Anna, Ben and a hundred others, who are erased together.
fn crowd(erased_within: Duration) -> (tempfile::TempDir, Gallery) {
    let (directory, gallery) = enrolled();
    drop(gallery);
    let options = Options {
        erased_within,
        ..options()
    };
    let gallery = Gallery::open(directory.path(), options).unwrap();
    for number in 0..100 {
        let guest = format!("guest-{number}");
        gallery
            .insert("c", items(&[(guest.as_str(), 100 + number)]))
            .unwrap();
    }
    (directory, gallery)
}

fn remove_guests(gallery: &Gallery, erased_within: Duration) {
    for number in 0..100 {
        gallery
            .remove_target("c", &format!("guest-{number}"))
            .unwrap();
    }
    assert_eq!(gallery.erased_within("c").unwrap(), erased_within);
}

#[test]
fn removals_that_come_together_share_one_generation() {
    let hour = Duration::from_secs(3600);
    let (directory, gallery) = crowd(hour);
    remove_guests(&gallery, hour);
    assert_eq!(gallery.tend(), 0);
    assert_eq!(gallery.metrics().compactions, 0);
    assert_eq!(traces(directory.path(), b"guest-7").len(), 1);
    assert_eq!(contents(&gallery, "c").len(), 2);
    gallery.finish_erasures(Duration::from_secs(60));
    assert_eq!(gallery.metrics().compactions, 1);
    assert!(traces(directory.path(), b"guest-").is_empty());
    gallery.finish_erasures(Duration::from_secs(60));
    assert_eq!(gallery.metrics().compactions, 1, "nobody was removed since");
}

#[test]
fn what_is_due_is_erased_in_the_background() {
    let soon = Duration::from_millis(1);
    let (directory, gallery) = crowd(soon);
    remove_guests(&gallery, soon);
    std::thread::sleep(2 * soon);
    gallery.tend();
    assert!(traces(directory.path(), b"guest-").is_empty());
    assert_eq!(traces(directory.path(), &stored_bytes(2)).len(), 1);
    assert_eq!(contents(&gallery, "c").len(), 2);
}

#[test]
fn a_compaction_for_another_reason_erases_as_well() {
    let hour = Duration::from_secs(3600);
    let (directory, gallery) = crowd(hour);
    remove_guests(&gallery, hour);
    gallery.compact("c").unwrap();
    assert!(traces(directory.path(), b"guest-").is_empty());
    gallery.finish_erasures(hour);
    assert_eq!(gallery.metrics().compactions, 1);
}

#[test]
fn what_waits_is_erased_after_the_next_opening() {
    let hour = Duration::from_secs(3600);
    let (directory, gallery) = crowd(hour);
    remove_guests(&gallery, hour);
    drop(gallery);
    assert_eq!(traces(directory.path(), b"guest-7").len(), 1);
    let gallery = open(directory.path());
    assert_eq!(gallery.erase_removed().unwrap(), 1);
    assert!(traces(directory.path(), b"guest-").is_empty());
}
