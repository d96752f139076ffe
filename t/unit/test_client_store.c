/*
 * An engine whose store fails, forgets or holds nonsense; logging out, being destroyed.
 */

#include "client_sim.h"

#define TEXT(to, body) "{\"to\":\"" to "\",\"message\":\"" body "\"}"

typedef struct {
    sim_t *w;
    sim_account_t *acc;
    sim_engine_t *e;
} one_t;

static one_t one(uint64_t seed)
{
    one_t o;

    o.w = sim_new(seed);
    o.acc = sim_account(o.w, "49100", "9100");
    o.e = sim_engine(o.w, "A");
    return o;
}

static one_t linked(uint64_t seed)
{
    one_t o = one(seed);

    sim_link(o.e, o.acc);
    return o;
}

static one_t with_message(uint64_t seed)
{
    one_t o = linked(seed);

    sim_do(o.e, WAGW_CMD_SEND, TEXT("49100", "note"), 200);
    return o;
}

/* ---- the store --------------------------------------------------------------------------------- */

static void unreadable_credentials(void **state)
{
    static const char *const bad[] = {"", "x", "\x01\x01\x01", "\xff\xff\xff\xff\xff\xff\xff\xff"};
    uint64_t id;

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        one_t o = linked(86);
        wagw_buf_t kept = {0};

        sim_crash(o.e, false);
        sim_run(o.w);
        if (i < 4) {
            wagw_buf_cstr(&kept, bad[i]);
        } else {
            wagw_buf_str(&kept, sim_mem_get(&o.e->mem, WAGW_REC_CREDS, WAGW_STR("")));
            kept.n -= 1;
        }
        sim_mem_put(&o.e->mem, WAGW_REC_CREDS, WAGW_STR(""), wagw_buf_view(&kept));
        sim_revive(o.e);
        sim_advance(o.w, 60000);
        sim_expect_status(o.e, WAGW_STATUS_FAILED);
        assert_true(wagw_str_eq(sim_mem_get(&o.e->mem, WAGW_REC_CREDS, WAGW_STR("")), wagw_buf_view(&kept)));
        assert_int_equal(o.e->conn, 0);
        id = sim_command(o.e, WAGW_CMD_QR, NULL);
        sim_run(o.w);
        sim_expect(o.e, id, 409, "INSTANCE_NOT_CONNECTED");
        id = sim_command(o.e, WAGW_CMD_PAIRING_CODE, "{\"phoneNumber\":\"4910000\"}");
        sim_advance(o.w, 1000);
        sim_expect(o.e, id, 409, NULL);
        assert_true(wagw_str_eq(sim_mem_get(&o.e->mem, WAGW_REC_CREDS, WAGW_STR("")), wagw_buf_view(&kept)));
        wagw_buf_free(&kept);
        sim_free(o.w);
    }
}

