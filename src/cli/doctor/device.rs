//! The board: power, processor, memory, watchdog, GPIO, and what its systemd has been told.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::{Patient, Report, entries, read};
use crate::config::memory::Usable;
use crate::gallery::scan::kernel;

/// Bits of `get_throttled` of the Raspberry Pi's firmware (documentation of vcgencmd).
const UNDER_VOLTAGE_NOW: u32 = 1 << 0;
const THROTTLED_NOW: u32 = 1 << 2;
const UNDER_VOLTAGE_SEEN: u32 = 1 << 16;

/// KiB of memory below which nothing works without a doubt.
const MEMORY_AT_LEAST: u64 = 400 << 10;

const FIRMWARE: &str = "sys/devices/platform/soc/soc:firmware/get_throttled";

pub fn power(patient: &Patient, report: &mut Report) {
    const ADVICE: &str = "use the maker's power supply and a short, thick cable: with too little voltage the board slows down, and what it \
                          writes to its card gets damaged";
    let root = patient.root;
    let mut known = false;
    for sensor in entries(root, "sys/class/hwmon", "hwmon") {
        let folder = format!("sys/class/hwmon/{sensor}");
        if read(root, &format!("{folder}/name")).as_deref() == Some("rpi_volt") {
            known = true;
            if read(root, &format!("{folder}/in0_lcrit_alarm")).as_deref() == Some("1") {
                return report.problem("too little voltage since the last look", ADVICE);
            }
        }
    }
    let throttled = read(root, FIRMWARE)
        .and_then(|bits| u32::from_str_radix(bits.trim_start_matches("0x"), 16).ok());
    if let Some(bits) = throttled {
        known = true;
        if bits & UNDER_VOLTAGE_NOW != 0 {
            return report.problem("too little voltage now", ADVICE);
        }
        if bits & UNDER_VOLTAGE_SEEN != 0 {
            return report.warning("there was too little voltage since the start", ADVICE);
        }
        if bits & THROTTLED_NOW != 0 {
            return report.warning("the processor is slowed down", "cool it");
        }
    }
    report.ok(match known {
        true => "enough voltage",
        false => "this board does not measure its voltage",
    });
}

pub fn processor(_: &Patient, report: &mut Report) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let page = rustix::param::page_size() >> 10;
    let kernel = kernel().name();
    let found = format!(
        "{}, {cores} cores, pages of {page} KiB, searches with {kernel}",
        std::env::consts::ARCH
    );
    match kernel {
        "scalar" => report.warning(
            found,
            "searches are slow on this processor: keep collections below 10,000 people",
        ),
        _ => report.ok(found),
    }
}

pub fn memory(patient: &Patient, report: &mut Report) {
    let text = read(patient.root, "proc/meminfo").unwrap_or_default();
    let kib = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let (Some(total), Some(free)) = (kib("MemTotal:"), kib("MemAvailable:")) else {
        return report.warning(
            "how much there is is not known",
            "see whether /proc is mounted",
        );
    };
    let found = format!("{} MiB, {} MiB of it free", total >> 10, free >> 10);
    if total < MEMORY_AT_LEAST {
        report.problem(found, "a board with 512 MB at least is needed");
        return;
    }
    let usable = Usable::of_service(patient.root);
    let budget = patient.config.budget_of(usable.as_ref());
    let found = match &usable {
        Some(Usable {
            bytes,
            limit: Some(file),
        }) => format!(
            "{found}; {} MiB are this service's ({}); {budget}",
            bytes >> 20,
            file.display()
        ),
        _ => format!("{found}; {budget}"),
    };
    if usable.is_some_and(|usable| budget.with_own() > usable.bytes) {
        report.warning(
            found,
            "lower limits.max_body_memory and limits.max_picture_memory, or leave them out: they are then what there is room for",
        );
    } else {
        report.ok(found);
    }
}

