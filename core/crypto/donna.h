/*
 * X25519 over OpenSSL's EVP, and libsignal's entry to it.  Internal to
 * core/crypto; everybody else uses crypto.h.
 */

#ifndef WAGW_DONNA_H
#define WAGW_DONNA_H

#include "../base/base.h"

/* WAGW_CRYPTO, out zeroed: the result was all zero. */
int wagw_donna_x25519(uint8_t out[32], const uint8_t secret[32], const uint8_t base[32]);

#endif
