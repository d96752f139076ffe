/*
 * Conversations of two engines and their phones: first contact, both names of
 * a person, what is said about messages, own devices, backlog, retries.
 */

#include "client_sim.h"

#define TEXT(to, body) "{\"to\":\"" to "\",\"message\":\"" body "\"}"

static void two_end(sim_two_t *p)
{
    assert_int_equal(p->a->errors, 0);
    assert_int_equal(p->b->errors, 0);
    sim_free(p->w);
}

/* Body of the n-th message.received. */
static const char *body(sim_engine_t *e, unsigned n)
{
    sim_event_t *ev = sim_event(e, "message.received", n);

    return ev ? sim_str(ev->data, "body") : "(none)";
}

static unsigned iqs(sim_engine_t *e, sim_log_t *mark, const char *xmlns)
{
    unsigned n = 0;
    const wagw_node_t *iq;

    for (unsigned i = 0; (iq = sim_sent(e, mark, "iq", i)) != NULL; i++) {
        n += wagw_node_attr_is(iq, "xmlns", xmlns);
    }
    return n;
}

static bool has_record(sim_engine_t *e, uint8_t kind, const char *key)
{
    return sim_mem_get(&e->mem, kind, wagw_cstr(key)).p != NULL;
}

/* What the phone `p` read in message `id` at a path of member names. */
static const cJSON *phone_read(sim_peer_t *p, const char *id, const char *path)
{
    char part[64];
    size_t n;
    sim_got_t *g = sim_peer_got(p, id);
    const cJSON *v;

    assert_non_null(g);
    assert_int_equal(g->rc, WAGW_OK);
    for (v = g->message; *path && v; path += n + (path[n] == '.')) {
        n = strcspn(path, ".");
        snprintf(part, sizeof(part), "%.*s", (int)n, path);
        v = cJSON_GetObjectItemCaseSensitive(v, part);
    }
    return v;
}

static const char *phone_text(sim_peer_t *p, const char *id, const char *path)
{
    const cJSON *v = phone_read(p, id, path);

    return cJSON_IsString(v) ? v->valuestring : "(none)";
}

/* ---- first contact and on ------------------------------------------------------ */

static void first_contact(void **state)
{
    sim_two_t p = sim_two(4);
    sim_reply_t *r, *s;
    sim_event_t *ev;
    const wagw_node_t *n, *to;
    wagw_row_message_t m;
    wagw_row_chat_t chat;
    sim_log_t *mark = sim_mark(p.w);

    (void)state;
    r = sim_do(p.a, WAGW_CMD_SEND, "{\"to\":\"49200\",\"message\":\"hello\",\"ref\":\"r-1\"}", 200);
    assert_string_equal(sim_str(r->data, "status"), "sent");
    assert_int_equal(cJSON_GetObjectItem(r->data, "statusCode")->valueint, 2);
    assert_string_equal(sim_str(r->data, "chatId"), SIM_B);
    assert_string_equal(sim_str(r->data, "ref"), "r-1");
    assert_string_equal(sim_str(r->data, "messageId"), r->message_id);
    assert_int_equal(strlen(r->message_id), 22);

    /* one usync for both sides, one bundle query, then the message (04 section 21 A) */
    n = sim_sent_iq(p.a, mark, "usync", "usync");
    assert_non_null(n);
    assert_non_null(sim_sent_iq(p.a, mark, "encrypt", "key"));
    assert_int_equal(iqs(p.a, mark, "usync") + iqs(p.a, mark, "encrypt"), 2);
    n = sim_sent(p.a, mark, "message", 0);
    assert_true(
        sim_has(n, "to", "9200@lid", "type", "text", "peer_recipient_pn", SIM_B, "phash", NULL, "edit", NULL, NULL));
    assert_non_null(wagw_node_find(n, "device-identity"));
    assert_int_equal(wagw_node_find(n, "participants")->nchildren, 3);
    for (to = wagw_node_find(wagw_node_find(n, "participants"), "to"); to; to = wagw_node_find_next(to, "to")) {
        assert_true(wagw_str_ends(wagw_node_get(to, "jid"), WAGW_STR("@lid")));
        assert_true(sim_has(wagw_node_find(to, "enc"), "v", "2", "type", "pkmsg", "decrypt-fail", NULL, NULL));
    }

    /* everybody read it; our phone as a device-sent copy */
    assert_string_equal(phone_text(p.ba->phone, r->message_id, "extendedTextMessage.text"), "hello");
    assert_string_equal(phone_text(p.aa->phone, r->message_id, "deviceSentMessage.destinationJid"), "9200@lid");
    assert_string_equal(phone_text(p.aa->phone, r->message_id, "deviceSentMessage.message.extendedTextMessage.text"),
                        "hello");
    assert_non_null(phone_read(p.aa->phone, r->message_id, "messageContextInfo.messageSecret"));

    assert_int_equal(sim_events(p.b, "message.received"), 1);
    ev = sim_last_event(p.b, "message.received");
    assert_string_equal(sim_str(ev->data, "body"), "hello");
    assert_string_equal(sim_str(ev->data, "from"), SIM_A);
    assert_string_equal(sim_str(ev->data, "chatId"), SIM_A);
    assert_string_equal(sim_str(ev->data, "fromLid"), "9100@lid");
    assert_string_equal(sim_str(ev->data, "pushName"), "Ann");
    assert_string_equal(sim_str(ev->data, "messageId"), r->message_id);
    assert_string_equal(sim_str(ev->data, "type"), "text");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(ev->data, "mediaUrl")));

    assert_true(sim_message(p.b, SIM_A, r->message_id, SIM_A, &m));
    assert_int_equal(m.status, WAGW_MSG_RECEIVED);
    assert_int_equal(m.secret.n, 32);
    assert_true(sim_chat(p.b, SIM_A, &chat));
    assert_int_equal(chat.unread, 1);
    assert_true(wagw_str_is(chat.lid, "9100@lid"));
    assert_true(wagw_str_is(chat.last_body, "hello"));
    assert_true(sim_message(p.a, SIM_B, r->message_id, "", &m));
    assert_int_equal(m.stanza.n, 0);
    ev = sim_last_event(p.a, "message.sent");
    assert_string_equal(sim_str(ev->data, "source"), "api");
    assert_string_equal(sim_str(ev->data, "ref"), "r-1");

    /* B is not "available": inactive receipts; the phone's is a delivery */
    n = sim_sent(p.b, mark, "receipt", 0);
    assert_true(sim_has(n, "id", r->message_id, "to", "9100:5@lid", "type", "inactive", NULL));
    assert_int_equal(m.status, WAGW_MSG_DELIVERED);
    assert_string_equal(sim_str(sim_last_event(p.a, "message.ack")->data, "ackName"), "delivered");
    assert_int_equal(sim_queued(sim_device_of(p.b)), 0);
    assert_int_equal(sim_queued(sim_device_of(p.a)), 0);

    /* the answer, and from now on plain msg between the two */
    s = sim_do(p.b, WAGW_CMD_SEND, TEXT("49100@s.whatsapp.net", "back"), 200);
    assert_string_equal(body(p.a, 0), "back");
    assert_string_equal(phone_text(p.aa->phone, s->message_id, "extendedTextMessage.text"), "back");
    mark = sim_mark(p.w);
    sim_do(p.a, WAGW_CMD_SEND, TEXT("9200@lid", "third"), 200);
    assert_string_equal(body(p.b, 1), "third");
    assert_int_equal(sim_sent_count(p.a, mark, "iq"), 0);
    n = wagw_node_find(sim_sent(p.a, mark, "message", 0), "participants");
    for (to = wagw_node_find(n, "to"); to; to = wagw_node_find_next(to, "to")) {
        if (wagw_node_attr_is(to, "jid", "9200:5@lid")) {
            assert_true(wagw_node_attr_is(wagw_node_find(to, "enc"), "type", "msg"));
        }
    }
    two_end(&p);
}

