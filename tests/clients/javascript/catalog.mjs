// Test of iceberg-js, without a prefix: node catalog.mjs LIBRARY URI NAMESPACE WAREHOUSE

import assert from "node:assert/strict";

const [library, uri, name, warehouse] = process.argv.slice(2);
const { IcebergRestCatalog, getCurrentSchema } = await import(library);
const catalog = new IcebergRestCatalog({ baseUrl: uri });

const namespace = { namespace: [name] };
const created = await catalog.createNamespace(namespace, { properties: { owner: "js" } });
assert.deepEqual(created.namespace, [name]);
assert.equal(await catalog.createNamespaceIfNotExists(namespace), undefined);
assert.ok((await catalog.listNamespaces()).some((found) => found.namespace[0] === name));
const { properties } = await catalog.loadNamespaceMetadata(namespace);
assert.equal(properties.owner, "js");

const child = { namespace: [name, "child"] };
await catalog.createNamespace(child);
assert.deepEqual(await catalog.listNamespaces(namespace), [child]);
await catalog.dropNamespace(child);
assert.equal(await catalog.namespaceExists(child), false);

const fields = [
  { id: 1, name: "id", type: "long", required: true },
  { id: 2, name: "at", type: "timestamp", required: false },
];
const request = {
  name: "events",
  schema: { type: "struct", "schema-id": 0, fields },
  "partition-spec": { "spec-id": 0, fields: [{ "source-id": 2, "field-id": 1000, name: "day", transform: "day" }] },
  properties: { "write.format.default": "parquet" },
};
const table = { namespace: [name], name: "events" };
const made = await catalog.createTable(namespace, request);
assert.deepEqual(getCurrentSchema(made).fields, fields);
await assert.rejects(catalog.createTable(namespace, request), (error) => error.isConflict());
const again = await catalog.createTableIfNotExists(namespace, request);
assert.equal(again["table-uuid"], made["table-uuid"]);
assert.deepEqual(await catalog.listTables(namespace), [table]);
assert.equal(await catalog.tableExists(table), true);
const loaded = await catalog.loadTable(table);
assert.deepEqual([loaded.location, loaded["partition-specs"]], [made.location, made["partition-specs"]]);

// Its update is not a valid commit of the protocol, so it must be refused instead of being ignored.
await assert.rejects(catalog.updateTable(table, { properties: { a: "b" } }), (error) => error.status === 400);

// The same table, with the name of the warehouse as prefix.
const prefixed = new IcebergRestCatalog({ baseUrl: uri, catalogName: warehouse });
assert.equal((await prefixed.loadTable(table))["table-uuid"], made["table-uuid"]);

await catalog.dropTable(table, { purge: true });
await assert.rejects(catalog.loadTable(table), (error) => error.isNotFound());
await catalog.dropNamespace(namespace);
assert.equal(await catalog.namespaceExists(namespace), false);
