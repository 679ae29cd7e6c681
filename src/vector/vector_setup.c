/*
 * vector_setup.c
 *	  Who owns the vector types of a database: the extension lakehouse, or one
 *	  called vector, which is pgvector or our shim by that name.
 *
 * Both extension scripts hold the same SQL as text and hand it to
 * lh_vector_setup(), which runs it for the one that comes first.  The one that
 * comes second depends on the first: pg_dump then writes them in this order,
 * and DROP says what else would go.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/syscache.h"

#include "vector_int.h"

LH_FUNCTION(lh_vector_setup);

static const char *const type_names[] = {"vector", "halfvec", "sparsevec"};
static const char *const method_names[] = {"hnsw", "ivfflat"};

/* The type `vector` that the extension owns, or InvalidOid. */
static Oid
owned_vector_type(Oid extension)
{
	CatCList   *list = SearchSysCacheList1(TYPENAMENSP, CStringGetDatum("vector"));
	Oid			found = InvalidOid;

	for (int i = 0; i < list->n_members && !OidIsValid(found); i++)
	{
		Form_pg_type form = (Form_pg_type) GETSTRUCT(&list->members[i]->tuple);

		if (getExtensionOfObject(TypeRelationId, form->oid) == extension)
			found = form->oid;
	}
	ReleaseSysCacheList(list);
	return found;
}

/* Is the type's input function ours? */
static bool
is_our_type(Oid type)
{
	HeapTuple	type_tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	HeapTuple	proc_tuple;
	bool		ours = false;
	bool		isnull;

	if (!HeapTupleIsValid(type_tuple))
		return false;
	proc_tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(((Form_pg_type) GETSTRUCT(type_tuple))->typinput));
	if (HeapTupleIsValid(proc_tuple))
	{
		Datum		source = SysCacheGetAttr(PROCOID, proc_tuple, Anum_pg_proc_prosrc, &isnull);

		ours = !isnull && strcmp(TextDatumGetCString(source), "lh_vector_in") == 0;
		ReleaseSysCache(proc_tuple);
	}
	ReleaseSysCache(type_tuple);
	return ours;
}

/* The extension being created depends on the other one. */
static void
depend_on(Oid extension)
{
	ObjectAddress self;
	ObjectAddress other;

	ObjectAddressSet(self, ExtensionRelationId, CurrentExtensionObject);
	ObjectAddressSet(other, ExtensionRelationId, extension);
	recordDependencyOn(&self, &other, DEPENDENCY_NORMAL);
}

/* Somebody else's type or access method by one of our names? */
static const char *
foreign_object(void)
{
	Oid			nsp = linitial_oid(fetch_search_path(false));	/* the script's target schema */

	for (int i = 0; i < lengthof(type_names); i++)
		if (SearchSysCacheExists2(TYPENAMENSP, CStringGetDatum(type_names[i]), ObjectIdGetDatum(nsp)))
			return psprintf("type \"%s\"", type_names[i]);
	for (int i = 0; i < lengthof(method_names); i++)
		if (OidIsValid(get_am_oid(method_names[i], true)))
			return psprintf("access method \"%s\"", method_names[i]);
	return NULL;
}

static void
run_script(const char *sql)
{
	int			result;

	SPI_connect();
	result = SPI_execute(sql, false, 0);
	if (result < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not create the vector types: %s", SPI_result_code_string(result))));
	SPI_finish();
}

/*
 * lh_vector_setup(which, sql): the script of the extension lakehouse or of the
 * shim runs this SQL
 *	- 'own': unless the other extension owns the types;
 *	- 'pgvector': only if the other extension is the real pgvector.
 */
Datum
lh_vector_setup(PG_FUNCTION_ARGS)
{
	char	   *which = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *sql = text_to_cstring(PG_GETARG_TEXT_PP(1));
	bool		own = strcmp(which, "own") == 0;
	bool		is_shim;
	Oid			other;
	Oid			their_type = InvalidOid;
	const char *object;

	if (!creating_extension)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this function works only while an extension is being created")));
	is_shim = strcmp(get_extension_name(CurrentExtensionObject), "vector") == 0;
	other = get_extension_oid(is_shim ? "lakehouse" : "vector", true);
	if (OidIsValid(other))
		their_type = owned_vector_type(other);

	if (own && OidIsValid(their_type))
		depend_on(other);
	else if (own && !is_shim && (object = foreign_object()) != NULL)
		ereport(WARNING,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("the vector types and index access methods are not created"),
				 errdetail("The database has %s of another origin.", object)));
	else if (own || (OidIsValid(their_type) && !is_our_type(their_type)))
		run_script(sql);
	PG_RETURN_VOID();
}
