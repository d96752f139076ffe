/*
 * Messages in groups (04 section 9): who is given our key and when, members and
 * devices that come and go, what cannot be decrypted, what is said about
 * messages.
 */

#include "client_sim.h"

#define GROUP SIM_GROUP
#define SAY(body) "{\"to\":\"" GROUP "\",\"message\":\"" body "\"}"

typedef struct {
    sim_two_t p;
    sim_account_t *ca;
    sim_engine_t *c;
} three_t;

static three_t three(uint64_t seed)
{
    three_t t;

    t.p = sim_two(seed);
    t.ca = sim_account(t.p.w, "49300", "9300");
    t.ca->name = "Cid";
    t.c = sim_engine(t.p.w, "C");
    sim_link(t.c, t.ca);
    sim_group(t.p.w, "9100", "9200", "9300", NULL);
    return t;
}

static void three_end(three_t *t)
{
    assert_int_equal(t->p.a->errors + t->p.b->errors + t->c->errors, 0);
    sim_free(t->p.w);
}

static const char *body(sim_engine_t *e)
{
    return sim_str(sim_last_event(e, "message.received")->data, "body");
}

static unsigned given(const wagw_node_t *message)
{
    const wagw_node_t *parts = wagw_node_find(message, "participants");

    return parts ? parts->nchildren : 0;
}

/* The id of the key that sealed the message. */
static uint32_t key_id(const wagw_node_t *message)
{
    wagw_str_t v = wagw_node_data(wagw_node_find(message, "enc"));
    uint32_t id = 0;

    assert_true(v.n > 8 && v.p[0] == 0x33 && v.p[1] == 0x08);
    for (unsigned i = 0; i < 5; i++) {
        id |= (uint32_t)(v.p[2 + i] & 127) << (7 * i);
        if (v.p[2 + i] < 128) {
            break;
        }
    }
    return id;
}

static void change(three_t *t, sim_engine_t *e, const char *what, const char *who, const char *id)
{
    char jid[64], pn[64];
    wagw_arena_t a = {0};
    wagw_node_t *n = sim_node(&a, "notification", "from", GROUP, "type", "w:gp2", "id", id, "participant", "9100@lid",
                              "participant_pn", SIM_A, "addressing_mode", "lid", "t", "1767225600", NULL);

    (void)t;
    snprintf(jid, sizeof(jid), "%s@lid", who);
    snprintf(pn, sizeof(pn), "4%s@s.whatsapp.net", who);
    sim_add(&a, sim_add(&a, n, what, NULL), "participant", "jid", jid, "phone_number", pn, NULL);
    sim_queue(sim_device_of(e), n);
    sim_run(e->w);
    assert_int_equal(sim_queued(sim_device_of(e)), 0);
    wagw_arena_free(&a);
}

static void first_and_next(void **state)
{
    three_t t = three(950);
    sim_log_t *mark = sim_mark(t.p.w);
    const wagw_node_t *n, *to;
    sim_reply_t *r;
    const cJSON *d;
    sim_got_t *g;
    unsigned id;

    (void)state;
    r = sim_do(t.p.a, WAGW_CMD_SEND, SAY("hello all"), 200);
    assert_string_equal(sim_str(r->data, "chatId"), GROUP);
    n = sim_sent(t.p.a, mark, "message", 0);
    assert_true(sim_has(n, "to", GROUP, "type", "text", "addressing_mode", "lid", "peer_recipient_pn", NULL, NULL));
    assert_true(wagw_node_has(n, "phash"));
    /* both devices of Bea and Cid, our phone; not we */
    assert_int_equal(given(n), 5);
    for (to = wagw_node_find(wagw_node_find(n, "participants"), "to"); to; to = wagw_node_find_next(to, "to")) {
        assert_false(wagw_node_attr_is(to, "jid", "9100:5@lid"));
    }
    assert_non_null(wagw_node_find(n, "device-identity"));
    id = key_id(n);

    d = sim_last_event(t.p.b, "message.received")->data;
    assert_string_equal(sim_str(d, "body"), "hello all");
    assert_string_equal(sim_str(d, "chatId"), GROUP);
    assert_string_equal(sim_str(d, "participant"), SIM_A);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(d, "isGroup")));
    assert_string_equal(body(t.c), "hello all");
    g = sim_peer_got(t.p.aa->phone, r->message_id);
    assert_true(g && g->group && g->rc == WAGW_OK);
    assert_null(cJSON_GetObjectItem(g->message, "deviceSentMessage"));
    assert_int_equal(sim_events(t.p.a, "message.received"), 0);
    n = sim_sent(t.p.b, mark, "receipt", 0);
    assert_true(sim_has(n, "to", GROUP, "participant", "9100:5@lid", "type", "inactive", NULL));

    mark = sim_mark(t.p.w);
    sim_do(t.p.a, WAGW_CMD_SEND, SAY("again"), 200);
    n = sim_sent(t.p.a, mark, "message", 0);
    assert_int_equal(given(n), 0);
    assert_int_equal(key_id(n), id);
    assert_null(wagw_node_find(n, "device-identity"));
    assert_int_equal(sim_sent_count(t.p.a, mark, "iq"), 0);
    assert_string_equal(body(t.p.b), "again");
    assert_string_equal(body(t.c), "again");

    sim_do(t.p.b, WAGW_CMD_SEND, SAY("from bea"), 200);
    sim_do(t.c, WAGW_CMD_SEND, SAY("from cid"), 200);
    assert_string_equal(body(t.p.a), "from cid");
    assert_string_equal(sim_str(sim_last_event(t.p.a, "message.received")->data, "participant"),
                        "49300@s.whatsapp.net");
    assert_string_equal(body(t.p.b), "from cid");
    assert_int_equal(sim_events(t.p.a, "message.received"), 2);
    three_end(&t);
}

