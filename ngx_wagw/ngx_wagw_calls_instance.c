#include "ngx_wagw_calls.h"
#include "ngx_wagw_webhook.h"
#include "ngx_wagw_media.h"

/* Creating, changing and deleting an instance (contract 3.2). */

typedef struct {
    wagw_instance_t row;
    wagw_webhook_t hook;
    char id[37];
    cJSON *settings; /* update: what the instance gets once it is stored */
    cJSON *metadata;
    wagw_str_t drop_hook;                                       /* update: webhookUrl null */
    void (*answer)(ngx_wagw_call_t *call, const char *message); /* update: NULL: the instance */
    unsigned has_hook : 1;
    unsigned auto_connect : 1;
    unsigned keep_messages : 1;
} instance_ctx_t;

static void instance_ctx_free(void *data)
{
    instance_ctx_t *ctx = data;

    cJSON_Delete(ctx->settings);
    cJSON_Delete(ctx->metadata);
}

static instance_ctx_t *instance_ctx(ngx_wagw_call_t *call)
{
    instance_ctx_t *ctx;
    ngx_pool_cleanup_t *cln;

    ctx = ngx_wagw_call_ctx(call, sizeof(instance_ctx_t));
    if (ctx == NULL) {
        return NULL;
    }

    cln = ngx_pool_cleanup_add(call->pool, 0);
    if (cln == NULL) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Internal error", WAGW_STR_NULL);
        return NULL;
    }

    cln->handler = instance_ctx_free;
    cln->data = ctx;

    return ctx;
}

static void instance_no_memory(ngx_wagw_call_t *call)
{
    ngx_wagw_call_fail(call, 500, "INTERNAL", "Internal error", WAGW_STR_NULL);
}

/* Another instance has this number. */
static ngx_uint_t instance_phone_taken(wagw_str_t phone, ngx_wagw_instance_t *self)
{
    ngx_queue_t *q, *all;
    ngx_wagw_instance_t *in;

    if (phone.n == 0) {
        return 0;
    }

    all = ngx_wagw_instances();

    for (q = ngx_queue_head(all); q != ngx_queue_sentinel(all); q = ngx_queue_next(q)) {
        in = ngx_queue_data(q, ngx_wagw_instance_t, queue);

        if (in != self && wagw_str_eq(phone, wagw_str(in->phone.data, in->phone.len))) {
            return 1;
        }
    }

    return 0;
}

static ngx_uint_t instance_count(void)
{
    ngx_uint_t n;
    ngx_queue_t *q, *all;

    n = 0;
    all = ngx_wagw_instances();

    for (q = ngx_queue_head(all); q != ngx_queue_sentinel(all); q = ngx_queue_next(q)) {
        n++;
    }

    return n;
}

static void instance_taken(ngx_wagw_call_t *call, ngx_uint_t by_id)
{
    if (by_id) {
        ngx_wagw_call_fail(call, 409, "INSTANCE_EXISTS", "An instance with this id exists", WAGW_STR_NULL);

    } else {
        ngx_wagw_call_fail(call, 409, "DUPLICATE", "Duplicate entry found", WAGW_STR("{\"field\":\"phoneNumber\"}"));
    }
}

/* metadata given by the caller, or what was */
static ngx_int_t instance_metadata(ngx_wagw_call_t *call, const cJSON *old, cJSON **out)
{
    const cJSON *v;

    v = ngx_wagw_param(call, "metadata");
    v = v ? v : old;
    *out = v ? cJSON_Duplicate(v, 1) : cJSON_CreateObject();

    return *out ? NGX_OK : NGX_ERROR;
}

/* ---- create ---------------------------------------------------------------------- */

static int create_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    int rc;
    instance_ctx_t *ctx;
    ngx_wagw_call_t *call = job->data;

    ctx = call->data;

    rc = wagw_store_instance_create(s, &ctx->row);

    if (rc == WAGW_OK && ctx->has_hook) {
        ctx->hook.instance = ctx->row.num;
        rc = wagw_store_webhook_put(s, &ctx->hook);
    }

    return rc;
}

