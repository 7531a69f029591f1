//! A file system in memory, as fast as can be: nothing is ever lost here.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::gallery::storage::{Access, Entry, Map, Storage, StorageFile};

/// A clone is the same file system.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<BTreeMap<PathBuf, Node>>>);

#[derive(Clone, Debug)]
enum Node {
    Directory,
    File(Arc<MemoryFile>),
}

#[derive(Debug, Default)]
struct MemoryFile(Mutex<Vec<u8>>);

fn error<T>(code: i32) -> io::Result<T> {
    Err(io::Error::from_raw_os_error(code))
}

impl Memory {
    /// Puts a file there, and the directories above it.
    pub fn put(&self, path: &Path, bytes: Vec<u8>) {
        let mut nodes = self.nodes();
        for above in path.ancestors().skip(1) {
            nodes.insert(above.to_owned(), Node::Directory);
        }
        let file = MemoryFile(Mutex::new(bytes));
        nodes.insert(path.to_owned(), Node::File(Arc::new(file)));
    }

    /// Every file with its bytes.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let nodes = self.nodes();
        let files = nodes.iter().filter_map(|(path, node)| match node {
            Node::File(file) => Some((path.clone(), file.bytes().clone())),
            Node::Directory => None,
        });
        files.collect()
    }

    fn nodes(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Node>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for Memory {
    fn entries(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        let nodes = self.nodes();
        match nodes.get(directory) {
            Some(Node::Directory) => {}
            Some(Node::File(_)) => return error(libc::ENOTDIR),
            None => return error(libc::ENOENT),
        }
        let inside = nodes
            .iter()
            .filter(|(path, _)| path.parent() == Some(directory));
        let entry = |(path, node): (&PathBuf, &Node)| Entry {
            name: path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            is_directory: matches!(node, Node::Directory),
        };
        Ok(inside.map(entry).collect())
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let mut nodes = self.nodes();
        if nodes.contains_key(path) {
            return error(libc::EEXIST);
        }
        nodes.insert(path.to_owned(), Node::Directory);
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn StorageFile>> {
        let mut nodes = self.nodes();
        let node = nodes
            .entry(path.to_owned())
            .or_insert_with(|| Node::File(Arc::default()));
        let Node::File(file) = node else {
            return error(libc::EISDIR);
        };
        file.bytes().clear();
        Ok(Arc::clone(file) as Arc<dyn StorageFile>)
    }

    fn open(&self, path: &Path, _: Access) -> io::Result<Arc<dyn StorageFile>> {
        match self.nodes().get(path) {
            Some(Node::File(file)) => Ok(Arc::clone(file) as Arc<dyn StorageFile>),
            Some(Node::Directory) => error(libc::EISDIR),
            None => error(libc::ENOENT),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut nodes = self.nodes();
        if !nodes.contains_key(from) {
            return error(libc::ENOENT);
        }
        if matches!(nodes.get(to), Some(Node::Directory)) {
            return error(libc::ENOTEMPTY);
        }
        let moved: Vec<PathBuf> = nodes
            .keys()
            .filter(|path| path.starts_with(from))
            .cloned()
            .collect();
        for path in moved {
            let inside = path.strip_prefix(from).unwrap_or(Path::new("")).to_owned();
            let target = match inside.as_os_str().is_empty() {
                true => to.to_owned(),
                false => to.join(inside),
            };
            if let Some(node) = nodes.remove(&path) {
                nodes.insert(target, node);
            }
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut nodes = self.nodes();
        match nodes.get(path) {
            Some(Node::Directory) => return error(libc::EISDIR),
            Some(Node::File(_)) => nodes.remove(path),
            None => return error(libc::ENOENT),
        };
        Ok(())
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let mut nodes = self.nodes();
        if !nodes.contains_key(path) {
            return error(libc::ENOENT);
        }
        nodes.retain(|inside, _| !inside.starts_with(path));
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        match self.nodes().contains_key(path) {
            true => Ok(()),
            false => error(libc::ENOENT),
        }
    }
}

impl MemoryFile {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StorageFile for MemoryFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.bytes().len() as u64)
    }

    fn read_exact_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        let contents = self.bytes();
        let end = (at as usize).checked_add(bytes.len());
        let found = end.and_then(|end| contents.get(at as usize..end));
        bytes.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_all_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut contents = self.bytes();
        let at = at as usize;
        let end = at + bytes.len();
        if contents.len() < end {
            contents.resize(end, 0);
        }
        contents[at..end].copy_from_slice(bytes);
        Ok(())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.bytes().resize(length as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }

    fn map(&self) -> io::Result<Map> {
        Ok(Map::owned(&self.bytes()))
    }
}
