//! `/face/feature` and `/face/search/feature`: templates as clients keep them.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::json;

use super::answer::Answer;
use super::caller::CalledBy;
use super::error::ApiError;
use super::fields::{Fields, Upload};
use super::router::AppState;
use super::search::{liveness_demand, match_rows, several};
use crate::gallery::{TEMPLATE_DIMENSIONS, Template};
use crate::recognition::LivenessDemand;

/// The numbers of a template as answers spell them: IEEE 754 binary32, little endian, one after the other.
const FORMAT: &str = "float32-le";
const NUMBER_BYTES: usize = size_of::<f32>();
const FEATURE_BYTES: usize = TEMPLATE_DIMENSIONS * NUMBER_BYTES;
/// Text that is looked at: what is longer, blanks and line ends included, is no feature.
const MAX_TEXT: usize = 4 * FEATURE_BYTES;

pub async fn extract(
    State(state): State<AppState>,
    Upload(fields): Upload,
) -> Result<Answer, ApiError> {
    let picture = fields.picture("face_image")?;
    let demand = liveness_demand(&fields)?;
    let extracted = state.engine.extract(picture, demand).await?;
    let embedding = state.engine.embedding();
    let status = json!({
        "feature": encode(&extracted.template),
        "format": FORMAT,
        "dimension": TEMPLATE_DIMENSIONS,
        "template_space": embedding.template_space,
        "model": embedding.model,
        "score": {"slope": embedding.score.slope, "offset": embedding.score.offset},
    });
    let answer = Answer::new("status", status).detail(several("face_image", extracted.faces));
    Ok(match demand {
        LivenessDemand::Off => answer,
        _ => answer.with("liveness", json!(extracted.liveness)),
    })
}

pub async fn search(
    State(state): State<AppState>,
    caller: CalledBy,
    fields: Fields,
) -> Result<Answer, ApiError> {
    let seen_only = |field: &str, why: &str| {
        ApiError::parameter(format!(
            "{field}: {why}: use /face/search with a picture, or leave {field} out"
        ))
    };
    if fields.flag("open")? {
        return Err(seen_only(
            "open",
            "a feature never opens the door, nobody was seen",
        ));
    }
    if fields.flag("liveness")? {
        return Err(seen_only("liveness", "a feature cannot be judged"));
    }
    let collection = fields.string("collection_name")?;
    let text = fields.string("feature")?;
    let space = fields.string("template_space")?;
    let top_k = fields.positive_integer("top_k")?;
    let ours = &state.engine.embedding().template_space;
    if space != *ours {
        return Err(ApiError::parameter(format!(
            "template_space: \"{ours}\" is expected, which this device's embedding model makes and can compare: \
             extract the feature anew with /face/feature"
        )));
    }
    let template = decode(&text).map_err(|e| ApiError::parameter(format!("feature: {e}")))?;
    caller.may_read(&state, &collection)?;
    let found = (state.engine)
        .identify_feature(collection, template, top_k)
        .await?;
    Ok(Answer::new("status", match_rows(found)))
}

/// Answers 404 where templates are not exchanged.
pub async fn if_exchanged(State(state): State<AppState>, request: Request, next: Next) -> Response {
    match state.engine.exchanges_features() {
        true => next.run(request).await,
        false => ApiError::http(
            StatusCode::NOT_FOUND,
            "features are switched off on this device (features in [recognition])",
        )
        .into_response(),
    }
}

fn encode(template: &Template) -> String {
    let numbers = template.as_slice().iter();
    STANDARD.encode(numbers.flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())
}

/// Base64 as pictures may come: either alphabet, padded or not, with white space.
fn decode(text: &str) -> Result<Template, String> {
    if text.len() > MAX_TEXT {
        return Err(format!(
            "it has {} characters, {} are expected: base64 of {FEATURE_BYTES} bytes",
            text.len(),
            FEATURE_BYTES.div_ceil(3) * 4
        ));
    }
    let clean: String = (text.chars())
        .filter(|c| !c.is_ascii_whitespace())
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            c => c,
        })
        .collect();
    let bytes = (STANDARD_NO_PAD.decode(clean.trim_end_matches('=')))
        .map_err(|e| format!("it is not base64 ({e}): what /face/feature answered is expected"))?;
    if bytes.len() != FEATURE_BYTES {
        return Err(format!(
            "it has {} bytes, {FEATURE_BYTES} are expected: {TEMPLATE_DIMENSIONS} numbers, {FORMAT}",
            bytes.len()
        ));
    }
    let (numbers, _) = bytes.as_chunks::<NUMBER_BYTES>();
    let vector: Vec<f32> = numbers.iter().map(|b| f32::from_le_bytes(*b)).collect();
    Template::from_unit(&vector).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Template {
        let vector: Vec<f32> = (0..192).map(|i| (i as f32 * 0.37).sin()).collect();
        Template::new(&vector).unwrap()
    }

    #[test]
    fn what_was_encoded_comes_back_to_the_bit() {
        let text = encode(&template());
        assert_eq!(text.len(), 1024);
        assert!(!text.contains('='));
        assert_eq!(decode(&text).unwrap(), template());
        let wrapped: Vec<&str> = (0..1024).step_by(64).map(|i| &text[i..i + 64]).collect();
        let spelled = wrapped.join("\r\n").replace('+', "-").replace('/', "_");
        assert_eq!(decode(&spelled).unwrap(), template());
    }

    #[test]
    fn anything_else_is_refused_with_a_reason() {
        let floats = |numbers: &[f32]| {
            STANDARD.encode(
                numbers
                    .iter()
                    .flat_map(|x| x.to_le_bytes())
                    .collect::<Vec<u8>>(),
            )
        };
        let mut odd = template().as_slice().to_vec();
        odd[7] = f32::NAN;
        for (text, reason) in [
            (String::new(), "0 bytes"),
            ("?".into(), "not base64"),
            ("\u{e9}".repeat(10), "not base64"),
            ("A".repeat(1000), "750 bytes, 768 are expected"),
            (floats(&[0.1; 191]), "764 bytes"),
            ("A".repeat(100_000), "100000 characters, 1024 are expected"),
            ("A".repeat(1024), "no length"),
            (floats(&odd), "not finite"),
            (floats(&[1.0; 192]), "length 13.8564"),
        ] {
            let said = decode(&text).unwrap_err();
            assert!(said.contains(reason), "{said}");
        }
    }
}
