//! `recocomp backup-key`

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use zeroize::Zeroizing;

use super::{Failure, while_doing};
use crate::gallery::portable::Identity;
use crate::shown::Shown;

/// Make a pair of keys for backups
///
/// The public key (age1...) is for `recocomp backup --recipient`; it can lie on every device. The secret key opens the backups: keep
/// it away from the devices and in two places, since without it they are lost. Keys that age-keygen made do as well.
#[derive(Args)]
pub struct Arguments {
    /// File to be made for the secret key, readable by its owner alone [default: both keys go to standard output]
    file: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let identity = Identity::generate()?;
    let recipient = identity.recipient();
    let text = Zeroizing::new(format!(
        "# recocomp backup key, made {}\n# recipient: {recipient}\n{}\n",
        Timestamp::now().strftime("%Y-%m-%d"),
        *identity.secret_text()
    ));
    let Some(path) = &arguments.file else {
        print!("{}", *text);
        return Ok(());
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(while_doing(path.shown()))?;
    (file.write_all(text.as_bytes()))
        .and_then(|()| file.sync_all())
        .map_err(while_doing(path.shown()))?;
    println!("{recipient}");
    Ok(())
}
