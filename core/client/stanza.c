/*
 * The <message> stanza of a direct message: one ciphertext per device (04
 * sections 7 and 8).
 */

#include "client_i.h"

static wagw_str_t own_dsm(wagw_turn_t *t, const wagw_stanza_t *s, int *rc)
{
    char to[WAGW_JID_TEXT_MAX];
    size_t n = wagw_jid_text(&s->to, to);
    wagw_buf_t b = {0};
    wagw_str_t v;

    *rc = wagw_message_dsm(&b, s->message, wagw_str(to, n));
    v = *rc == WAGW_OK ? wagw_arena_str(&t->arena, wagw_buf_view(&b)) : WAGW_STR_NULL;
    if (*rc == WAGW_OK && v.p == NULL) {
        *rc = WAGW_NOMEM;
    }
    wagw_buf_free(&b);
    return v;
}

int wagw_stanza_enc(wagw_turn_t *t, wagw_node_t *parent, const wagw_jid_t *device, wagw_str_t message, bool *prekey,
                    wagw_node_t **enc)
{
    int rc;
    bool pk = false;
    uint8_t pad;
    wagw_buf_t plain = {0}, out = {0};
    wagw_node_t *n;
    wagw_signal_t *s = wagw_turn_signal(t);
    wagw_signal_addr_t addr;

    if (s == NULL) {
        return WAGW_NOMEM;
    }
    WAGW_TRY(wagw_lid_signal(t, device, &addr));
    wagw_turn_random(t, &pad, 1);
    wagw_buf_reserve(&plain, message.n + 16);
    wagw_buf_str(&plain, message);
    rc = wagw_pad(&plain, pad);
    if (rc == WAGW_OK) {
        rc = wagw_signal_encrypt(s, &addr, wagw_buf_view(&plain), &out, &pk);
    }
    if (rc == WAGW_OK) {
        n = wagw_node_child(&t->arena, parent, "enc");
        wagw_node_attrc(&t->arena, n, "v", "2");
        wagw_node_attrc(&t->arena, n, "type", pk ? "pkmsg" : "msg");
        if (wagw_node_bytes_copy(&t->arena, n, wagw_buf_view(&out)) == NULL) {
            rc = WAGW_NOMEM;
        } else {
            *prekey = *prekey || pk;
            if (enc) {
                *enc = n;
            }
        }
    }
    wagw_buf_wipe(&plain);
    wagw_buf_free(&out);
    return rc;
}

int wagw_stanza_identity(wagw_turn_t *t, wagw_node_t *parent)
{
    const wagw_creds_t *me = wagw_turn_me(t);

    return wagw_node_bytes_copy(&t->arena, wagw_node_child(&t->arena, parent, "device-identity"),
                                wagw_str(me->adv, me->adv_len))
               ? WAGW_OK
               : WAGW_NOMEM;
}

void wagw_stanza_biz(wagw_turn_t *t, wagw_node_t *parent, const char *biz, bool direct)
{
    wagw_node_t *n, *flow;

    if (direct) {
        wagw_node_attrc(&t->arena, wagw_node_child(&t->arena, parent, "bot"), "biz_bot", "1");
    }
    n = wagw_node_child(&t->arena, parent, "biz");
    wagw_node_attrc(&t->arena, n, "actual_actors", "2");
    wagw_node_attrc(&t->arena, n, "host_storage", "2");
    wagw_node_attr_int(&t->arena, n, "privacy_mode_ts", t->now / 1000);
    flow = wagw_node_child(&t->arena, n, "interactive");
    wagw_node_attrc(&t->arena, flow, "type", "native_flow");
    wagw_node_attrc(&t->arena, flow, "v", "1");
    flow = wagw_node_child(&t->arena, flow, "native_flow");
    wagw_node_attrc(&t->arena, flow, "v", "9");
    wagw_node_attrc(&t->arena, flow, "name", biz);
    wagw_node_attrc(&t->arena, wagw_node_child(&t->arena, n, "quality_control"), "source_type", "third_party");
}

