//! Decisions about access, as the use cases ask for them. The decision itself is made by [`crate::authz`].

use crate::authz::action::Action;
use crate::authz::{Authorizer, Decision, Resource};
use crate::request::Request;

/// The caller may not do the operation, or the warehouse is a read-only view.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Forbidden(pub String);

/// Checks that the caller may do `action` on an object that was loaded.
///
/// # Errors
///
/// Fails with [`Forbidden`] if it may not; with the error that `missing` makes if it may not even know that
/// the object exists.
pub fn authorize<E: From<Forbidden>>(
    authorizer: &Authorizer,
    request: &Request,
    action: Action,
    resource: Resource,
    missing: impl FnOnce() -> E,
) -> Result<(), E> {
    match authorizer.check(&request.caller, action, resource) {
        Decision::Allowed => Ok(()),
        Decision::Forbidden => Err(E::from(Forbidden(format!(
            "`{}` has no right to `{}` here; ask an administrator for a grant",
            request.caller.id(),
            action.as_str()
        )))),
        Decision::Invisible => Err(missing()),
    }
}
