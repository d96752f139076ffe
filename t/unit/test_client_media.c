/*
 * Media in the engine: what is sent for an uploaded file, the list of hosts,
 * and the phone that is asked for what is gone (06 sections 5 and 9).
 */

#include "client_sim.h"

#include "../../core/media/media.h"

#define KEY "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=" /* 32 times 1 */
#define FILE_OF(type, more)                                                                                            \
    "\"_media\":{\"type\":\"" type "\",\"directPath\":\"/v/old?x=1\",\"mediaKey\":\"" KEY "\",\"fileSha256\":\"" KEY   \
    "\",\"fileEncSha256\":\"" KEY "\",\"size\":5,\"mimetype\":\"image/jpeg\"" more "}"

static uint8_t key[32];

static int set_up(void **state)
{
    (void)state;
    memset(key, 1, sizeof(key));
    return 0;
}

static void two_end(sim_two_t *p)
{
    assert_int_equal(p->a->errors, 0);
    assert_int_equal(p->b->errors, 0);
    sim_free(p->w);
}

static void sent_and_received(void **state)
{
    sim_two_t p = sim_two(300);
    sim_reply_t *r;
    sim_event_t *ev;
    sim_log_t *mark = sim_mark(p.w);
    const wagw_node_t *n, *enc;

    (void)state;
    p.b->conf.id = "inst";
    wagw_client_configure(p.b->c, &p.b->conf);
    r = sim_do(p.a, WAGW_CMD_SEND,
               "{\"to\":\"49200\",\"caption\":\"look\",\"ref\":\"r\",\"messageId\":\"3EB0AA01\"," FILE_OF(
                   "image", ",\"width\":4,\"height\":3") "}",
               200);
    assert_string_equal(r->message_id, "3EB0AA01");
    n = sim_sent(p.a, mark, "message", 0);
    assert_string_equal(sim_attr(n, "type"), "media");
    enc = wagw_node_find(wagw_node_find(wagw_node_find(n, "participants"), "to"), "enc");
    assert_string_equal(sim_attr(enc, "mediatype"), "image");

    ev = sim_event(p.b, "message.received", 0);
    assert_string_equal(sim_str(ev->data, "type"), "image");
    assert_string_equal(sim_str(ev->data, "body"), "look");
    assert_string_equal(sim_str(ev->data, "mediaUrl"), "/api/message/inst/3EB0AA01/media");
    assert_int_equal(cJSON_GetObjectItem(cJSON_GetObjectItem(ev->data, "media"), "width")->valueint, 4);

    /* a file that the owner did not describe well is nothing to send */
    sim_do(p.a, WAGW_CMD_SEND, "{\"to\":\"49200\",\"_media\":{\"type\":\"hologram\"}}", 400);
    sim_do(p.a, WAGW_CMD_SEND, "{\"to\":\"49200\",\"_media\":{\"type\":\"image\",\"mediaKey\":\"AQ==\"}}", 400);
    two_end(&p);
}

static void damaged_and_sent_again(void **state)
{
    sim_two_t p = sim_two(301);
    sim_log_t *mark = sim_mark(p.w);
    const wagw_node_t *again;

    (void)state;
    p.w->orders.damage = 1;
    p.w->orders.damage_to = "9200:5@lid";
    sim_do(p.a, WAGW_CMD_SEND, "{\"to\":\"49200\"," FILE_OF("voice", ",\"seconds\":2") "}", 200);
    sim_run(p.w);
    assert_int_equal(sim_events(p.b, "message.received"), 1);
    assert_string_equal(sim_str(sim_event(p.b, "message.received", 0)->data, "type"), "voice");
    again = sim_sent(p.a, mark, "message", 1);
    assert_non_null(again);
    assert_string_equal(sim_attr(wagw_node_find(again, "enc"), "mediatype"), "ptt");
    two_end(&p);
}

