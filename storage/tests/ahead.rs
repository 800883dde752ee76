//! Reads ahead of their use, and writes behind it: order, limits, errors, and the time that they save.

#![expect(clippy::unwrap_used, reason = "a case fails where what it counts on does not hold")]

use std::fmt;
use std::io::Write as _;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use proptest::prelude::*;
use storage::error::StorageError;
use storage::faults::{Faults, Faulty, Operation, injected};
use storage::local::LocalStore;
use storage::metered::Metered;
use storage::place::Place;
use storage::read_ahead::{Concurrency, ReadAhead, ReadRequest, coalesce};
use storage::scope::{Reads, Scope};
use storage::store::Store;
use storage::stores::Stores;
use storage::upload::Uploader;
use table_core::location::Location;
use tokio::runtime::Runtime;

/// Counts how many requests are in flight, and fails those whose place ends with a text.
#[derive(Default)]
struct Watch {
    now: AtomicUsize,
    most: AtomicUsize,
    all: AtomicUsize,
    failing: Option<(Operation, &'static str)>,
    part_bytes: Option<usize>,
}

#[async_trait]
impl Faults for Watch {
    async fn before(&self, operation: Operation, place: &Place) -> Result<(), StorageError> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        self.all.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(2)).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        match self.failing {
            Some((failing, end)) if failing == operation && place.as_str().ends_with(end) => {
                Err(injected(place))
            }
            _ => Ok(()),
        }
    }

    fn part_bytes(&self) -> Option<usize> {
        self.part_bytes
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Watch").finish_non_exhaustive()
    }
}

fn stores() -> Arc<dyn Store> {
    Arc::new(Stores::new(LocalStore::new(8, Duration::from_secs(60))).with_memory())
}

fn place(name: &str) -> Place {
    let own = Location::parse("memory://w").unwrap();
    Scope::new(Vec::new(), vec![own], Reads::Own).write(&format!("memory://w/{name}")).unwrap()
}

/// Writes files `0`, `1`, …, whose content is their number, eight bytes long.
fn numbered(runtime: &Runtime, store: &Arc<dyn Store>, count: usize) {
    for number in 0..count {
        let content = format!("{number:08}").into();
        runtime.block_on(store.write_new(&place(&number.to_string()), content)).unwrap();
    }
}

fn requests(count: usize) -> impl Iterator<Item = Result<ReadRequest, String>> {
    (0..count).map(|number| {
        Ok(ReadRequest { place: place(&number.to_string()), range: None, expected_bytes: 8, limit_bytes: 9 })
    })
}

#[test]
fn results_come_in_order_within_the_limits() {
    let runtime = Runtime::new().unwrap();
    let store = stores();
    numbered(&runtime, &store, 100);
    for (reads_max, bytes_max, most) in
        [(1, 0, 1), (8, 1 << 20, 8), (8, 24, 3), (8, 1, 1), (200, 1 << 20, 100)]
    {
        let watch = Arc::new(Watch::default());
        let concurrency = Concurrency { reads_max, bytes_max, parts_max: 1 };
        let watched: Arc<dyn Store> = Arc::new(Faulty::new(store.clone(), watch.clone()));
        let ahead = ReadAhead::new(watched, runtime.handle().clone(), concurrency, requests(100));
        for (number, read) in ahead.enumerate() {
            assert_eq!(read.unwrap().unwrap(), format!("{number:08}"));
        }
        assert_eq!(watch.all.load(Ordering::SeqCst), 100);
        let seen = watch.most.load(Ordering::SeqCst);
        assert!(seen <= most && (seen > 1) == (most > 1), "{seen} at once, at most {most}");
    }
}

#[test]
fn errors_keep_their_place() {
    let runtime = Runtime::new().unwrap();
    let store = stores();
    numbered(&runtime, &store, 5);
    for reads_max in [1, 4] {
        let watch = Watch { failing: Some((Operation::Read, "/3")), ..Watch::default() };
        let faulty: Arc<dyn Store> = Arc::new(Faulty::new(store.clone(), Arc::new(watch)));
        let concurrency = Concurrency { reads_max, bytes_max: 99, parts_max: 1 };
        let mut number = 0;
        let with_error = requests(5).map(|request| {
            number += 1;
            if number == 3 { Err("no".to_owned()) } else { request }
        });
        let mut results = Vec::new();
        for read in ReadAhead::new(faulty, runtime.handle().clone(), concurrency, with_error) {
            results.push(match read {
                Ok(Ok(bytes)) => String::from_utf8_lossy(&bytes).trim_start_matches("0000000").to_owned(),
                Ok(Err(_)) => "failed".to_owned(),
                Err(error) => error,
            });
        }
        assert_eq!(results, ["0", "1", "no", "failed", "4"], "{reads_max}");
    }
}

