//! Count of the open connections.

use tokio::sync::OwnedSemaphorePermit;

/// Permit of an open connection, counted in the gauge of open connections until it is dropped.
pub(super) struct Counted {
    _place: OwnedSemaphorePermit,
    gauge: metrics::Gauge,
}

impl Counted {
    pub(super) fn new(place: OwnedSemaphorePermit) -> Self {
        let gauge = metrics::gauge!("firn_connections");
        gauge.increment(1.0);
        Self { _place: place, gauge }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.gauge.decrement(1.0);
    }
}