static int create_undo_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    instance_ctx_t *ctx;
    ngx_wagw_call_t *call = job->data;

    ctx = call->data;

    return wagw_store_instance_delete(s, ctx->row.num, false);
}

static void create_undone(ngx_wagw_job_t *job)
{
    ngx_wagw_call_fail_retry(job->data, 503, "CAPACITY", "No room for another instance", WAGW_STR_NULL, NULL, 60);
}

static void create_done(ngx_wagw_job_t *job)
{
    instance_ctx_t *ctx;
    ngx_wagw_call_t *call = job->data;
    ngx_wagw_instance_t *in;

    ctx = call->data;

    if (job->rc == WAGW_DUPLICATE) {
        instance_taken(call, !instance_phone_taken(ctx->row.phone, NULL));
        return;
    }

    if (job->rc != WAGW_OK) {
        ngx_wagw_call_store_failed(call);
        return;
    }

    in = ngx_wagw_instance_make(&ctx->row);

    if (in == NULL) {
        ngx_wagw_call_store(call, 1, create_undo_run, create_undone);
        return;
    }

    if (ctx->has_hook && ngx_wagw_webhook_add(&ctx->hook) == NULL) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0, "wagw instance %V: no memory for its webhook", &in->id);
    }

    if (ctx->auto_connect) {
        wagw_client_start(in->client, true, ngx_wagw_now_ms());
    }

    ngx_wagw_call_instance_view(call, in, 201, "Instance created successfully. Please scan the QR code.");
}

