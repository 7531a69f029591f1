//! Who is in a collection.

use super::{Engine, Error, check_collection_name, check_target_id};
use crate::gallery::{GalleryError, Page, Template};

/// People of a page if nothing else is asked for, and at most.
pub const DEFAULT_PAGE: u64 = 100;
const MAX_PAGE: u64 = 1000;

/// One person of a collection.
#[derive(Clone, Debug, PartialEq)]
pub struct PersonReport {
    /// For each feature, in the order of enrolment, how well it agrees with the person's others: the calibrated score (0..1) of the
    /// one most like it. `None` where there is no other, or where another embedding model made them.
    pub agreement: Vec<Option<f64>>,
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
    ) -> Result<Page, Error> {
        check_collection_name(&collection)?;
        if let Some(after) = &after {
            check_target_id("after", after)?;
        }
        let limit = usize::try_from(limit.min(MAX_PAGE)).unwrap_or(1);
        Ok(self
            .with_gallery(move |gallery| gallery.page(&collection, after.as_deref(), limit))
            .await?)
    }

    /// What the gallery keeps of one person.
    ///
    /// # Errors
    /// 1003, 1006, 1011, 1013, 1001.
    pub async fn person(&self, collection: String, target: String) -> Result<PersonReport, Error> {
        check_collection_name(&collection)?;
        check_target_id("target_id", &target)?;
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

/// Cosine of a template and the one of the others most like it.
pub(super) fn best_other(templates: &[Template], index: usize) -> Option<f32> {
    let others = (templates.iter().enumerate()).filter(|(other, _)| *other != index);
    let cosines = others.map(|(_, other)| templates[index].cosine(other));
    cosines.reduce(f32::max)
}
