/*
 * What phones and mock users send: fan-out over every device, own copies for
 * the companions, resends on retry receipts.
 */

#include "sandbox.h"

#include "../../core/message/message.h"

#include <stdio.h>
#include <stdlib.h>

#define SBX_SENT_MAX 200

struct sbx_sent_s {
    sbx_sent_t *next;
    char *id;
    wagw_buf_t message;
    sbx_account_t *to; /* NULL: to a group */
    char *group;       /* its JID, or NULL */
    bool lid;
    const char *category; /* static, or NULL */
};

void sbx_sent_free(sbx_account_t *a)
{
    sbx_sent_t *s;

    while ((s = a->sent) != NULL) {
        a->sent = s->next;
        free(s->id);
        free(s->group);
        wagw_buf_free(&s->message);
        free(s);
    }
}

void sbx_sent_add(sbx_account_t *a, const char *id, sbx_account_t *to, const char *group, wagw_str_t message,
                  const sbx_send_how_t *how)
{
    sbx_sent_t *s, **p;

    s = sbx_alloc(sizeof(sbx_sent_t));
    s->id = sbx_strdup(id);
    s->to = to;
    s->group = group ? sbx_strdup(group) : NULL;
    s->lid = how->lid;
    s->category = how->category;
    wagw_buf_str(&s->message, message);
    s->next = a->sent;
    a->sent = s;
    if (++a->sent_count > SBX_SENT_MAX) {
        a->sent_count--;
        for (p = &a->sent; (*p)->next != NULL; p = &(*p)->next) {
        }
        free((*p)->id);
        free((*p)->group);
        wagw_buf_free(&(*p)->message);
        free(*p);
        *p = NULL;
    }
}

typedef struct {
    wagw_signal_addr_t to;
    const wagw_bundle_t *bundle; /* NULL: the session is there */
    wagw_bundle_t taken;
    wagw_str_t plain;
    wagw_buf_t out;
    bool prekey;
} sbx_encrypt_t;

static int sbx_turn_has_session(sbx_account_t *a, void *data)
{
    int rc;
    sbx_encrypt_t *e;

    (void)a;
    e = data;
    rc = wagw_signal_has_session(sbx.signal, &e->to);
    e->prekey = rc == WAGW_NOT_FOUND; /* borrowed: no session */
    return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
}

static int sbx_turn_encrypt(sbx_account_t *a, void *data)
{
    int rc;
    bool changed;
    sbx_encrypt_t *e;

    (void)a;
    e = data;
    wagw_buf_reset(&e->out);
    if (e->bundle != NULL) {
        rc = wagw_signal_process_bundle(sbx.signal, &e->to, e->bundle, &changed);
        if (rc != WAGW_OK) {
            return rc;
        }
    }
    return wagw_signal_encrypt(sbx.signal, &e->to, e->plain, &e->out, &e->prekey);
}

static int sbx_encrypt_for(sbx_account_t *a, sbx_device_t *d, wagw_str_t message, const wagw_bundle_t *given,
                           sbx_encrypt_t *e)
{
    int rc;
    uint8_t r;
    wagw_jid_t jid;
    wagw_buf_t plain = {0};

    jid = sbx_device_jid(d, true);
    e->to = wagw_signal_addr(&jid);
    e->bundle = given;
    if (given == NULL) {
        rc = sbx_turn(a, sbx_turn_has_session, e);
        if (rc == WAGW_OK && e->prekey) {
            rc = sbx_bundle_take(d, &e->taken);
            e->bundle = &e->taken;
        }
        if (rc != WAGW_OK) {
            return rc;
        }
    }

    sbx_random(NULL, &r, 1);
    wagw_buf_str(&plain, message);
    wagw_pad(&plain, r);
    e->plain = wagw_buf_view(&plain);
    rc = plain.failed ? WAGW_NOMEM : sbx_turn(a, sbx_turn_encrypt, e);
    wagw_buf_wipe(&plain);
    return rc;
}

