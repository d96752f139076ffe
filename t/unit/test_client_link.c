/*
 * Linking: by QR, by code, and what can go wrong on the way.
 */

#include "client_sim.h"

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

static const cJSON *last_status(sim_engine_t *e)
{
    return sim_last_event(e, "session.status")->data;
}

static void two_end(sim_two_t *p)
{
    assert_int_equal(p->a->errors, 0);
    assert_int_equal(p->b->errors, 0);
    sim_free(p->w);
}

static bool has_record(sim_engine_t *e, uint8_t kind, const char *key)
{
    return sim_mem_get(&e->mem, kind, wagw_cstr(key)).p != NULL;
}

/* ---- linking ---------------------------------------------------------------- */

static void link_by_qr(void **state)
{
    sim_two_t p = sim_two_linked(1);
    wagw_creds_t c;
    wagw_client_info_t i = sim_info(p.a);

    (void)state;
    sim_creds(p.a, &c);
    assert_true(c.paired);
    assert_string_equal(c.jid.user, "49100");
    assert_int_equal(c.jid.device, 5);
    assert_string_equal(c.lid.user, "9100");
    assert_int_equal(c.lid.device, 5);
    assert_memory_equal(c.account_key, p.aa->identity.pub, 32);
    assert_string_equal(c.platform, "android");
    assert_true(i.linked);
    assert_string_equal(i.jid.user, "49100");
    assert_int_equal(i.qr.n, 0);
    assert_int_equal(c.first_unuploaded, 813);
    assert_int_equal(c.next_prekey, 813);
    assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_PREKEY, ""), 812);
    assert_true(has_record(p.a, WAGW_REC_LID_OF, "49100"));
    assert_true(has_record(p.a, WAGW_REC_IDENTITY, "9100_1.0"));
    assert_true(wagw_str_is(p.a->row.status, "connected"));
    assert_true(wagw_str_is(p.a->row.jid, "49100:5@s.whatsapp.net"));
    two_end(&p);
}

static void link_by_code(void **state)
{
    sim_t *w = sim_new(2);
    sim_account_t *acc = sim_account(w, "49100", "9100");
    sim_engine_t *e = sim_engine(w, "A");
    uint64_t id;
    sim_reply_t *r;
    sim_event_t *ev;
    char code[16];

    (void)state;
    id = sim_command(e, WAGW_CMD_PAIRING_CODE, "{\"phoneNumber\":\"+49 (100)\"}");
    sim_run(w);
    sim_expect(e, id, 400, "VALIDATION_FAILED");
    snprintf(acc->pn, sizeof(acc->pn), "4910000");
    id = sim_command(e, WAGW_CMD_PAIRING_CODE, "{\"phoneNumber\":\"+49 10000\"}");
    sim_run(w);
    r = sim_expect(e, id, 200, "");
    assert_int_equal(cJSON_GetObjectItem(r->data, "expiresIn")->valueint, 160);
    snprintf(code, sizeof(code), "%s", sim_str(r->data, "pairingCode"));
    assert_true(wagw_pair_code_valid(wagw_cstr(code)));
    sim_expect_status(e, WAGW_STATUS_PAIRING);
    ev = sim_last_event(e, "session.status");
    assert_string_equal(sim_str(ev->data, "pairingCode"), code);
    sim_type_code(e, acc, code);
    sim_advance(w, 10);
    sim_expect_status(e, WAGW_STATUS_CONNECTED);
    assert_int_equal(e->errors, 0);
    id = sim_command(e, WAGW_CMD_PAIRING_CODE, "{\"phoneNumber\":\"4910000\"}");
    sim_run(w);
    sim_expect(e, id, 409, "ALREADY_CONNECTED");
    sim_free(w);
}

