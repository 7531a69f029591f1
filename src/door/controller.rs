//! What the pins should be: a function of time, inputs and commands, without clocks, threads or hardware.

use std::time::Duration;

use super::board::Safe;
use super::gpio::Sensed;

/// How long an input must keep its level to count: longer than contacts bounce.
const DEBOUNCE: Duration = Duration::from_millis(40);
/// How long the LED and the buzzer say no.
const DENIED: Duration = Duration::from_secs(1);
/// Who opened the lock may take so much longer to move the door.
const ENTRY: Duration = Duration::from_secs(2);
/// An alarm falls silent then; its event remains.
const ALARM: Duration = Duration::from_secs(60);

/// What does not change while there is a door.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub safe: Safe,
    pub pulse: Duration,
    /// From the end of an opening; none at all if zero.
    pub cooldown: Duration,
    pub held_open: Duration,
}

/// Which outputs have current, in the order of [`super::gpio::Output::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switched {
    pub relay: bool,
    pub green: bool,
    pub red: bool,
    pub buzzer: bool,
}

/// What happened at the door.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Happening {
    /// The exit button opened the lock.
    Button,
    /// The lock is locked again.
    Relocked,
    DoorOpened,
    DoorClosed,
    /// The door was opened while locked.
    Forced,
    /// The door has been open for too long.
    HeldOpen,
    Tamper,
    TamperEnded,
}

/// Times are since the start of the controller's clock, which never goes back.
#[derive(Debug)]
pub struct Controller {
    rules: Rules,
    button: Debounced,
    contact: Debounced,
    tamper: Debounced,
    unlocked_until: Option<Duration>,
    entry_until: Duration,
    no_face_until: Duration,
    denied_until: Duration,
    /// Since when the door is open, and whether that was said to be too long.
    open_since: Option<(Duration, bool)>,
    door_alarm_until: Duration,
    /// Apart from the door's: closing a door does not silence it.
    tamper_alarm_until: Duration,
}

impl Controller {
    /// A door that begins in the state of its inputs: a button that is pressed from the start is stuck and opens nothing, a door
    /// that is open was not forced.
    pub fn new(rules: Rules, sensed: Sensed, now: Duration) -> Controller {
        Controller {
            rules,
            button: Debounced::new(sensed.button),
            contact: Debounced::new(sensed.door_open),
            // Asserted from the start it is news.
            tamper: Debounced::new(false),
            unlocked_until: None,
            entry_until: Duration::ZERO,
            no_face_until: Duration::ZERO,
            denied_until: Duration::ZERO,
            open_since: sensed.door_open.then_some((now, false)),
            door_alarm_until: Duration::ZERO,
            tamper_alarm_until: Duration::ZERO,
        }
    }

    /// Whether a face may enter. `false`: not yet, one just did.
    pub fn admits_face(&self, now: Duration) -> bool {
        now >= self.no_face_until
    }

    /// A face enters.
    pub fn open_by_face(&mut self, now: Duration) {
        self.unlock(now);
        if !self.rules.cooldown.is_zero() {
            self.no_face_until = now + self.rules.pulse + self.rules.cooldown;
        }
    }

    /// A face may not enter.
    pub fn deny(&mut self, now: Duration) {
        self.denied_until = now + DENIED;
    }

    fn unlock(&mut self, now: Duration) {
        let until = now + self.rules.pulse;
        self.unlocked_until = Some(until);
        self.entry_until = until + ENTRY;
        self.denied_until = Duration::ZERO;
    }

    /// Time went on to `now`, and this is what the inputs say.
    pub fn step(&mut self, now: Duration, sensed: Sensed) -> Vec<Happening> {
        let mut happened = Vec::new();
        if self.button.changed(now, sensed.button) == Some(true) {
            self.unlock(now);
            happened.push(Happening::Button);
        }
        match self.contact.changed(now, sensed.door_open) {
            Some(true) => {
                self.open_since = Some((now, false));
                happened.push(Happening::DoorOpened);
                if now >= self.entry_until {
                    self.door_alarm_until = now + ALARM;
                    happened.push(Happening::Forced);
                }
            }
            Some(false) => {
                self.open_since = None;
                self.door_alarm_until = Duration::ZERO;
                happened.push(Happening::DoorClosed);
            }
            None => {}
        }
        match self.tamper.changed(now, sensed.tamper) {
            Some(true) => {
                self.tamper_alarm_until = now + ALARM;
                happened.push(Happening::Tamper);
            }
            Some(false) => happened.push(Happening::TamperEnded),
            None => {}
        }
        if let Some((since, said @ false)) = &mut self.open_since
            && now >= *since + self.rules.held_open
        {
            *said = true;
            self.door_alarm_until = now + ALARM;
            happened.push(Happening::HeldOpen);
        }
        if self.unlocked_until.is_some_and(|until| now >= until) {
            self.unlocked_until = None;
            happened.push(Happening::Relocked);
        }
        happened
    }

