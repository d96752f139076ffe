/*
 * Status posts (04 section 10, 11 sections 6 and 12): who gets them, what the
 * stanza is, deletion, views, resends, crashes; posts of others; broadcast lists.
 */

#include "client_sim.h"

#define STATUS "status@broadcast"
#define C_PN "49300@s.whatsapp.net"
#define POST(more) "{\"to\":\"" STATUS "\",\"message\":\"hello\"" more "}"
#define TO_B ",\"audience\":[\"" SIM_B "\"]"

typedef struct {
    sim_two_t p;
    sim_account_t *ca;
    sim_engine_t *c;
    wagw_arena_t arena;
} three_t;

static three_t three(uint64_t seed)
{
    three_t t;

    memset(&t, 0, sizeof(t));
    t.p = sim_two(seed);
    t.ca = sim_account(t.p.w, "49300", "9300");
    t.ca->name = "Cid";
    t.c = sim_engine(t.p.w, "C");
    sim_link(t.c, t.ca);
    return t;
}

static void three_end(three_t *t)
{
    assert_int_equal(t->p.a->errors + t->p.b->errors + t->c->errors, 0);
    wagw_arena_free(&t->arena);
    sim_free(t->p.w);
}

/* Somebody in the address book of Ann, or (name NULL) somebody who only wrote. */
static void contact(three_t *t, const char *jid, const char *name)
{
    wagw_buf_t b = {0};
    wagw_row_contact_t c = {0};

    c.jid = c.pn = wagw_cstr(jid);
    c.name = wagw_cstr(name);
    c.push_name = WAGW_STR("pushed");
    assert_int_equal(wagw_row_contact_encode(&b, &c), WAGW_OK);
    sim_mem_put(&t->p.a->mem, WAGW_REC_CONTACT, c.jid, wagw_buf_view(&b));
    wagw_buf_free(&b);
}

static void privacy(three_t *t, const char *type, const char *who)
{
    wagw_node_t *n = sim_node(&t->arena, "privacy", NULL), *l;

    sim_add(&t->arena, sim_add(&t->arena, n, "list", "type", "whitelist", NULL), "user", "jid", "1@lid", NULL);
    l = sim_add(&t->arena, n, "list", "type", type, "default", "true", NULL);
    if (who) {
        sim_add(&t->arena, l, "user", "jid", who, NULL);
    }
    t->p.w->orders.story = n;
}

/* The users that a stanza names, as one text in its order. */
static const char *receivers(const wagw_node_t *n)
{
    static char out[512];
    size_t len = 0;
    const wagw_node_t *to = wagw_node_find(wagw_node_find(n, "participants"), "to");

    out[0] = '\0';
    for (; to; to = wagw_node_find_next(to, "to")) {
        len += (size_t)snprintf(out + len, sizeof(out) - len, "%s ", sim_attr(to, "jid"));
    }
    return out;
}

#define B_DEVICES "9200@lid 9200:5@lid "
#define C_DEVICES "9300@lid 9300:5@lid "
#define OWN "9100@lid "

static unsigned posts(sim_engine_t *e)
{
    return sim_events(e, "status.received");
}

