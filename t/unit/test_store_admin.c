/*
 * What the owner itself keeps: instances, API keys, webhooks with their
 * outbox, idempotency.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "store_util.h"

/* One row of a listing, its texts joined by '|'. */
static char seen[2048];

static void see(const char *fmt, ...)
{
    size_t n = strlen(seen);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(seen + n, sizeof(seen) - n, fmt, ap);
    va_end(ap);
}

#define V(s) (int)(s).n, (const char *)(s).p

static int see_instance(void *data, const wagw_instance_t *i)
{
    see("%.*s|%.*s|%.*s|%.*s|%.*s|%d%d|%.*s|%.*s|%lld|%llu;", V(i->id), V(i->name), V(i->phone), V(i->settings),
        V(i->metadata), i->active, i->auto_connect, V(i->engine.jid), V(i->engine.status),
        (long long)i->engine.disconnect_code, (unsigned long long)i->event_seq);
    return data != NULL ? *(int *)data : WAGW_OK;
}

static void instances(void **state)
{
    wagw_instance_t one = {.id = WAGW_STR("one"), .name = WAGW_STR("dup")}, i, j;
    wagw_row_instance_t engine = {
        .jid = WAGW_STR("1:2@s.whatsapp.net"), .status = WAGW_STR("connected"), .disconnect_code = -3};
    wagw_event_t ev = {.seq = 41, .name = "session.status", .data = WAGW_STR("{}")};
    uint64_t messages, chats;
    wagw_buf_t v = {0};
    wagw_batch_t *b;
    int stop = WAGW_LIMIT;
    uint32_t num;
    stu_t t;

    (void)state;
    stu_begin(&t, NULL);

    assert_int_equal(wagw_store_instance_create(t.s, &one), WAGW_DUPLICATE);
    assert_int_equal(one.num, 0);

    i = (wagw_instance_t){.id = WAGW_STR("two"),
                          .name = WAGW_STR("Two"),
                          .phone = WAGW_STR("15550002"),
                          .settings = WAGW_STR("{\"a\":1}"),
                          .metadata = WAGW_STR("{\"b\":2}"),
                          .active = true,
                          .auto_connect = true,
                          .created_ms = 5,
                          .updated_ms = 5};
    assert_int_equal(wagw_store_instance_create(t.s, &i), WAGW_OK);
    num = i.num;

    /* phone numbers are one instance's; having none is nobody's */
    j = i;
    j.id = WAGW_STR("three");
    assert_int_equal(wagw_store_instance_create(t.s, &j), WAGW_DUPLICATE);
    j.phone = WAGW_STR_NULL;
    assert_int_equal(wagw_store_instance_create(t.s, &j), WAGW_OK);
    j.phone = WAGW_STR("15550002");
    assert_int_equal(wagw_store_instance_update(t.s, &j), WAGW_DUPLICATE);

    i.name = WAGW_STR("Renamed");
    i.active = false;
    i.metadata = WAGW_STR("{}");
    assert_int_equal(wagw_store_instance_update(t.s, &i), WAGW_OK);
    i.num = 999;
    assert_int_equal(wagw_store_instance_update(t.s, &i), WAGW_NOT_FOUND);

    b = stu_batch(num);
    assert_int_equal(wagw_row_instance_encode(&v, &engine), WAGW_OK);
    assert_int_equal(wagw_batch_add(b, WAGW_OP_INSTANCE, 0, WAGW_STR_NULL, wagw_buf_view(&v)), WAGW_OK);
    assert_int_equal(wagw_batch_event(b, &ev), WAGW_OK);
    ev.seq = 40; /* never backwards */
    assert_int_equal(wagw_batch_event(b, &ev), WAGW_OK);
    stu_apply(&t, b);

    stu_reopen(&t);
    seen[0] = '\0';
    assert_int_equal(wagw_store_instance_each(t.s, see_instance, NULL), WAGW_OK);
    assert_string_equal(seen, "one|Name||{}|{}|10|||0|0;"
                              "two|Renamed|15550002|{\"a\":1}|{}|01|1:2@s.whatsapp.net|connected|-3|41;"
                              "three|Two||{\"a\":1}|{\"b\":2}|11|||0|0;");
    seen[0] = '\0';
    assert_int_equal(wagw_store_instance_each(t.s, see_instance, &stop), WAGW_LIMIT);
    assert_string_equal(seen, "one|Name||{}|{}|10|||0|0;");

    assert_int_equal(wagw_store_instance_counts(t.s, t.num, &messages, &chats), WAGW_OK);
    assert_true(messages == 0 && chats == 0);
    wagw_buf_free(&v);
    stu_end(&t);
}

