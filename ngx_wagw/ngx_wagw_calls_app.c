#include "ngx_wagw_calls.h"

/* Calls that change app state: what the phone and its other devices show too. */

static void flagged(ngx_wagw_call_t *call, wagw_cmd_t cmd, const char *flag, ngx_uint_t on)
{
    cJSON_DeleteItemFromObjectCaseSensitive(call->params, flag);
    cJSON_AddBoolToObject(call->params, flag, on);
    ngx_wagw_call_command(call, cmd);
}

NGX_WAGW_HANDLER(message_star)
{
    if (ngx_wagw_param_str(call, "messageId").n == 0 && cJSON_GetArraySize(ngx_wagw_param(call, "messages")) == 0) {
        ngx_wagw_call_invalid(call, "messageId", "required");
        return;
    }

    if (ngx_wagw_param_str(call, "chatId").n == 0 && ngx_wagw_param_str(call, "messageId").n == 0) {
        ngx_wagw_call_invalid(call, "chatId", "required with messages");
        return;
    }

    ngx_wagw_call_command_at(call, WAGW_CMD_STAR, "chatId");
}

NGX_WAGW_HANDLER(chat_archive)
{
    flagged(call, WAGW_CMD_ARCHIVE, "archive", 1);
}

NGX_WAGW_HANDLER(chat_unarchive)
{
    flagged(call, WAGW_CMD_ARCHIVE, "archive", 0);
}

NGX_WAGW_HANDLER(chat_mute)
{
    flagged(call, WAGW_CMD_MUTE, "mute", 1);
}

NGX_WAGW_HANDLER(chat_unmute)
{
    flagged(call, WAGW_CMD_MUTE, "mute", 0);
}

NGX_WAGW_HANDLER(chat_unread)
{
    ngx_wagw_call_command(call, WAGW_CMD_UNREAD);
}

NGX_WAGW_HANDLER(chat_unpin)
{
    flagged(call, WAGW_CMD_PIN_CHAT, "pin", 0);
}

/* ---- what the store knows first ------------------------------------------------ */

#define PINNED_MAX 3

typedef struct {
    uint32_t num;
    wagw_str_t chat;
    int64_t messages;
    uint32_t pinned;
    wagw_cmd_t cmd;
} app_call_t;

static app_call_t *app_call(ngx_wagw_call_t *call, wagw_cmd_t cmd)
{
    app_call_t *a;

    a = ngx_wagw_call_ctx(call, sizeof(app_call_t));
    if (a) {
        a->num = ngx_wagw_call_instance(call)->num;
        a->chat = ngx_wagw_param_str(call, "chatId");
        a->cmd = cmd;
    }

    return a;
}

/* How many chats are pinned, apart from this one. */
static int pinned_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    app_call_t *a = ((ngx_wagw_call_t *)job->data)->data;

    return wagw_store_chats_pinned(s, a->num, a->chat, &a->pinned);
}

static void pinned_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    app_call_t *a = call->data;

    if (job->rc != WAGW_OK) {
        ngx_wagw_call_store_failed(call);
        return;
    }

    if (a->pinned >= PINNED_MAX) {
        ngx_wagw_call_fail(call, 409, "DUPLICATE", "WhatsApp lets three chats be pinned", WAGW_STR_NULL);
        return;
    }

    flagged(call, WAGW_CMD_PIN_CHAT, "pin", 1);
}

NGX_WAGW_HANDLER(chat_pin)
{
    if (app_call(call, WAGW_CMD_PIN_CHAT)) {
        ngx_wagw_call_store(call, 0, pinned_run, pinned_done);
    }
}

/* The answer tells how many messages went. */
static int count_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    int rc;
    cJSON *row;
    wagw_buf_t b = {0};
    app_call_t *a = ((ngx_wagw_call_t *)job->data)->data;

    rc = wagw_store_chat_get(s, a->num, a->chat, &b);
    if (rc == WAGW_OK) {
        row = cJSON_ParseWithLength((char *)b.p, b.n);
        a->messages = (int64_t)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(row, "messageCount"));
        cJSON_Delete(row);
    }

    wagw_buf_free(&b);

    return rc;
}

static void count_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    app_call_t *a = call->data;

    if (job->rc == WAGW_NOT_FOUND) {
        ngx_wagw_call_fail(call, 404, "CHAT_NOT_FOUND", "Chat not found", WAGW_STR_NULL);
        return;
    }

    if (job->rc != WAGW_OK) {
        ngx_wagw_call_store_failed(call);
        return;
    }

    cJSON_AddNumberToObject(call->params, "_messages", (double)a->messages);
    ngx_wagw_call_command(call, a->cmd);
}

NGX_WAGW_HANDLER(chat_delete)
{
    if (app_call(call, WAGW_CMD_CHAT_DELETE)) {
        ngx_wagw_call_store(call, 0, count_run, count_done);
    }
}

