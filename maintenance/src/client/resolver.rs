//! Host names of catalogs: resolved as the system does, without the addresses of metadata services.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use storage::metadata_service;

/// Resolver of the system, without the addresses of metadata services.
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let allowed = allowed(&host, found)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Returns the addresses of a host, unless one of them may be a metadata service: which one is connected to
/// is not for the name's owner to choose.
fn allowed(host: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, String> {
    match found.iter().find(|address| metadata_service::is_address(address.ip())) {
        Some(address) => {
            let address = address.ip();
            Err(format!(
                "`{host}` resolves to `{address}`, which may be a metadata service of a cloud; requests to it are refused"
            ))
        }
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leads_to_a_metadata_service_has_no_address() {
        let found = |all: &[&str]| all.iter().map(|one| SocketAddr::new(one.parse().unwrap(), 0)).collect();
        assert_eq!(allowed("a.example", found(&["192.0.2.1", "2001:db8::1"])).unwrap().len(), 2);
        assert!(allowed("a.example", found(&["192.0.2.1", "169.254.169.254"])).is_err());
        assert!(allowed("a.example", found(&["::ffff:169.254.169.254"])).is_err());
        assert!(allowed("a.example", found(&["fe80::a9fe:a9fe"])).is_err());
        assert_eq!(allowed("a.example", found(&["fe80::1"])).unwrap().len(), 1);
    }
}
