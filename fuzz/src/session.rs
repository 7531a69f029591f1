//! What a gallery must do whatever files it finds.

use std::path::Path;
use std::sync::Arc;

use crate::gallery::{Gallery, Hit, Options, Template};
use crate::memory::Memory;

pub const GALLERY: &str = "gallery";
pub const SPACE: &str = "space";

pub fn options() -> Options {
    Options {
        template_space: SPACE.to_owned(),
        // Nobody else waits for this storage.
        compaction_bytes_per_second: 1 << 40,
        ..Options::default()
    }
}

/// A template that differs from those of all other seeds.
pub fn template(seed: u32) -> Template {
    let number = |i: u32| {
        let mixed = (i + seed * 193).wrapping_mul(2_654_435_761).rotate_left(13);
        f32::from((mixed.wrapping_mul(2_246_822_519) >> 16) as i16)
    };
    let vector: Vec<f32> = (0..192).map(number).collect();
    Template::new(&vector).expect("192 finite numbers")
}

pub fn items(list: &[(&str, u32)]) -> Vec<(String, Template)> {
    let item = |&(target, seed): &(&str, u32)| (target.to_owned(), template(seed));
    list.iter().map(item).collect()
}

/// How much of the files is what the gallery could have written. Checksums that fit are no proof in a fuzzer.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub enum Trust {
    /// Codes and scales of a generation may be anything, so that somebody is not found, or only after the next compaction.
    Nothing,
    /// They come from the originals, which may be anything, NaN as well.
    Codes,
    /// All rows are finite.
    Rows,
}

/// Opens the gallery, and if it serves a collection uses it: searches, changes of every kind, compaction, and a second opening,
/// which must find exactly who was there.
pub fn run(memory: &Memory, options: &Options, trust: Trust) {
    // One at a time: a gallery has one owner.
    let open = || {
        Gallery::open_on(
            Arc::new(memory.clone()),
            Path::new(GALLERY),
            options.clone(),
        )
    };
    let served = |gallery: &Gallery| -> Vec<_> {
        let list = gallery.list();
        let contents = list
            .iter()
            .map(|status| everyone(gallery, &status.name, trust));
        contents.collect()
    };
    let Ok(gallery) = open() else { return };
    let first = served(&gallery);
    drop(gallery);
    let again = || open().expect("a gallery that opened once opens again");
    let gallery = again();
    assert_eq!(
        served(&gallery),
        first,
        "what is served is what the next start serves"
    );
    for status in gallery.list() {
        let name = &status.name;
        let _ = gallery.outdated();
        let _ = gallery.insert(name, items(&[("amy", 1), ("zoe", 2), ("zoe", 3)]));
        let _ = gallery.update(name, items(&[("ben", 4), ("zoe", 5)]));
        let _ = gallery.remove_target(name, "amy");
        let _ = gallery.remove_feature(name, "zoe", 1);
        let _ = gallery.rename(name, "ben", "bob", true);
        let _ = gallery.insert_new(name, items(&[("zoe", 5), ("zoe", 5)]));
        let _ = gallery.same_names(name);
        let changed = everyone(&gallery, name, trust);
        if changed.is_some() && gallery.compact(name).is_ok() {
            let compacted = everyone(&gallery, name, trust);
            assert!(
                trust < Trust::Codes || compacted == changed,
                "{changed:?} {compacted:?}"
            );
        }
        let _ = gallery.erase_removed();
        gallery.scrub();
        gallery.tend();
        let _ = gallery.insert(name, items(&[("max", 6)]));
    }
    let _ = gallery.warnings();
    let last = served(&gallery);
    drop(gallery);
    assert_eq!(served(&again()), last, "changes stay");
}

/// The first thousand by likeness to one probe; `None` if they cannot be searched.
fn everyone(gallery: &Gallery, name: &str, trust: Trust) -> Option<Vec<(String, u32)>> {
    let few = gallery.search(name, &template(1), 2).ok()?;
    let hits = gallery.search(name, &template(1), 1000).ok()?;
    check(&few);
    check(&hits);
    let status = gallery.status(name).expect("it was searched");
    let people = status.person_num.min(1000);
    assert!(hits.len() == people || (hits.len() < people && trust < Trust::Rows));
    assert!(status.feature_num >= status.person_num);
    let pair = |hit: Hit| (hit.target, hit.cosine.to_bits());
    Some(hits.into_iter().map(pair).collect())
}

fn check(hits: &[Hit]) {
    for hit in hits {
        assert!((-1.0..=1.0).contains(&hit.cosine), "{hit:?}");
    }
    for pair in hits.windows(2) {
        let sorted = pair[0].cosine > pair[1].cosine
            || (pair[0].cosine == pair[1].cosine && pair[0].target < pair[1].target);
        assert!(sorted, "{pair:?}");
    }
}
