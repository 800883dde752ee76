//! Errors of requests to a catalog.

/// Error of a request to a catalog.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The catalog refused the request.
    #[error("{message} ({status})")]
    Refused {
        /// HTTP status of the response.
        status: u16,
        /// Error message of the catalog.
        message: String,
    },
    /// The catalog did not respond, or the connection was interrupted.
    #[error("{0}")]
    Unreachable(String),
    /// The response does not conform to the protocol, or is too large.
    #[error("{0}")]
    Unexpected(String),
    /// The name of a table, the address of the catalog, or how it is to be reached is not valid.
    #[error("{0}")]
    Name(String),
}

impl ClientError {
    /// Returns `true` if the catalog has no such endpoint. A catalog that refuses a caller or is overloaded may have it.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Refused { status: 400 | 404 | 405 | 501, .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_catalog_without_the_endpoint_does_not_support_it() {
        let refused = |status| ClientError::Refused { status, message: String::new() };
        assert!([400, 404, 405, 501].map(refused).iter().all(ClientError::is_unsupported));
        assert!(![401, 403, 408, 429, 500, 503].map(refused).iter().any(ClientError::is_unsupported));
        assert!(!ClientError::Unreachable(String::new()).is_unsupported());
    }
}
