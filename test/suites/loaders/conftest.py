"""Two databases, one on heap and one on lakehouse, and what it means that a story
left the same in both: the same tables, columns, constraints, indexes and rows,
every table of the second one is lakehouse's, and its published files hold the
same rows for DuckDB and PyIceberg."""

import datetime
import decimal
import os
from collections import Counter

import lake_readers
import psycopg2
import psycopg2.extensions
import pytest

NUMBER = psycopg2.extensions.new_type((700, 701), "FLOAT", lambda value, _: value and float(value))
psycopg2.extensions.register_type(NUMBER)


class Database:
    def __init__(self, name):
        self.name, self.host, self.port = name, os.environ["PGHOST"], os.environ["PGPORT"]
        self.url = f"postgresql://postgres@/{name}?host={self.host}&port={self.port}"
        self.lakehouse = name == "on_lakehouse"

    def sql(self, statement, *values):
        """The rows of one statement, in a session of its own, committed."""
        connection = psycopg2.connect(self.url)
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            rows = cursor.fetchall() if cursor.description else []
        connection.close()
        return rows

    def structure(self, schema):
        """Everything about the tables of a schema that both databases have to agree on."""
        return self.sql("""
            SELECT 'column', table_name, column_name, concat_ws(' ', data_type, character_maximum_length,
                   numeric_precision, numeric_scale, datetime_precision, is_nullable, column_default, ordinal_position)
            FROM information_schema.columns WHERE table_schema = %s
            UNION ALL
            SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
            FROM pg_constraint WHERE connamespace = %s::regnamespace AND conrelid <> 0
            UNION ALL
            SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = %s
            UNION ALL
            SELECT 'comment', c.relname, objsubid::text, description
            FROM pg_description d JOIN pg_class c ON c.oid = objoid AND classoid = 'pg_class'::regclass
            WHERE relnamespace = %s::regnamespace
            ORDER BY 1, 2, 3, 4""", schema, schema, schema, schema)

    def tables(self, schema):
        return [name for name, in self.sql(
            "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'r' ORDER BY 1", schema)]

    def rows(self, schema, table):
        """A list of {column: value}."""
        connection = psycopg2.connect(self.url)
        with connection, connection.cursor() as cursor:
            cursor.execute(f'SELECT * FROM "{schema}"."{table}"')
            names = [column.name for column in cursor.description]
            rows = [dict(zip(names, map(canonical, row))) for row in cursor]
        connection.close()
        return rows


def canonical(value):
    """A value as every client's Python value of it compares."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.astimezone(datetime.timezone.utc).isoformat()
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value.normalize(decimal.Context(prec=1000)))
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, (list, dict)):
        return repr(value)
    return value


def bag(rows):
    return Counter(tuple(row.items()) for row in rows)


def same_bag(one, two, what):
    one, two = bag(one), bag(two)
    assert one == two, f"{what}: only in the first {list((one - two).items())[:3]}, only in the second {list((two - one).items())[:3]}"


def published(database, schema):
    """What the lakehouse tables of a schema publish is what they hold."""
    tables, queries = [], []
    for table in database.tables(schema):
        name = f'"{schema}"."{table}"'
        columns = database.sql("""
            SELECT column_name, data_type IN ('json', 'jsonb') OR data_type = 'numeric' AND coalesce(numeric_precision, 39) > 38
            FROM information_schema.columns WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position""", schema, table)
        if not columns:
            continue
        as_text = ", ".join(f'"{column}"::text' if text else f'"{column}"' for column, text in columns)
        names = [column for column, _ in columns]
        database.sql("SELECT lakehouse.publish(%s::regclass)", name)
        [[location]] = database.sql("SELECT lakehouse.metadata_location(%s::regclass)", name)
        ours = [dict(zip(names, map(canonical, row))) for row in database.sql(f"SELECT {as_text} FROM {name}")]
        theirs = lake_readers.pyiceberg_table(location).scan(selected_fields=tuple(names)).to_arrow().to_pylist()
        same_bag(ours, [{column: canonical(row[column]) for column in names} for row in theirs], f"{name} and PyIceberg")
        quoted = ", ".join(f'"{column}"' for column in names)
        queries.append(f"SELECT {quoted} FROM {lake_readers.duckdb_table(location)}")
        tables.append((name, names, ours))
    for (name, names, ours), (theirs, _) in zip(tables, lake_readers.duckdb_run(*queries)):
        same_bag(ours, [dict(zip(names, map(canonical, row))) for row in theirs], f"{name} and DuckDB")


def verified(database, schema):
    """lakehouse.verify has nothing to say, and all tables are lakehouse's."""
    others = database.sql("""SELECT c.oid::regclass FROM pg_class c JOIN pg_am a ON a.oid = relam
        WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'm') AND amname <> 'lakehouse'""", schema)
    assert others == []
    for table in database.tables(schema):
        assert database.sql("SELECT * FROM lakehouse.verify(%s::regclass)", f'"{schema}"."{table}"') == []


def same_schemas(heap, lake, schemas, rows=Database.rows):
    """Both databases hold the same in these schemas; rows(database, schema, table) may hide what differs by nature."""
    for schema in schemas:
        assert heap.structure(schema) == lake.structure(schema)
        for table in heap.tables(schema):
            same_bag(rows(heap, schema, table), rows(lake, schema, table), f"{schema}.{table}")
        verified(lake, schema)
        published(lake, schema)


@pytest.fixture(scope="session")
def heap():
    return Database("on_heap")


@pytest.fixture(scope="session")
def lake():
    return Database("on_lakehouse")


@pytest.fixture
def both(heap, lake):
    """both(story, schema...): run story(database) in each, public empty at first, and compare the schemas."""
    def run(story, *schemas, rows=Database.rows):
        for database in (heap, lake):
            for table in database.tables("public"):
                database.sql(f'DROP TABLE "{table}" CASCADE')
        first, second = story(heap), story(lake)
        assert first == second
        same_schemas(heap, lake, schemas, rows)
        return first
    return run
