//! Permissions of a caller: folders in which it may write and delete files, and other files that it may read.
//! No file is opened here.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use table_core::location::Location;

use crate::error::StorageError;
use crate::place::Place;

/// Function that decides whether a file outside of the caller's own folders may be read. It returns a folder
/// that contains the file and is readable as a whole, or the location of the file itself; `None` if the file
/// must not be read.
pub type Ask = dyn Fn(&Location) -> Result<Option<Location>, StorageError> + Send + Sync;

/// Set of folders and files that a caller, such as a maintenance job, may access.
///
/// ```text
/// let scope = Scope::new(vec![warehouse], vec![table_folder], Reads::BelowRoots);
/// let place = scope.read("file:///srv/warehouse/t/data/1.parquet")?;
/// let bytes = store.read(&place, limit_bytes).await?;
/// scope.write("file:///srv/warehouse/other/1.parquet")  ->  StorageError::NotOwn
/// ```
#[derive(Clone, Default)]
pub struct Scope {
    /// Folders below which no symbolic link is followed.
    roots: Vec<Location>,
    own: Vec<Location>,
    reads: Reads,
}

/// Files outside of the caller's own folders that may be read.
#[derive(Clone, Default)]
pub enum Reads {
    /// No files.
    #[default]
    Own,
    /// All files below the roots.
    BelowRoots,
    /// All files that the process may read, for a user who runs it with their own permissions.
    Anywhere,
    /// Files that a function permits, which is called at most once per folder.
    Asked(Asked),
}

/// Function that permits reads, with a cache of its answers. Clones share the cache.
#[derive(Clone)]
pub struct Asked {
    ask: Arc<Ask>,
    /// Answers by the normal form of the folder of the file.
    known: Arc<Mutex<BTreeMap<String, bool>>>,
    /// Folders that are readable as a whole.
    readable: Arc<Mutex<Vec<Location>>>,
}

/// Maximum number of cached answers. Beyond that, the cache is cleared, and answers are requested again.
const KNOWN_MAX: usize = 100_000;

impl Scope {
    /// Creates a scope with these roots, and with own folders in which files may be written and deleted. An
    /// own folder that is in none of the roots is a root itself.
    pub fn new(roots: Vec<Location>, own: Vec<Location>, reads: Reads) -> Scope {
        Scope { roots, own, reads }
    }

    /// Permits reading a file, and returns its place.
    ///
    /// # Errors
    ///
    /// Fails with [`StorageError::NotReadable`] if the caller must not read the file, with
    /// [`StorageError::Location`] if the text is not a valid location, and with
    /// [`StorageError::UnsupportedScheme`] if no store has its scheme. Also fails if the function of
    /// [`Reads::Asked`] fails.
    pub fn read(&self, text: &str) -> Result<Place, StorageError> {
        let location = Location::parse_file(text)?;
        let is_allowed = self.owns(&location)
            || match &self.reads {
                Reads::Own => false,
                Reads::BelowRoots => self.root_of(&location).is_some(),
                Reads::Anywhere => true,
                Reads::Asked(asked) => asked.may_read(&location)?,
            };
        if !is_allowed {
            return Err(StorageError::NotReadable(text.to_owned()));
        }
        self.place(&location)
    }

    /// Permits writing or deleting a file, and returns its place.
    ///
    /// # Errors
    ///
    /// Fails with [`StorageError::NotOwn`] if the file is not inside one of the caller's own folders, with
    /// [`StorageError::Location`] if the text is not a valid location, and with
    /// [`StorageError::UnsupportedScheme`] if no store has its scheme.
    pub fn write(&self, text: &str) -> Result<Place, StorageError> {
        let location = Location::parse_file(text)?;
        let is_inside = |folder: &Location| folder.contains(&location) && folder != &location;
        if !self.own.iter().any(is_inside) {
            return Err(StorageError::NotOwn(text.to_owned()));
        }
        self.place(&location)
    }

    /// Permits creating files in a folder and deleting its content, and returns its place. The folder may be
    /// one of the caller's own folders or inside one.
    ///
    /// # Errors
    ///
    /// Fails with [`StorageError::NotOwn`] if the folder is neither, with [`StorageError::Location`] if the
    /// text is not a valid location, and with [`StorageError::UnsupportedScheme`] if no store
    /// has its scheme.
    pub fn folder(&self, text: &str) -> Result<Place, StorageError> {
        let location = Location::parse_file(text)?;
        if !self.owns(&location) {
            return Err(StorageError::NotOwn(text.to_owned()));
        }
        self.place(&location)
    }

