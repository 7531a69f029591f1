//! Group commit: changes that arrive while one is being synced are written together and share the next sync.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::batch::{Ahead, InsertReport, UpdateReport, plan_insert, plan_update};
use super::clock::now;
use super::error::GalleryError;
use super::operation::Operation;
use super::renaming::{Renamed, plan_removal, plan_rename};
use super::scan::Damaged;
use super::template::Template;

/// What a caller asks for.
pub(super) enum Change {
    /// At most `limit` features a target.
    Insert {
        items: Vec<(String, Template)>,
        limit: usize,
        /// Features that their target has already are not stored again.
        skip_identical: bool,
    },
    Update {
        items: Vec<(String, Template)>,
        limit: usize,
    },
    Remove {
        target: String,
    },
    RemoveFeature {
        target: String,
        index: usize,
    },
    /// Into an existing target only with `merge`, and then with at most `limit` features in all.
    Rename {
        /// When it counts as done, milliseconds since 1970 UTC; now if not said.
        at: Option<u64>,
        from: String,
        to: String,
        merge: bool,
        limit: usize,
    },
}

impl Change {
    /// Only what brings templates must be of the template space of today: a person's data can always be erased, and renamed.
    pub fn adds_templates(&self) -> bool {
        matches!(self, Change::Insert { .. } | Change::Update { .. })
    }

    /// Names of the people whose features it carries over.
    pub fn carries_over(&self) -> Vec<&str> {
        match self {
            Change::Insert { items, .. } => items.iter().map(|(target, _)| &**target).collect(),
            Change::RemoveFeature { target, .. } => vec![target],
            Change::Rename { from, to, .. } => vec![from, to],
            Change::Update { .. } | Change::Remove { .. } => Vec::new(),
        }
    }

    /// The first format version of a journal that can hold it.
    pub fn since_version(&self) -> u32 {
        match self {
            Change::Rename { .. } => 3,
            _ => 1,
        }
    }

    /// The change as a record, `None` if nothing is to be stored, and what the caller hears when it is durable.
    ///
    /// # Errors
    /// [`GalleryError::UnknownTarget`], [`GalleryError::NoSuchFeature`], [`GalleryError::TargetExists`],
    /// [`GalleryError::TooManyFeatures`]; [`GalleryError::Damaged`] if features that it builds on cannot be read.
    pub fn plan(
        self,
        people: &Ahead,
        collection: &str,
    ) -> Result<(Option<Operation>, Outcome), GalleryError> {
        let at = now();
        match self {
            Change::Insert {
                items,
                limit,
                skip_identical,
            } => {
                let (features, report) = plan_insert(people, items, limit, skip_identical)
                    .map_err(|damaged| unreadable(damaged, collection))?;
                let operation =
                    (!features.is_empty()).then_some(Operation::Insert { at, features });
                Ok((operation, Outcome::Inserted(report)))
            }
            Change::Update { items, limit } => {
                let (features, report) = plan_update(people, items, limit);
                let operation =
                    (!features.is_empty()).then_some(Operation::Replace { at, features });
                Ok((operation, Outcome::Updated(report)))
            }
            Change::Remove { target } => {
                let target = known(people, target, collection)?;
                Ok((Some(Operation::Remove { at, target }), Outcome::Removed))
            }
            Change::RemoveFeature { target, index } => {
                let target = known(people, target, collection)?;
                let features = (people.features(&target)).map_err(|e| unreadable(e, collection))?;
                let left = features.len().saturating_sub(1);
                let operation = plan_removal(at, target, features, index)?;
                Ok((Some(operation), Outcome::FeatureRemoved { left }))
            }
            Change::Rename {
                at: then,
                from,
                to,
                merge,
                limit,
            } => {
                let at = then.unwrap_or(at);
                let from = known(people, from, collection)?;
                let plan = plan_rename(people, at, from, &to, merge.then_some(limit));
                let (operation, renamed) = plan.map_err(|e| unreadable(e, collection))??;
                Ok((operation, Outcome::Renamed(renamed)))
            }
        }
    }
}

/// The name under which `target` is stored.
fn known(people: &Ahead, target: String, collection: &str) -> Result<String, GalleryError> {
    (people.stored_as(&target)).ok_or_else(|| GalleryError::UnknownTarget {
        collection: collection.to_owned(),
        target,
    })
}

fn unreadable(_: Damaged, collection: &str) -> GalleryError {
    GalleryError::Damaged {
        path: collection.into(),
        what: "its generation cannot be read".to_owned(),
    }
}

/// What became of a change.
pub(super) enum Outcome {
    Inserted(InsertReport),
    Updated(UpdateReport),
    Removed,
    FeatureRemoved { left: usize },
    Renamed(Renamed),
}

/// A change on its way, and the place where its answer appears.
pub(super) struct Ticket {
    change: Mutex<Option<Change>>,
    answer: Mutex<Option<Result<Outcome, GalleryError>>>,
}

