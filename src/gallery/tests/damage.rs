//! Power cuts at every byte, flips of every bit, and directories in every state that an interruption leaves.

use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::*;
use crate::gallery::GalleryError;
use crate::gallery::format::{
    FILE_HEADER_BYTES, FORMAT_VERSION, FileHeader, RecordHeader, encode_record,
};
use crate::gallery::operation::Operation;
use crate::gallery::people::People;
use crate::gallery::replay::{Damage, open_journal, replay};
use crate::gallery::storage::Access;

/// A journal of five changes, with the place of each record and what it says. `records[..2]` are the `Begin` and its copy.
struct Sample {
    directory: tempfile::TempDir,
    journal: PathBuf,
    bytes: Vec<u8>,
    records: Vec<(Range<usize>, RecordHeader, Operation)>,
}

fn sample() -> Sample {
    let directory = scratch();
    let gallery = open(directory.path());
    gallery.create("c").unwrap();
    gallery
        .insert("c", items(&[("anna", 1), ("ben", 2)]))
        .unwrap();
    gallery.update("c", items(&[("ben", 3)])).unwrap();
    gallery.insert("c", items(&[("carl", 4)])).unwrap();
    // Removal and renaming themselves, without the rewrite that would follow them at once, are appended by hand below.
    drop(gallery);
    let journal = journal_path(directory.path());
    let mut bytes = fs::read(&journal).unwrap();
    let seed = FileHeader::decode(&bytes[..64].try_into().unwrap())
        .unwrap()
        .seed();
    let removal = Operation::Remove {
        at: 5,
        target: "anna".to_owned(),
    };
    let renaming = Operation::Rename {
        at: 6,
        from: "carl".to_owned(),
        features: vec![Feature::new("carla".to_owned(), &template(4))],
    };
    for (operation, sequence) in [(removal, 5), (renaming, 6)] {
        let payload = operation.encode().unwrap();
        bytes.extend(encode_record(&payload, sequence, seed).unwrap());
    }
    fs::write(&journal, &bytes).unwrap();

    let mut records = Vec::new();
    let mut at = FILE_HEADER_BYTES;
    while at < bytes.len() {
        let header = RecordHeader::decode(&bytes[at..at + 16].try_into().unwrap(), seed).unwrap();
        let mut payload = rkyv::util::AlignedVec::new();
        payload.extend_from_slice(&bytes[at + 16..at + 16 + header.payload_bytes as usize]);
        let end = at + header.record_bytes() as usize;
        records.push((at..end, header, Operation::decode(&payload).unwrap()));
        at = end;
    }
    assert_eq!(records.len(), 7);
    Sample {
        directory,
        journal,
        bytes,
        records,
    }
}

fn contents_of(people: &People) -> Contents {
    (people.in_order().into_iter())
        .map(|(target, features)| (target.to_owned(), features.to_vec()))
        .collect()
}

impl Sample {
    /// What the records say for which `keep` holds.
    fn expected(&self, keep: impl Fn(usize) -> bool) -> Contents {
        let mut people = People::default();
        for (index, (_, _, operation)) in self.records.iter().enumerate() {
            if keep(index) {
                people.apply(operation);
            }
        }
        contents_of(&people)
    }

    /// What the journal as it is now says, and what of it cannot be read.
    fn replay(&self) -> Result<(Contents, Vec<Damage>), GalleryError> {
        let home = home(self.directory.path());
        let mut people = People::default();
        let opened = open_journal(&home, 1, Access::Read)?;
        let replay = replay(&home, opened, &mut people)?;
        Ok((contents_of(&people), replay.damage))
    }

    fn write(&self, bytes: &[u8]) {
        let directory = collection_directory(self.directory.path());
        fs::remove_dir_all(&directory).unwrap();
        fs::create_dir(&directory).unwrap();
        fs::write(&self.journal, bytes).unwrap();
    }
}

