//! The data folder, the disk it is on, and the medium below.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::{Patient, Report, entries, read};
use crate::logs::audit;
use crate::shown::Shown;

/// Bytes below which enrolling stops soon, and below which it has stopped: a compaction writes a collection a second time.
const FREE_LITTLE: u64 = 256 << 20;
const FREE_NOTHING: u64 = 16 << 20;

/// Writing with the daemon's rights is tried, for which it makes a file and takes it away again.
pub fn data_folder(patient: &Patient, report: &mut Report) {
    let data = &patient.config.storage.data;
    let shown = data.shown();
    let folder = match fs::metadata(data) {
        Ok(folder) if folder.is_dir() => folder,
        Ok(_) => {
            return report.problem(
                format!("{shown} is no folder"),
                "move away what stands there, or name another in storage.data",
            );
        }
        Err(e) if e.kind() == ErrorKind::NotFound => {
            return report.warning(
                format!("{shown} is not there yet"),
                "the service makes it at its first start; or name the folder that is in use with --data",
            );
        }
        Err(e) => return report.problem(format!("{shown}: {e}"), AS_DAEMON),
    };
    if let Err(e) = try_to_write(data) {
        return match e.kind() {
            ErrorKind::PermissionDenied => report.problem(
                format!("this user may not write to {shown}"),
                AS_DAEMON,
            ),
            ErrorKind::ReadOnlyFilesystem => report.problem(
                format!("{shown} can only be read"),
                "nobody can be enrolled. If it was made so on purpose, put the data on a partition of its own; if the kernel did it, the \
                 medium is damaged: see dmesg, make a backup, replace it",
            ),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => report.problem(
                format!("no room in {shown}"),
                "make room: nobody can be enrolled",
            ),
            _ => report.problem(format!("{shown} cannot be written to: {e}"), "see dmesg; the medium may be damaged"),
        };
    }
    // The daemon makes the gallery private itself; the folder around it may be looked into.
    let gallery = patient.config.gallery_directory();
    let mode = |path: &Path| fs::metadata(path).map(|file| file.permissions().mode() & 0o777);
    match mode(&gallery) {
        Ok(open) if open & 0o077 != 0 => report.problem(
            format!("others may look into {} (mode {open:04o})", gallery.shown()),
            format!("faces are there: chmod 0700 {}", gallery.shown()),
        ),
        _ => report.ok(format!("{shown} can be written to")),
    }
    let strangers = strangers(&gallery, folder.uid());
    if let Some(first) = strangers.first() {
        report.problem(
            format!("{} is of another user than {shown}", first.shown()),
            format!("the daemon cannot open it: chown -R --reference={shown} {shown}"),
        );
    }
    audit_log(data, report);
}

fn audit_log(data: &Path, report: &mut Report) {
    match audit::verify(data, None) {
        Ok(found) => {
            if let Some(fault) = found.faults.first() {
                report.problem(
                    format!("the audit log was changed: {fault}"),
                    "recocomp audit verify shows every place; find out who could write there",
                );
            }
        }
        Err(e) => report.problem(format!("the audit log cannot be read: {e}"), AS_DAEMON),
    }
}

const AS_DAEMON: &str = "run this as the daemon's user: sudo -u recocomp recocomp doctor; if the daemon cannot either: chown -R recocomp: and the folder";

