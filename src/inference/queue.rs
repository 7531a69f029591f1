//! The jobs that wait for a thread, and which of them is next.

use std::collections::VecDeque;
use std::time::Duration;

use super::pool::Job;
use crate::fairness::{Asking, Client, Turns};

/// How much of a thread's time a job takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Any worker takes it.
    Small,
    /// A worker takes it only if another one is left for small jobs.
    Large,
    /// For the thread for large jobs alone.
    Huge,
}

/// What a job takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    pub size: Size,
    /// Bytes of the memory for large jobs.
    pub memory: usize,
}

impl Cost {
    pub const SMALL: Cost = Cost {
        size: Size::Small,
        memory: 0,
    };

    fn is_small(&self) -> bool {
        self.size == Size::Small
    }
}

/// Who takes a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crew {
    Worker,
    Large,
}

pub(super) struct Waiting<S> {
    pub cost: Cost,
    pub job: Job<S>,
}

/// A job to be run, and what [`Queue::done`] must be told.
pub(super) struct Taken<S> {
    pub job: Job<S>,
    pub account: Account,
}

pub(super) struct Account {
    /// Nobody, for a probe.
    asking: Option<Asking>,
    cost: Cost,
    crew: Crew,
}

pub(super) struct Queue<S> {
    pub probes: VecDeque<Job<S>>,
    openings: Turns<Waiting<S>>,
    others: Turns<Waiting<S>>,
    pub open: bool,
    workers: usize,
    /// Workers that are at large jobs.
    at_large: usize,
    /// What is left of the memory for large jobs.
    memory: usize,
}

impl<S> Queue<S> {
    pub fn new(workers: usize, memory: usize) -> Queue<S> {
        Queue {
            probes: VecDeque::new(),
            openings: Turns::default(),
            others: Turns::default(),
            open: true,
            workers,
            at_large: 0,
            memory,
        }
    }

    fn line(&mut self, opening: bool) -> &mut Turns<Waiting<S>> {
        match opening {
            true => &mut self.openings,
            false => &mut self.others,
        }
    }

    pub fn push(&mut self, asking: Asking, waiting: Waiting<S>) {
        self.line(asking.opening).push(asking.client, waiting);
    }

    /// The next job for one of `crew`, if there is one that may be begun.
    pub fn take(&mut self, crew: Crew) -> Option<Taken<S>> {
        match crew {
            Crew::Worker => (self.take_probe())
                .or_else(|| self.take_opening())
                .or_else(|| self.take_small())
                .or_else(|| self.take_large_beside_small()),
            Crew::Large => self.take_large(),
        }
    }

    fn take_probe(&mut self) -> Option<Taken<S>> {
        let account = Account {
            asking: None,
            cost: Cost::SMALL,
            crew: Crew::Worker,
        };
        self.probes.pop_front().map(|job| Taken { job, account })
    }

    /// Of any size: somebody stands before the door.
    fn take_opening(&mut self) -> Option<Taken<S>> {
        let free = self.memory;
        let next = self.openings.next(|w| w.cost.memory <= free)?;
        let (client, waiting) = self.openings.take(next)?;
        Some(self.begin(client, waiting, true, Crew::Worker))
    }

    fn take_small(&mut self) -> Option<Taken<S>> {
        let next = self.others.next(|w| w.cost.is_small())?;
        let (client, waiting) = self.others.take(next)?;
        Some(self.begin(client, waiting, false, Crew::Worker))
    }

    fn take_large_beside_small(&mut self) -> Option<Taken<S>> {
        if self.at_large + 1 >= self.workers || self.opening_waits_for_memory() {
            return None;
        }
        let next = self.others.next(|w| w.cost.size == Size::Large)?;
        // What has its turn before is not overtaken as to memory, or it might wait for ever.
        let first = self.others.next(|w| !w.cost.is_small())?;
        let before = match self.others.job(first).cost {
            Cost {
                size: Size::Huge,
                memory,
            } => memory,
            _ => 0,
        };
        if self.others.job(next).cost.memory + before > self.memory {
            return None;
        }
        let (client, waiting) = self.others.take(next)?;
        Some(self.begin(client, waiting, false, Crew::Worker))
    }

    fn take_large(&mut self) -> Option<Taken<S>> {
        if self.opening_waits_for_memory() {
            return None;
        }
        let next = self.others.next(|w| !w.cost.is_small())?;
        if self.others.job(next).cost.memory > self.memory {
            return None;
        }
        let (client, waiting) = self.others.take(next)?;
        Some(self.begin(client, waiting, false, Crew::Large))
    }

    fn opening_waits_for_memory(&self) -> bool {
        self.openings.next(|w| w.cost.memory > 0).is_some()
    }

    fn begin(
        &mut self,
        client: Client,
        waiting: Waiting<S>,
        opening: bool,
        crew: Crew,
    ) -> Taken<S> {
        let Waiting { cost, job } = waiting;
        self.memory = self.memory.saturating_sub(cost.memory);
        if crew == Crew::Worker && !cost.is_small() {
            self.at_large += 1;
        }
        let account = Account {
            asking: Some(Asking { client, opening }),
            cost,
            crew,
        };
        Taken { job, account }
    }

