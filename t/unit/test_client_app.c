/*
 * App state in the engine: what is fetched and when, patches that do not
 * verify, missing keys, conflicts, lost connections.  The server's answers are
 * the golden vectors' patches.
 */

#include "client_sim.h"
#include "pb.h"
#include "vectors.h"

#include <zlib.h>

#define NS "w:sync:app:state"

static cJSON *vectors;
static wagw_arena_t arena;

static int setup(void **state)
{
    (void)state;
    memset(&arena, 0, sizeof(arena));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    wagw_arena_free(&arena);
    return 0;
}

static const cJSON *step(int n)
{
    return cJSON_GetArrayItem(vec_get(vectors, "chain"), n);
}

/* Two engines; the server leaves app state to the test; a has the vectors' keys. */
static sim_two_t begin(uint64_t seed, bool keys)
{
    sim_two_t p = sim_two(seed);
    const cJSON *k;
    wagw_buf_t v = {0};
    wagw_str_t data;

    p.w->orders.no_answer = ~0u;
    p.w->orders.no_answer_ns = NS;
    cJSON_ArrayForEach(k, vec_get(keys ? vectors : NULL, "keys"))
    {
        data = vec_bytes(&arena, k, "keyData");
        wagw_buf_reset(&v);
        wagw_buf_u8(&v, 0x0a);
        wagw_buf_u8(&v, (uint8_t)data.n);
        wagw_buf_str(&v, data);
        sim_mem_put(&p.a->mem, WAGW_REC_APP_KEY, wagw_cstr(vec_str(k, "keyId")), wagw_buf_view(&v));
    }
    wagw_buf_free(&v);
    return p;
}

static void server_sync(sim_two_t *p, const char *collection, const char *version)
{
    static unsigned ids;
    wagw_node_t *n;

    n = sim_node(&arena, "notification", "from", "@s.whatsapp.net", "type", "server_sync", "id",
                 (const char *)wagw_arena_printf(&arena, "sync-%u", ++ids).p, NULL);
    sim_add(&arena, n, "collection", "name", collection, "version", version, NULL);
    sim_push(p->a, n);
    sim_run(p->w);
}

/* The one request since the mark, which is for this collection. */
static const wagw_node_t *asked(sim_two_t *p, sim_log_t *mark, const char *collection, wagw_str_t *id)
{
    const wagw_node_t *iq = sim_sent_iq(p->a, mark, NS, "sync"), *c;

    assert_non_null(iq);
    *id = wagw_node_get(iq, "id");
    c = wagw_node_find(wagw_node_find(iq, "sync"), "collection");
    assert_true(sim_has(c, "name", collection, NULL));
    return c;
}

/* Patches (hex, NULL ends) on a version; a byte of the last one may be damaged. */
static void answer(sim_two_t *p, wagw_str_t id, const char *collection, int version, const cJSON *const *steps,
                   bool damage)
{
    uint8_t *copy;
    wagw_str_t bytes;
    wagw_node_t *iq, *c, *list = NULL;

    iq = sim_node(&arena, "iq", "from", "@s.whatsapp.net", "type", "result", NULL);
    wagw_node_attr(&arena, iq, "id", wagw_arena_str(&arena, id));
    c = sim_add(&arena, sim_add(&arena, iq, "sync", NULL), "collection", "name", collection, NULL);
    wagw_node_attr_int(&arena, c, "version", version);
    for (; steps && *steps; steps++) {
        bytes = vec_bytes(&arena, *steps, "uploadPatch");
        copy = (uint8_t *)bytes.p;
        copy[bytes.n - 60] ^= damage && steps[1] == NULL;
        list = list ? list : sim_add(&arena, c, "patches", NULL);
        wagw_node_bytes(sim_add(&arena, list, "patch", NULL), bytes);
    }
    sim_push(p->a, iq);
    sim_run(p->w);
}

static uint64_t version_of(sim_two_t *p, const char *collection)
{
    uint64_t v = 0;
    wagw_str_t s = sim_mem_get(&p->a->mem, WAGW_REC_APP_STATE, wagw_cstr(collection));

    for (unsigned i = 0; s.p && i < 8; i++) {
        v = v << 8 | s.p[i];
    }
    return v;
}

