//! Adding and replacing faces.

use std::sync::Arc;

use super::doubts::{Asked, Doubts, Intent, Recognised};
use super::{
    Code, EncodedPicture, Engine, Error, check_collection_name, check_target_id, new_target_id,
};
use crate::gallery::{IDENTICAL_COSINE, InsertReport, Template, normalized};
use crate::inference::Place;
use crate::recognition::{Checks, Gate, Purpose, Recognizer};

/// One picture of a batch and whose it is.
#[derive(Clone, Debug)]
pub struct Item {
    pub target: String,
    pub picture: EncodedPicture,
}

/// Why a picture was not enrolled.
#[derive(Clone, Debug)]
pub enum Rejection {
    InvalidImage(String),
    NoFace(String),
    /// The face is below a limit of quality.
    LowQuality(String),
    /// The face is not live, or that could not be judged.
    PresentationAttack(String),
    /// Whether the face is live cannot be told, so near is it.
    TooNear(String),
    /// Somebody who cannot be read stands before the face that could be.
    Unreadable(String),
    /// The face is enrolled under another name, and that is refused.
    Duplicate(String),
    /// Not the picture's fault.
    Fault(String),
}

impl Rejection {
    /// The error of a request with this picture in `field`.
    pub(super) fn about(self, field: &str) -> Error {
        match self {
            // Not the picture's fault.
            fault @ Rejection::Fault(_) => fault.into(),
            rejection => Error::from(rejection).about(field),
        }
    }

    /// The reason in a sentence.
    pub fn reason(&self) -> &str {
        match self {
            Rejection::InvalidImage(reason)
            | Rejection::NoFace(reason)
            | Rejection::LowQuality(reason)
            | Rejection::PresentationAttack(reason)
            | Rejection::TooNear(reason)
            | Rejection::Unreadable(reason)
            | Rejection::Duplicate(reason)
            | Rejection::Fault(reason) => reason,
        }
    }
}

impl From<Rejection> for Error {
    fn from(rejection: Rejection) -> Error {
        match rejection {
            Rejection::InvalidImage(reason) => Error::new(Code::InvalidImage).with(reason),
            Rejection::NoFace(reason) => Error::new(Code::NoFace).with(reason),
            Rejection::LowQuality(reason)
            | Rejection::TooNear(reason)
            | Rejection::Unreadable(reason) => Error::new(Code::LowQuality).with(reason),
            Rejection::PresentationAttack(reason) => {
                Error::new(Code::PresentationAttack).with(reason)
            }
            Rejection::Duplicate(reason) => Error::new(Code::AlreadyEnrolled).with(reason),
            Rejection::Fault(reason) => {
                tracing::error!("recognition: {reason}");
                Error::new(Code::Internal).with(reason)
            }
        }
    }
}

/// What became of a batch.
#[derive(Clone, Debug, Default)]
pub struct EnrolmentReport {
    /// Features stored, durably.
    pub stored: usize,
    /// Index in the batch, target and reason of every picture that gave no template.
    pub rejected: Vec<(usize, String, Rejection)>,
    /// Index in the batch and target of every picture whose face its target has already, where such are not stored again.
    pub already: Option<Vec<(usize, String)>>,
    /// Targets that would have passed the limit of features.
    pub quota_exceeded: Vec<String>,
    /// Updates only: targets that the collection does not have.
    pub unknown_targets: Vec<String>,
    /// Index and number of faces of every picture that showed more than one.
    pub several_faces: Vec<(usize, usize)>,
    /// What is doubtful about the batch, where that is wanted.
    pub doubts: Doubts,
}

impl EnrolmentReport {
    /// Pictures whose faces their targets have now: stored by this batch, or there already.
    pub fn successes(&self) -> usize {
        self.stored + self.already.as_ref().map_or(0, Vec::len)
    }

    /// Why nothing of the batch was stored, if that is a failure: the pictures first, because they
    /// are what the client can mend.
    pub fn failure(&self) -> Option<Code> {
        if self.successes() > 0 {
            return None;
        }
        let any = |kind: fn(&Rejection) -> bool| self.rejected.iter().any(|(.., r)| kind(r));
        if any(|r| matches!(r, Rejection::Fault(_))) {
            Some(Code::Internal)
        } else if any(|r| matches!(r, Rejection::NoFace(_))) {
            Some(Code::NoFace)
        } else if any(|r| matches!(r, Rejection::LowQuality(_))) {
            Some(Code::LowQuality)
        } else if any(|r| matches!(r, Rejection::Duplicate(_))) {
            Some(Code::AlreadyEnrolled)
        } else if !self.quota_exceeded.is_empty() {
            Some(Code::TargetQuota)
        } else if !self.rejected.is_empty() {
            Some(Code::InvalidImage)
        } else {
            None
        }
    }
}

