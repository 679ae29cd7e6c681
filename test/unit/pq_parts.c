/*
 * pq_parts.c
 *	  What no writer at hand produces: lists in the shapes of old writers, the
 *	  forms that codecs come in, deprecated levels, untrusted statistics.
 */
#include "lh_test.h"
#include "../tools/pq_file.h"

#include <lz4.h>
#include <lz4frame.h>
#include <zlib.h>
#include <zstd.h>

/* ---- list shapes ---- */

static LhPqNode int_leaf = {.name = "element",.rep = LH_PQ_OPTIONAL,.type = LH_PQ_INT32};
static LhPqNode str_leaf = {.name = "str",.rep = LH_PQ_REQUIRED,.type = LH_PQ_BYTE_ARRAY};
static LhPqNode rep_leaf = {.name = "element",.rep = LH_PQ_REPEATED,.type = LH_PQ_INT32};

/* A list whose repeated group is called `name` and has these children. */
static const LhPqNode *
list_of(const char *name, LhPqNode **children, int n, bool *has_middle, const LhPqNode **repeated)
{
	static LhPqNode middle;
	static LhPqNode *middles[] = {&middle};
	static LhPqNode list;

	middle = (LhPqNode) {.name = name,.rep = LH_PQ_REPEATED,.is_group = true,.n_children = n,.children = children};
	list = (LhPqNode) {.name = "my_list",.rep = LH_PQ_OPTIONAL,.is_group = true,.logical = LH_PQ_LIST,
		.n_children = 1,.children = middles};
	*repeated = &middle;
	return lh_pq_list_element(&list, has_middle);
}

LH_TEST(list_elements_by_the_rules_for_old_writers)
{
	LhPqNode   *one[] = {&int_leaf};
	LhPqNode   *two[] = {&str_leaf, &int_leaf};
	LhPqNode   *str[] = {&str_leaf};
	LhPqNode   *again[] = {&rep_leaf};
	LhPqNode   *bare[] = {&rep_leaf};
	LhPqNode	flat = {.name = "my_list",.rep = LH_PQ_OPTIONAL,.is_group = true,.logical = LH_PQ_LIST,
	.n_children = 1,.children = bare};
	const LhPqNode *repeated;
	bool		middle;

	/* three levels, whatever their names */
	LH_CHECK(list_of("list", one, 1, &middle, &repeated) == &int_leaf && middle);
	LH_CHECK(list_of("bag", one, 1, &middle, &repeated) == &int_leaf && middle);
	LH_CHECK(list_of("element", str, 1, &middle, &repeated) == &str_leaf && middle);
	/* two levels: a repeated leaf, a struct of two, a struct of one by its name, a list in a list */
	LH_CHECK(lh_pq_list_element(&flat, &middle) == &rep_leaf && !middle);
	LH_CHECK(list_of("element", two, 2, &middle, &repeated) == repeated && !middle);
	LH_CHECK(list_of("array", str, 1, &middle, &repeated) == repeated && !middle);
	LH_CHECK(list_of("my_list_tuple", str, 1, &middle, &repeated) == repeated && !middle);
	LH_CHECK(list_of("list", again, 1, &middle, &repeated) == repeated && !middle);
	/* no annotation: the repeated node is a list of itself; and what is no list */
	LH_CHECK(lh_pq_list_element(&rep_leaf, &middle) == &rep_leaf && !middle);
	LH_CHECK(lh_pq_list_element(&int_leaf, &middle) == NULL);
}

/* ---- a page of our own making ---- */

typedef struct Chunk
{
	LhPqNode	leaf;
	LhPqNode	root;
	LhPqNode   *children[1];
	LhPqChunk	chunk;
	LhPqRowGroup group;
	LhPqFileMeta meta;
	LhBuf		bytes;
} Chunk;

static void
zigzag_field(LhBuf *b, int delta, int64_t v)
{
	lh_buf_u8(b, (uint8_t) (delta << 4 | 5));
	lh_buf_varint(b, lh_zigzag(v));
}

