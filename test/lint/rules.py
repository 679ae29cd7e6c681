"""The rules of the house.  Each takes a Tree and yields "path:line: what is wrong";
the docstring's first line is the rule as `make lint` prints it.  A new rule gets
a planted fault in `selftest`."""

import os
import re
import subprocess
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

from tree import call_text, code, includes, line_of

MAX_C_LINES = 1200
MAX_README_LINES = 150
COMPAT = "pg_compat.h"          # the one place for differences between servers
# Names that are written with a capital also at the start of a message.
PROPER = {"Parquet", "Iceberg", "Avro", "Puffin", "Postgres", "PostgreSQL", "Unicode"}


def layers(tree):
    """a folder includes only the layers that src/LAYERS allows it"""
    seen = set()
    for layer, allowed in tree.layers.items():
        for name in sorted(allowed - seen):
            yield f"src/LAYERS: {layer} may include {name}, which does not stand before it"
        seen.add(layer)
    for file in tree.sources():
        own = tree.layer(file)
        if own and own not in tree.layers:
            yield f"{tree.path(file)}:1: folder {own} is not in src/LAYERS"
            continue
        for line, name in includes(file):
            other = name.split("/")[0] if "/" in name else own
            if not own or other == own or not (tree.src / name).exists():
                continue
            if other not in tree.layers[own]:
                yield f"{tree.path(file)}:{line}: {own} may not include {other} ({name})"


def names(tree):
    """base names of source files are unique in the tree"""
    first = {}
    for file in tree.sources():
        if file.name in first:
            yield f"{tree.path(file)}:1: same base name as {tree.path(first[file.name])}"
        first.setdefault(file.name, file)


def private_headers(tree):
    """one public header a folder; *_int.h stays in its folder"""
    public = defaultdict(list)
    for file in tree.sources():
        own = tree.layer(file)
        if own and file.suffix == ".h" and not file.name.endswith("_int.h") and file.name != COMPAT:
            public[own].append(file)
        for line, name in includes(file):
            if name.endswith("_int.h") and "/" in name and name.split("/")[0] != own:
                yield f"{tree.path(file)}:{line}: {name} is private to its folder"
    for own, files in public.items():
        for file in files[1:]:
            yield f"{tree.path(file)}:1: {own} has a public header already, {files[0].name}"


def pure(tree):
    """pure layers know neither Postgres nor threads nor jumps; the rest includes postgres.h first"""
    banned = re.compile(r'^\s*#\s*include\s*[<"](postgres|postgres_fe|c|fmgr|pg_config|setjmp|pthread|threads)\.h[>"]', re.M)
    for file in tree.sources():
        text = code(file)
        if tree.layer(file) in tree.pure:
            for m in banned.finditer(text):
                yield f"{tree.path(file)}:{line_of(text, m.start())}: {m.group(1)}.h in a pure layer"
        elif file.suffix == ".c":
            first = re.search(r'^\s*#\s*include\s*[<"]([^">]+)', text, re.M)
            if not first or first.group(1) != "postgres.h":
                yield f"{tree.path(file)}:1: the first include is not postgres.h"


def versions(tree):
    """PG_VERSION_NUM only in pg_compat.h"""
    for file in tree.sources():
        if file.name == COMPAT:
            continue
        text = code(file)
        for m in re.finditer(r"\bPG_(VERSION_NUM|MAJORVERSION(_NUM)?)\b", text):
            yield f"{tree.path(file)}:{line_of(text, m.start())}: {m.group(0)} outside {COMPAT}"


# What PostgreSQL 15 to 18 have in different ways, each with a name of ours in pg_compat.h.
CHANGED = ("ConditionalXactLockTableWait", "INT64_MODIFIER", "INT64_HEX_FORMAT", "execute_once", "heap_form_minimal_tuple",
           "index_beginscan", "pg_attribute_noreturn", "pg_database_ownercheck", "object_ownercheck", "pgstat_count_heap_update",
           "pgstat_report_vacuum", "phs_locator", "phs_relid", "tuplesort_getdatum", "vac_update_relstats", "vacuum_delay_point")
CHANGED_HEADERS = ("commands/explain.h", "storage/relfilenode.h", "storage/relfilelocator.h", "varatt.h")


def portable(tree):
    """what differs between PostgreSQL versions is reached through pg_compat.h"""
    names = re.compile(r"\b(" + "|".join(CHANGED) + r")\b")
    headers = re.compile(r'^\s*#\s*include\s*"(' + "|".join(map(re.escape, CHANGED_HEADERS)) + ')"', re.M)
    for file in tree.sources():
        if file.name == COMPAT:
            continue
        text = code(file)
        for m in [*names.finditer(text), *headers.finditer(text)]:
            yield f"{tree.path(file)}:{line_of(text, m.start(1))}: {m.group(1)} is not the same in all versions, see {COMPAT}"


