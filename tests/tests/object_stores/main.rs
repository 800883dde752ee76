//! Firn on object stores: the stores of the `storage` crate, and warehouses of a real server, on real servers with
//! the S3 API.

#![expect(clippy::unwrap_used, reason = "a case fails if one of its assumptions is wrong")]

mod buckets;
mod warehouses;

use tests::fixture::unique;
use tests::stores::s3_server::S3Server;

/// Creates a bucket of its own and returns its name.
async fn new_bucket(server: &S3Server) -> String {
    let bucket = unique("bucket").replace('_', "-");
    server.create_bucket(&bucket).await.unwrap();
    bucket
}
