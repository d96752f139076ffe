/*
 * Relay of messages and receipts (protocol 00 "what a small test server has
 * to do", 04 sections 8, 13, 14).
 */

#include "sandbox.h"

#include <stdio.h>
#include <stdlib.h>

bool sbx_relay_skips(const wagw_node_t *n)
{
    return wagw_node_is(n, "participants") || wagw_node_is(n, "enc") || wagw_node_is(n, "device-identity") ||
           wagw_node_is(n, "tctoken") || wagw_node_is(n, "cstoken");
}

void sbx_relay_copy(sbx_device_t *from, sbx_device_t *to, const wagw_jid_t *chat, bool lid, const wagw_node_t *n,
                    const wagw_node_t *encs)
{
    bool pkmsg, own;
    wagw_jid_t jid;
    wagw_node_t *m;
    wagw_arena_t a = {0};
    const char *const *key;
    const wagw_node_t *k;
    sbx_account_t *peer;
    static const char *const copied[] = {"type", "edit", "category", "push_priority", NULL};

    own = from->account == to->account;
    if (!own && sbx_map_get(&to->account->blocked, from->account->lid) != NULL) {
        return; /* the sender is not told */
    }
    m = wagw_node(&a, "message");
    jid = sbx_device_jid(from, lid);
    wagw_node_attr_jid(&a, m, "from", &jid);
    wagw_node_attr(&a, m, "id", wagw_node_get(n, "id"));
    for (key = copied; *key != NULL; key++) {
        if (wagw_node_has(n, *key)) {
            wagw_node_attr(&a, m, *key, wagw_node_get(n, *key));
        }
    }
    wagw_node_attr_int(&a, m, "t", sbx_now_s());
    wagw_node_attr(&a, m, "notify", wagw_cstr(from->account->name));

    if (!own) {
        jid = sbx_device_jid(from, !lid);
        wagw_node_attr_jid(&a, m, lid ? "sender_pn" : "sender_lid", &jid);
    } else if (chat != NULL) {
        /* an own copy names the chat, and never the sender's other address:
         * the client would take that for the peer's */
        jid = wagw_jid_user(chat);
        wagw_node_attr_jid(&a, m, "recipient", &jid);
        peer = sbx_account_jid(&jid);
        if (peer != NULL) {
            jid = sbx_account_jid_of(peer, !lid);
            wagw_node_attr_jid(&a, m, lid ? "peer_recipient_pn" : "peer_recipient_lid", &jid);
        }
    }

    pkmsg = false;
    for (k = encs->child; k != NULL; k = k->next) {
        if (wagw_node_is(k, "enc")) {
            pkmsg |= wagw_node_attr_is(k, "type", "pkmsg");
            wagw_node_append(m, wagw_node_clone(&a, k));
        }
    }
    for (k = n->child; k != NULL; k = k->next) {
        if (!sbx_relay_skips(k) || (pkmsg && wagw_node_is(k, "device-identity"))) {
            wagw_node_append(m, wagw_node_clone(&a, k));
        }
    }

    to->messages_out++;
    sbx_deliver(to, m);
    wagw_arena_free(&a);
}

void sbx_message_ack(sbx_conn_t *c, const wagw_node_t *n, int error, const char *phash)
{
    wagw_jid_t jid;
    wagw_node_t *k;
    wagw_arena_t a = {0};

    k = wagw_node(&a, "ack");
    wagw_node_attrc(&a, k, "class", "message");
    wagw_node_attr(&a, k, "id", wagw_node_get(n, "id"));
    if (wagw_node_get_jid(n, "to", &jid) == WAGW_OK) {
        wagw_node_attr_jid(&a, k, "from", &jid);
    } else {
        wagw_node_attr_server(&a, k, "from");
    }
    wagw_node_attr_int(&a, k, "t", sbx_now_s());
    if (error != 0) {
        wagw_node_attr_int(&a, k, "error", error);
    }
    if (phash != NULL) {
        wagw_node_attr(&a, k, "phash", wagw_cstr(phash));
    }
    sbx_send(c, k);
    wagw_arena_free(&a);
}

static uint64_t sbx_fingerprint(uint64_t h, wagw_str_t s)
{
    size_t i;

    for (i = 0; i < s.n; i++) {
        h = (h ^ s.p[i]) * 0x100000001b3ULL;
    }
    return (h ^ s.n) * 0x100000001b3ULL;
}

