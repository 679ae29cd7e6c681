#!/usr/bin/env python3
"""The Debian package index as CSV for COPY: a real table with real versions.

    debian.py --list                which releases can be had here, in order
    debian.py RELEASE               one row per package, to standard output
    debian.py --sample N RELEASE... N packages' facts of each, into test/data/debian

A release comes from the mirror that apt uses already.  Without network the two
"releases" are what apt and dpkg keep on the machine.  Standard library only.
"""

import argparse
import csv
import hashlib
import io
import lzma
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "build" / "debian"
RELEASES = ["bookworm", "trixie", "sid"]
COLUMNS = ["name", "version", "architecture", "section", "priority", "installed_size", "size",
           "maintainer", "homepage", "depends", "description"]
FACTS = ["name", "version", "architecture", "section", "priority", "installed_size", "size", "depends"]


def run(*command):
    """Standard output of a command as bytes, empty when it cannot be had."""
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return b""


def index_targets():
    """(archive address, file) of each package index that apt knows."""
    text = run("apt-get", "indextargets", "--format", "$(SITE) $(RELEASE) $(FILENAME)", "Created-By: Packages")
    return [line.split(" ", 2) for line in text.decode().splitlines()]


def mirror():
    for site, release, _ in index_targets():
        if site.rstrip("/").endswith("/debian") and "security" not in release:
            return site.rstrip("/")
    return "http://deb.debian.org/debian"


def fetch(release):
    """The index of a release as text, from the mirror (kept in build/debian)."""
    kept = CACHE / f"{release}.Packages.xz"
    if not kept.exists():
        url = f"{mirror()}/dists/{release}/main/binary-amd64/Packages.xz"
        with urllib.request.urlopen(url, timeout=60) as answer:
            data = answer.read()
        CACHE.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(f".{os.getpid()}")
        partial.write_bytes(data)
        partial.rename(kept)
    return lzma.decompress(kept.read_bytes()).decode()


def online():
    try:
        return bool(fetch(RELEASES[0]))
    except OSError:
        return False


def local_texts():
    """What the machine knows without network, {label: text}, at least two."""
    status = Path("/var/lib/dpkg/status")
    installed = status.read_text(errors="replace") if status.exists() else ""
    lists = [run("/usr/lib/apt/apt-helper", "cat-file", file).decode(errors="replace")
             for _, _, file in index_targets() if os.path.exists(file)]
    texts = {}
    if any(lists):
        texts["installed"] = installed
        texts["available"] = "\n\n".join(lists)
    elif installed:
        base = [s for s in installed.split("\n\n") if re.search(r"^Priority: (required|important)$", s, re.M)]
        texts["installed-base"] = "\n\n".join(base)
        texts["installed"] = installed
    return texts


def packages(text):
    """Dictionaries of the fields we keep, one per package, in the order of the index."""
    for stanza in text.split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z0-9-]+): ?([^\n]*)$", stanza, re.M))
        if "Package" not in fields or "Version" not in fields:
            continue
        yield {
            "name": fields["Package"],
            "version": fields["Version"],
            "architecture": fields.get("Architecture"),
            "section": fields.get("Section"),
            "priority": fields.get("Priority"),
            "installed_size": fields.get("Installed-Size"),
            "size": fields.get("Size"),
            "maintainer": fields.get("Maintainer"),
            "homepage": fields.get("Homepage"),
            "depends": array(fields.get("Depends")),
            "description": fields.get("Description"),
        }


def array(depends):
    """A Postgres text[] literal of the alternatives-groups of a Depends field."""
    if depends is None:
        return None
    quoted = ('"' + re.sub(r'(["\\])', r"\\\1", d.strip()) + '"' for d in depends.split(","))
    return "{" + ",".join(quoted) + "}"


def write_csv(rows, columns, out):
    """CSV in which NULL is empty and everything else that could be is quoted."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([row[c] for c in columns])


def sample(n, releases):
    """The same n names of every release, chosen by hash, so that versions can be compared."""
    tables = {r: {p["name"]: p for p in packages(fetch(r))} for r in releases}
    every = sorted(set().union(*tables.values()), key=lambda s: hashlib.sha256(s.encode()).digest())
    for release, table in tables.items():
        buffer = io.StringIO()
        write_csv([table[name] for name in sorted(every[:n]) if name in table], FACTS, buffer)
        (ROOT / "test/data/debian" / f"{release}.csv").write_text(buffer.getvalue())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--sample", type=int)
    parser.add_argument("release", nargs="*")
    args = parser.parse_args()
    if args.list:
        print(" ".join(RELEASES if online() else local_texts()))
    elif args.sample:
        sample(args.sample, args.release)
    elif len(args.release) == 1:
        release = args.release[0]
        text = fetch(release) if release in RELEASES else local_texts()[release]
        write_csv(packages(text), COLUMNS, sys.stdout)
    else:
        parser.error("one release is expected")


if __name__ == "__main__":
    main()