static const char *const chat = "5511829390890@s.whatsapp.net";

static void a_patch_becomes_row_and_event(void **state)
{
    sim_two_t p = begin(31, true);
    wagw_str_t id;
    sim_log_t *mark = sim_mark(p.w);
    wagw_row_chat_t row;
    const cJSON *first[] = {step(0), NULL}, *second[] = {step(1), NULL};

    (void)state;
    server_sync(&p, "regular_low", "1");
    assert_true(sim_has(asked(&p, mark, "regular_low", &id), "version", "0", "return_snapshot", "true", NULL));
    answer(&p, id, "regular_low", 0, first, false);
    assert_int_equal(version_of(&p, "regular_low"), 1);
    assert_true(sim_chat(p.a, chat, &row));
    assert_true(row.archived);
    assert_int_equal(sim_events(p.a, "chat.archive"), 0); /* the first time it is no news */

    mark = sim_mark(p.w);
    server_sync(&p, "regular_low", "2");
    assert_true(sim_has(asked(&p, mark, "regular_low", &id), "version", "1", "return_snapshot", "false", NULL));
    answer(&p, id, "regular_low", 1, second, false);
    assert_true(sim_chat(p.a, chat, &row));
    assert_int_not_equal(row.pinned, 0);
    assert_int_equal(sim_events(p.a, "chat.update"), 1);

    /* what is known already is not asked for */
    mark = sim_mark(p.w);
    server_sync(&p, "regular_low", "2");
    assert_null(sim_sent_iq(p.a, mark, NS, "sync"));
    sim_free(p.w);
}

static void a_wrong_mac_leaves_the_state_and_asks_for_all(void **state)
{
    sim_two_t p = begin(32, true);
    wagw_str_t id;
    sim_log_t *mark = sim_mark(p.w);
    wagw_row_chat_t row;
    const cJSON *first[] = {step(0), NULL}, *second[] = {step(1), NULL}, *both[] = {step(0), step(1), NULL};

    (void)state;
    server_sync(&p, "regular_low", "1");
    asked(&p, mark, "regular_low", &id);
    answer(&p, id, "regular_low", 0, first, false);

    mark = sim_mark(p.w);
    server_sync(&p, "regular_low", "2");
    asked(&p, mark, "regular_low", &id);
    mark = sim_mark(p.w);
    answer(&p, id, "regular_low", 1, second, true);
    assert_int_equal(version_of(&p, "regular_low"), 1);
    assert_true(sim_chat(p.a, chat, &row));
    assert_int_equal(row.pinned, 0);
    assert_non_null(strstr(p.a->logs, "_mismatch"));

    /* once more, from the beginning; this time it is right */
    assert_true(sim_has(asked(&p, mark, "regular_low", &id), "version", "0", "return_snapshot", "true", NULL));
    answer(&p, id, "regular_low", 0, both, false);
    assert_int_equal(version_of(&p, "regular_low"), 2);
    assert_true(sim_chat(p.a, chat, &row));
    assert_int_not_equal(row.pinned, 0);
    sim_free(p.w);
}

static void it_is_given_up_after_two_attempts(void **state)
{
    sim_two_t p = begin(33, true);
    wagw_str_t id;
    sim_log_t *mark = sim_mark(p.w);
    const cJSON *first[] = {step(0), NULL};

    (void)state;
    server_sync(&p, "regular_low", "1");
    for (unsigned i = 0; i < 2; i++) {
        asked(&p, mark, "regular_low", &id);
        mark = sim_mark(p.w);
        answer(&p, id, "regular_low", 0, first, true);
    }
    assert_null(sim_sent_iq(p.a, mark, NS, "sync"));
    sim_advance(p.w, 3600000);
    assert_null(sim_sent_iq(p.a, mark, NS, "sync"));
    assert_int_equal(version_of(&p, "regular_low"), 0);
    sim_expect_status(p.a, WAGW_STATUS_CONNECTED);
    sim_free(p.w);
}