static ngx_int_t create_id(ngx_wagw_call_t *call, instance_ctx_t *ctx)
{
    size_t i;
    ngx_str_t id;

    ctx->row.id = ngx_wagw_param_str(call, "id");

    if (ctx->row.id.n == 0) {
        ngx_wagw_uuid(ctx->id);
        ctx->row.id = wagw_cstr(ctx->id);
    }

    for (i = 0; i < ctx->row.id.n; i++) {
        u_char c = ctx->row.id.p[i];

        if (!((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_' || c == '-')) {
            ngx_wagw_call_invalid(call, "id", "letters, digits, _ and - only");
            return NGX_DECLINED;
        }
    }

    if (ctx->row.id.n > 64) {
        ngx_wagw_call_invalid(call, "id", "at most 64 characters");
        return NGX_DECLINED;
    }

    id.data = (u_char *)ctx->row.id.p;
    id.len = ctx->row.id.n;

    if (!ngx_wagw_call_sees(call, &id)) {
        ngx_wagw_call_fail(call, 403, "AUTH_FORBIDDEN", "This key is bound to other instances", WAGW_STR_NULL);
        return NGX_DECLINED;
    }

    if (ngx_wagw_instance_find(id.data, id.len)) {
        instance_taken(call, 1);
        return NGX_DECLINED;
    }

    return NGX_OK;
}

NGX_WAGW_HANDLER(instance_create)
{
    instance_ctx_t *ctx;

    ctx = instance_ctx(call);

    if (ctx == NULL || create_id(call, ctx) != NGX_OK) {
        return;
    }

    ctx->settings = cJSON_CreateObject();

    if (ctx->settings == NULL || instance_metadata(call, NULL, &ctx->metadata) != NGX_OK) {
        instance_no_memory(call);
        return;
    }

    if (ngx_wagw_settings_apply(call, ctx->settings) != NGX_OK ||
        ngx_wagw_hook_check(call, "webhookUrl", "webhookEvents", "webhookHeaders") != NGX_OK) {
        return;
    }

    ctx->row.name = ngx_wagw_param_str(call, "name");
    ctx->row.phone = ngx_wagw_param_str(call, "phoneNumber");
    ctx->auto_connect = ngx_wagw_param_bool(call, "autoConnect") != 0;

    if (instance_phone_taken(ctx->row.phone, NULL)) {
        instance_taken(call, 0);
        return;
    }

    if (instance_count() >= ngx_wagw_calls_instance_limit()) {
        ngx_wagw_call_fail_retry(call, 503, "CAPACITY", "No room for another instance", WAGW_STR_NULL, NULL, 60);
        return;
    }

    ctx->row.active = true;
    ctx->row.auto_connect = ctx->auto_connect;
    ctx->row.created_ms = ngx_wagw_now_ms();
    ctx->row.updated_ms = ctx->row.created_ms;

    if (ngx_wagw_call_json(call, ctx->settings, &ctx->row.settings) != NGX_OK ||
        ngx_wagw_call_json(call, ctx->metadata, &ctx->row.metadata) != NGX_OK) {
        instance_no_memory(call);
        return;
    }

    if (ngx_wagw_param_str(call, "webhookUrl").n) {
        ctx->has_hook = 1;

        if (ngx_wagw_hook_row(call, &ctx->hook, 0, NULL, "webhookUrl", "webhookEvents", "webhookSecret",
                              "webhookHeaders") != NGX_OK) {
            instance_no_memory(call);
            return;
        }
    }

    ngx_wagw_call_store(call, 1, create_run, create_done);
}

/* ---- update ---------------------------------------------------------------------- */

static int update_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    int rc;
    instance_ctx_t *ctx;
    ngx_wagw_call_t *call = job->data;

    ctx = call->data;

    rc = wagw_store_instance_update(s, &ctx->row);

    if (rc == WAGW_OK && ctx->drop_hook.n) {
        rc = wagw_store_webhook_delete(s, ctx->drop_hook);
        rc = rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
    }

    if (rc == WAGW_OK && ctx->has_hook) {
        rc = wagw_store_webhook_put(s, &ctx->hook);
    }

    return rc;
}

static ngx_int_t update_string(ngx_str_t *s, wagw_str_t v)
{
    u_char *p;

    p = malloc(v.n + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (v.n) {
        ngx_memcpy(p, v.p, v.n);
    }

    p[v.n] = '\0';
    free(s->data);
    s->data = p;
    s->len = v.n;

    return NGX_OK;
}

static void update_done(ngx_wagw_job_t *job)
{
    cJSON *o;
    instance_ctx_t *ctx;
    ngx_wagw_call_t *call = job->data;
    ngx_wagw_instance_t *in;

    ctx = call->data;
    in = ngx_wagw_call_instance(call);

    if (job->rc == WAGW_DUPLICATE) {
        instance_taken(call, 0);
        return;
    }

    if (in == NULL || in->num != ctx->row.num || job->rc == WAGW_NOT_FOUND) {
        ngx_wagw_call_fail(call, 404, "INSTANCE_NOT_FOUND", "Instance not found", WAGW_STR_NULL);
        return;
    }

    if (job->rc != WAGW_OK) {
        ngx_wagw_call_store_failed(call);
        return;
    }

    if (update_string(&in->name, ctx->row.name) != NGX_OK || update_string(&in->phone, ctx->row.phone) != NGX_OK) {
        instance_no_memory(call);
        return;
    }

    o = in->settings;
    in->settings = ctx->settings;
    ctx->settings = o;

    o = in->metadata;
    in->metadata = ctx->metadata;
    ctx->metadata = o;

    in->auto_connect = ctx->row.auto_connect;
    in->updated_ms = ctx->row.updated_ms;

    if (ctx->drop_hook.n) {
        ngx_wagw_webhook_remove(ctx->drop_hook);
    }

    if (ctx->has_hook) {
        (void)ngx_wagw_webhook_add(&ctx->hook);
    }

    ngx_wagw_instance_conf(in);

    if (ctx->answer) {
        ctx->answer(call, "Settings updated successfully");
        return;
    }

    ngx_wagw_call_instance_view(call, in, 200, "Instance updated successfully");
}

static ngx_int_t update_hook(ngx_wagw_call_t *call, instance_ctx_t *ctx, ngx_wagw_instance_t *in)
{
    u_char *p;
    const cJSON *url;
    ngx_wagw_hook_t *first;

    first = ngx_wagw_hook_first(in);
    url = ngx_wagw_param(call, "webhookUrl");

    if (cJSON_IsNull(url)) {

        if (first) {
            p = ngx_pnalloc(call->pool, first->w.id.n);
            if (p == NULL) {
                return NGX_ERROR;
            }

            ngx_memcpy(p, first->w.id.p, first->w.id.n);
            ctx->drop_hook = wagw_str(p, first->w.id.n);
        }

        return NGX_OK;
    }

    if (url == NULL && (first == NULL || (ngx_wagw_param(call, "webhookEvents") == NULL &&
                                          ngx_wagw_param(call, "webhookSecret") == NULL &&
                                          ngx_wagw_param(call, "webhookHeaders") == NULL))) {
        return NGX_OK;
    }

    ctx->has_hook = 1;

    return ngx_wagw_hook_row(call, &ctx->hook, in->num, first, "webhookUrl", "webhookEvents", "webhookSecret",
                             "webhookHeaders");
}

static void instance_change(ngx_wagw_call_t *call, void (*answer)(ngx_wagw_call_t *call, const char *message))
{
    int flag;
    const cJSON *v;
    instance_ctx_t *ctx;
    ngx_wagw_instance_t *in;

    ctx = instance_ctx(call);
    if (ctx == NULL) {
        return;
    }

    ctx->answer = answer;
    in = ngx_wagw_call_instance(call);
    ctx->settings = cJSON_Duplicate(in->settings, 1);

    if (ctx->settings == NULL || instance_metadata(call, in->metadata, &ctx->metadata) != NGX_OK) {
        instance_no_memory(call);
        return;
    }

    if (ngx_wagw_settings_apply(call, ctx->settings) != NGX_OK ||
        ngx_wagw_hook_check(call, "webhookUrl", "webhookEvents", "webhookHeaders") != NGX_OK) {
        return;
    }

    ctx->row.num = in->num;
    ctx->row.id = wagw_str(call->instance_id.data, call->instance_id.len);
    ctx->row.name = ngx_wagw_param_str(call, "name");
    ctx->row.phone = ngx_wagw_param_str(call, "phoneNumber");
    ctx->row.active = in->active;
    ctx->row.auto_connect = in->auto_connect;
    ctx->row.created_ms = in->created_ms;
    ctx->row.updated_ms = ngx_wagw_now_ms();

    flag = ngx_wagw_param_bool(call, "autoConnect");

    if (flag != -1) {
        ctx->row.auto_connect = flag == 1;
    }

    /* in the pool: the instance may be renamed while the job waits */
    if (ctx->row.name.n == 0) {
        ctx->row.name.p = ngx_pstrdup(call->pool, &in->name);
        ctx->row.name.n = in->name.len;
    }

    v = ngx_wagw_param(call, "phoneNumber");

    if (v == NULL && in->phone.len) {
        ctx->row.phone.p = ngx_pstrdup(call->pool, &in->phone);
        ctx->row.phone.n = in->phone.len;
    }

    if (instance_phone_taken(ctx->row.phone, in)) {
        instance_taken(call, 0);
        return;
    }

    if (ctx->row.name.p == NULL || (ctx->row.phone.n && ctx->row.phone.p == NULL) ||
        ngx_wagw_call_json(call, ctx->settings, &ctx->row.settings) != NGX_OK ||
        ngx_wagw_call_json(call, ctx->metadata, &ctx->row.metadata) != NGX_OK || update_hook(call, ctx, in) != NGX_OK) {
        instance_no_memory(call);
        return;
    }

    ngx_wagw_call_store(call, 1, update_run, update_done);
}

NGX_WAGW_HANDLER(instance_update)
{
    instance_change(call, NULL);
}

/* The body becomes `settings` of an update; nothing else of it counts. */
static ngx_int_t settings_body(ngx_wagw_call_t *call, const char *name)
{
    cJSON *body = call->params, *all = cJSON_CreateObject(), *s = all;

    cJSON_DeleteItemFromObjectCaseSensitive(body, "instanceId");

    if (all && name) {
        s = cJSON_AddObjectToObject(all, "settings");
        name = s ? name : "settings";
    }

    if (s == NULL || !cJSON_AddItemToObject(s, name ? name : "settings", body)) {
        cJSON_Delete(all);
        instance_no_memory(call);
        return NGX_ERROR;
    }

    call->params = all;
    call->settings_only = 1;

    return NGX_OK;
}

NGX_WAGW_HANDLER(settings_put)
{
    if (settings_body(call, NULL) == NGX_OK) {
        instance_change(call, ngx_wagw_settings_answer);
    }
}

NGX_WAGW_HANDLER(rate_limit_put)
{
    cJSON *one, *copy;
    const cJSON *old = cJSON_GetObjectItemCaseSensitive(ngx_wagw_call_instance(call)->settings, "pacing");

    /* what is not named stays */
    cJSON_ArrayForEach(one, old)
    {
        if (!cJSON_HasObjectItem(call->params, one->string)) {
            copy = cJSON_Duplicate(one, 1);
            cJSON_AddItemToObject(call->params, one->string, copy);
        }
    }

    if (settings_body(call, "pacing") == NGX_OK) {
        instance_change(call, ngx_wagw_rate_limit_answer);
    }
}

/* ---- delete ------------------------------------------------------------------------ */

static int delete_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    instance_ctx_t *ctx;
    ngx_wagw_call_t *call = job->data;

    ctx = call->data;

    return wagw_store_instance_delete(s, ctx->row.num, ctx->keep_messages);
}

static void delete_done(ngx_wagw_job_t *job)
{
    wagw_buf_t b;
    wagw_json_t j;
    instance_ctx_t *ctx;
    ngx_wagw_call_t *call = job->data;
    ngx_wagw_instance_t *in;

    ctx = call->data;

    if (job->rc != WAGW_OK && job->rc != WAGW_NOT_FOUND) {
        ngx_wagw_call_store_failed(call);
        return;
    }

    ngx_memzero(&b, sizeof(b));
    j = wagw_json(&b);
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "id", wagw_str(call->instance_id.data, call->instance_id.len));
    wagw_json_close(&j);

    in = ngx_wagw_call_instance(call);

    if (in && in->num == ctx->row.num) {
        ngx_wagw_kept_forget(&in->id);
        ngx_wagw_instance_drop(in);
    }

    if (job->rc == WAGW_NOT_FOUND) {
        wagw_buf_free(&b);
        ngx_wagw_call_fail(call, 404, "INSTANCE_NOT_FOUND", "Instance not found", WAGW_STR_NULL);
        return;
    }

    ngx_wagw_call_data(call, 200, &b, "Instance deleted successfully");
}

/* WhatsApp was told, or could not be: the instance goes either way. */
static void delete_logged_out(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    ngx_wagw_call_store(call, 1, delete_run, delete_done);
}

NGX_WAGW_HANDLER(instance_delete)
{
    instance_ctx_t *ctx;
    ngx_wagw_instance_t *in;

    ctx = instance_ctx(call);
    if (ctx == NULL) {
        return;
    }

    in = ngx_wagw_call_instance(call);
    ctx->row.num = in->num;
    ctx->keep_messages = ngx_wagw_param_bool(call, "keepMessages") == 1;

    if (ngx_wagw_param_bool(call, "logout") != 0 && ngx_wagw_instance_linked(in)) {
        call->reply = delete_logged_out;
        ngx_wagw_call_command(call, WAGW_CMD_LOGOUT);
        return;
    }

    ngx_wagw_call_store(call, 1, delete_run, delete_done);
}
