#include "sqlite.h"

#include <stdio.h>

/*
 * Sends that wait: jobs and their items.  Only the owner writes them, and what
 * came of an item is written in the turn that tells the world of it.
 */

#define SENDS_COLUMNS                                                                                                  \
    "j.num, j.id, j.inst, j.kind, j.status, j.priority, j.delay_ms, j.jitter_ms, j.created_ms, j.next_ms,"             \
    " j.expires_ms, j.total, j.pending, j.sent, j.failed"

static const char *const item_status[] = {"pending", "sent", "failed", "cancelled"};

static void sends_row(sqlite3_stmt *st, wagw_sends_t *j)
{
    *j = (wagw_sends_t){
        .num = (uint64_t)sqlite3_column_int64(st, 0),
        .id = wagw_sql_str(st, 1),
        .instance = (uint32_t)sqlite3_column_int64(st, 2),
        .kind = (uint8_t)sqlite3_column_int(st, 3),
        .status = (uint8_t)sqlite3_column_int(st, 4),
        .priority = (uint8_t)sqlite3_column_int(st, 5),
        .delay_ms = (uint32_t)sqlite3_column_int64(st, 6),
        .jitter_ms = (uint32_t)sqlite3_column_int64(st, 7),
        .created_ms = sqlite3_column_int64(st, 8),
        .next_ms = sqlite3_column_int64(st, 9),
        .expires_ms = sqlite3_column_int64(st, 10),
        .total = (uint32_t)sqlite3_column_int64(st, 11),
        .pending = (uint32_t)sqlite3_column_int64(st, 12),
        .sent = (uint32_t)sqlite3_column_int64(st, 13),
        .failed = (uint32_t)sqlite3_column_int64(st, 14),
    };
}

/* What binds an item's variables to their row. */
static wagw_str_t item_name(char out[64], wagw_str_t job, uint32_t at)
{
    int n = snprintf(out, 64, "%.*s|%u", (int)(job.n < 40 ? job.n : 40), (const char *)job.p, at);

    return wagw_str(out, (size_t)n);
}

static int item_insert(wagw_store_t *s, const wagw_sends_t *j, const wagw_sends_item_t *item, uint32_t at)
{
    char name[64];
    wagw_str_t variables = item->variables;
    sqlite3_stmt *st;
    int rc = WAGW_OK;

    if (variables.n) {
        rc = wagw_seal(s, &s->scratch, j->instance, WAGW_SEAL_VARIABLES, item_name(name, j->id, at), variables,
                       &variables);
    }

    if (rc == WAGW_OK) {
        st = wagw_sql(s, "INSERT INTO job_items (job, at, recipient, message_id, variables)"
                         " VALUES (?1, ?2, ?3, ?4, ?5)");
        wagw_sql_bind(st, "iussc", (int64_t)j->num, at, item->to, item->message_id, variables);
        rc = wagw_sql_run(s, st);
    }

    return rc;
}

static int sends_insert(wagw_store_t *s, wagw_sends_t *j, size_t n)
{
    wagw_str_t content;
    sqlite3_stmt *st;
    int rc;

    rc = wagw_seal(s, &s->scratch, j->instance, WAGW_SEAL_SENDS, j->id, j->content, &content);
    if (rc != WAGW_OK) {
        return rc;
    }

    st = wagw_sql(s, "INSERT INTO jobs (id, inst, kind, priority, delay_ms, jitter_ms, created_ms, next_ms, expires_ms,"
                     " total, pending, content, schedule) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10, ?11,"
                     " ?12)");
    wagw_sql_bind(st, "suiiuuiiiibi", j->id, j->instance, (int64_t)j->kind, (int64_t)j->priority, j->delay_ms,
                  j->jitter_ms, j->created_ms, j->next_ms, j->expires_ms, (int64_t)n, content, (int64_t)j->schedule);
    rc = wagw_sql_run(s, st);

    if (rc == WAGW_OK) {
        j->num = (uint64_t)sqlite3_last_insert_rowid(s->db);
        j->total = j->pending = (uint32_t)n;
        j->sent = j->failed = 0;
        j->status = WAGW_SENDS_OPEN;
    }

    return rc;
}

