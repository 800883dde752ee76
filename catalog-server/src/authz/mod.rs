//! Authorization: decides whether a caller may do an action on an object.
//!
//! [`decide`] is a pure function, and the only one that decides. The use cases call it through
//! [`Authorizer::check`], in the functions that load an object (`Tables::require`, `Namespaces::require`, …) or
//! where they find one that may not exist yet, so that no use case gets an object without a decision.

pub mod action;

use metrics::Counter;
use uuid::Uuid;

use crate::request::{Caller, CallerKind};
use crate::store::ids::{NamespaceId, TabularId, WarehouseId};

use action::Action;

/// Object that an action is done on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// The whole server.
    Server,
    /// Warehouse.
    Warehouse(WarehouseId),
    /// Namespace.
    Namespace(NamespaceId),
    /// Table or view.
    Tabular(TabularId),
    /// Maintenance job.
    Job(Uuid),
}

/// Decision about an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The caller may do it.
    Allowed,
    /// The caller may not do it, but may know that the object exists.
    Forbidden,
    /// The caller may not know that the object exists.
    Invisible,
}

/// Decides whether `caller` may do `action` on `resource`.
///
/// The administrator of local mode and the server itself may do everything.
pub fn decide(caller: &Caller, _action: Action, _resource: Resource) -> Decision {
    match caller.identity().kind {
        CallerKind::LocalAdministrator | CallerKind::System => Decision::Allowed,
    }
}

/// Makes decisions, and counts them by action in `firn_authorization_decisions_total`.
pub struct Authorizer {
    /// Counter of allowed requests of each action, in the order of [`Action::ALL`].
    allowed: Vec<Counter>,
}

impl Authorizer {
    /// Creates an authorizer. It counts with the metrics recorder that is installed by then.
    pub fn new() -> Self {
        Self { allowed: Action::ALL.iter().map(|action| counter(*action, "allowed")).collect() }
    }

    /// Decides whether `caller` may do `action` on `resource`, and counts the decision.
    pub fn check(&self, caller: &Caller, action: Action, resource: Resource) -> Decision {
        let decision = decide(caller, action, resource);
        match (decision, self.allowed.get(action as usize)) {
            (Decision::Allowed, Some(counter)) => counter.increment(1),
            (Decision::Allowed, None) => counter(action, "allowed").increment(1),
            (Decision::Forbidden, _) => counter(action, "forbidden").increment(1),
            (Decision::Invisible, _) => counter(action, "invisible").increment(1),
        }
        decision
    }
}

impl Default for Authorizer {
    fn default() -> Self {
        Self::new()
    }
}

fn counter(action: Action, decision: &'static str) -> Counter {
    metrics::counter!("firn_authorization_decisions_total", "action" => action.as_str(), "decision" => decision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_administrator_and_the_server_may_do_everything() {
        for caller in [Caller::local_administrator(), Caller::system()] {
            for action in Action::ALL {
                assert_eq!(decide(&caller, action, Resource::Server), Decision::Allowed, "{action:?}");
            }
        }
    }

    #[test]
    fn every_action_has_a_counter_at_its_own_index() {
        assert!(Action::ALL.iter().enumerate().all(|(index, action)| *action as usize == index));
    }
}
