//! Files that people write for the program: configuration, boards, tables of models, tokens, passphrases, keys, licenses.
//!
//! They come from editors of every system. A byte order mark at the beginning is taken away, line ends may be those of Windows; what cannot
//! be meant (UTF-16, other encodings, NULs) is refused with what to do about it. A file with a secret that other users can write is refused,
//! too: they might have put one of their own into it.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use zeroize::Zeroizing;

use crate::shown::Shown;

/// Bytes of a file with one secret: whatever is longer is none.
pub const SECRET_BYTES: u64 = 64 << 10;

/// Bytes of a configuration, a board or a table of models.
pub const SETTINGS_BYTES: u64 = 4 << 20;

/// May read or write the file though they are not its owner.
const WRITABLE: u32 = 0o022;
const READABLE_BY_ALL: u32 = 0o004;

/// Why a file is not taken; without its name, which whoever asked for it says.
#[derive(Debug, thiserror::Error)]
pub enum TextFileError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is not a regular file")]
    NoFile,
    #[error("it is not a regular file but a pipe, and nothing comes out of it")]
    EmptyPipe,
    #[error("it has more than {0} bytes")]
    TooLong(u64),
    #[error("it was saved as UTF-16, which Notepad calls Unicode: save it as UTF-8")]
    Utf16,
    #[error("line {0} is not UTF-8: save the file as UTF-8, not as ANSI or Windows-1252")]
    NotUtf8(usize),
    #[error("line {0} has a NUL byte: this is no text")]
    Nul(usize),
    #[error("a token is one line of printable ASCII characters; `openssl rand -hex 32` makes one")]
    NoToken,
    #[error(
        "other users can change it (mode {mode:04o}), so the secret may be theirs: make a new one, and chmod 600 {path}"
    )]
    Writable { mode: u32, path: String },
}

impl TextFileError {
    /// Whether there is no such file.
    pub fn is_not_found(&self) -> bool {
        matches!(self, TextFileError::Io(e) if e.kind() == io::ErrorKind::NotFound)
    }
}

/// The contents of a file with a secret.
pub struct Secret {
    pub text: Zeroizing<String>,
    /// Whether a byte order mark was taken away.
    pub marked: bool,
    /// Who else can read it, and what to do about it.
    pub warning: Option<String>,
}

/// What a path may lead to, beside a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipes {
    /// A pipe or a terminal, as a shell makes of `<(...)`.
    Taken,
    Refused,
}

/// The text of a file of at most `most` bytes, without a byte order mark.
///
/// # Errors
/// [`TextFileError`].
pub fn read(path: &Path, most: u64) -> Result<String, TextFileError> {
    let (bytes, _) = read_bytes(path, most, Pipes::Taken)?;
    Ok(decode(&bytes)?.to_owned())
}

/// The text of a file with a secret, without a byte order mark.
///
/// # Errors
/// [`TextFileError`], also if other users can write the file.
pub fn read_secret(path: &Path, pipes: Pipes) -> Result<Secret, TextFileError> {
    let (bytes, mode) = read_bytes(path, SECRET_BYTES, pipes)?;
    let warning = match mode {
        Some(mode) => judge(path, mode)?,
        None => None,
    };
    Secret::of(&bytes, warning)
}

/// The same from standard input.
///
/// # Errors
/// [`TextFileError`].
pub fn read_secret_from(input: impl Read) -> Result<Secret, TextFileError> {
    Secret::of(&take(input, SECRET_BYTES, 0)?, None)
}

/// The token in a file, without white space around it. No client can send anything but printable ASCII in one line.
///
/// # Errors
/// As [`read_secret`], and if the file has something else in it.
pub fn read_token(path: &Path, pipes: Pipes) -> Result<Secret, TextFileError> {
    let secret = read_secret(path, pipes)?;
    let token = secret.text.trim_matches(|c: char| c.is_ascii_whitespace());
    match token
        .bytes()
        .all(|b| (b' '..=b'~').contains(&b) || b == b'\t')
    {
        true => Ok(Secret {
            text: Zeroizing::new(token.to_owned()),
            ..secret
        }),
        false => Err(TextFileError::NoToken),
    }
}

