#!/usr/bin/env python3
"""Random differential test: the same statements on heap and on lakehouse tables.

    difftest.py [--seed S] [--statements N] [--out DIR]

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


class Generator:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.tables = {}
        self.n_names = 0
        self.in_transaction = False

    # ---- pieces ----

    def name(self, prefix):
        self.n_names += 1
        return f"{prefix}{self.n_names}"

    def table(self):
        return self.tables[self.r.choice(list(self.tables))]

    def touch(self, table):
        """DDL in a transaction keeps the publisher out until it ends."""
        table.locked = table.locked or self.in_transaction

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
        if len(table.columns) < 2:
            return None
        self.touch(table)
        column = self.r.choice(table.columns)
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
        if TYPES[type_][1] is None:
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
        return [f"ALTER TABLE {table.name} SET ACCESS METHOD {self.r.choice(['heap', 'lakehouse', 'lakehouse'])};"]

    def publish(self):
        table = self.table()
        return None if table.locked else [f"SELECT publish('{table.name}');"]

    def settings(self):
        return [self.r.choice([
            f"SET lakehouse.bulk_threshold = {self.r.choice([0, 1, 3, 10, 100, 10000])};",
            f"SET lakehouse.row_group_rows = {self.r.choice([1000, 2000, 262144])};",
            f"SET max_parallel_workers_per_gather = {self.r.choice([0, 0, 2])};",
            f"SET enable_hashjoin = {self.r.choice(['on', 'off'])};",
            f"SET enable_sort = {self.r.choice(['on', 'off'])};",
        ])]

    def mark(self):
        table = self.table()
        if self.in_transaction or len(table.marks) > 4:
            return None
        table.marks.append(self.name("m"))
        return [f"SELECT mark('{table.marks[-1]}', '{table.name}');"]

    def look(self):
        table = self.table()
        if not table.marks or table.locked:
            return None
        return [f"SELECT look('{self.r.choice(table.marks)}');"]

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
        if self.r.random() < 0.5:
            lines.append(f"MOVE {self.r.randint(1, 30)} FROM {name};")
            lines.append(f"MOVE BACKWARD ALL FROM {name};")
        for kind in self.r.sample([self.insert, self.publish, self.insert_self, self.query, self.copy_in], 2):
            lines += kind() or []
        lines.append(f"SELECT drain('{name}', false);")
        if self.r.random() < 0.6:
            lines.append(f"SELECT drain('{name}', true);")
        return lines + [f"CLOSE {name};"]

    KINDS = [("insert", 12), ("insert_self", 3), ("copy_in", 4), ("query", 18), ("publish", 4), ("truncate", 2),
             ("create", 2), ("create_as", 2), ("drop", 1), ("add_column", 3), ("drop_column", 2), ("rename_column", 1),
             ("retype_column", 2), ("default", 1), ("access_method", 1), ("settings", 3), ("mark", 2), ("look", 3)]

    def statement(self):
        while True:
            kind = self.r.choices([k for k, _ in self.KINDS], [w for _, w in self.KINDS])[0]
            lines = getattr(self, kind)()
            if lines:
                return lines

    # ---- blocks ----

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
            else:
                lines += self.statement()
        return lines

    def unlock(self):
        for table in self.tables.values():
            table.locked = False

    def transaction(self):
        saved = copy.deepcopy(self.tables)
        self.in_transaction = True
        level = self.r.choice(["", "", " ISOLATION LEVEL REPEATABLE READ", " ISOLATION LEVEL SERIALIZABLE"])
        lines = [f"BEGIN{level};"] + self.nested(0)
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
            return self.create()
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
    setup = psql(["-c", "SET client_min_messages = error; DROP SCHEMA IF EXISTS diff CASCADE",
                  "-f", f"{here}/schema.sql"])
    if setup:
        sys.exit(f"difftest: {setup}")
    with open(path, "w") as f:
        f.write(SETTINGS + "\n")
        for block in blocks:
            f.write("\n".join(block) + "\n")
    output = psql(["-a", "-v", "VERBOSITY=sqlstate", "-f", path], f"-c default_table_access_method={method}")
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
    parser.add_argument("--out", default="/tmp/difftest")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    done, seed = 0, args.seed
    while done < args.statements:
        generator, blocks, n = Generator(seed), [], 0
        while n < min(args.per_script, args.statements - done):
            blocks.append(generator.block())
            n += len(blocks[-1])
        found = difference(blocks, args.out)
        if found:
            print(f"difftest: seed {seed} differs\n{found}")
            blocks = shorten(blocks, args.out, 60, found)
            blocks = shorten([[statement] for block in blocks for statement in block], args.out, 150, found)
            print(f"difftest: shortened to {len(blocks)} statements, {args.out}/script.sql\n{difference(blocks, args.out)}")
            print("\n".join(line for block in blocks for line in block)[:6000])
            return 1
        done += n
        print(f"difftest: seed {seed}, {n} statements, same", flush=True)
        seed += 1
    print(f"difftest: {done} statements, seeds {args.seed} to {seed - 1}, no difference")
    return 0


if __name__ == "__main__":
    sys.exit(main())
