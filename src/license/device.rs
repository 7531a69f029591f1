//! Which device this is: a hash that a license and the sealed journals are bound to.
//!
//! A customer whose device no longer knows itself has lost every enrolment that is sealed, so only what stays for the life of
//! the board goes in. A MAC address does not: it changes with a USB adapter, a replaced Wi-Fi module, or a kernel that makes it
//! random. Neither do the host name, the kernel, the SD card's own number (a card that is cloned because it wears out must go
//! on working in the same board) or the size of the memory. Nor are sources ever mixed into one hash: then losing any of them
//! would lose all.
//!
//! The sources are compiled in and cannot be chosen by configuration: a file that can be edited would let anyone be any device.

use std::fmt;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::hex;

/// Goes into every fingerprint, so that it is of no use to anything else that hashes a serial number.
const FINGERPRINT_LABEL: &[u8] = b"recocomp device identity 1\0";

/// Goes into every secret. The fingerprint is printed, sent to the vendor, and stands in the license file on the same card as the
/// sealed templates, so nothing may be sealed with it or with what can be computed from it.
const SECRET_LABEL: &[u8] = b"recocomp device secret 1\0";

/// Where boards keep their serial number; the first is a link to the second on most kernels.
const SERIAL_FILES: [&str; 2] = [
    "proc/device-tree/serial-number",
    "sys/firmware/devicetree/base/serial-number",
];

const MACHINE_ID_FILE: &str = "etc/machine-id";

/// A longer file is no identity of anything.
const MAX_IDENTITY_BYTES: usize = 4096;

/// What the fingerprint was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IdentitySource {
    /// The board's serial number, burned in by its maker. Survives a new SD card and a new installation.
    BoardSerial,
    /// `/etc/machine-id`, made when the system was installed. Lost with a new installation, copied with a cloned card.
    MachineId,
    /// Nothing was found: every such device has the same fingerprint.
    Nothing,
}

impl IdentitySource {
    /// Part of every fingerprint: never change these.
    fn label(self) -> &'static [u8] {
        match self {
            IdentitySource::BoardSerial => b"board serial\0",
            IdentitySource::MachineId => b"machine id\0",
            IdentitySource::Nothing => b"nothing\0",
        }
    }
}

impl fmt::Display for IdentitySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IdentitySource::BoardSerial => "board serial number",
            IdentitySource::MachineId => "machine-id",
            IdentitySource::Nothing => "no identity",
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Candidate {
    source: IdentitySource,
    fingerprint: [u8; 32],
    secret: [u8; 32],
}

impl Candidate {
    fn new(source: IdentitySource, value: &[u8]) -> Candidate {
        let hash = |label| {
            let mut hash = Sha256::new();
            hash.update(label);
            hash.update(source.label());
            hash.update(value);
            hash.finalize().into()
        };
        Candidate {
            source,
            fingerprint: hash(FINGERPRINT_LABEL),
            secret: hash(SECRET_LABEL),
        }
    }
}

/// The identity of the device that the program runs on.
///
/// Beside the best source that there is now, it remembers what the other sources say. What was sealed under one of those still
/// opens: a kernel update that makes the serial number appear, or a first start before the machine-id was written, costs nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceIdentity {
    best: Candidate,
    others: Vec<Candidate>,
}

impl DeviceIdentity {
    /// Reads the identity. It always succeeds; a device that has none is logged as a warning.
    pub fn read() -> DeviceIdentity {
        let identity = DeviceIdentity::read_below(Path::new("/"));
        if identity.source() == IdentitySource::Nothing {
            tracing::warn!(
                "this device has neither a board serial number nor a lasting machine-id: sealed templates are protected by the \
                 file SALT beside them only, and a license cannot be bound to the device"
            );
        }
        identity
    }

    fn read_below(root: &Path) -> DeviceIdentity {
        let mut found = Vec::new();
        let serial = (SERIAL_FILES.iter()).find_map(|file| read_value(&root.join(file)));
        if let Some(serial) = serial {
            found.push(Candidate::new(IdentitySource::BoardSerial, &serial));
        }
        let machine_id = read_value(&root.join(MACHINE_ID_FILE))
            .filter(|value| value != b"uninitialized")
            .map(|value| Candidate::new(IdentitySource::MachineId, &value));
        let nothing = Candidate::new(IdentitySource::Nothing, b"");
        if machine_id_is_transient(root) {
            // Nothing new is bound to it; what is bound to it already may still be opened.
            found.push(nothing);
            found.extend(machine_id);
        } else {
            found.extend(machine_id);
            found.push(nothing);
        }
        let best = found.remove(0);
        DeviceIdentity {
            best,
            others: found,
        }
    }

    /// What the fingerprint was made of.
    pub fn source(&self) -> IdentitySource {
        self.best.source
    }

    /// SHA-256, 32 bytes, over the best source there is. The same after every start of the same device.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.best.fingerprint
    }

    /// The fingerprint as 64 lower-case hexadecimal digits, as it stands in a license and as `recocomp device-id` prints it.
    pub fn hex(&self) -> String {
        hex(&self.best.fingerprint)
    }

    /// What this device can seal with, from each of its sources, the best first. Never to be shown, stored or sent.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = [u8; 32]> {
        std::iter::once(&self.best)
            .chain(&self.others)
            .map(|candidate| candidate.secret)
    }

    /// The first of [`secrets`](DeviceIdentity::secrets): what anything new is sealed with.
    pub(crate) fn secret(&self) -> [u8; 32] {
        self.best.secret
    }

    /// An identity made up for a test.
    #[cfg(any(test, feature = "development-key"))]
    pub(crate) fn of_serial(serial: &str) -> DeviceIdentity {
        DeviceIdentity {
            best: Candidate::new(IdentitySource::BoardSerial, serial.as_bytes()),
            others: Vec::new(),
        }
    }
}

