//! Which faces a picture shows, and how good they are.

use super::identification::PICTURE;
use super::{EncodedPicture, Engine, Error, Rejection};
use crate::recognition::{LivenessDemand, SeenFace};

impl Engine {
    /// Every face of `picture`, largest first; none is no error. No gate is asked: this is how a client
    /// learns what one would say, of a search. Enrolment looks at the landmarks twice and measures a
    /// little differently. With `liveness` each face is judged, and none refused for it. In a
    /// picture to be looked at as far, faces too unclear to be recognised are told as well.
    ///
    /// # Errors
    /// 1010, 1011 (liveness is switched off), 1014.
    pub async fn detect(
        &self,
        picture: EncodedPicture,
        liveness: bool,
    ) -> Result<Vec<SeenFace>, Error> {
        let demand = match liveness {
            true => LivenessDemand::Score,
            false => LivenessDemand::Off,
        };
        self.liveness_demand(demand)?;
        let place = self.enter()?;
        let (cost, picture) = self.appraiser.appraise(picture);
        let outcome = place.submit(cost, move |recognizer| {
            let file = picture.on(recognizer)?;
            recognizer.inspect_file(file, demand, picture.far())
        });
        match outcome.await {
            Ok(seen) => seen.map_err(|refusal| Rejection::from(refusal).about(PICTURE)),
            Err(_) => Err(Rejection::Fault("a recognition worker failed".into()).into()),
        }
    }
}
