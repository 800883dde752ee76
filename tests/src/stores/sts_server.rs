//! S3 server with STS, which enforces the policies of sessions.

use std::ops::Deref;

use anyhow::{Context, Result};
use serde_json::Value;

use super::s3_server::{S3Keys, S3Server};
use super::start_script::StartScript;

/// Running S3 server whose owner may assume a role. Dereferences to an [`S3Server`].
#[derive(Debug)]
pub struct StsServer {
    server: S3Server,
    role_arn: String,
}

impl StsServer {
    /// Takes over the server of a script.
    pub(super) fn new(script: StartScript) -> Result<Self> {
        let role_arn = script.text("role_arn")?;
        Ok(Self { server: S3Server::new(script)?, role_arn })
    }

    /// ARN of the role that the owner may assume, and which may do everything in all buckets.
    pub fn role_arn(&self) -> &str {
        &self.role_arn
    }

    /// Assumes the role, with a policy that reduces its permissions, and returns keys that are valid for 15
    /// minutes.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be reached, or refuses the policy: it may have up to 2,048 bytes.
    pub async fn assume_role(&self, session_policy: &Value) -> Result<S3Keys> {
        let policy = session_policy.to_string();
        let parameters = [
            ("Action", "AssumeRole"),
            ("Version", "2011-06-15"),
            ("RoleArn", &self.role_arn),
            ("RoleSessionName", "session"),
            ("DurationSeconds", "900"),
            ("Policy", &policy),
        ];
        let answer = self.server.call("sts", &parameters).await?;
        let text = |tag: &str| text_of(&answer, tag).with_context(|| format!("no `{tag}` in {answer}"));
        Ok(S3Keys {
            access_key_id: text("AccessKeyId")?,
            secret_access_key: text("SecretAccessKey")?,
            session_token: Some(text("SessionToken")?),
        })
    }
}

impl Deref for StsServer {
    type Target = S3Server;

    fn deref(&self) -> &S3Server {
        &self.server
    }
}

/// Returns the text of the first element with this tag. Keys contain no character that XML would escape.
fn text_of(xml: &str, tag: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{tag}>"))?;
    let (text, _) = rest.split_once(&format!("</{tag}>"))?;
    Some(text.to_owned())
}
