//! What makes an enrolment doubtful: a face that is enrolled under another name already, and a face unlike the person's others.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::decision::Undecidable;
use super::doubt_rules::DuplicateRule;
use super::people::best_other;
use super::room::Room;
use super::turns::Turn;
use super::{Code, Engine, Error, Rejection};
use crate::gallery::{Gallery, GalleryError, Hit, Template};
use crate::inference::Place;
use crate::recognition::Recognizer;

/// People that one picture is reported to look like, at most.
const MAX_OTHERS: usize = 5;

/// What a request asks for beside what it is for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    /// To be told which faces are enrolled under another name.
    pub duplicates: bool,
    /// To be told which faces are unlike the person's others.
    pub disagreements: bool,
    /// Not to store a face that its person has already. Not of an update.
    pub skip_identical: bool,
}

/// A picture that shows somebody who is there under another name.
#[derive(Clone, Debug, PartialEq)]
pub struct Duplicate {
    /// Index in the batch.
    pub index: usize,
    pub target: String,
    /// The other name.
    pub other: String,
    /// Calibrated confidence that both are one person, 0..1.
    pub score: f64,
}

/// A picture unlike the other faces of its person.
#[derive(Clone, Debug, PartialEq)]
pub struct Disagreement {
    /// Index in the batch.
    pub index: usize,
    pub target: String,
    /// Score of the person's other face most like it, 0..1.
    pub score: f64,
}

/// What was found doubtful; `None` where nobody wanted to know.
#[derive(Clone, Debug, Default)]
pub struct Doubts {
    pub duplicates: Option<Vec<Duplicate>>,
    pub disagreements: Option<Vec<Disagreement>>,
    /// What there is to say about the check itself.
    pub remark: Option<String>,
}

/// A picture of a batch that became a template.
#[derive(Clone, Debug)]
pub(super) struct Recognised {
    pub index: usize,
    pub target: String,
    pub template: Template,
}

/// What the batch does with the faces that its people have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intent {
    Add,
    Replace,
}

impl Engine {
    /// To be held from before the check until the batch is stored.
    pub(super) async fn turn(&self, collection: &str) -> Option<Turn> {
        match self.doubts.duplicates {
            DuplicateRule::Refuse => Some(self.turns.of(collection).await),
            DuplicateRule::Asked | DuplicateRule::Report => None,
        }
    }

    /// Whether an insert leaves out faces that their people have already.
    pub fn skips_identical(&self, asked: Asked) -> bool {
        self.doubts.skips_identical(asked)
    }

    /// What a request is told that came to nothing before anything could be doubtful.
    pub fn nothing_doubtful(&self, asked: Asked) -> Doubts {
        Doubts {
            duplicates: self.doubts.looks_for_duplicates(asked).then(Vec::new),
            disagreements: self.doubts.looks_for_disagreements(asked).then(Vec::new),
            remark: None,
        }
    }

    /// Looks for what is doubtful about `batch`. Refused duplicates leave it for `rejected`.
    ///
    /// # Errors
    /// 1006, 1001; 1011 if duplicates were asked for and the embedding model has no table to decide by.
    pub(super) async fn doubt(
        &self,
        place: &Arc<Place<Recognizer>>,
        collection: &str,
        batch: &mut Vec<Recognised>,
        rejected: &mut Vec<(usize, String, Rejection)>,
        intent: Intent,
        asked: Asked,
    ) -> Result<Doubts, Error> {
        let mut doubts = self.nothing_doubtful(asked);
        if doubts.duplicates.is_none() && doubts.disagreements.is_none() {
            return Ok(doubts);
        }
        let stored = self.stored(place, collection, batch, intent).await?;
        if doubts.duplicates.is_some() {
            let (limit, remark) = self.duplicate_cosine(collection, batch.len())?;
            let room = Room::of(batch, &stored, intent);
            // More pictures than fit replace nothing, however many of them are refused.
            let overfull = room.overfull.clone();
            let found = self
                .duplicates(place, collection, batch, intent, room, limit)
                .await?;
            if self.doubts.duplicates == DuplicateRule::Refuse {
                refuse(&found, batch, rejected, &overfull);
            }
            doubts.remark = remark.filter(|_| !found.is_empty());
            doubts.duplicates = Some(found);
        }
        if doubts.disagreements.is_some() {
            let found = disagreements(batch, stored)
                .map(|(one, cosine)| Disagreement {
                    index: one.index,
                    target: one.target.clone(),
                    score: self.embedding.score.score(cosine),
                })
                .filter(|found| found.score < self.doubts.disagreement_score);
            doubts.disagreements = Some(found.collect());
        }
        Ok(doubts)
    }

