/*
 * store_error.c
 *	  From errno to an error of ours: which SQLSTATE, and a text that names
 *	  the object and the location.
 */
#include "postgres.h"

#include <errno.h>

#include "objstore/objstore_int.h"

/*
 * Like core's errcode_for_file_access(), which does not know quotas and file
 * size limits and would call them internal errors.
 */
int
lh_errcode_for_errno(int err)
{
	switch (err)
	{
		case ENOSPC:
		case EDQUOT:
			return ERRCODE_DISK_FULL;
		case EFBIG:
			return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
		case EPERM:
		case EACCES:
		case EROFS:
			return ERRCODE_INSUFFICIENT_PRIVILEGE;
		case ENOENT:
			return ERRCODE_UNDEFINED_FILE;
		case EEXIST:
			return ERRCODE_DUPLICATE_OBJECT;
		case ENOTDIR:
		case EISDIR:
		case ENOTEMPTY:
		case ELOOP:
			return ERRCODE_WRONG_OBJECT_TYPE;
		case EMFILE:
		case ENFILE:
			return ERRCODE_INSUFFICIENT_RESOURCES;
		case ENOMEM:
			return ERRCODE_OUT_OF_MEMORY;
		default:
			return ERRCODE_IO_ERROR;
	}
}

static const char *
hint_for_errno(int err)
{
	switch (err)
	{
		case ENOSPC:
			return "Free space on the file system of the location.";
		case EDQUOT:
			return "Free space, or raise the disk quota of the server's operating system user.";
		case EPERM:
		case EACCES:
			return "The server's operating system user must be able to read and write the location.";
		case EROFS:
			return "The file system of the location is mounted read-only.";
		default:
			return NULL;
	}
}

/* errno says what happened while we wanted to <verb> the object. */
void
lh_object_error(const LhStore *store, const char *name, const char *verb)
{
	int			err = errno;
	const char *hint = hint_for_errno(err);

	ereport(ERROR,
			(errcode(lh_errcode_for_errno(err)),
			 errmsg("could not %s object \"%s\": %m", verb, name),
			 errdetail("The location is \"%s\".", store->location),
			 hint != NULL ? errhint("%s", hint) : 0));
	pg_unreachable();
}

/* The same about a file or directory of ours that is no object. */
void
lh_path_error(int elevel, const char *path, const char *verb)
{
	int			err = errno;

	ereport(elevel,
			(errcode(lh_errcode_for_errno(err)),
			 errmsg("could not %s \"%s\": %m", verb, path)));
}
