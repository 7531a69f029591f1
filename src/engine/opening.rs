//! A search that asks to open: the one place where it is decided whether the door does.

use std::fmt;
use std::time::Instant;

use super::access::{Access, Caller};
use super::decision::Enrolled;
use super::identification::{Failure, Sight};
use super::replay::Known;
use super::{Code, EncodedPicture, Engine, Error, Identification, Rejection};
use crate::door::Answer;
use crate::door::events::{Denied, Opened, Origin};
use crate::door::settings::LivenessRule;
use crate::fairness;
use crate::recognition::{Checks, LivenessDemand};

/// Why the door opened or did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Matched,
    NoMatch,
    /// The search itself failed; its error says why.
    NotSearched,
    Liveness,
    /// Too near to say whether it is live.
    TooNear,
    /// A face as small as one of somebody who passes by.
    TooFar,
    /// Somebody nearer cannot be read.
    Unreadable,
    /// The picture, or one much like it, opened before.
    Replay,
    OtherCollection,
    Schedule,
    ClockNotSet,
    CoolDown,
    /// The face was shown too long ago.
    TooLate,
    /// Its record could not be written, which the door requires.
    Log,
    /// The false match rate that would be needed is beyond the table of the embedding model.
    Undecidable,
    NoDoor,
    Fault,
}

impl Reason {
    /// As answers and events spell it.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Matched => "matched",
            Reason::NoMatch => "no_match",
            Reason::NotSearched => "not_searched",
            Reason::Liveness => "liveness",
            Reason::TooNear => "too_near",
            Reason::TooFar => "too_far",
            Reason::Unreadable => "unreadable",
            Reason::Replay => "replay",
            Reason::OtherCollection => "other_collection",
            Reason::Schedule => "schedule",
            Reason::ClockNotSet => "clock_not_set",
            Reason::CoolDown => "cool_down",
            Reason::TooLate => "too_late",
            Reason::Log => "log",
            Reason::Undecidable => "undecidable",
            Reason::NoDoor => "no_door",
            Reason::Fault => "fault",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a search that asked to open came to.
#[derive(Clone, Debug)]
pub struct Opening {
    pub reason: Reason,
    /// What more there is to say.
    pub detail: Option<String>,
    pub simulated: bool,
}

impl Opening {
    pub fn opened(&self) -> bool {
        self.reason == Reason::Matched
    }
}

impl Engine {
    /// [`Engine::identify`], and a match opens the door; everything else is said no to, with light and sound.
    ///
    /// # Errors
    /// 1015 for whom [`Access::permits`] does not; those of the search; each with what became of the opening.
    pub async fn identify_and_open(
        &self,
        collection: String,
        picture: EncodedPicture,
        top_k: u64,
        liveness: LivenessDemand,
        caller: &Caller,
    ) -> (Result<Identification, Error>, Opening) {
        let Some(access) = &self.access else {
            // Whoever asks to open acts on the answer, with a lock of their own perhaps: no picture of a face gets one.
            let checks = Checks {
                opening: true,
                liveness: LivenessDemand::Enforce,
                ..Checks::default()
            };
            let sight = self.look_for(collection, picture, top_k, checks).await;
            let found = (sight.map(|sight| sight.found)).map_err(Failure::error);
            let opening = Opening {
                reason: Reason::NoDoor,
                detail: Some("there is no door ([door] in the configuration)".into()),
                simulated: false,
            };
            return (found, opening);
        };
        // Asked for again, here where it counts.
        if access.permits(caller).is_err() {
            let refused = Opening {
                reason: Reason::NotSearched,
                detail: None,
                simulated: false,
            };
            return (Err(Error::new(Code::AuthenticationRequired)), refused);
        }
        let liveness = match access.settings.liveness {
            LivenessRule::Enforce => LivenessDemand::Enforce,
            LivenessRule::Off => liveness,
        };
        // Counted before: who is enrolled meanwhile is one chance more than was asked for, for one search.
        let enrolled = self.enrolled(&collection);
        let elsewhere = collection != access.collection();
        let checks = Checks {
            opening: true,
            liveness,
            ..Checks::default()
        };
        let search = self.look_for(collection, picture, top_k, checks);
        let sight = fairness::opens(search).await;
        let origin = Origin {
            client: caller.address.map(|address| address.to_string()),
            request_id: caller.request_id.clone(),
        };
        let (reason, detail) = match &sight {
            Err(Failure::Rejected(rejection)) => of_rejection(rejection),
            Err(Failure::Other(e)) if e.code == Code::PresentationAttack => {
                (Reason::Liveness, None)
            }
            Err(Failure::Other(_)) => (Reason::NotSearched, None),
            Ok(_) if elsewhere => (
                Reason::OtherCollection,
                Some("the door opens for another collection (door.collection)".into()),
            ),
            Ok(sight) => {
                self.try_to_open(access, sight, enrolled, &origin, caller.asked)
                    .await
            }
        };
        let found = (sight.map(|sight| sight.found)).map_err(Failure::error);
        match reason {
            // Nobody may have stood there: no face, a broken picture, a full queue.
            Reason::NotSearched => {}
            // They are in the log already, or cannot get there.
            Reason::Matched
            | Reason::CoolDown
            | Reason::TooLate
            | Reason::Replay
            | Reason::Log
            | Reason::Fault => {}
            reason => access.door().deny(Denied {
                reason: reason.name().into(),
                request: origin,
                ..Denied::default()
            }),
        }
        let opening = Opening {
            reason,
            detail,
            simulated: access.door().board().is_simulated(),
        };
        (found, opening)
    }

