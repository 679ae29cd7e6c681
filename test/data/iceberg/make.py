"""Makes the fixtures written by PyIceberg in pyiceberg/: run it with an empty
directory as argument and copy what it prints.  Ids and paths differ each time, so
the tests ask for what they mean, not for bytes."""

import datetime
import decimal
import os
import pathlib
import shutil
import sys
import uuid
import zlib

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import (
    BinaryType, BooleanType, DateType, DecimalType, DoubleType, FixedType, FloatType, IntegerType, ListType,
    LongType, MapType, NestedField, StringType, StructType, TimestampType, TimestamptzType, TimeType, UUIDType)

SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True, doc="the key"),
    NestedField(2, "b", BooleanType()),
    NestedField(3, "i", IntegerType()),
    NestedField(4, "f", FloatType()),
    NestedField(5, "d", DoubleType()),
    NestedField(6, "n", DecimalType(12, 3)),
    NestedField(7, "big", DecimalType(38, 2)),
    NestedField(8, "day", DateType()),
    NestedField(9, "t", TimeType()),
    NestedField(10, "ts", TimestampType()),
    NestedField(11, "tz", TimestamptzType()),
    NestedField(12, "s", StringType()),
    NestedField(13, "u", UUIDType()),
    NestedField(14, "fix", FixedType(4)),
    NestedField(15, "bin", BinaryType()),
    NestedField(16, "l", ListType(17, IntegerType(), element_required=False)),
    NestedField(18, "m", MapType(19, StringType(), 20, LongType(), value_required=False)),
    NestedField(21, "st", StructType(NestedField(22, "x", IntegerType()), NestedField(23, "y", StringType()))),
    identifier_field_ids=[1],
)


def rows(first):
    zone = datetime.timezone.utc
    return [{
        "id": first + i, "b": i % 2 == 0, "i": i - 1, "f": i / 4, "d": -i / 8,
        "n": decimal.Decimal(i - 2) / 1000, "big": decimal.Decimal(10) ** 30 * (i - 1),
        "day": datetime.date(1969, 12, 30) + datetime.timedelta(i),
        "t": datetime.time(1, 2, 3, i), "ts": datetime.datetime(2020, 1, 1, 0, 0, i),
        "tz": datetime.datetime(1960, 1, 1, 0, 0, i, tzinfo=zone),
        "s": "a string of more than sixteen characters " + str(i), "u": uuid.UUID(int=i).bytes,
        "fix": bytes([i] * 4), "bin": bytes([255] * 15 + [i] * 5), "l": [i, None], "m": [("k", i)],
        "st": {"x": i, "y": None},
    } for i in range(4)] + [{"id": first + 4}]


def read_long(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return (value >> 1) ^ -(value & 1), at


def long_bytes(value):
    value <<= 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def transcode(path, codec):
    """The same Avro file with its deflate blocks packed otherwise."""
    data = path.read_bytes()
    name = long_bytes(10) + b"avro.codec" + long_bytes(7) + b"deflate"
    head = data.index(name)
    sync = data[-16:]
    start = data.index(sync) + 16
    out = data[:head] + long_bytes(10) + b"avro.codec" + long_bytes(len(codec)) + codec.encode()
    out += data[head + len(name):start]
    while start < len(data):
        count, start = read_long(data, start)
        size, start = read_long(data, start)
        block = zlib.decompressobj(-15).decompress(data[start:start + size])
        start += size + 16
        if codec == "snappy":
            block = pa.compress(block, "snappy", asbytes=True) + zlib.crc32(block).to_bytes(4, "big")
        elif codec == "zstandard":
            block = pa.compress(block, "zstd", asbytes=True)
        out += long_bytes(count) + long_bytes(len(block)) + block + sync
    return out


def main(work):
    warehouse = pathlib.Path(work).resolve()
    catalog = SqlCatalog("g", uri=f"sqlite:///{warehouse}/c.db", warehouse=f"file://{warehouse}")
    catalog.create_namespace("g")
    out = pathlib.Path(__file__).parent / "pyiceberg"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()

    def keep(table, name):
        snapshot = table.current_snapshot()
        shutil.copy(table.metadata_location.removeprefix("file://"), out / f"{name}.metadata.json")
        shutil.copy(snapshot.manifest_list.removeprefix("file://"), out / f"{name}.list.avro")
        for n, manifest in enumerate(snapshot.manifests(table.io)):
            shutil.copy(manifest.manifest_path.removeprefix("file://"), out / f"{name}.m{n}.avro")

    def add(table, first):
        table.append(pa.Table.from_pylist(rows(first), schema=table.schema().as_arrow()))

    types = catalog.create_table("g.types", SCHEMA, properties={"owner": "nobody", "format-version": "2"})
    add(types, 1)
    add(types, 100)
    types.delete("id = 3")          # rewrites one file: deleted and existing entries
    keep(types, "types")

    spec = PartitionSpec(
        PartitionField(12, 1000, IdentityTransform(), "s"), PartitionField(8, 1001, IdentityTransform(), "day"),
        PartitionField(6, 1002, IdentityTransform(), "n"), PartitionField(2, 1003, IdentityTransform(), "b"),
        PartitionField(10, 1004, IdentityTransform(), "ts"))
    parted = catalog.create_table("g.parted", SCHEMA, partition_spec=spec, properties={"format-version": "2"})
    add(parted, 1)
    keep(parted, "parted")

    old = catalog.create_table("g.old", SCHEMA, properties={"format-version": "1"})
    add(old, 1)
    keep(old, "old")

    for codec in ("null", "snappy", "zstandard"):
        (out / f"types.m2.{codec}.avro").write_bytes(transcode(out / "types.m2.avro", codec))

    for name in sorted(os.listdir(out)):
        print(name, os.path.getsize(out / name))


main(sys.argv[1])
