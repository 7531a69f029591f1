//! Putting right a generation that turns out to be damaged while it is served.

use std::sync::{Arc, MutexGuard};
use std::time::Instant;

use super::aside::{beyond_repair, quarantine_faults, ranges_of, warn};
use super::collection::{Collection, Writer, take_up};
use super::error::{GalleryError, Warning, WhileDoing};
use super::generation::{Health, OpenFault, Pace, examine, generation_name};
use super::journal::journal_name;
use super::recovery::{mend_generation, recover};
use super::replay::open_journal;
use super::storage::Access;

impl Collection {
    /// Reads the whole generation from the medium; damage is healed. `false` if there was none.
    pub fn scrub(&self) -> Result<bool, GalleryError> {
        let Some(number) = self.read().people.generation().map(|g| g.number()) else {
            return Ok(false);
        };
        const DOING: &str = "scrubbing a generation";
        let path = self.home.path(&generation_name(number));
        let file = match self.home.storage.open(&path, Access::Read) {
            // A newer one has taken its place.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            other => other.while_doing(DOING, &path)?,
        };
        file.forget_cached();
        match examine(&*file) {
            Ok(Health::Whole) => Ok(false),
            Err(OpenFault::Io(error)) => Err(error).while_doing(DOING, &path),
            Ok(_) | Err(_) => self.heal().map(|()| true),
        }
    }

    /// Puts right a generation that turned out to be damaged: rebuilt from its parity; or the generation before, where that is
    /// still there; or else without the people whose rows are lost.
    ///
    /// # Errors
    /// [`GalleryError::Damaged`] if nothing is left, [`GalleryError::Storage`] if the storage refuses the repair.
    pub fn heal(&self) -> Result<(), GalleryError> {
        let _tending = self.interrupt_tending();
        let mut writer = self.lock_writer();
        if matches!(*writer, Writer::Deleted) {
            return Err(self.refusal(&writer));
        }
        let Some(generation) = self.read().people.generation().map(Arc::clone) else {
            return Ok(());
        };
        let number = generation.number();
        let name = generation_name(number);
        let path = self.home.path(&name);
        let mut warnings = Vec::new();
        let file = self
            .home
            .storage
            .open(&path, Access::Read)
            .while_doing("opening a generation", &path)?;
        let faults = match examine(&*file) {
            // Another search has had it healed meanwhile, or the medium reads well this time: look again.
            Ok(Health::Whole) => Vec::new(),
            Ok(Health::Repairable(_)) => {
                self.metrics.damage_found(1);
                mend_generation(&self.home, number, &mut warnings)?;
                Vec::new()
            }
            Ok(Health::Lost(faults)) => faults,
            Err(OpenFault::Io(error)) => {
                return Err(error).while_doing("reading a generation", &path);
            }
            // The frame around the rows is gone. They may still be whole in the map, and who owns them is in memory.
            Err(OpenFault::Damaged(_) | OpenFault::NewerFormat(_))
                if self.read().people.check_all().is_ok() =>
            {
                self.metrics.damage_found(1);
                let copy = self.home.quarantine_file(&name)?;
                let what = format!("{name} was damaged and is written anew, nothing is lost");
                warn(&self.home, &mut warnings, what, Some(copy));
                self.add_warnings(warnings);
                return self.write_anew(&mut writer);
            }
            Err(OpenFault::Damaged(_) | OpenFault::NewerFormat(_)) => Vec::new(),
        };
        if faults.is_empty() {
            return self.reopen(&mut writer, warnings);
        }
        self.metrics.damage_found(faults.len());
        if self.has_older_restart(number)? {
            let copy = self.home.quarantine_file(&name)?;
            let what =
                format!("{name} is damaged; the generation before and its journals are served");
            warn(&self.home, &mut warnings, what, Some(copy));
            return self.reopen(&mut writer, warnings);
        }
        let copy = quarantine_faults(&self.home, &name, &*file, &faults)?;
        let lost = {
            let mut state = self.write();
            state.people.drop_damaged(&ranges_of(&faults))
        };
        tracing::error!(
            collection = self.name,
            lost,
            "a generation is damaged beyond repair"
        );
        warn(&self.home, &mut warnings, beyond_repair(&name, lost), copy);
        self.add_warnings(warnings);
        // The blocks that are lost must not be read again.
        self.write_anew(&mut writer)
    }

    /// Everyone in memory into a new generation, with what was set aside just now kept for the operator.
    fn write_anew(&self, writer: &mut Writer) -> Result<(), GalleryError> {
        let mut frozen = self.freeze(writer)?;
        frozen.fresh_damage = true;
        self.write_frozen(&frozen, Pace::AtOnce)?;
        self.install(writer, frozen)
    }

    /// Reads everything again, as at the start.
    fn reopen(
        &self,
        writer: &mut MutexGuard<'_, Writer>,
        warnings: Vec<Warning>,
    ) -> Result<(), GalleryError> {
        self.add_warnings(warnings);
        let known = self.read().warnings.clone();
        let recovered = recover(&self.home, known)?;
        let writable = recovered.read_only.is_none();
        // What a sync failed on must not be appended to, however it reads back.
        let suspended = matches!(**writer, Writer::Suspended { .. });
        let rewrite = writable && (recovered.rewrite || suspended);
        let highest = recovered.highest;
        let (new_writer, mut new_state) = take_up(recovered, &self.name);
        if suspended && new_state.trouble.is_none() {
            new_state.trouble = self.read().trouble.clone();
        }
        *self.write() = new_state;
        **writer = match suspended && writable {
            true => Writer::Suspended {
                highest,
                retry_at: Instant::now(),
            },
            false => new_writer,
        };
        match rewrite {
            true => self.compact_locked(writer),
            false => Ok(()),
        }
    }

    fn add_warnings(&self, mut warnings: Vec<Warning>) {
        for warning in &mut warnings {
            warning.collection = Some(self.name.clone());
        }
        self.write().warnings.append(&mut warnings);
    }

    /// Whether there is a generation, or a journal that begins with nobody, before generation `number`.
    fn has_older_restart(&self, number: u64) -> Result<bool, GalleryError> {
        let names = self.home.names()?;
        Ok((1..number).rev().any(|older| {
            names.contains(&journal_name(older))
                && (names.contains(&generation_name(older))
                    || open_journal(&self.home, older, Access::Read)
                        .is_ok_and(|journal| !journal.header.continues))
        }))
    }
}