static void fill(stu_t *t, uint32_t num)
{
    wagw_row_chat_t c = {.id = WAGW_STR("1@s.whatsapp.net"), .name = WAGW_STR("Ann")};
    wagw_row_message_t own = {
        .chat = c.id, .id = WAGW_STR("P"), .from_me = true, .stanza = WAGW_STR("wire"), .t_ms = 1};
    wagw_row_message_t old = {.chat = c.id, .id = WAGW_STR("O"), .status = WAGW_MSG_RECEIVED, .t_ms = 2};
    wagw_event_t ev = {.seq = 7, .name = "message.sent", .data = WAGW_STR("{}")};
    wagw_batch_t *b = stu_batch(num);

    stu_put(b, WAGW_REC_CREDS, "", WAGW_STR("creds"));
    stu_put(b, WAGW_REC_CONTACT, "1@s.whatsapp.net", WAGW_STR(""));
    stu_put(b, WAGW_REC_RECEIPT, "1@s.whatsapp.net|O|u", WAGW_STR(""));
    stu_put(b, WAGW_REC_REACTION, "1@s.whatsapp.net|O|u", WAGW_STR(""));
    stu_chat(b, &c);
    stu_message(b, &own);
    stu_message(b, &old);
    assert_int_equal(wagw_batch_event(b, &ev), WAGW_OK);
    stu_apply(t, b);
}

static void deleted_instances(void **state)
{
    wagw_webhook_t own = {.id = WAGW_STR("hook"), .url = WAGW_STR("http://x")};
    wagw_webhook_t global = {.id = WAGW_STR("global"), .url = WAGW_STR("http://y")};
    wagw_delivery_t d = {.webhook_id = WAGW_STR("hook"), .id = WAGW_STR("d1"), .payload = WAGW_STR("{}")};
    wagw_instance_t i = {.id = WAGW_STR("one"), .name = WAGW_STR("again"), .created_ms = 9};
    uint64_t messages, chats, total;
    wagw_arena_t a = {0};
    wagw_buf_t json = {0};
    wagw_delivery_t got;
    wagw_batch_t *b;
    uint32_t two, count;
    stu_t t;

    (void)state;
    stu_begin(&t, stu_key);
    two = stu_instance(&t, "two");
    fill(&t, t.num);
    fill(&t, two);
    own.instance = t.num;
    assert_int_equal(wagw_store_webhook_put(t.s, &own), WAGW_OK);
    assert_int_equal(wagw_store_webhook_put(t.s, &global), WAGW_OK);
    b = stu_batch(t.num);
    stu_delivery(b, &d);
    d.id = WAGW_STR("d2");
    d.webhook_id = WAGW_STR("global");
    stu_delivery(b, &d);
    stu_apply(&t, b);

    assert_int_equal(wagw_store_instance_delete(t.s, 999, true), WAGW_NOT_FOUND);
    assert_int_equal(wagw_store_instance_delete(t.s, t.num, true), WAGW_OK);
    assert_int_equal(wagw_store_instance_delete(t.s, t.num, true), WAGW_NOT_FOUND);

    /* gone: secrets, webhooks, what waits; kept: messages, chats, contacts */
    assert_false(stu_has(&t, t.num, WAGW_REC_CREDS, ""));
    assert_true(stu_has(&t, t.num, WAGW_REC_MESSAGE, "1@s.whatsapp.net|O|"));
    assert_true(stu_has(&t, t.num, WAGW_REC_CONTACT, "1@s.whatsapp.net"));
    assert_null(stu_load(&t, t.num, WAGW_REC_PENDING, "", true, &a));
    assert_int_equal(wagw_store_delivery_get(t.s, WAGW_STR("d1"), NULL, &a, &got), WAGW_NOT_FOUND);
    assert_int_equal(wagw_store_delivery_get(t.s, WAGW_STR("d2"), NULL, &a, &got), WAGW_OK);
    seen[0] = '\0';
    assert_int_equal(wagw_store_instance_each(t.s, see_instance, NULL), WAGW_OK);
    assert_true(strncmp(seen, "two|", 4) == 0);

    /* the engine's last words come too late */
    b = stu_batch(t.num);
    stu_put(b, WAGW_REC_CREDS, "", WAGW_STR("zombie"));
    assert_int_equal(wagw_store_apply(t.s, b), WAGW_NOT_FOUND);
    wagw_batch_destroy(b);
    assert_false(stu_has(&t, t.num, WAGW_REC_CREDS, ""));

    /* the same id again finds its messages, and its events go on counting */
    assert_int_equal(wagw_store_instance_create(t.s, &i), WAGW_OK);
    assert_int_equal(i.num, t.num);
    assert_int_equal(i.event_seq, 7);
    assert_int_equal(wagw_store_instance_counts(t.s, i.num, &messages, &chats), WAGW_OK);
    assert_true(messages == 2 && chats == 1);
    assert_int_equal(wagw_store_instance_create(t.s, &i), WAGW_DUPLICATE);

    assert_int_equal(wagw_store_instance_delete(t.s, i.num, false), WAGW_OK);
    assert_int_equal(wagw_store_instance_counts(t.s, i.num, &messages, &chats), WAGW_NOT_FOUND);
    assert_false(stu_has(&t, t.num, WAGW_REC_CONTACT, "1@s.whatsapp.net"));
    assert_false(stu_has(&t, t.num, WAGW_REC_RECEIPT, "1@s.whatsapp.net|O|u"));
    assert_int_equal(wagw_store_instance_create(t.s, &i), WAGW_OK);
    assert_true(i.num > two);
    assert_int_equal(i.event_seq, 0);

    /* the neighbour noticed nothing */
    assert_true(stu_has(&t, two, WAGW_REC_CREDS, "") && stu_has(&t, two, WAGW_REC_RECEIPT, "1@s.whatsapp.net|O|u") &&
                stu_has(&t, two, WAGW_REC_REACTION, "1@s.whatsapp.net|O|u"));
    assert_int_equal(wagw_store_deliveries(t.s, 0, -1, WAGW_STR_NULL, 0, 9, 0, &json, &count, &total), WAGW_OK);
    assert_int_equal(total, 1);
    wagw_buf_free(&json);
    wagw_arena_free(&a);
    stu_end(&t);
}

