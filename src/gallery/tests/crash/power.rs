//! The power cut at every event of a recording.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::operation::{Contents, Operation, history, shortest};
use super::timeline::{Lane, judge};
use super::{Subject, guarded};
use crate::gallery::tests::storage::{Recorded, Recording, Rng};

/// How thoroughly to look.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Random images at each crash point, beside the systematic ones.
    pub random: usize,
    /// In every so many images the reopened store is also worked with and opened again.
    pub work_every: usize,
    /// In every so many images power fails again, at every event of the recovery.
    pub again_every: usize,
    /// At every so many crash points the process is killed instead, and power fails while the next one recovers.
    pub kill_every: usize,
}

impl Settings {
    pub const USUAL: Settings = Settings {
        random: 8,
        work_every: 16,
        again_every: 32,
        kill_every: 3,
    };
}

/// What was looked at.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Events after which power failed.
    pub points: usize,
    /// Stores opened on what was left.
    pub images: usize,
    /// Of these: after a second power cut, in the recovery from the first.
    pub again: usize,
    /// Of these: stores that were worked with.
    pub worked: usize,
    /// Of these: stores that complained though there was nothing but a power cut.
    pub with_warnings: usize,
    /// What they complained of, without names and numbers.
    pub warnings: BTreeMap<String, usize>,
}

impl Counts {
    pub fn add(&mut self, other: Counts) {
        self.points += other.points;
        self.images += other.images;
        self.again += other.again;
        self.worked += other.worked;
        self.with_warnings += other.with_warnings;
        for (warning, times) in other.warnings {
            *self.warnings.entry(warning).or_default() += times;
        }
    }
}

/// Runs a history for each seed, lets power fail everywhere in it, and panics with the shortest history that goes wrong.
pub fn assert_survives<S: Subject>(seeds: Range<u64>, length: usize, settings: Settings) -> Counts {
    let begin = Instant::now();
    let mut counts = Counts::default();
    for seed in seeds.clone() {
        let operations = history(seed, length);
        match survives::<S>(&operations, seed, settings) {
            Ok(found) => counts.add(found),
            Err(error) => {
                let fails = |fewer: &[_]| survives::<S>(fewer, seed, settings).err();
                panic!("seed {seed}, {}", shortest(operations, error, fails))
            }
        }
    }
    println!("seeds {seeds:?}: {counts:?} in {:?}", begin.elapsed());
    counts
}

/// Runs one history and looks at every crash point of it.
pub fn survives<S: Subject>(
    operations: &[Operation],
    seed: u64,
    settings: Settings,
) -> Result<Counts, String> {
    let storage = Recorded::new();
    let subject = S::open(Arc::new(storage.clone()))?;
    let mut lane = Lane::new(String::new(), Contents::new());
    for operation in operations {
        let begin = storage.event_count();
        let answer = subject.apply(operation);
        lane.note(operation, (begin, storage.event_count()), &answer)?;
    }
    let found = subject.contents();
    if lane.states.last() != Some(&found) {
        return Err(format!("without a power cut: {found:?}"));
    }
    drop(subject);
    look_everywhere::<S>(&storage.recording(), &[lane], seed, settings)
}

/// Lets power fail after every event and judges what is left.
pub fn look_everywhere<S: Subject>(
    recording: &Recording,
    lanes: &[Lane],
    seed: u64,
    settings: Settings,
) -> Result<Counts, String> {
    let mut look = Look {
        lanes,
        settings,
        rng: Rng::new(seed),
        counts: Counts::default(),
    };
    let mut medium = recording.medium();
    for prefix in 0..=recording.events.len() {
        if prefix > 0 {
            medium.advance(&recording.events[prefix - 1]);
        }
        look.counts.points += 1;
        for image in medium.images(&mut look.rng, settings.random) {
            look.at_image::<S>(image.storage(), prefix)
                .map_err(|error| {
                    let tail = recording.tail(prefix, 30);
                    let fates = medium.describe(&image);
                    format!("after event {prefix}:\n{tail}what was not durable:\n{fates}{error}")
                })?;
        }
        if prefix.is_multiple_of(settings.kill_every) {
            let killed = Recorded::replayed(Recording {
                base: recording.base.clone(),
                events: recording.events[..prefix].to_vec(),
            });
            guarded(|| look.at_kill::<S>(killed, prefix)).map_err(|error| {
                let tail = recording.tail(prefix, 30);
                format!("killed after event {prefix}:\n{tail}{error}")
            })?;
        }
    }
    Ok(look.counts)
}

struct Look<'a> {
    lanes: &'a [Lane],
    settings: Settings,
    rng: Rng,
    counts: Counts,
}

