#!/bin/bash
# demo.sh - a table of real data, its versions, and the same rows read by DuckDB
# and PyIceberg from the files.  A few minutes at most, everything in a private
# server that is gone afterwards; KEEP=1 leaves it running and says how to get in.
. "$(dirname "$0")/../lib/common.sh"
. "$(dirname "$0")/../lib/cluster.sh"

if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; else bold='' dim='' plain=''; fi
step=0
chapter() { step=$((step + 1)); printf '\n%s%d. %s%s\n' "$bold" $step "$*" "$plain"; }

# Show a statement, then what it answers.
show() {
	printf '%s%s%s\n' "$dim" "$1" "$plain"
	"$LH_BIN/psql" -X -q -v ON_ERROR_STOP=1 -P footer=off -P border=1 -P pager=off -c "$1"
}

# Load a release in one transaction, replacing what was there; say how long it took.
load() {
	printf '%sBEGIN; TRUNCATE packages; COPY packages FROM %s; COMMIT;%s\n' "$dim" "'$1.csv'" "$plain"
	local begin=$EPOCHREALTIME took rows
	lh_sql -1 -c "TRUNCATE packages" -c "\\copy packages FROM '$data/$1.csv' (FORMAT csv, HEADER)"
	took=$(((${EPOCHREALTIME/./} - ${begin/./}) / 1000))
	rows=$(lh_sql -c 'SELECT count(*) FROM packages')
	say "$rows packages in $took ms"
}

say "${bold}lakehouse: a Postgres table whose data are Parquet files under Apache Iceberg metadata${plain}"
"$LH_ROOT/test/lib/stage.sh" >/dev/null || die "the extension does not build: make stage"
cd "$LH_ROOT"
lh_cluster_new
data=$LH_WORK/debian
mkdir -p "$data"
lh_cluster_start

chapter "Real data: the Debian package index"
read -r one two _ < <(test/demo/debian.py --list)
[ -n "${two:-}" ] || die "neither a Debian mirror nor apt's and dpkg's own lists are here: nothing to load"
for release in "$one" "$two"; do
	test/demo/debian.py "$release" >"$data/$release.csv"
	printf '%-16s %s\n' "$release" "$(du -h "$data/$release.csv" | cut -f1) of CSV"
done

chapter "An ordinary table, USING lakehouse; version one is $one"
lh_sql -c "CREATE EXTENSION lakehouse"
show "CREATE TABLE packages (
    name text, version text, architecture text, section text, priority text,
    installed_size bigint, size bigint, maintainer text, homepage text,
    depends text[], description text
) USING lakehouse"
load "$one"
show "SELECT lakehouse.publish('packages')"
first=$(lh_sql -c "SELECT snapshot_id FROM lakehouse.versions WHERE table_name = 'packages'::regclass
	ORDER BY version DESC LIMIT 1")

chapter "Version two is $two, replaced in one transaction"
load "$two"
show "SELECT lakehouse.publish('packages')"
show "SELECT version, published_at::timestamp(0), operation, rows, files, pg_size_pretty(bytes) AS size
FROM lakehouse.versions WHERE table_name = 'packages'::regclass ORDER BY version"

chapter "SQL over the present and the past"
show "SELECT section, count(*) AS packages, pg_size_pretty(sum(installed_size) * 1024) AS installed
FROM packages GROUP BY section ORDER BY sum(installed_size) DESC LIMIT 5"
show "SELECT count(*) FILTER (WHERE old.name IS NULL) AS new,
       count(*) FILTER (WHERE now.name IS NULL) AS gone,
       count(*) FILTER (WHERE old.version <> now.version) AS changed
FROM packages AS now
FULL JOIN (SELECT * FROM packages TABLESAMPLE lakehouse.as_of_snapshot($first)) AS old
  USING (name, architecture)"
show "SELECT name, old.version AS \"in $one\", now.version AS \"in $two\"
FROM packages AS now
JOIN (SELECT * FROM packages TABLESAMPLE lakehouse.as_of_snapshot($first)) AS old USING (name, architecture)
WHERE name IN ('postgresql', 'gcc', 'python3', 'bash', 'dpkg') ORDER BY name"

chapter "What lies on disk"
location=$(lh_sql -c "SELECT lakehouse.metadata_location('packages')")
folder=${location#file://} folder=${folder%/metadata/*}
(cd "$folder" && find . -type f -printf '%10s  %P\n' | sort -k2)
say "$(lh_sql -c "SELECT pg_size_pretty(sum(bytes)) FROM (SELECT bytes FROM lakehouse.versions
	WHERE table_name = 'packages'::regclass ORDER BY version DESC LIMIT 1) v") for the newest version;" \
	"the same rows as CSV: $(du -h "$data/$two.csv" | cut -f1), as a heap table:" \
	"$(lh_sql -c "CREATE TABLE packages_heap USING heap AS SELECT * FROM packages" \
		-c "SELECT pg_size_pretty(pg_table_size('packages_heap'))")"

chapter "The same rows, read from the files by other engines"
say "rows, installed kB, md5 of every name and version, from $location"
checksum="SELECT count(*), sum(installed_size)::bigint, md5(string_agg(name || ' ' || version, ','
	ORDER BY name COLLATE \"C\", version COLLATE \"C\", architecture COLLATE \"C\")) FROM packages"
status=0
"$LH_VENV/bin/python" test/demo/read.py "$location" "$(lh_sql -c "$checksum")" || status=$?
earlier=$(lh_sql -c "SELECT metadata_location FROM lakehouse.versions WHERE snapshot_id = $first")
say "and version one, from $earlier"
"$LH_VENV/bin/python" test/demo/read.py "$earlier" \
	"$(lh_sql -c "$checksum TABLESAMPLE lakehouse.as_of_snapshot($first)")" || status=$?
[ $status -eq 0 ] || die "another engine did not read what Postgres reads"

chapter "What to try next"
cat <<TEXT
  SELECT * FROM packages TABLESAMPLE lakehouse.as_of(now() - interval '1 minute');
  SELECT * FROM lakehouse.files;
  duckdb:    SELECT * FROM iceberg_scan('$location');
  pyiceberg: StaticTable.from_metadata('$location').scan().to_arrow()
  docs/sql.md has the whole of it; \`make check\` runs every test.
TEXT
if [ -n "${KEEP:-}" ]; then
	trap - EXIT
	say "" "The server still runs:" "  $LH_BIN/psql -h $PGHOST -p $PGPORT -U postgres" \
		"End it, as $LH_USER, with:" "  $LH_BIN/pg_ctl -D $LH_PGDATA stop && rm -rf $LH_WORK" | sed 's/^ *$//'
else
	say "  make demo KEEP=1 leaves this server running for you to play with."
fi
