/*
 * core/signal: the golden vectors, and what a turn may rely on - a call that
 * fails or lacks a record changes nothing, and running it again from its start
 * gives the same result.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../core/signal/signal.h"
#include "vectors.h"

#define RECS_MAX 4096

/* ---- randomness: recorded 32-byte keys first, then a stream ---------------- */

typedef struct {
    uint64_t seed;
    uint8_t keys[64][32];
    unsigned nkeys, at;
} rng_t;

static rng_t rng;

static void rng_fill(void *data, uint8_t *p, size_t n)
{
    rng_t *r = data;

    if (n == 32 && r->at < r->nkeys) {
        memcpy(p, r->keys[r->at++], 32);
        return;
    }
    vec_random(&r->seed, p, n);
}

/* ---- an account with its store -------------------------------------------- */

typedef struct {
    uint8_t kind;
    char key[WAGW_KEY_MAX];
    uint8_t *value;
    size_t n;
} stored_t;

typedef struct {
    uint32_t instance;
    uint64_t seq;
    wagw_keypair_t identity;
    wagw_signal_self_t self;
    wagw_signal_addr_t addr;
    stored_t recs[RECS_MAX];
    size_t nrecs;
} party_t;

static wagw_signal_t *sig;
static wagw_cache_t *cache;
static bool one_by_one; /* forget everything first and answer one miss at a time */
static unsigned loads;

static stored_t *stored(party_t *p, uint8_t kind, wagw_str_t key)
{
    size_t i;

    for (i = 0; i < p->nrecs; i++) {
        if (p->recs[i].kind == kind && wagw_str_eq(wagw_cstr(p->recs[i].key), key)) {
            return &p->recs[i];
        }
    }
    return NULL;
}

static bool has(party_t *p, uint8_t kind, const char *key)
{
    return stored(p, kind, wagw_cstr(key)) != NULL;
}

static void store_apply(party_t *p, const wagw_batch_t *b)
{
    const wagw_op_t *op;
    stored_t *r;

    for (op = b->ops; op != NULL; op = op->next) {
        r = stored(p, op->kind, op->key);
        if (op->op == WAGW_OP_DEL) {
            if (r != NULL) {
                free(r->value);
                *r = p->recs[--p->nrecs];
            }
            continue;
        }
        assert_int_equal(op->op, WAGW_OP_PUT);
        if (r == NULL) {
            assert_true(p->nrecs < RECS_MAX);
            r = &p->recs[p->nrecs++];
            memset(r, 0, sizeof(*r));
            r->kind = op->kind;
            memcpy(r->key, op->key.p, op->key.n);
        }
        free(r->value);
        r->value = malloc(op->value.n + 1);
        memcpy(r->value, op->value.p, op->value.n);
        r->n = op->value.n;
    }
}

static void party_init(party_t *p, uint32_t instance, const char *name, uint32_t device)
{
    memset(p, 0, sizeof(*p));
    p->instance = instance;
    assert_int_equal(wagw_x25519_keypair(&p->identity, rng_fill, &rng), WAGW_OK);
    p->self.identity = &p->identity;
    p->self.registration_id = 1000 + instance;
    snprintf(p->addr.name, sizeof(p->addr.name), "%s", name);
    p->addr.device = device;
}

static void party_free(party_t *p)
{
    while (p->nrecs > 0) {
        free(p->recs[--p->nrecs].value);
    }
    wagw_cache_forget(cache, p->instance);
}

typedef struct {
    wagw_load_t *asked;
    wagw_rec_t *recs;
    wagw_arena_t arena;
} answer_t;

static void load(party_t *p, const wagw_load_t *misses, answer_t *a)
{
    const wagw_load_t *l;
    wagw_load_t *copy, **last;
    wagw_rec_t *r;
    size_t i;
    bool first = true;

    wagw_arena_free(&a->arena);
    memset(a, 0, sizeof(*a));
    last = &a->asked;
    for (l = misses; l != NULL; l = l->next) {
        if (one_by_one && !l->prefix && !first) {
            continue;
        }
        first = l->prefix && first;
        copy = wagw_arena_alloc(&a->arena, sizeof(*copy));
        *copy = *l;
        copy->next = NULL;
        *last = copy;
        last = &copy->next;
        for (i = 0; i < p->nrecs; i++) {
            if (p->recs[i].kind == l->kind &&
                (l->prefix ? strncmp(p->recs[i].key, l->key, l->key_len) == 0 : strcmp(p->recs[i].key, l->key) == 0)) {
                r = wagw_arena_alloc(&a->arena, sizeof(*r));
                *r =
                    (wagw_rec_t){l->kind, wagw_cstr(p->recs[i].key), wagw_str(p->recs[i].value, p->recs[i].n), a->recs};
                a->recs = r;
            }
        }
    }
    loads++;
    assert_int_equal(wagw_cache_fill(cache, p->instance, a->asked, a->recs), WAGW_OK);
}

/* Runs fn as a turn until it has what it needs; WAGW_OK is committed. */
typedef int (*turn_pt)(void *arg);

static int do_migrate(void *arg);

static int turn(party_t *p, turn_pt fn, void *arg)
{
    static wagw_txn_t t;
    answer_t a = {0};
    wagw_batch_t *b;
    rng_t before = rng;
    unsigned runs = 0;
    int rc;

    if (one_by_one) {
        wagw_cache_forget(cache, p->instance);
    }
    for (;;) {
        wagw_txn_begin(&t, cache, p->instance);
        t.scans = a.recs;
        t.scans_asked = a.asked;
        wagw_signal_bind(sig, &t, &p->self);
        rng = before;
        rc = fn(arg);
        if (rc == WAGW_OK) {
            break;
        }
        /* a failed call leaves nothing behind; a migration may be half done when it lacks a record */
        assert_true(!wagw_txn_changed(&t) || (rc == WAGW_AGAIN && fn == do_migrate));
        wagw_txn_rollback(&t);
        if (rc != WAGW_AGAIN) {
            goto done;
        }
        assert_non_null(t.misses);
        assert_true(++runs < 30);
        load(p, t.misses, &a);
    }
    b = wagw_batch_create(p->instance, ++p->seq);
    assert_int_equal(wagw_txn_commit(&t, b), WAGW_OK);
    store_apply(p, b);
    wagw_cache_committed(cache, p->instance, b->seq);
    wagw_batch_destroy(b);

done:

    wagw_arena_free(&a.arena);
    wagw_txn_free(&t);
    return rc;
}

/* ---- the calls as turns ---------------------------------------------------- */

typedef struct {
    const wagw_signal_addr_t *peer;
    wagw_str_t in, group;
    wagw_buf_t *out;
    bool prekey, changed;
    const wagw_bundle_t *bundle;
    uint32_t id;
    const wagw_keypair_t *kp;
    const uint8_t *sig;
    const char *name, *lid;
    uint8_t key[33];
} call_t;

static int do_encrypt(void *arg)
{
    call_t *c = arg;

    wagw_buf_reset(c->out);
    return wagw_signal_encrypt(sig, c->peer, c->in, c->out, &c->prekey);
}

