/*
 * Receipts: for what arrives, for what is read, and what others say of our
 * messages (04 section 13).
 */

#include "client_i.h"

#define IDS_MAX 256

static wagw_node_t *receipt(wagw_turn_t *t, wagw_str_t id, const wagw_jid_t *to)
{
    wagw_node_t *n = wagw_node(&t->arena, "receipt");

    wagw_node_attr(&t->arena, n, "id", id);
    wagw_node_attr_jid(&t->arena, n, "to", to);
    return n;
}

/* Exactly one per stanza: peer_msg, sender, inactive or plain. */
int wagw_receipt_delivery(wagw_turn_t *t, const wagw_incoming_t *in)
{
    wagw_jid_t j, own;
    const char *type = NULL;
    wagw_node_t *n = receipt(t, in->id, &in->from);

    if (wagw_node_has(in->node, "recipient") && wagw_node_get_jid(in->node, "recipient", &j) == WAGW_OK) {
        wagw_node_attr_jid(&t->arena, n, "recipient", &j);
    }
    if (wagw_node_has(in->node, "participant")) {
        wagw_node_attr_jid(&t->arena, n, "participant", &in->sender);
    }
    if (in->peer) {
        type = "peer_msg";
    } else if (in->from_me) {
        type = "sender";
    } else if (!t->c->available) {
        type = "inactive";
    }
    if (type) {
        wagw_node_attrc(&t->arena, n, "type", type);
    }
    WAGW_TRY(wagw_turn_send(t, n));

    if (in->peer && in->history) {
        own = wagw_jid_user(&wagw_turn_me(t)->jid);
        n = receipt(t, in->id, &own);
        wagw_node_attrc(&t->arena, n, "type", "hist_sync");
        return wagw_turn_send(t, n);
    }
    return WAGW_OK;
}

int wagw_receipt_read(wagw_turn_t *t, const wagw_jid_t *chat, const wagw_jid_t *participant, const wagw_str_t *ids,
                      size_t n)
{
    wagw_node_t *r, *list;

    if (n == 0) {
        return WAGW_OK;
    }
    r = receipt(t, ids[0], chat);
    wagw_node_attrc(&t->arena, r, "type",
                    wagw_turn_me(t)->read_receipts_off || t->c->conf.no_read_receipts ? "read-self" : "read");
    wagw_node_attr_int(&t->arena, r, "t", t->now / 1000);
    if (participant) {
        wagw_node_attr_jid(&t->arena, r, "participant", participant);
    }
    if (n > 1) {
        list = wagw_node_child(&t->arena, r, "list");
        for (size_t i = 1; i < n; i++) {
            wagw_node_attr(&t->arena, wagw_node_child(&t->arena, list, "item"), "id", ids[i]);
        }
    }
    return wagw_turn_send(t, r);
}

/* ---- incoming ------------------------------------------------------------------- */

static int receipt_row(wagw_turn_t *t, wagw_str_t chat, wagw_str_t id, wagw_str_t user, unsigned status, int64_t at,
                       bool *news)
{
    int rc;
    char key[WAGW_KEY_MAX];
    size_t n = wagw_msgkey(key, chat, id, user);
    wagw_buf_t b = {0};
    wagw_str_t v, copy;
    wagw_row_receipt_t r;

    if (n == 0) {
        return WAGW_OK;
    }
    memset(&r, 0, sizeof(r));
    rc = wagw_txn_get(&t->txn, WAGW_REC_RECEIPT, wagw_str(key, n), &v);
    if (rc == WAGW_OK) {
        copy = wagw_arena_str(&t->arena, v);
        if (copy.p == NULL || wagw_row_receipt_decode(&r, copy) != WAGW_OK) {
            memset(&r, 0, sizeof(r));
        }
    } else if (rc != WAGW_NOT_FOUND) {
        return rc;
    }
    r.chat = chat;
    r.id = id;
    r.user = user;
    *news = (status == WAGW_MSG_DELIVERED && r.delivered == 0) || (status == WAGW_MSG_READ && r.read == 0) ||
            (status == WAGW_MSG_PLAYED && r.played == 0);
    if (status >= WAGW_MSG_DELIVERED && r.delivered == 0) {
        r.delivered = at;
    }
    if (status >= WAGW_MSG_READ && r.read == 0) {
        r.read = at;
    }
    if (status >= WAGW_MSG_PLAYED && r.played == 0) {
        r.played = at;
    }
    rc = wagw_row_receipt_encode(&b, &r);
    if (rc == WAGW_OK) {
        rc = wagw_txn_put(&t->txn, WAGW_REC_RECEIPT, wagw_str(key, n), wagw_buf_view(&b));
    }
    wagw_buf_free(&b);
    return rc;
}