#[test]
fn a_file_that_is_larger_than_expected_is_read_alone() {
    let runtime = Runtime::new().unwrap();
    let store = stores();
    for (size_bytes, expected_bytes, limit_bytes, reads) in [
        (1 << 20, 8, 4 << 20, 4),
        ((1 << 20) + 1, 8, 4 << 20, 8),
        (3 << 20, 8, 4 << 20, 8),
        (3 << 20, 3 << 20, 4 << 20, 4),
        (3 << 20, 8, 2 << 20, 8),
        (3 << 20, 8, 1 << 20, 4),
    ] {
        let requests = |part: &str| {
            let part = format!("{part}/{size_bytes}-{expected_bytes}-{limit_bytes}");
            (0..4).map(move |number| {
                let place = place(&format!("{part}/{number}"));
                Ok::<_, String>(ReadRequest { place, range: None, expected_bytes, limit_bytes })
            })
        };
        for request in requests("large") {
            runtime.block_on(store.write_new(&request.unwrap().place, vec![7; size_bytes].into())).unwrap();
        }
        let metered = Metered::new(store.clone(), None);
        let concurrency = Concurrency { reads_max: 4, bytes_max: 32 << 20, parts_max: 1 };
        let watched = Arc::new(metered.clone());
        let ahead = ReadAhead::new(watched, runtime.handle().clone(), concurrency, requests("large"));
        for read in ahead {
            match read.unwrap() {
                Ok(bytes) => assert_eq!(bytes.len(), size_bytes),
                Err(StorageError::TooLarge { limit_bytes: limit, .. }) => {
                    assert!(limit == limit_bytes && size_bytes > limit_bytes, "{limit}");
                }
                Err(error) => panic!("{error}"),
            }
        }
        // Nothing large was transferred in vain.
        let transferred = if size_bytes <= limit_bytes { 4 * size_bytes as u64 } else { 0 };
        let usage = metered.usage();
        assert_eq!((usage.requests, usage.bytes_read), (reads, transferred), "{size_bytes}");
    }
}

