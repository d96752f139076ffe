#include "sqlite.h"

#include <stdio.h>

/* wagw_store_deliveries_spread(): how far it looks, and how much of each chat it takes */
#define SPREAD_ROWS 2000
#define SPREAD_EACH 4

/* Webhook deliveries: the outbox while pending, the log afterwards. */

#define RESPONSE_MAX 4096
#define TOP_EVENTS 10

#define DELIVERY_COLUMNS                                                                                               \
    "num, id, webhook_id, inst, instance_id, url, event, event_id, chat, seq, payload, status, status_code,"           \
    " response, error, attempts, next_ms, created_ms, updated_ms, duration_ms"

static const char *const status_names[] = {"pending", "success", "failed", "dead"};

int wagw_delivery_insert(wagw_store_t *s, const wagw_delivery_t *d)
{
    sqlite3_stmt *st;

    st = wagw_sql(s, "INSERT INTO deliveries (id, webhook_id, inst, instance_id, url, event, event_id, chat, seq,"
                     " payload, status, status_code, response, error, attempts, next_ms, created_ms, updated_ms,"
                     " duration_ms, ordered) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14,"
                     " ?15, ?16, ?17, ?18, ?19, coalesce((SELECT ordered FROM webhooks WHERE id = ?2), 0))");
    wagw_sql_bind(st, "ssusssssibiissuiiiu", d->id, d->webhook_id, d->instance, d->instance_id, d->url, d->event,
                  d->event_id, d->chat, (int64_t)d->seq, d->payload, (int64_t)d->status, (int64_t)d->status_code,
                  d->response, d->error, d->attempts, d->next_ms, d->created_ms, d->updated_ms, d->duration_ms);

    return wagw_sql_run(s, st);
}

static void delivery_row(sqlite3_stmt *st, wagw_delivery_t *d)
{
    *d = (wagw_delivery_t){
        .num = (uint64_t)sqlite3_column_int64(st, 0),
        .id = wagw_sql_str(st, 1),
        .webhook_id = wagw_sql_str(st, 2),
        .instance = (uint32_t)sqlite3_column_int64(st, 3),
        .instance_id = wagw_sql_str(st, 4),
        .url = wagw_sql_str(st, 5),
        .event = wagw_sql_str(st, 6),
        .event_id = wagw_sql_str(st, 7),
        .chat = wagw_sql_str(st, 8),
        .seq = (uint64_t)sqlite3_column_int64(st, 9),
        .payload = wagw_sql_str(st, 10),
        .status = (uint8_t)sqlite3_column_int(st, 11),
        .status_code = sqlite3_column_int(st, 12),
        .response = wagw_sql_str(st, 13),
        .error = wagw_sql_str(st, 14),
        .attempts = (uint32_t)sqlite3_column_int64(st, 15),
        .next_ms = sqlite3_column_int64(st, 16),
        .created_ms = sqlite3_column_int64(st, 17),
        .updated_ms = sqlite3_column_int64(st, 18),
        .duration_ms = (uint32_t)sqlite3_column_int64(st, 19),
    };
}

static int deliveries_each(wagw_store_t *s, sqlite3_stmt *st, wagw_delivery_pt cb, void *data)
{
    wagw_delivery_t d;
    int rc;

    while ((rc = wagw_sql_step(s, st)) == WAGW_OK) {
        delivery_row(st, &d);

        rc = cb(data, &d);
        if (rc != WAGW_OK) {
            wagw_sql_done(st);
            return rc;
        }
    }

    return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
}

static int later_due(wagw_store_t *s, wagw_str_t webhook_id, int64_t now_ms, int64_t *next_ms)
{
    sqlite3_stmt *st;
    int rc;

    st = wagw_sql(s, "SELECT min(next_ms) FROM deliveries WHERE status = 0 AND webhook_id = ?1 AND next_ms > ?2");
    wagw_sql_bind(st, "si", webhook_id, now_ms);
    rc = wagw_sql_step(s, st);

    if (rc == WAGW_OK) {
        *next_ms = sqlite3_column_int64(st, 0);
        wagw_sql_done(st);
    }

    return rc;
}

