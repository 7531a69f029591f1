//! The KEY frame: the random data key of a writing run, wrapped for a passphrase or for recipients.

use argon2::{Algorithm, Argon2, Params, Version};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use x25519_dalek::{PublicKey, SharedSecret, StaticSecret};
use zeroize::Zeroizing;

use super::error::PortableError;
use super::frame::{ContainerId, Kind, context};
use super::payload::Cursor;
use super::recipient::{Identity, Recipient};
use crate::gallery::seal::{OVERHEAD, Sealer, fill_random};

const KEY_BYTES: usize = 32;
const WRAPPED_BYTES: usize = KEY_BYTES + OVERHEAD;
const SALT_BYTES: usize = 32;

const BY_PASSPHRASE: u8 = 1;
const FOR_RECIPIENTS: u8 = 2;

/// Whoever gives more has named the wrong file.
const MAX_PASSPHRASE_BYTES: usize = 64 << 10;

/// More people than are ever handed a key, and few enough that trying all of them is quick.
const MAX_RECIPIENTS: usize = 64;

/// Ends the derivation of a wrapping key from a shared secret. Another text here is another key.
const RECIPIENT_LABEL: &[u8] = b"recocomp backup 1: recipient\0";
const RECIPIENTS_LABEL: &[u8] = b"recocomp backup 1: recipients\0";

/// What Argon2id is to spend on a passphrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    memory_kib: u32,
    passes: u32,
}

/// RFC 9106, section 4, second recommended option, with one lane in place of four: one core computes it, as in every
/// implementation in Rust, and 64 MiB is what a board with 512 MiB can spare for a second.
const COST: Cost = Cost {
    memory_kib: 64 * 1024,
    passes: 3,
};

/// A file that asks for more is refused instead of filling the memory of a small board.
const MAX_COST: Cost = Cost {
    memory_kib: 256 * 1024,
    passes: 16,
};

/// A secret that is typed. Its bytes count as they are: letters that look alike but are encoded differently differ. Wiped from
/// memory when dropped.
#[derive(Clone)]
pub struct Passphrase {
    text: Zeroizing<String>,
    cost: Cost,
    /// Whether files may have been sealed with a byte order mark before it.
    marked: bool,
}

impl Passphrase {
    /// # Errors
    /// [`PortableError::PassphraseLength`] if it is empty or longer than 64 KiB.
    pub fn new(text: String) -> Result<Passphrase, PortableError> {
        let text = Zeroizing::new(text);
        match (1..=MAX_PASSPHRASE_BYTES).contains(&text.len()) {
            true => Ok(Passphrase {
                text,
                cost: COST,
                marked: false,
            }),
            false => Err(PortableError::PassphraseLength {
                limit: MAX_PASSPHRASE_BYTES,
            }),
        }
    }

    /// The same, out of a file that begins with a byte order mark: release 1.0.0 took the mark for a part of the passphrase, so what it sealed
    /// opens with the mark alone.
    pub fn after_a_mark(self) -> Passphrase {
        Passphrase {
            marked: true,
            ..self
        }
    }

    /// What a file may have been sealed with.
    fn spellings(&self) -> impl Iterator<Item = Passphrase> {
        let marked = self.marked.then(|| Passphrase {
            text: Zeroizing::new(format!("\u{feff}{}", *self.text)),
            ..self.clone()
        });
        std::iter::once(self.clone()).chain(marked)
    }

    /// Quickly derived, for tests.
    #[cfg(test)]
    pub(super) fn weak(text: &str) -> Passphrase {
        Passphrase {
            text: Zeroizing::new(text.to_owned()),
            cost: Cost {
                memory_kib: 8,
                passes: 1,
            },
            marked: false,
        }
    }

    /// Argon2id. `None` if the cost is above [`MAX_COST`] or below what Argon2 allows.
    fn wrapping_key(&self, salt: &[u8; SALT_BYTES], cost: Cost) -> Option<Sealer> {
        if cost.memory_kib > MAX_COST.memory_kib || cost.passes > MAX_COST.passes {
            return None;
        }
        let params = Params::new(cost.memory_kib, cost.passes, 1, Some(KEY_BYTES)).ok()?;
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(self.text.as_bytes(), salt, key.as_mut_slice())
            .ok()?;
        Some(Sealer::from_key(&key))
    }
}

/// Shows no passphrase.
impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase")
    }
}

/// What a file is sealed with.
#[derive(Clone, Debug)]
pub enum Lock {
    /// Whoever knows the passphrase opens it, and whoever knows it may have written it.
    Passphrase(Passphrase),
    /// Each of them opens it with the secret key. Anyone who has the public keys may have written it: it is secret, but its
    /// origin is not proven.
    Recipients(Vec<Recipient>),
}

