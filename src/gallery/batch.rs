//! What of a batch is stored: the quota rules of insert and update, free of files.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::operation::{Feature, Operation};
use super::people::People;
use super::template::Template;

/// The people as they will be once the changes that are written together with this one are stored.
pub(super) struct Ahead<'a> {
    people: &'a People,
    /// Features of the targets that those changes touch.
    touched: HashMap<String, usize>,
}

impl<'a> Ahead<'a> {
    pub fn of(people: &'a People) -> Ahead<'a> {
        Ahead {
            people,
            touched: HashMap::new(),
        }
    }

    /// Takes one more change for done.
    pub fn follow(&mut self, operation: &Operation) {
        match operation {
            Operation::Begin(_) => {}
            Operation::Insert { features, .. } => self.count(features),
            Operation::Replace { features, .. } => {
                for feature in features {
                    self.touched.insert(feature.target.clone(), 0);
                }
                self.count(features);
            }
            Operation::Remove { target, .. } => {
                self.touched.insert(target.clone(), 0);
            }
        }
    }

    pub fn contains(&self, target: &str) -> bool {
        self.features_of(target) > 0
    }

    fn features_of(&self, target: &str) -> usize {
        (self.touched.get(target).copied()).unwrap_or_else(|| self.people.features_of(target))
    }

    fn count(&mut self, features: &[Feature]) {
        for feature in features {
            let now = self.features_of(&feature.target) + 1;
            self.touched.insert(feature.target.clone(), now);
        }
    }
}

/// What an insert did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InsertReport {
    /// Features stored.
    pub stored: usize,
    /// Targets with more features than allowed, whose surplus was not stored; each once, in the order of the batch.
    pub quota_exceeded: Vec<String>,
}

/// What an update did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdateReport {
    /// Features stored.
    pub stored: usize,
    /// Targets for which the batch had more features than allowed; they keep their old ones. Each once, in the order of the batch.
    pub quota_exceeded: Vec<String>,
    /// Targets that the collection does not hold; each once, in the order of the batch.
    pub unknown_targets: Vec<String>,
}

impl From<InsertReport> for UpdateReport {
    fn from(report: InsertReport) -> UpdateReport {
        UpdateReport {
            stored: report.stored,
            quota_exceeded: report.quota_exceeded,
            unknown_targets: Vec::new(),
        }
    }
}

pub(super) fn plan_insert(
    people: &Ahead,
    items: Vec<(String, Template)>,
    limit: usize,
) -> (Vec<Feature>, InsertReport) {
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut surplus: HashSet<String> = HashSet::new();
    let mut features = Vec::with_capacity(items.len());
    let mut report = InsertReport::default();
    for (target, template) in items {
        let count = counts
            .entry(target.clone())
            .or_insert_with(|| people.features_of(&target));
        if *count < limit {
            *count += 1;
            features.push(Feature::new(target, &template));
        } else if surplus.insert(target.clone()) {
            report.quota_exceeded.push(target);
        }
    }
    report.stored = features.len();
    (features, report)
}

pub(super) fn plan_update(
    people: &Ahead,
    items: Vec<(String, Template)>,
    limit: usize,
) -> (Vec<Feature>, UpdateReport) {
    // Targets in the order in which the batch names them first.
    let mut order: HashMap<String, usize> = HashMap::new();
    let mut groups: BTreeMap<usize, (String, Vec<Template>)> = BTreeMap::new();
    for (target, template) in items {
        let next = order.len();
        let place = *order.entry(target.clone()).or_insert(next);
        groups
            .entry(place)
            .or_insert_with(|| (target, Vec::new()))
            .1
            .push(template);
    }
    let mut features = Vec::new();
    let mut report = UpdateReport::default();
    for (target, templates) in groups.into_values() {
        if !people.contains(&target) {
            report.unknown_targets.push(target);
        } else if templates.len() > limit {
            report.quota_exceeded.push(target);
        } else {
            features.extend(
                templates
                    .iter()
                    .map(|template| Feature::new(target.clone(), template)),
            );
        }
    }
    report.stored = features.len();
    (features, report)
}
