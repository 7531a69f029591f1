//! What keeps a collection's files small, whole and free of those who left: compaction, healing, clearing, deleting.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::collection::{Collection, Writer};
use super::commit::Change;
use super::erasure::Erasure;
use super::error::{GalleryError, WhileDoing};
use super::format::FORMAT_VERSION;
use super::generation::{
    Generation, OpenFault, Pace, generation_name, generation_number, write_generation,
};
use super::journal::{Journal, journal_number, publish_journal, stage_journal, staged_name};
use super::operation::Identity;
use super::people::People;
use super::reading::MAX_GAP;
use super::recovery::remove_older;
use super::replay::{open_journal, replay};
use super::storage::Access;
use super::template::RowBits;
use super::waste::{Leftovers, Waste};

/// How long after a failed attempt to write everything anew the next one waits: on a full disk each costs what the disk is short of.
/// Tests do not wait.
const RETRY: Duration = Duration::from_secs(if cfg!(test) { 0 } else { 5 });

/// The same for the background, where nobody waits.
const RETRY_IN_BACKGROUND: Duration = Duration::from_secs(if cfg!(test) { 0 } else { 60 });

/// When what left large files is erased at the latest, by [`Gallery::erase_removed`](super::Gallery::erase_removed).
const ERASED_DAILY: Duration = Duration::from_secs(24 * 3600);

/// What a new generation is made of.
pub(super) struct Frozen {
    pub people: People,
    pub identity: Identity,
    /// Number of the generation, and of the journal that goes on from it.
    pub number: u64,
    /// Someone left since the last generation.
    pub erases: bool,
    /// The journal takes no changes before the generation is there.
    pub suspended: bool,
    /// Damage was set aside just now: it is shown to the operator before it is erased.
    pub fresh_damage: bool,
}

impl Collection {
    /// Takes a person out.
    pub fn remove_target(&self, target: &str) -> Result<(), GalleryError> {
        let target = target.to_owned();
        self.change(Change::Remove { target })?;
        self.erase_after_removal();
        Ok(())
    }

    /// Sees to it that what was removed just now is erased.
    pub(super) fn erase_after_removal(&self) {
        if !self.waste().goes_with_a_removal() {
            return;
        }
        self.lock_erasure()
            .removed(Instant::now(), self.erased_within);
        if self.erased_within.is_zero() {
            self.erase_pending();
        }
    }

    /// Within which time what is removed now leaves the files.
    pub fn erased_within(&self) -> Duration {
        match self.waste().is_large_to_erase() {
            true => ERASED_DAILY,
            false => self.erased_within,
        }
    }

    /// Erases what removals left for later.
    pub fn erase_pending(&self) {
        if !self.lock_erasure().is_pending() {
            return;
        }
        if let Err(error) = self.compact_now() {
            self.erasure_failed(&error);
        }
    }

    /// The same in the background, when it is due.
    pub fn erase_if_due(&self, pace: Pace) {
        if !self.lock_erasure().is_due(Instant::now()) || self.failed_lately() {
            return;
        }
        if let Err(error) = self.compact_in_background(pace) {
            self.erasure_failed(&error);
        }
    }

    /// The people are gone already, so a failure is told and tried again later, not returned.
    fn erasure_failed(&self, error: &GalleryError) {
        if !error.is_put_off() {
            tracing::error!(collection = self.name, %error, "removed features are not erased from the disk yet");
        }
    }

    fn lock_erasure(&self) -> MutexGuard<'_, Erasure> {
        self.erasure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the background should write a new generation.
    pub fn wants_compaction(&self) -> bool {
        if self.failed_lately() {
            return false;
        }
        let outdated = match &*self.lock_writer() {
            Writer::Ready(journal) => journal.is_outdated(self.home.sealer.as_ref()),
            Writer::Suspended { retry_at, .. } => return *retry_at <= Instant::now(),
            Writer::ReadOnly | Writer::Deleted => return false,
        };
        outdated || self.read().unfinished || self.waste().wants_compaction()
    }

