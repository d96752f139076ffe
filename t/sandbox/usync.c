/*
 * usync: device lists, registration, LIDs, about texts, pictures …
 */

#include "sandbox.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static void sbx_usync_devices(wagw_arena_t *a, wagw_node_t *user, sbx_account_t *acc, sbx_account_t *asker, bool lid)
{
    char hash[16];
    wagw_buf_t list = {0};
    wagw_node_t *n, *k;
    sbx_device_t *d;

    sbx_account_watch(acc, asker);
    sbx_devices_hash(hash, acc, NULL, lid);
    n = wagw_node_child(a, user, "devices");
    k = wagw_node_child(a, n, "device-list");
    wagw_node_attr(a, k, "hash", wagw_arena_str(a, wagw_cstr(hash)));
    for (d = acc->devices; d != NULL; d = d->next) {
        user = wagw_node_child(a, k, "device");
        wagw_node_attr_int(a, user, "id", d->id);
        if (d->id != 0) {
            wagw_node_attr_int(a, user, "key-index", d->key_index);
        }
    }
    sbx_key_index_list(&list, acc);
    k = wagw_node_child(a, n, "key-index-list");
    wagw_node_attr_int(a, k, "ts", sbx_now_s());
    wagw_node_bytes_copy(a, k, wagw_buf_view(&list));
    wagw_buf_free(&list);
}

static sbx_account_t *sbx_usync_contact(wagw_arena_t *a, const wagw_node_t *contact, wagw_str_t *digits)
{
    size_t i, n;
    char text[SBX_USER_MAX];
    wagw_str_t t;

    t = wagw_node_data(contact);
    for (i = 0, n = 0; i < t.n && t.p[i] != '@' && n + 1 < sizeof(text); i++) {
        if (isdigit(t.p[i])) {
            text[n++] = (char)t.p[i];
        }
    }
    text[n] = '\0';
    *digits = wagw_arena_str(a, wagw_cstr(text));
    return n ? sbx_account_pn(text) : NULL;
}

/* The certificate's signatures are nobody's: no client checks them. */
static void sbx_usync_business(wagw_arena_t *a, wagw_node_t *user, const sbx_account_t *acc)
{
    wagw_node_t *k;
    wagw_buf_t details = {0}, cert = {0};

    sbx_pb_uint(&details, 1, acc->index);
    sbx_pb_bytes(&details, 2, WAGW_STR("smb:wa"));
    sbx_pb_bytes(&details, 4, wagw_cstr(acc->business));
    sbx_pb_bytes(&cert, 1, wagw_buf_view(&details));
    k = wagw_node_child(a, wagw_node_child(a, user, "business"), "verified_name");
    wagw_node_attrc(a, k, "v", "2");
    wagw_node_attrc(a, k, "verified_level", "low");
    wagw_node_bytes_copy(a, k, wagw_buf_view(&cert));
    wagw_buf_free(&details);
    wagw_buf_free(&cert);
}

