#!/usr/bin/env python3
"""Random queries on a heap and on a lakehouse table with the same rows, under
every way that scans and aggregates can run.  The answers must be the same.

    exec_random.py [SEED [QUERIES]]        (LH_BIN and PG* name the server)

Sums of floats depend on the order of rows, which is not the heap's where rows
stand in the delta: those are compared with a plain scan of the same table.
"""

import os
import random
import subprocess
import sys

SEED = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(10**6)
QUERIES = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
rng = random.Random(SEED)


class Session:
    END = "--end--"

    def __init__(self):
        psql = os.path.join(os.environ.get("LH_BIN", ""), "psql")
        self.psql = subprocess.Popen([psql, "-X", "-q", "-A", "-t", "-P", "null=NULL", "-v", "VERBOSITY=sqlstate"],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                     text=True, bufsize=1)

    def run(self, statement, check=False):
        self.psql.stdin.write(f"{statement};\n\\echo {self.END}\n")
        self.psql.stdin.flush()
        lines = []
        for line in self.psql.stdout:
            if line.rstrip("\n") == self.END:
                break
            lines.append(line.rstrip("\n"))
        else:
            sys.exit(f"seed {SEED}: psql ended at: {statement}\n" + "\n".join(lines))
        if check and any(line.startswith(("ERROR", "FATAL")) for line in lines):
            sys.exit(f"{statement}: {lines}")
        return lines


def number(lo, hi):
    return lambda: str(rng.randint(lo, hi))


def floats(special):
    def make():
        return rng.choice([str(rng.uniform(-100, 100)), str(rng.randint(-50, 50)), "0", "-0",
                           str(rng.uniform(-1, 1) * 10 ** rng.randint(-30, 30))] + special)
    return make


def decimal(digits, scale):
    def make():
        return f"{rng.choice(['', '-'])}{rng.randint(0, 10**rng.randint(0, digits - scale) - 1)}.{rng.randint(0, 10**scale - 1):0{scale}d}"
    return make


def moment(kind):
    def make():
        day = f"{rng.randint(1950, 2050)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
        return day if kind == "date" else f"{day} {rng.randint(0, 23):02}:{rng.randint(0, 59):02}:00.{rng.randint(0, 999999):06}"
    return make


def word():
    return "".join(rng.choice("abAB z\u00e9") for _ in range(rng.randint(0, 6)))


# name: (type, common values, values that files cannot hold or that are special)
COLUMNS = {
    "i2": ("int2", number(-300, 300), ["-32768", "32767"]),
    "i4": ("int4", number(-5000, 5000), ["-2147483648", "2147483647"]),
    "i8": ("int8", number(-10**12, 10**12), ["-9223372036854775808", "9223372036854775807"]),
    "f4": ("float4", floats([]), ["NaN", "Infinity", "-Infinity"]),
    "f8": ("float8", floats([]), ["NaN", "Infinity", "-Infinity", "1e308", "-1e308"]),
    "n1": ("numeric(10,2)", decimal(10, 2), ["NaN", "99999999.99"]),
    "n2": ("numeric(18,6)", decimal(18, 6), ["NaN", "-999999999999.999999"]),
    "n3": ("numeric(30,5)", decimal(30, 5), ["NaN"]),
    "nu": ("numeric", decimal(12, 3), ["NaN", "Infinity", "-Infinity", "1e-20"]),
    "d": ("date", moment("date"), ["infinity", "-infinity", "4714-11-24 BC", "5874897-12-31"]),
    "ts": ("timestamp", moment("timestamp"), ["infinity", "-infinity", "4714-11-24 BC", "294276-12-31 23:59:59"]),
    "tz": ("timestamptz", moment("timestamptz"), ["infinity", "-infinity", "294276-12-31 23:59:59+00"]),
    "b": ("bool", lambda: rng.choice("tf"), ["t"]),
    "tx": ("text", word, [""]),
    "tc": ('text COLLATE "C"', word, ["\U0001F600"]),
    "vc": ('varchar(8) COLLATE "C"', word, [""]),
    "ch": ("char(6)", word, [""]),
    "ar": ("int[]", lambda: "{%s}" % ",".join(rng.choice(["NULL", str(rng.randint(0, 9))]) for _ in range(rng.randint(0, 3))), ["{}"]),
}
LATER = {"later": ("int4", "7"), "laternull": ("numeric(10,2)", None)}
OPERATORS = ["<", "<=", "=", ">=", ">", "<>"]
NUMBERS = ["i2", "i4", "i8", "f4", "f8", "n1", "n2", "n3", "nu"]
OTHER_TYPES = {"i2": ["int4", "int8"], "i4": ["int2", "int8"], "i8": ["int2", "int4"], "f4": ["float8"],
               "f8": ["float4"], "n1": ["numeric", "int4"], "n2": ["numeric"], "d": ["timestamp", "timestamptz"],
               "ts": ["date", "timestamptz"], "tz": ["date", "timestamp"], "vc": ["text"]}


