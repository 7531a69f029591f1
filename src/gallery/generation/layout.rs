//! Where things lie in a generation file. `docs/design/gallery.md` draws it.

use uuid::Uuid;

use super::super::format::{long_word, word};
use super::super::template::TEMPLATE_DIMENSIONS;

/// First bytes of every generation, of every format version.
const MAGIC: [u8; 8] = *b"recogenr";

/// Highest format version that this release reads, and the one it writes.
pub(in super::super) const GENERATION_VERSION: u32 = 1;

/// Size of [`Header`] in the file, at its beginning and once more at its end. Magic, version and checksum keep their place in
/// every format version.
pub(in super::super) const HEADER_BYTES: usize = 128;

const CHECKSUM_AT: usize = HEADER_BYTES - 4;

/// Checksums are for blocks of this many bytes, and one damaged block can be rebuilt.
pub(in super::super) const BLOCK_BYTES: u64 = 1 << 20;

/// Sections begin at multiples of a cache line.
const ALIGNMENT: u64 = 64;

/// Sizes in bytes of what a row takes in each section.
pub(in super::super) const CODE_BYTES: u64 = TEMPLATE_DIMENSIONS as u64;
pub(in super::super) const SCALE_BYTES: u64 = 4;
pub(in super::super) const ORIGINAL_BYTES: u64 = 2 * TEMPLATE_DIMENSIONS as u64;

/// The fixed part of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Header {
    pub collection: Uuid,
    /// The `n` of `gen-<n>`.
    pub number: u64,
    pub rows: u64,
    pub people: u64,
    /// Length of the archived directory of people.
    pub archive_bytes: u64,
    /// CRC32C of the table of checksums.
    pub table_checksum: u32,
    /// CRC32C of the parity block.
    pub parity_checksum: u32,
}

/// Why 128 bytes are no header of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum HeaderFault {
    NotAGeneration,
    BadChecksum,
    NewerFormat(u32),
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&GENERATION_VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(self.collection.as_bytes());
        bytes[32..40].copy_from_slice(&self.number.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.rows.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.people.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.archive_bytes.to_le_bytes());
        bytes[64..68].copy_from_slice(&self.table_checksum.to_le_bytes());
        bytes[68..72].copy_from_slice(&self.parity_checksum.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..CHECKSUM_AT]);
        bytes[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Header, HeaderFault> {
        if bytes[0..8] != MAGIC {
            return Err(HeaderFault::NotAGeneration);
        }
        if word(bytes, CHECKSUM_AT) != crc32c::crc32c(&bytes[..CHECKSUM_AT]) {
            return Err(HeaderFault::BadChecksum);
        }
        match word(bytes, 8) {
            GENERATION_VERSION => {}
            newer if newer > GENERATION_VERSION => return Err(HeaderFault::NewerFormat(newer)),
            _ => return Err(HeaderFault::NotAGeneration),
        }
        let mut collection = [0; 16];
        collection.copy_from_slice(&bytes[16..32]);
        Ok(Header {
            collection: Uuid::from_bytes(collection),
            number: long_word(bytes, 32),
            rows: long_word(bytes, 40),
            people: long_word(bytes, 48),
            archive_bytes: long_word(bytes, 56),
            table_checksum: word(bytes, 64),
            parity_checksum: word(bytes, 68),
        })
    }
}

/// Places in the file, in bytes from its beginning, all from three counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Layout {
    pub archive_at: u64,
    pub first_rows_at: u64,
    pub codes_at: u64,
    pub scales_at: u64,
    pub originals_at: u64,
    /// End of what the checksums and the parity cover; the table of checksums follows.
    pub covered_to: u64,
    pub parity_at: u64,
    /// The second copy of the table.
    pub table_copy_at: u64,
    pub header_copy_at: u64,
    pub file_bytes: u64,
}

