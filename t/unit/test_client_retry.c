/*
 * Messages that do not decrypt, in both directions; identities and devices
 * that change (04 sections 6.4, 14, 15).
 */

#include "client_sim.h"

#define TEXT(to, body) "{\"to\":\"" to "\",\"message\":\"" body "\"}"

static bool has_record(sim_engine_t *e, uint8_t kind, const char *key)
{
    return sim_mem_get(&e->mem, kind, wagw_cstr(key)).p != NULL;
}

/* Two that have talked: sessions are established both ways. */
static sim_two_t talked(uint64_t seed)
{
    sim_two_t p = sim_two(seed);

    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "hello"), 200);
    sim_do(p.b, WAGW_CMD_SEND, TEXT("49100", "hello"), 200);
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "hello"), 200);
    assert_int_equal(sim_events(p.b, "message.received"), 2);
    return p;
}

static void two_end(sim_two_t *p)
{
    assert_int_equal(p->a->errors, 0);
    assert_int_equal(p->b->errors, 0);
    sim_free(p->w);
}

static const wagw_node_t *retry_of(sim_engine_t *e, sim_log_t *mark, unsigned n)
{
    const wagw_node_t *r;

    for (unsigned i = 0; (r = sim_sent(e, mark, "receipt", i)) != NULL; i++) {
        if (wagw_node_attr_is(r, "type", "retry") && n-- == 0) {
            return r;
        }
    }
    return NULL;
}

static void repaired(uint64_t seed, unsigned damage)
{
    sim_two_t p = talked(seed);
    sim_log_t *mark = sim_mark(p.w);
    sim_reply_t *r;
    wagw_row_chat_t chat;
    const wagw_node_t *n, *m;

    p.w->orders.damage = damage;
    p.w->orders.damage_to = "9200:5@lid";
    r = sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "broken"), 200);

    n = retry_of(p.b, mark, 0);
    assert_true(sim_has(n, "id", r->message_id, "to", "9100:5@lid", "participant", NULL, "recipient", NULL, NULL));
    assert_true(sim_has(wagw_node_find(n, "retry"), "count", "1", "id", r->message_id, "v", "1", "error", "7", NULL));
    assert_int_equal(wagw_node_data(wagw_node_find(n, "registration")).n, 4);
    assert_null(wagw_node_find(n, "keys"));
    assert_true(sim_has(sim_sent(p.b, mark, "ack", 0), "class", "message", "id", r->message_id, "to", "9100:5@lid",
                        "type", NULL, "error", NULL, NULL));

    m = sim_sent(p.a, mark, "message", 1);
    assert_true(sim_has(m, "id", r->message_id, "to", "9200:5@lid", "device_fanout", "false", "type", "text", NULL));
    assert_true(sim_has(wagw_node_find(m, "enc"), "count", "1", "type", "msg", NULL));
    if (damage > 1) {
        n = retry_of(p.b, mark, 1);
        assert_true(sim_has(wagw_node_find(n, "retry"), "count", "2", NULL));
        assert_non_null(wagw_node_find(wagw_node_find(n, "keys"), "device-identity"));
        assert_non_null(wagw_node_find(wagw_node_find(n, "keys"), "key"));
        m = sim_sent(p.a, mark, "message", 2);
        assert_true(sim_has(wagw_node_find(m, "enc"), "count", "2", "type", "pkmsg", NULL));
        assert_non_null(wagw_node_find(m, "device-identity"));
    }
    assert_int_equal(sim_events(p.b, "message.undecryptable"), 1);
    assert_string_equal(sim_str(sim_last_event(p.b, "message.undecryptable")->data, "messageId"), r->message_id);
    assert_string_equal(sim_str(sim_last_event(p.b, "message.received")->data, "body"), "broken");
    assert_int_equal(sim_events(p.b, "message.received"), 3);
    assert_int_equal(sim_mem_count(&p.b->mem, WAGW_REC_RETRY, "in|"), 0);
    assert_true(sim_chat(p.b, SIM_A, &chat));
    assert_int_equal(chat.unread, 3);
    assert_int_equal(sim_queued(sim_device_of(p.b)), 0);
    assert_int_equal(sim_queued(sim_device_of(p.a)), 0);

    /* the phone is not asked any more, and both go on */
    mark = sim_mark(p.w);
    sim_advance(p.w, 6000);
    assert_int_equal(sim_sent_count(p.b, mark, "message"), 0);
    sim_do(p.b, WAGW_CMD_SEND, TEXT("49100", "now I see"), 200);
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "good"), 200);
    assert_int_equal(sim_events(p.b, "message.received"), 4);
    assert_int_equal(sim_events(p.a, "message.received"), 2);
    two_end(&p);
}