int wagw_store_deliveries_of(wagw_store_t *s, wagw_str_t webhook_id, int64_t now_ms, bool ordered, uint32_t limit,
                             wagw_delivery_pt cb, void *data, int64_t *next_ms)
{
    sqlite3_stmt *st;
    int rc;

    *next_ms = 0;

    rc = later_due(s, webhook_id, now_ms, next_ms);
    if (rc != WAGW_OK) {
        return rc;
    }

    if (ordered) {
        st = wagw_sql(s, "SELECT " DELIVERY_COLUMNS " FROM deliveries d WHERE status = 0 AND webhook_id = ?1"
                         " AND next_ms <= ?2 AND (ordered = 0 OR NOT EXISTS (SELECT 1 FROM deliveries e"
                         " WHERE e.status = 0 AND e.ordered = 1 AND e.webhook_id = ?1 AND e.inst = d.inst"
                         " AND e.chat = d.chat AND e.num < d.num)) ORDER BY next_ms, num LIMIT ?3");
    } else {
        st = wagw_sql(s, "SELECT " DELIVERY_COLUMNS " FROM deliveries WHERE status = 0 AND webhook_id = ?1"
                         " AND next_ms <= ?2 ORDER BY next_ms, num LIMIT ?3");
    }

    wagw_sql_bind(st, "siu", webhook_id, now_ms, limit);

    return deliveries_each(s, st, cb, data);
}

int wagw_store_deliveries_spread(wagw_store_t *s, wagw_str_t webhook_id, int64_t now_ms, uint32_t limit,
                                 wagw_delivery_pt cb, void *data)
{
    sqlite3_stmt *st;

    /* the inner query reads neither payloads nor more than SPREAD_ROWS rows, however long the backlog is */
    st = wagw_sql(s, "SELECT " DELIVERY_COLUMNS " FROM deliveries WHERE num IN (SELECT num FROM"
                     " (SELECT num, row_number() OVER (PARTITION BY inst, chat ORDER BY next_ms, num) AS place FROM"
                     " (SELECT num, inst, chat, next_ms FROM deliveries WHERE status = 0 AND webhook_id = ?1"
                     " AND next_ms <= ?2 ORDER BY next_ms, num LIMIT ?4)) WHERE place <= ?5)"
                     " ORDER BY next_ms, num LIMIT ?3");
    wagw_sql_bind(st, "siuuu", webhook_id, now_ms, limit, (uint32_t)SPREAD_ROWS, (uint32_t)SPREAD_EACH);

    return deliveries_each(s, st, cb, data);
}

int wagw_store_delivery_result(wagw_store_t *s, const wagw_delivery_t *d)
{
    wagw_str_t response = d->response;
    sqlite3_stmt *st;
    int rc;

    if (response.n > RESPONSE_MAX) {
        response.n = RESPONSE_MAX;

        /* not in the middle of a character */
        while (response.n > RESPONSE_MAX - 4 && (response.p[response.n] & 0xC0) == 0x80) {
            response.n--;
        }
    }

    st = wagw_sql(s, "UPDATE deliveries SET status = ?2, status_code = ?3, response = ?4, error = ?5, attempts = ?6,"
                     " next_ms = ?7, updated_ms = ?8, duration_ms = ?9 WHERE id = ?1");
    wagw_sql_bind(st, "siissuiiu", d->id, (int64_t)d->status, (int64_t)d->status_code, response, d->error, d->attempts,
                  d->next_ms, d->updated_ms, d->duration_ms);
    rc = wagw_sql_run(s, st);

    return rc == WAGW_OK && wagw_sql_changes(s) == 0 ? WAGW_NOT_FOUND : rc;
}