static void two_at_once(void **state)
{
    sim_two_t p = sim_two(5);
    uint64_t id[5];
    sim_log_t *mark = sim_mark(p.w);

    (void)state;
    id[0] = sim_command(p.a, WAGW_CMD_SEND, TEXT("49200", "one"));
    id[1] = sim_command(p.a, WAGW_CMD_SEND, TEXT("49200", "two"));
    id[2] = sim_command(p.a, WAGW_CMD_SEND, "{\"to\":\"49200\",\"message\":\"four\",\"priority\":1}");
    id[3] = sim_command(p.a, WAGW_CMD_SEND, "{\"to\":\"49200\",\"message\":\"three\",\"priority\":9}");
    id[4] = sim_command(p.b, WAGW_CMD_SEND, TEXT("49100", "crossing"));
    sim_run(p.w);
    for (int i = 0; i < 5; i++) {
        sim_expect(i < 4 ? p.a : p.b, id[i], 200, "");
    }
    assert_int_equal(iqs(p.a, mark, "usync"), 1);
    assert_int_equal(iqs(p.a, mark, "encrypt"), 1);
    assert_int_equal(sim_events(p.b, "message.received"), 4);
    assert_string_equal(body(p.b, 0), "one");
    assert_string_equal(body(p.b, 1), "three");
    assert_string_equal(body(p.b, 2), "two");
    assert_string_equal(body(p.b, 3), "four");
    assert_string_equal(body(p.a, 0), "crossing");
    sim_do(p.b, WAGW_CMD_SEND, TEXT("49100", "after"), 200);
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "after"), 200);
    assert_string_equal(body(p.a, 1), "after");
    assert_string_equal(body(p.b, 4), "after");
    two_end(&p);
}

static void to_nobody(void **state)
{
    sim_two_t p = sim_two(6);
    uint64_t id;

    (void)state;
    id = sim_command(p.a, WAGW_CMD_SEND, TEXT("49999", "hello"));
    sim_run(p.w);
    sim_expect(p.a, id, 422, "NOT_ON_WHATSAPP");
    id = sim_command(p.a, WAGW_CMD_SEND, TEXT("not a number", "hello"));
    sim_run(p.w);
    sim_expect(p.a, id, 400, "INVALID_JID");
    p.w->orders.no_bundles = true;
    id = sim_command(p.a, WAGW_CMD_SEND, TEXT("49200", "hello"));
    sim_run(p.w);
    sim_expect(p.a, id, 422, "RECIPIENT_NO_DEVICES");
    p.w->orders.no_bundles = false;
    p.w->orders.no_otks = true; /* bundles without one-time key still do */
    id = sim_command(p.a, WAGW_CMD_SEND, TEXT("49200", "again"));
    sim_run(p.w);
    sim_expect(p.a, id, 200, "");
    assert_string_equal(body(p.b, 0), "again");
    assert_int_equal(sim_events(p.a, "message.sent"), 1);
    two_end(&p);
}

static void to_myself(void **state)
{
    sim_two_t p = sim_two(7);
    sim_reply_t *r = sim_do(p.a, WAGW_CMD_SEND, TEXT("49100", "note"), 200);

    (void)state;
    assert_string_equal(phone_text(p.aa->phone, r->message_id, "deviceSentMessage.message.extendedTextMessage.text"),
                        "note");
    assert_string_equal(sim_str(r->data, "chatId"), SIM_A);
    two_end(&p);
}

