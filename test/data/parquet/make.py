#!/usr/bin/env python3
"""Writes the golden Parquet files of this folder and what is in them.

Each NAME.parquet is written by a foreign writer; files.txt names the .jsonl
that holds its rows, read back by PyArrow (never by us) and printed as
test/tools/pq_file.h prints them.  Files with the same rows share one.
Run it only to add files: the committed ones are the test data.

    pip install pyarrow duckdb==1.5.5 polars fastparquet tpchgen-cli pandas
    python make.py [NAME ...]
"""
import datetime as dt
import decimal
import os
import random
import struct
import subprocess
import sys
import tempfile

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

HERE = os.path.dirname(os.path.abspath(__file__))
FILES = {}


def golden(f):
    FILES[f.__name__] = f
    return f


# ---- rows as JSON lines, as pq_file.h has them ----

def text(s):
    out = ['"']
    for c in s:
        if c in '"\\':
            out.append('\\' + c)
        elif ord(c) < 0x20:
            out.append('\\u%04x' % ord(c))
        else:
            out.append(c)
    out.append('"')
    return ''.join(out)


def number(v, digits):
    if v != v:
        return '"NaN"'
    if v in (float('inf'), float('-inf')):
        return '"Infinity"' if v > 0 else '"-Infinity"'
    return '%.*g' % (digits, v)


def int96(ns):
    day, rest = divmod(ns, 86400 * 10**9)
    return '"0x' + struct.pack('<qi', rest, day + 2440588).hex() + '"'


def render(v, t, is_int96):
    """The value v (a pyarrow scalar) of Arrow type t."""
    if isinstance(t, pa.BaseExtensionType):
        return render(v.value if v.is_valid else pa.scalar(None, t.storage_type), t.storage_type, is_int96)
    if pa.types.is_dictionary(t):
        return render(v.value, t.value_type, is_int96) if v.is_valid else 'null'
    if not v.is_valid:
        return 'null'
    if pa.types.is_struct(t):
        return '{' + ','.join(text(f.name) + ':' + render(v[f.name], f.type, is_int96) for f in t) + '}'
    if pa.types.is_map(t):
        pairs = v.values
        return '[' + ','.join('[' + render(p['key'], t.key_type, is_int96) + ',' +
                              render(p['value'], t.item_type, is_int96) + ']' for p in pairs) + ']'
    if pa.types.is_list(t) or pa.types.is_large_list(t):
        return '[' + ','.join(render(e, t.value_type, is_int96) for e in v.values) + ']'
    if pa.types.is_boolean(t):
        return 'true' if v.as_py() else 'false'
    if pa.types.is_timestamp(t) and is_int96:
        return int96(v.value)
    if pa.types.is_timestamp(t) or pa.types.is_time(t) or pa.types.is_duration(t):
        return str(v.value)
    if pa.types.is_date(t):
        return str(v.value)
    if pa.types.is_integer(t):
        return str(v.as_py())
    if pa.types.is_float16(t):
        return '"0x' + struct.pack('<e', v.as_py()).hex() + '"'
    if pa.types.is_floating(t):
        return number(v.as_py(), 9 if t == pa.float32() else 17)
    if pa.types.is_decimal(t):
        return str(int(v.as_py().scaleb(t.scale, decimal.Context(prec=80))))
    if pa.types.is_string(t) or pa.types.is_large_string(t) or pa.types.is_string_view(t):
        return text(v.as_py())
    return '"0x' + v.as_py().hex() + '"'


def write_expected(name, is_int96=False):
    t = pq.read_table(os.path.join(HERE, name + '.parquet'), arrow_extensions_enabled=False)
    lines = []
    for r in range(t.num_rows):
        lines.append('{' + ','.join(text(f.name) + ':' + render(t.column(i)[r], f.type, is_int96)
                                    for i, f in enumerate(t.schema)) + '}\n')
    expected = ''.join(lines)
    listed = read_list()
    for rows in sorted(set(listed.values())):
        if open(os.path.join(HERE, rows), encoding='utf-8').read() == expected:
            break
    else:
        rows = name + '.jsonl'
        with open(os.path.join(HERE, rows), 'w', encoding='utf-8') as out:
            out.write(expected)
    listed[name + '.parquet'] = rows
    with open(os.path.join(HERE, 'files.txt'), 'w') as out:
        for file in sorted(listed):
            out.write('%s %s\n' % (file, listed[file]))


