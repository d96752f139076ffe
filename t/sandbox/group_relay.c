/*
 * Traffic of groups: w:g2 queries of companions, messages to every member's
 * devices, receipts back to the author.
 */

#include "group.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- iq ---- */

static const char *sbx_group_error_text(int code)
{
    switch (code) {
    case 400:
        return "bad-request";
    case 401:
        return "not-authorized";
    case 403:
        return "forbidden";
    case 404:
        return "item-not-found";
    case 406:
        return "not-acceptable";
    case 409:
        return "conflict";
    case 410:
        return "gone";
    case 419:
        return "resource-limit";
    case 501:
        return "feature-not-implemented";
    default:
        return "internal-server-error";
    }
}

/* Queries to @g.us: about no group, or one that the child names. */
static int sbx_group_any(sbx_account_t *by, bool set, const wagw_node_t *op, wagw_arena_t *a, wagw_node_t *out)
{
    sbx_group_t *g;

    if (wagw_node_is(op, "participating") && !set) {
        sbx_group_participating(by, a, out);
        return 0;
    }
    if (wagw_node_is(op, "create") && set) {
        return sbx_group_create(by, op, !sbx.group_pn, a, out, &g);
    }
    if (wagw_node_is(op, "leave") && set) {
        return sbx_group_leave(by, op, a, out);
    }
    if (wagw_node_is(op, "invite")) {
        return sbx_group_by_code(by, wagw_node_get(op, "code"), set, a, out);
    }
    return 501;
}

void sbx_iq_groups(sbx_conn_t *c, const wagw_node_t *iq)
{
    int code;
    bool set;
    wagw_jid_t jid;
    wagw_node_t *n;
    wagw_arena_t a = {0};
    sbx_group_t *g;
    sbx_account_t *by;

    by = c->device->account;
    set = wagw_node_attr_is(iq, "type", "set");
    n = sbx_iq_result(&a, iq);
    if (wagw_node_get_jid(iq, "to", &jid) != WAGW_OK || !wagw_jid_is_group(&jid) || iq->child == NULL) {
        code = 400;
    } else if (jid.user_len == 0) {
        code = sbx_group_any(by, set, iq->child, &a, n);
    } else if ((g = sbx_group_id(jid.user)) == NULL) {
        code = 404;
    } else {
        code = set ? sbx_group_set(g, by, iq->child, &a, n) : sbx_group_get(g, by, iq->child, &a, n);
    }

    if (code == 0) {
        sbx_send(c, n);
    } else {
        if (code == 501) {
            sbx_unhandled(c, iq);
        }
        sbx_iq_error(c, iq, code, sbx_group_error_text(code));
    }
    wagw_arena_free(&a);
}

/* ---- messages ---- */

void sbx_group_pair(char out[2 * WAGW_KEY_MAX], const sbx_device_t *from, const sbx_device_t *to)
{
    snprintf(out, 2 * WAGW_KEY_MAX, "%s:%u>%s:%u", from->account->lid, from->id, to->account->lid, to->id);
}

/* The key id of a sender key message, 0 when it is none. */
static uint32_t sbx_group_key_id(wagw_str_t skmsg)
{
    size_t i;
    unsigned shift;
    uint32_t id;

    id = 0;
    if (skmsg.n > 8 && skmsg.p[1] == 0x08) {
        for (i = 2, shift = 0; i < 7; i++, shift += 7) {
            id |= (uint32_t)(skmsg.p[i] & 127) << shift;
            if (skmsg.p[i] < 128) {
                break;
            }
        }
    }
    return id;
}

static const wagw_node_t *sbx_group_skmsg(const wagw_node_t *n)
{
    const wagw_node_t *e;

    for (e = wagw_node_find(n, "enc"); e != NULL && !wagw_node_attr_is(e, "type", "skmsg");
         e = wagw_node_find_next(e, "enc")) {
    }
    return e;
}

