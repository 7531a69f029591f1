//! The bytes of a journal file. `docs/design/gallery.md` draws them.

use uuid::Uuid;

/// First bytes of every journal, of every format version.
const MAGIC: [u8; 8] = *b"recojrnl";

/// Highest format version that this release reads, and the one it writes.
pub(super) const FORMAT_VERSION: u32 = 3;

/// Lowest format version that this release reads: journals that stand alone, in plain.
const FIRST_VERSION: u32 = 1;

/// The payloads of the records are sealed.
const FLAG_SEALED: u32 = 1;
/// The records go on from what was there when the journal before ended. Without it they begin with nobody.
const FLAG_CONTINUES: u32 = 2;

/// Size of [`FileHeader`] in the file. The first 64 bytes, magic, version and checksum included, keep their place in every
/// format version, so that a newer file is told from a damaged one.
pub(super) const FILE_HEADER_BYTES: usize = 64;

/// Size of [`RecordHeader`] in the file.
pub(super) const RECORD_HEADER_BYTES: usize = 16;

/// Records begin at multiples of this, which is where recovery looks for the next one behind damage.
pub(super) const RECORD_ALIGNMENT: u64 = 16;

/// Largest payload of a record: some 150,000 features. It bounds what a reader allocates on the word of a file.
pub(super) const MAX_PAYLOAD_BYTES: usize = 64 << 20;

const CHECKSUM_AT: usize = FILE_HEADER_BYTES - 4;

/// The fixed part at the beginning of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileHeader {
    pub collection: Uuid,
    /// The `n` of `journal-<n>`.
    pub number: u64,
    pub version: u32,
    /// The payloads of the records are sealed.
    pub sealed: bool,
    /// The records go on from generation `n`, which is where journal `n - 1` ended. Otherwise they begin with nobody.
    pub continues: bool,
}

/// Why the first 64 bytes of a file are no header of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderFault {
    NotAJournal,
    BadChecksum,
    NewerFormat(u32),
}

impl FileHeader {
    pub fn encode(&self) -> [u8; FILE_HEADER_BYTES] {
        let mut bytes = [0; FILE_HEADER_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&self.version.to_le_bytes());
        let flags = match (self.sealed, self.continues) {
            (false, false) => 0,
            (true, false) => FLAG_SEALED,
            (false, true) => FLAG_CONTINUES,
            (true, true) => FLAG_SEALED | FLAG_CONTINUES,
        };
        bytes[12..16].copy_from_slice(&flags.to_le_bytes());
        bytes[16..32].copy_from_slice(self.collection.as_bytes());
        bytes[32..40].copy_from_slice(&self.number.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes[..CHECKSUM_AT]);
        bytes[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Whether a header that cannot be trusted any more says that the payloads are sealed.
    pub fn looks_sealed(bytes: &[u8; FILE_HEADER_BYTES]) -> bool {
        bytes[0..8] == MAGIC && word(bytes, 12) & FLAG_SEALED != 0
    }

    pub fn decode(bytes: &[u8; FILE_HEADER_BYTES]) -> Result<FileHeader, HeaderFault> {
        if bytes[0..8] != MAGIC {
            return Err(HeaderFault::NotAJournal);
        }
        if word(bytes, CHECKSUM_AT) != crc32c::crc32c(&bytes[..CHECKSUM_AT]) {
            return Err(HeaderFault::BadChecksum);
        }
        let version = word(bytes, 8);
        if version > FORMAT_VERSION {
            return Err(HeaderFault::NewerFormat(version));
        }
        let flags = word(bytes, 12);
        let known = match version {
            FIRST_VERSION => 0,
            _ => FLAG_SEALED | FLAG_CONTINUES,
        };
        if version < FIRST_VERSION || flags & !known != 0 {
            return Err(HeaderFault::NotAJournal);
        }
        let mut collection = [0; 16];
        collection.copy_from_slice(&bytes[16..32]);
        Ok(FileHeader {
            collection: Uuid::from_bytes(collection),
            number: long_word(bytes, 32),
            version,
            sealed: flags & FLAG_SEALED != 0,
            continues: flags & FLAG_CONTINUES != 0,
        })
    }

    /// Start value of this file's record checksums: a record of another journal does not verify in this one. Blocks that the
    /// file system hands out unwiped may hold such records, and a target id may be made to look like one; neither can know the
    /// random UUID and the number that go into this.
    pub fn seed(&self) -> u32 {
        word(&self.encode(), CHECKSUM_AT)
    }
}

/// Stands before each payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHeader {
    /// Without the padding, in bytes.
    pub payload_bytes: u32,
    /// CRC32C of the payload without its padding.
    pub payload_checksum: u32,
    /// 0 for the first record of the file, one more for each that follows.
    pub sequence: u32,
}

impl RecordHeader {
    fn encode(&self, seed: u32) -> [u8; RECORD_HEADER_BYTES] {
        let mut bytes = [0; RECORD_HEADER_BYTES];
        bytes[0..4].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.payload_checksum.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.sequence.to_le_bytes());
        let checksum = crc32c::crc32c_append(seed, &bytes[..12]);
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// `None` if these 16 bytes are no record header of the file that `seed` belongs to. Sixteen zeros never are.
    pub fn decode(bytes: &[u8; RECORD_HEADER_BYTES], seed: u32) -> Option<RecordHeader> {
        let header = RecordHeader {
            payload_bytes: word(bytes, 0),
            payload_checksum: word(bytes, 4),
            sequence: word(bytes, 8),
        };
        let sized = 1..=MAX_PAYLOAD_BYTES as u32;
        (sized.contains(&header.payload_bytes)
            && word(bytes, 12) == crc32c::crc32c_append(seed, &bytes[..12]))
        .then_some(header)
    }