static int do_decrypt(void *arg)
{
    call_t *c = arg;

    wagw_buf_reset(c->out);
    return wagw_signal_decrypt(sig, c->peer, c->prekey, c->in, c->out, &c->changed);
}

static int do_bundle(void *arg)
{
    call_t *c = arg;

    return wagw_signal_process_bundle(sig, c->peer, c->bundle, &c->changed);
}

static int do_put_prekey(void *arg)
{
    call_t *c = arg;

    return wagw_signal_put_prekey(sig, c->id, c->kp, true);
}

static int do_put_spk(void *arg)
{
    call_t *c = arg;

    return wagw_signal_put_signed_prekey(sig, c->id, c->kp, c->sig, 0);
}

static int do_skdm(void *arg)
{
    call_t *c = arg;

    wagw_buf_reset(c->out);
    return wagw_signal_group_skdm(sig, c->group, c->peer, c->out, &c->id);
}

static int do_group_encrypt(void *arg)
{
    call_t *c = arg;

    wagw_buf_reset(c->out);
    return wagw_signal_group_encrypt(sig, c->group, c->peer, c->in, c->out);
}

static int do_group_process(void *arg)
{
    call_t *c = arg;

    return wagw_signal_group_process(sig, c->group, c->peer, c->in);
}

static int do_group_decrypt(void *arg)
{
    call_t *c = arg;

    wagw_buf_reset(c->out);
    return wagw_signal_group_decrypt(sig, c->group, c->peer, c->in, c->out);
}

static int do_group_forget(void *arg)
{
    call_t *c = arg;

    return wagw_signal_group_forget(sig, c->group, c->peer);
}

static int do_migrate(void *arg)
{
    call_t *c = arg;

    return wagw_signal_migrate(sig, c->name, c->lid);
}

static int do_delete_user(void *arg)
{
    call_t *c = arg;

    return wagw_signal_delete_user(sig, c->name);
}

static int do_delete_session(void *arg)
{
    call_t *c = arg;

    return wagw_signal_delete_session(sig, c->peer);
}

static int do_info(void *arg)
{
    call_t *c = arg;

    return wagw_signal_session_info(sig, c->peer, &c->id, c->key);
}

static int do_has_session(void *arg)
{
    call_t *c = arg;

    return wagw_signal_has_session(sig, c->peer);
}

static int encrypt(party_t *p, const party_t *to, const char *text, wagw_buf_t *out, bool *prekey)
{
    call_t c = {.peer = &to->addr, .in = wagw_cstr(text), .out = out};
    int rc = turn(p, do_encrypt, &c);

    *prekey = c.prekey;
    return rc;
}

static int decrypt(party_t *p, const party_t *from, bool prekey, const wagw_buf_t *in, wagw_buf_t *out, bool *changed)
{
    call_t c = {.peer = &from->addr, .in = wagw_buf_view(in), .out = out, .prekey = prekey};
    int rc = turn(p, do_decrypt, &c);

    if (changed != NULL) {
        *changed = c.changed;
    }
    return rc;
}

/* ---- own prekeys and bundles ------------------------------------------------ */

typedef struct {
    uint32_t id;
    uint8_t pub[32], sig[64];
} made_t;

static int do_make_prekey(void *arg)
{
    made_t *m = arg;

    return wagw_signal_make_prekey(sig, m->id, true, m->pub);
}

static int do_make_spk(void *arg)
{
    made_t *m = arg;

    return wagw_signal_make_signed_prekey(sig, m->id, 1767225600000, m->pub, m->sig);
}

static wagw_bundle_t make_bundle(party_t *p, uint32_t id, uint32_t spk_id)
{
    wagw_bundle_t b = {0};
    made_t m = {.id = spk_id};

    b.registration_id = p->self.registration_id;
    memcpy(b.identity, p->identity.pub, 32);
    assert_int_equal(turn(p, do_make_spk, &m), WAGW_OK);
    b.spk_id = spk_id;
    memcpy(b.spk, m.pub, 32);
    memcpy(b.spk_sig, m.sig, 64);
    if (id != 0) {
        m.id = id;
        assert_int_equal(turn(p, do_make_prekey, &m), WAGW_OK);
        b.has_prekey = true;
        b.prekey_id = id;
        memcpy(b.prekey, m.pub, 32);
    }
    return b;
}

static int use_bundle(party_t *p, const party_t *to, const wagw_bundle_t *b, bool *changed)
{
    call_t c = {.peer = &to->addr, .bundle = b};
    int rc = turn(p, do_bundle, &c);

    if (changed != NULL) {
        *changed = c.changed;
    }
    return rc;
}

static int setup(void **state)
{
    (void)state;
    memset(&rng, 0, sizeof(rng));
    rng.seed = 42;
    one_by_one = false;
    loads = 0;
    cache = wagw_cache_create(8 << 20);
    return wagw_signal_create(&sig, rng_fill, &rng);
}

static int teardown(void **state)
{
    (void)state;
    wagw_signal_destroy(sig);
    wagw_cache_destroy(cache);
    return 0;
}

static party_t alice, bob;
static wagw_buf_t wire, plain;

static void meet(void)
{
    party_init(&alice, 1, "100_1", 5);
    party_init(&bob, 2, "200", 0);
}

static void part(void)
{
    party_free(&alice);
    party_free(&bob);
    wagw_buf_free(&wire);
    wagw_buf_free(&plain);
    memset(&wire, 0, sizeof(wire));
    memset(&plain, 0, sizeof(plain));
}

/* Alice has written to Bob, Bob has answered: both sides send `msg`. */
static void converse(void)
{
    wagw_bundle_t b = make_bundle(&bob, 7, 3);
    bool prekey, changed;

    assert_int_equal(use_bundle(&alice, &bob, &b, &changed), WAGW_OK);
    assert_false(changed);
    assert_int_equal(encrypt(&alice, &bob, "hello", &wire, &prekey), WAGW_OK);
    assert_true(prekey);
    assert_true(has(&bob, WAGW_REC_PREKEY, "00000007"));
    assert_int_equal(decrypt(&bob, &alice, true, &wire, &plain, &changed), WAGW_OK);
    assert_false(changed);
    assert_memory_equal(plain.p, "hello", 5);
    assert_false(has(&bob, WAGW_REC_PREKEY, "00000007"));
    assert_true(has(&bob, WAGW_REC_SPREKEY, "00000003"));
    assert_int_equal(encrypt(&bob, &alice, "hi", &wire, &prekey), WAGW_OK);
    assert_false(prekey);
    assert_int_equal(decrypt(&alice, &bob, false, &wire, &plain, NULL), WAGW_OK);
    assert_memory_equal(plain.p, "hi", 2);
    assert_int_equal(encrypt(&alice, &bob, "again", &wire, &prekey), WAGW_OK);
    assert_false(prekey);
    assert_int_equal(decrypt(&bob, &alice, false, &wire, &plain, NULL), WAGW_OK);
}

/* ---- vectors ---------------------------------------------------------------- */

