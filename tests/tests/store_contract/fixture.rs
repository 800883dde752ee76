//! Migrated database for each test, and functions to fill it.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use catalog_server::store::catalog::names::NameInNamespace;
use catalog_server::store::catalog::namespaces::{self, CreateNamespace, NewNamespace};
use catalog_server::store::catalog::tabular::{CreateTabular, NewTabular, Pointer, TabularKind};
use catalog_server::store::catalog::tabulars;
use catalog_server::store::catalog::warehouses::{self, NewWarehouse};
use catalog_server::store::database;
use catalog_server::store::engine::db::Db;
use catalog_server::store::engine::options::DbOptions;
use catalog_server::store::engine::tx::Tx;
use catalog_server::store::events::audit::NewAuditEntry;
use catalog_server::store::ids::{NamespaceId, TabularId, WarehouseId};
use tempfile::TempDir;
use tests::postgres::Postgres;
use uuid::Uuid;

/// Names in the order of their bytes. They sort differently in every language, or would be misinterpreted by
/// careless `LIKE` patterns, joining or splitting.
pub(crate) const ODD_NAMES: [&str; 16] =
    ["\u{1}", " ", "%", "'; --", ".", "..", "/", "A", "B", "Z", "_", "a", "b", "ä", "日本", "😀"];

/// Migrated database with one warehouse.
pub(crate) struct Fixture {
    pub(crate) db: Db,
    pub(crate) url: String,
    pub(crate) warehouse_id: WarehouseId,
    clock_ms: AtomicI64,
    _directory: Option<TempDir>,
}

impl Fixture {
    pub(crate) async fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/firn.db", directory.path().display());
        Self::open(url, Some(directory)).await
    }

    pub(crate) async fn postgres() -> Self {
        let url = Postgres::shared().await.unwrap().create_database().await.unwrap();
        Self::open(url, None).await
    }

    async fn open(url: String, directory: Option<TempDir>) -> Self {
        let db = database::open(&url, &DbOptions::default()).await.unwrap();
        db.migrate().await.unwrap();
        let warehouse_id = WarehouseId(new_id());
        let clock_ms = AtomicI64::new(1_000_000);
        let fixture = Self { db, url, warehouse_id, clock_ms, _directory: directory };
        let mut tx = fixture.write().await;
        let new = NewWarehouse {
            warehouse_id,
            name: "main",
            location: "file:///warehouse/",
            properties: "{}",
            storage: r#"{"type":"file"}"#,
            credential: None,
        };
        assert!(warehouses::create(&mut tx, &new).await.unwrap());
        tx.commit().await.unwrap();
        fixture
    }

    /// Reopens the database as after a restart of the process. No other connection to it may be open.
    pub(crate) async fn reopened(self) -> Self {
        let Self { db, url, warehouse_id, clock_ms, _directory: directory } = self;
        db.close().await;
        drop(db);
        let db = database::open(&url, &DbOptions::default()).await.unwrap();
        db.migrate().await.unwrap();
        Self { db, url, warehouse_id, clock_ms, _directory: directory }
    }

    /// Begins a write transaction. On SQLite, its time is a millisecond after that of the previous one.
    pub(crate) async fn write(&self) -> Tx {
        self.db.write(self.clock_ms.fetch_add(1, Ordering::SeqCst)).await.unwrap()
    }

    /// Creates a namespace that does not exist yet.
    pub(crate) async fn namespace(&self, path: &str) -> NamespaceId {
        let namespace_id = NamespaceId(new_id());
        let mut tx = self.write().await;
        let created = create_namespace(&mut tx, self.warehouse_id, namespace_id, path).await;
        assert_eq!(created, CreateNamespace::Created);
        tx.commit().await.unwrap();
        namespace_id
    }

    /// Creates a table that does not exist yet.
    pub(crate) async fn table(&self, namespace_id: NamespaceId, name: &str) -> TabularId {
        self.tabular(TabularKind::Table, namespace_id, name).await
    }

    /// Creates a table or view that does not exist yet.
    pub(crate) async fn tabular(
        &self,
        kind: TabularKind,
        namespace_id: NamespaceId,
        name: &str,
    ) -> TabularId {
        let mut tx = self.write().await;
        let (tabular_id, created) = create_tabular(&mut tx, kind, namespace_id, name).await;
        assert_eq!(created, CreateTabular::Created);
        tx.commit().await.unwrap();
        tabular_id
    }
}

/// Returns a new id, greater than all previous ones.
pub(crate) fn new_id() -> Uuid {
    static LAST: AtomicU64 = AtomicU64::new(0);
    Uuid::from_u64_pair(0x0198_0000_0000_7000, LAST.fetch_add(1, Ordering::SeqCst) + 1)
}

pub(crate) async fn create_namespace(
    tx: &mut Tx,
    warehouse_id: WarehouseId,
    namespace_id: NamespaceId,
    path: &str,
) -> CreateNamespace {
    let new = NewNamespace { namespace_id, warehouse_id, path, properties: "{}" };
    namespaces::create(tx, &new).await.unwrap()
}

/// Creates a table or view with the metadata location `<name>/v0`.
pub(crate) async fn create_tabular(
    tx: &mut Tx,
    kind: TabularKind,
    namespace_id: NamespaceId,
    name: &str,
) -> (TabularId, CreateTabular) {
    let tabular_id = TabularId(new_id());
    let metadata_location = format!("{name}/v0");
    let new = NewTabular {
        tabular_id,
        kind,
        place: NameInNamespace { namespace_id, name },
        pointer: pointer(&metadata_location),
    };
    (tabular_id, tabulars::create(tx, &new).await.unwrap())
}

/// Returns a pointer to a metadata file.
pub(crate) fn pointer(metadata_location: &str) -> Pointer<'_> {
    Pointer {
        metadata_location,
        table_uuid: Uuid::from_u128(7),
        location: "file:///warehouse/t",
        superseded: None,
    }
}

/// Returns an entry of the audit log.
pub fn entry(audit_id: Uuid, object_id: Option<Uuid>) -> NewAuditEntry<'static> {
    NewAuditEntry {
        audit_id,
        request_id: "r1",
        caller: "alice",
        action: "createTable",
        object_kind: "table",
        object_name: "a.t",
        object_id,
        outcome: "done",
        detail: "{}",
    }
}
