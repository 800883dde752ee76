//! Requests without a prefix, from clients that do not call `/v1/config` or ignore its prefix: they use the
//! default warehouse.

use axum::http::uri::PathAndQuery;
use axum::http::{Request, Uri};

/// Path segments that follow `/v1/` directly if the prefix is missing. No warehouse may have such a name.
const FIRST_SEGMENTS: [&str; 4] = ["namespaces", "tables", "views", "transactions"];

/// Inserts the prefix of the default warehouse into a path without one, so that routing, limits, metrics and
/// idempotency keys see a single form of each request.
///
/// ```text
/// /v1/namespaces/sales/tables  ->  /v1/main/namespaces/sales/tables
/// ```
pub fn with_prefix<B>(mut request: Request<B>, prefix: &str) -> Request<B> {
    if let Some(uri) = prefixed(request.uri(), prefix) {
        *request.uri_mut() = uri;
    }
    request
}

fn prefixed(uri: &Uri, prefix: &str) -> Option<Uri> {
    let path_and_query = uri.path_and_query()?.as_str();
    let rest = path_and_query.strip_prefix("/v1/")?;
    let first = rest.split(['/', '?']).next()?;
    if !FIRST_SEGMENTS.contains(&first) {
        return None;
    }
    let mut parts = uri.clone().into_parts();
    // A path that is too long with the prefix is left unchanged, and no route matches it.
    parts.path_and_query = Some(PathAndQuery::try_from(format!("/v1/{prefix}/{rest}")).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RESERVED_NAMES;

    #[test]
    fn no_warehouse_has_a_name_that_a_path_without_prefix_begins_with() {
        assert!(FIRST_SEGMENTS.iter().all(|name| RESERVED_NAMES.contains(name)));
    }

    #[test]
    fn a_prefix_is_put_where_none_is() {
        for (sent, expected) in [
            ("/v1/namespaces", Some("/v1/main/namespaces")),
            ("/v1/namespaces?parent=a%1Fb", Some("/v1/main/namespaces?parent=a%1Fb")),
            ("/v1/namespaces/a%2Fb/tables/t", Some("/v1/main/namespaces/a%2Fb/tables/t")),
            ("/v1/namespaces/namespaces", Some("/v1/main/namespaces/namespaces")),
            ("/v1/tables/rename", Some("/v1/main/tables/rename")),
            ("/v1/views/rename", Some("/v1/main/views/rename")),
            ("/v1/transactions/commit", Some("/v1/main/transactions/commit")),
            ("http://localhost/v1/namespaces", Some("http://localhost/v1/main/namespaces")),
            ("/v1/main/namespaces", None),
            ("/v1/main/tables/rename", None),
            ("/v1/config", None),
            ("/v1/", None),
            ("/health/live", None),
            ("/v1/namespacesx", None),
        ] {
            let uri = Uri::from_static(sent);
            assert_eq!(prefixed(&uri, "main").map(|uri| uri.to_string()).as_deref(), expected, "{sent}");
        }
    }
}
