//! The program itself: time and license, networks, port.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::super::serve::AddressFile;
use super::{Patient, Report};
use crate::http::PREFIX;
use crate::inference::ModelSet;
use crate::license::clock::{BUILD_TIME, Clock, SystemClock};
use crate::license::{State, assess, date, license_file};
use crate::recognition::Recognizer;

/// A daemon that is not wedged answers `/version` in milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Of an answer, what is looked at.
const MAX_ANSWER: u64 = 4096;

pub fn clock(_: &Patient, report: &mut Report) {
    let clock = SystemClock::new();
    let (now, shown) = (clock.now(), date::show(clock.now()));
    let synchronised = clock.is_synchronised();
    if now < BUILD_TIME {
        report.problem(
            format!("it shows {shown}, which is before this program was built"),
            "set it: sudo timedatectl set-time \"2026-11-22 10:00\", or let it reach a time server",
        );
    } else if synchronised {
        report.ok(format!("{shown}, synchronised"));
    } else {
        report.warning(
            format!("{shown}, not synchronised: times of events may be wrong"),
            "let it reach a time server (timedatectl), or fit a clock with a battery; licenses hold without",
        );
    }
}

pub fn license(patient: &Patient, report: &mut Report) {
    let data = &patient.config.storage.data;
    let verdict = assess(data, &license_file(data));
    let found = format!("{}: {}", verdict.state, verdict.detail);
    match verdict.state {
        State::Authorized => report.ok(found),
        State::Unauthorized => report.problem(
            found,
            "recocomp license request --customer NAME, and install what the vendor answers",
        ),
        _ => report.problem(found, "see docs/guide/license.md, \"What the states mean\""),
    }
}

pub fn models(patient: &Patient, report: &mut Report) {
    const ADVICE: &str = "take the lines out of [models] in the configuration: the networks inside the program are used then";
    let start = Instant::now();
    let models = match ModelSet::load(&patient.config.model_paths()) {
        Ok(models) => models,
        Err(e) => return report.problem(e.to_string(), ADVICE),
    };
    let mut recognizer = match Recognizer::new(&models, patient.config.recognizer_options()) {
        Ok(recognizer) => recognizer,
        Err(e) => return report.problem(e.to_string(), ADVICE),
    };
    let loaded = start.elapsed();
    let start = Instant::now();
    if let Err(e) = recognizer.rehearse() {
        return report.problem(format!("the networks do not run here: {e}"), ADVICE);
    }
    report.ok(format!(
        "{}, {}, {}, {}: the sums are right; loaded in {} ms, run in {} ms",
        models.detector.entry.id,
        models.landmarks.entry.id,
        models.liveness.entry.id,
        models.embedder.entry.id,
        loaded.as_millis(),
        start.elapsed().as_millis()
    ));
}

pub fn port(patient: &Patient, report: &mut Report) {
    let listen = patient.config.server.listen;
    let data = &patient.config.storage.data;
    if let Some(address) = AddressFile::read(data)
        && let Ok(stream) = TcpStream::connect_timeout(&address, PATIENCE)
    {
        return match ask_version(stream, address) {
            Ok(true) => report.ok(format!("the daemon answers on {address}")),
            Ok(false) => report.problem(
                format!("what answers on {address} is no recocomp"),
                "see with `ss -ltnp` what it is; start the daemon anew",
            ),
            Err(e) => report.problem(
                format!("the daemon on {address} does not answer: {e}"),
                "systemctl restart recocomp; see journalctl -u recocomp",
            ),
        };
    }
    match TcpListener::bind(listen) {
        Ok(_) => report.ok(format!(
            "{listen} is free; the daemon does not run on this data"
        )),
        Err(e) if e.kind() == ErrorKind::AddrInUse => report.problem(
            format!("{listen} is taken, and not by the daemon on this data"),
            "see with `ss -ltnp` by what; stop it, or choose another server.listen",
        ),
        Err(e) if e.kind() == ErrorKind::PermissionDenied => report.problem(
            format!("this user may not listen on {listen}"),
            "take a port from 1024, or recocomp.socket",
        ),
        Err(e) => report.problem(
            format!("{listen} cannot be listened on: {e}"),
            "server.listen must be an address of this device, or 0.0.0.0",
        ),
    }
}

/// Whether it is recocomp that answers.
fn ask_version(mut stream: TcpStream, address: SocketAddr) -> std::io::Result<bool> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET {PREFIX}/version HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    // Refusing because of too many connections is an answer, too.
    Ok(answer.contains("err_code"))
}
