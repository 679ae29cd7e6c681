/*
 * lh_init.c
 *	  _PG_init: the order in which the layers are set up, and nothing else.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "catalog/lh_catalog.h"
#include "exec/lh_exec.h"
#include "hnsw/hnsw.h"
#include "ivfflat/ivfflat.h"
#include "nearest/nearest.h"
#include "objstore/objstore.h"
#include "publish/lh_publish.h"
#include "tableam/lh_tableam.h"
#include "vector/vector.h"

PG_MODULE_MAGIC;

bool		lh_preloaded = false;

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	lh_preloaded = process_shared_preload_libraries_in_progress;

	lh_vector_init();
	lh_hnsw_init();
	lh_ivfflat_init();
	lh_objstore_init();
	lh_options_init();
	lh_tableam_init();
	lh_exec_init();
	lh_nearest_init();
	lh_publish_init();
	MarkGUCPrefixReserved("lakehouse");
}