static void first_and_next(void **state)
{
    three_t t = three(700);
    sim_log_t *mark = sim_mark(t.p.w);
    const wagw_node_t *n, *enc;
    const cJSON *d, *x;
    sim_reply_t *r;
    sim_got_t *g;
    wagw_row_chat_t chat;
    wagw_row_message_t row;

    (void)state;
    r = sim_do(t.p.a, WAGW_CMD_SEND, POST(TO_B ",\"backgroundColor\":\"#1e90ff80\",\"font\":2,\"ref\":\"r\""), 200);
    assert_string_equal(sim_str(r->data, "chatId"), STATUS);
    assert_string_equal(sim_str(r->data, "status"), "sent");
    assert_string_equal(sim_str(cJSON_GetObjectItem(r->data, "key"), "remoteJid"), STATUS);
    n = sim_sent(t.p.a, mark, "message", 0);
    assert_true(sim_has(n, "to", STATUS, "type", "text", "addressing_mode", NULL, NULL));
    assert_string_equal(receivers(n), B_DEVICES OWN);
    for (enc = wagw_node_find(n, "enc"); enc && !wagw_node_attr_is(enc, "type", "skmsg");) {
        enc = wagw_node_find_next(enc, "enc");
    }
    assert_non_null(enc);
    assert_null(sim_sent_iq(t.p.a, mark, "status", "privacy")); /* the caller said who */

    assert_int_equal(posts(t.p.b), 1);
    assert_int_equal(posts(t.c), 0);
    d = sim_last_event(t.p.b, "status.received")->data;
    assert_string_equal(sim_str(d, "body"), "hello");
    assert_string_equal(sim_str(d, "chatId"), STATUS);
    assert_string_equal(sim_str(d, "participant"), SIM_A);
    g = sim_peer_got(t.p.ba->phone, r->message_id);
    assert_true(g && g->group && g->rc == WAGW_OK);
    x = cJSON_GetObjectItem(g->message, "extendedTextMessage");
    assert_true(cJSON_GetNumberValue(cJSON_GetObjectItem(x, "backgroundArgb")) == 0x801e90ff);
    g = sim_peer_got(t.p.aa->phone, r->message_id); /* our own phone shows it too */
    assert_true(g && g->rc == WAGW_OK);

    /* kept on both sides, and no chat is made of it */
    assert_true(sim_message(t.p.a, STATUS, r->message_id, "", &row));
    assert_int_equal(row.status, WAGW_MSG_DELIVERED);
    assert_false(sim_chat(t.p.a, STATUS, &chat));
    assert_true(sim_message(t.p.b, STATUS, r->message_id, SIM_A, &row));
    assert_false(sim_chat(t.p.b, STATUS, &chat));

    /* the key goes along every time */
    mark = sim_mark(t.p.w);
    sim_do(t.p.a, WAGW_CMD_SEND, POST(TO_B), 200);
    n = sim_sent(t.p.a, mark, "message", 0);
    assert_string_equal(receivers(n), B_DEVICES OWN);
    assert_int_equal(sim_sent_count(t.p.a, mark, "iq"), 0);
    assert_int_equal(posts(t.p.b), 2);
    three_end(&t);
}

/* In steps, since connected engines want many ticks in a day. */
static void pass(three_t *t, int64_t ms)
{
    for (; ms > 0; ms -= 3600000) {
        sim_advance(t->p.w, ms < 3600000 ? ms : 3600000);
    }
}

static uint32_t key_id(const wagw_node_t *message)
{
    wagw_str_t v = wagw_node_data(wagw_node_find(message, "enc"));
    uint32_t id = 0;

    for (unsigned i = 0; i < 5; i++) {
        id |= (uint32_t)(v.p[2 + i] & 127) << (7 * i);
        if (v.p[2 + i] < 128) {
            break;
        }
    }
    return id;
}

/* Who saw the post before has no key for the next one that is not for him. */
static void another_key(void **state)
{
    three_t t = three(701);
    sim_log_t *mark = sim_mark(t.p.w);
    uint32_t id;

    (void)state;
    sim_do(t.p.a, WAGW_CMD_SEND, POST(",\"audience\":[\"" SIM_B "\",\"" C_PN "\"]"), 200);
    assert_int_equal(posts(t.p.b) + posts(t.c), 2);
    id = key_id(sim_sent(t.p.a, mark, "message", 0));
    mark = sim_mark(t.p.w);
    sim_do(t.p.a, WAGW_CMD_SEND, POST(",\"audience\":[\"" C_PN "\",\"" SIM_B "\",\"" C_PN "\"]"), 200);
    assert_int_equal(key_id(sim_sent(t.p.a, mark, "message", 0)), id);
    mark = sim_mark(t.p.w);
    sim_do(t.p.a, WAGW_CMD_SEND, POST(TO_B), 200);
    assert_int_not_equal(key_id(sim_sent(t.p.a, mark, "message", 0)), id);
    assert_int_equal(posts(t.p.b), 3);
    assert_int_equal(posts(t.c), 2);
    three_end(&t);
}

