#include "ngx_wagw_calls.h"

#include <openssl/rand.h>

/* Calls that become one command of the engine, which answers them. */

NGX_WAGW_HANDLER(send_text)
{
    ngx_wagw_call_command(call, WAGW_CMD_SEND);
}

/*
 * A caller names the message to forward by its id alone: its chat is looked up
 * here, because the engine knows messages by chat and id.
 */
static int forward_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    wagw_str_t none = WAGW_STR_NULL;

    return wagw_store_message_get(s, ngx_wagw_call_instance(call)->num, none, none, ngx_wagw_param_str(call, "messageId"),
                                  false, call->data);
}

static void forward_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    wagw_buf_t *json = call->data;
    cJSON *row, *chat;

    row = job->rc == WAGW_OK && !json->failed ? cJSON_ParseWithLength((char *)json->p, json->n) : NULL;
    chat = cJSON_GetObjectItemCaseSensitive(row, "chatId");

    if (cJSON_IsString(chat)) {
        ngx_wagw_param_set(call, "fromChatId", chat->valuestring);
    }

    cJSON_Delete(row);
    wagw_buf_wipe(json);

    if (job->rc != WAGW_OK && job->rc != WAGW_NOT_FOUND) {
        ngx_wagw_call_store_failed(call);
        return;
    }

    ngx_wagw_call_command(call, WAGW_CMD_FORWARD);
}

NGX_WAGW_HANDLER(message_forward)
{
    if (ngx_wagw_param_str(call, "fromChatId").n) {
        ngx_wagw_call_command(call, WAGW_CMD_FORWARD);
        return;
    }

    if (ngx_wagw_call_ctx(call, sizeof(wagw_buf_t)) != NULL) {
        ngx_wagw_call_store(call, 0, forward_run, forward_done);
    }
}

/* ---- seen: without ids, what is unread in the chat ------------------------------ */

#define SEEN_MAX 200

static int seen_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    ngx_wagw_instance_t *in = ngx_wagw_call_instance(call);
    wagw_buf_t chat = {0};
    wagw_buf_t *json = call->data;
    wagw_message_filter_t f;
    wagw_buf_t cursor = {0};
    uint32_t count;
    uint64_t total;
    cJSON *row;
    bool more;
    int rc;

    rc = wagw_store_chat_get(s, in->num, ngx_wagw_param_str(call, "chatId"), &chat);
    if (rc == WAGW_NOT_FOUND) {
        return WAGW_OK;
    }

    if (rc == WAGW_OK) {
        ngx_memzero(&f, sizeof(f));
        row = cJSON_ParseWithLength((char *)chat.p, chat.n);
        f.chat = ngx_wagw_param_str(call, "chatId");
        f.from_me = 0;
        f.limit = (uint32_t)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(row, "unreadCount"));
        cJSON_Delete(row);

        if (f.limit > SEEN_MAX) {
            f.limit = SEEN_MAX;
        }

        if (f.limit) {
            rc = wagw_store_messages(s, in->num, &f, json, &count, &total, &more, &cursor);
        }
    }

    wagw_buf_free(&chat);
    wagw_buf_free(&cursor);

    return rc;
}

static void seen_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    wagw_buf_t *json = call->data;
    cJSON *rows, *row, *id, *ids;

    if (job->rc != WAGW_OK) {
        wagw_buf_free(json);
        ngx_wagw_call_store_failed(call);
        return;
    }

    rows = json->n && !json->failed ? cJSON_ParseWithLength((char *)json->p, json->n) : NULL;
    ids = cJSON_AddArrayToObject(call->params, "messageIds");

    cJSON_ArrayForEach(row, rows)
    {
        id = cJSON_GetObjectItemCaseSensitive(row, "messageId");
        if (cJSON_IsString(id)) {
            cJSON_AddItemToArray(ids, cJSON_CreateString(id->valuestring));
        }
    }

    cJSON_Delete(rows);
    wagw_buf_free(json);
    ngx_wagw_call_command(call, WAGW_CMD_SEEN);
}

NGX_WAGW_HANDLER(message_seen)
{
    if (ngx_wagw_param_str(call, "messageId").n || cJSON_GetArraySize(ngx_wagw_param(call, "messageIds")) > 0) {
        ngx_wagw_call_command(call, WAGW_CMD_SEEN);
        return;
    }

    cJSON_DeleteItemFromObjectCaseSensitive(call->params, "messageIds");

    if (ngx_wagw_call_ctx(call, sizeof(wagw_buf_t)) != NULL) {
        ngx_wagw_call_store(call, 0, seen_run, seen_done);
    }
}

NGX_WAGW_HANDLER(message_read)
{
    ngx_wagw_call_message_seen(call);
}

NGX_WAGW_HANDLER(chats_read)
{
    ngx_wagw_call_message_seen(call);
}

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

/* ---- who is on WhatsApp: the engine names those found, 50 at a time --------------- */

#define EXISTS_CHUNK 50