static void rng_queue(const cJSON *list)
{
    const cJSON *k;

    rng.nkeys = rng.at = 0;
    cJSON_ArrayForEach(k, list)
    {
        assert_true(rng.nkeys < 64);
        assert_int_equal(vec_hex_item(k, rng.keys[rng.nkeys++], 32), 32);
    }
}

static void hex32(const cJSON *o, const char *key, uint8_t out[32])
{
    uint8_t b[33];
    size_t n = vec_hex(o, key, b, sizeof(b));

    assert_true(n == 32 || (n == 33 && b[0] == 5));
    memcpy(out, b + n - 32, 32);
}

static void vector_addr(const cJSON *o, wagw_signal_addr_t *a)
{
    memset(a, 0, sizeof(*a));
    snprintf(a->name, sizeof(a->name), "%s", vec_str(o, "name"));
    a->device = (uint32_t)vec_int(o, "device_id", 0);
}

static void vector_party(party_t *p, uint32_t instance, const cJSON *o)
{
    const cJSON *k = vec_get(o, "signed_prekey");
    wagw_keypair_t kp;
    uint8_t signature[64];
    call_t c = {.kp = &kp, .sig = signature};

    memset(p, 0, sizeof(*p));
    p->instance = instance;
    p->self.identity = &p->identity;
    p->self.registration_id = (uint32_t)vec_int(o, "registration_id", 0);
    hex32(vec_get(o, "identity"), "private", p->identity.priv);
    hex32(vec_get(o, "identity"), "public", p->identity.pub);
    vector_addr(vec_get(o, "signal_address"), &p->addr);

    hex32(k, "private", kp.priv);
    hex32(k, "public", kp.pub);
    c.id = (uint32_t)vec_int(k, "id", 0);
    assert_int_equal(vec_hex(k, "signature", signature, 64), 64);
    assert_int_equal(turn(p, do_put_spk, &c), WAGW_OK);

    cJSON_ArrayForEach(k, vec_get(o, "prekeys"))
    {
        hex32(k, "private", kp.priv);
        hex32(k, "public", kp.pub);
        c.id = (uint32_t)vec_int(k, "id", 0);
        assert_int_equal(turn(p, do_put_prekey, &c), WAGW_OK);
    }
}

static void vector_bundle(const cJSON *o, wagw_bundle_t *b)
{
    const cJSON *k = vec_get(o, "prekey");

    memset(b, 0, sizeof(*b));
    b->registration_id = (uint32_t)vec_int(o, "registration_id", 0);
    hex32(o, "identity", b->identity);
    if (cJSON_IsObject(k)) {
        b->has_prekey = true;
        b->prekey_id = (uint32_t)vec_int(k, "id", 0);
        hex32(k, "public", b->prekey);
    }
    k = vec_get(o, "signed_prekey");
    b->spk_id = (uint32_t)vec_int(k, "id", 0);
    hex32(k, "public", b->spk);
    assert_int_equal(vec_hex(k, "signature", b->spk_sig, 64), 64);
}

static bool same(const wagw_buf_t *got, wagw_arena_t *a, const cJSON *o, const char *key)
{
    return wagw_str_eq(wagw_buf_view(got), vec_bytes(a, o, key));
}

static const cJSON *step_of(const cJSON *steps, int64_t n, const char *op)
{
    const cJSON *s;

    cJSON_ArrayForEach(s, steps)
    {
        if (strcmp(vec_str(s, "op"), op) == 0 && vec_int(s, "n", -1) == n) {
            return s;
        }
    }
    return NULL;
}

static bool vector_step(const cJSON *steps, const cJSON *s, party_t *p[2], wagw_arena_t *a)
{
    const char *op = vec_str(s, "op");
    const cJSON *m;
    wagw_bundle_t b;
    bool prekey, ok;
    int rc, who;

    if (strcmp(op, "alice_process_bundle") == 0) {
        rng_queue(vec_get(s, "random_keys_used"));
        vector_bundle(vec_get(s, "bundle"), &b);
        return use_bundle(p[0], p[1], &b, NULL) == WAGW_OK && rng.at == rng.nkeys;
    }
    if (strcmp(op, "encrypt") == 0) {
        who = strcmp(vec_str(s, "from"), "bob") == 0;
        rng.nkeys = 0;
        call_t c = {.peer = &p[!who]->addr, .in = vec_bytes(a, s, "plaintext"), .out = &wire};
        rc = turn(p[who], do_encrypt, &c);
        return rc == WAGW_OK && c.prekey == (strcmp(vec_str(s, "enc_type"), "pkmsg") == 0) &&
               same(&wire, a, s, "ciphertext");
    }
    if (strcmp(op, "decrypt") == 0) {
        who = strcmp(vec_str(s, "by"), "bob") == 0;
        m = step_of(steps, vec_int(s, "n", -1), "encrypt");
        rng_queue(vec_get(s, "new_ratchet_keys"));
        prekey = strcmp(vec_str(m, "enc_type"), "pkmsg") == 0;
        call_t c = {.peer = &p[!who]->addr, .in = vec_bytes(a, m, "ciphertext"), .out = &plain, .prekey = prekey};
        rc = turn(p[who], do_decrypt, &c);
        ok = strcmp(vec_str(s, "expect"), "ok") == 0;
        return ok ? rc == WAGW_OK && same(&plain, a, m, "plaintext") && rng.at == rng.nkeys : rc == WAGW_DUPLICATE;
    }
    return false;
}

static void test_vectors(void **state)
{
    cJSON *doc = vec_load("signal");
    const cJSON *v, *s, *m;
    wagw_arena_t a = {0};
    party_t *p[2] = {&alice, &bob};
    unsigned passed = 0, failed = 0, i;
    char key[16];
    int rc;
    bool ok;

    (void)state;
    if (doc == NULL) {
        skip();
    }
    for (i = 0; i < 2; i++) { /* the second time from a store that is read record by record */
        one_by_one = i == 1;

        cJSON_ArrayForEach(v, vec_get(doc, "conversations"))
        {
            vector_party(&alice, 1, vec_get(v, "alice"));
            vector_party(&bob, 2, vec_get(v, "bob"));
            cJSON_ArrayForEach(s, vec_get(v, "steps"))
            {
                if (vector_step(vec_get(v, "steps"), s, p, &a)) {
                    passed++;
                } else {
                    failed++;
                    print_message("%s: step %s %lld fails\n", vec_str(v, "id"), vec_str(s, "op"),
                                  (long long)vec_int(s, "n", -1));
                }
            }
            cJSON_ArrayForEach(s, vec_get(v, "prekeys_consumed_by_bob"))
            {
                snprintf(key, sizeof(key), "%08d", (int)s->valuedouble);
                assert_false(has(&bob, WAGW_REC_PREKEY, key));
            }
            part();
        }

        cJSON_ArrayForEach(v, vec_get(doc, "sender_keys"))
        {
            call_t c = {.group = wagw_cstr(vec_str(v, "group_id")), .out = &plain};

            meet();
            vector_addr(vec_get(v, "sender"), &alice.addr);
            c.peer = &alice.addr;
            cJSON_ArrayForEach(s, vec_get(v, "steps"))
            {
                if (strcmp(vec_str(s, "op"), "skdm") == 0) {
                    c.in = vec_bytes(&a, s, "serialized");
                    rc = turn(&bob, do_group_process, &c);
                    passed += rc == WAGW_OK;
                    failed += rc != WAGW_OK;
                } else {
                    assert_string_equal(vec_str(s, "op"), "skmsg");
                }
            }
            cJSON_ArrayForEach(s, vec_get(v, "delivery_order"))
            {
                m = step_of(vec_get(v, "steps"), vec_int(s, "n", -1), "skmsg");
                c.in = vec_bytes(&a, m, "ciphertext");
                rc = turn(&bob, do_group_decrypt, &c);
                ok = strcmp(vec_str(s, "expect"), "ok") == 0 ? rc == WAGW_OK && same(&plain, &a, m, "plaintext")
                                                             : rc == WAGW_DUPLICATE;
                passed += ok;
                failed += !ok;
            }
            part();
        }
    }
    vec_count("signal", passed, failed, 0);
    assert_int_equal(failed, 0);
    wagw_arena_free(&a);
    cJSON_Delete(doc);
}

