//! Buckets as stores of the `storage` crate.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use storage::check::check;
use storage::endpoint::Endpoint;
use storage::error::StorageError;
use storage::files::Files;
use storage::objects::Bucket;
use storage::objects::s3::{self, ObjectEncryption, S3Credential, S3Settings};
use storage::read_ahead::Concurrency;
use storage::scope::{Reads, Scope};
use storage::store::Store;
use storage::upload::Uploader;
use table_core::location::Location;
use tests::process::run;
use tests::stores::rados_gateway::RadosGateway;
use tests::stores::s3_server::S3Server;
use tests::stores::seaweed_fs::SeaweedFs;

use super::new_bucket;

fn settings(endpoint: &str, region: &str) -> S3Settings {
    S3Settings {
        region: region.to_owned(),
        endpoint: Some(Endpoint::parse(endpoint).unwrap()),
        path_style: true,
        encryption: ObjectEncryption::Default,
        conditional_writes: true,
    }
}

fn credential(server: &S3Server) -> S3Credential {
    let keys = server.keys();
    S3Credential {
        access_key_id: keys.access_key_id.clone(),
        secret_access_key: keys.secret_access_key.clone(),
        session_token: None,
    }
}

pub(super) fn open(server: &S3Server, location: &Location) -> Bucket {
    s3::open(location, &settings(server.endpoint(), server.region()), &credential(server)).unwrap()
}

pub(super) fn files(bucket: &Bucket, root: &Location) -> Files {
    Files::new(Arc::new(bucket.clone()), Scope::new(vec![root.clone()], vec![root.clone()], Reads::Own))
}

/// Checks all operations on a new bucket.
async fn check_store(server: &S3Server) {
    let name = new_bucket(server).await;
    // Characters that a URL must escape, and an escape sequence that is a part of the name.
    let root = Location::parse_file(&format!("s3a://{name}/a b/ü=1+2&x%2Fy")).unwrap();
    let bucket = open(server, &root);
    let failed: Vec<_> =
        check(&bucket, &root, false).await.into_iter().filter(|(_, result)| result.is_err()).collect();
    assert!(failed.is_empty(), "{failed:?}");
    let files = files(&bucket, &root);
    let at = |file: &str| format!("{root}/{file}");

    let content = Bytes::from_static(b"0123456789");
    files.write_new(&at("t/one"), content.clone()).await.unwrap();
    let again = files.write_new(&at("t/one"), Bytes::new()).await;
    assert!(matches!(again, Err(StorageError::AlreadyExists(_))), "{again:?}");
    assert_eq!(files.read(&at("t/one"), 10).await.unwrap(), content);
    assert!(matches!(files.read(&at("t/one"), 9).await, Err(StorageError::TooLarge { .. })));
    assert_eq!(files.read_range(&at("t/one"), 2..5).await.unwrap(), "234");
    assert!(files.read_range(&at("t/one"), 5..15).await.is_err());
    assert!(matches!(files.read(&at("t/none"), 9).await, Err(StorageError::NotFound(_))));

    // A sibling whose name begins in the same way is neither listed nor deleted.
    files.write_new(&at("t2/one"), content.clone()).await.unwrap();
    files.write_new(&at("t/deep/two"), content.clone()).await.unwrap();
    let listed = files.list(&at("t"), 10).await.unwrap();
    assert_eq!(listed.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["one"]);
    assert_eq!(files.delete_below(&at("t"), 10).await.unwrap(), 2);
    assert_eq!(files.read(&at("t2/one"), 10).await.unwrap(), content);
    files.delete(&at("t2/one")).await.unwrap();
    files.delete(&at("t2/one")).await.unwrap();
    assert!(matches!(files.read(&at("t2/one"), 9).await, Err(StorageError::NotFound(_))));

    // A file of several parts.
    let large: Vec<u8> = (0..=250).cycle().take(20 << 20).collect();
    let (place, runtime) = (files.scope().write(&at("large")).unwrap(), tokio::runtime::Handle::current());
    let (store, expected): (Arc<dyn Store>, _) = (Arc::new(bucket), large.clone());
    let written = tokio::task::spawn_blocking(move || {
        let mut upload = Uploader::new(store, runtime, Concurrency::default(), place);
        upload.write_all(&large).unwrap();
        upload.finish()
    });
    written.await.unwrap().unwrap();
    assert!(files.read(&at("large"), 20 << 20).await.unwrap() == expected);
}

#[test]
fn all_operations_work_on_ceph() {
    run(async { check_store(RadosGateway::shared().await.unwrap()).await });
}

#[test]
fn all_operations_work_on_seaweed_fs() {
    run(async { check_store(SeaweedFs::shared().await.unwrap()).await });
}

/// Returns the error of writing below a location.
async fn refusal(location: &str, settings: &S3Settings, credential: &S3Credential) -> String {
    let root = Location::parse(location).unwrap();
    let bucket = s3::open(&root, settings, credential).unwrap();
    check(&bucket, &root, false).await.pop().unwrap().1.unwrap_err().to_string()
}

#[test]
fn errors_say_what_the_store_answered() {
    run(async {
        let server: &S3Server = RadosGateway::shared().await.unwrap();
        let location = format!("s3://{}/w", new_bucket(server).await);
        let (settings, right) = (settings(server.endpoint(), server.region()), credential(server));
        let secret = "a-secret-that-is-wrong";
        let wrong = S3Credential { secret_access_key: secret.to_owned(), ..right.clone() };
        let refused = refusal(&location, &settings, &wrong).await;
        assert!(refused.contains(" (request tx"), "{refused}");
        assert!(refused.contains("check the access key") && !refused.contains(secret), "{refused}");
        let unknown = S3Credential { access_key_id: "nobody".to_owned(), ..right.clone() };
        let refused = refusal(&location, &settings, &unknown).await;
        // Ceph does not say that it does not know the key.
        assert!(refused.contains("check the access key"), "{refused}");
        let refused = refusal("s3://no-such-bucket/w", &settings, &right).await;
        assert!(refused.contains("NoSuchBucket") && refused.contains("create the bucket first"), "{refused}");
    });
}