int sbx_phone_encrypt(sbx_account_t *a, sbx_device_t *d, wagw_str_t message, const wagw_bundle_t *given,
                      wagw_buf_t *out, bool *prekey)
{
    int rc;
    sbx_encrypt_t e;

    memset(&e, 0, sizeof(e));
    rc = sbx_encrypt_for(a, d, message, given, &e);
    if (rc == WAGW_OK) {
        wagw_buf_str(out, wagw_buf_view(&e.out));
        *prekey = e.prekey;
    }
    wagw_buf_free(&e.out);
    return rc;
}

static const char *sbx_stanza_type(const wagw_content_t *m)
{
    static const char *const media[] = {"image", "video", "audio", "voice", "document", "file", "sticker", NULL};
    int i;

    if (m->is == WAGW_IS_REACTION) {
        return "reaction";
    }
    if (m->is == WAGW_IS_POLL_VOTE || (m->proto_name && strncmp(m->proto_name, "pollCreation", 12) == 0)) {
        return "poll";
    }
    for (i = 0; m->type != NULL && media[i] != NULL; i++) {
        if (strcmp(m->type, media[i]) == 0) {
            return "media";
        }
    }
    return "text";
}

static int sbx_send_one(sbx_account_t *from, sbx_device_t *d, const wagw_node_t *n, const wagw_jid_t *chat,
                        wagw_str_t message, const wagw_bundle_t *given, const sbx_send_how_t *how, bool damage)
{
    int rc;
    wagw_node_t *encs, *enc;
    wagw_arena_t a = {0};
    sbx_encrypt_t e;

    memset(&e, 0, sizeof(e));
    rc = sbx_encrypt_for(from, d, message, given, &e);
    if (rc == WAGW_OK) {
        if (damage) {
            e.out.p[e.out.n - 10] ^= 0x40;
        }
        encs = wagw_node(&a, "to");
        enc = wagw_node_child(&a, encs, "enc");
        wagw_node_attrc(&a, enc, "v", "2");
        wagw_node_attrc(&a, enc, "type", e.prekey ? "pkmsg" : "msg");
        if (how->count != 0) {
            wagw_node_attr_int(&a, enc, "count", how->count);
        }
        wagw_node_bytes(enc, wagw_buf_view(&e.out));
        sbx_relay_copy(sbx_phone(from), d, chat, how->lid, n, encs);
    }
    wagw_arena_free(&a);
    wagw_buf_free(&e.out);
    return rc;
}

wagw_node_t *sbx_message_stanza(wagw_arena_t *a, const sbx_account_t *from, wagw_str_t message,
                                const sbx_send_how_t *how, char id[64])
{
    uint8_t r[16];
    char made[24];
    wagw_node_t *n;
    wagw_content_t m;

    memset(&m, 0, sizeof(m));
    if (wagw_message_read(&m, a, message) != WAGW_OK) {
        return NULL;
    }
    if (how->id != NULL) {
        snprintf(id, 64, "%s", how->id);
    } else {
        sbx_random(NULL, r, sizeof(r));
        wagw_message_id(made, sbx_now_s(), wagw_cstr(from->pn), r);
        /* phones write 3A… ids */
        snprintf(id, 64, "3A%s", made + 4);
    }

    n = wagw_node(a, "message");
    wagw_node_attr(a, n, "id", wagw_arena_str(a, wagw_cstr(id)));
    wagw_node_attrc(a, n, "type", sbx_stanza_type(&m));
    if (how->category != NULL) {
        wagw_node_attrc(a, n, "category", how->category);
    }
    if (m.is == WAGW_IS_EDIT) {
        wagw_node_attrc(a, n, "edit", "1");
    } else if (m.is == WAGW_IS_REVOKE) {
        wagw_node_attrc(a, n, "edit", "7");
    }
    return n;
}

