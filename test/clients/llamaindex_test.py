"""LlamaIndex's PGVectorStore (which brings no tests of its own) and an index over
it: answers against all distances computed here.  Embeddings come from a hash of
the text, in this process."""

import hashlib
import os
import random

import numpy as np
import pytest
from llama_index.core import StorageContext, VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition, FilterOperator, MetadataFilter, MetadataFilters, VectorStoreQuery, VectorStoreQueryMode)
from llama_index.vector_stores.postgres import PGVectorStore

DIMS = 32
N = 400
TOP = 10
ANIMALS = ["ant", "bear", "cat", "dog", "eel"]


def embed(text):
    numbers = random.Random(hashlib.sha256(text.encode()).digest())
    return [round(numbers.gauss(0, 1), 4) for _ in range(DIMS)]


class HashEmbedding(BaseEmbedding):
    def _get_text_embedding(self, text):
        return embed(text)

    def _get_query_embedding(self, query):
        return embed(query)

    async def _aget_query_embedding(self, query):
        return embed(query)


def node(i):
    n = TextNode(id_=f"node{i}", text=f"The {ANIMALS[i % 5]} number {i}", metadata={"animal": ANIMALS[i % 5], "number": i},
                 embedding=embed(str(i)))
    n.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=f"document{i // 10}")
    return n


NODES = [node(i) for i in range(N)]


def nearest(query, keep=lambda i: True, halves=False):
    """Ids of the true neighbours by cosine, nearest first."""
    rows = [i for i in range(N) if keep(i)]
    x = np.array([NODES[i].embedding for i in rows])
    if halves:
        x = x.astype(np.float16).astype(float)
    q = np.array(query)
    order = np.argsort(1 - x @ q / np.linalg.norm(x, axis=1) / np.linalg.norm(q), kind="stable")
    return [f"node{rows[i]}" for i in order[:TOP]]


KINDS = {
    "exact": {},
    "hnsw": {"hnsw_kwargs": {"hnsw_m": 16, "hnsw_ef_construction": 64, "hnsw_ef_search": 100, "hnsw_dist_method": "vector_cosine_ops"}},
    "halfvec": {"use_halfvec": True,
                "hnsw_kwargs": {"hnsw_m": 16, "hnsw_ef_construction": 64, "hnsw_ef_search": 100,
                                "hnsw_dist_method": "halfvec_cosine_ops"}},
    "hybrid": {"hybrid_search": True, "use_jsonb": True, "indexed_metadata_keys": {("animal", "text"), ("number", "int")}},
}


def open_store(name, **options):
    env = os.environ
    return PGVectorStore.from_params(host=env["PGHOST"], port=env["PGPORT"], user=env["PGUSER"], password="none",
                                     database=env["PGDATABASE"], table_name=name, embed_dim=DIMS, **options)


@pytest.fixture(scope="module", params=list(KINDS))
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def store(kind):
    store = open_store(kind, **KINDS[kind])
    assert store.add(NODES) == [n.node_id for n in NODES]
    return store


def check(ids, wanted, kind):
    """Exactly the neighbours; of an index, nearly."""
    assert len(ids) == len(wanted)
    if "hnsw_kwargs" in KINDS[kind]:
        assert len(set(ids) & set(wanted)) >= 0.9 * len(wanted)
    else:
        assert ids == wanted


@pytest.mark.parametrize("i", range(5))
def test_query(store, kind, i):
    query = embed(f"query {i}")
    result = store.query(VectorStoreQuery(query_embedding=query, similarity_top_k=TOP))
    check(result.ids, nearest(query, halves=kind == "halfvec"), kind)
    assert result.similarities == sorted(result.similarities, reverse=True)
    first = NODES[int(result.ids[0][4:])]
    assert result.nodes[0].get_content() == first.text and result.nodes[0].metadata == first.metadata


@pytest.mark.asyncio
async def test_query_async(kind, store):
    mine = open_store(kind, **KINDS[kind])          # connections belong to an event loop
    query = embed("asynchronous")
    result = await mine.aquery(VectorStoreQuery(query_embedding=query, similarity_top_k=TOP))
    check(result.ids, nearest(query, halves=kind == "halfvec"), kind)
    await mine.close()


FILTERS = {
    "equal": ([("animal", "cat", FilterOperator.EQ)], lambda i: i % 5 == 2),
    "few": ([("number", 12, FilterOperator.LT)], lambda i: i < 12),
    "in": ([("animal", ["ant", "dog"], FilterOperator.IN)], lambda i: i % 5 in (0, 3)),
    "and": ([("animal", "eel", FilterOperator.EQ), ("number", 200, FilterOperator.GTE)], lambda i: i % 5 == 4 and i >= 200),
}


@pytest.mark.parametrize("name", list(FILTERS))
def test_filter(store, kind, name):
    filters, keep = FILTERS[name]
    query = embed(name)
    result = store.query(VectorStoreQuery(
        query_embedding=query, similarity_top_k=TOP,
        filters=MetadataFilters(filters=[MetadataFilter(key=k, value=v, operator=o) for k, v, o in filters],
                                condition=FilterCondition.AND)))
    assert all(keep(int(i[4:])) for i in result.ids)
    check(result.ids, nearest(query, keep, halves=kind == "halfvec"), kind)


@pytest.mark.parametrize("kind", ["hybrid"], indirect=True)
def test_text_and_hybrid(store, kind):
    query = VectorStoreQuery(query_embedding=embed("q"), query_str="bear 21", similarity_top_k=TOP, sparse_top_k=5,
                             mode=VectorStoreQueryMode.SPARSE)
    assert "node21" in store.query(query).ids
    query.mode = VectorStoreQueryMode.HYBRID
    assert set(nearest(embed("q"))) <= set(store.query(query).ids)


def test_mmr(store, kind):
    query = VectorStoreQuery(query_embedding=embed("varied"), similarity_top_k=TOP, mode=VectorStoreQueryMode.MMR)
    assert len(set(store.query(query).ids)) == TOP


def test_index_and_retriever():
    store = open_store("documents", **KINDS["hnsw"])
    index = VectorStoreIndex([TextNode(id_=n.node_id, text=n.text) for n in NODES[:50]],
                             storage_context=StorageContext.from_defaults(vector_store=store), embed_model=HashEmbedding())
    for text in ("The bear number 1", "The eel number 49"):
        found = index.as_retriever(similarity_top_k=3).retrieve(text)
        assert found[0].get_content() == text and found[0].score > 0.999
    store.clear()
    assert store.query(VectorStoreQuery(query_embedding=embed("x"), similarity_top_k=3)).ids == []


def test_get_and_delete(store, kind):
    """Last: it changes what the store has."""
    assert {n.node_id for n in store.get_nodes(node_ids=["node1", "node2"])} == {"node1", "node2"}
    query = VectorStoreQuery(query_embedding=NODES[57].embedding, similarity_top_k=1)
    assert store.query(query).ids == ["node57"]
    store.delete("document5")
    assert "node57" not in store.query(query).ids
    store.delete_nodes(["node60"])
    assert store.get_nodes(node_ids=[f"node{i}" for i in range(50, 61)]) == []
    store.add(NODES[50:61])
    assert store.query(query).ids == ["node57"]