/* Nobody is taken to have the key before the server took the message. */
static void given_with_the_ack(void **state)
{
    three_t t = three(951);
    sim_log_t *mark = sim_mark(t.p.w);
    uint64_t id[2];

    (void)state;
    t.p.w->orders.lose_messages = 1;
    id[0] = sim_command(t.p.a, WAGW_CMD_SEND, SAY("lost"));
    sim_run(t.p.w);
    id[1] = sim_command(t.p.a, WAGW_CMD_SEND, SAY("arrives"));
    sim_run(t.p.w);
    assert_null(sim_reply(t.p.a, id[0]));
    sim_expect(t.p.a, id[1], 200, "");
    assert_int_equal(given(sim_sent(t.p.a, mark, "message", 1)), 5);
    assert_string_equal(body(t.p.b), "arrives");
    sim_cut(t.p.a, 0);
    sim_advance(t.p.w, 3000);
    sim_expect(t.p.a, id[0], 200, "");
    assert_string_equal(body(t.p.b), "lost");
    assert_string_equal(body(t.c), "lost");
    /* after a crash the memory is the stored one */
    sim_crash(t.p.a, false);
    sim_run(t.p.w);
    sim_revive(t.p.a);
    sim_advance(t.p.w, 10);
    mark = sim_mark(t.p.w);
    sim_do(t.p.a, WAGW_CMD_SEND, SAY("third"), 200);
    assert_int_equal(given(sim_sent(t.p.a, mark, "message", 0)), 0);
    assert_string_equal(body(t.c), "third");
    three_end(&t);
}