static void repaired_once(void **state)
{
    (void)state;
    repaired(30, 1);
}

static void repaired_with_keys(void **state)
{
    (void)state;
    repaired(31, 2);
}

static void never_repaired(void **state)
{
    sim_two_t p = talked(32);
    sim_log_t *mark = sim_mark(p.w);

    (void)state;
    p.w->orders.damage = 100;
    p.w->orders.damage_to = "9200:5@lid";
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "broken"), 200);
    assert_non_null(retry_of(p.b, mark, 3));
    assert_null(retry_of(p.b, mark, 4));
    assert_int_equal(sim_events(p.b, "message.undecryptable"), 2);
    assert_int_equal(cJSON_GetObjectItem(sim_last_event(p.b, "message.undecryptable")->data, "retry")->valueint, 5);
    assert_int_equal(sim_queued(sim_device_of(p.b)), 0);
    p.w->orders.damage = 0;
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "whole"), 200);
    assert_string_equal(sim_str(sim_last_event(p.b, "message.received")->data, "body"), "whole");
    two_end(&p);
}

/* A reaction that cannot be read is not shown as a missing message. */
static void hidden_failure(void **state)
{
    sim_two_t p = talked(33);
    char json[160];
    sim_reply_t *r = sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "x"), 200);

    (void)state;
    p.w->orders.damage = 1;
    p.w->orders.damage_to = "9200:5@lid";
    snprintf(json, sizeof(json), "{\"chatId\":\"49200\",\"messageId\":\"%s\",\"emoji\":\"+\"}", r->message_id);
    sim_do(p.a, WAGW_CMD_REACTION, json, 200);
    assert_int_equal(sim_events(p.b, "message.undecryptable"), 0);
    assert_int_equal(sim_events(p.b, "message.reaction"), 1);
    two_end(&p);
}

