//! The people of one collection: those of the generation, less the ones who left, and those who came since.

use std::collections::HashMap;
use std::sync::Arc;

use super::chunk::Chunk;
use super::forms::Forms;
use super::generation::Generation;
use super::operation::{Feature, Operation};
use super::scan::{Bits, Damaged, Part, Segment};
use super::template::RowBits;

/// A person that a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// The person's target id.
    pub target: String,
    /// Cosine between the probe and the person's most similar feature, or what the search's fusion makes of all of them, -1 to 1. Not
    /// calibrated.
    pub cosine: f32,
}

/// Everyone is in one place at a time: a person of the generation who gains features moves to the tail with all of them.
///
/// Cloning shares the rows, so a search or a compaction goes on with the people it saw while others come and go.
#[derive(Clone, Default)]
pub(super) struct People {
    pub(super) base: Option<Base>,
    pub(super) chunks: Vec<Tail>,
    /// Places of the people in the tail; those of the generation are found by their order.
    index: Arc<HashMap<Arc<str>, Place>>,
    persons: usize,
    features: usize,
    /// Rows in the tail, those of people who left included.
    tail_rows: usize,
    /// Names that are not in the form in which new ones are stored.
    forms: Forms,
}

#[derive(Clone)]
pub(super) struct Base {
    pub generation: Arc<Generation>,
    pub dead: Arc<Bits>,
    /// Blocks of it are lost for good; those whose rows they held are among the dead.
    lost: bool,
}

#[derive(Clone)]
pub(super) struct Tail {
    pub chunk: Arc<Chunk>,
    pub dead: Arc<Bits>,
}

#[derive(Clone, Copy)]
struct Place {
    chunk: u32,
    person: u32,
}

impl People {
    /// Everyone of a generation.
    pub fn of(generation: Arc<Generation>) -> People {
        People {
            persons: generation.person_num(),
            features: generation.row_num(),
            forms: Forms::of((0..generation.person_num()).map(|p| generation.target(p as u32))),
            base: Some(Base {
                generation,
                dead: Arc::default(),
                lost: false,
            }),
            ..People::default()
        }
    }

    pub fn generation(&self) -> Option<&Arc<Generation>> {
        self.base.as_ref().map(|base| &base.generation)
    }

    pub fn feature_num(&self) -> usize {
        self.features
    }

    pub fn person_num(&self) -> usize {
        self.persons
    }

    /// Rows that only the journals hold, those of people who left included.
    pub fn tail_rows(&self) -> usize {
        self.tail_rows
    }

    /// Rows of the generation.
    pub fn base_rows(&self) -> usize {
        self.base
            .as_ref()
            .map_or(0, |base| base.generation.row_num())
    }

    pub fn contains(&self, target: &str) -> bool {
        self.index.contains_key(target) || self.in_base(target).is_some()
    }

    /// The name under which whoever is asked for as `name` is stored.
    pub fn stored_as(&self, name: &str) -> Option<String> {
        self.forms.stored_as(name, |name| self.contains(name))
    }

    /// Features that `target` has, 0 for someone unknown.
    pub fn features_of(&self, target: &str) -> usize {
        if let Some(place) = self.index.get(target) {
            let chunk = &self.chunks[place.chunk as usize].chunk;
            return chunk.rows_of(place.person as usize).len();
        }
        self.in_base(target)
            .map_or(0, |(base, person)| base.generation.rows_of(person).len())
    }

    /// The features of `target` in the order of enrolment, `None` for someone unknown.
    ///
    /// # Errors
    /// [`Damaged`], then and at every later call.
    pub fn originals_of(&self, target: &str) -> Result<Option<Vec<RowBits>>, Damaged> {
        if let Some(place) = self.index.get(target) {
            let chunk = &self.chunks[place.chunk as usize].chunk;
            let rows = chunk.rows_of(place.person as usize);
            return Ok(Some(chunk.originals()[rows].to_vec()));
        }
        self.check_target(target)?;
        Ok(self.in_base(target).map(|(base, person)| {
            let rows = base.generation.rows_of(person);
            base.generation.originals()[rows].to_vec()
        }))
    }

    /// Names that are stored in another form than new ones are; some of them may be of people who left.
    pub fn forms(&self) -> &Forms {
        &self.forms
    }

    /// People whose names are forms of one name, by name; the composed form first.
    pub fn same_names(&self) -> Vec<Vec<String>> {
        let of = |composed: &str| -> Vec<String> {
            let names = std::iter::once(composed).chain(self.forms.others(composed));
            (names.filter(|name| self.contains(name)).map(str::to_owned)).collect()
        };
        let groups = self.forms.composed().map(of);
        groups.filter(|names| names.len() > 1).collect()
    }

    /// What a search reads.
    pub fn parts(&self) -> Vec<Part> {
        let base = self.base.iter().map(|base| Part {
            segment: Arc::clone(&base.generation) as Arc<dyn Segment>,
            dead: Arc::clone(&base.dead),
        });
        let tail = self.chunks.iter().map(|tail| Part {
            segment: Arc::clone(&tail.chunk) as Arc<dyn Segment>,
            dead: Arc::clone(&tail.dead),
        });
        base.chain(tail).collect()
    }

    /// Everyone in byte order of their targets, each with its features in the order of enrolment.
    pub fn in_order(&self) -> Vec<(&str, &[RowBits])> {
        let mut people = Vec::with_capacity(self.persons);
        if let Some(base) = &self.base {
            let generation = &*base.generation;
            let originals = generation.originals();
            for person in (0..generation.person_num()).filter(|&p| !base.dead.contains(p as u32)) {
                people.push((
                    generation.target(person as u32),
                    &originals[generation.rows_of(person)],
                ));
            }
        }
        for tail in &self.chunks {
            let originals = tail.chunk.originals();
            for person in (0..tail.chunk.person_num()).filter(|&p| !tail.dead.contains(p as u32)) {
                people.push((
                    tail.chunk.target(person as u32),
                    &originals[tail.chunk.rows_of(person)],
                ));
            }
        }
        people.sort_unstable_by_key(|(target, _)| *target);
        people
    }

