BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO "_sqlx_migrations" VALUES(1,'catalog','2026-11-30 21:56:08',1,X'DE8FCD858F385A5D06F4105F23A1E1ECA87C7857C7B3D373896A7F24DF337E00D7DDB091EC77C9B6EFE35D63C4056D51',2227006);
INSERT INTO "_sqlx_migrations" VALUES(2,'planning','2026-11-30 21:56:08',1,X'3FD5F48AF86C6B0E83D0BA7EAF00F6AB80E6EF748C7674DC70007B81AE21928951374F81614A5AC9EA9DA7DAFEB26815',444781);
INSERT INTO "_sqlx_migrations" VALUES(3,'maintenance','2026-11-30 21:56:08',1,X'0ABB076F9A870A84773BF94EB8012EFABDDD0115C64A184863F54DF2DC699E010FE855A2FA732399A5BD6D8338F0923A',551919);
INSERT INTO "_sqlx_migrations" VALUES(4,'watch','2026-11-30 21:56:08',1,X'15A38170399BA1D0F852328EECE5A9BC60E9F00AC261A5393862CE41C393B04ED990D9900F3996A2DACF43F07AD47F2E',641863);
INSERT INTO "_sqlx_migrations" VALUES(5,'clock','2026-11-30 21:56:08',1,X'F233B2C9929557A75F9F3AE9C98C6ABD7F57717E404EBCACB21DB0601093A4FC60E58B338E63C82EFF96A9F3867CAE6D',269820);
INSERT INTO "_sqlx_migrations" VALUES(6,'superseded','2026-11-30 21:56:08',1,X'668396358F3FA2B13BF74686A4D31C49FA9388E74E0DC4FEC3759608E8C2A97B621410CB134731C5A50E29C5DCCE6C4E',1622726);
CREATE TABLE audit (
    audit_id    BLOB NOT NULL,
    at_ms       INTEGER NOT NULL,
    request_id  TEXT NOT NULL,
    caller      TEXT NOT NULL,
    action      TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_name TEXT NOT NULL,
    object_id   BLOB,
    outcome     TEXT NOT NULL,
    detail      TEXT NOT NULL,
    PRIMARY KEY (at_ms, audit_id)
) STRICT, WITHOUT ROWID;
INSERT INTO "audit" VALUES(X'01A22E754C1574B9AF04FF267AFAFB7A',1796075768853,'01a22e75-4c15-74b9-af04-ff240dad5e6d','local-administrator','create-namespace','namespace','main/sales',X'01A22E754C1574B9AF04FF250F271770','done','{"properties":{"owner":"a"}}');
INSERT INTO "audit" VALUES(X'01A22E754C167234B43D1CAD5295EDDC',1796075768854,'01a22e75-4c16-7234-b43d-1cabc539d1e0','local-administrator','create-namespace','namespace','main/sales.eu',X'01A22E754C167234B43D1CAC917315C7','done','{"properties":{}}');
INSERT INTO "audit" VALUES(X'01A22E754C18731EAB9DA40B68758488',1796075768856,'01a22e75-4c17-7098-a1c5-b82275782839','local-administrator','create-table','table','main/sales.orders',X'01A22E754C18731EAB9DA40AAD7115DC','done','{"metadata-location":"file://{root}/warehouse/sales/orders-238c97eb87054ddba2349362ee64be4f/metadata/00000-f6157390-b688-40c6-b66a-6befdde00f5c.metadata.json"}');
INSERT INTO "audit" VALUES(X'01A22E754C207180B528D35B004EF118',1796075768861,'01a22e75-4c1c-7053-a3b2-3d829f85f896','local-administrator','create-table','table','main/sales.gone',X'01A22E754C1D7183AD860F411564E8DC','done','{"metadata-location":"file://{root}/warehouse/sales/gone-0455942197184ac4bed04d3c666e296a/metadata/00000-7a96b76a-8069-4870-b8ad-75a6b7f7c780.metadata.json"}');
INSERT INTO "audit" VALUES(X'01A22E754C2176C5AE72B1D59F416120',1796075768865,'01a22e75-4c21-76c5-ae72-b1d498c48a07','local-administrator','commit-table','table','main/sales.orders',X'01A22E754C18731EAB9DA40AAD7115DC','done','{"metadata-location":"file://{root}/warehouse/sales/orders-238c97eb87054ddba2349362ee64be4f/metadata/00001-102b0c16-0d6f-4f89-b56b-307e658cd06a.metadata.json","previous":"file://{root}/warehouse/sales/orders-238c97eb87054ddba2349362ee64be4f/metadata/00000-f6157390-b688-40c6-b66a-6befdde00f5c.metadata.json","snapshot-id":null}');
INSERT INTO "audit" VALUES(X'01A22E754C2B7509AD71E9CC444D9FD9',1796075768874,'01a22e75-4c22-77e7-acd5-f5ef9e568c0f','local-administrator','create-view','view','main/sales.v',X'01A22E754C2A70D098DF7E29967FD99C','done','{"metadata-location":"file://{root}/warehouse/sales/v-1a5ddd8c2f194a07a94acfdf1747f389/metadata/00000-c6212559-b23a-49c5-b275-a0bc9a1de60e.metadata.json"}');
INSERT INTO "audit" VALUES(X'01A22E754C2C73C2910F2A64444B768D',1796075768875,'01a22e75-4c2b-7509-ad71-e9cd1a0d50a6','local-administrator','drop-table','table','main/sales.gone',X'01A22E754C1D7183AD860F411564E8DC','done','{"metadata-location":"file://{root}/warehouse/sales/gone-0455942197184ac4bed04d3c666e296a/metadata/00000-7a96b76a-8069-4870-b8ad-75a6b7f7c780.metadata.json"}');
INSERT INTO "audit" VALUES(X'01A22E754C2D77BEB36187FC88438883',1796075768877,'01a22e75-4c2d-77be-b361-87fb29dc5995','local-administrator','put-policy','table','main/sales.orders',X'01A22E754C18731EAB9DA40AAD7115DC','done','{"policy":{"compact":{"enabled":true,"inputs-min":7}},"version":1}');
INSERT INTO "audit" VALUES(X'01A22E754CF97260B007F5AA30F5CA4F',1796075769081,'01a22e75-4cf8-760c-b44f-cf67a17f95fe','local-administrator','queue-job','table','main/sales.orders',X'01A22E754C18731EAB9DA40AAD7115DC','done','{"job-id":"01a22e75-4cf9-7260-b007-f5a9ba8336b7","action":"evaluate"}');
INSERT INTO "audit" VALUES(X'01A22E754CFC704CB3AE825585275F60',1796075769084,'01a22e75-4cfb-7664-8cc8-0f613cb64ffc','local-administrator','cancel-job','table','main/sales.orders',X'01A22E754C18731EAB9DA40AAD7115DC','done','{"job-id":"01a22e75-4cf9-7260-b007-f5a9ba8336b7","action":"evaluate"}');
INSERT INTO "audit" VALUES(X'01A22E754D0075BAB730AC035C460EDD',1796075769088,'01a22e75-4cfd-740a-bbd4-f8de47ae830a','local-administrator','queue-job','table','main/sales.orders',X'01A22E754C18731EAB9DA40AAD7115DC','done','{"job-id":"01a22e75-4d00-75ba-b730-ac0208f690b1","action":"compact"}');
CREATE TABLE cleanup_tasks (
    task_id      BLOB PRIMARY KEY NOT NULL,
    warehouse_id BLOB NOT NULL REFERENCES warehouses,
    kind         TEXT NOT NULL,
    payload      TEXT NOT NULL,
    progress     TEXT,
    created_ms   INTEGER NOT NULL,
    due_ms       INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    leased_by    TEXT,
    last_error   TEXT
) STRICT;
INSERT INTO "cleanup_tasks" VALUES(X'01A22E754C2C73C2910F2A6500000001',X'01A22E754C0177168CABB1597834B2CF','purge','{"table":"sales.purged","prefixes":["file://{root}/warehouse/sales/purged-5f0c3a8e1b7d4c6f9e2a4b8d7c1e0f35/"]}',NULL,1796075768876,1796075768876,0,NULL,NULL);
INSERT INTO "cleanup_tasks" VALUES(X'01A22E754C2C73C2910F2A6500000002',X'01A22E754C0177168CABB1597834B2CF','purge','{"table":"sales.interrupted","prefixes":["file://{root}/warehouse/sales/interrupted-7d1e4b9a2c8f4e06b35d9a1c6e0f7284/"]}',NULL,1796075768876,4102444800000,1,'server-1b9d3a52-0c47-4b0e-9a3f-5d2c8e7f6a10',NULL);
CREATE TABLE clock_corrections (
    correction_id INTEGER PRIMARY KEY NOT NULL,
    clock_ms      INTEGER NOT NULL,
    at_ms         INTEGER NOT NULL,
    until_ms      INTEGER NOT NULL
) STRICT;
CREATE TABLE clock_marks (
    mark_id INTEGER PRIMARY KEY NOT NULL CHECK (mark_id = 1),
    at_ms   INTEGER NOT NULL
) STRICT;
INSERT INTO "clock_marks" VALUES(1,1796075768833);
CREATE TABLE idempotency (
    caller            TEXT NOT NULL,
    key               TEXT NOT NULL,
    fingerprint       TEXT NOT NULL,
    status            INTEGER NOT NULL,
    body              TEXT,
    metadata_location TEXT,
    created_ms        INTEGER NOT NULL,
    PRIMARY KEY (caller, key)
) STRICT;
INSERT INTO "idempotency" VALUES('local-administrator','0192aaaa-0000-7000-8000-000000000001','a1ba0bc76099449669508c5c195a8364e2ce65656f5cb8d21d1db6fc56b66ee6',200,NULL,'file://{root}/warehouse/sales/orders-238c97eb87054ddba2349362ee64be4f/metadata/00001-102b0c16-0d6f-4f89-b56b-307e658cd06a.metadata.json',1796075768865);
CREATE TABLE locations (
    warehouse_id BLOB NOT NULL REFERENCES warehouses,
    prefix       TEXT NOT NULL CHECK (prefix LIKE '%/'),
    owner_id     BLOB NOT NULL,
    PRIMARY KEY (warehouse_id, prefix)
) STRICT, WITHOUT ROWID;
INSERT INTO "locations" VALUES(X'01A22E754C0177168CABB1597834B2CF','file://{root}/warehouse/sales/orders-238c97eb87054ddba2349362ee64be4f/',X'01A22E754C18731EAB9DA40AAD7115DC');
INSERT INTO "locations" VALUES(X'01A22E754C0177168CABB1597834B2CF','file://{root}/warehouse/sales/v-1a5ddd8c2f194a07a94acfdf1747f389/',X'01A22E754C2A70D098DF7E29967FD99C');
INSERT INTO "locations" VALUES(X'01A22E754C0177168CABB1597834B2CF','file://{root}/warehouse/sales/purged-5f0c3a8e1b7d4c6f9e2a4b8d7c1e0f35/',X'01A22E754C2C73C2910F2A6500000001');
INSERT INTO "locations" VALUES(X'01A22E754C0177168CABB1597834B2CF','file://{root}/warehouse/sales/interrupted-7d1e4b9a2c8f4e06b35d9a1c6e0f7284/',X'01A22E754C2C73C2910F2A6500000002');
CREATE TABLE maintenance_cursors (
    name  TEXT PRIMARY KEY NOT NULL,
    at_ms INTEGER NOT NULL,
    id    BLOB NOT NULL
) STRICT;
INSERT INTO "maintenance_cursors" VALUES('changes',1796075768835,X'00000000000000000000000000000000');
CREATE TABLE maintenance_jobs (
    job_id         BLOB PRIMARY KEY NOT NULL,
    warehouse_id   BLOB NOT NULL REFERENCES warehouses,
    tabular_id     BLOB NOT NULL,
    table_name     TEXT NOT NULL,
    action         TEXT NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    options        TEXT NOT NULL,
    reason         TEXT NOT NULL,
    requested_by   TEXT NOT NULL,
    rank           INTEGER NOT NULL,
    attempt        INTEGER NOT NULL,
    worker         TEXT,
    cancel_wanted  INTEGER NOT NULL,
    progress       TEXT,
    result         TEXT,
    error          TEXT,
    created_ms     INTEGER NOT NULL,
    due_ms         INTEGER NOT NULL,
    lease_until_ms INTEGER,
    started_ms     INTEGER,
    finished_ms    INTEGER
, changed_ms INTEGER) STRICT;
INSERT INTO "maintenance_jobs" VALUES(X'01A22E754CF97260B007F5A9BA8336B7',X'01A22E754C0177168CABB1597834B2CF',X'01A22E754C18731EAB9DA40AAD7115DC','main/sales.orders','evaluate','running','{"compact":{"enabled":true,"small-ratio":0.75,"large-ratio":1.8,"delete-ratio":0.3,"inputs-min":7,"group-bytes-max":107374182400,"equality-deletes-min":10,"settle-minutes":0,"sort":true},"expire-snapshots":{"enabled":true,"snapshot-age-max-ms":432000000,"snapshots-min":1,"inherited":false},"rewrite-manifests":{"enabled":true,"target-bytes":8388608,"manifests-min":100},"metadata-log":{"enabled":true,"previous-versions-max":100},"write-audit-publish":{"wait-max-ms":86400000}}','asked for','local-administrator',9223372036854775807,1,'w',1,NULL,NULL,NULL,1796075769081,0,1796075829082,1796075769082,NULL,NULL);
INSERT INTO "maintenance_jobs" VALUES(X'01A22E754D0075BAB730AC0208F690B1',X'01A22E754C0177168CABB1597834B2CF',X'01A22E754C18731EAB9DA40AAD7115DC','main/sales.orders','compact','queued','{"compact":{"enabled":true,"small-ratio":0.75,"large-ratio":1.8,"delete-ratio":0.3,"inputs-min":7,"group-bytes-max":107374182400,"equality-deletes-min":10,"settle-minutes":0,"sort":true},"expire-snapshots":{"enabled":true,"snapshot-age-max-ms":432000000,"snapshots-min":1,"inherited":false},"rewrite-manifests":{"enabled":true,"target-bytes":8388608,"manifests-min":100},"metadata-log":{"enabled":true,"previous-versions-max":100},"write-audit-publish":{"wait-max-ms":86400000}}','asked for','local-administrator',9223372036854775807,0,NULL,0,NULL,NULL,NULL,1796075769088,0,NULL,NULL,NULL,NULL);
CREATE TABLE maintenance_outputs (
    job_id  BLOB NOT NULL REFERENCES maintenance_jobs ON DELETE CASCADE,
    path    TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    PRIMARY KEY (job_id, path)
) STRICT, WITHOUT ROWID;
CREATE TABLE maintenance_pauses (
    tabular_id BLOB PRIMARY KEY NOT NULL,
    reason     TEXT NOT NULL,
    since_ms   INTEGER NOT NULL,
    paused_by  TEXT NOT NULL
) STRICT;
CREATE TABLE maintenance_policies (
    scope_id     BLOB PRIMARY KEY NOT NULL,
    warehouse_id BLOB NOT NULL REFERENCES warehouses,
    kind         TEXT NOT NULL CHECK (kind IN ('warehouse', 'namespace', 'table')),
    document     TEXT NOT NULL,
    version      INTEGER NOT NULL,
    updated_ms   INTEGER NOT NULL,
    updated_by   TEXT NOT NULL
) STRICT;
INSERT INTO "maintenance_policies" VALUES(X'01A22E754C18731EAB9DA40AAD7115DC',X'01A22E754C0177168CABB1597834B2CF','table','{"compact":{"enabled":true,"inputs-min":7}}',1,1796075768877,'local-administrator');
CREATE TABLE namespace_history (
    history_id    INTEGER PRIMARY KEY,
    namespace_id  BLOB NOT NULL,
    warehouse_id  BLOB NOT NULL,
    parent_path   TEXT NOT NULL,
    path          TEXT NOT NULL,
    properties    TEXT NOT NULL,
    created_ms    INTEGER NOT NULL,
    valid_from_ms INTEGER NOT NULL,
    valid_to_ms   INTEGER NOT NULL,
    CHECK (valid_from_ms <= valid_to_ms)
) STRICT;
INSERT INTO "namespace_history" VALUES(1,X'01A22E754C1574B9AF04FF250F271770',X'01A22E754C0177168CABB1597834B2CF','','sales','{"owner":"a"}',1796075768853,1796075768853,9223372036854775807);
INSERT INTO "namespace_history" VALUES(2,X'01A22E754C167234B43D1CAC917315C7',X'01A22E754C0177168CABB1597834B2CF','sales','saleseu','{}',1796075768854,1796075768854,9223372036854775807);
CREATE TABLE namespaces (
    namespace_id BLOB PRIMARY KEY NOT NULL,
    warehouse_id BLOB NOT NULL REFERENCES warehouses,
    parent_path  TEXT NOT NULL,
    path         TEXT NOT NULL CHECK (path <> ''),
    properties   TEXT NOT NULL,
    created_ms   INTEGER NOT NULL,
    updated_ms   INTEGER NOT NULL,
    UNIQUE (warehouse_id, path)
) STRICT;
INSERT INTO "namespaces" VALUES(X'01A22E754C1574B9AF04FF250F271770',X'01A22E754C0177168CABB1597834B2CF','','sales','{"owner":"a"}',1796075768853,1796075768853);
INSERT INTO "namespaces" VALUES(X'01A22E754C167234B43D1CAC917315C7',X'01A22E754C0177168CABB1597834B2CF','sales','saleseu','{}',1796075768854,1796075768854);
CREATE TABLE outbox (
    at_ms    INTEGER NOT NULL,
    audit_id BLOB NOT NULL,
    PRIMARY KEY (at_ms, audit_id)
) STRICT, WITHOUT ROWID;
INSERT INTO "outbox" VALUES(1796075768853,X'01A22E754C1574B9AF04FF267AFAFB7A');
INSERT INTO "outbox" VALUES(1796075768854,X'01A22E754C167234B43D1CAD5295EDDC');
INSERT INTO "outbox" VALUES(1796075768856,X'01A22E754C18731EAB9DA40B68758488');
INSERT INTO "outbox" VALUES(1796075768861,X'01A22E754C207180B528D35B004EF118');
INSERT INTO "outbox" VALUES(1796075768865,X'01A22E754C2176C5AE72B1D59F416120');
INSERT INTO "outbox" VALUES(1796075768874,X'01A22E754C2B7509AD71E9CC444D9FD9');
INSERT INTO "outbox" VALUES(1796075768875,X'01A22E754C2C73C2910F2A64444B768D');
INSERT INTO "outbox" VALUES(1796075768877,X'01A22E754C2D77BEB36187FC88438883');
INSERT INTO "outbox" VALUES(1796075769081,X'01A22E754CF97260B007F5AA30F5CA4F');
INSERT INTO "outbox" VALUES(1796075769084,X'01A22E754CFC704CB3AE825585275F60');
INSERT INTO "outbox" VALUES(1796075769088,X'01A22E754D0075BAB730AC035C460EDD');
CREATE TABLE plans (
    plan_id           BLOB PRIMARY KEY NOT NULL,
    tabular_id        BLOB NOT NULL,
    caller            TEXT NOT NULL,
    metadata_location TEXT NOT NULL,
    request           TEXT NOT NULL,
    outcome           TEXT NOT NULL CHECK (outcome IN ('submitted', 'completed', 'cancelled')),
    answer            TEXT,
    created_ms        INTEGER NOT NULL
) STRICT;
CREATE TABLE pointer_history (
    history_id        INTEGER PRIMARY KEY,
    tabular_id        BLOB NOT NULL,
    metadata_location TEXT NOT NULL,
    table_uuid        BLOB NOT NULL,
    location          TEXT NOT NULL,
    valid_from_ms     INTEGER NOT NULL,
    valid_to_ms       INTEGER NOT NULL, superseded TEXT,
    CHECK (valid_from_ms <= valid_to_ms)
) STRICT;
INSERT INTO "pointer_history" VALUES(1,X'01A22E754C18731EAB9DA40AAD7115DC','file://{root}/warehouse/sales/orders-238c97eb87054ddba2349362ee64be4f/metadata/00000-f6157390-b688-40c6-b66a-6befdde00f5c.metadata.json',X'7CF446D3729243EF9431FE60D17FC8E5','file://{root}/warehouse/sales/orders-238c97eb87054ddba2349362ee64be4f',1796075768856,1796075768865,'{}');
INSERT INTO "pointer_history" VALUES(2,X'01A22E754C1D7183AD860F411564E8DC','file://{root}/warehouse/sales/gone-0455942197184ac4bed04d3c666e296a/metadata/00000-7a96b76a-8069-4870-b8ad-75a6b7f7c780.metadata.json',X'6E2355A1DA53433C875F2B98B305F257','file://{root}/warehouse/sales/gone-0455942197184ac4bed04d3c666e296a',1796075768861,1796075768875,'{}');
INSERT INTO "pointer_history" VALUES(3,X'01A22E754C18731EAB9DA40AAD7115DC','file://{root}/warehouse/sales/orders-238c97eb87054ddba2349362ee64be4f/metadata/00001-102b0c16-0d6f-4f89-b56b-307e658cd06a.metadata.json',X'7CF446D3729243EF9431FE60D17FC8E5','file://{root}/warehouse/sales/orders-238c97eb87054ddba2349362ee64be4f',1796075768865,9223372036854775807,'{}');
INSERT INTO "pointer_history" VALUES(4,X'01A22E754C2A70D098DF7E29967FD99C','file://{root}/warehouse/sales/v-1a5ddd8c2f194a07a94acfdf1747f389/metadata/00000-c6212559-b23a-49c5-b275-a0bc9a1de60e.metadata.json',X'D958B11E8D3A481E91B41825D13182BC','file://{root}/warehouse/sales/v-1a5ddd8c2f194a07a94acfdf1747f389',1796075768874,9223372036854775807,NULL);
CREATE TABLE reports (
    report_id   BLOB PRIMARY KEY NOT NULL,
    tabular_id  BLOB NOT NULL REFERENCES tabulars ON DELETE CASCADE,
    received_ms INTEGER NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN ('scan', 'commit')),
    snapshot_id INTEGER,
    body        TEXT NOT NULL
) STRICT;
CREATE TABLE signing_keys (
    name       TEXT PRIMARY KEY NOT NULL,
    secret     BLOB NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE tabular_history (
    history_id    INTEGER PRIMARY KEY,
    tabular_id    BLOB NOT NULL,
    warehouse_id  BLOB NOT NULL,
    namespace_id  BLOB NOT NULL,
    kind          TEXT NOT NULL,
    name          TEXT NOT NULL,
    created_ms    INTEGER NOT NULL,
    valid_from_ms INTEGER NOT NULL,
    valid_to_ms   INTEGER NOT NULL,
    CHECK (valid_from_ms <= valid_to_ms)
) STRICT;
INSERT INTO "tabular_history" VALUES(1,X'01A22E754C18731EAB9DA40AAD7115DC',X'01A22E754C0177168CABB1597834B2CF',X'01A22E754C1574B9AF04FF250F271770','table','orders',1796075768856,1796075768856,9223372036854775807);
INSERT INTO "tabular_history" VALUES(2,X'01A22E754C1D7183AD860F411564E8DC',X'01A22E754C0177168CABB1597834B2CF',X'01A22E754C1574B9AF04FF250F271770','table','gone',1796075768861,1796075768861,1796075768875);
INSERT INTO "tabular_history" VALUES(3,X'01A22E754C2A70D098DF7E29967FD99C',X'01A22E754C0177168CABB1597834B2CF',X'01A22E754C1574B9AF04FF250F271770','view','v',1796075768874,1796075768874,9223372036854775807);
CREATE TABLE tabulars (
    tabular_id        BLOB PRIMARY KEY NOT NULL,
    warehouse_id      BLOB NOT NULL REFERENCES warehouses,
    namespace_id      BLOB NOT NULL REFERENCES namespaces,
    kind              TEXT NOT NULL CHECK (kind IN ('table', 'view')),
    name              TEXT NOT NULL CHECK (name <> ''),
    metadata_location TEXT NOT NULL,
    table_uuid        BLOB NOT NULL,
    location          TEXT NOT NULL,
    created_ms        INTEGER NOT NULL,
    updated_ms        INTEGER NOT NULL, superseded TEXT,
    UNIQUE (namespace_id, name)
) STRICT;
INSERT INTO "tabulars" VALUES(X'01A22E754C18731EAB9DA40AAD7115DC',X'01A22E754C0177168CABB1597834B2CF',X'01A22E754C1574B9AF04FF250F271770','table','orders','file://{root}/warehouse/sales/orders-238c97eb87054ddba2349362ee64be4f/metadata/00001-102b0c16-0d6f-4f89-b56b-307e658cd06a.metadata.json',X'7CF446D3729243EF9431FE60D17FC8E5','file://{root}/warehouse/sales/orders-238c97eb87054ddba2349362ee64be4f',1796075768856,1796075768865,'{}');
INSERT INTO "tabulars" VALUES(X'01A22E754C2A70D098DF7E29967FD99C',X'01A22E754C0177168CABB1597834B2CF',X'01A22E754C1574B9AF04FF250F271770','view','v','file://{root}/warehouse/sales/v-1a5ddd8c2f194a07a94acfdf1747f389/metadata/00000-c6212559-b23a-49c5-b275-a0bc9a1de60e.metadata.json',X'D958B11E8D3A481E91B41825D13182BC','file://{root}/warehouse/sales/v-1a5ddd8c2f194a07a94acfdf1747f389',1796075768874,1796075768874,NULL);
CREATE TABLE warehouses (
    warehouse_id BLOB PRIMARY KEY NOT NULL,
    name         TEXT NOT NULL UNIQUE,
    location     TEXT NOT NULL,
    properties   TEXT NOT NULL,
    created_ms   INTEGER NOT NULL
) STRICT;
INSERT INTO "warehouses" VALUES(X'01A22E754C0177168CABB1597834B2CF','main','file://{root}/warehouse','{}',1796075768833);
CREATE INDEX namespaces_by_parent ON namespaces (warehouse_id, parent_path, path);
CREATE INDEX tabulars_by_kind ON tabulars (namespace_id, kind, name);
CREATE INDEX namespace_history_by_id ON namespace_history (namespace_id, valid_to_ms, valid_from_ms);
CREATE INDEX namespace_history_by_path ON namespace_history (warehouse_id, path, valid_to_ms);
CREATE INDEX namespace_history_by_parent ON namespace_history (warehouse_id, parent_path, path, valid_to_ms);
CREATE INDEX tabular_history_by_id ON tabular_history (tabular_id, valid_to_ms, valid_from_ms);
CREATE INDEX tabular_history_by_name ON tabular_history (namespace_id, name, valid_to_ms);
CREATE INDEX tabular_history_by_kind ON tabular_history (namespace_id, kind, name, valid_to_ms);
CREATE INDEX pointer_history_by_instant ON pointer_history (tabular_id, valid_to_ms, valid_from_ms);
CREATE INDEX pointer_history_by_order ON pointer_history (tabular_id, history_id);
CREATE INDEX locations_by_owner ON locations (owner_id);
CREATE INDEX cleanup_tasks_by_due ON cleanup_tasks (due_ms, task_id);
CREATE INDEX audit_by_object ON audit (object_id, at_ms, audit_id);
CREATE TRIGGER audit_changes_are_told AFTER INSERT ON audit WHEN NEW.outcome = 'done'
BEGIN
    INSERT INTO outbox (at_ms, audit_id) VALUES (NEW.at_ms, NEW.audit_id);
END;
CREATE INDEX idempotency_by_time ON idempotency (created_ms);
CREATE INDEX reports_by_tabular ON reports (tabular_id, report_id);
CREATE INDEX plans_by_time ON plans (created_ms);
CREATE UNIQUE INDEX maintenance_jobs_open ON maintenance_jobs (tabular_id, action)
    WHERE state IN ('queued', 'running');
CREATE UNIQUE INDEX maintenance_jobs_one_committer ON maintenance_jobs (tabular_id) WHERE state = 'running';
CREATE INDEX maintenance_jobs_by_rank ON maintenance_jobs (rank DESC, job_id) WHERE state = 'queued';
CREATE INDEX maintenance_jobs_by_lease ON maintenance_jobs (lease_until_ms) WHERE state = 'running';
CREATE INDEX maintenance_jobs_by_table ON maintenance_jobs (tabular_id, job_id);
CREATE INDEX maintenance_jobs_by_action ON maintenance_jobs (tabular_id, action, job_id);
CREATE TRIGGER tabulars_pointer_moved AFTER UPDATE OF metadata_location ON tabulars
BEGIN
    UPDATE pointer_history SET valid_to_ms = NEW.updated_ms
    WHERE tabular_id = NEW.tabular_id AND valid_to_ms = 9223372036854775807;
    INSERT INTO pointer_history (tabular_id, metadata_location, table_uuid, location, superseded, valid_from_ms, valid_to_ms)
    VALUES (NEW.tabular_id, NEW.metadata_location, NEW.table_uuid, NEW.location, NEW.superseded, NEW.updated_ms,
            9223372036854775807);
END;
COMMIT;