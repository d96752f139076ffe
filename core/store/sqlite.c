#include "sqlite.h"
#include "sql_sqlite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define APPLICATION_ID "2002872183" /* "wagw" as a number: file(1) and we know our databases by it */
#define BUSY_MS 5000
#define MIGRATION_MAX (1024 * 1024)

static int store_int(wagw_store_t *s, const char *literal, int64_t *v)
{
    sqlite3_stmt *st = wagw_sql(s, literal);
    int rc = wagw_sql_step(s, st);

    if (rc == WAGW_OK) {
        *v = sqlite3_column_int64(st, 0);
        wagw_sql_done(st);
    }

    return rc;
}

static int store_file(wagw_store_t *s)
{
    int fd, rc;

    /* statistics of its memory cost SQLite a lock per piece; refused, without
     * harm, when somebody in the process has used SQLite already */
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);

    /* made here and not by SQLite: nobody else may read it, whatever the umask */
    fd = open(s->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return wagw_store_fail(s, WAGW_IO, "cannot open \"%s\": %s", s->path, strerror(errno));
    }

    close(fd);

    rc = wagw_vfs_make(&s->vfs);
    if (rc != WAGW_OK) {
        return wagw_store_fail(s, rc, "cannot open \"%s\": no memory", s->path);
    }

    rc = sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, wagw_vfs_name(s->vfs));
    if (rc != SQLITE_OK) {
        return wagw_store_fail(s, WAGW_IO, "cannot open \"%s\": %s", s->path,
                               s->db != NULL ? sqlite3_errmsg(s->db) : "no memory");
    }

    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_busy_timeout(s->db, BUSY_MS);

    return wagw_sql_exec(s, "PRAGMA journal_mode = WAL;"
                            "PRAGMA synchronous = FULL;"
                            "PRAGMA foreign_keys = ON;"
                            "PRAGMA secure_delete = FAST;"
                            "PRAGMA temp_store = MEMORY;"
                            "PRAGMA cache_size = -16384;"
                            "PRAGMA wal_autocheckpoint = 4000;"
                            "PRAGMA journal_size_limit = 67108864;");
}

static int store_ours(wagw_store_t *s)
{
    int64_t id = 0, tables = 0;
    int rc;

    rc = store_int(s, "PRAGMA application_id", &id);
    if (rc == WAGW_OK) {
        rc = store_int(s, "SELECT count(*) FROM sqlite_master", &tables);
    }

    if (rc != WAGW_OK) {
        return rc;
    }

    if (id == 0 && tables == 0) {
        return wagw_sql_exec(s, "BEGIN IMMEDIATE;"
                                "PRAGMA application_id = " APPLICATION_ID ";"
                                "CREATE TABLE IF NOT EXISTS migrations ("
                                "num INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL);"
                                "COMMIT;");
    }

    if (id != strtoll(APPLICATION_ID, NULL, 10)) {
        return wagw_store_fail(s, WAGW_STATE, "%s: is a database of another program", s->path);
    }

    return WAGW_OK;
}

static int store_migrate(wagw_store_t *s, int num, const char *name, const char *text)
{
    sqlite3_stmt *st;
    char why[sizeof(s->error)];
    int rc;

    st = wagw_sql(s, "SELECT 1 FROM migrations WHERE num = ?1");
    wagw_sql_bind(st, "i", (int64_t)num);
    rc = wagw_sql_step(s, st);

    if (rc != WAGW_NOT_FOUND) {
        wagw_sql_done(st);
        return rc;
    }

    rc = wagw_sql_exec(s, "BEGIN IMMEDIATE");
    if (rc != WAGW_OK) {
        return rc;
    }

    rc = wagw_sql_exec(s, text);
    if (rc == WAGW_OK) {
        st = wagw_sql(s, "INSERT INTO migrations (num, name, applied_at) VALUES (?1, ?2, datetime('now'))");
        wagw_sql_bind(st, "is", (int64_t)num, wagw_cstr(name));
        rc = wagw_sql_run(s, st);
    }

    if (rc == WAGW_OK) {
        rc = wagw_sql_exec(s, "COMMIT");
    }

    if (rc != WAGW_OK) {
        memcpy(why, s->error, sizeof(why));

        if (!sqlite3_get_autocommit(s->db)) {
            sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
        }

        return wagw_store_fail(s, WAGW_IO, "migration %.60s failed: %.400s", name, why);
    }

    return WAGW_OK;
}

static int store_newest(wagw_store_t *s, int newest)
{
    int64_t have = 0;
    int rc = store_int(s, "SELECT coalesce(max(num), 0) FROM migrations", &have);

    if (rc == WAGW_OK && have > newest) {
        return wagw_store_fail(s, WAGW_STATE, "%s: was written by a newer version (schema %d, known %d)", s->path,
                               (int)have, newest);
    }

    return rc;
}

static int store_embedded(wagw_store_t *s)
{
    size_t i, n = sizeof(wagw_migrations) / sizeof(wagw_migrations[0]);
    int rc = store_newest(s, wagw_migrations[n - 1].num);

    for (i = 0; i < n && rc == WAGW_OK; i++) {
        rc = store_migrate(s, wagw_migrations[i].num, wagw_migrations[i].name, wagw_migrations[i].sql);
    }

    return rc;
}

static int migration_name(const struct dirent *e)
{
    const char *p = e->d_name;
    size_t n = strlen(p);

    return n > 8 && p[0] >= '0' && p[0] <= '9' && p[1] >= '0' && p[1] <= '9' && p[2] >= '0' && p[2] <= '9' &&
           p[3] == '-' && strcmp(p + n - 4, ".sql") == 0;
}

