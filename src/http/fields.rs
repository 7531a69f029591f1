//! The fields of a request's JSON object.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::body::Held;
use super::error::ApiError;
use super::router::AppState;
use crate::engine::EncodedPicture;
use crate::recognition::FarLooks;

/// Pictures of a batch that are looked at in tiles: those take seconds on a small board, while others wait.
const MAX_FAR_PICTURES: usize = 16;

/// Fields that endpoints know. Everything else in a body is skipped without being kept.
const NAMES: [&str; 15] = [
    "after",
    "collection_name",
    "disagreements",
    "duplicates",
    "face_image",
    "face_image1",
    "face_image2",
    "far",
    "feature",
    "limit",
    "liveness",
    "open",
    "target_id",
    "template_space",
    "top_k",
];
/// Names a request may list.
const MAX_NAMES: usize = 1000;

/// The JSON object of a request's body, read in GET and POST alike, whatever its content type.
pub struct Fields {
    held: Held,
    /// Where in the body the value of each of [`NAMES`] is.
    values: [Option<Range<usize>>; NAMES.len()],
    /// Pictures of a batch.
    max_batch: usize,
    far_looks: FarLooks,
}

impl FromRequest<AppState> for Fields {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Fields, ApiError> {
        let held = state.body.read(request).await?;
        Fields::parse(held, state.engine.max_batch(), state.engine.far_looks())
    }
}

impl Fields {
    fn parse(held: Held, max_batch: usize, far_looks: FarLooks) -> Result<Fields, ApiError> {
        let values = off_the_runtime(held.bytes.len(), || values_of(&held.bytes))?;
        Ok(Fields {
            held,
            values,
            max_batch,
            far_looks,
        })
    }

    /// The text of a value.
    fn raw(&self, name: &str, expected: &str) -> Result<&str, ApiError> {
        let known = NAMES.iter().position(|known| *known == name);
        let range = known.and_then(|index| self.values[index].clone());
        let value = range.and_then(|range| self.held.bytes.get(range));
        (value.and_then(|bytes| std::str::from_utf8(bytes).ok())).ok_or_else(|| {
            ApiError::parameter(format!("{name} is missing: {expected} is expected"))
        })
    }

    fn get<'a, T: Deserialize<'a>>(&'a self, name: &str, expected: &str) -> Result<T, ApiError> {
        let value = self.raw(name, expected)?;
        off_the_runtime(value.len(), || serde_json::from_str(value)).map_err(|e| {
            ApiError::parameter(format!("{name}: {expected} is expected ({})", short(&e)))
        })
    }

    /// A list that is given up as soon as it is too long, before the rest of it takes memory.
    fn list<'a, T: Deserialize<'a>>(
        &'a self,
        name: &str,
        expected: &str,
        max: usize,
    ) -> Result<Vec<T>, ApiError> {
        let value = self.raw(name, expected)?;
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
        match self.has(name) {
            true => self.get(name, "true or false"),
            false => Ok(false),
        }
    }

    /// What `read` makes of a field, if it is there and not `null`.
    pub fn optional<'a, T>(
        &'a self,
        name: &str,
        read: impl FnOnce(&'a Fields, &str) -> Result<T, ApiError>,
    ) -> Result<Option<T>, ApiError> {
        match self.has(name) && self.raw(name, "anything")? != "null" {
            true => read(self, name).map(Some),
            false => Ok(None),
        }
    }

    /// Whether the field is there, with whatever value.
    fn has(&self, name: &str) -> bool {
        let known = NAMES.iter().position(|known| *known == name);
        known.is_some_and(|index| self.values[index].is_some())
    }

    pub fn string(&self, name: &str) -> Result<String, ApiError> {
        self.get(name, "a string")
    }

    /// One string for each picture of a batch.
    pub fn strings(&self, name: &str) -> Result<Vec<String>, ApiError> {
        self.list(name, "a list of strings", self.max_batch)
    }