impl Secret {
    fn of(bytes: &[u8], warning: Option<String>) -> Result<Secret, TextFileError> {
        let text = decode(bytes)?;
        Ok(Secret {
            text: Zeroizing::new(text.to_owned()),
            marked: text.len() < bytes.len(),
            warning,
        })
    }
}

/// Shows no secret.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Whether a file with these rights may hold a secret; perhaps with something to say about it.
///
/// A group may read it: that is how an administrator gives a file to a service. What the whole device may read was made with the usual
/// umask. Refusing it would have doors shut and backups fail after an update, for a fault that harms nobody on a device with one user.
fn judge(path: &Path, mode: u32) -> Result<Option<String>, TextFileError> {
    if mode & WRITABLE != 0 {
        return Err(TextFileError::Writable {
            mode,
            path: path.shown(),
        });
    }
    Ok((mode & READABLE_BY_ALL != 0).then(|| {
        let path = path.shown();
        format!("every user of this device can read the secret in {path} (mode {mode:04o}): chmod 600 {path}")
    }))
}

/// The bytes, and the rights if it is a file.
fn read_bytes(
    path: &Path,
    most: u64,
    pipes: Pipes,
) -> Result<(Zeroizing<Vec<u8>>, Option<u32>), TextFileError> {
    // Without waiting for somebody to write into a pipe: nobody may ever do.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY)
        .open(path)?;
    let found = file.metadata()?;
    if found.is_file() {
        if found.size() > most {
            return Err(TextFileError::TooLong(most));
        }
        let mode = found.mode() & 0o7777;
        return Ok((take(&file, most, found.size())?, Some(mode)));
    }
    let kind = found.file_type();
    if pipes == Pipes::Refused || !(kind.is_fifo() || kind.is_char_device()) {
        return Err(TextFileError::NoFile);
    }
    wait_for_what_comes(&file)?;
    let bytes = take(&file, most, 0)?;
    match bytes.is_empty() && kind.is_fifo() {
        true => Err(TextFileError::EmptyPipe),
        false => Ok((bytes, None)),
    }
}

/// Reading waits again; not where nobody has the other end open.
fn wait_for_what_comes(file: &File) -> io::Result<()> {
    let flags = fcntl_getfl(file)?;
    Ok(fcntl_setfl(file, flags - OFlags::NONBLOCK)?)
}