static void test_padding(void **state)
{
    cJSON *doc = vec_load("padding");
    const cJSON *v;
    wagw_arena_t a = {0};
    wagw_str_t s, m;
    unsigned passed = 0, failed = 0;
    wagw_buf_t b = {0};
    bool ok, reject;

    (void)state;
    if (doc == NULL) {
        skip();
    }
    cJSON_ArrayForEach(v, vec_get(doc, "entries"))
    {
        m = vec_bytes(&a, v, "message");
        s = vec_bytes(&a, v, "padded");
        wagw_buf_reset(&b);
        wagw_buf_str(&b, m);
        ok = wagw_pad(&b, (uint8_t)(0xf0 | (vec_int(v, "pad_length", 0) - 1))) == WAGW_OK &&
             wagw_str_eq(wagw_buf_view(&b), s) && wagw_unpad(&s) == WAGW_OK && wagw_str_eq(s, m);
        passed += ok;
        failed += !ok;
    }
    cJSON_ArrayForEach(v, vec_get(doc, "bad"))
    {
        m = s = vec_bytes(&a, v, "padded");
        reject = m.n == 0 || m.p[m.n - 1] != 0; /* pad byte 0: unpadded */
        ok = reject ? wagw_unpad(&s) == WAGW_MALFORMED : wagw_unpad(&s) == WAGW_OK && wagw_str_eq(s, m);
        passed += ok;
        failed += !ok;
    }
    vec_count("padding", passed, failed, 0);
    assert_int_equal(failed, 0);

    wagw_buf_reset(&b); /* 255 bytes of padding and nothing else */
    while (b.n < 255) {
        wagw_buf_u8(&b, 255);
    }
    s = wagw_buf_view(&b);
    assert_int_equal(wagw_unpad(&s), WAGW_OK);
    assert_int_equal(s.n, 0);

    wagw_buf_free(&b);
    wagw_arena_free(&a);
    cJSON_Delete(doc);
}

static void test_phash(void **state)
{
    cJSON *doc = vec_load("phash");
    const cJSON *v, *d;
    wagw_jid_t jids[4096];
    unsigned passed = 0, failed = 0;
    size_t n;
    char out[16];
    bool ok;

    (void)state;
    if (doc == NULL) {
        skip();
    }
    cJSON_ArrayForEach(v, vec_get(doc, "entries"))
    {
        n = 0;
        cJSON_ArrayForEach(d, vec_get(v, "devices"))
        {
            assert_true(n < 4096);
            assert_int_equal(wagw_jid_parse(&jids[n++], wagw_cstr(d->valuestring)), WAGW_OK);
        }
        ok = wagw_phash(out, jids, n) == WAGW_OK && strcmp(out, vec_str(v, "phash")) == 0;
        passed += ok;
        failed += !ok;
    }
    vec_count("phash", passed, failed, 0);
    assert_int_equal(failed, 0);
    cJSON_Delete(doc);
}

static void test_message_id(void **state)
{
    cJSON *doc = vec_load("message-id");
    const cJSON *v;
    unsigned passed = 0, failed = 0;
    uint8_t random[16];
    char out[24];
    bool ok;

    (void)state;
    if (doc == NULL) {
        skip();
    }
    cJSON_ArrayForEach(v, vec_get(doc, "entries"))
    {
        assert_int_equal(vec_hex(v, "random16", random, 16), 16);
        ok =
            wagw_message_id(out, vec_int(v, "unix_seconds", 0), wagw_cstr(vec_str(v, "own_user")), random) == WAGW_OK &&
            strcmp(out, vec_str(v, "whatsmeow_id")) == 0;
        passed += ok;
        failed += !ok;
    }
    vec_count("message-id", passed, failed, 0);
    assert_int_equal(failed, 0);
    cJSON_Delete(doc);
}

/* ---- own cases -------------------------------------------------------------- */

static void test_addr(void **state)
{
    static const struct {
        const char *jid, *name;
        unsigned device;
    } rows[] = {
        {"4915100@s.whatsapp.net", "4915100", 0},
        {"4915100:12@s.whatsapp.net", "4915100", 12},
        {"2001:12@lid", "2001_1", 12},
        {"4915100:99@hosted", "4915100_128", 99},
        {"2001:99@hosted.lid", "2001_129", 99},
        {"718584497008509@bot", "718584497008509", 0},
    };
    char key[WAGW_KEY_MAX], want[WAGW_KEY_MAX];
    wagw_signal_addr_t a;
    wagw_jid_t j;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(wagw_jid_parse(&j, wagw_cstr(rows[i].jid)), WAGW_OK);
        a = wagw_signal_addr(&j);
        assert_string_equal(a.name, rows[i].name);
        assert_int_equal(a.device, rows[i].device);
        snprintf(want, sizeof(want), "%s.%u", rows[i].name, rows[i].device);
        assert_int_equal(wagw_signal_key(key, &a), strlen(want));
        assert_string_equal(key, want);
    }
}

static void test_prekeys(void **state)
{
    made_t m = {.id = 5};
    uint8_t pub[32], typed[33] = {5};
    stored_t *r;

    (void)state;
    meet();
    assert_int_equal(turn(&bob, do_make_prekey, &m), WAGW_OK);
    r = stored(&bob, WAGW_REC_PREKEY, WAGW_STR("00000005"));
    assert_non_null(r);
    assert_int_equal(r->value[0], 1);
    assert_int_equal(wagw_signal_prekey_public(sig, wagw_str(r->value, r->n), pub), WAGW_OK);
    assert_memory_equal(pub, m.pub, 32);
    assert_int_equal(wagw_signal_prekey_public(sig, wagw_str(r->value, 1), pub), WAGW_MALFORMED);
    assert_int_equal(wagw_signal_prekey_public(sig, wagw_str(r->value, r->n - 1), pub), WAGW_MALFORMED);
    m.id = 0xffffff;
    assert_int_equal(turn(&bob, do_make_spk, &m), WAGW_OK);
    assert_true(has(&bob, WAGW_REC_SPREKEY, "16777215"));
    memcpy(typed + 1, m.pub, 32);
    assert_int_equal(wagw_xeddsa_verify(m.sig, bob.identity.pub, wagw_str(typed, 33)), WAGW_OK);
    part();
}

