/*
 * Life of the connection: QR codes, restarts, refusals, errors of the stream,
 * silence, back-off, a store that fails, the end.
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

static const cJSON *last_status(sim_engine_t *e)
{
    return sim_last_event(e, "session.status")->data;
}

/* ---- refusals ------------------------------------------------------------------------ */

typedef struct {
    unsigned code;
    wagw_status_t status;
    bool wiped, again;
    const char *reason;
} outcome_t;

static void check_outcome(one_t *o, const outcome_t *f)
{
    unsigned connects = o->e->connects, rows = sim_mem_count(&o->e->mem, WAGW_REC_MESSAGE, "");
    bool kept = sim_mem_get(&o->e->mem, WAGW_REC_CREDS, WAGW_STR("")).p != NULL;

    assert_int_equal(kept, !f->wiped);
    assert_int_equal(rows, 1);
    if (f->wiped) {
        for (uint8_t kind = 1; kind < 64; kind++) {
            assert_int_equal(sim_mem_count(&o->e->mem, kind, ""), 0);
        }
    }
    assert_int_equal(o->e->conn, 0);
    sim_expect_status(o->e, f->again ? WAGW_STATUS_DISCONNECTED : f->status);
    assert_int_equal(sim_info(o->e).disconnect_code, f->code);
    assert_true(wagw_str_eq(sim_info(o->e).disconnect_reason, wagw_cstr(f->reason)));
    assert_string_equal(sim_str(last_status(o->e), "reason"), f->reason);
    assert_int_equal(cJSON_GetObjectItem(last_status(o->e), "code")->valueint, f->code);
    assert_true(wagw_str_eq(o->e->row.status, wagw_cstr(wagw_status_name(sim_info(o->e).status))));
    o->w->orders.failure = 0;
    sim_advance(o->w, 3000);
    if (f->again) {
        assert_int_equal(o->e->connects, connects + 1);
        sim_expect_status(o->e, WAGW_STATUS_CONNECTED);
    } else {
        sim_advance(o->w, 3600000);
        assert_int_equal(o->e->connects, connects);
        sim_expect_status(o->e, f->status);
        /* the next call to link or connect is the user's */
        if (f->wiped) {
            sim_start(o->e, true);
            sim_run(o->w);
            sim_expect_status(o->e, WAGW_STATUS_QR);
            sim_scan(o->e, o->acc);
            sim_advance(o->w, 5);
        } else {
            sim_start(o->e, false);
            sim_advance(o->w, 5);
        }
        sim_expect_status(o->e, WAGW_STATUS_CONNECTED);
    }
    assert_int_equal(o->e->errors, 0);
}

static one_t with_message(uint64_t seed)
{
    one_t o = linked(seed);

    sim_do(o.e, WAGW_CMD_SEND, TEXT("49100", "note"), 200);
    return o;
}

