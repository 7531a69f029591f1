//! `recocomp enroll`: a folder of pictures into a collection.

mod client;
mod doubts;
mod walk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::Args;
use serde_json::json;
use zeroize::Zeroizing;

use self::client::{Client, resolve};
use self::doubts::Told;
use self::walk::{Passed, look_through};
use super::bench::progress_bar;
use super::owner::become_owner;
use super::serve::AddressFile;
use super::{Failure, secret, while_doing};
use crate::config::Config;
use crate::engine::{
    Asked, Code, EncodedPicture, Engine, Error, Item, check_collection_name, new_target_id,
};
use crate::license::{self, License};
use crate::recognition::{EncodedFile, FarLooks};
use crate::shown::Shown;
use crate::text_file::{self, Pipes};
use crate::{inference, telemetry};

/// Enrol a folder of pictures
///
/// A folder in DIR is a person and every picture in it is of them: DIR/ada/1.jpg, DIR/ada/2.jpg. A picture directly in
/// DIR is of the person it is named after, without a number at the end: DIR/ada.jpg, DIR/ada_0002.jpg.
///
/// What cameras, telephones and network drives leave beside pictures (thumbnails, deleted files, hidden and system folders, files that are no
/// pictures) is passed over, and told.
///
/// A face that is enrolled under another name, or is unlike the other faces of its person, is told as doubtful and enrolled all the
/// same, unless the configuration refuses it.
///
/// A picture that its person has already is not stored again, so an import that was interrupted goes on by being run again.
///
/// Exit code: 0 if every picture was enrolled, 2 if some were refused, 1 if the work could not be done.
#[derive(Args)]
pub struct Arguments {
    /// Folder of pictures
    dir: PathBuf,
    /// Collection to enrol into; made if there is none of this name
    #[arg(long, value_name = "NAME")]
    collection: String,
    /// Enrol through the daemon at this address [default: into the data folder; through the daemon if one runs on it]
    #[arg(long, value_name = "HOST:PORT")]
    server: Option<String>,
    /// Follow links to folders outside DIR, too
    #[arg(long)]
    follow_links: bool,
    /// Look at every picture in tiles as well, for small faces; some twenty times the work
    #[arg(long)]
    far: bool,
    /// File with the token that the daemon's door asks of whoever changes its people [default: the variable RECOCOMP_TOKEN; for the daemon
    /// on this data also door.token_file of the configuration]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Data folder, in place of the configuration's
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Configuration file [default: /etc/recocomp/recocomp.toml if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    check_collection_name(&arguments.collection)?;
    let mut config = Config::load(arguments.config.as_deref())?;
    if let Some(data) = &arguments.data {
        config.storage.data = data.clone();
    }
    if arguments.server.is_none() {
        become_owner(&config, false)?;
    }
    let album = pictures_below(&arguments.dir, arguments.follow_links)?;
    // Pictures go one after the other, each with its reason: more workers would idle.
    config.recognition.workers = 1;
    telemetry::start();
    inference::bound_allocator();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let report = runtime.block_on(async {
        let into = Destination::open(&arguments, &config).await?;
        let max_bytes = config.limits.max_picture_bytes;
        enrol(into, &arguments.collection, album, max_bytes).await
    })?;
    report.print();
    Ok(match report.refused.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(2),
    })
}

/// A picture on disk and whose it is.
struct Portrait {
    person: String,
    path: PathBuf,
}

/// A file that was not enrolled, and why.
type Refused = (PathBuf, String);

/// What there is in the folder.
struct Album {
    portraits: Vec<Portrait>,
    refused: Vec<Refused>,
    passed: Passed,
}

#[derive(Default)]
struct Report {
    enrolled: BTreeMap<String, usize>,
    refused: Vec<Refused>,
    /// Files whose faces their people had.
    already: usize,
    passed: Passed,
    /// Files that were enrolled and should be looked at, and why.
    doubtful: Vec<(PathBuf, String)>,
    /// How far to trust that; the last one said.
    remark: Option<String>,
}

