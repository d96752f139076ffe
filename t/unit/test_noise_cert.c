#include "noise_pair.h"
#include "wa.pb-c.h"

/* ---- certificates: each of the seven checks failing alone ---- */

typedef Wa__CertChain__NoiseCertificate__Details details_t;

typedef struct {
    details_t leaf, middle;
    uint8_t leaf_key[32], middle_key[32];
    bool no_leaf, no_middle, no_details, short_signature;
    const wagw_keypair_t *leaf_signer, *middle_signer;
} chain_t;

static void chain_init(chain_t *c, const pair_t *p)
{
    static const details_t empty = WA__CERT_CHAIN__NOISE_CERTIFICATE__DETAILS__INIT;

    memset(c, 0, sizeof(*c));
    c->leaf = c->middle = empty;
    memcpy(c->leaf_key, p->server_key.pub, 32);
    memcpy(c->middle_key, p->middle.pub, 32);
    c->leaf.has_serial = c->leaf.has_issuerserial = c->leaf.has_key = c->leaf.has_notbefore = c->leaf.has_notafter = 1;
    c->middle.has_serial = c->middle.has_key = c->middle.has_notbefore = c->middle.has_notafter = 1;
    c->middle.serial = 7;
    c->leaf.serial = 9;
    c->leaf.issuerserial = 7;
    c->leaf.key.len = c->middle.key.len = 32;
    c->leaf.notbefore = c->middle.notbefore = NOW;
    c->leaf.notafter = c->middle.notafter = NOW;
    c->leaf_signer = &p->middle;
    c->middle_signer = &p->root;
}

static void chain_build(chain_t *c, pair_t *p)
{
    Wa__CertChain chain = WA__CERT_CHAIN__INIT;
    Wa__CertChain__NoiseCertificate certs[2] = {WA__CERT_CHAIN__NOISE_CERTIFICATE__INIT,
                                                WA__CERT_CHAIN__NOISE_CERTIFICATE__INIT};
    uint8_t bytes[2][128], signatures[2][64];
    size_t i;

    c->leaf.key.data = c->leaf_key;
    c->middle.key.data = c->middle_key;
    for (i = 0; i < 2; i++) {
        size_t n = protobuf_c_message_pack(i ? &c->middle.base : &c->leaf.base, bytes[i]);

        assert_int_equal(wagw_xeddsa_sign(signatures[i], (i ? c->middle_signer : c->leaf_signer)->priv,
                                          wagw_str(bytes[i], n), vec_random, &p->seed),
                         WAGW_OK);
        certs[i].has_details = certs[i].has_signature = 1;
        certs[i].details.data = bytes[i];
        certs[i].details.len = n;
        certs[i].signature.data = signatures[i];
        certs[i].signature.len = 64;
    }
    certs[0].has_details = !c->no_details;
    certs[0].signature.len -= c->short_signature;
    chain.leaf = c->no_leaf ? NULL : &certs[0];
    chain.intermediate = c->no_middle ? NULL : &certs[1];

    wagw_buf_reset(&p->chain);
    assert_int_equal(wagw_buf_reserve(&p->chain, wa__cert_chain__get_packed_size(&chain)), WAGW_OK);
    p->chain.n = wa__cert_chain__pack(&chain, p->chain.p);
}

static void expect_refused(chain_t *c, pair_t *p, int64_t now, const char *why)
{
    chain_build(c, p);
    assert_true(pair_hello(p, now, WAGW_STR("x")) < 0);
    if (strstr(p->why, why) == NULL) {
        fail_msg("refused because \"%s\" where \"%s\" was expected", p->why, why);
    }
    assert_int_equal(p->client.state, WAGW_NOISE_FAILED);
    assert_int_equal(p->up.n, 0);
    chain_init(c, p);
}

