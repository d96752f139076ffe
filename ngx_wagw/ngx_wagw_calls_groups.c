#include "ngx_wagw_media.h"
#include "../core/message/message.h"

/* Groups (contract 3.6).  The engine answers with whole objects; what a row
 * wants only a part of is cut out here. */

static void group_command(ngx_wagw_call_t *call, wagw_cmd_t cmd,
                          void (*reply)(ngx_wagw_call_t *call, const wagw_result_t *r))
{
    call->reply = reply;
    ngx_wagw_call_command(call, cmd);
}

static void group_flag(ngx_wagw_call_t *call, const char *flag)
{
    cJSON_DeleteItemFromObjectCaseSensitive(call->params, flag);
    cJSON_AddTrueToObject(call->params, flag);
}

/* What callers must not name: parameters of the engine. */
static void group_clean(ngx_wagw_call_t *call, const char *flag)
{
    cJSON_DeleteItemFromObjectCaseSensitive(call->params, flag);
}

/* ---- lists -------------------------------------------------------------------- */

static void groups_reply(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    cJSON *d;
    wagw_buf_t b = {0};
    ngx_wagw_list_t list;

    if (r->status >= 300) {
        ngx_wagw_call_result(call, r);
        return;
    }

    ngx_memzero(&list, sizeof(ngx_wagw_list_t));
    ngx_wagw_list_page(call, &list, 500);
    d = cJSON_ParseWithLength((const char *)r->details.p, r->details.n);
    list.count = (uint32_t)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(d, "count"));
    list.total = (uint64_t)cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(d, "total"));
    list.more = (uint64_t)list.offset + list.count < list.total;
    cJSON_Delete(d);

    if (ngx_wagw_param_bool(call, "_count") == 1) {
        wagw_buf_printf(&b, "{\"count\":%llu}", (unsigned long long)list.total);
        wagw_buf_printf(&list.json, "\"count\":%llu", (unsigned long long)list.total);
        ngx_wagw_call_ok(call, 200, wagw_buf_view(&b), NULL, wagw_buf_view(&list.json));
        wagw_buf_free(&b);
        ngx_wagw_list_free(&list);
        return;
    }

    wagw_buf_str(&list.json, r->data);
    ngx_wagw_call_list(call, &list, NULL);
}

NGX_WAGW_HANDLER(groups)
{
    group_clean(call, "_count");
    group_clean(call, "refresh");
    group_command(call, WAGW_CMD_GROUPS, groups_reply);
}

NGX_WAGW_HANDLER(groups_count)
{
    group_clean(call, "refresh");
    group_flag(call, "_count");
    group_command(call, WAGW_CMD_GROUPS, groups_reply);
}

NGX_WAGW_HANDLER(groups_refresh)
{
    group_clean(call, "_count");
    group_flag(call, "refresh");
    group_command(call, WAGW_CMD_GROUPS, groups_reply);
}

/* ---- one group ------------------------------------------------------------------- */

NGX_WAGW_HANDLER(group_get)
{
    ngx_wagw_call_command(call, WAGW_CMD_GROUP);
}

static cJSON *group_object(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    cJSON *g;

    if (r->status >= 300) {
        ngx_wagw_call_result(call, r);
        return NULL;
    }

    g = cJSON_ParseWithLength((const char *)r->data.p, r->data.n);
    if (g == NULL) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Internal error", WAGW_STR_NULL);
    }

    return g;
}

static void group_raw(wagw_json_t *j, const char *key, const cJSON *v)
{
    char *text = cJSON_PrintUnformatted(v);

    wagw_json_kraw(j, key, text ? wagw_cstr(text) : WAGW_STR("null"));
    cJSON_free(text);
}