int wagw_store_sends_create(wagw_store_t *s, wagw_sends_t *j, const wagw_sends_item_t *items, size_t n)
{
    bool own;
    int rc;

    rc = wagw_tx_enter(s, &own);
    if (rc != WAGW_OK) {
        return rc;
    }

    rc = sends_insert(s, j, n);

    for (size_t i = 0; i < n && rc == WAGW_OK; i++) {
        rc = item_insert(s, j, &items[i], (uint32_t)i);
    }

    return wagw_tx_leave(s, own, rc);
}

int wagw_store_sends_each(wagw_store_t *s, wagw_sends_pt cb, void *data)
{
    wagw_sends_t j;
    sqlite3_stmt *st;
    int rc;

    st = wagw_sql(s, "SELECT " SENDS_COLUMNS ", (SELECT i.recipient FROM job_items i WHERE i.job = j.num AND"
                     " i.status = 0 ORDER BY i.at LIMIT 1), (SELECT i.message_id FROM job_items i WHERE i.job = j.num "
                     "AND i.status = 0"
                     " ORDER BY i.at LIMIT 1), j.schedule, c.id, c.status FROM jobs j LEFT JOIN schedules c ON"
                     " c.num = j.schedule WHERE j.status = 0 ORDER BY j.num");

    while ((rc = wagw_sql_step(s, st)) == WAGW_OK) {
        sends_row(st, &j);
        j.to = wagw_sql_str(st, 15);
        j.message_id = wagw_sql_str(st, 16);
        j.schedule = (uint64_t)sqlite3_column_int64(st, 17);
        j.schedule_id = wagw_sql_str(st, 18);
        j.cancelled = sqlite3_column_int(st, 19) == WAGW_SCHEDULE_CANCELLED;

        rc = cb(data, &j);
        if (rc != WAGW_OK) {
            wagw_sql_done(st);
            return rc;
        }
    }

    return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
}

int wagw_store_sends_next(wagw_store_t *s, uint64_t num, wagw_arena_t *a, wagw_sends_t *j, wagw_sends_item_t *item)
{
    char name[64];
    sqlite3_stmt *st;
    wagw_str_t v;
    int rc;

    st = wagw_sql(s, "SELECT " SENDS_COLUMNS ", j.content, i.at, i.recipient, i.message_id, i.variables,"
                     " (SELECT m.status FROM messages m WHERE m.inst = j.inst AND m.id = i.message_id AND"
                     " m.from_me = 1 LIMIT 1)"
                     " FROM jobs j JOIN job_items i ON i.job = j.num WHERE j.num = ?1 AND j.status = 0 AND i.status = 0"
                     " ORDER BY i.at LIMIT 1");
    wagw_sql_bind(st, "i", (int64_t)num);
    rc = wagw_sql_step(s, st);

    if (rc != WAGW_OK) {
        return rc;
    }

    sends_row(st, j);
    j->id = wagw_arena_str(a, j->id);
    item->at = (uint32_t)sqlite3_column_int64(st, 16);
    item->to = wagw_arena_str(a, wagw_sql_str(st, 17));
    item->message_id = wagw_arena_str(a, wagw_sql_str(st, 18));
    item->known = sqlite3_column_type(st, 20) == SQLITE_NULL ? -1 : sqlite3_column_int(st, 20);
    item->variables = WAGW_STR_NULL;
    j->to = item->to;

    rc = wagw_unseal(s, &s->opened, j->instance, WAGW_SEAL_SENDS, j->id, wagw_sql_str(st, 15), &v);
    if (rc == WAGW_OK) {
        j->content = wagw_arena_str(a, v);
    }

    v = wagw_sql_str(st, 19);
    if (rc == WAGW_OK && v.n) {
        rc = wagw_unseal(s, &s->opened, j->instance, WAGW_SEAL_VARIABLES, item_name(name, j->id, item->at), v, &v);
        item->variables = rc == WAGW_OK ? wagw_arena_str(a, v) : WAGW_STR_NULL;
    }

    wagw_sql_done(st);

    return rc;
}

