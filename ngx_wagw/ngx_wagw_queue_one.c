/*
 * Single messages that pacing, or a paused queue, holds back.  What is queued
 * is the engine's command, complete: previews are fetched and media uploaded.
 * The caller waits with it, and is told 202 when that would take too long.
 */

#include "ngx_wagw_queue.h"

#include <openssl/rand.h>

#define ONE_SPARE_MS 2000 /* of a call's time, for WhatsApp to answer */

typedef struct {
    wagw_sends_t row;
    wagw_sends_item_t item;
    char id[37];
    char message_id[68];
    char to[WAGW_JID_TEXT_MAX];
    uint32_t num;
    unsigned named : 1; /* the caller chose the message's id: it must be new */
    unsigned async : 1;
} one_t;

static void one_answer(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    if (call->reply) {
        call->reply(call, r);
    } else {
        ngx_wagw_call_result(call, r);
    }
}

/* 202: it is in the queue. */
static void one_queued(ngx_wagw_call_t *call)
{
    one_t *o = call->queued;
    wagw_buf_t data = {0};
    wagw_json_t j = wagw_json(&data);
    wagw_result_t r = {.status = 202, .message = "Message queued"};
    wagw_str_t ref = ngx_wagw_param_str(call, "ref");

    call->late = NULL;
    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "messageId", o->message_id);
    wagw_json_kcstr(&j, "status", "queued");
    wagw_json_kint(&j, "statusCode", 1);
    wagw_json_kint(&j, "timestamp", o->row.created_ms / 1000);
    wagw_json_kcstr(&j, "to", o->to);
    wagw_json_kcstr(&j, "chatId", o->to);
    if (ref.n) {
        wagw_json_kstr(&j, "ref", ref);
    }
    wagw_json_kcstr(&j, "jobId", o->id);
    wagw_json_close(&j);
    r.data = wagw_buf_view(&data);
    r.message_id = wagw_cstr(o->message_id);
    one_answer(call, &r);
    wagw_buf_free(&data);
}

static void one_ended(ngx_wagw_call_t *call, ngx_wagw_sends_t *j)
{
    char *data, *details;
    wagw_result_t r = {.status = (int)j->answer_status};
    const cJSON *a = j->answer;

    if (a == NULL) {
        ngx_wagw_call_fail(call, 409, "CANCELLED", "The message was taken out of the queue", WAGW_STR_NULL);
        return;
    }

    data = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(a, "data"));
    details = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(a, "details"));
    r.code = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(a, "code"));
    r.error = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(a, "error"));
    r.message = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(a, "message"));
    r.data = wagw_cstr(data);
    r.details = wagw_cstr(details);
    r.message_id = wagw_cstr(cJSON_GetStringValue(
        cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(a, "data"), "messageId")));
    one_answer(call, &r);
    cJSON_free(data);
    cJSON_free(details);
}

static int one_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    one_t *o = call->queued;
    wagw_buf_t json = {0};
    wagw_str_t none = WAGW_STR_NULL;
    int rc = WAGW_NOT_FOUND;

    if (o->named) {
        rc = wagw_store_message_get(s, o->num, none, none, wagw_cstr(o->message_id), false, &json);
        wagw_buf_wipe(&json);
    }

    return rc == WAGW_OK          ? WAGW_DUPLICATE
           : rc == WAGW_NOT_FOUND ? wagw_store_sends_create(s, &o->row, &o->item, 1)
                                  : rc;
}

static void one_done(ngx_wagw_job_t *job)
{
    int64_t at;
    ngx_wagw_call_t *call = job->data;
    one_t *o = call->queued;
    ngx_wagw_sends_t *j;
    ngx_wagw_sendq_t *q;
    ngx_wagw_instance_t *in = ngx_wagw_call_instance(call);

    if (in == NULL || job->rc == WAGW_STATE) {
        ngx_wagw_call_fail(call, 404, "INSTANCE_NOT_FOUND", "Instance not found", WAGW_STR_NULL);
        return;
    }

    if (job->rc == WAGW_DUPLICATE) {
        ngx_wagw_call_fail(call, 409, "DUPLICATE", "A message with this id exists", WAGW_STR_NULL);
        return;
    }

    if (job->rc != WAGW_OK) {
        ngx_wagw_call_store_failed(call);
        return;
    }

    at = ngx_wagw_queue_when(in);
    o->row.to = wagw_cstr(o->to);
    o->row.message_id = wagw_cstr(o->message_id);
    j = ngx_wagw_queue_add(in, &o->row);
    q = in->sends;

    if (j == NULL || o->async || q->paused ||
        at + ONE_SPARE_MS > ngx_wagw_now_ms() + (int64_t)(call->timeout ? call->timeout : 60000)) {
        one_queued(call);
        return;
    }

    call->late = one_queued;
    j->wait.serial = call->serial;
    j->wait.handler = one_ended;
}

