//! Everyone page by page, one person's templates, and many searches at once: the same as the plain map and the single search.

use super::generations::{flip_on_disk, large, person};
use super::*;

/// Half of them in a generation, half in the journal, some gone, some moved from one to the other.
fn filled(directory: &Path) -> Gallery {
    let gallery = open(directory);
    gallery.create("staff").unwrap();
    let add = |numbers: &[u32]| {
        let items = numbers.iter().map(|n| (format!("p{n:03}"), template(*n)));
        gallery.insert("staff", items.collect()).unwrap();
    };
    add(&(0..300).step_by(2).collect::<Vec<_>>());
    gallery.collection("staff").compact_now().unwrap();
    add(&(1..300).step_by(2).collect::<Vec<_>>());
    // Second features, which move these to the tail.
    add(&[10, 11, 12]);
    for gone in ["p000", "p020", "p021", "p299"] {
        gallery.remove_target("staff", gone).unwrap();
    }
    gallery
}

fn walk(gallery: &Gallery, limit: usize) -> Vec<(String, usize)> {
    let mut all = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = gallery.page("staff", after.as_deref(), limit).unwrap();
        assert_eq!(page.total, 296);
        assert!(page.people.len() == limit || !page.more);
        after = page.people.last().map(|person| person.target.clone());
        all.extend((page.people.into_iter()).map(|p| (p.target, p.feature_num)));
        if !page.more {
            return all;
        }
    }
}

#[test]
fn pages_of_any_size_make_up_everyone_in_order() {
    let directory = scratch();
    let gallery = filled(directory.path());
    let expected: Vec<(String, usize)> = (contents(&gallery, "staff").into_iter())
        .map(|(target, features)| (target, features.len()))
        .collect();
    assert_eq!(expected.len(), 296);
    assert_eq!(expected.iter().filter(|(_, n)| *n == 2).count(), 3);
    for limit in [1, 7, 100, 295, 296, 297, 100_000] {
        assert_eq!(walk(&gallery, limit), expected, "{limit}");
    }
}

#[test]
fn a_page_begins_behind_a_name_that_nobody_has() {
    let directory = scratch();
    let gallery = filled(directory.path());
    let first = |after: &str| {
        let page = gallery.page("staff", Some(after), 1).unwrap();
        page.people.first().map(|person| person.target.clone())
    };
    // Removed, between two, before everyone, behind everyone.
    assert_eq!(first("p020").as_deref(), Some("p022"));
    assert_eq!(first("p0220").as_deref(), Some("p023"));
    assert_eq!(first("").as_deref(), Some("p001"));
    assert_eq!(first("p298"), None);
    assert!(gallery.page("nobody", None, 1).is_err());
}

#[test]
fn templates_come_back_as_they_were_given() {
    let directory = scratch();
    let gallery = filled(directory.path());
    let of = |target: &str| gallery.templates_of("staff", target);
    assert_eq!(of("p011").unwrap(), [template(11), template(11)]);
    assert_eq!(of("p030").unwrap(), [template(30)]);
    assert_eq!(gallery.features_of("staff", "p012").unwrap(), 2);
    assert!(of("p020").is_err() && gallery.features_of("staff", "p020").is_err());
}

#[test]
fn many_searches_at_once_are_the_single_ones() {
    let directory = scratch();
    let gallery = filled(directory.path());
    let probes: Vec<Template> = (0..40).map(|n| template(n * 9)).collect();
    let together = gallery.search_all("staff", &probes.iter().collect::<Vec<_>>(), 3);
    let alone = probes
        .iter()
        .map(|probe| gallery.search("staff", probe, 3).unwrap());
    assert_eq!(together.unwrap(), alone.collect::<Vec<_>>());
}

/// Each finds the damage by itself, has it mended from the parity and gives the answer that was stored.
#[test]
fn damage_is_mended_before_templates_are_given_or_searched() {
    let sample = large();
    let row = 700;
    let in_original = sample.places.original(row).start + 7;
    let in_codes = sample.places.codes_at + row * 192 + 5;
    let right = template(row as u32);
    type Ask = fn(&Gallery, &Template) -> bool;
    let ways: [(usize, Ask); 2] = [
        (in_original, |gallery, right| {
            gallery.templates_of("c", &person(700)).unwrap() == [right.clone()]
        }),
        (in_codes, |gallery, right| {
            let hits = gallery.search_all("c", &[right], 1).unwrap();
            hits[0][0].target == person(700) && hits[0][0].cosine > 0.999
        }),
    ];
    for (place, ask) in ways {
        let directory = sample.on_disk(sample.bytes.clone());
        let gallery = open(directory.path());
        flip_on_disk(directory.path(), &sample, &[place]);
        assert_eq!(gallery.metrics().damage, 0);
        assert!(ask(&gallery, &right));
        assert_eq!(gallery.metrics().damage, 1);
        assert_eq!(contents(&gallery, "c"), sample.expected);
    }
}
