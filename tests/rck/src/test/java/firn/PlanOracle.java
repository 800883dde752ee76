package firn;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.UUID;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.DeleteFile;
import org.apache.iceberg.FileFormat;
import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.IncrementalAppendScan;
import org.apache.iceberg.MetadataColumns;
import org.apache.iceberg.PartitionData;
import org.apache.iceberg.PartitionField;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.Scan;
import org.apache.iceberg.Schema;
import org.apache.iceberg.SingleValueParser;
import org.apache.iceberg.Snapshot;
import org.apache.iceberg.StructLike;
import org.apache.iceberg.Table;
import org.apache.iceberg.TableScan;
import org.apache.iceberg.catalog.Namespace;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.data.GenericFileWriterFactory;
import org.apache.iceberg.data.GenericRecord;
import org.apache.iceberg.data.IcebergGenerics;
import org.apache.iceberg.data.IdentityPartitionConverters;
import org.apache.iceberg.data.InternalRecordWrapper;
import org.apache.iceberg.data.Record;
import org.apache.iceberg.deletes.EqualityDeleteWriter;
import org.apache.iceberg.encryption.EncryptionUtil;
import org.apache.iceberg.expressions.Binder;
import org.apache.iceberg.expressions.BoundPredicate;
import org.apache.iceberg.expressions.Expression;
import org.apache.iceberg.expressions.ExpressionParser;
import org.apache.iceberg.expressions.ExpressionVisitors;
import org.apache.iceberg.expressions.Expressions;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.rest.RESTCatalog;
import org.apache.iceberg.types.Type;
import org.apache.iceberg.types.TypeUtil;
import org.apache.iceberg.types.Types;

/**
 * Plans scans with Iceberg's Java library, reads the content of tables, and writes equality deletes.
 *
 * <p>The arguments are a catalog's URI and a warehouse. Each line of standard input is an object with {@code op}
 * and {@code table} (the levels of its name). The corresponding line of standard output has the result, or
 * {@code {"error": {"type", "message"}}} if the library refuses the operation:
 *
 * <ul>
 *   <li>{@code plan}: the tasks of a scan, planned by the library, or with {@code "remote": true} by the server.
 *       Parameters are {@code filter}, {@code case-sensitive}, {@code snapshot-id} (read with the snapshot's
 *       schema), {@code ref}, {@code start-snapshot-id} (exclusive) with {@code end-snapshot-id}.
 *   <li>{@code count}: the number of {@code files} in these tasks, planned by the library, and the duration of
 *       planning in milliseconds, {@code ms}, without that of loading the table.
 *   <li>{@code match}: the number of {@code rows} of each data file that pass {@code filter}, the number that may
 *       pass it according to some interpretation, {@code possible}, and those of the {@code residuals}, by data
 *       file, that are not equivalent to the filter for the rows of the file. Deleted rows do not count. With
 *       {@code "appended": true}, the rows of every data file that the table ever had, as they were when it was
 *       added, in the table's schema.
 *   <li>{@code columns}: names, types and values of the columns that a filter may refer to, the files in which
 *       they may contain NaN, {@code maybe-nan}, and the partition fields.
 *   <li>{@code delete}: commits an equality delete file for {@code rows} of {@code columns}, in {@code partition}
 *       of {@code spec-id}.
 * </ul>
 */
public final class PlanOracle {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int VALUES_MAX = 60;

  private final RESTCatalog local;
  private final RESTCatalog remote;
  private final Map<String, Rows> rows = new HashMap<>();

  private PlanOracle(String uri, String warehouse) {
    this.local = open(uri, warehouse, "client");
    this.remote = open(uri, warehouse, "server");
  }

