#include "ngx_wagw_calls.h"
#include "ngx_wagw_webhook.h"

/* Webhooks as part of an instance: GET and PUT /api/instance/:id/webhook, and what create and update need. */

typedef struct {
    wagw_webhook_t w;
} hook_ctx_t;

static void hook_raw(wagw_json_t *j, const char *key, const cJSON *v)
{
    char *text;

    text = v ? cJSON_PrintUnformatted(v) : NULL;

    if (text) {
        wagw_json_kraw(j, key, wagw_cstr(text));
        cJSON_free(text);
    }
}

void ngx_wagw_hook_json(wagw_json_t *j, ngx_wagw_hook_t *hook)
{
    ngx_wagw_hook_full_t *h = (ngx_wagw_hook_full_t *)hook;
    static const char *policies[] = {"exponential", "linear", "constant"};

    wagw_json_open(j, '{');
    wagw_json_kstr(j, "id", hook->w.id);
    wagw_json_kstr(j, "url", hook->w.url);

    if (hook->events) {
        hook_raw(j, "events", hook->events);

    } else {
        wagw_json_kraw(j, "events", WAGW_STR("[\"*\"]"));
    }

    wagw_json_kbool(j, "enabled", hook->w.enabled);

    wagw_json_key(j, "retry");
    wagw_json_open(j, '{');
    wagw_json_kcstr(j, "policy", policies[h->policy]);
    wagw_json_kint(j, "attempts", (int64_t)h->attempts);
    wagw_json_kint(j, "delay", (int64_t)h->delay);
    wagw_json_close(j);

    if (h->headers) {
        hook_raw(j, "headers", h->headers);

    } else {
        wagw_json_kraw(j, "headers", WAGW_STR("{}"));
    }

    wagw_json_kbool(j, "hasSecret", hook->w.secret.n != 0);
    hook_raw(j, "batch", cJSON_GetObjectItemCaseSensitive(h->options, "batch"));
    hook_raw(j, "filter", cJSON_GetObjectItemCaseSensitive(h->options, "filter"));
    wagw_json_kbool(j, "ordered", h->ordered);
    wagw_json_kbool(j, "retryAll", h->retry_all);
    wagw_json_kiso(j, "createdAt", hook->w.created_ms);
    wagw_json_kiso(j, "updatedAt", hook->w.updated_ms);
    wagw_json_close(j);
}

ngx_wagw_hook_t *ngx_wagw_hook_first(ngx_wagw_instance_t *in)
{
    if (ngx_queue_empty(&in->webhooks)) {
        return NULL;
    }

    return ngx_queue_data(ngx_queue_head(&in->webhooks), ngx_wagw_hook_t, queue);
}

/* ---- checks -------------------------------------------------------------------- */

static ngx_int_t hook_wrong(ngx_wagw_call_t *call, const char *field, const char *reason)
{
    ngx_wagw_call_invalid(call, field, reason);

    return NGX_DECLINED;
}

static ngx_uint_t hook_number(const cJSON *o, const char *key, double min, double max)
{
    const cJSON *v;

    v = cJSON_GetObjectItemCaseSensitive(o, key);

    return v == NULL || (cJSON_IsNumber(v) && v->valuedouble >= min && v->valuedouble <= max);
}

static ngx_uint_t hook_strings(const cJSON *o, const char *key)
{
    const cJSON *i, *v;

    v = cJSON_GetObjectItemCaseSensitive(o, key);

    if (v == NULL || cJSON_IsNull(v)) {
        return 1;
    }

    if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) > 1000) {
        return 0;
    }

    cJSON_ArrayForEach(i, v)
    {
        if (!cJSON_IsString(i)) {
            return 0;
        }
    }

    return 1;
}

