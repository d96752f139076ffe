/*
 * From a send command to the server's ack: errors, one rebuild, ids, waiting,
 * what is sent again after a reconnect (04 section 16, contract 1.8, 1.9).
 */

#include "client_sim.h"

#define TEXT(to, body) "{\"to\":\"" to "\",\"message\":\"" body "\"}"

static void two_end(sim_two_t *p)
{
    assert_int_equal(p->a->errors, 0);
    assert_int_equal(p->b->errors, 0);
    sim_free(p->w);
}

static void refused(sim_two_t *p, unsigned error, int status, const char *code)
{
    char json[128];
    uint64_t id;
    sim_reply_t *r;
    sim_event_t *ev;
    wagw_row_message_t m;
    sim_log_t *mark = sim_mark(p->w);
    unsigned before = sim_events(p->a, "message.failed");

    p->w->orders.ack_error = error;
    p->w->orders.ack_errors = 1;
    snprintf(json, sizeof(json),
             "{\"to\":\"49200\",\"message\":\"refused\",\"ref\":\"e%u\",\"messageId\":\"3EB0E%05u\"}", error, error);
    id = sim_command(p->a, WAGW_CMD_SEND, json);
    sim_run(p->w);
    r = sim_expect(p->a, id, status, code);
    assert_int_equal(cJSON_GetObjectItem(r->details, "code")->valueint, error);
    assert_int_equal(sim_sent_count(p->a, mark, "message"), 1);
    assert_int_equal(sim_events(p->a, "message.failed"), before + 1);
    ev = sim_last_event(p->a, "message.failed");
    assert_int_equal(cJSON_GetObjectItem(ev->data, "code")->valueint, error);
    assert_true(strncmp(sim_str(ev->data, "ref"), "e", 1) == 0);
    assert_true(sim_message(p->a, SIM_B, r->message_id, "", &m));
    assert_int_equal(m.status, WAGW_MSG_FAILED);
    assert_int_equal(m.error, error);
    assert_int_equal(m.stanza.n, 0);
}

static void ack_errors(void **state)
{
    sim_two_t p = sim_two(50);

    (void)state;
    refused(&p, 403, 403, "WA_FORBIDDEN");
    refused(&p, 401, 403, "WA_FORBIDDEN");
    refused(&p, 404, 502, "WA_ERROR");
    refused(&p, 405, 502, "WA_ERROR");
    refused(&p, 429, 429, "WA_RATE_OVERLIMIT");
    refused(&p, 463, 429, "WA_ACCOUNT_RESTRICTED");
    refused(&p, 500, 502, "WA_ERROR");
    assert_int_equal(sim_info(p.a).failed, 7);
    assert_int_equal(sim_events(p.b, "message.received"), 0);
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "works again"), 200);
    assert_int_equal(sim_events(p.b, "message.received"), 1);
    two_end(&p);
}

/* Rebuilt once with the same id, fresh lists, then it is over. */
static void rebuilt(void **state)
{
    static const unsigned codes[] = {475, 479};
    sim_two_t p = sim_two(51);
    uint64_t id;
    sim_reply_t *r;
    sim_log_t *mark;

    (void)state;
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "first"), 200);
    for (unsigned i = 0; i < 2; i++) {
        p.w->orders.ack_error = codes[i];
        p.w->orders.ack_errors = 1;
        mark = sim_mark(p.w);
        r = sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "rebuilt"), 200);
        assert_int_equal(sim_sent_count(p.a, mark, "message"), 2);
        assert_string_equal(sim_attr(sim_sent(p.a, mark, "message", 0), "id"), r->message_id);
        assert_string_equal(sim_attr(sim_sent(p.a, mark, "message", 1), "id"), r->message_id);
        assert_non_null(sim_sent_iq(p.a, mark, "usync", NULL));
        assert_string_equal(sim_str(sim_last_event(p.b, "message.received")->data, "body"), "rebuilt");

        p.w->orders.ack_errors = 2;
        mark = sim_mark(p.w);
        id = sim_command(p.a, WAGW_CMD_SEND, TEXT("49200", "twice"));
        sim_run(p.w);
        sim_expect(p.a, id, 502, "WA_ERROR");
        assert_int_equal(sim_sent_count(p.a, mark, "message"), 2);
    }
    assert_int_equal(sim_events(p.b, "message.received"), 3);
    assert_int_equal(sim_events(p.a, "message.failed"), 2);
    two_end(&p);
}

