//! Storage of a warehouse: from its settings and its secret to a store.

use std::collections::BTreeMap;

use openapi::warehouse::{S3Encryption, S3Profile, StorageCredential, StorageProfile};
use storage::endpoint::Endpoint;
use storage::objects::Bucket;
use storage::objects::s3::{self, S3Credential, S3Settings};
use table_core::location::Location;

/// Settings of local files, as they are stored.
pub(super) const FILE: &str = r#"{"type":"file"}"#;

/// Parses stored settings.
pub(super) fn parse(text: &str) -> Result<StorageProfile, String> {
    serde_json::from_str(text).map_err(|error| format!("its storage cannot be read: {error}"))
}

/// Opens the bucket of a location; `None` for local files. Fails if the location, the settings and the secret do not
/// fit together.
pub(super) fn open(
    location: &Location,
    profile: &StorageProfile,
    credential: Option<&StorageCredential>,
) -> Result<Option<Bucket>, String> {
    let scheme = location.normal().split_once(':').map_or("", |(scheme, _)| scheme);
    match (profile, credential) {
        // `memory:` is a store of tests, which a server has only if it is started with it.
        (StorageProfile::File(_), None) if matches!(scheme, "file" | "memory") => Ok(None),
        (StorageProfile::File(_), Some(_)) => Err("local files need no credential".to_owned()),
        (StorageProfile::S3(profile), Some(StorageCredential::AccessKey(key))) if scheme == "s3" => {
            check_sent("access-key-id", &key.access_key_id)?;
            check_sent("secret-access-key", &key.secret_access_key)?;
            let keys = S3Credential {
                access_key_id: key.access_key_id.clone(),
                secret_access_key: key.secret_access_key.clone(),
                session_token: None,
            };
            let bucket = s3::open(location, &settings(profile)?, &keys);
            bucket.map(Some).map_err(|error| error.to_string())
        }
        (StorageProfile::S3(_), None) => Err("storage of type `s3` needs a `credential`".to_owned()),
        (StorageProfile::File(_), None) => Err(format!("`{location}` is not a local folder (`file:///…`)")),
        (StorageProfile::S3(_), Some(_)) => {
            Err(format!("`{location}` is not a location of S3 (`s3://bucket/…`)"))
        }
    }
}

fn settings(profile: &S3Profile) -> Result<S3Settings, String> {
    let endpoint = profile.endpoint.as_deref().map(Endpoint::parse).transpose();
    let endpoint = endpoint.map_err(|error| error.to_string())?;
    let encryption = match (profile.encryption, &profile.kms_key) {
        (Some(S3Encryption::Kms), key) => s3::ObjectEncryption::Kms { key: key.clone() },
        (_, Some(_)) => return Err("`kms-key` needs `encryption` to be `kms`".to_owned()),
        (Some(S3Encryption::Store), None) => s3::ObjectEncryption::Store,
        (None, None) => s3::ObjectEncryption::Default,
    };
    if profile.region.is_empty() {
        return Err("`region` is empty; if the store has none, write `us-east-1`".to_owned());
    }
    check_sent("region", &profile.region)?;
    check_sent("kms-key", profile.kms_key.as_deref().unwrap_or("none"))?;
    Ok(S3Settings {
        region: profile.region.clone(),
        path_style: path_style(profile),
        endpoint,
        encryption,
        conditional_writes: profile.conditional_writes,
    })
}

/// Checks a text that is sent in headers of requests, where the library panics on other characters.
fn check_sent(name: &str, text: &str) -> Result<(), String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(format!("`{name}` is empty or has other characters than visible ones of ASCII"))
}

/// Returns the settings with which clients find the store, under the names that they know. None of them is a secret.
pub(super) fn client_settings(profile: &StorageProfile) -> BTreeMap<String, String> {
    let StorageProfile::S3(s3) = profile else { return BTreeMap::new() };
    let mut settings = BTreeMap::from([
        ("client.region".to_owned(), s3.region.clone()),
        ("s3.region".to_owned(), s3.region.clone()),
        ("s3.path-style-access".to_owned(), path_style(s3).to_string()),
    ]);
    if let Some(endpoint) = &s3.endpoint {
        settings.insert("s3.endpoint".to_owned(), endpoint.clone());
    }
    settings
}

/// Returns `true` if the bucket is a segment of the path of URLs.
fn path_style(profile: &S3Profile) -> bool {
    profile.path_style.unwrap_or(profile.endpoint.is_some())
}

#[cfg(test)]
mod tests {
    use openapi::warehouse::AccessKey;

    use super::*;

    fn opened(location: &str, profile: &str, has_credential: bool) -> Result<bool, String> {
        let key = AccessKey { access_key_id: "id".to_owned(), secret_access_key: "hidden".to_owned() };
        let credential = has_credential.then_some(StorageCredential::AccessKey(key));
        let location = Location::parse(location).unwrap();
        open(&location, &parse(profile)?, credential.as_ref()).map(|bucket| bucket.is_some())
    }

    #[test]
    fn location_settings_and_secret_must_fit_together() {
        assert_eq!(opened("/srv/w", FILE, false), Ok(false));
        let s3 = r#"{"type":"s3","region":"r","endpoint":"http://127.0.0.1:1"}"#;
        assert_eq!(opened("s3a://bucket/w", s3, true), Ok(true));
        for (location, profile, has_credential, expected) in [
            ("s3://b/w", FILE, false, "not a local folder"),
            ("/srv/w", FILE, true, "need no credential"),
            ("/srv/w", s3, true, "not a location of S3"),
            ("s3://b/w", s3, false, "needs a `credential`"),
            ("s3://b/w", r#"{"type":"s3","region":""}"#, true, "`region` is empty"),
            (
                "s3://b/w",
                r#"{"type":"s3","region":"r","endpoint":"http://169.254.169.254"}"#,
                true,
                "metadata service",
            ),
            ("s3://b/w", r#"{"type":"s3","region":"r","kms-key":"k"}"#, true, "needs `encryption`"),
            ("s3://b/w", r#"{"type":"s3","region":"a\nb"}"#, true, "`region` is empty or has other"),
            ("s3://b/w", r#"{"type":"s3","region":"ü"}"#, true, "`region` is empty or has other"),
            (
                "s3://b/w",
                r#"{"type":"s3","region":"r","encryption":"kms","kms-key":"a b"}"#,
                true,
                "`kms-key` is empty or has other",
            ),
            ("s3://b/w", r#"{"type":"tape"}"#, true, "cannot be read"),
        ] {
            let error = opened(location, profile, has_credential).unwrap_err();
            assert!(error.contains(expected) && !error.contains("hidden"), "{error}");
        }
    }
}
