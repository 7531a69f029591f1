//! The gallery as its callers see it, and its files as a power cut, a failing card or a curious reader leaves them.

mod background;
mod concurrency;
mod crash;
mod damage;
mod erasure;
mod failing_storage;
mod generations;
mod healing;
mod interrupted;
mod listing;
mod names;
mod naming;
mod reopen;
mod sealing;
mod semantics;
// The crash driver uses all of it.
#[allow(dead_code, unused_imports)]
mod storage;
mod upgrade;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::Home;
use super::operation::Feature;
use super::storage::Disk;
use super::template::RowBits;
use super::{Gallery, Options, Template};

const SPACE: &str = "test-model-1";

/// A directory in memory where there is one. The tests see what was written, synced or not, so the syncs need not be real, and
/// thousands of real ones take minutes on a slow disk.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// A template that differs from those of all other seeds.
fn template(seed: u32) -> Template {
    let vector: Vec<f32> = (0..192)
        .map(|i| {
            let mixed = (i + seed * 193)
                .wrapping_mul(2_654_435_761)
                .rotate_left(13)
                .wrapping_mul(2_246_822_519);
            f32::from((mixed >> 16) as i16)
        })
        .collect();
    Template::new(&vector).unwrap()
}

fn items(list: &[(&str, u32)]) -> Vec<(String, Template)> {
    list.iter()
        .map(|&(target, seed)| (target.to_owned(), template(seed)))
        .collect()
}

fn options() -> Options {
    Options {
        template_space: SPACE.to_owned(),
        ..Options::default()
    }
}

fn open(directory: &Path) -> Gallery {
    Gallery::open(directory, options()).unwrap()
}

/// Who has which features, in order: what a collection holds, whatever its memory layout.
type Contents = BTreeMap<String, Vec<RowBits>>;

fn contents(gallery: &Gallery, name: &str) -> Contents {
    by_target(gallery.collection(name).features())
}

fn by_target(features: impl IntoIterator<Item = Feature>) -> Contents {
    let mut contents = Contents::new();
    for feature in features {
        contents
            .entry(feature.target)
            .or_default()
            .push(feature.bits);
    }
    contents
}

/// The only collection directory of a gallery that has one.
fn collection_directory(gallery: &Path) -> PathBuf {
    let mut directories: Vec<PathBuf> = fs::read_dir(gallery)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    assert_eq!(directories.len(), 1, "{directories:?}");
    directories.pop().unwrap()
}

/// The only collection's directory as the gallery's rooms see it.
fn home(gallery: &Path) -> Home {
    let directory = collection_directory(gallery);
    let name = directory.file_name().unwrap().to_str().unwrap();
    Home {
        storage: Arc::new(Disk),
        collection: name.parse().unwrap(),
        directory,
        sealer: None,
    }
}

/// The only journal of the only collection.
fn journal_path(gallery: &Path) -> PathBuf {
    let mut journals: Vec<PathBuf> = fs::read_dir(collection_directory(gallery))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("/journal-"))
        .collect();
    assert_eq!(journals.len(), 1, "{journals:?}");
    journals.pop().unwrap()
}

/// Every file below `directory`.
fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(files_below(&path)),
            false => files.push(path),
        }
    }
    files
}

/// Names of the files in `directory`, sorted.
fn names_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = (fs::read_dir(directory).unwrap())
        .map(|entry| entry.unwrap())
        .filter(|entry| !entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Every file below `directory`, by its path in there, with its bytes.
fn tree_of(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = files_below(directory).into_iter().map(|path| {
        let bytes = fs::read(&path).unwrap();
        (path.strip_prefix(directory).unwrap().to_owned(), bytes)
    });
    files.collect()
}

/// Makes `to` hold what `from` holds.
fn copy_directory(from: &Path, to: &Path) {
    write_tree(&tree_of(from), to);
}

/// Makes `to` hold these files, and nothing else.
fn write_tree(tree: &BTreeMap<PathBuf, Vec<u8>>, to: &Path) {
    for old in fs::read_dir(to).unwrap() {
        let old = old.unwrap().path();
        match old.is_dir() {
            true => fs::remove_dir_all(old).unwrap(),
            false => fs::remove_file(old).unwrap(),
        }
    }
    for (path, bytes) in tree {
        let path = to.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}
