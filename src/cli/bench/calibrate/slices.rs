//! Errors of demographic groups at one threshold for everyone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Failure;
use crate::cli::bench::metrics::wilson_interval;
use crate::cli::bench::pairs::Pair;
use crate::cli::while_doing;

/// Group of each picture.
pub struct Groups {
    by_path: HashMap<String, String>,
    /// Pictures that are in no pair.
    unlisted: usize,
}

#[derive(Deserialize)]
struct Row {
    path: String,
    group: String,
}

/// What happens within one group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slice {
    pub pictures: usize,
    pub genuine: u64,
    /// Genuine pairs that are not taken for one person.
    pub rejected: u64,
    pub impostor: u64,
    /// Impostor pairs that are.
    pub accepted: u64,
}

/// All groups at one threshold.
pub struct Slices {
    /// False match rate of the threshold among all pairs of two people, of one group or not.
    fmr: f64,
    cosine: f32,
    unlisted: usize,
    /// Pictures with a group, listed or not.
    named: usize,
    groups: BTreeMap<String, Slice>,
}

impl Groups {
    /// CSV with the columns path,group; paths as in `pairs`, which are those of the file `list`.
    ///
    /// # Errors
    /// The file cannot be read or lacks a column, gives a picture two groups, or none of its pictures is in a pair.
    pub fn read(path: &Path, pairs: &[Pair], list: &Path) -> Result<Groups, Failure> {
        let file = path.display();
        let mut reader = csv::Reader::from_path(path).map_err(while_doing(&file))?;
        let mut by_path: HashMap<String, String> = HashMap::new();
        for row in reader.deserialize() {
            let Row { path, group } = row.map_err(while_doing(&file))?;
            if let Some(other) = by_path.get(&path)
                && *other != group
            {
                let both = format!("{path} is in the groups {other} and {group}");
                return Err(format!("{file}: {both}; a picture has one group").into());
            }
            by_path.insert(path, group);
        }
        let listed: BTreeSet<&str> = (pairs.iter())
            .flat_map(|pair| [pair.path1.as_str(), pair.path2.as_str()])
            .collect();
        let known = by_path.keys().filter(|p| listed.contains(p.as_str()));
        let unlisted = by_path.len() - known.count();
        match (by_path.len(), listed.first()) {
            (0, _) => Err(format!("{file}: the list has no pictures").into()),
            (all, Some(example)) if all == unlisted => Err(format!(
                "{file}: none of its {all} paths is in {}; paths are as the list of pairs spells them, e.g. {example}",
                list.display()
            )
            .into()),
            _ => Ok(Groups { by_path, unlisted }),
        }
    }

    /// Counts pairs whose pictures are of one group, at the cosine `threshold`, whose false match rate is `fmr`. Impostors are all pairs of
    /// `pictures` of two people, genuine pairs those of `genuine`; a pair without a cosine is rejected.
    pub fn slices(
        &self,
        (fmr, threshold): (f64, f32),
        pictures: &[(&str, u32)],
        cosine: impl Fn(usize, usize) -> f32,
        genuine: &[(&str, &str, Option<f32>)],
    ) -> Slices {
        let mut slices: BTreeMap<&str, Slice> = BTreeMap::new();
        let group = |path: &str| self.by_path.get(path).map(String::as_str);
        let groups: Vec<Option<&str>> = pictures.iter().map(|(path, _)| group(path)).collect();
        for i in 0..pictures.len() {
            let Some(name) = groups[i] else { continue };
            let slice = slices.entry(name).or_default();
            slice.pictures += 1;
            for j in i + 1..pictures.len() {
                if groups[j] == groups[i] && pictures[i].1 != pictures[j].1 {
                    slice.impostor += 1;
                    slice.accepted += u64::from(cosine(i, j) > threshold);
                }
            }
        }
        for (first, second, cosine) in genuine {
            if let Some(name) = group(first)
                && group(second) == Some(name)
            {
                let slice = slices.entry(name).or_default();
                slice.genuine += 1;
                slice.rejected += u64::from(cosine.is_none_or(|cosine| cosine <= threshold));
            }
        }
        Slices {
            fmr,
            cosine: threshold,
            unlisted: self.unlisted,
            named: self.by_path.len(),
            groups: (slices.into_iter())
                .map(|(name, slice)| (name.to_owned(), slice))
                .collect(),
        }
    }
}