/* 400 for a LID-addressed message of an account in unknown state: by number,
 * from now on; 463 then turns it back, once (04 section 6.5). */
static void namespace_learnt(void **state)
{
    sim_two_t p = sim_two(52);
    sim_log_t *mark = sim_mark(p.w);
    const wagw_node_t *m;
    wagw_creds_t c;

    (void)state;
    p.w->orders.ack_error = 400;
    p.w->orders.ack_errors = 1;
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "to the lid"), 200);
    assert_true(sim_has(sim_sent(p.a, mark, "message", 0), "to", "9200@lid", NULL));
    m = sim_sent(p.a, mark, "message", 1);
    assert_true(sim_has(m, "to", SIM_B, "peer_recipient_pn", NULL, NULL));
    assert_int_equal(wagw_node_find(m, "participants")->nchildren, 3);
    sim_creds(p.a, &c);
    assert_int_equal(c.lid_migrated, 2);
    assert_string_equal(sim_str(sim_last_event(p.b, "message.received")->data, "body"), "to the lid");

    mark = sim_mark(p.w);
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "to the number"), 200);
    assert_true(sim_has(sim_sent(p.a, mark, "message", 0), "to", SIM_B, NULL));

    p.w->orders.ack_error = 463;
    p.w->orders.ack_errors = 1;
    mark = sim_mark(p.w);
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "back"), 200);
    assert_true(sim_has(sim_sent(p.a, mark, "message", 0), "to", SIM_B, NULL));
    assert_true(sim_has(sim_sent(p.a, mark, "message", 1), "to", "9200@lid", NULL));
    sim_creds(p.a, &c);
    assert_int_equal(c.lid_migrated, 1);
    assert_int_equal(sim_events(p.b, "message.received"), 3);
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_SESSION, "49200."), 0); /* Signal stays with the LID */

    /* migrated for sure: 400 is an error like any */
    refused(&p, 400, 502, "WA_ERROR");
    two_end(&p);
}

static void phash_differs(void **state)
{
    sim_two_t p = sim_two(53);
    sim_log_t *mark;

    (void)state;
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "one"), 200);
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_DEVICES, ""), 2);
    p.w->orders.ack_phash = "2:AAAAAAAA";
    mark = sim_mark(p.w);
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "two"), 200);
    assert_int_equal(sim_sent_count(p.a, mark, "message"), 1);
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_DEVICES, ""), 0);
    p.w->orders.ack_phash = NULL;
    mark = sim_mark(p.w);
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "three"), 200);
    assert_non_null(sim_sent_iq(p.a, mark, "usync", NULL));
    assert_int_equal(sim_events(p.b, "message.received"), 3);
    two_end(&p);
}

static void async(void **state)
{
    sim_two_t p = sim_two(54);
    uint64_t id;
    sim_reply_t *r;

    (void)state;
    p.w->orders.drop_acks = 1;
    id = sim_command(p.a, WAGW_CMD_SEND, "{\"to\":\"49200\",\"message\":\"later\",\"async\":true,\"ref\":\"q\"}");
    sim_run(p.w);
    r = sim_expect(p.a, id, 202, "");
    assert_string_equal(sim_str(r->data, "status"), "queued");
    assert_int_equal(cJSON_GetObjectItem(r->data, "statusCode")->valueint, 1);
    assert_int_equal(sim_events(p.a, "message.sent"), 0);
    /* refused afterwards: an event says so */
    p.w->orders.ack_error = 403;
    p.w->orders.ack_errors = 1;
    id = sim_command(p.a, WAGW_CMD_SEND, "{\"to\":\"49200\",\"message\":\"no\",\"async\":true,\"ref\":\"z\"}");
    sim_run(p.w);
    sim_expect(p.a, id, 202, "");
    assert_string_equal(sim_str(sim_last_event(p.a, "message.failed")->data, "ref"), "z");
    two_end(&p);
}

