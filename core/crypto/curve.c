#include <signal/curve.h>
#include <signal/signal_protocol.h>

#include "crypto.h"
#include "donna.h"

#define CURVE_KEY_TYPE 0x05 /* before a public key in libsignal's encoding */

int wagw_x25519(uint8_t out[32], const uint8_t priv[32], const uint8_t pub[32])
{
    return wagw_donna_x25519(out, priv, pub);
}

int wagw_x25519_public(uint8_t pub[32], const uint8_t priv[32])
{
    static const uint8_t base[32] = {9};

    return wagw_donna_x25519(pub, priv, base);
}

int wagw_x25519_keypair(wagw_keypair_t *kp, wagw_random_pt random, void *data)
{
    random(data, kp->priv, sizeof(kp->priv));
    kp->priv[0] &= 248;
    kp->priv[31] &= 127;
    kp->priv[31] |= 64;
    return wagw_x25519_public(kp->pub, kp->priv);
}

typedef struct {
    wagw_random_pt random;
    void *data;
} curve_random_t;

static int curve_random(uint8_t *p, size_t n, void *user_data)
{
    curve_random_t *r = user_data;

    r->random(r->data, p, n);
    return SG_SUCCESS;
}

/* libsignal signs only with a context that has a random source; one lives for
 * the call, so that each caller's source is used and none is shared. */
int wagw_xeddsa_sign(uint8_t sig[64], const uint8_t priv[32], wagw_str_t msg, wagw_random_pt random, void *data)
{
    curve_random_t r = {random, data};
    signal_crypto_provider provider = {.random_func = curve_random, .user_data = &r};
    signal_context *context = NULL;
    ec_private_key *key = NULL;
    signal_buffer *out = NULL;
    int rc = WAGW_ERROR;

    if (signal_context_create(&context, NULL) != SG_SUCCESS ||
        signal_context_set_crypto_provider(context, &provider) != SG_SUCCESS ||
        curve_decode_private_point(&key, priv, 32, context) != SG_SUCCESS) {
        goto done;
    }
    if (curve_calculate_signature(context, &out, key, msg.n > 0 ? msg.p : (const uint8_t *)"", msg.n) != SG_SUCCESS ||
        signal_buffer_len(out) != 64) {
        goto done;
    }
    memcpy(sig, signal_buffer_data(out), 64);
    rc = WAGW_OK;

done:

    signal_buffer_free(out);
    SIGNAL_UNREF(key);
    signal_context_destroy(context);
    return rc;
}

int wagw_xeddsa_verify(const uint8_t sig[64], const uint8_t pub[32], wagw_str_t msg)
{
    uint8_t encoded[33];
    ec_public_key *key = NULL;
    int rc;

    encoded[0] = CURVE_KEY_TYPE;
    memcpy(encoded + 1, pub, 32);
    if (curve_decode_point(&key, encoded, sizeof(encoded), NULL) != SG_SUCCESS) {
        return WAGW_ERROR;
    }
    rc = curve_verify_signature(key, msg.n > 0 ? msg.p : (const uint8_t *)"", msg.n, sig, 64);
    SIGNAL_UNREF(key);
    /* 1 = valid, 0 = not, below = could not be tried */
    return rc == 1 ? WAGW_OK : rc == 0 ? WAGW_CRYPTO : WAGW_ERROR;
}