static void delivery_json(wagw_json_t *j, const wagw_delivery_t *d)
{
    wagw_json_open(j, '{');
    wagw_json_kstr(j, "id", d->id);
    wagw_json_kstr(j, "webhookId", d->webhook_id);
    wagw_json_kstr(j, "instanceId", d->instance_id);
    wagw_json_kstr(j, "url", d->url);
    wagw_json_kstr(j, "event", d->event);
    wagw_json_kstr(j, "eventId", d->event_id);

    if (d->payload.n != 0) {
        wagw_json_kraw(j, "payload", d->payload);
    } else {
        wagw_json_knull(j, "payload");
    }

    wagw_json_kcstr(j, "status", d->status < 4 ? status_names[d->status] : NULL);

    if (d->status_code != 0) {
        wagw_json_kint(j, "statusCode", d->status_code);
    } else {
        wagw_json_knull(j, "statusCode");
    }

    wagw_json_or_null(j, "response", d->response);
    wagw_json_or_null(j, "error", d->error);
    wagw_json_kint(j, "attempts", d->attempts);
    wagw_json_kiso(j, "nextAttemptAt", d->status == WAGW_DLV_PENDING ? d->next_ms : 0);
    wagw_json_kiso(j, "createdAt", d->created_ms);
    wagw_json_kiso(j, "updatedAt", d->updated_ms);
    wagw_json_close(j);
}

static void delivery_where(wagw_query_t *q, uint32_t instance, int status, int64_t since_ms)
{
    wagw_query(q, " WHERE 1");

    if (instance != 0) {
        wagw_query_int(q, " AND inst = ?", instance);
    }

    if (status >= 0) {
        wagw_query_int(q, " AND status = ?", status);
    }

    if (since_ms != 0) {
        wagw_query_int(q, " AND created_ms >= ?", since_ms);
    }
}

int wagw_store_deliveries(wagw_store_t *s, uint32_t instance, int status, wagw_str_t event, int64_t since_ms,
                          uint32_t limit, uint32_t offset, wagw_buf_t *json, uint32_t *count, uint64_t *total)
{
    wagw_json_t j = wagw_json(json);
    wagw_query_t q = {.n = 0};
    wagw_delivery_t d;
    sqlite3_stmt *st;
    char tail[80];
    int64_t n = 0;
    int rc;

    *count = 0;

    delivery_where(&q, instance, status, since_ms);

    if (event.n != 0) {
        wagw_query_str(&q, " AND event = ?", event);
    }

    rc = wagw_query_count(s, "SELECT count(*) FROM deliveries", &q, "", &n);
    *total = (uint64_t)n;

    if (rc != WAGW_OK) {
        goto done;
    }

    snprintf(tail, sizeof(tail), " ORDER BY created_ms DESC, num DESC LIMIT %u OFFSET %u", limit, offset);
    st = wagw_query_prepare(s, "SELECT " DELIVERY_COLUMNS " FROM deliveries", &q, tail);

    wagw_json_open(&j, '[');

    while ((rc = wagw_sql_step(s, st)) == WAGW_OK) {
        delivery_row(st, &d);
        delivery_json(&j, &d);
        (*count)++;
    }

    wagw_json_close(&j);
    sqlite3_finalize(st);

    rc = rc != WAGW_NOT_FOUND ? rc : json->failed ? WAGW_NOMEM : WAGW_OK;

done:

    wagw_query_free(&q);

    return rc;
}

