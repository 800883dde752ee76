//! What Apache Iceberg means, apart from any server.