    async fn try_to_open(
        &self,
        access: &Access,
        sight: &Sight,
        enrolled: Enrolled,
        origin: &Origin,
        asked: Instant,
    ) -> (Reason, Option<String>) {
        if let Some(detail) = access.settings.too_far(&sight.nearness) {
            return (Reason::TooFar, Some(detail));
        }
        let threshold = match self.threshold(access, enrolled) {
            Ok(threshold) => threshold,
            Err((reason, detail)) => return (reason, Some(detail)),
        };
        let best = (sight.found.matches.first()).filter(|best| best.cosine >= threshold.cosine);
        let Some(best) = best else {
            return (Reason::NoMatch, None);
        };
        if let Err(untimely) = access.timely().await {
            return untimely;
        }
        // Last before the door: a claim that comes to nothing keeps nobody from asking again.
        let mut claim = match sight.trace.clone().map(|trace| access.replays.claim(trace)) {
            Some(Ok(claim)) => claim,
            Some(Err(known)) => return self.refuse_replay(access, known, &best.target, origin),
            None => return (Reason::Fault, Some("the picture left no trace".into())),
        };
        let opened = Opened {
            by: "face".into(),
            person: Some(best.target.clone()),
            collection: Some(access.collection().into()),
            cosine: Some(best.cosine),
            threshold: Some(threshold.cosine),
            extrapolated: threshold.extrapolated,
            request: origin.clone(),
        };
        let refused = Denied {
            person: Some(best.target.clone()),
            request: origin.clone(),
            ..Denied::default()
        };
        claim.asks_the_door();
        let answer = access.door().open(opened, refused, asked).await;
        match answer {
            Answer::Opened => claim.opened().await,
            _ => claim.refused(),
        }
        match answer {
            Answer::Opened => (Reason::Matched, None),
            Answer::CoolDown => (Reason::CoolDown, None),
            Answer::TooLate => (
                Reason::TooLate,
                Some("too long since the request; ask again with a new picture".into()),
            ),
            Answer::NotRecorded => (
                Reason::Log,
                Some("the medium did not take the record of the opening in time, and door.log is \"required\"; recocomp doctor says more".into()),
            ),
            Answer::Dead => (
                Reason::Fault,
                Some("the door does not answer; its events say more".into()),
            ),
        }
    }

    /// The refusal of a picture that opened before, written down with whom it shows.
    fn refuse_replay(
        &self,
        access: &Access,
        known: Known,
        person: &str,
        origin: &Origin,
    ) -> (Reason, Option<String>) {
        access.door().deny(Denied {
            reason: Reason::Replay.name().into(),
            person: Some(person.to_owned()),
            request: origin.clone(),
            ..Denied::default()
        });
        let detail = match known {
            Known::Same => "this picture has opened before; ask again with a new one",
            Known::Alike => {
                "a picture much like this one has opened just before; ask again with a new one"
            }
        };
        (Reason::Replay, Some(detail.into()))
    }
}

fn of_rejection(rejection: &Rejection) -> (Reason, Option<String>) {
    let said = Some(rejection.reason().to_owned());
    match rejection {
        Rejection::PresentationAttack(_) => (Reason::Liveness, None),
        Rejection::TooNear(_) => (Reason::TooNear, said),
        Rejection::Unreadable(_) => (Reason::Unreadable, said),
        _ => (Reason::NotSearched, None),
    }
}
