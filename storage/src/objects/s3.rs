//! Buckets of Amazon S3 and compatible stores.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::{BackoffConfig, ClientOptions, RetryConfig};
use table_core::location::Location;

use super::Bucket;
use crate::endpoint::Endpoint;
use crate::error::StorageError;
use crate::place::S3_SCHEME;

/// Maximum duration of one operation with its repetitions.
const DEADLINE: Duration = Duration::from_secs(60);
/// Maximum duration of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum duration of connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum number of repetitions of a request that the store could not answer, or that did not reach it.
const RETRIES_MAX: usize = 6;

/// Address and behaviour of an S3 store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Settings {
    /// Region of the bucket.
    pub region: String,
    /// Address of the store; `None` for Amazon's own in the region.
    pub endpoint: Option<Endpoint>,
    /// `true` if the bucket is the first segment of the path, `false` if it is a part of the host name.
    pub path_style: bool,
    /// Encryption of new objects by the store.
    pub encryption: ObjectEncryption,
    /// `true` if the store writes an object only if there is none, when it is asked to.
    pub conditional_writes: bool,
}

/// Encryption of objects by the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectEncryption {
    /// As the bucket says.
    Default,
    /// With keys of the store (SSE-S3).
    Store,
    /// With a key of the key management service (SSE-KMS).
    Kms {
        /// Id, alias or ARN of the key; `None` for the default key of the account.
        key: Option<String>,
    },
}

/// Access key of S3. The secret does not appear in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Credential {
    /// Id of the access key.
    pub access_key_id: String,
    /// Secret of the access key.
    pub secret_access_key: String,
    /// Token of a session; `None` for a long-lived key.
    pub session_token: Option<String>,
}

impl fmt::Debug for S3Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("S3Credential")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// Opens the bucket of a location. No request is sent.
///
/// # Errors
///
/// Fails with [`StorageError::UnsupportedScheme`] if it is not a location of S3, and with [`StorageError::Io`] if
/// the client cannot be made.
pub fn open(location: &Location, settings: &S3Settings, keys: &S3Credential) -> Result<Bucket, StorageError> {
    let unsupported = || StorageError::UnsupportedScheme(location.to_string());
    let path = location.normal().strip_prefix(S3_SCHEME).ok_or_else(unsupported)?;
    let bucket = path.split_once('/').map_or(path, |(bucket, _)| bucket);
    let endpoint = settings.endpoint.as_ref();
    let client = ClientOptions::new()
        .with_timeout(REQUEST_TIMEOUT)
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_allow_http(endpoint.is_some_and(Endpoint::is_plain));
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(5),
            base: 2.,
        },
        max_retries: RETRIES_MAX,
        retry_timeout: DEADLINE,
    };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(&settings.region)
        .with_access_key_id(&keys.access_key_id)
        .with_secret_access_key(&keys.secret_access_key)
        .with_virtual_hosted_style_request(!settings.path_style)
        .with_client_options(client)
        .with_retry(retry);
    if let Some(token) = &keys.session_token {
        builder = builder.with_token(token);
    }
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint.for_bucket(bucket, settings.path_style));
    }
    builder = match &settings.encryption {
        ObjectEncryption::Default => builder,
        ObjectEncryption::Store => builder.with_config(encryption_key()?, "AES256"),
        ObjectEncryption::Kms { key: Some(key) } => builder.with_sse_kms_encryption(key),
        ObjectEncryption::Kms { key: None } => builder.with_config(encryption_key()?, "aws:kms"),
    };
    if !settings.conditional_writes {
        builder = builder.with_conditional_put(S3ConditionalPut::Disabled);
    }
    let objects = builder.build();
    let objects = objects.map_err(super::error::failed("open", location.as_str()))?;
    let bucket = Bucket::new(Arc::new(objects), &format!("{S3_SCHEME}{bucket}"), DEADLINE);
    Ok(if settings.conditional_writes { bucket } else { bucket.with_unconditional_writes() })
}

/// Returns the setting of the client for the encryption of new objects.
fn encryption_key() -> Result<AmazonS3ConfigKey, StorageError> {
    let name = "aws_server_side_encryption";
    name.parse().map_err(super::error::failed("open", name))
}