static int see_key(void *data, const wagw_api_key_t *k)
{
    (void)data;
    see("%.*s|%.*s|%.*s|%02x%02x|%u|%.*s|%.*s|%d|%lld|%lld;", V(k->id), V(k->name), V(k->prefix), k->hash[0],
        k->hash[31], k->permissions, V(k->instances), V(k->ip_allow), k->active, (long long)k->last_used_ms,
        (long long)k->expires_ms);
    return WAGW_OK;
}

static void api_keys(void **state)
{
    wagw_api_key_t k = {.id = WAGW_STR("k1"),
                        .name = WAGW_STR("first"),
                        .prefix = WAGW_STR("wagw_a"),
                        .permissions = 5,
                        .instances = WAGW_STR("[\"one\"]"),
                        .ip_allow = WAGW_STR("[\"10.0.0.0/8\"]"),
                        .active = true,
                        .created_ms = 1,
                        .expires_ms = 99},
                   other = k;
    stu_t t;

    (void)state;
    stu_begin(&t, NULL);
    memset(k.hash, 0xAB, 32);
    assert_int_equal(wagw_store_key_create(t.s, &k), WAGW_OK);
    assert_true(k.num > 0);

    memset(other.hash, 0xCD, 32);
    assert_int_equal(wagw_store_key_create(t.s, &other), WAGW_DUPLICATE);
    other.id = WAGW_STR("k2");
    memcpy(other.hash, k.hash, 32);
    assert_int_equal(wagw_store_key_create(t.s, &other), WAGW_DUPLICATE);
    memset(other.hash, 0xCD, 32);
    assert_int_equal(wagw_store_key_create(t.s, &other), WAGW_OK);

    other.active = false;
    other.permissions = 16;
    other.last_used_ms = 77;
    other.name = WAGW_STR("second");
    other.instances = WAGW_STR_NULL;
    memset(other.hash, 0xEE, 32); /* a key's hash never changes */
    assert_int_equal(wagw_store_key_update(t.s, &other), WAGW_OK);
    stu_reopen(&t);

    seen[0] = '\0';
    assert_int_equal(wagw_store_key_each(t.s, see_key, NULL), WAGW_OK);
    assert_string_equal(seen, "k1|first|wagw_a|abab|5|[\"one\"]|[\"10.0.0.0/8\"]|1|0|99;"
                              "k2|second|wagw_a|cdcd|16||[\"10.0.0.0/8\"]|0|77|99;");

    assert_int_equal(wagw_store_key_delete(t.s, WAGW_STR("k1")), WAGW_OK);
    assert_int_equal(wagw_store_key_delete(t.s, WAGW_STR("k1")), WAGW_NOT_FOUND);
    k.id = WAGW_STR("k1");
    assert_int_equal(wagw_store_key_update(t.s, &k), WAGW_NOT_FOUND);
    stu_end(&t);
}