pub fn watchdog(patient: &Patient, report: &mut Report) {
    let dogs = entries(patient.root, "sys/class/watchdog", "watchdog");
    let state = |dog: &String| read(patient.root, &format!("sys/class/watchdog/{dog}/state"));
    if dogs
        .iter()
        .any(|dog| state(dog).as_deref() == Some("active"))
    {
        report.ok("the hardware watchdog is armed: a kernel that hangs starts anew");
    } else if dogs.is_empty() {
        report.warning(
            "no hardware watchdog: a kernel that hangs stays so",
            "on a Raspberry Pi: dtparam=watchdog=on in config.txt",
        );
    } else {
        report.warning(
            "the hardware watchdog is not armed: a kernel that hangs stays so",
            "RuntimeWatchdogSec=15 in /etc/systemd/system.conf.d/watchdog.conf below [Manager], and start the device anew",
        );
    }
}

pub(super) const GPIO_RIGHTS: &str = "install 60-recocomp-gpio.rules, then udevadm trigger, and the daemon's user into the group gpio: usermod -aG gpio recocomp";

pub fn gpio(patient: &Patient, report: &mut Report) {
    let root = patient.root;
    let chips = entries(root, "dev", "gpiochip");
    if chips.is_empty() {
        return report.ok("no GPIO here: a door cannot be opened by this device");
    }
    let mut refused = Vec::new();
    for chip in &chips {
        match may_use(patient, &root.join("dev").join(chip)) {
            Ok(true) => {}
            Ok(false) => refused.push(chip.clone()),
            Err(e) => return report.warning(format!("{chip}: {e}"), "look into dmesg"),
        }
    }
    let labels: Vec<String> = chips
        .iter()
        .map(|chip| match label(patient, chip) {
            Some(label) => format!("{chip} ({label})"),
            None => chip.clone(),
        })
        .collect();
    match refused.is_empty() {
        true => report.ok(labels.join(", ")),
        false => report.warning(
            format!("the daemon may not use {}", refused.join(", ")),
            GPIO_RIGHTS,
        ),
    }
}

/// Whether the daemon may use a device node, as far as this user can tell. Opening one takes no line and changes none.
pub(super) fn may_use(patient: &Patient, path: &Path) -> io::Result<bool> {
    if rustix::process::geteuid().is_root() {
        return fs::metadata(path).map(|file| is_of_group_gpio(patient, &file));
    }
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == ErrorKind::PermissionDenied => Ok(false),
        Err(e) => Err(e),
    }
}

/// Whether the user of the daemon reaches a file by the group gpio.
fn is_of_group_gpio(patient: &Patient, file: &fs::Metadata) -> bool {
    let groups = read(patient.root, "etc/group").unwrap_or_default();
    let mut gpio = (groups.lines())
        .map(|line| line.split(':').collect::<Vec<_>>())
        .filter(|fields| fields.first() == Some(&"gpio"));
    gpio.next().is_some_and(|fields| {
        let of_group = fields.get(2).and_then(|id| id.parse().ok()) == Some(file.gid());
        let member = (fields.get(3)).is_some_and(|all| all.split(',').any(|one| one == "recocomp"));
        of_group && member && file.permissions().mode() & 0o060 == 0o060
    })
}

/// What the maker of the driver calls a chip.
pub(super) fn label(patient: &Patient, chip: &str) -> Option<String> {
    let folder = format!("sys/bus/gpio/devices/{chip}");
    let legacy = || {
        let inner = entries(patient.root, &format!("{folder}/gpio"), "gpiochip");
        read(
            patient.root,
            &format!("{folder}/gpio/{}/label", inner.first()?),
        )
    };
    read(patient.root, &format!("{folder}/label"))
        .or_else(legacy)
        .or_else(|| read(patient.root, &format!("{folder}/of_node/compatible")))
}

