//! `POST /v1/oauth/tokens`: where clients with a `credential` ask for a token. There is none to be had yet.

use axum::http::StatusCode;

use super::error::ApiError;

/// The path of the endpoint.
pub const PATH: &str = "/v1/oauth/tokens";

/// Tells a client that it needs no token. The form that it sends is not looked at.
///
/// 406 is what the protocol names for operations that are not supported; clients would read 400 and 401 as answers of a
/// token service.
pub async fn unsupported() -> ApiError {
    ApiError::new(
        StatusCode::NOT_ACCEPTABLE,
        "UnsupportedOperationException",
        "this server issues no tokens, since it does not authenticate callers yet: remove `credential`, `token` and \
         `oauth2-server-uri` from the client's settings",
    )
}
