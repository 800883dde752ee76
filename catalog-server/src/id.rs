//! New identifiers. It is the one caller of UUID constructors.

use uuid::Uuid;

/// A random identifier, for what clients see: table and view UUIDs, file names.
#[expect(clippy::disallowed_methods, reason = "the one caller of UUID constructors")]
pub fn random() -> Uuid {
    Uuid::new_v4()
}

/// An identifier that sorts by the time it was made, for rows that are read in that order.
#[expect(clippy::disallowed_methods, reason = "the one caller of UUID constructors")]
pub fn ordered() -> Uuid {
    Uuid::now_v7()
}
