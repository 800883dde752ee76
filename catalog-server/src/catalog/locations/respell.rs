//! Correction of claims on folders that an older version stored in another spelling.

use table_core::location::Location;

use crate::store::catalog::locations;
use crate::store::maintenance::jobs;

use super::LocationClaims;
use super::error::OwnershipError;

/// Maximum number of purges that are examined when the server starts.
const PURGES_MAX: u32 = 10_000;

impl LocationClaims {
    /// Corrects claims that an older version stored with percent-encoded characters decoded, so that they
    /// name a different folder than the table or the purge has.
    ///
    /// # Errors
    ///
    /// Fails if the database fails ([`OwnershipError::Backend`]).
    pub async fn respell_claims(&self) -> Result<(), OwnershipError> {
        let mut wrong = locations::list_encoded(&self.db).await?;
        for job in jobs::list_of_server(&self.db, PURGES_MAX).await? {
            let purge = serde_json::from_str::<serde_json::Value>(&job.options).unwrap_or_default();
            let prefixes = purge["prefixes"].as_array().into_iter().flatten();
            wrong.extend(prefixes.filter_map(|prefix| Some((job.job_id, prefix.as_str()?.to_owned()))));
        }
        for (owner, text) in wrong {
            let Ok(location) = Location::parse_file(&text) else { continue };
            let Some(decoded) = location.decoded_prefix() else { continue };
            let mut tx = self.db.write(self.clock.now_ms()).await?;
            locations::respell(&mut tx, owner, &decoded, &location.prefix()).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}
