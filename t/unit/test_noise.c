#include "noise_pair.h"
#include "../../core/binary/node.h"

/* ---- noise-handshake.json ---- */

static wagw_keypair_t vec_keypair(const cJSON *root, const char *name)
{
    const cJSON *keys = vec_get(vec_get(root, "keys"), name);
    wagw_keypair_t kp;

    assert_int_equal(vec_hex(keys, "private", kp.priv, 32), 32);
    assert_int_equal(vec_hex(keys, "public", kp.pub, 32), 32);
    return kp;
}

/* A wagw_random_pt that gives the bytes of a key. */
static void give_key(void *data, uint8_t *p, size_t n)
{
    assert_int_equal(n, 32);
    memcpy(p, data, n);
}

static const cJSON *vec_step(const cJSON *root, const char *name)
{
    const cJSON *step;

    cJSON_ArrayForEach(step, vec_get(root, "steps"))
    {
        if (strcmp(vec_str(step, "step"), name) == 0) {
            return step;
        }
    }
    fail_msg("no step %s", name);
    return NULL;
}

static bool same_hex(const cJSON *obj, const char *key, wagw_str_t got)
{
    wagw_arena_t a = {0};
    wagw_str_t want = vec_bytes(&a, obj, key);
    bool same = want.p != NULL && wagw_str_eq(want, got);

    wagw_arena_free(&a);
    return same;
}

static bool same_step(const cJSON *root, const char *name, const wagw_noise_t *s)
{
    const cJSON *step = vec_step(root, name);

    return same_hex(step, "hash", wagw_str(s->h, 32)) && same_hex(step, "salt", wagw_str(s->ck, 32)) &&
           same_hex(step, "key", wagw_str(s->k, 32)) && vec_int(step, "counter", -1) == s->n_hs;
}

typedef struct {
    const cJSON *root;
    unsigned passed;
    unsigned failed;
} tally_t;

static void count(tally_t *t, const char *what, size_t row, bool ok)
{
    if (ok) {
        t->passed++;
    } else {
        t->failed++;
        print_error("%s %zu\n", what, row);
    }
}

/* Plaintext by plaintext through one direction: bytes out are the file's. */
static void run_direction(tally_t *t, const char *list, wagw_noise_t *from, wagw_noise_t *to)
{
    const cJSON *row;
    wagw_arena_t a = {0};
    wagw_node_t *n;
    size_t i = 0, used;

    cJSON_ArrayForEach(row, vec_get(t->root, list))
    {
        wagw_buf_t wire = {0}, plain = {0};
        wagw_str_t text = vec_bytes(&a, row, "plaintext"), body;
        bool ok;

        ok = from->n_send == vec_int(row, "counter", -1) && wagw_noise_seal(from, &wire, text) == WAGW_OK &&
             same_hex(row, "frame", wagw_buf_view(&wire)) &&
             wagw_frame_next(wagw_buf_view(&wire), WAGW_FRAME_MAX, &body, &used) == WAGW_OK && used == wire.n &&
             wagw_noise_open(to, &plain, body) == WAGW_OK && wagw_str_eq(wagw_buf_view(&plain), text) &&
             wagw_node_decode(&n, &a, wagw_buf_view(&plain)) == WAGW_OK;
        ok = ok && wagw_node_is(n, vec_str(vec_get(row, "node"), "tag"));
        count(t, list, i++, ok);
        wagw_buf_free(&wire);
        wagw_buf_free(&plain);
        wagw_arena_reset(&a);
    }
    wagw_arena_free(&a);
}

/* The server's frames as WebSocket messages cut at odd places. */
static void run_messages(tally_t *t, wagw_noise_t client)
{
    const cJSON *row;
    wagw_arena_t a = {0};
    wagw_buf_t in = {0}, plain = {0};
    wagw_str_t body;
    size_t i = 0, used;

    cJSON_ArrayForEach(row, vec_get(t->root, "server_websocket_messages"))
    {
        int64_t nodes = 0;
        int rc;

        wagw_buf_str(&in, vec_bytes(&a, row, "message"));
        while ((rc = wagw_frame_next(wagw_buf_view(&in), WAGW_FRAME_MAX, &body, &used)) == WAGW_OK) {
            rc = wagw_noise_open(&client, &plain, body);
            wagw_buf_consume(&in, used);
            if (rc != WAGW_OK) {
                break;
            }
            nodes++;
        }
        count(t, "server_websocket_messages", i++, rc == WAGW_AGAIN && nodes == vec_int(row, "nodes_completed", -1));
    }
    wagw_buf_free(&in);
    wagw_buf_free(&plain);
    wagw_arena_free(&a);
}

