//! `recocomp.toml` to [`Config`]. Every key has a default; an unknown key is refused.

mod fusion;
mod listen;
pub mod memory;
mod pages;
mod wording;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::fusion::FusionKey;
use self::memory::{Budget, Usable, Wishes};
use crate::door;
use crate::engine::{DoubtRules, EngineOptions, LivenessMode};
use crate::gallery::Fusion;
use crate::http::ServerOptions;
use crate::inference::ModelPaths;
use crate::recognition::{FaceChoice, FarLooks, GateLimits, PictureLimits, RecognizerOptions};
use crate::text_file::{self, SETTINGS_BYTES, TextFileError};

/// Read when `--config` is absent and the file exists.
pub const DEFAULT_PATH: &str = "/etc/recocomp/recocomp.toml";

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    pub server: Server,
    pub storage: Storage,
    pub limits: Limits,
    pub recognition: Recognition,
    pub quality: GateLimits,
    pub enrolment: DoubtRules,
    pub liveness: Liveness,
    pub models: Models,
    pub door: door::settings::Settings,
    pub audit: Audit,
}

/// `[server]`: who is listened to and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Server {
    /// Address and port. A port of 0 takes a free one.
    #[serde(deserialize_with = "listen::read")]
    pub listen: SocketAddr,
    /// Open connections of all clients.
    pub max_connections: usize,
    /// Open connections of one address.
    pub max_connections_per_ip: usize,
    /// Seconds to send a request's head, and to wait between requests.
    pub header_timeout_s: u64,
    /// Seconds that an upload may pause.
    pub body_idle_timeout_s: u64,
    /// Seconds that a client may take to read a part of its answer.
    pub write_timeout_s: u64,
    /// Seconds that running requests get when the daemon stops.
    pub drain_timeout_s: u64,
    /// Web pages of other sites that may use the API.
    pub origins: Vec<String>,
    /// Names of this device for web pages, beside the ones that it has anyway.
    pub names: Vec<String>,
}

impl Default for Server {
    fn default() -> Self {
        Server {
            listen: SocketAddr::from(([0, 0, 0, 0], 8080)),
            max_connections: 256,
            max_connections_per_ip: 64,
            header_timeout_s: 30,
            body_idle_timeout_s: 15,
            write_timeout_s: 30,
            drain_timeout_s: 60,
            origins: Vec::new(),
            names: Vec::new(),
        }
    }
}

/// `[storage]`: where the collections are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Storage {
    /// Folder of everything the daemon keeps.
    pub data: PathBuf,
    /// Whether journals are sealed with a key of this device.
    pub seal: bool,
    /// How many MiB a second the compaction in the background writes.
    pub compaction_mib_per_second: u64,
    /// Most threads of one search; 0: as many as there are cores.
    pub search_threads: usize,
}

impl Default for Storage {
    fn default() -> Self {
        Storage {
            data: PathBuf::from("/var/lib/recocomp"),
            seal: true,
            compaction_mib_per_second: 5,
            search_threads: 0,
        }
    }
}

/// `[audit]`: who did what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Audit {
    /// Days that a record is kept at least.
    pub keep_days: u64,
}

impl Default for Audit {
    fn default() -> Self {
        Audit { keep_days: 730 }
    }
}

/// `[limits]`: what one request may ask for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes of a request's body.
    pub max_body_bytes: usize,
    /// Bytes of the bodies of all requests together; 0: as there is room.
    pub max_body_memory: usize,
    /// Pictures of one insert or update.
    pub max_batch: usize,
    /// Bytes of a picture, decoded from base64.
    pub max_picture_bytes: usize,
    /// Millions of pixels of a picture.
    pub max_picture_megapixels: f64,
    /// Bytes for large pictures that are decoded; 0: as there is room.
    pub max_picture_memory: usize,
    /// Requests that may wait for recognition, beside the ones being worked on.
    pub queue: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_body_bytes: 128 << 20,
            max_body_memory: 0,
            max_batch: 500,
            max_picture_bytes: 16 << 20,
            max_picture_megapixels: 40.0,
            max_picture_memory: 0,
            queue: 32,
        }
    }
}

