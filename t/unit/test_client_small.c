/*
 * Settings, and smaller things that the server, the phone or a peer say.
 */

#include "client_sim.h"

#define TEXT(to, body) "{\"to\":\"" to "\",\"message\":\"" body "\"}"

static void two_end(sim_two_t *p)
{
    assert_int_equal(p->a->errors, 0);
    assert_int_equal(p->b->errors, 0);
    sim_free(p->w);
}

static void code_refused(void **state)
{
    sim_t *w = sim_new(970);
    sim_engine_t *e = sim_engine(w, "A");
    uint64_t id;

    (void)state;
    w->orders.iq_error = 429;
    w->orders.iq_error_ns = "md";
    id = sim_command(e, WAGW_CMD_PAIRING_CODE, "{\"phoneNumber\":\"4910000\"}");
    sim_run(w);
    sim_expect(e, id, 429, "WA_RATE_OVERLIMIT");
    sim_expect_status(e, WAGW_STATUS_DISCONNECTED);
    w->orders.iq_error = 400;
    id = sim_command(e, WAGW_CMD_PAIRING_CODE, "{\"phoneNumber\":\"4910000\"}");
    sim_run(w);
    sim_expect(e, id, 400, "VALIDATION_FAILED");
    w->orders.iq_error = 0;
    w->orders.no_answer_ns = "md";
    w->orders.no_answer = 1;
    id = sim_command(e, WAGW_CMD_PAIRING_CODE, "{\"phoneNumber\":\"4910000\"}");
    sim_advance(w, 61000);
    sim_expect(e, id, 504, "WA_TIMEOUT");
    sim_free(w);
}

static void code_expires(void **state)
{
    sim_t *w = sim_new(971);
    sim_account_t *acc = sim_account(w, "4910000", "9100");
    sim_engine_t *e = sim_engine(w, "A");
    uint64_t id, second;

    (void)state;
    id = sim_command(e, WAGW_CMD_PAIRING_CODE, "{\"phoneNumber\":\"4910000\"}");
    sim_run(w);
    sim_expect(e, id, 200, "");
    sim_advance(w, 159000);
    sim_expect_status(e, WAGW_STATUS_PAIRING);
    sim_advance(w, 1100);
    sim_expect_status(e, WAGW_STATUS_DISCONNECTED);
    assert_int_equal(sim_info(e).pairing_code.n, 0);
    assert_int_equal(sim_info(e).disconnect_code, 408);

    /* a second code takes the place of the first, whose caller hears it */
    e->hold_work = true;
    id = sim_command(e, WAGW_CMD_PAIRING_CODE, "{\"phoneNumber\":\"4910000\",\"customCode\":\"AAAAAAAA\"}");
    sim_run(w);
    second = sim_command(e, WAGW_CMD_PAIRING_CODE, "{\"phoneNumber\":\"4910000\",\"customCode\":\"BBBBBBBB\"}");
    sim_run(w);
    sim_expect(e, id, 409, "DUPLICATE");
    sim_release(e);
    sim_run(w);
    sim_expect(e, second, 200, "");
    sim_type_code(e, acc, "BBBBBBBB");
    sim_advance(w, 10);
    sim_expect_status(e, WAGW_STATUS_CONNECTED);
    sim_free(w);
}

/* The user typed something else: the phone's key is not what was wrapped. */
static void wrong_code_typed(void **state)
{
    sim_t *w = sim_new(972);
    sim_account_t *acc = sim_account(w, "4910000", "9100");
    sim_engine_t *e = sim_engine(w, "A");
    uint64_t id;
    wagw_arena_t a = {0};
    wagw_node_t *n, *reg;
    uint8_t junk[80];

    (void)state;
    (void)acc;
    id = sim_command(e, WAGW_CMD_PAIRING_CODE, "{\"phoneNumber\":\"4910000\"}");
    sim_run(w);
    sim_expect(e, id, 200, "");
    vec_random(&w->random, junk, sizeof(junk));
    n = sim_node(&a, "notification", "from", "@s.whatsapp.net", "type", "link_code_companion_reg", "id", "1", NULL);
    reg = sim_add(&a, n, "link_code_companion_reg", "stage", "primary_hello", NULL);
    wagw_node_bytes(sim_add(&a, reg, "link_code_pairing_wrapped_primary_ephemeral_pub", NULL), wagw_str(junk, 80));
    wagw_node_bytes(sim_add(&a, reg, "primary_identity_pub", NULL), wagw_str(junk, 32));
    wagw_node_bytes(sim_add(&a, reg, "link_code_pairing_ref", NULL), WAGW_STR("another ref 0000"));
    sim_push(e, n);
    sim_run(w);
    sim_expect_status(e, WAGW_STATUS_PAIRING); /* of another ref: ignored */
    assert_false(sim_info(e).linked);
    wagw_arena_free(&a);
    sim_free(w);
}

