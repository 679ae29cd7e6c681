/*
 * fault.c
 *	  Fault points: the setting lakehouse.debug_fail_at and what it does.
 *
 * A crash test wants to die between two given system calls.  Each such place
 * is a named point; the setting arms one of them.  Unarmed, a point costs one
 * test of a bool.  The list below is the only place that names them all; the
 * setting refuses a name that is not there.
 */
#include "postgres.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "miscadmin.h"
#include "utils/guc.h"

#include "objstore/objstore_int.h"

/*
 * Every fault point.  "errno" marks those where an errno action makes the
 * system call fail; elsewhere it raises the error itself.
 */
static const char *const fault_points[] = {
	/* objstore: one upload, in this order (lh_store_put passes them too) */
	"upload.begin",				/* before the temporary file is made */
	"upload.create",			/* errno: making the temporary file */
	"upload.write",				/* errno: each write of about 1 MB */
	"upload.sync",				/* errno: fsync of the temporary file */
	"upload.publish",			/* errno: giving it its name */
	"upload.published",			/* named, its directory entry not yet durable */
	"upload.sync_dir",			/* errno: each fsync of a directory */
	"upload.log",				/* durable, not yet in the WAL */
	"upload.log_chunk",			/* each piece of 128 kB in the WAL */
	"upload.done",				/* durable, not yet reported */
	/* objstore: the rest */
	"fetch.read",				/* errno: each read of at most 8 MB */
	"object.remove",			/* errno: removing an object */
	"object.removed",			/* removed, not yet reported */
	/* storage: one data file of a statement, in this order */
	"file-finish",				/* written, upload not yet finished */
	"file-finished",			/* durable, its catalog row not yet made */
	"file-cataloged",			/* catalog row made, statement goes on */
	/* publish: one version, in this order */
	"publish-file-cataloged",
	"publish-delta-moved",
	"publish-manifest-written",
	"publish-list-written",
	"publish-metadata-written",
	"publish-commit",			/* before the worker's commit */
	"publish-committed",
	/* publish: compaction */
	"compact-rewritten",
};

typedef enum FaultAction
{
	FAULT_ERROR,
	FAULT_ERRNO,
	FAULT_KILL,
	FAULT_STOP
} FaultAction;

typedef struct FaultSpec
{
	const char *point;			/* into fault_points */
	int64		nth;
	FaultAction action;
	int			err;			/* FAULT_ERRNO */
} FaultSpec;

static const struct
{
	const char *name;
	int			err;
}			errno_names[] = {
	{"ENOSPC", ENOSPC},
	{"EDQUOT", EDQUOT},
	{"EFBIG", EFBIG},
	{"EIO", EIO},
	{"EROFS", EROFS},
	{"EACCES", EACCES},
	{"EMFILE", EMFILE},
	{"ENOENT", ENOENT},
	{"EINTR", EINTR},
};

bool		lh_fault_armed = false;

static char *debug_fail_at = NULL;
static FaultSpec fault_spec;
static int64 fault_passes = 0;

static const char *
find_point(const char *name, size_t len)
{
	for (int i = 0; i < (int) lengthof(fault_points); i++)
	{
		if (strlen(fault_points[i]) == len &&
			strncmp(fault_points[i], name, len) == 0)
			return fault_points[i];
	}
	return NULL;
}

static bool
parse_action(const char *action, FaultSpec *spec)
{
	if (strcmp(action, "error") == 0)
		spec->action = FAULT_ERROR;
	else if (strcmp(action, "kill") == 0)
		spec->action = FAULT_KILL;
	else if (strcmp(action, "stop") == 0)
		spec->action = FAULT_STOP;
	else
	{
		for (int i = 0; i < (int) lengthof(errno_names); i++)
		{
			if (strcmp(action, errno_names[i].name) == 0)
			{
				spec->action = FAULT_ERRNO;
				spec->err = errno_names[i].err;
				return true;
			}
		}
		return false;
	}
	return true;
}

/* Parses point[:n[:action]]; returns what is wrong, or NULL. */
static const char *
parse_spec(const char *text, FaultSpec *spec)
{
	const char *colon = strchrnul(text, ':');
	char	   *end;

	spec->point = find_point(text, colon - text);
	spec->nth = 1;
	spec->action = FAULT_ERROR;
	spec->err = 0;
	if (spec->point == NULL)
		return "There is no such fault point; src/objstore/fault.c lists them.";
	if (*colon == '\0')
		return NULL;

	errno = 0;
	spec->nth = strtol(colon + 1, &end, 10);
	if (end == colon + 1 || errno != 0 || spec->nth < 1)
		return "The number of the pass must be 1 or more.";
	if (*end == '\0')
		return NULL;
	if (*end != ':' || !parse_action(end + 1, spec))
		return "The action must be error, kill, stop or an errno name such as ENOSPC.";
	return NULL;
}

static bool
check_debug_fail_at(char **newval, void **extra pg_attribute_unused(),
					GucSource source pg_attribute_unused())
{
	FaultSpec	spec;
	const char *problem;

	if (*newval == NULL || **newval == '\0')
		return true;
	problem = parse_spec(*newval, &spec);
	if (problem != NULL)
	{
		GUC_check_errdetail("%s", problem);
		return false;
	}
	return true;
}

/* Parses once more: what a check hook hands over is malloc'd in 15, palloc'd since 16. */
static void
assign_debug_fail_at(const char *newval, void *extra pg_attribute_unused())
{
	fault_passes = 0;
	lh_fault_armed = newval != NULL && *newval != '\0' && parse_spec(newval, &fault_spec) == NULL;
}

void
lh_fault_define_setting(void)
{
	DefineCustomStringVariable("lakehouse.debug_fail_at",
							   "Makes a chosen step of storage code fail, for crash tests.",
							   "Form: point[:n[:action]]; action is error, kill, stop or an errno name.",
							   &debug_fail_at,
							   "",
							   PGC_SUSET,
							   GUC_NOT_IN_SAMPLE,
							   check_debug_fail_at,
							   assign_debug_fail_at,
							   NULL);
}

/*
 * Counts a pass of the point; if it is the one to act at, acts, and returns
 * the errno to fail with or 0.
 */
static int
hit(const char *name)
{
	Assert(find_point(name, strlen(name)) != NULL);

	if (strcmp(fault_spec.point, name) != 0 || ++fault_passes != fault_spec.nth)
		return 0;

	switch (fault_spec.action)
	{
		case FAULT_ERROR:
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("fault point \"%s\" reached", name)));
			break;
		case FAULT_ERRNO:
			return fault_spec.err;
		case FAULT_KILL:
			/* To oneself it is delivered before kill() returns. */
			(void) kill(getpid(), SIGKILL);
			break;
		case FAULT_STOP:
			(void) kill(getpid(), SIGSTOP);
			break;
	}
	return 0;
}

void
lh_fault_point(const char *name)
{
	int			err = hit(name);

	if (err != 0)
	{
		errno = err;
		ereport(ERROR,
				(errcode(lh_errcode_for_errno(err)),
				 errmsg("fault point \"%s\" reached: %m", name)));
	}
}

bool
lh_fault_errno(const char *name)
{
	int			err = hit(name);

	if (err == 0)
		return false;
	errno = err;
	return true;
}
