#!/usr/bin/env python3
"""Random differential test: the same statements on heap and on lakehouse tables.

    difftest.py [--seed S] [--statements N] [--out DIR] [--no-shorten]

Makes N random statements from a seed, runs them with psql on heap tables and on
lakehouse tables, and compares the outputs, rows as multisets and errors by their
SQLSTATE.  Where they differ, it looks for a shorter script that still differs and
leaves it in DIR.  Connects as psql does (PGHOST, PGPORT, PGUSER, PGDATABASE); the
database must have the extension, and its schema "diff" is the test's own.

A script is a list of blocks.  A block is a list of statements that leaves no
open transaction, so any of them can be left out of a script.
"""

import argparse
import copy
import os
import random
import re
import subprocess
import sys
import time

TYPES = {       # type: (an expression of the row number i, another type it can become or None)
    "int": ("i", "bigint"),
    "bigint": ("i * 10000000000", "text"),
    "text": ("'t' || i % 97 || repeat('z', i % 30)", "varchar(50)"),
    "varchar(50)": ("'v' || i", "text"),
    "numeric(12,2)": ("i / 7.0", "numeric"),
    "numeric": ("i ^ 3 / 11.0", "text"),
    "bool": ("i % 3 = 0", "text"),
    "date": ("date '2026-01-01' + i", "timestamp"),
    "timestamp": ("timestamp '2026-01-01' + i * interval '1 min'", "timestamptz"),
    "timestamptz": ("timestamptz '2026-01-01 00:00+00' + i * interval '1 h'", "timestamp"),
    "float8": ("i / 3.0::float8", "text"),
    "int[]": ("ARRAY[i, NULL, i % 5]", "text"),
    "jsonb": ("jsonb_build_object('k', i % 7, 'n', NULL)", "text"),
    "uuid": ("md5(i::text)::uuid", "text"),
    "interval": ("i * interval '3 h'", None),
    "bytea": ("decode(md5(i::text), 'hex')", None),
    "varchar": ("(SELECT string_agg(md5((i + j)::text), '') FROM generate_series(1, CASE WHEN i % 16 = 0 THEN i % 700 ELSE i % 3 END) j)", "text"),
    "pair": ("ROW(nullif(i % 50, 7), 'p' || i % 9)::pair", "text"),
    "pair[]": ("ARRAY[ROW(i, NULL)::pair, NULL]", None),
    "small": ("i % 100", "int"),
    "oid": ("i + 60", "bigint"),
    "int4range": ("int4range(i, i + i % 5 + 1)", "text"),
}
MAX_ROWS = 6000


class Table:
    def __init__(self, name):
        self.name = name
        self.columns = []       # (name, type)
        self.n_columns = 0
        self.rows = 0           # about
        self.locked = False     # by DDL of the running transaction
        self.marks = []
        self.keyed = False      # made by keyed(): c1 int with a primary key, c2 int, c3 text
        self.partitioned = False
        self.deferrable = False     # its key: within a transaction it may have duplicates


