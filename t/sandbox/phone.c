/*
 * Mock phones and mock users: device 0 of an account as a Signal endpoint
 * over the record cache, which here is the store itself (nothing is ever
 * behind it).  What arrives is decrypted when somebody looks, unless the
 * account is `eager`.
 */

#include "sandbox.h"

#include "../../core/message/message.h"

#include <stdio.h>
#include <stdlib.h>

#define SBX_WAITING_MAX 500
#define SBX_INBOX_MAX 1000
#define SBX_RETRIES 4

struct sbx_waiting_s {
    sbx_waiting_t *next;
    sbx_stanza_t *stanza;
};

int sbx_signal_init(void)
{
    sbx.cache = wagw_cache_create((size_t)1 << 40);
    if (sbx.cache == NULL) {
        return WAGW_NOMEM;
    }
    return wagw_signal_create(&sbx.signal, sbx_random, NULL);
}

void sbx_signal_reset(void)
{
    wagw_cache_destroy(sbx.cache);
    sbx.cache = wagw_cache_create((size_t)1 << 40);
    if (sbx.cache == NULL) {
        abort();
    }
}

/* Every miss is absent; the turn runs again until it misses nothing. */
int sbx_turn(sbx_account_t *a, sbx_turn_pt fn, void *data)
{
    int rc, round;
    wagw_txn_t t;
    wagw_load_t *l, *copy, *asked;
    wagw_batch_t *batch;
    wagw_signal_self_t self;

    memset(&t, 0, sizeof(t));
    memset(&self, 0, sizeof(self));
    self.identity = &a->identity;
    self.registration_id = a->registration_id;
    asked = NULL;
    rc = WAGW_AGAIN;

    for (round = 0; rc == WAGW_AGAIN && round < 64; round++) {
        wagw_txn_begin(&t, sbx.cache, a->index);
        t.scans_asked = asked;
        wagw_signal_bind(sbx.signal, &t, &self);
        sbx.txn = &t;
        rc = fn(a, data);
        if (rc == WAGW_OK) {
            break;
        }
        wagw_txn_rollback(&t);
        if (rc == WAGW_AGAIN) {
            for (l = t.misses; l != NULL; l = l->next) {
                copy = sbx_alloc(sizeof(wagw_load_t));
                *copy = *l;
                copy->next = asked;
                asked = copy;
            }
            wagw_cache_fill(sbx.cache, a->index, t.misses, NULL);
        }
    }

    if (rc == WAGW_OK) {
        batch = wagw_batch_create(a->index, ++a->seq);
        if (batch == NULL || wagw_txn_commit(&t, batch) != WAGW_OK) {
            rc = WAGW_NOMEM;
        }
        wagw_cache_committed(sbx.cache, a->index, a->seq);
        wagw_batch_destroy(batch);
    }
    wagw_txn_free(&t);
    while ((l = asked) != NULL) {
        asked = l->next;
        free(l);
    }
    return rc;
}

static int sbx_turn_bundle(sbx_account_t *a, void *data)
{
    int rc;
    wagw_bundle_t *b;

    b = data;
    rc = wagw_signal_make_prekey(sbx.signal, a->next_prekey, true, b->prekey);
    if (rc == WAGW_OK && !a->has_spk) {
        rc = wagw_signal_make_signed_prekey(sbx.signal, 1, sbx_now_ms(), a->spk, a->spk_sig);
    }
    return rc;
}

int sbx_phone_bundle(sbx_account_t *a, wagw_bundle_t *b)
{
    int rc;

    memset(b, 0, sizeof(*b));
    rc = sbx_turn(a, sbx_turn_bundle, b);
    if (rc != WAGW_OK) {
        return rc;
    }
    a->has_spk = true;
    b->has_prekey = true;
    b->prekey_id = a->next_prekey++;
    b->registration_id = a->registration_id;
    memcpy(b->identity, a->identity.pub, 32);
    b->spk_id = 1;
    memcpy(b->spk, a->spk, 32);
    memcpy(b->spk_sig, a->spk_sig, 64);
    return WAGW_OK;
}

/* ---- receiving ---- */

typedef struct {
    wagw_signal_addr_t from;
    bool prekey;
    wagw_str_t in;
    wagw_buf_t out;
} sbx_decrypt_t;

static int sbx_turn_decrypt(sbx_account_t *a, void *data)
{
    bool changed;
    sbx_decrypt_t *d;

    (void)a;
    d = data;
    wagw_buf_reset(&d->out);
    return wagw_signal_decrypt(sbx.signal, &d->from, d->prekey, d->in, &d->out, &changed);
}