static int store_script(wagw_store_t *s, const char *dir, const char *name)
{
    wagw_buf_t path = {0}, text = {0};
    FILE *f = NULL;
    size_t n;
    int rc = WAGW_NOMEM;

    wagw_buf_printf(&path, "%s/%s", dir, name);
    wagw_buf_u8(&path, 0);

    if (path.failed || wagw_buf_reserve(&text, MIGRATION_MAX + 1) != WAGW_OK) {
        goto done;
    }

    f = fopen((char *)path.p, "re");
    if (f == NULL) {
        rc = wagw_store_fail(s, WAGW_IO, "cannot read \"%s\": %s", (char *)path.p, strerror(errno));
        goto done;
    }

    n = fread(text.p, 1, MIGRATION_MAX + 1, f);
    if (ferror(f) || n > MIGRATION_MAX) {
        rc = wagw_store_fail(s, WAGW_IO, "cannot read \"%s\": too large or unreadable", (char *)path.p);
        goto done;
    }

    text.p[n] = '\0';
    rc = store_migrate(s, (int)strtol(name, NULL, 10), name, (char *)text.p);

done:

    if (f != NULL) {
        fclose(f);
    }

    wagw_buf_free(&path);
    wagw_buf_free(&text);

    return rc;
}

static int store_directory(wagw_store_t *s, const char *dir)
{
    struct dirent **names = NULL;
    int i, n, rc;

    n = scandir(dir, &names, migration_name, alphasort);
    if (n <= 0) {
        return wagw_store_fail(s, WAGW_IO, "no migrations in \"%s\"%s%s", dir, n < 0 ? ": " : "",
                               n < 0 ? strerror(errno) : "");
    }

    rc = store_newest(s, (int)strtol(names[n - 1]->d_name, NULL, 10));

    for (i = 0; i < n; i++) {
        if (rc == WAGW_OK) {
            rc = store_script(s, dir, names[i]->d_name);
        }

        free(names[i]);
    }

    free(names);

    return rc;
}

int wagw_store_open(wagw_store_t **out, const wagw_store_conf_t *conf, char *why, size_t why_len)
{
    wagw_store_t *s;
    int rc;

    *out = NULL;

    if (conf->dsn == NULL || strncmp(conf->dsn, "sqlite:", 7) != 0 || conf->dsn[7] == '\0') {
        snprintf(why, why_len, "\"%s\" is no store: sqlite:FILE is known", conf->dsn != NULL ? conf->dsn : "");
        return WAGW_STATE;
    }

    s = calloc(1, sizeof(wagw_store_t));
    if (s == NULL || (s->path = strdup(conf->dsn + 7)) == NULL) {
        free(s);
        snprintf(why, why_len, "no memory");
        return WAGW_NOMEM;
    }

    rc = store_file(s);

    if (rc == WAGW_OK) {
        rc = store_ours(s);
    }

    if (rc == WAGW_OK) {
        rc = conf->migrations != NULL ? store_directory(s, conf->migrations) : store_embedded(s);
    }

    if (rc == WAGW_OK) {
        rc = wagw_seal_open(s, conf->encryption_key);
    }

    if (rc != WAGW_OK) {
        snprintf(why, why_len, "%s", s->error[0] != '\0' ? s->error : wagw_rc_name(rc));
        wagw_store_close(s);
        return rc;
    }

    s->failed = false;
    *out = s;

    return WAGW_OK;
}

void wagw_store_close(wagw_store_t *s)
{
    size_t i;

    if (s == NULL) {
        return;
    }

    for (i = 0; i < WAGW_SQL_SLOTS; i++) {
        sqlite3_finalize(s->sql[i].st);
    }

    if (s->db != NULL) {
        sqlite3_close(s->db);
    }

    wagw_vfs_destroy(s->vfs);
    wagw_buf_wipe(&s->scratch);
    wagw_buf_wipe(&s->opened);
    free(s->path);
    wagw_wipe(s, sizeof(wagw_store_t));
    free(s);
}

int wagw_store_begin(wagw_store_t *s)
{
    int rc;

    if (s->in_tx) {
        return WAGW_STATE;
    }

    s->failed = false;
    rc = wagw_sql_run(s, wagw_sql(s, "BEGIN IMMEDIATE"));
    s->in_tx = rc == WAGW_OK;

    return rc;
}

int wagw_store_end(wagw_store_t *s, bool commit)
{
    int rc = WAGW_OK;

    if (!s->in_tx) {
        return WAGW_STATE;
    }

    if (commit && !s->failed) {
        rc = wagw_late_flush(s);
        if (rc == WAGW_OK) {
            rc = wagw_sql_run(s, wagw_sql(s, "COMMIT"));
        }
    }

    wagw_late_drop(s);
    memset(s->known, 0, sizeof(s->known));
    s->in_tx = false;

    if (!commit || s->failed || rc != WAGW_OK) {
        rc = commit ? WAGW_IO : WAGW_OK;
        s->failed = false;
        wagw_chat_forget(s);

        if (!sqlite3_get_autocommit(s->db)) {
            sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
        }
    }

    return rc;
}

int wagw_tx_enter(wagw_store_t *s, bool *own)
{
    *own = !s->in_tx;

    return *own ? wagw_store_begin(s) : WAGW_OK;
}

int wagw_tx_leave(wagw_store_t *s, bool own, int rc)
{
    int end;

    if (!own) {
        return rc;
    }

    if (!s->in_tx) {
        return rc != WAGW_OK ? rc : WAGW_IO;
    }

    end = wagw_store_end(s, rc == WAGW_OK);

    return rc != WAGW_OK ? rc : end;
}
