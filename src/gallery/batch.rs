//! What of a batch is stored: the quota rules of insert and update, free of files.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::forms::normalized;
use super::operation::{Feature, Operation};
use super::people::People;
use super::scan::Damaged;
use super::template::{RowBits, Template, row_from_bits};

/// Above this cosine two templates are of one and the same picture: what is left is how it was compressed or scaled.
pub const IDENTICAL_COSINE: f32 = 0.9995;

/// The people as they will be once the changes that are written together with this one are stored.
pub(super) struct Ahead<'a> {
    people: &'a People,
    /// Features of the targets that those changes touch.
    touched: HashMap<String, usize>,
    operations: Vec<Operation>,
}

impl<'a> Ahead<'a> {
    pub fn of(people: &'a People) -> Ahead<'a> {
        Ahead {
            people,
            touched: HashMap::new(),
            operations: Vec::new(),
        }
    }

    /// Takes one more change for done.
    pub fn follow(&mut self, operation: Operation) {
        match &operation {
            Operation::Begin(_) => {}
            Operation::Insert { features, .. } => self.count(features),
            Operation::Replace { features, .. } => self.replace(features),
            Operation::Remove { target, .. } => {
                self.touched.insert(target.clone(), 0);
            }
            Operation::Rename { from, features, .. } => {
                self.touched.insert(from.clone(), 0);
                self.replace(features);
            }
        }
        self.operations.push(operation);
    }

    /// The changes, in their order.
    pub fn into_operations(self) -> Vec<Operation> {
        self.operations
    }

    /// The name under which whoever is asked for as `name` is stored.
    pub fn stored_as(&self, name: &str) -> Option<String> {
        (self.people.forms()).stored_as(name, |name| self.contains(name))
    }

    /// The features of a target in the order of enrolment, none for someone unknown.
    pub fn features(&self, target: &str) -> Result<Vec<RowBits>, Damaged> {
        let mut features = self.people.originals_of(target)?.unwrap_or_default();
        if !self.touched.contains_key(target) {
            return Ok(features);
        }
        for operation in &self.operations {
            let its = |new: &[Feature]| -> Vec<RowBits> {
                let its = new.iter().filter(|feature| feature.target == target);
                its.map(|feature| feature.bits).collect()
            };
            let replace = |old: &mut Vec<RowBits>, new: &[Feature]| {
                let new = its(new);
                if !new.is_empty() {
                    *old = new;
                }
            };
            match operation {
                Operation::Begin(_) => {}
                Operation::Insert { features: new, .. } => features.extend(its(new)),
                Operation::Replace { features: new, .. } => replace(&mut features, new),
                Operation::Remove { target: who, .. } => {
                    if who == target {
                        features.clear();
                    }
                }
                Operation::Rename {
                    from,
                    features: new,
                    ..
                } => {
                    if from == target {
                        features.clear();
                    }
                    replace(&mut features, new);
                }
            }
        }
        Ok(features)
    }

    pub fn contains(&self, target: &str) -> bool {
        self.features_of(target) > 0
    }

    pub fn features_of(&self, target: &str) -> usize {
        (self.touched.get(target).copied()).unwrap_or_else(|| self.people.features_of(target))
    }

    fn replace(&mut self, features: &[Feature]) {
        for feature in features {
            self.touched.insert(feature.target.clone(), 0);
        }
        self.count(features);
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
    /// Places in the batch of the features that their target has already, where such are skipped: not stored again, and not counted
    /// towards the limit.
    pub already: Vec<usize>,
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

/// With `skip_identical` a feature that its target has already, stored or earlier in the batch, is not stored again.
pub(super) fn plan_insert(
    people: &Ahead,
    items: Vec<(String, Template)>,
    limit: usize,
    skip_identical: bool,
) -> Result<(Vec<Feature>, InsertReport), Damaged> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    let mut there: HashMap<String, Vec<Template>> = HashMap::new();
    let mut surplus: HashSet<String> = HashSet::new();
    let mut features = Vec::with_capacity(items.len());
    let mut report = InsertReport::default();
    for (place, (target, template)) in items.into_iter().enumerate() {
        let target = stored_or_new(people, target);
        if skip_identical {
            if !there.contains_key(&target) {
                let rows = people.features(&target)?;
                let templates = rows.iter().map(row_from_bits).map(Template::stored);
                there.insert(target.clone(), templates.collect());
            }
            let its = there.entry(target.clone()).or_default();
            if (its.iter()).any(|other| other.cosine(&template) > IDENTICAL_COSINE) {
                report.already.push(place);
                continue;
            }
        }
        let count = counts
            .entry(target.clone())
            .or_insert_with(|| people.features_of(&target));
        if *count < limit {
            *count += 1;
            features.push(Feature::new(target.clone(), &template));
            if skip_identical {
                there.entry(target).or_default().push(template);
            }
        } else if surplus.insert(target.clone()) {
            report.quota_exceeded.push(target);
        }
    }
    report.stored = features.len();
    Ok((features, report))
}

/// The name that a target of a batch has or gets.
fn stored_or_new(people: &Ahead, target: String) -> String {
    (people.stored_as(&target)).unwrap_or_else(|| normalized(&target).into_owned())
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
        let target = stored_or_new(people, target);
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
