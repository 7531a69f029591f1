//! Values in lines of the log: in one line, without anything that a terminal obeys, and never longer than somebody reads.

use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::debug_fn;

use crate::shown::{MOST_LOGGED, display};

/// The message as it is, the other fields as `name=value`; [`display`] has the last word on each.
pub fn one_line() -> impl for<'w> FormatFields<'w> + Send + Sync + 'static {
    debug_fn(|writer, field, value| {
        let value = display(format_args!("{value:?}"), MOST_LOGGED);
        match field.name() {
            "message" => write!(writer, "{value}"),
            // Names in italics and a dim sign, as the library writes them at a terminal.
            name if writer.has_ansi_escapes() => {
                write!(writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m{value}")
            }
            name => write!(writer, "{name}={value}"),
        }
    })
    .delimited(" ")
}
