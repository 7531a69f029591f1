//! Logs: to stderr, for a person at a terminal or for the journal.

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Starts logging to stderr. `RECOCOMP_LOG` sets the filter (`info` if absent), in the syntax of
/// tracing's `EnvFilter`.
///
/// Under systemd each line starts with its priority (`<6>`), see sd-daemon(3).
pub fn start() {
    let wanted = std::env::var("RECOCOMP_LOG").unwrap_or_else(|_| "info".into());
    let filter = EnvFilter::try_new(&wanted).unwrap_or_else(|e| {
        eprintln!("RECOCOMP_LOG={wanted} is no filter ({e}), taken as info");
        EnvFilter::new("info")
    });
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // A second start (tests in one process) keeps the first.
    let _ = match journal {
        true => builder
            .with_ansi(false)
            .event_format(Prioritised(
                tracing_subscriber::fmt::format()
                    .without_time()
                    .with_level(false),
            ))
            .try_init(),
        false => {
            use std::io::IsTerminal;
            let ansi = std::io::stderr().is_terminal();
            builder.with_ansi(ansi).with_target(false).try_init()
        }
    };
}

/// A panic becomes one error line of the log, with the place it happened.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string);
        let message = info
            .payload_as_str()
            .unwrap_or("a panic with a payload that is no text");
        tracing::error!(place, "panicked: {message}");
    }));
}

struct Prioritised(Format<Full, ()>);

impl<S, N> FormatEvent<S, N> for Prioritised
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        write!(writer, "<{priority}>")?;
        self.0.format_event(context, writer, event)
    }
}
