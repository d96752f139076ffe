/*
 * Retries (04 section 14): asking for what we could not decrypt, and serving
 * those who could not decrypt ours.
 *
 * Records of kind RETRY: "in|<chat>|<id>|<device>" our requests so far;
 * "out|<chat>|<id>|<device>" requests served and the base key seen at count 2;
 * "new|<signal address>" when a session was last made anew for a retry.
 */

#include "client_i.h"

#define OUR_REQUESTS_MAX 4
#define THEIR_REQUESTS_MAX 10
#define RECREATE_MS 3600000
#define PHONE_DELAY_MS 5000

enum { TAG_COUNT = 1, TAG_BASE_KEY, TAG_AT };

typedef struct {
    uint64_t count;
    uint8_t base_key[33];
    bool has_base;
    int64_t at;
} retry_t;

static wagw_str_t retry_key(wagw_turn_t *t, const char *what, const wagw_jid_t *chat, wagw_str_t id,
                            const wagw_jid_t *device)
{
    char c[WAGW_JID_TEXT_MAX], d[WAGW_JID_TEXT_MAX];
    wagw_str_t s;

    wagw_jid_text(chat, c);
    wagw_jid_text(device, d);
    s = wagw_arena_printf(&t->arena, "%s|%s|%.*s|%s", what, c, (int)(id.n < 100 ? id.n : 100), (const char *)id.p, d);
    if (s.n >= WAGW_KEY_MAX) {
        s.n = WAGW_KEY_MAX - 1;
    }
    return s;
}

static int retry_get(wagw_turn_t *t, wagw_str_t key, retry_t *r)
{
    int rc;
    uint8_t tag;
    uint64_t u;
    wagw_str_t v, s;
    wagw_tlv_t in;

    memset(r, 0, sizeof(*r));
    rc = wagw_txn_get(&t->txn, WAGW_REC_RETRY, key, &v);
    if (rc == WAGW_NOT_FOUND) {
        return WAGW_OK;
    }
    WAGW_TRY(rc);
    in = (wagw_tlv_t){v, 0};
    while (wagw_tlv_next(&in, &tag, &u, &s) == WAGW_OK) {
        if (tag == TAG_COUNT) {
            r->count = u;
        } else if (tag == TAG_AT) {
            r->at = (int64_t)u;
        } else if (tag == TAG_BASE_KEY && s.n == sizeof(r->base_key)) {
            memcpy(r->base_key, s.p, s.n);
            r->has_base = true;
        }
    }
    return WAGW_OK;
}

static int retry_put(wagw_turn_t *t, wagw_str_t key, const retry_t *r)
{
    int rc;
    wagw_buf_t b = {0};

    wagw_tlv_put_u(&b, TAG_COUNT, r->count);
    wagw_tlv_put_u(&b, TAG_AT, (uint64_t)r->at);
    if (r->has_base) {
        wagw_tlv_put_s(&b, TAG_BASE_KEY, wagw_str(r->base_key, sizeof(r->base_key)));
    }
    rc = b.failed ? WAGW_NOMEM : wagw_txn_put(&t->txn, WAGW_REC_RETRY, key, wagw_buf_view(&b));
    wagw_buf_free(&b);
    return rc;
}

/* ---- ours ---------------------------------------------------------------------- */

static int retry_reason(int rc)
{
    switch (rc) {
    case WAGW_NO_SESSION:
        return 1;
    case WAGW_NO_PREKEY:
        return 3;
    case WAGW_CRYPTO:
        return 7;
    case WAGW_MALFORMED:
        return 4;
    default:
        return 0;
    }
}

static const char *reason_name(int rc)
{
    switch (rc) {
    case WAGW_NO_SESSION:
        return "no_session";
    case WAGW_NO_PREKEY:
        return "no_prekey";
    case WAGW_CRYPTO:
        return "bad_mac";
    case WAGW_MALFORMED:
        return "malformed";
    default:
        return "unknown";
    }
}

