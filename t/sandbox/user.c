/*
 * Admin calls about mock phones and mock users.
 */

#include "group.h"

#include "../../core/message/message.h"

#include <stdio.h>
#include <stdlib.h>

static bool sbx_text_has(const wagw_buf_t *b, const char *needle)
{
    return needle == NULL || (b->n != 0 && memmem(b->p, b->n, needle, strlen(needle)) != NULL);
}

static bool sbx_chat_is(const char *chat, const char *want)
{
    sbx_account_t *a;

    if (want == NULL || strcmp(chat, want) == 0) {
        return true;
    }
    a = sbx_account_find(want);
    return a != NULL && a == sbx_account_find(chat);
}

int sbx_admin_inbox(sbx_req_t *r)
{
    int n, good;
    char b1[64], b2[64], b3[64], b4[64];
    const char *phone, *id, *chat, *contains;
    sbx_inbox_t *e;
    sbx_account_t *a;

    phone = sbx_arg(r, "phone", b1);
    id = sbx_arg(r, "id", b2);
    chat = sbx_arg(r, "chat", b3);
    contains = sbx_arg(r, "contains", b4);
    a = sbx_account_find(phone);
    if (a == NULL) {
        return sbx_error(r, phone ? 404 : 400, phone ? "no account %s" : "phone is missing%s", phone ? phone : "");
    }

    sbx_phone_read(a);

    wagw_json_open(&r->j, '[');
    for (n = 0, good = 0, e = a->inbox; e != NULL; e = e->next) {
        if ((id != NULL && strcmp(e->id, id) != 0) || !sbx_chat_is(e->chat, chat) ||
            !sbx_text_has(&e->message, contains)) {
            continue;
        }
        n++;
        good += e->error == NULL;
        wagw_json_open(&r->j, '{');
        wagw_json_kcstr(&r->j, "id", e->id);
        wagw_json_kcstr(&r->j, "chat", e->chat);
        wagw_json_kcstr(&r->j, "from", e->from);
        wagw_json_kbool(&r->j, "fromMe", e->from_me);
        wagw_json_kint(&r->j, "t", e->t);
        wagw_json_kint(&r->j, "retries", e->retries);
        if (e->message.n != 0) {
            wagw_json_kraw(&r->j, "message", wagw_buf_view(&e->message));
        } else {
            wagw_json_knull(&r->j, "message");
        }
        if (e->error != NULL) {
            wagw_json_kcstr(&r->j, "error", e->error);
        }
        wagw_json_close(&r->j);
    }
    wagw_json_close(&r->j);

    if (good == 0 && sbx_wait(r, sbx_arg_int(r, "wait", 0))) {
        return SBX_WAIT;
    }
    (void)n;
    return 200;
}

static void sbx_account_json(wagw_json_t *j, const sbx_account_t *a)
{
    char text[WAGW_JID_TEXT_MAX];
    wagw_jid_t jid;

    wagw_json_open(j, '{');
    jid = sbx_account_jid_of(a, false);
    wagw_jid_text(&jid, text);
    wagw_json_kcstr(j, "jid", text);
    jid = sbx_account_jid_of(a, true);
    wagw_jid_text(&jid, text);
    wagw_json_kcstr(j, "lid", text);
    wagw_json_kcstr(j, "phone", a->pn);
    wagw_json_kcstr(j, "name", a->name);
    wagw_json_kbool(j, "mockUser", a->mock_user);
    wagw_json_kbool(j, "autoReceipt", a->auto_receipt);
    wagw_json_kbool(j, "autoRead", a->auto_read);
    wagw_json_kbool(j, "echo", a->echo);
    wagw_json_kbool(j, "eager", a->eager);
    wagw_json_kbool(j, "shareKeys", !a->keeps_keys);
    wagw_json_kbool(j, "historySync", !a->keeps_history);
    if (a->business[0]) {
        wagw_json_kcstr(j, "business", a->business);
    }
    wagw_json_close(j);
}

