//! Whatever was done, a new open finds the same people, and they are those of a plain map.

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 5;

#[derive(Clone, Debug)]
enum Step {
    Insert(Vec<(u8, u32)>),
    Update(Vec<(u8, u32)>),
    Remove(u8),
    Clear,
    Erase,
    Compact,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let batch = || prop::collection::vec((0..8_u8, 0..1000_u32), 0..9);
    prop_oneof![
        6 => batch().prop_map(Step::Insert),
        4 => batch().prop_map(Step::Update),
        4 => (0..8_u8).prop_map(Step::Remove),
        1 => Just(Step::Clear),
        1 => Just(Step::Erase),
        2 => Just(Step::Compact),
        2 => Just(Step::Reopen),
    ]
}

fn target(number: u8) -> String {
    format!("person-{number}")
}

fn batch(list: &[(u8, u32)]) -> Vec<(String, Template)> {
    list.iter()
        .map(|&(number, seed)| (target(number), template(seed)))
        .collect()
}

/// The rules of the API, in the plainest words.
fn in_the_model(model: &mut Contents, step: &Step) {
    match step {
        Step::Insert(list) => {
            for &(number, seed) in list {
                let features = model.entry(target(number)).or_default();
                if features.len() < LIMIT {
                    features.push(template(seed).to_bits());
                }
            }
        }
        Step::Update(list) => {
            for number in 0..8 {
                let new: Vec<RowBits> = list
                    .iter()
                    .filter(|(n, _)| *n == number)
                    .map(|&(_, seed)| template(seed).to_bits())
                    .collect();
                if let Some(old) = model.get_mut(&target(number))
                    && (1..=LIMIT).contains(&new.len())
                {
                    *old = new;
                }
            }
        }
        Step::Remove(number) => {
            model.remove(&target(*number));
        }
        Step::Clear => model.clear(),
        Step::Erase | Step::Compact | Step::Reopen => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_disk_and_model_agree(steps in prop::collection::vec(step(), 1..30)) {
        let directory = scratch();
        let mut gallery = open(directory.path());
        gallery.create("c").unwrap();
        let mut model = Contents::new();
        for step in &steps {
            let known = |gallery: &Gallery, n: u8| gallery.contains_target("c", &target(n)).unwrap();
            match step {
                Step::Insert(list) => {
                    let before = gallery.status("c").unwrap().feature_num;
                    let report = gallery.insert("c", batch(list)).unwrap();
                    prop_assert_eq!(gallery.status("c").unwrap().feature_num, before + report.stored);
                }
                Step::Update(list) => {
                    let report = gallery.update("c", batch(list)).unwrap();
                    for name in &report.unknown_targets {
                        prop_assert!(!model.contains_key(name));
                    }
                }
                Step::Remove(number) => {
                    let was_there = known(&gallery, *number);
                    prop_assert_eq!(gallery.remove_target("c", &target(*number)).is_ok(), was_there);
                }
                Step::Clear => gallery.clear("c").unwrap(),
                Step::Erase => { gallery.erase_removed().unwrap(); }
                Step::Compact => gallery.compact("c").unwrap(),
                Step::Reopen => {
                    let status = gallery.list();
                    drop(gallery);
                    gallery = open(directory.path());
                    prop_assert_eq!(gallery.list(), status);
                }
            }
            in_the_model(&mut model, step);
            prop_assert_eq!(&contents(&gallery, "c"), &model);
        }
        let status = gallery.list();
        let probe = template(4242);
        let found = gallery.search("c", &probe, 100).unwrap();
        prop_assert_eq!(found.len(), model.len());
        drop(gallery);
        let gallery = open(directory.path());
        prop_assert_eq!(&contents(&gallery, "c"), &model);
        prop_assert_eq!(gallery.list(), status);
        prop_assert_eq!(gallery.search("c", &probe, 100).unwrap(), found);
        prop_assert_eq!(gallery.warnings(), vec![]);
    }
}

/// More people than a chunk of the tail takes, and a generation of more than one block.
#[test]
fn a_generation_of_several_chunks_holds_everyone() {
    let directory = scratch();
    let gallery = open(directory.path());
    gallery.create("c").unwrap();
    let batch: Vec<(String, Template)> = (0..4300)
        .map(|seed| (format!("p{}", seed / 2), template(seed)))
        .collect();
    gallery.insert("c", batch).unwrap();
    gallery.remove_target("c", "p17").unwrap();
    let expected = contents(&gallery, "c");
    assert_eq!(expected.len(), 2149);
    drop(gallery);
    assert!(journal_path(directory.path()).ends_with("journal-2"));
    assert_eq!(contents(&open(directory.path()), "c"), expected);
}
