//! Endpoint `POST /v1/oauth/tokens`, from which clients with a `credential` request a token. No tokens are
//! issued yet.

use axum::http::StatusCode;

use super::error::ApiError;

/// Path of the endpoint.
pub const PATH: &str = "/v1/oauth/tokens";

/// Rejects a token request with the advice to remove the credentials. The form in the body is ignored.
///
/// The status is 406, which the protocol specifies for unsupported operations; clients would interpret 400
/// and 401 as responses of a token service.
pub async fn unsupported() -> ApiError {
    ApiError::new(
        StatusCode::NOT_ACCEPTABLE,
        "UnsupportedOperationException",
        "this server issues no tokens, since it does not authenticate callers yet: remove `credential`, `token` and \
         `oauth2-server-uri` from the client's settings",
    )
}
