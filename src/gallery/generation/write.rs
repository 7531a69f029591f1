//! Writing a generation, front to back in blocks, with their checksums and the parity of all of them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rkyv::rancor::Error as ArchiveError;
use uuid::Uuid;

use super::super::operation::Identity;
use super::super::scan::quantize;
use super::super::storage::StorageFile;
use super::super::template::{RowBits, row_from_bits};
use super::archive::Directory;
use super::layout::{BLOCK_BYTES, HEADER_BYTES, Header, Layout};
use super::repair::{Health, Stop, examine, interrupted};

/// After this many bytes the file is synced, so that no more than that stands between a commit and its own sync.
const SYNC_EVERY_BYTES: u64 = 8 << 20;

/// While it rests between two blocks it looks as often as this whether to stop: somebody waits then.
const STOP_WITHIN: Duration = Duration::from_millis(50);

/// How fast a generation is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Pace {
    /// Somebody waits for it.
    AtOnce,
    /// In the background, at most so many bytes a second: an SD card serves one master at a time.
    BytesPerSecond(u64),
}

/// Writes everyone in `people`, who come in byte order of their targets, into the empty `file`, syncs it and reads it back. In the
/// background it ends soon once `stop` says so.
///
/// # Errors
/// What the storage says, or `InvalidData` if what is read back is not what was written: the file is of no use then.
pub(in super::super) fn write_generation(
    file: &Arc<dyn StorageFile>,
    number: u64,
    identity: Identity,
    people: &[(&str, &[RowBits])],
    pace: Pace,
    stop: Stop,
) -> io::Result<()> {
    let too_many = || io::Error::other("a generation holds at most four billion features");
    let mut first_rows = vec![0_u32];
    let mut rows = 0_u32;
    for (_, features) in people {
        let count = u32::try_from(features.len()).map_err(|_| too_many())?;
        rows = rows.checked_add(count).ok_or_else(too_many)?;
        first_rows.push(rows);
    }
    let collection = Uuid::from_bytes(identity.collection);
    let directory = Directory {
        identity,
        targets: (people.iter())
            .map(|(target, _)| (*target).to_owned())
            .collect(),
    };
    let archive = rkyv::to_bytes::<ArchiveError>(&directory)
        .map_err(|e: ArchiveError| io::Error::other(e))?;
    drop(directory);
    let counts = (u64::from(rows), people.len() as u64, archive.len() as u64);
    let layout = Layout::new(counts.0, counts.1, counts.2).ok_or_else(too_many)?;

    let mut out = BlockWriter::new(&**file, layout, pace, stop);
    out.write(&archive)?;
    out.zeros_up_to(layout.first_rows_at)?;
    for row in &first_rows {
        out.write(&row.to_le_bytes())?;
    }
    out.zeros_up_to(layout.codes_at)?;
    let all = || people.iter().flat_map(|(_, features)| features.iter());
    // Quantising twice costs less than keeping every scale.
    for bits in all() {
        let (codes, _) = quantize(&row_from_bits(bits));
        out.write(zerocopy::IntoBytes::as_bytes(&codes))?;
    }
    out.zeros_up_to(layout.scales_at)?;
    for bits in all() {
        let (_, scale) = quantize(&row_from_bits(bits));
        out.write(&scale.to_le_bytes())?;
    }
    out.zeros_up_to(layout.originals_at)?;
    for bits in all() {
        out.write(zerocopy::IntoBytes::as_bytes(bits))?;
    }
    out.zeros_up_to(layout.covered_to)?;
    let (table, parity) = out.finish()?;

    let table: Vec<u8> = table.iter().flat_map(|word| word.to_le_bytes()).collect();
    let header = Header {
        collection,
        number,
        rows: counts.0,
        people: counts.1,
        archive_bytes: counts.2,
        table_checksum: crc32c::crc32c(&table),
        parity_checksum: crc32c::crc32c(&parity),
    };
    write_frame(&**file, &layout, &header, &table, &parity)?;
    file.sync_all()?;
    // What the card took is what is read from now on, so it is read once while the old generation is still there.
    file.forget_cached();
    match examine(&**file) {
        Ok(Health::Whole) => Ok(()),
        Ok(_) | Err(super::OpenFault::Damaged(_) | super::OpenFault::NewerFormat(_)) => {
            Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the storage changed what was written",
            ))
        }
        Err(super::OpenFault::Io(error)) => Err(error),
    }
}

