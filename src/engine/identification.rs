//! Who is this (1:N), and are these two one person (1:1).

use super::{Code, EncodedPicture, Engine, Error, Rejection, check_collection_name};
use crate::gallery::Hit;
use crate::recognition::{
    Checks, Gate, Liveness, LivenessDemand, Nearness, Purpose, Recognition, Rect, Trace,
};

/// The field of a request's only picture.
pub(super) const PICTURE: &str = "face_image";

/// Rows an identification gives at most.
pub(super) const MAX_TOP_K: u64 = 100;

/// One person of the collection.
#[derive(Clone, Debug)]
pub struct Match {
    pub target: String,
    /// Calibrated confidence that it is the person of the picture, 0..1.
    pub score: f64,
    /// Cosine of its template and the picture's, -1..1: what a door decides by.
    pub cosine: f32,
}

/// Answer of a search.
#[derive(Clone, Debug)]
pub struct Identification {
    /// Best first, one row a person.
    pub matches: Vec<Match>,
    /// Faces seen in the picture; the largest was searched for.
    pub faces: usize,
    /// Of that face, if it was asked for and could be judged.
    pub liveness: Option<Liveness>,
}

/// What a search saw that asks to open.
pub(super) struct Sight {
    pub found: Identification,
    pub nearness: Nearness,
    pub trace: Option<Trace>,
}

/// Why a search came to nothing.
pub(super) enum Failure {
    /// The picture is at fault.
    Rejected(Rejection),
    Other(Error),
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(e: E) -> Failure {
        Failure::Other(e.into())
    }
}

impl Failure {
    pub(super) fn error(self) -> Error {
        match self {
            Failure::Rejected(rejection) => rejection.about(PICTURE),
            Failure::Other(e) => e,
        }
    }
}

/// One face of a picture, and who it is.
#[derive(Clone, Debug)]
pub struct FaceMatches {
    /// Left, top, width and height in pixels.
    pub bounds: Rect,
    /// Best first, one row a person; or why this face is not searched for.
    pub matches: Result<Vec<Match>, Error>,
    /// If it was asked for and could be judged.
    pub liveness: Option<Liveness>,
}

/// Answer of a comparison.
#[derive(Clone, Debug)]
pub struct Verification {
    /// Calibrated confidence that both faces are one person, 0..1.
    pub score: f64,
    /// Faces seen in each picture; the largest ones were compared.
    pub faces: [usize; 2],
    /// Of those faces, where it was asked for and could be judged.
    pub liveness: [Option<Liveness>; 2],
}

impl Engine {
    /// The people of `collection` most like the largest face of `picture`, at most `top_k` (values
    /// above 100 mean 100).
    ///
    /// What is asked about `liveness` is at least what the configuration demands.
    ///
    /// # Errors
    /// 1003, 1006, 1009, 1010, 1011, 1014, 1016, 1017, 1001.
    pub async fn identify(
        &self,
        collection: String,
        picture: EncodedPicture,
        top_k: u64,
        liveness: LivenessDemand,
    ) -> Result<Identification, Error> {
        let checks = Checks {
            far: picture.far,
            liveness,
            ..Checks::default()
        };
        let sight = self.look_for(collection, picture, top_k, checks).await;
        Ok(sight.map_err(Failure::error)?.found)
    }

    /// [`Engine::identify`] with other checks; that of quality is added, and what the configuration demands of liveness.
    pub(super) async fn look_for(
        &self,
        collection: String,
        picture: EncodedPicture,
        top_k: u64,
        checks: Checks,
    ) -> Result<Sight, Failure> {
        check_collection_name(&collection)?;
        check_top_k(top_k)?;
        let checks = Checks {
            gate: Gate::Search,
            liveness: self.liveness_demand(checks.liveness)?,
            ..checks
        };
        self.gallery.status(&collection)?;
        let top_k = usize::try_from(top_k.min(MAX_TOP_K)).unwrap_or(1);
        let place = self.enter()?;
        let (cost, picture) = self.appraiser.appraise(picture);
        // The worker that made the template scans the collection, too: a search never waits behind
        // commits for a thread of the disk's.
        let gallery = self.gallery.clone();
        let outcome = place.submit(cost, move |recognizer| -> Result<_, Failure> {
            let probe = (picture.on(recognizer))
                .and_then(|file| recognizer.recognize_file(file, Purpose::Probe, checks))
                .map_err(|refusal| Failure::Rejected(refusal.into()))?;
            let hits = gallery.search(&collection, &probe.template, top_k)?;
            Ok((probe, hits))
        });
        let (probe, hits) = (outcome.await)
            .map_err(|_| Rejection::Fault("a recognition worker failed".into()))??;
        Ok(Sight {
            found: Identification {
                matches: self.matches(hits),
                faces: probe.faces,
                liveness: probe.liveness,
            },
            nearness: probe.nearness,
            trace: probe.trace,
        })
    }

