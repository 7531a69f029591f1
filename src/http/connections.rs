//! Who has how many connections open, and which of them goes when there are too many.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use crate::fairness::Client;

/// Why a connection is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    AllConnections,
    ConnectionsOfOneAddress,
}

/// What a connection is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// For a head, or for the client to take its answer.
    Waits,
    /// For a body.
    Uploads,
    /// A request is served.
    Serves,
}

struct Open {
    client: Client,
    stage: Stage,
    since: Instant,
    /// Told when the connection has to go.
    leave: Arc<Notify>,
}

/// The open connections, fewer than some thousands.
#[derive(Clone, Default)]
pub(super) struct Connections(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    next: u64,
    open: HashMap<u64, Open>,
}

/// A counted connection; dropping it uncounts it.
pub(super) struct Admitted {
    connections: Connections,
    id: u64,
    leave: Arc<Notify>,
}

impl State {
    fn of(&self, client: Client) -> usize {
        self.open.values().filter(|o| o.client == client).count()
    }

    /// The connection that goes for a new one of `client`: one of a client with more than its share before others, one that waits
    /// before one that uploads, the oldest first. Nobody's who has fewer than `client`.
    fn superfluous(&self, client: Client) -> Option<u64> {
        let mut counts: HashMap<Client, usize> = HashMap::from([(client, 0)]);
        for open in self.open.values() {
            *counts.entry(open.client).or_default() += 1;
        }
        let (mine, share) = (counts[&client], self.open.len() / counts.len());
        (self.open.iter())
            .filter_map(|(id, open)| {
                let count = counts[&open.client];
                let waits = open.stage == Stage::Waits;
                let may_go = match open.stage {
                    Stage::Waits => count >= mine,
                    Stage::Uploads => count > mine + 1,
                    Stage::Serves => false,
                };
                may_go.then_some((count > share, waits, count, Reverse(open.since), *id))
            })
            .max()
            .map(|(.., id)| id)
    }
}

impl Connections {
    /// Counts a connection of `client`. Where there are `max` already, one that only waits has to go for it.
    pub fn admit(
        &self,
        client: Client,
        max: usize,
        max_of_client: usize,
    ) -> Result<Admitted, Refusal> {
        let mut state = self.lock();
        if state.of(client) >= max_of_client {
            return Err(Refusal::ConnectionsOfOneAddress);
        }
        if state.open.len() >= max {
            let id = state.superfluous(client).ok_or(Refusal::AllConnections)?;
            if let Some(open) = state.open.remove(&id) {
                open.leave.notify_one();
            }
        }
        let id = state.next;
        state.next += 1;
        let leave = Arc::new(Notify::new());
        let open = Open {
            client,
            stage: Stage::Waits,
            since: Instant::now(),
            leave: leave.clone(),
        };
        state.open.insert(id, open);
        Ok(Admitted {
            connections: self.clone(),
            id,
            leave,
        })
    }

    pub fn count(&self) -> usize {
        self.lock().open.len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted {
    /// Comes back when the connection has to make room.
    pub async fn has_to_leave(&self) {
        self.leave.notified().await;
    }

    /// Runs one request of the connection.
    pub async fn serve<W: Future>(&self, work: W) -> W::Output {
        self.is_at(Stage::Serves);
        let result = work.await;
        self.is_at(Stage::Waits);
        result
    }

    /// Waits for the body of a request that is [served](Admitted::serve).
    pub async fn upload<W: Future>(&self, body: W) -> W::Output {
        self.is_at(Stage::Uploads);
        let result = body.await;
        self.is_at(Stage::Serves);
        result
    }

    fn is_at(&self, stage: Stage) {
        if let Some(open) = self.connections.lock().open.get_mut(&self.id) {
            open.stage = stage;
            open.since = Instant::now();
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.connections.lock().open.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(n: u8) -> Client {
        Client::of([192, 0, 2, n].into())
    }

    /// Whether the connection was told to go.
    async fn was_sent_away(of: &Admitted) -> bool {
        tokio::select! {
            biased;
            () = of.has_to_leave() => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn connections_are_counted_by_client_and_uncounted() {
        let open = Connections::default();
        let first = open.admit(client(1), 9, 2).ok();
        let _second = open.admit(client(1), 9, 2).ok().unwrap();
        let refusal = open.admit(client(1), 9, 2).err();
        assert_eq!(refusal, Some(Refusal::ConnectionsOfOneAddress));
        assert!(open.admit(client(2), 9, 2).is_ok());
        drop(first);
        assert_eq!(open.count(), 1);
        assert!(open.admit(client(1), 9, 2).is_ok());
    }

    #[tokio::test]
    async fn a_newcomer_gets_the_place_of_who_waits_longest_of_those_with_the_most() {
        let open = Connections::default();
        let few = open.admit(client(1), 4, 4).ok().unwrap();
        let many: Vec<_> = (0..3)
            .map(|_| open.admit(client(2), 4, 4).ok().unwrap())
            .collect();
        let newcomer = open.admit(client(3), 4, 4).ok().unwrap();
        assert!(was_sent_away(&many[0]).await);
        for stays in [&few, &many[1], &many[2], &newcomer] {
            assert!(!was_sent_away(stays).await);
        }
        assert_eq!(open.count(), 4);
        // What was sent away is not counted any more, and not twice when it ends.
        drop(many);
        assert_eq!(open.count(), 2);
    }

    #[tokio::test]
    async fn a_client_takes_no_place_of_one_with_fewer() {
        let open = Connections::default();
        let few = open.admit(client(1), 3, 3).ok().unwrap();
        let first = open.admit(client(2), 3, 3).ok().unwrap();
        let second = open.admit(client(2), 3, 3).ok().unwrap();
        let served = async {
            let third = open.admit(client(2), 3, 3).ok();
            assert!(third.is_some() && was_sent_away(&second).await);
            assert!(!was_sent_away(&first).await && !was_sent_away(&few).await);
        };
        // Whoever is served stays.
        first.serve(served).await;
    }

    #[tokio::test]
    async fn uploads_go_for_a_newcomer_and_for_nobody_who_has_as_many() {
        let open = Connections::default();
        let many: Vec<_> = (0..3)
            .map(|_| open.admit(client(1), 3, 3).ok().unwrap())
            .collect();
        let [first, second, third] = many.try_into().ok().unwrap();
        let newcomers = async {
            let one = open.admit(client(2), 3, 3);
            assert!(one.is_ok() && was_sent_away(&first).await);
            // They have two connections, and one.
            let two = open.admit(client(2), 3, 3);
            assert!(two.is_ok());
            assert!(!was_sent_away(&second).await && !was_sent_away(&third).await);
        };
        first.upload(second.upload(third.upload(newcomers))).await;
    }

    #[tokio::test]
    async fn where_all_are_served_nobody_goes() {
        let open = Connections::default();
        let only = open.admit(client(1), 1, 1).ok().unwrap();
        let refused = only
            .serve(async { open.admit(client(2), 1, 1).err() })
            .await;
        assert_eq!(refused, Some(Refusal::AllConnections));
        assert!(open.admit(client(2), 1, 1).is_ok());
    }
}
