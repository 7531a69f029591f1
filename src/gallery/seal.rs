//! Sealing journal records, so that a card taken out of the device shows no templates in them.
//!
//! XChaCha20-Poly1305 under a key that only this device can derive: HKDF-SHA256 over its identity and the random salt in the
//! file `SALT` of the gallery. `docs/design/gallery.md` draws the bytes and says what this protects against and what not.
//!
//! Nonces are random, not counted. A record that was torn by a power cut is written again under the same sequence number with
//! other contents, and a card that is put back to an earlier copy repeats its numbers too; a nonce that is used twice would
//! give both contents away. 24 random bytes never meet.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use rkyv::util::AlignedVec;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::storage::{Access, Storage};
use crate::license::device::DeviceIdentity;

/// Bytes that sealing adds: nonce and tag.
pub const OVERHEAD: usize = NONCE_BYTES + TAG_BYTES;

const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const KEY_BYTES: usize = 32;

/// Name of the salt file in the gallery's directory.
pub const SALT_FILE: &str = "SALT";
const STAGED_SALT_FILE: &str = ".tmp-SALT";

/// First bytes of the salt file, of every version.
const SALT_MAGIC: [u8; 8] = *b"recosalt";
/// Highest version that this release reads, and the one it writes.
const SALT_VERSION: u32 = 1;
/// Size, magic, version and checksum keep their place in every version, so that a newer file is told from a damaged one.
const SALT_FILE_BYTES: usize = 64;
const SALT_BYTES: usize = 32;
const CHECK_BYTES: usize = 16;
const SALT_AT: usize = 12;
const CHECK_AT: usize = SALT_AT + SALT_BYTES;
const CHECKSUM_AT: usize = SALT_FILE_BYTES - 4;

/// What the two outputs of the key derivation are for. Another text here is another key: what was sealed would be lost.
const KEY_LABEL: &[u8] = b"recocomp gallery seal 1: key";
const CHECK_LABEL: &[u8] = b"recocomp gallery seal 1: check";

