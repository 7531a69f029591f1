//! `recocomp audit`

use clap::{Args, Subcommand};

use super::data::DataArguments;
use super::{Failure, print, while_doing};
use crate::logs::audit::{self, Head};
use crate::shown::{self, Shown};

/// The audit log: who did what, each record chained to the one before
#[derive(Subcommand)]
pub enum Verb {
    /// Check every record against the one before; fails if the chain was changed
    ///
    /// A chain that was cut off at its end is whole, but shorter: only a head that was kept elsewhere shows that.
    Verify(Verify),
    /// Print the records
    Show(Show),
    /// Print the head of the chain, SEQ:HASH, to be kept elsewhere
    Head(Place),
}

#[derive(Args)]
pub struct Place {
    #[command(flatten)]
    data: DataArguments,
}

#[derive(Args)]
pub struct Verify {
    #[command(flatten)]
    place: Place,
    /// A head that `recocomp audit head` printed earlier
    #[arg(long, value_name = "SEQ:HASH", value_parser = head_of)]
    head: Option<Head>,
}

#[derive(Args)]
pub struct Show {
    #[command(flatten)]
    place: Place,
    /// Those after this number
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    after: u64,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

fn head_of(text: &str) -> Result<Head, String> {
    let wrong = || "expected SEQ:HASH, as recocomp audit head prints it".to_owned();
    let (seq, hash) = text.split_once(':').ok_or_else(wrong)?;
    let is_hash = hash.len() == audit::NOTHING.len() && hash.bytes().all(|b| b.is_ascii_hexdigit());
    match seq.parse() {
        Ok(seq) if is_hash => Ok(Head {
            seq,
            hash: hash.to_ascii_lowercase(),
        }),
        _ => Err(wrong()),
    }
}

pub fn run(verb: &Verb) -> Result<(), Failure> {
    match verb {
        Verb::Verify(arguments) => verify(arguments),
        Verb::Show(arguments) => show(arguments),
        Verb::Head(place) => {
            let data = place.data.load()?.storage.data;
            let found =
                audit::verify(&data, None).map_err(while_doing(audit::folder(&data).shown()))?;
            println!("{}:{}", found.head.seq, found.head.hash);
            Ok(())
        }
    }
}

fn verify(arguments: &Verify) -> Result<(), Failure> {
    let data = arguments.place.data.load()?.storage.data;
    let found = audit::verify(&data, arguments.head.as_ref())
        .map_err(while_doing(audit::folder(&data).shown()))?;
    for fault in &found.faults {
        println!("{}", fault.to_string().shown());
    }
    if found.more_faults > 0 {
        println!("and {} more", found.more_faults);
    }
    match found.faults.len() as u64 + found.more_faults {
        0 => {
            match found.first {
                Some(first) => println!(
                    "{} records, {first} to {}: the chain is whole",
                    found.records, found.head.seq
                ),
                None => println!("there are no records"),
            }
            Ok(())
        }
        faults => Err(format!("the audit log was changed: {faults} places").into()),
    }
}

fn show(arguments: &Show) -> Result<(), Failure> {
    let data = arguments.place.data.load()?.storage.data;
    let entries =
        audit::read(&data, arguments.after).map_err(while_doing(audit::folder(&data).shown()))?;
    let mut text = String::new();
    for entry in &entries {
        if arguments.json {
            text += &shown::json(&serde_json::to_string(entry)?);
        } else {
            let event = entry.event.map(|seq| format!(" event={seq}"));
            text += &format!(
                "{:>6}  {}  {:<16} {} {}{}",
                entry.seq,
                entry.time,
                entry.kind,
                serde_json::to_string(&entry.actor)?.shown(),
                serde_json::to_string(&entry.data)?.shown(),
                event.unwrap_or_default(),
            );
        }
        text.push('\n');
    }
    print(&text)
}
