//! What is done to a store, and what a plain map makes of it.

use std::collections::BTreeMap;

use crate::gallery::tests::storage::Rng;

/// Features of one target at most; more are not stored.
pub const LIMIT: usize = 5;

/// Numbers of the features of each target, in the order of enrolment.
pub type Targets = BTreeMap<String, Vec<u32>>;

/// By the name of the collection.
pub type Contents = BTreeMap<String, Targets>;

pub type Batch = Vec<(String, u32)>;

#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    Create(String),
    Clear(String),
    Delete(String),
    Insert(String, Batch),
    Update(String, Batch),
    Remove(String, String),
    /// Of a target, by its place in the order of enrolment.
    RemoveFeature(String, String, usize),
    /// From one target to another, which may exist if the last one says so.
    Rename(String, String, String, bool),
    Compact(String),
}

impl Operation {
    pub fn collection(&self) -> &str {
        match self {
            Operation::Create(name)
            | Operation::Clear(name)
            | Operation::Delete(name)
            | Operation::Insert(name, _)
            | Operation::Update(name, _)
            | Operation::Remove(name, _)
            | Operation::RemoveFeature(name, ..)
            | Operation::Rename(name, ..)
            | Operation::Compact(name) => name,
        }
    }

    /// Whether it is accepted and what it leaves of its collection; `None` is a collection that is not there.
    pub fn effect(&self, before: Option<&Targets>) -> Result<Option<Targets>, ()> {
        if let Operation::Create(_) = self {
            return match before {
                None => Ok(Some(Targets::new())),
                Some(_) => Err(()),
            };
        }
        let mut targets = before.ok_or(())?.clone();
        match self {
            Operation::Create(_) | Operation::Compact(_) => {}
            Operation::Clear(_) => targets.clear(),
            Operation::Delete(_) => return Ok(None),
            Operation::Insert(_, batch) => {
                for (target, number) in batch {
                    let features = targets.entry(target.clone()).or_default();
                    if features.len() < LIMIT {
                        features.push(*number);
                    }
                }
            }
            Operation::Update(_, batch) => {
                for (target, features) in &mut targets {
                    let new: Vec<u32> = (batch.iter())
                        .filter(|(its, _)| its == target)
                        .map(|(_, number)| *number)
                        .collect();
                    if (1..=LIMIT).contains(&new.len()) {
                        *features = new;
                    }
                }
            }
            Operation::Remove(_, target) => {
                targets.remove(target).ok_or(())?;
            }
            Operation::RemoveFeature(_, target, index) => {
                let features = targets.get_mut(target).ok_or(())?;
                if *index >= features.len() {
                    return Err(());
                }
                features.remove(*index);
                if features.is_empty() {
                    targets.remove(target);
                }
            }
            Operation::Rename(_, from, to, merge) => {
                let new = targets.get(from).ok_or(())?.clone();
                if from != to {
                    let old = targets.get(to).cloned().unwrap_or_default();
                    let fits = *merge && old.len() + new.len() <= LIMIT;
                    if !old.is_empty() && !fits {
                        return Err(());
                    }
                    targets.remove(from);
                    targets.insert(to.clone(), [old, new].concat());
                }
            }
        }
        Ok(Some(targets))
    }

    /// Does it to all the contents; whether it was accepted.
    pub fn apply(&self, contents: &mut Contents) -> bool {
        let name = self.collection();
        let effect = self.effect(contents.get(name));
        match effect {
            Ok(Some(targets)) => drop(contents.insert(name.to_owned(), targets)),
            Ok(None) => drop(contents.remove(name)),
            Err(()) => return false,
        }
        true
    }
}

/// Some `length` operations on two collections and a handful of people. A few of them are refused.
pub fn history(seed: u64, length: usize) -> Vec<Operation> {
    let mut rng = Rng::new(seed);
    let mut number = 0;
    let mut history = vec![Operation::Create("a".into())];
    while history.len() < length {
        // Most of the time the first one, so that it gets long enough to be compacted.
        let name = ["a", "a", "a", "b"][rng.below(4)].to_owned();
        history.push(match rng.below(24) {
            0..10 => Operation::Insert(name, batch(&mut rng, &mut number, "p")),
            10..13 => Operation::Update(name, batch(&mut rng, &mut number, "p")),
            13..15 => Operation::Remove(name, target(&mut rng, "p")),
            15 => Operation::RemoveFeature(name, target(&mut rng, "p"), history.len() % 3),
            16 => rename(name, target(&mut rng, "p"), history.len()),
            17..20 => Operation::Compact(name),
            20 => Operation::Clear(name),
            21 => Operation::Delete(name),
            _ => Operation::Create(["a", "b"][rng.below(2)].into()),
        });
    }
    history
}

/// What one of several clients does, all of them in the collection `a`, each with people of its own.
pub fn client_history(seed: u64, client: usize, length: usize) -> Vec<Operation> {
    let mut rng = Rng::new(seed ^ ((client as u64 + 1) << 32));
    let mut number = client as u32 * 1_000_000;
    let prefix = format!("c{client}-");
    let mut operation = || {
        let name = "a".to_owned();
        match rng.below(20) {
            0..12 => Operation::Insert(name, batch(&mut rng, &mut number, &prefix)),
            12..15 => Operation::Update(name, batch(&mut rng, &mut number, &prefix)),
            15 => Operation::Remove(name, target(&mut rng, &prefix)),
            16 => Operation::RemoveFeature(name, target(&mut rng, &prefix), rng.below(3)),
            17 => rename(name, target(&mut rng, &prefix), rng.below(10)),
            _ => Operation::Compact(name),
        }
    };
    (0..length).map(|_| operation()).collect()
}

fn batch(rng: &mut Rng, number: &mut u32, prefix: &str) -> Batch {
    let length = [1, 1, 1, 2, 3, 7][rng.below(6)];
    (0..length)
        .map(|_| {
            *number += 1;
            (target(rng, prefix), *number)
        })
        .collect()
}

fn target(rng: &mut Rng, prefix: &str) -> String {
    format!("{prefix}{}", rng.below(5))
}

/// To the next or the last but one of the handful of people, every other time into somebody.
fn rename(name: String, from: String, at: usize) -> Operation {
    let (prefix, digit) = from.split_at(from.len() - 1);
    let digit: usize = digit.parse().unwrap_or_default();
    let to = format!("{prefix}{}", (digit + 1 + at % 3) % 5);
    Operation::Rename(name, from, to, at.is_multiple_of(2))
}

/// Takes operations away as long as something still goes wrong, and says what.
pub fn shortest(
    mut operations: Vec<Operation>,
    mut error: String,
    fails: impl Fn(&[Operation]) -> Option<String>,
) -> String {
    let mut at = operations.len();
    while at > 0 {
        at -= 1;
        let mut fewer = operations.clone();
        fewer.remove(at);
        if let Some(its) = fails(&fewer) {
            // What was taken away may have been what kept a later one, looked at before, from being taken away.
            at = fewer.len();
            (operations, error) = (fewer, its);
        }
    }
    let lines: String = operations.iter().map(|o| format!("  {o:?}\n")).collect();
    format!("in the history\n{lines}{error}")
}