static int see_webhook(void *data, const wagw_webhook_t *w)
{
    (void)data;
    see("%.*s|%u|%.*s|%.*s|%.*s|%.*s|%.*s|%d;", V(w->id), w->instance, V(w->url), V(w->events), V(w->secret),
        V(w->headers), V(w->options), w->enabled);
    return WAGW_OK;
}

static void webhooks(void **state)
{
    char want[300];
    stu_t t;

    (void)state;

    for (int sealed = 0; sealed < 2; sealed++) {
        wagw_webhook_t w = {.id = WAGW_STR("w1"),
                            .url = WAGW_STR("http://x/1"),
                            .events = WAGW_STR("[\"message.ack\"]"),
                            .secret = WAGW_STR("s3cret"),
                            .headers = WAGW_STR("{\"A\":\"b\"}"),
                            .options = WAGW_STR("{\"ordered\":true}"),
                            .enabled = true};
        wagw_webhook_t g = {.id = WAGW_STR("w2"), .url = WAGW_STR("http://x/2")};

        stu_begin(&t, sealed ? stu_key : NULL);
        w.instance = t.num;
        assert_int_equal(wagw_store_webhook_put(t.s, &w), WAGW_OK);
        assert_true(w.num > 0);
        assert_int_equal(wagw_store_webhook_put(t.s, &g), WAGW_OK);
        g.num = 0;
        assert_int_equal(wagw_store_webhook_put(t.s, &g), WAGW_DUPLICATE);
        g.id = WAGW_STR("w3");
        g.instance = 999;
        assert_int_equal(wagw_store_webhook_put(t.s, &g), WAGW_NOT_FOUND);
        stu_reopen(&t);

        seen[0] = '\0';
        assert_int_equal(wagw_store_webhook_each(t.s, see_webhook, NULL), WAGW_OK);
        snprintf(want, sizeof(want),
                 "w1|%u|http://x/1|[\"message.ack\"]|s3cret|{\"A\":\"b\"}|{\"ordered\":true}|1;w2|0|http://x/2|||||0;",
                 t.num);
        assert_string_equal(seen, want);

        w.url = WAGW_STR("http://x/new");
        w.secret = WAGW_STR_NULL;
        w.enabled = false;
        assert_int_equal(wagw_store_webhook_put(t.s, &w), WAGW_OK);
        w.num = 999;
        assert_int_equal(wagw_store_webhook_put(t.s, &w), WAGW_NOT_FOUND);
        assert_int_equal(wagw_store_webhook_delete(t.s, WAGW_STR("w2")), WAGW_OK);
        assert_int_equal(wagw_store_webhook_delete(t.s, WAGW_STR("w2")), WAGW_NOT_FOUND);

        seen[0] = '\0';
        assert_int_equal(wagw_store_webhook_each(t.s, see_webhook, NULL), WAGW_OK);
        snprintf(want, sizeof(want), "w1|%u|http://x/new|[\"message.ack\"]||{\"A\":\"b\"}|{\"ordered\":true}|0;",
                 t.num);
        assert_string_equal(seen, want);
        stu_end(&t);
    }
}

static int see_delivery(void *data, const wagw_delivery_t *d)
{
    see("%.*s ", V(d->id));
    return data != NULL ? *(int *)data : WAGW_OK;
}

static void assert_due(stu_t *t, const char *hook, int64_t now, bool ordered, uint32_t limit, const char *want,
                       int64_t want_next)
{
    int64_t next;

    seen[0] = '\0';
    assert_int_equal(wagw_store_deliveries_of(t->s, wagw_cstr(hook), now, ordered, limit, see_delivery, NULL, &next),
                     WAGW_OK);
    assert_string_equal(seen, want);
    assert_true(next == want_next);
}