static void by_privacy(void **state)
{
    three_t t = three(702);
    sim_log_t *mark = sim_mark(t.p.w);
    sim_reply_t *r;

    (void)state;
    /* nobody in the address book */
    r = sim_do(t.p.a, WAGW_CMD_SEND, POST(""), 422);
    assert_string_equal(r->code, "RECIPIENT_NO_DEVICES");
    sim_do(t.p.a, WAGW_CMD_SEND, POST(",\"audience\":[]"), 422);
    assert_int_equal(sim_sent_count(t.p.a, mark, "message"), 0);

    contact(&t, SIM_B, "Bea");
    contact(&t, C_PN, NULL);
    mark = sim_mark(t.p.w);
    sim_do(t.p.a, WAGW_CMD_SEND, POST(""), 200);
    assert_null(sim_sent_iq(t.p.a, mark, "status", "privacy")); /* asked once on this connection */
    assert_string_equal(receivers(sim_sent(t.p.a, mark, "message", 0)), B_DEVICES OWN);

    /* what was answered 404 was "contacts"; another connection asks again */
    privacy(&t, "whitelist", "9300@lid");
    sim_cut(t.p.a, 0);
    sim_advance(t.p.w, 3000);
    mark = sim_mark(t.p.w);
    sim_do(t.p.a, WAGW_CMD_SEND, POST(""), 200);
    assert_non_null(sim_sent_iq(t.p.a, mark, "status", "privacy"));
    assert_string_equal(receivers(sim_sent(t.p.a, mark, "message", 0)), C_DEVICES OWN);
    assert_int_equal(posts(t.c), 1);

    privacy(&t, "blacklist", "9200@lid");
    sim_cut(t.p.a, 0);
    sim_advance(t.p.w, 3000);
    contact(&t, C_PN, "Cid");
    mark = sim_mark(t.p.w);
    sim_do(t.p.a, WAGW_CMD_SEND, POST(""), 200);
    assert_string_equal(receivers(sim_sent(t.p.a, mark, "message", 0)), C_DEVICES OWN);
    r = sim_do(t.p.a, WAGW_CMD_STORY_GET, "{}", 200);
    assert_string_equal(sim_str(r->data, "mode"), "deny");
    assert_string_equal(cJSON_GetArrayItem(cJSON_GetObjectItem(r->data, "jids"), 0)->valuestring, SIM_B);

    /* the server fails: nothing is sent to somebody wrong */
    sim_cut(t.p.a, 0);
    sim_advance(t.p.w, 3000);
    t.p.w->orders.iq_error = 500;
    t.p.w->orders.iq_error_ns = "status";
    mark = sim_mark(t.p.w);
    sim_do(t.p.a, WAGW_CMD_SEND, POST(""), 502);
    assert_int_equal(sim_sent_count(t.p.a, mark, "message"), 0);
    three_end(&t);
}

static void refused(void **state)
{
    three_t t = three(703);
    sim_log_t *mark = sim_mark(t.p.w);
    sim_reply_t *r;

    (void)state;
    r = sim_do(t.p.a, WAGW_CMD_SEND, POST(",\"audience\":[\"120363000000000001@g.us\"]"), 400);
    assert_string_equal(r->code, "INVALID_JID");
    sim_do(t.p.a, WAGW_CMD_SEND, POST(TO_B ",\"backgroundColor\":\"#12345\""), 400);
    /* nobody on WhatsApp */
    sim_do(t.p.a, WAGW_CMD_SEND, POST(",\"audience\":[\"4955555@s.whatsapp.net\"]"), 422);
    r = sim_do(t.p.a, WAGW_CMD_REVOKE, "{\"to\":\"" STATUS "\",\"messageId\":\"NONE\"}", 404);
    assert_string_equal(r->code, "MESSAGE_NOT_FOUND");
    sim_do(t.p.a, WAGW_CMD_SEND, "{\"to\":\"" STATUS "\",\"_kind\":7,\"latitude\":1,\"longitude\":2}", 501);
    assert_int_equal(sim_sent_count(t.p.a, mark, "message"), 0);

    /* somebody else's */
    r = sim_do(t.p.b, WAGW_CMD_SEND, POST(",\"audience\":[\"" SIM_A "\"]"), 200);
    r = sim_do(
        t.p.a, WAGW_CMD_REVOKE,
        (const char *)wagw_arena_printf(&t.arena, "{\"to\":\"" STATUS "\",\"messageId\":\"%s\"}", r->message_id).p,
        403);
    assert_string_equal(r->code, "WA_FORBIDDEN");
    three_end(&t);
}

