/*
 * A server that wants to do harm, through an established connection: whatever
 * comes, the engine neither crashes nor leaks, drops the connection with a
 * reason where it must, and works again when the server does.
 */

#include "client_sim.h"

#define TEXT(to, body) "{\"to\":\"" to "\",\"message\":\"" body "\"}"

/* Still usable, perhaps after a reconnect. */
static void alive(sim_two_t *p)
{
    unsigned n;

    sim_advance(p->w, 3000);
    if (sim_info(p->a).status != WAGW_STATUS_CONNECTED) {
        sim_advance(p->w, 80000);
    }
    sim_expect_status(p->a, WAGW_STATUS_CONNECTED);
    n = sim_events(p->b, "message.received");
    sim_do(p->a, WAGW_CMD_SEND, TEXT("49200", "alive"), 200);
    assert_int_equal(sim_events(p->b, "message.received"), n + 1);
}

static void dropped(sim_two_t *p)
{
    sim_run(p->w);
    assert_int_equal(p->a->conn, 0);
    sim_expect_status(p->a, WAGW_STATUS_DISCONNECTED);
    assert_int_equal(sim_info(p->a).disconnect_code, 428);
    assert_true(wagw_str_is(sim_info(p->a).disconnect_reason, "connection_lost"));
    assert_true(p->a->errors > 0);
    alive(p);
}

static void not_sealed(void **state)
{
    sim_two_t p = sim_two(800);
    uint8_t junk[64];
    uint64_t seed = 1;

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        vec_random(&seed, junk, sizeof(junk));
        junk[0] = junk[1] = 0;
        junk[2] = (uint8_t)(i * 8); /* a whole frame that does not open */
        sim_push_bytes(p.a, wagw_str(junk, 3 + i * 8));
        dropped(&p);
    }
    sim_free(p.w);
}

static void partial_frames(void **state)
{
    sim_two_t p = sim_two(801);
    uint8_t *big = malloc(1u << 20);
    unsigned connects = p.a->connects;

    (void)state;
    assert_non_null(big);
    /* an announced frame of 16 MB that never comes: taken in up to its length, then it does not open */
    memset(big, 'x', 1u << 20);
    memcpy(big, "\xff\xff\xff", 3);
    sim_push_bytes(p.a, wagw_str(big, 1u << 20));
    sim_run(p.w);
    sim_expect_status(p.a, WAGW_STATUS_CONNECTED);
    for (unsigned i = 0; i < 17 && p.a->connects == connects && p.a->conn; i++) {
        memset(big, 'x', 3);
        sim_push_bytes(p.a, wagw_str(big, 1u << 20));
        sim_run(p.w);
    }
    assert_int_equal(p.a->conn, 0);
    alive(&p);
    /* one byte, then the end */
    sim_push_bytes(p.a, wagw_str(big, 1));
    sim_cut(p.a, 0);
    sim_run(p.w);
    alive(&p);
    free(big);
    sim_free(p.w);
}

/* Sealed frames of every kind of rubbish. */
static void sealed_rubbish(void **state)
{
    sim_two_t p = sim_two(802);
    uint8_t b[512];
    uint64_t seed = 2;
    size_t n;
    static const char *const bad[] = {"",
                                      "\x00",
                                      "\x02",
                                      "\x02\x78\x9c",
                                      "\x00\x00",
                                      "\x00\xf8\xff",
                                      "\x00\xf9\xff\xff",
                                      "\x00\xf8\x01\xfc\xff",
                                      "\x00\xf8\x02\x05\xfe\xff\xff\xff\x7f",
                                      "\x01\xf8\x01\x05",
                                      "\xff\xff\xff"};

    (void)state;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        n = i == 0 ? 0 : strlen(bad[i]) ? strlen(bad[i]) : 1;
        if (bad[i][0] == 0 && i > 0) {
            n = i == 1 ? 1 : 2 + strlen(bad[i] + 1);
        }
        sim_push_raw(p.a, wagw_str(bad[i], n));
        sim_run(p.w);
        alive(&p);
    }
    for (unsigned i = 0; i < 60; i++) {
        vec_random(&seed, b, sizeof(b));
        b[0] = (uint8_t)(i % 3 ? 0 : 2);
        sim_push_raw(p.a, wagw_str(b, 1 + b[1] % 200));
        sim_run(p.w);
        if (p.a->conn == 0) {
            alive(&p);
        }
    }
    alive(&p);
    sim_free(p.w);
}