static void enqueue(stu_t *t, const char *id, const char *hook, const char *chat, uint64_t seq, int64_t at)
{
    wagw_delivery_t d = {.id = wagw_cstr(id),
                         .webhook_id = wagw_cstr(hook),
                         .instance_id = WAGW_STR("one"),
                         .url = WAGW_STR("http://x"),
                         .event = seq & 1 ? WAGW_STR("message.ack") : WAGW_STR("message.received"),
                         .event_id = WAGW_STR("evt_1"),
                         .chat = wagw_cstr(chat),
                         .seq = seq,
                         .payload = WAGW_STR("{\"seq\":1}"),
                         .next_ms = at,
                         .created_ms = at,
                         .updated_ms = at};
    wagw_batch_t *b = stu_batch(t->num);

    stu_delivery(b, &d);
    stu_apply(t, b);
}

static void result(stu_t *t, const char *id, int status, int code, uint32_t attempts, int64_t next, uint32_t ms)
{
    wagw_delivery_t d = {.id = wagw_cstr(id),
                         .status = (uint8_t)status,
                         .status_code = code,
                         .response = WAGW_STR("resp\xC3\xB6nse"),
                         .error = code == 200 ? WAGW_STR_NULL : WAGW_STR("refused"),
                         .attempts = attempts,
                         .next_ms = next,
                         .updated_ms = 500,
                         .duration_ms = ms};

    assert_int_equal(wagw_store_delivery_result(t->s, &d), WAGW_OK);
}

static void the_outbox(void **state)
{
    wagw_delivery_t none = {.id = WAGW_STR("nobody")};
    wagw_webhook_t ordered = {
        .id = WAGW_STR("A"), .url = WAGW_STR("http://a"), .options = WAGW_STR("{\"ordered\":true}")};
    int stop = WAGW_LIMIT;
    stu_t t;

    (void)state;
    stu_begin(&t, NULL);
    assert_int_equal(wagw_store_webhook_put(t.s, &ordered), WAGW_OK);

    enqueue(&t, "a1", "A", "chat1", 1, 100);
    enqueue(&t, "a2", "A", "chat1", 2, 100);
    enqueue(&t, "a3", "A", "chat2", 3, 101);
    enqueue(&t, "b1", "B", "chat1", 1, 100);
    enqueue(&t, "a4", "A", "chat1", 4, 102);
    stu_reopen(&t);

    assert_due(&t, "A", 99, false, 9, "", 100);
    assert_due(&t, "A", 101, false, 9, "a1 a2 a3 ", 102);
    assert_due(&t, "A", 200, false, 2, "a1 a2 ", 0);
    assert_due(&t, "A", 200, true, 9, "a1 a3 ", 0);
    assert_due(&t, "B", 200, true, 9, "b1 ", 0);
    assert_due(&t, "C", 200, false, 9, "", 0);

    /* a few of each chat, also behind more of one than would be read */
    for (int i = 0; i < 6; i++) {
        char id[8];

        snprintf(id, sizeof(id), "d%d", i);
        enqueue(&t, id, "D", "busy", 10 + (uint64_t)i, 100);
    }
    enqueue(&t, "e0", "D", "calm", 20, 100);
    enqueue(&t, "e1", "D", "calm", 21, 300);
    assert_due(&t, "D", 200, false, 6, "d0 d1 d2 d3 d4 d5 ", 300);
    seen[0] = '\0';
    assert_int_equal(wagw_store_deliveries_spread(t.s, WAGW_STR("D"), 200, 6, see_delivery, NULL), WAGW_OK);
    assert_string_equal(seen, "d0 d1 d2 d3 e0 ");
    seen[0] = '\0';
    assert_int_equal(wagw_store_deliveries_spread(t.s, WAGW_STR("D"), 200, 2, see_delivery, NULL), WAGW_OK);
    assert_string_equal(seen, "d0 d1 ");
    seen[0] = '\0';
    assert_int_equal(wagw_store_deliveries_spread(t.s, WAGW_STR("D"), 200, 6, see_delivery, &stop), WAGW_LIMIT);
    assert_string_equal(seen, "d0 ");

    /* a failing event holds back its own chat when ordered, otherwise nothing */
    result(&t, "a1", WAGW_DLV_PENDING, 500, 1, 5000, 3);
    assert_due(&t, "A", 200, true, 9, "a3 ", 5000);
    assert_due(&t, "A", 200, false, 9, "a2 a3 a4 ", 5000);
    result(&t, "a1", WAGW_DLV_SUCCESS, 200, 2, 0, 3);
    assert_due(&t, "A", 200, true, 9, "a2 a3 ", 0);

    assert_int_equal(wagw_store_delivery_result(t.s, &none), WAGW_NOT_FOUND);

    /* what waits for a webhook that goes away will never be sent */
    {
        wagw_webhook_t w = {.id = WAGW_STR("B"), .url = WAGW_STR("http://x")};
        wagw_arena_t a = {0};
        wagw_delivery_t d;

        assert_int_equal(wagw_store_webhook_put(t.s, &w), WAGW_OK);
        assert_int_equal(wagw_store_webhook_delete(t.s, WAGW_STR("B")), WAGW_OK);
        assert_due(&t, "B", 200, false, 9, "", 0);
        assert_int_equal(wagw_store_delivery_get(t.s, WAGW_STR("b1"), NULL, &a, &d), WAGW_OK);
        assert_int_equal(d.status, WAGW_DLV_DEAD);
        assert_true(d.error.n > 0);
        wagw_arena_free(&a);
    }

    stu_end(&t);
}

