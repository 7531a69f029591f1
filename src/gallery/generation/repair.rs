//! Reading a whole generation file by `read`, finding what is damaged, and rebuilding it from the parity.

use std::io;
use std::sync::Arc;

use super::super::storage::StorageFile;
use super::archive::{Frame, OpenFault};
use super::write::{add, write_frame};

/// What a full reading found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Health {
    Whole,
    /// Every row can be had back.
    Repairable(Vec<Fault>),
    /// More than one block is damaged, or one block and the parity: their bytes are lost.
    Lost(Vec<Fault>),
}

/// One damaged part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Fault {
    /// What it is, to be read after "could not be read:".
    pub what: String,
    /// Its place in the file.
    pub at: u64,
    pub length: usize,
}

/// Says whether to end before the work is done.
pub(in super::super) type Stop<'a> = &'a (dyn Fn() -> bool + Sync);

/// What work ends with that was told to stop.
pub(super) fn interrupted() -> io::Error {
    io::Error::new(io::ErrorKind::Interrupted, "something more urgent came")
}

/// Reads everything and compares every checksum.
pub(in super::super) fn examine(file: &dyn StorageFile) -> Result<Health, OpenFault> {
    examine_until(file, &|| false)
}

/// As [`examine`], but ends with [`io::ErrorKind::Interrupted`] soon after `stop` says so.
pub(in super::super) fn examine_until(
    file: &dyn StorageFile,
    stop: Stop,
) -> Result<Health, OpenFault> {
    let frame = Frame::read(file)?;
    let blocks = bad_blocks(file, &frame, stop)?;
    let parity = parity_is_right(file, &frame)?;
    if blocks.is_empty() && parity && frame.faults.is_empty() {
        return Ok(Health::Whole);
    }
    let mut faults: Vec<Fault> = blocks
        .iter()
        .map(|&block| {
            let (at, length) = frame.layout.block(block);
            let what = format!("block {block}");
            Fault { what, at, length }
        })
        .collect();
    if !parity {
        faults.push(Fault {
            what: "the parity block".to_owned(),
            at: frame.layout.parity_at,
            length: frame.layout.parity_bytes(),
        });
    }
    faults.extend(frame.faults.iter().map(|&what| Fault {
        what: what.to_owned(),
        at: 0,
        length: 0,
    }));
    let repairable = blocks.is_empty() || (blocks.len() == 1 && parity);
    Ok(match repairable {
        true => Health::Repairable(faults),
        false => Health::Lost(faults),
    })
}

/// Writes a whole copy of the generation in `from`, which [`examine`] called repairable, into the empty file `to`, and syncs it.
/// The copy equals, byte for byte, what was there before the damage.
pub(in super::super) fn repair(
    from: &dyn StorageFile,
    to: &Arc<dyn StorageFile>,
) -> Result<(), OpenFault> {
    const LOST: OpenFault = OpenFault::Damaged("more of it is damaged than its parity can rebuild");
    let frame = Frame::read(from)?;
    let layout = frame.layout;
    let mut bad = None;
    let mut sum = vec![0; layout.parity_bytes()];
    let mut bytes = Vec::new();
    for (block, &checksum) in frame.table.iter().enumerate() {
        let (at, length) = layout.block(block);
        bytes.resize(length, 0);
        from.read_exact_at(&mut bytes, at)?;
        if crc32c::crc32c(&bytes) == checksum {
            add(&mut sum, &bytes);
            to.write_all_at(&bytes, at)?;
        } else if bad.replace(block).is_some() {
            return Err(LOST);
        }
    }
    if let Some(block) = bad {
        let mut parity = vec![0; layout.parity_bytes()];
        from.read_exact_at(&mut parity, layout.parity_at)?;
        add(&mut parity, &sum);
        let (at, length) = layout.block(block);
        if crc32c::crc32c(&parity[..length]) != frame.table[block] {
            return Err(LOST);
        }
        add(&mut sum, &parity[..length]);
        to.write_all_at(&parity[..length], at)?;
    }
    let table: Vec<u8> = (frame.table.iter())
        .flat_map(|word| word.to_le_bytes())
        .collect();
    write_frame(&**to, &layout, &frame.header, &table, &sum)?;
    to.sync_all()?;
    match examine(&**to)? {
        Health::Whole => Ok(()),
        Health::Repairable(_) | Health::Lost(_) => Err(LOST),
    }
}

/// The bytes of a fault, to be set aside before they are replaced.
pub(in super::super) fn copy_block(file: &dyn StorageFile, fault: &Fault) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; fault.length];
    file.read_exact_at(&mut bytes, fault.at)?;
    Ok(bytes)
}

fn bad_blocks(file: &dyn StorageFile, frame: &Frame, stop: Stop) -> io::Result<Vec<usize>> {
    let mut bad = Vec::new();
    let mut bytes = Vec::new();
    for (block, &checksum) in frame.table.iter().enumerate() {
        if stop() {
            return Err(interrupted());
        }
        let (at, length) = frame.layout.block(block);
        bytes.resize(length, 0);
        file.read_exact_at(&mut bytes, at)?;
        if crc32c::crc32c(&bytes) != checksum {
            bad.push(block);
        }
    }
    Ok(bad)
}

fn parity_is_right(file: &dyn StorageFile, frame: &Frame) -> io::Result<bool> {
    let mut parity = vec![0; frame.layout.parity_bytes()];
    file.read_exact_at(&mut parity, frame.layout.parity_at)?;
    Ok(crc32c::crc32c(&parity) == frame.header.parity_checksum)
}
