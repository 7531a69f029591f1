//! The door, and who may open it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::decision::{Enrolled, Threshold};
use super::replay::Replays;
use super::wall_clock::WallClock;
use super::{Engine, Reason};
use crate::door::Door;
use crate::door::schedule::Schedule;
use crate::door::settings::{Exposure, Network, Settings};
use crate::license;
use crate::text_file::{self, Pipes, Secret, TextFileError};

/// Bytes that a token must have at least.
const TOKEN_BYTES: usize = 16;

/// How long beyond a cool-down a picture much like one that opened does not.
const ALIKE_FOR: Duration = Duration::from_secs(60);

/// The door, and who may open it.
pub struct Access {
    door: Arc<Door>,
    pub(super) settings: Settings,
    /// What opened and does not open again.
    pub(super) replays: Replays,
    schedule: Arc<Schedule>,
    time: Arc<WallClock>,
    /// Whether it was said that nobody is let in.
    pub(super) undecidable: AtomicBool,
    clients: Vec<Network>,
    /// SHA-256 of the token: comparing hashes tells nothing about the token by how long it takes.
    token: Option<[u8; 32]>,
}

/// Why a door cannot be put into operation.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error("{0}")]
    Settings(String),
    #[error("`door.token_file`: cannot read {path}: {source}", path = path.display())]
    Token {
        path: PathBuf,
        source: TextFileError,
    },
    #[error(
        "`door.token_file`: {path} holds {found} bytes, at least {TOKEN_BYTES} are expected; \
         `openssl rand -hex 32` makes a good one", path = path.display()
    )]
    ShortToken { path: PathBuf, found: usize },
}

/// Why a client may not do what concerns the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// No token, or a wrong one.
    Token,
    /// Not one of the addresses.
    Address,
}

/// Who asks for an opening. Not for logs: it holds a secret.
#[derive(Clone)]
pub struct Caller {
    pub address: Option<IpAddr>,
    pub token: Option<String>,
    /// As in the log.
    pub request_id: Option<String>,
    /// When the head of the request had been read: the picture is older. 10 s later no door opens for it.
    pub asked: Instant,
}

/// The token in `door.token_file`, without white space around it; `None` where none is asked for.
///
/// # Errors
/// [`AccessError`] names the key and what was expected.
pub fn door_token(settings: &Settings) -> Result<Option<Secret>, AccessError> {
    let Some(path) = &settings.token_file else {
        return Ok(None);
    };
    let token = text_file::read_token(path, Pipes::Refused).map_err(|source| {
        let path = path.clone();
        AccessError::Token { path, source }
    })?;
    match token.text.len() {
        found if found < TOKEN_BYTES => Err(AccessError::ShortToken {
            path: path.clone(),
            found,
        }),
        _ => Ok(Some(token)),
    }
}

impl Access {
    /// # Errors
    /// [`AccessError`] names the key and what was expected.
    pub fn new(settings: &Settings, door: Arc<Door>, data: &Path) -> Result<Access, AccessError> {
        let wrong = |e: String| AccessError::Settings(e);
        let token = door_token(settings)?;
        if let Some(warning) = token.as_ref().and_then(|token| token.warning.as_ref()) {
            tracing::warn!("door.token_file: {warning}");
        }
        let clients: Result<_, _> = settings.clients.iter().map(|c| c.parse()).collect();
        let pulse = (settings.pulse_ms).map_or(door.board().pulse(), Duration::from_millis);
        let alike_for = pulse + Duration::from_millis(settings.cooldown_ms) + ALIKE_FOR;
        Ok(Access {
            replays: Replays::open(data, alike_for),
            door,
            schedule: Arc::new(Schedule::parse(&settings.schedule).map_err(wrong)?),
            time: Arc::new(WallClock::new(license::clock_of_device())),
            undecidable: AtomicBool::new(false),
            clients: clients.map_err(wrong)?,
            token: token.map(|token| Sha256::digest(token.text.as_bytes()).into()),
            settings: settings.clone(),
        })
    }

    /// Whether this client may open the door and change who may enter.
    ///
    /// # Errors
    /// [`Forbidden`]. With neither token nor addresses configured nobody may.
    pub fn permits(&self, caller: &Caller) -> Result<(), Forbidden> {
        if let Some(expected) = &self.token {
            let given = caller.token.as_ref();
            let right = given.is_some_and(|token| Sha256::digest(token)[..] == expected[..]);
            right.then_some(()).ok_or(Forbidden::Token)?;
        }
        let listed = |address| self.clients.iter().any(|network| network.contains(address));
        match self.clients.is_empty() {
            true if self.token.is_some() => Ok(()),
            true => Err(Forbidden::Address),
            false if caller.address.is_some_and(listed) => Ok(()),
            false => Err(Forbidden::Address),
        }
    }