static void assert_log(stu_t *t, int status, const char *event, int64_t since, uint32_t limit, uint32_t offset,
                       uint64_t want_total, const char *want)
{
    wagw_buf_t json = {0};
    char got[256] = "";
    uint32_t count;
    uint64_t total;
    const cJSON *d;
    cJSON *o;

    assert_int_equal(
        wagw_store_deliveries(t->s, t->num, status, wagw_cstr(event), since, limit, offset, &json, &count, &total),
        WAGW_OK);
    o = stu_json(&json);
    cJSON_ArrayForEach(d, o)
    {
        strcat(got, stu_get(d, "id"));
        strcat(got, ":");
        strcat(got, stu_get(d, "status"));
        strcat(got, " ");
    }

    assert_string_equal(got, want);
    assert_int_equal(cJSON_GetArraySize(o), count);
    assert_int_equal(total, want_total);
    cJSON_Delete(o);
}

static void the_delivery_log(void **state)
{
    static char long_text[6000];
    wagw_delivery_t d, big = {.id = WAGW_STR("d1"), .status = WAGW_DLV_PENDING, .attempts = 1, .next_ms = 60000};
    wagw_buf_t json = {0};
    wagw_arena_t a = {0};
    uint64_t n;
    cJSON *o;
    stu_t t;

    (void)state;
    stu_begin(&t, stu_key);
    enqueue(&t, "d1", "A", "c", 1, 100);
    enqueue(&t, "d2", "A", "c", 2, 200);
    enqueue(&t, "d3", "A", "c", 3, 300);
    enqueue(&t, "d4", "A", "c", 4, 400);
    result(&t, "d2", WAGW_DLV_SUCCESS, 200, 1, 0, 10);
    result(&t, "d3", WAGW_DLV_FAILED, 404, 1, 0, 20);
    result(&t, "d4", WAGW_DLV_DEAD, 500, 10, 0, 30);

    assert_log(&t, -1, NULL, 0, 10, 0, 4, "d4:dead d3:failed d2:success d1:pending ");
    assert_log(&t, WAGW_DLV_FAILED, NULL, 0, 10, 0, 1, "d3:failed ");
    assert_log(&t, -1, "message.ack", 0, 10, 0, 2, "d3:failed d1:pending ");
    assert_log(&t, -1, NULL, 300, 10, 0, 2, "d4:dead d3:failed ");
    assert_log(&t, -1, NULL, 0, 2, 1, 4, "d3:failed d2:success ");

    assert_int_equal(wagw_store_delivery_get(t.s, WAGW_STR("d3"), &json, &a, &d), WAGW_OK);
    assert_true(wagw_str_is(d.payload, "{\"seq\":1}") && d.attempts == 1 && d.status_code == 404);
    o = stu_json(&json);
    assert_string_equal(stu_get(o, "webhookId"), "A");
    assert_string_equal(stu_get(o, "instanceId"), "one");
    assert_string_equal(stu_get(o, "eventId"), "evt_1");
    assert_string_equal(stu_get(o, "response"), "resp\xC3\xB6nse");
    assert_string_equal(stu_get(o, "error"), "refused");
    assert_string_equal(stu_get(o, "createdAt"), "1970-01-01T00:00:00.300Z");
    assert_int_equal(cJSON_GetObjectItem(cJSON_GetObjectItem(o, "payload"), "seq")->valueint, 1);
    assert_int_equal(cJSON_GetObjectItem(o, "statusCode")->valueint, 404);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(o, "nextAttemptAt")));
    cJSON_Delete(o);
    assert_int_equal(wagw_store_delivery_get(t.s, WAGW_STR("none"), &json, &a, &d), WAGW_NOT_FOUND);

    /* answers are kept up to 4 KiB, not cut within a character */
    memset(long_text, 'x', sizeof(long_text));
    memcpy(long_text + 4094, "\xF0\x9F\x91\x8D", 4);
    big.response = wagw_str(long_text, sizeof(long_text));
    assert_int_equal(wagw_store_delivery_result(t.s, &big), WAGW_OK);
    assert_int_equal(wagw_store_delivery_get(t.s, WAGW_STR("d1"), &json, &a, &d), WAGW_OK);
    assert_int_equal(d.response.n, 4094);
    o = stu_json(&json);
    assert_string_equal(stu_get(o, "nextAttemptAt"), "1970-01-01T00:01:00.000Z");
    cJSON_Delete(o);

    assert_int_equal(wagw_store_delivery_stats(t.s, t.num, 0, 10100, 7, WAGW_STR("one"), &json), WAGW_OK);
    o = stu_json(&json);
    assert_string_equal(stu_get(o, "period"), "7 days");
    assert_string_equal(stu_get(o, "successRate"), "25.00");
    assert_string_equal(stu_get(o, "instanceId"), "one");
    assert_int_equal(cJSON_GetObjectItem(o, "total")->valueint, 4);
    assert_int_equal(cJSON_GetObjectItem(o, "success")->valueint, 1);
    assert_int_equal(cJSON_GetObjectItem(o, "failed")->valueint, 2);
    assert_int_equal(cJSON_GetObjectItem(o, "pending")->valueint, 1);
    assert_int_equal(cJSON_GetObjectItem(o, "oldestPendingSeconds")->valueint, 10);
    assert_int_equal(cJSON_GetObjectItem(o, "p50Ms")->valueint, 10);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(o, "topEvents")), 2);
    assert_string_equal(stu_get(cJSON_GetArrayItem(cJSON_GetObjectItem(o, "topEvents"), 0), "event"), "message.ack");
    cJSON_Delete(o);

    assert_int_equal(wagw_store_delivery_stats(t.s, 999, 0, 1, 7, WAGW_STR_NULL, &json), WAGW_OK);
    o = stu_json(&json);
    assert_string_equal(stu_get(o, "successRate"), "0.00");
    cJSON_Delete(o);

    /* only what was delivered may go */
    assert_int_equal(wagw_store_deliveries_prune(t.s, t.num, 200, &n), WAGW_OK);
    assert_int_equal(n, 0);
    assert_int_equal(wagw_store_deliveries_prune(t.s, 999, 9999, &n), WAGW_OK);
    assert_int_equal(n, 0);
    assert_int_equal(wagw_store_deliveries_prune(t.s, 0, 9999, &n), WAGW_OK);
    assert_int_equal(n, 1);
    assert_log(&t, -1, NULL, 0, 10, 0, 3, "d4:dead d3:failed d1:pending ");

    wagw_arena_free(&a);
    stu_end(&t);
}