static void deep_and_wide(void **state)
{
    sim_two_t p = sim_two(803);
    wagw_arena_t a = {0};
    wagw_buf_t b = {0};
    wagw_node_t *n;

    (void)state;
    /* nested without end: list of two, tag, child list of one ... */
    wagw_buf_u8(&b, 0);
    for (unsigned i = 0; i < 5000; i++) {
        wagw_buf_add(&b, "\xf8\x02\x05\xf8\x01", 5);
    }
    sim_push_raw(p.a, wagw_buf_view(&b));
    dropped(&p);

    /* many children and attributes: allowed, ignored */
    n = sim_node(&a, "notification", "from", "@s.whatsapp.net", "type", "account_sync", "id", "w1", NULL);
    {
        wagw_node_t *d = sim_add(&a, n, "devices", "dhash", "2:x", NULL);

        for (unsigned i = 0; i < 3000; i++) {
            sim_add(&a, d, "device", "jid", "49100:5@s.whatsapp.net", NULL);
        }
    }
    sim_push(p.a, n);
    sim_run(p.w);
    alive(&p);
    wagw_buf_free(&b);
    wagw_arena_free(&a);
    sim_free(p.w);
}

/* Stanzas of every tag with attributes missing, doubled or of the wrong kind. */
static void odd_stanzas(void **state)
{
    static const char *const tags[] = {"message", "receipt",      "notification", "ack",         "iq",
                                       "ib",      "presence",     "chatstate",    "call",        "success",
                                       "status",  "xmlstreamend", "nonsense",     "pair-device", "w"};
    static const char *const keys[] = {"id",         "from",           "type",   "t",       "participant", "recipient",
                                       "category",   "count",          "value",  "jid",     "lid",         "sender_pn",
                                       "sender_lid", "participant_pn", "notify", "offline", "class",       "error",
                                       "edit",       "xmlns",          "phash",  "code"};
    static const char *const values[] = {"",
                                         "x",
                                         "-1",
                                         "18446744073709551616",
                                         "9100@lid",
                                         "49200@s.whatsapp.net",
                                         "49200:5@s.whatsapp.net",
                                         "@s.whatsapp.net",
                                         "s.whatsapp.net",
                                         "120363000000000001@g.us",
                                         "status@broadcast",
                                         "1@newsletter",
                                         "9200:99@lid",
                                         "9200:99@hosted.lid",
                                         "retry",
                                         "read",
                                         "text",
                                         "result",
                                         "error",
                                         "set",
                                         "get",
                                         "encrypt",
                                         "devices",
                                         "w:gp2",
                                         "account_sync",
                                         "link_code_companion_reg",
                                         "message",
                                         "peer",
                                         "privacy_token",
                                         "server_sync",
                                         "picture",
                                         "mediaretry",
                                         "9100:5@lid",
                                         "1767225600"};
    static const char *const kids[] = {"enc",
                                       "retry",
                                       "registration",
                                       "keys",
                                       "list",
                                       "item",
                                       "count",
                                       "identity",
                                       "devices",
                                       "device",
                                       "add",
                                       "remove",
                                       "update",
                                       "unavailable",
                                       "pair-device",
                                       "pair-success",
                                       "ref",
                                       "error",
                                       "usync",
                                       "participants",
                                       "user",
                                       "plaintext",
                                       "link_code_companion_reg",
                                       "dirty",
                                       "edge_routing",
                                       "routing_info",
                                       "offline_preview",
                                       "device-identity",
                                       "skey",
                                       "key",
                                       "id",
                                       "privacy",
                                       "category",
                                       "composing",
                                       "paused",
                                       "tokens",
                                       "token",
                                       "group",
                                       "participant",
                                       "create",
                                       "collection"};
    uint64_t seed = 3;
    uint16_t r[8];
    uint8_t junk[80];
    sim_two_t p = sim_two(804);
    wagw_arena_t a = {0};
    wagw_node_t *n, *k;

#define PICK(list, i) list[r[i] % (sizeof(list) / sizeof(list[0]))]
    (void)state;
    for (unsigned i = 0; i < 4000; i++) {
        vec_random(&seed, (uint8_t *)r, sizeof(r));
        n = sim_node(&a, PICK(tags, 0), NULL);
        for (unsigned x = 0; x < r[1] % 8u; x++) {
            vec_random(&seed, (uint8_t *)(r + 2), 4);
            wagw_node_attrc(&a, n, PICK(keys, 2), PICK(values, 3));
        }
        k = n;
        for (unsigned x = 0; x < r[4] % 6u; x++) {
            vec_random(&seed, (uint8_t *)(r + 2), 12);
            if (r[5] % 3 == 0) {
                k = n;
            }
            if (k->content == WAGW_CONTENT_BYTES) {
                k = n;
            }
            if (k->content == WAGW_CONTENT_BYTES) {
                break;
            }
            k = wagw_node_child(&a, k, PICK(kids, 2));
            for (unsigned y = 0; y < r[6] % 4u; y++) {
                vec_random(&seed, (uint8_t *)(r + 2), 4);
                wagw_node_attrc(&a, k, PICK(keys, 2), PICK(values, 3));
            }
            if (r[7] % 4 == 0) {
                vec_random(&seed, junk, sizeof(junk));
                wagw_node_bytes_copy(&a, k, wagw_str(junk, r[7] % sizeof(junk)));
            }
        }
        sim_push(p.a, n);
        sim_run(p.w);
        if (sim_info(p.a).status != WAGW_STATUS_CONNECTED) {
            /* a hangup is its right; being told to log out is, too, but not by these */
            sim_advance(p.w, 90000);
            sim_expect_status(p.a, WAGW_STATUS_CONNECTED);
        }
        if (i % 500 == 0) {
            wagw_arena_reset(&a);
        }
    }
#undef PICK
    alive(&p);
    assert_true(sim_info(p.a).linked);
    wagw_arena_free(&a);
    sim_free(p.w);
}

