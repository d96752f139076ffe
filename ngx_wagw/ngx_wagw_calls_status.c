#include "ngx_wagw_media.h"

/*
 * Status posts (contract 3.8): sends to status@broadcast, whose audience the
 * engine works out; listing and views are rows of the store.
 */

#define STATUS_CHAT "status@broadcast"

/* Inside an op. */
static void status_posted(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    wagw_result_t told = *r;

    if (r->code == NULL && r->status < 400) {
        told.message = "Status posted successfully";
    }

    ngx_wagw_call_result(call, &told);
}

/* NGX_DECLINED: 400 was answered. */
static ngx_int_t status_prepare(ngx_wagw_call_t *call)
{
    size_t i;
    wagw_str_t colour;
    static const char *const none[] = {"chatId",     "quotedMessageId", "quoted",         "mentions",
                                       "expiration", "linkPreview",     "simulateTyping", "viewOnce"};

    colour = ngx_wagw_param_str(call, "backgroundColor");

    for (i = 0; i < colour.n; i++) {
        if (i == 0 ? colour.p[i] != '#' : !isxdigit(colour.p[i])) {
            break;
        }
    }

    if (colour.n && (i < colour.n || (colour.n != 7 && colour.n != 9))) {
        ngx_wagw_call_invalid(call, "backgroundColor", "must be #RRGGBB or #RRGGBBAA");
        return NGX_DECLINED;
    }

    for (i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        cJSON_DeleteItemFromObjectCaseSensitive(call->params, none[i]);
    }

    ngx_wagw_param_set(call, "to", STATUS_CHAT);
    call->reply = status_posted;

    return NGX_OK;
}

NGX_WAGW_HANDLER(status_text)
{
    cJSON *text;

    if (status_prepare(call) != NGX_OK) {
        return;
    }

    /* under the name that the builder prefers */
    text = cJSON_DetachItemFromObjectCaseSensitive(call->params, "text");
    cJSON_DeleteItemFromObjectCaseSensitive(call->params, "message");

    if (text == NULL || !cJSON_AddItemToObject(call->params, "message", text)) {
        cJSON_Delete(text);
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Internal error", WAGW_STR_NULL);
        return;
    }

    cJSON_DeleteItemFromObjectCaseSensitive(call->params, "_kind");
    ngx_wagw_call_command(call, WAGW_CMD_SEND);
}

static void status_media(ngx_wagw_call_t *call, const char *kind)
{
    if (status_prepare(call) == NGX_OK) {
        ngx_wagw_media_send_as(call, kind);
    }
}

NGX_WAGW_HANDLER(status_image)
{
    status_media(call, "image");
}

NGX_WAGW_HANDLER(status_video)
{
    status_media(call, "video");
}

NGX_WAGW_HANDLER(status_voice)
{
    status_media(call, "voice");
}

/* Inside an op: the engine answers with the message that took the post back. */
static void status_deleted(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    wagw_buf_t data = {0};
    wagw_json_t j = wagw_json(&data);
    wagw_result_t told = *r;

    if (r->code == NULL && r->status < 400) {
        wagw_json_open(&j, '{');
        wagw_json_kstr(&j, "messageId", ngx_wagw_param_str(call, "messageId"));
        wagw_json_close(&j);
        told.data = wagw_buf_view(&data);
        told.message = "Status deleted successfully";
    }

    ngx_wagw_call_result(call, &told);
    wagw_buf_free(&data);
}

NGX_WAGW_HANDLER(status_delete)
{
    if (status_prepare(call) == NGX_OK) {
        call->reply = status_deleted;
        ngx_wagw_call_command(call, WAGW_CMD_REVOKE);
    }
}

NGX_WAGW_HANDLER(status_seen)
{
    ngx_wagw_call_command(call, WAGW_CMD_STORY_SEEN);
}

NGX_WAGW_HANDLER(status_privacy_get)
{
    ngx_wagw_call_command(call, WAGW_CMD_STORY_GET);
}

NGX_WAGW_HANDLER(status_privacy_put)
{
    size_t i;
    wagw_jid_t jid;
    const cJSON *item;

    i = 0;
    cJSON_ArrayForEach(item, ngx_wagw_param(call, "jids"))
    {
        if (wagw_jid_parse(&jid, wagw_cstr(item->valuestring)) != WAGW_OK || !wagw_jid_is_person(&jid)) {
            ngx_wagw_call_fail(call, 400, "INVALID_JID", "Only people see status posts",
                               WAGW_STR("{\"field\":\"jids\"}"));
            return;
        }
        i++;
    }

    if (i > 0 && wagw_str_is(ngx_wagw_param_str(call, "mode"), "contacts")) {
        ngx_wagw_call_invalid(call, "jids", "only with mode allow or deny");
        return;
    }

    ngx_wagw_call_command(call, WAGW_CMD_STORY_PUT);
}

/* ---- what the store has ------------------------------------------------------------ */

typedef struct {
    uint32_t num;
    wagw_str_t id;
    ngx_wagw_list_t list;
    wagw_message_filter_t filter;
} status_list_t;

static status_list_t *status_start(ngx_wagw_call_t *call)
{
    status_list_t *l;

    l = ngx_wagw_call_ctx(call, sizeof(status_list_t));

    if (l) {
        l->num = ngx_wagw_call_instance(call)->num;
        l->id = ngx_wagw_param_str(call, "messageId");
        ngx_wagw_list_page(call, &l->list, 100);
    }

    return l;
}

static void status_list_done(ngx_wagw_job_t *job)
{
    ngx_wagw_list_t list;
    status_list_t *l;
    ngx_wagw_call_t *call = job->data;

    l = call->data;
    list = l->list;

    switch (job->rc) {

    case WAGW_OK:
        ngx_wagw_call_list(call, &list, NULL);
        return;

    case WAGW_NOT_FOUND:
        ngx_wagw_call_fail(call, 404, "MESSAGE_NOT_FOUND", "No own status has this id", WAGW_STR_NULL);
        break;

    case WAGW_MALFORMED:
        ngx_wagw_call_invalid(call, "cursor", "not a cursor of this listing");
        break;

    default:
        ngx_wagw_call_store_failed(call);
    }

    ngx_wagw_list_free(&list);
}

static int status_list_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    status_list_t *l;
    ngx_wagw_call_t *call = job->data;

    l = call->data;

    return wagw_store_messages(s, l->num, &l->filter, &l->list.json, &l->list.count, &l->list.total, &l->list.more,
                               &l->list.next_cursor);
}

NGX_WAGW_HANDLER(status_list)
{
    status_list_t *l;

    l = status_start(call);
    if (l == NULL) {
        return;
    }

    l->filter.instance_id = wagw_str(call->instance_id.data, call->instance_id.len);
    l->filter.chat = WAGW_STR(STATUS_CHAT);
    l->filter.from_me = -1;
    l->filter.not_revoked = true;
    l->filter.cursor = ngx_wagw_param_str(call, "cursor");
    l->filter.limit = l->list.limit;
    l->filter.offset = l->list.offset;

    ngx_wagw_call_store(call, 0, status_list_run, status_list_done);
}

static int status_views_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    status_list_t *l;
    ngx_wagw_call_t *call = job->data;

    l = call->data;

    return wagw_store_message_views(s, l->num, WAGW_STR(STATUS_CHAT), l->id, &l->list.json, &l->list.count);
}

NGX_WAGW_HANDLER(status_views)
{
    status_list_t *l;

    l = status_start(call);

    if (l) {
        l->list.paginated = 0;
        ngx_wagw_call_store(call, 0, status_views_run, status_list_done);
    }
}