static void hosts(void **state)
{
    sim_two_t p = sim_two(302);
    uint64_t id;
    sim_reply_t *r;
    wagw_arena_t a = {0};
    wagw_node_t *iq, *m;
    sim_log_t *mark;
    const wagw_node_t *asked;

    (void)state;
    p.w->orders.no_answer = ~0u;
    p.w->orders.no_answer_ns = "w:m";
    for (int good = 0; good < 2; good++) {
        mark = sim_mark(p.w);
        id = sim_command(p.a, WAGW_CMD_MEDIA_CONN, "{}");
        sim_run(p.w);
        asked = sim_sent_iq(p.a, mark, "w:m", "media_conn");
        assert_non_null(asked);
        assert_string_equal(sim_attr(asked, "type"), "set");
        iq = sim_node(&a, "iq", "from", "@s.whatsapp.net", "type", "result", NULL);
        wagw_node_attr(&a, iq, "id", wagw_node_get(asked, "id"));
        m = sim_add(&a, iq, "media_conn", "ttl", "300", good ? "auth" : "nothing", "a+/=", NULL);
        sim_add(&a, m, "host", "hostname", "one.example", "type", "primary", NULL);
        sim_add(&a, m, "host", "fallback", "x", NULL);
        sim_add(&a, m, "host", "hostname", "two.example", NULL);
        sim_push(p.a, iq);
        sim_run(p.w);
        if (good) {
            r = sim_expect(p.a, id, 200, "");
            assert_string_equal(sim_str(r->data, "auth"), "a+/=");
            assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(r->data, "hosts")), 2);
            assert_int_equal(cJSON_GetObjectItem(r->data, "ttl")->valueint, 300);
        } else {
            sim_expect(p.a, id, 502, "WA_ERROR");
        }
    }
    wagw_client_stop(p.a->c, true, sim_now(p.w));
    sim_run(p.w);
    id = sim_command(p.a, WAGW_CMD_MEDIA_CONN, "{}");
    sim_run(p.w);
    sim_expect(p.a, id, 409, "INSTANCE_NOT_CONNECTED");
    wagw_arena_free(&a);
    two_end(&p);
}

/* What the phone says of the message; path NULL: that it has it no more. */
static void phone_says(sim_engine_t *e, const char *id, const char *under, const char *path)
{
    uint8_t k[32], iv[12] = {3}, plain[200], sealed[216];
    size_t n = 0;
    wagw_arena_t a = {0};
    wagw_node_t *no, *enc;

    no = sim_node(&a, "notification", "from", "@s.whatsapp.net", "type", "mediaretry", "id", id, "t", "1767225700",
                  NULL);
    if (path == NULL) {
        sim_add(&a, no, "error", "code", "2", NULL);
    } else {
        plain[n++] = 0x0a;
        plain[n++] = (uint8_t)strlen(under);
        memcpy(plain + n, under, strlen(under));
        n += strlen(under);
        plain[n++] = 0x12;
        plain[n++] = (uint8_t)strlen(path);
        memcpy(plain + n, path, strlen(path));
        n += strlen(path);
        plain[n++] = 0x18;
        plain[n++] = 1;
        assert_int_equal(
            wagw_hkdf(k, 32, wagw_str(key, 32), WAGW_STR_NULL, WAGW_STR("WhatsApp Media Retry Notification")), WAGW_OK);
        assert_int_equal(wagw_gcm_seal(sealed, k, iv, wagw_cstr(under), wagw_str(plain, n)), WAGW_OK);
        enc = sim_add(&a, no, "encrypt", NULL);
        wagw_node_bytes(sim_add(&a, enc, "enc_p", NULL), wagw_str(sealed, n + 16));
        wagw_node_bytes(sim_add(&a, enc, "enc_iv", NULL), wagw_str(iv, 12));
    }
    sim_add(&a, no, "rmr", "jid", SIM_A, "from_me", "false", NULL);
    sim_push(e, no);
    sim_run(e->w);
    wagw_arena_free(&a);
}

static void stored_path(sim_engine_t *e, const char *id, const char *path)
{
    wagw_arena_t a = {0};
    wagw_row_message_t m;
    wagw_message_file_t f;

    assert_true(sim_message(e, SIM_A, id, SIM_A, &m) || sim_message(e, SIM_A, id, "", &m));
    assert_int_equal(wagw_message_file(&f, &a, m.content), WAGW_OK);
    assert_true(wagw_str_eq(f.direct_path, wagw_cstr(path)));
    assert_memory_equal(f.key.p, key, 32);
    wagw_arena_free(&a);
}