/* ---- both names of a person --------------------------------------------------------- */

static void lid_learnt_later(void **state)
{
    sim_two_t p = sim_two(8);
    wagw_row_message_t m;
    wagw_row_chat_t chat;
    sim_log_t *mark;

    (void)state;
    /* the server tells no LID: a conversation under the phone number */
    p.aa->no_lid = p.ba->no_lid = true;
    sim_do(p.b, WAGW_CMD_SEND, "{\"to\":\"49100\",\"message\":\"pn\",\"messageId\":\"3EB0000001\"}", 200);
    sim_do(p.a, WAGW_CMD_SEND, "{\"to\":\"49200\",\"message\":\"pn back\",\"messageId\":\"3EB0000002\"}", 200);
    assert_string_equal(body(p.a, 0), "pn");
    assert_string_equal(body(p.b, 0), "pn back");
    assert_true(has_record(p.a, WAGW_REC_SESSION, "49200.5"));
    assert_false(has_record(p.a, WAGW_REC_LID_OF, "49200"));

    /* now it writes from its LID and the stanza names both: the session moves */
    p.ba->no_lid = p.aa->no_lid = false;
    sim_peer_send(p.ba->phone, p.aa, "3A01", "{\"conversation\":\"from lid\"}", NULL);
    sim_run(p.w);
    assert_string_equal(body(p.a, 1), "from lid");
    assert_string_equal(sim_str(sim_last_event(p.a, "message.received")->data, "chatId"), SIM_B);
    assert_true(has_record(p.a, WAGW_REC_LID_OF, "49200"));
    assert_true(has_record(p.a, WAGW_REC_PN_OF, "9200"));
    assert_true(has_record(p.a, WAGW_REC_SESSION, "9200_1.5"));
    assert_false(has_record(p.a, WAGW_REC_SESSION, "49200.5"));
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_IDENTITY, "49200."), 0);

    /* and goes on, now addressed by LID, without a new bundle for device 5 */
    mark = sim_mark(p.w);
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "by lid"), 200);
    assert_true(sim_has(sim_sent(p.a, mark, "message", 0), "to", "9200@lid", "peer_recipient_pn", SIM_B, NULL));
    assert_string_equal(body(p.b, 1), "by lid");
    assert_true(sim_chat(p.a, SIM_B, &chat));
    assert_false(sim_chat(p.a, "9200@lid", &chat));
    assert_true(sim_message(p.a, SIM_B, "3A01", SIM_B, &m));
    two_end(&p);
}

static void pn_learnt_later(void **state)
{
    sim_two_t p = sim_two(9);
    wagw_row_message_t m;
    wagw_row_chat_t chat;
    wagw_jid_t pn;

    (void)state;
    /* only the LID is known: the chat is the LID's */
    p.ba->no_lid = true;
    sim_peer_send(p.ba->phone, p.aa, "3A01", "{\"conversation\":\"who am I\"}", NULL);
    sim_run(p.w);
    assert_string_equal(sim_str(sim_last_event(p.a, "message.received")->data, "chatId"), "9200@lid");
    assert_true(sim_chat(p.a, "9200@lid", &chat));
    assert_int_equal(chat.unread, 1);

    /* then the number: one chat under it */
    p.ba->no_lid = false;
    sim_peer_send(p.ba->phone, p.aa, "3A02", "{\"conversation\":\"me\"}", NULL);
    sim_run(p.w);
    assert_string_equal(sim_str(sim_last_event(p.a, "message.received")->data, "chatId"), SIM_B);
    assert_false(sim_chat(p.a, "9200@lid", &chat));
    assert_true(sim_chat(p.a, SIM_B, &chat));
    assert_int_equal(chat.unread, 2);
    assert_true(sim_message(p.a, SIM_B, "3A02", SIM_B, &m));
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_MESSAGE, SIM_B "|3A01|"), 1);

    /* what was said before under the LID can still be edited and revoked by its author */
    sim_peer_send(p.ba->phone, p.aa, "3A03",
                  "{\"protocolMessage\":{\"key\":{\"remoteJid\":\"9100@lid\",\"fromMe\":true,\"id\":\"3A01\"},"
                  "\"type\":14,\"editedMessage\":{\"conversation\":\"it is Bea\"},\"timestampMs\":1767225601000}}",
                  "edit", "1", NULL);
    sim_run(p.w);
    assert_int_equal(sim_events(p.a, "message.edited"), 1);
    assert_string_equal(sim_str(sim_last_event(p.a, "message.edited")->data, "newBody"), "it is Bea");

    /* redelivery of the first one: no second event, no second row */
    pn = wagw_jid_make("9200", WAGW_SRV_LID, 0);
    {
        wagw_arena_t a = {0};
        wagw_node_t *n =
            sim_node(&a, "message", "id", "3A01", "from", "9200@lid", "type", "text", "t", "1767225600", NULL);
        sim_log_t *mark = sim_mark(p.w);

        (void)pn;
        wagw_node_bytes(sim_add(&a, n, "enc", "v", "2", "type", "msg", NULL),
                        wagw_node_data(wagw_node_find(p.w->log->n, "enc")).p ? WAGW_STR("x")
                                                                             : WAGW_STR("\x33garbage garbage"));
        sim_push(p.a, n);
        sim_run(p.w);
        assert_true(sim_has(sim_sent(p.a, mark, "receipt", 0), "id", "3A01", "type", "inactive", NULL));
        wagw_arena_free(&a);
    }
    assert_int_equal(sim_events(p.a, "message.received"), 2);
    two_end(&p);
}