static int add_keys(wagw_turn_t *t, wagw_node_t *r)
{
    uint8_t pub[32];
    uint32_t id;
    wagw_node_t *keys, *key;
    const wagw_creds_t *me;

    WAGW_TRY(wagw_prekeys_retry_key(t, &id, pub));
    me = wagw_turn_me(t);
    keys = wagw_node_child(&t->arena, r, "keys");
    wagw_node_bytes(wagw_node_child(&t->arena, keys, "type"), WAGW_STR("\x05"));
    wagw_node_bytes_copy(&t->arena, wagw_node_child(&t->arena, keys, "identity"), wagw_str(me->identity.pub, 32));
    key = wagw_node_child(&t->arena, keys, "key");
    wagw_node_bytes(wagw_node_child(&t->arena, key, "id"), wagw_be(&t->arena, id, 3));
    wagw_node_bytes_copy(&t->arena, wagw_node_child(&t->arena, key, "value"), wagw_str(pub, 32));
    WAGW_TRY(wagw_prekeys_skey(t, keys));
    return wagw_stanza_identity(t, keys);
}

int wagw_retry_request(wagw_turn_t *t, const wagw_incoming_t *in, int rc, bool direct_enc, uint32_t enc_count,
                       bool hide)
{
    uint64_t count, stamp;
    retry_t r, made;
    wagw_jid_t j;
    wagw_buf_t b = {0};
    wagw_str_t key, chat, made_key;
    wagw_node_t *n, *retry;
    wagw_json_t json;
    wagw_signal_t *s;
    wagw_signal_addr_t addr;

    key = retry_key(t, "in", &in->chat, in->id, &in->sender);
    WAGW_TRY(retry_get(t, key, &r));
    count = (r.count ? r.count : enc_count) + 1;

    if (count <= OUR_REQUESTS_MAX) {
        n = wagw_node(&t->arena, "receipt");
        wagw_node_attr(&t->arena, n, "id", in->id);
        wagw_node_attr_jid(&t->arena, n, "to", &in->from);
        if (wagw_node_has(in->node, "participant")) {
            wagw_node_attr_jid(&t->arena, n, "participant", &in->sender);
        }
        if (wagw_node_get_jid(in->node, "recipient", &j) == WAGW_OK) {
            wagw_node_attr_jid(&t->arena, n, "recipient", &j);
        }
        wagw_node_attrc(&t->arena, n, "type", "retry");
        if (in->peer) {
            wagw_node_attrc(&t->arena, n, "category", "peer");
        }
        retry = wagw_node_child(&t->arena, n, "retry");
        wagw_node_attr_int(&t->arena, retry, "count", (int64_t)count);
        wagw_node_attr(&t->arena, retry, "id", in->id);
        if (wagw_node_get_u64(in->node, "t", &stamp) == WAGW_OK) {
            wagw_node_attr(&t->arena, retry, "t", wagw_node_get(in->node, "t"));
        } else {
            wagw_node_attr_int(&t->arena, retry, "t", in->t_ms / 1000);
        }
        wagw_node_attrc(&t->arena, retry, "v", "1");
        if (retry_reason(rc)) {
            wagw_node_attr_int(&t->arena, retry, "error", retry_reason(rc));
        }
        wagw_node_bytes(wagw_node_child(&t->arena, n, "registration"),
                        wagw_be(&t->arena, wagw_turn_me(t)->registration_id, 4));

        if (count >= 2) {
            /* the session is of no use any more: at most one deletion an hour */
            WAGW_TRY(wagw_lid_signal(t, &in->sender, &addr));
            made_key = wagw_arena_printf(&t->arena, "del|%s.%u", addr.name, addr.device);
            WAGW_TRY(retry_get(t, made_key, &made));
            if (made.at == 0 || t->now - made.at > RECREATE_MS) {
                s = wagw_turn_signal(t);
                if (s == NULL) {
                    return WAGW_NOMEM;
                }
                WAGW_TRY(wagw_signal_delete_session(s, &addr));
                made.at = t->now;
                WAGW_TRY(retry_put(t, made_key, &made));
            }
        }
        if (count >= 2 || !direct_enc) {
            WAGW_TRY(add_keys(t, n));
        }
        WAGW_TRY(wagw_turn_send(t, n));
        r.count = count;
        r.at = t->now;
        WAGW_TRY(retry_put(t, key, &r));
    }
    WAGW_TRY(wagw_ack(t, in->node, 0));

    if (count == 1) {
        WAGW_TRY(wagw_phone_want(t, in, PHONE_DELAY_MS));
    }
    if (!hide && !in->peer && (count == 1 || count == OUR_REQUESTS_MAX + 1)) {
        chat = wagw_jid_str(&t->arena, &in->chat);
        json = wagw_json(&b);
        wagw_json_open(&json, '{');
        wagw_json_kstr(&json, "messageId", in->id);
        wagw_json_kstr(&json, "chatId", chat);
        wagw_json_kstr(&json, "from", in->from_me ? WAGW_STR("") : wagw_jid_str(&t->arena, &in->author));
        wagw_json_kcstr(&json, "reason", reason_name(rc));
        wagw_json_kint(&json, "retry", (int64_t)count);
        wagw_json_close(&json);
        return wagw_event_emit(t, "message.undecryptable", chat, &b);
    }
    return WAGW_OK;
}

