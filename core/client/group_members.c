/*
 * Commands about groups that change who is in and what they may (contract 3.6;
 * 09 sections 1 and 5).
 */

#include "group_i.h"
#include "app_i.h"

/* ---- participants -------------------------------------------------------------------- */

int wagw_group_name_members(wagw_turn_t *t, wagw_node_t *n, const cJSON *names, const wagw_group_t *g,
                            wagw_group_as_t as)
{
    int rc, again = WAGW_OK;
    wagw_jid_t jid, twin;
    wagw_str_t token;
    wagw_node_t *p;
    const cJSON *name;

    cJSON_ArrayForEach(name, names)
    {
        if (!cJSON_IsString(name) || wagw_jid_from_caller(&jid, wagw_cstr(name->valuestring)) != WAGW_OK) {
            continue;
        }
        jid = wagw_jid_user(&jid);
        if (as == WAGW_GROUP_AS_LISTED) {
            rc = wagw_lid_in(t, &jid, g->fetched_ms ? g->lid : wagw_jid_is_lid(&jid), &jid);
            if (rc == WAGW_AGAIN) {
                again = rc;
                continue;
            }
            WAGW_TRY(rc);
        }
        p = wagw_node_child(&t->arena, n, "participant");
        wagw_node_attr_jid(&t->arena, p, "jid", &jid);
        if (as == WAGW_GROUP_AS_LISTED) {
            continue;
        }
        if (wagw_jid_is_lid(&jid)) {
            rc = wagw_lid_in(t, &jid, false, &twin);
            if (rc == WAGW_OK && wagw_jid_is_pn(&twin)) {
                wagw_node_attr_jid(&t->arena, p, "phone_number", &twin);
            } else if (rc == WAGW_AGAIN) {
                again = rc;
            } else {
                WAGW_TRY(rc);
            }
        }
        rc = wagw_token_get(t, &jid, &token);
        if (rc == WAGW_AGAIN) {
            again = rc;
            continue;
        }
        WAGW_TRY(rc);
        if (token.n) {
            wagw_node_bytes(wagw_node_child(&t->arena, p, "privacy"), token);
        }
    }
    return again;
}

static int results_reply(wagw_turn_t *t, uint64_t command, const wagw_node_t *answers, const char *message)
{
    int rc;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    rc = wagw_group_results(t, &j, cJSON_GetObjectItemCaseSensitive(t->asked, "participants"), answers);
    if (rc != WAGW_OK) {
        wagw_buf_free(&b);
        return rc;
    }
    return wagw_group_ok(t, command, 200, &b, message);
}

static int members_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    wagw_jid_t id;
    const char *action = (const char *)wagw_param_str(t->asked, "action").p;
    const wagw_node_t *answers = action ? wagw_node_find(node, action) : NULL;

    if (!wagw_iq_ok(node) || answers == NULL) {
        return wagw_group_failed(t, command, node);
    }
    if (wagw_jid_parse(&id, wagw_param_str(t->asked, "groupId")) == WAGW_OK) {
        WAGW_TRY(wagw_group_applied(t, &id, answers));
    }
    return results_reply(t, command, answers, NULL);
}

int wagw_group_members_command(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    bool add = wagw_str_is(wagw_param_str(params, "action"), "add");
    wagw_jid_t id;
    wagw_group_t g;
    wagw_node_t *iq, *k;
    wagw_str_t action = wagw_arena_str(&t->arena, wagw_param_str(params, "action"));

    WAGW_TRY(wagw_group_param(t, command, params, &id));
    if (wagw_jid_empty(&id) || action.p == NULL) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_group_get(t, &id, &g));
    iq = wagw_group_iq(t, "set", &id, (const char *)action.p, &k);
    WAGW_TRY(wagw_group_name_members(t, k, cJSON_GetObjectItemCaseSensitive(params, "participants"), &g,
                                     add ? WAGW_GROUP_AS_GIVEN : WAGW_GROUP_AS_LISTED));
    return wagw_iq_send_params(t, iq, members_answer, command, params);
}

/* ---- join requests --------------------------------------------------------------------- */

