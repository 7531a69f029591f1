//! Thresholds from every pair of pictures of two people, and how sure they are.

use super::enough::ABOVE;

/// Cosines of all cross-identity pairs: the highest with their people, of the others only how many there are.
pub struct Impostors {
    /// Highest first: cosine and the two people.
    tail: Vec<(f32, u32, u32)>,
    /// All pairs.
    pub pairs: u64,
    /// Of each person, what is the first of a pair and what is the second.
    counts: [Vec<u32>; 2],
    /// Pairs that count as one where it is asked how many there are.
    draws: usize,
}

/// Such a share of the pairs is kept: the largest false match rate asked for, and room for samples in which the tail weighs more.
const KEPT_SHARE: f64 = 0.03;

/// A threshold with what it costs.
#[derive(Clone, Copy, Debug)]
pub struct Threshold {
    /// False match rate, 0..1.
    pub fmr: f64,
    /// Pairs above this cosine are taken for one person.
    pub cosine: f32,
    /// 95 % interval over samples of the people.
    pub interval: Option<(f32, f32)>,
    /// Continued beyond what the pairs can show.
    pub extrapolated: bool,
}

impl Impostors {
    /// `people[i]` is whose picture `i` is, counted from 0; `cosine(i, j)` compares picture `i`, the first of a pair, with `j`. Each
    /// two pictures are one pair.
    pub fn of(people: &[u32], cosine: impl Fn(usize, usize) -> f32) -> Impostors {
        let mut all = Vec::new();
        for i in 0..people.len() {
            for j in i + 1..people.len() {
                if people[i] != people[j] {
                    all.push((cosine(i, j), people[i], people[j]));
                }
            }
        }
        Impostors::from(all, people, people)
    }

    /// Of pairs, each the cosine and whose template and whose picture it is of; `enrolled` and `seen` say whose all templates and all
    /// pictures are. Of each person there are `draws` templates, which are no pairs of their own: they make a rate smoother, not surer.
    pub fn repeated(
        all: Vec<(f32, u32, u32)>,
        enrolled: &[u32],
        seen: &[u32],
        draws: usize,
    ) -> Impostors {
        Impostors {
            draws,
            ..Impostors::from(all, enrolled, seen)
        }
    }

    fn from(mut all: Vec<(f32, u32, u32)>, first: &[u32], second: &[u32]) -> Impostors {
        let identities = first
            .iter()
            .chain(second)
            .max()
            .map_or(0, |&m| m as usize + 1);
        let counted = |people: &[u32]| {
            let mut counts = vec![0; identities];
            people
                .iter()
                .for_each(|&person| counts[person as usize] += 1);
            counts
        };
        let pairs = all.len() as u64;
        let kept = ((pairs as f64 * KEPT_SHARE).ceil() as usize).min(all.len());
        if kept < all.len() {
            all.select_nth_unstable_by(kept, |a, b| b.0.total_cmp(&a.0));
            all.truncate(kept);
        }
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        Impostors {
            tail: all,
            pairs,
            counts: [counted(first), counted(second)],
            draws: 1,
        }
    }

    /// How many pairs are above `cosine`, which must lie in the tail.
    pub fn above(&self, cosine: f32) -> u64 {
        self.tail.partition_point(|&(c, ..)| c > cosine) as u64
    }

    /// The cosine above which at most the share `fmr` of the pairs lies. `None` if fewer than five pairs do.
    pub fn threshold(&self, fmr: f64) -> Option<f32> {
        let allowed = fmr * self.pairs as f64;
        if allowed < ABOVE * self.draws as f64 {
            return None;
        }
        self.tail.get(allowed as usize).map(|&(cosine, ..)| cosine)
    }

