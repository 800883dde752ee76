package org.apache.iceberg.rest;

import org.apache.iceberg.catalog.Namespace;
import org.apache.iceberg.util.PropertyUtil;
import org.junit.jupiter.api.AfterEach;

/** The kit's catalog tests, with those that it disables: nested namespaces and names with slashes. */
public class FirnCatalogTest extends RESTCompatibilityKitCatalogTests {
  @Override
  protected boolean supportsNestedNamespaces() {
    return enabled("rck.supports-nested-namespaces");
  }

  @Override
  protected boolean supportsNamesWithSlashes() {
    return enabled("rck.supports-names-with-slashes");
  }

  /** Drops all namespaces. The kit drops only two of its own, but tests of nested ones expect an empty catalog. */
  @AfterEach
  public void dropNamespaces() {
    for (Namespace namespace : catalog().listNamespaces()) {
      drop(namespace);
    }
  }

  private void drop(Namespace namespace) {
    for (Namespace child : catalog().listNamespaces(namespace)) {
      drop(child);
    }
    catalog().listTables(namespace).forEach(table -> catalog().dropTable(table));
    catalog().dropNamespace(namespace);
  }

  private boolean enabled(String property) {
    return PropertyUtil.propertyAsBoolean(catalog().properties(), property, true);
  }
}