/* Ciphertexts that are rubbish, and good ones around rubbish (04 section 24 item 7). */
static void bad_messages(void **state)
{
    sim_two_t p = sim_two(805);
    wagw_arena_t a = {0};
    wagw_node_t *n;
    sim_log_t *mark;
    uint8_t junk[300];
    uint64_t seed = 4;
    char id[24];
    static const struct {
        const char *type, *v, *bytes;
        int error; /* of the ack, 0: a retry */
    } all[] = {
        {"msg", "2", "", 0},           {"pkmsg", "2", "", 0},           {"msg", "2", "\x33", 0},
        {"pkmsg", "2", "\x33\x08", 0}, {"msg", "3", "\x33\x08", 488},   {"nonsense", "2", "x", 488},
        {"msmsg", "2", "x", 495},      {"skmsg", "2", "\x33\x08", 488},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        snprintf(id, sizeof(id), "3A%04u", i);
        n = sim_node(&a, "message", "id", id, "from", "9200@lid", "type", "text", "t", "1767225600", NULL);
        wagw_node_bytes(sim_add(&a, n, "enc", "v", all[i].v, "type", all[i].type, NULL), wagw_cstr(all[i].bytes));
        mark = sim_mark(p.w);
        sim_push(p.a, n);
        sim_run(p.w);
        if (all[i].error) {
            char text[8];

            snprintf(text, sizeof(text), "%d", all[i].error);
            assert_true(sim_has(sim_sent(p.a, mark, "ack", 0), "class", "message", "id", id, "error", text, NULL));
            assert_int_equal(sim_sent_count(p.a, mark, "receipt"), 0);
        } else {
            assert_true(sim_has(sim_sent(p.a, mark, "receipt", 0), "type", "retry", "id", id, NULL));
            assert_true(sim_has(sim_sent(p.a, mark, "ack", 0), "class", "message", "error", NULL, NULL));
        }
    }

    /* well encrypted, but no message */
    for (unsigned i = 0; i < 200; i++) {
        size_t len = i % 200;

        vec_random(&seed, junk, sizeof(junk));
        if (i % 5 == 0) {
            junk[0] = 0x0a; /* conversation of impossible length */
            junk[1] = 0xff;
        }
        snprintf(id, sizeof(id), "3B%04u", i);
        mark = sim_mark(p.w);
        sim_peer_send_bytes(p.ba->phone, p.aa, id, wagw_str(junk, len), NULL);
        sim_run(p.w);
        assert_int_equal(sim_sent_count(p.a, mark, "receipt") + sim_sent_count(p.a, mark, "ack"), 1);
        assert_int_equal(p.a->conn != 0, true);
    }
    assert_int_equal(sim_queued(sim_device_of(p.a)), 0);

    /* garbage where the pages have sub-messages, from our own phone too */
    for (unsigned i = 1; i < 110; i++) {
        wagw_buf_t m = {0};
        uint32_t tag = i << 3 | 2;

        if (tag >= 128) {
            wagw_buf_u8(&m, (uint8_t)(tag & 127) | 128);
            wagw_buf_u8(&m, (uint8_t)(tag >> 7));
        } else {
            wagw_buf_u8(&m, (uint8_t)tag);
        }
        vec_random(&seed, junk, 40);
        wagw_buf_u8(&m, (uint8_t)(i % 40));
        wagw_buf_add(&m, junk, i % 40);
        snprintf(id, sizeof(id), "3C%04u", i);
        sim_peer_send_bytes(p.ba->phone, p.aa, id, wagw_buf_view(&m), NULL);
        snprintf(id, sizeof(id), "3D%04u", i);
        {
            const char *attrs[] = {"pn", "", "category", "peer", NULL};

            sim_peer_send_bytes(p.aa->phone, p.aa, id, wagw_buf_view(&m), attrs);
        }
        sim_run(p.w);
        wagw_buf_free(&m);
    }
    assert_int_equal(sim_queued(sim_device_of(p.a)), 0);
    assert_int_equal(p.a->errors, 0);

    /* identifiers of any form */
    n = sim_node(&a, "message", "from", "9200@lid", "type", "text", NULL);
    sim_add(&a, n, "enc", "v", "2", "type", "msg", NULL);
    mark = sim_mark(p.w);
    sim_push(p.a, n);
    sim_run(p.w);
    assert_true(sim_has(sim_sent(p.a, mark, "ack", 0), "error", "487", NULL));
    memset(junk, 'A', 200);
    junk[200] = 0;
    n = sim_node(&a, "message", "id", (char *)junk, "from", "9200@lid", "type", "text", NULL);
    sim_add(&a, n, "enc", "v", "2", "type", "msg", NULL);
    mark = sim_mark(p.w);
    sim_push(p.a, n);
    sim_run(p.w);
    assert_true(sim_has(sim_sent(p.a, mark, "ack", 0), "error", "487", NULL));
    alive(&p);
    wagw_arena_free(&a);
    sim_free(p.w);
}

