//! Another device and another time for tests. Development builds only: no release has this file in it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::clock::{Clock, SystemClock};
use super::date::{self, Seconds};
use super::device::DeviceIdentity;
use super::guard::Pace;

/// A made-up serial number in place of the device's own.
const DEVICE: &str = "RECOCOMP_TEST_DEVICE";

/// A file with the time, like `2027-01-31T00:00:00Z`, and perhaps `synchronised` or `hardware` (there is a clock with a battery) behind it.
const CLOCK: &str = "RECOCOMP_TEST_CLOCK";

pub(super) fn device() -> Option<DeviceIdentity> {
    let serial = std::env::var(DEVICE).ok()?;
    tracing::warn!("{DEVICE} is set: the license is checked for a made-up device");
    Some(DeviceIdentity::of_serial(&serial))
}

/// The clock, and a pace that a test can wait for.
pub(super) fn clock() -> Option<(Arc<dyn Clock>, Pace)> {
    let file = PathBuf::from(std::env::var_os(CLOCK)?);
    tracing::warn!("{CLOCK} is set: the license is checked by a made-up clock");
    let often = Duration::from_millis(100);
    let pace = Pace {
        poll: often,
        recheck: often,
        recheck_refused: often,
    };
    let clock = ClockInFile {
        file,
        real: SystemClock::new(),
    };
    Some((Arc::new(clock), pace))
}

struct ClockInFile {
    file: PathBuf,
    real: SystemClock,
}

impl ClockInFile {
    fn words(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        text.split_whitespace().map(str::to_owned).collect()
    }
}

impl Clock for ClockInFile {
    fn now(&self) -> Seconds {
        let words = self.words();
        words.first().and_then(|time| date::read(time)).unwrap_or(0)
    }

    fn uptime(&self) -> Duration {
        self.real.uptime()
    }

    fn is_synchronised(&self) -> bool {
        self.words().get(1).is_some_and(|w| w == "synchronised")
    }

    fn agrees_with_hardware(&self) -> bool {
        self.words().get(1).is_some_and(|w| w == "hardware")
    }
}