/* A gap cannot be: the hash of what is between is missing. */
static void a_gap_is_refused(void **state)
{
    sim_two_t p = begin(34, true);
    wagw_str_t id;
    sim_log_t *mark = sim_mark(p.w);
    const cJSON *first[] = {step(0), NULL}, *third[] = {step(2), NULL};

    (void)state;
    server_sync(&p, "regular_low", "1");
    asked(&p, mark, "regular_low", &id);
    answer(&p, id, "regular_low", 0, first, false);
    mark = sim_mark(p.w);
    server_sync(&p, "regular_low", "3");
    asked(&p, mark, "regular_low", &id);
    answer(&p, id, "regular_low", 2, third, false);
    assert_int_equal(version_of(&p, "regular_low"), 1);
    sim_free(p.w);
}

static void a_missing_key_blocks_until_it_comes(void **state)
{
    sim_two_t p = begin(35, false);
    wagw_str_t id;
    wagw_row_chat_t row;
    sim_log_t *mark = sim_mark(p.w);
    const cJSON *first[] = {step(0), NULL};

    (void)state;
    server_sync(&p, "regular_low", "1");
    asked(&p, mark, "regular_low", &id);
    mark = sim_mark(p.w);
    answer(&p, id, "regular_low", 0, first, false);
    assert_int_equal(version_of(&p, "regular_low"), 0);
    assert_null(sim_sent_iq(p.a, mark, NS, "sync"));

    /* calls that need a key say so */
    sim_do(p.a, WAGW_CMD_PUSH_NAME, "{\"name\":\"n\"}", 503);

    mark = sim_mark(p.w);
    sim_peer_send(
        p.aa->phone, p.aa, "KEYS",
        "{\"protocolMessage\":{\"type\":6,\"appStateSyncKeyShare\":{\"keys\":[{\"keyId\":{\"keyId\":{\"$hex\":"
        "\"000000001038\"}},\"keyData\":{\"keyData\":{\"$hex\":"
        "\"9602e3d28f7cbc514a587b3c8ffdc8f031a1a42a1f677567970dc84227411b5d\"}}}]}}}",
        "category", "peer", NULL);
    sim_run(p.w);
    for (unsigned i = 0; i < 5; i++) {
        const wagw_node_t *iq = sim_sent_iq(p.a, mark, NS, "sync"), *c;

        assert_non_null(iq);
        mark = sim_mark(p.w);
        c = wagw_node_find(wagw_node_find(iq, "sync"), "collection");
        answer(&p, wagw_node_get(iq, "id"), (const char *)wagw_arena_str(&arena, wagw_node_get(c, "name")).p, 0,
               wagw_node_attr_is(c, "name", "regular_low") ? first : NULL, false);
    }
    assert_null(sim_sent_iq(p.a, mark, NS, "sync"));
    assert_int_equal(version_of(&p, "regular_low"), 1);
    assert_true(sim_chat(p.a, chat, &row));
    assert_true(row.archived);
    sim_free(p.w);
}

static void an_interrupted_fetch_goes_on_after_the_login(void **state)
{
    sim_two_t p = begin(36, true);
    wagw_str_t id;
    sim_log_t *mark = sim_mark(p.w);
    const cJSON *first[] = {step(0), NULL};

    (void)state;
    server_sync(&p, "regular_low", "1");
    asked(&p, mark, "regular_low", &id);
    mark = sim_mark(p.w);
    sim_cut(p.a, 0);
    sim_advance(p.w, 30000);
    sim_expect_status(p.a, WAGW_STATUS_CONNECTED);
    asked(&p, mark, "regular_low", &id);

    /* and after a crash */
    mark = sim_mark(p.w);
    sim_crash(p.a, true);
    sim_revive(p.a);
    sim_advance(p.w, 30000);
    asked(&p, mark, "regular_low", &id);
    answer(&p, id, "regular_low", 0, first, false);
    assert_int_equal(version_of(&p, "regular_low"), 1);
    sim_free(p.w);
}

