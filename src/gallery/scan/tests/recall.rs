//! How often int8 loses somebody whom f32 finds: with so many people compared again, never in these thousands of probes.

use super::*;

/// Shares of probes whose best one, and whose best ten, are those of f32 (cosines within `slack` count as equal).
fn recall(parts: &[Part], probes: &[Row], slack: f32) -> (f64, f64) {
    let queries: Vec<Query> = probes
        .iter()
        .map(|template| Query {
            template,
            top_k: 10,
            fusion: Fusion::Off,
        })
        .collect();
    let reference = Exact::new(parts);
    let (mut first, mut ten) = (0, 0);
    for (probes, queries) in probes.chunks(16).zip(queries.chunks(16)) {
        for (probe, found) in probes.iter().zip(search(parts, queries, 2).unwrap()) {
            let expected = reference.find(probe, 10);
            let found = named(parts, &found);
            let same = |i: usize| found[i].1 >= expected[i].1 - slack;
            first += usize::from(same(0));
            ten += usize::from((0..10).all(same));
        }
    }
    let share = |count: usize| count as f64 / probes.len() as f64;
    (share(first), share(ten))
}

fn measure(people: usize, probes: usize) {
    let random = &mut Random(people as u64);
    let crowd = random.people("p", people, 5);
    let parts = [Memory::new(&crowd).part(&[])];
    let probes: Vec<Row> = (0..probes)
        .map(|i| {
            let center = &crowd[random.below(people)].1[0];
            match i % 3 {
                0 => random.near(center, 0.6),
                1 => random.near(center, 0.3),
                _ => random.row(),
            }
        })
        .collect();
    let (first, ten) = recall(&parts, &probes, 0.0);
    println!(
        "{people} people, {} probes: recall@1 {first}, recall@10 {ten}",
        probes.len()
    );
    assert_eq!((first, ten), (1.0, 1.0));
}

/// The same by means, among strangers: nobody is alike, so that the order is the least clear.
fn measure_means(people: usize, probes: usize) {
    let random = &mut Random(people as u64);
    let crowd = random.people("p", people, 5);
    let parts = [Memory::new(&crowd).part(&[])];
    let mut right = 0;
    for _ in 0..probes {
        let probe = random.row();
        let query = Query {
            template: &probe,
            top_k: 10,
            fusion: Fusion::Mean,
        };
        let found = search(&parts, &[query], 2).unwrap().remove(0);
        let mut exact: Vec<f32> = (crowd.iter())
            .map(|(_, rows)| Fusion::Mean.cosine_of_rows(rows.iter().copied(), &probe))
            .collect();
        exact.sort_unstable_by(|a, b| b.total_cmp(a));
        right += (found.iter().zip(exact))
            .filter(|(one, exact)| one.cosine == *exact)
            .count();
    }
    println!("{people} people by means, {probes} probes: {right} right");
    assert_eq!(right, 10 * probes);
}

#[test]
fn nobody_is_lost_among_a_thousand() {
    measure(1_000, 300);
}

/// More people than are compared again.
#[test]
fn no_mean_is_lost_among_thousands() {
    measure_means(8_000, 40);
}

/// Takes minutes: `cargo test --release recall -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn nobody_is_lost_among_many() {
    measure(20_000, 2_000);
    measure(100_000, 300);
    measure_means(100_000, 200);
}
