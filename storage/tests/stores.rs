//! Contract of stores, for each kind of them: on local files, in memory, and with a delay.

#![expect(clippy::unwrap_used, reason = "a case fails where what it counts on does not hold")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use storage::error::{StorageError, is_passing};
use storage::faults::{Faults, Faulty, Latency, Operation};
use storage::file::FileState;
use storage::files::Files;
use storage::local::LocalStore;
use storage::metered::{Metered, Usage};
use storage::place::Place;
use storage::scope::{Reads, Scope};
use storage::store::Store;
use storage::stores::Stores;
use table_core::location::Location;
use tempfile::TempDir;

/// Store with a root and the folder `t` in it, which belongs to the caller.
struct Case {
    name: &'static str,
    root: String,
    store: Arc<dyn Store>,
    files: Files,
    _folder: TempDir,
}

/// Store that does not answer.
#[derive(Debug)]
struct Silent;

#[async_trait]
impl Faults for Silent {
    async fn before(&self, _: Operation, place: &Place) -> Result<(), StorageError> {
        Err(StorageError::TimedOut { action: "use", location: place.as_str().to_owned(), seconds: 1 })
    }
}

impl Case {
    fn new(name: &'static str) -> Case {
        let folder = tempfile::tempdir().unwrap();
        let stores = Stores::new(LocalStore::new(8, Duration::from_secs(60))).with_memory();
        let root = match name {
            "memory" => "memory://w".to_owned(),
            _ => format!("file://{}", folder.path().display()),
        };
        let store: Arc<dyn Store> = match name {
            "delayed" => Arc::new(Faulty::new(Arc::new(stores), Arc::new(Latency(Duration::from_millis(1))))),
            _ => Arc::new(stores),
        };
        let parse = |text: &str| Location::parse(text).unwrap();
        let scope = Scope::new(vec![parse(&root)], vec![parse(&format!("{root}/t"))], Reads::BelowRoots);
        let files = Files::new(store.clone(), scope);
        Case { name, root, store, files, _folder: folder }
    }

    fn all() -> [Case; 3] {
        ["local", "memory", "delayed"].map(Case::new)
    }

    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.root)
    }
}

#[tokio::test]
async fn a_file_is_written_once_read_in_parts_and_deleted_as_often_as_asked() {
    for case in Case::all() {
        let (files, name) = (&case.files, case.name);
        let at = case.at("t/a/b");
        files.write_new(&at, Bytes::from_static(b"hello")).await.unwrap();
        let again = files.write_new(&at, Bytes::from_static(b"other")).await;
        assert!(matches!(again, Err(StorageError::AlreadyExists(_))), "{name}");
        assert_eq!(files.read(&at, 5).await.unwrap(), "hello", "{name}");
        assert!(matches!(files.read(&at, 4).await, Err(StorageError::TooLarge { .. })), "{name}");
        assert_eq!(files.read_range(&at, 1..4).await.unwrap(), "ell", "{name}");
        assert_eq!(files.read_range(&at, 2..2).await.unwrap(), "", "{name}");
        assert!(files.read_range(&at, 3..6).await.is_err(), "{name}");
        assert!(matches!(files.state(&at).await, FileState::Present(_)), "{name}");
        files.delete(&at).await.unwrap();
        files.delete(&at).await.unwrap();
        assert_eq!(files.state(&at).await, FileState::Gone, "{name}");
        assert!(matches!(files.read(&at, 9).await, Err(StorageError::NotFound(_))), "{name}");
    }
}

#[tokio::test]
async fn a_real_process_has_no_files_in_memory() {
    let stores = Stores::new(LocalStore::new(8, Duration::from_secs(60)));
    let root = Location::parse("memory://w").unwrap();
    let scope = Scope::new(Vec::new(), vec![root], Reads::Own);
    let (folder, file) = (scope.folder("memory://w").unwrap(), scope.write("memory://w/x").unwrap());
    let refused = [
        stores.prepare_root(&folder).await.err(),
        stores.create_folder(&folder).await.err(),
        stores.list(&folder, 9).await.err(),
        stores.find_below(&folder, "x", 9).await.err(),
        stores.delete_below(&folder, 9).await.err(),
        stores.read(&file, 9).await.err(),
        stores.read_range(&file, 0..1).await.err(),
        stores.write_new(&file, Bytes::from_static(b"x")).await.err(),
        stores.create(&file).await.err(),
        stores.state(&file).await.err(),
        stores.delete(&file).await.err(),
    ];
    for error in refused {
        assert!(matches!(error, Some(StorageError::UnsupportedScheme(_))), "{error:?}");
    }
    assert_eq!(stores.state_in_memory(&file), FileState::Unknown);
    assert!(stores.with_memory().write_new(&file, Bytes::from_static(b"x")).await.is_ok());
}

#[tokio::test]
async fn it_is_an_error_that_passes_if_a_store_does_not_answer() {
    for case in Case::all() {
        let at = case.at("t/x");
        let silent: Arc<dyn Store> = Arc::new(Faulty::new(case.store, Arc::new(Silent)));
        let store = Arc::new(Metered::new(silent, None));
        let scope = case.files.scope().clone();
        let error = store.state(&scope.read(&at).unwrap()).await.unwrap_err();
        assert!(error.is_unavailable() && is_passing(&error.into_io()), "{}", case.name);
        // For callers that cannot do it later, the state is unknown.
        assert_eq!(Files::new(store, scope).state(&at).await, FileState::Unknown, "{}", case.name);
    }
}

