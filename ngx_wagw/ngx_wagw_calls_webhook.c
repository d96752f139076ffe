#include "ngx_wagw_calls.h"
#include "ngx_wagw_webhook.h"

#include <openssl/rand.h>

/* Contract 3.14: the delivery log, retry, statistics, and a test delivery. */

#define DAY_MS 86400000LL

typedef struct {
    uint32_t instance; /* 0: all */
    wagw_str_t instance_id;
    wagw_str_t id, event;
    int status; /* -1: all */
    int64_t since_ms;
    uint32_t days;
    int64_t now_ms;
    uint64_t n;
    ngx_wagw_list_t list;
    wagw_arena_t arena;
    wagw_delivery_t d;
} log_ctx_t;

static void log_free(log_ctx_t *ctx)
{
    ngx_wagw_list_free(&ctx->list);
    wagw_arena_free(&ctx->arena);
}

/* instanceId is no path parameter here: whether it exists, and whether the key may see it, is looked at now. */
static log_ctx_t *log_start(ngx_wagw_call_t *call)
{
    log_ctx_t *ctx;
    ngx_str_t id;
    wagw_str_t s;
    ngx_wagw_instance_t *in;
    static const char *names[] = {"pending", "success", "failed", "dead"};

    ctx = ngx_wagw_call_ctx(call, sizeof(log_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    ngx_wagw_list_page(call, &ctx->list, 50);
    ctx->now_ms = ngx_wagw_now_ms();
    ctx->event = ngx_wagw_param_str(call, "event");
    ctx->since_ms = ngx_wagw_param_time(call, "since");
    ctx->status = -1;

    s = ngx_wagw_param_str(call, "status");

    for (int i = 0; s.n && i < 4; i++) {
        if (wagw_str_eq(s, wagw_cstr(names[i]))) {
            ctx->status = i;
        }
    }

    s = ngx_wagw_param_str(call, "instanceId");

    if (s.n == 0) {

        if (call->key_instances.len) {
            ngx_wagw_call_invalid(call, "instanceId", "required: this key is bound to instances");
            return NULL;
        }

        return ctx;
    }

    id.data = (u_char *)s.p;
    id.len = s.n;
    in = ngx_wagw_instance_find(id.data, id.len);

    if (in == NULL || !ngx_wagw_call_sees(call, &id)) {
        ngx_wagw_call_fail(call, 404, "INSTANCE_NOT_FOUND", "Instance not found", WAGW_STR_NULL);
        return NULL;
    }

    ctx->instance = in->num;
    ctx->instance_id = s;

    return ctx;
}

/* ---- log ------------------------------------------------------------------------- */

static int logs_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    log_ctx_t *ctx;
    ngx_wagw_call_t *call = job->data;

    ctx = call->data;

    return wagw_store_deliveries(s, ctx->instance, ctx->status, ctx->event, ctx->since_ms, ctx->list.limit,
                                 ctx->list.offset, &ctx->list.json, &ctx->list.count, &ctx->list.total);
}

static void logs_done(ngx_wagw_job_t *job)
{
    uint64_t next;
    log_ctx_t *ctx;
    ngx_wagw_list_t list;
    ngx_wagw_call_t *call = job->data;

    ctx = call->data;

    if (job->rc != WAGW_OK) {
        log_free(ctx);
        ngx_wagw_call_store_failed(call);
        return;
    }

    next = (uint64_t)ctx->list.offset + ctx->list.count;
    ctx->list.more = next < ctx->list.total;

    if (ctx->list.more) {
        wagw_buf_printf(&ctx->list.next_cursor, "%llu", (unsigned long long)next);
    }

    list = ctx->list;
    ngx_wagw_call_list(call, &list, NULL);
}

NGX_WAGW_HANDLER(webhook_logs)
{
    uint64_t n;
    log_ctx_t *ctx;
    wagw_str_t cursor;

    ctx = log_start(call);
    if (ctx == NULL) {
        return;
    }

    cursor = ngx_wagw_param_str(call, "cursor");

    if (cursor.n) {
        if (wagw_str_u64(cursor, &n) != WAGW_OK || n > UINT32_MAX) {
            ngx_wagw_call_invalid(call, "cursor", "not a cursor of this listing");
            return;
        }

        ctx->list.offset = (uint32_t)n;
    }

    ngx_wagw_call_store(call, 0, logs_run, logs_done);
}

static int log_get_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    log_ctx_t *ctx;
    ngx_wagw_call_t *call = job->data;

    ctx = call->data;

    return wagw_store_delivery_get(s, ctx->id, &ctx->list.json, &ctx->arena, &ctx->d);
}

