/*
 * Admin calls about groups.
 */

#include "group.h"

#include <stdio.h>
#include <stdlib.h>

static void sbx_group_json_person(wagw_json_t *j, const char *key, const sbx_account_t *a, bool lid)
{
    char text[WAGW_JID_TEXT_MAX];
    wagw_jid_t jid;

    jid = sbx_account_jid_of(a, lid);
    wagw_jid_text(&jid, text);
    wagw_json_kcstr(j, key, text);
}

static void sbx_group_json(wagw_json_t *j, const sbx_group_t *g)
{
    char text[WAGW_JID_TEXT_MAX];
    uint32_t i;
    wagw_jid_t jid;
    static const char *const roles[] = {"member", "admin", "superadmin"};

    wagw_json_open(j, '{');
    jid = sbx_group_jid(g);
    wagw_jid_text(&jid, text);
    wagw_json_kcstr(j, "id", text);
    wagw_json_kcstr(j, "subject", g->subject);
    wagw_json_kcstr(j, "addressing", g->lid ? "lid" : "pn");
    if (g->desc != NULL) {
        wagw_json_kcstr(j, "description", g->desc);
    }
    wagw_json_kcstr(j, "code", g->code);
    wagw_json_kint(j, "creation", g->creation);
    wagw_json_kint(j, "ephemeral", g->ephemeral);
    wagw_json_kbool(j, "announce", g->announce);
    wagw_json_kbool(j, "locked", g->locked);
    wagw_json_kbool(j, "adminAdd", g->admin_add);
    wagw_json_kbool(j, "approval", g->approval);
    wagw_json_key(j, "participants");
    wagw_json_open(j, '[');
    for (i = 0; i < g->nmembers; i++) {
        wagw_json_open(j, '{');
        sbx_group_json_person(j, "jid", g->members[i].account, false);
        sbx_group_json_person(j, "lid", g->members[i].account, true);
        wagw_json_kcstr(j, "name", g->members[i].account->name);
        wagw_json_kcstr(j, "role", roles[g->members[i].role]);
        wagw_json_close(j);
    }
    wagw_json_close(j);
    wagw_json_key(j, "requests");
    wagw_json_open(j, '[');
    for (i = 0; i < g->njoins; i++) {
        wagw_json_open(j, '{');
        sbx_group_json_person(j, "jid", g->joins[i].account, false);
        wagw_json_kint(j, "t", g->joins[i].t);
        wagw_json_close(j);
    }
    wagw_json_close(j);
    wagw_json_close(j);
}

int sbx_admin_groups(sbx_req_t *r)
{
    const sbx_group_t *g;

    wagw_json_open(&r->j, '[');
    for (g = sbx_group_first(); g != NULL; g = g->next) {
        sbx_group_json(&r->j, g);
    }
    wagw_json_close(&r->j);
    return 200;
}

/* `members` (names, numbers, JIDs) as <participant> children; 0 or an HTTP status. */
static int sbx_group_members_arg(sbx_req_t *r, wagw_arena_t *a, wagw_node_t *op)
{
    wagw_jid_t jid;
    sbx_account_t *acc;
    const cJSON *list, *item;

    list = sbx_arg_json(r, "members");
    if (list != NULL && !cJSON_IsArray(list)) {
        return sbx_error(r, 400, "members: a list");
    }
    cJSON_ArrayForEach(item, list)
    {
        acc = cJSON_IsString(item) ? sbx_account_find(item->valuestring) : NULL;
        if (acc == NULL) {
            return sbx_error(r, 404, "no account %s", cJSON_IsString(item) ? item->valuestring : "(no text)");
        }
        jid = sbx_account_jid_of(acc, true);
        wagw_node_attr_jid(a, wagw_node_child(a, op, "participant"), "jid", &jid);
    }
    return 0;
}

static sbx_account_t *sbx_group_actor(sbx_req_t *r, int *status)
{
    char buf[64];
    const char *from;
    sbx_account_t *acc;

    from = sbx_arg(r, "from", buf);
    acc = sbx_account_find(from);
    if (acc == NULL) {
        *status = from ? sbx_error(r, 404, "no account %s", from) : sbx_error(r, 400, "from is missing");
    }
    return acc;
}

int sbx_admin_group_create(sbx_req_t *r)
{
    int status;
    bool lid;
    char buf[64];
    wagw_node_t *op;
    wagw_arena_t a = {0};
    sbx_group_t *g;
    sbx_account_t *by;
    const char *form;
    const cJSON *subject;

    by = sbx_group_actor(r, &status);
    if (by == NULL) {
        return status;
    }
    subject = sbx_arg_json(r, "subject");
    form = sbx_arg(r, "addressing", buf);
    lid = form ? strcmp(form, "pn") != 0 : !sbx.group_pn;
    op = wagw_node(&a, "create");
    wagw_node_attr(&a, op, "subject", cJSON_IsString(subject) ? wagw_cstr(subject->valuestring) : WAGW_STR("Group"));
    if (sbx_arg_bool(r, "announce", false)) {
        wagw_node_child(&a, op, "announcement");
    }
    if (sbx_arg_int(r, "ephemeral", 0) > 0) {
        wagw_node_attr_int(&a, wagw_node_child(&a, op, "ephemeral"), "expiration", sbx_arg_int(r, "ephemeral", 0));
    }
    status = sbx_group_members_arg(r, &a, op);
    if (status == 0) {
        status = sbx_group_create(by, op, lid, &a, NULL, &g);
        if (status == 0) {
            sbx_group_json(&r->j, g);
            status = 200;
        } else {
            status = sbx_error(r, 400, "the group cannot be made: %d", status);
        }
    }
    wagw_arena_free(&a);
    return status;
}

