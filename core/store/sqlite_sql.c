#include "sqlite.h"

#include <stdarg.h>
#include <stdio.h>

int wagw_store_fail(wagw_store_t *s, int rc, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(s->error, sizeof(s->error), fmt, ap);
    va_end(ap);

    return rc;
}

const char *wagw_store_error(wagw_store_t *s)
{
    return s->error;
}

int wagw_sql_failed(wagw_store_t *s, int sqlite_rc)
{
    wagw_store_fail(s, 0, "%s: %s (%d)", s->path, sqlite3_errmsg(s->db), sqlite_rc);

    switch (sqlite_rc) {

    /* these undo their own statement only: the transaction goes on */
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
        return WAGW_DUPLICATE;
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        return WAGW_STATE;

    case SQLITE_NOMEM:
        s->failed = true;
        return WAGW_NOMEM;

    /* SQLite may have rolled back by itself (full, I/O error): whatever
     * follows must not run outside of a transaction, see wagw_sql() */
    default:
        s->failed = true;
        return WAGW_IO;
    }
}

/* Somebody else's statement must see what the batches before it have put. */
static bool sql_ready(wagw_store_t *s)
{
    if (s->in_tx && !s->applying) {
        memset(s->known, 0, sizeof(s->known));
        wagw_seen_forget(s);

        if (wagw_late_flush(s) != WAGW_OK) {
            return false;
        }
    }

    return !(s->in_tx && s->failed);
}

sqlite3_stmt *wagw_sql(wagw_store_t *s, const char *literal)
{
    size_t i = ((uintptr_t)literal * 0x9E3779B97F4A7C15u >> 40) & (WAGW_SQL_SLOTS - 1);
    int rc;

    if (!sql_ready(s)) {
        return NULL;
    }

    while (s->sql[i].text != NULL && s->sql[i].text != literal) {
        i = (i + 1) & (WAGW_SQL_SLOTS - 1);
    }

    if (s->sql[i].text == NULL) {
        rc = sqlite3_prepare_v3(s->db, literal, -1, SQLITE_PREPARE_PERSISTENT, &s->sql[i].st, NULL);
        if (rc != SQLITE_OK) {
            s->sql[i].st = NULL;
            wagw_sql_failed(s, rc);
            return NULL;
        }

        s->sql[i].text = literal;
    }

    return s->sql[i].st;
}

void wagw_sql_bind(sqlite3_stmt *st, const char *form, ...)
{
    va_list ap;
    wagw_str_t v;
    const void *p;
    int i;

    if (st == NULL) {
        return;
    }

    va_start(ap, form);

    for (i = 1; *form != '\0'; form++, i++) {
        if (*form == 'i') {
            sqlite3_bind_int64(st, i, va_arg(ap, int64_t));
            continue;
        }

        if (*form == 'u') {
            sqlite3_bind_int64(st, i, va_arg(ap, uint32_t));
            continue;
        }

        v = va_arg(ap, wagw_str_t);
        p = v.p != NULL ? (const void *)v.p : "";

        if ((*form == 't' || *form == 'c') && v.n == 0) {
            sqlite3_bind_null(st, i);

        } else if (*form == 's' || *form == 't') {
            sqlite3_bind_text64(st, i, p, v.n, SQLITE_STATIC, SQLITE_UTF8);

        } else {
            sqlite3_bind_blob64(st, i, p, v.n, SQLITE_STATIC);
        }
    }

    va_end(ap);
}

int wagw_sql_step(wagw_store_t *s, sqlite3_stmt *st)
{
    int rc;

    if (st == NULL) {
        return WAGW_IO;
    }

    rc = sqlite3_step(st);

    if (rc == SQLITE_ROW) {
        return WAGW_OK;
    }

    if (rc == SQLITE_DONE) {
        sqlite3_reset(st);
        return WAGW_NOT_FOUND;
    }

    rc = wagw_sql_failed(s, rc);
    sqlite3_reset(st);

    return rc;
}

