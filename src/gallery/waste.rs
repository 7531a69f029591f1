//! When the files are written anew: the bounds of `docs/design/gallery.md` as code.

/// Removals are erased soon if the files hold at most this many features: writing 8 MiB takes an SD card about a second.
/// Larger ones are not written anew for each of a thousand removals in a row.
const ERASE_AT_ONCE_ROWS: u64 = 14_000;

/// Fewer rows are not written anew for the space that they waste.
const COMPACTION_FLOOR_ROWS: u64 = 256;

/// The journals may hold so many rows, or this share of the generation if that is more: the first bounds the time to open and the
/// memory, the second what an enrolment of everyone writes in all (some nine times its data).
const TAIL_ROWS: u64 = 8192;
const TAIL_SHARE: u64 = 8;

/// Files that count no more: everything below a restart point that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leftovers {
    /// Number of the restart point.
    pub restart: u64,
    /// The quarantine goes as well: some of it may be of people who left.
    pub quarantine: bool,
}

/// What of the files serves nobody, and what is not in a generation yet.
pub(super) struct Waste {
    /// Feature rows of people or features that were removed.
    pub dead_rows: u64,
    /// All feature rows in the files.
    pub rows: u64,
    /// Rows in memory that are in no generation.
    pub tail_rows: u64,
    /// Rows of the generation.
    pub base_rows: u64,
}

impl Waste {
    /// Whether a removal is to be erased soon.
    pub fn goes_with_a_removal(&self) -> bool {
        self.dead_rows > 0 && !self.is_large_to_erase()
    }

    /// Whether removals leave the bytes to the daily erasure.
    pub fn is_large_to_erase(&self) -> bool {
        self.rows > ERASE_AT_ONCE_ROWS
    }

    /// Whether the background should write a new generation.
    pub fn wants_compaction(&self) -> bool {
        self.tail_rows > TAIL_ROWS.max(self.base_rows / TAIL_SHARE) || self.is_large()
    }

    /// More dead than alive: writing anew costs at most as much as the appends since the last time did.
    fn is_large(&self) -> bool {
        self.dead_rows > self.rows / 2 && self.rows > COMPACTION_FLOOR_ROWS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waste(dead_rows: u64, rows: u64) -> Waste {
        Waste {
            dead_rows,
            rows,
            tail_rows: 0,
            base_rows: rows,
        }
    }

    #[test]
    fn removals_write_small_collections_anew_at_once_and_large_ones_when_half_dead() {
        assert!(waste(1, ERASE_AT_ONCE_ROWS).goes_with_a_removal());
        assert!(!waste(0, 100).goes_with_a_removal());
        assert!(!waste(50, ERASE_AT_ONCE_ROWS + 1).goes_with_a_removal());
        assert!(!waste(500, 1000).wants_compaction());
        assert!(waste(501, 1000).wants_compaction());
        assert!(!waste(200, COMPACTION_FLOOR_ROWS).wants_compaction());
    }

    #[test]
    fn a_long_tail_goes_into_a_generation() {
        let tail = |tail_rows, base_rows| Waste {
            dead_rows: 0,
            rows: tail_rows + base_rows,
            tail_rows,
            base_rows,
        };
        assert!(!tail(TAIL_ROWS, 0).wants_compaction());
        assert!(tail(TAIL_ROWS + 1, 0).wants_compaction());
        assert!(!tail(TAIL_ROWS + 1, 500_000).wants_compaction());
        assert!(tail(62_501, 500_000).wants_compaction());
    }
}
