//! S3 server of the tests: its address, the keys of its owner, and requests that are made by the owner only.

use anyhow::Result;
use object_store::ClientOptions;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::HttpRequest;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};

use super::signed_request;
use super::start_script::StartScript;
use crate::http::encode;

/// Keys with which requests are signed.
#[derive(Clone, Debug)]
pub struct S3Keys {
    /// Public part.
    pub access_key_id: String,
    /// Secret part.
    pub secret_access_key: String,
    /// Token of temporary keys.
    pub session_token: Option<String>,
}

/// Running S3 server.
#[derive(Debug)]
pub struct S3Server {
    endpoint: String,
    region: String,
    keys: S3Keys,
    _script: StartScript,
}

impl S3Server {
    /// Takes over the server of a script.
    pub(super) fn new(script: StartScript) -> Result<Self> {
        let keys = S3Keys {
            access_key_id: script.text("access_key_id")?,
            secret_access_key: script.text("secret_access_key")?,
            session_token: None,
        };
        let (endpoint, region) = (script.text("endpoint")?, script.text("region")?);
        Ok(Self { endpoint, region, keys, _script: script })
    }

    /// URL without a path, such as `http://127.0.0.1:20480`. Buckets are the first part of the path, not of
    /// the host.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Region with which requests are signed.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Keys of the owner, who may do everything.
    pub fn keys(&self) -> &S3Keys {
        &self.keys
    }

    /// Creates a bucket.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached or refuses, as for a name that is not allowed.
    pub async fn create_bucket(&self, name: &str) -> Result<()> {
        let request = signed_request::new(Method::PUT, &format!("{}/{name}", self.endpoint), String::new())?;
        self.send("s3", request).await?;
        Ok(())
    }

    /// Calls an action of a service other than S3, such as `sts`, and returns the body of the response.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached or refuses.
    pub(super) async fn call(&self, service: &str, parameters: &[(&str, &str)]) -> Result<String> {
        // Spaces as `%20`: radosgw does not decode `+`.
        let pairs = parameters.iter().map(|(name, value)| format!("{name}={}", encode(value)));
        let form = pairs.collect::<Vec<_>>().join("&");
        let mut request = signed_request::new(Method::POST, &format!("{}/", self.endpoint), form)?;
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, form_type);
        self.send(service, request).await
    }

    async fn send(&self, service: &str, mut request: HttpRequest) -> Result<String> {
        let credential = AwsCredential {
            key_id: self.keys.access_key_id.clone(),
            secret_key: self.keys.secret_access_key.clone(),
            token: self.keys.session_token.clone(),
        };
        AwsAuthorizer::new(&credential, service, &self.region).authorize(&mut request, None);
        signed_request::send(request, ClientOptions::new()).await
    }
}
