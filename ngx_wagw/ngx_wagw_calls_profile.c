#include "ngx_wagw_media.h"

/*
 * Contacts' and own profiles.  Several of these answers are put together from
 * more than one question to WhatsApp; the questions are asked one after the
 * other, and what they answer is gathered in one object.
 */

#define STEPS_MAX 16

typedef void (*picture_then_pt)(ngx_wagw_call_t *call);

typedef struct {
    wagw_cmd_t cmd;
    const char *name; /* PRIVACY_SET: what is set */
    const cJSON *value;
} step_t;

typedef struct {
    step_t step[STEPS_MAX];
    ngx_uint_t n, at;
    cJSON *data; /* what was answered so far */
    cJSON *given;
    void (*end)(ngx_wagw_call_t *call, cJSON *data);
} steps_t;

static void steps_ask(ngx_wagw_call_t *call);

static void steps_cleanup(void *data)
{
    steps_t *s = data;

    cJSON_Delete(s->data);
    cJSON_Delete(s->given);
}

static void steps_reply(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    cJSON *answer, *i;
    steps_t *s = call->data;

    if (r->status != 200) {
        ngx_wagw_call_result(call, r);
        return;
    }

    answer = cJSON_ParseWithLength((const char *)r->data.p, r->data.n);

    while (answer && (i = answer->child) != NULL) {
        (void)cJSON_DetachItemViaPointer(answer, i);
        cJSON_DeleteItemFromObjectCaseSensitive(s->data, i->string);
        cJSON_AddItemToObject(s->data, i->string, i);
    }

    cJSON_Delete(answer);

    if (++s->at < s->n) {
        ngx_wagw_call_later(call, steps_ask);
        return;
    }

    s->end(call, s->data);
}

static void steps_ask(ngx_wagw_call_t *call)
{
    steps_t *s = call->data;
    cJSON *p = call->params;
    step_t *step = &s->step[s->at];

    if (step->name) {
        ngx_wagw_param_set(call, "name", step->name);
        cJSON_DeleteItemFromObjectCaseSensitive(p, "value");
        cJSON_DeleteItemFromObjectCaseSensitive(p, "duration");
        cJSON_AddItemToObject(p, cJSON_IsNumber(step->value) ? "duration" : "value", cJSON_Duplicate(step->value, 0));
    }

    ngx_wagw_call_command(call, step->cmd);
}

static steps_t *steps_make(ngx_wagw_call_t *call, void (*end)(ngx_wagw_call_t *call, cJSON *data))
{
    steps_t *s;
    ngx_pool_cleanup_t *cln;

    s = ngx_wagw_call_ctx(call, sizeof(steps_t));
    if (s == NULL) {
        return NULL;
    }

    s->end = end;
    s->data = cJSON_CreateObject();
    cln = ngx_pool_cleanup_add(call->pool, 0);

    if (cln == NULL || s->data == NULL) {
        cJSON_Delete(s->data);
        ngx_wagw_call_fail(call, 500, "INTERNAL", "Internal error", WAGW_STR_NULL);
        return NULL;
    }

    cln->handler = steps_cleanup;
    cln->data = s;
    call->reply = steps_reply;

    return s;
}

static void steps_add(steps_t *s, wagw_cmd_t cmd)
{
    s->step[s->n++].cmd = cmd;
}

/* ---- a contact's picture and about text ------------------------------------------- */

static const cJSON *member(const cJSON *data, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(data, name);
}

static void picture_reply(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    cJSON *data;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    if (r->status != 200) {
        ngx_wagw_call_result(call, r);
        return;
    }

    data = cJSON_ParseWithLength((const char *)r->data.p, r->data.n);
    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "pictureUrl", cJSON_GetStringValue(member(data, "pictureUrl")));
    wagw_json_close(&j);
    cJSON_Delete(data);
    ngx_wagw_call_data(call, 200, &b, NULL);
}

NGX_WAGW_HANDLER(picture)
{
    call->reply = picture_reply;
    ngx_wagw_call_command(call, WAGW_CMD_PICTURE);
}