/* The phone is asked 5 s after the first failure, and answers. */
static void phone_helps(void **state)
{
    sim_two_t p = talked(34);
    sim_reply_t *r;
    sim_got_t *g;
    sim_log_t *mark;
    wagw_buf_t b64 = {0};
    wagw_buf_t json = {0};
    wagw_arena_t a = {0};
    const wagw_node_t *n;

    (void)state;
    sim_peer_send(p.ba->phone, p.ba, "3A01",
                  "{\"protocolMessage\":{\"type\":5,\"historySyncNotification\":{\"syncType\":0}}}", "pn", "",
                  "category", "peer", NULL);
    sim_run(p.w);
    p.w->orders.damage = 100;
    p.w->orders.damage_to = "9200:5@lid";
    r = sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "lost"), 200);
    mark = sim_mark(p.w);
    sim_advance(p.w, 4900);
    assert_int_equal(sim_sent_count(p.b, mark, "message"), 0);
    sim_advance(p.w, 200);
    n = sim_sent(p.b, mark, "message", 0);
    assert_true(sim_has(n, "to", SIM_B, "category", "peer", "push_priority", "high_force", NULL));
    g = sim_peer_got(p.ba->phone, sim_attr(n, "id"));
    assert_non_null(g);
    assert_int_equal(g->rc, WAGW_OK);
    {
        const cJSON *q =
            cJSON_GetObjectItem(cJSON_GetObjectItem(g->message, "protocolMessage"), "peerDataOperationRequestMessage");
        const cJSON *k = cJSON_GetObjectItem(
            cJSON_GetArrayItem(cJSON_GetObjectItem(q, "placeholderMessageResendRequest"), 0), "messageKey");

        assert_string_equal(sim_str(k, "id"), r->message_id);
        assert_string_equal(sim_str(k, "remoteJid"), "9100@lid");
    }
    /* WebMessageInfo{key{remoteJid, fromMe, id}, message{conversation}, messageTimestamp} */
    {
        wagw_buf_t key = {0}, web = {0}, msg = {0};

        wagw_buf_printf(&key, "\x0a\x08%s\x10", "9100@lid");
        wagw_buf_u8(&key, 0);
        wagw_buf_u8(&key, 0x1a);
        wagw_buf_u8(&key, (uint8_t)strlen(r->message_id));
        wagw_buf_cstr(&key, r->message_id);
        wagw_buf_str(&msg, sim_message_bytes(&a, "{\"conversation\":\"found\"}"));
        wagw_buf_u8(&web, 0x0a);
        wagw_buf_u8(&web, (uint8_t)key.n);
        wagw_buf_str(&web, wagw_buf_view(&key));
        wagw_buf_u8(&web, 0x12);
        wagw_buf_u8(&web, (uint8_t)msg.n);
        wagw_buf_str(&web, wagw_buf_view(&msg));
        wagw_base64_encode(&b64, wagw_buf_view(&web));
        wagw_buf_u8(&b64, 0);
        wagw_buf_free(&key);
        wagw_buf_free(&web);
        wagw_buf_free(&msg);
    }
    wagw_buf_printf(
        &json,
        "{\"protocolMessage\":{\"type\":17,\"peerDataOperationRequestResponseMessage\":{\"stanzaId\":\"x\","
        "\"peerDataOperationResult\":[{\"placeholderMessageResendResponse\":{\"webMessageInfoBytes\":\"%s\"}}]}}}",
        (char *)b64.p);
    wagw_buf_u8(&json, 0);
    p.w->orders.damage = 0;
    /* a stranger may not answer */
    sim_peer_send(p.aa->phone, p.ba, "3A09", (char *)json.p, NULL);
    sim_run(p.w);
    assert_int_equal(sim_events(p.b, "message.received"), 2);
    sim_peer_send(p.ba->phone, p.ba, "3A02", (char *)json.p, "pn", "", "category", "peer", NULL);
    sim_run(p.w);
    assert_string_equal(sim_str(sim_last_event(p.b, "message.received")->data, "body"), "found");
    assert_string_equal(sim_str(sim_last_event(p.b, "message.received")->data, "messageId"), r->message_id);
    assert_string_equal(sim_str(sim_last_event(p.b, "message.received")->data, "chatId"), SIM_A);
    sim_peer_send(p.ba->phone, p.ba, "3A03", (char *)json.p, "pn", "", "category", "peer", NULL);
    sim_run(p.w);
    assert_int_equal(sim_events(p.b, "message.received"), 3);
    wagw_buf_free(&b64);
    wagw_buf_free(&json);
    wagw_arena_free(&a);
    two_end(&p);
}

static void unavailable(void **state)
{
    sim_two_t p = talked(35);
    wagw_arena_t a = {0};
    wagw_node_t *n;
    sim_log_t *mark = sim_mark(p.w);

    (void)state;
    n = sim_node(&a, "message", "id", "3A01", "from", "9200@lid", "type", "text", "t", "1767225600", NULL);
    sim_add(&a, n, "unavailable", "type", "view_once_unavailable_fanout", NULL);
    sim_queue(sim_device_of(p.a), n);
    sim_run(p.w);
    assert_true(
        sim_has(sim_sent(p.a, mark, "ack", 0), "class", "message", "id", "3A01", "error", NULL, "type", NULL, NULL));
    assert_string_equal(sim_str(sim_last_event(p.a, "message.undecryptable")->data, "reason"), "unavailable");
    assert_int_equal(sim_queued(sim_device_of(p.a)), 0);
    wagw_arena_free(&a);
    two_end(&p);
}

