#include "ngx_wagw_calls.h"

#include <openssl/rand.h>

/* Calls that become one command of the engine, which answers them. */

/*
 * A message named by its id alone: its chat is looked up here, because the
 * engine knows messages by chat and id.
 */
typedef struct {
    uint32_t num;
    wagw_str_t id;
    wagw_str_t chat;
    wagw_buf_t json;
    wagw_cmd_t cmd;
    const char *field;
    void *data; /* what the handler had in call->data */
} lookup_t;

static int lookup_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    lookup_t *l;
    wagw_str_t none = WAGW_STR_NULL;
    ngx_wagw_call_t *call = job->data;

    l = call->data;

    return wagw_store_message_get(s, l->num, none, none, l->id, false, &l->json);
}

/* The chat goes into the parameters; false: answered. */
static bool lookup_found(ngx_wagw_call_t *call, lookup_t *l, int rc)
{
    cJSON *row;
    const char *chat;

    if (rc != WAGW_OK || l->json.failed) {
        wagw_buf_free(&l->json);

        if (rc == WAGW_NOT_FOUND) {
            ngx_wagw_call_fail(call, 404, "MESSAGE_NOT_FOUND", "Message not found", WAGW_STR_NULL);

        } else {
            ngx_wagw_call_store_failed(call);
        }

        return false;
    }

    row = cJSON_ParseWithLength((char *)l->json.p, l->json.n);
    chat = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, "chatId"));

    if (chat) {
        ngx_wagw_param_set(call, l->field, chat);
        ngx_wagw_param_set(call, "_chat", chat);
    }

    cJSON_Delete(row);
    wagw_buf_wipe(&l->json);

    return true;
}

static void lookup_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    lookup_t *l = call->data;

    if (lookup_found(call, l, job->rc)) {
        call->data = l->data;
        ngx_wagw_call_command(call, l->cmd);
    }
}

void ngx_wagw_call_command_at(ngx_wagw_call_t *call, wagw_cmd_t cmd, const char *field)
{
    lookup_t *l;
    void *data = call->data;

    if (ngx_wagw_param_str(call, field).n) {
        ngx_wagw_call_command(call, cmd);
        return;
    }

    l = ngx_wagw_call_ctx(call, sizeof(lookup_t));
    if (l == NULL) {
        return;
    }

    l->data = data;
    l->num = ngx_wagw_call_instance(call)->num;
    l->id = ngx_wagw_param_str(call, "messageId");
    l->cmd = cmd;
    l->field = field;

    ngx_wagw_call_store(call, 0, lookup_run, lookup_done);
}

/* ---- one message to several ------------------------------------------------------ */

#define FORWARD_MAX 5

typedef struct {
    lookup_t l; /* first: the look-up's job finds it in call->data */
    cJSON *to;
    int at;
    wagw_buf_t results;
} forward_t;

static void forward_cleanup(void *data)
{
    forward_t *f = data;

    cJSON_Delete(f->to);
    wagw_buf_free(&f->results);
}

static void forward_one(ngx_wagw_call_t *call)
{
    forward_t *f = call->data;

    /* its own message id, the same in every try of the call */
    cJSON_DeleteItemFromObjectCaseSensitive(call->params, "_part");
    cJSON_AddNumberToObject(call->params, "_part", f->at);
    ngx_wagw_param_set(call, "to", cJSON_GetArrayItem(f->to, f->at)->valuestring);
    ngx_wagw_call_command(call, WAGW_CMD_FORWARD);
}

static void forward_next(ngx_wagw_call_t *call)
{
    ngx_wagw_list_t list;
    forward_t *f = call->data;

    if (f->at < cJSON_GetArraySize(f->to)) {
        forward_one(call);
        return;
    }

    ngx_memzero(&list, sizeof(list));
    wagw_buf_u8(&list.json, '[');
    wagw_buf_str(&list.json, wagw_buf_view(&f->results));
    wagw_buf_u8(&list.json, ']');
    list.json.failed = list.json.failed || f->results.failed;
    list.count = (uint32_t)f->at;
    list.total = UINT64_MAX;
    ngx_wagw_call_list(call, &list, "Message forwarded");
}