static int requests_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    int rc, again = WAGW_OK;
    uint64_t at;
    wagw_jid_t jid, alt;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    wagw_group_person_t who;
    const wagw_node_t *list = wagw_node_find(node, "membership_approval_requests"), *r;

    if (!wagw_iq_ok(node) || list == NULL) {
        return wagw_group_failed(t, command, node);
    }
    wagw_json_open(&j, '[');
    for (r = wagw_node_find(list, "membership_approval_request"); r;
         r = wagw_node_find_next(r, "membership_approval_request")) {
        if (wagw_node_get_jid(r, "jid", &jid) != WAGW_OK || !wagw_jid_is_person(&jid)) {
            continue;
        }
        rc = wagw_node_get_jid(r, "phone_number", &alt) == WAGW_OK ? wagw_lid_learn(t, &jid, &alt, NULL) : WAGW_OK;
        rc = rc == WAGW_OK ? wagw_group_person(t, &jid, &who) : rc;
        if (rc == WAGW_AGAIN) {
            again = rc;
            continue;
        }
        if (rc != WAGW_OK) {
            wagw_buf_free(&b);
            return rc;
        }
        wagw_json_open(&j, '{');
        wagw_json_kstr(&j, "jid", wagw_jid_str(&t->arena, &who.jid));
        wagw_group_person_json(t, &j, &who);
        wagw_json_kiso(&j, "requestedAt",
                       wagw_node_get_u64(r, "request_time", &at) == WAGW_OK && at < (1ull << 40) ? (int64_t)at * 1000
                                                                                                 : 0);
        wagw_json_kstr(&j, "via", wagw_node_get(r, "request_method"));
        wagw_json_close(&j);
    }
    wagw_json_close(&j);
    if (again != WAGW_OK) {
        wagw_buf_free(&b);
        return again;
    }
    return wagw_group_ok(t, command, 200, &b, NULL);
}

int wagw_group_requests_command(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    wagw_jid_t id;
    wagw_node_t *k;

    WAGW_TRY(wagw_group_param(t, command, params, &id));
    if (wagw_jid_empty(&id)) {
        return WAGW_OK;
    }
    return wagw_iq_send_for(t, wagw_group_iq(t, "get", &id, "membership_approval_requests", &k), requests_answer,
                            command);
}

static int decide_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    bool approve = wagw_param_bool(t->asked, "approve", false);
    const wagw_node_t *n = wagw_node_find(node, "membership_requests_action");

    n = wagw_node_find(n, approve ? "approve" : "reject");
    if (!wagw_iq_ok(node) || n == NULL) {
        return wagw_group_failed(t, command, node);
    }
    return results_reply(t, command, n, NULL); /* who came in is told by a notification */
}

int wagw_group_decide_command(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    wagw_jid_t id;
    wagw_group_t g;
    wagw_node_t *iq, *k;

    WAGW_TRY(wagw_group_param(t, command, params, &id));
    if (wagw_jid_empty(&id)) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_group_get(t, &id, &g));
    iq = wagw_group_iq(t, "set", &id, "membership_requests_action", &k);
    k = wagw_node_child(&t->arena, k, wagw_param_bool(params, "approve", false) ? "approve" : "reject");
    WAGW_TRY(wagw_group_name_members(t, k, cJSON_GetObjectItemCaseSensitive(params, "participants"), &g,
                                     WAGW_GROUP_AS_LISTED));
    return wagw_iq_send_params(t, iq, decide_answer, command, params);
}

/* ---- leaving, and ending a group ------------------------------------------------------------ */

static int leave_send(wagw_turn_t *t, uint64_t command, const cJSON *params, const wagw_jid_t *id);