impl Layout {
    /// `None` if the counts are beyond what a file can hold: they are not ours then.
    pub fn new(rows: u64, people: u64, archive_bytes: u64) -> Option<Layout> {
        // Rows and people are indices of 32 bits, and so is the size of an archive.
        let limit = u64::from(u32::MAX);
        if rows > limit || people > rows || archive_bytes > limit {
            return None;
        }
        let archive_at = HEADER_BYTES as u64;
        let first_rows_at = aligned(archive_at + archive_bytes);
        let codes_at = aligned(first_rows_at + (people + 1) * 4);
        let scales_at = aligned(codes_at + rows * CODE_BYTES);
        let originals_at = aligned(scales_at + rows * SCALE_BYTES);
        let covered_to = aligned(originals_at + rows * ORIGINAL_BYTES);
        let covered = covered_to - archive_at;
        let table_bytes = aligned(covered.div_ceil(BLOCK_BYTES) * 4);
        let parity_at = covered_to + table_bytes;
        let table_copy_at = parity_at + aligned(covered.min(BLOCK_BYTES));
        let header_copy_at = table_copy_at + table_bytes;
        Some(Layout {
            archive_at,
            first_rows_at,
            codes_at,
            scales_at,
            originals_at,
            covered_to,
            parity_at,
            table_copy_at,
            header_copy_at,
            file_bytes: header_copy_at + HEADER_BYTES as u64,
        })
    }

    /// Blocks that have a checksum.
    pub fn blocks(&self) -> usize {
        (self.covered_to - self.archive_at).div_ceil(BLOCK_BYTES) as usize
    }

    /// Place and length of a block. The last one may be short.
    pub fn block(&self, index: usize) -> (u64, usize) {
        let from = self.archive_at + index as u64 * BLOCK_BYTES;
        (from, (self.covered_to - from).min(BLOCK_BYTES) as usize)
    }

    /// The block that covers a place.
    pub fn block_of(&self, place: u64) -> usize {
        ((place - self.archive_at) / BLOCK_BYTES) as usize
    }

    /// Blocks of the bytes `from..to`, none if there are none.
    pub fn blocks_of(&self, from: u64, to: u64) -> std::ops::Range<usize> {
        if from >= to {
            return 0..0;
        }
        self.block_of(from)..self.block_of(to - 1) + 1
    }

    /// Length of the parity block: that of the longest block.
    pub fn parity_bytes(&self) -> usize {
        (self.covered_to - self.archive_at).min(BLOCK_BYTES) as usize
    }
}

pub(in super::super) fn aligned(place: u64) -> u64 {
    place.next_multiple_of(ALIGNMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            collection: Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10),
            number: 7,
            rows: 9,
            people: 4,
            archive_bytes: 123,
            table_checksum: 5,
            parity_checksum: 6,
        }
    }

    #[test]
    fn header_round_trip_and_every_bit_counts() {
        let bytes = header().encode();
        assert_eq!(Header::decode(&bytes), Ok(header()));
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&flipped).is_err());
        }
    }

    #[test]
    fn sections_are_aligned_and_do_not_overlap() {
        for (rows, people, archive) in [(0, 0, 40), (1, 1, 77), (500_000, 100_000, 4_000_003)] {
            let l = Layout::new(rows, people, archive).unwrap();
            assert!(l.archive_at + archive <= l.first_rows_at);
            assert!(l.first_rows_at + (people + 1) * 4 <= l.codes_at);
            assert!(l.codes_at + rows * 192 <= l.scales_at);
            assert!(l.scales_at + rows * 4 <= l.originals_at);
            assert!(l.originals_at + rows * 384 <= l.covered_to);
            assert!(l.covered_to + l.blocks() as u64 * 4 <= l.parity_at);
            for place in [l.codes_at, l.scales_at, l.originals_at, l.parity_at] {
                assert_eq!(place % 64, 0);
            }
            let mut covered = l.archive_at;
            for block in 0..l.blocks() {
                let (from, length) = l.block(block);
                assert_eq!(from, covered);
                covered += length as u64;
            }
            assert_eq!(covered, l.covered_to);
        }
        assert_eq!(Layout::new(1, 2, 0), None);
        assert_eq!(Layout::new(u64::MAX, 0, 0), None);
    }
}