static void about_end(ngx_wagw_call_t *call, cJSON *data)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "pictureUrl", cJSON_GetStringValue(member(data, "pictureUrl")));
    wagw_json_kcstr(&j, "about", cJSON_GetStringValue(member(data, "about")));
    wagw_json_kcstr(&j, "aboutSetAt", cJSON_GetStringValue(member(data, "aboutSetAt")));
    wagw_json_close(&j);
    ngx_wagw_call_data(call, 200, &b, NULL);
}

NGX_WAGW_HANDLER(contact_about)
{
    steps_t *s = steps_make(call, about_end);

    if (s) {
        steps_add(s, WAGW_CMD_ABOUT);
        steps_add(s, WAGW_CMD_PICTURE);
        steps_ask(call);
    }
}

static void block(ngx_wagw_call_t *call, ngx_uint_t on)
{
    cJSON_DeleteItemFromObjectCaseSensitive(call->params, "block");
    cJSON_AddBoolToObject(call->params, "block", on);
    ngx_wagw_call_command(call, WAGW_CMD_BLOCK);
}

NGX_WAGW_HANDLER(contact_block)
{
    block(call, 1);
}

NGX_WAGW_HANDLER(contact_unblock)
{
    block(call, 0);
}

/* ---- the own profile ----------------------------------------------------------------- */

static void profile_end(ngx_wagw_call_t *call, cJSON *data)
{
    char text[WAGW_JID_TEXT_MAX];
    wagw_jid_t jid;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    wagw_client_info_t info;
    ngx_wagw_instance_t *in = ngx_wagw_call_instance(call);

    if (in) {
        wagw_client_info(in->client, &info);
    }

    if (in == NULL || !info.linked) {
        ngx_wagw_call_fail(call, 409, "INSTANCE_NOT_CONNECTED", "Instance not found or not connected", WAGW_STR_NULL);
        return;
    }

    jid = wagw_jid_user(&info.jid);
    wagw_jid_text(&jid, text);
    wagw_json_open(&j, '{');
    wagw_json_kcstr(&j, "id", text);
    wagw_json_kstr(&j, "name", info.push_name);
    wagw_json_kcstr(&j, "phone", jid.user);
    wagw_json_kcstr(&j, "profilePicture", cJSON_GetStringValue(member(data, "pictureUrl")));
    wagw_json_kcstr(&j, "status", cJSON_GetStringValue(member(data, "about")));
    wagw_json_kstr(&j, "platform", info.platform);

    if (wagw_jid_empty(&info.lid)) {
        wagw_json_knull(&j, "lid");

    } else {
        jid = wagw_jid_user(&info.lid);
        wagw_jid_text(&jid, text);
        wagw_json_kcstr(&j, "lid", text);
    }

    /* the phone's app says so itself: smba, smbi */
    wagw_json_kbool(&j, "isBusiness", info.business_name.n != 0 || wagw_str_starts(info.platform, WAGW_STR("smb")));
    wagw_json_close(&j);
    ngx_wagw_call_data(call, 200, &b, NULL);
}

NGX_WAGW_HANDLER(profile_get)
{
    steps_t *s;

    cJSON_AddTrueToObject(call->params, "_self");
    s = steps_make(call, profile_end);

    if (s) {
        steps_add(s, WAGW_CMD_ABOUT);
        steps_add(s, WAGW_CMD_PICTURE);
        steps_ask(call);
    }
}

static void status_reply(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    if (r->status != 200) {
        ngx_wagw_call_result(call, r);
        return;
    }

    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "status", ngx_wagw_param_str(call, "status"));
    wagw_json_close(&j);
    ngx_wagw_call_data(call, 200, &b, r->message);
}

NGX_WAGW_HANDLER(profile_status)
{
    call->reply = status_reply;
    ngx_wagw_call_command(call, WAGW_CMD_ABOUT_SET);
}

/* ---- setting a picture, own or a group's ---------------------------------------------- */

