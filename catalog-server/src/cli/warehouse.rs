//! `firn warehouse`: the warehouses of a Firn catalog. It is a client of a catalog only and shares no state with the
//! server in this binary.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use maintenance::client::Client;
use maintenance::warehouses;
use openapi::warehouse::{
    AccessKey, FileProfile, S3Encryption, S3Profile, StorageCheck, StorageCredential, StorageProfile,
    WarehouseDefinition, WarehouseDescription,
};

use super::catalog::CatalogArguments;
use super::table::{TextColumn, TextTable};

/// Region of a store that has none.
const NO_REGION: &str = "us-east-1";
/// Maximum size of a file with a secret, in bytes.
const SECRET_BYTES_MAX: u64 = 4_096;

/// List, create and check the warehouses of a Firn catalog
#[derive(Args)]
pub struct WarehouseCommands {
    #[command(subcommand)]
    command: WarehouseCommand,
}

#[derive(Subcommand)]
enum WarehouseCommand {
    /// List the warehouses
    List(ListWarehouses),
    /// Create a warehouse, after its storage was checked
    Create(CreateWarehouse),
    /// Check the storage of a warehouse: write, read, list, delete
    Check(CheckWarehouse),
}

/// List the warehouses
#[derive(Args)]
struct ListWarehouses {
    /// Print complete, machine-readable JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    catalog: CatalogArguments,
}

/// Create a warehouse, after its storage was checked
#[derive(Args)]
#[command(after_long_help = CREATE_EXAMPLES)]
struct CreateWarehouse {
    /// Name by which clients select the warehouse
    name: String,
    /// Location below which its tables are created: `file:///folder` or `s3://bucket/prefix`
    #[arg(long, value_name = "LOCATION")]
    location: String,
    /// Region of the bucket; any if the store has none
    #[arg(long, value_name = "REGION", default_value = NO_REGION)]
    region: String,
    /// URL of the S3 store, if it is not Amazon's
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Put the bucket into the path of URLs (`true`) or into the host name (`false`); by default `true` with `--endpoint`
    #[arg(long, value_name = "BOOL")]
    path_style: Option<bool>,
    /// Encryption of new objects by the store; by default that of the bucket
    #[arg(long, value_name = "KIND")]
    encryption: Option<Encryption>,
    /// Id, alias or ARN of the key of the encryption `kms`
    #[arg(long, value_name = "KEY")]
    kms_key: Option<String>,
    /// The store cannot write an object on the condition that there is none
    #[arg(long)]
    no_conditional_writes: bool,
    /// Id of the access key of the server
    #[arg(long, env = "FIRN_ACCESS_KEY_ID", value_name = "ID")]
    access_key_id: Option<String>,
    /// File with the secret of the access key, or `-` for standard input
    #[arg(long, value_name = "FILE")]
    secret_access_key_file: Option<PathBuf>,
    #[command(flatten)]
    catalog: CatalogArguments,
}

/// Check the storage of a warehouse
#[derive(Args)]
struct CheckWarehouse {
    /// Name of the warehouse
    name: String,
    #[command(flatten)]
    catalog: CatalogArguments,
}

/// Encryption of objects by the store.
#[derive(Clone, Copy, ValueEnum)]
enum Encryption {
    /// With keys of the store (SSE-S3)
    Store,
    /// With a key of the key management service (SSE-KMS)
    Kms,
}

const CREATE_EXAMPLES: &str = "\
Examples:
    firn warehouse create scratch --location file:///srv/scratch
    firn warehouse create lake --location s3://bucket/lake --region eu-central-1 \\
        --access-key-id AKIA… --secret-access-key-file secret.txt
    firn warehouse create local --location s3://bucket/lake --endpoint http://127.0.0.1:9000 \\
        --access-key-id admin --secret-access-key-file -

The secret is encrypted in the database of the catalog, and never returned.
";

impl WarehouseCommands {
    /// Runs the command and prints its result.
    ///
    /// # Errors
    ///
    /// Fails if the catalog does not answer or refuses the request, if a file with a secret cannot be read, or if a
    /// check of a storage fails.
    pub fn run(&self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let text = runtime.block_on(async {
            match &self.command {
                WarehouseCommand::List(list) => list.run().await,
                WarehouseCommand::Create(create) => create.run().await,
                WarehouseCommand::Check(check) => check.run().await,
            }
        })?;
        // If the reader of the pipe has closed it early, as `head` does, that is not a failure.
        drop(std::io::stdout().write_all(text.as_bytes()));
        Ok(())
    }
}

