//! Certificate authorities that a client trusts: those of the system, and those of a file.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use super::error::ClientError;

/// Returns a configuration that trusts the authorities of the system and those of a PEM file.
///
/// # Errors
///
/// Fails with [`ClientError::Name`] if the file cannot be read, or contains no certificate or a damaged one;
/// with [`ClientError::Unreachable`] if neither the system nor the file has an authority.
pub fn trusting(ca_file: Option<&Path>) -> Result<ClientConfig, ClientError> {
    let authorities = ca_file.map(read).transpose()?.unwrap_or_default();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new_with_extra_roots(authorities, provider.clone()).map_err(|error| {
        ClientError::Unreachable(format!(
            "cannot set up TLS: {error}; install the system's certificate authorities, or name a file with \
             `--ca-file`"
        ))
    })?;
    let config = builder(provider)?.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    Ok(config.with_no_client_auth())
}

/// Returns a configuration that trusts nobody, for connections that are not encrypted.
///
/// # Errors
///
/// Fails with [`ClientError::Unreachable`] if TLS cannot be set up.
pub fn trusting_nobody() -> Result<ClientConfig, ClientError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(builder(provider)?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn builder(
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, ClientError> {
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Unreachable(format!("cannot set up TLS: {error}")))
}

fn read(file: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let refuse = |error: &dyn std::fmt::Display| {
        ClientError::Name(format!("cannot use the certificates in `{}`: {error}", file.display()))
    };
    let found = CertificateDer::pem_file_iter(file).map_err(|error| refuse(&error))?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(|error| refuse(&error))?;
    if found.is_empty() {
        return Err(refuse(&"it contains none; write them as PEM"));
    }
    let mut store = RootCertStore::empty();
    for authority in &found {
        store.add(authority.clone()).map_err(|error| refuse(&error))?;
    }
    Ok(found)
}
