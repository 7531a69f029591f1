//! Changing a collection: storage first, memory second.

use std::sync::Arc;
use std::time::Instant;

use super::batch::Ahead;
use super::collection::{Collection, Writer};
use super::commit::{Change, Outcome, Ticket, Turn, same_again};
use super::error::GalleryError;
use super::journal::{AppendError, Journal, publish_journal, stage_journal};
use super::operation::Operation;

impl Collection {
    /// Makes one change durable, with those of others if they come at the same time, and then visible.
    pub fn change(&self, change: Change) -> Result<Outcome, GalleryError> {
        let sound = {
            let state = self.read();
            (change.carries_over().into_iter()).try_for_each(|target| {
                let stored = state.people.stored_as(target);
                state
                    .people
                    .check_target(stored.as_deref().unwrap_or(target))
            })
        };
        if sound.is_err() {
            self.heal()?;
        }
        self.resume_if_due();
        if change.adds_templates() {
            self.check_space(&self.read())?;
        }
        let ticket = self.queue.add(change);
        match self.queue.wait(&ticket) {
            Turn::Answered(answer) => answer,
            Turn::Lead(lead) => {
                let mut writer = self.lock_writer();
                self.write_all(&mut writer, lead.take_all());
                drop(writer);
                drop(lead);
                ticket.take_answer().unwrap_or_else(|| Err(self.unknown()))
            }
        }
    }

    /// Storage first, memory second: what is searched was durable before, and what failed was never searched.
    fn write_all(&self, writer: &mut Writer, tickets: Vec<Arc<Ticket>>) {
        let mut answers = Vec::with_capacity(tickets.len());
        let result = self.write_together(writer, &tickets, &mut answers);
        for (ticket, answer) in answers {
            ticket.answer(match &result {
                Ok(()) => answer,
                // Judged by what others in the same write would have done, which they did not.
                Err(error) if answer.as_ref().is_err_and(GalleryError::is_about_people) => {
                    Err(same_again(error))
                }
                Err(error) => answer.and_then(|_| Err(same_again(error))),
            });
        }
        if let Err(error) = &result {
            // Those who were not even planned.
            for ticket in tickets {
                if ticket.take_change().is_some() {
                    ticket.answer(Err(same_again(error)));
                }
            }
        }
    }

    fn write_together(
        &self,
        writer: &mut Writer,
        tickets: &[Arc<Ticket>],
        answers: &mut Vec<(Arc<Ticket>, Result<Outcome, GalleryError>)>,
    ) -> Result<(), GalleryError> {
        let needed = tickets.iter().map(|ticket| ticket.since_version()).max();
        let journal = self.journal(writer)?;
        if journal.is_full() {
            self.begin_next_journal(writer)?;
        } else if !journal.holds_version(needed.unwrap_or(1)) {
            self.begin_next_journal(writer)?;
            // The background brings the one before into the present form.
            self.write().unfinished = true;
        }
        let journal = self.journal(writer)?;
        let mut records = journal.records();
        let operations: Vec<Operation> = {
            let state = self.read();
            let mut ahead = Ahead::of(&state.people);
            for ticket in tickets {
                let Some(change) = ticket.take_change() else {
                    continue;
                };
                let space_is_right = match change.adds_templates() {
                    true => self.check_space(&state),
                    false => Ok(()),
                };
                let answer = space_is_right
                    .and_then(|()| change.plan(&ahead, &self.name))
                    .and_then(|(operation, outcome)| {
                        if let Some(operation) = operation {
                            journal.encode(&mut records, &operation)?;
                            ahead.follow(operation);
                        }
                        Ok(outcome)
                    });
                answers.push((Arc::clone(ticket), answer));
            }
            ahead.into_operations()
        };
        let Some(last) = operations.last() else {
            return Ok(());
        };
        let at = last.at();
        match journal.append(&records) {
            Ok(()) => {
                self.metrics.committed(operations.len());
                let mut state = self.write();
                for operation in &operations {
                    state.people.apply(operation);
                    state.rows += operation.rows();
                }
                state.updated = at;
                Ok(())
            }
            Err(AppendError::Undone(error)) => Err(error),
            Err(AppendError::Unsure(error)) => {
                self.suspend(writer, &error);
                Err(error)
            }
        }
    }

    /// Appends go into a new journal from here on.
    pub(super) fn begin_next_journal(&self, writer: &mut Writer) -> Result<u64, GalleryError> {
        let before = match writer {
            Writer::Ready(journal) => journal.number(),
            Writer::Suspended { highest, .. } => *highest,
            Writer::ReadOnly | Writer::Deleted => return Err(self.refusal(writer)),
        };
        let number = before
            .checked_add(1)
            .ok_or_else(|| self.numbers_used_up())?;
        let journal = stage_journal(&self.home, number, &self.identity(), true)?;
        match publish_journal(&self.home, number) {
            Ok(()) => {
                *writer = Writer::Ready(journal);
                Ok(number)
            }
            Err(error) => {
                self.suspend(writer, &error);
                Err(error)
            }
        }
    }

    pub(super) fn suspend(&self, writer: &mut Writer, error: &GalleryError) {
        let highest = match writer {
            Writer::Ready(journal) => journal.number(),
            Writer::Suspended { highest, .. } => *highest,
            Writer::ReadOnly | Writer::Deleted => return,
        };
        let reason = error.to_string();
        tracing::error!(collection = self.name, reason, "changes are suspended");
        *writer = Writer::Suspended {
            highest,
            retry_at: Instant::now(),
        };
        self.write().trouble = Some(reason);
    }

    /// The journal to append to, or why there is none.
    fn journal<'w>(&self, writer: &'w mut Writer) -> Result<&'w mut Journal, GalleryError> {
        match writer {
            Writer::Ready(journal) => Ok(journal),
            other => Err(self.refusal(other)),
        }
    }

    pub(super) fn refusal(&self, writer: &Writer) -> GalleryError {
        match writer {
            Writer::Deleted => self.unknown(),
            _ => GalleryError::ReadOnly {
                collection: self.name.clone(),
                reason: self.read().trouble.clone().unwrap_or_default(),
            },
        }
    }
}
