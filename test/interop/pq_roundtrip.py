#!/usr/bin/env python3
"""Our Parquet files, read by PyArrow, DuckDB and DataFusion.

test/tools/pqgen writes files whose values this script computes for itself.
Every reader must find exactly these, also when it prunes by statistics, page
index (DataFusion) and bloom filter (DuckDB); and our reader must find in
PyArrow's copies of the files what PyArrow wrote.

Needs pyarrow, duckdb, datafusion; takes pqgen and pqcat from $PQGEN and
$PQCAT or build/tools, or else builds them.  Prints "N passed, N failed".
"""
import datetime as dt
import decimal
import glob
import math
import os
import struct
import subprocess
import sys
import tempfile

import datafusion
import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORK = tempfile.mkdtemp(prefix='pq_interop.')
passed = failed = 0


def check(name, ok, detail=''):
    global passed, failed
    if ok:
        passed += 1
    else:
        failed += 1
        print('FAILED %s %s' % (name, str(detail)[:300]))


def build(tool):
    made = os.path.join(ROOT, 'build/tools', tool)
    given = os.environ.get(tool.upper()) or (made if os.path.exists(made) else None)
    if given:
        return given
    out = os.path.join(WORK, tool)
    src = [os.path.join(ROOT, 'test/tools', tool + '.c')]
    src += glob.glob(os.path.join(ROOT, 'src/base/*.c')) + glob.glob(os.path.join(ROOT, 'src/parquet/*.c'))
    subprocess.run([os.environ.get('CC', 'cc'), '-O2', '-std=gnu11', '-I' + os.path.join(ROOT, 'src'),
                    '-I' + os.path.join(ROOT, 'test/tools'), *src, '-o', out,
                    '-lzstd', '-lsnappy', '-llz4', '-lz'], check=True)
    return out


# ---- what pqgen writes ----

def wrap64(v):
    v %= 2**64
    return v - 2**64 if v >= 2**63 else v


def f32(v):
    return struct.unpack('<f', struct.pack('<f', v))[0]


def value(i, r):
    """Column i (see type_node in pqgen.c) of row r, as raw integers, floats, text and bytes."""
    h = (r * 2654435761) % 2**64 % 1000003
    if i == 0:
        return r % 3 == 0
    if i in (1, 8, 12):
        return h - 500000
    if i in (2, 13):
        return h * 1000003 - r
    if i == 3:
        return float('nan') if r % 50 == 7 else f32(r % 100 / 4 - 5)
    if i == 4:
        return -0.0 if r % 40 == 3 else h / 8
    if i == 5:
        return 'name %d ä€' % (r % 17)
    if i == 6:
        return struct.pack('<Q', h * 0x9e3779b97f4a7c15 % 2**64)[:r % 9] if r % 9 < 9 else b''
    if i == 7:
        return struct.pack('<QQ', h, r)
    if i == 9:
        return h * 80000
    if i in (10, 11, 19):
        return h * 1000000007 - 300000000
    if i == 14:
        high = -1 if h % 2 else 0
        return (high << 48) + h * 977
    if i == 15:
        return h % 60000 - 30000
    if i == 16:
        return h % 65536
    if i == 17:
        return h * 18000000000000 % 2**64
    if i == 18:
        return b'%05d' % (h % 100000)
    return 'x' * 100 + str(r)


N_TYPES = 21
TYPES = {0: pa.bool_(), 1: pa.int32(), 2: pa.int64(), 3: pa.float32(), 4: pa.float64(), 5: pa.string(), 6: pa.binary(),
         7: pa.binary(16), 8: pa.date32(), 9: pa.time64('us'), 10: pa.timestamp('us'), 11: pa.timestamp('us', tz='UTC'),
         12: pa.decimal128(9, 2), 13: pa.decimal128(18, 2), 14: pa.decimal128(30, 2), 15: pa.int16(), 16: pa.uint16(),
         17: pa.uint64(), 18: pa.binary(5), 19: pa.timestamp('ns'), 20: pa.string()}


def column(i, rows, optional):
    values = [None if optional and (r + i + N_TYPES) % 5 == 0 else value(i, r) for r in range(rows)]
    t = TYPES[i]
    if pa.types.is_decimal(t):
        values = [None if v is None else decimal.Decimal(v).scaleb(-2) for v in values]
        return pa.array(values, t)
    if pa.types.is_temporal(t):
        return pa.array(values, pa.int32() if t == pa.date32() else pa.int64()).cast(t)
    return pa.array(values, t)


def types_table(rows):
    names = ['r%02d' % i for i in range(N_TYPES)] + ['o%02d' % i for i in range(N_TYPES)]
    return pa.table([column(i, rows, o) for o in (False, True) for i in range(N_TYPES)], names=names)


