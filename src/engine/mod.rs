//! What the product does, free of HTTP: enrol, identify, verify, keep collections, open the door.

mod access;
mod appraisal;
mod collections;
mod decision;
mod detection;
mod door_health;
mod doubt_rules;
mod doubts;
mod enrolment;
mod error;
mod features;
mod identification;
mod licensing;
mod liveness;
mod metrics;
mod names;
mod opening;
mod people;
mod person;
mod probe;
mod replay;
mod room;
mod same_names;
mod turns;
mod wall_clock;

pub use access::{Access, AccessError, Caller, Forbidden, door_token};
pub use decision::{Decision, Enrolled, Impostors, Threshold, Undecidable, Unmeasured};
pub use door_health::DoorHealth;
pub use doubt_rules::{DisagreementRule, DoubtRules, DuplicateRule, IdenticalRule};
pub use doubts::{Asked, Disagreement, Doubts, Duplicate};
pub use enrolment::{EnrolmentReport, Item, Rejection};
pub use error::{Code, Error};
pub use features::{Embedding, Extraction};
pub use identification::{FaceMatches, Identification, Match, Verification};
pub use liveness::LivenessMode;
pub use metrics::Metrics;
pub use names::{check_collection_name, check_target_id, new_target_id};
pub use opening::{Opening, Reason};
pub use people::{DEFAULT_PAGE, PeoplePage, PersonReport};
pub use probe::Ailment;
pub use same_names::shown as shown_name;
pub use wall_clock::is_right as clock_is_right;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use self::appraisal::{Appraised, Appraiser};
use crate::gallery::{self, Fusion, Gallery, GalleryError, Keeper};
use crate::inference::{InferenceError, ModelPaths, ModelSet, Place, Pool, PoolOptions};
use crate::license::License;
use crate::license::device::DeviceIdentity;
use crate::recognition::{
    Checks, EncodedFile, FarLooks, Purpose, Recognition, Recognizer, RecognizerOptions, Refusal,
};

/// How an [`Engine`] is built.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Folder of the collections; made if missing.
    pub gallery: PathBuf,
    /// Whether journals are sealed with a key of this device.
    pub seal: bool,
    /// How fast the gallery is compacted in the background.
    pub compaction_bytes_per_second: u64,
    /// Most threads of one search.
    pub search_threads: usize,
    /// What of a person's features a search compares a face with.
    pub fusion: Fusion,
    pub models: ModelPaths,
    pub recognizer: RecognizerOptions,
    /// What searches and comparisons ask about liveness.
    pub liveness: LivenessMode,
    /// Whether templates are given to clients and taken from them.
    pub features: bool,
    /// What is done about doubtful enrolments.
    pub doubts: DoubtRules,
    /// Threads that recognise, each with its own networks.
    pub workers: usize,
    /// Requests that may wait for a worker, beside the ones being worked on.
    pub queue: usize,
    /// Pictures a batch.
    pub max_batch: usize,
    /// Bytes for large pictures that are worked on, of all clients.
    pub picture_memory: usize,
}

/// A picture not yet looked at.
#[derive(Clone, Debug)]
pub struct EncodedPicture {
    pub file: EncodedFile,
    /// Whether faces are looked for in tiles, so that small ones are found, too.
    pub far: bool,
}

/// Why the engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Model(#[from] InferenceError),
    #[error(transparent)]
    Gallery(#[from] GalleryError),
    #[error("the networks do not run here: {0}")]
    Rehearsal(Refusal),
    #[error(
        "`enrolment.duplicates` cannot be decided: the embedding model has no impostor_cosine in models.toml; set it to \"asked\""
    )]
    Undecidable,
    #[error("cannot start a recognition thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl StartError {
    /// Whether another process works on the same data.
    pub fn is_locked(&self) -> bool {
        matches!(self, StartError::Gallery(GalleryError::Locked { .. }))
    }
}

/// The appliance. Shared by all requests.
pub struct Engine {
    recognizers: Pool<Recognizer>,
    gallery: Arc<Gallery>,
    /// Compacts and scrubs as long as there is an engine.
    _keeper: Keeper,
    license: License,
    promised: licensing::Promised,
    embedding: Embedding,
    features: bool,
    doubts: DoubtRules,
    /// Where refusals of duplicates wait, so that of two requests with one face the second one sees the first.
    turns: turns::Turns,
    /// Without it duplicates are not looked for.
    impostors: Option<Impostors>,
    /// Without it no door opens.
    decision: Result<Decision, Unmeasured>,
    access: Option<Access>,
    liveness: LivenessMode,
    max_batch: usize,
    far_looks: FarLooks,
    appraiser: Appraiser,
}

/// A removal is erased from files of up to 14,000 features within a minute: a client that deletes all the time causes one new
/// generation in that time.
const ERASED_WITHIN: Duration = Duration::from_secs(60);

