#!/usr/bin/env python3
"""src/types against Arrow and DuckDB, through the SQL functions of
test/modules/lh_types_test in a server of its own: what others see of values
that only PostgreSQL has, and what we make of files that Arrow writes."""

import atexit
import datetime as dt
import decimal
import os
import shutil
import subprocess
import tempfile
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "test/modules/lh_types_test"
PG_CONFIG = os.environ.get("PG_CONFIG", "pg_config")
BIN = Path(subprocess.check_output([PG_CONFIG, "--bindir"], text=True).strip())
WORK = Path(tempfile.mkdtemp(prefix="lhtypes.", dir="/tmp"))
AS_USER = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []

passed = failed = 0


def check(name, got, expected):
    global passed, failed
    if got == expected:
        passed += 1
    else:
        failed += 1
        print(f"{name}\n  expected {expected!r}\n  got      {got!r}")


# ---- a server ----

def stop():
    if (WORK / "data/postmaster.pid").exists():
        subprocess.run(AS_USER + [BIN / "pg_ctl", "-D", WORK / "data", "-m", "immediate", "-s", "stop"], cwd=WORK)
    shutil.rmtree(WORK, ignore_errors=True)


def start():
    atexit.register(stop)
    if os.environ.get("LH_TYPES_LIB") is None:
        subprocess.run(["make", "-s", "-C", MODULE, "all", f"PG_CONFIG={PG_CONFIG}"], check=True)
    lib = Path(os.environ.get("LH_TYPES_LIB", MODULE / "lh_types_test.so"))
    shutil.copy(lib, WORK / "lh_types_test.so")
    if AS_USER:
        shutil.chown(WORK, "postgres")
    quiet = {"cwd": WORK, "check": True, "stdout": subprocess.DEVNULL}
    subprocess.run(AS_USER + [BIN / "initdb", "-D", WORK / "data", "-U", "postgres", "-A", "trust", "-N",
                              "-E", "UTF8", "--locale=C.UTF-8"], **quiet)
    options = f"-c listen_addresses= -c unix_socket_directories={WORK} -c timezone=UTC"
    subprocess.run(AS_USER + [BIN / "pg_ctl", "-D", WORK / "data", "-w", "-s", "-l", WORK / "log", "-o", options, "start"], **quiet)
    psql("-v", f"lib={WORK}/lh_types_test.so", "-f", MODULE / "functions.sql")


