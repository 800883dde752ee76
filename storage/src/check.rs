//! Check of what can be done with the files below a location.

use bytes::Bytes;
use table_core::location::Location;

use crate::error::StorageError;
use crate::place::Place;
use crate::store::Store;

/// Name of the file that a check writes and deletes.
const PROBE: &str = ".firn-check";
/// Maximum number of files that are listed.
const LISTED_MAX: usize = 100_000;

/// Result of the check of one ability: `write`, `read`, `list`, `conditional-write` or `delete`.
pub type AbilityCheck = (&'static str, Result<(), StorageError>);

/// Checks, with a new file below `root`, that files can be written, read, listed and deleted, and that an existing one
/// is not overwritten unless `may_overwrite`. The first check that fails is the last result; the file is deleted in any
/// case.
pub async fn check(store: &dyn Store, root: &Location, may_overwrite: bool) -> Vec<AbilityCheck> {
    let places = Place::below(root, root).and_then(|folder| {
        let probe = Location::parse_file(&format!("{}/{PROBE}", root.normal()))?;
        Ok((folder, Place::below(root, &probe)?))
    });
    let (folder, probe) = match places {
        Ok(places) => places,
        Err(error) => return vec![("write", Err(error))],
    };
    let content = Bytes::from_static(PROBE.as_bytes());
    // A process that was killed during a check may have left the file. If it cannot be deleted, writing fails.
    drop(store.delete(&probe).await);
    let mut results = Vec::new();
    for name in ["write", "read", "list", "conditional-write", "delete"] {
        let result = match name {
            "conditional-write" if may_overwrite => continue,
            "write" => store.write_new(&probe, content.clone()).await,
            "read" => store
                .read(&probe, PROBE.len())
                .await
                .and_then(|read| expect(read == content, &probe, "it has another content")),
            "list" => store.list(&folder, LISTED_MAX).await.and_then(|listed| {
                expect(listed.iter().any(|file| file.name == PROBE), &probe, "it is not listed")
            }),
            "conditional-write" => match store.write_new(&probe, content.clone()).await {
                Err(StorageError::AlreadyExists(_)) => Ok(()),
                Err(error) => Err(error),
                Ok(()) => expect(
                    false,
                    &probe,
                    "an existing file was overwritten; if the store cannot prevent that, set `conditional-writes` to false",
                ),
            },
            _ => store.delete(&probe).await,
        };
        let has_failed = result.is_err();
        results.push((name, result));
        if has_failed {
            // What went wrong is known already.
            drop(store.delete(&probe).await);
            break;
        }
    }
    results
}

fn expect(holds: bool, probe: &Place, otherwise: &'static str) -> Result<(), StorageError> {
    if holds {
        return Ok(());
    }
    Err(StorageError::io("check", probe.as_str(), std::io::Error::other(otherwise)))
}
