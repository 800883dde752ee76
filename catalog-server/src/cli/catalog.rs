//! Options of every command that talks to a catalog: its address, and how it is reached.

use std::path::PathBuf;

use clap::Args;
use maintenance::client::address::{CatalogAddress, Route};

/// Address of a catalog, as given on the command line.
#[derive(Args)]
pub struct CatalogArguments {
    /// URL of the catalog: the `uri` that engines use. `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` name the
    /// proxy on the way to it
    #[arg(long, env = "FIRN_URI", value_name = "URL", default_value = "http://127.0.0.1:8181")]
    uri: String,
    /// Bearer token, if the catalog requires one
    #[arg(long, env = "FIRN_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// PEM file with certificate authorities to trust in addition to those of the system
    #[arg(long, env = "FIRN_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

impl CatalogArguments {
    /// Returns the address.
    pub fn address(&self) -> CatalogAddress {
        CatalogAddress {
            uri: self.uri.clone(),
            token: self.token.clone(),
            ca_file: self.ca_file.clone(),
            route: Route::Environment,
        }
    }
}
