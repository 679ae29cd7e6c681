"""A table whose Iceberg metadata is ours, around Parquet files that PyArrow wrote:
do PyIceberg and DuckDB read it as we mean it, now and at each snapshot, with and
without filters?  And do the Avro files say what PyIceberg's and Java's own say?

Bounds only matter to filtered reads, so every value of every column is looked for.
"""

import datetime
import decimal
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import uuid

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.expressions import EqualTo, IsNull
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType, BooleanType, DateType, DecimalType, DoubleType, FixedType, FloatType, IntegerType, ListType,
    LongType, MapType, NestedField, StringType, StructType, TimestampType, TimestamptzType, TimeType, UUIDType)

import lake_readers

ROOT = pathlib.Path(__file__).resolve().parents[2]
ICEGEN = os.environ.get("ICEGEN", ROOT / "build/tools/icegen")
ICECAT = os.environ.get("ICECAT", ROOT / "build/tools/icecat")
D = decimal.Decimal
UTC = datetime.timezone.utc

FIELDS = [
    NestedField(1, "id", LongType(), required=True, doc="the \"key\""),
    NestedField(2, "b", BooleanType()),
    NestedField(3, "i", IntegerType()),
    NestedField(4, "f", FloatType()),
    NestedField(5, "d", DoubleType()),
    NestedField(6, "n9", DecimalType(9, 2)),
    NestedField(7, "n18", DecimalType(18, 3)),
    NestedField(8, "n38", DecimalType(38, 4)),
    NestedField(9, "day", DateType()),
    NestedField(10, "t", TimeType()),
    NestedField(11, "ts", TimestampType()),
    NestedField(12, "tz", TimestamptzType()),
    NestedField(13, "s", StringType()),
    NestedField(14, "u", UUIDType()),
    NestedField(15, "fix", FixedType(20)),
    NestedField(16, "bin", BinaryType()),
    NestedField(17, "empty", StringType()),
    NestedField(18, "l", ListType(19, IntegerType(), element_required=False)),
    NestedField(20, "m", MapType(21, StringType(), 22, LongType(), value_required=False)),
    NestedField(23, "st", StructType(NestedField(24, "x", IntegerType()), NestedField(25, "y", StringType()))),
]
SCALARS = [f.name for f in FIELDS[:17]]

passed = failed = 0


def check(name, got, wanted):
    global passed, failed
    if got == wanted:
        passed += 1
    else:
        failed += 1
        print(f"FAILED {name}: got {str(got)[:600]}, wanted {str(wanted)[:600]}")


# ---- the data ----

def row(n, **values):
    return {f.name: None for f in FIELDS} | {"id": n} | values


BASE = [
    row(1, b=True, i=-2**31, f=-0.0, d=0.0, n9=D("-0.01"), n18=D("1.280"), n38=D("-0.0129"),
        day=datetime.date(1, 1, 1), t=datetime.time(0), ts=datetime.datetime(1, 1, 1),
        tz=datetime.datetime(1900, 1, 1, 0, 0, 0, 1, tzinfo=UTC), s="", u=uuid.UUID(int=0), fix=b"\0" * 20,
        bin=b"", l=[], m=[], st={"x": 1, "y": "a"}),
    row(2, b=False, i=2**31 - 1, f=1.5, d=math.inf, n9=D("9999999.99"), n18=D("-999999999999999.999"),
        n38=D("9" * 34 + ".9999"), day=datetime.date(9999, 12, 31), t=datetime.time(23, 59, 59, 999999),
        ts=datetime.datetime(9999, 12, 31, 23, 59, 59, 999999),
        tz=datetime.datetime(2100, 1, 1, 0, 0, 0, 999999, tzinfo=UTC), s="exactly sixteen!",
        u=uuid.UUID(int=2**128 - 1), fix=b"\xff" * 20, bin=b"\xff" * 20, l=[1, None, 3], m=[("k", None)],
        st={"x": None, "y": "b"}),
    row(3, f=math.nan, d=math.nan),
    row(4, b=True, i=0, f=-math.inf, d=-1e300, n9=D("0.00"), n18=D("0.127"), n38=D("-" + "9" * 34 + ".9999"),
        day=datetime.date(1969, 12, 31), t=datetime.time(12, 0, 0, 1), ts=datetime.datetime(1969, 12, 31, 23, 59, 59, 999999),
        tz=datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), s="sixteen characters and some more",
        u=uuid.UUID(int=2**127), fix=b"a" * 20, bin=b"\xff" * 15 + b"\xfe" + b"zz", l=None, m=None, st=None),
]
TAILS = [
    row(101, s="é" * 15 + "\ud7ff" + "tail", bin=b"\x80" * 17, d=5e-324, i=7),
    row(102, s="日本語" * 6 + "\U0010ffff", bin=b"m" * 16, n9=D("-1.28"), i=7),
    row(103, s="\U0010ffff" * 17, bin=b"\x7f" * 18, n9=D("1.27"), i=7),
]
# one row group each, to be read by position
LATE = [row(200 + n, i=n, s=f"row {n}", d=float(n), b=n % 2 == 0) for n in range(40)]
ALL_NULL = [row(300), row(301)]