    /// Which outputs have current at `now`.
    pub fn outputs(&self, now: Duration) -> Switched {
        let unlocked = self.unlocked_until.is_some_and(|until| now < until);
        let alarm = (self.door_alarm_until.max(self.tamper_alarm_until)).max(self.denied_until);
        let alarm = now < alarm;
        Switched {
            relay: unlocked == (self.rules.safe == Safe::Locked),
            green: unlocked,
            red: alarm,
            buzzer: alarm,
        }
    }
}

/// An input that counts once it is steady.
#[derive(Debug)]
struct Debounced {
    level: bool,
    /// Since when it is the other one.
    other_since: Option<Duration>,
}

impl Debounced {
    fn new(level: bool) -> Debounced {
        Debounced {
            level,
            other_since: None,
        }
    }

    /// The new level, when it has become one.
    fn changed(&mut self, now: Duration, raw: bool) -> Option<bool> {
        if raw == self.level {
            self.other_since = None;
            return None;
        }
        let since = *self.other_since.get_or_insert(now);
        (now >= since + DEBOUNCE).then(|| {
            self.level = raw;
            self.other_since = None;
            raw
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        safe: Safe::Locked,
        pulse: Duration::from_secs(3),
        cooldown: Duration::from_secs(2),
        held_open: Duration::from_secs(10),
    };
    const NOTHING: Sensed = Sensed {
        button: false,
        door_open: false,
        tamper: false,
    };
    const PRESSED: Sensed = Sensed {
        button: true,
        ..NOTHING
    };
    const OPEN: Sensed = Sensed {
        door_open: true,
        ..NOTHING
    };
    const TAMPERED: Sensed = Sensed {
        tamper: true,
        ..NOTHING
    };

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Steps every 20 ms from `from` until `until`; what happened, with its time.
    fn run(door: &mut Controller, from: u64, until: u64, sensed: Sensed) -> Vec<(u64, Happening)> {
        (from..until)
            .step_by(20)
            .flat_map(|t| (door.step(ms(t), sensed).into_iter()).map(move |h| (t, h)))
            .collect()
    }

    #[test]
    fn a_face_opens_for_the_pulse_and_no_longer() {
        let mut door = Controller::new(RULES, NOTHING, ms(0));
        assert!(!door.outputs(ms(0)).relay);
        door.open_by_face(ms(100));
        let open = door.outputs(ms(3099));
        assert!(open.relay && open.green && !open.red && !open.buzzer);
        // The level falls with time alone, even if nobody steps.
        assert!(!door.outputs(ms(3100)).relay);
        assert_eq!(
            run(&mut door, 100, 4000, NOTHING),
            [(3100, Happening::Relocked)]
        );
    }

    #[test]
    fn a_fail_safe_lock_has_current_except_while_open() {
        let rules = Rules {
            safe: Safe::Unlocked,
            ..RULES
        };
        let mut door = Controller::new(rules, NOTHING, ms(0));
        assert!(door.outputs(ms(0)).relay);
        door.open_by_face(ms(0));
        assert!(!door.outputs(ms(2999)).relay);
        assert!(door.outputs(ms(3000)).relay);
    }

    #[test]
    fn no_face_opens_twice_within_the_cool_down() {
        let mut door = Controller::new(RULES, NOTHING, ms(0));
        assert!(door.admits_face(ms(0)));
        door.open_by_face(ms(0));
        assert!(!door.admits_face(ms(2999)));
        assert!(!door.outputs(ms(3000)).relay);
        // The cool-down begins when the lock is locked again.
        assert!(!door.admits_face(ms(4999)));
        assert!(door.admits_face(ms(5000)));
    }

    #[test]
    fn without_a_cool_down_the_next_face_opens_at_once() {
        let rules = Rules {
            cooldown: Duration::ZERO,
            ..RULES
        };
        let mut door = Controller::new(rules, NOTHING, ms(0));
        door.open_by_face(ms(0));
        assert!(door.admits_face(ms(1000)));
        door.open_by_face(ms(1000));
        assert!(door.outputs(ms(3999)).relay && !door.outputs(ms(4000)).relay);
    }

    #[test]
    fn the_button_opens_once_a_press_and_not_when_stuck() {
        let mut door = Controller::new(RULES, NOTHING, ms(0));
        assert_eq!(run(&mut door, 0, 40, PRESSED), []);
        assert_eq!(run(&mut door, 40, 400, PRESSED), [(40, Happening::Button)]);
        assert!(door.outputs(ms(400)).relay);
        assert_eq!(
            run(&mut door, 400, 9000, PRESSED),
            [(3040, Happening::Relocked)]
        );
        run(&mut door, 9000, 9100, NOTHING);
        assert_eq!(
            run(&mut door, 9100, 9200, PRESSED),
            [(9140, Happening::Button)]
        );
        let mut stuck = Controller::new(RULES, PRESSED, ms(0));
        assert_eq!(run(&mut stuck, 0, 1000, PRESSED), []);
    }

    #[test]
    fn the_button_knows_no_cool_down_and_overrules_a_no() {
        let mut door = Controller::new(RULES, NOTHING, ms(0));
        door.open_by_face(ms(0));
        door.deny(ms(10));
        assert!(door.outputs(ms(20)).red && door.outputs(ms(20)).buzzer);
        run(&mut door, 20, 100, PRESSED);
        let now = door.outputs(ms(100));
        assert!(now.relay && !now.red);
    }

    #[test]
    fn a_bounce_is_no_press() {
        let mut door = Controller::new(RULES, NOTHING, ms(0));
        for t in (0..1000).step_by(40) {
            assert_eq!(door.step(ms(t), PRESSED), []);
            assert_eq!(door.step(ms(t + 20), NOTHING), []);
        }
    }

    #[test]
    fn a_door_that_opens_while_locked_was_forced() {
        let mut door = Controller::new(RULES, NOTHING, ms(0));
        assert_eq!(
            run(&mut door, 0, 100, OPEN),
            [(40, Happening::DoorOpened), (40, Happening::Forced)]
        );
        assert!(door.outputs(ms(100)).buzzer && !door.outputs(ms(100)).relay);
        assert_eq!(
            run(&mut door, 100, 200, NOTHING),
            [(140, Happening::DoorClosed)]
        );
        assert!(!door.outputs(ms(200)).buzzer);
    }

    #[test]
    fn who_was_let_in_forces_nothing_and_may_hold_the_door_for_a_while() {
        let mut door = Controller::new(RULES, NOTHING, ms(0));
        door.open_by_face(ms(0));
        run(&mut door, 0, 4500, NOTHING);
        assert_eq!(
            run(&mut door, 4500, 60_000, OPEN),
            [(4540, Happening::DoorOpened), (14_540, Happening::HeldOpen)]
        );
        // Later than that it is forced again.
        let mut door = Controller::new(RULES, NOTHING, ms(0));
        door.open_by_face(ms(0));
        run(&mut door, 0, 5000, NOTHING);
        let late = run(&mut door, 5000, 5100, OPEN);
        assert!(late.contains(&(5040, Happening::Forced)), "{late:?}");
    }

    #[test]
    fn a_door_open_from_the_start_is_held_and_not_forced() {
        let mut door = Controller::new(RULES, OPEN, ms(0));
        assert_eq!(
            run(&mut door, 0, 20_000, OPEN),
            [(10_000, Happening::HeldOpen)]
        );
        assert!(door.outputs(ms(20_000)).buzzer);
        assert!(!door.outputs(ms(70_000)).buzzer, "an alarm falls silent");
    }

    #[test]
    fn tampering_is_told_at_its_begin_and_end() {
        let mut door = Controller::new(RULES, TAMPERED, ms(0));
        assert_eq!(run(&mut door, 0, 500, TAMPERED), [(40, Happening::Tamper)]);
        assert!(door.outputs(ms(500)).red);
        assert_eq!(
            run(&mut door, 500, 600, NOTHING),
            [(540, Happening::TamperEnded)]
        );
    }

    #[test]
    fn closing_the_door_silences_no_tamper_alarm() {
        let both = Sensed {
            door_open: true,
            ..TAMPERED
        };
        let mut door = Controller::new(RULES, NOTHING, ms(0));
        run(&mut door, 0, 200, both);
        let closed = run(&mut door, 200, 400, TAMPERED);
        assert_eq!(closed, [(240, Happening::DoorClosed)]);
        assert!(door.outputs(ms(400)).buzzer);
        run(&mut door, 400, 600, NOTHING);
        assert!(door.outputs(ms(600)).buzzer, "mending it silences nothing");
        assert!(!door.outputs(ms(60_100)).buzzer);
    }
}