static void run_reject(tally_t *t, const wagw_keypair_t *e, const wagw_keypair_t *noise_key, const uint8_t root[32])
{
    const cJSON *row;
    wagw_arena_t a = {0};
    size_t i = 0;

    cJSON_ArrayForEach(row, vec_get(t->root, "reject"))
    {
        wagw_noise_t s;
        wagw_buf_t out = {0};
        wagw_str_t body = vec_bytes(&a, row, "server_hello");
        const char *why = NULL;
        size_t before;
        bool ok;

        ok = body.p != NULL && wagw_noise_client_init(&s, e, NULL, NULL) == WAGW_OK &&
             wagw_noise_client_hello(&s, &out, WAGW_STR_NULL) == WAGW_OK;
        before = out.n;
        ok = ok && wagw_noise_client_finish(&s, &out, body, WAGW_STR("payload"), noise_key, root, NOW, &why) < 0 &&
             out.n == before && s.state == WAGW_NOISE_FAILED && why != NULL && *why != '\0';
        count(t, vec_str(row, "name"), i++, ok);
        wagw_buf_free(&out);
    }
    wagw_arena_free(&a);
}

static void test_vectors(void **state)
{
    tally_t t = {vec_load("noise-handshake"), 0, 0};
    wagw_keypair_t ce, cs, se, ss;
    wagw_noise_t client, server;
    wagw_arena_t a = {0};
    wagw_buf_t out = {0}, payload = {0};
    const cJSON *messages = vec_get(t.root, "messages"), *member;
    wagw_str_t client_payload, routing;
    uint8_t root[32], peer[32];
    const char *why = NULL;
    static const char *const known[] = {"client_to_server", "server_to_client", "server_websocket_messages", "reject",
                                        "steps"};

    (void)state;
    if (t.root == NULL) {
        return;
    }
    ce = vec_keypair(t.root, "client_ephemeral");
    cs = vec_keypair(t.root, "client_static");
    se = vec_keypair(t.root, "server_ephemeral");
    ss = vec_keypair(t.root, "server_static");
    assert_int_equal(vec_hex(vec_get(t.root, "certificate"), "root_public", root, 32), 32);
    client_payload = vec_bytes(&a, t.root, "client_payload");
    routing = vec_bytes(&a, t.root, "routing_info");

    assert_int_equal(wagw_noise_client_init(&client, &ce, NULL, NULL), WAGW_OK);
    count(&t, "step hash client ephemeral public", 0, same_step(t.root, "hash client ephemeral public", &client));
    assert_int_equal(wagw_noise_client_hello(&client, &out, routing), WAGW_OK);
    count(&t, "client_hello_wire", 0, same_hex(messages, "client_hello_wire", wagw_buf_view(&out)));

    assert_int_equal(wagw_noise_server_init(&server, give_key, se.priv), WAGW_OK);
    count(&t, "step hash header", 0, same_hex(vec_step(t.root, "hash header"), "hash", wagw_str(server.h, 32)));
    wagw_buf_reset(&out);
    assert_int_equal(wagw_noise_server_hello(&server, &out, vec_bytes(&a, messages, "client_hello"), &ss,
                                             vec_bytes(&a, vec_get(t.root, "certificate"), "chain")),
                     WAGW_OK);
    count(&t, "step seal certificate chain", 0, same_step(t.root, "seal certificate chain", &server));
    count(&t, "server_hello_wire", 0, same_hex(messages, "server_hello_wire", wagw_buf_view(&out)));

    wagw_buf_reset(&out);
    assert_int_equal(wagw_noise_client_finish(&client, &out, vec_bytes(&a, messages, "server_hello"), client_payload,
                                              &cs, root, NOW, &why),
                     WAGW_OK);
    count(&t, "client_finish_wire", 0, same_hex(messages, "client_finish_wire", wagw_buf_view(&out)));
    assert_int_equal(wagw_noise_server_finish(&server, vec_bytes(&a, messages, "client_finish"), peer, &payload),
                     WAGW_OK);
    count(&t, "client static", 0, memcmp(peer, cs.pub, 32) == 0);
    count(&t, "client payload", 0, wagw_str_eq(wagw_buf_view(&payload), client_payload));
    count(&t, "client to server key", 0,
          same_hex(vec_get(t.root, "transport_keys"), "client_to_server", wagw_str(client.send_key, 32)) &&
              memcmp(client.send_key, server.recv_key, 32) == 0);
    count(&t, "server to client key", 0,
          same_hex(vec_get(t.root, "transport_keys"), "server_to_client", wagw_str(client.recv_key, 32)) &&
              memcmp(client.recv_key, server.send_key, 32) == 0);

    run_messages(&t, client);
    run_direction(&t, "client_to_server", &client, &server);
    run_direction(&t, "server_to_client", &server, &client);
    run_reject(&t, &ce, &cs, root);

    cJSON_ArrayForEach(member, t.root)
    {
        size_t i, found = 0;

        for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
            found += strcmp(member->string, known[i]) == 0;
        }
        if (cJSON_IsArray(member) && !found) {
            count(&t, member->string, 0, false);
        }
    }
    vec_count("noise-handshake", t.passed, t.failed, 0);
    assert_int_equal(t.failed, 0);
    wagw_buf_free(&out);
    wagw_buf_free(&payload);
    wagw_arena_free(&a);
    cJSON_Delete((cJSON *)t.root);
}

