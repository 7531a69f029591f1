//! `recocomp restore`

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use half::f16;
use indicatif::HumanBytes;

use super::bench::progress_bar;
use super::data::{DataArguments, RESTORING, open_gallery, template_space};
use super::inventory::rfc3339;
use super::owner::become_owner;
use super::secret::KeyArguments;
use super::{Failure, while_doing};
use crate::config::Config;
use crate::engine::{check_collection_name, check_target_id};
use crate::gallery::portable::{CollectionHead, People, Person, Reader};
use crate::gallery::{Gallery, GalleryError, Imported, MAX_COLLECTIONS, RowBits};
use crate::license;
use crate::shown::Shown;

/// Bring the collections of a backup back
///
/// The daemon must be stopped. The whole file is read and verified first; each collection then appears as a whole or not at all.
/// Run this as the user that the daemon runs as, so that the files belong to it. The license must be installed before, and its limits hold.
///
/// Exit code: 0 if everything asked for is restored, 1 if not.
#[derive(Args)]
pub struct Arguments {
    /// File that `recocomp backup` or `recocomp collection export` wrote
    file: PathBuf,
    #[command(flatten)]
    key: KeyArguments,
    /// Only the collection of this name; may be given several times
    #[arg(long = "collection", value_name = "NAME")]
    collections: Vec<String>,
    /// Put the collections of the file in the place of those of the same name
    #[arg(long)]
    replace: bool,
    /// Show what the file holds and restore nothing
    #[arg(long)]
    list: bool,
    /// Take the whole collections of a file that is cut off or damaged, where no better one is left
    #[arg(long)]
    incomplete: bool,
    #[command(flatten)]
    data: DataArguments,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let config = arguments.data.load()?;
    let key = arguments.key.key()?;
    let reader = match arguments.incomplete {
        true => Reader::open_incomplete(&arguments.file, &key)?,
        false => Reader::open(&arguments.file, &key)?,
    };
    if !reader.is_complete() {
        eprintln!("warning: the end of the file is missing; collections may be missing, too");
    }
    if arguments.list {
        list(&reader);
        return Ok(ExitCode::SUCCESS);
    }
    let wanted: HashSet<&str> = match arguments.collections.is_empty() {
        true => reader.heads().iter().map(|h| h.name.as_str()).collect(),
        false => arguments.collections.iter().map(String::as_str).collect(),
    };
    become_owner(&config, false)?;
    let space = template_space(&config)?;
    check_heads(reader.heads(), &wanted, &space)?;
    let gallery = open_gallery(&config, space, MAX_COLLECTIONS + 1)?;
    let way_out = "--replace puts the one of the file in its place, --collection picks others";
    check_room(&gallery, wanted.iter().copied(), arguments.replace, way_out)?;
    let coming = (reader.heads().iter())
        .filter(|head| wanted.contains(head.name.as_str()))
        .map(|head| (head.name.as_str(), head.people));
    check_license(&config, &gallery, coming)?;
    verify(&reader)?;
    let mut done = 0;
    for (head, people) in reader.collections() {
        if !wanted.contains(head.name.as_str()) {
            continue;
        }
        let brought = take(head, people)
            .and_then(|people| bring(&gallery, head, &head.name, &people, arguments.replace));
        brought.map_err(while_doing(format!(
            "{done} of {} collections are restored, {} is not",
            wanted.len(),
            head.name
        )))?;
        done += 1;
        println!(
            "{}: {} people, {} features",
            head.name, head.people, head.features
        );
    }
    println!("restored {done} collections");
    Ok(ExitCode::SUCCESS)
}

fn list(reader: &Reader) {
    for head in reader.heads() {
        println!(
            "{}: {} people, {} features, changed {}, model {}",
            head.name.shown(),
            head.people,
            head.features,
            rfc3339(head.updated),
            head.template_space.shown()
        );
    }
    let summary = reader.summary();
    println!(
        "{} collections, {} people, {} features, {}",
        summary.collections,
        summary.people,
        summary.features,
        HumanBytes(summary.bytes)
    );
}

/// Refuses what could not be served, before anything is changed.
fn check_heads(
    heads: &[CollectionHead],
    wanted: &HashSet<&str>,
    space: &str,
) -> Result<(), Failure> {
    let mut seen = HashSet::new();
    for head in heads {
        let name = head.name.as_str();
        if !wanted.contains(name) {
            continue;
        }
        check_collection_name(name)?;
        if !seen.insert(name) {
            return Err(format!("the file holds several collections named \"{name}\"").into());
        }
        check_model(head, space)?;
    }
    match wanted.iter().find(|name| !seen.contains(*name)) {
        Some(name) => Err(format!(
            "the file holds no collection named \"{name}\"; --list shows what it holds"
        )
        .into()),
        None => Ok(()),
    }
}

/// Templates of different models cannot be compared.
pub(super) fn check_model(head: &CollectionHead, space: &str) -> Result<(), Failure> {
    match head.template_space == space {
        true => Ok(()),
        false => Err(format!(
            "collection \"{}\" was enrolled with the face model \"{}\", this device runs \"{space}\"; install the matching model, \
             or enrol again from pictures",
            head.name, head.template_space
        )
        .into()),
    }
}

