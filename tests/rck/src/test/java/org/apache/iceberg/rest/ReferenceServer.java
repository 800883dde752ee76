package org.apache.iceberg.rest;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.function.Consumer;
import org.apache.hadoop.conf.Configuration;
import org.apache.iceberg.CatalogProperties;
import org.apache.iceberg.CatalogUtil;
import org.apache.iceberg.jdbc.JdbcCatalog;
import org.apache.iceberg.rest.RESTCatalogServer.CatalogContext;
import org.apache.iceberg.rest.responses.LoadTableResponse;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.http.UriCompliance;
import org.eclipse.jetty.server.HttpConfiguration;
import org.eclipse.jetty.server.HttpConnectionFactory;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;

/**
 * Server with Iceberg's reference catalog, to validate the client suites.
 *
 * <p>Unlike {@link RESTCatalogServer}, it listens only on loopback, permits {@code %2F} in a path segment,
 * refuses tables in namespaces that do not exist, and assigns a unique location to each table.
 */
public final class ReferenceServer {
  private ReferenceServer() {}

  public static void main(String[] args) throws Exception {
    if (args.length != 2) {
      System.err.println("usage: ReferenceServer PORT WAREHOUSE_LOCATION");
      System.exit(2);
    }
    int port = Integer.parseInt(args[0]);

    Map<String, String> properties = new HashMap<>();
    properties.put(CatalogProperties.CATALOG_IMPL, JdbcCatalog.class.getName());
    properties.put(CatalogProperties.WAREHOUSE_LOCATION, args[1]);
    properties.put(CatalogProperties.URI, "jdbc:sqlite::memory:");
    // Each connection to `:memory:` would open another database.
    properties.put(CatalogProperties.CLIENT_POOL_SIZE, "1");
    properties.put("jdbc.schema-version", "V1");
    properties.put("jdbc.strict-mode", "true");
    properties.put(CatalogProperties.UNIQUE_TABLE_LOCATION, "true");
    CatalogContext context =
        new CatalogContext(
            CatalogUtil.buildIcebergCatalog("reference", properties, new Configuration()), properties);

    HttpConfiguration http = new HttpConfiguration();
    http.setUriCompliance(UriCompliance.UNSAFE);
    Server server = new Server();
    ServerConnector connector = new ServerConnector(server, new HttpConnectionFactory(http));
    connector.setHost("127.0.0.1");
    connector.setPort(port);
    server.addConnector(connector);

    ServletContextHandler handler = new ServletContextHandler();
    handler.addServlet(
        new ServletHolder(new RESTCatalogServlet(new Adapter(context))), "/*");
    handler.getServletHandler().setDecodeAmbiguousURIs(true);
    server.setHandler(handler);
    server.start();
    System.out.println("http://127.0.0.1:" + connector.getLocalPort());
    server.join();
  }

  /** Creates the directory for the manifests of a new table, because DuckDB does not create it. */
  private static final class Adapter extends RESTServerCatalogAdapter {
    Adapter(CatalogContext context) {
      super(context);
    }

    @Override
    public <T extends RESTResponse> T handleRequest(
        Route route,
        Map<String, String> variables,
        HTTPRequest request,
        Class<T> responseType,
        Consumer<Map<String, String>> responseHeaders) {
      T response = super.handleRequest(route, variables, request, responseType, responseHeaders);
      if (route == Route.CREATE_TABLE && response instanceof LoadTableResponse table) {
        String location = table.tableMetadata().location();
        try {
          Files.createDirectories(Path.of(location.replaceFirst("^file:/*", "/"), "metadata"));
        } catch (IOException e) {
          throw new UncheckedIOException(e);
        }
      }
      return response;
    }
  }
}