fn try_to_write(data: &Path) -> std::io::Result<()> {
    let path = data.join(format!(".doctor-{}", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)?;
    let written = file.write_all(&[0; 4096]).and_then(|()| file.sync_all());
    fs::remove_file(&path)?;
    written
}

/// Files of the gallery that another user than `owner` has made, as a command that was run as root does.
fn strangers(gallery: &Path, owner: u32) -> Vec<PathBuf> {
    (walkdir::WalkDir::new(gallery).into_iter())
        .filter_map(Result::ok)
        .filter(|entry| entry.metadata().is_ok_and(|file| file.uid() != owner))
        .map(|entry| entry.into_path())
        .collect()
}

pub fn disk(patient: &Patient, report: &mut Report) {
    let place = nearest(&patient.config.storage.data);
    let sizes = match rustix::fs::statvfs(&place) {
        Ok(sizes) => sizes,
        Err(e) => return report.warning(format!("{}: {e}", place.shown()), "see dmesg"),
    };
    let free = sizes.f_bavail * sizes.f_frsize;
    let found = format!(
        "{} MiB free of {}",
        free >> 20,
        (sizes.f_blocks * sizes.f_frsize) >> 20
    );
    if free < FREE_NOTHING {
        report.problem(found, "make room: nobody can be enrolled");
    } else if free < FREE_LITTLE {
        report.warning(found, "make room before it is full: the journal with `journalctl --vacuum-size=50M`, packages with `apt clean`");
    } else if sizes.f_files > 0 && sizes.f_favail < 1000 {
        report.warning("hardly any inodes are left", "remove small files");
    } else {
        report.ok(found);
    }
}

/// The folder, or the nearest above it that is there.
fn nearest(path: &Path) -> PathBuf {
    let there = path.ancestors().find(|path| path.exists());
    there.unwrap_or(Path::new("/")).to_owned()
}

/// A line of /proc/self/mountinfo.
#[derive(Debug, PartialEq)]
struct Mount {
    point: PathBuf,
    kind: String,
    source: String,
    options: String,
}

pub fn medium(patient: &Patient, report: &mut Report) {
    let place = nearest(&patient.config.storage.data);
    let place = place.canonicalize().unwrap_or(place);
    let mounts = read(patient.root, "proc/self/mountinfo").unwrap_or_default();
    let Some(mount) = mount_of(&mounts, &place) else {
        return report.warning(
            "what the data is on is not known",
            "see whether /proc is mounted",
        );
    };
    let Mount { kind, source, .. } = &mount;
    match kind.as_str() {
        "tmpfs" | "ramfs" => report.problem(
            format!("the data is in memory ({kind}): it is lost with the power"),
            "put it on a partition, see storage.data",
        ),
        "overlay" => report.problem(
            "the data is on an overlay: with a read-only root it is lost with the power",
            "mount a partition of its own at the data folder; in a container, a volume",
        ),
        "vfat" | "exfat" | "ntfs" | "ntfs3" => report.problem(
            format!("the data is on {kind}, which keeps no rights and does not survive power cuts"),
            "put it on ext4",
        ),
        _ if mount.options.split(',').any(|option| option == "ro") => report.problem(
            format!("{source} is mounted read-only"),
            "on purpose: give the data a partition of its own. Otherwise the kernel found damage: see dmesg, make a backup, replace the medium",
        ),
        _ => {
            wear(patient, &mount, report);
        }
    }
}

/// What file system and medium say about themselves.
fn wear(patient: &Patient, mount: &Mount, report: &mut Report) {
    let Mount { kind, source, .. } = mount;
    let device = source.rsplit('/').next().unwrap_or_default();
    let errors = read(patient.root, &format!("sys/fs/ext4/{device}/errors_count"));
    if let Some(errors) = errors.filter(|errors| errors != "0") {
        return report.problem(
            format!("the file system of {source} has found {errors} errors in itself"),
            "make a backup, then have it checked at the next start (fsck.mode=force), and replace the medium if it happens again",
        );
    }
    for disk in entries(patient.root, "sys/block", "mmcblk") {
        let folder = format!("sys/block/{disk}/device");
        // eMMC 5.0, registers of the extended CSD: reserve blocks used up to 80 % (2) or 90 % (3).
        let end = read(patient.root, &format!("{folder}/pre_eol_info"));
        match end.as_deref() {
            Some("0x02") => {
                return report.warning(format!("{disk} is worn"), "replace it this year");
            }
            Some("0x03") => {
                return report.problem(
                    format!("{disk} is worn out"),
                    "make a backup and replace it",
                );
            }
            _ => {}
        }
    }
    report.ok(format!("{kind} on {source}"));
}

/// The mount that a path is on: the longest point above it, of several at the same point the last.
fn mount_of(mountinfo: &str, path: &Path) -> Option<Mount> {
    let mut found: Option<Mount> = None;
    for line in mountinfo.lines() {
        let Some(mount) = parse_mount(line) else {
            continue;
        };
        let longer = (found.as_ref()).is_none_or(|other| {
            mount.point.components().count() >= other.point.components().count()
        });
        if path.starts_with(&mount.point) && longer {
            found = Some(mount);
        }
    }
    found
}

/// Fields: id, parent, device, root, mount point, options, more..., "-", type, source, options of the file system (proc(5)).
fn parse_mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(4);
    let mut after = after.split(' ');
    Some(Mount {
        point: PathBuf::from(before.next()?.replace("\\040", " ")),
        options: before.next()?.to_owned(),
        kind: after.next()?.to_owned(),
        source: after.next()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::Level::{Ok, Problem, Warning};
    use super::super::tests::examine;
    use super::*;

    const CARD: &str =
        "22 1 179:2 / / rw,noatime shared:1 - ext4 /dev/mmcblk0p2 rw,errors=remount-ro\n";

    #[test]
    fn media_that_lose_data_are_told() {
        for (kind, options, level) in [
            ("ext4", "rw", Ok),
            ("btrfs", "rw", Ok),
            ("ext4", "ro,noatime", Problem),
            ("tmpfs", "rw", Problem),
            ("overlay", "rw", Problem),
            ("vfat", "rw", Problem),
        ] {
            let mounts = format!("22 1 179:2 / / {options} shared:1 - {kind} /dev/x rw\n");
            let told = examine(medium, &[("proc/self/mountinfo", &mounts)]);
            assert_eq!(told[0].0, level, "{kind} {options}: {told:?}");
        }
    }

    #[test]
    fn a_worn_card_is_told() {
        let mounts = ("proc/self/mountinfo", CARD);
        let end = |value| ("sys/block/mmcblk0/device/pre_eol_info", value);
        assert_eq!(examine(medium, &[mounts, end("0x01\n")])[0].0, Ok);
        assert_eq!(examine(medium, &[mounts, end("0x02\n")])[0].0, Warning);
        assert_eq!(examine(medium, &[mounts, end("0x03\n")])[0].0, Problem);
        let errors = ("sys/fs/ext4/mmcblk0p2/errors_count", "3\n");
        assert_eq!(examine(medium, &[mounts, errors])[0].0, Problem);
    }

    #[test]
    fn the_innermost_and_last_mount_counts() {
        let more = "30 22 0:5 / /var rw - tmpfs tmpfs rw\n\
                    31 22 179:3 / /var/lib/recocomp rw - ext4 /dev/mmcblk0p3 rw\n\
                    32 31 179:4 / /var/lib/recocomp rw - xfs /dev/sda1 rw\n";
        let mounts = format!("{CARD}{more}");
        let on = |path: &str| mount_of(&mounts, Path::new(path)).unwrap().kind;
        assert_eq!(on("/var/lib/recocomp/gallery"), "xfs");
        assert_eq!(on("/var/lib/recocomp2"), "tmpfs");
        assert_eq!(on("/srv"), "ext4");
    }
}
