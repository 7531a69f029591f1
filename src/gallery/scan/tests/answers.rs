//! The answers are the ones of an exact f32 search.

use super::super::search::search_with;
use super::*;

fn find(parts: &[Part], probe: &Row, top_k: usize, threads: usize) -> Named {
    let query = Query {
        template: probe,
        top_k,
        fusion: Fusion::Off,
    };
    let found = search(parts, &[query], threads).unwrap();
    assert_eq!(found.len(), 1);
    named(parts, &found[0])
}

/// Three parts with people of 0 to 7 features, none of the numbers a multiple of a block.
fn varied(random: &mut Random) -> Vec<Part> {
    let mut parts = Vec::new();
    for (name, count) in [("a", 300), ("b", 77), ("c", 501)] {
        let mut people = random.people(name, count, 7);
        for (_, rows) in &mut people {
            rows.truncate(random.below(8));
        }
        // Somebody whose rows go over several blocks.
        people[40].1 = random.people("", 1, 700).remove(0).1;
        parts.push(Memory::new(&people).part(&[3, 5, 76]));
    }
    parts
}

#[test]
fn as_many_people_as_are_compared_again_makes_it_exact() {
    let random = &mut Random(3);
    let parts = varied(random);
    let reference = Exact::new(&parts);
    for round in 0..60 {
        let probe = match round % 3 {
            0 => random.row(),
            // Like a feature of somebody, living or dead.
            1 => random.near(
                &row_from_bits(&parts[round % 2].segment.originals()[round * 3]),
                0.8,
            ),
            _ => row_from_bits(&parts[2].segment.originals()[round * 3]),
        };
        let all = reference.find(&probe, usize::MAX);
        assert!(all.windows(2).all(|w| w[0].1 >= w[1].1));
        for top_k in [0, 1, 2, 10, 100, 439, 878, 5000, usize::MAX] {
            let found = find(&parts, &probe, top_k, 2);
            let mut expected = all[..top_k.min(all.len())].to_vec();
            if top_k < 439 && top_k > 0 {
                // Not all people were compared again; the best ones must have been.
                expected.truncate(10);
                assert_eq!(found[..expected.len()], expected, "{round} {top_k}");
                assert_eq!(found.len(), top_k);
            } else {
                // People without rows are no answer of either search but for the order; they have no cosine.
                assert_eq!(rows_only(found), rows_only(expected), "{round} {top_k}");
            }
        }
    }
}

fn rows_only(named: Named) -> Named {
    named
        .into_iter()
        .filter(|(_, cosine)| *cosine >= -1.0)
        .collect()
}

#[test]
fn neither_kernel_nor_threads_nor_company_change_an_answer() {
    let random = &mut Random(11);
    let mut parts = varied(random);
    // Enough rows for four threads.
    let crowd = random.people("d", 30_000, 5);
    parts.push(Memory::new(&crowd).part(&[0, 29_999]));
    let probes: Vec<Row> = (0..9)
        .map(|i| random.near(&crowd[i * 1000].1[0], 0.7))
        .collect();
    let queries: Vec<Query> = probes
        .iter()
        .enumerate()
        .map(|(i, template)| Query {
            template,
            top_k: [0, 1, 10, 300][i % 4],
            fusion: Fusion::Off,
        })
        .collect();
    let together = search(&parts, &queries, 1).unwrap();
    for kernel in kernels() {
        for threads in [1, 2, 3, 4, 100] {
            assert_eq!(
                search_with(kernel, &parts, &queries, threads).unwrap(),
                together
            );
        }
    }
    for (query, found) in queries.iter().zip(&together) {
        assert_eq!(&search(&parts, &[*query], 2).unwrap()[0], found);
        assert_eq!(found.len(), query.top_k);
    }
}

