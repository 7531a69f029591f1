//! Errors of the storage at every call of a history, and a full disk.
//!
//! After each operation the running store must hold what was acknowledged and nothing of what was refused. Opened again once the
//! storage works, it holds what was acknowledged; what was refused last may be there too, whole or not at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::operation::{Contents, Operation, Targets, history, shortest};
use super::{Subject, guarded};
use crate::gallery::tests::storage::{Failing, Fault, Kind, Recorded};

/// Operations that meet an error that lasts, before the storage is healed.
const PATIENCE: usize = 4;

/// What was looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Histories run, each with its own error.
    pub runs: usize,
    /// Of these: runs in which no call failed, because the history has fewer calls.
    pub unhurt: usize,
    /// Operations refused that would have been accepted without the error.
    pub refused: usize,
    /// Runs in which something was refused when the error was over: read-only until reopened.
    pub stuck: usize,
    /// Operations done in memory in spite of an `Err`, as documented.
    pub in_spite: usize,
}

/// One history with one error in it.
struct Run<'a, S> {
    operations: &'a [Operation],
    failing: Failing,
    storage: Recorded,
    counts: &'a mut Counts,
    subject: Option<S>,
    /// What the running store holds.
    running: Contents,
    /// What may be found instead of `running` after a new open, by collection.
    instead: BTreeMap<String, Vec<Option<Targets>>>,
}

/// Lets each call fail once, and again with every later one; each kind of call and all together; with and without the unsynced
/// bytes after a failed sync. Panics with the history that goes wrong.
pub fn assert_withstands_errors<S: Subject>(seed: u64, length: usize) -> Counts {
    assert_history_withstands_errors::<S>(&history(seed, length), seed)
}

/// The same with a history of the caller's.
pub fn assert_history_withstands_errors<S: Subject>(operations: &[Operation], seed: u64) -> Counts {
    let mut counts = Counts::default();
    for kind in Kind::ALL.map(Some).into_iter().chain([None]) {
        for fault in [
            Fault::Once(libc::EIO),
            Fault::From(libc::EIO),
            Fault::Once(libc::ENOSPC),
        ] {
            for dropping in [false, true] {
                let plan = Plan {
                    kind,
                    fault,
                    dropping,
                };
                assert_withstands::<S>(operations, seed, plan, &mut counts);
            }
        }
    }
    println!("seed {seed}: {counts:?}");
    counts
}

/// The disk is full from each call on, for some operations, and then has room again: nothing refused remains, and the store goes
/// on by itself. Panics with the history that goes wrong.
pub fn assert_withstands_a_full_disk<S: Subject>(seed: u64, length: usize) -> Counts {
    let mut counts = Counts::default();
    let operations = history(seed, length);
    let plan = Plan {
        kind: None,
        fault: Fault::Full,
        dropping: false,
    };
    assert_withstands::<S>(&operations, seed, plan, &mut counts);
    println!("seed {seed}, full disk: {counts:?}");
    counts
}

fn assert_withstands<S: Subject>(
    operations: &[Operation],
    seed: u64,
    plan: Plan,
    counts: &mut Counts,
) {
    if let Err(error) = at_every_call::<S>(operations, plan, counts) {
        let fails = |fewer: &[_]| at_every_call::<S>(fewer, plan, &mut Counts::default()).err();
        let shortest = shortest(operations.to_vec(), error, fails);
        panic!("seed {seed}, {plan:?}, {shortest}");
    }
}

#[derive(Clone, Copy, Debug)]
struct Plan {
    kind: Option<Kind>,
    fault: Fault,
    dropping: bool,
}

fn at_every_call<S: Subject>(
    operations: &[Operation],
    plan: Plan,
    counts: &mut Counts,
) -> Result<(), String> {
    for at in 0.. {
        let storage = match plan.dropping {
            true => Recorded::new().after_failed_sync_drop(),
            false => Recorded::new(),
        };
        let failing = Failing::new(Arc::new(storage.clone())).fail(plan.kind, at, plan.fault);
        let mut run = Run::<S> {
            operations,
            failing: failing.clone(),
            storage: storage.clone(),
            counts,
            subject: None,
            running: Contents::new(),
            instead: BTreeMap::new(),
        };
        guarded(|| run.go(plan)).map_err(|error| {
            let recording = storage.recording();
            let tail = recording.tail(recording.events.len(), 25);
            format!("call {at}: {error}\nlog:\n{tail}")
        })?;
        counts.runs += 1;
        if failing.failed() == 0 {
            counts.unhurt += 1;
            return Ok(());
        }
    }
    Ok(())
}

