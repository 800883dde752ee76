//! Permissions of temporary credentials, which cover one prefix of a bucket.

use futures::TryStreamExt;
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt};
use serde_json::json;
use tests::process::run;
use tests::stores::gcs_emulator::GcsEmulator;
use tests::stores::rados_gateway::RadosGateway;
use tests::stores::seaweed_fs::SeaweedFs;
use tests::stores::sts_server::StsServer;

use crate::clients;

/// Reads, writes and lists below the prefix `t1/`, and tries to do so elsewhere. `owner` may do everything.
async fn check_prefix(owner: &dyn ObjectStore, limited: &dyn ObjectStore) {
    let (inside, outside) = (Path::from("t1/a"), [Path::from("t2/a"), Path::from("t1x/a"), Path::from("a")]);
    for path in &outside {
        owner.put(path, "of another table".into()).await.unwrap();
    }
    limited.put(&inside, "own".into()).await.unwrap();
    assert_eq!(limited.get(&inside).await.unwrap().bytes().await.unwrap(), "own");
    assert_eq!(list(limited, "t1").await.unwrap(), [inside]);

    for path in &outside {
        check_denied(limited.get(path).await.map(drop));
        check_denied(limited.put(path, "overwritten".into()).await.map(drop));
        check_denied(limited.delete(path).await);
        assert_eq!(owner.get(path).await.unwrap().bytes().await.unwrap(), "of another table");
    }
    for prefix in ["t2", "t1x"] {
        check_denied(list(limited, prefix).await.map(drop));
    }
    check_denied(limited.list(None).try_collect::<Vec<_>>().await.map(drop));
}

async fn list(store: &dyn ObjectStore, prefix: &str) -> object_store::Result<Vec<Path>> {
    store.list(Some(&Path::from(prefix))).map_ok(|object| object.location).try_collect().await
}

/// The client has an error of its own for the refusal of an operation on one object, but none for that of a
/// list. It deletes even one object with `DeleteObjects`, whose response may contain the refusal.
#[track_caller]
fn check_denied(result: object_store::Result<()>) {
    let error = result.unwrap_err();
    let text = error.to_string();
    let is_denied = matches!(error, Error::PermissionDenied { .. });
    assert!(is_denied || text.contains("403 Forbidden") || text.contains("AccessDenied"), "{error:?}");
}

/// Assumes a role with a policy for the prefix `t1/`, and returns a client with its keys. There is the object
/// `t1/a`.
async fn check_session_policy(server: &StsServer) -> AmazonS3 {
    server.create_bucket("sessions").await.unwrap();
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
          "Resource": ["arn:aws:s3:::sessions/t1/*"] },
        { "Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": ["arn:aws:s3:::sessions"],
          "Condition": { "StringLike": { "s3:prefix": ["t1/*"] } } },
    ] });
    let keys = server.assume_role(&policy).await.unwrap();
    let owner = clients::s3(server, "sessions", server.keys());
    let limited = clients::s3(server, "sessions", &keys);
    check_prefix(&owner, &limited).await;
    limited
}

/// Assumes a role with a policy that permits only to read.
async fn check_reading_session(server: &StsServer) {
    server.create_bucket("reads").await.unwrap();
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::reads/*"] },
    ] });
    let keys = server.assume_role(&policy).await.unwrap();
    let limited = clients::s3(server, "reads", &keys);
    let path = Path::from("t1/a");
    clients::s3(server, "reads", server.keys()).put(&path, "read".into()).await.unwrap();
    assert_eq!(limited.get(&path).await.unwrap().bytes().await.unwrap(), "read");
    check_denied(limited.put(&path, "overwritten".into()).await.map(drop));
    check_denied(limited.delete(&path).await);
}

#[test]
fn session_policies_of_rados_gateway_are_enforced() {
    run(async {
        let server = RadosGateway::shared().await.unwrap();
        let limited = check_session_policy(server).await;
        // It decides about `DeleteObjects` as such, not about each object.
        check_denied(limited.delete(&Path::from("t1/a")).await);
        check_reading_session(server).await;
    });
}

#[test]
fn session_policies_of_seaweed_fs_are_enforced() {
    run(async {
        let server = SeaweedFs::shared().await.unwrap();
        let limited = check_session_policy(server).await;
        limited.delete(&Path::from("t1/a")).await.unwrap();
        check_reading_session(server).await;
    });
}

#[test]
fn an_access_boundary_limits_a_downscoped_token() {
    run(async {
        let server = GcsEmulator::shared().await.unwrap();
        server.create_bucket("boundaries").await.unwrap();
        let condition = "resource.name.startsWith('projects/_/buckets/boundaries/objects/t1/') || \
             api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('t1/')";
        let rules = json!([{
            "availableResource": "//storage.googleapis.com/projects/_/buckets/boundaries",
            "availablePermissions": ["inRole:roles/storage.objectUser"],
            "availabilityCondition": { "expression": condition },
        }]);
        let token = server.downscoped_token(&rules).await.unwrap();
        let limited = clients::gcs_with_token(server, "boundaries", token);
        check_prefix(&clients::gcs(server, "boundaries"), &limited).await;
    });
}

#[test]
fn gcs_refuses_unknown_tokens() {
    run(async {
        let server = GcsEmulator::shared().await.unwrap();
        server.create_bucket("unknown-tokens").await.unwrap();
        let stranger = clients::gcs_with_token(server, "unknown-tokens", "unknown".to_owned());
        let error = stranger.get(&Path::from("a")).await.unwrap_err();
        assert!(matches!(error, Error::Unauthenticated { .. }), "{error:?}");
    });
}