static int sends_results(wagw_store_t *s, int64_t num, wagw_json_t *j)
{
    int status;
    sqlite3_stmt *st;
    int rc;

    st = wagw_sql(s, "SELECT recipient, message_id, status, code, error FROM job_items WHERE job = ?1 ORDER BY at");
    wagw_sql_bind(st, "i", num);
    wagw_json_key(j, "results");
    wagw_json_open(j, '[');

    while ((rc = wagw_sql_step(s, st)) == WAGW_OK) {
        status = sqlite3_column_int(st, 2);
        wagw_json_open(j, '{');
        wagw_json_kstr(j, "to", wagw_sql_str(st, 0));
        wagw_json_kcstr(j, "status", item_status[status & 3]);

        if (status == WAGW_ITEM_SENT || status == WAGW_ITEM_PENDING) {
            wagw_json_kstr(j, "messageId", wagw_sql_str(st, 1));
        } else {
            wagw_json_kstr(j, "error", wagw_sql_str(st, 4));
            wagw_json_kstr(j, "code", wagw_sql_str(st, 3));
        }

        wagw_json_close(j);
    }

    wagw_json_close(j);

    return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
}

int wagw_store_sends_get(wagw_store_t *s, wagw_str_t id, uint32_t *instance, wagw_buf_t *json)
{
    static const char *const names[] = {"running", "done", "cancelled", "failed"};
    wagw_json_t j = wagw_json(json);
    wagw_sends_t job;
    sqlite3_stmt *st;
    const char *name;
    int64_t num;
    int rc;

    st = wagw_sql(s, "SELECT " SENDS_COLUMNS ", j.finished_ms, j.code, n.id FROM jobs j JOIN instances n ON"
                     " n.num = j.inst WHERE j.id = ?1");
    wagw_sql_bind(st, "s", id);
    rc = wagw_sql_step(s, st);

    if (rc != WAGW_OK) {
        return rc;
    }

    sends_row(st, &job);
    num = (int64_t)job.num;
    name = job.status == WAGW_SENDS_OPEN && job.pending == job.total ? "queued" : names[job.status & 3];

    if (instance) {
        *instance = job.instance;
    }

    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "id", job.id);
    wagw_json_kstr(&j, "instanceId", wagw_sql_str(st, 17));
    wagw_json_kcstr(&j, "status", name);
    wagw_json_kint(&j, "total", job.total);
    wagw_json_kint(&j, "sent", job.sent);
    wagw_json_kint(&j, "failed", job.failed);
    wagw_json_kint(&j, "pending", job.pending);

    if (wagw_sql_str(st, 16).n) {
        wagw_json_kstr(&j, "code", wagw_sql_str(st, 16));
    }

    wagw_json_kiso(&j, "createdAt", job.created_ms);
    wagw_json_kiso(&j, "expiresAt", job.expires_ms);
    wagw_json_kiso(&j, "finishedAt", sqlite3_column_int64(st, 15));
    wagw_sql_done(st);

    rc = sends_results(s, num, &j);
    wagw_json_close(&j);

    return rc == WAGW_OK && json->failed ? WAGW_NOMEM : rc;
}

int wagw_store_sends_prune(wagw_store_t *s, int64_t before_ms)
{
    sqlite3_stmt *st;

    st = wagw_sql(s, "DELETE FROM jobs WHERE num IN (SELECT num FROM jobs WHERE status <> 0 AND finished_ms < ?1"
                     " LIMIT 100)");
    wagw_sql_bind(st, "i", before_ms);

    return wagw_sql_run(s, st);
}