static void link_by_custom_code(void **state)
{
    sim_t *w = sim_new(3);
    sim_account_t *acc = sim_account(w, "4910000", "9100");
    sim_engine_t *e = sim_engine(w, "A");
    uint64_t id;

    (void)state;
    id = sim_command(e, WAGW_CMD_PAIRING_CODE, "{\"phoneNumber\":\"4910000\",\"customCode\":\"ABCDEFGI\"}");
    sim_run(w);
    sim_expect(e, id, 400, "VALIDATION_FAILED");
    sim_start(e, true); /* a QR is shown first */
    sim_run(w);
    sim_expect_status(e, WAGW_STATUS_QR);
    id = sim_command(e, WAGW_CMD_PAIRING_CODE, "{\"phoneNumber\":\"4910000\",\"customCode\":\"ABCDEFGH\"}");
    sim_run(w);
    assert_string_equal(sim_str(sim_expect(e, id, 200, "")->data, "pairingCode"), "ABCDEFGH");
    sim_type_code(e, acc, "ABCDEFGJ"); /* a slip of the finger, then the right one */
    sim_advance(w, 10);
    sim_expect_status(e, WAGW_STATUS_PAIRING);
    sim_type_code(e, acc, "ABCDEFGH");
    sim_advance(w, 10);
    sim_expect_status(e, WAGW_STATUS_CONNECTED);
    assert_int_equal(e->connects, 2);
    sim_free(w);
}

/* ---- QR codes -------------------------------------------------------------------- */

static void qr_rotation(void **state)
{
    one_t o = one(70);
    char first[640], text[640];
    uint64_t id;
    sim_reply_t *r;
    static const int life[] = {60, 20, 20, 20, 20, 20};

    (void)state;
    id = sim_command(o.e, WAGW_CMD_QR, NULL);
    sim_run(o.w);
    r = sim_expect(o.e, id, 200, "");
    snprintf(first, sizeof(first), "%s", sim_str(r->data, "raw"));
    assert_int_equal(cJSON_GetObjectItem(r->data, "expiresIn")->valueint, 60);
    assert_int_equal(cJSON_GetObjectItem(r->data, "attempt")->valueint, 1);
    assert_string_equal(sim_str(last_status(o.e), "qrCode"), first);
    for (unsigned i = 0; i < 6; i++) {
        sim_expect_status(o.e, WAGW_STATUS_QR);
        assert_int_equal(sim_info(o.e).qr_attempt, i + 1);
        assert_int_equal(sim_info(o.e).qr_expires_ms - o.w->now, life[i] * 1000);
        snprintf(text, sizeof(text), "%.*s", (int)sim_info(o.e).qr.n, (const char *)sim_info(o.e).qr.p);
        assert_int_equal(strcmp(text, first) == 0, i == 0);
        /* pings go on meanwhile: the connection is not taken for dead */
        sim_advance(o.w, life[i] * 1000);
    }
    sim_expect_status(o.e, WAGW_STATUS_DISCONNECTED);
    assert_int_equal(o.w->now - SIM_START, 160000);
    assert_string_equal(sim_str(last_status(o.e), "reason"), "timeout");
    assert_int_equal(cJSON_GetObjectItem(last_status(o.e), "code")->valueint, 408);
    assert_int_equal(sim_info(o.e).qr.n, 0);

    /* only on request again, with the same keys */
    sim_advance(o.w, 600000);
    assert_int_equal(o.e->connects, 1);
    id = sim_command(o.e, WAGW_CMD_QR, NULL);
    sim_run(o.w);
    r = sim_expect(o.e, id, 200, "");
    assert_int_equal(o.e->connects, 2);
    assert_string_equal(strchr(sim_str(r->data, "raw"), '=') + 3, strchr(first, '=') + 3);
    sim_scan(o.e, o.acc);
    sim_advance(o.w, 5);
    sim_expect_status(o.e, WAGW_STATUS_CONNECTED);
    assert_int_equal(o.e->errors, 0);
    sim_free(o.w);
}

static void qr_one_ref(void **state)
{
    one_t o = one(71);
    wagw_arena_t a = {0};
    wagw_node_t *iq, *pd;

    (void)state;
    o.w->orders.refs = 1;
    sim_start(o.e, true);
    sim_run(o.w);
    sim_expect_status(o.e, WAGW_STATUS_QR);
    /* new refs begin anew */
    iq = sim_node(&a, "iq", "from", "@s.whatsapp.net", "type", "set", "id", "1", "xmlns", "md", NULL);
    pd = sim_add(&a, iq, "pair-device", NULL);
    wagw_node_bytes(sim_add(&a, pd, "ref", NULL), WAGW_STR("2@second"));
    sim_advance(o.w, 50000);
    sim_push(o.e, iq);
    sim_run(o.w);
    assert_non_null(strstr((const char *)sim_info(o.e).qr.p, "#2@second,"));
    sim_advance(o.w, 59000);
    sim_expect_status(o.e, WAGW_STATUS_QR);
    sim_advance(o.w, 1000);
    sim_expect_status(o.e, WAGW_STATUS_DISCONNECTED);
    /* a pair-device without refs leaves it waiting, not stuck for ever */
    o.w->orders.refs = 0;
    sim_start(o.e, true);
    sim_run(o.w);
    sim_expect_status(o.e, WAGW_STATUS_CONNECTING);
    sim_advance(o.w, 31000);
    sim_expect_status(o.e, WAGW_STATUS_DISCONNECTED);
    wagw_arena_free(&a);
    sim_free(o.w);
}

