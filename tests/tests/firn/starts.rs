//! Starts with unusual or lost data: they succeed, or report how to proceed.

use std::fs;
use std::path::Path;

use catalog_server::clock::Clock;
use catalog_server::store::database;
use catalog_server::store::engine::options::DbOptions;
use tests::fixture::{self, commit, local, set_property, table_path};
use tests::process::{self, Backend, Firn, Setup};

#[test]
fn unusual_names_of_data_directories_work_or_are_refused() {
    process::run(async {
        for name in ["100%", "x%41", "a b", "dätä", "a%3Fb", "q?x", "h#x"] {
            let mut setup = Setup::new(Backend::Sqlite).await;
            setup.data_dir = setup.data_dir.join(name);
            let folder = setup.data_dir.clone();
            let started = Firn::try_start(setup);
            if name.contains(['?', '#']) || name.contains("%3F") {
                let message = started.err().expect("a refusal: clients would use another folder");
                assert!(
                    message.contains("cannot contain a warehouse") && message.contains("warehouse.location"),
                    "{message}"
                );
                continue;
            }
            let mut firn = started.unwrap_or_else(|message| panic!("{name}: {message}"));
            let ns = fixture::namespace(&firn).await;
            let created = fixture::create_table(&firn, &ns, "t").await;
            let location = created["metadata-location"].as_str().unwrap();
            assert!(Path::new(local(location)).starts_with(folder.join("warehouse")), "{location}");
            assert!(Path::new(local(location)).exists() && folder.join("firn.db").exists());
            firn.restart();
            assert_eq!(firn.get(&table_path(&ns, "t")).await.expect(200).json(), created);
        }
        // The database may be in such a folder if the warehouse is not.
        let mut setup = Setup::new(Backend::Sqlite).await;
        let warehouse = setup.data_dir.join("warehouse");
        setup.data_dir = setup.data_dir.join("q?x#y");
        let setup = setup.with("FIRN_WAREHOUSE__LOCATION", warehouse.to_str().unwrap());
        let firn = Firn::start(setup);
        assert!(firn.setup().data_dir.join("firn.db").exists());
    });
}

#[test]
fn a_lost_database_is_detected_by_the_files_of_tables() {
    process::run(async {
        let mut firn = Firn::new(Backend::Sqlite).await;
        let ns = fixture::namespace(&firn).await;
        fixture::create_table(&firn, &ns, "t").await;
        firn.stop();
        let setup = firn.setup().clone();
        let file = setup.data_dir.join("firn.db");
        let whole = fs::read(&file).unwrap();
        let mut damaged = whole.clone();
        damaged[5_000..9_000].fill(0xff);
        let cases: [(&str, Option<&[u8]>, &str); 5] = [
            ("missing", None, "--new-catalog"),
            ("empty", Some(&[]), "--new-catalog"),
            ("no database", Some(b"this was a database once, and now it is nothing at all"), "damaged"),
            ("torn", Some(&damaged), "damaged"),
            ("cut", Some(&whole[..whole.len() / 2]), "damaged"),
        ];
        for (what, content, expected) in cases {
            for name in ["firn.db", "firn.db-wal", "firn.db-shm"] {
                drop(fs::remove_file(setup.data_dir.join(name)));
            }
            if let Some(content) = content {
                fs::write(&file, content).unwrap();
            }
            let message =
                Firn::try_start(setup.clone()).err().unwrap_or_else(|| panic!("{what}: the server started"));
            assert!(message.contains(expected) && message.contains("backup"), "{what}: {message}");
            assert!(!message.contains("panicked"), "{message}");
        }
        fs::write(&file, &whole).unwrap();
        let mut firn = Firn::try_start(setup.clone()).unwrap_or_else(|message| panic!("{message}"));
        assert_eq!(firn.head(&table_path(&ns, "t")).await, 204);
        firn.stop();
        // An administrator can confirm that the catalog is new.
        fs::remove_file(&file).unwrap();
        let firn = Firn::start(setup.with("FIRN_NEW_CATALOG", "true"));
        assert_eq!(firn.head(&table_path(&ns, "t")).await, 404);
    });
}

#[test]
fn the_database_does_not_lie_in_the_warehouse() {
    process::run(async {
        let setup = Setup::new(Backend::Sqlite).await;
        let folder = setup.data_dir.to_str().unwrap().to_owned();
        let message =
            Firn::try_start(setup.with("FIRN_WAREHOUSE__LOCATION", &folder)).err().expect("a refusal");
        assert!(message.contains("the catalog's database"), "{message}");
    });
}

#[test]
fn a_start_after_the_clock_was_ahead_succeeds_with_a_warning() {
    process::run(async {
        let mut firn = Firn::new(Backend::Sqlite).await;
        let ns = fixture::namespace(&firn).await;
        fixture::create_table(&firn, &ns, "t").await;
        firn.stop();
        // Written as by a server whose clock is a day ahead.
        let db = database::open(&firn.setup().database_url(), &DbOptions::default()).await.unwrap();
        let ahead = db.write(Clock::system().now_ms() + 86_400_000).await.unwrap();
        ahead.commit().await.unwrap();
        db.close().await;
        drop(db);
        firn.restart();
        let path = table_path(&ns, "t");
        firn.post(&path, &commit(&[], &[set_property("a", "b")])).await.expect(200);
        let after_ms = Clock::system().now_ms();
        let past = firn.at(&format!("main@{after_ms}"));
        let loaded = past.get(&path).await.expect(200).json();
        assert_eq!(loaded["metadata"]["properties"]["a"], "b", "{loaded}");
        let log = firn.setup().log();
        assert_eq!(
            log.matches("the system's clock is behind the catalog's latest change").count(),
            1,
            "{log}"
        );
    });
}