    /// Whether one of the journals was written by an earlier release, or is in plain though there is a key.
    pub fn is_outdated(&self) -> Result<bool, GalleryError> {
        let _tending = self.lock_tending();
        for number in self.home.names()?.iter().filter_map(|n| journal_number(n)) {
            let header = match open_journal(&self.home, number, Access::Read) {
                Ok(journal) => journal.header,
                // Nothing of the collection's; the start has told.
                Err(GalleryError::Damaged { .. }) => continue,
                Err(error) => return Err(error),
            };
            if header.version < FORMAT_VERSION || header.sealed != self.home.sealer.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes a new generation with everyone and erases the files before it, while commits and searches go on.
    pub fn compact_in_background(&self, pace: Pace) -> Result<(), GalleryError> {
        let _tending = self.lock_tending();
        let result = self.compact_paced(pace);
        self.note_failure(result.as_ref().is_err_and(|error| !error.is_put_off()));
        result
    }

    fn compact_paced(&self, pace: Pace) -> Result<(), GalleryError> {
        // Each guard ends with its line: commits go on while the generation is written.
        let frozen = self.freeze(&mut self.lock_writer())?;
        self.write_frozen(&frozen, pace)?;
        self.install(&mut self.lock_writer(), frozen)
    }

    /// The same at once: whoever asks waits, and so does the background.
    pub fn compact_now(&self) -> Result<(), GalleryError> {
        let _tending = self.interrupt_tending();
        let mut writer = self.lock_writer();
        self.compact_or_wait(&mut writer)
    }

    /// After a failure while changes are suspended the next attempt waits.
    fn compact_or_wait(&self, writer: &mut Writer) -> Result<(), GalleryError> {
        let result = self.compact_locked(writer);
        if result.is_err()
            && let Writer::Suspended { retry_at, .. } = writer
        {
            *retry_at = Instant::now() + RETRY;
        }
        result
    }

    pub(super) fn compact_locked(&self, writer: &mut Writer) -> Result<(), GalleryError> {
        let frozen = self.freeze(writer)?;
        self.write_frozen(&frozen, Pace::AtOnce)?;
        self.install(writer, frozen)
    }

    /// Tries to accept changes again after the storage failed.
    pub fn resume_if_due(&self) {
        // Whoever comes while others wait for their sync must not wait here for the writer, but in the queue behind it, where the
        // next write takes it along.
        if self.read().trouble.is_none() {
            return;
        }
        let due = matches!(&*self.lock_writer(), Writer::Suspended { retry_at, .. } if *retry_at <= Instant::now());
        if !due {
            return;
        }
        let _tending = self.interrupt_tending();
        let mut writer = self.lock_writer();
        // Whoever came first has tried already, with or without success.
        if !matches!(&*writer, Writer::Suspended { retry_at, .. } if *retry_at <= Instant::now()) {
            return;
        }
        if let Err(error) = self.compact_or_wait(&mut writer) {
            tracing::warn!(collection = self.name, %error, "changes stay suspended");
        }
    }

    /// Erases what removals and updates left in the files; `false` if there was nothing.
    pub fn erase_removed(&self) -> Result<bool, GalleryError> {
        let wasteful = match &*self.lock_writer() {
            Writer::Ready(_) => self.waste().dead_rows > 0,
            Writer::Suspended { .. } | Writer::ReadOnly | Writer::Deleted => false,
        };
        if wasteful {
            self.compact_now()?;
        }
        self.erase_leftovers()?;
        self.erase_old_quarantine()?;
        Ok(wasteful)
    }

    /// Erases what was set aside, if it is marked and an operator has had the time to look at it.
    pub fn erase_old_quarantine(&self) -> Result<(), GalleryError> {
        let _tending = self.lock_tending();
        match self.home.quarantine_is_due() {
            true => self.home.remove_quarantine(),
            false => Ok(()),
        }
    }

    /// Erases the files that a compaction or a clearing could not erase.
    pub fn erase_leftovers(&self) -> Result<(), GalleryError> {
        let _tending = self.lock_tending();
        match matches!(*self.lock_writer(), Writer::Deleted) {
            true => Ok(()),
            false => self.clean_up(),
        }
    }

    /// The same, but after a failure not before a while.
    pub fn erase_leftovers_in_background(&self) {
        if self.read().leftovers.is_none() || self.failed_lately() {
            return;
        }
        if let Err(error) = self.erase_leftovers() {
            tracing::warn!(collection = self.name, %error, "old files are not erased yet");
            self.note_failure(true);
        }
    }

    /// Whoever calls holds `tending`.
    fn clean_up(&self) -> Result<(), GalleryError> {
        let Some(leftovers) = self.read().leftovers else {
            return Ok(());
        };
        remove_older(&self.home, leftovers.restart)?;
        if leftovers.quarantine {
            self.home.remove_quarantine()?;
        }
        self.write().leftovers = None;
        Ok(())
    }

    fn failed_lately(&self) -> bool {
        let failed = *(self.last_failure.lock()).unwrap_or_else(PoisonError::into_inner);
        failed.is_some_and(|at| at.elapsed() < RETRY_IN_BACKGROUND)
    }

    fn note_failure(&self, failed: bool) {
        *(self.last_failure.lock()).unwrap_or_else(PoisonError::into_inner) =
            failed.then(Instant::now);
    }

    fn waste(&self) -> Waste {
        let state = self.read();
        let live = state.people.feature_num() as u64;
        Waste {
            dead_rows: state.rows.saturating_sub(live),
            rows: state.rows,
            tail_rows: state.people.tail_rows() as u64,
            base_rows: state.people.base_rows() as u64,
        }
    }

    /// Notes everyone as of now. Changes from here on are in the journal that goes on from the new generation.
    pub(super) fn freeze(&self, writer: &mut Writer) -> Result<Frozen, GalleryError> {
        self.lock_erasure().begin(Instant::now());
        if matches!(writer, Writer::Suspended { .. }) {
            return self.freeze_suspended(writer);
        }
        let number = match writer {
            // An attempt that failed has begun the journal already.
            Writer::Ready(journal) if journal.is_empty() && !self.is_restart(journal) => {
                journal.number()
            }
            _ => self.begin_next_journal(writer)?,
        };
        self.write().unfinished = true;
        Ok(self.frozen(number, false))
    }

    /// The new journal is begun here but takes changes only once the generation is there: the old one may end with a change that
    /// was refused, and nothing must be stored on top of that.
    fn freeze_suspended(&self, writer: &mut Writer) -> Result<Frozen, GalleryError> {
        let Writer::Suspended { highest, .. } = writer else {
            return Err(self.refusal(writer));
        };
        let number = highest.checked_add(1).ok_or_else(|| self.damaged())?;
        stage_journal(&self.home, number, &self.identity(), true)?;
        publish_journal(&self.home, number)?;
        Ok(self.frozen(number, true))
    }

    pub(super) fn frozen(&self, number: u64, suspended: bool) -> Frozen {
        let identity = self.identity();
        let state = self.read();
        Frozen {
            people: state.people.clone(),
            erases: state.rows > state.people.feature_num() as u64,
            identity,
            number,
            suspended,
            fresh_damage: false,
        }
    }

    /// The journal begins with nobody, or goes on from a generation that is there.
    fn is_restart(&self, journal: &Journal) -> bool {
        let generation = self.read().people.generation().map(|g| g.number());
        !journal.continues() || generation == Some(journal.number())
    }

    /// Everything up to and including the durable name.
    pub(super) fn write_frozen(&self, frozen: &Frozen, pace: Pace) -> Result<(), GalleryError> {
        if frozen.people.check_all().is_err() {
            return Err(self.damaged());
        }
        let name = generation_name(frozen.number);
        let staged = staged_name(&name);
        let path = self.home.path(&staged);
        let people: Vec<(&str, &[RowBits])> = frozen.people.in_order();
        let file = self.home.create(&staged)?;
        let identity = frozen.identity.clone();
        let stop = || self.hurry.is_on();
        let written = write_generation(&file, frozen.number, identity, &people, pace, &stop)
            .while_doing("writing a generation", &path);
        if let Err(error) = written {
            let _ = self.home.remove(&staged);
            return Err(error);
        }
        if frozen.erases {
            // Before there is nothing else left to do: a power cut from here on must not leave it for good.
            let marked = match frozen.fresh_damage {
                // The damaged generation follows, with the rows of those who left.
                true => self.home.mark_quarantine_to_come(),
                false => self.home.mark_quarantine(),
            };
            if let Err(error) = marked {
                let _ = self.home.remove(&staged);
                return Err(error);
            }
        }
        self.home.publish(&staged, &name)?;
        self.metrics.compacted();
        Ok(())
    }

    /// Serves from the new generation and erases what came before it.
    pub(super) fn install(&self, writer: &mut Writer, frozen: Frozen) -> Result<(), GalleryError> {
        let number = frozen.number;
        match writer {
            Writer::Ready(journal) if journal.number() == number => {}
            Writer::Suspended { .. } if frozen.suspended => {}
            // A sync failed meanwhile: what the journal holds is not known, and the next attempt does without it.
            _ => return Err(self.refusal(writer)),
        }
        let generation = self.open_generation(number)?;
        let base_rows = generation.row_num() as u64;
        let mut people = People::of(Arc::new(generation));
        let opened = open_journal(&self.home, number, Access::ReadWrite)?;
        let tail = replay(&self.home, opened, &mut people)?;
        if !tail.damage.is_empty() {
            return Err(self.damaged());
        }
        let rows = base_rows + tail.rows;
        if let Writer::Suspended { .. } = writer {
            let (header, length) = (tail.header, tail.good_length);
            let next = tail.next_sequence;
            *writer = Writer::Ready(Journal::resume(&self.home, tail.file, header, length, next));
        }
        {
            let mut state = self.write();
            state.people = people;
            state.rows = rows;
            state.unfinished = false;
            state.trouble = None;
            self.lock_erasure().done();
            state.leftovers = Some(Leftovers {
                restart: number,
                // It cannot be known whose bytes are in it; some may be of the people who left. What was set aside just now is
                // marked, and shown to the operator first.
                quarantine: frozen.erases && !frozen.suspended && !frozen.fresh_damage,
            });
        }
        self.clean_up()
    }

    fn open_generation(&self, number: u64) -> Result<Generation, GalleryError> {
        const DOING: &str = "opening a generation";
        let path = self.home.path(&generation_name(number));
        let file = self
            .home
            .storage
            .open(&path, Access::Read)
            .while_doing(DOING, &path)?;
        match Generation::open(&file) {
            Ok(generation) => Ok(generation),
            Err(OpenFault::Io(error)) => Err(error).while_doing(DOING, &path),
            Err(OpenFault::Damaged(_) | OpenFault::NewerFormat(_)) => Err(self.damaged()),
        }
    }

    /// Takes everyone out and erases their files. The collection belongs to the template space of the running model then.
    pub fn clear(&self) -> Result<(), GalleryError> {
        let _tending = self.interrupt_tending();
        let mut writer = self.lock_writer();
        let before = match &*writer {
            Writer::Ready(journal) => journal.number(),
            Writer::Suspended { highest, .. } => *highest,
            Writer::ReadOnly | Writer::Deleted => return Err(self.refusal(&writer)),
        };
        // An attempt that failed late may have left a generation with a higher number, which has to go as well.
        let names = self.home.names()?;
        let left = names
            .iter()
            .filter_map(|name| generation_number(name))
            // A name that is far away is no generation of ours.
            .filter(|number| (before..=before.saturating_add(MAX_GAP)).contains(number))
            .max();
        let number = before
            .max(left.unwrap_or(0))
            .checked_add(1)
            .ok_or_else(|| self.damaged())?;
        let now = super::clock::now();
        let identity = Identity {
            template_space: self.space.clone(),
            updated: now,
            ..self.identity()
        };
        let journal = stage_journal(&self.home, number, &identity, false)?;
        self.home.mark_quarantine()?;
        if let Err(error) = publish_journal(&self.home, number) {
            self.suspend(&mut writer, &error);
            return Err(error);
        }
        *writer = Writer::Ready(journal);
        {
            let mut state = self.write();
            state.people = People::default();
            state.rows = 0;
            state.unfinished = false;
            state.template_space = self.space.clone();
            state.updated = now;
            state.trouble = None;
            state.warnings.clear();
            *self.lock_erasure() = Erasure::default();
            state.leftovers = Some(Leftovers {
                restart: number,
                quarantine: true,
            });
        }
        self.clean_up()
    }

    /// Ends the life of the collection: waits for a running change, calls `take_away`, and if that succeeds refuses every later
    /// change. Searches that hold the collection finish with the people they see.
    pub fn retire(
        &self,
        take_away: impl FnOnce() -> Result<(), GalleryError>,
    ) -> Result<(), GalleryError> {
        let _tending = self.interrupt_tending();
        let mut writer = self.lock_writer();
        if matches!(*writer, Writer::Deleted) {
            return Err(self.refusal(&writer));
        }
        take_away()?;
        *writer = Writer::Deleted;
        Ok(())
    }

    /// Whether a compaction in the background is to stop soon.
    pub fn set_hurry(&self, hurry: bool) {
        self.hurry.set_stopped(hurry);
    }
}