static void deletion(void **state)
{
    three_t t = three(704);
    sim_log_t *mark;
    sim_reply_t *r;
    char id[80];
    const wagw_node_t *n;
    wagw_row_message_t row;

    (void)state;
    contact(&t, C_PN, "Cid");
    r = sim_do(t.p.a, WAGW_CMD_SEND, POST(TO_B), 200);
    snprintf(id, sizeof(id), "%s", r->message_id);
    mark = sim_mark(t.p.w);
    sim_do(t.p.a, WAGW_CMD_REVOKE,
           (const char *)wagw_arena_printf(&t.arena, "{\"to\":\"" STATUS "\",\"messageId\":\"%s\"}", id).p, 200);
    n = sim_sent(t.p.a, mark, "message", 0);
    assert_true(sim_has(n, "to", STATUS, "edit", "7", NULL));
    assert_true(wagw_node_attr_is(wagw_node_find(n, "enc"), "decrypt-fail", "hide"));
    /* to those who got it, not to the contacts */
    assert_string_equal(receivers(n), B_DEVICES OWN);
    assert_int_equal(sim_events(t.p.a, "message.revoked"), 1);
    assert_string_equal(sim_str(sim_last_event(t.p.b, "message.revoked")->data, "messageId"), id);
    assert_true(sim_message(t.p.b, STATUS, id, SIM_A, &row));
    assert_true(row.flags & WAGW_ROW_REVOKED);
    assert_true(sim_message(t.p.a, STATUS, id, "", &row));
    assert_true(row.flags & WAGW_ROW_REVOKED);
    three_end(&t);
}

static void views(void **state)
{
    three_t t = three(705);
    sim_log_t *mark;
    sim_reply_t *r;
    char id[80];
    const wagw_node_t *n;
    wagw_row_message_t row;

    (void)state;
    r = sim_do(t.p.a, WAGW_CMD_SEND, POST(TO_B), 200);
    snprintf(id, sizeof(id), "%s", r->message_id);
    mark = sim_mark(t.p.w);
    sim_do(t.p.b, WAGW_CMD_STORY_SEEN, (const char *)wagw_arena_printf(&t.arena, "{\"messageId\":\"%s\"}", id).p, 200);
    n = sim_sent(t.p.b, mark, "receipt", 0);
    assert_true(sim_has(n, "to", STATUS, "participant", "9100@lid", "type", "read", "id", id, NULL));
    assert_true(sim_message(t.p.a, STATUS, id, "", &row));
    assert_int_equal(row.status, WAGW_MSG_READ);
    assert_string_equal(sim_str(sim_last_event(t.p.a, "message.ack")->data, "participant"), SIM_B);
    assert_string_equal(sim_str(sim_last_event(t.p.a, "message.ack")->data, "ackName"), "read");
    assert_int_equal(sim_mem_count(&t.p.a->mem, WAGW_REC_RECEIPT, STATUS), 1);

    /* an own one, an unknown one */
    sim_do(t.p.a, WAGW_CMD_STORY_SEEN, (const char *)wagw_arena_printf(&t.arena, "{\"messageId\":\"%s\"}", id).p, 404);
    sim_do(t.p.b, WAGW_CMD_STORY_SEEN, "{\"messageId\":\"NONE\"}", 404);
    three_end(&t);
}

/* A like goes to the author alone. */
static void like(void **state)
{
    three_t t = three(706);
    sim_log_t *mark;
    sim_reply_t *r;

    (void)state;
    contact(&t, C_PN, "Cid");
    r = sim_do(t.p.b, WAGW_CMD_SEND, POST(",\"audience\":[\"" SIM_A "\",\"" C_PN "\"]"), 200);
    mark = sim_mark(t.p.w);
    sim_do(t.p.a, WAGW_CMD_REACTION,
           (const char *)wagw_arena_printf(
               &t.arena, "{\"chatId\":\"" STATUS "\",\"messageId\":\"%s\",\"emoji\":\"\xe2\x9d\xa4\"}", r->message_id)
               .p,
           200);
    assert_string_equal(receivers(sim_sent(t.p.a, mark, "message", 0)), B_DEVICES OWN);
    assert_int_equal(sim_events(t.p.b, "message.reaction"), 1);
    assert_int_equal(sim_events(t.c, "message.reaction"), 0);
    three_end(&t);
}