#[test]
fn the_dead_are_never_found() {
    let random = &mut Random(5);
    let people = random.people("p", 400, 3);
    let dead: Vec<u32> = (0..400).filter(|i| i % 3 != 0).collect();
    let parts = [Memory::new(&people).part(&dead)];
    let reference = Exact::new(&parts);
    for (person, (_, rows)) in people.iter().enumerate() {
        let probe = rows[1];
        let found = find(&parts, &probe, 500, 1);
        assert_eq!(found.len(), 134);
        assert_eq!(found[0].0 == format!("p{person}"), person % 3 == 0);
        assert_eq!(found, reference.find(&probe, 500));
    }
    let nobody = [Memory::new(&people).part(&(0..400).collect::<Vec<u32>>())];
    assert!(find(&nobody, &people[0].1[0], 10, 1).is_empty());
}

#[test]
fn equal_cosines_in_the_order_of_the_targets() {
    let row = Random(1).row();
    let person = |target: &str| (target.to_owned(), vec![row]);
    let one = Memory::new(&["d", "b", "ab"].map(person)).part(&[]);
    let two = Memory::new(&["c", "a", "é", "B"].map(person)).part(&[]);
    let parts = [one, two];
    let order = ["B", "a", "ab", "b", "c", "d", "é"];
    for top_k in 1..=8 {
        let found = find(&parts, &row, top_k, 1);
        let names: Vec<&str> = found.iter().map(|(target, _)| target.as_str()).collect();
        assert_eq!(names, order[..top_k.min(7)]);
    }
}

#[test]
fn nobody_and_no_question_are_fine() {
    assert_eq!(search(&[], &[], 4), Ok(vec![]));
    let row = Random(1).row();
    let query = Query {
        template: &row,
        top_k: 5,
        fusion: Fusion::Off,
    };
    let empty = [Memory::new(&[]).part(&[])];
    assert_eq!(search(&empty, &[query, query], 4), Ok(vec![vec![], vec![]]));
    let without_rows = [Memory::new(&[("a".to_owned(), vec![])]).part(&[])];
    assert_eq!(search(&without_rows, &[query], 1), Ok(vec![vec![]]));
}

#[test]
fn everything_read_is_verified_and_damage_is_reported() {
    let random = &mut Random(9);
    let people = random.people("p", 3000, 1);
    let query = Query {
        template: &people[1500].1[0],
        top_k: 10,
        fusion: Fusion::Off,
    };
    let fresh = || Memory::new(&people);
    let memory = Arc::new(fresh());
    let part = Part {
        segment: Arc::clone(&memory) as _,
        dead: Arc::default(),
    };
    search(&[part], &[query], 2).unwrap();
    assert_eq!(memory.verified.lock().unwrap().len(), 3000);
    assert_eq!(memory.originals_verified.load(Ordering::Relaxed), 256);

    for threads in [1, 3] {
        for damaged_row in [0, 127, 128, 2999] {
            let bad = Memory {
                damaged_row: Some(damaged_row),
                ..fresh()
            }
            .part(&[]);
            let parts = [fresh().part(&[]), bad.clone(), bad];
            assert_eq!(
                search(&parts, &[query], threads),
                Err(DamagedPart { part: 1 })
            );
        }
        let bad = Memory {
            damaged_original: Some(1500),
            ..fresh()
        }
        .part(&[]);
        assert_eq!(
            search(&[bad], &[query], threads),
            Err(DamagedPart { part: 0 })
        );
    }
}

#[test]
fn a_segment_of_the_wrong_shape_is_damaged() {
    let query = Query {
        template: &Random(1).row(),
        top_k: 5,
        fusion: Fusion::Off,
    };
    let change: [fn(&mut Memory); 8] = [
        |m| m.first_rows.clear(),
        |m| m.first_rows[0] = 1,
        |m| m.first_rows[50] = u32::MAX,
        |m| m.first_rows[100] = 199,
        |m| m.first_rows[100] = 201,
        |m| m.scales.truncate(199),
        |m| m.originals.truncate(199),
        |m| m.rows.truncate(199),
    ];
    for change in change {
        let mut memory = Memory::new(&Random(2).people("p", 100, 2));
        change(&mut memory);
        assert_eq!(
            search(&[memory.part(&[])], &[query], 1),
            Err(DamagedPart { part: 0 })
        );
    }
}
