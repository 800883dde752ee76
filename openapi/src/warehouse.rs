//! Types of the warehouse API. Points in time are in milliseconds since 1970-01-01 UTC.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// Storage of a warehouse: the kind of store, its address and its behaviour. It contains no secret.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum StorageProfile {
    /// Local file system, which may be a network mount.
    File(FileProfile),
    /// Amazon S3 or a compatible store.
    S3(S3Profile),
}

/// Local file system. It has no settings.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FileProfile {}

/// Amazon S3 or a compatible store.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct S3Profile {
    /// Region of the bucket. Compatible stores accept any, unless they are configured with one.
    #[schema(example = "eu-central-1")]
    pub region: String,
    /// URL of the store; missing for Amazon S3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://s3.example.com:9000")]
    pub endpoint: Option<String>,
    /// `true` if the bucket is the first segment of the path of URLs, `false` if it is a part of the host name. By
    /// default `true` with an `endpoint` and otherwise `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,
    /// Encryption of new objects by the store. By default that of the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<S3Encryption>,
    /// Id, alias or ARN of the key of the encryption `kms`. By default the key of the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// `false` for a store that cannot write an object on the condition that there is none.
    #[serde(default = "yes")]
    pub conditional_writes: bool,
}

fn yes() -> bool {
    true
}

/// Encryption of objects by the store.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum S3Encryption {
    /// With keys of the store (SSE-S3).
    Store,
    /// With a key of the key management service (SSE-KMS).
    Kms,
}

/// Secret with which the server accesses a store. It is encrypted in the database, and never returned.
#[derive(Clone, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum StorageCredential {
    /// Access key of S3.
    AccessKey(AccessKey),
}

/// Access key of S3.
#[derive(Clone, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AccessKey {
    /// Id of the access key.
    pub access_key_id: String,
    /// Secret of the access key.
    pub secret_access_key: String,
}

impl fmt::Debug for StorageCredential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AccessKey(key) => fmt::Debug::fmt(key, formatter),
        }
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AccessKey")
            .field("access_key_id", &self.access_key_id)
            .finish_non_exhaustive()
    }
}

/// Warehouse to be created.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WarehouseDefinition {
    /// Name by which clients select the warehouse: 1 to 64 ASCII letters, digits, `-` or `_`.
    #[schema(example = "lake")]
    pub name: String,
    /// Location below which its tables are created.
    #[schema(example = "s3://bucket/lake")]
    pub location: String,
    /// Storage that has the location.
    pub storage: StorageProfile,
    /// Secret with which the server accesses the storage. Local files need none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<StorageCredential>,
}

/// Warehouse of the catalog.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct WarehouseDescription {
    /// Id of the warehouse.
    #[schema(value_type = String)]
    pub warehouse_id: Uuid,
    /// Name by which clients select the warehouse.
    pub name: String,
    /// Location below which its tables are created.
    pub location: String,
    /// Storage that has the location.
    pub storage: StorageProfile,
    /// `true` if a secret for the storage is stored.
    pub has_credential: bool,
    /// Time of creation, in milliseconds since 1970.
    pub created_ms: i64,
}

/// New warehouse, with the checks of its storage.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CreatedWarehouse {
    /// The warehouse.
    pub warehouse: WarehouseDescription,
    /// Checks of its storage, all of which passed.
    pub checks: Vec<StorageCheck>,
}

/// Check of the storage of a warehouse.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct StorageCheck {
    /// Ability that was checked: `write`, `read`, `list`, `conditional-write` or `delete`.
    pub name: String,
    /// Reason for which the storage does not have it; missing if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Checks of the storage of a warehouse.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct WarehouseChecks {
    /// The checks, in the order in which they were made. The first that fails is the last.
    pub checks: Vec<StorageCheck>,
}

/// Page of the list of warehouses.
#[derive(Clone, Debug, Deserialize, IntoParams, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WarehouseQuery {
    /// Value of `next-page-token` of the previous page; missing for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_token: Option<String>,
    /// Maximum number of warehouses, from 1 to 1,000; 100 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_size: Option<u32>,
}

/// Warehouses in the order of their names.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct WarehousePage {
    /// Warehouses of the page.
    pub warehouses: Vec<WarehouseDescription>,
    /// Token for the next page, to be sent as `page-token`; missing on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_no_unknown_settings() {
        let read = |text: &str| serde_json::from_str::<StorageProfile>(text);
        assert_eq!(read(r#"{"type":"file"}"#).unwrap(), StorageProfile::File(FileProfile {}));
        let StorageProfile::S3(s3) = read(r#"{"type":"s3","region":"r"}"#).unwrap() else { panic!("not S3") };
        assert!(s3.conditional_writes && s3.endpoint.is_none());
        for unknown in [
            r#"{"type":"file","region":"r"}"#,
            r#"{"type":"s3","region":"r","secret":"s"}"#,
            r#"{"type":"s3"}"#,
            r#"{"type":"ftp"}"#,
            "{}",
        ] {
            assert!(read(unknown).is_err(), "{unknown}");
        }
    }

    #[test]
    fn a_secret_is_not_printed() {
        let text = r#"{"type":"access-key","access-key-id":"id","secret-access-key":"hidden"}"#;
        let credential: StorageCredential = serde_json::from_str(text).unwrap();
        let printed = format!("{credential:?}");
        assert!(printed.contains("id") && !printed.contains("hidden"), "{printed}");
    }
}