def deep(r):
    if r % 7 == 0:
        return None
    out = []
    for a in range(r % 4):
        if (r + a) % 5 == 0:
            out.append(None)
            continue
        inner = []
        for b in range((r + a) % 3):
            if (r + b) % 6 == 0:
                inner.append(None)
            else:
                inner.append([None if (r + c) % 4 == 0 else r * 100 + a * 10 + c for c in range((r + b) % 3)])
        out.append(inner)
    return out


def struct_value(r):
    if r % 9 == 0:
        return None
    return {'a': None if r % 2 == 0 else r, 'l': ['s%d' % ((r + i) % 23) for i in range(r % 3)]}


def map_value(r):
    if r % 4 == 3:
        return None
    return [('k%d' % i, None if (r + i) % 3 == 0 else r / 2) for i in range(r % 4)]


def nested_table(rows):
    d = pa.list_(pa.list_(pa.list_(pa.int32())))
    st = pa.struct([('a', pa.int32()), pa.field('l', pa.list_(pa.field('element', pa.string(), False)), False)])
    return pa.table({'deep': pa.array([deep(r) for r in range(rows)], d),
                     'st': pa.array([struct_value(r) for r in range(rows)], st),
                     'm': pa.array([map_value(r) for r in range(rows)], pa.map_(pa.string(), pa.float64()))})


# ---- comparisons ----

def same(a, b):
    """Equal, NaN too, whatever integer and string types Arrow chose."""
    if len(a) != len(b):
        return False
    if pa.types.is_floating(a.type):
        return all((x is None and y is None) or (x is not None and y is not None and
                   (x == y or (math.isnan(x) and math.isnan(y)))) for x, y in zip(a.to_pylist(), b.to_pylist()))
    if a.type == pa.timestamp('ns') or b.type == pa.timestamp('ns'):
        return a.cast(pa.timestamp('ns')).cast(pa.int64()).equals(b.cast(pa.timestamp('ns')).cast(pa.int64()))
    return a.to_pylist() == b.to_pylist()


def compare(name, got, expected):
    check(name + ' columns', got.column_names == expected.column_names, got.column_names)
    for c in expected.column_names:
        check('%s %s' % (name, c), same(got[c].combine_chunks(), expected[c].combine_chunks()))


def read_duckdb(path):
    duckdb.sql("SET TimeZone='UTC'")
    t = duckdb.sql("SELECT * FROM '%s'" % path).to_arrow_table()
    cols = []
    for f in t.schema:
        c = t[f.name]
        if f.name[1:] == '07' and f.name[0] in 'ro':
            import uuid
            c = pa.chunked_array([pa.array([None if v is None else uuid.UUID(str(v)).bytes for v in c.to_pylist()], pa.binary(16))])
        cols.append(c)
    return pa.table(cols, names=t.column_names)


def check_footer(name, path, expected):
    f = pq.ParquetFile(path)
    meta = f.metadata
    check(name + ' created_by', meta.created_by.startswith('lakehouse version '), meta.created_by)
    ids = [int(x.metadata[b'PARQUET:field_id']) for x in f.schema_arrow]
    check(name + ' field ids', len(set(ids)) == len(ids) and min(ids) > 0, ids)
    if name.startswith('nested'):
        return
    row = 0
    for g in range(meta.num_row_groups):
        group = meta.row_group(g)
        part = expected.slice(row, group.num_rows)
        row += group.num_rows
        for i, c in enumerate(expected.column_names):
            check_stats('%s group %d %s' % (name, g, c), group.column(i).statistics, part[c], int(c[1:]))


def check_stats(name, s, values, i):
    check(name + ' nulls', s is not None and s.null_count == values.null_count, s and s.null_count)
    present = [v for v in values.drop_null().to_pylist() if v == v] if i != 19 else []
    if not present or i == 19:
        return
    check(name + ' has bounds', s.has_min_max)
    if i in (6, 7, 18, 20, 5):
        enc = [v.encode() if isinstance(v, str) else v for v in present]
        lo, hi = (x.encode() if isinstance(x, str) else x for x in (s.min, s.max))
        check(name + ' bounds', lo <= min(enc) and hi >= max(enc), (lo, hi))
    else:
        check(name + ' bounds', s.min == min(present) and s.max == max(present), (s.min, s.max))


# ---- pruning readers ----

