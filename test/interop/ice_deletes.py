"""A table with position deletes over many data files, whose delete files and metadata
are ours: do PyIceberg and DuckDB leave out the deleted rows, and only those, at every
snapshot, with and without filters?  Do the bytes say what the specification wants?

Both readers silently skip deletes whose paths or bounds do not match, so every
snapshot is compared row by row.
"""

import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.expressions import And, EqualTo, GreaterThan, LessThan

import lake_readers

ROOT = pathlib.Path(__file__).resolve().parents[2]
ICEGEN = os.environ.get("ICEGEN", ROOT / "build/tools/icegen")
ICECAT = os.environ.get("ICECAT", ROOT / "build/tools/icecat")

FILES = 30
ROWS = 500                      # a file, in row groups of 170: positions count through all of them
PATH_ID, POS_ID = 2147483546, 2147483545

passed = failed = 0


def check(name, got, wanted):
    global passed, failed
    if got == wanted:
        passed += 1
    else:
        failed += 1
        print(f"FAILED {name}: got {str(got)[:600]}, wanted {str(wanted)[:600]}")


def same_ids(name, got, wanted):
    got = sorted(got)
    if got == sorted(wanted):
        check(name, True, True)
    else:
        check(name, f"too many {sorted(set(got) - set(wanted))[:20]}, missing {sorted(set(wanted) - set(got))[:20]}, "
              f"{len(got)} rows", f"{len(wanted)} rows")


# ---- the data ----

SCHEMA = pa.schema([
    pa.field("id", pa.int64(), nullable=False, metadata={b"PARQUET:field_id": b"1"}),
    pa.field("name", pa.string(), metadata={b"PARQUET:field_id": b"2"})])
ICE_SCHEMA = {"type": "struct", "schema-id": 0, "fields": [
    {"id": 1, "name": "id", "required": True, "type": "long"},
    {"id": 2, "name": "name", "required": False, "type": "string"}]}


def file_name(n):
    # long and alike up to their ends: what statistics cut would not tell them apart
    return f"{'a-long-name-that-does-not-fit-into-the-statistics-of-parquet-files-' * 2}{n:03}.parquet"


def write(directory, name, ids):
    table = pa.table({"id": pa.array(ids, pa.int64()), "name": [f"row {i}" for i in ids]}, schema=SCHEMA)
    pq.write_table(table, directory / "data" / name, row_group_size=170)


def ids_of(n):
    return list(range(n * 1000, n * 1000 + ROWS))


class Story:
    """The steps for icegen, and the ids that each snapshot has."""

    def __init__(self):
        self.steps = []
        self.files = {}             # name -> ids, by position
        self.dead = {}              # name -> positions
        self.states = []

    def _done(self, step):
        self.steps.append(step)
        self.states.append([i for f, ids in self.files.items()
                            for p, i in enumerate(ids) if p not in self.dead.get(f, set())])

    def append(self, files):
        self.files |= files
        self._done("append:" + ",".join(files))

    def delete(self, name, positions):
        """positions: {file: [position]}, in any order."""
        for f, where in positions.items():
            self.dead.setdefault(f, set()).update(where)
        self._done(f"positions:{name}=" + ",".join(
            f + "".join(f"@{p}" for p in where) for f, where in positions.items()))

    def fold(self, names, into):
        self._done(f"fold:{','.join(names)}={into}")

    def replace(self, old, name, ids):
        for f in old:
            del self.files[f]
        self.files[name] = ids
        self._done(f"replace:{','.join(old)}={name}")


def tell(directory):
    chance = random.Random(4)
    story = Story()
    names = [file_name(n) for n in range(FILES)]
    for n, name in enumerate(names):
        write(directory, name, ids_of(n))
    story.append({name: ids_of(n) for n, name in enumerate(names[:20])})
    story.delete("d0.parquet", {f: chance.sample(range(ROWS), 1 + n * 3) for n, f in enumerate(names[:20])})
    story.append({name: ids_of(n) for n, name in enumerate(names) if n >= 20})
    # edges: first and last row, both sides of a row group's end, all of a file
    story.delete("d1.parquet", {names[25]: [0, 169, 170, 339, 340, ROWS - 1]})
    story.delete("d2.parquet", {names[26]: list(range(ROWS)), names[3]: [499, 0]})
    # again, some rows a second time, paths in falling order
    story.delete("d3.parquet", {f: chance.sample(range(ROWS), 40) for f in reversed(names)})
    story.fold(["d0.parquet", "d1.parquet", "d2.parquet", "d3.parquet"], "d4.parquet")
    # three files become one; what d4 says of them is left dangling
    old = [names[1], names[7], names[26]]
    left = [i for f in old for p, i in enumerate(story.files[f]) if p not in story.dead[f]]
    merged = file_name(900)
    write(directory, merged, left)
    story.replace(old, merged, left)
    story.delete("d5.parquet", {merged: [2, 3, len(left) - 1], names[0]: [1, 2, 3]})
    return story