def psql(*args):
    return subprocess.run([BIN / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", WORK, "-U", "postgres", *args],
                          check=True, capture_output=True, text=True).stdout.rstrip("\n")


def sql(*statements):
    return psql("-c", "; ".join(statements))


# ---- ours, read by others ----

def written(columns, rows):
    """The file of a table, as a path."""
    sql("DROP TABLE IF EXISTS t", f"CREATE TABLE t ({columns})", *(f"INSERT INTO t VALUES ({r})" for r in rows))
    path = WORK / "t.parquet"
    path.write_bytes(bytes.fromhex(sql("SELECT encode(types_write('t'), 'hex')")))
    return path


def seen(type_name, value):
    return pq.read_table(written(f"v {type_name}", [value])).column("v")[0]


def natural_values():
    last = dt.datetime(9999, 12, 31, 23, 59, 59, 999999)
    utc = dt.timezone.utc
    for type_name, value, expected in [
        ("boolean", "true", True),
        ("xid8", "'18446744073709551615'", 2**63 - 1),
        ("regclass", "'pg_class'", 1259),
        ("money", "'12.34'", 1234),
        ("numeric(5,2)", "'NaN'", None),
        ("numeric(5,2)", "-123.45", Decimal("-123.45")),
        ("numeric(38,38)", "-0.00000000000000000000000000000000000001", Decimal("-1E-38")),
        ("numeric", "'1.500'", "1.500"),
        ("numeric(40,2)", "1", "1.00"),
        ("numeric(3,-2)", "12345", "12300"),
        ("char(4)", "'ab'", "ab  "),
        ("\"char\"", "'x'", "x"),
        ("\"char\"", "(-1)::int::\"char\"", None),
        ("bytea", r"'\x00ff'", b"\x00\xff"),
        ("date", "'infinity'", dt.date(9999, 12, 31)),
        ("date", "'-infinity'", dt.date(1, 1, 1)),
        ("date", "'1582-10-14'", dt.date(1582, 10, 14)),
        ("time", "'24:00'", dt.time(23, 59, 59, 999999)),
        ("time", "'12:34:56.789'", dt.time(12, 34, 56, 789000)),
        ("timetz", "'12:34:56+05:30'", "12:34:56+05:30"),
        ("timestamp", "'infinity'", last),
        ("timestamp", "'-infinity'", dt.datetime(1, 1, 1)),
        ("timestamptz", "'infinity'", last.replace(tzinfo=utc)),
        ("timestamptz", "'1969-12-31 23:59:59.999999+00'", dt.datetime(1969, 12, 31, 23, 59, 59, 999999, utc)),
        ("interval", "'1 year 2 days 3 us'", {"months": 12, "days": 2, "microseconds": 3}),
        ("jsonb", "'{\"b\": 1.0, \"a\": null}'", '{"a": null, "b": 1.0}'),
        ("json", "' {} '", " {} "),
        ("int4range", "'[1,3]'", "[1,4)"),
        ("tstzrange", "'[2020-01-01 01:00+01,)'", '["2020-01-01 00:00:00+00",)'),
        ("inet", "'10.0.0.1/8'", "10.0.0.1/8"),
        ("point", "'(0.1,2)'", "(0.1,2)"),
        ("int[]", "'{}'", []),
        ("int[]", "'{1,NULL}'", [1, None]),
        ("int[]", "'{{1,2},{3,4}}'", [1, 2, 3, 4]),
        ("int[]", "'[0:1]={5,6}'", [5, 6]),
        ("date[]", "'{infinity,NULL}'", [dt.date(9999, 12, 31), None]),
        ("numeric(4,1)[]", "'{NaN,1.5}'", [None, Decimal("1.5")]),
    ]:
        check(f"{type_name} {value}", seen(type_name, value).as_py(), expected)

    check("timestamp past int64", seen("timestamp", "'294276-12-31'").value, 2**63 - 1)
    check("date, year 5874897", seen("date", "'5874897-12-31'").cast(pa.int32()).as_py(), 2145042905)
    check("uuid", bytes(seen("uuid", "'00112233-4455-6677-8899-aabbccddeeff'").as_py().bytes
                        if hasattr(seen("uuid", "gen_random_uuid()").as_py(), "bytes")
                        else seen("uuid", "'00112233-4455-6677-8899-aabbccddeeff'").as_py()),
          bytes.fromhex("00112233445566778899aabbccddeeff"))

    sql("CREATE TYPE pair AS (a int, b text[])", "CREATE TYPE mood AS ENUM ('sad', 'ok')")
    path = written("a pair, b pair[], c mood, d uuid, e timestamptz", [
        "ROW(1, '{x,NULL}'), ARRAY[ROW(2, '{}')::pair, NULL, ROW(NULL, NULL)::pair], 'ok', '00112233-4455-6677-8899-aabbccddeeff', '2020-01-01 00:00+00'",
        "NULL, NULL, NULL, NULL, NULL", "ROW(NULL, NULL), '{}', 'sad', NULL, NULL"])
    rows = [
        {"a": {"a": 1, "b": ["x", None]}, "b": [{"a": 2, "b": []}, None, {"a": None, "b": None}], "c": "ok"},
        {"a": None, "b": None, "c": None},
        {"a": {"a": None, "b": None}, "b": [], "c": "sad"}]
    check("nested, Arrow", pq.read_table(path, columns=["a", "b", "c"]).to_pylist(), rows)
    got = duckdb.sql(f"SELECT a, b, c FROM '{path}'").fetchall()
    check("nested, DuckDB", [dict(zip("abc", row)) for row in got], rows)
    check("types, DuckDB", [row[1] for row in duckdb.sql(f"DESCRIBE SELECT a, b, c, d, e FROM '{path}'").fetchall()],
          ["STRUCT(a INTEGER, b VARCHAR[])", "STRUCT(a INTEGER, b VARCHAR[])[]", "VARCHAR", "UUID", "TIMESTAMP WITH TIME ZONE"])


# ---- others', read by us ----

def read_back(fields, row_type, **options):
    """Rows of an Arrow file as texts; fields are (name, type, values), ids from 1."""
    schema = pa.schema([pa.field(n, t, metadata={"PARQUET:field_id": str(i + 1)}) for i, (n, t, _) in enumerate(fields)])
    table = pa.table([pa.array(v, t) for _, t, v in fields], schema=schema)
    path = WORK / "a.parquet"
    pq.write_table(table, path, **options)
    path.chmod(0o644)
    sql("DROP TYPE IF EXISTS row_type", f"CREATE TYPE row_type AS ({row_type})")
    return sql(f"SELECT r FROM types_read(pg_read_binary_file('{path}'), NULL::row_type, 2) r").split("\n")


def read_one(arrow_type, values, pg_type, **options):
    return read_back([("v", arrow_type, values)], f"v {pg_type}", **options)


def error_of(arrow_type, values, pg_type, **options):
    try:
        read_one(arrow_type, values, pg_type, **options)
    except subprocess.CalledProcessError as e:
        return e.stderr.split("ERROR:")[-1].split("\n")[0].strip()
    return "no error"


def foreign_files():
    when = dt.datetime(2020, 2, 29, 12, 34, 56, 789000)
    old = dt.datetime(1900, 1, 1)
    for arrow_type, values, pg_type, expected, options in [
        (pa.int8(), [-128, None, 127], "int2", ["(-128)", "()", "(127)"], {}),
        (pa.uint8(), [255], "int4", ["(255)"], {}),
        (pa.uint32(), [2**32 - 1], "bigint", ["(4294967295)"], {}),
        (pa.uint32(), [2**32 - 1], "oid", ["(4294967295)"], {}),
        (pa.uint64(), [2**64 - 1], "numeric", ["(18446744073709551615)"], {}),
        (pa.uint64(), [2**63], "xid8", ["(9223372036854775808)"], {}),
        (pa.int64(), [5], "smallint", ["(5)"], {}),
        (pa.int32(), [-5], "numeric(10,2)", ["(-5.00)"], {}),
        (pa.float32(), [1.5, None], "float8", ["(1.5)", "()"], {}),
        (pa.float16(), [1.5, -2.0, 65504, 6e-8, float("inf"), float("nan")], "float4",
         ["(1.5)", "(-2)", "(65504)", "(5.9604645e-08)", "(Infinity)", "(NaN)"], {}),
        (pa.decimal128(9, 2), [Decimal("1.23"), Decimal("-0.01")], "numeric", ["(1.23)", "(-0.01)"], {"store_decimal_as_integer": True}),
        (pa.decimal128(18, 4), [Decimal("-99999999999999.9999")], "numeric", ["(-99999999999999.9999)"], {"store_decimal_as_integer": True}),
        (pa.decimal128(9, 2), [Decimal("1.25")], "numeric(12,1)", ["(1.3)"], {}),
        (pa.decimal128(38, 5), [Decimal("-1.00000"), Decimal("999999999999999999999999999999999.99999")], "numeric(38,5)",
         ["(-1.00000)", "(999999999999999999999999999999999.99999)"], {}),
        (pa.date32(), [dt.date(1, 1, 1), dt.date(9999, 12, 31)], "date", ["(0001-01-01)", "(9999-12-31)"], {}),
        (pa.date32(), [dt.date(2020, 1, 1)], "timestamp", ['("2020-01-01 00:00:00")'], {}),
        (pa.time32("ms"), [dt.time(12, 34, 56, 789000)], "time", ["(12:34:56.789)"], {}),
        (pa.time64("us"), [dt.time(12, 34, 56, 789)], "time", ["(12:34:56.000789)"], {}),
        (pa.time64("ns"), [dt.time(1, 2, 3)], "time", ["(01:02:03)"], {}),
        (pa.timestamp("ms"), [when, old], "timestamp", ['("2020-02-29 12:34:56.789")', '("1900-01-01 00:00:00")'], {}),
        (pa.timestamp("us", "UTC"), [when], "timestamptz", ['("2020-02-29 12:34:56.789+00")'], {}),
        (pa.timestamp("ns"), [when, -1], "timestamp", ['("2020-02-29 12:34:56.789")', '("1969-12-31 23:59:59.999999")'], {}),
        (pa.timestamp("ns"), [when, old, -1], "timestamp",
         ['("2020-02-29 12:34:56.789")', '("1900-01-01 00:00:00")', '("1969-12-31 23:59:59.999999")'], {"use_deprecated_int96_timestamps": True}),
        (pa.timestamp("us", "UTC"), [when], "timestamp", ['("2020-02-29 12:34:56.789")'], {}),
        (pa.binary(), [b"abc"], "text", ["(abc)"], {}),
        (pa.binary(4), [b"\x00\x01\x02\x03"], "bytea", [r'("\\x00010203")'], {}),
        (pa.binary(16), [bytes(range(16))], "uuid", ["(00010203-0405-0607-0809-0a0b0c0d0e0f)"], {}),
        (pa.string(), ["1.50"], "numeric", ["(1.50)"], {}),
        (pa.string(), ["{\"a\": 1}"], "jsonb", ['("{""a"": 1}")'], {}),
        (pa.large_string(), ["ok", "sad"], "mood", ["(ok)", "(sad)"], {}),
        (pa.dictionary(pa.int8(), pa.string()), ["a", None, "a"], "varchar", ["(a)", "()", "(a)"], {}),
        (pa.list_(pa.int32()), [[1, None], [], None, [2]], "int[]", ['("{1,NULL}")', "({})", "()", "({2})"], {}),
        (pa.list_(pa.field("item", pa.int32(), nullable=False)), [[1, 2]], "int[]", ['("{1,2}")'], {}),
        (pa.large_list(pa.string()), [["x"]], "text[]", ["({x})"], {"use_compliant_nested_type": False}),
        (pa.list_(pa.int64(), 2), [[1, 2]], "bigint[]", ['("{1,2}")'], {}),
        (pa.null(), [None, None], "int", ["()", "()"], {}),
    ]:
        name = f"{arrow_type} as {pg_type}"
        try:
            check(name, read_one(arrow_type, values, pg_type, **options), expected)
        except subprocess.CalledProcessError as e:
            check(name, e.stderr.strip(), expected)

    for arrow_type, values, pg_type, expected in [
        (pa.int64(), [2**31], "smallint", "value in a data file is out of range for type smallint"),
        (pa.uint64(), [2**63], "bigint", "value in a data file is out of range for type bigint"),
        (pa.date32(), [2**31 - 1], "date", "value in a data file is out of range for type date"),
        (pa.timestamp("ms"), [2**62], "timestamp", "value in a data file is out of range for type timestamp without time zone"),
        (pa.timestamp("us"), [-2**62], "timestamptz", "value in a data file is out of range for type timestamp with time zone"),
        (pa.string(), ["maybe"], "mood", 'invalid value for enum mood in a data file: "maybe"'),
        (pa.binary(), [b"a\xffb"], "text", "text in a data file is not valid UTF-8"),
        (pa.binary(), [b"a\0b"], "text", "text in a data file is not valid UTF-8"),
        (pa.float64(), [1.5], "float4", 'column "v" of a data file cannot be read as type real'),
        (pa.map_(pa.string(), pa.int32()), [[("a", 1)]], "text[]", 'column "v" of a data file cannot be read as type text[]'),
        (pa.list_(pa.int32()), [[1]], "int", 'column "v" of a data file cannot be read as type integer'),
        (pa.binary(15), [bytes(15)], "uuid", 'column "v" of a data file cannot be read as type uuid'),
        (pa.string(), ["x"], "int", 'column "v" of a data file cannot be read as type integer'),
    ]:
        check(f"{arrow_type} as {pg_type} fails", error_of(arrow_type, values, pg_type), expected)

    check("missing columns are null", read_back([("a", pa.int32(), [1])], "a int, b text, c int[]"), ["(1,,)"])
    many = list(range(5000))
    lists = [None if i % 7 == 0 else [j for j in range(i % 5)] for i in many]
    out = read_back([("a", pa.int32(), many), ("b", pa.list_(pa.int32()), lists)], "a int, b int[]",
                    data_page_size=1000, row_group_size=1234, data_page_version="2.0")
    expected = []
    for i, values in zip(many, lists):
        text = "" if values is None else "{" + ",".join(map(str, values)) + "}"
        expected.append(f"({i}," + (f'"{text}"' if "," in text else text) + ")")
    check("many pages and row groups", out, expected)


decimal.getcontext().prec = 60
start()
natural_values()
foreign_files()
print(f"{passed} passed, {failed} failed")
raise SystemExit(failed > 0)
