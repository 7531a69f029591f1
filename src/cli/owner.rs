//! Verbs that change the data folder, run by root: the files that they make have to be the service's, which could not open root's.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, set_capabilities, set_keep_capabilities, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};

use super::Failure;
use crate::config::Config;
use crate::shown::Shown;

/// Root becomes the user to whom the data belongs, for the rest of this process; others stay who they are.
///
/// Of root's power the right to read every file is left, for pictures, backups and keys that only root can read, and with `devices` the
/// right to open the device files of a door. To be called before anything is opened, and before there is a second thread: the kernel
/// changes the one that calls.
///
/// # Errors
/// With the command to use instead, if this root may not become somebody else, as in some containers.
pub(super) fn become_owner(config: &Config, devices: bool) -> Result<(), Failure> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let Some((uid, gid)) = owner(&config.storage.data, &config.gallery_directory()) else {
        return Ok(());
    };
    let user = name_of(uid);
    change(uid, gid, devices).map_err(|e| {
        let data = config.storage.data.shown();
        let instead = match &user {
            Some(name) => format!("sudo -u {name} recocomp"),
            None => format!("setpriv --reuid {uid} --regid {gid} --clear-groups recocomp"),
        };
        format!(
            "{data} belongs to {}, whose files root would make root's, and root may not become that user here ({e}): run this as it, with \
             {instead} ...",
            user.as_deref().unwrap_or("another user"),
        )
        .into()
    })
}

/// Whose the files are to be; `None` if they are root's. A gallery that is there decides: root may have made it for a daemon of its own in
/// a folder that another user lent.
fn owner(data: &Path, gallery: &Path) -> Option<(u32, u32)> {
    let found = fs::metadata(gallery).or_else(|_| fs::metadata(data)).ok()?;
    (found.uid() != 0).then(|| (found.uid(), found.gid()))
}

fn change(uid: u32, gid: u32, devices: bool) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    let mut kept = CapabilitySet::DAC_READ_SEARCH;
    if devices {
        kept |= CapabilitySet::DAC_OVERRIDE;
    }
    set_keep_capabilities(true)?;
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)?;
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets)
}

/// By the file alone: a static program asks no name service.
fn name_of(uid: u32) -> Option<String> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_names() {
        assert_eq!(name_of(0).as_deref(), Some("root"));
        assert_eq!(name_of(4_000_000_000), None);
    }

    #[test]
    fn a_gallery_counts_more_than_the_folder_around_it() {
        let data = tempfile::tempdir().unwrap();
        let gallery = data.path().join("gallery");
        let mine = geteuid().as_raw();
        let expected = (mine != 0).then_some(mine);
        let found = |uid: Option<(u32, u32)>| uid.map(|(uid, _)| uid);
        assert_eq!(found(owner(data.path(), &gallery)), expected);
        fs::create_dir(&gallery).unwrap();
        assert_eq!(found(owner(data.path(), &gallery)), expected);
        assert_eq!(
            owner(&data.path().join("none"), &gallery.join("none")),
            None
        );
        if mine == 0 {
            std::os::unix::fs::chown(data.path(), Some(12345), Some(12346)).unwrap();
            assert_eq!(owner(data.path(), &gallery), None);
            fs::remove_dir(&gallery).unwrap();
            assert_eq!(owner(data.path(), &gallery), Some((12345, 12346)));
            std::os::unix::fs::chown(data.path(), Some(0), Some(0)).unwrap();
        }
    }
}
