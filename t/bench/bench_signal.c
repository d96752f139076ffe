/*
 * Microseconds per Signal operation, each one a whole turn: begin, the call,
 * commit into a batch and the cache, "durable".  No database.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <openssl/rand.h>

#include "../../core/signal/signal.h"

typedef struct {
    uint32_t instance;
    uint64_t seq;
    wagw_keypair_t identity;
    wagw_signal_self_t self;
    wagw_signal_addr_t addr;
} party_t;

static wagw_signal_t *sig;
static wagw_cache_t *cache;
static wagw_txn_t txn;

static void fill(void *data, uint8_t *p, size_t n)
{
    (void)data;
    if (RAND_bytes(p, (int)n) != 1) {
        abort();
    }
}

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void check(int rc, const char *what)
{
    if (rc != WAGW_OK) {
        fprintf(stderr, "bench_signal: %s: %s\n", what, wagw_rc_name(rc));
        exit(1);
    }
}

static void begin(party_t *p)
{
    wagw_txn_begin(&txn, cache, p->instance);
    wagw_signal_bind(sig, &txn, &p->self);
}

static void commit(party_t *p)
{
    wagw_batch_t *b = wagw_batch_create(p->instance, ++p->seq);

    check(b != NULL ? wagw_txn_commit(&txn, b) : WAGW_NOMEM, "commit");
    wagw_cache_committed(cache, p->instance, b->seq);
    wagw_batch_destroy(b);
}

/* What is asked for and not there is known absent from now on. */
static void absent(party_t *p)
{
    wagw_txn_rollback(&txn);
    check(wagw_cache_fill(cache, p->instance, txn.misses, NULL), "fill");
    begin(p);
}

static void party(party_t *p, uint32_t instance, const char *name)
{
    memset(p, 0, sizeof(*p));
    p->instance = instance;
    check(wagw_x25519_keypair(&p->identity, fill, NULL), "keypair");
    p->self.identity = &p->identity;
    p->self.registration_id = instance;
    snprintf(p->addr.name, sizeof(p->addr.name), "%s", name);
}

static void encrypt(party_t *p, const party_t *to, wagw_str_t text, wagw_buf_t *out, bool *prekey)
{
    begin(p);
    wagw_buf_reset(out);
    check(wagw_signal_encrypt(sig, &to->addr, text, out, prekey), "encrypt");
    commit(p);
}

static void decrypt(party_t *p, const party_t *from, bool prekey, const wagw_buf_t *in, wagw_buf_t *out)
{
    bool changed;
    int rc;

    begin(p);
    do {
        wagw_buf_reset(out);
        rc = wagw_signal_decrypt(sig, &from->addr, prekey, wagw_buf_view(in), out, &changed);
        if (rc == WAGW_AGAIN) {
            absent(p);
        }
    } while (rc == WAGW_AGAIN);
    check(rc, "decrypt");
    commit(p);
}

static void bundle(party_t *p, party_t *of, wagw_bundle_t *b, uint32_t id)
{
    begin(of);
    b->registration_id = of->self.registration_id;
    memcpy(b->identity, of->identity.pub, 32);
    b->has_prekey = true;
    b->prekey_id = b->spk_id = id;
    check(wagw_signal_make_prekey(sig, id, true, b->prekey), "prekey");
    check(wagw_signal_make_signed_prekey(sig, id, 0, b->spk, b->spk_sig), "signed prekey");
    commit(of);
    (void)p;
}

static void line(const char *what, double us, unsigned n)
{
    printf("%-44s %8.1f us\n", what, us / n);
}