static void unwant_then(wagw_client_t *c, void *arg)
{
    for (wagw_ask_t *a = c->asks; a; a = a->next) {
        if (strcmp(a->id, arg) == 0) {
            a->due = INT64_MAX / 2; /* it came: nobody is asked */
            memset(a->id, 0, sizeof(a->id));
        }
    }
}

int wagw_retry_clear(wagw_turn_t *t, const wagw_incoming_t *in)
{
    char id[68] = {0};
    retry_t r;
    wagw_str_t key;

    if (!wagw_node_has(wagw_node_find(in->node, "enc"), "count")) {
        return WAGW_OK;
    }
    key = retry_key(t, "in", &in->chat, in->id, &in->sender);
    WAGW_TRY(retry_get(t, key, &r));
    if (r.count == 0) {
        return WAGW_OK;
    }
    if (in->id.n < sizeof(id)) {
        memcpy(id, in->id.p, in->id.n);
        WAGW_TRY(wagw_turn_then(t, unwant_then, id, sizeof(id)));
    }
    return wagw_txn_del(&t->txn, WAGW_REC_RETRY, key);
}

/* ---- theirs ------------------------------------------------------------------------ */

typedef struct {
    wagw_str_t id;
    wagw_jid_t device; /* who asks, wire form */
    wagw_jid_t to;     /* `from` of the receipt */
    wagw_jid_t chat;   /* canonical */
    wagw_jid_t recipient, participant;
    wagw_str_t edit, t;
    uint64_t count;
    bool own;
} asked_t;

