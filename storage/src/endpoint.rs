//! Address of a store as an administrator names it.

use std::fmt;

use url::Url;

use crate::metadata_service;

/// Address of a store: scheme, host and port. Addresses of metadata services of clouds, which give credentials of
/// the machine to everyone who asks, are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
}

/// Reason for which a text is not an acceptable address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an acceptable endpoint: {reason}; write it like `https://s3.example.com:9000`")]
pub struct EndpointError {
    text: String,
    reason: &'static str,
}

impl Endpoint {
    /// Parses an address such as `https://s3.example.com:9000`.
    ///
    /// # Errors
    ///
    /// Fails if it is not an `http` or `https` URL, if it has a user name, path, query or fragment, or if its host
    /// is a metadata service.
    pub fn parse(text: &str) -> Result<Endpoint, EndpointError> {
        let refused = |reason| EndpointError { text: text.chars().take(200).collect(), reason };
        let url = Url::parse(text).map_err(|_| refused("it is not a URL"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused("its scheme is neither `http` nor `https`"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("it contains a user name or password"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(refused("it has a path, a query or a fragment"));
        }
        let Some(host) = url.host_str() else { return Err(refused("it has no host")) };
        if metadata_service::is_host(host) {
            return Err(refused("its host is a metadata service of a cloud"));
        }
        Ok(Endpoint { url })
    }

    /// Returns `true` if requests are not encrypted.
    pub fn is_plain(&self) -> bool {
        self.url.scheme() == "http"
    }

    /// Returns the address without a trailing slash.
    pub fn as_str(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// Returns the address for the requests on a bucket, which is a part of the host name unless the bucket is in
    /// the path.
    pub(crate) fn for_bucket(&self, bucket: &str, path_style: bool) -> String {
        match self.as_str().split_once("://") {
            Some((scheme, host)) if !path_style => format!("{scheme}://{bucket}.{host}"),
            _ => self.as_str().to_owned(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_and_a_host() {
        assert_eq!(Endpoint::parse("http://127.0.0.1:9000/").unwrap().as_str(), "http://127.0.0.1:9000");
        let endpoint = Endpoint::parse("https://S3.Example.com").unwrap();
        assert_eq!((endpoint.as_str(), endpoint.is_plain()), ("https://s3.example.com", false));
        assert_eq!(endpoint.for_bucket("b", false), "https://b.s3.example.com");
        assert_eq!(endpoint.for_bucket("b", true), "https://s3.example.com");
        for refused in [
            "",
            "s3.example.com",
            "ftp://h",
            "http://",
            "http://u@h",
            "http://h/p",
            "http://h?q",
            "http://h#f",
        ] {
            assert!(Endpoint::parse(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn metadata_services_are_no_stores() {
        for refused in [
            "http://169.254.169.254",
            "http://2852039166",
            "http://0xa9fea9fe/",
            "http://[::ffff:169.254.169.254]",
            "http://metadata.google.internal",
            "http://[fd00:ec2::254]",
        ] {
            assert!(
                Endpoint::parse(refused).unwrap_err().to_string().contains("metadata service"),
                "{refused}"
            );
        }
    }
}