static void login_failures(void **state)
{
    static const outcome_t all[] = {
        {400, WAGW_STATUS_FAILED, false, false, "refused"},
        {401, WAGW_STATUS_LOGGED_OUT, true, false, "logged_out"},
        {403, WAGW_STATUS_BANNED, false, false, "banned"},
        {405, WAGW_STATUS_FAILED, false, false, "client_too_old"},
        {406, WAGW_STATUS_LOGGED_OUT, true, false, "logged_out"},
        {409, WAGW_STATUS_FAILED, false, false, "refused"},
        {418, WAGW_STATUS_FAILED, false, false, "refused"},
        {500, WAGW_STATUS_DISCONNECTED, false, true, "connection_lost"},
        {503, WAGW_STATUS_DISCONNECTED, false, true, "connection_lost"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        one_t o = with_message(76);

        sim_cut(o.e, 0);
        o.w->orders.failure = all[i].code;
        sim_advance(o.w, 2);
        check_outcome(&o, &all[i]);
        sim_free(o.w);
    }
}

static void temporary_ban(void **state)
{
    one_t o = linked(77);

    (void)state;
    sim_cut(o.e, 0);
    o.w->orders.failure = 402;
    o.w->orders.failure_attrs[0] = "expire";
    o.w->orders.failure_attrs[1] = "3600";
    sim_advance(o.w, 2);
    o.w->orders.failure = 0;
    sim_expect_status(o.e, WAGW_STATUS_BANNED);
    sim_free(o.w);
}

static void temporary_ban_ends(void **state)
{
    one_t o = linked(78);
    wagw_arena_t a = {0};

    (void)state;
    sim_cut(o.e, 0);
    o.w->orders.no_success = true;
    sim_advance(o.w, 2);
    o.w->orders.no_success = false;
    sim_push(o.e, sim_node(&a, "failure", "reason", "402", "code", "101", "expire", "3600", NULL));
    sim_run(o.w);
    sim_expect_status(o.e, WAGW_STATUS_BANNED);
    sim_advance(o.w, 3599000);
    sim_expect_status(o.e, WAGW_STATUS_BANNED);
    assert_int_equal(o.e->connects, 3);
    sim_advance(o.w, 2000);
    sim_expect_status(o.e, WAGW_STATUS_CONNECTED);
    wagw_arena_free(&a);
    sim_free(o.w);
}

static void stream_errors(void **state)
{
    static const struct {
        const char *code, *child, *type;
        outcome_t f;
    } all[] = {
        {"401", "conflict", "device_removed", {401, WAGW_STATUS_LOGGED_OUT, true, false, "logged_out"}},
        {"", "conflict", "device_removed", {401, WAGW_STATUS_LOGGED_OUT, true, false, "logged_out"}},
        {"401", NULL, NULL, {401, WAGW_STATUS_LOGGED_OUT, true, false, "logged_out"}},
        {"", "conflict", "replaced", {440, WAGW_STATUS_CONFLICT, false, false, "replaced"}},
        {"409", "conflict", "replaced", {440, WAGW_STATUS_CONFLICT, false, false, "replaced"}},
        {"403", NULL, NULL, {403, WAGW_STATUS_BANNED, false, false, "banned"}},
        {"503", NULL, NULL, {503, WAGW_STATUS_DISCONNECTED, false, true, "connection_lost"}},
        {"500", NULL, NULL, {500, WAGW_STATUS_DISCONNECTED, false, true, "connection_lost"}},
        {"", "xml-not-well-formed", NULL, {500, WAGW_STATUS_DISCONNECTED, false, true, "connection_lost"}},
        {"", "ack", NULL, {500, WAGW_STATUS_DISCONNECTED, false, true, "connection_lost"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        one_t o = with_message(79);
        wagw_arena_t a = {0};
        wagw_node_t *n = sim_node(&a, "stream:error", "code", all[i].code, NULL);
        uint64_t id;

        if (all[i].child) {
            sim_add(&a, n, all[i].child, "type", all[i].type ? all[i].type : "", NULL);
        }
        /* somebody waits for a send */
        o.w->orders.drop_acks = 1;
        id = sim_command(o.e, WAGW_CMD_SEND, "{\"to\":\"49100\",\"message\":\"waits\",\"messageId\":\"3EB0FFFFFFFF\"}");
        sim_run(o.w);
        sim_mem_del(&o.e->mem, WAGW_REC_MESSAGE, WAGW_STR("49100@s.whatsapp.net|3EB0FFFFFFFF|"));
        sim_push(o.e, n);
        sim_run(o.w);
        if (!all[i].f.again) {
            sim_expect(o.e, id, 409, "INSTANCE_NOT_CONNECTED");
        }
        check_outcome(&o, &all[i].f);
        wagw_arena_free(&a);
        sim_free(o.w);
    }
}

static void restart_required(void **state)
{
    one_t o = linked(80);
    wagw_arena_t a = {0};
    unsigned n = sim_events(o.e, "session.status");

    (void)state;
    sim_push(o.e, sim_node(&a, "stream:error", "code", "515", NULL));
    sim_advance(o.w, 2);
    sim_expect_status(o.e, WAGW_STATUS_CONNECTED);
    assert_int_equal(o.e->connects, 3);
    for (unsigned i = n; i < sim_events(o.e, "session.status"); i++) {
        assert_string_not_equal(sim_str(sim_event(o.e, "session.status", i)->data, "status"), "disconnected");
    }
    /* the end of the stream is announced, then the socket closes */
    sim_push(o.e, sim_node(&a, "xmlstreamend", NULL));
    sim_cut(o.e, 0);
    sim_run(o.w);
    sim_expect_status(o.e, WAGW_STATUS_DISCONNECTED);
    sim_advance(o.w, 2000);
    sim_expect_status(o.e, WAGW_STATUS_CONNECTED);
    wagw_arena_free(&a);
    sim_free(o.w);
}

/* A second login with the same credentials: the older one does not fight. */
static void replaced(void **state)
{
    one_t o = linked(81);
    sim_engine_t *twin = sim_engine(o.w, "A2");

    (void)state;
    for (size_t i = 0; i < o.e->mem.n; i++) {
        const sim_rec_t *r = &o.e->mem.v[i];

        sim_mem_put(&twin->mem, r->kind, wagw_str(r->p, r->key_len), wagw_str(r->p + r->key_len, r->n));
    }
    sim_start(twin, false);
    sim_advance(o.w, 5);
    sim_expect_status(twin, WAGW_STATUS_CONNECTED);
    sim_expect_status(o.e, WAGW_STATUS_CONFLICT);
    sim_advance(o.w, 600000);
    sim_expect_status(o.e, WAGW_STATUS_CONFLICT);
    assert_int_equal(o.e->connects, 2);
    sim_free(o.w);
}

/* ---- time ----------------------------------------------------------------------------------- */

/* The connection breaks: ms until the next one. */
static int64_t lost(one_t *o)
{
    sim_expect_status(o->e, WAGW_STATUS_CONNECTED);
    sim_cut(o->e, 0);
    sim_run(o->w);
    assert_true(o->e->timer_at > 0);
    return o->e->timer_at - o->w->now - 1;
}

/* Connections that end right after their login: quick at first, then ever slower. */
static void backoff_of_short_ones(void **state)
{
    one_t o = linked(86);
    static const int64_t want[] = {0, 1000, 1000, 1000, 1000, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    int64_t d;

    (void)state;
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        sim_advance(o.w, 300);
        d = lost(&o);
        assert_true(d >= want[i] * 8 / 10 && d <= want[i] * 12 / 10);
        sim_advance(o.w, d + 2);
    }

    /* one that lasts ten seconds is enough for a quick one, but not for none */
    sim_advance(o.w, 10000);
    d = lost(&o);
    assert_true(d >= 800 && d <= 1200);
    sim_advance(o.w, d + 2);

    /* a login that is not reached counts, whatever came before */
    sim_advance(o.w, 61000);
    assert_int_equal(lost(&o), 0);
    o.w->orders.failure = 503;
    sim_advance(o.w, 1000 + 1200 + 2400 + 4800);
    assert_true(o.e->timer_at - o.w->now > 1200);
    o.w->orders.failure = 0;
    sim_advance(o.w, 20000);
    sim_expect_status(o.e, WAGW_STATUS_CONNECTED);
    sim_free(o.w);
}

static void backoff(void **state)
{
    one_t o = linked(82);
    static const int64_t want[] = {0, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000};
    int64_t at, d;
    unsigned n;

    (void)state;
    o.e->refuse_connects = 10;
    sim_cut(o.e, 0);
    sim_run(o.w);
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        at = o.w->now;
        n = o.e->connects;
        assert_true(o.e->timer_at > 0);
        d = o.e->timer_at - at;
        assert_true(d >= want[i] * 8 / 10 && d <= want[i] * 12 / 10 + 1);
        sim_advance(o.w, d);
        assert_int_equal(o.e->connects, n + 1);
    }
    sim_expect_status(o.e, WAGW_STATUS_DISCONNECTED);
    sim_advance(o.w, 75000);
    sim_expect_status(o.e, WAGW_STATUS_CONNECTED);

    /* the login forgot the tries before it, not that this was a moment ago; after a minute: from zero */
    sim_advance(o.w, 5000);
    assert_true(lost(&o) - 1000 <= 200);
    sim_advance(o.w, 1300);
    sim_expect_status(o.e, WAGW_STATUS_CONNECTED);
    sim_advance(o.w, 61000);
    assert_int_equal(lost(&o), 0);
    sim_advance(o.w, 2);
    sim_expect_status(o.e, WAGW_STATUS_CONNECTED);
    sim_cut(o.e, 0);

    /* stopped: nothing more */
    n = o.e->connects;
    wagw_client_stop(o.e->c, true, o.w->now);
    sim_advance(o.w, 600000);
    assert_int_equal(o.e->connects, n);
    sim_expect_status(o.e, WAGW_STATUS_PAUSED);
    sim_free(o.w);
}

static void keepalive(void **state)
{
    one_t o = linked(83);
    sim_log_t *mark = sim_mark(o.w);
    unsigned n = 0;
    const wagw_node_t *iq;

    (void)state;
    sim_advance(o.w, 300000);
    sim_expect_status(o.e, WAGW_STATUS_CONNECTED);
    for (unsigned i = 0; (iq = sim_sent(o.e, mark, "iq", i)) != NULL; i++) {
        n += wagw_node_attr_is(iq, "xmlns", "w:p") && wagw_node_find(iq, "ping");
    }
    assert_in_range(n, 10, 15);
    assert_int_equal(o.e->connects, 2);

    /* the server falls silent: noticed after 35 to 50 s */
    sim_do(o.e, WAGW_CMD_CHECK_EXISTS, "{\"phoneNumber\":\"49100\"}", 200);
    o.w->orders.silent = true;
    sim_advance(o.w, 34000);
    sim_expect_status(o.e, WAGW_STATUS_CONNECTED);
    sim_advance(o.w, 17000);
    assert_string_equal(
        sim_str(sim_event(o.e, "session.status", sim_events(o.e, "session.status") - 2)->data, "reason"),
        "connection_lost");
    assert_int_equal(sim_info(o.e).disconnect_code, 408);
    o.w->orders.silent = false;
    sim_advance(o.w, 120000);
    sim_expect_status(o.e, WAGW_STATUS_CONNECTED);

    /* silence at each earlier stage ends, too */
    sim_cut(o.e, 0);
    o.w->orders.no_success = true;
    sim_advance(o.w, 40000);
    assert_int_equal(sim_info(o.e).disconnect_code, 408);
    o.w->orders.no_success = false;
    sim_advance(o.w, 120000);
    sim_expect_status(o.e, WAGW_STATUS_CONNECTED);
    o.w->orders.no_answer = ~0u;
    o.w->orders.no_answer_ns = "passive";
    sim_cut(o.e, 0);
    sim_advance(o.w, 5000);
    sim_expect_status(o.e, WAGW_STATUS_CONNECTING);
    sim_advance(o.w, 60000);
    assert_int_equal(sim_info(o.e).disconnect_code, 408);
    o.w->orders.no_answer = 0;
    sim_advance(o.w, 120000);
    sim_expect_status(o.e, WAGW_STATUS_CONNECTED);

    /* a prekey count that never comes does not block the login */
    o.w->orders.no_answer = ~0u;
    o.w->orders.no_answer_ns = "encrypt";
    sim_cut(o.e, 0);
    sim_advance(o.w, 5000);
    sim_expect_status(o.e, WAGW_STATUS_CONNECTING);
    sim_advance(o.w, 70000);
    sim_expect_status(o.e, WAGW_STATUS_CONNECTED);
    sim_free(o.w);
}

static void pieces(void **state)
{
    one_t o = one(84);

    (void)state;
    o.w->orders.chop = 7; /* the server's bytes come in pieces of seven */
    sim_link(o.e, o.acc);
    sim_do(o.e, WAGW_CMD_SEND, TEXT("49100", "note"), 200);
    assert_int_equal(o.e->errors, 0);
    sim_free(o.w);
}

static void clock_jumps(void **state)
{
    one_t o = linked(85);

    (void)state;
    /* the machine slept: everything is overdue at once */
    o.w->now += INT64_C(86400000) * 3;
    wagw_client_tick(o.e->c, o.w->now);
    sim_advance(o.w, 5000);
    sim_expect_status(o.e, WAGW_STATUS_CONNECTED);
    /* and went back */
    o.w->now -= INT64_C(86400000);
    sim_do(o.e, WAGW_CMD_SEND, TEXT("49100", "note"), 200);
    sim_free(o.w);
}

/* At no moment of a start does the row forget whose instance it is: an owner
 * that died there would leave it to the next one as unlinked. */
static void start_keeps_account(void **state)
{
    one_t o = linked(86);

    (void)state;
    sim_crash(o.e, false);
    sim_revive(o.e);
    do {
        assert_true(o.e->row.jid.n > 0);
        assert_true(o.e->row.lid.n > 0);
    } while (sim_step(o.w));
    sim_expect_status(o.e, WAGW_STATUS_CONNECTED);
    sim_free(o.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(login_failures),
        cmocka_unit_test(temporary_ban),
        cmocka_unit_test(temporary_ban_ends),
        cmocka_unit_test(stream_errors),
        cmocka_unit_test(restart_required),
        cmocka_unit_test(replaced),
        cmocka_unit_test(backoff),
        cmocka_unit_test(backoff_of_short_ones),
        cmocka_unit_test(keepalive),
        cmocka_unit_test(pieces),
        cmocka_unit_test(clock_jumps),
        cmocka_unit_test(start_keeps_account),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