impl Engine {
    /// Adds faces. Items are taken in order; what is stored is one atomic commit, durable on return.
    ///
    /// # Errors
    /// 1003, 1006, 1011, 1012, 1014, 1001. Pictures that were refused are no error but in the report.
    pub async fn insert(
        &self,
        collection: String,
        mut items: Vec<Item>,
        asked: Asked,
    ) -> Result<EnrolmentReport, Error> {
        self.check_batch(&collection, &mut items, Intent::Add)?;
        let items = items.into_iter().enumerate().collect();
        // Kept until all is stored: so the search for duplicates is bounded as recognition is.
        let place = Arc::new(self.enter()?);
        let (mut report, batch) = self.recognize_batch(&place, items).await;
        self.store(&place, collection, batch, &mut report, Intent::Add, asked)
            .await?;
        Ok(report)
    }

    /// Replaces the faces of targets. A target none of whose pictures is usable keeps its old ones,
    /// and so does one of whose pictures a fault of the daemon kept from being looked at.
    ///
    /// # Errors
    /// As [`Engine::insert`].
    pub async fn update(
        &self,
        collection: String,
        mut items: Vec<Item>,
        asked: Asked,
    ) -> Result<EnrolmentReport, Error> {
        self.check_batch(&collection, &mut items, Intent::Replace)?;
        // Pictures of unknown targets are not worth a network's time.
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for (index, item) in items.into_iter().enumerate() {
            if self.gallery.contains_target(&collection, &item.target)? {
                known.push((index, item));
            } else if !unknown.contains(&item.target) {
                unknown.push(item.target);
            }
        }
        let place = Arc::new(self.enter()?);
        let (mut report, mut batch) = self.recognize_batch(&place, known).await;
        let faulty = |target: &str| {
            let mut rejected = report.rejected.iter();
            rejected.any(|(_, of, why)| of == target && matches!(why, Rejection::Fault(_)))
        };
        batch.retain(|one| !faulty(&one.target));
        report.unknown_targets = unknown;
        self.store(
            &place,
            collection,
            batch,
            &mut report,
            Intent::Replace,
            asked,
        )
        .await?;
        Ok(report)
    }

    /// Looks for what is doubtful about a batch and stores the rest of it.
    async fn store(
        &self,
        place: &Arc<Place<Recognizer>>,
        collection: String,
        mut batch: Vec<Recognised>,
        report: &mut EnrolmentReport,
        intent: Intent,
        asked: Asked,
    ) -> Result<(), Error> {
        let turn = self.turn(&collection).await;
        let skip = intent == Intent::Add && self.doubts.skips_identical(asked);
        let mut already = Vec::new();
        if skip {
            // First: what is not stored again is nobody's duplicate.
            let stored = self.stored(place, &collection, &batch, intent).await?;
            batch.retain(|one| {
                let its = stored.get(&one.target).into_iter().flatten();
                let is_there = is_identical(its, &one.template);
                if is_there {
                    already.push((one.index, one.target.clone()));
                }
                !is_there
            });
        }
        let rejected = &mut report.rejected;
        report.doubts = self
            .doubt(place, &collection, &mut batch, rejected, intent, asked)
            .await?;
        // Only now: a picture without a face takes nobody's place.
        let promise = match intent {
            Intent::Add => {
                let targets = batch.iter().map(|one| one.target.as_str());
                Some(self.promise_people(&collection, targets)?)
            }
            Intent::Replace => None,
        };
        let name = collection.clone();
        let labels: Vec<(usize, String)> = (batch.iter())
            .map(|one| (one.index, one.target.clone()))
            .collect();
        let stored = self
            .with_gallery_at(place, move |gallery| {
                let _held = (promise, turn);
                let items = to_store(batch);
                match intent {
                    Intent::Add if skip => gallery.insert_new(&collection, items),
                    Intent::Add => gallery.insert(&collection, items),
                    Intent::Replace => {
                        return (gallery.update(&collection, items)).map(|report| (report, vec![]));
                    }
                }
                .map(|mut report: InsertReport| {
                    let already = std::mem::take(&mut report.already);
                    (report.into(), already)
                })
            })
            .await?;
        self.look_after_door(&name);
        let (stored, more) = stored;
        if skip {
            // Earlier in the batch, or stored meanwhile by another request.
            already.extend(more.into_iter().map(|place| labels[place].clone()));
            already.sort();
            report.already = Some(already);
        }
        report.stored = stored.stored;
        report.quota_exceeded = stored.quota_exceeded;
        // Targets that were deleted while their pictures were recognised.
        report.unknown_targets.extend(stored.unknown_targets);
        Ok(())
    }