def literal(value):
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


def some_value(name, special=0.1):
    _, common, specials = COLUMNS[name]
    return rng.choice(specials) if rng.random() < special else common()


def rows(n, first, special, clustered):
    """VALUES of n rows; clustered columns ascend, so that row groups differ."""
    for i in range(n):
        values = [str(first + i)]
        for name in COLUMNS:
            if rng.random() < (0.1 if rng.random() < 0.9 else 0.6):
                values.append("NULL")
            elif clustered and name in ("i4", "n1", "f8") and rng.random() < 0.98:
                values.append(f"'{(first + i) // 10}'")
            elif clustered and name in ("d", "ts", "tz"):
                values.append(f"(date '2000-01-01' + {(first + i) // 10})")
            else:
                values.append(literal(some_value(name, special)))
        yield "(" + ",".join(values) + ")"


def load(s):
    columns = ", ".join(f"{n} {t[0]}" for n, t in COLUMNS.items())
    s.run("DROP TABLE IF EXISTS h, l", check=True)
    s.run(f"CREATE TABLE h (id int8, {columns}) USING heap", check=True)
    s.run(f"CREATE TABLE l (id int8, {columns}) USING lakehouse WITH (row_group_rows = 1000, bulk_threshold = 500)", check=True)
    first = 0
    chunks = [3500, 40, 2200, 1, 1100, 120, rng.randint(1, 400)]
    for number_of_chunk, n in enumerate(chunks):
        if number_of_chunk == 4:
            for name, (kind, default) in LATER.items():
                for table in "hl":
                    s.run(f"ALTER TABLE {table} ADD COLUMN {name} {kind}" + (f" DEFAULT {default}" if default else ""), check=True)
        special = rng.choice([0, 0, 0.001, 0.1])
        names = ", ".join(["id", *COLUMNS])
        values = list(rows(n, first, special, rng.random() < 0.7))
        for at in range(0, n, 500):
            s.run(f"INSERT INTO h ({names}) VALUES {','.join(values[at:at + 500])}", check=True)
        s.run(f"INSERT INTO l SELECT * FROM h WHERE id >= {first} ORDER BY id", check=True)
        first += n
        if number_of_chunk == 3 and rng.random() < 0.5:
            s.run("SELECT lakehouse.publish('l')", check=True)
    s.run("ANALYZE h", check=True)
    s.run("ANALYZE l", check=True)


