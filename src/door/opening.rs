//! An opening by a face, from the command until the relay has moved: its record comes first.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Answer;
use super::events::{Denied, Event, Opened};
use super::journal::Journal;
use super::ticket::{State, Ticket};

/// How long a face may have waited for the thread. Whoever stood there has been told, or is gone.
pub const STALE: Duration = Duration::from_secs(1);
/// How long ago a face may have been shown when it opens, whatever kept it: a full queue, the clock, the thread. Later somebody else
/// may stand there.
pub const SHOWN: Duration = Duration::from_secs(10);
/// How long an opening waits for its record.
pub const PATIENCE: Duration = Duration::from_millis(200);

/// A face that is to be let in.
pub struct Face {
    pub opened: Opened,
    /// What is written down otherwise, but for the reason.
    pub refused: Denied,
    /// When it was shown, as far as that is known.
    pub shown: Instant,
    /// Since when it waits for the thread.
    pub asked: Instant,
    pub answer: oneshot::Sender<Answer>,
}

impl Face {
    /// Its search was told that the door does not answer, or will be: it must not open to nobody.
    pub fn is_late(&self) -> bool {
        self.answer.is_closed() || self.asked.elapsed() >= STALE || self.shown.elapsed() >= SHOWN
    }

    pub fn refuse(self, journal: &Journal, reason: &str, answer: Answer) {
        journal.tell(Event::Denied(refused_for(reason, self.refused)));
        // The client may be gone.
        let _ = self.answer.send(answer);
    }
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    Yes,
    /// The medium refuses it.
    Refused,
    /// The medium has not answered in time.
    TooSlow,
}

/// A face whose record is on its way. If it is dropped before it is [`Opening::done`], it did not come about.
pub struct Opening {
    face: Option<Face>,
    ticket: Ticket,
    journal: Journal,
    since: Instant,
}

impl Opening {
    pub fn ask(face: Face, journal: &Journal) -> Opening {
        Opening {
            ticket: journal.record(face.opened.clone()),
            face: Some(face),
            journal: journal.clone(),
            since: Instant::now(),
        }
    }

    /// `None` as long as it is to be waited for.
    pub fn recorded(&self) -> Option<Recorded> {
        match self.ticket.state() {
            State::Written(_) => Some(Recorded::Yes),
            State::Refused => Some(Recorded::Refused),
            State::Waiting if self.since.elapsed() >= PATIENCE => Some(Recorded::TooSlow),
            State::Waiting => None,
        }
    }

    pub fn is_late(&self) -> bool {
        self.face.as_ref().is_none_or(Face::is_late)
    }

    /// The relay has moved.
    pub fn done(mut self) {
        if let Some(face) = self.face.take() {
            let _ = face.answer.send(Answer::Opened);
        }
    }

    /// The relay does not move; what was written is retracted.
    pub fn give_up(mut self, reason: &str, answer: Answer) {
        self.end(reason, answer);
    }

    fn end(&mut self, reason: &str, answer: Answer) {
        if let Some(face) = self.face.take() {
            let denied = refused_for(reason, face.refused);
            self.journal.instead(self.ticket.clone(), denied);
            let _ = face.answer.send(answer);
        }
    }
}

impl Drop for Opening {
    /// A fault of the door, a panic.
    fn drop(&mut self) {
        self.end("fault", Answer::Dead);
    }
}

fn refused_for(reason: &str, refused: Denied) -> Denied {
    Denied {
        reason: reason.into(),
        ..refused
    }
}