/* Somebody was faster: the change is made again upon the newer state. */
static void a_conflict_is_settled(void **state)
{
    sim_two_t p = begin(37, true);
    uint64_t command;
    wagw_str_t id;
    wagw_node_t *iq, *c;
    sim_log_t *mark = sim_mark(p.w);
    const cJSON *first[] = {step(27), NULL};

    (void)state;
    command = sim_command(p.a, WAGW_CMD_PUSH_NAME, "{\"name\":\"mine\"}");
    sim_run(p.w);
    assert_true(sim_has(asked(&p, mark, "critical_block", &id), "version", "0", "return_snapshot", "false", NULL));
    mark = sim_mark(p.w);
    iq = sim_node(&arena, "iq", "from", "@s.whatsapp.net", "type", "result", NULL);
    wagw_node_attr(&arena, iq, "id", wagw_arena_str(&arena, id));
    c = sim_add(&arena, sim_add(&arena, iq, "sync", NULL), "collection", "name", "critical_block", "type", "error",
                NULL);
    sim_add(&arena, c, "error", "code", "409", "text", "conflict", NULL);
    sim_push(p.a, iq);
    sim_run(p.w);
    assert_null(sim_reply(p.a, command));
    asked(&p, mark, "critical_block", &id);
    mark = sim_mark(p.w);
    answer(&p, id, "critical_block", 0, first, false);
    assert_string_equal((const char *)wagw_arena_str(&arena, sim_info(p.a).push_name).p, "Gateway \u2713 \u65e5\u672c");

    assert_true(sim_has(asked(&p, mark, "critical_block", &id), "version", "1", NULL));
    answer(&p, id, "critical_block", 2, NULL, false);
    sim_expect(p.a, command, 200, "");
    assert_int_equal(version_of(&p, "critical_block"), 2);
    assert_string_equal((const char *)wagw_arena_str(&arena, sim_info(p.a).push_name).p, "mine");
    sim_free(p.w);
}

/* ---- what cannot be repaired ---- */

/* Twice refused; what the engine then asks its phone for, or NULL. */
static const cJSON *spoilt(sim_two_t *p)
{
    const cJSON *first[] = {step(0), NULL}, *last;
    sim_log_t *mark = sim_mark(p->w);
    sim_got_t *g;
    wagw_str_t id;

    sim_peer_send(p->aa->phone, p->aa, "HELLO", "{\"conversation\":\"so that there is a session\"}", NULL);
    sim_run(p->w);
    server_sync(p, "regular_low", "1");
    for (unsigned i = 0; i < 2; i++) {
        asked(p, mark, "regular_low", &id);
        mark = sim_mark(p->w);
        answer(p, id, "regular_low", 0, first, true);
    }
    sim_advance(p->w, 1000);
    last = NULL;
    for (g = p->aa->phone->got; g; g = g->next) {
        last = vec_get(vec_get(vec_get(g->message, "protocolMessage"), "peerDataOperationRequestMessage"),
                       "syncdCollectionFatalRecoveryRequest");
    }
    return last;
}

/* SyncdSnapshotRecovery of the state after step 0, as version 7. */
static wagw_str_t copy_of(const char *name, bool gzip)
{
    uLongf n;
    uint8_t *p;
    wagw_str_t mac;
    wagw_buf_t b = {0}, part = {0};
    z_stream z = {0};

    put_varint(&part, 1 << 3);
    put_varint(&part, 7);
    put_field(&b, 1, wagw_buf_view(&part));
    put_field(&b, 2, wagw_cstr(name));
    wagw_buf_reset(&part);
    put_field(&part, 1, vec_bytes(&arena, step(0), "syncActionData"));
    put_field(&part, 2, vec_bytes(&arena, step(0), "keyId"));
    mac = vec_bytes(&arena, step(0), "valueMac");
    put_field(&part, 3, mac);
    put_field(&b, 3, wagw_buf_view(&part));
    put_field(&b, 4, vec_bytes(&arena, step(0), "ltHash"));
    n = b.n + 1024;
    p = wagw_arena_alloc(&arena, n);
    if (gzip) {
        assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
        z.next_in = b.p;
        z.avail_in = (uInt)b.n;
        z.next_out = p;
        z.avail_out = (uInt)n;
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        n = z.total_out;
        deflateEnd(&z);
    } else {
        memcpy(p, b.p, b.n);
        n = b.n;
    }
    wagw_buf_free(&b);
    wagw_buf_free(&part);
    return wagw_str(p, n);
}