static void resends(void **state)
{
    three_t t = three(707);
    sim_log_t *mark = sim_mark(t.p.w);
    sim_reply_t *r;
    const wagw_node_t *n;
    wagw_arena_t a = {0};
    wagw_node_t *q;

    (void)state;
    t.p.w->orders.damage = 1;
    t.p.w->orders.damage_to = "9200:5@lid";
    r = sim_do(t.p.a, WAGW_CMD_SEND, POST(TO_B), 200);
    sim_run(t.p.w);
    n = sim_sent(t.p.a, mark, "message", 1);
    assert_true(sim_has(n, "to", STATUS, "participant", "9200:5@lid", "id", r->message_id, NULL));
    assert_int_equal(posts(t.p.b), 1);
    assert_string_equal(sim_str(sim_last_event(t.p.b, "status.received")->data, "body"), "hello");

    /* somebody it was not for asks, and later somebody it was for */
    q = sim_node(&a, "receipt", "from", STATUS, "participant", "9300:5@lid", "id", r->message_id, "type", "retry",
                 NULL);
    sim_add(&a, q, "retry", "count", "1", "id", r->message_id, "t", "1767225600", "v", "1", NULL);
    mark = sim_mark(t.p.w);
    sim_queue(sim_device_of(t.p.a), q);
    sim_run(t.p.w);
    assert_int_equal(sim_sent_count(t.p.a, mark, "message"), 0);
    assert_int_equal(sim_queued(sim_device_of(t.p.a)), 0);
    pass(&t, WAGW_STORY_LIFE_MS + 1000);
    q = sim_node(&a, "receipt", "from", STATUS, "participant", "9200:5@lid", "id", r->message_id, "type", "retry",
                 NULL);
    sim_add(&a, q, "retry", "count", "1", "id", r->message_id, "t", "1767225600", "v", "1", NULL);
    mark = sim_mark(t.p.w);
    sim_queue(sim_device_of(t.p.a), q);
    sim_run(t.p.w);
    assert_int_equal(sim_sent_count(t.p.a, mark, "message"), 0);
    wagw_arena_free(&a);
    three_end(&t);
}

static void refused_by_the_server(void **state)
{
    three_t t = three(708);
    sim_log_t *mark = sim_mark(t.p.w);
    sim_reply_t *r;

    (void)state;
    /* once more, to the same people, with device lists read anew */
    t.p.w->orders.ack_error = 479;
    t.p.w->orders.ack_errors = 1;
    r = sim_do(t.p.a, WAGW_CMD_SEND, POST(TO_B), 200);
    assert_int_equal(sim_sent_count(t.p.a, mark, "message"), 2);
    assert_string_equal(sim_attr(sim_sent(t.p.a, mark, "message", 1), "id"), r->message_id);
    assert_string_equal(receivers(sim_sent(t.p.a, mark, "message", 1)), B_DEVICES OWN);
    assert_int_equal(posts(t.p.b), 1);
    t.p.w->orders.ack_errors = 2;
    sim_do(t.p.a, WAGW_CMD_SEND, POST(TO_B), 502);
    assert_int_equal(sim_events(t.p.a, "message.failed"), 1);
    three_end(&t);
}

