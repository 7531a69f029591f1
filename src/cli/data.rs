//! The daemon's data folder, for the verbs that work on it themselves.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use crate::config::Config;
use crate::gallery::{self, Gallery, GalleryError, SealError, Surveyed, survey};
use crate::inference::ModelSet;
use crate::license::device::DeviceIdentity;
use crate::shown::Shown;

/// Ends the name of a collection that `restore --replace` has not finished with. The API gives out no name with a full stop, so
/// it is never one of a customer's.
pub(super) const RESTORING: &str = ".restoring";

/// Where the data is.
#[derive(Args)]
pub(super) struct DataArguments {
    /// Data folder, in place of the configuration's
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Configuration file [default: /etc/recocomp/recocomp.toml if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl DataArguments {
    /// The configuration, with the data folder of the command line.
    pub fn load(&self) -> Result<Config, Failure> {
        let mut config = Config::load(self.config.as_deref())?;
        if let Some(data) = &self.data {
            config.storage.data = data.clone();
        }
        Ok(config)
    }
}

/// Reads every collection without locking or changing anything.
pub(super) fn surveyed(config: &Config, thorough: bool) -> Result<Vec<Surveyed>, Failure> {
    let directory = config.gallery_directory();
    let mut found = survey(&directory, &DeviceIdentity::read(), thorough)
        .map_err(|error| explain(&error, &directory))?;
    // Deleted by the daemon between listing and reading: no finding.
    found.retain(|one| one.contents.is_ok() || one.directory.exists());
    Ok(found)
}

/// The sentence for a gallery that cannot be read at all, with the way out.
fn explain(error: &GalleryError, directory: &Path) -> Failure {
    match kind(error) {
        Some(io::ErrorKind::NotFound) => no_gallery(directory),
        Some(io::ErrorKind::PermissionDenied) => format!(
            "{error}; run this as the user to whom the folder belongs, for example with sudo -u recocomp"
        )
        .into(),
        _ => error.to_string().into(),
    }
}

pub(super) fn no_gallery(directory: &Path) -> Failure {
    format!(
        "there is no gallery at {}; name the daemon's data folder with --data or its configuration with --config",
        directory.shown()
    )
    .into()
}

fn kind(error: &GalleryError) -> Option<io::ErrorKind> {
    match error {
        GalleryError::Storage { source, .. } | GalleryError::Seal(SealError::Io { source, .. }) => {
            Some(source.kind())
        }
        _ => None,
    }
}

/// The embedding model that a daemon with this configuration runs.
pub(super) fn template_space(config: &Config) -> Result<String, Failure> {
    Ok(ModelSet::load(&config.model_paths())?.template_space)
}

/// Opens the gallery as the daemon does, in its place. Damage that was found is told on stderr.
pub(super) fn open_gallery(
    config: &Config,
    template_space: String,
    max_collections: usize,
) -> Result<Gallery, Failure> {
    let directory = config.gallery_directory();
    let options = gallery::Options {
        template_space,
        max_collections,
        sealed_to: config.storage.seal.then(DeviceIdentity::read),
        ..gallery::Options::default()
    };
    let gallery = Gallery::open(&directory, options).map_err(|error| match error {
        GalleryError::Locked { .. } => {
            format!("{error}; stop the daemon first, for example with systemctl stop recocomp")
                .into()
        }
        error => explain(&error, &directory),
    })?;
    for warning in gallery.warnings() {
        eprintln!(
            "warning: {}: {}",
            warning.directory.shown(),
            warning.what.shown()
        );
    }
    Ok(gallery)
}