static void redriving(void **state)
{
    wagw_arena_t a = {0};
    wagw_delivery_t d;
    uint64_t n;
    stu_t t;

    (void)state;
    stu_begin(&t, NULL);

    for (int i = 1; i <= 4; i++) {
        char id[16];

        snprintf(id, sizeof(id), "d%d", i);
        enqueue(&t, id, "A", "c", (uint64_t)i, i * 100);
    }

    result(&t, "d1", WAGW_DLV_SUCCESS, 200, 1, 0, 10);
    result(&t, "d2", WAGW_DLV_DEAD, 500, 10, 0, 10);
    result(&t, "d3", WAGW_DLV_FAILED, 404, 1, 0, 10);
    result(&t, "d4", WAGW_DLV_PENDING, 500, 3, 90000, 10);

    assert_int_equal(wagw_store_deliveries_retry(t.s, WAGW_STR("none"), 0, -1, 0, 1000, &n), WAGW_NOT_FOUND);
    assert_int_equal(wagw_store_deliveries_retry(t.s, WAGW_STR("d1"), 0, -1, 0, 1000, &n), WAGW_STATE);
    assert_int_equal(wagw_store_deliveries_retry(t.s, WAGW_STR_NULL, 0, WAGW_DLV_SUCCESS, 0, 1000, &n), WAGW_STATE);
    assert_int_equal(n, 0);
    assert_due(&t, "A", 2000, false, 9, "", 90000);

    assert_int_equal(wagw_store_deliveries_retry(t.s, WAGW_STR("d4"), 0, -1, 0, 1000, &n), WAGW_OK);
    assert_int_equal(n, 1);
    assert_int_equal(wagw_store_delivery_get(t.s, WAGW_STR("d4"), NULL, &a, &d), WAGW_OK);
    assert_int_equal(d.attempts, 3);

    assert_int_equal(wagw_store_deliveries_retry(t.s, WAGW_STR_NULL, t.num, WAGW_DLV_DEAD, 300, 1000, &n), WAGW_OK);
    assert_int_equal(n, 0);
    assert_int_equal(wagw_store_deliveries_retry(t.s, WAGW_STR_NULL, 999, -1, 0, 1000, &n), WAGW_OK);
    assert_int_equal(n, 0);
    assert_int_equal(wagw_store_deliveries_retry(t.s, WAGW_STR_NULL, t.num, -1, 0, 1000, &n), WAGW_OK);
    assert_int_equal(n, 2);
    assert_int_equal(wagw_store_delivery_get(t.s, WAGW_STR("d2"), NULL, &a, &d), WAGW_OK);
    assert_true(d.attempts == 0 && d.status == WAGW_DLV_PENDING);
    assert_due(&t, "A", 2000, false, 9, "d2 d3 d4 ", 0);

    wagw_arena_free(&a);
    stu_end(&t);
}