static void sbx_account_options(sbx_req_t *r, sbx_account_t *a)
{
    char buf[64];
    const char *business = sbx_arg(r, "business", buf);

    a->auto_receipt = sbx_arg_bool(r, "autoReceipt", a->auto_receipt);
    a->auto_read = sbx_arg_bool(r, "autoRead", a->auto_read);
    a->echo = sbx_arg_bool(r, "echo", a->echo);
    a->eager = sbx_arg_bool(r, "eager", a->eager);
    sbx_status_options(a, sbx_arg_json(r, "statusPrivacy"));
    a->keeps_keys = !sbx_arg_bool(r, "shareKeys", !a->keeps_keys);
    a->keeps_history = !sbx_arg_bool(r, "historySync", !a->keeps_history);
    if (business != NULL) {
        snprintf(a->business, sizeof(a->business), "%s", business);
    }
}

static bool sbx_is_number(const char *phone)
{
    return strlen(phone) >= 7 && strlen(phone) <= 15 && strspn(phone, "0123456789") == strlen(phone);
}

int sbx_admin_user(sbx_req_t *r)
{
    char b1[64], b2[64];
    const char *name, *phone;
    sbx_account_t *a;

    name = sbx_arg(r, "name", b1);
    phone = sbx_arg(r, "phone", b2);
    if (phone != NULL && *phone == '+') {
        phone++;
    }
    if ((name == NULL || *name == '\0') && phone == NULL) {
        return sbx_error(r, 400, "name or phone is needed");
    }
    if (phone != NULL && !sbx_is_number(phone)) {
        return sbx_error(r, 400, "phone: 7 to 15 digits");
    }

    a = sbx_account_make(phone, name);
    if (a->devices->next == NULL && !a->mock_user) {
        a->mock_user = true;
        a->eager = true; /* somebody reads: what is damaged is asked for again */
    }
    sbx_account_options(r, a);
    sbx_account_json(&r->j, a);
    return 200;
}

int sbx_admin_phone_options(sbx_req_t *r)
{
    char buf[64];
    const char *phone;
    sbx_account_t *a;

    phone = sbx_arg(r, "phone", buf);
    a = sbx_account_find(phone);
    if (a == NULL && phone != NULL && sbx_is_number(phone)) {
        a = sbx_account_make(phone, NULL); /* before its first companion is linked */
    }
    if (a == NULL) {
        return sbx_error(r, phone ? 404 : 400, phone ? "no such account" : "phone is needed");
    }
    sbx_account_options(r, a);
    if (a->eager) {
        sbx_phone_read(a);
    }
    sbx_account_json(&r->j, a);
    return 200;
}

int sbx_admin_phone_events(sbx_req_t *r)
{
    char buf[64], *text;
    sbx_account_t *a;

    a = sbx_account_find(sbx_arg(r, "phone", buf));
    if (a == NULL) {
        return sbx_error(r, 404, "no such account");
    }
    sbx_phone_read(a);
    text = a->events ? cJSON_PrintUnformatted(a->events) : NULL;
    wagw_json_raw(&r->j, text ? wagw_cstr(text) : WAGW_STR("[]"));
    free(text);
    return 200;
}

/* Both ends of a call; 0, or the status after an error was written. */
static int sbx_user_ends(sbx_req_t *r, sbx_account_t **from, sbx_account_t **to, bool *lid)
{
    char b1[64], b2[64], b3[64];
    const char *f, *t, *form;

    f = sbx_arg(r, "from", b1);
    t = sbx_arg(r, "to", b2);
    if (f == NULL || t == NULL) {
        return sbx_error(r, 400, "from and to are needed");
    }
    *from = sbx_account_find(f);
    *to = sbx_account_find(t);
    if (*from == NULL || *to == NULL) {
        return sbx_error(r, 404, "no account %s", *from == NULL ? f : t);
    }
    form = sbx_arg(r, "addressing", b3);
    *lid = form ? strcmp(form, "pn") != 0 : strstr(t, "@s.whatsapp.net") == NULL;
    return 0;
}

