/*
 * core/signal against the golden vectors.
 */

#include "signal_party.h"

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

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {T(test_vectors), T(test_padding), T(test_phash), T(test_message_id)};

    return cmocka_run_group_tests_name("signal_vectors", tests, NULL, NULL);
}