/// Refuses names that are taken, and more collections than a gallery holds.
pub(super) fn check_room<'a>(
    gallery: &Gallery,
    names: impl Iterator<Item = &'a str>,
    replace: bool,
    way_out: &str,
) -> Result<(), Failure> {
    let there: HashSet<String> = (gallery.list().into_iter().map(|c| c.name))
        .filter(|name| !name.ends_with(RESTORING))
        .collect();
    let mut new = 0;
    for name in names {
        match there.contains(name) {
            false => new += 1,
            true if replace => {}
            true => {
                return Err(format!(
                    "a collection named \"{name}\" exists already, so nothing was done; {way_out}"
                )
                .into());
            }
        }
    }
    let limit = MAX_COLLECTIONS;
    match new > 0 && there.len() + new > limit {
        true => Err(GalleryError::CollectionQuota { limit }.into()),
        false => Ok(()),
    }
}

/// Refuses what the license does not allow, as the daemon would.
pub(super) fn check_license<'a>(
    config: &Config,
    gallery: &Gallery,
    coming: impl Iterator<Item = (&'a str, u64)>,
) -> Result<(), Failure> {
    let limits = license::of_files(&config.storage.data)?.limits();
    let mut after: HashMap<String, u64> = (gallery.list().into_iter())
        .filter(|there| !there.name.ends_with(RESTORING))
        .map(|there| (there.name, there.person_num as u64))
        .collect();
    let people = |all: &HashMap<String, u64>| all.values().sum::<u64>();
    let (collections_before, people_before) = (after.len() as u64, people(&after));
    after.extend(coming.map(|(name, people)| (name.to_owned(), people)));
    for (what, limit, before, after) in [
        ("people", limits.people, people_before, people(&after)),
        (
            "collections",
            limits.collections,
            collections_before,
            after.len() as u64,
        ),
    ] {
        // What is there already is nobody's fault now.
        if let Some(limit) = limit.filter(|limit| after > *limit && after > before) {
            return Err(format!(
                "the limit of the license is {limit} {what}; there are {before} and would be {after}, so nothing was done"
            )
            .into());
        }
    }
    Ok(())
}

/// Reads the whole file, so that one that is damaged anywhere restores nothing.
pub(super) fn verify(reader: &Reader) -> Result<(), Failure> {
    let bar = progress_bar("people verified", reader.summary().people as usize);
    let verified = reader.verify(|people| bar.set_position(people));
    bar.finish_and_clear();
    verified.map_err(|error| format!("nothing was restored: {error}"))?;
    Ok(())
}

/// Everyone of a collection, in byte order, checked: whoever knows a public key can make a file.
pub(super) fn take(head: &CollectionHead, people: People<'_>) -> Result<Vec<Person>, Failure> {
    let mut all = Vec::with_capacity(
        usize::try_from(head.people)
            .unwrap_or_default()
            .min(1 << 20),
    );
    for person in people {
        let (target, features) = person?;
        check_target_id("a target id in the file", &target)?;
        if features.is_empty() || !features.iter().all(has_length_one) {
            return Err("the file holds a person without a sound template".into());
        }
        all.push((target, features));
    }
    all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    match all.windows(2).any(|two| two[0].0 == two[1].0) {
        true => Err("the file holds a person twice".into()),
        false => Ok(all),
    }
}

fn has_length_one(feature: &RowBits) -> bool {
    let square = |&bits: &u16| f64::from(f16::from_bits(bits)).powi(2);
    let length = feature.iter().map(square).sum::<f64>().sqrt();
    (0.99..=1.01).contains(&length)
}

/// Makes the collection `name`. One that it replaces is deleted only once the new one is durable under another name, so that a
/// power cut leaves one of the two whole at any moment.
pub(super) fn bring(
    gallery: &Gallery,
    head: &CollectionHead,
    name: &str,
    people: &[Person],
    replace: bool,
) -> Result<(), Failure> {
    let people: Vec<(&str, &[RowBits])> = (people.iter())
        .map(|(target, features)| (target.as_str(), features.as_slice()))
        .collect();
    let import = |name: &str| {
        let imported = Imported {
            name: name.to_owned(),
            template_space: head.template_space.clone(),
            created: head.created,
            updated: head.updated,
        };
        gallery.import(&imported, &people)
    };
    let staged = format!("{name}{RESTORING}");
    let is_there = |name: &str| gallery.status(name).is_ok();
    if replace && is_there(name) {
        if is_there(&staged) {
            gallery.delete(&staged)?;
        }
        import(&staged)?;
        gallery.delete(name)?;
    }
    import(name)?;
    if is_there(&staged) {
        gallery.delete(&staged)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_templates_of_length_one_are_taken() {
        let mut feature = [0; 192];
        assert!(!has_length_one(&feature));
        feature[7] = f16::from_f32(-1.0).to_bits();
        assert!(has_length_one(&feature));
        feature[8] = f16::from_f32(0.2).to_bits();
        assert!(!has_length_one(&feature));
    }
}
