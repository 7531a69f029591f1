//! Searches that arrive together share one pass over the rows.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::row::ROW_BYTES;
use super::search::{DamagedPart, Found, Query, search};
use super::segment::Part;
use crate::gallery::fusion::Fusion;
use crate::gallery::template::Row;

/// Searches that one pass serves at most. With more of them the comparing takes longer than the reading that they share.
const AT_ONCE: usize = 16;

/// Bytes of int8 rows below which a search goes alone: it takes half a millisecond (Xeon), waiting for others would gain nothing.
const SMALL: usize = 4 << 20;

/// An answer, and the parts that it is about.
#[derive(Clone)]
pub struct Answer {
    /// What was searched.
    pub parts: Arc<[Part]>,
    /// The people found, or why there is no answer; both point into `parts`.
    pub found: Result<Vec<Found>, DamagedPart>,
}

/// Brings together the searches of one gallery.
///
/// A search that finds no pass going on makes one, for itself and those that wait. The others wait until a pass that starts after
/// their arrival is done, so that each sees all changes that were made before it.
pub struct SharedPass {
    threads: usize,
    fusion: Fusion,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    running: bool,
    next_ticket: u64,
    waiting: VecDeque<Waiting>,
    /// Fetched by those who wait for them.
    done: HashMap<u64, Outcome>,
}

struct Waiting {
    ticket: u64,
    template: Box<Row>,
    top_k: usize,
}

enum Outcome {
    Answer(Answer),
    /// The pass panicked. Who knows for which of the probes: each one searches for itself.
    Alone,
}

impl SharedPass {
    /// `threads`: how many a pass may use at most. `fusion`: of all searches.
    pub fn new(threads: usize, fusion: Fusion) -> SharedPass {
        SharedPass {
            threads,
            fusion,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// The `top_k` people most similar to `template`, as [`search`] finds them.
    ///
    /// `parts` gives the gallery's parts as they are when it is called, the same gallery in every call; it may be called by
    /// another search on behalf of this one, or several times. It must not search.
    pub fn search(&self, parts: impl Fn() -> Vec<Part>, template: &Row, top_k: usize) -> Answer {
        let now = parts();
        let rows: usize = now.iter().map(|part| part.segment.rows().len()).sum();
        if rows.saturating_mul(ROW_BYTES) < SMALL {
            return self.alone(now, template, top_k);
        }
        // Not held while waiting: it may keep files alive that were replaced meanwhile.
        drop(now);
        match self.together(&parts, template, top_k) {
            Outcome::Answer(answer) => answer,
            Outcome::Alone => self.alone(parts(), template, top_k),
        }
    }

    fn alone(&self, parts: Vec<Part>, template: &Row, top_k: usize) -> Answer {
        let found = search(&parts, &[self.query(template, top_k)], self.threads);
        Answer {
            parts: parts.into(),
            found: found.map(|mut found| found.pop().unwrap_or_default()),
        }
    }

    fn together(&self, parts: &impl Fn() -> Vec<Part>, template: &Row, top_k: usize) -> Outcome {
        let mut state = self.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting.push_back(Waiting {
            ticket,
            template: Box::new(*template),
            top_k,
        });
        loop {
            if let Some(outcome) = state.done.remove(&ticket) {
                return outcome;
            }
            if state.running {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            // The longest waiting first; with many waiting, this search itself may have to wait for the pass after.
            let count = state.waiting.len().min(AT_ONCE);
            let batch: Vec<Waiting> = state.waiting.drain(..count).collect();
            state.running = true;
            drop(state);
            let mut lead = Lead {
                pass: self,
                own: ticket,
                batch,
                answers: Vec::new(),
            };
            lead.answers = self.lead(parts(), &lead.batch);
            drop(lead);
            state = self.lock();
        }
    }

    fn lead(&self, parts: Vec<Part>, batch: &[Waiting]) -> Vec<Answer> {
        let parts: Arc<[Part]> = parts.into();
        let queries: Vec<Query> = batch
            .iter()
            .map(|waiting| self.query(&waiting.template, waiting.top_k))
            .collect();
        let found: Vec<Result<Vec<Found>, DamagedPart>> =
            match search(&parts, &queries, self.threads) {
                Ok(found) => found.into_iter().map(Ok).collect(),
                Err(damaged) => vec![Err(damaged); batch.len()],
            };
        let answer = |found| Answer {
            parts: Arc::clone(&parts),
            found,
        };
        found.into_iter().map(answer).collect()
    }

    fn query<'a>(&self, template: &'a Row, top_k: usize) -> Query<'a> {
        Query {
            template,
            top_k,
            fusion: self.fusion,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pass in progress. Its end, by a panic too, delivers the answers and lets the next search lead.
struct Lead<'a> {
    pass: &'a SharedPass,
    own: u64,
    batch: Vec<Waiting>,
    /// One for each of the batch; none if the pass panicked.
    answers: Vec<Answer>,
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let panicked = self.answers.len() != self.batch.len();
        let mut answers = std::mem::take(&mut self.answers).into_iter();
        let mut state = self.pass.lock();
        for waiting in &self.batch {
            let outcome = answers.next().map_or(Outcome::Alone, Outcome::Answer);
            state.done.insert(waiting.ticket, outcome);
        }
        if panicked {
            // Nobody comes back for these.
            state.done.remove(&self.own);
            state.waiting.retain(|waiting| waiting.ticket != self.own);
        }
        state.running = false;
        drop(state);
        self.pass.changed.notify_all();
    }
}
