//! What rows are called. Ids are made by the caller (version 7 UUIDs), never here.

use std::fmt;

use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, sqlx::Type)]
        #[sqlx(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }
    };
}

id! {
    /// A warehouse.
    WarehouseId
}
id! {
    /// A namespace. A namespace dropped and created again under the same path has another id.
    NamespaceId
}
id! {
    /// A table or a view in the catalog, whatever it is called and wherever its metadata lies. Not
    /// the table's own UUID, which its metadata carries and a register may bring twice.
    TabularId
}