    /// Does what a journal record says. The same code runs after a commit and at replay, so that both arrive at the same people.
    /// A `Begin` changes nobody.
    pub fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Begin(_) => {}
            Operation::Insert { features, .. } => {
                for (target, new) in by_target(features) {
                    let mut all = self.take(target);
                    all.extend(new);
                    self.add(target, &all);
                }
            }
            Operation::Replace { features, .. } => {
                for (target, new) in by_target(features) {
                    self.take(target);
                    self.add(target, &new);
                }
            }
            Operation::Remove { target, .. } => {
                self.take(target);
            }
            Operation::Rename { from, features, .. } => {
                self.take(from);
                for (target, new) in by_target(features) {
                    self.take(target);
                    self.add(target, &new);
                }
            }
        }
    }

    /// Whether the rows that an operation carries over from the generation can be read. To be asked before [`People::apply`].
    pub fn check(&self, operation: &Operation) -> Result<(), Damaged> {
        match operation {
            Operation::Insert { features, .. } => features
                .iter()
                .try_for_each(|feature| self.check_target(&feature.target)),
            _ => Ok(()),
        }
    }

    /// Whether the rows of one person can be read.
    pub fn check_target(&self, target: &str) -> Result<(), Damaged> {
        match self.in_base(target) {
            Some((base, person)) => {
                let rows = base.generation.rows_of(person);
                base.generation.verify_originals(rows)
            }
            None => Ok(()),
        }
    }

    /// Whether every row that a new generation takes over can be read.
    pub fn check_all(&self) -> Result<(), Damaged> {
        match &self.base {
            Some(base) if base.lost => (0..base.generation.person_num())
                .filter(|&person| !base.dead.contains(person as u32))
                .try_for_each(|person| {
                    let rows = base.generation.rows_of(person);
                    base.generation.verify_originals(rows)
                }),
            Some(base) => {
                let rows = 0..base.generation.row_num();
                base.generation.verify_originals(rows)
            }
            None => Ok(()),
        }
    }

    /// Takes out everyone of the generation whose originals touch one of these byte ranges of its file, and returns how many they
    /// are.
    pub fn drop_damaged(&mut self, ranges: &[(u64, u64)]) -> usize {
        let Some(base) = &mut self.base else { return 0 };
        let mut lost = 0;
        let dead = Arc::make_mut(&mut base.dead);
        for person in 0..base.generation.person_num() {
            let rows = base.generation.rows_of(person);
            if !dead.contains(person as u32) && base.generation.originals_touch(&rows, ranges) {
                dead.insert(person as u32);
                self.features -= rows.len();
                self.persons -= 1;
                lost += 1;
            }
        }
        base.lost = true;
        lost
    }

    fn in_base(&self, target: &str) -> Option<(&Base, usize)> {
        let base = self.base.as_ref()?;
        let person = base.generation.person(target)?;
        (!base.dead.contains(person as u32)).then_some((base, person))
    }

    fn add(&mut self, target: &str, features: &[RowBits]) {
        if self.chunks.last().is_none_or(|tail| tail.chunk.is_full()) {
            self.chunks.push(Tail {
                chunk: Arc::new(Chunk::new()),
                dead: Arc::default(),
            });
        }
        let chunk = self.chunks.len() - 1;
        self.forms.add(target);
        let target: Arc<str> = target.into();
        let person =
            Arc::make_mut(&mut self.chunks[chunk].chunk).add(Arc::clone(&target), features);
        // Four billion rows are two terabytes of tail, memory ends long before.
        let place = Place {
            chunk: chunk as u32,
            person: person as u32,
        };
        Arc::make_mut(&mut self.index).insert(target, place);
        self.persons += 1;
        self.features += features.len();
        self.tail_rows += features.len();
    }

    /// Takes a person out and returns its features, none for someone unknown.
    fn take(&mut self, target: &str) -> Vec<RowBits> {
        let features = if self.index.contains_key(target) {
            let Some(place) = Arc::make_mut(&mut self.index).remove(target) else {
                return Vec::new();
            };
            let tail = &mut self.chunks[place.chunk as usize];
            Arc::make_mut(&mut tail.dead).insert(place.person);
            tail.chunk.originals()[tail.chunk.rows_of(place.person as usize)].to_vec()
        } else {
            let Some((_, person)) = self.in_base(target) else {
                return Vec::new();
            };
            let Some(base) = &mut self.base else {
                return Vec::new();
            };
            let rows = base.generation.rows_of(person);
            Arc::make_mut(&mut base.dead).insert(person as u32);
            base.generation.originals()[rows].to_vec()
        };
        self.forms.remove(target);
        self.persons -= 1;
        self.features -= features.len();
        features
    }
}

/// Each target once, in the order in which the features name it first, with its features in their order.
fn by_target(features: &[Feature]) -> Vec<(&str, Vec<RowBits>)> {
    let mut order: HashMap<&str, usize> = HashMap::with_capacity(features.len());
    let mut groups: Vec<(&str, Vec<RowBits>)> = Vec::with_capacity(features.len());
    for feature in features {
        let next = groups.len();
        let place = *order.entry(&feature.target).or_insert(next);
        if place == next {
            groups.push((&feature.target, Vec::with_capacity(1)));
        }
        groups[place].1.push(feature.bits);
    }
    groups
}
