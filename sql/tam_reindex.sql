-- sql/twin/reindex.psql on heap and on lakehouse: the same, so nothing is printed
\setenv PGDATABASE :DBNAME
\! sh "$PG_ABS_SRCDIR/sql/twin/twin.sh" reindex
