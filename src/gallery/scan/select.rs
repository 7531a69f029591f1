//! Keeps the best people of a pass, and says from which score on a row matters.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::segment::Bits;

/// Somebody who may be among the best. The score is a cosine up to a factor that is the same for all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub score: f32,
    pub part: u32,
    pub person: u32,
}

/// The greater one is the worse one, so that a heap's top is the one to drop. No two people are equal: which ones are kept does
/// not depend on the order in which threads find them.
impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_score = other.score.total_cmp(&self.score);
        by_score.then((self.part, self.person).cmp(&(other.part, other.person)))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

/// The best `limit` living people of the rows seen, for one probe.
pub(super) struct Selection {
    limit: usize,
    kept: BinaryHeap<Candidate>,
    threshold: f32,
    /// The person whose rows pass by, not in `kept` yet: more rows may follow, even in the next block.
    open: Option<Candidate>,
}

impl Selection {
    pub fn new(limit: usize) -> Selection {
        Selection {
            limit,
            kept: BinaryHeap::with_capacity(limit),
            threshold: if limit == 0 {
                f32::INFINITY
            } else {
                f32::NEG_INFINITY
            },
            open: None,
        }
    }

    /// A row whose score is not greater than this changes nothing: within a thread people come in ascending order, so that the
    /// later one of two with equal scores is the worse.
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    /// Whose row was the last one, to look for the next row's owner from there.
    pub fn open_person(&self) -> Option<u32> {
        self.open.map(|open| open.person)
    }

    /// A row with a score above the threshold. The rows of a part come in ascending order, [`Selection::close`] after the last.
    pub fn offer(&mut self, row: Candidate, dead: &Bits) {
        match &mut self.open {
            Some(open) if open.person == row.person => open.score = open.score.max(row.score),
            _ => {
                self.close(dead);
                self.open = Some(row);
            }
        }
    }

    /// No more rows of the person seen last.
    pub fn close(&mut self, dead: &Bits) {
        // The dead are few: asking only about those who would be kept makes them cost nothing.
        if let Some(open) = self.open.take()
            && open.score > self.threshold
            && !dead.contains(open.person)
        {
            self.keep(open);
        }
    }

    /// Takes up what another thread kept.
    pub fn merge(&mut self, other: Selection) {
        for candidate in other.kept {
            self.keep(candidate);
        }
    }

    fn keep(&mut self, candidate: Candidate) {
        if self.kept.len() < self.limit {
            self.kept.push(candidate);
        } else if let Some(mut worst) = self.kept.peek_mut()
            && candidate < *worst
        {
            *worst = candidate;
        }
        if self.kept.len() == self.limit
            && let Some(worst) = self.kept.peek()
        {
            self.threshold = worst.score;
        }
    }

    /// Everyone kept, in the order in which their rows lie in the parts.
    pub fn into_kept(self) -> Vec<Candidate> {
        let mut kept = self.kept.into_vec();
        kept.sort_unstable_by_key(|candidate| (candidate.part, candidate.person));
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(person: u32, score: f32) -> Candidate {
        Candidate {
            score,
            part: 0,
            person,
        }
    }

    fn kept(selection: Selection) -> Vec<(u32, f32)> {
        let kept = selection.into_kept();
        kept.iter().map(|c| (c.person, c.score)).collect()
    }

    #[test]
    fn the_best_row_of_each_living_person_counts() {
        let mut dead = Bits::default();
        dead.insert(2);
        let mut selection = Selection::new(2);
        for (person, score) in [(0, 0.1), (1, 0.5), (1, 0.7), (1, 0.6), (2, 0.9), (2, 0.95)] {
            selection.offer(row(person, score), &dead);
        }
        selection.close(&dead);
        assert_eq!(selection.threshold(), 0.1);
        selection.offer(row(5, 0.2), &dead);
        selection.close(&dead);
        assert_eq!(selection.threshold(), 0.2);
        assert_eq!(kept(selection), [(1, 0.7), (5, 0.2)]);
    }

    #[test]
    fn of_equals_the_first_stay_however_they_are_merged() {
        let none = Bits::default();
        for split in 0..=9 {
            let (mut a, mut b) = (Selection::new(4), Selection::new(4));
            for person in 0..9 {
                let half = if person < split { &mut a } else { &mut b };
                let score = if person == 7 { 0.9 } else { 0.5 };
                if score > half.threshold() {
                    half.offer(row(person, score), &none);
                    half.close(&none);
                }
            }
            b.merge(a);
            let people: Vec<u32> = kept(b).iter().map(|(person, _)| *person).collect();
            assert_eq!(people, [0, 1, 2, 7], "{split}");
        }
    }

    #[test]
    fn a_limit_of_none_keeps_nobody() {
        let mut selection = Selection::new(0);
        selection.offer(row(0, 1.0), &Bits::default());
        selection.close(&Bits::default());
        assert!(kept(selection).is_empty());
    }
}