static ngx_int_t hook_check_options(ngx_wagw_call_t *call)
{
    const char *policy;
    const cJSON *o, *v;

    o = ngx_wagw_param(call, "retry");

    if (o) {
        v = cJSON_GetObjectItemCaseSensitive(o, "policy");
        policy = cJSON_GetStringValue(v);

        if (v && (policy == NULL || (ngx_strcmp(policy, "constant") != 0 && ngx_strcmp(policy, "linear") != 0 &&
                                     ngx_strcmp(policy, "exponential") != 0))) {
            return hook_wrong(call, "retry.policy", "must be one of constant, linear, exponential");
        }

        if (!hook_number(o, "attempts", 1, 100)) {
            return hook_wrong(call, "retry.attempts", "must be a number from 1 to 100");
        }

        if (!hook_number(o, "delay", 0, 3600000)) {
            return hook_wrong(call, "retry.delay", "must be milliseconds up to 3600000");
        }
    }

    o = ngx_wagw_param(call, "batch");

    if (o && !hook_number(o, "max", 1, NGX_WAGW_HOOK_BATCH)) {
        return hook_wrong(call, "batch.max", "must be a number from 1 to 100");
    }

    if (o && !hook_number(o, "ms", 0, 60000)) {
        return hook_wrong(call, "batch.ms", "must be milliseconds up to 60000");
    }

    o = ngx_wagw_param(call, "filter");

    if (o && !hook_strings(o, "chats")) {
        return hook_wrong(call, "filter.chats", "must be a list of chats");
    }

    if (o && !hook_strings(o, "types")) {
        return hook_wrong(call, "filter.types", "must be a list of message types");
    }

    v = cJSON_GetObjectItemCaseSensitive(o, "fromMe");

    if (v && !cJSON_IsBool(v) && !cJSON_IsNull(v)) {
        return hook_wrong(call, "filter.fromMe", "must be a boolean");
    }

    return NGX_OK;
}

ngx_int_t ngx_wagw_hook_check(ngx_wagw_call_t *call, const char *url, const char *events, const char *headers)
{
    wagw_str_t s;
    const cJSON *i, *o;

    s = ngx_wagw_param_str(call, url);

    if (s.n && !ngx_wagw_http_url_ok(s)) {
        return hook_wrong(call, url, "must be an http or https URL");
    }

    o = ngx_wagw_param(call, events);

    cJSON_ArrayForEach(i, o)
    {
        if (!cJSON_IsString(i) || !ngx_wagw_webhook_event_known(i->valuestring)) {
            return hook_wrong(call, events, "unknown event name");
        }
    }

    o = ngx_wagw_param(call, headers);

    if (o && cJSON_GetArraySize(o) > 50) {
        return hook_wrong(call, headers, "at most 50 headers");
    }

    cJSON_ArrayForEach(i, o)
    {
        if (!cJSON_IsString(i) || !ngx_wagw_webhook_header_ok(i->string, i->valuestring)) {
            return hook_wrong(call, headers, "not a header that may be set");
        }
    }

    /* create and update have no such fields */
    return ngx_strcmp(url, "url") == 0 ? hook_check_options(call) : NGX_OK;
}

/* ---- the row --------------------------------------------------------------------- */

