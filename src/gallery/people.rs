//! The people of one collection in memory: a flat matrix of rows, searched front to back, and who owns which row.

use std::collections::HashMap;
use std::sync::Arc;

use super::operation::{Feature, Operation};
use super::search::best_people;
use super::template::{Row, Template, row_from_bits, row_to_bits};

/// A person that a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The person's target id.
    pub target: String,
    /// Cosine between the probe and the person's most similar feature, -1 to 1. Not calibrated.
    pub cosine: f32,
}

/// Invariants: `owners` is as long as `rows`; `people[owners[r]].rows` contains `r` exactly once; nobody has no rows;
/// `slots` maps each person's target to its place in `people`.
#[derive(Default)]
pub(super) struct People {
    rows: Vec<Row>,
    owners: Vec<u32>,
    people: Vec<Person>,
    slots: HashMap<Arc<str>, u32>,
}

struct Person {
    target: Arc<str>,
    /// Places in the matrix, in the order of enrolment.
    rows: Vec<u32>,
}

impl People {
    pub fn feature_num(&self) -> usize {
        self.rows.len()
    }

    pub fn person_num(&self) -> usize {
        self.people.len()
    }

    pub fn contains(&self, target: &str) -> bool {
        self.slots.contains_key(target)
    }

    /// Features that `target` has, 0 for someone unknown.
    pub fn features_of(&self, target: &str) -> usize {
        self.slots
            .get(target)
            .map_or(0, |&slot| self.people[slot as usize].rows.len())
    }

    pub fn search(&self, probe: &Template, top_k: usize) -> Vec<Hit> {
        let targets = self.people.iter().map(|person| &*person.target);
        best_people(&self.rows, &self.owners, targets, probe.row(), top_k)
            .into_iter()
            .map(|(target, cosine)| Hit {
                target: target.to_owned(),
                cosine,
            })
            .collect()
    }

    /// Every feature, person by person, each person's in the order of enrolment.
    pub fn features(&self) -> impl Iterator<Item = Feature> + '_ {
        self.people.iter().flat_map(|person| {
            person.rows.iter().map(|&row| Feature {
                target: person.target.to_string(),
                bits: row_to_bits(&self.rows[row as usize]),
            })
        })
    }

    /// Does what a journal record says. The same code runs after a commit and at replay, so that both arrive at the same people.
    /// A `Begin` changes nobody.
    pub fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Begin(_) => {}
            Operation::Insert { features, .. } => self.add_all(features),
            Operation::Replace { features, .. } => {
                for feature in features {
                    self.remove(&feature.target);
                }
                self.add_all(features);
            }
            Operation::Remove { target, .. } => self.remove(target),
        }
    }

    fn add_all(&mut self, features: &[Feature]) {
        for feature in features {
            self.add(&feature.target, row_from_bits(&feature.bits));
        }
    }

    fn add(&mut self, target: &str, row: Row) {
        let slot = match self.slots.get(target) {
            Some(&slot) => slot,
            None => {
                let slot = place(self.people.len());
                let target: Arc<str> = target.into();
                self.people.push(Person {
                    target: Arc::clone(&target),
                    rows: Vec::with_capacity(1),
                });
                self.slots.insert(target, slot);
                slot
            }
        };
        self.people[slot as usize].rows.push(place(self.rows.len()));
        self.rows.push(row);
        self.owners.push(slot);
    }

    fn remove(&mut self, target: &str) {
        let Some(slot) = self.slots.remove(target) else {
            return;
        };
        let mut rows = std::mem::take(&mut self.people[slot as usize].rows);
        // From the back, so that a row which moves into a hole is never one that is still to be removed.
        rows.sort_unstable_by(|a, b| b.cmp(a));
        for row in rows {
            self.remove_row(row);
        }
        self.people.swap_remove(slot as usize);
        if let Some(moved) = self.people.get(slot as usize) {
            for &row in &moved.rows {
                self.owners[row as usize] = slot;
            }
            self.slots.insert(Arc::clone(&moved.target), slot);
        }
    }

    /// The last row moves into the hole, so that the matrix stays without gaps.
    fn remove_row(&mut self, row: u32) {
        self.rows.swap_remove(row as usize);
        self.owners.swap_remove(row as usize);
        if let Some(&owner) = self.owners.get(row as usize) {
            let last = place(self.rows.len());
            for owned in &mut self.people[owner as usize].rows {
                if *owned == last {
                    *owned = row;
                }
            }
        }
    }
}

/// Places are u32: four billion rows are three terabytes of matrix, memory ends long before.
fn place(index: usize) -> u32 {
    u32::try_from(index).expect("a matrix of four billion rows does not fit in memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feature(target: &str, seed: u32) -> Feature {
        let vector: Vec<f32> = (0..192)
            .map(|i| ((i + seed * 977) as f32 * 0.31).cos())
            .collect();
        Feature::new(target.to_owned(), &Template::new(&vector).unwrap())
    }

    fn check_invariants(people: &People) {
        assert_eq!(people.rows.len(), people.owners.len());
        assert_eq!(people.slots.len(), people.people.len());
        let mut seen = 0;
        for (slot, person) in people.people.iter().enumerate() {
            assert_eq!(people.slots[&person.target] as usize, slot);
            assert!(!person.rows.is_empty());
            for &row in &person.rows {
                assert_eq!(people.owners[row as usize] as usize, slot);
                seen += 1;
            }
        }
        assert_eq!(seen, people.rows.len());
    }

    #[test]
    fn removal_in_any_order_keeps_everyone_elses_rows() {
        let names = ["a", "b", "c", "d"];
        for first in 0..4 {
            for second in 0..4 {
                let mut people = People::default();
                let mut all = Vec::new();
                for seed in 0..10 {
                    all.push(feature(names[seed as usize % 4], seed));
                }
                people.apply(&Operation::Insert {
                    at: 0,
                    features: all.clone(),
                });
                check_invariants(&people);
                for gone in [names[first], names[second]] {
                    people.apply(&Operation::Remove {
                        at: 0,
                        target: gone.to_owned(),
                    });
                    all.retain(|feature| feature.target != gone);
                    check_invariants(&people);
                }
                let mut left: Vec<Feature> = people.features().collect();
                left.sort_by(|a, b| a.target.cmp(&b.target));
                all.sort_by(|a, b| a.target.cmp(&b.target));
                assert_eq!(left, all);
            }
        }
    }

    #[test]
    fn replacing_leaves_only_the_new_features() {
        let mut people = People::default();
        people.apply(&Operation::Insert {
            at: 0,
            features: vec![feature("a", 1), feature("b", 2), feature("a", 3)],
        });
        let new = vec![feature("a", 4), feature("a", 5)];
        people.apply(&Operation::Replace {
            at: 0,
            features: new.clone(),
        });
        check_invariants(&people);
        let left: Vec<Feature> = people.features().filter(|f| f.target == "a").collect();
        assert_eq!(left, new);
        assert_eq!(people.features_of("b"), 1);
        assert_eq!(people.features_of("nobody"), 0);
    }
}