    /// A list of names, or one string for a list of one.
    pub fn string_or_strings(&self, name: &str) -> Result<Vec<String>, ApiError> {
        let expected = "a list of strings ([] for all)";
        match self.raw(name, expected)?.starts_with('"') {
            true => Ok(vec![self.string(name)?]),
            false => self.list(name, expected, MAX_NAMES),
        }
    }

    /// A whole number from 1; what does not fit in 64 bits is the largest that does.
    pub fn positive_integer(&self, name: &str) -> Result<u64, ApiError> {
        let expected = "a whole number from 1";
        let wrong = || ApiError::parameter(format!("{name}: {expected} is expected"));
        let digits = self.raw(name, expected)?;
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
        let text: Text<'_> = self.get(name, "a picture as a base64 string")?;
        Ok(self.encoded(text, self.far(1)?))
    }

    pub fn pictures(&self, name: &str) -> Result<Vec<EncodedPicture>, ApiError> {
        let expected = "a list of pictures as base64 strings";
        let texts: Vec<Text<'_>> = self.list(name, expected, self.max_batch)?;
        let far = self.far(texts.len())?;
        Ok((texts.into_iter())
            .map(|text| self.encoded(text, far))
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
    fn encoded(&self, text: Text<'_>, far: bool) -> EncodedPicture {
        let text = match text.0 {
            Cow::Borrowed(text) => self.held.bytes.slice_ref(text.as_bytes()),
            Cow::Owned(text) => Bytes::from(text),
        };
        EncodedPicture { text, far }
    }
}

/// A string that borrows from the body where it can (serde copies a plain `Cow` inside a list).
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A list of at most `max` entries.
struct Bounded<T> {
    max: usize,
    entry: PhantomData<T>,
}

impl<T> Bounded<T> {
    fn new(max: usize) -> Bounded<T> {
        Bounded {
            max,
            entry: PhantomData,
        }
    }
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Bounded<T> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Vec<T>, D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {}", self.max)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element()? {
            if list.len() == self.max {
                return Err(A::Error::custom(format!("it has more than {}", self.max)));
            }
            list.push(entry);
        }
        Ok(list)
    }
}

/// Finds the values of [`NAMES`] in the object `body`.
fn values_of(body: &[u8]) -> Result<[Option<Range<usize>>; NAMES.len()], ApiError> {
    struct Object<'a>(&'a [u8]);

    impl<'de> Visitor<'de> for Object<'_> {
        type Value = [Option<Range<usize>>; NAMES.len()];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut values = Self::Value::default();
            while let Some(key) = map.next_key::<Text<'de>>()? {
                match NAMES.iter().position(|name| *name == key.0) {
                    None => {
                        map.next_value::<IgnoredAny>()?;
                    }
                    Some(index) => {
                        let value = map.next_value::<&RawValue>()?.get();
                        let start = value.as_ptr().addr() - self.0.as_ptr().addr();
                        // Of two fields with one name the last counts.
                        values[index] = Some(start..start + value.len());
                    }
                }
            }
            Ok(values)
        }
    }

    let text = std::str::from_utf8(body)
        .map_err(|e| ApiError::parameter(format!("the body is not UTF-8: {e}")))?;
    // Some clients on Windows send a byte order mark.
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return Err(ApiError::parameter(
            "the body is empty, a JSON object is expected",
        ));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    (json.deserialize_map(Object(body)))
        .and_then(|values| json.end().map(|()| values))
        .map_err(|e| ApiError::parameter(format!("the body is not a JSON object: {}", short(&e))))
}

/// Runs `work` on `bytes` of text; a large text is read where it does not hold up other requests.
fn off_the_runtime<R>(bytes: usize, work: impl FnOnce() -> R) -> R {
    match bytes > 256 << 10 {
        true => tokio::task::block_in_place(work),
        false => work(),
    }
}

