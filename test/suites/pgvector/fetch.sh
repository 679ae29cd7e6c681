#!/bin/bash
# fetch.sh - pgvector 0.8.0's source, tests included, from Debian trixie into
# build/pgvector/src.
#
# apt gets a configuration of its own, so that the machine's sources and lists
# stay as they are.  What is there already is not fetched again.
. "$(dirname "$0")/../../lib/common.sh"

dir=$LH_BUILD/pgvector
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

fetch_source() {
	local apt
	command -v apt-get >/dev/null && command -v dpkg-source >/dev/null ||
		die "fetching pgvector needs apt-get and dpkg-source (package dpkg-dev)"
	rm -rf "$dir/apt"
	mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial"
	echo "deb-src [signed-by=$keyring] ${DEBIAN_MIRROR:-http://deb.debian.org/debian} trixie main" >"$dir/apt/sources.list"
	apt=(apt-get -q -o Dir::Etc::SourceList="$dir/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null
		-o Dir::State::Lists="$dir/apt/lists" -o Dir::Cache="$dir/apt/cache" -o APT::Sandbox::User=)
	"${apt[@]}" update
	(cd "$dir/apt" && "${apt[@]}" source pgvector=0.8.0-1)
	mv "$dir/apt/pgvector-0.8.0" "$dir/src"
	rm -rf "$dir/apt"
}

mkdir -p "$dir"
[ -d "$dir/src" ] || fetch_source >"$dir/fetch.log" 2>&1 </dev/null ||
	{ tail -5 "$dir/fetch.log"; die "pgvector's source could not be fetched from Debian"; }