static void names_by_command(void **state)
{
    sim_two_t p = sim_two(10);
    uint64_t id;
    sim_reply_t *r;

    (void)state;
    r = sim_do(p.a, WAGW_CMD_LID_OF, "{\"phoneNumber\":\"+49200\"}", 200);
    assert_string_equal(sim_str(r->data, "lid"), "9200@lid");
    assert_string_equal(sim_str(r->data, "pn"), SIM_B);
    id = sim_command(p.a, WAGW_CMD_LID_OF, "{\"phoneNumber\":\"49999\"}");
    sim_run(p.w);
    sim_expect(p.a, id, 404, "LID_NOT_FOUND");
    r = sim_do(p.a, WAGW_CMD_CHECK_EXISTS, "{\"phoneNumbers\":[\"49200\",\"49999\"]}", 200);
    assert_int_equal(cJSON_GetArraySize(r->data), 1);
    assert_string_equal(sim_str(cJSON_GetArrayItem(r->data, 0), "phoneNumber"), "49200");
    assert_string_equal(sim_str(cJSON_GetArrayItem(r->data, 0), "jid"), SIM_B);
    assert_string_equal(sim_str(cJSON_GetArrayItem(r->data, 0), "lid"), "9200@lid");
    r = sim_do(p.a, WAGW_CMD_CHECK_EXISTS, "{\"phoneNumber\":\"49999\"}", 200);
    assert_int_equal(cJSON_GetArraySize(r->data), 0);
    two_end(&p);
}

/* ---- what is said about messages ------------------------------------------------------- */

static void about_messages(void **state)
{
    sim_two_t p = sim_two(11);
    char json[256], first[80], re[80];
    uint64_t id;
    sim_reply_t *r;
    sim_event_t *ev;
    const cJSON *q;
    const wagw_node_t *n;
    wagw_row_message_t m;
    sim_log_t *mark;

    (void)state;
    r = sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "hello"), 200);
    snprintf(first, sizeof(first), "%s", r->message_id);

    /* reaction, from the other side and from ours */
    snprintf(json, sizeof(json), "{\"chatId\":\"49100\",\"messageId\":\"%s\",\"emoji\":\"\xf0\x9f\x91\x8d\"}", first);
    mark = sim_mark(p.w);
    r = sim_do(p.b, WAGW_CMD_REACTION, json, 200);
    assert_string_equal(r->text, "Reaction added successfully");
    n = sim_sent(p.b, mark, "message", 0);
    assert_true(sim_has(n, "type", "reaction", "to", "9100@lid", "edit", NULL, NULL));
    ev = sim_last_event(p.a, "message.reaction");
    assert_string_equal(sim_str(ev->data, "messageId"), first);
    assert_string_equal(sim_str(ev->data, "emoji"), "\xf0\x9f\x91\x8d");
    assert_string_equal(sim_str(ev->data, "from"), SIM_B);
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_REACTION, SIM_B "|"), 1);
    assert_int_equal(sim_events(p.b, "message.reaction"), 1);
    assert_int_equal(sim_mem_count(&p.b->mem, WAGW_REC_REACTION, SIM_A "|"), 1);
    snprintf(json, sizeof(json), "{\"chatId\":\"49100\",\"messageId\":\"%s\",\"emoji\":\"\"}", first);
    sim_do(p.b, WAGW_CMD_REACTION, json, 200);
    ev = sim_last_event(p.a, "message.reaction");
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(ev->data, "removed")));
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_REACTION, ""), 0);
    assert_int_equal(sim_mem_count(&p.b->mem, WAGW_REC_REACTION, ""), 0);

    /* reply */
    snprintf(json, sizeof(json), "{\"to\":\"49100\",\"message\":\"re\",\"quotedMessageId\":\"%s\"}", first);
    r = sim_do(p.b, WAGW_CMD_SEND, json, 200);
    snprintf(re, sizeof(re), "%s", r->message_id);
    ev = sim_last_event(p.a, "message.received");
    q = cJSON_GetObjectItem(ev->data, "quoted");
    assert_string_equal(sim_str(q, "id"), first);
    assert_string_equal(sim_str(q, "text"), "hello");
    id = sim_command(p.b, WAGW_CMD_SEND, "{\"to\":\"49100\",\"message\":\"re\",\"quotedMessageId\":\"NONE\"}");
    sim_run(p.w);
    sim_expect(p.b, id, 404, "MESSAGE_NOT_FOUND");

    /* edit: only the author, only in time */
    snprintf(json, sizeof(json), "{\"chatId\":\"49200\",\"messageId\":\"%s\",\"newText\":\"hello!\"}", first);
    mark = sim_mark(p.w);
    r = sim_do(p.a, WAGW_CMD_EDIT, json, 200);
    assert_string_equal(sim_str(r->data, "messageId"), first);
    assert_true(strlen(sim_str(r->data, "editedAt")) > 10);
    assert_true(sim_has(sim_sent(p.a, mark, "message", 0), "edit", "1", "type", "text", NULL));
    ev = sim_last_event(p.b, "message.edited");
    assert_string_equal(sim_str(ev->data, "oldBody"), "hello");
    assert_string_equal(sim_str(ev->data, "newBody"), "hello!");
    assert_true(sim_message(p.b, SIM_A, first, SIM_A, &m));
    assert_true(wagw_str_is(m.body, "hello!"));
    assert_true(m.flags & WAGW_ROW_EDITED);
    assert_true(sim_message(p.a, SIM_B, first, "", &m));
    assert_true(wagw_str_is(m.body, "hello!"));
    assert_int_equal(sim_events(p.a, "message.edited"), 1);
    snprintf(json, sizeof(json), "{\"chatId\":\"49100\",\"messageId\":\"%s\",\"newText\":\"mine\"}", first);
    id = sim_command(p.b, WAGW_CMD_EDIT, json);
    sim_run(p.w);
    sim_expect(p.b, id, 403, "WA_FORBIDDEN");
    snprintf(json, sizeof(json), "{\"chatId\":\"49200\",\"messageId\":\"%s\",\"newText\":\"late\"}", first);
    sim_advance(p.w, 901000);
    id = sim_command(p.a, WAGW_CMD_EDIT, json);
    sim_run(p.w);
    r = sim_expect(p.a, id, 422, "EDIT_EXPIRED");
    assert_true(cJSON_GetObjectItem(r->details, "ageSeconds")->valueint >= 901);

    /* forward: what another one wrote is marked so */
    snprintf(json, sizeof(json), "{\"to\":\"49200\",\"messageId\":\"%s\",\"fromChatId\":\"49200@s.whatsapp.net\"}",
             first);
    sim_do(p.a, WAGW_CMD_FORWARD, json, 200);
    ev = sim_last_event(p.b, "message.received");
    assert_string_equal(sim_str(ev->data, "body"), "hello!");
    snprintf(json, sizeof(json), "{\"to\":\"49200\",\"messageId\":\"%s\",\"_chat\":\"49200@s.whatsapp.net\"}", re);
    sim_do(p.a, WAGW_CMD_FORWARD, json, 200);
    ev = sim_last_event(p.b, "message.received");
    assert_string_equal(sim_str(ev->data, "body"), "re");
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(ev->data, "isForwarded")));
    id = sim_command(p.a, WAGW_CMD_FORWARD, "{\"to\":\"49200\",\"messageId\":\"NONE\",\"fromChatId\":\"49200\"}");
    sim_run(p.w);
    sim_expect(p.a, id, 404, "MESSAGE_NOT_FOUND");

    /* revoke */
    snprintf(json, sizeof(json), "{\"chatId\":\"49100\",\"messageId\":\"%s\"}", first);
    id = sim_command(p.b, WAGW_CMD_REVOKE, json);
    sim_run(p.w);
    sim_expect(p.b, id, 403, "WA_FORBIDDEN");
    snprintf(json, sizeof(json), "{\"chatId\":\"49200\",\"messageId\":\"%s\"}", first);
    mark = sim_mark(p.w);
    sim_do(p.a, WAGW_CMD_REVOKE, json, 200);
    assert_true(sim_has(sim_sent(p.a, mark, "message", 0), "edit", "7", NULL));
    ev = sim_last_event(p.b, "message.revoked");
    assert_string_equal(sim_str(ev->data, "messageId"), first);
    assert_string_equal(sim_str(ev->data, "revokedBy"), "them");
    assert_string_equal(sim_str(cJSON_GetObjectItem(ev->data, "originalMessage"), "body"), "hello!");
    assert_true(sim_message(p.b, SIM_A, first, SIM_A, &m));
    assert_true(m.flags & WAGW_ROW_REVOKED);
    assert_int_equal(m.body.n, 0);
    assert_string_equal(sim_str(sim_last_event(p.a, "message.revoked")->data, "revokedBy"), "me");

    /* none of it shows as a message of its own */
    assert_int_equal(sim_events(p.b, "message.received"), 3);
    assert_int_equal(sim_events(p.a, "message.received"), 1);
    assert_int_equal(sim_events(p.a, "message.sent"), 3);
    two_end(&p);
}

