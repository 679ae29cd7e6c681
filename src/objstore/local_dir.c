/*
 * local_dir.c
 *	  The directories of a local store: making them, making them durable,
 *	  listing, removing.
 *
 * Directories have no meaning of their own in an object store.  They come with
 * the first object and go when lh_store_remove_empty_dirs() finds them empty.
 */
#include "postgres.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "storage/fd.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "objstore/objstore_int.h"

#define MAX_DEPTH	64			/* of directories, when listing */

/* Others may read what they can read in the directory above. */
#define INHERITED_FILE_BITS	(S_IRGRP | S_IROTH)
#define INHERITED_DIR_BITS	(S_IRGRP | S_IXGRP | S_IROTH | S_IXOTH | S_ISGID)

/* path must have MAXPGPATH bytes; the bounds of location and name let it fit. */
void
lh_local_path(const LhStore *store, const char *name, char *path)
{
	StaticAssertStmt(LH_LOCATION_MAX + 1 + LH_NAME_MAX + 40 < MAXPGPATH,
					 "a path must fit");
	snprintf(path, MAXPGPATH, "%s%s%s", ((const LocalStore *) store)->root,
			 name[0] != '\0' ? "/" : "", name);
}

/* How long a path may be where it lies. */
size_t
lh_local_path_limit(const char *path)
{
	size_t		len = strlen(DataDir);

	if (strncmp(path, DataDir, len) == 0 && path[len] == '/')
		return len + 1 + LH_BACKUP_PATH_MAX;
	return MAXPGPATH;
}

/* Cuts the last segment off path; false at the root directory. */
static bool
to_parent(char *path)
{
	char	   *slash = strrchr(path, '/');

	if (slash == NULL || slash[1] == '\0')
		return false;
	/* The parent of "/a" is "/". */
	slash[slash == path ? 1 : 0] = '\0';
	return true;
}

/* ---- making ---- */

/*
 * The server's umask keeps everybody else out.  But a lake is there for others
 * to read, so the administrator's choice counts: the permissions of the
 * directory that holds it.  Write permission is never passed on.
 */
static mode_t
parent_mode(const char *path)
{
	char		parent[MAXPGPATH];
	struct stat st;

	strlcpy(parent, path, MAXPGPATH);
	if (!to_parent(parent) || stat(parent, &st) != 0)
		return 0;
	return st.st_mode;
}

mode_t
lh_local_file_mode(const char *path)
{
	return S_IRUSR | S_IWUSR | (parent_mode(path) & INHERITED_FILE_BITS);
}

static bool
make_directory(const char *path)
{
	if (mkdir(path, S_IRWXU) == 0)
		return chmod(path, S_IRWXU | (parent_mode(path) & INHERITED_DIR_BITS)) == 0;
	return errno == EEXIST;		/* another process was faster */
}

/* Makes the directories above path as needed; false with errno set. */
bool
lh_local_make_parents(const char *path)
{
	char		parent[MAXPGPATH];

	strlcpy(parent, path, MAXPGPATH);
	if (!to_parent(parent))
		return true;
	if (make_directory(parent))
		return true;
	if (errno != ENOENT || !lh_local_make_parents(parent))
		return false;
	return make_directory(parent);
}

/* ---- making durable ---- */

/* Whether path could be made durable; false only where that is not for us. */
static bool
sync_directory(LhStore *store, const char *name, const char *path)
{
	int			fd;
	int			rc;

	fd = OpenTransientFile(path, O_RDONLY | PG_BINARY);
	if (fd < 0)
	{
		if (errno == EACCES || errno == EPERM)
			return false;
		lh_object_error(store, name, "make durable");
	}

	pgstat_report_wait_start(PG_WAIT_EXTENSION);
	rc = LH_FAULT_ERRNO("upload.sync_dir") ? -1 : pg_fsync(fd);
	pgstat_report_wait_end();

	/* Some file systems refuse to fsync a directory, like core we let them. */
	if (rc != 0 && errno != EBADF && errno != EINVAL && errno != EROFS)
		lh_object_error(store, name, "make durable");
	CloseTransientFile(fd);
	return true;
}

/*
 * Makes the way to a published object durable.  Who made a directory cannot be
 * known (another backend may have, and not have come to its fsync yet), so the
 * whole way up to the location's parent is synced each time, at some 0.1 ms for
 * a directory without changes.  What is above that is synced once in a backend.
 */
void
lh_local_sync_parents(LhStore *store, const char *name)
{
	LocalStore *local = (LocalStore *) store;
	size_t		root_len = strlen(local->root);
	bool		above = false;	/* has the location's parent been reached? */
	char		path[MAXPGPATH];

	if (!enableFsync)
		return;

	lh_local_path(store, name, path);
	while (to_parent(path))
	{
		if (above && local->ancestors_durable)
			break;
		if (!sync_directory(store, name, path) && above)
			break;
		if (strlen(path) < root_len)
			above = true;
	}
	local->ancestors_durable = true;
}

/* ---- listing ---- */

/*
 * The entries of a directory, palloc'd.  They are read before any is looked
 * at: the caller may remove them, and no directory stays open meanwhile.
 */