/* ---- serving others ------------------------------------------------------------------- */

/* A retry receipt of Bea's phone; keys: fresh ones of it. */
static void ask(sim_two_t *p, const char *id, unsigned count, bool keys, uint32_t registration, const char *recipient,
                sim_device_t *who)
{
    char num[16];
    uint8_t reg[4] = {(uint8_t)(registration >> 24), (uint8_t)(registration >> 16), (uint8_t)(registration >> 8),
                      (uint8_t)registration};
    wagw_jid_t j;
    wagw_arena_t a = {0};
    wagw_node_t *n, *k, *x;

    sim_jid_of(who, true, &j);
    snprintf(num, sizeof(num), "%u", count);
    n = sim_node(&a, "receipt", "id", id, "from", (const char *)wagw_jid_str(&a, &j).p, "type", "retry", "t",
                 "1767225600", "recipient", recipient ? recipient : "", NULL);
    sim_add(&a, n, "retry", "count", num, "id", id, "t", "1767225600", "v", "1", NULL);
    wagw_node_bytes_copy(&a, sim_add(&a, n, "registration", NULL), wagw_str(reg, 4));
    if (keys) {
        sim_otk_t *o = who->otks;

        k = sim_add(&a, n, "keys", NULL);
        wagw_node_bytes(sim_add(&a, k, "type", NULL), WAGW_STR("\x05"));
        wagw_node_bytes_copy(&a, sim_add(&a, k, "identity", NULL), wagw_str(who->identity, 32));
        x = sim_add(&a, k, "key", NULL);
        {
            uint8_t kid[3] = {(uint8_t)(o->id >> 16), (uint8_t)(o->id >> 8), (uint8_t)o->id};

            wagw_node_bytes_copy(&a, sim_add(&a, x, "id", NULL), wagw_str(kid, 3));
        }
        wagw_node_bytes_copy(&a, sim_add(&a, x, "value", NULL), wagw_str(o->pub, 32));
        who->otks = o->next;
        free(o);
        x = sim_add(&a, k, "skey", NULL);
        wagw_node_bytes(sim_add(&a, x, "id", NULL), wagw_str("\0\0\1", 3));
        wagw_node_bytes_copy(&a, sim_add(&a, x, "value", NULL), wagw_str(who->spk, 32));
        wagw_node_bytes_copy(&a, sim_add(&a, x, "signature", NULL), wagw_str(who->spk_sig, 64));
    }
    sim_queue(sim_device_of(p->a), n);
    sim_run(p->w);
    assert_int_equal(sim_queued(sim_device_of(p->a)), 0); /* acknowledged whatever became of it */
    wagw_arena_free(&a);
}

