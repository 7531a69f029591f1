//! What each operation does, as the API promises it.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::gallery::{GalleryError, Hit, InsertReport, MAX_COLLECTIONS, UpdateReport};

fn gallery() -> (tempfile::TempDir, Gallery) {
    let directory = scratch();
    let gallery = open(directory.path());
    gallery.create("staff").unwrap();
    (directory, gallery)
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|&s| s.to_owned()).collect()
}

#[test]
fn what_was_inserted_is_found_now_and_after_reopening() {
    let (directory, gallery) = gallery();
    let report = gallery
        .insert("staff", items(&[("anna", 1), ("ben", 2), ("anna", 3)]))
        .unwrap();
    assert_eq!(
        report,
        InsertReport {
            stored: 3,
            quota_exceeded: vec![],
            already: vec![],
        }
    );
    let found = gallery.search("staff", &template(3), 10).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].target, "anna");
    assert!(found[0].cosine > 0.999 && found[1].cosine < 0.5);
    let status = gallery.status("staff").unwrap();
    assert_eq!((status.feature_num, status.person_num), (3, 2));
    assert_eq!(status.warning, None);
    assert!(status.updated >= status.created);

    drop(gallery);
    let gallery = open(directory.path());
    assert_eq!(gallery.search("staff", &template(3), 10).unwrap(), found);
    assert_eq!(gallery.list(), [status]);
    assert!(gallery.contains_target("staff", "anna").unwrap());
    assert!(!gallery.contains_target("staff", "carl").unwrap());
    assert_eq!(gallery.warnings(), []);
}

#[test]
fn a_search_ranks_people_and_breaks_ties_by_target() {
    let (_directory, gallery) = gallery();
    assert_eq!(gallery.search("staff", &template(1), 3).unwrap(), []);
    gallery
        .insert(
            "staff",
            items(&[("c", 1), ("a", 1), ("b", 1), ("far", 9), ("a", 8)]),
        )
        .unwrap();
    let names = |hits: Vec<Hit>| hits.into_iter().map(|hit| hit.target).collect::<Vec<_>>();
    let search = |top_k| names(gallery.search("staff", &template(1), top_k).unwrap());
    assert_eq!(search(0), strings(&[]));
    assert_eq!(search(2), ["a", "b"]);
    assert_eq!(search(4), ["a", "b", "c", "far"]);
    assert_eq!(search(usize::MAX), ["a", "b", "c", "far"]);
}

#[test]
fn insert_stores_up_to_the_limit_and_names_each_target_once() {
    let (_directory, gallery) = gallery();
    let six: Vec<(&str, u32)> = (0..6).map(|seed| ("anna", seed)).collect();
    let mut batch = items(&six);
    batch.extend(items(&[("ben", 10), ("anna", 7)]));
    let report = gallery.insert("staff", batch).unwrap();
    assert_eq!(
        report,
        InsertReport {
            stored: 6,
            quota_exceeded: strings(&["anna"]),
            already: vec![],
        }
    );
    let stored = contents(&gallery, "staff");
    let first_five: Vec<RowBits> = (0..5).map(|seed| template(seed).to_bits()).collect();
    assert_eq!(stored["anna"], first_five);
    let report = gallery.insert("staff", items(&[("anna", 20)])).unwrap();
    assert_eq!(
        report,
        InsertReport {
            stored: 0,
            quota_exceeded: strings(&["anna"]),
            already: vec![],
        }
    );
}

#[test]
fn update_replaces_known_targets_and_lists_the_others() {
    let (directory, gallery) = gallery();
    gallery
        .insert("staff", items(&[("anna", 1), ("anna", 2), ("ben", 3)]))
        .unwrap();
    let mut batch = items(&[("carl", 4), ("anna", 5), ("carl", 6), ("anna", 7)]);
    batch.extend((0..6).map(|seed| ("ben".to_owned(), template(30 + seed))));
    let report = gallery.update("staff", batch).unwrap();
    assert_eq!(
        report,
        UpdateReport {
            stored: 2,
            quota_exceeded: strings(&["ben"]),
            unknown_targets: strings(&["carl"])
        }
    );
    let expected = Contents::from([
        (
            "anna".to_owned(),
            vec![template(5).to_bits(), template(7).to_bits()],
        ),
        ("ben".to_owned(), vec![template(3).to_bits()]),
    ]);
    assert_eq!(contents(&gallery, "staff"), expected);
    drop(gallery);
    assert_eq!(contents(&open(directory.path()), "staff"), expected);
}

#[test]
fn a_call_that_stores_nothing_writes_nothing() {
    let (directory, gallery) = gallery();
    gallery.insert("staff", items(&[("anna", 1)])).unwrap();
    let before = fs::read(journal_path(directory.path())).unwrap();
    let updated = gallery.status("staff").unwrap().updated;
    gallery.insert("staff", vec![]).unwrap();
    gallery.update("staff", items(&[("nobody", 1)])).unwrap();
    assert!(gallery.remove_target("staff", "nobody").is_err());
    assert_eq!(fs::read(journal_path(directory.path())).unwrap(), before);
    assert_eq!(gallery.status("staff").unwrap().updated, updated);
}

