//! Proxy for a catalog, from the environment: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, as
//! curl reads them. The library would read them too, but without an error for a proxy that it cannot use. A
//! value that is no address is ignored, here as there.

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{Proxy, Url};
use storage::metadata_service;

use super::address::Route;
use super::error::ClientError;

/// Proxy, and whether the connection to it is encrypted.
pub struct ChosenProxy {
    /// Proxy for every request of the client.
    pub proxy: Proxy,
    /// `true` if TLS is used to the proxy itself.
    pub is_https: bool,
}

/// Returns the proxy for a catalog, or `None` for a direct connection. This machine itself is always reached
/// directly, since a proxy elsewhere cannot lead to it.
///
/// # Errors
///
/// Fails with [`ClientError::Name`] if the proxy speaks SOCKS, or is the metadata service
/// of a cloud.
pub fn choose(url: &Url, route: Route, environment: &Matcher) -> Result<Option<ChosenProxy>, ClientError> {
    if route == Route::Direct || is_loopback(url) {
        return Ok(None);
    }
    let uri = url.as_str().parse().map_err(|_| ClientError::Name(format!("`{url}` is not an address")))?;
    let Some(chosen) = environment.intercept(&uri) else { return Ok(None) };
    let at = chosen.uri();
    let name = || format!("the proxy `{at}` of the environment");
    if !matches!(at.scheme_str(), Some("http" | "https")) {
        let hint = "use an HTTP proxy, or exclude the catalog's host with `NO_PROXY`";
        return Err(ClientError::Name(format!("{} is not an HTTP proxy; {hint}", name())));
    }
    if metadata_service::is_host(at.host().unwrap_or_default()) {
        let error =
            format!("{} is the address of a cloud's metadata service, to which requests are refused", name());
        return Err(ClientError::Name(error));
    }
    let proxy = Proxy::all(at.to_string())
        .map_err(|error| ClientError::Name(format!("{} cannot be used: {error}", name())))?;
    let proxy = match chosen.basic_auth() {
        Some(credentials) => proxy.custom_http_auth(credentials.clone()),
        None => proxy,
    };
    Ok(Some(ChosenProxy { proxy, is_https: at.scheme_str() == Some("https") }))
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(uri: &str, route: Route, proxy: &str) -> Result<bool, ClientError> {
        let environment = Matcher::builder().all(proxy).no("internal.example").build();
        let url = Url::parse(uri).unwrap();
        choose(&url, route, &environment).map(|proxy| proxy.is_some())
    }

    #[test]
    fn the_environment_names_the_proxy_except_for_this_machine() {
        let proxy = "http://proxy.example:3128";
        assert!(chosen("https://catalog.example", Route::Environment, proxy).unwrap());
        assert!(!chosen("https://catalog.example", Route::Direct, proxy).unwrap());
        assert!(!chosen("https://a.internal.example", Route::Environment, proxy).unwrap());
        for uri in ["http://localhost:8181", "http://127.0.0.7", "http://[::1]:8181"] {
            assert!(!chosen(uri, Route::Environment, proxy).unwrap(), "{uri}");
        }
    }

    #[test]
    fn a_value_that_is_no_address_of_a_proxy_is_ignored() {
        for proxy in ["", "no address", "ftp://proxy.example", "/proxy"] {
            assert!(!chosen("https://catalog.example", Route::Environment, proxy).unwrap(), "{proxy}");
        }
        assert!(chosen("https://catalog.example", Route::Environment, "proxy.example:3128").unwrap());
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_an_error() {
        for proxy in ["socks5://proxy.example:1080", "http://169.254.169.254:80"] {
            let error = chosen("https://catalog.example", Route::Environment, proxy).unwrap_err();
            assert!(matches!(error, ClientError::Name(_)), "{error}");
        }
    }
}
