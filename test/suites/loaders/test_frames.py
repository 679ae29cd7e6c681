"""Data frames and drivers: pandas, Polars, ADBC, ConnectorX and psycopg's COPY write
and read tables as they do on heap."""

import datetime
import io

import adbc_driver_postgresql.dbapi as adbc
import connectorx
import pandas
import polars
import psycopg
import pyarrow
import pytest
import sqlalchemy

START = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)


def engine(database):
    return sqlalchemy.create_engine(f"postgresql+psycopg2://postgres@/{database.name}?host={database.host}&port={database.port}")


def columns(rows):
    return {"id": range(rows), "k": [i % 10 for i in range(rows)], "t": [f"text {i}" if i % 7 else None for i in range(rows)],
            "f": [i / 3 if i % 5 else None for i in range(rows)], "b": [i % 2 == 0 for i in range(rows)],
            "at": [START + datetime.timedelta(minutes=i) for i in range(rows)], "d": [START.date() + datetime.timedelta(days=i % 400) for i in range(rows)]}


@pytest.mark.parametrize("method", [None, "multi", "copy"])
def test_pandas(both, method):
    """to_sql makes, appends, replaces and empties; read_sql in chunks gives it back."""
    def copy(table, connection, keys, rows):
        text = io.StringIO()
        pandas.DataFrame(rows, columns=keys).to_csv(text, index=False, header=False)
        text.seek(0)
        names = ", ".join(f'"{key}"' for key in keys)
        connection.connection.cursor().copy_expert(f"COPY {table.name} ({names}) FROM STDIN CSV", text)

    def story(database):
        frame = pandas.DataFrame(columns(1500)).set_index("id")
        options = {"con": engine(database), "chunksize": 400, "method": copy if method == "copy" else method}
        frame.to_sql("frame", **options)
        frame.head(700).to_sql("frame", if_exists="append", **options)
        appended = pandas.read_sql("SELECT * FROM frame ORDER BY id, k", engine(database))
        frame.tail(500).to_sql("frame", if_exists="replace", **options)
        frame.head(20).to_sql("frame", if_exists="append", **options)
        chunks = pandas.concat(pandas.read_sql("SELECT * FROM frame ORDER BY id", engine(database), chunksize=77))
        with pytest.raises(ValueError):
            frame.to_sql("frame", **options)
        return appended.to_csv(), chunks.to_csv()
    both(story, "public")


@pytest.mark.parametrize("rows", [300, 30000])
def test_polars_over_adbc(both, rows):
    """write_database by binary COPY, few rows and many; read back as Arrow."""
    def story(database):
        frame = polars.DataFrame(columns(rows))
        for mode in ("replace", "append"):
            frame.write_database("polars_frame", database.url, engine="adbc", if_table_exists=mode)
        database.sql("DELETE FROM polars_frame WHERE k = 3")
        return polars.read_database_uri("SELECT * FROM polars_frame ORDER BY id", database.url, engine="adbc").rows()
    both(story, "public")


def test_adbc(both):
    """Bulk ingestion inside a transaction, rolled back and committed; the catalogue; prepared parameters."""
    def story(database):
        with adbc.connect(database.url) as connection, connection.cursor() as cursor:
            table = pyarrow.table({"id": pyarrow.array(range(12000), pyarrow.int64()), "list": [[i, None] for i in range(12000)],
                                   "raw": [str(i).encode() for i in range(12000)]})
            cursor.adbc_ingest("ingested", table, mode="create")
            connection.rollback()
            cursor.adbc_ingest("ingested", table, mode="create")
            cursor.adbc_ingest("ingested", table.slice(0, 10), mode="append")
            connection.commit()
            cursor.executemany("INSERT INTO ingested (id, raw) VALUES ($1, $2)", pyarrow.table({"id": [1, 2], "raw": [b"x", b"y"]}))
            connection.commit()
            cursor.execute("SELECT * FROM ingested ORDER BY id, raw")
            read = cursor.fetch_arrow_table().to_pylist()
            described = connection.adbc_get_table_schema("ingested").to_string()
            connection.rollback()
        return read, described
    both(story, "public")


def test_connectorx(both):
    """Reads in partitions of a column, a session each, in the three protocols."""
    def story(database):
        database.sql("""CREATE TABLE parts AS SELECT i AS id, i % 9 AS k, 'text ' || i AS t, i / 4.0::float8 AS f, date '2024-01-01' + i % 50 AS d
            FROM generate_series(1, 15000) i""")
        database.sql("DELETE FROM parts WHERE k = 4")
        database.sql("UPDATE parts SET t = NULL WHERE k = 5")
        # ConnectorX takes no other way to name a socket's folder
        url = f"postgresql://postgres@{database.host.replace('/', '%2F')}:{database.port}/{database.name}"
        out = []
        for protocol in ("binary", "csv", "cursor"):
            read = connectorx.read_sql(url, "SELECT * FROM parts", partition_on="id", partition_num=4, protocol=protocol, return_type="arrow")
            out.append(sorted(read.to_pylist(), key=lambda row: row["id"]))
        assert out[0] == out[1] == out[2] and len(out[0]) > 13000
        return out[0]
    both(story, "public")


def test_psycopg_copy(both):
    """COPY rows in text and binary, into a key, half of it taken back by a savepoint; pipelines; a server-side cursor."""
    def story(database):
        with psycopg.connect(database.url) as connection:
            connection.execute("CREATE TABLE copied (id bigint PRIMARY KEY, t text, at timestamptz, j jsonb)")
            for first, form in ((0, "TEXT"), (20000, "BINARY")):
                with connection.cursor().copy(f"COPY copied FROM STDIN (FORMAT {form})") as copy:
                    copy.set_types(["int8", "text", "timestamptz", "jsonb"])
                    for i in range(first, first + 11000):
                        copy.write_row((i, f"t {i}" if i % 3 else None, START, psycopg.types.json.Jsonb({"i": i})))
            with pytest.raises(psycopg.errors.UniqueViolation), connection.transaction():
                with connection.cursor().copy("COPY copied (id) FROM STDIN") as copy:
                    for i in range(50000, 30000, -1):
                        copy.write_row((i,))
            with connection.pipeline():
                for i in range(50):
                    connection.execute("INSERT INTO copied (id, t) VALUES (%s, 'upsert') ON CONFLICT (id) DO UPDATE SET t = excluded.t", (10990 + i,))
            with connection.cursor(name="by_parts") as cursor:
                cursor.itersize = 900
                cursor.execute("SELECT id, t FROM copied ORDER BY id")
                rows = list(cursor)
            connection.commit()
            with connection.cursor().copy("COPY (SELECT id, t, j FROM copied ORDER BY id) TO STDOUT") as copy:
                text = b"".join(bytes(block) for block in copy)
        return rows, text
    both(story, "public")