static void after_a_crash(void **state)
{
    three_t t = three(709);
    sim_log_t *mark = sim_mark(t.p.w);
    wagw_row_message_t row;
    const wagw_node_t *n;
    char id[80];

    (void)state;
    t.p.w->orders.lose_messages = 1;
    (void)sim_command(t.p.a, WAGW_CMD_SEND, POST(TO_B));
    sim_run(t.p.w);
    n = sim_sent(t.p.a, mark, "message", 0);
    snprintf(id, sizeof(id), "%s", sim_attr(n, "id"));
    assert_int_equal(posts(t.p.b), 0);
    sim_crash(t.p.a, true);
    sim_run(t.p.w);
    contact(&t, C_PN, "Cid"); /* whom it was not for */
    mark = sim_mark(t.p.w);
    sim_revive(t.p.a);
    sim_advance(t.p.w, 10);
    n = sim_sent(t.p.a, mark, "message", 0);
    assert_string_equal(sim_attr(n, "id"), id);
    assert_string_equal(receivers(n), B_DEVICES OWN);
    assert_int_equal(posts(t.p.b), 1);
    assert_int_equal(posts(t.c), 0);
    assert_true(sim_message(t.p.a, STATUS, id, "", &row));
    assert_int_equal(row.status, WAGW_MSG_DELIVERED);
    /* and its deletion knows whom it was for */
    mark = sim_mark(t.p.w);
    sim_do(t.p.a, WAGW_CMD_REVOKE,
           (const char *)wagw_arena_printf(&t.arena, "{\"to\":\"" STATUS "\",\"messageId\":\"%s\"}", id).p, 200);
    assert_string_equal(receivers(sim_sent(t.p.a, mark, "message", 0)), B_DEVICES OWN);
    three_end(&t);
}

/* Audiences of posts that nobody sees any more go with the posts that follow. */
static void tidied(void **state)
{
    three_t t = three(710);

    (void)state;
    sim_do(t.p.a, WAGW_CMD_SEND, POST(TO_B), 200);
    assert_int_equal(sim_mem_count(&t.p.a->mem, WAGW_REC_META, "story|"), 1);
    for (int day = 0; day < 6; day++) {
        pass(&t, 86400000);
        sim_do(t.p.a, WAGW_CMD_SEND, POST(TO_B), 200);
    }
    assert_int_equal(sim_mem_count(&t.p.a->mem, WAGW_REC_META, "story|"), 3);
    three_end(&t);
}

static void ignored(void **state)
{
    three_t t = three(711);
    sim_log_t *mark;
    sim_reply_t *r;
    wagw_row_message_t row;
    wagw_client_conf_t conf = t.p.b->conf;

    (void)state;
    conf.ignore_status = true;
    wagw_client_configure(t.p.b->c, &conf);
    r = sim_do(t.p.a, WAGW_CMD_SEND, POST(TO_B), 200);
    assert_int_equal(posts(t.p.b), 0);
    assert_false(sim_message(t.p.b, STATUS, r->message_id, SIM_A, &row));
    assert_int_equal(sim_queued(sim_device_of(t.p.b)), 0);

    /* what cannot be read is not asked for, and nobody is told */
    t.p.w->orders.damage = 1;
    t.p.w->orders.damage_to = "9200:5@lid";
    mark = sim_mark(t.p.w);
    sim_do(t.p.a, WAGW_CMD_SEND, POST(TO_B), 200);
    assert_int_equal(sim_sent_count(t.p.b, mark, "receipt"), 0);
    assert_int_equal(sim_events(t.p.b, "message.undecryptable"), 0);
    assert_int_equal(sim_queued(sim_device_of(t.p.b)), 0);
    /* own posts are still there */
    r = sim_do(t.p.b, WAGW_CMD_SEND, POST(",\"audience\":[\"" SIM_A "\"]"), 200);
    assert_true(sim_message(t.p.b, STATUS, r->message_id, "", &row));
    three_end(&t);
}

/* Posts that waited for more than a day. */
static void expired(void **state)
{
    three_t t = three(712);
    sim_log_t *mark;
    wagw_row_message_t row;
    sim_reply_t *good;
    char id[80];

    (void)state;
    sim_crash(t.p.b, false);
    sim_run(t.p.w);
    good = sim_do(t.p.a, WAGW_CMD_SEND, POST(TO_B), 200);
    snprintf(id, sizeof(id), "%s", good->message_id);
    t.p.w->orders.damage = 1;
    t.p.w->orders.damage_to = "9200:5@lid";
    sim_do(t.p.a, WAGW_CMD_SEND, POST(TO_B), 200);
    pass(&t, WAGW_STORY_LIFE_MS + 1000);
    mark = sim_mark(t.p.w);
    sim_revive(t.p.b);
    sim_advance(t.p.w, 10);
    assert_int_equal(sim_queued(sim_device_of(t.p.b)), 0);
    assert_int_equal(posts(t.p.b), 0);
    assert_false(sim_message(t.p.b, STATUS, id, SIM_A, &row));
    assert_int_equal(sim_events(t.p.b, "message.undecryptable"), 0);
    for (unsigned i = 0; i < sim_sent_count(t.p.b, mark, "receipt"); i++) {
        assert_string_not_equal(sim_attr(sim_sent(t.p.b, mark, "receipt", i), "type"), "retry");
    }
    /* the next one is read with the key of the old ones */
    sim_do(t.p.a, WAGW_CMD_SEND, POST(TO_B), 200);
    assert_int_equal(posts(t.p.b), 1);
    three_end(&t);
}

