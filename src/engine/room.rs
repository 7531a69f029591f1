//! Which pictures of a batch will be stored, as far as the number of faces of a person decides it.

use std::collections::{HashMap, HashSet};

use super::doubts::{Intent, Recognised};
use crate::gallery::{MAX_FEATURES_PER_TARGET, Template};

/// How many more faces the people of a batch can have, by the gallery's own rules.
#[derive(Debug)]
pub(super) struct Room {
    /// Faces of each person so far; of nobody else there are any.
    faces: HashMap<String, usize>,
    /// Who would be given more new faces in place of the old ones than fit, and keeps the old ones therefore.
    pub overfull: HashSet<String>,
}

impl Room {
    pub fn of(
        batch: &[Recognised],
        stored: &HashMap<String, Vec<Template>>,
        intent: Intent,
    ) -> Room {
        let faces = (stored.iter()).map(|(target, faces)| (target.clone(), faces.len()));
        let mut room = Room {
            faces: faces.collect(),
            overfull: HashSet::new(),
        };
        if intent == Intent::Replace {
            let mut coming: HashMap<&str, usize> = HashMap::new();
            for one in batch {
                *coming.entry(&one.target).or_default() += 1;
            }
            let overfull =
                (coming.into_iter()).filter(|(_, faces)| *faces > MAX_FEATURES_PER_TARGET);
            room.overfull = overfull.map(|(target, _)| target.to_owned()).collect();
        }
        room
    }

    /// Takes the room of one face, if `target` has it.
    pub fn take(&mut self, target: &str) -> bool {
        let faces = self.faces.entry(target.to_owned()).or_default();
        let fits = *faces < MAX_FEATURES_PER_TARGET && !self.overfull.contains(target);
        *faces += usize::from(fits);
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Template {
        Template::new(&[1.0; 192]).unwrap()
    }

    #[test]
    fn room_is_that_of_the_gallery() {
        let batch = |pictures: usize| -> Vec<Recognised> {
            (0..pictures)
                .map(|index| Recognised {
                    index,
                    target: "ada".into(),
                    template: template(),
                })
                .collect()
        };
        let takes = |mut room: Room| (0..7).filter(|_| room.take("ada")).count();
        let stored = HashMap::from([("ada".to_owned(), vec![template(); 3])]);
        assert_eq!(takes(Room::of(&batch(7), &stored, Intent::Add)), 2);
        assert_eq!(takes(Room::of(&batch(7), &HashMap::new(), Intent::Add)), 5);
        // What replaces comes whole or not at all.
        let replacing = |pictures| Room::of(&batch(pictures), &HashMap::new(), Intent::Replace);
        assert_eq!(takes(replacing(5)), 5);
        assert_eq!(takes(replacing(6)), 0);
    }
}