static void idempotency(void **state)
{
    wagw_idempotency_t i = {.message_id = WAGW_STR("3EB0"), .created_ms = 100}, old;
    wagw_arena_t a = {0};
    wagw_buf_t v = {0};
    wagw_batch_t *b;
    stu_t t;

    (void)state;

    for (int sealed = 0; sealed < 2; sealed++) {
        stu_begin(&t, sealed ? stu_key : NULL);
        memset(i.key, 1, 32);
        memset(i.body_hash, 2, 32);

        assert_int_equal(wagw_store_idempotency_begin(t.s, &i, &a, &old), WAGW_OK);
        i.message_id = WAGW_STR("OTHER");
        memset(i.body_hash, 3, 32);
        assert_int_equal(wagw_store_idempotency_begin(t.s, &i, &a, &old), WAGW_DUPLICATE);
        assert_true(!old.done && wagw_str_is(old.message_id, "3EB0") && old.body.n == 0);
        assert_int_equal(old.body_hash[31], 2);

        old.status = 201;
        old.body = WAGW_STR("{\"success\":true}");
        assert_int_equal(wagw_store_idempotency_done(t.s, &old), WAGW_OK);
        stu_reopen(&t);
        assert_int_equal(wagw_store_idempotency_begin(t.s, &i, &a, &old), WAGW_DUPLICATE);
        assert_true(old.done && old.status == 201 && wagw_str_is(old.body, "{\"success\":true}"));
        assert_true(old.created_ms == 100);

        /* the answer can also come in the turn's own batch */
        memset(i.key, 9, 32);
        assert_int_equal(wagw_store_idempotency_begin(t.s, &i, &a, &old), WAGW_OK);
        b = stu_batch(t.num);
        wagw_buf_reset(&v);
        old = (wagw_idempotency_t){.status = 200, .body = WAGW_STR("{}")};
        assert_int_equal(wagw_row_idempotency_encode(&v, &old), WAGW_OK);
        assert_int_equal(wagw_batch_add(b, WAGW_OP_IDEMPOTENCY, 0, wagw_str(i.key, 32), wagw_buf_view(&v)), WAGW_OK);
        stu_apply(&t, b);
        assert_int_equal(wagw_store_idempotency_begin(t.s, &i, &a, &old), WAGW_DUPLICATE);
        assert_true(old.done && wagw_str_is(old.body, "{}"));

        assert_int_equal(wagw_store_idempotency_prune(t.s, 100), WAGW_OK);
        assert_int_equal(wagw_store_idempotency_begin(t.s, &i, &a, &old), WAGW_DUPLICATE);
        assert_int_equal(wagw_store_idempotency_prune(t.s, 101), WAGW_OK);
        assert_int_equal(wagw_store_idempotency_begin(t.s, &i, &a, &old), WAGW_OK);
        i.message_id = WAGW_STR("3EB0");
        stu_end(&t);
    }

    wagw_buf_free(&v);
    wagw_arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instances), cmocka_unit_test(deleted_instances), cmocka_unit_test(api_keys),
        cmocka_unit_test(webhooks),  cmocka_unit_test(the_outbox),        cmocka_unit_test(the_delivery_log),
        cmocka_unit_test(redriving), cmocka_unit_test(idempotency),
    };

    return cmocka_run_group_tests_name("store admin", tests, NULL, NULL);
}
