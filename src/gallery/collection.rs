//! One collection: the rules of its operations, and the order of storage first, memory second.
//!
//! Locks, taken in this order: `tending` by whoever writes files anew or takes them away, for as long as that lasts; `writer` by
//! whoever appends, disk writes included; `state` for writing only after the storage has the change, for the time that it takes to
//! apply it in memory. Searches take `state` for reading, long enough to note what they will read, so none ever waits for the
//! storage.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant, SystemTime};

use uuid::Uuid;

use super::clock::system_time;
use super::commit::Queue;
use super::erasure::Erasure;
use super::error::{GalleryError, Warning, WhileDoing};
use super::files::Home;
use super::gallery::Options;
use super::generation::{Pace, generation_name, write_generation};
use super::hurry::Hurry;
use super::journal::{Journal, publish_journal, stage_journal, staged_name};
use super::metrics::Metrics;
use super::operation::Identity;
use super::people::{Hit, People};
use super::recovery::{Recovered, recover};
use super::scan::SharedPass;
use super::template::{RowBits, Template};
use super::waste::Leftovers;

/// A collection as `/collection/status` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CollectionStatus {
    /// Name given at creation.
    pub name: String,
    /// Time of creation, whole milliseconds.
    pub created: SystemTime,
    /// Time of the last change that was stored, whole milliseconds.
    pub updated: SystemTime,
    /// Stored features.
    pub feature_num: usize,
    /// People with at least one feature.
    pub person_num: usize,
    /// What is wrong with the collection on disk, if anything is; sentences.
    pub warning: Option<String>,
}

pub(super) struct Collection {
    pub(super) home: Home,
    pub(super) name: String,
    pub(super) created: u64,
    /// The template space of the running model.
    pub(super) space: String,
    pub(super) metrics: Arc<Metrics>,
    /// Held while files are written anew or removed.
    pub(super) tending: Mutex<()>,
    /// When the background last failed to write a generation.
    pub(super) last_failure: Mutex<Option<Instant>>,
    /// Asks whoever holds `tending` in the background to stop.
    pub(super) hurry: Hurry,
    pub(super) queue: Queue,
    pub(super) erasure: Mutex<Erasure>,
    /// [`Options::erased_within`].
    pub(super) erased_within: Duration,
    writer: Mutex<Writer>,
    state: RwLock<State>,
    pass: SharedPass,
}

pub(super) enum Writer {
    Ready(Journal),
    /// What the journal holds is not known any more. A new generation with a new journal puts that right; one is tried from
    /// time to time.
    Suspended {
        highest: u64,
        retry_at: Instant,
    },
    /// The reason is in the state, where it can be read without waiting for a writer.
    ReadOnly,
    Deleted,
}

pub(super) struct State {
    pub people: People,
    pub template_space: String,
    /// Milliseconds since 1970 UTC.
    pub updated: u64,
    /// Feature rows in all files, the dead ones included.
    pub rows: u64,
    /// A compaction was begun and not finished: there are journals behind the one in use.
    pub unfinished: bool,
    /// Files that count no more and are not erased yet.
    pub leftovers: Option<Leftovers>,
    /// Why the collection accepts no changes, if it does not.
    pub trouble: Option<String>,
    pub warnings: Vec<Warning>,
}

impl Collection {
    /// Writes the files of a new, empty collection into `home`, whose directory exists and becomes the collection's by its rename.
    pub fn write_new(home: &Home, identity: &Identity) -> Result<(), GalleryError> {
        let journal = stage_journal(home, 1, identity, false)?;
        publish_journal(home, journal.number())
    }

    /// As [`Collection::write_new`], with people in it from the start.
    pub fn write_with(
        home: &Home,
        identity: &Identity,
        people: &[(&str, &[RowBits])],
    ) -> Result<(), GalleryError> {
        let journal = stage_journal(home, 1, identity, true)?;
        publish_journal(home, journal.number())?;
        let name = generation_name(1);
        let staged = staged_name(&name);
        let file = home.create(&staged)?;
        let (pace, never) = (Pace::AtOnce, &|| false);
        write_generation(&file, 1, identity.clone(), people, pace, never)
            .while_doing("writing a generation", &home.path(&staged))?;
        home.publish(&staged, &name)
    }

    /// Reads the collection back and puts right what was interrupted. An error leaves the directory untouched.
    pub fn open(
        home: Home,
        options: &Options,
        metrics: Arc<Metrics>,
    ) -> Result<Collection, GalleryError> {
        let recovered = recover(&home, Vec::new())?;
        let rewrite = recovered.rewrite && recovered.read_only.is_none();
        let name = recovered.identity.name.clone();
        let created = recovered.identity.created;
        let (writer, state) = take_up(recovered, &name);
        metrics.damage_found(state.warnings.len());
        let collection = Collection {
            home,
            name,
            created,
            space: options.template_space.clone(),
            metrics,
            tending: Mutex::new(()),
            last_failure: Mutex::new(None),
            hurry: Hurry::default(),
            queue: Queue::default(),
            erasure: Mutex::default(),
            erased_within: options.erased_within,
            writer: Mutex::new(writer),
            state: RwLock::new(state),
            pass: SharedPass::new(options.search_threads, options.fusion),
        };
        if rewrite && let Err(error) = collection.compact_now() {
            tracing::error!(collection = collection.name, %error, "damage could not be put right yet");
        }
        Ok(collection)
    }