static void test_conversation(void **state)
{
    (void)state;
    meet();
    converse();
    part();
}

/* Everything in memory, and nothing in memory with one record per load, end in
 * the same stores and the same bytes on the wire. */
static void whole_story(wagw_buf_t *transcript, party_t *a, party_t *b)
{
    wagw_bundle_t bundle;
    bool prekey;
    unsigned i;
    call_t c = {.group = WAGW_STR("12036@g.us"), .out = &wire};

    setup(NULL);
    meet();
    one_by_one = transcript->p != NULL;
    converse();
    wagw_buf_add(transcript, wire.p, wire.n);

    bundle = make_bundle(&bob, 8, 4);
    assert_int_equal(use_bundle(&alice, &bob, &bundle, NULL), WAGW_OK);
    for (i = 0; i < 4; i++) {
        assert_int_equal(encrypt(&alice, &bob, "second session", &wire, &prekey), WAGW_OK);
        wagw_buf_add(transcript, wire.p, wire.n);
        if (i != 1) {
            assert_int_equal(decrypt(&bob, &alice, prekey, &wire, &plain, NULL), WAGW_OK);
        }
        assert_int_equal(decrypt(&bob, &alice, prekey, &wire, &plain, NULL), i == 1 ? WAGW_OK : WAGW_DUPLICATE);
        if (i == 2) {
            assert_int_equal(encrypt(&bob, &alice, "answer", &wire, &prekey), WAGW_OK);
            assert_int_equal(decrypt(&alice, &bob, prekey, &wire, &plain, NULL), WAGW_OK);
        }
    }

    c.peer = &alice.addr;
    assert_int_equal(turn(&alice, do_skdm, &c), WAGW_OK);
    wagw_buf_add(transcript, wire.p, wire.n);
    c.in = wagw_buf_view(&wire);
    assert_int_equal(turn(&bob, do_group_process, &c), WAGW_OK);
    for (i = 0; i < 3; i++) {
        c.in = WAGW_STR("to all");
        assert_int_equal(turn(&alice, do_group_encrypt, &c), WAGW_OK);
        wagw_buf_add(transcript, wire.p, wire.n);
        call_t d = {.group = c.group, .peer = &alice.addr, .in = wagw_buf_view(&wire), .out = &plain};
        assert_int_equal(turn(&bob, do_group_decrypt, &d), WAGW_OK);
        assert_memory_equal(plain.p, "to all", 6);
    }
    *a = alice;
    *b = bob;
    memset(&alice, 0, sizeof(alice));
    memset(&bob, 0, sizeof(bob));
    teardown(NULL);
}

static void assert_same_store(party_t *x, party_t *y)
{
    size_t i;
    stored_t *r;

    assert_int_equal(x->nrecs, y->nrecs);
    for (i = 0; i < x->nrecs; i++) {
        r = stored(y, x->recs[i].kind, wagw_cstr(x->recs[i].key));
        assert_non_null(r);
        assert_int_equal(r->n, x->recs[i].n);
        assert_memory_equal(r->value, x->recs[i].value, r->n);
    }
}

static void test_again(void **state)
{
    static party_t a[2], b[2];
    wagw_buf_t t[2] = {{0}};
    unsigned i, few;

    (void)state;
    teardown(NULL);
    whole_story(&t[0], &a[0], &b[0]);
    few = loads;
    wagw_buf_add(&t[1], "", 1);
    t[1].n = 0; /* memory: the cold way */
    whole_story(&t[1], &a[1], &b[1]);
    assert_true(loads > few * 2);
    assert_int_equal(t[0].n, t[1].n);
    assert_memory_equal(t[0].p, t[1].p, t[0].n);
    assert_same_store(&a[0], &a[1]);
    assert_same_store(&b[0], &b[1]);
    setup(NULL);
    for (i = 0; i < 2; i++) {
        party_free(&a[i]);
        party_free(&b[i]);
        wagw_buf_free(&t[i]);
    }
    part();
}

/* A first message needs four records: one load brings them all. */
static void test_one_load(void **state)
{
    wagw_bundle_t b;
    bool prekey;

    (void)state;
    meet();
    b = make_bundle(&bob, 7, 3);
    assert_int_equal(use_bundle(&alice, &bob, &b, NULL), WAGW_OK);
    assert_int_equal(encrypt(&alice, &bob, "hello", &wire, &prekey), WAGW_OK);
    wagw_cache_forget(cache, bob.instance);
    loads = 0;
    assert_int_equal(decrypt(&bob, &alice, true, &wire, &plain, NULL), WAGW_OK);
    assert_int_equal(loads, 1);
    wagw_cache_forget(cache, bob.instance);
    assert_int_equal(encrypt(&bob, &alice, "hello", &wire, &prekey), WAGW_OK);
    assert_int_equal(loads, 2);
    part();
}

/* Decrypted, but the commit is lost: the same bytes decrypt again. */
static void test_crash(void **state)
{
    wagw_txn_t t = {0};
    wagw_bundle_t b;
    bool prekey, changed;
    unsigned i;
    stored_t before[64];

    (void)state;
    meet();
    b = make_bundle(&bob, 7, 3);
    assert_int_equal(use_bundle(&alice, &bob, &b, NULL), WAGW_OK);
    assert_int_equal(encrypt(&alice, &bob, "hello", &wire, &prekey), WAGW_OK);
    assert_true(bob.nrecs < 64);
    memcpy(before, bob.recs, bob.nrecs * sizeof(stored_t));
    for (i = 0; i < 3; i++) {
        /* the prekey records are cached from making them; a fresh session is known absent after one load */
        wagw_txn_begin(&t, cache, bob.instance);
        wagw_signal_bind(sig, &t, &bob.self);
        wagw_buf_reset(&plain);
        if (wagw_signal_decrypt(sig, &alice.addr, true, wagw_buf_view(&wire), &plain, &changed) == WAGW_AGAIN) {
            answer_t a = {0};

            assert_int_equal(i, 0);
            wagw_txn_rollback(&t);
            load(&bob, t.misses, &a);
            wagw_arena_free(&a.arena);
            continue;
        }
        assert_memory_equal(plain.p, "hello", 5);
        assert_true(wagw_txn_changed(&t));
        wagw_txn_rollback(&t);
    }
    wagw_txn_free(&t);
    assert_memory_equal(before, bob.recs, bob.nrecs * sizeof(stored_t));
    assert_int_equal(decrypt(&bob, &alice, true, &wire, &plain, NULL), WAGW_OK);
    assert_int_equal(decrypt(&bob, &alice, true, &wire, &plain, NULL), WAGW_DUPLICATE);
    part();
}

