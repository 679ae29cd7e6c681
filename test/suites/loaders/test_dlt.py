"""Pipelines of dlt: what a pipeline leaves on lakehouse is what it leaves on heap.

dlt makes up ids of rows and of loads; row_view() puts in their place what they
stand for, so that the links between tables are compared too."""

import base64
import datetime
import decimal
import json
import os
import shutil
import zlib
from urllib.parse import quote

import dlt
import pyarrow
import pytest
from conftest import Database
from dlt.common.wei import Wei
from dlt.destinations import postgres

os.environ.update(RUNTIME__DLTHUB_TELEMETRY="false", RUNTIME__LOG_LEVEL="ERROR")

FORMATS = ["insert_values", "csv"]
REPLACE = ["truncate-and-insert", "insert-from-staging", "staging-optimized"]
DAY = datetime.datetime(2024, 5, 1, tzinfo=datetime.timezone.utc)


@pytest.fixture(autouse=True)
def few_rows_a_file(monkeypatch):
    """Loads of several files, which dlt writes from several sessions at once."""
    monkeypatch.setenv("DATA_WRITER__FILE_MAX_ITEMS", "40")
    monkeypatch.setenv("NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS", "40")


def pipeline(database, dataset, folder, **options):
    # dlt wants a host; libpq takes the last it is told, a socket's folder
    credentials = f"postgresql://postgres:none@localhost:{database.port}/{database.name}?host={quote(database.host, safe='')}"
    return dlt.pipeline(f"{dataset}_pipeline", destination=postgres(credentials), dataset_name=dataset,
                        pipelines_dir=str(folder / database.name), **options)


# ---- comparing ----

INSTANT = ("inserted_at", "created_at")


def contents(database, schema):
    """{table: rows} with each _dlt_id and load id replaced by what it stands for"""
    tables = {table: database.rows(schema, table) for table in database.tables(schema)}
    loads = sorted({row[name] for rows in tables.values() for row in rows for name in ("load_id", "_dlt_load_id") if row.get(name)})
    stands_for = {load: f"load {number}" for number, load in enumerate(loads)}
    own = {}
    for table, rows in tables.items():
        own.update((row["_dlt_id"], (table, row)) for row in rows if "_dlt_id" in row)

    def plain(row):
        return tuple(sorted((name, str(stands_for.get(value, value))) for name, value in row.items()
                            if name not in ("_dlt_id", "_dlt_parent_id", "_dlt_root_id", *INSTANT)))

    def path(identifier):
        if identifier not in own:
            return "nobody"
        table, row = own[identifier]
        return (table, plain(row), path(row["_dlt_parent_id"]) if "_dlt_parent_id" in row else "")

    out = {}
    for table, rows in tables.items():
        out[table] = []
        for row in rows:
            view = {name: stands_for.get(value, value) if isinstance(value, str) else value
                    for name, value in row.items() if name not in INSTANT}
            for name in ("_dlt_id", "_dlt_parent_id", "_dlt_root_id"):
                if name in view:
                    view[name] = path(view[name])
            if table == "_dlt_pipeline_state":
                view["state"] = state_view(view["state"])
                del view["version_hash"]            # of a state that holds times
            out[table].append(view)
    return out


def state_view(state):
    """the state that dlt keeps in the destination, without times and names of this run"""
    value = json.loads(zlib.decompress(base64.b64decode(state)))
    value.pop("_local", None)
    return repr(sorted((name, repr(part)) for name, part in value.items()
                       if name not in ("_version_hash", "destination_name")))


def dlt_rows(database, schema, table):
    return contents(database, schema)[table]


@pytest.fixture
def story(both, request, tmp_path):
    """story(loads, ...): the loads, functions of a pipeline, on both databases"""
    def run(*loads, staging=False, **options):
        dataset = "".join(c if c.isalnum() else "_" for c in request.node.name).lower()[:40].strip("_")

        def on(database):
            flow = pipeline(database, dataset, tmp_path, **options)
            for load in loads:
                flow = load(flow) or flow
            return sorted(database.tables(dataset))

        schemas = [dataset, f"{dataset}_staging"] if staging else [dataset]
        return both(on, *schemas, rows=dlt_rows)
    return run


def load(data, **options):
    """One run of a pipeline; data is made anew for each, as dlt changes what it gets."""
    def run(flow):
        flow.run(data(), **options).raise_on_failed_jobs()
    return run


# ---- data ----

def orders(first, last, version=0):
    """Orders with lines, and lines with notes: three levels."""
    return [{"id": i, "customer": f"c{i % 7}", "day": (DAY + datetime.timedelta(days=i % 5)).date(), "version": version,
             "address": {"city": f"city {i % 3}", "zip": None if i % 4 else str(i)},
             "lines": [{"item": f"item {n}", "price": decimal.Decimal(i * 100 + n) / 100,
                        "notes": [f"note {version}.{i}.{n}"] * (n % 2)} for n in range(i % 4)]}
            for i in range(first, last)]


