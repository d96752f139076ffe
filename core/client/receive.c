/*
 * Dispatch of what the server sends, and the envelope of a message: who wrote
 * it, where it belongs, which ciphertexts it holds (01 section 11, 04 section
 * 12).  A stanza is answered exactly once (01 section 7).
 */

#include "account_i.h"

int wagw_ack(wagw_turn_t *t, const wagw_node_t *n, int error)
{
    wagw_node_t *a = wagw_node(&t->arena, "ack");
    wagw_jid_t from;

    wagw_node_attr(&t->arena, a, "class", n->tag);
    wagw_node_attr(&t->arena, a, "id", wagw_node_get(n, "id"));
    if (!wagw_attr_from_server(n) && wagw_node_get_jid(n, "from", &from) == WAGW_OK) {
        wagw_node_attr_jid(&t->arena, a, "to", &from);
    } else {
        wagw_node_attr_server(&t->arena, a, "to");
    }
    for (int i = 0; i < 2; i++) {
        const char *attr = i ? "recipient" : "participant";
        wagw_jid_t j;

        if (wagw_node_has(n, attr) && wagw_node_get_jid(n, attr, &j) == WAGW_OK) {
            wagw_node_attr_jid(&t->arena, a, attr, &j);
        }
    }
    if (wagw_node_has(n, "type") && !wagw_node_is(n, "message")) {
        wagw_node_attr(&t->arena, a, "type", wagw_node_get(n, "type"));
    }
    if (error) {
        wagw_node_attr_int(&t->arena, a, "error", error);
        if (wagw_node_is(n, "message") && wagw_turn_me(t)) {
            if (wagw_node_has(n, "type")) {
                wagw_node_attr(&t->arena, a, "type", wagw_node_get(n, "type"));
            }
            wagw_node_attr_jid(&t->arena, a, "from", &wagw_turn_me(t)->jid);
        }
    }
    return wagw_turn_send(t, a);
}

static void iq_done_then(wagw_client_t *c, void *arg)
{
    wagw_iq_done(c, *(uint32_t *)arg);
}

static int receive_iq(wagw_turn_t *t, const wagw_node_t *n)
{
    int rc;
    uint32_t num;
    wagw_iq_t *iq;
    wagw_jid_t from;
    wagw_node_t *answer;

    if (wagw_node_attr_is(n, "type", "result") || wagw_node_attr_is(n, "type", "error")) {
        iq = wagw_iq_find(t->c, wagw_node_get(n, "id"));
        if (iq == NULL) {
            return WAGW_OK;
        }
        /* first of all, so that a hangup by the handler's own steps does not fail it once more */
        num = iq->num;
        WAGW_TRY(wagw_turn_then(t, iq_done_then, &num, sizeof(num)));
        t->asked = iq->params;
        rc = iq->handler(t, n, iq->arg);
        t->asked = NULL;
        return rc;
    }
    if (wagw_node_find(n, "pair-device")) {
        return wagw_pair_device(t, n);
    }
    if (wagw_node_find(n, "pair-success")) {
        return wagw_pair_success(t, n);
    }
    /* a ping, or something unknown: an empty result */
    if (!wagw_node_has(n, "id")) {
        return WAGW_OK;
    }
    answer = wagw_node(&t->arena, "iq");
    if (!wagw_attr_from_server(n) && wagw_node_get_jid(n, "from", &from) == WAGW_OK) {
        wagw_node_attr_jid(&t->arena, answer, "to", &from);
    } else {
        wagw_node_attr_server(&t->arena, answer, "to");
    }
    wagw_node_attrc(&t->arena, answer, "type", "result");
    wagw_node_attr(&t->arena, answer, "id", wagw_node_get(n, "id"));
    return wagw_turn_send(t, answer);
}

