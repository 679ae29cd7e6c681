/*
 * ice_delete_test.c
 *	  Position delete files: what we write, read back; what a writer must
 *	  refuse; merging; bytes that are broken.
 */
#include "lh_test.h"

#include "iceberg/iceberg.h"

#include <stdlib.h>

#define PREFIX	"file:///a/long/prefix/that/all/files/of/a/table/share/and/that/statistics/would/cut/data/"

static LhArena arena;
static LhError err;

static LhStatus
to_buffer(void *ctx, const uint8_t *data, size_t len, LhError *error)
{
	(void) error;
	return lh_buf_append(ctx, data, len) ? LH_OK : LH_ERR_NOMEM;
}

static void
write_deletes(const LhIceDeletes *deletes, int n, LhBuf *out, LhIceDataFile *file)
{
	lh_buf_init(out, &lh_malloc);
	LH_SUCCEED(lh_ice_deletes_write(deletes, n, "test", to_buffer, out, &arena, file, &err));
}

static void
same_deletes(const LhIceDeletes *a, int n_a, const LhIceDeletes *b, int n_b)
{
	LH_EQ_INT(n_a, n_b);
	for (int i = 0; i < n_a; i++)
	{
		LH_EQ_STR(a[i].path, b[i].path);
		LH_EQ_INT(a[i].n, b[i].n);
		LH_EQ_MEM(a[i].positions, b[i].positions, (size_t) a[i].n * sizeof(int64_t));
	}
}

static void
round_trip(const LhIceDeletes *deletes, int n, LhIceDataFile *file)
{
	LhIceDeletes *back;
	int64_t		total = 0;
	LhBuf		out;
	int			n_back;

	write_deletes(deletes, n, &out, file);
	LH_GIVE_UP();
	for (int i = 0; i < n; i++)
		total += deletes[i].n;
	LH_SUCCEED(lh_ice_deletes_read(out.data, out.len, total, &arena, &back, &n_back, &err));
	same_deletes(deletes, n, back, n_back);
	LH_GIVE_UP();
	LH_EQ_INT(file->content, LH_ICE_FILE_POSITION_DELETES);
	LH_EQ_INT(file->record_count, total);
	LH_EQ_INT(file->sort_order_id, LH_ICE_NONE);
	LH_REFUSE(lh_ice_deletes_read(out.data, out.len, total - 1, &arena, &back, &n_back, &err), LH_ERR_CORRUPT);
	lh_buf_free(&out);
}

LH_TEST(deletes_of_one_file)
{
	int64_t		positions[] = {0, 7, INT64_C(1) << 40};
	LhIceDeletes deletes = {PREFIX "a.parquet", 3, positions};
	LhIceDataFile file;

	lh_arena_init(&arena, &lh_malloc);
	round_trip(&deletes, 1, &file);
	LH_GIVE_UP();
	LH_EQ_STR(file.referenced_data_file, deletes.path);
	LH_EQ_INT(file.n_columns, 2);
	LH_EQ_INT(file.columns[0].field_id, LH_ICE_DELETE_POS_ID);
	LH_EQ_INT(lh_get_u64le(file.columns[0].lower.data), 0);
	LH_EQ_INT(lh_get_u64le(file.columns[0].upper.data), INT64_C(1) << 40);
	LH_EQ_INT(file.columns[1].field_id, LH_ICE_DELETE_PATH_ID);
	LH_EQ_INT(file.columns[1].lower.len, (int64_t) strlen(deletes.path));
	LH_EQ_MEM(file.columns[1].lower.data, deletes.path, strlen(deletes.path));
	LH_EQ_INT(file.columns[1].upper.len, (int64_t) strlen(deletes.path));
	LH_EQ_MEM(file.columns[1].upper.data, deletes.path, strlen(deletes.path));
	lh_arena_free(&arena);
}