static void serve(void **state)
{
    sim_two_t p = talked(36);
    sim_reply_t *r = sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "again please"), 200);
    sim_log_t *mark = sim_mark(p.w);
    sim_peer_t *phone = p.ba->phone;
    uint32_t reg = phone->dev->registration;
    const wagw_node_t *m;
    sim_got_t *g;
    uint8_t base[33], other[33];

    (void)state;
    (void)base;
    (void)other;
    /* without keys: the session as it is */
    ask(&p, r->message_id, 1, false, reg, NULL, phone->dev);
    m = sim_sent(p.a, mark, "message", 0);
    assert_true(sim_has(m, "to", "9200@lid", "device_fanout", "false", "t", "1767225600", "recipient", NULL, NULL));
    g = sim_peer_got(phone, r->message_id);
    assert_int_equal(g->rc, WAGW_OK);
    assert_string_equal(sim_str(cJSON_GetObjectItem(g->message, "extendedTextMessage"), "text"), "again please");
    assert_null(sim_sent_iq(p.a, mark, "encrypt", "key"));

    /* with keys: a new session */
    mark = sim_mark(p.w);
    sim_peer_forget(phone, sim_device_of(p.a));
    ask(&p, r->message_id, 2, true, reg, NULL, phone->dev);
    m = sim_sent(p.a, mark, "message", 0);
    assert_true(sim_has(wagw_node_find(m, "enc"), "type", "pkmsg", "count", "2", NULL));
    assert_int_equal(sim_peer_got(phone, r->message_id)->rc, WAGW_OK);

    /* another registration: a bundle is fetched */
    mark = sim_mark(p.w);
    ask(&p, r->message_id, 1, false, reg + 1, NULL, phone->dev);
    assert_non_null(sim_sent_iq(p.a, mark, "encrypt", "key"));
    m = sim_sent(p.a, mark, "message", 0);
    assert_true(sim_has(wagw_node_find(m, "enc"), "type", "pkmsg", "count", "1", NULL));
    assert_int_equal(sim_peer_got(phone, r->message_id)->rc, WAGW_OK);
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_RETRY, "wait|"), 0);

    /* unknown id: acknowledged, nothing else */
    mark = sim_mark(p.w);
    ask(&p, "3EB0NOSUCH", 1, false, reg, NULL, phone->dev);
    assert_int_equal(sim_sent_count(p.a, mark, "message"), 0);
    assert_true(sim_has(sim_sent(p.a, mark, "ack", 0), "class", "receipt", "type", "retry", "to", "9200@lid", NULL));

    /* the tenth is ignored */
    mark = sim_mark(p.w);
    for (unsigned i = 4; i <= 12; i++) {
        ask(&p, r->message_id, 1, false, reg, NULL, phone->dev);
    }
    assert_int_equal(sim_sent_count(p.a, mark, "message"), 6);
    assert_int_equal(sim_sent_count(p.a, mark, "ack"),
                     9 + 6); /* the receipts and what the resends were answered with */

    /* the status of the message did not change */
    {
        wagw_row_message_t row;

        assert_true(sim_message(p.a, SIM_B, r->message_id, "", &row));
        assert_int_equal(row.status, WAGW_MSG_DELIVERED);
    }
    two_end(&p);
}

/* Our own phone could not read its copy. */
static void serve_own_phone(void **state)
{
    sim_two_t p = talked(37);
    sim_reply_t *r = sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "for the phone"), 200);
    sim_log_t *mark = sim_mark(p.w);
    sim_peer_t *phone = p.aa->phone;
    const wagw_node_t *m;
    sim_got_t *g;

    (void)state;
    ask(&p, r->message_id, 1, false, phone->dev->registration, "9200@lid", phone->dev);
    m = sim_sent(p.a, mark, "message", 0);
    assert_true(sim_has(m, "to", "9100@lid", "recipient", "9200@lid", "device_fanout", "false", NULL));
    g = sim_peer_got(phone, r->message_id);
    assert_int_equal(g->rc, WAGW_OK);
    assert_string_equal(sim_str(cJSON_GetObjectItem(g->message, "deviceSentMessage"), "destinationJid"), "9200@lid");
    two_end(&p);
}

/* A retry that needs a bundle is served after a crash in between, too. */
static void serve_after_crash(void **state)
{
    sim_two_t p = talked(38);
    sim_reply_t *r = sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "hold on"), 200);
    sim_peer_t *phone = p.ba->phone;
    unsigned had;

    (void)state;
    p.w->orders.no_answer_ns = "encrypt";
    p.w->orders.no_answer = 1;
    had = sim_peer_count(phone);
    ask(&p, r->message_id, 1, false, phone->dev->registration + 1, NULL, phone->dev);
    assert_int_equal(sim_peer_count(phone), had);
    sim_crash(p.a, false);
    sim_run(p.w);
    sim_revive(p.a);
    sim_advance(p.w, 5);
    sim_expect_status(p.a, WAGW_STATUS_CONNECTED);
    /* it asks once more, as phones do */
    ask(&p, r->message_id, 2, false, phone->dev->registration + 1, NULL, phone->dev);
    assert_true(sim_peer_count(phone) > had);
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_RETRY, "wait|"), 0);
    two_end(&p);
}

