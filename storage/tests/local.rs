//! Local files: the path that a scope has checked is the one that is opened, for every kind of file.

#![expect(clippy::unwrap_used, reason = "a case fails where what it counts on does not hold")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use storage::error::StorageError;
use storage::file::FileState;
use storage::local::files::LocalFiles;
use storage::scope::{Reads, Scope};
use table_core::location::Location;
use tempfile::TempDir;

struct Warehouse {
    folder: TempDir,
    files: LocalFiles,
}

impl Warehouse {
    fn new() -> Warehouse {
        Warehouse { folder: tempfile::tempdir().unwrap(), files: LocalFiles::default() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn location(&self, name: &str) -> String {
        format!("file://{}/{name}", self.folder.path().display())
    }

    /// Returns a scope of the table `t`, which may read everything in the warehouse.
    fn scope(&self) -> Scope {
        let parse = |text: &str| Location::parse(text).unwrap();
        let root = parse(self.location("").trim_end_matches('/'));
        Scope::new(vec![root], vec![parse(&self.location("t"))], Reads::BelowRoots)
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), StorageError> {
        self.files.write_new(&self.scope().write(&self.location(name))?, content, &[])
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, StorageError> {
        let place = self.scope().read(&self.location(name))?;
        self.files.read(&place, 100).map(|bytes| bytes.to_vec())
    }

    fn delete(&self, name: &str) -> Result<(), StorageError> {
        self.files.delete(&self.scope().write(&self.location(name))?)
    }
}

#[test]
fn a_file_is_written_once_read_in_parts_and_deleted_as_often_as_wanted() {
    let warehouse = Warehouse::new();
    warehouse.write("t/a/b/x", b"hello").unwrap();
    assert!(matches!(warehouse.write("t/a/b/x", b"other"), Err(StorageError::AlreadyExists(_))));
    assert_eq!(warehouse.read("t/a/b/x").unwrap(), b"hello");
    let place = warehouse.scope().read(&warehouse.location("t/a/b/x")).unwrap();
    assert_eq!(warehouse.files.read_range(&place, 1..4).unwrap(), "ell");
    assert!(warehouse.files.read_range(&place, 3..6).is_err());
    assert!(matches!(warehouse.files.read(&place, 4), Err(StorageError::TooLarge { .. })));
    let state = warehouse.files.state(&place).unwrap();
    assert!(matches!(state, FileState::Present(_)));
    // The kernel has the state of a file that was just read in its caches, where it can be queried at all.
    assert!([state, FileState::Unknown].contains(&warehouse.files.state_in_memory(&place)));
    warehouse.delete("t/a/b/x").unwrap();
    warehouse.delete("t/a/b/x").unwrap();
    assert_eq!(warehouse.files.state(&place).unwrap(), FileState::Gone);
    assert!(!matches!(warehouse.files.state_in_memory(&place), FileState::Present(_)));
    assert!(matches!(warehouse.read("t/a/b/x"), Err(StorageError::NotFound(_))));
}

#[test]
fn percent_signs_are_literal() {
    let warehouse = Warehouse::new();
    for (name, content) in [("t/x%2541", b"1"), ("t/x%41", b"2"), ("t/xA", b"3"), ("t/a%2Fb", b"4")] {
        warehouse.write(name, content).unwrap();
    }
    warehouse.delete("t/x%2541").unwrap();
    assert_eq!(warehouse.read("t/x%41").unwrap(), b"2");
    assert_eq!(warehouse.read("t/xA").unwrap(), b"3");
    assert_eq!(fs::read(warehouse.at("t/a%2Fb")).unwrap(), b"4");
    assert!(matches!(warehouse.write("%74/x", b""), Err(StorageError::NotOwn(_))));
}

#[test]
fn no_link_below_the_root_is_followed() {
    let warehouse = Warehouse::new();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    fs::create_dir_all(warehouse.at("other/data")).unwrap();
    fs::write(warehouse.at("other/data/x"), "rows").unwrap();
    fs::create_dir(warehouse.at("t")).unwrap();
    symlink(warehouse.at("other"), warehouse.at("t/inside")).unwrap();
    symlink(outside.path(), warehouse.at("t/outside")).unwrap();
    symlink(warehouse.at("other/data/x"), warehouse.at("t/file")).unwrap();
    symlink("../other/data", warehouse.at("t/relative")).unwrap();
    symlink(outside.path(), warehouse.at("ns")).unwrap();
    for name in ["t/inside/data/x", "t/outside/secret", "t/file", "t/relative/x", "ns/secret"] {
        assert!(matches!(warehouse.read(name), Err(StorageError::Link(_))), "{name} is read");
    }
    let behind = warehouse.scope().read(&warehouse.location("t/outside/secret")).unwrap();
    assert!(matches!(warehouse.files.state(&behind), Err(StorageError::Link(_))));
    for name in ["t/inside/data/new", "t/outside/new", "t/relative/new", "t/inside/new/x"] {
        assert!(matches!(warehouse.write(name, b""), Err(StorageError::Link(_))), "{name} is written");
    }
    for name in ["t/inside/data/x", "t/outside/secret", "t/relative/x"] {
        assert!(matches!(warehouse.delete(name), Err(StorageError::Link(_))), "{name} is deleted");
    }
    // A symbolic link in the place of a file is deleted itself.
    warehouse.delete("t/file").unwrap();
    let below = warehouse.scope().folder(&warehouse.location("t")).unwrap();
    assert_eq!(warehouse.files.delete_below(&below, 100).unwrap(), 3);
    assert!(!warehouse.at("t").exists());
    assert_eq!(fs::read(warehouse.at("other/data/x")).unwrap(), b"rows");
    assert!(outside.path().join("secret").exists() && !outside.path().join("new").exists());
    // The root itself may be a symbolic link.
    let link = outside.path().join("warehouse");
    symlink(warehouse.folder.path(), &link).unwrap();
    let root = Location::parse(link.to_str().unwrap()).unwrap();
    let scope = Scope::new(vec![root], Vec::new(), Reads::BelowRoots);
    let place = scope.read(&format!("{}/other/data/x", link.display())).unwrap();
    assert_eq!(warehouse.files.read(&place, 100).unwrap(), "rows");
}

#[test]
fn only_regular_files_are_read_and_nothing_is_waited_for() {
    let warehouse = Warehouse::new();
    fs::create_dir_all(warehouse.at("t/folder")).unwrap();
    let made = mknodat(CWD, warehouse.at("t/pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0);
    made.unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(warehouse.at("t/socket")).unwrap();
    symlink("/dev/zero", warehouse.at("t/zero")).unwrap();
    assert!(matches!(warehouse.read("t/folder"), Err(StorageError::NotFound(_))));
    for name in ["t/pipe", "t/socket"] {
        assert!(matches!(warehouse.read(name), Err(StorageError::NotRegular(_))), "{name}");
        assert!(matches!(warehouse.write(name, b""), Err(StorageError::AlreadyExists(_))), "{name}");
    }
    assert!(matches!(warehouse.read("t/zero"), Err(StorageError::Link(_))));
    let device = Scope::new(Vec::new(), Vec::new(), Reads::Anywhere).read("/dev/zero").unwrap();
    assert!(matches!(warehouse.files.read(&device, 100), Err(StorageError::NotRegular(_))));
    warehouse.delete("t/pipe").unwrap();
    assert!(!warehouse.at("t/pipe").exists());
}

#[test]
fn deleting_below_a_folder_is_bounded_resumable_and_stays_below() {
    let warehouse = Warehouse::new();
    for name in ["t/data/1", "t/data/x/2", "t/metadata/3"] {
        warehouse.write(name, b"x").unwrap();
    }
    fs::create_dir(warehouse.at("t2")).unwrap();
    fs::write(warehouse.at("t2/keep"), "x").unwrap();
    symlink(warehouse.at("t2"), warehouse.at("t/link")).unwrap();
    let below = warehouse.scope().folder(&warehouse.location("t/")).unwrap();
    assert_eq!(warehouse.files.delete_below(&below, 2).unwrap(), 2);
    // Two files and the link itself remain; the target of the link is not deleted.
    assert_eq!(warehouse.files.delete_below(&below, 10).unwrap(), 2);
    assert_eq!(warehouse.files.delete_below(&below, 10).unwrap(), 0);
    assert!(!warehouse.at("t").exists() && warehouse.at("t2/keep").exists());
    assert!(warehouse.scope().folder(&warehouse.location("t2")).is_err());
}

#[test]
fn a_list_holds_files_alone() {
    let warehouse = Warehouse::new();
    let folder = warehouse.scope().folder(&warehouse.location("t/metadata")).unwrap();
    assert_eq!(warehouse.files.list(&folder, 10).unwrap(), []);
    for name in ["t/metadata/a", "t/metadata/b", "t/metadata/folder/c"] {
        warehouse.write(name, b"x").unwrap();
    }
    symlink("a", warehouse.at("t/metadata/link")).unwrap();
    let mut listed = warehouse.files.list(&folder, 10).unwrap();
    listed.sort_by(|one, other| one.name.cmp(&other.name));
    assert_eq!(listed.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(listed.iter().all(|file| file.modified_ms > 1_600_000_000_000), "{listed:?}");
    assert_eq!(warehouse.files.list(&folder, 1).unwrap().len(), 1);
}

/// Returns a location in one of its spellings.
fn spelled(path: &str, spelling: u8) -> String {
    match spelling % 5 {
        0 => format!("file://{path}"),
        1 => format!("file:{path}"),
        2 => path.to_owned(),
        3 => format!("file://localhost{path}"),
        _ => format!("FILE://{path}/"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// A file that a scope permits to write is created below the intended folder, and no other file is
    /// created.
    #[test]
    fn what_is_compared_is_what_is_opened(
        own in "[ab%][a4%1é .]{0,3}(/[ab%][2f%]{0,2})?",
        file in "[ab%][a4%1é .]{0,3}(/{1,2}[ab%.][2fF%.]{0,3}){0,2}",
        (own_spelling, file_spelling) in (0..5_u8, 0..4_u8),
    ) {
        let warehouse = Warehouse::new();
        let root = warehouse.folder.path().display().to_string();
        let Ok(own_folder) = Location::parse(&spelled(&format!("{root}/{own}"), own_spelling)) else { return Ok(()) };
        let parsed_root = Location::parse(&root).unwrap();
        let scope = Scope::new(vec![parsed_root], vec![own_folder], Reads::Own);
        let text = spelled(&format!("{root}/{file}"), file_spelling);
        let allowed = scope.write(&text);
        if let Ok(place) = &allowed {
            warehouse.files.write_new(place, b"x", &[]).unwrap();
        }
        let meant = Path::new(&root).join(&own);
        let written = found(warehouse.folder.path());
        prop_assert_eq!(written.len(), usize::from(allowed.is_ok()));
        prop_assert!(written.iter().all(|path| path.starts_with(&meant)), "{:?} below {:?}", written, meant);
        let path = Path::new(&root).join(&file);
        let is_plain = !file.split('/').any(|name| matches!(name, "." | ".."));
        prop_assert_eq!(allowed.is_ok(), is_plain && path.starts_with(&meant) && path != meant);
    }
}

/// Returns all files below a folder.
fn found(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() { files.extend(found(&entry.path())) } else { files.push(entry.path()) }
    }
    files
}