    /// Checks a batch, and gives its targets the names under which they are stored or will be.
    fn check_batch(
        &self,
        collection: &str,
        items: &mut [Item],
        intent: Intent,
    ) -> Result<(), Error> {
        check_collection_name(collection)?;
        let wrong = |detail: String| Err(Error::new(Code::InvalidParameter).with(detail));
        if items.is_empty() {
            return wrong("face_image: at least one picture is expected".into());
        }
        if items.len() > self.max_batch {
            return wrong(format!(
                "face_image: {} pictures, at most {} a batch are allowed",
                items.len(),
                self.max_batch
            ));
        }
        for (index, item) in items.iter().enumerate() {
            let field = format!("target_id[{index}]");
            match intent {
                Intent::Add => new_target_id(&field, &item.target).map(drop)?,
                Intent::Replace => check_target_id(&field, &item.target)?,
            }
        }
        if let Some(objection) = self.appraiser.objection(items, self.max_batch) {
            return wrong(objection);
        }
        self.gallery.status(collection)?;
        for item in items {
            item.target = match self.gallery.stored_as(collection, &item.target)? {
                Some(stored) => stored,
                None => normalized(&item.target).into_owned(),
            };
        }
        Ok(())
    }

    /// Recognises pictures, each with its index in the batch; refusals go to the report.
    async fn recognize_batch(
        &self,
        place: &Place<Recognizer>,
        items: Vec<(usize, Item)>,
    ) -> (EnrolmentReport, Vec<Recognised>) {
        let mut report = EnrolmentReport::default();
        let (labels, pictures): (Vec<_>, Vec<_>) = items
            .into_iter()
            .map(|(index, item)| ((index, item.target), item.picture))
            .unzip();
        let checks = Checks {
            gate: Gate::Enrolment,
            ..Checks::default()
        };
        let results = self
            .recognize(place, pictures, Purpose::Enrolment, checks)
            .await;
        let mut recognised = Vec::new();
        for ((index, target), result) in labels.into_iter().zip(results) {
            match result {
                Ok(recognition) => {
                    if recognition.faces > 1 {
                        report.several_faces.push((index, recognition.faces));
                    }
                    recognised.push(Recognised {
                        index,
                        target,
                        template: recognition.template,
                    });
                }
                Err(rejection) => report.rejected.push((index, target, rejection)),
            }
        }
        (report, recognised)
    }
}

/// Whether `template` is of the very picture that one of `its` is of.
fn is_identical<'a>(mut its: impl Iterator<Item = &'a Template>, template: &Template) -> bool {
    its.any(|other| other.cosine(template) > IDENTICAL_COSINE)
}

fn to_store(batch: Vec<Recognised>) -> Vec<(String, Template)> {
    let items = batch.into_iter().map(|one| (one.target, one.template));
    items.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rejected: &[Rejection], quota: bool, stored: usize) -> EnrolmentReport {
        EnrolmentReport {
            stored,
            rejected: (rejected.iter().cloned())
                .map(|r| (0, "a".to_owned(), r))
                .collect(),
            quota_exceeded: if quota { vec!["a".into()] } else { vec![] },
            ..EnrolmentReport::default()
        }
    }

    #[test]
    fn the_code_of_a_batch_that_stored_nothing() {
        let image = Rejection::InvalidImage(String::new());
        let face = Rejection::NoFace(String::new());
        let code = |r: &[Rejection], quota, stored| report(r, quota, stored).failure();
        assert_eq!(code(std::slice::from_ref(&image), false, 1), None);
        assert_eq!(
            code(std::slice::from_ref(&image), false, 0),
            Some(Code::InvalidImage)
        );
        assert_eq!(
            code(&[image.clone(), face.clone()], false, 0),
            Some(Code::NoFace)
        );
        assert_eq!(code(&[], true, 0), Some(Code::TargetQuota));
        // A picture was decoded (its target is full), so not "none could be decoded".
        assert_eq!(
            code(std::slice::from_ref(&image), true, 0),
            Some(Code::TargetQuota)
        );
        let blurred = Rejection::LowQuality(String::new());
        assert_eq!(
            code(&[image.clone(), blurred.clone()], true, 0),
            Some(Code::LowQuality)
        );
        assert_eq!(
            code(&[blurred.clone(), face.clone()], false, 0),
            Some(Code::NoFace)
        );
        let twice = Rejection::Duplicate(String::new());
        assert_eq!(
            code(&[twice.clone(), blurred.clone()], true, 0),
            Some(Code::LowQuality)
        );
        assert_eq!(code(&[twice, image], true, 0), Some(Code::AlreadyEnrolled));
        assert_eq!(code(&[blurred], false, 1), None);
        assert_eq!(code(&[face], true, 0), Some(Code::NoFace));
        assert_eq!(code(&[], false, 0), None);
    }

    #[test]
    fn a_batch_of_what_is_there_already_is_a_success() {
        let already = |places: &[usize]| {
            let labels = places.iter().map(|place| (*place, "a".to_owned()));
            Some(labels.collect())
        };
        let mut report = report(&[Rejection::NoFace(String::new())], true, 0);
        report.already = already(&[]);
        assert_eq!(report.failure(), Some(Code::NoFace));
        report.already = already(&[1, 2]);
        assert_eq!((report.failure(), report.successes()), (None, 2));
    }
}