static void participants_reply(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    int n;
    wagw_buf_t b = {0}, extra = {0};
    wagw_json_t j = wagw_json(&b);
    cJSON *g = group_object(call, r), *list;

    if (g == NULL) {
        return;
    }

    list = cJSON_GetObjectItemCaseSensitive(g, "participants");
    n = cJSON_GetArraySize(list);
    wagw_json_open(&j, '{');
    group_raw(&j, "participants", list);
    wagw_json_kint(&j, "count", n);
    wagw_json_close(&j);
    cJSON_Delete(g);

    wagw_buf_printf(&extra, "\"count\":%d", n);
    ngx_wagw_call_ok(call, 200, wagw_buf_view(&b), NULL, wagw_buf_view(&extra));
    wagw_buf_free(&b);
    wagw_buf_free(&extra);
}

NGX_WAGW_HANDLER(group_participants)
{
    group_command(call, WAGW_CMD_GROUP, participants_reply);
}

static void settings_reply(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    cJSON *g = group_object(call, r);

    if (g == NULL) {
        return;
    }

    wagw_json_open(&j, '{');
    group_raw(&j, "announcement", cJSON_GetObjectItemCaseSensitive(g, "announce"));
    group_raw(&j, "locked", cJSON_GetObjectItemCaseSensitive(g, "restrict"));
    group_raw(&j, "ephemeral", cJSON_GetObjectItemCaseSensitive(g, "ephemeralDuration"));
    wagw_json_kcstr(&j, "memberAddMode",
                    cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(g, "memberAddMode")) ? "all" : "admin");
    group_raw(&j, "joinApproval", cJSON_GetObjectItemCaseSensitive(g, "joinApprovalMode"));
    wagw_json_close(&j);
    cJSON_Delete(g);
    ngx_wagw_call_data(call, 200, &b, NULL);
}

NGX_WAGW_HANDLER(group_settings_get)
{
    group_command(call, WAGW_CMD_GROUP, settings_reply);
}

static void flag_reply(ngx_wagw_call_t *call, const wagw_result_t *r, const char *key)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    cJSON *g = group_object(call, r);

    if (g == NULL) {
        return;
    }

    wagw_json_open(&j, '{');
    group_raw(&j, key, cJSON_GetObjectItemCaseSensitive(g, key));
    wagw_json_close(&j);
    cJSON_Delete(g);
    ngx_wagw_call_data(call, 200, &b, NULL);
}

static void restrict_reply(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    flag_reply(call, r, "restrict");
}

static void announce_reply(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    flag_reply(call, r, "announce");
}

NGX_WAGW_HANDLER(group_restrict_get)
{
    group_command(call, WAGW_CMD_GROUP, restrict_reply);
}

NGX_WAGW_HANDLER(group_announce_get)
{
    group_command(call, WAGW_CMD_GROUP, announce_reply);
}

/* RFC 4180: every value quoted; a formula stays text in a spreadsheet. */
static void csv_value(wagw_buf_t *b, const cJSON *v, const char *end)
{
    const char *p = cJSON_IsString(v) ? v->valuestring : "";

    wagw_buf_cstr(b, "\"");
    if (*p && ngx_strchr("=+-@\t\r", *p)) {
        wagw_buf_cstr(b, "'");
    }
    for (; *p; p++) {
        wagw_buf_add(b, *p == '"' ? "\"\"" : p, *p == '"' ? 2 : 1);
    }
    wagw_buf_cstr(b, "\"");
    wagw_buf_cstr(b, end);
}

static void export_reply(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    cJSON *g = group_object(call, r), *p;
    wagw_buf_t b = {0};

    if (g == NULL) {
        return;
    }

    wagw_buf_cstr(&b, "id,lid,phoneNumber,admin\r\n");
    cJSON_ArrayForEach(p, cJSON_GetObjectItemCaseSensitive(g, "participants"))
    {
        csv_value(&b, cJSON_GetObjectItemCaseSensitive(p, "id"), ",");
        csv_value(&b, cJSON_GetObjectItemCaseSensitive(p, "lid"), ",");
        csv_value(&b, cJSON_GetObjectItemCaseSensitive(p, "phoneNumber"), ",");
        csv_value(&b, cJSON_GetObjectItemCaseSensitive(p, "admin"), "\r\n");
    }
    cJSON_Delete(g);

    if (b.failed) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Internal error", WAGW_STR_NULL);
    } else {
        ngx_wagw_call_raw(call, 200, "text/csv; charset=utf-8", wagw_buf_view(&b));
    }
    wagw_buf_free(&b);
}