def arrow_schema(schema):
    return schema.as_arrow()


def write(directory, name, rows, schema, **options):
    """Through PyIceberg's own conversion, which sets the field ids."""
    from pyiceberg.io.pyarrow import schema_to_pyarrow
    arrow = schema_to_pyarrow(schema, include_field_ids=True)
    columns = []
    for field in arrow:
        values = [r.get(field.name) for r in rows]
        if field.name == "u":
            values = [v if v is None else v.bytes for v in values]
        columns.append(pa.array(values, field.type) if field.name != "u"
                       else pa.ExtensionArray.from_storage(field.type, pa.array(values, pa.binary(16)))
                       if isinstance(field.type, pa.ExtensionType) else pa.array(values, field.type))
    table = pa.Table.from_arrays(columns, schema=arrow)
    pq.write_table(table, directory / "data" / name, compression="zstd", **options)


def write_deletes(directory, name, data_name, positions):
    schema = pa.schema([
        pa.field("file_path", pa.string(), nullable=False, metadata={b"PARQUET:field_id": b"2147483546"}),
        pa.field("pos", pa.int64(), nullable=False, metadata={b"PARQUET:field_id": b"2147483545"})])
    path = f"file://{directory}/data/{data_name}"
    pq.write_table(pa.Table.from_pylist([{"file_path": path, "pos": p} for p in positions], schema=schema),
                   directory / "data" / name)


# ---- reading ----