/*
 * A client repeats a send that it got no ack for, same id and ciphertext: it
 * is acknowledged again and not relayed again.  A retry resend has the id,
 * but other bytes.
 */
static bool sbx_message_seen(sbx_device_t *d, const wagw_node_t *n)
{
    uint64_t h;
    unsigned i;
    const wagw_node_t *p, *to;

    h = sbx_fingerprint(0xcbf29ce484222325ULL, wagw_node_get(n, "id"));
    h = sbx_fingerprint(h, wagw_node_data(wagw_node_find(n, "enc")));
    p = wagw_node_find(n, "participants");
    for (to = p ? p->child : NULL; to != NULL; to = to->next) {
        h = sbx_fingerprint(h, wagw_node_data(wagw_node_find(to, "enc")));
    }
    for (i = 0; i < sizeof(d->recent) / sizeof(d->recent[0]); i++) {
        if (d->recent[i] == h) {
            return true;
        }
    }
    d->recent[d->recent_next] = h;
    d->recent_next = (uint8_t)((d->recent_next + 1) % (sizeof(d->recent) / sizeof(d->recent[0])));
    return false;
}

void sbx_check_identity(sbx_device_t *d, const wagw_node_t *n, const wagw_node_t *encs)
{
    const wagw_node_t *e;

    for (e = encs->child; e != NULL; e = e->next) {
        if (wagw_node_is(e, "enc") && wagw_node_attr_is(e, "type", "pkmsg") &&
            !wagw_str_eq(wagw_node_data(wagw_node_find(n, "device-identity")), wagw_buf_view(&d->adv))) {
            sbx_fault(d, "message %.*s: pkmsg without the own device-identity", (int)wagw_node_get(n, "id").n,
                      (const char *)wagw_node_get(n, "id").p);
            return;
        }
    }
}

/* Every device of the two accounts but the sending one must have its copy. */
static bool sbx_fanout_complete(sbx_device_t *d, const sbx_account_t *peer, const wagw_node_t *participants)
{
    int pass;
    bool found, ok;
    wagw_jid_t jid;
    const sbx_device_t *x;
    const sbx_account_t *acc;
    const wagw_node_t *to;

    ok = true;
    for (pass = 0; pass < 2; pass++) {
        acc = pass ? peer : d->account;
        if (pass && peer == d->account) {
            break;
        }
        for (x = acc->devices; x != NULL; x = x->next) {
            found = x == d || (x->id != 0 && x->adv.n == 0);
            for (to = participants->child; to != NULL && !found; to = to->next) {
                found = wagw_node_get_jid(to, "jid", &jid) == WAGW_OK && sbx_account_jid(&jid) == acc &&
                        jid.device == x->id;
            }
            ok = ok && found;
        }
    }
    return ok;
}

static bool sbx_one_namespace(const wagw_jid_t *to, const wagw_node_t *participants)
{
    wagw_jid_t jid;
    const wagw_node_t *k;

    for (k = participants->child; k != NULL; k = k->next) {
        if (wagw_node_get_jid(k, "jid", &jid) != WAGW_OK || wagw_jid_is_lid(&jid) != wagw_jid_is_lid(to)) {
            return false;
        }
    }
    return true;
}

static void sbx_message_fanout(sbx_conn_t *c, const wagw_node_t *n, const wagw_jid_t *to, sbx_account_t *peer,
                               const wagw_node_t *participants)
{
    bool lid, complete;
    char hash[16];
    wagw_jid_t jid;
    wagw_str_t mine;
    sbx_device_t *d, *dest;
    sbx_account_t *acc;
    const wagw_node_t *k;

    d = c->device;
    lid = wagw_jid_is_lid(to);

    if (!sbx_one_namespace(to, participants)) {
        sbx_fault(d, "message %.*s mixes LID and phone number addresses", (int)wagw_node_get(n, "id").n,
                  (const char *)wagw_node_get(n, "id").p);
        sbx_message_ack(c, n, 400, NULL);
        return;
    }

    complete = sbx_fanout_complete(d, peer, participants);
    sbx_devices_hash(hash, d->account, peer, lid);
    mine = wagw_node_get(n, "phash");
    if (mine.n != 0) {
        complete = complete && wagw_str_eq(mine, wagw_cstr(hash));
    }
    if (!complete) {
        sbx_fault(d, "message %.*s: not every device has a copy, or the phash is another one",
                  (int)wagw_node_get(n, "id").n, (const char *)wagw_node_get(n, "id").p);
    }
    sbx_message_ack(c, n, 0, complete ? NULL : hash);

    sbx_account_watch(peer, d->account);
    sbx_account_watch(d->account, peer);
    for (k = participants->child; k != NULL; k = k->next) {
        if (wagw_node_get_jid(k, "jid", &jid) != WAGW_OK) {
            continue;
        }
        acc = sbx_account_jid(&jid);
        dest = acc ? sbx_device_get(acc, jid.device) : NULL;
        if (dest == NULL || (acc != peer && acc != d->account) || dest == d) {
            sbx_fault(d, "message %.*s to a device that is none of the chat", (int)wagw_node_get(n, "id").n,
                      (const char *)wagw_node_get(n, "id").p);
            continue;
        }
        sbx_check_identity(d, n, k);
        sbx_relay_copy(d, dest, to, lid, n, k);
    }
}