/* Edits and revokes of somebody else's message, device-sent copies of strangers. */
static void forged(void **state)
{
    sim_two_t p = sim_two(12);
    char json[512];
    sim_reply_t *r = sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "mine"), 200);
    wagw_row_message_t m;
    unsigned keys;

    (void)state;
    snprintf(json, sizeof(json),
             "{\"protocolMessage\":{\"key\":{\"remoteJid\":\"9100@lid\",\"fromMe\":false,\"id\":\"%s\"},\"type\":14,"
             "\"editedMessage\":{\"conversation\":\"forged\"},\"timestampMs\":1767225601000}}",
             r->message_id);
    sim_peer_send(p.ba->phone, p.aa, "3A01", json, "edit", "1", NULL);
    snprintf(json, sizeof(json),
             "{\"protocolMessage\":{\"key\":{\"remoteJid\":\"9100@lid\",\"fromMe\":false,\"id\":\"%s\"},\"type\":0}}",
             r->message_id);
    sim_peer_send(p.ba->phone, p.aa, "3A02", json, "edit", "7", NULL);
    snprintf(json, sizeof(json),
             "{\"protocolMessage\":{\"key\":{\"remoteJid\":\"9100@lid\",\"fromMe\":true,\"id\":\"%s\"},\"type\":0}}",
             r->message_id);
    sim_peer_send(p.ba->phone, p.aa, "3A03", json, "edit", "7", NULL);
    sim_peer_send(p.ba->phone, p.aa, "3A04",
                  "{\"deviceSentMessage\":{\"destinationJid\":\"9300@lid\",\"message\":{\"conversation\":\"forged\"}}}",
                  NULL);
    keys = sim_mem_count(&p.a->mem, WAGW_REC_APP_KEY, "");
    sim_peer_send(
        p.ba->phone, p.aa, "3A05",
        "{\"protocolMessage\":{\"type\":6,\"appStateSyncKeyShare\":{\"keys\":[{\"keyId\":{\"keyId\":\"AAAAAA==\"},"
        "\"keyData\":{\"keyData\":\"AAAA\"}}]}}}",
        NULL);
    sim_run(p.w);
    assert_int_equal(sim_events(p.a, "message.edited"), 0);
    assert_int_equal(sim_events(p.a, "message.received"), 0);
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_APP_KEY, ""), keys);
    assert_true(sim_message(p.a, SIM_B, r->message_id, "", &m));
    assert_true(wagw_str_is(m.body, "mine"));
    assert_false(m.flags & (WAGW_ROW_REVOKED | WAGW_ROW_EDITED));
    /* the revoke of an unknown message of its own is reported without one */
    assert_int_equal(sim_events(p.a, "message.revoked"), 1);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(sim_last_event(p.a, "message.revoked")->data, "originalMessage")));
    assert_int_equal(sim_queued(sim_device_of(p.a)), 0);
    two_end(&p);
}

