import org.apache.iceberg.*;
import org.apache.iceberg.catalog.*;
import org.apache.iceberg.inmemory.*;
import org.apache.iceberg.io.*;
import org.apache.iceberg.types.*;
import java.math.BigDecimal;
import java.nio.*;
import java.nio.file.*;
import java.util.*;

/** Writes the files v1.*, v2.*, v3.* of java/ with the Java implementation: see README.md. */
public class MakeJava {
  static final Schema SCHEMA = new Schema(
      Types.NestedField.required(1, "id", Types.LongType.get()),
      Types.NestedField.optional(2, "s", Types.StringType.get()),
      Types.NestedField.optional(3, "ts", Types.TimestampType.withZone()),
      Types.NestedField.optional(4, "n", Types.DecimalType.of(9, 2)),
      Types.NestedField.optional(5, "d", Types.DoubleType.get()),
      Types.NestedField.optional(6, "u", Types.UUIDType.get()));

  static void keep(Table t, String name, Path out) throws Exception {
    copy(t, ((HasTableOperations) t).operations().current().metadataFileLocation(), out.resolve(name + ".metadata.json"));
    Snapshot s = t.currentSnapshot();
    copy(t, s.manifestListLocation(), out.resolve(name + ".list.avro"));
    int n = 0;
    for (ManifestFile m : s.allManifests(t.io())) copy(t, m.path(), out.resolve(name + ".m" + n++ + ".avro"));
  }

  static void copy(Table t, String from, Path to) throws Exception {
    try (java.io.InputStream in = t.io().newInputFile(from).newStream()) { java.nio.file.Files.write(to, in.readAllBytes()); }
  }

  static ByteBuffer value(Type type, Object v) { return Conversions.toByteBuffer(type, v); }

  static DataFile file(PartitionSpec spec, int n, boolean nulls) {
    PartitionData p = new PartitionData(spec.partitionType());
    if (!nulls && spec.isPartitioned()) {
      p.set(0, 3);                                  // bucket
      p.set(1, 19000 + n);                          // day
      p.set(2, new BigDecimal("-1.28"));            // identity of a decimal
      p.set(3, "ab");                               // truncate
      p.set(4, UUID.fromString("00010203-0405-0607-0809-0a0b0c0d0e0f"));
    }
    Map<Integer, Long> sizes = new HashMap<>(), counts = new HashMap<>(), nullCounts = new HashMap<>(), nans = new HashMap<>();
    for (int id = 1; id <= 6; id++) { sizes.put(id, 100L + id); counts.put(id, 10L); nullCounts.put(id, (long) id); }
    nans.put(5, 2L);
    Map<Integer, ByteBuffer> lower = new HashMap<>(), upper = new HashMap<>();
    lower.put(1, value(Types.LongType.get(), 10L * n)); upper.put(1, value(Types.LongType.get(), 10L * n + 9));
    lower.put(4, value(Types.DecimalType.of(9, 2), new BigDecimal("-1.29"))); upper.put(4, value(Types.DecimalType.of(9, 2), new BigDecimal("1.28")));
    return DataFiles.builder(spec).withPath("s3://b/data/" + n + ".parquet").withFormat(FileFormat.PARQUET)
        .withFileSizeInBytes(1000 + n).withPartition(p).withSplitOffsets(List.of(4L, 500L))
        .withMetrics(new Metrics(10L, sizes, counts, nullCounts, nans, lower, upper)).build();
  }

  public static void main(String[] a) throws Exception {
    Path out = Path.of(a[0]);
    InMemoryCatalog catalog = new InMemoryCatalog();
    catalog.initialize("c", Map.of("warehouse", "s3://b/w"));
    catalog.createNamespace(Namespace.of("n"));
    PartitionSpec spec = PartitionSpec.builderFor(SCHEMA).bucket("id", 16).day("ts").identity("n").truncate("s", 2).identity("u").build();
    for (int v = 1; v <= 3; v++) {
      Table t = catalog.createTable(TableIdentifier.of("n", "t" + v), SCHEMA, spec, Map.of("format-version", "" + v));
      t.newFastAppend().appendFile(file(t.spec(), 1, false)).appendFile(file(t.spec(), 2, true)).commit();
      t.newFastAppend().appendFile(file(t.spec(), 3, false)).commit();
      t.newDelete().deleteFile("s3://b/data/2.parquet").commit();
      if (v == 3) {
        DataFile f = file(t.spec(), 1, false);
        DeleteFile dv = FileMetadata.deleteFileBuilder(t.spec()).ofPositionDeletes().withPath("s3://b/data/dv.puffin")
            .withFormat(FileFormat.PUFFIN).withFileSizeInBytes(300).withRecordCount(5).withPartition(f.partition())
            .withReferencedDataFile("s3://b/data/1.parquet").withContentOffset(4).withContentSizeInBytes(46).build();
        t.newRowDelta().addDeletes(dv).commit();
        t.manageSnapshots().createTag("t", t.currentSnapshot().snapshotId()).commit();
      }
      keep(t, "v" + v, out);
    }
  }
}
