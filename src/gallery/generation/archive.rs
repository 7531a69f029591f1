//! Opening and reading a generation.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rkyv::rancor::Error as ArchiveError;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Deserialize, Serialize};
use zerocopy::FromBytes;

use super::super::operation::Identity;
use super::super::scan::{Damaged, QuantizedRow, Segment};
use super::super::storage::{Map, StorageFile};
use super::super::template::RowBits;
use super::layout::{
    CODE_BYTES, HEADER_BYTES, Header, HeaderFault, Layout, ORIGINAL_BYTES, SCALE_BYTES,
};

/// Whose the rows are. The targets are in byte order, so that one is found without an index beside them.
#[derive(Archive, Serialize, Deserialize, Debug)]
pub(super) struct Directory {
    pub identity: Identity,
    pub targets: Vec<String>,
}

/// One generation, open and mapped.
pub(in super::super) struct Generation {
    number: u64,
    layout: Layout,
    rows: usize,
    /// A validated archive of [`Directory`].
    directory: AlignedVec,
    identity: Identity,
    first_rows: Vec<u32>,
    table: Vec<u32>,
    /// Blocks whose checksum was found right.
    verified: Vec<AtomicBool>,
    map: Map,
}

/// Why a generation cannot be used.
#[derive(Debug)]
pub(in super::super) enum OpenFault {
    Damaged(&'static str),
    NewerFormat(u32),
    Io(io::Error),
}

impl From<io::Error> for OpenFault {
    fn from(error: io::Error) -> OpenFault {
        match error.kind() {
            // The length was asked for before: a file that ends early is damaged.
            io::ErrorKind::UnexpectedEof => OpenFault::Damaged("it ends before its time"),
            _ => OpenFault::Io(error),
        }
    }
}

impl Generation {
    pub fn open(file: &Arc<dyn StorageFile>) -> Result<Generation, OpenFault> {
        let frame = Frame::read(&**file)?;
        let header = frame.header;
        let layout = frame.layout;
        let mut head = vec![0; (layout.codes_at - layout.archive_at) as usize];
        read_verified(&**file, &frame, &mut head)?;
        let mut directory = AlignedVec::with_capacity(header.archive_bytes as usize);
        directory.extend_from_slice(&head[..header.archive_bytes as usize]);
        let identity = validate(&directory, &header)?;
        let first_rows = first_rows(
            &head[(layout.first_rows_at - layout.archive_at) as usize..],
            &header,
        )?;
        let map = file.map()?;
        if map.len() as u64 != layout.file_bytes {
            return Err(OpenFault::Damaged("it changed while it was opened"));
        }
        Ok(Generation {
            number: header.number,
            layout,
            rows: header.rows as usize,
            directory,
            identity,
            first_rows,
            verified: frame.table.iter().map(|_| AtomicBool::new(false)).collect(),
            table: frame.table,
            map,
        })
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    pub fn person_num(&self) -> usize {
        self.first_rows.len() - 1
    }

    pub fn row_num(&self) -> usize {
        self.rows
    }

    /// The place of a target among the people.
    pub fn person(&self, target: &str) -> Option<usize> {
        self.targets()
            .binary_search_by(|probe| probe.as_str().cmp(target))
            .ok()
    }

    /// How many people come before the target id `after` or have it; it need not be anybody's.
    pub fn people_until(&self, after: &str) -> usize {
        self.targets()
            .partition_point(|target| target.as_str() <= after)
    }

    pub fn rows_of(&self, person: usize) -> Range<usize> {
        self.first_rows[person] as usize..self.first_rows[person + 1] as usize
    }

    /// Whether an original of these rows lies in one of the byte ranges of the file. Codes and scales do not count: they are
    /// computed from the originals again when the next generation is written.
    pub fn originals_touch(&self, rows: &Range<usize>, ranges: &[(u64, u64)]) -> bool {
        let at = self.layout.originals_at;
        let from = at + rows.start as u64 * ORIGINAL_BYTES;
        let to = at + rows.end as u64 * ORIGINAL_BYTES;
        ranges
            .iter()
            .any(|&(bad_from, bad_to)| from < bad_to && bad_from < to)
    }

    fn targets(&self) -> &[rkyv::string::ArchivedString] {
        // SAFETY: `validate` checked these very bytes at opening. They are memory of our own, not the map: a medium that reads
        // differently the second time cannot change them.
        let directory = unsafe { rkyv::access_unchecked::<ArchivedDirectory>(&self.directory) };
        directory.targets.as_slice()
    }

    fn section(&self, at: u64, bytes: u64) -> &[u8] {
        &self.map[at as usize..(at + bytes) as usize]
    }

    /// Checks the blocks of the bytes `from..to` that were not checked before.
    fn verify_bytes(&self, from: u64, to: u64) -> Result<(), Damaged> {
        for block in self.layout.blocks_of(from, to) {
            // Two threads may both do the sum; they come to the same result.
            if self.verified[block].load(Ordering::Relaxed) {
                continue;
            }
            let (at, length) = self.layout.block(block);
            if crc32c::crc32c(self.section(at, length as u64)) != self.table[block] {
                return Err(Damaged);
            }
            self.verified[block].store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Segment for Generation {
    fn rows(&self) -> &[QuantizedRow] {
        let bytes = self.section(self.layout.codes_at, self.rows as u64 * CODE_BYTES);
        // Maps begin at a page, sections at a cache line: the cast fails on no file that opened.
        <[QuantizedRow]>::ref_from_bytes(bytes).unwrap_or_default()
    }

    fn scales(&self) -> &[f32] {
        let bytes = self.section(self.layout.scales_at, self.rows as u64 * SCALE_BYTES);
        <[f32]>::ref_from_bytes(bytes).unwrap_or_default()
    }

    fn originals(&self) -> &[RowBits] {
        let bytes = self.section(self.layout.originals_at, self.rows as u64 * ORIGINAL_BYTES);
        <[RowBits]>::ref_from_bytes(bytes).unwrap_or_default()
    }

    fn first_rows(&self) -> &[u32] {
        &self.first_rows
    }

    fn target(&self, person: u32) -> &str {
        self.targets()[person as usize].as_str()
    }

    fn verify(&self, rows: Range<usize>) -> Result<(), Damaged> {
        let (from, to) = (rows.start as u64, rows.end as u64);
        let codes = self.layout.codes_at;
        self.verify_bytes(codes + from * CODE_BYTES, codes + to * CODE_BYTES)?;
        let scales = self.layout.scales_at;
        self.verify_bytes(scales + from * SCALE_BYTES, scales + to * SCALE_BYTES)
    }

    fn verify_originals(&self, rows: Range<usize>) -> Result<(), Damaged> {
        let (from, to) = (rows.start as u64, rows.end as u64);
        let originals = self.layout.originals_at;
        self.verify_bytes(
            originals + from * ORIGINAL_BYTES,
            originals + to * ORIGINAL_BYTES,
        )
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Generation({}, {} rows)", self.number, self.rows)
    }
}

/// What opening and repair both need first: the header and the table of checksums, each from the better of its two copies.
pub(super) struct Frame {
    pub header: Header,
    pub layout: Layout,
    pub table: Vec<u32>,
    /// The copies that could not be read, in words.
    pub faults: Vec<&'static str>,
}

impl Frame {
    pub fn read(file: &dyn StorageFile) -> Result<Frame, OpenFault> {
        let length = file.length()?;
        if length < 2 * HEADER_BYTES as u64 {
            return Err(OpenFault::Damaged("it is shorter than its headers"));
        }
        let mut faults = Vec::new();
        let first = read_header(file, 0)?;
        let second = read_header(file, length - HEADER_BYTES as u64)?;
        let header = match (first, second) {
            (Ok(header), second) => {
                if second != Ok(header) {
                    faults.push("the second copy of its header");
                }
                header
            }
            // A newer header that verifies is believed; a newer file is no damaged one.
            (Err(HeaderFault::NewerFormat(found)), _) => return Err(OpenFault::NewerFormat(found)),
            (Err(_), Ok(header)) => {
                faults.push("its header");
                header
            }
            (Err(_), Err(HeaderFault::NewerFormat(found))) => {
                return Err(OpenFault::NewerFormat(found));
            }
            (Err(HeaderFault::NotAGeneration), Err(_)) => {
                return Err(OpenFault::Damaged("it does not begin like a generation"));
            }
            (Err(HeaderFault::BadChecksum), Err(_)) => {
                return Err(OpenFault::Damaged("the checksum of its header is wrong"));
            }
        };
        let layout = Layout::new(header.rows, header.people, header.archive_bytes)
            .filter(|layout| layout.file_bytes == length)
            .ok_or(OpenFault::Damaged("its length is not what its header says"))?;
        let table = match read_table(file, &layout, layout.covered_to, header.table_checksum)? {
            Some(table) => {
                let copy = read_table(file, &layout, layout.table_copy_at, header.table_checksum)?;
                if copy.is_none() {
                    faults.push("the second copy of its checksums");
                }
                table
            }
            None => {
                faults.push("its checksums");
                read_table(file, &layout, layout.table_copy_at, header.table_checksum)?
                    .ok_or(OpenFault::Damaged("its checksums cannot be read"))?
            }
        };
        Ok(Frame {
            header,
            layout,
            table,
            faults,
        })
    }
}

fn read_header(file: &dyn StorageFile, at: u64) -> Result<Result<Header, HeaderFault>, io::Error> {
    let mut bytes = [0; HEADER_BYTES];
    file.read_exact_at(&mut bytes, at)?;
    Ok(Header::decode(&bytes))
}

fn read_table(
    file: &dyn StorageFile,
    layout: &Layout,
    at: u64,
    checksum: u32,
) -> io::Result<Option<Vec<u32>>> {
    let mut bytes = vec![0; layout.blocks() * 4];
    file.read_exact_at(&mut bytes, at)?;
    let (words, _) = bytes.as_chunks::<4>();
    Ok((crc32c::crc32c(&bytes) == checksum)
        .then(|| words.iter().map(|word| u32::from_le_bytes(*word)).collect()))
}

/// Reads `head`, the covered bytes from the first on, and checks every block that it touches.
fn read_verified(file: &dyn StorageFile, frame: &Frame, head: &mut [u8]) -> Result<(), OpenFault> {
    let mut bytes = Vec::new();
    let mut filled = 0;
    for (block, &checksum) in frame.table.iter().enumerate() {
        if filled == head.len() {
            break;
        }
        let (at, length) = frame.layout.block(block);
        bytes.resize(length, 0);
        file.read_exact_at(&mut bytes, at)?;
        if crc32c::crc32c(&bytes) != checksum {
            return Err(OpenFault::Damaged("the directory of its people is damaged"));
        }
        let wanted = length.min(head.len() - filled);
        head[filled..filled + wanted].copy_from_slice(&bytes[..wanted]);
        filled += wanted;
    }
    Ok(())
}

/// Checks the archive in full; what it says is believed from then on.
fn validate(bytes: &AlignedVec, header: &Header) -> Result<Identity, OpenFault> {
    const BAD: OpenFault = OpenFault::Damaged("the directory of its people does not hold together");
    let directory =
        rkyv::access::<ArchivedDirectory, ArchiveError>(bytes).map_err(|_: ArchiveError| BAD)?;
    let identity = rkyv::deserialize::<Identity, ArchiveError>(&directory.identity)
        .map_err(|_: ArchiveError| BAD)?;
    let targets = directory.targets.as_slice();
    let sorted = targets
        .windows(2)
        .all(|pair| pair[0].as_str() < pair[1].as_str());
    if !sorted
        || targets.len() as u64 != header.people
        || identity.collection != header.collection.into_bytes()
    {
        return Err(BAD);
    }
    Ok(identity)
}

/// Everyone has at least one row, and every row belongs to someone.
fn first_rows(bytes: &[u8], header: &Header) -> Result<Vec<u32>, OpenFault> {
    let (words, _) = bytes.as_chunks::<4>();
    let first_rows: Vec<u32> = words
        .iter()
        .take(header.people as usize + 1)
        .map(|word| u32::from_le_bytes(*word))
        .collect();
    let whole = first_rows.len() as u64 == header.people + 1
        && first_rows.first() == Some(&0)
        && first_rows.last().map(|&last| u64::from(last)) == Some(header.rows)
        && first_rows.windows(2).all(|pair| pair[0] < pair[1]);
    match whole {
        true => Ok(first_rows),
        false => Err(OpenFault::Damaged("its rows do not add up")),
    }
}