static void asked_of_the_phone(void **state)
{
    sim_two_t p = sim_two(303);
    uint64_t one, two, three;
    sim_reply_t *r;
    sim_log_t *mark;
    const wagw_node_t *n, *rmr;
    static const char ask[] = "{\"chatId\":\"" SIM_A "\",\"messageId\":\"3EB0BB01\",\"_path\":\"/v/old?x=1\"}";

    (void)state;
    sim_do(p.a, WAGW_CMD_SEND, "{\"to\":\"49200\",\"messageId\":\"3EB0BB01\"," FILE_OF("image", "") "}", 200);
    sim_run(p.w);

    /* two who want it: one receipt, both are answered; a forged answer is none */
    mark = sim_mark(p.w);
    one = sim_command(p.b, WAGW_CMD_MEDIA_RETRY, ask);
    sim_run(p.w);
    two = sim_command(p.b, WAGW_CMD_MEDIA_RETRY, ask);
    sim_run(p.w);
    assert_int_equal(sim_sent_count(p.b, mark, "receipt"), 1);
    n = sim_sent(p.b, mark, "receipt", 0);
    assert_true(sim_has(n, "type", "server-error", "id", "3EB0BB01", "to", SIM_B, NULL));
    assert_int_equal(wagw_node_data(wagw_node_find(wagw_node_find(n, "encrypt"), "enc_iv")).n, 12);
    rmr = wagw_node_find(n, "rmr");
    assert_string_equal(sim_attr(rmr, "from_me"), "false");
    assert_true(sim_has(rmr, "participant", NULL, NULL));
    assert_null(sim_reply(p.b, one));

    phone_says(p.b, "3EB0CC99", "3EB0CC99", "/v/other?x=1");
    assert_null(sim_reply(p.b, one));

    phone_says(p.b, "3EB0BB01", "3EB0BB01", "/v/new?x=2");
    r = sim_expect(p.b, one, 200, "");
    assert_string_equal(sim_str(r->data, "directPath"), "/v/new?x=2");
    sim_expect(p.b, two, 200, "");
    stored_path(p.b, "3EB0BB01", "/v/new?x=2");

    /* who still knows the old place is told the new one, and nobody is asked */
    mark = sim_mark(p.w);
    r = sim_do(p.b, WAGW_CMD_MEDIA_RETRY, ask, 200);
    assert_string_equal(sim_str(r->data, "directPath"), "/v/new?x=2");
    assert_int_equal(sim_sent_count(p.b, mark, "receipt"), 0);

    /* the phone has it no more */
    three = sim_command(p.b, WAGW_CMD_MEDIA_RETRY,
                        "{\"chatId\":\"" SIM_A "\",\"messageId\":\"3EB0BB01\",\"_path\":\"/v/new?x=2\"}");
    sim_run(p.w);
    phone_says(p.b, "3EB0BB01", "", NULL);
    sim_expect(p.b, three, 410, "MEDIA_EXPIRED");
    stored_path(p.b, "3EB0BB01", "/v/new?x=2");

    /* an answer that was sealed for another message */
    three = sim_command(p.b, WAGW_CMD_MEDIA_RETRY,
                        "{\"chatId\":\"" SIM_A "\",\"messageId\":\"3EB0BB01\",\"_path\":\"/v/new?x=2\"}");
    sim_run(p.w);
    phone_says(p.b, "3EB0BB01", "3EB0BB02", "/v/evil?x=2");
    sim_expect(p.b, three, 410, "MEDIA_EXPIRED");
    stored_path(p.b, "3EB0BB01", "/v/new?x=2");

    /* nobody waits: not even a good answer changes anything */
    phone_says(p.b, "3EB0BB01", "3EB0BB01", "/v/late?x=3");
    stored_path(p.b, "3EB0BB01", "/v/new?x=2");

    three = sim_command(p.b, WAGW_CMD_MEDIA_RETRY, "{\"chatId\":\"" SIM_A "\",\"messageId\":\"3EB0DD01\"}");
    sim_run(p.w);
    sim_expect(p.b, three, 404, "MESSAGE_NOT_FOUND");

    /* what waits is answered when the instance ends */
    three = sim_command(p.b, WAGW_CMD_MEDIA_RETRY,
                        "{\"chatId\":\"" SIM_A "\",\"messageId\":\"3EB0BB01\",\"_path\":\"/v/new?x=2\"}");
    sim_run(p.w);
    assert_true(wagw_client_timeout(p.b->c, three, sim_now(p.w)));
    sim_expect(p.b, three, 504, "WA_TIMEOUT");
    two_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sent_and_received),
        cmocka_unit_test(damaged_and_sent_again),
        cmocka_unit_test(hosts),
        cmocka_unit_test(asked_of_the_phone),
    };

    return cmocka_run_group_tests_name("client_media", tests, set_up, NULL);
}