int wagw_stanza_report(wagw_turn_t *t, wagw_node_t *parent, wagw_str_t message, wagw_str_t id, const wagw_jid_t *self,
                       const wagw_jid_t *chat)
{
    size_t n;
    uint8_t token[16];
    wagw_node_t *k;
    wagw_jid_t to = wagw_jid_user(chat);

    WAGW_TRY(
        wagw_reporting_token_of(token, &n, message, id, wagw_jid_str(&t->arena, self), wagw_jid_str(&t->arena, &to)));
    if (n) {
        k = wagw_node_child(&t->arena, wagw_node_child(&t->arena, parent, "reporting"), "reporting_token");
        wagw_node_attrc(&t->arena, k, "v", "2");
        if (wagw_node_bytes_copy(&t->arena, k, wagw_str(token, n)) == NULL) {
            return WAGW_NOMEM;
        }
    }
    return WAGW_OK;
}

void wagw_stanza_meta(wagw_turn_t *t, wagw_node_t *parent, const char *type, const char *polltype)
{
    bool event = strcmp(type, "event") == 0;
    wagw_node_t *meta;

    if (event || polltype) {
        meta = wagw_node_child(&t->arena, parent, "meta");
        wagw_node_attrc(&t->arena, meta, event ? "event_type" : "polltype", event ? "creation" : polltype);
    }
}

int wagw_stanza_message(wagw_turn_t *t, const wagw_stanza_t *s, const wagw_jid_t *devices, size_t n, wagw_buf_t *out)
{
    int rc;
    bool prekey = false, self_chat = wagw_is_me(t->c, &s->to), own;
    size_t peers = 0;
    wagw_str_t dsm = WAGW_STR_NULL;
    wagw_node_t *m, *parts, *to, *enc;
    wagw_signal_t *sig = wagw_turn_signal(t);
    wagw_signal_addr_t addr;

    if (sig == NULL) {
        return WAGW_NOMEM;
    }
    m = wagw_node(&t->arena, "message");
    wagw_node_attr(&t->arena, m, "id", s->id);
    wagw_node_attr_jid(&t->arena, m, "to", &s->to);
    wagw_node_attrc(&t->arena, m, "type", s->type);
    if (s->edit) {
        wagw_node_attrc(&t->arena, m, "edit", s->edit);
    }
    if (!wagw_jid_empty(&s->pn)) {
        wagw_node_attr_jid(&t->arena, m, "peer_recipient_pn", &s->pn);
    }
    parts = wagw_node_child(&t->arena, m, "participants");

    for (size_t i = 0; i < n; i++) {
        if (wagw_is_this_device(t->c, &devices[i])) {
            continue;
        }
        WAGW_TRY(wagw_lid_signal(t, &devices[i], &addr));
        rc = wagw_signal_has_session(sig, &addr);
        if (rc == WAGW_NOT_FOUND) {
            continue;
        }
        WAGW_TRY(rc);
        own = wagw_is_me(t->c, &devices[i]);
        if (own && dsm.p == NULL) {
            dsm = own_dsm(t, s, &rc);
            WAGW_TRY(rc);
        }
        to = wagw_node_child(&t->arena, parts, "to");
        wagw_node_attr_jid(&t->arena, to, "jid", &devices[i]);
        WAGW_TRY(wagw_stanza_enc(t, to, &devices[i], own ? dsm : s->message, &prekey, &enc));
        if (s->mediatype) {
            wagw_node_attrc(&t->arena, enc, "mediatype", s->mediatype);
        }
        if (s->hide_fail || s->edit) {
            wagw_node_attrc(&t->arena, enc, "decrypt-fail", "hide");
        }
        if (!own || self_chat) {
            peers++;
        }
    }
    if (peers == 0) {
        return WAGW_NOT_FOUND;
    }
    if (prekey) {
        WAGW_TRY(wagw_stanza_identity(t, m));
    }
    wagw_stanza_meta(t, m, s->type, s->polltype);
    if (s->biz) {
        wagw_stanza_biz(t, m, s->biz, true);
    }
    WAGW_TRY(wagw_stanza_report(t, m, s->message, s->id, &s->self, &s->to));
    if (!self_chat) {
        WAGW_TRY(wagw_token_attach(t, m, &s->to));
    }
    if (m == NULL) {
        return WAGW_NOMEM;
    }
    return wagw_node_encode(out, m);
}