static void sbx_usync_user(wagw_arena_t *a, sbx_conn_t *c, wagw_node_t *out, const wagw_node_t *query,
                           const wagw_node_t *u)
{
    bool lid;
    wagw_jid_t jid, twin;
    wagw_node_t *user, *k;
    wagw_str_t digits;
    sbx_account_t *acc;
    const wagw_node_t *contact, *q;

    user = wagw_node_child(a, out, "user");
    contact = wagw_node_find(u, "contact");
    acc = NULL;
    lid = false;

    if (wagw_node_get_jid(u, "jid", &jid) == WAGW_OK) {
        acc = sbx_account_jid(&jid);
        lid = wagw_jid_is_lid(&jid);
        jid = wagw_jid_user(&jid);
        wagw_node_attr_jid(a, user, "jid", &jid);
    } else if (contact != NULL && wagw_node_data(contact).n != 0) {
        acc = sbx_usync_contact(a, contact, &digits);
        if (acc != NULL) {
            jid = sbx_account_jid_of(acc, false);
            wagw_node_attr_jid(a, user, "jid", &jid);
        } else if (digits.n != 0 && digits.n < SBX_USER_MAX) {
            jid = wagw_jid_make((const char *)digits.p, WAGW_SRV_USER, 0);
            wagw_node_attr_jid(a, user, "jid", &jid);
        }
    }

    for (q = query->child; q != NULL; q = q->next) {
        if (wagw_node_is(q, "contact")) {
            k = wagw_node_child(a, user, "contact");
            wagw_node_attrc(a, k, "type", acc ? "in" : "out");
            if (contact != NULL && wagw_node_data(contact).n != 0) {
                wagw_node_bytes_copy(a, k, wagw_node_data(contact));
            }
        }
        if (acc == NULL) {
            continue;
        }
        if (wagw_node_is(q, "devices")) {
            sbx_usync_devices(a, user, acc, c->device->account, lid);
        } else if (wagw_node_is(q, "lid")) {
            twin = sbx_account_jid_of(acc, true);
            wagw_node_attr_jid(a, wagw_node_child(a, user, "lid"), "val", &twin);
        } else if (wagw_node_is(q, "status")) {
            sbx_account_watch(acc, c->device->account);
            sbx_about_usync(a, user, acc, c->device->account);
        } else if (wagw_node_is(q, "disappearing_mode")) {
            sbx_disappearing_usync(a, user, acc);
        } else if (wagw_node_is(q, "picture")) {
            k = wagw_node_child(a, user, "picture");
            if (acc->picture.path != NULL && sbx_profile_shown(acc, "profile", c->device->account)) {
                wagw_node_attr_int(a, k, "id", (int64_t)acc->picture.id);
            }
        } else if (wagw_node_is(q, "business") && acc->business[0]) {
            sbx_usync_business(a, user, acc);
        } else if (wagw_node_is(q, "business") || wagw_node_is(q, "username")) {
            /* an empty element says that there is none */
            wagw_node_child(a, user, (const char *)wagw_arena_str(a, q->tag).p);
        }
    }
}

void sbx_iq_usync(sbx_conn_t *c, const wagw_node_t *iq, const wagw_node_t *usync)
{
    wagw_node_t *n, *us, *res, *list;
    wagw_arena_t a = {0};
    wagw_attr_t *at;
    const wagw_node_t *query, *users, *q, *u;
    static const char *const known[] = {"contact",           "devices", "lid",      "status",
                                        "disappearing_mode", "picture", "business", "username"};
    size_t i;

    query = wagw_node_find(usync, "query");
    users = wagw_node_find(usync, "list");
    if (query == NULL || users == NULL || query->nchildren == 0) {
        sbx_iq_error(c, iq, 400, "bad-request");
        return;
    }

    n = sbx_iq_result(&a, iq);
    us = wagw_node_child(&a, n, "usync");
    for (at = usync->attrs; at != NULL; at = at->next) {
        wagw_node_attr(&a, us, (const char *)wagw_arena_str(&a, at->key).p, at->value);
    }
    res = wagw_node_child(&a, us, "result");
    for (q = query->child; q != NULL; q = q->next) {
        for (i = 0; i < sizeof(known) / sizeof(known[0]) && !wagw_node_is(q, known[i]); i++) {
        }
        us = wagw_node_child(&a, res, (const char *)wagw_arena_str(&a, q->tag).p);
        if (i == sizeof(known) / sizeof(known[0])) {
            sbx_unhandled(c, iq);
            us = wagw_node_child(&a, us, "error");
            wagw_node_attrc(&a, us, "code", "501");
            wagw_node_attrc(&a, us, "text", "feature-not-implemented");
        }
    }
    us = n->child;
    list = wagw_node_child(&a, us, "list");
    for (u = wagw_node_find(users, "user"); u != NULL; u = wagw_node_find_next(u, "user")) {
        sbx_usync_user(&a, c, list, query, u);
    }
    sbx_send(c, n);
    wagw_arena_free(&a);
}