static void drop(party_t *p, uint8_t kind, const char *key)
{
    stored_t *r = stored(p, kind, wagw_cstr(key));

    assert_non_null(r);
    free(r->value);
    *r = p->recs[--p->nrecs];
    wagw_cache_forget(cache, p->instance);
}

static void test_missing_keys(void **state)
{
    wagw_bundle_t b;
    bool prekey;

    (void)state;
    meet();
    assert_int_equal(encrypt(&alice, &bob, "x", &wire, &prekey), WAGW_NO_SESSION);
    assert_int_equal(decrypt(&alice, &bob, false, &wire, &plain, NULL), WAGW_MALFORMED);
    b = make_bundle(&bob, 7, 3);
    assert_int_equal(use_bundle(&alice, &bob, &b, NULL), WAGW_OK);
    assert_int_equal(encrypt(&alice, &bob, "x", &wire, &prekey), WAGW_OK);
    drop(&bob, WAGW_REC_PREKEY, "00000007");
    assert_int_equal(decrypt(&bob, &alice, true, &wire, &plain, NULL), WAGW_NO_PREKEY);
    b = make_bundle(&bob, 0, 4);
    assert_int_equal(use_bundle(&alice, &bob, &b, NULL), WAGW_OK);
    assert_int_equal(encrypt(&alice, &bob, "x", &wire, &prekey), WAGW_OK);
    drop(&bob, WAGW_REC_SPREKEY, "00000004");
    assert_int_equal(decrypt(&bob, &alice, true, &wire, &plain, NULL), WAGW_NO_PREKEY);
    assert_false(has(&bob, WAGW_REC_SESSION, "100_1.5"));
    assert_false(has(&bob, WAGW_REC_IDENTITY, "100_1.5"));

    /* a message of a session that we do not have */
    part();
    meet();
    converse();
    assert_int_equal(encrypt(&alice, &bob, "x", &wire, &prekey), WAGW_OK);
    call_t c = {.peer = &alice.addr};
    assert_int_equal(turn(&bob, do_has_session, &c), WAGW_OK);
    assert_int_equal(turn(&bob, do_delete_session, &c), WAGW_OK);
    assert_int_equal(turn(&bob, do_has_session, &c), WAGW_NOT_FOUND);
    assert_int_equal(turn(&bob, do_info, &c), WAGW_NOT_FOUND);
    assert_int_equal(decrypt(&bob, &alice, false, &wire, &plain, NULL), WAGW_NO_SESSION);
    part();
}

static void test_info(void **state)
{
    wagw_bundle_t b;
    uint8_t first[33];
    bool prekey;

    (void)state;
    meet();
    converse();
    call_t c = {.peer = &bob.addr};
    assert_int_equal(turn(&alice, do_info, &c), WAGW_OK);
    assert_int_equal(c.id, bob.self.registration_id);
    memcpy(first, c.key, 33);
    assert_int_equal(first[0], 5);
    call_t d = {.peer = &alice.addr};
    assert_int_equal(turn(&bob, do_info, &d), WAGW_OK);
    assert_int_equal(d.id, alice.self.registration_id);
    assert_memory_equal(d.key, first, 33);
    /* messages do not change it, a new session does */
    assert_int_equal(encrypt(&alice, &bob, "x", &wire, &prekey), WAGW_OK);
    assert_int_equal(turn(&alice, do_info, &c), WAGW_OK);
    assert_memory_equal(c.key, first, 33);
    b = make_bundle(&bob, 8, 4);
    assert_int_equal(use_bundle(&alice, &bob, &b, NULL), WAGW_OK);
    assert_int_equal(turn(&alice, do_info, &c), WAGW_OK);
    assert_memory_not_equal(c.key, first, 33);
    part();
}

static void test_identity_change(void **state)
{
    static party_t again;
    wagw_bundle_t b;
    bool prekey, changed;
    wagw_keypair_t old;
    wagw_buf_t bad = {0};

    (void)state;
    meet();
    converse();
    old = alice.identity;

    /* Alice registers again: a new identity, no sessions */
    party_init(&again, 3, "100_1", 5);
    b = make_bundle(&bob, 8, 4);
    assert_int_equal(use_bundle(&again, &bob, &b, NULL), WAGW_OK);
    assert_int_equal(encrypt(&again, &bob, "new phone", &wire, &prekey), WAGW_OK);

    /* damaged: the old session and identity stay */
    wagw_buf_add(&bad, wire.p, wire.n);
    bad.p[bad.n - 1] ^= 1;
    assert_true(decrypt(&bob, &again, true, &bad, &plain, &changed) < 0);
    assert_false(changed);
    assert_memory_equal(stored(&bob, WAGW_REC_IDENTITY, WAGW_STR("100_1.5"))->value + 1, old.pub, 32);

    assert_int_equal(decrypt(&bob, &again, true, &wire, &plain, &changed), WAGW_OK);
    assert_true(changed);
    assert_memory_equal(stored(&bob, WAGW_REC_IDENTITY, WAGW_STR("100_1.5"))->value + 1, again.identity.pub, 32);
    assert_int_equal(encrypt(&bob, &again, "hi", &wire, &prekey), WAGW_OK);
    assert_int_equal(decrypt(&again, &bob, false, &wire, &plain, &changed), WAGW_OK);

    /* the old session is gone: its messages find nothing to decrypt them */
    assert_int_equal(encrypt(&alice, &bob, "late", &wire, &prekey), WAGW_OK);
    assert_int_equal(decrypt(&bob, &alice, false, &wire, &plain, &changed), WAGW_CRYPTO);

    /* the same by bundle */
    b = make_bundle(&alice, 1, 1);
    assert_int_equal(use_bundle(&bob, &alice, &b, &changed), WAGW_OK);
    assert_true(changed);
    assert_int_equal(use_bundle(&bob, &alice, &b, &changed), WAGW_OK);
    assert_false(changed);

    wagw_buf_free(&bad);
    party_free(&again);
    part();
}

static void test_account_key(void **state)
{
    wagw_bundle_t b;
    bool prekey, changed;
    uint8_t key[32];

    (void)state;
    meet();
    memcpy(key, alice.identity.pub, 32);
    key[5] ^= 1;
    bob.self.account_key = key;
    bob.self.account_addr = alice.addr;
    b = make_bundle(&bob, 7, 3);
    assert_int_equal(use_bundle(&alice, &bob, &b, NULL), WAGW_OK);
    assert_int_equal(encrypt(&alice, &bob, "not our phone", &wire, &prekey), WAGW_OK);
    assert_int_equal(decrypt(&bob, &alice, true, &wire, &plain, &changed), WAGW_CRYPTO);
    b = make_bundle(&alice, 1, 1);
    assert_int_equal(use_bundle(&bob, &alice, &b, &changed), WAGW_CRYPTO);
    bob.self.account_addr.device++;
    assert_int_equal(decrypt(&bob, &alice, true, &wire, &plain, &changed), WAGW_OK);
    bob.self.account_addr = alice.addr;
    key[5] ^= 1;
    assert_int_equal(use_bundle(&bob, &alice, &b, &changed), WAGW_OK);
    part();
}

