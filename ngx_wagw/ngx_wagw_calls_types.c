#include "ngx_wagw_preview.h"
#include "ngx_wagw_routes.h"

/*
 * Messages of every kind but media (contract 3.3, 3.4): the fields are the
 * builder's own, so a call is little more than the name of its kind.
 */

typedef struct {
    const char *message; /* of the answer, in place of the engine's */
    const char *note;    /* member of its data */
} types_told_t;

#define TYPES_NOTE                                                                                                     \
    "WhatsApp shows lists and buttons of accounts that are no businesses on some devices only; with fallback text or " \
    "poll the choices always arrive"

/* The engine's result, with what the caller should know besides; inside an op. */
static void types_reply(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    wagw_buf_t data = {0};
    wagw_result_t told = *r;
    types_told_t *t = call->data;

    if (r->code == NULL && r->status < 400) {
        told.message = t->message ? t->message : r->message;

        if (t->note && r->data.n > 2) {
            wagw_buf_str(&data, wagw_str(r->data.p, r->data.n - 1));
            wagw_buf_printf(&data, ",\"note\":\"%s\"}", t->note);
            told.data = wagw_buf_view(&data);
        }
    }

    ngx_wagw_call_result(call, &told);
    wagw_buf_free(&data);
}

static void types_kind(ngx_wagw_call_t *call, wagw_build_kind_t kind)
{
    cJSON_DeleteItemFromObjectCaseSensitive(call->params, "_kind");
    cJSON_AddNumberToObject(call->params, "_kind", kind);
}

static void types_send(ngx_wagw_call_t *call, wagw_build_kind_t kind, wagw_cmd_t cmd, const char *message,
                       const char *note)
{
    types_told_t *t;

    t = ngx_wagw_call_ctx(call, sizeof(types_told_t));
    if (t == NULL) {
        return;
    }

    t->message = message;
    t->note = note;
    call->reply = types_reply;
    types_kind(call, kind);
    ngx_wagw_call_command(call, cmd);
}

NGX_WAGW_HANDLER(send_text)
{
    ngx_wagw_preview_text(call);
}

NGX_WAGW_HANDLER(send_link_preview)
{
    if (ngx_wagw_param_str(call, "text").n == 0 && ngx_wagw_param_str(call, "url").n == 0) {
        ngx_wagw_call_invalid(call, "text", "text or url is required");
        return;
    }

    types_kind(call, WAGW_BUILD_LINK_PREVIEW);
    ngx_wagw_preview_link(call);
}

NGX_WAGW_HANDLER(send_location)
{
    types_send(call, WAGW_BUILD_LOCATION, WAGW_CMD_SEND, "Location sent successfully", NULL);
}

NGX_WAGW_HANDLER(send_live_location)
{
    types_send(call, WAGW_BUILD_LIVE_LOCATION, WAGW_CMD_SEND, "Live location sent successfully", NULL);
}

NGX_WAGW_HANDLER(send_contact)
{
    types_send(call, WAGW_BUILD_CONTACT, WAGW_CMD_SEND, "Contact sent successfully", NULL);
}

NGX_WAGW_HANDLER(send_poll)
{
    types_send(call, WAGW_BUILD_POLL, WAGW_CMD_SEND, "Poll sent successfully", NULL);
}

/* ---- lists and buttons, and what stands in for them -------------------------------- */

static const char *types_member(const cJSON *o, const char *name, const char *alias)
{
    const char *s;

    s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));

    return s ? s : cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, alias));
}

/* The titles that can be chosen, in their order; with `text` one line each. */
static void types_choices(const cJSON *list, cJSON *names, wagw_buf_t *text)
{
    const char *name, *more;
    const cJSON *one, *row;

    cJSON_ArrayForEach(one, list)
    {
        if (cJSON_IsArray(row = cJSON_GetObjectItemCaseSensitive(one, "rows"))) {
            more = types_member(one, "title", "name");
            if (more && *more) {
                wagw_buf_printf(text, "\n\n*%s*", more);
            }
            types_choices(row, names, text);
            continue;
        }

        name = types_member(one, "buttonText", "text");
        name = name ? name : types_member(one, "displayText", "title");
        if (name == NULL || *name == '\0') {
            continue;
        }

        cJSON_AddItemToArray(names, cJSON_CreateString(name));
        wagw_buf_printf(text, "\n%d. %s", cJSON_GetArraySize(names), name);

        more = types_member(one, "description", "url");
        if (more == NULL) {
            more = types_member(one, "phoneNumber", "code");
        }
        if (more && *more) {
            wagw_buf_printf(text, " - %s", more);
        }
    }
}