impl<S: Subject> Run<'_, S> {
    fn go(&mut self, plan: Plan) -> Result<(), String> {
        self.start()?;
        let lasting = matches!(plan.fault, Fault::Full | Fault::From(_));
        let mut refused = 0;
        let mut stuck = false;
        for operation in self.operations {
            let failed = self.failing.failed();
            if self.step(operation)? {
                refused += 1;
                // Refused though no call failed. That a full disk is still full is a good reason.
                stuck |= self.failing.failed() == failed && (!lasting || refused > PATIENCE);
            }
            if lasting && refused == PATIENCE {
                self.failing.heal();
            }
        }
        self.failing.heal();
        // Whether it takes changes again, now that nothing stands in the way.
        stuck |= self.step(&Operation::Create("late".into()))?;
        let names: Vec<String> = self.running.keys().cloned().collect();
        for name in names {
            let insert = Operation::Insert(name, vec![("p-late".into(), 800_001)]);
            stuck |= self.step(&insert)?;
        }
        self.counts.stuck += usize::from(stuck);
        if stuck && plan.fault == Fault::Full {
            return Err("accepts no changes though there is room again".into());
        }
        self.subject = None;
        self.reopen(self.storage.clone())
            .map_err(|e| format!("reopened: {e}"))?;
        // The same after a power cut.
        let recording = self.storage.recording();
        let images = recording.images(recording.events.len(), 5, 4);
        for image in images.collect::<Vec<_>>() {
            self.reopen(image.storage())
                .map_err(|e| format!("after a power cut: {e}"))?;
        }
        Ok(())
    }

    /// Opening may fail as long as the storage does.
    fn start(&mut self) -> Result<(), String> {
        for attempt in 0..3 {
            match S::open(Arc::new(self.failing.clone())) {
                Ok(subject) => {
                    self.subject = Some(subject);
                    return self.compare();
                }
                Err(error) if self.failing.failed() == 0 => return Err(error),
                Err(error) if attempt == 2 => return Err(format!("healed: {error}")),
                Err(_) if attempt == 1 => self.failing.heal(),
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Whether an operation was refused that the map accepts.
    fn step(&mut self, operation: &Operation) -> Result<bool, String> {
        let subject = self.subject.as_ref().expect("started");
        let name = operation.collection();
        let before = self.running.get(name).cloned();
        let effect = operation.effect(before.as_ref());
        let answer = subject.apply(operation);
        if let (Err(()), Ok(())) = (&effect, &answer) {
            return Err(format!("{operation:?} was accepted"));
        }
        let refused = effect.is_ok() && answer.is_err();
        let Ok(after) = effect else {
            self.compare()?;
            return Ok(false);
        };
        if !refused {
            // Whatever was refused before is gone for good: this change was built on what is running.
            self.instead.remove(name);
            self.set(name, after);
        } else {
            if self.failing.failed() == 0 {
                return Err(format!(
                    "{operation:?} was refused without reason: {answer:?}"
                ));
            }
            self.counts.refused += 1;
            let subject = self.subject.as_ref().expect("started");
            let shown = subject.contents().get(name).cloned();
            let in_spite = shown != before && shown == after;
            if in_spite && S::may_count_in_spite_of_an_error(operation) {
                self.counts.in_spite += 1;
                self.set(name, after.clone());
            }
            let instead = self
                .instead
                .entry(name.to_owned())
                .or_insert_with(|| vec![before]);
            let more: Vec<_> = (instead.iter())
                .filter_map(|targets| operation.effect(targets.as_ref()).ok())
                .chain([after])
                .collect();
            for targets in more {
                if !instead.contains(&targets) {
                    instead.push(targets);
                }
            }
        }
        self.compare()
            .map_err(|e| format!("after {operation:?} ({answer:?}): {e}"))?;
        Ok(refused)
    }

    fn set(&mut self, name: &str, targets: Option<Targets>) {
        match targets {
            Some(targets) => drop(self.running.insert(name.to_owned(), targets)),
            None => drop(self.running.remove(name)),
        }
    }

    /// The running store holds exactly what it should, and everyone is found.
    fn compare(&self) -> Result<(), String> {
        let subject = self.subject.as_ref().expect("started");
        let found = subject.contents();
        if found != self.running {
            return Err(format!(
                "running\n  found    {found:?}\n  expected {:?}",
                self.running
            ));
        }
        subject.search()
    }

    fn reopen(&self, storage: Recorded) -> Result<(), String> {
        let subject = S::open(Arc::new(storage))?;
        let found = subject.contents();
        let names = found
            .keys()
            .chain(self.running.keys())
            .chain(self.instead.keys());
        for name in names {
            let its = found.get(name);
            let instead = self.instead.get(name).into_iter().flatten();
            let mut allowed = instead.map(|t| t.as_ref()).chain([self.running.get(name)]);
            if !allowed.any(|allowed| allowed == its) {
                return Err(format!(
                    "\"{name}\"\n  found    {its:?}\n  expected {:?}\n  or {:?}",
                    self.running.get(name),
                    self.instead.get(name)
                ));
            }
        }
        subject.search()
    }
}