def errcodes(tree):
    """every ereport of ERROR and above has an errcode"""
    for file in tree.sources():
        text = code(file)
        for m in re.finditer(r"\bereport\s*\(\s*(ERROR|FATAL|PANIC)\b", text):
            if not re.search(r"\berrcode(_for_\w+)?\s*\(", call_text(text, m.start())):
                yield f"{tree.path(file)}:{line_of(text, m.start())}: ereport({m.group(1)}) without errcode"


def messages(tree):
    """messages start lower case and have no final full stop"""
    calls = re.compile(r"\b(errmsg|errmsg_internal|errmsg_plural|lh_fail)\s*\(")
    for file in tree.sources():
        text = code(file)
        for m in calls.finditer(text):
            literals = re.findall(r'(?:"(?:\\.|[^"\\])*"\s*)+', call_text(text, m.start()))
            if not literals:
                continue
            message = "".join(re.findall(r'"((?:\\.|[^"\\])*)"', literals[0]))
            where = f"{tree.path(file)}:{line_of(text, m.start())}"
            word = re.match(r"[A-Z][a-z]+", message)
            if word and word.group(0) not in PROPER:
                yield f'{where}: message starts with a capital: "{message}"'
            if message.endswith(".") and not message.endswith("..."):
                yield f'{where}: message ends with a full stop: "{message}"'


def sizes(tree):
    """a .c file has at most 1200 lines, a layer's README at most 150"""
    for file in tree.glob("src/*.c", "src/*/*.c"):
        n = len(file.read_text(errors="replace").splitlines())
        if n > MAX_C_LINES:
            yield f"{tree.path(file)}:{n}: longer than {MAX_C_LINES} lines"
    for file in tree.glob("src/README.md", "src/*/README.md"):
        n = len(file.read_text().splitlines())
        if n > MAX_README_LINES:
            yield f"{tree.path(file)}:{n}: longer than {MAX_README_LINES} lines"


def leftovers(tree):
    """nothing is marked as unfinished"""
    mark = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    files = tree.sources() + tree.glob("sql/install/*.sql", "sql/*.sql", "test/**/*.sh", "test/**/*.py",
                                       "test/**/*.[ch]", "test/**/*.p[lm]", "docs/**/*.md", "README.md", "src/**/*.md")
    for file in files:
        if file.parent.name == "lint" or file.name.startswith("lakehouse--"):
            continue
        for i, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
            if mark.search(line):
                yield f"{tree.path(file)}:{i}: {mark.search(line).group(0)}"


def layout(tree):
    """C is indented with tabs and has no trailing blanks"""
    for file in tree.sources():
        for i, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
            if line != line.rstrip():
                yield f"{tree.path(file)}:{i}: trailing blank"
            elif line.startswith("    "):
                yield f"{tree.path(file)}:{i}: indented with spaces"


def _server_include():
    run = subprocess.run([os.environ.get("PG_CONFIG", "pg_config"), "--includedir-server"],
                         capture_output=True, text=True)
    return ["-I" + run.stdout.strip()] if run.returncode == 0 else None


def headers(tree):
    """each header compiles alone"""
    server = _server_include()

    def compile_alone(file):
        is_pure = tree.layer(file) in tree.pure
        if not is_pure and server is None:
            return f"{tree.path(file)}:1: pg_config not found"
        text = f'#include "{file}"\n' if is_pure else f'#include "postgres.h"\n#include "{file}"\n'
        flags = ["-std=gnu11", "-Wall", "-fsyntax-only", f"-I{tree.src}", "-DLH_VERSION=\"x\""]
        run = subprocess.run([os.environ.get("CC", "cc"), *flags, *([] if is_pure else server), "-x", "c", "-"],
                             input=text, capture_output=True, text=True)
        if run.returncode or run.stderr:
            first = next((s for s in run.stderr.splitlines() if "error" in s or "warning" in s), run.stderr[:200])
            return f"{tree.path(file)}:1: does not compile alone: {first}"
        return None

    with ThreadPoolExecutor(2) as pool:
        found = pool.map(compile_alone, [f for f in tree.sources() if f.suffix == ".h"])
        yield from filter(None, found)


def exports(tree):
    """lakehouse.so exports only what Postgres looks up, and needs nothing of ours that is not in it"""
    library = tree.root / "lakehouse.so"
    if not library.exists():
        yield "lakehouse.so: not built (run make first)"
        return
    sql = "\n".join(f.read_text() for f in tree.glob("sql/install/*.sql"))
    called = set(re.findall(r"AS\s+'MODULE_PATHNAME'\s*,\s*'(\w+)'", sql))
    server = {"_PG_init", "Pg_magic_func", "_PG_output_plugin_init"}
    exported = set()
    run = subprocess.run(["nm", "-D", str(library)], capture_output=True, text=True, check=True)
    for line in run.stdout.splitlines():
        kind, name = line.split()[-2:]
        exported.update([name] if kind != "U" else [])
        if kind in "TDBRGS" and name not in called | server and not name.startswith("pg_finfo_"):
            # Functions that a background worker is started by are looked up by name.
            if not re.search(r"_main$", name):
                yield f"lakehouse.so: exports {name}"
        elif kind == "U" and name.startswith("lh_"):
            yield f"lakehouse.so: {name} is defined nowhere"
    for name in sorted(called - exported):
        yield f"lakehouse.so: SQL calls {name}, which is not exported"


