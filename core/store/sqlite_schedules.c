#include "sqlite.h"

/* Sends of the future: what is due, and its claim. */

#define SCHEDULE_COLUMNS                                                                                               \
    "t.num, t.id, t.inst, t.status, t.priority, t.next_ms, t.send_ms, t.cron, t.timezone, t.until_ms, t.ttl_ms,"       \
    " t.created_ms, t.updated_ms, t.finished_ms, t.last_ms, t.runs, t.sent, t.failed, t.code, t.error, t.template,"    \
    " t.recipients, t.body, (SELECT n.id FROM instances n WHERE n.num = t.inst)"
/* ?1 instances */
#define SCHEDULE_SEEN "(?1 = '' OR t.inst IN (SELECT value FROM json_each(CASE ?1 WHEN '' THEN '[]' ELSE ?1 END)))"

const char *wagw_schedule_status_name(unsigned status)
{
    static const char *const names[] = {"scheduled", "running", "done", "failed", "cancelled"};

    return status < sizeof(names) / sizeof(names[0]) ? names[status] : "failed";
}

/* Views until the next step; body until the next unsealing. */
static int schedule_row(wagw_store_t *s, sqlite3_stmt *st, wagw_schedule_t *c)
{
    *c = (wagw_schedule_t){
        .num = (uint64_t)sqlite3_column_int64(st, 0),
        .id = wagw_sql_str(st, 1),
        .instance = (uint32_t)sqlite3_column_int64(st, 2),
        .status = (uint8_t)sqlite3_column_int(st, 3),
        .priority = (uint8_t)sqlite3_column_int(st, 4),
        .next_ms = sqlite3_column_int64(st, 5),
        .send_ms = sqlite3_column_int64(st, 6),
        .cron = wagw_sql_str(st, 7),
        .time_zone = wagw_sql_str(st, 8),
        .until_ms = sqlite3_column_int64(st, 9),
        .ttl_ms = sqlite3_column_int64(st, 10),
        .created_ms = sqlite3_column_int64(st, 11),
        .updated_ms = sqlite3_column_int64(st, 12),
        .finished_ms = sqlite3_column_int64(st, 13),
        .last_ms = sqlite3_column_int64(st, 14),
        .runs = (uint32_t)sqlite3_column_int64(st, 15),
        .sent = (uint32_t)sqlite3_column_int64(st, 16),
        .failed = (uint32_t)sqlite3_column_int64(st, 17),
        .code = wagw_sql_str(st, 18),
        .error = wagw_sql_str(st, 19),
        .template_id = wagw_sql_str(st, 20),
        .to = wagw_sql_str(st, 21),
        .instance_id = wagw_sql_str(st, 23),
    };

    return wagw_unseal(s, &s->opened, c->instance, WAGW_SEAL_SCHEDULE, c->id, wagw_sql_str(st, 22), &c->body);
}

/* The one row of a statement, copied. */
static int schedule_one(wagw_store_t *s, sqlite3_stmt *st, wagw_arena_t *a, wagw_schedule_t *c)
{
    int rc = wagw_sql_step(s, st);
    wagw_str_t *const texts[] = {&c->id,    &c->instance_id, &c->cron, &c->time_zone, &c->code,
                                 &c->error, &c->template_id, &c->to,   &c->body};

    if (rc != WAGW_OK) {
        return rc;
    }

    rc = schedule_row(s, st, c);
    for (size_t i = 0; rc == WAGW_OK && i < sizeof(texts) / sizeof(texts[0]); i++) {
        *texts[i] = wagw_arena_str(a, *texts[i]);
        rc = texts[i]->p ? WAGW_OK : WAGW_NOMEM;
    }
    wagw_sql_done(st);

    return rc;
}

int wagw_store_schedule_create(wagw_store_t *s, const wagw_schedule_t *c)
{
    int rc;
    wagw_str_t body;
    sqlite3_stmt *st;

    rc = wagw_seal(s, &s->scratch, c->instance, WAGW_SEAL_SCHEDULE, c->id, c->body, &body);
    if (rc != WAGW_OK) {
        return rc;
    }

    st = wagw_sql(s, "INSERT INTO schedules (id, inst, priority, next_ms, send_ms, cron, timezone, until_ms, ttl_ms,"
                     " created_ms, updated_ms, template, recipients, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,"
                     " ?10, ?11, ?12, ?13, ?14)");
    wagw_sql_bind(st, "suiiissiiiissb", c->id, c->instance, (int64_t)c->priority, c->next_ms, c->send_ms, c->cron,
                  c->time_zone, c->until_ms, c->ttl_ms, c->created_ms, c->updated_ms, c->template_id, c->to, body);

    return wagw_sql_run(s, st);
}

