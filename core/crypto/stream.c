#include <limits.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "crypto.h"

#define SHA_BLOCK 64
#define AES_BLOCK 16

/* HMAC is two hashes whose first block never changes: those are kept, and
 * each result begins from a copy. */
struct wagw_digest_s {
    EVP_MD_CTX *now;
    EVP_MD_CTX *inner;
    EVP_MD_CTX *outer; /* NULL: a plain hash */
};

struct wagw_cbc_s {
    EVP_CIPHER_CTX *ctx;
};

static int stream_rc(bool ok)
{
    if (ok) {
        return WAGW_OK;
    }
    ERR_clear_error();
    return WAGW_ERROR;
}

static wagw_digest_t *digest_new(bool keyed)
{
    wagw_digest_t *d = calloc(1, sizeof(*d));

    if (d == NULL) {
        return NULL;
    }
    d->now = EVP_MD_CTX_new();
    d->inner = EVP_MD_CTX_new();
    d->outer = keyed ? EVP_MD_CTX_new() : NULL;

    if (d->now == NULL || d->inner == NULL || (keyed && d->outer == NULL) ||
        EVP_DigestInit_ex(d->inner, EVP_sha256(), NULL) != 1 ||
        (keyed && EVP_DigestInit_ex(d->outer, EVP_sha256(), NULL) != 1)) {
        ERR_clear_error();
        wagw_digest_free(d);
        return NULL;
    }
    return d;
}

static wagw_digest_t *digest_begin(wagw_digest_t *d)
{
    if (d != NULL && EVP_MD_CTX_copy_ex(d->now, d->inner) != 1) {
        ERR_clear_error();
        wagw_digest_free(d);
        return NULL;
    }
    return d;
}

wagw_digest_t *wagw_digest_sha256(void)
{
    return digest_begin(digest_new(false));
}

wagw_digest_t *wagw_digest_hmac(wagw_str_t key)
{
    uint8_t pad[SHA_BLOCK] = {0};
    size_t i;
    bool ok;
    wagw_digest_t *d;

    if (key.n > SHA_BLOCK) {
        if (wagw_sha256(pad, key) != WAGW_OK) {
            return NULL;
        }
    } else if (key.n) {
        memcpy(pad, key.p, key.n);
    }

    d = digest_new(true);
    if (d != NULL) {
        for (i = 0; i < sizeof(pad); i++) {
            pad[i] ^= 0x36;
        }
        ok = EVP_DigestUpdate(d->inner, pad, sizeof(pad)) == 1;
        for (i = 0; i < sizeof(pad); i++) {
            pad[i] ^= 0x36 ^ 0x5c;
        }
        ok = ok && EVP_DigestUpdate(d->outer, pad, sizeof(pad)) == 1;
        if (!ok) {
            ERR_clear_error();
            wagw_digest_free(d);
            d = NULL;
        }
    }
    wagw_wipe(pad, sizeof(pad));
    return digest_begin(d);
}

int wagw_digest_add(wagw_digest_t *d, wagw_str_t in)
{
    return stream_rc(in.n == 0 || EVP_DigestUpdate(d->now, in.p, in.n) == 1);
}

int wagw_digest_end(wagw_digest_t *d, uint8_t out[32])
{
    bool ok = EVP_DigestFinal_ex(d->now, out, NULL) == 1;

    if (d->outer) {
        ok = ok && EVP_MD_CTX_copy_ex(d->now, d->outer) == 1 && EVP_DigestUpdate(d->now, out, 32) == 1 &&
             EVP_DigestFinal_ex(d->now, out, NULL) == 1;
    }
    return stream_rc(ok && EVP_MD_CTX_copy_ex(d->now, d->inner) == 1);
}

void wagw_digest_free(wagw_digest_t *d)
{
    if (d == NULL) {
        return;
    }
    EVP_MD_CTX_free(d->now);
    EVP_MD_CTX_free(d->inner);
    EVP_MD_CTX_free(d->outer);
    free(d);
}

wagw_cbc_t *wagw_cbc_stream(bool encrypt, const uint8_t key[32], const uint8_t iv[16])
{
    wagw_cbc_t *c = malloc(sizeof(*c));

    if (c == NULL) {
        return NULL;
    }
    c->ctx = EVP_CIPHER_CTX_new();
    if (c->ctx == NULL || EVP_CipherInit_ex(c->ctx, EVP_aes_256_cbc(), NULL, key, iv, encrypt) != 1 ||
        EVP_CIPHER_CTX_set_padding(c->ctx, encrypt) != 1) {
        ERR_clear_error();
        wagw_cbc_free(c);
        return NULL;
    }
    return c;
}

int wagw_cbc_add(wagw_cbc_t *c, wagw_buf_t *out, wagw_str_t in)
{
    int n = 0;

    if (in.n == 0) {
        return WAGW_OK;
    }
    if (in.n > INT_MAX - AES_BLOCK) {
        return WAGW_ERROR;
    }
    if (wagw_buf_reserve(out, in.n + AES_BLOCK) != WAGW_OK) {
        return WAGW_NOMEM;
    }
    if (EVP_CipherUpdate(c->ctx, out->p + out->n, &n, in.p, (int)in.n) != 1) {
        return stream_rc(false);
    }
    out->n += (size_t)n;
    return WAGW_OK;
}

int wagw_cbc_end(wagw_cbc_t *c, wagw_buf_t *out)
{
    int n = 0;

    if (wagw_buf_reserve(out, AES_BLOCK) != WAGW_OK) {
        return WAGW_NOMEM;
    }
    if (EVP_CipherFinal_ex(c->ctx, out->p + out->n, &n) != 1) {
        return stream_rc(false);
    }
    out->n += (size_t)n;
    return WAGW_OK;
}

void wagw_cbc_free(wagw_cbc_t *c)
{
    if (c != NULL) {
        EVP_CIPHER_CTX_free(c->ctx);
        free(c);
    }
}