/// `[recognition]`: how pictures are worked on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recognition {
    /// Threads that recognise; 0 takes one a processor core, at most 4.
    pub workers: usize,
    /// Threads inside each network. Results do not depend on it.
    pub threads: usize,
    /// Confidence, 0 to 1, below which a detection is no face.
    pub min_detection_score: f32,
    /// Whether templates are given to clients and taken from them.
    pub features: bool,
    /// What of a person's features a search compares a face with.
    #[serde(with = "FusionKey")]
    pub fusion: Fusion,
    /// When pictures are looked at in tiles.
    pub far: FarLooks,
}

impl Default for Recognition {
    fn default() -> Self {
        Recognition {
            workers: 0,
            threads: 1,
            min_detection_score: 0.5,
            features: true,
            fusion: Fusion::Off,
            far: FarLooks::Asked,
        }
    }
}

/// `[liveness]`: whether a living face is in front of the camera.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Liveness {
    pub mode: LivenessMode,
    /// Score, 0 to 1, from which a face is live, in place of the model's.
    pub threshold: Option<f32>,
}

/// `[models]`: files in place of the embedded ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Models {
    /// A `models.toml` in place of the embedded one, for models that this version does not know.
    pub table: Option<PathBuf>,
    pub detector: Option<PathBuf>,
    pub landmarks: Option<PathBuf>,
    pub embedder: Option<PathBuf>,
    pub liveness: Option<PathBuf>,
}

/// Why a configuration cannot be used, in words for the person who wrote it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {path}: {source}", path = path.display())]
    Read {
        path: PathBuf,
        source: TextFileError,
    },
    #[error("the configuration {path} is wrong: {reason}", path = path.display())]
    Wrong { path: PathBuf, reason: String },
}

impl Config {
    /// Reads `path`; without one, [`DEFAULT_PATH`] if it exists, and the defaults if not.
    ///
    /// # Errors
    /// [`ConfigError`] names the file, the key and what was expected.
    pub fn load(path: Option<&Path>) -> Result<Config, ConfigError> {
        let path = match path {
            Some(path) => path,
            None if Path::new(DEFAULT_PATH).exists() => Path::new(DEFAULT_PATH),
            None => return Ok(Config::default()),
        };
        let text = text_file::read(path, SETTINGS_BYTES).map_err(|source| ConfigError::Read {
            path: path.into(),
            source,
        })?;
        Config::parse(&text).map_err(|reason| ConfigError::Wrong {
            path: path.into(),
            reason,
        })
    }

    /// The data folder of a configuration that [`Config::load`] refuses, as far as the file can be read.
    pub fn data_folder_despite_mistakes(path: Option<&Path>) -> PathBuf {
        let text = text_file::read(path.unwrap_or(Path::new(DEFAULT_PATH)), SETTINGS_BYTES);
        let text = text.unwrap_or_default();
        let (table, _) = toml::de::DeTable::parse_recoverable(&text);
        let named = (table.get_ref().get("storage"))
            .and_then(|storage| storage.get_ref().get("data")?.get_ref().as_str());
        named.map_or_else(|| Storage::default().data, PathBuf::from)
    }

