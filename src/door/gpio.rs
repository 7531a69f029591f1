//! Pins by what they mean, and the kernel's character device behind them.

use std::path::{Path, PathBuf};

use gpiocdev::Request;
use gpiocdev::chip::{Chip, chips};
use gpiocdev::line::{Bias, Value};

use super::board::{Board, Driver, InputPin, Level, OutputPin, Pull};
use super::{raspberry, simulated};

/// What can be switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// The coil of the lock's relay.
    Relay,
    Green,
    Red,
    Buzzer,
}

impl Output {
    pub const ALL: [Output; 4] = [Output::Relay, Output::Green, Output::Red, Output::Buzzer];

    pub fn name(self) -> &'static str {
        match self {
            Output::Relay => "relay",
            Output::Green => "green",
            Output::Red => "red",
            Output::Buzzer => "buzzer",
        }
    }
}

/// What the inputs say; what is not wired is never asserted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sensed {
    /// The exit button is pressed.
    pub button: bool,
    pub door_open: bool,
    pub tamper: bool,
}

/// The outputs of a board. Taking them makes every one "off"; what is not wired takes writes and does nothing.
pub trait Outputs: Send {
    /// Gives an output current, or takes it away.
    ///
    /// # Errors
    /// The driver's.
    fn write(&mut self, output: Output, on: bool) -> Result<(), GpioError>;
}

/// The inputs of a board.
pub trait Inputs: Send {
    /// # Errors
    /// The driver's.
    fn read(&mut self) -> Result<Sensed, GpioError>;
}

/// The pins of a board, held exclusively. In two halves, so that a hand on the relay never waits for a stuck input.
pub struct Pins {
    pub outputs: Box<dyn Outputs>,
    pub inputs: Box<dyn Inputs>,
}

/// Takes current from every output. Goes on where one fails.
///
/// # Errors
/// The relay's. A broken LED or buzzer leaves no lock open.
pub fn release(outputs: &mut dyn Outputs) -> Result<(), GpioError> {
    // An array's map is not lazy: every output gets its write.
    let written = Output::ALL.map(|output| outputs.write(output, false));
    let [relay, ..] = written;
    relay
}

/// Why pins cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GpioError {
    #[error("no gpiochip of this machine has the label \"{label}\"; there are: {found}")]
    NoChip { label: String, found: String },
    #[error(
        "the pins are in use, by another recocomp or another program ({0}); gpioinfo names the user of each line"
    )]
    Busy(String),
    #[error("GPIO {what}: {reason}")]
    Driver { what: String, reason: String },
}

impl GpioError {
    pub fn driver(what: impl Into<String>, reason: impl ToString) -> GpioError {
        GpioError::Driver {
            what: what.into(),
            reason: reason.to_string(),
        }
    }
}

/// Takes the pins of a board; `data` is the folder of the simulated board's files.
///
/// # Errors
/// [`GpioError`] says what is missing.
pub fn open(board: &Board, data: &Path) -> Result<Pins, GpioError> {
    match board.driver {
        Driver::Cdev => character_device(board),
        Driver::Rppal => raspberry::open(board),
        Driver::Simulated => simulated::open(data),
    }
}

/// Lines of one gpiochip, held exclusively. When the program ends, be it by SIGKILL, the kernel frees them; what the pins do then
/// is the kernel driver's choice (`docs/guide/door.md`).
fn character_device(board: &Board) -> Result<Pins, GpioError> {
    let label = board.chip.as_deref().unwrap_or_default();
    let chip = find_chip(label)?;
    let output = |pin: &Option<OutputPin>| pin.as_ref().map(|pin| take_output(&chip, pin));
    let input = |pin: &Option<InputPin>| pin.as_ref().map(|pin| take_input(&chip, pin));
    // The relay first: whatever else fails, it has its safe state.
    Ok(Pins {
        outputs: Box::new(OutputLines([
            output(&Some(board.relay.pin())).transpose()?,
            output(&board.green).transpose()?,
            output(&board.red).transpose()?,
            output(&board.buzzer).transpose()?,
        ])),
        inputs: Box::new(InputLines {
            button: input(&board.button).transpose()?,
            contact: input(&board.contact).transpose()?,
            tamper: input(&board.tamper).transpose()?,
        }),
    })
}