static void test_bad_bundle(void **state)
{
    wagw_bundle_t b, bad;

    (void)state;
    meet();
    b = make_bundle(&bob, 7, 3);
    bad = b;
    bad.spk_sig[3] ^= 1;
    assert_int_equal(use_bundle(&alice, &bob, &bad, NULL), WAGW_CRYPTO);
    bad = b;
    bad.spk[3] ^= 1;
    assert_int_equal(use_bundle(&alice, &bob, &bad, NULL), WAGW_CRYPTO);
    bad = b;
    memset(bad.prekey, 0, 32); /* a point of small order agrees with everybody on zero */
    assert_int_equal(use_bundle(&alice, &bob, &bad, NULL), WAGW_CRYPTO);
    assert_int_equal(alice.nrecs, 0);
    assert_int_equal(use_bundle(&alice, &bob, &b, NULL), WAGW_OK);
    part();
}

static void test_damage(void **state)
{
    bool prekey;
    size_t i, n;
    uint8_t *cut;
    int rc;
    wagw_bundle_t b;
    unsigned kind;

    (void)state;
    meet();
    b = make_bundle(&bob, 7, 3);
    assert_int_equal(use_bundle(&alice, &bob, &b, NULL), WAGW_OK);
    for (kind = 0; kind < 2; kind++) {
        assert_int_equal(encrypt(&alice, &bob, "precious", &wire, &prekey), WAGW_OK);
        assert_int_equal(prekey, kind == 0);
        for (i = 0; i < wire.n; i++) {
            /* the registration id (field 5) of a pkmsg is not authenticated */
            wire.p[i] ^= 0x41;
            rc = decrypt(&bob, &alice, prekey, &wire, &plain, NULL);
            wire.p[i] ^= 0x41;
            if (rc == WAGW_OK) {
                assert_true(prekey);
                assert_memory_equal(plain.p, "precious", 8);
                assert_int_equal(encrypt(&alice, &bob, "precious", &wire, &prekey), WAGW_OK);
            }
        }
        for (n = 0; n < wire.n; n++) { /* exact copies, so that ASan sees a read behind the end */
            cut = malloc(n + 1);
            memcpy(cut, wire.p, n);
            cut = realloc(cut, n ? n : 1);
            call_t c = {.peer = &alice.addr, .in = wagw_str(cut, n), .out = &plain, .prekey = prekey};
            assert_true(turn(&bob, do_decrypt, &c) < 0);
            free(cut);
        }
        assert_int_equal(decrypt(&bob, &alice, prekey, &wire, &plain, NULL), WAGW_OK);
        assert_int_equal(encrypt(&bob, &alice, "hi", &wire, &prekey), WAGW_OK);
        assert_int_equal(decrypt(&alice, &bob, prekey, &wire, &plain, NULL), WAGW_OK);
    }
    part();
}

static void test_skipping(void **state)
{
    wagw_buf_t early = {0};
    bool prekey;
    unsigned i;

    (void)state;
    meet();
    converse();
    assert_int_equal(encrypt(&alice, &bob, "0", &early, &prekey), WAGW_OK);
    for (i = 1; i < 2000; i++) {
        assert_int_equal(encrypt(&alice, &bob, "n", &wire, &prekey), WAGW_OK);
    }
    assert_int_equal(encrypt(&alice, &bob, "2000", &wire, &prekey), WAGW_OK);
    wagw_buf_t last = {0};
    assert_int_equal(encrypt(&alice, &bob, "2001", &last, &prekey), WAGW_OK);
    assert_int_equal(decrypt(&bob, &alice, false, &last, &plain, NULL), WAGW_CRYPTO);
    assert_int_equal(decrypt(&bob, &alice, false, &wire, &plain, NULL), WAGW_OK);
    assert_memory_equal(plain.p, "2000", 4);
    assert_int_equal(decrypt(&bob, &alice, false, &last, &plain, NULL), WAGW_OK);
    assert_int_equal(decrypt(&bob, &alice, false, &early, &plain, NULL), WAGW_OK);
    assert_memory_equal(plain.p, "0", 1);
    assert_int_equal(decrypt(&bob, &alice, false, &early, &plain, NULL), WAGW_DUPLICATE);
    wagw_buf_free(&early);
    wagw_buf_free(&last);
    part();
}

static void test_migrate(void **state)
{
    bool prekey;
    call_t c = {.name = "200", .lid = "900"};
    wagw_signal_addr_t lid = {.name = "900_1", .device = 0};
    wagw_signal_addr_t other = {.name = "2001", .device = 3};
    wagw_bundle_t b;

    (void)state;
    meet();
    converse();
    /* a name of which "200" is a prefix, and a second device */
    b = make_bundle(&bob, 9, 5);
    call_t d = {.peer = &other, .bundle = &b};
    assert_int_equal(turn(&alice, do_bundle, &d), WAGW_OK);
    wagw_signal_addr_t second = {.name = "200", .device = 4};
    d.peer = &second;
    assert_int_equal(turn(&alice, do_bundle, &d), WAGW_OK);

    assert_int_equal(turn(&alice, do_migrate, &c), WAGW_OK);
    assert_false(has(&alice, WAGW_REC_SESSION, "200.0"));
    assert_false(has(&alice, WAGW_REC_IDENTITY, "200.0"));
    assert_false(has(&alice, WAGW_REC_SESSION, "200.4"));
    assert_true(has(&alice, WAGW_REC_SESSION, "900_1.0"));
    assert_true(has(&alice, WAGW_REC_IDENTITY, "900_1.0"));
    assert_true(has(&alice, WAGW_REC_SESSION, "900_1.4"));
    assert_true(has(&alice, WAGW_REC_SESSION, "2001.3"));

    assert_int_equal(encrypt(&bob, &alice, "under my LID", &wire, &prekey), WAGW_OK);
    bob.addr = lid;
    assert_int_equal(decrypt(&alice, &bob, false, &wire, &plain, NULL), WAGW_OK);

    /* what the LID has already stays */
    size_t n = stored(&alice, WAGW_REC_SESSION, WAGW_STR("900_1.0"))->n;
    wagw_signal_addr_t pn = {.name = "200", .device = 0};
    d.peer = &pn;
    assert_int_equal(turn(&alice, do_bundle, &d), WAGW_OK);
    one_by_one = true;
    assert_int_equal(turn(&alice, do_migrate, &c), WAGW_OK);
    assert_false(has(&alice, WAGW_REC_SESSION, "200.0"));
    assert_int_equal(stored(&alice, WAGW_REC_SESSION, WAGW_STR("900_1.0"))->n, n);
    assert_int_equal(turn(&alice, do_migrate, &c), WAGW_OK);

    c.name = "900_1";
    assert_int_equal(turn(&alice, do_delete_user, &c), WAGW_OK);
    assert_false(has(&alice, WAGW_REC_SESSION, "900_1.0"));
    assert_false(has(&alice, WAGW_REC_SESSION, "900_1.4"));
    assert_false(has(&alice, WAGW_REC_IDENTITY, "900_1.0"));
    assert_true(has(&alice, WAGW_REC_SESSION, "2001.3"));
    part();
}

