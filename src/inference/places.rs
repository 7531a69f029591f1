//! How many requests of whom may hold work at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::fairness::{Asking, Client};

/// Places that are kept for openings.
const FOR_OPENINGS: usize = 8;

/// Places, shared between clients: one alone may have them all, and who comes then has at least the share that is due to it at once.
pub(super) struct Places {
    all: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    by_client: HashMap<Client, usize>,
    openings: usize,
}

/// A place that was taken. Dropping it frees the place.
pub(super) struct Seat {
    places: Arc<Places>,
    asking: Asking,
    reserved: bool,
}

impl Places {
    pub fn new(all: usize) -> Arc<Places> {
        Arc::new(Places {
            all: all.max(1),
            taken: Mutex::default(),
        })
    }

    pub fn take(self: &Arc<Self>, asking: Asking) -> Option<Seat> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let reserved = asking.opening && taken.openings < FOR_OPENINGS;
        if reserved {
            taken.openings += 1;
        } else {
            let mine = taken.by_client.get(&asking.client).copied().unwrap_or(0);
            let clients = taken.by_client.len() + usize::from(mine == 0);
            let share = (self.all / clients).max(1);
            // Places above `all` are those that others had before there were so many clients.
            let free = taken.by_client.values().sum::<usize>() < self.all;
            if !free && mine >= share {
                return None;
            }
            *taken.by_client.entry(asking.client).or_default() += 1;
        }
        Some(Seat {
            places: self.clone(),
            asking,
            reserved,
        })
    }
}

impl Seat {
    pub fn asking(&self) -> Asking {
        self.asking
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = (self.places.taken.lock()).unwrap_or_else(PoisonError::into_inner);
        if self.reserved {
            taken.openings -= 1;
        } else if let Some(places) = taken.by_client.get_mut(&self.asking.client) {
            *places -= 1;
            if *places == 0 {
                taken.by_client.remove(&self.asking.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(of: u8, opening: bool) -> Asking {
        let client = Client::of([192, 0, 2, of].into());
        Asking { client, opening }
    }

    /// Takes places until there are none.
    fn fill(places: &Arc<Places>, of: u8) -> Vec<Seat> {
        std::iter::from_fn(|| places.take(asking(of, false))).collect()
    }

    #[test]
    fn one_client_may_have_what_nobody_else_wants() {
        let places = Places::new(8);
        let mut all = fill(&places, 1);
        assert_eq!(all.len(), 8);
        all.pop();
        assert_eq!(fill(&places, 1).len(), 1);
    }

    #[test]
    fn a_newcomer_has_its_share_at_once() {
        let places = Places::new(8);
        let first = fill(&places, 1);
        let second = fill(&places, 2);
        let third = fill(&places, 3);
        assert_eq!([first.len(), second.len(), third.len()], [8, 4, 2]);
        drop(first);
        // The first has its share again, not what it had.
        assert_eq!(fill(&places, 1).len(), 2);
    }

    #[test]
    fn everybody_has_one_however_few_there_are() {
        let places = Places::new(1);
        let all: Vec<_> = (0..50).map(|n| fill(&places, n)).collect();
        assert!(all.iter().all(|seats| seats.len() == 1));
    }

    #[test]
    fn places_are_kept_for_openings() {
        let places = Places::new(1);
        let _search = fill(&places, 1);
        let openings: Vec<_> = (0..FOR_OPENINGS + 1)
            .map_while(|_| places.take(asking(1, true)))
            .collect();
        assert_eq!(openings.len(), FOR_OPENINGS);
        drop(openings);
        assert!(places.take(asking(1, true)).is_some());
    }
}
