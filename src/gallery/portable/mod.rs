//! Collections in one sealed file that another device can read: `recocomp backup`, `restore`, `collection export` and `import`.
//!
//! | file | concern |
//! |---|---|
//! | `frame.rs` | the bytes of a frame, and what its seal is bound to |
//! | `payload.rs` | what is inside the sealed frames |
//! | `key.rs` | the KEY frame: the data key, wrapped for a passphrase or for recipients |
//! | `recipient.rs` | public and secret keys in the text form of age |
//! | `scan.rs` | walking over the frames of a file that may be cut off or damaged |
//! | `place.rs` | the unfinished file, its lock, and durable names |
//! | `writer.rs` | writing, and going on after an interruption |
//! | `reader.rs` | reading and verifying |
//!
//! `docs/design/backup.md` draws the bytes. Both ways are streams: about 4 MiB of memory whatever the size of the gallery, and
//! for a passphrase another 64 MiB while it is turned into a key.

mod error;
mod frame;
mod key;
mod payload;
mod place;
mod reader;
mod recipient;
mod scan;
mod writer;

pub use error::PortableError;
pub use key::{Key, Lock, Passphrase};
pub use reader::{People, Reader};
pub use recipient::{Identity, Recipient};
pub use writer::{Progress, Writer};

use uuid::Uuid;

/// Numbers of a template, each the bits of an IEEE 754 binary16.
pub const FEATURE_DIMENSIONS: usize = 192;

/// One template as it is stored: 192 binary16 bit patterns, none of them a NaN or an infinity.
pub type FeatureBits = [u16; FEATURE_DIMENSIONS];

/// A target id and the person's features.
pub type Person = (String, Vec<FeatureBits>);

/// What a collection is, and in which state it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectionHead {
    /// The collection's own UUID.
    pub uuid: Uuid,
    /// Its name in the API, at most 4096 bytes.
    pub name: String,
    /// The embedding model that its templates belong to, at most 4096 bytes.
    pub template_space: String,
    /// When it was created, milliseconds since 1970 UTC.
    pub created: u64,
    /// When it last changed, milliseconds since 1970 UTC.
    pub updated: u64,
    /// Changes whenever the contents change; opaque here. It decides whether an interrupted backup keeps the collection.
    pub version: [u8; 32],
    /// People in it. The people that follow must be exactly as many.
    pub people: u64,
    /// Features of all of them. The features that follow must be exactly as many.
    pub features: u64,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Collections that count.
    pub collections: u64,
    /// People in them.
    pub people: u64,
    /// Features of all of them.
    pub features: u64,
    /// Size of the file in bytes.
    pub bytes: u64,
}

impl Summary {
    fn add(&mut self, head: &CollectionHead) {
        self.collections += 1;
        self.people = self.people.saturating_add(head.people);
        self.features = self.features.saturating_add(head.features);
    }
}

/// Neither NaN nor infinity: not all bits of the exponent are set.
fn is_finite(bits: u16) -> bool {
    bits & 0x7c00 != 0x7c00
}

#[cfg(test)]
mod tests;
