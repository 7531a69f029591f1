use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::gallery::storage::Disk;

fn gallery() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn device() -> DeviceIdentity {
    DeviceIdentity::of_serial("10000000c0ffee01")
}

fn open(gallery: &TempDir, anything_sealed: bool) -> Result<Sealer, SealError> {
    Sealer::open_or_create(&Disk, gallery.path(), &device(), anything_sealed)
}

#[test]
fn what_was_sealed_opens_after_a_restart() {
    let gallery = gallery();
    let plain: Vec<u8> = (0..1000).map(|i| i as u8).collect();
    let sealed = open(&gallery, false)
        .unwrap()
        .seal(b"place", &plain)
        .unwrap();
    assert_eq!(sealed.len(), plain.len() + OVERHEAD);
    let opened = open(&gallery, true)
        .unwrap()
        .open(b"place", &sealed)
        .unwrap();
    assert_eq!(opened[..], plain[..]);
    assert_eq!(opened.as_ptr() as usize % 16, 0);
    // Nothing at all can be sealed too.
    let sealer = open(&gallery, true).unwrap();
    let empty = sealer.seal(b"", b"").unwrap();
    assert_eq!(sealer.open(b"", &empty).unwrap().len(), 0);
}

#[test]
fn the_same_bytes_are_never_sealed_alike() {
    let sealer = open(&gallery(), false).unwrap();
    assert_ne!(
        sealer.seal(b"", b"plain").unwrap(),
        sealer.seal(b"", b"plain").unwrap()
    );
}

#[test]
fn nothing_else_opens() {
    let sealer = open(&gallery(), false).unwrap();
    let sealed = sealer.seal(b"record 7", b"plain text").unwrap();
    assert!(sealer.open(b"record 8", &sealed).is_none());
    for bit in 0..sealed.len() * 8 {
        let mut flipped = sealed.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(sealer.open(b"record 7", &flipped).is_none(), "bit {bit}");
    }
    for length in 0..sealed.len() {
        assert!(sealer.open(b"record 7", &sealed[..length]).is_none());
    }
    let longer = [&sealed[..], b"\0"].concat();
    assert!(sealer.open(b"record 7", &longer).is_none());
    // The same device with another salt.
    let other = open(&gallery(), false).unwrap();
    assert!(other.open(b"record 7", &sealed).is_none());
}

#[test]
fn another_device_is_told_from_damage() {
    let gallery = gallery();
    open(&gallery, false).unwrap();
    let other = DeviceIdentity::of_serial("10000000c0ffee02");
    for anything_sealed in [false, true] {
        let refused = Sealer::open_or_create(&Disk, gallery.path(), &other, anything_sealed);
        assert!(matches!(refused, Err(SealError::OtherDevice { .. })));
    }
    // And the device it belongs to still opens it.
    open(&gallery, true).unwrap();
}

#[test]
fn every_flipped_bit_and_every_length_of_the_salt_file_is_refused() {
    let gallery = gallery();
    open(&gallery, false).unwrap();
    let path = gallery.path().join(SALT_FILE);
    let good = fs::read(&path).unwrap();
    for bit in 0..good.len() * 8 {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &flipped).unwrap();
        for anything_sealed in [false, true] {
            let refused = open(&gallery, anything_sealed);
            assert!(
                matches!(refused, Err(SealError::Damaged { .. })),
                "bit {bit}"
            );
        }
        assert_eq!(fs::read(&path).unwrap(), flipped, "it is left as it is");
    }
    for length in 0..good.len() {
        fs::write(&path, &good[..length]).unwrap();
        assert!(matches!(
            open(&gallery, true),
            Err(SealError::Damaged { .. })
        ));
    }
    fs::write(&path, [&good[..], b"\0"].concat()).unwrap();
    assert!(matches!(
        open(&gallery, true),
        Err(SealError::Damaged { .. })
    ));
    fs::write(&path, &good).unwrap();
    open(&gallery, true).unwrap();
}

#[test]
fn a_newer_salt_file_is_named_so() {
    let gallery = gallery();
    let mut bytes = encode_salt_file(&[1; SALT_BYTES], &[2; CHECK_BYTES]);
    bytes[8] = 9;
    let checksum = crc32c::crc32c(&bytes[..CHECKSUM_AT]);
    bytes[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
    fs::write(gallery.path().join(SALT_FILE), bytes).unwrap();
    let refused = open(&gallery, true);
    assert!(matches!(
        refused,
        Err(SealError::NewerFormat { found: 9, .. })
    ));
}

#[test]
fn a_lost_salt_is_not_replaced() {
    let gallery = gallery();
    assert!(matches!(
        open(&gallery, true),
        Err(SealError::Missing { .. })
    ));
    assert_eq!(fs::read_dir(gallery.path()).unwrap().count(), 0);
}

#[test]
fn the_salt_file_is_private_and_a_torn_one_is_written_again() {
    let gallery = gallery();
    fs::write(gallery.path().join(STAGED_SALT_FILE), b"torn").unwrap();
    open(&gallery, false).unwrap();
    let names = Disk.entries(gallery.path()).unwrap();
    assert_eq!(names.len(), 1, "{names:?}");
    let path = gallery.path().join(SALT_FILE);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let first = fs::read(&path).unwrap();
    open(&gallery, false).unwrap();
    assert_eq!(fs::read(&path).unwrap(), first);
}

/// Computed with Python's hmac and hashlib. A change would lose every template that was ever sealed.
#[test]
fn the_key_of_a_device_and_a_salt_does_not_change() {
    let derived = Derived::new(&device().secret(), &[0x5a; SALT_BYTES]);
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    assert_eq!(
        hex(derived.key.as_slice()),
        "71c9eb71950ee592b6a6d7e1231da174465ef51f6619ba8cc750f2500b3a26fa"
    );
    assert_eq!(hex(&derived.check), "85af68ba90e323fb1dfbcd56a3b414d7");
}

#[test]
fn no_key_is_shown() {
    assert_eq!(format!("{:?}", Sealer::from_key(&[7; 32])), "Sealer");
}