int main(int argc, char **argv)
{
    unsigned i, n = argc > 1 ? (unsigned)atoi(argv[1]) : 2000;
    party_t a, b;
    wagw_bundle_t bu = {0};
    wagw_buf_t wire = {0}, plain = {0};
    uint8_t text[256];
    bool prekey, changed;
    double t, te, td;
    int rc;
    wagw_str_t msg = {text, sizeof(text)}, group = WAGW_STR("120363000000000000@g.us");
    uint32_t key_id;

    memset(text, 'x', sizeof(text));
    cache = wagw_cache_create(64 << 20);
    check(wagw_signal_create(&sig, fill, NULL), "create");
    party(&a, 1, "100_1");
    party(&b, 2, "200_1");

    t = now_us();
    for (i = 1; i <= n / 20; i++) {
        bundle(&a, &b, &bu, i);
    }
    line("make one-time and signed prekey", now_us() - t, n / 20);

    te = td = 0;
    for (i = 0; i < n / 20; i++) {
        bundle(&a, &b, &bu, 100000 + i);
        t = now_us();
        begin(&a);
        while ((rc = wagw_signal_process_bundle(sig, &b.addr, &bu, &changed)) == WAGW_AGAIN) {
            absent(&a);
        }
        check(rc, "bundle");
        commit(&a);
        te += now_us() - t;
        encrypt(&a, &b, msg, &wire, &prekey);
        t = now_us();
        decrypt(&b, &a, prekey, &wire, &plain);
        td += now_us() - t;
        begin(&a);
        check(wagw_signal_delete_session(sig, &b.addr), "delete");
        commit(&a);
        begin(&b);
        check(wagw_signal_delete_session(sig, &a.addr), "delete");
        commit(&b);
    }
    line("session from a bundle", te, n / 20);
    line("first pkmsg decrypted", td, n / 20);

    bundle(&a, &b, &bu, 900000);
    begin(&a);
    check(wagw_signal_process_bundle(sig, &b.addr, &bu, &changed), "bundle");
    commit(&a);
    encrypt(&a, &b, msg, &wire, &prekey);
    decrypt(&b, &a, prekey, &wire, &plain);
    encrypt(&b, &a, msg, &wire, &prekey);
    decrypt(&a, &b, prekey, &wire, &plain);

    te = td = 0;
    for (i = 0; i < n; i++) {
        t = now_us();
        encrypt(&a, &b, msg, &wire, &prekey);
        te += now_us() - t;
        t = now_us();
        decrypt(&b, &a, prekey, &wire, &plain);
        td += now_us() - t;
    }
    line("encrypt 256 bytes, same chain", te, n);
    line("decrypt 256 bytes, same chain", td, n);

    te = td = 0;
    for (i = 0; i < n / 2; i++) {
        party_t *x = i % 2 ? &b : &a, *y = i % 2 ? &a : &b;

        t = now_us();
        encrypt(x, y, msg, &wire, &prekey);
        te += now_us() - t;
        t = now_us();
        decrypt(y, x, prekey, &wire, &plain);
        td += now_us() - t;
    }
    line("encrypt, ping-pong", te, n / 2);
    line("decrypt with a ratchet step", td, n / 2);

    begin(&a);
    wagw_buf_reset(&wire);
    while ((rc = wagw_signal_group_skdm(sig, group, &a.addr, &wire, &key_id)) == WAGW_AGAIN) {
        absent(&a);
    }
    check(rc, "skdm");
    commit(&a);
    begin(&b);
    while ((rc = wagw_signal_group_process(sig, group, &a.addr, wagw_buf_view(&wire))) == WAGW_AGAIN) {
        absent(&b);
    }
    check(rc, "process");
    commit(&b);
    te = td = 0;
    for (i = 0; i < n; i++) {
        t = now_us();
        begin(&a);
        wagw_buf_reset(&wire);
        check(wagw_signal_group_encrypt(sig, group, &a.addr, msg, &wire), "group encrypt");
        commit(&a);
        te += now_us() - t;
        t = now_us();
        begin(&b);
        wagw_buf_reset(&plain);
        check(wagw_signal_group_decrypt(sig, group, &a.addr, wagw_buf_view(&wire), &plain), "group decrypt");
        commit(&b);
        td += now_us() - t;
    }
    line("sender key encrypt", te, n);
    line("sender key decrypt", td, n);

    t = now_us();
    for (i = 0; i < n * 10; i++) {
        wagw_str_t v;

        begin(&a);
        check(wagw_txn_get(&txn, WAGW_REC_SESSION, WAGW_STR("200_1.0"), &v), "get");
        check(wagw_txn_put(&txn, WAGW_REC_SESSION, WAGW_STR("200_1.0"), v), "put");
        commit(&a);
    }
    line("turn of one get and one put (no Signal)", now_us() - t, n * 10);

    wagw_buf_free(&wire);
    wagw_buf_free(&plain);
    wagw_txn_free(&txn);
    wagw_signal_destroy(sig);
    wagw_cache_destroy(cache);
    return 0;
}
