//! Changing one person: taking them or one face out, giving another name.

use super::{
    Code, Engine, Error, check_collection_name, check_target_id, new_target_id, same_names,
};
use crate::gallery::{GalleryError, Renamed};

impl Engine {
    /// Removes a person and every face of theirs. Where another Unicode form of the name is stored with the same face, that is removed,
    /// too: otherwise the person would still be found. Returns what there is to say about other forms.
    ///
    /// # Errors
    /// 1003, 1006, 1011, 1013, 1001.
    pub async fn remove_target(
        &self,
        collection: String,
        target: String,
    ) -> Result<Option<String>, Error> {
        let target = self.known(&collection, "target_id", &target)?;
        let alike = self.alike(&collection);
        let name = collection.clone();
        let remark = self
            .with_gallery(move |gallery| same_names::remove(gallery, &collection, &target, alike))
            .await?;
        self.look_after_door(&name);
        Ok(remark)
    }

    /// Removes one face of a person, `index` from 0 in the order of enrolment, and returns how many are left. Without any the person is
    /// gone.
    ///
    /// # Errors
    /// 1003, 1006, 1011, 1013, 1001.
    pub async fn remove_face(
        &self,
        collection: String,
        target: String,
        index: usize,
    ) -> Result<usize, Error> {
        let target = self.known(&collection, "target_id", &target)?;
        let name = collection.clone();
        let removed = self
            .with_gallery(move |gallery| gallery.remove_feature(&collection, &target, index))
            .await;
        self.look_after_door(&name);
        removed.map_err(|error| match error {
            GalleryError::NoSuchFeature { features, .. } => {
                let faces = counted(features);
                Error::new(Code::InvalidParameter).with(format!(
                    "index: there is no face {index}, this person has {faces}, counted from 0"
                ))
            }
            error => error.into(),
        })
    }

    /// Gives a person another name; with `merge` it may be somebody's, and both become one person.
    ///
    /// # Errors
    /// 1003, 1006, 1013, 1001; 1011 also if the new name is somebody's and `merge` was not asked for; 1007 if they have too many faces
    /// for one.
    pub async fn rename(
        &self,
        collection: String,
        target: String,
        new_target: String,
        merge: bool,
    ) -> Result<Renamed, Error> {
        let target = self.known(&collection, "target_id", &target)?;
        let new_target = new_target_id("new_target_id", &new_target)?;
        let name = collection.clone();
        let renamed = self
            .with_gallery(move |gallery| gallery.rename(&collection, &target, &new_target, merge))
            .await;
        self.look_after_door(&name);
        renamed.map_err(|error| match error {
            GalleryError::TargetExists { features } => {
                let faces = counted(features);
                Error::new(Code::InvalidParameter).with(format!(
                    "new_target_id: somebody has this name already, with {faces}; \"merge\": true makes both one person"
                ))
            }
            GalleryError::TooManyFeatures { from, to, limit } => {
                Error::new(Code::TargetQuota).with(format!(
                    "new_target_id: together they would have {} faces ({from} and {to}), at most {limit} are allowed; \
                     /delete/face takes single ones out",
                    from + to
                ))
            }
            error => error.into(),
        })
    }

    /// The name under which the person is stored whom a request names: by these very bytes, or in another Unicode form.
    ///
    /// # Errors
    /// 1003, 1006, 1011, 1013.
    pub(super) fn known(
        &self,
        collection: &str,
        field: &str,
        target: &str,
    ) -> Result<String, Error> {
        check_collection_name(collection)?;
        check_target_id(field, target)?;
        if let Some(stored) = self.gallery.stored_as(collection, target)? {
            return Ok(stored);
        }
        let error = Error::from(GalleryError::UnknownTarget {
            collection: collection.to_owned(),
            target: target.to_owned(),
        });
        // Of a name that nobody new can have it helps to know why.
        Err(match new_target_id(field, target) {
            Ok(_) => error,
            Err(fault) => {
                let said = [error.detail.clone(), fault.detail];
                let said: Vec<String> = said.into_iter().flatten().collect();
                error.with(said.join("; "))
            }
        })
    }

    /// Whether two faces with this cosine would be told as one person's.
    fn alike(&self, collection: &str) -> impl Fn(f32) -> bool + Send + 'static {
        // Without a table of impostors by the calibrated score.
        let limit = self.duplicate_cosine(collection, 0).ok();
        let (curve, least) = (self.embedding.score, self.doubts.disagreement_score);
        move |cosine| match &limit {
            Some((limit, _)) => cosine >= *limit,
            None => curve.score(cosine) >= least,
        }
    }
}

fn counted(faces: usize) -> String {
    match faces {
        1 => "1 face".to_owned(),
        faces => format!("{faces} faces"),
    }
}