static sbx_inbox_t *sbx_inbox_get(sbx_account_t *a, const char *id, const char *from)
{
    sbx_inbox_t *e;

    for (e = a->inbox; e != NULL; e = e->next) {
        if (strcmp(e->id, id) == 0 && strcmp(e->from, from) == 0) {
            return e;
        }
    }
    return NULL;
}

static void sbx_inbox_free(sbx_inbox_t *e)
{
    free(e->id);
    free(e->from);
    free(e->chat);
    free(e->error);
    wagw_buf_free(&e->message);
    wagw_buf_free(&e->bytes);
    free(e);
}

static sbx_inbox_t *sbx_inbox_add(sbx_account_t *a, const char *id, const char *from)
{
    sbx_inbox_t *e;

    e = sbx_alloc(sizeof(sbx_inbox_t));
    e->id = sbx_strdup(id);
    e->from = sbx_strdup(from);
    if (a->inbox_last != NULL) {
        a->inbox_last->next = e;
    } else {
        a->inbox = e;
    }
    a->inbox_last = e;
    if (++a->inbox_count > SBX_INBOX_MAX) {
        a->inbox_count--;
        e = a->inbox;
        a->inbox = e->next;
        sbx_inbox_free(e);
    }
    return a->inbox_last;
}

/* Who wrote a message, as device. */
static sbx_account_t *sbx_phone_author(const wagw_node_t *n, wagw_jid_t *device)
{
    if (wagw_node_get_jid(n, "participant", device) != WAGW_OK && wagw_node_get_jid(n, "from", device) != WAGW_OK) {
        return NULL;
    }
    return sbx_account_jid(device);
}

static void sbx_phone_receipt_to(sbx_account_t *a, const wagw_node_t *n, const char *type, bool own)
{
    wagw_jid_t jid;
    wagw_node_t *r;
    wagw_arena_t arena = {0};

    if (wagw_node_get_jid(n, "from", &jid) != WAGW_OK) {
        return;
    }
    r = wagw_node(&arena, "receipt");
    wagw_node_attr(&arena, r, "id", wagw_node_get(n, "id"));
    wagw_node_attr_jid(&arena, r, "to", &jid);
    if (type != NULL) {
        wagw_node_attrc(&arena, r, "type", type);
    }
    if (wagw_node_get_jid(n, "participant", &jid) == WAGW_OK) {
        wagw_node_attr_jid(&arena, r, "participant", &jid);
    }
    if (own && wagw_node_get_jid(n, "recipient", &jid) == WAGW_OK) {
        wagw_node_attr_jid(&arena, r, "recipient", &jid);
    }
    sbx_relay_receipt(sbx_phone(a), r);
    wagw_arena_free(&arena);
}

/* "I could not read it": with keys from the second time on. */
static void sbx_phone_retry(sbx_account_t *a, const wagw_node_t *n, unsigned count)
{
    uint8_t b[4];
    wagw_jid_t jid;
    wagw_node_t *r, *k, *p;
    wagw_arena_t arena = {0};
    wagw_bundle_t bundle;

    if (wagw_node_get_jid(n, "from", &jid) != WAGW_OK) {
        return;
    }
    r = wagw_node(&arena, "receipt");
    wagw_node_attr(&arena, r, "id", wagw_node_get(n, "id"));
    wagw_node_attr_jid(&arena, r, "to", &jid);
    wagw_node_attrc(&arena, r, "type", "retry");
    if (wagw_node_get_jid(n, "recipient", &jid) == WAGW_OK) {
        wagw_node_attr_jid(&arena, r, "recipient", &jid);
    }
    if (wagw_node_get_jid(n, "participant", &jid) == WAGW_OK) {
        wagw_node_attr_jid(&arena, r, "participant", &jid);
    }
    k = wagw_node_child(&arena, r, "retry");
    wagw_node_attr_int(&arena, k, "count", count);
    wagw_node_attr(&arena, k, "id", wagw_node_get(n, "id"));
    wagw_node_attr(&arena, k, "t", wagw_node_get(n, "t"));
    wagw_node_attrc(&arena, k, "v", "1");
    sbx_be(b, a->registration_id, 4);
    wagw_node_bytes_copy(&arena, wagw_node_child(&arena, r, "registration"), wagw_str(b, 4));

    if (count > 1 && sbx_phone_bundle(a, &bundle) == WAGW_OK) {
        k = wagw_node_child(&arena, r, "keys");
        wagw_node_bytes(wagw_node_child(&arena, k, "type"), WAGW_STR("\x05"));
        wagw_node_bytes(wagw_node_child(&arena, k, "identity"), wagw_str(bundle.identity, 32));
        p = wagw_node_child(&arena, k, "key");
        sbx_be(b, bundle.prekey_id, 3);
        wagw_node_bytes_copy(&arena, wagw_node_child(&arena, p, "id"), wagw_str(b, 3));
        wagw_node_bytes(wagw_node_child(&arena, p, "value"), wagw_str(bundle.prekey, 32));
        p = wagw_node_child(&arena, k, "skey");
        sbx_be(b, bundle.spk_id, 3);
        wagw_node_bytes_copy(&arena, wagw_node_child(&arena, p, "id"), wagw_str(b, 3));
        wagw_node_bytes(wagw_node_child(&arena, p, "value"), wagw_str(bundle.spk, 32));
        wagw_node_bytes(wagw_node_child(&arena, p, "signature"), wagw_str(bundle.spk_sig, 64));
    }
    sbx_relay_receipt(sbx_phone(a), r);
    wagw_arena_free(&arena);
}