static void settings(void **state)
{
    sim_two_t p = sim_two(973);
    sim_log_t *mark;
    wagw_row_message_t m;

    (void)state;
    p.b->conf.ignore_groups = p.b->conf.ignore_status = true;
    wagw_client_configure(p.b->c, &p.b->conf);
    sim_group(p.w, "9100", "9200", NULL);
    sim_do(p.a, WAGW_CMD_SEND, "{\"to\":\"" SIM_GROUP "\",\"message\":\"not wanted\"}", 200);
    assert_int_equal(sim_events(p.b, "message.received"), 0);
    assert_int_equal(sim_mem_count(&p.b->mem, WAGW_REC_MESSAGE, ""), 0);
    assert_int_equal(sim_queued(sim_device_of(p.b)), 0);
    p.b->conf.ignore_groups = false;
    wagw_client_configure(p.b->c, &p.b->conf);
    sim_do(p.a, WAGW_CMD_SEND, "{\"to\":\"" SIM_GROUP "\",\"message\":\"wanted\"}", 200);
    assert_int_equal(sim_events(p.b, "message.received"), 1);

    /* online all the time */
    p.b->conf.always_online = true;
    wagw_client_configure(p.b->c, &p.b->conf);
    mark = sim_mark(p.w);
    sim_cut(p.b, 0);
    sim_advance(p.w, 3000);
    sim_expect_status(p.b, WAGW_STATUS_CONNECTED);
    assert_true(sim_has(sim_sent(p.b, mark, "presence", 0), "type", "available", NULL));
    sim_do(p.a, WAGW_CMD_SEND, "{\"to\":\"49200\",\"message\":\"x\",\"messageId\":\"3EB0111111111111\"}", 200);
    assert_true(sim_has(sim_sent(p.b, mark, "receipt", 0), "type", NULL, NULL));
    assert_true(sim_message(p.a, SIM_B, "3EB0111111111111", "", &m));
    assert_int_equal(m.status, WAGW_MSG_DELIVERED);

    /* no check of the number: another word for it */
    p.a->conf.check_number = false;
    wagw_client_configure(p.a->c, &p.a->conf);
    {
        uint64_t id = sim_command(p.a, WAGW_CMD_SEND, TEXT("49999", "x"));

        sim_run(p.w);
        sim_expect(p.a, id, 422, "RECIPIENT_NO_DEVICES");
    }
    two_end(&p);
}

static void privacy_of_receipts(void **state)
{
    sim_two_t p = sim_two(974);
    wagw_arena_t a = {0};
    wagw_node_t *n = sim_node(&a, "notification", "from", "@s.whatsapp.net", "type", "account_sync", "id", "p1", NULL);
    sim_log_t *mark;
    char json[160];
    sim_reply_t *r;

    (void)state;
    sim_add(&a, sim_add(&a, n, "privacy", NULL), "category", "name", "readreceipts", "value", "none", NULL);
    sim_queue(sim_device_of(p.b), n);
    sim_run(p.w);
    r = sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "x"), 200);
    mark = sim_mark(p.w);
    snprintf(json, sizeof(json), "{\"chatId\":\"49100\",\"messageId\":\"%s\"}", r->message_id);
    sim_do(p.b, WAGW_CMD_SEEN, json, 200);
    assert_true(sim_has(sim_sent(p.b, mark, "receipt", 0), "type", "read-self", NULL));
    /* also after a restart */
    sim_crash(p.b, false);
    sim_run(p.w);
    sim_revive(p.b);
    sim_advance(p.w, 10);
    mark = sim_mark(p.w);
    sim_do(p.b, WAGW_CMD_SEEN, json, 200);
    assert_true(sim_has(sim_sent(p.b, mark, "receipt", 0), "type", "read-self", NULL));
    wagw_arena_free(&a);
    two_end(&p);
}

