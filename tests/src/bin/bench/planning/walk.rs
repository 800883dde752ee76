//! Minimal work of scan planning: reads the manifests, decompresses them and skips over their entries,
//! without evaluating or writing anything.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ScopedJoinHandle;

use anyhow::anyhow;
use table_core::manifest::avro::{AvroCursor, Container};
use table_core::manifest::shape::AvroShape;
use tokio::time::Instant;

/// Maximum size of a decompressed manifest in bytes; more than any manifest has.
const LIMIT_BYTES: usize = 1 << 30;

/// Reads manifests on all cores, and returns the duration in milliseconds.
///
/// # Errors
///
/// Fails if a manifest cannot be read or decoded.
pub fn walk(manifests: &[PathBuf]) -> anyhow::Result<f64> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut records = Vec::new();
        while let Some(path) = manifests.get(next.fetch_add(1, Ordering::Relaxed)) {
            let bytes = fs::read(path)?;
            let mut container = Container::open(&bytes)?;
            let shape = AvroShape::parse(&container.schema)?;
            while let Some(count) = container.next_block(&mut records, LIMIT_BYTES)? {
                let mut cursor = AvroCursor::new(&records);
                for _ in 0..count {
                    shape.skip(&mut cursor)?;
                }
                records.clear();
            }
        }
        anyhow::Ok(())
    };
    let threads = std::thread::available_parallelism()?.get();
    let start = Instant::now();
    let results: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().map(ScopedJoinHandle::join).collect()
    });
    let elapsed = start.elapsed();
    for result in results {
        result.map_err(|_| anyhow!("a walker panicked"))??;
    }
    Ok(elapsed.as_secs_f64() * 1_000.0)
}
