/*
 * A message goes from the store, and with it what others said of it.  By a
 * turn, so that no cached record brings a part of it back.
 */

#include "client_i.h"

static int drop_one(void *data, wagw_str_t key, wagw_str_t value)
{
    void **d = data;

    (void)value;
    return wagw_txn_del(d[0], *(uint8_t *)d[1], key);
}

int wagw_turn_message_discard(wagw_turn_t *t, const wagw_row_message_t *m)
{
    static const uint8_t beside[] = {WAGW_REC_RECEIPT, WAGW_REC_REACTION, WAGW_REC_VOTE};
    int rc = WAGW_OK, r;
    uint8_t kind;
    char key[WAGW_KEY_MAX];
    size_t n = wagw_msgkey(key, m->chat, m->id, WAGW_STR(""));
    void *data[2] = {&t->txn, &kind};

    /* all that is missing is asked for in one load */
    for (size_t i = 0; n && i < sizeof(beside); i++) {
        kind = beside[i];
        r = wagw_txn_scan(&t->txn, kind, wagw_str(key, n), drop_one, data);
        if (r != WAGW_OK && r != WAGW_AGAIN) {
            return r;
        }
        rc = r == WAGW_AGAIN ? r : rc;
    }
    WAGW_TRY(rc);
    n = wagw_msgkey(key, m->chat, m->id, m->from_me ? WAGW_STR("") : m->sender);
    return n ? wagw_txn_del(&t->txn, WAGW_REC_MESSAGE, wagw_str(key, n)) : WAGW_OK;
}

/* _last: what the store says is the last message then (the engine knows no order). */
static int last_of(wagw_turn_t *t, wagw_str_t chat, wagw_str_t gone, const cJSON *last)
{
    int rc;
    wagw_row_chat_t c;

    rc = wagw_turn_chat(t, chat, &c);
    if (rc != WAGW_OK || !wagw_str_eq(c.last_id, gone)) {
        return rc == WAGW_NOT_FOUND ? WAGW_OK : rc;
    }
    c.last_id = wagw_param_str(last, "id");
    c.last_body = wagw_param_str(last, "body");
    c.last_type = wagw_param_str(last, "type");
    c.last_from_me = wagw_param_bool(last, "fromMe", false);
    if (c.last_id.n) {
        c.last_ms = wagw_param_int(last, "ms", c.last_ms);
    }
    return wagw_turn_chat_put(t, &c);
}

int wagw_discard_command(wagw_turn_t *t, uint64_t command, const cJSON *params)
{
    int rc;
    wagw_jid_t chat;
    wagw_str_t text, id = wagw_param_str(params, "messageId");
    wagw_buf_t b = {0};
    wagw_json_t j = wagw_json(&b);
    wagw_row_message_t m;

    WAGW_TRY(wagw_param_jid(t, command, params, "chatId", NULL, &chat));
    if (wagw_jid_empty(&chat)) {
        return WAGW_OK; /* answered */
    }
    WAGW_TRY(wagw_chat_canonical(t, &chat, &chat));
    text = wagw_jid_str(&t->arena, &chat);
    rc = wagw_turn_message_find(t, text, id, &m, NULL);
    if (rc == WAGW_NOT_FOUND) {
        return wagw_turn_fail(t, command, 404, "MESSAGE_NOT_FOUND", "Message not found");
    }
    WAGW_TRY(rc);
    WAGW_TRY(wagw_turn_message_discard(t, &m));
    WAGW_TRY(last_of(t, m.chat, m.id, cJSON_GetObjectItemCaseSensitive(params, "_last")));
    wagw_json_open(&j, '{');
    wagw_json_key(&j, "deleted");
    wagw_json_open(&j, '{');
    wagw_json_kstr(&j, "messageId", id);
    wagw_json_kint(&j, "count", 1);
    wagw_json_close(&j);
    wagw_json_close(&j);
    return wagw_command_ok(t, command, &b, "Message deleted successfully");
}
