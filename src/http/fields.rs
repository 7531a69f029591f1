//! The fields of a request, however they came.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeSeed;

use super::arrived::{self, Arrived};
use super::body::{Held, drain};
use super::error::ApiError;
use super::form::{self, Value};
use super::head::tokens;
use super::json::{Bounded, Places, Text, short, values_of};
use super::router::AppState;
use crate::engine::EncodedPicture;
use crate::recognition::{EncodedFile, FarLooks};

/// Pictures of a batch that are looked at in tiles: those take seconds on a small board, while others wait.
const MAX_FAR_PICTURES: usize = 16;

/// Fields that endpoints know. Everything else in a body is skipped without being kept.
pub(super) const NAMES: [&str; 22] = [
    "after",
    "all",
    "collection_name",
    "disagreements",
    "duplicates",
    "face_image",
    "face_image1",
    "face_image2",
    "face_index",
    "far",
    "feature",
    "feature_id",
    "index",
    "limit",
    "liveness",
    "merge",
    "new_target_id",
    "open",
    "skip_identical",
    "target_id",
    "template_space",
    "top_k",
];
/// Names a request may list.
const MAX_NAMES: usize = 1000;

/// Parts of a form beside those of a batch.
const MAX_OTHER_PARTS: usize = 100;

/// The JSON object of a request's body, read in GET and POST alike, whatever its content type.
pub struct Fields {
    held: Held,
    values: Values,
    /// Pictures of a batch.
    max_batch: usize,
    far_looks: FarLooks,
}

enum Values {
    Json(Box<Places>),
    /// In the order in which they came.
    Form(Vec<Value>),
}

/// The fields of an endpoint that looks at pictures: JSON as ever, multipart/form-data, or a picture with the other fields in the query.
pub struct Upload(pub Fields);

impl FromRequest<AppState> for Fields {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Fields, ApiError> {
        Fields::arrive(request, state, false).await
    }
}

impl FromRequest<AppState> for Upload {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Upload, ApiError> {
        Fields::arrive(request, state, true).await.map(Upload)
    }
}

impl Fields {
    async fn arrive(
        request: Request,
        state: &AppState,
        takes_pictures: bool,
    ) -> Result<Fields, ApiError> {
        let (parts, body) = request.into_parts();
        if let Some(coding) =
            (tokens(&parts, &header::CONTENT_ENCODING).iter()).find(|coding| *coding != "identity")
        {
            drain(body).await;
            return Err(ApiError::http(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                format!(
                    "the body is encoded ({}): send it as it is, without Content-Encoding",
                    coding.chars().take(20).collect::<String>().escape_debug()
                ),
            ));
        }
        let content_type = (parts.headers.get(header::CONTENT_TYPE))
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .unwrap_or_default();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let held = state.body.read(Request::from_parts(parts, body)).await?;
        let (max_batch, far_looks) = (state.engine.max_batch(), state.engine.far_looks());
        let max_parts = max_batch.saturating_mul(2).saturating_add(MAX_OTHER_PARTS);
        let came = arrived::tell(&held.bytes, &content_type).map_err(ApiError::parameter)?;
        let values = match came {
            Arrived::Json => return Fields::parse(held, max_batch, far_looks),
            _ if !takes_pictures => {
                return Err(ApiError::parameter(
                    "the body is a picture or multipart/form-data, which this endpoint does not take: send a JSON object",
                ));
            }
            Arrived::Multipart => off_the_runtime(held.bytes.len(), || {
                form::multipart(&held.bytes, &content_type, max_parts)
            }),
            Arrived::Picture => form::query(&query, max_parts).map(|mut values| {
                values.push(Value::picture(held.bytes.clone()));
                values
            }),
        };
        Ok(Fields {
            held,
            values: Values::Form(values.map_err(ApiError::parameter)?),
            max_batch,
            far_looks,
        })
    }

    fn parse(held: Held, max_batch: usize, far_looks: FarLooks) -> Result<Fields, ApiError> {
        let places = off_the_runtime(held.bytes.len(), || values_of(&held.bytes))?;
        Ok(Fields {
            held,
            values: Values::Json(Box::new(places)),
            max_batch,
            far_looks,
        })
    }