/// Short: enough to tell devices apart in a log.
impl fmt::Debug for DeviceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = hex(&self.best.fingerprint[..4]);
        write!(f, "DeviceIdentity({}, {short}…)", self.source())
    }
}

/// Contents without the white space and NUL bytes around them (a device tree string ends with a NUL). `None` if the file is
/// not there, is empty, or holds what makers write who have no serial number.
fn read_value(path: &Path) -> Option<Vec<u8>> {
    let bytes = fs::read(path).ok()?;
    let filler = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
    let from = bytes.iter().position(|byte| !filler(byte))?;
    let to = bytes.iter().rposition(|byte| !filler(byte))? + 1;
    let value = &bytes[from..to];
    let placeholder = value.iter().all(|byte| b"0xX-:. ".contains(byte))
        || value.iter().all(|byte| b"fF".contains(byte))
        || [
            "none",
            "unknown",
            "default string",
            "to be filled by o.e.m.",
        ]
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word.as_bytes()));
    (value.len() <= MAX_IDENTITY_BYTES && !placeholder).then(|| value.to_vec())
}

/// On a system whose `/etc` cannot be written when it starts, systemd makes a new machine-id at every start and mounts it over
/// `/etc/machine-id` from memory. Bound to that, everything would be lost at the next start.
fn machine_id_is_transient(root: &Path) -> bool {
    // Fields: id, parent, device, root, mount point, options..., "-", type of the file system, ...
    let mounts = fs::read(root.join("proc/self/mountinfo")).unwrap_or_default();
    String::from_utf8_lossy(&mounts).lines().any(|line| {
        let mut fields = line.split(' ');
        fields.nth(4) == Some("/etc/machine-id")
            && fields.skip_while(|field| *field != "-").nth(1) == Some("tmpfs")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(files: &[(&str, &str)]) -> DeviceIdentity {
        let root = tempfile::tempdir().unwrap();
        for (name, contents) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, contents).unwrap();
        }
        DeviceIdentity::read_below(root.path())
    }

    const SERIAL: (&str, &str) = ("proc/device-tree/serial-number", "10000000c0ffee01\0");
    const MACHINE: (&str, &str) = ("etc/machine-id", "0123456789abcdef0123456789abcdef\n");

    #[test]
    fn the_board_comes_before_the_installation() {
        let both = device(&[SERIAL, MACHINE]);
        assert_eq!(both.source(), IdentitySource::BoardSerial);
        assert_eq!(both.fingerprint(), device(&[SERIAL]).fingerprint());
        assert_eq!(device(&[MACHINE]).source(), IdentitySource::MachineId);
        assert_eq!(device(&[]).source(), IdentitySource::Nothing);
        assert_ne!(both.fingerprint(), device(&[MACHINE]).fingerprint());
    }

    #[test]
    fn either_place_of_the_serial_number_counts_the_same() {
        let other = ("sys/firmware/devicetree/base/serial-number", SERIAL.1);
        assert_eq!(device(&[SERIAL]), device(&[other]));
    }

    #[test]
    fn a_source_that_appears_later_leaves_the_old_secret_known() {
        let before = device(&[MACHINE]).secret();
        assert!(device(&[MACHINE, SERIAL]).secrets().any(|s| s == before));
        let before = device(&[]).secret();
        assert!(device(&[MACHINE]).secrets().any(|s| s == before));
    }

    #[test]
    fn placeholders_are_no_identity() {
        for nothing in ["", "\0", "0000000000000000\0", "unknown", "FFFFFFFF", " \n"] {
            let identity = device(&[("proc/device-tree/serial-number", nothing)]);
            assert_eq!(identity.source(), IdentitySource::Nothing, "{nothing:?}");
        }
        let identity = device(&[("etc/machine-id", "uninitialized\n")]);
        assert_eq!(identity.source(), IdentitySource::Nothing);
    }

    #[test]
    fn nothing_new_is_bound_to_a_machine_id_that_ends_with_this_start() {
        let mounts = "22 1 0:20 / /proc rw - proc proc rw\n\
                      99 1 0:25 /machine-id /etc/machine-id ro,relatime shared:5 - tmpfs tmpfs ro\n";
        let identity = device(&[MACHINE, ("proc/self/mountinfo", mounts)]);
        assert_eq!(identity.source(), IdentitySource::Nothing);
        let machine = device(&[MACHINE]).secret();
        assert!(identity.secrets().any(|s| s == machine));
        // A container that is given the host's file has it for good.
        let bind = mounts.replace("tmpfs", "ext4");
        let identity = device(&[MACHINE, ("proc/self/mountinfo", &bind)]);
        assert_eq!(identity.source(), IdentitySource::MachineId);
    }

    /// A change here would cost every customer his license and his enrolments.
    #[test]
    fn the_fingerprint_does_not_change_with_a_release() {
        let expected = "fc233b1be858d5f3c61f980ff0fc85b7febe973b0b88048653c0fe334a6a64ed";
        assert_eq!(device(&[SERIAL]).hex(), expected);
        let expected = "5330d6fadace69a878426d06b8f92579b69c7c660348feada3f7e3f56aaf908c";
        assert_eq!(hex(&device(&[SERIAL]).secret()), expected);
    }

    #[test]
    fn a_log_shows_a_short_fingerprint_only() {
        let shown = format!("{:?}", device(&[SERIAL]));
        assert!(shown.contains(&device(&[SERIAL]).hex()[..8]));
        assert!(!shown.contains(&device(&[SERIAL]).hex()[..10]));
        assert!(!shown.contains("c0ffee"));
    }
}
