package org.apache.iceberg.rest;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Map;
import org.apache.iceberg.BaseTransaction;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.DataFiles;
import org.apache.iceberg.MetadataUpdate;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.Schema;
import org.apache.iceberg.Table;
import org.apache.iceberg.TableMetadata;
import org.apache.iceberg.Transaction;
import org.apache.iceberg.UpdateRequirements;
import org.apache.iceberg.catalog.ImmutableTableCommit;
import org.apache.iceberg.catalog.Namespace;
import org.apache.iceberg.catalog.TableCommit;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.exceptions.CommitFailedException;
import org.apache.iceberg.types.Types;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Commits of several tables with {@link RESTCatalog#commitTransaction}, which the kit does not test. */
public class FirnTransactionTest {
  private static final Namespace NS = Namespace.of("transactions");
  private static final TableIdentifier FIRST = TableIdentifier.of(NS, "first");
  private static final TableIdentifier SECOND = TableIdentifier.of(NS, "second");
  private static final TableIdentifier STAGED = TableIdentifier.of(NS, "staged");
  private static final Schema SCHEMA = new Schema(Types.NestedField.required(1, "id", Types.LongType.get()));
  private static final PartitionSpec SPEC = PartitionSpec.unpartitioned();

  private static RESTCatalog catalog;

  @BeforeAll
  static void connect() {
    catalog = RCKUtils.initCatalogClient();
  }

  @AfterAll
  static void disconnect() throws Exception {
    catalog.close();
  }

  @BeforeEach
  void createTwoTables() {
    catalog.createNamespace(NS);
    catalog.createTable(FIRST, SCHEMA);
    catalog.createTable(SECOND, SCHEMA);
  }

  @AfterEach
  void dropTables() {
    catalog.listTables(NS).forEach(table -> catalog.dropTable(table));
    catalog.dropNamespace(NS);
  }

  @Test
  void twoTablesAndAStagedOneAreCommittedTogether() {
    TableMetadata staged = stage();

    catalog.commitTransaction(List.of(appendTo(FIRST, 10), evolve(SECOND, "added"), creation(staged)));

    assertThat(recordsOf(FIRST)).isEqualTo(10);
    assertThat(catalog.loadTable(SECOND).schema().findField("added")).isNotNull();
    Table created = catalog.loadTable(STAGED);
    assertThat(created.uuid().toString()).isEqualTo(staged.uuid());
    assertThat(created.location()).isEqualTo(staged.location());
    assertThat(created.properties()).containsEntry("staged", "yes");
    assertThat(recordsOf(STAGED)).isZero();

    // The created table can be committed to like any other.
    catalog.commitTransaction(appendTo(STAGED, 3), appendTo(FIRST, 5));
    assertThat(List.of(recordsOf(STAGED), recordsOf(FIRST))).containsExactly(3L, 15L);
  }

  @Test
  void nothingIsCommittedWhenOneTableHasMovedOn() {
    append(SECOND, 1);
    TableCommit stale = appendTo(SECOND, 20);
    append(SECOND, 2);
    TableCommit first = appendTo(FIRST, 10);
    TableCommit creation = creation(stage());

    // In each order: the order of the list is irrelevant.
    for (List<TableCommit> commits : List.of(List.of(first, creation, stale), List.of(stale, first, creation))) {
      assertThatThrownBy(() -> catalog.commitTransaction(commits))
          .isInstanceOf(CommitFailedException.class)
          .hasMessageContaining("branch main has changed");
      assertThat(List.of(recordsOf(FIRST), recordsOf(SECOND))).containsExactly(0L, 3L);
      assertThat(catalog.tableExists(STAGED)).isFalse();
    }

    // Nothing is left that would prevent another attempt.
    catalog.commitTransaction(first, appendTo(SECOND, 20), creation);
    assertThat(List.of(recordsOf(FIRST), recordsOf(SECOND))).containsExactly(10L, 23L);
    assertThat(catalog.tableExists(STAGED)).isTrue();
  }

  @Test
  void nothingIsCommittedWhenTheSchemaOfOneTableHasChanged() {
    TableCommit stale = evolve(SECOND, "late");
    catalog.loadTable(SECOND).updateSchema().addColumn("early", Types.StringType.get()).commit();

    assertThatThrownBy(() -> catalog.commitTransaction(appendTo(FIRST, 10), stale))
        .isInstanceOf(CommitFailedException.class)
        .hasMessageContaining("last assigned field id changed");

    assertThat(recordsOf(FIRST)).isZero();
    assertThat(catalog.loadTable(SECOND).schema().findField("late")).isNull();
  }

  @Test
  void nothingIsCommittedWhenTheStagedTableIsThereAlready() {
    TableCommit creation = creation(stage());
    catalog.createTable(STAGED, SCHEMA, SPEC, Map.of("staged", "no"));

    assertThatThrownBy(() -> catalog.commitTransaction(appendTo(FIRST, 10), creation))
        .isInstanceOf(CommitFailedException.class)
        .hasMessageContaining("table already exists");

    assertThat(recordsOf(FIRST)).isZero();
    assertThat(catalog.loadTable(STAGED).properties()).containsEntry("staged", "no");
  }

  private static TableCommit appendTo(TableIdentifier table, long records) {
    Transaction transaction = catalog.loadTable(table).newTransaction();
    transaction.newAppend().appendFile(file(table, records)).commit();
    return commit(table, transaction);
  }

  private static TableCommit evolve(TableIdentifier table, String column) {
    Transaction transaction = catalog.loadTable(table).newTransaction();
    transaction.updateSchema().addColumn(column, Types.StringType.get()).commit();
    return commit(table, transaction);
  }

  private static TableCommit commit(TableIdentifier table, Transaction transaction) {
    BaseTransaction changes = (BaseTransaction) transaction;
    return TableCommit.create(table, changes.startMetadata(), changes.currentMetadata());
  }

  /** Returns the metadata of a staged table, which does not exist yet. */
  private static TableMetadata stage() {
    Transaction transaction = catalog.buildTable(STAGED, SCHEMA).withProperty("staged", "yes").createTransaction();
    return ((BaseTransaction) transaction).currentMetadata();
  }

  /** Returns the commit that creates a table; {@link TableCommit#create} requires an existing table. */
  private static TableCommit creation(TableMetadata staged) {
    List<MetadataUpdate> updates =
        TableMetadata.buildFromEmpty(staged.formatVersion())
            .assignUUID(staged.uuid())
            .setLocation(staged.location())
            .setCurrentSchema(staged.schema(), staged.lastColumnId())
            .setDefaultPartitionSpec(staged.spec())
            .setDefaultSortOrder(staged.sortOrder())
            .setProperties(staged.properties())
            .build()
            .changes();
    return ImmutableTableCommit.builder()
        .identifier(STAGED)
        .requirements(UpdateRequirements.forCreateTable(updates))
        .updates(updates)
        .build();
  }

  private static void append(TableIdentifier table, long records) {
    catalog.loadTable(table).newAppend().appendFile(file(table, records)).commit();
  }

  private static DataFile file(TableIdentifier table, long records) {
    return DataFiles.builder(SPEC)
        .withPath(catalog.loadTable(table).location() + "/data/" + records + ".parquet")
        .withFileSizeInBytes(10)
        .withRecordCount(records)
        .build();
  }

  private static long recordsOf(TableIdentifier table) {
    var snapshot = catalog.loadTable(table).currentSnapshot();
    return snapshot == null ? 0 : Long.parseLong(snapshot.summary().get("total-records"));
  }
}
