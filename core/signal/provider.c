/*
 * libsignal's crypto callbacks over OpenSSL.  Algorithms are fetched once and
 * contexts are kept: these run several times per message.
 */

#include "signal_private.h"

#include <stdlib.h>

static int wagw_provider_random(uint8_t *data, size_t len, void *user_data)
{
    wagw_signal_t *s = user_data;

    s->random(s->random_data, data, len);
    return SG_SUCCESS;
}

static int wagw_provider_hmac_init(void **context, const uint8_t *key, size_t key_len, void *user_data)
{
    wagw_signal_t *s = user_data;
    wagw_signal_hmac_t *h = s->spare;

    *context = NULL;

    if (h != NULL) {
        s->spare = h->next;

    } else {
        h = calloc(1, sizeof(wagw_signal_hmac_t));
        if (h == NULL) {
            return SG_ERR_NOMEM;
        }
    }

    wagw_hmac_begin(&h->h, wagw_str(key, key_len));
    *context = h;

    return SG_SUCCESS;
}

static int wagw_provider_digest_update(void *context, const uint8_t *data, size_t len, void *user_data)
{
    (void)user_data;

    return EVP_DigestUpdate(context, data, len) == 1 ? SG_SUCCESS : SG_ERR_UNKNOWN;
}

static int wagw_provider_hmac_update(void *context, const uint8_t *data, size_t len, void *user_data)
{
    wagw_signal_hmac_t *h = context;

    (void)user_data;
    wagw_hmac_add(&h->h, wagw_str(data, len));

    return SG_SUCCESS;
}

static int wagw_provider_hmac_final(void *context, signal_buffer **output, void *user_data)
{
    uint8_t out[32];
    wagw_signal_hmac_t *h = context;

    (void)user_data;
    wagw_hmac_end(&h->h, out);
    *output = signal_buffer_create(out, sizeof(out));
    wagw_wipe(out, sizeof(out));

    return *output != NULL ? SG_SUCCESS : SG_ERR_NOMEM;
}

static void wagw_provider_hmac_cleanup(void *context, void *user_data)
{
    wagw_signal_t *s = user_data;
    wagw_signal_hmac_t *h = context;

    if (h == NULL) {
        return;
    }

    wagw_wipe(&h->h, sizeof(h->h)); /* it may not have come to its end */
    h->next = s->spare;
    s->spare = h;
}

static int wagw_provider_sha512_init(void **context, void *user_data)
{
    EVP_MD_CTX *md;
    wagw_signal_t *s = user_data;

    md = EVP_MD_CTX_new();
    if (md == NULL) {
        return SG_ERR_NOMEM;
    }

    if (EVP_DigestInit_ex2(md, s->sha512, NULL) != 1) {
        EVP_MD_CTX_free(md);
        return SG_ERR_UNKNOWN;
    }

    *context = md;
    return SG_SUCCESS;
}

static int wagw_provider_sha512_final(void *context, signal_buffer **output, void *user_data)
{
    uint8_t out[EVP_MAX_MD_SIZE];
    unsigned n;
    wagw_signal_t *s = user_data;

    if (EVP_DigestFinal_ex(context, out, &n) != 1 || EVP_DigestInit_ex2(context, s->sha512, NULL) != 1) {
        return SG_ERR_UNKNOWN;
    }

    *output = signal_buffer_create(out, n);
    wagw_wipe(out, sizeof(out));

    return *output != NULL ? SG_SUCCESS : SG_ERR_NOMEM;
}

static void wagw_provider_sha512_cleanup(void *context, void *user_data)
{
    (void)user_data;

    EVP_MD_CTX_free(context);
}

