#include "ngx_wagw_queue.h"
#include "ngx_wagw_template.h"

/*
 * A bulk send is a job, always.  A small one answers when it has ended (or
 * 202, when the call's time is over first); a large one at once.  The ids of
 * job and messages follow from the Idempotency-Key, if there is one, so that a
 * repeated call finds what it began.
 */

#define BULK_INLINE 20

typedef struct {
    wagw_sends_t row;
    wagw_sends_item_t *items;
    uint32_t n;
    char id[37];
    wagw_buf_t json; /* of the job, for the answer */
    unsigned inlined : 1;
    unsigned there : 1; /* an earlier try of this call made it */
} bulk_t;

static void bulk_free(void *data)
{
    bulk_t *b = data;

    wagw_buf_free(&b->json);
}

static void bulk_no_memory(ngx_wagw_call_t *call)
{
    ngx_wagw_call_fail(call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
}

static const char *bulk_str(ngx_wagw_call_t *call, const char *s, size_t n)
{
    char *p = ngx_pnalloc(call->pool, n + 1);

    if (p) {
        ngx_memcpy(p, s, n);
        p[n] = '\0';
    }

    return p;
}

/* ---- what is sent ------------------------------------------------------------ */

static const char *bulk_type(const cJSON *content)
{
    const char *type = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(content, "type"));

    return type ? type : "";
}

/* The caller's content, or a text. */
static cJSON *bulk_content(ngx_wagw_call_t *call)
{
    cJSON *o;
    const cJSON *given = ngx_wagw_param(call, "content");

    if (given) {
        return cJSON_Duplicate(given, 1);
    }

    o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "type", "text");
    cJSON_AddStringToObject(o, "message", (const char *)ngx_wagw_param_str(call, "message").p);

    return o;
}

static const char *bulk_to(const cJSON *one)
{
    const char *to = cJSON_GetStringValue(cJSON_IsObject(one) ? cJSON_GetObjectItemCaseSensitive(one, "to") : one);

    return to ? to : cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(one, "chatId"));
}

/* The content as the first recipient would get it: the caller is told what is
 * wrong with it now, not a job later. */
static ngx_int_t bulk_check(ngx_wagw_call_t *call, const cJSON *content, const cJSON *recipients)
{
    int rc;
    char filter[65];
    cJSON *params, *names;
    const char *code = NULL, *to;
    wagw_jid_t jid;
    wagw_buf_t details = {0};
    const cJSON *one, *variables = NULL;
    const ngx_wagw_route_t *route = ngx_wagw_queue_route(bulk_type(content));

    if (route == NULL) {
        ngx_wagw_call_invalid(call, "content.type", "not a kind of message");
        return NGX_DECLINED;
    }

    names = cJSON_CreateArray();
    rc = ngx_wagw_template_names(content, names, filter);
    cJSON_Delete(names);
    if (rc == WAGW_LIMIT) {
        ngx_wagw_call_invalid(call, "content", "nested too deeply");
        return NGX_DECLINED;
    }

    cJSON_ArrayForEach(one, recipients)
    {
        to = bulk_to(one);
        if (to && wagw_jid_from_caller(&jid, wagw_cstr(to)) == WAGW_OK) {
            variables = cJSON_GetObjectItemCaseSensitive(one, "variables");
            break;
        }
    }

    rc = ngx_wagw_queue_params(route, content, variables, "15550000000", &call->instance_id, &params, &code, &details);
    cJSON_Delete(params);

    if (rc == WAGW_MALFORMED) {
        ngx_wagw_call_fail(call, 400, code, "Validation failed", wagw_buf_view(&details));
    } else if (rc == WAGW_LIMIT) {
        ngx_wagw_call_invalid(call, "content", "too long");
    } else if (rc != WAGW_OK) {
        bulk_no_memory(call);
    }
    wagw_buf_free(&details);

    return rc == WAGW_OK ? NGX_OK : NGX_DECLINED;
}

/* ---- ids --------------------------------------------------------------------- */

static const char *bulk_message_id(ngx_wagw_call_t *call, uint32_t at)
{
    char id[24] = "3EB0";
    u_char b[9];

    if (!ngx_wagw_call_bytes(call, "bulk", at, b, sizeof(b))) {
        return NULL;
    }

    for (unsigned i = 0; i < sizeof(b); i++) {
        snprintf(id + 4 + 2 * i, 3, "%02X", b[i]);
    }

    return bulk_str(call, id, 22);
}

/* ---- items ------------------------------------------------------------------- */