static void sbx_phone_echo(sbx_account_t *a, sbx_account_t *to, const char *chat, const wagw_content_t *m, bool lid)
{
    char id[64];
    sbx_send_how_t how;

    if (m->is != WAGW_IS_CONTENT) {
        return;
    }
    if (strstr(chat, "@g.us") != NULL) {
        if (!to->mock_user) { /* two of them would never end */
            sbx_group_phone_answer(a, chat, m->content);
        }
        return;
    }
    memset(&how, 0, sizeof(how));
    how.lid = lid;
    sbx_phone_send(a, to, m->content, &how, id);
}

/* What becomes of one decrypted plaintext. */
static int sbx_phone_content(sbx_account_t *a, sbx_inbox_t *e, const wagw_node_t *n, wagw_str_t plain,
                             sbx_account_t *sender)
{
    int rc;
    bool lid, own, group;
    wagw_jid_t jid;
    wagw_arena_t arena = {0};
    wagw_content_t m;
    sbx_device_t *d;

    rc = wagw_unpad(&plain);
    if (rc == WAGW_OK) {
        memset(&m, 0, sizeof(m));
        rc = wagw_message_read(&m, &arena, plain);
    }
    if (rc != WAGW_OK) {
        wagw_arena_free(&arena);
        return rc;
    }

    own = sender == a;
    group = wagw_node_has(n, "participant");
    if (m.skdm.n != 0 && sbx_phone_author(n, &jid) != NULL) {
        char *name;

        name = sbx_strndup(m.skdm_group);
        rc = sbx_phone_skdm(a, name, sender, jid.device, m.skdm);
        free(name);
        if (rc != WAGW_OK || m.is == WAGW_IS_NOTHING) {
            wagw_arena_free(&arena);
            return rc;
        }
    }
    wagw_buf_reset(&e->message);
    wagw_message_json(&e->message, m.content.n ? m.content : plain);
    wagw_buf_reset(&e->bytes);
    wagw_buf_str(&e->bytes, m.content.n ? m.content : plain);
    free(e->error);
    e->error = NULL;
    sbx_changed();

    lid = wagw_node_get_jid(n, "from", &jid) == WAGW_OK && wagw_jid_is_lid(&jid);
    if (own && !group && m.dsm_to.n == 0 && !wagw_node_attr_is(n, "category", "peer")) {
        sbx_fault(sender->devices->next, "own copy of message %s is not a deviceSentMessage", e->id);
    }
    if (wagw_node_attr_is(n, "category", "peer")) {
        sbx_phone_receipt_to(a, n, "peer_msg", true);
        d = own && jid.device != 0 ? sbx_device_get(a, jid.device) : NULL;
        if (d != NULL) {
            sbx_phone_asked(d, e->id, wagw_buf_view(&e->bytes));
        }
    } else if (a->auto_receipt && a->eager) {
        sbx_phone_receipt_to(a, n, own ? "sender" : NULL, own);
    }
    if (!own && a->auto_read && m.is == WAGW_IS_CONTENT) {
        sbx_phone_receipt_to(a, n, "read", false);
    }
    if (!own && a->echo) {
        sbx_phone_echo(a, sender, e->chat, &m, lid);
    }
    wagw_arena_free(&arena);
    return WAGW_OK;
}