pub fn service(patient: &Patient, report: &mut Report) {
    let exists = |path: &str| patient.root.join(path).symlink_metadata().is_ok();
    const PLACES: [&str; 3] = [
        "etc/systemd/system",
        "usr/lib/systemd/system",
        "lib/systemd/system",
    ];
    if !exists("run/systemd/system") {
        return report.ok("systemd does not run here: something else starts the daemon");
    }
    if !PLACES
        .iter()
        .any(|place| exists(&format!("{place}/recocomp.service")))
    {
        return report.warning(
            "recocomp.service is not installed: nothing starts the daemon after a power cut",
            "install the package",
        );
    }
    if exists("etc/systemd/system/multi-user.target.wants/recocomp.service")
        || exists("etc/systemd/system/sockets.target.wants/recocomp.socket")
    {
        report.ok("recocomp.service is started with the device");
    } else {
        report.problem(
            "recocomp.service is not started with the device",
            "systemctl enable --now recocomp.service",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level::{Ok, Problem, Warning};
    use super::super::tests::examine;
    use super::*;

    #[test]
    fn too_little_voltage_is_told() {
        let hwmon = ("sys/class/hwmon/hwmon1/name", "rpi_volt\n");
        let alarm = |on| ("sys/class/hwmon/hwmon1/in0_lcrit_alarm", on);
        let told = |files: &[(&str, &str)]| examine(power, files)[0].clone();
        assert_eq!(told(&[hwmon, alarm("0\n")]), (Ok, "enough voltage".into()));
        assert_eq!(told(&[hwmon, alarm("1\n")]).0, Problem);
        let other = ("sys/class/hwmon/hwmon1/name", "cpu_thermal\n");
        assert!(told(&[other, alarm("1\n")]).1.contains("does not measure"));
        for (bits, level) in [
            ("0", Ok),
            ("50005", Problem),
            ("50000", Warning),
            ("0x4", Warning),
        ] {
            assert_eq!(told(&[(FIRMWARE, bits)]).0, level, "{bits}");
        }
    }

    #[test]
    fn little_memory_is_told() {
        let told = |kib: u64| {
            let text = format!("MemTotal:  {kib} kB\nMemFree: 1 kB\nMemAvailable:  1024 kB\n");
            examine(memory, &[("proc/meminfo", &text)])[0].clone()
        };
        let (level, text) = told(4 << 20);
        assert_eq!(level, Ok);
        assert!(
            text.starts_with("4096 MiB, 1 MiB of it free; requests take "),
            "{text}"
        );
        assert_eq!(told(460 << 10).0, Ok);
        assert_eq!(told(250 << 10).0, Problem);
    }

    #[test]
    fn what_the_service_may_use_counts() {
        let told = |bytes: &str| {
            let total = (
                "proc/meminfo",
                "MemTotal: 8000000 kB\nMemAvailable: 1024 kB\n",
            );
            let limit = (
                "sys/fs/cgroup/system.slice/recocomp.service/memory.max",
                bytes,
            );
            examine(memory, &[total, limit])[0].clone()
        };
        let (level, text) = told("724566016\n");
        assert_eq!(level, Ok);
        assert!(text.contains("691 MiB are this service's"), "{text}");
        assert_eq!(told("104857600\n").0, Warning);
    }

    #[test]
    fn an_unarmed_watchdog_is_told() {
        let told = |state| examine(watchdog, &[("sys/class/watchdog/watchdog0/state", state)])[0].0;
        assert_eq!((told("active\n"), told("inactive\n")), (Ok, Warning));
        assert_eq!(examine(watchdog, &[])[0].0, Warning);
    }

    #[test]
    fn a_unit_that_is_not_enabled_is_told() {
        let (systemd, unit) = (
            ("run/systemd/system/x", ""),
            ("lib/systemd/system/recocomp.service", ""),
        );
        let enabled = (
            "etc/systemd/system/multi-user.target.wants/recocomp.service",
            "",
        );
        assert_eq!(examine(service, &[])[0].0, Ok);
        assert_eq!(examine(service, &[systemd])[0].0, Warning);
        assert_eq!(examine(service, &[systemd, unit])[0].0, Problem);
        assert_eq!(examine(service, &[systemd, unit, enabled])[0].0, Ok);
    }
}