static ngx_int_t bulk_item(ngx_wagw_call_t *call, wagw_sends_item_t *item, const cJSON *one, uint32_t at)
{
    char text[WAGW_JID_TEXT_MAX], *json;
    size_t n;
    wagw_jid_t jid;
    const char *to = bulk_to(one);
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(one, "variables");

    if (to == NULL || (v && !cJSON_IsObject(v) && !cJSON_IsNull(v))) {
        snprintf(text, sizeof(text), "recipients[%u]%s", at, to ? ".variables" : "");
        ngx_wagw_call_invalid(call, text, to ? "must be an object" : "a number, or an object with to");
        return NGX_DECLINED;
    }

    if (wagw_jid_from_caller(&jid, wagw_cstr(to)) == WAGW_OK) {
        jid = wagw_jid_is_person(&jid) ? wagw_jid_user(&jid) : jid;
        n = wagw_jid_text(&jid, text);
    } else {
        /* it fails when its turn comes, and the others do not */
        n = (size_t)snprintf(text, sizeof(text), "%.60s", to);
        n = n > 60 ? 60 : n;
        while (n && ((u_char)text[n - 1] & 0xC0) == 0x80) {
            n--;
        }
    }

    item->at = at;
    item->to = wagw_str(bulk_str(call, text, n), n);
    item->message_id = wagw_cstr(bulk_message_id(call, at));

    if (cJSON_IsObject(v) && v->child) {
        json = cJSON_PrintUnformatted(v);
        if (json) {
            item->variables = wagw_cstr(bulk_str(call, json, ngx_strlen(json)));
            cJSON_free(json);
        }
    }

    if (item->to.p == NULL || item->message_id.p == NULL ||
        (cJSON_IsObject(v) && v->child && item->variables.p == NULL)) {
        bulk_no_memory(call);
        return NGX_ERROR;
    }

    return NGX_OK;
}

static int bulk_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    bulk_t *b = call->data;

    return wagw_store_sends_create(s, &b->row, b->items, b->n);
}

/* ---- answers ----------------------------------------------------------------- */

static void bulk_accepted(ngx_wagw_call_t *call)
{
    bulk_t *b = call->data;
    wagw_buf_t data = {0};
    wagw_json_t j = wagw_json(&data);

    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "jobId", b->id);
    wagw_json_kint(&j, "total", b->n);
    wagw_json_kcstr(&j, "status", "queued");
    wagw_json_close(&j);
    ngx_wagw_call_data(call, 202, &data, "Bulk job accepted");
}

static int bulk_read_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    bulk_t *b = call->data;

    return wagw_store_sends_get(s, wagw_cstr(b->id), NULL, &b->json);
}

static void bulk_list(wagw_json_t *j, const char *key, const cJSON *results, bool sent, uint32_t *n)
{
    const cJSON *one;
    static const char *const names[] = {"messageId", "error", "code"};

    wagw_json_key(j, key);
    wagw_json_open(j, '[');

    cJSON_ArrayForEach(one, results)
    {
        const char *status = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(one, "status"));

        if (sent != (status && ngx_strcmp(status, "sent") == 0)) {
            continue;
        }

        wagw_json_open(j, '{');
        wagw_json_kcstr(j, "to", cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(one, "to")));
        wagw_json_kbool(j, "success", sent);
        for (int i = sent ? 0 : 1; i < (sent ? 1 : 3); i++) {
            wagw_json_kcstr(j, names[i], cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(one, names[i])));
        }
        wagw_json_close(j);
        ++*n;
    }

    wagw_json_close(j);
}

static void bulk_read_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    bulk_t *b = call->data;
    cJSON *o;
    uint32_t sent = 0, failed = 0;
    wagw_buf_t data = {0};
    wagw_json_t j = wagw_json(&data);
    const cJSON *results;

    if (job->rc != WAGW_OK) {
        ngx_wagw_call_store_failed(call);
        return;
    }

    o = cJSON_ParseWithLength((char *)b->json.p, b->json.n);
    results = cJSON_GetObjectItemCaseSensitive(o, "results");
    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "jobId", b->id);
    bulk_list(&j, "sent", results, true, &sent);
    bulk_list(&j, "failed", results, false, &failed);
    wagw_json_kint(&j, "totalSent", sent);
    wagw_json_kint(&j, "totalFailed", failed);
    wagw_json_close(&j);
    cJSON_Delete(o);
    ngx_wagw_call_data(call, 200, &data, "Bulk messages processed");
}

static void bulk_ended(ngx_wagw_call_t *call, ngx_wagw_sends_t *j)
{
    (void)j;
    ngx_wagw_call_store(call, 0, bulk_read_run, bulk_read_done);
}