#[test]
fn cut_at_every_byte_leaves_exactly_the_complete_records() {
    let sample = sample();
    let begin = sample.records[0].0.end;
    for length in 0..=sample.bytes.len() {
        sample.write(&sample.bytes[..length]);
        let gallery = open(sample.directory.path());
        if length < begin {
            assert_eq!(gallery.list(), []);
            assert_eq!(gallery.warnings().len(), 1);
            assert_eq!(fs::read(&sample.journal).unwrap().len(), length);
            continue;
        }
        let whole = |index: usize| sample.records[index].0.end <= length;
        assert_eq!(contents(&gallery, "c"), sample.expected(whole), "{length}");
        assert_eq!(gallery.warnings(), []);
        let good = sample
            .records
            .iter()
            .map(|r| r.0.end)
            .rfind(|&e| e <= length);
        assert_eq!(
            fs::read(&sample.journal).unwrap(),
            sample.bytes[..good.unwrap()]
        );
    }
}

#[test]
fn enrolment_goes_on_after_a_cut() {
    let sample = sample();
    for length in [0, 1, 15, 16, 17, 100].map(|back| sample.bytes.len() - back) {
        sample.write(&sample.bytes[..length]);
        let gallery = open(sample.directory.path());
        gallery.insert("c", items(&[("dora", 9)])).unwrap();
        let expected = contents(&gallery, "c");
        drop(gallery);
        let gallery = open(sample.directory.path());
        assert_eq!(contents(&gallery, "c"), expected);
        assert_eq!(gallery.warnings(), []);
    }
}

/// Some file systems lengthen a file before its blocks are written.
#[test]
fn zeros_at_the_end_are_an_interrupted_write() {
    let sample = sample();
    for zeros in [1, 15, 16, 17, 4096, 200_000] {
        let mut bytes = sample.bytes.clone();
        bytes.resize(bytes.len() + zeros, 0);
        sample.write(&bytes);
        let gallery = open(sample.directory.path());
        assert_eq!(contents(&gallery, "c"), sample.expected(|_| true));
        assert_eq!(gallery.warnings(), []);
        assert_eq!(fs::read(&sample.journal).unwrap(), sample.bytes);
    }
}

#[test]
fn every_flipped_bit_loses_at_most_its_record_and_is_reported() {
    let sample = sample();
    // In place: writing the file anew for each bit would take minutes.
    let file = fs::OpenOptions::new()
        .write(true)
        .open(&sample.journal)
        .unwrap();
    for bit in 0..sample.bytes.len() * 8 {
        let byte = bit / 8;
        let flipped = sample.bytes[byte] ^ (1 << (bit % 8));
        file.write_all_at(&[flipped], byte as u64).unwrap();
        let hit = sample.records.iter().position(|r| r.0.contains(&byte));
        let is_padding = hit.is_some_and(|index| {
            let (range, header, _) = &sample.records[index];
            byte >= range.start + 16 + header.payload_bytes as usize
        });
        let result = sample.replay();
        file.write_all_at(&sample.bytes[byte..=byte], byte as u64)
            .unwrap();
        let (found, damage) = result.unwrap();
        let (range, lost) = match hit {
            _ if is_padding => {
                assert_eq!(damage, []);
                assert_eq!(found, sample.expected(|_| true));
                continue;
            }
            // The header is known from elsewhere, and so is what one of the `Begin`s says.
            None => (0..FILE_HEADER_BYTES, usize::MAX),
            Some(index) => (sample.records[index].0.clone(), index),
        };
        let places: Vec<(u64, u64)> = damage.iter().map(|d| (d.from, d.to)).collect();
        assert_eq!(
            places,
            [(range.start as u64, range.end as u64)],
            "bit {bit}"
        );
        assert_eq!(found, sample.expected(|other| other != lost));
    }
}