static void types_choice(ngx_wagw_call_t *call, wagw_build_kind_t kind)
{
    bool list = kind == WAGW_BUILD_LIST;
    cJSON *names;
    wagw_buf_t b = {0};
    wagw_str_t fallback, text, title, footer;

    fallback = ngx_wagw_param_str(call, "fallback");
    if (fallback.n == 0 || wagw_str_is(fallback, "none")) {
        types_send(call, kind, WAGW_CMD_SEND, NULL, TYPES_NOTE);
        return;
    }

    title = ngx_wagw_param_str(call, list ? "title" : "header");
    text = ngx_wagw_param_str(call, "text");
    footer = ngx_wagw_param_str(call, "footer");
    names = cJSON_CreateArray();

    if (title.n && text.n) {
        wagw_buf_printf(&b, "*%s*\n", (const char *)title.p);
    }
    wagw_buf_str(&b, text.n ? text : title);

    if (wagw_str_is(fallback, "poll")) {
        wagw_buf_u8(&b, 0);
        ngx_wagw_param_set(call, "question", b.failed ? "" : (const char *)b.p);
        wagw_buf_reset(&b);
        types_choices(ngx_wagw_param(call, list ? "sections" : "buttons"), names, &b);
        wagw_buf_free(&b);

        if (cJSON_GetArraySize(names) < 2 || cJSON_GetArraySize(names) > 12) {
            cJSON_Delete(names);
            ngx_wagw_call_invalid(call, "fallback", "a poll has 2 to 12 options");
            return;
        }

        cJSON_DeleteItemFromObjectCaseSensitive(call->params, "options");
        cJSON_AddItemToObject(call->params, "options", names);
        types_send(call, WAGW_BUILD_POLL, WAGW_CMD_SEND, NULL, "Sent as a poll");
        return;
    }

    types_choices(ngx_wagw_param(call, list ? "sections" : "buttons"), names, &b);
    cJSON_Delete(names);
    if (footer.n) {
        wagw_buf_cstr(&b, "\n\n");
        wagw_buf_str(&b, footer);
    }
    wagw_buf_u8(&b, 0);
    ngx_wagw_param_set(call, "message", b.failed ? "" : (const char *)b.p);
    wagw_buf_free(&b);
    types_send(call, WAGW_BUILD_TEXT, WAGW_CMD_SEND, NULL, "Sent as a text");
}

NGX_WAGW_HANDLER(send_list)
{
    types_choice(call, WAGW_BUILD_LIST);
}

NGX_WAGW_HANDLER(send_buttons)
{
    types_choice(call, WAGW_BUILD_BUTTONS);
}

/* ---- events -------------------------------------------------------------------------- */

static void types_event_text(ngx_wagw_call_t *call)
{
    wagw_buf_t b = {0};
    wagw_str_t v;
    const cJSON *place;
    const char *s;

    wagw_buf_printf(&b, "*%s*\n", (const char *)ngx_wagw_param_str(call, "name").p);

    v = ngx_wagw_param_str(call, "startTime");
    wagw_buf_str(&b, v);
    v = ngx_wagw_param_str(call, "endTime");
    if (v.n) {
        wagw_buf_cstr(&b, " - ");
        wagw_buf_str(&b, v);
    }

    place = ngx_wagw_param(call, "location");
    for (int i = 0; i < 2; i++) {
        s = cJSON_IsString(place)
                ? (i ? NULL : place->valuestring)
                : cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(place, i ? "address" : "name"));
        if (s && *s) {
            wagw_buf_printf(&b, "\n%s", s);
        }
    }

    v = ngx_wagw_param_str(call, "callLink");
    if (v.n) {
        wagw_buf_printf(&b, "\n%s", (const char *)v.p);
    }
    v = ngx_wagw_param_str(call, "description");
    if (v.n) {
        wagw_buf_printf(&b, "\n\n%s", (const char *)v.p);
    }

    wagw_buf_u8(&b, 0);
    ngx_wagw_param_set(call, "message", b.failed ? "" : (const char *)b.p);
    wagw_buf_free(&b);
    types_send(call, WAGW_BUILD_TEXT, WAGW_CMD_SEND, "Event sent successfully", NULL);
}

NGX_WAGW_HANDLER(send_event)
{
    cJSON *place;

    if (ngx_wagw_param_bool(call, "asText") == 1) {
        types_event_text(call);
        return;
    }

    /* a place without coordinates is a name */
    place = ngx_wagw_param(call, "location");
    if (cJSON_IsObject(place) && !cJSON_HasObjectItem(place, "latitude")) {
        const char *name = types_member(place, "name", "address");
        char *copy = name ? strdup(name) : NULL;

        if (copy) {
            ngx_wagw_param_set(call, "location", copy);
        } else {
            cJSON_DeleteItemFromObjectCaseSensitive(call->params, "location");
        }
        free(copy);
    }

    types_send(call, WAGW_BUILD_EVENT, WAGW_CMD_SEND, "Event sent successfully", NULL);
}