/// serde quotes the value it did not expect, which may be a whole picture.
fn short(e: &serde_json::Error) -> String {
    let text = e.to_string();
    match text.char_indices().nth(160) {
        None => text,
        Some((end, _)) => format!(
            "{}... at line {} column {}",
            &text[..end],
            e.line(),
            e.column()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::body::Reserved;

    fn parse(text: &str) -> Result<Fields, ApiError> {
        let held = Held {
            bytes: Bytes::copy_from_slice(text.as_bytes()),
            _memory: Reserved::default(),
        };
        Fields::parse(held, 3, FarLooks::Asked)
    }

    fn fields(text: &str) -> Fields {
        parse(text).unwrap()
    }

    #[test]
    fn pictures_share_the_memory_of_the_body() {
        let fields = fields(r#"{"face_image": ["AAAA", "B\/BB"]}"#);
        let pictures = fields.pictures("face_image").unwrap();
        assert_eq!(&pictures[0].text[..], b"AAAA");
        assert_eq!(&pictures[1].text[..], b"B/BB");
        let body = fields.held.bytes.as_ptr_range();
        assert!(body.contains(&pictures[0].text.as_ptr()));
        assert!(!body.contains(&pictures[1].text.as_ptr()));
    }

    #[test]
    fn whole_numbers_from_one_and_nothing_else() {
        for (text, expected) in [
            ("1", 1),
            ("100", 100),
            ("99999999999999999999999", u64::MAX),
        ] {
            let fields = fields(&format!(r#"{{"top_k": {text}}}"#));
            assert_eq!(fields.positive_integer("top_k").unwrap(), expected);
        }
        for text in [
            "0", "-1", "1.5", "1.0", "1e3", "true", "null", "\"1\"", "[1]",
        ] {
            let fields = fields(&format!(r#"{{"top_k": {text}}}"#));
            assert!(fields.positive_integer("top_k").is_err(), "{text}");
        }
    }

    #[test]
    fn the_last_of_two_equal_names_counts_and_unknown_ones_are_ignored() {
        let fields = fields(r#"{"target_id": "x", "b": [1, {"c": null}], "target_id": "y"}"#);
        assert_eq!(fields.string("target_id").unwrap(), "y");
    }

    #[test]
    fn an_optional_field_may_be_absent_or_null_but_not_wrong() {
        let read = |text: &str| fields(text).optional("after", Fields::string);
        assert_eq!(read("{}").unwrap(), None);
        assert_eq!(read(r#"{"after": null}"#).unwrap(), None);
        assert_eq!(read(r#"{"after": "x"}"#).unwrap(), Some("x".into()));
        assert!(read(r#"{"after": 7}"#).is_err());
    }

    #[test]
    fn a_body_that_is_no_object_is_refused() {
        for text in ["", "  ", "[]", "null", "{", "{\"a\":}", "\"x\"", "{} x"] {
            assert!(parse(text).is_err(), "{text}");
        }
        let deep = format!("{{\"a\": {}", "[".repeat(200_000));
        assert!(parse(&deep).is_err());
    }

    #[test]
    fn lists_end_at_their_limit() {
        let four = fields(r#"{"target_id": ["a", "b", "c", "d"], "face_image": ["A", "B", "C"]}"#);
        assert!(four.strings("target_id").is_err());
        assert_eq!(four.pictures("face_image").unwrap().len(), 3);
    }

    #[test]
    fn a_name_or_a_list_of_names() {
        for (text, names) in [
            (r#""a""#, vec!["a"]),
            (r#"["a", "b"]"#, vec!["a", "b"]),
            ("[]", vec![]),
        ] {
            let fields = fields(&format!("{{\"collection_name\": {text}}}"));
            assert_eq!(fields.string_or_strings("collection_name").unwrap(), names);
        }
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        let marked = fields("\u{feff}{\"target_id\": \"x\"}");
        assert_eq!(marked.string("target_id").unwrap(), "x");
    }
}
