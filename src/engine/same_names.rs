//! People of one name in two Unicode forms, as earlier releases stored them: united where they are one person, told where they
//! may be two.

use super::decision::Impostors;
use super::doubt_rules::DoubtRules;
use crate::gallery::{Gallery, GalleryError, MAX_FEATURES_PER_TARGET, Template};

/// Puts together what is one person: every face of each agrees with one of the other's as a duplicate does, and they are no more
/// than one person may have. Everything else stays as it is and is told. Failures are told as well: nothing is lost by them.
pub(super) fn unite(gallery: &Gallery, impostors: &Impostors, rules: &DoubtRules) {
    for status in gallery.list() {
        let collection = status.name.as_str();
        let limit = match impostors.threshold(rules.duplicate_fpir, status.feature_num.max(1)) {
            Ok(threshold) => threshold.cosine,
            Err(_) => impostors.strictest().cosine,
        };
        let united = (gallery.same_names(collection)).and_then(|groups| {
            (groups.iter()).try_for_each(|names| unite_one(gallery, collection, names, limit))
        });
        match united {
            Ok(()) | Err(GalleryError::OtherTemplateSpace { .. }) => {}
            Err(error) => {
                tracing::error!(collection, %error, "two forms of one name could not be looked at");
            }
        }
    }
}

/// `names` are forms of one name, the one that the others join first.
fn unite_one(
    gallery: &Gallery,
    collection: &str,
    names: &[String],
    limit: f32,
) -> Result<(), GalleryError> {
    let Some((name, others)) = names.split_first() else {
        return Ok(());
    };
    for other in others {
        let its = gallery.templates_of(collection, name)?;
        let more = gallery.templates_of(collection, other)?;
        let (shown, shown_other) = (shown(name), shown(other));
        if its.len() + more.len() > MAX_FEATURES_PER_TARGET {
            tracing::warn!(
                collection,
                "{shown} and {shown_other} are one name in two Unicode forms, with {} and {} faces: too many for one person, so both stay",
                its.len(),
                more.len()
            );
        } else if !agree(&its, &more, limit) {
            tracing::warn!(
                collection,
                "{shown} and {shown_other} are one name in two Unicode forms, with different faces: both stay"
            );
        } else {
            gallery.unite(collection, other, name)?;
            tracing::warn!(
                collection,
                "{shown_other} and {shown} were one name in two Unicode forms with the same face: they are one person now, {shown}"
            );
        }
    }
    Ok(())
}

/// Whether each has for every face of the other one that is alike.
fn agree(first: &[Template], second: &[Template], limit: f32) -> bool {
    let all_in = |these: &[Template], those: &[Template]| {
        (these.iter()).all(|one| those.iter().any(|other| one.cosine(other) >= limit))
    };
    all_in(first, second) && all_in(second, first)
}

/// The other forms of a name that are stored.
fn others(gallery: &Gallery, collection: &str, target: &str) -> Result<Vec<String>, GalleryError> {
    let groups = gallery.same_names(collection)?.into_iter();
    let its = groups.filter(|names| names.iter().any(|name| name == target));
    Ok(its.flatten().filter(|name| name != target).collect())
}

/// Removes a person, with the other forms of the name that have a face `alike`: under those the person would still be found. Returns
/// what there is to say about the other forms.
pub(super) fn remove(
    gallery: &Gallery,
    collection: &str,
    target: &str,
    alike: impl Fn(f32) -> bool,
) -> Result<Option<String>, GalleryError> {
    let (mut removed, mut left) = (Vec::new(), Vec::new());
    for other in others(gallery, collection, target)? {
        match any_pair(gallery, collection, (target, &other), &alike)? {
            true => removed.push(other),
            false => left.push(other),
        }
    }
    for name in removed.iter().map(String::as_str).chain([target]) {
        gallery.remove_target(collection, name)?;
    }
    Ok(remark(&removed, &left))
}

/// Whether any face of one is `alike` any of the other; not in another template space, where nobody is found.
fn any_pair(
    gallery: &Gallery,
    collection: &str,
    names: (&str, &str),
    alike: impl Fn(f32) -> bool,
) -> Result<bool, GalleryError> {
    let templates = |name: &str| match gallery.templates_of(collection, name) {
        Err(GalleryError::OtherTemplateSpace { .. }) => Ok(Vec::new()),
        templates => templates,
    };
    let (first, second) = (templates(names.0)?, templates(names.1)?);
    Ok((first.iter()).any(|one| second.iter().any(|other| alike(one.cosine(other)))))
}

