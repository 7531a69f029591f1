//! Every state, on a clock of the test's own. Here: devices for the tests, and what the file's being there does.

mod clock;
mod forgery;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, UNIX_EPOCH};

use ed25519_dalek::SigningKey;
use tempfile::TempDir;

use super::clock::{BUILD_TIME, Clock};
use super::date::{self, DAY, Seconds};
use super::device::DeviceIdentity;
use super::file::{issue, sign};
use super::keys::{DEVELOPMENT_KEY, TrustedKey, trusted_keys};
use super::*;

/// Some day after the program was built.
const TODAY: Seconds = BUILD_TIME + 100 * DAY;

static VENDOR: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[7; 32]));
static NEXT_VENDOR: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[8; 32]));
static STRANGER: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[9; 32]));

struct TestClock {
    now: AtomicU64,
    uptime: AtomicU64,
    synchronised: AtomicBool,
}

impl Clock for TestClock {
    fn now(&self) -> Seconds {
        self.now.load(Ordering::SeqCst)
    }

    fn uptime(&self) -> Duration {
        Duration::from_secs(self.uptime.load(Ordering::SeqCst))
    }

    fn is_synchronised(&self) -> bool {
        self.synchronised.load(Ordering::SeqCst)
    }
}

/// A device that can be switched off and on, its clock set, its files changed.
struct Device {
    data: TempDir,
    serial: &'static str,
    clock: Arc<TestClock>,
}

impl Device {
    fn new() -> Device {
        Device {
            data: tempfile::tempdir().unwrap(),
            serial: "1",
            clock: Arc::new(TestClock {
                now: AtomicU64::new(TODAY),
                uptime: AtomicU64::new(0),
                synchronised: AtomicBool::new(true),
            }),
        }
    }

    fn file(&self) -> PathBuf {
        license_file(self.data.path())
    }

    fn mark(&self) -> PathBuf {
        self.data.path().join("license.mark")
    }

    fn install(&self, terms: &Terms) {
        fs::write(self.file(), issue(terms, &VENDOR).unwrap()).unwrap();
    }

    /// The clock as it is after power came: 1970 on a board without a battery.
    fn set_clock(&self, now: Seconds, synchronised: bool) {
        self.clock.now.store(now, Ordering::SeqCst);
        self.clock
            .synchronised
            .store(synchronised, Ordering::SeqCst);
    }

    fn circumstances(&self) -> Circumstances {
        let trusted = |key: &SigningKey, name| TrustedKey {
            name,
            bytes: key.verifying_key().to_bytes(),
        };
        Circumstances {
            file: self.file(),
            mark: self.mark(),
            device: DeviceIdentity::of_serial(self.serial),
            keys: vec![trusted(&VENDOR, "1"), trusted(&NEXT_VENDOR, "2")],
            clock: self.clock.clone(),
            pace: Pace::default(),
        }
    }

    fn start(&self) -> License {
        License::watch_with(self.circumstances())
    }

    /// Starts, looks, and stops again.
    fn state(&self) -> State {
        self.start().state()
    }
}

fn terms() -> Terms {
    Terms {
        id: "L-1".into(),
        device: DeviceIdentity::of_serial("1").fingerprint(),
        customer: "Müller & Söhne".into(),
        issued: TODAY - 10 * DAY,
        expires: Some(TODAY + 90 * DAY),
        grace_days: 14,
        limits: Limits {
            collections: Some(2),
            people: None,
        },
        features: vec!["liveness".into()],
        clock_reset: false,
    }
}

fn perpetual() -> Terms {
    Terms {
        expires: None,
        ..terms()
    }
}

#[test]
fn a_license_of_this_device_authorises() {
    let device = Device::new();
    assert_eq!(device.state(), State::Unauthorized);
    device.install(&terms());
    let license = device.start();
    assert_eq!(license.state(), State::Authorized);
    assert_eq!(license.limits(), terms().limits);
    assert!(license.has_feature("liveness") && !license.has_feature("live"));
    // The network need not know the customer.
    assert!(!license.detail().contains("Müller"), "{}", license.detail());
    fs::write(device.file(), issue(&terms(), &NEXT_VENDOR).unwrap()).unwrap();
    assert_eq!(device.state(), State::Authorized);
}

#[test]
fn a_disk_that_takes_nothing_is_no_obstacle() {
    let device = Device::new();
    device.install(&terms());
    // Where the mark is staged.
    fs::create_dir_all(device.data.path().join("license.mark.new/x")).unwrap();
    assert_eq!(device.state(), State::Authorized);
    assert!(!device.mark().exists());
}

#[test]
fn what_is_no_file_is_no_license() {
    let device = Device::new();
    fs::create_dir(device.file()).unwrap();
    assert_eq!(device.state(), State::Unauthorized);
    assert!(device.start().detail().contains("cannot be read"));
    fs::remove_dir(device.file()).unwrap();
    std::os::unix::fs::symlink("/dev/zero", device.file()).unwrap();
    assert_eq!(device.state(), State::Unauthorized);
}

#[test]
fn a_replaced_file_is_noticed_while_running() {
    let device = Device::new();
    let mut with = device.circumstances();
    with.pace.poll = Duration::from_millis(5);
    let license = License::watch_with(with);
    let wait_for = |state| {
        let since = Instant::now();
        while license.state() != state {
            assert!(since.elapsed() < Duration::from_secs(20), "{license:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    wait_for(State::Unauthorized);
    device.install(&terms());
    wait_for(State::Authorized);
    fs::write(device.file(), "nonsense").unwrap();
    wait_for(State::Invalid);
    device.install(&perpetual());
    wait_for(State::Authorized);
    fs::remove_file(device.file()).unwrap();
    wait_for(State::Unauthorized);
    // And the hourly look.
    device.install(&terms());
    wait_for(State::Authorized);
    device.set_clock(TODAY + 200 * DAY, true);
    device.clock.uptime.fetch_add(3601, Ordering::SeqCst);
    wait_for(State::Expired);
}

#[test]
fn a_card_that_fails_while_running_locks_nobody_out() {
    let device = Device::new();
    device.install(&terms());
    let mut judge = guard::Judge::new(device.circumstances(), true);
    // A link to itself cannot be read, and no moment is without a file.
    std::os::unix::fs::symlink(device.file(), device.data.path().join("loop")).unwrap();
    fs::rename(device.data.path().join("loop"), device.file()).unwrap();
    judge.saw_commit(0);
    let verdict = judge.current().read().unwrap().clone();
    assert_eq!(verdict.state, State::Authorized, "{}", verdict.detail);
    assert_eq!(device.state(), State::Unauthorized, "after a start");
}