/// In the order of [`Output::ALL`].
struct OutputLines([Option<Request>; Output::ALL.len()]);

struct InputLines {
    button: Option<Request>,
    contact: Option<Request>,
    tamper: Option<Request>,
}

impl Outputs for OutputLines {
    fn write(&mut self, output: Output, on: bool) -> Result<(), GpioError> {
        let Some(request) = &self.0[output as usize] else {
            return Ok(());
        };
        let value = if on { Value::Active } else { Value::Inactive };
        (request.set_lone_value(value)).map_err(|e| GpioError::driver(output.name(), e))
    }
}

impl Inputs for InputLines {
    fn read(&mut self) -> Result<Sensed, GpioError> {
        let asserted = |what, request: &Option<Request>| match request {
            None => Ok(false),
            Some(request) => (request.lone_value())
                .map(|value| value == Value::Active)
                .map_err(|e| GpioError::driver(what, e)),
        };
        Ok(Sensed {
            button: asserted("button", &self.button)?,
            door_open: asserted("contact", &self.contact)?,
            tamper: asserted("tamper", &self.tamper)?,
        })
    }
}

/// The chip with this label. With several (a kernel may offer one under two numbers) the first.
fn find_chip(label: &str) -> Result<PathBuf, GpioError> {
    let mut found = Vec::new();
    // Without the folder or the rights to read it there are none.
    for path in chips().unwrap_or_default() {
        let Ok(info) = Chip::from_path(&path).and_then(|chip| chip.info()) else {
            found.push(format!("{} (not readable)", path.display()));
            continue;
        };
        if info.label == label {
            return Ok(path);
        }
        found.push(format!("\"{}\" ({})", info.label, path.display()));
    }
    Err(GpioError::NoChip {
        label: label.into(),
        found: match found.is_empty() {
            true => "none".into(),
            false => found.join(", "),
        },
    })
}

fn take_output(chip: &Path, pin: &OutputPin) -> Result<Request, GpioError> {
    let mut request = Request::builder();
    (request.on_chip(chip).with_consumer("recocomp")).with_line(pin.line);
    // Sets level and direction in one step: no glitch.
    request.as_output(Value::Inactive);
    polarity(&mut request, pin.active);
    request.request().map_err(|e| refused(pin.line, e))
}

fn take_input(chip: &Path, pin: &InputPin) -> Result<Request, GpioError> {
    let mut request = Request::builder();
    (request.on_chip(chip).with_consumer("recocomp")).with_line(pin.line);
    request.as_input();
    polarity(&mut request, pin.active);
    request.with_bias(match pin.pull {
        Pull::Up => Bias::PullUp,
        Pull::Down => Bias::PullDown,
        Pull::None => Bias::Disabled,
    });
    request.request().map_err(|e| refused(pin.line, e))
}

fn polarity(request: &mut gpiocdev::request::Builder, active: Level) {
    match active {
        Level::High => request.as_active_high(),
        Level::Low => request.as_active_low(),
    };
}

fn refused(line: u32, e: gpiocdev::Error) -> GpioError {
    let said = e.to_string();
    match said.contains("EBUSY") || said.contains("busy") {
        true => GpioError::Busy(format!("line {line}")),
        false => GpioError::driver(format!("line {line}"), said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chip_that_is_not_there_is_named_with_those_that_are() {
        let board = Board::load("generic").unwrap();
        let said = open(&board, Path::new("/nowhere"))
            .err()
            .unwrap()
            .to_string();
        assert!(
            said.contains("label-of-your-gpiochip") && said.contains("there are:"),
            "{said}"
        );
    }
}
