#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "donna.h"

/*
 * OpenSSL's X25519 takes half the time of libsignal-protocol-c's generic
 * curve25519_donna.  libsignal calls its own through the PLT, so that the
 * definition below, standing before it in the search order, takes its place.
 * Building with -DWAGW_NO_DONNA leaves libsignal's alone.
 */

/*
 * One key object holds our secret and the peer's public key: importing a
 * secret alone would cost a scalar multiplication for a public half that
 * nobody asks for, and the derivation reads only these two.
 */
static EVP_PKEY *donna_key(const uint8_t secret[32], const uint8_t base[32])
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM params[3] = {
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, (void *)secret, 32),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)base, 32),
        OSSL_PARAM_construct_end(),
    };

    EVP_PKEY_CTX *import = EVP_PKEY_CTX_new_from_name(NULL, "X25519", NULL);

    if (import == NULL || EVP_PKEY_fromdata_init(import) != 1 ||
        EVP_PKEY_fromdata(import, &key, EVP_PKEY_KEYPAIR, params) != 1) {
        key = NULL;
    }
    EVP_PKEY_CTX_free(import);
    return key;
}

int wagw_donna_x25519(uint8_t out[32], const uint8_t secret[32], const uint8_t base[32])
{
    static const uint8_t zero[32];
    uint8_t result[32] = {0};
    size_t n = sizeof(result);
    EVP_PKEY_CTX *ctx = NULL;
    EVP_PKEY *key;
    int rc = WAGW_ERROR;

    key = donna_key(secret, base);
    if (key == NULL) {
        goto done;
    }
    ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    if (ctx == NULL || EVP_PKEY_derive_init(ctx) != 1 || EVP_PKEY_derive_set_peer_ex(ctx, key, 0) != 1) {
        goto done;
    }
    /* with everything set up, a point of small order is what makes it fail */
    rc = EVP_PKEY_derive(ctx, result, &n) == 1 && n == 32 && !wagw_ct_equal(result, zero, 32) ? WAGW_OK : WAGW_CRYPTO;

done:

    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    if (rc != WAGW_OK) {
        memset(result, 0, sizeof(result));
        ERR_clear_error();
    }
    memcpy(out, result, sizeof(result));
    wagw_wipe(result, sizeof(result));
    return rc;
}

#ifndef WAGW_NO_DONNA

/* libsignal takes 0 for success and hands any other value to its caller. */
#define DONNA_FAILED (-1000)

int curve25519_donna(uint8_t *out, const uint8_t *secret, const uint8_t *base) __attribute__((visibility("default")));

int curve25519_donna(uint8_t *out, const uint8_t *secret, const uint8_t *base)
{
    return wagw_donna_x25519(out, secret, base) == WAGW_OK ? 0 : DONNA_FAILED;
}

#endif