static void disappearing(void **state)
{
    sim_two_t p = sim_two(975);
    wagw_row_chat_t chat;
    wagw_row_message_t m;
    sim_reply_t *r;

    (void)state;
    sim_peer_send(p.ba->phone, p.aa, "3A01", "{\"protocolMessage\":{\"type\":3,\"ephemeralExpiration\":86400}}", NULL);
    sim_run(p.w);
    assert_true(sim_chat(p.a, SIM_B, &chat));
    assert_int_equal(chat.ephemeral, 86400);
    r = sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "gone tomorrow"), 200);
    assert_true(sim_message(p.b, SIM_A, r->message_id, SIM_A, &m));
    assert_int_equal(m.expiration, 86400);
    assert_true(m.flags & WAGW_ROW_EPHEMERAL);
    sim_peer_send(p.ba->phone, p.aa, "3A02", "{\"protocolMessage\":{\"type\":3,\"ephemeralExpiration\":0}}", NULL);
    sim_run(p.w);
    r = sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "stays"), 200);
    assert_true(sim_message(p.b, SIM_A, r->message_id, SIM_A, &m));
    assert_int_equal(m.expiration, 0);
    two_end(&p);
}

static void another_lid(void **state)
{
    sim_two_t p = sim_two(976);
    wagw_creds_t c;

    (void)state;
    snprintf(p.aa->lid, sizeof(p.aa->lid), "9199");
    sim_cut(p.a, 0);
    sim_advance(p.w, 3000);
    sim_expect_status(p.a, WAGW_STATUS_CONNECTED);
    sim_creds(p.a, &c);
    assert_string_equal(c.lid.user, "9199");
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "still me"), 200);
    assert_string_equal(sim_str(sim_last_event(p.b, "message.received")->data, "chatId"), SIM_A);
    two_end(&p);
}

static void server_asks(void **state)
{
    sim_two_t p = sim_two(977);
    wagw_arena_t a = {0};
    sim_log_t *mark = sim_mark(p.w);

    (void)state;
    sim_push(p.a, sim_node(&a, "iq", "from", "@s.whatsapp.net", "type", "get", "xmlns", "urn:xmpp:ping", "id", "srv1",
                           NULL));
    sim_push(p.a,
             sim_node(&a, "iq", "from", "@s.whatsapp.net", "type", "set", "xmlns", "nobody:knows", "id", "srv2", NULL));
    sim_push(p.a, sim_node(&a, "call", "from", SIM_B, "id", "c1", "t", "1", NULL));
    sim_push(p.a, sim_node(&a, "notification", "from", SIM_B, "type", "nobody_knows", "id", "n1", NULL));
    sim_push(p.a, sim_node(&a, "receipt", "from", SIM_B, "type", "nobody_knows", "id", "r1", NULL));
    sim_push(p.a, sim_node(&a, "message", "from", "123@newsletter", "type", "text", "id", "m1", NULL));
    sim_run(p.w);
    assert_true(sim_has(sim_sent(p.a, mark, "iq", 0), "type", "result", "id", "srv1", "to", "@s.whatsapp.net", "from",
                        NULL, NULL));
    assert_true(sim_has(sim_sent(p.a, mark, "iq", 1), "type", "result", "id", "srv2", NULL));
    assert_true(sim_has(sim_sent(p.a, mark, "ack", 0), "class", "call", "id", "c1", "to", SIM_B, NULL));
    assert_true(
        sim_has(sim_sent(p.a, mark, "ack", 1), "class", "notification", "id", "n1", "type", "nobody_knows", NULL));
    assert_true(sim_has(sim_sent(p.a, mark, "ack", 2), "class", "receipt", "id", "r1", "type", "nobody_knows", NULL));
    assert_true(sim_has(sim_sent(p.a, mark, "ack", 3), "class", "message", "id", "m1", "to", "123@newsletter", "type",
                        NULL, NULL));
    assert_int_equal(sim_events(p.a, "message.received"), 0);
    wagw_arena_free(&a);
    two_end(&p);
}