static List *
read_directory(const char *path)
{
	List	   *entries = NIL;
	DIR		   *dir;
	struct dirent *entry;

	lh_counters.lists++;
	dir = AllocateDir(path);
	if (dir == NULL)
	{
		if (errno == ENOENT || errno == ENOTDIR)
			return NIL;
		lh_path_error(ERROR, path, "list directory");
	}
	while ((entry = ReadDir(dir, path)) != NULL)
	{
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			entries = lappend(entries, pstrdup(entry->d_name));
	}
	FreeDir(dir);
	return entries;
}

typedef struct Walk
{
	LhStore    *store;
	const char *prefix;
	LhListCallback callback;
	void	   *arg;
} Walk;

/* Does one of the two begin with the other? */
static bool
on_the_way(const char *name, const char *prefix)
{
	return strncmp(name, prefix, Min(strlen(name), strlen(prefix))) == 0;
}

/* Of <name>.tmp-<pid>-<n>. */
static int
temp_pid(const char *name)
{
	const char *p = NULL;

	while ((name = strstr(name, ".tmp-")) != NULL)
		p = name += strlen(".tmp-");
	return atoi(p);
}

static void
report_object(const Walk *walk, const char *name, const struct stat *st)
{
	LhObjectInfo info = {
		.name = name,
		.size = st->st_size,
		.mtime = time_t_to_timestamptz(st->st_mtime),
		.is_temp = lh_name_is_temp(name),
	};

	if (info.is_temp)
		info.temp_pid = temp_pid(name);
	walk->callback(&info, walk->arg);
}

/* dir is a name, "" for the location itself. */
static void
walk_directory(const Walk *walk, const char *dir, int depth)
{
	char		path[MAXPGPATH];
	List	   *entries;
	ListCell   *lc;

	CHECK_FOR_INTERRUPTS();
	if (depth > MAX_DEPTH)
		return;
	lh_local_path(walk->store, dir, path);
	entries = read_directory(path);

	foreach(lc, entries)
	{
		char	   *name = psprintf("%s%s%s", dir, dir[0] != '\0' ? "/" : "",
									(char *) lfirst(lc));
		struct stat st;

		if (lh_name_is_valid(name) && on_the_way(name, walk->prefix))
		{
			lh_local_path(walk->store, name, path);
			if (lstat(path, &st) != 0)
			{
				if (errno != ENOENT)
					lh_object_error(walk->store, name, "look up");
			}
			else if (S_ISDIR(st.st_mode))
				walk_directory(walk, name, depth + 1);
			else if (S_ISREG(st.st_mode) &&
					 strncmp(name, walk->prefix, strlen(walk->prefix)) == 0)
				report_object(walk, name, &st);
		}
		pfree(name);
	}
	list_free_deep(entries);
}

/*
 * The walk begins in the directory that the prefix names, so that a listing of
 * one folder does not read the others.
 */
void
lh_local_list(LhStore *store, const char *prefix, LhListCallback callback,
			  void *arg)
{
	Walk		walk = {store, prefix, callback, arg};
	char	   *dir = pstrdup(prefix);
	char	   *slash = strrchr(dir, '/');

	if (slash != NULL)
		*slash = '\0';
	else
		dir[0] = '\0';
	walk_directory(&walk, dir, 0);
	pfree(dir);
}

/* ---- removing ---- */

/*
 * Logged first: what a crash leaves behind here is found again as an orphan,
 * what it left on a standby would never be.
 */
bool
lh_local_remove(LhStore *store, const char *name, bool missing_ok,
				TransactionId horizon)
{
	char		path[MAXPGPATH];
	struct stat st;

	lh_local_path(store, name, path);
	lh_local_forget(path);
	if (!lh_name_is_temp(name) && lstat(path, &st) == 0)
		lh_wal_log_remove(path, horizon);
	if (LH_FAULT_ERRNO("object.remove") || unlink(path) != 0)
	{
		if (errno == ENOENT && missing_ok)
			return false;
		lh_object_error(store, name, "remove");
	}
	LH_FAULT_POINT("object.removed");
	return true;
}

/*
 * rmdir refuses what is not empty, so no check is needed, and none would hold.
 * An upload whose directory goes away makes it anew (local_write.c).  Returns
 * whether anything was removed.
 */
bool
lh_local_remove_empty_tree(const char *path, int depth, int elevel)
{
	List	   *entries;
	ListCell   *lc;
	bool		removed = false;

	CHECK_FOR_INTERRUPTS();
	if (depth > MAX_DEPTH)
		return false;
	entries = read_directory(path);

	foreach(lc, entries)
	{
		char	   *entry = lfirst(lc);
		char		below[MAXPGPATH];
		struct stat st;

		if (lh_segments_problem(entry) == NULL &&
			snprintf(below, MAXPGPATH, "%s/%s", path, entry) < MAXPGPATH &&
			lstat(below, &st) == 0 && S_ISDIR(st.st_mode))
			removed |= lh_local_remove_empty_tree(below, depth + 1, elevel);
	}
	list_free_deep(entries);

	if (rmdir(path) == 0)
		removed = true;
	else if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOENT && errno != ENOTDIR)
		lh_path_error(elevel, path, "remove directory");
	return removed;
}

void
lh_local_remove_empty_dirs(LhStore *store, const char *prefix)
{
	size_t		len = strlen(prefix);
	char	   *dir = pnstrdup(prefix, len > 0 && prefix[len - 1] == '/' ? len - 1 : len);
	char		path[MAXPGPATH];

	lh_local_path(store, dir, path);
	if (lh_local_remove_empty_tree(path, 0, ERROR))
		lh_wal_log_remove_dirs(path);
	pfree(dir);
}
