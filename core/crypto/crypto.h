/*
 * core/crypto: thin wrappers over OpenSSL (and libsignal's XEdDSA).  All
 * functions return WAGW_OK, WAGW_CRYPTO (does not verify) or WAGW_ERROR.
 * Keys are 32 raw bytes; the 0x05 prefix belongs to core/signal.
 */

#ifndef WAGW_CRYPTO_H
#define WAGW_CRYPTO_H

#include "../base/base.h"

/* Randomness comes from outside (core/ has none of its own): fills n bytes,
 * cannot fail.  Tests replay recorded bytes through it. */
typedef void (*wagw_random_pt)(void *data, uint8_t *p, size_t n);

int wagw_sha256(uint8_t out[32], wagw_str_t in);
int wagw_sha256_2(uint8_t out[32], wagw_str_t a, wagw_str_t b); /* a || b */
int wagw_md5(uint8_t out[16], wagw_str_t in);
int wagw_hmac_sha256(uint8_t out[32], wagw_str_t key, wagw_str_t in);
int wagw_hmac_sha512(uint8_t out[64], wagw_str_t key, wagw_str_t in);

/* HMAC-SHA-256 in pieces.  Copied after begin it serves for more than one input
 * under a key; end wipes it, a copy that is not ended is the caller's to wipe. */
typedef struct {
    _Alignas(8) uint8_t inner[112];
    _Alignas(8) uint8_t outer[112];
} wagw_hmac_t;

void wagw_hmac_begin(wagw_hmac_t *h, wagw_str_t key);
void wagw_hmac_add(wagw_hmac_t *h, wagw_str_t part);
void wagw_hmac_end(wagw_hmac_t *h, uint8_t mac[32]);

/* HKDF-SHA256; an empty salt is 32 zero bytes; n <= 8160. */
int wagw_hkdf(uint8_t *out, size_t n, wagw_str_t ikm, wagw_str_t salt, wagw_str_t info);
int wagw_pbkdf2_sha256(uint8_t *out, size_t n, wagw_str_t password, wagw_str_t salt, unsigned iterations);

/* AES-256-GCM, 12-byte iv, tag appended: out has in.n + 16 bytes (seal) or
 * in.n - 16 (open).  out may be in.p.  open: WAGW_CRYPTO and out wiped when
 * the tag is wrong, WAGW_MALFORMED when in.n < 16. */
int wagw_gcm_seal(uint8_t *out, const uint8_t key[32], const uint8_t iv[12], wagw_str_t aad, wagw_str_t in);
int wagw_gcm_open(uint8_t *out, const uint8_t key[32], const uint8_t iv[12], wagw_str_t aad, wagw_str_t in);

/* AES-256-CBC with PKCS#7; appends to out. */
int wagw_cbc_encrypt(wagw_buf_t *out, const uint8_t key[32], const uint8_t iv[16], wagw_str_t in);
int wagw_cbc_decrypt(wagw_buf_t *out, const uint8_t key[32], const uint8_t iv[16], wagw_str_t in);

/* AES-256-CTR, the iv is the initial counter block. */
int wagw_ctr(uint8_t *out, const uint8_t key[32], const uint8_t iv[16], wagw_str_t in);

/* X25519.  An all-zero result is WAGW_CRYPTO.  Private keys are clamped. */
typedef struct {
    uint8_t priv[32];
    uint8_t pub[32];
} wagw_keypair_t;

int wagw_x25519_keypair(wagw_keypair_t *kp, wagw_random_pt random, void *data);
/* Its first half, which is cheap: the public key can be computed elsewhere. */
void wagw_x25519_private(uint8_t priv[32], wagw_random_pt random, void *data);
int wagw_x25519_public(uint8_t pub[32], const uint8_t priv[32]);
int wagw_x25519(uint8_t out[32], const uint8_t priv[32], const uint8_t pub[32]);

/* XEdDSA over Curve25519 (protocol 01 section 5). */
int wagw_xeddsa_sign(uint8_t sig[64], const uint8_t priv[32], wagw_str_t msg, wagw_random_pt random, void *data);
int wagw_xeddsa_verify(const uint8_t sig[64], const uint8_t pub[32], wagw_str_t msg);

/*
 * Streams: for input that is not in memory at once.  Objects are wiped when
 * freed; NULL may be freed.  A digest may be used from one thread at a time.
 */
typedef struct wagw_digest_s wagw_digest_t;

wagw_digest_t *wagw_digest_sha256(void);         /* NULL without memory */
wagw_digest_t *wagw_digest_hmac(wagw_str_t key); /* HMAC-SHA-256 */
int wagw_digest_add(wagw_digest_t *d, wagw_str_t in);
/* The result of what was added; begins anew, with the same key. */
int wagw_digest_end(wagw_digest_t *d, uint8_t out[32]);
void wagw_digest_free(wagw_digest_t *d);

/* AES-256-CBC.  Encryption pads (PKCS#7) in _end(); decryption gives whole
 * blocks as they come, padding included, and has no _end(). */
typedef struct wagw_cbc_s wagw_cbc_t;

wagw_cbc_t *wagw_cbc_stream(bool encrypt, const uint8_t key[32], const uint8_t iv[16]);
int wagw_cbc_add(wagw_cbc_t *c, wagw_buf_t *out, wagw_str_t in); /* appends */
int wagw_cbc_end(wagw_cbc_t *c, wagw_buf_t *out);
void wagw_cbc_free(wagw_cbc_t *c);

#endif