def test_pairs(tree):
    """every test has its expected output, every expected output its test"""
    for sql, out in (("sql/{}.sql", "expected/{}.out"),
                     ("test/isolation/specs/{}.spec", "test/isolation/expected/{}.out")):
        tests = {f.stem for f in tree.glob(sql.format("*")) if not f.name.startswith("lakehouse--")}
        outs = {f.stem for f in tree.glob(out.format("*"))}
        for name in sorted(tests - outs):
            yield f"{sql.format(name)}:1: has no {out.format(name)}"
        for name in sorted(outs - tests):
            if re.sub(r"_\d$", "", name) not in tests:      # an alternative output
                yield f"{out.format(name)}:1: has no {sql.format(name)}"


def settings(tree):
    """docs/settings.md lists the settings that the code defines, no more and no less"""
    defined = {}
    for file in tree.sources():
        text = code(file)
        for m in re.finditer(r"\bDefineCustom(Bool|Int|Real|String|Enum)Variable\s*\(\s*\"([^\"]+)\"", text):
            defined[m.group(2)] = f"{tree.path(file)}:{line_of(text, m.start())}"
    page = tree.root / "docs/settings.md"
    text = page.read_text() if page.exists() else ""
    listed = set(re.findall(r"^(?:\|\s*|#+\s*)`((?:lakehouse|hnsw|ivfflat)\.\w+)`", text, re.M))
    for name in sorted(set(defined) - listed):
        yield f"{defined[name]}: {name} is not in docs/settings.md"
    for name in sorted(listed - set(defined)):
        yield f"docs/settings.md: {name} is defined nowhere"


def sql_objects(tree):
    """every SQL object has a COMMENT, every function and view a place in docs/sql.md or docs/vector.md"""
    documented = "".join(f.read_text() for f in tree.glob("docs/sql.md", "docs/vector.md"))
    files = {f: re.sub(r"--[^\n]*", "", f.read_text()) for f in tree.glob("sql/install/*.sql")}
    kinds = r"(FUNCTION|PROCEDURE|AGGREGATE|VIEW|TABLE|TYPE|SCHEMA|SEQUENCE|ACCESS\s+METHOD)\s+([\w.\"]+)"
    create = re.compile(r"\bCREATE\s+(?:OR\s+REPLACE\s+)?(?:UNLOGGED\s+)?" + kinds, re.I)
    comments = {(" ".join(m.group(1).upper().split()), m.group(2).lower())
                for text in files.values()
                for m in re.finditer(r"\bCOMMENT\s+ON\s+" + kinds, text, re.I)}
    for file, text in files.items():
        for m in create.finditer(text):
            kind, name = " ".join(m.group(1).upper().split()), m.group(2).lower()
            where = f"{tree.path(file)}:{line_of(text, m.start())}"
            if (kind, name) not in comments:
                yield f"{where}: no COMMENT ON {kind} {name}"
            if kind in ("FUNCTION", "PROCEDURE", "AGGREGATE", "VIEW") and not re.search(
                    rf"`[^`]*\b{re.escape(name)}\b", documented, re.I):
                yield f"{where}: {name} is not in docs/sql.md"


def references(tree):
    """files that the documents name exist"""
    token = re.compile(r"`([\w./-]+/[\w.-]+\.(?:c|h|md|sh|py|sql|pl|pm|svg|mk))`")
    for file in tree.glob("README.md", "docs/**/*.md", "src/**/*.md", "test/**/*.md"):
        for i, line in enumerate(file.read_text().splitlines(), 1):
            for name in token.findall(line) + re.findall(r"\]\((?!https?:|#)([^)#\s]+)", line):
                places = (tree.root / name, tree.src / name, file.parent / name)
                if not name.startswith("build/") and not any(p.exists() for p in places):
                    yield f"{tree.path(file)}:{i}: {name} does not exist"
            for name in re.findall(r"`([\w-]+\.(?:pl|spec)|twin/\w+)`", line):
                if not any(tree.root.glob(f"test/*/{name}")) and not any(tree.root.glob(f"test/*/*/{name}")) and not (
                        tree.root / "sql" / f"{name}.psql").exists():
                    yield f"{tree.path(file)}:{i}: there is no test {name}"


RULES = [layers, names, private_headers, pure, versions, portable, errcodes, messages, sizes, leftovers, layout,
         headers, exports, test_pairs, settings, sql_objects, references]