#[test]
fn a_damaged_record_is_quarantined_and_the_later_ones_kept() {
    let sample = sample();
    for (index, (range, _, _)) in sample.records.iter().enumerate() {
        for byte in range.clone().step_by(7) {
            let mut bytes = sample.bytes.clone();
            bytes[byte] ^= 0x10;
            if replay_bytes(&sample, &bytes) == 0 {
                continue; // padding
            }
            sample.write(&bytes);
            let gallery = open(sample.directory.path());
            let expected = sample.expected(|other| other != index);
            assert_eq!(contents(&gallery, "c"), expected);
            let warnings = gallery.warnings();
            assert_eq!(warnings.len(), 1);
            assert_eq!(warnings[0].collection.as_deref(), Some("c"));
            let copy = warnings[0].quarantined.as_ref().unwrap();
            assert_eq!(fs::read(copy).unwrap(), bytes[range.clone()]);
            assert!(gallery.status("c").unwrap().warning.is_some());
            assert!(!sample.journal.exists(), "journal-1 was rewritten");

            gallery.insert("c", items(&[("dora", 9)])).unwrap();
            let expected = contents(&gallery, "c");
            drop(gallery);
            let gallery = open(sample.directory.path());
            assert_eq!(contents(&gallery, "c"), expected);
            // The quarantine stays and is mentioned as long as it is not emptied.
            assert_eq!(gallery.warnings().len(), 1);
            assert_eq!(fs::read(copy).unwrap(), bytes[range.clone()]);
        }
    }
}

fn replay_bytes(sample: &Sample, bytes: &[u8]) -> usize {
    sample.write(bytes);
    sample.replay().unwrap().1.len()
}

#[test]
fn a_long_unreadable_part_is_skipped() {
    let sample = sample();
    let (first, last) = (sample.records[2].0.clone(), sample.records[5].0.clone());
    // Two records in a row, and more bytes than the search for the next record reads at a time.
    let mut bytes = sample.bytes[..first.start].to_vec();
    bytes.extend((0..200_000_u32).map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0]));
    let resumes = bytes.len();
    bytes.extend(&sample.bytes[last]);
    sample.write(&bytes);
    let expected = Damage {
        from: first.start as u64,
        to: resumes as u64,
        lost_records: 3,
    };
    assert_eq!(sample.replay().unwrap().1, [expected]);
    let gallery = open(sample.directory.path());
    assert_eq!(contents(&gallery, "c"), sample.expected(|index| index == 5));
}

/// Two faults at once: the interrupted write at the end must not take the damage before it along.
#[test]
fn a_damaged_record_before_an_interrupted_one_is_reported() {
    let sample = sample();
    let last = sample.records[6].0.clone();
    let seed = FileHeader::decode(&sample.bytes[..64].try_into().unwrap())
        .unwrap()
        .seed();
    let batch = Operation::Insert {
        at: 7,
        features: (items(&[("dora", 7), ("emil", 8), ("fay", 9)]).iter())
            .map(|(target, template)| Feature::new(target.clone(), template))
            .collect(),
    };
    let mut bytes = sample.bytes.clone();
    bytes[last.start + 20] ^= 0x10;
    let whole = encode_record(&batch.encode().unwrap(), 7, seed).unwrap();
    bytes.extend(whole);
    let sector = (last.end + 16).next_multiple_of(512);
    bytes[sector..sector + 512].fill(0);
    sample.write(&bytes);
    let (_, damage) = sample.replay().unwrap();
    let expected = Damage {
        from: last.start as u64,
        to: last.end as u64,
        lost_records: 0,
    };
    assert_eq!(damage, [expected]);
    let gallery = open(sample.directory.path());
    assert_eq!(contents(&gallery, "c"), sample.expected(|index| index != 6));
    let copy = gallery.warnings()[0].quarantined.clone().unwrap();
    assert_eq!(fs::read(copy).unwrap(), bytes[last]);
}

#[test]
fn records_that_were_cut_out_or_doubled_are_reported() {
    let sample = sample();
    let second = sample.records[3].0.clone();
    let mut without = sample.bytes.clone();
    without.drain(second.clone());
    sample.write(&without);
    let gallery = open(sample.directory.path());
    assert_eq!(contents(&gallery, "c"), sample.expected(|i| i != 3));
    assert!(gallery.warnings()[0].what.contains("1 stored changes"));
    drop(gallery);

    let mut doubled = sample.bytes.clone();
    doubled.splice(second.end..second.end, sample.bytes[second].to_vec());
    sample.write(&doubled);
    let gallery = open(sample.directory.path());
    assert_eq!(contents(&gallery, "c"), sample.expected(|_| true));
    assert_eq!(gallery.warnings().len(), 1);
}

