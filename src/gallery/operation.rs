//! What a journal record says: one operation, archived with rkyv.
//!
//! The archive is little endian with 32-bit offsets on every machine. Variants are only ever added at the end and fields never
//! change: anything else needs a new [`FORMAT_VERSION`](super::format::FORMAT_VERSION).

use rkyv::rancor::Error as ArchiveError;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Deserialize, Serialize};

use super::template::{RowBits, Template, bits_are_finite};

/// One stored feature: a template and the person it belongs to.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub(super) struct Feature {
    pub target: String,
    pub bits: RowBits,
}

impl Feature {
    pub fn new(target: String, template: &Template) -> Feature {
        Feature {
            target,
            bits: template.to_bits(),
        }
    }
}

/// Who the journal belongs to. All times are milliseconds since 1970 UTC.
#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    /// The collection's UUID, which is also the name of its directory.
    pub collection: [u8; 16],
    pub name: String,
    /// Names the embedding model: templates of different spaces must not be compared.
    pub template_space: String,
    pub created: u64,
    /// When the collection last changed before this journal was begun.
    pub updated: u64,
}

#[derive(Archive, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// Always the first record of a journal, and only there.
    Begin(Identity),
    /// Adds features to people, who are created as needed.
    Insert { at: u64, features: Vec<Feature> },
    /// The features listed for a target become its only ones.
    Replace { at: u64, features: Vec<Feature> },
    /// Takes one person out.
    Remove { at: u64, target: String },
    /// Takes one person out, and the features listed for another become its only ones. Since format version 3.
    Rename {
        at: u64,
        from: String,
        features: Vec<Feature>,
    },
}

impl Operation {
    /// Feature rows that this operation puts into the journal file.
    pub fn rows(&self) -> u64 {
        match self {
            Operation::Insert { features, .. }
            | Operation::Replace { features, .. }
            | Operation::Rename { features, .. } => features.len() as u64,
            Operation::Begin(_) | Operation::Remove { .. } => 0,
        }
    }

    /// When it happened, milliseconds since 1970 UTC.
    pub fn at(&self) -> u64 {
        match self {
            Operation::Begin(identity) => identity.updated,
            Operation::Insert { at, .. }
            | Operation::Replace { at, .. }
            | Operation::Remove { at, .. }
            | Operation::Rename { at, .. } => *at,
        }
    }

    /// The first format version whose readers know it: a journal of an earlier one must not hold it, since its readers would take
    /// it for damage.
    pub fn since_version(&self) -> u32 {
        match self {
            Operation::Rename { .. } => 3,
            Operation::Begin(_)
            | Operation::Insert { .. }
            | Operation::Replace { .. }
            | Operation::Remove { .. } => 1,
        }
    }

    pub fn encode(&self) -> Result<AlignedVec, ArchiveError> {
        rkyv::to_bytes::<ArchiveError>(self)
    }

    /// Checked access: any bytes may be given. `None` if they are no operation or hold a template that is not finite.
    pub fn decode(payload: &AlignedVec) -> Option<Operation> {
        let operation = rkyv::from_bytes::<Operation, ArchiveError>(payload).ok()?;
        match &operation {
            Operation::Insert { features, .. }
            | Operation::Replace { features, .. }
            | Operation::Rename { features, .. }
                if !features.iter().all(|f| bits_are_finite(&f.bits)) =>
            {
                None
            }
            _ => Some(operation),
        }
    }
}
