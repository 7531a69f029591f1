//! Worker threads, and whose work they take next.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::places::{Places, Seat};
pub use super::queue::{Cost, Size};
use super::queue::{Crew, Queue, Taken, Waiting};
use crate::fairness;

pub(super) type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

/// A job panicked, or the pool has stopped: the request gets an internal error, the worker goes on.
#[derive(Debug, thiserror::Error)]
#[error("a recognition worker failed")]
pub struct WorkerFault;

/// What the thread for large work has of a processor that others want, too: about a quarter.
const NICE: i32 = 5;

/// The thread for large work gives its state back when nothing large came for so long.
const IDLE: Duration = Duration::from_secs(60);

/// Threads that each own a state `S` and take jobs, those of openings first, then of the client that has had the least.
///
/// One thread more is for large jobs, with less right to the processor; others take such a job only where a worker is left for small
/// ones. A large job waits for its memory in the queue, never on a thread.
///
/// A request needs a [`Place`] to give work. Places are shared between clients; pictures of one request are not counted, so a batch
/// never crowds itself out.
pub struct Pool<S> {
    shared: Arc<Shared<S>>,
    /// What each worker is at.
    work: Arc<[WorkClock]>,
    places: Arc<Places>,
    workers: usize,
    threads: Vec<thread::JoinHandle<()>>,
}

struct Shared<S> {
    queue: Mutex<Queue<S>>,
    wake: Condvar,
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
    seat: Seat,
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

/// How a pool is built.
#[derive(Clone, Copy, Debug)]
pub struct PoolOptions {
    /// Threads for small jobs (at least 1); one more is for large ones.
    pub workers: usize,
    /// Requests (at least 1) that may hold work at a time, the ones being worked on included; every client has its share of them, at
    /// least one.
    pub places: usize,
    /// Bytes for the large jobs that are worked on.
    pub memory: usize,
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
        self.shared.lock().probes.push_back(Box::new(move |state| {
            if still_wanted.strong_count() > 0 {
                let _ = reply.send(job(state));
            }
        }));
        self.shared.wake.notify_all();
        answer.recv_timeout(limit).map_err(|e| match e {
            RecvTimeoutError::Timeout => Stall::NoAnswer(limit),
            RecvTimeoutError::Disconnected => Stall::Fault,
        })
    }

    /// Starts the threads, each with a state from `make`.
    ///
    /// `make` runs on the worker itself, and again after a panic there. All states are made before this returns, so that a model that
    /// cannot be loaded is told at start; only the thread for large jobs makes its own when it needs it, and gives it back.
    ///
    /// # Errors
    /// The first error of `make`, or the system's refusal of a thread.
    pub fn start<E, M>(options: PoolOptions, make: M) -> Result<Pool<S>, E>
    where
        M: Fn() -> Result<S, E> + Send + Sync + 'static,
        E: Send + From<std::io::Error> + 'static,
    {
        let workers = options.workers.max(1);
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::new(workers, options.memory)),
            wake: Condvar::new(),
        });
        let make = Arc::new(make);
        let mut pool = Pool {
            shared,
            work: (0..workers).map(|_| WorkClock::new()).collect(),
            places: Places::new(options.places),
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
        let (shared, make) = (pool.shared.clone(), make.clone());
        let large = thread::Builder::new()
            .name("recognizer-large".into())
            .spawn(move || work_on_large(&shared, make.as_ref()))?;
        pool.threads.push(large);
        for result in started {
            result?;
        }
        Ok(pool)
    }

    /// Takes a place for whoever [asks](fairness::asking), or `None` when this client has all it may: it is told to come back.
    pub fn enter(&self) -> Option<Place<S>> {
        Some(Place {
            shared: self.shared.clone(),
            workers: self.workers,
            seat: self.places.take(fairness::asking())?,
        })
    }

    /// Number of worker threads for small jobs.
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
        cost: Cost,
        job: impl FnOnce(&mut S) -> R + Send + 'static,
    ) -> oneshot::Receiver<R> {
        let (reply, result) = oneshot::channel();
        let job: Job<S> = Box::new(move |state| {
            // The request may be gone (client left, shutdown): then its work is not worth doing.
            if !reply.is_closed() {
                let _ = reply.send(job(state));
            }
        });
        (self.shared.lock()).push(self.seat.asking(), Waiting { cost, job });
        self.shared.wake.notify_all();
        result
    }

    /// Runs `job` for each item and gives the results in the order of the items.
    ///
    /// At most one job a worker is queued at a time: what an item costs is asked only then, and a search of the same client that comes
    /// in the middle of a batch of 500 waits for one picture, not for 500.
    ///
    /// # Errors
    /// [`WorkerFault`] for an item whose job panicked.
    pub async fn map<T, R>(
        &self,
        items: impl IntoIterator<Item = (Cost, T)>,
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
                let Some((cost, item)) = items.next() else {
                    break;
                };
                let job = job.clone();
                running.push_back(self.submit(cost, move |state| job(state, item)));
            }
            match running.pop_front() {
                Some(result) => results.push(result.await.map_err(|_| WorkerFault)),
                None => return results,
            }
        }
    }
}

/// Runs a job; the state may be half changed when it panics.
fn run<S>(job: Job<S>, state: &mut S) -> thread::Result<()> {
    catch_unwind(AssertUnwindSafe(|| job(state)))
}

fn work<S, E>(
    shared: &Shared<S>,
    clock: &WorkClock,
    mut state: S,
    make: &dyn Fn() -> Result<S, E>,
) {
    loop {
        let taken = {
            let mut queue = shared.lock();
            loop {
                if let Some(taken) = queue.take(Crew::Worker) {
                    break taken;
                }
                if !queue.open {
                    return;
                }
                queue = (shared.wake.wait(queue)).unwrap_or_else(PoisonError::into_inner);
            }
        };
        let Taken { job, account } = taken;
        clock.begin();
        let began = Instant::now();
        if run(job, &mut state).is_err() {
            // Make a new one, or keep the old if that fails.
            if let Ok(fresh) = make() {
                state = fresh;
            }
        }
        clock.end();
        shared.lock().done(account, began.elapsed());
        // Memory may be free that another job waits for.
        shared.wake.notify_all();
    }
}

fn work_on_large<S, E>(shared: &Shared<S>, make: &dyn Fn() -> Result<S, E>) {
    if let Err(e) = rustix::process::setpriority_process(None, NICE) {
        tracing::warn!("large pictures have the same right to the processor as others: {e}");
    }
    let mut state = None;
    loop {
        let taken = {
            let mut queue = shared.lock();
            loop {
                if let Some(taken) = queue.take(Crew::Large) {
                    break taken;
                }
                if !queue.open {
                    return;
                }
                let waited = match state {
                    None => (shared.wake.wait(queue)).map(|queue| (queue, false)),
                    Some(_) => match shared.wake.wait_timeout(queue, IDLE) {
                        Ok((queue, waited)) => Ok((queue, waited.timed_out())),
                        Err(e) => Ok((e.into_inner().0, false)),
                    },
                };
                let idle;
                (queue, idle) = waited.unwrap_or_else(|e| (e.into_inner(), false));
                if idle {
                    state = None;
                }
            }
        };
        let Taken { job, account } = taken;
        let began = Instant::now();
        if state.is_none() {
            state = make().ok();
        }
        // Without a state the job is dropped, which its request is told as a fault.
        if let Some(mut ready) = state.take()
            && run(job, &mut ready).is_ok()
        {
            state = Some(ready);
        }
        shared.lock().done(account, began.elapsed());
        shared.wake.notify_all();
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