    /// The cosine from which a face is one that is there, and a sentence where that is less sure than configured.
    ///
    /// The model's table is of enrolled and searched pictures. Of two enrolled ones its cosines are the same within 0.008 (lfw-dev,
    /// `recocomp bench calibrate --all-impostors --like compare`), which is less than their intervals of confidence.
    pub(super) fn duplicate_cosine(
        &self,
        collection: &str,
        coming: usize,
    ) -> Result<(f32, Option<String>), Error> {
        let impostors = self.impostors.as_ref().ok_or_else(|| {
            Error::new(Code::InvalidParameter).with(
                "duplicates: the embedding model has no impostor_cosine in models.toml to decide by",
            )
        })?;
        // At least one, where there is nothing to compare with.
        let faces = (self.gallery.status(collection)?.feature_num + coming).max(1);
        let target = self.doubts.duplicate_fpir;
        match impostors.threshold(target, faces) {
            Ok(threshold) => Ok((threshold.cosine, None)),
            Err(Undecidable::Nobody) => Ok((1.0, None)),
            Err(Undecidable::BeyondTable { .. }) => {
                let strictest = impostors.strictest();
                let share = -(faces as f64 * (-strictest.rate).ln_1p()).exp_m1();
                let remark = format!(
                    "duplicates: among {faces} faces about {:.0} % of new people are taken for somebody else, \
                     duplicate_fpir = {target} is beyond the table of the embedding model",
                    100.0 * share
                );
                Ok((strictest.cosine, Some(remark)))
            }
        }
    }

    async fn duplicates(
        &self,
        place: &Arc<Place<Recognizer>>,
        collection: &str,
        batch: &[Recognised],
        intent: Intent,
        mut room: Room,
        limit: f32,
    ) -> Result<Vec<Duplicate>, Error> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let refusing = self.doubts.duplicates == DuplicateRule::Refuse;
        // Of people who get all new faces the old ones do not count. Where duplicates are refused, a person may be left without
        // a new face and keep the old ones: there everybody's count but one's own.
        let leaving: HashSet<String> = match (intent, refusing) {
            (Intent::Add, _) | (Intent::Replace, true) => HashSet::new(),
            (Intent::Replace, false) => (batch.iter().map(|one| &one.target))
                .filter(|target| !room.overfull.contains(*target))
                .cloned()
                .collect(),
        };
        // One more for the picture's own person.
        let top_k = MAX_OTHERS + leaving.len() + 1;
        let probes: Vec<Template> = batch.iter().map(|one| one.template.clone()).collect();
        let name = collection.to_owned();
        let hits = self
            .with_gallery_at(place, move |gallery| {
                gallery.search_all(&name, &probes.iter().collect::<Vec<_>>(), top_k)
            })
            .await?;
        let mut kept: Vec<&Recognised> = Vec::new();
        let mut found = Vec::new();
        for (one, hits) in batch.iter().zip(hits) {
            let others = others_of(one, &hits, &kept, &leaving, limit);
            // Of what is not stored, refused or too much, nobody is a duplicate.
            if (others.is_empty() || !refusing) && room.take(&one.target) {
                kept.push(one);
            }
            found.extend(others.into_iter().map(|(other, cosine)| Duplicate {
                index: one.index,
                target: one.target.clone(),
                other,
                score: self.embedding.score.score(cosine),
            }));
        }
        Ok(found)
    }

    /// The templates that each person of `batch` keeps beside the new ones.
    pub(super) async fn stored(
        &self,
        place: &Arc<Place<Recognizer>>,
        collection: &str,
        batch: &[Recognised],
        intent: Intent,
    ) -> Result<HashMap<String, Vec<Template>>, GalleryError> {
        if intent == Intent::Replace {
            return Ok(HashMap::new());
        }
        let targets: HashSet<String> = batch.iter().map(|one| one.target.clone()).collect();
        let collection = collection.to_owned();
        let one = move |gallery: &Gallery, target: String| match gallery
            .templates_of(&collection, &target)
        {
            Err(GalleryError::UnknownTarget { .. }) => Ok((target, Vec::new())),
            templates => templates.map(|templates| (target, templates)),
        };
        self.with_gallery_at(place, move |gallery| {
            (targets.into_iter())
                .map(|target| one(gallery, target))
                .collect()
        })
        .await
    }
}

/// Who else `one` is: people of the gallery and of the pictures before it, each once by the best face, best first.
fn others_of(
    one: &Recognised,
    hits: &[Hit],
    before: &[&Recognised],
    leaving: &HashSet<String>,
    limit: f32,
) -> Vec<(String, f32)> {
    let stored = (hits.iter())
        .filter(|hit| !leaving.contains(&hit.target))
        .map(|hit| (&hit.target, hit.cosine));
    let coming = (before.iter()).map(|other| (&other.target, one.template.cosine(&other.template)));
    let mut best: HashMap<String, f32> = HashMap::new();
    for (target, cosine) in stored.chain(coming) {
        if *target != one.target && cosine >= limit {
            let known = best.entry(target.clone()).or_insert(cosine);
            *known = known.max(cosine);
        }
    }
    let mut others: Vec<(String, f32)> = best.into_iter().collect();
    others.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    others.truncate(MAX_OTHERS);
    others
}