def read_list():
    path = os.path.join(HERE, 'files.txt')
    return dict(line.split() for line in open(path)) if os.path.exists(path) else {}


# ---- data ----

def some(n, f, rng, nulls=0.15):
    return [None if rng.random() < nulls else f(i) for i in range(n)]


def flat(n=300):
    rng = random.Random(1)
    D = decimal.Decimal
    day = dt.date(2020, 2, 29)
    words = ['', 'a', 'ünï', 'zz' * 20, 'line\nbreak', '"q"', '€' * 5]
    cols = {
        'bool': (some(n, lambda i: rng.random() < .3, rng), pa.bool_()),
        'i8': (some(n, lambda i: rng.randrange(-128, 128), rng), pa.int8()),
        'u16': (some(n, lambda i: rng.randrange(65536), rng), pa.uint16()),
        'i32': (some(n, lambda i: rng.choice([-2**31, 2**31 - 1, 0, i]), rng), pa.int32()),
        'u32': (some(n, lambda i: rng.randrange(2**32), rng), pa.uint32()),
        'i64': (some(n, lambda i: rng.choice([-2**63, 2**63 - 1, 0, i * 10**12]), rng), pa.int64()),
        'u64': (some(n, lambda i: rng.randrange(2**64), rng), pa.uint64()),
        'seq': (list(range(n)), pa.int64()),
        'f32': (some(n, lambda i: rng.choice([float('nan'), -0.0, 1.5, float('inf'), i / 4]), rng), pa.float32()),
        'f64': (some(n, lambda i: rng.choice([float('nan'), -0.0, 1e300, float('-inf'), i / 3]), rng), pa.float64()),
        's': (some(n, lambda i: rng.choice(words), rng), pa.string()),
        'uniq': (some(n, lambda i: 'prefix-%05d' % (i * 7919 % 100000), rng), pa.string()),
        'bin': (some(n, lambda i: rng.randbytes(rng.randrange(6)), rng), pa.binary()),
        'fix': (some(n, lambda i: rng.randbytes(7), rng), pa.binary(7)),
        'date': (some(n, lambda i: day + dt.timedelta(days=i * 17 - 3000), rng), pa.date32()),
        'ts': (some(n, lambda i: dt.datetime(1969, 12, 31, 23, 59, 59, i), rng), pa.timestamp('us')),
        'tsz': (some(n, lambda i: dt.datetime(2300, 1, 1, tzinfo=dt.timezone.utc) + dt.timedelta(seconds=i), rng),
                pa.timestamp('ms', tz='UTC')),
        'time': (some(n, lambda i: dt.time(i % 24, i % 60, 1, i), rng), pa.time64('us')),
        'd9': (some(n, lambda i: D(i * 1001 - 5000).scaleb(-2), rng), pa.decimal128(9, 2)),
        'd38': (some(n, lambda i: D(-1) ** i * D(10**30 + i).scaleb(-5), rng), pa.decimal128(38, 5)),
    }
    return pa.table({k: pa.array(v, t) for k, (v, t) in cols.items()})


def nested(n=200):
    rng = random.Random(2)

    def lists(depth):
        if rng.random() < .15:
            return None
        if depth == 0:
            return rng.randrange(100)
        return [lists(depth - 1) for _ in range(rng.randrange(4))]

    def struct_value(i):
        if rng.random() < .2:
            return None
        return {'a': None if rng.random() < .3 else i, 'b': {'c': 'x%d' % (i % 5), 'd': lists(1)}}

    t3 = pa.list_(pa.list_(pa.list_(pa.int32())))
    st = pa.struct([('a', pa.int64()), ('b', pa.struct([('c', pa.string()), ('d', pa.list_(pa.int32()))]))])
    return pa.table({
        'l1': pa.array([lists(1) for _ in range(n)], pa.list_(pa.int32())),
        'l3': pa.array([lists(3) for _ in range(n)], t3),
        'st': pa.array([struct_value(i) for i in range(n)], st),
        'ls': pa.array([[struct_value(j) for j in range(i % 4)] for i in range(n)], pa.list_(st)),
        'm': pa.array([None if i % 9 == 0 else [('k%d' % j, lists(1)) for j in range(i % 3)] for i in range(n)],
                      pa.map_(pa.string(), pa.list_(pa.int32()))),
        'none': pa.array([None] * n, pa.list_(pa.string())),
    })


