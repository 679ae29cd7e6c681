"""Reading an Iceberg table by its metadata file with engines that are not ours.

DuckDB aborts its whole process on some broken manifests, so it always runs in a
child; its extensions come from PyPI packages and nothing is downloaded.
"""

import glob
import json
import multiprocessing
import os
import sys


class ReaderError(Exception):
    """What the other engine said, or how its process died."""


def _duckdb_connect():
    import duckdb
    connection = duckdb.connect()
    site = os.path.dirname(os.path.dirname(duckdb.__file__))
    for name in ("avro", "iceberg"):
        found = glob.glob(f"{site}/duckdb_extension_{name}/extensions/v{duckdb.__version__}/{name}.duckdb_extension")
        connection.execute(f"LOAD '{found[0]}'")
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def _duckdb_child(pipe, queries):
    try:
        connection = _duckdb_connect()
        answers = []
        for query in queries:
            cursor = connection.execute(query)
            answers.append((cursor.fetchall(), [d[0] for d in cursor.description]))
        pipe.send((answers, None))
    except Exception as e:          # told to the parent, which raises it
        pipe.send((None, f"{type(e).__name__}: {e}"))
    pipe.close()


def duckdb_run(*queries):
    """[(rows, column names)] of each query, run in one child process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_duckdb_child, args=(theirs, queries))
    child.start()
    theirs.close()
    try:
        answers, error = ours.recv()
    except EOFError:
        answers, error = None, None
    child.join()
    if answers is None:
        raise ReaderError(error or f"DuckDB's process died with status {child.exitcode}")
    return answers


def duckdb_table(metadata_location, snapshot_id=None):
    """The table as a DuckDB table function call."""
    extra = f", snapshot_from_id => {snapshot_id}::UBIGINT" if snapshot_id is not None else ""
    return f"iceberg_scan('{metadata_location}'{extra})"


def pyiceberg_table(metadata_location):
    from pyiceberg.table import StaticTable
    return StaticTable.from_metadata(metadata_location)


def main():
    """lake_readers.py QUERY...: DuckDB's answers as JSON lines, to try things by hand."""
    for rows, names in duckdb_run(*sys.argv[1:]):
        for row in rows:
            print(json.dumps(dict(zip(names, row)), default=str))


if __name__ == "__main__":
    main()
