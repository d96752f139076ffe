/*
 * Calls, presence, block list and what is asked after a login, with an engine
 * in memory.
 */

#include "client_sim.h"

static void end(sim_two_t *p)
{
    assert_int_equal(p->a->errors, 0);
    sim_free(p->w);
}

static void push_call(sim_two_t *p, const char *stanza, const char *child, const char *id, const char *reason)
{
    char t[24];
    wagw_arena_t a = {0};
    wagw_node_t *n;

    snprintf(t, sizeof(t), "%lld", (long long)sim_now(p->w) / 1000);
    n = sim_node(&a, "call", "from", "9200@lid", "id", stanza, "t", t, "notify", "Bea", NULL);
    sim_add(&a, n, child, "call-id", id, "call-creator", "9200@lid", reason ? "reason" : NULL, reason, NULL);
    if (strcmp(child, "offer") == 0) {
        wagw_node_attrc(&a, n->child, "caller_pn", SIM_B);
        sim_add(&a, n->child, "video", NULL);
    }
    sim_push(p->a, n);
    wagw_arena_free(&a);
}

static void call_is_told_once(void **state)
{
    sim_two_t p = sim_two(1);
    sim_log_t *mark = sim_mark(p.w);
    const cJSON *d;

    (void)state;
    push_call(&p, "S1", "offer", "C1", NULL);
    sim_run(p.w);
    assert_true(sim_has(sim_sent(p.a, mark, "ack", 0), "class", "call", "id", "S1", "to", "9200@lid", NULL));
    assert_int_equal(sim_events(p.a, "call.received"), 1);
    d = sim_last_event(p.a, "call.received")->data;
    assert_string_equal(sim_str(d, "callId"), "C1");
    assert_string_equal(sim_str(d, "from"), SIM_B);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(d, "isVideo")));
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(d, "isGroup")));

    /* the ack was lost: the same once more */
    push_call(&p, "S1", "offer", "C1", NULL);
    sim_run(p.w);
    assert_int_equal(sim_sent_count(p.a, mark, "ack"), 2);
    assert_int_equal(sim_events(p.a, "call.received"), 1);

    push_call(&p, "S2", "terminate", "C1", "timeout");
    push_call(&p, "S3", "terminate", "C1", "timeout");
    sim_run(p.w);
    assert_int_equal(sim_events(p.a, "call.rejected"), 1);
    assert_string_equal(sim_str(sim_last_event(p.a, "call.rejected")->data, "reason"), "timeout");

    sim_crash(p.a, true);
    sim_revive(p.a);
    sim_advance(p.w, 3000);
    d = cJSON_GetArrayItem(sim_do(p.a, WAGW_CMD_CALLS, "{}", 200)->data, 0);
    assert_string_equal(sim_str(d, "callId"), "C1");
    assert_string_equal(sim_str(d, "status"), "missed");
    end(&p);
}

static void call_log_is_bounded(void **state)
{
    char id[16];
    sim_two_t p = sim_two(2);
    sim_reply_t *r;

    (void)state;
    for (unsigned i = 0; i < 230; i++) {
        snprintf(id, sizeof(id), "C%u", i);
        push_call(&p, id, "offer", id, NULL);
        sim_run(p.w);
        sim_advance(p.w, 1000);
    }
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_CALL, ""), 200);
    r = sim_do(p.a, WAGW_CMD_CALLS, "{\"limit\":500}", 200);
    assert_int_equal(cJSON_GetArraySize(r->data), 200);
    assert_string_equal(sim_str(cJSON_GetArrayItem(r->data, 0), "callId"), "C229");
    end(&p);
}

