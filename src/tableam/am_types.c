/*
 * am_types.c
 *	  Types that change under the tables which use them.
 *
 * A label of an enum or an attribute of a composite gets another name: the
 * rows stay as they are, but other readers know them by the names in the files
 * and in the metadata.  So the tables are given to the publisher.
 *
 * A range over an enum is text in the files, labels and all, and what it meant
 * could not be told any more after one of them is renamed: that is refused.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "storage/lh_storage.h"
#include "tableam/lh_tableam_hooks_int.h"
#include "tableam/lh_tableam_int.h"

/* Called for each lakehouse table that has a column of the type, itself or somewhere inside. */
typedef void (*UserCallback) (Oid relid, bool in_range);

static void visit_users(Oid type, bool in_range, List *seen[2], UserCallback callback);

static void
visit_user(const FormData_pg_depend *dep, bool in_range, List *seen[2], UserCallback callback)
{
	if (dep->classid == TypeRelationId)
		visit_users(dep->objid, in_range || type_is_range(dep->objid), seen, callback);
	else if (dep->classid == RelationRelationId && dep->objsubid > 0)
	{
		Oid			row_type = get_rel_type_id(dep->objid);

		if (lh_relation_am(dep->objid) == lh_am_oid())
			callback(dep->objid, in_range);
		if (OidIsValid(row_type))
			visit_users(row_type, in_range, seen, callback);
	}
}

/*
 * Columns, domains, arrays, ranges and composites depend on their types.
 * `seen`: types visited outside of a range, and in one.
 */
static void
visit_users(Oid type, bool in_range, List *seen[2], UserCallback callback)
{
	Relation	depend;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	check_stack_depth();
	if (list_member_oid(seen[in_range], type))
		return;
	seen[in_range] = lappend_oid(seen[in_range], type);
	depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(TypeRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(type));
	scan = systable_beginscan(depend, DependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		visit_user((FormData_pg_depend *) GETSTRUCT(tuple), in_range, seen, callback);
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
}

static void
for_each_user(Oid type, UserCallback callback)
{
	List	   *seen[2] = {NIL, NIL};

	if (OidIsValid(lh_am_oid()))
		visit_users(type, false, seen, callback);
	list_free(seen[0]);
	list_free(seen[1]);
}

/* ---- composites ---- */

static void
mark_dirty(Oid relid, bool in_range)
{
	lh_dirty_add(relid);
}

void
lh_attribute_changed(Oid relid)
{
	Oid			row_type = get_rel_type_id(relid);

	if (OidIsValid(row_type))
		for_each_user(row_type, mark_dirty);
}

/* ---- enums ---- */

static void
mark_relabeled(Oid relid, bool in_range)
{
	if (in_range)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot rename a label of an enum that table \"%s\" has a range of",
						get_rel_name(relid)),
				 errdetail("Files of a lakehouse table hold ranges as text, with the labels of the time of writing."),
				 errhint("Add a new label and update the rows, or use ALTER TABLE ... SET ACCESS METHOD heap first.")));
	lh_dirty_add(relid);
}

void
lh_label_renamed(const List *type_name)
{
	for_each_user(typenameTypeId(NULL, makeTypeNameFromNameList((List *) type_name)), mark_relabeled);
}
