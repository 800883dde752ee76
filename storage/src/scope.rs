//! What a holder may touch: folders whose files it may write and delete, and what else it may read. It opens nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use table_core::location::Location;

use crate::error::StorageError;
use crate::place::Place;

/// Answers whether a file outside of a holder's own folders may be read: with a folder, all of which may be read, or not at all.
pub type Ask = dyn Fn(&Location) -> Result<Option<Location>, StorageError> + Send + Sync;

/// The folders that a holder may touch.
#[derive(Clone, Default)]
pub struct Scope {
    /// No link is followed below these.
    roots: Vec<Location>,
    own: Vec<Location>,
    reads: Reads,
}

/// What may be read outside of a holder's own folders.
#[derive(Clone, Default)]
pub enum Reads {
    /// Nothing.
    #[default]
    Own,
    /// Everything below the roots.
    BelowRoots,
    /// Every file that the process may read: for somebody who works with their own rights.
    Anywhere,
    /// What somebody else answers, once for each folder.
    Asked(Asked),
}

/// Somebody who is asked, and the answers so far.
#[derive(Clone)]
pub struct Asked {
    ask: Arc<Ask>,
    /// By the normal form of the folder that a file lies in.
    known: Arc<Mutex<BTreeMap<String, bool>>>,
    /// Folders that were answered.
    readable: Arc<Mutex<Vec<Location>>>,
}

/// Folders whose answers are kept; beyond that they are asked for again.
const KNOWN_MAX: usize = 100_000;

impl Scope {
    /// A scope below some roots. Own folders that lie in none of them are roots themselves.
    pub fn new(roots: Vec<Location>, own: Vec<Location>, reads: Reads) -> Scope {
        Scope { roots, own, reads }
    }

    /// Allows to read a file.
    ///
    /// Fails with [`StorageError::NotReadable`] if the holder may not.
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

    /// Allows to write or delete a file.
    ///
    /// Fails with [`StorageError::NotOwn`] if it does not lie in one of the holder's own folders.
    pub fn write(&self, text: &str) -> Result<Place, StorageError> {
        let location = Location::parse_file(text)?;
        let is_inside = |folder: &Location| folder.contains(&location) && folder != &location;
        if !self.own.iter().any(is_inside) {
            return Err(StorageError::NotOwn(text.to_owned()));
        }
        self.place(&location)
    }

    /// Allows to fill or empty a folder: one of the holder's own, or one inside it.
    ///
    /// Fails with [`StorageError::NotOwn`] if it is not.
    pub fn folder(&self, text: &str) -> Result<Place, StorageError> {
        let location = Location::parse_file(text)?;
        if !self.owns(&location) {
            return Err(StorageError::NotOwn(text.to_owned()));
        }
        self.place(&location)
    }

    /// Whether a location lies in the holder's own folders.
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
        // Somebody's own rights: links to the folder are theirs, but a file is not looked for behind one.
        let normal = location.normal();
        let folder = normal.rsplit_once('/').map_or(normal, |(folder, _)| folder);
        Place::below(&Location::parse_file(folder)?, location)
    }

    /// The innermost root that contains a location.
    fn root_of(&self, location: &Location) -> Option<&Location> {
        let roots = self.roots.iter().filter(|root| root.contains(location));
        roots.max_by_key(|root| root.normal().len())
    }
}

impl Asked {
    /// Asks `ask` for what is not known yet; everything in `readable` may be read.
    pub fn new(readable: Vec<Location>, ask: Arc<Ask>) -> Asked {
        Asked { ask, known: Arc::default(), readable: Arc::new(Mutex::new(readable)) }
    }

    fn may_read(&self, location: &Location) -> Result<bool, StorageError> {
        // What a thread that panicked has left is as good as any other.
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
        // What is said of a file alone is known by its folder from now on.
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
