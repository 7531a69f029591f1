//! Worker threads with a bounded number of requests waiting for them.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

/// A job panicked, or the pool has stopped: the request gets an internal error, the worker goes on.
#[derive(Debug, thiserror::Error)]
#[error("a recognition worker failed")]
pub struct WorkerFault;

/// Threads that each own a state `S` and take jobs in the order they came.
///
/// A request needs a [`Place`] to give work. Places are bounded, so memory and waiting time are too;
/// pictures of one request are not counted, so a batch never crowds itself out.
pub struct Pool<S> {
    shared: Arc<Shared<S>>,
    /// What each worker is at.
    work: Arc<[WorkClock]>,
    places: Arc<Semaphore>,
    workers: usize,
    threads: Vec<thread::JoinHandle<()>>,
}

struct Shared<S> {
    queue: Mutex<Queue<S>>,
    wake: Condvar,
}

struct Queue<S> {
    jobs: VecDeque<Job<S>>,
    open: bool,
}

impl<S> Shared<S> {
    /// Jobs run outside the lock, so a poisoned lock guards a whole queue all the same.
    fn lock(&self) -> MutexGuard<'_, Queue<S>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right of one request to give work to the pool. Dropping it frees the place.
pub struct Place<S> {
    shared: Arc<Shared<S>>,
    workers: usize,
    _permit: OwnedSemaphorePermit,
}

/// Since when a worker is at its job.
struct WorkClock {
    origin: Instant,
    /// Milliseconds after `origin`, from 1; 0: it waits for a job.
    since: AtomicU64,
}

impl WorkClock {
    fn new() -> WorkClock {
        WorkClock {
            origin: Instant::now(),
            since: AtomicU64::new(0),
        }
    }

    fn begin(&self) {
        let since = self.origin.elapsed().as_millis() as u64 + 1;
        self.since.store(since, Ordering::Relaxed);
    }

    fn end(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    /// How long the present job takes already.
    fn at_it(&self) -> Duration {
        match self.since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => (self.origin.elapsed()).saturating_sub(Duration::from_millis(since)),
        }
    }
}

/// What a probe of the workers found wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stall {
    #[error("no recognition worker answered within {0:.0?}")]
    NoAnswer(Duration),
    #[error("a recognition worker is at one picture for {0:.0?}")]
    Hung(Duration),
    #[error("a recognition worker failed at a probe")]
    Fault,
}

