/*
 * objstore_int.h
 *	  Private to objstore/: the vtable that a kind of store fills in, and the
 *	  helpers that all kinds share.
 */
#ifndef LH_OBJSTORE_INT_H
#define LH_OBJSTORE_INT_H

#include "objstore/objstore.h"

/*
 * Bounds, in bytes without the terminating zero.  Location, name and the
 * suffix of a temporary file fit into MAXPGPATH together.
 */
#define LH_LOCATION_MAX		512
#define LH_NAME_MAX			400
#define LH_SEGMENT_MAX		200

/* pg_basebackup writes tar: longer paths below the data directory make it fail. */
#define LH_BACKUP_PATH_MAX	99

#define LH_FILE_SCHEME		"file://"

/*
 * One kind of store.  Names have been checked before they come here.  Only
 * upload_discard and fetch_cancel may not raise.
 */
typedef struct LhStoreOps
{
	/*
	 * Called in the upload's own memory context.  Stores its state in *state
	 * before it acquires anything, so that discard finds it after an error.
	 * append gets pieces of about 1 MB (the last one may be small).
	 */
	void		(*upload_begin) (LhStore *store, const char *name, void **state);
	void		(*upload_append) (void *state, const void *data, size_t len);
	void		(*upload_publish) (void *state, bool replace);
	void		(*upload_discard) (void *state);

	void		(*read) (LhStore *store, const char *name, int64 offset, int64 len, void *buf);
	LhFetch    *(*fetch_submit) (LhStore *store, const char *name,
								 int64 offset, int64 len, void *buf);
	void		(*fetch_wait) (LhFetch *fetch);
	void		(*fetch_cancel) (LhFetch *fetch);

	int64		(*size) (LhStore *store, const char *name, bool missing_ok);
	char	   *(*read_all) (LhStore *store, const char *name, int64 limit,
							 bool missing_ok, int64 *len);
	bool		(*remove) (LhStore *store, const char *name, bool missing_ok,
						   TransactionId horizon);
	void		(*list) (LhStore *store, const char *prefix,
						 LhListCallback callback, void *arg);
	void		(*remove_empty_dirs) (LhStore *store, const char *prefix);
} LhStoreOps;

/*
 * Replay writes an object under <hash of its path>.tmp-0-0 in its directory
 * until it is whole.  No process has the id 0, so that is known as what it is.
 */
#define LH_REPLAY_SUFFIX	".tmp-0-0"

/* A store of some kind begins with this. */
struct LhStore
{
	const LhStoreOps *ops;
	char	   *location;
};

/* A fetch of some kind begins with this. */
struct LhFetch
{
	LhStore    *store;
};

typedef struct LocalStore
{
	LhStore		base;
	const char *root;			/* absolute directory, points into location */
	bool		ancestors_durable;	/* above root's parent, see local_dir.c */
} LocalStore;

/* objstore.c */
extern LhStoreCounters lh_counters;
extern bool lh_name_is_temp(const char *name);
extern void lh_name_check(const char *name, bool allow_temp);
extern bool lh_name_is_valid(const char *name);

/* location.c */
extern void lh_location_define_settings(void);
extern const char *lh_segments_problem(const char *path);
extern bool lh_location_travels(const char *path);

/* wal_log.c */
extern bool lh_wal_path(const char *path, char *wal_path);
extern void lh_wal_log_object(const char *path, int64 size, uint32 crc);
extern void lh_wal_log_remove(const char *path, TransactionId horizon);
extern void lh_wal_log_remove_dirs(const char *path);

/* wal_redo.c */
extern bool lh_wal_registered;
extern void lh_wal_register(void);

/* fault.c */
extern void lh_fault_define_setting(void);

/* store_error.c */
extern int	lh_errcode_for_errno(int err);
extern void lh_object_error(const LhStore *store, const char *name,
							const char *verb) __attribute__((noreturn));
extern void lh_path_error(int elevel, const char *path, const char *verb);

/* local_dir.c */
extern void lh_local_path(const LhStore *store, const char *name, char *path);
extern size_t lh_local_path_limit(const char *path);
extern bool lh_local_make_parents(const char *path);
extern mode_t lh_local_file_mode(const char *path);
extern void lh_local_sync_parents(LhStore *store, const char *name);
extern bool lh_local_remove_empty_tree(const char *path, int depth, int elevel);
extern void lh_local_list(LhStore *store, const char *prefix,
						  LhListCallback callback, void *arg);
extern bool lh_local_remove(LhStore *store, const char *name, bool missing_ok,
							TransactionId horizon);
extern void lh_local_remove_empty_dirs(LhStore *store, const char *prefix);

/* local_read.c */
extern void lh_local_read(LhStore *store, const char *name, int64 offset, int64 len, void *buf);
extern LhFetch *lh_local_fetch_submit(LhStore *store, const char *name,
									  int64 offset, int64 len, void *buf);
extern void lh_local_fetch_wait(LhFetch *fetch);
extern void lh_local_fetch_cancel(LhFetch *fetch);
extern int64 lh_local_size(LhStore *store, const char *name, bool missing_ok);
extern char *lh_local_read_all(LhStore *store, const char *name, int64 limit,
							   bool missing_ok, int64 *len);
extern void lh_local_forget(const char *path);
extern void lh_local_forget_all(void);

/* local_write.c */
extern void lh_local_upload_begin(LhStore *store, const char *name, void **state);
extern void lh_local_upload_append(void *state, const void *data, size_t len);
extern void lh_local_upload_publish(void *state, bool replace);
extern void lh_local_upload_discard(void *state);

#endif							/* LH_OBJSTORE_INT_H */
