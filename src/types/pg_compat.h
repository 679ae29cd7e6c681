/*
 * pg_compat.h
 *	  What differs between the supported PostgreSQL versions, 15 to 18.  No
 *	  other file looks at PG_VERSION_NUM.
 */
#ifndef LH_PG_COMPAT_H
#define LH_PG_COMPAT_H

#include "postgres.h"

#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "storage/bufmgr.h"
#include "storage/lock.h"
#include "storage/smgr.h"
#include "utils/acl.h"
#include "utils/pg_locale.h"

#if PG_VERSION_NUM >= 160000
#include "varatt.h"				/* was part of postgres.h */
#endif

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "lakehouse needs PostgreSQL 15, 16, 17 or 18"
#endif

/* PostgreSQL 18 renamed its own macro, which stood behind the declaration. */
#define LH_NORETURN __attribute__((noreturn))

/* Has the column stored values?  Dropped ones have not, nor have virtual ones. */
static inline bool
lh_att_is_stored(Form_pg_attribute att)
{
#if PG_VERSION_NUM >= 180000
	if (att->attgenerated == ATTRIBUTE_GENERATED_VIRTUAL)
		return false;
#endif
	return !att->attisdropped;
}

/* Does the collation compare bytes? */
static inline bool
lh_collation_is_c(Oid collation)
{
	if (!OidIsValid(collation))
		return false;
#if PG_VERSION_NUM >= 180000
	return pg_newlocale_from_collation(collation)->collate_is_c;
#else
	return lc_collate_is_c(collation);
#endif
}

/* What tuple_update reports about indexes. */
#if PG_VERSION_NUM >= 160000
#define LhUpdateIndexes TU_UpdateIndexes
#else
#define LhUpdateIndexes bool
#endif

/* Relation files were renamed in 16. */
#if PG_VERSION_NUM >= 160000
#define RelFileNode RelFileLocator
#define RelFileNodeEquals RelFileLocatorEquals
#define rd_node rd_locator
#define dbNode dbOid
#define relNode relNumber
#endif

/* The first block of a relation file that nobody else knows yet, locked. */
static inline Buffer
lh_extend_new_file(SMgrRelation smgr, RelFileNode node)
{
#if PG_VERSION_NUM >= 160000
	return ExtendBufferedRel(BMR_SMGR(smgr, RELPERSISTENCE_PERMANENT), MAIN_FORKNUM, NULL, EB_LOCK_FIRST);
#else
	return ReadBufferWithoutRelcache(node, MAIN_FORKNUM, P_NEW, RBM_ZERO_AND_LOCK, NULL, true);
#endif
}

static inline bool
lh_lock_held_by_me(const LOCKTAG *tag, LOCKMODE mode)
{
#if PG_VERSION_NUM >= 170000
	return LockHeldByMe(tag, mode, false);
#else
	return LockHeldByMe(tag, mode);
#endif
}

static inline bool
lh_owns_database(Oid database, Oid role)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(DatabaseRelationId, database, role);
#else
	return pg_database_ownercheck(database, role);
#endif
}

/* An SQL-callable function, exported although everything else is hidden. */
#define LH_FUNCTION(name) \
	extern PGDLLEXPORT Datum name(PG_FUNCTION_ARGS); \
	PG_FUNCTION_INFO_V1(name)

#endif							/* LH_PG_COMPAT_H */