/* A SendResult, or why there is none; inside an op. */
static void forward_reply(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    forward_t *f = call->data;
    wagw_json_t j;

    if (f->results.n) {
        wagw_buf_u8(&f->results, ',');
    }

    if (r->code == NULL && r->data.n > 2) {
        wagw_buf_cstr(&f->results, "{\"success\":true,");
        wagw_buf_str(&f->results, wagw_str(r->data.p + 1, r->data.n - 1));

    } else {
        j = wagw_json(&f->results);
        wagw_json_open(&j, '{');
        wagw_json_kbool(&j, "success", false);
        wagw_json_kcstr(&j, "to", cJSON_GetArrayItem(f->to, f->at)->valuestring);
        wagw_json_kcstr(&j, "error", r->error ? r->error : "Error");
        wagw_json_kcstr(&j, "code", r->code ? r->code : "INTERNAL");

        if (r->details.n) {
            wagw_json_kraw(&j, "details", r->details);
        }

        wagw_json_close(&j);
    }

    f->at++;
    ngx_wagw_call_later(call, forward_next);
}

static void forward_looked(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    forward_t *f = call->data;

    if (lookup_found(call, &f->l, job->rc)) {
        call->reply = forward_reply;
        forward_one(call);
    }
}

static void forward_many(ngx_wagw_call_t *call)
{
    forward_t *f;
    ngx_pool_cleanup_t *cln;

    f = ngx_wagw_call_ctx(call, sizeof(forward_t));
    if (f == NULL) {
        return;
    }

    cln = ngx_pool_cleanup_add(call->pool, 0);
    if (cln == NULL) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
        return;
    }

    cln->handler = forward_cleanup;
    cln->data = f;
    f->to = cJSON_DetachItemFromObjectCaseSensitive(call->params, "to");
    f->l.num = ngx_wagw_call_instance(call)->num;
    f->l.id = ngx_wagw_param_str(call, "messageId");
    f->l.field = "fromChatId";

    if (ngx_wagw_param_str(call, "fromChatId").n) {
        call->reply = forward_reply;
        forward_one(call);
        return;
    }

    ngx_wagw_call_store(call, 0, lookup_run, forward_looked);
}

NGX_WAGW_HANDLER(message_forward)
{
    int n;
    const cJSON *to;

    to = ngx_wagw_param(call, "to");
    n = cJSON_GetArraySize(to);

    if (!cJSON_IsArray(to)) {
        ngx_wagw_call_command_at(call, WAGW_CMD_FORWARD, "fromChatId");

    } else if (n < 1 || n > FORWARD_MAX) {
        ngx_wagw_call_invalid(call, "to", "must have 1 to 5 items");

    } else {
        forward_many(call);
    }
}

/* ---- seen: without ids, what is unread in the chat ------------------------------ */

#define SEEN_MAX 200

static int seen_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    int rc;
    bool more;
    cJSON *row;
    lookup_t *l;
    uint32_t count;
    uint64_t total;
    wagw_buf_t chat = {0}, cursor = {0};
    ngx_wagw_call_t *call = job->data;
    wagw_message_filter_t f = {0};

    l = call->data;

    rc = wagw_store_chat_get(s, l->num, l->chat, &chat);
    if (rc == WAGW_NOT_FOUND) {
        return WAGW_OK;
    }

    if (rc == WAGW_OK) {
        row = cJSON_ParseWithLength((char *)chat.p, chat.n);
        count = (uint32_t)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(row, "unreadCount"));
        cJSON_Delete(row);

        f.chat = l->chat;
        f.from_me = 0;
        f.limit = count > SEEN_MAX ? SEEN_MAX : count;

        if (f.limit) {
            rc = wagw_store_messages(s, l->num, &f, &l->json, &count, &total, &more, &cursor);
        }
    }

    wagw_buf_free(&chat);
    wagw_buf_free(&cursor);

    return rc;
}

static void seen_done(ngx_wagw_job_t *job)
{
    cJSON *rows, *row, *ids;
    lookup_t *l;
    const char *id;
    ngx_wagw_call_t *call = job->data;

    l = call->data;

    if (job->rc != WAGW_OK || l->json.failed) {
        wagw_buf_free(&l->json);
        ngx_wagw_call_store_failed(call);
        return;
    }

    rows = l->json.n ? cJSON_ParseWithLength((char *)l->json.p, l->json.n) : NULL;
    ids = cJSON_AddArrayToObject(call->params, "messageIds");

    cJSON_ArrayForEach(row, rows)
    {
        id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, "messageId"));
        if (id) {
            cJSON_AddItemToArray(ids, cJSON_CreateString(id));
        }
    }

    cJSON_Delete(rows);
    wagw_buf_wipe(&l->json);
    ngx_wagw_call_command(call, WAGW_CMD_SEEN);
}

