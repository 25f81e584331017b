//! The heartbeat: a thread that does nothing else, so that a flood of events does not look like a dead loader.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::source::kernel::{Beat, KernelError};
use crate::sys::clock;

/// How often it beats.
const BEAT: Duration = Duration::from_millis(100);
/// How long the rest of the program may be busy before it counts as hanging: then the heart stops as well.
const PATIENCE: Duration = Duration::from_secs(30);

/// The beating thread; it ends with its guard.
#[derive(Debug)]
pub struct Heart {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Monotonic time at which the rest of the program was last heard of.
    alive_ns: AtomicU64,
    end: AtomicBool,
}

impl Heart {
    /// Beats from now on, the first time before it returns.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn start(mut map: Beat) -> Result<Heart, KernelError> {
        map.beat(clock::monotonic_ns())?;
        let shared = Arc::new(Shared::default());
        let mine = Arc::clone(&shared);
        shared.alive_ns.store(clock::monotonic_ns(), Ordering::Relaxed);
        let patience = PATIENCE.as_nanos() as u64;
        let thread = std::thread::spawn(move || {
            while !mine.end.load(Ordering::Relaxed) {
                let now = clock::monotonic_ns();
                if now.saturating_sub(mine.alive_ns.load(Ordering::Relaxed)) < patience
                    && let Err(e) = map.beat(now)
                {
                    tracing::error!("the heartbeat is not written, the kernel will pass everything: {e}");
                }
                std::thread::sleep(BEAT);
            }
        });
        Ok(Heart { shared, thread: Some(thread) })
    }

    /// The rest of the program is alive.
    pub fn alive(&self) {
        self.shared.alive_ns.store(clock::monotonic_ns(), Ordering::Relaxed);
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.shared.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It cannot panic; and if it did, the beat has ended all the same.
            let _ = thread.join();
        }
    }
}