#[test]
fn the_reads_of_a_dropped_iterator_come_to_their_end() {
    let runtime = Runtime::new().unwrap();
    let store = stores();
    numbered(&runtime, &store, 9);
    let watch = Arc::new(Watch::default());
    let watched: Arc<dyn Store> = Arc::new(Faulty::new(store, watch.clone()));
    let mut ahead = ReadAhead::new(watched, runtime.handle().clone(), Concurrency::default(), requests(9));
    ahead.next().unwrap().unwrap().unwrap();
    drop(ahead);
    let mut attempts = 0;
    while Arc::strong_count(&watch) > 1 {
        attempts += 1;
        assert!(attempts < 10_000, "reads have no end");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!((watch.all.load(Ordering::SeqCst), watch.now.load(Ordering::SeqCst)), (9, 0));
}

#[test]
fn a_dropped_iterator_or_file_leaves_its_disk_in_use() {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let at = format!("file://{}", folder.path().display());
    let scope = Scope::new(Vec::new(), vec![Location::parse(&at).unwrap()], Reads::Own);
    let local = |name: &str| scope.write(&format!("{at}/{name}")).unwrap();
    // One cancelled operation is enough for the only thread to be missed.
    let store: Arc<dyn Store> = Arc::new(LocalStore::new(1, Duration::from_secs(60)));
    let requests = || {
        (0..32).map(|number| {
            let place = local(&number.to_string());
            Ok::<_, String>(ReadRequest { place, range: None, expected_bytes: 8, limit_bytes: 9 })
        })
    };
    for request in requests() {
        runtime.block_on(store.write_new(&request.unwrap().place, "content".into())).unwrap();
    }
    let handle = runtime.handle().clone();
    let mut ahead = ReadAhead::new(store.clone(), handle.clone(), Concurrency::default(), requests());
    ahead.next().unwrap().unwrap().unwrap();
    drop(ahead);
    assert_eq!(runtime.block_on(store.read(&local("5"), 9)).unwrap(), "content");
    let small_parts = Watch { part_bytes: Some(1), ..Watch::default() };
    let faulty = Arc::new(Faulty::new(store.clone(), Arc::new(small_parts)));
    let concurrency = Concurrency { parts_max: 32, ..Concurrency::SEQUENTIAL };
    let mut upload = Uploader::new(faulty, handle, concurrency, local("new"));
    upload.write_all(&[7; 32]).unwrap();
    drop(upload);
    assert_eq!(runtime.block_on(store.read(&local("5"), 9)).unwrap(), "content");
}

#[test]
fn a_file_is_written_in_parts_or_at_once() {
    let runtime = Runtime::new().unwrap();
    let content: Vec<u8> = (0..20_u32 << 20).map(|byte| (byte % 251) as u8).collect();
    for parts_max in [1, 3] {
        for (name, size, requests) in [("none", 0, 1), ("small", 1_000, 1), ("large", content.len(), 3)] {
            let store = stores();
            let watch = Arc::new(Watch::default());
            let watched: Arc<dyn Store> = Arc::new(Faulty::new(store.clone(), watch.clone()));
            let concurrency = Concurrency { parts_max, ..Concurrency::SEQUENTIAL };
            let mut upload = Uploader::new(watched, runtime.handle().clone(), concurrency, place(name));
            for part in content[..size].chunks(100_001) {
                upload.write_all(part).unwrap();
            }
            upload.finish().unwrap();
            let read = runtime.block_on(store.read(&place(name), 1 << 30)).unwrap();
            assert!(read == content[..size], "{name}");
            // Creation, three parts of 8 MiB at most, and the end.
            let expected = if requests == 1 { 1 } else { 5 };
            assert_eq!(watch.all.load(Ordering::SeqCst), expected, "{name}");
        }
    }
}

#[test]
fn parts_in_flight_are_limited() {
    let runtime = Runtime::new().unwrap();
    for parts_max in [1, 2, 3] {
        let watch = Arc::new(Watch { part_bytes: Some(10), ..Watch::default() });
        let store = stores();
        let watched: Arc<dyn Store> = Arc::new(Faulty::new(store.clone(), watch.clone()));
        let concurrency = Concurrency { parts_max, ..Concurrency::SEQUENTIAL };
        let mut upload = Uploader::new(watched, runtime.handle().clone(), concurrency, place("parts"));
        upload.write_all(&[7; 95]).unwrap();
        upload.finish().unwrap();
        assert_eq!(runtime.block_on(store.read(&place("parts"), 99)).unwrap(), [7; 95].as_slice());
        assert_eq!(watch.all.load(Ordering::SeqCst), 12);
        let seen = watch.most.load(Ordering::SeqCst);
        assert!(seen <= parts_max && (seen > 1) == (parts_max > 1), "{seen} at once, at most {parts_max}");
    }
}

#[test]
fn a_part_that_cannot_be_written_fails_the_file() {
    let runtime = Runtime::new().unwrap();
    for failing in [Operation::Create, Operation::WritePart, Operation::Finish] {
        for parts_max in [1, 3] {
            let watch = Watch { failing: Some((failing, "/x")), ..Watch::default() };
            let store = stores();
            let faulty: Arc<dyn Store> = Arc::new(Faulty::new(store.clone(), Arc::new(watch)));
            let concurrency = Concurrency { parts_max, ..Concurrency::SEQUENTIAL };
            let mut upload = Uploader::new(faulty, runtime.handle().clone(), concurrency, place("x"));
            let content = vec![7; 1 << 20];
            let written = (0..40).try_for_each(|_| upload.write_all(&content));
            let finished = upload.finish();
            assert!(written.is_err() || failing == Operation::Finish, "{failing:?}");
            assert!(finished.is_err(), "{failing:?}");
            assert!(runtime.block_on(store.read(&place("x"), 1 << 30)).is_err(), "{failing:?}");
        }
    }
}

proptest! {
    #[test]
    fn coalesced_ranges_contain_all_and_do_not_overlap(
        ranges in prop::collection::vec((0_u64..40 << 20, 0_u64..9 << 20), 0..40)
    ) {
        let ranges: Vec<Range<u64>> = ranges.into_iter().map(|(start, length)| start..start + length).collect();
        let joined = coalesce(&ranges);
        for range in ranges.iter().filter(|range| !range.is_empty()) {
            prop_assert!(joined.iter().any(|one| one.start <= range.start && range.end <= one.end));
        }
        for pair in joined.windows(2) {
            prop_assert!(pair[0].end <= pair[1].start);
        }
        // Nothing is read that is not near a range.
        let asked: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        let read: u64 = joined.iter().map(|range| range.end - range.start).sum();
        prop_assert!(read <= asked + (512 << 10) * ranges.len() as u64);
    }
}
