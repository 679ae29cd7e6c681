/*
 * reader_cache.c
 *	  Readers of files that single rows are fetched from, kept open from one
 *	  statement to the next.
 *
 * To open a reader is to parse a footer; to find a row in it is to parse a page
 * index.  A file never changes, so both can stay; whether the file still
 * counts is for the catalog to say, each time.
 *
 * A reader is lent to one fetch at a time; others may look at the row that it
 * stands on, as an update does at the row that its scan has found.  After an error nobody knows what
 * state a lent one is in: the end of the transaction drops it.
 */
#include "postgres.h"

#include "access/tupdesc.h"
#include "utils/memutils.h"

#include "storage/lh_storage.h"

#define MAX_READERS		32
#define MAX_READER_BYTES	(16 * 1024 * 1024)
#define MAX_BYTES		(64 * 1024 * 1024)	/* of all together */
#define MEASURE_EVERY	16		/* uses */

typedef struct CachedReader
{
	MemoryContext cxt;			/* NULL: a free place */
	int64		file_id;
	TupleDesc	desc;			/* what rows are read as */
	LhFileReader *reader;
	bool		lent;
	uint64		used;			/* tick of the last use */
	Size		bytes;			/* of memory, when it was measured last */
} CachedReader;

static CachedReader cache[MAX_READERS];
static uint64 tick = 0;

static void
drop(CachedReader *entry)
{
	MemoryContextDelete(entry->cxt);	/* the reader's lies in it */
	memset(entry, 0, sizeof(*entry));
}

LhFile *
lh_file_copy(const LhFile *file)
{
	LhFile	   *copy = palloc(sizeof(LhFile));

	*copy = *file;
	copy->location = pstrdup(file->location);
	copy->name = pstrdup(file->name);
	copy->footer = NULL;
	if (file->n_first_row_ids > 0)
	{
		copy->first_row_ids = palloc(sizeof(int64) * file->n_first_row_ids);
		memcpy(copy->first_row_ids, file->first_row_ids, sizeof(int64) * file->n_first_row_ids);
	}
	return copy;
}

/* The reader that nobody has used for longest; NULL if all are lent. */
static CachedReader *
oldest_free(void)
{
	CachedReader *oldest = NULL;

	for (int i = 0; i < MAX_READERS; i++)
	{
		CachedReader *entry = &cache[i];

		if (entry->cxt != NULL && !entry->lent && (oldest == NULL || entry->used < oldest->used))
			oldest = entry;
	}
	return oldest;
}

/* A free place, made if need be; NULL if all are lent. */
static CachedReader *
find_place(void)
{
	CachedReader *place;

	for (int i = 0; i < MAX_READERS; i++)
		if (cache[i].cxt == NULL)
			return &cache[i];
	place = oldest_free();
	if (place != NULL)
		drop(place);
	return place;
}

LhFileReader *
lh_reader_borrow(const LhFile *file, TupleDesc desc)
{
	CachedReader *place;
	MemoryContext cxt;
	MemoryContext old;
	CachedReader fresh = {0};

	for (int i = 0; i < MAX_READERS; i++)
	{
		CachedReader *entry = &cache[i];

		if (entry->cxt == NULL || entry->lent || entry->file_id != file->file_id ||
			!equalTupleDescs(entry->desc, desc))
			continue;
		entry->lent = true;
		entry->used = ++tick;
		return entry->reader;
	}

	/* in the caller's memory until nothing can fail any more */
	cxt = AllocSetContextCreate(CurrentMemoryContext, "lakehouse cached reader", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(cxt);
	fresh.cxt = cxt;
	fresh.file_id = file->file_id;
	fresh.desc = CreateTupleDescCopyConstr(desc);
	fresh.reader = lh_file_reader_open_sparse(file, lh_file_copy(file), fresh.desc);
	fresh.lent = true;
	fresh.used = ++tick;
	MemoryContextSwitchTo(old);
	place = find_place();
	if (place != NULL)
	{
		MemoryContextSetParent(cxt, CacheMemoryContext);
		*place = fresh;
	}
	return fresh.reader;
}

/* Dictionaries and pages of many row groups add up: drops the readers unused for longest. */
static void
measure(CachedReader *entry)
{
	Size		sum = 0;

	entry->bytes = MemoryContextMemAllocated(entry->cxt, true);
	if (entry->bytes > MAX_READER_BYTES)
	{
		drop(entry);
		return;
	}
	for (int i = 0; i < MAX_READERS; i++)
		sum += cache[i].bytes;
	while (sum > MAX_BYTES)
	{
		CachedReader *oldest = oldest_free();

		if (oldest == NULL)
			break;
		sum -= oldest->bytes;
		drop(oldest);
	}
}

LhFileReader *
lh_reader_standing_on(const LhFile *file, TupleDesc desc, int row_group, int64 place)
{
	for (int i = 0; i < MAX_READERS; i++)
		if (cache[i].cxt != NULL && cache[i].file_id == file->file_id &&
			lh_file_reader_stands_on(cache[i].reader, row_group, place) &&
			equalTupleDescs(cache[i].desc, desc))
			return cache[i].reader;
	return NULL;
}

void
lh_reader_return(LhFileReader *reader)
{
	for (int i = 0; i < MAX_READERS; i++)
	{
		if (cache[i].cxt != NULL && cache[i].reader == reader)
		{
			cache[i].lent = false;
			if (cache[i].used % MEASURE_EVERY == 0)
				measure(&cache[i]);
			return;
		}
	}
	lh_file_reader_close(reader);	/* one too many: it was the caller's alone */
}

void
lh_reader_forget_lent(void)
{
	for (int i = 0; i < MAX_READERS; i++)
		if (cache[i].cxt != NULL && cache[i].lent)
			drop(&cache[i]);
}