/* ---- both sides against each other ---- */

static void pair_connect(pair_t *p)
{
    uint8_t peer[32];
    wagw_buf_t payload = {0};

    wagw_buf_cstr(&payload, "before: ");
    assert_int_equal(pair_hello(p, NOW, WAGW_STR("hello, server")), WAGW_OK);
    assert_int_equal(wagw_noise_server_finish(&p->server, only_frame(&p->up, 0), peer, &payload), WAGW_OK);
    assert_memory_equal(peer, p->client_key.pub, 32);
    assert_true(wagw_str_is(wagw_buf_view(&payload), "before: hello, server"));
    wagw_buf_free(&payload);
    wagw_buf_reset(&p->up);
    wagw_buf_reset(&p->down);
}

static void test_pair(void **state)
{
    static const uint8_t zero[32];
    pair_t p;
    wagw_buf_t plain = {0};
    wagw_str_t body;
    size_t i, n, used;
    uint8_t text[700];

    (void)state;
    pair_init(&p);
    pair_connect(&p);
    /* nothing of the handshake stays */
    assert_memory_equal(p.client.h, zero, 32);
    assert_memory_equal(p.client.ck, zero, 32);
    assert_memory_equal(p.client.k, zero, 32);
    assert_memory_equal(p.client.e.priv, zero, 32);
    assert_memory_equal(p.server.e.priv, zero, 32);

    for (n = 0; n < sizeof(text); n += 69) {
        memset(text, (int)n, sizeof(text));
        assert_int_equal(wagw_noise_seal(&p.client, &p.up, wagw_str(text, n)), WAGW_OK);
        assert_int_equal(wagw_noise_seal(&p.server, &p.down, wagw_str(text, n)), WAGW_OK);
    }
    for (n = 0; n < sizeof(text); n += 69) {
        memset(text, (int)n, sizeof(text));
        for (i = 0; i < 2; i++) {
            wagw_buf_t *in = i ? &p.up : &p.down;

            wagw_buf_reset(&plain);
            assert_int_equal(wagw_frame_next(wagw_buf_view(in), WAGW_FRAME_MAX, &body, &used), WAGW_OK);
            assert_int_equal(wagw_noise_open(i ? &p.server : &p.client, &plain, body), WAGW_OK);
            wagw_buf_consume(in, used);
            assert_int_equal(plain.n, n);
            assert_memory_equal(plain.p ? plain.p : text, text, n);
        }
    }
    wagw_buf_free(&plain);
    pair_free(&p);
}

