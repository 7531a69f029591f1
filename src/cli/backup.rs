//! `recocomp backup`

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use indicatif::HumanBytes;
use sha2::{Digest, Sha256};

use super::bench::progress_bar;
use super::data::{DataArguments, RESTORING};
use super::inventory::{Entry, inventory};
use super::secret::LockArguments;
use super::{Failure, while_doing};
use crate::gallery::portable::{
    CollectionHead, Key, Lock, Person, PortableError, Reader, Summary, Writer,
};
use crate::gallery::storage::{Access, Disk, Storage};
use crate::gallery::{GalleryError, Snapshot};
use crate::shown::Shown;

/// Write all collections into one sealed file
///
/// May run while the daemon serves: each collection is as it was at one moment. The file holds templates, names of collections and
/// target ids, no pictures; it can be restored on any device.
///
/// Until it is whole the file is called FILE.partial. After an interruption the same command goes on with it; whole collections that
/// have not changed since are not written again.
///
/// Exit code: 0 if the file is written and reads back well, 1 if not, 2 if it is but something in the gallery is damaged, which is
/// shown: keep the earlier backups then.
#[derive(Args)]
pub struct Arguments {
    /// File to write
    file: PathBuf,
    #[command(flatten)]
    lock: LockArguments,
    /// Only the collection of this name; may be given several times
    #[arg(long = "collection", value_name = "NAME")]
    collections: Vec<String>,
    /// Replace FILE if it exists
    #[arg(long)]
    force: bool,
    /// Do not read the file back
    #[arg(long)]
    no_verify: bool,
    #[command(flatten)]
    data: DataArguments,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let config = arguments.data.load()?;
    let target = Target {
        path: &arguments.file,
        lock: arguments.lock.lock()?,
        replace: arguments.force,
        verify: !arguments.no_verify,
    };
    // As late as possible: what is read now is what the file holds.
    let chosen = choose(inventory(&config, false)?, &arguments.collections)?;
    let warned = warn(&chosen);
    let snapshots: Vec<&Snapshot> = chosen.iter().filter_map(|c| c.snapshot.as_ref()).collect();
    target.write(&snapshots)?;
    Ok(match warned {
        false => ExitCode::SUCCESS,
        true => ExitCode::from(2),
    })
}

/// The collections of these names, or all that are served. Nothing that cannot be read is left out silently.
fn choose(entries: Vec<Entry>, names: &[String]) -> Result<Vec<Entry>, Failure> {
    let mut chosen: Vec<Entry> = Vec::new();
    for entry in entries {
        let wanted = match &entry.name {
            Some(name) => names.is_empty() && !name.ends_with(RESTORING) || names.contains(name),
            None if names.is_empty() => {
                return Err(format!(
                    "nothing was written, because a collection cannot be read: {}; name the ones to back up with --collection",
                    entry.findings.join(". ")
                )
                .into());
            }
            None => false,
        };
        // Of one name the oldest, as the daemon does.
        if wanted && !chosen.iter().any(|earlier| earlier.name == entry.name) {
            chosen.push(entry);
        }
    }
    for name in names {
        if !chosen.iter().any(|c| c.name.as_deref() == Some(name)) {
            let name = name.clone();
            return Err(GalleryError::UnknownCollection { name }.into());
        }
    }
    Ok(chosen)
}

/// Says what is wrong with what is written all the same; whether there was anything.
pub(super) fn warn(entries: &[Entry]) -> bool {
    for entry in entries {
        for finding in &entry.findings {
            eprintln!("warning: {}: {finding}", entry.title());
        }
    }
    entries.iter().any(|entry| !entry.is_sound())
}

/// The file to be written.
pub(super) struct Target<'a> {
    pub path: &'a Path,
    pub lock: Lock,
    pub replace: bool,
    pub verify: bool,
}

impl Target<'_> {
    /// Writes collections, reads the file back and says what is in it.
    pub fn write(&self, snapshots: &[&Snapshot]) -> Result<(), Failure> {
        let mut partial = self.path.as_os_str().to_owned();
        partial.push(".partial");
        let summary = self.seal(snapshots, Path::new(&partial)).map_err(|error| {
            let kept = match &error {
                PortableError::Io { .. } => {
                    "; the same command goes on where this stopped, or delete the unfinished file"
                }
                _ => "",
            };
            Failure::from(format!("{error}{kept}"))
        })?;
        let read_back = match self.verify {
            true => {
                self.read_back().map_err(while_doing(
                    "the file was written, but does not read back, so do not rely on it and take another medium",
                ))?;
                "; read back without a fault"
            }
            false => "",
        };
        println!(
            "wrote {}: {} collections, {} people, {} features, {}{read_back}",
            self.path.shown(),
            summary.collections,
            summary.people,
            summary.features,
            HumanBytes(summary.bytes),
        );
        Ok(())
    }

    fn seal(&self, snapshots: &[&Snapshot], partial: &Path) -> Result<Summary, PortableError> {
        let begun = partial.exists();
        let mut writer = Writer::create_or_resume(self.path, &self.lock, self.replace)?;
        let (mut left, mut total) = (Vec::new(), 0);
        for snapshot in snapshots {
            let head = head(snapshot);
            if !writer.has(&head) {
                total += snapshot.person_num();
                left.push((snapshot, head));
            }
        }
        if begun {
            eprintln!(
                "going on with {}, in which {} of {} collections are whole already",
                partial.shown(),
                snapshots.len() - left.len(),
                snapshots.len()
            );
        }
        let bar = progress_bar("people", total);
        let mut before = 0;
        for (snapshot, head) in left {
            let people = (snapshot.in_order()).map_err(|e| PortableError::Source(e.into()))?;
            let people = people.into_iter().map(|(target, features)| {
                Ok::<Person, Infallible>((target.to_owned(), features.to_vec()))
            });
            writer.collection(&head, people, |done| bar.set_position(before + done.people))?;
            before += head.people;
        }
        bar.finish_and_clear();
        writer.finish()
    }

    /// What was sealed for others cannot be opened here: then the sums alone are checked.
    fn read_back(&self) -> Result<(), PortableError> {
        // From the medium, not from memory.
        if let Ok(file) = Disk.open(self.path, Access::Read) {
            file.forget_cached();
        }
        match &self.lock {
            Lock::Passphrase(passphrase) => {
                let reader = Reader::open(self.path, &Key::Passphrase(passphrase.clone()))?;
                let bar = progress_bar("people read back", reader.summary().people as usize);
                reader.verify(|people| bar.set_position(people))?;
                bar.finish_and_clear();
                Ok(())
            }
            Lock::Recipients(_) => Reader::check_sums(self.path),
        }
    }
}

fn head(snapshot: &Snapshot) -> CollectionHead {
    let mut version = Sha256::new();
    version.update(snapshot.uuid().as_bytes());
    version.update(snapshot.version());
    CollectionHead {
        uuid: snapshot.uuid(),
        name: snapshot.name().to_owned(),
        template_space: snapshot.template_space().to_owned(),
        created: snapshot.created(),
        updated: snapshot.updated(),
        version: version.finalize().into(),
        people: snapshot.person_num() as u64,
        features: snapshot.feature_num() as u64,
    }
}