    /// The collection whose people may enter.
    pub fn collection(&self) -> &str {
        &self.settings.collection
    }

    /// What this door does not hold.
    pub fn exposure(&self) -> Option<Exposure> {
        self.settings.exposure()
    }

    pub(super) fn door(&self) -> &Door {
        &self.door
    }

    /// Whether faces open at this time.
    pub(super) async fn timely(&self) -> Result<(), (Reason, Option<String>)> {
        const UNCONFIRMED: &str = "nothing confirms the clock: no time server since the start, no hardware clock that agrees";
        let (schedule, time) = (self.schedule.clone(), self.time.clone());
        // It may ask another program for the time.
        let allowed = match schedule.is_always() {
            true => Ok(()),
            false => (tokio::task::spawn_blocking(move || time.allows(&schedule)).await)
                .unwrap_or(Err(Reason::ClockNotSet)),
        };
        allowed.map_err(|reason| {
            let detail = (reason == Reason::ClockNotSet).then(|| UNCONFIRMED.to_owned());
            (reason, detail)
        })
    }
}

impl Engine {
    /// Puts a door before the engine.
    pub fn attach_door(&mut self, access: Access) {
        let collection = access.collection().to_owned();
        self.access = Some(access);
        self.look_after_door(&collection);
    }

    pub fn access(&self) -> Option<&Access> {
        self.access.as_ref()
    }

    /// Nobody in a collection that does not exist.
    pub(super) fn enrolled(&self, collection: &str) -> Enrolled {
        let status = self.gallery.status(collection);
        let (people, faces) = status.map_or((0, 0), |s| (s.person_num, s.feature_num));
        Enrolled { people, faces }
    }

    pub(super) fn threshold(
        &self,
        access: &Access,
        enrolled: Enrolled,
    ) -> Result<Threshold, (Reason, String)> {
        let undecidable = |why: String| (Reason::Undecidable, why);
        let decision = (self.decision.as_ref()).map_err(|e| undecidable(e.to_string()))?;
        if enrolled.faces == 0 {
            return Err((Reason::NoMatch, "nobody is enrolled".into()));
        }
        (decision.threshold(access.settings.target_fpir, enrolled))
            .map_err(|e| undecidable(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_and_address_must_both_be_right_where_both_are_configured() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join("token");
        std::fs::write(&path, "0123456789abcdef\n").unwrap();
        let access = |clients: &[&str], token: bool| {
            let settings = Settings {
                enabled: true,
                board: "simulated".into(),
                collection: "staff".into(),
                clients: clients.iter().map(|c| (*c).to_owned()).collect(),
                token_file: token.then(|| path.clone()),
                ..Settings::default()
            };
            let data = tempfile::tempdir().unwrap();
            let door = Arc::new(Door::start(&settings, data.path()).unwrap());
            Access::new(&settings, door, data.path()).unwrap()
        };
        let caller = |address: &str, token: Option<&str>| Caller {
            address: Some(address.parse().unwrap()),
            token: token.map(str::to_owned),
            request_id: None,
            asked: Instant::now(),
        };
        let right = Some("0123456789abcdef");
        let both = access(&["10.0.0.0/24"], true);
        assert_eq!(both.permits(&caller("10.0.0.7", right)), Ok(()));
        assert_eq!(
            both.permits(&caller("10.0.1.7", right)),
            Err(Forbidden::Address)
        );
        for wrong in [None, Some(""), Some("0123456789abcdeF"), Some("x")] {
            let refused = both.permits(&caller("10.0.0.7", wrong));
            assert_eq!(refused, Err(Forbidden::Token), "{wrong:?}");
        }
        assert_eq!(
            access(&[], true).permits(&caller("203.0.113.1", right)),
            Ok(())
        );
        assert_eq!(
            access(&["::1"], false).permits(&caller("::1", None)),
            Ok(())
        );
        assert_eq!(
            access(&[], false).permits(&caller("127.0.0.1", right)),
            Err(Forbidden::Address)
        );
    }

    #[test]
    fn a_short_token_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join("token");
        std::fs::write(&path, "1234\n").unwrap();
        let settings = Settings {
            board: "simulated".into(),
            token_file: Some(path),
            ..Settings::default()
        };
        let door = Arc::new(Door::start(&settings, data.path()).unwrap());
        let said = Access::new(&settings, door, data.path())
            .err()
            .unwrap()
            .to_string();
        assert!(
            said.contains("door.token_file") && said.contains("16"),
            "{said}"
        );
    }
}