impl Ticket {
    /// The first format version of a journal that can hold the change.
    pub fn since_version(&self) -> u32 {
        lock(&self.change).as_ref().map_or(1, Change::since_version)
    }

    pub fn take_change(&self) -> Option<Change> {
        lock(&self.change).take()
    }

    pub fn answer(&self, answer: Result<Outcome, GalleryError>) {
        *lock(&self.answer) = Some(answer);
    }

    pub fn take_answer(&self) -> Option<Result<Outcome, GalleryError>> {
        lock(&self.answer).take()
    }
}

/// Changes that wait for somebody to write them.
///
/// Whoever comes while nobody writes leads: it writes all changes that wait, its own among them. The others sleep until their
/// answers are there, and one of those who came meanwhile leads next. Nobody waits for the writer's lock only to fetch an answer:
/// each of them would have to be let in between two syncs, and those who are let in late come too late for the next one.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    written: Condvar,
}

#[derive(Default)]
struct Waiting {
    tickets: Vec<Arc<Ticket>>,
    /// Somebody is writing, or about to.
    led: bool,
}

/// What [`Queue::wait`] comes back with.
pub(super) enum Turn<'a> {
    Answered(Result<Outcome, GalleryError>),
    /// It is for the caller to write what waits.
    Lead(Lead<'a>),
}

/// Until it is dropped, nobody else leads.
pub(super) struct Lead<'a>(&'a Queue);

impl Queue {
    pub fn add(&self, change: Change) -> Arc<Ticket> {
        let ticket = Arc::new(Ticket {
            change: Mutex::new(Some(change)),
            answer: Mutex::new(None),
        });
        lock(&self.waiting).tickets.push(Arc::clone(&ticket));
        ticket
    }

    /// Waits until a ticket is answered or nobody leads.
    pub fn wait(&self, ticket: &Ticket) -> Turn<'_> {
        let mut waiting = lock(&self.waiting);
        loop {
            if let Some(answer) = ticket.take_answer() {
                return Turn::Answered(answer);
            }
            if !waiting.led {
                waiting.led = true;
                return Turn::Lead(Lead(self));
            }
            waiting = self
                .written
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Lead<'_> {
    /// Everything that waits now.
    pub fn take_all(&self) -> Vec<Arc<Ticket>> {
        std::mem::take(&mut lock(&self.0.waiting).tickets)
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        lock(&self.0.waiting).led = false;
        self.0.written.notify_all();
    }
}

/// The same refusal once more, for everyone whose change was in the same write.
pub(super) fn same_again(error: &GalleryError) -> GalleryError {
    match error {
        GalleryError::Storage {
            path,
            source,
            while_doing,
        } => GalleryError::Storage {
            path: path.clone(),
            source: match source.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io::Error::new(source.kind(), source.to_string()),
            },
            while_doing,
        },
        GalleryError::ReadOnly { collection, reason } => GalleryError::ReadOnly {
            collection: collection.clone(),
            reason: reason.clone(),
        },
        GalleryError::UnknownCollection { name } => {
            GalleryError::UnknownCollection { name: name.clone() }
        }
        other => GalleryError::ReadOnly {
            collection: String::new(),
            reason: other.to_string(),
        },
    }
}

/// Nothing that is locked here is ever left half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gallery::operation::Feature;
    use crate::gallery::people::People;

    fn template() -> Template {
        Template::new(&[1.0; 192]).unwrap()
    }

    fn insert(target: &str, count: usize) -> Change {
        Change::Insert {
            items: vec![(target.to_owned(), template()); count],
            limit: 5,
            skip_identical: false,
        }
    }

    /// A change is judged by what the ones before it in the same write will have done.
    #[test]
    fn quotas_count_what_is_written_with_them() {
        let mut people = People::default();
        people.apply(&Operation::Insert {
            at: 0,
            features: vec![Feature::new("anna".to_owned(), &template()); 2],
        });
        let mut ahead = Ahead::of(&people);
        let mut stored = |change: Change| {
            let (operation, outcome) = change.plan(&ahead, "c").unwrap();
            operation
                .into_iter()
                .for_each(|operation| ahead.follow(operation));
            match outcome {
                Outcome::Inserted(report) => report.stored,
                Outcome::Updated(report) => report.stored,
                Outcome::Removed | Outcome::FeatureRemoved { .. } | Outcome::Renamed(_) => 0,
            }
        };
        assert_eq!(stored(insert("anna", 2)), 2);
        assert_eq!(stored(insert("anna", 2)), 1);
        let target = "anna".to_owned();
        assert_eq!(stored(Change::Remove { target }), 0);
        assert_eq!(stored(insert("anna", 6)), 5);
        let items = vec![("anna".to_owned(), template())];
        assert_eq!(stored(Change::Update { items, limit: 5 }), 1);
        assert_eq!(stored(insert("anna", 9)), 4);
        let target = "ben".to_owned();
        assert!(Change::Remove { target }.plan(&ahead, "c").is_err());
    }
}