/// Everything beside the covered bytes: both headers, both tables, the parity.
pub(super) fn write_frame(
    file: &dyn StorageFile,
    layout: &Layout,
    header: &Header,
    table: &[u8],
    parity: &[u8],
) -> io::Result<()> {
    file.write_all_at(table, layout.covered_to)?;
    file.write_all_at(parity, layout.parity_at)?;
    file.write_all_at(table, layout.table_copy_at)?;
    let header: [u8; HEADER_BYTES] = header.encode();
    file.write_all_at(&header, layout.header_copy_at)?;
    file.write_all_at(&header, 0)
}

/// Collects bytes into blocks; each full block is summed, added to the parity and written.
struct BlockWriter<'a> {
    file: &'a dyn StorageFile,
    layout: Layout,
    pace: Pace,
    stop: Stop<'a>,
    block: Vec<u8>,
    table: Vec<u32>,
    parity: Vec<u8>,
    unsynced: u64,
}

impl<'a> BlockWriter<'a> {
    fn new(
        file: &'a dyn StorageFile,
        layout: Layout,
        pace: Pace,
        stop: Stop<'a>,
    ) -> BlockWriter<'a> {
        BlockWriter {
            file,
            layout,
            pace,
            stop,
            block: Vec::with_capacity(layout.parity_bytes()),
            table: Vec::with_capacity(layout.blocks()),
            parity: vec![0; layout.parity_bytes()],
            unsynced: 0,
        }
    }

    /// Place of the next byte.
    fn at(&self) -> u64 {
        self.layout.archive_at + self.table.len() as u64 * BLOCK_BYTES + self.block.len() as u64
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = BLOCK_BYTES as usize - self.block.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() as u64 == BLOCK_BYTES {
                self.close_block()?;
            }
        }
        Ok(())
    }

    fn zeros_up_to(&mut self, place: u64) -> io::Result<()> {
        const ZEROS: [u8; 64] = [0; 64];
        while self.at() < place {
            let missing = (place - self.at()).min(ZEROS.len() as u64) as usize;
            self.write(&ZEROS[..missing])?;
        }
        Ok(())
    }

    fn close_block(&mut self) -> io::Result<()> {
        let (at, _) = self.layout.block(self.table.len());
        self.file.write_all_at(&self.block, at)?;
        self.table.push(crc32c::crc32c(&self.block));
        add(&mut self.parity, &self.block);
        self.unsynced += self.block.len() as u64;
        if let Pace::BytesPerSecond(rate) = self.pace {
            let seconds = self.block.len() as f64 / rate.max(1) as f64;
            self.rest(Duration::from_secs_f64(seconds))?;
        }
        if self.unsynced >= SYNC_EVERY_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        self.block.clear();
        Ok(())
    }

    /// Waits, unless something more urgent comes.
    fn rest(&self, mut left: Duration) -> io::Result<()> {
        loop {
            if (self.stop)() {
                return Err(interrupted());
            }
            if left.is_zero() {
                return Ok(());
            }
            let nap = left.min(STOP_WITHIN);
            std::thread::sleep(nap);
            left -= nap;
        }
    }

    fn finish(mut self) -> io::Result<(Vec<u32>, Vec<u8>)> {
        if !self.block.is_empty() {
            self.close_block()?;
        }
        Ok((self.table, self.parity))
    }
}

/// Adds a block to the parity: bit by bit, without carry. Adding twice takes it out again.
pub(super) fn add(parity: &mut [u8], block: &[u8]) {
    for (sum, byte) in parity.iter_mut().zip(block) {
        *sum ^= byte;
    }
}