void sbx_shared_copy(const wagw_jid_t *chat, bool lid, bool mode, sbx_device_t *from, sbx_device_t *to,
                     const wagw_node_t *n, const wagw_node_t *encs, const wagw_node_t *all)
{
    bool pkmsg;
    wagw_jid_t jid;
    wagw_node_t *m;
    wagw_arena_t a = {0};
    const char *const *key;
    const wagw_node_t *k;
    static const char *const copied[] = {"type", "edit", NULL};

    m = wagw_node(&a, "message");
    wagw_node_attr_jid(&a, m, "from", chat);
    wagw_node_attr(&a, m, "id", wagw_node_get(n, "id"));
    jid = sbx_device_jid(from, lid);
    wagw_node_attr_jid(&a, m, "participant", &jid);
    jid = sbx_account_jid_of(from->account, !lid);
    wagw_node_attr_jid(&a, m, lid ? "participant_pn" : "participant_lid", &jid);
    if (mode) {
        wagw_node_attrc(&a, m, "addressing_mode", lid ? "lid" : "pn");
    }
    for (key = copied; *key != NULL; key++) {
        if (wagw_node_has(n, *key)) {
            wagw_node_attr(&a, m, *key, wagw_node_get(n, *key));
        }
    }
    wagw_node_attr_int(&a, m, "t", sbx_now_s());
    wagw_node_attr(&a, m, "notify", wagw_cstr(from->account->name));

    pkmsg = false;
    for (k = encs ? encs->child : NULL; k != NULL; k = k->next) {
        if (wagw_node_is(k, "enc")) {
            pkmsg |= wagw_node_attr_is(k, "type", "pkmsg");
            wagw_node_append(m, wagw_node_clone(&a, k));
        }
    }
    wagw_node_append(m, all ? wagw_node_clone(&a, all) : NULL);
    for (k = n->child; k != NULL; k = k->next) {
        if (!sbx_relay_skips(k) || (pkmsg && wagw_node_is(k, "device-identity"))) {
            wagw_node_append(m, wagw_node_clone(&a, k));
        }
    }
    to->messages_out++;
    sbx_deliver(to, m);
    wagw_arena_free(&a);
}

void sbx_group_copy(sbx_group_t *g, sbx_device_t *from, sbx_device_t *to, const wagw_node_t *n, const wagw_node_t *encs,
                    const wagw_node_t *all)
{
    wagw_jid_t chat;

    chat = sbx_group_jid(g);
    sbx_shared_copy(&chat, g->lid, true, from, to, n, encs, all);
}

/* The <to> for a device, NULL when it gets only what all get. */
static const wagw_node_t *sbx_group_to(sbx_map_t *tos, const sbx_device_t *d)
{
    char key[64];

    snprintf(key, sizeof(key), "%s:%u", d->account->lid, d->id);
    return sbx_map_get(tos, key);
}

static void sbx_group_tos(sbx_map_t *tos, const wagw_node_t *n)
{
    char key[64];
    wagw_jid_t jid;
    sbx_account_t *acc;
    const wagw_node_t *p, *k;

    p = wagw_node_find(n, "participants");
    for (k = p ? p->child : NULL; k != NULL; k = k->next) {
        acc = wagw_node_get_jid(k, "jid", &jid) == WAGW_OK ? sbx_account_jid(&jid) : NULL;
        if (acc != NULL) {
            snprintf(key, sizeof(key), "%s:%u", acc->lid, jid.device);
            sbx_map_put(tos, key, (void *)k);
        }
    }
}

