/*
 * Presence and chat state: live only, nothing is queued.
 */

#include "sandbox.h"

#include <stdio.h>
#include <stdlib.h>

static void sbx_presence_tell(sbx_account_t *of, sbx_account_t *listener)
{
    wagw_jid_t jid;
    wagw_node_t *n;
    wagw_arena_t a = {0};
    sbx_device_t *d;

    for (d = listener->devices->next; d != NULL; d = d->next) {
        n = wagw_node(&a, "presence");
        jid = sbx_account_jid_of(of, true);
        wagw_node_attr_jid(&a, n, "from", &jid);
        if (!of->available) {
            wagw_node_attrc(&a, n, "type", "unavailable");
            if (sbx_profile_shown(of, "last", listener)) {
                wagw_node_attr_int(&a, n, "last", of->last_seen ? of->last_seen : sbx_now_s());
            } else {
                wagw_node_attrc(&a, n, "last", "deny");
            }
        }
        sbx_deliver_live(d, n);
        wagw_arena_reset(&a);
    }
    wagw_arena_free(&a);
}

static void sbx_presence_set(sbx_account_t *acc, bool available)
{
    size_t i;

    if (acc->available == available) {
        return;
    }
    acc->available = available;
    for (i = 0; i < acc->listeners.cap; i++) {
        if (acc->listeners.slots[i].value != NULL) {
            sbx_presence_tell(acc, acc->listeners.slots[i].value);
        }
    }
}

void sbx_presence(sbx_conn_t *c, const wagw_node_t *n)
{
    char *name;
    wagw_jid_t to;
    wagw_str_t v;
    sbx_account_t *acc, *of;

    acc = c->device->account;

    if (wagw_node_attr_is(n, "type", "subscribe") || wagw_node_attr_is(n, "type", "unsubscribe")) {
        of = wagw_node_get_jid(n, "to", &to) == WAGW_OK ? sbx_account_jid(&to) : NULL;
        if (of == NULL) {
            return;
        }
        if (wagw_node_attr_is(n, "type", "unsubscribe")) {
            sbx_map_del(&of->listeners, acc->lid);
            return;
        }
        sbx_map_put(&of->listeners, acc->lid, acc);
        sbx_presence_tell(of, acc);
        return;
    }

    v = wagw_node_get(n, "name");
    if (v.n != 0) {
        name = sbx_strndup(v);
        sbx_set_text(&acc->name, name);
        acc->named = true;
        free(name);
    }
    if (wagw_node_attr_is(n, "type", "available")) {
        c->device->available = true;
        sbx_presence_set(acc, true);
    } else if (wagw_node_attr_is(n, "type", "unavailable")) {
        sbx_presence_gone(c->device);
    }
}

void sbx_presence_gone(sbx_device_t *d)
{
    sbx_device_t *other;

    d->available = false;
    for (other = d->account->devices; other != NULL && !other->available; other = other->next) {
    }
    if (other == NULL) {
        sbx_presence_set(d->account, false);
    }
}

void sbx_chatstate(sbx_conn_t *c, const wagw_node_t *n)
{
    wagw_jid_t to, jid;
    wagw_node_t *s;
    wagw_arena_t a = {0};
    sbx_account_t *acc;
    sbx_device_t *d;

    if (n->child == NULL || wagw_node_get_jid(n, "to", &to) != WAGW_OK) {
        return;
    }
    if (wagw_jid_is_group(&to)) {
        sbx_group_chatstate(c, n, &to);
        return;
    }
    acc = sbx_account_jid(&to);
    if (acc == NULL) {
        return;
    }
    for (d = acc->devices->next; d != NULL; d = d->next) {
        if (d == c->device) {
            continue;
        }
        s = wagw_node(&a, "chatstate");
        jid = sbx_account_jid_of(c->device->account, wagw_jid_is_lid(&to));
        wagw_node_attr_jid(&a, s, "from", &jid);
        wagw_node_append(s, wagw_node_clone(&a, n->child));
        sbx_deliver_live(d, s);
        wagw_arena_reset(&a);
    }
    wagw_arena_free(&a);
}

/* POST /mock-user/presence {from, to, presence, lastSeen, participant}: to those who subscribed; typing to `to`. */
int sbx_admin_user_presence(sbx_req_t *r)
{
    size_t i;
    char b1[64], b2[64], b3[64];
    wagw_jid_t jid;
    wagw_node_t *n, *k;
    wagw_arena_t a = {0};
    sbx_device_t *d;
    const char *p = sbx_arg(r, "presence", b1), *t = sbx_arg(r, "to", b2), *f = sbx_arg(r, "from", b3);
    sbx_account_t *from = f ? sbx_account_find(f) : NULL, *to = t ? sbx_account_find(t) : NULL;

    if (from == NULL || (t != NULL && to == NULL)) {
        return sbx_error(r, f ? 404 : 400, "from, to: accounts");
    }
    if (p == NULL) {
        return sbx_error(r, 400, "presence: available, unavailable, composing, recording, paused");
    }
    if (strcmp(p, "available") == 0 || strcmp(p, "unavailable") == 0) {
        from->available = p[0] == 'a';
        from->last_seen = sbx_arg_int(r, "lastSeen", 0);
        for (i = 0; i < from->listeners.cap; i++) {
            if (from->listeners.slots[i].value != NULL && (to == NULL || to == from->listeners.slots[i].value)) {
                sbx_presence_tell(from, from->listeners.slots[i].value);
            }
        }
    } else if (strcmp(p, "composing") == 0 || strcmp(p, "recording") == 0 || strcmp(p, "paused") == 0) {
        if (to == NULL) {
            return sbx_error(r, 400, "to: who sees it");
        }
        for (d = to->devices->next; d != NULL; d = d->next) {
            n = wagw_node(&a, "chatstate");
            jid = sbx_account_jid_of(from, true);
            wagw_node_attr_jid(&a, n, "from", &jid);
            k = wagw_node_child(&a, n, p[0] == 'p' ? "paused" : "composing");
            if (p[0] == 'r') {
                wagw_node_attrc(&a, k, "media", "audio");
            }
            sbx_deliver_live(d, n);
            wagw_arena_reset(&a);
        }
        wagw_arena_free(&a);
    } else {
        return sbx_error(r, 400, "presence: available, unavailable, composing, recording, paused");
    }
    wagw_json_open(&r->j, '{');
    wagw_json_kbool(&r->j, "ok", true);
    wagw_json_close(&r->j);
    return 200;
}