int wagw_sql_run(wagw_store_t *s, sqlite3_stmt *st)
{
    int rc = wagw_sql_step(s, st);

    if (rc == WAGW_OK) {
        wagw_sql_done(st);
        return WAGW_OK;
    }

    return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
}

void wagw_sql_done(sqlite3_stmt *st)
{
    if (st != NULL) {
        sqlite3_reset(st);
    }
}

int wagw_sql_exec(wagw_store_t *s, const char *text)
{
    int rc = sqlite3_exec(s->db, text, NULL, NULL, NULL);

    return rc == SQLITE_OK ? WAGW_OK : wagw_sql_failed(s, rc);
}

wagw_str_t wagw_sql_str(sqlite3_stmt *st, int column)
{
    const void *p = sqlite3_column_blob(st, column);

    return wagw_str(p, p != NULL ? (size_t)sqlite3_column_bytes(st, column) : 0);
}

int64_t wagw_sql_changes(wagw_store_t *s)
{
    return sqlite3_changes64(s->db);
}

void wagw_query(wagw_query_t *q, const char *literal)
{
    wagw_buf_cstr(&q->text, literal);
}

static void query_value(wagw_query_t *q, const char *literal, bool is_int, int64_t i, wagw_str_t s)
{
    wagw_query(q, literal);

    if (q->n == sizeof(q->v) / sizeof(q->v[0])) {
        q->text.failed = true;
        return;
    }

    q->v[q->n].is_int = is_int;
    q->v[q->n].i = i;
    q->v[q->n].s = s;
    q->n++;
}

void wagw_query_int(wagw_query_t *q, const char *literal, int64_t v)
{
    query_value(q, literal, true, v, WAGW_STR_NULL);
}

void wagw_query_str(wagw_query_t *q, const char *literal, wagw_str_t v)
{
    query_value(q, literal, false, 0, v);
}

sqlite3_stmt *wagw_query_prepare(wagw_store_t *s, const char *head, const wagw_query_t *q, const char *tail)
{
    sqlite3_stmt *st = NULL;
    wagw_buf_t text = {0};
    unsigned i;
    int rc;

    if (!sql_ready(s)) {
        return NULL;
    }

    wagw_buf_cstr(&text, head);
    wagw_buf_str(&text, wagw_buf_view(&q->text));
    wagw_buf_cstr(&text, tail);

    if (text.failed || q->text.failed) {
        wagw_store_fail(s, WAGW_NOMEM, "no memory for a query");
        goto done;
    }

    rc = sqlite3_prepare_v3(s->db, (const char *)text.p, (int)text.n, 0, &st, NULL);
    if (rc != SQLITE_OK) {
        wagw_sql_failed(s, rc);
        st = NULL;
        goto done;
    }

    for (i = 0; i < q->n; i++) {
        if (q->v[i].is_int) {
            sqlite3_bind_int64(st, (int)i + 1, q->v[i].i);
        } else {
            sqlite3_bind_text64(st, (int)i + 1, q->v[i].s.p != NULL ? (const char *)q->v[i].s.p : "", q->v[i].s.n,
                                SQLITE_STATIC, SQLITE_UTF8);
        }
    }

done:

    wagw_buf_free(&text);

    return st;
}

void wagw_query_free(wagw_query_t *q)
{
    wagw_buf_free(&q->text);
}

int wagw_query_count(wagw_store_t *s, const char *head, const wagw_query_t *q, const char *tail, int64_t *v)
{
    sqlite3_stmt *st = wagw_query_prepare(s, head, q, tail);
    int rc = wagw_sql_step(s, st);

    if (rc == WAGW_OK) {
        *v = sqlite3_column_int64(st, 0);
    }

    sqlite3_finalize(st);

    return rc;
}

void wagw_query_like(wagw_buf_t *out, wagw_str_t text)
{
    size_t i;

    wagw_buf_u8(out, '%');

    for (i = 0; i < text.n; i++) {
        if (text.p[i] == '%' || text.p[i] == '_' || text.p[i] == '\\') {
            wagw_buf_u8(out, '\\');
        }

        wagw_buf_u8(out, text.p[i]);
    }

    wagw_buf_u8(out, '%');
}
