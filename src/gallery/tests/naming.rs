//! One person's features and name: what is there already, one feature less, another name, one name in two Unicode forms.

use super::*;
use crate::gallery::{GalleryError, IDENTICAL_COSINE, Imported, InsertReport};

fn gallery() -> (tempfile::TempDir, Gallery) {
    let directory = scratch();
    let gallery = open(directory.path());
    gallery.create("staff").unwrap();
    (directory, gallery)
}

/// As earlier releases stored it.
fn old() -> Imported {
    Imported {
        name: "old".to_owned(),
        template_space: SPACE.to_owned(),
        created: 1,
        updated: 2,
    }
}

/// Of one and the same picture, compressed a little differently.
fn nearly(seed: u32) -> Template {
    let mut vector: Vec<f32> = template(seed).as_slice().to_vec();
    vector[0] += 0.01;
    let nearly = Template::new(&vector).unwrap();
    assert!(nearly.cosine(&template(seed)) > IDENTICAL_COSINE);
    nearly
}

#[test]
fn what_is_there_already_is_skipped_on_request_and_takes_no_room() {
    let (_directory, gallery) = gallery();
    let five: Vec<(&str, u32)> = (0..5).map(|seed| ("anna", seed)).collect();
    gallery.insert("staff", items(&five)).unwrap();
    let before = contents(&gallery, "staff");
    let batch = vec![
        ("anna".to_owned(), nearly(3)),
        // Of somebody else it is new, once.
        ("ben".to_owned(), template(3)),
        ("ben".to_owned(), nearly(3)),
        // What does not fit is not there, the second time either.
        ("anna".to_owned(), template(9)),
        ("anna".to_owned(), template(9)),
    ];
    let report = gallery.insert_new("staff", batch.clone()).unwrap();
    let expected = InsertReport {
        stored: 1,
        quota_exceeded: vec!["anna".to_owned()],
        already: vec![0, 2],
    };
    assert_eq!(report, expected);
    let mut after = contents(&gallery, "staff");
    assert_eq!(after.remove("ben").unwrap(), [template(3).to_bits()]);
    assert_eq!(after, before);
    // Without the request every one of them counts.
    let report = gallery.insert("staff", batch).unwrap();
    assert_eq!((report.stored, report.already), (2, vec![]));
}

#[test]
fn one_feature_goes_and_the_others_keep_their_order() {
    let (directory, gallery) = gallery();
    let batch = [("anna", 1), ("anna", 2), ("ben", 3), ("anna", 4)];
    gallery.insert("staff", items(&batch)).unwrap();
    assert_eq!(gallery.remove_feature("staff", "anna", 1).unwrap(), 2);
    let left = [template(1).to_bits(), template(4).to_bits()];
    assert_eq!(contents(&gallery, "staff")["anna"], left);
    let error = gallery.remove_feature("staff", "anna", 2).unwrap_err();
    assert!(matches!(
        error,
        GalleryError::NoSuchFeature {
            index: 2,
            features: 2
        }
    ));
    assert_eq!(gallery.remove_feature("staff", "ben", 0).unwrap(), 0);
    assert!(!gallery.contains_target("staff", "ben").unwrap());
    assert!(matches!(
        gallery.remove_feature("staff", "ben", 0),
        Err(GalleryError::UnknownTarget { .. })
    ));
    drop(gallery);
    let gallery = open(directory.path());
    assert_eq!(contents(&gallery, "staff")["anna"], left);
    assert_eq!(gallery.status("staff").unwrap().person_num, 1);
}

