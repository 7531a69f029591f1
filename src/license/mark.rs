//! The record of how late it has been: a file that a power cut, a missing clock battery and a clock set back leave as it is.
//!
//! It is not secret and not out of reach of whoever owns the device; its check value only keeps an editor from being enough.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use hkdf::Hkdf;
use sha2::Sha256;

use super::date::{self, Seconds};
use super::device::DeviceIdentity;
use super::{from_hex, hex};
use crate::regular_file;

/// A longer file is no mark.
const MAX_BYTES: u64 = 512;

const LABEL: &[u8] = b"recocomp license mark 1";

/// What is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// It was at least as late as this.
    pub time: Seconds,
    /// When the last license was issued whose `clock-reset` was obeyed; 0: none was.
    pub reset: Seconds,
    /// Evidence up to here comes from the time that this reset declared void.
    pub void: Seconds,
}

impl Mark {
    fn fields(&self) -> String {
        let Mark { time, reset, void } = self;
        format!("recocomp license mark 1\ntime: {time}\nreset: {reset}\nvoid: {void}\n")
    }

    fn render(&self, secret: &[u8; 32]) -> String {
        let fields = self.fields();
        let check = hex(&check(secret, &fields));
        format!("{fields}check: {check}\n")
    }

    /// `None` if the file is damaged, edited, or of another device.
    fn parse(text: &str, mut secrets: impl Iterator<Item = [u8; 32]>) -> Option<Mark> {
        let mut lines = text.lines().skip(1);
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(": ");
        let mark = Mark {
            time: field("time")?.parse().ok()?,
            reset: field("reset")?.parse().ok()?,
            void: field("void")?.parse().ok()?,
        };
        let found: [u8; 32] = from_hex(field("check")?)?;
        let fields = mark.fields();
        let right = secrets.any(|secret| check(&secret, &fields) == found)
            && text.strip_prefix(&fields) == Some(&format!("check: {}\n", hex(&found)))
            && date::is_usable(mark.time);
        right.then_some(mark)
    }

    /// Reads the file. `Ok(None)` if there is none.
    ///
    /// # Errors
    /// If it cannot be read, or its contents are not what this device wrote.
    pub fn load(path: &Path, device: &DeviceIdentity) -> io::Result<Option<Mark>> {
        let file = match regular_file::open(OpenOptions::new().read(true), path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let mut text = String::new();
        file.take(MAX_BYTES).read_to_string(&mut text)?;
        match Mark::parse(&text, device.secrets()) {
            Some(mark) => Ok(Some(mark)),
            None => Err(io::Error::other("it is damaged, or not by this device")),
        }
    }

    /// Writes the file, so that after a power cut there is the old one or the new one.
    ///
    /// # Errors
    /// The storage's.
    pub fn store(&self, path: &Path, device: &DeviceIdentity) -> io::Result<()> {
        write_durably(path, self.render(&device.secret()).as_bytes(), 0o600)
    }
}

/// A pseudorandom function of the device's secret: HKDF, whose `info` is what is checked.
fn check(secret: &[u8; 32], fields: &str) -> [u8; 32] {
    let mut check = [0; 32];
    // 32 bytes are always given out; were they not, no file would be believed.
    let _ = Hkdf::<Sha256>::new(Some(LABEL), secret).expand(fields.as_bytes(), &mut check);
    check
}

/// Gives `path` these contents, durably and all at once.
///
/// # Errors
/// The storage's; `path` has its old contents then.
pub fn write_durably(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let mut staged = path.as_os_str().to_owned();
    staged.push(".new");
    let staged = PathBuf::from(staged);
    // What a power cut left must not lend the new file its owner or its rights.
    match fs::remove_file(&staged) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&staged)?;
    // Whatever the umask is: the daemon has to read what root installed.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&staged, path)?;
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(serial: &str) -> DeviceIdentity {
        DeviceIdentity::of_serial(serial)
    }

    const MARK: Mark = Mark {
        time: 1_800_000_000,
        reset: 0,
        void: 7,
    };

    #[test]
    fn what_was_stored_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mark");
        assert!(Mark::load(&path, &device("a")).unwrap().is_none());
        // Left by a power cut.
        fs::write(folder.path().join("mark.new"), "half").unwrap();
        MARK.store(&path, &device("a")).unwrap();
        assert_eq!(Mark::load(&path, &device("a")).unwrap(), Some(MARK));
        assert!(Mark::load(&path, &device("b")).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_edited_mark_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mark");
        MARK.store(&path, &device("a")).unwrap();
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut edited = whole.clone();
            edited[at] ^= 1;
            fs::write(&path, &edited).unwrap();
            assert!(Mark::load(&path, &device("a")).is_err(), "byte {at}");
            fs::write(&path, &whole[..at]).unwrap();
            assert!(Mark::load(&path, &device("a")).is_err(), "cut at {at}");
        }
        fs::write(&path, [&whole[..], b"\n"].concat()).unwrap();
        assert!(Mark::load(&path, &device("a")).is_err());
        fs::write(&path, "x".repeat(1 << 20)).unwrap();
        assert!(Mark::load(&path, &device("a")).is_err());
    }
}