impl<S: 'static> Pool<S> {
    /// Has the next worker that is free run `job`, before everything that waits: a full queue does not make it fail.
    ///
    /// Waits for the answer on this thread. To be called by one thread at a time.
    ///
    /// # Errors
    /// [`Stall::Hung`] if a worker is at one job for longer than `longest_job`, even if others answer;
    /// [`Stall::NoAnswer`] if none is free within `limit`.
    pub fn probe<R: Send + 'static>(
        &self,
        limit: Duration,
        longest_job: Duration,
        job: impl FnOnce(&mut S) -> R + Send + 'static,
    ) -> Result<R, Stall> {
        let longest = self.work.iter().map(WorkClock::at_it).max();
        if let Some(longest) = longest.filter(|longest| *longest > longest_job) {
            return Err(Stall::Hung(longest));
        }
        let (reply, answer) = mpsc::channel();
        // Gone as soon as nobody waits any more: a job that comes to its turn later is not done.
        let wanted = Arc::new(());
        let still_wanted = Arc::downgrade(&wanted);
        self.shared.lock().jobs.push_front(Box::new(move |state| {
            if still_wanted.strong_count() > 0 {
                let _ = reply.send(job(state));
            }
        }));
        self.shared.wake.notify_one();
        answer.recv_timeout(limit).map_err(|e| match e {
            RecvTimeoutError::Timeout => Stall::NoAnswer(limit),
            RecvTimeoutError::Disconnected => Stall::Fault,
        })
    }

    /// Starts `workers` threads (at least 1), each with a state from `make`; `places` requests (at
    /// least 1) may hold work at a time, the ones being worked on included.
    ///
    /// `make` runs on the worker itself, and again after a panic there. All states are made before
    /// this returns, so that a model that cannot be loaded is told at start.
    ///
    /// # Errors
    /// The first error of `make`, or the system's refusal of a thread.
    pub fn start<E, M>(workers: usize, places: usize, make: M) -> Result<Pool<S>, E>
    where
        M: Fn() -> Result<S, E> + Send + Sync + 'static,
        E: Send + From<std::io::Error> + 'static,
    {
        let workers = workers.max(1);
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                jobs: VecDeque::new(),
                open: true,
            }),
            wake: Condvar::new(),
        });
        let make = Arc::new(make);
        let mut pool = Pool {
            shared,
            work: (0..workers).map(|_| WorkClock::new()).collect(),
            places: Arc::new(Semaphore::new(places.max(1))),
            workers,
            threads: Vec::new(),
        };
        let (ready, started) = mpsc::channel();
        for index in 0..workers {
            let (shared, make, ready) = (pool.shared.clone(), make.clone(), ready.clone());
            let clocks = pool.work.clone();
            let thread = thread::Builder::new()
                .name(format!("recognizer-{index}"))
                .spawn(move || match make() {
                    Ok(state) => {
                        let _ = ready.send(Ok(()));
                        drop(ready);
                        work(&shared, &clocks[index], state, make.as_ref());
                    }
                    Err(e) => {
                        let _ = ready.send(Err(e));
                    }
                })?;
            pool.threads.push(thread);
        }
        drop(ready);
        for result in started {
            result?;
        }
        Ok(pool)
    }

    /// Takes a place, or `None` when all are taken: the client is told to come back.
    pub fn enter(&self) -> Option<Place<S>> {
        let permit = self.places.clone().try_acquire_owned().ok()?;
        Some(Place {
            shared: self.shared.clone(),
            workers: self.workers,
            _permit: permit,
        })
    }

    /// Number of worker threads.
    pub fn workers(&self) -> usize {
        self.workers
    }
}

impl<S> Drop for Pool<S> {
    fn drop(&mut self) {
        self.shared.lock().open = false;
        self.shared.wake.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl<S: 'static> Place<S> {
    /// Queues `job` and returns where its result will come.
    pub fn submit<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut S) -> R + Send + 'static,
    ) -> oneshot::Receiver<R> {
        let (reply, result) = oneshot::channel();
        self.shared.lock().jobs.push_back(Box::new(move |state| {
            // The request may be gone (client left, shutdown): then its work is not worth doing.
            if !reply.is_closed() {
                let _ = reply.send(job(state));
            }
        }));
        self.shared.wake.notify_one();
        result
    }

    /// Runs `job` for each item and gives the results in the order of the items.
    ///
    /// At most one job a worker is queued at a time, so that a search that comes in the middle of
    /// a batch of 500 waits for one picture, not for 500.
    ///
    /// # Errors
    /// [`WorkerFault`] for an item whose job panicked.
    pub async fn map<T, R>(
        &self,
        items: impl IntoIterator<Item = T>,
        job: impl Fn(&mut S, T) -> R + Clone + Send + 'static,
    ) -> Vec<Result<R, WorkerFault>>
    where
        T: Send + 'static,
        R: Send + 'static,
    {
        let mut items = items.into_iter();
        let mut running = VecDeque::with_capacity(self.workers);
        let mut results = Vec::new();
        loop {
            while running.len() < self.workers {
                let Some(item) = items.next() else { break };
                let job = job.clone();
                running.push_back(self.submit(move |state| job(state, item)));
            }
            match running.pop_front() {
                Some(result) => results.push(result.await.map_err(|_| WorkerFault)),
                None => return results,
            }
        }
    }
}

