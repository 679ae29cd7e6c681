/*
 * upload.c
 *	  Uploads: buffering, and the promise that nothing is left behind.
 *
 * The upload, its buffer and the store's state live in one memory context, a
 * child of the caller's.  Whoever deletes that context, finish, abort or the
 * end of the transaction, runs the callback that discards what was not
 * published.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "objstore/objstore_int.h"

#define UPLOAD_BUFFER_SIZE	(1024 * 1024)

typedef enum UploadStatus
{
	UPLOAD_OPEN,
	UPLOAD_BROKEN,				/* an error was raised while sending */
	UPLOAD_PUBLISHED
} UploadStatus;

struct LhUpload
{
	LhStore    *store;
	char	   *name;
	MemoryContext context;
	MemoryContextCallback callback;
	void	   *state;			/* the store's; NULL before begin */
	UploadStatus status;
	char	   *buffer;			/* made by the first small write */
	size_t		fill;
	int64		bytes;
};

static void
discard(void *arg)
{
	LhUpload   *upload = (LhUpload *) arg;

	if (upload->state != NULL && upload->status != UPLOAD_PUBLISHED)
		upload->store->ops->upload_discard(upload->state);
	upload->state = NULL;
}

LhUpload *
lh_upload_begin(LhStore *store, const char *name)
{
	MemoryContext context;
	MemoryContext old;
	LhUpload   *upload;

	lh_name_check(name, false);

	context = AllocSetContextCreate(CurrentMemoryContext, "lakehouse upload",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	upload = palloc0(sizeof(LhUpload));
	upload->store = store;
	upload->name = pstrdup(name);
	upload->context = context;
	upload->callback.func = discard;
	upload->callback.arg = upload;
	MemoryContextRegisterResetCallback(context, &upload->callback);

	LH_FAULT_POINT("upload.begin");
	store->ops->upload_begin(store, upload->name, &upload->state);
	MemoryContextSwitchTo(old);
	return upload;
}

/* Marks the upload broken while it sends, so that an error leaves it so. */
static void
send_bytes(LhUpload *upload, const void *data, size_t len)
{
	CHECK_FOR_INTERRUPTS();
	upload->status = UPLOAD_BROKEN;
	upload->store->ops->upload_append(upload->state, data, len);
	upload->status = UPLOAD_OPEN;
	lh_counters.bytes_written += len;
}

static void
send_buffer(LhUpload *upload)
{
	if (upload->fill > 0)
		send_bytes(upload, upload->buffer, upload->fill);
	upload->fill = 0;
}

static void
require_open(const LhUpload *upload)
{
	if (upload->status != UPLOAD_OPEN)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("upload of object \"%s\" has already failed",
						upload->name)));
}

void
lh_upload_write(LhUpload *upload, const void *data, size_t len)
{
	const char *bytes = (const char *) data;

	require_open(upload);
	upload->bytes += len;

	while (len > 0)
	{
		size_t		take;

		/* A big piece has nothing to gain from the buffer. */
		if (upload->fill == 0 && len >= UPLOAD_BUFFER_SIZE)
		{
			send_bytes(upload, bytes, UPLOAD_BUFFER_SIZE);
			bytes += UPLOAD_BUFFER_SIZE;
			len -= UPLOAD_BUFFER_SIZE;
			continue;
		}

		if (upload->buffer == NULL)
			upload->buffer = MemoryContextAlloc(upload->context, UPLOAD_BUFFER_SIZE);
		take = Min(len, UPLOAD_BUFFER_SIZE - upload->fill);
		memcpy(upload->buffer + upload->fill, bytes, take);
		upload->fill += take;
		bytes += take;
		len -= take;
		if (upload->fill == UPLOAD_BUFFER_SIZE)
			send_buffer(upload);
	}
}

int64
lh_upload_bytes(const LhUpload *upload)
{
	return upload->bytes;
}

static void
publish(LhUpload *upload, bool replace)
{
	send_buffer(upload);
	CHECK_FOR_INTERRUPTS();
	upload->status = UPLOAD_BROKEN;
	upload->store->ops->upload_publish(upload->state, replace);
	upload->status = UPLOAD_PUBLISHED;
	lh_counters.writes++;
	LH_FAULT_POINT("upload.done");
	MemoryContextDelete(upload->context);
}

void
lh_upload_finish(LhUpload *upload)
{
	require_open(upload);
	publish(upload, false);
}

void
lh_upload_abort(LhUpload *upload)
{
	MemoryContextDelete(upload->context);
}

void
lh_store_put(LhStore *store, const char *name, const void *data, size_t len,
			 bool replace)
{
	LhUpload   *upload = lh_upload_begin(store, name);

	/* Whoever catches an error of ours shall not find a temporary file. */
	PG_TRY();
	{
		if (len > 0)
			send_bytes(upload, data, len);
		publish(upload, replace);
	}
	PG_CATCH();
	{
		lh_upload_abort(upload);
		PG_RE_THROW();
	}
	PG_END_TRY();
}