static void members(void **state)
{
    three_t t = three(952);
    sim_log_t *mark;
    unsigned before, had;
    uint32_t id;

    (void)state;
    sim_group(t.p.w, "9100", "9200", NULL);
    sim_do(t.p.a, WAGW_CMD_SEND, SAY("two of us"), 200);
    assert_int_equal(sim_events(t.c, "message.received"), 0);

    /* Cid comes: only his devices are given the key */
    sim_group(t.p.w, "9100", "9200", "9300", NULL);
    change(&t, t.p.a, "add", "9300", "g1");
    assert_int_equal(sim_events(t.p.a, "group.v2.join"), 1);
    mark = sim_mark(t.p.w);
    sim_do(t.p.a, WAGW_CMD_SEND, SAY("three of us"), 200);
    assert_int_equal(given(sim_sent(t.p.a, mark, "message", 0)), 2);
    assert_string_equal(body(t.c), "three of us");
    assert_string_equal(body(t.p.b), "three of us");
    id = key_id(sim_sent(t.p.a, mark, "message", 0));

    /* and goes: another key, for all but him */
    sim_group(t.p.w, "9100", "9200", NULL);
    change(&t, t.p.a, "remove", "9300", "g2");
    before = sim_events(t.c, "message.received");
    mark = sim_mark(t.p.w);
    sim_do(t.p.a, WAGW_CMD_SEND, SAY("without cid"), 200);
    assert_int_equal(given(sim_sent(t.p.a, mark, "message", 0)), 3);
    assert_int_not_equal(key_id(sim_sent(t.p.a, mark, "message", 0)), id);
    assert_int_equal(sim_events(t.c, "message.received"), before);
    assert_string_equal(body(t.p.b), "without cid");
    id = key_id(sim_sent(t.p.a, mark, "message", 0));

    /* a device of Bea goes: another key again */
    had = sim_mem_count(&t.p.a->mem, WAGW_REC_SESSION, "9200_1.");
    assert_int_equal(had, 2);
    {
        wagw_arena_t a = {0};
        wagw_node_t *n = sim_node(&a, "notification", "from", SIM_B, "lid", "9200@lid", "type", "devices", "id", "g3",
                                  "t", "1", NULL);

        sim_add(&a, sim_add(&a, n, "remove", NULL), "device", "jid", "49200@s.whatsapp.net", "lid", "9200@lid", NULL);
        t.p.ba->listed = false;
        sim_queue(sim_device_of(t.p.a), n);
        sim_run(t.p.w);
        wagw_arena_free(&a);
    }
    mark = sim_mark(t.p.w);
    sim_do(t.p.a, WAGW_CMD_SEND, SAY("without a phone"), 200);
    assert_int_not_equal(key_id(sim_sent(t.p.a, mark, "message", 0)), id);
    assert_int_equal(given(sim_sent(t.p.a, mark, "message", 0)), 2);
    assert_string_equal(body(t.p.b), "without a phone");
    three_end(&t);
}

static void undecryptable(void **state)
{
    three_t t = three(953);
    sim_log_t *mark = sim_mark(t.p.w);
    const wagw_node_t *n;
    sim_reply_t *r;

    (void)state;
    sim_do(t.p.a, WAGW_CMD_SEND, SAY("first"), 200);
    t.p.w->orders.damage = 1;
    t.p.w->orders.damage_to = "9200:5@lid";
    mark = sim_mark(t.p.w);
    r = sim_do(t.p.a, WAGW_CMD_SEND, SAY("damaged"), 200);
    n = sim_sent(t.p.b, mark, "receipt", 0);
    assert_true(sim_has(n, "type", "retry", "to", GROUP, "participant", "9100:5@lid", NULL));
    assert_true(sim_has(sim_sent(t.p.b, mark, "ack", 0), "class", "message", "to", GROUP, "participant", "9100:5@lid",
                        "error", NULL, NULL));
    n = sim_sent(t.p.a, mark, "message", 1);
    assert_true(sim_has(n, "to", GROUP, "participant", "9200:5@lid", "id", r->message_id, "device_fanout", NULL,
                        "phash", NULL, NULL));
    assert_null(wagw_node_find(n, "participants"));
    assert_true(sim_has(wagw_node_find(n, "enc"), "count", "1", NULL));
    assert_string_equal(body(t.p.b), "damaged");
    assert_int_equal(sim_events(t.p.b, "message.received"), 2);
    assert_int_equal(sim_events(t.c, "message.received"), 2);
    assert_int_equal(sim_queued(sim_device_of(t.p.b)), 0);

    /* Cid lost everything but his credentials: the key comes with the resend */
    for (size_t i = t.c->mem.n; i-- > 0;) {
        const sim_rec_t *rec = &t.c->mem.v[i];

        if (rec->kind == WAGW_REC_SENDER_KEY || rec->kind == WAGW_REC_SESSION) {
            sim_mem_del(&t.c->mem, rec->kind, wagw_str(rec->p, rec->key_len));
        }
    }
    wagw_cache_forget(t.c->sh.cache, t.c->num);
    mark = sim_mark(t.p.w);
    sim_do(t.p.a, WAGW_CMD_SEND, SAY("who are you"), 200);
    n = sim_sent(t.c, mark, "receipt", 0);
    assert_true(sim_has(n, "type", "retry", NULL));
    assert_non_null(wagw_node_find(n, "keys"));
    assert_string_equal(body(t.c), "who are you");
    sim_do(t.p.a, WAGW_CMD_SEND, SAY("I see"), 200);
    assert_string_equal(body(t.c), "I see");
    assert_int_equal(sim_events(t.c, "message.received"), 4);
    three_end(&t);
}