    /// A job that was taken has been run.
    pub fn done(&mut self, account: Account, took: Duration) {
        let Account { asking, cost, crew } = account;
        self.memory += cost.memory;
        if crew == Crew::Worker && !cost.is_small() {
            self.at_large -= 1;
        }
        if let Some(Asking { client, opening }) = asking {
            self.line(opening).done(client, took);
        }
    }

    /// Jobs that nobody has taken.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.probes.len() + self.openings.len() + self.others.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BIG: usize = 60;

    fn queue(workers: usize) -> Queue<Vec<&'static str>> {
        Queue::new(workers, 100)
    }

    fn client(n: u8) -> Client {
        Client::of([192, 0, 2, n].into())
    }

    fn push(
        queue: &mut Queue<Vec<&'static str>>,
        of: u8,
        opening: bool,
        size: Size,
        name: &'static str,
    ) {
        let asking = Asking {
            client: client(of),
            opening,
        };
        let memory = if size == Size::Small { 0 } else { BIG };
        let cost = Cost { size, memory };
        let job: Job<Vec<&'static str>> = Box::new(move |done| done.push(name));
        queue.push(asking, Waiting { cost, job });
    }

    /// Takes a job and runs it; what it was called, and the account of it.
    fn take(queue: &mut Queue<Vec<&'static str>>, crew: Crew) -> Option<(&'static str, Account)> {
        let taken = queue.take(crew)?;
        let mut done = Vec::new();
        (taken.job)(&mut done);
        Some((done[0], taken.account))
    }

    fn name(queue: &mut Queue<Vec<&'static str>>, crew: Crew) -> Option<&'static str> {
        take(queue, crew).map(|(name, _)| name)
    }

    #[test]
    fn openings_go_before_everything_but_a_probe() {
        let mut queue = queue(2);
        push(&mut queue, 1, false, Size::Small, "search");
        push(&mut queue, 1, true, Size::Huge, "opening");
        queue.probes.push_back(Box::new(|done| done.push("probe")));
        for expected in ["probe", "opening", "search"] {
            assert_eq!(name(&mut queue, Crew::Worker), Some(expected));
        }
    }

    #[test]
    fn a_worker_is_left_for_small_jobs() {
        for workers in 1..=3 {
            let mut queue = queue(workers);
            queue.memory = 1000;
            for _ in 0..5 {
                push(&mut queue, 1, false, Size::Large, "large");
            }
            let taken = (0..5).filter_map(|_| name(&mut queue, Crew::Worker));
            assert_eq!(taken.count(), workers - 1);
            push(&mut queue, 2, false, Size::Small, "small");
            assert_eq!(name(&mut queue, Crew::Worker), Some("small"));
            assert_eq!(name(&mut queue, Crew::Large), Some("large"));
        }
    }

    #[test]
    fn huge_jobs_are_for_their_own_thread() {
        let mut queue = queue(4);
        push(&mut queue, 1, false, Size::Huge, "huge");
        push(&mut queue, 1, false, Size::Small, "small");
        assert_eq!(name(&mut queue, Crew::Worker), Some("small"));
        assert_eq!(name(&mut queue, Crew::Worker), None);
        assert_eq!(name(&mut queue, Crew::Large), Some("huge"));
    }

    #[test]
    fn memory_is_waited_for_in_the_queue_and_nobody_overtakes() {
        let mut queue = queue(3);
        push(&mut queue, 1, false, Size::Large, "first");
        push(&mut queue, 1, false, Size::Huge, "second");
        push(&mut queue, 1, false, Size::Large, "third");
        let (first, account) = take(&mut queue, Crew::Worker).unwrap();
        assert_eq!(first, "first");
        assert!(queue.take(Crew::Large).is_none() && queue.take(Crew::Worker).is_none());
        queue.done(account, Duration::ZERO);
        // Enough for one: it is whose turn it is.
        assert!(queue.take(Crew::Worker).is_none());
        let (second, account) = take(&mut queue, Crew::Large).unwrap();
        assert_eq!(second, "second");
        queue.done(account, Duration::ZERO);
        assert_eq!(name(&mut queue, Crew::Worker), Some("third"));
    }

    #[test]
    fn an_opening_gets_the_next_memory_that_is_free() {
        let mut queue = queue(3);
        push(&mut queue, 1, false, Size::Huge, "huge");
        let (_, account) = take(&mut queue, Crew::Large).unwrap();
        push(&mut queue, 1, false, Size::Huge, "huge");
        push(&mut queue, 2, true, Size::Large, "opening");
        assert!(queue.take(Crew::Worker).is_none());
        queue.done(account, Duration::ZERO);
        assert!(queue.take(Crew::Large).is_none());
        assert_eq!(name(&mut queue, Crew::Worker), Some("opening"));
    }
}
