//! The end of a license, and clocks that are wrong.

use super::*;

#[test]
fn the_end_the_grace_and_the_warning_before() {
    let device = Device::new();
    device.install(&terms());
    let mut said = Vec::new();
    for days in [50, 80, 89, 90, 103, 104, 1000] {
        device.set_clock(TODAY + days * DAY, true);
        let license = device.start();
        said.push((license.state(), license.detail()));
    }
    let (states, details): (Vec<_>, Vec<_>) = said.into_iter().unzip();
    use State::{Authorized, Expired};
    assert_eq!(states[..5], [Authorized; 5]);
    assert_eq!(states[5..], [Expired; 2]);
    assert!(!details[0].contains("day"));
    assert!(details[1].contains("in 10 days"), "{}", details[1]);
    assert!(details[2].contains("in 1 day"), "{}", details[2]);
    assert!(details[3].contains("expired on") && details[3].contains("in 14 days"));
    assert!(details[4].contains("in 1 day "), "{}", details[4]);
}

#[test]
fn a_board_without_a_clock_opens_its_door_after_a_power_cut() {
    let device = Device::new();
    device.install(&terms());
    assert_eq!(device.state(), State::Authorized);
    device.set_clock(0, false);
    assert_eq!(device.state(), State::Authorized);
    // The network came back.
    device.set_clock(TODAY + DAY, true);
    assert_eq!(device.state(), State::Authorized);
}

#[test]
fn a_new_board_that_never_had_the_time_takes_its_license() {
    for terms in [terms(), perpetual()] {
        let device = Device::new();
        device.set_clock(5, false);
        device.install(&terms);
        assert_eq!(device.state(), State::Authorized);
    }
}

#[test]
fn a_license_issued_in_the_future_is_invalid() {
    let future = |terms: Terms| Terms {
        issued: TODAY + 2 * DAY,
        ..terms
    };
    for synchronised in [true, false] {
        for terms in [future(terms()), future(perpetual())] {
            let device = Device::new();
            device.set_clock(TODAY, synchronised);
            device.install(&terms);
            assert_eq!(device.state(), State::Invalid);
            // It did not make itself valid by being looked at.
            assert_eq!(device.state(), State::Invalid);
            device.set_clock(TODAY + DAY, synchronised);
            assert_eq!(device.state(), State::Authorized);
        }
    }
}

#[test]
fn a_synchronised_clock_behind_the_mark_is_a_rollback() {
    let device = Device::new();
    device.install(&terms());
    assert_eq!(device.state(), State::Authorized);
    device.set_clock(TODAY - DAY, true);
    assert_eq!(device.state(), State::Authorized, "within the tolerance");
    device.set_clock(TODAY - DAY - 60, true);
    assert_eq!(device.state(), State::ClockRollback);
    // Not synchronised it proves nothing, and it gains nothing either: license time goes by the mark.
    device.set_clock(TODAY - 1000 * DAY, false);
    assert_eq!(device.state(), State::Authorized);
    device.set_clock(TODAY, true);
    assert_eq!(device.state(), State::Authorized);
    device.install(&perpetual());
    device.set_clock(TODAY - 50 * DAY, true);
    assert_eq!(device.state(), State::Authorized);
}

#[test]
fn setting_the_clock_back_does_not_undo_the_end() {
    let device = Device::new();
    device.install(&terms());
    device.set_clock(TODAY + 105 * DAY, false);
    assert_eq!(device.state(), State::Expired);
    device.set_clock(TODAY, false);
    assert_eq!(device.state(), State::Expired);
    device.set_clock(0, false);
    assert_eq!(device.state(), State::Expired);
    device.set_clock(TODAY, true);
    assert_eq!(device.state(), State::ClockRollback);
}

#[test]
fn a_board_that_always_starts_in_1970_gets_older_while_it_runs() {
    let device = Device::new();
    device.set_clock(0, false);
    device.install(&terms());
    for month in 0..4 {
        let license = device.start();
        assert_eq!(license.state(), State::Authorized, "{month}");
        device.clock.uptime.fetch_add(30 * DAY, Ordering::SeqCst);
        // Stopping it keeps the time.
        drop(license);
        device.clock.uptime.store(0, Ordering::SeqCst);
    }
    assert_eq!(device.state(), State::Expired);
}

#[test]
fn without_the_mark_the_newest_commit_tells_the_time() {
    let device = Device::new();
    device.install(&terms());
    device.set_clock(TODAY + 200 * DAY, false);
    assert_eq!(device.state(), State::Expired);
    for attack in [
        None,
        Some(&b""[..]),
        Some(b"recocomp license mark 1\ntime: 1\n"),
        Some(&[0xff; 99]),
    ] {
        match attack {
            None => fs::remove_file(device.mark()).unwrap(),
            Some(bytes) => fs::write(device.mark(), bytes).unwrap(),
        }
        device.set_clock(TODAY, false);
        let license = device.start();
        license.saw_commit(UNIX_EPOCH + Duration::from_secs(TODAY + 199 * DAY));
        assert_eq!(license.state(), State::Expired, "{attack:?}");
    }
    fs::remove_file(device.mark()).unwrap();
    device.set_clock(TODAY, true);
    let license = device.start();
    license.saw_commit(UNIX_EPOCH + Duration::from_secs(TODAY + 199 * DAY));
    assert_eq!(license.state(), State::ClockRollback);
}

/// A clock that was wrong once must not cost the customer the device.
#[test]
fn the_vendor_can_declare_the_mark_void() {
    let device = Device::new();
    device.install(&terms());
    device.set_clock(TODAY + 3000 * DAY, true);
    assert_eq!(device.state(), State::Expired);
    device.set_clock(TODAY, true);
    assert_eq!(device.state(), State::ClockRollback);
    let commit = UNIX_EPOCH + Duration::from_secs(TODAY + 3001 * DAY);
    let reset = Terms {
        issued: TODAY - 60,
        clock_reset: true,
        ..terms()
    };
    device.install(&reset);
    for _ in 0..2 {
        let license = device.start();
        license.saw_commit(commit);
        assert_eq!(license.state(), State::Authorized);
    }
    // Once only: it is no way to live for ever.
    device.set_clock(TODAY + 105 * DAY, true);
    assert_eq!(device.state(), State::Expired);
    device.set_clock(TODAY, true);
    assert_eq!(device.state(), State::ClockRollback);
}

#[test]
fn a_clock_without_its_senses_leaves_no_mark() {
    let device = Device::new();
    device.install(&terms());
    device.set_clock(date::LATEST, true);
    assert_eq!(device.state(), State::Authorized);
    device.set_clock(TODAY, true);
    assert_eq!(device.state(), State::Authorized);
}