static int leave_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    uint64_t code = 0;
    wagw_jid_t id;
    wagw_node_t *own, *p;
    wagw_jid_t me = wagw_jid_user(&wagw_turn_me(t)->jid), lid = wagw_jid_user(&wagw_turn_me(t)->lid);
    const wagw_node_t *g = wagw_node_find(wagw_node_find(node, "leave"), "group");

    if (!wagw_iq_ok(node)) {
        return wagw_group_failed(t, command, node);
    }
    if (wagw_node_get_u64(g, "error", &code) == WAGW_OK && code >= 400) {
        return code == 404 ? wagw_turn_fail(t, command, 404, "GROUP_NOT_FOUND", "Group not found")
                           : wagw_turn_fail(t, command, 403, "WA_FORBIDDEN", "WhatsApp refused this");
    }
    if (wagw_jid_parse(&id, wagw_param_str(t->asked, "groupId")) == WAGW_OK) {
        own = wagw_node(&t->arena, "remove");
        p = wagw_node_child(&t->arena, own, "participant");
        wagw_node_attr_jid(&t->arena, p, "jid", wagw_jid_empty(&lid) ? &me : &lid);
        if (!wagw_jid_empty(&lid)) {
            wagw_node_attr_jid(&t->arena, p, "phone_number", &me);
        }
        WAGW_TRY(own ? wagw_group_applied(t, &id, own) : WAGW_NOMEM);
        if (wagw_param_bool(t->asked, "_end", false)) {
            WAGW_TRY(wagw_group_forget(t, &id));
            WAGW_TRY(wagw_app_clear(t, wagw_jid_str(&t->arena, &id), t->now, false));
            WAGW_TRY(wagw_txn_del(&t->txn, WAGW_REC_CHAT, wagw_jid_str(&t->arena, &id)));
        }
    }
    return wagw_group_ok(t, command, 200, NULL,
                         wagw_param_bool(t->asked, "_end", false) ? "Group deleted successfully"
                                                                  : "Left group successfully");
}

static int leave_send(wagw_turn_t *t, uint64_t command, const cJSON *params, const wagw_jid_t *id)
{
    wagw_node_t *iq, *k;

    iq = wagw_group_iq(t, "set", NULL, "leave", &k);
    k = wagw_node_child(&t->arena, k, "group");
    wagw_node_attr(&t->arena, k, "id", wagw_jid_str(&t->arena, id));
    return wagw_iq_send_params(t, iq, leave_answer, command, params);
}

static int emptied(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    wagw_jid_t id;
    const wagw_node_t *answers = wagw_node_find(node, "remove");

    if (!wagw_iq_ok(node) || answers == NULL || wagw_jid_parse(&id, wagw_param_str(t->asked, "groupId")) != WAGW_OK) {
        return wagw_group_failed(t, command, node);
    }
    WAGW_TRY(wagw_group_applied(t, &id, answers));
    return leave_send(t, command, t->asked, &id);
}

/* The members as they are now: everybody but us goes first. */
static int end_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    size_t others = 0;
    bool owner = false;
    wagw_jid_t id;
    wagw_group_t g;
    wagw_node_t *iq, *k;

    if (!wagw_iq_ok(node)) {
        return wagw_group_failed(t, command, node);
    }
    WAGW_TRY(wagw_group_store(t, wagw_node_find(node, "group"), &id, &g));
    if (wagw_jid_empty(&id)) {
        return wagw_group_failed(t, command, node);
    }
    iq = wagw_group_iq(t, "set", &id, "remove", &k);
    for (size_t i = 0; i < g.n; i++) {
        if (wagw_is_me(t->c, &g.members[i])) {
            owner = g.roles[i] == 2;
            continue;
        }
        wagw_node_attr_jid(&t->arena, wagw_node_child(&t->arena, k, "participant"), "jid", &g.members[i]);
        others++;
    }
    if (!owner) {
        return wagw_turn_fail(t, command, 403, "WA_FORBIDDEN", "Only its owner can delete a group");
    }
    return others ? wagw_iq_send_params(t, iq, emptied, command, t->asked) : leave_send(t, command, t->asked, &id);
}

int wagw_group_leave_command(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    wagw_jid_t id;

    WAGW_TRY(wagw_group_param(t, command, params, &id));
    if (wagw_jid_empty(&id)) {
        return WAGW_OK;
    }
    return wagw_param_bool(params, "_end", false) ? wagw_group_query_for(t, &id, end_answer, command, params)
                                                  : leave_send(t, command, params, &id);
}