static void sbx_phone_decrypt(sbx_account_t *a, const wagw_node_t *n)
{
    int rc;
    bool dup;
    char *id, *from;
    wagw_jid_t jid, dev, chat;
    char text[WAGW_JID_TEXT_MAX];
    sbx_inbox_t *e;
    sbx_decrypt_t d;
    sbx_account_t *sender;
    const wagw_node_t *enc;

    sender = sbx_phone_author(n, &jid);
    if (sender == NULL || wagw_node_get_jid(n, "from", &chat) != WAGW_OK) {
        return;
    }

    id = sbx_strndup(wagw_node_get(n, "id"));
    wagw_jid_text(&jid, text);
    from = sbx_strdup(text);
    e = sbx_inbox_get(a, id, from);
    if (e == NULL) {
        e = sbx_inbox_add(a, id, from);
        e->t = sbx_now_ms();
        e->from_me = sender == a;
        chat = wagw_jid_user(&chat);
        if (sender == a) {
            wagw_node_get_jid(n, "recipient", &chat);
        }
        wagw_jid_text(&chat, text);
        e->chat = sbx_strdup(text);
    }
    free(id);
    free(from);

    memset(&d, 0, sizeof(d));
    dev = sbx_account_jid_of(sender, true);
    dev.device = jid.device;
    d.from = wagw_signal_addr(&dev);

    rc = WAGW_NOT_FOUND;
    dup = false;
    for (enc = wagw_node_find(n, "enc"); enc != NULL; enc = wagw_node_find_next(enc, "enc")) {
        d.prekey = wagw_node_attr_is(enc, "type", "pkmsg");
        d.in = wagw_node_data(enc);
        if (d.prekey || wagw_node_attr_is(enc, "type", "msg")) {
            rc = sbx_turn(a, sbx_turn_decrypt, &d);
        } else if (wagw_node_attr_is(enc, "type", "skmsg")) {
            rc = sbx_phone_skmsg(a, e->chat, sender, jid.device, d.in, &d.out);
        } else {
            continue;
        }
        dup = rc == WAGW_DUPLICATE;
        if (rc == WAGW_OK) {
            rc = sbx_phone_content(a, e, n, wagw_buf_view(&d.out), sender);
        }
        if (rc != WAGW_OK) {
            break;
        }
    }
    wagw_buf_wipe(&d.out);

    if (rc != WAGW_OK && !dup && e->message.n == 0) {
        free(e->error);
        e->error = sbx_strdup(wagw_rc_name(rc));
        if (e->retries < SBX_RETRIES) {
            sbx_phone_retry(a, n, ++e->retries);
        }
        sbx_changed();
    }
}

void sbx_phone_read(sbx_account_t *a)
{
    wagw_node_t *n;
    wagw_arena_t arena = {0};
    sbx_waiting_t *w;

    if (a->reading) {
        return; /* an echo sends, and sending reads first */
    }
    a->reading = true;
    while ((w = a->waiting) != NULL) {
        a->waiting = w->next;
        if (a->waiting == NULL) {
            a->waiting_last = NULL;
        }
        a->waiting_count--;
        n = sbx_stanza_node(&arena, w->stanza);
        if (n != NULL) {
            sbx_phone_decrypt(a, n);
        }
        wagw_arena_reset(&arena);
        sbx_stanza_unref(w->stanza);
        free(w);
    }
    a->reading = false;
    wagw_arena_free(&arena);
}

void sbx_phone_message(sbx_account_t *a, const wagw_node_t *n)
{
    wagw_jid_t jid;
    sbx_waiting_t *w;

    w = sbx_alloc(sizeof(sbx_waiting_t));
    w->stanza = sbx_stanza(n);
    if (a->waiting_last != NULL) {
        a->waiting_last->next = w;
    } else {
        a->waiting = w;
    }
    a->waiting_last = w;
    sbx_changed();

    if (a->auto_receipt && !a->eager && !wagw_node_attr_is(n, "category", "peer") &&
        sbx_phone_author(n, &jid) != NULL) {
        sbx_phone_receipt_to(a, n, sbx_account_jid(&jid) == a ? "sender" : NULL, sbx_account_jid(&jid) == a);
    }
    if (++a->waiting_count > SBX_WAITING_MAX || a->eager || a->echo || a->auto_read ||
        wagw_node_attr_is(n, "category", "peer")) {
        sbx_phone_read(a);
    }
}

void sbx_phone_free(sbx_account_t *a)
{
    sbx_inbox_t *e;
    sbx_waiting_t *w;

    while ((w = a->waiting) != NULL) {
        a->waiting = w->next;
        sbx_stanza_unref(w->stanza);
        free(w);
    }
    while ((e = a->inbox) != NULL) {
        a->inbox = e->next;
        sbx_inbox_free(e);
    }
    sbx_sent_free(a);
    cJSON_Delete(a->events);
    cJSON_Delete(a->products);
}