static void duplicate_id(void **state)
{
    sim_two_t p = sim_two(55);
    uint64_t id;
    sim_reply_t *r;
    const char *same = "{\"to\":\"49200\",\"message\":\"once\",\"messageId\":\"3EB0AAAAAAAAAAAA\"}";
    const char *again = "{\"to\":\"49200\",\"message\":\"once\",\"_id\":\"3EB0AAAAAAAAAAAA\",\"_resume\":true}";

    (void)state;
    r = sim_do(p.a, WAGW_CMD_SEND, same, 200);
    assert_string_equal(r->message_id, "3EB0AAAAAAAAAAAA");
    id = sim_command(p.a, WAGW_CMD_SEND, same);
    sim_run(p.w);
    sim_expect(p.a, id, 409, "DUPLICATE");
    id = sim_command(p.a, WAGW_CMD_SEND, again);
    sim_run(p.w);
    r = sim_expect(p.a, id, 200, "");
    assert_string_equal(r->message_id, "3EB0AAAAAAAAAAAA");
    assert_int_equal(p.w->nmessages, 1);
    assert_int_equal(sim_events(p.b, "message.received"), 1);
    assert_int_equal(sim_events(p.a, "message.sent"), 1);

    /* two with the same id at the same time */
    id = sim_command(p.a, WAGW_CMD_SEND, "{\"to\":\"49200\",\"message\":\"x\",\"messageId\":\"3EB0BBBBBBBBBBBB\"}");
    {
        uint64_t second =
            sim_command(p.a, WAGW_CMD_SEND, "{\"to\":\"49200\",\"message\":\"y\",\"messageId\":\"3EB0BBBBBBBBBBBB\"}");

        sim_run(p.w);
        sim_expect(p.a, id, 200, "");
        sim_expect(p.a, second, 409, "DUPLICATE");
    }
    assert_string_equal(sim_str(sim_last_event(p.b, "message.received")->data, "body"), "x");

    /* what failed stays failed for who comes back */
    p.w->orders.ack_error = 403;
    p.w->orders.ack_errors = 1;
    id = sim_command(p.a, WAGW_CMD_SEND, "{\"to\":\"49200\",\"message\":\"f\",\"_id\":\"3EB0CCCCCCCCCCCC\"}");
    sim_run(p.w);
    sim_expect(p.a, id, 403, "WA_FORBIDDEN");
    id = sim_command(p.a, WAGW_CMD_SEND,
                     "{\"to\":\"49200\",\"message\":\"f\",\"_id\":\"3EB0CCCCCCCCCCCC\",\"_resume\":true}");
    sim_run(p.w);
    sim_expect(p.a, id, 502, "WA_ERROR");
    two_end(&p);
}

/* The process died between the stanza and its ack; the caller comes again. */
static void resumed(void **state)
{
    sim_two_t p = sim_two(56);
    uint64_t id;
    sim_reply_t *r;
    wagw_row_message_t m;

    (void)state;
    p.w->orders.drop_acks = 1;
    id = sim_command(p.a, WAGW_CMD_SEND,
                     "{\"to\":\"49200\",\"message\":\"once\",\"_id\":\"3EB0AAAAAAAAAAAA\",\"ref\":\"k\"}");
    sim_run(p.w);
    assert_null(sim_reply(p.a, id));
    assert_true(sim_message(p.a, SIM_B, "3EB0AAAAAAAAAAAA", "", &m));
    assert_int_equal(m.status, WAGW_MSG_PENDING);
    assert_true(m.stanza.n > 0);
    sim_crash(p.a, false);
    sim_run(p.w);
    sim_revive(p.a);
    p.w->orders.drop_acks = 1; /* the one sent again after the login is not acked either */
    sim_advance(p.w, 5);
    sim_expect_status(p.a, WAGW_STATUS_CONNECTED);
    assert_int_equal(p.w->orders.drop_acks, 0);
    id = sim_command(p.a, WAGW_CMD_SEND,
                     "{\"to\":\"49200\",\"message\":\"once\",\"_id\":\"3EB0AAAAAAAAAAAA\",\"_resume\":true}");
    sim_run(p.w);
    assert_null(sim_reply(p.a, id)); /* it waits for the same ack */
    sim_cut(p.a, 0);
    sim_advance(p.w, 5);
    r = sim_expect(p.a, id, 200, "");
    assert_string_equal(r->message_id, "3EB0AAAAAAAAAAAA");
    assert_string_equal(sim_str(r->data, "ref"), "k");
    assert_int_equal(p.w->nmessages, 1);
    assert_int_equal(sim_events(p.b, "message.received"), 1);
    assert_int_equal(sim_events(p.a, "message.sent"), 1);
    two_end(&p);
}

