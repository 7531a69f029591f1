//! The door: its board, its collection, its clock, its token, its log.

use std::path::Path;

use gpiocdev::chip::Chip;

use super::super::inventory::inventory;
use super::device::{GPIO_RIGHTS, label, may_use};
use super::{Patient, Report, entries, read};
use crate::door::board::{Board, Driver};
use crate::door::settings::{LogRule, Settings};
use crate::engine::{Decision, Enrolled, clock_is_right, door_token};
use crate::gallery::Fusion;
use crate::inference::ModelSet;
use crate::license::clock_of_device;
use crate::logs::events;
use crate::shown::Shown;

pub fn door(patient: &Patient, report: &mut Report) {
    let settings = &patient.config.door;
    if !settings.enabled {
        return report.ok("none: [door] is not enabled");
    }
    match Board::load(&settings.board) {
        Ok(board) => pins(patient, report, &board),
        Err(e) => report.problem(
            e.to_string(),
            "put door.board right: a name, or a file like board/generic.toml; docs/guide/door.md, \"Wiring\"",
        ),
    }
    collection(patient, report, settings);
    token(report, settings);
    if !settings.schedule.is_empty() && !clock_is_right(clock_of_device().as_ref()) {
        report.problem(
            "door.schedule needs the time of day, and nothing confirms the clock: no face opens",
            "let it reach a time server (timedatectl), fit a clock with a battery and set it once (timedatectl set-time), or take out \
             door.schedule",
        );
    }
    event_log(report, settings, &patient.config.storage.data);
    if let Some(exposure) = settings.exposure() {
        report.warning(exposure.found, exposure.advice);
    }
}

fn pins(patient: &Patient, report: &mut Report, board: &Board) {
    match board.driver {
        Driver::Simulated => report.warning(
            format!("{board}"),
            "name the board of this device in door.board",
        ),
        Driver::Cdev => lines(patient, report, board),
        Driver::Rppal => registers(patient, report, board),
    }
}

/// The chip of the kernel's character device.
fn lines(patient: &Patient, report: &mut Report, board: &Board) {
    let wanted = board.chip.as_deref().unwrap_or_default();
    let mut found = Vec::new();
    let mut closed = Vec::new();
    for chip in entries(patient.root, "dev", "gpiochip") {
        let path = patient.root.join("dev").join(&chip);
        // Opening a chip takes no line and changes none.
        let info = Chip::from_path(&path).and_then(|chip| chip.info());
        let known = info.map(|info| info.label).ok();
        let Some(label) = known.or_else(|| label(patient, &chip)) else {
            closed.push(chip);
            continue;
        };
        if label != wanted {
            found.push(format!("\"{label}\" ({chip})"));
            continue;
        }
        return match may_use(patient, &path) {
            Ok(true) => report.ok(format!("{board}: {chip} has its lines")),
            Ok(false) => report.problem(
                format!("{board}: the daemon may not use {chip}"),
                GPIO_RIGHTS,
            ),
            Err(e) => report.problem(format!("{board}: {chip}: {e}"), "look into dmesg"),
        };
    }
    match closed.is_empty() {
        true => report.problem(
            format!(
                "{board}: no gpiochip has the label \"{wanted}\"; there are: {}",
                match found.is_empty() {
                    true => "none".into(),
                    false => found.join(", "),
                }
            ),
            "door.board must be the one of this device; for another, copy board/generic.toml and write the label into it that gpiodetect \
             shows",
        ),
        false => report.problem(
            format!("{board}: {} cannot be looked at", closed.join(", ")),
            GPIO_RIGHTS,
        ),
    }
}

/// The registers of a Raspberry Pi.
fn registers(patient: &Patient, report: &mut Report, board: &Board) {
    let model = read(patient.root, "proc/device-tree/compatible").unwrap_or_default();
    // The header of a Pi 5 belongs to its RP1.
    let name = match model.contains("bcm2712") {
        true => "dev/gpiomem0",
        false => "dev/gpiomem",
    };
    match may_use(patient, &patient.root.join(name)) {
        Ok(true) => report.ok(format!(
            "{board}: /{name}; the service needs `DeviceAllow=/{name} rw` in a drop-in"
        )),
        Ok(false) => report.problem(
            format!("{board}: the daemon may not use /{name}"),
            "usermod -aG gpio recocomp; and chgrp gpio, chmod 0660 by a udev rule where the distribution has none",
        ),
        Err(e) => report.problem(
            format!("{board}: /{name}: {e}"),
            "the driver rppal is for Raspberry Pis; a board file with driver = \"cdev\" works everywhere",
        ),
    }
}

