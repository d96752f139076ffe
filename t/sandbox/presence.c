/*
 * Presence, chat state and calls: live only, nothing is queued.
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
            wagw_node_attr_int(&a, n, "last", sbx_now_s());
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

void sbx_call(sbx_conn_t *c, const wagw_node_t *n)
{
    wagw_jid_t to;
    wagw_node_t *k;
    wagw_arena_t a = {0};

    k = wagw_node(&a, "ack");
    wagw_node_attrc(&a, k, "class", "call");
    wagw_node_attr(&a, k, "id", wagw_node_get(n, "id"));
    if (wagw_node_get_jid(n, "to", &to) == WAGW_OK) {
        wagw_node_attr_jid(&a, k, "from", &to);
    }
    if (n->child != NULL) {
        wagw_node_attr(&a, k, "type", n->child->tag);
    }
    sbx_send(c, k);
    wagw_arena_free(&a);
}