/* The connection went before the ack: the same bytes again, one message. */
static void again_after_reconnect(void **state)
{
    sim_two_t p = sim_two(57);
    uint64_t id[3];
    sim_log_t *mark = sim_mark(p.w);
    const wagw_node_t *x, *y;

    (void)state;
    p.w->orders.lose_messages = 2;
    p.w->orders.drop_acks = 1;
    for (int i = 0; i < 3; i++) {
        id[i] = sim_command(p.a, WAGW_CMD_SEND,
                            i == 0   ? TEXT("49200", "a")
                            : i == 1 ? TEXT("49200", "b")
                                     : TEXT("49200", "c"));
        sim_advance(p.w, 1);
        assert_null(sim_reply(p.a, id[i]));
    }
    sim_cut(p.a, 0);
    sim_advance(p.w, 5);
    sim_expect_status(p.a, WAGW_STATUS_CONNECTED);
    for (int i = 0; i < 3; i++) {
        sim_expect(p.a, id[i], 200, "");
    }
    x = sim_sent(p.a, mark, "message", 0);
    y = sim_sent(p.a, mark, "message", 3);
    assert_string_equal(sim_attr(x, "id"), sim_attr(y, "id"));
    assert_true(
        wagw_str_eq(wagw_node_data(wagw_node_find(wagw_node_find(wagw_node_find(x, "participants"), "to"), "enc")),
                    wagw_node_data(wagw_node_find(wagw_node_find(wagw_node_find(y, "participants"), "to"), "enc"))));
    assert_int_equal(sim_sent_count(p.a, mark, "message"), 6);
    assert_int_equal(sim_events(p.b, "message.received"), 3);
    assert_int_equal(sim_events(p.a, "message.sent"), 3);
    two_end(&p);
}

/* Not yet encrypted when the connection goes: done after the next login. */
static void waiting_for_lists(void **state)
{
    sim_two_t p = sim_two(58);
    uint64_t id[2];

    (void)state;
    p.w->orders.no_answer_ns = "usync";
    p.w->orders.no_answer = 1;
    id[0] = sim_command(p.a, WAGW_CMD_SEND, TEXT("49200", "a"));
    id[1] = sim_command(p.a, WAGW_CMD_SEND, TEXT("49200", "b"));
    sim_run(p.w);
    assert_int_equal(sim_info(p.a).queue, 2);
    sim_cut(p.a, 0);
    sim_advance(p.w, 5);
    sim_expect(p.a, id[0], 200, "");
    sim_expect(p.a, id[1], 200, "");
    assert_int_equal(sim_info(p.a).queue, 0);

    /* no answer at all: 504 after a minute, and the next one gets its turn */
    sim_advance(p.w, 3601000);
    p.w->orders.no_answer = 1;
    id[0] = sim_command(p.a, WAGW_CMD_SEND, TEXT("49200", "c"));
    id[1] = sim_command(p.a, WAGW_CMD_SEND, TEXT("49200", "d"));
    sim_advance(p.w, 59000);
    assert_null(sim_reply(p.a, id[0]));
    sim_advance(p.w, 2000);
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(sim_expect(p.a, id[0], 504, "WA_TIMEOUT")->details, "sent")));
    sim_expect(p.a, id[1], 200, "");
    assert_string_equal(sim_str(sim_last_event(p.b, "message.received")->data, "body"), "d");

    /* an error of the query */
    sim_advance(p.w, 3601000);
    p.w->orders.iq_error = 429;
    p.w->orders.iq_error_ns = "usync";
    id[0] = sim_command(p.a, WAGW_CMD_SEND, TEXT("49200", "e"));
    sim_run(p.w);
    sim_expect(p.a, id[0], 429, "WA_RATE_OVERLIMIT");
    two_end(&p);
}

