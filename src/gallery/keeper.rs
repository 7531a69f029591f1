//! The thread that looks after a gallery while it serves: compaction when journals are long, a daily reading of everything.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::gallery::Gallery;

/// How often it looks whether a journal has become long.
const LOOK: Duration = Duration::from_secs(1);

/// The first scrub waits until the daemon has settled; then one a day finds what a card forgets.
const FIRST_SCRUB: Duration = Duration::from_secs(600);
const SCRUB: Duration = Duration::from_secs(24 * 3600);

/// How often it looks whether what was set aside has been there for long enough.
const QUARANTINE: Duration = Duration::from_secs(3600);

/// Looks after a gallery until it is dropped.
pub struct Keeper {
    gallery: Arc<Gallery>,
    stopped: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system gives no thread.
    pub fn start(gallery: Arc<Gallery>) -> std::io::Result<Keeper> {
        // The keeper before may have stopped it.
        gallery.resume_tending();
        let stopped = Arc::new((Mutex::new(false), Condvar::new()));
        let thread = {
            let (gallery, stopped) = (Arc::clone(&gallery), Arc::clone(&stopped));
            thread::Builder::new()
                .name("keeper".to_owned())
                .spawn(move || keep(&gallery, &stopped))?
        };
        Ok(Keeper {
            gallery,
            stopped,
            thread: Some(thread),
        })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        *(self.stopped.0.lock()).unwrap_or_else(PoisonError::into_inner) = true;
        self.stopped.1.notify_all();
        self.gallery.stop_tending();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Lets this thread work only when no search wants the processor. What the system refuses is no harm.
pub fn step_back() {
    const NICE: libc::c_int = 10;
    // SAFETY: the call touches no memory. On Linux 0 means the calling thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
}

fn keep(gallery: &Gallery, stopped: &(Mutex<bool>, Condvar)) {
    step_back();
    let mut next_scrub = Instant::now() + FIRST_SCRUB;
    let mut next_quarantine = Instant::now() + QUARANTINE;
    loop {
        {
            let stop = stopped.0.lock().unwrap_or_else(PoisonError::into_inner);
            let (stop, _) = stopped
                .1
                .wait_timeout_while(stop, LOOK, |stop| !*stop)
                .unwrap_or_else(PoisonError::into_inner);
            if *stop {
                return;
            }
        }
        gallery.tend();
        if Instant::now() >= next_quarantine {
            gallery.erase_old_quarantines();
            next_quarantine = Instant::now() + QUARANTINE;
        }
        if Instant::now() >= next_scrub {
            gallery.scrub();
            next_scrub = Instant::now() + SCRUB;
        }
    }
}