/* `to` names a group: its members are who is written to. */
static sbx_group_t *sbx_user_group(sbx_req_t *r, sbx_account_t **from)
{
    char b1[64], b2[64];
    const char *to;

    to = sbx_arg(r, "to", b2);
    *from = sbx_account_find(sbx_arg(r, "from", b1));
    return to != NULL && strstr(to, "@g.us") != NULL && *from != NULL ? sbx_group_find(to) : NULL;
}

/* `to` is status@broadcast or a broadcast list: its text, or NULL. */
static const char *sbx_user_broadcast(sbx_req_t *r, char buf[64], sbx_account_t **from)
{
    char b[64];
    wagw_jid_t jid;
    const char *to;

    to = sbx_arg(r, "to", buf);
    if (to == NULL || strstr(to, "@broadcast") == NULL || wagw_jid_parse(&jid, wagw_cstr(to)) != WAGW_OK) {
        return NULL;
    }
    *from = sbx_account_find(sbx_arg(r, "from", b));
    return *from != NULL ? to : NULL;
}

int sbx_admin_user_send(sbx_req_t *r)
{
    int rc, status;
    bool lid;
    char id[64], buf[64], b2[64], b3[64];
    cJSON *made;
    wagw_buf_t message = {0};
    const char *field, *list, *form;
    const cJSON *json, *text;
    sbx_group_t *group;
    sbx_account_t *from, *to;
    sbx_send_how_t how;

    group = sbx_user_group(r, &from);
    list = sbx_user_broadcast(r, b2, &from);
    to = NULL;
    form = sbx_arg(r, "addressing", b3);
    lid = group != NULL ? group->lid : form == NULL || strcmp(form, "pn") != 0;
    status = group || list ? 0 : sbx_user_ends(r, &from, &to, &lid);
    if (status != 0) {
        return status;
    }

    made = NULL;
    json = sbx_arg_json(r, "message");
    text = sbx_arg_json(r, "text");
    if (json == NULL && cJSON_IsString(text)) {
        made = cJSON_CreateObject();
        cJSON_AddStringToObject(made, "conversation", text->valuestring);
        json = made;
    }
    if (!cJSON_IsObject(json)) {
        return sbx_error(r, 400, "text or message is needed");
    }

    field = NULL;
    rc = wagw_message_from_json(&message, json, &field);
    cJSON_Delete(made);
    if (rc != WAGW_OK) {
        wagw_buf_free(&message);
        return sbx_error(r, 400, "message: %s cannot be encoded", field ? field : "it");
    }

    memset(&how, 0, sizeof(how));
    how.id = sbx_arg(r, "id", buf);
    how.lid = lid;
    how.bad_enc = sbx_arg_bool(r, "badEnc", false);
    if (list != NULL) {
        rc = sbx_status_send(from, list, sbx_arg_json(r, "audience"), wagw_buf_view(&message), &how, id);
    } else if (group != NULL) {
        rc = sbx_group_phone_send(from, group, wagw_buf_view(&message), &how, id);
    } else {
        rc = sbx_phone_send(from, to, wagw_buf_view(&message), &how, id);
    }
    wagw_buf_free(&message);
    if (rc == WAGW_STATE) {
        return sbx_error(r, 409, "%s may not write to the group", from->name);
    }
    if (rc != WAGW_OK) {
        return sbx_error(r, 500, "the message cannot be sent: %s", wagw_rc_name(rc));
    }

    wagw_json_open(&r->j, '{');
    wagw_json_kcstr(&r->j, "id", id);
    wagw_json_close(&r->j);
    return 200;
}