/* Not there, or of an instance that the key does not see. */
static ngx_uint_t log_failed(ngx_wagw_call_t *call, int rc)
{
    ngx_str_t id;
    log_ctx_t *ctx = call->data;

    if (rc == WAGW_OK) {
        id.data = (u_char *)ctx->d.instance_id.p;
        id.len = ctx->d.instance_id.n;

        if (ngx_wagw_call_sees(call, &id)) {
            return 0;
        }
    }

    log_free(ctx);

    if (rc == WAGW_OK || rc == WAGW_NOT_FOUND) {
        ngx_wagw_call_fail(call, 404, "WEBHOOK_NOT_FOUND", "Webhook not found", WAGW_STR_NULL);

    } else {
        ngx_wagw_call_store_failed(call);
    }

    return 1;
}

static void log_get_done(ngx_wagw_job_t *job)
{
    log_ctx_t *ctx;
    wagw_buf_t json;
    ngx_wagw_call_t *call = job->data;

    if (log_failed(call, job->rc)) {
        return;
    }

    ctx = call->data;
    json = ctx->list.json;
    wagw_arena_free(&ctx->arena);
    ngx_wagw_call_data(call, 200, &json, NULL);
}

static log_ctx_t *log_one(ngx_wagw_call_t *call)
{
    log_ctx_t *ctx;

    ctx = ngx_wagw_call_ctx(call, sizeof(log_ctx_t));

    if (ctx) {
        ctx->id = ngx_wagw_param_str(call, "webhookId");
        ctx->now_ms = ngx_wagw_now_ms();
    }

    return ctx;
}

NGX_WAGW_HANDLER(webhook_log_get)
{
    if (log_one(call)) {
        ngx_wagw_call_store(call, 0, log_get_run, log_get_done);
    }
}

/* ---- retry ------------------------------------------------------------------------- */

static int retry_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    log_ctx_t *ctx;
    ngx_wagw_call_t *call = job->data;

    ctx = call->data;

    return wagw_store_deliveries_retry(s, ctx->id, 0, -1, 0, ctx->now_ms, &ctx->n);
}

static void retry_done(ngx_wagw_job_t *job)
{
    log_ctx_t *ctx;
    wagw_buf_t b;
    wagw_json_t j;
    ngx_wagw_call_t *call = job->data;
    ngx_wagw_hook_full_t *h;

    ctx = call->data;

    if (job->rc == WAGW_STATE) {
        log_free(ctx);
        ngx_wagw_call_fail(call, 400, "VALIDATION_FAILED", "Webhook was already delivered successfully", WAGW_STR_NULL);
        return;
    }

    if (log_failed(call, job->rc)) {
        return;
    }

    /* asked for by a person: an open breaker does not hold it back */
    h = ngx_wagw_webhook_find(ctx->d.webhook_id);

    if (h) {
        h->hook.failures = 0;
        h->probe_ms = 0;
        ngx_wagw_hookq_want(h);
    }

    ngx_memzero(&b, sizeof(b));
    j = wagw_json(&b);
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "webhookId", ctx->id);
    wagw_json_kcstr(&j, "status", "pending");
    wagw_json_close(&j);

    log_free(ctx);
    ngx_wagw_call_data(call, 200, &b, "Webhook retry initiated");
}

static void retry_found(ngx_wagw_job_t *job)
{
    log_ctx_t *ctx;
    ngx_wagw_call_t *call = job->data;

    if (log_failed(call, job->rc)) {
        return;
    }

    ctx = call->data;

    if (ngx_wagw_webhook_find(ctx->d.webhook_id) == NULL) {
        log_free(ctx);
        ngx_wagw_call_fail(call, 400, "VALIDATION_FAILED", "The webhook of this delivery was removed", WAGW_STR_NULL);
        return;
    }

    ngx_wagw_call_store(call, 1, retry_run, retry_done);
}

