//! `recocomp door`

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};

use super::{Failure, print, while_doing};
use crate::config::Config;
use crate::door::board::Board;
use crate::door::events::{self, Event, Log, Moment, Opened};
use crate::door::gpio::{self, GpioError, Output, Pins};
use crate::door::lock::{LockError, PinLock};

/// The lock of the door: its safe state, a test of the wiring, what happened
#[derive(Subcommand)]
pub enum Verb {
    /// Release the relay and switch everything off, after a daemon that could not do it itself
    ///
    /// Of the board that the last daemon took, which it has left in the data folder: a configuration that has since been changed or damaged
    /// does not matter. Fails if a daemon has the pins: then the relay is in its care. Needs no license, collections or network.
    Safe(Place),
    /// Click the relay, light the LEDs, sound the buzzer, then show the inputs. The daemon must be stopped
    Test(Test),
    /// Print the audit log, also while the daemon serves
    Events(Events),
}

/// Which door.
#[derive(Args)]
pub struct Place {
    /// Configuration file [default: /etc/recocomp/recocomp.toml if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data folder, in place of the configuration's
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Board, a name or a file, in place of the one in use or the configuration's
    #[arg(long, value_name = "BOARD")]
    board: Option<String>,
}

#[derive(Args)]
pub struct Test {
    #[command(flatten)]
    place: Place,
    /// Seconds for which the inputs are shown
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    seconds: u64,
}

#[derive(Args)]
pub struct Events {
    #[command(flatten)]
    place: Place,
    /// The newest so many; 0 for all
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    last: usize,
    /// Print the lines of the log as they are, one JSON object each
    #[arg(long)]
    json: bool,
}

pub fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Safe(place) => safe(&place),
        Verb::Test(arguments) => test(&arguments),
        Verb::Events(arguments) => show(&arguments),
    }
}

impl Place {
    fn config(&self) -> Result<Config, Failure> {
        let mut config = Config::load(self.config.as_deref())?;
        if let Some(data) = &self.data {
            config.storage.data = data.clone();
        }
        Ok(config)
    }

    /// The board that is named or configured; none if there is no door.
    fn board(&self, config: &Config) -> Result<Option<Board>, Failure> {
        let name = match &self.board {
            Some(name) => name,
            None if config.door.enabled => &config.door.board,
            None => return Ok(None),
        };
        Ok(Some(Board::load(name)?))
    }
}

fn safe(place: &Place) -> Result<(), Failure> {
    let config = place.config();
    let data = match (&config, &place.data) {
        (_, Some(data)) => data.clone(),
        (Ok(config), None) => config.storage.data.clone(),
        (Err(_), None) => Config::data_folder_despite_mistakes(place.config.as_deref()),
    };
    let _lock = match PinLock::take_existing(&data) {
        Ok(lock) => lock,
        Err(LockError::Storage(e)) if e.kind() != ErrorKind::PermissionDenied => {
            eprintln!("warning: {e}");
            None
        }
        Err(e) => return Err(e.into()),
    };
    let in_use = match &place.board {
        Some(_) => None,
        None => Board::in_use(&data).unwrap_or_else(|e| {
            eprintln!("warning: {e}");
            None
        }),
    };
    let board = match (in_use, &place.board, config) {
        (Some(board), ..) => Some(board),
        (None, Some(name), _) => Some(Board::load(name)?),
        (None, None, config) => place.board(&config?)?,
    };
    let Some(board) = board else {
        println!("there is no door: [door] is not enabled");
        return Ok(());
    };
    // Taking the pins switches everything off.
    let Pins { mut outputs, .. } = gpio::open(&board, &data)?;
    gpio::release(outputs.as_mut())?;
    println!("{board}: the relay is released");
    Ok(())
}

fn test(arguments: &Test) -> Result<(), Failure> {
    let config = arguments.place.config()?;
    let board = (arguments.place.board(&config)?)
        .ok_or("there is no door: name a board with --board, or enable [door]")?;
    let data = &config.storage.data;
    let _lock = PinLock::take(data)?;
    let mut log =
        Log::open(data, board.is_simulated()).map_err(while_doing("the door's audit log"))?;
    let mut pins = gpio::open(&board, data)?;
    println!("{board}");
    let tested = Event::Opened(Opened {
        by: "test".into(),
        ..Opened::default()
    });
    log.append(&tested, &Moment::now())
        .map_err(while_doing("the door's audit log"))?;
    let wired = board.lines();
    for output in Output::ALL {
        let Some((name, line)) = wired.iter().find(|(name, _)| *name == output.name()) else {
            println!("{:<8} not wired", output.name());
            continue;
        };
        println!("{name:<8} line {line}: on for half a second");
        let switched = blink(&mut pins, output);
        // Whatever went wrong, nothing stays on.
        gpio::release(pins.outputs.as_mut()).and(switched)?;
    }
    println!("inputs for {} s:", arguments.seconds);
    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    let mut shown = None;
    while Instant::now() < end {
        let now = pins.inputs.read()?;
        if shown.replace(now) != Some(now) {
            println!(
                "button {}, door {}, tamper {}",
                if now.button { "PRESSED" } else { "not pressed" },
                if now.door_open { "OPEN" } else { "closed" },
                if now.tamper { "YES" } else { "no" },
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn blink(pins: &mut Pins, output: Output) -> Result<(), GpioError> {
    pins.outputs.write(output, true)?;
    std::thread::sleep(Duration::from_millis(500));
    pins.outputs.write(output, false)
}

fn show(arguments: &Events) -> Result<(), Failure> {
    let data = arguments.place.config()?.storage.data;
    let (unreadable, records) =
        events::read(&data).map_err(while_doing(events::folder(&data).display()))?;
    let skip = match arguments.last {
        0 => 0,
        last => records.len().saturating_sub(last),
    };
    let mut text = String::new();
    for record in &records[skip..] {
        if arguments.json {
            text += &serde_json::to_string(record)?;
        } else {
            let mut event = serde_json::to_value(&record.event)?;
            let name = event["event"].take();
            let rest: Vec<String> = (event.as_object().into_iter().flatten())
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            text += &format!(
                "{:>6}  {}  {:<13} {}{}",
                record.seq,
                record.time,
                name.as_str().unwrap_or_default(),
                rest.join(" "),
                if record.simulated { " (simulated)" } else { "" }
            );
        }
        text.push('\n');
    }
    print(&text)?;
    if unreadable > 0 {
        return Err(format!("{unreadable} lines of the log cannot be read").into());
    }
    Ok(())
}
