#include <limits.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "crypto.h"

#define GCM_TAG 16
#define AES_BLOCK 16

typedef enum { CIPHER_GCM = 0, CIPHER_CBC, CIPHER_CTR, CIPHER_COUNT } cipher_t;

static const char *const cipher_names[CIPHER_COUNT] = {"AES-256-GCM", "AES-256-CBC", "AES-256-CTR"};

/* Kept as the digests are (hash.c).  Contexts are made per call: freeing one
 * is what wipes the key schedule. */
static EVP_CIPHER *cipher_fetched[CIPHER_COUNT];

static EVP_CIPHER *cipher_get(cipher_t kind)
{
    EVP_CIPHER *c = __atomic_load_n(&cipher_fetched[kind], __ATOMIC_ACQUIRE), *none = NULL;

    if (c != NULL) {
        return c;
    }
    c = EVP_CIPHER_fetch(NULL, cipher_names[kind], NULL);
    if (c != NULL &&
        !__atomic_compare_exchange_n(&cipher_fetched[kind], &none, c, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        EVP_CIPHER_free(c);
        c = none;
    }
    return c;
}

static EVP_CIPHER_CTX *cipher_begin(cipher_t kind, bool encrypt, const uint8_t key[32], const uint8_t *iv)
{
    EVP_CIPHER *c = cipher_get(kind);
    EVP_CIPHER_CTX *ctx = c ? EVP_CIPHER_CTX_new() : NULL;

    if (ctx != NULL && EVP_CipherInit_ex2(ctx, c, key, iv, encrypt, NULL) != 1) {
        EVP_CIPHER_CTX_free(ctx);
        ctx = NULL;
    }
    return ctx;
}

/* Frees the context and leaves nothing in OpenSSL's error queue, which
 * belongs to whoever talks TLS in this thread. */
static int cipher_end(EVP_CIPHER_CTX *ctx, int rc)
{
    EVP_CIPHER_CTX_free(ctx);
    if (rc != WAGW_OK) {
        ERR_clear_error();
    }
    return rc;
}

static bool cipher_update(EVP_CIPHER_CTX *ctx, uint8_t *out, wagw_str_t in)
{
    int n;

    return in.n == 0 || EVP_CipherUpdate(ctx, out, &n, in.p, (int)in.n) == 1;
}

int wagw_gcm_seal(uint8_t *out, const uint8_t key[32], const uint8_t iv[12], wagw_str_t aad, wagw_str_t in)
{
    EVP_CIPHER_CTX *ctx;
    uint8_t none[AES_BLOCK];
    int n;

    if (in.n > INT_MAX || aad.n > INT_MAX) {
        return WAGW_ERROR;
    }
    ctx = cipher_begin(CIPHER_GCM, true, key, iv);
    if (ctx == NULL || !cipher_update(ctx, NULL, aad) || !cipher_update(ctx, out, in) ||
        EVP_CipherFinal_ex(ctx, none, &n) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, GCM_TAG, out + in.n) != 1) {
        return cipher_end(ctx, WAGW_ERROR);
    }
    return cipher_end(ctx, WAGW_OK);
}

int wagw_gcm_open(uint8_t *out, const uint8_t key[32], const uint8_t iv[12], wagw_str_t aad, wagw_str_t in)
{
    EVP_CIPHER_CTX *ctx;
    uint8_t none[AES_BLOCK], tag[GCM_TAG];
    int n;

    if (in.n < GCM_TAG) {
        return WAGW_MALFORMED;
    }
    if (in.n > INT_MAX || aad.n > INT_MAX) {
        return WAGW_ERROR;
    }
    in.n -= GCM_TAG;
    memcpy(tag, in.p + in.n, GCM_TAG);

    ctx = cipher_begin(CIPHER_GCM, false, key, iv);
    if (ctx == NULL || !cipher_update(ctx, NULL, aad) || !cipher_update(ctx, out, in) ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, GCM_TAG, tag) != 1) {
        wagw_wipe(out, in.n);
        return cipher_end(ctx, WAGW_ERROR);
    }
    if (EVP_CipherFinal_ex(ctx, none, &n) != 1) {
        wagw_wipe(out, in.n);
        return cipher_end(ctx, WAGW_CRYPTO);
    }
    return cipher_end(ctx, WAGW_OK);
}

int wagw_cbc_encrypt(wagw_buf_t *out, const uint8_t key[32], const uint8_t iv[16], wagw_str_t in)
{
    EVP_CIPHER_CTX *ctx;
    int n = 0, last;
    size_t size;

    if (in.n > INT_MAX - AES_BLOCK) {
        return WAGW_ERROR;
    }
    size = in.n / AES_BLOCK * AES_BLOCK + AES_BLOCK;
    if (wagw_buf_reserve(out, size) != WAGW_OK) {
        return WAGW_NOMEM;
    }
    ctx = cipher_begin(CIPHER_CBC, true, key, iv);
    if (ctx == NULL || (in.n > 0 && EVP_CipherUpdate(ctx, out->p + out->n, &n, in.p, (int)in.n) != 1) ||
        EVP_CipherFinal_ex(ctx, out->p + out->n + n, &last) != 1) {
        return cipher_end(ctx, WAGW_ERROR);
    }
    out->n += size;
    return cipher_end(ctx, WAGW_OK);
}

int wagw_cbc_decrypt(wagw_buf_t *out, const uint8_t key[32], const uint8_t iv[16], wagw_str_t in)
{
    EVP_CIPHER_CTX *ctx;
    int n, last;

    if (in.n == 0 || in.n % AES_BLOCK != 0) {
        return WAGW_CRYPTO;
    }
    if (in.n > INT_MAX - AES_BLOCK) {
        return WAGW_ERROR;
    }
    if (wagw_buf_reserve(out, in.n + AES_BLOCK) != WAGW_OK) {
        return WAGW_NOMEM;
    }
    ctx = cipher_begin(CIPHER_CBC, false, key, iv);
    if (ctx == NULL || EVP_CipherUpdate(ctx, out->p + out->n, &n, in.p, (int)in.n) != 1) {
        return cipher_end(ctx, WAGW_ERROR);
    }
    if (EVP_CipherFinal_ex(ctx, out->p + out->n + n, &last) != 1) {
        wagw_wipe(out->p + out->n, in.n);
        return cipher_end(ctx, WAGW_CRYPTO);
    }
    out->n += (size_t)(n + last);
    return cipher_end(ctx, WAGW_OK);
}

int wagw_ctr(uint8_t *out, const uint8_t key[32], const uint8_t iv[16], wagw_str_t in)
{
    EVP_CIPHER_CTX *ctx;

    if (in.n > INT_MAX) {
        return WAGW_ERROR;
    }
    ctx = cipher_begin(CIPHER_CTR, true, key, iv);
    return cipher_end(ctx, ctx != NULL && cipher_update(ctx, out, in) ? WAGW_OK : WAGW_ERROR);
}