def arrow(name, table, **options):
    options = {'compression': 'none', 'data_page_size': 600, 'write_batch_size': 40, 'row_group_size': 180,
               'store_schema': False} | options
    pq.write_table(table, os.path.join(HERE, name + '.parquet'), **options)


# ---- PyArrow: codecs and page versions ----

for codec in ('none', 'snappy', 'gzip', 'zstd', 'lz4', 'brotli'):
    for version in ('1.0', '2.0'):
        def f(codec=codec, version=version):
            name = 'arrow_%s_v%s' % (codec, version[0])
            arrow(name, flat(), compression=codec, data_page_version=version, use_dictionary=['s', 'i8', 'date', 'd9'],
                  write_page_checksum=True)
            write_expected(name)
        FILES['arrow_%s_v%s' % (codec, version[0])] = f


@golden
def arrow_dictionary():
    arrow('arrow_dictionary', flat(), compression='snappy', use_dictionary=True)
    write_expected('arrow_dictionary')


@golden
def arrow_dictionary_fallback():
    arrow('arrow_dictionary_fallback', flat(), compression='snappy', use_dictionary=True,
          dictionary_pagesize_limit=300, row_group_size=1000)
    write_expected('arrow_dictionary_fallback')


@golden
def arrow_plain_dictionary():
    # format version 1.0 names the encoding PLAIN_DICTIONARY
    t = flat().select(['bool', 'i32', 'i64', 'f64', 's', 'bin', 'fix', 'date', 'd38'])
    arrow('arrow_plain_dictionary', t, version='1.0', compression='gzip')
    write_expected('arrow_plain_dictionary')


@golden
def arrow_deltas():
    ints = ['i8', 'u16', 'i32', 'u32', 'i64', 'u64', 'seq', 'date', 'ts', 'tsz', 'time']
    encoding = {c: 'DELTA_BINARY_PACKED' for c in ints}
    encoding |= {'s': 'DELTA_LENGTH_BYTE_ARRAY', 'bin': 'DELTA_LENGTH_BYTE_ARRAY', 'uniq': 'DELTA_BYTE_ARRAY',
                 'fix': 'DELTA_BYTE_ARRAY', 'bool': 'RLE'}
    t = flat().select(list(encoding))
    for version in ('1.0', '2.0'):
        name = 'arrow_deltas_v' + version[0]
        arrow(name, t, use_dictionary=False, column_encoding=encoding, data_page_version=version, compression='zstd')
        write_expected(name)


@golden
def arrow_streams():
    encoding = {c: 'BYTE_STREAM_SPLIT' for c in ('i32', 'i64', 'f32', 'f64', 'fix', 'date', 'ts')}
    arrow('arrow_streams', flat().select(list(encoding)), use_dictionary=False, column_encoding=encoding)
    write_expected('arrow_streams')


@golden
def arrow_int96():
    t = flat().select(['seq', 'ts', 'tsz'])
    # years 1677 to 2262 are what nanoseconds reach
    tsz = pa.array([dt.datetime(1700, 1, 1, tzinfo=dt.timezone.utc) + dt.timedelta(days=200 * i)
                    for i in range(t.num_rows)], pa.timestamp('us', tz='UTC'))
    t = t.set_column(2, 'tsz', tsz)
    arrow('arrow_int96', t, use_deprecated_int96_timestamps=True, data_page_version='1.0')
    write_expected('arrow_int96', is_int96=True)


@golden
def arrow_nested():
    for version, codec in (('1.0', 'zstd'), ('2.0', 'snappy')):
        name = 'arrow_nested_v' + version[0]
        arrow(name, nested(), data_page_version=version, compression=codec)
        write_expected(name)


@golden
def arrow_list_item():
    # the middle group and element under other names
    arrow('arrow_list_item', nested().select(['l1', 'l3']), use_compliant_nested_type=False)
    write_expected('arrow_list_item')


@golden
def arrow_page_index():
    n = 3000
    t = pa.table({'seq': pa.array(range(n), pa.int64()),
                  's': pa.array(['row %06d' % i if i % 1000 < 900 else None for i in range(n)]),
                  'l': pa.array([[i] * (i % 4) for i in range(n)], pa.list_(pa.int32()))})
    arrow('arrow_page_index', t, write_page_index=True, data_page_size=1024, row_group_size=2000, use_dictionary=['s'])
    write_expected('arrow_page_index')


@golden
def arrow_empty():
    arrow('arrow_empty', flat(0))
    write_expected('arrow_empty')


