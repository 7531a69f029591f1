//! Who is in a collection.

use std::collections::HashMap;

use super::{Engine, Error, check_collection_name, check_target_id};
use crate::gallery::{Gallery, GalleryError, Page, Template, normalized};

/// People of a page if nothing else is asked for, and at most.
pub const DEFAULT_PAGE: u64 = 100;
const MAX_PAGE: u64 = 1000;

/// One person of a collection.
#[derive(Clone, Debug, PartialEq)]
pub struct PersonReport {
    /// The name as it is stored.
    pub target: String,
    /// For each feature, in the order of enrolment, how well it agrees with the person's others: the calibrated score (0..1) of the
    /// one most like it. `None` where there is no other, or where another embedding model made them.
    pub agreement: Vec<Option<f64>>,
}

/// Some of the people of a collection.
#[derive(Clone, Debug)]
pub struct PeoplePage {
    pub page: Page,
    /// People of the collection whose names are Unicode forms of one name, each with the others.
    pub other_forms: HashMap<String, Vec<String>>,
}

impl Engine {
    /// Up to `limit` people (values above 1000 mean 1000) of `collection` behind the target id `after`, in byte order of target ids.
    ///
    /// # Errors
    /// 1003, 1006, 1011.
    pub async fn people(
        &self,
        collection: String,
        after: Option<String>,
        limit: u64,
    ) -> Result<PeoplePage, Error> {
        check_collection_name(&collection)?;
        if let Some(after) = &after {
            check_target_id("after", after)?;
        }
        let limit = usize::try_from(limit.min(MAX_PAGE)).unwrap_or(1);
        let work = move |gallery: &Gallery| {
            let after = match after {
                Some(after) => Some(place_of(gallery, &collection, after)?),
                None => None,
            };
            let mut other_forms = HashMap::new();
            for names in gallery.same_names(&collection)? {
                for name in &names {
                    let others = names.iter().filter(|other| *other != name);
                    other_forms.insert(name.clone(), others.cloned().collect());
                }
            }
            let page = gallery.page(&collection, after.as_deref(), limit)?;
            Ok(PeoplePage { page, other_forms })
        };
        Ok(self.with_gallery(work).await?)
    }

    /// What the gallery keeps of one person.
    ///
    /// # Errors
    /// 1003, 1006, 1011, 1013, 1001.
    pub async fn person(&self, collection: String, target: String) -> Result<PersonReport, Error> {
        check_collection_name(&collection)?;
        let target = self.known(&collection, "target_id", &target)?;
        let name = target.clone();
        let templates = self
            .with_gallery(
                move |gallery| match gallery.templates_of(&collection, &target) {
                    Err(GalleryError::OtherTemplateSpace { .. }) => {
                        let features = gallery.features_of(&collection, &target)?;
                        Ok(Err(features))
                    }
                    templates => templates.map(Ok),
                },
            )
            .await?;
        Ok(PersonReport {
            target: name,
            agreement: match templates {
                Ok(templates) => (0..templates.len())
                    .map(|index| {
                        best_other(&templates, index).map(|c| self.embedding.score.score(c))
                    })
                    .collect(),
                Err(features) => vec![None; features],
            },
        })
    }
}

/// Where a listing goes on behind `after`, who may have left. Of two forms of a name that nobody has the one that comes first counts:
/// nobody is left out.
fn place_of(gallery: &Gallery, collection: &str, after: String) -> Result<String, GalleryError> {
    Ok(match gallery.stored_as(collection, &after)? {
        Some(stored) => stored,
        None => match normalized(&after).into_owned() {
            composed if composed < after => composed,
            _ => after,
        },
    })
}

/// Cosine of a template and the one of the others most like it.
pub(super) fn best_other(templates: &[Template], index: usize) -> Option<f32> {
    let others = (templates.iter().enumerate()).filter(|(other, _)| *other != index);
    let cosines = others.map(|(_, other)| templates[index].cosine(other));
    cosines.reduce(f32::max)
}
