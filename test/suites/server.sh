# server.sh - a server and its very source, for suites that are part of Postgres
# (sourced after common.sh and cluster.sh).
#
# A suite must match its server to the minor version, and the source of the
# installed one may not be had.  suite_server takes the newest version of
# Debian's package whose source can be had; where that is not the installed one,
# its packages are unpacked into a side prefix (nothing on the machine changes).
#
#	PG_SOURCE=/path	an unpacked source of exactly $PG_CONFIG's version: no apt
#	SERVER_KIND=assert|discard	build that source for such tests and take that server
#
# Sets PG_SOURCE, PG_CONFIG and LH_STAGE (the extension, built for that server).

LH_SUITES=$LH_BUILD/suites
mkdir -p "$LH_SUITES"

isolated_apt() {
	local dir=$LH_SUITES/apt
	if [ ! -e "$dir/apt.conf" ]; then
		mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
		apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
			grep ' [^ ]* [^ ]*$' | sort -u | sed 'h; s/^/deb /p; g; s/^/deb-src /' >"$dir/sources.list"
		printf '%s\n' "Dir::Etc::sourcelist \"$dir/sources.list\";" 'Dir::Etc::sourceparts "/dev/null";' \
			"Dir::State::lists \"$dir/lists\";" "Dir::Cache \"$dir/cache\";" 'APT::Sandbox::User "root";' >"$dir/conf"
		APT_CONFIG=$dir/conf apt-get -q update >"$dir/update.log" 2>&1 || { tail -5 "$dir/update.log"; die "suites: apt-get update failed"; }
		mv "$dir/conf" "$dir/apt.conf"
	fi
	APT_CONFIG=$dir/apt.conf apt-get -q "$@"
}