impl Engine {
    /// Loads the models, starts the workers and opens the gallery.
    ///
    /// # Errors
    /// [`StartError`], in words for the person who starts the daemon.
    pub fn start(options: EngineOptions, license: License) -> Result<Engine, StartError> {
        let models = ModelSet::load(&options.models)?;
        // First the gallery: a second daemon on the same data is told so at once.
        let gallery = Gallery::open(
            &options.gallery,
            gallery::Options {
                template_space: models.template_space.clone(),
                sealed_to: options.seal.then(DeviceIdentity::read),
                compaction_bytes_per_second: options.compaction_bytes_per_second,
                search_threads: options.search_threads,
                fusion: options.fusion,
                erased_within: ERASED_WITHIN,
                ..gallery::Options::default()
            },
        )?;
        if let Some(newest) = gallery.list().iter().map(|c| c.updated).max() {
            license.saw_commit(newest);
        }
        let impostors = Impostors::of(&models.embedder.entry);
        if let Some(impostors) = &impostors {
            same_names::unite(&gallery, impostors, &options.doubts);
        }
        let gallery = Arc::new(gallery);
        let keeper = Keeper::start(gallery.clone())?;
        let embedding = Embedding {
            model: models.embedder.entry.id.clone(),
            template_space: models.template_space.clone(),
            score: models.score,
        };
        if impostors.is_none() && options.doubts.duplicates != DuplicateRule::Asked {
            return Err(StartError::Undecidable);
        }
        let decision = Decision::of(&models.embedder.entry, options.fusion);
        let recognizer = options.recognizer;
        let files = models.clone();
        let pool = PoolOptions {
            workers: options.workers,
            places: options.workers + options.queue,
            memory: options.picture_memory,
        };
        let recognizers = Pool::start::<StartError, _>(pool, move || {
            let mut recognizer = Recognizer::new(&models, recognizer)?;
            recognizer.rehearse().map_err(StartError::Rehearsal)?;
            Ok(recognizer)
        })?;
        files.release_files();
        Ok(Engine {
            recognizers,
            gallery,
            _keeper: keeper,
            license,
            promised: licensing::Promised::default(),
            embedding,
            features: options.features,
            doubts: options.doubts,
            turns: turns::Turns::default(),
            impostors,
            decision,
            access: None,
            liveness: options.liveness,
            max_batch: options.max_batch,
            far_looks: recognizer.far,
            appraiser: Appraiser {
                max_pixels: recognizer.limits.max_pixels,
                memory: options.picture_memory,
            },
        })
    }

    pub fn license(&self) -> &License {
        &self.license
    }

    /// Pictures that one insert or update may have.
    pub fn max_batch(&self) -> usize {
        self.max_batch
    }

    pub fn far_looks(&self) -> FarLooks {
        self.far_looks
    }

    /// Takes a place in the queue of recognition.
    fn enter(&self) -> Result<Place<Recognizer>, Error> {
        self.recognizers.enter().ok_or_else(|| {
            Error::new(Code::Busy).with("every place in the queue is taken, try again")
        })
    }

    /// Recognises pictures in order, each on whichever worker is free.
    async fn recognize(
        &self,
        place: &Place<Recognizer>,
        pictures: impl IntoIterator<Item = EncodedPicture>,
        purpose: Purpose,
        checks: Checks,
    ) -> Vec<Result<Recognition, Rejection>> {
        let job = move |recognizer: &mut Recognizer, picture: Appraised| {
            let (file, far) = (picture.on(recognizer)?, picture.far());
            recognizer.recognize_file(file, purpose, Checks { far, ..checks })
        };
        let appraiser = self.appraiser;
        let pictures = pictures.into_iter().map(move |p| appraiser.appraise(p));
        let results = place.map(pictures, job).await;
        (results.into_iter())
            .map(|result| match result {
                Ok(Ok(recognition)) => Ok(recognition),
                Ok(Err(refusal)) => Err(Rejection::from(refusal)),
                Err(fault) => Err(Rejection::Fault(fault.to_string())),
            })
            .collect()
    }

    /// As [`Engine::with_gallery`], and nobody else has the request's place until `work` is done, even if the client leaves.
    async fn with_gallery_at<R: Send + 'static>(
        &self,
        place: &Arc<Place<Recognizer>>,
        work: impl FnOnce(&Gallery) -> Result<R, GalleryError> + Send + 'static,
    ) -> Result<R, GalleryError> {
        let held = place.clone();
        self.with_gallery(move |gallery| {
            let _held = held;
            work(gallery)
        })
        .await
    }

    /// Runs `work` where it may wait for the disk.
    async fn with_gallery<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Gallery) -> Result<R, GalleryError> + Send + 'static,
    ) -> Result<R, GalleryError> {
        let gallery = self.gallery.clone();
        match tokio::task::spawn_blocking(move || work(&gallery)).await {
            Ok(result) => result,
            // A panic in the store was logged by the hook; carry it on to the request's guard.
            Err(e) if e.is_panic() => std::panic::resume_unwind(e.into_panic()),
            Err(e) => Err(GalleryError::Storage {
                path: PathBuf::new(),
                source: std::io::Error::other(e),
                while_doing: "waiting for the disk",
            }),
        }
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Rejection {
        match refusal {
            Refusal::InvalidImage(reason) => Rejection::InvalidImage(reason),
            no_face @ Refusal::NoFace { .. } => Rejection::NoFace(no_face.to_string()),
            low @ Refusal::LowQuality(_) => Rejection::LowQuality(low.to_string()),
            attack @ Refusal::PresentationAttack { .. } => {
                Rejection::PresentationAttack(attack.to_string())
            }
            near @ Refusal::TooNear { .. } => Rejection::TooNear(near.to_string()),
            unreadable @ Refusal::Unreadable => Rejection::Unreadable(unreadable.to_string()),
            unknown @ Refusal::LivenessUnknown(_) => {
                tracing::error!("recognition: {unknown}");
                Rejection::PresentationAttack(unknown.to_string())
            }
            Refusal::Inference(e) => Rejection::Fault(e.to_string()),
            Refusal::Template(e) => Rejection::Fault(e.to_string()),
        }
    }
}
