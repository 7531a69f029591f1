//! What is durable at a crash point, and what is not yet.

use super::events::{DataChange, Event, NameChange};
use super::tree::Tree;

/// A medium while events come in.
#[derive(Clone, Debug)]
pub struct Medium {
    /// Survives for certain.
    pub durable: Tree,
    /// In the order of time.
    pub names: Vec<WaitingName>,
    pub data: Vec<WaitingData>,
}

#[derive(Clone, Debug)]
pub struct WaitingName {
    pub change: NameChange,
    /// Whether each of its directories was synced since. Both: it survives, but after an earlier change that may not.
    pub synced: [bool; 2],
}

impl WaitingName {
    pub fn survives(&self) -> bool {
        self.synced == [true; 2]
    }
}

#[derive(Clone, Debug)]
pub struct WaitingData {
    pub file: usize,
    pub change: DataChange,
    pub standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The next good sync makes it durable.
    Unsynced,
    /// A sync of it failed: no later one proves anything.
    Doubtful,
    /// Survives for certain, but after a doubtful one.
    Survives,
}

impl Medium {
    pub fn new(durable: Tree) -> Medium {
        Medium {
            durable,
            names: Vec::new(),
            data: Vec::new(),
        }
    }

    pub fn advance(&mut self, event: &Event) {
        match event {
            Event::Name(change) => self.names.push(WaitingName {
                change: change.clone(),
                synced: [false; 2],
            }),
            Event::Data { file, change } => self.data.push(WaitingData {
                file: *file,
                change: change.clone(),
                standing: Standing::Unsynced,
            }),
            Event::SyncFile { file } => self.sync_file(*file),
            Event::SyncDirectory { directory } => self.sync_directory(*directory),
            Event::FailedSyncFile { file, dropped } => self.fail_sync(*file, *dropped),
            Event::FailedSyncDirectory => {}
        }
    }

    fn sync_file(&mut self, file: usize) {
        let durable = &mut self.durable;
        let mut after_doubtful = false;
        self.data.retain_mut(|waiting| {
            if waiting.file != file {
                return true;
            }
            if waiting.standing == Standing::Doubtful {
                after_doubtful = true;
            } else if after_doubtful {
                waiting.standing = Standing::Survives;
            } else {
                durable.change_data(file, &waiting.change, None);
            }
            after_doubtful
        });
    }

    fn sync_directory(&mut self, directory: usize) {
        let durable = &mut self.durable;
        // A change must not overtake an earlier one of the same directory that still waits for another directory.
        let mut held_up = Vec::new();
        self.names.retain_mut(|waiting| {
            let directories = waiting.change.directories();
            for (synced, its) in waiting.synced.iter_mut().zip(directories) {
                *synced |= its == directory;
            }
            let free = !directories.iter().any(|its| held_up.contains(its));
            if waiting.survives() && free {
                durable.change_name(&waiting.change);
                return false;
            }
            held_up.extend(directories);
            true
        });
    }

    fn fail_sync(&mut self, file: usize, dropped: bool) {
        let its = |waiting: &WaitingData| waiting.file == file;
        if !dropped {
            for waiting in self.data.iter_mut().filter(|w| its(w)) {
                if waiting.standing == Standing::Unsynced {
                    waiting.standing = Standing::Doubtful;
                }
            }
            return;
        }
        let length = self.everything().files.get(file).map_or(0, |f| f.len());
        self.data
            .retain(|w| !its(w) || w.standing == Standing::Survives);
        self.data.push(WaitingData {
            file,
            change: DataChange::SetLength(length),
            standing: Standing::Doubtful,
        });
    }

    /// Everything done so far, durable or not: what a reader sees before the power cut.
    pub fn everything(&self) -> Tree {
        let mut tree = self.durable.clone();
        for waiting in &self.names {
            tree.change_name(&waiting.change);
        }
        for waiting in &self.data {
            tree.change_data(waiting.file, &waiting.change, None);
        }
        tree
    }
}
