//! What a sealed file is sealed and opened with: passphrases and keys, from files or from the terminal.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;
use console::Term;
use zeroize::Zeroizing;

use super::{Failure, warn_in_the_end, while_doing};
use crate::gallery::portable::{Identity, Key, Lock, Passphrase, Recipient};
use crate::shown::Shown;
use crate::text_file::{self, Pipes, Secret};

/// Whoever finds a file can try a thousand million passphrases in some years.
const MIN_PASSPHRASE_CHARACTERS: usize = 8;

/// What a file is sealed with.
#[derive(Args)]
pub(super) struct LockArguments {
    /// File with the passphrase, one line; - for standard input [default: asked for at the terminal]
    #[arg(long, value_name = "FILE", conflicts_with = "recipients")]
    passphrase_file: Option<PathBuf>,
    /// Seal for the owner of this public key (age1...) instead of with a passphrase; may be given several times
    #[arg(long = "recipient", value_name = "KEY")]
    recipients: Vec<Recipient>,
}

impl LockArguments {
    /// Asks for the passphrase if need be.
    pub fn lock(&self) -> Result<Lock, Failure> {
        if !self.recipients.is_empty() {
            return Ok(Lock::Recipients(self.recipients.clone()));
        }
        let (text, marked) = match &self.passphrase_file {
            Some(path) => of_file(path)?,
            None => (ask_twice()?, false),
        };
        if text.chars().count() < MIN_PASSPHRASE_CHARACTERS {
            return Err(format!(
                "the passphrase is too short: at least {MIN_PASSPHRASE_CHARACTERS} characters are expected, better five words"
            )
            .into());
        }
        Ok(Lock::Passphrase(passphrase(&text, marked)?))
    }
}

/// What a file is opened with.
#[derive(Args)]
pub(super) struct KeyArguments {
    /// File with the passphrase, one line; - for standard input [default: asked for at the terminal]
    #[arg(long, value_name = "FILE", conflicts_with = "identity")]
    passphrase_file: Option<PathBuf>,
    /// File with the secret key, as `recocomp backup-key` writes it, of a file that was sealed for a public key
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
}

impl KeyArguments {
    /// Asks for the passphrase if need be.
    pub fn key(&self) -> Result<Key, Failure> {
        if let Some(path) = &self.identity {
            let secret = read_file(path)?;
            let identity =
                Identity::from_key_file(&secret.text).map_err(while_doing(path.shown()))?;
            return Ok(Key::Identity(identity));
        }
        let (text, marked) = match &self.passphrase_file {
            Some(path) => of_file(path)?,
            None => (
                ask("Passphrase: ", "--passphrase-file or --identity")?,
                false,
            ),
        };
        Ok(Key::Passphrase(passphrase(&text, marked)?))
    }
}

fn passphrase(text: &str, marked: bool) -> Result<Passphrase, Failure> {
    let passphrase = Passphrase::new(text.to_owned())?;
    Ok(match marked {
        true => passphrase.after_a_mark(),
        false => passphrase,
    })
}

/// The passphrase in a file, and whether a byte order mark stood before it.
fn of_file(path: &Path) -> Result<(Zeroizing<String>, bool), Failure> {
    passphrase_in(path).map(|secret| (secret.text, secret.marked))
}

/// The one line of a file. The line break that an editor leaves at its end does not count.
fn passphrase_in(path: &Path) -> Result<Secret, Failure> {
    let secret = read_file(path)?;
    let line = secret.text.strip_suffix('\n').unwrap_or(&secret.text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    match line.contains('\n') {
        true => Err(format!(
            "{}: one line with the passphrase is expected, this file has several",
            path.shown()
        )
        .into()),
        false => Ok(Secret {
            text: Zeroizing::new(line.to_owned()),
            ..secret
        }),
    }
}

fn read_file(path: &Path) -> Result<Secret, Failure> {
    let secret = match path == Path::new("-") {
        true => text_file::read_secret_from(std::io::stdin()),
        false => text_file::read_secret(path, Pipes::Taken),
    };
    Ok(told(secret.map_err(while_doing(path.shown()))?))
}

/// A secret; what is to be said of its file is said in the end.
pub(super) fn told(secret: Secret) -> Secret {
    if let Some(warning) = &secret.warning {
        warn_in_the_end(warning.clone());
    }
    secret
}

fn ask_twice() -> Result<Zeroizing<String>, Failure> {
    let instead = "--passphrase-file or --recipient";
    let first = ask("Passphrase: ", instead)?;
    match ask("The same again: ", instead)? == first {
        true => Ok(first),
        false => Err("the two passphrases are not the same".into()),
    }
}

/// Reads a line that the terminal does not show.
fn ask(question: &str, instead: &str) -> Result<Zeroizing<String>, Failure> {
    let terminal = Term::stderr();
    if !std::io::stdin().is_terminal() || !terminal.is_term() {
        return Err(format!("there is no terminal to ask for a passphrase: give {instead}").into());
    }
    terminal.write_str(question)?;
    Ok(Zeroizing::new(terminal.read_secure_line()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_one_line_whatever_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passphrase");
        for text in ["drei  Wörter ", "drei  Wörter \n", "drei  Wörter \r\n"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(
                *passphrase_in(&path).unwrap().text,
                "drei  Wörter ",
                "{text:?}"
            );
        }
        for wrong in [&b"one\ntwo\n"[..], b"\xff"] {
            std::fs::write(&path, wrong).unwrap();
            assert!(passphrase_in(&path).is_err());
        }
    }
}