int wagw_store_delivery_get(wagw_store_t *s, wagw_str_t id, wagw_buf_t *json, wagw_arena_t *a, wagw_delivery_t *d)
{
    wagw_str_t *views[] = {&d->id,       &d->webhook_id, &d->instance_id, &d->url,      &d->event,
                           &d->event_id, &d->chat,       &d->payload,     &d->response, &d->error};
    sqlite3_stmt *st;
    size_t i;
    int rc;

    st = wagw_sql(s, "SELECT " DELIVERY_COLUMNS " FROM deliveries WHERE id = ?1");
    wagw_sql_bind(st, "s", id);

    rc = wagw_sql_step(s, st);
    if (rc != WAGW_OK) {
        return rc;
    }

    delivery_row(st, d);

    if (json != NULL) {
        wagw_json_t j = wagw_json(json);

        delivery_json(&j, d);
        rc = json->failed ? WAGW_NOMEM : WAGW_OK;
    }

    for (i = 0; i < sizeof(views) / sizeof(views[0]) && rc == WAGW_OK; i++) {
        *views[i] = wagw_arena_str(a, *views[i]);
        rc = views[i]->p != NULL ? WAGW_OK : WAGW_NOMEM;
    }

    wagw_sql_done(st);

    return rc;
}

static int stats_percentile(wagw_store_t *s, const wagw_query_t *q, int64_t n, unsigned percent, int64_t *ms)
{
    char tail[96];
    int rc;

    snprintf(tail, sizeof(tail), " AND status = 1 ORDER BY duration_ms LIMIT 1 OFFSET %lld",
             (long long)((n - 1) * percent / 100));
    rc = wagw_query_count(s, "SELECT duration_ms FROM deliveries", q, tail, ms);

    return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
}

static int stats_events(wagw_store_t *s, const wagw_query_t *q, wagw_json_t *j)
{
    sqlite3_stmt *st;
    char tail[80];
    int rc;

    snprintf(tail, sizeof(tail), " GROUP BY event ORDER BY 2 DESC, event LIMIT %d", TOP_EVENTS);
    st = wagw_query_prepare(s, "SELECT event, count(*) FROM deliveries", q, tail);

    wagw_json_key(j, "topEvents");
    wagw_json_open(j, '[');

    while ((rc = wagw_sql_step(s, st)) == WAGW_OK) {
        wagw_json_open(j, '{');
        wagw_json_kstr(j, "event", wagw_sql_str(st, 0));
        wagw_json_kint(j, "count", sqlite3_column_int64(st, 1));
        wagw_json_close(j);
    }

    wagw_json_close(j);
    sqlite3_finalize(st);

    return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
}

int wagw_store_delivery_stats(wagw_store_t *s, uint32_t instance, int64_t since_ms, int64_t now_ms, uint32_t days,
                              wagw_str_t instance_id, wagw_buf_t *json)
{
    int64_t total = 0, success = 0, failed = 0, pending = 0, oldest = 0, p50 = 0, p95 = 0;
    wagw_query_t q = {.n = 0};
    wagw_json_t j = wagw_json(json);
    sqlite3_stmt *st;
    char text[32];
    int rc;

    delivery_where(&q, instance, -1, since_ms);

    st = wagw_query_prepare(s,
                            "SELECT count(*), coalesce(sum(status = 1), 0), coalesce(sum(status > 1), 0),"
                            " coalesce(sum(status = 0), 0), coalesce(min(iif(status = 0, created_ms, NULL)), 0)"
                            " FROM deliveries",
                            &q, "");

    rc = wagw_sql_step(s, st);
    if (rc == WAGW_OK) {
        total = sqlite3_column_int64(st, 0);
        success = sqlite3_column_int64(st, 1);
        failed = sqlite3_column_int64(st, 2);
        pending = sqlite3_column_int64(st, 3);
        oldest = sqlite3_column_int64(st, 4);
    }

    sqlite3_finalize(st);

    if (rc == WAGW_OK && success > 0) {
        rc = stats_percentile(s, &q, success, 50, &p50);
        if (rc == WAGW_OK) {
            rc = stats_percentile(s, &q, success, 95, &p95);
        }
    }

    if (rc != WAGW_OK) {
        goto done;
    }

    wagw_json_open(&j, '{');
    snprintf(text, sizeof(text), "%u days", days);
    wagw_json_kcstr(&j, "period", text);
    wagw_json_kint(&j, "total", total);
    wagw_json_kint(&j, "success", success);
    wagw_json_kint(&j, "failed", failed);
    snprintf(text, sizeof(text), "%.2f", total > 0 ? 100.0 * (double)success / (double)total : 0.0);
    wagw_json_kcstr(&j, "successRate", text);

    rc = stats_events(s, &q, &j);

    wagw_json_or_null(&j, "instanceId", instance_id);
    wagw_json_kint(&j, "p50Ms", p50);
    wagw_json_kint(&j, "p95Ms", p95);
    wagw_json_kint(&j, "pending", pending);
    wagw_json_kint(&j, "oldestPendingSeconds", oldest != 0 && now_ms > oldest ? (now_ms - oldest) / 1000 : 0);
    wagw_json_close(&j);

    rc = rc != WAGW_OK ? rc : json->failed ? WAGW_NOMEM : WAGW_OK;

done:

    wagw_query_free(&q);

    return rc;
}