#[test]
fn somebody_gets_another_name_and_two_become_one_only_when_asked_and_only_if_they_fit() {
    let (directory, gallery) = gallery();
    let batch = [
        ("anna", 1),
        ("anna", 2),
        ("ben", 3),
        ("carl", 4),
        ("carl", 5),
        ("carl", 6),
    ];
    gallery.insert("staff", items(&batch)).unwrap();
    let bits = |seeds: &[u32]| -> Vec<RowBits> {
        seeds.iter().map(|seed| template(*seed).to_bits()).collect()
    };
    let renamed = gallery.rename("staff", "anna", "joanna", false).unwrap();
    assert_eq!((renamed.target.as_str(), renamed.features), ("joanna", 2));
    assert!(!renamed.merged);
    assert!(!gallery.contains_target("staff", "anna").unwrap());
    assert!(matches!(
        gallery.rename("staff", "ben", "joanna", false),
        Err(GalleryError::TargetExists { features: 2 })
    ));
    let renamed = gallery.rename("staff", "ben", "joanna", true).unwrap();
    assert!(renamed.merged && renamed.features == 3);
    assert_eq!(contents(&gallery, "staff")["joanna"], bits(&[1, 2, 3]));
    let error = gallery.rename("staff", "carl", "joanna", true).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("6 features (3 and 3), at most 5"),
        "{error}"
    );
    assert!(matches!(
        gallery.rename("staff", "anna", "x", true),
        Err(GalleryError::UnknownTarget { .. })
    ));
    // To be called what one is called changes nothing.
    let before = gallery.status("staff").unwrap();
    gallery.rename("staff", "carl", "carl", false).unwrap();
    assert_eq!(gallery.status("staff").unwrap(), before);
    assert_eq!(before.person_num, 2);
    drop(gallery);
    let gallery = open(directory.path());
    assert_eq!(contents(&gallery, "staff")["joanna"], bits(&[1, 2, 3]));
    assert_eq!(contents(&gallery, "staff")["carl"], bits(&[4, 5, 6]));
}

const COMPOSED: &str = "Jos\u{e9}";
const DECOMPOSED: &str = "Jose\u{301}";

#[test]
fn both_unicode_forms_of_a_new_name_are_one_person() {
    let (_directory, gallery) = gallery();
    gallery
        .insert("staff", items(&[(DECOMPOSED, 1), (COMPOSED, 2)]))
        .unwrap();
    assert_eq!(
        contents(&gallery, "staff").keys().collect::<Vec<_>>(),
        [COMPOSED]
    );
    for form in [COMPOSED, DECOMPOSED] {
        assert_eq!(gallery.features_of("staff", form).unwrap(), 2);
        assert_eq!(gallery.templates_of("staff", form).unwrap().len(), 2);
        assert!(gallery.contains_target("staff", form).unwrap());
    }
    let report = gallery.update("staff", items(&[(DECOMPOSED, 3)])).unwrap();
    assert_eq!(report.stored, 1);
    gallery.remove_target("staff", DECOMPOSED).unwrap();
    assert_eq!(gallery.status("staff").unwrap().person_num, 0);
}

#[test]
fn a_name_that_is_stored_in_another_form_is_found_by_either_and_keeps_its_bytes() {
    let (directory, gallery) = gallery();
    let bits = [template(1).to_bits()];
    gallery.import(&old(), &[(DECOMPOSED, &bits)]).unwrap();
    drop(gallery);
    for _ in 0..2 {
        let gallery = open(directory.path());
        assert_eq!(
            gallery.same_names("old").unwrap(),
            Vec::<Vec<String>>::new()
        );
        assert_eq!(
            gallery.stored_as("old", COMPOSED).unwrap().as_deref(),
            Some(DECOMPOSED)
        );
        let report = gallery.insert_new("old", items(&[(COMPOSED, 1)])).unwrap();
        assert_eq!(report.already, [0]);
        assert_eq!(
            contents(&gallery, "old").keys().collect::<Vec<_>>(),
            [DECOMPOSED]
        );
    }
    let gallery = open(directory.path());
    // The name in the usual form is a rename, not somebody else.
    let renamed = gallery.rename("old", DECOMPOSED, COMPOSED, false).unwrap();
    assert!(!renamed.merged && renamed.target == COMPOSED);
    gallery.remove_target("old", DECOMPOSED).unwrap();
    assert_eq!(gallery.status("old").unwrap().person_num, 0);
}

#[test]
fn two_forms_that_are_stored_both_are_told_and_each_is_meant_by_its_own_bytes() {
    let (_directory, gallery) = gallery();
    let (first, second) = ([template(1).to_bits()], [template(2).to_bits()]);
    gallery
        .import(&old(), &[(DECOMPOSED, &first), (COMPOSED, &second)])
        .unwrap();
    assert_eq!(gallery.same_names("old").unwrap(), [[COMPOSED, DECOMPOSED]]);
    assert_eq!(
        gallery.templates_of("old", DECOMPOSED).unwrap(),
        [template(1)]
    );
    assert_eq!(
        gallery.templates_of("old", COMPOSED).unwrap(),
        [template(2)]
    );
    let renamed = gallery.rename("old", DECOMPOSED, COMPOSED, true).unwrap();
    assert!(renamed.merged && renamed.features == 2);
    assert_eq!(
        gallery.same_names("old").unwrap(),
        Vec::<Vec<String>>::new()
    );
}
