#include "ngx_wagw_schedule.h"

/*
 * POST /api/schedules/:id/run: a run out of turn, which the call waits for as
 * a small bulk send does.
 */

#define RUN_INLINE 20

typedef struct {
    wagw_scope_t scope;
    wagw_arena_t arena;
    wagw_schedule_t c;
    int64_t now_ms;
    ngx_wagw_schedule_run_t run;
    wagw_buf_t job;
    unsigned reading : 1; /* the job, for the answer */
} run_t;

static void run_free(void *data)
{
    run_t *c = data;

    wagw_arena_free(&c->arena);
    wagw_buf_free(&c->job);
}

static void run_no_memory(ngx_wagw_call_t *call)
{
    ngx_wagw_call_fail(call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
}

static int run_job_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    run_t *c = call->data;

    wagw_buf_reset(&c->job);

    return wagw_store_sends_get(s, wagw_cstr(c->run.id), NULL, &c->job);
}

static void run_result(wagw_json_t *j, const cJSON *one, int64_t now_ms)
{
    const char *to = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(one, "to")),
               *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(one, "messageId")),
               *status = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(one, "status"));
    bool sent = status && ngx_strcmp(status, "sent") == 0;

    wagw_json_open(j, '{');
    if (id) {
        wagw_json_kcstr(j, "messageId", id);
    }
    wagw_json_kcstr(j, "status", sent ? "sent" : id ? "queued" : "failed");
    wagw_json_kint(j, "statusCode", sent ? WAGW_MSG_SENT : id ? WAGW_MSG_PENDING : WAGW_MSG_FAILED);
    wagw_json_kint(j, "timestamp", now_ms / 1000);
    wagw_json_kcstr(j, "to", to);
    wagw_json_kcstr(j, "chatId", to);
    if (sent) {
        wagw_json_kiso(j, "sentAt", now_ms);
    } else if (id == NULL) {
        wagw_json_kcstr(j, "error", cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(one, "error")));
        wagw_json_kcstr(j, "code", cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(one, "code")));
    }
    wagw_json_close(j);
}

static void run_job_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    run_t *c = call->data;
    cJSON *o;
    const cJSON *one;
    int64_t now = ngx_wagw_now_ms();
    bool open;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    if (job->rc != WAGW_OK) {
        ngx_wagw_call_store_failed(call);
        return;
    }

    o = cJSON_ParseWithLength((const char *)c->job.p, c->job.n);
    open = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(o, "pending")) > 0;
    wagw_json_open(&j, '[');
    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(o, "results"))
    {
        run_result(&j, one, now);
    }
    wagw_json_close(&j);
    cJSON_Delete(o);
    ngx_wagw_call_data(call, open ? 202 : 200, &b, open ? "Schedule is being sent" : "Schedule sent");
}

/* What has become of it until now. */
static void run_results(ngx_wagw_call_t *call)
{
    run_t *c = call->data;

    call->late = NULL;

    /* its end and the end of the call's time may come together */
    if (!c->reading) {
        c->reading = 1;
        ngx_wagw_call_store(call, 0, run_job_run, run_job_done);
    }
}

static void run_ended(ngx_wagw_call_t *call, ngx_wagw_sends_t *j)
{
    (void)j;
    run_results(call);
}

static int run_fire_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    int rc;
    wagw_buf_t json = {0};
    ngx_wagw_call_t *call = job->data;
    run_t *c = call->data;

    rc = ngx_wagw_schedule_job(&c->c, c->now_ms, c->now_ms, &c->arena, &c->run);
    if (rc == WAGW_OK) {
        /* one that is due once has been sent with this; the next due time of others stays */
        rc = wagw_store_schedule_fire(s, c->c.num, c->c.next_ms, c->c.cron.n ? c->c.next_ms : 0, c->now_ms, &c->run.row,
                                      c->run.items, c->run.n);
    }

    /* an earlier try of this call began it */
    if (rc == WAGW_NOT_FOUND && call->idempotency_key.len &&
        wagw_store_sends_get(s, wagw_cstr(c->run.id), NULL, &json) == WAGW_OK) {
        rc = WAGW_DUPLICATE;
    }
    wagw_buf_free(&json);

    return rc;
}

static void run_fire_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    run_t *c = call->data;
    ngx_wagw_sends_t *j = NULL;
    ngx_wagw_instance_t *in = ngx_wagw_instance_find((u_char *)c->c.instance_id.p, c->c.instance_id.n);

    if (job->rc == WAGW_NOT_FOUND) {
        ngx_wagw_schedule_not_waiting(call);
        return;
    }

    if (job->rc != WAGW_OK && job->rc != WAGW_DUPLICATE) {
        ngx_wagw_call_store_failed(call);
        return;
    }

    if (in) {
        j = job->rc == WAGW_OK ? ngx_wagw_queue_add(in, &c->run.row) : ngx_wagw_queue_find(in, wagw_cstr(c->run.id));
    }

    if (j == NULL || c->run.n > RUN_INLINE || ((ngx_wagw_sendq_t *)in->sends)->paused) {
        run_results(call);
        return;
    }

    call->late = run_results;
    j->wait.serial = call->serial;
    j->wait.handler = run_ended;
}

static void run_begin(ngx_wagw_call_t *call, run_t *c)
{
    wagw_client_info_t info;
    ngx_wagw_instance_t *in = ngx_wagw_instance_find((u_char *)c->c.instance_id.p, c->c.instance_id.n);

    if (!ngx_wagw_call_uuid(call, "run", c->run.id)) {
        run_no_memory(call);
        return;
    }

    if (c->c.status != WAGW_SCHEDULED && call->idempotency_key.len == 0) {
        ngx_wagw_schedule_not_waiting(call);
        return;
    }

    if (in) {
        wagw_client_info(in->client, &info);
    }

    if (in == NULL || info.status != WAGW_STATUS_CONNECTED) {
        ngx_wagw_call_fail(call, 409, "INSTANCE_NOT_CONNECTED", "Instance not found or not connected", WAGW_STR_NULL);
        return;
    }

    ngx_wagw_call_store(call, 1, run_fire_run, run_fire_done);
}

static int run_get_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    run_t *c = call->data;

    return wagw_store_schedule_get(s, &c->scope, ngx_wagw_param_str(call, "id"), &c->arena, &c->c);
}

static void run_get_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;

    if (job->rc == WAGW_OK) {
        run_begin(call, call->data);
    } else if (job->rc == WAGW_NOT_FOUND) {
        ngx_wagw_call_fail(call, 404, "SCHEDULE_NOT_FOUND", "Schedule not found", WAGW_STR_NULL);
    } else {
        ngx_wagw_call_store_failed(call);
    }
}

NGX_WAGW_HANDLER(schedule_run)
{
    run_t *c = ngx_wagw_call_ctx(call, sizeof(run_t));
    ngx_pool_cleanup_t *cln = c ? ngx_pool_cleanup_add(call->pool, 0) : NULL;

    if (c == NULL) {
        return;
    }

    if (cln == NULL) {
        run_no_memory(call);
        return;
    }

    cln->handler = run_free;
    cln->data = c;
    c->now_ms = ngx_wagw_now_ms();

    if (ngx_wagw_call_scope(call, &c->scope) == NGX_OK) {
        ngx_wagw_call_store(call, 0, run_get_run, run_get_done);
    }
}
