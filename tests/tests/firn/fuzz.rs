//! Short run of the fuzzer; the command `fuzz` runs longer.

use std::time::Duration;

use tests::process::{Backend, Firn};
use tests::{fixture, fuzz};

async fn invalid_requests_are_refused_without_internal_errors(backend: Backend) {
    let firn = Firn::new(backend).await;
    let mut random = fixture::random("invalid_requests_are_refused_without_internal_errors");
    let counts = fuzz::run(&firn, &mut random, Duration::from_secs(6)).await;
    let counts = counts.unwrap_or_else(|violation| panic!("{violation}"));
    assert!(counts.refused > 0 && counts.accepted > 0, "{counts:?}: not even nonsense");
}

tests::on_both_databases!(invalid_requests_are_refused_without_internal_errors);