#[test]
fn clear_keeps_the_name_and_the_time_of_creation() {
    let (directory, gallery) = gallery();
    let created = gallery.status("staff").unwrap().created;
    gallery.insert("staff", items(&[("anna", 1)])).unwrap();
    gallery.clear("staff").unwrap();
    let status = gallery.status("staff").unwrap();
    assert_eq!((status.feature_num, status.person_num), (0, 0));
    assert_eq!(status.created, created);
    gallery.insert("staff", items(&[("ben", 2)])).unwrap();
    let stored = contents(&gallery, "staff");
    drop(gallery);
    let gallery = open(directory.path());
    assert_eq!(contents(&gallery, "staff"), stored);
    assert_eq!(gallery.status("staff").unwrap().created, created);
}

#[test]
fn delete_takes_the_collection_and_its_directory_away() {
    let (directory, gallery) = gallery();
    gallery.insert("staff", items(&[("anna", 1)])).unwrap();
    gallery.delete("staff").unwrap();
    assert_eq!(gallery.list(), []);
    assert!(matches!(
        gallery.delete("staff"),
        Err(GalleryError::UnknownCollection { name }) if name == "staff"
    ));
    let left: Vec<_> = files_below(directory.path());
    assert_eq!(left, [directory.path().join("LOCK")]);
    gallery.create("staff").unwrap();
    assert_eq!(gallery.status("staff").unwrap().feature_num, 0);
}

#[test]
fn names_and_limits_are_kept() {
    let (directory, gallery) = gallery();
    assert!(matches!(
        gallery.create("staff"),
        Err(GalleryError::CollectionExists { .. })
    ));
    for i in 1..MAX_COLLECTIONS {
        gallery.create(&format!("c{i}")).unwrap();
    }
    assert!(matches!(
        gallery.create("one_more"),
        Err(GalleryError::CollectionQuota { limit: 30 })
    ));
    drop(gallery);
    let gallery = open(directory.path());
    assert_eq!(gallery.list().len(), MAX_COLLECTIONS);
    let order: Vec<_> = gallery
        .list()
        .into_iter()
        .map(|status| (status.created, status.name))
        .collect();
    assert!(order.is_sorted());
    gallery.delete("c7").unwrap();
    gallery.create("one_more").unwrap();
}

#[test]
fn unknown_names_are_refused_by_every_operation() {
    let (_directory, gallery) = gallery();
    let refusals = [
        gallery.clear("x").err(),
        gallery.delete("x").err(),
        gallery.status("x").err(),
        gallery.contains_target("x", "anna").err(),
        gallery.insert("x", vec![]).err(),
        gallery.update("x", vec![]).err(),
        gallery.remove_target("x", "anna").err(),
        gallery.search("x", &template(1), 1).err(),
    ];
    for refusal in refusals {
        assert!(matches!(
            refusal,
            Some(GalleryError::UnknownCollection { .. })
        ));
    }
    assert!(matches!(
        gallery.remove_target("staff", "anna"),
        Err(GalleryError::UnknownTarget { .. })
    ));
}

#[test]
fn a_second_open_is_locked_out_until_the_first_is_dropped() {
    let (directory, gallery) = gallery();
    let error = Gallery::open(directory.path(), options()).err().unwrap();
    assert!(matches!(&error, GalleryError::Locked { holder, .. }
        if *holder == Some(std::process::id())));
    assert!(
        error
            .to_string()
            .contains("in use by another recocomp process")
    );
    drop(gallery);
    open(directory.path());
}

#[test]
fn templates_of_another_model_are_not_compared_but_can_be_erased() {
    let (directory, gallery) = gallery();
    gallery
        .insert("staff", items(&[("anna", 1), ("ben", 2)]))
        .unwrap();
    drop(gallery);
    let options = Options {
        template_space: "test-model-2".to_owned(),
        ..Options::default()
    };
    let gallery = Gallery::open(directory.path(), options).unwrap();
    assert_eq!(gallery.list()[0].feature_num, 2);
    let refusals = [
        gallery.search("staff", &template(1), 1).err(),
        gallery.insert("staff", items(&[("c", 1)])).err(),
        gallery.update("staff", items(&[("anna", 1)])).err(),
    ];
    for refusal in refusals {
        assert!(matches!(
            refusal,
            Some(GalleryError::OtherTemplateSpace { found, expected, .. })
                if found == SPACE && expected == "test-model-2"
        ));
    }
    gallery.remove_target("staff", "anna").unwrap();
    assert_eq!(gallery.status("staff").unwrap().person_num, 1);
    gallery.clear("staff").unwrap();
    gallery.insert("staff", items(&[("c", 1)])).unwrap();
    gallery.delete("staff").unwrap();
}

#[test]
fn only_the_owner_may_read_the_files() {
    let (directory, gallery) = gallery();
    gallery.insert("staff", items(&[("anna", 1)])).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(directory.path()), 0o700);
    assert_eq!(mode(&collection_directory(directory.path())), 0o700);
    for file in files_below(directory.path()) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}
