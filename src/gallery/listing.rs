//! Who is in a collection, page by page, in the order of target ids.

use std::collections::BinaryHeap;

use super::people::{Base, People, Tail};
use super::scan::Segment;

/// A person without the features.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Person {
    /// The person's target id.
    pub target: String,
    /// Features that the person has.
    pub feature_num: usize,
}

/// A part of everyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// In byte order of their target ids.
    pub people: Vec<Person>,
    /// Whether others come after them.
    pub more: bool,
    /// People in the collection at the moment of the listing.
    pub total: usize,
}

/// Everyone at one moment. It shares the rows, so it can be read while others come and go.
pub(super) struct Listing {
    base: Option<Base>,
    chunks: Vec<Tail>,
    total: usize,
}

impl Listing {
    /// Leaves out the index: a change that came while it is shared would copy the whole of it.
    pub fn of(people: &People) -> Listing {
        Listing {
            base: people.base.clone(),
            chunks: people.chunks.clone(),
            total: people.person_num(),
        }
    }

    /// The first `limit` people behind the target id `after`, which need not be anybody's; from the first one without it.
    pub fn page(&self, after: Option<&str>, limit: usize) -> Page {
        let comes = |target: &str| after.is_none_or(|after| target > after);
        // One more than asked for tells whether there are more.
        let wanted = limit.saturating_add(1);
        let mut first: BinaryHeap<Person> = BinaryHeap::new();
        let mut offer = |target: &str, feature_num: usize| {
            let last = first.peek().filter(|_| first.len() >= wanted);
            if last.is_some_and(|last| last.target.as_str() <= target) {
                return;
            }
            first.push(Person {
                target: target.to_owned(),
                feature_num,
            });
            if first.len() > wanted {
                first.pop();
            }
        };
        if let Some(base) = &self.base {
            // Already in order.
            let generation = &*base.generation;
            let start = after.map_or(0, |after| generation.people_until(after));
            (start..generation.person_num())
                .filter(|&person| !base.dead.contains(person as u32))
                .take(wanted)
                .for_each(|person| {
                    offer(
                        generation.target(person as u32),
                        generation.rows_of(person).len(),
                    );
                });
        }
        for Tail { chunk, dead } in &self.chunks {
            (0..chunk.person_num())
                .filter(|&person| !dead.contains(person as u32))
                .map(|person| (chunk.target(person as u32), chunk.rows_of(person).len()))
                .filter(|(target, _)| comes(target))
                .for_each(|(target, feature_num)| offer(target, feature_num));
        }
        let mut people = first.into_sorted_vec();
        let more = people.len() > limit;
        people.truncate(limit);
        Page {
            people,
            more,
            total: self.total,
        }
    }
}