/* The address form in which a message with this id arrived. */
static bool sbx_user_arrived(sbx_account_t *a, const char *id, bool otherwise)
{
    wagw_jid_t jid;
    sbx_inbox_t *e;

    for (e = a->inbox; e != NULL; e = e->next) {
        if (strcmp(e->id, id) == 0 && wagw_jid_parse(&jid, wagw_cstr(e->from)) == WAGW_OK) {
            return wagw_jid_is_lid(&jid);
        }
    }
    return otherwise;
}

int sbx_admin_user_receipt(sbx_req_t *r)
{
    int i, status;
    bool lid;
    char b1[64], b2[64], b3[64], b4[64];
    wagw_jid_t jid;
    wagw_node_t *n, *list;
    wagw_arena_t a = {0};
    const char *type, *id, *chat;
    const cJSON *ids, *item;
    sbx_group_t *group;
    sbx_account_t *from, *to;

    group = sbx_user_group(r, &from);
    chat = sbx_user_broadcast(r, b4, &from);
    to = NULL;
    lid = group != NULL && group->lid;
    status = group || chat ? 0 : sbx_user_ends(r, &from, &to, &lid);
    if (status != 0) {
        return status;
    }
    id = sbx_arg(r, "id", b1);
    ids = sbx_arg_json(r, "ids");
    if (id == NULL && cJSON_IsString(cJSON_GetArrayItem(ids, 0))) {
        id = cJSON_GetArrayItem(ids, 0)->valuestring;
    }
    if (id == NULL) {
        return sbx_error(r, 400, "id or ids is needed");
    }

    sbx_phone_read(from);
    n = wagw_node(&a, "receipt");
    wagw_node_attr(&a, n, "id", wagw_cstr(id));
    if (group != NULL || chat != NULL) {
        if (group != NULL) {
            jid = sbx_group_jid(group);
        } else {
            wagw_jid_parse(&jid, wagw_cstr(chat));
        }
        wagw_node_attr_jid(&a, n, "to", &jid);
        to = sbx_account_find(sbx_arg(r, "participant", b3));
        if (to == NULL) {
            wagw_arena_free(&a);
            return sbx_error(r, 404, "participant: the author of the message");
        }
        jid = sbx_account_jid_of(to, group ? group->lid : sbx_user_arrived(from, id, true));
        wagw_node_attr_jid(&a, n, "participant", &jid);
    } else {
        lid = sbx_user_arrived(from, id, lid);
        jid = sbx_account_jid_of(to, lid);
        wagw_node_attr_jid(&a, n, "to", &jid);
    }
    type = sbx_arg(r, "type", b2);
    if (type != NULL && *type != '\0' && strcmp(type, "delivery") != 0 && strcmp(type, "delivered") != 0) {
        wagw_node_attr(&a, n, "type", wagw_cstr(type));
    }
    list = NULL;
    i = 0;
    cJSON_ArrayForEach(item, ids)
    {
        if (cJSON_IsString(item) && strcmp(item->valuestring, id) != 0 && i++ < 1000) {
            list = list ? list : wagw_node_child(&a, n, "list");
            wagw_node_attr(&a, wagw_node_child(&a, list, "item"), "id", wagw_cstr(item->valuestring));
        }
    }
    sbx_relay_receipt(sbx_phone(from), n);
    wagw_arena_free(&a);

    wagw_json_open(&r->j, '{');
    wagw_json_kbool(&r->j, "ok", true);
    wagw_json_close(&r->j);
    return 200;
}

int sbx_admin_identity_change(sbx_req_t *r)
{
    char b1[64], b2[64], b3[64];
    const char *who;
    sbx_account_t *a;

    who = sbx_arg(r, "from", b1);
    who = who ? who : sbx_arg(r, "phone", b2);
    who = who ? who : sbx_arg(r, "name", b3);
    a = sbx_account_find(who);
    if (a == NULL) {
        return sbx_error(r, who ? 404 : 400, who ? "no account %s" : "from is needed%s", who ? who : "");
    }
    sbx_account_register(a);
    sbx_account_json(&r->j, a);
    return 200;
}