/* Enough rows for several row groups and pages. */
LH_TEST(deletes_of_many_files)
{
	enum
	{
		N_FILES = 300, N_ROWS = 1000
	};
	static LhIceDeletes deletes[N_FILES];
	static char paths[N_FILES][120];
	static int64_t positions[N_FILES][N_ROWS];
	LhIceDataFile file;

	lh_arena_init(&arena, &lh_malloc);
	for (int i = 0; i < N_FILES; i++)
	{
		snprintf(paths[i], sizeof(paths[i]), PREFIX "%05d.parquet", i * 7);
		for (int j = 0; j < N_ROWS; j++)
			positions[i][j] = (int64_t) j * (i + 1) + i;
		deletes[i] = (LhIceDeletes) {paths[i], N_ROWS - i, positions[i]};
	}
	round_trip(deletes, N_FILES, &file);
	LH_GIVE_UP();
	LH_CHECK(file.referenced_data_file == NULL);
	LH_CHECK(file.n_split_offsets > 1);
	LH_EQ_INT(file.columns[1].lower.len, (int64_t) strlen(paths[0]));
	LH_EQ_MEM(file.columns[1].lower.data, paths[0], strlen(paths[0]));
	LH_EQ_MEM(file.columns[1].upper.data, paths[N_FILES - 1], strlen(paths[0]));
	lh_arena_free(&arena);
}

/* A manifest of delete files, and back. */
LH_TEST(deletes_in_a_manifest)
{
	static const LhIceSchema schema = {.schema_id = 0};
	LhIceManifestOptions options = {.schema = &schema, .content = LH_ICE_MANIFEST_DELETES,
		.format_version = 2, .snapshot_id = 5};
	int64_t		positions[] = {3, 4};
	LhIceDeletes deletes = {PREFIX "a.parquet", 2, positions};
	LhIceEntry	entry = {.status = LH_ICE_ADDED, .snapshot_id = LH_ICE_NONE,
		.sequence_number = LH_ICE_NONE, .file_sequence_number = LH_ICE_NONE};
	LhIceEntry *back;
	LhIceManifest row;
	LhBuf		out;
	int			n;

	lh_arena_init(&arena, &lh_malloc);
	write_deletes(&deletes, 1, &out, &entry.file);
	LH_GIVE_UP();
	entry.file.path = PREFIX "d.parquet";
	entry.file.file_size = (int64_t) out.len;
	lh_buf_free(&out);
	LH_SUCCEED(lh_ice_manifest_write(&options, &entry, 1, &lh_malloc, &out, &row, &err));
	LH_EQ_INT(row.content, LH_ICE_MANIFEST_DELETES);
	LH_EQ_INT(row.added_rows, 2);
	row.path = "m";
	row.sequence_number = 9;
	LH_SUCCEED(lh_ice_manifest_read(out.data, out.len, &row, &arena, &back, &n, &err));
	LH_EQ_INT(n, 1);
	LH_EQ_INT(back->sequence_number, 9);
	LH_EQ_INT(back->file.content, LH_ICE_FILE_POSITION_DELETES);
	LH_EQ_STR(back->file.referenced_data_file, deletes.path);
	LH_EQ_INT(back->file.n_columns, 2);
	LH_EQ_INT(back->file.columns[1].lower.len, (int64_t) strlen(deletes.path));
	options.content = LH_ICE_MANIFEST_DATA;
	LH_REFUSE(lh_ice_manifest_write(&options, &entry, 1, &lh_malloc, &out, &row, &err), LH_ERR_INVALID);
	lh_buf_free(&out);
	lh_arena_free(&arena);
}

static LhStatus
try_write(const LhIceDeletes *deletes, int n)
{
	LhIceDataFile file;
	LhBuf		out;
	LhStatus	status;

	lh_buf_init(&out, &lh_malloc);
	status = lh_ice_deletes_write(deletes, n, "test", to_buffer, &out, &arena, &file, &err);
	lh_buf_free(&out);
	return status;
}