/* Ids with the separator of record keys, quotes, bytes that are no text. */
static void odd_ids(void **state)
{
    static const char *const ids[] = {"a|b",      "|",    "||||",   "\"",   "\\",
                                      "\xff\xfe", "a\nb", "' OR 1", "%s%n", "3A01|9200@lid"};
    sim_two_t p = sim_two(806);
    char json[400];
    cJSON *o;
    wagw_arena_t a = {0};
    uint64_t id;

    (void)state;
    for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        sim_peer_send(p.ba->phone, p.aa, ids[i], "{\"conversation\":\"x\"}", NULL);
        /* as targets of a reaction, an edit, a revoke, a receipt */
        for (unsigned k = 0; k < 3; k++) {
            char *text;
            cJSON *key;

            o = cJSON_CreateObject();
            key = cJSON_AddObjectToObject(cJSON_AddObjectToObject(o, k == 0 ? "reactionMessage" : "protocolMessage"),
                                          "key");
            cJSON_AddStringToObject(key, "remoteJid", "9100@lid");
            cJSON_AddBoolToObject(key, "fromMe", k % 2);
            cJSON_AddStringToObject(key, "id", i == 5 ? "" : ids[i]);
            if (k == 0) {
                cJSON_AddStringToObject(cJSON_GetObjectItem(o, "reactionMessage"), "text", "+");
            } else {
                cJSON_AddNumberToObject(cJSON_GetObjectItem(o, "protocolMessage"), "type", k == 1 ? 0 : 14);
            }
            text = cJSON_PrintUnformatted(o);
            snprintf(json, sizeof(json), "3E%04u%u", i, k);
            sim_peer_send(p.ba->phone, p.aa, json, text, NULL);
            free(text);
            cJSON_Delete(o);
        }
        sim_queue(sim_device_of(p.a), sim_node(&a, "receipt", "id", ids[i], "from", "9200@lid", "type", "read", NULL));
        sim_queue(sim_device_of(p.a), sim_node(&a, "receipt", "id", ids[i], "from", "9200@lid", "type", "retry", NULL));
        sim_run(p.w);
        assert_int_equal(sim_queued(sim_device_of(p.a)), 0);
        sim_expect_status(p.a, WAGW_STATUS_CONNECTED);
    }
    /* a caller's own id, too */
    id = sim_command(p.a, WAGW_CMD_SEND, "{\"to\":\"49200\",\"message\":\"x\",\"messageId\":\"A|B\"}");
    sim_run(p.w);
    sim_expect(p.a, id, 400, "VALIDATION_FAILED");
    id = sim_command(p.a, WAGW_CMD_REACTION,
                     "{\"chatId\":\"49200\",\"messageId\":\"A|B\",\"emoji\":\"x\",\"fromMe\":false}");
    sim_run(p.w);
    assert_non_null(sim_reply(p.a, id));
    assert_int_equal(p.a->errors, 0);
    alive(&p);
    wagw_arena_free(&a);
    sim_free(p.w);
}

