//! What the names in the gallery's directory mean.

use std::path::Path;

use uuid::Uuid;

use super::reading::holds_sealed_journal;
use super::storage::Storage;

/// A collection that is being created: not there yet.
pub(super) const UNFINISHED_PREFIX: &str = ".tmp-";
/// A collection that is being deleted: not there any more.
pub(super) const DELETED_PREFIX: &str = ".deleted-";

/// Whether a journal in the gallery is sealed: then a missing salt must not be made anew. What cannot be read counts as sealed.
pub(super) fn anything_sealed(storage: &dyn Storage, directory: &Path) -> bool {
    let Ok(entries) = storage.entries(directory) else {
        return true;
    };
    entries.iter().any(|entry| {
        let Place::Collection(collection) = place_of(&entry.name) else {
            return false;
        };
        holds_sealed_journal(storage, &directory.join(&entry.name), collection)
    })
}

/// The collection whose directory has this name.
pub(super) fn collection_of(name: &str) -> Option<Uuid> {
    match place_of(name) {
        Place::Collection(uuid) => Some(uuid),
        Place::Leftover | Place::Foreign => None,
    }
}

/// What an entry of the gallery's directory is.
pub(super) enum Place {
    Collection(Uuid),
    /// A creation or deletion that was interrupted.
    Leftover,
    /// Nothing of ours: left alone.
    Foreign,
}

pub(super) fn place_of(name: &str) -> Place {
    // Only the spelling that this room writes: braces or capitals would make two names of one UUID.
    let uuid = |text: &str| Uuid::parse_str(text).ok().filter(|u| u.to_string() == text);
    if let Some(uuid) = uuid(name) {
        return Place::Collection(uuid);
    }
    let ours = [UNFINISHED_PREFIX, DELETED_PREFIX]
        .iter()
        .any(|prefix| name.strip_prefix(prefix).and_then(uuid).is_some());
    match ours {
        true => Place::Leftover,
        false => Place::Foreign,
    }
}