/* The parameter when it is there (null empties), else what was. */
static ngx_int_t hook_part(ngx_wagw_call_t *call, const char *name, wagw_str_t *out)
{
    u_char *p;
    const cJSON *v;

    v = ngx_wagw_param(call, name);

    if (v == NULL) {
        if (out->n == 0) {
            return NGX_OK;
        }

        /* the hook's own memory may change before the store has read it */
        p = ngx_pnalloc(call->pool, out->n);
        if (p == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(p, out->p, out->n);
        out->p = p;

        return NGX_OK;
    }

    *out = WAGW_STR_NULL;

    if (cJSON_IsString(v)) {
        *out = wagw_cstr(v->valuestring);
        return NGX_OK;
    }

    return cJSON_IsNull(v) ? NGX_OK : ngx_wagw_call_json(call, v, out);
}

static ngx_int_t hook_options(ngx_wagw_call_t *call, ngx_wagw_hook_full_t *old, wagw_str_t *out)
{
    cJSON *o, *v;
    ngx_int_t rc;
    ngx_uint_t i;
    const cJSON *given;
    static const char *names[] = {"retry", "batch", "filter", "ordered", "retryAll"};

    rc = NGX_ERROR;
    o = cJSON_CreateObject();

    for (i = 0; o && i < 5; i++) {
        given = ngx_wagw_param(call, names[i]);

        if (given == NULL && old) {
            given = cJSON_GetObjectItemCaseSensitive(old->options, names[i]);
        }

        if (given == NULL || cJSON_IsNull(given)) {
            continue;
        }

        v = cJSON_Duplicate(given, 1);

        if (v == NULL || !cJSON_AddItemToObject(o, names[i], v)) {
            cJSON_Delete(v);
            goto done;
        }
    }

    if (o) {
        rc = ngx_wagw_call_json(call, o, out);
    }

done:

    cJSON_Delete(o);

    return rc;
}

ngx_int_t ngx_wagw_hook_row(ngx_wagw_call_t *call, wagw_webhook_t *w, uint32_t instance, ngx_wagw_hook_t *old,
                            const char *url, const char *events, const char *secret, const char *headers)
{
    int enabled;
    u_char *p;
    char id[37];

    ngx_memzero(w, sizeof(wagw_webhook_t));

    if (old) {
        *w = old->w;
    }

    w->options = WAGW_STR_NULL;

    if (hook_part(call, url, &w->url) != NGX_OK || hook_part(call, events, &w->events) != NGX_OK ||
        hook_part(call, secret, &w->secret) != NGX_OK || hook_part(call, headers, &w->headers) != NGX_OK ||
        hook_options(call, (ngx_wagw_hook_full_t *)old, &w->options) != NGX_OK) {
        return NGX_ERROR;
    }

    p = ngx_pnalloc(call->pool, old ? old->w.id.n : sizeof(id));
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (old) {
        ngx_memcpy(p, old->w.id.p, old->w.id.n);
        w->id = wagw_str(p, old->w.id.n);

    } else {
        ngx_wagw_uuid(id);
        ngx_memcpy(p, id, sizeof(id));
        w->id = wagw_str(p, sizeof(id) - 1);
        w->instance = instance;
        w->enabled = true;
        w->created_ms = ngx_wagw_now_ms();
    }

    enabled = ngx_wagw_param_bool(call, "enabled");

    if (enabled != -1) {
        w->enabled = enabled == 1;
    }

    w->updated_ms = ngx_wagw_now_ms();

    return NGX_OK;
}

/* ---- calls -------------------------------------------------------------------------- */

NGX_WAGW_HANDLER(instance_webhook_list)
{
    wagw_json_t j;
    ngx_queue_t *q;
    ngx_wagw_list_t list;
    ngx_wagw_instance_t *in;

    in = ngx_wagw_call_instance(call);
    ngx_memzero(&list, sizeof(list));
    list.total = UINT64_MAX;

    j = wagw_json(&list.json);
    wagw_json_open(&j, '[');

    for (q = ngx_queue_head(&in->webhooks); q != ngx_queue_sentinel(&in->webhooks); q = ngx_queue_next(q)) {
        ngx_wagw_hook_json(&j, ngx_queue_data(q, ngx_wagw_hook_t, queue));
        list.count++;
    }

    wagw_json_close(&j);
    ngx_wagw_call_list(call, &list, NULL);
}

static int hook_put_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    hook_ctx_t *ctx;
    ngx_wagw_call_t *call = job->data;

    ctx = call->data;

    return wagw_store_webhook_put(s, &ctx->w);
}

static void hook_put_done(ngx_wagw_job_t *job)
{
    hook_ctx_t *ctx;
    wagw_buf_t b;
    wagw_json_t j;
    ngx_wagw_call_t *call = job->data;
    ngx_wagw_hook_t *hook;

    ctx = call->data;

    if (job->rc == WAGW_NOT_FOUND || ngx_wagw_call_instance(call) == NULL) {
        ngx_wagw_call_fail(call, 404, "INSTANCE_NOT_FOUND", "Instance not found", WAGW_STR_NULL);
        return;
    }

    if (job->rc != WAGW_OK) {
        ngx_wagw_call_store_failed(call);
        return;
    }

    hook = ngx_wagw_webhook_add(&ctx->w);

    if (hook == NULL) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Internal error", WAGW_STR_NULL);
        return;
    }

    ngx_memzero(&b, sizeof(b));
    j = wagw_json(&b);
    ngx_wagw_hook_json(&j, hook);
    ngx_wagw_call_data(call, 200, &b, "Webhook updated successfully");
}