impl Slices {
    pub fn json(&self) -> Value {
        let rate = |hits: u64, of: u64| (of > 0).then(|| hits as f64 / of as f64);
        let interval = |hits, of| wilson_interval(hits, of).map(|(low, high)| [low, high]);
        let slice = |(name, s): (&String, &Slice)| {
            json!({
                "group": name,
                "pictures": s.pictures,
                "genuine_pairs": s.genuine,
                "fnmr": rate(s.rejected, s.genuine),
                "fnmr_95": interval(s.rejected, s.genuine),
                "impostor_pairs": s.impostor,
                "fmr": rate(s.accepted, s.impostor),
                "fmr_95": interval(s.accepted, s.impostor),
            })
        };
        json!({
            "fmr": self.fmr,
            "cosine": self.cosine,
            "paths_not_in_pairs": self.unlisted,
            "groups": self.groups.iter().map(slice).collect::<Vec<_>>(),
        })
    }

    pub fn print(&self) {
        println!(
            "groups at cosine {:.4} (FMR {:e} of all pairs of two people); the intervals take pairs for independent",
            self.cosine, self.fmr
        );
        if self.unlisted > 0 {
            println!(
                "{} of {} paths with a group are in no pair",
                self.unlisted, self.named
            );
        }
        println!(
            "{:<16} pictures  genuine  FNMR      95 % interval     impostors  FMR     95 % interval",
            "group"
        );
        for (name, s) in &self.groups {
            let (fnmr, fnmr_95) = match wilson_interval(s.rejected, s.genuine) {
                Some((low, high)) => (
                    format!("{:.2} %", 100.0 * s.rejected as f64 / s.genuine as f64),
                    format!("{:.2} to {:.2} %", 100.0 * low, 100.0 * high),
                ),
                None => ("-".to_owned(), "-".to_owned()),
            };
            let (fmr, fmr_95) = match wilson_interval(s.accepted, s.impostor) {
                Some((low, high)) => (
                    small(s.accepted as f64 / s.impostor as f64),
                    format!("{} to {}", small(low), small(high)),
                ),
                None => ("-".to_owned(), "-".to_owned()),
            };
            println!(
                "{name:<16} {:>8}  {:>7}  {fnmr:<8}  {fnmr_95:<16}  {:>9}  {fmr:<6}  {fmr_95}",
                s.pictures, s.genuine, s.impostor
            );
        }
    }
}

/// A rate that may be one in many thousands.
fn small(rate: f64) -> String {
    match rate {
        0.0 => "0".to_owned(),
        _ => format!("{rate:.1e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pairs_within_a_group_count() {
        let groups = [("a1", "x"), ("a2", "x"), ("b1", "x"), ("c1", "y")];
        let groups = Groups {
            by_path: groups
                .map(|(path, group)| (path.to_owned(), group.to_owned()))
                .into(),
            unlisted: 0,
        };
        let pictures = [("a1", 0), ("a2", 0), ("b1", 1), ("c1", 2), ("d1", 3)];
        // a2 and b1 look alike, and so do b1 and c1.
        let cosine = |i, j| match (i, j) {
            (1, 2) | (2, 3) => 0.9,
            _ => 0.1,
        };
        let genuine = [
            ("a1", "a2", Some(0.8)),
            ("a2", "a1", None),
            ("c1", "c2", Some(0.1)),
        ];
        let slices = groups.slices((1e-3, 0.5), &pictures, cosine, &genuine);
        let json = slices.json();
        let slices = slices.groups;
        let x = Slice {
            pictures: 3,
            genuine: 2,
            rejected: 1,
            impostor: 2,
            accepted: 1,
        };
        assert_eq!(slices["x"], x);
        assert_eq!((slices["y"].pictures, slices["y"].genuine), (1, 0));
        assert_eq!(slices.len(), 2);
        // No pair of two people within y: no rate, rather than a perfect one.
        assert_eq!(
            (&json["groups"][1]["fmr"], &json["groups"][1]["fmr_95"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!(json["groups"][0]["fmr"], 0.5);
        assert_eq!(
            json["groups"][0]["fnmr_95"][0].as_f64(),
            wilson_interval(1, 2).map(|(low, _)| low)
        );
    }
}