int wagw_receive_node(wagw_turn_t *t, const wagw_node_t *n)
{
    int rc;
    wagw_buf_t dump = {0};

    if (wagw_node_is(n, "iq")) {
        return receive_iq(t, n);
    }
    if (wagw_node_is(n, "success")) {
        return wagw_login_success(t, n);
    }
    if (wagw_node_is(n, "failure")) {
        return wagw_login_failure(t, n);
    }
    if (wagw_node_is(n, "stream:error")) {
        return wagw_login_stream_error(t, n);
    }
    if (wagw_node_is(n, "ib")) {
        return t->c->creds ? wagw_login_ib(t, n) : WAGW_OK;
    }
    if (wagw_node_is(n, "xmlstreamend")) {
        return WAGW_OK; /* the socket closes next */
    }
    if (wagw_node_is(n, "notification")) {
        rc = wagw_receive_notification(t, n);
        return rc == WAGW_MALFORMED ? wagw_ack(t, n, 0) : rc;
    }
    if (t->c->creds == NULL || !t->c->creds->paired) {
        return WAGW_OK;
    }
    if (wagw_node_is(n, "message")) {
        return wagw_receive_message(t, n);
    }
    if (wagw_node_is(n, "receipt")) {
        return wagw_receive_receipt(t, n);
    }
    if (wagw_node_is(n, "ack")) {
        return wagw_node_attr_is(n, "class", "message") ? wagw_send_ack(t, n) : WAGW_OK;
    }
    if (wagw_node_is(n, "call")) {
        return wagw_receive_call(t, n);
    }
    if (wagw_node_is(n, "status")) {
        return wagw_ack(t, n, 0);
    }
    if (wagw_node_is(n, "presence") || wagw_node_is(n, "chatstate")) {
        return wagw_receive_presence(t, n);
    }
    if (wagw_node_dump(&dump, n) == WAGW_OK && wagw_buf_u8(&dump, 0) == WAGW_OK) {
        wagw_client_log(t->c, WAGW_LOG_DEBUG, "unknown stanza %s", (char *)dump.p);
    }
    wagw_buf_free(&dump);
    return WAGW_OK;
}

/* ---- messages ---------------------------------------------------------------- */

static void received_then(wagw_client_t *c, void *arg)
{
    (void)arg;
    c->received++;
    c->ops->changed(c->driver);
}

/*
 * The server tells whole seconds.  What is happening now is put where it is
 * within its second, so that it sorts with what we do ourselves.
 */
int64_t wagw_server_ms(int64_t now, uint64_t t)
{
    int64_t second = now / 1000;

    if ((int64_t)t == second) {
        return now;
    }
    return (int64_t)t * 1000 + ((int64_t)t == second - 1 ? 999 : 0);
}

/* 04 section 12.1.  WAGW_MALFORMED: nack 487. */
static int envelope(wagw_turn_t *t, const wagw_node_t *n, wagw_incoming_t *in)
{
    int rc;
    bool own;
    uint64_t at;
    wagw_jid_t recipient, alt;
    wagw_client_t *c = t->c;

    memset(in, 0, sizeof(*in));
    in->node = n;
    in->id = wagw_node_get(n, "id");
    if (in->id.n == 0 || in->id.n > 128 || memchr(in->id.p, '|', in->id.n) ||
        wagw_node_get_jid(n, "from", &in->from) != WAGW_OK) {
        return WAGW_MALFORMED;
    }
    in->t_ms = t->now;
    if (wagw_node_get_u64(n, "t", &at) == WAGW_OK && at && at < (1ull << 40)) {
        in->t_ms = wagw_server_ms(t->now, at);
    }
    in->push_name = wagw_node_get(n, "notify");
    in->offline = wagw_node_has(n, "offline");
    in->group = wagw_jid_is_group(&in->from);
    in->status = wagw_jid_is_status(&in->from);
    in->newsletter = in->from.server == WAGW_SRV_NEWSLETTER;

    if (in->group || in->from.server == WAGW_SRV_BROADCAST) {
        if (wagw_node_get_jid(n, "participant", &in->sender) != WAGW_OK || !wagw_jid_is_person(&in->sender)) {
            return WAGW_MALFORMED;
        }
        in->from_me = wagw_is_me(c, &in->sender);
        WAGW_TRY(wagw_lid_learn_attr(t, n, &in->sender, "participant_lid", "participant_pn", "message"));
        in->wire_chat = in->from;
        if (!in->group && !in->status && !in->from_me) {
            in->wire_chat = wagw_jid_user(&in->sender); /* a broadcast list is the author's direct chat */
        }
    } else {
        in->sender = in->from;
        own = wagw_is_me(c, &in->from);
        in->peer = own && wagw_node_attr_is(n, "category", "peer");
        if (wagw_node_has(n, "recipient")) {
            if (!own || wagw_node_get_jid(n, "recipient", &recipient) != WAGW_OK) {
                return WAGW_MALFORMED;
            }
            in->from_me = true;
            in->wire_chat = wagw_jid_is_person(&recipient) ? wagw_jid_user(&recipient) : recipient;
            WAGW_TRY(wagw_lid_learn_attr(t, n, &recipient, "peer_recipient_lid", "peer_recipient_pn", "message"));
            WAGW_TRY(wagw_lid_learn_attr(t, n, &recipient, "recipient_lid", "recipient_pn", "message"));
        } else {
            in->from_me = own;
            in->wire_chat = wagw_jid_is_person(&in->from) ? wagw_jid_user(&in->from) : in->from;
            if (!own) {
                WAGW_TRY(wagw_lid_learn_attr(t, n, &in->from, "sender_lid", "sender_pn", "message"));
            }
        }
    }
    if (in->sender.device == 99 && (in->sender.server == WAGW_SRV_USER || in->sender.server == WAGW_SRV_LID)) {
        return WAGW_MALFORMED;
    }
    WAGW_TRY(wagw_chat_canonical(t, &in->wire_chat, &in->chat));
    if (!in->from_me) {
        WAGW_TRY(wagw_chat_canonical(t, &in->sender, &in->author));
        rc = wagw_lid_twin(t, &in->author, &alt);
        if (rc == WAGW_OK) {
            in->author_alt = wagw_jid_user(&alt);
        } else if (rc != WAGW_NOT_FOUND) {
            return rc;
        }
    }
    return WAGW_OK;
}