    /// Returns `true` if a location is one of the caller's own folders or inside one.
    pub fn owns(&self, location: &Location) -> bool {
        self.own.iter().any(|folder| folder.contains(location))
    }

    fn place(&self, location: &Location) -> Result<Place, StorageError> {
        if let Some(root) = self.root_of(location) {
            return Place::below(root, location);
        }
        if let Some(own) = self.own.iter().find(|folder| folder.contains(location)) {
            return Place::below(own, location);
        }
        // With `Reads::Anywhere`, users work with their own permissions: links that lead to the folder of the
        // file are followed, but the file itself must not be a link.
        let normal = location.normal();
        let folder = normal.rsplit_once('/').map_or(normal, |(folder, _)| folder);
        Place::below(&Location::parse_file(folder)?, location)
    }

    /// Returns the innermost root that contains a location.
    fn root_of(&self, location: &Location) -> Option<&Location> {
        let roots = self.roots.iter().filter(|root| root.contains(location));
        roots.max_by_key(|root| root.normal().len())
    }
}

impl Asked {
    /// Creates an empty cache in front of `ask`. Everything in the folders `readable` may be read without
    /// asking.
    pub fn new(readable: Vec<Location>, ask: Arc<Ask>) -> Asked {
        Asked { ask, known: Arc::default(), readable: Arc::new(Mutex::new(readable)) }
    }

    fn may_read(&self, location: &Location) -> Result<bool, StorageError> {
        // The set is in a valid state even if a thread panicked while it had the lock.
        let readable = || self.readable.lock().unwrap_or_else(PoisonError::into_inner);
        if readable().iter().any(|folder| folder.contains(location)) {
            return Ok(true);
        }
        let normal = location.normal();
        let folder = normal.rsplit_once('/').map_or(normal, |(folder, _)| folder);
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = known().get(folder) {
            return Ok(*answer);
        }
        let answer = (self.ask)(location)?.filter(|answer| answer.contains(location));
        let mut known = known();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(folder.to_owned(), answer.is_some());
        let is_allowed = answer.is_some();
        // An answer about a single file is cached under the file's folder only.
        if let Some(answer) = answer.filter(|answer| answer != location) {
            readable().push(answer);
        }
        Ok(is_allowed)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |locations: &[Location]| locations.iter().map(Location::to_string).collect::<Vec<_>>();
        formatter
            .debug_struct("Scope")
            .field("roots", &names(&self.roots))
            .field("own", &names(&self.own))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Location {
        Location::parse(text).unwrap()
    }

    #[test]
    fn only_what_lies_in_an_own_folder_is_written() {
        let scope = Scope::new(vec![at("/w")], vec![at("/w/t"), at("file:/w/d/")], Reads::Own);
        for own in ["/w/t/x", "file:///w/t/a/b", "file:/w/d/x", "/w//t/x"] {
            assert!(scope.write(own).is_ok() && scope.read(own).is_ok(), "{own}");
        }
        for other in ["/w/t", "/w/t2/x", "/w/x", "/x", "/w/%74/x", "s3://w/t/x"] {
            assert!(matches!(scope.write(other), Err(StorageError::NotOwn(_))), "{other}");
        }
        for other in ["/w/t/../x", "w/t/x", "/w/t/a?b"] {
            assert!(matches!(scope.write(other), Err(StorageError::Location(_))), "{other}");
        }
        assert!(scope.folder("/w/t").is_ok() && scope.folder("/w").is_err());
        assert!(matches!(scope.read("/w/x"), Err(StorageError::NotReadable(_))));
    }

    #[test]
    fn an_answer_holds_for_its_folder_and_is_asked_for_once() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        let ask: Arc<Ask> = Arc::new(move |location: &Location| {
            log.lock().unwrap().push(location.normal().to_owned());
            Ok(location.normal().contains("/free/").then(|| at("/w/free")))
        });
        let scope =
            Scope::new(vec![at("/w")], vec![at("/w/t")], Reads::Asked(Asked::new(vec![at("/x/read")], ask)));
        for file in ["/w/t/x", "/x/read/1", "/w/free/a/1", "/w/free/b/2"] {
            assert!(scope.read(file).is_ok(), "{file}");
        }
        for file in ["/w/u/1", "/w/u/2", "/w/free2/1"] {
            assert!(scope.read(file).is_err(), "{file}");
        }
        assert_eq!(
            *asked.lock().unwrap(),
            ["file:///w/free/a/1", "file:///w/u/1", "file:///w/free2/1"].map(str::to_owned)
        );
        assert!(scope.write("/w/free/a/1").is_err() && scope.write("/x/read/1").is_err());
    }
}
