//! Lookup of a warehouse by its name, live or as of an instant.

use std::sync::PoisonError;

use crate::planning_mode::ScanPlanningMode;
use crate::store::catalog::warehouses;

use super::Warehouses;
use super::error::WarehouseError;
use super::warehouse::Warehouse;

/// Age in milliseconds below which an instant may still be written to by a transaction in progress, or may be
/// in the future by the clock of the database.
const SETTLED_AFTER_MS: i64 = 60_000;

impl Warehouses {
    /// Returns the warehouse of `name` (its name, or `name@instant`). Access is not checked.
    ///
    /// # Errors
    ///
    /// Fails if the warehouse does not exist ([`WarehouseError::NoSuchWarehouse`]), if the instant cannot be
    /// parsed or is in the future ([`WarehouseError::Invalid`]), or if the database fails
    /// ([`WarehouseError::Backend`]).
    pub async fn find_unauthorized(&self, name: &str) -> Result<Warehouse, WarehouseError> {
        let Some((base, instant)) = name.split_once('@') else {
            return self.find_live(name).await;
        };
        let warehouse = self.find_live(base).await?;
        let instant_ms = parse_instant(instant)?;
        let at_ms = self.db.history_ms(instant_ms);
        if instant_ms > self.clock.now_ms() - SETTLED_AFTER_MS {
            self.require_settled(name, at_ms).await?;
        }
        Ok(Warehouse { at_ms: Some(at_ms), instant_ms: Some(instant_ms), ..warehouse })
    }

    /// Ensures that nothing can be written to the history at the instant any more.
    async fn require_settled(&self, name: &str, at_ms: i64) -> Result<(), WarehouseError> {
        let settled_ms = self.db.settle(self.clock.now_ms()).await?;
        if at_ms < settled_ms {
            return Ok(());
        }
        if at_ms == settled_ms {
            // For the current instant, waiting until the millisecond has passed is acceptable.
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            if at_ms < self.db.settle(self.clock.now_ms()).await? {
                return Ok(());
            }
        }
        Err(WarehouseError::Invalid(format!("Invalid warehouse `{name}`: the instant is in the future")))
    }

    /// Returns the live warehouse of `name`. Its store is opened when it is looked up for the first time.
    pub(super) async fn find_live(&self, name: &str) -> Result<Warehouse, WarehouseError> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(warehouse) = known {
            return Ok(warehouse);
        }
        // PostgreSQL's text type cannot store this character.
        if name.contains('\0') {
            return Err(WarehouseError::NoSuchWarehouse(name.to_owned()));
        }
        match warehouses::find(&self.db, name).await? {
            Some(row) => self.insert(row, ScanPlanningMode::Unset).await,
            None => Err(WarehouseError::NoSuchWarehouse(name.to_owned())),
        }
    }
}

fn parse_instant(text: &str) -> Result<i64, WarehouseError> {
    if let Ok(at_ms) = text.parse::<i64>() {
        return Ok(at_ms);
    }
    // A `+` that a client did not escape arrives as a space.
    match text.replace(' ', "+").parse::<jiff::Timestamp>() {
        Ok(instant) => Ok(instant.as_millisecond()),
        Err(error) => Err(WarehouseError::Invalid(format!(
            "Invalid instant `{text}`: write an RFC 3339 timestamp as in `main@2026-11-20T10:00:00Z` ({error})"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_rfc_3339_or_milliseconds() {
        let expected = 1_795_168_800_000;
        for text in [
            "2026-11-20T10:00:00Z",
            "2026-11-20T11:00:00+01:00",
            "2026-11-20T11:00:00 01:00",
            "1795168800000",
        ] {
            assert_eq!(parse_instant(text).unwrap(), expected, "{text}");
        }
        for text in ["", "yesterday", "2026-11-20", "2026-11-20T10:00:00"] {
            assert!(parse_instant(text).is_err(), "{text}");
        }
    }
}