static void qr_and_closed_socket(void **state)
{
    one_t o = one(72);
    uint64_t id;

    (void)state;
    sim_start(o.e, true);
    sim_run(o.w);
    sim_cut(o.e, 0);
    sim_run(o.w);
    sim_expect_status(o.e, WAGW_STATUS_DISCONNECTED);
    sim_advance(o.w, 300000);
    assert_int_equal(o.e->connects, 1);
    /* no server at all: the caller hears it */
    o.e->refuse_connects = 1;
    id = sim_command(o.e, WAGW_CMD_QR, NULL);
    sim_run(o.w);
    sim_expect(o.e, id, 404, "QR_NOT_AVAILABLE");
    sim_free(o.w);
}

static void restart_variants(void **state)
{
    one_t o = one(73);

    (void)state;
    /* 515 never comes: 30 s */
    o.w->orders.no_515 = true;
    sim_start(o.e, true);
    sim_run(o.w);
    sim_scan(o.e, o.acc);
    sim_run(o.w);
    sim_expect_status(o.e, WAGW_STATUS_CONNECTING);
    sim_advance(o.w, 29000);
    assert_int_equal(o.e->connects, 1);
    sim_advance(o.w, 1100);
    sim_expect_status(o.e, WAGW_STATUS_CONNECTED);
    assert_int_equal(o.e->connects, 2);
    for (sim_event_t *ev = o.e->events; ev; ev = ev->next) {
        assert_string_not_equal(sim_str(ev->data, "status"), "disconnected");
    }
    /* the socket just closes */
    sim_do(o.e, WAGW_CMD_LOGOUT, NULL, 200);
    o.w->orders.no_515 = false;
    o.w->orders.close_after_sign = true;
    sim_start(o.e, true);
    sim_run(o.w);
    sim_scan(o.e, o.acc);
    sim_advance(o.w, 5);
    sim_expect_status(o.e, WAGW_STATUS_CONNECTED);
    assert_int_equal(o.e->errors, 0);
    sim_free(o.w);
}

static void crash_while_linking(void **state)
{
    (void)state;
    /* between any two steps after the scan: linked in the end, or asked again */
    for (unsigned k = 0; k < 40; k++) {
        one_t o = one(74);
        bool done = false;

        sim_start(o.e, true);
        sim_run(o.w);
        sim_scan(o.e, o.acc);
        for (unsigned i = 0; i < k && !done; i++) {
            done = !sim_step(o.w);
        }
        sim_crash(o.e, k % 2);
        sim_run(o.w);
        sim_revive(o.e);
        sim_advance(o.w, 10);
        if (sim_info(o.e).linked) {
            if (sim_device(o.acc, 5) == NULL) {
                /* committed, but the server never saw our signature: refused as unknown */
                sim_expect_status(o.e, WAGW_STATUS_LOGGED_OUT);
            } else {
                sim_expect_status(o.e, WAGW_STATUS_CONNECTED);
            }
        }
        if (!sim_info(o.e).linked) {
            sim_start(o.e, true);
            sim_run(o.w);
            sim_expect_status(o.e, WAGW_STATUS_QR);
            sim_scan(o.e, o.acc);
            sim_advance(o.w, 10);
            sim_expect_status(o.e, WAGW_STATUS_CONNECTED);
        }
        assert_int_equal(o.e->errors, 0);
        sim_free(o.w);
        if (done) {
            return;
        }
    }
}

