//! What time it is, and how far that can be believed.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::date::Seconds;

/// No clock that is right shows an earlier time. Releases are built with `SOURCE_DATE_EPOCH`, other builds have the day on which
/// this was written, so that building twice gives the same program.
pub const BUILD_TIME: Seconds = {
    const WRITTEN: Seconds = 1_795_305_600; // 2026-11-22
    match option_env!("SOURCE_DATE_EPOCH") {
        Some(text) if number(text) > WRITTEN => number(text),
        _ => WRITTEN,
    }
};

/// A source of time.
pub trait Clock: Send + Sync {
    /// Seconds since 1970 UTC as the device believes; 0 for a clock that shows an earlier time.
    fn now(&self) -> Seconds;

    /// Time since some moment before the program asked first, never turned back or set.
    fn uptime(&self) -> Duration;

    /// Whether the clock follows time servers now. May take a second.
    fn is_synchronised(&self) -> bool;
}

/// The clock of the device.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    pub fn new() -> SystemClock {
        SystemClock {
            started: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Seconds {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }

    fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    fn is_synchronised(&self) -> bool {
        Path::new("/run/systemd/timesync/synchronized").exists() || kernel_is_synchronised()
    }
}

/// What the kernel was told by whichever daemon keeps the clock (`STA_UNSYNC` of adjtimex), asked for by way of systemd: a system
/// call of our own would be the only unsafe code of this room. Without systemd the answer is no.
fn kernel_is_synchronised() -> bool {
    const PATIENCE: Duration = Duration::from_secs(2);
    let asked = Command::new("/usr/bin/timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = asked else {
        return false;
    };
    let since = Instant::now();
    // Three bytes of output fit every pipe, so it ends without being read.
    while since.elapsed() < PATIENCE {
        match child.try_wait() {
            Ok(Some(_)) => {
                let said = child.wait_with_output().map(|output| output.stdout);
                return said.is_ok_and(|said| said.trim_ascii() == b"yes");
            }
            Ok(None) => thread::sleep(Duration::from_millis(20)),
            Err(_) => break,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}

const fn number(text: &str) -> Seconds {
    let text = text.as_bytes();
    let mut number: Seconds = 0;
    let mut i = 0;
    while i < text.len() {
        assert!(
            text[i].is_ascii_digit() && i < 11,
            "SOURCE_DATE_EPOCH is a number of seconds"
        );
        number = number * 10 + (text[i] - b'0') as Seconds;
        i += 1;
    }
    number
}