def plain(value):
    """A form in which what the readers return is comparable."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else value
    if isinstance(value, bytes) and len(value) == 16:
        return uuid.UUID(bytes=value)
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return dict(value)
    if isinstance(value, dict) and not value:
        return []
    return value


def by_id(rows):
    out = {}
    for r in rows:
        out[r["id"]] = {k: plain(v) for k, v in r.items()}
    return dict(sorted(out.items()))


def with_columns(rows, names):
    return [{n: r.get(n) for n in names} for r in rows]


def by_pyiceberg(location, snapshot_id=None, **options):
    table = lake_readers.pyiceberg_table(location)
    return table.scan(snapshot_id=snapshot_id, **options).to_arrow().to_pylist()


def by_duckdb(location, snapshot_id=None):
    # timestamptz as a number: DuckDB's Python values of it need another package
    (rows, names), = lake_readers.duckdb_run(
        f"SELECT * REPLACE (epoch_us(tz) AS tz) FROM {lake_readers.duckdb_table(location, snapshot_id)}")
    rows = [dict(zip(names, r)) for r in rows]
    for r in rows:
        if r["tz"] is not None:
            r["tz"] = datetime.datetime(1970, 1, 1, tzinfo=UTC) + datetime.timedelta(microseconds=r["tz"])
    return rows


def same_rows(name, location, rows, snapshot_id=None, names=None):
    names = names or [f.name for f in FIELDS]
    wanted = by_id(with_columns(rows, names))
    check(f"{name}, PyIceberg", by_id(by_pyiceberg(location, snapshot_id)), wanted)
    check(f"{name}, DuckDB", by_id(by_duckdb(location, snapshot_id)), wanted)


def sql_literal(name, value):
    if isinstance(value, bytes):
        return "'" + "".join(f"\\x{b:02x}" for b in value) + "'::BLOB"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        return f"'{value}'::" + ("FLOAT" if name == "f" else "DOUBLE")
    if isinstance(value, D):
        return f"'{value}'::" + {"n9": "DECIMAL(9,2)", "n18": "DECIMAL(18,3)", "n38": "DECIMAL(38,4)"}[name]
    kind = {"day": "DATE", "t": "TIME", "ts": "TIMESTAMP", "tz": "TIMESTAMPTZ", "u": "UUID"}.get(name)
    return f"'{value}'::{kind}" if kind else str(value)


def filters(location, rows):
    """Every value of every column, and NULL: filtered reads find what unfiltered ones do."""
    questions = []
    for column in SCALARS:
        values = []
        for r in rows:
            if r[column] not in values and not (isinstance(r[column], float) and math.isnan(r[column])):
                values.append(r[column])
        for value in values:
            wanted = sorted(r["id"] for r in rows if (r[column] is None if value is None else r[column] == value))
            questions.append((column, value, wanted))
    source = lake_readers.duckdb_table(location)
    answers = lake_readers.duckdb_run(*(
        f"SELECT id FROM {source} WHERE {c} " + ("IS NULL" if v is None else f"= {sql_literal(c, v)}")
        for c, v, _ in questions))
    for (column, value, wanted), (found, _) in zip(questions, answers):
        check(f"filter {column} = {value!r}, DuckDB", sorted(r[0] for r in found), wanted)
    for column, value, wanted in questions:
        # PyIceberg cannot filter on uuid, and takes -inf for a value below all floats
        if column == "u" or (column == "f" and value == -math.inf):
            continue
        if isinstance(value, (bytes, D, uuid.UUID)) or value is None:
            literal = value
        else:
            literal = value.isoformat() if hasattr(value, "isoformat") else value
        row_filter = IsNull(column) if value is None else EqualTo(column, literal)
        try:
            found = [r["id"] for r in by_pyiceberg(location, row_filter=row_filter, selected_fields=("id",))]
        except Exception as e:          # counted as a failure with its message
            found = f"{type(e).__name__}: {e}"
        check(f"filter {column} = {value!r}, PyIceberg", sorted(found) if isinstance(found, list) else found, wanted)


# ---- the Avro files ----

def shape(schema):
    """Names, ids, types and nullability, without docs and defaults."""
    if isinstance(schema, list):
        return [shape(s) for s in schema]
    if isinstance(schema, dict):
        keep = ("type", "name", "field-id", "fields", "items", "element-id", "logicalType", "size")
        return {k: shape(v) for k, v in schema.items() if k in keep}
    return schema


def avro_header(path):
    with open(path, "rb") as f:
        return fastavro.reader(f).metadata


def field_shapes(path):
    schema = json.loads(avro_header(path)["avro.schema"])
    return schema["name"], {f["field-id"]: shape(f) for f in schema["fields"]}


def same_fields(name, ours, theirs, besides=()):
    """Record name, and each field by its id."""
    our_name, mine = field_shapes(ours)
    their_name, other = field_shapes(theirs)
    check(f"{name}, record name", our_name, their_name)
    if 2 in mine:
        mine |= {f["field-id"]: f for f in mine.pop(2)["type"]["fields"]}
        other |= {f["field-id"]: f for f in other.pop(2)["type"]["fields"]}
    # PyIceberg calls equality ids long; the spec and Java say int
    if 135 in other:
        other[135] = json.loads(json.dumps(other[135]).replace('"long"', '"int"'))
    for field_id in sorted(set(mine) & set(other) - set(besides)):
        check(f"{name}, field {field_id}", mine[field_id], other[field_id])
    check(f"{name}, fields of theirs that are not ours", sorted(set(other) - set(mine)), [])
    check(f"{name}, fields of ours that are not theirs", set(mine) - set(other) <= {143}, True)


def avro_files(directory, data):
    manifest = sorted((directory / "metadata").glob("*-m0.avro"))[0]
    manifest_list = sorted((directory / "metadata").glob("snap-*.avro"))[0]
    same_fields("manifest as PyIceberg's", manifest, data / "pyiceberg/types.m0.avro")
    same_fields("manifest as Java's", manifest, data / "java/v2.m0.avro", besides=[102])
    same_fields("manifest list as PyIceberg's", manifest_list, data / "pyiceberg/types.list.avro")
    same_fields("manifest list as Java's", manifest_list, data / "java/v2.list.avro")
    for key in ("schema", "schema-id", "partition-spec", "partition-spec-id", "format-version", "content", "avro.codec"):
        check(f"manifest metadata {key}", key in avro_header(manifest), True)
    for key in ("snapshot-id", "parent-snapshot-id", "sequence-number", "format-version", "avro.codec"):
        check(f"manifest list metadata {key}", key in avro_header(manifest_list), True)


# ---- the story ----

def exact_sizes(directory):
    from pyiceberg.io.pyarrow import PyArrowFileIO
    io = PyArrowFileIO()
    metadata = lake_readers.pyiceberg_table(f"file://{newest(directory)}")
    for manifest in metadata.current_snapshot().manifests(io):
        path = manifest.manifest_path.removeprefix("file://")
        check(f"length of {os.path.basename(path)}", manifest.manifest_length, os.path.getsize(path))
        entries = manifest.fetch_manifest_entry(io, discard_deleted=False)
        counts = [sum(e.status == s for e in entries) for s in (1, 0, 2)]
        check(f"counts of {os.path.basename(path)}", counts,
              [manifest.added_files_count, manifest.existing_files_count, manifest.deleted_files_count])
        for e in entries:
            path = e.data_file.file_path.removeprefix("file://")
            check(f"size of {os.path.basename(path)}", e.data_file.file_size_in_bytes, os.path.getsize(path))


def newest(directory):
    return sorted((directory / "metadata").glob("*.metadata.json"))[-1]


def totals(name, location, records, deletes):
    summary = lake_readers.pyiceberg_table(location).current_snapshot().summary
    check(f"{name}: total-records", summary["total-records"], str(records))
    check(f"{name}: total-position-deletes", summary["total-position-deletes"], str(deletes))


def main():
    scratch = tempfile.TemporaryDirectory(prefix="ice_table")
    directory = pathlib.Path(scratch.name)
    (directory / "data").mkdir()
    (directory / "metadata").mkdir()
    schema = Schema(*FIELDS, identifier_field_ids=[1])
    wider = Schema(*(f if f.name != "i" else NestedField(3, "i_renamed", LongType()) for f in FIELDS),
                   NestedField(26, "added", StringType()), schema_id=1, identifier_field_ids=[1])
    (directory / "s0.json").write_text(schema.model_dump_json())
    (directory / "s1.json").write_text(wider.model_dump_json())

    write(directory, "a.parquet", BASE, schema)
    write(directory, "b.parquet", TAILS, schema)
    write(directory, "c.parquet", LATE, schema, row_group_size=7)
    write(directory, "n.parquet", ALL_NULL, schema)
    write_deletes(directory, "c-deletes.parquet", "c.parquet", [0, 8, 39])
    left = [r for r in LATE if r["id"] not in (200, 208, 239)]
    write(directory, "compacted.parquet", TAILS + left, schema, row_group_size=10)
    late = [row(400, added="new", i=2**40)]
    write(directory, "e.parquet", [{**r, "i_renamed": r["i"]} for r in late], wider)

    run = subprocess.run([ICEGEN, directory, directory / "s0.json", "append:a.parquet,b.parquet",
                          "append:c.parquet,n.parquet", "delete:c-deletes.parquet=c.parquet", "tag:before",
                          "replace:b.parquet,c.parquet=compacted.parquet", f"schema:{directory}/s1.json",
                          "append:e.parquet", "remove:a.parquet", "expire"], capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"icegen: {run.stderr}")
    (created, first, second, deleted, tagged, replaced, evolved, grown, shrunk, expired) = run.stdout.split()

    check("empty table", by_pyiceberg(created), [])
    same_rows("first append", first, BASE + TAILS)
    same_rows("second append", second, BASE + TAILS + LATE + ALL_NULL)
    same_rows("position deletes", deleted, BASE + TAILS + left + ALL_NULL)
    totals("position deletes", deleted, 49, 3)
    same_rows("compaction", replaced, BASE + TAILS + left + ALL_NULL)
    totals("compaction", replaced, 46, 0)
    filters(second, BASE + TAILS + LATE + ALL_NULL)
    filters(deleted, BASE + TAILS + left + ALL_NULL)
    filters(replaced, BASE + TAILS + left + ALL_NULL)

    names = [f.name if f.name != "i" else "i_renamed" for f in FIELDS] + ["added"]
    renamed = [{**r, "i_renamed": r["i"]} for r in BASE + TAILS + left + ALL_NULL + late]
    same_rows("wider schema", grown, renamed, names=names)
    same_rows("remove", shrunk, renamed[len(BASE):], names=names)

    table = lake_readers.pyiceberg_table(shrunk)
    ids = [s.snapshot_id for s in table.snapshots()]
    for n, rows in enumerate((BASE + TAILS, BASE + TAILS + LATE + ALL_NULL, BASE + TAILS + left + ALL_NULL)):
        same_rows(f"snapshot {n + 1}", shrunk, rows, ids[n])
    check("tag", table.metadata.refs["before"].snapshot_id, ids[2])
    check("parents", [s.parent_snapshot_id for s in table.snapshots()], [None] + ids[:-1])
    check("operations", [s.summary.operation.value for s in table.snapshots()],
          ["append", "append", "delete", "replace", "append", "delete"])
    check("sequence numbers", [s.sequence_number for s in table.snapshots()], [1, 2, 3, 4, 5, 6])
    check("metadata log", [e.metadata_file for e in table.metadata.metadata_log],
          [created, first, second, deleted, tagged, replaced, evolved, grown])
    check("snapshot log", [e.snapshot_id for e in table.metadata.snapshot_log], ids)
    check("name mapping", table.metadata.properties["schema.name-mapping.default"][:40],
          '[{"field-id":1,"names":["id"]},{"field-i')

    table = lake_readers.pyiceberg_table(expired)
    check("expired", [s.snapshot_id for s in table.snapshots()], [ids[2], ids[5]])
    check("log after expiry", [e.snapshot_id for e in table.metadata.snapshot_log], [ids[5]])
    same_rows("after expiry", expired, renamed[len(BASE):], names=names)
    same_rows("tag after expiry", expired, BASE + TAILS + left + ALL_NULL, ids[2])
    for location in run.stdout.split():
        text = pathlib.Path(location.removeprefix("file://")).read_text()
        check(f"no nulls in {os.path.basename(location)}", "null" in text, False)

    exact_sizes(directory)
    avro_files(directory, ROOT / "test/data/iceberg")
    cat = subprocess.run([ICECAT, *sorted((directory / "metadata").iterdir())], capture_output=True, text=True)
    lines = [json.loads(line) for line in cat.stdout.splitlines()]
    check("icecat reads all of it", cat.returncode == 0 and len(lines) > 20, True)
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
