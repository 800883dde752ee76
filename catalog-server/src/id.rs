//! Generation of identifiers. It is the only caller of the constructors of UUIDs.

use uuid::Uuid;

/// Returns a random UUID (version 4), for identifiers that clients see: table and view UUIDs, file names.
#[expect(clippy::disallowed_methods, reason = "the one caller of UUID constructors")]
pub fn random() -> Uuid {
    Uuid::new_v4()
}

/// Returns a custom UUID (version 8) made of the given bits, except for the six bits that version and variant
/// replace.
pub fn custom(high: u64, low: u64) -> Uuid {
    let mut bytes = [0; 16];
    let (front, back) = bytes.split_at_mut(8);
    front.copy_from_slice(&high.to_be_bytes());
    back.copy_from_slice(&low.to_be_bytes());
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Returns an unpredictable key to sign with. It consists of two random UUIDs, so it has 244 random bits: 256
/// less the twelve that mark the halves as UUIDs.
pub fn secret() -> [u8; 32] {
    let mut secret = [0; 32];
    let (one, two) = secret.split_at_mut(16);
    one.copy_from_slice(random().as_bytes());
    two.copy_from_slice(random().as_bytes());
    secret
}

/// Returns a UUID that sorts by its time of creation (version 7), for rows that are read in that order.
#[expect(clippy::disallowed_methods, reason = "the one caller of UUID constructors")]
pub fn ordered() -> Uuid {
    Uuid::now_v7()
}