NGX_WAGW_HANDLER(group_export)
{
    wagw_str_t format = ngx_wagw_param_str(call, "format");

    group_command(call, WAGW_CMD_GROUP, wagw_str_is(format, "json") ? participants_reply : export_reply);
}

/* ---- making, joining, leaving ------------------------------------------------------- */

/* With a picture: it is read first, the group is made, then it is set; without it the group is made all the same. */
typedef struct {
    cJSON *picture;
    wagw_buf_t made; /* the answer */
} group_new_t;

static void group_new_cleanup(void *data)
{
    group_new_t *g = data;

    cJSON_Delete(g->picture);
    wagw_buf_free(&g->made);
}

static void group_pictured(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    group_new_t *g = call->data;

    ngx_wagw_call_ok(call, 201, wagw_buf_view(&g->made), "Group created successfully",
                     r->status == 200 ? WAGW_STR_NULL : WAGW_STR("\"note\":\"WhatsApp did not take the picture\""));
}

static void group_picture_next(ngx_wagw_call_t *call)
{
    group_new_t *g = call->data;

    cJSON_AddItemToObject(call->params, "_picture", g->picture);
    g->picture = NULL;
    group_command(call, WAGW_CMD_PICTURE_SET, group_pictured);
}

static void group_new_reply(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    cJSON *data;
    const char *id;
    group_new_t *g = call->data;

    data = r->status == 201 ? cJSON_ParseWithLength((const char *)r->data.p, r->data.n) : NULL;
    id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(data, "id"));

    if (id == NULL || wagw_buf_str(&g->made, r->data) != WAGW_OK) {
        ngx_wagw_call_result(call, r);
    } else {
        ngx_wagw_param_set(call, "groupId", id);
        ngx_wagw_call_later(call, group_picture_next);
    }

    cJSON_Delete(data);
}

static void group_new(ngx_wagw_call_t *call)
{
    ngx_pool_cleanup_t *cln;
    group_new_t *g = ngx_wagw_call_ctx(call, sizeof(*g));

    if (g == NULL) {
        return;
    }

    cln = ngx_pool_cleanup_add(call->pool, 0);
    if (cln == NULL) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
        return;
    }

    cln->handler = group_new_cleanup;
    cln->data = g;
    g->picture = cJSON_DetachItemFromObjectCaseSensitive(call->params, "_picture");
    group_command(call, WAGW_CMD_GROUP_CREATE, group_new_reply);
}

NGX_WAGW_HANDLER(group_create)
{
    group_clean(call, "_failed");
    group_clean(call, "_descId");
    group_clean(call, "groupId");

    if (!ngx_wagw_call_timer(call, "ephemeral", ngx_wagw_param_int(call, "ephemeral", 0))) {
        return;
    }

    if (ngx_wagw_media_given(call, "picture")) {
        ngx_wagw_call_square(call, "picture", group_new);
    } else {
        ngx_wagw_call_command(call, WAGW_CMD_GROUP_CREATE);
    }
}

NGX_WAGW_HANDLER(group_look)
{
    ngx_wagw_call_command(call, WAGW_CMD_GROUP_LOOK);
}

NGX_WAGW_HANDLER(group_join)
{
    ngx_wagw_call_command(call, WAGW_CMD_GROUP_JOIN);
}

typedef struct {
    uint32_t num;
    wagw_str_t id;
    wagw_buf_t row;
} invited_t;

static int invited_run(wagw_store_t *s, ngx_wagw_job_t *job)
{
    invited_t *v = ((ngx_wagw_call_t *)job->data)->data;

    wagw_buf_reset(&v->row);

    return wagw_store_message_get(s, v->num, WAGW_STR_NULL, WAGW_STR_NULL, v->id, false, &v->row);
}