static void test_certificates(void **state)
{
    wagw_keypair_t other;
    chain_t c;
    pair_t p;

    (void)state;
    pair_init(&p);
    assert_int_equal(wagw_x25519_keypair(&other, vec_random, &p.seed), WAGW_OK);

    /* good as it stands, to the second at both ends, and with serial 0 written out */
    chain_init(&c, &p);
    chain_build(&c, &p);
    assert_int_equal(pair_hello(&p, NOW, WAGW_STR("x")), WAGW_OK);
    assert_string_equal(p.why, "");
    c.middle.has_issuerserial = 1;
    chain_build(&c, &p);
    assert_int_equal(pair_hello(&p, NOW, WAGW_STR("x")), WAGW_OK);
    chain_init(&c, &p);

    /* 1: both parts, with details and 64 bytes of signature */
    c.no_leaf = true;
    expect_refused(&c, &p, NOW, "incomplete");
    c.no_middle = true;
    expect_refused(&c, &p, NOW, "incomplete");
    c.no_details = true;
    expect_refused(&c, &p, NOW, "incomplete");
    c.short_signature = true;
    expect_refused(&c, &p, NOW, "incomplete");
    /* 2 */
    c.middle_signer = &other;
    expect_refused(&c, &p, NOW, "not signed by the root");
    /* 3 */
    c.middle.has_issuerserial = 1;
    c.middle.issuerserial = 1;
    expect_refused(&c, &p, NOW, "another issuer than the root");
    c.middle.key.len = 31;
    expect_refused(&c, &p, NOW, "no key");
    c.middle.has_key = 0;
    expect_refused(&c, &p, NOW, "no key");
    /* 4 */
    c.leaf_signer = &p.root;
    expect_refused(&c, &p, NOW, "not signed by the intermediate");
    /* 5 */
    c.leaf.issuerserial = 8;
    expect_refused(&c, &p, NOW, "another issuer than the intermediate");
    c.leaf.has_issuerserial = 0;
    expect_refused(&c, &p, NOW, "another issuer than the intermediate");
    /* 6 */
    c.leaf_key[31] ^= 1;
    expect_refused(&c, &p, NOW, "another server key");
    c.leaf.key.len = 31;
    expect_refused(&c, &p, NOW, "another server key");
    c.leaf.has_key = 0;
    expect_refused(&c, &p, NOW, "another server key");
    /* 7 */
    expect_refused(&c, &p, NOW - 1, "intermediate certificate is out of its time");
    expect_refused(&c, &p, NOW + 1, "intermediate certificate is out of its time");
    expect_refused(&c, &p, -1, "intermediate certificate is out of its time");
    /* a clock before 1970 is not one far in the future */
    c.middle.notafter = c.leaf.notafter = UINT64_MAX;
    expect_refused(&c, &p, -1, "intermediate certificate is out of its time");
    c.middle.notbefore--;
    expect_refused(&c, &p, NOW - 1, "leaf certificate is out of its time");
    c.middle.notafter++;
    expect_refused(&c, &p, NOW + 1, "leaf certificate is out of its time");
    c.leaf.has_notafter = 0;
    expect_refused(&c, &p, NOW, "leaf certificate is out of its time");

    /* rubbish in place of a chain */
    wagw_buf_reset(&p.chain);
    wagw_buf_cstr(&p.chain, "\xff\xff\xff");
    assert_true(pair_hello(&p, NOW, WAGW_STR("x")) < 0);
    assert_string_equal(p.why, "certificate chain does not parse");
    /* an empty chain leaves no byte to open */
    wagw_buf_reset(&p.chain);
    assert_int_equal(pair_hello(&p, NOW, WAGW_STR("x")), WAGW_MALFORMED);
    pair_free(&p);
}

/* Every bit of a good server hello counts. */
static void test_damaged_hello(void **state)
{
    pair_t p;
    wagw_noise_t waiting;
    wagw_buf_t out = {0};
    wagw_str_t body;
    uint8_t *copy;
    size_t i, n;
    const char *why;

    (void)state;
    pair_init(&p);
    assert_int_equal(pair_hello(&p, NOW, WAGW_STR("x")), WAGW_OK);

    /* the same server hello again, to a client of the same ephemeral */
    assert_int_equal(wagw_noise_client_init(&waiting, NULL, vec_random, &p.seed), WAGW_OK);
    wagw_buf_reset(&p.up);
    wagw_buf_reset(&p.down);
    assert_int_equal(wagw_noise_client_hello(&waiting, &p.up, WAGW_STR_NULL), WAGW_OK);
    assert_int_equal(wagw_noise_server_init(&p.server, vec_random, &p.seed), WAGW_OK);
    assert_int_equal(
        wagw_noise_server_hello(&p.server, &p.down, only_frame(&p.up, 4), &p.server_key, wagw_buf_view(&p.chain)),
        WAGW_OK);
    body = only_frame(&p.down, 0);

    for (i = 0; i < body.n * 8; i += 3) {
        wagw_noise_t s = waiting;

        copy = malloc(body.n);
        memcpy(copy, body.p, body.n);
        copy[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_true(wagw_noise_client_finish(&s, &out, wagw_str(copy, body.n), WAGW_STR("x"), &p.client_key, p.root.pub,
                                             NOW, &why) < 0);
        assert_int_equal(s.state, WAGW_NOISE_FAILED);
        free(copy);
    }
    for (n = 0; n < body.n; n++) {
        wagw_noise_t s = waiting;

        copy = malloc(n + 1);
        memcpy(copy, body.p, n);
        assert_true(wagw_noise_client_finish(&s, &out, wagw_str(copy, n), WAGW_STR("x"), &p.client_key, p.root.pub, NOW,
                                             NULL) < 0);
        free(copy);
    }
    assert_int_equal(out.n, 0);
    /* and undamaged it is accepted */
    assert_int_equal(
        wagw_noise_client_finish(&waiting, &out, body, WAGW_STR("x"), &p.client_key, p.root.pub, NOW, &why), WAGW_OK);
    /* but not by WhatsApp's own root */
    {
        uint8_t root[32];

        assert_int_equal(wagw_hex_fixed(root, 32, WAGW_STR(WAGW_NOISE_ROOT_WHATSAPP)), WAGW_OK);
        memcpy(p.root.pub, root, 32);
        assert_int_equal(pair_hello(&p, NOW, WAGW_STR("x")), WAGW_CRYPTO);
        assert_non_null(strstr(p.why, "not signed by the root"));
    }
    wagw_buf_free(&out);
    pair_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_damaged_hello),
    };

    return cmocka_run_group_tests_name("noise certificates", tests, NULL, NULL);
}
