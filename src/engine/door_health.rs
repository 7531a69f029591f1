//! How the door is, for whoever watches over the appliance.

use std::sync::atomic::Ordering;

use super::{Access, Engine, Reason};

/// What works at the door at one moment, and what does not.
#[derive(Clone, Debug)]
pub struct DoorHealth {
    /// The pins are in the program's hands: the button is looked at, faces can open.
    pub tending: bool,
    /// Why the event log cannot be written.
    pub log_fault: Option<String>,
    /// Events since the start that never got there.
    pub events_lost: u64,
    /// Openings by faces since the start whose record was not on the medium when the relay moved.
    pub openings_unrecorded: u64,
    /// Why nobody is let in, however alike.
    pub undecidable: Option<String>,
}

impl DoorHealth {
    /// What is wrong, a clause each.
    pub fn ailments(&self) -> Vec<String> {
        let pins = (!self.tending).then(|| "its pins cannot be used".to_owned());
        let log =
            (self.log_fault.as_ref()).map(|e| format!("its event log cannot be written: {e}"));
        let nobody = (self.undecidable.as_ref()).map(|why| format!("nobody is let in: {why}"));
        [pins, log, nobody].into_iter().flatten().collect()
    }
}

impl Engine {
    /// `None` without a door.
    pub fn door_health(&self) -> Option<DoorHealth> {
        let access = self.access()?;
        Some(DoorHealth {
            tending: access.door().is_tending(),
            log_fault: access.door().log().fault(),
            events_lost: access.door().log().lost(),
            openings_unrecorded: access.door().log().unrecorded(),
            undecidable: self.undecidable(access),
        })
    }

    /// `collection` has changed. If it is the door's and has grown too large for a decision, the log says so now, and not only when
    /// somebody stands outside.
    pub(super) fn look_after_door(&self, collection: &str) {
        if let Some(access) = self.access().filter(|a| a.collection() == collection) {
            self.undecidable(access);
        }
    }

    /// Why the door opens to nobody with the faces that are enrolled now. A change goes to the log.
    fn undecidable(&self, access: &Access) -> Option<String> {
        let enrolled = self.enrolled(access.collection());
        // Nobody enrolled is no trouble: who is enrolled first is let in.
        let why = (self.threshold(access, enrolled).err())
            .filter(|(reason, _)| *reason == Reason::Undecidable)
            .map(|(_, why)| why);
        let before = (access.undecidable).swap(why.is_some(), Ordering::Relaxed);
        match &why {
            Some(why) if !before => tracing::error!("door: nobody is let in from now on: {why}"),
            None if before => tracing::info!("door: faces are let in again"),
            _ => {}
        }
        why
    }
}