static void commits_fail(void **state)
{
    sim_two_t p = sim_two(87);
    uint64_t id, other;
    sim_log_t *mark;

    (void)state;
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "first"), 200);
    sim_do(p.b, WAGW_CMD_SEND, TEXT("49100", "back"), 200);

    /* of a send: 503, nothing left the engine, the next one is not harmed */
    mark = sim_mark(p.w);
    p.a->fail_commits = 1;
    id = sim_command(p.a, WAGW_CMD_SEND, TEXT("49200", "lost"));
    other = sim_command(p.a, WAGW_CMD_SEND, TEXT("49200", "lost too"));
    sim_run(p.w);
    sim_expect(p.a, id, 503, "DB_UNAVAILABLE");
    sim_expect(p.a, other, 503, "DB_UNAVAILABLE");
    assert_int_equal(sim_sent_count(p.a, mark, "message"), 0);
    assert_int_equal(sim_events(p.a, "message.sent"), 1);
    sim_advance(p.w, 3000);
    sim_expect_status(p.a, WAGW_STATUS_CONNECTED);
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "second"), 200);
    assert_string_equal(sim_str(sim_last_event(p.b, "message.received")->data, "body"), "second");
    assert_int_equal(sim_events(p.b, "message.received"), 2);

    /* of a received message: no receipt; it comes again and is new */
    mark = sim_mark(p.w);
    p.b->fail_commits = 1;
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "third"), 200);
    assert_int_equal(sim_sent_count(p.b, mark, "receipt"), 0);
    assert_int_equal(sim_events(p.b, "message.received"), 2);
    sim_advance(p.w, 3000);
    sim_expect_status(p.b, WAGW_STATUS_CONNECTED);
    assert_int_equal(sim_events(p.b, "message.received"), 3);
    assert_string_equal(sim_str(sim_last_event(p.b, "message.received")->data, "body"), "third");
    assert_int_equal(sim_queued(sim_device_of(p.b)), 0);

    /* of an ack: the row is still pending, sent again, acked again */
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "fourth"), 200);
    p.w->orders.drop_acks = 1;
    id = sim_command(p.a, WAGW_CMD_SEND, TEXT("49200", "fifth"));
    sim_run(p.w);
    p.a->fail_commits = 1;
    {
        wagw_arena_t a = {0};
        unsigned n = sim_sent_count(p.a, NULL, "message");

        sim_push(p.a,
                 sim_node(&a, "ack", "class", "message", "id", sim_attr(sim_sent(p.a, NULL, "message", n - 1), "id"),
                          "from", "9200@lid", "t", "1767225600", NULL));
        sim_run(p.w);
        wagw_arena_free(&a);
    }
    sim_expect(p.a, id, 503, "DB_UNAVAILABLE");
    sim_advance(p.w, 5000);
    sim_expect_status(p.a, WAGW_STATUS_CONNECTED);
    assert_int_equal(sim_events(p.a, "message.sent"), 5);
    assert_int_equal(sim_events(p.b, "message.received"), 5);

    /* a store that is gone for a while: tried again and again, then all is well */
    p.a->fail_commits = 6;
    sim_do(p.b, WAGW_CMD_SEND, TEXT("49100", "while it was gone"), 200);
    sim_advance(p.w, 120000);
    sim_expect_status(p.a, WAGW_STATUS_CONNECTED);
    assert_int_equal(p.a->fail_commits, 0);
    assert_string_equal(sim_str(sim_last_event(p.a, "message.received")->data, "body"), "while it was gone");
    sim_free(p.w);
}

static void commit_fails_while_linking(void **state)
{
    (void)state;
    for (unsigned k = 1; k < 12; k++) {
        one_t o = one(88);

        sim_start(o.e, true);
        for (unsigned i = 0; i < 200 && o.e->commits < k; i++) {
            if (!sim_step(o.w)) {
                if (sim_info(o.e).status == WAGW_STATUS_QR) {
                    sim_scan(o.e, o.acc);
                } else {
                    sim_advance(o.w, 5);
                }
            }
        }
        if (o.e->commits < k) {
            sim_free(o.w);
            break;
        }
        o.e->fail_commits = 1;
        sim_advance(o.w, 5000);
        for (unsigned i = 0; i < 4 && sim_info(o.e).status != WAGW_STATUS_CONNECTED; i++) {
            sim_start(o.e, true);
            sim_advance(o.w, 3000);
            if (sim_info(o.e).status == WAGW_STATUS_QR) {
                sim_scan(o.e, o.acc);
                sim_advance(o.w, 3000);
            }
        }
        sim_expect_status(o.e, WAGW_STATUS_CONNECTED);
        sim_free(o.w);
    }
}

static void loads_fail(void **state)
{
    sim_two_t p = sim_two(89);
    uint64_t id;

    (void)state;
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "first"), 200);
    /* of the credentials: tried again */
    sim_crash(p.a, false);
    sim_run(p.w);
    p.a->fail_loads = 2;
    sim_revive(p.a);
    sim_run(p.w);
    assert_int_equal(p.a->conn, 0);
    sim_advance(p.w, 10000);
    sim_expect_status(p.a, WAGW_STATUS_CONNECTED);

    /* of a command */
    wagw_cache_forget(p.a->sh.cache, p.a->num);
    p.a->fail_loads = 1;
    id = sim_command(p.a, WAGW_CMD_SEND, TEXT("49200", "no"));
    sim_run(p.w);
    sim_expect(p.a, id, 503, "DB_UNAVAILABLE");
    sim_advance(p.w, 5000);
    sim_expect_status(p.a, WAGW_STATUS_CONNECTED);
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "yes"), 200);

    /* of a received stanza: comes again */
    wagw_cache_forget(p.b->sh.cache, p.b->num);
    p.b->fail_loads = 1;
    sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "and again"), 200);
    sim_advance(p.w, 5000);
    sim_expect_status(p.b, WAGW_STATUS_CONNECTED);
    assert_string_equal(sim_str(sim_last_event(p.b, "message.received")->data, "body"), "and again");
    assert_int_equal(sim_events(p.b, "message.received"), 3);
    sim_free(p.w);
}