    /// Thresholds for each of `rates`, with intervals from `samples` samples of the people with replacement: pairs that share a
    /// person are not independent, so it is people that are drawn. Source: R. Bolle, N. Ratha, S. Pankanti, "Error analysis of
    /// pattern recognition systems: the subsets bootstrap", 2004.
    pub fn thresholds(&self, rates: &[f64], samples: usize, seed: u64) -> Vec<Threshold> {
        let mut drawn: Vec<Vec<f32>> = vec![Vec::new(); rates.len()];
        let mut random = fastrand::Rng::with_seed(seed);
        let people = self.counts[0].len();
        for _ in 0..samples {
            let mut times = vec![0_u32; people];
            for _ in 0..people {
                times[random.usize(..people)] += 1;
            }
            for (values, cosine) in drawn.iter_mut().zip(self.in_sample(&times, rates)) {
                values.extend(cosine);
            }
        }
        (rates.iter().zip(&mut drawn))
            .filter_map(|(&fmr, values)| {
                values.sort_by(f32::total_cmp);
                let at = |share: f64| values[((values.len() - 1) as f64 * share) as usize];
                Some(Threshold {
                    fmr,
                    cosine: self.threshold(fmr)?,
                    interval: (!values.is_empty()).then(|| (at(0.025), at(0.975))),
                    extrapolated: false,
                })
            })
            .collect()
    }

    /// [`Impostors::thresholds`] of `rates`, and of the rates `beyond` them where the line of the tail leads.
    pub fn thresholds_and_beyond(
        &self,
        rates: &[f64],
        beyond: &[f64],
        samples: usize,
    ) -> Vec<Threshold> {
        let mut thresholds = self.thresholds(rates, samples, 1);
        // The bulk bends the line: it goes on from the tail alone.
        let tail: Vec<Threshold> = (thresholds.iter().copied())
            .filter(|threshold| threshold.fmr < 5e-3)
            .collect();
        thresholds.extend(beyond.iter().filter_map(|&rate| extrapolate(&tail, rate)));
        thresholds
    }

    /// Thresholds when everyone is there as many `times` as given. Pairs of two copies of one person are no impostors.
    fn in_sample(&self, times: &[u32], rates: &[f64]) -> Vec<Option<f32>> {
        // All pairs of a first and a second, but for those of one person.
        let crossing = |times: &dyn Fn(usize) -> f64| -> f64 {
            let [first, second] = self.counts.each_ref().map(|counts| {
                let weighted = counts.iter().enumerate();
                weighted
                    .map(|(person, &n)| times(person) * f64::from(n))
                    .collect::<Vec<_>>()
            });
            let own: f64 = first.iter().zip(&second).map(|(a, b)| a * b).sum();
            first.iter().sum::<f64>() * second.iter().sum::<f64>() - own
        };
        let drawn = crossing(&|person| f64::from(times[person]));
        let all = self.pairs as f64 * drawn / crossing(&|_| 1.0);
        let mut found = vec![None; rates.len()];
        let mut above = 0.0;
        for &(cosine, a, b) in &self.tail {
            above += f64::from(times[a as usize]) * f64::from(times[b as usize]);
            for (found, rate) in found.iter_mut().zip(rates) {
                if found.is_none() && above > rate * all {
                    *found = Some(cosine);
                }
            }
            if found.iter().all(Option::is_some) {
                break;
            }
        }
        found
    }
}

/// Continues the line of log10(FMR) over the cosine, which is nearly straight in the tail, to `fmr`. `None` with fewer than
/// three thresholds.
fn extrapolate(known: &[Threshold], fmr: f64) -> Option<Threshold> {
    if known.len() < 3 {
        return None;
    }
    let n = known.len() as f64;
    let x = |t: &Threshold| t.fmr.log10();
    let y = |t: &Threshold| f64::from(t.cosine);
    let (mx, my) = (
        known.iter().map(x).sum::<f64>() / n,
        known.iter().map(y).sum::<f64>() / n,
    );
    let covariance: f64 = known.iter().map(|t| (x(t) - mx) * (y(t) - my)).sum();
    let variance: f64 = known.iter().map(|t| (x(t) - mx).powi(2)).sum();
    (variance > 0.0).then(|| Threshold {
        fmr,
        cosine: (my + covariance / variance * (fmr.log10() - mx)) as f32,
        interval: None,
        extrapolated: true,
    })
}