    /// Bytes that the whole record takes in the file.
    pub fn record_bytes(&self) -> u64 {
        RECORD_HEADER_BYTES as u64
            + u64::from(self.payload_bytes).next_multiple_of(RECORD_ALIGNMENT)
    }
}

/// Header, payload and padding, ready to be written. `None` if the payload is empty or over [`MAX_PAYLOAD_BYTES`].
pub(super) fn encode_record(payload: &[u8], sequence: u32, seed: u32) -> Option<Vec<u8>> {
    if payload.is_empty() || payload.len() > MAX_PAYLOAD_BYTES {
        return None;
    }
    let header = RecordHeader {
        payload_bytes: u32::try_from(payload.len()).ok()?,
        payload_checksum: crc32c::crc32c(payload),
        sequence,
    };
    let record_bytes = usize::try_from(header.record_bytes()).ok()?;
    let mut record = Vec::with_capacity(record_bytes);
    record.extend_from_slice(&header.encode(seed));
    record.extend_from_slice(payload);
    record.resize(record_bytes, 0);
    Some(record)
}

/// Little-endian u32 at `at`, which every caller keeps within its fixed-size header.
pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Little-endian u64 at `at`, which every caller keeps within its fixed-size header.
pub(super) fn long_word(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> FileHeader {
        FileHeader {
            collection: Uuid::from_u128(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10),
            number: 7,
            version: FORMAT_VERSION,
            sealed: true,
            continues: false,
        }
    }

    #[test]
    fn file_header_round_trip_and_every_bit_counts() {
        let bytes = header().encode();
        assert_eq!(FileHeader::decode(&bytes), Ok(header()));
        for bit in 0..FILE_HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(
                FileHeader::decode(&flipped),
                Err(HeaderFault::NotAJournal | HeaderFault::BadChecksum)
            ));
        }
    }

    #[test]
    fn the_bytes_do_not_change() {
        let mut expected = [0_u8; FILE_HEADER_BYTES];
        expected[..8].copy_from_slice(b"recojrnl");
        expected[8] = 3;
        expected[12] = 1;
        for (i, byte) in expected[16..32].iter_mut().enumerate() {
            *byte = i as u8 + 1;
        }
        expected[32] = 7;
        assert_eq!(header().encode()[..60], expected[..60]);
    }

    #[test]
    fn sixteen_zeros_are_no_record_whatever_the_seed() {
        // The seed that makes the checksum of twelve zeros come out as zero is among the ones the length check must catch.
        for seed in (0..=u32::MAX).step_by(0x1_0001) {
            assert_eq!(RecordHeader::decode(&[0; 16], seed), None);
        }
    }

    #[test]
    fn a_record_of_another_journal_does_not_verify() {
        let record = encode_record(b"payload", 3, header().seed()).unwrap();
        assert_eq!(record.len(), 32);
        let bytes: [u8; 16] = record[..16].try_into().unwrap();
        assert!(RecordHeader::decode(&bytes, header().seed()).is_some());
        let next = FileHeader {
            number: 8,
            ..header()
        };
        assert_eq!(RecordHeader::decode(&bytes, next.seed()), None);
    }
}
