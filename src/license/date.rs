//! Times of licenses: whole seconds since 1970 UTC, written like `2027-01-31T00:00:00Z`.

use jiff::Timestamp;

/// Seconds since 1970 UTC.
pub type Seconds = u64;

pub const DAY: Seconds = 24 * 60 * 60;

/// 2200-01-01. What is later is a clock without its senses, and no date of a license.
pub const LATEST: Seconds = 7_258_118_400;

/// Whether a clock or a license may say this.
pub fn is_usable(seconds: Seconds) -> bool {
    (1..LATEST).contains(&seconds)
}

/// `2027-01-31T00:00:00Z`; a time that cannot be written so is shown as its number.
pub fn show(seconds: Seconds) -> String {
    (i64::try_from(seconds).ok())
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(|| seconds.to_string(), |time| time.to_string())
}

/// What [`show`] writes, and nothing else.
pub fn read(text: &str) -> Option<Seconds> {
    let time: Timestamp = text.parse().ok()?;
    let seconds = u64::try_from(time.as_second()).ok()?;
    (show(seconds) == text).then_some(seconds)
}

/// Whole days of a span, begun ones included.
pub fn days(seconds: Seconds) -> String {
    match seconds.div_ceil(DAY) {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    }
}
