//! One person's features and name: taking a single feature out, giving another name, putting two people together.

use super::batch::Ahead;
use super::commit::{Change, Outcome};
use super::error::GalleryError;
use super::forms::normalized;
use super::gallery::Gallery;
use super::operation::{Feature, Operation};
use super::scan::Damaged;
use super::template::RowBits;

/// What a renaming did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renamed {
    /// The name under which the person is stored now.
    pub target: String,
    /// Features that the person has now.
    pub features: usize,
    /// Somebody had the name already, and both are one person now.
    pub merged: bool,
}

impl Gallery {
    /// Takes one feature of a person out, `index` from 0 in the order of enrolment, in whatever template space. The others keep their
    /// order; without any the person is gone. Returns how many are left. The bytes leave the disk as after
    /// [`Gallery::remove_target`].
    ///
    /// # Errors
    /// As [`Gallery::remove_target`]; [`GalleryError::NoSuchFeature`].
    pub fn remove_feature(
        &self,
        name: &str,
        target: &str,
        index: usize,
    ) -> Result<usize, GalleryError> {
        let collection = self.get(name)?;
        let target = target.to_owned();
        let outcome = collection.change(Change::RemoveFeature { target, index })?;
        collection.erase_after_removal();
        match outcome {
            Outcome::FeatureRemoved { left } => Ok(left),
            _ => Ok(0),
        }
    }

    /// Gives a person another name, as one atomic change, in whatever template space. With `merge` it may be somebody's, who then gets
    /// the features behind the own ones, at most as many as the limit in all. The bytes of the old name leave the disk as after
    /// [`Gallery::remove_target`].
    ///
    /// # Errors
    /// As [`Gallery::remove_target`]; [`GalleryError::TargetExists`] without `merge`, [`GalleryError::TooManyFeatures`] with it.
    pub fn rename(
        &self,
        name: &str,
        from: &str,
        to: &str,
        merge: bool,
    ) -> Result<Renamed, GalleryError> {
        self.rename_at(name, None, from, to, merge)
    }

    /// Makes two people of one name in two Unicode forms one, as [`Gallery::rename`] does with `merge`. The collection keeps the time
    /// of its last change: nobody asked for this one.
    ///
    /// # Errors
    /// As [`Gallery::rename`].
    pub fn unite(&self, name: &str, from: &str, to: &str) -> Result<Renamed, GalleryError> {
        let updated = self.get(name)?.read().updated;
        self.rename_at(name, Some(updated), from, to, true)
    }

    fn rename_at(
        &self,
        name: &str,
        at: Option<u64>,
        from: &str,
        to: &str,
        merge: bool,
    ) -> Result<Renamed, GalleryError> {
        let collection = self.get(name)?;
        let change = Change::Rename {
            at,
            from: from.to_owned(),
            to: to.to_owned(),
            merge,
            limit: self.options.max_features_per_target,
        };
        let outcome = collection.change(change)?;
        collection.erase_after_removal();
        match outcome {
            Outcome::Renamed(renamed) => Ok(renamed),
            _ => Ok(Renamed::default()),
        }
    }

    /// The name under which whoever is asked for as `target` is stored: these very bytes, or else another Unicode form of them.
    ///
    /// # Errors
    /// [`GalleryError::UnknownCollection`].
    pub fn stored_as(&self, name: &str, target: &str) -> Result<Option<String>, GalleryError> {
        Ok(self.get(name)?.read().people.stored_as(target))
    }

    /// People of a collection whose names are Unicode forms of one name, by name; the composed form first. Galleries of earlier
    /// releases have them.
    ///
    /// # Errors
    /// [`GalleryError::UnknownCollection`].
    pub fn same_names(&self, name: &str) -> Result<Vec<Vec<String>>, GalleryError> {
        Ok(self.get(name)?.read().people.same_names())
    }
}

/// `target` without its feature `index`.
pub(super) fn plan_removal(
    at: u64,
    target: String,
    mut features: Vec<RowBits>,
    index: usize,
) -> Result<Operation, GalleryError> {
    if index >= features.len() {
        let features = features.len();
        return Err(GalleryError::NoSuchFeature { index, features });
    }
    features.remove(index);
    Ok(match features.is_empty() {
        true => Operation::Remove { at, target },
        false => Operation::Replace {
            at,
            features: of_target(&target, features),
        },
    })
}

/// `from`, which is stored, as `to`. Into an existing person only with a `limit`. No operation if the name stays.
///
/// # Errors
/// The inner one is about the people.
pub(super) fn plan_rename(
    people: &Ahead,
    at: u64,
    from: String,
    to: &str,
    limit: Option<usize>,
) -> Result<Result<(Option<Operation>, Renamed), GalleryError>, Damaged> {
    let there = people.stored_as(to).filter(|there| *there != from);
    let target = match &there {
        Some(there) => there.clone(),
        None => normalized(to).into_owned(),
    };
    let old = match &there {
        Some(there) => people.features(there)?,
        None => Vec::new(),
    };
    let new = people.features(&from)?;
    let renamed = Renamed {
        features: old.len() + new.len(),
        merged: there.is_some(),
        target: target.clone(),
    };
    if target == from {
        return Ok(Ok((None, renamed)));
    }
    match limit {
        None if renamed.merged => {
            let features = old.len();
            return Ok(Err(GalleryError::TargetExists { features }));
        }
        Some(limit) if renamed.merged && renamed.features > limit => {
            return Ok(Err(GalleryError::TooManyFeatures {
                from: new.len(),
                to: old.len(),
                limit,
            }));
        }
        _ => {}
    }
    let features = of_target(&target, old.into_iter().chain(new));
    let operation = Operation::Rename { at, from, features };
    Ok(Ok((Some(operation), renamed)))
}

fn of_target(target: &str, rows: impl IntoIterator<Item = RowBits>) -> Vec<Feature> {
    let feature = |bits| Feature {
        target: target.to_owned(),
        bits,
    };
    rows.into_iter().map(feature).collect()
}