static void receipts_and_typing(void **state)
{
    sim_two_t p = sim_two(13);
    char json[128];
    sim_reply_t *r;
    wagw_row_chat_t chat;
    wagw_row_message_t m;
    sim_log_t *mark;

    (void)state;
    r = sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "one"), 200);
    snprintf(json, sizeof(json), "{\"chatId\":\"49100\",\"messageIds\":[\"%s\"", r->message_id);
    r = sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "two"), 200);
    snprintf(json + strlen(json), sizeof(json) - strlen(json), ",\"%s\"]}", r->message_id);
    mark = sim_mark(p.w);
    r = sim_do(p.b, WAGW_CMD_SEEN, json, 200);
    assert_int_equal(cJSON_GetObjectItem(r->data, "marked")->valueint, 2);
    assert_true(
        sim_has(sim_sent(p.b, mark, "receipt", 0), "to", "9100@lid", "type", "read", "participant", NULL, NULL));
    assert_int_equal(wagw_node_find(sim_sent(p.b, mark, "receipt", 0), "list")->nchildren, 1);
    assert_true(sim_chat(p.b, SIM_A, &chat));
    assert_int_equal(chat.unread, 0);
    assert_string_equal(sim_str(sim_last_event(p.a, "message.ack")->data, "ackName"), "read");
    assert_true(sim_message(p.a, SIM_B, sim_str(sim_last_event(p.a, "message.ack")->data, "messageId"), "", &m));
    assert_int_equal(m.status, WAGW_MSG_READ);
    assert_int_equal(sim_events(p.a, "message.ack"), 4);

    /* available: the receipts are real ones now */
    sim_do(p.b, WAGW_CMD_PRESENCE, "{\"presence\":\"available\"}", 200);
    mark = sim_mark(p.w);
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "three"), 200);
    assert_true(sim_has(sim_sent(p.b, mark, "receipt", 0), "type", NULL, NULL));
    p.b->conf.mark_read = true;
    wagw_client_configure(p.b->c, &p.b->conf);
    mark = sim_mark(p.w);
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "four"), 200);
    assert_int_equal(sim_sent_count(p.b, mark, "receipt"), 2);

    /* typing ends by itself */
    mark = sim_mark(p.w);
    sim_do(p.a, WAGW_CMD_CHATSTATE, "{\"chatId\":\"49200\",\"state\":\"composing\",\"duration\":3000}", 200);
    assert_non_null(wagw_node_find(sim_sent(p.a, mark, "chatstate", 0), "composing"));
    assert_int_equal(sim_sent_count(p.a, mark, "chatstate"), 1);
    sim_advance(p.w, 3000);
    assert_non_null(wagw_node_find(sim_sent(p.a, mark, "chatstate", 1), "paused"));
    sim_do(p.a, WAGW_CMD_PRESENCE_SUBSCRIBE, "{\"chatId\":\"49200\"}", 200);
    assert_true(sim_has(sim_sent(p.a, mark, "presence", 0), "type", "subscribe", "to", "49200@s.whatsapp.net", NULL));
    r = sim_do(p.a, WAGW_CMD_PRESENCE, "{\"presence\":\"paused\",\"chatId\":\"49200\"}", 200);
    assert_string_equal(r->text, "Presence updated to paused"); /* made in the turn, read after its end */
    sim_do(p.a, WAGW_CMD_PRESENCE, "{\"presence\":\"composing\"}", 400);

    /* and is done first when it is simulated */
    mark = sim_mark(p.w);
    {
        uint64_t id =
            sim_command(p.a, WAGW_CMD_SEND, "{\"to\":\"49200\",\"message\":\"five\",\"simulateTyping\":2000}");

        sim_run(p.w);
        assert_null(sim_reply(p.a, id));
        assert_int_equal(sim_sent_count(p.a, mark, "chatstate"), 1);
        sim_advance(p.w, 1999);
        assert_null(sim_reply(p.a, id));
        sim_advance(p.w, 1);
        sim_expect(p.a, id, 200, "");
    }
    {
        wagw_arena_t a = {0};
        wagw_node_t *n =
            sim_node(&a, "presence", "from", "9200@lid", "type", "unavailable", "last", "1767225000", NULL);

        sim_push(p.a, n);
        n = sim_node(&a, "chatstate", "from", "9200:5@lid", NULL);
        sim_add(&a, n, "composing", "media", "audio", NULL);
        sim_push(p.a, n);
        sim_run(p.w);
        assert_int_equal(sim_events(p.a, "presence.update"), 2);
        assert_string_equal(sim_str(sim_event(p.a, "presence.update", 0)->data, "presence"), "unavailable");
        assert_string_equal(sim_str(sim_event(p.a, "presence.update", 0)->data, "jid"), SIM_B);
        assert_string_equal(sim_str(sim_event(p.a, "presence.update", 1)->data, "presence"), "recording");
        wagw_arena_free(&a);
    }
    two_end(&p);
}

/* ---- own devices --------------------------------------------------------------------------- */