/* ---- settings: one request each ---------------------------------------------------------------- */

typedef enum { SETTING_FLAG, SETTING_TIMER, SETTING_ADD, SETTING_APPROVAL } setting_kind_t;

static const struct {
    const char *name;
    setting_kind_t kind;
    const char *on, *off; /* tags of a flag */
} settings[] = {
    {"announcement", SETTING_FLAG, "announcement", "not_announcement"},
    {"locked", SETTING_FLAG, "locked", "unlocked"},
    {"ephemeral", SETTING_TIMER, "ephemeral", "not_ephemeral"},
    {"memberAddMode", SETTING_ADD, "member_add_mode", NULL},
    {"joinApproval", SETTING_APPROVAL, "membership_approval_mode", NULL},
};

#define NSETTINGS (sizeof(settings) / sizeof(settings[0]))

/* The request of one setting; its child is the form that a notification has, too. */
static wagw_node_t *setting_node(wagw_turn_t *t, const wagw_jid_t *id, size_t i, const cJSON *params, wagw_node_t **k)
{
    int64_t seconds = wagw_param_int(params, settings[i].name, 0);
    bool on = settings[i].kind == SETTING_TIMER ? seconds > 0 : wagw_param_bool(params, settings[i].name, false);
    wagw_node_t *iq;

    iq = wagw_group_iq(t, "set", id, on || settings[i].off == NULL ? settings[i].on : settings[i].off, k);
    switch (settings[i].kind) {
    case SETTING_FLAG:
        break;
    case SETTING_TIMER:
        if (on) {
            wagw_node_attr_int(&t->arena, *k, "expiration", seconds);
        }
        break;
    case SETTING_ADD:
        wagw_node_bytes(*k, wagw_str_is(wagw_param_str(params, settings[i].name), "admin")
                                ? WAGW_STR("admin_add")
                                : WAGW_STR("all_member_add"));
        break;
    case SETTING_APPROVAL:
        wagw_node_attrc(&t->arena, wagw_node_child(&t->arena, *k, "group_join"), "state", on ? "on" : "off");
        break;
    }
    return iq;
}

static int settings_done(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    char *text;
    const cJSON *v;
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);

    wagw_json_open(&j, '{');
    for (size_t i = 0; i < NSETTINGS; i++) {
        v = cJSON_GetObjectItemCaseSensitive(params, settings[i].name);
        if (v && (text = cJSON_PrintUnformatted(v)) != NULL) {
            wagw_json_kraw(&j, settings[i].name, wagw_cstr(text));
            cJSON_free(text);
        }
    }
    wagw_json_close(&j);
    return wagw_group_ok(t, command, 200, &b, "Group settings updated successfully");
}

static int setting_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command);

/* The first setting from number `at` on that was asked for. */
static int settings_next(wagw_turn_t *t, uint64_t command, const cJSON *params, const wagw_jid_t *id, size_t at)
{
    int rc;
    cJSON *copy;
    wagw_node_t *iq, *k;

    while (at < NSETTINGS && cJSON_GetObjectItemCaseSensitive(params, settings[at].name) == NULL) {
        at++;
    }
    if (at == NSETTINGS) {
        return settings_done(t, command, params);
    }
    copy = cJSON_Duplicate(params, true);
    cJSON_DeleteItemFromObjectCaseSensitive(copy, "_at");
    cJSON_AddNumberToObject(copy, "_at", (double)at);
    iq = setting_node(t, id, at, params, &k);
    rc = copy ? wagw_iq_send_params(t, iq, setting_answer, command, copy) : WAGW_NOMEM;
    cJSON_Delete(copy);
    return rc;
}

static int setting_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    size_t at = (size_t)wagw_param_int(t->asked, "_at", NSETTINGS);
    wagw_jid_t id;
    wagw_node_t *k;

    if (!wagw_iq_ok(node) || at >= NSETTINGS || wagw_jid_parse(&id, wagw_param_str(t->asked, "groupId")) != WAGW_OK) {
        return wagw_group_failed(t, command, node);
    }
    if (setting_node(t, &id, at, t->asked, &k) == NULL) {
        return WAGW_NOMEM;
    }
    WAGW_TRY(wagw_group_applied(t, &id, k));
    return settings_next(t, command, t->asked, &id, at + 1);
}

