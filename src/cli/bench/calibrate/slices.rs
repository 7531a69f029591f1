//! Errors of demographic groups at one threshold for everyone.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::Deserialize;

use super::Failure;
use crate::cli::while_doing;

/// Group of each picture.
pub struct Groups(HashMap<String, String>);

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

impl Groups {
    /// CSV with the columns path,group; paths as in the list of pairs.
    ///
    /// # Errors
    /// The file cannot be read, or lacks a column.
    pub fn read(path: &Path) -> Result<Groups, Failure> {
        let mut reader = csv::Reader::from_path(path).map_err(while_doing(path.display()))?;
        let mut groups = HashMap::new();
        for row in reader.deserialize() {
            let row: Row = row.map_err(while_doing(path.display()))?;
            groups.insert(row.path, row.group);
        }
        match groups.is_empty() {
            true => Err(format!("{}: the list has no pictures", path.display()).into()),
            false => Ok(Groups(groups)),
        }
    }

    /// Counts pairs whose pictures are of one group. Impostors are all pairs of `pictures` of two people, genuine pairs those of
    /// `genuine`; a pair without a cosine is rejected.
    pub fn slices(
        &self,
        threshold: f32,
        pictures: &[(&str, u32)],
        cosine: impl Fn(usize, usize) -> f32,
        genuine: &[(&str, &str, Option<f32>)],
    ) -> BTreeMap<&str, Slice> {
        let mut slices: BTreeMap<&str, Slice> = BTreeMap::new();
        let group = |path: &str| self.0.get(path).map(String::as_str);
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
        slices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pairs_within_a_group_count() {
        let groups = [("a1", "x"), ("a2", "x"), ("b1", "x"), ("c1", "y")];
        let groups = Groups(
            groups
                .map(|(path, group)| (path.to_owned(), group.to_owned()))
                .into(),
        );
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
        let slices = groups.slices(0.5, &pictures, cosine, &genuine);
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
    }
}
