//! What may be there at each moment of a recording.

use super::operation::{Contents, Operation};

/// What one client did, in order. Different clients' people have different names, so that what one sees does not depend on the
/// others.
#[derive(Clone, Debug)]
pub struct Lane {
    /// How the names of its people begin; empty for the only client.
    pub prefix: String,
    /// One more than operations: what it had before the first, and after each.
    pub states: Vec<Contents>,
    /// How many events there were when each operation began, and when it was acknowledged.
    pub spans: Vec<(usize, usize)>,
}

impl Lane {
    pub fn new(prefix: String, start: Contents) -> Lane {
        Lane {
            prefix,
            states: vec![start],
            spans: Vec::new(),
        }
    }

    /// Notes what was done, and says what is wrong if the answer was not the map's.
    pub fn note(
        &mut self,
        operation: &Operation,
        span: (usize, usize),
        answer: &Result<(), String>,
    ) -> Result<(), String> {
        let mut state = self.states.last().cloned().unwrap_or_default();
        let accepted = operation.apply(&mut state);
        if accepted != answer.is_ok() {
            return Err(format!(
                "{operation:?}: expected {accepted}, got {answer:?}"
            ));
        }
        self.states.push(state);
        self.spans.push(span);
        Ok(())
    }

    /// The states that may be there after the first `prefix` events: what was acknowledged, and with it the operation that was
    /// under way, all of it or nothing.
    pub fn allowed(&self, prefix: usize) -> &[Contents] {
        let acknowledged = self.spans.partition_point(|(_, end)| *end <= prefix);
        let under_way = (self.spans.get(acknowledged)).is_some_and(|(begin, _)| *begin < prefix);
        &self.states[acknowledged..=acknowledged + usize::from(under_way)]
    }

    /// What of the contents is this client's.
    fn part(&self, contents: &Contents) -> Contents {
        let mut part = contents.clone();
        for targets in part.values_mut() {
            targets.retain(|target, _| target.starts_with(&self.prefix));
        }
        part
    }
}

/// What is wrong with what was found after the first `prefix` events.
pub fn judge(lanes: &[Lane], prefix: usize, found: &Contents) -> Result<(), String> {
    let mut strangers = found.clone();
    for lane in lanes {
        let part = lane.part(found);
        let allowed = lane.allowed(prefix);
        if !allowed.contains(&part) {
            let prefix = &lane.prefix;
            return Err(format!(
                "of \"{prefix}\" found   {part:?}\n  allowed {allowed:?}"
            ));
        }
        for targets in strangers.values_mut() {
            targets.retain(|target, _| !target.starts_with(&lane.prefix));
        }
    }
    match strangers.values().all(|targets| targets.is_empty()) {
        true => Ok(()),
        false => Err(format!("nobody's: {strangers:?}")),
    }
}