static void sbx_message_single(sbx_conn_t *c, const wagw_node_t *n, const wagw_jid_t *to, sbx_account_t *peer)
{
    wagw_jid_t chat;
    sbx_device_t *d, *dest;

    d = c->device;
    dest = sbx_device_get(peer, to->device);
    if (dest == NULL || dest == d) {
        sbx_fault(d, "message %.*s to a device that does not exist", (int)wagw_node_get(n, "id").n,
                  (const char *)wagw_node_get(n, "id").p);
        sbx_message_ack(c, n, 404, NULL);
        return;
    }
    sbx_message_ack(c, n, 0, NULL);
    sbx_check_identity(d, n, n);

    /* a resend to an own device says which chat it belongs to; a peer message belongs to none */
    if (wagw_node_get_jid(n, "recipient", &chat) != WAGW_OK) {
        chat = *to;
        sbx_relay_copy(d, dest, wagw_node_attr_is(n, "category", "peer") || peer == d->account ? NULL : &chat,
                       wagw_jid_is_lid(to), n, n);
        return;
    }
    sbx_relay_copy(d, dest, &chat, wagw_jid_is_lid(to), n, n);
}

void sbx_message(sbx_conn_t *c, const wagw_node_t *n)
{
    int code;
    bool silent;
    wagw_jid_t to;
    sbx_device_t *d;
    sbx_account_t *peer;
    const wagw_node_t *participants, *enc;

    d = c->device;
    d->messages_in++;
    sbx.messages++;

    silent = false;
    code = sbx_ack_rule(d, &silent);
    if (code != 0) {
        if (!silent) {
            sbx_message_ack(c, n, code, NULL);
        }
        return;
    }

    if (wagw_node_get(n, "id").n == 0 || wagw_node_get_jid(n, "to", &to) != WAGW_OK ||
        wagw_node_get(n, "type").n == 0) {
        sbx_fault(d, "message without id, to or type");
        sbx_message_ack(c, n, 479, NULL);
        return;
    }
    if (!wagw_jid_is_person(&to) && !wagw_jid_is_group(&to) && !wagw_jid_is_status(&to)) {
        sbx_unhandled(c, n);
        sbx_message_ack(c, n, 404, NULL);
        return;
    }
    if (sbx_message_seen(d, n)) {
        sbx_message_ack(c, n, 0, NULL);
        return;
    }
    if (wagw_jid_is_group(&to)) {
        sbx_group_message(c, n, &to);
        return;
    }
    if (wagw_jid_is_status(&to)) {
        sbx_status_message(c, n, &to);
        return;
    }
    peer = sbx_account_jid(&to);
    if (peer == NULL) {
        sbx_message_ack(c, n, 404, NULL);
        return;
    }

    participants = wagw_node_find(n, "participants");
    enc = wagw_node_find(n, "enc");
    if (enc != NULL && (participants == NULL || wagw_node_has(enc, "count"))) {
        sbx_message_single(c, n, &to, peer);
    } else if (participants != NULL && participants->nchildren != 0) {
        if (to.device != 0) {
            sbx_fault(d, "message to a device with participants");
        }
        sbx_message_fanout(c, n, &to, peer, participants);
    } else {
        sbx_fault(d, "message %.*s without any enc", (int)wagw_node_get(n, "id").n,
                  (const char *)wagw_node_get(n, "id").p);
        sbx_message_ack(c, n, 479, NULL);
    }
}

/* ---- receipts ---- */