/* Records may leave the cache at any time. */
static void tiny_cache(void **state)
{
    sim_two_t p = sim_two(90);

    (void)state;
    for (unsigned i = 0; i < 6; i++) {
        wagw_cache_forget(p.a->sh.cache, p.a->num);
        wagw_cache_forget(p.b->sh.cache, p.b->num);
        sim_do(p.a, WAGW_CMD_SEND, TEXT("49200", "x"), 200);
        wagw_cache_forget(p.a->sh.cache, p.a->num);
        wagw_cache_forget(p.b->sh.cache, p.b->num);
        sim_do(p.b, WAGW_CMD_SEND, TEXT("49100", "y"), 200);
    }
    assert_int_equal(sim_events(p.a, "message.received"), 6);
    assert_int_equal(sim_events(p.b, "message.received"), 6);
    sim_free(p.w);
}

/* ---- the end ------------------------------------------------------------------------------------- */

static void logout(void **state)
{
    one_t o = with_message(91);
    sim_reply_t *r;
    uint64_t id;

    (void)state;
    r = sim_do(o.e, WAGW_CMD_LOGOUT, NULL, 200);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(r->data, "remote")));
    sim_expect_status(o.e, WAGW_STATUS_LOGGED_OUT);
    assert_null(sim_device(o.acc, 5));
    assert_int_equal(sim_mem_count(&o.e->mem, WAGW_REC_CREDS, ""), 0);
    assert_int_equal(sim_mem_count(&o.e->mem, WAGW_REC_MESSAGE, ""), 1);
    sim_advance(o.w, 60000);
    assert_int_equal(o.e->conn, 0);

    /* without a connection: here only */
    sim_link(o.e, o.acc);
    wagw_client_stop(o.e->c, false, o.w->now);
    sim_run(o.w);
    r = sim_do(o.e, WAGW_CMD_LOGOUT, NULL, 200);
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(r->data, "remote")));
    assert_int_equal(sim_mem_count(&o.e->mem, WAGW_REC_CREDS, ""), 0);

    /* destroyed with everything open: each call is answered once, by the destroyer */
    sim_link(o.e, o.acc);
    o.w->orders.no_answer = ~0u;
    o.w->orders.no_answer_ns = "usync";
    id = sim_command(o.e, WAGW_CMD_SEND, TEXT("49200", "x"));
    sim_run(o.w);
    assert_null(sim_reply(o.e, id));
    sim_free(o.w);
}

static void destroyed_at_any_time(void **state)
{
    (void)state;
    for (unsigned k = 0; k < 120; k += 1) {
        sim_two_t p = sim_two(92);
        uint64_t ids[3];
        wagw_client_t *c;

        ids[0] = sim_command(p.a, WAGW_CMD_SEND, TEXT("49200", "x"));
        ids[1] = sim_command(p.a, WAGW_CMD_CHECK_EXISTS, "{\"phoneNumber\":\"49200\"}");
        ids[2] = sim_command(p.a, WAGW_CMD_SEND, TEXT("49200", "y"));
        for (unsigned i = 0; i < k; i++) {
            if (!sim_step(p.w)) {
                k = 1000;
            }
        }
        c = p.a->c;
        wagw_client_destroy(c);
        for (unsigned i = 0; i < 3; i++) {
            sim_reply_t *r = sim_reply(p.a, ids[i]);

            if (r == NULL) {
                fail_msg("command %u is not answered when the engine ends after %u steps", i, k);
            }
            if (r->status != 200) {
                assert_int_equal(r->status, 503);
                assert_string_equal(r->code, "DRAINING");
            }
        }
        p.a->c = NULL;
        p.a->life++;
        wagw_signal_destroy(p.a->sh.signal);
        wagw_cache_destroy(p.a->sh.cache);
        sim_free(p.w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unreadable_credentials),
        cmocka_unit_test(commits_fail),
        cmocka_unit_test(commit_fails_while_linking),
        cmocka_unit_test(loads_fail),
        cmocka_unit_test(tiny_cache),
        cmocka_unit_test(logout),
        cmocka_unit_test(destroyed_at_any_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