static void phone_answers(sim_two_t *p, wagw_str_t copy, bool gzip)
{
    static unsigned ids;
    char id[32];
    const char *const attrs[] = {"category", "peer", NULL};
    wagw_buf_t result = {0}, answer = {0}, pm = {0}, m = {0}, box = {0};

    put_field(&result, 1, copy);
    put_varint(&result, 2 << 3);
    put_varint(&result, gzip);
    put_field(&box, 8, wagw_buf_view(&result));
    put_varint(&answer, 1 << 3);
    put_varint(&answer, 8);
    put_field(&answer, 3, wagw_buf_view(&box));
    put_varint(&pm, 2 << 3);
    put_varint(&pm, 17);
    put_field(&pm, 17, wagw_buf_view(&answer));
    put_field(&m, 12, wagw_buf_view(&pm));
    snprintf(id, sizeof(id), "COPY%u", ++ids);
    sim_peer_send_bytes(p->aa->phone, p->aa, id, wagw_buf_view(&m), attrs);
    sim_run(p->w);
    wagw_buf_free(&result);
    wagw_buf_free(&answer);
    wagw_buf_free(&pm);
    wagw_buf_free(&m);
    wagw_buf_free(&box);
}

static void the_phone_s_copy_repairs(void **state)
{
    wagw_str_t id;
    sim_log_t *mark;
    wagw_row_chat_t row;

    (void)state;
    for (unsigned gzip = 0; gzip < 2; gzip++) {
        sim_two_t p = begin(38 + gzip, true);
        const cJSON *q = spoilt(&p);

        assert_non_null(q);
        assert_string_equal(vec_str(q, "collectionName"), "regular_low");
        assert_int_equal(version_of(&p, "regular_low"), 0);

        mark = sim_mark(p.w);
        phone_answers(&p, copy_of("regular_low", gzip), gzip);
        assert_int_equal(version_of(&p, "regular_low"), 7);
        assert_int_equal(sim_mem_count(&p.a->mem, WAGW_REC_APP_INDEX, "regular_low|"), 1);
        assert_true(sim_chat(p.a, chat, &row));
        assert_true(row.archived);
        assert_int_equal(sim_events(p.a, "chat.archive"), 0);
        /* what came after it is fetched upon it */
        assert_true(sim_has(asked(&p, mark, "regular_low", &id), "version", "7", "return_snapshot", "false", NULL));
        answer(&p, id, "regular_low", 7, NULL, false);

        /* a second one was not asked for */
        p.a->logs[0] = '\0';
        phone_answers(&p, copy_of("regular_low", gzip), gzip);
        assert_non_null(strstr(p.a->logs, "not asked for"));
        sim_free(p.w);
    }
}

static void a_bad_copy_changes_nothing(void **state)
{
    sim_two_t p = begin(40, true);
    wagw_str_t good, bomb;
    uLongf n = 200000;
    uint8_t *zeros, *z;

    (void)state;
    phone_answers(&p, copy_of("regular_low", false), false);
    assert_non_null(strstr(p.a->logs, "not asked for"));
    assert_non_null(spoilt(&p));
    phone_answers(&p, copy_of("no_such_collection", false), false);
    phone_answers(&p, copy_of("regular_high", false), false); /* another than was asked for */
    phone_answers(&p, copy_of("regular_low", false), true);   /* not compressed at all */
    good = copy_of("regular_low", true);
    phone_answers(&p, wagw_str(good.p, good.n - 9), true);
    good = copy_of("regular_low", false);
    phone_answers(&p, wagw_str(good.p, good.n - 1), false);
    /* 128 MiB of nothing */
    zeros = calloc(1, 128u << 20);
    z = wagw_arena_alloc(&arena, n);
    assert_non_null(zeros);
    assert_int_equal(compress2(z, &n, zeros, 128u << 20, 9), Z_OK);
    free(zeros);
    bomb = wagw_str(z, n);
    p.a->logs[0] = '\0';
    phone_answers(&p, bomb, true);
    assert_non_null(strstr(p.a->logs, "refused"));
    assert_int_equal(version_of(&p, "regular_low"), 0);
    assert_int_equal(version_of(&p, "regular_high"), 0);
    phone_answers(&p, copy_of("regular_low", false), false);
    assert_int_equal(version_of(&p, "regular_low"), 7);
    sim_free(p.w);
}