/* ---- identities and devices ---------------------------------------------------------------- */

static void identity_notified(void **state)
{
    sim_two_t p = talked(39);
    wagw_arena_t a = {0};
    wagw_node_t *n = sim_node(&a, "notification", "from", SIM_B, "lid", "9200@lid", "type", "encrypt", "id", "n7", "t",
                              "1767225600", NULL);
    sim_log_t *mark = sim_mark(p.w);

    (void)state;
    sim_add(&a, n, "identity", NULL);
    assert_true(has_record(p.a, WAGW_REC_SESSION, "9200_1.5"));
    sim_queue(sim_device_of(p.a), n);
    sim_run(p.w);
    assert_true(sim_has(sim_sent(p.a, mark, "ack", 0), "class", "notification", "id", "n7", "to", SIM_B, "type",
                        "encrypt", NULL));
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_SESSION, "9200_1."), 0);
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_IDENTITY, "9200_1."), 0);
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_DEVICES, "9200@lid"), 0);
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "anew"), 200);
    assert_non_null(sim_sent_iq(p.a, mark, "usync", NULL));
    assert_non_null(sim_sent_iq(p.a, mark, "encrypt", "key"));
    assert_string_equal(sim_str(sim_last_event(p.b, "message.received")->data, "body"), "anew");
    sim_do(p.b, WAGW_CMD_SEND, TEXT("49100", "fine"), 200);
    assert_string_equal(sim_str(sim_last_event(p.a, "message.received")->data, "body"), "fine");
    wagw_arena_free(&a);
    two_end(&p);
}

/* The phone was set up anew and writes first. */
static void identity_in_message(void **state)
{
    sim_two_t p = talked(40);
    wagw_keypair_t kp;
    sim_otk_t *o;
    sim_device_t *d = p.ba->devices;
    wagw_str_t v;

    (void)state;
    sim_peer_send(p.ba->phone, p.aa, "3A01", "{\"conversation\":\"old phone\"}", NULL);
    sim_run(p.w);
    sim_peer_free(p.ba->phone);
    while ((o = d->otks) != NULL) {
        d->otks = o->next;
        free(o);
    }
    assert_int_equal(wagw_x25519_keypair(&kp, vec_random, &p.w->random), WAGW_OK);
    p.ba->phone = sim_peer_new(p.w, d, &kp);
    sim_peer_send(p.ba->phone, p.aa, "3A02", "{\"conversation\":\"new phone\"}", NULL);
    sim_run(p.w);
    assert_string_equal(sim_str(sim_last_event(p.a, "message.received")->data, "body"), "new phone");
    v = sim_mem_get(&p.a->mem, WAGW_REC_IDENTITY, WAGW_STR("9200_1.0"));
    assert_int_equal(v.n, 33);
    assert_memory_equal(v.p + 1, kp.pub, 32);
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_DEVICES, "9200@lid"), 0);
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "hello again"), 200);
    assert_int_equal(sim_peer_count(p.ba->phone), 1);
    two_end(&p);
}