static int resend(wagw_turn_t *t, const asked_t *a, const wagw_row_message_t *row)
{
    int rc;
    bool prekey = false;
    wagw_buf_t b = {0};
    wagw_str_t message = row->content;
    const char *mediatype;
    wagw_node_t *n, *enc;
    wagw_signal_addr_t addr;

    if (message.n == 0) {
        return WAGW_OK; /* revoked meanwhile */
    }
    if (a->own) {
        rc = wagw_message_dsm(&b, row->content, row->to.n ? row->to : row->chat);
        message = rc == WAGW_OK ? wagw_arena_str(&t->arena, wagw_buf_view(&b)) : WAGW_STR_NULL;
        wagw_buf_free(&b);
        WAGW_TRY(rc);
        if (message.p == NULL) {
            return WAGW_NOMEM;
        }
    }
    if (wagw_jid_is_group(&a->to) || wagw_jid_is_status(&a->to)) {
        WAGW_TRY(wagw_lid_signal(t, &a->device, &addr));
        rc = wagw_group_resend(t, &a->to, &addr, &b, row->content);
        message = rc == WAGW_OK ? wagw_arena_str(&t->arena, wagw_buf_view(&b)) : WAGW_STR_NULL;
        wagw_buf_free(&b);
        WAGW_TRY(rc);
        if (message.p == NULL) {
            return WAGW_NOMEM;
        }
    }
    n = wagw_node(&t->arena, "message");
    wagw_node_attr(&t->arena, n, "id", a->id);
    wagw_node_attr_jid(&t->arena, n, "to", &a->to);
    wagw_node_attr(&t->arena, n, "type", row->stanza_type.n ? row->stanza_type : WAGW_STR("text"));
    wagw_node_attr(&t->arena, n, "t", a->t);
    if (wagw_jid_is_person(&a->chat)) {
        wagw_node_attrc(&t->arena, n, "device_fanout", "false");
    }
    if (!wagw_jid_empty(&a->participant)) {
        wagw_node_attr_jid(&t->arena, n, "participant", &a->participant);
    }
    if (!wagw_jid_empty(&a->recipient)) {
        wagw_node_attr_jid(&t->arena, n, "recipient", &a->recipient);
    }
    if (a->edit.n || row->edit.n) {
        wagw_node_attr(&t->arena, n, "edit", a->edit.n ? a->edit : row->edit);
    }
    rc = wagw_stanza_enc(t, n, &a->device, message, &prekey, &enc);
    if (rc == WAGW_NO_SESSION || rc == WAGW_NOT_FOUND) {
        wagw_client_log(t->c, WAGW_LOG_INFO, "no session for a resend");
        return WAGW_OK;
    }
    WAGW_TRY(rc);
    wagw_node_attr_int(&t->arena, enc, "count", (int64_t)a->count);
    if (wagw_str_is(row->stanza_type, "media") &&
        (mediatype = wagw_message_mediatype(&t->arena, row->content)) != NULL) {
        wagw_node_attrc(&t->arena, enc, "mediatype", mediatype);
    }
    if (row->edit.n || wagw_str_is(row->stanza_type, "reaction")) {
        wagw_node_attrc(&t->arena, enc, "decrypt-fail", "hide");
    }
    if (prekey) {
        WAGW_TRY(wagw_stanza_identity(t, n));
    }
    return wagw_turn_send(t, n);
}

static int asked_of(wagw_turn_t *t, const wagw_node_t *n, asked_t *a)
{
    wagw_jid_t from, chat;
    const wagw_node_t *retry = wagw_node_find(n, "retry");

    memset(a, 0, sizeof(*a));
    a->id = wagw_node_get(n, "id");
    if (retry == NULL || wagw_node_get_jid(n, "from", &from) != WAGW_OK ||
        wagw_node_get_u64(retry, "count", &a->count) != WAGW_OK || a->count == 0 || a->count > 1000) {
        return WAGW_MALFORMED;
    }
    a->to = from;
    a->device = from;
    a->t = wagw_node_get(retry, "t");
    a->edit = wagw_node_get(n, "edit");
    if (wagw_node_get_jid(n, "participant", &a->participant) == WAGW_OK) {
        a->device = a->participant;
    } else {
        memset(&a->participant, 0, sizeof(a->participant));
    }
    if (wagw_node_get_jid(n, "recipient", &a->recipient) != WAGW_OK) {
        memset(&a->recipient, 0, sizeof(a->recipient));
    }
    if (!wagw_jid_is_person(&a->device)) {
        return WAGW_MALFORMED;
    }
    a->own = wagw_is_me(t->c, &a->device) && wagw_jid_is_person(&from);
    chat = a->own && !wagw_jid_empty(&a->recipient) ? a->recipient : from;
    return wagw_chat_canonical(t, &chat, &a->chat);
}