int wagw_store_schedule_update(wagw_store_t *s, const wagw_schedule_t *c, int64_t was_ms)
{
    int rc;
    wagw_str_t body;
    sqlite3_stmt *st;

    rc = wagw_seal(s, &s->scratch, c->instance, WAGW_SEAL_SCHEDULE, c->id, c->body, &body);
    if (rc != WAGW_OK) {
        return rc;
    }

    st = wagw_sql(s, "UPDATE schedules SET priority = ?2, next_ms = ?3, send_ms = ?4, cron = ?5, timezone = ?6,"
                     " until_ms = ?7, ttl_ms = ?8, updated_ms = ?9, template = ?10, recipients = ?11, body = ?12"
                     " WHERE id = ?1 AND status = 0 AND next_ms = ?13");
    wagw_sql_bind(st, "siiissiiissbi", c->id, (int64_t)c->priority, c->next_ms, c->send_ms, c->cron, c->time_zone,
                  c->until_ms, c->ttl_ms, c->updated_ms, c->template_id, c->to, body, was_ms);
    rc = wagw_sql_run(s, st);

    return rc == WAGW_OK && wagw_sql_changes(s) == 0 ? WAGW_NOT_FOUND : rc;
}

int wagw_store_schedule_cancel(wagw_store_t *s, wagw_str_t id, int64_t now_ms)
{
    sqlite3_stmt *st = wagw_sql(s, "UPDATE schedules SET status = 4, next_ms = 0, updated_ms = ?2, finished_ms = ?2"
                                   " WHERE id = ?1 AND status IN (0, 1)");

    wagw_sql_bind(st, "si", id, now_ms);

    return wagw_sql_run(s, st);
}

int wagw_store_schedule_get(wagw_store_t *s, const wagw_scope_t *scope, wagw_str_t id, wagw_arena_t *a,
                            wagw_schedule_t *c)
{
    sqlite3_stmt *st = wagw_sql(s, "SELECT " SCHEDULE_COLUMNS " FROM schedules t WHERE t.id = ?2 AND " SCHEDULE_SEEN);

    wagw_sql_bind(st, "ss", scope->instances, id);

    return schedule_one(s, st, a, c);
}

int wagw_store_schedules(wagw_store_t *s, const wagw_scope_t *scope, uint32_t instance, int status, uint32_t limit,
                         uint32_t offset, wagw_schedule_pt cb, void *data, uint64_t *total)
{
    int rc;
    wagw_schedule_t c;
    sqlite3_stmt *st;

#define SCHEDULE_WHERE                                                                                                 \
    " FROM schedules t WHERE (?2 = 0 OR t.inst = ?2) AND (?3 < 0 OR t.status = ?3) AND " SCHEDULE_SEEN

    st = wagw_sql(s, "SELECT count(*)" SCHEDULE_WHERE);
    wagw_sql_bind(st, "sui", scope->instances, instance, (int64_t)status);
    rc = wagw_sql_step(s, st);
    if (rc != WAGW_OK) {
        return rc;
    }
    *total = (uint64_t)sqlite3_column_int64(st, 0);
    wagw_sql_done(st);

    st = wagw_sql(s, "SELECT " SCHEDULE_COLUMNS SCHEDULE_WHERE " ORDER BY t.num DESC LIMIT ?4 OFFSET ?5");
    wagw_sql_bind(st, "suiuu", scope->instances, instance, (int64_t)status, limit, offset);

    while ((rc = wagw_sql_step(s, st)) == WAGW_OK) {
        rc = schedule_row(s, st, &c);
        rc = rc == WAGW_OK ? cb(data, &c) : rc;
        if (rc != WAGW_OK) {
            wagw_sql_done(st);
            return rc;
        }
    }

    return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
}

int wagw_store_schedule_due(wagw_store_t *s, int64_t now_ms, wagw_arena_t *a, wagw_schedule_t *c)
{
    sqlite3_stmt *st = wagw_sql(s, "SELECT " SCHEDULE_COLUMNS " FROM schedules t WHERE t.next_ms <> 0 AND"
                                   " t.next_ms <= ?1 ORDER BY t.next_ms, t.num LIMIT 1");

    wagw_sql_bind(st, "i", now_ms);

    return schedule_one(s, st, a, c);
}