fn work<S, E>(
    shared: &Shared<S>,
    clock: &WorkClock,
    mut state: S,
    make: &dyn Fn() -> Result<S, E>,
) {
    loop {
        let job = {
            let mut queue = shared.lock();
            loop {
                if let Some(job) = queue.jobs.pop_front() {
                    break job;
                }
                if !queue.open {
                    return;
                }
                queue = (shared.wake.wait(queue)).unwrap_or_else(PoisonError::into_inner);
            }
        };
        clock.begin();
        if catch_unwind(AssertUnwindSafe(|| job(&mut state))).is_err() {
            // The state may be half changed: make a new one, or keep the old if that fails.
            if let Ok(fresh) = make() {
                state = fresh;
            }
        }
        clock.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(workers: usize, places: usize) -> Pool<u32> {
        Pool::start::<std::io::Error, _>(workers, places, || Ok(0)).unwrap()
    }

    #[tokio::test]
    async fn results_come_in_the_order_of_the_items() {
        let pool = pool(4, 1);
        let place = pool.enter().unwrap();
        let squares = place
            .map(0..100u64, |_, n| {
                thread::sleep(std::time::Duration::from_micros((100 - n) * 10));
                n * n
            })
            .await;
        let squares: Vec<u64> = squares.into_iter().map(Result::unwrap).collect();
        assert_eq!(squares, (0..100).map(|n| n * n).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn places_are_bounded_and_freed() {
        let pool = pool(1, 2);
        let first = pool.enter();
        let second = pool.enter();
        assert!(first.is_some() && second.is_some() && pool.enter().is_none());
        drop(first);
        assert!(pool.enter().is_some());
    }

    #[tokio::test]
    async fn a_panic_costs_one_item_and_no_worker() {
        let pool = pool(1, 1);
        let place = pool.enter().unwrap();
        let results = place
            .map(0..3, |state, n| {
                *state += 1;
                assert!(n != 1, "this panic is part of the test");
                *state
            })
            .await;
        assert_eq!(*results[0].as_ref().unwrap(), 1);
        assert!(results[1].is_err());
        // The state was made anew after the panic.
        assert_eq!(*results[2].as_ref().unwrap(), 1);
    }

    const LIMIT: Duration = Duration::from_millis(200);
    const LONG: Duration = Duration::from_secs(60);

    /// A pool of one worker whose worker is at a job until the sender is dropped.
    fn busy_pool() -> (Pool<u32>, Place<u32>, mpsc::Sender<()>) {
        let pool = pool(1, 1);
        let place = pool.enter().unwrap();
        let (release, held) = mpsc::channel::<()>();
        let (begun, began) = mpsc::channel();
        let _result = place.submit(move |_| {
            let _ = begun.send(());
            let _ = held.recv();
        });
        // A job whose result nobody waits for is not begun.
        began.recv().unwrap();
        (pool, place, release)
    }

    #[tokio::test]
    async fn a_probe_goes_before_whatever_waits() {
        let (pool, place, release) = busy_pool();
        let (order, done) = mpsc::channel();
        const WAITING: usize = 50;
        let waiting: Vec<_> = (0..WAITING)
            .map(|_| {
                let order = order.clone();
                place.submit(move |_| order.send("waited").unwrap())
            })
            .collect();
        let shared = pool.shared.clone();
        let releaser = thread::spawn(move || {
            while shared.lock().jobs.len() <= WAITING {
                thread::sleep(Duration::from_millis(1));
            }
            drop(release);
        });
        let probed = order.clone();
        assert_eq!(
            pool.probe(LONG, LONG, move |_| probed.send("probe").unwrap()),
            Ok(())
        );
        releaser.join().unwrap();
        for result in waiting {
            result.await.unwrap();
        }
        assert_eq!(done.try_iter().position(|who| who == "probe"), Some(0));
    }

    #[test]
    fn workers_that_do_not_answer_are_told_of() {
        let (pool, _place, release) = busy_pool();
        assert_eq!(pool.probe(LIMIT, LONG, |_| ()), Err(Stall::NoAnswer(LIMIT)));
        let hung = pool.probe(LIMIT, LIMIT / 2, |_| ());
        assert!(matches!(hung, Err(Stall::Hung(_))), "{hung:?}");
        drop(release);
        assert_eq!(pool.probe(LONG, LONG, |_| ()), Ok(()));
    }

    #[test]
    fn a_state_that_cannot_be_made_is_told_at_start() {
        let refused = Pool::<u32>::start::<std::io::Error, _>(2, 1, || {
            Err(std::io::Error::other("no such model"))
        });
        assert_eq!(refused.err().unwrap().to_string(), "no such model");
    }
}