fn collection(patient: &Patient, report: &mut Report, settings: &Settings) {
    let name = &settings.collection;
    // Of a gallery that cannot be read the check of the data folder says why.
    let listed = inventory(&patient.config, false).unwrap_or_default();
    let found = listed.iter().find(|c| c.name.as_ref() == Some(name));
    let Some(found) = found else {
        return report.problem(
            format!("there is no collection \"{name}\": nobody is let in"),
            format!("recocomp enroll DIR --collection {name}, or write the name of the one that is meant into door.collection"),
        );
    };
    let (people, faces) = (found.people.unwrap_or(0), found.features.unwrap_or(0));
    // The check of the models says what is wrong with them.
    let Ok(models) = ModelSet::load(&patient.config.model_paths()) else {
        return;
    };
    let fusion = patient.config.recognition.fusion;
    let decision = match Decision::of(&models.embedder.entry, fusion) {
        Ok(decision) => decision,
        Err(why) => {
            return report.problem(
                format!("nobody is let in: {why}"),
                "models.table: docs/ref/config.md",
            );
        }
    };
    let decides = |people, faces| {
        (decision.threshold(settings.target_fpir, Enrolled { people, faces }))
            .map_err(|e| e.to_string())
    };
    let a_ninth_more = |count: usize| count + count / 9 + 1;
    let more = format!(
        "a larger door.target_fpir, with open eyes, or fewer {}: docs/guide/door.md, \"The threshold\"",
        match fusion {
            Fusion::Off => "faces",
            Fusion::Mean => "people",
        }
    );
    let said = format!("collection \"{name}\": {people} people, {faces} faces");
    match (
        decides(people, faces),
        decides(a_ninth_more(people), a_ninth_more(faces)),
    ) {
        _ if faces == 0 => report.warning(
            format!("{said}: nobody is let in"),
            format!("recocomp enroll DIR --collection {name}"),
        ),
        (Err(why), _) => report.problem(format!("{said}: nobody is let in: {why}"), more),
        (Ok(_), Err(why)) => {
            report.warning(format!("{said}, nearly as many as may be: {why}"), more)
        }
        (Ok(threshold), Ok(_)) => {
            let how = match threshold.extrapolated {
                true => ", extrapolated from what was measured",
                false => "",
            };
            report.ok(format!("{said}, cosine from {:.3}{how}", threshold.cosine));
        }
    }
}

fn token(report: &mut Report, settings: &Settings) {
    // A credential of the service exists only while it runs, and for it alone.
    let credential =
        (settings.token_file.as_ref()).is_some_and(|path| path.starts_with("/run/credentials"));
    if credential {
        return;
    }
    match door_token(settings) {
        Ok(token) => {
            if let Some(warning) = token.and_then(|token| token.warning) {
                report.warning(
                    format!("door.token_file: {warning}"),
                    "afterwards make a new token, which the terminal is given, too",
                );
            }
        }
        Err(e) => report.problem(
            e.to_string(),
            "umask 077; openssl rand -hex 32 > FILE; chown recocomp FILE",
        ),
    }
}

fn event_log(report: &mut Report, settings: &Settings, data: &Path) {
    let consequence = match settings.log {
        LogRule::BestEffort => "the door goes on without it",
        LogRule::Required => "no face opens (door.log)",
    };
    let mend = format!(
        "{consequence}; look at the medium, and whose {} is: chown -R recocomp: it",
        events::folder(data).shown()
    );
    if let Err(e) = events::can_be_written(data) {
        report.problem(
            format!("the event log cannot be written: {e}"),
            mend.clone(),
        );
    }
    match events::read(data, 0, usize::MAX) {
        Ok(page) if page.damaged > 0 => report.warning(
            format!("{} lines of the event log cannot be read, or their numbers were changed", page.damaged),
            "recocomp door events shows the others; a line that a power cut tore is none to worry about",
        ),
        Ok(_) => {}
        Err(e) => report.problem(format!("the event log cannot be read: {e}"), mend),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level::{Ok, Problem};
    use super::super::tests::examine;
    use super::*;

    const CHIP: (&str, &str) = ("dev/gpiochip4", "");

    fn told(board: &str, files: &[(&str, &str)]) -> (super::super::Level, String) {
        // A function for the table of checks takes nothing but the patient.
        let check = match board {
            "rpi5" => |p: &Patient, r: &mut Report| lines(p, r, &Board::load("rpi5").unwrap()),
            _ => |p: &Patient, r: &mut Report| {
                let mut board = Board::load("rpi5").unwrap();
                board.driver = Driver::Rppal;
                registers(p, r, &board);
            },
        };
        examine(check, files).remove(0)
    }

    #[test]
    fn a_chip_is_found_by_its_label() {
        let (level, said) = told("rpi5", &[]);
        assert!(
            level == Problem && said.contains("there are: none"),
            "{said}"
        );
        let label = "sys/bus/gpio/devices/gpiochip4/label";
        let (level, said) = told("rpi5", &[CHIP, (label, "pinctrl-bcm2711\n")]);
        assert!(
            level == Problem && said.contains("\"pinctrl-bcm2711\" (gpiochip4)"),
            "{said}"
        );
        // Whose the file is decides, and a test's is its own: who is root looks at the group.
        let (level, said) = told("rpi5", &[CHIP, (label, "pinctrl-rp1\n")]);
        match rustix::process::geteuid().is_root() {
            true => assert!(
                level == Problem && said.contains("may not use gpiochip4"),
                "{said}"
            ),
            false => assert_eq!(level, Ok, "{said}"),
        }
    }

    #[test]
    fn the_registers_of_a_pi_5_have_another_name() {
        let (level, said) = told("rppal", &[]);
        assert!(level == Problem && said.contains("/dev/gpiomem:"), "{said}");
        let pi = (
            "proc/device-tree/compatible",
            "raspberrypi,5-model-b\0brcm,bcm2712\0",
        );
        let (level, said) = told("rppal", &[pi]);
        assert!(
            level == Problem && said.contains("/dev/gpiomem0:"),
            "{said}"
        );
    }
}