/* Frame by frame however the bytes come, also one at a time. */
static void test_reassembly(void **state)
{
    pair_t p;
    wagw_buf_t in = {0}, plain = {0};
    wagw_str_t body;
    size_t step, at, used, i;

    (void)state;
    pair_init(&p);
    for (step = 1; step < 50; step += 3) {
        unsigned frames = 0;

        pair_connect(&p);
        for (i = 0; i < 5; i++) {
            assert_int_equal(wagw_noise_seal(&p.server, &p.down, wagw_str("abcdefghij", i * 2)), WAGW_OK);
        }
        for (at = 0; at < p.down.n; at += step) {
            int rc;

            wagw_buf_add(&in, p.down.p + at, at + step < p.down.n ? step : p.down.n - at);
            while ((rc = wagw_frame_next(wagw_buf_view(&in), WAGW_FRAME_MAX, &body, &used)) == WAGW_OK) {
                wagw_buf_reset(&plain);
                assert_int_equal(wagw_noise_open(&p.client, &plain, body), WAGW_OK);
                assert_int_equal(plain.n, frames * 2);
                wagw_buf_consume(&in, used);
                frames++;
            }
            assert_int_equal(rc, WAGW_AGAIN);
            assert_int_equal(used, 0);
        }
        assert_int_equal(frames, 5);
        assert_int_equal(in.n, 0);
    }
    wagw_buf_free(&in);
    wagw_buf_free(&plain);
    pair_free(&p);
}

static void test_frames(void **state)
{
    static const uint8_t whole[] = {'E', 'D', 0, 1, 0, 0, 2, 'r', 'i', 'W', 'A', 6, 3, 0, 0, 1, 'x'};
    uint8_t broken[sizeof(whole)];
    wagw_str_t body, routing;
    size_t n, used;

    (void)state;
    for (n = 0; n < sizeof(whole); n++) {
        assert_int_equal(wagw_frame_intro(wagw_str(whole, n), &used, &routing), n < 13 ? WAGW_AGAIN : WAGW_OK);
        assert_int_equal(used, n < 13 ? 0 : 13);
        assert_int_equal(routing.n, n < 13 ? 0 : 2);
        /* without a pre-intro */
        if (n >= 9) {
            assert_int_equal(wagw_frame_intro(wagw_str(whole + 9, n - 9), &used, &routing),
                             n < 13 ? WAGW_AGAIN : WAGW_OK);
            assert_int_equal(used, n < 13 ? 0 : 4);
            assert_int_equal(routing.n, 0);
        }
    }
    /* a wrong byte is seen as soon as it is there */
    for (n = 0; n < 13; n++) {
        if (n >= 4 && n < 9) {
            continue;
        }
        memcpy(broken, whole, sizeof(whole));
        broken[n] ^= 0x40;
        assert_int_equal(wagw_frame_intro(wagw_str(broken, n < 4 ? n + 1 : 13), &used, &routing), WAGW_MALFORMED);
        assert_int_equal(used, 0);
        assert_int_equal(routing.n, 0);
    }
    assert_int_equal(wagw_frame_intro(WAGW_STR("ED\0\1\x01\x00\x01"), &used, &routing), WAGW_MALFORMED);

    assert_int_equal(wagw_frame_next(WAGW_STR("\0\0\0"), 10, &body, &used), WAGW_OK);
    assert_int_equal(used, 3);
    assert_int_equal(body.n, 0);
    assert_int_equal(wagw_frame_next(WAGW_STR("\0\0\x0a"), 10, &body, &used), WAGW_AGAIN);
    assert_int_equal(wagw_frame_next(WAGW_STR("\0\0\x0b"), 10, &body, &used), WAGW_LIMIT);
    assert_int_equal(wagw_frame_next(WAGW_STR("\xff\xff\xff"), 65536, &body, &used), WAGW_LIMIT);
    assert_int_equal(wagw_frame_next(WAGW_STR("\xff\xff\xff"), WAGW_FRAME_MAX, &body, &used), WAGW_AGAIN);
    assert_int_equal(wagw_frame_next(WAGW_STR_NULL, 10, &body, &used), WAGW_AGAIN);
}

