//! Operations on objects, with the keys of the owner.

use std::sync::Arc;

use futures::future::join_all;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload, UpdateVersion, WriteMultipart};
use tests::fixture::unique;
use tests::process::run;
use tests::stores::azurite::Azurite;
use tests::stores::gcs_emulator::GcsEmulator;
use tests::stores::moto::Moto;
use tests::stores::rados_gateway::RadosGateway;
use tests::stores::s3_server::S3Server;
use tests::stores::seaweed_fs::SeaweedFs;

use crate::clients;

/// Minimum size of the parts of a multipart upload on S3, in bytes.
const PART_BYTES: usize = 5 << 20;
/// Number of writers that create the same object.
const RIVALS: usize = 8;

/// Bucket of its own on an S3 server.
async fn s3_bucket(server: &S3Server) -> Arc<dyn ObjectStore> {
    let bucket = bucket_name();
    server.create_bucket(&bucket).await.unwrap();
    Arc::new(clients::s3(server, &bucket, server.keys()))
}

async fn container(server: &Azurite) -> Arc<dyn ObjectStore> {
    let container = bucket_name();
    server.create_container(&container).await.unwrap();
    Arc::new(clients::azure(server, &container))
}

async fn gcs_bucket(server: &GcsEmulator) -> Arc<dyn ObjectStore> {
    let bucket = bucket_name();
    server.create_bucket(&bucket).await.unwrap();
    Arc::new(clients::gcs(server, &bucket))
}

/// Name that every store allows for a bucket or container.
fn bucket_name() -> String {
    unique("bucket").replace('_', "-")
}

async fn list(store: &dyn ObjectStore, prefix: &str) -> Vec<String> {
    let listed: Vec<_> = store.list(Some(&Path::from(prefix))).try_collect().await.unwrap();
    let mut paths: Vec<_> = listed.into_iter().map(|object| object.location.to_string()).collect();
    paths.sort();
    paths
}

async fn create(store: &dyn ObjectStore, path: &Path, text: &'static str) -> object_store::Result<()> {
    store.put_opts(path, text.into(), PutMode::Create.into()).await.map(drop)
}

/// Puts, gets, lists and deletes objects, some with names that careless encoding would change.
async fn check_objects(store: &dyn ObjectStore) {
    let names = ["t1/a", "t1/b/c d+e", "t1/ü%20", "t1x/a"].map(Path::from);
    for path in &names {
        store.put(path, path.to_string().into()).await.unwrap();
    }
    for path in &names {
        let text = path.to_string();
        assert_eq!(store.get(path).await.unwrap().bytes().await.unwrap(), text);
        assert_eq!(store.get_range(path, 1..3).await.unwrap(), text[1..3]);
        assert_eq!(store.head(path).await.unwrap().size, text.len() as u64);
    }
    let mut below: Vec<_> = names[..3].iter().map(ToString::to_string).collect();
    below.sort();
    assert_eq!(list(store, "t1").await, below);

    store.delete(&names[0]).await.unwrap();
    let error = store.get(&names[0]).await.unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    let others = futures::stream::iter(names[1..3].to_vec()).map(Ok).boxed();
    store.delete_stream(others).try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(list(store, "t1").await, Vec::<String>::new());
    assert_eq!(list(store, "t1x").await, ["t1x/a"]);
}

/// Writes an object in two parts.
async fn check_multipart(store: &dyn ObjectStore) {
    let path = Path::from("parts");
    let content: Vec<u8> = (0..=250).cycle().take(PART_BYTES + 1000).collect();
    let upload = store.put_multipart(&path).await.unwrap();
    let mut write = WriteMultipart::new_with_chunk_size(upload, PART_BYTES);
    write.write(&content);
    write.finish().await.unwrap();
    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), content);
}

/// Creates an object that exists, and one that several writers create at the same time.
async fn check_creation(store: &dyn ObjectStore) {
    let path = Path::from("created");
    create(store, &path, "first").await.unwrap();
    let error = create(store, &path, "second").await.unwrap_err();
    assert!(matches!(error, Error::AlreadyExists { .. }), "{error:?}");
    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "first");

    let path = Path::from("raced");
    let results = join_all((0..RIVALS).map(|_| create(store, &path, "one of them"))).await;
    let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1, "{lost:?}");
}

/// Replaces an object on the condition that it is in a certain version.
async fn check_updates(store: &dyn ObjectStore) {
    let path = Path::from("updated");
    let first = UpdateVersion::from(store.put(&path, "first".into()).await.unwrap());
    let update = async |text: &'static str| {
        let options = PutMode::Update(first.clone()).into();
        store.put_opts(&path, PutPayload::from(text), options).await
    };
    update("second").await.unwrap();
    let error = update("third").await.unwrap_err();
    assert!(matches!(error, Error::Precondition { .. }), "{error:?}");
    assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "second");
}

#[test]
fn rados_gateway_stores_objects() {
    run(async {
        let store = s3_bucket(RadosGateway::shared().await.unwrap()).await;
        check_objects(&*store).await;
        check_multipart(&*store).await;
        check_creation(&*store).await;
    });
}

/// Ceph 16 compares entity tags without their quotes, which every client sends. Suites that need conditional
/// updates use another server; once this fails, they can use this one.
#[test]
fn rados_gateway_refuses_all_conditional_updates() {
    run(async {
        let store = s3_bucket(RadosGateway::shared().await.unwrap()).await;
        let path = Path::from("updated");
        let version = UpdateVersion::from(store.put(&path, "first".into()).await.unwrap());
        let update = store.put_opts(&path, "second".into(), PutMode::Update(version).into()).await;
        assert!(matches!(update, Err(Error::Precondition { .. })), "{update:?}");
    });
}

async fn check_all(store: &dyn ObjectStore) {
    check_objects(store).await;
    check_multipart(store).await;
    check_creation(store).await;
    check_updates(store).await;
}

#[test]
fn seaweed_fs_stores_objects() {
    run(async {
        let store = s3_bucket(SeaweedFs::shared().await.unwrap()).await;
        check_all(&*store).await;
    });
}

#[test]
fn moto_stores_objects() {
    run(async {
        let store = s3_bucket(Moto::shared().await.unwrap()).await;
        check_all(&*store).await;
    });
}

#[test]
fn azurite_stores_objects() {
    run(async {
        let store = container(Azurite::shared().await.unwrap()).await;
        check_all(&*store).await;
    });
}

#[test]
fn gcs_emulator_stores_objects() {
    run(async {
        let store = gcs_bucket(GcsEmulator::shared().await.unwrap()).await;
        check_all(&*store).await;
    });
}
