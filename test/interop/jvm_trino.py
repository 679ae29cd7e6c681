#!/usr/bin/env python3
"""Trino reads what Postgres reads: registered tables, whole and filtered, and every
version by FOR VERSION AS OF.  The server is started here, with the Iceberg plugin only."""

import base64
import decimal
import glob
import json
import os
import re
import socket
import subprocess
import tempfile
import time
import urllib.request

import compare
import lake_stories as stories
from compare import sql

JVM = """-server
-Xmx1536M
-XX:+UseSerialGC
-XX:+ExitOnOutOfMemoryError
-XX:ReservedCodeCacheSize=128M
-Djdk.attach.allowAttachSelf=true
--add-modules=jdk.incubator.vector
"""
CONFIG = """coordinator=true
node-scheduler.include-coordinator=true
http-server.http.port={port}
discovery.uri=http://127.0.0.1:{port}
node.internal-address=127.0.0.1
query.max-memory=400MB
query.max-memory-per-node=400MB
memory.heap-headroom-per-node=300MB
catalog.management=static
"""
CATALOG = """connector.name=iceberg
iceberg.catalog.type=TESTING_FILE_METASTORE
hive.metastore.catalog.dir=local://{etc}/metastore
fs.native-local.enabled=true
local.location=/
iceberg.register-table-procedure.enabled=true
"""


class Trino:
    """A server of our own, in a folder that goes with it."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="lakehouse-trino.")
        etc = self.folder.name
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        for name, text in {"jvm.config": JVM, "config.properties": CONFIG.format(port=self.port),
                           "node.properties": f"node.environment=test\nnode.id=one\nnode.data-dir={etc}/data\n",
                           "log.properties": "io.trino=WARN\norg.apache.iceberg=WARN\n",
                           "catalog/iceberg.properties": CATALOG.format(etc=etc)}.items():
            os.makedirs(os.path.dirname(f"{etc}/{name}"), exist_ok=True)
            with open(f"{etc}/{name}", "w") as f:
                f.write(text)
        os.makedirs(f"{etc}/metastore")
        home, = glob.glob(os.environ["LH_BUILD"] + "/jvm/trino-server-*/")
        self.log = open(os.environ["LH_BUILD"] + "/interop-trino-server.log", "w")
        self.process = subprocess.Popen([home + "bin/launcher", "run", "--etc-dir", etc],
                                        env=os.environ | {"JAVA_HOME": os.environ["LH_JAVA_TRINO"]},
                                        stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        try:
            self.wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.folder.cleanup()

    def wait(self):
        for _ in range(600):
            if self.process.poll() is not None:
                raise RuntimeError(f"Trino ended with {self.process.returncode}, see build/interop-trino-server.log")
            try:
                if not json.load(urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1/info", timeout=5))["starting"]:
                    self.query("CREATE SCHEMA IF NOT EXISTS iceberg.lake")
                    self.query("CREATE TABLE IF NOT EXISTS iceberg.lake.ready AS SELECT 1 AS id")   # wants a worker
                    return
            except (OSError, RuntimeError) as error:
                self.last = error
            time.sleep(0.5)
        raise RuntimeError(f"Trino does not answer after 5 minutes: {self.last}")

    def query(self, text):
        """[{column: Python value}]"""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/statement", text.encode(), {
            "X-Trino-User": "test", "X-Trino-Catalog": "iceberg", "X-Trino-Schema": "lake", "X-Trino-Time-Zone": "UTC",
            "X-Trino-Client-Capabilities": "PARAMETRIC_DATETIME"})
        rows, columns = [], []
        while request:
            page = json.load(urllib.request.urlopen(request, timeout=120), parse_float=decimal.Decimal)
            if "error" in page:
                raise RuntimeError(page["error"]["message"])
            columns = page.get("columns", columns)
            rows += page.get("data", [])
            request = page.get("nextUri")
        return [{c["name"]: decode(c["typeSignature"], v) for c, v in zip(columns, row)} for row in rows]


def decode(kind, value):
    """A value of Trino's JSON by its type."""
    raw, arguments = kind["rawType"], [a["value"] for a in kind["arguments"]]
    if value is None:
        return None
    if raw == "array":
        return [decode(arguments[0], v) for v in value]
    if raw == "row":
        return {a["fieldName"]["name"]: decode(a["typeSignature"], v) for a, v in zip(arguments, value)}
    if raw == "varbinary":
        return base64.b64decode(value)
    if raw == "decimal":
        return decimal.Decimal(value)
    return float(value) if raw in ("real", "double") else value


