/*
 * Accounts with a store in memory, and the calls of core/signal as turns on
 * them.  Included once by each of the two Signal test programs.
 */

#ifndef WAGW_T_SIGNAL_PARTY_H
#define WAGW_T_SIGNAL_PARTY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../core/signal/signal.h"
#include "vectors.h"

/* a program need not use all of this */
#pragma GCC diagnostic ignored "-Wunused-function"

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

/* Answers what is missing and the prefixes that were answered before. */
static void load(party_t *p, const wagw_load_t *misses, answer_t *a)
{
    answer_t next = {0};
    const wagw_load_t *l;
    wagw_load_t *copy, **last = &next.asked;
    wagw_rec_t *r;
    size_t i;
    bool first = true;
    int round;

    for (round = 0; round < 2; round++) {
        for (l = round ? a->asked : misses; l != NULL; l = l->next) {
            if (round ? !l->prefix : one_by_one && !first) {
                continue;
            }
            first = false;
            copy = wagw_arena_alloc(&next.arena, sizeof(*copy));
            *copy = *l;
            copy->next = NULL;
            *last = copy;
            last = &copy->next;
            for (i = 0; i < p->nrecs; i++) {
                if (p->recs[i].kind == l->kind && (l->prefix ? strncmp(p->recs[i].key, l->key, l->key_len) == 0
                                                             : strcmp(p->recs[i].key, l->key) == 0)) {
                    r = wagw_arena_alloc(&next.arena, sizeof(*r));
                    *r = (wagw_rec_t){l->kind, wagw_cstr(p->recs[i].key), wagw_str(p->recs[i].value, p->recs[i].n),
                                      next.recs};
                    next.recs = r;
                }
            }
        }
    }
    wagw_arena_free(&a->arena);
    *a = next;
    loads++;
    assert_int_equal(wagw_cache_fill(cache, p->instance, a->asked, a->recs), WAGW_OK);
}

/* Runs fn as a turn until it has what it needs; WAGW_OK is committed. */
typedef int (*turn_pt)(void *arg);

static int do_migrate(void *arg);
static int do_delete_user(void *arg);

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
        /* a failed call leaves nothing behind; one that scans may be half done when it lacks a record */
        assert_true(!wagw_txn_changed(&t) || (rc == WAGW_AGAIN && (fn == do_migrate || fn == do_delete_user)));
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

#endif
