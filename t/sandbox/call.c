/*
 * Calls: from companions, and from mock users on order.  They wait for who is
 * not there, as the real ones do; nobody here can talk.
 */

#include "sandbox.h"

#include <stdio.h>
#include <stdlib.h>

/* To every companion of `to` but one. */
static void sbx_call_deliver(sbx_account_t *from, sbx_account_t *to, const sbx_device_t *but, bool lid,
                             const wagw_node_t *child)
{
    wagw_jid_t jid;
    wagw_node_t *n;
    wagw_arena_t a = {0};
    sbx_device_t *d;

    for (d = to->devices->next; d != NULL; d = d->next) {
        if (d == but) {
            continue;
        }
        n = wagw_node(&a, "call");
        jid = sbx_account_jid_of(from, lid);
        wagw_node_attr_jid(&a, n, "from", &jid);
        wagw_node_attr(&a, n, "id", sbx_server_id(&a));
        wagw_node_attr_int(&a, n, "t", sbx_now_s());
        wagw_node_attrc(&a, n, "platform", "android");
        wagw_node_attrc(&a, n, "version", "2.26.1");
        wagw_node_attrc(&a, n, "notify", from->name);
        wagw_node_append(n, wagw_node_clone(&a, child));
        sbx_deliver(d, n);
        wagw_arena_reset(&a);
    }
    wagw_arena_free(&a);
}

/* What reached the phone of the account, for /mock-phone/events. */
static void sbx_call_event(sbx_account_t *to, const sbx_account_t *from, const wagw_node_t *child)
{
    char text[WAGW_JID_TEXT_MAX], *s;
    wagw_jid_t jid = sbx_account_jid_of(from, false);
    cJSON *e = cJSON_CreateObject();

    wagw_jid_text(&jid, text);
    cJSON_AddStringToObject(e, "type", "call");
    cJSON_AddStringToObject(e, "from", text);
    s = sbx_strndup(child->tag);
    cJSON_AddStringToObject(e, "action", s);
    free(s);
    s = sbx_strndup(wagw_node_get(child, "call-id"));
    cJSON_AddStringToObject(e, "callId", s);
    free(s);
    if (to->events == NULL) {
        to->events = cJSON_CreateArray();
    }
    cJSON_AddItemToArray(to->events, e);
    if (cJSON_GetArraySize(to->events) > 200) {
        cJSON_DeleteItemFromArray(to->events, 0);
    }
    sbx_changed();
}

void sbx_call(sbx_conn_t *c, const wagw_node_t *n)
{
    wagw_jid_t to;
    wagw_node_t *k;
    wagw_arena_t a = {0};
    sbx_account_t *acc = NULL;

    k = wagw_node(&a, "ack");
    wagw_node_attrc(&a, k, "class", "call");
    wagw_node_attr(&a, k, "id", wagw_node_get(n, "id"));
    if (wagw_node_get_jid(n, "to", &to) == WAGW_OK) {
        wagw_node_attr_jid(&a, k, "from", &to);
        acc = sbx_account_jid(&to);
    }
    if (n->child != NULL) {
        wagw_node_attr(&a, k, "type", n->child->tag);
    }
    sbx_send(c, k);
    if (acc != NULL && n->child != NULL) {
        if (wagw_node_get(n->child, "call-id").n == 0 || !wagw_node_has(n->child, "call-creator")) {
            sbx_fault(c->device, "a call without call-id or call-creator");
        }
        sbx_call_event(acc, c->device->account, n->child);
        sbx_call_deliver(c->device->account, acc, NULL, wagw_jid_is_lid(&to), n->child);
    }
    wagw_arena_free(&a);
}

/* POST /mock-user/call {from, to, action, id, video, group, reason, addressing}: answers {id}. */
int sbx_admin_user_call(sbx_req_t *r)
{
    static const char *const actions[] = {"offer",  "offer_notice", "relaylatency", "preaccept", "accept",
                                          "reject", "terminate",    "timeout",      "transport"};
    bool lid, video, timeout;
    size_t i;
    char b1[64], b2[64], b3[64], b4[64], b5[64], b6[64], made[24];
    const char *f = sbx_arg(r, "from", b1), *t = sbx_arg(r, "to", b2), *action = sbx_arg(r, "action", b3);
    const char *id = sbx_arg(r, "id", b4), *group = sbx_arg(r, "group", b5), *reason = sbx_arg(r, "reason", b6);
    const cJSON *flag = sbx_arg_json(r, "group");
    wagw_jid_t jid;
    wagw_node_t *k;
    wagw_arena_t a = {0};
    sbx_account_t *from = f ? sbx_account_find(f) : NULL, *to = t ? sbx_account_find(t) : NULL, *creator;

    if (from == NULL || to == NULL) {
        return sbx_error(r, f && t ? 404 : 400, "from and to: accounts");
    }
    action = action ? action : "offer";
    for (i = 0; i < sizeof(actions) / sizeof(actions[0]) && strcmp(actions[i], action) != 0; i++) {
    }
    if (i == sizeof(actions) / sizeof(actions[0])) {
        return sbx_error(r, 400, "action: offer, accept, reject, terminate, timeout …");
    }
    if (id == NULL) {
        if (strcmp(action, "offer") != 0 && strcmp(action, "offer_notice") != 0) {
            return sbx_error(r, 400, "id of the call is needed");
        }
        snprintf(made, sizeof(made), "%08X%08X", sbx_random_u32(), sbx_random_u32());
        id = made;
    }
    timeout = strcmp(action, "timeout") == 0;
    video = sbx_arg_bool(r, "video", false);
    lid = strcmp(sbx_arg(r, "addressing", b3) ? b3 : "lid", "pn") != 0;
    /* the account's own phone (or another companion) answers what somebody else began */
    creator = sbx_arg_json(r, "creator") ? sbx_account_find(sbx_arg(r, "creator", b2)) : from;
    if (creator == NULL) {
        return sbx_error(r, 404, "creator: an account");
    }
    k = wagw_node(&a, timeout ? "terminate" : action);
    wagw_node_attrc(&a, k, "call-id", id);
    jid = sbx_account_jid_of(creator, lid);
    wagw_node_attr_jid(&a, k, "call-creator", &jid);
    if (timeout || reason != NULL) {
        wagw_node_attrc(&a, k, "reason", timeout ? "timeout" : reason);
    }
    if (strncmp(action, "offer", 5) == 0) {
        if (lid) {
            jid = sbx_account_jid_of(creator, false);
            wagw_node_attr_jid(&a, k, "caller_pn", &jid);
        }
        if (cJSON_IsTrue(flag) || (group != NULL && strcmp(group, "true") == 0)) {
            wagw_node_attrc(&a, k, "type", "group");
        } else if (group != NULL && strchr(group, '@') != NULL) {
            wagw_node_attrc(&a, k, "group-jid", group);
        }
        if (strcmp(action, "offer") == 0) {
            wagw_node_child(&a, k, video ? "video" : "audio");
        } else {
            wagw_node_attrc(&a, k, "media", video ? "video" : "audio");
        }
    }
    sbx_call_deliver(from, to, NULL, lid, k);
    wagw_json_open(&r->j, '{');
    wagw_json_kcstr(&r->j, "id", id);
    wagw_json_close(&r->j);
    wagw_arena_free(&a);
    return 200;
}
