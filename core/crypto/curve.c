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

void wagw_x25519_private(uint8_t priv[32], wagw_random_pt random, void *data)
{
    random(data, priv, 32);
    priv[0] &= 248;
    priv[31] &= 127;
    priv[31] |= 64;
}

int wagw_x25519_keypair(wagw_keypair_t *kp, wagw_random_pt random, void *data)
{
    wagw_x25519_private(kp->priv, random, data);
    return wagw_x25519_public(kp->pub, kp->priv);
}

/*
 * What curve_calculate_signature() calls.  Exported by libsignal, declared in
 * none of its installed headers; the public function would need a context with
 * a whole crypto provider for the sake of 64 random bytes.
 */
extern int curve25519_sign(unsigned char *sig, const unsigned char *priv, const unsigned char *msg,
                           const unsigned long msg_len, const unsigned char *random64);

int wagw_xeddsa_sign(uint8_t sig[64], const uint8_t priv[32], wagw_str_t msg, wagw_random_pt random, void *data)
{
    uint8_t bytes[64];
    int rc;

    random(data, bytes, sizeof(bytes));
    rc = curve25519_sign(sig, priv, msg.n > 0 ? msg.p : (const uint8_t *)"", msg.n, bytes);
    wagw_wipe(bytes, sizeof(bytes));
    return rc == 0 ? WAGW_OK : WAGW_ERROR;
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
