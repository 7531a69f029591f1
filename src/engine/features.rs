//! Templates that clients keep: made of a picture, and searched for without one.

use super::identification::{MAX_TOP_K, PICTURE, check_top_k};
use super::{Code, EncodedPicture, Engine, Error, Match, Rejection, check_collection_name};
use crate::gallery::Template;
use crate::inference::{Cost, ScoreCurve};
use crate::recognition::{Checks, Gate, Liveness, LivenessDemand, Purpose};

/// What a client must know of the embedding model to use its templates.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// Id of the model file.
    pub model: String,
    /// Templates of one space may be compared with each other, whichever of its files made them.
    pub template_space: String,
    /// Cosine to calibrated score.
    pub score: ScoreCurve,
}

/// The template of a picture's largest face.
#[derive(Clone, Debug)]
pub struct Extraction {
    pub template: Template,
    /// Faces seen in the picture.
    pub faces: usize,
    /// Of the largest, if it was asked for and could be judged.
    pub liveness: Option<Liveness>,
}

impl Engine {
    /// The embedding model in use.
    pub fn embedding(&self) -> &Embedding {
        &self.embedding
    }

    /// Whether templates are given to clients and taken from them.
    pub fn exchanges_features(&self) -> bool {
        self.features
    }

    /// The template that a search of `picture` would look for, after the same checks.
    ///
    /// # Errors
    /// 1009, 1010, 1011, 1014, 1016, 1017.
    pub async fn extract(
        &self,
        picture: EncodedPicture,
        liveness: LivenessDemand,
    ) -> Result<Extraction, Error> {
        let checks = Checks {
            gate: Gate::Search,
            liveness: self.liveness_demand(liveness)?,
            far: picture.far,
            ..Checks::default()
        };
        let place = self.enter()?;
        let (cost, picture) = self.appraiser.appraise(picture);
        let outcome = place.submit(cost, move |recognizer| {
            let file = picture.on(recognizer)?;
            recognizer.recognize_file(file, Purpose::Probe, checks)
        });
        let seen = (outcome.await)
            .map_err(|_| Rejection::Fault("a recognition worker failed".into()))?
            .map_err(|refusal| Rejection::from(refusal).about(PICTURE))?;
        Ok(Extraction {
            template: seen.template,
            faces: seen.faces,
            liveness: seen.liveness,
        })
    }

    /// The people of `collection` most like `template`, as [`Engine::identify`] finds them. Never opens a door: nobody was seen.
    ///
    /// # Errors
    /// 1003, 1006, 1011, 1014, 1016 (liveness is enforced, and a template has none), 1001.
    pub async fn identify_feature(
        &self,
        collection: String,
        template: Template,
        top_k: u64,
    ) -> Result<Vec<Match>, Error> {
        check_collection_name(&collection)?;
        check_top_k(top_k)?;
        if self.liveness_demand(LivenessDemand::Off)? == LivenessDemand::Enforce {
            return Err(Error::new(Code::PresentationAttack).with(
                "feature: liveness is enforced (mode in [liveness]) and cannot be judged without a \
                 picture: use /face/search",
            ));
        }
        self.gallery.status(&collection)?;
        let top_k = usize::try_from(top_k.min(MAX_TOP_K)).unwrap_or(1);
        let place = self.enter()?;
        let gallery = self.gallery.clone();
        // A worker's place though it needs no networks: searches are as many at once as the processor has cores for.
        let outcome = place.submit(Cost::SMALL, move |_| {
            gallery.search(&collection, &template, top_k)
        });
        let hits = (outcome.await)
            .map_err(|_| Rejection::Fault("a recognition worker failed".into()))??;
        Ok(self.matches(hits))
    }
}