NGX_WAGW_HANDLER(instance_webhook_put)
{
    wagw_str_t id, url;
    hook_ctx_t *ctx;
    ngx_queue_t *q;
    ngx_wagw_hook_t *hook, *old;
    ngx_wagw_instance_t *in;

    ctx = ngx_wagw_call_ctx(call, sizeof(hook_ctx_t));

    if (ctx == NULL || ngx_wagw_hook_check(call, "url", "events", "headers") != NGX_OK) {
        return;
    }

    in = ngx_wagw_call_instance(call);
    id = ngx_wagw_param_str(call, "id");
    url = ngx_wagw_param_str(call, "url");
    old = NULL;

    for (q = ngx_queue_head(&in->webhooks); q != ngx_queue_sentinel(&in->webhooks); q = ngx_queue_next(q)) {
        hook = ngx_queue_data(q, ngx_wagw_hook_t, queue);

        if (id.n ? wagw_str_eq(hook->w.id, id) : wagw_str_eq(hook->w.url, url)) {
            old = hook;
            break;
        }
    }

    if (id.n && old == NULL) {
        ngx_wagw_call_fail(call, 404, "WEBHOOK_NOT_FOUND", "Webhook not found", WAGW_STR_NULL);
        return;
    }

    if (ngx_wagw_hook_row(call, &ctx->w, in->num, old, "url", "events", "secret", "headers") != NGX_OK) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Internal error", WAGW_STR_NULL);
        return;
    }

    ngx_wagw_call_store(call, 1, hook_put_run, hook_put_done);
}

/* ---- delete: one, or all of the instance ------------------------------------------- */

static int hook_delete_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    int rc = WAGW_OK;
    cJSON *one;
    ngx_wagw_call_t *call = job->data;

    cJSON_ArrayForEach(one, ngx_wagw_param(call, "_ids"))
    {
        rc = wagw_store_webhook_delete(s, wagw_cstr(one->valuestring));

        if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
            return rc;
        }
    }

    return WAGW_OK;
}

static void hook_delete_done(ngx_wagw_job_t *job)
{
    cJSON *one;
    ngx_wagw_call_t *call = job->data;

    if (job->rc != WAGW_OK) {
        ngx_wagw_call_store_failed(call);
        return;
    }

    cJSON_ArrayForEach(one, ngx_wagw_param(call, "_ids"))
    {
        ngx_wagw_webhook_remove(wagw_cstr(one->valuestring));
    }

    ngx_wagw_call_ok(call, 200, WAGW_STR_NULL, "Webhook deleted successfully", WAGW_STR_NULL);
}

NGX_WAGW_HANDLER(instance_webhook_delete)
{
    char id[65];
    cJSON *ids;
    ngx_queue_t *q;
    ngx_wagw_hook_t *hook;
    ngx_wagw_instance_t *in = ngx_wagw_call_instance(call);
    wagw_str_t given = ngx_wagw_param_str(call, "id");

    cJSON_DeleteItemFromObjectCaseSensitive(call->params, "_ids");
    ids = cJSON_AddArrayToObject(call->params, "_ids");

    for (q = ngx_queue_head(&in->webhooks); q != ngx_queue_sentinel(&in->webhooks); q = ngx_queue_next(q)) {
        hook = ngx_queue_data(q, ngx_wagw_hook_t, queue);

        if ((given.n == 0 || wagw_str_eq(hook->w.id, given)) && hook->w.id.n < sizeof(id)) {
            ngx_memcpy(id, hook->w.id.p, hook->w.id.n);
            id[hook->w.id.n] = '\0';
            cJSON_AddItemToArray(ids, cJSON_CreateString(id));
        }
    }

    if (cJSON_GetArraySize(ids) == 0) {
        ngx_wagw_call_fail(call, 404, "WEBHOOK_NOT_FOUND", "Webhook not found", WAGW_STR_NULL);
        return;
    }

    ngx_wagw_call_store(call, 1, hook_delete_run, hook_delete_done);
}
