//! Lines of files that a power cut, a broken medium or an editor may have damaged.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use super::record::MAX_SEQ;

/// Bytes of the longest line that is read. Ours have some hundred.
const LONGEST: usize = 64 << 10;
/// Bytes of a file that are read. Ours have a few million.
const MOST: u64 = 32 << 20;
/// No log skips so many numbers: what stands behind such a jump was not written by this program.
const LARGEST_JUMP: u64 = 1 << 32;

/// What cannot be read of a file counts as one line, unless it is this user who may not.
///
/// # Errors
/// The file belongs to somebody else.
pub fn unless_forbidden<T>(read: io::Result<T>) -> io::Result<Result<T, u64>> {
    match read {
        Ok(read) => Ok(Ok(read)),
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Err(e),
        Err(e) => {
            tracing::warn!("logs: a file cannot be read: {e}");
            Ok(Err(1))
        }
    }
}

/// The lines of a file, without their ends, to `take`, which says whether it could read one. Returns how many it could not.
///
/// Zeros, endless lines and whatever else is no text count as one line each.
pub fn each(file: File, mut take: impl FnMut(&[u8]) -> bool) -> io::Result<u64> {
    let mut damaged = u64::from(file.metadata()?.len() > MOST);
    let mut from = BufReader::new(file.take(MOST));
    let mut line = Vec::new();
    loop {
        line.clear();
        let most = LONGEST as u64 + 1;
        if from.by_ref().take(most).read_until(b'\n', &mut line)? == 0 {
            return Ok(damaged);
        }
        if line.last() != Some(&b'\n') && line.len() > LONGEST {
            from.skip_until(b'\n')?;
            damaged += 1;
            continue;
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        damaged += u64::from(!text.is_empty() && !take(text));
    }
}

/// Leaves those records whose numbers rise, most of them by dropping as few as possible, and says how many it dropped.
///
/// Of a line whose number was changed this drops that line alone, wherever it stands and whatever the number is.
pub fn rising<R>(records: Vec<R>, seq: impl Fn(&R) -> u64) -> (Vec<R>, u64) {
    let all = records.len();
    // The longest sequence that rises: for each of its lengths the record with the smallest number that ends one, and for each
    // record the one before it.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; all];
    for (index, record) in records.iter().enumerate() {
        let number = seq(record);
        if number == 0 || number > MAX_SEQ {
            continue;
        }
        let length = ends.partition_point(|end| seq(&records[*end]) < number);
        before[index] = length.checked_sub(1).map(|shorter| ends[shorter]);
        match ends.get_mut(length) {
            Some(end) => *end = index,
            None => ends.push(index),
        }
    }
    let mut kept = vec![false; all];
    let mut at = ends.last().copied();
    while let Some(index) = at {
        kept[index] = true;
        at = before[index];
    }
    let mut last = None;
    let records: Vec<R> = (records.into_iter().zip(kept))
        .filter_map(|(record, kept)| kept.then_some(record))
        .take_while(|record| {
            let number = seq(record);
            let near = last.is_none_or(|last: u64| number - last < LARGEST_JUMP);
            last = Some(number);
            near
        })
        .collect();
    let dropped = (all - records.len()) as u64;
    (records, dropped)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn kept(numbers: &[u64]) -> Vec<u64> {
        let (kept, dropped) = rising(numbers.to_vec(), |number| *number);
        assert_eq!(kept.len() as u64 + dropped, numbers.len() as u64);
        kept
    }

    #[test]
    fn one_changed_number_costs_one_record() {
        assert!(kept(&[]).is_empty());
        assert_eq!(kept(&[1, 2, 3, 5]), [1, 2, 3, 5]);
        for changed in [0, 1, 2, 4, 1000, MAX_SEQ, MAX_SEQ + 1, u64::MAX] {
            assert_eq!(kept(&[7, 8, 9, changed, 11, 12]), [7, 8, 9, 11, 12]);
            assert!(kept(&[changed, 7, 8, 9]).ends_with(&[7, 8, 9]), "{changed}");
        }
        for changed in [0, 8, 1 << 40, MAX_SEQ, u64::MAX] {
            assert_eq!(kept(&[7, 8, 9, changed]), [7, 8, 9], "{changed}");
        }
    }

    #[test]
    fn whatever_a_file_holds_is_read_line_by_line() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"one\n\ntwo\n").unwrap();
        file.write_all(&vec![0; 3 * LONGEST]).unwrap();
        file.write_all(b"\nthree\n").unwrap();
        file.write_all(&vec![b'x'; LONGEST + 1]).unwrap();
        file.write_all(b"\n\xff\xfe\ntorn").unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let mut lines = Vec::new();
        let damaged = each(file, |line| {
            let text = std::str::from_utf8(line).map(str::to_owned);
            text.map(|text| lines.push(text)).is_ok()
        });
        assert_eq!(damaged.unwrap(), 3);
        assert_eq!(lines, ["one", "two", "three", "torn"]);
    }
}
