//! What a file system was asked to do, in order.

use std::fmt;
use std::sync::Arc;

use super::images::Image;
use super::medium::Medium;
use super::rng::Rng;
use super::tree::Tree;

/// What a name stands for. The numbers are never used twice within one recording, so an open file survives its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    File(usize),
    Directory(usize),
}

/// A name in a directory.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    pub directory: usize,
    pub name: Arc<str>,
}

#[derive(Clone, Debug)]
pub enum NameChange {
    Add { at: Place, node: Node },
    Remove { at: Place, node: Node },
    Rename { from: Place, to: Place, node: Node },
}

impl NameChange {
    /// The directories that have to be synced before the change is durable.
    pub fn directories(&self) -> [usize; 2] {
        match self {
            NameChange::Add { at, .. } | NameChange::Remove { at, .. } => [at.directory; 2],
            NameChange::Rename { from, to, .. } => [from.directory, to.directory],
        }
    }
}

#[derive(Clone)]
pub enum DataChange {
    Write { at: usize, bytes: Arc<[u8]> },
    SetLength(usize),
}

#[derive(Clone, Debug)]
pub enum Event {
    Name(NameChange),
    Data {
        file: usize,
        change: DataChange,
    },
    SyncFile {
        file: usize,
    },
    SyncDirectory {
        directory: usize,
    },
    /// `dropped`: what was not durable yet is gone for readers as well.
    FailedSyncFile {
        file: usize,
        dropped: bool,
    },
    /// Changes nothing, but is worth reading in a log.
    FailedSyncDirectory,
}

/// A file system as it was, all of it durable, and what was done to it since.
#[derive(Clone, Debug)]
pub struct Recording {
    pub base: Tree,
    pub events: Vec<Event>,
}

impl Recording {
    /// The medium before any event. Give it the events one by one to look at every crash point in turn.
    pub fn medium(&self) -> Medium {
        Medium::new(self.base.clone())
    }

    /// The same from event `first` on, with what was done before that all durable.
    pub fn from(mut self, first: usize) -> Recording {
        let later = self.events.split_off(first);
        let mut medium = self.medium();
        self.events.iter().for_each(|event| medium.advance(event));
        Recording {
            base: medium.everything(),
            events: later,
        }
    }

    /// What may be left if power fails after the first `prefix` events; `random` images of it chosen by chance.
    pub fn images(&self, prefix: usize, seed: u64, random: usize) -> impl Iterator<Item = Image> {
        let mut medium = self.medium();
        for event in &self.events[..prefix] {
            medium.advance(event);
        }
        medium.images(&mut Rng::new(seed), random).into_iter()
    }

    /// The log before a crash point, to be shown when a test fails.
    pub fn tail(&self, prefix: usize, most: usize) -> String {
        let first = prefix.saturating_sub(most);
        (self.events[first..prefix].iter().enumerate())
            .map(|(i, event)| format!("  {:>4} {event:?}\n", first + i))
            .collect()
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.directory, self.name)
    }
}

/// Without the bytes, which would fill the screen.
impl fmt::Debug for DataChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataChange::Write { at, bytes } => write!(f, "Write({at}..{})", at + bytes.len()),
            DataChange::SetLength(length) => write!(f, "SetLength({length})"),
        }
    }
}