static void bulk_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    bulk_t *b = call->data;
    ngx_wagw_sends_t *j;
    ngx_wagw_instance_t *in = ngx_wagw_call_instance(call);

    if (in == NULL || job->rc == WAGW_STATE) {
        ngx_wagw_call_fail(call, 404, "INSTANCE_NOT_FOUND", "Instance not found", WAGW_STR_NULL);
        return;
    }

    if (job->rc != WAGW_OK && job->rc != WAGW_DUPLICATE) {
        ngx_wagw_call_store_failed(call);
        return;
    }

    j = job->rc == WAGW_OK ? ngx_wagw_queue_add(in, &b->row) : ngx_wagw_queue_find(in, wagw_cstr(b->id));

    if (!b->inlined) {
        bulk_accepted(call);
        return;
    }

    if (j == NULL) {
        bulk_ended(call, NULL);
        return;
    }

    if (((ngx_wagw_sendq_t *)in->sends)->paused) {
        bulk_accepted(call);
        return;
    }

    call->late = bulk_accepted;
    j->wait.serial = call->serial;
    j->wait.handler = bulk_ended;
}

/* ---- the call ---------------------------------------------------------------- */

static ngx_int_t bulk_row(ngx_wagw_call_t *call, bulk_t *b, const cJSON *content)
{
    char *text;
    ngx_wagw_instance_t *in = ngx_wagw_call_instance(call);

    if (!ngx_wagw_call_uuid(call, "job", b->id)) {
        return NGX_ERROR;
    }

    b->row.id = wagw_cstr(b->id);
    b->row.instance = in->num;
    b->row.kind = WAGW_SENDS_BULK;
    b->row.priority = (uint8_t)ngx_wagw_param_int(call, "priority", 5);
    b->row.delay_ms = (uint32_t)ngx_wagw_param_int(call, "delay", 1000);
    b->row.jitter_ms = (uint32_t)ngx_wagw_param_int(call, "jitter", 0);
    b->row.created_ms = b->row.next_ms = ngx_wagw_now_ms();
    b->row.expires_ms = b->row.created_ms + 1000 * ngx_wagw_param_int(call, "ttl", NGX_WAGW_QUEUE_TTL_MS / 1000);

    text = cJSON_PrintUnformatted(content);
    if (text) {
        b->row.content = wagw_cstr(bulk_str(call, text, ngx_strlen(text)));
        cJSON_free(text);
    }

    return b->row.content.n ? NGX_OK : NGX_ERROR;
}

NGX_WAGW_HANDLER(send_bulk)
{
    bulk_t *b;
    cJSON *content;
    uint32_t at = 0;
    ngx_int_t rc;
    const cJSON *one, *recipients = ngx_wagw_param(call, "recipients");
    wagw_client_info_t info;
    ngx_pool_cleanup_t *cln;
    ngx_wagw_instance_t *in = ngx_wagw_call_instance(call);

    if (ngx_wagw_param(call, "content") == NULL && ngx_wagw_param_str(call, "message").n == 0) {
        ngx_wagw_call_invalid(call, "message", "required");
        return;
    }

    b = ngx_wagw_call_ctx(call, sizeof(bulk_t));
    if (b == NULL) {
        return;
    }

    b->n = (uint32_t)cJSON_GetArraySize(recipients);
    b->inlined = b->n <= BULK_INLINE && ngx_wagw_param_bool(call, "async") != 1;
    b->items = ngx_pcalloc(call->pool, b->n * sizeof(wagw_sends_item_t));
    cln = ngx_pool_cleanup_add(call->pool, 0);

    if (b->items == NULL || cln == NULL) {
        bulk_no_memory(call);
        return;
    }

    cln->handler = bulk_free;
    cln->data = b;

    wagw_client_info(in->client, &info);
    if (b->inlined && info.status != WAGW_STATUS_CONNECTED) {
        ngx_wagw_call_fail(call, 409, "INSTANCE_NOT_CONNECTED", "Instance not found or not connected", WAGW_STR_NULL);
        return;
    }

    if (ngx_wagw_queue_depth(in) + b->n > NGX_WAGW_QUEUE_MAX) {
        ngx_wagw_call_fail_retry(call, 429, "INSTANCE_RATE_LIMITED", "Too many messages are waiting in this instance",
                                 WAGW_STR_NULL, NULL, 60);
        return;
    }

    content = bulk_content(call);
    if (content == NULL) {
        bulk_no_memory(call);
        return;
    }

    if (bulk_check(call, content, recipients) != NGX_OK) {
        cJSON_Delete(content);
        return;
    }

    rc = bulk_row(call, b, content);
    cJSON_Delete(content);

    if (rc != NGX_OK) {
        bulk_no_memory(call);
        return;
    }

    cJSON_ArrayForEach(one, recipients)
    {
        if (bulk_item(call, &b->items[at], one, at) != NGX_OK) {
            return;
        }
        at++;
    }

    ngx_wagw_call_store(call, 1, bulk_run, bulk_done);
}