void sbx_group_fanout(sbx_group_t *g, sbx_device_t *from, const wagw_node_t *n)
{
    char pair[2 * WAGW_KEY_MAX];
    void *given;
    uint32_t i, id, lacking;
    sbx_map_t tos = {0};
    sbx_device_t *d, *next;
    const wagw_node_t *all, *to;

    all = sbx_group_skmsg(n);
    id = sbx_group_key_id(wagw_node_data(all));
    lacking = 0;
    sbx_group_tos(&tos, n);
    for (i = 0; i < g->nmembers; i++) {
        for (d = g->members[i].account->devices; d != NULL; d = next) {
            next = d->next;
            if (d == from || (d->id != 0 && d->adv.n == 0)) {
                continue;
            }
            to = sbx_group_to(&tos, d);
            sbx_group_pair(pair, from, d);
            if (to != NULL) {
                sbx_map_put(&g->given, pair, (void *)(uintptr_t)(id + 1ULL));
            } else {
                given = sbx_map_get(&g->given, pair);
                lacking += given != SBX_ANY_KEY && given != (void *)(uintptr_t)(id + 1ULL);
            }
            if (from->id != 0 && to != NULL) {
                sbx_check_identity(from, n, to);
            }
            sbx_group_copy(g, from, d, n, to, all);
        }
    }
    sbx_map_free(&tos);
    if (lacking != 0) {
        sbx_fault(from, "group message %.*s: %u devices lack the sender key", (int)wagw_node_get(n, "id").n,
                  (const char *)wagw_node_get(n, "id").p, lacking);
    }
}

static void sbx_group_phash(char out[16], const sbx_group_t *g)
{
    size_t n;
    uint32_t i;
    wagw_jid_t *all;
    const sbx_device_t *d;

    for (i = 0, n = 0; i < g->nmembers; i++) {
        for (d = g->members[i].account->devices; d != NULL; d = d->next) {
            n++;
        }
    }
    all = sbx_alloc(n * sizeof(wagw_jid_t));
    for (i = 0, n = 0; i < g->nmembers; i++) {
        for (d = g->members[i].account->devices; d != NULL; d = d->next) {
            all[n++] = sbx_device_jid(d, g->lid);
        }
    }
    if (wagw_phash(out, all, n) != WAGW_OK) {
        out[0] = '\0';
    }
    free(all);
}

/* Everything in a stanza to a group is written in the group's mode. */
static bool sbx_group_mode_ok(const sbx_group_t *g, const wagw_node_t *n)
{
    wagw_jid_t jid;
    const wagw_node_t *p, *k;

    if (wagw_node_has(n, "addressing_mode") && !wagw_node_attr_is(n, "addressing_mode", g->lid ? "lid" : "pn")) {
        return false;
    }
    p = wagw_node_find(n, "participants");
    for (k = p ? p->child : NULL; k != NULL; k = k->next) {
        if (wagw_node_get_jid(k, "jid", &jid) != WAGW_OK || wagw_jid_is_lid(&jid) != g->lid) {
            return false;
        }
    }
    return true;
}

/* A resend to the one device that asked for it. */
static int sbx_group_resend(sbx_group_t *g, sbx_device_t *from, const wagw_node_t *n, const wagw_jid_t *to)
{
    char pair[2 * WAGW_KEY_MAX];
    sbx_account_t *acc;
    sbx_device_t *d;

    acc = sbx_account_jid(to);
    d = acc && sbx_group_member(g, acc) ? sbx_device_get(acc, to->device) : NULL;
    if (d == NULL || d == from) {
        sbx_fault(from, "group message %.*s to a device that is none of the group", (int)wagw_node_get(n, "id").n,
                  (const char *)wagw_node_get(n, "id").p);
        return 404;
    }
    sbx_check_identity(from, n, n);
    sbx_group_pair(pair, from, d);
    sbx_map_put(&g->given, pair, SBX_ANY_KEY);
    sbx_group_copy(g, from, d, n, n, NULL);
    return 0;
}