/* While linking: a server that is nobody's friend gets no credentials. */
static void linking(void **state)
{
    sim_t *w = sim_new(807);
    sim_engine_t *e = sim_engine(w, "A");
    uint64_t seed = 5;
    uint8_t junk[200];
    wagw_arena_t a = {0};
    wagw_node_t *n, *k;

    (void)state;
    for (unsigned i = 0; i < 60; i++) {
        sim_start(e, true);
        sim_run(w);
        sim_expect_status(e, WAGW_STATUS_QR);
        vec_random(&seed, junk, sizeof(junk));
        switch (i % 6) {
        case 0:
            n = sim_node(&a, "iq", "from", "@s.whatsapp.net", "type", "set", "id", "1", "xmlns", "md", NULL);
            k = sim_add(&a, n, "pair-success", NULL);
            wagw_node_bytes_copy(&a, sim_add(&a, k, "device-identity", NULL), wagw_str(junk, i * 3));
            sim_add(&a, k, "device", "jid", "49100:5@s.whatsapp.net", "lid", "9100:5@lid", NULL);
            break;
        case 1:
            n = sim_node(&a, "success", "t", "1767225600", "lid", "9100:5@lid", NULL);
            break;
        case 2:
            n = sim_node(&a, "message", "id", "3A", "from", "9100@lid", "type", "text", NULL);
            wagw_node_bytes_copy(&a, sim_add(&a, n, "enc", "v", "2", "type", "pkmsg", NULL), wagw_str(junk, 100));
            break;
        case 3:
            n = sim_node(&a, "notification", "from", "@s.whatsapp.net", "type", "link_code_companion_reg", "id", "2",
                         NULL);
            k = sim_add(&a, n, "link_code_companion_reg", "stage", "primary_hello", NULL);
            wagw_node_bytes_copy(&a, sim_add(&a, k, "link_code_pairing_wrapped_primary_ephemeral_pub", NULL),
                                 wagw_str(junk, 80));
            wagw_node_bytes_copy(&a, sim_add(&a, k, "primary_identity_pub", NULL), wagw_str(junk + 80, 32));
            wagw_node_bytes_copy(&a, sim_add(&a, k, "link_code_pairing_ref", NULL), wagw_str(junk + 120, 16));
            break;
        case 4:
            n = sim_node(&a, "ib", "from", "@s.whatsapp.net", NULL);
            sim_add(&a, n, "downgrade_webclient", NULL);
            break;
        default:
            n = sim_node(&a, "iq", "from", "@s.whatsapp.net", "type", "set", "id", "1", "xmlns", "md", NULL);
            k = sim_add(&a, n, "pair-device", NULL);
            wagw_node_bytes_copy(&a, sim_add(&a, k, "ref", NULL), wagw_str(junk, 200));
            wagw_node_bytes_copy(&a, sim_add(&a, k, "ref", NULL), wagw_str(junk, 0));
            break;
        }
        sim_push(e, n);
        sim_run(w);
        assert_false(sim_info(e).linked);
        if (e->conn) {
            sim_cut(e, 0);
        }
        sim_run(w);
    }
    /* an unpaired engine still links with the right one */
    sim_link(e, sim_account(w, "49100", "9100"));
    wagw_arena_free(&a);
    sim_free(w);
}

