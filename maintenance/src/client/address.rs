//! Address of a catalog: checked once, before the first request. It resolves no host name.

use std::fmt;
use std::path::PathBuf;

use reqwest::Url;
use storage::metadata_service;

use super::error::ClientError;

/// Address of a catalog, and how it is reached.
#[derive(Clone, Default)]
pub struct CatalogAddress {
    /// HTTP or HTTPS address, as engines specify it.
    pub uri: String,
    /// Bearer token; `None` if the catalog requires none.
    pub token: Option<String>,
    /// PEM file with certificates of authorities that are trusted in addition to those of the system.
    pub ca_file: Option<PathBuf>,
    /// Route to the catalog.
    pub route: Route,
}

/// Route to a catalog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Route {
    /// Through the proxy that the environment names for the address, if it names one.
    #[default]
    Environment,
    /// Without a proxy, whatever the environment says.
    Direct,
}

impl CatalogAddress {
    /// Creates the address of a catalog that requires no token, reached as the environment says.
    pub fn new(uri: impl Into<String>) -> CatalogAddress {
        CatalogAddress { uri: uri.into(), ..CatalogAddress::default() }
    }

    /// Returns the address without a slash or `/v1` at its end: paths of requests are appended to it.
    pub(super) fn root(&self) -> &str {
        self.uri.trim_end_matches('/').trim_end_matches("/v1")
    }

    /// Parses and checks the address.
    ///
    /// # Errors
    ///
    /// Fails with [`ClientError::Name`] if it is not an HTTP or HTTPS address, if it contains a user name,
    /// password, query or fragment, and if it belongs to the metadata service of a cloud.
    pub(super) fn parse(&self) -> Result<Url, ClientError> {
        let url = Url::parse(self.root()).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let (Some(url), true) = (url, self.uri.contains("://")) else {
            return Err(ClientError::Name(format!(
                "`{}` is not a catalog's address; write one such as `http://127.0.0.1:8181`",
                self.uri
            )));
        };
        let host = url.host_str().unwrap_or_default();
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ClientError::Name(format!(
                "the address of the catalog at `{host}` contains a user name or password; use a token"
            )));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(ClientError::Name(format!("`{}` has parts after its path; remove them", self.uri)));
        }
        if metadata_service::is_host(host) {
            return Err(ClientError::Name(format!(
                "`{host}` is the address of a cloud's metadata service, to which requests are \
                 refused; use the address of a catalog"
            )));
        }
        Ok(url)
    }
}

/// Leaves out the token.
impl fmt::Debug for CatalogAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = formatter.debug_struct("CatalogAddress");
        parts.field("uri", &self.uri).field("ca_file", &self.ca_file).field("route", &self.route);
        parts.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uri: &str, expected: Result<&str, &str>) {
        let parsed = CatalogAddress::new(uri).parse();
        match (parsed, expected) {
            (Ok(url), Ok(expected)) => assert_eq!(url.as_str(), expected),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{uri}: {error}"),
            (parsed, _) => panic!("{uri}: {parsed:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn addresses_are_http_urls_without_secrets() {
        check("http://127.0.0.1:8181", Ok("http://127.0.0.1:8181/"));
        check("https://catalog.example/iceberg/v1/", Ok("https://catalog.example/iceberg"));
        check("http://[::1]:8181/", Ok("http://[::1]:8181/"));
        check("http://[fe80::1]:8181/", Ok("http://[fe80::1]:8181/"));
        for uri in ["", "localhost:8181", "ftp://a", "http://", "http:a", "https:///"] {
            check(uri, Err("is not a catalog's address"));
        }
        check("http://user:secret@catalog.example", Err("use a token"));
        check("http://catalog.example/?a=b", Err("remove them"));
        let told = CatalogAddress::new("http://user:secret@catalog.example").parse().unwrap_err().to_string();
        assert!(!told.contains("secret"), "{told}");
    }

    #[test]
    fn metadata_services_are_no_catalogs_however_their_address_is_written() {
        for uri in [
            "http://169.254.169.254",
            "http://2852039166/latest",
            "http://0xA9FEA9FE",
            "http://0251.0376.0251.0376",
            "http://169.254.43518",
            "http://[::ffff:169.254.169.254]",
            "http://[64:ff9b::a9fe:a9fe]",
            "http://[fd00:ec2::254]",
            "http://[fe80::a9fe:a9fe]",
            "http://METADATA.google.internal.",
            "https://metadata",
            "http://100.100.100.200",
        ] {
            check(uri, Err("metadata service"));
        }
    }

    #[test]
    fn a_printed_address_has_no_token() {
        let address = CatalogAddress { token: Some("secret".to_owned()), ..CatalogAddress::new("http://a") };
        assert!(!format!("{address:?}").contains("secret"));
    }
}
