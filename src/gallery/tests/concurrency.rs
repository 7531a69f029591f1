//! Many threads at once: nothing waits for ever, nothing is seen half done.

use std::thread;

use super::*;
use crate::gallery::GalleryError;

#[test]
fn the_gallery_is_shared_between_threads() {
    fn shareable<T: Send + Sync>() {}
    shareable::<Gallery>();
}

#[test]
fn searches_see_each_batch_whole_or_not_at_all() {
    let directory = scratch();
    let gallery = open(directory.path());
    gallery.create("c").unwrap();
    thread::scope(|scope| {
        for writer in 0..3 {
            let gallery = &gallery;
            scope.spawn(move || {
                for round in 0..20 {
                    let batch = (0..4)
                        .map(|i| (format!("{writer}-{round}-{i}"), template(writer * 1000 + i)))
                        .collect();
                    gallery.insert("c", batch).unwrap();
                    if round % 5 == 4 {
                        gallery.erase_removed().unwrap();
                    }
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let found = gallery.search("c", &template(1), usize::MAX).unwrap();
                    assert_eq!(found.len() % 4, 0);
                }
            });
        }
    });
    assert_eq!(gallery.status("c").unwrap().feature_num, 240);
    let expected = contents(&gallery, "c");
    drop(gallery);
    assert_eq!(contents(&open(directory.path()), "c"), expected);
}

#[test]
fn deleting_under_running_searches_and_inserts_is_safe() {
    let directory = scratch();
    let gallery = open(directory.path());
    for _ in 0..10 {
        gallery.create("c").unwrap();
        thread::scope(|scope| {
            for worker in 0..3 {
                let gallery = &gallery;
                scope.spawn(move || {
                    loop {
                        let batch = vec![(format!("t{worker}"), template(worker))];
                        let result = gallery.insert("c", batch).and_then(|_| {
                            gallery.search("c", &template(worker), 3)?;
                            gallery.remove_target("c", &format!("t{worker}"))
                        });
                        match result {
                            Ok(()) => {}
                            Err(GalleryError::UnknownCollection { .. }) => break,
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
            }
            thread::sleep(std::time::Duration::from_millis(5));
            gallery.delete("c").unwrap();
        });
    }
    assert_eq!(
        files_below(directory.path()),
        [directory.path().join("LOCK")]
    );
    assert_eq!(gallery.warnings(), []);
}
