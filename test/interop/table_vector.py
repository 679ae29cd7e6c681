#!/usr/bin/env python3
"""Vector columns are lists of float to others; sparsevec is text."""

import compare
from compare import sql

COLUMNS = {"id": "integer", "v": "array", "h": "array", "s": "text form"}
ROWS = """SELECT i, CASE WHEN i %% 5 > 0 THEN (SELECT array_agg((i * k)::real / 7) FROM generate_series(1, 16) k)::vector END,
    CASE WHEN i %% 3 > 0 THEN ('[' || i || ',-0.5,6e-8]')::halfvec END,
    ('{' || i || ':1.5}/1000')::sparsevec FROM generate_series(%d, %d) i"""


def main():
    sql("CREATE TABLE vectors (id int NOT NULL, v vector(16), h halfvec(3), s sparsevec) USING lakehouse")
    sql("SET lakehouse.bulk_threshold = 0", "INSERT INTO vectors " + ROWS % (1, 500))
    sql("INSERT INTO vectors " + ROWS % (501, 520))
    sql("SELECT lakehouse.publish('vectors')")
    location = sql("SELECT lakehouse.metadata_location('vectors')")[0]
    rows = compare.sql_rows("(SELECT id, v::real[] AS v, h::real[] AS h, s FROM vectors) x", COLUMNS)
    compare.check("rows", None if len(rows) == 520 else f"{len(rows)} rows")
    compare.whole("vectors", location, rows, COLUMNS)
    compare.check("the schema says list of required float", schema_problem(location))
    compare.finish()


def schema_problem(location):
    from pyiceberg.table import StaticTable

    schema = StaticTable.from_metadata(location).schema()
    for name in ("v", "h"):
        kind = schema.find_type(name)
        if str(kind) != "list<float>" or not kind.element_required:
            return f"{name} is {kind}"
    return None


if __name__ == "__main__":
    main()