static void about_messages(void **state)
{
    wagw_node_t *n;
    three_t t = three(954);
    char json[300], id[80], re[80];
    sim_reply_t *r;
    const cJSON *d, *q;
    wagw_row_message_t m;
    sim_log_t *mark;

    (void)state;
    r = sim_do(t.p.a, WAGW_CMD_SEND, SAY("hello"), 200);
    snprintf(id, sizeof(id), "%s", r->message_id);
    snprintf(json, sizeof(json),
             "{\"to\":\"" GROUP "\",\"message\":\"re\",\"quotedMessageId\":\"%s\",\"mentions\":[\"49300\"]}", id);
    r = sim_do(t.p.b, WAGW_CMD_SEND, json, 200);
    snprintf(re, sizeof(re), "%s", r->message_id);
    d = sim_last_event(t.c, "message.received")->data;
    q = cJSON_GetObjectItem(d, "quoted");
    assert_string_equal(sim_str(q, "id"), id);
    assert_string_equal(sim_str(q, "text"), "hello");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(d, "mentions")), 1);

    snprintf(json, sizeof(json), "{\"chatId\":\"" GROUP "\",\"messageId\":\"%s\",\"emoji\":\"+\"}", id);
    sim_do(t.c, WAGW_CMD_REACTION, json, 200);
    assert_string_equal(sim_str(sim_last_event(t.p.a, "message.reaction")->data, "messageId"), id);
    assert_string_equal(sim_str(sim_last_event(t.p.a, "message.reaction")->data, "from"), "49300@s.whatsapp.net");
    assert_string_equal(sim_str(sim_last_event(t.p.b, "message.reaction")->data, "messageId"), id);
    snprintf(json, sizeof(json), "{\"chatId\":\"" GROUP "\",\"messageId\":\"%s\",\"emoji\":\"-\"}", re);
    sim_do(t.c, WAGW_CMD_REACTION, json, 200);
    assert_string_equal(sim_str(sim_last_event(t.p.b, "message.reaction")->data, "messageId"), re);

    snprintf(json, sizeof(json), "{\"chatId\":\"" GROUP "\",\"messageId\":\"%s\",\"newText\":\"hello!\"}", id);
    sim_do(t.p.a, WAGW_CMD_EDIT, json, 200);
    assert_string_equal(sim_str(sim_last_event(t.p.b, "message.edited")->data, "newBody"), "hello!");
    assert_true(sim_message(t.c, GROUP, id, SIM_A, &m));
    assert_true(wagw_str_is(m.body, "hello!"));
    sim_do(t.p.b, WAGW_CMD_EDIT, json, 403); /* not hers */
    assert_int_equal(sim_events(t.c, "message.edited"), 1);

    /* seen, one receipt per author, named as the group names them */
    mark = sim_mark(t.p.w);
    snprintf(json, sizeof(json), "{\"chatId\":\"" GROUP "\",\"messageIds\":[\"%s\",\"%s\"]}", id, re);
    sim_do(t.c, WAGW_CMD_SEEN, json, 200);
    assert_true(sim_has(sim_sent(t.c, mark, "receipt", 0), "to", GROUP, "participant", "9100@lid", "id", id, "type",
                        "read", NULL));
    assert_true(sim_has(sim_sent(t.c, mark, "receipt", 1), "to", GROUP, "participant", "9200@lid", "id", re, "type",
                        "read", NULL));
    d = sim_last_event(t.p.a, "message.ack")->data;
    assert_string_equal(sim_str(d, "ackName"), "read");
    assert_string_equal(sim_str(d, "participant"), "49300@s.whatsapp.net");
    assert_int_equal(sim_mem_count(&t.p.a->mem, WAGW_REC_RECEIPT, GROUP "|"),
                     4); /* Bea, Cid; of two messages and more */

    snprintf(json, sizeof(json), "{\"chatId\":\"" GROUP "\",\"messageId\":\"%s\"}", id);
    mark = sim_mark(t.p.w);
    sim_do(t.p.a, WAGW_CMD_REVOKE, json, 200);
    assert_true(sim_has(sim_sent(t.p.a, mark, "message", 0), "edit", "7", NULL));
    assert_true(sim_message(t.c, GROUP, id, SIM_A, &m));
    assert_true(m.flags & WAGW_ROW_REVOKED);
    assert_string_equal(sim_str(sim_last_event(t.p.b, "message.revoked")->data, "messageId"), id);

    /* Bea's message: Cid may not; one who takes himself for an admin is not believed; the admin may */
    snprintf(json, sizeof(json), "{\"chatId\":\"" GROUP "\",\"messageId\":\"%s\"}", re);
    assert_string_equal(sim_do(t.c, WAGW_CMD_REVOKE, json, 403)->code, "WA_FORBIDDEN");
    n = sim_node(&t.p.w->arena, "notification", "from", GROUP, "type", "w:gp2", "id", "77", NULL);
    sim_add(&t.p.w->arena, n, "modify", NULL);
    sim_group(t.p.w, "9300", "9100", "9200", NULL);
    sim_push(t.c, n);
    sim_run(t.p.w);
    sim_do(t.c, WAGW_CMD_REVOKE, json, 200);
    assert_true(sim_message(t.p.a, GROUP, re, SIM_B, &m));
    assert_false(m.flags & WAGW_ROW_REVOKED);
    sim_do(t.p.a, WAGW_CMD_REVOKE, json, 200);
    assert_true(sim_message(t.p.b, GROUP, re, "", &m));
    assert_true(m.flags & WAGW_ROW_REVOKED);
    three_end(&t);
}