NGX_WAGW_HANDLER(webhook_retry)
{
    if (log_one(call)) {
        ngx_wagw_call_store(call, 0, log_get_run, retry_found);
    }
}

/* ---- statistics, pruning -------------------------------------------------------------- */

static int stats_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    log_ctx_t *ctx;
    ngx_wagw_call_t *call = job->data;

    ctx = call->data;

    return wagw_store_delivery_stats(s, ctx->instance, ctx->since_ms, ctx->now_ms, ctx->days, ctx->instance_id,
                                     &ctx->list.json);
}

static void stats_done(ngx_wagw_job_t *job)
{
    log_ctx_t *ctx;
    wagw_buf_t json;
    ngx_wagw_call_t *call = job->data;

    ctx = call->data;

    if (job->rc != WAGW_OK) {
        log_free(ctx);
        ngx_wagw_call_store_failed(call);
        return;
    }

    json = ctx->list.json;
    ngx_wagw_call_data(call, 200, &json, NULL);
}

NGX_WAGW_HANDLER(webhook_stats)
{
    log_ctx_t *ctx;

    ctx = log_start(call);
    if (ctx == NULL) {
        return;
    }

    ctx->days = (uint32_t)ngx_wagw_param_int(call, "days", 7);
    ctx->since_ms = ctx->now_ms - ctx->days * DAY_MS;
    ngx_wagw_call_store(call, 0, stats_run, stats_done);
}

static int prune_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    log_ctx_t *ctx;
    ngx_wagw_call_t *call = job->data;

    ctx = call->data;

    return wagw_store_deliveries_prune(s, ctx->instance, ctx->since_ms, &ctx->n);
}

static void prune_done(ngx_wagw_job_t *job)
{
    char data[64], extra[64];
    log_ctx_t *ctx;
    ngx_wagw_call_t *call = job->data;

    ctx = call->data;

    if (job->rc != WAGW_OK) {
        ngx_wagw_call_store_failed(call);
        return;
    }

    snprintf(data, sizeof(data), "{\"deletedCount\":%llu}", (unsigned long long)ctx->n);
    snprintf(extra, sizeof(extra), "\"deletedCount\":%llu", (unsigned long long)ctx->n);
    ngx_wagw_call_ok(call, 200, wagw_cstr(data), "Webhook logs deleted successfully", wagw_cstr(extra));
}

NGX_WAGW_HANDLER(webhook_logs_delete)
{
    int64_t days;
    log_ctx_t *ctx;

    ctx = log_start(call);
    if (ctx == NULL) {
        return;
    }

    days = ngx_wagw_param_int(call, "days", 0);

    /* what was made in this very millisecond is older than "0 days" too */
    ctx->since_ms = ctx->now_ms + 1 - days * DAY_MS;
    ngx_wagw_call_store(call, 1, prune_run, prune_done);
}

/* ---- test ------------------------------------------------------------------------------- */

typedef struct {
    ngx_wagw_call_t *call; /* NULL: it was answered without us */
    ngx_wagw_post_t post;
    wagw_buf_t body;
    char id[37];
} test_t;

static void test_forget(void *data)
{
    test_t *t = data;

    t->call = NULL;
}

static void test_event_id(char out[32])
{
    int i;
    u_char r[16];
    uint64_t ms;
    static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

    ms = (uint64_t)ngx_wagw_now_ms();

    if (RAND_bytes(r, sizeof(r)) != 1) {
        ngx_memzero(r, sizeof(r));
    }

    ngx_memcpy(out, "evt_", 4);

    for (i = 9; i >= 0; i--, ms >>= 5) {
        out[4 + i] = alphabet[ms & 31];
    }

    for (i = 0; i < 16; i++) {
        out[14 + i] = alphabet[r[i] & 31];
    }

    out[30] = '\0';
}

