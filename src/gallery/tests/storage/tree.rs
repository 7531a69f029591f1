//! Names and contents at one moment. Cheap to clone: what two trees have in common they share.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

use super::events::{DataChange, NameChange, Node, Place};
use super::rng::Rng;

/// Pieces that reach the medium as a whole: a sector.
const SECTOR: usize = 512;

const ROOT: usize = 0;

/// Directory 0 is the root, which is always there.
#[derive(Clone, Debug)]
pub struct Tree {
    pub directories: Vec<Arc<BTreeMap<Arc<str>, Node>>>,
    pub files: Vec<Arc<Vec<u8>>>,
}

impl Tree {
    pub fn empty() -> Tree {
        Tree {
            directories: vec![Arc::default()],
            files: Vec::new(),
        }
    }

    /// What a path stands for.
    pub fn find(&self, path: &Path) -> io::Result<Node> {
        let mut node = Node::Directory(ROOT);
        for part in path.components() {
            let Component::Normal(name) = part else {
                continue;
            };
            let Node::Directory(directory) = node else {
                return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
            };
            let name = name.to_str().expect("tests use UTF-8");
            let found = self.directories[directory].get(name);
            node = *found.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))?;
        }
        Ok(node)
    }

    pub fn find_directory(&self, path: &Path) -> io::Result<usize> {
        match self.find(path)? {
            Node::Directory(directory) => Ok(directory),
            Node::File(_) => Err(io::Error::from_raw_os_error(libc::ENOTDIR)),
        }
    }

    /// The directory of a path, which must be there, and the name in it, which need not.
    pub fn place(&self, path: &Path) -> io::Result<Place> {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        Ok(Place {
            directory: self.find_directory(path.parent().unwrap_or(Path::new("")))?,
            name: name.into(),
        })
    }

    pub fn at(&self, place: &Place) -> Option<Node> {
        self.directories[place.directory].get(&place.name).copied()
    }

    /// Changes names, also where an earlier change that it followed from is missing in this tree.
    pub fn change_name(&mut self, change: &NameChange) {
        match change {
            NameChange::Add { at, node } => self.put(at, *node),
            NameChange::Remove { at, node } => {
                self.take(at, *node);
            }
            NameChange::Rename { from, to, node } => {
                // Where an earlier rename is missing, the file still has the name before that one. It never has two.
                if !self.take(from, *node) {
                    self.take_everywhere(*node);
                }
                self.put(to, *node);
            }
        }
    }

    fn put(&mut self, at: &Place, node: Node) {
        match node {
            Node::File(file) => self.make_room(file),
            Node::Directory(directory) => self.make_room_for_directory(directory),
        }
        // The directory itself may have been lost: it is filled all the same, and nobody reaches it.
        self.make_room_for_directory(at.directory);
        Arc::make_mut(&mut self.directories[at.directory]).insert(at.name.clone(), node);
    }

    fn take(&mut self, at: &Place, node: Node) -> bool {
        match self.directories.get_mut(at.directory) {
            Some(names) if names.get(&at.name) == Some(&node) => {
                Arc::make_mut(names).remove(&at.name);
                true
            }
            _ => false,
        }
    }

    fn take_everywhere(&mut self, node: Node) {
        for names in &mut self.directories {
            if names.values().any(|its| *its == node) {
                Arc::make_mut(names).retain(|_, its| *its != node);
            }
        }
    }

    fn make_room(&mut self, file: usize) {
        if self.files.len() <= file {
            self.files.resize_with(file + 1, Arc::default);
        }
    }

    fn make_room_for_directory(&mut self, directory: usize) {
        if self.directories.len() <= directory {
            self.directories.resize_with(directory + 1, Arc::default);
        }
    }

    /// Changes contents. `torn`: by chance only some of the sectors of a write are there, and the length may have grown without
    /// the bytes.
    pub fn change_data(&mut self, file: usize, change: &DataChange, torn: Option<Rng>) {
        self.make_room(file);
        let contents = Arc::make_mut(&mut self.files[file]);
        match (change, torn) {
            (DataChange::SetLength(length), _) => contents.resize(*length, 0),
            (DataChange::Write { at, bytes }, None) => overwrite(contents, *at, bytes),
            (DataChange::Write { at, bytes }, Some(mut rng)) => {
                let end = at + bytes.len();
                if rng.coin() && contents.len() < end {
                    contents.resize(end, 0);
                }
                let mut from = *at;
                while from < end {
                    let to = end.min((from / SECTOR + 1) * SECTOR);
                    if rng.coin() {
                        overwrite(contents, from, &bytes[from - at..to - at]);
                    }
                    from = to;
                }
            }
        }
    }
}

fn overwrite(contents: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if contents.len() < end {
        contents.resize(end, 0);
    }
    contents[at..end].copy_from_slice(bytes);
}