# The newest package version with a source, unpacked: sets version and PG_SOURCE.
debian_source() {
	local package=$1 dir
	command -v apt-get >/dev/null || die "suites: set PG_SOURCE to the source of $("$PG_CONFIG" --version) (no apt-get here)"
	isolated_apt check >/dev/null
	for version in $(APT_CONFIG=$LH_SUITES/apt/apt.conf apt-cache madison "$package" |
		awk -F'|' '$3 ~ /Packages/ { gsub(/ /, "", $2); print $2 }' | sort -urV); do
		dir=$LH_SUITES/$package-$version
		if [ ! -e "$dir/source" ]; then
			mkdir -p "$dir/download"
			(cd "$dir/download" && isolated_apt source --download-only "$package=$version") >"$dir/source.log" 2>&1 || continue
			rm -rf "$dir/unpacked"
			dpkg-source --no-check -x "$dir"/download/*.dsc "$dir/unpacked" >>"$dir/source.log" 2>&1 ||
				die "suites: cannot unpack the source, see $dir/source.log (dpkg-dev installed?)"
			ln -sfn unpacked "$dir/source"
		fi
		PG_SOURCE=$dir/source
		return 0
	done
	die "suites: no source of $package can be had"
}

debian_server() {
	local major package
	major=$("$PG_CONFIG" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
	package=postgresql-$major
	debian_source "$package"
	if [ "$(dpkg-query -W -f '${Version}' "$package" 2>/dev/null)" != "$version" ]; then
		local dir=$LH_SUITES/$package-$version
		if [ ! -e "$dir/prefix" ]; then
			rm -rf "$dir/debs" "$dir/prefix.new"
			mkdir -p "$dir/debs"
			(cd "$dir/debs" && isolated_apt download "$package=$version" "postgresql-client-$major=$version" \
				"postgresql-server-dev-$major=$version" "libpq-dev=$version") >"$dir/debs.log" 2>&1 ||
				{ tail -5 "$dir/debs.log"; die "suites: the packages of $version cannot be had"; }
			for deb in "$dir"/debs/*.deb; do dpkg -x "$deb" "$dir/prefix.new"; done
			mv "$dir/prefix.new" "$dir/prefix"
		fi
		PG_CONFIG=$dir/prefix/usr/lib/postgresql/$major/bin/pg_config
	fi
}

# The same source built for tests, in a prefix of its own.  "assert" has every
# assertion; "discard" knows debug_discard_caches and overwrites freed memory,
# but is optimised, since each catalogue lookup is paid in full there.  Debian's
# source installs modules among the machine's own, unless "pgsql" is in the prefix.
source_server() {
	local kind=$1 dir cflags options=()
	dir=$LH_SUITES/$kind-$("$PG_CONFIG" --version | tr -c 'a-zA-Z0-9.\n' _)
	case $kind in
		assert) cflags='-O1 -g' options=(--enable-cassert) ;;
		discard) cflags='-O2 -g -DDISCARD_CACHES_ENABLED -DCLOBBER_FREED_MEMORY' ;;
		*) die "suites: unknown kind of server: $kind" ;;
	esac
	if [ ! -x "$dir/pgsql/bin/postgres" ]; then
		say "suites: building a server ($kind, 6 minutes of CPU)"
		rm -rf "$dir"
		mkdir -p "$dir/build"
		# a make below another one would leave out generated headers
		(unset MAKEFLAGS MFLAGS MAKELEVEL && cd "$dir/build" &&
			CFLAGS=$cflags "$(readlink -f "$PG_SOURCE")/configure" --prefix="$dir/pgsql" "${options[@]}" \
				--enable-debug --without-icu --without-readline --with-lz4 --with-zstd &&
			nice make -j2 -s && make -s install && make -s -C contrib install && make -s -C src/test/isolation install &&
			make -s -C src/test/regress install) \
			>"$dir/build.log" 2>&1 || { tail -20 "$dir/build.log"; die "suites: the server does not build, see $dir/build.log"; }
	fi
	PG_CONFIG=$dir/pgsql/bin/pg_config
}

# The extension for $PG_CONFIG, built in a copy of the sources: the checkout's
# objects belong to another server.
suite_stage() {
	local name copy log
	name=$(printf %s "$PG_CONFIG" | cksum | cut -d' ' -f1)
	export LH_STAGE=$LH_SUITES/stage-$name
	copy=$LH_SUITES/copy-$name log=$LH_STAGE.log
	mkdir -p "$copy/src" "$copy/sql"
	exec 7>"$LH_STAGE.lock"
	flock 7
	(cd "$LH_ROOT" && find Makefile lakehouse.control src sql -type f ! -name '*.o' ! -name '*.bc' ! -name '*.d' \
		! -name 'lakehouse--*.sql' | sort) >"$copy.files"
	(cd "$copy" && find src sql -type f ! -name '*.o' ! -name '*.d' | sort | comm -23 - "$copy.files" | xargs -r rm)
	tar -C "$LH_ROOT" -cf - -T "$copy.files" | tar -C "$copy" -xf -
	(
		unset MAKEFLAGS MFLAGS MAKELEVEL
		nice make -j2 -C "$copy" with_llvm=no all && rm -rf "$LH_STAGE" &&
			make -C "$copy" with_llvm=no install DESTDIR="$LH_STAGE"
	) >"$log" 2>&1 || { grep -E 'error:|\*\*\*' "$log" || tail -20 "$log"; die "suites: the extension does not build, see $log"; }
	exec 7>&-
}

suite_server() {
	exec 9>"$LH_SUITES/server.lock"
	flock 9
	if [ -n "${PG_SOURCE:-}" ]; then
		[ -e "$PG_SOURCE/src/test/regress/regress.c" ] || die "suites: PG_SOURCE is not a source of Postgres"
	else
		debian_server
	fi
	[ -z "${SERVER_KIND:-}" ] || source_server "$SERVER_KIND"
	exec 9>&-
	export PG_CONFIG PG_SOURCE
	suite_stage
}