def condition(depth=0):
    roll = rng.random()
    if depth < 2 and roll < 0.12:
        return f"({condition(depth + 1)} {rng.choice(['OR', 'OR', 'AND'])} {condition(depth + 1)})"
    name = rng.choice(list(COLUMNS) + ["i4", "n1", "d", "f8", "id"])
    if roll < 0.2:
        return f"{rng.choice(list(COLUMNS) + list(LATER))} IS {rng.choice(['', 'NOT '])}NULL"
    if roll < 0.23:
        return f"{rng.choice(['', 'NOT '])}b"
    if roll < 0.27:
        return f"later {rng.choice(OPERATORS)} {rng.randint(6, 8)}"
    if name == "id":
        return f"id {rng.choice(OPERATORS)} {rng.randint(0, 7500)}"
    kind = rng.choice(OTHER_TYPES.get(name, []) + [COLUMNS[name][0]] * 3).split(" COLLATE")[0]

    def value():
        v = some_value(name)
        if name in ("i4", "n1", "f8") and rng.random() < 0.6:
            v = str(rng.randint(0, 750))
        elif name in ("d", "ts", "tz") and rng.random() < 0.6:
            v = f"200{rng.randint(0, 2)}-{rng.randint(1, 12)}-{rng.randint(1, 28)}"
        if kind in ("int2", "int4", "int8") and (not v.lstrip("-").isdigit() or abs(int(v)) > 32767):
            v = str(rng.randint(-300, 300))
        if "BC" in v or "5874897" in v or "294276" in v:
            return f"{literal(v)}::{COLUMNS[name][0].split(' COLLATE')[0]}"
        return f"{literal(v)}::{kind}"

    if roll < 0.35:
        return f"{name} BETWEEN {value()} AND {value()}"
    if roll < 0.43:
        return f"{name} IN ({', '.join(value() for _ in range(rng.randint(1, 4)))})"
    if roll < 0.46:
        return f"{name} {rng.choice(OPERATORS)} ANY (ARRAY[{value()}, NULL, {value()}])"
    if roll < 0.5:
        return f"{value()} {rng.choice(OPERATORS)} {name}"
    if roll < 0.52:
        return f"{name} {rng.choice(OPERATORS)} NULL::{kind}"
    if roll < 0.55:
        return f"{name} {rng.choice(OPERATORS)} (SELECT min({name}) FROM h WHERE id > {rng.randint(0, 7000)})" \
            if name not in ("b",) else "b"
    return f"{name} {rng.choice(OPERATORS)} {value()}"


def where():
    n = rng.choice([0, 1, 1, 1, 2, 2, 3])
    return " WHERE " + " AND ".join(condition() for _ in range(n)) if n else ""


def simple_where():
    """Only what the vectorised filter takes."""
    names = ["i2", "i4", "i8", "f4", "f8", "n1", "n2", "d", "ts", "tz"]
    parts = []
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        name = rng.choice(names)
        value = some_value(name) if rng.random() < 0.5 or name not in ("i4", "n1", "f8") else str(rng.randint(0, 750))
        if name == "n1" and rng.random() < 0.3:
            value = rng.choice(["1e30", "-1e30", "0.005", "10.001", "-3.14159", "NaN", "Infinity"])
            parts.append(f"{name} {rng.choice(OPERATORS[:5])} '{value}'::numeric")
        else:
            parts.append(f"{name} {rng.choice(OPERATORS[:5])} {literal(value)}" if rng.random() < 0.9 else f"{name} IS NOT NULL")
    return " WHERE " + " AND ".join(parts) if parts else ""


def aggregate(depends_on_order):
    roll = rng.random()
    if roll < 0.1:
        return "count(*)"
    if roll < 0.3:
        return f"count({rng.choice(list(COLUMNS) + list(LATER))})"
    if roll < 0.6:
        return f"{rng.choice(['min', 'max'])}({rng.choice(NUMBERS + ['d', 'ts', 'tz', 'later', 'laternull'])})"
    if roll < 0.65:
        return rng.choice(["sum(i4) FILTER (WHERE b)", "count(DISTINCT i2)", "sum(i4 + i2)", "max(tc)", "sum(later)", "sum(laternull)"])
    names = NUMBERS if depends_on_order else [n for n in NUMBERS if n not in ("f4", "f8")]
    return f"{rng.choice(['sum', 'avg'])}({rng.choice(names)})"