static void test_transport_errors(void **state)
{
    static const uint8_t zero[32];
    pair_t p;
    wagw_buf_t plain = {0}, huge = {0};
    wagw_str_t body;
    size_t n;

    (void)state;
    pair_init(&p);

    /* a flipped bit, and what was good before it does not help after it */
    pair_connect(&p);
    assert_int_equal(wagw_noise_seal(&p.client, &p.up, WAGW_STR("abc")), WAGW_OK);
    body = only_frame(&p.up, 0);
    p.up.p[4] ^= 1;
    assert_int_equal(wagw_noise_open(&p.server, &plain, body), WAGW_CRYPTO);
    assert_int_equal(p.server.state, WAGW_NOISE_FAILED);
    assert_memory_equal(p.server.recv_key, zero, 32);
    assert_int_equal(wagw_noise_open(&p.server, &plain, body), WAGW_STATE);
    assert_int_equal(wagw_noise_seal(&p.server, &plain, body), WAGW_STATE);

    /* a frame twice, a frame left out, a frame of the own direction */
    for (n = 0; n < 3; n++) {
        pair_connect(&p);
        assert_int_equal(wagw_noise_seal(n == 2 ? &p.server : &p.client, &p.up, WAGW_STR("abc")), WAGW_OK);
        body = only_frame(&p.up, 0);
        if (n == 0) {
            assert_int_equal(wagw_noise_open(&p.server, &plain, body), WAGW_OK);
        } else if (n == 1) {
            wagw_buf_reset(&p.up);
            assert_int_equal(wagw_noise_seal(&p.client, &p.up, WAGW_STR("abc")), WAGW_OK);
            body = only_frame(&p.up, 0);
        }
        assert_int_equal(wagw_noise_open(&p.server, &plain, body), WAGW_CRYPTO);
    }

    for (n = 0; n < 16; n++) {
        pair_connect(&p);
        assert_int_equal(wagw_noise_open(&p.client, &plain, wagw_str(zero, n)), WAGW_MALFORMED);
        assert_int_equal(p.client.state, WAGW_NOISE_FAILED);
    }

    /* the counter's end is the connection's end */
    pair_connect(&p);
    p.client.n_send = p.server.n_recv = UINT32_MAX - 1;
    wagw_buf_reset(&p.up);
    assert_int_equal(wagw_noise_seal(&p.client, &p.up, WAGW_STR("last")), WAGW_OK);
    assert_int_equal(wagw_noise_open(&p.server, &plain, only_frame(&p.up, 0)), WAGW_OK);
    assert_int_equal(wagw_noise_seal(&p.client, &p.up, WAGW_STR("more")), WAGW_LIMIT);
    assert_int_equal(wagw_noise_open(&p.server, &plain, wagw_str(zero, 20)), WAGW_LIMIT);

    /* the largest frame, and one byte more */
    pair_connect(&p);
    assert_int_equal(wagw_buf_reserve(&huge, WAGW_FRAME_MAX), WAGW_OK);
    memset(huge.p, 1, WAGW_FRAME_MAX);
    assert_int_equal(wagw_noise_seal(&p.client, &p.up, wagw_str(huge.p, WAGW_FRAME_MAX - 15)), WAGW_LIMIT);
    assert_int_equal(p.up.n, 0);
    assert_int_equal(wagw_noise_seal(&p.client, &p.up, wagw_str(huge.p, WAGW_FRAME_MAX - 16)), WAGW_OK);
    assert_int_equal(wagw_frame_next(wagw_buf_view(&p.up), WAGW_FRAME_MAX, &body, &n), WAGW_OK);
    wagw_buf_reset(&plain);
    assert_int_equal(wagw_noise_open(&p.server, &plain, body), WAGW_OK);
    assert_int_equal(plain.n, WAGW_FRAME_MAX - 16);

    wagw_buf_free(&plain);
    wagw_buf_free(&huge);
    pair_free(&p);
}

