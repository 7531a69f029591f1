//! A small store that is right, and can be made wrong in the ways that stores go wrong: what the machinery is tested with.
//!
//! One file, `/store/log`, with a record an operation. Compacting writes another one beside it and renames it into place.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use super::Subject;
use super::operation::{Batch, Contents, Operation};
use crate::gallery::storage::{Access, Storage, StorageFile};

/// What the store forgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    None,
    /// To sync after appending.
    AppendSync,
    /// To sync the new log before it takes the old one's place.
    FileSync,
    /// As `FileSync`, but syncs it afterwards: the directory before the file.
    DirectoryFirst,
    /// To sync the directory after renaming.
    DirectorySync,
    /// To verify records.
    Checksum,
    /// To cut a torn record off before appending behind it.
    CutTail,
    /// That a batch is one change: writes one record an item.
    Atomicity,
    /// To make what it found durable before it goes on.
    RecoverySync,
    /// To take a refused record out again: goes on behind what is left of it.
    Undo,
    /// That a second sync proves nothing.
    SecondSync,
}

/// `BUG` is the number of a [`Bug`].
pub struct Toy<const BUG: u8>(Mutex<State>);

struct State {
    storage: Arc<dyn Storage>,
    file: Arc<dyn StorageFile>,
    length: u64,
    contents: Contents,
    /// What the file holds is not known: no changes until it is opened again.
    unsure: bool,
}

const DIRECTORY: &str = "/store";
const LOG: &str = "/store/log";
const NEW_LOG: &str = "/store/new";

impl<const BUG: u8> Toy<BUG> {
    fn has(bug: Bug) -> bool {
        bug as u8 == BUG
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn open_io(storage: Arc<dyn Storage>) -> io::Result<Self> {
        match storage.create_directory(Path::new(DIRECTORY)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        storage.sync_directory(Path::new("/"))?;
        let file = match storage.open(Path::new(LOG), Access::ReadWrite) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (file, _) = Self::write_log(&*storage, &Contents::new())?;
                Self::publish(&*storage, &*file)?;
                file
            }
            opened => opened?,
        };
        let mut bytes = vec![0; file.length()? as usize];
        file.read_exact_at(&mut bytes, 0)?;
        let mut contents = Contents::new();
        let mut good = 0;
        while let Some((operation, length)) = decode(&bytes[good..], !Self::has(Bug::Checksum)) {
            operation.apply(&mut contents);
            good += length;
        }
        if good < bytes.len() && !Self::has(Bug::CutTail) {
            file.set_length(good as u64)?;
        }
        if !Self::has(Bug::RecoverySync) {
            file.sync_data()?;
            storage.sync_directory(Path::new(DIRECTORY))?;
        }
        Ok(Toy(Mutex::new(State {
            storage,
            length: file.length()?,
            file,
            contents,
            unsure: false,
        })))
    }

    /// Writes a log with these contents beside the one that is there.
    fn write_log(
        storage: &dyn Storage,
        contents: &Contents,
    ) -> io::Result<(Arc<dyn StorageFile>, u64)> {
        let file = storage.create(Path::new(NEW_LOG))?;
        let bytes: Vec<u8> = snapshot(contents).iter().flat_map(encode).collect();
        file.write_all_at(&bytes, 0)?;
        if !Self::has(Bug::FileSync) && !Self::has(Bug::DirectoryFirst) {
            file.sync_all()?;
        }
        Ok((file, bytes.len() as u64))
    }

    /// Puts it in the place of that one. After an error it is not known which of them has the name.
    fn publish(storage: &dyn Storage, file: &dyn StorageFile) -> io::Result<()> {
        storage.rename(Path::new(NEW_LOG), Path::new(LOG))?;
        if !Self::has(Bug::DirectorySync) {
            storage.sync_directory(Path::new(DIRECTORY))?;
        }
        match Self::has(Bug::DirectoryFirst) {
            true => file.sync_all(),
            false => Ok(()),
        }
    }

    fn append(state: &mut State, operation: &Operation) -> io::Result<()> {
        let record = encode(operation);
        if let Err(error) = state.file.write_all_at(&record, state.length) {
            if Self::has(Bug::Undo) {
                state.length = state.file.length()?;
            } else {
                let undone = state.file.set_length(state.length);
                state.unsure = undone.and_then(|()| state.file.sync_data()).is_err();
            }
            return Err(error);
        }
        if !Self::has(Bug::AppendSync)
            && let Err(error) = state.file.sync_data()
            && !(Self::has(Bug::SecondSync) && state.file.sync_data().is_ok())
        {
            let undone = state.file.set_length(state.length);
            let _ = undone.and_then(|()| state.file.sync_data());
            state.unsure = true;
            return Err(error);
        }
        state.length += record.len() as u64;
        Ok(())
    }