void sbx_group_message(sbx_conn_t *c, const wagw_node_t *n, const wagw_jid_t *to)
{
    bool same;
    char hash[16];
    wagw_jid_t one;
    wagw_str_t id, mine;
    sbx_group_t *g;
    sbx_device_t *d;
    const sbx_member_t *m;

    d = c->device;
    id = wagw_node_get(n, "id");
    g = sbx_group_id(to->user);
    if (g == NULL) {
        sbx_message_ack(c, n, 404, NULL);
        return;
    }
    m = sbx_group_member(g, d->account);
    if (m == NULL || (g->announce && m->role == SBX_MEMBER)) {
        sbx_message_ack(c, n, 403, NULL);
        return;
    }
    if (!sbx_group_mode_ok(g, n)) {
        sbx_fault(d, "group message %.*s is not in the addressing mode of the group", (int)id.n, (const char *)id.p);
        sbx_message_ack(c, n, 421, NULL);
        return;
    }
    if (wagw_node_get_jid(n, "participant", &one) == WAGW_OK) {
        sbx_message_ack(c, n, sbx_group_resend(g, d, n, &one), NULL);
        return;
    }
    if (sbx_group_skmsg(n) == NULL) {
        sbx_fault(d, "group message %.*s without skmsg", (int)id.n, (const char *)id.p);
        sbx_message_ack(c, n, 479, NULL);
        return;
    }
    sbx_group_phash(hash, g);
    mine = wagw_node_get(n, "phash");
    same = mine.n == 0 || wagw_str_eq(mine, wagw_cstr(hash));
    if (!same) {
        sbx_fault(d, "group message %.*s: the phash is another one", (int)id.n, (const char *)id.p);
    }
    sbx_message_ack(c, n, 0, same ? NULL : hash);
    sbx_group_fanout(g, d, n);
}

/* A status goes to whom its author names; one device only when it asked again. */
void sbx_status_message(sbx_conn_t *c, const wagw_node_t *n, const wagw_jid_t *to)
{
    bool one;
    size_t lids = 0, pns = 0;
    wagw_jid_t jid;
    sbx_device_t *d;
    sbx_account_t *acc;
    const wagw_node_t *p, *k;

    one = wagw_node_get_jid(n, "participant", &jid) == WAGW_OK;
    p = wagw_node_find(n, "participants");
    if (!one && (p == NULL || sbx_group_skmsg(n) == NULL)) {
        sbx_fault(c->device, "status %.*s for nobody", (int)wagw_node_get(n, "id").n,
                  (const char *)wagw_node_get(n, "id").p);
        sbx_message_ack(c, n, 479, NULL);
        return;
    }
    for (k = one ? NULL : p->child; k != NULL; k = k->next) {
        if (wagw_node_get_jid(k, "jid", &jid) == WAGW_OK) {
            (*(wagw_jid_is_lid(&jid) ? &lids : &pns))++;
        }
    }
    if (lids != 0 && pns != 0) {
        sbx_fault(c->device, "status %.*s mixes LID and phone number addresses", (int)wagw_node_get(n, "id").n,
                  (const char *)wagw_node_get(n, "id").p);
        sbx_message_ack(c, n, 479, NULL);
        return;
    }
    sbx_message_ack(c, n, 0, NULL);
    for (k = one ? n : p->child; k != NULL; k = one ? NULL : k->next) {
        if (!one && wagw_node_get_jid(k, "jid", &jid) != WAGW_OK) {
            continue;
        }
        acc = sbx_account_jid(&jid);
        d = acc ? sbx_device_get(acc, jid.device) : NULL;
        if (d != NULL && d != c->device && sbx_map_get(&acc->blocked, c->device->account->lid) == NULL) {
            sbx_check_identity(c->device, n, k);
            sbx_shared_copy(to, wagw_jid_is_lid(&jid), false, c->device, d, n, k, one ? NULL : sbx_group_skmsg(n));
        }
    }
}

/* ---- receipts, chat state ---- */

