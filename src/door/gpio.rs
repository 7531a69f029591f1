//! Pins by what they mean, and the kernel's character device behind them.

use std::path::{Path, PathBuf};

use gpiocdev::Request;
use gpiocdev::chip::{Chip, chips};
use gpiocdev::line::{Bias, Value};

use super::board::{Board, Driver, InputPin, Level, OutputPin, Pull};
use super::raspberry::Raspberry;
use super::simulated::Simulated;

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

/// What can be read; what is not wired is never asserted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// The exit button is pressed.
    pub button: bool,
    pub door_open: bool,
    pub tamper: bool,
}

/// The pins of a board. Taking them makes every output "off"; what is not wired takes writes and does nothing.
pub trait Pins: Send {
    /// Gives an output current, or takes it away.
    ///
    /// # Errors
    /// The driver's.
    fn write(&mut self, output: Output, on: bool) -> Result<(), GpioError>;

    /// # Errors
    /// The driver's.
    fn read(&mut self) -> Result<Inputs, GpioError>;
}

/// Takes current from every output. Goes on where one fails.
///
/// # Errors
/// The first failure.
pub fn release(pins: &mut dyn Pins) -> Result<(), GpioError> {
    (Output::ALL.iter()).fold(Ok(()), |result, output| {
        result.and(pins.write(*output, false))
    })
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
pub fn open(board: &Board, data: &Path) -> Result<Box<dyn Pins>, GpioError> {
    Ok(match board.driver {
        Driver::Cdev => Box::new(CharacterDevice::open(board)?),
        Driver::Rppal => Box::new(Raspberry::open(board)?),
        Driver::Simulated => Box::new(Simulated::open(data)?),
    })
}

/// Lines of one gpiochip, held exclusively as long as this value lives. When it ends, be it by SIGKILL, the kernel frees them;
/// what the pins do then is the kernel driver's choice (`docs/guide/door.md`).
struct CharacterDevice {
    outputs: [Option<Request>; Output::ALL.len()],
    button: Option<Request>,
    contact: Option<Request>,
    tamper: Option<Request>,
}

impl CharacterDevice {
    fn open(board: &Board) -> Result<CharacterDevice, GpioError> {
        let label = board.chip.as_deref().unwrap_or_default();
        let chip = find_chip(label)?;
        let relay = OutputPin {
            line: board.relay.line,
            active: board.relay.active,
        };
        let output = |pin: &Option<OutputPin>| pin.as_ref().map(|pin| take_output(&chip, pin));
        let input = |pin: &Option<InputPin>| pin.as_ref().map(|pin| take_input(&chip, pin));
        // The relay first: whatever else fails, it has its safe state.
        Ok(CharacterDevice {
            outputs: [
                Some(take_output(&chip, &relay)?),
                output(&board.green).transpose()?,
                output(&board.red).transpose()?,
                output(&board.buzzer).transpose()?,
            ],
            button: input(&board.button).transpose()?,
            contact: input(&board.contact).transpose()?,
            tamper: input(&board.tamper).transpose()?,
        })
    }
}

impl Pins for CharacterDevice {
    fn write(&mut self, output: Output, on: bool) -> Result<(), GpioError> {
        let Some(request) = &self.outputs[output as usize] else {
            return Ok(());
        };
        let value = if on { Value::Active } else { Value::Inactive };
        (request.set_lone_value(value)).map_err(|e| GpioError::driver(output.name(), e))
    }

    fn read(&mut self) -> Result<Inputs, GpioError> {
        let asserted = |what, request: &Option<Request>| match request {
            None => Ok(false),
            Some(request) => (request.lone_value())
                .map(|value| value == Value::Active)
                .map_err(|e| GpioError::driver(what, e)),
        };
        Ok(Inputs {
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
