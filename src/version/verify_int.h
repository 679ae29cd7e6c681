/*
 * verify_int.h
 *	  lakehouse.verify(): what its parts share.
 */
#ifndef LH_VERIFY_INT_H
#define LH_VERIFY_INT_H

#include "postgres.h"

#include "funcapi.h"
#include "nodes/pg_list.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

#include "catalog/lh_catalog.h"

typedef struct LhVerify
{
	ReturnSetInfo *out;
	Relation	rel;
	Snapshot	snapshot;
	LhIdentity	identity;
	LhTable    *table;			/* NULL: not published yet, here */
	int64		last_seq;		/* the newest version's number */
	List	   *files;			/* LhFile: all there ever were, */
	List	   *current;		/* and those that the snapshot reads */
	List	   *delete_files;	/* LhDeleteFile: all there ever were */
	bool		moved;			/* what is published names objects by former paths */
} LhVerify;

/* One row of the answer. */
extern void lh_finding(LhVerify *v, const char *kind, const char *object, const char *fmt,...) pg_attribute_printf(4, 5);

/*
 * Runs one check in a subtransaction and a memory context of its own: what it
 * raises is a finding, too, unless somebody wants the whole query to end.
 */
typedef void (*LhVerifyStep) (LhVerify *v, void *arg);
extern void lh_verify_try(LhVerify *v, const char *kind, const char *object, LhVerifyStep step, void *arg);

extern const LhFile *lh_verify_file_by_id(const LhVerify *v, int64 file_id);

/* verify_file.c: of a data file (LhFile), of a delete file (LhDeleteFile) */
extern void lh_verify_data_file(LhVerify *v, void *file);
extern void lh_verify_delete_file(LhVerify *v, void *file);

/* verify_rows.c: counts, row ids and tombstones; nothing to be given */
extern void lh_verify_rows(LhVerify *v, void *unused);
extern void lh_verify_tombstones(LhVerify *v, void *unused);

/* verify_metadata.c: what is published; before delete files, as it finds out about `moved` */
extern void lh_verify_metadata(LhVerify *v, void *unused);

/* verify_index.c: an index, by its OID */
extern void lh_verify_index(LhVerify *v, void *index_oid);

#endif							/* LH_VERIFY_INT_H */
