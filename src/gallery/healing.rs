//! Putting right a generation that turns out to be damaged while it is served.

use std::sync::{Arc, MutexGuard};
use std::time::Instant;

use super::aside::{beyond_repair, quarantine_faults, ranges_of, warn};
use super::collection::{Collection, Writer, take_up};
use super::error::{GalleryError, Warning, WhileDoing};
use super::generation::{Health, OpenFault, Pace, examine, examine_until, generation_name};
use super::journal::{journal_name, journal_number};
use super::reading::{MAX_GAP, open_generation};
use super::recovery::{mend_generation, recover};
use super::replay::open_journal;
use super::storage::Access;
use super::tending::Frozen;

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
        let stop = || self.hurry.is_stopped();
        match examine_until(&*file, &stop) {
            Ok(Health::Whole) => Ok(false),
            Err(OpenFault::Io(_)) if stop() => Ok(false),
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
                // Until everyone is in a new generation, the damaged one stays where it is.
                let frozen = self.written_anew(&mut writer)?;
                let copy = self.home.quarantine_file(&name)?;
                let what = format!("{name} was damaged and is written anew, nothing is lost");
                warn(&self.home, &mut warnings, what, Some(copy));
                self.add_warnings(warnings);
                return self.install(&mut writer, frozen);
            }
            Err(OpenFault::Damaged(_) | OpenFault::NewerFormat(_)) => Vec::new(),
        };
        if faults.is_empty() {
            return self.reopen(&mut writer, warnings);
        }
        self.metrics.damage_found(faults.len());
        if self.has_older_restart(number)? {
            // What was left to be erased is what is served from now on.
            self.write().leftovers = None;
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
        let frozen = self.written_anew(&mut writer)?;
        self.install(&mut writer, frozen)
    }

    /// Everyone in memory into a new generation, with what is set aside now kept for the operator.
    fn written_anew(&self, writer: &mut Writer) -> Result<Frozen, GalleryError> {
        let mut frozen = self.freeze(writer)?;
        frozen.fresh_damage = true;
        self.write_frozen(&frozen, Pace::AtOnce)?;
        Ok(frozen)
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

    /// Whether a generation before `number`, or a journal that begins with nobody, can be served with every journal since.
    fn has_older_restart(&self, number: u64) -> Result<bool, GalleryError> {
        let names = self.home.names()?;
        // A name that is far away is no journal of ours.
        let near = number..=number.saturating_add(MAX_GAP);
        let numbers = names.iter().filter_map(|name| journal_number(name));
        let highest = numbers.filter(|number| near.contains(number)).max();
        let continues = |number: u64| {
            if !names.contains(&journal_name(number)) {
                return Ok(None);
            }
            match open_journal(&self.home, number, Access::Read) {
                Ok(journal) => Ok(Some(journal.header.continues)),
                Err(GalleryError::Damaged { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        };
        for later in number..=highest.unwrap_or(number) {
            if continues(later)?.is_none() {
                return Ok(false);
            }
        }
        for older in (1..number).rev() {
            match continues(older)? {
                None => return Ok(false),
                Some(false) => return Ok(true),
                Some(true) if !names.contains(&generation_name(older)) => {}
                Some(true) if self.is_whole(older)? => return Ok(true),
                Some(true) => {}
            }
        }
        Ok(false)
    }

    /// Whether generation `number` can be served as it is.
    fn is_whole(&self, number: u64) -> Result<bool, GalleryError> {
        const DOING: &str = "reading a generation";
        if open_generation(&self.home, number)?.is_err() {
            return Ok(false);
        }
        let path = self.home.path(&generation_name(number));
        let file = (self.home.storage.open(&path, Access::Read)).while_doing(DOING, &path)?;
        match examine(&*file) {
            Ok(health) => Ok(health == Health::Whole),
            Err(OpenFault::Io(error)) => Err(error).while_doing(DOING, &path),
            Err(OpenFault::Damaged(_) | OpenFault::NewerFormat(_)) => Ok(false),
        }
    }
}