/* Metadata that cannot be had, errors, a group we are not in. */
static void refused(void **state)
{
    three_t t = three(955);
    uint64_t id;
    sim_log_t *mark;

    (void)state;
    t.p.w->orders.group = NULL;
    id = sim_command(t.p.a, WAGW_CMD_SEND, SAY("x"));
    sim_run(t.p.w);
    assert_true(sim_reply(t.p.a, id) && sim_reply(t.p.a, id)->status >= 400);
    sim_group(t.p.w, "9100", "9200", "9300", NULL);
    t.p.w->orders.ack_error = 421;
    t.p.w->orders.ack_errors = 1;
    mark = sim_mark(t.p.w);
    id = sim_command(t.p.a, WAGW_CMD_SEND, SAY("stale"));
    sim_run(t.p.w);
    sim_expect(t.p.a, id, 200, "");
    assert_int_equal(sim_sent_count(t.p.a, mark, "message"), 2);
    assert_string_equal(body(t.p.b), "stale");
    t.p.w->orders.ack_error = 403;
    t.p.w->orders.ack_errors = 1;
    id = sim_command(t.p.a, WAGW_CMD_SEND, SAY("not an admin"));
    sim_run(t.p.w);
    sim_expect(t.p.a, id, 403, "WA_FORBIDDEN");
    three_end(&t);
}

/* A change with more members than any group has: nothing is believed of it, the group is read again. */
static void an_absurd_change(void **state)
{
    three_t t = three(957);
    char jid[32];
    unsigned events;
    sim_log_t *mark;
    wagw_arena_t a = {0};
    wagw_node_t *n, *add;

    (void)state;
    sim_do(t.p.a, WAGW_CMD_SEND, SAY("before"), 200);
    events = sim_events(t.p.a, "group.v2.participants");
    n = sim_node(&a, "notification", "from", GROUP, "type", "w:gp2", "id", "absurd", "participant", "9200@lid",
                 "addressing_mode", "lid", "t", "1767225600", NULL);
    for (unsigned k = 0; k < 2; k++) {
        add = sim_add(&a, n, "add", NULL);
        for (unsigned i = 0; i < 4000; i++) {
            snprintf(jid, sizeof(jid), "%u@lid", 70000 + i);
            sim_add(&a, add, "participant", "jid", (const char *)wagw_arena_str(&a, wagw_cstr(jid)).p, NULL);
        }
    }
    sim_queue(sim_device_of(t.p.a), n);
    sim_run(t.p.w);
    assert_int_equal(sim_queued(sim_device_of(t.p.a)), 0);
    assert_true(sim_events(t.p.a, "group.v2.participants") <= events + 1);
    assert_non_null(strstr(t.p.a->logs, "is refused, the group is read again"));
    mark = sim_mark(t.p.w);
    sim_do(t.p.a, WAGW_CMD_SEND, SAY("after"), 200);
    assert_non_null(sim_sent_iq(t.p.a, mark, "w:g2", NULL));
    assert_int_equal(given(sim_sent(t.p.a, mark, "message", 0)), 5);
    assert_string_equal(body(t.c), "after");
    wagw_arena_free(&a);
    three_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_and_next),   cmocka_unit_test(given_with_the_ack), cmocka_unit_test(members),
        cmocka_unit_test(undecryptable),    cmocka_unit_test(about_messages),     cmocka_unit_test(refused),
        cmocka_unit_test(an_absurd_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
