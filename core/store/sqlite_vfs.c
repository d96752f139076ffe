#include "sqlite.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * SQLite writes each page of its log as two pieces, so a commit of ten pages
 * is twenty system calls.  This VFS is the system's own but for one thing:
 * pieces of a log that follow each other are gathered and written as one.
 *
 * What is gathered is written before anything else is done with the file:
 * above all before it is synced, which with synchronous = FULL every commit
 * does before others may see its pages.  A write that fails late fails the
 * sync, and so the commit.
 */

#define GATHER_MAX (96 * 1024) /* the system's VFS takes no more than 128 KiB at once */

typedef struct {
    sqlite3_file head;
    sqlite3_file *real; /* behind this structure */
    uint8_t *p;         /* what is gathered: n bytes that belong at `at` */
    size_t n;
    sqlite3_int64 at;
} wal_file_t;

struct wagw_vfs_s {
    sqlite3_vfs vfs; /* first: SQLite knows us by it */
    sqlite3_vfs *base;
    char name[40];
};

static int wal_flush(wal_file_t *f)
{
    int rc;

    if (f->n == 0) {
        return SQLITE_OK;
    }

    rc = f->real->pMethods->xWrite(f->real, f->p, (int)f->n, f->at);
    if (rc == SQLITE_OK) {
        f->n = 0;
    }

    return rc;
}

static int wal_close(sqlite3_file *file)
{
    wal_file_t *f = (wal_file_t *)file;
    int rc = wal_flush(f), closed = f->real->pMethods->xClose(f->real);

    free(f->p);
    f->p = NULL;

    return rc != SQLITE_OK ? rc : closed;
}

static int wal_read(sqlite3_file *file, void *p, int n, sqlite3_int64 at)
{
    wal_file_t *f = (wal_file_t *)file;
    int rc = wal_flush(f);

    return rc != SQLITE_OK ? rc : f->real->pMethods->xRead(f->real, p, n, at);
}

static int wal_write(sqlite3_file *file, const void *p, int n, sqlite3_int64 at)
{
    wal_file_t *f = (wal_file_t *)file;
    int rc;

    if (n < 0 || (f->n != 0 && (at != f->at + (sqlite3_int64)f->n || (size_t)n > GATHER_MAX - f->n))) {
        rc = wal_flush(f);
        if (rc != SQLITE_OK) {
            return rc;
        }
    }

    if (f->p == NULL) {
        f->p = malloc(GATHER_MAX);
    }

    if (n < 0 || n > GATHER_MAX || f->p == NULL) {
        return f->real->pMethods->xWrite(f->real, p, n, at);
    }

    if (f->n == 0) {
        f->at = at;
    }

    memcpy(f->p + f->n, p, (size_t)n);
    f->n += (size_t)n;

    return SQLITE_OK;
}

static int wal_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    wal_file_t *f = (wal_file_t *)file;
    int rc = wal_flush(f);

    return rc != SQLITE_OK ? rc : f->real->pMethods->xTruncate(f->real, size);
}

static int wal_sync(sqlite3_file *file, int flags)
{
    wal_file_t *f = (wal_file_t *)file;
    int rc = wal_flush(f);

    return rc != SQLITE_OK ? rc : f->real->pMethods->xSync(f->real, flags);
}

static int wal_size(sqlite3_file *file, sqlite3_int64 *size)
{
    wal_file_t *f = (wal_file_t *)file;
    int rc = wal_flush(f);

    return rc != SQLITE_OK ? rc : f->real->pMethods->xFileSize(f->real, size);
}

static int wal_lock(sqlite3_file *file, int lock)
{
    wal_file_t *f = (wal_file_t *)file;

    return f->real->pMethods->xLock(f->real, lock);
}

static int wal_unlock(sqlite3_file *file, int lock)
{
    wal_file_t *f = (wal_file_t *)file;

    return f->real->pMethods->xUnlock(f->real, lock);
}

static int wal_reserved(sqlite3_file *file, int *reserved)
{
    wal_file_t *f = (wal_file_t *)file;

    return f->real->pMethods->xCheckReservedLock(f->real, reserved);
}

static int wal_control(sqlite3_file *file, int op, void *arg)
{
    wal_file_t *f = (wal_file_t *)file;
    int rc = wal_flush(f);

    return rc != SQLITE_OK ? rc : f->real->pMethods->xFileControl(f->real, op, arg);
}

static int wal_sector(sqlite3_file *file)
{
    wal_file_t *f = (wal_file_t *)file;

    return f->real->pMethods->xSectorSize(f->real);
}

static int wal_device(sqlite3_file *file)
{
    wal_file_t *f = (wal_file_t *)file;

    return f->real->pMethods->xDeviceCharacteristics(f->real);
}

/* Version 1: shared memory and mappings belong to the database's own file. */
static const sqlite3_io_methods wal_methods = {
    .iVersion = 1,
    .xClose = wal_close,
    .xRead = wal_read,
    .xWrite = wal_write,
    .xTruncate = wal_truncate,
    .xSync = wal_sync,
    .xFileSize = wal_size,
    .xLock = wal_lock,
    .xUnlock = wal_unlock,
    .xCheckReservedLock = wal_reserved,
    .xFileControl = wal_control,
    .xSectorSize = wal_sector,
    .xDeviceCharacteristics = wal_device,
};

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    sqlite3_vfs *base = ((wagw_vfs_t *)vfs)->base;
    wal_file_t *f = (wal_file_t *)file;
    int rc;

    if (!(flags & SQLITE_OPEN_WAL)) {
        return base->xOpen(base, name, file, flags, out);
    }

    *f = (wal_file_t){.real = (sqlite3_file *)(f + 1)};

    /* SQLite closes what has methods, also after a failed open */
    rc = base->xOpen(base, name, f->real, flags, out);
    f->head.pMethods = f->real->pMethods != NULL ? &wal_methods : NULL;

    return rc;
}

int wagw_vfs_make(wagw_vfs_t **out)
{
    sqlite3_vfs *base = sqlite3_vfs_find(NULL);
    wagw_vfs_t *v;

    *out = NULL;

    v = base != NULL ? calloc(1, sizeof(wagw_vfs_t)) : NULL;
    if (v == NULL) {
        return WAGW_NOMEM;
    }

    /* one for each handle, with a name of its own: whoever unloads this code
     * has closed its stores, and leaves nothing of it in SQLite's list */
    snprintf(v->name, sizeof(v->name), "wagw-%p", (void *)v);
    v->vfs = *base;
    v->vfs.pNext = NULL;
    v->vfs.zName = v->name;
    v->vfs.szOsFile = (int)sizeof(wal_file_t) + base->szOsFile;
    v->vfs.xOpen = vfs_open;
    v->base = base;

    if (sqlite3_vfs_register(&v->vfs, 0) != SQLITE_OK) {
        free(v);
        return WAGW_ERROR;
    }

    *out = v;

    return WAGW_OK;
}

const char *wagw_vfs_name(const wagw_vfs_t *v)
{
    return v->name;
}

void wagw_vfs_destroy(wagw_vfs_t *v)
{
    if (v != NULL) {
        sqlite3_vfs_unregister(&v->vfs);
        free(v);
    }
}
