"""The checkout as the lint rules see it: files, layers, C source without comments."""

import functools
import re
from pathlib import Path


class Tree:
    def __init__(self, root):
        self.root = Path(root)
        self.src = self.root / "src"
        self.layers, self.pure = self._read_layers()

    def _read_layers(self):
        """src/LAYERS: {layer: set it may include}, in order, and the pure ones."""
        layers, pure, is_pure = {}, set(), True
        for line in (self.src / "LAYERS").read_text().splitlines():
            if line.startswith("# Postgres C"):
                is_pure = False
            if line.startswith("#") or ":" not in line:
                continue
            name, allowed = line.split(":", 1)
            layers[name.strip()] = set(allowed.split())
            if is_pure:
                pure.add(name.strip())
        return layers, pure

    def path(self, file):
        return str(Path(file).relative_to(self.root))

    def glob(self, *patterns):
        return sorted(f for p in patterns for f in self.root.glob(p) if f.is_file())

    def sources(self):
        return self.glob("src/*.[ch]", "src/*/*.[ch]")

    def layer(self, file):
        """Name of the src folder a file stands in, "" for src itself."""
        parent = Path(file).parent
        return "" if parent == self.src else parent.name


@functools.lru_cache(maxsize=None)
def _strip(text):
    """C text with comments blanked (newlines kept), strings untouched."""
    pattern = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//[^\n]*', re.S)

    def blank(match):
        token = match.group(0)
        return token if token[0] in "\"'" else re.sub(r"[^\n]", " ", token)

    return pattern.sub(blank, text)


def code(file):
    return _strip(Path(file).read_text(errors="replace"))


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def call_text(text, start):
    """The argument text of the call whose "(" is at or after start."""
    depth, i, quote = 0, text.index("(", start), None
    begin = i + 1
    while i < len(text):
        c = text[i]
        if quote:
            if c == "\\":
                i += 1
            elif c == quote:
                quote = None
        elif c in "\"'":
            quote = c
        elif c == "(":
            depth += 1
        elif c == ")":
            depth -= 1
            if depth == 0:
                return text[begin:i]
        i += 1
    return text[begin:]


def includes(file):
    """(line, name) of each #include "name"."""
    text = code(file)
    return [(line_of(text, m.start()), m.group(1))
            for m in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', text, re.M)]