int sbx_phone_send(sbx_account_t *from, sbx_account_t *to, wagw_str_t message, const sbx_send_how_t *how, char id[64])
{
    int rc, last;
    bool damage;
    char chat_text[WAGW_JID_TEXT_MAX];
    wagw_jid_t chat;
    wagw_buf_t dsm = {0};
    wagw_node_t *n;
    wagw_arena_t a = {0};
    sbx_device_t *d, *next, *victim;

    /* what waits may hold the peer's session: without it both sides would open one */
    sbx_phone_read(from);

    n = sbx_message_stanza(&a, from, message, how, id);
    if (n == NULL) {
        wagw_arena_free(&a);
        return WAGW_MALFORMED;
    }
    chat = sbx_account_jid_of(to, how->lid);
    wagw_jid_text(&chat, chat_text);

    if (how->count == 0) {
        sbx_sent_add(from, id, to, NULL, message, how);
    }
    last = WAGW_OK;

    if (how->only != NULL) {
        rc = sbx_send_one(from, how->only, n, NULL, message, NULL, how, how->bad_enc);
        wagw_arena_free(&a);
        return rc;
    }

    sbx_account_watch(to, from);
    sbx_account_watch(from, to);
    victim = NULL;
    if (how->bad_enc) {
        victim = to->devices->next ? to->devices->next : to->devices;
    }
    for (d = to != from ? to->devices : NULL; d != NULL; d = next) {
        next = d->next;
        damage = d == victim;
        rc = sbx_send_one(from, d, n, &chat, message, NULL, how, damage);
        last = rc != WAGW_OK ? rc : last;
    }

    if (from->devices->next != NULL) {
        wagw_message_dsm(&dsm, message, wagw_cstr(chat_text));
        for (d = from->devices->next; d != NULL; d = next) {
            next = d->next;
            rc = sbx_send_one(from, d, n, &chat, wagw_buf_view(&dsm), NULL, how, to == from && d == victim);
            last = rc != WAGW_OK ? rc : last;
        }
        wagw_buf_free(&dsm);
    }
    wagw_arena_free(&a);
    return last;
}

/* ---- receipts that reach the phone ---- */

static bool sbx_keys_parse(const wagw_node_t *n, wagw_bundle_t *b)
{
    wagw_str_t reg, ident, id, v, s;
    const wagw_node_t *keys, *k;

    keys = wagw_node_find(n, "keys");
    reg = wagw_node_data(wagw_node_find(n, "registration"));
    ident = wagw_node_data(keys ? wagw_node_find(keys, "identity") : NULL);
    k = keys ? wagw_node_find(keys, "skey") : NULL;
    id = wagw_node_data(k ? wagw_node_find(k, "id") : NULL);
    v = wagw_node_data(k ? wagw_node_find(k, "value") : NULL);
    s = wagw_node_data(k ? wagw_node_find(k, "signature") : NULL);
    if (reg.n != 4 || ident.n != 32 || id.n != 3 || v.n != 32 || s.n != 64) {
        return false;
    }

    memset(b, 0, sizeof(*b));
    b->registration_id = sbx_be_read(reg.p, 4);
    memcpy(b->identity, ident.p, 32);
    b->spk_id = sbx_be_read(id.p, 3);
    memcpy(b->spk, v.p, 32);
    memcpy(b->spk_sig, s.p, 64);

    k = wagw_node_find(keys, "key");
    id = wagw_node_data(k ? wagw_node_find(k, "id") : NULL);
    v = wagw_node_data(k ? wagw_node_find(k, "value") : NULL);
    if (id.n == 3 && v.n == 32) {
        b->has_prekey = true;
        b->prekey_id = sbx_be_read(id.p, 3);
        memcpy(b->prekey, v.p, 32);
    }
    return true;
}