  public static void main(String[] args) throws Exception {
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    PlanOracle oracle = new PlanOracle(args[0], args[1]);
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      ObjectNode answer = JSON.createObjectNode();
      try {
        oracle.answer(JSON.readTree(line), answer);
      } catch (RuntimeException e) {
        answer.removeAll();
        answer.putObject("error").put("type", e.getClass().getSimpleName()).put("message", String.valueOf(e.getMessage()));
      }
      out.println(JSON.writeValueAsString(answer));
    }
  }

  private static RESTCatalog open(String uri, String warehouse, String planning) {
    RESTCatalog catalog = new RESTCatalog();
    catalog.setConf(new Configuration());
    catalog.initialize(
        "firn-" + planning, Map.of("uri", uri, "warehouse", warehouse, "scan-planning-mode", planning));
    return catalog;
  }

  private void answer(JsonNode request, ObjectNode answer) throws IOException {
    switch (request.get("op").textValue()) {
      case "plan":
        plan(request, answer.putArray("tasks"));
        break;
      case "count":
        count(request, answer);
        break;
      case "match":
        match(request, answer);
        break;
      case "columns":
        columns(request, answer);
        break;
      case "delete":
        delete(request);
        break;
      default:
        throw new IllegalArgumentException("unknown op: " + request.get("op"));
    }
  }

  private static Table load(RESTCatalog catalog, JsonNode request) {
    List<String> levels = new ArrayList<>();
    request.get("table").forEach(level -> levels.add(level.textValue()));
    String name = levels.remove(levels.size() - 1);
    return catalog.loadTable(TableIdentifier.of(Namespace.of(levels.toArray(new String[0])), name));
  }

  private static Expression filter(JsonNode request) {
    return request.has("filter") ? ExpressionParser.fromJson(request.get("filter").toString()) : Expressions.alwaysTrue();
  }

  private static boolean isCaseSensitive(JsonNode request) {
    return request.path("case-sensitive").asBoolean(true);
  }

  private static TableScan scan(Table table, JsonNode request) {
    TableScan scan = table.newScan();
    if (request.has("snapshot-id")) {
      scan = scan.useSnapshot(request.get("snapshot-id").longValue());
    } else if (request.has("ref")) {
      scan = scan.useRef(request.get("ref").textValue());
    }
    return scan;
  }

  private void plan(JsonNode request, ArrayNode tasks) throws IOException {
    Table table = load(request.path("remote").asBoolean(false) ? remote : local, request);
    if (request.has("start-snapshot-id")) {
      IncrementalAppendScan scan =
          table
              .newIncrementalAppendScan()
              .fromSnapshotExclusive(request.get("start-snapshot-id").longValue())
              .toSnapshot(request.get("end-snapshot-id").longValue());
      write(scan.caseSensitive(isCaseSensitive(request)).filter(filter(request)), tasks);
    } else {
      write(scan(table, request).caseSensitive(isCaseSensitive(request)).filter(filter(request)), tasks);
    }
  }

  private void count(JsonNode request, ObjectNode answer) throws IOException {
    Table table = load(local, request);
    TableScan scan = scan(table, request).caseSensitive(isCaseSensitive(request)).filter(filter(request));
    long files = 0;
    long start = System.nanoTime();
    try (CloseableIterable<FileScanTask> planned = scan.planFiles()) {
      for (FileScanTask task : planned) {
        files += 1;
      }
    }
    answer.put("ms", (System.nanoTime() - start) / 1e6).put("files", files);
  }

  private static void write(Scan<?, FileScanTask, ?> scan, ArrayNode tasks) throws IOException {
    try (CloseableIterable<FileScanTask> planned = scan.planFiles()) {
      for (FileScanTask task : planned) {
        ObjectNode node = tasks.addObject().put("path", task.file().location());
        node.set("residual", JSON.readTree(ExpressionParser.toJson(task.residual())));
        ArrayNode deletes = node.putArray("deletes");
        for (DeleteFile delete : task.deletes()) {
          deletes.addArray().add(delete.location()).add(delete.contentOffset());
        }
      }
    }
  }

  // --- Rows -------------------------------------------------------------------

  /** Live rows of a snapshot, each with its data file. */
  private static final class Rows {
    private final Schema schema;
    private final List<String> paths = new ArrayList<>();
    private final List<StructLike> values = new ArrayList<>();

    private Rows(Schema schema) {
      this.schema = schema;
    }
  }

  private Rows rows(Table table, JsonNode request) throws IOException {
    TableScan scan = scan(table, request);
    return scan.snapshot() == null ? new Rows(scan.schema()) : rows(table, scan.schema(), scan.snapshot().snapshotId());
  }

  private Rows appendedRows(Table table) throws IOException {
    Rows all = new Rows(table.schema());
    Set<String> seen = new HashSet<>();
    for (Snapshot snapshot : table.snapshots()) {
      Rows then = rows(table, table.schema(), snapshot.snapshotId());
      for (int row = 0; row < then.paths.size(); row += 1) {
        if (!seen.contains(then.paths.get(row))) {
          all.paths.add(then.paths.get(row));
          all.values.add(then.values.get(row));
        }
      }
      seen.addAll(then.paths);
    }
    return all;
  }

  private Rows rows(Table table, Schema schema, long snapshot) throws IOException {
    String key = table.uuid() + "/" + snapshot + "/" + schema.schemaId();
    Rows known = rows.get(key);
    if (known != null) {
      return known;
    }
    Schema projection = TypeUtil.join(schema, new Schema(MetadataColumns.FILE_PATH));
    Rows read = new Rows(schema);
    try (CloseableIterable<Record> records =
        IcebergGenerics.read(table).useSnapshot(snapshot).project(projection).build()) {
      for (Record record : records) {
        read.paths.add(record.getField(MetadataColumns.FILE_PATH.name()).toString());
        read.values.add(new InternalRecordWrapper(projection.asStruct()).wrap(record));
      }
    }
    rows.put(key, read);
    return read;
  }

  private void match(JsonNode request, ObjectNode answer) throws IOException {
    Table table = load(local, request);
    Rows all = request.path("appended").asBoolean(false) ? appendedRows(table) : rows(table, request);
    Expression wanted = bind(filter(request), all.schema, isCaseSensitive(request));
    Map<String, Expression> residuals = new HashMap<>();
    JsonNode given = request.path("residuals");
    given
        .fieldNames()
        .forEachRemaining(
            path ->
                residuals.put(
                    path, bind(ExpressionParser.fromJson(given.get(path).toString()), all.schema, isCaseSensitive(request))));
    Map<String, Integer> counts = new TreeMap<>();
    Map<String, Integer> possible = new TreeMap<>();
    TreeSet<String> wrong = new TreeSet<>();
    for (int row = 0; row < all.paths.size(); row += 1) {
      String path = all.paths.get(row);
      Expression residual = residuals.get(path);
      int passes = 0;
      boolean differs = residual != null;
      for (Matcher matcher : Matcher.readings(all.values.get(row))) {
        boolean matches = matcher.test(wanted);
        passes += matches ? 1 : 0;
        differs = differs && matches != matcher.test(residual);
      }
      counts.merge(path, passes == Matcher.READINGS ? 1 : 0, Integer::sum);
      possible.merge(path, passes > 0 ? 1 : 0, Integer::sum);
      if (differs) {
        wrong.add(path);
      }
    }
    ObjectNode rowCounts = answer.putObject("rows");
    counts.forEach(rowCounts::put);
    ObjectNode possibleCounts = answer.putObject("possible");
    possible.forEach(possibleCounts::put);
    ArrayNode residualsThatDiffer = answer.putArray("wrong-residuals");
    wrong.forEach(residualsThatDiffer::add);
  }

  private static Expression bind(Expression filter, Schema schema, boolean caseSensitive) {
    return Binder.bind(schema.asStruct(), Expressions.rewriteNot(filter), caseSensitive);
  }

  /**
   * Evaluates a bound filter without {@code not} for a row.
   *
   * <p>As in scan planning, null passes {@code not-eq}, {@code not-in} and {@code not-starts-with}, and no other
   * comparison. The order of floats has several interpretations: -0.0 is less than 0.0 in the library, and equal
   * to it in SQL; NaN is not ordered in the library's planning, and greater than all other values in Spark. UUIDs
   * are ordered by their bytes, as in Parquet's bounds; the library compares them as two signed numbers.
   */
  private static final class Matcher extends ExpressionVisitors.ExpressionVisitor<Boolean> {
    private final StructLike row;
    private final boolean flipsZeros;
    private final boolean ordersNaN;

    private Matcher(StructLike row, boolean flipsZeros, boolean ordersNaN) {
      this.row = row;
      this.flipsZeros = flipsZeros;
      this.ordersNaN = ordersNaN;
    }

    private static final int READINGS = 4;

    private static List<Matcher> readings(StructLike row) {
      return List.of(
          new Matcher(row, false, false),
          new Matcher(row, true, false),
          new Matcher(row, false, true),
          new Matcher(row, true, true));
    }

    private boolean test(Expression filter) {
      return ExpressionVisitors.visit(filter, this);
    }

    @Override
    public Boolean alwaysTrue() {
      return true;
    }

    @Override
    public Boolean alwaysFalse() {
      return false;
    }

    @Override
    public Boolean and(Boolean left, Boolean right) {
      return left && right;
    }

    @Override
    public Boolean or(Boolean left, Boolean right) {
      return left || right;
    }

    @Override
    public <T> Boolean predicate(BoundPredicate<T> predicate) {
      T value = flipsZeros ? flipZero(predicate.term().eval(row)) : predicate.term().eval(row);
      switch (predicate.op()) {
        case NOT_EQ:
        case NOT_IN:
        case NOT_STARTS_WITH:
        case NOT_NAN:
          return value == null || predicate.test(value);
        case LT:
        case LT_EQ:
        case GT:
        case GT_EQ:
          if (value instanceof UUID) {
            return compareBytes((UUID) value, (UUID) predicate.asLiteralPredicate().literal().value(), predicate.op());
          }
          return value != null && (ordersNaN || !isNaN(value)) && predicate.test(value);
        case IS_NULL:
        case NOT_NULL:
          return predicate.test(value);
        default:
          return value != null && predicate.test(value);
      }
    }
  }

  private static boolean compareBytes(UUID value, UUID literal, Expression.Operation op) {
    int high = Long.compareUnsigned(value.getMostSignificantBits(), literal.getMostSignificantBits());
    int order = high != 0 ? high : Long.compareUnsigned(value.getLeastSignificantBits(), literal.getLeastSignificantBits());
    switch (op) {
      case LT:
        return order < 0;
      case LT_EQ:
        return order <= 0;
      case GT:
        return order > 0;
      default:
        return order >= 0;
    }
  }

  @SuppressWarnings("unchecked")
  private static <T> T flipZero(T value) {
    if (value instanceof Double && (Double) value == 0) {
      return (T) (Double) (-(Double) value);
    }
    if (value instanceof Float && (Float) value == 0) {
      return (T) (Float) (-(Float) value);
    }
    return value;
  }

  private static boolean isNaN(Object value) {
    return value instanceof Double && ((Double) value).isNaN() || value instanceof Float && ((Float) value).isNaN();
  }

  // --- Columns ----------------------------------------------------------------

  private void columns(JsonNode request, ObjectNode answer) throws IOException {
    Table table = load(local, request);
    Rows all = rows(table, request);
    ArrayNode columns = answer.putArray("columns");
    for (Map.Entry<String, Integer> entry : namesOutsideOfListsAndMaps(all.schema.asStruct(), "").entrySet()) {
      Types.NestedField field = all.schema.findField(entry.getValue());
      ObjectNode column = columns.addObject().put("name", entry.getKey()).put("type", field.type().toString());
      column.put("optional", field.isOptional());
      if (field.type().typeId() == Type.TypeID.FLOAT || field.type().typeId() == Type.TypeID.DOUBLE) {
        maybeNaN(scan(table, request), entry.getValue(), column.putArray("maybe-nan"));
      }
      if (field.type().isPrimitiveType()) {
        values(all, entry.getValue(), column.putArray("values"));
      }
    }
    ArrayNode partitions = answer.putArray("partition-fields");
    for (PartitionSpec spec : table.specs().values()) {
      for (PartitionField field : spec.fields()) {
        String source = all.schema.findColumnName(field.sourceId());
        if (source != null) {
          partitions.addObject().put("source", source).put("transform", field.transform().toString());
        }
      }
    }
  }

  /** Lists the data files in which a column contains NaN, or may because NaN was not counted. */
  private static void maybeNaN(TableScan scan, int id, ArrayNode paths) throws IOException {
    try (CloseableIterable<FileScanTask> planned = scan.includeColumnStats().planFiles()) {
      for (FileScanTask task : planned) {
        Map<Integer, Long> counts = task.file().nanValueCounts();
        Long count = counts == null ? null : counts.get(id);
        if (count == null || count > 0) {
          paths.add(task.file().location());
        }
      }
    }
  }

  private static Map<String, Integer> namesOutsideOfListsAndMaps(Types.StructType struct, String prefix) {
    Map<String, Integer> names = new TreeMap<>();
    for (Types.NestedField field : struct.fields()) {
      names.put(prefix + field.name(), field.fieldId());
      if (field.type().isStructType()) {
        names.putAll(namesOutsideOfListsAndMaps(field.type().asStructType(), prefix + field.name() + "."));
      }
    }
    return names;
  }

  /**
   * Lists distinct values of a column, in the order of their JSON: rows come in the order in which the files are planned,
   * which differs between runs, and filters that are drawn from the values must not.
   */
  private static void values(Rows all, int id, ArrayNode values) throws JsonProcessingException {
    Type type = all.schema.findType(id);
    org.apache.iceberg.Accessor<StructLike> accessor = all.schema.accessorForField(id);
    TreeSet<String> distinct = new TreeSet<>();
    for (StructLike row : all.values) {
      Object value = accessor.get(row);
      if (value != null) {
        distinct.add(SingleValueParser.toJson(type, value));
      }
    }
    List<String> sorted = new ArrayList<>(distinct);
    int count = Math.min(VALUES_MAX, sorted.size());
    for (int number = 0; number < count; number += 1) {
      values.add(JSON.readTree(sorted.get(number * sorted.size() / count)));
    }
  }

  // --- Equality deletes -------------------------------------------------------

  private void delete(JsonNode request) throws IOException {
    Table table = load(local, request);
    List<Types.NestedField> fields = new ArrayList<>();
    request.get("columns").forEach(name -> fields.add(table.schema().findField(name.textValue())));
    Schema deleteSchema = new Schema(fields);
    PartitionSpec spec = table.specs().get(request.path("spec-id").asInt(table.spec().specId()));
    PartitionData partition = null;
    if (spec.isPartitioned()) {
      partition = new PartitionData(spec.partitionType());
      for (int i = 0; i < partition.size(); i += 1) {
        partition.set(i, SingleValueParser.fromJson(spec.partitionType().fields().get(i).type(), request.get("partition").get(i)));
      }
    }
    GenericFileWriterFactory factory =
        new GenericFileWriterFactory.Builder(table)
            .deleteFileFormat(FileFormat.PARQUET)
            .equalityFieldIds(fields.stream().mapToInt(Types.NestedField::fieldId).toArray())
            .equalityDeleteRowSchema(deleteSchema)
            .build();
    String path = table.locationProvider().newDataLocation("equality-" + UUID.randomUUID() + ".parquet");
    EqualityDeleteWriter<Record> writer =
        factory.newEqualityDeleteWriter(
            EncryptionUtil.plainAsEncryptedOutput(table.io().newOutputFile(path)), spec, partition);
    try (writer) {
      for (JsonNode row : request.get("rows")) {
        GenericRecord record = GenericRecord.create(deleteSchema);
        for (int i = 0; i < fields.size(); i += 1) {
          Type type = fields.get(i).type();
          record.set(i, IdentityPartitionConverters.convertConstant(type, SingleValueParser.fromJson(type, row.get(i))));
        }
        writer.write(record);
      }
    }
    table.newRowDelta().addDeletes(writer.toDeleteFile()).commit();
  }
}
