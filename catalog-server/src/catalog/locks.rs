//! Queues of commits, one for each table: whoever comes first goes first, and no metadata file is written in
//! vain because of a neighbour in the same process. Across processes the swap of the pointer decides.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as Queue, OwnedMutexGuard};
use uuid::Uuid;

/// See the module.
#[derive(Default)]
pub(super) struct Locks(Mutex<HashMap<Uuid, Weak<Queue<()>>>>);

/// Entries that are swept when there are more than this and twice as many as live ones.
const SWEEP_ABOVE: usize = 1_024;

/// Turns held until they are dropped.
pub(super) struct Turns {
    _guards: Vec<OwnedMutexGuard<()>>,
    /// Whether somebody else had a turn first, so that what was read before may be old.
    pub(super) waited: bool,
}

impl Locks {
    /// Waits for the turn of every id, in the order of ids so that two callers cannot wait for each other.
    pub(super) async fn take(&self, mut ids: Vec<Uuid>) -> Turns {
        ids.sort_unstable();
        ids.dedup();
        let mut guards = Vec::with_capacity(ids.len());
        let mut waited = false;
        for id in ids {
            let queue = self.queue(id);
            if let Ok(guard) = queue.clone().try_lock_owned() {
                guards.push(guard);
            } else {
                waited = true;
                guards.push(queue.lock_owned().await);
            }
        }
        Turns { _guards: guards, waited }
    }

    fn queue(&self, id: Uuid) -> Arc<Queue<()>> {
        // The map is whole even if a thread died while holding it: every step below is one insertion or sweep.
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(&id).and_then(Weak::upgrade) {
            return queue;
        }
        if queues.len() >= SWEEP_ABOVE && queues.len() == queues.capacity() {
            queues.retain(|_, queue| queue.strong_count() > 0);
        }
        let queue = Arc::new(Queue::new(()));
        queues.insert(id, Arc::downgrade(&queue));
        queue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_same_table_queues_and_others_do_not() {
        let locks = Locks::default();
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let held = locks.take(vec![one]).await;
        assert!(!held.waited);
        assert!(!locks.take(vec![two, two]).await.waited);
        let mut second = Box::pin(locks.take(vec![two, one]));
        assert!(futures::poll!(&mut second).is_pending());
        drop(held);
        assert!(second.await.waited);
    }

    #[tokio::test]
    async fn forgotten_tables_are_swept() {
        let locks = Locks::default();
        for id in 0..100_000 {
            drop(locks.take(vec![Uuid::from_u128(id)]).await);
        }
        assert!(locks.0.lock().unwrap().len() < 10_000);
    }
}