    fn parse(text: &str) -> Result<Config, String> {
        let parsed = toml::Deserializer::parse(text).map_err(|e| e.to_string())?;
        let mut unknown = Vec::new();
        let config: Config =
            serde_ignored::deserialize(parsed, |path| unknown.push(path.to_string()))
                .map_err(|e| wording::plain(&e.to_string()))?;
        if let Some(key) = unknown.first() {
            return Err(match nearest(key, Config::known_keys()) {
                Some(known) => format!("there is no key `{key}`, did you mean `{known}`?"),
                None => format!("there is no key `{key}`"),
            });
        }
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let from_one = [
            ("server.max_connections", self.server.max_connections),
            (
                "server.max_connections_per_ip",
                self.server.max_connections_per_ip,
            ),
            ("limits.max_body_bytes", self.limits.max_body_bytes),
            ("limits.max_batch", self.limits.max_batch),
            ("limits.max_picture_bytes", self.limits.max_picture_bytes),
            ("recognition.threads", self.recognition.threads),
        ];
        for (key, value) in from_one {
            if value == 0 {
                return Err(format!("`{key}` must be at least 1"));
            }
        }
        let seconds = [
            ("server.header_timeout_s", self.server.header_timeout_s),
            ("server.write_timeout_s", self.server.write_timeout_s),
            (
                "server.body_idle_timeout_s",
                self.server.body_idle_timeout_s,
            ),
        ];
        for (key, value) in seconds {
            if !(1..=3600).contains(&value) {
                return Err(format!("`{key}` must be 1 to 3600 seconds"));
            }
        }
        if self.server.drain_timeout_s > 3600 {
            return Err("`server.drain_timeout_s` must be at most 3600 seconds".into());
        }
        if self.recognition.workers > 64 || self.recognition.threads > 64 {
            return Err(
                "`recognition.workers` and `recognition.threads` must be at most 64".into(),
            );
        }
        if !(1..=10_000).contains(&self.storage.compaction_mib_per_second) {
            return Err("`storage.compaction_mib_per_second` must be 1 to 10000".into());
        }
        if self.storage.search_threads > 64 {
            return Err("`storage.search_threads` must be at most 64".into());
        }
        if !(0.01..=1000.0).contains(&self.limits.max_picture_megapixels) {
            return Err("`limits.max_picture_megapixels` must be 0.01 to 1000".into());
        }
        if !(0.05..=0.99).contains(&self.recognition.min_detection_score) {
            return Err("`recognition.min_detection_score` must be 0.05 to 0.99".into());
        }
        pages::of(&self.server)?;
        self.quality.check()?;
        self.enrolment.check()?;
        // At 0 everything would be live.
        if (self.liveness.threshold).is_some_and(|t| !(0.001..=1.0).contains(&t)) {
            return Err("`liveness.threshold` must be 0.001 to 1".into());
        }
        if !(1..=36_500).contains(&self.audit.keep_days) {
            return Err("`audit.keep_days` must be 1 to 36500".into());
        }
        self.door.check()
    }

    pub fn engine_options(&self) -> EngineOptions {
        EngineOptions {
            gallery: self.gallery_directory(),
            seal: self.storage.seal,
            compaction_bytes_per_second: self.storage.compaction_mib_per_second << 20,
            search_threads: self.search_threads(),
            fusion: self.recognition.fusion,
            models: self.model_paths(),
            recognizer: self.recognizer_options(),
            liveness: self.liveness.mode,
            features: self.recognition.features,
            doubts: self.enrolment.clone(),
            workers: self.workers(),
            queue: self.limits.queue,
            max_batch: self.limits.max_batch,
            picture_memory: self.budget().pictures,
        }
    }

    /// Folder of the collections.
    pub fn gallery_directory(&self) -> PathBuf {
        self.storage.data.join("gallery")
    }

    /// Most threads of one search.
    pub fn search_threads(&self) -> usize {
        match self.storage.search_threads {
            0 => cores(),
            threads => threads,
        }
    }

    pub fn server_options(&self) -> ServerOptions {
        let budget = self.budget();
        ServerOptions {
            max_body_bytes: self.limits.max_body_bytes,
            body_memory: (budget.small_bodies, budget.large_bodies),
            max_connections: self.server.max_connections,
            max_connections_per_ip: self.server.max_connections_per_ip,
            header_timeout: Duration::from_secs(self.server.header_timeout_s),
            body_idle_timeout: Duration::from_secs(self.server.body_idle_timeout_s),
            write_timeout: Duration::from_secs(self.server.write_timeout_s),
            drain_timeout: Duration::from_secs(self.server.drain_timeout_s),
            // Checked when it was read.
            pages: pages::of(&self.server).unwrap_or_default(),
        }
    }

