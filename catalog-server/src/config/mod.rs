//! Configuration of the server: defaults, overridden by a TOML file, then by `FIRN_*` environment variables,
//! then by command-line flags.
//!
//! This module reads and validates settings; it opens neither files of the catalog nor the database.
//!
//! ```text
//! let config = Config::load(Some(Path::new("firn.toml")), &Flags::default())?;
//! ```

mod environment;
pub mod error;
mod limits;
mod log;
mod maintenance;
mod planning;
mod secrets;
mod warehouse;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};

use error::ConfigError;

pub use limits::{Cache, Limits, Retention};
pub use log::{Log, LogFormat};
pub use maintenance::Maintenance;
pub use planning::Planning;
pub use secrets::Secrets;
pub use warehouse::{RESERVED_NAMES, WarehouseConfig};

/// All settings of `firn serve`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// Folder of the default database and the default warehouse.
    pub data_dir: PathBuf,
    /// Address and port to listen on; a loopback address.
    pub listen: SocketAddr,
    /// URL of the database, `sqlite:///path/file.db` or `postgres://…`; if absent, a SQLite file in
    /// [`Config::data_dir`] is used.
    pub database_url: Option<String>,
    /// Maximum number of connections to PostgreSQL, or of reading connections to SQLite.
    pub database_connections: u32,
    /// `true` if an empty SQLite database is accepted although the folder of the warehouse contains tables.
    pub new_catalog: bool,
    /// Warehouse that the first start creates.
    pub warehouse: WarehouseConfig,
    /// Limits on requests and connections.
    pub limits: Limits,
    /// Memory limits of the caches.
    pub cache: Cache,
    /// Settings of scan planning.
    pub planning: Planning,
    /// Settings of maintenance.
    pub maintenance: Maintenance,
    /// Retention of records.
    pub retention: Retention,
    /// Encryption of secrets in the database.
    pub secrets: Secrets,
    /// Level and format of log output.
    pub log: Log,
    /// Warnings about `FIRN_*` variables that are not settings, to be logged once logging has started.
    #[serde(skip)]
    pub ignored_variables: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./firn-data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 8181)),
            database_url: None,
            database_connections: 16,
            new_catalog: false,
            warehouse: WarehouseConfig::default(),
            limits: Limits::default(),
            cache: Cache::default(),
            planning: Planning::default(),
            maintenance: Maintenance::default(),
            retention: Retention::default(),
            secrets: Secrets::default(),
            log: Log::default(),
            ignored_variables: Vec::new(),
        }
    }
}

/// Flags of the command line. Each one that is present overrides the file and the environment.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Flags {
    /// See [`Config::data_dir`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// See [`Config::listen`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// See [`Config::database_url`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_url: Option<String>,
    /// See [`Config::new_catalog`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_catalog: Option<bool>,
}

impl Config {
    /// Merges the defaults, `file`, the `FIRN_*` environment variables and `flags`, in this order of
    /// precedence, and validates the result.
    ///
    /// # Errors
    ///
    /// Fails if `file` does not exist ([`ConfigError::NoFile`]); if the file is not valid TOML, a value has
    /// the wrong type or a setting is unknown ([`ConfigError::Invalid`]); or if a value is not allowed, such
    /// as an address that is not a loopback address ([`ConfigError::Refused`]).
    pub fn load(file: Option<&Path>, flags: &Flags) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(path) = file {
            if !path.is_file() {
                return Err(ConfigError::NoFile(path.to_owned()));
            }
            figment = figment.merge(Toml::file_exact(path));
        }
        let (variables, ignored_variables) = environment::settings(&Self::default());
        // Other variables may have any value, such as the addresses that Kubernetes sets for a service called
        // `firn`.
        let environment = Env::prefixed("FIRN_")
            .filter(move |key| variables.contains(&key.as_str().to_uppercase()))
            .map(|key| environment::setting(key.as_str()).into());
        let mut config: Self = figment
            .merge(environment)
            .merge(Serialized::defaults(flags))
            .extract()
            .map_err(|error| ConfigError::Invalid(Box::new(error)))?;
        config.ignored_variables = ignored_variables;
        config.check()?;
        Ok(config)
    }

    /// Returns the URL of the database: the configured one, or that of `firn.db` in [`Config::data_dir`].
    pub fn database_url(&self) -> String {
        if let Some(url) = &self.database_url {
            return url.clone();
        }
        // In a URL, these characters begin an escape sequence, the query and the fragment.
        let path = self.data_dir.join("firn.db").display().to_string();
        let path = path.replace('%', "%25").replace('?', "%3F").replace('#', "%23");
        format!("sqlite://{path}")
    }

    fn check(&self) -> Result<(), ConfigError> {
        if !is_loopback(self.listen.ip()) {
            return Err(ConfigError::Refused(format!(
                "refusing to listen on `{}`: nothing authenticates callers yet, so everyone who can reach this address would have full access to the \
                 catalog; listen on 127.0.0.1 or [::1] and put an authenticating proxy \
                 on the same machine in front",
                self.listen
            )));
        }
        self.warehouse.check()?;
        self.limits.check()?;
        self.planning.check()?;
        self.maintenance.check()
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_toml(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("firn.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(Some(&path), &Flags::default())
    }

    #[test]
    fn an_empty_file_gives_the_defaults() {
        let config = load_toml("").unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8181");
        assert_eq!(config.database_url(), "sqlite://./firn-data/firn.db");
        assert_eq!(config.warehouse.name, "main");
    }

    #[test]
    fn the_default_database_lies_in_the_data_directory_whatever_that_is_called() {
        let config = Config { data_dir: PathBuf::from("/srv/100%/a?b#c d"), ..Config::default() };
        assert_eq!(config.database_url(), "sqlite:///srv/100%25/a%3Fb%23c d/firn.db");
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        for text in ["lisen = '127.0.0.1:1'", "[limits]\nbody-bites = 3"] {
            let error = load_toml(text).unwrap_err().to_string();
            assert!(error.contains("unknown field"), "{error}");
            assert!(error.contains("lisen") || error.contains("body-bites"), "{error}");
        }
    }

    #[test]
    fn flags_override_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("firn.toml");
        std::fs::write(&path, "listen = '127.0.0.1:1'\ndatabase-url = 'postgres://file/x'").unwrap();
        let flags = Flags { listen: Some("127.0.0.1:2".parse().unwrap()), ..Flags::default() };
        let config = Config::load(Some(&path), &flags).unwrap();
        assert_eq!(config.listen.port(), 2);
        assert_eq!(config.database_url(), "postgres://file/x");
    }

    #[test]
    fn listening_beyond_loopback_without_authentication_is_refused() {
        for address in ["0.0.0.0:8181", "[::]:8181", "192.168.1.4:80"] {
            let error = load_toml(&format!("listen = '{address}'")).unwrap_err().to_string();
            assert!(error.contains("refusing to listen"), "{error}");
        }
        assert!(load_toml("listen = '[::1]:0'").is_ok());
        assert!(load_toml("listen = '[::ffff:127.0.0.1]:0'").is_ok());
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Config::load(Some(Path::new("/no/such/firn.toml")), &Flags::default()).unwrap_err();
        assert!(error.to_string().contains("/no/such/firn.toml"));
    }
}