/* The primary's key of a pairing code is one of those that give nothing. */
static void weak_code_keys(void **state)
{
    sim_t *w = sim_new(808);
    sim_engine_t *e = sim_engine(w, "A");
    wagw_arena_t a = {0};
    wagw_node_t *n, *k;
    uint8_t wrapped[80] = {0}, zero[32] = {0}, key[32];
    uint64_t id;

    (void)state;
    id = sim_command(e, WAGW_CMD_PAIRING_CODE, "{\"phoneNumber\":\"4910000\",\"customCode\":\"ABCDEFGH\"}");
    sim_run(w);
    sim_expect(e, id, 200, "");
    assert_int_equal(wagw_pbkdf2_sha256(key, 32, WAGW_STR("ABCDEFGH"), wagw_str(wrapped, 32), 131072), WAGW_OK);
    assert_int_equal(wagw_ctr(wrapped + 48, key, wrapped + 32, wagw_str(zero, 32)),
                     WAGW_OK); /* ephemeral: the point 0 */
    n = sim_node(&a, "notification", "from", "@s.whatsapp.net", "type", "link_code_companion_reg", "id", "2", NULL);
    k = sim_add(&a, n, "link_code_companion_reg", "stage", "primary_hello", NULL);
    wagw_node_bytes_copy(&a, sim_add(&a, k, "link_code_pairing_wrapped_primary_ephemeral_pub", NULL),
                         wagw_str(wrapped, 80));
    wagw_node_bytes_copy(&a, sim_add(&a, k, "primary_identity_pub", NULL), wagw_str(zero, 32));
    wagw_node_bytes_copy(&a, sim_add(&a, k, "link_code_pairing_ref", NULL),
                         wagw_str(sim_conn(w, e->conn)->code_ref, 16));
    sim_push(e, n);
    sim_run(w);
    assert_false(sim_info(e).linked);
    assert_int_equal(e->conn, 0);
    sim_expect_status(e, WAGW_STATUS_DISCONNECTED);
    wagw_arena_free(&a);
    sim_free(w);
}