/* A snapshot that says another hash than its records have, and a blob that is none. */
static void a_wrong_snapshot_is_refused(void **state)
{
    sim_two_t p = begin(41, true);
    wagw_str_t id;
    sim_log_t *mark = sim_mark(p.w);
    wagw_node_t *iq, *c;
    wagw_buf_t ref = {0}, snap = {0}, part = {0}, box = {0};
    const cJSON *first[] = {step(0), NULL};

    (void)state;
    /* version 1, a record's worth of nothing, a MAC of zeros, the key */
    put_varint(&part, 1 << 3);
    put_varint(&part, 9);
    put_field(&snap, 1, wagw_buf_view(&part));
    put_field(&snap, 3, wagw_str((const uint8_t *)"00000000000000000000000000000000", 32));
    put_field(&box, 1, vec_bytes(&arena, step(0), "keyId"));
    put_field(&snap, 4, wagw_buf_view(&box));
    put_field(&ref, 1, wagw_str((const uint8_t *)"00000000000000000000000000000000", 32));
    put_field(&ref, 2, WAGW_STR("/v/blob"));

    server_sync(&p, "regular_low", "1");
    asked(&p, mark, "regular_low", &id);
    answer(&p, id, "regular_low", 0, first, false);
    assert_int_equal(version_of(&p, "regular_low"), 1);
    for (unsigned i = 0; i < 2; i++) {
        mark = sim_mark(p.w);
        server_sync(&p, "regular_low", "9");
        asked(&p, mark, "regular_low", &id);
        iq = sim_node(&arena, "iq", "from", "@s.whatsapp.net", "type", "result", NULL);
        wagw_node_attr(&arena, iq, "id", wagw_arena_str(&arena, id));
        c = sim_add(&arena, sim_add(&arena, iq, "sync", NULL), "collection", "name", "regular_low", "version", "9",
                    NULL);
        wagw_node_bytes(sim_add(&arena, c, "snapshot", NULL), wagw_buf_view(&ref));
        mark = sim_mark(p.w);
        sim_push(p.a, iq);
        sim_run(p.w);
        p.a->logs[0] = '\0';
        sim_fetched(p.a, WAGW_OK, i ? WAGW_STR("no snapshot") : wagw_buf_view(&snap));
        assert_non_null(strstr(p.a->logs, i ? "malformed" : "snapshot_mac_mismatch"));
        assert_int_equal(version_of(&p, "regular_low"), 1);
        if (i == 0) {
            asked(&p, mark, "regular_low", &id);
            answer(&p, id, "regular_low", 0, first, false); /* everything anew, and it is right */
            assert_int_equal(version_of(&p, "regular_low"), 1);
        }
    }
    wagw_buf_free(&ref);
    wagw_buf_free(&snap);
    wagw_buf_free(&part);
    wagw_buf_free(&box);
    sim_free(p.w);
}

/* SyncdRecord with an index MAC that is given by number. */
static void put_record(wagw_buf_t *out, uint32_t num, uint64_t n, bool meet)
{
    uint8_t mac[32] = {0}, value[64] = {0};
    wagw_buf_t rec = {0}, box = {0};

    memcpy(mac + (meet ? 8 : 0), &n, sizeof(n));
    put_field(&box, 1, wagw_str(mac, 32));
    put_field(&rec, 1, wagw_buf_view(&box));
    wagw_buf_reset(&box);
    put_field(&box, 1, wagw_str(value, 64));
    put_field(&rec, 2, wagw_buf_view(&box));
    wagw_buf_reset(&box);
    put_field(&box, 1, vec_bytes(&arena, step(0), "keyId"));
    put_field(&rec, 3, wagw_buf_view(&box));
    put_field(out, num, wagw_buf_view(&rec));
    wagw_buf_free(&rec);
    wagw_buf_free(&box);
}

