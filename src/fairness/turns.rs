//! Whose turn it is: start-time fair queueing, with the time that work really took.
//!
//! Of the clients with waiting work the one is next that has had the least. Who comes back after a pause has had no less than
//! those who are served now: nobody saves up, and nobody who has waited for nothing is behind.

use std::collections::VecDeque;
use std::time::Duration;

use super::Client;

/// What work is taken to cost until it is known.
const EXPECTED: Duration = Duration::from_millis(20);

/// Work of clients, waiting.
#[derive(Debug)]
pub struct Turns<J> {
    clients: Vec<Account<J>>,
    /// What the client that was served last had had by then.
    now: Duration,
}

#[derive(Debug)]
struct Account<J> {
    client: Client,
    had: Duration,
    waiting: VecDeque<J>,
    running: usize,
}

impl<J> Default for Turns<J> {
    fn default() -> Self {
        Turns {
            clients: Vec::new(),
            now: Duration::ZERO,
        }
    }
}

impl<J> Turns<J> {
    /// Puts `job` behind the others of its client.
    pub fn push(&mut self, client: Client, job: J) {
        let known = self.clients.iter().position(|a| a.client == client);
        let index = known.unwrap_or_else(|| {
            self.clients.push(Account {
                client,
                had: self.now,
                waiting: VecDeque::new(),
                running: 0,
            });
            self.clients.len() - 1
        });
        let account = &mut self.clients[index];
        if account.waiting.is_empty() && account.running == 0 {
            account.had = account.had.max(self.now);
        }
        account.waiting.push_back(job);
    }

    /// The next job of those that are `fit`; of each client its first that is.
    pub fn next(&self, fit: impl Fn(&J) -> bool) -> Option<Next> {
        (self.clients.iter().enumerate())
            .filter_map(|(account, a)| Some((a.had, account, a.waiting.iter().position(&fit)?)))
            .min()
            .map(|(_, account, job)| Next { account, job })
    }

    /// A job that [`Turns::next`] found.
    pub fn job(&self, next: Next) -> &J {
        &self.clients[next.account].waiting[next.job]
    }

    /// Takes a job that [`Turns::next`] found. To be followed by [`Turns::done`].
    pub fn take(&mut self, next: Next) -> Option<(Client, J)> {
        let account = self.clients.get_mut(next.account)?;
        let job = account.waiting.remove(next.job)?;
        self.now = self.now.max(account.had);
        account.had += EXPECTED;
        account.running += 1;
        Some((account.client, job))
    }

    /// The work that was taken last for `client` took so long.
    pub fn done(&mut self, client: Client, took: Duration) {
        if let Some(account) = self.clients.iter_mut().find(|a| a.client == client) {
            account.had = account.had.saturating_sub(EXPECTED) + took;
            account.running = account.running.saturating_sub(1);
        }
        // Whoever asks again is taken as new: that must not be an advantage. Nobody waits: nobody has one.
        let idle = |a: &Account<J>| a.waiting.is_empty() && a.running == 0;
        let all_idle = self.clients.iter().all(idle);
        let now = self.now;
        self.clients
            .retain(|a| !(idle(a) && (all_idle || a.had <= now)));
    }

    /// Jobs that wait.
    pub fn len(&self) -> usize {
        self.clients.iter().map(|a| a.waiting.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Where the next job is; good until the queue is changed.
#[derive(Clone, Copy, Debug)]
pub struct Next {
    account: usize,
    job: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_millis(500);
    const SHORT: Duration = Duration::from_millis(5);

    fn client(n: u8) -> Client {
        Client::of([192, 0, 2, n].into())
    }

    fn take(turns: &mut Turns<&'static str>) -> Option<&'static str> {
        let next = turns.next(|_| true)?;
        turns.take(next).map(|(_, job)| job)
    }

    #[test]
    fn a_newcomer_is_next_however_much_waits() {
        let mut turns = Turns::default();
        for _ in 0..500 {
            turns.push(client(1), "many");
        }
        assert_eq!(take(&mut turns), Some("many"));
        turns.push(client(2), "one");
        assert_eq!(take(&mut turns), Some("one"));
        assert_eq!(turns.len(), 499);
    }

    #[test]
    fn who_takes_long_comes_seldom() {
        let mut turns = Turns::default();
        for _ in 0..100 {
            turns.push(client(1), "long");
            turns.push(client(2), "short");
        }
        let mut taken = Vec::new();
        for _ in 0..60 {
            let job = take(&mut turns).unwrap();
            taken.push(job);
            match job {
                "long" => turns.done(client(1), LONG),
                _ => turns.done(client(2), SHORT),
            }
        }
        assert_eq!(taken.iter().filter(|job| **job == "long").count(), 1);
    }

    #[test]
    fn waiting_for_nothing_saves_nothing_up() {
        let mut turns = Turns::default();
        for _ in 0..50 {
            turns.push(client(1), "busy");
            assert_eq!(take(&mut turns), Some("busy"));
            turns.push(client(1), "busy");
            turns.done(client(1), LONG);
            assert_eq!(take(&mut turns), Some("busy"));
            turns.push(client(1), "busy");
            turns.done(client(1), LONG);
        }
        for _ in 0..50 {
            turns.push(client(2), "back");
        }
        let mut taken = Vec::new();
        for _ in 0..10 {
            let job = take(&mut turns).unwrap();
            taken.push(job);
            turns.done(client(if job == "busy" { 1 } else { 2 }), LONG);
        }
        // Turn and turn about, not all that was not taken before.
        assert!(taken.iter().filter(|job| **job == "busy").count() >= 4);
    }

    #[test]
    fn what_does_not_fit_does_not_hold_up_the_rest() {
        let mut turns = Turns::default();
        turns.push(client(1), "large");
        turns.push(client(1), "small");
        let next = turns.next(|job| *job == "small").unwrap();
        assert_eq!(turns.take(next).map(|(_, job)| job), Some("small"));
        assert_eq!(take(&mut turns), Some("large"));
        assert_eq!(take(&mut turns), None);
    }

    #[test]
    fn clients_that_are_served_are_forgotten() {
        let mut turns = Turns::default();
        for n in 0..200 {
            turns.push(client(n), "job");
            assert!(take(&mut turns).is_some());
            turns.done(client(n), SHORT);
        }
        assert!(turns.clients.is_empty() && turns.is_empty());
    }
}
