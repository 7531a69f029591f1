//! One collection: the rules of its operations, and the order of storage first, memory second.
//!
//! Locks: `writer` is held through a whole change, disk writes included; `state` is taken for writing only after the storage has
//! the change, for the time that it takes to apply it in memory. Searches take `state` for reading only, so none ever waits for
//! the storage. `writer` is always taken before `state`.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::SystemTime;

use uuid::Uuid;

use super::batch::{InsertReport, UpdateReport, plan_insert, plan_update};
use super::clock::{now, system_time};
use super::error::{GalleryError, Warning, WhileDoing};
use super::files;
use super::journal::{AppendError, Journal, StagedJournal};
use super::operation::{Identity, Operation};
use super::people::{Hit, People};
use super::recovery::{next_journal, recover, remove_older_journals, remove_quarantine};
use super::template::Template;
use super::waste::Waste;

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
    directory: PathBuf,
    uuid: Uuid,
    name: String,
    created: u64,
    writer: Mutex<Writer>,
    state: RwLock<State>,
}

enum Writer {
    Ready(Journal),
    /// The reason is in the state, where it can be read without waiting for a writer.
    ReadOnly,
    Deleted,
}

struct State {
    people: People,
    template_space: String,
    /// Milliseconds since 1970 UTC.
    updated: u64,
    /// Why the collection accepts no changes, if it does not.
    read_only: Option<String>,
    warnings: Vec<Warning>,
}

impl Collection {
    /// Writes the files of a new, empty collection into `directory`, which becomes one collection's directory by its rename.
    pub fn write_new(
        directory: &Path,
        uuid: Uuid,
        name: &str,
        template_space: &str,
    ) -> Result<(), GalleryError> {
        files::create_private_directory(directory)
            .while_doing("creating a collection's directory", directory)?;
        let now = now();
        let identity = Identity {
            collection: uuid.into_bytes(),
            name: name.to_owned(),
            template_space: template_space.to_owned(),
            created: now,
            updated: now,
        };
        StagedJournal::write(directory, 1, identity, std::iter::empty())?.publish()?;
        Ok(())
    }