/*
 * A resend that needs a bundle first waits as a record: "wait|<signal
 * address>|<id>" holds the receipt, so that the answer finds all that wait for
 * the device and nothing is kept in memory.
 */
static wagw_str_t wait_key(wagw_turn_t *t, const wagw_signal_addr_t *addr, wagw_str_t id)
{
    return wagw_arena_printf(&t->arena, "wait|%s.%u|%.*s", addr->name, addr->device, (int)(id.n < 100 ? id.n : 100),
                             (const char *)id.p);
}

typedef struct {
    wagw_turn_t *t;
    wagw_str_t values[16];
    wagw_str_t keys[16];
    size_t n;
} waiting_t;

static int waiting_one(void *data, wagw_str_t key, wagw_str_t value)
{
    waiting_t *w = data;

    if (w->n < sizeof(w->keys) / sizeof(w->keys[0])) {
        w->keys[w->n] = wagw_arena_str(&w->t->arena, key);
        w->values[w->n] = wagw_arena_str(&w->t->arena, value);
        w->n++;
    }
    return 0;
}

static int serve_stored(wagw_turn_t *t, wagw_str_t value)
{
    int rc;
    asked_t a;
    wagw_node_t *n;
    wagw_row_message_t row;

    if (wagw_node_decode(&n, &t->arena, value) != WAGW_OK) {
        return WAGW_OK;
    }
    rc = asked_of(t, n, &a);
    if (rc == WAGW_OK) {
        rc = wagw_turn_message(t, wagw_jid_str(&t->arena, &a.chat), a.id, WAGW_STR(""), &row);
    }
    if (rc == WAGW_OK) {
        rc = resend(t, &a, &row);
    }
    return rc == WAGW_NOT_FOUND || rc == WAGW_MALFORMED ? WAGW_OK : rc;
}

static int serve_with_bundle(wagw_turn_t *t, const wagw_node_t *node, uint64_t arg)
{
    size_t ndead;
    retry_t made = {0};
    waiting_t w;
    wagw_jid_t *dead, jid;
    wagw_signal_addr_t addr;
    const wagw_node_t *u;

    (void)arg;
    if (node == NULL || wagw_iq_error(node, NULL)) {
        return WAGW_OK;
    }
    WAGW_TRY(wagw_bundles_answer(t, node, &dead, &ndead));
    made.at = t->now;
    for (u = wagw_node_find(wagw_node_find(node, "list"), "user"); u; u = wagw_node_find_next(u, "user")) {
        if (wagw_node_get_jid(u, "jid", &jid) != WAGW_OK) {
            continue;
        }
        WAGW_TRY(wagw_lid_signal(t, &jid, &addr));
        memset(&w, 0, sizeof(w));
        w.t = t;
        WAGW_TRY(wagw_txn_scan(&t->txn, WAGW_REC_RETRY, wait_key(t, &addr, WAGW_STR("")), waiting_one, &w));
        for (size_t i = 0; i < w.n; i++) {
            WAGW_TRY(serve_stored(t, w.values[i]));
            WAGW_TRY(wagw_txn_del(&t->txn, WAGW_REC_RETRY, w.keys[i]));
        }
        WAGW_TRY(retry_put(t, wagw_arena_printf(&t->arena, "new|%s.%u", addr.name, addr.device), &made));
    }
    return WAGW_OK;
}