/// What a file is opened with.
#[derive(Clone, Debug)]
pub enum Key {
    /// The passphrase that it was sealed with.
    Passphrase(Passphrase),
    /// The secret key of one of its recipients.
    Identity(Identity),
}

/// Why a KEY frame gives no data key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyFault {
    /// It wraps the right key, but something else in it was changed.
    Altered,
    NeedsPassphrase,
    NeedsIdentity,
    Wrong,
    TooCostly,
}

/// A KEY frame's payload, taken apart.
#[derive(Clone, Debug)]
pub(super) struct KeyFrame {
    pub container: ContainerId,
    wrapped: Wrapped,
    /// The payload without its proof.
    body: Vec<u8>,
    /// Nothing, sealed with the data key and bound to `body`: whoever opens one of several wrapped keys knows by it that the
    /// others were not tampered with.
    proof: [u8; OVERHEAD],
}

#[derive(Clone, Debug)]
enum Wrapped {
    ByPassphrase {
        cost: Cost,
        salt: [u8; SALT_BYTES],
        key: [u8; WRAPPED_BYTES],
    },
    ForRecipients {
        /// Names the set of recipients to a writer that goes on.
        set: [u8; 32],
        /// The ephemeral public key and the wrapped data key, one pair a recipient.
        keys: Vec<([u8; 32], [u8; WRAPPED_BYTES])>,
    },
}

impl Lock {
    /// Makes a data key and the payload of the KEY frame `position` that wraps it.
    pub(super) fn new_key(
        &self,
        container: &ContainerId,
        position: u64,
    ) -> Result<(Sealer, Vec<u8>), PortableError> {
        let mut data_key = Zeroizing::new([0; KEY_BYTES]);
        fill_random(data_key.as_mut_slice())?;
        let context = context(container, Kind::Key, position);
        let mut payload = container.to_vec();
        match self {
            Lock::Passphrase(passphrase) => {
                let mut salt = [0; SALT_BYTES];
                fill_random(&mut salt)?;
                let Cost { memory_kib, passes } = passphrase.cost;
                let wrapping = (passphrase.wrapping_key(&salt, passphrase.cost)).ok_or(
                    PortableError::PassphraseLength {
                        limit: MAX_PASSPHRASE_BYTES,
                    },
                )?;
                payload.extend_from_slice(&[BY_PASSPHRASE, 0, 0, 0]);
                payload.extend_from_slice(&memory_kib.to_le_bytes());
                payload.extend_from_slice(&passes.to_le_bytes());
                payload.extend_from_slice(&salt);
                payload.extend_from_slice(&wrapping.seal(&context, data_key.as_slice())?);
            }
            Lock::Recipients(recipients) => {
                let recipients = sorted(recipients)?;
                payload.extend_from_slice(&[FOR_RECIPIENTS, recipients.len() as u8, 0, 0]);
                payload.extend_from_slice(&recipients_set(container, &recipients));
                for recipient in &recipients {
                    let mut ephemeral = Zeroizing::new([0; KEY_BYTES]);
                    fill_random(ephemeral.as_mut_slice())?;
                    let ephemeral = StaticSecret::from(*ephemeral);
                    let share = PublicKey::from(&ephemeral);
                    let shared = ephemeral.diffie_hellman(&recipient.public_key());
                    let wrapping = recipient_key(&shared, &share, recipient)
                        .ok_or(PortableError::BadRecipient)?;
                    payload.extend_from_slice(share.as_bytes());
                    payload.extend_from_slice(&wrapping.seal(&context, data_key.as_slice())?);
                }
            }
        }
        let data_key = Sealer::from_key(&data_key);
        let proof = data_key.seal(&[&context[..], &payload].concat(), &[])?;
        payload.extend_from_slice(&proof);
        Ok((data_key, payload))
    }

    /// Whether an unfinished file may be gone on with under this lock: for a passphrase its data key, for recipients
    /// nothing, since the writer cannot open what it sealed for others.
    pub(super) fn resume(
        &self,
        frame: &KeyFrame,
        position: u64,
    ) -> Result<Option<Sealer>, KeyFault> {
        match (self, &frame.wrapped) {
            (Lock::Passphrase(passphrase), Wrapped::ByPassphrase { .. }) => {
                let key = Key::Passphrase(passphrase.clone());
                key.data_key(frame, position).map(Some)
            }
            (Lock::Recipients(recipients), Wrapped::ForRecipients { set, .. }) => {
                let recipients = sorted(recipients).map_err(|_| KeyFault::Wrong)?;
                match recipients_set(&frame.container, &recipients) == *set {
                    true => Ok(None),
                    false => Err(KeyFault::Wrong),
                }
            }
            _ => Err(KeyFault::Wrong),
        }
    }
}