/* A chunk of one PLAIN int32 page of version 1, with this body. */
static void
make_chunk(Chunk *c, LhPqCodec codec, int level_encoding, int n, const void *body, size_t packed, size_t plain)
{
	LhError		err;

	memset(c, 0, sizeof(*c));
	c->leaf = (LhPqNode) {.name = "c",.type = LH_PQ_INT32,.rep = level_encoding == 4 ? LH_PQ_OPTIONAL : LH_PQ_REQUIRED};
	c->children[0] = &c->leaf;
	c->root = (LhPqNode) {.name = "root",.is_group = true,.n_children = 1,.children = c->children};
	lh_arena_init(&c->meta.arena, &lh_malloc);
	c->meta.schema.root = &c->root;
	LH_SUCCEED(lh_pq_schema_finish(&c->meta.schema, &c->meta.arena, &err));
	lh_buf_init(&c->bytes, &lh_malloc);
	zigzag_field(&c->bytes, 1, 0);
	zigzag_field(&c->bytes, 1, (int64_t) plain);
	zigzag_field(&c->bytes, 1, (int64_t) packed);
	lh_buf_u8(&c->bytes, 2 << 4 | 12);
	zigzag_field(&c->bytes, 1, n);
	zigzag_field(&c->bytes, 1, 0);
	zigzag_field(&c->bytes, 1, level_encoding);
	zigzag_field(&c->bytes, 1, level_encoding);
	lh_buf_append(&c->bytes, "\0\0", 2);
	lh_buf_append(&c->bytes, body, packed);
	c->chunk.codec = codec;
	c->chunk.num_values = c->group.num_rows = n;
	c->chunk.total_compressed = (int64_t) c->bytes.len;
	c->group.chunks = &c->chunk;
	c->meta.n_row_groups = 1;
	c->meta.row_groups = &c->group;
}

static void
free_chunk(Chunk *c)
{
	lh_buf_free(&c->bytes);
	lh_arena_free(&c->meta.arena);
}

#define N 100

/* `packed` bytes must decompress to the integers 0 .. N-1, or be refused. */
static void
reads_as_integers(LhPqCodec codec, const void *packed, size_t len, LhStatus wanted)
{
	Chunk		c;
	LhPqColumnReader *r;
	LhPqVector	v;
	LhError		err;

	make_chunk(&c, codec, 3, N, packed, len, N * 4);
	LH_GIVE_UP();
	LH_SUCCEED(lh_pq_column_open(&c.meta, 0, 0, c.bytes.data, c.bytes.len, &lh_malloc, &r, &err));
	LH_REFUSE(lh_pq_column_read(r, N, &v, &err), wanted);
	for (int i = 0; wanted == LH_OK && i < N; i++)
		LH_EQ_INT(v.values.i32[i], i);
	lh_pq_column_close(r);
	free_chunk(&c);
}

static size_t
put_u32be(uint8_t *p, size_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t) (v >> (24 - 8 * i));
	return 4;
}

LH_TEST(lz4_in_all_its_forms)
{
	int32_t		plain[N];
	uint8_t		packed[2000];
	uint8_t		block[1000];
	size_t		len;
	int			n;

	for (int i = 0; i < N; i++)
		plain[i] = i;
	/* a bare block */
	n = LZ4_compress_default((const char *) plain, (char *) packed, sizeof(plain), sizeof(packed));
	reads_as_integers(LH_PQ_LZ4_RAW, packed, (size_t) n, LH_OK);
	reads_as_integers(LH_PQ_LZ4, packed, (size_t) n, LH_OK);
	reads_as_integers(LH_PQ_LZ4_RAW, packed, (size_t) n - 1, LH_ERR_CORRUPT);
	/* a frame */
	len = LZ4F_compressFrame(packed, sizeof(packed), plain, sizeof(plain), NULL);
	reads_as_integers(LH_PQ_LZ4, packed, len, LH_OK);
	reads_as_integers(LH_PQ_LZ4, packed, len - 1, LH_ERR_CORRUPT);
	/* Hadoop: two blocks, the second in two pieces */
	len = 0;
	for (int b = 0; b < 3; b++)
	{
		int			from = b == 0 ? 0 : b == 1 ? 160 : 300;
		int			to = b == 0 ? 160 : b == 1 ? 300 : 400;

		if (b < 2)
			len += put_u32be(packed + len, b == 0 ? 160 : 240);
		n = LZ4_compress_default((const char *) plain + from, (char *) block, to - from, sizeof(block));
		len += put_u32be(packed + len, (size_t) n);
		memcpy(packed + len, block, (size_t) n);
		len += (size_t) n;
	}
	reads_as_integers(LH_PQ_LZ4, packed, len, LH_OK);
	for (size_t cut = 0; cut < len; cut++)
		reads_as_integers(LH_PQ_LZ4, packed, cut, LH_ERR_CORRUPT);
}

static size_t
gzip_member(uint8_t *to, size_t cap, const void *from, size_t len, int window)
{
	z_stream	z = {0};

	deflateInit2(&z, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY);
	z.next_in = (Bytef *) from;
	z.avail_in = (uInt) len;
	z.next_out = to;
	z.avail_out = (uInt) cap;
	deflate(&z, Z_FINISH);
	deflateEnd(&z);
	return z.total_out;
}

