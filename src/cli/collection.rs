//! `recocomp collection`: looking at collections, and carrying single ones from device to device.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use indicatif::HumanBytes;
use serde_json::json;

use super::backup::{Target, warn};
use super::data::{DataArguments, open_gallery, template_space};
use super::inventory::{Entry, inventory};
use super::owner::become_owner;
use super::restore::{bring, check_license, check_model, check_room, take, verify};
use super::secret::{KeyArguments, LockArguments};
use super::{Failure, print, print_json};
use crate::engine::check_collection_name;
use crate::gallery::portable::Reader;
use crate::gallery::{GalleryError, MAX_COLLECTIONS};
use crate::shown::Shown;

/// List, show, export and import collections
#[derive(Subcommand)]
pub enum Verb {
    List(ListArguments),
    Show(ShowArguments),
    Export(ExportArguments),
    Import(ImportArguments),
}

/// List the collections
///
/// May run while the daemon serves. Exit code: 0, or 1 if they could not be listed.
#[derive(Args)]
pub struct ListArguments {
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataArguments,
}

/// Show one collection
///
/// May run while the daemon serves. Exit code: 0, or 1 if there is no such collection or it could not be read.
#[derive(Args)]
pub struct ShowArguments {
    /// Name of the collection
    name: String,
    /// Also everyone in it: target id and number of features
    #[arg(long)]
    people: bool,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    data: DataArguments,
}

/// Write one collection into a sealed file
///
/// May run while the daemon serves. The file is of the kind that `recocomp backup` writes. Exit code: as `recocomp backup`.
#[derive(Args)]
pub struct ExportArguments {
    /// Name of the collection
    name: String,
    /// File to write
    file: PathBuf,
    #[command(flatten)]
    lock: LockArguments,
    /// Replace FILE if it exists
    #[arg(long)]
    force: bool,
    /// Do not read the file back
    #[arg(long)]
    no_verify: bool,
    #[command(flatten)]
    data: DataArguments,
}

/// Make a collection from a sealed file
///
/// The daemon must be stopped; run this as the user that it runs as. The license must be installed before, and its limits hold.
/// Exit code: 0 if the collection is there, 1 if not.
#[derive(Args)]
pub struct ImportArguments {
    /// File with one collection, as `recocomp collection export` writes it
    file: PathBuf,
    #[command(flatten)]
    key: KeyArguments,
    /// Name of the new collection [default: the one that it had]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    data: DataArguments,
}

pub fn run(verb: &Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::List(arguments) => list(arguments).map(|()| ExitCode::SUCCESS),
        Verb::Show(arguments) => show(arguments).map(|()| ExitCode::SUCCESS),
        Verb::Export(arguments) => export(arguments),
        Verb::Import(arguments) => import(arguments).map(|()| ExitCode::SUCCESS),
    }
}

fn list(arguments: &ListArguments) -> Result<(), Failure> {
    let collections = inventory(&arguments.data.load()?, false)?;
    if arguments.json {
        return print_json(&json!({"collections": collections}));
    }
    let mut text = String::new();
    for collection in &collections {
        let remark = match collection.findings.len() {
            0 => "",
            _ => " (recocomp check says what is wrong)",
        };
        text += &format!(
            "{}: {}{remark}\n",
            collection.title(),
            collection.contents()
        );
    }
    text += &format!("{} collections\n", collections.len());
    print(&text)
}

fn show(arguments: &ShowArguments) -> Result<(), Failure> {
    let collection = named(&arguments.data, &arguments.name)?;
    let mut people = Vec::new();
    if arguments.people
        && let Some(snapshot) = &collection.snapshot
    {
        people = snapshot.in_order()?;
    }
    if arguments.json {
        let mut shown = serde_json::to_value(&collection)?;
        if arguments.people {
            let people = (people.iter())
                .map(|(target, features)| json!({"target_id": target, "features": features.len()}));
            shown["everyone"] = people.collect();
        }
        return print_json(&shown);
    }
    let mut text = String::new();
    let number = |number: Option<usize>| number.unwrap_or_default().to_string();
    for (what, value) in [
        ("name", collection.title()),
        ("uuid", collection.uuid.clone()),
        ("created", collection.created.clone().unwrap_or_default()),
        ("updated", collection.updated.clone().unwrap_or_default()),
        ("people", number(collection.people)),
        ("features", number(collection.features)),
        (
            "model",
            collection.model.as_deref().unwrap_or_default().shown(),
        ),
        ("on disk", HumanBytes(collection.bytes).to_string()),
    ] {
        text += &format!("{what:<9} {value}\n");
    }
    for finding in &collection.findings {
        text += &format!("{:<9} {finding}\n", "finding");
    }
    for (target, features) in people {
        text += &format!("{:>9} features  {}\n", features.len(), target.shown());
    }
    print(&text)
}

/// The collection that is served under this name.
fn named(data: &DataArguments, name: &str) -> Result<Entry, Failure> {
    (inventory(&data.load()?, false)?.into_iter())
        .find(|entry| entry.name.as_deref() == Some(name))
        .ok_or_else(|| {
            let name = name.to_owned();
            GalleryError::UnknownCollection { name }.into()
        })
}

fn export(arguments: &ExportArguments) -> Result<ExitCode, Failure> {
    let target = Target {
        path: &arguments.file,
        lock: arguments.lock.lock()?,
        replace: arguments.force,
        verify: !arguments.no_verify,
    };
    let chosen = [named(&arguments.data, &arguments.name)?];
    let warned = warn(&chosen);
    let snapshots: Vec<_> = chosen.iter().filter_map(|c| c.snapshot.as_ref()).collect();
    target.write(&snapshots)?;
    Ok(match warned {
        false => ExitCode::SUCCESS,
        true => ExitCode::from(2),
    })
}

fn import(arguments: &ImportArguments) -> Result<(), Failure> {
    let config = arguments.data.load()?;
    if let Some(name) = &arguments.name {
        check_collection_name(name)?;
    }
    become_owner(&config, false)?;
    let reader = Reader::open(&arguments.file, &arguments.key.key()?)?;
    let [head] = reader.heads() else {
        return Err(format!(
            "{} holds {} collections; recocomp restore picks from it with --collection",
            arguments.file.shown(),
            reader.heads().len()
        )
        .into());
    };
    let name = arguments.name.as_deref().unwrap_or(&head.name);
    check_collection_name(name)?;
    let space = template_space(&config)?;
    check_model(head, &space)?;
    let gallery = open_gallery(&config, space, MAX_COLLECTIONS)?;
    check_room(
        &gallery,
        [name].into_iter(),
        false,
        "give the new one another with --name",
    )?;
    check_license(&config, &gallery, [(name, head.people)].into_iter())?;
    verify(&reader)?;
    for (head, people) in reader.collections() {
        bring(&gallery, head, name, &take(head, people)?, false)?;
    }
    println!(
        "imported {name}: {} people, {} features",
        head.people, head.features
    );
    Ok(())
}