@golden
def arrow_half():
    t = pa.table({'h': pa.array([None, 0.0, -0.0, 1.5, float('nan'), -65504.0] * 5, pa.float16())})
    arrow('arrow_half', t)
    write_expected('arrow_half')


# ---- others ----

DUCK = """
    SELECT i AS id, i % 7 = 0 AS b, (i * 37 % 100)::TINYINT AS i8, (i % 300)::USMALLINT AS u16,
           CASE WHEN i % 5 > 0 THEN i * 1000003 END AS i64, i::UBIGINT * 10000000000000000 AS u64,
           (i / 3)::FLOAT AS f, CASE WHEN i % 11 = 0 THEN 'NaN'::DOUBLE ELSE i / 7 END AS d,
           'text ' || (i % 13) AS s, 'unique ' || (i * 7919 % 1000) AS u,
           ('\\x00\\xFF' || (i % 3))::BLOB AS bin, (i * 1.01)::DECIMAL(9, 2) AS d9,
           (i * 1000000007)::DECIMAL(18, 3) AS d18, (i - 100)::DECIMAL(38, 10) AS d38,
           DATE '2000-02-29' + i::INT AS dt, TIMESTAMP '1960-01-01' + i * INTERVAL '1 day 3 seconds' AS ts,
           TIMESTAMPTZ '2024-01-01 00:00:00+00' + i * INTERVAL '1 hour' AS tz, TIME '00:00:01' + i * INTERVAL '1 minute' AS tm,
           md5(i::VARCHAR)::UUID AS uid,
           CASE WHEN i % 4 > 0 THEN [i, NULL, i + 1] ELSE [] END AS l, [[i], [], NULL] AS ll,
           {'a': i, 'b': CASE WHEN i % 3 > 0 THEN 'x' END} AS st, MAP {'k' || i: i, 'z': NULL} AS m
    FROM range(250) t(i)
"""


def duck(name, options):
    path = os.path.join(HERE, name + '.parquet')
    duckdb.sql("SET TimeZone='UTC'")
    duckdb.sql("COPY (%s) TO '%s' (FORMAT parquet, %s)" % (DUCK, path, options))
    write_expected(name)


@golden
def duckdb_files():
    duck('duckdb_snappy', 'COMPRESSION snappy')
    duck('duckdb_zstd', 'COMPRESSION zstd, ROW_GROUP_SIZE 100')
    duck('duckdb_gzip', 'COMPRESSION gzip')
    duck('duckdb_lz4', 'COMPRESSION lz4_raw')
    duck('duckdb_v2', "COMPRESSION snappy, PARQUET_VERSION V2, DICTIONARY_SIZE_LIMIT 1")


@golden
def polars_file():
    import polars
    t = polars.from_arrow(flat().drop_columns(['fix', 'u16']))
    t.write_parquet(os.path.join(HERE, 'polars.parquet'), compression='lz4', row_group_size=130, data_page_size=500)
    write_expected('polars')


@golden
def polars_nested():
    import polars
    t = polars.from_arrow(nested().select(['l1', 'l3', 'st', 'ls']))
    t.write_parquet(os.path.join(HERE, 'polars_nested.parquet'), compression='snappy', data_page_size=500)
    write_expected('polars_nested')


@golden
def fastparquet_file():
    import fastparquet
    t = flat().select(['i32', 'seq', 'f64', 's', 'bin', 'bool']).to_pandas()
    t['bin'] = t['bin'].fillna(b'')
    fastparquet.write(os.path.join(HERE, 'fastparquet.parquet'), t, compression='GZIP',
                      object_encoding={'s': 'utf8', 'bin': 'bytes', 'bool': 'bool', 'i32': 'infer'}, write_index=False)
    write_expected('fastparquet')


@golden
def arrow_rs():
    """tpchgen-cli writes with arrow-rs."""
    with tempfile.TemporaryDirectory() as d:
        tool = os.path.join(os.path.dirname(sys.executable), 'tpchgen-cli')
        subprocess.run([tool, 'parquet', '-s', '0.001', '--tables', 'nation,customer', '--output-dir', d], check=True)
        for table in ('nation', 'customer'):
            os.replace(os.path.join(d, table + '.parquet'), os.path.join(HERE, 'arrow_rs_%s.parquet' % table))
            write_expected('arrow_rs_' + table)


if __name__ == '__main__':
    for name, f in FILES.items():
        if len(sys.argv) < 2 or name in sys.argv[1:]:
            f()