static void test_states(void **state)
{
    pair_t p;
    wagw_buf_t out = {0};
    uint8_t peer[32];
    size_t i;

    (void)state;
    pair_init(&p);

    /* each call only in its own state and on its own side */
    assert_int_equal(wagw_noise_client_init(&p.client, NULL, vec_random, &p.seed), WAGW_OK);
    assert_int_equal(
        wagw_noise_client_finish(&p.client, &out, WAGW_STR(""), WAGW_STR(""), &p.client_key, p.root.pub, NOW, NULL),
        WAGW_STATE);
    assert_int_equal(wagw_noise_seal(&p.client, &out, WAGW_STR("x")), WAGW_STATE);
    assert_int_equal(wagw_noise_server_finish(&p.client, WAGW_STR(""), peer, &out), WAGW_STATE);
    assert_int_equal(wagw_noise_server_hello(&p.client, &out, WAGW_STR(""), &p.server_key, WAGW_STR("")), WAGW_STATE);
    assert_int_equal(wagw_noise_client_hello(&p.client, &out, WAGW_STR_NULL), WAGW_OK);
    assert_int_equal(wagw_noise_client_hello(&p.client, &out, WAGW_STR_NULL), WAGW_STATE);
    assert_int_equal(wagw_noise_server_init(&p.server, vec_random, &p.seed), WAGW_OK);
    assert_int_equal(wagw_noise_client_hello(&p.server, &out, WAGW_STR_NULL), WAGW_STATE);

    /* what a wiped state holds is not a key */
    wagw_noise_wipe(&p.client);
    assert_int_equal(wagw_noise_client_hello(&p.client, &out, WAGW_STR_NULL), WAGW_STATE);
    assert_int_equal(wagw_noise_seal(&p.client, &out, WAGW_STR("x")), WAGW_STATE);

    /* hellos and finishes that are none end the server's side too */
    for (i = 0; i < 3; i++) {
        static const char *const bodies[] = {"", "\x12\x03\x0a\x01\x01", "\xff\xff"};

        assert_int_equal(wagw_noise_server_init(&p.server, vec_random, &p.seed), WAGW_OK);
        assert_int_equal(
            wagw_noise_server_hello(&p.server, &out, wagw_cstr(bodies[i]), &p.server_key, wagw_buf_view(&p.chain)),
            WAGW_MALFORMED);
        assert_int_equal(p.server.state, WAGW_NOISE_FAILED);
        assert_int_equal(pair_hello(&p, NOW, WAGW_STR("x")), WAGW_OK);
        assert_int_equal(wagw_noise_server_finish(&p.server, wagw_cstr(bodies[i]), peer, &out), WAGW_MALFORMED);
        assert_int_equal(p.server.state, WAGW_NOISE_FAILED);
    }
    /* a finish that was changed on the way */
    assert_int_equal(pair_hello(&p, NOW, WAGW_STR("payload")), WAGW_OK);
    p.up.p[p.up.n - 1] ^= 1;
    wagw_buf_reset(&out);
    assert_int_equal(wagw_noise_server_finish(&p.server, only_frame(&p.up, 0), peer, &out), WAGW_CRYPTO);
    assert_int_equal(out.n, 0);

    /* an ephemeral of small order: no secret comes of it */
    assert_int_equal(wagw_noise_server_init(&p.server, vec_random, &p.seed), WAGW_OK);
    {
        uint8_t hello[36] = {0x12, 0x22, 0x0a, 0x20};

        assert_int_equal(wagw_noise_server_hello(&p.server, &out, wagw_str(hello, sizeof(hello)), &p.server_key,
                                                 wagw_buf_view(&p.chain)),
                         WAGW_CRYPTO);
    }
    wagw_buf_free(&out);
    pair_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),          cmocka_unit_test(test_pair),
        cmocka_unit_test(test_reassembly),       cmocka_unit_test(test_frames),

        cmocka_unit_test(test_transport_errors), cmocka_unit_test(test_states),
    };

    return cmocka_run_group_tests_name("noise", tests, NULL, NULL);
}