#[test]
fn an_unreadable_header_leaves_the_directory_untouched_and_the_name_free() {
    let sample = sample();
    for byte in [0, 8, 20, 60, 70, 90] {
        let mut bytes = sample.bytes.clone();
        bytes[byte] ^= 1;
        // Neither copy of the name can be read.
        for (range, _, _) in &sample.records[..2] {
            bytes[range.start + 20] ^= 1;
        }
        sample.write(&bytes);
        let gallery = open(sample.directory.path());
        assert_eq!(gallery.list(), []);
        let warnings = gallery.warnings();
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].what.contains("not served"));
        gallery.create("c").unwrap();
        gallery.delete("c").unwrap();
        assert_eq!(fs::read(&sample.journal).unwrap(), bytes);
    }
}

#[test]
fn a_newer_format_is_refused_with_a_sentence_and_left_alone() {
    let sample = sample();
    let mut bytes = sample.bytes.clone();
    bytes[8..12].copy_from_slice(&(FORMAT_VERSION + 1).to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..60]);
    bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
    sample.write(&bytes);
    let gallery = open(sample.directory.path());
    assert_eq!(gallery.list(), []);
    assert!(gallery.warnings()[0].what.contains("newer release"));
    assert_eq!(fs::read(&sample.journal).unwrap(), bytes);
}

#[test]
fn a_directory_under_another_name_is_not_served() {
    let sample = sample();
    let directory = collection_directory(sample.directory.path());
    let copy = sample
        .directory
        .path()
        .join(uuid::Uuid::new_v4().to_string());
    fs::create_dir(&copy).unwrap();
    fs::copy(&sample.journal, copy.join("journal-1")).unwrap();
    let gallery = open(sample.directory.path());
    assert_eq!(gallery.list().len(), 1);
    let warnings = gallery.warnings();
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].directory, copy);
    assert!(directory.exists());
}

#[test]
fn leftovers_of_interrupted_work_are_removed_and_foreign_files_are_not() {
    let sample = sample();
    let gallery_directory = sample.directory.path();
    let directory = collection_directory(gallery_directory);
    let leftovers = [
        gallery_directory.join(format!(".tmp-{}", uuid::Uuid::new_v4())),
        gallery_directory.join(format!(".deleted-{}", uuid::Uuid::new_v4())),
    ];
    let foreign = [
        gallery_directory.join(".tmp-notes"),
        gallery_directory.join("lost+found"),
    ];
    for path in leftovers.iter().chain(&foreign) {
        fs::create_dir(path).unwrap();
        fs::write(path.join("journal-1"), b"x").unwrap();
    }
    fs::write(directory.join(".tmp-journal-2"), &sample.bytes[..100]).unwrap();
    fs::write(directory.join("notes.txt"), b"mine").unwrap();
    let gallery = open(gallery_directory);
    assert_eq!(contents(&gallery, "c"), sample.expected(|_| true));
    assert_eq!(gallery.warnings(), []);
    assert!(leftovers.iter().all(|path| !path.exists()));
    assert!(foreign.iter().all(|path| path.exists()));
    assert!(!directory.join(".tmp-journal-2").exists());
    assert!(directory.join("notes.txt").exists());
}

#[test]
fn of_two_journals_the_later_one_counts_and_the_earlier_one_goes() {
    let directory = scratch();
    let gallery = open(directory.path());
    gallery.create("c").unwrap();
    gallery.insert("c", items(&[("anna", 1)])).unwrap();
    let old = fs::read(journal_path(directory.path())).unwrap();
    gallery.clear("c").unwrap();
    drop(gallery);
    // As if the power went between the rename and the removal.
    let old_path = collection_directory(directory.path()).join("journal-1");
    fs::write(&old_path, old).unwrap();
    let gallery = open(directory.path());
    assert_eq!(gallery.status("c").unwrap().feature_num, 0);
    assert!(!old_path.exists());
}