NGX_WAGW_HANDLER(event_respond)
{
    types_send(call, WAGW_BUILD_EVENT_RESPONSE, WAGW_CMD_SEND_AT, "Response sent successfully", NULL);
}

/* ---- what is about a message ------------------------------------------------------------ */

NGX_WAGW_HANDLER(send_poll_vote)
{
    types_told_t *t;
    char *id;

    t = ngx_wagw_call_ctx(call, sizeof(types_told_t));
    if (t == NULL) {
        return;
    }

    id = strdup((const char *)ngx_wagw_param_str(call, "pollMessageId").p);
    if (id) {
        ngx_wagw_param_set(call, "messageId", id);
    }
    free(id);

    types_kind(call, WAGW_BUILD_POLL_VOTE);
    t->message = "Poll vote submitted successfully";
    call->reply = types_reply;
    ngx_wagw_call_command_at(call, WAGW_CMD_SEND_AT, "to");
}

NGX_WAGW_HANDLER(message_pin)
{
    types_send(call, WAGW_BUILD_PIN, WAGW_CMD_SEND_AT,
               ngx_wagw_param_bool(call, "pin") == 0 ? "Message unpinned" : "Message pinned", NULL);
}

NGX_WAGW_HANDLER(message_unpin)
{
    cJSON_DeleteItemFromObjectCaseSensitive(call->params, "pin");
    cJSON_AddFalseToObject(call->params, "pin");
    ngx_wagw_call_message_pin(call);
}

NGX_WAGW_HANDLER(message_keep)
{
    types_send(call, WAGW_BUILD_KEEP, WAGW_CMD_SEND_AT,
               ngx_wagw_param_bool(call, "keep") == 0 ? "Message no longer kept" : "Message kept", NULL);
}

NGX_WAGW_HANDLER(message_put)
{
    ngx_wagw_call_command_at(call, WAGW_CMD_EDIT, "chatId");
}

static void ephemeral_reply(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    if (r->status >= 300) {
        ngx_wagw_call_result(call, r);
        return;
    }

    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "chatId", ngx_wagw_param_str(call, "chatId"));
    wagw_json_kint(&j, "ephemeral", ngx_wagw_param_int(call, "ephemeral", 0));
    wagw_json_close(&j);
    ngx_wagw_call_data(call, 200, &b, "Disappearing timer set");
}

NGX_WAGW_HANDLER(chat_ephemeral)
{
    static const char *const others[] = {"announcement", "locked", "memberAddMode", "joinApproval", "_at", "ephemeral"};
    int64_t seconds = ngx_wagw_param_int(call, "expiration", -1);

    if (!ngx_wagw_call_timer(call, "expiration", seconds)) {
        return;
    }

    if (wagw_str_ends(ngx_wagw_param_str(call, "chatId"), WAGW_STR("@g.us"))) {
        /* a setting of the group, not a message */
        ngx_wagw_param_set(call, "groupId", cJSON_GetStringValue(ngx_wagw_param(call, "chatId")));
        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
            cJSON_DeleteItemFromObjectCaseSensitive(call->params, others[i]);
        }
        cJSON_AddNumberToObject(call->params, "ephemeral", (double)seconds);
        call->reply = ephemeral_reply;
        ngx_wagw_call_command(call, WAGW_CMD_GROUP_SETTINGS);
        return;
    }

    /* the chat's timer, not that of this message */
    cJSON_DeleteItemFromObjectCaseSensitive(call->params, "expiration");
    cJSON_AddNumberToObject(call->params, "duration", (double)seconds);
    types_send(call, WAGW_BUILD_DISAPPEARING, WAGW_CMD_SEND, "Disappearing timer set", NULL);
}

/* ---- votes ------------------------------------------------------------------------------- */

typedef struct {
    uint32_t num;
    wagw_str_t id;
    ngx_wagw_list_t list;
} votes_t;

static int votes_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    votes_t *v;
    ngx_wagw_call_t *call = job->data;

    v = call->data;

    return wagw_store_message_votes(s, v->num, v->id, &v->list.json, &v->list.count);
}

