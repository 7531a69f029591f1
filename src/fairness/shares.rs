//! Memory that clients share: one alone may have most of it, and there is always some for who comes next.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Client;

/// A client may hold so many times what is left (dynamic thresholds, as switches share their buffers): alone three quarters, two
/// three sevenths each.
const OF_WHAT_IS_LEFT: usize = 3;

/// A number of bytes, shared between clients.
#[derive(Clone, Debug)]
pub struct Shares(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    /// What a client may hold in any case, if it is free.
    least: usize,
    held: HashMap<Client, usize>,
}

/// What somebody holds. Dropping it gives it back.
#[derive(Debug)]
pub struct Share {
    all: Shares,
    client: Client,
    bytes: usize,
}

impl Shares {
    /// `least` bytes a client may hold in any case, if they are free.
    pub fn new(bytes: usize, least: usize) -> Shares {
        let state = State {
            free: bytes,
            least,
            held: HashMap::new(),
        };
        Shares(Arc::new(Mutex::new(state)))
    }

    /// A share of nothing.
    pub fn share(&self, client: Client) -> Share {
        Share {
            all: self.clone(),
            client,
            bytes: 0,
        }
    }
}

impl Share {
    /// Takes more, up to `bytes` in all; whether that was possible. What is held stays.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        let mut state = (self.all.0.lock()).unwrap_or_else(PoisonError::into_inner);
        let Some(left) = state.free.checked_sub(more) else {
            return false;
        };
        let held = state.held.get(&self.client).copied().unwrap_or(0) + more;
        if held > state.least.max(left.saturating_mul(OF_WHAT_IS_LEFT)) {
            return false;
        }
        state.free = left;
        state.held.insert(self.client, held);
        self.bytes = bytes;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = (self.all.0.lock()).unwrap_or_else(PoisonError::into_inner);
        state.free += self.bytes;
        if let Some(held) = state.held.get_mut(&self.client) {
            *held -= self.bytes;
            if *held == 0 {
                state.held.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: usize = 1000;

    fn client(n: u8) -> Client {
        Client::of([192, 0, 2, n].into())
    }

    /// Takes ten at a time until there is no more.
    fn fill(shares: &Shares, of: u8) -> Share {
        let mut share = shares.share(client(of));
        while share.grow(share.bytes + 10) {}
        share
    }

    #[test]
    fn one_alone_has_most_and_leaves_some() {
        let shares = Shares::new(ALL, 0);
        let first = fill(&shares, 1);
        assert_eq!(first.bytes, 750);
        // No more by asking in two places.
        assert_eq!(fill(&shares, 1).bytes, 0);
        let newcomers: Vec<_> = (2..12).map(|n| fill(&shares, n)).collect();
        assert!(newcomers[..3].iter().all(|share| share.bytes > 0));
        drop((first, newcomers));
        assert_eq!(fill(&shares, 3).bytes, 750);
    }

    #[test]
    fn the_least_is_everybodys_while_it_is_free() {
        let shares = Shares::new(ALL, ALL);
        let mut share = shares.share(client(1));
        assert!(share.grow(ALL));
        assert!(!shares.share(client(2)).grow(1));
        drop(share);
        assert!(shares.share(client(2)).grow(ALL));
    }

    #[test]
    fn what_is_refused_takes_nothing() {
        let shares = Shares::new(ALL, 0);
        let mut share = shares.share(client(1));
        assert!(share.grow(100) && !share.grow(900));
        assert_eq!(share.bytes, 100);
        assert!(share.grow(700));
    }
}