/* Edits that come out of order, revokes that come twice. */
static void order_of_changes(void **state)
{
    sim_two_t p = sim_two(978);
    wagw_row_message_t m;

    (void)state;
    sim_peer_send(p.ba->phone, p.aa, "3A01", "{\"conversation\":\"one\"}", NULL);
#define EDIT(text, at)                                                                                                 \
    "{\"protocolMessage\":{\"key\":{\"remoteJid\":\"9100@lid\",\"fromMe\":true,\"id\":\"3A01\"},\"type\":14,"          \
    "\"editedMessage\":{\"conversation\":\"" text "\"},\"timestampMs\":" at "}}"
    sim_peer_send(p.ba->phone, p.aa, "3A02", EDIT("three", "1767225603000"), "edit", "1", NULL);
    sim_peer_send(p.ba->phone, p.aa, "3A03", EDIT("two", "1767225602000"), "edit", "1", NULL);
    sim_run(p.w);
    assert_true(sim_message(p.a, SIM_B, "3A01", SIM_B, &m));
    assert_true(wagw_str_is(m.body, "three"));
    assert_int_equal(sim_events(p.a, "message.edited"), 1);
    for (int i = 0; i < 2; i++) {
        sim_peer_send(
            p.ba->phone, p.aa, i ? "3A05" : "3A04",
            "{\"protocolMessage\":{\"key\":{\"remoteJid\":\"9100@lid\",\"fromMe\":true,\"id\":\"3A01\"},\"type\":0}}",
            "edit", "7", NULL);
    }
    sim_run(p.w);
    assert_int_equal(sim_events(p.a, "message.revoked"), 1);
    /* what is revoked is not edited back into being */
    sim_peer_send(p.ba->phone, p.aa, "3A06", EDIT("four", "1767225609000"), "edit", "1", NULL);
#undef EDIT
    sim_run(p.w);
    assert_true(sim_message(p.a, SIM_B, "3A01", SIM_B, &m));
    assert_true(m.flags & WAGW_ROW_REVOKED);
    assert_int_equal(m.body.n, 0);
    assert_int_equal(sim_events(p.a, "message.edited"), 1);
    /* nor quoted or forwarded */
    {
        uint64_t id =
            sim_command(p.a, WAGW_CMD_FORWARD, "{\"to\":\"49200\",\"messageId\":\"3A01\",\"fromChatId\":\"49200\"}");

        sim_run(p.w);
        assert_true(sim_reply(p.a, id) && sim_reply(p.a, id)->status >= 400);
    }
    two_end(&p);
}

/* Status numbers of our message never go down; strangers do not confirm. */
static void receipts_in_order(void **state)
{
    sim_two_t p = sim_two(979);
    wagw_arena_t a = {0};
    wagw_row_message_t m;
    sim_reply_t *r;

    (void)state;
    p.ba->phone->silent = true;
    r = sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "x"), 200);
    sim_queue(sim_device_of(p.a), sim_node(&a, "receipt", "id", r->message_id, "from", "9200@lid", "type", "read", "t",
                                           "1767225601", NULL));
    sim_queue(sim_device_of(p.a),
              sim_node(&a, "receipt", "id", r->message_id, "from", "9200@lid", "t", "1767225602", NULL));
    sim_run(p.w);
    assert_true(sim_message(p.a, SIM_B, r->message_id, "", &m));
    assert_int_equal(m.status, WAGW_MSG_READ);
    assert_string_equal(sim_str(sim_last_event(p.a, "message.ack")->data, "ackName"), "read");
    /* of somebody else's chat: no such message there */
    sim_queue(sim_device_of(p.a), sim_node(&a, "receipt", "id", r->message_id, "from", "9777@lid", "type", "played",
                                           "t", "1767225603", NULL));
    sim_run(p.w);
    assert_true(sim_message(p.a, SIM_B, r->message_id, "", &m));
    assert_int_equal(m.status, WAGW_MSG_READ);
    assert_int_equal(sim_queued(sim_device_of(p.a)), 0);
    wagw_arena_free(&a);
    two_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(code_refused),      cmocka_unit_test(code_expires),        cmocka_unit_test(wrong_code_typed),
        cmocka_unit_test(settings),          cmocka_unit_test(privacy_of_receipts), cmocka_unit_test(disappearing),
        cmocka_unit_test(another_lid),       cmocka_unit_test(server_asks),         cmocka_unit_test(order_of_changes),
        cmocka_unit_test(receipts_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
