//! Measurement of the creation of tables, compared with a loop of one file write and one database commit.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tests::fixture;
use tests::process::{Backend, Firn};

use super::commits::{Reference, WRITERS};
use super::report::{Line, median, print};
use super::{Options, load};

/// Measures creations by one client and by several.
///
/// # Errors
///
/// Fails if the reference's database or files cannot be written, or a request fails.
pub async fn run(options: &Options, backend: Backend, firn: &Firn, floor_url: &str) -> anyhow::Result<()> {
    let reference = Reference::open(backend, firn, floor_url).await?;
    for (name, writers) in [("creation, alone", 1), ("creation, 8 clients", WRITERS)] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..options.turns {
            theirs.push(reference.rate(writers, options.turn()).await?);
            ours.push(rate(firn, "bench", writers, options.turn()).await?);
        }
        print(&Line::rate(&format!("{name}, against write + commit"), median(ours), median(theirs), 0.5));
    }
    Ok(())
}

/// Returns the number of tables that so many clients create per second.
///
/// # Errors
///
/// Fails if a request fails.
pub async fn rate(
    firn: &Firn,
    namespace: &'static str,
    clients: usize,
    duration: Duration,
) -> anyhow::Result<f64> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);

    load::rate(load::address(firn.root())?, clients, duration, move |_, _| {
        let name = format!("created{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let body = fixture::table(&name).to_string();
        load::post(&format!("/v1/main/namespaces/{namespace}/tables"), &body)
    })
    .await
}
