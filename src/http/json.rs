//! Fields that come as a JSON object.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::arrived::before_text;
use super::error::ApiError;
use super::fields::NAMES;

/// A string that borrows from the body where it can (serde copies a plain `Cow` inside a list).
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// A list of at most `max` entries.
pub(super) struct Bounded<T> {
    max: usize,
    entry: PhantomData<T>,
}

impl<T> Bounded<T> {
    pub(super) fn new(max: usize) -> Bounded<T> {
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

/// Where in a body the value of each of [`NAMES`] is.
pub(super) type Places = [Option<Range<usize>>; NAMES.len()];

/// Finds the values of [`NAMES`] in the object `body`.
pub(super) fn values_of(body: &[u8]) -> Result<Places, ApiError> {
    struct Object<'a>(&'a [u8]);

    impl<'de> Visitor<'de> for Object<'_> {
        type Value = Places;

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

    let text = std::str::from_utf8(&body[before_text(body)..]).map_err(|e| {
        ApiError::parameter(format!(
            "the JSON object is not UTF-8: {e}: encode it as UTF-8"
        ))
    })?;
    let mut json = serde_json::Deserializer::from_str(text);
    (json.deserialize_map(Object(body)))
        .and_then(|values| json.end().map(|()| values))
        .map_err(|e| ApiError::parameter(format!("the body is not a JSON object: {}", short(&e))))
}

/// serde quotes the value it did not expect, which may be a whole picture.
pub(super) fn short(e: &serde_json::Error) -> String {
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
