//! Who is enrolled, as far as their names are doubtful.

use super::{Patient, Report};
use crate::cli::data::surveyed;
use crate::engine::shown_name;

/// Names that are one to a reader and two to the gallery. Galleries of earlier releases have them; the daemon puts together at its
/// start what is one person.
pub fn names(patient: &Patient, report: &mut Report) {
    if !patient.config.gallery_directory().is_dir() {
        return;
    }
    // What cannot be read is for `recocomp check` and the check of the data folder.
    let Ok(collections) = surveyed(&patient.config, false) else {
        return;
    };
    let mut told = false;
    for snapshot in (collections.iter()).filter_map(|one| one.contents.as_ref().ok()) {
        for names in snapshot.same_names() {
            told = true;
            let shown: Vec<String> = names.iter().map(|name| shown_name(name)).collect();
            report.warning(
                format!(
                    "in {} {} are one name in two Unicode forms",
                    snapshot.name(),
                    shown.join(" and ")
                ),
                "the daemon makes them one person at its start if their faces agree and are five at most; otherwise rename one, or put \
                 both together, with /person/rename",
            );
        }
    }
    if !told {
        report.ok("no two of them have names that only look the same");
    }
}
