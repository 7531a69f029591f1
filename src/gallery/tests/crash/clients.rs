//! Concurrent clients, whose changes may share a sync.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use super::Subject;
use super::operation::{Contents, Operation, client_history};
use super::power::{Counts, Settings, look_everywhere};
use super::timeline::{Lane, judge};
use crate::gallery::storage::Slow;
use crate::gallery::tests::storage::Recorded;

/// Long enough for the other clients to queue up behind a sync.
const SYNC: Duration = Duration::from_micros(200);

/// `clients` threads work on one collection; power fails everywhere. Which operations meet is up to the scheduler, so a failure
/// may not come again with its seed; the log that is shown is the one that failed.
pub fn assert_survives_clients<S: Subject>(
    seed: u64,
    clients: usize,
    length: usize,
    settings: Settings,
) -> Counts {
    let storage = Recorded::new();
    let slow = Arc::new(Slow::new(Arc::new(storage.clone()), SYNC));
    let subject = S::open(Arc::clone(&slow) as _).unwrap();
    // Before the clients begin the collection is not there, which belongs to everybody and is judged apart.
    subject.apply(&Operation::Create("a".into())).unwrap();
    let created = storage.event_count();
    let barrier = Barrier::new(clients);
    let lanes: Vec<Lane> = thread::scope(|scope| {
        let work = |client| {
            let (subject, storage, barrier) = (&subject, &storage, &barrier);
            scope.spawn(move || one_client(subject, storage, barrier, seed, client, length))
        };
        let threads: Vec<_> = (0..clients).map(work).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let end = storage.event_count();
    judge(&lanes, end, &subject.contents()).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    drop(subject);
    let syncs = slow.counts().file_syncs;
    let mut recording = storage.recording();
    recording.events.truncate(end);
    let counts = look_everywhere::<S>(
        &recording.from(created),
        &shifted(lanes, created),
        seed,
        settings,
    )
    .unwrap_or_else(|error| panic!("seed {seed}, {clients} clients: {error}"));
    println!("seed {seed}: {clients} clients x {length} changes, {syncs} file syncs, {counts:?}");
    counts
}

fn one_client<S: Subject>(
    subject: &S,
    storage: &Recorded,
    barrier: &Barrier,
    seed: u64,
    client: usize,
    length: usize,
) -> Lane {
    let mut lane = Lane::new(
        format!("c{client}-"),
        Contents::from([("a".to_owned(), Default::default())]),
    );
    barrier.wait();
    for operation in client_history(seed, client, length) {
        let begin = storage.event_count();
        let answer = subject.apply(&operation);
        let span = (begin, storage.event_count());
        (lane.note(&operation, span, &answer)).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    }
    lane
}

/// Counts events from `created` on.
fn shifted(mut lanes: Vec<Lane>, created: usize) -> Vec<Lane> {
    for (begin, end) in lanes.iter_mut().flat_map(|lane| &mut lane.spans) {
        (*begin, *end) = (*begin - created, *end - created);
    }
    lanes
}
