/*
 * core/signal: what a turn may rely on - a call that fails or lacks a record
 * changes nothing, and running it again from its start gives the same result.
 */

#include "signal_party.h"

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
        T(test_addr),          T(test_prekeys),      T(test_conversation), T(test_again),           T(test_one_load),
        T(test_crash),         T(test_missing_keys), T(test_info),         T(test_identity_change), T(test_account_key),
        T(test_bad_bundle),    T(test_damage),       T(test_skipping),     T(test_migrate),         T(test_groups),
        T(test_group_migrate),
    };

    return cmocka_run_group_tests_name("signal", tests, NULL, NULL);
}