typedef struct {
    cJSON *found; /* what the engine answered so far */
    cJSON *asked; /* all numbers, as the caller wrote them */
    int at;
} exists_t;

static size_t exists_digits(char out[32], const char *s)
{
    size_t n = 0;

    for (; *s && *s != '@' && n < 31; s++) {
        if (*s >= '0' && *s <= '9') {
            out[n++] = *s;
        }
    }
    out[n] = '\0';

    return n;
}

static void exists_one(wagw_json_t *j, exists_t *e, const char *number, bool many)
{
    char digits[32];
    cJSON *row, *hit = NULL, *lid;

    exists_digits(digits, number);

    cJSON_ArrayForEach(row, e->found)
    {
        if (strcmp(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(row, "phoneNumber")), digits) == 0) {
            hit = row;
        }
    }

    lid = cJSON_GetObjectItemCaseSensitive(hit, "lid");
    wagw_json_open(j, '{');
    if (many) {
        wagw_json_kcstr(j, "phoneNumber", digits);
    }
    wagw_json_kbool(j, "exists", hit != NULL);
    wagw_json_kcstr(j, "jid", cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(hit, "jid")));
    wagw_json_kcstr(j, "lid", cJSON_GetStringValue(lid));
    if (many) {
        wagw_json_knull(j, "isBusiness"); /* not part of this query */
    }
    wagw_json_close(j);
}

static void exists_ask(ngx_wagw_call_t *call, exists_t *e)
{
    cJSON *list;

    cJSON_DeleteItemFromObjectCaseSensitive(call->params, "phoneNumbers");
    list = cJSON_AddArrayToObject(call->params, "phoneNumbers");

    for (int i = 0; i < EXISTS_CHUNK && e->at < cJSON_GetArraySize(e->asked); i++) {
        cJSON_AddItemToArray(list, cJSON_Duplicate(cJSON_GetArrayItem(e->asked, e->at++), 0));
    }

    ngx_wagw_call_command(call, WAGW_CMD_CHECK_EXISTS);
}

static void exists_again(ngx_event_t *ev)
{
    ngx_wagw_call_t *call = ev->data;

    exists_ask(call, call->data);
}

static void exists_cleanup(void *data)
{
    exists_t *e = data;

    cJSON_Delete(e->found);
    cJSON_Delete(e->asked);
}

static void exists_reply(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    exists_t *e = call->data;
    ngx_event_t *ev;
    cJSON *rows, *row;
    bool many = !cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(call->params, "_one"));

    if (r->code) {
        ngx_wagw_call_result(call, r);
        return;
    }

    rows = cJSON_ParseWithLength((const char *)r->data.p, r->data.n);
    while ((row = cJSON_DetachItemFromArray(rows, 0)) != NULL) {
        cJSON_AddItemToArray(e->found, row);
    }
    cJSON_Delete(rows);

    if (e->at < cJSON_GetArraySize(e->asked)) {
        /* the engine is still in its own call: the next query begins from the loop */
        ev = ngx_pcalloc(call->pool, sizeof(*ev));
        if (ev == NULL) {
            ngx_wagw_call_fail(call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
            return;
        }
        ev->handler = exists_again;
        ev->data = call;
        ev->log = ngx_cycle->log;
        ngx_post_event(ev, &ngx_posted_events);
        return;
    }

    if (!many) {
        exists_one(&j, e, cJSON_GetStringValue(cJSON_GetArrayItem(e->asked, 0)), false);

    } else {
        wagw_json_open(&j, '[');
        cJSON_ArrayForEach(row, e->asked)
        {
            exists_one(&j, e, row->valuestring, true);
        }
        wagw_json_close(&j);
    }

    ngx_wagw_call_data(call, 200, &b, NULL);
}

static void exists_begin(ngx_wagw_call_t *call, bool many)
{
    ngx_pool_cleanup_t *cln;
    exists_t *e;
    cJSON *item;

    cln = ngx_pool_cleanup_add(call->pool, sizeof(exists_t));
    if (cln == NULL) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
        return;
    }

    e = cln->data;
    cln->handler = exists_cleanup;
    e->at = 0;
    e->found = cJSON_CreateArray();
    e->asked = cJSON_CreateArray();
    call->data = e;
    call->reply = exists_reply;

    if (many) {
        cJSON_ArrayForEach(item, ngx_wagw_param(call, "phoneNumbers"))
        {
            if (cJSON_IsString(item)) {
                cJSON_AddItemToArray(e->asked, cJSON_CreateString(item->valuestring));
            }
        }

    } else {
        cJSON_AddNullToObject(call->params, "_one");
        cJSON_AddItemToArray(e->asked, cJSON_CreateString((char *)ngx_wagw_param_str(call, "phoneNumber").p));
    }

    exists_ask(call, e);
}

NGX_WAGW_HANDLER(check_exists)
{
    exists_begin(call, false);
}

NGX_WAGW_HANDLER(check_exists_many)
{
    exists_begin(call, true);
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