static void timeouts(void **state)
{
    sim_two_t p = sim_two(59);
    uint64_t id;
    sim_reply_t *r;
    sim_engine_t *c = sim_engine(p.w, "C");

    (void)state;
    /* the caller's time is over while the ack is awaited; the late ack counts */
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "first"), 200);
    p.w->orders.drop_acks = 1;
    id = sim_command(p.a, WAGW_CMD_SEND, TEXT("49200", "slow"));
    sim_run(p.w);
    assert_true(wagw_client_timeout(p.a->c, id, p.w->now));
    r = sim_expect(p.a, id, 504, "WA_TIMEOUT");
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(r->details, "sent")));
    assert_false(wagw_client_timeout(p.a->c, id, p.w->now));
    {
        wagw_arena_t a = {0};
        const wagw_node_t *m = sim_sent(p.a, NULL, "message", 1);
        wagw_node_t *ack = sim_node(&a, "ack", "class", "message", "id", sim_attr(m, "id"), "from", "9200@lid", "t",
                                    "1767225700", NULL);

        sim_push(p.a, ack);
        sim_run(p.w);
        assert_int_equal(sim_events(p.a, "message.sent"), 2);
        sim_push(p.a, ack);
        sim_run(p.w);
        assert_int_equal(sim_events(p.a, "message.sent"), 2);
        wagw_arena_free(&a);
    }
    /* before the stanza left */
    p.w->orders.no_answer_ns = "usync";
    p.w->orders.no_answer = 1;
    sim_advance(p.w, 3601000);
    id = sim_command(p.a, WAGW_CMD_SEND, TEXT("49200", "parked"));
    sim_run(p.w);
    assert_true(wagw_client_timeout(p.a->c, id, p.w->now));
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(sim_expect(p.a, id, 504, "WA_TIMEOUT")->details, "sent")));
    sim_advance(p.w, 61000);

    /* nobody asks: 75 s */
    p.w->orders.drop_acks = 1;
    id = sim_command(p.a, WAGW_CMD_SEND, TEXT("49200", "unconfirmed"));
    sim_advance(p.w, 74000);
    assert_null(sim_reply(p.a, id));
    sim_advance(p.w, 1100);
    sim_expect(p.a, id, 504, "WA_TIMEOUT");

    /* an iq of a command */
    p.w->orders.no_answer = ~0u;
    id = sim_command(p.a, WAGW_CMD_CHECK_EXISTS, "{\"phoneNumber\":\"49200\"}");
    sim_run(p.w);
    assert_true(wagw_client_timeout(p.a->c, id, p.w->now));
    sim_expect(p.a, id, 504, "WA_TIMEOUT");
    id = sim_command(p.a, WAGW_CMD_CHECK_EXISTS, "{\"phoneNumber\":\"49200\"}");
    sim_run(p.w);
    wagw_client_forget(p.a->c, id);
    sim_advance(p.w, 61000);
    assert_null(sim_reply(p.a, id));
    id = sim_command(p.a, WAGW_CMD_CHECK_EXISTS, "{\"phoneNumber\":\"49200\"}");
    sim_advance(p.w, 61000);
    sim_expect(p.a, id, 504, "WA_TIMEOUT");

    /* waiting for a QR */
    p.w->orders.no_success = true;
    id = sim_command(c, WAGW_CMD_QR, NULL);
    sim_run(p.w);
    assert_null(sim_reply(c, id));
    assert_true(wagw_client_timeout(c->c, id, p.w->now));
    sim_expect(c, id, 404, "QR_NOT_AVAILABLE");
    two_end(&p);
}