static void picture_set_reply(ngx_wagw_call_t *call, const wagw_result_t *r)
{
    ngx_uint_t group = ngx_wagw_param_str(call, "groupId").n != 0;
    ngx_uint_t gone = ngx_wagw_param_str(call, "_picture").n == 0;
    wagw_result_t own = *r;

    if (group && r->status == 404) {
        own.code = "GROUP_NOT_FOUND";
        own.error = "Group not found";
    } else if (r->status == 200) {
        own.message = group  ? gone ? "Group picture deleted successfully" : "Group picture updated successfully"
                      : gone ? "Profile picture deleted successfully"
                             : "Profile picture updated successfully";
    }

    ngx_wagw_call_result(call, &own);
}

static void picture_squared(ngx_wagw_media_t *m)
{
    wagw_buf_t b = {0};

    if (m->status) {
        ngx_wagw_media_answer(m);
        return;
    }

    if (wagw_base64_encode(&b, wagw_buf_view(&m->thumbnail)) != WAGW_OK || wagw_buf_u8(&b, 0) != WAGW_OK) {
        wagw_buf_free(&b);
        ngx_wagw_call_fail(m->call, 500, "INTERNAL", "Out of memory", WAGW_STR_NULL);
        return;
    }

    ngx_wagw_param_set(m->call, "_picture", (char *)b.p);
    wagw_buf_free(&b);
    (*(picture_then_pt *)m->call->data)(m->call);
}

static void picture_ingested(ngx_wagw_media_t *m)
{
    if (m->status == 0 && strcmp(m->facts.suffix, "jpg") != 0 && strcmp(m->facts.suffix, "png") != 0) {
        ngx_wagw_media_fail(m, 415, "UNSUPPORTED_MEDIA", "A picture must be JPEG or PNG");
    }

    if (m->status) {
        ngx_wagw_media_answer(m);
        return;
    }

    ngx_wagw_media_run(m, ngx_wagw_media_square, picture_squared);
}

void ngx_wagw_call_square(ngx_wagw_call_t *call, const char *field, void (*then)(ngx_wagw_call_t *call))
{
    picture_then_pt *p = ngx_wagw_call_ctx(call, sizeof(*p));

    if (p) {
        *p = then;
        cJSON_DeleteItemFromObjectCaseSensitive(call->params, "_picture");
        ngx_wagw_media_begin(call, "image", field, NGX_WAGW_MEDIA_SEND, NULL, picture_ingested);
    }
}

static void picture_set(ngx_wagw_call_t *call)
{
    call->reply = picture_set_reply;
    ngx_wagw_call_command(call, WAGW_CMD_PICTURE_SET);
}

static void picture_put(ngx_wagw_call_t *call)
{
    ngx_wagw_call_square(call, NULL, picture_set);
}

static void picture_delete(ngx_wagw_call_t *call)
{
    cJSON_DeleteItemFromObjectCaseSensitive(call->params, "_picture");
    picture_set(call);
}

NGX_WAGW_HANDLER(profile_picture)
{
    cJSON_DeleteItemFromObjectCaseSensitive(call->params, "groupId");
    picture_put(call);
}

NGX_WAGW_HANDLER(profile_picture_delete)
{
    cJSON_DeleteItemFromObjectCaseSensitive(call->params, "groupId");
    picture_delete(call);
}

NGX_WAGW_HANDLER(group_picture)
{
    ngx_wagw_param_set(call, "chatId", cJSON_GetStringValue(ngx_wagw_param(call, "groupId")));
    ngx_wagw_call_picture(call);
}

NGX_WAGW_HANDLER(group_picture_put)
{
    picture_put(call);
}

NGX_WAGW_HANDLER(group_picture_delete)
{
    picture_delete(call);
}

/* ---- privacy ---------------------------------------------------------------------------- */

static void data_end(ngx_wagw_call_t *call, cJSON *data)
{
    char *text = cJSON_PrintUnformatted(data);

    ngx_wagw_call_ok(call, 200, text ? wagw_cstr(text) : WAGW_STR("{}"), NULL, WAGW_STR_NULL);
    cJSON_free(text);
}