static void sbx_phone_resend(sbx_account_t *a, const wagw_node_t *receipt, sbx_device_t *d)
{
    char *id, chat_text[WAGW_JID_TEXT_MAX];
    uint64_t count;
    wagw_jid_t chat;
    wagw_buf_t dsm = {0};
    wagw_node_t *n;
    wagw_arena_t arena = {0};
    wagw_bundle_t bundle;
    const wagw_bundle_t *given;
    sbx_sent_t *s;
    sbx_send_how_t how;
    wagw_content_t m;
    const wagw_node_t *retry;

    id = sbx_strndup(wagw_node_get(receipt, "id"));
    for (s = a->sent; s != NULL && strcmp(s->id, id) != 0; s = s->next) {
    }
    free(id);
    retry = wagw_node_find(receipt, "retry");
    if (s == NULL || retry == NULL || wagw_node_get_u64(retry, "count", &count) != WAGW_OK || count > 5) {
        return;
    }

    given = NULL;
    if (wagw_node_find(receipt, "keys") != NULL) {
        if (!sbx_keys_parse(receipt, &bundle)) {
            sbx_fault(d, "retry receipt %s: its keys are malformed", s->id);
            return;
        }
        given = &bundle;
    } else if (count > 1 && sbx_bundle_take(d, &bundle) == WAGW_OK) {
        given = &bundle;
    }

    memset(&m, 0, sizeof(m));
    if (wagw_message_read(&m, &arena, wagw_buf_view(&s->message)) != WAGW_OK) {
        wagw_arena_free(&arena);
        return;
    }
    if (s->group != NULL) {
        sbx_group_phone_resend(a, s->group, sbx_stanza_type(&m), s->id, wagw_buf_view(&s->message), d, given,
                               (unsigned)count);
        wagw_arena_free(&arena);
        return;
    }
    memset(&how, 0, sizeof(how));
    how.lid = s->lid;
    how.count = (unsigned)count;
    chat = sbx_account_jid_of(s->to, s->lid);
    wagw_jid_text(&chat, chat_text);

    n = wagw_node(&arena, "message");
    wagw_node_attr(&arena, n, "id", wagw_cstr(s->id));
    wagw_node_attrc(&arena, n, "type", sbx_stanza_type(&m));
    if (s->category != NULL) {
        wagw_node_attrc(&arena, n, "category", s->category);
        sbx_send_one(a, d, n, NULL, wagw_buf_view(&s->message), given, &how, false);
    } else if (d->account == a) {
        wagw_message_dsm(&dsm, wagw_buf_view(&s->message), wagw_cstr(chat_text));
        sbx_send_one(a, d, n, &chat, wagw_buf_view(&dsm), given, &how, false);
        wagw_buf_free(&dsm);
    } else {
        sbx_send_one(a, d, n, &chat, wagw_buf_view(&s->message), given, &how, false);
    }
    wagw_arena_free(&arena);
}

void sbx_phone_receipt(sbx_account_t *a, const wagw_node_t *n)
{
    char *text;
    cJSON *e;
    wagw_jid_t jid;
    sbx_device_t *d;
    sbx_account_t *acc;
    wagw_attr_t *at;

    if (a->events == NULL) {
        a->events = cJSON_CreateArray();
    }
    e = cJSON_CreateObject();
    cJSON_AddStringToObject(e, "event", "receipt");
    for (at = n->attrs; at != NULL; at = at->next) {
        char *key;

        key = sbx_strndup(at->key);
        text = sbx_strndup(at->value);
        cJSON_AddStringToObject(e, key, text);
        free(key);
        free(text);
    }
    cJSON_AddItemToArray(a->events, e);
    if (cJSON_GetArraySize(a->events) > 200) {
        cJSON_DeleteItemFromArray(a->events, 0);
    }
    sbx_changed();

    if (wagw_node_attr_is(n, "type", "retry") &&
        (wagw_node_get_jid(n, "participant", &jid) == WAGW_OK || wagw_node_get_jid(n, "from", &jid) == WAGW_OK)) {
        acc = sbx_account_jid(&jid);
        d = acc ? sbx_device_get(acc, jid.device) : NULL;
        if (d != NULL) {
            sbx_phone_resend(a, n, d);
        }
    }
}
