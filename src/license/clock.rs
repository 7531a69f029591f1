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

    /// Whether a hardware clock, which goes on while the power is off, shows the same time.
    fn agrees_with_hardware(&self) -> bool {
        false
    }
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

    fn agrees_with_hardware(&self) -> bool {
        hardware_agrees(Path::new("/sys/class/rtc"), self.now())
    }
}

/// Whether one of these hardware clocks shows about this time. One without a battery begins in 1970 when the power comes, and is set
/// only together with the clock: by hand (`timedatectl set-time`), or by the kernel once that follows time servers.
fn hardware_agrees(clocks: &Path, now: Seconds) -> bool {
    const ABOUT: Seconds = 60;
    (std::fs::read_dir(clocks).into_iter().flatten().flatten())
        .filter_map(|clock| std::fs::read_to_string(clock.path().join("since_epoch")).ok())
        .filter_map(|shown| shown.trim().parse::<Seconds>().ok())
        .any(|shown| shown.abs_diff(now) <= ABOUT)
}

/// What the kernel was told by whichever daemon keeps the clock (`STA_UNSYNC` of adjtimex), asked for by way of systemd, which needs
/// no system call of our own. Without systemd the answer is no.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hardware_clock_counts_that_shows_the_same() {
        let clocks = tempfile::tempdir().unwrap();
        let now = BUILD_TIME;
        assert!(!hardware_agrees(clocks.path(), now));
        assert!(!hardware_agrees(&clocks.path().join("none"), now));
        let rtc = clocks.path().join("rtc0");
        std::fs::create_dir(&rtc).unwrap();
        for (shown, agrees) in [
            (format!("{now}\n"), true),
            (format!("{}\n", now + 60), true),
            (format!("{}\n", now - 61), false),
            ("4711\n".into(), false),
            (String::new(), false),
        ] {
            std::fs::write(rtc.join("since_epoch"), &shown).unwrap();
            assert_eq!(hardware_agrees(clocks.path(), now), agrees, "{shown}");
        }
    }
}
