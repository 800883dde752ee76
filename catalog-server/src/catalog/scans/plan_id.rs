//! Ids of plans that were completed in their first response. Such plans are not stored, so the id itself
//! proves that it was issued by this catalog for the table and the caller: half of it is random, the other
//! half is a signature.
//!
//! Both kinds of plan ids are UUIDs: these ids have version 8; those of submitted plans, which have a row in
//! the database, have version 4.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use uuid::Uuid;

use crate::id;

/// Prefix that separates these signatures from those of plan tasks, which use the same key.
const PURPOSE: &[u8] = b"plan-id";

/// Creates an id for a plan of `caller` on `table`.
pub(in crate::catalog) fn new(key: &[u8], table: Uuid, caller: &str) -> Uuid {
    let (random, _) = id::random().as_u64_pair();
    // The version bits are set before signing, so that the signed value equals the one in the id.
    let marked = id::custom(random, 0).as_u64_pair().0;
    signed(key, table, caller, marked)
}

/// Returns `true` if an id was created by [`new`] for `table` and `caller` with this key.
pub(in crate::catalog) fn is_ours(key: &[u8], table: Uuid, caller: &str, plan_id: Uuid) -> bool {
    signed(key, table, caller, plan_id.as_u64_pair().0) == plan_id
}

fn signed(key: &[u8], table: Uuid, caller: &str, random: u64) -> Uuid {
    // HMAC accepts keys of any length.
    #[expect(clippy::expect_used, reason = "cannot fail for HMAC")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(PURPOSE);
    mac.update(&random.to_be_bytes());
    mac.update(table.as_bytes());
    mac.update(caller.as_bytes());
    let tag = mac.finalize().into_bytes();
    let signature = tag.iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte));
    id::custom(random, signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_for_its_table_and_caller_only() {
        let (table, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for _ in 0..100 {
            let plan_id = new(b"key", table, "alice");
            assert_eq!(plan_id.get_version_num(), 8);
            assert!(is_ours(b"key", table, "alice", plan_id));
            assert!(!is_ours(b"key", other, "alice", plan_id));
            assert!(!is_ours(b"key", table, "bob", plan_id));
            assert!(!is_ours(b"other", table, "alice", plan_id));
            for bit in 0..128 {
                assert!(
                    !is_ours(b"key", table, "alice", Uuid::from_u128(plan_id.as_u128() ^ 1 << bit)),
                    "{bit}"
                );
            }
        }
        assert!(!is_ours(b"key", table, "alice", id::random()));
    }
}
