//! New identifiers. It is the one caller of UUID constructors.

use uuid::Uuid;

/// A random identifier, for what clients see: table and view UUIDs, file names.
#[expect(clippy::disallowed_methods, reason = "the one caller of UUID constructors")]
pub fn random() -> Uuid {
    Uuid::new_v4()
}

/// An identifier of one's own making (version 8): what is left of two halves once it is marked as such.
pub fn custom(high: u64, low: u64) -> Uuid {
    let mut bytes = [0; 16];
    let (front, back) = bytes.split_at_mut(8);
    front.copy_from_slice(&high.to_be_bytes());
    back.copy_from_slice(&low.to_be_bytes());
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Random bytes that nobody can guess, to sign with: as much randomness as SHA-256 has bits, less the twelve that mark
/// the two as UUIDs.
pub fn secret() -> [u8; 32] {
    let mut secret = [0; 32];
    let (one, two) = secret.split_at_mut(16);
    one.copy_from_slice(random().as_bytes());
    two.copy_from_slice(random().as_bytes());
    secret
}

/// An identifier that sorts by the time it was made, for rows that are read in that order.
#[expect(clippy::disallowed_methods, reason = "the one caller of UUID constructors")]
pub fn ordered() -> Uuid {
    Uuid::now_v7()
}
