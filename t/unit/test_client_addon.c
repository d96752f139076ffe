/*
 * What is sealed under the secret of another message: votes, answers to
 * events, reactions and edits; and pins, keeps and the chat's timer.
 */

#include "client_sim.h"

static void two_end(sim_two_t *p)
{
    assert_int_equal(p->a->errors, 0);
    assert_int_equal(p->b->errors, 0);
    sim_free(p->w);
}

static sim_reply_t *send_kind(sim_engine_t *e, wagw_cmd_t cmd, wagw_build_kind_t kind, const char *fields, int status)
{
    char json[512];

    snprintf(json, sizeof(json), "{\"_kind\":%d,%s}", kind, fields);
    return sim_do(e, cmd, json, status);
}

static const char *text_of(const cJSON *o, const char *key)
{
    static char out[256];
    char *text = cJSON_PrintUnformatted(cJSON_GetObjectItem(o, key));

    snprintf(out, sizeof(out), "%s", text ? text : "(none)");
    free(text);
    return out;
}

/* What B's phone says of A's message (or, own, of B's), sealed as its client would. */
typedef struct {
    const char *field, *keyname, *label;
    const char *more; /* further members of the field */
    bool own, aad, vote;
    const char *author, *writer;
} seal_t;

static void sealed(sim_two_t *p, const char *id, const char *target, wagw_str_t secret, const seal_t *s,
                   wagw_str_t plain)
{
    static const uint8_t iv[12] = {1, 2, 3};
    char json[2048];
    wagw_buf_t b = {0}, iv64 = {0}, data64 = {0};

    assert_int_equal(wagw_addon_seal(&b, secret, wagw_cstr(target), wagw_cstr(s->author), wagw_cstr(s->writer),
                                     s->label, s->aad, iv, plain),
                     WAGW_OK);
    wagw_base64_encode(&iv64, wagw_str(iv, sizeof(iv)));
    wagw_base64_encode(&data64, wagw_buf_view(&b));
    wagw_buf_u8(&iv64, 0);
    wagw_buf_u8(&data64, 0);
    snprintf(json, sizeof(json),
             "{\"%s\":{\"%s\":{\"remoteJid\":\"9100@lid\",\"fromMe\":%s,\"id\":\"%s\"},%s\"encPayload\":\"%s\","
             "\"encIv\":\"%s\"%s%s}}",
             s->field, s->keyname, s->own ? "true" : "false", target, s->vote ? "\"vote\":{" : "", (char *)data64.p,
             (char *)iv64.p, s->vote ? "}" : "", s->more ? s->more : "");
    sim_peer_send(p->ba->phone, p->aa, id, json, NULL);
    sim_run(p->w);
    wagw_buf_free(&b);
    wagw_buf_free(&iv64);
    wagw_buf_free(&data64);
}

static wagw_str_t secret_of(sim_engine_t *e, const char *chat, const char *id, const char *sender, uint8_t out[32])
{
    wagw_row_message_t m;

    assert_true(sim_message(e, chat, id, sender, &m));
    assert_int_equal(m.secret.n, 32);
    memcpy(out, m.secret.p, 32);
    return wagw_str(out, 32);
}