impl Look<'_> {
    fn at_image<S: Subject>(&mut self, storage: Recorded, prefix: usize) -> Result<(), String> {
        let (subject, found) = self.open::<S>(&storage, prefix)?;
        let number = self.counts.images;
        if number.is_multiple_of(self.settings.again_every) {
            self.cut_again::<S>(&storage, 0, prefix)?;
        }
        if number.is_multiple_of(self.settings.work_every) {
            self.work(subject, &storage, found, prefix)?;
        }
        Ok(())
    }

    /// Nothing is lost, but nothing more is durable either: what recovery builds on may still vanish.
    fn at_kill<S: Subject>(&mut self, storage: Recorded, prefix: usize) -> Result<(), String> {
        let before = storage.event_count();
        let (subject, found) = self.open::<S>(&storage, prefix)?;
        self.cut_again::<S>(&storage, before, prefix)?;
        self.work(subject, &storage, found, prefix)
    }

    fn open<S: Subject>(
        &mut self,
        storage: &Recorded,
        prefix: usize,
    ) -> Result<(S, Contents), String> {
        self.counts.images += 1;
        let subject = S::open(Arc::new(storage.clone()))
            .map_err(|error| format!("does not open: {error}"))?;
        let found = subject.contents();
        judge(self.lanes, prefix, &found)?;
        let warnings = subject.warnings();
        self.counts.with_warnings += usize::from(!warnings.is_empty());
        for warning in warnings {
            *self.counts.warnings.entry(anonymous(&warning)).or_default() += 1;
        }
        Ok((subject, found))
    }

    /// Lets power fail at every event of a recovery, the first of which is `from`.
    fn cut_again<S: Subject>(
        &mut self,
        storage: &Recorded,
        from: usize,
        prefix: usize,
    ) -> Result<(), String> {
        let recording = storage.recording();
        let mut medium = recording.medium();
        for (number, event) in recording.events.iter().enumerate() {
            medium.advance(event);
            if number < from {
                continue;
            }
            for image in medium.images(&mut self.rng, 2) {
                self.counts.again += 1;
                guarded(|| self.open::<S>(&image.storage(), prefix).map(drop)).map_err(|error| {
                    let tail = recording.tail(number + 1, 20);
                    let fates = medium.describe(&image);
                    format!("then recovery, and power fails again:\n{tail}what was not durable:\n{fates}{error}")
                })?;
            }
        }
        Ok(())
    }

    /// One more operation goes through, and is still there after another power cut.
    fn work<S: Subject>(
        &mut self,
        subject: S,
        storage: &Recorded,
        found: Contents,
        prefix: usize,
    ) -> Result<(), String> {
        self.counts.worked += 1;
        let mut expected = found;
        let batch = vec![
            ("p-late".to_owned(), 900_000),
            ("p-late".to_owned(), 900_001),
        ];
        let name = (expected.keys().next()).map_or("a", |name| name).to_owned();
        let mut work = vec![Operation::Insert(name.clone(), batch)];
        if expected.is_empty() {
            work.insert(0, Operation::Create(name));
        }
        // What was seen but never acknowledged may still go, unless what was done now was built on it.
        let others: Vec<Contents> = (self.lanes.iter())
            .filter(|_| self.lanes.len() == 1)
            .flat_map(|lane| lane.allowed(prefix).to_vec())
            .filter_map(|mut other| work.iter().all(|o| o.apply(&mut other)).then_some(other))
            .collect();
        for operation in &work {
            let answer = subject.apply(operation);
            answer.map_err(|error| format!("after the recovery {operation:?}: {error}"))?;
            operation.apply(&mut expected);
        }
        subject.search()?;
        let recording = storage.recording();
        drop(subject);
        let mut medium = recording.medium();
        recording
            .events
            .iter()
            .for_each(|event| medium.advance(event));
        let images = medium.images(&mut self.rng, 2);
        for storage in images.iter().map(|i| i.storage()).chain([storage.clone()]) {
            self.counts.images += 1;
            let subject = S::open(Arc::new(storage)).map_err(|e| format!("no second time: {e}"))?;
            let found = subject.contents();
            if found != expected && !others.contains(&found) {
                return Err(format!(
                    "after {work:?}\n  found    {found:?}\n  expected {expected:?}"
                ));
            }
        }
        Ok(())
    }
}

/// The same sentence for every file and place.
fn anonymous(warning: &str) -> String {
    let mut words: Vec<&str> = (warning.split(' '))
        .filter(|word| !word.contains(|c: char| c.is_ascii_digit() || c == '/'))
        .collect();
    words.dedup();
    words.join(" ")
}