    /// As [`Engine::identify`], for every face of `picture`, largest first. A face that a search would refuse has the reason in its
    /// place. Never opens a door: of several people nobody has come to it.
    ///
    /// # Errors
    /// 1003, 1006, 1009, 1010, 1011, 1014, 1001.
    pub async fn identify_each(
        &self,
        collection: String,
        picture: EncodedPicture,
        top_k: u64,
        liveness: LivenessDemand,
    ) -> Result<Vec<FaceMatches>, Error> {
        check_collection_name(&collection)?;
        check_top_k(top_k)?;
        let checks = Checks {
            far: picture.far,
            gate: Gate::Search,
            liveness: self.liveness_demand(liveness)?,
            ..Checks::default()
        };
        self.gallery.status(&collection)?;
        let top_k = usize::try_from(top_k.min(MAX_TOP_K)).unwrap_or(1);
        let place = self.enter()?;
        let (cost, picture) = self.appraiser.appraise(picture);
        let gallery = self.gallery.clone();
        let outcome = place.submit(cost, move |recognizer| -> Result<_, Error> {
            let faces = (picture.on(recognizer))
                .and_then(|file| recognizer.recognize_each_file(file, checks))
                .map_err(|refusal| Rejection::from(refusal).about(PICTURE))?;
            let mut found = Vec::with_capacity(faces.len());
            for face in faces {
                let hits = match face.template {
                    Ok(template) => Ok(gallery.search(&collection, &template, top_k)?),
                    Err(refusal) => Err(Error::from(Rejection::from(refusal))),
                };
                found.push((face.face.bounds, hits, face.liveness));
            }
            Ok(found)
        });
        let found = (outcome.await)
            .map_err(|_| Rejection::Fault("a recognition worker failed".into()))??;
        Ok((found.into_iter())
            .map(|(bounds, hits, liveness)| FaceMatches {
                bounds,
                matches: hits.map(|hits| self.matches(hits)),
                liveness,
            })
            .collect())
    }

    pub(super) fn matches(&self, hits: Vec<Hit>) -> Vec<Match> {
        (hits.into_iter())
            .map(|hit| Match {
                target: hit.target,
                score: self.embedding.score.score(hit.cosine),
                cosine: hit.cosine,
            })
            .collect()
    }

    /// Whether the largest faces of two pictures are one person. A demand about `liveness` is one about
    /// both.
    ///
    /// # Errors
    /// 1009, 1010, 1011, 1014, 1016, 1017.
    pub async fn verify(
        &self,
        first: EncodedPicture,
        second: EncodedPicture,
        liveness: LivenessDemand,
    ) -> Result<Verification, Error> {
        let checks = Checks {
            gate: Gate::Search,
            liveness: self.liveness_demand(liveness)?,
            ..Checks::default()
        };
        let place = self.enter()?;
        let mut results = self
            .recognize(&place, [first, second], Purpose::Enrolment, checks)
            .await
            .into_iter();
        let mut next = |field: &str| -> Result<Recognition, Error> {
            let result = results.next().ok_or_else(|| Error::new(Code::Internal))?;
            result.map_err(|rejection| rejection.about(field))
        };
        let first = next("face_image1")?;
        let second = next("face_image2")?;
        Ok(Verification {
            score: self
                .embedding
                .score
                .score(first.template.cosine(&second.template)),
            faces: [first.faces, second.faces],
            liveness: [first.liveness, second.liveness],
        })
    }
}

pub(super) fn check_top_k(top_k: u64) -> Result<(), Error> {
    match top_k {
        0 => {
            Err(Error::new(Code::InvalidParameter).with("top_k: a whole number from 1 is expected"))
        }
        _ => Ok(()),
    }
}