static int wagw_provider_aes(wagw_signal_t *s, signal_buffer **output, int mode, bool encrypt, const uint8_t *key,
                             size_t key_len, const uint8_t *iv, size_t iv_len, wagw_str_t in)
{
    int rc, head, tail;
    uint8_t *out;
    const EVP_CIPHER *cipher;

    *output = NULL;

    switch (mode) {

    case SG_CIPHER_AES_CBC_PKCS5:
        cipher = s->cbc;
        break;

    case SG_CIPHER_AES_CTR_NOPADDING:
        cipher = s->ctr;
        break;

    default:
        return SG_ERR_INVAL;
    }

    if (key_len != 32 || iv_len != 16 || in.n > INT32_MAX - 16) {
        return SG_ERR_INVAL;
    }

    out = malloc(in.n + 16);
    if (out == NULL) {
        return SG_ERR_NOMEM;
    }

    rc = SG_ERR_UNKNOWN;
    head = 0;
    tail = 0;

    if (EVP_CipherInit_ex2(s->cipher, cipher, key, iv, encrypt, NULL) != 1 ||
        (in.n != 0 && EVP_CipherUpdate(s->cipher, out, &head, in.p, (int)in.n) != 1) ||
        EVP_CipherFinal_ex(s->cipher, out + head, &tail) != 1) {
        goto done;
    }

    *output = signal_buffer_create(out, (size_t)head + (size_t)tail);
    rc = *output != NULL ? SG_SUCCESS : SG_ERR_NOMEM;

done:

    if (!encrypt) {
        wagw_wipe(out, in.n + 16);
    }
    free(out);

    return rc;
}

static int wagw_provider_encrypt(signal_buffer **output, int cipher, const uint8_t *key, size_t key_len,
                                 const uint8_t *iv, size_t iv_len, const uint8_t *plaintext, size_t len,
                                 void *user_data)
{
    return wagw_provider_aes(user_data, output, cipher, true, key, key_len, iv, iv_len, wagw_str(plaintext, len));
}

static int wagw_provider_decrypt(signal_buffer **output, int cipher, const uint8_t *key, size_t key_len,
                                 const uint8_t *iv, size_t iv_len, const uint8_t *ciphertext, size_t len,
                                 void *user_data)
{
    return wagw_provider_aes(user_data, output, cipher, false, key, key_len, iv, iv_len, wagw_str(ciphertext, len));
}

int wagw_signal_provider_init(wagw_signal_t *s)
{
    signal_crypto_provider p;

    s->sha512 = EVP_MD_fetch(NULL, "SHA512", NULL);
    s->cbc = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    s->ctr = EVP_CIPHER_fetch(NULL, "AES-256-CTR", NULL);
    s->cipher = EVP_CIPHER_CTX_new();

    if (s->sha512 == NULL || s->cbc == NULL || s->ctr == NULL || s->cipher == NULL) {
        return WAGW_ERROR;
    }

    p = (signal_crypto_provider){
        .random_func = wagw_provider_random,
        .hmac_sha256_init_func = wagw_provider_hmac_init,
        .hmac_sha256_update_func = wagw_provider_hmac_update,
        .hmac_sha256_final_func = wagw_provider_hmac_final,
        .hmac_sha256_cleanup_func = wagw_provider_hmac_cleanup,
        .sha512_digest_init_func = wagw_provider_sha512_init,
        .sha512_digest_update_func = wagw_provider_digest_update,
        .sha512_digest_final_func = wagw_provider_sha512_final,
        .sha512_digest_cleanup_func = wagw_provider_sha512_cleanup,
        .encrypt_func = wagw_provider_encrypt,
        .decrypt_func = wagw_provider_decrypt,
        .user_data = s,
    };

    return signal_context_set_crypto_provider(s->ctx, &p) == SG_SUCCESS ? WAGW_OK : WAGW_ERROR;
}

void wagw_signal_provider_done(wagw_signal_t *s)
{
    wagw_signal_hmac_t *h;

    while ((h = s->spare) != NULL) {
        s->spare = h->next;
        free(h);
    }

    EVP_CIPHER_CTX_free(s->cipher);
    EVP_CIPHER_free(s->ctr);
    EVP_CIPHER_free(s->cbc);
    EVP_MD_free(s->sha512);
}