static void votes(void **state)
{
    sim_two_t p = sim_two(1601);
    char poll[80], fields[256];
    uint8_t secret[32], hash[34] = {0x0a, 0x20};
    sim_event_t *ev;
    seal_t s = {"pollUpdateMessage", "pollCreationMessageKey", "Poll Vote", NULL, false, true, true, "9100@lid",
                "9200@lid"};
    const wagw_node_t *n;
    sim_log_t *mark;
    wagw_str_t key;

    (void)state;
    mark = sim_mark(p.w);
    snprintf(poll, sizeof(poll), "%s",
             send_kind(p.a, WAGW_CMD_SEND, WAGW_BUILD_POLL,
                       "\"to\":\"49200\",\"question\":\"Q\",\"options\":[\"x\",\"y\",\"z\"],\"selectableCount\":2", 200)
                 ->message_id);
    n = sim_sent(p.a, mark, "message", 0);
    assert_true(sim_has(n, "type", "poll", NULL));
    assert_true(sim_has(wagw_node_find(n, "meta"), "polltype", "creation", NULL));
    assert_string_equal(sim_str(sim_last_event(p.b, "message.received")->data, "type"), "poll");

    snprintf(fields, sizeof(fields), "\"to\":\"49100\",\"messageId\":\"%s\",\"selectedOptions\":[\"z\",\"x\"]", poll);
    mark = sim_mark(p.w);
    send_kind(p.b, WAGW_CMD_SEND_AT, WAGW_BUILD_POLL_VOTE, fields, 200);
    n = sim_sent(p.b, mark, "message", 0);
    assert_true(sim_has(wagw_node_find(n, "meta"), "polltype", "vote", NULL));
    ev = sim_last_event(p.a, "poll.vote");
    assert_string_equal(sim_str(ev->data, "pollMessageId"), poll);
    assert_string_equal(sim_str(ev->data, "voter"), SIM_B);
    assert_string_equal(text_of(ev->data, "selectedOptions"), "[\"x\",\"z\"]");
    assert_int_equal(sim_events(p.b, "poll.vote"), 1);
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_VOTE, SIM_B "|"), 1);
    assert_int_equal(sim_mem_count(&p.b->mem, WAGW_REC_VOTE, SIM_A "|"), 1);

    /* more than may be chosen, and what is no option: nothing is sent */
    snprintf(fields, sizeof(fields), "\"to\":\"49100\",\"messageId\":\"%s\",\"selectedOptions\":[\"q\"]", poll);
    send_kind(p.b, WAGW_CMD_SEND_AT, WAGW_BUILD_POLL_VOTE, fields, 400);
    snprintf(fields, sizeof(fields), "\"to\":\"49100\",\"messageId\":\"%s\",\"selectedOptions\":[\"x\",\"y\",\"z\"]",
             poll);
    send_kind(p.b, WAGW_CMD_SEND_AT, WAGW_BUILD_POLL_VOTE, fields, 400);
    assert_int_equal(sim_events(p.a, "poll.vote"), 1);

    /* the same voter's phone, with mixed names: it replaces the vote */
    key = secret_of(p.a, SIM_B, poll, "", secret);
    assert_int_equal(wagw_poll_option_hash(hash + 2, WAGW_STR("y")), WAGW_OK);
    s.author = SIM_A;
    s.more = ",\"senderTimestampMs\":1999999999999";
    sealed(&p, "3EV1", poll, key, &s, wagw_str(hash, 34));
    ev = sim_last_event(p.a, "poll.vote");
    assert_string_equal(text_of(ev->data, "selectedOptions"), "[\"y\"]");
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_VOTE, SIM_B "|"), 1);

    /* one that was cast before it changes nothing */
    s.more = ",\"senderTimestampMs\":1999999999998";
    sealed(&p, "3EV2", poll, key, &s, WAGW_STR(""));
    assert_int_equal(sim_events(p.a, "poll.vote"), 2);
    assert_int_equal(sim_events(p.a, "poll.vote.failed"), 0);

    /* another secret, another label, a plaintext that is no vote, a poll that is none */
    sealed(&p, "3EV3", poll, WAGW_STR("0123456789abcdef0123456789abcdef"), &s, wagw_str(hash, 34));
    s.label = "Event Response";
    sealed(&p, "3EV4", poll, key, &s, wagw_str(hash, 34));
    s.label = "Poll Vote";
    sealed(&p, "3EV5", poll, key, &s, wagw_str(hash, 20));
    sealed(&p, "3EV6", "NOPOLL", key, &s, wagw_str(hash, 34));
    assert_int_equal(sim_events(p.a, "poll.vote.failed"), 4);
    assert_int_equal(sim_events(p.a, "poll.vote"), 2);
    assert_string_equal(sim_str(sim_last_event(p.a, "poll.vote.failed")->data, "error"), "The poll is not stored");
    two_end(&p);
}