    fn change(&self, operation: &Operation) -> io::Result<()> {
        let state = &mut *self.lock();
        let mut after = state.contents.clone();
        if !operation.apply(&mut after) || state.unsure {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match operation {
            Operation::Compact(_) => {
                let (file, length) = Self::write_log(&*state.storage, &after)?;
                let published = Self::publish(&*state.storage, &*file);
                state.unsure = published.is_err();
                published?;
                (state.file, state.length) = (file, length);
            }
            Operation::Insert(name, batch) if Self::has(Bug::Atomicity) => {
                for item in batch {
                    let one = Operation::Insert(name.clone(), vec![item.clone()]);
                    Self::append(state, &one)?;
                }
            }
            other => Self::append(state, other)?,
        }
        state.contents = after;
        Ok(())
    }
}

impl<const BUG: u8> Subject for Toy<BUG> {
    fn open(storage: Arc<dyn Storage>) -> Result<Self, String> {
        Self::open_io(storage).map_err(|error| error.to_string())
    }

    fn apply(&self, operation: &Operation) -> Result<(), String> {
        self.change(operation).map_err(|error| error.to_string())
    }

    fn contents(&self) -> Contents {
        self.lock().contents.clone()
    }

    fn search(&self) -> Result<(), String> {
        Ok(())
    }

    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Operations that lead to these contents.
fn snapshot(contents: &Contents) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (name, targets) in contents {
        operations.push(Operation::Create(name.clone()));
        let batch: Batch = (targets.iter())
            .flat_map(|(target, numbers)| numbers.iter().map(|n| (target.clone(), *n)))
            .collect();
        operations.push(Operation::Insert(name.clone(), batch));
    }
    operations
}

/// Length, checksum, text. Filled up so that a record has several sectors, as one of the gallery has.
fn encode(operation: &Operation) -> Vec<u8> {
    let (word, name, items) = match operation {
        Operation::Create(name) => ("create", name, vec![]),
        Operation::Clear(name) => ("clear", name, vec![]),
        Operation::Delete(name) => ("delete", name, vec![]),
        Operation::Compact(name) => ("compact", name, vec![]),
        Operation::Insert(name, batch) => ("insert", name, batch.clone()),
        Operation::Update(name, batch) => ("update", name, batch.clone()),
        Operation::Remove(name, target) => ("remove", name, vec![(target.clone(), 0)]),
        Operation::RemoveFeature(name, target, index) => {
            ("feature", name, vec![(target.clone(), *index as u32)])
        }
        Operation::Rename(name, from, to, merge) => (
            "rename",
            name,
            vec![(from.clone(), 0), (to.clone(), u32::from(*merge))],
        ),
    };
    let mut text = format!("{word} {name}");
    for (target, number) in items {
        text += &format!(" {target} {number:0>200}");
    }
    let checksum = crc32c::crc32c(text.as_bytes());
    let mut record = (text.len() as u32).to_le_bytes().to_vec();
    record.extend(checksum.to_le_bytes());
    record.extend(text.as_bytes());
    record
}

/// The first record and its length.
fn decode(bytes: &[u8], verify: bool) -> Option<(Operation, usize)> {
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let length = word(0)? as usize;
    let text = bytes.get(8..8 + length)?;
    if verify && crc32c::crc32c(text) != word(4)? {
        return None;
    }
    let text = String::from_utf8_lossy(text);
    let mut words = text.split(' ');
    let (kind, name) = (words.next()?, words.next()?.to_owned());
    let words: Vec<&str> = words.collect();
    let number = |text: &str| text.parse().unwrap_or(0);
    let items = words
        .chunks_exact(2)
        .map(|w| (w[0].to_owned(), number(w[1])));
    let mut batch: Batch = items.collect();
    let operation = match kind {
        "create" => Operation::Create(name),
        "clear" => Operation::Clear(name),
        "delete" => Operation::Delete(name),
        "compact" => Operation::Compact(name),
        "insert" => Operation::Insert(name, batch),
        "update" => Operation::Update(name, batch),
        "remove" => Operation::Remove(name, batch.pop()?.0),
        "feature" => {
            let (target, index) = batch.pop()?;
            Operation::RemoveFeature(name, target, index as usize)
        }
        "rename" => {
            let (to, merge) = batch.pop()?;
            Operation::Rename(name, batch.pop()?.0, to, merge != 0)
        }
        _ => return None,
    };
    Some((operation, 8 + length))
}