/* A forgotten send goes on. */
static void forgotten(void **state)
{
    sim_two_t p = sim_two(60);
    uint64_t id;

    (void)state;
    id = sim_command(p.a, WAGW_CMD_SEND, TEXT("49200", "nobody waits"));
    wagw_client_forget(p.a->c, id);
    sim_run(p.w);
    assert_null(sim_reply(p.a, id));
    assert_int_equal(sim_events(p.b, "message.received"), 1);
    assert_int_equal(sim_events(p.a, "message.sent"), 1);
    two_end(&p);
}

static void not_connected(void **state)
{
    sim_two_t p = sim_two(61);
    static const wagw_cmd_t all[] = {WAGW_CMD_SEND,        WAGW_CMD_REACTION, WAGW_CMD_EDIT,
                                     WAGW_CMD_REVOKE,      WAGW_CMD_FORWARD,  WAGW_CMD_SEEN,
                                     WAGW_CMD_CHATSTATE,   WAGW_CMD_PRESENCE, WAGW_CMD_PRESENCE_SUBSCRIBE,
                                     WAGW_CMD_CHECK_EXISTS};
    uint64_t id;

    (void)state;
    wagw_client_stop(p.a->c, true, p.w->now);
    sim_run(p.w);
    sim_expect_status(p.a, WAGW_STATUS_PAUSED);
    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        id = sim_command(
            p.a, all[i],
            "{\"to\":\"49200\",\"chatId\":\"49200\",\"message\":\"x\",\"messageId\":\"X\",\"phoneNumber\":\"49200\"}");
        sim_run(p.w);
        sim_expect(p.a, id, 409, "INSTANCE_NOT_CONNECTED");
    }
    id = sim_command(p.a, WAGW_CMD_QR, NULL);
    sim_run(p.w);
    sim_expect(p.a, id, 409, "ALREADY_CONNECTED");
    two_end(&p);
}

/* Send commands that meet a slow store are answered once, in order. */
static void slow_store(void **state)
{
    sim_two_t p = sim_two(62);
    uint64_t id[4];

    (void)state;
    p.a->hold_commits = true;
    for (int i = 0; i < 4; i++) {
        id[i] = sim_command(p.a, WAGW_CMD_SEND, TEXT("49200", "x"));
        sim_run(p.w);
    }
    assert_null(sim_reply(p.a, id[0]));
    assert_int_equal(p.w->nmessages, 0); /* nothing leaves before its commit */
    sim_release(p.a);
    sim_run(p.w);
    for (int i = 0; i < 4; i++) {
        sim_expect(p.a, id[i], 200, "");
    }
    p.a->hold_loads = true;
    sim_crash(p.a, false);
    sim_run(p.w);
    sim_revive(p.a);
    sim_advance(p.w, 60000);
    sim_release(p.a);
    sim_advance(p.w, 5);
    sim_expect_status(p.a, WAGW_STATUS_CONNECTED);
    assert_int_equal(sim_events(p.b, "message.received"), 4);
    two_end(&p);
}

static void timelock(sim_two_t *p, const char *json)
{
    wagw_arena_t a = {0};
    wagw_node_t *n =
        sim_node(&a, "notification", "from", "@s.whatsapp.net", "type", "mex", "id", "lock", "t", "1", NULL);

    wagw_node_bytes(sim_add(&a, n, "update", "op_name", "NotificationUserReachoutTimelockUpdate", NULL),
                    wagw_cstr(json));
    sim_push(p->a, n);
    sim_run(p->w);
    wagw_arena_free(&a);
}

