/*
 * local_read.c
 *	  Reading from a local directory: ranges, whole objects, sizes.
 *
 * A fetch holds nothing but memory.  Submit opens the file and asks the kernel
 * to read ahead; wait reads.  Open files are kept in a small cache of the
 * backend's, found again by path, so that a fetch that is forgotten leaks
 * nothing.  The files are Postgres's virtual ones: the limit of open files is
 * its business.
 */
#include "postgres.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/ilist.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "objstore/objstore_int.h"

#define MAX_CACHED_FILES	64
#define READ_CHUNK			(8 * 1024 * 1024)	/* between interrupt checks */
#define MAX_READ_AHEAD		(64 * 1024 * 1024)

#define READ_FLAGS			(O_RDONLY | O_NOFOLLOW | PG_BINARY)

typedef struct CachedFile
{
	char		path[MAXPGPATH];	/* key */
	File		file;
	dlist_node	lru;			/* most recently used first */
} CachedFile;

typedef struct LocalFetch
{
	LhFetch		base;
	int64		offset;
	int64		len;
	char	   *buf;
	char		name[FLEXIBLE_ARRAY_MEMBER];
} LocalFetch;

static HTAB *cached_files = NULL;
static dlist_head cached_lru = DLIST_STATIC_INIT(cached_lru);

/* ---- open files ---- */

static void
drop_cached(CachedFile *entry)
{
	FileClose(entry->file);
	dlist_delete(&entry->lru);
	hash_search(cached_files, entry->path, HASH_REMOVE, NULL);
}

void
lh_local_forget(const char *path)
{
	CachedFile *entry;

	if (cached_files == NULL)
		return;
	entry = hash_search(cached_files, path, HASH_FIND, NULL);
	if (entry != NULL)
		drop_cached(entry);
}

void
lh_local_forget_all(void)
{
	while (!dlist_is_empty(&cached_lru))
		drop_cached(dlist_container(CachedFile, lru, dlist_head_node(&cached_lru)));
}

/* Remembers an open file, closing the one unused for longest if need be. */
static void
remember_file(const char *path, File file)
{
	CachedFile *entry;
	bool		found;

	while (hash_get_num_entries(cached_files) >= MAX_CACHED_FILES)
		drop_cached(dlist_container(CachedFile, lru, dlist_tail_node(&cached_lru)));

	/* out of memory here leaves the file open until the backend ends */
	entry = hash_search(cached_files, path, HASH_ENTER, &found);
	entry->file = file;
	dlist_push_head(&cached_lru, &entry->lru);
}

/* The open file at path, or -1 with errno set. */
static File
cached_file(const char *path)
{
	CachedFile *entry;
	File		file;

	if (cached_files == NULL)
	{
		HASHCTL		ctl = {
			.keysize = MAXPGPATH,
			.entrysize = sizeof(CachedFile),
			.hcxt = TopMemoryContext,
		};

		cached_files = hash_create("lakehouse open files", MAX_CACHED_FILES, &ctl,
								   HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	}

	entry = hash_search(cached_files, path, HASH_FIND, NULL);
	if (entry != NULL)
	{
		dlist_move_head(&cached_lru, &entry->lru);
		return entry->file;
	}

	file = PathNameOpenFile(path, READ_FLAGS);
	if (file >= 0)
	{
		lh_counters.opens++;
		remember_file(path, file);
	}
	return file;
}

/* ---- ranges ---- */

static void
report_short(LhStore *store, const char *name, int64 offset, int64 len, int64 size)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("object \"%s\" is shorter than expected", name),
			 errdetail("It ends at byte %lld; bytes %lld to %lld were to be read.  The location is \"%s\".",
					   (long long) size, (long long) offset, (long long) (offset + len), store->location)));
}

void
lh_local_read(LhStore *store, const char *name, int64 offset, int64 len, void *buf)
{
	char		path[MAXPGPATH];
	int64		done = 0;

	lh_local_path(store, name, path);
	do
	{
		int			amount = (int) Min(len - done, READ_CHUNK);
		int64		got = -1;
		File		file;

		/* Look the file up after the check: it may have closed files. */
		CHECK_FOR_INTERRUPTS();
		file = cached_file(path);
		if (file < 0)
			lh_object_error(store, name, "open");
		if (!LH_FAULT_ERRNO("fetch.read"))
			got = FileRead(file, (char *) buf + done, amount, offset + done, PG_WAIT_EXTENSION);
		if (got < 0)
			lh_object_error(store, name, "read");
		if (got == 0 && amount > 0)
			report_short(store, name, offset, len, FileSize(file));
		done += got;
	} while (done < len);

	lh_counters.reads++;
	lh_counters.bytes_read += len;
}

