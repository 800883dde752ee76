"""A streaming sink as Flink's: new rows and equality deletes for their keys in one commit, written by Iceberg's Java library.

The library runs in Spark's virtual machine. Its rules are those of the real sink: a commit asserts the branch's head, and is
made again on top of whatever came between, without any check, for its deletes are by value and older than its rows.
"""

# Java makes an `Integer` of every smaller number that it is sent, which a column of longs does not take.
LONG = 1 << 40


class Sink:
    """Commits to the tables of one namespace; keys are in the first column."""

    def __init__(self, spark, uri, warehouse, namespace):
        self.jvm, self.new_array = spark._jvm, spark._sc._gateway.new_array
        self.iceberg = self.jvm.org.apache.iceberg
        properties = self.jvm.java.util.HashMap()
        properties.put("uri", uri)
        properties.put("warehouse", warehouse)
        hadoop = spark._jsc.hadoopConfiguration()
        self.catalog = self.iceberg.CatalogUtil.loadCatalog("org.apache.iceberg.rest.RESTCatalog", "sink", properties, hadoop)
        self.namespace = self.iceberg.catalog.Namespace.of(self.strings(namespace))

    def strings(self, *values):
        array = self.new_array(self.jvm.String, len(values))
        for place, value in enumerate(values):
            array[place] = value
        return array

    def load(self, name):
        return self.catalog.loadTable(self.iceberg.catalog.TableIdentifier.of(self.namespace, name))

    def append(self, name, rows):
        table = self.load(name)
        commit = table.newFastAppend()
        for file in self.write(table, table.spec(), rows):
            commit.appendFile(file)
        commit.commit()

    def upsert(self, name, rows, gone=(), spec_ids=None):
        """Rows that take the place of whatever has their keys, and keys of which no row is to remain."""
        table = self.load(name)
        commit = table.newRowDelta()
        for file in self.write(table, table.spec(), rows):
            commit.addRows(file)
        # A delete is for the files of its own partition and spec only, and older files are of older specs.
        specs = [spec for spec in table.specs().values() if spec_ids is None or spec.specId() in spec_ids]
        for spec in specs:
            for file in self.write(table, spec, [*rows, *gone], deletes=True):
                commit.addDeletes(file)
        commit.commit()

    def write(self, table, spec, rows, deletes=False):
        """Files for rows, one a partition; or equality deletes for the keys of rows."""
        if not rows:
            return []
        schema, parquet = table.schema(), self.iceberg.FileFormat.PARQUET
        key = schema.columns()[0]
        ids = self.new_array(self.jvm.int, 1)
        ids[0] = key.fieldId()
        keys = schema.select(self.strings(key.name()))
        factory = self.iceberg.data.GenericAppenderFactory(schema, spec, ids, keys, None)
        places = self.iceberg.io.OutputFileFactory.builderFor(table, 1, 1).format(parquet).build()
        wrapper = self.iceberg.data.InternalRecordWrapper(schema.asStruct())
        partition = self.iceberg.PartitionKey(spec, schema)
        writers = {}
        for row in rows:
            record = self.record(schema, row)
            partition.partition(wrapper.wrap(record))
            writer = writers.get(partition.toPath())
            if writer is None:
                own = partition.copy()
                place = places.newOutputFile(spec, own) if spec.isPartitioned() else places.newOutputFile()
                new = factory.newEqDeleteWriter if deletes else factory.newDataWriter
                writer = writers[partition.toPath()] = new(place, parquet, own if spec.isPartitioned() else None)
            writer.write(self.record(keys, row[:1]) if deletes else record)
        for writer in writers.values():
            writer.close()
        return [writer.toDeleteFile() if deletes else writer.toDataFile() for writer in writers.values()]

    def record(self, schema, row):
        record = self.iceberg.data.GenericRecord.create(schema)
        for place, value in enumerate(row):
            if hasattr(value, "toordinal"):
                value = self.jvm.java.time.LocalDate.of(value.year, value.month, value.day)
            record.set(place, value)
        return record