NGX_WAGW_HANDLER(chat_clear)
{
    if (app_call(call, WAGW_CMD_CHAT_CLEAR)) {
        ngx_wagw_call_store(call, 0, count_run, count_done);
    }
}

/* ---- contacts, own name ---------------------------------------------------------- */

NGX_WAGW_HANDLER(contact_delete)
{
    flagged(call, WAGW_CMD_CONTACT, "remove", 1);
}

NGX_WAGW_HANDLER(profile_name)
{
    ngx_wagw_call_command(call, WAGW_CMD_PUSH_NAME);
}

/* ---- older messages from the phone ------------------------------------------------ */

typedef struct {
    uint32_t num;
    wagw_str_t chat;
    wagw_buf_t id;
} oldest_t;

static int oldest_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    oldest_t *o = ((ngx_wagw_call_t *)job->data)->data;

    wagw_buf_reset(&o->id);

    return wagw_store_message_oldest(s, o->num, o->chat, &o->id);
}

static void oldest_done(ngx_wagw_job_t *job)
{
    char id[160];
    ngx_wagw_call_t *call = job->data;
    oldest_t *o = call->data;

    if (job->rc == WAGW_OK && o->id.n < sizeof(id)) {
        ngx_memcpy(id, o->id.p, o->id.n);
        id[o->id.n] = '\0';
        wagw_buf_free(&o->id);
        ngx_wagw_param_set(call, "before", id);
        ngx_wagw_call_command(call, WAGW_CMD_HISTORY);
        return;
    }

    wagw_buf_free(&o->id);

    if (job->rc == WAGW_NOT_FOUND) {
        ngx_wagw_call_fail(call, 404, "CHAT_NOT_FOUND", "No message of this chat is stored", WAGW_STR_NULL);
        return;
    }

    ngx_wagw_call_store_failed(call);
}

NGX_WAGW_HANDLER(instance_history_sync)
{
    oldest_t *o;

    if (ngx_wagw_param_str(call, "chatId").n == 0) {
        ngx_wagw_call_invalid(call, "chatId", "required: a phone gives older messages chat by chat");
        return;
    }

    if (ngx_wagw_param_str(call, "before").n) {
        ngx_wagw_call_command(call, WAGW_CMD_HISTORY);
        return;
    }

    o = ngx_wagw_call_ctx(call, sizeof(oldest_t));
    if (o == NULL) {
        return;
    }

    o->num = ngx_wagw_call_instance(call)->num;
    o->chat = ngx_wagw_param_str(call, "chatId");

    ngx_wagw_call_store(call, 0, oldest_run, oldest_done);
}

/* ---- labels ------------------------------------------------------------------------ */

#define LABELS_NOTE "\"note\":\"Labels are only available for WhatsApp Business accounts\""

static void labels_reply(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    cJSON *data;
    wagw_buf_t extra = {0};

    if (r->status >= 300) {
        ngx_wagw_call_result(call, r);
        return;
    }

    data = cJSON_ParseWithLength((const char *)r->data.p, r->data.n);
    wagw_buf_cstr(&extra, LABELS_NOTE);
    if (cJSON_IsArray(data)) {
        wagw_buf_printf(&extra, ",\"count\":%d", cJSON_GetArraySize(data));
    }
    cJSON_Delete(data);

    /* made, not found: contract 3.11 */
    ngx_wagw_call_ok(call, ngx_strcmp(call->route->method, "POST") == 0 ? 201 : (ngx_uint_t)r->status, r->data,
                     r->message, wagw_buf_view(&extra));
    wagw_buf_free(&extra);
}

static void labels_command(ngx_wagw_call_t *call, wagw_cmd_t cmd)
{
    call->reply = labels_reply;
    ngx_wagw_call_command(call, cmd);
}

NGX_WAGW_HANDLER(labels)
{
    labels_command(call, WAGW_CMD_LABELS);
}

NGX_WAGW_HANDLER(label_create)
{
    labels_command(call, WAGW_CMD_LABEL_PUT);
}

NGX_WAGW_HANDLER(label_update)
{
    labels_command(call, WAGW_CMD_LABEL_PUT);
}

NGX_WAGW_HANDLER(label_delete)
{
    cJSON_DeleteItemFromObjectCaseSensitive(call->params, "remove");
    cJSON_AddTrueToObject(call->params, "remove");
    labels_command(call, WAGW_CMD_LABEL_PUT);
}

NGX_WAGW_HANDLER(labels_of_chat)
{
    labels_command(call, WAGW_CMD_LABELS_OF_CHAT);
}

NGX_WAGW_HANDLER(label_chats)
{
    labels_command(call, WAGW_CMD_LABEL_CHATS);
}

NGX_WAGW_HANDLER(labels_set)
{
    labels_command(call, WAGW_CMD_LABEL_SET);
}