static void sbx_shared_receipt(const wagw_jid_t *chat, bool lid, const sbx_device_t *from, sbx_device_t *to,
                               const wagw_node_t *n)
{
    wagw_jid_t jid;
    wagw_node_t *r;
    wagw_arena_t a = {0};
    const wagw_node_t *k;

    r = wagw_node(&a, "receipt");
    wagw_node_attr_jid(&a, r, "from", chat);
    wagw_node_attr(&a, r, "id", wagw_node_get(n, "id"));
    wagw_node_attr(&a, r, "type", wagw_node_get(n, "type"));
    jid = sbx_device_jid(from, lid);
    wagw_node_attr_jid(&a, r, "participant", &jid);
    jid = sbx_account_jid_of(from->account, !lid);
    wagw_node_attr_jid(&a, r, lid ? "participant_pn" : "participant_lid", &jid);
    wagw_node_attr_int(&a, r, "t", sbx_now_s());
    for (k = n->child; k != NULL; k = k->next) {
        wagw_node_append(r, wagw_node_clone(&a, k));
    }
    sbx_deliver(to, r);
    wagw_arena_free(&a);
}

void sbx_group_receipt(sbx_device_t *from, const wagw_node_t *n, const wagw_jid_t *to)
{
    bool self, lid;
    wagw_jid_t author;
    wagw_str_t type;
    sbx_group_t *g;
    sbx_device_t *d;
    sbx_account_t *acc;

    g = wagw_jid_is_group(to) ? sbx_group_id(to->user) : NULL;
    if (wagw_jid_is_group(to) && (g == NULL || sbx_group_member(g, from->account) == NULL)) {
        return;
    }
    if (wagw_node_get_jid(n, "participant", &author) != WAGW_OK || (acc = sbx_account_jid(&author)) == NULL) {
        sbx_fault(from, "receipt %.*s to a chat of several without the author", (int)wagw_node_get(n, "id").n,
                  (const char *)wagw_node_get(n, "id").p);
        return;
    }
    lid = g ? g->lid : wagw_jid_is_lid(&author);
    type = wagw_node_get(n, "type");
    if (wagw_str_is(type, "retry") || wagw_str_is(type, "sender") || wagw_str_is(type, "server-error")) {
        d = sbx_device_get(acc, author.device);
        if (d != NULL && d != from) {
            sbx_shared_receipt(to, lid, from, d, n);
        }
        return;
    }
    self = wagw_str_is(type, "read-self") || wagw_str_is(type, "played-self");
    if (!self && acc != from->account) {
        for (d = acc->devices; d != NULL; d = d->next) {
            sbx_shared_receipt(to, lid, from, d, n);
        }
    }
    if (self || wagw_str_is(type, "read") || wagw_str_is(type, "played")) {
        for (d = from->account->devices; d != NULL; d = d->next) {
            if (d != from) {
                sbx_shared_receipt(to, lid, from, d, n);
            }
        }
    }
}

void sbx_group_chatstate(sbx_conn_t *c, const wagw_node_t *n, const wagw_jid_t *to)
{
    uint32_t i;
    wagw_jid_t jid;
    wagw_node_t *s;
    wagw_arena_t a = {0};
    sbx_group_t *g;
    sbx_device_t *d;

    g = sbx_group_id(to->user);
    if (g == NULL || sbx_group_member(g, c->device->account) == NULL) {
        return;
    }
    for (i = 0; i < g->nmembers; i++) {
        for (d = g->members[i].account->devices->next; d != NULL; d = d->next) {
            if (d == c->device) {
                continue;
            }
            s = wagw_node(&a, "chatstate");
            jid = sbx_group_jid(g);
            wagw_node_attr_jid(&a, s, "from", &jid);
            sbx_group_person(&a, s, "participant", "participant_pn", "participant_lid", c->device->account, g->lid);
            wagw_node_append(s, wagw_node_clone(&a, n->child));
            sbx_deliver_live(d, s);
            wagw_arena_reset(&a);
        }
    }
    wagw_arena_free(&a);
}
