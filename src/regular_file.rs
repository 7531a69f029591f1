//! Opening files whose names anybody may have given to something else.
//!
//! A named pipe lets `open` or `read` wait for ever, and a device may do anything. So what the daemon reads at its start is opened
//! without waiting and refused unless it is a regular file.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What the error of a refusal says.
const NOT_REGULAR: &str = "it is not a regular file";

/// The error of [`open`] for what is no regular file.
#[derive(Debug, thiserror::Error)]
#[error("{NOT_REGULAR}")]
struct NotRegular;

/// Opens as `options` say, without waiting for anybody. Symbolic links are followed.
///
/// # Errors
/// The operating system's; [`is_not_regular`] tells a pipe, socket, device or directory.
pub fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    open_with(options, libc::O_NONBLOCK | libc::O_NOCTTY, path)
}

/// As [`open`], but a symbolic link is no regular file: for files that the daemon made itself and may empty or write.
///
/// # Errors
/// As [`open`].
pub fn open_own(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    open_with(
        options,
        libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_NOFOLLOW,
        path,
    )
}

fn open_with(options: &mut OpenOptions, flags: libc::c_int, path: &Path) -> io::Result<File> {
    let file =
        (options.custom_flags(flags).open(path)).map_err(|error| match error.raw_os_error() {
            // A socket, or a pipe that nobody reads; a directory; a link that is not followed.
            Some(libc::ENXIO | libc::EISDIR | libc::ELOOP) => refusal(),
            // A name that is there, and links to nothing.
            Some(libc::ENOENT) if path.symlink_metadata().is_ok() => refusal(),
            _ => error,
        })?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(refusal()),
    }
}

/// The whole file.
///
/// # Errors
/// As [`open`].
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(OpenOptions::new().read(true), path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The whole file, which is UTF-8.
///
/// # Errors
/// As [`open`], and [`io::ErrorKind::InvalidData`].
pub fn read_to_string(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open(OpenOptions::new().read(true), path)?.read_to_string(&mut text)?;
    Ok(text)
}

fn refusal() -> io::Error {
    io::Error::other(NotRegular)
}

/// Whether an error says that there is something else than a regular file.
pub fn is_not_regular(error: &io::Error) -> bool {
    (error.get_ref()).is_some_and(|inner| inner.is::<NotRegular>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn pipe(path: &Path) {
        let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
        // SAFETY: the path is a C string that outlives the call.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    }

    #[test]
    fn whatever_is_no_regular_file_is_refused_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        pipe(&at("pipe"));
        let _socket = UnixListener::bind(at("socket")).unwrap();
        std::fs::create_dir(at("directory")).unwrap();
        std::fs::write(at("file"), "text").unwrap();
        std::os::unix::fs::symlink(at("pipe"), at("link-to-pipe")).unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        std::os::unix::fs::symlink(at("nowhere"), at("link-to-nothing")).unwrap();
        let names = [
            "pipe",
            "socket",
            "directory",
            "link-to-pipe",
            "link-to-nothing",
        ];
        let paths = names.map(at);
        for path in paths
            .iter()
            .map(|path| path.as_path())
            .chain([Path::new("/dev/null")])
        {
            for write in [false, true] {
                let options = &mut OpenOptions::new();
                let error = open(options.read(true).write(write), path).unwrap_err();
                assert!(is_not_regular(&error), "{}: {error}", path.display());
                assert_eq!(error.to_string(), NOT_REGULAR);
            }
        }
        assert_eq!(read_to_string(&at("file")).unwrap(), "text");
        assert_eq!(read(&at("link")).unwrap(), b"text");
        let error = open_own(OpenOptions::new().read(true), &at("link")).unwrap_err();
        assert!(is_not_regular(&error));
        let error = read(&at("nothing")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
