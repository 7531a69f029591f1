//! `recocomp.toml` to [`Config`]. Every key has a default; an unknown key is refused.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::door;
use crate::engine::EngineOptions;
use crate::http::ServerOptions;
use crate::inference::ModelPaths;
use crate::recognition::{FaceChoice, PictureLimits, RecognizerOptions};

/// Read when `--config` is absent and the file exists.
pub const DEFAULT_PATH: &str = "/etc/recocomp/recocomp.toml";

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    pub server: Server,
    pub storage: Storage,
    pub limits: Limits,
    pub recognition: Recognition,
    pub models: Models,
    pub door: door::settings::Settings,
}

/// `[server]`: who is listened to and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Server {
    /// Address and port. A port of 0 takes a free one.
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

/// `[limits]`: what one request may ask for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes of a request's body.
    pub max_body_bytes: usize,
    /// Bytes of the bodies of all requests together.
    pub max_body_memory: usize,
    /// Pictures of one insert or update.
    pub max_batch: usize,
    /// Bytes of a picture, decoded from base64.
    pub max_picture_bytes: usize,
    /// Millions of pixels of a picture.
    pub max_picture_megapixels: f64,
    /// Requests that may wait for recognition, beside the ones being worked on.
    pub queue: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_body_bytes: 128 << 20,
            max_body_memory: 256 << 20,
            max_batch: 500,
            max_picture_bytes: 16 << 20,
            max_picture_megapixels: 40.0,
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
}

impl Default for Recognition {
    fn default() -> Self {
        Recognition {
            workers: 0,
            threads: 1,
            min_detection_score: 0.5,
        }
    }
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
}