/// Whose picture a path shows: the file name before `_` and four or more digits, else the folder.
pub fn identity(path: &str) -> &str {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    match stem.rsplit_once('_') {
        Some((name, number))
            if !name.is_empty()
                && number.len() >= 4
                && number.bytes().all(|b| b.is_ascii_digit()) =>
        {
            name
        }
        _ if !folder.is_empty() => folder,
        _ => stem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_in_a_picture() {
        assert_eq!(identity("images/Abel_Pacheco_0001.jpg"), "Abel_Pacheco");
        assert_eq!(identity("anna/1.jpg"), "anna");
        assert_eq!(identity("a/b/anna_12.png"), "a/b");
        assert_eq!(identity("carl.png"), "carl");
        assert_eq!(identity("x/_0001.png"), "x");
    }

    /// 200 people of two pictures; cosines of strangers are spread evenly over 0..1.
    fn even() -> Impostors {
        let people: Vec<u32> = (0..400).map(|i| i / 2).collect();
        let mut random = fastrand::Rng::with_seed(7);
        let table: Vec<f32> = (0..400 * 400).map(|_| random.f32()).collect();
        Impostors::of(&people, |i, j| table[i * 400 + j])
    }

    #[test]
    fn thresholds_of_a_known_distribution() {
        let impostors = even();
        assert_eq!(impostors.pairs, 400 * 399 / 2 - 200);
        for threshold in impostors.thresholds(&[1e-2, 1e-3], 200, 1) {
            let expected = 1.0 - threshold.fmr as f32;
            assert!(
                (threshold.cosine - expected).abs() < 0.2 * threshold.fmr as f32,
                "{threshold:?}"
            );
            let (low, high) = threshold.interval.unwrap();
            assert!(low < expected && expected < high, "{threshold:?}");
            assert!(high - low < threshold.fmr as f32, "{threshold:?}");
            let above = impostors.above(threshold.cosine) as f64;
            assert!(above <= threshold.fmr * impostors.pairs as f64);
        }
        // Five pairs above it would be needed.
        assert!(impostors.threshold(1e-5).is_none());
    }

    /// Four templates of each of 100 people against 600 pictures of theirs and of 300 others.
    #[test]
    fn templates_against_pictures() {
        let enrolled: Vec<u32> = (0..400).map(|i| i / 4).collect();
        let seen: Vec<u32> = (0..600).map(|i| i % 400).collect();
        let mut random = fastrand::Rng::with_seed(8);
        let mut all = Vec::new();
        for &person in &enrolled {
            let others = seen.iter().filter(|&&other| other != person);
            all.extend(others.map(|&other| (random.f32(), person, other)));
        }
        let impostors = Impostors::repeated(all, &enrolled, &seen, 4);
        assert_eq!(impostors.pairs, 400 * 600 - 4 * 200);
        // Five pairs a template above it would be needed, not five of four.
        assert!(impostors.threshold(5e-5).is_none() && impostors.threshold(1e-4).is_some());
        for threshold in impostors.thresholds(&[1e-2, 1e-3], 200, 1) {
            let expected = 1.0 - threshold.fmr as f32;
            assert!((threshold.cosine - expected).abs() < 0.2 * threshold.fmr as f32);
            let (low, high) = threshold.interval.unwrap();
            assert!(low < expected && expected < high, "{threshold:?}");
        }
    }

    #[test]
    fn a_straight_line_goes_on() {
        let known: Vec<Threshold> = [(1e-3, 0.4), (1e-4, 0.5), (1e-5, 0.6)]
            .map(|(fmr, cosine)| Threshold {
                fmr,
                cosine,
                interval: None,
                extrapolated: false,
            })
            .to_vec();
        let next = extrapolate(&known, 1e-6).unwrap();
        assert!((next.cosine - 0.7).abs() < 1e-3 && next.extrapolated);
        assert!(extrapolate(&known[..2], 1e-6).is_none());
    }
}