impl ListWarehouses {
    async fn run(&self) -> anyhow::Result<String> {
        let warehouses = warehouses::list(&Client::new(&self.catalog.address())?).await?;
        if self.json {
            return Ok(serde_json::to_string_pretty(&warehouses)? + "\n");
        }
        let mut rows = TextTable::new(0, [TextColumn::LEFT; 3]);
        rows.push(["NAME", "STORAGE", "LOCATION"].map(str::to_owned));
        for warehouse in warehouses {
            rows.push([warehouse.name.clone(), storage(&warehouse), warehouse.location]);
        }
        Ok(rows.to_string())
    }
}

impl CreateWarehouse {
    async fn run(&self) -> anyhow::Result<String> {
        let client = Client::new(&self.catalog.address())?;
        let created = warehouses::create(&client, &self.new_warehouse()?).await?;
        Ok(format!(
            "{}created warehouse {} at {}\n",
            checked(&created.checks),
            created.warehouse.name,
            created.warehouse.location
        ))
    }

    fn new_warehouse(&self) -> anyhow::Result<WarehouseDefinition> {
        let is_s3 = self.location.starts_with("s3");
        if !is_s3 && (self.endpoint.is_some() || self.access_key_id.is_some()) {
            bail!("`--endpoint` and `--access-key-id` are for locations such as `s3://bucket/prefix`");
        }
        Ok(WarehouseDefinition {
            name: self.name.clone(),
            location: self.location.clone(),
            storage: if is_s3 { StorageProfile::S3(self.s3()) } else { StorageProfile::File(FileProfile {}) },
            credential: self.credential()?,
        })
    }

    fn s3(&self) -> S3Profile {
        S3Profile {
            region: self.region.clone(),
            endpoint: self.endpoint.clone(),
            path_style: self.path_style,
            encryption: self.encryption.map(|encryption| match encryption {
                Encryption::Store => S3Encryption::Store,
                Encryption::Kms => S3Encryption::Kms,
            }),
            kms_key: self.kms_key.clone(),
            conditional_writes: !self.no_conditional_writes,
        }
    }

    fn credential(&self) -> anyhow::Result<Option<StorageCredential>> {
        let Some(access_key_id) = self.access_key_id.clone() else { return Ok(None) };
        let Some(file) = &self.secret_access_key_file else {
            bail!(
                "`--access-key-id` needs `--secret-access-key-file`, a file with the secret or `-` for standard input"
            );
        };
        let mut secret = String::new();
        if file.as_os_str() == "-" {
            std::io::stdin().take(SECRET_BYTES_MAX).read_to_string(&mut secret)?;
        } else {
            let opened = std::fs::File::open(file);
            let opened = opened.with_context(|| format!("cannot open `{}`", file.display()))?;
            opened.take(SECRET_BYTES_MAX).read_to_string(&mut secret)?;
        }
        let secret_access_key = secret.trim().to_owned();
        Ok(Some(StorageCredential::AccessKey(AccessKey { access_key_id, secret_access_key })))
    }
}

impl CheckWarehouse {
    async fn run(&self) -> anyhow::Result<String> {
        let checks = warehouses::check(&Client::new(&self.catalog.address())?, &self.name).await?;
        let text = checked(&checks);
        if checks.iter().any(|check| check.error.is_some()) {
            bail!("the storage of warehouse `{}` cannot be used:\n{text}", self.name);
        }
        Ok(text)
    }
}

/// Returns a line for each check.
fn checked(checks: &[StorageCheck]) -> String {
    let mut rows = TextTable::new(0, [TextColumn::LEFT; 2]);
    for check in checks {
        rows.push([check.name.clone(), check.error.clone().unwrap_or_else(|| "ok".to_owned())]);
    }
    rows.to_string()
}

/// Returns the kind of the storage with its address.
fn storage(warehouse: &WarehouseDescription) -> String {
    match &warehouse.storage {
        StorageProfile::File(_) => "file".to_owned(),
        StorageProfile::S3(s3) => s3
            .endpoint
            .as_ref()
            .map_or_else(|| format!("s3 in {}", s3.region), |endpoint| format!("s3 at {endpoint}")),
    }
}
