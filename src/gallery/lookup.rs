//! Reading a collection for those who look after it: who is in it, one person's templates, many searches at once.

use super::collection::Collection;
use super::error::GalleryError;
use super::fusion::Fusion;
use super::gallery::Gallery;
use super::listing::{Listing, Page};
use super::people::Hit;
use super::scan::{Query, search};
use super::template::{Template, row_from_bits};

/// Probes that one pass over the rows serves: with more the comparing takes longer than the reading that they share.
const AT_ONCE: usize = 16;

impl Gallery {
    /// The first `limit` people of a collection behind the target id `after`, in byte order of target ids. `after` need not be
    /// anybody's: who pages through a collection sees everyone who was there all the time, once. Works in every template space.
    ///
    /// # Errors
    /// [`GalleryError::UnknownCollection`].
    pub fn page(
        &self,
        name: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page, GalleryError> {
        let collection = self.get(name)?;
        let listing = Listing::of(&collection.read().people);
        Ok(listing.page(after, limit))
    }

    /// How many features a person has, in whatever template space.
    ///
    /// # Errors
    /// [`GalleryError::UnknownCollection`], [`GalleryError::UnknownTarget`].
    pub fn features_of(&self, name: &str, target: &str) -> Result<usize, GalleryError> {
        let collection = self.get(name)?;
        let people = &collection.read().people;
        let stored = people.stored_as(target);
        match people.features_of(stored.as_deref().unwrap_or(target)) {
            0 => Err(unknown_target(name, target)),
            features => Ok(features),
        }
    }

    /// A person's templates in the order of enrolment.
    ///
    /// # Errors
    /// [`GalleryError::UnknownCollection`], [`GalleryError::UnknownTarget`], [`GalleryError::OtherTemplateSpace`],
    /// [`GalleryError::Damaged`].
    pub fn templates_of(&self, name: &str, target: &str) -> Result<Vec<Template>, GalleryError> {
        self.get(name)?.templates_of(target)
    }

    /// For each probe the `top_k` people with the most similar feature, whatever [`Options::fusion`](super::Options::fusion) says, in
    /// the order of [`Gallery::search`]; the rows are read for several at once.
    ///
    /// # Errors
    /// As [`Gallery::search`].
    pub fn search_all(
        &self,
        name: &str,
        probes: &[&Template],
        top_k: usize,
    ) -> Result<Vec<Vec<Hit>>, GalleryError> {
        let collection = self.get(name)?;
        let mut hits = Vec::with_capacity(probes.len());
        for probes in probes.chunks(AT_ONCE) {
            hits.extend(collection.search_all(probes, top_k, self.options.search_threads)?);
        }
        Ok(hits)
    }
}

impl Collection {
    fn templates_of(&self, target: &str) -> Result<Vec<Template>, GalleryError> {
        self.check_space(&self.read())?;
        let originals = || {
            let people = &self.read().people;
            let stored = people.stored_as(target);
            people.originals_of(stored.as_deref().unwrap_or(target))
        };
        let mut found = originals();
        if found.is_err() {
            self.heal()?;
            found = originals();
        }
        let rows = found
            .map_err(|_| self.damaged())?
            .ok_or_else(|| unknown_target(&self.name, target))?;
        let templates = rows.iter().map(row_from_bits).map(Template::stored);
        Ok(templates.collect())
    }

    /// At most [`AT_ONCE`] probes.
    fn search_all(
        &self,
        probes: &[&Template],
        top_k: usize,
        threads: usize,
    ) -> Result<Vec<Vec<Hit>>, GalleryError> {
        self.check_space(&self.read())?;
        let queries: Vec<Query> = (probes.iter())
            .map(|probe| Query {
                template: probe.row(),
                top_k,
                fusion: Fusion::Off,
            })
            .collect();
        let mut healed = false;
        loop {
            let parts = self.read().people.parts();
            let found = match search(&parts, &queries, threads) {
                Ok(found) => found,
                Err(_) if healed => return Err(self.damaged()),
                Err(_) => {
                    // Not held meanwhile: it would keep files alive that are replaced.
                    drop(parts);
                    self.heal()?;
                    healed = true;
                    continue;
                }
            };
            let hits = (found.into_iter()).map(|found| {
                (found.into_iter())
                    .map(|found| Hit {
                        target: parts[found.part].segment.target(found.person).to_owned(),
                        cosine: found.cosine,
                    })
                    .collect()
            });
            return Ok(hits.collect());
        }
    }
}

fn unknown_target(collection: &str, target: &str) -> GalleryError {
    GalleryError::UnknownTarget {
        collection: collection.to_owned(),
        target: target.to_owned(),
    }
}