/* What the stored invite message says goes to the engine. */
static void invited_done(ngx_wagw_job_t *job)
{
    ngx_wagw_call_t *call = job->data;
    invited_t *v = call->data;
    cJSON *row, *invite, *group, *code, *from;

    if (job->rc != WAGW_OK) {
        wagw_buf_free(&v->row);

        if (job->rc == WAGW_NOT_FOUND) {
            ngx_wagw_call_fail(call, 404, "MESSAGE_NOT_FOUND", "Message not found", WAGW_STR_NULL);
        } else {
            ngx_wagw_call_store_failed(call);
        }

        return;
    }

    row = cJSON_ParseWithLength((char *)v->row.p, v->row.n);
    wagw_buf_free(&v->row);
    invite = cJSON_GetObjectItemCaseSensitive(row, "groupInvite");
    group = cJSON_GetObjectItemCaseSensitive(invite, "groupId");
    code = cJSON_GetObjectItemCaseSensitive(invite, "code");
    from = cJSON_GetObjectItemCaseSensitive(row, "from");

    if (!cJSON_IsString(group) || !cJSON_IsString(code) || !cJSON_IsString(from)) {
        cJSON_Delete(row);
        ngx_wagw_call_invalid(call, "messageId", "not an invite to a group");
        return;
    }

    ngx_wagw_param_set(call, "groupId", group->valuestring);
    ngx_wagw_param_set(call, "_code", code->valuestring);
    ngx_wagw_param_set(call, "_admin", from->valuestring);
    cJSON_DeleteItemFromObjectCaseSensitive(call->params, "_expiration");
    cJSON_AddNumberToObject(call->params, "_expiration",
                            cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(invite, "expiration")));
    cJSON_Delete(row);

    ngx_wagw_call_command(call, WAGW_CMD_GROUP_ACCEPT);
}

NGX_WAGW_HANDLER(group_accept_message)
{
    invited_t *v = ngx_wagw_call_ctx(call, sizeof(invited_t));

    if (v) {
        v->num = ngx_wagw_call_instance(call)->num;
        v->id = ngx_wagw_param_str(call, "messageId");
        ngx_wagw_call_store(call, 0, invited_run, invited_done);
    }
}

NGX_WAGW_HANDLER(group_leave)
{
    group_clean(call, "_end");
    ngx_wagw_call_command(call, WAGW_CMD_GROUP_LEAVE);
}

NGX_WAGW_HANDLER(group_delete)
{
    group_flag(call, "_end");
    ngx_wagw_call_command(call, WAGW_CMD_GROUP_LEAVE);
}

NGX_WAGW_HANDLER(group_code)
{
    group_clean(call, "_reset");
    ngx_wagw_call_command(call, WAGW_CMD_GROUP_CODE);
}

NGX_WAGW_HANDLER(group_code_reset)
{
    group_flag(call, "_reset");
    ngx_wagw_call_command(call, WAGW_CMD_GROUP_CODE);
}

/* ---- name, description, settings -------------------------------------------------------- */

NGX_WAGW_HANDLER(group_name)
{
    group_flag(call, "_named");
    ngx_wagw_param_set(call, "subject", cJSON_GetStringValue(ngx_wagw_param(call, "name")));
    ngx_wagw_call_command(call, WAGW_CMD_GROUP_SUBJECT);
}

NGX_WAGW_HANDLER(group_subject)
{
    group_clean(call, "_named");
    ngx_wagw_call_command(call, WAGW_CMD_GROUP_SUBJECT);
}

NGX_WAGW_HANDLER(group_description)
{
    group_clean(call, "_again");
    ngx_wagw_call_command(call, WAGW_CMD_GROUP_DESCRIPTION);
}