LH_TEST(deletes_refused)
{
	int64_t		good[] = {1, 2};
	int64_t		twice[] = {1, 1};
	int64_t		falling[] = {2, 1};
	int64_t		negative[] = {-1, 1};
	LhIceDeletes pair[] = {{"b", 2, good}, {"a", 2, good}};
	LhIceDeletes same[] = {{"a", 2, good}, {"a", 2, good}};

	lh_arena_init(&arena, &lh_malloc);
	LH_REFUSE(try_write(pair, 0), LH_ERR_INVALID);
	LH_REFUSE(try_write(pair, 2), LH_ERR_INVALID);
	LH_REFUSE(try_write(same, 2), LH_ERR_INVALID);
	LH_REFUSE(try_write(&(LhIceDeletes) {"a", 2, twice}, 1), LH_ERR_INVALID);
	LH_REFUSE(try_write(&(LhIceDeletes) {"a", 2, falling}, 1), LH_ERR_INVALID);
	LH_REFUSE(try_write(&(LhIceDeletes) {"a", 2, negative}, 1), LH_ERR_INVALID);
	LH_REFUSE(try_write(&(LhIceDeletes) {"a", 0, good}, 1), LH_ERR_INVALID);
	LH_REFUSE(try_write(&(LhIceDeletes) {"", 2, good}, 1), LH_ERR_INVALID);
	LH_REFUSE(try_write(&(LhIceDeletes) {NULL, 2, good}, 1), LH_ERR_INVALID);
	LH_REFUSE(try_write(&(LhIceDeletes) {"\xff", 2, good}, 1), LH_ERR_INVALID);
	lh_arena_free(&arena);
}

LH_TEST(deletes_merged)
{
	int64_t		one[] = {5, 9};
	int64_t		two[] = {1, 5, 6};
	int64_t		three[] = {7, 7, 2};
	int64_t		union_[] = {1, 2, 5, 6, 7, 9};
	LhIceDeletes parts[] = {{"b", 2, one}, {"c", 1, one}, {"b", 3, two}, {"a", 1, two}, {"b", 3, three}, {"d", 3, three}};
	int64_t		sorted[] = {2, 7};
	LhIceDeletes wanted[] = {{"a", 1, two}, {"b", 6, union_}, {"c", 1, one}, {"d", 2, sorted}};
	LhIceDeletes *merged;
	int			n;

	lh_arena_init(&arena, &lh_malloc);
	LH_SUCCEED(lh_ice_deletes_merge(parts, 6, &arena, &merged, &n, &err));
	same_deletes(merged, n, wanted, 4);
	LH_GIVE_UP();
	LH_SUCCEED(lh_ice_deletes_merge(parts, 0, &arena, &merged, &n, &err));
	LH_EQ_INT(n, 0);
	lh_arena_free(&arena);
}

/* Each truncation and a flipped bit in every byte: an answer or an error, never more rows than agreed. */
LH_TEST(deletes_hostile)
{
	int64_t		positions[] = {0, 1, 2, 3, 500, 501};
	LhIceDeletes deletes[] = {{PREFIX "a.parquet", 6, positions}, {PREFIX "b.parquet", 3, positions}};
	LhIceDataFile file;
	LhIceDeletes *back;
	LhBuf		out;
	int			n;

	lh_arena_init(&arena, &lh_malloc);
	write_deletes(deletes, 2, &out, &file);
	LH_GIVE_UP();
	for (size_t len = 0; len < out.len; len++)
	{
		uint8_t    *cut = malloc(len > 0 ? len : 1);
		LhArena		scratch;
		LhStatus	status;

		lh_arena_init(&scratch, &lh_malloc);
		memcpy(cut, out.data, len);
		status = lh_ice_deletes_read(cut, len, 9, &scratch, &back, &n, &err);
		free(cut);
		lh_arena_free(&scratch);
		LH_CHECK(status != LH_OK);
	}
	for (size_t i = 0; i < out.len * 8; i++)
	{
		LhArena		scratch;
		int64_t		total = 0;

		lh_arena_init(&scratch, &lh_malloc);
		out.data[i / 8] ^= (uint8_t) (1 << i % 8);
		if (lh_ice_deletes_read(out.data, out.len, 9, &scratch, &back, &n, &err) == LH_OK)
			for (int j = 0; j < n; j++)
				total += back[j].n;
		out.data[i / 8] ^= (uint8_t) (1 << i % 8);
		lh_arena_free(&scratch);
		LH_CHECK(total <= 9);
	}
	lh_buf_free(&out);
	lh_arena_free(&arena);
}
