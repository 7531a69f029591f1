//! Fields of JSON objects, right and wrong.

use super::*;

fn parse(text: &str) -> Result<Fields, ApiError> {
    let held = Held {
        bytes: Bytes::copy_from_slice(text.as_bytes()),
        _memory: None,
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
    let texts: Vec<Bytes> = (pictures.into_iter())
        .map(|picture| match picture.file {
            EncodedFile::Base64(text) => text,
            EncodedFile::Plain(_) => panic!("JSON has base64"),
        })
        .collect();
    assert_eq!(texts, [&b"AAAA"[..], b"B/BB"]);
    let body = fields.held.bytes.as_ptr_range();
    assert!(body.contains(&texts[0].as_ptr()));
    assert!(!body.contains(&texts[1].as_ptr()));
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
fn an_index_counts_from_zero() {
    for (text, expected) in [("0", 0), ("4", 4), ("99999999999999999999999", usize::MAX)] {
        let fields = fields(&format!(r#"{{"index": {text}}}"#));
        assert_eq!(fields.index("index").unwrap(), expected);
    }
    for text in ["-1", "1.0", "true", "null", "\"1\"", "[1]"] {
        let fields = fields(&format!(r#"{{"index": {text}}}"#));
        assert!(fields.index("index").is_err(), "{text}");
    }
    assert!(fields("{}").index("index").is_err());
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
