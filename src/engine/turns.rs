//! Where requests on one collection wait for each other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as Gate, OwnedMutexGuard};

/// One gate a collection; other collections go on meanwhile.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<String, Arc<Gate<()>>>>);

/// The right to go on, to be held until that collection is changed.
pub(super) type Turn = OwnedMutexGuard<()>;

impl Turns {
    /// Waits until nobody else holds the turn of `collection`.
    pub async fn of(&self, collection: &str) -> Turn {
        self.gate(collection).lock_owned().await
    }

    /// Gates that nobody holds or waits at are dropped, so there are never more than requests, whatever names they bring.
    fn gate(&self, collection: &str) -> Arc<Gate<()>> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Clones are made under this lock only: a count of 1 stays 1.
        gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        gates.entry(collection.to_owned()).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_collection_waits_for_itself_and_for_no_other() {
        let turns = Turns::default();
        let staff = turns.of("staff").await;
        assert!(turns.gate("staff").try_lock_owned().is_err());
        // Would hang if there were one gate for all.
        let guests = turns.of("guests").await;
        drop(staff);
        drop(turns.of("staff").await);
        assert!(turns.gate("guests").try_lock_owned().is_err());
        drop(guests);
    }

    #[tokio::test]
    async fn gates_that_nobody_holds_are_dropped() {
        let turns = Turns::default();
        let held = turns.of("held").await;
        let waited_at = turns.gate("waited at");
        for n in 0..100 {
            drop(turns.of(&format!("other {n}")).await);
        }
        let names = |turns: &Turns| {
            let mut names: Vec<String> = turns.0.lock().unwrap().keys().cloned().collect();
            names.sort();
            names
        };
        assert_eq!(names(&turns), ["held", "other 99", "waited at"]);
        drop((held, waited_at));
        drop(turns.of("last").await);
        assert_eq!(names(&turns), ["last"]);
    }
}