LhFetch *
lh_local_fetch_submit(LhStore *store, const char *name, int64 offset,
					  int64 len, void *buf)
{
	size_t		name_size = strlen(name) + 1;
	LocalFetch *fetch = palloc(offsetof(LocalFetch, name) + name_size);
	char		path[MAXPGPATH];
	File		file;

	fetch->base.store = store;
	fetch->offset = offset;
	fetch->len = len;
	fetch->buf = buf;
	memcpy(fetch->name, name, name_size);

	/* What fails here fails again in wait, and is reported there. */
	lh_local_path(store, name, path);
	file = cached_file(path);
	if (file >= 0 && len > 0)
		(void) FilePrefetch(file, offset, (int) Min(len, MAX_READ_AHEAD),
							PG_WAIT_EXTENSION);
	return &fetch->base;
}

void
lh_local_fetch_wait(LhFetch *base)
{
	LocalFetch *fetch = (LocalFetch *) base;

	lh_local_read(base->store, fetch->name, fetch->offset, fetch->len, fetch->buf);
	pfree(fetch);
}

void
lh_local_fetch_cancel(LhFetch *fetch)
{
	pfree(fetch);				/* nothing reads before wait does */
}

/* ---- whole objects ---- */

int64
lh_local_size(LhStore *store, const char *name, bool missing_ok)
{
	char		path[MAXPGPATH];
	struct stat st;

	lh_local_path(store, name, path);
	if (lstat(path, &st) != 0)
	{
		if (errno == ENOENT && missing_ok)
			return -1;
		lh_object_error(store, name, "look up");
	}
	if (!S_ISREG(st.st_mode))
	{
		errno = S_ISDIR(st.st_mode) ? EISDIR : ELOOP;
		lh_object_error(store, name, "look up");
	}
	return st.st_size;
}

/* Reads exactly len bytes from the start of fd; false with errno, 0 if short. */
static bool
read_fully(int fd, char *buf, int64 len)
{
	int64		done = 0;

	while (done < len)
	{
		ssize_t		got = -1;

		CHECK_FOR_INTERRUPTS();
		if (!LH_FAULT_ERRNO("fetch.read"))
		{
			errno = 0;
			pgstat_report_wait_start(PG_WAIT_EXTENSION);
			got = pread(fd, buf + done, Min(len - done, READ_CHUNK), done);
			pgstat_report_wait_end();
		}
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		done += got;
	}
	return true;
}

/*
 * Does not use the cache of open files: the object may be one that is
 * replaced, and an open file would show the old one for ever.
 */
char *
lh_local_read_all(LhStore *store, const char *name, int64 limit,
				  bool missing_ok, int64 *len)
{
	char		path[MAXPGPATH];
	struct stat st;
	char	   *result;
	int			fd;

	lh_local_path(store, name, path);
	fd = OpenTransientFile(path, READ_FLAGS);
	if (fd < 0)
	{
		if (errno == ENOENT && missing_ok)
			return NULL;
		lh_object_error(store, name, "open");
	}
	lh_counters.opens++;
	if (fstat(fd, &st) != 0)
		lh_object_error(store, name, "read");
	if (!S_ISREG(st.st_mode))
	{
		errno = EISDIR;
		lh_object_error(store, name, "read");
	}
	if (st.st_size > limit)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("object \"%s\" is too large to be read whole", name),
				 errdetail("It has %lld bytes, at most %lld are expected.  The location is \"%s\".",
						   (long long) st.st_size, (long long) limit,
						   store->location)));

	result = palloc_extended(st.st_size + 1, MCXT_ALLOC_HUGE);
	if (!read_fully(fd, result, st.st_size))
	{
		if (errno != 0)
			lh_object_error(store, name, "read");
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("object \"%s\" has shrunk while it was read", name),
				 errdetail("The location is \"%s\".", store->location)));
	}
	result[st.st_size] = '\0';
	CloseTransientFile(fd);

	lh_counters.reads++;
	lh_counters.bytes_read += st.st_size;
	*len = st.st_size;
	return result;
}