static void own_devices(void **state)
{
    sim_two_t p = sim_two(14);
    sim_engine_t *c = sim_engine(p.w, "C");
    sim_reply_t *r;
    sim_event_t *ev;
    wagw_row_message_t m;
    wagw_row_chat_t chat;
    sim_log_t *mark;

    (void)state;
    sim_link(c, p.aa); /* a second companion of Ann */
    assert_int_equal(sim_device_of(c)->id, 6);
    r = sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "from a"), 200);
    ev = sim_last_event(c, "message.sent");
    assert_string_equal(sim_str(ev->data, "source"), "app");
    assert_string_equal(sim_str(ev->data, "body"), "from a");
    assert_string_equal(sim_str(ev->data, "chatId"), SIM_B);
    assert_true(sim_message(c, SIM_B, r->message_id, "", &m));
    assert_true(m.flags & WAGW_ROW_APP);
    assert_int_equal(m.status, WAGW_MSG_DELIVERED); /* Bea's phone says so to all of Ann's devices */
    sim_do(c, WAGW_CMD_SEND, TEXT("49200", "from c"), 200);
    assert_string_equal(sim_str(sim_last_event(p.a, "message.sent")->data, "body"), "from c");
    assert_int_equal(sim_events(p.b, "message.received"), 2);
    mark = sim_mark(p.w);
    sim_do(p.b, WAGW_CMD_SEND, TEXT("49100", "to both"), 200);
    assert_string_equal(body(p.a, 0), "to both");
    assert_string_equal(body(c, 0), "to both");

    /* read on one, read on the other */
    assert_true(sim_chat(p.a, SIM_B, &chat));
    assert_int_equal(chat.unread, 1);
    {
        char json[160];

        snprintf(json, sizeof(json), "{\"chatId\":\"49200\",\"messageId\":\"%s\"}",
                 sim_str(sim_last_event(c, "message.received")->data, "messageId"));
        sim_do(c, WAGW_CMD_SEEN, json, 200);
    }
    assert_true(sim_chat(p.a, SIM_B, &chat));
    assert_int_equal(chat.unread, 0);

    /* typed on the phone: a device-sent copy, receipt type sender */
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49100", "note to self"), 200);
    assert_int_equal(sim_events(c, "message.sent"), 3);
    mark = sim_mark(p.w);
    sim_peer_send(
        p.aa->phone, p.aa, "3A77",
        "{\"deviceSentMessage\":{\"destinationJid\":\"9200@lid\",\"message\":{\"conversation\":\"by hand\"}}}",
        "recipient", "9200@lid", "peer_recipient_pn", SIM_B, NULL);
    sim_run(p.w);
    assert_true(sim_has(sim_sent(p.a, mark, "receipt", 0), "id", "3A77", "to", "9100@lid", "recipient", "9200@lid",
                        "type", "sender", NULL));
    ev = sim_last_event(p.a, "message.sent");
    assert_string_equal(sim_str(ev->data, "body"), "by hand");
    assert_string_equal(sim_str(ev->data, "source"), "app");
    assert_string_equal(sim_str(ev->data, "chatId"), SIM_B);

    /* device lists without the phone; a device that goes away */
    p.aa->listed = false;
    sim_unlink(sim_device_of(c));
    {
        wagw_arena_t a = {0};
        wagw_node_t *n = sim_node(&a, "notification", "from", SIM_A, "type", "account_sync", "id", "n1", "t",
                                  "1767225600", NULL),
                    *d;

        d = sim_add(&a, n, "devices", "dhash", "2:wrong", NULL);
        sim_add(&a, d, "device", "jid", SIM_A, NULL);
        sim_add(&a, d, "device", "jid", "49100:5@s.whatsapp.net", "key-index", "2", NULL);
        mark = sim_mark(p.w);
        sim_queue(sim_device_of(p.a), n);
        sim_run(p.w);
        assert_true(sim_has(sim_sent(p.a, mark, "ack", 0), "class", "notification", "id", "n1", "to", SIM_A, "type",
                            "account_sync", NULL));
        wagw_arena_free(&a);
    }
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "alone"), 200);
    assert_int_equal(wagw_node_find(sim_sent(p.a, mark, "message", 0), "participants")->nchildren, 2);
    assert_int_equal(c->errors, 0);
    two_end(&p);
}

/* Key share and history of the phone arrive from the number, without a LID. */
static void phone_speaks(void **state)
{
    sim_two_t p = sim_two(15);
    sim_log_t *mark = sim_mark(p.w);

    (void)state;
    sim_peer_send(
        p.aa->phone, p.aa, "3A01",
        "{\"protocolMessage\":{\"type\":6,\"appStateSyncKeyShare\":{\"keys\":[{\"keyId\":{\"keyId\":\"AAAAAA==\"},"
        "\"keyData\":{\"keyData\":\"AAAA\",\"timestamp\":\"1767225600\"}}]}}}",
        "pn", "", "category", "peer", NULL);
    sim_run(p.w);
    assert_true(sim_has(sim_sent(p.a, mark, "receipt", 0), "id", "3A01", "to", SIM_A, "type", "peer_msg", NULL));
    assert_true(has_record(p.a, WAGW_REC_APP_KEY, "00000000"));
    assert_true(has_record(p.a, WAGW_REC_SESSION, "9100_1.0"));
    mark = sim_mark(p.w);
    sim_peer_send(p.aa->phone, p.aa, "3A02",
                  "{\"protocolMessage\":{\"type\":5,\"historySyncNotification\":{\"syncType\":0,\"chunkOrder\":1}}}",
                  "pn", "", "category", "peer", NULL);
    sim_run(p.w);
    assert_true(sim_has(sim_sent(p.a, mark, "receipt", 0), "type", "peer_msg", NULL));
    assert_true(sim_has(sim_sent(p.a, mark, "receipt", 1), "type", "hist_sync", "to", SIM_A, NULL));
    /* mappings that the phone knows */
    sim_peer_send(p.aa->phone, p.aa, "3A03",
                  "{\"protocolMessage\":{\"type\":22,\"lidMigrationMappingSyncMessage\":{\"encodedMappingPayload\":"
                  "\"CggIwP0CELDnBQ==\"}}}",
                  "pn", "", "category", "peer", NULL);
    sim_run(p.w);
    assert_int_equal(sim_queued(sim_device_of(p.a)), 0);
    two_end(&p);
}

