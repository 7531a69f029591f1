//! Lines for the journal of systemd, which reads them from stderr.

use std::fmt;
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{Format, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Whether stderr goes to the journal: the service manager says which file it connected to it, device and inode. Somebody may have
/// redirected stderr since, or the variable may come from a session that is not ours.
pub fn is_stderr() -> bool {
    let connected = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let stderr = std::io::stderr().as_fd().try_clone_to_owned();
    (stderr.map(File::from))
        .and_then(|stderr| stderr.metadata())
        .is_ok_and(|file| connected == format!("{}:{}", file.dev(), file.ino()))
}

/// Puts the priority before each line. The journal has the time itself.
pub struct Prioritised(Format<Full, ()>);

impl Prioritised {
    pub fn new() -> Prioritised {
        Prioritised(
            tracing_subscriber::fmt::format()
                .without_time()
                .with_level(false)
                .with_target(false),
        )
    }
}

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
        let mut text = String::new();
        (self.0).format_event(context, Writer::new(&mut text), event)?;
        // The journal takes every line for an entry of its own: without a priority before it, one in the middle of a message
        // would lose its level, and one that a message carries from outside would choose it.
        text.lines()
            .try_for_each(|line| writeln!(writer, "<{priority}>{line}"))
    }
}
