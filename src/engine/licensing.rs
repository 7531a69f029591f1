//! How much the license allows.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Code, Engine, Error};

/// Places that running requests have been promised and not yet taken. Without them two requests at once could both get the last one.
#[derive(Clone, Default)]
pub(super) struct Promised(Arc<Mutex<Places>>);

#[derive(Clone, Copy, Default)]
struct Places {
    collections: usize,
    people: usize,
}

impl Promised {
    fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Promised places, to be kept until the gallery counts what took them. For that moment they count twice: at the very limit a
/// request may be refused that would have fitted, never the other way round.
pub(super) struct Promise {
    promised: Promised,
    places: Places,
}

impl Drop for Promise {
    fn drop(&mut self) {
        let mut places = self.promised.lock();
        places.collections -= self.places.collections;
        places.people -= self.places.people;
    }
}

impl Engine {
    /// A place for a collection of this name. One that there is already needs none; the gallery will say so.
    ///
    /// # Errors
    /// 1012.
    pub(super) fn promise_collection(&self, name: &str) -> Result<Promise, Error> {
        let mut promised = self.promised.lock();
        let limit = self.license.limits().collections;
        let mut places = Places::default();
        if let Some(limit) = limit
            && self.gallery.status(name).is_err()
        {
            let there = self.gallery.list().len();
            if (there + promised.collections) as u64 >= limit {
                return Err(Error::new(Code::Unlicensed).with(format!(
                    "the license allows {} and no more; there now: {there}",
                    counted(limit, "collection", "collections")
                )));
            }
            places.collections = 1;
        }
        promised.collections += places.collections;
        Ok(self.promise(places))
    }

    /// Places for those of `targets` that the collection does not have.
    ///
    /// # Errors
    /// 1012, 1006.
    pub(super) fn promise_people<'t>(
        &self,
        collection: &str,
        targets: impl Iterator<Item = &'t str>,
    ) -> Result<Promise, Error> {
        let mut places = Places::default();
        let Some(limit) = self.license.limits().people else {
            return Ok(self.promise(places));
        };
        for target in targets.collect::<HashSet<_>>() {
            if !self.gallery.contains_target(collection, target)? {
                places.people += 1;
            }
        }
        let mut promised = self.promised.lock();
        let list = self.gallery.list();
        let there: usize = list.iter().map(|status| status.person_num).sum();
        if places.people > 0 && (there + promised.people + places.people) as u64 > limit {
            return Err(Error::new(Code::Unlicensed).with(format!(
                "the license allows {} in all collections together; enrolled now: {there}, new in this request: {}",
                counted(limit, "person", "people"),
                places.people
            )));
        }
        promised.people += places.people;
        Ok(self.promise(places))
    }

    /// `places` have been counted.
    fn promise(&self, places: Places) -> Promise {
        Promise {
            promised: self.promised.clone(),
            places,
        }
    }
}

fn counted(number: u64, one: &str, more: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        number => format!("{number} {more}"),
    }
}
