package firn;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.apache.iceberg.MetadataUpdateParser;
import org.apache.iceberg.TableMetadata;
import org.apache.iceberg.TableMetadataParser;

/**
 * Applies table updates to table metadata with Iceberg's Java library.
 *
 * <p>Each line of standard input is {@code {"base": METADATA or null, "location": STRING, "updates": [UPDATE,
 * …]}}, where {@code location} is the metadata location of {@code base}. The corresponding line of standard
 * output is {@code {"metadata": METADATA}}, or {@code {"error": {"type": CLASS, "message": STRING}}} if the
 * library refuses the updates.
 */
public final class MetadataOracle {
  private static final ObjectMapper JSON = new ObjectMapper();

  private MetadataOracle() {}

  public static void main(String[] args) throws Exception {
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      ObjectNode answer = JSON.createObjectNode();
      try {
        answer.set("metadata", JSON.readTree(TableMetadataParser.toJson(apply(JSON.readTree(line)))));
      } catch (RuntimeException e) {
        answer.putObject("error").put("type", e.getClass().getSimpleName()).put("message", e.getMessage());
      }
      out.println(JSON.writeValueAsString(answer));
    }
  }

  private static TableMetadata apply(JsonNode request) {
    TableMetadata.Builder builder;
    if (request.path("base").isObject()) {
      builder =
          TableMetadata.buildFrom(
              TableMetadataParser.fromJson(request.path("location").textValue(), request.get("base").toString()));
    } else {
      builder = TableMetadata.buildFromEmpty();
    }
    for (JsonNode update : request.get("updates")) {
      MetadataUpdateParser.fromJson(update).applyTo(builder);
    }
    return builder.build();
  }
}