/* While it lasts nobody new is tried, also after a restart; it ends by itself. */
static void reachout_timelock(void **state)
{
#define LOCK(members) "{\"data\":{\"xwa2_notify_account_reachout_timelock\":{" members "}}}"
    sim_two_t p = sim_two(66);
    sim_reply_t *r;
    sim_event_t *ev;
    char json[256];
    int64_t ends;

    (void)state;
    ends = p.w->now / 1000 + 3600;
    snprintf(json, sizeof(json),
             LOCK("\"is_active\":true,\"enforcement_type\":\"BIZ\",\"time_enforcement_ends\":\"%lld\""),
             (long long)ends);
    timelock(&p, "not json");
    timelock(&p, "{\"data\":{}}");
    timelock(&p, LOCK("\"is_active\":false"));
    assert_int_equal(sim_events(p.a, "account.restricted"), 0);
    timelock(&p, json);
    timelock(&p, json); /* told twice, one event */
    assert_int_equal(sim_events(p.a, "account.restricted"), 1);
    ev = sim_last_event(p.a, "account.restricted");
    assert_string_equal(sim_str(ev->data, "type"), "BIZ");

    sim_crash(p.a, false);
    sim_run(p.w);
    sim_revive(p.a);
    sim_advance(p.w, 5);
    sim_expect_status(p.a, WAGW_STATUS_CONNECTED);
    {
        sim_log_t *mark = sim_mark(p.w);

        r = sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "new"), 429);
        assert_string_equal(r->code, "WA_ACCOUNT_RESTRICTED");
        assert_string_equal(sim_str(r->details, "type"), "BIZ");
        assert_true(r->retry_after > 3500 && r->retry_after <= 3600);
        assert_int_equal(sim_sent_count(p.a, mark, "message"), 0);
    }
    /* whoever wrote to us is no stranger */
    sim_do(p.b, WAGW_CMD_SEND, TEXT("49100", "hello"), 200);
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "answer"), 200);
    timelock(&p, LOCK("\"is_active\":false"));
    assert_int_equal(sim_events(p.a, "account.restricted"), 2);
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_META, "timelock"), 0);
    two_end(&p);
#undef LOCK
}

/* Away with all that belongs to it; what comes late finds nothing. */
static void deleted_here(void **state)
{
    sim_two_t p = sim_two(67);
    sim_reply_t *r;
    char json[256], id[80];
    wagw_row_message_t m;
    wagw_row_chat_t c;

    (void)state;
    r = sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "stays"), 200);
    r = sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "goes"), 200);
    snprintf(id, sizeof(id), "%s", r->message_id);
    snprintf(json, sizeof(json), "{\"chatId\":\"49100\",\"messageId\":\"%s\",\"emoji\":\"x\"}", id);
    sim_do(p.b, WAGW_CMD_REACTION, json, 200);
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_REACTION, ""), 1);
    snprintf(json, sizeof(json),
             "{\"chatId\":\"49200\",\"messageId\":\"%s\",\"_last\":{\"ms\":1,\"id\":\"L\",\"body\":\"stays\",\"type\":"
             "\"text\","
             "\"fromMe\":true}}",
             id);
    r = sim_do(p.a, WAGW_CMD_DELETE_LOCAL, json, 200);
    assert_int_equal(cJSON_GetObjectItem(cJSON_GetObjectItem(r->data, "deleted"), "count")->valueint, 1);
    assert_false(sim_message(p.a, SIM_B, id, "", &m));
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_REACTION, ""), 0);
    assert_true(sim_chat(p.a, SIM_B, &c));
    assert_true(wagw_str_is(c.last_body, "stays") && wagw_str_is(c.last_id, "L"));

    snprintf(json, sizeof(json), "{\"chatId\":\"49100\",\"messageId\":\"%s\"}", id);
    sim_do(p.b, WAGW_CMD_SEEN, json, 200); /* a late receipt */
    assert_false(sim_message(p.a, SIM_B, id, "", &m));
    snprintf(json, sizeof(json), "{\"chatId\":\"49200\",\"messageId\":\"%s\"}", id);
    sim_do(p.a, WAGW_CMD_DELETE_LOCAL, json, 404);
    two_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ack_errors),
        cmocka_unit_test(reachout_timelock),
        cmocka_unit_test(deleted_here),
        cmocka_unit_test(rebuilt),
        cmocka_unit_test(namespace_learnt),
        cmocka_unit_test(phash_differs),
        cmocka_unit_test(async),
        cmocka_unit_test(duplicate_id),
        cmocka_unit_test(resumed),
        cmocka_unit_test(again_after_reconnect),
        cmocka_unit_test(waiting_for_lists),
        cmocka_unit_test(timeouts),
        cmocka_unit_test(forgotten),
        cmocka_unit_test(not_connected),
        cmocka_unit_test(slow_store),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