/// `expected` bytes or more, in one piece of memory if they are no more, so that no copy is left behind.
fn take(input: impl Read, most: u64, expected: u64) -> Result<Zeroizing<Vec<u8>>, TextFileError> {
    let room = usize::try_from(expected).unwrap_or(0) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    input.take(most + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > most {
        true => Err(TextFileError::TooLong(most)),
        false => Ok(bytes),
    }
}

/// The text of these bytes, without a byte order mark.
///
/// # Errors
/// [`TextFileError::Utf16`], [`TextFileError::NotUtf8`] and [`TextFileError::Nul`].
pub fn decode(bytes: &[u8]) -> Result<&str, TextFileError> {
    let line_at = |at: usize| bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    if is_utf16(bytes) {
        return Err(TextFileError::Utf16);
    }
    let text =
        str::from_utf8(bytes).map_err(|e| TextFileError::NotUtf8(line_at(e.valid_up_to())))?;
    if let Some(at) = text.find('\0') {
        return Err(TextFileError::Nul(line_at(at)));
    }
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// By its mark, or because every other byte is a NUL.
fn is_utf16(bytes: &[u8]) -> bool {
    let every_other = |from: usize| {
        let mut halves = bytes.iter().skip(from).step_by(2);
        bytes.len() > 3 && halves.len() > 0 && halves.all(|byte| *byte == 0)
    };
    bytes.starts_with(&[0xff, 0xfe])
        || bytes.starts_with(&[0xfe, 0xff])
        || every_other(0)
        || every_other(1)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn utf16(text: &str, mark: bool, big: bool) -> Vec<u8> {
        let units = mark
            .then_some(0xfeff)
            .into_iter()
            .chain(text.encode_utf16());
        units
            .flat_map(|unit| match big {
                true => unit.to_be_bytes(),
                false => unit.to_le_bytes(),
            })
            .collect()
    }

    #[test]
    fn a_byte_order_mark_does_not_count() {
        assert_eq!(decode(b"\xef\xbb\xbftoken\r\n").unwrap(), "token\r\n");
        assert_eq!(decode("pässword".as_bytes()).unwrap(), "pässword");
        assert_eq!(decode(b"").unwrap(), "");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        for mark in [true, false] {
            for big in [true, false] {
                let found = decode(&utf16("a token", mark, big)).unwrap_err();
                assert!(found.to_string().contains("UTF-16"), "{found}");
                assert!(found.to_string().contains("save it as UTF-8"), "{found}");
            }
        }
        let utf32 = b"\xff\xfe\0\0a\0\0\0";
        assert!(matches!(decode(utf32), Err(TextFileError::Utf16)));
        let latin1 = decode(b"one\nM\xfcller").unwrap_err().to_string();
        assert!(
            latin1.contains("line 2") && latin1.contains("UTF-8"),
            "{latin1}"
        );
        let nul = decode(b"one\ntwo\nthr\0ee").unwrap_err().to_string();
        assert!(nul.contains("line 3") && nul.contains("NUL"), "{nul}");
    }

    #[test]
    fn a_secret_that_others_can_write_is_refused_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, "secret").unwrap();
        for mode in [0o666, 0o664, 0o660, 0o622, 0o602, 0o777] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let refused = read_secret(&path, Pipes::Refused).unwrap_err().to_string();
            let way_out = format!("chmod 600 {}", path.display());
            assert!(
                refused.contains(&way_out) && refused.contains(&format!("{mode:04o}")),
                "{refused}"
            );
        }
        for (mode, warned) in [
            (0o600, false),
            (0o640, false),
            (0o400, false),
            (0o440, false),
            (0o644, true),
            (0o604, true),
        ] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let secret = read_secret(&path, Pipes::Refused).unwrap();
            assert_eq!(*secret.text, "secret");
            assert_eq!(
                secret.warning.is_some_and(|w| w.contains("chmod 600")),
                warned,
                "{mode:o}"
            );
        }
    }

    #[test]
    fn a_token_is_one_line_that_can_be_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let told = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            read_token(&path, Pipes::Refused)
        };
        for bytes in [
            &b"a-token"[..],
            b"\xef\xbb\xbfa-token\r\n",
            b"  a-token\t\n\n",
        ] {
            assert_eq!(*told(bytes).unwrap().text, "a-token");
        }
        assert!(told(b"\xef\xbb\xbfa-token").unwrap().marked);
        assert_eq!(*told(b"two words").unwrap().text, "two words");
        for bytes in [
            &b"two\nlines"[..],
            "übertoken".as_bytes(),
            "\u{feff}\u{feff}token".as_bytes(),
            b"a\x1bb",
            "tok\u{200b}en".as_bytes(),
        ] {
            assert!(
                matches!(told(bytes), Err(TextFileError::NoToken)),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn settings_may_be_read_by_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recocomp.toml");
        fs::write(&path, "\u{feff}[door]\r\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(read(&path, SETTINGS_BYTES).unwrap(), "[door]\r\n");
    }

    #[test]
    fn nothing_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let rights = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rights,
            0,
        )
        .unwrap();
        let refused = read_secret(&pipe, Pipes::Refused).unwrap_err();
        assert!(matches!(refused, TextFileError::NoFile), "{refused}");
        let refused = read_secret(&pipe, Pipes::Taken).unwrap_err();
        assert!(matches!(refused, TextFileError::EmptyPipe), "{refused}");
        let refused = read(folder.path(), 10).unwrap_err();
        assert!(matches!(refused, TextFileError::NoFile), "{refused}");
    }

    #[test]
    fn a_pipe_gives_what_somebody_writes_into_it() {
        let (reader, writer) = io::pipe().unwrap();
        let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
        let writing = std::thread::spawn(move || {
            let mut writer = writer;
            std::thread::sleep(std::time::Duration::from_millis(50));
            io::Write::write_all(&mut writer, b"passphrase\n")
        });
        let secret = read_secret(Path::new(&path), Pipes::Taken).unwrap();
        writing.join().unwrap().unwrap();
        assert_eq!(*secret.text, "passphrase\n");
    }

    #[test]
    fn a_file_without_end_is_not_read_to_its_end() {
        let refused = read_secret(Path::new("/dev/zero"), Pipes::Taken).unwrap_err();
        assert!(
            matches!(refused, TextFileError::TooLong(SECRET_BYTES)),
            "{refused}"
        );
    }
}