/// Why the gallery's seal cannot be used, each as a sentence that an installer understands.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The salt file is fine, but the key that this device derives from it is not the one it was made with.
    #[error(
        "these templates were sealed on another device ({}): put the storage back into that device, or restore a backup here",
        path.display()
    )]
    OtherDevice {
        /// The salt file.
        path: PathBuf,
    },
    /// The salt file is not what was written.
    #[error(
        "{} is damaged: {what}; without it the sealed templates cannot be read, restore this file or a backup",
        path.display()
    )]
    Damaged {
        /// The salt file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Templates are sealed, but the salt is gone.
    #[error(
        "{} is missing: without it the sealed templates cannot be read, restore this file or a backup",
        path.display()
    )]
    Missing {
        /// Where the salt file should be.
        path: PathBuf,
    },
    /// A later release wrote the salt file.
    #[error(
        "{} was written in format {found} by a newer release, this one reads up to format {SALT_VERSION}; install the newer \
         release again",
        path.display()
    )]
    NewerFormat {
        /// The salt file.
        path: PathBuf,
        /// Format version found.
        found: u32,
    },
    /// The operating system refused a file operation.
    #[error("the storage refused while {while_doing} ({}): {source}", path.display())]
    Io {
        /// The file or directory concerned.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
        /// What was being done, to be read after "while".
        while_doing: &'static str,
    },
    /// The operating system gave no random numbers, without which nothing can be sealed.
    #[error("the operating system gave no random numbers: {0}")]
    Random(#[source] io::Error),
    /// More than the cipher takes at once: 256 GiB.
    #[error("a record of {bytes} bytes is too large to be sealed")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

/// Seals and opens byte strings under one key. Cloning is cheap; the key is wiped from memory with the last clone.
#[derive(Clone)]
pub struct Sealer {
    // The cipher holds the key and wipes it when dropped.
    cipher: Arc<XChaCha20Poly1305>,
}

/// Shows no key.
impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    /// The sealer of the gallery in the directory `gallery`, which must exist and be locked by the caller.
    ///
    /// The salt file is made, durably, if it is not there and `anything_sealed` is false. It is never replaced: `anything_sealed`
    /// is a judgement that may err, and a salt that was thrown away takes every sealed template with it.
    ///
    /// # Errors
    /// Every [`SealError`] but [`TooLarge`](SealError::TooLarge).
    pub fn open_or_create(
        storage: &dyn Storage,
        gallery: &Path,
        identity: &DeviceIdentity,
        anything_sealed: bool,
    ) -> Result<Sealer, SealError> {
        let path = gallery.join(SALT_FILE);
        let Some(bytes) = read_salt_file(storage, &path)? else {
            if anything_sealed {
                return Err(SealError::Missing { path });
            }
            return Sealer::create(storage, gallery, &path, identity);
        };
        if !anything_sealed {
            // An earlier start may have ended between giving the file its name and making the name durable.
            storage
                .sync_directory(gallery)
                .map_err(at(gallery, "making the gallery's directory durable"))?;
        }
        let (salt, check) = decode_salt_file(&bytes, &path)?;
        for secret in identity.secrets() {
            let derived = Derived::new(&secret, &salt);
            if derived.check == check {
                return Ok(derived.sealer());
            }
        }
        Err(SealError::OtherDevice { path })
    }

    fn create(
        storage: &dyn Storage,
        gallery: &Path,
        path: &Path,
        identity: &DeviceIdentity,
    ) -> Result<Sealer, SealError> {
        let mut salt = [0; SALT_BYTES];
        fill_random(&mut salt)?;
        let derived = Derived::new(&identity.secret(), &salt);
        let staged = gallery.join(STAGED_SALT_FILE);
        // Left by an earlier start that was cut off; opened again it would keep the rights that it may have been given since.
        match storage.remove_file(&staged) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(at(&staged, "removing an unfinished salt file")(error));
            }
            _ => {}
        }
        storage
            .create(&staged)
            .and_then(|file| {
                file.write_all_at(&encode_salt_file(&salt, &derived.check), 0)?;
                file.sync_all()
            })
            .map_err(at(&staged, "writing the salt of the seal"))?;
        storage
            .rename(&staged, path)
            .map_err(at(&staged, "renaming to its final name"))?;
        storage
            .sync_directory(gallery)
            .map_err(at(gallery, "making the gallery's directory durable"))?;
        Ok(derived.sealer())
    }

    /// A sealer with a key of its own, which is not bound to a device.
    pub fn from_key(key: &[u8; KEY_BYTES]) -> Sealer {
        Sealer {
            cipher: Arc::new(XChaCha20Poly1305::new(key.into())),
        }
    }

    /// 24 random bytes of nonce, the ciphertext, 16 bytes of tag: [`OVERHEAD`] bytes more than `plain`. It opens only with the
    /// same `context`, which is not part of the result: the place where the bytes belong.
    ///
    /// # Errors
    /// [`SealError::Random`], [`SealError::TooLarge`].
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_BYTES];
        fill_random(&mut nonce)?;
        let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let tag = self
            .cipher
            .encrypt_in_place_detached(
                XNonce::from_slice(&nonce),
                context,
                &mut sealed[NONCE_BYTES..],
            )
            .map_err(|_| SealError::TooLarge { bytes: plain.len() })?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    /// The plain bytes, aligned to 16 so that an archive can be read in place. `None` if `sealed` is not, bit for bit, what
    /// [`seal`](Sealer::seal) made under this key and `context`.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Option<AlignedVec> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG_BYTES>()?;
        let mut plain = AlignedVec::with_capacity(ciphertext.len());
        plain.extend_from_slice(ciphertext);
        self.cipher
            .decrypt_in_place_detached(
                XNonce::from_slice(nonce),
                context,
                &mut plain,
                Tag::from_slice(tag),
            )
            .ok()?;
        Some(plain)
    }
}