static void answers(void **state)
{
    sim_two_t p = sim_two(1602);
    char event[80], fields[256];
    sim_event_t *ev;

    (void)state;
    snprintf(event, sizeof(event), "%s",
             send_kind(p.a, WAGW_CMD_SEND, WAGW_BUILD_EVENT,
                       "\"to\":\"49200\",\"name\":\"Party\",\"startTime\":\"2030-01-01T10:00:00Z\"", 200)
                 ->message_id);
    snprintf(fields, sizeof(fields), "\"to\":\"49100\",\"messageId\":\"%s\",\"response\":\"not_going\"", event);
    send_kind(p.b, WAGW_CMD_SEND_AT, WAGW_BUILD_EVENT_RESPONSE, fields, 200);
    for (int i = 0; i < 2; i++) {
        ev = sim_last_event(i ? p.b : p.a, "event.response");
        assert_string_equal(sim_str(ev->data, "eventId"), event);
        assert_string_equal(sim_str(ev->data, "eventName"), "Party");
        assert_string_equal(sim_str(ev->data, "respondent"), SIM_B);
        assert_string_equal(sim_str(ev->data, "response"), "not_going");
    }
    snprintf(fields, sizeof(fields), "\"to\":\"49100\",\"messageId\":\"%s\",\"response\":\"perhaps\"", event);
    send_kind(p.b, WAGW_CMD_SEND_AT, WAGW_BUILD_EVENT_RESPONSE, fields, 400);
    /* an answer to what is no event */
    snprintf(fields, sizeof(fields), "\"to\":\"49100\",\"messageId\":\"%s\",\"response\":\"going\"",
             sim_do(p.a, WAGW_CMD_SEND, "{\"to\":\"49200\",\"message\":\"m\"}", 200)->message_id);
    send_kind(p.b, WAGW_CMD_SEND_AT, WAGW_BUILD_EVENT_RESPONSE, fields, 400);
    two_end(&p);
}

static void reactions_and_edits(void **state)
{
    sim_two_t p = sim_two(1603);
    char own[80], theirs[80];
    uint8_t secret[32];
    wagw_str_t key;
    wagw_buf_t plain = {0};
    wagw_row_message_t m;
    const char *field;
    cJSON *o;
    sim_event_t *ev;
    seal_t r = {"encReactionMessage", "targetMessageKey", "Enc Reaction", NULL, false, false, false,
                "9100@lid",           "9200@lid"};
    seal_t e = {"secretEncryptedMessage",
                "targetMessageKey",
                "Message Edit",
                ",\"secretEncType\":2",
                true,
                false,
                false,
                "9200@lid",
                "9200@lid"};

    (void)state;
    snprintf(own, sizeof(own), "%s",
             sim_do(p.a, WAGW_CMD_SEND, "{\"to\":\"49200\",\"message\":\"mine\"}", 200)->message_id);
    snprintf(theirs, sizeof(theirs), "%s",
             sim_do(p.b, WAGW_CMD_SEND, "{\"to\":\"49100\",\"message\":\"yours\"}", 200)->message_id);

    key = secret_of(p.a, SIM_B, own, "", secret);
    sealed(&p, "3ER1", own, key, &r, WAGW_STR("\x12\x01+"));
    ev = sim_last_event(p.a, "message.reaction");
    assert_non_null(ev);
    assert_string_equal(sim_str(ev->data, "messageId"), own);
    assert_string_equal(sim_str(ev->data, "emoji"), "+");
    r.label = "Enc Comment";
    sealed(&p, "3ER2", own, key, &r, WAGW_STR("\x12\x01-"));
    assert_int_equal(sim_events(p.a, "message.reaction"), 1);

    o = cJSON_Parse("{\"protocolMessage\":{\"type\":14,\"editedMessage\":{\"conversation\":\"better\"}}}");
    assert_int_equal(wagw_message_from_json(&plain, o, &field), WAGW_OK);
    cJSON_Delete(o);

    /* of A's message: nobody but A edits it */
    e.own = false;
    e.author = "9100@lid";
    sealed(&p, "3ER3", own, key, &e, wagw_buf_view(&plain));
    assert_int_equal(sim_events(p.a, "message.edited"), 0);

    e.own = true;
    e.author = "9200@lid";
    key = secret_of(p.a, SIM_B, theirs, SIM_B, secret);
    sealed(&p, "3ER4", theirs, key, &e, wagw_buf_view(&plain));
    ev = sim_last_event(p.a, "message.edited");
    assert_non_null(ev);
    assert_string_equal(sim_str(ev->data, "newBody"), "better");
    assert_true(sim_message(p.a, SIM_B, theirs, SIM_B, &m));
    assert_true(wagw_str_is(m.body, "better"));
    assert_int_equal(m.secret.n, 32); /* for the next edit */

    /* what is inside is no edit and no content */
    sealed(&p, "3ER5", theirs, key, &e, WAGW_STR("\xff\xff\xff"));
    assert_int_equal(sim_events(p.a, "message.edited"), 1);
    wagw_buf_free(&plain);
    two_end(&p);
}