static ngx_int_t one_content(ngx_wagw_call_t *call, one_t *o, wagw_cmd_t cmd, cJSON *params)
{
    char *text;
    size_t n;
    u_char *p = NULL;
    cJSON *content = cJSON_CreateObject();

    /* of the job, not of the command */
    cJSON_DeleteItemFromObjectCaseSensitive(params, "async");
    cJSON_DeleteItemFromObjectCaseSensitive(params, "_id");
    cJSON_DeleteItemFromObjectCaseSensitive(params, "_resume");
    cJSON_DeleteItemFromObjectCaseSensitive(params, "_spool");
    cJSON_AddNumberToObject(content, "cmd", cmd);
    cJSON_AddItemReferenceToObject(content, "params", params);
    text = cJSON_PrintUnformatted(content);
    cJSON_Delete(content);

    if (text) {
        n = ngx_strlen(text);
        p = ngx_pnalloc(call->pool, n + 1);
        if (p) {
            ngx_memcpy(p, text, n + 1);
            o->row.content = wagw_str(p, n);
        }
        cJSON_free(text);
    }

    return p ? NGX_OK : NGX_ERROR;
}

static ngx_int_t one_message_id(one_t *o, wagw_cmd_t cmd, const cJSON *params)
{
    u_char b[9];
    const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(params, "_id"));

    /* a forward's messageId is what is forwarded */
    if (id == NULL && cmd == WAGW_CMD_SEND) {
        id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(params, "messageId"));
        o->named = id != NULL && !cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(params, "_resume"));
    }

    if (id) {
        return snprintf(o->message_id, sizeof(o->message_id), "%s", id) < (int)sizeof(o->message_id) &&
                       strchr(id, '|') == NULL
                   ? NGX_OK
                   : NGX_DECLINED;
    }

    if (RAND_bytes(b, sizeof(b)) != 1) {
        return NGX_ERROR;
    }

    strcpy(o->message_id, "3EB0");
    for (unsigned i = 0; i < sizeof(b); i++) {
        snprintf(o->message_id + 4 + 2 * i, 3, "%02X", b[i]);
    }

    return NGX_OK;
}

bool ngx_wagw_queue_gate(ngx_wagw_call_t *call, ngx_wagw_instance_t *in, wagw_cmd_t cmd, cJSON *params)
{
    one_t *o;
    ngx_int_t rc;
    wagw_jid_t jid;
    const char *to;
    ngx_wagw_sendq_t *q;

    if ((cmd != WAGW_CMD_SEND && cmd != WAGW_CMD_FORWARD) || call->taken || !ngx_wagw_queue_holds(in)) {
        return false;
    }

    to = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(params, "to"));
    to = to ? to : cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(params, "chatId"));

    if (to == NULL || wagw_jid_from_caller(&jid, wagw_cstr(to)) != WAGW_OK) {
        return false; /* the engine refuses it */
    }

    q = in->sends;
    o = ngx_pcalloc(call->pool, sizeof(*o));

    if (ngx_wagw_queue_depth(in) >= q->pacing.max_queue) {
        ngx_wagw_call_fail_retry(call, 429, "INSTANCE_RATE_LIMITED", "Too many messages are waiting in this instance",
                                 WAGW_STR_NULL, NULL, 60);
        return true;
    }

    rc = o ? one_message_id(o, cmd, params) : NGX_ERROR;
    if (rc == NGX_DECLINED) {
        ngx_wagw_call_invalid(call, "messageId", "invalid");
        return true;
    }

    if (rc == NGX_OK) {
        o->async = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(params, "async"));
        jid = wagw_jid_is_person(&jid) ? wagw_jid_user(&jid) : jid;
        o->to[wagw_jid_text(&jid, o->to)] = '\0';
        ngx_wagw_uuid(o->id);
        rc = one_content(call, o, cmd, params);
    }

    if (rc != NGX_OK) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
        return true;
    }

    o->num = in->num;
    o->row.id = wagw_cstr(o->id);
    o->row.instance = in->num;
    o->row.kind = WAGW_SENDS_ONE;
    o->row.priority = (uint8_t)ngx_wagw_param_int(call, "priority", 5);
    o->row.created_ms = o->row.next_ms = ngx_wagw_now_ms();
    o->row.expires_ms = o->row.created_ms + NGX_WAGW_QUEUE_TTL_MS;
    o->item.to = wagw_cstr(o->to);
    o->item.message_id = wagw_cstr(o->message_id);
    call->queued = o;
    ngx_wagw_call_store(call, 1, one_run, one_done);

    return true;
}
