//! The registers of a Raspberry Pi, by the crate rppal. `docs/adr/0007-gpio.md` tells why it is not the boards' default.

use rppal::gpio::{Gpio, InputPin, OutputPin};

use super::board::{self, Board, Level, Pull};
use super::gpio::{GpioError, Inputs, Output, Outputs, Pins, Sensed};

/// Pins of the 40-pin header. They are nobody's in particular: another program can write them, too. An orderly end gives them
/// back as inputs; after SIGKILL they keep their level until `recocomp door safe`.
///
/// # Errors
/// No Raspberry Pi, or no access to its registers.
pub fn open(board: &Board) -> Result<Pins, GpioError> {
    let gpio = Gpio::new().map_err(|e| {
        GpioError::driver(
            "of a Raspberry Pi (/dev/gpiomem, of a Pi 5 /dev/gpiomem0)",
            e,
        )
    })?;
    let take_output =
        |pin: &Option<board::OutputPin>| pin.as_ref().map(|pin| output(&gpio, pin)).transpose();
    let take_input =
        |pin: &Option<board::InputPin>| pin.as_ref().map(|pin| input(&gpio, pin)).transpose();
    Ok(Pins {
        outputs: Box::new(OutputPins([
            take_output(&Some(board.relay.pin()))?,
            take_output(&board.green)?,
            take_output(&board.red)?,
            take_output(&board.buzzer)?,
        ])),
        inputs: Box::new(InputPins([
            take_input(&board.button)?,
            take_input(&board.contact)?,
            take_input(&board.tamper)?,
        ])),
    })
}

/// In the order of [`Output::ALL`], with the level that means "on".
struct OutputPins([Option<(OutputPin, Level)>; Output::ALL.len()]);

/// Button, contact, tamper, with the level that means "asserted".
struct InputPins([Option<(InputPin, Level)>; 3]);

impl Outputs for OutputPins {
    fn write(&mut self, output: Output, on: bool) -> Result<(), GpioError> {
        if let Some((pin, active)) = &mut self.0[output as usize] {
            match on == (*active == Level::High) {
                true => pin.set_high(),
                false => pin.set_low(),
            }
        }
        Ok(())
    }
}

impl Inputs for InputPins {
    fn read(&mut self) -> Result<Sensed, GpioError> {
        let [button, contact, tamper] = self.0.each_ref().map(|pin| {
            (pin.as_ref()).is_some_and(|(pin, active)| pin.is_high() == (*active == Level::High))
        });
        Ok(Sensed {
            button,
            door_open: contact,
            tamper,
        })
    }
}

fn take(gpio: &Gpio, line: u32) -> Result<rppal::gpio::Pin, GpioError> {
    let what = || format!("line {line}");
    let number = u8::try_from(line).map_err(|e| GpioError::driver(what(), e))?;
    gpio.get(number).map_err(|e| match e {
        rppal::gpio::Error::PinUsed(_) => GpioError::Busy(what()),
        e => GpioError::driver(what(), e),
    })
}

fn output(gpio: &Gpio, pin: &board::OutputPin) -> Result<(OutputPin, Level), GpioError> {
    let taken = take(gpio, pin.line)?;
    // Level before direction: no glitch.
    let taken = match pin.active {
        Level::High => taken.into_output_low(),
        Level::Low => taken.into_output_high(),
    };
    Ok((taken, pin.active))
}

fn input(gpio: &Gpio, pin: &board::InputPin) -> Result<(InputPin, Level), GpioError> {
    let taken = take(gpio, pin.line)?;
    let taken = match pin.pull {
        Pull::Up => taken.into_input_pullup(),
        Pull::Down => taken.into_input_pulldown(),
        Pull::None => taken.into_input(),
    };
    Ok((taken, pin.active))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_machine_is_told_so() {
        // On a Raspberry Pi there is nothing to refuse, and taking its pins is not a test's business.
        let registers = ["/dev/gpiomem", "/dev/gpiomem0"];
        if registers.iter().any(|path| std::fs::exists(path).unwrap()) {
            return;
        }
        let board = Board::load("rpi4").unwrap();
        let said = open(&board).err().unwrap().to_string();
        assert!(said.contains("Raspberry Pi"), "{said}");
    }
}