static void pair_refused(void **state)
{
    one_t o = one(75);
    wagw_arena_t a = {0};
    wagw_node_t *iq, *ps;
    sim_log_t *mark;

    (void)state;
    sim_start(o.e, true);
    sim_run(o.w);
    mark = sim_mark(o.w);
    iq = sim_node(&a, "iq", "from", "@s.whatsapp.net", "type", "set", "id", "55", "xmlns", "md", NULL);
    ps = sim_add(&a, iq, "pair-success", NULL);
    wagw_node_bytes(sim_add(&a, ps, "device-identity", NULL), WAGW_STR("\x0a\x03xyz"));
    sim_add(&a, ps, "device", "jid", "49100:5@s.whatsapp.net", "lid", "9100:5@lid", NULL);
    sim_push(o.e, iq);
    sim_run(o.w);
    assert_true(sim_has(sim_sent(o.e, mark, "iq", 0), "type", "error", "id", "55", NULL));
    assert_true(
        sim_has(wagw_node_find(sim_sent(o.e, mark, "iq", 0), "error"), "code", "500", "text", "internal-error", NULL));
    sim_expect_status(o.e, WAGW_STATUS_FAILED);
    assert_int_equal(o.e->conn, 0);
    assert_false(sim_info(o.e).linked);
    /* the user tries again */
    sim_start(o.e, true);
    sim_run(o.w);
    sim_expect_status(o.e, WAGW_STATUS_QR);
    sim_scan(o.e, o.acc);
    sim_advance(o.w, 5);
    sim_expect_status(o.e, WAGW_STATUS_CONNECTED);
    wagw_arena_free(&a);
    sim_free(o.w);
}

/*
 * The keys of the first upload are made elsewhere.  Whatever happens while they
 * are: nothing but one upload of the ids 1 to 812 comes of it.
 */
static void keys_on_their_way(void **state)
{
    sim_log_t *mark;
    sim_device_t *d;
    sim_otk_t *o;
    wagw_creds_t c;
    wagw_arena_t a = {0};
    wagw_node_t *n =
        sim_node(&a, "notification", "from", "@s.whatsapp.net", "type", "encrypt", "id", "n9", "t", "1", NULL);
    bool seen[813];

    (void)state;
    sim_add(&a, n, "count", "value", "0", NULL);
    for (int kind = 0; kind < 4; kind++) {
        one_t w = one(30 + (uint64_t)kind);

        sim_start(w.e, true);
        sim_run(w.w);
        sim_scan(w.e, w.acc);
        w.e->hold_work = true;
        sim_advance(w.w, 5);
        sim_expect_status(w.e, WAGW_STATUS_CONNECTING);
        d = sim_device_of(w.e);
        sim_creds(w.e, &c);
        assert_true(c.paired && c.next_prekey == 1);
        assert_int_equal(sim_mem_count(&w.e->mem, WAGW_REC_PREKEY, ""), 0);
        mark = sim_mark(w.w);

        switch (kind) {
        case 0: /* the server says meanwhile that there are none */
            sim_push(w.e, n);
            sim_push(w.e, n);
            sim_run(w.w);
            break;
        case 1: /* the connection breaks */
            sim_cut(w.e, 0);
            sim_advance(w.w, 5);
            assert_int_equal(w.e->connects, 3);
            break;
        case 2: /* the process dies */
            sim_crash(w.e, true);
            w.e->hold_work = false;
            sim_revive(w.e);
            break;
        case 3: /* it waits for long: the login is given up */
            sim_advance(w.w, 100000);
            assert_int_equal(sim_info(w.e).disconnect_code, 408);
            break;
        }
        sim_release(w.e);
        sim_advance(w.w, 2000);
        sim_expect_status(w.e, WAGW_STATUS_CONNECTED);
        sim_creds(w.e, &c);
        assert_int_equal(c.next_prekey, 813);
        assert_int_equal(c.first_unuploaded, 813);
        assert_int_equal(sim_mem_count(&w.e->mem, WAGW_REC_PREKEY, ""), 812);
        assert_int_equal(d->uploads, 1);
        assert_non_null(sim_sent_iq(w.e, mark, "encrypt", "list"));
        memset(seen, 0, sizeof(seen));
        for (o = d->otks; o; o = o->next) {
            assert_true(o->id > 0 && o->id < 813 && !seen[o->id]);
            seen[o->id] = true;
        }
        sim_free(w.w);
    }
    wagw_arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(link_by_qr),          cmocka_unit_test(link_by_code),
        cmocka_unit_test(link_by_custom_code), cmocka_unit_test(qr_rotation),
        cmocka_unit_test(qr_one_ref),          cmocka_unit_test(qr_and_closed_socket),
        cmocka_unit_test(restart_variants),    cmocka_unit_test(crash_while_linking),
        cmocka_unit_test(pair_refused),        cmocka_unit_test(keys_on_their_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