static int decrypt(wagw_turn_t *t, const wagw_incoming_t *in, const wagw_node_t *enc, wagw_str_t *plain,
                   bool *identity_changed)
{
    int rc;
    char group[WAGW_JID_TEXT_MAX];
    size_t n;
    wagw_buf_t out = {0};
    wagw_signal_t *s = wagw_turn_signal(t);
    wagw_signal_addr_t addr;

    if (s == NULL) {
        return WAGW_NOMEM;
    }
    WAGW_TRY(wagw_lid_signal(t, &in->sender, &addr));
    if (wagw_node_attr_is(enc, "type", "skmsg")) {
        n = wagw_jid_text(&in->from, group);
        rc = wagw_signal_group_decrypt(s, wagw_str(group, n), &addr, wagw_node_data(enc), &out);
    } else {
        rc = wagw_signal_decrypt(s, &addr, wagw_node_attr_is(enc, "type", "pkmsg"), wagw_node_data(enc), &out,
                                 identity_changed);
    }
    if (rc == WAGW_OK) {
        *plain = wagw_buf_view(&out);
        if (wagw_unpad(plain) != WAGW_OK) {
            rc = WAGW_LIMIT; /* decrypted, but not a message: nack 491 */
        } else {
            *plain = wagw_arena_str(&t->arena, *plain);
            rc = plain->p ? WAGW_OK : WAGW_NOMEM;
        }
    }
    wagw_buf_wipe(&out);
    return rc;
}

/* Seen before and stored: its answer was lost. */
static int stored(wagw_turn_t *t, const wagw_incoming_t *in, wagw_row_message_t *row)
{
    wagw_str_t chat = wagw_jid_str(&t->arena, &in->chat);

    return in->from_me ? wagw_turn_message(t, chat, in->id, WAGW_STR(""), row)
                       : wagw_turn_message_by(t, chat, in->id, &in->author, row);
}

void wagw_receive_message_scout(wagw_turn_t *t, const wagw_node_t *n)
{
    wagw_incoming_t in;
    wagw_row_message_t row;

    if (envelope(t, n, &in) == WAGW_OK && !in.newsletter) {
        (void)stored(t, &in, &row);
    }
}

/* An unreadable status that nobody would be shown: its resend is not asked for. */
static bool status_dropped(const wagw_turn_t *t, const wagw_incoming_t *in)
{
    return !in->from_me && (t->c->conf.ignore_status || t->now - in->t_ms > WAGW_STORY_LIFE_MS);
}