def query():
    """(text with {t} for the table, whether the order of rows matters)"""
    roll = rng.random()
    if roll < 0.35:
        ordered = rng.random() < 0.5
        aggs = [aggregate(ordered) for _ in range(rng.randint(1, 5))]
        floats_in = any(a in (f"{f}({c})" for f in ("sum", "avg") for c in ("f4", "f8")) for a in aggs)
        # min and max of 0 and -0 return either
        floats_in = floats_in or any(a[4:6] in ("f4", "f8") for a in aggs)
        having = rng.choice(["", "", "", " HAVING count(*) > 50", " HAVING max(i4) > 300"])
        if floats_in:
            having = ""
        text = f"SELECT {', '.join(aggs)} FROM {{t}}{simple_where() if rng.random() < 0.7 else where()}{having}"
        return text, floats_in
    if roll < 0.42:
        return f"SELECT i2, count(*), sum(i8), max(tc) FROM {{t}}{where()} GROUP BY i2 ORDER BY i2", False
    if roll < 0.47:
        return (f"SELECT v.x, s.* FROM (VALUES ({rng.randint(0, 700)}), (NULL), ({rng.randint(-5000, 700)}), (-1)) v(x), LATERAL "
                f"(SELECT count(*), sum(n1), min(d) FROM {{t}} WHERE i4 {rng.choice(OPERATORS[:5])} v.x) s ORDER BY 1, 2"), False
    if roll < 0.5:
        return (f"SELECT a.id, b.id FROM {{t}} a JOIN {{t}} b ON a.i4 = b.id{where().replace('WHERE ', 'WHERE a.id < 500 AND a.')}"
                if False else f"SELECT count(*), sum(b.i4) FROM {{t}} a JOIN {{t}} b ON a.i4 = b.id WHERE a.id < {rng.randint(1, 3000)}"), False
    if roll < 0.53:
        return "SELECT t, t.id FROM {t} t" + where() + " ORDER BY t.id LIMIT 20", False
    if roll < 0.56:
        return f"SELECT count(*) FROM {{t}}{where()}", False
    columns = ", ".join(rng.sample(list(COLUMNS) + list(LATER), rng.randint(0, 4)) + ["id"])
    return f"SELECT {columns} FROM {{t}}{where()} ORDER BY id", False


PARALLEL = {"max_parallel_workers_per_gather": "2", "parallel_setup_cost": "0", "parallel_tuple_cost": "0",
            "min_parallel_table_scan_size": "0"}
SERIAL = {"max_parallel_workers_per_gather": "0"}
PLAIN = {"lakehouse.enable_custom_scan": "off", **SERIAL}
WAYS = {
    "all on": SERIAL,
    "no pruning": {"lakehouse.enable_pruning": "off", **SERIAL},
    "no vector aggregate": {"lakehouse.enable_vector_agg": "off", **SERIAL},
    "plain scan": PLAIN,
    "parallel": PARALLEL,
    "parallel, no vector aggregate": {"lakehouse.enable_vector_agg": "off", **PARALLEL},
    "forced parallel": {"force_parallel_mode": "on", **PARALLEL},
    "parallel plain scan": {"lakehouse.enable_custom_scan": "off", **PARALLEL},
    "generic plan": {"plan_cache_mode": "force_generic_plan", **SERIAL},
}


def answer(s, text, settings):
    for name, value in settings.items():
        s.run(f"SET {name} = '{value}'", check=True)
    try:
        return s.run(text)
    finally:
        for name in settings:
            s.run(f"RESET {name}", check=True)


def main():
    print(f"seed {SEED}, {QUERIES} queries", flush=True)
    s = Session()
    s.run("SET client_min_messages = error; SET timezone = 'Europe/Berlin'; SET jit = off", check=True)
    load(s)
    ran = errors = empty = 0
    for number_of_query in range(QUERIES):
        if number_of_query and number_of_query % 250 == 0:
            load(s)
        text, ordered = query()
        ways = dict(WAYS)
        if ordered:
            expected = answer(s, text.replace('{t}', "l"), PLAIN)
            ways = {w: v for w, v in ways.items() if "arallel" not in w}
        else:
            expected = answer(s, text.replace('{t}', "h"), SERIAL)
        if expected and expected[0].startswith("ERROR:  42"):
            continue
        ran += 1
        errors += expected != [] and expected[0].startswith("ERROR")
        empty += expected == []
        for way in ways:
            lake = text.replace('{t}', "l")
            got = answer(s, lake, WAYS[way])
            if got != expected and not (text.startswith("SELECT t,") and [g.replace("l", "") for g in got] == expected):
                print(f"seed {SEED}, query {number_of_query}, {way}:\n{lake}\nexpected {expected[:20]}\ngot      {got[:20]}")
                sys.exit(1)
    print(f"{ran} queries of {QUERIES} compared, each in up to {len(WAYS)} ways: the same "
          f"({errors} the same error, {empty} no rows)", flush=True)


main()
