//! `server.origins` and `server.names`: the web pages that may use the API.

use super::Server;
use crate::http::{Origin, Pages, plain_name};

/// What the two keys say.
///
/// # Errors
/// The key, the entry and what is expected in its place.
pub(super) fn of(server: &Server) -> Result<Pages, String> {
    let origins = (server.origins.iter())
        .map(|text| {
            Origin::parse(text).ok_or_else(|| {
                format!(
                    "`server.origins` must be origins of web pages like \"https://kiosk.example\" or \"http://10.0.0.5:3000\", \
                     without anything behind, and not {text:?}"
                )
            })
        })
        .collect::<Result<_, _>>()?;
    let names = (server.names.iter())
        .map(|text| {
            let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
            (plain_name(text).filter(|name| name.chars().all(is_name))).ok_or_else(|| {
                format!(
                    "`server.names` must be names of this device like \"door.example\", without scheme and port, and not {text:?}"
                )
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(Pages { origins, names })
}
