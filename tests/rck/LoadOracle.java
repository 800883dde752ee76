import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.apache.iceberg.BaseTable;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.Partitioning;
import org.apache.iceberg.Schema;
import org.apache.iceberg.StaticTableOperations;
import org.apache.iceberg.TableMetadata;
import org.apache.iceberg.TableMetadataParser;
import org.apache.iceberg.view.ViewMetadata;
import org.apache.iceberg.view.ViewMetadataParser;

/**
 * Checks that Iceberg's Java library can load metadata, and commit to it.
 *
 * <p>Each line of standard input is {@code {"table": TEXT}} or {@code {"view": TEXT}} with the text of a metadata
 * file. The corresponding line of standard output is {@code {}}, or {@code {"error": STRING}}. It is run from its
 * source, so that it does not have to be built: see {@code load-oracle}.
 */
public final class LoadOracle {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String LOCATION = "file:/tmp/load-oracle/metadata/00001-0.metadata.json";

  private LoadOracle() {}

  public static void main(String[] args) throws Exception {
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      ObjectNode answer = JSON.createObjectNode();
      try {
        JsonNode request = JSON.readTree(line);
        if (request.has("view")) {
          checkView(request.get("view").textValue());
        } else {
          checkTable(request.get("table").textValue());
        }
      } catch (RuntimeException e) {
        answer.put("error", e.getClass().getSimpleName() + ": " + e.getMessage());
      }
      out.println(JSON.writeValueAsString(answer));
    }
  }

  private static void checkTable(String text) {
    TableMetadata metadata = TableMetadataParser.fromJson(LOCATION, text);
    for (Schema schema : metadata.schemas()) {
      schema.idToName();
      schema.identifierFieldNames();
    }
    for (PartitionSpec spec : metadata.specs()) {
      spec.partitionType();
    }
    // Tables with unknown partition transforms must be readable, but their partitions cannot be listed.
    boolean isKnown =
        metadata.specs().stream()
            .flatMap(spec -> spec.fields().stream())
            .noneMatch(field -> field.transform().getClass().getSimpleName().equals("UnknownTransform"));
    if (isKnown) {
      Partitioning.partitionType(new BaseTable(new StaticTableOperations(metadata, null), "t"));
    }
    // Simulates the commit of a client, which uses the clock of this machine.
    TableMetadata next =
        TableMetadata.buildFrom(metadata).setProperties(Map.of("load-oracle", "was here")).build();
    TableMetadataParser.fromJson(LOCATION, TableMetadataParser.toJson(next));
  }

  private static void checkView(String text) {
    ViewMetadata metadata = ViewMetadataParser.fromJson(LOCATION, text);
    metadata.schemas().forEach(Schema::idToName);
    metadata.currentVersion();
    ViewMetadata next = ViewMetadata.buildFrom(metadata).setProperties(Map.of("load-oracle", "was here")).build();
    ViewMetadataParser.fromJson(ViewMetadataParser.toJson(next));
  }
}