static void sbx_receipt_copy(const sbx_device_t *from, sbx_device_t *to, bool lid, const wagw_jid_t *recipient,
                             const wagw_node_t *n)
{
    wagw_jid_t jid;
    wagw_node_t *r;
    wagw_arena_t a = {0};
    const wagw_node_t *k;

    r = wagw_node(&a, "receipt");
    jid = sbx_device_jid(from, lid);
    wagw_node_attr_jid(&a, r, "from", &jid);
    wagw_node_attr(&a, r, "id", wagw_node_get(n, "id"));
    if (wagw_node_has(n, "type")) {
        wagw_node_attr(&a, r, "type", wagw_node_get(n, "type"));
    }
    wagw_node_attr_int(&a, r, "t", sbx_now_s());
    if (recipient != NULL) {
        wagw_node_attr_jid(&a, r, "recipient", recipient);
    }
    for (k = n->child; k != NULL; k = k->next) {
        wagw_node_append(r, wagw_node_clone(&a, k));
    }
    sbx_deliver(to, r);
    wagw_arena_free(&a);
}

void sbx_relay_receipt(sbx_device_t *from, const wagw_node_t *n)
{
    bool lid, self, has_recipient;
    wagw_jid_t to, recipient;
    wagw_str_t type;
    sbx_device_t *d;
    sbx_account_t *acc;

    if (wagw_node_get_jid(n, "to", &to) != WAGW_OK) {
        return;
    }
    if (wagw_jid_is_group(&to) || to.server == WAGW_SRV_BROADCAST) {
        sbx_group_receipt(from, n, &to);
        return;
    }
    acc = wagw_jid_is_person(&to) ? sbx_account_jid(&to) : NULL;
    if (acc == NULL) {
        return;
    }
    lid = wagw_jid_is_lid(&to);
    type = wagw_node_get(n, "type");
    has_recipient = wagw_node_get_jid(n, "recipient", &recipient) == WAGW_OK;

    /* for one device: retry, and what own devices tell each other */
    if (wagw_str_is(type, "retry") || wagw_str_is(type, "sender") || wagw_str_is(type, "peer_msg") ||
        wagw_str_is(type, "hist_sync") || wagw_str_is(type, "server-error")) {
        d = sbx_device_get(acc, to.device);
        if (d != NULL && d == sbx_phone(from->account) && wagw_str_is(type, "server-error")) {
            sbx_media_retry(from, n);
            return;
        }
        if (d != NULL && d != from) {
            sbx_receipt_copy(from, d, lid, has_recipient ? &recipient : NULL, n);
        }
        return;
    }

    self = wagw_str_is(type, "read-self") || wagw_str_is(type, "played-self");
    if (!self && acc != from->account) {
        for (d = acc->devices; d != NULL; d = d->next) {
            sbx_receipt_copy(from, d, lid, NULL, n);
        }
    }

    /* what was read here is read on the own other devices too */
    if (self || wagw_str_is(type, "read") || wagw_str_is(type, "played")) {
        recipient = wagw_jid_user(&to);
        for (d = from->account->devices; d != NULL; d = d->next) {
            if (d != from) {
                sbx_receipt_copy(from, d, lid, &recipient, n);
            }
        }
    }
}

void sbx_receipt(sbx_conn_t *c, const wagw_node_t *n)
{
    wagw_jid_t jid;
    wagw_node_t *k;
    wagw_arena_t a = {0};
    sbx_device_t *d;
    const char *const *key;
    static const char *const jids[] = {"participant", "recipient", NULL};

    d = c->device;
    sbx.receipts++;
    sbx_acknowledged(d, n);

    k = wagw_node(&a, "ack");
    wagw_node_attrc(&a, k, "class", "receipt");
    wagw_node_attr(&a, k, "id", wagw_node_get(n, "id"));
    if (wagw_node_get_jid(n, "to", &jid) == WAGW_OK) {
        wagw_node_attr_jid(&a, k, "from", &jid);
    }
    if (wagw_node_has(n, "type")) {
        wagw_node_attr(&a, k, "type", wagw_node_get(n, "type"));
    }
    for (key = jids; *key != NULL; key++) {
        if (wagw_node_get_jid(n, *key, &jid) == WAGW_OK) {
            wagw_node_attr_jid(&a, k, *key, &jid);
        }
    }
    sbx_send(c, k);
    wagw_arena_free(&a);

    sbx_relay_receipt(d, n);
}