impl Report {
    fn print(&self) {
        for line in self.passed.lines() {
            println!("{line}");
        }
        for (path, reason) in &self.refused {
            println!("refused: {}: {}", path.shown(), reason.shown());
        }
        for (path, reason) in &self.doubtful {
            println!("doubtful: {}: {}", path.shown(), reason.shown());
        }
        if let Some(remark) = &self.remark {
            println!("{}", remark.shown());
        }
        let passed = match self.passed.count() {
            0 => String::new(),
            some => format!(", passed over {some}"),
        };
        let doubtful = match self.doubtful.len() {
            0 => String::new(),
            some => format!(", doubtful {some}"),
        };
        let already = match self.already {
            0 => String::new(),
            some => format!(", enrolled already {some}"),
        };
        println!(
            "enrolled {} pictures of {} people, refused {}{doubtful}{already}{passed}",
            self.enrolled.values().sum::<usize>(),
            self.enrolled.len(),
            self.refused.len()
        );
    }
}

async fn enrol(
    mut into: Destination,
    collection: &str,
    album: Album,
    max_bytes: usize,
) -> Result<Report, Failure> {
    if into.create(collection).await? {
        println!("made the collection {collection}");
    }
    let bar = progress_bar("pictures", album.portraits.len());
    let mut report = Report {
        refused: album.refused,
        passed: album.passed,
        ..Report::default()
    };
    for Portrait { person, path } in &album.portraits {
        let outcome = match read_picture(path, max_bytes) {
            Ok(bytes) => (into.insert(collection, person, STANDARD.encode(bytes))).await,
            Err(reason) => Ok(Err(reason)),
        };
        match outcome {
            Ok(Ok(told)) => {
                match told.already {
                    true => report.already += 1,
                    false => *report.enrolled.entry(person.clone()).or_default() += 1,
                }
                if !told.reasons.is_empty() {
                    (report.doubtful).push((path.clone(), told.reasons.join("; ")));
                }
                report.remark = told.remark.or(report.remark);
            }
            Ok(Err(reason)) => report.refused.push((path.clone(), reason)),
            Err(e) => {
                // What was done and refused so far is worth knowing all the same.
                bar.abandon();
                report.print();
                return Err(while_doing(path.shown())(e));
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(report)
}

/// A whole file, or why it is refused. A large one is not read: folders hold films, too.
fn read_picture(path: &Path, max_bytes: usize) -> Result<Vec<u8>, String> {
    let size = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
    if size > max_bytes as u64 {
        return Err(format!(
            "the file has {size} bytes, at most {max_bytes} are allowed"
        ));
    }
    std::fs::read(path).map_err(|e| e.to_string())
}

/// The pictures below `folder` with their people, and what cannot be taken.
fn pictures_below(folder: &Path, follow_links: bool) -> Result<Album, Failure> {
    if !folder.is_dir() {
        return Err(format!("{}: there is no such folder", folder.shown()).into());
    }
    let found = look_through(folder, follow_links);
    let (mut portraits, mut refused) = (Vec::new(), found.unreadable);
    for path in found.pictures {
        let Some(person) = person_of(folder, &path) else {
            refused.push((path, "the name is no UTF-8".into()));
            continue;
        };
        match new_target_id("the person's name", &person) {
            Ok(person) => portraits.push(Portrait { person, path }),
            Err(e) => refused.push((path, e.detail.unwrap_or_default())),
        }
    }
    if portraits.is_empty() && refused.is_empty() {
        let passed: Vec<_> = found.passed.lines().collect();
        let none = format!("{}: no pictures in this folder", folder.shown());
        return Err([vec![none], passed].concat().join("\n").into());
    }
    Ok(Album {
        portraits,
        refused,
        passed: found.passed,
    })
}

/// The first folder below `root`, or the file's name without its number.
fn person_of(root: &Path, path: &Path) -> Option<String> {
    let below = path.strip_prefix(root).ok()?;
    let first = below.components().next()?.as_os_str();
    if below.components().count() > 1 {
        return first.to_str().map(str::to_owned);
    }
    let stem = path.file_stem()?.to_str()?;
    let name = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    // Only a number that is set apart is one of several: "ada_2", not "agent007".
    match name.strip_suffix(['_', '-', ' ']) {
        Some(name) if !name.is_empty() && stem.len() > name.len() + 1 => Some(name.to_owned()),
        _ => Some(stem.to_owned()),
    }
}

/// Where templates go.
struct Destination {
    place: Destined,
    /// Whether pictures are looked at in tiles.
    far: bool,
    /// Not about duplicates, once it is known that they cannot be told there.
    asked: Asked,
}

/// A gallery opened here, or a daemon.
enum Destined {
    Here(Box<Engine>),
    Daemon(Client),
}

impl Destined {
    fn asking_for_doubts(self, far: bool) -> Destination {
        let asked = Asked {
            duplicates: true,
            disagreements: true,
            // So that an import that was interrupted goes on by being run again.
            skip_identical: true,
        };
        Destination {
            place: self,
            far,
            asked,
        }
    }
}

impl Destination {
    async fn open(arguments: &Arguments, config: &Config) -> Result<Destination, Failure> {
        let far = arguments.far;
        if let Some(server) = &arguments.server {
            let address = resolve(server)?;
            let client = Client::connect(address, arguments.token()?).await?;
            return Ok(Destined::Daemon(client).asking_for_doubts(far));
        }
        // A daemon says so itself.
        let refused = far && config.recognition.far == FarLooks::Off;
        // A daemon that runs on this data goes by its own.
        let license = license::of_files(&config.storage.data);
        let limits = license.clone().unwrap_or_else(|_| License::none());
        match Engine::start(config.engine_options(), limits) {
            Ok(_) if refused => {
                Err("--far cannot be had: recognition.far is \"off\" in the configuration".into())
            }
            Ok(engine) => license
                .map(|_| Destined::Here(Box::new(engine)).asking_for_doubts(far))
                .map_err(Failure::from),
            Err(e) if e.is_locked() => {
                let address = AddressFile::read(&config.storage.data)
                    .ok_or_else(|| format!("{e}; name its address with --server"))?;
                let token = arguments.token()?.or_else(|| token_of_door(config));
                let client = Client::connect(address, token).await.map_err(|refused| {
                    format!("{e}; and {refused}: name its address with --server")
                })?;
                eprintln!("a daemon runs on this data: enrolling through {address}");
                Ok(Destined::Daemon(client).asking_for_doubts(far))
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Makes the collection; `false` if there was one.
    async fn create(&mut self, collection: &str) -> Result<bool, Failure> {
        let made = match &mut self.place {
            Destined::Here(engine) => engine.create_collection(collection.to_owned()).await,
            Destined::Daemon(client) => {
                let body = json!({"collection_name": collection});
                client.call("/create/collection", &body).await?.map(drop)
            }
        };
        match made {
            Ok(()) => Ok(true),
            Err(e) if e.code == Code::CollectionExists => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    /// Enrols one picture and says what is doubtful about it; the inner error is the reason for which it was refused.
    async fn insert(
        &mut self,
        collection: &str,
        person: &str,
        picture: String,
    ) -> Result<Result<Told, String>, Failure> {
        let picture = Bytes::from(picture);
        let mut outcome = self.try_to_insert(collection, person, &picture).await?;
        if let Err(e) = &outcome
            && e.code == Code::InvalidParameter
            && (e.detail.as_deref()).is_some_and(|detail| detail.starts_with("duplicates"))
            && self.asked.duplicates
        {
            // An embedding model without a table of impostors tells no duplicates.
            self.asked.duplicates = false;
            let why = e.detail.as_deref().unwrap_or(e.code.message());
            eprintln!("faces under two names are not looked for: {why}");
            outcome = self.try_to_insert(collection, person, &picture).await?;
        }
        match outcome {
            Ok(told) => Ok(Ok(told)),
            Err(e) => match e.code {
                Code::NoFace
                | Code::InvalidImage
                | Code::LowQuality
                | Code::AlreadyEnrolled
                | Code::TargetQuota => {
                    Ok(Err(e.detail.unwrap_or_else(|| e.code.message().to_owned())))
                }
                _ => Err(e.into()),
            },
        }
    }

    async fn try_to_insert(
        &mut self,
        collection: &str,
        person: &str,
        picture: &Bytes,
    ) -> Result<Result<Told, Error>, Failure> {
        let (asked, far) = (self.asked, self.far);
        Ok(match &mut self.place {
            Destined::Here(engine) => {
                let item = Item {
                    target: person.to_owned(),
                    picture: EncodedPicture {
                        file: EncodedFile::Base64(picture.clone()),
                        far,
                    },
                };
                let inserted = engine
                    .insert(collection.to_owned(), vec![item], asked)
                    .await;
                inserted.and_then(
                    |mut report| match (report.failure(), report.rejected.pop()) {
                        (None, _) => Ok(doubts::of_engine(report)),
                        (Some(_), Some((.., rejection))) => Err(rejection.into()),
                        (Some(code), None) => Err(Error::new(code)),
                    },
                )
            }
            Destined::Daemon(client) => {
                let body = json!({
                    "collection_name": collection,
                    "face_image": [String::from_utf8_lossy(picture)],
                    "target_id": [person],
                    "far": far,
                    "duplicates": asked.duplicates,
                    "disagreements": asked.disagreements,
                    "skip_identical": asked.skip_identical,
                });
                let answer = client.call("/face/insert", &body).await?;
                answer.map(|answer| doubts::of_answer(&answer))
            }
        })
    }
}

impl Arguments {
    /// The token that was given; not in the command line, which ps shows to everybody.
    fn token(&self) -> Result<Option<String>, Failure> {
        let given = match &self.token_file {
            Some(path) => {
                let wrong = while_doing(format!("the token file {}", path.shown()));
                let token = text_file::read_token(path, Pipes::Taken).map_err(wrong)?;
                Some(secret::told(token).text)
            }
            None => (std::env::var("RECOCOMP_TOKEN").ok())
                .filter(|token| !token.is_empty())
                .map(Zeroizing::new),
        };
        let token = given.map(|token| token.trim().to_owned());
        let is_right = |t: &String| !t.is_empty() && t.bytes().all(|b| b.is_ascii_graphic());
        match token.as_ref().is_none_or(is_right) {
            true => Ok(token),
            false => Err("the token must be printable ASCII without white space".into()),
        }
    }
}

/// The token of this device's door, for the daemon on this device and no other.
fn token_of_door(config: &Config) -> Option<String> {
    let path = config.door.token_file.as_ref()?;
    let token = text_file::read_token(path, Pipes::Refused).ok()?;
    Some(token.text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_picture_a_file_is() {
        let root = Path::new("/faces");
        for (path, person) in [
            ("/faces/ada/1.jpg", "ada"),
            ("/faces/ada/2020/summer.jpg", "ada"),
            ("/faces/ada.jpg", "ada"),
            ("/faces/Ada_Lovelace_0002.jpg", "Ada_Lovelace"),
            ("/faces/ada-3.png", "ada"),
            ("/faces/agent007.jpg", "agent007"),
            ("/faces/42.jpg", "42"),
            ("/faces/_1.jpg", "_1"),
            ("/faces/ada_.jpg", "ada_"),
        ] {
            assert_eq!(
                person_of(root, Path::new(path)).as_deref(),
                Some(person),
                "{path}"
            );
        }
    }
}