impl Key {
    /// The data key that the KEY frame `position` wraps.
    pub(super) fn data_key(&self, frame: &KeyFrame, position: u64) -> Result<Sealer, KeyFault> {
        let context = context(&frame.container, Kind::Key, position);
        let unwrap = |wrapping: Sealer, wrapped: &[u8]| {
            let plain = wrapping.open(&context, wrapped)?;
            let mut key = Zeroizing::new([0; KEY_BYTES]);
            key.copy_from_slice(plain.get(..KEY_BYTES)?);
            Some(Sealer::from_key(&key))
        };
        let data_key = match (self, &frame.wrapped) {
            (Key::Passphrase(passphrase), Wrapped::ByPassphrase { cost, salt, key }) => {
                let mut found = Err(KeyFault::Wrong);
                for spelling in passphrase.spellings() {
                    let wrapping =
                        (spelling.wrapping_key(salt, *cost)).ok_or(KeyFault::TooCostly)?;
                    if let Some(data_key) = unwrap(wrapping, key) {
                        found = Ok(data_key);
                        break;
                    }
                }
                found?
            }
            (Key::Identity(identity), Wrapped::ForRecipients { keys, .. }) => {
                let recipient = identity.recipient();
                keys.iter()
                    .find_map(|(share, wrapped)| {
                        let share = PublicKey::from(*share);
                        let shared = identity.secret().diffie_hellman(&share);
                        unwrap(recipient_key(&shared, &share, &recipient)?, wrapped)
                    })
                    .ok_or(KeyFault::Wrong)?
            }
            (Key::Passphrase(_), _) => return Err(KeyFault::NeedsIdentity),
            (Key::Identity(_), _) => return Err(KeyFault::NeedsPassphrase),
        };
        match data_key.open(&[&context[..], &frame.body].concat(), &frame.proof) {
            Some(_) => Ok(data_key),
            None => Err(KeyFault::Altered),
        }
    }
}

impl KeyFrame {
    pub fn decode(payload: &[u8]) -> Option<KeyFrame> {
        let (body, proof) = payload.split_last_chunk()?;
        let mut cursor = Cursor(body);
        let container = cursor.array()?;
        let [by, count, 0, 0] = cursor.array()? else {
            return None;
        };
        let wrapped = match by {
            BY_PASSPHRASE if count == 0 => Wrapped::ByPassphrase {
                cost: Cost {
                    memory_kib: cursor.u32()?,
                    passes: cursor.u32()?,
                },
                salt: cursor.array()?,
                key: cursor.array()?,
            },
            FOR_RECIPIENTS if (1..=MAX_RECIPIENTS).contains(&usize::from(count)) => {
                let set = cursor.array()?;
                let keys = (0..count)
                    .map(|_| Some((cursor.array()?, cursor.array()?)))
                    .collect::<Option<Vec<_>>>()?;
                Wrapped::ForRecipients { set, keys }
            }
            _ => return None,
        };
        cursor.end()?;
        Some(KeyFrame {
            container,
            wrapped,
            body: body.to_vec(),
            proof: *proof,
        })
    }

    /// A passphrase's file has one data key, whoever interrupted it.
    pub fn is_by_passphrase(&self) -> bool {
        matches!(self.wrapped, Wrapped::ByPassphrase { .. })
    }
}

/// Each once, in one order, so that the same people are the same set.
fn sorted(recipients: &[Recipient]) -> Result<Vec<Recipient>, PortableError> {
    let mut sorted = recipients.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    match (1..=MAX_RECIPIENTS).contains(&sorted.len()) {
        true => Ok(sorted),
        false => Err(PortableError::RecipientCount {
            found: sorted.len(),
            limit: MAX_RECIPIENTS,
        }),
    }
}

fn recipients_set(container: &ContainerId, sorted: &[Recipient]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(RECIPIENTS_LABEL);
    hash.update(container);
    for recipient in sorted {
        hash.update(recipient.bytes());
    }
    hash.finalize().into()
}

/// HKDF-SHA256 over the shared secret, with both public keys as the salt, as age derives it. `None` for a public key of
/// small order, with which everyone shares the same secret.
fn recipient_key(
    shared: &SharedSecret,
    share: &PublicKey,
    recipient: &Recipient,
) -> Option<Sealer> {
    if !shared.was_contributory() {
        return None;
    }
    let salt = [share.as_bytes().as_slice(), recipient.bytes()].concat();
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    Hkdf::<Sha256>::new(Some(&salt), shared.as_bytes())
        .expand(RECIPIENT_LABEL, key.as_mut_slice())
        .ok()?;
    Some(Sealer::from_key(&key))
}