/* Another root signed the server's certificate. */
static void wrong_root(void **state)
{
    sim_two_t p = sim_two(809);

    (void)state;
    p.a->sh.root[5] ^= 1;
    sim_cut(p.a, 0);
    sim_run(p.w);
    sim_advance(p.w, 20000);
    assert_int_not_equal(sim_info(p.a).status, WAGW_STATUS_CONNECTED);
    assert_true(p.a->errors > 0);
    assert_non_null(strstr(p.a->logs, "handshake is refused"));
    p.a->sh.root[5] ^= 1;
    sim_advance(p.w, 80000);
    sim_expect_status(p.a, WAGW_STATUS_CONNECTED);
    sim_free(p.w);
}

/* Answers to requests nobody made, twice, late, of the wrong kind. */
static void odd_answers(void **state)
{
    sim_two_t p = sim_two(810);
    uint64_t id;
    wagw_arena_t a = {0};
    wagw_node_t *n;
    const wagw_node_t *iq;
    sim_log_t *mark = sim_mark(p.w);

    (void)state;
    p.w->orders.no_answer_ns = "usync";
    p.w->orders.no_answer = 1;
    id = sim_command(p.a, WAGW_CMD_CHECK_EXISTS, "{\"phoneNumber\":\"49200\"}");
    sim_run(p.w);
    iq = sim_sent_iq(p.a, mark, "usync", NULL);
    sim_push(p.a, sim_node(&a, "iq", "from", "@s.whatsapp.net", "type", "get", "id", sim_attr(iq, "id"),
                           NULL)); /* not an answer */
    sim_run(p.w);
    assert_null(sim_reply(p.a, id));
    n = sim_node(&a, "iq", "from", "@s.whatsapp.net", "type", "error", "id", sim_attr(iq, "id"), NULL);
    sim_push(p.a, n);
    sim_push(p.a, n);
    sim_run(p.w);
    sim_expect(p.a, id, 502, "WA_ERROR");
    /* device lists of impossible size, foreign users, no list at all */
    p.w->orders.no_answer = 1;
    mark = sim_mark(p.w);
    id = sim_command(p.a, WAGW_CMD_SEND, TEXT("49200", "x"));
    sim_run(p.w);
    iq = sim_sent_iq(p.a, mark, "usync", NULL);
    n = sim_node(&a, "iq", "from", "@s.whatsapp.net", "type", "result", "id", sim_attr(iq, "id"), NULL);
    {
        wagw_node_t *u =
            sim_add(&a, sim_add(&a, sim_add(&a, n, "usync", NULL), "list", NULL), "user", "jid", SIM_B, NULL);
        wagw_node_t *dl = sim_add(&a, sim_add(&a, u, "devices", NULL), "device-list", NULL);

        for (unsigned i = 0; i < 1500; i++) {
            char num[12];

            snprintf(num, sizeof(num), "%u", i);
            sim_add(&a, dl, "device", "id", num, "key-index", "1", NULL);
        }
    }
    sim_push(p.a, n);
    sim_run(p.w);
    sim_expect(p.a, id, 422, NULL);
    alive(&p);
    wagw_arena_free(&a);
    sim_free(p.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(not_sealed),    cmocka_unit_test(partial_frames), cmocka_unit_test(sealed_rubbish),
        cmocka_unit_test(deep_and_wide), cmocka_unit_test(odd_stanzas),    cmocka_unit_test(bad_messages),
        cmocka_unit_test(odd_ids),       cmocka_unit_test(linking),        cmocka_unit_test(weak_code_keys),
        cmocka_unit_test(wrong_root),    cmocka_unit_test(odd_answers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