def check_filters(name, path, expected):
    """WHERE column = value, by three readers, against the counts of the values themselves."""
    con = duckdb.connect()
    con.sql("SET TimeZone='UTC'")
    data = ds.dataset(path)
    for c in expected.column_names:
        # NaN equals nothing in Python, and nanoseconds have no Python type
        if int(c[1:]) in (3, 19):
            continue
        t = expected[c].type
        values = expected[c].drop_null()
        for v in (values[0], values[len(values) // 2], values[-1]):
            n = sum(1 for x in values.to_pylist() if x == v.as_py())
            got = data.count_rows(filter=ds.field(c) == pa.scalar(v.as_py(), t))
            check('%s arrow %s = %s' % (name, c, v), got == n, '%d instead of %d' % (got, n))
            parameter = v.as_py()
            if c[1:] == '07':
                import uuid
                parameter = uuid.UUID(bytes=parameter)
            got = con.execute("SELECT count(*) FROM '%s' WHERE %s = $1" % (path, c), [parameter]).fetchone()[0]
            check('%s duckdb %s = %s' % (name, c, v), got == n, '%d instead of %d' % (got, n))


def check_page_index(path, expected):
    ctx = datafusion.SessionContext(datafusion.SessionConfig().set('datafusion.execution.parquet.pushdown_filters', 'true'))
    ctx.register_parquet('t', path)
    pruned = False
    for c in ('r01', 'r02', 'r05', 'r12', 'r20', 'o01', 'o02', 'o20'):
        values = expected[c].drop_null()
        for v in (values[0], values[len(values) // 2], values[-1]):
            n = sum(1 for x in values.to_pylist() if x == v.as_py())
            literal = "'%s'" % v.as_py() if isinstance(v.as_py(), str) else str(v.as_py())
            got = ctx.sql('SELECT count(*) AS n FROM t WHERE %s = %s' % (c, literal)).to_pydict()['n'][0]
            check('page index %s = %s' % (c, literal), got == n, '%d instead of %d' % (got, n))
            plan = str(ctx.sql('EXPLAIN ANALYZE SELECT count(*) FROM t WHERE %s = %s' % (c, literal)).to_pydict())
            pruned |= 'page_index_pages_pruned' in plan or 'page_index_rows_pruned' in plan
    check('page index is used', pruned)


def check_bloom(path, expected):
    con = duckdb.connect()
    excluded = 0
    for c in ('r01', 'r02', 'r20', 'o01'):
        values = expected[c].drop_null().to_pylist()
        for v in values[::97]:
            hit = con.execute("SELECT bool_and(bloom_filter_excludes) FROM parquet_bloom_probe($1, $2, $3)",
                              [path, c, v]).fetchone()[0]
            check('bloom has %s = %s' % (c, v), hit is False, hit)
        for k in range(100):
            absent = 'absent %d' % k if c == 'r20' else 10**6 + 7 * k
            excluded += bool(con.execute("SELECT bool_and(bloom_filter_excludes) FROM parquet_bloom_probe($1, $2, $3)",
                                         [path, c, absent]).fetchone()[0])
    check('bloom excludes what is not there', excluded > 370, excluded)


# ---- our reader of PyArrow's copies ----

def check_copies(pqcat, path):
    ours = subprocess.run([pqcat, path], capture_output=True, check=True).stdout
    t = pq.read_table(path)
    for options in ({'compression': 'snappy'}, {'compression': 'gzip', 'data_page_version': '2.0'},
                    {'compression': 'lz4', 'use_dictionary': False}, {'compression': 'zstd', 'data_page_size': 2000}):
        copy = os.path.join(WORK, 'copy.parquet')
        pq.write_table(t, copy, store_schema=False, store_decimal_as_integer=True, **options)
        again = subprocess.run([pqcat, copy], capture_output=True, check=True).stdout
        check('pqcat of a copy of %s with %s' % (os.path.basename(path), options), ours == again)


def main():
    pqgen, pqcat = build('pqgen'), build('pqcat')
    rows = 4000
    expected = {'types': types_table(rows), 'nested': nested_table(rows)}
    variants = [[], ['plain'], ['delta', 'pages=128'], ['dict=0', 'pages=100'], ['dict=300', 'pages=50', 'level=1'],
                ['group=700', 'bloom', 'pages=200'], ['pages=1', 'group=3000'], ['plain', 'delta', 'dict=0', 'group=1']]
    for kind in ('types', 'nested'):
        for options in variants:
            n = 60 if 'group=1' in options else rows
            path = os.path.join(WORK, kind + '.parquet')
            name = ' '.join([kind] + options)
            subprocess.run([pqgen, kind, str(n), path, *options], check=True)
            want = expected[kind].slice(0, n)
            t = pq.read_table(path, page_checksum_verification=True, arrow_extensions_enabled=False)
            compare(name + ' arrow', t, want)
            if kind == 'types':
                check(name + ' arrow types', [f.type for f in t.schema] == [f.type for f in want.schema])
            compare(name + ' duckdb', read_duckdb(path), want)
            check_footer(name, path, want)
            if kind == 'types' and n == rows and (not options or 'bloom' in options):
                check_filters(name, path, want)
            if kind == 'types' and 'bloom' in options:
                check_page_index(path, want)
                check_bloom(path, want)
            if not options:
                check_copies(pqcat, path)
    for f in glob.glob(os.path.join(WORK, '*')):
        os.unlink(f)
    os.rmdir(WORK)
    print('%d passed, %d failed' % (passed, failed))
    return failed > 0


if __name__ == '__main__':
    sys.exit(main())