static void test_body(ngx_wagw_call_t *call, test_t *t, char event_id[32], wagw_str_t event, wagw_str_t instance)
{
    char *text;
    ngx_str_t id;
    wagw_json_t j;
    const cJSON *data;
    ngx_wagw_instance_t *in;

    id.data = (u_char *)instance.p;
    id.len = instance.n;
    in = instance.n && ngx_wagw_call_sees(call, &id) ? ngx_wagw_instance_find(id.data, id.len) : NULL;
    data = ngx_wagw_param(call, "data");
    text = data ? cJSON_PrintUnformatted(data) : NULL;

    j = wagw_json(&t->body);
    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "id", event_id);
    wagw_json_kint(&j, "seq", 0);
    wagw_json_kstr(&j, "event", event);
    wagw_json_kstr(&j, "instanceId", instance);
    wagw_json_kstr(&j, "instanceName", in ? wagw_str(in->name.data, in->name.len) : WAGW_STR(""));
    wagw_json_kiso(&j, "timestamp", ngx_wagw_now_ms());
    wagw_json_kraw(&j, "data", text ? wagw_cstr(text) : WAGW_STR("{\"message\":\"This is a test webhook\"}"));
    wagw_json_kint(&j, "version", 1);
    wagw_json_close(&j);

    cJSON_free(text);
}

static void test_answer(test_t *t, ngx_wagw_post_t *post)
{
    ngx_uint_t ok;
    wagw_buf_t b;
    wagw_json_t j;
    ngx_wagw_call_t *call = t->call;

    ok = post->status >= 200 && post->status < 300;
    ngx_memzero(&b, sizeof(b));

    j = wagw_json(&b);
    wagw_json_open(&j, '{');
    wagw_json_kbool(&j, "success", ok);
    wagw_json_kcstr(&j, "webhookId", t->id);

    if (post->status) {
        wagw_json_kint(&j, "statusCode", (int64_t)post->status);

    } else {
        wagw_json_knull(&j, "statusCode");
    }

    wagw_json_kstr(&j, "response", wagw_buf_view(&post->response));

    if (post->error) {
        wagw_json_kcstr(&j, "error", post->error);
    }

    wagw_json_kint(&j, "durationMs", post->duration_ms);
    wagw_json_close(&j);

    if (ok) {
        ngx_wagw_call_data(call, 200, &b, "Webhook test successful");
        return;
    }

    ngx_wagw_call_fail(call, 400, "VALIDATION_FAILED", "Webhook test failed",
                       b.failed ? WAGW_STR_NULL : wagw_buf_view(&b));
    wagw_buf_free(&b);
}

static void test_done(ngx_wagw_post_t *post)
{
    test_t *t = post->data;

    if (t->call) {
        test_answer(t, post);
    }

    wagw_buf_free(&t->body);
    free(t);
}

NGX_WAGW_HANDLER(webhook_test)
{
    char event_id[32];
    test_t *t;
    wagw_str_t url, event, instance;
    ngx_pool_cleanup_t *cln;

    url = ngx_wagw_param_str(call, "url");
    event = ngx_wagw_param_str(call, "event");
    instance = ngx_wagw_param_str(call, "instanceId");

    if (!ngx_wagw_http_url_ok(url)) {
        ngx_wagw_call_invalid(call, "url", "must be an http or https URL");
        return;
    }

    event = event.n ? event : WAGW_STR("webhook.test");
    cln = ngx_pool_cleanup_add(call->pool, 0);
    t = cln ? calloc(1, sizeof(test_t)) : NULL;

    if (t == NULL) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Internal error", WAGW_STR_NULL);
        return;
    }

    /* the call may end first: by its own time limit, or because the gateway stops */
    cln->handler = test_forget;
    cln->data = t;

    t->call = call;
    ngx_wagw_uuid(t->id);
    test_event_id(event_id);
    test_body(call, t, event_id, event, instance);

    t->post.url = (const char *)url.p;
    t->post.body = wagw_buf_view(&t->body);
    t->post.done = test_done;
    t->post.data = t;
    t->post.headers = t->body.failed ? NULL
                                     : ngx_wagw_webhook_headers(ngx_wagw_hookq.wmcf, wagw_cstr(t->id), instance, event,
                                                                wagw_cstr(event_id), 0,
                                                                ngx_wagw_param_str(call, "secret"), t->post.body, NULL);

    if (t->post.headers == NULL || ngx_wagw_http_post(&t->post) != NGX_OK) {
        cln->handler = NULL;
        wagw_buf_free(&t->body);
        free(t);
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Internal error", WAGW_STR_NULL);
    }
}