    /// Reads the collection back and puts right what was interrupted. An error leaves the directory untouched.
    pub fn open(directory: &Path, uuid: Uuid) -> Result<Collection, GalleryError> {
        let recovered = recover(directory, uuid)?;
        let replay = recovered.replay;
        let (writer, read_only) = match recovered.journal {
            Ok(journal) => (Writer::Ready(journal), None),
            Err(reason) => (Writer::ReadOnly, Some(reason)),
        };
        Ok(Collection {
            directory: directory.to_owned(),
            uuid,
            name: replay.identity.name,
            created: replay.identity.created,
            writer: Mutex::new(writer),
            state: RwLock::new(State {
                people: replay.people,
                template_space: replay.identity.template_space,
                updated: replay.updated,
                read_only,
                warnings: recovered.warnings,
            }),
        })
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn uuid(&self) -> Uuid {
        self.uuid
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn status(&self) -> CollectionStatus {
        let state = self.read();
        let mut sentences: Vec<&str> = state.warnings.iter().map(|w| w.what.as_str()).collect();
        sentences.extend(state.read_only.as_deref());
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
        warnings.extend(state.read_only.as_ref().map(|reason| Warning {
            directory: self.directory.clone(),
            collection: Some(self.name.clone()),
            what: format!("the collection accepts no changes until restart: {reason}"),
            quarantined: None,
        }));
        warnings
    }

    pub fn contains_target(&self, target: &str) -> bool {
        self.read().people.contains(target)
    }

    pub fn search(
        &self,
        probe: &Template,
        top_k: usize,
        space: &str,
    ) -> Result<Vec<Hit>, GalleryError> {
        let state = self.read();
        self.check_space(&state, space)?;
        Ok(state.people.search(probe, top_k))
    }

    pub fn insert(
        &self,
        items: Vec<(String, Template)>,
        limit: usize,
        space: &str,
    ) -> Result<InsertReport, GalleryError> {
        let mut writer = self.lock_writer();
        self.journal(&mut writer)?;
        let (features, report) = {
            let state = self.read();
            self.check_space(&state, space)?;
            plan_insert(&state.people, items, limit)
        };
        if !features.is_empty() {
            let at = now();
            self.commit(&mut writer, &Operation::Insert { at, features })?;
        }
        Ok(report)
    }

    pub fn update(
        &self,
        items: Vec<(String, Template)>,
        limit: usize,
        space: &str,
    ) -> Result<UpdateReport, GalleryError> {
        let mut writer = self.lock_writer();
        self.journal(&mut writer)?;
        let (features, report) = {
            let state = self.read();
            self.check_space(&state, space)?;
            plan_update(&state.people, items, limit)
        };
        if !features.is_empty() {
            let at = now();
            self.commit(&mut writer, &Operation::Replace { at, features })?;
            self.erase_if(&mut writer, Waste::goes_with_an_update);
        }
        Ok(report)
    }

    /// Needs no comparing, so it works in every template space: a person's data can always be erased.
    pub fn remove_target(&self, target: &str) -> Result<(), GalleryError> {
        let mut writer = self.lock_writer();
        self.journal(&mut writer)?;
        if !self.contains_target(target) {
            return Err(GalleryError::UnknownTarget {
                collection: self.name.clone(),
                target: target.to_owned(),
            });
        }
        let (at, target) = (now(), target.to_owned());
        self.commit(&mut writer, &Operation::Remove { at, target })?;
        self.erase_if(&mut writer, Waste::goes_with_a_removal);
        Ok(())
    }

    /// Takes everyone out and erases the journal and the quarantine. The empty collection belongs to `space` from now on.
    pub fn clear(&self, space: &str) -> Result<(), GalleryError> {
        let mut writer = self.lock_writer();
        let number = self.journal(&mut writer)?.number();
        let identity = Identity {
            collection: self.uuid.into_bytes(),
            name: self.name.clone(),
            template_space: space.to_owned(),
            created: self.created,
            updated: now(),
        };
        let updated = identity.updated;
        let staged = next_journal(&self.directory, number, identity, std::iter::empty())?;
        let current = self.switch_to(&mut writer, staged)?;
        {
            let mut state = self.write();
            state.people = People::default();
            state.template_space = space.to_owned();
            state.updated = updated;
            state.warnings.clear();
        }
        // An error says that the vectors are still on the disk; the next clear tries again.
        remove_older_journals(&self.directory, current)?;
        remove_quarantine(&self.directory)
    }

    /// Rewrites the journal if it holds features that nobody has any more. Says whether it did.
    pub fn erase_removed(&self) -> Result<bool, GalleryError> {
        let mut writer = self.lock_writer();
        match &*writer {
            Writer::Ready(journal) if self.waste(journal).dead_rows > 0 => {}
            Writer::Ready(journal) => {
                remove_older_journals(&self.directory, journal.number())?;
                return Ok(false);
            }
            Writer::ReadOnly | Writer::Deleted => return Ok(false),
        }
        self.rewrite(&mut writer).map(|()| true)
    }

    /// Ends the life of the collection: waits for a running change, calls `take_away`, and if that succeeds refuses every later
    /// change. Searches that hold the collection finish with the people they see.
    pub fn retire(
        &self,
        take_away: impl FnOnce() -> Result<(), GalleryError>,
    ) -> Result<(), GalleryError> {
        let mut writer = self.lock_writer();
        if matches!(*writer, Writer::Deleted) {
            return Err(self.unknown());
        }
        take_away()?;
        *writer = Writer::Deleted;
        Ok(())
    }

    /// Storage first, memory second: what is searched was durable before, and what failed was never searched.
    fn commit(&self, writer: &mut Writer, operation: &Operation) -> Result<(), GalleryError> {
        if self.journal(writer)?.is_full() {
            self.rewrite(writer)?;
        }
        match self.journal(writer)?.append(operation) {
            Ok(()) => {
                let mut state = self.write();
                state.people.apply(operation);
                state.updated = operation.at();
                Ok(())
            }
            Err(AppendError::Undone(error)) => Err(error),
            Err(AppendError::Unsure(error)) => {
                self.turn_read_only(writer, &error);
                Err(error)
            }
        }
    }

    /// The change that made the waste is stored already, so a failure is reported and tried again later, not returned.
    fn erase_if(&self, writer: &mut Writer, worth_it: impl Fn(&Waste) -> bool) {
        let waste = match &*writer {
            Writer::Ready(journal) => self.waste(journal),
            Writer::ReadOnly | Writer::Deleted => return,
        };
        if worth_it(&waste)
            && let Err(error) = self.rewrite(writer)
        {
            tracing::error!(collection = self.name, %error, "removed features are not erased from the disk yet");
        }
    }

    fn waste(&self, journal: &Journal) -> Waste {
        let live = self.read().people.feature_num() as u64;
        Waste {
            dead_rows: journal.rows().saturating_sub(live),
            rows: journal.rows(),
            journal_bytes: journal.length(),
        }
    }

    /// Writes the journal anew with the living only and erases the old one.
    fn rewrite(&self, writer: &mut Writer) -> Result<(), GalleryError> {
        let number = self.journal(writer)?.number();
        let staged = {
            // Held through disk writes, yet nobody waits: other readers share it, and whoever writes it holds `writer` first.
            let state = self.read();
            let identity = Identity {
                collection: self.uuid.into_bytes(),
                name: self.name.clone(),
                template_space: state.template_space.clone(),
                created: self.created,
                updated: state.updated,
            };
            next_journal(&self.directory, number, identity, state.people.features())?
        };
        let current = self.switch_to(writer, staged)?;
        remove_older_journals(&self.directory, current)
    }

    /// Returns the number of the journal that is in use now.
    fn switch_to(&self, writer: &mut Writer, staged: StagedJournal) -> Result<u64, GalleryError> {
        match staged.publish() {
            Ok(journal) => {
                let number = journal.number();
                *writer = Writer::Ready(journal);
                Ok(number)
            }
            Err(error) => {
                self.turn_read_only(writer, &error);
                Err(error)
            }
        }
    }

    fn turn_read_only(&self, writer: &mut Writer, error: &GalleryError) {
        let reason = error.to_string();
        tracing::error!(
            collection = self.name,
            reason,
            "collection is read-only until restart"
        );
        *writer = Writer::ReadOnly;
        self.write().read_only = Some(reason);
    }

    /// The journal to append to, or why there is none.
    fn journal<'w>(&self, writer: &'w mut Writer) -> Result<&'w mut Journal, GalleryError> {
        match writer {
            Writer::Ready(journal) => Ok(journal),
            Writer::ReadOnly => Err(GalleryError::ReadOnly {
                collection: self.name.clone(),
                reason: self.read().read_only.clone().unwrap_or_default(),
            }),
            Writer::Deleted => Err(self.unknown()),
        }
    }

    fn check_space(&self, state: &State, space: &str) -> Result<(), GalleryError> {
        if state.template_space == space {
            return Ok(());
        }
        Err(GalleryError::OtherTemplateSpace {
            collection: self.name.clone(),
            found: state.template_space.clone(),
            expected: space.to_owned(),
        })
    }

    fn unknown(&self) -> GalleryError {
        GalleryError::UnknownCollection {
            name: self.name.clone(),
        }
    }

    // A panic elsewhere while a lock was held must not end the service: memory is only changed after the storage, and the next
    // open replays the storage.
    fn lock_writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everyone's features, in no particular order of people.
    #[cfg(test)]
    pub fn features(&self) -> Vec<super::operation::Feature> {
        self.read().people.features().collect()
    }

    /// Lets a test put a device in the journal's place whose writes or syncs fail.
    #[cfg(test)]
    pub fn replace_journal_file(&self, file: std::fs::File) -> Option<std::fs::File> {
        match &mut *self.lock_writer() {
            Writer::Ready(journal) => Some(journal.replace_file(file)),
            Writer::ReadOnly | Writer::Deleted => None,
        }
    }
}
