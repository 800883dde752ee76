//! Clients of the servers, made from nothing but what the servers say of themselves.

use std::fs;
use std::sync::Arc;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::azure::{MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::client::StaticCredentialProvider;
use object_store::gcp::{GcpCredential, GoogleCloudStorage, GoogleCloudStorageBuilder};
use object_store::{Certificate, ClientOptions};
use tests::stores::azurite::Azurite;
use tests::stores::gcs_emulator::GcsEmulator;
use tests::stores::s3_server::{S3Keys, S3Server};

/// Client of a bucket that signs with these keys.
pub fn s3(server: &S3Server, bucket: &str, keys: &S3Keys) -> AmazonS3 {
    let mut builder = AmazonS3Builder::new()
        .with_endpoint(server.endpoint())
        .with_region(server.region())
        .with_bucket_name(bucket)
        .with_access_key_id(&keys.access_key_id)
        .with_secret_access_key(&keys.secret_access_key)
        .with_allow_http(true);
    if let Some(token) = &keys.session_token {
        builder = builder.with_token(token);
    }
    builder.build().unwrap()
}

/// Client of a container that signs with the key of the account, and trusts the server's certificate only
/// because it is told to.
pub fn azure(server: &Azurite, container: &str) -> MicrosoftAzure {
    let certificate = Certificate::from_pem(&fs::read(server.certificate()).unwrap()).unwrap();
    MicrosoftAzureBuilder::new()
        .with_endpoint(server.endpoint().to_owned())
        .with_account(server.account())
        .with_access_key(server.key())
        .with_container_name(container)
        .with_client_options(ClientOptions::new().with_root_certificate(certificate))
        .build()
        .unwrap()
}

/// Client of a bucket that signs its own tokens with the key of the service account.
pub fn gcs(server: &GcsEmulator, bucket: &str) -> GoogleCloudStorage {
    let builder = GoogleCloudStorageBuilder::new()
        .with_service_account_path(server.service_account().to_str().unwrap());
    builder.with_bucket_name(bucket).with_client_options(without_tls()).build().unwrap()
}

/// Client of a bucket with this token.
pub fn gcs_with_token(server: &GcsEmulator, bucket: &str, token: String) -> GoogleCloudStorage {
    let credential = StaticCredentialProvider::new(GcpCredential { bearer: token });
    GoogleCloudStorageBuilder::new()
        .with_base_url(server.endpoint())
        .with_credentials(Arc::new(credential))
        .with_bucket_name(bucket)
        .with_client_options(without_tls())
        .build()
        .unwrap()
}

fn without_tls() -> ClientOptions {
    ClientOptions::new().with_allow_http(true)
}