static void calls_are_declined(void **state)
{
    sim_two_t p = sim_two(3);
    sim_log_t *mark;
    const wagw_node_t *n;

    (void)state;
    p.a->conf.reject_calls = true;
    p.a->conf.reject_call_message = "No calls, please.";
    wagw_client_configure(p.a->c, &p.a->conf);
    mark = sim_mark(p.w);
    push_call(&p, "S1", "offer", "C1", NULL);
    push_call(&p, "S2", "offer_notice", "C1", NULL);
    sim_run(p.w);
    assert_int_equal(sim_sent_count(p.a, mark, "call"), 1);
    n = sim_sent(p.a, mark, "call", 0);
    assert_true(sim_has(n, "to", "9200@lid", NULL));
    assert_true(sim_has(wagw_node_find(n, "reject"), "call-id", "C1", "call-creator", "9200@lid", "count", "0", NULL));
    assert_int_equal(sim_events(p.a, "message.sent"), 1);

    /* the text is on its way when the process dies: it is not sent twice */
    push_call(&p, "S4", "offer", "C2", NULL);
    while (sim_sent_count(p.a, mark, "call") < 2 && sim_step(p.w)) {
    }
    sim_crash(p.a, false);
    sim_revive(p.a);
    sim_advance(p.w, 5000);
    assert_int_equal(sim_events(p.a, "message.sent"), 2);
    sim_crash(p.a, false);
    sim_revive(p.a);
    sim_advance(p.w, 5000);
    assert_int_equal(sim_events(p.a, "message.sent"), 2);
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_META, "calls_due"), 0);

    /* who called an hour ago does not ring any more */
    mark = sim_mark(p.w);
    {
        wagw_arena_t a = {0};
        wagw_node_t *k = sim_node(&a, "call", "from", "9200@lid", "id", "S9", "t", "1767000000", NULL);

        sim_add(&a, k, "offer", "call-id", "C9", "call-creator", "9200@lid", NULL);
        sim_push(p.a, k);
        wagw_arena_free(&a);
    }
    sim_run(p.w);
    assert_int_equal(sim_sent_count(p.a, mark, "call"), 0);
    end(&p);
}

static void presence_waits(void **state)
{
    uint64_t id;
    sim_two_t p = sim_two(4);
    sim_log_t *mark = sim_mark(p.w);
    wagw_arena_t a = {0};
    const cJSON *d;

    (void)state;
    id = sim_command(p.a, WAGW_CMD_PRESENCE_GET, "{\"chatId\":\"" SIM_B "\",\"wait\":1000}");
    sim_run(p.w);
    assert_null(sim_reply(p.a, id));
    assert_true(sim_has(sim_sent(p.a, mark, "presence", 0), "type", "subscribe", NULL));
    sim_advance(p.w, 1100);
    d = sim_expect(p.a, id, 200, "")->data;
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(d, "presence")));
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(d, "lastSeen")));

    id = sim_command(p.a, WAGW_CMD_PRESENCE_GET, "{\"chatId\":\"" SIM_B "\",\"wait\":1000}");
    sim_run(p.w);
    sim_push(p.a, sim_node(&a, "presence", "from", SIM_B, "type", "unavailable", "last", "1767220000", NULL));
    sim_run(p.w);
    d = sim_expect(p.a, id, 200, "")->data;
    assert_string_equal(sim_str(d, "presence"), "unavailable");
    assert_string_equal(sim_str(d, "lastSeen"), "2025-12-31T22:26:40.000Z");
    assert_int_equal(sim_sent_count(p.a, mark, "presence"), 1);

    /* the caller goes, the connection goes */
    id = sim_command(p.a, WAGW_CMD_PRESENCE_GET, "{\"chatId\":\"491155512\",\"wait\":9000}");
    sim_run(p.w);
    wagw_client_forget(p.a->c, id);
    id = sim_command(p.a, WAGW_CMD_PRESENCE_GET, "{\"chatId\":\"492255512\",\"wait\":9000}");
    sim_run(p.w);
    sim_cut(p.a, 0);
    sim_run(p.w);
    sim_expect(p.a, id, 200, "");
    sim_advance(p.w, 10000);

    sim_push(p.a, sim_node(&a, "presence", "from", SIM_B, NULL));
    sim_run(p.w);
    d = sim_do(p.a, WAGW_CMD_PRESENCES, "{}", 200)->data;
    assert_string_equal(sim_str(cJSON_GetObjectItem(d, SIM_B), "presence"), "available");
    wagw_arena_free(&a);
    end(&p);
}

static void presence_is_bounded(void **state)
{
    char from[48];
    sim_two_t p = sim_two(5);
    wagw_arena_t a = {0};

    (void)state;
    for (unsigned i = 0; i < 400; i++) {
        snprintf(from, sizeof(from), "49%06u@s.whatsapp.net", i);
        sim_push(p.a, sim_node(&a, "presence", "from", from, NULL));
        sim_run(p.w);
        wagw_arena_reset(&a);
    }
    assert_int_equal(cJSON_GetArraySize(sim_do(p.a, WAGW_CMD_PRESENCES, "{}", 200)->data), 256);
    wagw_arena_free(&a);
    end(&p);
}