LITERALS = {"date": "DATE", "time without time zone": "TIME", "numeric": "DECIMAL", "uuid": "UUID",
            "real": "REAL", "double precision": "DOUBLE", "timestamp without time zone": "TIMESTAMP", "bigint": "BIGINT"}


def literal(kind, value):
    if kind == "bytea":
        return f"X'{value}'"
    if kind == "timestamp with time zone":
        return f"TIMESTAMP '{stories.iso(value)} UTC'"
    if kind in LITERALS:
        text = stories.iso(str(value), sign=True)
        return f"{LITERALS[kind]} '{text}'"
    return "'" + str(value).replace("'", "''") + "'" if kind in ("text", "text form", "character", "character varying") else str(value)


def filters(trino, story):
    version = story.newest
    for column, kind in version.columns.items():
        def differs():
            for operator, value in stories.questions(version, kind, column):
                where = f'"{column}" {operator} ' + ("NULL" if value is None else literal(kind, value))
                # NaN is the greatest number for Postgres, in no order for Trino.
                wanted = stories.postgres_ids(story.table, column, kind, operator, value, but_nan=True)
                got = sorted(r["id"] for r in trino.query(f'SELECT id FROM "{story.table}" WHERE {where}'))
                if wanted != got:
                    return f"{where}: {len(wanted)} ids {wanted[:8]} against {len(got)} {got[:8]}"
            return None

        compare.guarded(f"{story.name}: Trino, filter on {column}", differs)


def parts(trino, story, conditions):
    """Filters on fields of composite columns."""
    for ours, theirs in conditions:
        compare.guarded(f"{story.name}: Trino, {theirs}", lambda: compare.difference(
            {i: {"id": i} for i in compare.sql_ids(story.table, ours)}, trino.query(f"SELECT id FROM {story.table} WHERE {theirs}")))


def register(trino, table, location):
    folder, file = re.fullmatch(r"(.*)/metadata/([^/]*)", location).groups()
    trino.query(f"CALL iceberg.system.register_table('lake', '{table}', '{folder}', '{file}')")


def quoted(columns):
    return ", ".join(f'"{c}"' for c in columns)


def read(trino, story):
    for n, v in enumerate(story.versions):
        def own():
            register(trino, f"{story.table}_{n}", v.location)
            return stories.difference(v, trino.query(f"SELECT {quoted(v.columns)} FROM {story.table}_{n}"))
        compare.guarded(f"{v.label}: Trino, own metadata", own)
    compare.guarded(f"{story.name}: Trino, register_table", lambda: register(trino, story.table, story.newest.location))
    for v in story.snapshots:
        compare.guarded(f"{v.label}: Trino, version of the newest", lambda: stories.difference(
            v, trino.query(f"SELECT {quoted(v.columns)} FROM {story.table} FOR VERSION AS OF {v.snapshot}")))
    filters(trino, story)


def main():
    with Trino() as trino:
        for story in stories.wanted(
                "jvm_trino", ("debian", stories.debian), ("types", lambda: stories.types("types_trino")), ("sorted", stories.ranges),
                ("evolution", stories.evolution), ("merged", stories.merged), ("emptied", stories.emptied), ("deletes", stories.deletes)):
            read(trino, story)
            if story.name == "sorted":
                parts(trino, story, [("(co).x = 4999", "co.x = 4999"), ("(co).y = 'x5997'", "co.y = 'x5997'"), ("(co).x < 3", "co.x < 3")])
    compare.finish()


if __name__ == "__main__":
    main()