/* Snapshots beyond any account, and one whose index MACs were made to meet. */
static void absurd_sizes_are_refused(void **state)
{
    sim_two_t p = begin(42, true);
    wagw_str_t id;
    sim_log_t *mark;
    wagw_node_t *iq, *c;
    wagw_row_chat_t row;
    wagw_buf_t ref = {0}, snap = {0}, part = {0}, box = {0};
    const cJSON *first[] = {step(0), NULL};

    (void)state;
    put_field(&ref, 1, wagw_str((const uint8_t *)"00000000000000000000000000000000", 32));
    put_field(&ref, 2, WAGW_STR("/v/blob"));
    put_varint(&part, 1 << 3);
    put_varint(&part, 9);
    put_field(&box, 1, vec_bytes(&arena, step(0), "keyId"));
    for (unsigned i = 0; i < 2; i++) {
        mark = sim_mark(p.w);
        server_sync(&p, "regular_low", "9");
        asked(&p, mark, "regular_low", &id);
        wagw_buf_reset(&snap);
        put_field(&snap, 1, wagw_buf_view(&part));
        for (unsigned k = 0; k < (i ? 100000u : 200001u); k++) {
            put_record(&snap, 2, k, i == 1);
        }
        put_field(&snap, 3, wagw_str((const uint8_t *)"00000000000000000000000000000000", 32));
        put_field(&snap, 4, wagw_buf_view(&box));
        iq = sim_node(&arena, "iq", "from", "@s.whatsapp.net", "type", "result", NULL);
        wagw_node_attr(&arena, iq, "id", wagw_arena_str(&arena, id));
        c = sim_add(&arena, sim_add(&arena, iq, "sync", NULL), "collection", "name", "regular_low", "version", "9",
                    NULL);
        wagw_node_bytes(sim_add(&arena, c, "snapshot", NULL), wagw_buf_view(&ref));
        mark = sim_mark(p.w);
        sim_push(p.a, iq);
        sim_run(p.w);
        p.a->logs[0] = '\0';
        sim_fetched(p.a, WAGW_OK, wagw_buf_view(&snap));
        assert_non_null(strstr(p.a->logs, "app state regular_low refused"));
        assert_int_equal(version_of(&p, "regular_low"), i);
        asked(&p, mark, "regular_low", &id);
        answer(&p, id, "regular_low", 0, first, false); /* asked for anew: a good one works */
        assert_int_equal(version_of(&p, "regular_low"), 1);
        assert_true(sim_chat(p.a, chat, &row));
        assert_true(row.archived);
    }
    wagw_buf_free(&ref);
    wagw_buf_free(&snap);
    wagw_buf_free(&part);
    wagw_buf_free(&box);
    sim_free(p.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_patch_becomes_row_and_event, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wrong_mac_leaves_the_state_and_asks_for_all, setup, teardown),
        cmocka_unit_test_setup_teardown(it_is_given_up_after_two_attempts, setup, teardown),
        cmocka_unit_test_setup_teardown(a_gap_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_key_blocks_until_it_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(an_interrupted_fetch_goes_on_after_the_login, setup, teardown),
        cmocka_unit_test_setup_teardown(a_conflict_is_settled, setup, teardown),
        cmocka_unit_test_setup_teardown(the_phone_s_copy_repairs, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_copy_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_wrong_snapshot_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(absurd_sizes_are_refused, setup, teardown),
    };

    int failed;

    vectors = vec_load("app-state");
    if (vectors == NULL) {
        return 0; /* another directory of vectors, without this file */
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    cJSON_Delete(vectors);
    return failed;
}