# ---- checks ----

def read_everywhere(story, locations):
    source = [lake_readers.duckdb_table(location) for location in locations]
    answers = lake_readers.duckdb_run(*(f"SELECT id FROM {s}" for s in source),
                                      *(f"SELECT count(*) FROM {s}" for s in source),
                                      *(f"SELECT id FROM {s} WHERE id > 3100 AND id < 25350" for s in source))
    n = len(locations)
    for i, (location, ids) in enumerate(zip(locations, story.states)):
        step = story.steps[i].split(":")[0] + f" {i}"
        some = [x for x in ids if 3100 < x < 25350]
        same_ids(f"{step}, DuckDB", [r[0] for r in answers[i][0]], ids)
        check(f"{step}, DuckDB counts", answers[n + i][0][0][0], len(ids))
        same_ids(f"{step}, DuckDB filters", [r[0] for r in answers[2 * n + i][0]], some)
        table = lake_readers.pyiceberg_table(location)
        same_ids(f"{step}, PyIceberg", table.scan().to_arrow()["id"].to_pylist(), ids)
        check(f"{step}, PyIceberg counts", table.scan().count(), len(ids))
        same_ids(f"{step}, PyIceberg filters", table.scan(
            row_filter=And(GreaterThan("id", 3100), LessThan("id", 25350))).to_arrow()["id"].to_pylist(), some)
    for one in (0, 169, 25000, 25001, 25169, 25170, 26000, 499):
        found = lake_readers.pyiceberg_table(locations[3]).scan(row_filter=EqualTo("id", one)).to_arrow()
        check(f"row {one}, PyIceberg", found["id"].to_pylist(), [one] if one in story.states[3] else [])


def old_snapshots(story, location):
    """All snapshots by the newest metadata: what each had, whatever came later."""
    table = lake_readers.pyiceberg_table(location)
    ids = [s.snapshot_id for s in table.snapshots()]
    check("snapshots", len(ids), len(story.states))
    answers = lake_readers.duckdb_run(*(f"SELECT id FROM {lake_readers.duckdb_table(location, i)}" for i in ids))
    for n, snapshot_id in enumerate(ids):
        same_ids(f"snapshot {n}, PyIceberg", table.scan(snapshot_id=snapshot_id).to_arrow()["id"].to_pylist(),
                 story.states[n])
        same_ids(f"snapshot {n}, DuckDB", [r[0] for r in answers[n][0]], story.states[n])


def avro(path):
    with open(path.removeprefix("file://"), "rb") as f:
        reader = fastavro.reader(f)
        return reader.metadata, list(reader)


def delete_file(directory, name, deletes, step):
    """A Parquet delete file as PyArrow and our own tool see it."""
    path = directory / "data" / name
    schema = pq.read_schema(path)
    check(f"{step}: columns", [(f.name, f.type, f.nullable, f.metadata[b"PARQUET:field_id"]) for f in schema],
          [("file_path", pa.string(), False, str(PATH_ID).encode()), ("pos", pa.int64(), False, str(POS_ID).encode())])
    rows = [(r["file_path"], r["pos"]) for r in pq.read_table(path).to_pylist()]
    wanted = sorted((f"file://{directory}/data/{f}", p) for f, where in deletes.items() for p in set(where))
    check(f"{step}: rows", rows, wanted)
    cat = subprocess.run([ICECAT, path], capture_output=True, text=True, check=True)
    check(f"{step}: icecat", [(r["path"], p) for r in map(json.loads, cat.stdout.splitlines()) for p in r["positions"]],
          wanted)
    return wanted