/// Takes the pictures of `found` out of `batch`, except those of people who are given too many anyway.
fn refuse(
    found: &[Duplicate],
    batch: &mut Vec<Recognised>,
    rejected: &mut Vec<(usize, String, Rejection)>,
    overfull: &HashSet<String>,
) {
    // The first row of a picture is the one most alike.
    let mut reasons: HashMap<usize, String> = HashMap::new();
    let refused = found.iter().filter(|row| !overfull.contains(&row.target));
    for duplicate in refused {
        reasons.entry(duplicate.index).or_insert_with(|| {
            format!(
                "this face is enrolled already, as \"{}\" (score {:.4})",
                duplicate.other, duplicate.score
            )
        });
    }
    batch.retain(|one| match reasons.remove(&one.index) {
        Some(reason) => {
            rejected.push((one.index, one.target.clone(), Rejection::Duplicate(reason)));
            false
        }
        None => true,
    });
    rejected.sort_by_key(|(index, ..)| *index);
}

/// For each picture whose person has other faces, `stored` or in the batch, the cosine of the one most like it.
fn disagreements(
    batch: &[Recognised],
    mut stored: HashMap<String, Vec<Template>>,
) -> impl Iterator<Item = (&Recognised, f32)> {
    let mut places = Vec::with_capacity(batch.len());
    for one in batch {
        let all = stored.entry(one.target.clone()).or_default();
        places.push(all.len());
        all.push(one.template.clone());
    }
    (batch.iter().zip(places)).filter_map(move |(one, place)| {
        let all = stored.get(&one.target)?;
        Some((one, best_other(all, place)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A template whose cosine to the one of angle 0 is that of the angle.
    fn at(degrees: f32) -> Template {
        let mut vector = [0.0; 192];
        (vector[0], vector[1]) = (degrees.to_radians().cos(), degrees.to_radians().sin());
        Template::new(&vector).unwrap()
    }

    fn one(index: usize, target: &str, degrees: f32) -> Recognised {
        Recognised {
            index,
            target: target.into(),
            template: at(degrees),
        }
    }

    fn hit(target: &str, cosine: f32) -> Hit {
        Hit {
            target: target.into(),
            cosine,
        }
    }

    #[test]
    fn others_come_best_first_each_once_and_never_oneself() {
        let (ada, before) = (one(2, "ada", 0.0), one(0, "bob", 10.0));
        let hits = vec![
            hit("ada", 1.0),
            hit("eve", 0.9),
            hit("bob", 0.8),
            hit("zoe", 0.5),
        ];
        let others = others_of(&ada, &hits, &[&before], &HashSet::new(), 0.6);
        let names: Vec<&str> = others.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["bob", "eve"]);
        assert!(others[0].1 > 0.98);
        // Bob gets new faces: the old one of 0.8 does not count.
        let leaving = HashSet::from(["bob".to_owned()]);
        let others = others_of(&ada, &hits, &[], &leaving, 0.6);
        assert_eq!(others, [("eve".to_owned(), 0.9)]);
    }

    #[test]
    fn refused_pictures_leave_the_batch_with_the_best_reason() {
        let mut batch = vec![one(0, "ada", 0.0), one(2, "bob", 5.0), one(3, "eve", 90.0)];
        let duplicate = |index, other: &str, score| Duplicate {
            index,
            target: "bob".into(),
            other: other.into(),
            score,
        };
        let mut rejected = vec![(5, "x".to_owned(), Rejection::NoFace(String::new()))];
        let found = [duplicate(2, "ada", 0.999), duplicate(2, "zoe", 0.9)];
        refuse(&found, &mut batch, &mut rejected, &HashSet::new());
        let left: Vec<usize> = batch.iter().map(|one| one.index).collect();
        assert_eq!(left, [0, 3]);
        assert_eq!((rejected[0].0, rejected[1].0), (2, 5));
        assert!(rejected[0].2.reason().contains("\"ada\" (score 0.9990)"));
    }

    #[test]
    fn pictures_of_who_is_given_too_many_are_not_refused() {
        let mut batch = vec![one(0, "bob", 0.0)];
        let found = [Duplicate {
            index: 0,
            target: "bob".into(),
            other: "ada".into(),
            score: 0.9,
        }];
        let mut rejected = Vec::new();
        let overfull = HashSet::from(["bob".to_owned()]);
        refuse(&found, &mut batch, &mut rejected, &overfull);
        assert!(batch.len() == 1 && rejected.is_empty());
    }

    #[test]
    fn a_face_is_compared_with_the_persons_others_and_not_with_itself() {
        let batch = [
            one(0, "ada", 0.0),
            one(1, "bob", 0.0),
            one(2, "ada", 80.0),
            one(3, "ada", 20.0),
        ];
        let stored = HashMap::from([("ada".to_owned(), vec![at(90.0)])]);
        let found: Vec<(usize, f32)> = disagreements(&batch, stored)
            .map(|(one, cosine)| (one.index, cosine))
            .collect();
        let near = |a: f32, degrees: f32| (a - degrees.to_radians().cos()).abs() < 1e-3;
        // Bob has no other.
        assert_eq!(found.iter().map(|(i, _)| *i).collect::<Vec<_>>(), [0, 2, 3]);
        assert!(near(found[0].1, 20.0) && near(found[1].1, 10.0) && near(found[2].1, 20.0));
    }
}