/* ---- backlog ------------------------------------------------------------------------------------ */

static void backlog(void **state)
{
    sim_two_t p = sim_two(16);
    wagw_row_chat_t chat;

    (void)state;
    wagw_client_stop(p.b->c, false, p.w->now);
    sim_run(p.w);
    sim_expect_status(p.b, WAGW_STATUS_DISCONNECTED);
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "one"), 200);
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "two"), 200);
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "three"), 200);
    assert_int_equal(sim_queued(sim_device_of(p.b)), 3);
    p.w->orders.preview = p.w->orders.dirty = true;
    p.w->orders.routing = "\x08\x0c\x08\x05";
    sim_start(p.b, false);
    sim_advance(p.w, 5);
    assert_int_equal(sim_events(p.b, "message.received"), 3);
    assert_string_equal(body(p.b, 0), "one");
    assert_string_equal(body(p.b, 2), "three");
    assert_int_equal(sim_queued(sim_device_of(p.b)), 0);
    assert_true(sim_chat(p.b, SIM_A, &chat));
    assert_int_equal(chat.unread, 3);

    /* the routing info opens the next stream */
    sim_cut(p.b, 0);
    sim_advance(p.w, 3000);
    sim_expect_status(p.b, WAGW_STATUS_CONNECTED);
    assert_true(wagw_str_eq(sim_conn(p.w, p.b->conn)->routing, wagw_cstr("\x08\x0c\x08\x05")));
    two_end(&p);
}

/* The receipt was lost: everything comes again after the reconnect. */
static void redelivered(void **state)
{
    sim_two_t p = sim_two(17);
    char json[160];
    sim_reply_t *r;
    sim_log_t *mark;
    wagw_row_chat_t chat;

    (void)state;
    p.w->orders.eat_receipts = true;
    r = sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "once"), 200);
    snprintf(json, sizeof(json), "{\"chatId\":\"49200\",\"messageId\":\"%s\",\"emoji\":\"x\"}", r->message_id);
    sim_do(p.a, WAGW_CMD_REACTION, json, 200);
    assert_int_equal(sim_queued(sim_device_of(p.b)), 2);
    assert_int_equal(sim_events(p.b, "message.received"), 1);
    p.w->orders.eat_receipts = false;
    mark = sim_mark(p.w);
    sim_cut(p.b, 0);
    sim_advance(p.w, 3000);
    sim_expect_status(p.b, WAGW_STATUS_CONNECTED);
    assert_int_equal(sim_queued(sim_device_of(p.b)), 0);
    assert_int_equal(sim_sent_count(p.b, mark, "receipt"), 2);
    assert_true(sim_has(sim_sent(p.b, mark, "receipt", 0), "type", "inactive", NULL));
    assert_true(sim_has(sim_sent(p.b, mark, "receipt", 1), "type", "inactive", NULL));
    assert_int_equal(sim_events(p.b, "message.received"), 1);
    assert_int_equal(sim_events(p.b, "message.reaction"), 1);
    assert_int_equal(sim_events(p.b, "message.undecryptable"), 0);
    assert_true(sim_chat(p.b, SIM_A, &chat));
    assert_int_equal(chat.unread, 1);
    two_end(&p);
}

/* What a burst has to look up is loaded at once, and what need not be looked
 * up is not: an id just drawn, the receipts of a message just made. */
static void burst_loads(void **state)
{
    sim_two_t p = sim_two(31);
    unsigned before, sender;
    char want[8];

    (void)state;
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "hello"), 200);
    sim_do(p.b, WAGW_CMD_SEND, TEXT("49100", "hello"), 200);
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "once more"), 200);

    sender = p.a->loads;
    p.b->hold_loads = true;
    for (unsigned i = 0; i < 8; i++) {
        char json[64];

        snprintf(json, sizeof(json), "{\"to\":\"49200\",\"message\":\"%u\"}", i);
        sim_command(p.a, WAGW_CMD_SEND, json);
    }
    sim_run(p.w);

    /* the first one's own load, then one for the seven behind it */
    before = p.b->loads;
    sim_release(p.b);
    sim_run(p.w);
    assert_int_equal(p.b->loads, before + 1);
    for (unsigned i = 0; i < 8; i++) {
        snprintf(want, sizeof(want), "%u", i);
        assert_string_equal(body(p.b, 2 + i), want);
    }
    assert_int_equal(p.a->loads, sender); /* sent, acknowledged, delivered */
    two_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_contact),    cmocka_unit_test(two_at_once),
        cmocka_unit_test(to_nobody),        cmocka_unit_test(to_myself),
        cmocka_unit_test(lid_learnt_later), cmocka_unit_test(pn_learnt_later),
        cmocka_unit_test(names_by_command), cmocka_unit_test(about_messages),
        cmocka_unit_test(forged),           cmocka_unit_test(receipts_and_typing),
        cmocka_unit_test(own_devices),      cmocka_unit_test(phone_speaks),
        cmocka_unit_test(backlog),          cmocka_unit_test(redelivered),
        cmocka_unit_test(burst_loads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
