#!/usr/bin/env python3
"""Spark reads what Postgres reads: by metadata path, whole and filtered, and every
version by its snapshot id.  No column of type time, which Spark cannot load."""

import glob
import os
import time

import compare
import lake_stories as stories

os.environ.update(TZ="UTC", SPARK_LOCAL_IP="127.0.0.1")
time.tzset()
CASTS = {"date": "DATE", "timestamp without time zone": "TIMESTAMP_NTZ", "timestamp with time zone": "TIMESTAMP",
         "real": "FLOAT", "double precision": "DOUBLE"}
STRINGS = {"text", "text form", "character", "character varying", "uuid"}


def connect():
    from pyspark.sql import SparkSession
    jar, = glob.glob(os.environ["LH_BUILD"] + "/jvm/iceberg-spark-runtime-*.jar")
    spark = (SparkSession.builder.master("local[1]").appName("lakehouse interop")
             .config("spark.jars", jar).config("spark.ui.enabled", "false")
             .config("spark.sql.session.timeZone", "UTC").config("spark.driver.memory", "1g")
             .config("spark.sql.shuffle.partitions", "1").getOrCreate())
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def frame(spark, location, snapshot=None):
    reader = spark.read.format("iceberg")
    if snapshot is not None:
        reader = reader.option("versionAsOf", str(snapshot))
    return reader.load(location)


def rows_of(data, columns):
    # Dates and times as text: Python's own reach and zones must not stand between.
    exprs = [f"CAST(`{c}` AS STRING) AS `{c}`" if k == "date" or k.startswith("timestamp") else f"`{c}`"
             for c, k in columns.items()]
    return [r.asDict(recursive=True) for r in data.selectExpr(*exprs).collect()]


def literal(kind, value):
    if kind == "bytea":
        return f"X'{value}'"
    if kind in CASTS:
        return f"CAST('{stories.iso(str(value), sign=True)}' AS {CASTS[kind]})"
    if kind in STRINGS:
        return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'") + "'"
    return str(value)


def filters(spark, story):
    version = story.newest
    data = frame(spark, version.location)
    for column, kind in version.columns.items():
        asked = stories.questions(version, kind, column)
        if kind == "uuid":          # bounds compared as signed numbers, apache/iceberg#14216
            asked = [a for a in asked if a[1] is None]
        if kind in compare.FLOATS and any(str(r[column]) == "NaN" for r in version.rows.values()):
            asked.append(("=", "NaN"))

        def differs():
            for operator, value in asked:
                where = f"`{column}` {operator} " + ("NULL" if value is None else literal(kind, value))
                # For Spark NaN is the greatest number, for Iceberg's bounds it is none:
                # which NaN a range finds depends on what else is in the file.
                but_nan = kind in compare.FLOATS and operator != "=" and value is not None
                if but_nan:
                    where += f" AND NOT isnan(`{column}`)"
                wanted = stories.postgres_ids(story.table, column, kind, operator, value, but_nan)
                got = sorted(r.id for r in data.where(where).select("id").collect())
                if wanted != got:
                    return f"{where}: {len(wanted)} ids {wanted[:8]} against {len(got)} {got[:8]}"
            return None

        compare.guarded(f"{story.name}: Spark, filter on {column}", differs)


def parts(spark, story, conditions):
    """Filters on fields of composite columns; the same text for Spark and (Postgres)."""
    data = frame(spark, story.newest.location)
    for ours, theirs in conditions:
        compare.guarded(f"{story.name}: Spark, {theirs}", lambda: compare.difference(
            {i: {} for i in compare.sql_ids(story.table, ours)}, [{"id": r.id} for r in data.where(theirs).select("id").collect()]))


def row_ids(spark, story):
    """Merged files say which row is which, and that is what Postgres calls it."""
    paths = compare.sql(f"SELECT path FROM lakehouse.files WHERE table_name = '{story.table}'::regclass AND removed_version IS NULL")
    found = {}
    for path in paths:
        data = spark.read.parquet(path)
        if "_row_id" in data.columns:
            found |= {r.id: r._row_id for r in data.select("id", "_row_id").collect()}
    wanted = dict(tuple(map(int, line.split("|"))) for line in compare.sql(
        f"SELECT id, (ctid::text::point)[0]::bigint * 291 + (ctid::text::point)[1]::bigint - 1 FROM {story.table}"))
    compare.check(f"{story.name}: files with _row_id", None if found else "there is none")
    compare.check(f"{story.name}: row ids", None if found.items() <= wanted.items() else
                  f"{sorted(found.items() - wanted.items())[:5]}")


def read(spark, story):
    for v in story.versions:
        compare.guarded(f"{v.label}: Spark, own metadata", lambda: stories.difference(
            v, rows_of(frame(spark, v.location), v.columns)))
    for v in story.snapshots:
        compare.guarded(f"{v.label}: Spark, version of the newest", lambda: stories.difference(
            v, rows_of(frame(spark, story.newest.location, v.snapshot), v.columns)))
    filters(spark, story)


def main():
    spark = connect()
    for story in stories.wanted(
            "jvm_spark", ("debian", stories.debian), ("types", lambda: stories.types("types_spark", without=("time",))),
            ("sorted", stories.ranges), ("evolution", stories.evolution), ("merged", stories.merged),
            ("emptied", stories.emptied), ("deletes", stories.deletes)):
        read(spark, story)
        if story.name == "sorted":
            parts(spark, story, [("(co).x = 4999", "co.x = 4999"), ("(co).y = 'x5997'", "co.y = 'x5997'"),
                                 ("(co).x < 3", "co.x < 3"), ("part IS NOT NULL AND part < 2005", "part IS NOT NULL AND part < 2005")])
        if story.name == "merged":
            row_ids(spark, story)
    spark.stop()
    compare.finish()


if __name__ == "__main__":
    main()