int wagw_store_sends_result(wagw_store_t *s, const wagw_sends_result_t *r)
{
    int64_t n, sent, failed;
    sqlite3_stmt *st;
    int rc;

    if (r->rest) {
        st = wagw_sql(s, "UPDATE job_items SET status = ?2, code = ?3, error = ?4, at_ms = ?5"
                         " WHERE job = ?1 AND status = 0");
        wagw_sql_bind(st, "iissi", (int64_t)r->num, (int64_t)r->status, r->code, r->error, r->now_ms);
    } else {
        st = wagw_sql(s, "UPDATE job_items SET status = ?2, code = ?3, error = ?4, at_ms = ?5"
                         " WHERE job = ?1 AND status = 0 AND at = ?6");
        wagw_sql_bind(st, "iissiu", (int64_t)r->num, (int64_t)r->status, r->code, r->error, r->now_ms, r->at);
    }

    rc = wagw_sql_run(s, st);
    if (rc != WAGW_OK) {
        return rc;
    }

    n = wagw_sql_changes(s);
    sent = r->status == WAGW_ITEM_SENT ? n : 0;
    failed = r->status == WAGW_ITEM_FAILED ? n : 0;

    st = wagw_sql(s, "UPDATE jobs SET sent = sent + ?2, failed = failed + ?3, pending = pending - ?4, next_ms = ?5"
                     " WHERE num = ?1 AND status = 0");
    wagw_sql_bind(st, "iiiii", (int64_t)r->num, sent, failed, n, r->next_ms);
    rc = wagw_sql_run(s, st);

    if (rc == WAGW_OK) {
        /* what ends a job early ends it as that; its last item ends it as done */
        st = wagw_sql(s, "UPDATE jobs SET status = ?2, finished_ms = ?3, code = ?4 WHERE num = ?1 AND status = 0"
                         " AND pending <= 0");
        wagw_sql_bind(st, "iiis", (int64_t)r->num,
                      (int64_t)(!r->rest                           ? WAGW_SENDS_DONE
                                : r->status == WAGW_ITEM_CANCELLED ? WAGW_SENDS_CANCELLED
                                                                   : WAGW_SENDS_FAILED),
                      r->now_ms, r->rest ? r->code : WAGW_STR_NULL);
        rc = wagw_sql_run(s, st);
    }

    if (rc == WAGW_OK && wagw_sql_changes(s) > 0) {
        rc = wagw_store_schedule_ended(s, r->num, r->now_ms);
    }

    return rc;
}

int wagw_store_queue_put(wagw_store_t *s, const wagw_queue_row_t *q)
{
    sqlite3_stmt *st;

    st = wagw_sql(s, "INSERT INTO queues (inst, paused, used) VALUES (?1, ?2, ?3)"
                     " ON CONFLICT (inst) DO UPDATE SET paused = ?2, used = ?3");
    wagw_sql_bind(st, "uis", q->instance, (int64_t)q->paused, q->used.n ? q->used : WAGW_STR("{}"));

    return wagw_sql_run(s, st);
}

int wagw_store_queue_each(wagw_store_t *s, wagw_queue_pt cb, void *data)
{
    wagw_queue_row_t q;
    sqlite3_stmt *st;
    int rc;

    st = wagw_sql(s, "SELECT inst, paused, used FROM queues");

    while ((rc = wagw_sql_step(s, st)) == WAGW_OK) {
        q = (wagw_queue_row_t){(uint32_t)sqlite3_column_int64(st, 0), sqlite3_column_int(st, 1) != 0,
                               wagw_sql_str(st, 2)};

        rc = cb(data, &q);
        if (rc != WAGW_OK) {
            wagw_sql_done(st);
            return rc;
        }
    }

    return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
}