/* Our own phone has one identity only: the one that signed us. */
static void identity_of_own_phone(void **state)
{
    sim_two_t p = talked(41);
    wagw_keypair_t kp;
    sim_otk_t *o;
    sim_device_t *d = p.aa->devices;
    sim_log_t *mark;

    (void)state;
    sim_peer_free(p.aa->phone);
    while ((o = d->otks) != NULL) {
        d->otks = o->next;
        free(o);
    }
    assert_int_equal(wagw_x25519_keypair(&kp, vec_random, &p.w->random), WAGW_OK);
    p.aa->phone = sim_peer_new(p.w, d, &kp);
    mark = sim_mark(p.w);
    sim_peer_send(
        p.aa->phone, p.aa, "3A02",
        "{\"protocolMessage\":{\"type\":6,\"appStateSyncKeyShare\":{\"keys\":[{\"keyId\":{\"keyId\":\"AAAAAA==\"},"
        "\"keyData\":{\"keyData\":\"AAAA\"}}]}}}",
        "pn", "", "category", "peer", NULL);
    sim_run(p.w);
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_APP_KEY, ""), 0);
    assert_true(sim_has(retry_of(p.a, mark, 0), "id", "3A02", "category", "peer", NULL));
    two_end(&p);
}

static void devices_change(void **state)
{
    sim_two_t p = talked(42);
    sim_engine_t *c = sim_engine(p.w, "C");
    wagw_arena_t a = {0};
    wagw_node_t *n, *k;
    sim_log_t *mark;
    char hash[16];
    wagw_jid_t jids[3];

    (void)state;
    /* a second companion of Bea, made known by a notification */
    sim_link(c, p.ba);
    for (unsigned i = 0; i < 3; i++) {
        jids[i] = wagw_jid_make("49200", WAGW_SRV_USER, (uint16_t)(i == 0 ? 0 : 4 + i));
    }
    assert_int_equal(wagw_phash(hash, jids, 3), WAGW_OK);
    n = sim_node(&a, "notification", "from", SIM_B, "lid", "9200@lid", "type", "devices", "id", "n1", "t", "1", NULL);
    k = sim_add(&a, n, "add", "device_hash", hash, NULL);
    sim_add(&a, k, "device", "jid", "49200:6@s.whatsapp.net", "lid", "9200:6@lid", "key-index", "3", NULL);
    mark = sim_mark(p.w);
    sim_queue(sim_device_of(p.a), n);
    sim_run(p.w);
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "to all three"), 200);
    assert_null(sim_sent_iq(p.a, mark, "usync", NULL));
    assert_string_equal(sim_str(sim_last_event(c, "message.received")->data, "body"), "to all three");

    /* it goes: list and session */
    assert_true(has_record(p.a, WAGW_REC_SESSION, "9200_1.6"));
    sim_unlink(sim_device_of(c));
    assert_int_equal(wagw_phash(hash, jids, 2), WAGW_OK);
    n = sim_node(&a, "notification", "from", SIM_B, "lid", "9200@lid", "type", "devices", "id", "n2", "t", "1", NULL);
    k = sim_add(&a, n, "remove", "device_hash", hash, NULL);
    sim_add(&a, k, "device", "jid", "49200:6@s.whatsapp.net", "lid", "9200:6@lid", NULL);
    sim_queue(sim_device_of(p.a), n);
    sim_run(p.w);
    assert_false(has_record(p.a, WAGW_REC_SESSION, "9200_1.6"));
    mark = sim_mark(p.w);
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "to two"), 200);
    assert_null(sim_sent_iq(p.a, mark, "usync", NULL));
    assert_int_equal(wagw_node_find(sim_sent(p.a, mark, "message", 0), "participants")->nchildren, 3);

    /* a hash that does not fit, or an update: asked anew */
    n = sim_node(&a, "notification", "from", SIM_B, "lid", "9200@lid", "type", "devices", "id", "n3", "t", "1", NULL);
    k = sim_add(&a, n, "add", "device_hash", "2:wrong", NULL);
    sim_add(&a, k, "device", "jid", "49200:9@s.whatsapp.net", "lid", "9200:9@lid", "key-index", "4", NULL);
    sim_queue(sim_device_of(p.a), n);
    sim_run(p.w);
    mark = sim_mark(p.w);
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "asked"), 200);
    assert_non_null(sim_sent_iq(p.a, mark, "usync", NULL));
    n = sim_node(&a, "notification", "from", SIM_B, "lid", "9200@lid", "type", "devices", "id", "n4", "t", "1", NULL);
    sim_add(&a, n, "update", "hash", "abc", NULL);
    sim_queue(sim_device_of(p.a), n);
    sim_run(p.w);
    mark = sim_mark(p.w);
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "asked"), 200);
    assert_non_null(sim_sent_iq(p.a, mark, "usync", NULL));

    /* an hour later, too */
    mark = sim_mark(p.w);
    sim_advance(p.w, 3601000);
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "asked"), 200);
    assert_non_null(sim_sent_iq(p.a, mark, "usync", NULL));
    wagw_arena_free(&a);
    two_end(&p);
}

