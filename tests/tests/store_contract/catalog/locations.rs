//! Claims on locations.

use catalog_server::store::catalog::locations::{self, Claim};
use tokio::join;
use uuid::Uuid;

use crate::fixture::{Fixture, new_id};

on_both_databases!(
    nested_prefixes_have_one_owner,
    sibling_prefixes_do_not_conflict,
    an_owner_may_nest_its_own_prefixes,
    a_refused_claim_leaves_nothing,
    a_released_prefix_may_be_claimed,
    a_transferred_prefix_stays_claimed,
    one_of_two_concurrent_nested_claims_wins,
    crossed_claims_do_not_deadlock,
    a_file_has_the_holder_of_the_folder_it_lies_in,
);

async fn claim(fixture: &Fixture, prefixes: &[&str], owner_id: Uuid) -> Claim {
    let mut tx = fixture.write().await;
    let claim = locations::claim(&mut tx, fixture.warehouse_id, prefixes, owner_id).await.unwrap();
    if claim == Claim::Claimed {
        tx.commit().await.unwrap();
    }
    claim
}

fn overlaps(prefix: &str, owner_id: Uuid) -> Claim {
    Claim::Overlaps { prefix: prefix.to_owned(), owner_id }
}

async fn nested_prefixes_have_one_owner(fixture: &Fixture) {
    let (owner, other) = (new_id(), new_id());
    assert_eq!(claim(fixture, &["s3://b/w/orders/"], owner).await, Claim::Claimed);
    for prefix in
        ["s3://b/w/orders/", "s3://b/w/", "s3://b/", "s3://b/w/orders/data/", "s3://b/w/orders/a/b/"]
    {
        assert_eq!(claim(fixture, &[prefix], other).await, overlaps("s3://b/w/orders/", owner), "{prefix}");
    }
}

async fn sibling_prefixes_do_not_conflict(fixture: &Fixture) {
    for prefix in [
        "s3://b/w/orders/",
        "s3://b/w/orders2/",
        "s3://b/w/orders./",
        "s3://b/w/orders0/",
        "s3://b/w/order/",
        "s3://b/w/Orders/",
        "s3://b/w/orders%2F/",
        "s3://b/w/😀/",
        "s3://b2/w/orders/",
        "gs://b/w/orders/",
        "file:///w/orders/",
    ] {
        assert_eq!(claim(fixture, &[prefix], new_id()).await, Claim::Claimed, "{prefix}");
    }
}

async fn an_owner_may_nest_its_own_prefixes(fixture: &Fixture) {
    let owner = new_id();
    assert_eq!(claim(fixture, &["s3://b/t/", "s3://b/t/data/", "s3://b/x/"], owner).await, Claim::Claimed);
    assert_eq!(claim(fixture, &["s3://b/t/", "s3://b/"], owner).await, Claim::Claimed);
    let claimed = locations::list(&fixture.db, owner).await.unwrap();
    assert_eq!(claimed, ["s3://b/", "s3://b/t/", "s3://b/t/data/", "s3://b/x/"]);
}

async fn a_refused_claim_leaves_nothing(fixture: &Fixture) {
    let (owner, other) = (new_id(), new_id());
    claim(fixture, &["s3://b/t/"], owner).await;
    let refused = claim(fixture, &["s3://b/u/", "s3://b/t/x/"], other).await;
    assert_eq!(refused, overlaps("s3://b/t/", owner));
    assert_eq!(locations::list(&fixture.db, other).await.unwrap(), Vec::<String>::new());
}

async fn a_released_prefix_may_be_claimed(fixture: &Fixture) {
    let owner = new_id();
    claim(fixture, &["s3://b/t/"], owner).await;
    let mut tx = fixture.write().await;
    locations::release(&mut tx, owner).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(claim(fixture, &["s3://b/"], new_id()).await, Claim::Claimed);
}

async fn a_transferred_prefix_stays_claimed(fixture: &Fixture) {
    let (owner, task) = (new_id(), new_id());
    claim(fixture, &["s3://b/t/"], owner).await;
    let mut tx = fixture.write().await;
    assert_eq!(locations::transfer(&mut tx, owner, task).await.unwrap(), ["s3://b/t/"]);
    tx.commit().await.unwrap();
    assert_eq!(claim(fixture, &["s3://b/t/x/"], owner).await, overlaps("s3://b/t/", task));
}

async fn one_of_two_concurrent_nested_claims_wins(fixture: &Fixture) {
    for round in 0..40 {
        let outer = format!("s3://b/{round}/");
        let inner = format!("s3://b/{round}/x/y/");
        let (outer, inner) = ([outer.as_str()], [inner.as_str()]);
        let (one, two) = join!(claim(fixture, &outer, new_id()), claim(fixture, &inner, new_id()));
        assert!((one == Claim::Claimed) ^ (two == Claim::Claimed), "{one:?} {two:?}");
    }
}

async fn crossed_claims_do_not_deadlock(fixture: &Fixture) {
    for round in 0..20 {
        let (a, b) = (format!("s3://b/{round}/a/"), format!("s3://b/{round}/b/"));
        let (inner_a, inner_b) = (format!("{a}x/"), format!("{b}x/"));
        let (first, second) = ([a.as_str(), inner_b.as_str()], [b.as_str(), inner_a.as_str()]);
        let (one, two) = join!(claim(fixture, &first, new_id()), claim(fixture, &second, new_id()));
        assert!((one == Claim::Claimed) ^ (two == Claim::Claimed), "{one:?} {two:?}");
    }
}

async fn a_file_has_the_holder_of_the_folder_it_lies_in(fixture: &Fixture) {
    let (owner, asker) = (new_id(), new_id());
    assert_eq!(claim(fixture, &["s3://b/w/orders/"], owner).await, Claim::Claimed);
    let holder = async |prefix: &str, asker: Uuid| {
        locations::find_holder(&fixture.db, fixture.warehouse_id, prefix, asker).await.unwrap()
    };
    for inside in ["s3://b/w/orders/", "s3://b/w/orders/metadata/x.avro/"] {
        assert_eq!(holder(inside, asker).await.as_deref(), Some("s3://b/w/orders/"), "{inside}");
        assert_eq!(holder(inside, owner).await, None, "{inside}");
    }
    // Parent and sibling folders.
    for outside in ["s3://b/w/", "s3://b/w/orders2/x/", "s3://b/w/order/"] {
        assert_eq!(holder(outside, asker).await, None, "{outside}");
    }
}
