//! Bin packing that preserves the order of the items, so that neighbours stay together.

/// Packs items into bins of at most `limit`, one bin after the other: an item that does not fit closes the
/// bin. `weigh` returns the weight of an item; an item heavier than `limit` gets a bin of its own.
///
/// This is Java's `BinPacking.ListPacker` with a look-back of 1, as used by its rewrite planner.
pub fn bin_pack<T>(items: impl IntoIterator<Item = T>, limit: i64, weigh: impl Fn(&T) -> i64) -> Vec<Vec<T>> {
    let mut bins: Vec<Vec<T>> = Vec::new();
    let mut remaining = 0;
    for item in items {
        let weight = weigh(&item).max(0);
        if let Some(bin) = bins.last_mut().filter(|_| weight <= remaining) {
            bin.push(item);
            remaining -= weight;
        } else {
            bins.push(vec![item]);
            remaining = limit.saturating_sub(weight);
        }
    }
    bins
}
