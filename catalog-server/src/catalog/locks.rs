//! Queues of commits, one for each table: commits in the same process proceed in order of arrival, so that
//! none writes a metadata file in vain because of another one. Between processes, the swap of the metadata
//! pointer decides.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as Queue, OwnedMutexGuard};
use uuid::Uuid;

/// Queues of commits by table or view.
#[derive(Default)]
pub(super) struct Locks(Mutex<HashMap<Uuid, Weak<Queue<()>>>>);

/// Minimum number of entries in the map before unused ones are removed; they are removed when it is full.
const SWEEP_ABOVE: usize = 1_024;

/// Positions at the head of one or more queues; released when dropped.
pub(super) struct QueueHeads {
    _guards: Vec<OwnedMutexGuard<()>>,
    /// `true` if another commit was ahead in a queue, so that data read before may be outdated.
    pub(super) waited: bool,
}

impl Locks {
    /// Waits for the queue of every id, in the order of the ids, so that no deadlock is possible.
    pub(super) async fn take(&self, mut ids: Vec<Uuid>) -> QueueHeads {
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
        QueueHeads { _guards: guards, waited }
    }

    fn queue(&self, id: Uuid) -> Arc<Queue<()>> {
        // A poisoned map is still consistent: every step below is a single insertion or sweep.
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