#[tokio::test]
async fn a_file_of_the_same_name_has_another_version() {
    for case in Case::all() {
        let at = case.at("t/x");
        let mut versions = Vec::new();
        for content in ["a", "bb"] {
            case.files.write_new(&at, Bytes::from(content)).await.unwrap();
            versions.push(case.files.state(&at).await);
            case.files.delete(&at).await.unwrap();
        }
        assert_ne!(versions[0], versions[1], "{}", case.name);
    }
}

#[tokio::test]
async fn folders_are_listed_and_emptied_in_parts() {
    for case in Case::all() {
        let (files, name) = (&case.files, case.name);
        for file in ["t/1", "t/2", "t/deep/er/3", "t/deep/4.metadata.json"] {
            files.write_new(&case.at(file), Bytes::from_static(b"x")).await.unwrap();
        }
        let mut names: Vec<_> =
            files.list(&case.at("t"), 9).await.unwrap().into_iter().map(|file| file.name).collect();
        names.sort();
        assert_eq!(names, ["1", "2"], "{name}");
        assert_eq!(files.list(&case.at("t"), 1).await.unwrap().len(), 1, "{name}");
        assert!(files.list(&case.at("t/none"), 9).await.unwrap().is_empty(), "{name}");
        let scope = Scope::new(Vec::new(), vec![Location::parse(&case.root).unwrap()], Reads::Own);
        let root = scope.folder(&case.root).unwrap();
        let finds = |suffix| case.store.find_below(&root, suffix, 100);
        assert!(finds(".metadata.json").await.unwrap() && !finds(".avro").await.unwrap(), "{name}");
        assert_eq!(files.delete_below(&case.at("t"), 3).await.unwrap(), 3, "{name}");
        assert_eq!(files.delete_below(&case.at("t"), 3).await.unwrap(), 1, "{name}");
        assert_eq!(files.delete_below(&case.at("t"), 3).await.unwrap(), 0, "{name}");
    }
}

#[tokio::test]
async fn nothing_outside_of_the_scope_is_reached() {
    for case in Case::all() {
        let (files, name) = (&case.files, case.name);
        let elsewhere = case.at("u/x");
        let content = Bytes::from_static(b"x");
        assert!(matches!(files.write_new(&elsewhere, content).await, Err(StorageError::NotOwn(_))), "{name}");
        assert!(matches!(files.delete(&elsewhere).await, Err(StorageError::NotOwn(_))), "{name}");
        assert!(matches!(files.delete_below(&case.root, 9).await, Err(StorageError::NotOwn(_))), "{name}");
        assert!(matches!(files.list(&case.at("u"), 9).await, Err(StorageError::NotOwn(_))), "{name}");
        for outside in ["/etc/passwd", "memory://other/x", "file:///etc/passwd"] {
            assert!(matches!(files.read(outside, 9).await, Err(StorageError::NotReadable(_))), "{name}");
        }
        assert!(matches!(files.read("../x", 9).await, Err(StorageError::Location(_))), "{name}");
    }
}

#[tokio::test]
async fn folders_are_created_with_a_file() {
    for case in Case::all() {
        let (name, files) = (case.name, &case.files);
        let content = || Bytes::from_static(b"x");
        let folders = [case.at("t/new/data"), case.at("t/new/other/deep")];
        files.write_new_with_folders(&case.at("t/new/metadata/a"), content(), &folders).await.unwrap();
        assert_eq!(files.read(&case.at("t/new/metadata/a"), 9).await.unwrap(), content(), "{name}");
        for folder in &folders {
            let is_local = folder.strip_prefix("file://");
            assert!(is_local.is_none_or(|path| Path::new(path).is_dir()), "{name}: {folder}");
        }
        let again = files.write_new_with_folders(&case.at("t/new/metadata/a"), content(), &folders).await;
        assert!(matches!(again, Err(StorageError::AlreadyExists(_))), "{name}: {again:?}");
        let elsewhere = [case.at("u/data")];
        let outside = files.write_new_with_folders(&case.at("t/new/metadata/b"), content(), &elsewhere).await;
        assert!(matches!(outside, Err(StorageError::NotOwn(_))), "{name}: {outside:?}");
    }
}

#[tokio::test]
async fn parts_of_a_file_may_arrive_in_any_order() {
    for case in Case::all() {
        let scope = Scope::new(Vec::new(), vec![Location::parse(&case.root).unwrap()], Reads::Own);
        let place = scope.write(&case.at("t/parts")).unwrap();
        let mut upload = case.store.create(&place).await.unwrap();
        let parts: Vec<_> = ["one ", "two ", "three"]
            .into_iter()
            .map(|part| upload.write_part(Bytes::from_static(part.as_bytes())))
            .collect();
        for part in parts.into_iter().rev() {
            part.await.unwrap();
        }
        upload.finish().await.unwrap();
        assert_eq!(case.files.read(&case.at("t/parts"), 99).await.unwrap(), "one two three", "{}", case.name);
        assert!(case.store.create(&place).await.is_err(), "{}", case.name);
    }
}

#[tokio::test]
async fn requests_and_bytes_are_counted() {
    for case in Case::all() {
        let metered = Metered::new(case.store.clone(), None);
        let files = Files::new(Arc::new(metered.clone()), case.files.scope().clone());
        let at = case.at("t/counted");
        files.write_new(&at, Bytes::from_static(b"hello")).await.unwrap();
        assert!(files.write_new(&at, Bytes::from_static(b"again")).await.is_err());
        files.read(&at, 9).await.unwrap();
        files.read_range(&at, 1..4).await.unwrap();
        files.delete(&at).await.unwrap();
        assert_eq!(metered.usage(), Usage { requests: 5, bytes_read: 8, bytes_written: 5 }, "{}", case.name);
        assert_eq!(metered.with_new_counts().usage(), Usage::default());
    }
}
