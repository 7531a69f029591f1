//! A file system in memory that logs every operation.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::events::{DataChange, Event, NameChange, Node, Place, Recording};
use super::tree::Tree;
use crate::gallery::storage::{Access, Entry, Map, Storage, StorageFile};

thread_local! {
    /// Syncs that this thread asks for fail.
    static SYNCS_FAIL: Cell<bool> = const { Cell::new(false) };
}

/// A clone is the same file system.
#[derive(Clone)]
pub struct Recorded(Arc<Mutex<State>>);

struct State {
    /// What readers see. Equals `base` with all `events`.
    live: Tree,
    base: Tree,
    events: Vec<Event>,
    drop_after_failed_sync: bool,
}

impl Recorded {
    /// An empty root directory.
    pub fn new() -> Recorded {
        Recorded::on(Tree::empty())
    }

    pub fn on(base: Tree) -> Recorded {
        Recorded::replayed(Recording {
            base,
            events: Vec::new(),
        })
    }

    /// The file system as it is when the process was killed but power stayed on: nothing is lost, and what was not synced may
    /// still be.
    pub fn replayed(recording: Recording) -> Recorded {
        let mut medium = recording.medium();
        for event in &recording.events {
            medium.advance(event);
        }
        Recorded(Arc::new(Mutex::new(State {
            live: medium.everything(),
            base: recording.base,
            events: recording.events,
            drop_after_failed_sync: false,
        })))
    }

    /// A failed sync of a file takes away what was written since the last good one, also for readers; the length stays.
    pub fn after_failed_sync_drop(self) -> Recorded {
        self.lock().drop_after_failed_sync = true;
        self
    }

    /// Lets every sync of this file system fail that `work` asks for on this thread.
    pub fn with_failing_syncs<T>(work: impl FnOnce() -> T) -> T {
        let before = SYNCS_FAIL.replace(true);
        let result = work();
        SYNCS_FAIL.set(before);
        result
    }

    pub fn event_count(&self) -> usize {
        self.lock().events.len()
    }

    pub fn recording(&self) -> Recording {
        let state = self.lock();
        Recording {
            base: state.base.clone(),
            events: state.events.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, file: usize, access: Access) -> Arc<dyn StorageFile> {
        Arc::new(RecordedFile {
            storage: self.clone(),
            file,
            access,
        })
    }
}

impl State {
    fn change_name(&mut self, change: NameChange) {
        self.live.change_name(&change);
        self.events.push(Event::Name(change));
    }

    fn change_data(&mut self, file: usize, change: DataChange) {
        self.live.change_data(file, &change, None);
        self.events.push(Event::Data { file, change });
    }

    fn remove_below(&mut self, directory: usize) {
        let names = Arc::clone(&self.live.directories[directory]);
        for (name, &node) in names.iter() {
            if let Node::Directory(inner) = node {
                self.remove_below(inner);
            }
            let name = Arc::clone(name);
            let at = Place { directory, name };
            self.change_name(NameChange::Remove { at, node });
        }
    }

    fn sync_file(&mut self, file: usize) -> io::Result<()> {
        if !SYNCS_FAIL.get() {
            self.events.push(Event::SyncFile { file });
            return Ok(());
        }
        let dropped = self.drop_after_failed_sync;
        self.events.push(Event::FailedSyncFile { file, dropped });
        if dropped {
            let recording = Recording {
                base: self.base.clone(),
                events: self.events.clone(),
            };
            let live = Recorded::replayed(recording).lock().live.clone();
            self.live.files[file] = Arc::clone(&live.files[file]);
        }
        Err(io::Error::from_raw_os_error(libc::EIO))
    }
}

impl Storage for Recorded {
    fn entries(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        let state = self.lock();
        let directory = state.live.find_directory(directory)?;
        let entry = |(name, node): (&Arc<str>, &Node)| Entry {
            name: name.to_string(),
            is_directory: matches!(node, Node::Directory(_)),
        };
        // Not in the order of names, which nobody may rely on.
        let names = state.live.directories[directory].iter();
        Ok(names.rev().map(entry).collect())
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        if state.live.find(path).is_ok() {
            return Err(io::Error::from_raw_os_error(libc::EEXIST));
        }
        let at = state.live.place(path)?;
        let node = Node::Directory(state.live.directories.len());
        state.change_name(NameChange::Add { at, node });
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        let mut state = self.lock();
        let at = state.live.place(path)?;
        let file = match state.live.at(&at) {
            Some(Node::Directory(_)) => return Err(io::Error::from_raw_os_error(libc::EISDIR)),
            Some(Node::File(file)) => {
                state.change_data(file, DataChange::SetLength(0));
                file
            }
            None => {
                let file = state.live.files.len();
                let node = Node::File(file);
                state.change_name(NameChange::Add { at, node });
                file
            }
        };
        Ok(self.file(file, Access::ReadWrite))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn StorageFile>> {
        match self.lock().live.find(path)? {
            Node::File(file) => Ok(self.file(file, access)),
            Node::Directory(_) => Err(io::Error::from_raw_os_error(libc::EISDIR)),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let node = state.live.find(from)?;
        let (from, to) = (state.live.place(from)?, state.live.place(to)?);
        match (node, state.live.at(&to)) {
            _ if from == to => return Ok(()),
            (_, Some(Node::Directory(_))) => {
                return Err(io::Error::from_raw_os_error(libc::ENOTEMPTY));
            }
            (Node::Directory(_), Some(Node::File(_))) => {
                return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
            }
            _ => state.change_name(NameChange::Rename { from, to, node }),
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let node = state.live.find(path)?;
        if matches!(node, Node::Directory(_)) {
            return Err(io::Error::from_raw_os_error(libc::EISDIR));
        }
        let at = state.live.place(path)?;
        state.change_name(NameChange::Remove { at, node });
        Ok(())
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let directory = state.live.find_directory(path)?;
        let at = state.live.place(path)?;
        state.remove_below(directory);
        let node = Node::Directory(directory);
        state.change_name(NameChange::Remove { at, node });
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let directory = state.live.find_directory(path)?;
        if SYNCS_FAIL.get() {
            state.events.push(Event::FailedSyncDirectory);
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        state.events.push(Event::SyncDirectory { directory });
        Ok(())
    }
}

#[derive(Debug)]
struct RecordedFile {
    storage: Recorded,
    file: usize,
    access: Access,
}

impl RecordedFile {
    fn contents(&self) -> Arc<Vec<u8>> {
        Arc::clone(&self.storage.lock().live.files[self.file])
    }

    fn change(&self, change: DataChange) -> io::Result<()> {
        if self.access == Access::Read {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        self.storage.lock().change_data(self.file, change);
        Ok(())
    }
}

impl StorageFile for RecordedFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.contents().len() as u64)
    }

    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        let contents = self.contents();
        let end = (at as usize).checked_add(bytes.len());
        let found = end.and_then(|end| contents.get(at as usize..end));
        let found = found.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        bytes.copy_from_slice(found);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let at = at as usize;
        let bytes = bytes.into();
        self.change(DataChange::Write { at, bytes })
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.change(DataChange::SetLength(length as usize))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.storage.lock().sync_file(self.file)
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn map(&self) -> io::Result<Map> {
        Ok(Map::owned(&self.contents()))
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recorded({} events)", self.event_count())
    }
}
