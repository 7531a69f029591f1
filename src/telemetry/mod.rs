//! What the outside is told: logs to stderr, for a person at a terminal or for the journal, and notifications to the service manager.

mod fields;
mod journal;
pub mod service;

use tracing_subscriber::EnvFilter;

use journal::Prioritised;

/// Starts logging to stderr. `RECOCOMP_LOG` sets the filter (`info` if absent), in the syntax of
/// tracing's `EnvFilter`.
///
/// Where stderr is the journal, each line starts with its priority (`<6>`), see sd-daemon(3).
pub fn start() {
    let wanted = std::env::var("RECOCOMP_LOG").unwrap_or_else(|_| "info".into());
    let filter = EnvFilter::try_new(&wanted).unwrap_or_else(|e| {
        eprintln!("RECOCOMP_LOG={wanted} is no filter ({e}), taken as info");
        EnvFilter::new("info")
    });
    let journal = journal::is_stderr();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .fmt_fields(fields::one_line())
        .with_writer(std::io::stderr);
    // A second start (tests in one process) keeps the first.
    let _ = match journal {
        true => builder
            .with_ansi(false)
            .event_format(Prioritised::new())
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