NGX_WAGW_HANDLER(message_seen)
{
    lookup_t *l;

    if (ngx_wagw_param_str(call, "messageId").n || cJSON_GetArraySize(ngx_wagw_param(call, "messageIds")) > 0) {
        ngx_wagw_call_command(call, WAGW_CMD_SEEN);
        return;
    }

    cJSON_DeleteItemFromObjectCaseSensitive(call->params, "messageIds");

    l = ngx_wagw_call_ctx(call, sizeof(lookup_t));
    if (l == NULL) {
        return;
    }

    l->num = ngx_wagw_call_instance(call)->num;
    l->chat = ngx_wagw_param_str(call, "chatId");

    ngx_wagw_call_store(call, 0, seen_run, seen_done);
}

/* "_read" only chooses the sentence of the answer */
NGX_WAGW_HANDLER(message_read)
{
    ngx_wagw_param_set(call, "_read", "");
    ngx_wagw_call_message_seen(call);
}

NGX_WAGW_HANDLER(chats_read)
{
    ngx_wagw_param_set(call, "_read", "");
    ngx_wagw_call_message_seen(call);
}

/* ---- presence, changes ----------------------------------------------------------- */

NGX_WAGW_HANDLER(typing_start)
{
    wagw_str_t media;

    media = ngx_wagw_param_str(call, "media");
    ngx_wagw_param_set(call, "state", wagw_str_is(media, "audio") ? "recording" : "composing");
    ngx_wagw_call_command(call, WAGW_CMD_CHATSTATE);
}

NGX_WAGW_HANDLER(typing_stop)
{
    ngx_wagw_param_set(call, "state", "paused");
    ngx_wagw_call_command(call, WAGW_CMD_CHATSTATE);
}

NGX_WAGW_HANDLER(typing)
{
    /* composing now, paused after `duration`: the engine keeps the timer */
    ngx_wagw_param_set(call, "state", "composing");
    ngx_wagw_call_command(call, WAGW_CMD_CHATSTATE);
}

NGX_WAGW_HANDLER(message_presence)
{
    wagw_str_t presence;

    presence = ngx_wagw_param_str(call, "presence");

    if (!wagw_str_is(presence, "available") && !wagw_str_is(presence, "unavailable") &&
        ngx_wagw_param_str(call, "chatId").n == 0) {
        ngx_wagw_call_invalid(call, "chatId", "required for composing, recording and paused");
        return;
    }

    ngx_wagw_call_command(call, WAGW_CMD_PRESENCE);
}

NGX_WAGW_HANDLER(presence_set)
{
    ngx_wagw_call_message_presence(call);
}

NGX_WAGW_HANDLER(reaction_put)
{
    ngx_wagw_call_command(call, WAGW_CMD_REACTION);
}

NGX_WAGW_HANDLER(reaction_delete)
{
    ngx_wagw_param_set(call, "emoji", "");
    ngx_wagw_call_command(call, WAGW_CMD_REACTION);
}

NGX_WAGW_HANDLER(message_edit)
{
    ngx_wagw_call_command(call, WAGW_CMD_EDIT);
}

NGX_WAGW_HANDLER(chats_message_put)
{
    ngx_wagw_call_command(call, WAGW_CMD_EDIT);
}

NGX_WAGW_HANDLER(message_revoke)
{
    ngx_wagw_call_command(call, WAGW_CMD_REVOKE);
}

NGX_WAGW_HANDLER(new_message_id)
{
    char id[24];
    u_char random[16];
    wagw_buf_t b;
    wagw_str_t own;
    wagw_json_t j;
    wagw_client_info_t info;

    wagw_client_info(ngx_wagw_call_instance(call)->client, &info);
    own = wagw_str(info.jid.user, info.linked ? info.jid.user_len : 0);

    if (RAND_bytes(random, sizeof(random)) != 1 ||
        wagw_message_id(id, ngx_wagw_now_ms() / 1000, own, random) != WAGW_OK) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Internal error", WAGW_STR_NULL);
        return;
    }

    ngx_memzero(&b, sizeof(b));
    j = wagw_json(&b);
    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "messageId", id);
    wagw_json_close(&j);
    ngx_wagw_call_data(call, 200, &b, NULL);
}