int wagw_receive_message(wagw_turn_t *t, const wagw_node_t *n)
{
    int rc, failure = WAGW_OK;
    bool hide = false, direct = false, changed = false, once = false, decrypted = false, duplicate = false,
         known = false;
    uint64_t count = 0;
    wagw_str_t plain = WAGW_STR_NULL;
    wagw_jid_t user;
    wagw_incoming_t in;
    wagw_row_message_t row;
    const wagw_node_t *enc;

    rc = envelope(t, n, &in);
    if (rc == WAGW_MALFORMED) {
        return wagw_ack(t, n, 487);
    }
    WAGW_TRY(rc);

    if (in.newsletter) {
        return wagw_ack(t, n, 0);
    }

    rc = stored(t, &in, &row);
    if (rc == WAGW_OK && !(row.flags & WAGW_ROW_PLACEHOLDER)) {
        return wagw_receipt_delivery(t, &in);
    }
    if (rc != WAGW_OK && rc != WAGW_NOT_FOUND) {
        return rc;
    }

    for (enc = n->content == WAGW_CONTENT_NODES ? n->child : NULL; enc; enc = enc->next) {
        if (!wagw_node_is(enc, "enc")) {
            continue;
        }
        hide = hide || wagw_node_attr_is(enc, "decrypt-fail", "hide");
        if (wagw_node_attr_is(enc, "type", "msmsg")) {
            if (!known) {
                return wagw_ack(t, n, 495);
            }
            continue;
        }
        if (wagw_node_attr_is(enc, "type", "skmsg")) {
            if (!in.group && !in.status) {
                continue;
            }
        } else if (wagw_node_attr_is(enc, "type", "pkmsg") || wagw_node_attr_is(enc, "type", "msg")) {
            direct = true;
        } else {
            continue;
        }
        known = true;
        if (wagw_node_has(enc, "v") && !wagw_node_attr_is(enc, "v", "2")) {
            return wagw_ack(t, n, 488);
        }
        (void)wagw_node_get_u64(enc, "count", &count);

        once = false;
        rc = decrypt(t, &in, enc, &plain, &once);
        changed = changed || once;
        switch (rc) {
        case WAGW_OK:
            break;
        case WAGW_DUPLICATE:
            duplicate = true;
            continue;
        case WAGW_NO_SESSION:
        case WAGW_NO_PREKEY:
        case WAGW_CRYPTO:
        case WAGW_MALFORMED:
            failure = failure == WAGW_OK ? rc : failure;
            continue;
        case WAGW_LIMIT:
            return wagw_ack(t, n, 491);
        default:
            return rc;
        }

        decrypted = true;
        if (wagw_node_attr_is(enc, "type", "skmsg")) {
            failure = WAGW_OK; /* the key that came beside it was known already */
        }
        rc = wagw_apply_content(t, &in, plain);
        if (rc == WAGW_MALFORMED || rc == WAGW_LIMIT) {
            return wagw_ack(t, n, 491);
        }
        WAGW_TRY(rc);
    }

    if (changed) {
        user = wagw_jid_user(&in.sender);
        WAGW_TRY(wagw_devices_forget(t, &user));
        WAGW_TRY(wagw_group_user_changed(t, &user));
    }
    if (!known) {
        if (wagw_node_find(n, "unavailable") && !(in.status && status_dropped(t, &in))) {
            return wagw_receive_unavailable(t, &in);
        }
        return wagw_ack(t, n, wagw_node_find(n, "unavailable") ? 0 : 488);
    }
    if (failure != WAGW_OK && in.status && status_dropped(t, &in)) {
        return wagw_ack(t, n, 0);
    }
    if (failure != WAGW_OK && !(decrypted && !in.group && !in.status)) {
        return wagw_retry_request(t, &in, failure, direct, (uint32_t)count, hide);
    }
    if (decrypted) {
        WAGW_TRY(wagw_retry_clear(t, &in));
        WAGW_TRY(wagw_turn_then(t, received_then, NULL, 0));
    }
    (void)duplicate; /* the same receipt again: the earlier one was lost */
    return wagw_receipt_delivery(t, &in);
}

int wagw_receive_unavailable(wagw_turn_t *t, const wagw_incoming_t *in)
{
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    wagw_str_t type = wagw_node_get(wagw_node_find(in->node, "unavailable"), "type"), chat;

    chat = wagw_jid_str(&t->arena, &in->chat);
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "messageId", in->id);
    wagw_json_kstr(&j, "chatId", chat);
    wagw_json_kstr(&j, "from", in->from_me ? WAGW_STR("") : wagw_jid_str(&t->arena, &in->author));
    wagw_json_kcstr(&j, "reason", "unavailable");
    if (type.n) {
        wagw_json_kstr(&j, "unavailableType", type);
    }
    wagw_json_kint(&j, "retry", 0);
    wagw_json_close(&j);
    WAGW_TRY(wagw_event_emit(t, "message.undecryptable", chat, &b));
    if (!wagw_str_ends(type, WAGW_STR("_fanout")) && !wagw_str_is(type, "view_once")) {
        WAGW_TRY(wagw_phone_want(t, in, 0));
    }
    return wagw_ack(t, in->node, 0);
}
