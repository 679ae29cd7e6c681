# cluster.sh - a private server for one script (sourced after common.sh).
#
# lh_cluster_new makes a work folder $LH_WORK with its own copy of the server's
# programs ($LH_WORK/pg, our extension in it): Postgres finds share/ and lib/
# relative to its binary, so the copy is an independent installation and the
# real one is never written to.  The server listens on a socket in that folder
# only.  All of it is stopped and removed when the script ends.
#
# As root everything that must not be root (initdb, postgres, the TAP tests)
# runs as user postgres, and $LH_WORK belongs to that user.

LH_USER=$(id -un)
[ "$(id -u)" -ne 0 ] || LH_USER=postgres

# Run a command as the user who owns the server, in $LH_WORK.
as_server() {
	if [ "$(id -un)" = "$LH_USER" ]; then
		(cd "$LH_WORK" && HOME=$LH_WORK "$@")
	else
		(cd "$LH_WORK" && HOME=$LH_WORK runuser -u "$LH_USER" -- "$@")
	fi
}

# Longest common folder of the server's bin, lib and share.
common_folder() {
	printf '%s\n' "$@" | awk -F/ '
		NR == 1 { n = split($0, a, "/"); next }
		{ m = split($0, b, "/"); for (i = 1; i <= n && i <= m && a[i] == b[i]; i++); n = i - 1 }
		END { s = ""; for (i = 2; i <= n; i++) s = s "/" a[i]; print s }'
}

# Copy the server's tree and lay build/stage (or $LH_STAGE) over it.
copy_server() {
	local bin lib share from dir
	bin=$("$PG_CONFIG" --bindir) lib=$("$PG_CONFIG" --pkglibdir) share=$("$PG_CONFIG" --sharedir)
	from=$(common_folder "$bin" "$lib" "$share")
	mkdir -p "$LH_WORK/pg/${lib#"$from"/}"
	for dir in "$bin" "$share"; do
		mkdir -p "$LH_WORK/pg/${dir#"$from"/}"
		cp -aL "$dir/." "$LH_WORK/pg/${dir#"$from"/}/"
	done
	# Bitcode is only for inlining, pgxs only for building.
	(cd "$lib" && find . \( -name bitcode -o -name pgxs \) -prune -o \( -type f -o -type l \) -print |
		tar -chf - --no-recursion -T -) | tar -xf - -C "$LH_WORK/pg/${lib#"$from"/}"
	exec 8>"$LH_BUILD/stage.lock"			# not while somebody is staging anew
	flock -s 8
	cp -a "${LH_STAGE:-$LH_BUILD/stage}$from/." "$LH_WORK/pg/"
	exec 8>&-
	LH_BIN=$LH_WORK/pg/${bin#"$from"/}
	LH_PGXS_TEST=$(dirname "$("$PG_CONFIG" --pgxs)")/../../src/test
	export PATH=$LH_BIN:$PATH
}

# lh_work_new: the work folder with the private server, no cluster yet.
lh_work_new() {
	local tmp=${TMPDIR:-/tmp}
	[ ${#tmp} -le 50 ] || tmp=/tmp			# a socket's path has 107 bytes
	if [ "$(id -u)" -eq 0 ] && ! id postgres >/dev/null 2>&1; then
		die "running as root needs a user named postgres to run the server"
	fi
	LH_WORK=$(mktemp -d "$tmp/lakehouse.XXXXXX")
	LH_PGDATA=$LH_WORK/data
	trap lh_cluster_drop EXIT
	trap 'exit 130' INT TERM HUP
	chmod 755 "$LH_WORK"
	copy_server
	unset PGHOST PGPORT PGDATABASE PGUSER PGSERVICE PGPASSWORD PGOPTIONS PGSSLMODE PGHOSTADDR PGDATA
	export LC_ALL=C.UTF-8 LH_WORK LH_PGDATA LH_BIN
	[ "$(id -u)" -ne 0 ] || chown -R "$LH_USER" "$LH_WORK"
}

# lh_cluster_new [CONFIGURATION-LINE...]: the same and a cluster, not started.
# $LH_CONF adds lines to every script's configuration.
lh_cluster_new() {
	lh_work_new
	export PGHOST=$LH_WORK/socket PGPORT=54329 PGUSER=postgres PGDATABASE=postgres
	as_server mkdir "$PGHOST"
	as_server "$LH_BIN/initdb" -D "$LH_PGDATA" -U postgres -A trust -N --encoding=UTF8 \
		--locale=C.UTF-8 >"$LH_WORK/initdb.log" 2>&1 || { cat "$LH_WORK/initdb.log"; die "initdb failed"; }
	{
		printf '%s\n' "listen_addresses = ''" "unix_socket_directories = '$PGHOST'" \
			"port = $PGPORT" "shared_preload_libraries = 'lakehouse'" "max_prepared_transactions = 10" \
			"log_line_prefix = '%m [%p] %q%a '"
		[ $# -eq 0 ] || printf '%s\n' "$@"
		printf '%s\n' "${LH_CONF:-}"
	} >>"$LH_PGDATA/postgresql.conf"
}

lh_cluster_start() {
	as_server "$LH_BIN/pg_ctl" -D "$LH_PGDATA" -l "$LH_WORK/server.log" -w -t 60 -s start >/dev/null 2>&1 ||
		{ tail -20 "$LH_WORK/server.log"; die "the server did not start"; }
}

lh_cluster_stop() {
	as_server "$LH_BIN/pg_ctl" -D "$LH_PGDATA" -m "${1:-fast}" -w -t 60 -s stop >/dev/null 2>&1
}

# Stop and remove; keeps the server's log in build/ and the exit status.
lh_cluster_drop() {
	local status=$?
	trap - EXIT
	set +e
	[ ! -e "$LH_PGDATA/postmaster.pid" ] || lh_cluster_stop fast || lh_cluster_stop immediate
	! mountpoint -q "$LH_WORK/tiny" || umount "$LH_WORK/tiny"
	cp "$LH_WORK/server.log" "$LH_BUILD/$(basename "$0").server.log" 2>/dev/null
	if [ -n "${LH_KEEP:-}" ]; then
		say "kept: $LH_WORK"
	else
		rm -rf "$LH_WORK"
	fi
	exit $status
}

# SQL from arguments or standard input, bare output, stops at the first error.
lh_sql() { "$LH_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }
