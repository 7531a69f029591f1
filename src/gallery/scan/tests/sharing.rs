//! Searches that share a pass.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::thread;

use super::*;

/// Just over the size from which passes are shared.
fn big(random: &mut Random) -> (Vec<(String, Vec<Row>)>, Vec<Part>) {
    let people = random.people("p", 5_500, 4);
    let parts = vec![Memory::new(&people).part(&[])];
    assert!(parts[0].segment.rows().len() * ROW_BYTES > 4 << 20);
    (people, parts)
}

#[test]
fn many_threads_get_the_answers_that_each_would_get_alone() {
    let random = &mut Random(21);
    let (people, parts) = big(random);
    let probes: Vec<Row> = (0..200)
        .map(|i| random.near(&people[i * 20].1[0], 0.7))
        .collect();
    let shared = SharedPass::new(2, Fusion::Off);
    let snapshots = AtomicUsize::new(0);
    thread::scope(|scope| {
        for probes in probes.chunks(5) {
            let (snapshots, parts, shared) = (&snapshots, &parts, &shared);
            scope.spawn(move || {
                for probe in probes {
                    let snapshot = || {
                        snapshots.fetch_add(1, Ordering::Relaxed);
                        parts.clone()
                    };
                    let top_k = snapshots.load(Ordering::Relaxed) % 20;
                    let answer = shared.search(snapshot, probe, top_k);
                    let query = Query {
                        template: probe,
                        top_k,
                        fusion: Fusion::Off,
                    };
                    assert_eq!(
                        answer.found.unwrap(),
                        search(parts, &[query], 1).unwrap()[0]
                    );
                }
            });
        }
    });
    // Each search takes one to see how big the gallery is, each pass one more.
    let passes = snapshots.load(Ordering::Relaxed) - 200;
    assert!(
        (13..150).contains(&passes),
        "{passes} passes for 200 searches of 40 threads"
    );
}

#[test]
fn a_search_sees_every_change_made_before_it() {
    let random = &mut Random(22);
    let (people, parts) = big(random);
    let current = Mutex::new(parts[0].clone());
    let shared = SharedPass::new(1, Fusion::Off);
    thread::scope(|scope| {
        for worker in 0..8 {
            let (people, current, shared) = (&people, &current, &shared);
            scope.spawn(move || {
                for round in 0..10 {
                    let person = worker * 600 + round;
                    let find = || {
                        let answer = shared.search(
                            || vec![current.lock().unwrap().clone()],
                            &people[person].1[0],
                            1,
                        );
                        answer.found.unwrap()[0].person as usize
                    };
                    assert_eq!(find(), person);
                    Arc::make_mut(&mut current.lock().unwrap().dead).insert(person as u32);
                    assert_ne!(find(), person);
                }
            });
        }
    });
}

#[test]
fn a_panic_of_the_leader_hits_the_leader_alone() {
    let random = &mut Random(23);
    let (people, parts) = big(random);
    let shared = SharedPass::new(1, Fusion::Off);
    for threads in [1, 2, 12] {
        let panicked = AtomicUsize::new(0);
        thread::scope(|scope| {
            for i in 0..threads {
                let (people, parts, shared, panicked) = (&people, &parts, &shared, &panicked);
                scope.spawn(move || {
                    let seen = AtomicBool::new(false);
                    let snapshot = || {
                        // The second one is taken as the leader.
                        if i % 3 == 0 && seen.swap(true, Ordering::Relaxed) {
                            panic!("a panic that the test asks for");
                        }
                        parts.clone()
                    };
                    let search = || shared.search(snapshot, &people[i * 40].1[0], 1);
                    match catch_unwind(AssertUnwindSafe(search)) {
                        Ok(answer) => assert_eq!(answer.found.unwrap()[0].person as usize, i * 40),
                        Err(_) => {
                            assert_eq!(i % 3, 0);
                            panicked.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert!(threads > 2 || panicked.load(Ordering::Relaxed) > 0);
    }
    // And it goes on.
    let answer = shared.search(|| parts.clone(), &people[7].1[0], 1);
    assert_eq!(answer.found.unwrap()[0].person, 7);
}

#[test]
fn small_galleries_and_damage_are_answered_too() {
    let random = &mut Random(24);
    let small = random.people("s", 50, 2);
    let shared = SharedPass::new(2, Fusion::Off);
    let part = Memory::new(&small).part(&[]);
    let answer = shared.search(|| vec![part.clone()], &small[8].1[0], 3);
    assert_eq!(named(&answer.parts, &answer.found.unwrap())[0].0, "s8");

    let (people, _) = big(random);
    let damaged = Memory {
        damaged_row: Some(20_000),
        ..Memory::new(&people)
    }
    .part(&[]);
    let answer = shared.search(|| vec![part.clone(), damaged.clone()], &small[8].1[0], 3);
    assert_eq!(answer.found, Err(DamagedPart { part: 1 }));
    assert_eq!(answer.parts.len(), 2);
}