    /// The values of a field of a form, or where the JSON object has its text.
    fn given(&self, name: &str, expected: &str) -> Result<Given<'_>, ApiError> {
        let missing = || ApiError::parameter(format!("{name} is missing: {expected} is expected"));
        match &self.values {
            Values::Json(places) => {
                let known = NAMES.iter().position(|known| *known == name);
                let place: Option<Range<usize>> = known.and_then(|index| places[index].clone());
                let value = place.and_then(|place| self.held.bytes.get(place));
                (value.and_then(|bytes| std::str::from_utf8(bytes).ok()))
                    .map(Given::Json)
                    .ok_or_else(missing)
            }
            Values::Form(values) => {
                let given: Vec<&Value> = values.iter().filter(|value| value.name == name).collect();
                match given.is_empty() {
                    true => Err(missing()),
                    false => Ok(Given::Form(given)),
                }
            }
        }
    }

    fn get<'a, T: Deserialize<'a>>(
        name: &str,
        value: &'a str,
        expected: &str,
    ) -> Result<T, ApiError> {
        off_the_runtime(value.len(), || serde_json::from_str(value)).map_err(|e| {
            ApiError::parameter(format!("{name}: {expected} is expected ({})", short(&e)))
        })
    }

    /// A list that is given up as soon as it is too long, before the rest of it takes memory.
    fn list<'a, T: Deserialize<'a>>(
        name: &str,
        value: &'a str,
        expected: &str,
        max: usize,
    ) -> Result<Vec<T>, ApiError> {
        if !value.starts_with('[') {
            // serde would quote it, and it may be a picture.
            return Err(ApiError::parameter(format!(
                "{name}: {expected} is expected"
            )));
        }
        let read = || {
            let mut json = serde_json::Deserializer::from_str(value);
            let list = Bounded::<T>::new(max).deserialize(&mut json)?;
            json.end().map(|()| list)
        };
        off_the_runtime(value.len(), read).map_err(|e| {
            ApiError::parameter(format!("{name}: {expected} is expected ({})", short(&e)))
        })
    }

    /// `true` or `false`; a field that is not there is `false`.
    pub fn flag(&self, name: &str) -> Result<bool, ApiError> {
        let expected = "true or false";
        if !self.has(name) {
            return Ok(false);
        }
        match self.given(name, expected)? {
            Given::Json(value) => Fields::get(name, value, expected),
            Given::Form(values) => match &one(name, &values)?.text()?.to_ascii_lowercase()[..] {
                "true" | "1" => Ok(true),
                "false" | "0" => Ok(false),
                _ => Err(ApiError::parameter(format!(
                    "{name}: {expected} is expected"
                ))),
            },
        }
    }

    /// What `read` makes of a field, if it is there and not `null`.
    pub fn optional<'a, T>(
        &'a self,
        name: &str,
        read: impl FnOnce(&'a Fields, &str) -> Result<T, ApiError>,
    ) -> Result<Option<T>, ApiError> {
        match self.given(name, "anything") {
            Err(_) | Ok(Given::Json("null")) => Ok(None),
            Ok(_) => read(self, name).map(Some),
        }
    }

    /// Whether the field is there, with whatever value.
    pub fn has(&self, name: &str) -> bool {
        self.given(name, "anything").is_ok()
    }

    pub fn string(&self, name: &str) -> Result<String, ApiError> {
        let expected = "a string";
        match self.given(name, expected)? {
            Given::Json(value) => Fields::get(name, value, expected),
            Given::Form(values) => Ok(one(name, &values)?.text()?.to_owned()),
        }
    }

    /// One string for each picture of a batch.
    pub fn strings(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let expected = "a list of strings";
        match self.given(name, expected)? {
            Given::Json(value) => Fields::list(name, value, expected, self.max_batch),
            Given::Form(values) => {
                let texts = at_most(self.max_batch, name, &values)?.iter();
                texts.map(|value| value.text().map(str::to_owned)).collect()
            }
        }
    }

    /// A list of names, or one string for a list of one.
    pub fn string_or_strings(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let expected = "a list of strings ([] for all)";
        match self.given(name, expected)? {
            Given::Json(value) if !value.starts_with('"') => {
                Fields::list(name, value, expected, MAX_NAMES)
            }
            _ => Ok(vec![self.string(name)?]),
        }
    }

    /// A whole number from 0; what does not fit is the largest that does.
    pub fn index(&self, name: &str) -> Result<usize, ApiError> {
        let expected = "a whole number from 0";
        let digits = match self.given(name, expected)? {
            Given::Json(value) => value,
            Given::Form(values) => one(name, &values)?.text()?,
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(ApiError::parameter(format!(
                "{name}: {expected} is expected"
            )));
        }
        Ok(digits.parse().unwrap_or(usize::MAX))
    }

    /// A whole number from 1; what does not fit in 64 bits is the largest that does.
    pub fn positive_integer(&self, name: &str) -> Result<u64, ApiError> {
        let expected = "a whole number from 1";
        let wrong = || ApiError::parameter(format!("{name}: {expected} is expected"));
        let digits = match self.given(name, expected)? {
            Given::Json(value) => value,
            Given::Form(values) => one(name, &values)?.text()?,
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        match digits.parse::<u64>() {
            Ok(0) => Err(wrong()),
            Ok(number) => Ok(number),
            Err(_) => Ok(u64::MAX),
        }
    }

    /// A picture, to be looked at as far if the field `far` says so.
    pub fn picture(&self, name: &str) -> Result<EncodedPicture, ApiError> {
        let expected = "a picture as a base64 string";
        let file = match self.given(name, expected)? {
            Given::Json(value) => self.base64(Fields::get(name, value, expected)?),
            Given::Form(values) => one(name, &values)?.file(),
        };
        let far = self.far(1)?;
        Ok(EncodedPicture { file, far })
    }

    pub fn pictures(&self, name: &str) -> Result<Vec<EncodedPicture>, ApiError> {
        let expected = "a list of pictures as base64 strings";
        let files: Vec<EncodedFile> = match self.given(name, expected)? {
            Given::Json(value) => {
                let texts: Vec<Text<'_>> = Fields::list(name, value, expected, self.max_batch)?;
                texts.into_iter().map(|text| self.base64(text)).collect()
            }
            Given::Form(values) => (at_most(self.max_batch, name, &values)?.iter())
                .map(|value| value.file())
                .collect(),
        };
        let far = self.far(files.len())?;
        Ok((files.into_iter())
            .map(|file| EncodedPicture { file, far })
            .collect())
    }

    /// Whether `pictures` are to be looked at in tiles.
    fn far(&self, pictures: usize) -> Result<bool, ApiError> {
        let asked = self.flag("far")?;
        if asked && self.far_looks == FarLooks::Off {
            return Err(ApiError::parameter(
                "far: false is expected, recognition.far is \"off\" here",
            ));
        }
        if asked && pictures > MAX_FAR_PICTURES {
            return Err(ApiError::parameter(format!(
                "far: at most {MAX_FAR_PICTURES} pictures a request, these are {pictures}"
            )));
        }
        Ok(asked)
    }

    /// Shares the body's memory where the string has no escapes.
    fn base64(&self, text: Text<'_>) -> EncodedFile {
        EncodedFile::Base64(match text.0 {
            Cow::Borrowed(text) => self.held.bytes.slice_ref(text.as_bytes()),
            Cow::Owned(text) => Bytes::from(text),
        })
    }
}

/// What a request has of a field.
enum Given<'a> {
    /// JSON text.
    Json(&'a str),
    /// One value or more.
    Form(Vec<&'a Value>),
}

fn one<'a>(name: &str, values: &[&'a Value]) -> Result<&'a Value, ApiError> {
    match values {
        [value] => Ok(value),
        several => Err(ApiError::parameter(format!(
            "{name}: one is expected, these are {}",
            several.len()
        ))),
    }
}

fn at_most<'a, 'b>(
    max: usize,
    name: &str,
    values: &'b [&'a Value],
) -> Result<&'b [&'a Value], ApiError> {
    match values.len() > max {
        true => Err(ApiError::parameter(format!(
            "{name}: a list of at most {max} is expected, these are {}",
            values.len()
        ))),
        false => Ok(values),
    }
}

/// Runs `work` on `bytes` of text; a large text is read where it does not hold up other requests.
fn off_the_runtime<R>(bytes: usize, work: impl FnOnce() -> R) -> R {
    match bytes > 256 << 10 {
        true => tokio::task::block_in_place(work),
        false => work(),
    }
}
