"""Streaming sink like Flink's: each commit has new rows and equality deletes for their keys, written by
Iceberg's Java library.

The library runs in Spark's virtual machine. The rules are those of the real sink: a commit asserts the
branch's head and is retried on top of concurrent commits without validation, because its equality deletes
apply only to older rows.
"""

# Py4J converts smaller numbers to `Integer`, which cannot be written to a column of longs.
LONG = 1 << 40


class Sink:
    """Commits to the tables of one namespace. The key is the first column."""

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

    def upsert(self, name, rows, deleted=(), spec_ids=None, superseded=()):
        """Writes rows that replace all rows with the same keys, and deletes all rows with the keys of `gone`.

        `superseded` are earlier rows with the same keys that the sink receives in the same commit: it has
        written them already, and deletes them by position in its own new files.
        """
        table = self.load(name)
        commit = table.newRowDelta()
        counts = {}
        for file in self.write(table, table.spec(), [*superseded, *rows], counts=counts, superseded=len(superseded)):
            commit.addRows(file)
            for delete in self.delete_first(table, file, counts.get(file.location(), 0)):
                commit.addDeletes(delete)
        # A delete applies only to files of its own partition and spec, and older files may have older specs.
        specs = [spec for spec in table.specs().values() if spec_ids is None or spec.specId() in spec_ids]
        for spec in specs:
            for file in self.write(table, spec, [*rows, *deleted], deletes=True):
                commit.addDeletes(file)
        commit.commit()

    def delete_by(self, name, column, values):
        """Deletes rows of an unpartitioned table by the values of any column."""
        table = self.load(name)
        schema, parquet = table.schema(), self.iceberg.FileFormat.PARQUET
        ids = self.new_array(self.jvm.int, 1)
        ids[0] = schema.findField(column).fieldId()
        keys = schema.select(self.strings(column))
        factory = self.iceberg.data.GenericAppenderFactory(schema, table.spec(), ids, keys, None)
        places = self.iceberg.io.OutputFileFactory.builderFor(table, 1, 3).format(parquet).build()
        writer = factory.newEqDeleteWriter(places.newOutputFile(), parquet, None)
        for value in values:
            writer.write(self.record(keys, [value]))
        writer.close()
        table.newRowDelta().addDeletes(writer.toDeleteFile()).commit()

    def delete_first(self, table, file, count):
        """Deletes the first rows of a new file by position: with a file or, from version 3 on, a vector."""
        if not count:
            return []
        format_of, places = self.iceberg.FileFormat, self.iceberg.io.OutputFileFactory.builderFor(table, 1, 2)
        if self.iceberg.TableUtil.formatVersion(table) > 2:
            writer = self.iceberg.deletes.BaseDVFileWriter(places.format(format_of.PUFFIN).build(), self.nothing())
            for position in range(count):
                writer.delete(file.location(), position, table.spec(), file.partition())
            writer.close()
            return list(writer.result().deleteFiles())
        partition = file.partition() if table.spec().isPartitioned() else None
        places = places.format(format_of.PARQUET).build()
        place = places.newOutputFile(table.spec(), partition) if partition else places.newOutputFile()
        factory = self.iceberg.data.GenericAppenderFactory(table.schema(), table.spec())
        writer = factory.newPosDeleteWriter(place, format_of.PARQUET, partition)
        delete = self.iceberg.deletes.PositionDelete.create()
        for position in range(count):
            writer.write(delete.set(file.location(), position))
        writer.close()
        return [writer.toDeleteFile()]

    def nothing(self):
        """Returns a Java function that returns null for every argument."""
        java = self.jvm.java.lang
        class_of = java.Class.forName
        handles = java.invoke.MethodHandles
        constant = handles.constant(class_of("java.lang.Object"), None)
        any_argument = self.jvm.java.util.Collections.singletonList(class_of("java.lang.Object"))
        target = handles.dropArguments(constant, 0, any_argument)
        return java.invoke.MethodHandleProxies.asInterfaceInstance(class_of("java.util.function.Function"), target)

    def write(self, table, spec, rows, deletes=False, counts=None, superseded=0):
        """Writes rows to data files, one for each partition, or equality deletes for their keys. The number
        of the `superseded` first rows in each file is added to `counts`.
        """
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
        writers, place_of = {}, {}
        for number, row in enumerate(rows):
            record = self.record(schema, row)
            partition.partition(wrapper.wrap(record))
            writer = writers.get(partition.toPath())
            if writer is None:
                own = partition.copy()
                place = places.newOutputFile(spec, own) if spec.isPartitioned() else places.newOutputFile()
                place_of[partition.toPath()] = place.encryptingOutputFile().location()
                new = factory.newEqDeleteWriter if deletes else factory.newDataWriter
                writer = writers[partition.toPath()] = new(place, parquet, own if spec.isPartitioned() else None)
            writer.write(self.record(keys, row[:1]) if deletes else record)
            if number < superseded:
                location = place_of[partition.toPath()]
                counts[location] = counts.get(location, 0) + 1
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