static void prekeys_run_low(void **state)
{
    sim_two_t p = sim_two_linked(43);
    sim_device_t *d = sim_device_of(p.a);
    sim_otk_t *o;
    wagw_arena_t a = {0};
    wagw_node_t *n =
        sim_node(&a, "notification", "from", "@s.whatsapp.net", "type", "encrypt", "id", "n9", "t", "1", NULL);
    sim_log_t *mark = sim_mark(p.w);
    wagw_creds_t c;

    (void)state;
    while ((o = d->otks) != NULL) {
        d->otks = o->next;
        free(o);
    }
    sim_add(&a, n, "count", "value", "0", NULL);
    sim_queue(d, n);
    sim_run(p.w);
    /* within ten minutes of the last upload the count is read again first */
    assert_non_null(sim_sent_iq(p.a, mark, "encrypt", "count"));
    assert_non_null(d->otks);
    assert_int_equal(sim_queued(d), 0);
    sim_creds(p.a, &c);
    assert_int_equal(c.first_unuploaded, c.next_prekey);

    /* much later: at once, 50 */
    sim_advance(p.w, 700000);
    while ((o = d->otks) != NULL) {
        d->otks = o->next;
        free(o);
    }
    mark = sim_mark(p.w);
    sim_queue(d, n);
    sim_run(p.w);
    assert_null(sim_sent_iq(p.a, mark, "encrypt", "count"));
    assert_int_equal(wagw_node_find(sim_sent_iq(p.a, mark, "encrypt", "list"), "list")->nchildren, 50);

    /* an upload that is not confirmed is done again at the next login, with the same keys */
    {
        uint32_t first = d->otks->id, next;

        while ((o = d->otks) != NULL) {
            d->otks = o->next;
            free(o);
        }
        p.w->orders.no_answer = ~0u;
        p.w->orders.no_answer_ns = "encrypt";
        sim_advance(p.w, 700000);
        sim_queue(d, n);
        sim_run(p.w);
        sim_creds(p.a, &c);
        next = c.first_unuploaded;
        assert_true(next > first);
        p.w->orders.no_answer = 0;
        mark = sim_mark(p.w);
        sim_cut(p.a, 0);
        sim_advance(p.w, 3000);
        sim_expect_status(p.a, WAGW_STATUS_CONNECTED);
        assert_non_null(d->otks);
        assert_int_equal(d->otks->id, next);
    }
    wagw_arena_free(&a);
    two_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repaired_once),
        cmocka_unit_test(repaired_with_keys),
        cmocka_unit_test(never_repaired),
        cmocka_unit_test(hidden_failure),
        cmocka_unit_test(phone_helps),
        cmocka_unit_test(unavailable),
        cmocka_unit_test(serve),
        cmocka_unit_test(serve_own_phone),
        cmocka_unit_test(serve_after_crash),
        cmocka_unit_test(identity_notified),
        cmocka_unit_test(identity_in_message),
        cmocka_unit_test(identity_of_own_phone),
        cmocka_unit_test(devices_change),
        cmocka_unit_test(prekeys_run_low),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
