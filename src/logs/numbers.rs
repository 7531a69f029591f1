//! The numbers of a log. A range of them is reserved on the medium before the first is given, so that whatever is lost with the program
//! or the power is a gap, and no number is ever given twice.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::files;
use super::record::MAX_SEQ;

/// How many numbers are reserved at once.
pub const BLOCK: u64 = 256;

/// The file `numbers`.
#[derive(Serialize, Deserialize)]
struct Reserved {
    /// The highest number that may have been given.
    reserved: u64,
}

pub struct Numbers {
    path: PathBuf,
    next: u64,
    reserved: u64,
}

/// What the file says of earlier runs.
pub enum Found {
    Nothing,
    /// The highest number that may have been given.
    Reserved(u64),
    /// It cannot be read, or nobody ever counted so far.
    Damaged,
}

pub fn path(folder: &Path) -> PathBuf {
    folder.join("numbers")
}

pub fn found(folder: &Path) -> io::Result<Found> {
    let Some(file) = files::read(&path(folder))? else {
        return Ok(Found::Nothing);
    };
    let mut text = Vec::new();
    file.take(1024).read_to_end(&mut text)?;
    Ok(match serde_json::from_slice(&text) {
        Ok(Reserved { reserved }) if reserved <= MAX_SEQ => Found::Reserved(reserved),
        _ => Found::Damaged,
    })
}

impl Numbers {
    /// After `last`, nothing reserved yet.
    pub fn after(folder: &Path, last: u64) -> Numbers {
        Numbers {
            path: path(folder),
            next: last.saturating_add(1),
            reserved: last,
        }
    }

    pub fn next(&self) -> u64 {
        self.next
    }

    /// A number, reserved before.
    ///
    /// # Errors
    /// The medium refuses to reserve more, or there are no more.
    pub fn take(&mut self) -> io::Result<u64> {
        if self.next > self.reserved {
            self.reserve()?;
        }
        let number = self.next;
        self.next += 1;
        Ok(number)
    }

    /// Leaves numbers out, for records that were lost.
    pub fn skip(&mut self, count: u64) {
        self.next = self.next.saturating_add(count).min(MAX_SEQ + 1);
    }

    /// Reserves more numbers when few are left, so that no [`Numbers::take`] has to wait for it.
    ///
    /// # Errors
    /// The medium refuses; it is asked again when there are none left.
    pub fn reserve_ahead(&mut self) -> io::Result<()> {
        match self.reserved.saturating_sub(self.next) < BLOCK / 2 {
            true => self.reserve(),
            false => Ok(()),
        }
    }

    fn reserve(&mut self) -> io::Result<()> {
        if self.next > MAX_SEQ {
            return Err(io::Error::other("there are no more numbers"));
        }
        let until = (self.next + BLOCK - 1).min(MAX_SEQ);
        self.write(until)?;
        self.reserved = until;
        Ok(())
    }

    /// Gives back what was reserved and not given: after an orderly end there is no gap.
    pub fn close(&mut self) -> io::Result<()> {
        let given = self.next - 1;
        if self.reserved != given {
            self.write(given)?;
            self.reserved = given;
        }
        Ok(())
    }

    fn write(&self, reserved: u64) -> io::Result<()> {
        let text = serde_json::to_string(&Reserved { reserved })? + "\n";
        files::replace(&self.path, text.as_bytes())
    }
}