static void test_groups(void **state)
{
    call_t c = {.group = WAGW_STR("12036@g.us"), .out = &wire}, d;
    wagw_buf_t skdm = {0};
    uint32_t id;
    size_t n;

    (void)state;
    meet();
    c.peer = &alice.addr;
    c.in = WAGW_STR("x");
    assert_int_equal(turn(&alice, do_group_encrypt, &c), WAGW_NO_SESSION);
    assert_int_equal(turn(&alice, do_skdm, &c), WAGW_OK);
    id = c.id;
    wagw_buf_add(&skdm, wire.p, wire.n);
    n = stored(&alice, WAGW_REC_SENDER_KEY, WAGW_STR("12036@g.us|100_1.5"))->n;
    assert_int_equal(turn(&alice, do_skdm, &c), WAGW_OK); /* the same one */
    assert_int_equal(c.id, id);
    assert_int_equal(wire.n, skdm.n);
    assert_memory_equal(wire.p, skdm.p, wire.n);
    assert_int_equal(stored(&alice, WAGW_REC_SENDER_KEY, WAGW_STR("12036@g.us|100_1.5"))->n, n);

    c.in = WAGW_STR("one");
    assert_int_equal(turn(&alice, do_group_encrypt, &c), WAGW_OK);
    d = (call_t){.group = c.group, .peer = &alice.addr, .in = wagw_buf_view(&wire), .out = &plain};
    assert_int_equal(turn(&bob, do_group_decrypt, &d), WAGW_NO_SESSION);
    d.in = WAGW_STR("garbage");
    assert_int_equal(turn(&bob, do_group_process, &d), WAGW_MALFORMED);
    d.in = wagw_buf_view(&skdm);
    assert_int_equal(turn(&bob, do_group_process, &d), WAGW_OK);
    d.in = WAGW_STR("garbage");
    assert_int_equal(turn(&bob, do_group_decrypt, &d), WAGW_MALFORMED);
    d.in = wagw_buf_view(&wire);
    wire.p[wire.n - 1] ^= 1;
    assert_int_equal(turn(&bob, do_group_decrypt, &d), WAGW_CRYPTO);
    wire.p[wire.n - 1] ^= 1;
    assert_int_equal(turn(&bob, do_group_decrypt, &d), WAGW_OK);
    assert_memory_equal(plain.p, "one", 3);
    assert_int_equal(turn(&bob, do_group_decrypt, &d), WAGW_DUPLICATE);

    /* the current state again, with each message: nothing is written */
    n = bob.seq;
    assert_int_equal(turn(&alice, do_skdm, &c), WAGW_OK);
    d.in = wagw_buf_view(&wire);
    uint8_t *was = malloc(stored(&bob, WAGW_REC_SENDER_KEY, WAGW_STR("12036@g.us|100_1.5"))->n);
    stored_t *r = stored(&bob, WAGW_REC_SENDER_KEY, WAGW_STR("12036@g.us|100_1.5"));
    memcpy(was, r->value, r->n);
    n = r->n;
    assert_int_equal(turn(&bob, do_group_process, &d), WAGW_OK);
    r = stored(&bob, WAGW_REC_SENDER_KEY, WAGW_STR("12036@g.us|100_1.5"));
    assert_int_equal(r->n, n);
    assert_memory_equal(was, r->value, n);
    free(was);

    /* rotated: another id; a message of it is "no sender key" until its skdm */
    assert_int_equal(turn(&alice, do_group_forget, &c), WAGW_OK);
    assert_int_equal(turn(&alice, do_skdm, &c), WAGW_OK);
    assert_true(c.id != id);
    wagw_buf_reset(&skdm);
    wagw_buf_add(&skdm, wire.p, wire.n);
    c.in = WAGW_STR("two");
    assert_int_equal(turn(&alice, do_group_encrypt, &c), WAGW_OK);
    d.in = wagw_buf_view(&wire);
    assert_int_equal(turn(&bob, do_group_decrypt, &d), WAGW_NO_SESSION);
    d.in = wagw_buf_view(&skdm);
    assert_int_equal(turn(&bob, do_group_process, &d), WAGW_OK);
    d.in = wagw_buf_view(&wire);
    assert_int_equal(turn(&bob, do_group_decrypt, &d), WAGW_OK);
    wagw_buf_free(&skdm);
    part();
}

static int do_put_pn(void *arg)
{
    return wagw_txn_put(arg, WAGW_REC_PN_OF, WAGW_STR("900"), WAGW_STR("200"));
}

static void test_group_migrate(void **state)
{
    call_t c = {.group = WAGW_STR("12036@g.us"), .out = &wire}, d;
    wagw_signal_addr_t lid = {.name = "900_1", .device = 0};
    wagw_txn_t t = {0};
    wagw_batch_t *b;

    (void)state;
    meet();
    c.peer = &bob.addr;
    assert_int_equal(turn(&bob, do_skdm, &c), WAGW_OK);
    c.in = wagw_buf_view(&wire);
    assert_int_equal(turn(&alice, do_group_process, &c), WAGW_OK);
    c.in = WAGW_STR("one");
    assert_int_equal(turn(&bob, do_group_encrypt, &c), WAGW_OK);

    d = (call_t){.group = c.group, .peer = &lid, .in = wagw_buf_view(&wire), .out = &plain};
    assert_int_equal(turn(&alice, do_group_decrypt, &d), WAGW_NO_SESSION);
    wagw_txn_begin(&t, cache, alice.instance);
    assert_int_equal(do_put_pn(&t), WAGW_OK);
    b = wagw_batch_create(alice.instance, ++alice.seq);
    assert_int_equal(wagw_txn_commit(&t, b), WAGW_OK);
    store_apply(&alice, b);
    wagw_cache_committed(cache, alice.instance, b->seq);
    wagw_batch_destroy(b);
    wagw_txn_free(&t);

    one_by_one = true;
    assert_int_equal(turn(&alice, do_group_decrypt, &d), WAGW_OK);
    assert_memory_equal(plain.p, "one", 3);
    assert_true(has(&alice, WAGW_REC_SENDER_KEY, "12036@g.us|900_1.0"));
    assert_false(has(&alice, WAGW_REC_SENDER_KEY, "12036@g.us|200.0"));
    assert_int_equal(turn(&alice, do_group_decrypt, &d), WAGW_DUPLICATE);
    part();
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_vectors),      T(test_padding),      T(test_phash),           T(test_message_id),  T(test_addr),
        T(test_prekeys),      T(test_conversation), T(test_again),           T(test_one_load),    T(test_crash),
        T(test_missing_keys), T(test_info),         T(test_identity_change), T(test_account_key), T(test_bad_bundle),
        T(test_damage),       T(test_skipping),     T(test_migrate),         T(test_groups),      T(test_group_migrate),
    };

    return cmocka_run_group_tests_name("signal", tests, NULL, NULL);
}