class Generator:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.tables = {}
        self.n_names = 0
        self.in_transaction = False
        self.only = None        # the name of the one table that statements are about

    # ---- pieces ----

    def name(self, prefix):
        self.n_names += 1
        return f"{prefix}{self.n_names}"

    def table(self):
        return self.tables[self.only if self.only in self.tables else self.r.choice(list(self.tables))]

    def key_table(self):
        """A table of keyed() that still has the columns of then."""
        tables = [t for t in ([self.table()] if self.only else self.tables.values()) if t.keyed and
                  {("c1", "int"), ("c2", "int"), ("c3", "text")} <= set(t.columns)]
        return self.r.choice(tables) if tables else None

    def touch(self, table):
        """DDL in a transaction keeps the publisher out until it ends; of a key also from tables that refer to it."""
        for t in [table] + [t for t in self.tables.values() if t.keyed] * table.keyed:
            t.locked = t.locked or self.in_transaction

    def expression(self, type_, i="i"):
        text = TYPES[type_][0]
        if self.r.random() < 0.3:
            text = f"CASE WHEN i % {self.r.randint(2, 9)} > 0 THEN {text} END"
        return f"({text})::{type_}"

    def rows_of(self, table, n):
        start = self.r.randint(-50, 5000)
        columns = ", ".join(self.expression(t) for _, t in table.columns)
        return f"SELECT {columns} FROM generate_series({start}, {start + n - 1}) i"

    def size(self, table):
        n = self.r.choice([1, 2, 3, 4, 5, 8, 20, 60, 300, 1500])
        return min(n, max(1, MAX_ROWS - table.rows))

    def condition(self, table):
        name, type_ = self.r.choice(table.columns)
        if self.r.random() < 0.25:
            return f"{name} IS {self.r.choice(['', 'NOT '])}NULL"
        value = TYPES[type_][0].replace("i", str(self.r.randint(-50, 5000))) if type_ in ("int", "bigint") else \
            f"(SELECT ({TYPES[type_][0]})::{type_} FROM (VALUES ({self.r.randint(0, 3000)})) v(i))"
        return f"{name} {self.r.choice(['<', '<=', '=', '>=', '>', '<>'])} {value}"

    # ---- each returns a list of statements, or None if it does not fit now ----

    def create(self):
        if len(self.tables) >= 5:
            return None
        table = Table(self.name("t"))
        parts = []
        for _ in range(self.r.randint(1, 6)):
            table.n_columns += 1
            name, type_ = f"c{table.n_columns}", self.r.choice(list(TYPES))
            table.columns.append((name, type_))
            parts.append(f"{name} {type_}")
        if self.r.random() < 0.3 and ("c1", "int") in table.columns:
            parts.append("CHECK (c1 <> 1234)")
        table.locked = self.in_transaction
        self.tables[table.name] = table
        return [f"CREATE TABLE {table.name} ({', '.join(parts)});"]

    def keyed(self):
        """A table with a key and indexes of several kinds; its key is i, so no statement meets a row twice."""
        if len(self.tables) >= 5:
            return None
        table = Table(self.name("t"))
        table.columns, table.n_columns, table.keyed = [("c1", "int"), ("c2", "int"), ("c3", "text")], 3, True
        table.locked = self.in_transaction
        kind = self.r.random()
        table.partitioned, table.deferrable = kind < 0.3, 0.3 <= kind < 0.5
        parents = [t for t in self.tables.values() if t.keyed and not t.deferrable]
        self.tables[table.name] = table
        n = table.name
        late = self.r.choice(["DEFERRABLE INITIALLY DEFERRED", "DEFERRABLE"])
        lines = [f"CREATE TABLE {n} (c1 int PRIMARY KEY{f' {late}' if table.deferrable else ''}, c2 int, c3 text)"
                 f"{' PARTITION BY RANGE (c1)' if table.partitioned else ''};"]
        if table.partitioned:
            lines += [f"CREATE TABLE {n}a PARTITION OF {n} FOR VALUES FROM (MINVALUE) TO (200);",
                      f"CREATE TABLE {n}b PARTITION OF {n} FOR VALUES FROM (200) TO (50000);", f"CREATE TABLE {n}c PARTITION OF {n} DEFAULT;"]
        some = [f"CREATE INDEX ON {n} (c2);", f"CREATE INDEX ON {n} USING hash (c3);", f"CREATE INDEX ON {n} (c3) WHERE c2 % 2 = 0;",
                f"CREATE INDEX ON {n} (lower(c3));", f"CREATE INDEX ON {n} USING gin (to_tsvector('simple', c3));"]
        triggers = ["note_both() AFTER UPDATE REFERENCING OLD TABLE AS o NEW TABLE AS n STATEMENT",
                    "note_new() AFTER INSERT REFERENCING NEW TABLE AS n STATEMENT", "note_old() AFTER DELETE REFERENCING OLD TABLE AS o STATEMENT",
                    "bump() BEFORE INSERT OR UPDATE ROW"]
        for trigger in triggers:
            function, when, events = trigger.split(maxsplit=2)
            events, level = events.rsplit(maxsplit=1)
            events, *rest = events.split(" REFERENCING")
            some.append(f"CREATE TRIGGER {function[:-2]} {when} {events} ON {n}{''.join(' REFERENCING' + x for x in rest)} "
                        f"FOR EACH {level} EXECUTE FUNCTION {function};")
        some.append(f"CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE ON {n} {late} FOR EACH ROW EXECUTE FUNCTION still_there();")
        if table.deferrable:
            some += [f"ALTER TABLE {n} ADD EXCLUDE USING btree (c1 WITH =) {late};"] * 2
        else:
            some += [f"CREATE UNIQUE INDEX ON {n} (c1, c3);", f"ALTER TABLE {n} ADD UNIQUE (c1, c2) {late};"]
            if not table.partitioned:
                some += [f"CREATE UNIQUE INDEX ON {n} ((c1 * 2)) INCLUDE (c2);", f"ALTER TABLE {n} ADD EXCLUDE USING btree (c1 WITH =);"]
        if parents:
            parent = self.r.choice(parents)
            actions = ["NO ACTION", "CASCADE", "SET NULL", "RESTRICT"]
            some += [f"ALTER TABLE {n} ADD FOREIGN KEY (c2) REFERENCES {parent.name} ON DELETE {self.r.choice(actions)} "
                     f"ON UPDATE {self.r.choice(actions)}{self.r.choice(['', ' ' + late])};"] * 3
        return lines + self.r.sample(some, self.r.randint(1, 4))

    def upsert(self):
        table = self.key_table()
        if not table:
            return None
        n = self.size(table)
        start = self.r.randint(1, 400)
        table.rows += n // 2
        action = self.r.choice(["DO NOTHING", "(c1) DO NOTHING",
                                f"(c1) DO UPDATE SET c3 = {table.name}.c3 || 'u', c2 = excluded.c2",
                                f"(c1) DO UPDATE SET c3 = excluded.c3 WHERE {table.name}.c2 % 3 = 0"])
        sql = (f"INSERT INTO {table.name} (c1, c2, c3) SELECT i, {self.r.choice(['i', 'NULL', 'i % 50', '{}'.format(start)])}, "
               f"'k' || i FROM generate_series({start}, {start + n - 1}) i")
        if self.r.random() < 0.7:       # a key that is checked later is no arbiter
            sql += f" ON CONFLICT {'DO NOTHING' if table.deferrable else action}"
        return [self.returned(sql)]

    def returned(self, sql):
        """With what it returns, as a multiset."""
        how = self.r.random()
        if how < 0.4:
            return f"WITH x AS ({sql} RETURNING *) SELECT count(*), md5(string_agg(x::text, '|' ORDER BY x::text COLLATE \"C\")) FROM x;"
        return f"SELECT returned($q${sql} RETURNING *$q$);" if how < 0.6 else f"{sql};"

    def update(self):
        table = self.key_table()
        if self.r.random() < 0.5 or not table:
            table = self.table()
            name, type_ = self.r.choice(table.columns)
            value = self.r.choice([CONSTANTS[type_], "NULL", name])
            return [self.returned(f"UPDATE {table.name} SET {name} = {value} WHERE {self.condition(table)}")]
        i, j = self.r.randint(1, 400), self.r.randint(1, 400)
        choices = [f"UPDATE {table.name} SET c3 = c3 || '+' WHERE c1 = {i}",
                   f"UPDATE {table.name} SET c2 = c1 WHERE c1 BETWEEN {i} AND {i + 20}",
                   f"UPDATE {table.name} SET c1 = c1 + 100000 WHERE c1 BETWEEN {i} AND {i + 5}",
                   f"UPDATE {table.name} t SET c3 = t.c3 || 'j' FROM {table.name} u "
                   f"WHERE u.ctid = t.ctid AND u.tableoid = t.tableoid AND u.c1 % 10 = {i % 10}"]
        if table.deferrable:    # with another key, the row that is in the way would be met or not
            choices += [f"UPDATE {table.name} SET c1 = c1 + 1 WHERE c1 BETWEEN {i} AND {i + self.r.randint(0, 20)}",
                        f"UPDATE {table.name} SET c1 = CASE c1 WHEN {i} THEN {j} ELSE {i} END WHERE c1 IN ({i}, {j})"] * 3
        else:                   # and with duplicates, which row is joined
            choices.append(f"UPDATE {table.name} t SET c3 = u.c3 FROM {table.name} u WHERE u.c1 = t.c1 + 1 AND t.c1 < {i}")
        return [self.returned(self.r.choice(choices))]

    def update_all(self):
        """Every row gets a successor, and its tombstone must not be lost."""
        table = max(self.tables.values(), key=lambda t: t.rows)
        return [f"UPDATE {table.name} SET {table.columns[0][0]} = {table.columns[0][0]};", f"SELECT count(*) FROM {table.name};"]

    def delete(self):
        table = self.key_table()
        if self.r.random() < 0.4 or not table:
            table = self.table()
            return [self.returned(f"DELETE FROM {table.name} WHERE {self.condition(table)}")]
        i, key = self.r.randint(1, 400), "(tableoid, ctid)" if table.partitioned else "(ctid)"
        if self.r.random() < 0.4:       # many rows of a block
            return [self.returned(f"DELETE FROM {table.name} WHERE c1 % {self.r.choice([2, 2, 3, 10])} "
                                  f"{self.r.choice(['=', '<>'])} {i % 2}{self.r.choice(['', f' AND c1 > {i}', f' AND c1 < {i}'])}")]
        return [self.returned(self.r.choice([
            f"DELETE FROM {table.name} WHERE c1 = {i}", f"DELETE FROM {table.name} WHERE c1 % 7 = {i % 7}",
            f"DELETE FROM {table.name} WHERE {key} IN (SELECT {key[1:-1]} FROM {table.name} WHERE c1 BETWEEN {i} AND {i + 10})",
            f"DELETE FROM {table.name} t USING {table.name} u WHERE u.c1 = t.c1 + 1 AND t.c1 < {i}"]))]

    def fold(self):
        """Rows of two files go together: of one so many that it is written anew, of the other few."""
        table = self.key_table()
        if not table or table.locked or table.rows >= MAX_ROWS:
            return None
        table.rows += 80
        i = self.r.randint(100, 10000) * 100
        values = "SELECT i, NULL, 'fold' FROM generate_series({}, {}) i ON CONFLICT DO NOTHING;"
        return [f"INSERT INTO {table.name} (c1, c2, c3) {values.format(i, i + 39)}", f"SELECT publish('{table.name}');",
                f"INSERT INTO {table.name} (c1, c2, c3) {values.format(i + 40, i + 79)}", f"SELECT publish('{table.name}');",
                f"DELETE FROM {table.name} WHERE c1 BETWEEN {i + self.r.randint(0, 25)} AND {i + self.r.randint(41, 48)};",
                f"SELECT publish('{table.name}');", "SELECT pg_sleep(0.05);",
                f"SELECT count(*), sum(c1) FROM {table.name} WHERE c1 >= {i};"]

    def merge(self):
        table = self.key_table()
        if not table:
            return None
        i, n = self.r.randint(1, 400), self.r.choice([1, 5, 50])
        return [f"MERGE INTO {table.name} t USING (SELECT i, i % 3 AS m FROM generate_series({i}, {i + n}) i) s ON t.c1 = s.i "
                "WHEN MATCHED AND m = 0 THEN DELETE WHEN MATCHED AND m = 1 THEN UPDATE SET c3 = 'merged' "
                "WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED AND m < 2 THEN INSERT (c1, c2, c3) VALUES (i, NULL, 'new');"]

    def by_index(self):
        """The same rows by each way to read them, and locked."""
        table = self.key_table()
        if not table:
            return None
        i = self.r.randint(1, 400)
        query = self.r.choice([f"WHERE c1 = {i}", f"WHERE c1 BETWEEN {i} AND {i + 30}", f"WHERE c2 = {i}", f"WHERE c3 = 'k{i}'",
                               f"WHERE lower(c3) = 'k{i}'", "WHERE c2 IS NULL"])
        if self.r.random() < 0.3:
            return [f"SELECT c1, c2, c3 FROM {table.name} {query} ORDER BY c1, c2, c3 FOR {self.r.choice(['UPDATE', 'KEY SHARE'])};"]
        return [f"SET enable_seqscan = {self.r.choice(['on', 'off'])};", f"SELECT digest($q$SELECT c1, c2, c3 FROM {table.name} {query}$q$);",
                "RESET enable_seqscan;"]

    def create_as(self):
        if len(self.tables) >= 5:
            return None
        source = self.table()
        table = Table(self.name("t"))
        table.columns, table.n_columns, table.rows = list(source.columns), source.n_columns, source.rows
        table.locked = self.in_transaction
        self.tables[table.name] = table
        columns = ", ".join(c for c, _ in source.columns)
        return [f"CREATE TABLE {table.name} AS SELECT {columns} FROM {source.name}"
                + (f" WHERE {self.condition(source)};" if self.r.random() < 0.5 else ";")]

    def insert(self):
        table = self.table()
        n = self.size(table)
        if table.rows >= MAX_ROWS:
            return self.truncate(table)
        table.rows += n
        columns = ", ".join(c for c, _ in table.columns)
        if self.r.random() < 0.3:
            some = self.r.sample(table.columns, self.r.randint(1, len(table.columns)))
            values = ", ".join(self.expression(t) for _, t in some)
            return [f"INSERT INTO {table.name} ({', '.join(c for c, _ in some)}) "
                    f"SELECT {values} FROM generate_series(1, {n}) i;"]
        returning = f" RETURNING {table.columns[0][0]}" if n <= 5 and self.r.random() < 0.3 else ""
        return [f"INSERT INTO {table.name} ({columns}) {self.rows_of(table, n)}{returning};"]

    def insert_self(self):
        table = self.table()
        if table.rows > MAX_ROWS // 2:
            return None
        table.rows *= 2
        columns = ", ".join(c for c, _ in table.columns)
        return [f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM {table.name} WHERE {self.condition(table)};"]

    def insert_probing(self):
        """A statement that looks at what it has written, in subtransactions of which some are undone."""
        table = self.table()
        n = self.r.choice([5, 30, 100])
        if table.rows + n > MAX_ROWS:
            return None
        table.rows += n
        columns = ", ".join(c for c, _ in table.columns)
        return [f"INSERT INTO {table.name} ({columns}) {self.rows_of(table, n)} WHERE probe('{table.name}', i) = i;"]

    def copy_in(self):
        table = self.table()
        columns = [c for c, t in table.columns if t in ("int", "bigint", "text", "varchar(50)")]
        if not columns:
            return None
        n = self.r.choice([1, 3, 6, 12, 40])
        table.rows += n
        lines = [f"COPY {table.name} ({', '.join(columns)}) FROM stdin;"]
        for _ in range(n):
            lines.append("\t".join(self.r.choice(["\\N", str(self.r.randint(0, 9999))]) for _ in columns))
        return ["\n".join(lines) + "\n\\."]

    def truncate(self, table=None):
        table = table or self.table()
        if table.rows < 500 and self.r.random() < 0.6:
            return None
        table.rows = 0
        self.touch(table)
        return [f"TRUNCATE {table.name};"]

    def drop(self):
        if len(self.tables) < 3:
            return None
        table = self.table()
        self.touch(table)
        del self.tables[table.name]
        return [f"DROP TABLE {table.name};"]

    def add_column(self):
        table = self.table()
        if len(table.columns) >= 9:
            return None
        self.touch(table)
        table.n_columns += 1
        name, type_ = f"c{table.n_columns}", self.r.choice(list(TYPES))
        table.columns.append((name, type_))
        default = f" DEFAULT {CONSTANTS[type_]}" if self.r.random() < 0.5 else ""
        return [f"ALTER TABLE {table.name} ADD COLUMN {name} {type_}{default};"]

    def drop_column(self):
        table = self.table()
        column = self.r.choice(table.columns)
        if len(table.columns) < 2 or (table.partitioned and column[0] == "c1"):
            return None
        self.touch(table)
        table.columns.remove(column)
        return [f"ALTER TABLE {table.name} DROP COLUMN {column[0]} CASCADE;"]

    def rename_column(self):
        table = self.table()
        self.touch(table)
        at = self.r.randrange(len(table.columns))
        table.n_columns += 1
        old, type_ = table.columns[at]
        table.columns[at] = (f"c{table.n_columns}", type_)
        return [f"ALTER TABLE {table.name} RENAME COLUMN {old} TO c{table.n_columns};"]

    def retype_column(self):
        table = self.table()
        at = self.r.randrange(len(table.columns))
        name, type_ = table.columns[at]
        if TYPES[type_][1] is None or (table.partitioned and name == "c1"):
            return None
        self.touch(table)
        table.marks = []        # old files may have no meaning in the new type
        table.columns[at] = (name, TYPES[type_][1])
        return [f"ALTER TABLE {table.name} ALTER {name} DROP DEFAULT, ALTER {name} TYPE {TYPES[type_][1]};"]

    def default(self):
        table = self.table()
        self.touch(table)
        name, type_ = self.r.choice(table.columns)
        what = self.r.choice(["DROP DEFAULT", f"SET DEFAULT {CONSTANTS[type_]}"])
        return [f"ALTER TABLE {table.name} ALTER {name} {what};"]

    def access_method(self):
        table = self.table()
        if self.r.random() < 0.6:
            return None
        self.touch(table)
        table.marks = []
        name = table.name + (self.r.choice("abc") if table.partitioned else "")
        return [f"ALTER TABLE {name} SET ACCESS METHOD {self.r.choice(['heap', ':method', ':method'])};"]

    def publish(self):
        table = self.table()
        return None if table.locked else [f"SELECT publish('{table.name}');"]

    def settings(self):
        return [self.r.choice([
            f"SET lakehouse.bulk_threshold = {self.r.choice([0, 1, 3, 10, 100, 10000])};",
            f"SET lakehouse.row_group_rows = {self.r.choice([1000, 2000, 262144])};",
            f"SET work_mem = '{self.r.choice(['64kB', '4MB', '4MB'])}';",
            f"SET lakehouse.bulk_delete_rows = {self.r.choice([2, 2, 3, 20])};",
            f"SET max_parallel_workers_per_gather = {self.r.choice([0, 0, 2])};",
            f"SET enable_hashjoin = {self.r.choice(['on', 'off'])};",
            f"SET enable_sort = {self.r.choice(['on', 'off'])};",
        ])]

    def mark(self):
        table = self.table()
        if self.in_transaction or len(table.marks) > 4 or table.partitioned:
            return None
        table.marks.append(self.name("m"))
        return [f"SELECT mark('{table.marks[-1]}', '{table.name}');"]

    def look(self):
        table = self.table()
        if not table.marks or table.locked:
            return None
        return [f"SELECT look('{self.r.choice(table.marks)}');"]

    def constraints(self):
        return [f"SET CONSTRAINTS ALL {self.r.choice(['IMMEDIATE', 'DEFERRED'])};"] if self.in_transaction else None

    def notes(self):
        """What triggers have seen up to now."""
        return ["SELECT digest('SELECT * FROM notes');"]

    def query(self):
        t, u = self.table(), self.table()
        column, type_ = self.r.choice(t.columns)
        columns = ", ".join(c for c, _ in self.r.sample(t.columns, self.r.randint(1, len(t.columns))))
        choice = self.r.randrange(10)
        if choice == 0:
            return [f"SELECT count(*) FROM {t.name};"]
        if choice == 1:
            return [f"SELECT digest($q$SELECT * FROM {t.name}$q$);"]
        if choice == 2:
            return [f"SELECT digest($q$SELECT {columns} FROM {t.name} WHERE {self.condition(t)}$q$);"]
        if choice == 3:
            return [f"SELECT digest($q$SELECT {columns} FROM {t.name} WHERE {self.condition(t)} "
                    f"{self.r.choice(['AND', 'OR'])} {self.condition(t)}$q$);"]
        if choice == 4:
            return [f"SELECT digest($q$SELECT {column}, count(*) FROM {t.name} GROUP BY {column}$q$);"]
        if choice == 5 and type_ in ("int", "bigint", "numeric", "numeric(12,2)", "date", "text"):
            return [f"SELECT count(*), count({column}), min({column}), max({column}) FROM {t.name} WHERE {self.condition(t)};"]
        if choice == 6 and t.rows * u.rows < 3000000:
            common = [(a, b) for a, ta in t.columns for b, tb in u.columns if ta == tb]
            if common and type_ != "jsonb":
                a, b = self.r.choice(common)
                return [f"SELECT count(*) FROM {t.name} x {self.r.choice(['', 'LEFT ', 'FULL '])}JOIN {u.name} y ON x.{a} = y.{b};"]
        if choice == 7:
            return [f"SELECT digest($q$SELECT {column}, row_number() OVER (ORDER BY {column}::text) FROM {t.name}$q$);"]
        if choice == 8:
            return [f"SELECT count(*) FROM {t.name} WHERE EXISTS (SELECT 1 FROM {u.name} WHERE {self.condition(u)}) AND {self.condition(t)};"]
        return [f"SELECT {columns} FROM {t.name} WHERE {self.condition(t)} ORDER BY ({columns})::text COLLATE \"C\" LIMIT 5;"
                if "," in columns else
                f"SELECT DISTINCT {columns}::text COLLATE \"C\" FROM {t.name} ORDER BY 1 LIMIT 7;"]

    def cursor(self):
        """What a cursor shows is what was there when it was opened."""
        t = self.table()
        name = self.name("cur")
        lines = [f"DECLARE {name} SCROLL CURSOR FOR SELECT * FROM {t.name};"]
        if t.keyed and t is self.key_table() and self.r.random() < 0.5:
            lines = ["SET LOCAL enable_seqscan = off;", f"DECLARE {name} SCROLL CURSOR FOR SELECT * FROM {t.name} WHERE c1 > {self.r.randint(-5, 300)};",
                     "SET LOCAL enable_seqscan = on;"]
        if self.r.random() < 0.5:
            lines.append(f"MOVE {self.r.randint(1, 30)} FROM {name};")
            lines.append(f"MOVE BACKWARD ALL FROM {name};")
        self.only = t.name if self.r.random() < 0.7 else None
        for kind in self.r.sample([self.insert, self.publish, self.insert_self, self.query, self.copy_in, self.update, self.delete,
                                   self.upsert, self.merge, self.truncate], 2):
            lines += kind() or []
        self.only = None
        lines.append(f"SELECT drain('{name}', false);")
        if self.r.random() < 0.6:
            lines.append(f"SELECT drain('{name}', true);")
        return lines + [f"CLOSE {name};"]

    KINDS = [("keyed", 3), ("upsert", 8), ("update", 10), ("update_all", 3), ("delete", 5), ("fold", 1), ("merge", 4), ("by_index", 5),
             ("constraints", 2), ("notes", 2), ("insert", 12), ("insert_self", 3), ("insert_probing", 3), ("copy_in", 4), ("query", 18), ("publish", 4),
             ("truncate", 2), ("create", 2), ("create_as", 2), ("drop", 1), ("add_column", 3), ("drop_column", 2),
             ("rename_column", 1), ("retype_column", 2), ("default", 1), ("access_method", 1), ("settings", 3), ("mark", 2), ("look", 3)]

    def statement(self):
        while True:
            kind = self.r.choices([k for k, _ in self.KINDS], [w for _, w in self.KINDS])[0]
            lines = getattr(self, kind)()
            if lines:
                return lines

    # ---- blocks ----

    def current_of(self):
        table = self.key_table()
        if not table or table.deferrable:
            return self.statement()
        name = self.name("cur")
        lines = [f"DECLARE {name} CURSOR FOR SELECT c1 FROM {table.name} WHERE c1 = {self.r.randint(1, 300)} FOR UPDATE;",
                 f"FETCH 1 FROM {name};"]
        lines += self.r.sample([f"UPDATE {table.name} SET c3 = 'current' WHERE CURRENT OF {name};",
                                f"DELETE FROM {table.name} WHERE CURRENT OF {name};"], self.r.randint(1, 2))
        return lines + [f"CLOSE {name};"]

    def nested(self, depth):
        """Statements, and savepoints with statements, some of them undone."""
        lines = []
        for _ in range(self.r.randint(1, 5)):
            choice = self.r.random()
            if choice < 0.25 and depth < 3:
                saved, name = copy.deepcopy(self.tables), self.name("s")
                lines.append(f"SAVEPOINT {name};")
                lines += self.nested(depth + 1)
                ending = self.r.random()
                if ending < 0.2:
                    lines.append(f"SELECT 1 / count(*) FROM {self.table().name} WHERE false;")
                if ending < 0.6:
                    lines.append(f"ROLLBACK TO {name};")
                    self.tables = saved
                elif ending < 0.8:
                    lines.append(f"RELEASE {name};")
            elif choice < 0.35:
                lines += self.cursor()
            elif choice < 0.40:
                lines += self.current_of()
            else:
                lines += self.statement()
        return lines

    def altered(self):
        """Writes, a rewrite of the table or a part of it undone, and writes, of one transaction."""
        self.only = self.table().name
        lines = []
        for alters in (False, True, False):
            saved, name = copy.deepcopy(self.tables), self.name("s")
            kinds = ["retype_column", "access_method", "add_column", "drop_column", "truncate"] if alters else \
                ["insert", "update", "delete", "upsert", "merge", "copy_in"]
            part = [f"SAVEPOINT {name};"] if self.r.random() < 0.5 else []
            for kind in self.r.choices(kinds, k=2):
                part += getattr(self, kind)() or []
            part += self.query()
            if part[0].startswith("SAVEPOINT") and self.r.random() < 0.4:
                part.append(f"ROLLBACK TO {name};")
                self.tables = saved
            lines += part
        self.only = None
        return lines

    def unlock(self):
        for table in self.tables.values():
            table.locked = False

    def transaction(self):
        saved = copy.deepcopy(self.tables)
        self.in_transaction = True
        level = self.r.choice(["", "", " ISOLATION LEVEL REPEATABLE READ", " ISOLATION LEVEL SERIALIZABLE"])
        lines = [f"BEGIN{level};"] + (self.altered() if self.r.random() < 0.15 else self.nested(0))
        self.in_transaction = False
        ending = self.r.random()
        if ending < 0.25:
            lines.append("ROLLBACK;")
            self.tables = saved
        elif ending < 0.35 and not any(l.startswith("DECLARE") for l in lines):
            name = self.name("p")
            lines.append(f"PREPARE TRANSACTION '{name}';")
            if self.r.random() < 0.3:
                lines.append(f"ROLLBACK PREPARED '{name}';")
                self.tables = saved
            else:
                lines.append(f"COMMIT PREPARED '{name}';")
        else:
            lines.append("COMMIT;")
        self.unlock()
        return lines

    def procedure(self):
        """Exception blocks in a loop, each with an insert, some undone."""
        t = self.table()
        n = self.r.randint(2, 8)
        t.rows += n * 4
        columns = ", ".join(c for c, _ in t.columns)
        return [f"""DO $do$ BEGIN FOR k IN 1..{n} LOOP BEGIN
INSERT INTO {t.name} ({columns}) {self.rows_of(t, self.r.randint(1, 4))};
IF k % {self.r.randint(2, 3)} = 0 THEN RAISE EXCEPTION 'undone'; END IF;
EXCEPTION WHEN raise_exception THEN NULL; END; END LOOP; END $do$;"""]

    def maintenance(self):
        t = self.table()
        return [f"{self.r.choice(['VACUUM', 'VACUUM (FULL)', 'ANALYZE', 'VACUUM (FREEZE)'])} {t.name};"]

    def block(self):
        if not self.tables:
            return self.keyed() if self.r.random() < 0.3 else self.create()
        choice = self.r.random()
        if choice < 0.35:
            return self.transaction()
        if choice < 0.42:
            return self.procedure()
        if choice < 0.45:
            return self.maintenance()
        return self.statement()


CONSTANTS = {
    "int": "7", "bigint": "70000000000", "text": "'dflt'", "varchar(50)": "'vd'", "numeric(12,2)": "3.25",
    "numeric": "123456789.000001", "bool": "true", "date": "'2026-06-01'", "timestamp": "'2026-06-01 12:00'",
    "timestamptz": "'2026-06-01 12:00+00'", "float8": "0.1", "int[]": "'{1,NULL}'", "jsonb": "'{\"d\": 1}'",
    "uuid": "'00000000-0000-0000-0000-000000000001'", "interval": "'1 day'", "bytea": "'\\x00ff'",
    "varchar": "repeat('wide', 2000)", "pair": "'(1,)'", "pair[]": "'{}'", "small": "7", "oid": "4000000000", "int4range": "'empty'",
}

# ---- running ----

SETTINGS = "SET search_path = diff, public; SET client_min_messages = error; SET timezone = 'Asia/Kolkata'; SET statement_timeout = '60s';"


def psql(args, settings=""):
    env = dict(os.environ, PGOPTIONS=settings)
    done = subprocess.run([os.environ.get("PSQL", "psql"), "-X", "-q", "-A"] + args, env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout


def run(method, blocks, path):
    here = os.path.dirname(os.path.abspath(__file__))
    for _ in range(100):        # a crash may have been before
        setup = psql(["-c", "SET client_min_messages = error; DROP SCHEMA IF EXISTS diff CASCADE",
                      "-f", f"{here}/schema.sql"])
        if "FATAL" not in setup:
            break
        time.sleep(0.2)
    if setup:
        sys.exit(f"difftest: {setup}")
    with open(path, "w") as f:
        f.write(SETTINGS + "\n")
        for block in blocks:
            f.write("\n".join(block) + "\n")
    output = psql(["-a", "-v", "VERBOSITY=sqlstate", "-v", f"method={method}", "-f", path],
                  f"-c default_table_access_method={method} -c lakehouse.bulk_delete_rows=2")
    return [line.replace(f"psql:{path}:", "psql:") for line in output.splitlines()]


def difference(blocks, out):
    """The first lines that differ, with what led to them, or None."""
    heap = run("heap", blocks, f"{out}/script.sql")
    lake = run("lakehouse", blocks, f"{out}/script.sql")
    for name, lines in (("heap", heap), ("lakehouse", lake)):
        with open(f"{out}/{name}.out", "w") as f:
            f.write("\n".join(lines) + "\n")
    for i in range(max(len(heap), len(lake))):
        if heap[i:i + 1] != lake[i:i + 1]:
            context = "\n".join("  " + l for l in heap[max(0, i - 6):i])
            return f"{context}\nheap:      {' '.join(heap[i:i + 1])}\nlakehouse: {' '.join(lake[i:i + 1])}"
    return None


def symptom(found):
    """What tells one difference from another: what lakehouse said, without the line number."""
    return re.sub(r"psql:\d+", "psql", found.splitlines()[-1]) if "ERROR" in found.splitlines()[-1] else "rows"


def shorten(blocks, out, runs, found):
    """Leaves out as many blocks as possible, at most `runs` attempts."""
    wanted = symptom(found)
    size = max(1, len(blocks) // 2)
    while size >= 1 and runs > 0:
        start = 0
        while start < len(blocks) and runs > 0:
            fewer = blocks[:start] + blocks[start + size:]
            runs -= 1
            found = difference(fewer, out) if fewer else None
            if found and symptom(found) == wanted:
                blocks = fewer
            else:
                start += size
        size //= 2
    return blocks


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED", 1)))
    parser.add_argument("--statements", type=int, default=int(os.environ.get("N", 10000)))
    parser.add_argument("--per-script", type=int, default=1000)
    parser.add_argument("--no-shorten", action="store_true")
    parser.add_argument("--out", default="/tmp/difftest")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    done, seed = 0, args.seed
    while done < args.statements:
        generator, blocks, n = Generator(seed), [["\\set ON_ERROR_ROLLBACK on"]] if seed % 2 else [], 0
        while n < min(args.per_script, args.statements - done):
            blocks.append(generator.block())
            n += len(blocks[-1])
        found = difference(blocks, args.out)
        if found:
            print(f"difftest: seed {seed} differs\n{found}")
            if args.no_shorten:
                return 1
            blocks = shorten(blocks, args.out, 60, found)
            blocks = shorten([[statement] for block in blocks for statement in block], args.out, 150, found)
            print(f"difftest: shortened to {len(blocks)} statements, {args.out}/script.sql\n{difference(blocks, args.out)}")
            print("\n".join(line for block in blocks for line in block)[:6000])
            return 1
        with open(f"{args.out}/heap.out") as f:     # what a failed transaction skips, does not count
            n -= f.read().count("ERROR:  25P02")
        done += n
        print(f"difftest: seed {seed}, {n} statements, same", flush=True)
        seed += 1
    print(f"difftest: {done} statements, seeds {args.seed} to {seed - 1}, no difference")
    return 0


if __name__ == "__main__":
    sys.exit(main())