def metadata(directory, story, locations):
    newest = json.loads(pathlib.Path(locations[-1].removeprefix("file://")).read_text())
    total = deletes = 0
    for n, (snapshot, step) in enumerate(zip(newest["snapshots"], story.steps)):
        verb = step.split(":")[0]
        summary = snapshot["summary"]
        check(f"{step[:20]}: operation", summary["operation"],
              {"append": "append", "positions": "delete", "fold": "replace", "replace": "replace"}[verb])
        header, manifests = avro(snapshot["manifest-list"])
        check(f"{step[:20]}: list's sequence number", header["sequence-number"], str(n + 1))
        check(f"{step[:20]}: summary is text", all(isinstance(v, str) for v in summary.values()), True)
        if verb in ("positions", "fold"):
            mine = [m for m in manifests if m["content"] == 1 and m["added_snapshot_id"] == snapshot["snapshot-id"]
                    and m["added_files_count"]]
            check(f"{step[:20]}: one new delete manifest", len(mine), 1)
            header, entries = avro(mine[0]["manifest_path"])
            check(f"{step[:20]}: manifest's content", header["content"], "deletes")
            entry = [e for e in entries if e["status"] == 1][0]
            deletes += 0 if verb == "fold" else 1
            file = entry["data_file"]
            check(f"{step[:20]}: entry", (file["content"], file["file_format"], file["sort_order_id"],
                                          entry["sequence_number"], entry["file_sequence_number"], file["equality_ids"]),
                  (1, "PARQUET", None, None, None, None))
            name = os.path.basename(file["file_path"])
            check(f"{step[:20]}: size", file["file_size_in_bytes"], os.path.getsize(directory / "data" / name))
            if verb == "positions":
                parts = dict(p.split("@", 1) for p in step.split("=", 1)[1].split(","))
                parts = {f: [int(x) for x in where.split("@")] for f, where in parts.items()}
            else:
                parts = {}
                for s in story.steps[:n]:
                    if s.startswith("positions:"):
                        for p in s.split("=", 1)[1].split(","):
                            f, where = p.split("@", 1)
                            parts.setdefault(f, []).extend(int(x) for x in where.split("@"))
            rows = delete_file(directory, name, parts, step[:20])
            check(f"{step[:20]}: records", file["record_count"], len(rows))
            lower = {b["key"]: b["value"] for b in file["lower_bounds"]}
            upper = {b["key"]: b["value"] for b in file["upper_bounds"]}
            check(f"{step[:20]}: bounds of the path", (lower[PATH_ID].decode(), upper[PATH_ID].decode()),
                  (rows[0][0], rows[-1][0]))
            check(f"{step[:20]}: bounds of the position",
                  [int.from_bytes(b[POS_ID], "little") for b in (lower, upper)],
                  [min(p for _, p in rows), max(p for _, p in rows)])
            check(f"{step[:20]}: referenced file", file["referenced_data_file"], rows[0][0] if len(parts) == 1 else None)
            check(f"{step[:20]}: added deletes", (summary["added-delete-files"], summary["added-position-delete-files"],
                                                 summary["added-position-deletes"]), ("1", "1", str(len(rows))))
            total = total + len(rows) if verb == "positions" else len(rows)
            if verb == "fold":
                check("fold: removed", (summary["removed-position-delete-files"], summary["removed-delete-files"]),
                      (str(deletes), str(deletes)))
                deletes = 1
        check(f"{step[:20]}: totals", (summary["total-delete-files"], summary["total-position-deletes"],
                                      summary["total-equality-deletes"]), (str(deletes), str(total), "0"))


def main():
    scratch = tempfile.TemporaryDirectory(prefix="ice_deletes")
    directory = pathlib.Path(scratch.name)
    (directory / "data").mkdir()
    (directory / "metadata").mkdir()
    (directory / "schema.json").write_text(json.dumps(ICE_SCHEMA))
    story = tell(directory)
    run = subprocess.run([ICEGEN, directory, directory / "schema.json", *story.steps], capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"icegen: {run.stderr}")
    locations = run.stdout.split()[1:]
    read_everywhere(story, locations)
    old_snapshots(story, locations[-1])
    metadata(directory, story, locations)
    print(f"{passed} passed, {failed} failed")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
