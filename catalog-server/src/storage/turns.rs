//! Turns at what takes all of a core and much memory, such as decompressing and decoding a file of somebody else: as many as there
//! are cores. A small file may say that it is a large one, and whoever has many of them read at once gets no more than that.

use std::num::NonZero;

use tokio::sync::{Semaphore, SemaphorePermit};

/// Hands out turns, in the order in which they are asked for.
pub(super) struct Turns(Semaphore);

impl Turns {
    pub(super) fn per_core() -> Turns {
        Turns(Semaphore::new(std::thread::available_parallelism().map_or(1, NonZero::get)))
    }

    /// Waits for a turn, which ends when it is dropped.
    pub(super) async fn take(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed, so there always is a turn.
        self.0.acquire().await.ok()
    }
}
