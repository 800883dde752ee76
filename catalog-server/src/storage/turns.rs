//! Slots for work that needs a full core and much memory, such as decompressing and decoding files of unknown
//! origin: one slot per core. A small file may expand to a large one, so this limits the memory even if many
//! such files are requested at once.

use std::num::NonZero;

use tokio::sync::{Semaphore, SemaphorePermit};

/// Semaphore that grants slots in the order of the requests.
pub(super) struct Turns(Semaphore);

impl Turns {
    pub(super) fn per_core() -> Turns {
        Turns(Semaphore::new(std::thread::available_parallelism().map_or(1, NonZero::get)))
    }

    /// Waits for a slot. It is released when the guard is dropped.
    pub(super) async fn take(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed, so a slot is always granted.
        self.0.acquire().await.ok()
    }
}