NGX_WAGW_HANDLER(group_settings_put)
{
    ngx_uint_t i, n = 0;
    static const char *const names[] = {"announcement", "locked", "ephemeral", "memberAddMode", "joinApproval"};

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        n += ngx_wagw_param(call, names[i]) != NULL;
    }

    if (n == 0) {
        ngx_wagw_call_invalid(call, "announcement", "at least one setting is required");
        return;
    }

    if (ngx_wagw_call_timer(call, "ephemeral", ngx_wagw_param_int(call, "ephemeral", 0))) {
        ngx_wagw_call_command(call, WAGW_CMD_GROUP_SETTINGS);
    }
}

/* One setting under its other name, answered under that name. */
static void group_one(ngx_wagw_call_t *call, const char *name, const char *as,
                      void (*reply)(ngx_wagw_call_t *call, const wagw_result_t *r))
{
    int on = ngx_wagw_param_bool(call, name);
    static const char *const names[] = {"announcement", "locked", "ephemeral", "memberAddMode", "joinApproval"};

    for (ngx_uint_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        group_clean(call, names[i]);
    }

    cJSON_AddBoolToObject(call->params, as, on == 1);
    group_command(call, WAGW_CMD_GROUP_SETTINGS, reply);
}

static void one_reply(ngx_wagw_call_t *call, const wagw_result_t *r, const char *name)
{
    wagw_buf_t b = {0};

    if (r->status >= 300) {
        ngx_wagw_call_result(call, r);
        return;
    }

    wagw_buf_printf(&b, "{\"%s\":%s}", name, ngx_wagw_param_bool(call, name) == 1 ? "true" : "false");
    ngx_wagw_call_data(call, 200, &b, r->message);
}

static void restrict_put_reply(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    one_reply(call, r, "restrict");
}

static void announce_put_reply(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    one_reply(call, r, "announce");
}

NGX_WAGW_HANDLER(group_restrict_put)
{
    group_one(call, "restrict", "locked", restrict_put_reply);
}

NGX_WAGW_HANDLER(group_announce_put)
{
    group_one(call, "announce", "announcement", announce_put_reply);
}

/* ---- members ---------------------------------------------------------------------------------- */

static void members_command_with(ngx_wagw_call_t *call, const char *action,
                                 void (*reply)(ngx_wagw_call_t *call, const wagw_result_t *r))
{
    ngx_wagw_param_set(call, "action", action);
    group_command(call, WAGW_CMD_GROUP_MEMBERS, reply);
}

static void members_command(ngx_wagw_call_t *call, const char *action)
{
    members_command_with(call, action, ngx_wagw_call_counted);
}

NGX_WAGW_HANDLER(group_add)
{
    members_command(call, "add");
}

NGX_WAGW_HANDLER(group_remove)
{
    members_command(call, "remove");
}

NGX_WAGW_HANDLER(group_promote)
{
    members_command(call, "promote");
}

NGX_WAGW_HANDLER(group_demote)
{
    members_command(call, "demote");
}

/*
 * Invites: who may be added is added; to whom that is refused, WhatsApp gives a
 * code for, and it goes to the person as a message (09 section 5).
 */

typedef struct {
    cJSON *results;
    int at;
} invite_t;

static void invite_next(ngx_wagw_call_t *call);

static void invite_cleanup(void *data)
{
    cJSON_Delete(((invite_t *)data)->results);
}

/* The message's own answer: WhatsApp's result of adding stays what it is. */
static void invite_sent(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    invite_t *v = call->data;
    cJSON *item = cJSON_GetArrayItem(v->results, v->at), *sent;

    cJSON_AddBoolToObject(item, "invited", r->code == NULL);
    sent = cJSON_ParseWithLength((const char *)r->data.p, r->data.n);

    if (r->code == NULL && cJSON_GetObjectItemCaseSensitive(sent, "messageId")) {
        cJSON_AddItemToObject(item, "messageId", cJSON_DetachItemFromObjectCaseSensitive(sent, "messageId"));
    } else if (r->code) {
        cJSON_AddStringToObject(item, "code", r->code);
    }

    cJSON_Delete(sent);
    v->at++;
    ngx_wagw_call_later(call, invite_next);
}