int wagw_store_deliveries_prune(wagw_store_t *s, uint32_t instance, int64_t before_ms, uint64_t *deleted)
{
    sqlite3_stmt *st;
    int rc;

    /* pending ones are still to be sent, dead and failed ones can be sent again by hand */
    if (instance != 0) {
        st = wagw_sql(s, "DELETE FROM deliveries WHERE inst = ?2 AND created_ms < ?1 AND status = 1");
        wagw_sql_bind(st, "iu", before_ms, instance);
    } else {
        st = wagw_sql(s, "DELETE FROM deliveries WHERE created_ms < ?1 AND status = 1");
        wagw_sql_bind(st, "i", before_ms);
    }

    rc = wagw_sql_run(s, st);
    *deleted = rc == WAGW_OK ? (uint64_t)wagw_sql_changes(s) : 0;

    return rc;
}

static int retry_one(wagw_store_t *s, wagw_str_t id, int64_t now_ms)
{
    sqlite3_stmt *st;
    int64_t status;
    int rc;

    st = wagw_sql(s, "SELECT status FROM deliveries WHERE id = ?1");
    wagw_sql_bind(st, "s", id);

    rc = wagw_sql_step(s, st);
    if (rc != WAGW_OK) {
        return rc;
    }

    status = sqlite3_column_int64(st, 0);
    wagw_sql_done(st);

    if (status == WAGW_DLV_SUCCESS) {
        return WAGW_STATE;
    }

    /* a pending one keeps its count and only comes sooner */
    st = wagw_sql(s, "UPDATE deliveries SET attempts = iif(status = 0, attempts, 0), status = 0, next_ms = ?2,"
                     " updated_ms = ?2 WHERE id = ?1");
    wagw_sql_bind(st, "si", id, now_ms);

    return wagw_sql_run(s, st);
}

int wagw_store_deliveries_retry(wagw_store_t *s, wagw_str_t id, uint32_t instance, int status, int64_t since_ms,
                                int64_t now_ms, uint64_t *n)
{
    wagw_query_t q = {.n = 0};
    sqlite3_stmt *st;
    int rc;

    *n = 0;

    if (id.n != 0) {
        rc = retry_one(s, id, now_ms);
        *n = rc == WAGW_OK ? 1 : 0;
        return rc;
    }

    if (status == WAGW_DLV_PENDING || status == WAGW_DLV_SUCCESS) {
        return WAGW_STATE;
    }

    wagw_query_int(&q, "UPDATE deliveries SET status = 0, attempts = 0, next_ms = ?", now_ms);
    wagw_query_int(&q, ", updated_ms = ?", now_ms);
    delivery_where(&q, instance, status, since_ms);
    st = wagw_query_prepare(s, "", &q, status < 0 ? " AND status > 1" : "");
    rc = wagw_sql_run(s, st);
    sqlite3_finalize(st);
    wagw_query_free(&q);

    if (rc == WAGW_OK) {
        *n = (uint64_t)wagw_sql_changes(s);
    }

    return rc;
}