int wagw_store_schedule_next(wagw_store_t *s, int64_t *next_ms)
{
    int rc;
    sqlite3_stmt *st = wagw_sql(s, "SELECT ifnull(min(next_ms), 0) FROM schedules WHERE next_ms <> 0");

    rc = wagw_sql_step(s, st);
    if (rc == WAGW_OK) {
        *next_ms = sqlite3_column_int64(st, 0);
        wagw_sql_done(st);
    }

    return rc;
}

int wagw_store_schedule_fire(wagw_store_t *s, uint64_t num, int64_t due_ms, int64_t next_ms, int64_t now_ms,
                             wagw_sends_t *j, const wagw_sends_item_t *items, size_t n)
{
    bool own;
    int rc;
    sqlite3_stmt *st;

    rc = wagw_tx_enter(s, &own);
    if (rc != WAGW_OK) {
        return rc;
    }

    st = wagw_sql(s, "UPDATE schedules SET next_ms = ?3, status = 1, last_ms = ?4, updated_ms = ?5, runs = runs + 1"
                     " WHERE num = ?1 AND next_ms = ?2 AND status IN (0, 1)");
    wagw_sql_bind(st, "iiiii", (int64_t)num, due_ms, next_ms, due_ms < now_ms ? due_ms : now_ms, now_ms);
    rc = wagw_sql_run(s, st);

    if (rc == WAGW_OK && wagw_sql_changes(s) == 0) {
        rc = WAGW_NOT_FOUND;
    }

    if (rc == WAGW_OK) {
        j->schedule = num;
        rc = wagw_store_sends_create(s, j, items, n);
    }

    return wagw_tx_leave(s, own, rc);
}

int wagw_store_schedule_broken(wagw_store_t *s, uint64_t num, int64_t now_ms, wagw_str_t code, wagw_str_t error)
{
    sqlite3_stmt *st = wagw_sql(s, "UPDATE schedules SET status = 3, next_ms = 0, updated_ms = ?2, finished_ms = ?2,"
                                   " code = ?3, error = ?4 WHERE num = ?1");

    wagw_sql_bind(st, "iiss", (int64_t)num, now_ms, code, error);

    return wagw_sql_run(s, st);
}

int wagw_store_schedule_ended(wagw_store_t *s, uint64_t job, int64_t now_ms)
{
    int rc;
    sqlite3_stmt *st;

    st = wagw_sql(s, "UPDATE schedules SET sent = schedules.sent + j.sent, failed = schedules.failed + j.failed,"
                     " updated_ms = ?2,"
                     " status = CASE WHEN schedules.status <> 1 THEN schedules.status"
                     "  WHEN EXISTS (SELECT 1 FROM jobs o WHERE o.schedule = schedules.num AND o.status = 0) THEN 1"
                     "  WHEN schedules.next_ms <> 0 THEN 0 WHEN j.status = 2 THEN 4"
                     "  WHEN schedules.sent + j.sent > 0 THEN 2 ELSE 3 END"
                     " FROM jobs j WHERE j.num = ?1 AND j.schedule = schedules.num AND j.schedule <> 0");
    wagw_sql_bind(st, "ii", (int64_t)job, now_ms);
    rc = wagw_sql_run(s, st);

    if (rc != WAGW_OK || wagw_sql_changes(s) == 0) {
        return rc;
    }

    st = wagw_sql(
        s, "UPDATE schedules SET finished_ms = CASE WHEN schedules.finished_ms = 0 AND schedules.status >= 2 THEN ?2"
           " ELSE schedules.finished_ms END, code = ifnull(i.code, ''), error = ifnull(i.error, '')"
           " FROM jobs j LEFT JOIN job_items i ON i.job = j.num AND i.status = 2 AND i.at = (SELECT max(at)"
           " FROM job_items WHERE job = ?1 AND status = 2)"
           " WHERE j.num = ?1 AND schedules.num = j.schedule");
    wagw_sql_bind(st, "ii", (int64_t)job, now_ms);

    return wagw_sql_run(s, st);
}

int wagw_store_schedules_prune(wagw_store_t *s, int64_t before_ms)
{
    sqlite3_stmt *st = wagw_sql(s, "DELETE FROM schedules WHERE num IN (SELECT num FROM schedules WHERE"
                                   " finished_ms <> 0 AND finished_ms < ?1 LIMIT 100)");

    wagw_sql_bind(st, "i", before_ms);

    return wagw_sql_run(s, st);
}