static void block_list_is_kept(void **state)
{
    sim_two_t p = sim_two(6);
    sim_log_t *mark = sim_mark(p.w);
    wagw_arena_t a = {0};
    wagw_node_t *n, *b;

    (void)state;
    /* never read before, so it is read now */
    n = sim_node(&a, "notification", "from", SIM_A, "id", "N1", "type", "account_sync", NULL);
    b = sim_add(&a, n, "blocklist", "dhash", "2", "prev_dhash", "1", NULL);
    sim_add(&a, b, "item", "action", "block", "jid", "9200@lid", NULL);
    sim_push(p.a, n);
    sim_run(p.w);
    assert_non_null(sim_sent_iq(p.a, mark, "blocklist", NULL));
    assert_int_equal(sim_events(p.a, "contact.update"), 0);

    /* hostile: a list of what are no people */
    n = sim_node(&a, "notification", "from", SIM_A, "id", "N2", "type", "account_sync", NULL);
    b = sim_add(&a, n, "blocklist", NULL);
    sim_add(&a, b, "item", "action", "block", "jid", "120363000000000001@g.us", NULL);
    sim_push(p.a, n);
    sim_run(p.w);
    assert_true(sim_has(sim_sent(p.a, mark, "ack", 1), "class", "notification", "id", "N2", NULL));
    wagw_arena_free(&a);
    end(&p);
}

static void contact_news(void **state)
{
    sim_two_t p = sim_two(7);
    wagw_arena_t a = {0};
    wagw_node_t *n;
    const cJSON *d;

    (void)state;
    n = sim_node(&a, "notification", "from", SIM_B, "id", "N1", "type", "picture", NULL);
    sim_add(&a, n, "set", "jid", SIM_B, "id", "1767220001", NULL);
    sim_push(p.a, n);
    n = sim_node(&a, "notification", "from", SIM_B, "id", "N2", "type", "status", NULL);
    wagw_node_bytes(sim_add(&a, n, "set", NULL), WAGW_STR("Busy"));
    sim_push(p.a, n);
    sim_run(p.w);
    assert_int_equal(sim_events(p.a, "contact.update"), 2);
    d = sim_event(p.a, "contact.update", 0)->data;
    assert_string_equal(sim_str(d, "jid"), SIM_B);
    assert_string_equal(sim_str(d, "picture"), "changed");
    assert_string_equal(sim_str(sim_event(p.a, "contact.update", 1)->data, "about"), "Busy");
    wagw_arena_free(&a);
    end(&p);
}

static void pictures(void **state)
{
    uint64_t id;
    sim_two_t p = sim_two(8);
    sim_log_t *mark = sim_mark(p.w);
    const wagw_node_t *iq;

    (void)state;
    p.w->orders.iq_error_ns = "w:profile:picture";
    p.w->orders.iq_error = 401;
    assert_true(cJSON_IsNull(
        cJSON_GetObjectItem(sim_do(p.a, WAGW_CMD_PICTURE, "{\"chatId\":\"" SIM_B "\"}", 200)->data, "pictureUrl")));
    iq = sim_sent_iq(p.a, mark, "w:profile:picture", "picture");
    assert_true(sim_has(iq, "target", SIM_B, NULL));
    assert_true(sim_has(wagw_node_find(iq, "picture"), "type", "image", "query", "url", NULL));
    p.w->orders.iq_error = 429;
    sim_do(p.a, WAGW_CMD_PICTURE, "{\"chatId\":\"" SIM_B "\"}", 429);
    p.w->orders.iq_error = 406;
    sim_do(p.a, WAGW_CMD_PICTURE_SET, "{\"_picture\":\"/9j/\"}", 415);
    p.w->orders.iq_error = 0;
    p.w->orders.no_answer_ns = "w:profile:picture";
    p.w->orders.no_answer = 1;
    id = sim_command(p.a, WAGW_CMD_PICTURE, "{\"_self\":true}");
    sim_run(p.w);
    sim_advance(p.w, 61000);
    sim_expect(p.a, id, 504, "WA_TIMEOUT");
    end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(call_is_told_once),   cmocka_unit_test(call_log_is_bounded),
        cmocka_unit_test(calls_are_declined),  cmocka_unit_test(presence_waits),
        cmocka_unit_test(presence_is_bounded), cmocka_unit_test(block_list_is_kept),
        cmocka_unit_test(contact_news),        cmocka_unit_test(pictures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