def every_type(i):
    return {"id": i, "big": (-1) ** i * (2 ** 63 - 1 - i), "truth": i % 2 == 0, "float": i / 7, "text": "ü€\n\\\"',;\t" * (i % 5),
            "money": decimal.Decimal(f"{i}.123456789"), "at": DAY + datetime.timedelta(microseconds=i * 12345),
            "on": DAY.date() - datetime.timedelta(days=i * 100), "clock": datetime.time(i % 24, i % 60, 1, i),
            "raw": str(i).encode(), "tree": {"a": [1, {"b": i}], "c": None} if i % 3 else [], "gone": None if i % 2 else "x",
            "list": [[1, i], [2]], "wei": Wei(2 ** 200 + i)}


TYPES = {"tree": {"data_type": "json"}, "wei": {"data_type": "wei"}, "raw": {"data_type": "binary"}, "gone": {"data_type": "text"}}


# ---- dispositions ----

@pytest.mark.parametrize("strategy", REPLACE)
@pytest.mark.parametrize("form", FORMATS)
def test_replace(story, monkeypatch, strategy, form):
    monkeypatch.setenv("DESTINATION__REPLACE_STRATEGY", strategy)
    options = {"table_name": "orders", "write_disposition": "replace", "loader_file_format": form, "primary_key": "id"}
    story(load(lambda: orders(0, 150), **options), load(lambda: orders(100, 190, 1), **options),
          load(lambda: orders(3, 4, 2), **options), load(lambda: [{"id": 1, "more": "column"}], **options),
          staging=strategy != "truncate-and-insert")


@pytest.mark.parametrize("form", FORMATS)
def test_append_and_schema_evolution(story, form):
    options = {"table_name": "things", "loader_file_format": form}
    story(load(lambda: orders(0, 60), **options),
          load(lambda: [every_type(i) for i in range(90)], columns=TYPES, **options),
          load(lambda: [{"id": "not a number", "version": 1.5, "text": 7, "Brand New": [{"deep": {"er": [1, 2]}}]}], **options),
          load(lambda: [{"id": 2, "version": "text now", "big": "x" * 70000, "n" * 80: 1}], **options))


def test_frozen_schema(story):
    def refused(flow):
        with pytest.raises(Exception, match="schema"):
            flow.run([{"id": 1, "new": 1}], table_name="t", schema_contract="freeze")
        flow.drop_pending_packages()
    story(load(lambda: [{"id": 1}], table_name="t"), refused, load(lambda: [{"id": 2}], table_name="t"))


@pytest.mark.parametrize("form", FORMATS)
def test_merge_delete_insert(story, form):
    options = {"table_name": "orders", "write_disposition": {"disposition": "merge", "strategy": "delete-insert"},
               "primary_key": "id", "loader_file_format": form}
    story(load(lambda: orders(0, 130), **options), load(lambda: orders(50, 170, 1), **options),
          load(lambda: orders(0, 10, 2), **options), load(lambda: [{"id": 3, "more": 1}], **options), staging=True)


def test_merge_by_merge_key(story):
    options = {"table_name": "orders", "write_disposition": "merge", "columns": {"day": {"merge_key": True}}}
    story(load(lambda: orders(0, 100), **options), load(lambda: [o for o in orders(0, 20, 1) if o["id"] % 5 < 2], **options),
          load(lambda: orders(4, 5, 2), primary_key="id", **options), staging=True)


def test_merge_without_key_appends(story):
    options = {"table_name": "orders", "write_disposition": "merge"}
    story(load(lambda: orders(0, 30), **options), load(lambda: orders(0, 30), **options))


@pytest.mark.parametrize("strategy", ["delete-insert", "upsert"])
def test_hard_delete_and_newest(story, strategy):
    """A flag deletes; the newest of several rows with one key wins."""
    columns = {"version": {"dedup_sort": "desc"}, "deleted": {"hard_delete": True, "data_type": "bool"}}
    disposition = {"disposition": "merge", "strategy": strategy}
    if strategy == "upsert":
        columns.pop("version")
    options = {"table_name": "orders", "write_disposition": disposition, "primary_key": "id", "columns": columns}

    def changes():
        rows = [dict(o, deleted=o["id"] % 3 == 0) for o in orders(0, 60, 1)]
        return rows if strategy == "upsert" else [dict(o, deleted=False) for o in orders(10, 40, 0)] + rows
    story(load(lambda: orders(0, 100), **options), load(changes, **options),
          load(lambda: [{"id": 1, "deleted": True}, {"id": 1000, "deleted": True}], **options))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("strategy", ["upsert", "insert-only", "cdc"])
def test_merge_statement(story, strategy, form):
    options = {"table_name": "orders", "write_disposition": {"disposition": "merge", "strategy": strategy},
               "primary_key": "id", "loader_file_format": form}
    story(load(lambda: orders(0, 130), **options), load(lambda: orders(50, 170, 1), **options),
          load(lambda: [dict(o, extra=o["id"]) for o in orders(160, 200, 2)], **options), staging=True)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("key", [None, "customer"])