static void privacy_read(ngx_wagw_call_t *call)
{
    steps_t *s = call->data;

    steps_add(s, WAGW_CMD_PRIVACY);
    steps_add(s, WAGW_CMD_DISAPPEARING);
    steps_ask(call);
}

NGX_WAGW_HANDLER(privacy_get)
{
    steps_t *s = steps_make(call, data_end);

    if (s) {
        privacy_read(call);
    }
}

NGX_WAGW_HANDLER(privacy_put)
{
    int64_t seconds = ngx_wagw_param_int(call, "defaultDisappearing", 0);
    steps_t *s;
    const cJSON *v;
    const ngx_wagw_field_t *f;

    if (!ngx_wagw_call_timer(call, "defaultDisappearing", seconds)) {
        return;
    }

    s = steps_make(call, data_end);
    if (s == NULL) {
        return;
    }

    s->given = cJSON_Duplicate(call->params, 1);

    for (f = call->route->fields; f->name; f++) {
        v = cJSON_GetObjectItemCaseSensitive(s->given, f->name);

        if (v && s->n < STEPS_MAX - 2) {
            s->step[s->n].name = f->name;
            s->step[s->n].value = v;
            s->step[s->n++].cmd = WAGW_CMD_PRIVACY_SET;
        }
    }

    if (s->n == 0) {
        ngx_wagw_call_invalid(call, "lastSeen", "at least one setting is required");
        return;
    }

    privacy_read(call);
}

/* ---- links, business ----------------------------------------------------------------------- */

NGX_WAGW_HANDLER(profile_qr_link)
{
    ngx_wagw_call_command(call, WAGW_CMD_QR_LINK);
}

NGX_WAGW_HANDLER(business_get)
{
    ngx_wagw_call_command(call, WAGW_CMD_BUSINESS);
}

static const char *hours_wrong(const cJSON *hours)
{
    static const char *const days[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    ngx_uint_t i;
    const char *day, *mode;
    const cJSON *d, *open, *close, *list = member(hours, "days");

    if (hours == NULL) {
        return NULL;
    }

    if (!cJSON_IsString(member(hours, "timezone")) || !cJSON_IsArray(list) || cJSON_GetArraySize(list) > 28) {
        return "{timezone, days: [{day, mode, openTimeInMinutes, closeTimeInMinutes}]}";
    }

    cJSON_ArrayForEach(d, list)
    {
        day = cJSON_GetStringValue(member(d, "day"));
        mode = cJSON_GetStringValue(member(d, "mode"));

        for (i = 0; day && i < 7 && ngx_strcmp(day, days[i]) != 0; i++) { /* void */
        }

        if (day == NULL || i == 7) {
            return "day: mon, tue, wed, thu, fri, sat, sun";
        }

        if (mode == NULL || (ngx_strcmp(mode, "specific_hours") != 0 && ngx_strcmp(mode, "open_24h") != 0 &&
                             ngx_strcmp(mode, "appointment_only") != 0)) {
            return "mode: specific_hours, open_24h, appointment_only";
        }

        open = member(d, "openTimeInMinutes");
        close = member(d, "closeTimeInMinutes");

        if (ngx_strcmp(mode, "specific_hours") == 0 &&
            (!cJSON_IsNumber(open) || !cJSON_IsNumber(close) || open->valuedouble < 0 || open->valuedouble > 1440 ||
             close->valuedouble < 0 || close->valuedouble > 1440)) {
            return "openTimeInMinutes and closeTimeInMinutes: 0 to 1440";
        }
    }

    return NULL;
}

NGX_WAGW_HANDLER(business_put)
{
    const char *wrong = hours_wrong(ngx_wagw_param(call, "hours"));
    const ngx_wagw_field_t *f;

    if (wrong) {
        ngx_wagw_call_invalid(call, "hours", wrong);
        return;
    }

    for (f = call->route->fields; f->name && ngx_wagw_param(call, f->name) == NULL; f++) { /* void */
    }

    if (f->name == NULL) {
        ngx_wagw_call_invalid(call, "description", "at least one of the fields is required");
        return;
    }

    ngx_wagw_call_command(call, WAGW_CMD_BUSINESS_SET);
}