/// What a deletion says about the other forms of its name.
fn remark(removed: &[String], left: &[String]) -> Option<String> {
    let list = |names: &[String]| -> String {
        let names: Vec<String> = names.iter().map(|name| shown(name)).collect();
        names.join(", ")
    };
    let removed = (!removed.is_empty()).then(|| {
        format!(
            "target_id: the same face was stored under another Unicode form of the name and is deleted, too: {}",
            list(removed)
        )
    });
    let left = (!left.is_empty()).then(|| {
        format!(
            "target_id: another Unicode form of the name is somebody else's face and stays: {}",
            list(left)
        )
    });
    let all: Vec<String> = removed.into_iter().chain(left).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// A name in which what looks the same does not.
pub fn shown(name: &str) -> String {
    format!("\"{}\"", name.escape_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(degrees: f32) -> Template {
        let mut vector = [0.0; 192];
        (vector[0], vector[1]) = (degrees.to_radians().cos(), degrees.to_radians().sin());
        Template::new(&vector).unwrap()
    }

    #[test]
    fn faces_agree_only_if_each_has_its_like_on_the_other_side() {
        let limit = 60_f32.to_radians().cos();
        let all = |angles: &[f32]| -> Vec<Template> { angles.iter().map(|a| at(*a)).collect() };
        assert!(agree(&all(&[0.0, 40.0]), &all(&[20.0]), limit));
        // The face at 90 degrees is like none of the others.
        assert!(!agree(&all(&[0.0, 90.0]), &all(&[20.0]), limit));
        assert!(!agree(&all(&[20.0]), &all(&[0.0, 90.0]), limit));
    }

    const COMPOSED: &str = "Jos\u{e9}";
    const DECOMPOSED: &str = "Jose\u{301}";

    /// A gallery as earlier releases left it, with faces of these angles for the decomposed and the composed name.
    fn with(decomposed: &[f32], composed: &[f32]) -> (tempfile::TempDir, Gallery) {
        let directory = tempfile::tempdir().unwrap();
        let options = crate::gallery::Options {
            template_space: "space".to_owned(),
            ..Default::default()
        };
        let gallery = Gallery::open(directory.path(), options).unwrap();
        let imported = crate::gallery::Imported {
            name: "staff".to_owned(),
            template_space: "space".to_owned(),
            created: 1,
            updated: 2,
        };
        let rows = |angles: &[f32]| -> Vec<crate::gallery::RowBits> {
            angles.iter().map(|a| bits(&at(*a))).collect()
        };
        let (first, second) = (rows(decomposed), rows(composed));
        let people = [(DECOMPOSED, &first[..]), (COMPOSED, &second[..])];
        gallery.import(&imported, &people).unwrap();
        (directory, gallery)
    }

    fn bits(template: &Template) -> crate::gallery::RowBits {
        let mut bits = [0; 192];
        for (bits, number) in bits.iter_mut().zip(template.as_slice()) {
            *bits = half::f16::from_f32(*number).to_bits();
        }
        bits
    }

    fn faces(gallery: &Gallery) -> Vec<(String, usize)> {
        let people = gallery.page("staff", None, 10).unwrap().people;
        let face = |person: crate::gallery::Person| (person.target, person.feature_num);
        people.into_iter().map(face).collect()
    }

    /// Alike are faces within 60 degrees.
    fn alike(cosine: f32) -> bool {
        cosine >= 0.5
    }

    fn unite_all(gallery: &Gallery) {
        for names in gallery.same_names("staff").unwrap() {
            unite_one(gallery, "staff", &names, 0.5).unwrap();
        }
    }

    #[test]
    fn one_face_under_two_forms_becomes_one_person_and_the_collection_keeps_its_time() {
        let (directory, gallery) = with(&[0.0, 10.0], &[20.0]);
        let updated = gallery.status("staff").unwrap().updated;
        unite_all(&gallery);
        assert_eq!(faces(&gallery), [(COMPOSED.to_owned(), 3)]);
        assert_eq!(gallery.status("staff").unwrap().updated, updated);
        drop(gallery);
        let gallery = Gallery::open(directory.path(), crate::gallery::Options::default()).unwrap();
        assert_eq!(faces(&gallery), [(COMPOSED.to_owned(), 3)]);
    }

    #[test]
    fn different_faces_and_too_many_stay_as_they_are() {
        let both = |first, second| {
            [
                (DECOMPOSED.to_owned(), first),
                (COMPOSED.to_owned(), second),
            ]
        };
        let (_directory, gallery) = with(&[0.0], &[90.0]);
        unite_all(&gallery);
        assert_eq!(faces(&gallery), both(1, 1));
        let (_directory, gallery) = with(&[0.0, 5.0, 10.0], &[1.0, 6.0, 11.0]);
        unite_all(&gallery);
        assert_eq!(faces(&gallery), both(3, 3));
    }

    #[test]
    fn a_deletion_takes_the_same_face_under_the_other_form_and_no_other_face() {
        for asked in [COMPOSED, DECOMPOSED] {
            // One pair of faces is enough to be found by.
            let (_directory, gallery) = with(&[0.0, 5.0, 150.0], &[1.0, 6.0, 11.0]);
            let said = remove(&gallery, "staff", asked, alike).unwrap().unwrap();
            assert!(said.contains("is deleted, too"), "{said}");
            assert_eq!(faces(&gallery), []);
            let (_directory, gallery) = with(&[0.0], &[90.0]);
            let said = remove(&gallery, "staff", asked, alike).unwrap().unwrap();
            assert!(said.contains("somebody else's face and stays"), "{said}");
            assert_eq!(faces(&gallery).len(), 1);
            assert!(
                !gallery
                    .same_names("staff")
                    .unwrap()
                    .iter()
                    .any(|names| names.len() > 1)
            );
        }
    }

    #[test]
    fn both_forms_can_be_told_apart_where_they_are_told() {
        assert_eq!(shown("Jose\u{301}"), "\"Jose\\u{301}\"");
        assert_eq!(shown("Jos\u{e9}"), "\"Jos\\u{e9}\"");
        let said = remark(&["Jose\u{301}".to_owned()], &[]).unwrap();
        assert!(said.contains("deleted, too: \"Jose\\u{301}\""), "{said}");
        assert_eq!(remark(&[], &[]), None);
    }
}
