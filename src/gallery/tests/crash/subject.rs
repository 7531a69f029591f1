//! The gallery as a subject.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::Subject;
use super::operation::{Batch, Contents, LIMIT, Operation};
use crate::gallery::operation::Feature;
use crate::gallery::storage::Storage;
use crate::gallery::template::TEMPLATE_DIMENSIONS;
use crate::gallery::{Gallery, Options, Template};

const DIRECTORY: &str = "/store";

impl Subject for Gallery {
    fn open(storage: Arc<dyn Storage>) -> Result<Gallery, String> {
        let directory = Path::new(DIRECTORY);
        let text = |error: std::io::Error| error.to_string();
        match storage.create_directory(directory) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(error.to_string());
            }
            _ => storage.sync_directory(Path::new("/")).map_err(text)?,
        }
        let options = Options {
            max_features_per_target: LIMIT,
            ..Options::default()
        };
        Gallery::open_on(storage, directory, options).map_err(|error| error.to_string())
    }

    fn apply(&self, operation: &Operation) -> Result<(), String> {
        let done = match operation {
            Operation::Create(name) => self.create(name),
            Operation::Clear(name) => self.clear(name),
            Operation::Delete(name) => self.delete(name),
            Operation::Insert(name, batch) => self.insert(name, items(batch)).map(drop),
            Operation::Update(name, batch) => self.update(name, items(batch)).map(drop),
            Operation::Remove(name, target) => self.remove_target(name, target),
            Operation::RemoveFeature(name, target, index) => {
                self.remove_feature(name, target, *index).map(drop)
            }
            Operation::Rename(name, from, to, merge) => {
                self.rename(name, from, to, *merge).map(drop)
            }
            Operation::Compact(name) => self.compact(name),
        };
        done.map_err(|error| error.to_string())
    }

    fn contents(&self) -> Contents {
        let mut contents = Contents::new();
        for status in self.list() {
            let targets = contents.entry(status.name.clone()).or_default();
            for feature in self.collection(&status.name).features() {
                let number = number(&feature);
                targets.entry(feature.target).or_default().push(number);
            }
        }
        contents
    }

    fn search(&self) -> Result<(), String> {
        for (name, targets) in self.contents() {
            let status = self.status(&name).map_err(|error| error.to_string())?;
            let features: usize = targets.values().map(Vec::len).sum();
            if (status.person_num, status.feature_num) != (targets.len(), features) {
                return Err(format!("{status:?} for {targets:?}"));
            }
            // One is enough: all rows are looked at, whoever is searched.
            if let Some((target, numbers)) = targets.first_key_value() {
                let hits = self.search(&name, &template(numbers[0]), targets.len() + 1);
                let hits = hits.map_err(|error| format!("searching \"{name}\": {error}"))?;
                let found: BTreeMap<_, _> = hits.iter().map(|h| (&h.target, h.cosine)).collect();
                if hits[0].target != *target || !found.keys().copied().eq(targets.keys()) {
                    return Err(format!("searching {target} in {targets:?} found {found:?}"));
                }
            }
        }
        Ok(())
    }

    fn warnings(&self) -> Vec<String> {
        self.warnings()
            .into_iter()
            .map(|warning| warning.what)
            .collect()
    }

    /// A collection is gone, or empty, from the moment on when the storage may have it so.
    fn may_count_in_spite_of_an_error(operation: &Operation) -> bool {
        matches!(operation, Operation::Delete(_) | Operation::Clear(_))
    }
}

fn items(batch: &Batch) -> Vec<(String, Template)> {
    let item = |(target, number): &(String, u32)| (target.clone(), template(*number));
    batch.iter().map(item).collect()
}

/// A template that has its number in the signs.
fn template(number: u32) -> Template {
    let mut vector = [1.0; TEMPLATE_DIMENSIONS];
    for (bit, value) in vector[..32].iter_mut().enumerate() {
        if number >> bit & 1 == 1 {
            *value = -1.0;
        }
    }
    Template::new(&vector).expect("neither zero nor infinite")
}

fn number(feature: &Feature) -> u32 {
    let signs = feature.bits[..32].iter().enumerate();
    let number = signs.fold(0, |n, (bit, bits)| n | u32::from(bits >> 15) << bit);
    assert_eq!(
        feature.bits,
        template(number).to_bits(),
        "a template that nobody enrolled"
    );
    number
}