/* The w:g2 child for an action's name. */
static wagw_node_t *sbx_group_action(sbx_req_t *r, wagw_arena_t *a, const char *action, const sbx_group_t *g)
{
    char id[24];
    uint8_t rnd[16];
    wagw_node_t *op, *k;
    const cJSON *value;
    wagw_str_t text;

    value = sbx_arg_json(r, "value");
    text = cJSON_IsString(value) ? wagw_cstr(value->valuestring) : WAGW_STR_NULL;
    op = wagw_node(a, (const char *)wagw_arena_str(a, wagw_cstr(action)).p);
    if (strcmp(action, "subject") == 0 || strcmp(action, "member_add_mode") == 0) {
        wagw_node_bytes(op, text);
    } else if (strcmp(action, "description") == 0) {
        sbx_random(NULL, rnd, sizeof(rnd));
        wagw_message_id(id, sbx_now_s(), WAGW_STR(""), rnd);
        wagw_node_attr(a, op, "id", wagw_arena_str(a, wagw_cstr(id)));
        if (g->desc_id != NULL) {
            wagw_node_attr(a, op, "prev", wagw_cstr(g->desc_id));
        }
        if (text.n == 0) {
            wagw_node_attrc(a, op, "delete", "true");
        } else {
            wagw_node_bytes(wagw_node_child(a, op, "body"), text);
        }
    } else if (strcmp(action, "ephemeral") == 0) {
        wagw_node_attr_int(a, op, "expiration", sbx_arg_int(r, "value", 0));
    } else if (strcmp(action, "membership_approval_mode") == 0) {
        k = wagw_node_child(a, op, "group_join");
        wagw_node_attrc(a, k, "state", sbx_arg_bool(r, "value", false) ? "on" : "off");
    } else if (strcmp(action, "approve") == 0 || strcmp(action, "reject") == 0) {
        k = wagw_node(a, "membership_requests_action");
        wagw_node_append(k, op);
        op = k;
    }
    return op;
}

int sbx_admin_group(sbx_req_t *r)
{
    int status, code;
    char b1[64], b2[64], b3[64];
    wagw_jid_t jid;
    wagw_node_t *op, *out;
    wagw_arena_t a = {0};
    sbx_group_t *g;
    sbx_account_t *by;
    const char *name, *action;

    by = sbx_group_actor(r, &status);
    if (by == NULL) {
        return status;
    }
    name = sbx_arg(r, "group", b1);
    action = sbx_arg(r, "action", b2);
    if (action == NULL) {
        return sbx_error(r, 400, "action is missing");
    }
    out = wagw_node(&a, "out");
    if (strcmp(action, "join") == 0) {
        name = sbx_arg(r, "code", b3);
        code = name ? sbx_group_by_code(by, wagw_cstr(name), true, &a, out) : 400;
    } else {
        g = sbx_group_find(name);
        if (g == NULL) {
            wagw_arena_free(&a);
            return sbx_error(r, 404, "no group %s", name ? name : "");
        }
        if (strcmp(action, "addressing") == 0) {
            g->lid = strcmp(sbx_arg(r, "value", b3) ? b3 : "lid", "pn") != 0;
            code = 0;
        } else if (strcmp(action, "leave") == 0) {
            op = wagw_node(&a, "leave");
            jid = sbx_group_jid(g);
            wagw_node_attr_jid(&a, wagw_node_child(&a, op, "group"), "id", &jid);
            code = sbx_group_leave(by, op, &a, out);
        } else {
            op = sbx_group_action(r, &a, action, g);
            status = sbx_group_members_arg(r, &a, wagw_node_is(op, "membership_requests_action") ? op->child : op);
            if (status != 0) {
                wagw_arena_free(&a);
                return status;
            }
            code = sbx_group_set(g, by, op, &a, out);
        }
    }
    if (code != 0) {
        wagw_arena_free(&a);
        return sbx_error(r, code == 501 ? 400 : 409, "%s: refused with %d", action, code);
    }
    wagw_json_open(&r->j, '{');
    wagw_json_kbool(&r->j, "ok", true);
    wagw_json_key(&r->j, "answer");
    sbx_node_json(&r->j, out);
    wagw_json_close(&r->j);
    wagw_arena_free(&a);
    return 200;
}