    pub fn directory(&self) -> &Path {
        &self.home.directory
    }

    pub fn uuid(&self) -> Uuid {
        self.home.collection
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn status(&self) -> CollectionStatus {
        let state = self.read();
        let mut sentences: Vec<&str> = state.warnings.iter().map(|w| w.what.as_str()).collect();
        sentences.extend(state.trouble.as_deref());
        CollectionStatus {
            name: self.name.clone(),
            created: system_time(self.created),
            updated: system_time(state.updated),
            feature_num: state.people.feature_num(),
            person_num: state.people.person_num(),
            warning: (!sentences.is_empty()).then(|| sentences.join(". ")),
        }
    }

    pub fn warnings(&self) -> Vec<Warning> {
        let state = self.read();
        let mut warnings = state.warnings.clone();
        warnings.extend(state.trouble.as_ref().map(|reason| Warning {
            directory: self.home.directory.clone(),
            collection: Some(self.name.clone()),
            what: format!("the collection accepts no changes at the moment: {reason}"),
            quarantined: None,
        }));
        warnings
    }

    pub fn contains_target(&self, target: &str) -> bool {
        self.read().people.stored_as(target).is_some()
    }

    pub fn search(&self, probe: &Template, top_k: usize) -> Result<Vec<Hit>, GalleryError> {
        self.check_space(&self.read())?;
        let mut healed = false;
        loop {
            let answer = self
                .pass
                .search(|| self.read().people.parts(), probe.row(), top_k);
            match answer.found {
                Ok(found) => {
                    return Ok(found
                        .into_iter()
                        .map(|found| Hit {
                            target: answer.parts[found.part]
                                .segment
                                .target(found.person)
                                .to_owned(),
                            cosine: found.cosine,
                        })
                        .collect());
                }
                Err(_) if healed => return Err(self.damaged()),
                Err(_) => {
                    self.heal()?;
                    healed = true;
                }
            }
        }
    }

    pub(super) fn identity(&self) -> Identity {
        let state = self.read();
        Identity {
            collection: self.home.collection.into_bytes(),
            name: self.name.clone(),
            template_space: state.template_space.clone(),
            created: self.created,
            updated: state.updated,
        }
    }

    pub(super) fn check_space(&self, state: &State) -> Result<(), GalleryError> {
        if state.template_space == self.space {
            return Ok(());
        }
        Err(GalleryError::OtherTemplateSpace {
            collection: self.name.clone(),
            found: state.template_space.clone(),
            expected: self.space.clone(),
        })
    }

    pub(super) fn unknown(&self) -> GalleryError {
        GalleryError::UnknownCollection {
            name: self.name.clone(),
        }
    }

    pub(super) fn damaged(&self) -> GalleryError {
        GalleryError::Damaged {
            path: self.home.directory.clone(),
            what: "its generation cannot be read".to_owned(),
        }
    }

    pub(super) fn numbers_used_up(&self) -> GalleryError {
        GalleryError::Damaged {
            path: self.home.directory.clone(),
            what: "its journals have used up their numbers".to_owned(),
        }
    }

    // A panic elsewhere while a lock was held must not end the service: memory is only changed after the storage, and the next
    // open replays the storage.
    pub(super) fn lock_tending(&self) -> MutexGuard<'_, ()> {
        self.tending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Collection::lock_tending`], but whoever works in the background is asked to stop.
    pub(super) fn interrupt_tending(&self) -> MutexGuard<'_, ()> {
        self.hurry.wait_for(|| self.lock_tending())
    }

    pub(super) fn lock_writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everyone's features, in the order of targets.
    #[cfg(test)]
    pub fn features(&self) -> Vec<super::operation::Feature> {
        let state = self.read();
        let people = state.people.in_order();
        people
            .iter()
            .flat_map(|(target, features)| {
                features.iter().map(|bits| super::operation::Feature {
                    target: (*target).to_owned(),
                    bits: *bits,
                })
            })
            .collect()
    }
}

/// Writer and state of what recovery found.
pub(super) fn take_up(recovered: Recovered, name: &str) -> (Writer, State) {
    let writer = match (recovered.journal, &recovered.read_only) {
        (Some(journal), None) => Writer::Ready(journal),
        (_, Some(_)) => Writer::ReadOnly,
        (None, None) => Writer::Suspended {
            highest: recovered.highest,
            retry_at: Instant::now(),
        },
    };
    let trouble = recovered.read_only.or_else(|| {
        matches!(writer, Writer::Suspended { .. })
            .then(|| "what is left of a damaged file has to be written anew".to_owned())
    });
    let mut warnings = recovered.warnings;
    for warning in &mut warnings {
        warning.collection = Some(name.to_owned());
    }
    let state = State {
        people: recovered.people,
        template_space: recovered.identity.template_space,
        updated: recovered.updated,
        rows: recovered.rows,
        unfinished: recovered.unfinished,
        leftovers: recovered.leftovers,
        trouble,
        warnings,
    };
    (writer, state)
}