/// Why a configuration cannot be used, in words for the person who wrote it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration {path}: {source}", path = path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
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
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.into(),
            source,
        })?;
        Config::parse(&text).map_err(|reason| ConfigError::Wrong {
            path: path.into(),
            reason,
        })
    }

    fn parse(text: &str) -> Result<Config, String> {
        let parsed = toml::Deserializer::parse(text).map_err(|e| e.to_string())?;
        let mut unknown = Vec::new();
        let config: Config =
            serde_ignored::deserialize(parsed, |path| unknown.push(path.to_string()))
                .map_err(|e| e.to_string())?;
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
            ("limits.max_body_memory", self.limits.max_body_memory),
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
        self.door.check()
    }

    pub fn engine_options(&self) -> EngineOptions {
        EngineOptions {
            gallery: self.gallery_directory(),
            seal: self.storage.seal,
            compaction_bytes_per_second: self.storage.compaction_mib_per_second << 20,
            search_threads: self.search_threads(),
            models: self.model_paths(),
            recognizer: self.recognizer_options(),
            workers: self.workers(),
            queue: self.limits.queue,
            max_batch: self.limits.max_batch,
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
        ServerOptions {
            max_body_bytes: self.limits.max_body_bytes,
            max_body_memory: self.limits.max_body_memory,
            max_connections: self.server.max_connections,
            max_connections_per_ip: self.server.max_connections_per_ip,
            header_timeout: Duration::from_secs(self.server.header_timeout_s),
            body_idle_timeout: Duration::from_secs(self.server.body_idle_timeout_s),
            write_timeout: Duration::from_secs(self.server.write_timeout_s),
            drain_timeout: Duration::from_secs(self.server.drain_timeout_s),
        }
    }

    pub fn recognizer_options(&self) -> RecognizerOptions {
        RecognizerOptions {
            limits: PictureLimits {
                max_bytes: self.limits.max_picture_bytes,
                max_pixels: (self.limits.max_picture_megapixels * 1e6) as u64,
            },
            min_detection_score: self.recognition.min_detection_score,
            face: FaceChoice::Largest,
            threads: self.threads(),
        }
    }

    pub fn model_paths(&self) -> ModelPaths {
        let models = self.models.clone();
        ModelPaths {
            table: models.table,
            detector: models.detector,
            landmarks: models.landmarks,
            embedder: models.embedder,
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
                embedder: anything,
            },
            door: door::settings::Settings::with_every_key(),
            ..Config::default()
        };
        let table = toml::Table::try_from(every_key).unwrap_or_default();
        (table.iter())
            .flat_map(|(section, keys)| {
                let keys = keys.as_table().into_iter().flat_map(toml::Table::keys);
                std::iter::once(section.clone()).chain(keys.map(move |k| format!("{section}.{k}")))
            })
            .collect()
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
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(Config::parse("").unwrap(), Config::default());
    }

    #[test]
    fn a_key_is_read() {
        let config =
            Config::parse("[server]\nlisten = \"127.0.0.1:9\"\n[limits]\nqueue = 0").unwrap();
        assert_eq!(config.server.listen.port(), 9);
        assert_eq!(config.limits.queue, 0);
    }

    #[test]
    fn unknown_keys_are_refused_with_the_nearest() {
        for (text, meant) in [
            ("[server]\nlisen = \"x\"", "server.listen"),
            ("[sever]\nlisten = \"x\"", "server"),
            ("listen = \"x\"", "server.listen"),
            ("[limits]\nworkers = 2", "recognition.workers"),
            ("[models]\nembeder = \"x\"", "models.embedder"),
        ] {
            let said = Config::parse(text).unwrap_err();
            assert!(
                said.contains(&format!("did you mean `{meant}`")),
                "{text}: {said}"
            );
        }
        assert!(
            !Config::parse("zzzz = 1")
                .unwrap_err()
                .contains("did you mean")
        );
    }

    #[test]
    fn wrong_values_name_the_key() {
        for (text, key) in [
            ("[limits]\nmax_batch = 0", "limits.max_batch"),
            ("[server]\nheader_timeout_s = 0", "header_timeout_s"),
            ("[recognition]\nworkers = 1000", "recognition.workers"),
            (
                "[recognition]\nmin_detection_score = 2.0",
                "min_detection_score",
            ),
            ("[limits]\nqueue = -1", "queue"),
            ("[server]\nlisten = \"somewhere\"", "listen"),
        ] {
            let said = Config::parse(text).unwrap_err();
            assert!(said.contains(key), "{text}: {said}");
        }
    }

    /// What is installed as `/etc/recocomp/recocomp.toml`.
    const SHIPPED: &str = include_str!("../systemd/recocomp.toml");

    #[test]
    fn the_shipped_file_changes_nothing_and_shows_every_default() {
        assert_eq!(Config::parse(SHIPPED).unwrap(), Config::default());
        // Sentences keep the blank behind their "#".
        let uncommented: String = (SHIPPED.lines())
            .map(|line| match line.strip_prefix('#') {
                Some(key) if !key.starts_with(' ') => format!("{key}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let shown = Config::parse(&uncommented).unwrap();
        let models = shown.models.clone();
        let defaults = Config {
            models: models.clone(),
            ..Config::default()
        };
        assert_eq!(shown, defaults);
        // These have no default that could be shown: the networks are inside the program.
        for example in [
            models.table,
            models.detector,
            models.landmarks,
            models.embedder,
        ] {
            assert!(example.unwrap().starts_with("/etc/recocomp"));
        }
        let table: toml::Table = uncommented.parse().unwrap();
        for key in Config::known_keys() {
            let whole = toml::Value::Table(table.clone());
            let shown = key
                .split('.')
                .try_fold(&whole, |value, part| value.get(part));
            assert!(shown.is_some(), "{key} is not shown");
        }
    }

    #[test]
    fn the_reference_describes_every_key() {
        let reference = include_str!("../docs/ref/config.md");
        for key in Config::known_keys() {
            let name = key.rsplit('.').next().unwrap();
            assert!(
                reference.contains(&format!("`{name}`"))
                    || reference.contains(&format!("[{name}]")),
                "{key}"
            );
        }
    }
}
