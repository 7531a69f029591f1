//! Setting aside what cannot be read, and saying so.

use std::path::PathBuf;

use super::error::{GalleryError, Warning, WhileDoing};
use super::files::Home;
use super::generation::{Fault, copy_block, generation_name};
use super::journal::journal_name;
use super::reading::Reading;
use super::replay::{Damage, Replay};
use super::storage::Access;

/// Copies damaged blocks aside; the path of the first.
pub(super) fn quarantine_faults(
    home: &Home,
    name: &str,
    file: &dyn super::storage::StorageFile,
    faults: &[Fault],
) -> Result<Option<PathBuf>, GalleryError> {
    let mut first = None;
    for fault in faults.iter().filter(|fault| fault.length > 0) {
        let bytes = copy_block(file, fault)
            .while_doing("copying damaged bytes to quarantine", &home.path(name))?;
        let to = fault.at + fault.length as u64;
        let path = home.quarantine(&format!("{name}-bytes-{}-to-{to}", fault.at), &bytes)?;
        first.get_or_insert(path);
    }
    Ok(first)
}

/// The copies come first: once the files are written anew, the unreadable bytes are nowhere else.
pub(super) fn set_aside(
    home: &Home,
    reading: &Reading,
    warnings: &mut Vec<Warning>,
) -> Result<(), GalleryError> {
    for journal in &reading.journals {
        for damage in &journal.damage {
            let copy = quarantine_range(home, journal, damage)?;
            report(home, journal, damage, copy, warnings);
        }
    }
    for gap in &reading.missing {
        let mut copy = None;
        for name in gap.unreadable.iter().map(|&number| journal_name(number)) {
            copy = Some(home.quarantine_file(&name)?);
        }
        let what = format!("{}; the changes in it are lost", gap.describe());
        tracing::error!(directory = %home.directory.display(), from = gap.from, to = gap.to, "journals are lost");
        warn(home, warnings, what, copy);
    }
    if let Some(lost) = &reading.lost {
        let name = generation_name(lost.number);
        let path = home.path(&name);
        let file = (home.storage.open(&path, Access::Read))
            .while_doing("copying damaged bytes to quarantine", &path)?;
        let copy = quarantine_faults(home, &name, &*file, &lost.faults)?;
        tracing::error!(path = %path.display(), lost = lost.people, "a generation is damaged beyond repair");
        warn(home, warnings, beyond_repair(&name, lost.people), copy);
    }
    for bad in &reading.unreadable {
        let name = generation_name(bad.number);
        let copy = home.quarantine_file(&name)?;
        tracing::error!(directory = %home.directory.display(), number = bad.number, reason = bad.what, "a generation is damaged");
        let what = format!(
            "{name} is damaged ({}); the generation before and its journals are served",
            bad.what
        );
        warn(home, warnings, what, Some(copy));
    }
    Ok(())
}

fn quarantine_range(
    home: &Home,
    journal: &Replay,
    damage: &Damage,
) -> Result<Option<PathBuf>, GalleryError> {
    if damage.from == damage.to {
        return Ok(None);
    }
    let name = journal_name(journal.header.number);
    let path = home.path(&name);
    // At most the file, which a reader bounded to what it could parse; damage is read in one piece to be written in one.
    let length = damage
        .to
        .min(journal.file_length)
        .saturating_sub(damage.from);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    journal
        .file
        .read_exact_at(&mut bytes, damage.from)
        .while_doing("copying damaged bytes to quarantine", &path)?;
    home.quarantine(
        &format!("{name}-bytes-{}-to-{}", damage.from, damage.to),
        &bytes,
    )
    .map(Some)
}

fn report(
    home: &Home,
    journal: &Replay,
    damage: &Damage,
    copy: Option<PathBuf>,
    warnings: &mut Vec<Warning>,
) {
    let bytes = damage.to - damage.from;
    let name = journal_name(journal.header.number);
    let mut what = describe(&name, damage);
    if let Some(copy) = &copy {
        what += &format!("; the bytes were copied to {}", copy.display());
    }
    tracing::error!(
        directory = %home.directory.display(),
        file = name,
        offset = damage.from,
        bytes,
        lost_records = damage.lost_records,
        "a journal is damaged"
    );
    warn(home, warnings, what, copy);
}

/// One sentence about all files that are not the collection's, whatever their names say.
pub(super) fn strays(names: &[String]) -> Option<String> {
    const SHOWN: usize = 3;
    let rest = names.len().saturating_sub(SHOWN);
    let shown = names[..names.len() - rest].join(", ");
    let more = match rest {
        0 => String::new(),
        rest => format!(" and {rest} more"),
    };
    (!names.is_empty()).then(|| {
        format!(
            "left out, since nothing of it can be read and its number is far from the collection's own: {shown}{more}; move that away"
        )
    })
}

/// The bytes of faults, from and to.
pub(super) fn ranges_of(faults: &[Fault]) -> Vec<(u64, u64)> {
    let range = |fault: &Fault| (fault.at, fault.at + fault.length as u64);
    faults.iter().map(range).collect()
}

/// The loss of people as a sentence.
pub(super) fn beyond_repair(name: &str, lost: usize) -> String {
    format!("{name} is damaged beyond repair; {lost} people have to be enrolled again")
}

/// Damage of a journal as a sentence.
pub(super) fn describe(name: &str, damage: &Damage) -> String {
    let bytes = damage.to - damage.from;
    let mut what = match bytes {
        0 => format!("{name} lacks records"),
        _ => format!(
            "{bytes} bytes at {} of {name} could not be read",
            damage.from
        ),
    };
    if damage.lost_records > 0 {
        what += &format!("; {} stored changes are lost", damage.lost_records);
    }
    what
}

pub(super) fn warn(
    home: &Home,
    warnings: &mut Vec<Warning>,
    what: String,
    quarantined: Option<PathBuf>,
) {
    warnings.push(Warning {
        directory: home.directory.clone(),
        // The collection adds its name, which may not be known yet.
        collection: None,
        what,
        quarantined,
    });
}