def test_scd2(story, form, key):
    def step(days, rows):
        disposition = {"disposition": "merge", "strategy": "scd2", "boundary_timestamp": DAY + datetime.timedelta(days=days)}
        return load(rows, table_name="orders", write_disposition=disposition,
                    columns={key: {"merge_key": True}} if key else None, loader_file_format=form)
    story(step(0, lambda: orders(0, 60)), step(1, lambda: orders(0, 50) + orders(50, 60, 1)), step(2, lambda: orders(10, 70)),
          step(3, lambda: orders(0, 60)), staging=True)


# ---- hints, state, refresh ----

def test_hints(story):
    """Unique columns, not null, precision, keys of several columns."""
    columns = {"code": {"unique": True, "nullable": False, "data_type": "text", "precision": 12},
               "amount": {"data_type": "decimal", "precision": 10, "scale": 2}, "small": {"data_type": "bigint", "precision": 16},
               "at": {"data_type": "timestamp", "precision": 3, "timezone": False}, "a": {"nullable": False}, "b": {"nullable": False}}

    def rows(first, last):
        return [{"a": i // 10, "b": i % 10, "code": f"code {i}", "amount": decimal.Decimal(i) / 4, "small": i, "at": DAY} for i in range(first, last)]
    options = {"table_name": "hinted", "write_disposition": "merge", "primary_key": ["a", "b"], "columns": columns}

    def refused(flow):
        with pytest.raises(Exception, match="duplicate key"):
            flow.run([{"a": 99, "b": 99, "code": "code 1", "amount": 1, "small": 1, "at": DAY}], table_name="hinted",
                     write_disposition="append").raise_on_failed_jobs()
        flow.drop_pending_packages()
    story(load(lambda: rows(0, 70), **options), load(lambda: rows(30, 95), **options), refused,
          load(lambda: rows(0, 5), **options), staging=True)


def test_incremental_state_comes_back(story, tmp_path):
    """The cursor of an incremental load is read from the destination when the working folder is gone."""
    seen = []

    def resource(last):
        @dlt.resource(name="events", primary_key="id", write_disposition="merge")
        def events(updated=dlt.sources.incremental("updated", initial_value=-1)):
            seen.append(updated.last_value)
            yield [{"id": i % 40, "updated": i} for i in range(last) if i > updated.last_value]
        return events

    def forget(flow):
        shutil.rmtree(flow.working_dir)
        restored = dlt.pipeline(flow.pipeline_name, destination=flow.destination, dataset_name=flow.dataset_name,
                                pipelines_dir=flow.pipelines_dir)
        restored.sync_destination()
        return restored
    story(load(lambda: resource(50)), forget, load(lambda: resource(90)), forget, load(lambda: resource(90)))
    assert seen == [-1, 49, 89] * 2


@pytest.mark.parametrize("mode", ["drop_sources", "drop_resources", "drop_data"])
def test_refresh(story, mode):
    def source(version):
        @dlt.source(name="shop")
        def shop():
            yield dlt.resource(orders(0, 50, version), name="orders", primary_key="id", write_disposition="merge")
            yield dlt.resource([{"n": n} for n in range(20 + version)], name="numbers")
        return shop()
    story(load(lambda: source(0)), load(lambda: source(1)), load(lambda: source(2).with_resources("orders"), refresh=mode),
          load(lambda: source(3)))


def test_transformation_within(story):
    """A load whose data are a query of the dataset itself (INSERT ... SELECT)."""
    def derive(flow):
        def rows():
            yield flow.dataset()("SELECT id, customer, version FROM orders WHERE id < 40")
        flow.run(dlt.resource(rows, name="copied"), loader_file_format="model", write_disposition="replace").raise_on_failed_jobs()
    story(load(lambda: orders(0, 60), table_name="orders"), derive, derive)


# ---- many rows ----

def arrow_rows(count, version=0):
    """Enough rows for files to be written at once (lakehouse.bulk_threshold)."""
    return pyarrow.table({
        "id": pyarrow.array(range(count), pyarrow.int64()),
        "name": [None if i % 11 == 0 else f"name {i % 97}" for i in range(count)],
        "value": [i / 3 for i in range(count)],
        "version": pyarrow.array([version] * count, pyarrow.int64()),
        "at": pyarrow.array([DAY + datetime.timedelta(seconds=i) for i in range(count)], pyarrow.timestamp("us", tz="UTC"))})


@pytest.mark.parametrize("form", ["csv", "parquet", "insert_values"])
def test_arrow_in_bulk(story, monkeypatch, form):
    monkeypatch.setenv("DATA_WRITER__FILE_MAX_ITEMS", "20000")
    monkeypatch.setenv("NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS", "20000")
    options = {"table_name": "big", "loader_file_format": form}
    merge = {"disposition": "merge", "strategy": "upsert"}
    story(load(lambda: arrow_rows(30000), write_disposition="replace", **options),
          load(lambda: arrow_rows(12000, 1), write_disposition="append", **options),
          load(lambda: arrow_rows(25000, 2), write_disposition="replace", **options),
          load(lambda: arrow_rows(26000, 3), write_disposition=merge, primary_key="id", **options))