/* An account that is not on LIDs yet names everybody by number. */
static void by_number(void **state)
{
    three_t t = three(713);
    sim_log_t *mark;
    wagw_creds_t creds;
    wagw_buf_t v = {0};

    (void)state;
    sim_creds(t.p.a, &creds);
    creds.lid_migrated = 2;
    assert_int_equal(wagw_creds_encode(&v, &creds), WAGW_OK);
    sim_crash(t.p.a, false);
    sim_run(t.p.w);
    sim_mem_put(&t.p.a->mem, WAGW_REC_CREDS, WAGW_STR(""), wagw_buf_view(&v));
    wagw_buf_wipe(&v);
    wagw_wipe(&creds, sizeof(creds));
    sim_revive(t.p.a);
    sim_advance(t.p.w, 10);
    mark = sim_mark(t.p.w);
    sim_do(t.p.a, WAGW_CMD_SEND, POST(",\"audience\":[\"9300@lid\",\"" SIM_B "\"]"), 200);
    /* nobody knows Cid's number: he is left out rather than named by his LID */
    assert_string_equal(receivers(sim_sent(t.p.a, mark, "message", 0)),
                        "49200@s.whatsapp.net 49200:5@s.whatsapp.net 49100@s.whatsapp.net ");
    assert_int_equal(posts(t.p.b), 1);
    three_end(&t);
}

/* A list that we are on is the author's own chat; receipts name the list. */
static void broadcast_list(void **state)
{
    three_t t = three(714);
    sim_log_t *mark = sim_mark(t.p.w);
    wagw_row_chat_t chat;
    wagw_row_message_t row;
    const cJSON *d;

    (void)state;
    sim_peer_send(t.p.ba->phone, t.p.aa, "LIST1", "{\"conversation\":\"to many\"}", "from", "1612345678@broadcast",
                  "participant", "9200@lid", "participant_pn", SIM_B, NULL);
    sim_run(t.p.w);
    assert_int_equal(sim_events(t.p.a, "message.received"), 1);
    d = sim_last_event(t.p.a, "message.received")->data;
    assert_string_equal(sim_str(d, "body"), "to many");
    assert_string_equal(sim_str(d, "chatId"), SIM_B);
    assert_string_equal(sim_str(d, "from"), SIM_B);
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(d, "isGroup")));
    assert_true(sim_message(t.p.a, SIM_B, "LIST1", SIM_B, &row));
    assert_true(sim_chat(t.p.a, SIM_B, &chat));
    assert_int_equal(chat.unread, 1);
    assert_false(sim_chat(t.p.a, "1612345678@broadcast", &chat));
    assert_true(sim_has(sim_sent(t.p.a, mark, "receipt", 0), "to", "1612345678@broadcast", "participant", "9200@lid",
                        "id", "LIST1", NULL));
    three_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_and_next), cmocka_unit_test(another_key), cmocka_unit_test(by_privacy),
        cmocka_unit_test(refused),        cmocka_unit_test(deletion),    cmocka_unit_test(views),
        cmocka_unit_test(like),           cmocka_unit_test(resends),     cmocka_unit_test(refused_by_the_server),
        cmocka_unit_test(after_a_crash),  cmocka_unit_test(tidied),      cmocka_unit_test(ignored),
        cmocka_unit_test(expired),        cmocka_unit_test(by_number),   cmocka_unit_test(broadcast_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