int wagw_group_settings_command(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    wagw_jid_t id;

    WAGW_TRY(wagw_group_param(t, command, params, &id));
    return wagw_jid_empty(&id) ? WAGW_OK : settings_next(t, command, params, &id, 0);
}

/* ---- description: names the one it replaces -------------------------------------------------------- */

static int description_read(wagw_turn_t *t, const wagw_node_t *node, uint64_t command);

static int description_answer(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    int rc;
    cJSON *copy;
    wagw_jid_t id;
    wagw_node_t *k;
    wagw_str_t text = wagw_param_str(t->asked, "description");

    if (wagw_jid_parse(&id, wagw_param_str(t->asked, "groupId")) != WAGW_OK) {
        return wagw_group_failed(t, command, node);
    }
    if (node && wagw_iq_error(node, NULL) == 409 && !wagw_param_bool(t->asked, "_again", false)) {
        copy = cJSON_Duplicate(t->asked, true); /* somebody else was faster: once more over his */
        cJSON_AddTrueToObject(copy, "_again");
        rc = copy ? wagw_group_query_for(t, &id, description_read, command, copy) : WAGW_NOMEM;
        cJSON_Delete(copy);
        return rc;
    }
    if (!wagw_iq_ok(node)) {
        return wagw_group_failed(t, command, node);
    }
    k = wagw_node(&t->arena, "description");
    wagw_node_attr(&t->arena, k, "id", wagw_param_str(t->asked, "_descId"));
    if (text.n) {
        wagw_node_bytes(wagw_node_child(&t->arena, k, "body"), text);
    }
    WAGW_TRY(k ? wagw_group_applied(t, &id, k) : WAGW_NOMEM);
    return wagw_group_ok(t, command, 200, NULL, "Group description updated successfully");
}

static int description_read(wagw_turn_t *t, const wagw_node_t *node, uint64_t command)
{
    int rc;
    char fresh[68];
    uint8_t random[16];
    cJSON *copy;
    wagw_jid_t id;
    wagw_str_t text = wagw_param_str(t->asked, "description");
    wagw_group_t g;
    wagw_node_t *iq, *k;
    const wagw_creds_t *me = wagw_turn_me(t);

    if (!wagw_iq_ok(node)) {
        return wagw_group_failed(t, command, node);
    }
    WAGW_TRY(wagw_group_store(t, wagw_node_find(node, "group"), &id, &g));
    if (wagw_jid_empty(&id)) {
        return wagw_group_failed(t, command, node);
    }
    wagw_turn_random(t, random, sizeof(random));
    WAGW_TRY(wagw_message_id(fresh, t->now / 1000, wagw_str(me->jid.user, me->jid.user_len), random));
    copy = cJSON_Duplicate(t->asked, true);
    cJSON_DeleteItemFromObjectCaseSensitive(copy, "_descId");
    cJSON_AddStringToObject(copy, "_descId", fresh);

    iq = wagw_group_iq(t, "set", &id, "description", &k);
    if (text.n) {
        wagw_node_attr(&t->arena, k, "id", wagw_arena_str(&t->arena, wagw_cstr(fresh)));
        wagw_node_bytes(wagw_node_child(&t->arena, k, "body"), wagw_arena_str(&t->arena, text));
    } else {
        wagw_node_attrc(&t->arena, k, "delete", "true");
    }
    if (g.desc_id.n) {
        wagw_node_attr(&t->arena, k, "prev", g.desc_id);
    }
    rc = copy ? wagw_iq_send_params(t, iq, description_answer, command, copy) : WAGW_NOMEM;
    cJSON_Delete(copy);
    return rc;
}

int wagw_group_description(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    wagw_jid_t id;

    WAGW_TRY(wagw_group_param(t, command, params, &id));
    return wagw_jid_empty(&id) ? WAGW_OK : wagw_group_query_for(t, &id, description_read, command, params);
}
