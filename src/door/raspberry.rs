//! The registers of a Raspberry Pi, by the crate rppal. `docs/adr/0007-gpio.md` tells why it is not the boards' default.

use rppal::gpio::{Gpio, InputPin, OutputPin};

use super::board::{self, Board, Level, Pull};
use super::gpio::{GpioError, Inputs, Output, Pins};

/// Pins of the 40-pin header. They are nobody's in particular: another program can write them, too. An orderly end gives them
/// back as inputs; after SIGKILL they keep their level until `recocomp door safe`.
pub struct Raspberry {
    outputs: [Option<(OutputPin, Level)>; Output::ALL.len()],
    inputs: [Option<(InputPin, Level)>; 3],
}

impl Raspberry {
    /// # Errors
    /// No Raspberry Pi, or no access to its registers.
    pub fn open(board: &Board) -> Result<Raspberry, GpioError> {
        let gpio = Gpio::new().map_err(|e| GpioError::driver("of a Raspberry Pi", e))?;
        let relay = board::OutputPin {
            line: board.relay.line,
            active: board.relay.active,
        };
        Ok(Raspberry {
            outputs: [
                Some(output(&gpio, &relay)?),
                board
                    .green
                    .as_ref()
                    .map(|pin| output(&gpio, pin))
                    .transpose()?,
                board
                    .red
                    .as_ref()
                    .map(|pin| output(&gpio, pin))
                    .transpose()?,
                board
                    .buzzer
                    .as_ref()
                    .map(|pin| output(&gpio, pin))
                    .transpose()?,
            ],
            inputs: [
                board
                    .button
                    .as_ref()
                    .map(|pin| input(&gpio, pin))
                    .transpose()?,
                board
                    .contact
                    .as_ref()
                    .map(|pin| input(&gpio, pin))
                    .transpose()?,
                board
                    .tamper
                    .as_ref()
                    .map(|pin| input(&gpio, pin))
                    .transpose()?,
            ],
        })
    }
}

impl Pins for Raspberry {
    fn write(&mut self, output: Output, on: bool) -> Result<(), GpioError> {
        if let Some((pin, active)) = &mut self.outputs[output as usize] {
            match on == (*active == Level::High) {
                true => pin.set_high(),
                false => pin.set_low(),
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<Inputs, GpioError> {
        let [button, contact, tamper] = &self.inputs;
        let asserted = |pin: &Option<(InputPin, Level)>| {
            (pin.as_ref()).is_some_and(|(pin, active)| pin.is_high() == (*active == Level::High))
        };
        Ok(Inputs {
            button: asserted(button),
            door_open: asserted(contact),
            tamper: asserted(tamper),
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
        if std::fs::exists("/dev/gpiomem").unwrap() {
            return;
        }
        let board = Board::load("rpi4").unwrap();
        let said = Raspberry::open(&board).err().unwrap().to_string();
        assert!(said.contains("Raspberry Pi"), "{said}");
    }
}