LH_TEST(gzip_and_zstd_in_several_members)
{
	int32_t		plain[N];
	uint8_t		packed[2000];
	size_t		len;

	for (int i = 0; i < N; i++)
		plain[i] = i;
	len = gzip_member(packed, 1000, plain, 100, 15 + 16);
	len += gzip_member(packed + len, 1000, (char *) plain + 100, 300, 15 + 16);
	reads_as_integers(LH_PQ_GZIP, packed, len, LH_OK);
	reads_as_integers(LH_PQ_GZIP, packed, len - 1, LH_ERR_CORRUPT);
	len = gzip_member(packed, 1000, plain, 400, 15);
	reads_as_integers(LH_PQ_GZIP, packed, len, LH_OK);
	len = ZSTD_compress(packed, 1000, plain, 100, 1);
	len += ZSTD_compress(packed + len, 1000, (char *) plain + 100, 300, 1);
	reads_as_integers(LH_PQ_ZSTD, packed, len, LH_OK);
	reads_as_integers(LH_PQ_ZSTD, packed, len - 1, LH_ERR_CORRUPT);
	reads_as_integers(LH_PQ_LZO, packed, len, LH_ERR_UNSUPPORTED);
	reads_as_integers(LH_PQ_BROTLI, packed, len, LH_ERR_UNSUPPORTED);
}

LH_TEST(a_few_bytes_cannot_claim_gigabytes)
{
	const LhPqCodec codecs[] = {LH_PQ_SNAPPY, LH_PQ_GZIP, LH_PQ_ZSTD, LH_PQ_LZ4, LH_PQ_LZ4_RAW};

	for (int i = 0; i < 5; i++)
	{
		Chunk		c;
		LhPqColumnReader *r;
		LhPqVector	v;
		LhError		err;

		make_chunk(&c, codecs[i], 3, N, "abcdefgh", 8, 1 << 30);
		LH_SUCCEED(lh_pq_column_open(&c.meta, 0, 0, c.bytes.data, c.bytes.len, &lh_malloc, &r, &err));
		LH_REFUSE(lh_pq_column_read(r, N, &v, &err), LH_ERR_CORRUPT);
		lh_pq_column_close(r);
		free_chunk(&c);
	}
}

LH_TEST(deprecated_bit_packed_levels)
{
	/* definition levels 1 0 1 1 0 0 0 1, the first in the highest bit; then four values */
	const uint8_t body[] = {0xb1, 10, 0, 0, 0, 20, 0, 0, 0, 30, 0, 0, 0, 40, 0, 0, 0};
	const uint8_t nulls[] = {0, 1, 0, 0, 1, 1, 1, 0};
	const int	values[] = {10, 0, 20, 30, 0, 0, 0, 40};
	Chunk		c;
	LhPqColumnReader *r;
	LhPqVector	v;
	LhError		err;

	make_chunk(&c, LH_PQ_UNCOMPRESSED, 4, 8, body, sizeof(body), sizeof(body));
	LH_SUCCEED(lh_pq_column_open(&c.meta, 0, 0, c.bytes.data, c.bytes.len, &lh_malloc, &r, &err));
	LH_SUCCEED(lh_pq_column_read(r, 100, &v, &err));
	LH_EQ_INT(v.n_rows, 8);
	LH_EQ_MEM(v.nulls, nulls, 8);
	for (int i = 0; i < 8; i++)
		LH_EQ_INT(v.values.i32[i], values[i]);
	lh_pq_column_close(r);
	free_chunk(&c);
}

/* ---- statistics of others ---- */

static void
has_bounds(const char *name, const char *column, bool wanted)
{
	size_t		len;
	uint8_t    *data = lh_test_read_file(lh_test_data(name), &len);
	PqFile		f;
	LhError		err;

	LH_CHECK(data != NULL);
	LH_SUCCEED(pq_file_open(&f, data, len, &err));
	for (int i = 0; i < f.meta->schema.n_leaves; i++)
		if (strcmp(f.meta->schema.leaves[i]->name, column) == 0)
			LH_EQ_INT(f.meta->row_groups[0].chunks[0 + i].stats.min.data != NULL, wanted);
	lh_pq_meta_free(f.meta);
	free(data);
}

LH_TEST(statistics_are_kept_when_they_can_be_trusted)
{
	has_bounds("parquet/arrow_zstd_v1.parquet", "i32", true);
	has_bounds("parquet/arrow_zstd_v1.parquet", "s", true);
	has_bounds("parquet/arrow_zstd_v1.parquet", "d38", true);
	/* no column orders */
	has_bounds("parquet/fastparquet.parquet", "seq", false);
	/* no order */
	has_bounds("parquet/arrow_int96.parquet", "ts", false);
}
