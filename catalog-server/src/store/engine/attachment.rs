//! Value that a subject keeps in memory with an open database, such as a cache. The engine does not know its
//! type.

use std::any::Any;
use std::sync::Arc;

/// Value kept with an open database, if there is one. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Attachment(Option<Arc<dyn Any + Send + Sync>>);

impl Attachment {
    pub(super) fn new<T: Any + Send + Sync>(value: T) -> Self {
        Self(Some(Arc::new(value)))
    }

    /// Returns the value if it is a `T`. This neither locks nor allocates.
    pub(super) fn get<T: Any>(&self) -> Option<&T> {
        self.0.as_deref().and_then(|value| value.downcast_ref())
    }

    /// Returns shared ownership of the value if it is a `T`.
    pub(super) fn shared<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.0.clone().and_then(|value| value.downcast().ok())
    }
}