static void marks(void **state)
{
    sim_two_t p = sim_two(1604);
    char id[80], fields[256];
    wagw_row_message_t m;
    wagw_row_chat_t c;

    (void)state;
    snprintf(id, sizeof(id), "%s", sim_do(p.a, WAGW_CMD_SEND, "{\"to\":\"49200\",\"message\":\"m\"}", 200)->message_id);
    snprintf(fields, sizeof(fields), "\"to\":\"49200\",\"messageId\":\"%s\"", id);
    send_kind(p.a, WAGW_CMD_SEND_AT, WAGW_BUILD_PIN, fields, 200);
    assert_true(sim_message(p.a, SIM_B, id, "", &m) && (m.flags & WAGW_ROW_PINNED));
    assert_true(sim_message(p.b, SIM_A, id, SIM_A, &m) && (m.flags & WAGW_ROW_PINNED));
    snprintf(fields, sizeof(fields), "\"to\":\"49100\",\"messageId\":\"%s\",\"pin\":false", id);
    send_kind(p.b, WAGW_CMD_SEND_AT, WAGW_BUILD_PIN, fields, 200);
    assert_true(sim_message(p.a, SIM_B, id, "", &m) && !(m.flags & WAGW_ROW_PINNED));
    snprintf(fields, sizeof(fields), "\"to\":\"49100\",\"messageId\":\"%s\"", id);
    send_kind(p.b, WAGW_CMD_SEND_AT, WAGW_BUILD_KEEP, fields, 200);
    assert_true(sim_message(p.a, SIM_B, id, "", &m) && (m.flags & WAGW_ROW_KEPT));

    send_kind(p.a, WAGW_CMD_SEND, WAGW_BUILD_DISAPPEARING, "\"to\":\"49200\",\"duration\":86400", 200);
    assert_true(sim_chat(p.a, SIM_B, &c) && c.ephemeral == 86400);
    assert_true(sim_chat(p.b, SIM_A, &c) && c.ephemeral == 86400);
    assert_int_equal(sim_events(p.b, "chat.update"), 4);
    /* a pin of what nobody knows */
    send_kind(p.a, WAGW_CMD_SEND_AT, WAGW_BUILD_PIN, "\"to\":\"49200\",\"messageId\":\"NONE\"", 404);
    two_end(&p);
}

