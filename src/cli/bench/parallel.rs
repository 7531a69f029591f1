//! Working through a list of files on every core.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

use super::Failure;

/// Results of `work` for each item, in order. Each thread has a state of its own from `make`; the
/// progress is shown on stderr if that is a terminal.
pub fn map<T, S, R>(
    what: &str,
    items: &[T],
    make: impl Fn() -> Result<S, Failure> + Sync,
    work: impl Fn(&mut S, &T) -> Result<R, Failure> + Sync,
) -> Result<Vec<R>, Failure>
where
    T: Sync,
    R: Send,
{
    let bar = progress_bar(what, items.len());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, R)>> = Mutex::default();
    let run = || -> Result<(), Failure> {
        let mut state = make()?;
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else {
                return Ok(());
            };
            let result = work(&mut state, item).inspect_err(|_| {
                // The others need not go on.
                next.store(items.len(), Ordering::Relaxed);
            })?;
            done.lock()
                .unwrap_or_else(|e| e.into_inner())
                .push((index, result));
            bar.inc(1);
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        (threads.into_iter()).try_for_each(|thread| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    bar.finish_and_clear();
    let mut done = done.into_inner().unwrap_or_else(|e| e.into_inner());
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

/// A bar on stderr, invisible where that is no terminal.
pub fn progress_bar(what: &str, length: usize) -> ProgressBar {
    let bar = ProgressBar::new(length as u64).with_message(what.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {eta}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}
