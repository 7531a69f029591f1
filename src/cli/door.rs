//! `recocomp door`

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::owner::become_owner;
use super::{Failure, print, while_doing};
use crate::config::Config;
use crate::door::board::Board;
use crate::door::events::{self, Event, Opened};
use crate::door::gpio::{self, GpioError, Output, Pins};
use crate::door::lock::{LockError, PinLock};
use crate::logs::events::Log;
use crate::logs::{self, Medium, Moment};
use crate::shown::{self, Shown};

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
    /// Print what happened, also while the daemon serves
    ///
    /// What a door of version 1.0.0 wrote comes first, in the same sequence of numbers.
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
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 50,
        conflicts_with = "after"
    )]
    last: usize,
    /// Those after this number, oldest first: the `seq` of the last that was seen
    #[arg(long, value_name = "SEQ")]
    after: Option<u64>,
    /// With --after: at most so many
    #[arg(long, value_name = "COUNT", requires = "after")]
    limit: Option<usize>,
    /// Print one JSON object a line
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
            eprintln!("warning: {}", e.to_string().shown());
            None
        }
        Err(e) => return Err(e.into()),
    };
    let in_use = match &place.board {
        Some(_) => None,
        None => Board::in_use(&data).unwrap_or_else(|e| {
            eprintln!("warning: {}", e.to_string().shown());
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
    become_owner(&config, true)?;
    let data = &config.storage.data;
    let _lock = PinLock::take(data)?;
    let mut log = Log::open(data, Medium::default()).map_err(while_doing("the event log"))?;
    let mut pins = gpio::open(&board, data)?;
    println!("{board}");
    let tested = Event::Opened(Opened {
        by: "test".into(),
        ..Opened::default()
    });
    let (kind, mut told) = tested.record();
    if board.is_simulated() {
        told.insert("simulated".into(), true.into());
    }
    log.append(&kind, &told, &Moment::now())
        .map_err(while_doing("the event log"))?;
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
    let after = arguments.after.unwrap_or(0);
    let page = logs::events::read(&data, after, usize::MAX)
        .map_err(while_doing(logs::events::folder(&data).shown()))?;
    let mut lines: Vec<Map<String, Value>> = page.records.iter().filter_map(events::line).collect();
    match (arguments.after, arguments.last) {
        (Some(_), _) => lines.truncate(arguments.limit.unwrap_or(usize::MAX)),
        (None, 0) => {}
        (None, last) => {
            lines.drain(..lines.len().saturating_sub(last));
        }
    }
    let mut text = String::new();
    for line in lines {
        match arguments.json {
            true => text += &shown::json(&serde_json::to_string(&line)?),
            false => text += &in_words(line).shown(),
        }
        text.push('\n');
    }
    print(&text)?;
    match page.damaged {
        0 => Ok(()),
        damaged => Err(format!("{damaged} lines of the log cannot be read").into()),
    }
}

/// A line for people.
fn in_words(mut line: Map<String, Value>) -> String {
    let mut take = |key: &str| line.remove(key).unwrap_or_default();
    let (seq, time, event, simulated) =
        (take("seq"), take("time"), take("event"), take("simulated"));
    take("uptime");
    // Somebody may have edited the file.
    let text = |value: &Value| (value.as_str().unwrap_or_default().escape_debug()).to_string();
    let rest: Vec<String> = (line.iter())
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    format!(
        "{:>6}  {}  {:<13} {}{}",
        seq.to_string(),
        text(&time),
        text(&event),
        rest.join(" "),
        if simulated == true {
            " (simulated)"
        } else {
            ""
        }
    )
}