static void buttons(void **state)
{
    sim_two_t p = sim_two(1605);
    const wagw_node_t *n, *flow;
    sim_log_t *mark;

    (void)state;
    mark = sim_mark(p.w);
    send_kind(p.a, WAGW_CMD_SEND, WAGW_BUILD_BUTTONS,
              "\"to\":\"49200\",\"text\":\"T\",\"buttons\":[{\"id\":\"1\",\"text\":\"One\"}]", 200);
    n = sim_sent(p.a, mark, "message", 0);
    assert_true(sim_has(wagw_node_find(n, "bot"), "biz_bot", "1", NULL));
    flow = wagw_node_find(wagw_node_find(wagw_node_find(n, "biz"), "interactive"), "native_flow");
    assert_true(sim_has(flow, "v", "9", "name", "mixed", NULL));
    assert_string_equal(sim_str(sim_last_event(p.b, "message.received")->data, "type"), "buttons");

    /* refused once for a stale device list: the second stanza says the same */
    p.w->orders.ack_error = 479;
    p.w->orders.ack_errors = 1;
    mark = sim_mark(p.w);
    send_kind(
        p.a, WAGW_CMD_SEND, WAGW_BUILD_BUTTONS,
        "\"to\":\"49200\",\"text\":\"T\",\"buttons\":[{\"type\":\"url\",\"text\":\"Go\",\"url\":\"https://a.b\"}]",
        200);
    n = sim_sent(p.a, mark, "message", 1);
    assert_non_null(n);
    flow = wagw_node_find(wagw_node_find(wagw_node_find(n, "biz"), "interactive"), "native_flow");
    assert_true(sim_has(flow, "name", "cta_url", NULL));
    two_end(&p);
}

/* In a group everybody counts; the author is who the key's participant says. */
static void group_votes(void **state)
{
    sim_two_t p = sim_two(1606);
    char poll[80], fields[256];
    sim_account_t *ca = sim_account(p.w, "49300", "9300");
    sim_engine_t *all[3];
    static const char *const names[3] = {SIM_A, SIM_B, "49300@s.whatsapp.net"};

    (void)state;
    ca->name = "Cid";
    all[0] = p.a;
    all[1] = p.b;
    all[2] = sim_engine(p.w, "C");
    sim_link(all[2], ca);
    sim_group(p.w, "9100", "9200", "9300", NULL);

    snprintf(poll, sizeof(poll), "%s",
             send_kind(p.b, WAGW_CMD_SEND, WAGW_BUILD_POLL,
                       "\"to\":\"" SIM_GROUP "\",\"question\":\"Q\",\"options\":[\"x\",\"y\"]", 200)
                 ->message_id);
    for (unsigned i = 0; i < 3; i++) {
        snprintf(fields, sizeof(fields), "\"to\":\"" SIM_GROUP "\",\"messageId\":\"%s\",\"selectedOptions\":[\"%s\"]",
                 poll, i == 1 ? "y" : "x");
        send_kind(all[i], WAGW_CMD_SEND_AT, WAGW_BUILD_POLL_VOTE, fields, 200);
        for (unsigned k = 0; k < 3; k++) {
            sim_event_t *ev = sim_last_event(all[k], "poll.vote");

            assert_non_null(ev);
            assert_string_equal(sim_str(ev->data, "voter"), names[i]);
            assert_string_equal(sim_str(ev->data, "chatId"), SIM_GROUP);
            assert_string_equal(text_of(ev->data, "selectedOptions"), i == 1 ? "[\"y\"]" : "[\"x\"]");
            assert_int_equal(sim_mem_count(&all[k]->mem, WAGW_REC_VOTE, SIM_GROUP "|"), i + 1);
            assert_int_equal(sim_events(all[k], "poll.vote.failed"), 0);
        }
    }
    assert_int_equal(all[2]->errors, 0);
    two_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(votes), cmocka_unit_test(answers), cmocka_unit_test(reactions_and_edits),
        cmocka_unit_test(marks), cmocka_unit_test(buttons), cmocka_unit_test(group_votes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