static void invite_next(ngx_wagw_call_t *call)
{
    char *text;
    cJSON *item, *code;
    ngx_wagw_list_t list;
    invite_t *v = call->data;

    for (; v->at < cJSON_GetArraySize(v->results); v->at++) {
        item = cJSON_GetArrayItem(v->results, v->at);
        code = cJSON_GetObjectItemCaseSensitive(item, "inviteCode");

        if (!cJSON_IsString(code)) {
            continue;
        }

        ngx_wagw_param_set(call, "to", cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(item, "jid")));
        ngx_wagw_param_set(call, "code", code->valuestring);
        cJSON_DeleteItemFromObjectCaseSensitive(call->params, "_part");
        cJSON_AddNumberToObject(call->params, "_part", v->at);
        cJSON_DeleteItemFromObjectCaseSensitive(call->params, "inviteExpiration");
        cJSON_AddNumberToObject(call->params, "inviteExpiration",
                                cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(item, "inviteExpiration")));
        group_command(call, WAGW_CMD_SEND, invite_sent);
        return;
    }

    ngx_memzero(&list, sizeof(list));
    text = cJSON_PrintUnformatted(v->results);
    wagw_buf_cstr(&list.json, text ? text : "[]");
    list.json.failed = list.json.failed || text == NULL;
    cJSON_free(text);
    list.count = (uint32_t)v->at;
    list.total = UINT64_MAX;
    ngx_wagw_call_list(call, &list, NULL);
}

static void invite_added(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    invite_t *v = call->data;

    if (r->status >= 300) {
        ngx_wagw_call_result(call, r);
        return;
    }

    v->results = cJSON_ParseWithLength((const char *)r->data.p, r->data.n);
    cJSON_DeleteItemFromObjectCaseSensitive(call->params, "_kind");
    cJSON_AddNumberToObject(call->params, "_kind", WAGW_BUILD_GROUP_INVITE);
    ngx_wagw_call_later(call, invite_next);
}

static void invite_named(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    cJSON *g = group_object(call, r);
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(g, "subject"));

    if (g == NULL) {
        return;
    }

    ngx_wagw_param_set(call, "name", name ? name : "");
    cJSON_Delete(g);
    members_command_with(call, "add", invite_added);
}

NGX_WAGW_HANDLER(group_invite)
{
    invite_t *v = ngx_wagw_call_ctx(call, sizeof(invite_t));
    ngx_pool_cleanup_t *cln = v ? ngx_pool_cleanup_add(call->pool, 0) : NULL;

    if (v == NULL) {
        return;
    }

    if (cln == NULL) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
        return;
    }

    cln->handler = invite_cleanup;
    cln->data = v;

    if (ngx_wagw_param_str(call, "message").n) {
        ngx_wagw_param_set(call, "caption", cJSON_GetStringValue(ngx_wagw_param(call, "message")));
    }

    group_command(call, WAGW_CMD_GROUP, invite_named);
}

NGX_WAGW_HANDLER(group_requests)
{
    group_command(call, WAGW_CMD_GROUP_REQUESTS, ngx_wagw_call_counted);
}

NGX_WAGW_HANDLER(group_approve)
{
    group_flag(call, "approve");
    group_command(call, WAGW_CMD_GROUP_DECIDE, ngx_wagw_call_counted);
}

NGX_WAGW_HANDLER(group_reject)
{
    group_clean(call, "approve");
    group_command(call, WAGW_CMD_GROUP_DECIDE, ngx_wagw_call_counted);
}

/* ---- messages ------------------------------------------------------------------------------------ */

NGX_WAGW_HANDLER(group_send)
{
    char *group = strdup((const char *)ngx_wagw_param_str(call, "groupId").p);

    if (group == NULL) {
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Internal error", WAGW_STR_NULL);
        return;
    }

    ngx_wagw_param_set(call, "chatId", group);
    free(group);

    if (ngx_wagw_param_str(call, "type").n == 0) {
        ngx_wagw_param_set(call, "type", "text");
    }

    ngx_wagw_call_chat_send(call);
}
