//! When a journal is written anew: the erasure bound of `docs/design/gallery.md` as code.

/// A removal erases in the same call if the journal is at most this long: rewriting 8 MiB takes an SD card about a second.
/// Longer journals are not rewritten for each of a thousand removals in a row.
const ERASE_AT_ONCE_BYTES: u64 = 8 << 20;

/// Shorter journals are not rewritten for the space that they waste.
const COMPACTION_FLOOR_BYTES: u64 = 64 << 10;

/// What of a journal serves nobody any more.
pub(super) struct Waste {
    /// Feature rows of people or features that were removed.
    pub dead_rows: u64,
    /// All feature rows in the file.
    pub rows: u64,
    /// Size of the file in bytes.
    pub journal_bytes: u64,
}

impl Waste {
    /// Whether to rewrite in the same call that removed someone.
    pub fn goes_with_a_removal(&self) -> bool {
        self.dead_rows > 0 && (self.journal_bytes <= ERASE_AT_ONCE_BYTES || self.is_large())
    }

    /// Whether to rewrite in the same call that replaced features.
    pub fn goes_with_an_update(&self) -> bool {
        self.is_large()
    }

    /// More dead than alive: rewriting costs at most as much as the appends since the last rewrite did.
    fn is_large(&self) -> bool {
        self.dead_rows > self.rows / 2 && self.journal_bytes > COMPACTION_FLOOR_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waste(dead_rows: u64, rows: u64, journal_bytes: u64) -> Waste {
        Waste {
            dead_rows,
            rows,
            journal_bytes,
        }
    }

    #[test]
    fn removals_rewrite_short_journals_at_once_and_long_ones_when_half_dead() {
        assert!(waste(1, 100, ERASE_AT_ONCE_BYTES).goes_with_a_removal());
        assert!(!waste(0, 100, 1000).goes_with_a_removal());
        assert!(!waste(50, 100, ERASE_AT_ONCE_BYTES + 1).goes_with_a_removal());
        assert!(waste(51, 100, ERASE_AT_ONCE_BYTES + 1).goes_with_a_removal());
    }

    #[test]
    fn updates_rewrite_when_half_dead_and_not_tiny() {
        assert!(!waste(99, 100, COMPACTION_FLOOR_BYTES).goes_with_an_update());
        assert!(waste(51, 100, COMPACTION_FLOOR_BYTES + 1).goes_with_an_update());
        assert!(!waste(50, 100, COMPACTION_FLOOR_BYTES + 1).goes_with_an_update());
    }
}
