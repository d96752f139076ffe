#include <setjmp.h>
#include <stdarg.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <openssl/err.h>
#include <signal/curve.h>
#include <signal/signal_protocol.h>

#include "../../core/crypto/crypto.h"
#include "vectors.h"

/* Bytes of hex digits, in one of a few buffers that take turns. */
static wagw_str_t hex(const char *digits)
{
    static uint8_t pool[8][512];
    static unsigned turn;
    uint8_t *p = pool[turn++ % 8];

    assert_int_equal(wagw_hex_fixed(p, strlen(digits) / 2, wagw_cstr(digits)), WAGW_OK);
    return wagw_str(p, strlen(digits) / 2);
}

#define assert_hex(out_, digits)                                                                                       \
    do {                                                                                                               \
        wagw_str_t want_ = hex(digits);                                                                                \
        assert_memory_equal(out_, want_.p, want_.n);                                                                   \
    } while (0)

static void test_hashes(void **state)
{
    uint8_t out[64];
    char long_key[131];

    (void)state;
    assert_int_equal(wagw_sha256(out, WAGW_STR("abc")), WAGW_OK);
    assert_hex(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(wagw_sha256(out, WAGW_STR_NULL), WAGW_OK);
    assert_hex(out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_int_equal(wagw_sha256_2(out, WAGW_STR("a"), WAGW_STR("bc")), WAGW_OK);
    assert_hex(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(wagw_md5(out, WAGW_STR("abc")), WAGW_OK);
    assert_hex(out, "900150983cd24fb0d6963f7d28e17f72");

    /* RFC 4231, cases 2 and 6 */
    assert_int_equal(wagw_hmac_sha256(out, WAGW_STR("Jefe"), WAGW_STR("what do ya want for nothing?")), WAGW_OK);
    assert_hex(out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_int_equal(wagw_hmac_sha512(out, WAGW_STR("Jefe"), WAGW_STR("what do ya want for nothing?")), WAGW_OK);
    assert_hex(out, "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
                    "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737");
    memset(long_key, 0xaa, sizeof(long_key));
    assert_int_equal(wagw_hmac_sha256(out, wagw_str(long_key, sizeof(long_key)),
                                      WAGW_STR("Test Using Larger Than Block-Size Key - Hash Key First")),
                     WAGW_OK);
    assert_hex(out, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    assert_int_equal(wagw_hmac_sha256(out, WAGW_STR_NULL, WAGW_STR_NULL), WAGW_OK);
    assert_hex(out, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void test_kdf(void **state)
{
    static uint8_t out[8161];

    (void)state;
    /* RFC 5869, cases 1 and 3 */
    assert_int_equal(wagw_hkdf(out, 42, hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"),
                               hex("000102030405060708090a0b0c"), hex("f0f1f2f3f4f5f6f7f8f9")),
                     WAGW_OK);
    assert_hex(out, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    assert_int_equal(
        wagw_hkdf(out, 42, hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"), WAGW_STR_NULL, WAGW_STR_NULL), WAGW_OK);
    assert_hex(out, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");

    /* an empty salt is one of 32 zeros; a longer output begins with a shorter one */
    assert_int_equal(wagw_hkdf(out, 8160, WAGW_STR("k"), WAGW_STR_NULL, WAGW_STR("i")), WAGW_OK);
    {
        uint8_t first[33], zero[32] = {0};

        assert_int_equal(wagw_hkdf(first, 33, WAGW_STR("k"), wagw_str(zero, 32), WAGW_STR("i")), WAGW_OK);
        assert_memory_equal(first, out, 33);
    }
    assert_int_equal(wagw_hkdf(out, 8161, WAGW_STR("k"), WAGW_STR_NULL, WAGW_STR("i")), WAGW_ERROR);
    assert_int_equal(wagw_hkdf(out, 0, WAGW_STR("k"), WAGW_STR_NULL, WAGW_STR("i")), WAGW_OK);

    assert_int_equal(wagw_pbkdf2_sha256(out, 32, WAGW_STR("password"), WAGW_STR("salt"), 1), WAGW_OK);
    assert_hex(out, "120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b");
    assert_int_equal(wagw_pbkdf2_sha256(out, 32, WAGW_STR("password"), WAGW_STR("salt"), 4096), WAGW_OK);
    assert_hex(out, "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a");
    assert_int_equal(wagw_pbkdf2_sha256(out, 32, WAGW_STR_NULL, WAGW_STR_NULL, 1), WAGW_OK);
    assert_int_equal(wagw_pbkdf2_sha256(out, 32, WAGW_STR("p"), WAGW_STR("s"), 0), WAGW_ERROR);
}

static void test_gcm(void **state)
{
    /* McGrew and Viega, cases 13, 14, 16 */
    static const char plain[] =
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e24"
        "49a6b525b16aedf5aa0de657ba637b39";
    static const char sealed[] =
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b10"
        "56828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b";
    uint8_t key[32] = {0}, iv[12] = {0}, buf[128], zero[64] = {0};
    wagw_str_t aad, in;
    size_t i;

    (void)state;
    assert_int_equal(wagw_gcm_seal(buf, key, iv, WAGW_STR_NULL, WAGW_STR_NULL), WAGW_OK);
    assert_hex(buf, "530f8afbc74536b9a963b4f1c4cb738b");
    assert_int_equal(wagw_gcm_open(buf, key, iv, WAGW_STR_NULL, wagw_str(buf, 16)), WAGW_OK);
    assert_int_equal(wagw_gcm_seal(buf, key, iv, WAGW_STR_NULL, wagw_str(zero, 16)), WAGW_OK);
    assert_hex(buf, "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");

    memcpy(key, hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308").p, 32);
    memcpy(iv, hex("cafebabefacedbaddecaf888").p, 12);
    aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    in = hex(plain);
    assert_int_equal(wagw_gcm_seal(buf, key, iv, aad, in), WAGW_OK);
    assert_hex(buf, sealed);

    /* in place, both ways */
    assert_int_equal(wagw_gcm_open(buf, key, iv, aad, wagw_str(buf, in.n + 16)), WAGW_OK);
    assert_memory_equal(buf, in.p, in.n);
    assert_int_equal(wagw_gcm_seal(buf, key, iv, aad, wagw_str(buf, in.n)), WAGW_OK);
    assert_hex(buf, sealed);

    /* every flipped bit is found, and no plaintext stays behind */
    for (i = 0; i < (in.n + 16) * 8; i += 5) {
        uint8_t out[128];

        memset(out, 0xee, sizeof(out));
        buf[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_int_equal(wagw_gcm_open(out, key, iv, aad, wagw_str(buf, in.n + 16)), WAGW_CRYPTO);
        assert_memory_equal(out, zero, in.n);
        buf[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    assert_int_equal(wagw_gcm_open(buf, key, iv, WAGW_STR("x"), hex(sealed)), WAGW_CRYPTO);
    for (i = 0; i < 16; i++) {
        assert_int_equal(wagw_gcm_open(buf, key, iv, WAGW_STR_NULL, wagw_str(zero, i)), WAGW_MALFORMED);
    }
    /* TLS in the same thread asks OpenSSL for errors: they would be taken for its own */
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_cbc_ctr(void **state)
{
    uint8_t key[32], iv[16], out[64];
    wagw_buf_t b = {0}, back = {0};
    uint8_t text[80];
    size_t n;

    (void)state;
    /* SP 800-38A, F.2.5 and F.5.5 */
    memcpy(key, hex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4").p, 32);
    memcpy(iv, hex("000102030405060708090a0b0c0d0e0f").p, 16);
    wagw_buf_u8(&b, 'x');
    assert_int_equal(wagw_cbc_encrypt(&b, key, iv, hex("6bc1bee22e409f96e93d7e117393172a")), WAGW_OK);
    assert_int_equal(b.n, 1 + 32);
    assert_hex(b.p + 1, "f58c4c04d6e5f1ba779eabfb5f7bfbd6");

    for (n = 0; n < sizeof(text); n++) {
        memset(text, (int)n, sizeof(text));
        wagw_buf_reset(&b);
        wagw_buf_reset(&back);
        wagw_buf_cstr(&back, "y");
        assert_int_equal(wagw_cbc_encrypt(&b, key, iv, wagw_str(text, n)), WAGW_OK);
        assert_int_equal(b.n, n / 16 * 16 + 16);
        assert_int_equal(wagw_cbc_decrypt(&back, key, iv, wagw_buf_view(&b)), WAGW_OK);
        assert_int_equal(back.n, n + 1);
        assert_memory_equal(back.p + 1, text, n);
        assert_int_equal(wagw_cbc_decrypt(&back, key, iv, wagw_str(b.p, b.n - 1)), WAGW_CRYPTO);
    }
    assert_int_equal(wagw_cbc_decrypt(&back, key, iv, WAGW_STR_NULL), WAGW_CRYPTO);

    /* a last byte that is no padding: CBC turns this flip into a length of 17 */
    wagw_buf_reset(&b);
    assert_int_equal(wagw_cbc_encrypt(&b, key, iv, wagw_str(text, 16)), WAGW_OK);
    b.p[15] ^= 16 ^ 17;
    n = back.n;
    assert_int_equal(wagw_cbc_decrypt(&back, key, iv, wagw_buf_view(&b)), WAGW_CRYPTO);
    assert_int_equal(back.n, n);
    assert_int_equal(ERR_peek_error(), 0);

    memcpy(iv, hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff").p, 16);
    assert_int_equal(wagw_ctr(out, key, iv, hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")),
                     WAGW_OK);
    assert_hex(out, "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5");
    assert_int_equal(wagw_ctr(out, key, iv, wagw_str(out, 32)), WAGW_OK);
    assert_hex(out, "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
    wagw_buf_free(&b);
    wagw_buf_free(&back);
}

/* RFC 7748 section 5.2, through our name and through the one libsignal calls. */
static void test_x25519(void **state)
{
    static const char *const rows[][3] = {
        {"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
         "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
         "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"},
        {"4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
         "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
         "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"},
    };
    /* points whose multiple is zero, and one that is not reduced */
    static const char *const small[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    uint8_t out[32], k[32] = {9}, u[32] = {9}, zero[32] = {0};
    size_t i;

    (void)state;
    for (i = 0; i < 2; i++) {
        assert_int_equal(wagw_x25519(out, hex(rows[i][0]).p, hex(rows[i][1]).p), WAGW_OK);
        assert_hex(out, rows[i][2]);
    }
    for (i = 1; i <= 1000; i++) {
        assert_int_equal(wagw_x25519(out, k, u), WAGW_OK);
        memcpy(u, k, 32);
        memcpy(k, out, 32);
        if (i == 1) {
            assert_hex(k, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
        }
    }
    assert_hex(k, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");

    for (i = 0; i < sizeof(small) / sizeof(small[0]); i++) {
        memset(out, 0xee, sizeof(out));
        assert_int_equal(wagw_x25519(out, k, hex(small[i]).p), WAGW_CRYPTO);
        assert_memory_equal(out, zero, 32);
    }
    assert_int_equal(ERR_peek_error(), 0);
}

static void test_libsignal_agreement(void **state)
{
    uint64_t seed = 7;
    uint8_t *shared = NULL, expect[32], point[33] = {5};
    wagw_keypair_t a, b;
    ec_public_key *pub = NULL;
    ec_private_key *priv = NULL;

    (void)state;
    assert_int_equal(wagw_x25519_keypair(&a, vec_random, &seed), WAGW_OK);
    assert_int_equal(wagw_x25519_keypair(&b, vec_random, &seed), WAGW_OK);
    assert_int_equal(a.priv[0] & 7, 0);
    assert_int_equal(a.priv[31] & 0xc0, 0x40);

    memcpy(point + 1, b.pub, 32);
    assert_int_equal(curve_decode_point(&pub, point, sizeof(point), NULL), 0);
    assert_int_equal(curve_decode_private_point(&priv, a.priv, 32, NULL), 0);
    assert_int_equal(curve_calculate_agreement(&shared, pub, priv), 32);
    assert_int_equal(wagw_x25519(expect, b.priv, a.pub), WAGW_OK);
    assert_memory_equal(shared, expect, 32);
    free(shared);
    SIGNAL_UNREF(pub);

#ifndef WAGW_NO_DONNA
    /* only ours refuses a point of small order: libsignal really calls it */
    memset(point + 1, 0, 32);
    shared = NULL;
    assert_int_equal(curve_decode_point(&pub, point, sizeof(point), NULL), 0);
    assert_true(curve_calculate_agreement(&shared, pub, priv) < 0);
    assert_null(shared);
    SIGNAL_UNREF(pub);
#endif
    SIGNAL_UNREF(priv);
}

static void test_xeddsa(void **state)
{
    uint64_t seed = 3;
    uint8_t sig[64], again[64], msg[1000];
    wagw_keypair_t kp, other;
    size_t i, n;

    (void)state;
    memset(msg, 7, sizeof(msg));
    /* keys with both signs of the Edwards point come by */
    for (i = 0; i < 12; i++) {
        n = i * i * 8;
        assert_int_equal(wagw_x25519_keypair(&kp, vec_random, &seed), WAGW_OK);
        assert_int_equal(wagw_xeddsa_sign(sig, kp.priv, wagw_str(n ? msg : NULL, n), vec_random, &seed), WAGW_OK);
        assert_int_equal(wagw_xeddsa_verify(sig, kp.pub, wagw_str(n ? msg : NULL, n)), WAGW_OK);
        assert_int_equal(wagw_xeddsa_verify(sig, kp.pub, wagw_str(msg, n + 1)), WAGW_CRYPTO);
    }
    assert_int_equal(wagw_xeddsa_sign(again, kp.priv, wagw_str(msg, n), vec_random, &seed), WAGW_OK);
    assert_memory_not_equal(sig, again, 64);
    assert_int_equal(wagw_xeddsa_verify(again, kp.pub, wagw_str(msg, n)), WAGW_OK);

    assert_int_equal(wagw_x25519_keypair(&other, vec_random, &seed), WAGW_OK);
    assert_int_equal(wagw_xeddsa_verify(sig, other.pub, wagw_str(msg, n)), WAGW_CRYPTO);
    for (i = 0; i < 512; i += 7) {
        sig[i / 8] ^= (uint8_t)(1 << i % 8);
        assert_int_equal(wagw_xeddsa_verify(sig, kp.pub, wagw_str(msg, n)), WAGW_CRYPTO);
        sig[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    memset(sig, 0, sizeof(sig));
    assert_int_equal(wagw_xeddsa_verify(sig, kp.pub, wagw_str(msg, n)), WAGW_CRYPTO);
    memset(sig, 0xff, sizeof(sig));
    assert_int_equal(wagw_xeddsa_verify(sig, kp.pub, wagw_str(msg, n)), WAGW_CRYPTO);
}

/* The store's thread seals records while the loop's thread talks. */
static void *crypto_thread(void *arg)
{
    uint64_t seed = *(uint64_t *)arg;
    uint8_t mac[32], sealed[48], opened[32], shared[32];
    wagw_keypair_t kp;
    size_t i;

    for (i = 0; i < 200; i++) {
        if (wagw_x25519_keypair(&kp, vec_random, &seed) != WAGW_OK || wagw_x25519(shared, kp.priv, kp.pub) != WAGW_OK ||
            wagw_hmac_sha256(mac, wagw_str(shared, 32), WAGW_STR("text")) != WAGW_OK ||
            wagw_gcm_seal(sealed, shared, mac, WAGW_STR_NULL, wagw_str(mac, 32)) != WAGW_OK ||
            wagw_gcm_open(opened, shared, mac, WAGW_STR_NULL, wagw_str(sealed, 48)) != WAGW_OK ||
            memcmp(opened, mac, 32) != 0) {
            return NULL;
        }
    }
    return arg;
}

static void test_threads(void **state)
{
    pthread_t threads[4];
    uint64_t seeds[4] = {1, 2, 3, 4};
    void *result;
    size_t i;

    (void)state;
    for (i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, crypto_thread, &seeds[i]), 0);
    }
    for (i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_ptr_equal(result, &seeds[i]);
    }
}

int main(void)
{
    /* threads first: they find nothing fetched yet */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_hashes),
        cmocka_unit_test(test_kdf),
        cmocka_unit_test(test_gcm),
        cmocka_unit_test(test_cbc_ctr),
        cmocka_unit_test(test_x25519),
        cmocka_unit_test(test_libsignal_agreement),
        cmocka_unit_test(test_xeddsa),
    };

    return cmocka_run_group_tests_name("crypto", tests, NULL, NULL);
}
