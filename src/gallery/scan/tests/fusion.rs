//! Searches by the mean of a person's features.

use super::super::search::search_with;
use super::*;

fn query(template: &Row, top_k: usize) -> Query<'_> {
    Query {
        template,
        top_k,
        fusion: Fusion::Mean,
    }
}

/// Everyone alive by the mean of the originals, best first.
fn exact(parts: &[Part], probe: &Row) -> Named {
    let mut all = Vec::new();
    for part in parts {
        for (person, range) in (0..).zip(part.segment.first_rows().windows(2)) {
            if !part.dead.contains(person) {
                let originals = &part.segment.originals()[range[0] as usize..range[1] as usize];
                let cosine = mean_cosine(originals, probe);
                all.push((part.segment.target(person).to_owned(), cosine as f32));
            }
        }
    }
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all
}

fn mean_cosine(originals: &[RowBits], probe: &Row) -> f64 {
    let mut sum = [0.0_f64; 192];
    for bits in originals {
        let row = row_from_bits(bits);
        (sum.iter_mut().zip(row)).for_each(|(sum, x)| *sum += f64::from(x));
    }
    let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(x, y)| x * y).sum() };
    let product = dot(&sum, &probe.map(f64::from));
    match originals.len() {
        // Stored features have the length 1 within rounding and are not normalised again.
        1 => product,
        _ => product / dot(&sum, &sum).sqrt(),
    }
}

/// Three parts with people of 1 to 5 features.
fn parts(random: &mut Random, people: usize) -> Vec<Part> {
    ["a", "b", "c"]
        .map(|name| {
            let mut people = random.people(name, people, 5);
            for (_, rows) in &mut people {
                rows.truncate(1 + random.below(5));
            }
            Memory::new(&people).part(&[3, 5, 70])
        })
        .into()
}

#[test]
fn the_answers_are_those_of_exact_means() {
    let random = &mut Random(31);
    let parts = parts(random, 400);
    for round in 0..40 {
        let probe = match round % 2 {
            0 => random.row(),
            _ => row_from_bits(&parts[round % 3].segment.originals()[round * 11]),
        };
        let found = search(&parts, &[query(&probe, 50)], 2).unwrap().remove(0);
        let expected = exact(&parts, &probe);
        assert_eq!(found.len(), 50);
        // The means are of f32 and of f64: those who are as good as equal may change places.
        for (one, expected) in named(&parts, &found).iter().zip(&expected) {
            assert!((one.1 - expected.1).abs() < 1e-6, "{one:?} {expected:?}");
        }
    }
}

#[test]
fn whoever_is_more_like_the_mean_comes_first() {
    let random = &mut Random(32);
    let probe = random.row();
    // One feature very like the probe and one unlike it, against two that are like it.
    let uneven = vec![random.near(&probe, 0.9), random.near(&probe, 0.1)];
    let even = vec![random.near(&probe, 0.8), random.near(&probe, 0.8)];
    let people = [("uneven".to_owned(), uneven), ("even".to_owned(), even)];
    let parts = [Memory::new(&people).part(&[])];
    let names = |fusion| -> Vec<String> {
        let query = Query {
            fusion,
            ..query(&probe, 2)
        };
        let found = search(&parts, &[query], 1).unwrap().remove(0);
        let all = named(&parts, &found).into_iter();
        all.map(|(target, _)| target).collect()
    };
    assert_eq!(names(Fusion::Off), ["uneven", "even"]);
    assert_eq!(names(Fusion::Mean), ["even", "uneven"]);
}

#[test]
fn neither_kernel_nor_threads_nor_company_change_an_answer() {
    let random = &mut Random(33);
    // Enough rows for four threads, and more people than are compared again.
    let mut parts = parts(random, 100);
    let crowd = random.people("d", 30_000, 5);
    parts.push(Memory::new(&crowd).part(&[0, 29_999]));
    let probes: Vec<Row> = (0..6)
        .map(|i| random.near(&crowd[i * 1000 + 1].1[0], 0.7))
        .collect();
    // Searches of both kinds in one pass.
    let queries: Vec<Query> = (probes.iter().enumerate())
        .map(|(i, template)| Query {
            template,
            top_k: 10,
            fusion: [Fusion::Mean, Fusion::Off][i % 2],
        })
        .collect();
    let together = search(&parts, &queries, 1).unwrap();
    for kernel in kernels() {
        for threads in [1, 4] {
            let found = search_with(kernel, &parts, &queries, threads).unwrap();
            assert_eq!(found, together);
        }
    }
    for (i, (query, found)) in queries.iter().zip(&together).enumerate() {
        assert_eq!(&search(&parts, &[*query], 2).unwrap()[0], found);
        assert_eq!(named(&parts, found)[0].0, format!("d{}", i * 1000 + 1));
    }
}

#[test]
fn damaged_originals_are_reported() {
    let people = Random(34).people("p", 50, 3);
    let bad = Memory {
        damaged_original: Some(60),
        ..Memory::new(&people)
    };
    let found = search(&[bad.part(&[])], &[query(&people[0].1[0], 1)], 1);
    assert_eq!(found, Err(DamagedPart { part: 0 }));
}
