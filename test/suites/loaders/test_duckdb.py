"""DuckDB's postgres extension: reads a table by ranges of ctid from several sessions
of one exported snapshot, writes by binary COPY, updates and deletes by ctid."""

import glob
import os

import duckdb
import pytest

ROWS = """CREATE TABLE {0} AS SELECT i AS id, i % 100 AS k, CASE WHEN i % 7 > 0 THEN 'text ' || i END AS t,
    i / 4.0::float8 AS f, (i / 3.0)::numeric(12,4) AS n, timestamptz '2024-01-01 00:00+00' + i * interval '1 hour' AS ts,
    date '2000-01-01' + i AS d, i % 2 = 0 AS b, decode(md5(i::text), 'hex') AS raw, ARRAY[i, NULL, 2] AS list
    FROM generate_series(1, {1}) i"""
READ = "SELECT id, k, t, f, n, ts, d, b, raw, list FROM pg.public.{} ORDER BY id"


@pytest.fixture
def attached():
    """attached(database): DuckDB that reads a page a task, four at a time"""
    connections = []

    def attach(database, **settings):
        connection = duckdb.connect()
        site = os.path.dirname(os.path.dirname(duckdb.__file__))
        [extension] = glob.glob(f"{site}/duckdb_extension_postgres_scanner/extensions/v{duckdb.__version__}/*.duckdb_extension")
        connection.execute(f"LOAD '{extension}'")
        for name, value in {"threads": 4, "pg_pages_per_task": 1, "TimeZone": "UTC", **settings}.items():
            connection.execute(f"SET {name} = '{value}'")
        connection.execute(f"ATTACH 'host={database.host} port={database.port} user=postgres dbname={database.name}' AS pg (TYPE postgres)")
        connections.append(connection)
        return connection
    yield attach
    for connection in connections:
        connection.close()


def ids(connection, table):
    return connection.execute(f"SELECT count(*), count(DISTINCT id), sum(id), min(id), max(id) FROM pg.public.{table}").fetchall()


@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize("rows", [0, 1, 291, 292, 3000, 30000])
def test_read_in_parallel(both, attached, rows, analyzed):
    """Rows small in number (delta) and large (files at once), changed and deleted, known to ANALYZE or not."""
    def story(database):
        seen = []

        def look():
            connection = attached(database)
            seen.extend([ids(connection, "wide"), connection.execute(READ.format("wide")).fetchall()])
            connection.close()
        database.sql(ROWS.format("wide", rows))
        if analyzed:
            database.sql("ANALYZE wide")
        look()
        database.sql("DELETE FROM wide WHERE id % 10 = 3 OR id BETWEEN 1000 AND 2500")
        database.sql("UPDATE wide SET t = 'new' WHERE id % 10 = 4")
        look()
        if database.lakehouse:
            database.sql("SELECT lakehouse.publish('wide')")
        database.sql("INSERT INTO wide SELECT * FROM wide WHERE id % 50 = 1")
        look()
        return seen
    both(story, "public")


def test_pushdown(both, attached):
    """Filters and projections go into the queries that DuckDB makes."""
    def story(database):
        database.sql(ROWS.format("wide", 12000))
        database.sql("DELETE FROM wide WHERE id % 3 = 0")
        database.sql("ANALYZE wide")
        connection = attached(database, pg_experimental_filter_pushdown=True)
        return [connection.execute(f"SELECT {what} FROM pg.public.wide {where}").fetchall() for what, where in (
            ("count(*)", ""), ("sum(id)", "WHERE k = 5"), ("id, t", "WHERE id IN (1, 11999, 4000) ORDER BY id"),
            ("max(n), min(ts)", "WHERE f > 100.5 AND t IS NULL"), ("id", "WHERE t = 'text 8'"),
            ("count(*)", "WHERE ts >= '2024-06-01' AND b"), ("id", "ORDER BY id DESC LIMIT 7"))]
    both(story)


@pytest.mark.parametrize("binary", [True, False])
def test_write(both, attached, binary):
    """CREATE TABLE AS, INSERT, UPDATE, DELETE from DuckDB, committed and rolled back."""
    def story(database):
        connection = attached(database, pg_use_binary_copy=binary)
        connection.execute("""CREATE TABLE pg.public.written AS SELECT i AS id, i % 10 AS k, 'text ' || i AS t, i / 4 AS f,
            (i / 3)::DECIMAL(12,4) AS n, TIMESTAMPTZ '2024-01-01 00:00:00+00' + INTERVAL (i) HOUR AS ts, i % 2 = 0 AS b,
            ('\\x00' || i)::BLOB AS raw FROM range(0, 25000) r(i)""")
        connection.execute("INSERT INTO pg.public.written SELECT id + 100000, k, NULL, f, n, ts, b, raw FROM pg.public.written WHERE id < 500")
        connection.execute("UPDATE pg.public.written SET t = 'changed ' || id, f = f + 1 WHERE k = 3")
        connection.execute("DELETE FROM pg.public.written WHERE k = 4 OR id BETWEEN 300 AND 15000")
        connection.execute("BEGIN")
        connection.execute("DELETE FROM pg.public.written WHERE id > 20000")
        connection.execute("UPDATE pg.public.written SET t = NULL")
        inside = ids(connection, "written")
        connection.execute("ROLLBACK")
        connection.execute("BEGIN")
        connection.execute("INSERT INTO pg.public.written (id, t) VALUES (-1, 'one'), (-2, 'two')")
        connection.execute("UPDATE pg.public.written SET t = t || '!' WHERE id < 10")
        connection.execute("DELETE FROM pg.public.written WHERE id = -2")
        connection.execute("COMMIT")
        return inside, ids(connection, "written"), connection.execute("SELECT * FROM pg.public.written ORDER BY ALL").fetchall()
    both(story, "public")


def test_tables_with_keys(both, attached):
    """Tables that DuckDB makes with keys, filled from its own tables; a duplicate is refused."""
    def story(database):
        connection = attached(database)
        connection.execute("CREATE TABLE pg.public.parent (id INTEGER PRIMARY KEY, name VARCHAR UNIQUE NOT NULL)")
        connection.execute("CREATE TABLE pg.public.child (id INTEGER PRIMARY KEY, parent INTEGER, v DOUBLE DEFAULT 1.5)")
        connection.execute("INSERT INTO pg.public.parent SELECT i, 'p' || i FROM range(500) r(i)")
        connection.execute("INSERT INTO pg.public.child SELECT i, i % 500, i / 8 FROM range(4000) r(i)")
        with pytest.raises(duckdb.Error, match="duplicate key"):
            connection.execute("INSERT INTO pg.public.parent VALUES (1000, 'new'), (1, 'again')")
        connection.execute("ALTER TABLE pg.public.child ADD COLUMN added VARCHAR")
        connection.execute("ALTER TABLE pg.public.child RENAME COLUMN v TO w")
        connection.execute("INSERT INTO pg.public.child (id, parent, added) VALUES (9999, 1, 'last')")
        connection.execute("CREATE INDEX child_parent ON pg.public.child (parent)")
        return connection.execute("SELECT p.name, count(*), sum(c.w), max(c.added) FROM pg.public.parent p "
                                  "JOIN pg.public.child c ON c.parent = p.id GROUP BY ALL ORDER BY ALL").fetchall()
    both(story, "public")