static void votes_done(ngx_wagw_job_t *job)
{
    votes_t *v;
    ngx_wagw_list_t list;
    ngx_wagw_call_t *call = job->data;

    v = call->data;
    list = v->list;

    if (job->rc == WAGW_OK) {
        ngx_wagw_call_list(call, &list, NULL);
        return;
    }

    ngx_wagw_list_free(&list);

    if (job->rc == WAGW_NOT_FOUND) {
        ngx_wagw_call_fail(call, 404, "MESSAGE_NOT_FOUND", "Message not found", WAGW_STR_NULL);
    } else if (job->rc == WAGW_STATE) {
        ngx_wagw_call_invalid(call, "messageId", "neither a poll nor an event");
    } else {
        ngx_wagw_call_store_failed(call);
    }
}

NGX_WAGW_HANDLER(message_votes)
{
    votes_t *v;

    v = ngx_wagw_call_ctx(call, sizeof(votes_t));
    if (v == NULL) {
        return;
    }

    v->num = ngx_wagw_call_instance(call)->num;
    v->id = ngx_wagw_param_str(call, "messageId");
    v->list.total = UINT64_MAX;
    ngx_wagw_call_store(call, 0, votes_run, votes_done);
}

/* ---- what needs more than its fields ------------------------------------------------------ */

NGX_WAGW_HANDLER(event_cancel)
{
    types_send(call, WAGW_BUILD_EVENT_CANCEL, WAGW_CMD_SEND_AT, "Event cancelled", NULL);
}

NGX_WAGW_HANDLER(send_product)
{
    types_send(call, WAGW_BUILD_PRODUCT, WAGW_CMD_PRODUCT, "Product sent successfully", NULL);
}

NGX_WAGW_HANDLER(send_raw)
{
    if (!ngx_wagw_owner_conf()->raw_messages) {
        ngx_wagw_call_fail(call, 403, "AUTH_FORBIDDEN", "Raw messages are not allowed: wagw_raw_messages is off",
                           WAGW_STR_NULL);
        return;
    }

    types_send(call, WAGW_BUILD_RAW, WAGW_CMD_SEND, "Message sent successfully", NULL);
}

/* ---- any of them, below its chat ------------------------------------------------------------ */

/* Form and multipart values come as text where the row did not know their type. */
static void types_values(cJSON *params, const ngx_wagw_field_t *fields)
{
    cJSON *v, *typed;
    const ngx_wagw_field_t *f;

    for (f = fields; f && f->name; f++) {
        v = cJSON_GetObjectItemCaseSensitive(params, f->name);

        if (cJSON_IsString(v)) {
            typed = ngx_wagw_fields_value(fields, f->name, v->valuestring);

            if (typed && !cJSON_ReplaceItemInObjectCaseSensitive(params, f->name, typed)) {
                cJSON_Delete(typed);
            }
        }
    }
}

static const ngx_wagw_route_t *types_route(ngx_wagw_call_t *call)
{
    char path[80];
    size_t i, n;
    wagw_str_t type;

    type = ngx_wagw_param_str(call, "type");
    n = (size_t)snprintf(path, sizeof(path), "/api/message/send/%.32s", (const char *)type.p);

    for (i = 0; i < n; i++) {
        if (path[i] == '_') {
            path[i] = '-';
        }
    }

    return ngx_wagw_route_find("POST", path);
}

NGX_WAGW_HANDLER(chat_send)
{
    int rc;
    char *chat, *id;
    const char *code;
    wagw_buf_t details = {0};
    const ngx_wagw_route_t *route;

    route = types_route(call);

    if (route == NULL || route->handler == ngx_wagw_call_send_bulk) {
        ngx_wagw_call_invalid(call, "type", "not a kind of message that can be sent");
        return;
    }

    if ((route->perm & NGX_WAGW_PERM_ADMIN) && !(call->perm & NGX_WAGW_PERM_ADMIN)) {
        ngx_wagw_call_fail(call, 403, "AUTH_FORBIDDEN", "The key lacks a permission", WAGW_STR_NULL);
        return;
    }

    if (route->handler == NULL) {
        ngx_wagw_call_fail(call, 501, "NOT_SUPPORTED", "Not supported", WAGW_STR_NULL);
        return;
    }

    /* copies: setting a parameter may free where it comes from */
    chat = strdup((const char *)ngx_wagw_param_str(call, "chatId").p);
    id = strndup((const char *)call->instance_id.data, call->instance_id.len);
    if (chat && id) {
        ngx_wagw_param_set(call, "to", chat);
        ngx_wagw_param_set(call, "instanceId", id);
    }
    free(chat);
    free(id);

    types_values(call->params, route->fields);
    rc = ngx_wagw_fields_check(route->fields, call->params, &code, &details);

    if (rc == WAGW_OK) {
        route->handler(call);

    } else if (rc == WAGW_MALFORMED) {
        ngx_wagw_call_fail(call, 400, code, "Validation failed", wagw_buf_view(&details));

    } else {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
    }

    wagw_buf_free(&details);
}