/// What comes of a device's secret and a salt.
struct Derived {
    key: Zeroizing<[u8; KEY_BYTES]>,
    /// Stands in the salt file and tells a wrong device from a damaged record. It says nothing about the key.
    check: [u8; CHECK_BYTES],
}

impl Derived {
    fn new(secret: &[u8; 32], salt: &[u8; SALT_BYTES]) -> Derived {
        let hkdf = Hkdf::<Sha256>::new(Some(salt), secret);
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        let mut check = [0; CHECK_BYTES];
        // The one error is a length above 255 x 32 bytes, which these arrays do not have.
        let expanded =
            (hkdf.expand(KEY_LABEL, key.as_mut_slice())).and(hkdf.expand(CHECK_LABEL, &mut check));
        debug_assert!(expanded.is_ok());
        Derived { key, check }
    }

    fn sealer(&self) -> Sealer {
        Sealer::from_key(&self.key)
    }
}

/// `None` if there is no file.
fn read_salt_file(
    storage: &dyn Storage,
    path: &Path,
) -> Result<Option<[u8; SALT_FILE_BYTES]>, SealError> {
    let reading = "reading the salt of the seal";
    let file = match storage.open(path, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(at(path, reading))?,
    };
    if file.length().map_err(at(path, reading))? != SALT_FILE_BYTES as u64 {
        return Err(damaged(path, "it has the wrong length"));
    }
    let mut bytes = [0; SALT_FILE_BYTES];
    (file.read_exact_at(&mut bytes, 0)).map_err(at(path, reading))?;
    Ok(Some(bytes))
}

fn encode_salt_file(salt: &[u8; SALT_BYTES], check: &[u8; CHECK_BYTES]) -> [u8; SALT_FILE_BYTES] {
    let mut bytes = [0; SALT_FILE_BYTES];
    bytes[..8].copy_from_slice(&SALT_MAGIC);
    bytes[8..SALT_AT].copy_from_slice(&SALT_VERSION.to_le_bytes());
    bytes[SALT_AT..CHECK_AT].copy_from_slice(salt);
    bytes[CHECK_AT..CHECKSUM_AT].copy_from_slice(check);
    let checksum = crc32c::crc32c(&bytes[..CHECKSUM_AT]);
    bytes[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn decode_salt_file(
    bytes: &[u8; SALT_FILE_BYTES],
    path: &Path,
) -> Result<([u8; SALT_BYTES], [u8; CHECK_BYTES]), SealError> {
    if bytes[..8] != SALT_MAGIC {
        return Err(damaged(path, "it does not begin as a salt file"));
    }
    if bytes[CHECKSUM_AT..] != crc32c::crc32c(&bytes[..CHECKSUM_AT]).to_le_bytes() {
        return Err(damaged(path, "its checksum is wrong"));
    }
    let mut version = [0; 4];
    version.copy_from_slice(&bytes[8..SALT_AT]);
    match u32::from_le_bytes(version) {
        SALT_VERSION => {}
        found if found > SALT_VERSION => {
            let path = path.to_owned();
            return Err(SealError::NewerFormat { path, found });
        }
        _ => return Err(damaged(path, "its version is none that was ever written")),
    }
    let mut salt = [0; SALT_BYTES];
    salt.copy_from_slice(&bytes[SALT_AT..CHECK_AT]);
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&bytes[CHECK_AT..CHECKSUM_AT]);
    Ok((salt, check))
}

/// Fills `bytes` from the operating system's generator, waiting until it was seeded.
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), SealError> {
    getrandom::fill(bytes).map_err(|error| SealError::Random(error.into()))
}

fn damaged(path: &Path, what: &'static str) -> SealError {
    let path = path.to_owned();
    SealError::Damaged { path, what }
}

fn at<'a>(path: &'a Path, while_doing: &'static str) -> impl FnOnce(io::Error) -> SealError + 'a {
    move |source| SealError::Io {
        path: path.to_owned(),
        source,
        while_doing,
    }
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