/* 04 section 14.4 step 4.  *need: a bundle must be fetched. */
static int serve_session(wagw_turn_t *t, const wagw_node_t *n, const asked_t *a, retry_t *r,
                         const wagw_signal_addr_t *addr, bool *need)
{
    int rc;
    bool changed;
    uint8_t base[33];
    retry_t made;
    uint32_t reg = 0, theirs = 0;
    wagw_str_t v = wagw_node_data(wagw_node_find(n, "registration"));
    wagw_bundle_t b;
    wagw_signal_t *s = wagw_turn_signal(t);

    *need = false;
    if (s == NULL) {
        return WAGW_NOMEM;
    }
    if (wagw_node_find(n, "keys")) {
        rc = wagw_bundle_parse(n, &b);
        return rc == WAGW_OK ? wagw_signal_process_bundle(s, addr, &b, &changed) : rc;
    }
    rc = wagw_signal_session_info(s, addr, &reg, base);
    if (rc == WAGW_NOT_FOUND) {
        *need = true;
        return WAGW_OK;
    }
    WAGW_TRY(rc);
    if (v.n == 4) {
        theirs = (uint32_t)v.p[0] << 24 | (uint32_t)v.p[1] << 16 | (uint32_t)v.p[2] << 8 | v.p[3];
        if (theirs != reg) {
            *need = true;
            return wagw_signal_delete_session(s, addr);
        }
    }
    if (a->count == 2) {
        memcpy(r->base_key, base, sizeof(r->base_key));
        r->has_base = true;
    } else if (a->count > 2 && r->has_base && memcmp(r->base_key, base, sizeof(base)) == 0) {
        *need = true;
        return wagw_signal_delete_session(s, addr);
    }
    if (a->count >= 2) {
        WAGW_TRY(retry_get(t, wagw_arena_printf(&t->arena, "new|%s.%u", addr->name, addr->device), &made));
        *need = made.at == 0 || t->now - made.at > RECREATE_MS;
    }
    return WAGW_OK;
}

int wagw_retry_serve(wagw_turn_t *t, const wagw_node_t *n)
{
    int rc;
    bool need, may;
    retry_t r;
    asked_t a;
    wagw_buf_t b = {0};
    wagw_str_t key;
    wagw_row_message_t row;
    wagw_signal_addr_t addr;

    rc = asked_of(t, n, &a);
    if (rc == WAGW_MALFORMED) {
        return WAGW_OK;
    }
    WAGW_TRY(rc);
    rc = wagw_turn_message(t, wagw_jid_str(&t->arena, &a.chat), a.id, WAGW_STR(""), &row);
    if (rc == WAGW_NOT_FOUND) {
        wagw_client_log(t->c, WAGW_LOG_INFO, "a retry is asked for a message that is not stored");
        return WAGW_OK;
    }
    WAGW_TRY(rc);
    if (wagw_jid_is_status(&a.chat)) {
        WAGW_TRY(wagw_story_may_have(t, &row, &a.device, &may));
        if (!may) {
            wagw_client_log(t->c, WAGW_LOG_INFO, "a retry is asked for a status that is old or was not for the device");
            return WAGW_OK;
        }
    }

    key = retry_key(t, "out", &a.chat, a.id, &a.device);
    WAGW_TRY(retry_get(t, key, &r));
    if (r.count + 1 >= THEIR_REQUESTS_MAX) {
        wagw_client_log(t->c, WAGW_LOG_INFO, "a retry was asked for too often");
        return WAGW_OK;
    }
    WAGW_TRY(wagw_lid_signal(t, &a.device, &addr));
    rc = serve_session(t, n, &a, &r, &addr, &need);
    if (rc == WAGW_MALFORMED || rc == WAGW_CRYPTO || rc == WAGW_NOT_FOUND) {
        wagw_client_log(t->c, WAGW_LOG_WARN, "the keys of a retry receipt are not usable");
        return WAGW_OK;
    }
    WAGW_TRY(rc);
    r.count++;
    r.at = t->now;
    WAGW_TRY(retry_put(t, key, &r));

    if (!need) {
        return resend(t, &a, &row);
    }
    rc = wagw_node_encode(&b, n);
    if (rc == WAGW_OK) {
        rc = wagw_txn_put(&t->txn, WAGW_REC_RETRY, wait_key(t, &addr, a.id), wagw_buf_view(&b));
    }
    wagw_buf_free(&b);
    WAGW_TRY(rc);
    return wagw_bundles_query(t, &a.device, 1, serve_with_bundle, 0);
}