/* One message of ours, one reader.  A status never goes down. */
static int confirmed(wagw_turn_t *t, const wagw_jid_t *chat, wagw_str_t id, const wagw_jid_t *user, unsigned status,
                     int64_t at)
{
    int rc;
    bool group = !wagw_jid_is_person(chat), news = false;
    wagw_jid_t who;
    wagw_str_t text = wagw_jid_str(&t->arena, chat), user_text;
    wagw_row_message_t row;

    rc = wagw_turn_message(t, text, id, WAGW_STR(""), &row);
    if (rc == WAGW_NOT_FOUND) {
        return WAGW_OK;
    }
    WAGW_TRY(rc);
    WAGW_TRY(wagw_chat_canonical(t, user, &who));
    user_text = wagw_jid_str(&t->arena, &who);
    WAGW_TRY(receipt_row(t, text, id, user_text, status, at, &news));

    /* while pending the ack is still to come, and it carries the event */
    if (row.status == WAGW_MSG_PENDING || row.status == WAGW_MSG_FAILED || (status <= row.status && !(group && news))) {
        return WAGW_OK;
    }
    if (status > row.status) {
        row.status = (uint8_t)status;
        WAGW_TRY(wagw_turn_message_put(t, &row));
    }
    if (row.flags & WAGW_ROW_HIDDEN) {
        return WAGW_OK;
    }
    return wagw_event_ack(t, &row, &who, wagw_jid_is_person(chat) ? WAGW_STR_NULL : user_text, status, at);
}

/* Another device of ours read a chat. */
static int read_elsewhere(wagw_turn_t *t, const wagw_jid_t *chat)
{
    int rc;
    wagw_row_chat_t c;

    rc = wagw_turn_chat(t, wagw_jid_str(&t->arena, chat), &c);
    if (rc == WAGW_NOT_FOUND) {
        return WAGW_OK;
    }
    WAGW_TRY(rc);
    if (c.unread == 0 && !c.marked_unread) {
        return WAGW_OK;
    }
    c.unread = 0;
    c.marked_unread = false;
    return wagw_turn_chat_put(t, &c);
}

int wagw_receive_receipt(wagw_turn_t *t, const wagw_node_t *n)
{
    size_t nids = 0;
    unsigned status;
    int64_t at_ms = t->now;
    uint64_t at;
    wagw_jid_t from, chat, user, recipient;
    wagw_str_t ids[IDS_MAX], type = wagw_node_get(n, "type"), id = wagw_node_get(n, "id"), key;
    const wagw_node_t *item, *list = wagw_node_find(n, "list"), *parts;

    if (id.n == 0 || wagw_node_get_jid(n, "from", &from) != WAGW_OK) {
        return wagw_ack(t, n, 0);
    }
    if (wagw_str_is(type, "retry")) {
        WAGW_TRY(wagw_retry_serve(t, n));
        return wagw_ack(t, n, 0);
    }
    if (type.n == 0) {
        status = WAGW_MSG_DELIVERED;
    } else if (wagw_str_is(type, "read") || wagw_str_is(type, "read-self")) {
        status = WAGW_MSG_READ;
    } else if (wagw_str_is(type, "played") || wagw_str_is(type, "played-self")) {
        status = WAGW_MSG_PLAYED;
    } else if (wagw_str_is(type, "inactive")) {
        status = WAGW_MSG_DELIVERED;
    } else {
        return wagw_ack(t, n, 0); /* sender, hist_sync, peer_msg, server-error */
    }
    if (wagw_node_get_u64(n, "t", &at) == WAGW_OK && at && at < (1ull << 40)) {
        at_ms = (int64_t)at * 1000;
    }
    ids[nids++] = id;
    for (item = wagw_node_find(list, "item"); item && nids < IDS_MAX; item = wagw_node_find_next(item, "item")) {
        if (wagw_node_get(item, "id").n) {
            ids[nids++] = wagw_node_get(item, "id");
        }
    }

    if (wagw_is_me(t->c, &from) && wagw_node_get_jid(n, "recipient", &recipient) == WAGW_OK) {
        if (status >= WAGW_MSG_READ) {
            WAGW_TRY(wagw_chat_canonical(t, &recipient, &chat));
            WAGW_TRY(read_elsewhere(t, &chat));
        }
        return wagw_ack(t, n, 0);
    }

    WAGW_TRY(wagw_chat_canonical(t, &from, &chat));
    if (wagw_node_get_jid(n, "participant", &user) == WAGW_OK) {
        WAGW_TRY(wagw_lid_learn_attr(t, n, &user, "participant_lid", "participant_pn", "receipt"));
    } else {
        user = from;
    }
    if (wagw_is_me(t->c, &user) && !wagw_is_me(t->c, &from)) {
        /* a group read on another device of ours */
        if (status >= WAGW_MSG_READ) {
            WAGW_TRY(read_elsewhere(t, &chat));
        }
        return wagw_ack(t, n, 0);
    }

    parts = wagw_node_find(n, "participants");
    if (parts && !wagw_node_has(n, "participant")) {
        for (; parts; parts = wagw_node_find_next(parts, "participants")) {
            key = wagw_node_get(parts, "key");
            for (item = wagw_node_find(parts, "user"); item; item = wagw_node_find_next(item, "user")) {
                if (wagw_node_get_jid(item, "jid", &user) == WAGW_OK) {
                    int64_t when = at_ms;

                    if (wagw_node_get_u64(item, "t", &at) == WAGW_OK && at && at < (1ull << 40)) {
                        when = (int64_t)at * 1000;
                    }
                    WAGW_TRY(confirmed(t, &chat, key.n ? key : id, &user, status, when));
                }
            }
        }
        return wagw_ack(t, n, 0);
    }
    for (size_t i = 0; i < nids; i++) {
        WAGW_TRY(confirmed(t, &chat, ids[i], &user, status, at_ms));
    }
    return wagw_ack(t, n, 0);
}