    pub fn recognizer_options(&self) -> RecognizerOptions {
        RecognizerOptions {
            limits: PictureLimits {
                max_bytes: self.limits.max_picture_bytes,
                max_pixels: self.max_pixels(),
                ..PictureLimits::default()
            },
            min_detection_score: self.recognition.min_detection_score,
            face: FaceChoice::Largest,
            far: self.recognition.far,
            gates: self.quality.gates(),
            liveness_threshold: self.liveness.threshold,
            threads: self.threads(),
        }
    }

    /// Pixels of the largest picture.
    fn max_pixels(&self) -> u64 {
        (self.limits.max_picture_megapixels * 1e6) as u64
    }

    /// Memory for the requests of all clients, by what the service may use here.
    pub fn budget(&self) -> Budget {
        self.budget_of(Usable::read(Path::new("/")).as_ref())
    }

    /// The same for another machine.
    pub fn budget_of(&self, usable: Option<&Usable>) -> Budget {
        let limits = &self.limits;
        let wishes = Wishes {
            bodies: match limits.max_body_memory {
                0 => 0,
                // One of the largest must fit.
                bodies => bodies.max(limits.max_body_bytes),
            },
            pictures: limits.max_picture_memory,
            workers: self.workers(),
            connections: self.server.max_connections,
            max_pixels: self.max_pixels(),
        };
        Budget::new(usable, wishes)
    }

    pub fn model_paths(&self) -> ModelPaths {
        let models = self.models.clone();
        ModelPaths {
            table: models.table,
            detector: models.detector,
            landmarks: models.landmarks,
            embedder: models.embedder,
            liveness: models.liveness,
        }
    }

    /// Number of recognition threads.
    pub fn workers(&self) -> usize {
        match self.recognition.workers {
            0 => cores().min(4),
            workers => workers,
        }
    }

    /// Threads inside each network: no more than leave each worker a core of its own. The runtime's
    /// threads spin while they wait for each other; with fewer cores than threads a network takes
    /// ten to a hundred times as long.
    pub fn threads(&self) -> usize {
        let share = (cores() / self.workers()).max(1);
        self.recognition.threads.min(share)
    }

    /// Every key as `section.key`, and every section.
    pub fn known_keys() -> Vec<String> {
        // An absent option has no key in TOML.
        let anything = Some(PathBuf::from("x"));
        let every_key = Config {
            models: Models {
                table: anything.clone(),
                detector: anything.clone(),
                landmarks: anything.clone(),
                embedder: anything.clone(),
                liveness: anything,
            },
            quality: GateLimits::all(0.0),
            liveness: Liveness {
                threshold: Some(0.5),
                ..Liveness::default()
            },
            door: door::settings::Settings::with_every_key(),
            ..Config::default()
        };
        let table = toml::Table::try_from(every_key).unwrap_or_default();
        let mut keys = Vec::new();
        add_keys("", &table, &mut keys);
        keys
    }
}

fn add_keys(prefix: &str, table: &toml::Table, keys: &mut Vec<String>) {
    for (name, value) in table {
        let key = format!("{prefix}{name}");
        if let Some(inner) = value.as_table() {
            add_keys(&format!("{key}."), inner, keys);
        }
        keys.push(key);
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The one of `known` keys most like `key`; a right name in the wrong section counts as near.
pub(crate) fn nearest(key: &str, known: Vec<String>) -> Option<String> {
    let leaf = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let likeness = |known: &String| {
        let leaves = strsim::jaro_winkler(&leaf(key), &leaf(known));
        let whole = strsim::jaro_winkler(key, known);
        0.7 * leaves + 0.3 * whole
    };
    (known.into_iter())
        .map(|known| (likeness(&known), known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > 0.6)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod shipped;

#[cfg(test)]
mod tests;
